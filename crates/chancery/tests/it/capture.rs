//! What is captured and what is missing, on the command line.

use serde_json::json;

use crate::run::Place;

fn lines(numbers: &[u64]) -> String {
    numbers
        .iter()
        .map(|n| {
            let mut line = json!({ "platform_id": format!("x{n}"), "conversation": { "id": "c" }, "sender": { "name": "Ann" },
                "sent_at": format!("2026-01-01T00:00:{n:02}Z"), "text": format!("says {n}"), "details": { "seq": n } })
            .to_string();
            line.push('\n');
            line
        })
        .collect()
}

#[test]
fn gaps_are_listed_with_what_can_be_done_and_narrowed_by_connection_day_and_state() {
    let place = Place::with_archive();
    place.write("some.jsonl", lines(&[1, 2, 5]));
    place.on(&["import", "generic-import", "some.jsonl"]).done();
    // Within the hour it may still come.
    let now = place.on(&["capture", "gaps", "--json"]).json();
    assert_eq!(now["known"], 0, "{now}");
    let status = place.on(&["capture", "status", "--json"]).json();
    assert_eq!(status["configured_connections"], 1);
    assert_eq!(status["captured_connections"], 1);
    assert_eq!(status["connections"][0]["captures"], 1);
    assert!(
        status["denominator"]
            .as_str()
            .unwrap()
            .contains("configured connections")
    );
    place
        .on(&["capture", "gaps", "--connection", "nothing"])
        .failed(65, "there is no connection nothing");
    place
        .on(&["capture", "gaps", "--since", "yesterday"])
        .failed(64, "a day (2024-01-31)");
    place.write(
        "staff.csv",
        "name,handles,connections,start\nAnn,+44 7700 900123,generic-import,2020-01-01\nBo,+44 7700 900124,,2020-01-01\n",
    );
    place.on(&["custodian", "import", "staff.csv"]).done();
    let status = place.on(&["capture", "status", "--json"]).json();
    assert_eq!(
        status["custodians_by_state"],
        json!({ "captured": 1, "discovered": 1 })
    );
    // Two hours later it did not.
    place.set_environment(vec![("CHANCERY_CLOCK".to_owned(), "+7200".to_owned())]);
    let gaps = place.on(&["capture", "gaps", "--open", "--json"]).json();
    let gap = &gaps["gaps"][0];
    assert_eq!(gaps["open"], 1, "{gaps}");
    assert_eq!(gap["cause"], "sequence-hole");
    assert_eq!(gap["count"], 2);
    // Whom it concerns: who is captured by that connection, by id and not by name.
    let people = place.on(&["custodian", "list", "--json"]).json();
    assert_eq!(gap["custodians"], json!([people["custodians"][0]["id"]]));
    assert_eq!(gap["missing_by"], json!({ "numbers": [[3, 4]] }));
    assert_eq!(gap["from"], "2026-01-01T00:00:02Z");
    assert_eq!(gap["to"], "2026-01-01T00:00:05Z");
    let words = place
        .on(&["capture", "gaps", "--connection", "generic-import"])
        .done();
    assert!(
        words.contains("sequence-hole") && words.contains("What can still be done:"),
        "{words}"
    );
    let after = place
        .on(&["capture", "gaps", "--since", "2026-01-02", "--json"])
        .json();
    assert_eq!(after["gaps"], json!([]));
    let doctor = place.on(&["doctor", "--json"]).json();
    assert_eq!(well(&doctor, "no gaps are open"), Some(false));
    // A bundle says so, too.
    place.on(&["export", "--all", "--out", "all.zip"]).done();
    let bundle = std::fs::read(place.path("all.zip")).unwrap();
    let line = br#""cause":"sequence-hole","count":2}"#;
    assert!(bundle.windows(line.len()).any(|bytes| bytes == line));
    // What is missing is handed in after all.
    place.write("rest.jsonl", lines(&[3, 4]));
    place.on(&["import", "generic-import", "rest.jsonl"]).done();
    let gaps = place.on(&["capture", "gaps", "--json"]).json();
    assert_eq!(gaps["gaps"][0]["closed"]["reason"], "arrived", "{gaps}");
    assert_eq!(
        place.on(&["capture", "gaps", "--open", "--json"]).json()["gaps"],
        json!([])
    );
    assert_eq!(
        well(&place.on(&["doctor", "--json"]).json(), "no gaps are open"),
        Some(true)
    );
}

fn well(doctor: &serde_json::Value, check: &str) -> Option<bool> {
    let mut checks = doctor["checks"].as_array()?.iter();
    checks.find(|found| found["check"] == check)?["ok"].as_bool()
}
