"""Succession and anchors: steps 2 and 4, each rule broken alone."""

import base64
import io
import unittest

from verifier.merkle import root_of
from verifier.notes import Key
from verifier.outside import Outside
from verifier.steps import verify

from . import ledger, vectors
from .cases import Case, sample
from .ledger import BEGIN, KEY, NEW_KEY, OTHER, SIGNER, WITNESS, anchor, checkpoint, cosignature, frame, statement

SECONDS = BEGIN // 1_000_000
ROTATED = (vectors.FIXTURES / "rotated.zip").read_bytes()


def anchored(size=2, seconds=SECONDS, signed=None, proof=None, **changes) -> bytes:
    """An anchor of the sample."""
    bundle = sample()
    signed = signed or checkpoint(size, root_of(bundle.log()[:size]))
    proof = cosignature(signed, seconds).decode() if proof is None else proof
    return anchor(bundle.batch_records()[:size], signed, proof=proof, **changes)


def with_anchors(*lines: bytes, **changes):
    return sample(members_changed={"anchors.jsonl": b"".join(lines)} | changes)


class Succession(Case):
    """The key of the sample took the place of another."""

    def setUp(self):
        self.root = root_of(sample().log()[:2])

    def old_to_own(self, **changes) -> bytes:
        return statement(2, self.root, old=NEW_KEY, new=KEY, **{"signers": (OTHER, SIGNER)} | changes)

    def bundle(self, *statements: bytes, lines: bytes = b""):
        raw = b"".join(frame(1, one) for one in statements)
        return sample(members_changed={"succession": raw, "anchors.jsonl": lines})

    def test_the_key_or_one_before_it_may_be_given(self):
        bundle = self.bundle(self.old_to_own())
        for key in (KEY, NEW_KEY):
            self.assertEqual(self.assert_holds(bundle, key=key).origin, "proved")
        other = Key(KEY.name, WITNESS.public)
        self.assert_refused(bundle, "zone.pub: not the key that was given", key=other)

    def test_statements_that_do_not_hold_or_do_not_lead(self):
        right = self.old_to_own()
        line = right[right.index(b"\n\n") + 2 :]
        for raw, reason in (
            (statement(2, self.root), "does not lead"),
            (self.old_to_own(signers=(SIGNER, SIGNER)), "not signed by the old"),
            (self.old_to_own(signers=(OTHER, OTHER)), "not signed by the old"),
            (right + line, "not signed by the old"),
            (self.old_to_own(at="2023-11-14T22:30:00.10Z"), "one spelling"),
            (self.old_to_own(reason="lost"), "one spelling"),
            (statement(2, self.root, old=KEY, new=KEY, signers=(SIGNER, SIGNER)), "not two keys"),
            (b"x", "not a signed note"),
        ):
            self.assert_refused(self.bundle(raw), "succession")
            self.assert_refused(self.bundle(raw), reason)
        self.assert_refused(self.bundle(right, right), "its old key is not the new one")
        bundle = sample(members_changed={"succession": frame(2, right)})
        self.assert_refused(bundle, "succession: an unknown frame")

    def test_a_key_that_was_given_up_needs_a_proved_anchor_over_all_that_is_shown(self):
        given_up = self.old_to_own(reason="compromised")
        old = {"key": NEW_KEY, "signer": OTHER}
        size2 = checkpoint(2, self.root, **old)
        self.assert_holds(self.bundle(given_up), key=KEY)
        reason = "no proved anchor is from before"
        line = anchored(signed=size2)
        self.assert_refused(self.bundle(given_up), reason, key=NEW_KEY, witness=WITNESS)
        self.assert_refused(self.bundle(given_up, lines=line), reason, key=NEW_KEY)
        self.assert_refused(self.bundle(given_up, lines=line), "record 13: not proved", key=NEW_KEY, witness=WITNESS)
        late = anchored(signed=size2, seconds=SECONDS + 1000)
        self.assert_refused(self.bundle(given_up, lines=late), reason, key=NEW_KEY, witness=WITNESS)
        self.assert_refused(self.bundle(given_up, lines=anchored()), reason, key=NEW_KEY, witness=WITNESS)
        bundle = self.bundle(given_up, lines=line)
        bundle.shown_batches, bundle.states = [0, 1], {}
        self.assert_holds(bundle, key=NEW_KEY, witness=WITNESS)

    def test_a_statement_from_outside(self):
        bundle, root = self.bundle(self.old_to_own()), root_of(sample().log())
        third = Key(KEY.name, WITNESS.public)
        after = statement(3, root, new=third, signers=(SIGNER, ledger.WITNESS_SIGNER))
        for key in (KEY, NEW_KEY):
            self.assert_holds(bundle, key=key, statement=after)
            self.assert_holds(bundle, key=key, statement=self.old_to_own())
        # A key before the one that was given was given up: that is nothing to it.
        self.assert_holds(bundle, key=KEY, statement=self.old_to_own(reason="compromised"))
        stranger = statement(3, root, old=third, signers=(ledger.WITNESS_SIGNER, OTHER))
        self.assert_refused(bundle, "its old key is none of the bundle's", key=KEY, statement=stranger)
        # Without a key that was given there is none to be given up.
        for raw in (stranger, statement(3, root, reason="compromised")):
            self.assertEqual(self.assert_holds(bundle, statement=raw).origin, "not proved")

    def test_a_bundle_that_follows_another_successor_than_the_owner_named(self):
        """Somebody stole the old key, and signed with it that his own took its place."""
        third = Key(KEY.name, WITNESS.public)
        for reason in ("rotated", "compromised"):
            genuine = statement(2, self.root, old=NEW_KEY, new=third, reason=reason,
                                signers=(OTHER, ledger.WITNESS_SIGNER))
            for stolen in ("rotated", "compromised"):
                for lines in (b"", anchored(signed=checkpoint(2, self.root, key=NEW_KEY, signer=OTHER))):
                    bundle = self.bundle(self.old_to_own(reason=stolen), lines=lines)
                    for key in (NEW_KEY, KEY):
                        self.assert_refused(bundle, "goes on with another new key", key=key, witness=WITNESS,
                                            statement=genuine)

    def test_a_key_that_was_given_up_by_a_statement_from_outside(self):
        given_up = statement(3, root_of(sample().log()), reason="compromised",
                             new=Key(KEY.name, WITNESS.public), signers=(SIGNER, ledger.WITNESS_SIGNER))
        for key in (KEY, NEW_KEY):
            for lines, reason in ((b"", "no proved anchor is from before"), (anchored(), "record 13: not proved"),
                                  (anchored(seconds=SECONDS + 1000), "no proved anchor is from before")):
                bundle = self.bundle(self.old_to_own(), lines=lines)
                self.assert_refused(bundle, reason, key=key, witness=WITNESS, statement=given_up)
            self.assert_holds(self.bundle(self.old_to_own(), lines=anchored(3)), key=key, witness=WITNESS,
                              statement=given_up)

    def test_the_owner_says_later_that_a_key_was_stolen_which_the_bundle_calls_rotated(self):
        old = {"key": NEW_KEY, "signer": OTHER}
        later = self.old_to_own(reason="compromised", at="2023-11-14T22:20:00Z")
        for seconds, size, reason in ((0, 2, None), (400, 2, "no proved anchor"), (0, 3, "not signed by the log")):
            signed = checkpoint(size, root_of(sample().log()[:size]), **old)
            bundle = self.bundle(self.old_to_own(), lines=anchored(size, signed=signed, seconds=SECONDS + seconds))
            bundle.shown_batches, bundle.states = [0, 1], {}
            if reason is None:
                self.assert_holds(bundle, key=NEW_KEY, witness=WITNESS, statement=later)
            else:
                self.assert_refused(bundle, reason, key=NEW_KEY, witness=WITNESS, statement=later)
        # The earlier of two times counts, whichever says it.
        for inside, outside in (("22:30:00", "22:20:00"), ("22:20:00", "22:30:00")):
            bundle = self.bundle(self.old_to_own(reason="compromised", at=f"2023-11-14T{inside}Z"),
                                 lines=anchored(signed=checkpoint(2, self.root, **old), seconds=SECONDS + 400))
            self.assert_refused(bundle, "no proved anchor is from before", key=NEW_KEY, witness=WITNESS,
                                statement=self.old_to_own(reason="compromised", at=f"2023-11-14T{outside}Z"))

    def test_a_key_signs_no_further_than_the_statement_from_outside_says(self):
        third = {"new": Key(KEY.name, WITNESS.public), "signers": (SIGNER, ledger.WITNESS_SIGNER)}
        bundle = self.bundle(self.old_to_own())
        for size, root in ((2, self.root), (3, bytes(32)), (0, bytes(32))):
            self.assert_refused(bundle, "not among what its key signed", key=KEY, statement=statement(size, root, **third))
        self.assert_holds(bundle, key=KEY, statement=statement(4, bytes(32), **third))

    def test_a_key_that_was_replaced_does_not_come_back(self):
        away = statement(2, self.root)
        bundle = self.bundle(away, self.old_to_own())
        for key in (KEY, NEW_KEY, None):
            self.assert_refused(bundle, "a key that was replaced comes back", key=key)

    def test_a_key_that_was_given_up_is_reported_before_a_fork(self):
        bundle = self.bundle(self.old_to_own(reason="compromised"))
        forked = Outside(checkpoint(3, bytes(32)), None)
        self.assert_refused(bundle, "no proved anchor is from before", key=NEW_KEY, checkpoint=forked)
        self.assert_refused(bundle, "the log was forked", key=KEY, checkpoint=forked)

    def test_a_checkpoint_from_outside_under_the_key_before(self):
        old = {"key": NEW_KEY, "signer": OTHER}
        bundle, log = self.bundle(self.old_to_own()), sample().log()
        for size, reason in ((1, None), (2, None), (3, "not signed by the log")):
            outside = Outside(checkpoint(size, root_of(log[:size]), **old), None)
            if reason:
                self.assert_refused(bundle, reason, key=KEY, checkpoint=outside)
            else:
                self.assertEqual(self.assert_holds(bundle, key=KEY, checkpoint=outside).outside_checkpoint, "older")

    def test_a_replaced_key_signs_no_later_checkpoint(self):
        old = {"key": NEW_KEY, "signer": OTHER}
        later = checkpoint(3, root_of(sample().log()), **old)
        self.assert_refused(self.bundle(self.old_to_own(), lines=anchored(3, signed=later)), "not signed by the log")
        forked = checkpoint(2, bytes(32), **old)
        self.assert_refused(self.bundle(self.old_to_own(), lines=anchored(signed=forked)), "not signed by the log")


class Anchors(Case):
    def test_proved_only_by_a_witness_whose_key_was_given(self):
        bundle = with_anchors(anchored(1), anchored(2), anchored(2, named="other"), anchored(3))
        found = self.assert_holds(bundle, witness=WITNESS)
        self.assertEqual((found.anchors, found.anchors_proved), (4, 4))
        self.assertEqual(self.assert_holds(bundle).anchors_proved, 0)
        stranger = Key("stranger", WITNESS.public, WITNESS.kind)
        self.assertEqual(self.assert_holds(bundle, witness=stranger).anchors_proved, 0)

    def test_a_cosignature_that_is_not_right(self):
        signed = checkpoint(2, root_of(sample().log()[:2]))
        wrong = cosignature(signed, SECONDS, signer=OTHER).decode()
        right = cosignature(signed, SECONDS).decode()
        for proof in (wrong, right + wrong, wrong + right):
            self.assert_holds(with_anchors(anchored(proof=proof)))
            self.assert_refused(with_anchors(anchored(proof=proof)), "a cosignature that is not", witness=WITNESS)
        late = cosignature(signed, 253_402_300_800).decode()
        short = f"\u2014 {KEY.name} {base64.b64encode(bytes(68)).decode()}\n"
        for proof in ("", "\n", right[:-1], "x" + right, short, late, right + "\n"):
            self.assert_refused(with_anchors(anchored(proof=proof)), "anchors.jsonl, line 1: ")

    def test_order_spelling_and_fields(self):
        for lines in ((anchored(2), anchored(1)), (anchored(), anchored()), (anchored(named="b"), anchored(named="a"))):
            self.assert_refused(with_anchors(*lines), "line 2: not in its place")
        for raw in (b"\n", b"{}\n", anchored()[:-1], anchored().replace(b":", b": ", 1), anchored(more=1),
                    anchored(kind="other"), anchored(name=None), anchored(path="x"), anchored(batch="x")):
            self.assert_refused(with_anchors(raw), "anchors.jsonl, line 1: ")

    def test_the_checkpoint_and_the_batch_of_an_anchor(self):
        log, records = sample().log(), sample().batch_records()
        root = root_of(log[:2])
        right = checkpoint(2, root)
        line = right[right.index(b"\n\n") + 2 :]
        for signed, reason in (
            (right + line, "not one signature"),
            (checkpoint(2, root, signer=OTHER), "not signed by the log"),
            (checkpoint(2, root, origin="chancery/us/x"), "of another log"),
            (checkpoint(0, root), "an empty checkpoint"),
            (checkpoint(2, bytes(32)), "its batch is not the last"),
        ):
            self.assert_refused(with_anchors(anchored(signed=signed)), reason)
        self.assert_refused(with_anchors(anchored(path=[])), "its batch is not the last")
        first = base64.b64encode(records[0]).decode()
        self.assert_refused(with_anchors(anchored(batch=first)), "its batch is not the last")
        fourth = records + [records[2]]
        signed = checkpoint(4, root_of(log + [log[2]]))
        line = anchor(fourth, signed, proof=cosignature(signed, SECONDS).decode())
        self.assert_refused(with_anchors(line), "larger than the checkpoint")
        for size, reason in ((2, "does not lead"), (3, "not the root of")):
            forked = [records[2]] * (size - 1) + [records[1]]
            signed = checkpoint(size, root_of([ledger.leaf(record) for record in forked]))
            line = anchor(forked, signed, proof=cosignature(signed, SECONDS).decode())
            self.assert_refused(with_anchors(line), reason)
        unproved = with_anchors(anchored())
        unproved.proofs = [1]
        self.assert_refused(unproved, "no proof from its size")


class Fixture(unittest.TestCase):
    def test_the_rotated_bundle_holds_under_both_keys(self):
        for name in ("zone.pub", "zone-2.pub"):
            key = Key.parse((vectors.FIXTURES / name).read_text()[:-1])
            found = verify(io.BytesIO(ROTATED), key, None, [WITNESS])
            self.assertEqual((found.verdict, found.origin, found.reason), ("holds", "proved", None))
            self.assertGreater(found.anchors_proved, 0)


if __name__ == "__main__":
    unittest.main()
