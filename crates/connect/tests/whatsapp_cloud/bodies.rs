//! Whatever the bytes are: something is said, and spans hold.

use std::io::{self, Cursor, Read, Seek, SeekFrom};

use connect::{NotRecognized, ParseOptions, Span};
use proptest::prelude::*;
use serde_json::Value;

use super::sinks::{Collect, delivery, fixtures, parsed, problems};

fn in_range_and_apart(sink: &Collect, size: usize) {
    let mut spans: Vec<Span> = sink.records.iter().map(|(span, _)| *span).collect();
    spans.extend(&sink.belonging);
    spans.retain(|span| span.len > 0);
    spans.sort();
    for span in &spans {
        assert!(
            span.stream == 0 && span.offset + span.len <= size as u64,
            "a span lies in the body"
        );
    }
    for pair in spans.windows(2) {
        assert!(pair[0].offset + pair[0].len <= pair[1].offset, "spans lie apart");
    }
}

#[test]
fn spans_of_all_fixtures_lie_apart_cards_included() {
    for body in fixtures() {
        in_range_and_apart(&parsed(&body).0, body.len());
    }
}

#[test]
fn the_span_of_a_message_is_its_json_object() {
    for body in fixtures() {
        for (span, record) in parsed(&body).0.records {
            let (from, to) = (span.offset as usize, (span.offset + span.len) as usize);
            if record["kind"] == "message" {
                let own: Value = serde_json::from_slice(&body[from..to]).unwrap_or_default();
                if own.is_null() {
                    continue;
                }
                let id = own["id"].as_str().filter(|id| !id.is_empty());
                assert!(own["id"].is_number() || id == record["platform_id"].as_str());
            }
        }
    }
}

#[test]
fn a_body_cut_anywhere_is_understood_or_reported() {
    for body in fixtures().into_iter().filter(|body| body.len() < 3_000) {
        for end in 0..body.len() {
            let (sink, report) = parsed(&body[..end]);
            in_range_and_apart(&sink, end);
            assert!(
                report.problems + report.messages + report.events > 0,
                "something is said"
            );
        }
    }
}

#[test]
fn a_field_behind_hundreds_of_unknown_ones_is_read() {
    let unknown: String = (0..300).map(|n| format!("\"k{n}\":{n},")).collect();
    let message = format!(
        r#"{{{unknown}"id":"w","from":"447700900123","timestamp":"1767225600","type":"text","text":{{"body":"b"}}}}"#
    );
    let (sink, report) = parsed(delivery(&message).as_bytes());
    let (_, message) = sink.records.last().expect("the message comes last");
    assert_eq!(message["text"], "b");
    assert_eq!(report.problems, 300, "each unknown field is told once");
}

#[test]
fn more_fields_than_are_looked_at_are_a_problem() {
    let unknown: Vec<String> = (0..5_000).map(|n| format!("\"k{n}\":{n}")).collect();
    let told = problems(delivery(&format!("{{{}}}", unknown.join(","))).as_bytes());
    assert!(told.contains(&"too-many-fields".to_owned()));
}

#[test]
fn a_value_too_long_to_show_is_a_problem_and_the_message_stays() {
    let long = "x".repeat(2 << 20);
    let message = format!(
        r#"{{"id":"w","from":"447700900123","timestamp":"1767225600","type":"text","text":{{"body":"b"}},"referral":"{long}"}}"#
    );
    let (_, report) = parsed(delivery(&message).as_bytes());
    assert_eq!((report.messages, report.problems), (1, 1));
}

#[test]
fn problems_without_end_are_told_only_so_often() {
    for body in [delivery(&vec!["1"; 50_000].join(",")), "{\n".repeat(50_000)] {
        let told = problems(body.as_bytes());
        assert_eq!(told.len(), 10_001);
        assert_eq!(told.last().map(String::as_str), Some("too-many-problems"));
    }
}

#[test]
fn more_contact_cards_than_are_remembered_are_a_problem_and_belong_all_the_same() {
    let cards: Vec<String> = (0..10_001)
        .map(|n| format!(r#"{{"wa_id":"{}"}}"#, 447_700_900_000_u64 + n))
        .collect();
    let body = format!(
        r#"{{"entry":[{{"id":"1","changes":[{{"field":"messages","value":{{"contacts":[{}]}}}}]}}]}}"#,
        cards.join(",")
    );
    assert_eq!(problems(body.as_bytes()), ["too-many-contacts"]);
    assert_eq!(parsed(body.as_bytes()).0.belonging.len(), 10_001);
}

#[test]
fn more_members_than_a_group_can_have_are_a_problem() {
    let members: Vec<String> = (0..2_000)
        .map(|n| format!(r#"{{"wa_id":"{}"}}"#, 447_700_900_000_u64 + n))
        .collect();
    let body = format!(
        r#"{{"entry":[{{"id":"1","changes":[{{"field":"group_participants_update","value":{{"groups":[{{"type":"group_participants_add","group_id":"g","timestamp":"1767225600","added_participants":[{}]}}]}}}}]}}]}}"#,
        members.join(",")
    );
    let (sink, report) = parsed(body.as_bytes());
    assert_eq!((report.events, report.problems), (1_024, 1));
    assert_eq!(
        sink.records.iter().filter(|(span, _)| span.len > 0).count(),
        1,
        "one event owns the bytes"
    );
}

#[test]
fn an_edit_nested_a_million_deep_is_reported() {
    for unit in [r#"{"edit":{"message":"#, "[", r#"{"a":"#] {
        let body = unit.repeat(1_000_000);
        assert!(!problems(body.as_bytes()).is_empty());
    }
}

#[test]
fn a_long_list_is_recognized_by_its_first_element() {
    let one =
        r#"{"id":"w","from":"447700900123","timestamp":"1767225600","type":"text","text":{"body":"b"}}"#;
    let list = format!("[{}]", vec![one; 10_000].join(","));
    let connector = connect::find("whatsapp-cloud").expect("it is there");
    let seen = connector.recognize(&mut Cursor::new(&list), &ParseOptions::default());
    assert!(seen.is_ok());
    assert_eq!(parsed(list.as_bytes()).1.messages, 10_000);
}

#[test]
fn deliveries_inside_one_another_without_end_are_reported() {
    for (open, close) in [
        (r#"{"entry":[{"changes":[{"field":"f","value":{"w":"#, "}}]}]}"),
        (r#"{"w":{"field":"f","value":"#, "}}"),
        (r#"{"messages":[],"messaging_product":"whatsapp","w":"#, "}"),
        (r#"[{"w":"#, "}]"),
    ] {
        let inner = r#"{"statuses":[{"id":"w","status":"sent"}]}"#;
        let body = [&open.repeat(20_000), inner, &close.repeat(20_000)].concat();
        let (sink, _) = parsed(body.as_bytes());
        assert!(!sink.records.is_empty(), "{open}");
        in_range_and_apart(&sink, body.len());
    }
}

#[test]
fn nothing_in_a_body_is_left_without_a_record() {
    for body in fixtures() {
        let Ok(value) = serde_json::from_slice::<Value>(&body) else {
            continue;
        };
        let records = parsed(&body).0.records.len();
        let entries = value["entry"].as_array().into_iter().flatten();
        let changes = entries.flat_map(|entry| entry["changes"].as_array().into_iter().flatten());
        let lists = changes.flat_map(|change| change["value"].as_object().into_iter().flatten());
        let elements = lists
            .filter(|(name, _)| *name != "contacts")
            .filter_map(|(_, list)| list.as_array());
        let least = elements.map(Vec::len).sum::<usize>().max(1);
        assert!(records >= least, "{records} records of {least} elements");
    }
}

/// Zeros that are not in memory.
struct Zeros(u64);

impl Read for Zeros {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = buffer.len().min(usize::try_from(self.0).unwrap_or(usize::MAX));
        buffer[..count].fill(b' ');
        self.0 -= count as u64;
        Ok(count)
    }
}

impl Seek for Zeros {
    fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
        Ok(0)
    }
}

#[test]
fn a_body_over_the_limit_is_a_problem() {
    let mut sink = Collect::default();
    let connector = connect::find("whatsapp-cloud").expect("it is there");
    let report = connector
        .parse(&mut Zeros(1 << 40), &ParseOptions::default(), &mut sink)
        .expect("never fails");
    assert_eq!(report.problems, 1);
    assert_eq!(sink.records[0].1["code"], "too-large");
}

#[test]
fn a_history_of_many_thousand_messages_is_read_as_a_whole() {
    let one = r#"{"from":"447700900123","id":"w","timestamp":"1767225600","type":"text","text":{"body":"b"},"new":1}"#;
    let many = vec![one; 20_000].join(",");
    let body = format!(
        r#"{{"entry":[{{"id":"1","changes":[{{"field":"history","value":{{"history":[{{"threads":[{{"id":"447700900123","messages":[{many}]}}]}}]}}}}]}}]}}"#
    );
    let (_, report) = parsed(body.as_bytes());
    assert_eq!(
        (report.messages, report.problems),
        (20_000, 1),
        "the unknown field is told once"
    );
}

#[test]
fn files_that_are_no_webhook_bodies_are_not_recognized() {
    let connector = connect::find("whatsapp-cloud").expect("it is there");
    let seen = |bytes: &[u8]| connector.recognize(&mut Cursor::new(bytes), &ParseOptions::default());
    for body in [
        &b""[..],
        b" \n",
        b"PK\x03\x04zip",
        b"13/01/2024, 09:05 - A: hi",
        b"{\"a\":1}",
        b"[]",
        b"\xff\xfe{",
        b"{\"messages\":[{\"id\":1,\"type\":\"message\",\"date\":\"2026-01-01T00:00:00\",\"from\":\"Ada\"}]}",
        b"{\"contacts\":[{\"name\":\"Ada\"}]}",
        b"{\"errors\":[{\"code\":1}]}",
        b"{\"a\":{\"b\":{\"c\":{\"d\":{\"statuses\":[{\"id\":1,\"status\":\"sent\"}]}}}}}",
        b"[[[[[{\"errors\":[{\"code\":1,\"title\":\"t\"}]}]]]]]",
    ] {
        assert!(matches!(seen(body), Err(NotRecognized::Wrong { .. })));
    }
    for body in [
        "{\"entry\":[]}",
        "{\"field\":\"messages\",\"value\":{\"messaging_product\":\"whatsapp\"}}",
        "\u{feff} [{\"object\":\"x\",\"entry\":[]}]",
        "{\"entry\":[]}\n{\"entry\":[]}\n",
        "{\"contacts\":[{\"wa_id\":\"447700900123\"}]}",
        "{\"messages\":[{\"from\":\"447700900123\",\"timestamp\":\"1767225600\"}]}",
        "{\"statuses\":[{\"id\":\"w\",\"status\":\"sent\"}]}",
        "{\"errors\":[{\"code\":1,\"title\":\"t\"}]}",
        "{\"body_params\":{\"statuses\":[{\"id\":\"w\",\"status\":\"sent\"}]}}",
        "[{\"id\":\"w\",\"from\":\"1\",\"timestamp\":\"1\",\"type\":\"text\"}]",
    ] {
        assert!(seen(body.as_bytes()).is_ok(), "{body}");
    }
}

/// The same JSON with the fields of every object in another order.
fn shuffled(value: &Value, seed: &mut u64) -> String {
    match value {
        Value::Array(list) => {
            let parts: Vec<String> = list.iter().map(|element| shuffled(element, seed)).collect();
            format!("[{}]", parts.join(","))
        }
        Value::Object(map) => {
            let mut parts: Vec<(u64, String)> = Vec::new();
            for (name, field) in map {
                *seed = seed
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                let key = *seed >> 33;
                parts.push((
                    key,
                    format!("{}: {}", Value::from(name.as_str()), shuffled(field, seed)),
                ));
            }
            parts.sort();
            let parts: Vec<String> = parts.into_iter().map(|(_, part)| part).collect();
            format!("{{ {} }}", parts.join(" ,\n"))
        }
        other => other.to_string(),
    }
}

/// Messages and events as text, in an order of their own.
fn said(body: &[u8]) -> Vec<String> {
    let (sink, _) = parsed(body);
    let mut lines: Vec<String> = sink
        .records
        .iter()
        .filter(|(_, record)| record["kind"] != "problem")
        .map(|(_, record)| record.to_string())
        .collect();
    lines.sort();
    lines
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_are_understood_or_reported(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let (sink, report) = parsed(&bytes);
        in_range_and_apart(&sink, bytes.len());
        prop_assert!(report.problems > 0);
    }

    #[test]
    fn any_change_of_one_byte_is_understood_or_reported(which in 0usize..80, place in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let bodies = fixtures();
        let mut body = bodies[which % bodies.len()].clone();
        if !body.is_empty() {
            let at = place.index(body.len());
            body[at] = byte;
        }
        in_range_and_apart(&parsed(&body).0, body.len());
    }

    #[test]
    fn any_json_in_the_place_of_any_value_is_understood_or_reported(which in 0usize..80, place in 0usize..60, with in 0usize..8) {
        let odd = ["null", "0", "-1.5e300", "\"\"", "\"447700900123\"", "[]", "{}", "[[{}],\"x\",null]"][with];
        let bodies = fixtures();
        let Ok(value) = serde_json::from_slice::<Value>(&bodies[which % bodies.len()]) else { return Ok(()) };
        let mut left = place;
        let body = replaced(&value, odd, &mut left);
        in_range_and_apart(&parsed(body.as_bytes()).0, body.len());
    }

    #[test]
    fn the_order_of_fields_changes_nothing(seed in any::<u64>()) {
        for body in fixtures() {
            let Ok(value) = serde_json::from_slice::<Value>(&body) else { continue };
            let mut seed = seed;
            let plain = value.to_string();
            let other = shuffled(&value, &mut seed);
            prop_assert_eq!(said(plain.as_bytes()), said(other.as_bytes()));
        }
    }

    #[test]
    fn two_bodies_one_after_another_say_what_both_say(one in 0usize..80, two in 0usize..80) {
        let bodies: Vec<_> = fixtures().into_iter().filter(|b| serde_json::from_slice::<Value>(b).is_ok()).collect();
        let (one, two) = (&bodies[one % bodies.len()], &bodies[two % bodies.len()]);
        let joined = [&one[..], b"\n", &two[..]].concat();
        let mut both = [said(one), said(two)].concat();
        both.sort();
        prop_assert_eq!(said(&joined), both);
        in_range_and_apart(&parsed(&joined).0, joined.len());
    }
}

/// The JSON with its `left`-th value replaced.
fn replaced(value: &Value, odd: &str, left: &mut usize) -> String {
    if *left == 0 {
        *left = usize::MAX;
        return odd.to_owned();
    }
    *left -= 1;
    match value {
        Value::Array(list) => {
            let parts: Vec<String> = list.iter().map(|element| replaced(element, odd, left)).collect();
            format!("[{}]", parts.join(","))
        }
        Value::Object(map) => {
            let part = |(name, field): (&String, &Value)| {
                format!("{}:{}", Value::from(name.as_str()), replaced(field, odd, left))
            };
            let parts: Vec<String> = map.iter().map(part).collect();
            format!("{{{}}}", parts.join(","))
        }
        other => other.to_string(),
    }
}
