//! What ends at a known date: secrets and the certificate.

use std::path::Path;

use serde_json::{Value, json};

use crate::alarms::{add_desk, quick, until};
use crate::hooks;
use crate::receivers::{Answered, Desk};
use crate::run::Place;

#[test]
fn a_secret_that_ends_is_warned_of_then_an_alarm_and_another_date_ends_it() {
    let place = Place::with_archive();
    let day = |days: i64| {
        let at = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * days);
        at.strftime("%Y-%m-%d").to_string()
    };
    hooks::connect(&place, &["--secret-expires", &format!("app-secret={}", day(20))]);
    let check = || {
        let doctor: Value = serde_json::from_str(&place.on(&["doctor", "--json"]).out).unwrap();
        let checks = doctor["checks"].as_array().unwrap().clone();
        checks.into_iter().find(|check| check["kind"] == "secret-expires")
    };
    let warned = check().unwrap();
    assert_eq!((&warned["ok"], &warned["warning"]), (&json!(true), &json!(true)));
    assert_eq!(warned["subject"], "ward-3/app-secret");
    assert!(place.on(&["doctor"]).out.contains("WARNING"));
    let desk = Desk::new(Answered::well());
    add_desk(&place, "desk", &desk, &["--language", "zh-CN"]);
    quick(&place, &[]);
    let _serving = place.serve();
    let told = |event: &str| {
        until(event, || {
            let of_it = |alarm: &Value| alarm["name"] == "secret-expires" && alarm["event"] == event;
            desk.next().into_iter().find(of_it)
        })
    };
    let opened = told("opened");
    assert_eq!(opened["severity"], "warning");
    assert_eq!(opened["id"], "us/check/secret-expires/ward-3/app-secret");
    assert!(opened["title"].as_str().unwrap().contains("即将到期"));
    let expires = |date: &str| {
        let given = format!("app-secret={date}");
        place
            .on(&["connection", "expires", "ward-3", &given, "--json"])
            .json()
    };
    expires(&day(3));
    assert_eq!(check().unwrap()["ok"], false);
    assert_eq!(told("worse")["severity"], "alarm");
    let noted = expires(&day(400));
    assert!(noted["connection"]["secret_expires"]["app-secret"].is_string());
    assert_eq!(told("closed")["id"], opened["id"]);
    expires("never");
    assert!(check().is_none());
    let refused = |given: &str, says: &str| {
        place
            .on(&["connection", "expires", "ward-3", given])
            .failed(64, says);
    };
    refused("app-secret", "NAME=DATE");
    refused("app-secret=soon", "NAME=DATE");
    refused("app-secret=2027-02-30", "NAME=DATE");
    refused("=2027-02-03", "NAME=DATE");
    refused("other=2027-02-03", "no such secret");
    place
        .on(&["connection", "expires", "ward-4", "app-secret=2027-01-01"])
        .failed(65, "there is no connection ward-4");
}

#[test]
fn doctor_says_until_when_the_certificate_holds_that_serve_listens_with() {
    let place = Place::with_archive();
    let file = |name: &str| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../server/tests/tls");
        folder.join(name).to_str().unwrap().to_owned()
    };
    let tls = [
        "--tls-cert",
        &file("certificate.pem"),
        "--tls-key",
        &file("key.pem"),
    ];
    let check = || {
        let doctor: Value = serde_json::from_str(&place.on(&["doctor", "--json"]).out).unwrap();
        let checks = doctor["checks"].as_array().unwrap().clone();
        checks
            .into_iter()
            .find(|check| check["kind"] == "certificate-expires")
    };
    assert!(check().is_none());
    let serving = place.serve_with(&tls);
    let well = check().unwrap();
    assert_eq!(well["ok"], true, "{well}");
    serving.kill();
    // A hundred and fifty years later.
    place.set_environment(vec![("CHANCERY_CLOCK".to_owned(), "+4733510400".to_owned())]);
    let _serving = place.serve_with(&tls);
    let over = check().unwrap();
    assert_eq!(over["ok"], false, "{over}");
    assert!(
        over["detail"].as_str().unwrap().contains("it expired at"),
        "{over}"
    );
}
