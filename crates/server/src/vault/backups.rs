//! Backups: other folders to which sealed segments, log and dated copies of the key store are copied continuously.
//!
//! A backup is not the second copy of the key store that lets erasure come into force. It follows a destruction within
//! seconds, not at once, and its older copies of the key store hold what was destroyed until their date.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use model::entry::ActCode;
use model::{Position, Timestamp};
use seal::keyring::{Keyring, Record};
use seal::suite::{hex, sha256};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::StoreError;
use store::copy::{Copied, Copy, FEW_TRIES, MANY_TRIES, hold};
use store::folder;
use store::ledger::log::LogReader;
use tokio::sync::watch;
use zeroize::Zeroizing;

use super::checks::{Check, CheckKind};
use super::rotation::FOLDER as SUCCESSION;
use super::{Inner, Vault, VaultError, locked};

const CLASS: &str = "backup";

/// How often it is looked whether there is something to copy. What is newer may be lost with the disk.
const LOOK_EVERY: Duration = Duration::from_secs(3);

/// Even when nothing is new, dates are looked at this often.
const DATES_EVERY_MICROS: i64 = 60 * 60 * 1_000_000;

/// How often the ledger is told that copying goes on.
const ACT_EVERY_MICROS: i64 = 24 * 60 * 60 * 1_000_000;

/// A backup that lacks an entry older than this is behind.
const BEHIND_MICROS_MAX: i64 = 5 * 60 * 1_000_000;

/// Copies of the key store are kept this long unless told otherwise; longer is refused, for a key in a copy is a key that
/// is not destroyed.
pub const KEEP_KEYS_DAYS_MAX: u32 = 30;

/// Files beside the ledger that are no longer than this are copied as they are.
const SMALL_BYTES_MAX: u64 = 16 << 20;

/// Folders of small files beside the ledger that a backup holds too: proofs from outside, statements of new keys.
pub(crate) const BESIDE: [&str; 2] = ["anchors", SUCCESSION];

/// A configured backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupConfig {
    /// Its folder.
    pub folder: PathBuf,
    /// Days after which a copy of the key store is deleted from it.
    pub keep_keys_days: u32,
    /// Since when.
    pub added_at: Timestamp,
    /// Nothing is copied into it since then; its copies of the key store are still deleted when their date comes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed_at: Option<Timestamp>,
}

impl BackupConfig {
    fn keep(&self) -> Duration {
        Duration::from_secs(u64::from(self.keep_keys_days) * 24 * 60 * 60)
    }

    fn item(&self) -> String {
        item_of(&self.folder)
    }
}

fn item_of(folder: &Path) -> String {
    let digest = sha256(folder.as_os_str().as_encoded_bytes());
    hex(&digest).chars().take(32).collect()
}

/// What is known of backups while the vault is open.
#[derive(Default)]
pub(crate) struct Backups {
    by_folder: BTreeMap<PathBuf, Open>,
}

#[derive(Default)]
struct Open {
    copy: Option<Copy>,
    /// Head of the ledger and writes of the key store at the last round.
    done: Option<(Position, u64)>,
    at: Option<Timestamp>,
    told: Option<Timestamp>,
    failed: Option<String>,
}

impl Vault {
    /// Adds a backup in `folder`, which must be empty or a backup of this zone, and copies everything.
    ///
    /// # Errors
    /// [`VaultError::Usage`] for a folder inside the data folder or around it, or days that are none;
    /// [`VaultError::Exists`]; [`VaultError::Store`].
    pub fn add_backup(&self, folder: &Path, keep_keys_days: u32, actor: &str) -> Result<Value, VaultError> {
        if !(1..=KEEP_KEYS_DAYS_MAX).contains(&keep_keys_days) {
            return Err(VaultError::Usage(format!(
                "copies of the key store are kept 1 to {KEEP_KEYS_DAYS_MAX} days, not {keep_keys_days}: what is \
                 destroyed can be read from them until then"
            )));
        }
        let inner = &self.inner;
        let folder = apart(&inner.folder, folder)?;
        if inner.backup_configs().iter().any(|known| known.folder == folder) {
            return Err(VaultError::Exists(format!(
                "{} is a backup already",
                folder.display()
            )));
        }
        let config = BackupConfig {
            folder: folder.clone(),
            keep_keys_days,
            added_at: (inner.clock)(),
            removed_at: None,
        };
        let zone_json = folder::read_file(&inner.folder.join("zone.json"), 1 << 20)?;
        store::copy::prepare(&folder, &zone_json, &inner.lineage())?;
        drop(Copy::open(&folder, inner.lineage())?);
        let said = json!({ "setting": "backup", "added": config, "actor": actor });
        inner.act(ActCode::SettingChanged, &said)?;
        inner.keep_config(&config)?;
        let copied = inner.copy_now(&config, actor)?;
        Ok(json!({ "backup": config, "copied": copied }))
    }

    /// Copies into this folder no longer. What stands there stays, but for copies of the key store whose date comes.
    ///
    /// # Errors
    /// [`VaultError::NotFound`]; [`VaultError::Store`].
    pub fn remove_backup(&self, folder: &Path, actor: &str) -> Result<Value, VaultError> {
        let inner = &self.inner;
        let folder = resolved(folder);
        let configs = inner.backup_configs();
        let config = configs.into_iter().find(|known| known.folder == folder);
        let mut config =
            config.ok_or_else(|| VaultError::NotFound(format!("backup in {}", folder.display())))?;
        let said = json!({ "setting": "backup", "removed": config, "actor": actor });
        inner.act(ActCode::SettingChanged, &said)?;
        config.removed_at = Some((inner.clock)());
        inner.keep_config(&config)?;
        locked(&inner.backups).by_folder.remove(&folder);
        Ok(json!({ "removed": config, "key_copies": inner.key_copies_of(&config) }))
    }

    /// All backups and how far each has come.
    ///
    /// # Errors
    /// [`VaultError::Store`].
    pub fn backups(&self) -> Result<Value, VaultError> {
        let mut all = Vec::new();
        for config in self.inner.backup_configs() {
            let standing = self.inner.standing(&config);
            let copies = self.inner.key_copies_of(&config);
            all.push(json!({
                "folder": config.folder, "keep_keys_days": config.keep_keys_days, "added_at": config.added_at,
                "current": standing.is_current, "state": standing.detail, "key_copies": copies,
            }));
        }
        Ok(json!({ "backups": all }))
    }

    /// Brings every backup up to date now, and writes it down.
    ///
    /// # Errors
    /// [`VaultError::NotFound`] when there is none; the first that failed, once all were tried.
    pub fn backup_now(&self, actor: &str) -> Result<Value, VaultError> {
        let configs = self.inner.backup_configs();
        if configs.is_empty() {
            return Err(VaultError::NotFound(
                "backup yet: `chancery backup add DIR`".to_owned(),
            ));
        }
        let (mut all, mut first_failure) = (Vec::new(), None);
        for config in configs {
            match self.inner.copy_now(&config, actor) {
                Ok(copied) => all.push(json!({ "folder": config.folder, "copied": copied })),
                Err(error) => drop(first_failure.get_or_insert(error)),
            }
        }
        first_failure.map_or(Ok(json!({ "backups": all })), Err)
    }

    /// Copies what is new, quietly: what fails is logged, and said by `doctor`.
    pub fn follow_backups(&self) {
        self.inner.follow_backups();
    }
}

/// Copies until told to stop. Reads both copies from time to time.
pub async fn run(vault: Arc<Vault>, mut stopping: watch::Receiver<bool>) {
    let mut tick = tokio::time::interval(LOOK_EVERY);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            _ = stopping.changed() => return,
        }
        let asked = vault.clone();
        if tokio::task::spawn_blocking(move || asked.follow_backups())
            .await
            .is_err()
        {
            return;
        }
    }
}

/// The folder from the root, when neither it nor the data folder lies in the other.
fn apart(data: &Path, folder: &Path) -> Result<PathBuf, VaultError> {
    let (data, folder) = (resolved(data), resolved(folder));
    if folder.starts_with(&data) || data.starts_with(&folder) {
        return Err(VaultError::Usage(format!(
            "{} lies in the data folder or around it: a backup belongs on another disk",
            folder.display()
        )));
    }
    Ok(folder)
}

/// The path with links followed as far as it exists.
fn resolved(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut rest = Vec::new();
    let mut at = path.as_path();
    loop {
        if let Ok(real) = at.canonicalize() {
            return rest.iter().rev().fold(real, |whole, part| whole.join(part));
        }
        let (Some(Component::Normal(name)), Some(parent)) = (at.components().next_back(), at.parent()) else {
            return path;
        };
        rest.push(name.to_owned());
        at = parent;
    }
}

fn configs_of(ring: &Keyring) -> Vec<BackupConfig> {
    let names = ring.item_names(CLASS);
    let items = names.iter().filter_map(|name| ring.item(CLASS, name));
    items
        .filter_map(|bytes| serde_json::from_slice(bytes).ok())
        .collect()
}

/// Folders of the backups that a key ring knows.
pub(crate) fn configured(ring: &Keyring) -> Vec<PathBuf> {
    let configs = configs_of(ring).into_iter();
    let kept = configs.filter(|config| config.removed_at.is_none());
    kept.map(|config| config.folder).collect()
}

struct Standing {
    is_current: bool,
    detail: String,
}

impl Inner {
    /// Those into which is copied.
    pub(crate) fn backup_configs(&self) -> Vec<BackupConfig> {
        let mut all = self.all_backup_configs();
        all.retain(|config| config.removed_at.is_none());
        all
    }

    /// Removed ones too, while a copy of the key store may be left in them.
    pub(crate) fn all_backup_configs(&self) -> Vec<BackupConfig> {
        configs_of(locked(&self.keys).ring())
    }

    fn keep_config(&self, config: &BackupConfig) -> Result<(), VaultError> {
        let bytes = serde_json::to_vec(config).unwrap_or_default();
        self.keep_item(config, Zeroizing::new(bytes))
    }

    fn keep_item(&self, config: &BackupConfig, bytes: Zeroizing<Vec<u8>>) -> Result<(), VaultError> {
        let (class, name) = (CLASS.to_owned(), config.item());
        Ok(locked(&self.keys).append(vec![Record::Item { class, name, bytes }])?)
    }

    /// Deletes the copies of the key store whose date is over from a backup that was removed; forgets it with the last.
    fn expire_removed(&self, config: &BackupConfig) -> Result<(), VaultError> {
        if store::copy::expire(&config.folder, (self.clock)(), false)? == 0 {
            self.keep_item(config, Zeroizing::default())?;
        }
        Ok(())
    }

    fn follow_backups(&self) {
        for removed in self
            .all_backup_configs()
            .iter()
            .filter(|config| config.removed_at.is_some())
        {
            if let Err(error) = self.expire_removed(removed) {
                self.note_failure(removed, &error);
            }
        }
        for config in self.backup_configs() {
            match self.copy_round(&config, false) {
                Ok(Some(_)) => self.tell_now_and_then(&config),
                Ok(None) => {}
                Err(error) => self.note_failure(&config, &error),
            }
        }
    }

    /// Logs a failure once, until another takes its place.
    fn note_failure(&self, config: &BackupConfig, error: &VaultError) {
        let said = said(error);
        let mut backups = locked(&self.backups);
        let open = backups.by_folder.entry(config.folder.clone()).or_default();
        if open.failed.as_ref() != Some(&said) {
            tracing::error!(error = said, "a backup is not kept up to date");
        }
        open.failed = Some(said);
    }

    fn tell_now_and_then(&self, config: &BackupConfig) {
        let now = (self.clock)();
        {
            let mut backups = locked(&self.backups);
            let open = backups.by_folder.entry(config.folder.clone()).or_default();
            let is_due = open
                .told
                .is_none_or(|told| now.as_micros() - told.as_micros() >= ACT_EVERY_MICROS);
            if !is_due {
                return;
            }
            open.told = Some(now);
        }
        let act = json!({ "folder": config.folder, "actor": "chancery" });
        if let Err(error) = self.act(ActCode::BackedUp, &act) {
            tracing::error!(error = %error, "that a backup goes on could not be written down");
        }
    }

    /// Copies everything and writes it down, then copies that too.
    fn copy_now(&self, config: &BackupConfig, actor: &str) -> Result<Value, VaultError> {
        let first = self
            .copy_round(config, true)
            .inspect_err(|error| self.note_failure(config, error))?;
        let first = first.unwrap_or_default();
        let act = json!({
            "folder": config.folder, "size": first.size, "covers": first.covers, "actor": actor,
        });
        self.act(ActCode::BackedUp, &act)?;
        let last = self.copy_round(config, true)?.unwrap_or_default();
        Ok(json!({
            "bytes": first.bytes + last.bytes, "segments": first.segments + last.segments,
            "batches": last.size, "entries": last.covers,
        }))
    }

    /// One round; none when there was nothing to do.
    fn copy_round(&self, config: &BackupConfig, always: bool) -> Result<Option<Copied>, VaultError> {
        let mut backups = locked(&self.backups);
        let open = backups.by_folder.entry(config.folder.clone()).or_default();
        let now = (self.clock)();
        let standing = (self.ledger.head(), locked(&self.keys).writes());
        let looked = open
            .at
            .is_some_and(|at| (0..DATES_EVERY_MICROS).contains(&(now.as_micros() - at.as_micros())));
        if !always && looked && open.failed.is_none() && open.done == Some(standing) {
            return Ok(None);
        }
        let mut copy = match open.copy.take() {
            Some(copy) => copy,
            None => Copy::open(&config.folder, self.lineage())?,
        };
        // A restore or a drill reads it just now: the next round is soon. Whoever asked for this one waits.
        let tries = if always { MANY_TRIES } else { FEW_TRIES };
        let held = match hold(&config.folder, tries) {
            Err(StoreError::Locked(_)) if !always => {
                open.copy = Some(copy);
                return Ok(None);
            }
            held => held?,
        };
        // A failed round begins with a copy that is opened anew: the disk may have been changed for another.
        let copied = self.bring_up(&mut copy, config, now)?;
        drop(held);
        *open = Open {
            copy: Some(copy),
            done: Some(standing),
            at: Some(now),
            told: open.told,
            failed: None,
        };
        Ok(Some(copied))
    }

    fn bring_up(&self, copy: &mut Copy, config: &BackupConfig, now: Timestamp) -> Result<Copied, VaultError> {
        // While nobody can add a secret: what the checkpoint covers needs no secret that is not in the copy, and the
        // copy knows of no entry that the checkpoint does not cover.
        let (read, signed) = {
            // No checkpoint by a new key, and no key store that holds it, without the statement that leads to it.
            let _no_new_key = locked(&self.rotating);
            copy_tree(&self.folder.join(SUCCESSION), &copy.folder().join(SUCCESSION))?;
            let keys = locked(&self.keys);
            let read = copy.read_keys(&keys, self.ledger.head(), config.keep(), now)?;
            (read, self.ledger.flush()?)
        };
        copy.write_keys(&read, config.keep(), now)?;
        let copied = match signed {
            Some(signed) => copy.follow(&self.ledger, &signed)?,
            None => Copied::default(),
        };
        self.copy_small_files(copy.folder())?;
        Ok(copied)
    }

    /// What stands plain beside the ledger: the zone's files, and anchors.
    fn copy_small_files(&self, to: &Path) -> Result<(), VaultError> {
        for name in ["zone.json", "zone.pub"] {
            let bytes = folder::read_file(&self.folder.join(name), SMALL_BYTES_MAX)?;
            store::copy::replace_if_other(&to.join(name), &bytes)?;
        }
        for name in BESIDE {
            copy_tree(&self.folder.join(name), &to.join(name))?;
        }
        Ok(())
    }

    fn standing(&self, config: &BackupConfig) -> Standing {
        let failed = locked(&self.backups)
            .by_folder
            .get(&config.folder)
            .and_then(|open| open.failed.clone());
        let behind = |detail: String| Standing {
            is_current: false,
            detail,
        };
        if let Some(failed) = failed {
            return behind(failed);
        }
        let there = match store::copy::newest(&config.folder, &self.lineage()) {
            Ok(there) => there.map_or(0, |there| there.size),
            Err(error) => return behind(said(&error.into())),
        };
        let Some(signed) = self.ledger.signed().filter(|signed| signed.size > there) else {
            return Standing {
                is_current: true,
                detail: "holds everything".to_owned(),
            };
        };
        let first = LogReader::new(self.ledger.log_folder(), signed.size).batch(there);
        let Ok(first) = first else {
            return behind("cannot be compared with the ledger".to_owned());
        };
        let age = (self.clock)().as_micros() - first.first_at.as_micros();
        Standing {
            is_current: age <= BEHIND_MICROS_MAX,
            detail: format!(
                "lacks what was recorded since {}; `serve` copies it within seconds, `chancery backup now` at once",
                first.first_at
            ),
        }
    }

    /// For `doctor`.
    pub(crate) fn check_backups(&self) -> Vec<Check> {
        let configs = self.backup_configs();
        if configs.is_empty() {
            let detail = "none: one lost disk loses the record; `chancery backup add DIR`, on another disk";
            return vec![Check::new(CheckKind::Backup, "a backup is kept", false, detail)];
        }
        let check = |config: &BackupConfig| {
            let standing = self.standing(config);
            let check = format!("the backup in {} is current", config.folder.display());
            Check::new(CheckKind::Backup, check, standing.is_current, standing.detail)
        };
        configs.iter().map(check).collect()
    }
}

/// The error and its cause in one line.
fn said(error: &VaultError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.ends_with(&words) {
            text = format!("{text}: {words}");
        }
        cause = error.source();
    }
    text
}

pub(crate) fn copy_tree(from: &Path, to: &Path) -> Result<(), StoreError> {
    let Ok(files) = std::fs::read_dir(from) else {
        return Ok(());
    };
    folder::create_folder(to)?;
    for file in files.flatten() {
        let (path, target) = (file.path(), to.join(file.file_name()));
        if path.is_dir() {
            copy_tree(&path, &target)?;
        } else if path.is_file() {
            store::copy::replace_if_other(&target, &folder::read_file(&path, SMALL_BYTES_MAX)?)?;
        }
    }
    Ok(())
}
