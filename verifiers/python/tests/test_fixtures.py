"""The fixtures of format 1 hold, and every byte of them counts."""

import io
import unittest

from verifier.steps import DOES_NOT_HOLD, HOLDS, NOT_A_BUNDLE, Verdict, verify

from . import ledger, vectors
from .ledger import KEY

BUNDLE = (vectors.FIXTURES / "bundle.zip").read_bytes()
ONE_MESSAGE = (vectors.FIXTURES / "one-message.zip").read_bytes()


def checked(raw: bytes, **given) -> Verdict:
    return verify(io.BytesIO(raw), **given)


def flipped(raw: bytes, at: int) -> bytes:
    """One bit is another, a different one from byte to byte."""
    return raw[:at] + bytes([raw[at] ^ 1 << at % 8]) + raw[at + 1 :]


class Fixtures(unittest.TestCase):
    def test_both_hold_under_the_key_beside_them(self):
        self.assertEqual((vectors.FIXTURES / "zone.pub").read_text(), KEY.text + "\n")
        for raw, counted in ((BUNDLE, (14, 3, 9, 6, 2)), (ONE_MESSAGE, (1, 1, 1, 1, 0))):
            found = checked(raw, key=KEY)
            self.assertEqual((found.verdict, found.origin), (HOLDS, "proved"))
            numbers = (found.entries, found.items, found.opened, found.messages, found.gaps)
            self.assertEqual(numbers, counted)

    def test_the_writer_of_the_tests_makes_the_zip_of_the_fixture(self):
        for raw in (BUNDLE, ONE_MESSAGE):
            self.assertEqual(ledger.zipped(ledger.unzipped(raw)), raw)

    def test_every_byte_counts(self):
        for which, raw in (("bundle", BUNDLE), ("one message", ONE_MESSAGE)):
            for at in range(len(raw)):
                found = checked(flipped(raw, at))
                self.assertEqual(found.verdict, DOES_NOT_HOLD, f"byte {at} of {which}")
                self.assertEqual((found.entries, found.messages), (None, None))

    def test_a_bundle_that_is_cut_or_goes_on_does_not_hold(self):
        for length in range(4, len(ONE_MESSAGE), 101):
            self.assertEqual(checked(ONE_MESSAGE[:length]).verdict, DOES_NOT_HOLD, f"{length} bytes")
        for more in (b"\0", b"PK\x05\x06" + bytes(18), ONE_MESSAGE):
            self.assertEqual(checked(ONE_MESSAGE + more).verdict, DOES_NOT_HOLD)
            self.assertNotEqual(checked(more[:1] + ONE_MESSAGE).verdict, HOLDS)

    def test_no_bundle_is_told_from_a_damaged_one_by_its_first_forty_bytes(self):
        def damaged(bytes_: int) -> bytes:
            return bytes(byte ^ 0xFF for byte in ONE_MESSAGE[:bytes_]) + ONE_MESSAGE[bytes_:]

        self.assertEqual(checked(damaged(8)).verdict, DOES_NOT_HOLD)
        for raw in (damaged(9), b"", ONE_MESSAGE[:3], b"%PDF-1.7\n" + bytes(99), b"PK\x05\x06" + bytes(18)):
            self.assertEqual(checked(raw).verdict, NOT_A_BUNDLE)

    def test_another_key_is_refused_though_all_within_is_right(self):
        other = ledger.Key(KEY.name, ledger.OTHER.public_key().public_bytes_raw())
        found = checked(BUNDLE, key=other)
        self.assertEqual((found.verdict, found.origin), (DOES_NOT_HOLD, "not proved"))
        self.assertEqual(checked(BUNDLE).origin, "not proved")


if __name__ == "__main__":
    unittest.main()
