//! What comes without the consent that the zone asks for: nobody can open it, it is said why, and the rest stays.

use connect::wecom_archive::fake::{CompanyKey, FakeDriver};
use govern::consent::{Required, Rule, Unknown};
use govern::custodian::{Change, Dated, Told};
use govern::{Refusal, Selectors};
use model::entry::{ActCode, Header, Kind};
use model::{KeyId, Position, Timestamp};
use seal::Key;
use seal::bundle::Sink;
use seal::envelope::{EpochPrivate, open_chunk};
use seal::part::{Place as ItemPlace, item_key, items, open_item, part_key};
use seal::wrap::{joint_key, unwrap};
use serde_json::{Value, json};
use server::vault::Vault;
use server::vault::consent::NO_CONSENT;
use server::vault::export::Selection;
use server::vault::gaps::GapsWanted;

use crate::archive::connect_with;
use crate::instance::*;

pub const CANARY: &str = "CANARY without consent";

pub fn require(vault: &Vault, required: Required, unknown: Unknown) {
    let rule = Rule::new(required, unknown);
    let said = vault
        .set_consent_rule(rule, "works agreement", &user(vault, "ann"), "test")
        .unwrap();
    assert_eq!(said["state"], "waits for a second person", "{said}");
    let proposal = Position(said["entry"].as_u64().unwrap());
    let said = vault
        .approve_consent_rule(proposal, &user(vault, "bo"), "test")
        .unwrap();
    assert_eq!(said["state"], "in force", "{said}");
}

/// Enrols somebody; their id.
pub fn enrol(vault: &Vault, name: &str, handle: &str) -> String {
    let table = format!("name,handles,start\n{name},{handle},2020-01-01\n");
    let answer = vault
        .import_custodians(&table, Some(&user(vault, "ann")), "test")
        .unwrap();
    assert_eq!(answer["enrolled"], 1, "{answer}");
    format!("{}.0", answer["by_entry"])
}

pub fn record(vault: &Vault, id: &str, at: i64, change: Change) {
    let at = Timestamp::from_seconds(at);
    let dated = Dated { at, change };
    vault
        .record_custodian(id, &dated, Some(&user(vault, "ann")), "test")
        .unwrap();
}

pub fn consented() -> Change {
    Change::Consented(Told {
        text: "capture".into(),
        version: "1".into(),
        language: "en".into(),
    })
}

/// The texts that can be read.
pub fn texts(vault: &Vault) -> Vec<String> {
    let text = |found: &Value| found["record"]["text"].as_str().unwrap().to_owned();
    search(vault, "is:message").iter().map(text).collect()
}

pub fn without(vault: &Vault) -> Value {
    settle(vault);
    vault.consent("test").unwrap()["without_consent"].clone()
}

/// Every header of the ledger with its body.
pub fn entries(vault: &Vault) -> Vec<(Header, Vec<u8>)> {
    let head = vault.ledger().head().0;
    let entry = |at| vault.ledger().entry(Position(at)).unwrap().unwrap();
    let both = |entry: store::ledger::StoredEntry| (entry.header, entry.body);
    (0..head).map(|at| both(entry(at))).collect()
}

/// Everything that anybody can still read of a capture with the key store's file, the ledger, and every secret in the one tried
/// on every lock in the other, by this test's own steps and not by the vault's.
pub fn still_opens(place: &Place, vault: &Vault, capture: Position) -> Vec<u8> {
    let ring = ring(&place.data().join("keys/keystore"));
    let zone = ring.zone().clone();
    let living: Vec<(KeyId, Key)> = ring
        .all()
        .filter_map(|(id, held)| Some((id, held.secret.clone()?)))
        .collect();
    let joint = |names: &[KeyId]| {
        let named: Option<Vec<_>> = names
            .iter()
            .map(|name| living.iter().find(|(id, _)| id == name).cloned())
            .collect();
        let alone = living
            .iter()
            .map(|one| joint_key(std::slice::from_ref(one)).unwrap());
        let raw = living.iter().map(|(_, secret)| secret.clone());
        let named = named.map(|named| joint_key(&named).unwrap());
        alone.chain(raw).chain(named).collect::<Vec<Key>>()
    };
    let mut read = Vec::new();
    let all = entries(vault);
    let Kind::Chunk(chunk) = all[usize::try_from(capture.0).unwrap()].0.kind.clone() else {
        panic!("not a capture")
    };
    let mut keys: Vec<Key> = Vec::new();
    for (_, secret) in &living {
        if let Ok(epoch) = EpochPrivate::from_scalar(zone.clone(), chunk.sealing.epoch, secret) {
            keys.extend(epoch.data_key(&chunk.sealing));
        }
    }
    for (header, body) in &all {
        match &header.kind {
            Kind::Wrap(wrap) if wrap.source == capture => {
                for joint in joint(&wrap.keys) {
                    keys.extend(unwrap(&joint, &wrap.wrapped_key, &chunk.sealing.commitment));
                }
            }
            Kind::Part(part) if part.source == capture => {
                for joint in joint(&part.keys) {
                    let Ok(key) = part_key(&joint, &part.wrapped_key, &part.commitment) else {
                        continue;
                    };
                    for item in items(part, body).unwrap() {
                        let mut plain = Vec::new();
                        let key = item_key(&key, item.index).unwrap();
                        open_item(&zone, capture, &key, &item, &mut plain).unwrap();
                        read.extend(plain);
                    }
                }
            }
            _ => {}
        }
    }
    let (_, body) = &all[usize::try_from(capture.0).unwrap()];
    for key in keys {
        let mut plain = Vec::new();
        if open_chunk(&zone, &chunk.sealing, &key, body, &mut plain).is_ok() {
            read.extend(plain);
        }
    }
    read
}

/// Everything that a bundle opens.
#[derive(Default)]
pub struct Opened(pub Vec<u8>);

impl Sink for Opened {
    fn capture(&mut self, _: Position, _: u32, _: bool, plain: &[u8]) -> std::io::Result<()> {
        self.0.extend(plain);
        Ok(())
    }

    fn item(&mut self, _: Position, _: ItemPlace, plain: &[u8]) -> std::io::Result<()> {
        self.0.extend(plain);
        Ok(())
    }

    fn act(&mut self, _: Position, plain: &[u8]) -> std::io::Result<()> {
        self.0.extend(plain);
        Ok(())
    }

    fn line(&mut self, _: &'static str, line: &[u8]) -> std::io::Result<()> {
        self.0.extend(line);
        Ok(())
    }
}

/// Ends the epochs in which something was refused.
pub fn until_in_force(vault: &Vault) {
    while without(vault)["not_in_force_yet"] != 0 {
        deliver(vault, &[message_at(NOW - 100, "n", BO, "time goes on")]);
    }
}

#[test]
fn a_custodian_withdraws_and_the_next_message_cannot_be_opened_by_anyone_and_the_tombstone_says_why() {
    let mut place = Place::new();
    place.epoch_lasts = std::time::Duration::ZERO;
    let vault = place.create();
    let eve = enrol(&vault, "Eve", "+1 555 000 1111");
    require(&vault, Required::Custodian, Unknown::Keep);
    let asked = deliver(
        &vault,
        &[message_at(NOW - 1900, "1", ANN, "CANARY before anybody asked")],
    );
    record(&vault, &eve, NOW - 1500, consented());
    deliver(&vault, &[message_at(NOW - 1000, "2", ANN, "after she agreed")]);
    record(&vault, &eve, NOW - 500, Change::Withdrew);
    let next = deliver(&vault, &[message_at(NOW - 400, "3", ANN, CANARY)]);
    deliver(
        &vault,
        &[message_at(NOW - 900, "4", ANN, "said before, come late")],
    );
    // Its epoch's key opens it still, and it is said so: the test finds what there is to find.
    assert!(contains(&still_opens(&place, &vault, next), CANARY.as_bytes()));
    assert_ne!(without(&vault)["not_in_force_yet"], 0);
    record(&vault, &eve, NOW - 300, consented());
    deliver(
        &vault,
        &[message_at(NOW - 200, "5", ANN, "since she agreed again")],
    );
    until_in_force(&vault);

    let kept = [
        "after she agreed",
        "said before, come late",
        "since she agreed again",
    ];
    let read = |vault: &Vault| -> Vec<String> {
        let mut texts = texts(vault);
        texts.retain(|text| text != "time goes on");
        texts
    };
    assert_eq!(read(&vault), kept);
    assert!(search(&vault, "CANARY").is_empty());
    for (capture, because) in [(asked, "custodian-not-asked"), (next, "custodian-withdrew")] {
        let opened = still_opens(&place, &vault, capture);
        assert!(contains(&opened, b"phone_number_id"), "what is nobody's stays");
        assert!(!contains(&opened, b"CANARY") && !contains(&opened, ANN.as_bytes()));
        let shown = vault.show(id(capture, 0), "test").unwrap();
        assert_eq!(shown["state"], "erased", "{shown}");
        assert_eq!(shown["erased"]["without_consent"], json!([because]), "{shown}");
        let by = Position(shown["erased"]["by_entry"].as_u64().unwrap());
        let entry = vault.ledger().entry(by).unwrap().unwrap();
        assert!(matches!(entry.header.kind, Kind::Destruction(gone) if gone.reason == NO_CONSENT));
        let (bundle, erased) = export(&vault, &Selection::Ids(vec![id(capture, 0)]));
        let report = proved(&vault, &bundle);
        assert_eq!((erased, report.messages.erased), (1, 1));
        assert!(!contains(&bundle, b"CANARY"));
    }
    let people = vault.custodians("test").unwrap();
    let she = &people["custodians"][0];
    assert_eq!(
        (&she["consent"], &she["destroyed_without_consent"]),
        (&json!("consented"), &json!(2))
    );
    let said = without(&vault);
    assert_eq!(
        (&said["destroyed"], &said["kept_under_hold_or_minimum"]),
        (&json!(2), &json!(0))
    );

    let before = everything(&vault);
    vault.rebuild().unwrap();
    assert_eq!(everything(&vault), before);
    assert_eq!(without(&vault), said);
    assert_eq!(erased(&vault), 2);
    let (bundle, gone) = export(&vault, &Selection::All);
    assert_eq!((gone, proved(&vault, &bundle).messages.erased), (2, 2));
    drop(vault);
    place.verified();
    assert!(place.files().iter().all(|(_, bytes)| !contains(bytes, b"CANARY")));
    let vault = place.open();
    assert_eq!(everything(&vault), before);
    assert_eq!(without(&vault), said);
}

#[test]
fn of_an_export_only_the_voice_without_consent_is_gone_and_the_rest_is_the_same_after_a_rebuild() {
    let place = Place::new();
    let vault = place.create();
    let he = enrol(&vault, "He", "+49 151 2345678");
    require(&vault, Required::Custodian, Unknown::Keep);
    record(&vault, &he, 1_700_000_000, consented());
    record(&vault, &he, 1_706_000_000, Change::Withdrew);
    let chat: String = (0..300)
        .map(|n| {
            let who = ["Ann Ames", "Bo Berg", "+49 151 2345678"][n % 3];
            format!(
                "{:02}/02/24, 10:{:02} - {who}: line {n} of {who}\n",
                1 + n / 60 % 28,
                n % 60
            )
        })
        .collect();
    let imported = import(&vault, "The Three", &chat);
    assert_eq!((imported.messages, imported.erased), (200, 100));
    let left = everything(&vault);
    assert_eq!(left.len(), 200);
    assert!(left.iter().all(|one| !one.contains("of +49")));
    assert_eq!(without(&vault)["destroyed"], 100);
    vault.rebuild().unwrap();
    assert_eq!(everything(&vault), left);
    let (bundle, gone) = export(&vault, &Selection::All);
    let report = proved(&vault, &bundle);
    assert_eq!(
        (gone, report.messages.erased, report.messages.part),
        (100, 100, 200)
    );
    drop(vault);
    place.verified();
}

#[test]
fn what_a_hold_or_a_legal_minimum_covers_is_kept_without_consent_and_counted() {
    let place = Place::new();
    let vault = place.create();
    enrol(&vault, "Eve", "+1 555 000 1111");
    require(&vault, Required::Custodian, Unknown::Keep);
    let held = hold(
        &vault,
        Selectors {
            connections: vec!["ward-3".parse().unwrap()],
            ..Selectors::default()
        },
    );
    let kept = deliver(&vault, &[message("1", ANN, "under a hold")]);
    vault
        .lift_hold(held, "settled", &user(&vault, "bo"), "test")
        .unwrap();
    deliver(&vault, &[message("2", ANN, "CANARY")]);
    deliver_locked(
        &vault,
        &body(&[message("3", ANN, "under a minimum")]),
        "ward-9",
        30,
    );
    for _ in 0..2 {
        assert_eq!(texts(&vault), ["under a hold", "under a minimum"]);
        let said = without(&vault);
        assert_eq!(
            (&said["destroyed"], &said["kept_under_hold_or_minimum"]),
            (&json!(1), &json!(2))
        );
        let shown = vault.show(id(kept, 0), "test").unwrap();
        assert_eq!(
            shown["kept_without_consent_in_this_delivery"],
            json!(["custodian-not-asked"])
        );
        assert_eq!(vault.capture_status().unwrap()["without_consent"], said);
        vault.rebuild().unwrap();
    }
}

#[test]
fn one_person_cannot_make_the_rule_destroy_more_and_a_refusal_is_an_entry() {
    let place = Place::new();
    let vault = place.create();
    let rule = Rule::new(Required::Everyone, Unknown::Destroy);
    let set = |rule, who: &str| vault.set_consent_rule(rule, "because", &user(&vault, who), "test");
    let decided = |vault: &Vault| {
        let is =
            |header: &Header| matches!(&header.kind, Kind::Act(act) if act.code == ActCode::ConsentDecided);
        entries(vault).iter().filter(|(header, _)| is(header)).count()
    };
    assert_eq!(refused(set(rule, "cy")), Refusal::Role);
    let proposal = Position(set(rule, "ann").unwrap()["entry"].as_u64().unwrap());
    assert_eq!(
        refused(vault.approve_consent_rule(proposal, &user(&vault, "ann"), "test")),
        Refusal::SamePersonProposed
    );
    assert_eq!(decided(&vault), 3);
    // While it waits, everything is kept.
    deliver(&vault, &[message("1", ANN, "while it waits")]);
    assert_eq!(texts(&vault), ["while it waits"]);
    vault
        .approve_consent_rule(proposal, &user(&vault, "bo"), "test")
        .unwrap();
    deliver(&vault, &[message("2", ANN, "of whom nobody knows")]);
    assert_eq!(texts(&vault), ["while it waits"]);
    let said = set(Rule::default(), "ann").unwrap();
    assert_eq!(said["state"], "in force", "{said}");
    deliver(&vault, &[message("3", ANN, "asked of nobody again")]);
    drop(vault);
    let vault = place.open();
    assert_eq!(texts(&vault), ["while it waits", "asked of nobody again"]);
    assert_eq!(without(&vault)["by"][0]["because"], "counterparty-unknown");
}

#[test]
fn the_epoch_ends_early_only_while_something_refused_could_still_be_opened() {
    let place = Place::new();
    let vault = place.create();
    enrol(&vault, "Eve", "+1 555 000 1111");
    let epochs = |vault: &Vault| {
        let is = |header: &Header| matches!(&header.kind, Kind::Act(act) if act.code == ActCode::EpochBegun);
        entries(vault).iter().filter(|(header, _)| is(header)).count()
    };
    deliver(&vault, &[message("1", ANN, "kept")]);
    place.set_clock(NOW + 3700);
    vault.changes();
    assert_eq!(epochs(&vault), 0);
    require(&vault, Required::Custodian, Unknown::Keep);
    deliver(&vault, &[message("2", ANN, "CANARY")]);
    hurry(&place, &vault);
    let begun = epochs(&vault);
    assert!(begun >= 2, "{begun}");
    place.set_clock(NOW + 9 * 3700);
    vault.changes();
    assert_eq!(epochs(&vault), begun, "nothing hurries any more");
}

/// Hours pass, until no epoch's key opens anything refused.
fn hurry(place: &Place, vault: &Vault) {
    for hour in 2..6 {
        place.set_clock(NOW + hour * 3700);
        vault.changes();
    }
    while without(vault)["not_in_force_yet"] != 0 {
        std::thread::yield_now();
    }
}

pub const OUTSIDE: &str = "wmQ7rTgBAAk3vXz0LpYdE5sHc1JfNuWa";

pub fn wecom(id: &str, at: i64, from: &str, to: &str, room: &str, more: &str) -> String {
    format!(
        r#"{{"msgid":"{id}","action":"send","from":"{from}","tolist":["{to}"],"roomid":"{room}","msgtime":{at}000,{more}}}"#
    )
}

#[test]
fn what_a_wecom_customer_says_after_disagreeing_is_gone_and_what_they_say_after_agreeing_is_here() {
    let place = Place::new();
    let vault = place.create();
    let company = CompanyKey::generate(4).unwrap();
    connect_with(&vault, &[&company]);
    let lina = enrol(&vault, "Lina", "wecom_userid:lina");
    record(&vault, &lina, NOW - 90_000, consented());
    require(&vault, Required::Everyone, Unknown::Destroy);
    let text = |text: &str| format!(r#""msgtype":"text","text":{{"content":"{text}"}}"#);
    let word = |word: &str, at: i64| {
        format!(r#""msgtype":"{word}","{word}":{{"userid":"{OUTSIDE}","{word}_time":{at}000}}"#)
    };
    let room = "wrT5nJxEAAf1gMb9SkUvC3dQa6YhPzRw";
    let t = NOW - 9_000;
    let said = [
        (OUTSIDE, "lina", "", text("CANARY of whom nobody knows"), t),
        (OUTSIDE, "lina", "", word("agree", t + 10), t + 10),
        (OUTSIDE, "lina", "", text("dose one"), t + 20),
        ("lina", OUTSIDE, "", text("dose two"), t + 30),
        (OUTSIDE, "lina", "", word("disagree", t + 40), t + 40),
        (OUTSIDE, "lina", "", text(CANARY), t + 50),
        ("lina", OUTSIDE, "", text("CANARY of hers to them"), t + 60),
        (OUTSIDE, "zhao", room, text("CANARY in a room"), t + 65),
        (OUTSIDE, "zhao", room, word("agree", t + 70), t + 70),
        (OUTSIDE, "zhao", room, text("dose three, in the room"), t + 80),
        (OUTSIDE, "lina", "", text("CANARY apart from the room"), t + 90),
        // Of this a problem is told first, that it has no type.
        (
            OUTSIDE,
            "lina",
            "",
            r#""text":{"content":"CANARY"}"#.to_owned(),
            t + 95,
        ),
        (OUTSIDE, "lina", "", word("agree", t + 100), t + 100),
        (OUTSIDE, "lina", "", text("dose four"), t + 110),
    ];
    let mut archive = FakeDriver::default();
    for (seq, (from, to, place, more, at)) in (1..).zip(&said) {
        let id = format!("m{seq}");
        archive
            .add(seq, &id, &company, &wecom(&id, *at, from, to, place, more))
            .unwrap();
    }
    vault
        .use_archive("archive", Box::new(archive), Box::new(FakeDriver::default()))
        .unwrap();
    vault.pull_archive("archive").unwrap();
    let doses = ["dose one", "dose two", "dose three, in the room", "dose four"];
    settle(&vault);
    assert_eq!(
        texts(&vault),
        doses,
        "{} {:#?}",
        without(&vault),
        everything(&vault)
    );
    let first: Vec<Position> = entries(&vault)
        .iter()
        .filter(|(header, _)| matches!(&header.kind, Kind::Chunk(chunk) if chunk.sealing.chunk == 0))
        .map(|(header, _)| header.position)
        .collect();
    assert_eq!(first.len(), said.len());
    hurry(&place, &vault);
    let because = |n: usize| {
        let ordinal = u32::from(n == 11);
        let shown = vault.show(id(first[n], ordinal), "test").unwrap();
        shown["erased"]["without_consent"].clone()
    };
    // What they said to Lina says nothing of the room, and the other way round.
    let (unknown, disagreed) = ("counterparty-unknown", "counterparty-disagreed");
    for (n, why) in [
        (0, unknown),
        (5, disagreed),
        (6, disagreed),
        (7, unknown),
        (10, disagreed),
        (11, disagreed),
    ] {
        assert_eq!(because(n), json!([why]), "{n}");
        let opened = still_opens(&place, &vault, first[n]);
        assert!(!contains(&opened, b"encrypt_chat_msg"), "{n}");
    }
    // Each came, and none is missing.
    vault.wait_looked(vault.ledger().head()).unwrap();
    let gaps = vault.gaps(&GapsWanted::default()).unwrap();
    let holes = |gap: &&Value| gap["cause"] == "sequence-hole" || gap["cause"] == "pointed-at";
    assert_eq!(
        gaps["gaps"].as_array().unwrap().iter().filter(holes).count(),
        0,
        "{gaps}"
    );
    let before = everything(&vault);
    vault.rebuild().unwrap();
    assert_eq!(everything(&vault), before);
    let consents = search(&vault, "is:event");
    assert_eq!(consents.len(), 4, "what they said about consent stays");
    let (bundle, gone) = export(&vault, &Selection::All);
    assert_eq!((gone, proved(&vault, &bundle).messages.erased), (6, 6));
    drop(vault);
    place.verified();
}
