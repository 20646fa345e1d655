//! What is missing, said as entries: looked for when everything that arrived is understood.
//!
//! A gap is a plain entry, so that whoever holds the public key alone sees it; the act after it, in the same commit group,
//! names what is missing by keyed digest. When all of it came after all, another act closes the gap. Both decisions use
//! the clock, and both are entries: a rebuild decides nothing again.

use std::collections::BTreeMap;
use std::sync::Arc;

use govern::custodian::Custodian;
use model::entry::{ActCode, Gap, GapCause, Kind};
use model::{ConnectionId, Position, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::StoreError;
use store::catalogue::{Catalogue, Digest, GapRow, PointedRow, Pointing, RhythmRow};
use store::ledger::Draft;

use super::import::Digest16;
use super::{Inner, Vault, VaultError, canaries, down, locked};

/// What is pointed at may still come for so long: platforms deliver late, in disorder, and again.
const GRACE_MICROS: i64 = 60 * 60 * 1_000_000;
/// What is missed within one of these becomes one gap a connection, not a gap a message.
const SLOT_MICROS: i64 = 15 * 60 * 1_000_000;
/// Missing things in one gap: the act that names them stays below a megabyte.
const ITEMS_MAX: u32 = 10_000;
/// Holes looked at in one round.
const HOLES_MAX: u32 = 1_000;
/// Gaps closed, and unreadable captures named, in one round.
const ROUND_MAX: u32 = 256;
/// Before its rhythm is known, silence means nothing: so many captures, over so long.
const RHYTHM_CAPTURES_MIN: u64 = 20;
const RHYTHM_MICROS_MIN: i64 = 7 * 86_400_000_000;
/// Less is no silence, however busy a connection is: nights.
const SILENCE_MICROS_MIN: i64 = 24 * 3_600_000_000;
/// Silent is what is quiet for longer than this many times the longest pause of the last weeks.
const SILENCE_TIMES: i64 = 2;
/// Deliveries turned away within this of each other are one gap.
const REFUSED_QUIET_MICROS: i64 = 60 * 1_000_000;
/// Gaps in one answer.
const ANSWER_MAX: u32 = 1_000;

/// Mark: captures before it that no key opens are named.
const UNREADABLE: &str = "unreadable-named";

/// Reasons for which the intake turns away what may be genuine. A wrong signature is not among them: anybody can send one.
const NOT_KEPT: [&str; 5] = [
    "not-written",
    "not-sealed",
    "no-vault",
    "no-room",
    "too-many-connections",
];

/// Body of the act that follows a gap entry.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Detailed {
    /// Keyed digests of what is missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) items: Vec<Digest16>,
    /// Numbers of sequences that are missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) runs: Vec<Stretch>,
    /// How many of each sort, by what points at them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) by: BTreeMap<String, u64>,
    /// Which expected message did not come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) canary: Option<canaries::OfCanary>,
}

/// Numbers of a sequence, both ends included.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Stretch {
    stream: Digest16,
    first: u64,
    last: u64,
}

/// Body of the act that closes a gap.
#[derive(Debug, Serialize, Deserialize)]
struct Closing {
    gap: Position,
    /// `arrived`: all that was missing is here. `resumed`: the connection speaks again. `no-longer-expected`: nobody waits for the
    /// message any more.
    reason: String,
}

/// Deliveries that could not be kept, not yet in an entry.
#[derive(Debug, Clone, Copy)]
pub struct TurnedAway {
    first: Timestamp,
    last: Timestamp,
    count: u64,
}

/// By connection; "" where the intake could not tell which.
pub type Refusals = BTreeMap<String, TurnedAway>;

/// What of the ledger's gaps is asked for.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct GapsWanted {
    /// Only of this connection, and of the whole ledger.
    pub connection: Option<String>,
    /// Only those that reach to this time or later.
    pub since: Option<Timestamp>,
    /// Only open ones.
    pub open: bool,
}

/// One round; `true` when something was written. To be called only when all that arrived is understood: what stands in the
/// ledger and is not read yet would be missed.
pub(crate) fn look(inner: &Arc<Inner>) -> Result<bool, VaultError> {
    let now = (inner.clock)();
    let due = Timestamp::from_micros(slot(now.as_micros() - GRACE_MICROS));
    let mut drafts = Vec::new();
    pointed(inner, due, &mut drafts)?;
    holes(inner, due, &mut drafts)?;
    let named_before = unreadable(inner, &mut drafts)?;
    silences(inner, now, &mut drafts)?;
    down::down(inner, now, &mut drafts)?;
    canaries::missed(inner, now, &mut drafts)?;
    let mut refusals = locked(&inner.refusals);
    let said = refused(&refusals, now, &mut drafts);
    closings(inner, &mut drafts)?;
    let found = !drafts.is_empty();
    for pair in drafts {
        inner.ledger.append(pair)?;
    }
    // Only now: what could not be written down is looked for again.
    refusals.retain(|connection, _| !said.contains(connection));
    drop(refusals);
    if let Some(before) = named_before {
        let before = i64::try_from(before.0).unwrap_or(i64::MAX);
        locked(&inner.catalogue).set_mark(UNREADABLE, before)?;
    }
    Ok(found)
}

fn slot(micros: i64) -> i64 {
    micros.div_euclid(SLOT_MICROS) * SLOT_MICROS
}

/// Messages that something points at and that did not come.
fn pointed(inner: &Inner, due: Timestamp, out: &mut Vec<Vec<Draft>>) -> Result<(), VaultError> {
    let rows = locked(&inner.catalogue).pointed_before(due, ITEMS_MAX)?;
    let mut groups: BTreeMap<(&str, bool), Vec<&PointedRow>> = BTreeMap::new();
    for row in &rows {
        let group = (row.connection.as_str(), row.what == Pointing::Encrypted);
        groups.entry(group).or_default().push(row);
    }
    for ((connection, encrypted), rows) in groups {
        let times = || rows.iter().map(|row| row.at);
        let (Some(from), Some(to)) = (times().min(), times().max()) else {
            continue;
        };
        let mut detail = Detailed::default();
        for row in &rows {
            detail.items.push(Digest16(row.target));
            *detail.by.entry(row.what.name().to_owned()).or_default() += 1;
        }
        let cause = match encrypted {
            true => GapCause::Undecrypted,
            false => GapCause::PointedAt,
        };
        let gap = gap(connection, (from, to), cause, rows.len() as u64);
        out.push(inner.gap_with(gap, &detail)?);
    }
    Ok(())
}

/// Holes in sequences, a gap each.
fn holes(inner: &Inner, due: Timestamp, out: &mut Vec<Vec<Draft>>) -> Result<(), VaultError> {
    let holes = locked(&inner.catalogue).holes_before(due, HOLES_MAX)?;
    for hole in holes {
        let count = hole.last - hole.first + 1;
        let detail = Detailed {
            runs: vec![Stretch {
                stream: Digest16(hole.stream),
                first: hole.first,
                last: hole.last,
            }],
            ..Detailed::default()
        };
        let between = (hole.from.min(hole.to), hole.from.max(hole.to));
        let gap = gap(&hole.connection, between, GapCause::SequenceHole, count);
        out.push(inner.gap_with(gap, &detail)?);
    }
    Ok(())
}

/// Captures that no key opens, one gap a connection. Answers before which position all are named once this is written.
fn unreadable(inner: &Inner, out: &mut Vec<Vec<Draft>>) -> Result<Option<Position>, VaultError> {
    let catalogue = locked(&inner.catalogue);
    let from = Position(u64::try_from(catalogue.mark(UNREADABLE)?).unwrap_or(0));
    let rows = catalogue.unreadable_captures(from, ROUND_MAX)?;
    let Some((last, ..)) = rows.last() else {
        return Ok(None);
    };
    let mut groups: BTreeMap<&str, (Vec<Timestamp>, Detailed)> = BTreeMap::new();
    for (position, connection, at) in &rows {
        let item = inner.labels.digest(&[b"unreadable", &position.0.to_be_bytes()]);
        if !catalogue.is_lacking(&item)? {
            let (times, detail) = groups.entry(connection).or_default();
            times.push(*at);
            detail.items.push(Digest16(item));
        }
    }
    for (connection, (times, detail)) in groups {
        let (Some(from), Some(to)) = (times.iter().min(), times.iter().max()) else {
            continue;
        };
        let gap = gap(connection, (*from, *to), GapCause::KeyMissing, times.len() as u64);
        out.push(inner.gap_with(gap, &detail)?);
    }
    Ok(Some(last.plus(1)))
}

/// Connections that are quiet for longer than they ever are, and those that speak again.
fn silences(inner: &Inner, now: Timestamp, out: &mut Vec<Vec<Draft>>) -> Result<(), VaultError> {
    let (rhythms, open) = {
        let catalogue = locked(&inner.catalogue);
        (
            catalogue.rhythms()?,
            catalogue.open_gaps_of(GapCause::Silent.name())?,
        )
    };
    for gap in open {
        let again = rhythms
            .iter()
            .find(|row| Some(&row.connection) == gap.connection.as_ref());
        if again.is_some_and(|row| row.last > gap.from) {
            out.push(vec![inner.closing(gap.position, "resumed")?]);
        }
    }
    for row in rhythms.iter().filter(|row| is_silent(row, now)) {
        let speaks = inner.connections().iter().any(|config| {
            let connector = connect::find(&config.connector);
            config.id.as_str() == row.connection
                && connector.is_some_and(|c| matches!(c.door(), connect::Door::Webhook { .. }))
        });
        let item = inner.labels.digest(&[
            b"silence",
            row.connection.as_bytes(),
            &row.last.as_micros().to_be_bytes(),
        ]);
        if speaks && !locked(&inner.catalogue).is_lacking(&item)? {
            let detail = Detailed {
                items: vec![Digest16(item)],
                ..Detailed::default()
            };
            let gap = gap(&row.connection, (row.last, now), GapCause::Silent, 0);
            out.push(inner.gap_with(gap, &detail)?);
        }
    }
    Ok(())
}

fn is_silent(row: &RhythmRow, now: Timestamp) -> bool {
    let quiet = now.as_micros() - row.last.as_micros();
    let usual = row.longest_micros.saturating_mul(SILENCE_TIMES);
    row.captures >= RHYTHM_CAPTURES_MIN
        && row.last.as_micros() - row.first.as_micros() >= RHYTHM_MICROS_MIN
        && quiet > usual.max(SILENCE_MICROS_MIN)
}

/// Deliveries that the intake could not hand over. Answers of which connections.
fn refused(refusals: &Refusals, now: Timestamp, out: &mut Vec<Vec<Draft>>) -> Vec<String> {
    let over = |turned: &TurnedAway| now.as_micros() - turned.last.as_micros() >= REFUSED_QUIET_MICROS;
    let mut said = Vec::new();
    for (connection, turned) in refusals.iter().filter(|(_, turned)| over(turned)) {
        let gap = gap(
            connection,
            (turned.first, turned.last),
            GapCause::Refused,
            turned.count,
        );
        out.push(vec![Draft {
            kind: Kind::Gap(gap),
            body: Vec::new(),
        }]);
        said.push(connection.clone());
    }
    said
}

/// Gaps of which nothing is missing any more.
fn closings(inner: &Inner, out: &mut Vec<Vec<Draft>>) -> Result<(), VaultError> {
    let touched = locked(&inner.catalogue).touched_gaps(ROUND_MAX)?;
    for (gap, _) in touched.into_iter().filter(|(_, left)| *left == 0) {
        out.push(vec![inner.closing(gap, "arrived")?]);
    }
    Ok(())
}

pub(super) fn gap(connection: &str, (from, to): (Timestamp, Timestamp), cause: GapCause, count: u64) -> Gap {
    Gap {
        connection: connection.parse::<ConnectionId>().ok(),
        from,
        to,
        cause,
        count,
    }
}

/// Reads what an act says of gaps into the catalogue.
pub fn note(
    catalogue: &mut Catalogue,
    code: ActCode,
    at: Position,
    recorded_at: Timestamp,
    body: &[u8],
) -> Result<(), StoreError> {
    match code {
        ActCode::GapDetailed => {
            let (Ok(detail), Some(gap)) = (
                serde_json::from_slice::<Detailed>(body),
                at.0.checked_sub(1).map(Position),
            ) else {
                return Ok(());
            };
            let items: Vec<Digest> = detail.items.iter().map(|item| item.0).collect();
            catalogue.note_lacking(gap, &items)?;
            for run in &detail.runs {
                catalogue.note_lacking_run(gap, &run.stream.0, run.first, run.last)?;
            }
            if let Some(of) = &detail.canary {
                canaries::note_missed(catalogue, gap, of)?;
            }
            let numbers: Vec<_> = detail.runs.iter().map(|run| [run.first, run.last]).collect();
            let words = match numbers.is_empty() {
                true => json!(detail.by),
                false => json!({ "numbers": numbers }),
            };
            catalogue.note_gap_detail(gap, &words.to_string())
        }
        ActCode::GapClosed => match serde_json::from_slice::<Closing>(body) {
            Ok(closing) => catalogue.note_gap_closed(closing.gap, at, recorded_at, &closing.reason),
            Err(_) => Ok(()),
        },
        _ => Ok(()),
    }
}

impl Inner {
    pub fn note_gap(&self, cause: GapCause, count: u64) -> Result<(), VaultError> {
        let now = (self.clock)();
        self.append_gap(cause, None, (now, now), count)
    }

    /// Writes down a stretch in which capture is known or suspected to be incomplete.
    pub fn append_gap(
        &self,
        cause: GapCause,
        connection: Option<ConnectionId>,
        (from, to): (Timestamp, Timestamp),
        count: u64,
    ) -> Result<(), VaultError> {
        let gap = Gap {
            connection,
            from,
            to,
            cause,
            count,
        };
        self.ledger.append(vec![Draft {
            kind: Kind::Gap(gap),
            body: Vec::new(),
        }])?;
        Ok(())
    }

    /// A gap and the act that names what is missing, to stand side by side.
    pub(super) fn gap_with(&self, gap: Gap, detail: &Detailed) -> Result<Vec<Draft>, VaultError> {
        let gap = Draft {
            kind: Kind::Gap(gap),
            body: Vec::new(),
        };
        Ok(vec![gap, self.act_draft(ActCode::GapDetailed, &json!(detail))?])
    }

    pub(super) fn closing(&self, gap: Position, reason: &str) -> Result<Draft, VaultError> {
        let closing = Closing {
            gap,
            reason: reason.to_owned(),
        };
        self.act_draft(ActCode::GapClosed, &json!(closing))
    }

    /// Counts deliveries that may have been genuine and were turned away.
    pub fn turned_away(&self, connection: &str, reason: &str, count: u64) {
        if !NOT_KEPT.contains(&reason) {
            return;
        }
        let now = (self.clock)();
        let mut refusals = locked(&self.refusals);
        let turned = refusals.entry(connection.to_owned()).or_insert(TurnedAway {
            first: now,
            last: now,
            count: 0,
        });
        turned.last = now;
        turned.count += count;
    }

    fn gaps(&self, wanted: &GapsWanted) -> Result<Value, VaultError> {
        if let Some(id) = &wanted.connection
            && !self.connections().iter().any(|config| config.id.as_str() == id)
        {
            return Err(VaultError::NotFound(format!("connection {id}")));
        }
        let roster = self.roster()?;
        let reader = locked(&self.reader);
        let (known, open) = reader.count_gaps()?;
        let (mut found, mut after) = (Vec::new(), None);
        'all: loop {
            let page = reader.gaps_after(after, wanted.open, ANSWER_MAX)?;
            let Some(last) = page.last() else { break };
            after = Some(last.position);
            for gap in &page {
                let of_it = wanted.connection.is_none()
                    || gap.connection.is_none()
                    || gap.connection == wanted.connection;
                if of_it && wanted.since.is_none_or(|since| gap.to >= since) {
                    if found.len() >= ANSWER_MAX as usize {
                        found.push(json!(null));
                        break 'all;
                    }
                    let mut shown = shown(gap);
                    let theirs = |person: &&Custodian| {
                        let own = |id: &String| Some(id) == gap.connection.as_ref();
                        person.enrolled.connections.iter().any(own)
                            && person.enrolled.start <= gap.to
                            && !person.has_left(gap.from)
                    };
                    let whose: Vec<&String> = roster.people().iter().filter(theirs).map(|p| &p.id).collect();
                    if let Value::Object(fields) = &mut shown {
                        fields.insert("custodians".to_owned(), json!(whose));
                    }
                    found.push(shown);
                }
            }
        }
        let more = found.last().is_some_and(Value::is_null);
        found.retain(|gap| !gap.is_null());
        Ok(json!({ "gaps": found, "known": known, "open": open, "more": more }))
    }
}

/// A gap as answers show it.
pub fn shown(gap: &GapRow) -> Value {
    let detail = gap
        .detail
        .as_deref()
        .and_then(|detail| serde_json::from_str::<Value>(detail).ok());
    json!({
        "id": gap.position, "connection": gap.connection, "from": gap.from, "to": gap.to, "cause": gap.cause,
        "count": gap.count, "missing_by": detail, "still_missing": gap.left,
        "state": if gap.closed.is_some() { "closed" } else { "open" },
        "closed": gap.closed.as_ref().map(|closed| json!({
            "by_entry": closed.by, "at": closed.at, "reason": closed.reason,
        })),
        "remedy": remedy(&gap.cause),
    })
}

/// What can still be done about a gap of this cause.
pub fn remedy(cause: &str) -> &'static str {
    match cause {
        "torn-group" => {
            "nothing was acknowledged, so the platform sends it again; the cut bytes are set aside"
        }
        "not-running" => {
            "platforms repeat what was not taken, WhatsApp for up to 7 days, WeCom callbacks only within seconds; ask for a \
             history or an export of that time"
        }
        "media-lost" => "ask the sender for the file, and import it",
        "key-missing" => "restore a newer copy of the key store, then `chancery rebuild`",
        "possibly-cut" => "ask for an export that reaches further back, and import it",
        "connection-ended" => {
            "`chancery connection test` says what is wrong; repaired within the vendor's five days, all is pulled and the gap \
             closes by itself; later, ask for an export of the time between"
        }
        "restored" => {
            "compare with checkpoints handed out since; platforms and phones may still have what is missing"
        }
        "sequence-hole" => {
            "pull again from before the hole, or import the missing messages; the gap closes by itself"
        }
        "pointed-at" => {
            "capture the program that sends for this number too; import a history or an export; the gap closes by itself when \
             the messages are here"
        }
        "undecrypted" => "add the private key of that version to the connection; the gap closes by itself",
        "refused" => {
            "platforms repeat what was turned away; `chancery doctor` says whether the disk or the vault stands still"
        }
        "silent" => {
            "`chancery connection test` it, and send a message to it; the gap closes when something comes"
        }
        "canary-missed" => {
            "`chancery capture status` says which message; see whether it was sent, then `chancery connection test`; the gap closes \
             when it arrives again"
        }
        _ => "",
    }
}

impl Vault {
    /// Waits until it was looked what is missing, once more from now on, with everything up to `position` understood.
    ///
    /// # Errors
    /// [`VaultError::Store`] when following stopped.
    pub fn wait_looked(&self, position: Position) -> Result<(), VaultError> {
        // Twice: the look that may be under way when this is called began before.
        for _ in 0..2 {
            let begun = self.progress().looks;
            self.inner.ledger.wake();
            self.inner
                .wait_until(|progress| progress.normalized >= position && progress.looks > begun)?;
        }
        Ok(())
    }

    /// The gaps that are known, oldest first, with what can still be done.
    ///
    /// # Errors
    /// [`VaultError::NotFound`] for a connection that there is not; [`VaultError::Store`].
    pub fn gaps(&self, wanted: &GapsWanted) -> Result<Value, VaultError> {
        self.inner.gaps(wanted)
    }
}
