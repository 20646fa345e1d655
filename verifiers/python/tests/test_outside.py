"""Step 5: a checkpoint that was kept outside the bundle."""

import base64
import json
import unittest

from verifier.merkle import consistency_length, consistent, included, leaf, root_of
from verifier.outside import Outside

from . import ledger
from .cases import Case, sample
from .ledger import OTHER, Bundle, checkpoint


def outside(log: list[bytes], proof=None, **signed_by) -> Outside:
    return Outside(checkpoint(len(log), root_of(log), **signed_by), proof)


def grown(bundle: Bundle) -> list[bytes]:
    return bundle.log() + [leaf(b"one batch more"), leaf(b"and one more")]


def proof_beside(log: list[bytes], sizes: list[int], to=None) -> bytes:
    paths = [[base64.b64encode(hash_).decode() for hash_ in ledger.consistency(log, size)] for size in sizes]
    entries = [{"size": size, "path": path} for size, path in zip(sizes, paths)]
    return json.dumps({"to": len(log) if to is None else to, "from": entries}).encode()


class Same(Case):
    def test_the_pinned_one_itself(self):
        found = self.assert_holds(sample(), checkpoint=outside(sample().log()))
        self.assertEqual((found.outside_checkpoint, found.origin), ("same", "not proved"))
        self.assertEqual(self.assert_holds(sample()).outside_checkpoint, "none")

    def test_a_fork_of_the_same_size(self):
        log = sample().log()
        forked = outside(log[:-1] + [leaf(b"another")])
        self.assert_refused(sample(), "the log was forked", checkpoint=forked)

    def test_one_that_is_not_signed_by_the_key_or_of_another_log(self):
        log = sample().log()
        for file in (outside(log, signer=OTHER), outside(log, origin="chancery/us/other"), Outside(b"", None)):
            self.assert_refused(sample(), "the checkpoint from outside: ", checkpoint=file)


class Older(Case):
    def test_a_proof_inside_leads_from_it(self):
        for size in (1, 2):
            found = self.assert_holds(sample(), checkpoint=outside(sample().log()[:size]))
            self.assertEqual(found.outside_checkpoint, "older")

    def test_without_a_proof_inside(self):
        self.assert_refused(sample(proofs=[1]), "no proof from the size", checkpoint=outside(sample().log()[:2]))
        self.assert_refused(sample(), "no proof from the size", checkpoint=outside([]))

    def test_an_older_log_that_was_another(self):
        for size in (1, 2):
            other = outside([leaf(b"another")] * size)
            self.assert_refused(sample(), "the log was forked", checkpoint=other)


class Newer(Case):
    def newer(self, proof: bytes | None, log=None) -> Outside:
        log = log or grown(sample())
        return outside(log, proof)

    def test_a_proof_beside_leads_to_it(self):
        log = grown(sample())
        found = self.assert_holds(sample(), checkpoint=self.newer(proof_beside(log, [1, 3, 4])))
        self.assertEqual(found.outside_checkpoint, "newer")

    def test_without_a_proof_or_with_one_of_other_sizes(self):
        log = grown(sample())
        self.assert_refused(sample(), "no proof stands beside it", checkpoint=self.newer(None))
        for proof in (proof_beside(log, [1, 2, 4]), proof_beside(log, []), proof_beside(log, [3], to=4),
                      proof_beside(log, [3, 3])):
            self.assert_refused(sample(), "the proof beside: ", checkpoint=self.newer(proof))

    def test_a_proof_that_is_malformed(self):
        right = proof_beside(grown(sample()), [3]).decode()
        for proof in ("", "[]", "{}", right[:-1], right + "x", right.replace('"to"', '"TO"'), right.replace("5", "5.0"),
                      right.replace('"size": 3', '"size": "3"'), right.replace("=", ""), right.replace("{", '{"x":1,')):
            self.assert_refused(sample(), "the proof beside: ", checkpoint=self.newer(proof.encode()))
        for path in ([1], ["AAE="], "x"):
            proof = json.dumps({"to": 5, "from": [{"size": 3, "path": path}]}).encode()
            self.assert_refused(sample(), "the proof beside: ", checkpoint=self.newer(proof))

    def test_a_newer_log_that_was_another(self):
        log = grown(sample())
        other = [leaf(b"another"), *log[1:]]
        for proof in (proof_beside(log, [3]), proof_beside(other, [3])):
            self.assert_refused(sample(), "the log was forked", checkpoint=self.newer(proof, other))


class Trees(unittest.TestCase):
    """Proofs made by the words of RFC 6962, checked by those of RFC 9162."""

    LEAVES = [leaf(bytes([number])) for number in range(19)]

    def test_each_leaf_of_each_tree_and_no_other(self):
        for size in range(1, 20):
            leaves = self.LEAVES[:size]
            root = root_of(leaves)
            for index in range(size):
                path = ledger.path(leaves, index)
                self.assertTrue(included(leaves[index], index, size, path, root))
                for wrong in (path[:-1], path + [root], path[::-1]):
                    if wrong != path:
                        self.assertFalse(included(leaves[index], index, size, wrong, root))
                self.assertFalse(included(leaves[index], (index + 1) % size, size, path, root) and size > 1)
            self.assertFalse(included(leaves[0], size, size, [], root))

    def test_each_tree_begins_with_each_smaller_one(self):
        for new in range(2, 20):
            for old in range(1, new):
                path = ledger.consistency(self.LEAVES[:new], old)
                roots = root_of(self.LEAVES[:old]), root_of(self.LEAVES[:new])
                self.assertEqual(len(path), consistency_length(old, new))
                self.assertTrue(consistent(old, new, path, *roots))
                for wrong in (path[:-1], path + [roots[0]], [roots[0]] + path):
                    self.assertFalse(consistent(old, new, wrong, *roots))
                self.assertFalse(consistent(old, new, path, bytes(32), roots[1]))
                self.assertFalse(consistent(old, new, path, roots[0], bytes(32)))

    def test_no_proof_begins_at_nothing_or_goes_backwards(self):
        root = root_of(self.LEAVES)
        for old, new in ((0, 19), (19, 19), (20, 19)):
            self.assertFalse(consistent(old, new, [root], root, root))


if __name__ == "__main__":
    unittest.main()
