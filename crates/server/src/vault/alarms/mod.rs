//! Alarms that leave the machine: who is told that a check is not well or a gap opened, and when it is over.
//!
//! What is true is looked at again and again, by `serve`, and compared with what was raised before; so nothing that happened long
//! ago is told again, neither after a restart nor by a rebuild. What was raised, and what of it waits for whom, stands
//! in `DATA/alarms.json`: no follower makes it, and the ledger does not hold it, because an alarm must leave just when
//! the ledger takes no entries. Who is told is configured by an act.

mod book;
mod look;
mod run;
mod send;
mod syslog;
pub(crate) mod words;

use std::path::Path;
use std::sync::Mutex;

use model::entry::ActCode;
use model::{ConnectionId, Position, Timestamp};
use seal::keyring::Record;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use zeroize::Zeroizing;

pub use self::book::Patience;
use self::book::{About, Alarm, Batch, Book, Event};
pub use self::run::run;
use super::checks::{Check, CheckKind};
use super::outgoing::{Password, http, mail};
use super::{Inner, Vault, VaultError, locked};
use crate::public::language::Language;

const CLASS: &str = "alarm";
const FILE: &str = "alarms.json";
/// All queues full: see [`book::WAITING_MAX`].
const FILE_BYTES_MAX: u64 = 16 << 20;
/// Each alarm that destinations fail goes to all others.
const DESTINATIONS_MAX: usize = 8;
/// Shorter ones are guessed.
const SECRET_BYTES_MIN: usize = 16;
/// As for anchors: an address is a line.
const ADDRESS_BYTES_MAX: usize = 2048;

/// A destination, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlarmConfig {
    /// Its name: of the form of a connection's.
    pub name: ConnectionId,
    /// Who or what.
    #[serde(flatten)]
    pub target: Target,
    /// In which language it is told.
    pub language: Language,
}

/// Who or what is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Target {
    /// An address that takes signed JSON by POST.
    Webhook {
        /// The address.
        url: String,
    },
    /// People.
    Mail {
        /// To whom.
        to: Vec<String>,
        /// From whom.
        from: String,
        /// `HOST:PORT`.
        smtp: String,
        /// Name to sign in with; the password is the secret.
        user: Option<String>,
    },
    /// A collector of RFC 5424.
    Syslog {
        /// `udp://HOST:PORT`, `tcp://HOST:PORT` or `tls://HOST:PORT`.
        to: String,
        /// Certificates that a TLS collector's must lead to, PEM.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        roots: Option<String>,
    },
}

impl Target {
    /// Name of the kind.
    pub const fn kind(&self) -> &'static str {
        match self {
            Target::Webhook { .. } => "webhook",
            Target::Mail { .. } => "mail",
            Target::Syslog { .. } => "syslog",
        }
    }

    fn check(&self, secret: Option<&Password>) -> Result<(), VaultError> {
        let usage = |text: &str| Err(VaultError::Usage(text.to_owned()));
        match self {
            Target::Webhook { url } => {
                if url.len() > ADDRESS_BYTES_MAX {
                    return usage("--url is longer than any address");
                }
                http::address(url)?;
                match secret.map(|secret| secret.reveal().len()) {
                    None => usage(
                        "a webhook needs the secret by which its messages are signed: --secret-file FILE",
                    ),
                    Some(0..SECRET_BYTES_MIN) => usage(
                        "the secret has fewer than 16 characters; make one with `openssl rand -hex 32 > FILE`",
                    ),
                    Some(_) => Ok(()),
                }
            }
            Target::Mail { to, from, smtp, .. } => mail::check(to, from, smtp),
            Target::Syslog { to, roots } => syslog::check(to, roots.as_deref()),
        }
    }
}

#[derive(Clone, Serialize, Deserialize)]
struct Stored {
    #[serde(flatten)]
    config: AlarmConfig,
    secret: Option<Password>,
}

/// How a destination does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlarmStatus {
    /// Its name.
    pub name: ConnectionId,
    /// Its kind.
    pub kind: String,
    /// Alarms that wait.
    pub waiting: u64,
    /// Alarms for which there was no room, not yet said to it.
    pub not_kept: u64,
    /// When it last took something.
    pub delivered_at: Option<Timestamp>,
    /// Since when it takes nothing; none while it does.
    pub failing_since: Option<Timestamp>,
    /// What is wrong since.
    pub failing: Option<String>,
}

/// What is known of alarms while the vault is open.
pub(crate) struct Alarms {
    patience: Patience,
    /// Followers must have come this far before what they made says anything.
    opened_at: Position,
    book: Mutex<Book>,
}

impl Alarms {
    /// With nothing raised. `head`: where the ledger ends.
    pub fn new(patience: Patience, head: Position) -> Alarms {
        Alarms {
            patience,
            opened_at: head,
            book: Mutex::default(),
        }
    }
}

impl Vault {
    /// Configures a destination.
    ///
    /// # Errors
    /// [`VaultError::Usage`] for what cannot be one; [`VaultError::Exists`] when there is one of this name.
    pub fn add_alarm(
        &self,
        config: &AlarmConfig,
        secret: Option<Zeroizing<Vec<u8>>>,
        actor: &str,
    ) -> Result<(), VaultError> {
        let inner = &self.inner;
        let secret = secret.as_ref().map(Password::of).transpose()?;
        config.target.check(secret.as_ref())?;
        let known = self.inner.alarm_configs();
        if known.iter().any(|known| known.name == config.name) {
            let name = &config.name;
            let text = format!("there is a destination {name} already: `chancery alarm remove {name}` first");
            return Err(VaultError::Exists(text));
        }
        if known.len() >= DESTINATIONS_MAX {
            let text = format!("there are {DESTINATIONS_MAX} destinations already");
            return Err(VaultError::Usage(text));
        }
        let stored = Stored {
            config: config.clone(),
            secret,
        };
        let bytes = Zeroizing::new(serde_json::to_vec(&stored).unwrap_or_default());
        let at = inner.act(ActCode::AlarmChanged, &json!({ "added": config, "actor": actor }))?;
        let (class, name) = (CLASS.to_owned(), config.name.to_string());
        locked(&inner.keys).append(vec![Record::Item { class, name, bytes }])?;
        let mut book = locked(&inner.alarms.book);
        if known.is_empty() {
            *book = Book::beginning_at(at);
        }
        inner.settle_destinations(&mut book);
        inner.write_alarms(&book)
    }

    /// Takes a destination out. What waits for it is dropped.
    ///
    /// # Errors
    /// [`VaultError::NotFound`].
    pub fn remove_alarm(&self, name: &str, actor: &str) -> Result<(), VaultError> {
        let inner = &self.inner;
        inner.must_alarm(name)?;
        inner.act(ActCode::AlarmChanged, &json!({ "removed": name, "actor": actor }))?;
        let record = Record::Item {
            class: CLASS.to_owned(),
            name: name.to_owned(),
            bytes: Zeroizing::new(Vec::new()),
        };
        locked(&inner.keys).append(vec![record])?;
        let mut book = locked(&inner.alarms.book);
        inner.settle_destinations(&mut book);
        inner.write_alarms(&book)
    }

    /// All destinations, without secrets, and how they do.
    pub fn list_alarms(&self) -> Value {
        let states = self.inner.alarm_states();
        let one = |config: AlarmConfig| {
            let status = states.iter().find(|status| status.name == config.name);
            let mut value = json!(config);
            if let (Value::Object(fields), Some(status)) = (&mut value, status) {
                fields.insert("waiting".to_owned(), json!(status.waiting));
                fields.insert("not_kept".to_owned(), json!(status.not_kept));
                fields.insert("delivered_at".to_owned(), json!(status.delivered_at));
                fields.insert("failing_since".to_owned(), json!(status.failing_since));
                fields.insert("failing".to_owned(), json!(status.failing));
            }
            value
        };
        let configs = self.inner.alarm_configs();
        json!({ "destinations": configs.into_iter().map(one).collect::<Vec<_>>() })
    }

    /// Sends a test to one destination, or to all, past what waits; what came of it is in the result, each with `ok`.
    ///
    /// # Errors
    /// [`VaultError::NotFound`].
    pub fn test_alarm(&self, name: Option<&str>) -> Result<Value, VaultError> {
        let inner = &self.inner;
        let names: Vec<String> = match name {
            Some(name) => vec![inner.must_alarm(name)?.config.name.to_string()],
            None => inner.alarm_names(),
        };
        if names.is_empty() {
            let text = "destination: `chancery alarm add webhook NAME --url URL --secret-file FILE`, or another kind";
            return Err(VaultError::NotFound(text.to_owned()));
        }
        let now = (inner.clock)();
        let test = Batch {
            alarms: vec![Alarm {
                message: u64::try_from(now.as_micros()).unwrap_or(0),
                event: Event::Test,
                about: About::Test,
                since: now,
                at: now,
            }],
            not_kept: 0,
        };
        run::now(inner, &names, &test)
    }
}

impl Inner {
    fn alarm_names(&self) -> Vec<String> {
        locked(&self.keys).ring().item_names(CLASS)
    }

    fn alarm_configs(&self) -> Vec<AlarmConfig> {
        let names = self.alarm_names();
        names
            .iter()
            .filter_map(|name| self.alarm(name))
            .map(|stored| stored.config)
            .collect()
    }

    fn alarm(&self, name: &str) -> Option<Stored> {
        let keys = locked(&self.keys);
        serde_json::from_slice(keys.ring().item(CLASS, name)?).ok()
    }

    fn must_alarm(&self, name: &str) -> Result<Stored, VaultError> {
        self.alarm(name).ok_or_else(|| {
            VaultError::NotFound(format!("destination {name}; `chancery alarm list` names them"))
        })
    }

    /// What was raised when it was last noted. A file that cannot be read is begun anew: what needs attention is then told once
    /// more, and nothing else is lost.
    pub fn read_alarms(&self) -> Result<(), VaultError> {
        let path = self.folder.join(FILE);
        if self.alarm_names().is_empty() {
            return Ok(());
        }
        let head = self.ledger.head();
        let mut book = read(&path).unwrap_or_else(|| Book::beginning_at(head));
        // A folder that was put back to an older copy.
        book.gaps_from = book.gaps_from.min(head);
        book.closings_from = book.closings_from.min(head);
        book.followed = book.followed.min(head);
        self.settle_destinations(&mut book);
        *locked(&self.alarms.book) = book;
        Ok(())
    }

    fn settle_destinations(&self, book: &mut Book) {
        let names = self.alarm_names();
        if names.is_empty() {
            *book = Book::default();
        }
        book.settle_destinations(&names, (self.clock)());
    }

    fn write_alarms(&self, book: &Book) -> Result<(), VaultError> {
        let bytes = serde_json::to_vec(book).unwrap_or_default();
        Ok(store::folder::replace_file(&self.folder.join(FILE), &bytes)?)
    }

    /// How all destinations do.
    pub fn alarm_states(&self) -> Vec<AlarmStatus> {
        let configs = self.alarm_configs();
        let book = locked(&self.alarms.book);
        let one = |config: AlarmConfig| {
            let queue = book.queues.get(config.name.as_str()).cloned().unwrap_or_default();
            AlarmStatus {
                kind: config.target.kind().to_owned(),
                name: config.name,
                waiting: queue.waiting.len() as u64,
                not_kept: queue.not_kept,
                delivered_at: queue.delivered_at,
                failing_since: queue.failing_since,
                failing: queue.problem,
            }
        };
        configs.into_iter().map(one).collect()
    }

    /// For `doctor`.
    pub(crate) fn check_alarms(&self, now: Timestamp) -> Vec<Check> {
        let check = |status: AlarmStatus| {
            let not_kept = match status.not_kept {
                0 => String::new(),
                count => format!("; {count} were too many and are not kept"),
            };
            let waiting = status.waiting;
            let detail = match (status.failing_since, status.failing) {
                (Some(since), Some(problem)) => {
                    let minutes = (now.as_micros() - since.as_micros()).max(0) / 60_000_000;
                    format!(
                        "{problem}; nothing taken since {since}, {minutes} min ago; {waiting} wait{not_kept}"
                    )
                }
                _ => format!("{waiting} wait{not_kept}"),
            };
            let ok = status.failing_since.is_none() && status.not_kept == 0;
            let check = format!("alarms reach {} ({})", status.name, status.kind);
            Check::new(CheckKind::AlarmDestination, check, ok, detail).of(status.name.as_str())
        };
        self.alarm_states().into_iter().map(check).collect()
    }
}

fn read(path: &Path) -> Option<Book> {
    if !path.is_file() {
        return None;
    }
    let bytes = store::folder::read_file(path, FILE_BYTES_MAX).ok()?;
    let book = serde_json::from_slice(&bytes);
    book.inspect_err(|_| tracing::warn!("{FILE} cannot be read; what needs attention is told once more"))
        .ok()
}
