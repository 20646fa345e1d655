"""The programs as they are run, with their exit codes."""

import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from verifier.merkle import root_of

from . import ledger, vectors
from .cases import sample

HERE = Path(__file__).resolve().parents[1]
BUNDLE = str(vectors.FIXTURES / "bundle.zip")
KEY, WITNESS = (str(vectors.FIXTURES / name) for name in ("zone.pub", "witness.pub"))


def run(program: str, *arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, HERE / program, *arguments], capture_output=True, text=True)


class Folder(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def write(self, name: str, raw: bytes) -> str:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(raw)
        return str(path)


class Verify(Folder):
    def test_a_bundle_that_holds(self):
        found = run("chancery_verify.py", BUNDLE, "--key", KEY)
        self.assertEqual((found.returncode, found.stderr), (0, ""))
        self.assertIn("holds: 14 entries and 3 items shown", found.stdout)
        self.assertIn("Nothing is claimed about records that are not in this bundle", found.stdout)
        self.assertIn("anchors: 3, 0 of them proved, the others not checked", found.stdout)
        witness, root = ["--witness", WITNESS], ["--tsa-root", str(vectors.FIXTURES / "stamp-root.pem")]
        for given, number in ((witness, 2), (["--witness", Path(WITNESS).read_text().strip()], 2), (root, 1)):
            found = run("chancery_verify.py", BUNDLE, *given)
            self.assertIn(f"anchors: 3, {number} of them proved, the others not", found.stdout)
        found = run("chancery_verify.py", BUNDLE, *witness, *root)
        self.assertIn("anchors: 3, 3 of them proved\n", found.stdout)
        for time, by in (("2023-11-14T23:00:04Z", "witness.example/w1 (witness)"),
                         ("2026-11-25T03:51:41Z", "Sample stamps (time-stamp)")):
            self.assertIn(f"up to record 16 existed before {time}, according to {by}\n", found.stdout)
        self.assertIn("no key was given", run("chancery_verify.py", BUNDLE).stdout)

    def test_the_object_it_prints(self):
        found = json.loads(run("chancery_verify.py", BUNDLE, "--key", KEY, "--json").stdout)
        self.assertGreater(found.pop("seconds"), 0)
        self.assertGreater(found.pop("records_per_second"), 0)
        wanted = {"verdict": "holds", "origin": "proved", "outside_checkpoint": "none", "entries": 14, "items": 3}
        anchors = {"anchors": 3, "anchors_proved": 0, "existed_before": []}
        self.assertEqual(found, wanted | {"opened": 9, "messages": 6, "gaps": 2, "reason": None} | anchors)

    def test_a_bundle_that_does_not_hold(self):
        broken = bytearray(Path(BUNDLE).read_bytes())
        broken[6000] ^= 1
        path = self.write("broken.zip", bytes(broken))
        found = run("chancery_verify.py", path)
        self.assertEqual(found.returncode, 1)
        self.assertRegex(found.stdout, r"^does not hold: \S+")
        stated = json.loads(run("chancery_verify.py", path, "--json").stdout)
        self.assertEqual((stated["verdict"], stated["entries"]), ("does not hold", None))
        self.assertTrue(stated["reason"])

    def test_what_is_not_a_bundle(self):
        found = run("chancery_verify.py", self.write("letter.txt", b"Dear Sir or Madam,"), "--json")
        self.assertEqual((found.returncode, json.loads(found.stdout)["verdict"]), (65, "not a bundle"))

    def test_wrong_usage(self):
        for arguments in ([], ["--key"], [BUNDLE, "--no-such"], [BUNDLE, BUNDLE]):
            found = run("chancery_verify.py", *arguments)
            self.assertEqual((found.returncode, found.stdout), (64, ""))
            self.assertTrue(found.stderr)

    def test_a_key_or_a_checkpoint_that_is_none_says_nothing_about_the_bundle(self):
        letter = self.write("letter.txt", b"Dear Sir or Madam,")
        for arguments in (["--key", letter], ["--checkpoint", letter], ["--checkpoint", KEY], ["--witness", KEY],
                          ["--witness", letter], ["--tsa-root", letter], ["--tsa-root", KEY], ["--succession", letter],
                          ["--succession", KEY]):
            found = run("chancery_verify.py", BUNDLE, *arguments)
            self.assertEqual((found.returncode, found.stdout), (65, ""))
            self.assertIn("not a", found.stderr)

    def test_a_file_that_is_not_there(self):
        folder = str(self.folder)
        for arguments in (["no-such"], [folder], [BUNDLE, "--key", "no-such"], [BUNDLE, "--checkpoint", "no-such"],
                          [BUNDLE, "--witness", "no-such"], [BUNDLE, "--tsa-root", "no-such"],
                          [BUNDLE, "--succession", "no-such"]):
            self.assertEqual(run("chancery_verify.py", *arguments).returncode, 74)

    def test_a_checkpoint_from_outside_with_its_proof_beside_it(self):
        bundle = sample()
        path = self.write("bundle.zip", bundle.bytes())
        log = bundle.log()
        older = self.write("older", ledger.checkpoint(2, root_of(log[:2])))
        found = json.loads(run("chancery_verify.py", path, "--checkpoint", older, "--json").stdout)
        self.assertEqual((found["verdict"], found["outside_checkpoint"]), ("holds", "older"))
        newer = self.write("newer", ledger.checkpoint(4, root_of(log + [bytes(32)])))
        self.assertEqual(run("chancery_verify.py", path, "--checkpoint", newer).returncode, 1)

    def test_a_statement_from_outside(self):
        log = ledger.parsed(ledger.unzipped(Path(BUNDLE).read_bytes())["evidence"])
        root = root_of([ledger.leaf(payload[10 + 32 * payload[8] :]) for kind, payload in log if kind == 1])
        before, after = "2023-11-14T22:30:00Z", "2023-11-14T23:00:05Z"
        for reason, at, code in (("rotated", before, 0), ("compromised", before, 1), ("compromised", after, 0)):
            path = self.write("statement", ledger.statement(4, root, at=at, reason=reason))
            found = run("chancery_verify.py", BUNDLE, "--key", KEY, "--witness", WITNESS, "--succession", path)
            self.assertEqual(found.returncode, code, found.stdout + found.stderr)

    def test_a_statement_that_does_not_hold_says_nothing_about_the_bundle(self):
        right = ledger.statement(4, bytes(32))
        line = right[right.index(b"\n\n") + 2 :]
        for raw in (ledger.statement(4, bytes(32), signers=(ledger.SIGNER, ledger.SIGNER)), right + line, b""):
            found = run("chancery_verify.py", BUNDLE, "--key", KEY, "--succession", self.write("statement", raw))
            self.assertEqual((found.returncode, found.stdout), (65, ""))
            self.assertIn("not a statement that holds", found.stderr)

    def test_help_teaches(self):
        found = run("chancery_verify.py", "--help")
        self.assertEqual(found.returncode, 0)
        for word in ("BUNDLE", "--key", "--checkpoint", "--witness", "--tsa-root", "--succession", "--json",
                     "Exit codes"):
            self.assertIn(word, found.stdout)


class Agree(Folder):
    def test_a_line_a_case_sorted_by_name(self):
        right, key = Path(BUNDLE).read_bytes(), Path(KEY).read_bytes()
        self.write("right/bundle.zip", right)
        self.write("cut/bundle.zip", right[:-1])
        self.write("another-key/bundle.zip", right)
        other = ledger.Key(ledger.KEY.name, ledger.OTHER.public_key().public_bytes_raw())
        self.write("another-key/zone.pub", other.text.encode() + b"\n")
        self.write("letter/bundle.zip", b"Dear Sir or Madam,")
        self.write("with-key/bundle.zip", right)
        self.write("with-key/zone.pub", key)
        self.write("forked/bundle.zip", right)
        self.write("forked/checkpoint", ledger.checkpoint(4, bytes(32)))
        self.write("given-up/bundle.zip", right)
        self.write("given-up/zone.pub", key)
        self.write("given-up/succession", ledger.statement(4, bytes(32), reason="compromised"))
        self.write("no-root/bundle.zip", right)
        self.write("no-root/tsa-root.pem", b"")
        self.write("root/bundle.zip", right)
        self.write("root/tsa-root.pem", (vectors.FIXTURES / "stamp-root.pem").read_bytes())
        self.write("no-key/bundle.zip", right)
        self.write("no-key/zone.pub", b"")
        found = run("agree.py", str(self.folder))
        self.assertEqual((found.returncode, found.stderr), (0, ""))
        answers = [json.loads(line) for line in found.stdout.splitlines()]
        lines = [[one["name"], one["verdict"], one["reason"]] for one in answers]
        self.assertEqual(
            [line[:2] for line in lines],
            [
                ["another-key", "does not hold"],
                ["cut", "does not hold"],
                ["forked", "does not hold"],
                ["given-up", "does not hold"],
                ["letter", "not a bundle"],
                ["no-key", "unusable"],
                ["no-root", "unusable"],
                ["right", "holds"],
                ["root", "holds"],
                ["with-key", "holds"],
            ],
        )
        self.assertEqual([bool(line[2]) for line in lines], [True] * 7 + [False] * 3)

    def test_wrong_usage(self):
        for arguments in ([], ["no-such-folder"], [BUNDLE]):
            self.assertEqual(run("agree.py", *arguments).returncode, 64)
        (self.folder / "empty").mkdir()
        self.assertEqual(run("agree.py", str(self.folder)).returncode, 74)


if __name__ == "__main__":
    unittest.main()
