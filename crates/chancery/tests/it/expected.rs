//! Messages that a connection is expected to bring, on the command line.

use serde_json::{Value, json};

use crate::capture::well;
use crate::consent::{IMPORT, said, strict};
use crate::run::{Place, Ran};

const PHRASE: &str = "daily test of the ward 4711";
const SET: [&str; 8] = [
    "capture",
    "expect",
    "generic-import",
    "daily",
    "--phrase-file",
    "phrase.txt",
    "--every",
    "24h",
];

fn line(id: &str, text: &str) -> String {
    let line = json!({ "platform_id": id, "conversation": { "id": "c" }, "sender": { "name": "Ann" },
        "sent_at": "2026-01-01T00:00:00Z", "text": text });
    format!("{line}\n")
}

/// With a connection, and a phrase in a file.
fn ward() -> Place {
    let place = Place::with_archive();
    place.write("first.jsonl", line("a", "the first"));
    place.on(&["import", "generic-import", "first.jsonl"]).done();
    place.secret("phrase.txt", &format!("{PHRASE}\n"));
    place
}

fn hours_later(place: &Place, hours: i64) {
    let clock = format!("+{}", hours * 3600);
    place.set_environment(vec![("CHANCERY_CLOCK".to_owned(), clock)]);
}

fn gaps(place: &Place) -> Vec<[Value; 3]> {
    let gaps = place.on(&["capture", "gaps", "--json"]).json();
    let one = |gap: &Value| {
        [
            gap["cause"].clone(),
            gap["state"].clone(),
            gap["closed"]["reason"].clone(),
        ]
    };
    let missed = |gap: &&Value| gap["cause"] == "canary-missed";
    gaps["gaps"]
        .as_array()
        .unwrap()
        .iter()
        .filter(missed)
        .map(one)
        .collect()
}

fn gap(state: &str, reason: Value) -> [Value; 3] {
    [json!("canary-missed"), json!(state), reason]
}

fn check(place: &Place) -> Option<bool> {
    well(
        &place.on(&["doctor", "--json"]).json(),
        "generic-import brings the expected message daily",
    )
}

#[test]
fn an_expected_message_is_set_listed_missed_told_and_removed_and_its_phrase_is_readable_nowhere_on_disk() {
    let place = ward();
    let set = place.on(&SET).done();
    assert!(
        set.contains("every 24h from now on, and missing 1h later"),
        "{set}"
    );
    place
        .on(&SET)
        .failed(73, "an expectation daily of generic-import already");
    let status = place.on(&["capture", "status"]).done();
    assert!(
        status.contains("generic-import/daily") && status.contains("24h"),
        "{status}"
    );
    assert_eq!(check(&place), Some(true));
    hours_later(&place, 26);
    assert_eq!(gaps(&place), [gap("open", Value::Null)]);
    assert_eq!(check(&place), Some(false));
    let words = place.on(&["capture", "gaps", "--open"]).done();
    assert!(
        words.contains("says which message; see whether it was sent"),
        "{words}"
    );
    place.write("second.jsonl", line("b", &format!("hello, {PHRASE}!")));
    place.on(&["import", "generic-import", "second.jsonl"]).done();
    assert_eq!(gaps(&place), [gap("closed", json!("resumed"))]);
    assert_eq!(check(&place), Some(true));
    hours_later(&place, 52);
    let twice = [gap("closed", json!("resumed")), gap("open", Value::Null)];
    assert_eq!(gaps(&place), twice);
    place
        .on(&["capture", "expect", "generic-import", "daily", "--remove"])
        .done();
    let over = [
        gap("closed", json!("resumed")),
        gap("closed", json!("no-longer-expected")),
    ];
    assert_eq!(gaps(&place), over);
    assert_eq!(check(&place), None);
    place.on(&["rebuild"]).done();
    assert_eq!(gaps(&place), over);
    place.on(&["export", "--all", "--out", "all.zip"]).done();
    assert!(!place.holds("archive", PHRASE.as_bytes()));
}

#[test]
fn each_mistake_with_an_expected_message_is_named_and_the_phrase_comes_from_a_file_or_standard_input() {
    let place = ward();
    let expect = |more: &[&str]| {
        let start = ["capture", "expect"];
        place.on(&[&start[..], more].concat())
    };
    let file = ["--phrase-file", "phrase.txt"];
    let with = |more: &[&str]| expect(&[more, &file[..]].concat());
    let misused = |ran: Ran, says: &str| {
        assert!(ran.err.contains(says), "{says}: {}", ran.err);
        ran.failed_with(64);
    };
    misused(expect(&["generic-import", "daily"]), "--phrase-file");
    misused(with(&["generic-import", "daily"]), "--every");
    misused(
        with(&["generic-import", "daily", "--every", "daily"]),
        "30m, 24h, 7d",
    );
    with(&["generic-import", "daily", "--every", "-1h"]).failed_with(64);
    misused(
        with(&["generic-import", "daily", "--every", "99999999999d"]),
        "30m, 24h, 7d",
    );
    with(&["generic-import", "daily", "--every", "1m"]).failed(64, "between 10m and 31d");
    with(&["generic-import", "daily", "--every", "1h", "--grace", "8d"]).failed(64, "at most 7d");
    with(&["generic-import", "Daily test", "--every", "1h"]).failed(64, "Daily test");
    with(&["ward-9", "daily", "--every", "1h"]).failed(65, "there is no connection ward-9");
    misused(with(&["generic-import", "daily", "--remove"]), "--remove");
    expect(&["generic-import", "daily", "--remove"]).failed(65, "expectation daily of generic-import");
    expect(&[
        "generic-import",
        "daily",
        "--every",
        "1h",
        "--phrase-file",
        "none.txt",
    ])
    .failed(74, "none.txt");
    place.secret("phrase.txt", "elf letters\n");
    with(&["generic-import", "daily", "--every", "1h"]).failed(64, "fewer than 12 characters");
    let all = [
        "capture",
        "expect",
        "generic-import",
        "daily",
        "--every",
        "1h",
        "--phrase-file",
        "-",
        "--data",
        "archive",
        "--passphrase-file",
        "pass.txt",
    ];
    place.fed(&all, format!("{PHRASE}\n").as_bytes()).done();
    assert_eq!(check(&place), Some(true));
}

#[test]
fn killed_at_any_step_an_arrival_counts_once_and_a_miss_is_one_gap() {
    for point in [
        "group-durable:1",
        "normalized-entries:1",
        "normalized-catalogue:1",
    ] {
        let place = ward();
        place.on(&SET).done();
        hours_later(&place, 20);
        place.write("second.jsonl", line("b", PHRASE));
        let import = ["import", "generic-import", "second.jsonl"];
        let dies = |arguments: &[&str], point: &str| {
            let mut dying = place.command(arguments);
            dying
                .args(["--data", "archive", "--passphrase-file", "pass.txt"])
                .env("CHANCERY_FAIL_POINT", point);
            assert_eq!(dying.output().unwrap().status.code(), None, "{point} is reached");
        };
        dies(&import, point);
        place.on(&import).done();
        hours_later(&place, 40);
        assert!(gaps(&place).is_empty(), "{point}");
        hours_later(&place, 46);
        // The gap is half written and cut off; then that this is a gap is written first, and the gap again.
        for step in ["group-half-written:1", "group-durable:2"] {
            dies(&["capture", "gaps"], step);
        }
        assert_eq!(gaps(&place), [gap("open", Value::Null)], "{point}");
        place.on(&["rebuild"]).done();
        assert_eq!(gaps(&place), [gap("open", Value::Null)], "{point}");
    }
}

#[test]
fn a_message_destroyed_at_once_for_want_of_consent_counts_as_arrived_after_a_rebuild_too() {
    let (place, _) = strict();
    place.write("first.jsonl", line("z", "the first"));
    place.on(&["import", "generic-import", "first.jsonl"]).done();
    place.secret("phrase.txt", "CANARY of one who withdrew");
    place.on(&SET).done();
    hours_later(&place, 20);
    place.write("said.jsonl", said());
    assert_eq!(place.on(&IMPORT).json()["erased"], 1);
    hours_later(&place, 40);
    for round in ["as it came", "made again"] {
        let found = place
            .on(&["search", "CANARY of one who withdrew", "--json"])
            .json();
        assert_eq!(found["results"], json!([]), "{round}");
        assert!(gaps(&place).is_empty(), "{round}");
        assert_eq!(check(&place), Some(true), "{round}");
        place.on(&["rebuild"]).done();
    }
    hours_later(&place, 46);
    assert_eq!(gaps(&place), [gap("open", Value::Null)]);
}
