"""Steps 1 to 4: the zip, the key, the manifest and the small members, each broken alone."""

import base64
import json
import struct
import unittest
from hashlib import sha256

from verifier import container
from verifier.notes import Checkpoint, Key, Malformed, Note, from_base64, from_decimal

from . import ledger
from .cases import Case, sample
from .ledger import KEY, OTHER, checkpoint, note, zipped


class Zip(Case):
    def test_members_in_another_order_missing_or_more(self):
        members = ledger.unzipped(sample().bytes())
        names = list(members)
        for order in (names[:3] + [names[4], names[3]] + names[5:], names[:-1], names[:5] + names[6:]):
            self.assert_refused(zipped({name: members[name] for name in order}), "zip: ")
        self.assert_refused(zipped(members | {"more": b""}), "zip: wrong length after the last member")

    def test_a_central_directory_that_says_otherwise(self):
        raw = sample().bytes()
        at = raw.index(b"PK\x01\x02")
        for offset in range(at, len(raw)):
            broken = raw[:offset] + bytes([raw[offset] ^ 0x80]) + raw[offset + 1 :]
            self.assert_refused(broken, "zip: the central directory")

    def test_sizes_that_lead_beyond_the_file(self):
        raw = sample().bytes()
        for size in (0xFFFFFFFE, 0xFFFFFFFF, 0x7FFFFFFF):
            self.assert_refused(raw[:18] + struct.pack("<II", size, size) + raw[26:], "zip: ")

    def test_the_crc_of_each_member_is_compared(self):
        members = ledger.unzipped(sample().bytes())
        for name in members:
            if name != "README.txt":
                self.assert_refused(zipped(members, {name: 1}), f"{name}: not the CRC-32 of the zip")
        self.assert_refused(zipped(members, {"README.txt": 0xB79F75A6}), "README.txt: not the CRC-32 of the zip")

    def test_a_small_member_that_is_not_small(self):
        members = ledger.unzipped(sample().bytes()) | {"zone.pub": bytes(16 * 1024 * 1024 + 1)}
        self.assert_refused(zipped(members), "zone.pub: too long")

    def test_what_is_only_wide_in_a_large_bundle(self):
        large = [container.Member("README.txt", 10, 1, 0), container.Member("evidence", 5 << 30, 2, 50)]
        large.append(container.Member("manifest", 10, 3, 6 << 30))
        raw = container.tail(large)
        at = raw.index(b"PK\x06\x06")
        _, size, made, needed, disk, begin, here, all_, length, start = struct.unpack_from("<4sQHHIIQQQQ", raw, at)
        self.assertEqual((size, made, needed, disk, begin, here, all_), (44, 45, 45, 0, 0, 3, 3))
        self.assertEqual((length, start), (at, large[-1].end))
        self.assertEqual(struct.unpack_from("<4sIQI", raw, at + 56), (b"PK\x06\x07", 0, start + length, 1))
        end = struct.unpack_from("<4sHHHHIIH", raw, at + 76)
        self.assertEqual(end, (b"PK\x05\x06", 0, 0, 3, 3, at, 0xFFFFFFFF, 0))
        self.assertEqual(len(raw), at + 98)
        central = raw[raw.index(b"PK\x01\x02", 4) :]
        self.assertEqual(struct.unpack_from("<IIHH", central, 20), (0xFFFFFFFF, 0xFFFFFFFF, 8, 20))
        self.assertEqual(struct.unpack_from("<HHQQ", central, 46 + 8), (1, 16, 5 << 30, 5 << 30))
        central = central[central.index(b"PK\x01\x02", 4) :]
        self.assertEqual(struct.unpack_from("<HHQ", central, 46 + 8), (1, 8, 6 << 30))


class ZoneKey(Case):
    def test_a_member_that_is_no_key(self):
        text = KEY.text.encode()
        spaces = text.replace(b"chancery/us", b"chancery us")
        for raw in (b"", b"\n", text, text + b"\n\n", text + b"\r\n", b" " + text + b"\n", text.upper() + b"\n",
                    spaces + b"\n",
                    text.replace(b"cd3610a1", b"cd3610a2") + b"\n", text.replace(b"+Ae", b"+Be") + b"\n", b"\xff\n"):
            self.assert_refused(sample(members_changed={"zone.pub": raw}), "zone.pub: ")

    def test_a_key_of_another_kind(self):
        for raw in (b"\2" + KEY.public, KEY.public, b"\1" + KEY.public + b"\0"):
            id_ = sha256(KEY.name.encode() + b"\n" + raw).digest()[:4].hex()
            text = f"{KEY.name}+{id_}+{base64.b64encode(raw).decode()}"
            with self.assertRaisesRegex(Malformed, "not an Ed25519 key"):
                Key.parse(text)

    def test_a_key_named_after_another_zone_or_after_none(self):
        for name, zone, reason in (
            ("chancery/eu/0a1b2c3d", "us", "the log is of another zone"),
            ("chancery/us/", "us", "the log is of another zone"),
            ("chancery/US/0a1b2c3d", "US", "not a zone id"),
        ):
            bundle, key = sample(manifest_changes={"log": name, "zone": zone}), Key(name, KEY.public)
            stated = json.dumps(bundle.stated(bundle.members()), separators=(",", ":"))
            bundle.manifest_raw = note(stated + "\n", key=key)
            bundle.members_changed = {"zone.pub": key.text.encode() + b"\n"}
            self.assert_refused(bundle, f"manifest: {reason}")

    def test_a_bundle_signed_by_another_key_within(self):
        other = Key(KEY.name, OTHER.public_key().public_bytes_raw())
        bundle = sample(members_changed={"zone.pub": other.text.encode() + b"\n"})
        self.assert_refused(bundle, "manifest: not signed by the zone's key alone")
        self.assert_refused(sample(), "zone.pub: not the key that was given", key=other)


class ManifestText(Case):
    def text(self, change) -> bytes:
        bundle = sample()
        stated = bundle.stated(bundle.members())
        return note(change(json.dumps(stated, separators=(",", ":"))) + "\n")

    def test_other_spellings(self):
        for change in (
            lambda text: text.replace(":", ": ", 1),
            lambda text: " " + text,
            lambda text: text + " ",
            lambda text: text.replace('"us"', '"\\u0075s"'),
            lambda text: text.replace('"--all"', '"\\/"'),
            lambda text: text.replace('"size":3', '"size":3.0'),
            lambda text: text.replace('"size":3', '"size":3e0'),
            lambda text: text.replace('"size":3', '"size":03'),
            lambda text: text.replace('"messages":7', '"messages":7,"messages":7'),
            lambda text: text.replace('"messages":7', '"messages":true'),
            lambda text: text.replace('"messages":7', '"messages":-7'),
            lambda text: text.replace('"messages":7', '"messages":1e400'),
            lambda text: text.replace('"messages":7', f'"messages":{1 << 64}'),
            lambda text: text.replace('"--all"', "null"),
            lambda text: text.replace('"--all"', '"\\ud800"'),
            lambda text: text[:-1] + ',"more":1}',
            lambda text: text[1:],
            lambda text: "[]",
            lambda text: "",
            lambda text: "{" * 100_000,
            lambda text: text + "\n" + text,
        ):
            self.assert_refused(sample(manifest_raw=self.text(change)), "manifest: ")
        self.assert_holds(sample(manifest_raw=self.text(lambda text: text)))

    def test_a_selection_in_any_words(self):
        for words in ("", "群聊 \U0001f600", 'a "b" \\ /', "tab\tline\nbell\x07 \x7f \x1f\b\f\r\u2028"):
            self.assert_holds(sample(manifest_changes={"selection": words}))

    def test_fields_in_another_order(self):
        def moved(text: str) -> str:
            stated = json.loads(text)
            stated["zone"] = stated.pop("zone")
            return json.dumps(stated, separators=(",", ":"))

        self.assert_refused(sample(manifest_raw=self.text(moved)), "manifest: not the fields of format 1")

    def test_values_that_are_not_as_described(self):
        members = sample().stated(sample().members())["members"]
        for changes in (
            {"format": "chancery-bundle/2"},
            {"zone": "US"},
            {"zone": "eu"},
            {"log": "chancery/us/00000000"},
            {"created_at": "2023-11-14T22:30:00"},
            {"created_at": "2023-11-14T22:30:00.10Z"},
            {"created_at": None},
            {"completeness": "All is here."},
            {"checkpoint": {"root": base64.b64encode(bytes(31)).decode()}},
            {"checkpoint": {"root": "x"}},
            {"checkpoint": {"size": 2}},
            {"checkpoint": {"root": base64.b64encode(bytes(32)).decode()}},
            {"evidence": {"crc32": "0"}},
            {"evidence": {"crc32": "ABCDEF00"}},
            {"evidence": {"digest": "A" * 64}},
            {"gaps": {"from": 0}},
            {"members": members[:-1]},
            {"members": members + members[:1]},
            {"members": members[::-1]},
            {"members": [members[0] | {"sha256": "0"}] + members[1:]},
            {"members": None},
        ):
            with self.subTest(changes=changes):
                self.assert_refused(sample(manifest_changes=changes), "")

    def test_a_manifest_with_other_signatures(self):
        text = Note.parse(ledger.unzipped(sample().bytes())["manifest"]).text
        right = note(text)
        line = right[len(text) + 1 :]
        witness = note(text, key=Key("witness", OTHER.public_key().public_bytes_raw()), signer=OTHER)
        for raw, reason in (
            (note(text, signer=OTHER), "not signed"),
            (note(text, key=Key("someone", KEY.public)), "not signed"),
            (right + line, "not signed"),
            (right + witness[len(text) + 1 :], "not signed"),
            (text.encode(), "not a signed note"),
            (text.encode() + b"\n", "not a signed note"),
            (right[:-1], "not a signed note"),
            (right + b"\n", ""),
            (right.replace(b"\xe2\x80\x94", b"-"), "a signature line"),
            (right.replace(b"\n\xe2", b"\r\n\xe2"), "control characters"),
        ):
            self.assert_refused(sample(manifest_raw=raw), f"manifest: {reason}")


class SmallMembers(Case):
    def test_each_is_that_of_the_manifest(self):
        for name in ("README.txt", "zone.pub", "succession", "checkpoint", "consistency", "anchors.jsonl"):
            bundle = sample()
            members = bundle.stated(bundle.members())["members"]
            next(one for one in members if one["name"] == name)["sha256"] = "00" * 32
            bundle.manifest_changes = {"members": members}
            self.assert_refused(bundle, f"{name}: not the length and hash of the manifest")

    def test_a_readme_of_somebody_else(self):
        raw = ledger.README
        bundle = sample(members_changed={"README.txt": raw[:-2] + b"!\n"})
        self.assert_refused(bundle, "README.txt: not the fixed text")

    def test_a_checkpoint_that_is_not_the_one_of_the_manifest(self):
        root = ledger.root_of(sample().log())
        other = Key("chancery/us/other", KEY.public)
        for raw, reason in (
            (checkpoint(2, root), "not that of the manifest"),
            (checkpoint(3, bytes(32)), "not that of the manifest"),
            (checkpoint(3, root, origin="chancery/us/other"), "of another log"),
            (checkpoint(3, root, signer=OTHER), "not signed by the key"),
            (checkpoint(3, root, key=other), "not signed by the key"),
            (checkpoint(3, root)[:-1], "not a signed note"),
        ):
            self.assert_refused(sample(members_changed={"checkpoint": raw}), f"checkpoint: {reason}")

    def test_a_checkpoint_with_further_signatures_is_still_signed(self):
        root = ledger.root_of(sample().log())
        witness = Key("witness", OTHER.public_key().public_bytes_raw())
        text = Note.parse(checkpoint(3, root)).text
        also = note(text, key=witness, signer=OTHER)[len(text.encode()) + 1 :]
        self.assert_holds(sample(members_changed={"checkpoint": checkpoint(3, root) + also}))

    def test_proofs_in_consistency_are_in_order_and_of_the_right_length(self):
        log = sample().log()
        def proof(size, path):
            return ledger.frame(1, struct.pack(">Q", size) + ledger.path_bytes(path))

        one, two = (proof(size, ledger.consistency(log, size)) for size in (1, 2))
        for raw, reason in (
            (two + one, "sizes do not ascend"),
            (one + one, "sizes do not ascend"),
            (proof(0, []), "sizes do not ascend"),
            (proof(3, []), "sizes do not ascend"),
            (proof(2, [bytes(32)] * 2), "a path of the wrong length"),
            (proof(2, []), "a path of the wrong length"),
            (one[:-1], "cut short"),
            (b"\2" + one[1:], "an unknown frame"),
            (ledger.frame(1, one[5:] + b"x"), "bytes after its end"),
        ):
            self.assert_refused(sample(members_changed={"consistency": raw}), f"consistency: {reason}")


class Spellings(unittest.TestCase):
    def test_base64_has_one_spelling(self):
        self.assertEqual(from_base64("AAE="), b"\0\1")
        for text in ("AAF=", "AAE", "AAE==", "AA E=", "AAE=\n", "AA-_", "AAE=AAE=", "\u0661"):
            with self.assertRaises(Malformed, msg=text):
                from_base64(text)

    def test_a_number_has_one_spelling(self):
        self.assertEqual(from_decimal("18446744073709551615"), (1 << 64) - 1)
        for text in ("", "00", "01", "+1", "-1", "1 ", "\u0661", "18446744073709551616", "1e3"):
            with self.assertRaises(Malformed, msg=text):
                from_decimal(text)

    def test_a_checkpoint_is_three_lines(self):
        root = base64.b64encode(bytes(32)).decode()
        self.assertEqual(Checkpoint.parse(f"o\n1\n{root}\n").size, 1)
        for text in (f"o\n1\n{root}", f"o\n1\n{root}\nmore\n", f"o\n01\n{root}\n", f"\n1\n{root}\n",
                     f"o\n1\n{root}\n\n", "o\n1\nAAE=\n"):
            with self.assertRaises(Malformed, msg=text):
                Checkpoint.parse(text)


if __name__ == "__main__":
    unittest.main()
