//! No sequence of commands and clock jumps destroys under a hold, before the minimum, or by one person.
#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};

use govern::{
    Asked, Command, Covering, Dying, Event, Facts, Outcome, Person, Refusal, RequestState, Selectors, State, decide,
};
use model::{KeyId, Position, Timestamp};
use proptest::prelude::*;

const PEOPLE: u8 = 3;
const CHATS: u8 = 3;
const LINES: [&str; 2] = ["ward-1", "ward-2"];
const DAY: i64 = 86_400 * 1_000_000;

fn person(n: u8) -> KeyId {
    KeyId([n + 1; 16])
}

fn chat(n: u8) -> KeyId {
    KeyId([n + 101; 16])
}

#[derive(Debug, Clone)]
struct Record {
    person: u8,
    chat: u8,
    line: usize,
    said_at: i64,
    minimum_until: Option<i64>,
}

/// What is really the case, kept apart from what `govern` thinks.
#[derive(Default)]
struct World {
    state: State,
    next: u64,
    truth: i64,
    off: i64,
    proved: Option<i64>,
    records: Vec<Record>,
    gone: BTreeSet<KeyId>,
    holds: BTreeMap<u64, Selectors>,
    asked: BTreeMap<u64, String>,
    agreed: BTreeMap<u64, String>,
}

#[derive(Debug, Clone)]
enum Step {
    Capture { person: u8, chat: u8, line: usize, days: i64 },
    Hold(Option<u8>, Option<u8>, Option<usize>, Option<(i64, i64)>),
    Lift(u8, usize),
    Ask(u8, Vec<(bool, u8)>),
    Approve(u8, usize),
    Decline(u8, usize),
    Jump(i64),
    Pass(i64),
    Prove,
    Work,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0..PEOPLE, 0..CHATS, 0..2usize, prop_oneof![Just(0i64), 1..40i64])
            .prop_map(|(person, chat, line, days)| Step::Capture { person, chat, line, days }),
        1 => (
            proptest::option::of(0..PEOPLE),
            proptest::option::of(0..CHATS),
            proptest::option::of(0..2usize),
            proptest::option::of((-50i64..50, 1i64..60)),
        )
            .prop_map(|(a, b, c, d)| Step::Hold(a, b, c, d)),
        1 => (0..4u8, 0..4usize).prop_map(|(by, which)| Step::Lift(by, which)),
        3 => (0..4u8, proptest::collection::vec((any::<bool>(), 0..3u8), 1..3))
            .prop_map(|(by, what)| Step::Ask(by, what)),
        4 => (0..4u8, 0..6usize).prop_map(|(by, which)| Step::Approve(by, which)),
        1 => (0..4u8, 0..6usize).prop_map(|(by, which)| Step::Decline(by, which)),
        1 => prop_oneof![Just(3650i64), Just(-365), -40..40i64].prop_map(Step::Jump),
        1 => (1..20i64).prop_map(Step::Pass),
        1 => Just(Step::Prove),
        4 => Just(Step::Work),
    ];
    proptest::collection::vec(step, 1..60)
}

/// The fourth has a role that does not let them.
fn somebody(n: u8) -> Person {
    Person {
        name: format!("user{n}"),
        permitted: n < 3,
    }
}

impl World {
    fn own(&self) -> Timestamp {
        Timestamp::from_micros(self.truth + self.off)
    }

    fn at(&mut self) -> Position {
        self.next += 1;
        Position(self.next)
    }

    fn dying<'a>(&'a self, keys: &'a [KeyId]) -> impl Iterator<Item = &'a Record> {
        let living = |record: &&Record| {
            !self.gone.contains(&person(record.person)) && !self.gone.contains(&chat(record.chat))
        };
        let hit = |record: &&Record| {
            keys.contains(&person(record.person)) || keys.contains(&chat(record.chat))
        };
        self.records.iter().filter(living).filter(hit)
    }

    /// As the vault resolves a hold's words.
    fn covering(&self, selectors: &Selectors) -> Covering {
        let set = |words: &[String], key: fn(u8) -> KeyId| {
            (!words.is_empty()).then(|| words.iter().map(|word| key(word.parse().unwrap())).collect())
        };
        let persons: Option<BTreeSet<KeyId>> = set(&selectors.persons, person);
        let theirs = self
            .records
            .iter()
            .filter(|record| persons.as_ref().is_some_and(|all| all.contains(&person(record.person))))
            .map(|record| chat(record.chat))
            .collect();
        Covering {
            persons,
            theirs,
            conversations: set(&selectors.conversations, chat),
            connections: (!selectors.connections.is_empty())
                .then(|| selectors.connections.iter().cloned().collect()),
            from: selectors.from,
            to: selectors.to,
        }
    }

    fn facts(&self, keys: &[KeyId]) -> Facts {
        let covers = |covering: &Covering| {
            covering.keeps(keys)
                || self.dying(keys).any(|record| {
                    covering.covers(&Dying {
                        conversation: chat(record.chat),
                        person: person(record.person),
                        connection: LINES[record.line],
                        earliest: Timestamp::from_micros(record.said_at),
                        latest: Timestamp::from_micros(record.said_at),
                    })
                })
        };
        let held_by = self
            .state
            .holds()
            .find(|(_, hold)| covers(&self.covering(&hold.selectors)));
        let locked = self.dying(keys).filter_map(|record| record.minimum_until).max();
        Facts {
            own: self.own(),
            outside: self.proved.map(Timestamp::from_micros),
            held_by: held_by.map(|(at, _)| at),
            locked_until: locked.map(Timestamp::from_micros),
            living: keys.iter().any(|key| !self.gone.contains(key)),
        }
    }

    fn keys_of(&self, request: Position) -> Vec<KeyId> {
        self.state
            .request(request)
            .map(|request| request.asked.keys.clone())
            .unwrap_or_default()
    }

    fn give(&mut self, command: &Command, keys: &[KeyId]) -> Option<(Position, Event)> {
        let event = decide(&self.state, command, &self.facts(keys)).ok()?;
        let at = self.at();
        // What an entry says becomes the state by its words, as they are read back.
        let said = serde_json::to_string(&event).unwrap();
        assert_eq!(serde_json::from_str::<Event>(&said).unwrap(), event);
        assert!(self.state.apply(at, &event));
        Some((at, event))
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Capture { person: p, chat: c, line, days } => {
                let own = self.own().as_micros();
                if !self.gone.contains(&person(*p)) && !self.gone.contains(&chat(*c)) {
                    self.records.push(Record {
                        person: *p,
                        chat: *c,
                        line: *line,
                        said_at: own,
                        minimum_until: (*days > 0).then_some(own + days * DAY),
                    });
                }
            }
            Step::Hold(p, c, line, range) => {
                let selectors = Selectors {
                    persons: p.iter().map(ToString::to_string).collect(),
                    conversations: c.iter().map(ToString::to_string).collect(),
                    connections: line.iter().map(|line| LINES[*line].parse().unwrap()).collect(),
                    from: range.map(|(from, _)| Timestamp::from_micros(from * DAY)),
                    to: range.map(|(from, days)| Timestamp::from_micros((from + days) * DAY)),
                };
                let command = Command::PlaceHold {
                    by: "anybody".into(),
                    reason: "a dispute".into(),
                    selectors: selectors.clone(),
                };
                if let Some((at, _)) = self.give(&command, &[]) {
                    self.holds.insert(at.0, selectors);
                }
            }
            Step::Lift(by, which) => {
                let Some(hold) = self.holds.keys().nth(*which).copied() else { return };
                let command = Command::LiftHold {
                    hold: Position(hold),
                    by: somebody(*by),
                    reason: "settled".into(),
                };
                if self.give(&command, &[]).is_some() {
                    assert!(somebody(*by).permitted);
                    self.holds.remove(&hold);
                }
            }
            Step::Ask(by, what) => {
                let keys: Vec<KeyId> = what.iter().map(|(p, n)| if *p { person(*n) } else { chat(*n) }).collect();
                let asked = Asked {
                    keys: keys.clone(),
                    reason: "asked for".into(),
                    legal_basis: "art. 17".into(),
                };
                let command = Command::Request { by: somebody(*by), asked };
                if let Some((at, _)) = self.give(&command, &keys) {
                    self.asked.insert(at.0, somebody(*by).name);
                }
            }
            Step::Approve(by, which) => {
                let Some(request) = self.asked.keys().nth(*which).copied() else { return };
                let keys = self.keys_of(Position(request));
                let command = Command::Approve { request: Position(request), by: somebody(*by) };
                if self.give(&command, &keys).is_some() {
                    assert!(somebody(*by).permitted);
                    self.agreed.insert(request, somebody(*by).name);
                }
            }
            Step::Decline(by, which) => {
                let Some(request) = self.asked.keys().nth(*which).copied() else { return };
                let command = Command::Decline {
                    request: Position(request),
                    by: somebody(*by),
                    reason: "no".into(),
                };
                self.give(&command, &[]);
            }
            Step::Jump(days) => self.off += days * DAY,
            Step::Pass(days) => self.truth += days * DAY,
            Step::Prove => self.proved = Some(self.truth),
            Step::Work => self.work(),
        }
    }

    fn work(&mut self) {
        let Some((request, _)) = self.state.to_do() else { return };
        let keys = self.keys_of(request);
        let command = Command::Destroy { request };
        let Some((at, _)) = self.give(&command, &keys) else {
            let stopped = Event::Declined { request, by: None, reason: "stopped".into() };
            let at = self.at();
            assert!(self.state.apply(at, &stopped));
            return;
        };
        self.check(request, &keys);
        let done = &self.state.request(request).unwrap().state;
        assert!(matches!(done, RequestState::Over(Outcome::Destroyed { at: done, .. }) if *done == at));
        self.gone.extend(keys);
    }

    /// What must be true whenever something was destroyed, said without the words of `govern`.
    fn check(&self, request: Position, keys: &[KeyId]) {
        assert_ne!(self.asked[&request.0], self.agreed[&request.0]);
        for record in self.dying(keys) {
            if let Some(until) = record.minimum_until {
                assert!(self.own().as_micros() >= until, "by our clock");
                assert!(self.proved.is_some_and(|proved| proved >= until), "and by another");
                assert!(self.truth >= until, "and in truth");
            }
            for selectors in self.holds.values() {
                let wrote = |chat: u8, name: &String| {
                    self.records.iter().any(|r| r.chat == chat && r.person.to_string() == *name)
                };
                let who = selectors.persons.is_empty()
                    || selectors
                        .persons
                        .iter()
                        .any(|name| record.person.to_string() == *name || wrote(record.chat, name));
                let chat = selectors.conversations.is_empty()
                    || selectors.conversations.contains(&record.chat.to_string());
                let line = selectors.connections.is_empty()
                    || selectors.connections.iter().any(|id| id.as_str() == LINES[record.line]);
                let when = selectors.from.is_none_or(|from| from.as_micros() <= record.said_at)
                    && selectors.to.is_none_or(|to| to.as_micros() > record.said_at);
                assert!(!(who && chat && line && when), "{record:?} was held by {selectors:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_of_commands_and_clock_jumps_destroys_what_it_must_not(steps in steps()) {
        let mut world = World::default();
        for step in &steps {
            world.take(step);
        }
    }
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
    let approve = Command::Approve { request: Position(1), by: officer("bo") };
    let locked = Facts {
        locked_until: Some(Timestamp::from_seconds(900)),
        outside: Some(Timestamp::from_seconds(900)),
        ..facts()
    };
    let event = decide(&state, &approve, &locked).unwrap();
    assert!(state.apply(Position(2), &event));
    assert!(!state.apply(Position(3), &event), "a second approval has no effect");
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
    let decline = Event::Declined { request: Position(2), by: Some("bo".into()), reason: "no".into() };
    assert!(state.apply(Position(3), &decline));
    let approve = |request, name: &str, permitted| Command::Approve {
        request: Position(request),
        by: Person { name: name.into(), permitted },
    };
    let until = Timestamp::from_seconds(2000);
    let later = Facts { own: Timestamp::from_seconds(3000), locked_until: Some(until), ..facts() };
    let proved = |seconds| Facts { outside: Some(Timestamp::from_seconds(seconds)), ..later };
    let cases = [
        (approve(1, "bo", false), facts(), Refusal::Role),
        (approve(1, "ann", true), facts(), Refusal::SamePerson),
        (approve(9, "bo", true), facts(), Refusal::UnknownRequest(Position(9))),
        (approve(2, "bo", true), facts(), Refusal::Decided(Position(2))),
        (
            approve(1, "bo", true),
            Facts { held_by: Some(Position(7)), ..facts() },
            Refusal::Held(Position(7)),
        ),
        (approve(1, "bo", true), Facts { locked_until: Some(until), ..facts() }, Refusal::Minimum(until)),
        (approve(1, "bo", true), later, Refusal::SecondClock { until, proved: None }),
        (
            approve(1, "bo", true),
            proved(1999),
            Refusal::SecondClock { until, proved: Some(Timestamp::from_seconds(1999)) },
        ),
        (approve(1, "bo", true), Facts { living: false, ..facts() }, Refusal::NoEffect),
        (Command::Destroy { request: Position(1) }, facts(), Refusal::NotApproved(Position(1))),
        (
            Command::Decline { request: Position(1), by: officer("bo"), reason: " ".into() },
            facts(),
            Refusal::NoReason,
        ),
        (
            Command::LiftHold { hold: Position(4), by: officer("bo"), reason: "over".into() },
            facts(),
            Refusal::UnknownHold(Position(4)),
        ),
        (
            Command::PlaceHold { by: "bo".into(), reason: "a dispute".into(), selectors: Selectors::default() },
            facts(),
            Refusal::SelectsAll,
        ),
        (
            Command::PlaceHold {
                by: "bo".into(),
                reason: "a dispute".into(),
                selectors: Selectors { from: Some(until), to: Some(until), ..Selectors::default() },
            },
            facts(),
            Refusal::SelectsNothing,
        ),
        (
            Command::Request {
                by: officer("ann"),
                asked: Asked { keys: vec![person(1)], reason: "why".into(), legal_basis: String::new() },
            },
            facts(),
            Refusal::NoLegalBasis,
        ),
    ];
    let mut sentences = BTreeSet::new();
    for (command, facts, expected) in cases {
        assert_eq!(decide(&state, &command, &facts), Err(expected.clone()), "{command:?}");
        sentences.insert((expected.code(), expected.to_string()));
    }
    assert_eq!(sentences.len(), 15);
    assert!(decide(&state, &approve(1, "bo", true), &proved(2000)).is_ok());
}

#[test]
fn a_person_named_before_anything_of_them_was_captured_is_held_when_it_comes() {
    let covering = Covering { persons: Some(BTreeSet::new()), ..Covering::default() };
    let at = Timestamp::from_seconds(1);
    let record = Dying { conversation: chat(0), person: person(0), connection: "ward-1", earliest: at, latest: at };
    assert!(!covering.covers(&record));
    let covering = Covering { persons: Some([person(0)].into()), ..covering };
    assert!(covering.covers(&record) && covering.keeps(&[person(0)]));
}

#[test]
fn what_was_said_by_a_wall_clock_of_unknown_zone_is_held_where_it_may_have_been_in_time() {
    let hours = |n: i64| Timestamp::from_seconds(n * 3600);
    let covering = Covering { from: Some(hours(100)), to: Some(hours(110)), ..Covering::default() };
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
