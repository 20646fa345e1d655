//! Rows of the catalogue: what of a record stands plain, and the record itself, sealed.

use std::cell::Cell;

use connect::Door;
use govern::consent::{Because, Lack};
use model::bytes::Writer;
use model::record::{Details, Event, EventKind, Message, Problem, Record};
use model::{KeyId, MessageId, Timestamp, ZoneId};
use seal::keyring::Label;
use seal::suite::{self, Key, SealError};
use store::catalogue::{CaptureRow, Digest, Placement, Pointing, RecordRow, RecordSort};

use super::consent::{Asked, Before, Seen, concerned, refuses};
use super::governance::tombs::Tombs;
use super::labels::{Gone, Labels, Owner};
use super::{Inner, locked};

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

/// The minute of a record, as a number that only orders: in UTC where that is known, else by the wall clock.
fn minute(at: Option<Timestamp>, local: Option<&str>) -> Option<i64> {
    at.map(|at| at.as_micros().div_euclid(60_000_000))
        .or_else(|| local.and_then(minute_of))
}

/// The digits of `YYYY-MM-DDTHH:MM`.
fn minute_of(local: &str) -> Option<i64> {
    let whole = local.get(..16)?;
    let mut digits = whole.bytes().filter(u8::is_ascii_digit);
    digits.try_fold(0i64, |number, digit| {
        number.checked_mul(10)?.checked_add(i64::from(digit - b'0'))
    })
}

/// Stands in for the minute of what has none.
fn piece(digest: &Digest) -> i64 {
    digest
        .first_chunk::<8>()
        .map_or(0, |bytes| i64::from_be_bytes(*bytes))
}

/// The month of a record: of when it was said, else of when it was received.
pub fn month(at: Option<Timestamp>, local: Option<&str>, received_at: Timestamp) -> i32 {
    let local = || {
        let (year, month) = (
            local?.get(..4)?.parse::<i32>().ok()?,
            local?.get(5..7)?.parse::<i32>().ok()?,
        );
        Some(year * 12 + month - 1)
    };
    at.map(Timestamp::month)
        .or_else(local)
        .unwrap_or_else(|| received_at.month())
}

/// Between which instants something was said: one and the same, where it is known; up to a day apart, where only a wall
/// clock of unknown zone is.
pub fn when(at: Option<Timestamp>, local: Option<&str>, received_at: Timestamp) -> (Timestamp, Timestamp) {
    // Zones reach from twelve hours behind UTC to fourteen before it.
    const HOUR: i64 = 3_600_000_000;
    let wall = || {
        Timestamp::parse(&format!("{}Z", local?))
            .ok()
            .map(Timestamp::as_micros)
    };
    match at {
        Some(at) => (at, at),
        None => wall().map_or((received_at, received_at), |wall| {
            (
                Timestamp::from_micros(wall - 14 * HOUR),
                Timestamp::from_micros(wall + 12 * HOUR),
            )
        }),
    }
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
    /// The capture itself.
    pub row: &'a CaptureRow,
    /// Where what is known of consent is read, and added to.
    pub inner: &'a Inner,
    /// What was destroyed and must not come back; none for rows of what stands in the ledger already.
    pub tombs: Option<&'a Tombs<'a>>,
    /// What was decided in an attempt that did not come to its end.
    pub before: Option<&'a Before>,
    /// Ordinal of the next record: they are asked about in their order.
    pub next: Cell<u32>,
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
    place: i64,
    points: Option<Pointing>,
    sequence: Option<(Digest, u64)>,
    /// Under whose secrets it is sealed.
    pub owner: Owner,
    /// Whose consent it lacks that the zone's rule asks for. It is kept all the same when a hold or a minimum says so.
    pub lack: Option<Lack>,
}

impl Reading<'_> {
    /// The facts of a record whose JSON is `json`.
    pub fn facts(&self, record: &Record<'_>, json: &[u8]) -> Facts {
        let mut facts = match record {
            Record::Message(message) => self.message(message, json),
            Record::Event(event) => self.event(event, json),
            Record::Problem(problem) => self.problem(problem, json),
        };
        if let Record::Event(event) = record {
            let vouched = || self.inner.is_vouched(&locked(&self.inner.catalogue), self.row);
            let is_vouched = !refuses(event) || vouched();
            locked(&self.inner.consent).note(self.labels, self.connection, event, is_vouched);
        }
        let listening = &self.inner.canaries.listening;
        locked(listening).hear(self.connection, (self.row.position, self.received_at), record);
        let ordinal = self.next.replace(self.next.get().saturating_add(1));
        self.ask_consent(ordinal, record, &mut facts);
        facts
    }

    /// Asks again of the record of this ordinal, whose JSON is `json`, now that more is known of who agreed.
    pub fn ask_again(&self, ordinal: u32, json: &[u8], facts: &mut Facts) {
        let Ok(record) = serde_json::from_slice::<Record<'_>>(json) else {
            return;
        };
        if facts.owner.gone == Some(Gone::NoConsent) {
            facts.owner.gone = None;
        }
        facts.lack = None;
        self.ask_consent(ordinal, &record, facts);
    }

    /// Of what is written anew it is asked whether it may be kept; of what stands in the ledger it was decided before.
    fn ask_consent(&self, ordinal: u32, record: &Record<'_>, facts: &mut Facts) {
        let Some(tombs) = self.tombs.filter(|_| facts.owner.gone.is_none()) else {
            return;
        };
        let (mut earliest, mut latest) = when(facts.at, facts.at_local.as_deref(), self.received_at);
        if (earliest, latest) == (self.received_at, self.received_at) && facts.at.is_none() {
            // It says no time. One clock alone destroys nothing: consent must be lacking by every clock, and in between.
            for clock in tombs.other_clocks() {
                (earliest, latest) = (earliest.min(clock), latest.max(clock));
            }
        }
        let asked = Asked {
            labels: self.labels,
            connection: self.connection,
            capture: self.row.position,
            at: (earliest, latest),
        };
        let lack = locked(&self.inner.consent).lack(&asked, record);
        let must_keep = || {
            let concerned = concerned(self.labels, record);
            tombs.must_keep(&facts.owner, &concerned, earliest, latest)
        };
        // Decided once: parts of the one attempt and of the other must not say it differently.
        let lack = match self.before.and_then(|before| before.was_refused(ordinal)) {
            None => lack,
            Some(true) => Some(lack.unwrap_or(Lack {
                custodian: None,
                because: Because::DecidedBefore,
            })),
            Some(false) => lack.filter(|_| must_keep()),
        };
        if lack.is_some() && !must_keep() {
            facts.owner.gone = Some(Gone::NoConsent);
        }
        facts.lack = lack;
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

    fn owner(
        &self,
        conversation: Option<Label>,
        person: Option<Label>,
        at: Option<Timestamp>,
        local: Option<&str>,
    ) -> Owner {
        let mut owner = Owner {
            conversation,
            person,
            month: self.month(at, local),
            gone: None,
        };
        let gone = |tombs: &Tombs<'_>| tombs.gone(&owner, when(at, local, self.received_at));
        owner.gone = self.tombs.is_some_and(gone).then_some(Gone::Destroyed);
        owner
    }

    fn month(&self, at: Option<Timestamp>, local: Option<&str>) -> i32 {
        month(at, local, self.received_at)
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
        let is_line = self.door.takes_files() && message.platform_id.is_none() && !told_by_instant;
        let (digest, minute) = if is_line {
            // The exporter's zone may be told at one import and not at the other: lines meet by their wall time.
            (self.line(message), local.and_then(minute_of))
        } else {
            (self.whole(json), minute(message.sent_at, local))
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
            place: minute.unwrap_or_else(|| piece(&digest)),
            points: Some(Pointing::Reply),
            sequence: self.sequence(message.details.as_ref()),
            owner: self.owner(conversation, person, message.sent_at, local),
            lack: None,
        }
    }

    /// Lines of text exports have no id. Two exports of one chat say the same line with the same conversation, sender,
    /// wall time and text, whatever else the exporter's options made of it.
    fn line(&self, message: &Message<'_>) -> Digest {
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
        self.labels.digest(&pieces)
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
        let digest = self.whole(json);
        let points = points(event);
        let own = self.platform(event.platform_id.as_ref());
        // A message that nobody has decrypted yet points at itself: it is here when it comes again in the clear.
        let (platform, target) = match points {
            Some(Pointing::Encrypted) => (None, own),
            _ => (own, self.platform(event.target.as_ref())),
        };
        Facts {
            sort: RecordSort::Event,
            what: event.event.name().to_owned(),
            at: event.occurred_at,
            at_local: None,
            digest,
            platform,
            target,
            points,
            sequence: self.sequence(event.details.as_ref()),
            place: minute(event.occurred_at, None).unwrap_or_else(|| piece(&digest)),
            owner: self.owner(conversation, person, event.occurred_at, None),
            lack: None,
        }
    }

    /// The number that the source counts, where it does: `seq` of the details, of the sequence `seq_of` where there are
    /// several in a connection.
    fn sequence(&self, details: Option<&Details>) -> Option<(Digest, u64)> {
        let fields = &details?.0;
        let given = fields.get("given").and_then(serde_json::Value::as_object);
        let field = |name: &str| fields.get(name).or_else(|| given?.get(name));
        let seq = field("seq")?;
        let seq = seq.as_u64().or_else(|| seq.as_str()?.parse().ok())?;
        let stream = field("seq_of").and_then(serde_json::Value::as_str).unwrap_or("");
        let pieces = [
            b"sequence".as_slice(),
            self.connection.as_bytes(),
            stream.as_bytes(),
        ];
        Some((self.labels.digest(&pieces), seq))
    }

    fn problem(&self, problem: &Problem<'_>, json: &[u8]) -> Facts {
        let digest = self.whole(json);
        Facts {
            sort: RecordSort::Problem,
            what: problem.code.to_string(),
            at: None,
            at_local: None,
            digest,
            platform: None,
            target: None,
            place: piece(&digest),
            points: None,
            sequence: None,
            owner: self.owner(None, None, None, None),
            lack: None,
        }
    }
}

/// In what way an event points at a message that must have been. Others name templates, numbers or conversations.
fn points(event: &Event<'_>) -> Option<Pointing> {
    match event.event {
        EventKind::Edit => Some(Pointing::Edit),
        EventKind::Revoke => Some(Pointing::Revoke),
        EventKind::Reaction => Some(Pointing::Reaction),
        EventKind::Status => Some(Pointing::Status),
        EventKind::Other if event.state.as_deref() == Some("encrypted") => Some(Pointing::Encrypted),
        _ => None,
    }
}

impl Facts {
    /// What is still counted of a record that is not kept: its number in a sequence, its id, its time.
    pub fn seen(&self) -> Seen {
        Seen {
            platform: self.platform,
            sequence: self.sequence,
            at: self.at,
        }
    }

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
            place: self.place,
            repeats: false,
            placement,
            sealed,
            points: self.points,
            sequence: self.sequence,
        }
    }
}
