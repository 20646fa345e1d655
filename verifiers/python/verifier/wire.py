"""Reading the big-endian structures of the section "Notation"."""

import re
import struct
from functools import lru_cache

from .outcome import DoesNotHold

FORMAT = 1
SUITE = 1

_ID = re.compile(rb"[a-z][a-z0-9-]{0,31}")


@lru_cache(maxsize=4096)
def is_id(raw: bytes) -> bool:
    """Whether these are the bytes of a zone or connection id."""
    return _ID.fullmatch(raw) is not None


@lru_cache(maxsize=4096)
def is_text(raw: bytes) -> bool:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def name(text: str) -> bytes:
    """A `name`: its length in one byte, then UTF-8."""
    raw = text.encode("utf-8")
    return bytes([len(raw)]) + raw


class Cursor:
    """Walks over bytes that must be used up exactly. `what` names them in an error."""

    __slots__ = ("raw", "at", "what")

    def __init__(self, raw: bytes, what: str, at: int = 0):
        self.raw, self.what, self.at = raw, what, at

    def take(self, size_bytes: int) -> bytes:
        end = self.at + size_bytes
        if end > len(self.raw):
            raise DoesNotHold(f"{self.what}: cut short")
        part = self.raw[self.at : end]
        self.at = end
        return part

    def fields(self, layout: struct.Struct) -> tuple:
        end = self.at + layout.size
        if end > len(self.raw):
            raise DoesNotHold(f"{self.what}: cut short")
        values = layout.unpack_from(self.raw, self.at)
        self.at = end
        return values

    def number(self, size_bytes: int) -> int:
        return int.from_bytes(self.take(size_bytes), "big")

    def name(self) -> bytes:
        raw = self.take(self.number(1))
        if not is_text(raw):
            raise DoesNotHold(f"{self.what}: a name is not UTF-8")
        return raw

    def path(self) -> list[bytes]:
        """A `path`: a count in one byte, then hashes."""
        return [self.take(32) for _ in range(self.number(1))]

    def end(self) -> None:
        if self.at != len(self.raw):
            raise DoesNotHold(f"{self.what}: bytes after its end")
