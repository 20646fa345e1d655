"""Writes ledgers and bundles by the specification, with keys of its own: what the verifier is tried against.

Every structure can be replaced on the way, and all hashes and signatures after it are made anew. So each test breaks
just one rule, as somebody could who holds the zone's key.
"""

import base64
import copy
import hashlib
import io
import json
import struct
import zipfile
import zlib
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from verifier import container, entries, suite
from verifier.manifest import COMPLETENESS, LISTED
from verifier.merkle import leaf, root_of
from verifier.notes import COSIGNATURE, Key, Note

from . import vectors

ZONE = "us"
SIGNER = Ed25519PrivateKey.from_private_bytes(b"\x03" * 32)
KEY = Key("chancery/us/0a1b2c3d", SIGNER.public_key().public_bytes_raw())
OTHER = Ed25519PrivateKey.from_private_bytes(b"\x04" * 32)
NEW_KEY = Key(KEY.name, OTHER.public_key().public_bytes_raw())
WITNESS_SIGNER = Ed25519PrivateKey.from_private_bytes(b"\x08" * 32)
WITNESS = Key("witness.example/w1", WITNESS_SIGNER.public_key().public_bytes_raw(), COSIGNATURE)
BEGIN = 1_700_000_000_000_000
LABELS = suite.Labels(ZONE)
README = vectors.README.read_bytes()


def sixteen(number: int) -> bytes:
    return bytes([number]) * 16


def note(text: str, key: Key = KEY, signer: Ed25519PrivateKey = SIGNER) -> bytes:
    signature = base64.b64encode(key.id + signer.sign(text.encode())).decode()
    return f"{text}\n\u2014 {key.name} {signature}\n".encode()


def checkpoint(size: int, root: bytes, origin: str = KEY.name, **signed_by) -> bytes:
    return note(f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n", **signed_by)


def statement(
    size: int, root: bytes, at="2023-11-14T22:30:00Z", reason="rotated", old=KEY, new=NEW_KEY, signers=(SIGNER, OTHER)
) -> bytes:
    text = f"chancery-succession/1\nold {old.text}\nnew {new.text}\nat {at}\nreason {reason}\n"
    text += f"last {size} {base64.b64encode(root).decode()}\n"
    return note(text, old, signers[0]) + note(text, new, signers[1])[len(text.encode()) + 1 :]


def cosignature(signed: bytes, seconds: int, key: Key = WITNESS, signer: Ed25519PrivateKey = WITNESS_SIGNER) -> bytes:
    """A line under the text of a signed checkpoint."""
    signature = signer.sign(f"cosignature/v1\ntime {seconds}\n{Note.parse(signed).text}".encode())
    encoded = base64.b64encode(key.id + struct.pack(">Q", seconds) + signature).decode()
    return f"\u2014 {key.name} {encoded}\n".encode()


def anchor(records: list[bytes], signed: bytes, named="notary", proof="", kind="witness", **changes) -> bytes:
    """A line of anchors.jsonl: of a checkpoint over these records of batches."""
    hashes = path([leaf(record) for record in records], len(records) - 1)
    fields = {"kind": kind, "name": named, "checkpoint": signed.decode(), "proof": proof}
    fields |= {"batch": base64.b64encode(records[-1]).decode()}
    fields |= {"path": [base64.b64encode(hash_).decode() for hash_ in hashes]} | changes
    return json.dumps(fields, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def name(text: str) -> bytes:
    return bytes([len(text)]) + text.encode()


def keys(ids: list[int]) -> bytes:
    return struct.pack(">H", len(ids)) + b"".join(sixteen(id_) for id_ in ids)


def header(kind: int, position: int, recorded_at: int, fields: bytes, zone: str = ZONE) -> bytes:
    return struct.pack(">HBB", 1, kind, 1) + name(zone) + struct.pack(">Qq", position, recorded_at) + fields


def chunk_fields(
    capture_id, chunk, last, commitment, point=b"\x04" + bytes(64), wrapped=bytes(40), received=BEGIN
) -> bytes:
    origin = name("ward-3") + name("whatsapp-cloud") + struct.pack(">IqBBI", 1, received, 1, 0, 2190)
    return origin + capture_id + struct.pack(">I?I", chunk, last, 1) + point + wrapped + commitment


def wrap_fields(source: int, mixed: bool, ids: list[int]) -> bytes:
    return struct.pack(">Q?", source, mixed) + keys(ids) + bytes(40)


def part_fields(source: int, ids: list[int], count: int, root: bytes) -> bytes:
    return struct.pack(">QI?", source, 0, True) + keys(ids) + bytes(40) + bytes(32) + struct.pack(">I", count) + root


def item(source: int, ordinal: int, plain: bytes, key: bytes) -> bytes:
    place = struct.pack(">IQI", 0, 100 * ordinal, ordinal)
    sealed = AESGCM(key).encrypt(suite.ZEROS, plain, LABELS.item(source, place))
    return place + suite.commitment(key) + struct.pack(">I", len(sealed)) + sealed


@dataclass
class Item:
    raw: bytes
    key: bytes | None = None
    shown: bool = True


@dataclass
class Record:
    """`items` of a part; `key` is what is disclosed."""

    kind: int
    fields: bytes
    body: bytes = b""
    key: bytes | None = None
    items: list[Item] | None = None
    shown: bool = True
    position: int = -1
    recorded_at: int = 0
    header: bytes | None = None

    @property
    def is_part(self) -> bool:
        return self.items is not None

    def hash(self) -> bytes:
        return leaf(self.header if self.is_part else self.header + self.body)


def capture(number: int, chunk=0, last=True, plain=b"words", disclosed=True, kind=entries.CAPTURE, key=None) -> Record:
    """A chunk of the capture of this number, under the data key of 32 bytes of it."""
    key, id_ = key or bytes([number]) * 32, sixteen(number)
    nonce, label = LABELS.chunk(id_, chunk, last, 1)
    body = AESGCM(key).encrypt(nonce, plain, label)
    fields = chunk_fields(id_, chunk, last, suite.commitment(key))
    if kind == entries.OUTSIDE:
        fields += struct.pack(">QIHB", 0, 0, 0, 1)
    return Record(kind, fields, body, key if disclosed else None)


def wrap(source: int, ids: list[int], mixed=False) -> Record:
    return Record(entries.WRAP, wrap_fields(source, mixed, ids))


def act(code=1, disclosed=True) -> Record:
    key = b"\x21" * 32
    body = AESGCM(key).encrypt(suite.ZEROS, b"{}", LABELS.act(code))
    fields = struct.pack(">H", code) + sixteen(1) + sixteen(2) + suite.commitment(key)
    return Record(entries.ACT, fields, body, key if disclosed else None)


def gap(connection="", from_=BEGIN, to=BEGIN + 1_250_000, cause=2, count=0) -> Record:
    return Record(entries.GAP, name(connection) + struct.pack(">qqHQ", from_, to, cause, count))


def destruction(ids: list[int], reason=2, with_body=True) -> Record:
    key = b"\x22" * 32
    if not with_body:
        return Record(entries.DESTRUCTION, struct.pack(">H", reason) + keys(ids) + bytes(64))
    body = AESGCM(key).encrypt(suite.ZEROS, b"{}", LABELS.destruction(reason))
    tail = sixteen(1) + sixteen(2) + suite.commitment(key)
    return Record(entries.DESTRUCTION, struct.pack(">H", reason) + keys(ids) + tail, body, key)


def part(source: int, ids: list[int], items: list[Item]) -> Record:
    root = root_of([leaf(one.raw) for one in items])
    return Record(entries.PART, part_fields(source, ids, len(items), root), items=items)


def path(leaves: list[bytes], index: int) -> list[bytes]:
    """RFC 6962, 2.1.1, as it is written there."""
    if len(leaves) == 1:
        return []
    half = 1 << ((len(leaves) - 1).bit_length() - 1)
    if index < half:
        return path(leaves[:half], index) + [root_of(leaves[half:])]
    return path(leaves[half:], index - half) + [root_of(leaves[:half])]


def consistency(leaves: list[bytes], old: int, whole=True) -> list[bytes]:
    """RFC 6962, 2.1.2, as it is written there."""
    if old == len(leaves):
        return [] if whole else [root_of(leaves)]
    half = 1 << ((len(leaves) - 1).bit_length() - 1)
    if old <= half:
        return consistency(leaves[:half], old, whole) + [root_of(leaves[half:])]
    return consistency(leaves[half:], old - half, False) + [root_of(leaves[:half])]


def path_bytes(hashes: list[bytes]) -> bytes:
    return bytes([len(hashes)]) + b"".join(hashes)


def frame(kind: int, payload: bytes) -> bytes:
    return struct.pack(">BI", kind, len(payload)) + payload


def parsed(raw: bytes) -> list[tuple[int, bytes]]:
    """Frames, out of bytes that are known to be right."""
    frames_, at = [], 0
    while at < len(raw):
        kind, length = struct.unpack_from(">BI", raw, at)
        frames_.append((kind, raw[at + 5 : at + 5 + length]))
        at += 5 + length
    return frames_


def disclosure(key: bytes | None) -> bytes:
    return b"\x00" if key is None else b"\x01" + key


def omitted(hashes: list[bytes], begin: int, end: int, count: int) -> list[tuple[int, bytes]]:
    """The largest subtrees of [begin, end)."""
    frames_ = []
    while begin < end:
        height = 0
        while begin % (2 << height) == 0 and begin + (2 << height) <= end and begin + (2 << height) <= count:
            height += 1
        size = 1 << height
        frames_.append((3, bytes([height]) + root_of(hashes[begin : begin + size])))
        begin += size
    return frames_


@dataclass
class Bundle:
    """Batches of records and what is said of them. Set a field to replace what would be made."""

    batches: list[list[Record]]
    messages: list[dict] = field(default_factory=list)
    states: dict[str, str] = field(default_factory=dict)
    proofs: list[int] = field(default_factory=list)
    frames: list[tuple[int, bytes]] | None = None
    manifest_changes: dict = field(default_factory=dict)
    manifest_raw: bytes | None = None
    members_changed: dict[str, bytes] = field(default_factory=dict)
    batch_changes: dict[int, dict] = field(default_factory=dict)
    shown_batches: list[int] | None = None
    numbered: bool = False

    def number(self) -> None:
        """Gives each record its place, its time and its header, unless a test set the header."""
        if self.numbered:
            return
        position = 0
        for batch in self.batches:
            for record in batch:
                record.position, record.recorded_at = position, BEGIN + position
                if record.header is None:
                    record.header = header(record.kind, position, BEGIN + position, record.fields)
                position += 1
        self.numbered = True

    def batch_records(self) -> list[bytes]:
        self.number()
        return [self._batch_record(index, batch) for index, batch in enumerate(self.batches)]

    def _batch_record(self, index: int, batch: list[Record]) -> bytes:
        fields = {"zone": ZONE, "node": "n1", "first": batch[0].position, "count": len(batch), "more": b""}
        fields |= {"root": root_of([record.hash() for record in batch])}
        fields |= {"first_at": batch[0].recorded_at, "last_at": batch[-1].recorded_at}
        fields |= self.batch_changes.get(index, {})
        record = b"CHBATCH1" + struct.pack(">HB", 1, 1) + name(fields["zone"]) + name(fields["node"])
        record += struct.pack(">QI", fields["first"], fields["count"]) + fields["root"]
        return record + struct.pack(">qq", fields["first_at"], fields["last_at"]) + fields["more"]

    def log(self) -> list[bytes]:
        return [leaf(record) for record in self.batch_records()]

    def make_frames(self) -> list[tuple[int, bytes]]:
        records, log, made = self.batch_records(), self.log(), []
        wanted = range(len(records)) if self.shown_batches is None else self.shown_batches
        for index in wanted:
            payload = struct.pack(">Q", index) + path_bytes(path(log, index)) + b"\x00" + records[index]
            made.append((1, payload))
            batch = self.batches[index]
            made += _row(batch, [record.hash() for record in batch], _entry_frames)
        return made

    def evidence(self) -> list[tuple[int, bytes]]:
        return self.make_frames() if self.frames is None else self.frames

    def lines(self) -> bytes:
        lines = list(self.messages)
        for id_, state in self.states.items():
            record = None if state == "erased" else {"text": "x"}
            fields = {"id": id_, "state": state, "connector": "whatsapp-cloud", "connector_version": 1}
            lines.append(fields | {"record": record})
        return b"".join(json.dumps(line, separators=(",", ":")).encode() + b"\n" for line in lines)

    def gap_lines(self) -> bytes:
        lines = b""
        for batch in self.batches:
            for record in batch:
                if record.kind == entries.GAP and record.shown:
                    lines += _gap_line(record)
        return lines

    def bytes(self) -> bytes:
        members = self.members()
        stated = self.stated(members)
        text = json.dumps(stated, separators=(",", ":"), ensure_ascii=False) + "\n"
        members["manifest"] = note(text) if self.manifest_raw is None else self.manifest_raw
        return zipped(members)

    def members(self) -> dict[str, bytes]:
        log, frames_ = self.log(), self.evidence()
        pinned = root_of(log)
        proofs = b"".join(
            frame(1, struct.pack(">Q", size) + path_bytes(consistency(log, size))) for size in self.proofs
        )
        members = {
            "README.txt": README,
            "zone.pub": KEY.text.encode() + b"\n",
            "succession": b"",
            "checkpoint": checkpoint(len(log), pinned),
            "consistency": proofs,
            "anchors.jsonl": b"",
            "evidence": b"".join(frame(*one) for one in frames_),
            "messages.jsonl": self.lines(),
            "gaps.jsonl": self.gap_lines(),
        }
        return members | self.members_changed

    def stated(self, members: dict[str, bytes]) -> dict:
        frames_, log = self.evidence(), self.log()
        evidence = members["evidence"]
        shown = [(kind, *leaf_of(kind, payload)) for kind, payload in frames_ if kind in (2, 4, 5)]
        digest = hashlib.sha256(b"".join(hash_ + bytes([key]) for _, hash_, key in shown)).hexdigest()
        stated = {
            "format": "chancery-bundle/1",
            "zone": ZONE,
            "log": KEY.name,
            "created_at": "2023-11-14T22:30:00Z",
            "program": "0.1.0",
            "selection": "--all",
            "checkpoint": {"size": len(log), "root": base64.b64encode(root_of(log)).decode()},
            "evidence": {
                "bytes": len(evidence),
                "crc32": f"{zlib.crc32(evidence):08x}",
                "digest": digest,
                "batches": sum(kind == 1 for kind, _ in frames_),
                "entries": sum(kind in (2, 4) for kind, _ in frames_),
                "items": sum(kind == 5 for kind, _ in frames_),
                "disclosed": sum(key for _, _, key in shown),
            },
            "messages": members["messages.jsonl"].count(b"\n"),
            "gaps": {"from": None, "to": None, "count": members["gaps.jsonl"].count(b"\n")},
            "members": [
                {"name": one, "bytes": len(members[one]), "sha256": hashlib.sha256(members[one]).hexdigest()}
                for one in LISTED
            ],
            "completeness": COMPLETENESS,
        }
        return _merged(stated, self.manifest_changes)


def zipped(members: dict[str, bytes], crcs: dict[str, int] | None = None) -> bytes:
    """`crcs` are others than the right ones."""
    raw, placed = b"", []
    for one, content in members.items():
        crc = (crcs or {}).get(one, zlib.crc32(content))
        placed.append(container.Member(one, len(content), crc, len(raw)))
        raw += container.local_header(one, len(content), crc) + content
    return raw + container.tail(placed)


def unzipped(raw: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(raw)) as file:
        return {one: file.read(one) for one in file.namelist()}


def _merged(stated: dict, changes: dict) -> dict:
    stated = copy.deepcopy(stated)
    for field_, value in changes.items():
        stated[field_] = _merged(stated[field_], value) if isinstance(value, dict) and field_ in stated else value
    return stated


def _row(records: list, hashes: list[bytes], frames_of) -> list[tuple[int, bytes]]:
    made, begin = [], 0
    for index, record in enumerate(records):
        if record.shown:
            made += omitted(hashes, begin, index, len(records)) + frames_of(record)
            begin = index + 1
    return made + omitted(hashes, begin, len(records), len(records))


def _entry_frames(record: Record) -> list[tuple[int, bytes]]:
    locator = record.hash()[:4]
    if record.is_part:
        items = _row(record.items, [leaf(one.raw) for one in record.items], _item_frames)
        return [(4, locator + b"\x00\x00" + record.header)] + items
    place = struct.pack(">H", len(record.header)) + b"\x00"
    return [(2, locator + disclosure(record.key) + place + record.header + record.body)]


def _item_frames(one: Item) -> list[tuple[int, bytes]]:
    return [(5, leaf(one.raw)[:4] + disclosure(one.key) + b"\x00" + one.raw)]


def leaf_of(kind: int, payload: bytes) -> tuple[bytes, bool]:
    """Leaf hash, and whether a key is disclosed. Of a frame that was cut, anything."""
    disclosed = any(payload[4:5])
    at = (37 if disclosed else 5) + (2 if kind == 2 else 0)
    return hashlib.sha256(payload[at:]).digest(), disclosed


def _gap_line(record: Record) -> bytes:
    """Only for the times that the tests use."""
    times = {BEGIN: "2023-11-14T22:13:20Z", BEGIN + 1_250_000: "2023-11-14T22:13:21.25Z"}
    length = record.fields[0]
    connection = record.fields[1 : 1 + length].decode() or None
    from_, to, cause, count = struct.unpack_from(">qqHQ", record.fields, 1 + length)
    line = {"position": record.position, "connection": connection, "from": times[from_], "to": times.get(to)}
    line |= {"cause": entries.CAUSES.get(cause), "count": count}
    return json.dumps(line, separators=(",", ":")).encode() + b"\n"
