//! Restoring: what comes back, what is refused, what is said to be lost.

use std::path::Path;

use model::Position;
use model::entry::Kind;
use seal::keyring::{Keyring, Unlock};
use serde_json::Value;
use server::vault::VaultError;
use server::vault::restore::{RestoreOptions, RestoredFolder, restore};
use server::vault::state::verify_store;
use tempfile::TempDir;

use crate::backups::{append_destruction, backed_up, files_below, secrets_of_content};
use crate::inputs::{CHAT, CHAT_NAME, LONGER};
use crate::run::Place;
use crate::vaults::{self, UNLOCK};

fn restore_with<'a>(
    from: &'a Path,
    data: &'a Path,
    change: impl FnOnce(&mut RestoreOptions<'a>),
) -> Result<RestoredFolder, VaultError> {
    let mut options = RestoreOptions {
        from,
        data,
        unlock: &UNLOCK,
        keys: None,
        repair_from: None,
        against: None,
        accept_loss: false,
        key_copy: None,
        is_drill: false,
        actor: "test",
    };
    change(&mut options);
    restore(&options, vaults::options())
}

/// A vault with several segments, closed, and its backup, in a folder.
fn small_backup() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let vault = vaults::fresh(&folder.path().join("data"));
    vaults::import(&vault, CHAT_NAME, CHAT.as_bytes());
    for n in 0..8 {
        vaults::deliver(
            &vault,
            crate::inputs::WEBHOOK
                .replace("TEST0001", &format!("T{n}"))
                .as_bytes(),
        );
        vault.ledger().flush().unwrap();
    }
    vault.wait_normalized(vault.ledger().head()).unwrap();
    vault
        .add_backup(&folder.path().join("backup"), 30, "test")
        .unwrap();
    vault.backup_now("test").unwrap();
    drop(vault);
    folder
}

fn answers(data: &Path) -> Vec<String> {
    let vault = vaults::open(data, &vaults::options);
    let found = vaults::search(&vault, "is:any");
    found
        .iter()
        .map(|found| format!("{}{}", found["id"], found["record"]))
        .collect()
}

fn gaps_of_restores(data: &Path) -> Vec<u64> {
    let vault = vaults::open(data, &vaults::options);
    let mut scanner = vault.ledger().scan(Position(0));
    let mut counts = Vec::new();
    while let Some(group) = scanner.next_group().unwrap() {
        for (_, raw) in group.entries().unwrap() {
            if let Kind::Gap(gap) = model::entry::Header::decode(raw.header).unwrap().kind
                && gap.cause.name() == "restored"
            {
                counts.push(gap.count);
            }
        }
    }
    counts
}

#[test]
fn what_comes_back_is_what_was_there_to_the_last_record() {
    let folder = small_backup();
    let (data, backup, new) = (
        folder.path().join("data"),
        folder.path().join("backup"),
        folder.path().join("new"),
    );
    let done = restore_with(&backup, &new, |_| {}).unwrap();
    assert!(done.segments >= 3, "{done:?}");
    assert_eq!(answers(&new), answers(&data));
    assert_eq!(verify_store(&new, Some(&UNLOCK), None).unwrap().findings, []);
    // What stood in the log before stands in it still.
    let older = files_below(&backup.join("ledger/log/checkpoints")).pop().unwrap();
    let older = std::fs::read_to_string(older).unwrap();
    assert_eq!(verify_store(&new, None, Some(&older)).unwrap().findings, []);
    // Backups are not configured any more, and the second copy is where it was said.
    let vault = vaults::open(&new, &vaults::options);
    assert!(vault.copies_known().is_empty());
    assert_eq!(done.backups_forgotten, 1);
    drop(vault);
    // A restored folder has a backup of its own; and the same once more gives the same.
    let again = folder.path().join("again");
    restore_with(&backup, &again, |options| {
        options.key_copy = Some(folder.path().join("second"))
    })
    .unwrap();
    let (keys, copy) = (again.join("keys/keystore"), folder.path().join("second"));
    assert_eq!(std::fs::read(keys).unwrap(), std::fs::read(copy).unwrap());
    assert_eq!(answers(&again), answers(&data));
}

#[test]
fn a_restore_goes_into_a_new_folder_and_leaves_none_when_it_fails() {
    let folder = small_backup();
    let (backup, new) = (folder.path().join("backup"), folder.path().join("new"));
    let occupied = restore_with(&backup, &folder.path().join("data"), |_| {}).unwrap_err();
    assert!(occupied.to_string().contains("is not empty"), "{occupied}");
    let wrong = Unlock::Passphrase(b"another passphrase");
    let refused = restore_with(&backup, &new, |options| options.unlock = &wrong).unwrap_err();
    assert!(refused.to_string().contains("wrong passphrase"), "{refused}");
    assert!(
        std::fs::read_dir(&new).unwrap().next().is_none(),
        "nothing is left of it"
    );
    let nothing = restore_with(&folder.path().join("absent"), &new, |_| {}).unwrap_err();
    assert!(
        nothing.to_string().contains("there is no data folder"),
        "{nothing}"
    );
    // One that was killed half way is begun anew; what is not such a one is not touched.
    std::fs::write(new.join("restoring"), b"").unwrap();
    std::fs::create_dir_all(new.join("ledger/segments")).unwrap();
    std::fs::write(new.join("ledger/segments/000000000000.seg"), b"half").unwrap();
    restore_with(&backup, &new, |_| {}).unwrap();
    assert!(!new.join("restoring").exists());
    std::fs::write(new.join("restoring"), b"").unwrap();
    assert!(restore_with(&backup, &new, |_| {}).is_err());
    assert_eq!(answers(&new), answers(&folder.path().join("data")));
}

#[test]
fn another_zones_keys_and_keys_newer_than_the_ledger_are_refused() {
    let folder = small_backup();
    let (data, backup, new) = (
        folder.path().join("data"),
        folder.path().join("backup"),
        folder.path().join("new"),
    );
    let other = folder.path().join("other");
    drop(vaults::fresh(&other));
    let keys = other.join("keys/keystore");
    let refused = restore_with(&backup, &new, |options| options.keys = Some(&keys)).unwrap_err();
    assert!(refused.to_string().contains("another zone"), "{refused}");
    // The ledger goes on after the copy, and so does the key store.
    let vault = vaults::open(&data, &vaults::options);
    vault.remove_backup(&backup, "test").unwrap();
    let before = vault.ledger().head();
    let other_people = LONGER.replace("Anna Berg", "Zoe Klein").replace("Tom", "Uwe");
    vaults::import(
        &vault,
        "WhatsApp Chat with Zoe Klein.txt",
        other_people.as_bytes(),
    );
    vault.wait_normalized(vault.ledger().head()).unwrap();
    drop(vault);
    let keys = data.join("keys/keystore");
    let refused = restore_with(&backup, &new, |options| options.keys = Some(&keys)).unwrap_err();
    assert!(
        refused
            .to_string()
            .contains("the key store is newer than the ledger"),
        "{refused}"
    );
    let accepted = restore_with(&backup, &new, |options| {
        options.keys = Some(&keys);
        options.accept_loss = true;
    });
    let lost = accepted.unwrap().lost.entries_at_least;
    assert!(lost > 0 && lost >= before.0.saturating_sub(lost).min(1), "{lost}");
    assert_eq!(gaps_of_restores(&new), [lost]);
    assert!(answers(&new).iter().any(|answer| answer.contains("quokka")));
    assert!(answers(&new).iter().all(|answer| !answer.contains("Zoe")));
}

#[test]
fn a_later_checkpoint_says_what_is_lost_and_one_of_another_history_is_refused() {
    let folder = small_backup();
    let (data, backup, new) = (
        folder.path().join("data"),
        folder.path().join("backup"),
        folder.path().join("new"),
    );
    let vault = vaults::open(&data, &vaults::options);
    vault.remove_backup(&backup, "test").unwrap();
    let mut batches = 0;
    for n in 0..3 {
        vaults::deliver(
            &vault,
            crate::inputs::WEBHOOK
                .replace("TEST0001", &format!("L{n}"))
                .as_bytes(),
        );
        batches = vault.hand_out_checkpoint("test").unwrap().size;
    }
    let later = vault.hand_out_checkpoint("test").unwrap();
    drop(vault);
    let done = restore_with(&backup, &new, |options| options.against = Some(&later.note)).unwrap();
    assert!(
        done.lost.batches >= 3 && done.batches + done.lost.batches == later.size,
        "{done:?} {batches}"
    );
    assert_eq!(gaps_of_restores(&new), [done.lost.entries_at_least]);
    let cut = verify_store(&new, None, Some(&later.note)).unwrap();
    assert!(
        !cut.findings.is_empty(),
        "the checkpoint that is lost does not hold, and nobody says it does"
    );
    // A checkpoint that the copy reaches: nothing is known to be lost, and no gap is claimed.
    let newest = files_below(&backup.join("ledger/log/checkpoints")).pop().unwrap();
    let note = std::fs::read_to_string(newest).unwrap();
    let same = folder.path().join("same");
    let done = restore_with(&backup, &same, |options| options.against = Some(&note)).unwrap();
    assert_eq!((done.lost.entries_at_least, gaps_of_restores(&same)), (0, vec![]));
    // The same zone key, another history: the restored folder went its own way.
    let vault = vaults::open(&same, &vaults::options);
    let mut forked = vault.hand_out_checkpoint("test").unwrap();
    while forked.size < later.size + 5 {
        forked = vault.hand_out_checkpoint("test").unwrap();
    }
    let second = folder.path().join("second");
    vault.add_backup(&second, 30, "test").unwrap();
    drop(vault);
    let to = folder.path().join("to");
    let refused = restore_with(&second, &to, |options| options.against = Some(&later.note)).unwrap_err();
    assert!(refused.to_string().contains("another history"), "{refused}");
    let altered = later
        .note
        .replace(&format!("\n{}\n", later.size), &format!("\n{}\n", later.size + 1));
    let refused = restore_with(&backup, &to, |options| options.against = Some(&altered)).unwrap_err();
    assert!(refused.to_string().contains("outside checkpoint"), "{refused}");
}

#[test]
fn every_damaged_file_of_a_copy_is_named_and_mended_from_another() {
    let folder = small_backup();
    let (data, backup, new) = (
        folder.path().join("data"),
        folder.path().join("backup"),
        folder.path().join("new"),
    );
    let expected = answers(&data);
    let mut refused = 0;
    for path in files_below(&backup) {
        let name = path.strip_prefix(&backup).unwrap().to_str().unwrap().to_owned();
        let bytes = std::fs::read(&path).unwrap();
        for at in [0, bytes.len() / 3, bytes.len() / 2, bytes.len() - 1] {
            let mut altered = bytes.clone();
            altered[at] ^= 0x01;
            std::fs::write(&path, &altered).unwrap();
            match restore_with(&backup, &new, |_| {}) {
                Ok(_) => assert_eq!(answers(&new), expected, "{name} at {at}"),
                Err(error) => {
                    refused += 1;
                    let source = std::error::Error::source(&error).map(ToString::to_string);
                    let said = format!("{error} {}", source.unwrap_or_default());
                    let about = ["copy", "key store", "keystore", "zone", "entr"];
                    assert!(
                        about.iter().any(|word| said.contains(word)),
                        "{name} at {at}: {said}"
                    );
                    // What is left of the data folder helps, but where the file says who the copy is of.
                    if !name.starts_with("zone.") {
                        let repaired =
                            restore_with(&backup, &new, |options| options.repair_from = Some(&data));
                        repaired.unwrap_or_else(|error| panic!("{name} at {at}: {error}"));
                        assert_eq!(answers(&new), expected, "{name} at {at}");
                    }
                }
            }
            if new.exists() {
                std::fs::remove_dir_all(&new).unwrap();
            }
        }
        std::fs::write(&path, &bytes).unwrap();
        if name.starts_with("ledger/segments") {
            std::fs::rename(&path, folder.path().join("away")).unwrap();
            let error = restore_with(&backup, &new, |_| {}).unwrap_err().to_string();
            assert!(error.contains("missing"), "{name}: {error}");
            restore_with(&backup, &new, |options| options.repair_from = Some(&data)).unwrap();
            std::fs::remove_dir_all(&new).unwrap();
            std::fs::rename(folder.path().join("away"), &path).unwrap();
        }
    }
    assert!(refused > 30, "{refused}");
}

#[test]
fn a_copy_that_was_taken_further_while_it_grew_is_restored_to_its_newest_checkpoint_that_is_whole() {
    let folder = small_backup();
    let (backup, new) = (folder.path().join("backup"), folder.path().join("new"));
    let open = files_below(&backup.join("ledger/segments")).pop().unwrap();
    assert!(open.to_str().unwrap().ends_with(".open"));
    let bytes = std::fs::read(&open).unwrap();
    std::fs::write(&open, &bytes[..bytes.len() - 10]).unwrap();
    let refused = restore_with(&backup, &new, |_| {}).unwrap_err().to_string();
    assert!(
        refused.contains("although its checkpoint covers them"),
        "{refused}"
    );
    let done = restore_with(&backup, &new, |options| options.accept_loss = true).unwrap();
    assert!(done.lost.entries_at_least > 0, "{done:?}");
    assert_eq!(gaps_of_restores(&new), [done.lost.entries_at_least]);
    assert_eq!(verify_store(&new, Some(&UNLOCK), None).unwrap().findings, []);
    // Longer than its checkpoint: what is whole of it comes back too.
    std::fs::write(&open, &bytes).unwrap();
    std::fs::remove_dir_all(&new).unwrap();
    std::fs::remove_file(files_below(&backup.join("ledger/log/checkpoints")).pop().unwrap()).unwrap();
    let done = restore_with(&backup, &new, |_| {}).unwrap();
    assert_eq!(done.lost.entries_at_least, 0);
    assert_eq!(answers(&new), answers(&folder.path().join("data")));
}

#[test]
fn what_was_destroyed_after_a_copy_of_the_keys_is_destroyed_again_before_anything_opens() {
    let folder = small_backup();
    let (data, backup, new) = (
        folder.path().join("data"),
        folder.path().join("backup"),
        folder.path().join("new"),
    );
    let old_keys = files_below(&backup.join("zone-keys")).remove(0);
    let old_keys = std::fs::read(old_keys).unwrap();
    let vault = vaults::open(&data, &vaults::options);
    let ids = secrets_of_content(&vault);
    append_destruction(&vault, ids.clone());
    vault.backup_now("test").unwrap();
    drop(vault);
    // The keys as they were before the deed, beside a ledger that says it was done.
    let keys = folder.path().join("old-keys");
    std::fs::write(&keys, old_keys).unwrap();
    let living = |path: &Path| {
        let ring = Keyring::open(&std::fs::read(path).unwrap(), &UNLOCK)
            .unwrap()
            .ring;
        ids.iter().filter(|id| ring.secret(**id).is_some()).count()
    };
    assert_eq!(living(&keys), ids.len());
    let done = restore_with(&backup, &new, |options| options.keys = Some(&keys)).unwrap();
    assert_eq!(done.destroyed_again, ids.len() as u64);
    assert_eq!(living(&new.join("keys/keystore")), 0);
    assert_eq!(verify_store(&new, Some(&UNLOCK), None).unwrap().findings, []);
}

#[test]
fn a_restore_says_how_long_it_took_and_what_is_lost_and_a_drill_compares() {
    let place = backed_up();
    let drill = place.on(&["restore", "--drill", "--json"]);
    let said = drill.json();
    assert_eq!(
        (drill.code, &said["holds"], &said["compared"]["root_is_the_same"]),
        (0, &true.into(), &true.into())
    );
    assert_eq!(said["compared"]["records_the_same"], 4);
    assert_eq!(said["compared"]["records_opened"], 4);
    std::fs::create_dir(place.path("scratch")).unwrap();
    place.on(&["restore", "--drill", "--scratch", "scratch"]).done();
    assert!(
        files_below(&place.path("scratch")).is_empty(),
        "nothing is left of it"
    );
    // What came after the copy would be lost, and that is said to the entry.
    place.write(CHAT_NAME, LONGER);
    place.on(&["import", "whatsapp-export", CHAT_NAME]).done();
    let later = place.on(&["restore", "--drill", "--json"]).json();
    assert!(later["would_be_lost"]["entries"].as_u64() > said["would_be_lost"]["entries"].as_u64());
    let doctor: Value = place.on(&["doctor", "--json"]).json();
    let tried = |doctor: &Value| {
        let checks = doctor["checks"].as_array().unwrap();
        checks
            .iter()
            .find(|check| check["check"] == "a restore was tried")
            .unwrap()
            .clone()
    };
    assert!(
        tried(&doctor)["detail"].as_str().unwrap().contains("and it held"),
        "{doctor}"
    );
    // While a server has it, and from a copy that is damaged.
    let serving = place.serve();
    place.on(&["restore", "--drill"]).done();
    assert_eq!(serving.stop(), Some(0));
    let segment = files_below(&place.path("backup/ledger/segments")).remove(0);
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[300] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    place.on(&["restore", "--drill"]).failed(65, "");
    place
        .run(&["restore", "--from", "backup", "--data", "archive"])
        .failed(73, "is not empty");
    assert_eq!(place.bare(&["restore", "--data", "x"]).code, 64);
}

#[test]
fn the_second_copy_is_kept_elsewhere_from_now_on_and_the_passphrase_is_changed() {
    let place = Place::with_archive();
    place
        .on(&["keys", "copy", "--out", "archive/copy"])
        .failed(64, "in the data folder");
    place
        .on(&["keys", "copy", "--out", "absent/copy"])
        .failed(64, "make it first");
    place.on(&["keys", "copy", "--out", "first"]).done();
    place
        .on(&["keys", "copy", "--out", "first"])
        .failed(73, "is there already");
    let same = |copy: &str| {
        std::fs::read(place.path(copy)).unwrap()
            == std::fs::read(place.path("archive/keys/keystore")).unwrap()
    };
    assert!(same("first"));
    place.on(&["keys", "copy", "--out", "second"]).done();
    assert!(same("second") && !place.path("first").exists());
    assert_eq!(place.on(&["keys", "list", "--json"]).json()["second_copy"], true);
    place.write(CHAT_NAME, CHAT);
    place.on(&["import", "whatsapp-export", CHAT_NAME]).done();
    assert!(same("second"), "it follows");
    place.on(&["backup", "add", "backup"]).done();
    place.secret("new.txt", "quite another passphrase\n");
    place.secret("short.txt", "short\n");
    let change = |file: &str| place.on(&["keys", "passphrase", "--new-passphrase-file", file]);
    change("short.txt").failed(64, "fewer than 8 characters");
    place
        .on(&["keys", "passphrase"])
        .failed(64, "--new-passphrase-file");
    let said = change("new.txt").done();
    assert!(said.contains("is still opened by the old one"), "{said}");
    assert!(same("second"));
    place.on(&["search", "quokka"]).failed(77, "wrong passphrase");
    place.secret("pass.txt", "quite another passphrase\n");
    assert_eq!(place.on(&["search", "quokka", "--json"]).json()["found"], 1);
    assert_eq!(place.on(&["verify", "--json"]).json()["holds"], true);
    // The backup follows, and opens with the new one.
    place.on(&["backup", "now"]).done();
    place
        .run(&["restore", "--from", "backup", "--data", "restored"])
        .done();
    // Whoever does not know the old one changes nothing, though a server would answer.
    let serving = place.serve();
    place.secret("pass.txt", "a guess of somebody\n");
    change("new.txt").failed(77, "wrong passphrase");
    assert_eq!(serving.stop(), Some(0));
    place.secret("pass.txt", "quite another passphrase\n");
    place.on(&["keys", "passphrase", "--new-key-file", "key"]).done();
    let search = [
        "search",
        "quokka",
        "--data",
        "archive",
        "--key-file",
        "key",
        "--json",
    ];
    assert_eq!(place.bare(&search).json()["found"], 1);
}

#[test]
fn a_backup_that_grows_while_it_is_restored_gives_one_moment_of_it_with_the_keys_of_that_moment() {
    let folder = small_backup();
    let (data, backup, new) = (
        folder.path().join("data"),
        folder.path().join("backup"),
        folder.path().join("new"),
    );
    let vault = vaults::open(&data, &vaults::options);
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // Other people each time, so that every round brings new secrets.
            for n in 0.. {
                if stop.load(std::sync::atomic::Ordering::SeqCst) {
                    break;
                }
                let chat = LONGER.replace("Anna Berg", &format!("Zoe {n}"));
                vaults::import(
                    &vault,
                    &format!("WhatsApp Chat with Zoe {n}.txt"),
                    chat.as_bytes(),
                );
                vault.backup_now("test").unwrap();
            }
        });
        let mut heads = std::collections::BTreeSet::new();
        for _ in 0..8 {
            let done = restore_with(&backup, &new, |_| {}).unwrap();
            heads.insert(done.entries);
            assert_eq!(verify_store(&new, Some(&UNLOCK), None).unwrap().findings, []);
            let restored = vaults::open(&new, &vaults::options);
            let nonce = "07".repeat(32);
            restored.wait_normalized(restored.ledger().head()).unwrap();
            let sizes = (done.entries, done.batches);
            let there = restored.fingerprint(&nonce, sizes, None).unwrap();
            assert!(
                there.sample.iter().all(|(_, digest)| digest.is_some()),
                "every record opens"
            );
            let ids: Vec<_> = there.sample.iter().map(|(id, _)| id.parse().unwrap()).collect();
            vault.wait_normalized(vault.ledger().head()).unwrap();
            assert_eq!(vault.fingerprint(&nonce, sizes, Some(&ids)).unwrap(), there);
            drop(restored);
            std::fs::remove_dir_all(&new).unwrap();
        }
        stop.store(true, std::sync::atomic::Ordering::SeqCst);
        assert!(heads.len() > 1, "it grew meanwhile: {heads:?}");
    });
}
