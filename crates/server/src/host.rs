//! What the vault gives to the HTTP side, as a trait, and what it reports.

use std::collections::BTreeMap;

pub use crate::vault::alarms::AlarmStatus;
pub use crate::vault::anchors::AnchorStatus;
pub use crate::vault::checks::{Attention, CheckKind, Severity};
use connect::{Secrets, Settings};
use model::{ConnectionId, Position, Timestamp, ZoneId};
use seal::envelope::EpochPublic;
use serde::{Deserialize, Serialize};
use store::StoreError;
use store::ledger::Draft;

use crate::confine::Confined;

/// Called once with the position of the first entry, when all are durable.
pub type Answer = Box<dyn FnOnce(Result<Position, StoreError>) + Send>;

/// What listens is told by, and reports to, whoever owns the data folder.
pub trait Host: Send + Sync + 'static {
    /// Whose ledger this is.
    fn zone(&self) -> ZoneId;

    /// What the intake needs to know, as it stands. Asked for when the intake starts and on
    /// [`crate::Running::refresh`].
    fn configuration(&self) -> IntakeConfiguration;

    /// Appends entries together. May wait while too much is queued; `answer` must be called in every case.
    fn submit(&self, drafts: Vec<Draft>, answer: Answer);

    /// Whether a delivery should be turned away, to be sent again.
    fn is_busy(&self) -> bool;

    /// `count` requests were refused. `connection` is empty when the request named none that exists.
    fn refused(&self, connection: &str, reason: &str, count: u64);

    /// What the intake named `intake` gave up; nothing once it is gone.
    fn confined(&self, intake: &str, confined: Option<Confined>) {
        let _ = (intake, confined);
    }

    /// What the status page shows. Quick: called for each view.
    fn status(&self) -> Status;
}

/// What the intake needs to know.
#[derive(Debug, Clone)]
pub struct IntakeConfiguration {
    /// To whom it seals.
    pub epoch: EpochPublic,
    /// From whom it takes deliveries.
    pub connections: Vec<IntakeConnection>,
}

/// One account that delivers.
#[derive(Debug, Clone)]
pub struct IntakeConnection {
    /// Its place in the URL: `/in/{id}`.
    pub id: ConnectionId,
    /// Connector id.
    pub connector: String,
    /// Secrets by which deliveries are proved genuine. Those for fetching do not belong here.
    pub secrets: Secrets,
    /// Settings that are not secret.
    pub settings: Settings,
    /// Days before which nobody may destroy a capture.
    pub minimum_lock_days: u32,
}

/// How the instance is doing: numbers and times; no names, no handles, no content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Whose ledger.
    pub zone: ZoneId,
    /// Version of the program.
    pub version: String,
    /// When the vault started.
    pub started_at: Timestamp,
    /// The configured accounts.
    pub connections: Vec<ConnectionStatus>,
    /// Stretches in which capture is known or suspected to be incomplete: open ones first, newest first.
    pub gaps: Vec<GapStatus>,
    /// How many are open, shown or not.
    pub gaps_open: u64,
    /// The newest statement of completeness; none before the first day is over.
    #[serde(default)]
    pub statement: Option<StatementStatus>,
    /// The newest signed checkpoint; none before the first entry.
    pub checkpoint: Option<CheckpointStatus>,
    /// When a checkpoint last went outside.
    pub outside_anchor: Option<Timestamp>,
    /// How each configured anchor outside does.
    pub anchors: Vec<AnchorStatus>,
    /// What needs attention: every check of `doctor` that is not well.
    #[serde(default)]
    pub attention: Vec<Attention>,
    /// How each destination of alarms does.
    #[serde(default)]
    pub alarms: Vec<AlarmStatus>,
    /// How far what is derived from the ledger has come.
    pub followers: Followers,
    /// Files that messages name and that are still to be fetched.
    pub pending_fetches: u64,
    /// Number of the intake epoch.
    pub epoch: u32,
    /// Whether a second copy of the key store exists.
    pub key_copy: bool,
}

/// A statement of completeness.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatementStatus {
    /// The last day it is about, in UTC.
    pub day: String,
    /// The entry that holds it.
    pub entry: Position,
    /// When it was written.
    pub at: Timestamp,
}

/// One configured account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionStatus {
    /// Its id.
    pub id: ConnectionId,
    /// Connector id.
    pub connector: String,
    /// Captures so far.
    pub captures: u64,
    /// When the last one was recorded.
    pub last_capture_at: Option<Timestamp>,
    /// Requests refused since the vault started, by reason.
    pub refused: BTreeMap<String, u64>,
    /// Problems that the parser reported.
    pub problems: u64,
    /// What is to be thought of it.
    pub state: ConnectionState,
    /// How passing its deliveries on stands, where they are passed on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forward: Option<ForwardStatus>,
    /// How pulling its archive stands, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<ArchiveStatus>,
}

/// How pulling an archive stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveStatus {
    /// The last item that is sealed.
    pub position: u64,
    /// When everything there was had last been pulled.
    pub caught_up_at: Timestamp,
    /// From then on the vendor may have forgotten something that was not pulled.
    pub lost_from: Timestamp,
    /// How near that is: `late`, `warning` (more than a day behind), `urgent` (more than three), `lost` (more than five).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alarm: Option<String>,
    /// Why the last question failed, and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing: Option<String>,
    /// Items that stay closed, by the code of the problem.
    pub closed: BTreeMap<String, u64>,
}

/// How passing a connection's deliveries on stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForwardStatus {
    /// How many wait.
    pub waiting: u64,
    /// Since when nothing was taken; none while all is well.
    pub failing_since: Option<Timestamp>,
    /// Status of the last answer that was no success; none when there was no answer.
    pub last_status: Option<u16>,
    /// Given up since the connection was configured.
    pub given_up: u64,
}

/// What is to be thought of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConnectionState {
    /// Something arrived not long ago.
    Receiving,
    /// Nothing has arrived since it was added.
    Waiting,
    /// Silent for longer than usual.
    Silent,
    /// A secret is missing, or the platform ended it.
    Stopped,
}

/// One gap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GapStatus {
    /// Which connection; none when the whole ledger is concerned.
    pub connection: Option<ConnectionId>,
    /// From.
    pub from: Timestamp,
    /// To.
    pub to: Timestamp,
    /// Why: a name of `model::entry::GapCause`.
    pub cause: String,
    /// How many; 0 where it is not known.
    pub count: u64,
    /// Why it is closed; none while it is open.
    #[serde(default)]
    pub closed: Option<String>,
}

/// The newest signed checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointStatus {
    /// Batches it covers.
    pub size: u64,
    /// Position after the last entry it covers.
    pub covers: Position,
    /// When it was signed.
    pub at: Timestamp,
    /// Seconds since.
    pub age_seconds: u64,
    /// The signed note, for whoever wants to keep it.
    pub note: String,
}

/// How far what is derived from the ledger has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Followers {
    /// Position that the next entry will have.
    pub head: Position,
    /// Position up to which captures were understood.
    pub normalized: Position,
}
