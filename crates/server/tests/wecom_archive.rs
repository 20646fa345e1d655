//! The WeCom archive: pulled, sealed as it came, and opened in the vault.
#![cfg(test)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use connect::Secrets;
use connect::wecom_archive::driver::{Driver, DriverError, Slice};
use connect::wecom_archive::fake::{CompanyKey, FakeDriver};
use connect::wecom_archive::pull::Alarm;
use model::Timestamp;
use seal::keyring::{PassphraseCost, Unlock};
use server::host::Host;
use server::vault::archive::Pulled;
use server::vault::connections::ConnectionConfig;
use server::vault::host::VaultHost;
use server::vault::{Vault, VaultError, VaultOptions, create};
use zeroize::Zeroizing;

const QUICK: PassphraseCost = PassphraseCost {
    memory_kib: 64,
    passes: 1,
};
const UNLOCK: Unlock<'_> = Unlock::Passphrase(b"correct");

/// A clock that a test moves, in seconds.
#[derive(Clone)]
struct Hand(Arc<AtomicI64>);

impl Hand {
    fn new() -> Hand {
        Hand(Arc::new(AtomicI64::new(1_764_000_000)))
    }

    fn pass(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }

    fn open(&self, folder: &Path) -> Vault {
        let hand = self.clone();
        let clock = Arc::new(move || Timestamp::from_seconds(hand.0.load(Ordering::SeqCst)));
        Vault::open(folder, &UNLOCK, VaultOptions::with_clock(clock)).unwrap()
    }

    fn create(&self, folder: &Path) -> Vault {
        let now = Timestamp::from_seconds(self.0.load(Ordering::SeqCst));
        create(folder, "cn".parse().unwrap(), &UNLOCK, QUICK, None, now).unwrap();
        self.open(folder)
    }
}

fn connect_with(vault: &Vault, connector: &str, keys: &[Zeroizing<Vec<u8>>]) {
    let config = ConnectionConfig {
        id: "archive".parse().unwrap(),
        connector: connector.to_owned(),
        settings: Default::default(),
        minimum_lock_days: 0,
    };
    let mut secrets = Secrets::default();
    secrets.0.insert("private-key".to_owned(), keys.to_vec());
    secrets.0.insert(
        "secret".to_owned(),
        vec![Zeroizing::new(b"archive-secret".to_vec())],
    );
    vault.add_connection(&config, &secrets).unwrap();
}

fn message(id: &str, text: &str) -> String {
    format!(
        r#"{{"msgid":"{id}","action":"send","from":"lina","tolist":["zhao"],"roomid":"","msgtime":1760000000123,"msgtype":"text","text":{{"content":"{text}"}}}}"#
    )
}

fn three(key: &CompanyKey) -> FakeDriver {
    let mut archive = FakeDriver::default();
    for (seq, id, text) in [
        (7, "m7", "the first dose"),
        (8, "m8", "the second dose"),
        (20, "m20", "dose three"),
    ] {
        archive.add(seq, id, key, &message(id, text)).unwrap();
    }
    archive
}

fn use_fake(vault: &Vault, asks: impl Driver + 'static) {
    vault
        .use_archive("archive", Box::new(asks), Box::new(FakeDriver::default()))
        .unwrap();
}

fn settle(vault: &Vault) {
    vault.wait_normalized(vault.ledger().head()).unwrap();
}

fn search(vault: &Vault, query: &str) -> Vec<serde_json::Value> {
    settle(vault);
    let mut found = Vec::new();
    vault
        .search(query, "test", 1000, &mut |value| {
            found.push(value);
            Ok(())
        })
        .unwrap();
    found
}

#[test]
fn items_are_pulled_opened_and_found_and_a_restart_goes_on_after_them() {
    let (folder, hand) = (tempfile::tempdir().unwrap(), Hand::new());
    let key = CompanyKey::generate(3).unwrap();
    let vault = hand.create(folder.path());
    connect_with(&vault, "wecom-archive", &[key.secret().unwrap()]);
    use_fake(&vault, three(&key));
    assert_eq!(vault.pull_archive("archive").unwrap(), Pulled::Items(3));
    assert!(matches!(
        vault.pull_archive("archive").unwrap(),
        Pulled::NotBefore(_)
    ));
    assert_eq!(vault.archive_position("archive"), Some((20, None)));
    let found = search(&vault, "dose");
    assert_eq!(found.len(), 3);
    assert_eq!(search(&vault, "second")[0]["record"]["platform_id"], "m8");
    assert!(search(&vault, "is:problem").is_empty());
    drop(vault);

    let vault = hand.open(folder.path());
    let mut archive = three(&key);
    archive
        .add(21, "m21", &key, &message("m21", "dose four"))
        .unwrap();
    use_fake(&vault, archive);
    assert_eq!(vault.pull_archive("archive").unwrap(), Pulled::Items(1));
    hand.pass(1);
    assert_eq!(vault.pull_archive("archive").unwrap(), Pulled::Items(0));
    assert_eq!(search(&vault, "four").len(), 1);
}

#[test]
fn the_capture_is_the_encrypted_item_as_the_vendor_gave_it() {
    let (folder, hand) = (tempfile::tempdir().unwrap(), Hand::new());
    let key = CompanyKey::generate(3).unwrap();
    let vault = hand.create(folder.path());
    connect_with(&vault, "wecom-archive", &[key.secret().unwrap()]);
    let mut archive = three(&key);
    let answer = String::from_utf8(archive.fetch(0, 1).unwrap()).unwrap();
    use_fake(&vault, archive);
    let at = vault.ledger().head();
    vault.pull_archive("archive").unwrap();
    settle(&vault);
    let (mut reader, _) = vault.open_capture(at).unwrap();
    let mut item = String::new();
    std::io::Read::read_to_string(&mut reader, &mut item).unwrap();
    assert!(item.starts_with(r#"{"encrypt_chat_msg""#) && answer.contains(&item));
}

#[test]
fn items_whose_position_was_not_noted_are_pulled_again_and_shown_once() {
    let (folder, hand) = (tempfile::tempdir().unwrap(), Hand::new());
    let key = CompanyKey::generate(3).unwrap();
    let vault = hand.create(folder.path());
    connect_with(&vault, "wecom-archive", &[key.secret().unwrap()]);
    use_fake(&vault, three(&key));
    let noted = folder.path().join("archives.json");
    let before = std::fs::read(&noted).unwrap();
    vault.pull_archive("archive").unwrap();
    settle(&vault);
    drop(vault);
    std::fs::write(&noted, before).unwrap();

    let vault = hand.open(folder.path());
    use_fake(&vault, three(&key));
    assert_eq!(vault.pull_archive("archive").unwrap(), Pulled::Items(3));
    assert_eq!(search(&vault, "dose").len(), 3);
    assert_eq!(search(&vault, "is:repeat dose").len(), 6);
}

#[test]
fn an_item_of_a_missing_key_version_is_a_problem_until_the_key_is_there_and_a_rebuild_was_made() {
    let (folder, hand) = (tempfile::tempdir().unwrap(), Hand::new());
    let (old, new) = (CompanyKey::generate(3).unwrap(), CompanyKey::generate(4).unwrap());
    let vault = hand.create(folder.path());
    connect_with(&vault, "wecom-archive", &[old.secret().unwrap()]);
    let mut archive = three(&old);
    archive
        .add(30, "m30", &new, &message("m30", "the dose of May"))
        .unwrap();
    use_fake(&vault, archive);
    vault.pull_archive("archive").unwrap();
    assert_eq!(search(&vault, "dose").len(), 3);
    let problems = search(&vault, "is:problem");
    let why = problems
        .iter()
        .find(|found| found["record"]["code"] == "not-opened")
        .unwrap();
    assert_eq!(why["record"]["detail"], "the private key of version 4 is missing");

    connect_with(
        &vault,
        "wecom-archive",
        &[old.secret().unwrap(), new.secret().unwrap()],
    );
    vault.rebuild().unwrap();
    assert_eq!(search(&vault, "dose").len(), 4);
    assert!(search(&vault, "is:problem").is_empty());
}

#[test]
fn a_key_of_the_right_version_that_is_another_opens_nothing_and_stops_nothing() {
    let (folder, hand) = (tempfile::tempdir().unwrap(), Hand::new());
    let (theirs, ours) = (CompanyKey::generate(3).unwrap(), CompanyKey::generate(3).unwrap());
    let vault = hand.create(folder.path());
    connect_with(&vault, "wecom-archive", &[ours.secret().unwrap()]);
    use_fake(&vault, three(&theirs));
    assert_eq!(vault.pull_archive("archive").unwrap(), Pulled::Items(3));
    assert!(search(&vault, "dose").is_empty());
    // Three problems of the same words count as one and its repeats.
    let problems = search(&vault, "is:problem is:repeat");
    let not_opened = problems
        .iter()
        .filter(|found| found["record"]["code"] == "not-opened");
    assert_eq!(not_opened.count(), 3);
    assert_eq!(vault.trouble(), None);
}

#[test]
fn a_vendor_that_fails_moves_nothing_and_alarms_long_before_five_days() {
    let (folder, hand) = (tempfile::tempdir().unwrap(), Hand::new());
    let key = CompanyKey::generate(3).unwrap();
    let vault = hand.create(folder.path());
    connect_with(&vault, "wecom-archive", &[key.secret().unwrap()]);
    let mut archive = three(&key);
    archive.fail_next([DriverError::Code(10001), DriverError::Code(301_042)]);
    use_fake(&vault, archive);
    let head = vault.ledger().head();
    for code in [10001, 301_042] {
        assert_eq!(
            vault.pull_archive("archive").unwrap(),
            Pulled::Failed(DriverError::Code(code))
        );
        assert!(matches!(
            vault.pull_archive("archive").unwrap(),
            Pulled::NotBefore(_)
        ));
        hand.pass(7 * 3600);
    }
    assert_eq!(vault.ledger().head(), head);
    assert_eq!(vault.archive_position("archive"), Some((0, Some(Alarm::Late))));
    assert_eq!(vault.pull_archive("archive").unwrap(), Pulled::Items(3));
}

/// Answers the same to every question.
struct Says(&'static [u8]);

impl Driver for Says {
    fn fetch(&mut self, _seq: u64, _limit: u32) -> Result<Vec<u8>, DriverError> {
        Ok(self.0.to_vec())
    }

    fn decrypt(&mut self, _random_key: &[u8], _encrypted: &str) -> Result<Zeroizing<Vec<u8>>, DriverError> {
        Err(DriverError::Failed("not asked for"))
    }

    fn media(&mut self, _file_id: &str, _index: &str) -> Result<Slice, DriverError> {
        Err(DriverError::Failed("not asked for"))
    }
}

#[test]
fn an_answer_that_is_none_moves_nothing() {
    let (folder, hand) = (tempfile::tempdir().unwrap(), Hand::new());
    let key = CompanyKey::generate(3).unwrap();
    let vault = hand.create(folder.path());
    connect_with(&vault, "wecom-archive", &[key.secret().unwrap()]);
    let head = vault.ledger().head();
    let bad: [&[u8]; 6] = [
        b"",
        b"\xff\xfe",
        b"{\"errcode\":0,\"chatdata\":[{\"seq\":1}",
        b"{\"errcode\":0,\"chatdata\":[{\"msgid\":\"x\"}]}",
        b"{\"errcode\":40001,\"errmsg\":\"no\"}",
        b"{\"errcode\":0,\"chatdata\":7}",
    ];
    for answer in bad {
        use_fake(&vault, Says(answer));
        let pulled = vault.pull_archive("archive").unwrap();
        assert!(matches!(pulled, Pulled::Failed(_)), "{answer:?}: {pulled:?}");
        assert_eq!(vault.archive_position("archive").unwrap().0, 0);
    }
    assert_eq!(vault.ledger().head(), head);
}

#[test]
fn what_is_no_key_or_of_another_connector_is_refused_before_anything_is_pulled() {
    let (folder, hand) = (tempfile::tempdir().unwrap(), Hand::new());
    let vault = hand.create(folder.path());
    let fake = || Box::new(FakeDriver::default());
    let missing = vault.use_archive("archive", fake(), fake());
    assert!(matches!(missing, Err(VaultError::NotFound(_))));
    connect_with(
        &vault,
        "wecom-archive",
        &[Zeroizing::new(b"3:not a key".to_vec())],
    );
    let wrong = vault.use_archive("archive", fake(), fake()).unwrap_err();
    assert_eq!(
        wrong.to_string(),
        "connection archive: private key 3 is not an RSA key in PEM"
    );
    connect_with(&vault, "whatsapp-export", &[]);
    let other = vault.use_archive("archive", fake(), fake()).unwrap_err();
    assert!(matches!(other, VaultError::Usage(_)));
    assert!(matches!(
        vault.pull_archive("archive"),
        Err(VaultError::NotFound(_))
    ));
}

#[test]
fn the_intake_gets_no_secret_of_an_archive() {
    let (folder, hand) = (tempfile::tempdir().unwrap(), Hand::new());
    let key = CompanyKey::generate(3).unwrap();
    let vault = hand.create(folder.path());
    connect_with(&vault, "wecom-archive", &[key.secret().unwrap()]);
    let given = VaultHost::new(Arc::new(vault)).configuration();
    assert_eq!(given.connections.len(), 1);
    assert!(given.connections[0].secrets.0.is_empty());
}
