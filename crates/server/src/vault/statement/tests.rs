use model::Timestamp;

use super::{Day, due};

fn check(first: &str, stated: Option<&str>, now: &str, expected: Option<(&str, &str)>) {
    let day = |text: &str| Day::read(text).unwrap();
    let found = due(day(first), stated.map(day), Timestamp::parse(now).unwrap());
    let found = found.map(|(from, to)| (from.text(), to.text()));
    let found = found.as_ref().map(|(from, to)| (from.as_str(), to.as_str()));
    assert_eq!(found, expected, "first {first}, stated {stated:?}, now {now}");
}

#[test]
fn a_day_is_due_ten_minutes_after_its_end_and_never_before_or_again() {
    let first = "2026-01-30";
    check(first, None, "2026-01-30T23:59:59Z", None);
    check(first, None, "2026-01-31T00:09:59Z", None);
    check(first, None, "2026-01-31T00:10:00Z", Some((first, first)));
    check(first, Some(first), "2026-01-31T23:59:59Z", None);
    check(
        first,
        Some(first),
        "2026-02-01T00:10:00Z",
        Some(("2026-01-31", "2026-01-31")),
    );
    // The clock stands before the first entry, or before the epoch of all clocks.
    check(first, None, "2025-01-01T12:00:00Z", None);
    check(first, Some(first), "1970-01-01T00:00:00Z", None);
}

#[test]
fn missed_days_are_stated_one_by_one_and_those_long_ago_together() {
    let first = "2026-01-01";
    check(
        first,
        Some("2026-01-02"),
        "2026-01-06T09:00:00Z",
        Some(("2026-01-03", "2026-01-03")),
    );
    check(first, None, "2026-02-01T09:00:00Z", Some((first, first)));
    check(first, None, "2026-02-02T09:00:00Z", Some((first, first)));
    check(first, None, "2026-02-04T09:00:00Z", Some((first, "2026-01-03")));
    check(
        first,
        Some("2026-01-03"),
        "2026-02-04T09:00:00Z",
        Some(("2026-01-04", "2026-01-04")),
    );
    check(first, None, "2036-01-01T09:00:00Z", Some((first, "2035-11-30")));
}

#[test]
fn a_day_is_read_only_in_its_one_form() {
    for text in [
        "",
        "2026-1-1",
        "2026-02-30",
        "yesterday",
        "2026-01-01T00:00:00Z",
        "01.02.2026",
        "2026-01-01 ",
    ] {
        assert_eq!(Day::read(text), None, "{text}");
    }
    assert_eq!(Day::read("2024-02-29").unwrap().text(), "2024-02-29");
}
