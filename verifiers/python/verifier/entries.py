"""Headers of entries, by kind: the section "Entries". Every field is decoded, whether or not a bundle needs it."""

import struct
from dataclasses import dataclass
from functools import lru_cache

from .outcome import DoesNotHold, require
from .wire import FORMAT, SUITE, Cursor, is_id, name

CAPTURE, PART, WRAP, ACT, GAP, DESTRUCTION, OUTSIDE = range(1, 8)
ACT_CODES = frozenset(range(1, 32)) | frozenset(range(40, 47)) | frozenset((49,))
DESTRUCTION_REASONS = (1, 2, 3, 4)
OUTSIDE_STATES = range(1, 5)
CAUSES = {
    1: "torn-group",
    2: "not-running",
    3: "media-lost",
    4: "key-missing",
    5: "possibly-cut",
    6: "connection-ended",
    7: "restored",
    10: "sequence-hole",
    11: "pointed-at",
    12: "undecrypted",
    13: "refused",
    14: "silent",
    15: "canary-missed",
}
KEYS_MAX = 4096
UNCOMPRESSED = 4
ABSENT = bytes(16 + 16 + 32)

_PLACE = struct.Struct(">Qq")
_ORIGIN = struct.Struct(">IqBBI")
_SEALING = struct.Struct(">16sIBIB64s40s32s")
_OUTSIDE = struct.Struct(">QIHB")
_PART = struct.Struct(">QIB")
_PART_END = struct.Struct(">40s32sI32s")
_WRAP = struct.Struct(">QB")
_ACT = struct.Struct(">H16s16s32s")
_GAP = struct.Struct(">qqHQ")
_BODY_KEY = struct.Struct(">16s16s32s")


@dataclass(slots=True)
class Chunk:
    """Kinds 1 and 7. `point` is the whole ephemeral point."""

    capture_id: bytes
    chunk: int
    last: bool
    epoch: int
    point: bytes
    wrapped: bytes
    commitment: bytes


@dataclass(slots=True)
class Part:
    source: int
    keys: bytes
    wrapped: bytes
    commitment: bytes
    count: int
    root: bytes


@dataclass(slots=True)
class Wrap:
    source: int
    mixed: bool
    keys: bytes
    wrapped: bytes


@dataclass(slots=True)
class Act:
    code: int
    key_id: bytes
    salt: bytes
    commitment: bytes


@dataclass(slots=True)
class Gap:
    """`connection` is empty for the whole ledger; `from_` and `to` in microseconds."""

    connection: bytes
    from_: int
    to: int
    cause: str
    count: int


@dataclass(slots=True)
class Destruction:
    """`commitment` is zero where there is no body."""

    reason: int
    keys: bytes
    key_id: bytes
    salt: bytes
    commitment: bytes

    @property
    def bodiless(self) -> bool:
        return self.key_id + self.salt + self.commitment == ABSENT


@dataclass(slots=True)
class Header:
    """`keys` of its fields are ids of 16 bytes each, one after the other."""

    kind: int
    position: int
    recorded_at: int
    fields: Chunk | Part | Wrap | Act | Gap | Destruction


def decode(raw: bytes, zone: str, what: str) -> Header:
    """A header of an entry of this zone. `what` names it in an error."""
    kind = raw[2] if len(raw) > 2 else 0
    read = _READERS.get(kind)
    if read is None:
        raise DoesNotHold(f"{what}: an unknown kind of entry")
    prefix = _prefix(kind, zone)
    if not raw.startswith(prefix):
        raise DoesNotHold(f"{what}: not of this format, suite and zone")
    cursor = Cursor(raw, what, len(prefix))
    position, recorded_at = cursor.fields(_PLACE)
    fields = read(cursor)
    cursor.end()
    return Header(kind, position, recorded_at, fields)


@lru_cache(maxsize=64)
def _prefix(kind: int, zone: str) -> bytes:
    return struct.pack(">HBB", FORMAT, kind, SUITE) + name(zone)


def _flag(value: int, what: str) -> bool:
    if value > 1:
        raise DoesNotHold(f"{what}: a flag is neither 0 nor 1")
    return value == 1


def _keys(cursor: Cursor) -> bytes:
    count = cursor.number(2)
    require(count <= KEYS_MAX, f"{cursor.what}: too many key ids")
    raw = cursor.take(16 * count)
    ids = [raw[at : at + 16] for at in range(0, len(raw), 16)]
    ascending = all(left < right for left, right in zip(ids, ids[1:]))
    require(ascending, f"{cursor.what}: key ids do not ascend")
    return raw


def _chunk(cursor: Cursor) -> Chunk:
    what = cursor.what
    require(is_id(cursor.name()), f"{what}: not a connection id")
    require(cursor.name() != b"", f"{what}: no connector")
    _, _, verdict, _, _ = cursor.fields(_ORIGIN)
    require(verdict <= 1, f"{what}: an unknown verdict")
    capture_id, chunk, last, epoch, sort, point, wrapped, commitment = cursor.fields(_SEALING)
    require(sort == UNCOMPRESSED, f"{what}: not an uncompressed point")
    return Chunk(capture_id, chunk, _flag(last, what), epoch, bytes([sort]) + point, wrapped, commitment)


def _outside(cursor: Cursor) -> Chunk:
    chunk = _chunk(cursor)
    _, _, _, state = cursor.fields(_OUTSIDE)
    require(state in OUTSIDE_STATES, f"{cursor.what}: an unknown state")
    return chunk


def _part(cursor: Cursor) -> Part:
    source, _, last = cursor.fields(_PART)
    _flag(last, cursor.what)
    keys = _keys(cursor)
    return Part(source, keys, *cursor.fields(_PART_END))


def _wrap(cursor: Cursor) -> Wrap:
    source, mixed = cursor.fields(_WRAP)
    keys = _keys(cursor)
    return Wrap(source, _flag(mixed, cursor.what), keys, cursor.take(40))


def _act(cursor: Cursor) -> Act:
    act = Act(*cursor.fields(_ACT))
    require(act.code in ACT_CODES, f"{cursor.what}: an unknown act")
    return act


def _gap(cursor: Cursor) -> Gap:
    connection = cursor.name()
    require(connection == b"" or is_id(connection), f"{cursor.what}: not a connection id")
    from_, to, cause, count = cursor.fields(_GAP)
    require(cause in CAUSES, f"{cursor.what}: an unknown cause")
    return Gap(connection, from_, to, CAUSES[cause], count)


def _destruction(cursor: Cursor) -> Destruction:
    reason = cursor.number(2)
    require(reason in DESTRUCTION_REASONS, f"{cursor.what}: an unknown reason")
    keys = _keys(cursor)
    return Destruction(reason, keys, *cursor.fields(_BODY_KEY))


_READERS = {
    CAPTURE: _chunk,
    PART: _part,
    WRAP: _wrap,
    ACT: _act,
    GAP: _gap,
    DESTRUCTION: _destruction,
    OUTSIDE: _outside,
}
