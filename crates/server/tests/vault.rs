//! The vault: what is captured is understood, shown, exported and proved; nothing more.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use model::entry::Origin;
use model::{MessageId, Position, Timestamp};
use seal::bundle::{VerifyOptions, verify};
use seal::envelope::{Purpose, stream_head};
use seal::keyring::{PassphraseCost, Unlock};
use seal::note::NoteKey;
use server::vault::connections::ConnectionConfig;
use server::vault::export::Selection;
use server::vault::{Vault, VaultOptions, create};
use store::ledger::{Draft, LedgerOptions};

const QUICK: PassphraseCost = PassphraseCost { memory_kib: 64, passes: 1 };
const NOW: i64 = 1_764_000_000;

fn options() -> VaultOptions {
    let mut options = VaultOptions::with_clock(Arc::new(|| Timestamp::from_seconds(NOW)));
    options.ledger = LedgerOptions { checkpoint_every: Duration::from_millis(20), ..LedgerOptions::default() };
    options
}

fn fresh(folder: &Path) -> Vault {
    let unlock = Unlock::Passphrase(b"correct");
    let now = Timestamp::from_seconds(NOW);
    create(folder, "us".parse().unwrap(), &unlock, QUICK, None, now).unwrap();
    Vault::open(folder, &unlock, options()).unwrap()
}

/// What the intake does with a webhook that it admitted.
fn deliver(vault: &Vault, body: &[u8]) -> Position {
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
    stream.extend_from_slice(body);
    let mut sealer = vault.epoch().unwrap().encapsulate().unwrap().sealer(origin, Purpose::Capture).unwrap();
    let kind = sealer.seal(&mut stream, true).unwrap();
    vault.ledger().append(vec![Draft { kind, body: stream }]).unwrap()
}

fn text_message(id: &str, from: &str, text: &str) -> String {
    format!(
        r#"{{"from":"{from}","id":"{id}","timestamp":"1763990000","type":"text","text":{{"body":"{text}"}}}}"#
    )
}

fn delivery(messages: &[String]) -> String {
    format!(
        r#"{{"object":"whatsapp_business_account","entry":[{{"id":"1","changes":[{{"field":"messages","value":{{"messaging_product":"whatsapp","metadata":{{"display_phone_number":"15550001111","phone_number_id":"99"}},"messages":[{}]}}}}]}}]}}"#,
        messages.join(",")
    )
}

fn search(vault: &Vault, query: &str) -> Vec<serde_json::Value> {
    let mut found = Vec::new();
    vault
        .search(query, "test", 1000, &mut |value| {
            found.push(value);
            Ok(())
        })
        .unwrap();
    found
}

fn export(vault: &Vault, selection: &Selection) -> Vec<u8> {
    let (sink, _) = vault
        .export(selection, None, "test", Cursor::new(Vec::new()), &mut |_, _| {})
        .unwrap();
    sink.into_inner()
}

fn verified(vault: &Vault, bundle: &[u8]) -> seal::bundle::Report {
    let key = NoteKey::decode(&vault.public_key()).unwrap();
    let options = VerifyOptions { key: Some(key), ..VerifyOptions::default() };
    verify(&mut Cursor::new(bundle), options).unwrap()
}

fn settle(vault: &Vault) {
    vault.wait_normalized(vault.ledger().head()).unwrap();
}

#[test]
fn a_webhook_is_understood_found_shown_and_proved() {
    let folder = tempfile::tempdir().unwrap();
    let vault = fresh(folder.path());
    let at = deliver(&vault, delivery(&[text_message("wamid.1", "4915112345", "the dose is 5 mg")]).as_bytes());
    settle(&vault);
    let found = search(&vault, "dose");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["id"], format!("{at}.0"));
    assert_eq!(search(&vault, "from:4915112345 mg").len(), 1);
    assert_eq!(search(&vault, "from:nobody mg").len(), 0);
    let shown = vault.show(MessageId { capture: at, ordinal: 0 }, "test").unwrap();
    assert_eq!(shown["record"]["text"], "the dose is 5 mg");
    let one = export(&vault, &Selection::Ids(vec![MessageId { capture: at, ordinal: 0 }]));
    let report = verified(&vault, &one);
    assert!(report.origin_proved);
    let all = export(&vault, &Selection::All);
    verified(&vault, &all);
}

#[test]
fn two_people_in_one_delivery_become_parts_and_one_is_exported_alone() {
    let folder = tempfile::tempdir().unwrap();
    let vault = fresh(folder.path());
    let body = delivery(&[
        text_message("wamid.1", "4915112345", "first secret"),
        text_message("wamid.2", "4915199999", "second secret"),
    ]);
    let at = deliver(&vault, body.as_bytes());
    settle(&vault);
    assert_eq!(search(&vault, "secret").len(), 2);
    let bundle = export(&vault, &Selection::Ids(vec![MessageId { capture: at, ordinal: 1 }]));
    verified(&vault, &bundle);
    let text = String::from_utf8_lossy(&bundle);
    assert!(text.contains("second secret"));
    assert!(!text.contains("first secret"));
    let (mut reader, _) = vault.open_capture(at).unwrap();
    let mut original = Vec::new();
    std::io::Read::read_to_end(&mut reader, &mut original).unwrap();
    assert_eq!(original, body.as_bytes());
}

#[test]
fn the_same_delivery_in_any_order_and_number_gives_the_same_state() {
    let bodies: Vec<String> = (0..6)
        .map(|n| delivery(&[text_message(&format!("wamid.{n}"), "4915112345", &format!("text {n}"))]))
        .collect();
    let mut states = Vec::new();
    for order in [vec![0, 1, 2, 3, 4, 5], vec![5, 3, 3, 1, 0, 2, 4, 5, 0, 1, 2, 4, 3]] {
        let folder = tempfile::tempdir().unwrap();
        let vault = fresh(folder.path());
        for n in order {
            deliver(&vault, bodies[n].as_bytes());
        }
        settle(&vault);
        let mut state: Vec<String> =
            search(&vault, "is:any").iter().map(|found| found["record"].to_string()).collect();
        state.sort();
        states.push(state);
    }
    assert_eq!(states[0].len(), 6);
    assert_eq!(states[0], states[1]);
}

#[test]
fn a_rebuild_and_a_reopening_give_the_same_answers_and_write_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let vault = fresh(folder.path());
    for n in 0..5 {
        deliver(&vault, delivery(&[
            text_message(&format!("wamid.{n}a"), "4915112345", "left"),
            text_message(&format!("wamid.{n}b"), &format!("49151{n}"), "right"),
        ]).as_bytes());
        deliver(&vault, delivery(&[text_message(&format!("wamid.{n}c"), "4915112345", "alone")]).as_bytes());
    }
    settle(&vault);
    let before = search(&vault, "is:any");
    let head = vault.ledger().head();
    vault.rebuild().unwrap();
    let after = search(&vault, "is:any");
    assert_eq!(before.len(), 15);
    let text = |values: &[serde_json::Value]| {
        values.iter().map(|v| format!("{} {}", v["id"], v["record"])).collect::<Vec<_>>()
    };
    assert_eq!(text(&before), text(&after));
    // One act for the rebuild, one for the search: no wrap and no part again.
    assert_eq!(vault.ledger().head(), head.plus(2));
    drop(vault);
    let vault = Vault::open(folder.path(), &Unlock::Passphrase(b"correct"), options()).unwrap();
    settle(&vault);
    assert_eq!(text(&search(&vault, "is:any")), text(&before));
}

#[test]
fn nothing_readable_lies_in_the_data_folder() {
    let folder = tempfile::tempdir().unwrap();
    let vault = fresh(folder.path());
    let config = ConnectionConfig {
        id: "ward-3".parse().unwrap(),
        connector: "whatsapp-cloud".into(),
        settings: connect::Settings::new(),
        minimum_lock_days: 0,
    };
    let mut secrets = connect::Secrets::default();
    for name in ["app-secret", "verify-token"] {
        secrets.0.insert(name.into(), vec![zeroize::Zeroizing::new(b"CANARY-hook-secret".to_vec())]);
    }
    vault.add_connection(&config, &secrets).unwrap();
    deliver(&vault, delivery(&[
        text_message("wamid.CANARY-id", "4915112345777", "CANARY-text"),
        text_message("wamid.2", "4915100000777", "other"),
    ]).as_bytes());
    settle(&vault);
    assert_eq!(search(&vault, "CANARY-text").len(), 1);
    drop(vault);
    let mut looked = 0;
    let mut folders = vec![folder.path().to_owned()];
    while let Some(next) = folders.pop() {
        for file in std::fs::read_dir(next).unwrap() {
            let path = file.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let bytes = std::fs::read(&path).unwrap();
            looked += 1;
            for canary in ["CANARY", "4915112345777", "4915100000777", "Q0FOQVJZ", "correct"] {
                let found = bytes.windows(canary.len()).any(|window| window == canary.as_bytes());
                assert!(!found, "{canary} in {}", path.display());
            }
        }
    }
    assert!(looked > 5);
}
