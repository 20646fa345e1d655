//! Two accounts of one conversation, laid side by side by the program.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::run::Place;

/// 8 January 2024, 09:00 in London.
const BEGUN: i64 = 1_704_704_400;

const PEOPLE: [(&str, &str); 2] = [("Ann Lee", "447700900123"), ("Jonas Weber", "447700900456")];

/// A message every 61 minutes or so: who, when, and what.
fn said() -> Vec<(usize, i64, String)> {
    (0..60)
        .map(|n: usize| {
            let at = BEGUN + i64::try_from(n).unwrap() * 3671;
            (
                n % 2,
                at,
                format!("We agreed on {} pieces for order {n}", n * 10 + 5),
            )
        })
        .collect()
}

fn clock(at: i64) -> (i64, i64, i64, i64, i64) {
    let (days, second) = (at.div_euclid(86_400), at.rem_euclid(86_400));
    // All within January 2024, which began on day 19723.
    (days - 19_722, second / 3600, second / 60 % 60, second % 60, 2024)
}

/// As an Android phone in New York writes it.
fn android(said: &[(usize, i64, String)]) -> String {
    let mut out = String::new();
    for (who, at, text) in said {
        let (day, hour, minute, _, _) = clock(at - 5 * 3600);
        let (hour, half) = ((hour + 11) % 12 + 1, if hour < 12 { "AM" } else { "PM" });
        writeln!(
            out,
            "1/{day}/24, {hour}:{minute:02}\u{202F}{half} - {}: {text}",
            PEOPLE[*who].0
        )
        .unwrap();
    }
    out
}

/// As an iPhone in Berlin writes it, where Ann is called Anna.
fn ios(said: &[(usize, i64, String)]) -> String {
    let mut out = String::new();
    for (who, at, text) in said {
        let (day, hour, minute, second, _) = clock(at + 3600);
        let name = ["Anna", PEOPLE[1].0][*who];
        write!(
            out,
            "[{day:02}.01.24, {hour:02}:{minute:02}:{second:02}] {name}: {text}\r\n"
        )
        .unwrap();
    }
    out
}

/// As the Business Platform delivers it: one body.
fn webhook(said: &[(usize, i64, String)]) -> Value {
    let messages: Vec<Value> = said
        .iter()
        .enumerate()
        .map(|(n, (_, at, text))| {
            json!({ "from": "447700900123", "id": format!("wamid.{n}"), "timestamp": at.to_string(), "type": "text",
                "text": { "body": text } })
        })
        .collect();
    json!({ "object": "whatsapp_business_account", "entry": [{ "id": "1", "changes": [{ "field": "messages", "value": {
        "messaging_product": "whatsapp",
        "metadata": { "display_phone_number": "447700900456", "phone_number_id": "9" },
        "contacts": [{ "profile": { "name": "ann" }, "wa_id": "447700900123" }],
        "messages": messages } }] }] })
}

#[test]
fn two_exports_of_the_same_chat_are_the_same_whatever_the_phones_write() {
    let place = Place::new();
    place.write("WhatsApp Chat with Ann Lee.txt", android(&said()));
    place.write("_chat.txt", ios(&said()));
    let accounts = [
        "reconcile",
        "whatsapp-export:WhatsApp Chat with Ann Lee.txt",
        "whatsapp-export:_chat.txt",
    ];
    let ran = place.run(&accounts);
    assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
    assert!(
        ran.out.contains("B's clock is 06:00:00 ahead of A's"),
        "{}",
        ran.out
    );
    assert!(ran.out.contains("Ann Lee in A is Anna in B"), "{}", ran.out);

    // Altered: one taken out, one number changed, one said by somebody else.
    let mut altered = said();
    altered[10].2 = altered[10].2.replace("105 pieces", "1105 pieces");
    altered[20].0 = 1;
    altered.remove(30);
    place.write("_chat.txt", ios(&altered));
    let ran = place.run(&[&accounts[..], &["--json"]].concat());
    assert_eq!(ran.code, 1, "{}{}", ran.out, ran.err);
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    let whats: Vec<&str> = report["differences"]
        .as_array()
        .unwrap()
        .iter()
        .map(|difference| difference["differs"][0]["what"].as_str().unwrap())
        .collect();
    assert_eq!(whats, ["text", "author", "missing-in-b"], "{report}");
    assert_eq!(report["differences"][0]["a"]["place"]["record"], 11);
    assert_eq!(report["outcome"]["verdict"], "differs");
    assert_eq!(report["outcome"]["entry"], Value::Null);
    // All are counted, whatever is listed.
    let ran = place.run(&[&accounts[..], &["--json", "--limit", "1"]].concat());
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(report["differences"].as_array().unwrap().len(), 1);
    assert_eq!(report["outcome"]["not_listed"], 2);
    assert_eq!(report["outcome"]["counts"]["missing_in_b"], 1);
}

#[test]
fn an_export_is_laid_beside_what_was_parsed_from_webhooks() {
    let place = Place::new();
    // Ann alone: the platform delivers what is received.
    let anns: Vec<_> = said().into_iter().filter(|(who, _, _)| *who == 0).collect();
    place.write("hooks.json", webhook(&anns).to_string());
    let parsed = place.run(&["parse", "whatsapp-cloud", "hooks.json"]).done();
    place.write("hooks.jsonl", parsed);
    place.write("WhatsApp Chat with Ann Lee.txt", android(&said()));
    let ran = place.run(&[
        "reconcile",
        "whatsapp-export:WhatsApp Chat with Ann Lee.txt",
        "records:hooks.jsonl",
        "--json",
    ]);
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(report["differences"], json!([]), "{report}");
    assert_eq!(report["outcome"]["counts"]["same"], 30);
    assert_eq!(report["outcome"]["clock"]["zones"], json!(["-05:00"]));
    // What Jonas sent never came by a webhook: one statement, not thirty.
    assert_eq!(report["outcome"]["absent"][0]["author"], "Jonas Weber");
    assert_eq!(ran.code, 1);
}

#[test]
fn a_captured_conversation_is_read_after_an_act_and_the_result_is_an_act_without_content() {
    let place = Place::with_archive();
    place.write("WhatsApp Chat with Ann Lee.txt", android(&said()));
    place
        .on(&["import", "whatsapp-export", "WhatsApp Chat with Ann Lee.txt"])
        .done();
    let mut altered = said();
    altered.remove(30);
    place.write("_chat.txt", ios(&altered));
    let compare = [
        "reconcile",
        "whatsapp-export:_chat.txt",
        "--conversation",
        "Ann Lee",
        "--json",
    ];
    let ran = place.on(&compare);
    assert_eq!(ran.code, 1, "{}{}", ran.out, ran.err);
    let report: Value = serde_json::from_str(&ran.out).unwrap();
    let difference = &report["differences"][0];
    assert_eq!(difference["differs"][0]["what"], "missing-in-a", "{report}");
    // It can be shown by the id that is named.
    let id = difference["b"]["place"]["id"].as_str().unwrap();
    let shown = place.on(&["show", id, "--json"]).json();
    assert_eq!(shown["record"]["text"], "We agreed on 305 pieces for order 30");
    let entry = report["outcome"]["entry"].as_u64().unwrap();
    assert!(report["outcome"]["captured"]["normalized"].as_u64().unwrap() > 0);
    // Both acts are in the record, and neither says what was said or by whom.
    let vault = crate::vaults::open(&place.path("archive"), &crate::vaults::options);
    let body = |at: u64| vault.reconciliation(model::Position(at)).unwrap().unwrap();
    let (code, result) = body(entry);
    assert_eq!(code, model::entry::ActCode::Reconciled);
    assert_eq!(result["counts"]["missing_in_a"], 1);
    assert_eq!(result["report"].as_str().unwrap().len(), 32);
    let (code, begun) = body(result["begun"].as_u64().unwrap());
    assert_eq!(code, model::entry::ActCode::ReconcileBegun);
    assert!(result["begun"].as_u64().unwrap() < entry);
    for said in [result.to_string(), begun.to_string()] {
        for content in ["Ann", "Jonas", "pieces", "_chat"] {
            assert!(!said.contains(content), "{said}");
        }
    }
}

#[test]
fn what_cannot_be_compared_is_refused_in_one_line() {
    let place = Place::with_archive();
    place.write("WhatsApp Chat with Ann Lee.txt", android(&said()));
    place.write("junk.jsonl", "{\"kind\":\"message\"}\n");
    place.write("deep.jsonl", "[".repeat(100_000));
    let mut two = webhook(&said());
    let mut other = two["entry"][0].clone();
    other["changes"][0]["value"]["messages"][0]["from"] = json!("447700900999");
    other["changes"][0]["value"]["contacts"][0]["wa_id"] = json!("447700900999");
    two["entry"].as_array_mut().unwrap().push(other);
    place.write("two.json", two.to_string());
    let chat = "whatsapp-export:WhatsApp Chat with Ann Lee.txt";
    for (arguments, code, word) in [
        (vec![chat], 64, "two accounts"),
        (vec![], 64, "two accounts"),
        (vec![chat, "chat.zip"], 64, "what reads the file"),
        (vec![chat, "whatsapp:chat.zip"], 64, "there is no connector"),
        (vec![chat, "whatsapp-export:nowhere.txt"], 74, "nowhere.txt"),
        (vec![chat, "whatsapp-export:junk.jsonl"], 65, "junk.jsonl"),
        (vec![chat, "records:junk.jsonl"], 65, "line 1"),
        (vec![chat, "records:deep.jsonl"], 65, "line 1"),
        (vec![chat, "whatsapp-cloud:two.json"], 64, "--within"),
        (vec![chat, "--conversation", "Nobody"], 65, "conversation"),
    ] {
        let ran = place.on(&[&["reconcile"], &arguments[..]].concat());
        assert_eq!(ran.code, code, "{arguments:?} {}{}", ran.out, ran.err);
        assert!(ran.err.contains(word), "{arguments:?} {}", ran.err);
        assert_eq!(ran.out, "", "{arguments:?}");
    }
    let within = [chat, "whatsapp-cloud:two.json", "--within", "447700900999"];
    let ran = place.on(&[&["reconcile"], &within[..]].concat());
    assert_eq!(ran.code, 1, "{}{}", ran.out, ran.err);
}
