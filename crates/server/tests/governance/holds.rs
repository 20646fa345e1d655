//! Holds keep what they name, what comes later too, until somebody who may lets go.

use govern::{Refusal, Selectors};
use model::Timestamp;
use server::vault::Vault;

use crate::instance::*;

fn persons(name: &str) -> Selectors {
    Selectors {
        persons: vec![name.into()],
        ..Selectors::default()
    }
}

fn is_held(vault: &Vault, targets: server::vault::governance::Targets) -> bool {
    match request(vault, targets, "ann") {
        Ok(asked) => {
            vault
                .decline_destruction(asked, "only asked", &user(vault, "ann"), "test")
                .unwrap();
            false
        }
        Err(server::vault::VaultError::Refused(Refusal::Held(_))) => true,
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn a_hold_on_a_person_keeps_their_words_and_the_conversations_they_are_in() {
    let place = Place::new();
    let vault = place.create();
    import(
        &vault,
        "Ward",
        "31/01/24, 10:00 - Ann Ames: hers\n31/01/24, 10:01 - Bo Berg: his\n",
    );
    deliver(&vault, &[message("1", ANN, "alone")]);
    deliver(&vault, &[message("2", BO, "alone")]);
    let held = hold(&vault, persons("Ann Ames"));
    assert!(is_held(&vault, person("Ann Ames")));
    assert!(is_held(&vault, person("Bo Berg")), "he speaks where she does");
    assert!(is_held(&vault, conversation("Ward")));
    assert!(!is_held(&vault, person(BO)));
    // By a number, however it is typed.
    hold(&vault, persons("+49 151 12345678"));
    assert!(is_held(&vault, conversation(ANN)));
    assert!(!is_held(&vault, conversation(BO)));
    vault
        .lift_hold(held, "settled", &user(&vault, "ann"), "test")
        .unwrap();
    assert!(!is_held(&vault, person("Bo Berg")));
}

#[test]
fn a_hold_by_connection_and_time_keeps_just_that() {
    let place = Place::new();
    let vault = place.create();
    let at = |day: i64| NOW - 100 * DAY + day * DAY;
    let say = |connection: &str, n: i64, from: &str| {
        let text = body(&[message_at(at(n), &format!("{connection}{n}"), from, "words")]);
        deliver_locked(&vault, &text, connection, 0);
    };
    say("ward-3", 1, "491510000001");
    say("ward-3", 20, "491510000002");
    say("ward-4", 1, "491510000003");
    settle(&vault);
    hold(
        &vault,
        Selectors {
            connections: vec!["ward-3".parse().unwrap()],
            from: Some(Timestamp::from_seconds(at(0))),
            to: Some(Timestamp::from_seconds(at(10))),
            ..Selectors::default()
        },
    );
    assert!(is_held(&vault, person("491510000001")));
    assert!(!is_held(&vault, person("491510000002")), "said later");
    assert!(!is_held(&vault, person("491510000003")), "said elsewhere");
    // What is captured later and lies in it is held too, and with it the person.
    say("ward-3", 5, "491510000002");
    settle(&vault);
    assert!(is_held(&vault, person("491510000002")));
}

#[test]
fn whom_a_hold_names_is_held_from_their_first_capture_on() {
    let place = Place::new();
    let vault = place.create();
    hold(&vault, persons(ANN));
    deliver(&vault, &[message("1", ANN, "the first words")]);
    assert!(is_held(&vault, person(ANN)));
}

#[test]
fn only_who_may_lifts_a_hold_and_says_why_and_all_of_it_is_there_after_a_rebuild() {
    let place = Place::new();
    let vault = place.create();
    deliver(&vault, &[message("1", ANN, "hers")]);
    let (first, second) = (hold(&vault, persons(ANN)), hold(&vault, persons(BO)));
    let lift = |hold, reason: &str, who: &str| vault.lift_hold(hold, reason, &user(&vault, who), "test");
    assert_eq!(refused(lift(first, "settled", "cy")), Refusal::Role);
    assert_eq!(refused(lift(first, "  ", "ann")), Refusal::NoReason);
    assert_eq!(
        refused(lift(first.plus(1000), "settled", "ann")),
        Refusal::UnknownHold(first.plus(1000))
    );
    let nothing = vault.place_hold(Selectors::default(), "why", None, "test");
    assert_eq!(refused(nothing), Refusal::SelectsAll);
    lift(second, "settled", "bo").unwrap();
    assert_eq!(
        refused(lift(second, "settled", "bo")),
        Refusal::UnknownHold(second)
    );
    let listed = vault.holds("test").unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(
        (&listed[0]["hold"], &listed[0]["keeps"]["persons"][0]),
        (&first.0.into(), &ANN.into())
    );
    assert_eq!(listed[0]["reason"], "a dispute");
    vault.rebuild().unwrap();
    assert_eq!(vault.holds("test").unwrap(), listed);
    drop(vault);
    let vault = place.open();
    assert_eq!(vault.holds("test").unwrap(), listed);
    assert!(is_held(&vault, person(ANN)));
    assert_eq!(vault.status().unwrap()["holds"], 1);
    for (path, bytes) in place.files() {
        assert!(
            !contains(&bytes, b"a dispute") && !contains(&bytes, ANN.as_bytes()),
            "{}",
            path.display()
        );
    }
}

#[test]
fn what_was_asked_for_before_a_hold_is_refused_when_it_is_approved() {
    let place = Place::new();
    let vault = place.create();
    deliver(&vault, &[message("1", ANN, "hers")]);
    let asked = request(&vault, person(ANN), "ann").unwrap();
    let held = hold(&vault, persons(ANN));
    assert_eq!(refused(approve(&vault, asked, "bo")), Refusal::Held(held));
    assert_eq!(vault.status().unwrap()["requests_waiting"], 1);
    vault
        .lift_hold(held, "settled", &user(&vault, "ann"), "test")
        .unwrap();
    assert_eq!(approve(&vault, asked, "bo").unwrap()["state"], "destroyed");
    assert_eq!(search(&vault, "hers").len(), 0);
}
