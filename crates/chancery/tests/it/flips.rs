//! Every byte of a small store altered in turn: all found and located; in the catalogue: found or without effect.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use connect::Secrets;
use seal::keyring::Unlock;
use serde_json::Value;
use server::vault::connections::ConnectionConfig;
use server::vault::state::verify_store;
use server::vault::{Vault, VaultError};
use tempfile::TempDir;
use zeroize::Zeroizing;

use crate::hooks::{body_of, text_message};
use crate::inputs::{CHAT, CHAT_NAME};
use crate::vaults::{self, UNLOCK};

/// Zeros behind the last group that are kept for the flips: the more, the longer each check takes.
const ZEROS_KEPT: u64 = 128;
/// Altered catalogues looked at side by side: mostly they wait for the disk.
const AT_ONCE: u64 = 4;
/// At each end of the zeros so many are altered.
const ZEROS_ALTERED: u64 = 64;

/// With `--long` every bit is altered on its own.
fn masks() -> Vec<u8> {
    if std::env::var_os("CHANCERY_TEST_LONG").is_some() {
        return (0..8).map(|bit| 1 << bit).collect();
    }
    vec![0x01]
}

/// Three webhooks, an export, a connection; closed.
fn small_store() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let vault = vaults::fresh(folder.path());
    let mut secrets = Secrets::default();
    for name in ["app-secret", "verify-token"] {
        let secret = Zeroizing::new(b"a secret of 32 bytes, as Meta has".to_vec());
        secrets.0.insert(name.into(), vec![secret]);
    }
    let config = ConnectionConfig {
        secret_expires: std::collections::BTreeMap::new(),
        id: "ward-3".parse().unwrap(),
        connector: "whatsapp-cloud".into(),
        settings: connect::Settings::new(),
        minimum_lock_days: 0,
    };
    vault.add_connection(&config, &secrets).unwrap();
    let one = |n: u32, from: &str| text_message(&format!("wamid.{n}"), from, &format!("text number {n}"));
    for messages in [
        vec![one(1, "4915112345")],
        vec![one(2, "4915112345"), one(3, "4915100000")],
        vec![one(4, "4915100000")],
    ] {
        vaults::deliver(&vault, body_of(&messages).as_bytes());
        vault.ledger().flush().unwrap();
    }
    vaults::import(&vault, CHAT_NAME, CHAT.as_bytes());
    vault.wait_normalized(vault.ledger().head()).unwrap();
    vault.ledger().flush().unwrap();
    drop(vault);
    cut_zeros(folder.path());
    folder
}

/// Cuts most of the zeros that the open segment is prepared with.
fn cut_zeros(data: &Path) {
    for path in files_below(&data.join("ledger/segments")) {
        let bytes = std::fs::read(&path).unwrap();
        let used = bytes.iter().rposition(|byte| *byte != 0).unwrap() as u64 + 1;
        if bytes.len() as u64 > used + ZEROS_KEPT {
            let file = File::options().write(true).open(&path).unwrap();
            file.set_len(used + ZEROS_KEPT).unwrap();
        }
    }
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// What a check says: each place, or the error.
fn places(data: &Path, unlock: Option<&Unlock<'_>>) -> Vec<String> {
    match verify_store(data, unlock, None) {
        Ok(verified) => verified.findings.into_iter().map(|(place, _)| place).collect(),
        Err(error) => vec![error.to_string()],
    }
}

/// Alters each byte of a file, and asks `check` with the number of the byte and the mask.
fn alter_each(path: &Path, bytes: impl Iterator<Item = u64>, mut check: impl FnMut(u64, u8)) -> u64 {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let (mut count, masks) = (0, masks());
    for at in bytes {
        let mut byte = [0];
        file.read_exact_at(&mut byte, at).unwrap();
        for mask in &masks {
            file.write_all_at(&[byte[0] ^ mask], at).unwrap();
            check(at, *mask);
            count += 1;
        }
        file.write_all_at(&byte, at).unwrap();
    }
    count
}

/// Whether one of the places names the file, or the record or batch that stands there.
fn names(places: &[String], file: &str) -> bool {
    let inner = file.strip_prefix("ledger/").unwrap_or(file);
    places.iter().any(|place| {
        place.contains(inner)
            || (inner.starts_with("segments/") && (place.starts_with("entr") || place.starts_with("batch")))
            // A batch altered in its row contradicts the tile of its hash; both are of the same name but for a folder.
            || (inner.starts_with("log/tile/") && place.starts_with("log/tile/"))
    })
}

#[test]
fn every_byte_of_the_ledger_and_of_the_keys_is_checked() {
    let folder = small_store();
    let data = folder.path();
    assert_eq!(places(data, Some(&UNLOCK)), Vec::<String>::new());
    let mut counts = BTreeMap::new();
    let mut altered: Vec<PathBuf> = files_below(&data.join("ledger"));
    altered.extend(["keys/keystore", "zone.pub"].map(|name| data.join(name)));
    for path in altered {
        let name = path.strip_prefix(data).unwrap().to_str().unwrap().to_owned();
        let unlock = name.starts_with("keys/").then_some(&UNLOCK);
        let length = std::fs::metadata(&path).unwrap().len();
        let count = alter_each(&path, 0..length, |at, mask| {
            let found = places(data, unlock);
            assert!(names(&found, &name), "{name} byte {at} mask {mask:#x}: {found:?}");
        });
        let group = name.rsplit_once('/').map_or(name.as_str(), |(group, _)| group);
        *counts.entry(group.to_owned()).or_insert(0) += count;
    }
    println!("altered: {counts:?}");
    assert_eq!(places(data, Some(&UNLOCK)), Vec::<String>::new());
    assert!(counts["ledger/segments"] > 4 * ZEROS_ALTERED);
}

#[test]
fn an_altered_zone_file_is_found_or_says_the_same_of_zone_and_key() {
    let folder = small_store();
    let data = folder.path();
    let original = server::vault::read_zone_file(data).unwrap();
    let path = data.join("zone.json");
    let length = std::fs::metadata(&path).unwrap().len();
    let mut without_effect = 0;
    let count = alter_each(&path, 0..length, |at, mask| {
        let found = places(data, None);
        if found.is_empty() {
            let read = server::vault::read_zone_file(data).unwrap();
            let same = (&read.zone, &read.public_key, read.format)
                == (&original.zone, &original.public_key, original.format);
            assert!(same, "byte {at} mask {mask:#x}");
            without_effect += 1;
        }
    });
    println!("{count} altered, {without_effect} without effect");
    assert!(without_effect * 2 < count);
}

type Answers = BTreeMap<String, String>;

fn answers(found: &[Value]) -> Answers {
    let text = |value: &Value| value["id"].as_str().unwrap().to_owned();
    found
        .iter()
        .map(|value| (text(value), value["record"].to_string()))
        .collect()
}

/// A search as soon as everything is followed, then a rebuild and a search.
fn ask(data: &Path, expected: &Answers) -> Result<Answers, VaultError> {
    let vault = Vault::open(data, &UNLOCK, vaults::options())?;
    vault.wait_normalized(vault.ledger().head())?;
    if let Ok(found) = vaults::try_search(&vault, "is:any") {
        for (id, record) in answers(&found) {
            assert_eq!(
                expected.get(&id),
                Some(&record),
                "{id} is shown with wrong content"
            );
        }
    }
    vault.rebuild()?;
    vault.wait_normalized(vault.ledger().head())?;
    Ok(answers(&vaults::try_search(&vault, "is:any")?))
}

fn copy(from: &Path, to: &Path) {
    for path in files_below(from) {
        let target = to.join(path.strip_prefix(from).unwrap());
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(&path, target).unwrap();
    }
}

#[test]
fn an_altered_catalogue_never_shows_what_was_not_written() {
    let folder = small_store();
    let vault = Vault::open(folder.path(), &UNLOCK, vaults::options()).unwrap();
    let expected = answers(&vaults::search(&vault, "is:any"));
    drop(vault);
    cut_zeros(folder.path());
    assert!(expected.len() >= 8);
    let catalogue = "catalogue/catalogue.sqlite";
    let files = files_below(&folder.path().join("catalogue"));
    assert_eq!(files, [folder.path().join(catalogue)], "closing leaves one file");
    let length = std::fs::metadata(folder.path().join(catalogue)).unwrap().len();
    let every_byte = masks().len() > 1;
    let samples = if every_byte { length } else { 400 };
    let refused = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for first in 0..AT_ONCE {
            let (refused, expected, data) = (&refused, &expected, folder.path());
            scope.spawn(move || {
                for sample in (first..samples).step_by(AT_ONCE as usize) {
                    // Half over the whole file, half in the first pages, where everything is decided.
                    let end = if every_byte || sample % 2 == 0 {
                        length
                    } else {
                        8192
                    };
                    let at = sample * end / samples;
                    let well = altered_catalogue(data, at, 1 << (sample % 8), expected);
                    refused.fetch_add(u64::from(!well), Ordering::SeqCst);
                }
            });
        }
    });
    println!("{samples} altered of {length} bytes, {refused:?} refused and then made again");
}

/// Alters one byte of a copy's catalogue; whether everything answers as before without taking it away.
fn altered_catalogue(data: &Path, at: u64, mask: u8, expected: &Answers) -> bool {
    let copied = tempfile::tempdir().unwrap();
    copy(data, copied.path());
    let folder = copied.path().join("catalogue");
    let file = File::options()
        .read(true)
        .write(true)
        .open(folder.join("catalogue.sqlite"))
        .unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ mask], at).unwrap();
    match ask(copied.path(), expected) {
        Ok(answers) => {
            assert!(
                answers == *expected,
                "byte {at}: {} of {}",
                answers.len(),
                expected.len()
            );
            true
        }
        Err(error) => {
            assert!(!error.to_string().is_empty());
            // What then helps: take the catalogue away, and it is made again.
            std::fs::remove_dir_all(&folder).unwrap();
            std::fs::create_dir(&folder).unwrap();
            assert!(ask(copied.path(), expected).unwrap() == *expected, "byte {at}");
            false
        }
    }
}
