"""Signed notes (c2sp.org/signed-note), keys in text form, and checkpoints (c2sp.org/tlog-checkpoint)."""

import base64
import binascii
import re
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

ED25519 = b"\x01"
COSIGNATURE = b"\x04"
_SIGNATURE = re.compile(r"\u2014 (\S+) (\S+)")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,19}")


class Malformed(Exception):
    """Not the structure that was expected; the text says which."""


def from_base64(text: str) -> bytes:
    """Standard alphabet with padding, in its one spelling: unused bits are zero."""
    try:
        raw = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise Malformed("not Base64") from error
    if base64.b64encode(raw).decode() != text:
        raise Malformed("Base64 in another spelling")
    return raw


def from_decimal(text: str) -> int:
    """A u64 in decimal, in its one spelling."""
    if _NUMBER.fullmatch(text) is None or int(text) >= 1 << 64:
        raise Malformed("not a number in its one spelling")
    return int(text)


def key_id(name: str, kind: bytes, key: bytes) -> bytes:
    return sha256(name.encode() + b"\n" + kind + key).digest()[:4]


@dataclass(frozen=True)
class Key:
    """A named Ed25519 key, of a zone or, by its kind, of a witness. Shape of its text: `NAME+HEXID+BASE64`."""

    name: str
    public: bytes
    kind: bytes = ED25519

    @property
    def id(self) -> bytes:
        return key_id(self.name, self.kind, self.public)

    @property
    def text(self) -> str:
        encoded = base64.b64encode(self.kind + self.public).decode()
        return f"{self.name}+{self.id.hex()}+{encoded}"

    @classmethod
    def parse(cls, text: str, kind: bytes = ED25519) -> "Key":
        fields = text.split("+", 2)
        if len(fields) != 3 or not is_key_name(fields[0]):
            raise Malformed("not a key in text form")
        raw = from_base64(fields[2])
        if len(raw) != 33 or raw[:1] != kind:
            raise Malformed("not an Ed25519 key")
        key = cls(fields[0], raw[1:], kind)
        if key.text != text:
            raise Malformed("the id of the key is not its own")
        return key

    def signed(self, message: bytes, signature: bytes) -> bool:
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except (InvalidSignature, ValueError):
            return False
        return True


def is_key_name(text: str) -> bool:
    """C2SP: not empty, no Unicode spaces, no plus."""
    return bool(text) and "+" not in text and not any(c.isspace() or c < " " for c in text)


def signature_lines(block: str) -> list[tuple[str, bytes, bytes]]:
    """Name, key id, and the bytes after the key id, of each line."""
    if not block.endswith("\n"):
        raise Malformed("not a signed note")
    signatures = []
    for line in block[:-1].split("\n"):
        match = _SIGNATURE.fullmatch(line)
        if match is None or not is_key_name(match[1]):
            raise Malformed("a signature line is malformed")
        signature = from_base64(match[2])
        if len(signature) < 5:
            raise Malformed("a signature is too short")
        signatures.append((match[1], signature[:4], signature[4:]))
    return signatures


@dataclass(frozen=True)
class Note:
    """A signed note. `signatures`: name, key id, the bytes after the key id."""

    text: str
    signatures: list[tuple[str, bytes, bytes]]

    @classmethod
    def parse(cls, raw: bytes) -> "Note":
        try:
            whole = raw.decode("utf-8")
        except UnicodeDecodeError as error:
            raise Malformed("not UTF-8") from error
        if _CONTROL.search(whole):
            raise Malformed("control characters in a note")
        text, empty, block = whole.rpartition("\n\n")
        if not empty:
            raise Malformed("not a signed note")
        return cls(text + "\n", signature_lines(block))

    def signed_by(self, key: Key) -> bool:
        """Whether there is a signature by the key, and none in its name that does not fit. Others are not looked at."""
        own = [rest for name, id_, rest in self.signatures if (name, id_) == (key.name, key.id)]
        message = self.text.encode()
        return bool(own) and all(key.signed(message, signature) for signature in own)


@dataclass(frozen=True)
class Checkpoint:
    origin: str
    size: int
    root: bytes

    @classmethod
    def parse(cls, text: str) -> "Checkpoint":
        """From the text of a note: exactly origin, size and root."""
        lines = text.split("\n")
        if len(lines) != 4 or lines[3] or not lines[0]:
            raise Malformed("not a checkpoint of three lines")
        root = from_base64(lines[2])
        if len(root) != 32:
            raise Malformed("the root of a checkpoint is not 32 bytes")
        return cls(lines[0], from_decimal(lines[1]), root)


def signed_checkpoint(raw: bytes, key: Key) -> Checkpoint:
    """The checkpoint in a note signed by the key, of the key's log."""
    note = Note.parse(raw)
    if not note.signed_by(key):
        raise Malformed("not signed by the key")
    checkpoint = Checkpoint.parse(note.text)
    if checkpoint.origin != key.name:
        raise Malformed("of another log")
    return checkpoint
