//! What follows from a command, and by which sentence it is refused.
#![cfg(test)]

use std::collections::BTreeSet;

use govern::{Asked, Command, Covering, Dying, Event, Facts, Person, Refusal, Selectors, State, decide};
use model::{KeyId, Position, Timestamp};

fn person(n: u8) -> KeyId {
    KeyId([n + 1; 16])
}

fn chat(n: u8) -> KeyId {
    KeyId([n + 101; 16])
}

fn facts() -> Facts {
    Facts {
        own: Timestamp::from_seconds(1000),
        living: true,
        ..Facts::default()
    }
}

fn ask(state: &mut State, at: u64, by: &str) {
    let asked = Asked {
        keys: vec![person(1)],
        reason: "asked for".into(),
        legal_basis: "art. 17".into(),
    };
    let by = Person {
        name: by.into(),
        permitted: true,
    };
    let event = decide(state, &Command::Request { by, asked }, &facts()).unwrap();
    assert!(state.apply(Position(at), &event));
}

fn officer(name: &str) -> Person {
    Person {
        name: name.into(),
        permitted: true,
    }
}

#[test]
fn a_destruction_that_two_people_agree_on_and_nothing_forbids_is_done() {
    let mut state = State::default();
    ask(&mut state, 1, "ann");
    assert_eq!(state.waiting(), 1);
    let approve = Command::Approve {
        request: Position(1),
        by: officer("bo"),
    };
    let locked = Facts {
        locked_until: Some(Timestamp::from_seconds(900)),
        outside: Some(Timestamp::from_seconds(900)),
        ..facts()
    };
    let event = decide(&state, &approve, &locked).unwrap();
    assert!(state.apply(Position(2), &event));
    assert!(
        !state.apply(Position(3), &event),
        "a second approval has no effect"
    );
    assert_eq!(state.to_do().map(|(at, _)| at), Some(Position(1)));
    let destroy = Command::Destroy { request: Position(1) };
    let event = decide(&state, &destroy, &locked).unwrap();
    assert!(state.apply(Position(4), &event));
    assert!(!state.apply(Position(5), &event));
    assert_eq!((state.waiting(), state.to_do()), (0, None));
}

#[test]
fn each_refusal_is_told_by_its_own_sentence() {
    let mut state = State::default();
    ask(&mut state, 1, "ann");
    ask(&mut state, 2, "ann");
    let decline = Event::Declined {
        request: Position(2),
        by: Some("bo".into()),
        reason: "no".into(),
    };
    assert!(state.apply(Position(3), &decline));
    let approve = |request, name: &str, permitted| Command::Approve {
        request: Position(request),
        by: Person {
            name: name.into(),
            permitted,
        },
    };
    let until = Timestamp::from_seconds(2000);
    let later = Facts {
        own: Timestamp::from_seconds(3000),
        locked_until: Some(until),
        ..facts()
    };
    let proved = |seconds| Facts {
        outside: Some(Timestamp::from_seconds(seconds)),
        ..later
    };
    let cases = [
        (approve(1, "bo", false), facts(), Refusal::Role),
        (approve(1, "ann", true), facts(), Refusal::SamePerson),
        (
            approve(9, "bo", true),
            facts(),
            Refusal::UnknownRequest(Position(9)),
        ),
        (approve(2, "bo", true), facts(), Refusal::Decided(Position(2))),
        (
            approve(1, "bo", true),
            Facts {
                held_by: Some(Position(7)),
                ..facts()
            },
            Refusal::Held(Position(7)),
        ),
        (
            approve(1, "bo", true),
            Facts {
                locked_until: Some(until),
                ..facts()
            },
            Refusal::Minimum(until),
        ),
        (
            approve(1, "bo", true),
            later,
            Refusal::SecondClock { until, proved: None },
        ),
        (
            approve(1, "bo", true),
            proved(1999),
            Refusal::SecondClock {
                until,
                proved: Some(Timestamp::from_seconds(1999)),
            },
        ),
        (
            approve(1, "bo", true),
            Facts {
                living: false,
                ..facts()
            },
            Refusal::NoEffect,
        ),
        (
            Command::Destroy { request: Position(1) },
            facts(),
            Refusal::NotApproved(Position(1)),
        ),
        (
            Command::Decline {
                request: Position(1),
                by: officer("bo"),
                reason: " ".into(),
            },
            facts(),
            Refusal::NoReason,
        ),
        (
            Command::LiftHold {
                hold: Position(4),
                by: officer("bo"),
                reason: "over".into(),
            },
            facts(),
            Refusal::UnknownHold(Position(4)),
        ),
        (
            Command::PlaceHold {
                by: "bo".into(),
                reason: "a dispute".into(),
                selectors: Selectors::default(),
            },
            facts(),
            Refusal::SelectsAll,
        ),
        (
            Command::PlaceHold {
                by: "bo".into(),
                reason: "a dispute".into(),
                selectors: Selectors {
                    from: Some(until),
                    to: Some(until),
                    ..Selectors::default()
                },
            },
            facts(),
            Refusal::SelectsNothing,
        ),
        (
            Command::Request {
                by: officer("ann"),
                asked: Asked {
                    keys: vec![person(1)],
                    reason: "why".into(),
                    legal_basis: String::new(),
                },
            },
            facts(),
            Refusal::NoLegalBasis,
        ),
    ];
    let mut sentences = BTreeSet::new();
    for (command, facts, expected) in cases {
        assert_eq!(
            decide(&state, &command, &facts),
            Err(expected.clone()),
            "{command:?}"
        );
        sentences.insert((expected.code(), expected.to_string()));
    }
    assert_eq!(sentences.len(), 15);
    assert!(decide(&state, &approve(1, "bo", true), &proved(2000)).is_ok());
}

#[test]
fn a_person_named_before_anything_of_them_was_captured_is_held_when_it_comes() {
    let covering = Covering {
        persons: Some(BTreeSet::new()),
        ..Covering::default()
    };
    let at = Timestamp::from_seconds(1);
    let record = Dying {
        conversation: chat(0),
        person: person(0),
        connection: "ward-1",
        earliest: at,
        latest: at,
    };
    assert!(!covering.covers(&record));
    let covering = Covering {
        persons: Some([person(0)].into()),
        ..covering
    };
    assert!(covering.covers(&record) && covering.keeps(&[person(0)]));
}

#[test]
fn what_was_said_by_a_wall_clock_of_unknown_zone_is_held_where_it_may_have_been_in_time() {
    let hours = |n: i64| Timestamp::from_seconds(n * 3600);
    let covering = Covering {
        from: Some(hours(100)),
        to: Some(hours(110)),
        ..Covering::default()
    };
    let record = |n| Dying {
        conversation: chat(0),
        person: person(0),
        connection: "ward-1",
        earliest: hours(n - 14),
        latest: hours(n + 14),
    };
    let held: Vec<i64> = (80..130).filter(|n| covering.covers(&record(*n))).collect();
    assert_eq!(held, (86..124).collect::<Vec<_>>());
}
