//! The key store's file: the ring of `seal::keyring`, durably, with a second copy elsewhere.
//!
//! Its own file, never in write-once storage, so that what is destroyed is gone. A second copy (another disk, another
//! host's mount) is written before anything relies on a new secret; without one an intake epoch's private key is kept,
//! because losing the only copy of the ring would lose the record.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use model::{KeyId, Position, ZoneId};
use seal::Key;
use seal::keyring::{Keyring, Label, PassphraseCost, Record, SecretKind, Unlock};
use zeroize::Zeroizing;

use crate::failpoint;
use crate::folder::{self, StoreError};

/// Longest key store that is read: some ten million secrets.
const FILE_BYTES_MAX: u64 = 2 << 30;

/// The opened key store.
pub struct KeyStore {
    path: PathBuf,
    copy: Option<PathBuf>,
    file: File,
    length: u64,
    ring: Keyring,
    /// A write failed: the ring in memory may be ahead of the file.
    failed: bool,
    /// Counts writes, so that whoever copies the file sees that there is something new.
    writes: u64,
}

impl KeyStore {
    /// Makes a new key store.
    ///
    /// # Errors
    /// [`StoreError::Keyring`] for a weak passphrase; [`StoreError::Io`].
    pub fn create(
        path: &Path,
        zone: ZoneId,
        unlock: &Unlock<'_>,
        cost: PassphraseCost,
    ) -> Result<KeyStore, StoreError> {
        let (ring, bytes) = Keyring::create(zone, unlock, cost)?;
        folder::write_file(path, &bytes)?;
        folder::sync_name(path)?;
        let file = folder::create_file(path, false)?;
        let length = bytes.len() as u64;
        Ok(KeyStore {
            path: path.to_owned(),
            copy: None,
            file,
            length,
            ring,
            failed: false,
            writes: 0,
        })
    }

    /// Opens a key store. An append that a crash cut short is cut off: it was never relied on.
    ///
    /// # Errors
    /// [`StoreError::Keyring`] for a wrong passphrase or an altered file.
    pub fn open(path: &Path, unlock: &Unlock<'_>, copy: Option<PathBuf>) -> Result<KeyStore, StoreError> {
        let bytes = Zeroizing::new(folder::read_file(path, FILE_BYTES_MAX)?);
        let opened = Keyring::open(&bytes, unlock)?;
        let file = folder::create_file(path, false)?;
        let length = opened.covered_bytes as u64;
        if opened.covered_bytes < bytes.len() {
            file.set_len(length).map_err(StoreError::io("cutting", path))?;
        }
        // A process that died between writing and syncing, or whose sync failed, left records that read well and are not
        // on the disk; and the kernel may hold them for written.
        file.write_all_at(bytes.get(..opened.covered_bytes).unwrap_or(&[]), 0)
            .and_then(|()| file.sync_all())
            .map_err(StoreError::io("syncing", path))?;
        let store = KeyStore {
            path: path.to_owned(),
            copy,
            file,
            length,
            ring: opened.ring,
            failed: false,
            writes: 0,
        };
        store.write_copy()?;
        Ok(store)
    }

    /// Checks the file without changing it: whether all of it is as it was written.
    ///
    /// # Errors
    /// [`StoreError::Keyring`]; [`StoreError::Damaged`] for a torn end.
    pub fn check(path: &Path, unlock: &Unlock<'_>) -> Result<u64, StoreError> {
        let bytes = Zeroizing::new(folder::read_file(path, FILE_BYTES_MAX)?);
        let opened = Keyring::open(&bytes, unlock)?;
        if opened.covered_bytes < bytes.len() {
            let place = format!("key store at byte {}", opened.covered_bytes);
            return Err(StoreError::damaged(place, "its last record is incomplete"));
        }
        Ok(opened.ring.all().count() as u64)
    }

    /// The file's bytes from an offset on, sealed as they are.
    ///
    /// # Errors
    /// [`StoreError::Io`]; [`StoreError::Stopped`] when the file may not be what the ring is.
    pub fn sealed_from(&self, offset: u64) -> Result<Vec<u8>, StoreError> {
        if self.failed {
            return Err(StoreError::Stopped);
        }
        let mut bytes = vec![0; usize::try_from(self.length.saturating_sub(offset)).unwrap_or(0)];
        if !bytes.is_empty() {
            self.file
                .read_exact_at(&mut bytes, offset)
                .map_err(StoreError::io("reading", &self.path))?;
        }
        Ok(bytes)
    }

    /// The ring.
    pub fn ring(&self) -> &Keyring {
        &self.ring
    }

    /// Whether a second copy is kept.
    pub fn has_copy(&self) -> bool {
        self.copy.is_some()
    }

    /// Whether a write failed: nothing is written any more until it is opened anew.
    pub fn has_failed(&self) -> bool {
        self.failed
    }

    /// Appends records and makes them durable here and in the second copy.
    ///
    /// # Errors
    /// [`StoreError::Io`]; [`StoreError::Stopped`] after an earlier failure.
    pub fn append(&mut self, records: Vec<Record>) -> Result<(), StoreError> {
        if self.failed {
            return Err(StoreError::Stopped);
        }
        if records.is_empty() {
            return Ok(());
        }
        self.failed = true;
        let mut bytes = Vec::new();
        for record in records {
            bytes.extend(self.ring.append(record)?);
        }
        self.file
            .write_all_at(&bytes, self.length)
            .and_then(|()| self.file.sync_data())
            .map_err(StoreError::io("writing", &self.path))?;
        failpoint::hit("keystore-appended");
        self.append_copy(&bytes)?;
        self.length += bytes.len() as u64;
        self.writes += 1;
        self.failed = false;
        Ok(())
    }

    /// The living secret with this label, made when there is none. `at` is the ledger's head.
    ///
    /// # Errors
    /// As [`KeyStore::append`].
    pub fn secret(&mut self, kind: SecretKind, label: &Label, at: Position) -> Result<KeyId, StoreError> {
        if let Some(id) = self.ring.find(kind, label) {
            return Ok(id);
        }
        let id = KeyId(seal::suite::random()?);
        let record = Record::Secret {
            id,
            kind,
            label: *label,
            at,
            secret: Key::random()?,
        };
        self.append(vec![record])?;
        Ok(id)
    }

    /// Makes all missing secrets of a list with one write.
    ///
    /// # Errors
    /// As [`KeyStore::append`].
    pub fn ensure(&mut self, wanted: &[(SecretKind, Label)], at: Position) -> Result<(), StoreError> {
        let mut fresh = Vec::new();
        let mut seen = std::collections::HashSet::new();
        for (kind, label) in wanted {
            if self.ring.find(*kind, label).is_none() && seen.insert((*kind, *label)) {
                let id = KeyId(seal::suite::random()?);
                fresh.push(Record::Secret {
                    id,
                    kind: *kind,
                    label: *label,
                    at,
                    secret: Key::random()?,
                });
            }
        }
        self.append(fresh)
    }

    /// Destroys secrets: the file is written anew without them, here and in the second copy.
    ///
    /// # Errors
    /// As [`KeyStore::append`].
    pub fn destroy(&mut self, ids: &[KeyId], at: Position) -> Result<(), StoreError> {
        let each: Vec<(KeyId, Position)> = ids.iter().map(|id| (*id, at)).collect();
        self.destroy_each(&each)
    }

    /// As [`KeyStore::destroy`], each by an entry of its own, with one writing of the file. What is gone already is passed
    /// over.
    ///
    /// # Errors
    /// As [`KeyStore::append`].
    pub fn destroy_each(&mut self, each: &[(KeyId, Position)]) -> Result<(), StoreError> {
        if self.failed {
            return Err(StoreError::Stopped);
        }
        self.failed = true;
        for (id, at) in each {
            if let Some(held) = self.ring.held(*id).filter(|held| held.secret.is_some()) {
                let record = Record::Destroyed {
                    id: *id,
                    kind: held.kind,
                    label: held.label,
                    at: *at,
                };
                self.ring.append(record)?;
            }
        }
        self.rewrite()
    }

    /// Puts the whole file anew, as the ring is.
    fn rewrite(&mut self) -> Result<(), StoreError> {
        self.failed = true;
        let bytes = self.ring.rewrite()?;
        folder::replace_file(&self.path, &bytes)?;
        let file = folder::create_file(&self.path, false)?;
        overwrite(&std::mem::replace(&mut self.file, file), &self.path);
        failpoint::hit("keystore-replaced");
        self.length = bytes.len() as u64;
        self.writes += 1;
        let old_copy = self
            .copy
            .as_ref()
            .and_then(|copy| folder::create_file(copy, false).ok());
        self.write_copy()?;
        if let (Some(old), Some(copy)) = (old_copy, &self.copy) {
            overwrite(&old, copy);
        }
        // Not before the second copy is written too: until then it still holds what was destroyed.
        self.failed = false;
        Ok(())
    }

    /// Opens with another passphrase or key file from now on: a new master key, and every record sealed anew. What
    /// opened it before still opens older copies.
    ///
    /// # Errors
    /// [`StoreError::Keyring`] for a weak passphrase; as [`KeyStore::append`].
    pub fn change_unlock(&mut self, unlock: &Unlock<'_>, cost: PassphraseCost) -> Result<(), StoreError> {
        if self.failed {
            return Err(StoreError::Stopped);
        }
        self.ring.change_unlock(unlock, cost)?;
        self.rewrite()
    }

    /// Forgets what the ring knows of a ledger behind `head`: secrets made there, which no entry below needs. What was
    /// destroyed stays destroyed, as if it had been at `head`.
    ///
    /// # Errors
    /// As [`KeyStore::append`].
    pub fn cut_back(&mut self, head: Position) -> Result<(), StoreError> {
        self.ring.cut_back(head);
        self.rewrite()
    }

    /// Keeps the second copy in another file from now on, or none.
    ///
    /// # Errors
    /// [`StoreError::Io`]; then everything is as before.
    pub fn set_copy(&mut self, copy: Option<PathBuf>) -> Result<(), StoreError> {
        let before = std::mem::replace(&mut self.copy, copy);
        self.write_copy().inspect_err(|_| self.copy = before)
    }

    /// Writes the file once to another place, which gets its name when it is whole and durable.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn copy_to(&self, path: &Path) -> Result<(), StoreError> {
        folder::replace_file(path, &self.sealed_from(0)?)
    }

    /// Whether the file is still what was read and written: compared record by record with the key that opened it.
    ///
    /// # Errors
    /// [`StoreError::Keyring`] names the byte; [`StoreError::Damaged`].
    pub fn check_file(&self) -> Result<(), StoreError> {
        let bytes = folder::read_file(&self.path, FILE_BYTES_MAX)?;
        self.check_bytes(&bytes)
    }

    /// The same of another file that should be equal: the second copy.
    ///
    /// # Errors
    /// As [`KeyStore::check_file`].
    pub fn check_copy(&self) -> Result<(), StoreError> {
        let Some(copy) = &self.copy else { return Ok(()) };
        self.check_bytes(&folder::read_file(copy, FILE_BYTES_MAX)?)
    }

    fn check_bytes(&self, bytes: &[u8]) -> Result<(), StoreError> {
        let covered = self.ring.check(bytes)?;
        if covered != bytes.len() || bytes.len() as u64 != self.length {
            return Err(StoreError::damaged(
                "key store",
                "is not as long as it was written",
            ));
        }
        Ok(())
    }

    /// Writes the file and its second copy anew from what is in memory.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn write_anew(&mut self) -> Result<(), StoreError> {
        if self.failed {
            return Err(StoreError::Stopped);
        }
        self.rewrite()
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the second copy is kept.
    pub fn copy_path(&self) -> Option<&Path> {
        self.copy.as_deref()
    }

    /// Counts writes of the file since it was opened.
    pub fn writes(&self) -> u64 {
        self.writes
    }

    fn append_copy(&self, bytes: &[u8]) -> Result<(), StoreError> {
        let Some(copy) = &self.copy else { return Ok(()) };
        let io = StoreError::io("writing the second copy of the key store to", copy);
        let write = || {
            let file = std::fs::OpenOptions::new().write(true).open(copy)?;
            file.write_all_at(bytes, self.length)?;
            file.sync_data()
        };
        write().map_err(io)
    }

    fn write_copy(&self) -> Result<(), StoreError> {
        let Some(copy) = &self.copy else { return Ok(()) };
        let bytes = folder::read_file(&self.path, FILE_BYTES_MAX)?;
        folder::replace_file(copy, &bytes)
    }
}

/// Fills with zeros a file whose name another has taken, so that its blocks do not keep the secrets. On a file system that
/// writes elsewhere, or a disk that does, the old blocks stay for a while: no program can reach them there.
fn overwrite(old: &File, path: &Path) {
    let zeros = [0; 64 << 10];
    let fill = || {
        let length = old.metadata()?.len();
        let mut at = 0;
        while at < length {
            let count = usize::try_from(length - at)
                .unwrap_or(zeros.len())
                .min(zeros.len());
            old.write_all_at(zeros.get(..count).unwrap_or(&zeros), at)?;
            at += count as u64;
        }
        old.sync_data()
    };
    let filled: std::io::Result<()> = fill();
    if let Err(error) = filled {
        tracing::warn!(error = %error, path = %path.display(), "the key store before was not overwritten");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: PassphraseCost = PassphraseCost {
        memory_kib: 64,
        passes: 1,
    };
    const LABEL: Label = [7; 16];

    #[test]
    fn secrets_survive_reopening_and_a_destroyed_one_is_in_neither_copy() {
        let folder = tempfile::tempdir().unwrap();
        let (path, copy) = (folder.path().join("keys"), folder.path().join("copy"));
        let unlock = Unlock::Passphrase(b"correct");
        drop(KeyStore::create(&path, "us".parse().unwrap(), &unlock, QUICK).unwrap());
        let mut store = KeyStore::open(&path, &unlock, Some(copy.clone())).unwrap();
        let id = store.secret(SecretKind::Person, &LABEL, Position(1)).unwrap();
        assert_eq!(store.secret(SecretKind::Person, &LABEL, Position(2)).unwrap(), id);
        drop(store);
        assert_eq!(std::fs::read(&path).unwrap(), std::fs::read(&copy).unwrap());
        let mut store = KeyStore::open(&path, &unlock, Some(copy.clone())).unwrap();
        assert!(store.ring().secret(id).is_some());
        store.destroy(&[id], Position(3)).unwrap();
        for file in [&path, &copy] {
            let again = KeyStore::open(file, &unlock, None).unwrap();
            assert!(again.ring().secret(id).is_none());
            assert!(again.ring().held(id).is_some());
        }
        assert_ne!(store.secret(SecretKind::Person, &LABEL, Position(4)).unwrap(), id);
    }

    #[test]
    fn the_file_that_held_a_destroyed_secret_is_overwritten_and_of_both_copies() {
        let folder = tempfile::tempdir().unwrap();
        let (path, copy) = (folder.path().join("keys"), folder.path().join("copy"));
        let unlock = Unlock::Passphrase(b"correct");
        drop(KeyStore::create(&path, "us".parse().unwrap(), &unlock, QUICK).unwrap());
        let mut store = KeyStore::open(&path, &unlock, Some(copy.clone())).unwrap();
        let id = store.secret(SecretKind::Person, &LABEL, Position(1)).unwrap();
        let other = store.secret(SecretKind::Person, &[8; 16], Position(1)).unwrap();
        // A second name keeps hold of the blocks that a search of the disk would find.
        let old = [folder.path().join("old"), folder.path().join("old-copy")];
        std::fs::hard_link(&path, &old[0]).unwrap();
        std::fs::hard_link(&copy, &old[1]).unwrap();
        store
            .destroy_each(&[(id, Position(3)), (other, Position(5)), (id, Position(9))])
            .unwrap();
        for old in old {
            let bytes = std::fs::read(old).unwrap();
            assert!(bytes.len() > 100 && bytes.iter().all(|byte| *byte == 0));
        }
        assert_eq!(
            store.ring().destroyed(SecretKind::Person, &LABEL),
            Some((id, Position(3)))
        );
        assert_eq!(
            store.ring().destroyed(SecretKind::Person, &[8; 16]),
            Some((other, Position(5)))
        );
        assert_eq!(store.ring().destroyed(SecretKind::Conversation, &LABEL), None);
        store.secret(SecretKind::Person, &LABEL, Position(6)).unwrap();
        drop(store);
        let again = KeyStore::open(&path, &unlock, None).unwrap();
        assert_eq!(
            again.ring().destroyed(SecretKind::Person, &LABEL),
            Some((id, Position(3)))
        );
    }

    #[test]
    fn a_torn_append_is_cut_off_and_the_rest_opens() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        let unlock = Unlock::Passphrase(b"correct");
        let mut store = KeyStore::create(&path, "us".parse().unwrap(), &unlock, QUICK).unwrap();
        let kept = store.secret(SecretKind::Person, &LABEL, Position(1)).unwrap();
        let whole = std::fs::metadata(&path).unwrap().len();
        store.secret(SecretKind::Person, &[8; 16], Position(1)).unwrap();
        drop(store);
        let longer = std::fs::metadata(&path).unwrap().len();
        for length in whole + 1..longer {
            let bytes = std::fs::read(&path).unwrap();
            let torn = folder.path().join("torn");
            std::fs::write(&torn, &bytes[..length as usize]).unwrap();
            assert!(KeyStore::check(&torn, &unlock).is_err());
            let store = KeyStore::open(&torn, &unlock, None).unwrap();
            assert!(store.ring().secret(kept).is_some());
            assert_eq!(std::fs::metadata(&torn).unwrap().len(), whole);
        }
    }
}
