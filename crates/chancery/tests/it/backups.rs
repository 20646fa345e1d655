//! Backups: what they hold, what they never hold, and what becomes of copies of the key store.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Instant;

use model::entry::{Header, Kind};
use model::{KeyId, Position, Timestamp};
use serde_json::Value;
use server::vault::Vault;
use store::copy::key_copies;
use store::keystore::KeyStore;
use store::ledger::Draft;

use crate::hooks;
use crate::inputs::{CHAT, CHAT_NAME, WEBHOOK};
use crate::run::Place;
use crate::vaults::{self, UNLOCK};

const DAY: i64 = 24 * 60 * 60;

/// Every file below a folder, but for locks.
pub fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else if path.file_name().is_some_and(|name| name != "lock") {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// An archive with a chat in it, and a backup of it in `backup`.
pub fn backed_up() -> Place {
    let place = Place::with_archive();
    place.write(CHAT_NAME, CHAT);
    place.on(&["import", "whatsapp-export", CHAT_NAME]).done();
    place.on(&["backup", "add", "backup"]).done();
    place
}

#[test]
fn a_backup_follows_a_running_server_and_nothing_readable_lies_in_it() {
    let place = Place::with_archive();
    hooks::connect(&place, &[]);
    let serving = place.serve();
    let added = place.on(&["backup", "add", "backup", "--json"]).json();
    assert_eq!(added["backup"]["keep_keys_days"], 30);
    let status = hooks::deliver(serving.address, WEBHOOK.as_bytes()).unwrap();
    assert_eq!(status, 200);
    place.write(CHAT_NAME, CHAT);
    place.on(&["import", "whatsapp-export", CHAT_NAME]).done();
    let listed = || place.on(&["backup", "list", "--json"]).json()["backups"][0].clone();
    let begun = Instant::now();
    while listed()["state"] != "holds everything" {
        assert!(begun.elapsed().as_secs() < 60, "{}", listed());
    }
    assert_eq!(serving.stop(), Some(0));
    for canary in [
        "quokka",
        "Anna",
        "blue",
        "447700900123",
        "Ada",
        hooks::APP_SECRET,
        hooks::VERIFY_TOKEN,
    ] {
        assert!(!place.holds("backup", canary.as_bytes()), "{canary}");
        assert!(!place.holds("archive", canary.as_bytes()), "{canary}");
    }
    std::fs::remove_dir_all(place.path("archive")).unwrap();
    place
        .run(&["restore", "--from", "backup", "--data", "archive"])
        .done();
    assert_eq!(place.on(&["search", "quokka", "--json"]).json()["found"], 1);
    assert_eq!(place.on(&["search", "blue", "--json"]).json()["found"], 1);
    assert_eq!(
        place.on(&["connection", "list", "--json"]).json()["connections"][0]["id"],
        "ward-3"
    );
    assert_eq!(place.on(&["verify", "--json"]).json()["holds"], true);
}

#[test]
fn a_backup_belongs_neither_in_the_data_folder_nor_around_it_nor_over_something_else() {
    let place = backed_up();
    let add = |folder: &str| place.on(&["backup", "add", folder]);
    std::os::unix::fs::symlink(place.path("archive"), place.path("link")).unwrap();
    std::fs::create_dir(place.path("full")).unwrap();
    place.write("full/other.txt", "something of somebody else's");
    add("archive/backup").failed(64, "in the data folder or around it");
    add("archive").failed(64, "in the data folder or around it");
    add("link/backup").failed(64, "in the data folder or around it");
    add(".").failed(64, "in the data folder or around it");
    add("full").failed(65, "is not empty and is no backup of this zone");
    add("backup").failed(73, "is a backup already");
    place
        .on(&["backup", "remove", "elsewhere"])
        .failed(65, "there is no backup in");
    for days in ["0", "31"] {
        let ran = place.on(&["backup", "add", "second", "--keep-keys-days", days]);
        ran.failed(64, "1 to 30 days");
    }
    place.run(&["init", "--zone", "eu", "--data", "other"]).done();
    place
        .run(&["backup", "add", "backup", "--data", "other"])
        .failed(65, "is no backup of this zone");
    place
        .run(&["backup", "now", "--data", "other"])
        .failed(65, "no backup yet");
    assert!(!place.path("archive/backup").exists() && !place.path("second").exists());
}

#[test]
fn a_backup_that_is_not_there_is_said_and_hurts_nothing_else() {
    let place = backed_up();
    std::fs::rename(place.path("backup"), place.path("unmounted")).unwrap();
    place.on(&["backup", "now"]).failed(65, "is the disk mounted?");
    assert!(!place.path("backup").exists(), "nothing is made where a disk was");
    let doctor = place.on(&["doctor", "--json"]);
    let check = |doctor: &Value| {
        let checks = doctor["checks"].as_array().unwrap().clone();
        let about = |check: &Value| check["check"].as_str().unwrap().starts_with("the backup in");
        checks.into_iter().find(about).unwrap()
    };
    assert_eq!((doctor.code, &check(&doctor.json())["ok"]), (1, &false.into()));
    assert_eq!(place.on(&["search", "quokka", "--json"]).json()["found"], 1);
    std::fs::rename(place.path("unmounted"), place.path("backup")).unwrap();
    place.on(&["backup", "now"]).done();
    assert_eq!(check(&place.on(&["doctor", "--json"]).json())["ok"], true);
    assert_eq!(place.on(&["search", "quokka", "--json"]).json()["found"], 1);
}

/// A vault whose clock a test turns.
fn with_clock(data: &Path, seconds: &Arc<AtomicI64>) -> Vault {
    vaults::open(data, &|| {
        let mut options = vaults::options();
        let clock = seconds.clone();
        options.clock = Arc::new(move || Timestamp::from_seconds(clock.load(Ordering::SeqCst)));
        options
    })
}

/// Ids of the secrets under which parts and wraps are sealed.
pub fn secrets_of_content(vault: &Vault) -> Vec<KeyId> {
    let mut ids = BTreeSet::new();
    let mut scanner = vault.ledger().scan(Position(0));
    while let Some(group) = scanner.next_group().unwrap() {
        for (_, raw) in group.entries().unwrap() {
            match Header::decode(raw.header).unwrap().kind {
                Kind::Part(part) => ids.extend(part.keys),
                Kind::Wrap(wrap) => ids.extend(wrap.keys),
                _ => {}
            }
        }
    }
    ids.into_iter().collect()
}

/// The entry that says that these secrets are destroyed.
pub fn append_destruction(vault: &Vault, keys: Vec<KeyId>) -> Position {
    let kind = Kind::Destruction(seal::act::destruction_by_rule(1, keys));
    vault
        .ledger()
        .append(vec![Draft {
            kind,
            body: Vec::new(),
        }])
        .unwrap()
}

#[test]
fn copies_of_the_key_store_expire_and_those_of_before_a_destruction_are_known() {
    let folder = tempfile::tempdir().unwrap();
    let (data, backup) = (folder.path().join("data"), folder.path().join("backup"));
    drop(vaults::fresh(&data));
    let seconds = Arc::new(AtomicI64::new(1_764_000_000));
    let vault = with_clock(&data, &seconds);
    vault.add_backup(&backup, 7, "test").unwrap();
    let copies = || key_copies(&backup).unwrap();
    for day in 0..30 {
        seconds.fetch_add(DAY, Ordering::SeqCst);
        vault.follow_backups();
        let all = copies();
        let now = vault.now();
        assert!(all.iter().all(|copy| copy.expires_at > now), "day {day}: {all:?}");
        assert!((1..=8).contains(&all.len()), "day {day}: {}", all.len());
    }
    assert_eq!(copies().len(), 7);
    vaults::import(&vault, CHAT_NAME, CHAT.as_bytes());
    vault.wait_normalized(vault.ledger().head()).unwrap();
    vault.follow_backups();
    let before = copies();
    let ids = secrets_of_content(&vault);
    let destroyed = append_destruction(&vault, ids.clone());
    drop(vault);
    let mut keys = KeyStore::open(&data.join("keys/keystore"), &UNLOCK, None).unwrap();
    keys.destroy(&ids, destroyed).unwrap();
    drop(keys);
    let vault = with_clock(&data, &seconds);
    vault.follow_backups();
    let after = copies();
    assert_eq!(
        after.len(),
        before.len() + 1,
        "a destruction begins a new copy at once"
    );
    let known = vault.copies_known();
    assert_eq!(known.len(), after.len());
    let (holding, clean): (Vec<_>, Vec<_>) = after.iter().partition(|copy| copy.may_hold(destroyed));
    assert_eq!((holding.len(), clean.len()), (before.len(), 1));
    for (copies, lives) in [(&holding[holding.len() - 1..], true), (&clean[..], false)] {
        let bytes = std::fs::read(&copies[0].path).unwrap();
        let ring = seal::keyring::Keyring::open(&bytes, &UNLOCK).unwrap().ring;
        assert_eq!(ring.secret(ids[0]).is_some(), lives);
    }
    seconds.fetch_add(7 * DAY, Ordering::SeqCst);
    vault.follow_backups();
    assert!(
        copies().iter().all(|copy| !copy.may_hold(destroyed)),
        "a week later none holds it"
    );
    // A server that did not run for months: the newest stays until there is another.
    drop(vault);
    seconds.fetch_add(100 * DAY, Ordering::SeqCst);
    let left = copies();
    let vault = with_clock(&data, &seconds);
    vault.follow_backups();
    assert_eq!(copies().len(), 1);
    assert!(!left.contains(&copies()[0]));
    vault.remove_backup(&backup, "test").unwrap();
    assert_eq!(vault.copies_known().len(), 1);
    seconds.fetch_add(8 * DAY, Ordering::SeqCst);
    vault.follow_backups();
    assert!(copies().is_empty() && vault.copies_known().is_empty());
}

#[test]
fn what_was_cut_short_is_never_read_and_the_next_round_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (data, backup) = (folder.path().join("data"), folder.path().join("backup"));
    let vault = vaults::fresh(&data);
    vault.add_backup(&backup, 30, "test").unwrap();
    let open = files_below(&backup.join("ledger/segments")).pop().unwrap();
    let whole = std::fs::read(&open).unwrap();
    for cut in (1..whole.len()).step_by(whole.len() / 40) {
        std::fs::write(&open, &whole[..cut]).unwrap();
        let said = vault.backup_now("test").unwrap_err().to_string();
        assert!(said.contains("although its checkpoint covers"), "{cut}: {said}");
        std::fs::write(&open, &whole).unwrap();
    }
    // Behind what the newest checkpoint covers anything may be left of a round that was cut short.
    for more in [&b"CHGR and then nothing"[..], &[0; 100], &whole[200..260]] {
        let open = files_below(&backup.join("ledger/segments")).pop().unwrap();
        let mut longer = std::fs::read(&open).unwrap();
        longer.extend_from_slice(more);
        std::fs::write(&open, &longer).unwrap();
        std::fs::write(open.with_extension("seg.part"), b"half a segment").unwrap();
        std::fs::write(backup.join("zone-keys/x.keystore.part"), b"half a key store").unwrap();
        drop(vault.remove_backup(&backup, "test").unwrap());
        vault.add_backup(&backup, 30, "test").unwrap();
        let scrubbed = vault.scrub(false, "test").unwrap();
        assert!(scrubbed.holds, "{scrubbed:?}");
    }
    assert!(
        !files_below(&backup.join("ledger/aside")).is_empty(),
        "what was cut off is kept"
    );
}

#[test]
fn a_ledger_that_was_put_back_does_not_write_over_a_backup_that_knows_more() {
    let folder = tempfile::tempdir().unwrap();
    let (data, backup) = (folder.path().join("data"), folder.path().join("backup"));
    let vault = vaults::fresh(&data);
    vault.add_backup(&backup, 30, "test").unwrap();
    drop(vault);
    let older = folder.path().join("older");
    for path in files_below(&data) {
        let target = older.join(path.strip_prefix(&data).unwrap());
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(&path, target).unwrap();
    }
    let vault = vaults::open(&data, &vaults::options);
    vaults::import(&vault, CHAT_NAME, CHAT.as_bytes());
    vault.backup_now("test").unwrap();
    drop(vault);
    let before: Vec<_> = files_below(&backup)
        .iter()
        .map(|path| std::fs::read(path).unwrap())
        .collect();
    let vault = vaults::open(&older, &vaults::options);
    let error = vault.backup_now("test").unwrap_err().to_string();
    assert!(error.contains("reaches further than this ledger"), "{error}");
    // It goes on on its own, until it is as long: then it is another history.
    for n in 0..40 {
        vaults::import(
            &vault,
            &format!("{n}{CHAT_NAME}"),
            CHAT.replace("quokka", &format!("gnu{n}")).as_bytes(),
        );
    }
    let error = vault.backup_now("test").unwrap_err().to_string();
    assert!(
        error.contains("another history") || error.contains("reaches further"),
        "{error}"
    );
    let ledger_of = |folder: &Path| files_below(&folder.join("ledger"));
    let after: Vec<_> = ledger_of(&backup)
        .iter()
        .map(|path| std::fs::read(path).unwrap())
        .collect();
    assert!(
        before.iter().filter(|bytes| after.contains(bytes)).count() >= after.len(),
        "nothing was written over"
    );
}
