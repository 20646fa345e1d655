//! Pulling the WeCom archive: each encrypted item is a capture, and the position is noted only when its seal is durable.
//!
//! A crash between the two asks for the same items once more; they are kept and marked as repeats. The driver that asks
//! the vendor is another than the one that opens, so that a slow vendor does not hold up understanding.

pub(crate) mod ahead;
mod provisional;
pub mod run;
mod status;

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use connect::wecom_archive::account::{
    CORP_ID, HELPER, LIBRARY, LIBRARY_SHA256, PRIVATE_KEY, PROXY, PROXY_PASSWORD, SECRET,
};
use connect::wecom_archive::driver::{Driver, DriverError};
use connect::wecom_archive::keys::{KeyProblem, Keys};
use connect::wecom_archive::media::Media;
use connect::wecom_archive::pull::{self, Alarm, Closed, Next, Opened, Pull, Unlocked};
use connect::wecom_archive::{WecomArchive, opened};
use connect::{Connector, ParseOptions, Report, Secrets, Sink};
use model::entry::{GapCause, Origin};
use model::{MessageId, Timestamp};
use seal::envelope::Purpose;
use serde::{Deserialize, Serialize};
use store::catalogue::CaptureRow;
use store::failpoint;
use zeroize::Zeroizing;

use super::captures::{CaptureReader, Descriptor};
use super::connections::ConnectionConfig;
use super::fetches::sealed_by;
use super::{Inner, Vault, VaultError, locked};
use crate::wecom::{LibraryDriver, LibraryOptions};
pub use provisional::{SUPERSEDED, Wrapped};

const FILE: &str = "archives.json";
/// The file has some hundred bytes a connection.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// How long the library may wait for the vendor.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// After this it hangs. Two calls may be needed for one answer: the library signs in anew.
const ASK_TIMEOUT: Duration = Duration::from_secs(75);
/// The same where the vendor is not asked: following waits for it.
const OPEN_TIMEOUT: Duration = Duration::from_secs(10);

/// An item is far smaller; what is larger was handed in as a file.
const ITEM_BYTES_MAX: u64 = 4 << 20;

/// Sealed items are appended in steps of about this many bytes.
const STEP_BYTES: usize = 4 << 20;

/// What is noted of one connection.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Noted {
    /// The last item that is sealed.
    sealed: u64,
    /// When everything there was had last been pulled.
    caught_up_at: Timestamp,
}

/// An archive that is pulled.
struct Archive {
    /// Stays when the connection is changed.
    pull: Arc<Mutex<Pull>>,
    asks: Mutex<Box<dyn Driver>>,
    opens: Mutex<Box<dyn Driver>>,
    /// The drivers are not those of the connection's settings.
    lent: bool,
    /// A file that came in part.
    media: Mutex<Option<(MessageId, u16, Media)>>,
    /// As they were when so many changes of connections had been counted.
    keys: Mutex<Option<(u64, Arc<Keys>)>>,
}

/// Archives by connection.
#[derive(Default)]
pub struct Archives {
    noted: BTreeMap<String, Noted>,
    running: BTreeMap<String, Arc<Archive>>,
    /// Connections and codes of problems: what has such a one is to be opened again.
    open_again: BTreeSet<(String, &'static str)>,
    /// Something that was wrapped provisionally has other wraps now.
    opened: bool,
}

/// When an archive was last pulled completely, and since when and why it cannot be.
pub struct Heartbeat {
    /// Which connection.
    pub connection: String,
    /// When everything there was had last been pulled.
    pub caught_up_at: Timestamp,
    /// Since when, and why, it cannot be pulled.
    pub failing: Option<(Timestamp, DriverError)>,
}

/// What a look at an archive brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pulled {
    /// So many items were sealed; none when everything had been pulled.
    Items(usize),
    /// It is not time yet.
    NotBefore(Timestamp),
    /// The vendor or the library failed; it is tried again.
    Failed(DriverError),
}

impl Vault {
    /// Has a connection's archive pulled with `asks`, and its items opened with `opens`.
    ///
    /// # Errors
    /// [`VaultError::NotFound`] without such a connection, [`VaultError::Usage`] for one of another connector, or with
    /// something for a private key that is none.
    pub fn use_archive(
        &self,
        connection: &str,
        asks: Box<dyn Driver>,
        opens: Box<dyn Driver>,
    ) -> Result<(), VaultError> {
        let found = self.inner.connection(connection);
        let (config, secrets) =
            found.ok_or_else(|| VaultError::NotFound(format!("connection {connection}")))?;
        if config.connector != WecomArchive.id() {
            return Err(VaultError::Usage(format!(
                "connection {connection} is of {}, not of {}",
                config.connector,
                WecomArchive.id()
            )));
        }
        check_keys(&secrets)
            .map_err(|problem| VaultError::Usage(format!("connection {connection}: {problem}")))?;
        self.inner.run_archive(connection, asks, opens, true)
    }

    /// Asks the archive once, if it is time, and seals what it has.
    ///
    /// # Errors
    /// [`VaultError::NotFound`] when the archive is not in use; those of sealing, after which nothing has moved.
    pub fn pull_archive(&self, connection: &str) -> Result<Pulled, VaultError> {
        self.inner.pull_archive(connection)
    }

    /// The last item that is sealed, and how near the vendor's five days what was not pulled may be.
    pub fn archive_position(&self, connection: &str) -> Option<(u64, Option<Alarm>)> {
        let archive = self.inner.archive(connection)?;
        let pull = locked(&archive.pull);
        Some((pull.position(), pull.alarm(self.now())))
    }
}

impl Inner {
    /// What was noted last.
    pub fn read_archives(&self) -> Result<(), VaultError> {
        let path = self.folder.join(FILE);
        if !path.is_file() {
            return Ok(());
        }
        let bytes = store::folder::read_file(&path, FILE_BYTES_MAX)?;
        locked(&self.archives).noted = serde_json::from_slice(&bytes).map_err(|_| {
            VaultError::BadData(format!(
                "{FILE} is not readable: delete it, and what the vendor still holds is pulled again"
            ))
        })?;
        Ok(())
    }

    /// Takes up the archive of a connection that was added or changed, or of any when the vault opens. Its items that stayed
    /// closed are opened again.
    pub fn take_up_archive(&self, config: &ConnectionConfig, secrets: &Secrets) -> Result<(), VaultError> {
        let name = config.id.as_str();
        if config.connector != WecomArchive.id() || secrets.all(SECRET).is_empty() {
            // Replaced by one that takes files only, it is not asked any more.
            locked(&self.archives).running.remove(name);
            return Ok(());
        }
        let lent = self.archive(name).filter(|archive| archive.lent);
        match lent {
            Some(archive) => locked(&archive.pull).repaired(),
            None => {
                let driver = |timeout| LibraryDriver::new(library(config, secrets, timeout));
                let (asks, opens) = (driver(ASK_TIMEOUT), driver(OPEN_TIMEOUT));
                self.run_archive(name, Box::new(asks), Box::new(opens), false)?;
            }
        }
        self.want_opened_again(name, &opened::CLOSED);
        Ok(())
    }

    /// Those of all connections, when the vault opens.
    pub fn take_up_archives(&self) -> Result<(), VaultError> {
        locked(&self.archives).opened = true;
        for config in self.connections() {
            if config.connector == WecomArchive.id()
                && let Some((config, secrets)) = self.connection(config.id.as_str())
            {
                self.take_up_archive(&config, &secrets)?;
            }
        }
        Ok(())
    }

    fn run_archive(
        &self,
        connection: &str,
        asks: Box<dyn Driver>,
        opens: Box<dyn Driver>,
        lent: bool,
    ) -> Result<(), VaultError> {
        let now = (self.clock)();
        let mut archives = locked(&self.archives);
        let noted = *archives.noted.entry(connection.to_owned()).or_insert(Noted {
            sealed: 0,
            caught_up_at: now,
        });
        let before = archives.running.get(connection).map(|before| before.pull.clone());
        let pull =
            before.unwrap_or_else(|| Arc::new(Mutex::new(Pull::resume(noted.sealed, noted.caught_up_at))));
        let archive = Archive {
            pull: pull.clone(),
            asks: Mutex::new(asks),
            opens: Mutex::new(opens),
            lent,
            media: Mutex::default(),
            keys: Mutex::default(),
        };
        archives.running.insert(connection.to_owned(), Arc::new(archive));
        // From now on the five days are counted, also over a restart before anything came.
        self.note_archives(&archives)?;
        drop(archives);
        // After it is there: what was asked with the drivers before does not make it wait.
        locked(&pull).repaired();
        Ok(())
    }

    fn note_archives(&self, archives: &Archives) -> Result<(), VaultError> {
        let bytes = serde_json::to_vec_pretty(&archives.noted).unwrap_or_default();
        Ok(store::folder::replace_file(&self.folder.join(FILE), &bytes)?)
    }

    /// Of every archive that is pulled.
    pub fn heartbeats(&self) -> Vec<Heartbeat> {
        let running = locked(&self.archives).running.clone();
        let heard = |(connection, archive): (String, Arc<Archive>)| {
            let pull = locked(&archive.pull);
            Heartbeat {
                connection,
                caught_up_at: pull.caught_up_at(),
                failing: pull.failing_since().zip(pull.last_failure()),
            }
        };
        running.into_iter().map(heard).collect()
    }

    fn archive(&self, connection: &str) -> Option<Arc<Archive>> {
        locked(&self.archives).running.get(connection).cloned()
    }

    fn pull_archive(&self, connection: &str) -> Result<Pulled, VaultError> {
        let unused = || VaultError::NotFound(format!("archive in use of connection {connection}"));
        let archive = self.archive(connection).ok_or_else(unused)?;
        let (seq, limit) = match locked(&archive.pull).next((self.clock)()) {
            Next::Wait { until } => return Ok(Pulled::NotBefore(until)),
            Next::Fetch { seq, limit } => (seq, limit),
        };
        let answer = locked(&archive.asks).fetch(seq, limit);
        let answer = answer.and_then(|bytes| {
            String::from_utf8(bytes).map_err(|_| DriverError::Failed("the archive's answer is not UTF-8"))
        });
        let mut pull = locked(&archive.pull);
        // Drivers that were replaced meanwhile failed for reasons of their own.
        let replaced = self
            .archive(connection)
            .is_none_or(|now| !Arc::ptr_eq(&now, &archive));
        let lost = pull.lost((self.clock)());
        let items = match &answer {
            Ok(answer) => pull.answered((self.clock)(), answer),
            Err(error) => {
                pull.failed((self.clock)(), *error);
                Err(*error)
            }
        };
        let items = match items {
            Ok(items) => items,
            Err(error) => {
                if replaced {
                    pull.repaired();
                }
                return Ok(Pulled::Failed(error));
            }
        };
        let count = items.len();
        let sealed = self.seal_items(connection, items.iter().map(|item| item.bytes));
        if let Err(error) = sealed {
            pull.failed(
                (self.clock)(),
                DriverError::Failed("what was pulled could not be sealed"),
            );
            return Err(error);
        }
        failpoint::hit("archive-sealed");
        pull.sealed();
        let noted = Noted {
            sealed: pull.position(),
            caught_up_at: pull.caught_up_at(),
        };
        drop(pull);
        if let Some(stretch) = lost.filter(|_| count == 0) {
            // Everything there was is here, and what the vendor forgot before is not.
            let id = connection.parse().ok();
            self.append_gap(GapCause::NotRunning, id, stretch, 0)?;
        }
        let mut archives = locked(&self.archives);
        archives.noted.insert(connection.to_owned(), noted);
        self.note_archives(&archives)?;
        failpoint::hit("archive-noted");
        Ok(Pulled::Items(count))
    }

    /// Each item becomes a capture of its own. Durable when it returns.
    fn seal_items<'a>(
        &self,
        connection: &str,
        items: impl Iterator<Item = &'a str>,
    ) -> Result<(), VaultError> {
        let found = self.connection(connection);
        let (config, _) = found.ok_or_else(|| VaultError::NotFound(format!("connection {connection}")))?;
        let descriptor = Descriptor {
            content_type: Some("application/json".to_owned()),
            ..Descriptor::default()
        };
        // One an answer: working it out costs more than all else about an item, here and where it is opened.
        let encapsulation = self.epoch()?.encapsulate()?;
        let (mut drafts, mut bytes) = (Vec::new(), 0);
        for item in items {
            let origin = Origin {
                connection: config.id.clone(),
                connector: config.connector.clone(),
                connector_version: WecomArchive.version(),
                received_at: (self.clock)(),
                verdict: 0,
                secret: 0,
                minimum_lock_days: config.minimum_lock_days,
            };
            let sealer = encapsulation.sealer(origin, Purpose::Capture)?;
            drafts.extend(sealed_by(sealer, &descriptor, item.as_bytes())?);
            bytes += item.len();
            if bytes >= STEP_BYTES {
                self.ledger.append(std::mem::take(&mut drafts))?;
                bytes = 0;
            }
        }
        if !drafts.is_empty() {
            self.ledger.append(drafts)?;
        }
        Ok(())
    }

    /// Opens and reads an item that was pulled, and says whether it stayed closed; nothing where the capture is no such item.
    pub fn parse_archived(
        &self,
        row: &CaptureRow,
        reader: &mut CaptureReader,
        options: &ParseOptions,
        unlocked: Option<&Unlocked>,
        sink: &mut dyn Sink,
    ) -> Result<Option<(Report, bool)>, VaultError> {
        if row.connector != WecomArchive.id() || options.file_name.is_some() || reader.len() > ITEM_BYTES_MAX
        {
            return Ok(None);
        }
        let item = item_of(reader)?;
        let opened = match (self.archive(&row.connection), unlocked) {
            (Some(archive), Some(unlocked)) => {
                pull::open_unlocked(&item, unlocked, &mut **locked(&archive.opens))
            }
            (Some(archive), None) => self.open_item(&row.connection, &archive, &item),
            (None, _) => Opened::Later(Closed::Driver(DriverError::Failed(
                "the connection has no library that opens it",
            ))),
        };
        let closed = !matches!(opened, Opened::Plain(_));
        let report = opened::parse(&item, &opened, options, sink).map_err(VaultError::Capture)?;
        Ok(Some((report, closed)))
    }

    fn open_item(&self, connection: &str, archive: &Archive, item: &str) -> Opened {
        let keys = self.keys_in_force(connection, archive);
        pull::open(item, &keys, &mut **locked(&archive.opens))
    }

    /// The company's keys, read anew when a connection was changed since.
    fn keys_in_force(&self, connection: &str, archive: &Archive) -> Arc<Keys> {
        let mut keys = locked(&archive.keys);
        let changes = self.changes.load(Ordering::SeqCst);
        let known = keys.take().filter(|(at, _)| *at == changes);
        let read = || (changes, Arc::new(self.archive_keys(connection)));
        keys.insert(known.unwrap_or_else(read)).1.clone()
    }

    /// The company's keys. With something among them that is none, there is none: every item says which it lacks, and
    /// following goes on.
    fn archive_keys(&self, connection: &str) -> Keys {
        let found = self.connection(connection);
        let secrets = found.map_or_else(Secrets::default, |(_, secrets)| secrets);
        keys_of(&secrets).unwrap_or_else(|problem| {
            tracing::error!(connection, error = %problem, "no item of the archive can be opened");
            Keys::default()
        })
    }
}

/// An item that was pulled. It was UTF-8, or it would not have been sealed.
fn item_of(reader: &mut CaptureReader) -> Result<String, VaultError> {
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).map_err(VaultError::Capture)?;
    Ok(String::from_utf8(bytes)
        .unwrap_or_else(|wrong| String::from_utf8_lossy(wrong.as_bytes()).into_owned()))
}

fn keys_of(secrets: &Secrets) -> Result<Keys, KeyProblem> {
    Keys::read(secrets.all(PRIVATE_KEY))
}

/// Whether what was given as private keys are some.
pub fn check_keys(secrets: &Secrets) -> Result<(), KeyProblem> {
    keys_of(secrets).map(drop)
}

/// The library as a connection names it.
fn library(config: &ConnectionConfig, secrets: &Secrets, answer_timeout: Duration) -> LibraryOptions {
    let setting = |name: &str| config.settings.get(name).cloned().unwrap_or_default();
    let secret = |name: &str| {
        let value = secrets.all(name).first();
        let text = value.and_then(|value| std::str::from_utf8(value).ok());
        Zeroizing::new(text.unwrap_or_default().to_owned())
    };
    LibraryOptions {
        program: PathBuf::from(setting(HELPER)),
        library: PathBuf::from(setting(LIBRARY)),
        library_sha256: setting(LIBRARY_SHA256),
        corp_id: setting(CORP_ID),
        secret: secret(SECRET),
        proxy: setting(PROXY),
        proxy_password: secret(PROXY_PASSWORD),
        call_timeout: CALL_TIMEOUT,
        answer_timeout,
    }
}
