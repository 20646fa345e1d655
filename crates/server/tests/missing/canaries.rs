//! Messages that a connection is expected to bring every so often.

use model::Timestamp;
use serde_json::{Value, json};
use server::vault::VaultError;
use server::vault::canaries::CanaryWanted;
use server::vault::checks::{Check, CheckKind};
use zeroize::Zeroizing;

use crate::{HOUR, NOW, World, cloud, connect, said, text};

const PHRASE: &str = "daily test of ward three 4711";

fn wanted(connection: &str, name: &str) -> CanaryWanted {
    CanaryWanted {
        connection: connection.to_owned(),
        name: name.parse().unwrap(),
        every_seconds: 24 * 3600,
        grace_seconds: 3600,
    }
}

impl World {
    fn ask(&self, wanted: &CanaryWanted, phrase: &str) -> Result<Value, VaultError> {
        let phrase = Zeroizing::new(phrase.as_bytes().to_vec());
        self.vault().expect_canary(wanted, &phrase, "test")
    }

    /// With two connections, of which the first is to bring a message.
    fn expecting() -> World {
        let world = World::new();
        connect(&world, "ward-3");
        connect(&world, "ward-4");
        world.ask(&wanted("ward-3", "daily"), PHRASE).unwrap();
        world
    }

    fn say(&self, connection: &str, id: &str, words: &str) {
        let mut message = text(id);
        message["text"]["body"] = json!(words);
        self.deliver(connection, "whatsapp-cloud", &cloud(&[message], "messages"));
        self.settle();
    }

    fn later(&self, hours: i64) {
        self.pass(hours * HOUR);
        self.settle();
    }

    fn canaries(&self) -> Vec<Check> {
        let mut checks = self.vault().doctor().unwrap();
        checks.retain(|check| check.kind == CheckKind::CanaryArrived);
        checks
    }

    /// Cause, state and why closed of each gap.
    fn stand(&self) -> Vec<[String; 3]> {
        let word = |value: &Value| value.as_str().unwrap_or("").to_owned();
        let one = |gap: &Value| {
            let closed = word(&gap["closed"]["reason"]);
            [word(&gap["cause"]), word(&gap["state"]), closed]
        };
        self.gaps().iter().map(one).collect()
    }
}

fn open() -> [String; 3] {
    ["canary-missed", "open", ""].map(str::to_owned)
}

fn closed(reason: &str) -> [String; 3] {
    ["canary-missed", "closed", reason].map(str::to_owned)
}

#[test]
fn an_expected_message_that_arrives_in_time_opens_no_gap_and_counts_from_when_it_was_received() {
    let world = World::expecting();
    for day in 0..4 {
        // Up to an hour late is in time; spaces and words around it do not matter.
        world.later(25);
        assert_eq!(world.stand(), Vec::<[String; 3]>::new(), "day {day}");
        world.say("ward-3", &format!("w{day}"), &format!("hello {PHRASE}, bye"));
    }
    let status = world.vault().capture_status().unwrap();
    let at = |hours: i64| Timestamp::from_seconds(NOW + hours * HOUR).to_string();
    assert_eq!(
        status["expected"],
        json!([{ "connection": "ward-3", "name": "daily", "every_seconds": 86_400, "grace_seconds": 3600,
            "set_at": at(0), "last_arrived_at": at(100), "next_due": at(124), "gap": null }])
    );
    let checks = world.canaries();
    assert_eq!(checks.len(), 1);
    assert!(checks[0].ok && checks[0].subject.as_deref() == Some("ward-3/daily"));
}

#[test]
fn one_that_is_missed_is_one_gap_and_a_failed_check_until_it_arrives_again_and_the_next_miss_is_another() {
    let world = World::expecting();
    world.say("ward-3", "w0", PHRASE);
    world.later(25);
    assert!(world.gaps().is_empty(), "not late by more than it may be");
    world.pass(1);
    world.settle();
    assert_eq!(world.stand(), [open()]);
    let gap = world.gaps()[0].clone();
    assert_eq!(
        (
            &gap["connection"],
            &gap["count"],
            &gap["still_missing"],
            &gap["missing_by"]
        ),
        (&json!("ward-3"), &json!(1), &json!(1), &json!({ "daily": 1 }))
    );
    let at = |seconds: i64| json!(Timestamp::from_seconds(NOW + seconds).to_string());
    assert_eq!((&gap["from"], &gap["to"]), (&at(0), &at(25 * HOUR + 1)));
    assert!(!world.canaries()[0].ok);
    world.later(100);
    assert_eq!(world.stand(), [open()], "said once");
    // Another message shows that the connection speaks, not that what is expected comes.
    world.say("ward-3", "w1", "something else");
    assert_eq!(world.stand(), [open()]);
    world.say("ward-3", "w2", PHRASE);
    assert_eq!(world.stand(), [closed("resumed")]);
    assert!(world.canaries()[0].ok);
    world.later(26);
    assert_eq!(world.stand(), [closed("resumed"), open()]);
}

#[test]
fn only_a_message_of_the_connection_with_the_very_phrase_that_came_after_it_was_set_counts() {
    let world = World::new();
    connect(&world, "ward-3");
    connect(&world, "ward-4");
    world.say("ward-3", "w0", PHRASE);
    world.ask(&wanted("ward-3", "daily"), PHRASE).unwrap();
    world.say("ward-4", "w1", PHRASE);
    world.say("ward-3", "w2", &PHRASE.to_uppercase());
    world.say("ward-3", "w3", &PHRASE.replace(' ', "  "));
    world.say("ward-3", "w4", &PHRASE[1..]);
    let status = world.vault().capture_status().unwrap();
    assert_eq!(status["expected"][0]["last_arrived_at"], Value::Null);
    world.later(26);
    assert_eq!(world.stand(), [open()]);
    // What was captured before stays out when it is understood anew.
    world.vault().rebuild().unwrap();
    world.settle();
    assert_eq!(world.stand(), [open()]);
}

#[test]
fn what_is_expected_no_more_closes_its_gap_opens_none_and_can_be_set_anew() {
    let world = World::expecting();
    world.later(26);
    assert_eq!(world.stand(), [open()]);
    world
        .vault()
        .expect_canary_no_more("ward-3", "daily", "test")
        .unwrap();
    world.settle();
    assert_eq!(world.stand(), [closed("no-longer-expected")]);
    assert!(world.canaries().is_empty());
    world.later(100);
    assert_eq!(world.stand(), [closed("no-longer-expected")]);
    for (connection, name) in [("ward-3", "daily"), ("ward-4", "daily"), ("ward-3", "other")] {
        let again = world.vault().expect_canary_no_more(connection, name, "test");
        assert!(
            matches!(again, Err(VaultError::NotFound(_))),
            "{connection} {name}"
        );
    }
    world.ask(&wanted("ward-3", "daily"), PHRASE).unwrap();
    world.settle();
    assert!(world.canaries()[0].ok, "counted from when it was set");
    world.later(26);
    assert_eq!(world.stand(), [closed("no-longer-expected"), open()]);
}

#[test]
fn a_clock_that_jumps_ahead_and_back_opens_one_gap_and_hides_no_later_one() {
    let world = World::expecting();
    world.later(240);
    assert_eq!(world.stand(), [open()]);
    world.later(-240);
    world.later(1);
    assert_eq!(world.stand(), [open()]);
    world.later(240);
    assert_eq!(world.stand(), [open()]);
    // Received while the clock is ahead, it counts from when the clock is found behind.
    world.say("ward-3", "w0", PHRASE);
    assert_eq!(world.stand(), [closed("resumed")]);
    world.later(-240);
    world.later(25);
    assert_eq!(world.stand(), [closed("resumed")]);
    world.later(1);
    assert_eq!(world.stand(), [closed("resumed"), open()]);
}

#[test]
fn what_was_decided_stands_after_a_restart_and_is_the_same_when_it_is_made_again() {
    let mut world = World::expecting();
    world
        .ask(&wanted("ward-4", "weekly"), "weekly test 0815")
        .unwrap();
    world.later(26);
    world.say("ward-3", "w0", PHRASE);
    world.later(30);
    let all = |world: &World| {
        let gaps: Vec<String> = world.gaps().iter().map(said).collect();
        let status = world.vault().capture_status().unwrap();
        (gaps, status["expected"].clone(), world.canaries())
    };
    let before = all(&world);
    assert_eq!(world.stand(), [closed("resumed"), open(), open()]);
    let head = world.vault().ledger().head();
    world.again();
    world.settle();
    assert_eq!(all(&world), before);
    world.vault().rebuild().unwrap();
    world.settle();
    assert_eq!(all(&world), before);
    let after = world.vault().ledger().head();
    assert_eq!(
        after.0 - head.0,
        1,
        "the act of the rebuild, and nothing decided again"
    );
    world.say("ward-3", "w1", PHRASE);
    assert_eq!(world.stand(), [closed("resumed"), open(), closed("resumed")]);
}

#[test]
fn what_cannot_be_expected_is_refused_with_the_reason() {
    let world = World::expecting();
    let refused = |wanted: &CanaryWanted, phrase: &str, why: &str| {
        let error = world.ask(wanted, phrase).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
        assert!(phrase.is_empty() || !error.contains(phrase), "{error}");
    };
    let head = world.vault().ledger().head();
    let other = wanted("ward-3", "other");
    refused(&wanted("ward-9", "daily"), "nobody knows 123", "ward-9");
    refused(&wanted("ward-3", "daily"), "nobody knows 123", "already");
    refused(&other, PHRASE, "would count for the expectation daily too");
    refused(&other, &format!("the {PHRASE}"), "would count for");
    refused(&other, &PHRASE[2..20], "would count for");
    refused(&other, "too short", "fewer than 12");
    refused(&other, "", "fewer than 12");
    for (every, grace, why) in [
        (599, 0, "10m"),
        (0, 0, "10m"),
        (u64::MAX, 0, "31d"),
        (32 * 86_400, 0, "31d"),
        (3600, 7 * 86_400 + 1, "at most 7d"),
        (3600, u64::MAX, "at most 7d"),
    ] {
        let wanted = CanaryWanted {
            every_seconds: every,
            grace_seconds: grace,
            ..other.clone()
        };
        refused(&wanted, "nobody knows 123", why);
    }
    assert_eq!(world.vault().ledger().head(), head, "none of it is written");
    // Of another connection the same phrase is another message.
    world.ask(&wanted("ward-4", "daily"), PHRASE).unwrap();
    for n in 1..8 {
        world
            .ask(
                &wanted("ward-3", &format!("n{n}")),
                &format!("number {n} of many"),
            )
            .unwrap();
    }
    refused(
        &wanted("ward-3", "n9"),
        "number nine of many",
        "are 8 expectations",
    );
}
