//! Items of an archive that nobody could open when they came: erasing a person reaches them once they are opened.

use connect::wecom_archive::fake::{CompanyKey, FakeDriver};
use connect::{Secrets, Settings};
use model::entry::Kind;
use model::{KeyId, Position};
use seal::keyring::SecretKind;
use server::vault::archive::SUPERSEDED;
use server::vault::connections::ConnectionConfig;
use server::vault::export::Selection;
use server::vault::{Vault, VaultError};
use zeroize::Zeroizing;

use crate::instance::*;

pub fn connect_with(vault: &Vault, keys: &[&CompanyKey]) {
    let hash = "0".repeat(64);
    let settings = [
        ("corp-id", "ww1"),
        ("library", "/nowhere/library.so"),
        ("helper", "/nowhere/wecom-helper"),
        ("library-sha256", &hash),
    ];
    let config = ConnectionConfig {
        secret_expires: std::collections::BTreeMap::new(),
        id: "archive".parse().unwrap(),
        connector: "wecom-archive".to_owned(),
        settings: settings
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into_iter()
            .collect::<Settings>(),
        minimum_lock_days: 0,
    };
    let mut secrets = Secrets::default();
    let keys = keys.iter().map(|key| key.secret().unwrap()).collect();
    secrets.0.insert("private-key".to_owned(), keys);
    secrets.0.insert(
        "secret".to_owned(),
        vec![Zeroizing::new(b"archive-secret".to_vec())],
    );
    vault.add_connection(&config, &secrets).unwrap();
}

fn written(id: &str, by: &str, text: &str) -> String {
    format!(
        r#"{{"msgid":"{id}","action":"send","from":"{by}","tolist":["wang"],"roomid":"","msgtime":1763990000123,"msgtype":"text","text":{{"content":"{text}"}}}}"#
    )
}

/// Of the key of version 4 a word of Lina's and one of Zhao's; of version 5 one of Lina's.
fn archive(four: &CompanyKey, five: &CompanyKey) -> FakeDriver {
    let mut archive = FakeDriver::default();
    archive
        .add(1, "m1", four, &written("m1", "lina", "CANARY of hers"))
        .unwrap();
    archive
        .add(2, "m2", four, &written("m2", "zhao", "his alone"))
        .unwrap();
    archive
        .add(3, "m3", five, &written("m3", "lina", "CANARY of later"))
        .unwrap();
    archive
}

/// Waits until so many messages are there; a test that waits in vain is ended from outside.
fn wait_until(vault: &Vault, count: usize) {
    while search(vault, "is:message").len() != count {
        std::thread::yield_now();
    }
}

/// Waits until so many secrets that stood in for owners are destroyed; the entries that say so.
fn wait_superseded(vault: &Vault, count: usize) -> Vec<KeyId> {
    loop {
        let mut found = Vec::new();
        for at in 0..vault.ledger().head().0 {
            let entry = vault.ledger().entry(Position(at)).unwrap().unwrap();
            if let Kind::Destruction(gone) = entry.header.kind
                && gone.reason == SUPERSEDED
            {
                found.extend(gone.keys);
            }
        }
        if found.len() >= count {
            assert_eq!(found.len(), count);
            return found;
        }
        std::thread::yield_now();
    }
}

#[test]
fn a_person_whose_items_were_opened_late_is_erased_like_any_other() {
    let place = Place::new();
    let vault = place.create();
    let (four, five) = (CompanyKey::generate(4).unwrap(), CompanyKey::generate(5).unwrap());
    let unused = CompanyKey::generate(3).unwrap();
    connect_with(&vault, &[&unused]);
    let fake = || Box::new(FakeDriver::default());
    vault
        .use_archive("archive", Box::new(archive(&four, &five)), fake())
        .unwrap();
    let first = vault.ledger().head();
    vault.pull_archive("archive").unwrap();
    settle(&vault);
    assert!(search(&vault, "is:message").is_empty());
    // Before: one secret stands in for all.
    let standing_in = |place: &Place| {
        let ring = ring(&place.data().join("keys/keystore"));
        let living = ring
            .all()
            .filter(|(_, held)| held.kind == SecretKind::Unattributed);
        living
            .filter(|(_, held)| held.secret.is_some())
            .map(|(id, _)| id)
            .collect::<Vec<_>>()
    };
    let before = standing_in(&place);
    assert_eq!(before.len(), 1);

    connect_with(&vault, &[&unused, &four]);
    wait_until(&vault, 2);
    // What stood in for owners who are known now is gone; what stays closed has another.
    assert_eq!(wait_superseded(&vault, 1), before);
    settle(&vault);
    let after = standing_in(&place);
    assert!(after.len() == 1 && after != before);

    destroy(&vault, person("lina"));
    let left = everything(&vault);
    assert!(left.iter().any(|one| one.contains("his alone")), "{left:?}");
    assert!(left.iter().all(|one| !one.contains("CANARY of hers")), "{left:?}");
    assert!(matches!(vault.open_capture(first), Err(VaultError::BadData(_))));
    let (bundle, _) = export(&vault, &Selection::All);
    assert!(!contains(&bundle, b"CANARY"));
    assert!(proved(&vault, &bundle).messages.erased >= 1);

    // What is opened only now, and is hers, does not come back.
    connect_with(&vault, &[&unused, &four, &five]);
    wait_superseded(&vault, 2);
    assert!(everything(&vault).iter().all(|one| !one.contains("CANARY")));
    vault.rebuild().unwrap();
    assert!(everything(&vault).iter().all(|one| !one.contains("CANARY")));
    assert_eq!(search(&vault, "is:message").len(), 1);
    drop(vault);
    place.verified();
    let vault = place.open();
    assert!(matches!(vault.open_capture(first), Err(VaultError::BadData(_))));
    assert_eq!(search(&vault, "is:message").len(), 1);
}
