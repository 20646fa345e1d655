"""Steps 6 and 7: each rule about `evidence`, broken alone by somebody who holds the zone's key."""

import struct
import unittest
from hashlib import sha256

from verifier.entries import CAPTURE

from . import ledger
from .cases import Case, sample
from .ledger import BEGIN, Bundle, Item, Record, act, capture, destruction, gap, header, item, part, wrap


def one(*records: Record, **changes) -> Bundle:
    """One batch of these records, with an act at both ends."""
    return Bundle([[act(), *records, act()]], **changes)


def with_header(record: Record, raw: bytes) -> Record:
    record.header = raw
    return record


def changed(record: Record, at: int, raw: bytes) -> Record:
    """The fields of its header are others from `at`, which may count from the end."""
    at = at if at >= 0 else len(record.fields) + at
    record.fields = record.fields[:at] + raw + record.fields[at + len(raw) :]
    return record


class WhatHolds(Case):
    def test_every_kind_of_entry_in_batches_shown_whole_and_in_part(self):
        found = self.assert_holds(sample(), key=ledger.KEY)
        self.assertEqual((found.entries, found.items, found.messages, found.gaps), (13, 2, 7, 1))

    def test_batches_that_are_left_out(self):
        for shown in ([0], [1], [2], [0, 2], [1, 2]):
            states = {0: {"1.0": "raw"}, 1: {"5.0": "raw"}, 2: {"13.0": "raw"}}[shown[0]]
            bundle = sample(shown_batches=shown, states=states)
            bundle.batches[1][3].shown = 1 in shown
            self.assert_holds(bundle)

    def test_a_bundle_of_nothing(self):
        self.assert_holds(sample(shown_batches=[], states={}, members_changed={"gaps.jsonl": b""}))

    def test_every_selection_of_a_batch_of_seven(self):
        for mask in range(1, 128):
            batch = [capture(number + 1) for number in range(7)]
            for number, record in enumerate(batch):
                record.shown = bool(mask >> number & 1)
            self.assert_holds(Bundle([batch]))

    def test_a_part_of_which_no_item_is_shown(self):
        locked = [Item(item(1, number, b"x", b"\x30" * 32), shown=False) for number in range(5)]
        self.assert_holds(one(capture(1, disclosed=False), part(1, [1], locked)))


class Headers(Case):
    def test_a_header_of_another_format_suite_zone_or_kind(self):
        right = header(CAPTURE, 1, BEGIN + 1, capture(1).fields)
        for at, byte in ((1, 2), (3, 2), (5, ord("x")), (2, 0), (2, 8)):
            record = with_header(capture(1), right[:at] + bytes([byte]) + right[at + 1 :])
            self.assert_refused(one(record), "record 1: ")

    def test_a_header_that_is_cut_or_goes_on(self):
        right = header(CAPTURE, 1, BEGIN + 1, capture(1).fields)
        bad = ((right[:-1], "cut short"), (right + b"\0", "bytes after its end"), (b"", "an unknown kind"))
        for raw, reason in bad:
            self.assert_refused(one(with_header(capture(1), raw)), f"record 1: {reason}")

    def test_a_header_with_another_position(self):
        record = with_header(capture(1), header(CAPTURE, 2, BEGIN + 1, capture(1).fields))
        self.assert_refused(one(record), "record 1: its header says another position")

    def test_the_ends_of_a_batch_are_recorded_when_it_says(self):
        for change in ({"first_at": BEGIN - 1}, {"last_at": BEGIN + 3}):
            self.assert_refused(one(capture(1), batch_changes={0: change}), "not recorded when its batch says")

    def test_values_that_no_writer_writes(self):
        ward = len(ledger.name("ward-3"))
        bad = [
            (changed(capture(1), 1, b"W"), "connection id"),
            (changed(capture(1), 0, b"\0"), "connection id"),
            (changed(capture(1), ward + 1, b"\xff"), "not UTF-8"),
            (changed(capture(1), ward + 15 + 12, b"\2"), "unknown verdict"),
            (changed(capture(1), -142, b"\2"), "flag"),
            (changed(capture(1), -137, b"\2"), "uncompressed point"),
            (changed(capture(1, kind=7), -1, b"\5"), "unknown state"),
            (changed(wrap(1, [1]), 8, b"\2"), "flag"),
            (wrap(1, [2, 1]), "do not ascend"),
            (wrap(1, [1, 1]), "do not ascend"),
            (changed(wrap(1, [1]), 9, b"\x10\x01"), "too many key ids"),
            (act(99), "unknown act"),
            (act(0), "unknown act"),
            (destruction([1], reason=9), "unknown reason"),
            (gap(cause=8), "unknown cause"),
            (gap("Ward"), "connection id"),
        ]
        for record, reason in bad:
            with self.subTest(reason=reason):
                self.assert_refused(one(record), reason)


class Bodies(Case):
    def test_a_key_that_is_not_the_one_committed_to(self):
        for record in (capture(1), act(), destruction([1])):
            record.key = b"\x77" * 32
            self.assert_refused(one(record), "record 1: the key is not the one committed to")

    def test_a_body_that_does_not_open_with_the_right_key(self):
        for record in (capture(1), act(), destruction([1])):
            record.body = record.body[:-1] + bytes([record.body[-1] ^ 1])
            self.assert_refused(one(record), "record 1: does not open")

    def test_a_chunk_is_bound_to_its_place_in_its_capture(self):
        for at, raw in ((-158, b"\x09"), (-142, b"\0"), (-138, b"\x09")):
            self.assert_refused(one(changed(capture(1), at, raw)), "record 1: does not open")

    def test_a_chunk_that_is_too_long_or_too_short(self):
        self.assert_refused(one(capture(1, plain=bytes(1_048_577))), "record 1: its body is too long")
        self.assert_holds(one(capture(1, plain=bytes(1_048_576))))
        for disclosed in (True, False):
            record = capture(1, disclosed=disclosed)
            record.body = bytes(15)
            self.assert_refused(one(record), "record 1: too short to be sealed")

    def test_wraps_and_gaps_have_neither_body_nor_key(self):
        for record in (wrap(1, [1]), gap()):
            record.body = b"x"
            self.assert_refused(one(record), "record 1: has a body or a key")
            record.body, record.key = b"", b"\x01" * 32
            self.assert_refused(one(record), "record 1: has a body or a key")

    def test_a_destruction_has_a_body_and_a_key_or_neither(self):
        without = destruction([1])
        without.body = b""
        self.assert_refused(one(without), "a body without a key, or a key without a body")
        with_one = destruction([1], with_body=False)
        with_one.body = bytes(20)
        self.assert_refused(one(with_one), "a body without a key, or a key without a body")
        disclosed = destruction([1], with_body=False)
        disclosed.key = b"\x01" * 32
        self.assert_refused(one(disclosed), "a key for no body")


class Parts(Case):
    def item(self, plain=b"words", key=b"\x30" * 32, disclosed=True) -> Item:
        return Item(item(1, 0, plain, key), key if disclosed else None)

    def refused(self, one_item: Item, reason: str):
        self.assert_refused(one(capture(1, disclosed=False), part(1, [1], [one_item])), reason)

    def test_an_item_whose_key_is_wrong_or_does_not_open(self):
        broken = self.item()
        broken.key = b"\x31" * 32
        self.refused(broken, "item 0 of record 2: the key is not the one committed to")
        broken = self.item()
        broken.raw = broken.raw[:-1] + bytes([broken.raw[-1] ^ 1])
        self.refused(broken, "item 0 of record 2: does not open")

    def test_an_item_is_bound_to_its_place(self):
        for at in (3, 11, 15):
            moved = self.item()
            moved.raw = moved.raw[:at] + b"\x07" + moved.raw[at + 1 :]
            self.refused(moved, "item 0 of record 2: does not open")

    def test_an_item_of_another_source_does_not_open(self):
        record = part(0, [1], [self.item()])
        self.assert_refused(one(capture(1, disclosed=False), record), "item 0 of record 2: does not open")

    def test_an_item_that_is_too_long_cut_or_not_as_long_as_it_says(self):
        self.refused(self.item(bytes(1_048_577)), "item 0 of record 2: too long")
        for length in (0, 51):
            cut = self.item()
            cut.raw = cut.raw[:length]
            self.refused(cut, "item 0 of record 2: cut short")
        longer = self.item()
        longer.raw += b"x"
        self.refused(longer, "item 0 of record 2: not as long as it says")
        empty = self.item(disclosed=False)
        empty.raw = empty.raw[:48] + bytes(4)
        self.refused(empty, "too short to be sealed")

    def test_items_lead_to_the_root_and_use_up_the_count(self):
        record = part(1, [1], [self.item(), self.item()])
        record.fields = record.fields[:-32] + bytes(32)
        self.assert_refused(one(record), "record 1: its items do not lead to its root")
        for count in (1, 3):
            record = part(1, [1], [self.item(), self.item()])
            record.fields = record.fields[:-36] + struct.pack(">I", count) + record.fields[-32:]
            self.assert_refused(one(record), "record 1: items are missing" if count == 3 else "record 1: its items do")


class Frames(Case):
    """Bundles whose frames are put in order by hand."""

    def refused(self, reason: str, change):
        bundle = sample()
        frames = bundle.make_frames()
        change(frames)
        bundle.frames = frames
        self.assert_refused(bundle, reason)

    def test_the_frames_of_the_sample_are_where_these_tests_think(self):
        kinds = [kind for kind, _ in sample().make_frames()]
        self.assertEqual(kinds, [1, 2, 2, 2, 2, 4, 5, 3, 3, 5, 1, 2, 2, 3, 2, 1, 2, 2, 2, 2, 2, 3])

    def test_a_frame_that_is_left_out_moves_the_rest(self):
        for at, reason in ((0, "outside a batch"), (1, "another position"), (5, "an item outside a part")):
            self.refused(reason, lambda frames: frames.pop(at))
        self.refused("", lambda frames: frames.pop(6))
        self.refused("ends too early", lambda frames: frames.pop())
        self.refused("leaves are missing", lambda frames: frames.pop(14))

    def test_a_frame_that_stands_twice(self):
        for at in range(22):
            self.refused("", lambda frames: frames.insert(at, frames[at]))

    def test_an_unknown_frame(self):
        for kind in (0, 6, 255):
            self.refused("an unknown frame", lambda frames: frames.insert(3, (kind, b"")))

    def test_a_frame_that_is_cut(self):
        for at in range(22):
            for length in (0, 1, 4, 5, 6, 7, 8, 32, 36, 37, 38, 39):
                def cut(frames):
                    frames[at] = (frames[at][0], frames[at][1][:length])
                if length < len(sample().make_frames()[at][1]):
                    self.refused("", cut)

    def test_a_locator_that_does_not_fit(self):
        for at, where in ((1, "record 0"), (5, "record 4"), (6, "item 0 of record 4")):
            def wrong(frames):
                kind, payload = frames[at]
                frames[at] = (kind, bytes([payload[0] ^ 1]) + payload[1:])
            self.refused(f"{where}: not what its locator says", wrong)

    def test_a_disclosure_that_is_neither_nor(self):
        def wrong(frames):
            kind, payload = frames[1]
            frames[1] = (kind, payload[:4] + b"\2" + payload[5:])
        self.refused("record 0: neither locked nor disclosed", wrong)

    def test_a_leaf_that_is_hashed_as_a_node(self):
        """The byte before a leaf is 1, and the locator is that of the hash with it."""
        for at, zero_at, reason in (
            (0, 9 + 32 * 2, "batch 0: no zero byte before its record"),
            (1, 39, "record 0: no zero byte before its header"),
            (5, 5, "record 4: a part with a disclosure"),
            (6, 37, "item 0 of record 4: no zero byte before it"),
        ):
            def wrong(frames):
                kind, payload = frames[at]
                self.assertEqual(payload[zero_at], 0)
                hashed = b"\1" + payload[zero_at + 1 :]
                locator = payload[:4] if kind == 1 else sha256(hashed).digest()[:4]
                frames[at] = (kind, locator + payload[4:zero_at] + hashed)
            self.refused(reason, wrong)

    def test_a_part_with_a_key(self):
        def wrong(frames):
            kind, payload = frames[5]
            frames[5] = (kind, payload[:4] + b"\1" + payload[5:])
        self.refused("record 4: a part with a disclosure", wrong)

    def test_a_header_that_is_said_to_be_longer_than_its_frame(self):
        def wrong(frames):
            kind, payload = frames[1]
            frames[1] = (kind, payload[:37] + b"\xff\xff" + payload[39:])
        self.refused("record 0: cut short", wrong)

    def test_a_part_shown_as_an_entry_and_an_entry_as_a_part(self):
        def as_entry(frames):
            payload = frames[5][1]
            frames[5] = (2, payload[:5] + struct.pack(">H", len(payload) - 6) + payload[5:])
        self.refused("a part where an entry must stand", as_entry)
        bundle = one(wrap(0, [1]))
        frames = bundle.make_frames()
        payload = frames[2][1]
        frames[2] = (4, payload[:5] + payload[7:])
        bundle.frames = frames
        self.assert_refused(bundle, "record 1: not a part")

    def test_an_omitted_stretch_in_pieces_or_too_large(self):
        """Records 0 to 3 as two stretches of two instead of one of four."""
        batch = [capture(number + 1) for number in range(5)]
        for record in batch[:4]:
            record.shown = False
        bundle = Bundle([batch])
        frames, hashes = bundle.make_frames(), [record.hash() for record in batch]
        self.assertEqual(frames[1], (3, b"\2" + ledger.root_of(hashes[:4])))
        halves = [(3, b"\1" + ledger.root_of(hashes[at : at + 2])) for at in (0, 2)]
        bundle.frames = frames[:1] + halves + frames[2:]
        self.assert_refused(bundle, "where none of its size may stand")
        for height in (3, 32, 63, 64, 255):
            bundle.frames = frames[:1] + [(3, bytes([height]) + bytes(32))]
            self.assert_refused(bundle, "where none of its size may stand")

    def test_neighbours_that_are_not_halves_may_stand(self):
        batch = [capture(number + 1) for number in range(6)]
        for record in batch[1:5]:
            record.shown = False
        frames = Bundle([batch]).make_frames()
        self.assertEqual([payload[0] for kind, payload in frames if kind == 3], [0, 1, 0])
        self.assert_holds(Bundle([batch]))

    def test_a_batch_that_shows_nothing(self):
        bundle = Bundle([[capture(1)], [capture(2)]])
        bundle.batches[1][0].shown = False
        self.assert_refused(bundle, "batch 1: shows no leaf")

    def test_a_frame_that_is_too_long(self):
        bundle = sample(members_changed={"evidence": struct.pack(">BI", 1, 16_777_217)})
        self.assert_refused(bundle, "evidence: a frame is too long")


class Batches(Case):
    def test_a_batch_that_is_not_of_the_log(self):
        bundle = sample()
        bundle.frames = sample(batch_changes={1: {"node": "n2"}}).make_frames()
        self.assert_refused(bundle, "batch 0: not in the log of the checkpoint")

    def test_a_batch_of_another_zone_or_of_nothing(self):
        self.assert_refused(sample(batch_changes={1: {"zone": "eu"}}), "batch 1: not of this format, suite and zone")
        self.assert_refused(sample(batch_changes={1: {"count": 0}}), "batch 1: an empty batch")
        self.assert_refused(sample(batch_changes={1: {"node": ""}}), "batch 1: no node")
        self.assert_refused(sample(batch_changes={1: {"more": b"x"}}), "batch 1: bytes after its end")

    def test_batches_in_another_order_or_twice(self):
        for shown in ([1, 0, 2], [0, 0], [2, 1]):
            bundle = sample(shown_batches=shown)
            self.assert_refused(bundle, "does not follow the batch before it")

    def test_positions_with_a_hole_or_an_overlap_between_batches(self):
        for first in (4, 6):
            self.assert_refused(sample(batch_changes={1: {"first": first}}), "batch 1: does not follow")
        self.assert_refused(sample(batch_changes={0: {"first": 1}}), "batch 0: does not follow")
        bundle = sample(shown_batches=[0, 2], batch_changes={2: {"first": 5}})
        self.assert_refused(bundle, "batch 2: does not follow")

    def test_a_root_that_its_leaves_do_not_lead_to(self):
        bundle = sample(batch_changes={2: {"root": bytes(32)}})
        self.assert_refused(bundle, "batch 2: its leaves do not lead to its root")

    def test_positions_beyond_the_last(self):
        bundle = sample(shown_batches=[2], batch_changes={2: {"first": (1 << 64) - 1}})
        self.assert_refused(bundle, "batch 2: positions beyond the last")


class Numbers(Case):
    def test_each_number_of_the_manifest_is_compared(self):
        wrong = {"bytes": 1, "crc32": "00000000", "digest": "00" * 32}
        wrong |= {"batches": 4, "entries": 12, "items": 3, "disclosed": 0}
        for name, value in wrong.items():
            bundle = sample(manifest_changes={"evidence": {name: value}})
            self.assert_refused(bundle, f"evidence: `{name}` is not that of the manifest")

    def test_the_digest_tells_whether_a_key_is_disclosed(self):
        bundle, without = sample(), sample()
        without.batches[0][1].key = None
        self.assertNotEqual(bundle.stated(bundle.members())["evidence"]["digest"],
                            without.stated(without.members())["evidence"]["digest"])


class Derivations(Case):
    def test_an_act_of_another_code_does_not_open(self):
        record = changed(act(1), 0, b"\0\2")
        self.assert_refused(one(record), "record 1: does not open")

    def test_a_destruction_of_another_reason_does_not_open(self):
        record = changed(destruction([1], reason=2), 0, b"\0\1")
        self.assert_refused(one(record), "record 1: does not open")

    def test_the_commitment_is_looked_at_before_anything_is_opened(self):
        record = changed(capture(1), -32, bytes(32))
        self.assert_refused(one(record), "record 1: the key is not the one committed to")


if __name__ == "__main__":
    unittest.main()
