"""Asking the verifier about bundles that tests write.

With CHANCERY_CASES=DIR each of them is also left in DIR as a case that `agree.py` and other verifiers can answer.
"""

import io
import os
import unittest
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import Certificate

from verifier.notes import Key
from verifier.outside import Outside
from verifier.steps import DOES_NOT_HOLD, HOLDS, Verdict, verify
from verifier.succession import Statement

from . import ledger
from .ledger import Bundle


class Case(unittest.TestCase):
    asked = 0

    def assert_holds(self, bundle: Bundle | bytes, **given) -> Verdict:
        found = self.ask(bundle, **given)
        self.assertEqual((found.verdict, found.reason), (HOLDS, None))
        return found

    def assert_refused(self, bundle: Bundle | bytes, reason: str, **given) -> Verdict:
        """The reason must contain these words: another check that fails first would prove nothing about this one."""
        found = self.ask(bundle, **given)
        self.assertEqual(found.verdict, DOES_NOT_HOLD)
        self.assertIn(reason, found.reason)
        return found

    def ask(
        self, bundle: Bundle | bytes, key: Key | None = None, checkpoint: Outside | None = None,
        witness: Key | None = None, root: Certificate | None = None, statement: bytes | None = None,
    ) -> Verdict:
        raw = bundle if isinstance(bundle, bytes) else bundle.bytes()
        if folder := os.environ.get("CHANCERY_CASES"):
            self.asked += 1
            case = Path(folder, f"{'.'.join(self.id().split('.')[-2:])}.{self.asked:03}")
            leave(case, raw, key, checkpoint, witness, root, statement)
        witnesses, roots = [witness] if witness else [], [root] if root else []
        outside = Statement.parse(statement) if statement else None
        return verify(io.BytesIO(raw), key, checkpoint, witnesses, roots, outside)


def leave(
    case: Path, raw: bytes, key: Key | None, checkpoint: Outside | None, witness: Key | None, root: Certificate | None,
    statement: bytes | None,
) -> None:
    case.mkdir(parents=True)
    (case / "bundle.zip").write_bytes(raw)
    if key is not None:
        (case / "zone.pub").write_text(key.text + "\n")
    if witness is not None:
        (case / "witness.pub").write_text(witness.text + "\n")
    if root is not None:
        (case / "tsa-root.pem").write_bytes(root.public_bytes(Encoding.PEM))
    if statement is not None:
        (case / "succession").write_bytes(statement)
    if checkpoint is not None:
        (case / "checkpoint").write_bytes(checkpoint.checkpoint)
        if checkpoint.proof is not None:
            (case / "checkpoint.proof").write_bytes(checkpoint.proof)


def sample(**changes) -> Bundle:
    """Three batches with every kind of entry; the second and third are shown in part."""
    part = ledger.part(2, [1, 5], [
        ledger.Item(ledger.item(2, 0, b"zero", b"\x30" * 32), b"\x30" * 32),
        ledger.Item(ledger.item(2, 1, b"one", b"\x31" * 32), shown=False),
        ledger.Item(ledger.item(2, 2, b"two", b"\x32" * 32), shown=False),
        ledger.Item(ledger.item(2, 3, b"three", b"\x33" * 32), b"\x33" * 32),
    ])
    batches = [
        [ledger.act(), ledger.capture(1), ledger.capture(2, disclosed=False), ledger.wrap(2, [1, 5], mixed=True), part],
        [ledger.capture(3, 0, False), ledger.capture(3, 1, True), ledger.gap(), ledger.gap("ward-3", cause=5, count=3)],
        [ledger.capture(4, disclosed=False), ledger.wrap(9, [1, 9]), ledger.destruction([9])]
        + [ledger.destruction([8], with_body=False), ledger.capture(5, kind=7), ledger.act(7)],
    ]
    batches[1][2].shown = False
    batches[2][5].shown = False
    states = {"1.0": "raw", "2.0": "part", "2.3": "part", "5.0": "raw", "5.1": "raw", "9.0": "erased", "13.0": "raw"}
    return Bundle(batches, **{"states": states, "proofs": [1, 2]} | changes)
