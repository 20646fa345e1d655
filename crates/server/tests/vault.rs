//! The vault: what is captured is understood, shown, exported and proved; nothing more.
#![cfg(test)]

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

const QUICK: PassphraseCost = PassphraseCost {
    memory_kib: 64,
    passes: 1,
};
const NOW: i64 = 1_764_000_000;

fn options() -> VaultOptions {
    let mut options = VaultOptions::with_clock(Arc::new(|| Timestamp::from_seconds(NOW)));
    options.ledger = LedgerOptions {
        checkpoint_every: Duration::from_millis(20),
        ..LedgerOptions::default()
    };
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
    let mut sealer = vault
        .epoch()
        .unwrap()
        .encapsulate()
        .unwrap()
        .sealer(origin, Purpose::Capture)
        .unwrap();
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
    let options = VerifyOptions {
        key: Some(key),
        ..VerifyOptions::default()
    };
    verify(&mut Cursor::new(bundle), options).unwrap()
}

fn settle(vault: &Vault) {
    vault.wait_normalized(vault.ledger().head()).unwrap();
}

#[test]
fn a_webhook_is_understood_found_shown_and_proved() {
    let folder = tempfile::tempdir().unwrap();
    let vault = fresh(folder.path());
    let at = deliver(
        &vault,
        delivery(&[text_message("wamid.1", "4915112345", "the dose is 5 mg")]).as_bytes(),
    );
    settle(&vault);
    let found = search(&vault, "dose");
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["id"], format!("{at}.0"));
    assert_eq!(search(&vault, "from:4915112345 mg").len(), 1);
    assert_eq!(search(&vault, "from:nobody mg").len(), 0);
    let shown = vault
        .show(
            MessageId {
                capture: at,
                ordinal: 0,
            },
            "test",
        )
        .unwrap();
    assert_eq!(shown["record"]["text"], "the dose is 5 mg");
    let one = export(
        &vault,
        &Selection::Ids(vec![MessageId {
            capture: at,
            ordinal: 0,
        }]),
    );
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
    let bundle = export(
        &vault,
        &Selection::Ids(vec![MessageId {
            capture: at,
            ordinal: 1,
        }]),
    );
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
        .map(|n| {
            delivery(&[text_message(
                &format!("wamid.{n}"),
                "4915112345",
                &format!("text {n}"),
            )])
        })
        .collect();
    let mut states = Vec::new();
    for order in [
        vec![0, 1, 2, 3, 4, 5],
        vec![5, 3, 3, 1, 0, 2, 4, 5, 0, 1, 2, 4, 3],
    ] {
        let folder = tempfile::tempdir().unwrap();
        let vault = fresh(folder.path());
        for n in order {
            deliver(&vault, bodies[n].as_bytes());
        }
        settle(&vault);
        let mut state: Vec<String> = search(&vault, "is:any")
            .iter()
            .map(|found| found["record"].to_string())
            .collect();
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
        deliver(
            &vault,
            delivery(&[
                text_message(&format!("wamid.{n}a"), "4915112345", "left"),
                text_message(&format!("wamid.{n}b"), &format!("49151{n}"), "right"),
            ])
            .as_bytes(),
        );
        deliver(
            &vault,
            delivery(&[text_message(&format!("wamid.{n}c"), "4915112345", "alone")]).as_bytes(),
        );
    }
    settle(&vault);
    let before = search(&vault, "is:any");
    let head = vault.ledger().head();
    vault.rebuild().unwrap();
    let after = search(&vault, "is:any");
    assert_eq!(before.len(), 15);
    let text = |values: &[serde_json::Value]| {
        values
            .iter()
            .map(|v| format!("{} {}", v["id"], v["record"]))
            .collect::<Vec<_>>()
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
        secret_expires: std::collections::BTreeMap::new(),
        id: "ward-3".parse().unwrap(),
        connector: "whatsapp-cloud".into(),
        settings: connect::Settings::new(),
        minimum_lock_days: 0,
    };
    let mut secrets = connect::Secrets::default();
    for name in ["app-secret", "verify-token"] {
        secrets.0.insert(
            name.into(),
            vec![zeroize::Zeroizing::new(b"CANARY-hook-secret".to_vec())],
        );
    }
    vault.add_connection(&config, &secrets).unwrap();
    deliver(
        &vault,
        delivery(&[
            text_message("wamid.CANARY-id", "4915112345777", "CANARY-text"),
            text_message("wamid.2", "4915100000777", "other"),
        ])
        .as_bytes(),
    );
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
                let found = bytes
                    .windows(canary.len())
                    .any(|window| window == canary.as_bytes());
                assert!(!found, "{canary} in {}", path.display());
            }
        }
    }
    assert!(looked > 5);
}

fn lines(count: usize) -> String {
    let mut text = String::from(
        "31/01/24, 10:00 - Messages and calls are end-to-end encrypted. No one outside of this chat, not even WhatsApp, can read or listen to them.\n",
    );
    for n in 0..count {
        let (minute, day) = (n % 60, 1 + (n / 600) % 28);
        let who = ["Ann Ames", "Bo Berg", "+49 151 2345678"][n % 3];
        text += &format!(
            "{day:02}/02/24, {:02}:{minute:02} - {who}: message number {n} canary{n}x\n",
            8 + n / 60 % 10
        );
    }
    text
}

fn import(vault: &Vault, text: &[u8], name: &str) -> server::vault::import::Imported {
    let options = server::vault::import::ImportOptions {
        connector: "whatsapp-export".into(),
        descriptor: server::vault::captures::Descriptor {
            file_name: Some(name.into()),
            ..Default::default()
        },
        actor: "test".into(),
        ..Default::default()
    };
    vault
        .import(&mut Cursor::new(text.to_vec()), &options, &mut |_, _| {})
        .unwrap()
}

#[test]
fn one_message_of_a_10000_message_export_is_proved_alone_and_opens_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let vault = fresh(folder.path());
    let text = lines(10_000);
    let imported = import(&vault, text.as_bytes(), "WhatsApp Chat with Ann Ames.txt");
    assert_eq!(
        (imported.messages, imported.new_messages, imported.problems),
        (10_001, 10_001, 0)
    );
    let found = search(&vault, "canary5000x");
    assert_eq!(found.len(), 1);
    let id: MessageId = found[0]["id"].as_str().unwrap().parse().unwrap();
    let bundle = export(&vault, &Selection::Ids(vec![id]));
    assert!(verified(&vault, &bundle).origin_proved);
    let plain = String::from_utf8_lossy(&bundle);
    assert!(plain.contains("canary5000x"));
    assert_eq!(plain.matches("canary").count(), 1);
    assert!(bundle.len() < 64 << 10, "{}", bundle.len());
    let all = export(&vault, &Selection::All);
    let report = verified(&vault, &all);
    assert_eq!(report.captures.opened, 1);
    let (mut reader, _) = vault.open_capture(imported.capture).unwrap();
    let mut original = Vec::new();
    std::io::Read::read_to_end(&mut reader, &mut original).unwrap();
    assert!(original == text.as_bytes());
}

#[test]
fn the_same_export_again_adds_nothing_and_a_longer_one_only_what_is_new() {
    let folder = tempfile::tempdir().unwrap();
    let vault = fresh(folder.path());
    let text = lines(500);
    let name = "WhatsApp Chat with Ann Ames.txt";
    let first = import(&vault, text.as_bytes(), name);
    assert!(first.captured);
    let again = import(&vault, text.as_bytes(), name);
    assert_eq!(
        (again.captured, again.capture, again.duplicates),
        (false, first.capture, 501)
    );
    let longer = lines(700).replace("message number 41 canary41x", "message number 41 was never this");
    let more = import(&vault, longer.as_bytes(), name);
    assert_eq!(
        (more.captured, more.messages, more.duplicates, more.new_messages),
        (true, 701, 500, 201)
    );
    assert_eq!(more.changed.len(), 1);
    let found = search(&vault, "was never this");
    assert_eq!(found[0]["id"].as_str().unwrap(), more.changed[0].0);
    assert_eq!(search(&vault, "\"message number\"").len(), 701);
}

#[test]
fn an_export_larger_than_the_small_path_is_the_same_after_a_rebuild() {
    let folder = tempfile::tempdir().unwrap();
    let vault = fresh(folder.path());
    let text = lines(120_000);
    assert!(text.len() > 5 << 20);
    let imported = import(&vault, text.as_bytes(), "WhatsApp Chat with Ann Ames.txt");
    assert_eq!(imported.messages, 120_001);
    let head = vault.ledger().head();
    let before = search(&vault, "canary77");
    vault.rebuild().unwrap();
    assert_eq!(search(&vault, "canary77"), before);
    assert_eq!(vault.ledger().head(), head.plus(3));
    let id: MessageId = before[3]["id"].as_str().unwrap().parse().unwrap();
    let bundle = export(&vault, &Selection::Ids(vec![id]));
    verified(&vault, &bundle);
    assert_eq!(String::from_utf8_lossy(&bundle).matches("canary").count(), 1);
}

#[test]
fn an_export_that_begins_in_mid_chat_and_a_stopped_program_are_gaps() {
    let folder = tempfile::tempdir().unwrap();
    let vault = fresh(folder.path());
    let cut = lines(3).split_once('\n').unwrap().1.to_owned();
    let imported = import(&vault, cut.as_bytes(), "WhatsApp Chat with Ann Ames.txt");
    assert_eq!(imported.report.unwrap()["possibly_cut"], true);
    let config = ConnectionConfig {
        secret_expires: std::collections::BTreeMap::new(),
        id: "ward-3".parse().unwrap(),
        connector: "whatsapp-cloud".into(),
        settings: connect::Settings::new(),
        minimum_lock_days: 0,
    };
    let mut secrets = connect::Secrets::default();
    for name in ["app-secret", "verify-token"] {
        secrets
            .0
            .insert(name.into(), vec![zeroize::Zeroizing::new(b"a secret".to_vec())]);
    }
    vault.add_connection(&config, &secrets).unwrap();
    vault.note_not_running().unwrap();
    drop(vault);
    let mut later = options();
    later.clock = Arc::new(|| Timestamp::from_seconds(NOW + 3600));
    let vault = Vault::open(folder.path(), &Unlock::Passphrase(b"correct"), later).unwrap();
    vault.note_not_running().unwrap();
    settle(&vault);
    let status = vault.status().unwrap();
    let gaps: Vec<_> = status["gaps"].as_array().unwrap().iter().collect();
    let causes: Vec<_> = gaps.iter().map(|gap| gap["cause"].as_str().unwrap()).collect();
    // The newest first.
    assert_eq!(causes, ["not-running", "possibly-cut"]);
    assert_eq!(gaps[0]["connection"], "ward-3");
    assert_eq!(gaps[0]["from"], Timestamp::from_seconds(NOW).to_string());
    assert_eq!(gaps[0]["to"], Timestamp::from_seconds(NOW + 3600).to_string());
}

#[test]
fn a_past_epochs_key_is_destroyed_only_with_a_second_copy_and_never_while_it_may_be_sealed_to() {
    for second_copy in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let (data, copy) = (folder.path().join("data"), folder.path().join("copy"));
        let unlock = Unlock::Passphrase(b"correct");
        let zone = "us".parse().unwrap();
        create(
            &data,
            zone,
            &unlock,
            QUICK,
            second_copy.then_some(copy),
            Timestamp::from_seconds(NOW),
        )
        .unwrap();
        let mut quick = options();
        // Every asking begins a new epoch.
        quick.epoch_lasts = Duration::ZERO;
        let vault = Vault::open(&data, &unlock, quick).unwrap();
        for n in 0..4 {
            let text = text_message(&format!("wamid.{n}"), "4915112345", &format!("sealed {n}"));
            deliver(&vault, delivery(&[text]).as_bytes());
            settle(&vault);
        }
        let destroyed = || {
            let attested = vault.attest_keys("test").unwrap();
            (
                attested["epochs_destroyed"].as_u64().unwrap(),
                attested["epochs_open"].as_u64().unwrap(),
            )
        };
        // Epochs end when there is nothing else to do: wait for that, not for a time.
        while second_copy && destroyed().0 == 0 {
            settle(&vault);
        }
        let (gone, open) = destroyed();
        assert!(open >= 2, "the epoch in force and the one before stay");
        assert_eq!(gone > 0, second_copy);
        assert_eq!(search(&vault, "sealed").len(), 4);
        vault.rebuild().unwrap();
        assert_eq!(search(&vault, "sealed").len(), 4);
    }
}

#[test]
fn doctor_complains_once_the_last_checkpoint_outside_is_over_a_day_old() {
    use std::sync::atomic::{AtomicI64, Ordering};
    let folder = tempfile::tempdir().unwrap();
    drop(fresh(folder.path()));
    let now = Arc::new(AtomicI64::new(NOW));
    let clock = now.clone();
    let options = VaultOptions {
        clock: Arc::new(move || Timestamp::from_seconds(clock.load(Ordering::SeqCst))),
        ..options()
    };
    let vault = Vault::open(folder.path(), &Unlock::Passphrase(b"correct"), options).unwrap();
    let kept = || {
        vault.wait_normalized(vault.ledger().head()).unwrap();
        let checks = vault.doctor().unwrap();
        checks
            .into_iter()
            .find(|check| check.check == "a checkpoint is kept elsewhere")
            .unwrap()
    };
    assert!(!kept().ok && kept().detail.contains("none ever went outside"));
    vault.hand_out_checkpoint("test").unwrap();
    assert!(kept().ok);
    now.store(NOW + 24 * 3600, Ordering::SeqCst);
    assert!(kept().ok);
    now.store(NOW + 25 * 3600, Ordering::SeqCst);
    assert!(
        !kept().ok && kept().detail.contains("25 h ago"),
        "{}",
        kept().detail
    );
    assert_eq!(vault.outside_time(), None, "handing out proves no time");
}
