"""Steps 8 and 9: what is said of messages and gaps must be what the evidence shows."""

import unittest

from verifier import jsontext
from verifier.outcome import DoesNotHold
from verifier.shown import Bound, Shown, Stretches

from .cases import Case, sample
from .ledger import Bundle, Item, act, capture, destruction, gap, item, part, wrap

LINE = {"id": "1.0", "state": "raw", "connector": "whatsapp-cloud", "connector_version": 1, "record": {}}


def states(batch: list, **by_id: str) -> Bundle:
    """A bundle of one batch that says these states; `m1_0` is the message 1.0."""
    return Bundle([batch], states={id_[1:].replace("_", "."): state for id_, state in by_id.items()})


class Lines(Case):
    def line(self, reason: str, **changes):
        bundle = Bundle([[act(), capture(1)]], messages=[LINE | changes])
        self.assert_refused(bundle, reason)

    def test_a_line_as_it_is_described(self):
        self.assert_holds(Bundle([[act(), capture(1)]], messages=[LINE]))

    def test_fields_that_are_not_as_described(self):
        bad = ("1", "1.", ".1", "01.0", "1.00", "1.0 ", "+1.0", "1.-0", "1.4294967295", f"{1 << 64}.0", "\u0661.0", 1)
        for id_ in (*bad, None):
            self.line("not an id", id=id_)
        for connector in ("", None, 1):
            self.line("no connector", connector=connector)
        for version in (-1, 1.0, 1 << 32, "1", None, True):
            self.line("no version of the connector", connector_version=version)
        for record in (None, [], "text", 1):
            self.line("not the record of its state", record=record)
        for state in ("RAW", "", None, 1, "gone"):
            self.line("an unknown state", state=state)
        self.line("not the record of its state", state="erased")
        self.line("other fields than those of format 1", more=1)

    def test_lines_that_are_no_such_object(self):
        whole = jsontext.spelled(LINE)
        twice = whole.replace(b'"state":"raw"', b'"state":"raw","state":"raw"')
        moved = jsontext.spelled(dict(reversed(LINE.items())))
        nested = whole.replace(b"{}", b'{"a":{"b":1,"b":1}}')
        for raw in (nested, b"", b"[]", b"null", b"{}", whole[:-1], whole + b"x", b"\xef\xbb\xbf" + whole, twice, moved,
                    whole.replace(b"{}", b'{"a":NaN}'), whole.replace(b"{}", b'{"a":"\xff"}'),
                    whole.replace(b"{}", b'{"a":"\\ud800"}'), whole.replace(b"{}", b"[" * 100_000)):
            bundle = Bundle([[act(), capture(1)]], members_changed={"messages.jsonl": raw + b"\n"})
            self.assert_refused(bundle, "messages.jsonl, line 1: ")

    def test_bounds_of_a_record(self):
        def line(record: str) -> Bundle:
            raw = jsontext.spelled(LINE).decode().replace("{}", '{"a":' + record + "}")
            return Bundle([[act(), capture(1)]], members_changed={"messages.jsonl": raw.encode() + b"\n"})

        def nested(depth: int) -> str:
            return "[" * depth + "]" * depth

        for record in (nested(125), "-0", "1e308", "9" * 300, '"\\ud83d\\ude00"', '{"\\u0061":1}'):
            self.assert_holds(line(record))
        for record in (nested(126), nested(500), "1e309", "-1e309", "9" * 310, "01", "1.", ".5", "+1", "Infinity",
                       '"\\udc00"', '{"a":1,"\\u0061":2}', '"\t"', "'a'"):
            self.assert_refused(line(record), "messages.jsonl, line 1: ")
        # Other spellings of what the line itself says.
        whole = jsontext.spelled(LINE)
        for raw in (whole.replace(b'"1.0"', b'"\\u0031.0"'), whole.replace(b"raw", b"r\\u0061w"),
                    whole.replace(b":", b" : "), whole.replace(b'"whats', b'"\\u0077hats')):
            self.assert_holds(Bundle([[act(), capture(1)]], members_changed={"messages.jsonl": raw + b"\n"}))
        for version in (b"-0", b"1e0", b"1.0", b"4294967296", b"01"):
            raw = whole.replace(b'version":1', b'version":' + version)
            bundle = Bundle([[act(), capture(1)]], members_changed={"messages.jsonl": raw + b"\n"})
            self.assert_refused(bundle, "messages.jsonl, line 1: ")

    def test_a_last_line_without_an_end(self):
        bundle = Bundle([[act(), capture(1)]], members_changed={"messages.jsonl": jsontext.spelled(LINE)})
        self.assert_refused(bundle, "messages.jsonl, line 1: no end")

    def test_ids_ascend_by_number(self):
        batch = [capture(number + 1) for number in range(12)]
        self.assert_holds(states(batch, m2_9="raw", m2_10="raw", m10_0="raw"))
        for ids in (("m10_0", "m2_0"), ("m2_10", "m2_9")):
            self.assert_refused(states(batch, **{id_: "raw" for id_ in ids}), "line 2: ids do not ascend")
        self.assert_refused(Bundle([batch], messages=[LINE, LINE]), "line 2: ids do not ascend")

    def test_number_length_and_hash_are_those_of_the_manifest(self):
        self.assert_refused(sample(manifest_changes={"messages": 6}), "messages.jsonl: not the number of lines")
        for name in ("messages.jsonl", "gaps.jsonl"):
            for field, value in (("bytes", 1), ("sha256", "00" * 32)):
                bundle = sample()
                members = bundle.stated(bundle.members())["members"]
                next(one for one in members if one["name"] == name)[field] = value
                bundle.manifest_changes = {"members": members}
                self.assert_refused(bundle, f"{name}: not the length and hash of the manifest")


class Raw(Case):
    def test_a_capture_is_opened_when_all_its_chunks_are(self):
        two = [capture(1, 0, False), act(), capture(1, 1, True)]
        self.assert_holds(states(two, m0_0="raw"))

    def test_a_capture_that_is_not_opened(self):
        def chunk(number: int, last=False, **changes):
            return capture(1, number, last, **changes)

        other = b"\x09" * 32
        for batch in (
            [capture(1, disclosed=False)],
            [act(), capture(1)],
            [chunk(0), chunk(1, True, disclosed=False)],
            [chunk(0, disclosed=False), chunk(1, True)],
            [chunk(0), chunk(2, True)],
            [chunk(0), chunk(1)],
            [chunk(0), chunk(0), chunk(2, True)],
            [chunk(0), chunk(2), chunk(1, True)],
            [chunk(0), chunk(1, True, key=other)],
            [chunk(0), capture(2, 1, True)],
        ):
            self.assert_refused(states(batch, m0_0="raw"), "message 0.0: its state is not what the evidence shows")

    def test_two_captures_whose_chunks_alternate(self):
        batch = [capture(1, 0, False), capture(2, 0, False), capture(2, 1, True), capture(1, 1, True)]
        self.assert_holds(states(batch, m0_0="raw", m1_0="raw"))
        self.assert_refused(states(batch, m2_0="raw"), "message 2.0")


class Erased(Case):
    """A capture at 0 with its wraps, and what destroys them."""

    def holds(self, *batch, **by_id):
        self.assert_holds(states(list(batch), **(by_id or {"m0_0": "erased"})))

    def refused(self, *batch, **by_id):
        self.assert_refused(states(list(batch), **(by_id or {"m0_0": "erased"})), "its state is not what")

    def test_each_wrap_has_lost_a_secret(self):
        locked = capture(1, disclosed=False)
        self.holds(locked, wrap(0, [1, 2]), destruction([2]))
        self.holds(locked, wrap(0, [1, 2]), wrap(0, [3]), destruction([2]), destruction([3], with_body=False))
        self.refused(locked, wrap(0, [1, 2]), wrap(0, [3]), destruction([2]))
        self.refused(locked, wrap(0, [1, 2]), destruction([3]))
        self.refused(locked, wrap(0, [1, 2]))

    def test_a_wrap_must_be_shown_and_of_this_capture_and_not_mixed(self):
        locked = capture(1, disclosed=False)
        self.refused(locked, destruction([1]))
        self.refused(locked, wrap(5, [1]), destruction([1]))
        self.refused(locked, wrap(0, [1], mixed=True), destruction([1]))

    def test_the_capture_must_be_shown_without_a_key(self):
        self.refused(capture(1), wrap(0, [1]), destruction([1]))
        self.refused(act(), wrap(0, [1]), destruction([1]))
        hidden = capture(1, disclosed=False)
        hidden.shown = False
        self.refused(hidden, wrap(0, [1]), destruction([1]))

    def test_a_later_chunk_with_a_key_opens_an_earlier_one_without(self):
        first, second = capture(1, 0, False, disclosed=False), capture(1, 1, True)
        self.refused(first, second, wrap(0, [1]), destruction([1]))
        locked = capture(1, 1, True, disclosed=False)
        self.holds(first, locked, wrap(0, [1]), destruction([1]))

    def test_a_destruction_anywhere_in_the_bundle_counts(self):
        locked = capture(1, disclosed=False)
        bundle = Bundle([[locked], [wrap(0, [1])], [destruction([1])]], states={"0.0": "erased"})
        self.assert_holds(bundle)

    def locked_item(self, ordinal: int, disclosed=False) -> Item:
        key = b"\x30" * 32
        return Item(item(0, ordinal, b"x", key), key if disclosed else None)

    def test_a_part_that_has_lost_a_secret(self):
        source = capture(1, disclosed=False)
        self.holds(source, part(0, [1, 2], [self.locked_item(3)]), destruction([2]), m0_3="erased")
        self.refused(source, part(0, [1, 2], [self.locked_item(3)]), destruction([3]), m0_3="erased")
        self.refused(source, part(0, [1, 2], [self.locked_item(3)]), destruction([2]), m0_4="erased")
        self.refused(source, part(0, [1, 2], [self.locked_item(3, True)]), destruction([2]), m0_3="erased")

    def test_a_message_that_came_without_consent_is_erased_by_a_destruction_for_reason_4(self):
        source = capture(1, disclosed=False)
        for with_body in (True, False):
            gone = destruction([9], reason=4, with_body=with_body)
            self.holds(source, part(0, [9], [self.locked_item(3)]), gone, m0_3="erased")
            self.refused(source, part(0, [8], [self.locked_item(3)]), gone, m0_3="erased")
            self.refused(source, part(0, [9], [self.locked_item(3, True)]), gone, m0_3="erased")

    def test_each_part_that_shows_the_message_has_lost_a_secret(self):
        source = capture(1, disclosed=False)
        both = [part(0, [1], [self.locked_item(3)]), part(0, [2], [self.locked_item(3)])]
        self.refused(source, *both, destruction([1]), m0_3="erased")
        self.holds(source, *both, destruction([1, 2]), m0_3="erased")
        half = [part(0, [1], [self.locked_item(3)]), part(0, [1], [self.locked_item(3, True)])]
        self.refused(source, *half, destruction([1]), m0_3="erased")
        self.holds(source, *half, destruction([1]), m0_3="part")

    def test_a_live_wrap_opens_what_a_dead_part_held(self):
        source = capture(1, disclosed=False)
        dead = part(0, [1], [self.locked_item(3)])
        self.refused(source, wrap(0, [2]), dead, destruction([1]), m0_3="erased")
        self.holds(source, wrap(0, [1, 2]), dead, destruction([1]), m0_3="erased")
        self.holds(source, wrap(0, [2], mixed=True), dead, destruction([1]), m0_3="erased")

    def test_an_opened_capture_opens_what_its_parts_held(self):
        dead = part(0, [1], [self.locked_item(3)])
        self.refused(capture(1), dead, destruction([1]), m0_3="erased")
        self.holds(capture(1), dead, destruction([1]), m0_3="raw")

    def test_a_message_is_of_a_part_only_when_an_item_of_it_is_opened(self):
        source = capture(1, disclosed=False)
        shown = part(0, [1], [self.locked_item(3, True), self.locked_item(4)])
        self.holds(source, shown, m0_3="part")
        self.refused(source, shown, m0_4="part")
        self.refused(source, shown, m1_3="part")
        self.refused(capture(1), m0_0="part")


class Gaps(Case):
    def test_just_the_lines_of_the_gap_entries(self):
        right = sample().gap_lines()
        self.assertEqual(right.count(b"\n"), 1)
        for raw in (b"", right * 2, right[:-1], right.replace(b":3}", b":4}"), right.replace(b'"ward-3"', b"null")):
            bundle = sample(members_changed={"gaps.jsonl": raw})
            self.assert_refused(bundle, "gaps.jsonl: not the lines of the gap entries")
        self.assert_refused(sample(manifest_changes={"gaps": {"count": 2}}), "gaps.jsonl: not the number")

    def test_a_time_that_has_no_text(self):
        far = (1 << 63) - 1
        bundle = Bundle([[gap(to=far)]], members_changed={"gaps.jsonl": b""})
        self.assert_refused(bundle, "record 0: a time that cannot be written")

    def test_how_times_are_written(self):
        for microseconds, text in (
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59.999999Z"),
            (1_700_000_060_250_000, "2023-11-14T22:14:20.25Z"),
            (1_709_164_800_000_010, "2024-02-29T00:00:00.00001Z"),
        ):
            self.assertEqual(jsontext.time_text(microseconds), text)
            self.assertTrue(jsontext.is_time(text))
        for text in ("2023-11-14T22:14:20.250Z", "2023-11-14T22:14:20.Z", "2023-11-14T22:14:20+00:00",
                     "2023-02-29T00:00:00Z", "2023-11-14T24:00:00Z", "2023-11-14t22:14:20z", "2023-11-14T22:14:60Z",
                     "2023-11-14T22:14:20.0000001Z"):
            self.assertFalse(jsontext.is_time(text), text)


class Memory(unittest.TestCase):
    def test_numbers_that_follow_one_another_cost_nothing(self):
        stretches = Stretches(Bound(size_bytes=200))
        for value in range(100_000):
            stretches.add(value)
        self.assertTrue(99_999 in stretches and 100_000 not in stretches)

    def test_a_bundle_that_needs_more_is_refused(self):
        shown = Shown(Bound(size_bytes=10_000))
        with self.assertRaises(DoesNotHold):
            for position in range(0, 100_000, 2):
                shown.chunk(position, b"", 0, True, b"", True)

    def test_a_set_that_was_not_filled_in_order(self):
        stretches = Stretches(Bound())
        for value in (9, 3, 4, 8, 1, 4):
            stretches.add(value)
        self.assertEqual([value for value in range(12) if value in stretches], [1, 3, 4, 8, 9])


if __name__ == "__main__":
    unittest.main()
