//! The vault: owns the data folder, opens what was sealed, and writes down every look at it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use model::entry::{ActCode, GapCause, Kind};
use model::{KeyId, Position, Timestamp, ZoneId};
use seal::envelope::EpochPublic;
use seal::keyring::{SecretKind, Unlock};
use seal::note::NoteKey;
use seal::suite::{MacKey, SigningKey};
use seal::{Key, SealError};
use serde::{Deserialize, Serialize};
use store::StoreError;
use store::catalogue::Catalogue;
use store::folder::FolderLock;
use store::keystore::KeyStore;
use store::ledger::{Clock, Draft, Ledger, LedgerOptions};

use crate::confine::Confined;

pub mod alarms;
pub mod anchors;
pub mod archive;
pub mod backups;
pub mod canaries;
pub mod captures;
pub mod checks;
mod completeness;
pub mod connections;
pub mod consent;
pub mod custodians;
mod door;
mod down;
pub mod drill;
mod epochs;
mod erased;
pub mod escrow;
mod existing;
mod expiry;
pub mod export;
pub mod fetches;
mod folder;
mod follow;
pub mod forward;
pub mod gaps;
pub mod governance;
pub mod host;
pub mod import;
pub mod key_copies;
mod keyfile;
mod labels;
mod machine;
mod normalize;
mod outgoing;
mod parts;
mod picked;
mod pulls;
pub mod reconcile;
pub mod restore;
mod rotation;
mod rows;
pub mod scrubs;
pub mod show;
mod sinks;
pub mod state;
mod statement;
mod together;
pub mod users;

use epochs::{Encapsulated, Epoch, current_epoch};
use folder::{ACTS_LABEL, DIGEST_LABEL, NAMES_LABEL, SIGNING_LABEL, own_secret};
pub use folder::{create, read_zone_file};
pub use keyfile::check_unlock;
use labels::Labels;
use rotation::Succession;
pub use rotation::log_keys;

/// What `zone.json` says: nothing secret.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ZoneFile {
    /// Format of the data folder.
    pub format: u32,
    /// Which zone.
    pub zone: ZoneId,
    /// Name of this node in batches.
    pub node: String,
    /// The zone's public key, as C2SP writes verifier keys.
    pub public_key: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// Where the second copy of the key store goes.
    pub key_copy: Option<PathBuf>,
}

/// How a vault is opened.
pub struct VaultOptions {
    /// Tells the time.
    pub clock: Clock,
    /// Settings of the ledger.
    pub ledger: LedgerOptions,
    /// An intake epoch lasts this long.
    pub epoch_lasts: Duration,
    /// When alarms are raised, repeated and sent again.
    pub alarms: alarms::Patience,
}

impl VaultOptions {
    /// The usual settings with this clock.
    pub fn with_clock(clock: Clock) -> VaultOptions {
        VaultOptions {
            clock,
            ledger: LedgerOptions::default(),
            epoch_lasts: Duration::from_secs(24 * 60 * 60),
            alarms: alarms::Patience::default(),
        }
    }
}

/// Why the vault did not do something. Holds no content.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Sealing or opening.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// A bundle could not be written.
    #[error("the bundle could not be written")]
    Bundle(#[from] seal::bundle::WriteError),
    /// A file outside the data folder.
    #[error("{doing} {}", path.display())]
    File {
        /// What was tried.
        doing: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Reading a capture or writing what was understood of it.
    #[error("reading a capture")]
    Capture(#[source] std::io::Error),
    /// What was asked for is not there.
    #[error("there is no {0}")]
    NotFound(String),
    /// The words of the call are wrong.
    #[error("{0}")]
    Usage(String),
    /// The file is not what it was said to be.
    #[error("{0}")]
    BadData(String),
    /// It exists already.
    #[error("{0}")]
    Exists(String),
    /// What was asked for may not be done.
    #[error(transparent)]
    Refused(#[from] govern::Refusal),
    /// Wrong name or password.
    #[error("no user of that name has that password")]
    NotSignedIn,
    /// What is asked for needs all that arrived to be understood, and following does not go on.
    #[error("{0}")]
    NotFollowed(String),
}

/// A restart that takes less than this is no gap: platforms try again after seconds.
const NOT_RUNNING_MICROS_MIN: i64 = 60 * 1_000_000;

/// The open vault.
pub struct Vault {
    inner: Arc<Inner>,
    follower: Option<JoinHandle<()>>,
}

/// How far followers have come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Entries read.
    pub followed: Position,
    /// Entries up to here are normalized.
    pub normalized: Position,
    /// What is missing was looked for so often.
    pub looks: u64,
    /// Following stopped with an error: see [`Vault::trouble`]. A rebuild begins it anew.
    pub failed: bool,
    /// How often everything was deleted, to be made again.
    pub rebuilds: u64,
}

/// Why following does not go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What failed.
    pub why: String,
    /// Whether it is tried again.
    pub passes: bool,
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Trouble { why, passes } = self;
        let advice = if *passes {
            "it is tried again by itself"
        } else {
            "it goes on after a restart, or after `chancery rebuild`"
        };
        write!(
            out,
            "what arrives is kept, and not understood yet: {why}; {advice}"
        )
    }
}

pub(crate) struct Inner {
    pub folder: PathBuf,
    pub file: ZoneFile,
    /// The key in force, and those before it.
    succession: Mutex<Succession>,
    /// One key is replaced at a time.
    rotating: Mutex<()>,
    anchors: anchors::Anchors,
    /// What alarms were raised, and what of them waits.
    alarms: alarms::Alarms,
    /// Until when the certificate holds that this process listens with.
    certificate_until: Mutex<Option<Timestamp>>,
    pub clock: Clock,
    pub ledger: Ledger,
    pub keys: Mutex<KeyStore>,
    /// The follower's connection: the only one that writes.
    pub catalogue: Mutex<Catalogue>,
    /// For everything that people ask.
    pub reader: Mutex<Catalogue>,
    pub labels: Labels,
    pub names_key: Key,
    acts: (KeyId, Key),
    epoch: Mutex<Epoch>,
    /// See [`Inner::encapsulated_key`].
    encapsulated: Mutex<[Option<Encapsulated>; 2]>,
    epoch_lasts: Duration,
    progress: Mutex<Progress>,
    trouble: Mutex<Option<Trouble>>,
    progressed: Condvar,
    /// How often a rebuild was asked for.
    rebuilds_wanted: AtomicU64,
    /// What following stopped at was mended: it may be tried again.
    follow_again: AtomicBool,
    /// Counts changes of what the intake must know.
    changes: AtomicU64,
    governing: Mutex<governance::Governing>,
    /// How passing deliveries on stands.
    pub forwards: Mutex<forward::Forwards>,
    /// Where to go on asking for announced messages.
    pub pulls: Mutex<pulls::Pulls>,
    /// Deliveries turned away, until an entry says so.
    refusals: Mutex<gaps::Refusals>,
    /// Messages that are expected.
    canaries: canaries::Canaries,
    /// Held while the roster is read and an entry about it written.
    enrolling: Mutex<()>,
    /// Archives that are pulled.
    archives: Mutex<archive::Archives>,
    /// What must not come back.
    tombs: Mutex<Arc<governance::tombs::Table>>,
    /// What is known of consent.
    pub consent: Mutex<consent::Known>,
    /// The newest epoch in which something came that lacked consent; 0 for none.
    refused_epoch: AtomicU32,
    /// What was deleted could not be brought out of the catalogue's files.
    sweep_failed: AtomicBool,
    /// What the clock said when this process opened the folder, and when the newest entry was recorded by then.
    opened: (Timestamp, Option<Timestamp>),
    /// What the intakes gave up, while this process serves.
    intakes: Mutex<BTreeMap<String, Option<Confined>>>,
    closing: AtomicBool,
    pub backups: Mutex<backups::Backups>,
    _lock: FolderLock,
}

pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Vault {
    /// Opens a data folder and starts its followers.
    ///
    /// # Errors
    /// [`VaultError::Store`]: locked, wrong passphrase, damaged.
    pub fn open(data: &Path, unlock: &Unlock<'_>, options: VaultOptions) -> Result<Vault, VaultError> {
        let file = read_zone_file(data)?;
        let lock = FolderLock::take(data)?;
        let mut keys = KeyStore::open(&data.join("keys/keystore"), unlock, file.key_copy.clone())?;
        if *keys.ring().zone() != file.zone {
            return Err(StoreError::Mismatch("the key store is of another zone".to_owned()).into());
        }
        let file = rotation::finish(data, &mut keys, file)?;
        let (_, seed) = own_secret(&keys, SecretKind::Signing, &SIGNING_LABEL)?;
        let signing = SigningKey::from_seed(&seed)?;
        let note_key = NoteKey::decode(&file.public_key)
            .map_err(|problem| VaultError::BadData(format!("zone.json: {problem}")))?;
        if note_key.public != signing.public() {
            return Err(
                StoreError::Mismatch("zone.json names another public key than the key store".into()).into(),
            );
        }
        let name = note_key.name.clone();
        let succession = Succession::load(data, note_key)?;
        let mut ledger_options = options.ledger;
        ledger_options.succession.clone_from(&succession.notes);
        let (_, digest) = own_secret(&keys, SecretKind::Digest, &DIGEST_LABEL)?;
        let (_, names_key) = own_secret(&keys, SecretKind::Catalogue, &NAMES_LABEL)?;
        let acts = own_secret(&keys, SecretKind::Acts, &ACTS_LABEL)?;
        let (ledger, recovery) = Ledger::open(
            &data.join("ledger"),
            file.zone.clone(),
            signing,
            name,
            ledger_options,
            options.clock.clone(),
        )?;
        if keys.ring().latest_position() > recovery.head {
            return Err(StoreError::Mismatch(format!(
                "the key store knows entry {}, the ledger ends at {}: the ledger was put back to an older copy; \
                 restore the newer one",
                keys.ring().latest_position(),
                recovery.head
            ))
            .into());
        }
        let path = data.join("catalogue/catalogue.sqlite");
        let (catalogue, _) = Catalogue::open(&path)?;
        let (reader, _) = Catalogue::open(&path)?;
        let refused_epoch = reader.refused_epoch()?;
        // Before anything opens, and before any secret is made.
        governance::replay_destructions(&ledger, &mut keys)?;
        let epoch = current_epoch(&mut keys, &file.zone, recovery.head, (options.clock)())?;
        let newest = recovery.head.0.checked_sub(1);
        let newest = newest.and_then(|at| ledger.entry(Position(at)).ok().flatten());
        let opened = ((options.clock)(), newest.map(|entry| entry.header.recorded_at));
        let inner = Arc::new(Inner {
            folder: data.to_owned(),
            succession: Mutex::new(succession),
            rotating: Mutex::new(()),
            anchors: anchors::Anchors::default(),
            alarms: alarms::Alarms::new(options.alarms, recovery.head),
            certificate_until: Mutex::default(),
            clock: options.clock,
            keys: Mutex::new(keys),
            catalogue: Mutex::new(catalogue),
            reader: Mutex::new(reader),
            labels: Labels::new(MacKey::new(&digest)),
            names_key,
            acts,
            epoch: Mutex::new(epoch),
            encapsulated: Mutex::new([None, None]),
            epoch_lasts: options.epoch_lasts,
            progress: Mutex::new(Progress::default()),
            trouble: Mutex::default(),
            progressed: Condvar::new(),
            rebuilds_wanted: AtomicU64::new(0),
            follow_again: AtomicBool::new(false),
            changes: AtomicU64::new(0),
            forwards: Mutex::default(),
            pulls: Mutex::default(),
            refusals: Mutex::default(),
            canaries: canaries::Canaries::default(),
            enrolling: Mutex::default(),
            archives: Mutex::default(),
            governing: Mutex::new(governance::Governing::new(recovery.head)),
            tombs: Mutex::default(),
            consent: Mutex::default(),
            refused_epoch: AtomicU32::new(refused_epoch),
            sweep_failed: AtomicBool::new(false),
            opened,
            intakes: Mutex::default(),
            closing: AtomicBool::new(false),
            backups: Mutex::default(),
            _lock: lock,
            ledger,
            file,
        });
        inner.read_tombs()?;
        inner.read_forwards()?;
        inner.read_pulls()?;
        inner.read_alarms()?;
        inner.read_archives()?;
        inner.take_up_archives()?;
        if recovery.torn_bytes > 0 {
            inner.note_gap(GapCause::TornGroup, recovery.torn_bytes)?;
        }
        if recovery.head == Position(0) {
            inner.act(
                ActCode::ZoneCreated,
                &serde_json::json!({ "public_key": inner.file.public_key }),
            )?;
        }
        let follower = follow::start(inner.clone())?;
        Ok(Vault {
            inner,
            follower: Some(follower),
        })
    }

    /// The zone's public key in its text form.
    pub fn public_key(&self) -> String {
        self.inner.note_key().encode()
    }

    /// What `zone.json` says.
    pub fn zone_file(&self) -> &ZoneFile {
        &self.inner.file
    }

    /// The ledger, for appending captures that the intake sealed.
    pub fn ledger(&self) -> &Ledger {
        &self.inner.ledger
    }

    /// Time as the vault tells it.
    pub fn now(&self) -> Timestamp {
        (self.inner.clock)()
    }

    /// The public half of the current intake epoch; begins a new one when it has lasted long enough.
    ///
    /// # Errors
    /// [`VaultError::Store`].
    pub fn epoch(&self) -> Result<EpochPublic, VaultError> {
        self.inner.epoch()
    }

    /// Writes down something that was done. Durable when it returns.
    ///
    /// # Errors
    /// [`VaultError::Store`].
    pub fn act(&self, code: ActCode, body: &serde_json::Value) -> Result<Position, VaultError> {
        self.inner.act(code, body)
    }

    /// Counts changes of what the intake must know: connections and epochs. Begins a new epoch when one is due.
    pub fn changes(&self) -> u64 {
        if let Err(error) = self.inner.epoch() {
            tracing::error!(error = %error, "a new epoch could not be begun; the one before goes on");
        }
        self.inner.changes.load(Ordering::SeqCst)
    }

    /// Writes down that nothing could be delivered since the last entry, for each connection that platforms post to:
    /// called by whoever begins to listen. Platforms repeat what was not taken, for days, so it may still come.
    ///
    /// # Errors
    /// [`VaultError::Store`].
    pub fn note_not_running(&self) -> Result<(), VaultError> {
        let head = self.inner.ledger.head();
        let Some(last) = head.0.checked_sub(1) else {
            return Ok(());
        };
        let from = self.inner.must_entry(Position(last))?.header.recorded_at;
        let to = self.now();
        if to.as_micros() - from.as_micros() < NOT_RUNNING_MICROS_MIN {
            return Ok(());
        }
        for config in self.inner.connections() {
            let connector = connect::find(&config.connector);
            if connector.is_some_and(|connector| matches!(connector.door(), connect::Door::Webhook { .. })) {
                self.inner
                    .append_gap(GapCause::NotRunning, Some(config.id), (from, to), 0)?;
            }
        }
        Ok(())
    }

    /// How far followers have come.
    pub fn progress(&self) -> Progress {
        *locked(&self.inner.progress)
    }

    /// Why following does not go on; nothing while it does.
    pub fn trouble(&self) -> Option<Trouble> {
        self.inner.trouble()
    }

    /// Waits until everything up to `position` is normalized.
    ///
    /// # Errors
    /// [`VaultError::Store`] when following stopped.
    pub fn wait_normalized(&self, position: Position) -> Result<(), VaultError> {
        self.inner.wait_normalized(position)
    }

    /// Deletes everything that followers made, and has it made again.
    ///
    /// # Errors
    /// [`VaultError::Store`].
    pub fn rebuild(&self) -> Result<Position, VaultError> {
        let at = self.inner.act(ActCode::Rebuilt, &serde_json::json!({}))?;
        // The follower deletes, and nobody else: nothing is then deleted under its hands.
        let wanted = self.inner.rebuilds_wanted.fetch_add(1, Ordering::SeqCst) + 1;
        self.inner.ledger.wake();
        let mut progress = locked(&self.inner.progress);
        while progress.rebuilds < wanted {
            progress = self
                .inner
                .progressed
                .wait(progress)
                .unwrap_or_else(PoisonError::into_inner);
        }
        drop(progress);
        self.inner.wait_normalized(at.plus(1))?;
        Ok(at)
    }
}

impl Inner {
    pub fn act(&self, code: ActCode, body: &serde_json::Value) -> Result<Position, VaultError> {
        Ok(self.ledger.append(vec![self.act_draft(code, body)?])?)
    }

    /// An act, not written yet.
    pub fn act_draft(&self, code: ActCode, body: &serde_json::Value) -> Result<Draft, VaultError> {
        let mut bytes = serde_json::to_vec(body).unwrap_or_default();
        let under = seal::act::Under {
            id: self.acts.0,
            secret: &self.acts.1,
        };
        let act = seal::act::seal_act(&self.file.zone, code, under, &mut bytes)?;
        Ok(Draft {
            kind: Kind::Act(act),
            body: bytes,
        })
    }

    /// The secret of acts, to disclose one act's body.
    pub fn acts_secret(&self) -> &Key {
        &self.acts.1
    }

    /// Opens an act's body.
    pub fn open_act(&self, entry: &store::ledger::StoredEntry) -> Option<serde_json::Value> {
        let Kind::Act(act) = &entry.header.kind else {
            return None;
        };
        let mut out = Vec::new();
        seal::act::open_act(&self.file.zone, act, &self.acts.1, &entry.body, &mut out).ok()?;
        serde_json::from_slice(&out).ok()
    }

    pub fn wait_normalized(&self, position: Position) -> Result<(), VaultError> {
        self.wait_until(|progress| progress.normalized >= position)
    }

    fn wait_until(&self, reached: impl Fn(&Progress) -> bool) -> Result<(), VaultError> {
        let mut progress = locked(&self.progress);
        while !reached(&progress) {
            if progress.failed {
                let trouble = self.trouble().map(|trouble| trouble.to_string());
                return Err(VaultError::NotFollowed(trouble.unwrap_or_default()));
            }
            progress = self
                .progressed
                .wait(progress)
                .unwrap_or_else(PoisonError::into_inner);
        }
        Ok(())
    }

    /// Why following does not go on; nothing while it does.
    pub fn trouble(&self) -> Option<Trouble> {
        locked(&self.trouble).clone()
    }

    fn set_trouble(&self, trouble: Option<Trouble>) {
        let failed = trouble.is_some();
        *locked(&self.trouble) = trouble;
        self.set_progress(|progress| progress.failed = failed);
    }

    fn set_progress(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut locked(&self.progress));
        self.progressed.notify_all();
    }
}

impl Drop for Vault {
    fn drop(&mut self) {
        self.inner.closing.store(true, Ordering::SeqCst);
        self.inner.ledger.wake();
        if let Some(follower) = self.follower.take()
            && follower.join().is_err()
        {
            tracing::error!("the follower panicked");
        }
    }
}
