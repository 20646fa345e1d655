"""A checkpoint kept outside, and the proofs that join it to the pinned one: step 5 of the verification."""

import os
from dataclasses import dataclass

from . import jsontext
from .container import Container
from .frames import frames
from .jsontext import is_number
from .merkle import consistency_length, consistent
from .notes import Checkpoint, Malformed, Note, from_base64
from .outcome import DoesNotHold, Unusable, read_file, require
from .succession import Log
from .wire import Cursor

PROOF = 1


@dataclass(frozen=True)
class Outside:
    """A checkpoint file and the proof file beside it, if there is one."""

    checkpoint: bytes
    proof: bytes | None

    @property
    def size(self) -> int:
        """The one it states; 0 when it is none."""
        try:
            return Checkpoint.parse(Note.parse(self.checkpoint).text).size
        except Malformed:
            return 0

    @classmethod
    def read(cls, path: str) -> "Outside":
        beside, raw = path + ".proof", read_file(path)
        try:
            Checkpoint.parse(Note.parse(raw).text)
        except Malformed as error:
            raise Unusable(f"{path}: not a checkpoint: {error}") from error
        return cls(raw, read_file(beside) if os.path.exists(beside) else None)


def inner_proofs(container: Container, pinned: Checkpoint, wanted: set[int]) -> dict[int, list[bytes]]:
    """Reads the member `consistency`, all of it, and keeps the paths from the sizes that are wanted."""
    kept, before = {}, 0
    for kind, payload in frames(container.stream("consistency")):
        require(kind == PROOF, "consistency: an unknown frame")
        cursor = Cursor(payload, "consistency")
        size, path = cursor.number(8), cursor.path()
        cursor.end()
        require(before < size < pinned.size, "consistency: sizes do not ascend from 1 to below the pinned one")
        require(len(path) == consistency_length(size, pinned.size), "consistency: a path of the wrong length")
        if size in wanted:
            kept[size] = path
        before = size
    return kept


def check_anchored(anchored: list[Checkpoint], pinned: Checkpoint, paths: dict[int, list[bytes]]) -> None:
    """The end of step 4: the checkpoints of the anchors lead to the pinned one."""
    for line, checkpoint in enumerate(anchored, 1):
        _check_anchored(checkpoint, pinned, paths.get(checkpoint.size), f"anchors.jsonl, line {line}")


def compare(outside: Outside | None, pinned: Checkpoint, paths: dict[int, list[bytes]], log: Log) -> str:
    """Step 5: `same`, `older`, `newer`; `none` without a checkpoint from outside."""
    if outside is None:
        return "none"
    other = _signed(outside, log)
    if other.size == pinned.size:
        require(other.root == pinned.root, "the log was forked: same size as the checkpoint from outside, another root")
        return "same"
    if other.size < pinned.size:
        path = paths.get(other.size)
        require(path is not None, "consistency: no proof from the size of the checkpoint from outside")
        _lead(other, pinned, path)
        return "older"
    _lead(pinned, other, _path_beside(outside.proof, pinned.size, other.size))
    return "newer"


def _check_anchored(checkpoint: Checkpoint, pinned: Checkpoint, path: list[bytes] | None, what: str) -> None:
    if checkpoint.size == pinned.size:
        require(checkpoint.root == pinned.root, f"{what}: not the root of the checkpoint of the bundle")
        return
    require(path is not None, f"{what}: no proof from its size in `consistency`")
    proved = consistent(checkpoint.size, pinned.size, path, checkpoint.root, pinned.root)
    require(proved, f"{what}: does not lead to the checkpoint of the bundle")


def _signed(outside: Outside, log: Log) -> Checkpoint:
    try:
        return log.signed(outside.checkpoint)[0]
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
        texts = all(isinstance(hash_, str) for found in stated["from"] for hash_ in found["path"])
        require(texts, "the proof beside: wrong fields")
        sizes = [found["size"] for found in stated["from"]]
        require(len(set(sizes)) == len(sizes), "the proof beside: from one size twice")
        paths = [found["path"] for found in stated["from"] if found["size"] == from_size]
        require(bool(paths), "the proof beside: none from the size of the bundle's checkpoint")
        path = [from_base64(hash_) for hash_ in paths[0]]
    except (jsontext.NotJson, Malformed) as error:
        raise DoesNotHold("the proof beside: malformed") from error
    require(all(len(hash_) == 32 for hash_ in path), "the proof beside: a hash is not 32 bytes")
    return path


def _is_list(value) -> bool:
    return isinstance(value, list)
