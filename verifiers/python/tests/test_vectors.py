"""Every golden vector, made again by the words of the specification."""

import struct
import unittest
from hashlib import sha256

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import aes_key_wrap_with_padding
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from verifier import entries, suite
from verifier.merkle import leaf, root_of

from . import ledger, vectors
from .ledger import BEGIN, KEY, LABELS, chunk_fields, header, keys, name, sixteen

SECOND = 1_000_000


def of(byte: int) -> bytes:
    return bytes([byte]) * 32


def scalar(byte: int) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(of(byte), "big"), ec.SECP256R1())


def point(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def crc32c(raw: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in raw:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def checked(raw: bytes) -> bytes:
    return raw + struct.pack(">I", crc32c(raw))


def sealed(key: bytes, plain: bytes, label: bytes, nonce: bytes = suite.ZEROS) -> bytes:
    return AESGCM(key).encrypt(nonce, plain, label)


def capture_header(kind: int, position: int, number: int, chunk: int = 0, more: bytes = b"") -> bytes:
    """The data key of capture `number` is 32 bytes of it, wrapped under the fixed key of 32 bytes 3d."""
    wrapped = aes_key_wrap_with_padding(of(0x3D), of(number))
    fields = chunk_fields(
        sixteen(number), chunk, True, suite.commitment(of(number)), point(scalar(0x3C)), wrapped, BEGIN - SECOND // 2
    )
    return header(kind, position, BEGIN + position * SECOND, fields + more)


def shown_item() -> bytes:
    return ledger.item(10, 1, b"second of Ann", suite.item_key(of(0x15), 1))


def items_root() -> bytes:
    return entries.decode(vectors.all_of_them()["header-part"], "us", "header-part").fields.root


def part_header() -> bytes:
    wrapped = aes_key_wrap_with_padding(of(0x3F), of(0x15))
    fields = struct.pack(">QI?", 10, 0, False) + keys([1]) + wrapped + suite.commitment(of(0x15))
    return header(2, 12, BEGIN + 12 * SECOND, fields + struct.pack(">I", 4) + items_root())


def act_header() -> bytes:
    key = suite.act_key(of(0x28), bytes(16))
    return header(4, 0, BEGIN, struct.pack(">H", 1) + sixteen(0x28) + bytes(16) + suite.commitment(key))


def gap_header(position: int, connection: str, cause: int, count: int) -> bytes:
    fields = name(connection) + struct.pack(">qqHQ", BEGIN, BEGIN + 60_250_000, cause, count)
    return header(5, position, BEGIN + position * SECOND, fields)


def destruction_header() -> bytes:
    key = suite.destruction_key(of(0x28), sixteen(0x0E))
    fields = struct.pack(">H", 2) + keys([2, 3]) + sixteen(0x28) + sixteen(0x0E) + suite.commitment(key)
    return header(6, 14, BEGIN + 14 * SECOND, fields)


def wrap_header() -> bytes:
    wrapped = aes_key_wrap_with_padding(of(0x3E), of(1))
    return header(3, 8, BEGIN + 8 * SECOND, struct.pack(">Q?", 2, False) + keys([1, 9]) + wrapped)


def capture_body() -> bytes:
    descriptor = b'{"n":1}'
    nonce, label = LABELS.chunk(sixteen(1), 0, True, 1)
    return sealed(of(1), struct.pack(">I", len(descriptor)) + descriptor + b"alpha", label, nonce)


def epoch_kek() -> bytes:
    epoch, ephemeral = scalar(0x3C), scalar(0x3B)
    shared = epoch.exchange(ec.ECDH(), ephemeral.public_key())
    return suite.epoch_key(point(epoch), point(ephemeral), shared, "us", 1)


def fixture_frames() -> list[tuple[int, bytes]]:
    return ledger.parsed(ledger.unzipped((vectors.FIXTURES / "bundle.zip").read_bytes())["evidence"])


def log_leaves() -> list[bytes]:
    """Of the records of the four batches, which the fixture shows."""
    batches = [payload for kind, payload in fixture_frames() if kind == 1]
    return [leaf(payload[9 + 32 * payload[8] + 1 :]) for payload in batches]


def log_root() -> bytes:
    return root_of(log_leaves())


def batch_record() -> bytes:
    """Records 2 to 7 are shown in the fixture, each alone."""
    entries_ = [payload for kind, payload in fixture_frames() if kind == 2][1:7]
    root = root_of([ledger.leaf_of(2, payload)[0] for payload in entries_])
    times = struct.pack(">qq", BEGIN + 2 * SECOND, BEGIN + 7 * SECOND)
    return b"CHBATCH1" + struct.pack(">HB", 1, 1) + name("us") + name("n1") + struct.pack(">QI", 2, 6) + root + times


def segment_head() -> bytes:
    fields = struct.pack(">H", 1) + name("us") + struct.pack(">QQq", 3, 900, BEGIN)
    return checked(b"CHSEGMT1" + struct.pack(">I", len(fields)) + fields)


def segment_foot() -> bytes:
    fields = struct.pack(">Q", 1) + of(7) + struct.pack(">IQQ", 1, 60, 900)
    return checked(b"CHFOOTR1" + struct.pack(">I", len(fields)) + fields) + struct.pack(">Q", 4096) + b"CHSEALED"


def group() -> bytes:
    gap = gap_header(6, "", 2, 0)
    payload = struct.pack(">II", len(gap), 0) + gap
    head = b"CHGR" + struct.pack(">IQI", len(payload), 6, 1)
    return head + struct.pack(">I", crc32c(head + payload)) + payload


def statement() -> bytes:
    root = root_of(log_leaves()[:3])
    return ledger.statement(3, root, at="2023-11-14T23:01:40Z")


def cosigned() -> bytes:
    checkpoint = ledger.checkpoint(3, root_of(log_leaves()[:3]))
    return ledger.cosignature(checkpoint, BEGIN // SECOND + 2803)


def anchor_line() -> bytes:
    batches = [payload for kind, payload in fixture_frames() if kind == 1]
    records = [payload[9 + 32 * payload[8] + 1 :] for payload in batches]
    checkpoint = ledger.checkpoint(3, root_of(log_leaves()[:3]))
    return ledger.anchor(records[:3], checkpoint, "notary", cosigned().decode())[:-1]


MADE = {
    "commitment": lambda: suite.commitment(of(7)),
    "epoch-point": lambda: point(scalar(0x3C)),
    "ephemeral-point": lambda: point(scalar(0x3B)),
    "epoch-kek": epoch_kek,
    "epoch-wrapped": lambda: aes_key_wrap_with_padding(epoch_kek(), of(7)),
    "joint-key": lambda: suite.joint_key({sixteen(1): of(1), sixteen(9): of(9)}),
    "item-key": lambda: suite.item_key(of(0x15), 1),
    "act-key": lambda: suite.act_key(of(0x28), bytes(16)),
    "destruction-key": lambda: suite.destruction_key(of(0x28), bytes(16)),
    "header-capture": lambda: capture_header(1, 2, 1),
    "body-capture": capture_body,
    "leaf-capture": lambda: leaf(capture_header(1, 2, 1) + capture_body()),
    "header-chunk-of-two": lambda: capture_header(1, 5, 3, chunk=1),
    "header-outside": lambda: capture_header(7, 7, 4, more=struct.pack(">QIHB", 2, 0, 0, 1)),
    "header-part": part_header,
    "leaf-part": lambda: leaf(part_header()),
    "item": shown_item,
    "header-wrap": wrap_header,
    "header-act": act_header,
    "body-act": lambda: sealed(suite.act_key(of(0x28), bytes(16)), b'{"by":"ann"}', LABELS.act(1)),
    "header-gap": lambda: gap_header(6, "", 2, 0),
    "header-gap-of-connection": lambda: gap_header(16, "ward-3", 5, 3),
    "header-destruction": destruction_header,
    "body-destruction": lambda: sealed(
        suite.destruction_key(of(0x28), sixteen(0x0E)), b'{"reason":"asked for"}', LABELS.destruction(2)
    ),
    "batch": batch_record,
    "batch-leaf": lambda: leaf(batch_record()),
    "log-root": log_root,
    "zone-key": lambda: KEY.text.encode(),
    "checkpoint": lambda: ledger.checkpoint(4, log_root()),
    "succession": statement,
    "witness-key": lambda: ledger.WITNESS.text.encode(),
    "cosignature": cosigned,
    "anchor": anchor_line,
    "segment-head": segment_head,
    "group": group,
    "segment-foot": segment_foot,
    "bundle-sha256": lambda: sha256((vectors.FIXTURES / "bundle.zip").read_bytes()).digest(),
}


class Vectors(unittest.TestCase):
    def test_each_vector_is_what_the_text_says(self):
        for vector, wanted in vectors.all_of_them().items():
            with self.subTest(vector):
                self.assertIn(vector, MADE, "a vector that nothing here makes again")
                self.assertEqual(MADE[vector]().hex(), wanted.hex())

    def test_no_vector_is_missing_from_the_text(self):
        self.assertEqual(set(MADE) - set(vectors.all_of_them()), set())


if __name__ == "__main__":
    unittest.main()
