"""Checkpoints with what somebody outside made of them: the member `anchors.jsonl`, in step 4 of the verification."""

from dataclasses import dataclass
from hashlib import sha256
from typing import Sequence

from cryptography.x509 import Certificate

from . import authority, jsontext, stamps
from .batch import Batch, decode_batch
from .container import Container
from .jsontext import is_string, time_text
from .merkle import included, leaf
from .notes import Checkpoint, Key, Malformed, Note, from_base64, signature_lines
from .outcome import DoesNotHold, require
from .succession import GivenUp, Log
from .wire import Cursor

ANCHORS_MAX = 4096
COSIGNATURE_BYTES = 8 + 64
WITNESS, TIME_STAMP = "witness", "time-stamp"

SHAPE = {
    "kind": lambda value: value in (WITNESS, TIME_STAMP),
    "name": is_string,
    "checkpoint": is_string,
    "proof": is_string,
    "batch": is_string,
    "path": lambda value: isinstance(value, list) and all(isinstance(hash_, str) for hash_ in value),
}


@dataclass(frozen=True)
class Trusted:
    """Whose word on time counts: what was got from elsewhere than the bundle."""

    witnesses: Sequence[Key] = ()
    roots: Sequence[Certificate] = ()


@dataclass(frozen=True)
class Anchor:
    """`signer` is the place of the key that signed its checkpoint. `proved`: times in microseconds, and by whom."""

    kind: str
    checkpoint: Checkpoint
    signer: int
    batch: Batch
    proved: list[tuple[int, str]]

    @property
    def covers(self) -> int:
        """The last record."""
        return self.batch.first + self.batch.count - 1


def read(container: Container, log: Log, pinned: Checkpoint, zone: str, trusted: Trusted) -> list[Anchor]:
    """All but that their checkpoints lead to the pinned one, which `consistency` says."""
    stream, anchors, before = container.stream("anchors.jsonl"), [], (0, b"")
    for raw in stream.lines():
        what = f"anchors.jsonl, line {len(anchors) + 1}"
        require(len(anchors) < ANCHORS_MAX, f"{what}: too many anchors")
        try:
            anchor, name = _anchor(raw, log, zone, trusted, what)
        except (Malformed, jsontext.NotJson) as error:
            raise DoesNotHold(f"{what}: {error}") from error
        place = anchor.checkpoint.size, name.encode()
        require(not anchors or place > before, f"{what}: not in its place")
        require(anchor.checkpoint.size <= pinned.size, f"{what}: larger than the checkpoint of the bundle")
        anchors.append(anchor)
        before = place
    stream.check_crc()
    return anchors


def _anchor(raw: bytes, log: Log, zone: str, trusted: Trusted, what: str) -> tuple[Anchor, str]:
    require(raw.endswith(b"\n"), f"{what}: no end")
    stated = jsontext.parse(raw[:-1])
    require(jsontext.has_shape(stated, SHAPE), f"{what}: other fields than those of an anchor")
    require(jsontext.spelled(stated) + b"\n" == raw, f"{what}: not in its one spelling")
    signed = stated["checkpoint"].encode()
    require(len(Note.parse(signed).signatures) == 1, f"{what}: not one signature under its checkpoint")
    checkpoint, signer = log.signed(signed)
    require(checkpoint.size > 0, f"{what}: an empty checkpoint")
    record, path = from_base64(stated["batch"]), [from_base64(hash_) for hash_ in stated["path"]]
    require(all(len(hash_) == 32 for hash_ in path), f"{what}: a hash that is not 32 bytes")
    batch = decode_batch(Cursor(record, what), checkpoint.size - 1, zone)
    proved = included(leaf(record), batch.index, checkpoint.size, path, checkpoint.root)
    require(proved, f"{what}: its batch is not the last of its checkpoint")
    if stated["kind"] == WITNESS:
        found = _cosigned(stated["proof"], Note.parse(signed).text, trusted.witnesses, what)
    else:
        found = _stamped(from_base64(stated["proof"]), sha256(signed).digest(), trusted.roots)
    return Anchor(stated["kind"], checkpoint, signer, batch, found), stated["name"]


def _cosigned(proof: str, text: str, witnesses: Sequence[Key], what: str) -> list[tuple[int, str]]:
    """Of each witness whose key was given and who cosigned, the latest time."""
    lines, found = signature_lines(proof), []
    right = all(len(rest) == COSIGNATURE_BYTES and _has_text(rest) for _, _, rest in lines)
    require(right, f"{what}: not a cosignature")
    for key in witnesses:
        own = [rest for name, id_, rest in lines if (name, id_) == (key.name, key.id)]
        for rest in own:
            seconds = int.from_bytes(rest[:8], "big")
            message = f"cosignature/v1\ntime {seconds}\n{text}".encode()
            require(key.signed(message, rest[8:]), f"{what}: a cosignature that is not right")
        if own:
            found.append((max(int.from_bytes(rest[:8], "big") for rest in own) * 1_000_000, key.name))
    return found


def _has_text(cosignature: bytes) -> bool:
    """Whether its time is one before the year 10000."""
    return time_text(int.from_bytes(cosignature[:8], "big") * 1_000_000) is not None


def _stamped(raw: bytes, imprint: bytes, roots: Sequence[Certificate]) -> list[tuple[int, str]]:
    token = stamps.read(raw, imprint)
    by = authority.proved(token, roots) if roots else None
    return [] if by is None else [(token.latest, by)]


def covered(anchors: list[Anchor], given_up: GivenUp) -> int:
    """The last record that existed, by a proved anchor, before the key was given up."""
    found = [
        anchor.covers for anchor in anchors
        if anchor.signer <= given_up.place and any(time < given_up.at for time, _ in anchor.proved)
    ]
    require(bool(found), "the key that was given is given up, and no proved anchor is from before that")
    return max(found)
