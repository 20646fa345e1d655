//! Rows of the catalogue: what of a record stands plain, and the record itself, sealed.

use connect::Door;
use model::bytes::Writer;
use model::record::{Event, Message, Problem, Record};
use model::{KeyId, MessageId, Timestamp, ZoneId};
use seal::suite::{self, Key, SealError};
use store::catalogue::{Digest, Placement, RecordRow, RecordSort};

use super::labels::{Labels, Owner};

const ROW: &[u8] = b"chancery/1/row";

fn row_aad(zone: &ZoneId, id: MessageId) -> Vec<u8> {
    let mut aad = Writer::with_capacity(64);
    aad.raw(ROW).name(zone.as_str()).u64(id.capture.0).u32(id.ordinal);
    aad.into_bytes()
}

/// Seals a record's JSON under a key that dies with its item.
pub fn seal_row(zone: &ZoneId, id: MessageId, item_key: &Key, json: &[u8]) -> Result<Vec<u8>, SealError> {
    let mut sealed = Vec::with_capacity(json.len() + suite::TAG_BYTES);
    sealed.extend_from_slice(json);
    let key = suite::derive_from_key(item_key, &[ROW])?;
    suite::seal(&key, [0; 12], &row_aad(zone, id), &mut sealed)?;
    Ok(sealed)
}

/// Opens a record's JSON into `out`.
pub fn open_row(
    zone: &ZoneId,
    id: MessageId,
    item_key: &Key,
    sealed: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), SealError> {
    let key = suite::derive_from_key(item_key, &[ROW])?;
    suite::open(&key, [0; 12], &row_aad(zone, id), sealed, out)
}

/// Whose captures, and how they are compared.
pub struct Reading<'a> {
    /// For digests.
    pub labels: &'a Labels,
    /// Connection the capture came by.
    pub connection: &'a str,
    /// How the connector's captures arrive.
    pub door: Door,
    /// When it was received: the period of records without a time.
    pub received_at: Timestamp,
}

/// What of a record stands plain.
#[derive(Debug, Clone)]
pub struct Facts {
    sort: RecordSort,
    what: String,
    at: Option<Timestamp>,
    at_local: Option<String>,
    digest: Digest,
    platform: Option<Digest>,
    target: Option<Digest>,
    slot: Option<Digest>,
    /// Under whose secrets it is sealed.
    pub owner: Owner,
}

impl Reading<'_> {
    /// The facts of a record whose JSON is `json`.
    pub fn facts(&self, record: &Record<'_>, json: &[u8]) -> Facts {
        match record {
            Record::Message(message) => self.message(message, json),
            Record::Event(event) => self.event(event, json),
            Record::Problem(problem) => self.problem(problem, json),
        }
    }

    fn whole(&self, json: &[u8]) -> Digest {
        self.labels.digest(&[b"record", self.connection.as_bytes(), json])
    }

    fn platform(&self, id: Option<&model::Content<'_>>) -> Option<Digest> {
        let id = id?.reveal();
        Some(
            self.labels
                .digest(&[b"platform", self.connection.as_bytes(), id.as_bytes()]),
        )
    }

    fn month(&self, at: Option<Timestamp>, local: Option<&str>) -> i32 {
        let local = || {
            let (year, month) = (
                local?.get(..4)?.parse::<i32>().ok()?,
                local?.get(5..7)?.parse::<i32>().ok()?,
            );
            Some(year * 12 + month - 1)
        };
        at.map(Timestamp::month)
            .or_else(local)
            .unwrap_or_else(|| self.received_at.month())
    }

    fn message(&self, message: &Message<'_>, json: &[u8]) -> Facts {
        let conversation = message
            .conversation
            .as_ref()
            .and_then(|c| self.labels.conversation(self.connection, c));
        let person = message
            .sender
            .as_ref()
            .and_then(|sender| self.labels.person(conversation.as_ref(), sender));
        let local = message.sent_at_local.as_deref();
        // A line of a text export has wall time; what has an instant and no wall time is told by all it says.
        let told_by_instant = message.sent_at.is_some() && message.sent_at_local.is_none();
        let is_line = self.door == Door::File && message.platform_id.is_none() && !told_by_instant;
        let (digest, slot) = if is_line {
            self.line(message)
        } else {
            (self.whole(json), None)
        };
        Facts {
            sort: RecordSort::Message,
            what: message.content.name().to_owned(),
            at: message.sent_at,
            at_local: local.filter(|_| message.sent_at.is_none()).map(str::to_owned),
            digest,
            platform: self.platform(message.platform_id.as_ref()),
            target: self.platform(
                message
                    .quote
                    .as_ref()
                    .and_then(|quote| quote.platform_id.as_ref()),
            ),
            slot,
            owner: Owner {
                conversation,
                person,
                month: self.month(message.sent_at, local),
            },
        }
    }

    /// Lines of text exports have no id. Two exports of one chat say the same line with the same conversation, sender,
    /// wall time and text, whatever else the exporter's options made of it.
    fn line(&self, message: &Message<'_>) -> (Digest, Option<Digest>) {
        fn text<'m>(content: Option<&'m model::Content<'_>>) -> &'m [u8] {
            content.map_or(b"", |content| content.reveal().as_bytes())
        }
        let conversation = text(message.conversation.as_ref().and_then(|c| c.id.as_ref()));
        let sender = text(message.sender.as_ref().and_then(|sender| sender.name.as_ref()));
        let local = message.sent_at_local.as_deref().unwrap_or("");
        let kind = if message.sender.is_some() {
            b"said".as_slice()
        } else {
            b"system"
        };
        let pieces = [
            b"line",
            kind,
            conversation,
            sender,
            local.as_bytes(),
            text(message.text.as_ref()),
        ];
        let minute = local.get(..16).unwrap_or(local);
        let slot = self
            .labels
            .digest(&[b"slot", kind, conversation, sender, minute.as_bytes()]);
        (self.labels.digest(&pieces), Some(slot))
    }

    fn event(&self, event: &Event<'_>, json: &[u8]) -> Facts {
        let conversation = event
            .conversation
            .as_ref()
            .and_then(|c| self.labels.conversation(self.connection, c));
        let person = event
            .actor
            .as_ref()
            .and_then(|actor| self.labels.person(conversation.as_ref(), actor));
        Facts {
            sort: RecordSort::Event,
            what: event.event.name().to_owned(),
            at: event.occurred_at,
            at_local: None,
            digest: self.whole(json),
            platform: self.platform(event.platform_id.as_ref()),
            target: self.platform(event.target.as_ref()),
            slot: None,
            owner: Owner {
                conversation,
                person,
                month: self.month(event.occurred_at, None),
            },
        }
    }

    fn problem(&self, problem: &Problem<'_>, json: &[u8]) -> Facts {
        Facts {
            sort: RecordSort::Problem,
            what: problem.code.to_string(),
            at: None,
            at_local: None,
            digest: self.whole(json),
            platform: None,
            target: None,
            slot: None,
            owner: Owner {
                conversation: None,
                person: None,
                month: self.received_at.month(),
            },
        }
    }
}

impl Facts {
    /// The row, for a record sealed under `placement`.
    pub fn row(
        self,
        id: MessageId,
        (conversation, person): (KeyId, KeyId),
        placement: Placement,
        sealed: Vec<u8>,
    ) -> RecordRow {
        RecordRow {
            id,
            sort: self.sort,
            what: self.what,
            conversation,
            person,
            at: self.at,
            at_local: self.at_local,
            digest: self.digest,
            platform: self.platform,
            target: self.target,
            slot: self.slot,
            repeats: false,
            placement,
            sealed,
        }
    }
}
