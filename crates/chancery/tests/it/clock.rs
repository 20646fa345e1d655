//! The clock jumps or stands still: nothing is destroyed, nothing is lost, and the order stays.

use std::time::{Duration, Instant};

use serde_json::Value;

use crate::hooks;
use crate::run::{Place, Serving};

const PATIENCE: Duration = Duration::from_secs(30);
const TEN_YEARS: &str = "+315360000";
const A_YEAR_BACK: &str = "-31536000";

fn deliver(serving: &Serving, number: u32) {
    let text = hooks::text_message(
        &format!("wamid.{number}"),
        "4915112345",
        &format!("number{number} stays"),
    );
    let body = hooks::body_of(&[text]);
    assert_eq!(hooks::deliver(serving.address, body.as_bytes()).unwrap(), 200);
    let forged = hooks::deliver_signed(serving.address, body.as_bytes(), &"0".repeat(64));
    assert_eq!(forged.unwrap(), 401);
}

fn check(place: &Place, name: &str) -> Value {
    let said = place.on(&["doctor", "--json"]).json();
    let checks = said["checks"].as_array().unwrap();
    checks
        .iter()
        .find(|check| check["check"] == name)
        .unwrap()
        .clone()
}

/// Waits until so many epochs have begun since.
fn wait_for_epochs(serving: &Serving, more: u64) {
    let number = || hooks::status(serving.address).unwrap()["epoch"].as_u64().unwrap();
    let (first, begun) = (number(), Instant::now());
    while number() < first + more {
        assert!(begun.elapsed() < PATIENCE, "epochs do not change");
    }
}

/// A life with this clock, in which epochs are short; and what `doctor` says of the clock meanwhile.
fn live(place: &Place, clock: &str, numbers: [u32; 2]) -> Value {
    let environment = [("CHANCERY_CLOCK", clock), ("CHANCERY_EPOCH_MILLISECONDS", "700")];
    let serving = place.try_serve(&environment).unwrap();
    deliver(&serving, numbers[0]);
    wait_for_epochs(&serving, 3);
    deliver(&serving, numbers[1]);
    let said = check(place, "the clock");
    assert_eq!(serving.stop(), Some(0));
    said
}

fn nothing_is_lost(place: &Place, count: u32) {
    let said = place.on(&["search", "stays", "--json"]).json();
    let results = said["results"].as_array().unwrap();
    let texts: Vec<&str> = results
        .iter()
        .map(|result| result["record"]["text"].as_str().unwrap())
        .collect();
    let expected: Vec<String> = (0..count).map(|number| format!("number{number} stays")).collect();
    // In the order in which they came, whatever the clock said.
    assert_eq!(texts, expected);
    for result in results {
        let shown = place
            .on(&["show", result["id"].as_str().unwrap(), "--json"])
            .json();
        assert_ne!(shown["record"]["text"], Value::Null, "{shown}");
    }
    assert_eq!(check(place, "every capture opens")["ok"], true);
    assert_eq!(place.on(&["verify", "--json"]).json()["holds"], true);
    let keys = place.on(&["keys", "list", "--json"]).json();
    let destroyed = keys["destroyed"].as_array().unwrap();
    assert!(destroyed.iter().all(|key| key["kind"] == "epoch"), "{keys}");
}

#[test]
fn a_clock_that_jumps_ten_years_or_back_one_or_stands_still_destroys_nothing_and_moves_nothing() {
    for jump in [TEN_YEARS, A_YEAR_BACK, "frozen"] {
        let place = Place::new();
        place
            .run(&["init", "--data", "archive", "--key-copy", "copy"])
            .done();
        hooks::connect(&place, &[]);
        assert_eq!(live(&place, "+0", [0, 1])["ok"], true);
        let said = live(&place, jump, [2, 3]);
        let back = jump == A_YEAR_BACK;
        assert_eq!(said["ok"], !back, "{jump}: {said}");
        // And right again: after ten years ahead, that is back.
        let said = check(&place, "the clock");
        assert_eq!(said["ok"], jump != TEN_YEARS, "{jump}: {said}");
        if jump == TEN_YEARS {
            let detail = said["detail"].as_str().unwrap();
            assert!(detail.contains("went back"), "{detail}");
        }
        nothing_is_lost(&place, 4);
        live(&place, "+0", [4, 5]);
        nothing_is_lost(&place, 6);
    }
}
