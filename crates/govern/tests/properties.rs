//! No sequence of commands and clock jumps destroys under a hold, before the minimum, or by one person.
#![cfg(test)]

use std::collections::{BTreeMap, BTreeSet};

use govern::{
    Asked, Command, Covering, Dying, Event, Facts, Outcome, Person, RequestState, Selectors, State, decide,
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
    Capture {
        person: u8,
        chat: u8,
        line: usize,
        days: i64,
    },
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
        let hit =
            |record: &&Record| keys.contains(&person(record.person)) || keys.contains(&chat(record.chat));
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
            .filter(|record| {
                persons
                    .as_ref()
                    .is_some_and(|all| all.contains(&person(record.person)))
            })
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
            Step::Capture {
                person: p,
                chat: c,
                line,
                days,
            } => {
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
                let Some(hold) = self.holds.keys().nth(*which).copied() else {
                    return;
                };
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
                let keys: Vec<KeyId> = what
                    .iter()
                    .map(|(p, n)| if *p { person(*n) } else { chat(*n) })
                    .collect();
                let asked = Asked {
                    keys: keys.clone(),
                    reason: "asked for".into(),
                    legal_basis: "art. 17".into(),
                };
                let command = Command::Request {
                    by: somebody(*by),
                    asked,
                };
                if let Some((at, _)) = self.give(&command, &keys) {
                    self.asked.insert(at.0, somebody(*by).name);
                }
            }
            Step::Approve(by, which) => {
                let Some(request) = self.asked.keys().nth(*which).copied() else {
                    return;
                };
                let keys = self.keys_of(Position(request));
                let command = Command::Approve {
                    request: Position(request),
                    by: somebody(*by),
                };
                if self.give(&command, &keys).is_some() {
                    assert!(somebody(*by).permitted);
                    self.agreed.insert(request, somebody(*by).name);
                }
            }
            Step::Decline(by, which) => {
                let Some(request) = self.asked.keys().nth(*which).copied() else {
                    return;
                };
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
        let Some((request, _)) = self.state.to_do() else {
            return;
        };
        let keys = self.keys_of(request);
        let command = Command::Destroy { request };
        let Some((at, _)) = self.give(&command, &keys) else {
            let stopped = Event::Declined {
                request,
                by: None,
                reason: "stopped".into(),
            };
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
                assert!(
                    self.proved.is_some_and(|proved| proved >= until),
                    "and by another"
                );
                assert!(self.truth >= until, "and in truth");
            }
            for selectors in self.holds.values() {
                let wrote = |chat: u8, name: &String| {
                    self.records
                        .iter()
                        .any(|r| r.chat == chat && r.person.to_string() == *name)
                };
                let who = selectors.persons.is_empty()
                    || selectors
                        .persons
                        .iter()
                        .any(|name| record.person.to_string() == *name || wrote(record.chat, name));
                let chat = selectors.conversations.is_empty()
                    || selectors.conversations.contains(&record.chat.to_string());
                let line = selectors.connections.is_empty()
                    || selectors
                        .connections
                        .iter()
                        .any(|id| id.as_str() == LINES[record.line]);
                let when = selectors
                    .from
                    .is_none_or(|from| from.as_micros() <= record.said_at)
                    && selectors.to.is_none_or(|to| to.as_micros() > record.said_at);
                assert!(
                    !(who && chat && line && when),
                    "{record:?} was held by {selectors:?}"
                );
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
