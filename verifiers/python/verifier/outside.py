"""A checkpoint kept outside, and the proofs that join it to the pinned one: step 5 of the verification."""

import os
from dataclasses import dataclass

from . import jsontext
from .container import Container
from .frames import frames
from .jsontext import is_number
from .merkle import consistency_length, consistent
from .notes import Checkpoint, Key, Malformed, Note, from_base64, signed_checkpoint
from .outcome import DoesNotHold, Unusable, require
from .wire import Cursor

PROOF = 1
# A checkpoint is under a kilobyte; its proofs are some kilobytes for each checkpoint that was handed out before.
FILE_BYTES_MAX = 16 * 1024 * 1024


@dataclass(frozen=True)
class Outside:
    """A checkpoint file and the proof file beside it, if there is one."""

    checkpoint: bytes
    proof: bytes | None

    @classmethod
    def read(cls, path: str) -> "Outside":
        beside, raw = path + ".proof", read_file(path)
        try:
            Checkpoint.parse(Note.parse(raw).text)
        except Malformed as error:
            raise Unusable(f"{path}: not a checkpoint: {error}") from error
        return cls(raw, read_file(beside) if os.path.exists(beside) else None)


def read_file(path: str) -> bytes:
    with open(path, "rb") as file:
        raw = file.read(FILE_BYTES_MAX + 1)
    if len(raw) > FILE_BYTES_MAX:
        raise Unusable(f"{path}: too long for what it should be")
    return raw


def inner_proof(container: Container, pinned: Checkpoint, wanted: int | None) -> list[bytes] | None:
    """Reads the member `consistency`, all of it, and keeps the path from the size that is wanted."""
    kept, before = None, 0
    for kind, payload in frames(container.stream("consistency")):
        require(kind == PROOF, "consistency: an unknown frame")
        cursor = Cursor(payload, "consistency")
        size, path = cursor.number(8), cursor.path()
        cursor.end()
        require(before < size < pinned.size, "consistency: sizes do not ascend from 1 to below the pinned one")
        require(len(path) == consistency_length(size, pinned.size), "consistency: a path of the wrong length")
        if size == wanted:
            kept = path
        before = size
    return kept


def compare(outside: Outside | None, pinned: Checkpoint, container: Container, key: Key) -> str:
    """Step 5: `same`, `older`, `newer`; `none` without a checkpoint from outside."""
    other = _signed(outside, key) if outside else None
    path = inner_proof(container, pinned, other.size if other else None)
    if other is None:
        return "none"
    if other.size == pinned.size:
        require(other.root == pinned.root, "the log was forked: same size as the checkpoint from outside, another root")
        return "same"
    if other.size < pinned.size:
        require(path is not None, "consistency: no proof from the size of the checkpoint from outside")
        _lead(other, pinned, path)
        return "older"
    _lead(pinned, other, _path_beside(outside.proof, pinned.size, other.size))
    return "newer"


def _signed(outside: Outside, key: Key) -> Checkpoint:
    try:
        return signed_checkpoint(outside.checkpoint, key)
    except Malformed as error:
        raise DoesNotHold(f"the checkpoint from outside: {error}") from error


def _lead(old: Checkpoint, new: Checkpoint, path: list[bytes]) -> None:
    proved = consistent(old.size, new.size, path, old.root, new.root)
    require(proved, "the log was forked: one checkpoint does not lead to the other")


def _path_beside(raw: bytes | None, from_size: int, to_size: int) -> list[bytes]:
    """The path from one size to another in the file beside a checkpoint."""
    require(raw is not None, "the checkpoint from outside is newer, and no proof stands beside it")
    try:
        stated = jsontext.parse(raw)
        require(jsontext.has_shape(stated, {"to": is_number, "from": _is_list}), "the proof beside: wrong fields")
        require(stated["to"] == to_size, "the proof beside: not to the checkpoint it stands by")
        shape = {"size": is_number, "path": _is_list}
        right = all(jsontext.has_shape(found, shape) for found in stated["from"])
        require(right, "the proof beside: wrong fields")
        paths = [found["path"] for found in stated["from"] if found["size"] == from_size]
        require(len(paths) == 1, "the proof beside: none from the size of the bundle's checkpoint")
        require(all(isinstance(hash_, str) for hash_ in paths[0]), "the proof beside: wrong fields")
        path = [from_base64(hash_) for hash_ in paths[0]]
    except (jsontext.NotJson, Malformed) as error:
        raise DoesNotHold("the proof beside: malformed") from error
    require(all(len(hash_) == 32 for hash_ in path), "the proof beside: a hash is not 32 bytes")
    return path


def _is_list(value) -> bool:
    return isinstance(value, list)
