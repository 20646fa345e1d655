//! What is captured and what is missing, on the command line.

use serde_json::json;

use crate::run::Place;

pub fn lines(numbers: &[u64]) -> String {
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

#[test]
fn the_statement_of_a_day_is_shown_in_two_languages_and_handed_out_as_a_bundle() {
    let place = Place::with_archive();
    place.write("some.jsonl", lines(&[1, 2, 5]));
    place.on(&["import", "generic-import", "some.jsonl"]).done();
    place.write(
        "staff.csv",
        "name,handles,connections,start\nAnn Lee,+44 7700 900123,generic-import,2020-01-01\n",
    );
    place.on(&["custodian", "import", "staff.csv"]).done();
    let statement = |more: &[&str]| place.on(&[&["capture", "statement"], more].concat());
    statement(&[]).failed(65, "the first is written when the first day (UTC) is over");
    let stated = |place: &Place| {
        well(
            &place.on(&["doctor", "--json"]).json(),
            "completeness is stated each day",
        )
    };
    assert_eq!(stated(&place), Some(true));
    // A day and an hour later.
    place.set_environment(vec![("CHANCERY_CLOCK".to_owned(), "+90000".to_owned())]);
    // Whoever opens the folder first makes it up.
    assert_eq!(stated(&place), Some(true));
    let said = statement(&["--json"]).json();
    let (entry, day) = (
        said["entry"].as_u64().unwrap(),
        said["statement"]["first_day"].as_str().unwrap(),
    );
    assert!(said["checkpoint"]["covers"].as_u64().unwrap() > entry, "{said}");
    assert_eq!(said["statement"]["connections"][0]["captures"], 1, "{said}");
    assert_eq!(said["statement"]["custodians_by_state"], json!({ "captured": 1 }));
    let status = place.on(&["status", "--json"]).json();
    assert_eq!(status["statement"]["entry"].as_u64(), Some(entry), "{status}");
    let english = statement(&["--day", day]).done();
    for words in [
        "Completeness of",
        "signed by checkpoint",
        "none ever went outside",
        "It is signed because it is an entry",
    ] {
        assert!(english.contains(words), "{words}: {english}");
    }
    let chinese = statement(&["--language", "zh-CN"]).done();
    for words in [
        "完整性声明",
        "签名检查点",
        "从未有检查点送到外部",
        "本声明是账本中的一个条目",
    ] {
        assert!(chinese.contains(words), "{words}: {chinese}");
    }
    assert!(
        !english.contains("Ann") && !said.to_string().contains("Ann"),
        "{english}"
    );
    statement(&["--day", "yesterday"]).failed(64, "a day in UTC");
    statement(&["--day", "1999-12-31"]).failed(65, "there is no statement of completeness for 1999-12-31");
    statement(&["--out", "statement.zip"]).done();
    statement(&["--out", "statement.zip"]).failed(73, "is there already");
    statement(&["--force"]).failed_with(64);
    let bundle = std::fs::read(place.path("statement.zip")).unwrap();
    let selection = format!("statement of completeness: entry {entry}");
    assert!(
        bundle
            .windows(selection.len())
            .any(|bytes| bytes == selection.as_bytes())
    );
    assert!(!bundle.windows(4).any(|bytes| bytes == b"says"));
}

#[test]
fn a_statement_whose_writing_dies_at_any_step_is_there_once() {
    for point in ["completeness-stating", "completeness-stated"] {
        let place = Place::with_archive();
        place.write("some.jsonl", lines(&[1, 2]));
        place.on(&["import", "generic-import", "some.jsonl"]).done();
        let clock = ("CHANCERY_CLOCK".to_owned(), "+90000".to_owned());
        let armed = ("CHANCERY_FAIL_POINT".to_owned(), format!("{point}:1"));
        place.set_environment(vec![clock.clone(), armed]);
        let died = place.on(&["capture", "gaps", "--json"]);
        assert!(!died.ended_well(), "{point}");
        place.set_environment(vec![clock]);
        place.on(&["capture", "gaps"]).done();
        let said = place.on(&["capture", "statement", "--json"]).json();
        place.on(&["rebuild"]).done();
        place.on(&["capture", "gaps"]).done();
        let again = place.on(&["capture", "statement", "--json"]).json();
        assert_eq!(said["entry"], again["entry"], "{point}");
        assert_eq!(said["statement"], again["statement"], "{point}");
        assert_eq!(again["statement"]["replaces"], json!([]), "{point}");
        assert_eq!(place.on(&["verify", "--json"]).json()["holds"], true, "{point}");
    }
}

#[test]
fn the_demo_names_what_three_connections_miss_in_three_ways_and_closes_it_with_its_reason() {
    let place = Place::new();
    let said = place.bare(&["demo", "--exit", "--listen", "127.0.0.1:0"]).done();
    let told: Vec<&str> = said
        .lines()
        .filter(|line| line.contains("  closed") && line.trim_end().ends_with("  arrived"))
        .map(str::trim)
        .collect();
    for (connection, cause) in [
        ("trading-desk", "sequence-hole"),
        ("front-desk", "pointed-at"),
        ("shanghai", "undecrypted"),
    ] {
        let of_it = |line: &&&str| line.contains(connection) && line.contains(cause);
        assert_eq!(told.iter().filter(of_it).count(), 1, "{connection}: {said}");
        let open = said
            .lines()
            .filter(|line| line.contains("  open") && line.contains(connection));
        assert!(open.count() > 0, "{connection}: {said}");
    }
}

pub fn well(doctor: &serde_json::Value, check: &str) -> Option<bool> {
    let mut checks = doctor["checks"].as_array()?.iter();
    checks.find(|found| found["check"] == check)?["ok"].as_bool()
}
