"""Frames: the members `consistency` and `evidence` are rows of them."""

import struct
from typing import Iterator

from .container import Stream
from .outcome import DoesNotHold

PAYLOAD_BYTES_MAX = 16_777_216

_HEAD = struct.Struct(">BI")


def frames(stream: Stream) -> Iterator[tuple[int, bytes]]:
    """Type and payload, one frame at a time."""
    read, unpack = stream.read, _HEAD.unpack
    while stream.left:
        kind, length = unpack(read(_HEAD.size))
        if length > PAYLOAD_BYTES_MAX:
            raise DoesNotHold(f"{stream.name}: a frame is too long")
        yield kind, read(length)
