//! The key store's file: where its second copy is kept, and what opens it.

use std::path::{Path, PathBuf};

use model::entry::ActCode;
use seal::keyring::{PassphraseCost, Unlock};
use serde_json::{Value, json};
use store::StoreError;
use store::folder;

use super::{Inner, Vault, VaultError, locked, read_zone_file};

impl Vault {
    /// Keeps the second copy of the key store in `path` from now on. The file that was the second copy before is deleted:
    /// nobody would take out of it what is destroyed later.
    ///
    /// # Errors
    /// [`VaultError::Exists`], [`VaultError::Usage`] for a file inside the data folder; [`VaultError::Store`], and then
    /// everything is as before.
    pub fn set_key_copy(&self, path: &Path, actor: &str) -> Result<Value, VaultError> {
        let inner = &self.inner;
        if path.exists() {
            return Err(VaultError::Exists(format!(
                "{} is there already; name a new file for the second copy",
                path.display()
            )));
        }
        let folder = path.parent().and_then(|folder| folder.canonicalize().ok());
        let folder = folder.ok_or_else(|| {
            VaultError::Usage(format!(
                "the folder of {} is not there; make it first",
                path.display()
            ))
        })?;
        let data = inner
            .folder
            .canonicalize()
            .unwrap_or_else(|_| inner.folder.clone());
        if folder.starts_with(&data) {
            return Err(VaultError::Usage(format!(
                "{} lies in the data folder: a second copy belongs on another disk",
                path.display()
            )));
        }
        let before = locked(&inner.keys).copy_path().map(Path::to_owned);
        let said =
            json!({ "setting": "second copy of the key store", "to": path, "from": before, "actor": actor });
        inner.act(ActCode::SettingChanged, &said)?;
        locked(&inner.keys).set_copy(Some(path.to_owned()))?;
        if let Err(error) = inner.write_key_copy(Some(path.to_owned())) {
            locked(&inner.keys).set_copy(before)?;
            return Err(error);
        }
        let old_left = before.filter(|old| std::fs::remove_file(old).is_err() && old.exists());
        Ok(json!({ "key_copy": path, "old_copy_left": old_left }))
    }

    /// Opens with another passphrase or key file from now on.
    ///
    /// # Errors
    /// [`VaultError::Store`] for a weak passphrase, or when the file cannot be written.
    pub fn change_unlock(
        &self,
        unlock: &Unlock<'_>,
        cost: PassphraseCost,
        actor: &str,
    ) -> Result<Value, VaultError> {
        let sort = match unlock {
            Unlock::Passphrase(_) => "passphrase",
            Unlock::KeyFile(_) => "key file",
        };
        if matches!(unlock, Unlock::Passphrase([])) {
            return Err(VaultError::Usage("the passphrase is empty".to_owned()));
        }
        let said = json!({ "setting": "what opens the key store", "to": sort, "actor": actor });
        self.inner.act(ActCode::SettingChanged, &said)?;
        locked(&self.inner.keys).change_unlock(unlock, cost)?;
        let old: Vec<_> = self
            .copies_known()
            .into_iter()
            .filter(|copy| copy.expires_at.is_some())
            .collect();
        Ok(json!({ "opened_by": sort, "copies_opened_by_the_old_one": old }))
    }
}

impl Inner {
    fn write_key_copy(&self, key_copy: Option<PathBuf>) -> Result<(), VaultError> {
        let mut file = read_zone_file(&self.folder)?;
        file.key_copy = key_copy;
        let text = serde_json::to_vec_pretty(&file).unwrap_or_default();
        let written: Result<(), StoreError> = folder::replace_file(&self.folder.join("zone.json"), &text);
        Ok(written?)
    }
}

/// Whether this opens the key store of a data folder.
///
/// # Errors
/// [`VaultError::Store`]: it does not.
pub fn check_unlock(data: &Path, unlock: &Unlock<'_>) -> Result<(), VaultError> {
    let bytes = folder::read_file(&data.join("keys/keystore"), 2 << 30)?;
    seal::keyring::Keyring::open(&bytes, unlock).map_err(StoreError::from)?;
    Ok(())
}
