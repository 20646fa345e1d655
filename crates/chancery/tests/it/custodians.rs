//! Custodians on the command line: enrolled from a table, changed by dated events, and never readable in the data folder.

use std::path::Path;

use serde_json::{Value, json};

use crate::run::Place;

const STAFF: &str = "\u{feff}name,handles,zone,department,connections,mode,start,shoe size\n\
    Ann Lee,+44 7700 900123; wecom_userid:annlee,us,Sales,,automatic,2026-01-01,38\n\
    Bo Chen,+86 138 0013 8000,us,Sales,,by-export,2026-01-01,41\n\
    Twin One,+44 7700 900123,us,,,automatic,2026-01-01,\n\
    ,+44 7700 900777,us,,,automatic,2026-01-01,\n\
    Bad Date,+44 7700 900888,us,,,automatic,31.01.2026,\n\
    Bad Number,0770 09,us,,,automatic,2026-01-01,\n\
    No Such,+44 7700 900999,us,,ward-9,automatic,2026-01-01,\n\
    Far Away,+44 7700 900111,cn,,,automatic,2026-01-01,\n\
    Odd Mode,+44 7700 900222,us,,,telepathy,2026-01-01,\n\
    No Handle,,us,,,automatic,2026-01-01,\n";

fn wrong(answer: &Value) -> Vec<(u64, String)> {
    let wrong = answer["wrong"].as_array().unwrap().iter();
    wrong
        .map(|wrong| {
            assert!(!wrong["remedy"].as_str().unwrap().is_empty());
            (
                wrong["line"].as_u64().unwrap(),
                wrong["problem"].as_str().unwrap().to_owned(),
            )
        })
        .collect()
}

/// Whether some file below has these bytes.
fn stands_in(folder: &Path, bytes: &[u8]) -> bool {
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        if path.is_dir() {
            return stands_in(&path, bytes);
        }
        let found = std::fs::read(&path).unwrap_or_default();
        found.windows(bytes.len()).any(|piece| piece == bytes)
    })
}

#[test]
fn what_is_wrong_in_a_table_is_named_by_line_with_a_remedy_and_the_rest_goes_on() {
    let place = Place::with_archive();
    place.write("staff.csv", STAFF);
    let ran = place.on(&["custodian", "import", "staff.csv", "--json"]);
    assert_eq!(ran.code, 1);
    let answer = ran.json();
    assert_eq!(answer["enrolled"], 2, "{answer}");
    let expected = [
        (1, "column 8 is not known and not read"),
        (4, "a handle stands in line 2 too"),
        (5, "the name is empty"),
        (6, "the start is not a date"),
        (7, "a handle is not understood"),
        (8, "a connection is not configured"),
        (9, "the zone is not us, which this instance serves"),
        (10, "the mode is not known"),
        (11, "there is no handle"),
    ]
    .map(|(line, problem)| (line, problem.to_owned()));
    assert_eq!(wrong(&answer), expected);
    // Said again, it adds nobody.
    let again = place.on(&["custodian", "import", "staff.csv", "--json"]).json();
    assert_eq!(
        (&again["enrolled"], &again["known"]),
        (&json!(0), &json!(2)),
        "{again}"
    );
    for (table, says) in [
        ("", "column name is missing"),
        ("name;handles\nAnn;+441234567\n", "column 1 is not known"),
        ("name,name,handles\n", "column name is there twice"),
    ] {
        place.write("odd.csv", table);
        let ran = place.on(&["custodian", "import", "odd.csv", "--json"]);
        assert_eq!(ran.code, 1, "{table}");
        assert!(ran.out.contains(says), "{}", ran.out);
    }
    for readable in ["Ann Lee", "annlee", "447700900123", "Bo Chen", "8613800138000"] {
        assert!(
            !stands_in(&place.path("archive"), readable.as_bytes()),
            "{readable}"
        );
    }
}

#[test]
fn messages_follow_the_person_who_had_the_number_on_the_day() {
    let place = Place::with_archive();
    place.write(
        "staff.csv",
        "name,handles,start\nAnn Lee,+44 7700 900123,2026-01-01\nBo Chen,+86 138 0013 8000,2026-01-01\n",
    );
    place.on(&["custodian", "import", "staff.csv"]).done();
    let people = place.on(&["custodian", "list", "--json"]).json();
    let id = |n: usize| people["custodians"][n]["id"].as_str().unwrap().to_owned();
    let (ann, bo) = (id(0), id(1));
    assert_eq!(people["custodians"][0]["state"], "discovered");
    let record = |id: &str, more: &[&str]| {
        let mut all = vec!["custodian", "record", id];
        all.extend(more);
        place.on(&all)
    };
    record(&ann, &["noticed", "--on", "2026-01-02"]).failed(64, "--version is needed");
    record(
        &ann,
        &[
            "noticed",
            "--on",
            "2026-01-02",
            "--version",
            "draft-1",
            "--language",
            "en",
        ],
    )
    .done();
    record(
        &ann,
        &[
            "consented",
            "--on",
            "2026-01-03",
            "--version",
            "draft-1",
            "--language",
            "en",
        ],
    )
    .done();
    assert_eq!(
        place.on(&["custodian", "show", &ann, "--json"]).json()["state"],
        "consented"
    );
    let number = "+44 7700 900123";
    let change = [
        "number-changed",
        "--on",
        "2026-03-01",
        "--handle",
        "+86 138 0013 8000",
        "--new",
        number,
    ];
    record(&bo, &change).failed(65, "recycled or shared");
    record(&bo, &["phone-lost", "--on", "2026-03-01", "--handle", number])
        .failed(65, "does not have this handle");
    record(
        &ann,
        &["number-recycled", "--on", "2026-02-01", "--handle", number],
    )
    .done();
    record(&bo, &change).done();
    let said: String = [("a", "2026-01-10"), ("b", "2026-02-10"), ("c", "2026-03-10"), ("d", "2026-03-11")]
        .iter()
        .map(|(id, day)| {
            let line = json!({ "platform_id": id, "conversation": { "id": "c" }, "sent_at": format!("{day}T00:00:00Z"),
                "sender": { "name": "x", "ids": [{ "kind": "phone", "value": "447700900123" }] }, "text": "hello" });
            format!("{line}\n")
        })
        .collect();
    place.write("said.jsonl", said);
    place.on(&["import", "generic-import", "said.jsonl"]).done();
    let counts = |id: &str| -> Vec<u64> {
        let shown = place.on(&["custodian", "show", id, "--json"]).json();
        let spans = shown["spans"].as_array().unwrap();
        spans
            .iter()
            .map(|span| span["messages"].as_u64().unwrap())
            .collect()
    };
    assert_eq!(counts(&ann), [1]);
    assert_eq!(counts(&bo), [0, 2]);
    record(&bo, &["left", "--on", "2026-03-11"]).done();
    assert_eq!(counts(&bo), [0, 1]);
    place.on(&["rebuild"]).done();
    assert_eq!(counts(&bo), [0, 1]);
    let states: Vec<Value> = place.on(&["custodian", "list", "--json"]).json()["custodians"]
        .as_array()
        .unwrap()
        .iter()
        .map(|person| person["state"].clone())
        .collect();
    assert_eq!(states, ["captured", "left"]);
    place
        .on(&["custodian", "show", "9.9"])
        .failed(65, "there is no custodian 9.9");
}

#[test]
fn a_notice_is_there_in_both_languages_and_says_that_it_needs_counsel() {
    let place = Place::new();
    let english = place.run(&["custodian", "notice"]).done();
    assert!(english.contains("have counsel review it"));
    let chinese = place.run(&["custodian", "notice", "--language", "zh-CN"]).done();
    assert!(chinese.contains("须经法律顾问审阅"));
}
