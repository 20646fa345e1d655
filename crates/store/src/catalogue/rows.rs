//! Rows of the catalogue as typed values.

use model::{KeyId, MessageId, Position, Timestamp};
use rusqlite::Row;

use super::{Digest, position};

/// What became of a capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CaptureState {
    /// Its last chunk has not come.
    Partial,
    /// All chunks are here.
    Complete,
    /// Its records, wraps and parts are written.
    Normalized,
    /// No key opens it.
    Unreadable,
    /// A secret that it needs was destroyed.
    Erased,
}

impl CaptureState {
    /// Its number in the table.
    pub const fn code(self) -> i64 {
        match self {
            CaptureState::Partial => 0,
            CaptureState::Complete => 1,
            CaptureState::Normalized => 2,
            CaptureState::Unreadable => 3,
            CaptureState::Erased => 4,
        }
    }

    const fn from_code(code: i64) -> CaptureState {
        match code {
            0 => CaptureState::Partial,
            1 => CaptureState::Complete,
            2 => CaptureState::Normalized,
            4 => CaptureState::Erased,
            _ => CaptureState::Unreadable,
        }
    }
}

/// A capture, or a file fetched because of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaptureRow {
    /// Position of its first chunk.
    pub position: Position,
    /// Its id.
    pub capture_id: Digest,
    /// Connection.
    pub connection: String,
    /// Connector.
    pub connector: String,
    /// Connector version that received it.
    pub connector_version: u32,
    /// When it was received.
    pub received_at: Timestamp,
    /// How it was proved genuine.
    pub verdict: u8,
    /// Intake epoch.
    pub epoch: u32,
    /// Chunks so far.
    pub chunks: u32,
    /// Bytes of ciphertext so far.
    pub size_bytes: u64,
    /// Position of its last chunk so far.
    pub last_position: Position,
    /// What became of it.
    pub state: CaptureState,
    /// The message that named this file.
    pub cause: Option<MessageId>,
    /// Which of the message's files.
    pub file: u16,
    /// See `model::entry::Outside::state`.
    pub file_state: u8,
    /// A secret that it concerns was destroyed: it is opened whole no more, by whatever key.
    pub closed: bool,
    /// Until then nobody may destroy it.
    pub locked_until: Option<Timestamp>,
}

pub(super) const CAPTURE: &str = "position, capture_id, connection, connector, connector_version, received_at, verdict, \
    epoch, chunks, size_bytes, last_position, state, cause, cause_ordinal, file, file_state, closed, locked_until";

pub(super) fn capture(row: &Row<'_>) -> rusqlite::Result<CaptureRow> {
    let cause: Option<i64> = row.get(12)?;
    let ordinal: Option<u32> = row.get(13)?;
    Ok(CaptureRow {
        position: position(row.get(0)?),
        capture_id: row.get(1)?,
        connection: row.get(2)?,
        connector: row.get(3)?,
        connector_version: row.get(4)?,
        received_at: Timestamp::from_micros(row.get(5)?),
        verdict: row.get(6)?,
        epoch: row.get(7)?,
        chunks: row.get(8)?,
        size_bytes: u64::try_from(row.get::<_, i64>(9)?).unwrap_or(0),
        last_position: position(row.get(10)?),
        state: CaptureState::from_code(row.get(11)?),
        cause: cause.zip(ordinal).map(|(at, ordinal)| MessageId {
            capture: position(at),
            ordinal,
        }),
        file: row.get(14)?,
        file_state: row.get(15)?,
        closed: row.get::<_, i64>(16)? != 0,
        locked_until: row.get::<_, Option<i64>>(17)?.map(Timestamp::from_micros),
    })
}

/// What sort of record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordSort {
    /// A message.
    Message,
    /// An event.
    Event,
    /// A problem.
    Problem,
}

impl RecordSort {
    /// Its number in the table.
    pub const fn code(self) -> i64 {
        match self {
            RecordSort::Message => 1,
            RecordSort::Event => 2,
            RecordSort::Problem => 3,
        }
    }

    const fn from_code(code: i64) -> RecordSort {
        match code {
            1 => RecordSort::Message,
            2 => RecordSort::Event,
            _ => RecordSort::Problem,
        }
    }
}

/// Which key a record's row is sealed under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// Derived from the capture's data key and the record's ordinal.
    Capture,
    /// Derived from an item of a part.
    Part {
        /// Position of the part.
        part: Position,
        /// Index of the item.
        item: u32,
    },
}

/// A record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordRow {
    /// Its id.
    pub id: MessageId,
    /// What sort.
    pub sort: RecordSort,
    /// Kind of content or event, or reason code.
    pub what: String,
    /// The conversation's secret.
    pub conversation: KeyId,
    /// The author's secret.
    pub person: KeyId,
    /// When, in UTC.
    pub at: Option<Timestamp>,
    /// When, by a wall clock of unknown zone.
    pub at_local: Option<String>,
    /// Keyed digest of all it says.
    pub digest: Digest,
    /// Keyed digest of the platform's id.
    pub platform: Option<Digest>,
    /// Keyed digest of what it points at.
    pub target: Option<Digest>,
    /// Minute, or a piece of the digest where none is known: records that are compared have the same.
    pub place: i64,
    /// An earlier capture says the same.
    pub repeats: bool,
    /// Which key opens it.
    pub placement: Placement,
    /// The record, sealed.
    pub sealed: Vec<u8>,
    /// In what way its target must be in the record; none when read back, or when nothing follows from it.
    pub points: Option<Pointing>,
    /// Its number in a sequence that the source counts, by keyed digest of that; none when read back.
    pub sequence: Option<(Digest, u64)>,
}

/// In what way a record points at a message that must have been.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are the definition")]
pub enum Pointing {
    Reply,
    Status,
    Edit,
    Reaction,
    Revoke,
    /// It is the message itself, not decrypted yet.
    Encrypted,
}

impl Pointing {
    const ALL: [Pointing; 6] = [
        Pointing::Reply,
        Pointing::Status,
        Pointing::Edit,
        Pointing::Reaction,
        Pointing::Revoke,
        Pointing::Encrypted,
    ];

    /// Its name in the table and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Pointing::Reply => "reply",
            Pointing::Status => "status",
            Pointing::Edit => "edit",
            Pointing::Reaction => "reaction",
            Pointing::Revoke => "revoke",
            Pointing::Encrypted => "encrypted",
        }
    }

    pub(super) fn named(name: &str) -> Pointing {
        let known = Pointing::ALL.iter().find(|pointing| pointing.name() == name);
        known.copied().unwrap_or(Pointing::Reply)
    }
}

pub(super) const RECORD: &str = "capture, ordinal, sort, what, conversation, person, at, at_local, digest, platform, \
    target, place, repeats, placement, part, item, sealed";

pub(super) fn record(row: &Row<'_>) -> rusqlite::Result<RecordRow> {
    let placement = match row.get::<_, i64>(13)? {
        0 => Placement::Capture,
        _ => Placement::Part {
            part: position(row.get(14)?),
            item: row.get(15)?,
        },
    };
    Ok(RecordRow {
        id: MessageId {
            capture: position(row.get(0)?),
            ordinal: row.get(1)?,
        },
        sort: RecordSort::from_code(row.get(2)?),
        what: row.get(3)?,
        conversation: KeyId(row.get(4)?),
        person: KeyId(row.get(5)?),
        at: row.get::<_, Option<i64>>(6)?.map(Timestamp::from_micros),
        at_local: row.get(7)?,
        digest: row.get(8)?,
        platform: row.get(9)?,
        target: row.get(10)?,
        place: row.get(11)?,
        repeats: row.get::<_, i64>(12)? == 1,
        placement,
        sealed: row.get(16)?,
        points: None,
        sequence: None,
    })
}

/// A gap.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GapRow {
    /// The entry that states it.
    pub position: Position,
    /// Which connection.
    pub connection: Option<String>,
    /// From.
    pub from: Timestamp,
    /// To.
    pub to: Timestamp,
    /// Name of the cause.
    pub cause: String,
    /// How many, as the cause says.
    pub count: u64,
    /// What is missing, counted by sort, as JSON; only of gaps that close by themselves.
    pub detail: Option<String>,
    /// How many of them are still missing; none where that is not counted.
    pub left: Option<u64>,
    /// By what it was closed.
    pub closed: Option<Closed>,
}

/// How a gap was closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// The entry that says so.
    pub by: Position,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
}

pub(super) const GAP: &str =
    "position, connection, from_at, to_at, cause, amount, detail, closed_by, closed_at, reason";

pub(super) fn gap(row: &Row<'_>) -> rusqlite::Result<GapRow> {
    Ok(GapRow {
        position: position(row.get(0)?),
        connection: row.get(1)?,
        from: Timestamp::from_micros(row.get(2)?),
        to: Timestamp::from_micros(row.get(3)?),
        cause: row.get(4)?,
        count: u64::try_from(row.get::<_, i64>(5)?).unwrap_or(0),
        detail: row.get(6)?,
        left: None,
        closed: match (row.get::<_, Option<i64>>(7)?, row.get(8)?, row.get(9)?) {
            (Some(by), Some(at), Some(reason)) => Some(Closed {
                by: position(by),
                at: Timestamp::from_micros(at),
                reason,
            }),
            _ => None,
        },
    })
}

/// A file to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchRow {
    /// The message that names it.
    pub id: MessageId,
    /// Which of the message's files.
    pub file: u16,
    /// How often it was tried.
    pub attempts: u32,
    /// Not before.
    pub due_at: Timestamp,
    /// 0 waits, 1 over.
    pub state: u8,
    /// What to fetch, sealed.
    pub sealed: Vec<u8>,
}

pub(super) fn fetch(row: &Row<'_>) -> rusqlite::Result<FetchRow> {
    Ok(FetchRow {
        id: MessageId {
            capture: position(row.get(0)?),
            ordinal: row.get(1)?,
        },
        file: row.get(2)?,
        attempts: row.get(3)?,
        due_at: Timestamp::from_micros(row.get(4)?),
        state: row.get(5)?,
        sealed: row.get(6)?,
    })
}

/// Which records a search reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SearchFilter {
    /// Leave out what repeats an earlier capture.
    pub without_repeats: bool,
    /// Only this sort.
    pub sort: Option<RecordSort>,
    /// Only this kind of content or event.
    pub what: Option<String>,
    /// Not before.
    pub from: Option<Timestamp>,
    /// Before.
    pub to: Option<Timestamp>,
    /// Only this connection.
    pub connection: Option<String>,
}
