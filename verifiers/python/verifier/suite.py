"""Suite 1: commitments, derivations, and opening what was sealed, with the labels of the section "Labels"."""

import struct
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

from .wire import FORMAT, SUITE, name

TAG_BYTES = 16
ZEROS = bytes(12)


def commitment(key: bytes) -> bytes:
    return sha256(b"chancery/1/commit" + key).digest()


def opened(key: bytes, nonce: bytes, sealed: bytes, aad: bytes) -> bytes | None:
    """The plain bytes, or None when the tag does not fit."""
    try:
        return AESGCM(key).decrypt(nonce, sealed, aad)
    except InvalidTag:
        return None


class Labels:
    """Associated data of one zone. What is the same for every record is put together once."""

    def __init__(self, zone: str):
        named = name(zone)
        self._chunk = b"chancery/1/chunk" + struct.pack(">HB", FORMAT, SUITE) + named
        self._item = b"chancery/1/item" + named
        self._act = b"chancery/1/act" + named
        self._destruction = b"chancery/1/destruction" + named

    def chunk(self, capture_id: bytes, chunk: int, last: bool, epoch: int) -> tuple[bytes, bytes]:
        """Nonce and associated data."""
        place = struct.pack(">I?", chunk, last)
        return bytes(7) + place, self._chunk + capture_id + place + epoch.to_bytes(4, "big")

    def item(self, source: int, stream_offset_ordinal: bytes) -> bytes:
        return self._item + source.to_bytes(8, "big") + stream_offset_ordinal

    def act(self, code: int) -> bytes:
        return self._act + code.to_bytes(2, "big")

    def destruction(self, reason: int) -> bytes:
        return self._destruction + reason.to_bytes(2, "big")


def epoch_key(epoch_point: bytes, ephemeral_point: bytes, shared_x: bytes, zone: str, epoch: int) -> bytes:
    info = b"chancery/1/epoch" + zone.encode() + epoch.to_bytes(4, "big")
    return HKDF(SHA256(), 32, salt=epoch_point + ephemeral_point, info=info).derive(shared_x)


def joint_key(secrets: dict[bytes, bytes]) -> bytes:
    """From secrets by key id."""
    ids = sorted(secrets)
    secret = b"".join(secrets[id_] for id_ in ids)
    return HKDF(SHA256(), 32, salt=b"chancery/1/joint", info=b"".join(ids)).derive(secret)


def item_key(part_key: bytes, index: int) -> bytes:
    return _expanded(part_key, b"chancery/1/item" + index.to_bytes(4, "big"))


def act_key(secret: bytes, salt: bytes) -> bytes:
    return _expanded(secret, b"chancery/1/act" + salt)


def destruction_key(secret: bytes, salt: bytes) -> bytes:
    return _expanded(secret, b"chancery/1/destruction" + salt)


def _expanded(key: bytes, info: bytes) -> bytes:
    return HKDFExpand(SHA256(), 32, info=info).derive(key)
