//! The rule about consent on the command line, and what comes without it when the program dies at any step.

use serde_json::{Value, json};

use crate::erasure::{ANN, BO, ward, with};
use crate::run::Place;

/// Ann's and Bo's numbers, and what both wrote.
pub fn said() -> String {
    let line = |id: &str, number: &str, text: &str| {
        let line = json!({ "platform_id": id, "conversation": { "id": "c" }, "sent_at": "2026-03-01T00:00:00Z",
            "sender": { "name": "x", "ids": [{ "kind": "phone", "value": number }] }, "text": text });
        format!("{line}\n")
    };
    line("a", "447700900123", "of one who agreed")
        + &line("b", "447700900456", "CANARY of one who withdrew")
        + &line("c", "447700900789", "of somebody outside")
}

/// With two custodians, of whom one withdrew, and the rule in force.
pub fn strict() -> (Place, String) {
    let place = ward();
    place.write(
        "staff.csv",
        "name,handles,start\nAnn Lee,+44 7700 900123,2026-01-01\nBo Chen,+44 7700 900456,2026-01-01\n",
    );
    place.on(&["custodian", "import", "staff.csv"]).done();
    let people = place.on(&["custodian", "list", "--json"]).json();
    let id = |n: usize| people["custodians"][n]["id"].as_str().unwrap().to_owned();
    for id in [id(0), id(1)] {
        let told = ["--on", "2026-01-02", "--version", "1", "--language", "en"];
        place
            .on(&with(&["custodian", "record", &id, "consented"], &told))
            .done();
    }
    place
        .on(&["custodian", "record", &id(1), "withdrew", "--on", "2026-02-01"])
        .done();
    let require = with(
        &["consent", "require", "custodian", "--reason", "agreement 12"],
        &ANN,
    );
    let proposal = place.on(&with(&require, &["--json"])).json()["entry"].to_string();
    place.on(&with(&["consent", "approve", &proposal], &BO)).done();
    (place, id(1))
}

pub const IMPORT: [&str; 4] = ["import", "generic-import", "said.jsonl", "--json"];

fn found(place: &Place, query: &str) -> Vec<Value> {
    let found = place.on(&["search", query, "--json"]).json();
    found["results"].as_array().unwrap().clone()
}

#[test]
fn the_rule_is_proposed_approved_shown_and_eased_and_each_mistake_is_named() {
    let place = ward();
    let shown = place.on(&["consent", "show"]).done();
    assert!(
        shown.contains("not-required") && shown.contains("nothing came without consent"),
        "{shown}"
    );
    let require = ["consent", "require", "custodian", "--reason", "agreement 12"];
    let nobody = place.on(&require);
    assert!(
        nobody.code == 64 && nobody.err.contains("--user"),
        "{}",
        nobody.err
    );
    let cy = ["--user", "cy", "--password-file", "cy.txt"];
    place
        .on(&with(&require, &cy))
        .failed(77, "only a compliance officer");
    place
        .on(&with(&with(&require, &["--unknown", "destroy"]), &ANN))
        .failed(64, "goes with `everyone` only");
    let silent = ["consent", "require", "custodian", "--reason", " "];
    place.on(&with(&silent, &ANN)).failed(64, "a reason is needed");
    let said = place.on(&with(&require, &ANN)).done();
    assert!(said.contains("waits for a second person"), "{said}");
    let proposal = place.on(&["consent", "show", "--json"]).json()["proposal"]["proposal"].to_string();
    place
        .on(&with(&["consent", "approve", &proposal], &ANN))
        .failed(77, "two people are needed");
    place
        .on(&with(&["consent", "approve", "9999"], &BO))
        .failed(65, "no proposal 9999");
    let said = place.on(&with(&["consent", "approve", &proposal], &BO)).done();
    assert!(said.contains("cannot be had back"), "{said}");
    place.on(&with(&require, &BO)).failed(77, "no effect");
    let ease = [
        "consent",
        "require",
        "not-required",
        "--reason",
        "agreement ended",
    ];
    place.on(&with(&ease, &BO)).done();
    assert_eq!(
        place.on(&["consent", "show", "--json"]).json()["required"],
        "not-required"
    );
    assert!(!place.holds("archive", b"agreement 12"));
}

#[test]
fn while_the_rule_destroys_a_withdrawal_is_recorded_by_who_signs_in() {
    let (place, bo) = strict();
    let withdrew = ["custodian", "record", &bo, "withdrew", "--on", "2026-02-15"];
    place.on(&withdrew).failed(64, "--user NAME");
    let cy = ["--user", "cy", "--password-file", "cy.txt"];
    place
        .on(&with(&withdrew, &cy))
        .failed(77, "only a compliance officer");
    let wrong = ["--user", "ann", "--password-file", "cy.txt"];
    assert_ne!(place.on(&with(&withdrew, &wrong)).code, 0);
    place.on(&with(&withdrew, &ANN)).done();
    place.write(
        "more.csv",
        "name,handles,start\nCy Ray,+44 7700 900555,2026-01-01\n",
    );
    let import = ["custodian", "import", "more.csv"];
    place.on(&import).failed(64, "--user NAME");
    place.on(&with(&import, &BO)).done();
    let phone = ["custodian", "record", &bo, "phone-lost", "--on", "2026-02-15"];
    place.on(&with(&phone, &["--handle", "+44 7700 900456"])).done();
}

#[test]
fn what_comes_without_consent_is_destroyed_once_and_the_rest_kept_whatever_step_the_program_dies_at() {
    for point in [
        "",
        "group-durable:3",
        "normalized-entries:1",
        "normalized-catalogue:1",
    ] {
        let (place, bo) = strict();
        place.write("said.jsonl", said());
        if !point.is_empty() {
            let mut dying = place.command(&with(&IMPORT, &["--data", "archive"]));
            dying
                .args(["--passphrase-file", "pass.txt"])
                .env("CHANCERY_FAIL_POINT", point);
            assert_eq!(dying.output().unwrap().status.code(), None, "{point} is reached");
        }
        let imported = place.on(&IMPORT).json();
        assert_eq!(imported["erased"], 1, "{point}: {imported}");
        for round in ["as it came up", "made again"] {
            assert!(found(&place, "CANARY").is_empty(), "{point} {round}");
            let one = found(&place, "agreed");
            assert_eq!(one.len(), 1, "{point} {round}");
            assert_eq!(found(&place, "somebody").len(), 1, "{point} {round}");
            let capture = one[0]["id"]
                .as_str()
                .unwrap()
                .split('.')
                .next()
                .unwrap()
                .to_owned();
            let shown = place.on(&["show", &format!("{capture}.1")]).done();
            assert!(
                shown.contains("for want of consent (custodian-withdrew)"),
                "{point} {round}: {shown}"
            );
            let without = place.on(&["consent", "show", "--json"]).json()["without_consent"].clone();
            assert_eq!(without["destroyed"], 1, "{point} {round}: {without}");
            assert_eq!(without["by"][0]["custodian"], bo.as_str(), "{point} {round}");
            let people = place.on(&["custodian", "list", "--json"]).json();
            let his = &people["custodians"][1];
            assert_eq!(
                (&his["consent"], &his["destroyed_without_consent"]),
                (&json!("withdrew"), &json!(1)),
                "{point} {round}"
            );
            place.on(&["rebuild"]).done();
        }
        let status = place.on(&["capture", "status"]).done();
        assert!(status.contains("1 consented, 1 withdrew"), "{status}");
        assert_eq!(place.on(&["verify", "--json"]).json()["holds"], true, "{point}");
        assert!(!place.holds("archive", b"CANARY"));
    }
}
