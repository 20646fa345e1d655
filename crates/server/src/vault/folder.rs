//! The data folder: making one, and what stands in it plain.

use std::path::{Path, PathBuf};

use model::{KeyId, Position, Timestamp, ZoneId};
use seal::Key;
use seal::keyring::{PassphraseCost, Record, SecretKind, Unlock};
use seal::note::NoteKey;
use seal::suite::SigningKey;
use store::StoreError;
use store::folder::{self, FolderLock};
use store::keystore::KeyStore;
use store::ledger::Ledger;

use super::{VaultError, ZoneFile};

/// The layout of data folders that this program reads and writes.
const FORMAT: u32 = 1;

/// Fixed labels of the zone's own secrets.
pub const DIGEST_LABEL: [u8; 16] = *b"chancery-digest1";
pub const SIGNING_LABEL: [u8; 16] = *b"chancery-signing";
pub const ACTS_LABEL: [u8; 16] = *b"chancery-acts-01";
pub const NAMES_LABEL: [u8; 16] = *b"chancery-names-1";

/// Makes a data folder: key store, zone key, empty ledger. Refuses a folder that has something in it.
///
/// # Errors
/// [`VaultError::Exists`]; [`VaultError::Store`].
pub fn create(
    data: &Path,
    zone: ZoneId,
    unlock: &Unlock<'_>,
    cost: PassphraseCost,
    key_copy: Option<PathBuf>,
    now: Timestamp,
) -> Result<ZoneFile, VaultError> {
    let occupied = std::fs::read_dir(data).is_ok_and(|mut files| files.next().is_some());
    if occupied {
        return Err(VaultError::Exists(format!(
            "{} is not empty: choose another folder, or open this one",
            data.display()
        )));
    }
    for part in ["ledger", "keys", "catalogue"] {
        folder::create_folder(&data.join(part))?;
    }
    // Also when the folder was there, made by hand a moment ago.
    folder::sync_name(data)?;
    let _lock = FolderLock::take(data)?;
    let mut keys = KeyStore::create(&data.join("keys/keystore"), zone.clone(), unlock, cost)?;
    let seed = Key::random()?;
    let signing = SigningKey::from_seed(&seed)?;
    let secrets = [
        (SecretKind::Digest, DIGEST_LABEL, Key::random()?),
        (SecretKind::Acts, ACTS_LABEL, Key::random()?),
        (SecretKind::Catalogue, NAMES_LABEL, Key::random()?),
        (SecretKind::Signing, SIGNING_LABEL, seed),
    ];
    let mut records = Vec::new();
    for (kind, label, secret) in secrets {
        let id = KeyId(seal::suite::random()?);
        records.push(Record::Secret {
            id,
            kind,
            label,
            at: Position(0),
            secret,
        });
    }
    keys.append(records)?;
    let public = signing.public();
    let fingerprint: String = seal::suite::hex(&seal::suite::sha256(&public))
        .chars()
        .take(8)
        .collect();
    let note_key = NoteKey {
        name: format!("chancery/{zone}/{fingerprint}"),
        public,
    };
    Ledger::create(&data.join("ledger"))?;
    let file = ZoneFile {
        format: FORMAT,
        zone,
        node: "n1".to_owned(),
        public_key: note_key.encode(),
        created_at: now,
        key_copy,
    };
    folder::write_file(
        &data.join("zone.pub"),
        format!("{}\n", note_key.encode()).as_bytes(),
    )?;
    let text = serde_json::to_vec_pretty(&file).unwrap_or_default();
    // Last: a folder without it was not finished, and says so.
    folder::replace_file(&data.join("zone.json"), &text)?;
    Ok(file)
}

/// Reads `zone.json`.
///
/// # Errors
/// [`VaultError::NotFound`] when the folder is no data folder.
pub fn read_zone_file(data: &Path) -> Result<ZoneFile, VaultError> {
    let path = data.join("zone.json");
    if !path.exists() {
        return Err(VaultError::NotFound(format!(
            "data folder at {}; make one with `chancery init --data {0}`",
            data.display()
        )));
    }
    let bytes = folder::read_file(&path, 1 << 20)?;
    let file: ZoneFile = serde_json::from_slice(&bytes)
        .map_err(|_| VaultError::BadData(format!("{} is not readable", path.display())))?;
    if file.format != FORMAT {
        return Err(VaultError::BadData(format!(
            "{} says that the data folder is of format {}; this program reads {FORMAT}",
            path.display(),
            file.format
        )));
    }
    Ok(file)
}

/// A secret of the zone's own, which must be there.
pub fn own_secret(keys: &KeyStore, kind: SecretKind, label: &[u8; 16]) -> Result<(KeyId, Key), VaultError> {
    let id = keys.ring().find(kind, label);
    let secret = id.and_then(|id| keys.ring().secret(id).cloned());
    id.zip(secret).ok_or_else(|| {
        StoreError::Mismatch(format!("the key store lacks the zone's {} key", kind.name())).into()
    })
}
