//! What of a refused delivery stays closed and said while others come, across a crash, and when it is very much.

use govern::consent::{Required, Unknown};
use model::entry::{Header, Kind, Origin};
use model::{KeyId, Position};
use seal::Key;
use seal::bundle::{VerifyOptions, verify};
use seal::envelope::{Purpose, stream_head};
use seal::keyring::SecretKind;
use seal::part::{PartBuilder, Place as ItemPlace};
use seal::suite::MacKey;
use seal::wrap::joint_key;
use serde_json::{Value, json};
use server::vault::Vault;
use server::vault::consent::NO_CONSENT;
use server::vault::export::Selection;
use server::vault::gaps::GapsWanted;
use std::io::Cursor;
use store::ledger::Draft;

use crate::consent::{CANARY, Opened, consented, enrol, entries, record, require, texts, without};
use crate::instance::*;

#[test]
fn exports_made_while_refused_messages_come_open_none_of_them() {
    let place = Place::new();
    let vault = place.create();
    enrol(&vault, "Eve", "+1 555 000 1111");
    require(&vault, Required::Custodian, Unknown::Keep);
    let bundles: Vec<Vec<u8>> = std::thread::scope(|threads| {
        let deliveries = threads.spawn(|| {
            for n in 0..150 {
                deliver_locked(
                    &vault,
                    &body(&[message(&n.to_string(), ANN, CANARY)]),
                    "ward-3",
                    0,
                );
            }
        });
        // Something comes while it is exported.
        let mut bundles = Vec::new();
        loop {
            bundles.push(export(&vault, &Selection::All).0);
            if deliveries.is_finished() {
                return bundles;
            }
        }
    });
    for bundle in &bundles {
        let mut opened = Opened::default();
        let report = verify(
            &mut Cursor::new(bundle),
            VerifyOptions {
                extract: Some(&mut opened),
                ..VerifyOptions::default()
            },
        )
        .unwrap();
        assert_eq!(report.captures.opened, 0);
        assert!(!contains(&opened.0, b"CANARY"));
    }
}

/// A delivery of which a part was written before a crash came: that of its first record, under these secrets, or as what is
/// refused is.
fn begun_before_a_crash(place: &Place, vault: &Vault, said: &str, under: Option<(KeyId, Key)>) -> Position {
    settle(vault);
    let at = vault.ledger().head();
    let origin = Origin {
        connection: "ward-3".parse().unwrap(),
        connector: "whatsapp-cloud".into(),
        connector_version: 1,
        received_at: vault.now(),
        verdict: 1,
        secret: 0,
        minimum_lock_days: 0,
    };
    let mut stream = stream_head(b"{}");
    stream.extend_from_slice(said.as_bytes());
    let epoch = vault.epoch().unwrap().encapsulate().unwrap();
    let mut sealer = epoch.sealer(origin, Purpose::Capture).unwrap();
    let kind = sealer.seal(&mut stream, true).unwrap();
    let Kind::Chunk(chunk) = &kind else {
        panic!("not a chunk")
    };
    let (name, joint) = under.map_or_else(
        || {
            let ring = ring(&place.data().join("keys/keystore"));
            let digests = ring.find(SecretKind::Digest, b"chancery-digest1").unwrap();
            let digests = MacKey::new(ring.secret(digests).unwrap());
            let name = KeyId(digests.digest(&[b"no-consent", &chunk.sealing.capture.0]));
            (name, Key::random().unwrap())
        },
        |secret| (secret.0, joint_key(&[secret]).unwrap()),
    );
    let mut builder = PartBuilder::new("us".parse().unwrap(), at).unwrap();
    let first = ItemPlace {
        stream: 0,
        offset: 0,
        ordinal: 0,
    };
    builder.push(first, said.as_bytes()).unwrap();
    let (part, body) = builder.finish(vec![name], &joint).unwrap();
    let chunk = Draft { kind, body: stream };
    let part = Draft {
        kind: Kind::Part(part),
        body,
    };
    assert_eq!(vault.ledger().append(vec![chunk, part]).unwrap(), at);
    settle(vault);
    at
}

fn tombstones(vault: &Vault) -> usize {
    let is = |header: &Header| matches!(&header.kind, Kind::Destruction(gone) if gone.reason == NO_CONSENT);
    entries(vault).iter().filter(|(header, _)| is(header)).count()
}

#[test]
fn what_was_decided_before_a_crash_stays_so_and_one_destruction_is_of_all_that_was_begun() {
    let place = Place::new();
    let vault = place.create();
    let eve = enrol(&vault, "Eve", "+1 555 000 1111");
    deliver(&vault, &[message("0", ANN, "before there was a rule")]);
    require(&vault, Required::Custodian, Unknown::Keep);
    let saying = |id: &str, text: &str| body(&[message(id, ANN, text)]);
    let again = begun_before_a_crash(&place, &vault, &saying("1", CANARY), None);
    let ring = ring(&place.data().join("keys/keystore"));
    let period = ring
        .all()
        .find(|(_, held)| held.kind == SecretKind::Period)
        .and_then(|(id, held)| Some((id, held.secret.clone()?)))
        .unwrap();
    begun_before_a_crash(&place, &vault, &saying("2", "kept before"), Some(period));
    // It would be kept now; but of what was begun it is decided.
    record(&vault, &eve, NOW - 2000, consented());
    let late = begun_before_a_crash(&place, &vault, &saying("3", CANARY), None);
    let read = ["before there was a rule", "kept before"];
    for _ in 0..2 {
        assert_eq!(texts(&vault), read);
        assert!(search(&vault, "CANARY").is_empty());
        for (capture, because) in [(again, "custodian-not-asked"), (late, "decided-before")] {
            let shown = vault.show(id(capture, 0), "test").unwrap();
            assert_eq!(shown["erased"]["without_consent"], json!([because]), "{shown}");
        }
        assert_eq!(
            (without(&vault)["destroyed"].clone(), tombstones(&vault)),
            (json!(2), 2)
        );
        let (bundle, gone) = export(&vault, &Selection::All);
        assert_eq!((gone, proved(&vault, &bundle).messages.erased), (2, 2));
        vault.rebuild().unwrap();
    }
    drop(vault);
    place.verified();
}

#[test]
fn what_came_of_a_delivery_with_much_refused_is_said_before_its_last_append_and_no_gap_claims_it() {
    let place = Place::new();
    let vault = place.create();
    let eve = enrol(&vault, "Eve", "+1 555 000 1111");
    require(&vault, Required::Custodian, Unknown::Keep);
    let said: Vec<String> = (0..5_500)
        .map(|n| message(&n.to_string(), ANN, "CANARY"))
        .collect();
    let at = deliver(&vault, &said);
    assert_eq!(
        (without(&vault)["destroyed"].clone(), tombstones(&vault)),
        (json!(5_500), 1)
    );
    let mut scanner = vault.ledger().scan(at);
    let mut with_much = 0;
    while let Some(group) = scanner.next_group().unwrap() {
        let sizes: Vec<usize> = group
            .entries()
            .unwrap()
            .iter()
            .map(|(_, raw)| (raw.header, raw.body.len()))
            .filter(|(header, _)| matches!(Header::decode(header).unwrap().kind, Kind::Act(_)))
            .map(|(_, bytes)| bytes)
            .collect();
        with_much += sizes.iter().filter(|bytes| **bytes > 100_000).count();
    }
    assert_eq!(with_much, 1, "one entry before says what came");
    // Somebody reacts to the first and to the last, once she agreed.
    record(&vault, &eve, NOW - 950, consented());
    for (id, to) in [("r1", 0), ("r2", 5_499)] {
        let reaction = format!(
            r#"{{"from":"{BO}","id":"wamid.{id}","timestamp":"{}","type":"reaction","reaction":{{"message_id":"wamid.{to}","emoji":"+"}}}}"#,
            NOW - 900
        );
        deliver_locked(&vault, &body(&[reaction]), "ward-3", 0);
    }
    assert_eq!(search(&vault, "is:event").len(), 2);
    for _ in 0..2 {
        vault.wait_looked(vault.ledger().head()).unwrap();
        let gaps = vault.gaps(&GapsWanted::default()).unwrap();
        let pointed = |gap: &&Value| gap["cause"] == "pointed-at";
        assert_eq!(
            gaps["gaps"].as_array().unwrap().iter().filter(pointed).count(),
            0,
            "{gaps}"
        );
        vault.rebuild().unwrap();
        settle(&vault);
    }
    drop(vault);
    place.verified();
}
