//! What does not go as it should is said before it is too late.

use std::sync::Arc;

use connect::wecom_archive::driver::DriverError;
use connect::wecom_archive::fake::CompanyKey;
use connect::{Secrets, Settings};
use server::host::Host;
use server::vault::Vault;
use server::vault::archive::Pulled;
use server::vault::connections::ConnectionConfig;
use server::vault::host::VaultHost;
use zeroize::Zeroizing;

use crate::instance::*;

fn doctor(vault: &Vault, check: &str) -> (bool, String) {
    settle(vault);
    let checks = vault.doctor().unwrap();
    let found = checks.into_iter().find(|found| found.check == check).unwrap();
    (found.ok, found.detail)
}

const PULLED: &str = "the archive of archive is pulled";
const OPEN: &str = "items of the archive of archive open";

#[test]
fn doctor_and_status_say_how_far_behind_an_archive_is_long_before_the_vendor_forgets() {
    let (folder, hand) = (tempfile::tempdir().unwrap(), Hand::new());
    let key = CompanyKey::generate(3).unwrap();
    let vault = hand.create(folder.path());
    connect_with(&vault, "wecom-archive", &[key.secret().unwrap()]);
    use_fake(&vault, three(&key));
    vault.pull_archive("archive").unwrap();
    let steps = [
        (0, true, "up to item 20"),
        (23, true, "23 h ago"),
        (2, false, "WARNING: "),
        (48, false, "ALARM: up to item 20; all there was 73 h ago"),
        (48, false, "ALARM, messages may be lost"),
    ];
    for (hours, ok, expected) in steps {
        hand.pass(hours * 3600);
        let (found, detail) = doctor(&vault, PULLED);
        assert!(found == ok && detail.contains(expected), "{hours}: {detail}");
    }
    let status = vault.status().unwrap();
    let archive = &status["connections"][0]["archive"];
    assert_eq!(
        (archive["position"].as_u64(), archive["alarm"].as_str()),
        (Some(20), Some("lost"))
    );
    let shown = VaultHost::new(Arc::new(vault)).status();
    assert_eq!(shown.connections[0].archive.as_ref().unwrap().position, 20);
}

#[test]
fn what_the_vendor_forgot_before_it_was_pulled_is_a_gap_once_all_there_is_was_pulled() {
    let (folder, hand) = (tempfile::tempdir().unwrap(), Hand::new());
    let key = CompanyKey::generate(3).unwrap();
    let vault = hand.create(folder.path());
    connect_with(&vault, "wecom-archive", &[key.secret().unwrap()]);
    let begun = vault.now();
    let mut archive = three(&key);
    archive.forget(8);
    use_fake(&vault, archive);
    hand.pass(6 * 86_400);
    assert_eq!(vault.pull_archive("archive").unwrap(), Pulled::Items(1));
    hand.pass(1);
    assert_eq!(vault.pull_archive("archive").unwrap(), Pulled::Items(0));
    hand.pass(60);
    assert_eq!(vault.pull_archive("archive").unwrap(), Pulled::Items(0));
    settle(&vault);
    let status = vault.status().unwrap();
    let gaps: Vec<_> = status["gaps"].as_array().unwrap().iter().collect();
    let gaps: Vec<_> = gaps
        .iter()
        .filter(|gap| gap["connection"] == "archive" && gap["cause"] == "not-running")
        .collect();
    assert_eq!(gaps.len(), 1, "{status}");
    assert_eq!(gaps[0]["from"], serde_json::json!(begun));
}

#[test]
fn doctor_counts_items_that_stay_closed_by_what_is_wrong() {
    let (folder, hand) = (tempfile::tempdir().unwrap(), Hand::new());
    let (ours, theirs) = (CompanyKey::generate(3).unwrap(), CompanyKey::generate(3).unwrap());
    let other = CompanyKey::generate(4).unwrap();
    let vault = hand.create(folder.path());
    connect_with(&vault, "wecom-archive", &[ours.secret().unwrap()]);
    let mut archive = three(&theirs);
    archive.add(30, "m30", &other, &message("m30", "x")).unwrap();
    archive.add(31, "m31", &ours, &message("m31", "read")).unwrap();
    use_fake(&vault, archive);
    assert_eq!(doctor(&vault, OPEN), (true, "none stays closed".to_owned()));
    vault.pull_archive("archive").unwrap();
    let (ok, detail) = doctor(&vault, OPEN);
    assert!(
        !ok && detail.starts_with("1 lack the private key") && detail.contains("; 3 have a private key"),
        "{detail}"
    );
    let shown = vault.status().unwrap();
    let closed = &shown["connections"][0]["archive"]["closed"];
    assert_eq!(
        *closed,
        serde_json::json!({"private-key-missing": 1, "private-key-wrong": 3})
    );
}

fn tested(vault: &Vault) -> Vec<(String, bool, String)> {
    let results = vault.test_connection("archive", None).unwrap();
    results
        .into_iter()
        .map(|found| (found.check, found.ok, found.detail))
        .collect()
}

#[test]
fn a_test_of_the_connection_asks_the_vendor_and_says_what_is_wrong_and_what_to_do() {
    let (folder, hand) = (tempfile::tempdir().unwrap(), Hand::new());
    let (key, other) = (CompanyKey::generate(3).unwrap(), CompanyKey::generate(3).unwrap());
    let vault = hand.create(folder.path());
    connect_with(&vault, "wecom-archive", &[key.secret().unwrap()]);
    // As it was added: the library is not there.
    let found = tested(&vault);
    let asked = found
        .iter()
        .find(|(check, ..)| check == "the vendor answers")
        .unwrap();
    assert!(
        !asked.1 && asked.2.contains("check the setting library"),
        "{found:?}"
    );
    let head = vault.ledger().head();
    use_fake(&vault, three(&key));
    let found = tested(&vault);
    let good = [
        "secret secret",
        "secret private-key",
        "private keys",
        "the vendor answers",
        "an item opens",
    ];
    for check in good {
        assert!(
            found.iter().any(|(name, ok, _)| name == check && *ok),
            "{check}: {found:?}"
        );
    }
    for (code, remedy) in [
        (10000, "check the corp id"),
        (10004, "check the connection's secret"),
        (10009, "enter its outgoing address"),
        (301_052, "renew it"),
    ] {
        let mut archive = three(&key);
        archive.fail_next([DriverError::Code(code)]);
        use_fake(&vault, archive);
        let found = tested(&vault);
        let asked = found
            .iter()
            .find(|(check, ..)| check == "the vendor answers")
            .unwrap();
        assert!(!asked.1 && asked.2.contains(remedy), "{found:?}");
    }
    use_fake(&vault, three(&other));
    let found = tested(&vault);
    let opens = found.iter().find(|(check, ..)| check == "an item opens").unwrap();
    assert!(
        !opens.1 && opens.2.contains("version 3 does not open"),
        "{found:?}"
    );
    assert_eq!(vault.ledger().head(), head, "nothing of a test is kept");
}

#[test]
fn a_connection_of_the_archive_that_cannot_work_is_not_added() {
    let (folder, hand) = (tempfile::tempdir().unwrap(), Hand::new());
    let key = CompanyKey::generate(3).unwrap().secret().unwrap();
    let vault = hand.create(folder.path());
    let good = settings("wecom-archive");
    let secrets = |key: &[u8]| {
        let mut secrets = Secrets::default();
        secrets
            .0
            .insert("secret".to_owned(), vec![Zeroizing::new(b"s".to_vec())]);
        secrets
            .0
            .insert("private-key".to_owned(), vec![Zeroizing::new(key.to_vec())]);
        secrets
    };
    let check = |settings: Settings, secrets: &Secrets, expected: &str| {
        let config = ConnectionConfig {
            secret_expires: std::collections::BTreeMap::new(),
            id: "archive".parse().unwrap(),
            connector: "wecom-archive".to_owned(),
            settings,
            minimum_lock_days: 0,
        };
        let refused = vault.add_connection(&config, secrets).unwrap_err().to_string();
        assert!(refused.contains(expected), "{refused}");
    };
    let without = |name: &str| {
        let mut settings = good.clone();
        settings.remove(name);
        settings
    };
    check(without("corp-id"), &secrets(&key), "corp-id is missing");
    check(without("library"), &secrets(&key), "library is missing");
    check(good.clone(), &Secrets::default(), "secret is missing");
    check(good.clone(), &secrets(b"3:no key"), "not an RSA key in PEM");
    check(good.clone(), &secrets(b"no version"), "needs the version");
    let mut odd = good.clone();
    odd.insert("forward-to".to_owned(), "https://example.org".to_owned());
    check(odd, &secrets(&key), "has no setting forward-to");
    assert!(vault.connections().is_empty());
}

/// Gaps of an archive that could not be pulled.
fn downs(vault: &Vault) -> Vec<serde_json::Value> {
    vault.wait_looked(vault.ledger().head()).unwrap();
    let answer = vault.gaps(&server::vault::gaps::GapsWanted::default()).unwrap();
    let mut gaps = answer["gaps"].as_array().unwrap().clone();
    gaps.retain(|gap| gap["cause"] == "connection-ended");
    gaps
}

/// An archive that everything was pulled of, and that answers its next questions so.
fn pulled_then(folder: &std::path::Path, hand: &Hand, errors: Vec<DriverError>) -> Vault {
    let key = CompanyKey::generate(3).unwrap();
    let vault = hand.create(folder);
    connect_with(&vault, "wecom-archive", &[key.secret().unwrap()]);
    let mut archive = three(&key);
    use_fake(&vault, archive.clone());
    while vault.pull_archive("archive").unwrap() != Pulled::Items(0) {
        hand.pass(1);
    }
    archive.fail_next(errors);
    use_fake(&vault, archive);
    vault
}

#[test]
fn an_archive_that_cannot_be_pulled_for_an_hour_is_one_gap_that_says_why_until_all_of_it_was_pulled() {
    let (folder, hand) = (tempfile::tempdir().unwrap(), Hand::new());
    let refused = vec![DriverError::Code(301_052); 4];
    let vault = pulled_then(folder.path(), &hand, refused);
    let begun = vault.now();
    let fails = || {
        assert!(matches!(
            vault.pull_archive("archive").unwrap(),
            Pulled::Failed(_)
        ))
    };
    fails();
    hand.pass(3599);
    fails();
    assert_eq!(downs(&vault), Vec::<serde_json::Value>::new());
    hand.pass(400);
    fails();
    // However long it lasts, and however often it is looked.
    for _ in 0..3 {
        let gaps = downs(&vault);
        assert_eq!(gaps.len(), 1, "{gaps:?}");
        assert_eq!(
            (&gaps[0]["connection"], &gaps[0]["state"]),
            (&"archive".into(), &"open".into())
        );
        assert_eq!(gaps[0]["from"], serde_json::json!(begun));
        assert_eq!(
            gaps[0]["missing_by"],
            serde_json::json!({ "vendor-code-301052": 1 })
        );
        assert!(gaps[0]["remedy"].as_str().unwrap().contains("connection test"));
    }
    hand.pass(86_400);
    fails();
    hand.pass(400);
    // It answers again, and there is nothing that was not pulled.
    assert_eq!(vault.pull_archive("archive").unwrap(), Pulled::Items(0));
    let gaps = downs(&vault);
    assert_eq!(gaps.len(), 1);
    assert_eq!(gaps[0]["closed"]["reason"], "resumed", "{gaps:?}");
    vault.rebuild().unwrap();
    assert_eq!(downs(&vault), gaps);
}

#[test]
fn a_gap_of_an_archive_stays_open_when_it_was_down_for_longer_than_the_vendor_keeps_what_it_has() {
    let (folder, hand) = (tempfile::tempdir().unwrap(), Hand::new());
    let vault = pulled_then(
        folder.path(),
        &hand,
        vec![DriverError::Failed("the library hangs"); 2],
    );
    assert!(matches!(
        vault.pull_archive("archive").unwrap(),
        Pulled::Failed(_)
    ));
    hand.pass(7200);
    assert_eq!(
        downs(&vault)[0]["missing_by"],
        serde_json::json!({ "no-answer": 1 })
    );
    assert!(matches!(
        vault.pull_archive("archive").unwrap(),
        Pulled::Failed(_)
    ));
    hand.pass(6 * 86_400);
    assert_eq!(vault.pull_archive("archive").unwrap(), Pulled::Items(0));
    let gaps = downs(&vault);
    assert_eq!(
        (gaps.len(), &gaps[0]["state"]),
        (1, &serde_json::json!("open")),
        "{gaps:?}"
    );
}

#[test]
fn a_pull_that_fails_now_and_then_opens_no_gap() {
    let (folder, hand) = (tempfile::tempdir().unwrap(), Hand::new());
    let vault = pulled_then(folder.path(), &hand, Vec::new());
    for _ in 0..3 {
        let mut archive = connect::wecom_archive::fake::FakeDriver::default();
        archive.fail_next([DriverError::Code(10_001)]);
        use_fake(&vault, archive);
        assert!(matches!(
            vault.pull_archive("archive").unwrap(),
            Pulled::Failed(_)
        ));
        hand.pass(1800);
        assert_eq!(vault.pull_archive("archive").unwrap(), Pulled::Items(0));
        hand.pass(7200);
    }
    assert_eq!(downs(&vault), Vec::<serde_json::Value>::new());
}
