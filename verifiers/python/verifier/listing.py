"""messages.jsonl and gaps.jsonl: steps 8 and 9 of the verification."""

import re
from hashlib import sha256

from . import jsontext
from .container import LINE_BYTES_MAX, Container
from .jsontext import is_number
from .manifest import Manifest
from .outcome import DoesNotHold, require
from .shown import Shown
from .walk import Tally

NO_RECORD = 0xFFFF_FFFF
FIELDS = ["id", "state", "connector", "connector_version", "record"]

_MESSAGE_ID = re.compile(r"(0|[1-9][0-9]{0,19})\.(0|[1-9][0-9]{0,9})", re.ASCII)


def check_messages(container: Container, manifest: Manifest, shown: Shown) -> int:
    """Step 8. Returns the number of lines."""
    stream, hash_ = container.stream("messages.jsonl"), sha256()
    count, before = 0, (-1, -1)
    for raw in stream.lines():
        hash_.update(raw)
        count += 1
        what = f"messages.jsonl, line {count}"
        require(raw.endswith(b"\n"), f"{what}: no end, or longer than {LINE_BYTES_MAX} bytes")
        id_, state = _line(raw[:-1], what)
        require(id_ > before, f"{what}: ids do not ascend")
        _check_state(id_, state, shown)
        before = id_
    stream.check_crc()
    require(count == manifest.stated["messages"], "messages.jsonl: not the number of lines of the manifest")
    found = stream.size, hash_.digest()
    require(found == manifest.member("messages.jsonl"), "messages.jsonl: not the length and hash of the manifest")
    return count


def _line(raw: bytes, what: str) -> tuple[tuple[int, int], str]:
    """Id and state of a line whose fields are as they must be."""
    try:
        line = jsontext.parse(raw)
    except jsontext.NotJson as error:
        raise DoesNotHold(f"{what}: not JSON") from error
    require(isinstance(line, dict) and list(line) == FIELDS, f"{what}: other fields than those of format 1")
    match = _MESSAGE_ID.fullmatch(line["id"]) if isinstance(line["id"], str) else None
    require(match is not None, f"{what}: not an id")
    id_ = int(match[1]), int(match[2])
    require(id_[0] < 1 << 64 and id_[1] < NO_RECORD, f"{what}: not an id")
    require(isinstance(line["connector"], str) and line["connector"] != "", f"{what}: no connector")
    require(is_number(line["connector_version"], 32), f"{what}: no version of the connector")
    fits = line["record"] is None if line["state"] == "erased" else isinstance(line["record"], dict)
    require(fits, f"{what}: not the record of its state")
    return id_, line["state"]


def _check_state(id_: tuple[int, int], state: str, shown: Shown) -> None:
    position, ordinal = id_
    if state == "raw":
        true = position in shown.captures
    elif state == "part":
        true = shown.has_item(position, ordinal)
    elif state == "erased":
        true = shown.is_erased(position, ordinal)
    else:
        raise DoesNotHold(f"message {position}.{ordinal}: an unknown state")
    require(true, f"message {position}.{ordinal}: its state is not what the evidence shows")


def check_gaps(container: Container, manifest: Manifest, tally: Tally) -> None:
    """Step 9. The lines were made from the gap entries; their length and hash are compared."""
    stream = container.stream("gaps.jsonl")
    found = stream.size, stream.sha256()
    stream.check_crc()
    require(found == (tally.gap_bytes, tally.gap_sha256), "gaps.jsonl: not the lines of the gap entries")
    require(found == manifest.member("gaps.jsonl"), "gaps.jsonl: not the length and hash of the manifest")
    require(tally.gaps == manifest.stated["gaps"]["count"], "gaps.jsonl: not the number of the manifest")
