"""The manifest and zone.pub: steps 2 to 4 of the verification."""

import re
from dataclasses import dataclass

from . import jsontext
from .container import MEMBERS, README_SHA256, Container
from .jsontext import is_hex, is_number, is_string, is_time
from .notes import Checkpoint, Key, Malformed, Note, from_base64, signed_checkpoint
from .outcome import DoesNotHold, require
from .wire import is_id

COMPLETENESS = "Nothing is claimed about records that are not in this bundle, beyond gaps.jsonl."
LISTED = tuple(name for name in MEMBERS if name not in ("evidence", "manifest"))


def _is(value):
    return lambda found: type(found) is type(value) and found == value


def _is_root(value) -> bool:
    try:
        return is_string(value) and len(from_base64(value)) == 32
    except Malformed:
        return False


def _is_time_or_null(value) -> bool:
    return value is None or is_time(value)


def _is_members(value) -> bool:
    if not isinstance(value, list) or len(value) != len(LISTED):
        return False
    shapes = [{"name": _is(name), "bytes": is_number, "sha256": is_hex(64)} for name in LISTED]
    return all(jsontext.has_shape(found, shape) for found, shape in zip(value, shapes))


SHAPE = {
    "format": _is("chancery-bundle/1"),
    "zone": is_string,
    "log": is_string,
    "created_at": is_time,
    "program": is_string,
    "selection": is_string,
    "checkpoint": {"size": is_number, "root": _is_root},
    "evidence": {
        "bytes": is_number,
        "crc32": is_hex(8),
        "digest": is_hex(64),
        "batches": is_number,
        "entries": is_number,
        "items": is_number,
        "disclosed": is_number,
    },
    "messages": is_number,
    "gaps": {"from": _is_time_or_null, "to": _is_time_or_null, "count": is_number},
    "members": _is_members,
    "completeness": _is(COMPLETENESS),
}


@dataclass(frozen=True)
class Manifest:
    """What the zone's key signed about a bundle. `stated` is the JSON, its shape checked."""

    stated: dict

    @property
    def zone(self) -> str:
        return self.stated["zone"]

    @property
    def evidence(self) -> dict:
        return self.stated["evidence"]

    def member(self, name: str) -> tuple[int, bytes]:
        """Length and SHA-256."""
        found = self.stated["members"][LISTED.index(name)]
        return found["bytes"], bytes.fromhex(found["sha256"])


def zone_key(container: Container) -> Key:
    """Step 2, without the comparison with a key that was given."""
    raw = container.small("zone.pub")
    require(raw.endswith(b"\n"), "zone.pub: no newline at its end")
    try:
        return Key.parse(raw[:-1].decode("utf-8"))
    except (Malformed, UnicodeDecodeError) as error:
        raise DoesNotHold("zone.pub: not a key in text form") from error


def read(container: Container, key: Key) -> Manifest:
    """Step 3."""
    try:
        note = Note.parse(container.small("manifest"))
    except Malformed as error:
        raise DoesNotHold(f"manifest: {error}") from error
    require(len(note.signatures) == 1 and note.signed_by(key), "manifest: not signed by the zone's key alone")
    try:
        stated = jsontext.parse(note.text.encode())
    except jsontext.NotJson as error:
        raise DoesNotHold("manifest: not JSON") from error
    require(jsontext.has_shape(stated, SHAPE), "manifest: not the fields of format 1")
    require(jsontext.spelled(stated) + b"\n" == note.text.encode(), "manifest: not in its one spelling")
    zone = stated["zone"]
    require(is_id(zone.encode()), "manifest: not a zone id")
    require(stated["log"] == key.name, "manifest: of another log than the key")
    require(re.fullmatch(rf"chancery/{zone}/.+", key.name) is not None, "manifest: the log is of another zone")
    return Manifest(stated)


def check_small_members(container: Container, manifest: Manifest, key: Key) -> Checkpoint:
    """Step 4 but the anchors. Returns the pinned checkpoint. `consistency` is compared here and read on its own."""
    for name in ("zone.pub", "checkpoint", "README.txt", "succession", "consistency", "anchors.jsonl"):
        stream = container.stream(name)
        found = stream.size, stream.sha256()
        stream.check_crc()
        require(found == manifest.member(name), f"{name}: not the length and hash of the manifest")
    require(manifest.member("README.txt")[1] == README_SHA256, "README.txt: not the fixed text")
    try:
        pinned = signed_checkpoint(container.small("checkpoint"), key)
    except Malformed as error:
        raise DoesNotHold(f"checkpoint: {error}") from error
    stated = manifest.stated["checkpoint"]
    same = (pinned.size, pinned.root) == (stated["size"], from_base64(stated["root"]))
    require(same, "checkpoint: not that of the manifest")
    return pinned
