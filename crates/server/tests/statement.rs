//! The daily statement of completeness: each day once, nothing before it is understood, nothing readable in it.
#![cfg(test)]

use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use model::entry::{ActCode, Kind, Origin};
use model::{Position, Timestamp};
use seal::bundle::{Sink, VerifyOptions, verify};
use seal::envelope::{Purpose, stream_head};
use seal::keyring::{PassphraseCost, Unlock};
use seal::note::NoteKey;
use seal::part::Place;
use serde_json::{Value, json};
use server::vault::connections::ConnectionConfig;
use server::vault::export::Selection;
use server::vault::{Vault, VaultOptions, create};
use store::ledger::{Draft, LedgerOptions};

const QUICK: PassphraseCost = PassphraseCost {
    memory_kib: 64,
    passes: 1,
};
/// Noon of 2026-03-10.
const NOON: i64 = 1_773_144_000;
const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;

/// A vault whose clock the test sets.
struct World {
    folder: tempfile::TempDir,
    clock: Arc<AtomicI64>,
    vault: Option<Arc<Vault>>,
}

fn open(folder: &Path, clock: &Arc<AtomicI64>) -> Vault {
    let told = clock.clone();
    let mut options = VaultOptions::with_clock(Arc::new(move || {
        Timestamp::from_seconds(told.load(Ordering::SeqCst))
    }));
    options.ledger = LedgerOptions {
        checkpoint_every: Duration::from_millis(20),
        ..LedgerOptions::default()
    };
    Vault::open(folder, &Unlock::Passphrase(b"correct"), options).unwrap()
}

impl World {
    fn new() -> World {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(AtomicI64::new(NOON));
        let now = Timestamp::from_seconds(NOON);
        let unlock = Unlock::Passphrase(b"correct");
        create(folder.path(), "us".parse().unwrap(), &unlock, QUICK, None, now).unwrap();
        let vault = Some(Arc::new(open(folder.path(), &clock)));
        let world = World { folder, clock, vault };
        let config = ConnectionConfig {
            id: "ward".parse().unwrap(),
            connector: "generic-import".into(),
            settings: connect::Settings::default(),
            minimum_lock_days: 0,
            secret_expires: std::collections::BTreeMap::default(),
        };
        world
            .vault()
            .add_connection(&config, &connect::Secrets::default())
            .unwrap();
        world
    }

    fn vault(&self) -> &Arc<Vault> {
        self.vault.as_ref().unwrap()
    }

    fn again(&mut self) {
        self.vault = None;
        self.vault = Some(Arc::new(open(self.folder.path(), &self.clock)));
    }

    fn set(&self, seconds: i64) {
        self.clock.store(seconds, Ordering::SeqCst);
    }

    fn deliver(&self, lines: &[u64]) -> Position {
        let vault = self.vault();
        let origin = Origin {
            connection: "ward".parse().unwrap(),
            connector: "generic-import".into(),
            connector_version: 1,
            received_at: vault.now(),
            verdict: 0,
            secret: 0,
            minimum_lock_days: 0,
        };
        let line = |n: &u64| {
            json!({ "platform_id": format!("x{n}"), "conversation": { "id": "c" }, "sent_at": "2026-03-10T10:00:00Z",
                "sender": { "name": "Ann", "ids": [{ "kind": "phone", "value": "447700900123" }] },
                "text": format!("says {n}"), "details": { "seq": n } })
            .to_string()
                + "\n"
        };
        let mut stream = stream_head(b"{}");
        stream.extend(lines.iter().flat_map(|n| line(n).into_bytes()));
        let encapsulated = vault.epoch().unwrap().encapsulate().unwrap();
        let mut sealer = encapsulated.sealer(origin, Purpose::Capture).unwrap();
        let kind = sealer.seal(&mut stream, true).unwrap();
        vault.ledger().append(vec![Draft { kind, body: stream }]).unwrap()
    }

    /// Lets the follower come to rest: everything understood, and nothing more to say about it.
    fn settle(&self) {
        loop {
            let head = self.vault().ledger().head();
            self.vault().wait_normalized(head).unwrap();
            self.vault().wait_looked(head).unwrap();
            if self.vault().ledger().head() == head {
                return;
            }
        }
    }

    /// Positions of all statements, whatever they say.
    fn entries(&self) -> Vec<Position> {
        let head = self.vault().ledger().head();
        let is_one = |at: &u64| {
            let entry = self.vault().ledger().entry(Position(*at)).unwrap().unwrap();
            matches!(&entry.header.kind, Kind::Act(act) if act.code == ActCode::CompletenessStated)
        };
        (0..head.0).filter(is_one).map(Position).collect()
    }

    fn statement(&self, day: Option<&str>) -> Value {
        self.vault().completeness_statement(day).unwrap()
    }

    fn none(&self, day: Option<&str>) -> String {
        self.vault().completeness_statement(day).unwrap_err().to_string()
    }

    fn stated(&self) -> bool {
        let checks = self.vault().doctor().unwrap();
        let check = checks
            .iter()
            .find(|check| check.check == "completeness is stated each day");
        check.unwrap().ok
    }
}

#[test]
fn each_day_is_stated_once_when_it_is_over_with_its_numbers_and_the_checkpoint_that_signs_it() {
    let mut world = World::new();
    world.deliver(&[1, 2, 5]);
    world.settle();
    assert!(
        world
            .none(None)
            .contains("the first is written when the first day (UTC) is over")
    );
    assert!(world.stated());
    world.set(NOON + 12 * HOUR + 9 * 60);
    world.settle();
    assert_eq!(world.entries(), []);
    world.set(NOON + 12 * HOUR + 10 * 60);
    world.settle();
    // Again and again, and after a restart: once.
    world.settle();
    world.again();
    world.settle();
    assert_eq!(world.entries().len(), 1);
    let said = world.statement(None);
    assert_eq!(said["entry"], json!(world.entries()[0]));
    assert!(said["checkpoint"]["covers"].as_u64().unwrap() > said["entry"].as_u64().unwrap());
    let body = &said["statement"];
    assert_eq!(
        (&body["first_day"], &body["last_day"]),
        (&json!("2026-03-10"), &json!("2026-03-10"))
    );
    assert_eq!(body["made_up"], false);
    assert_eq!(body["connections"][0]["connection"], "ward");
    assert_eq!(body["connections"][0]["captures"], 1);
    assert_eq!(body["connections"][0]["of_the_day"]["captures"], 1);
    assert_eq!(body["connections"][0]["from"], "2026-03-10T12:00:00Z");
    assert_eq!(body["gaps_open"], 1);
    assert_eq!(body["open"][0]["cause"], "sequence-hole");
    assert_eq!(body["open"][0]["still_missing"], 2);
    assert_eq!(body["outside_anchor_at"], Value::Null);
    assert!(
        body["denominator"]
            .as_str()
            .unwrap()
            .contains("never set up or enrolled")
    );
    assert_eq!(world.statement(Some("2026-03-10")), said);
    assert!(
        world
            .none(Some("2026-03-11"))
            .contains("there is no statement of completeness for 2026-03-11")
    );
    for wrong in ["", "today", "2026-02-30", "2026-03-10T00:00:00Z"] {
        assert!(world.none(Some(wrong)).contains("a day in UTC"), "{wrong}");
    }
    // What was missing comes: the next statement says so, and that day itself brought one capture.
    world.deliver(&[3, 4]);
    world.set(NOON + DAY + 13 * HOUR);
    world.settle();
    let next = world.statement(None);
    assert_eq!(next["statement"]["last_day"], "2026-03-11");
    assert_eq!(next["statement"]["since_entry"], said["entry"]);
    assert_eq!(next["statement"]["gaps_open"], 0);
    assert_eq!(next["statement"]["closed"][0]["closed"]["reason"], "arrived");
    assert_eq!(next["statement"]["connections"][0]["of_the_day"]["captures"], 1);
    assert_eq!(world.entries().len(), 2);
}

#[test]
fn no_day_is_stated_while_something_that_arrived_is_not_understood() {
    let world = World::new();
    world.settle();
    // It arrives while the follower is anywhere in its round; the day is over, and not stated before it is counted.
    let last = world.deliver(&[1, 2, 5]);
    world.set(NOON + DAY);
    world.settle();
    let said = world.statement(None);
    let understood = said["statement"]["understood_before_entry"].as_u64().unwrap();
    assert!(
        understood > last.0 && understood <= said["entry"].as_u64().unwrap(),
        "{said}"
    );
    assert_eq!(said["statement"]["connections"][0]["captures"], 1, "{said}");
}

#[test]
fn missed_days_are_made_up_each_by_its_own_statement_and_say_so() {
    let mut world = World::new();
    world.deliver(&[1]);
    world.settle();
    world.vault = None;
    world.set(NOON + 4 * DAY);
    world.again();
    world.settle();
    assert_eq!(world.entries().len(), 4);
    for (day, captures) in [
        ("2026-03-10", 1),
        ("2026-03-11", 0),
        ("2026-03-12", 0),
        ("2026-03-13", 0),
    ] {
        let body = world.statement(Some(day))["statement"].clone();
        assert_eq!(body["first_day"], day);
        let of_the_day = &body["connections"][0]["of_the_day"];
        assert_eq!(of_the_day["captures"].as_u64().unwrap_or(0), captures, "{day}");
        assert_eq!(body["made_up"], json!(day < "2026-03-13"), "{day}");
    }
    assert!(world.stated());
}

#[test]
fn days_missed_long_ago_have_one_statement_together_so_that_no_jump_of_the_clock_fills_the_ledger() {
    let mut world = World::new();
    world.settle();
    world.vault = None;
    world.set(NOON + 10 * 365 * DAY);
    world.again();
    world.settle();
    assert_eq!(world.entries().len(), 32);
    let together = world.statement(Some("2026-03-10"))["statement"].clone();
    assert_eq!(together["first_day"], "2026-03-10");
    assert_eq!(together, world.statement(Some("2030-01-01"))["statement"]);
}

#[test]
fn what_a_clock_that_ran_ahead_stated_does_not_count_and_its_days_are_stated_again_when_they_are_over() {
    let mut world = World::new();
    world.settle();
    // Three days ahead for a while.
    world.set(NOON + 3 * DAY);
    world.settle();
    let ahead = world.entries();
    assert_eq!(ahead.len(), 3);
    world.set(NOON + HOUR);
    world.deliver(&[1, 2]);
    world.settle();
    // One entry more, which withdraws them.
    assert_eq!(world.entries().len(), 4);
    assert!(world.none(None).contains("the first is written"));
    // Whoever asks for one of them by its day is told.
    assert_eq!(world.statement(Some("2026-03-11"))["clock_ran_ahead"], true);
    assert!(world.stated());
    for (passed, day) in [(1, "2026-03-10"), (2, "2026-03-11"), (3, "2026-03-12")] {
        world.set(NOON + passed * DAY);
        world.settle();
        let said = world.statement(None);
        assert_eq!(said["statement"]["first_day"], day);
        assert_eq!(said["clock_ran_ahead"], false);
        assert_eq!(said["statement"]["replaces"], json!([ahead[passed as usize - 1]]));
        assert_eq!(world.statement(Some(day)), said);
        world.again();
    }
    world.settle();
    assert_eq!(world.entries().len(), 7);
}

#[test]
fn a_clock_that_went_back_states_nothing_twice() {
    let world = World::new();
    world.set(NOON + DAY);
    world.settle();
    let before = world.entries();
    assert_eq!(before.len(), 1);
    // Put right by some minutes, by what a network does.
    for seconds in [1, 60, 9 * 60] {
        world.set(NOON + DAY - seconds);
        world.deliver(&[1]);
        world.settle();
    }
    world.set(NOON + DAY + HOUR);
    world.settle();
    assert_eq!(world.entries(), before);
    assert_eq!(world.statement(None)["clock_ran_ahead"], false);
    // Before the beginning of everything.
    world.set(0);
    world.deliver(&[2]);
    world.settle();
    assert_eq!(world.entries(), before);
}

#[test]
fn a_rebuild_states_nothing_again_and_says_the_same() {
    let world = World::new();
    world.deliver(&[1, 2, 9]);
    world.set(NOON + 2 * DAY);
    world.settle();
    world.set(NOON + HOUR);
    world.deliver(&[3]);
    world.settle();
    world.set(NOON + 3 * DAY);
    world.settle();
    let (entries, said) = (world.entries(), world.statement(None));
    let days = ["2026-03-10", "2026-03-11", "2026-03-12"];
    let all = || days.map(|day| world.statement(Some(day)));
    let before = all();
    world.vault().rebuild().unwrap();
    world.settle();
    let (mut again, mut said_again) = (all(), world.statement(None));
    // Only the checkpoint is another.
    let same = |value: &mut Value| value["checkpoint"] = Value::Null;
    let mut before = before;
    before.iter_mut().chain(&mut again).for_each(same);
    let mut said = said;
    same(&mut said);
    same(&mut said_again);
    assert_eq!((again, said_again), (before, said));
    assert_eq!(world.entries(), entries);
}

#[test]
fn custodians_are_stated_by_id_with_state_and_consent_and_nobody_is_named() {
    let world = World::new();
    let csv = "name,handles,connections,start\nAnn Lee,+44 7700 900123,,2020-01-01\nBo Chen,+44 7700 900124,,2020-01-01\n";
    world.vault().import_custodians(csv, None, "test").unwrap();
    world.deliver(&[1, 2]);
    world.set(NOON + DAY);
    world.settle();
    let said = world.statement(None);
    let body = &said["statement"];
    assert_eq!(body["custodians_enrolled"], 2);
    assert_eq!(
        body["custodians_by_state"],
        json!({ "captured": 1, "discovered": 1 })
    );
    assert_eq!(body["custodians_not_consented"], 2);
    let ann = &body["custodians"][0];
    assert_eq!(
        (&ann["state"], &ann["messages"], &ann["consent"]),
        (&json!("captured"), &json!(2), &json!("not given"))
    );
    assert_eq!(ann["from"], "2026-03-10T10:00:00Z");
    assert_eq!(body["custodians"][1]["messages"], 0);
    let text = said.to_string();
    for readable in ["Ann", "Bo", "7700", "says"] {
        assert!(!text.contains(readable), "{readable}: {text}");
    }
}

/// What an examiner reads of a bundle's acts.
#[derive(Default)]
struct Acts(Vec<(Position, Value)>);

impl Sink for Acts {
    fn capture(&mut self, at: Position, _: u32, _: bool, _: &[u8]) -> std::io::Result<()> {
        panic!("capture {at} is disclosed")
    }

    fn item(&mut self, source: Position, _: Place, _: &[u8]) -> std::io::Result<()> {
        panic!("an item of {source} is disclosed")
    }

    fn act(&mut self, at: Position, plain: &[u8]) -> std::io::Result<()> {
        self.0.push((at, serde_json::from_slice(plain)?));
        Ok(())
    }

    fn line(&mut self, member: &'static str, _: &[u8]) -> std::io::Result<()> {
        panic!("a line of {member}")
    }
}

#[test]
fn an_examiner_finds_the_statement_in_a_bundle_of_its_own_and_nothing_beside_it() {
    let world = World::new();
    world.deliver(&[1, 2, 5]);
    world.set(NOON + DAY);
    world.settle();
    let at = world.vault().statement_position(Some("2026-03-10")).unwrap();
    let selection = Selection::Statement(at);
    let (sink, _) = world
        .vault()
        .export(&selection, None, "test", Cursor::new(Vec::new()), &mut |_, _| {})
        .unwrap();
    let bundle = sink.into_inner();
    let check = |bundle: &[u8], acts: &mut Acts| {
        let options = VerifyOptions {
            key: Some(NoteKey::decode(&world.vault().public_key()).unwrap()),
            extract: Some(acts),
            ..VerifyOptions::default()
        };
        verify(&mut Cursor::new(bundle), options)
    };
    let mut acts = Acts::default();
    assert!(check(&bundle, &mut acts).unwrap().origin_proved);
    assert_eq!(acts.0, [(at, world.statement(None)["statement"].clone())]);
    // One number of it changed, where it stands sealed.
    let evidence = bundle.windows(8).position(|bytes| bytes == b"evidence").unwrap();
    let mut forged = bundle.clone();
    forged[evidence + 400] ^= 1;
    assert!(check(&forged, &mut Acts::default()).is_err());
    // An entry that is no statement is not handed out by this way.
    for other in [Position(1), Position(2)] {
        let selection = Selection::Statement(other);
        let sink = Cursor::new(Vec::new());
        let refused = world
            .vault()
            .export(&selection, None, "test", sink, &mut |_, _| {});
        assert!(refused.is_err(), "{other}");
    }
}
