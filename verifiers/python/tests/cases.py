"""Asking the verifier about bundles that tests write."""

import io
import unittest

from verifier.steps import DOES_NOT_HOLD, HOLDS, verify

from . import ledger
from .ledger import Bundle


class Case(unittest.TestCase):
    def assert_holds(self, bundle: Bundle | bytes, **given):
        raw = bundle if isinstance(bundle, bytes) else bundle.bytes()
        found = verify(io.BytesIO(raw), **given)
        self.assertEqual((found.verdict, found.reason), (HOLDS, None))
        return found

    def assert_refused(self, bundle: Bundle | bytes, reason: str, **given):
        """The reason must contain these words: another check that fails first would prove nothing about this one."""
        raw = bundle if isinstance(bundle, bytes) else bundle.bytes()
        found = verify(io.BytesIO(raw), **given)
        self.assertEqual(found.verdict, DOES_NOT_HOLD)
        self.assertIn(reason, found.reason)
        return found


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
