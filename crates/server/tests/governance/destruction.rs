//! What is destroyed can be read nowhere any more; what is not is as it was.

use std::collections::{BTreeSet, HashSet};

use govern::Refusal;
use model::Timestamp;
use model::entry::{ActCode, Kind};
use seal::envelope::Purpose;
use seal::keyring::{Keyring, SecretKind};
use seal::wrap::{joint_key, unwrap};
use server::vault::export::Selection;
use server::vault::governance::Targets;
use server::vault::{Vault, VaultError};
use store::catalogue::{Catalogue, RecordRow, SearchFilter};

use crate::instance::*;

#[test]
fn a_person_is_erased_by_two_people_and_everybody_elses_record_is_as_it_was() {
    let place = Place::new();
    let vault = place.create();
    let hers = deliver(&vault, &[message("1", ANN, "CANARY of hers alone")]);
    let his = deliver(&vault, &[message("2", BO, "his alone")]);
    let both = deliver(
        &vault,
        &[
            message("3", ANN, "CANARY of hers beside"),
            message("4", BO, "his beside"),
        ],
    );
    assert_eq!(everything(&vault).len(), 4);
    let (before, _) = export(&vault, &Selection::All);
    assert!(contains(&before, b"CANARY"));

    let destruction = destroy(&vault, person(ANN));
    let left = everything(&vault);
    assert_eq!(left.len(), 2);
    assert!(left.iter().all(|one| one.contains("his")), "{left:?}");
    assert_eq!(erased(&vault), 2);
    for (capture, ordinal, whole) in [(hers, 0, true), (both, 0, false)] {
        let shown = vault.show(id(capture, ordinal), "test").unwrap();
        assert_eq!(shown["state"], "erased");
        assert_eq!(shown["erased"]["by_entry"], destruction.0);
        assert_eq!(shown["erased"]["whole_capture"], whole);
        assert_eq!(
            (&shown["record"], &shown["capture"]["size_bytes"]),
            (&().into(), &().into())
        );
    }
    assert_eq!(
        vault.show(id(both, 1), "test").unwrap()["record"]["text"],
        "his beside"
    );
    assert!(matches!(
        vault.show(id(both, 2), "test"),
        Err(VaultError::NotFound(_))
    ));
    assert!(matches!(vault.open_capture(both), Err(VaultError::BadData(_))));
    assert!(matches!(vault.open_capture(hers), Err(VaultError::BadData(_))));
    vault.open_capture(his).unwrap();

    let (all, erased_lines) = export(&vault, &Selection::All);
    assert_eq!(erased_lines, 2);
    let report = proved(&vault, &all);
    assert_eq!(
        (report.messages.erased, report.messages.raw, report.messages.part),
        (2, 1, 1)
    );
    assert!(!contains(&all, b"CANARY"));
    let (some, erased_lines) = export(
        &vault,
        &Selection::Ids(vec![id(hers, 0), id(both, 0), id(both, 1)]),
    );
    assert_eq!(erased_lines, 2);
    assert_eq!(proved(&vault, &some).messages.erased, 2);
    // What was released before is out of reach, and still proves itself.
    proved(&vault, &before);

    vault.rebuild().unwrap();
    assert_eq!(everything(&vault), left);
    assert_eq!(erased(&vault), 2);
    assert_eq!(
        vault.show(id(both, 0), "test").unwrap()["erased"]["by_entry"],
        destruction.0
    );
    drop(vault);
    place.verified();
    let vault = place.open();
    assert_eq!(everything(&vault), left);
    assert_eq!(vault.show(id(hers, 0), "test").unwrap()["state"], "erased");
}

#[test]
fn whatever_anybody_still_has_opens_nothing_but_an_older_copy_of_the_key_store_does() {
    let mut place = Place::new();
    place.epoch_lasts = std::time::Duration::ZERO;
    let vault = place.create();
    let hers = deliver(&vault, &[message("1", ANN, "CANARY of hers")]);
    deliver(&vault, &[message("2", BO, "his")]);
    let label_of = |ring: &Keyring| {
        let persons: Vec<_> = ring
            .all()
            .filter(|(_, held)| held.kind == SecretKind::Person)
            .collect();
        persons
            .iter()
            .map(|(key, held)| (*key, held.secret.clone().unwrap()))
            .collect::<Vec<_>>()
    };
    let old = std::fs::read(place.data().join("keys/keystore")).unwrap();
    let secrets = label_of(&ring(&place.data().join("keys/keystore")));
    assert_eq!(secrets.len(), 2);
    let destruction = destroy(&vault, person(ANN));
    let gone = {
        let entry = vault.ledger().entry(destruction).unwrap().unwrap();
        let Kind::Destruction(gone) = entry.header.kind else {
            panic!("not a destruction")
        };
        assert_eq!((gone.reason, gone.keys.len()), (2, 1));
        gone.keys[0]
    };
    let secret = secrets.iter().find(|(key, _)| *key == gone).unwrap().1.clone();
    // Epochs that it was received in end by rule, since there is a second copy.
    while !vault.certificate(destruction, "test").unwrap()["erasure"]["epoch_keys_alive"]
        .as_array()
        .unwrap()
        .is_empty()
    {
        deliver(&vault, &[message("n", BO, "time goes on")]);
    }
    for path in [place.data().join("keys/keystore"), place.copy()] {
        let ring = ring(&path);
        assert!(ring.secret(gone).is_none() && ring.held(gone).is_some());
        assert!(ring.all().all(|(_, held)| held.secret.as_ref() != Some(&secret)));
    }
    for (path, bytes) in place.files() {
        for what in [b"CANARY".as_slice(), secret.reveal(), ANN.as_bytes()] {
            assert!(!contains(&bytes, what), "{}", path.display());
        }
    }
    // Every key that is left, tried on what holds her words.
    let now = ring(&place.copy());
    let (wrap, commitment) = wrap_of(&vault, hers);
    let living: Vec<_> = now
        .all()
        .filter_map(|(key, held)| Some((key, held.secret.clone()?)))
        .collect();
    let mut named: Vec<_> = living
        .iter()
        .filter(|(key, _)| wrap.keys.contains(key))
        .cloned()
        .collect();
    assert_eq!(named.len(), wrap.keys.len() - 1);
    for (_, other) in &living {
        named.push((gone, other.clone()));
        assert!(unwrap(&joint_key(&named).unwrap(), &wrap.wrapped_key, &commitment).is_err());
        named.pop();
    }
    // The copy that did not expire opens it: that is why it must, and why the certificate says so.
    let kept = Keyring::open(&old, &UNLOCK).unwrap().ring;
    let named: Vec<_> = wrap
        .keys
        .iter()
        .map(|key| (*key, kept.secret(*key).unwrap().clone()))
        .collect();
    unwrap(&joint_key(&named).unwrap(), &wrap.wrapped_key, &commitment).unwrap();
    // Put back, it is brought up to date before anything opens.
    drop(vault);
    std::fs::write(place.data().join("keys/keystore"), &old).unwrap();
    let vault = place.open();
    assert!(ring(&place.data().join("keys/keystore")).secret(gone).is_none());
    assert!(ring(&place.copy()).secret(gone).is_none());
    assert_eq!(search(&vault, "CANARY").len(), 0);
    vault.rebuild().unwrap();
    assert_eq!(search(&vault, "CANARY").len(), 0);
    assert_eq!(vault.show(id(hers, 0), "test").unwrap()["state"], "erased");
}

pub fn wrap_of(vault: &Vault, capture: model::Position) -> (model::entry::Wrap, [u8; 32]) {
    let Kind::Chunk(chunk) = vault.ledger().entry(capture).unwrap().unwrap().header.kind else {
        panic!("not a capture")
    };
    let mut at = capture;
    loop {
        at = at.plus(1);
        let entry = vault.ledger().entry(at).unwrap().unwrap();
        if let Kind::Wrap(wrap) = entry.header.kind
            && wrap.source == capture
        {
            return (wrap, chunk.sealing.commitment);
        }
    }
}

#[test]
fn each_refusal_has_its_sentence_and_its_entry_and_destroys_nothing() {
    let place = Place::new();
    let vault = place.create();
    deliver(&vault, &[message("1", ANN, "hers")]);
    let refuse = |expected: &str, result: Result<(), VaultError>| {
        let refusal = refused(result);
        assert_eq!(refusal.code(), expected);
        let last = model::Position(vault.ledger().head().0 - 1);
        let entry = vault.ledger().entry(last).unwrap().unwrap();
        let Kind::Act(act) = entry.header.kind else {
            panic!("{expected} left no act")
        };
        let codes = [
            ActCode::DestructionRequested,
            ActCode::DestructionApproved,
            ActCode::DestructionDeclined,
        ];
        assert!(codes.contains(&act.code));
        refusal
    };
    refuse("role", request(&vault, person(ANN), "cy").map(drop));
    let asked = request(&vault, person(ANN), "ann").unwrap();
    refuse("role", approve(&vault, asked, "cy").map(drop));
    refuse("same-person", approve(&vault, asked, "ann").map(drop));
    refuse(
        "unknown-request",
        approve(&vault, asked.plus(1000), "bo").map(drop),
    );
    let ann = user(&vault, "ann");
    refuse(
        "no-reason",
        vault.decline_destruction(asked, "", &ann, "test").map(drop),
    );
    let held = hold(
        &vault,
        govern::Selectors {
            persons: vec![ANN.into()],
            ..Default::default()
        },
    );
    let refusal = refuse("held", approve(&vault, asked, "bo").map(drop));
    assert!(refusal.to_string().contains(&format!("hold {held} covers")));
    refuse("held", request(&vault, person(ANN), "ann").map(drop));
    vault
        .decline_destruction(asked, "the wrong person", &ann, "test")
        .unwrap();
    refuse("decided", approve(&vault, asked, "bo").map(drop));
    refuse(
        "decided",
        vault.decline_destruction(asked, "again", &ann, "test").map(drop),
    );
    assert!(matches!(
        vault.signed_in("ann", "wrong password", "test"),
        Err(VaultError::NotSignedIn)
    ));
    assert!(matches!(
        request(&vault, person("nobody"), "ann"),
        Err(VaultError::NotFound(_))
    ));
    assert!(matches!(
        request(&vault, Targets::default(), "ann"),
        Err(VaultError::Usage(_))
    ));
    assert_eq!(search(&vault, "hers").len(), 1);
    let states: Vec<_> = vault
        .requests("test")
        .unwrap()
        .iter()
        .map(|r| r["state"].clone())
        .collect();
    assert_eq!(states, ["declined"]);
}

#[test]
fn nothing_dies_before_its_legal_minimum_however_the_clock_jumps() {
    let place = Place::new();
    let vault = place.create();
    deliver_locked(
        &vault,
        &body(&[message("1", ANN, "locked ten days")]),
        "ward-3",
        10,
    );
    deliver(&vault, &[message("2", BO, "not locked")]);
    let until = Timestamp::from_seconds(NOW + 10 * DAY);
    settle(&vault);
    assert_eq!(
        refused(request(&vault, person(ANN), "ann")),
        Refusal::Minimum(until)
    );
    for clock in [NOW + 10 * DAY, NOW + 3650 * DAY] {
        place.set_clock(clock);
        let refusal = refused(request(&vault, person(ANN), "ann"));
        assert_eq!(refusal, Refusal::SecondClock { until, proved: None });
    }
    // Back one: what is captured now is dated no earlier than what was before it.
    place.set_clock(NOW - 365 * DAY);
    assert_eq!(
        refused(request(&vault, person(ANN), "ann")),
        Refusal::Minimum(until)
    );
    deliver_locked(&vault, &body(&[message("3", ANN, "later")]), "ward-3", 10);
    settle(&vault);
    place.set_clock(NOW + 3650 * DAY);
    // That one was dated ten years ahead, with the clock before it: its minimum ends later, never earlier.
    let ahead = Timestamp::from_seconds(NOW + 3660 * DAY);
    assert_eq!(
        refused(request(&vault, person(ANN), "ann")),
        Refusal::Minimum(ahead)
    );
    assert_eq!(search(&vault, "from:4915112345678").len(), 2);
    // Without a minimum one clock is enough.
    destroy(&vault, person(BO));
    assert_eq!(search(&vault, "is:message").len(), 2);
}

#[test]
fn a_month_is_destroyed_with_all_that_was_said_in_it_and_nothing_else() {
    let place = Place::new();
    let vault = place.create();
    let january = Timestamp::parse("2024-01-15T10:00:00Z").unwrap().as_micros() / 1_000_000;
    let february = january + 31 * DAY;
    deliver(&vault, &[message_at(january, "1", ANN, "in january")]);
    deliver(&vault, &[message_at(february, "2", ANN, "in february")]);
    deliver(
        &vault,
        &[
            message_at(january, "3", BO, "in january too"),
            message_at(february, "4", BO, "in february too"),
        ],
    );
    let period = |month: &str| Targets {
        periods: vec![month.into()],
        ..Targets::default()
    };
    assert!(matches!(
        request(&vault, period("2024-13"), "ann"),
        Err(VaultError::Usage(_))
    ));
    assert!(matches!(
        request(&vault, period("2023-12"), "ann"),
        Err(VaultError::NotFound(_))
    ));
    destroy(&vault, period("2024-01"));
    let left = everything(&vault);
    assert_eq!(left.len(), 2);
    assert!(left.iter().all(|one| one.contains("in february")));
    vault.rebuild().unwrap();
    assert_eq!(everything(&vault), left);
    proved(&vault, &export(&vault, &Selection::All).0);
}

#[test]
fn a_conversation_goes_with_the_files_that_were_fetched_for_it() {
    let place = Place::new();
    let vault = place.create();
    let at = deliver(&vault, &[message("1", ANN, "see the picture")]);
    let other = deliver(&vault, &[message("2", BO, "another picture")]);
    let fetched = |cause| {
        let purpose = Purpose::Outside {
            cause: id(cause, 0),
            file: 0,
            state: 1,
        };
        let at = seal(&vault, b"CANARY picture", "ward-3", 0, purpose);
        settle(&vault);
        at
    };
    let (hers, his) = (fetched(at), fetched(other));
    assert_eq!(
        vault.show(id(at, 0), "test").unwrap()["files"][0]["state"],
        "fetched"
    );
    vault.open_capture(hers).unwrap();
    let destruction = destroy(&vault, conversation(ANN));
    assert!(matches!(vault.open_capture(hers), Err(VaultError::BadData(_))));
    vault.open_capture(his).unwrap();
    assert_eq!(
        vault.certificate(destruction, "test").unwrap()["destroyed"]["files"],
        1
    );
    // A file that was on its way when its message died goes too.
    let late = fetched(at);
    assert!(matches!(vault.open_capture(late), Err(VaultError::BadData(_))));
    vault.rebuild().unwrap();
    settle(&vault);
    for gone in [hers, late] {
        assert!(matches!(vault.open_capture(gone), Err(VaultError::BadData(_))));
    }
    let (bundle, _) = export(&vault, &Selection::All);
    let report = proved(&vault, &bundle);
    assert_eq!(report.captures.erased, 3, "{report:?}");
}

#[test]
fn nothing_that_tells_of_what_died_is_left_in_the_catalogues_files() {
    let place = Place::new();
    let vault = place.create();
    // Enough that pages are split and moved about.
    for n in 0..6000 {
        let others = format!("4915{:09}", n % 17);
        let from = if n % 3 == 0 { ANN } else { &others };
        let text = format!("number {n} of many {}", "and more ".repeat(n * 7 % 41));
        deliver_locked(
            &vault,
            &body(&[message(&format!("{n}"), from, &text)]),
            "ward-3",
            0,
        );
    }
    settle(&vault);
    let path = place.data().join("catalogue/catalogue.sqlite");
    let (catalogue, _) = Catalogue::open(&path).unwrap();
    let rows = catalogue.records(&SearchFilter::default(), None, 10_000).unwrap();
    drop(catalogue);
    assert_eq!(rows.len(), 6000);
    let persons: BTreeSet<_> = rows.iter().map(|row| row.person).collect();
    assert_eq!(persons.len(), 18);
    destroy(&vault, person(ANN));
    let (catalogue, _) = Catalogue::open(&path).unwrap();
    let left = catalogue.records(&SearchFilter::default(), None, 10_000).unwrap();
    drop(catalogue);
    assert_eq!(left.len(), 4000);
    let dead: Vec<_> = rows.iter().filter(|row| !left.contains(row)).collect();
    assert_eq!(dead.len(), 2000);
    let files: Vec<_> = place
        .files()
        .into_iter()
        .filter(|(path, _)| path.to_string_lossy().contains("catalogue"))
        .collect();
    assert!(!files.is_empty());
    // What tells of a row, wherever it may lie: each by its first sixteen bytes.
    let sixteen = |bytes: &[u8]| <[u8; 16]>::try_from(&bytes[..16]).unwrap();
    let traces = |row: &RecordRow| [row.digest, row.platform.unwrap(), sixteen(&row.sealed)];
    let of_the_dead: HashSet<[u8; 16]> = dead.iter().flat_map(|row| traces(row)).collect();
    let mut of_the_living: HashSet<[u8; 16]> = left.iter().flat_map(traces).collect();
    for (path, bytes) in &files {
        for (at, window) in bytes.windows(16).enumerate() {
            let window = sixteen(window);
            assert!(!of_the_dead.contains(&window), "{} at {at}", path.display());
            of_the_living.remove(&window);
        }
    }
    assert!(of_the_living.is_empty(), "the search finds what is there");
}

#[test]
fn a_message_that_came_again_in_another_month_is_found_once_the_first_of_them_is_gone() {
    let place = Place::new();
    let vault = place.create();
    // A problem has no time of its own: it belongs to the month in which it was received.
    let odd = r#"{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{"field":"surprise","value":{}}]}]}"#;
    deliver_locked(&vault, odd, "ward-3", 0);
    settle(&vault);
    place.set_clock(NOW + 40 * DAY);
    deliver_locked(&vault, odd, "ward-3", 0);
    let repeats = |vault: &Vault| -> Vec<bool> {
        let found = search(vault, "is:problem is:repeat");
        found
            .iter()
            .map(|one| one["repeats"].as_bool().unwrap())
            .collect()
    };
    let before = repeats(&vault);
    assert!(
        before.len() >= 2 && !before[0] && before[before.len() - 1],
        "{before:?}"
    );
    let month = Timestamp::from_seconds(NOW).to_string();
    destroy(
        &vault,
        Targets {
            periods: vec![month[..7].into()],
            ..Targets::default()
        },
    );
    assert_eq!(repeats(&vault), vec![false; before.len() / 2]);
    vault.rebuild().unwrap();
    assert_eq!(repeats(&vault), vec![false; before.len() / 2]);
}

#[test]
fn the_second_person_reads_whom_it_concerns_and_nobody_afterwards() {
    let place = Place::new();
    let vault = place.create();
    deliver(&vault, &[message("1", ANN, "hers")]);
    let asked = request(&vault, person(ANN), "ann").unwrap();
    let listed = vault.requests("test").unwrap();
    assert_eq!(listed[0]["what"]["persons"][0], ANN);
    assert_eq!(listed[0]["state"], "waits for a second person");
    approve(&vault, asked, "bo").unwrap();
    let listed = vault.requests("test").unwrap();
    assert_eq!(
        (&listed[0]["what"], &listed[0]["state"]),
        (&().into(), &"destroyed".into())
    );
    assert_eq!(
        (&listed[0]["requested_by"], &listed[0]["decided_by"]),
        (&"ann".into(), &"bo".into())
    );
    let (bundle, _) = export(&vault, &Selection::All);
    assert!(
        !contains(&bundle, ANN.as_bytes()),
        "not in the acts that a bundle opens either"
    );
    // Twice at once: the second finds nothing left.
    deliver(&vault, &[message("2", BO, "his")]);
    let (first, second) = (
        request(&vault, person(BO), "ann").unwrap(),
        request(&vault, person(BO), "ann").unwrap(),
    );
    approve(&vault, first, "bo").unwrap();
    assert_eq!(refused(approve(&vault, second, "bo")), Refusal::NoEffect);
}
