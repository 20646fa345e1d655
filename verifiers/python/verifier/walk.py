"""The member `evidence`, frame by frame: step 6 of the verification."""

from hashlib import sha256

from . import entries, suite
from .batch import Batch, decode_batch
from .entries import Header
from .jsontext import spelled, time_text
from .merkle import Row, included, leaf
from .notes import Checkpoint
from .outcome import DoesNotHold, require
from .shown import Shown
from .suite import Labels
from .wire import Cursor

BATCH, ENTRY, OMITTED, PART, ITEM = range(1, 6)
CHUNK_PLAIN_BYTES_MAX = 1_048_576
SEALED_BYTES_MAX = CHUNK_PLAIN_BYTES_MAX + suite.TAG_BYTES
# Stream, offset and ordinal of an item; then its commitment and the length of what is sealed.
_ITEM_PLACE_BYTES, _ITEM_HEAD_BYTES = 16, 52


class Tally:
    """What was counted on the way, to be compared with the manifest."""

    def __init__(self):
        self.batches = self.entries = self.items = self.disclosed = self.gaps = 0
        self.gap_bytes = 0
        self.last_shown = -1
        self._digest, self._gap_hash = sha256(), sha256()

    def leaf(self, hash_: bytes, disclosed: bool) -> None:
        self._digest.update(hash_ + (b"\x01" if disclosed else b"\x00"))
        self.disclosed += disclosed

    def gap(self, position: int, gap: entries.Gap) -> None:
        """A line of gaps.jsonl as it must be."""
        from_, to = time_text(gap.from_), time_text(gap.to)
        require(from_ is not None and to is not None, f"record {position}: a time that cannot be written")
        connection = gap.connection.decode() or None
        line = {"position": position, "connection": connection, "from": from_, "to": to}
        raw = spelled(line | {"cause": gap.cause, "count": gap.count}) + b"\n"
        self.gaps += 1
        self.gap_bytes += len(raw)
        self._gap_hash.update(raw)

    @property
    def digest(self) -> str:
        return self._digest.hexdigest()

    @property
    def gap_sha256(self) -> bytes:
        return self._gap_hash.digest()


class Walk:
    """Goes over the frames of one bundle. `shown` and `tally` are what is left behind."""

    def __init__(self, zone: str, pinned: Checkpoint, shown: Shown):
        self.shown, self.tally = shown, Tally()
        self._zone, self._pinned, self._labels = zone, pinned, Labels(zone)
        self._batch: Batch | None = None
        self._in_batch, self._any_leaf_shown, self._leaves = False, False, Row(0)
        self._part: entries.Part | None = None
        self._part_position, self._items = 0, Row(0)

    def run(self, frames) -> None:
        take = {BATCH: self._take_batch, ENTRY: self._take_entry, OMITTED: self._take_omitted}
        take |= {PART: self._take_part, ITEM: self._take_item}
        for kind, payload in frames:
            step = take.get(kind)
            require(step is not None, f"evidence, {self._place}: an unknown frame")
            require(kind == BATCH or self._in_batch, f"evidence, {self._place}: a frame outside a batch")
            step(payload)
            if self._part is not None and self._items.done:
                self._end_part()
            if self._leaves.done and self._part is None:
                self._end_batch()
        require(not self._in_batch, f"evidence, {self._place}: ends too early")
        self.shown.settle()

    @property
    def _place(self) -> str:
        if self._batch is None:
            return "at its beginning"
        return f"batch {self._batch.index}"

    def _take_batch(self, payload: bytes) -> None:
        require(not self._in_batch, f"evidence, {self._place}: leaves are missing")
        cursor = Cursor(payload, f"evidence, after {self._place}")
        index, path, from_ = cursor.number(8), cursor.path(), cursor.at
        require(cursor.number(1) == 0, f"batch {index}: no zero byte before its record")
        batch = decode_batch(cursor, index, self._zone)
        require(batch.follows(self._batch), f"batch {index}: does not follow the batch before it")
        hash_ = sha256(payload[from_:]).digest()
        proved = included(hash_, index, self._pinned.size, path, self._pinned.root)
        require(proved, f"batch {index}: not in the log of the checkpoint")
        self._batch, self._leaves = batch, Row(batch.count)
        self._in_batch, self._any_leaf_shown = True, False
        self.tally.batches += 1

    def _end_batch(self) -> None:
        require(self._any_leaf_shown, f"batch {self._batch.index}: shows no leaf")
        proved = self._leaves.root() == self._batch.root
        require(proved, f"batch {self._batch.index}: its leaves do not lead to its root")
        self._in_batch = False

    def _take_omitted(self, payload: bytes) -> None:
        row, what = (self._items, f"record {self._part_position}") if self._part else (self._leaves, self._place)
        require(len(payload) == 33, f"evidence, {what}: an omitted stretch of the wrong length")
        fits = payload[0] < 64 and not row.done and row.omitted(payload[0], payload[1:])
        require(fits, f"evidence, {what}: an omitted stretch where none of its size may stand")

    def _next_leaf(self) -> int:
        """The position of a leaf that begins now."""
        require(self._part is None, f"record {self._part_position}: items are missing")
        self._any_leaf_shown = True
        self.tally.last_shown = self._batch.first + self._leaves.index
        return self.tally.last_shown

    def _take_entry(self, payload: bytes) -> None:
        position = self._next_leaf()
        what = f"record {position}"
        key, at = _disclosure(payload, what)
        if len(payload) < at + 3 or payload[at + 2]:
            raise DoesNotHold(f"{what}: no zero byte before its header")
        body_at = at + 3 + (payload[at] << 8 | payload[at + 1])
        hash_ = sha256(memoryview(payload)[at + 2 :]).digest()
        require(hash_[:4] == payload[:4], f"{what}: not what its locator says")
        require(body_at <= len(payload), f"{what}: cut short")
        header = self._header(payload[at + 3 : body_at], position)
        require(header.kind != entries.PART, f"{what}: a part where an entry must stand")
        self._check(header, payload[body_at:], key)
        self.tally.entries += 1
        self.tally.leaf(hash_, key is not None)
        self._leaves.shown(hash_)

    def _header(self, raw: bytes, position: int) -> Header:
        """A header that stands at its place and, at the ends of a batch, has the time that the batch says."""
        what = f"record {position}"
        header, batch = entries.decode(raw, self._zone, what), self._batch
        require(header.position == position, f"{what}: its header says another position")
        if self._leaves.index == 0:
            require(header.recorded_at == batch.first_at, f"{what}: not recorded when its batch says")
        if self._leaves.index == self._leaves.count - 1:
            require(header.recorded_at == batch.last_at, f"{what}: not recorded when its batch says")
        return header

    def _check(self, header: Header, body: bytes, key: bytes | None) -> None:
        kind = header.kind
        if kind in (entries.CAPTURE, entries.OUTSIDE):
            self._check_chunk(header, body, key)
        elif kind == entries.ACT:
            label = self._labels.act(header.fields.code)
            _open(header.fields.commitment, key, suite.ZEROS, body, label, f"record {header.position}")
        elif kind == entries.DESTRUCTION:
            self._check_destruction(header, body, key)
        else:
            require(key is None and not body, f"record {header.position}: has a body or a key, and may have none")
            if kind == entries.WRAP:
                self.shown.wrap(header.fields.source, header.fields.mixed, header.fields.keys)
            else:
                self.tally.gap(header.position, header.fields)

    def _check_chunk(self, header: Header, body: bytes, key: bytes | None) -> None:
        chunk, what = header.fields, f"record {header.position}"
        require(len(body) <= SEALED_BYTES_MAX, f"{what}: its body is too long")
        nonce, label = self._labels.chunk(chunk.capture_id, chunk.chunk, chunk.last, chunk.epoch)
        _open(chunk.commitment, key, nonce, body, label, what)
        self.shown.chunk(
            header.position, chunk.capture_id, chunk.chunk, chunk.last, chunk.commitment, key is not None
        )

    def _check_destruction(self, header: Header, body: bytes, key: bytes | None) -> None:
        destruction, what = header.fields, f"record {header.position}"
        require(destruction.bodiless == (not body), f"{what}: a body without a key, or a key without a body")
        if body:
            _open(destruction.commitment, key, suite.ZEROS, body, self._labels.destruction(destruction.reason), what)
        else:
            require(key is None, f"{what}: a key for no body")
        self.shown.destruction(destruction.keys)

    def _take_part(self, payload: bytes) -> None:
        position = self._next_leaf()
        what = f"record {position}"
        require(payload[4:6] == b"\x00\x00", f"{what}: a part with a disclosure")
        hash_ = leaf(payload[6:])
        require(hash_[:4] == payload[:4], f"{what}: not what its locator says")
        header = self._header(payload[6:], position)
        require(header.kind == entries.PART, f"{what}: not a part")
        self.tally.entries += 1
        self.tally.leaf(hash_, False)
        self._leaves.shown(hash_)
        self._part, self._part_position, self._items = header.fields, position, Row(header.fields.count)

    def _take_item(self, payload: bytes) -> None:
        require(self._part is not None, f"evidence, {self._place}: an item outside a part")
        part = self._part
        what = f"item {self._items.index} of record {self._part_position}"
        key, at = _disclosure(payload, what)
        require(payload[at : at + 1] == b"\x00", f"{what}: no zero byte before it")
        hash_ = sha256(memoryview(payload)[at:]).digest()
        require(hash_[:4] == payload[:4], f"{what}: not what its locator says")
        item = payload[at + 1 :]
        require(len(item) >= _ITEM_HEAD_BYTES, f"{what}: cut short")
        place, commitment, sealed = item[:16], item[16:48], item[_ITEM_HEAD_BYTES:]
        require(int.from_bytes(item[48:52], "big") == len(sealed), f"{what}: not as long as it says")
        require(len(sealed) <= SEALED_BYTES_MAX, f"{what}: too long")
        _open(commitment, key, suite.ZEROS, sealed, self._labels.item(part.source, place), what)
        self.shown.item(part.source, int.from_bytes(place[12:], "big"), part.keys, key is not None)
        self.tally.items += 1
        self.tally.leaf(hash_, key is not None)
        self._items.shown(hash_)

    def _end_part(self) -> None:
        proved = self._items.root() == self._part.root
        require(proved, f"record {self._part_position}: its items do not lead to its root")
        self._part = None


def _disclosure(payload: bytes, what: str) -> tuple[bytes | None, int]:
    """The key, if there is one, and where the frame goes on."""
    sort = payload[4] if len(payload) > 4 else 2
    if sort == 0:
        return None, 5
    if sort == 1 and len(payload) >= 37:
        return payload[5:37], 37
    raise DoesNotHold(f"{what}: neither locked nor disclosed")


def _open(commitment: bytes, key: bytes | None, nonce: bytes, sealed: bytes, label: bytes, what: str) -> None:
    """What is sealed has a tag; a disclosed key is the one committed to, and opens it."""
    require(len(sealed) >= suite.TAG_BYTES, f"{what}: too short to be sealed")
    if key is None:
        return
    require(suite.commitment(key) == commitment, f"{what}: the key is not the one committed to")
    require(suite.opened(key, nonce, sealed, label) is not None, f"{what}: does not open")
