//! Items are pulled once, sealed as they came, and opened in the vault.

use std::sync::Arc;

use connect::wecom_archive::driver::{Driver, DriverError, Slice};
use connect::wecom_archive::fake::{CompanyKey, FakeDriver};
use connect::wecom_archive::pull::Alarm;
use server::host::Host;
use server::vault::archive::Pulled;
use server::vault::host::VaultHost;
use server::vault::{Vault, VaultError};
use zeroize::Zeroizing;

use crate::instance::*;

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
fn an_item_of_a_missing_key_version_is_a_problem_until_the_key_is_added_and_then_it_is_read_by_itself() {
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
        .find(|found| found["record"]["code"] == "private-key-missing")
        .unwrap();
    assert_eq!(why["record"]["detail"], "the private key of version 4 is missing");

    connect_with(
        &vault,
        "wecom-archive",
        &[old.secret().unwrap(), new.secret().unwrap()],
    );
    wait_until(&vault, "May", 1);
    assert_eq!(search(&vault, "dose").len(), 4);
    assert!(search(&vault, "is:problem").is_empty());
    vault.rebuild().unwrap();
    assert_eq!(search(&vault, "dose").len(), 4);
}

#[test]
fn of_many_items_opened_side_by_side_each_is_opened_by_its_own_key_and_stands_in_its_place() {
    const ITEMS: u64 = 700;
    let (folder, hand) = (tempfile::tempdir().unwrap(), Hand::new());
    let keys = [3, 4, 5].map(|version| CompanyKey::generate(version).unwrap());
    // Of the third only the wrong half is known at first.
    let wrong = CompanyKey::generate(5).unwrap();
    let secrets = |third: &CompanyKey| [&keys[0], &keys[1], third].map(|key| key.secret().unwrap());
    let vault = hand.create(folder.path());
    connect_with(&vault, "wecom-archive", &secrets(&wrong));
    let mut archive = FakeDriver::default();
    for seq in 1..=ITEMS {
        let (id, text) = (format!("m{seq}"), format!("dose {seq} of many"));
        let key = &keys[(seq % 7 % 3) as usize];
        archive.add(seq, &id, key, &message(&id, &text)).unwrap();
    }
    use_fake(&vault, archive);
    assert_eq!(
        vault.pull_archive("archive").unwrap(),
        Pulled::Items(usize::try_from(ITEMS).unwrap())
    );
    let opened = |opens: &dyn Fn(u64) -> bool| {
        let of_third = |seq: u64| seq % 7 % 3 == 2;
        let mut found: Vec<(u64, String, String)> = search(&vault, "many")
            .iter()
            .map(|found| {
                let (capture, _) = found["id"].as_str().unwrap().split_once('.').unwrap();
                let text = |name: &str| found["record"][name].as_str().unwrap().to_owned();
                (capture.parse().unwrap(), text("platform_id"), text("text"))
            })
            .collect();
        found.sort_unstable();
        let said: Vec<(String, String)> = found.into_iter().map(|(_, id, text)| (id, text)).collect();
        let expected = (1..=ITEMS).filter(|seq| opens(*seq) || !of_third(*seq));
        let expected: Vec<_> = expected
            .map(|seq| (format!("m{seq}"), format!("dose {seq} of many")))
            .collect();
        assert_eq!(said, expected);
    };
    opened(&|_| false);
    let closed = || vault.status().unwrap()["connections"][0]["archive"]["closed"].clone();
    assert_eq!(
        closed(),
        serde_json::json!({ "private-key-wrong": ITEMS * 2 / 7 })
    );
    // The right half comes: they are opened side by side again.
    connect_with(&vault, "wecom-archive", &secrets(&keys[2]));
    while closed() != serde_json::json!({}) {
        std::thread::yield_now();
    }
    opened(&|_| true);
    vault.rebuild().unwrap();
    opened(&|_| true);
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
        .filter(|found| found["record"]["code"] == "private-key-wrong");
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
fn what_is_of_another_connector_or_not_there_is_not_pulled() {
    let (folder, hand) = (tempfile::tempdir().unwrap(), Hand::new());
    let vault = hand.create(folder.path());
    let fake = || Box::new(FakeDriver::default());
    let missing = vault.use_archive("archive", fake(), fake());
    assert!(matches!(missing, Err(VaultError::NotFound(_))));
    connect_with(&vault, "whatsapp-export", &[]);
    let other = vault.use_archive("archive", fake(), fake()).unwrap_err();
    assert!(matches!(other, VaultError::Usage(_)));
    assert!(matches!(
        vault.pull_archive("archive"),
        Err(VaultError::NotFound(_))
    ));
    assert!(vault.archives().is_empty());
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

/// Fails, and while it does the connection is added anew.
struct ReplacedMeanwhile(Arc<Vault>, CompanyKey);

impl Driver for ReplacedMeanwhile {
    fn fetch(&mut self, _seq: u64, _limit: u32) -> Result<Vec<u8>, DriverError> {
        use_fake(&self.0, three(&self.1));
        Err(DriverError::Code(10004))
    }

    fn decrypt(&mut self, _random_key: &[u8], _encrypted: &str) -> Result<Zeroizing<Vec<u8>>, DriverError> {
        Err(DriverError::Failed("not asked for"))
    }

    fn media(&mut self, _file_id: &str, _index: &str) -> Result<Slice, DriverError> {
        Err(DriverError::Failed("not asked for"))
    }
}

#[test]
fn what_fails_while_the_connection_is_replaced_does_not_make_the_new_one_wait() {
    let (folder, hand) = (tempfile::tempdir().unwrap(), Hand::new());
    let key = CompanyKey::generate(3).unwrap();
    let vault = Arc::new(hand.create(folder.path()));
    connect_with(&vault, "wecom-archive", &[key.secret().unwrap()]);
    use_fake(&vault, ReplacedMeanwhile(vault.clone(), key));
    let failed = vault.pull_archive("archive").unwrap();
    assert_eq!(failed, Pulled::Failed(DriverError::Code(10004)));
    assert_eq!(vault.pull_archive("archive").unwrap(), Pulled::Items(3));
}
