//! A new signing key under the same log: in the ordinary course, or because somebody else may have the old one.
//!
//! *Order.* An act says it; the new seed is put into the key store under a label of its own; the last checkpoint of the old
//! key is signed and the statement written to `DATA/succession/NUMBER.txt`, which decides it; from then on the new key signs. Then the
//! new seed takes the old one's label, the old one is destroyed, and `zone.json` and `zone.pub` name the new. Whatever
//! of this a crash leaves undone is done when the vault opens next.

use std::path::{Path, PathBuf};

use model::KeyId;
use model::entry::ActCode;
use seal::Key;
use seal::keyring::{Keyring, Record, SecretKind};
use seal::note::{Checkpoint, NoteKey};
use seal::succession::{Lineage, Reason, Statement};
use seal::suite::{SigningKey, hex};
use serde_json::{Value, json};
use store::StoreError;
use store::folder;
use store::keystore::KeyStore;
use store::ledger::Signed;
use zeroize::Zeroizing;

use super::folder::{SIGNING_LABEL, own_secret};
use super::{Inner, Vault, VaultError, ZoneFile, locked};

/// Where the statements stand, below the data folder.
pub(super) const FOLDER: &str = "succession";
/// Label of a key that is about to take another's place.
const NEXT_LABEL: [u8; 16] = *b"chancery-signnxt";
/// Class of the items in the key store that are public keys of before.
const OLD_CLASS: &str = "signing-key-before";
const FILE_BYTES_MAX: u64 = 64 << 10;

/// The keys of the log: the one in force, and the statements that lead to it.
#[derive(Debug, Clone)]
pub(crate) struct Succession {
    pub notes: Vec<String>,
    pub lineage: Lineage,
}

/// The statements that were written, oldest first.
fn read_notes(data: &Path) -> Result<Vec<String>, VaultError> {
    let mut paths: Vec<PathBuf> = match std::fs::read_dir(data.join(FOLDER)) {
        Ok(files) => files.flatten().map(|file| file.path()).collect(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(StoreError::io("reading", &data.join(FOLDER))(error).into()),
    };
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    paths.sort();
    let read = |path: &PathBuf| -> Result<String, VaultError> {
        let bytes = folder::read_file(path, FILE_BYTES_MAX)?;
        String::from_utf8(bytes).map_err(|_| VaultError::BadData(format!("{} is not a text", path.display())))
    };
    paths.iter().map(read).collect()
}

impl Succession {
    /// Of the key that `zone.json` names. A statement after it is of a replacement that a crash left half done.
    pub fn load(data: &Path, key: NoteKey) -> Result<Succession, VaultError> {
        let mut notes = read_notes(data)?;
        let replaced = |note: &String| Statement::open(note).is_ok_and(|statement| statement.old == key);
        if let Some(at) = notes.iter().position(replaced) {
            notes.truncate(at);
        }
        let lineage = Lineage::new(key, notes.iter().map(String::as_str))
            .map_err(|problem| VaultError::BadData(format!("{FOLDER}: {problem}")))?;
        Ok(Succession { notes, lineage })
    }
}

/// The keys of the log in a data folder, as its `zone.json` and statements tell of them.
///
/// # Errors
/// [`VaultError::BadData`] names what does not fit.
pub fn log_keys(data: &Path, file: &ZoneFile) -> Result<Lineage, VaultError> {
    let key = NoteKey::decode(&file.public_key)
        .map_err(|problem| VaultError::BadData(format!("zone.json: {problem}")))?;
    Ok(Succession::load(data, key)?.lineage)
}

/// Does what a crash left undone of a replacement, and returns what `zone.json` says then.
pub(super) fn finish(data: &Path, keys: &mut KeyStore, file: ZoneFile) -> Result<ZoneFile, VaultError> {
    let settled = settle(data, keys, &file)?;
    if settled.public_key != file.public_key {
        name_key(data, &settled)?;
    }
    Ok(settled)
}

/// As [`finish`], in the key store alone: with the statements that stand in a folder.
pub(super) fn settle(folder: &Path, keys: &mut KeyStore, file: &ZoneFile) -> Result<ZoneFile, VaultError> {
    let newest = read_notes(folder)?
        .pop()
        .and_then(|note| Statement::open(&note).ok());
    if let Ok((next, seed)) = own_secret(keys, SecretKind::Signing, &NEXT_LABEL) {
        let public = SigningKey::from_seed(&seed)?.public();
        if newest
            .as_ref()
            .is_some_and(|statement| statement.new.public == public)
        {
            take_over(keys, &seed)?;
        } else {
            let at = keys.ring().held(next).map(|held| held.at).unwrap_or_default();
            keys.destroy(&[next], at)?;
        }
    }
    let (_, seed) = own_secret(keys, SecretKind::Signing, &SIGNING_LABEL)?;
    let public = SigningKey::from_seed(&seed)?.public();
    let newest = newest.filter(|statement| statement.new.public == public);
    Ok(newest.map_or_else(|| file.clone(), |statement| naming(file, &statement.new)))
}

/// Puts a seed under the label of the signing key, and destroys every other.
fn take_over(keys: &mut KeyStore, seed: &Key) -> Result<(), VaultError> {
    let at = keys.ring().latest_position();
    let id = KeyId(seal::suite::random()?);
    keys.append(vec![Record::Secret {
        id,
        kind: SecretKind::Signing,
        label: SIGNING_LABEL,
        at,
        secret: seed.clone(),
    }])?;
    let mut others = Vec::new();
    let mut publics = Vec::new();
    for (other, held) in keys.ring().all() {
        let Some(old) = held
            .secret
            .as_ref()
            .filter(|_| other != id && held.kind == SecretKind::Signing)
        else {
            continue;
        };
        others.push(other);
        publics.push(SigningKey::from_seed(old)?.public());
    }
    let public = SigningKey::from_seed(seed)?.public();
    publics.retain(|other| *other != public);
    let before = publics.iter().map(|public| Record::Item {
        class: OLD_CLASS.to_owned(),
        name: hex(public),
        bytes: Zeroizing::new(public.to_vec()),
    });
    keys.append(before.collect())?;
    keys.destroy(&others, at)?;
    Ok(())
}

fn naming(file: &ZoneFile, key: &NoteKey) -> ZoneFile {
    ZoneFile {
        public_key: key.encode(),
        ..file.clone()
    }
}

/// Makes `zone.pub` and `zone.json` name the key that a file names.
fn name_key(data: &Path, file: &ZoneFile) -> Result<(), VaultError> {
    folder::replace_file(
        &data.join("zone.pub"),
        format!("{}\n", file.public_key).as_bytes(),
    )?;
    let text = serde_json::to_vec_pretty(file).unwrap_or_default();
    Ok(folder::replace_file(&data.join("zone.json"), &text)?)
}

/// The public keys that were in force before, which may have signed shares of an escrow.
pub(super) fn older_publics(ring: &Keyring) -> Vec<[u8; 32]> {
    let names = ring.item_names(OLD_CLASS);
    let publics = names.iter().filter_map(|name| ring.item(OLD_CLASS, name));
    publics.filter_map(|public| public.try_into().ok()).collect()
}

impl Vault {
    /// Puts a new signing key in the place of the one in force; says what to hand on.
    ///
    /// # Errors
    /// [`VaultError::NotFound`] while the ledger is empty; [`VaultError::Store`].
    pub fn rotate_signing(&self, reason: Reason, actor: &str) -> Result<Value, VaultError> {
        let inner = &self.inner;
        let _turn = locked(&inner.rotating);
        let (old, name) = (inner.signing_key()?, inner.note_key().name);
        let seed = Key::random()?;
        let new = NoteKey {
            name: name.clone(),
            public: SigningKey::from_seed(&seed)?.public(),
        };
        let act = json!({ "reason": reason.name(), "new": new.encode(), "actor": actor });
        let at = inner.act(ActCode::SigningKeyChanged, &act)?;
        let next = KeyId(seal::suite::random()?);
        locked(&inner.keys).append(vec![Record::Secret {
            id: next,
            kind: SecretKind::Signing,
            label: NEXT_LABEL,
            at,
            secret: seed.clone(),
        }])?;
        let number = locked(&inner.succession).notes.len();
        let path = inner.folder.join(FOLDER).join(format!("{number:06}.txt"));
        let now = (inner.clock)();
        let statement = {
            let (old_key, new_key, path) = (inner.note_key(), new.clone(), path.clone());
            let signing = SigningKey::from_seed(&seed)?;
            move |last: &Signed| -> Result<(), StoreError> {
                let last = Checkpoint::open(&last.note, Some(&old_key));
                let last =
                    last.map_err(|problem| StoreError::Mismatch(format!("the last checkpoint: {problem}")))?;
                let statement = Statement {
                    old: old_key,
                    new: new_key,
                    at: now,
                    reason,
                    last,
                };
                let folder = path.parent().unwrap_or(&path);
                folder::create_folder(folder)?;
                folder.parent().map_or(Ok(()), folder::sync_folder)?;
                folder::replace_file(&path, statement.sign(&old, &signing).as_bytes())
            }
        };
        let replaced = inner
            .ledger
            .replace_key(SigningKey::from_seed(&seed)?, Box::new(statement));
        if !path.exists() {
            locked(&inner.keys).destroy(&[next], at)?;
        }
        replaced?;
        take_over(&mut locked(&inner.keys), &seed)?;
        name_key(&inner.folder, &naming(&inner.file, &new))?;
        *locked(&inner.succession) = Succession::load(&inner.folder, new.clone())?;
        Ok(json!({
            "public_key": new.encode(), "reason": reason.name(), "entry": at,
            "public_key_file": inner.folder.join("zone.pub"), "statement_file": path,
        }))
    }
}

impl Inner {
    /// The key in force.
    pub fn note_key(&self) -> NoteKey {
        locked(&self.succession).lineage.current().clone()
    }

    /// The keys of the log.
    pub fn lineage(&self) -> Lineage {
        locked(&self.succession).lineage.clone()
    }

    /// The statements that lead to the key in force.
    pub fn succession_notes(&self) -> Vec<String> {
        locked(&self.succession).notes.clone()
    }
}
