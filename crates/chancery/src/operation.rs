//! What can be asked of whoever has the vault, and what is answered: the same in one process and over the socket.

use std::collections::BTreeMap;
use std::path::PathBuf;

use connect::DateOrder;
use model::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use server::vault::anchors::AnchorConfig;
use server::vault::connections::ConnectionConfig;
use server::vault::users::Role;
use zeroize::Zeroizing;

use crate::failure::Failure;

/// Everything that needs the vault.
#[derive(Serialize, Deserialize)]
#[serde(tag = "operation", rename_all = "kebab-case")]
pub enum Operation {
    /// Files through a connector.
    Import(Import),
    /// Find messages.
    Search {
        /// Words and filters.
        query: String,
        /// At most so many.
        limit: u32,
    },
    /// One record.
    Show {
        /// Its id.
        id: String,
    },
    /// Write a bundle.
    Export(Export),
    /// Sign a checkpoint and write it to a file.
    Checkpoint {
        /// The file.
        out: PathBuf,
    },
    /// Configure an anchor outside.
    AnchorAdd(AnchorAdd),
    /// All of them.
    AnchorList,
    /// Take one out.
    AnchorRemove {
        /// Which.
        name: String,
    },
    /// Anchor at once.
    AnchorNow {
        /// Which; all when none is named.
        name: Option<String>,
    },
    /// Replace the signing key.
    KeysRotateSigning {
        /// Somebody else may have the old one.
        compromised: bool,
    },
    /// Make derived data again.
    Rebuild,
    /// Add a connection.
    ConnectionAdd(ConnectionAdd),
    /// Note when secrets end.
    ConnectionExpires {
        /// Which connection.
        id: String,
        /// By name of the secret; none where it does not end.
        dates: BTreeMap<String, Option<Timestamp>>,
    },
    /// All connections.
    ConnectionList,
    /// Can it work?
    ConnectionTest {
        /// Which.
        id: String,
        /// The callback address to try.
        url: Option<String>,
    },
    /// The key ring.
    KeysList,
    /// What can be said of it.
    KeysAttest,
    /// Keep the second copy of the key store in another file.
    KeysCopy {
        /// The file.
        out: PathBuf,
    },
    /// Open the key store with something else from now on.
    KeysPassphrase {
        /// It.
        secret: Hidden,
        /// The bytes of a key file, no passphrase.
        is_key_file: bool,
    },
    /// Keep a backup.
    BackupAdd {
        /// Where.
        folder: PathBuf,
        /// Days for copies of the key store.
        keep_keys_days: u32,
    },
    /// No longer.
    BackupRemove {
        /// Which.
        folder: PathBuf,
    },
    /// All backups.
    BackupList,
    /// Bring them up to date.
    BackupNow,
    /// Read everything.
    Scrub {
        /// Mend what does not hold.
        repair: bool,
    },
    /// Compare what a drill put back.
    Drill {
        /// What it found.
        report: server::vault::drill::DrillReport,
    },
    /// Split what opens the key store.
    EscrowMake {
        /// The recipients' public keys.
        recipients: Vec<String>,
        /// So many are needed.
        threshold: u8,
    },
    /// Write down that an escrow opened it.
    EscrowDrill {
        /// What it opened.
        opened: Value,
    },
    /// Add a person.
    UserAdd {
        /// Name.
        name: String,
        /// What the person may do.
        role: Role,
        /// Digest of the password; the password itself goes nowhere.
        digest: String,
    },
    /// Everybody.
    UserList,
    /// Holds and destruction.
    Governing(crate::governing::Governing),
    /// Compare two accounts of a conversation.
    Reconcile(crate::reconcile::Asked),
    /// Custodians.
    Custodian(crate::custodian::Asked),
    /// Who is told of alarms.
    Alarm(crate::alarm::Asked),
    /// What is captured and what is missing.
    Capture(crate::capture::Asked),
    /// Everything that may need attention.
    Doctor,
    /// How things stand.
    Status,
}

/// Files through a connector.
#[derive(Serialize, Deserialize)]
pub struct Import {
    /// Connector.
    pub connector: String,
    /// From the root: the owner of the vault opens them.
    pub files: Vec<PathBuf>,
    /// Connection.
    pub connection: Option<String>,
    /// Whose phone.
    pub custodian: Option<String>,
    /// Its time zone.
    pub zone_of_phone: Option<String>,
    /// Stated order of dates.
    pub date_order: Option<DateOrder>,
}

/// Which records.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Chosen {
    /// Everything.
    All,
    /// What a query finds.
    Query(String),
    /// These.
    Ids(Vec<String>),
    /// The statement of completeness of a day, or the newest.
    Statement(Option<String>),
}

/// A bundle to write.
#[derive(Serialize, Deserialize)]
pub struct Export {
    /// Which records.
    pub chosen: Chosen,
    /// Where to, from the root.
    pub out: PathBuf,
    /// Text of a checkpoint that the receiver holds.
    pub against: Option<String>,
    /// Write over a file that is there.
    pub force: bool,
}

/// An anchor outside with its secret.
#[derive(Serialize, Deserialize)]
pub struct AnchorAdd {
    /// Without the secret.
    pub config: AnchorConfig,
    /// Password of a mail server.
    pub password: Option<Hidden>,
}

/// A connection with its secrets.
#[derive(Serialize, Deserialize)]
pub struct ConnectionAdd {
    /// Without secrets.
    pub config: ConnectionConfig,
    /// By name, in the order given.
    pub secrets: BTreeMap<String, Vec<Hidden>>,
    /// Replace one of the same name.
    pub replace: bool,
}

/// Bytes of a secret: wiped when dropped, never printed.
pub struct Hidden(pub Zeroizing<Vec<u8>>);

impl Serialize for Hidden {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Hidden {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Hidden, D::Error> {
        Vec::deserialize(deserializer).map(Zeroizing::new).map(Hidden)
    }
}

/// A line of the answer.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reply {
    /// Done, and in all.
    Progress(u64, u64),
    /// One of several results.
    Item(Value),
    /// The last line of a success.
    Done(Value),
    /// The last line of a failure.
    Error(Failure),
}

/// What comes before the end of an answer.
pub enum Interim {
    /// Done, and in all.
    Progress(u64, u64),
    /// One of several results.
    Item(Value),
}

/// Takes what comes before the end; a failure ends the operation where it can be ended.
pub type Emit<'a> = dyn FnMut(Interim) -> Result<(), Failure> + 'a;
