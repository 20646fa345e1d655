//! Dated copies of the key store, which must expire: a key in a copy is a key that was not destroyed.
//!
//! A copy is begun at least once a day, and at once when the key store was written anew, as a destruction does. Until
//! then it grows with the key store. Beside it stands `NAME.expires` with three lines: when it was begun, when it is to
//! be deleted, and the head of the ledger when it was begun. A copy that was begun at a head at or before a destruction
//! holds what was destroyed there, until its date.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::{Position, Timestamp};

use super::{Copy, UNFINISHED, name, unfinished, write_whole};
use crate::failpoint;
use crate::folder::{self, StoreError};
use crate::keystore::KeyStore;

/// A new copy is begun at least this often; more often when copies are kept for less than two days.
const BEGUN_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

/// So many bytes before the end of a copy are compared with the key store: a key store that was written anew has other
/// nonces throughout.
const COMPARED_BYTES: u64 = 64;

const ENDING: &str = "keystore";
const EXPIRES: &str = "expires";

/// A copy of the key store that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyCopy {
    /// Its file.
    pub path: PathBuf,
    /// When it was begun.
    pub begun_at: Timestamp,
    /// When it is deleted.
    pub expires_at: Timestamp,
    /// Head of the ledger when it was begun: what was destroyed by an entry at or after it may be in this copy.
    pub head: Position,
}

impl KeyCopy {
    /// Whether a secret that the entry at `destroyed` destroyed may be in it.
    pub fn may_hold(&self, destroyed: Position) -> bool {
        self.head <= destroyed
    }
}

fn keys_folder(folder: &Path) -> PathBuf {
    folder.join("zone-keys")
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(EXPIRES);
    PathBuf::from(name)
}

fn read_dates(path: &Path) -> Option<(Timestamp, Timestamp, Position)> {
    let text = std::fs::read_to_string(beside(path)).ok()?;
    let mut lines = text.lines();
    let mut next = |name: &str| lines.next()?.strip_prefix(name);
    let begun = Timestamp::parse(next("begun ")?).ok()?;
    let expires = Timestamp::parse(next("expires ")?).ok()?;
    let head = next("head ")?.parse().ok()?;
    Some((begun, expires, Position(head)))
}

/// The copies of the key store in a backup, oldest first.
///
/// # Errors
/// [`StoreError::Io`]; [`StoreError::Damaged`] for one whose dates are missing or no dates.
pub fn key_copies(folder: &Path) -> Result<Vec<KeyCopy>, StoreError> {
    let at = keys_folder(folder);
    let mut found = Vec::new();
    for file in std::fs::read_dir(&at).map_err(StoreError::io("listing", &at))? {
        let path = file.map_err(StoreError::io("listing", &at))?.path();
        if path.extension().is_some_and(|ending| ending == ENDING) {
            let (begun_at, expires_at, head) = read_dates(&path)
                .ok_or_else(|| StoreError::damaged(beside(&path).display().to_string(), "says no dates"))?;
            found.push(KeyCopy {
                path,
                begun_at,
                expires_at,
                head,
            });
        }
    }
    found.sort_by(|a, b| (a.begun_at, a.head, &a.path).cmp(&(b.begun_at, b.head, &b.path)));
    Ok(found)
}

/// The copies of the key store in a backup with the times in their names, newest first, whatever is said beside them: for
/// restoring, to which dates are of no account.
///
/// # Errors
/// [`StoreError::Io`].
pub fn named_key_copies(folder: &Path) -> Result<Vec<(PathBuf, Timestamp)>, StoreError> {
    let at = keys_folder(folder);
    let mut found = Vec::new();
    for file in std::fs::read_dir(&at).map_err(StoreError::io("listing", &at))? {
        let path = file.map_err(StoreError::io("listing", &at))?.path();
        if path.extension().is_some_and(|ending| ending == ENDING)
            && let Some((begun_at, head)) = begun_by_name(&path)
        {
            found.push((begun_at, head, path));
        }
    }
    found.sort();
    Ok(found
        .into_iter()
        .rev()
        .map(|(begun_at, _, path)| (path, begun_at))
        .collect())
}

/// The time and the head in the name of a copy: `2026-02-01T101112Z-000000001234.keystore`.
fn begun_by_name(path: &Path) -> Option<(Timestamp, Position)> {
    let (time, head) = path.file_stem()?.to_str()?.rsplit_once('-')?;
    let (hour, rest) = time.split_at_checked(13)?;
    let (minute, second) = rest.split_at_checked(2)?;
    let begun = Timestamp::parse(&format!("{hour}:{minute}:{second}")).ok()?;
    Some((begun, Position(head.parse().ok()?)))
}

/// What is to be appended to a copy, read while nobody writes the key store.
pub struct KeyBytes {
    /// The copy it belongs to, and how long that is; none when a new copy is to be begun.
    to: Option<(PathBuf, u64)>,
    bytes: Vec<u8>,
    head: Position,
}

impl Copy {
    /// Reads what the newest copy of the key store lacks. The caller lets nobody add a secret until it has a checkpoint
    /// that covers `head`, the ledger's head; then no entry below that checkpoint needs a secret that is not in it.
    ///
    /// # Errors
    /// [`StoreError::Io`], [`StoreError::Damaged`].
    pub fn read_keys(
        &self,
        keys: &KeyStore,
        head: Position,
        keep: Duration,
        now: Timestamp,
    ) -> Result<KeyBytes, StoreError> {
        let newest = key_copies(&self.folder)?.pop();
        if let Some(copy) = newest {
            let age = Duration::from_micros(
                u64::try_from(now.as_micros() - copy.begun_at.as_micros()).unwrap_or(0),
            );
            let is_young = now >= copy.begun_at && age < BEGUN_EVERY.min(keep / 2);
            let have = std::fs::metadata(&copy.path).map_err(StoreError::io("reading", &copy.path))?;
            if is_young && let Some(bytes) = since(keys, &copy.path, have.len())? {
                return Ok(KeyBytes {
                    to: Some((copy.path, have.len())),
                    bytes,
                    head,
                });
            }
        }
        Ok(KeyBytes {
            to: None,
            bytes: keys.sealed_from(0)?,
            head,
        })
    }

    /// Writes what [`Copy::read_keys`] read, and deletes the copies whose date is over. The newest stays.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn write_keys(&self, read: &KeyBytes, keep: Duration, now: Timestamp) -> Result<(), StoreError> {
        match &read.to {
            Some(_) if read.bytes.is_empty() => {}
            Some((path, have)) => {
                let file = folder::create_file(path, false)?;
                let io = |source| StoreError::io("writing", path)(source);
                let half = read.bytes.len() / 2;
                let (first, second) = read.bytes.split_at_checked(half).unwrap_or((&[], &[]));
                file.write_all_at(first, *have).map_err(io)?;
                failpoint::hit("copy-keys-half-written");
                file.write_all_at(second, *have + half as u64).map_err(io)?;
                file.sync_data().map_err(io)?;
            }
            None => self.begin_keys(read, keep, now)?,
        }
        self.expire_keys(now)
    }

    fn begin_keys(&self, read: &KeyBytes, keep: Duration, now: Timestamp) -> Result<(), StoreError> {
        let keep = i64::try_from(keep.as_micros()).unwrap_or(i64::MAX);
        let expires = Timestamp::from_micros(now.as_micros().saturating_add(keep));
        let file = format!(
            "{}-{:012}.{ENDING}",
            now.to_string().replace(':', ""),
            read.head.0
        );
        let path = keys_folder(&self.folder).join(file);
        let text = format!("begun {now}\nexpires {expires}\nhead {}\n", read.head);
        let part = unfinished(&path);
        folder::write_file(&part, &read.bytes)?;
        // The date first: no copy is without one.
        write_whole(&beside(&path), text.as_bytes())?;
        failpoint::hit("copy-keys-half-written");
        name(&part, &path)
    }

    fn expire_keys(&self, now: Timestamp) -> Result<(), StoreError> {
        expire(&self.folder, now, true)?;
        // Dates whose copy is gone or never came to be, and copies that were never finished.
        let at = keys_folder(&self.folder);
        for file in std::fs::read_dir(&at)
            .map_err(StoreError::io("listing", &at))?
            .flatten()
        {
            let path = file.path();
            let ending = path.extension().and_then(|ending| ending.to_str());
            let is_left_over = match ending {
                Some(EXPIRES) => !path.with_extension("").exists(),
                Some(UNFINISHED) => true,
                _ => false,
            };
            if is_left_over {
                std::fs::remove_file(&path).map_err(StoreError::io("removing", &path))?;
            }
        }
        folder::sync_folder(&at)
    }
}

/// Deletes the copies of the key store in a backup whose date is over, the newest too unless it is to stay. How many are
/// left.
///
/// # Errors
/// [`StoreError::Io`], [`StoreError::Damaged`].
pub fn expire(folder: &Path, now: Timestamp, keep_newest: bool) -> Result<usize, StoreError> {
    let all = key_copies(folder)?;
    let newest = all.len().saturating_sub(1);
    let over = (0..)
        .zip(&all)
        .filter(|(at, copy)| copy.expires_at <= now && !(keep_newest && *at == newest));
    let mut left = all.len();
    for (_, copy) in over {
        // The copy first: dates without a copy are taken away later, a copy without dates never.
        std::fs::remove_file(&copy.path).map_err(StoreError::io("removing", &copy.path))?;
        let dates = beside(&copy.path);
        std::fs::remove_file(&dates).map_err(StoreError::io("removing", &dates))?;
        left -= 1;
    }
    Ok(left)
}

/// What the key store holds after the first `have` bytes; none when these are not what the copy holds.
fn since(keys: &KeyStore, copy: &Path, have: u64) -> Result<Option<Vec<u8>>, StoreError> {
    let from = have.saturating_sub(COMPARED_BYTES);
    let mut tail = vec![0; usize::try_from(have - from).unwrap_or(0)];
    File::open(copy)
        .and_then(|file| file.read_exact_at(&mut tail, from))
        .map_err(StoreError::io("reading", copy))?;
    let bytes = keys.sealed_from(from)?;
    Ok(bytes
        .strip_prefix(tail.as_slice())
        .map(<[u8]>::to_vec)
        .filter(|_| have > 0))
}
