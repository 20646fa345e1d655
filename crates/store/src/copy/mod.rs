//! A copy of a data folder in another folder, kept up to date while the ledger grows.
//!
//! *Shape.* `ledger/segments/NUMBER.seg` are full segments; `NUMBER.open` is one that is not full yet, and only grows.
//! `ledger/log/tile/…` are full tiles, and the batches of the unfinished one; `ledger/log/checkpoints/SIZE` the newest
//! checkpoints. `zone-keys/…keystore` are dated copies of the key store, as sealed as the key store itself, each beside
//! a `.expires`. `zone.json` and `zone.pub` are those of the data folder.
//!
//! A name is given once and what stands under it does not change, except that an `.open` and the newest copy of the keys
//! grow at their ends. So the folder can be taken further by whatever copies files, at any moment: what stands there
//! then ends at a signed checkpoint, or is cut back to one by restoring. A file gets its name when it is whole and
//! durable; until then it ends in `.part`, which nothing reads.
//!
//! The keys are copied before the entries that need them. `ledger` stands before `zone-keys` in the alphabet, so that
//! a copy of the copy, made name by name, has the keys of the entries it holds too.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use model::Position;
use seal::note::{Checkpoint, NoteKey};
use seal::succession::Lineage;

use crate::failpoint;
use crate::folder::{self, FolderLock, StoreError};
use crate::ledger::places::copied_checkpoints;

mod follow;
pub mod keys;
mod restore;

pub use follow::Copied;
pub use keys::{KeyCopy, expire, key_copies, named_key_copies};
pub use restore::{Plan, Restored, Source, plan, restore_ledger};
pub(crate) use restore::{load_batches, log_files, whole_end};

/// Ending of a file that is not whole yet.
const UNFINISHED: &str = "part";

/// A copy, as its one writer knows it. Held only while it is written or read: see [`hold`].
pub struct Copy {
    folder: PathBuf,
    keys: Lineage,
    /// Segments below this number are there and full.
    full_below: u64,
    /// Batches of the newest checkpoint that is there.
    size: u64,
    /// Segments that are not full, with how many bytes of each were compared with the ledger or copied from it.
    compared: BTreeMap<u64, u64>,
}

/// Whether a copy is of the zone with these keys: it may name one that was replaced meanwhile.
fn is_of(folder: &Path, keys: &Lineage) -> bool {
    let there = std::fs::read_to_string(folder.join("zone.pub")).unwrap_or_default();
    let there = there
        .strip_suffix('\n')
        .and_then(|text| NoteKey::decode(text).ok());
    there.is_some_and(|key| keys.generation(&key).is_some())
}

fn ledger_folder(folder: &Path) -> PathBuf {
    folder.join("ledger")
}

/// Makes an empty copy for a zone, or takes one of the same zone that is there.
///
/// # Errors
/// [`StoreError::Mismatch`] when the folder holds something else; [`StoreError::Io`].
pub fn prepare(folder: &Path, zone_json: &[u8], keys: &Lineage) -> Result<(), StoreError> {
    let mark = folder.join("zone.pub");
    let is_empty = std::fs::read_dir(folder).map_or(true, |mut files| files.next().is_none());
    if !is_empty {
        if !is_of(folder, keys) {
            return Err(StoreError::Mismatch(format!(
                "{} is not empty and is no backup of this zone; name another folder",
                folder.display()
            )));
        }
        return Ok(());
    }
    for part in [
        "ledger/segments",
        "ledger/log/checkpoints",
        "ledger/aside",
        "zone-keys",
    ] {
        folder::create_folder(&folder.join(part))?;
    }
    replace_if_other(&folder.join("zone.json"), zone_json)?;
    folder::sync_folder(folder)?;
    // Last: a folder without it is no backup.
    folder::replace_file(&mark, format!("{}\n", keys.current().encode()).as_bytes())
}

/// Replaces a small file when its content changed.
///
/// # Errors
/// [`StoreError::Io`].
pub fn replace_if_other(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    if std::fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    folder::replace_file(path, bytes)
}

/// Writes a file that gets its name only once it is whole and durable.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let part = unfinished(path);
    folder::write_file(&part, bytes)?;
    name(&part, path)
}

fn unfinished(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(UNFINISHED);
    PathBuf::from(name)
}

/// Gives a durable file its name, durably.
fn name(part: &Path, path: &Path) -> Result<(), StoreError> {
    std::fs::rename(part, path).map_err(StoreError::io("renaming", part))?;
    path.parent().map_or(Ok(()), folder::sync_folder)
}

/// Copies `length` bytes from where `from` stands, telling `seen` of each piece.
fn pour(
    from: &mut impl Read,
    (source, target): (&Path, &Path),
    to: &mut File,
    length: u64,
    mut seen: impl FnMut(&[u8]),
) -> Result<(), StoreError> {
    let mut buffer = vec![0; 1 << 20];
    let mut left = length;
    while left > 0 {
        let most = usize::try_from(left.min(buffer.len() as u64)).unwrap_or(buffer.len());
        let piece = buffer.get_mut(..most).unwrap_or(&mut []);
        from.read_exact(piece)
            .map_err(StoreError::io("reading", source))?;
        seen(piece);
        to.write_all(piece).map_err(StoreError::io("writing", target))?;
        left -= most as u64;
        failpoint::hit("copy-half-written");
    }
    Ok(())
}

impl Copy {
    /// Opens a copy that [`prepare`] made.
    ///
    /// # Errors
    /// [`StoreError::Mismatch`] when it is of another zone, or no copy; [`StoreError::Io`].
    pub fn open(folder: &Path, keys: Lineage) -> Result<Copy, StoreError> {
        if !is_of(folder, &keys) {
            return Err(StoreError::Mismatch(format!(
                "{} is no backup of this zone (is the disk mounted?)",
                folder.display()
            )));
        }
        let checkpoints = copied_checkpoints(&ledger_folder(folder))?;
        Ok(Copy {
            folder: folder.to_owned(),
            keys,
            full_below: 0,
            size: checkpoints.last().map_or(0, |(size, _)| *size),
            compared: BTreeMap::new(),
        })
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

/// How often, and after what pauses, a copy that somebody holds is tried again: by a round that comes again anyway, and by
/// whoever cannot come again.
pub const FEW_TRIES: u32 = 3;
/// The same.
pub const MANY_TRIES: u32 = 100;
const PAUSE: std::time::Duration = std::time::Duration::from_millis(100);

/// Holds a copy, so that nobody writes it, or reads while it is written; waits a while for whoever holds it. None when it
/// cannot be held because nothing can be written there: then nobody writes it.
///
/// # Errors
/// [`StoreError::Locked`] when somebody held it at every try.
pub fn hold(folder: &Path, tries: u32) -> Result<Option<FolderLock>, StoreError> {
    for _ in 0..tries {
        match FolderLock::take(folder) {
            Ok(lock) => return Ok(Some(lock)),
            Err(StoreError::Locked(_)) => std::thread::sleep(PAUSE),
            Err(_) => return Ok(None),
        }
    }
    Err(StoreError::Locked(folder.to_owned()))
}

/// How far a copy has come: batches of its newest checkpoint.
///
/// # Errors
/// [`StoreError::Io`]; [`StoreError::Damaged`] when that checkpoint is not one of this zone's.
pub fn newest(folder: &Path, keys: &Lineage) -> Result<Option<Checkpoint>, StoreError> {
    let ledger = ledger_folder(folder);
    let Some((size, path)) = copied_checkpoints(&ledger)?.pop() else {
        return Ok(None);
    };
    let name = format!("ledger/log/checkpoints/{size:012}");
    let note = String::from_utf8(folder::read_file(&path, 1 << 20)?)
        .map_err(|_| StoreError::damaged(name.clone(), "is not text"))?;
    let checkpoint = keys
        .checkpoint(&note)
        .map_err(|problem| StoreError::damaged(name, problem.to_string()))?;
    Ok(Some(checkpoint))
}

/// What the ledger's entries up to a checkpoint are called in errors.
fn up_to(position: Position) -> String {
    match position.0.checked_sub(1) {
        None => "no entry".to_owned(),
        Some(last) => format!("entries up to {last}"),
    }
}
