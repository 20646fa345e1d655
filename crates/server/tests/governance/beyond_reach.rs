//! Old copies of the key store in backups: what they still open, until when, and what the certificate says of it.

use std::path::{Path, PathBuf};

use seal::keyring::Keyring;
use seal::wrap::{joint_key, unwrap};
use serde_json::Value;
use server::vault::restore::{RestoreOptions, restore};
use server::vault::{Vault, VaultOptions};

use crate::destruction::wrap_of;
use crate::instance::*;

/// The copies of the key store in a backup.
fn key_copies(backup: &Path) -> Vec<PathBuf> {
    let copies = store::copy::key_copies(backup).unwrap();
    copies.into_iter().map(|copy| copy.path).collect()
}

/// How many of them open a capture's wrap.
fn opening(vault: &Vault, capture: model::Position, copies: &[PathBuf]) -> usize {
    let (wrap, commitment) = wrap_of(vault, capture);
    let opens = |path: &&PathBuf| {
        let kept = Keyring::open(&std::fs::read(path).unwrap(), &UNLOCK)
            .unwrap()
            .ring;
        let secret = |key: &model::KeyId| Some((*key, kept.secret(*key)?.clone()));
        let named: Option<Vec<_>> = wrap.keys.iter().map(secret).collect();
        named.is_some_and(|named| unwrap(&joint_key(&named).unwrap(), &wrap.wrapped_key, &commitment).is_ok())
    };
    copies.iter().filter(opens).count()
}

fn erasure(vault: &Vault, destruction: model::Position) -> Value {
    vault.certificate(destruction, "test").unwrap()["erasure"].clone()
}

/// Puts the backup back by the command's own code, with a key store of choice, and looks for her words in it.
fn restored_holds_nothing_of_hers(
    place: &Place,
    backup: &Path,
    keys: Option<&Path>,
    capture: model::Position,
) {
    let to = place.data().with_extension("restored");
    let options = RestoreOptions {
        from: backup,
        data: &to,
        unlock: &UNLOCK,
        keys,
        repair_from: None,
        against: None,
        accept_loss: false,
        key_copy: None,
        is_drill: false,
        actor: "test",
    };
    let clock = place.clock.clone();
    let settings = || {
        let clock = clock.clone();
        VaultOptions::with_clock(std::sync::Arc::new(move || {
            model::Timestamp::from_seconds(clock.load(std::sync::atomic::Ordering::SeqCst))
        }))
    };
    restore(&options, settings()).unwrap();
    let vault = Vault::open(&to, &UNLOCK, settings()).unwrap();
    settle(&vault);
    assert_eq!(search(&vault, "CANARY").len(), 0);
    assert_eq!(search(&vault, "his").len(), 1);
    assert_eq!(vault.show(id(capture, 0), "test").unwrap()["state"], "erased");
    assert_eq!(opening(&vault, capture, &[to.join("keys/keystore")]), 0);
    drop(vault);
    std::fs::remove_dir_all(to).unwrap();
}

#[test]
fn an_old_copy_of_the_keys_opens_what_was_destroyed_until_it_expires_and_the_certificate_says_which_and_until_when()
 {
    let mut place = Place::new();
    place.epoch_lasts = std::time::Duration::ZERO;
    let vault = place.create();
    let backup = place.data().with_extension("backup");
    vault.add_backup(&backup, 7, "test").unwrap();
    let hers = deliver(&vault, &[message("1", ANN, "CANARY of hers")]);
    deliver(&vault, &[message("2", BO, "his")]);
    vault.follow_backups();
    let old = key_copies(&backup);
    assert_eq!(opening(&vault, hers, &old), 1);
    let destruction = destroy(&vault, person(ANN));
    vault.follow_backups();
    // Until the epochs' keys are gone too it is not in force for that reason either.
    while !erasure(&vault, destruction)["epoch_keys_alive"]
        .as_array()
        .unwrap()
        .is_empty()
    {
        deliver(&vault, &[message("n", BO, "time goes on")]);
    }
    vault.follow_backups();
    let all = key_copies(&backup);
    let still = opening(&vault, hers, &all);
    assert!(still >= 1 && still < all.len(), "{still} of {}", all.len());
    let said = erasure(&vault, destruction);
    assert_eq!(said["in_force"], false, "{said}");
    let listed = said["key_store_copies_not_expired"].as_array().unwrap();
    assert!(listed.iter().all(|copy| copy["expires_at"].is_string()), "{said}");
    let told: Vec<PathBuf> = listed
        .iter()
        .map(|copy| copy["place"].as_str().unwrap().into())
        .collect();
    let (told_of, others): (Vec<PathBuf>, Vec<PathBuf>) =
        all.into_iter().partition(|path| told.contains(path));
    assert_eq!(told_of.len(), told.len(), "{said}");
    assert_eq!(
        opening(&vault, hers, &told_of),
        still,
        "whatever opens it is told of"
    );
    assert!(!others.is_empty(), "those made since are not");
    let opens = told
        .iter()
        .find(|path| opening(&vault, hers, std::slice::from_ref(path)) == 1);
    let opens = opens.unwrap().clone();
    // The backup, put back with its newest keys and with the oldest: what was destroyed stays so.
    restored_holds_nothing_of_hers(&place, &backup, None, hers);
    restored_holds_nothing_of_hers(&place, &backup, Some(&opens), hers);
    // Eight days later they are gone, from the disk and from the certificate.
    place.set_clock(NOW + 8 * DAY);
    vault.follow_backups();
    assert!(told.iter().all(|path| !path.exists()), "{told:?}");
    let left = key_copies(&backup);
    assert!(!left.is_empty());
    assert_eq!(opening(&vault, hers, &left), 0);
    let said = erasure(&vault, destruction);
    assert_eq!(said["key_store_copies_not_expired"], serde_json::json!([]));
    assert_eq!(said["in_force"], true, "{said}");
    restored_holds_nothing_of_hers(&place, &backup, None, hers);
}
