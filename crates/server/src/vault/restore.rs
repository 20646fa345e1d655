//! Putting a data folder back from a backup.
//!
//! In this order: the key store, the ledger, checked while it is copied; then destructions are done again, before
//! anything is opened; then the ledger says that it was restored and what is known to be lost. `zone.json` comes last:
//! a folder without it is no data folder.

use std::path::{Path, PathBuf};
use std::time::Instant;

use model::entry::{ActCode, Gap, GapCause, Kind};
use model::{Position, Timestamp};
use seal::keyring::{KeyringError, Record, SecretKind, Unlock};
use seal::note::{Checkpoint, NoteKey};
use seal::succession::Lineage;
use seal::suite::SigningKey;
use serde::Serialize;
use serde_json::json;
use store::StoreError;
use store::copy::{MANY_TRIES, Source, named_key_copies};
use store::folder::{self, FolderLock};
use store::keystore::KeyStore;
use store::ledger::log::LogReader;
use store::ledger::{Draft, Ledger};
use zeroize::Zeroizing;

use super::folder::{ACTS_LABEL, SIGNING_LABEL, own_secret};
use super::governance::replay_destructions;
use super::rotation::{self, Succession};
use super::{VaultError, VaultOptions, ZoneFile, read_zone_file};

/// Stands in a folder into which something is being put back.
const MARK: &str = "restoring";

/// Longest key store that is put back.
const KEYSTORE_BYTES_MAX: u64 = 2 << 30;

/// What to put back, and where.
pub struct RestoreOptions<'a> {
    /// A backup, or what is left of a data folder.
    pub from: &'a Path,
    /// A new or empty folder.
    pub data: &'a Path,
    /// What opens the key store.
    pub unlock: &'a Unlock<'a>,
    /// The key store, when it is to be another file than the newest copy in the backup: the second copy.
    pub keys: Option<&'a Path>,
    /// Another backup or data folder, from which what is damaged or missing in the first is taken.
    pub repair_from: Option<&'a Path>,
    /// A checkpoint kept elsewhere.
    pub against: Option<&'a str>,
    /// Go on although entries are known to be lost.
    pub accept_loss: bool,
    /// Where the second copy of the key store is kept from now on.
    pub key_copy: Option<PathBuf>,
    /// Write nothing down: a drill.
    pub is_drill: bool,
    /// Who does it.
    pub actor: &'a str,
}

/// What is known to be lost.
#[derive(Debug, Clone, Default, Serialize, PartialEq, Eq)]
pub struct Lost {
    /// At least so many entries that were there once.
    pub entries_at_least: u64,
    /// Batches of the checkpoint that was compared which are not there.
    pub batches: u64,
    /// Time of the last entry that was put back: what came after it is lost, whether or not it is known.
    pub since: Option<Timestamp>,
}

/// What was put back.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct RestoredFolder {
    /// Zone.
    pub zone: String,
    /// Entries that were put back.
    pub entries: Position,
    /// Batches under the checkpoint that was put back.
    pub batches: u64,
    /// Its root.
    pub root: Option<String>,
    /// Segments.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Segments taken from the other source.
    pub repaired_segments: Vec<u64>,
    /// The key store that was put back.
    pub keys_from: PathBuf,
    /// When that copy was begun.
    pub keys_begun_at: Option<Timestamp>,
    /// Secrets that lived in it although the ledger says that they were destroyed: destroyed again.
    pub destroyed_again: u64,
    /// What is known to be lost.
    pub lost: Lost,
    /// Backups that were configured, and are not any more.
    pub backups_forgotten: usize,
    /// Milliseconds for copying and checking, and for all of it.
    pub copied_in_ms: u64,
    /// All of it.
    pub took_ms: u64,
}

/// Puts it back. Whatever fails, the folder is empty again afterwards.
///
/// # Errors
/// [`VaultError::Exists`] for a folder with something in it; [`VaultError::Store`] names what is damaged, missing, of
/// another zone, or newer than the ledger.
pub fn restore(options: &RestoreOptions<'_>, settings: VaultOptions) -> Result<RestoredFolder, VaultError> {
    let begun = Instant::now();
    begin(options.data)?;
    let restored = put_back(options, settings, begun);
    if restored.is_err() {
        clear(options.data)?;
    }
    restored
}

/// Makes the folder, or empties one in which an earlier restore did not finish.
fn begin(data: &Path) -> Result<(), VaultError> {
    let is_empty = std::fs::read_dir(data).map_or(true, |mut files| files.next().is_none());
    let is_unfinished = data.join(MARK).exists() && !data.join("zone.json").exists();
    if is_unfinished {
        clear(data)?;
    } else if !is_empty {
        return Err(VaultError::Exists(format!(
            "{} is not empty; name a new folder to restore into",
            data.display()
        )));
    }
    folder::create_folder(data)?;
    folder::write_file(&data.join(MARK), b"")?;
    Ok(folder::sync_folder(data)?)
}

/// Empties a folder in which nothing but an unfinished restore stands. The mark goes last.
fn clear(data: &Path) -> Result<(), VaultError> {
    let io = |source| StoreError::io("emptying", data)(source);
    for file in std::fs::read_dir(data).map_err(io)?.flatten() {
        let path = file.path();
        if path.is_dir() {
            std::fs::remove_dir_all(&path).map_err(io)?;
        } else if file.file_name() != MARK {
            std::fs::remove_file(&path).map_err(io)?;
        }
    }
    std::fs::remove_file(data.join(MARK)).map_err(io)?;
    Ok(())
}

fn put_back(
    options: &RestoreOptions<'_>,
    settings: VaultOptions,
    begun: Instant,
) -> Result<RestoredFolder, VaultError> {
    let data = options.data;
    let lock = FolderLock::take(data)?;
    let mut file = read_zone_file(options.from)?;
    folder::create_folder(&data.join("keys"))?;
    // Decided at one moment: the keys that are put back are those of the entries that are.
    let is_copy = options.from.join("zone-keys").is_dir();
    let held = is_copy
        .then(|| store::copy::hold(options.from, MANY_TRIES))
        .transpose()?;
    let (mut keys, keys_from, keys_begun_at) = put_keys_back(options)?;
    let lineage = settle_keys(options.from, &mut keys, &mut file)?;
    let outside = options
        .against
        .map(|note| lineage.checkpoint(note))
        .transpose()
        .map_err(|problem| VaultError::BadData(format!("the outside checkpoint: {problem}")))?;
    store::failpoint::hit("restore-keys-written");
    let other = options.repair_from.map(|other| other.join("ledger"));
    let source = Source {
        ledger: &options.from.join("ledger"),
        other: other.as_deref(),
        accept_loss: options.accept_loss,
    };
    let ledger_folder = data.join("ledger");
    let plan = store::copy::plan(&source, &lineage)?;
    drop(held);
    let restored = plan.carry_out(&ledger_folder, &file.zone, &lineage)?;
    let copied_in_ms = millis(begun);
    let batches_lost = compare(&ledger_folder, restored.size, outside.as_ref())?;
    let known_head = known_head(options, &mut keys, restored.head, restored.known_head)?;
    let (_, seed) = own_secret(&keys, SecretKind::Signing, &SIGNING_LABEL)?;
    let mut ledger_options = settings.ledger;
    ledger_options.succession = Succession::load(options.from, lineage.current().clone())?.notes;
    let (ledger, _) = Ledger::open(
        &ledger_folder,
        file.zone.clone(),
        SigningKey::from_seed(&seed)?,
        lineage.current().name.clone(),
        ledger_options,
        settings.clock.clone(),
    )?;
    let destroyed_again = replay_destructions(&ledger, &mut keys)?;
    let backups_forgotten = forget_backups(&mut keys)?;
    let last = restored
        .head
        .0
        .checked_sub(1)
        .map(|last| ledger.entry(Position(last)));
    let lost = Lost {
        entries_at_least: known_head.0.saturating_sub(restored.head.0).max(batches_lost),
        batches: batches_lost,
        since: last.transpose()?.flatten().map(|entry| entry.header.recorded_at),
    };
    let mut done = RestoredFolder {
        zone: file.zone.to_string(),
        entries: restored.head,
        batches: restored.size,
        root: restored
            .checkpoint
            .as_deref()
            .and_then(|note| note.lines().nth(2))
            .map(str::to_owned),
        segments: restored.segments,
        bytes: restored.bytes,
        repaired_segments: restored.from_other.into_iter().collect(),
        keys_from,
        keys_begun_at,
        destroyed_again,
        lost,
        backups_forgotten,
        copied_in_ms,
        took_ms: 0,
    };
    if !options.is_drill {
        let proved_whole = outside.is_some_and(|outside| outside.size == restored.size);
        write_down(
            &ledger,
            &keys,
            &mut done,
            options,
            ((settings.clock)(), proved_whole, begun),
        )?;
    }
    drop(ledger);
    keys.set_copy(options.key_copy.clone())?;
    finish(options, file)?;
    drop(lock);
    done.took_ms = millis(begun);
    Ok(done)
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// The keys of the log that is put back, of which the key store must hold the one in force. A backup may have been left while
/// the key was being replaced: what is undone of that is done, in the key store that was put back.
fn settle_keys(from: &Path, keys: &mut KeyStore, file: &mut ZoneFile) -> Result<Lineage, VaultError> {
    let damaged = |what: &str, detail: String| StoreError::damaged(format!("the copy's {what}"), detail);
    if *keys.ring().zone() != file.zone {
        return Err(StoreError::Mismatch(format!(
            "the key store is of zone {}, the backup of zone {}",
            keys.ring().zone(),
            file.zone
        ))
        .into());
    }
    let decode =
        |what: &str, text: &str| NoteKey::decode(text).map_err(|problem| damaged(what, problem.to_string()));
    let named = decode("zone.json", &file.public_key)?;
    *file = rotation::settle(from, keys, file)?;
    let lineage = Succession::load(from, decode("zone.json", &file.public_key)?)?.lineage;
    let public = folder::read_file(&from.join("zone.pub"), 1 << 20)?;
    let public = String::from_utf8_lossy(&public).into_owned();
    let beside = decode("zone.pub", public.strip_suffix('\n').unwrap_or_default())?;
    if lineage.generation(&beside).is_none() || lineage.generation(&named).is_none() {
        return Err(damaged("zone.pub", "is not the key that zone.json names".to_owned()).into());
    }
    let (_, seed) = own_secret(keys, SecretKind::Signing, &SIGNING_LABEL)?;
    if SigningKey::from_seed(&seed)?.public() != lineage.current().public {
        return Err(StoreError::Mismatch(
            "the key store holds another signing key than the backup names: it is of another zone, or from before \
             the signing key was replaced; use a newer copy of the key store"
                .to_owned(),
        )
        .into());
    }
    Ok(lineage)
}

/// The key stores that may be put back, best first.
fn candidates(options: &RestoreOptions<'_>) -> Result<Vec<(PathBuf, Option<Timestamp>)>, VaultError> {
    if let Some(keys) = options.keys {
        return Ok(vec![(keys.to_owned(), None)]);
    }
    let mut found = Vec::new();
    for folder in [Some(options.from), options.repair_from].into_iter().flatten() {
        let own = folder.join("keys/keystore");
        if own.exists() {
            found.push((own, None));
        } else if folder.join("zone-keys").is_dir() {
            let newest = named_key_copies(folder)?.into_iter().next();
            found.extend(newest.map(|(path, begun_at)| (path, Some(begun_at))));
        }
    }
    Ok(found)
}

fn put_keys_back(options: &RestoreOptions<'_>) -> Result<(KeyStore, PathBuf, Option<Timestamp>), VaultError> {
    let to = options.data.join("keys/keystore");
    let mut first_problem = None;
    for (path, begun_at) in candidates(options)? {
        let bytes = Zeroizing::new(folder::read_file(&path, KEYSTORE_BYTES_MAX)?);
        folder::write_file(&to, &bytes)?;
        match KeyStore::open(&to, options.unlock, None) {
            Ok(keys) => return Ok((keys, path, begun_at)),
            Err(StoreError::Keyring(
                problem @ (KeyringError::Altered { .. } | KeyringError::Malformed(_)),
            )) => {
                let place = path.display().to_string();
                first_problem.get_or_insert(StoreError::damaged(place, problem.to_string()));
            }
            Err(other) => return Err(other.into()),
        }
    }
    let none = || VaultError::NotFound(format!("copy of the key store in {}", options.from.display()));
    Err(first_problem.map_or_else(none, Into::into))
}

/// Batches that an outside checkpoint covers and the copy lacks.
fn compare(ledger: &Path, size: u64, outside: Option<&Checkpoint>) -> Result<u64, VaultError> {
    let Some(outside) = outside else { return Ok(0) };
    let common = outside.size.min(size);
    if outside.size <= size && LogReader::new(ledger.join("log"), common).root()? != outside.root {
        return Err(StoreError::Mismatch(
            "the copy does not continue the outside checkpoint: it holds another history".to_owned(),
        )
        .into());
    }
    Ok(outside.size.saturating_sub(size))
}

/// The furthest head of the ledger that something still knows of.
fn known_head(
    options: &RestoreOptions<'_>,
    keys: &mut KeyStore,
    head: Position,
    by_checkpoint: Option<Position>,
) -> Result<Position, VaultError> {
    let by_keys = keys.ring().latest_position();
    if by_keys > head {
        if !options.accept_loss {
            return Err(StoreError::Mismatch(format!(
                "the key store is newer than the ledger: it knows of entry {by_keys}, the copy ends at {head}; bring a \
                 newer copy of the ledger, or accept the loss with --accept-loss"
            ))
            .into());
        }
        keys.cut_back(head)?;
    }
    Ok(by_keys.max(by_checkpoint.unwrap_or_default()))
}

/// The restored folder must not copy into what it was restored from, nor into another machine's.
fn forget_backups(keys: &mut KeyStore) -> Result<usize, VaultError> {
    let class = "backup".to_owned();
    let names = keys.ring().item_names(&class);
    let removed = names.iter().map(|name| Record::Item {
        class: class.clone(),
        name: name.clone(),
        bytes: Zeroizing::default(),
    });
    keys.append(removed.collect())?;
    Ok(names.len())
}

fn write_down(
    ledger: &Ledger,
    keys: &KeyStore,
    done: &mut RestoredFolder,
    options: &RestoreOptions<'_>,
    (now, proved_whole, begun): (Timestamp, bool, Instant),
) -> Result<(), VaultError> {
    let mut drafts = Vec::new();
    if done.lost.entries_at_least > 0 || !proved_whole {
        let gap = Gap {
            connection: None,
            from: done.lost.since.unwrap_or(now).min(now),
            to: now,
            cause: GapCause::Restored,
            count: done.lost.entries_at_least,
        };
        drafts.push(Draft {
            kind: Kind::Gap(gap),
            body: Vec::new(),
        });
    }
    done.took_ms = millis(begun);
    let (id, secret) = own_secret(keys, SecretKind::Acts, &ACTS_LABEL)?;
    let act = json!({ "from": options.from, "restored": done, "actor": options.actor });
    let mut body = serde_json::to_vec(&act).unwrap_or_default();
    let under = seal::act::Under { id, secret: &secret };
    let act = seal::act::seal_act(ledger.zone(), ActCode::Restored, under, &mut body)?;
    drafts.push(Draft {
        kind: Kind::Act(act),
        body,
    });
    ledger.append(drafts)?;
    ledger.flush()?;
    Ok(())
}

fn finish(options: &RestoreOptions<'_>, mut file: ZoneFile) -> Result<(), VaultError> {
    let data = options.data;
    folder::create_folder(&data.join("catalogue"))?;
    for name in super::backups::BESIDE {
        super::backups::copy_tree(&options.from.join(name), &data.join(name))?;
    }
    folder::write_file(
        &data.join("zone.pub"),
        format!("{}\n", file.public_key).as_bytes(),
    )?;
    file.key_copy = options.key_copy.clone();
    let text = serde_json::to_vec_pretty(&file).unwrap_or_default();
    folder::replace_file(&data.join("zone.json"), &text)?;
    let mark = data.join(MARK);
    std::fs::remove_file(&mark).map_err(StoreError::io("removing", &mark))?;
    Ok(folder::sync_folder(data)?)
}
