//! The comparison for people.

use serde_json::Value;

use crate::print::{Words, clean};

/// Of a text.
const EXCERPT: usize = 100;

fn at<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or("-")
}

fn number(value: &Value, path: &str) -> u64 {
    value.pointer(path).and_then(Value::as_u64).unwrap_or(0)
}

/// A difference and both places.
pub fn difference_words(item: &Value) -> String {
    let mut names = Vec::new();
    let mut notes = Vec::new();
    for of in item
        .get("differs")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let what = match at(of, "/what") {
            "missing-in-a" => "missing in A",
            "missing-in-b" => "missing in B",
            "text" => "text differs",
            "author" => "author differs",
            "time" => "time differs",
            "order" => "order differs",
            _ => "file differs",
        };
        names.push(format!("{what} ({})", at(of, "/certainty")));
        notes.extend(of.get("note").and_then(Value::as_str));
    }
    let mut text = names.join(", ");
    if !notes.is_empty() {
        text.push_str(&format!(": {}", notes.join("; ")));
    }
    let mut lines = format!("{}\n", clean(&text));
    for (name, side) in [("A", item.get("a")), ("B", item.get("b"))] {
        let Some(side) = side.filter(|side| !side.is_null()) else {
            continue;
        };
        let place = match side.pointer("/place/id").and_then(Value::as_str) {
            Some(id) => id.to_owned(),
            None => format!("no. {}", number(side, "/place/record")),
        };
        let words: String = match side.get("text").and_then(Value::as_str) {
            Some(text) => text.chars().take(EXCERPT).collect(),
            None => format!("({})", at(side, "/content")),
        };
        let line = format!(
            "  {name} {place}  {}  {}: {words}",
            at(side, "/at"),
            at(side, "/author")
        );
        lines.push_str(&format!("{}\n", clean(&line)));
    }
    lines
}

/// What stands below.
pub fn words(outcome: &Value) -> Words {
    let mut words = Words::new();
    let count = |path: &str| number(outcome, path).to_string();
    words.line(match at(outcome, "/verdict") {
        "same" => "Where both reach, both say the same.",
        "differs" => "They differ.",
        _ => "Too little in common to compare them: nothing is claimed of single messages.",
    });
    for (name, side) in [("A", "/a"), ("B", "/b")] {
        let one = |field: &str| format!("{side}/{field}");
        words.line(&format!(
            "{name}: {} messages, {} to {}; clock: {}{}",
            count(&one("messages")),
            at(outcome, &one("first")),
            at(outcome, &one("last")),
            at(outcome, &format!("/clock{side}")),
            match outcome.pointer(&format!("/clock/other_reading_{}", name.to_lowercase())) {
                Some(Value::Bool(true)) => "; day and month read the other way, as fits the other side",
                _ => "",
            }
        ));
    }
    clock_words(&mut words, outcome);
    people_words(&mut words, outcome);
    let mut rows: Vec<(&str, String)> = Vec::new();
    for (name, path) in [
        ("same", "/counts/same"),
        ("missing in B", "/counts/missing_in_b"),
        ("missing in A", "/counts/missing_in_a"),
        ("text differs", "/counts/text_differs"),
        ("author differs", "/counts/author_differs"),
        ("author unsure", "/counts/author_unsure"),
        ("time differs", "/counts/time_differs"),
        ("order differs", "/counts/order_differs"),
        ("file differs", "/counts/file_differs"),
        ("explained: deleted", "/explained/deleted"),
        ("explained: edited", "/explained/edited"),
        ("explained: media left out", "/explained/media_left_out"),
        ("explained: shown differently", "/explained/shown_differently"),
        ("explained: spelling", "/explained/spelling"),
        ("explained: arrival", "/explained/arrival"),
        ("explained: clock change", "/explained/clock_change"),
        ("A before B begins", "/outside/a_before_b"),
        ("A after B ends", "/outside/a_after_b"),
        ("B before A begins", "/outside/b_before_a"),
        ("B after A ends", "/outside/b_after_a"),
        ("differences not listed", "/not_listed"),
    ] {
        let always = path.starts_with("/counts/same") || path.starts_with("/counts/missing");
        if always || number(outcome, path) > 0 {
            rows.push((name, count(path)));
        }
    }
    words.pairs(&rows);
    if outcome
        .get("captured")
        .is_some_and(|captured| !captured.is_null())
    {
        words.line(&format!(
            "What was captured was looked at up to entry {} of {}; captures that no key opens: {}; erased: {}; gaps open: {}",
            count("/captured/normalized"),
            count("/captured/head"),
            count("/captured/unreadable"),
            count("/captured/erased"),
            count("/captured/gaps"),
        ));
    }
    if let Some(entry) = outcome.get("entry").filter(|entry| !entry.is_null()) {
        words.line(&format!("Written down as entry {entry}."));
    }
    words
}

fn clock_words(words: &mut Words, outcome: &Value) {
    let stretches = outcome.pointer("/clock/stretches").and_then(Value::as_array);
    let sure = outcome.pointer("/clock/sure").and_then(Value::as_bool) == Some(true);
    for stretch in stretches.into_iter().flatten().take(20) {
        let seconds = stretch.get("offset_s").and_then(Value::as_i64).unwrap_or(0);
        let (sign, all) = (
            if seconds < 0 { "behind" } else { "ahead of" },
            seconds.unsigned_abs(),
        );
        words.line(&format!(
            "B's clock is {:02}:{:02}:{:02} {sign} A's, {} to {} by A's; shown by {} messages{}",
            all / 3600,
            all / 60 % 60,
            all % 60,
            at(stretch, "/from"),
            at(stretch, "/to"),
            number(stretch, "/shown_by"),
            if sure {
                ""
            } else {
                ", too few to claim differences of time"
            },
        ));
    }
    let zones = outcome.pointer("/clock/zones").and_then(Value::as_array);
    let zones: Vec<&str> = zones.into_iter().flatten().filter_map(Value::as_str).collect();
    if !zones.is_empty() {
        words.line(&format!("The local clock is UTC{}", zones.join(", UTC")));
    }
}

fn people_words(words: &mut Words, outcome: &Value) {
    let people = outcome.get("people").and_then(Value::as_array);
    let same = |pair: &&Value| pair.get("same").and_then(Value::as_bool) == Some(true);
    for pair in people.into_iter().flatten().filter(same).take(50) {
        words.line(&format!(
            "{} in A is {} in B: {} messages",
            at(pair, "/a"),
            at(pair, "/b"),
            number(pair, "/messages")
        ));
    }
    for absent in outcome
        .get("absent")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let (here, there) = match at(absent, "/absent_in") {
            "a" => ("B", "A"),
            _ => ("A", "B"),
        };
        words.line(&format!(
            "{there} has nothing at all by {}, who has {} messages in {here} where both reach",
            at(absent, "/author"),
            number(absent, "/messages")
        ));
    }
}
