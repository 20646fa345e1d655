//! Messages of the customer's own that a connection is expected to bring every so often: canaries.
//!
//! What a canary says stands sealed, in the act that set it, and is compared in memory with messages as they are understood. That
//! one arrived is noted before anything else is made of its capture, and becomes an entry; so it counts even where the message
//! is destroyed at once. That one is missing, and that it is so no more, are entries too: a rebuild decides nothing again.

use std::collections::BTreeMap;
use std::sync::Mutex;

use model::entry::{ActCode, GapCause};
use model::record::{Message, Record};
use model::{ConnectionId, Position, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::StoreError;
use store::catalogue::{CanaryRow, Catalogue, Missed};
use store::ledger::Draft;
use zeroize::{Zeroize, Zeroizing};

use super::checks::{Check, CheckKind};
use super::gaps::{Detailed, gap};
use super::import::Digest16;
use super::{Inner, Vault, VaultError, locked};

/// Each message of a connection is compared with each of its canaries.
const OF_A_CONNECTION_MAX: usize = 8;
/// Shorter ones stand in messages by chance.
const PHRASE_CHARS_MIN: usize = 12;
/// Longer ones are cut or broken into lines by some apps.
const PHRASE_CHARS_MAX: usize = 256;
/// More often is no canary but traffic.
const EVERY_SECONDS_MIN: u64 = 10 * 60;
/// What is expected less often is missed too late to do anything.
const EVERY_SECONDS_MAX: u64 = 31 * 24 * 3600;
/// Later than this is missing.
const GRACE_SECONDS_MAX: u64 = 7 * 24 * 3600;

/// What a canary says: never printed, wiped when dropped.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
struct Phrase(String);

impl Drop for Phrase {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl Phrase {
    fn of(bytes: &[u8]) -> Result<Phrase, VaultError> {
        let usage = |text: String| Err(VaultError::Usage(text));
        let Ok(text) = std::str::from_utf8(bytes) else {
            return usage("the phrase is not a text in UTF-8".to_owned());
        };
        let text = text.strip_prefix('\u{feff}').unwrap_or(text).trim();
        if text.chars().any(char::is_control) {
            return usage("the phrase has to be one line, without tabs".to_owned());
        }
        match text.chars().count() {
            0..PHRASE_CHARS_MIN => usage(format!(
                "the phrase has fewer than {PHRASE_CHARS_MIN} characters: other messages could hold it by chance; add some digits \
                 that nobody else writes"
            )),
            PHRASE_CHARS_MIN..=PHRASE_CHARS_MAX => Ok(Phrase(text.to_owned())),
            _ => usage(format!("the phrase has more than {PHRASE_CHARS_MAX} characters")),
        }
    }

    fn stands_in(&self, text: &str) -> bool {
        text.contains(&self.0)
    }
}

/// What is expected, without what it says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CanaryWanted {
    /// The connection that is to bring it.
    pub connection: String,
    /// What it is called: of the form of a connection's name.
    pub name: ConnectionId,
    /// How often.
    pub every_seconds: u64,
    /// How much later it may be.
    pub grace_seconds: u64,
}

/// What an act says of canaries.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Change {
    Set {
        #[serde(flatten)]
        wanted: CanaryWanted,
        phrase: Phrase,
        set_at: Timestamp,
    },
    Removed {
        /// The act that set it.
        canary: Position,
        connection: String,
        name: String,
    },
    Arrived {
        canary: Position,
        capture: Position,
        at: Timestamp,
    },
}

/// Body of the act. Nobody did what came by itself.
#[derive(Serialize, Deserialize)]
struct Changed {
    #[serde(flatten)]
    change: Change,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    actor: Option<String>,
}

/// In the act beside a gap: which canary it is about.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct OfCanary {
    canary: Position,
    after: Option<Position>,
}

struct Expected {
    canary: Position,
    connection: String,
    phrase: Phrase,
}

/// What is listened for while messages are understood, and what was heard since it was last noted.
#[derive(Default)]
pub(super) struct Listening {
    expected: Vec<Expected>,
    heard: BTreeMap<Position, (Position, Timestamp)>,
}

/// What is known of expected messages while the vault is open.
#[derive(Default)]
pub(crate) struct Canaries {
    pub(super) listening: Mutex<Listening>,
    /// Held while it is read what is expected, and an entry about it written.
    changing: Mutex<()>,
}

impl Listening {
    /// Takes in a record of a capture. What was captured before a canary was set is none.
    pub fn hear(&mut self, connection: &str, (capture, at): (Position, Timestamp), record: &Record<'_>) {
        let Record::Message(Message { text: Some(text), .. }) = record else {
            return;
        };
        for one in &self.expected {
            let counts = one.connection == connection && one.canary < capture;
            if counts && one.phrase.stands_in(text.reveal()) {
                let newest = self.heard.entry(one.canary).or_insert((capture, at));
                *newest = (*newest).max((capture, at));
            }
        }
    }
}

/// Brings what is listened for up to what was followed. To be called before captures are normalized.
pub(super) fn refresh(inner: &Inner) -> Result<(), VaultError> {
    let mut rows = locked(&inner.catalogue).canaries()?;
    rows.retain(|row| !row.removed);
    let mut listening = locked(&inner.canaries.listening);
    let known = listening.expected.iter().map(|one| one.canary);
    if known.eq(rows.iter().map(|row| row.position)) {
        return Ok(());
    }
    listening.expected = rows
        .into_iter()
        .map(|row| {
            Ok(Expected {
                canary: row.position,
                phrase: inner.phrase_of(row.position)?,
                connection: row.connection,
            })
        })
        .collect::<Result<_, VaultError>>()?;
    Ok(())
}

/// Gaps of canaries that are late, closings of those that came again or are expected no more, and entries of arrivals.
pub(super) fn missed(inner: &Inner, now: Timestamp, out: &mut Vec<Vec<Draft>>) -> Result<(), VaultError> {
    let rows = {
        let mut catalogue = locked(&inner.catalogue);
        catalogue.count_canaries_by(now)?;
        catalogue.canaries()?
    };
    for row in rows {
        let newest = row.arrived.map(|(capture, _)| capture);
        if let Some(missed) = row.missed {
            if row.removed {
                out.push(vec![inner.closing(missed.gap, "no-longer-expected")?]);
            } else if newest != missed.after {
                out.push(vec![inner.closing(missed.gap, "resumed")?]);
            }
        }
        if let Some((capture, at)) = row.arrived
            && row.stated < newest
        {
            let change = Change::Arrived {
                canary: row.position,
                capture,
                at,
            };
            out.push(vec![
                inner.act_draft(ActCode::CanaryChanged, &changed(change, None))?,
            ]);
        }
        if row.removed || row.missed.is_some() || !row.is_late(now) {
            continue;
        }
        let since = newest.unwrap_or(row.position);
        let item = inner
            .labels
            .digest(&[b"canary", &row.position.0.to_be_bytes(), &since.0.to_be_bytes()]);
        if locked(&inner.catalogue).is_lacking(&item)? {
            continue;
        }
        let detail = Detailed {
            items: vec![Digest16(item)],
            by: BTreeMap::from([(row.name.clone(), 1)]),
            canary: Some(OfCanary {
                canary: row.position,
                after: newest,
            }),
            ..Detailed::default()
        };
        let last = row.arrived.map_or(row.set_at, |(_, at)| at);
        let gap = gap(&row.connection, (last.min(now), now), GapCause::CanaryMissed, 1);
        out.push(inner.gap_with(gap, &detail)?);
    }
    Ok(())
}

fn changed(change: Change, actor: Option<&str>) -> Value {
    json!(Changed {
        change,
        actor: actor.map(str::to_owned),
    })
}

fn micros(seconds: u64) -> i64 {
    i64::try_from(seconds)
        .unwrap_or(i64::MAX)
        .saturating_mul(1_000_000)
}

/// Reads what an act says of canaries into the catalogue.
pub(super) fn note(catalogue: &mut Catalogue, at: Position, body: &[u8]) -> Result<(), StoreError> {
    let Ok(Changed { change, .. }) = serde_json::from_slice(body) else {
        return Ok(());
    };
    match change {
        Change::Set { wanted, set_at, .. } => catalogue.note_canary(&CanaryRow {
            position: at,
            connection: wanted.connection,
            name: wanted.name.to_string(),
            every_micros: micros(wanted.every_seconds),
            grace_micros: micros(wanted.grace_seconds),
            set_at,
            removed: false,
            arrived: None,
            stated: None,
            counted_from: set_at,
            missed: None,
        }),
        Change::Removed { canary, .. } => catalogue.note_canary_removed(canary),
        Change::Arrived { canary, capture, at } => {
            catalogue.note_canary_arrived(canary, capture, at)?;
            catalogue.note_canary_stated(canary, capture)
        }
    }
}

/// Reads of which canary a gap is into the catalogue.
pub(super) fn note_missed(catalogue: &mut Catalogue, gap: Position, of: &OfCanary) -> Result<(), StoreError> {
    let missed = Missed { gap, after: of.after };
    catalogue.note_canary_missed(of.canary, &missed)
}

impl Vault {
    /// Has a message expected of a connection.
    ///
    /// # Errors
    /// [`VaultError::NotFound`] for a connection that there is not; [`VaultError::Exists`]; [`VaultError::Usage`] for what cannot
    /// be one; [`VaultError::Store`].
    pub fn expect_canary(
        &self,
        wanted: &CanaryWanted,
        phrase: &Zeroizing<Vec<u8>>,
        actor: &str,
    ) -> Result<Value, VaultError> {
        let inner = &self.inner;
        let CanaryWanted { connection, name, .. } = wanted;
        let usage = |text: String| Err(VaultError::Usage(text));
        if inner.connection(connection).is_none() {
            return Err(VaultError::NotFound(format!("connection {connection}")));
        }
        let phrase = Phrase::of(phrase)?;
        if !(EVERY_SECONDS_MIN..=EVERY_SECONDS_MAX).contains(&wanted.every_seconds) {
            return usage("--every has to be between 10m and 31d".to_owned());
        }
        if wanted.grace_seconds > GRACE_SECONDS_MAX {
            return usage("--grace has to be at most 7d".to_owned());
        }
        let _one_at_a_time = locked(&inner.canaries.changing);
        let mut known = inner.canaries_now()?;
        known.retain(|row| row.connection == *connection);
        if known.iter().any(|row| row.name == name.as_str()) {
            let text = format!(
                "there is an expectation {name} of {connection} already: `chancery capture expect {connection} {name} --remove` \
                 first"
            );
            return Err(VaultError::Exists(text));
        }
        if known.len() >= OF_A_CONNECTION_MAX {
            return usage(format!(
                "there are {OF_A_CONNECTION_MAX} expectations of {connection} already"
            ));
        }
        for row in &known {
            let other = inner.phrase_of(row.position)?;
            if other.stands_in(&phrase.0) || phrase.stands_in(&other.0) {
                let text = format!(
                    "a message with this phrase would count for the expectation {} too: choose another phrase",
                    row.name
                );
                return Err(VaultError::Exists(text));
            }
        }
        let change = Change::Set {
            wanted: wanted.clone(),
            phrase,
            set_at: (inner.clock)(),
        };
        let at = inner.act(ActCode::CanaryChanged, &changed(change, Some(actor)))?;
        inner.wait_followed(at.plus(1))?;
        Ok(json!({ "entry": at, "expected": wanted }))
    }

    /// Has it expected no more.
    ///
    /// # Errors
    /// [`VaultError::NotFound`]; [`VaultError::Store`].
    pub fn expect_canary_no_more(
        &self,
        connection: &str,
        name: &str,
        actor: &str,
    ) -> Result<Value, VaultError> {
        let inner = &self.inner;
        let _one_at_a_time = locked(&inner.canaries.changing);
        let known = inner.canaries_now()?;
        let found = known
            .iter()
            .find(|row| row.connection == connection && row.name == name);
        let row = found.ok_or_else(|| {
            VaultError::NotFound(format!(
                "expectation {name} of {connection}; `chancery capture status` names them"
            ))
        })?;
        let change = Change::Removed {
            canary: row.position,
            connection: connection.to_owned(),
            name: name.to_owned(),
        };
        let at = inner.act(ActCode::CanaryChanged, &changed(change, Some(actor)))?;
        inner.wait_followed(at.plus(1))?;
        Ok(json!({ "entry": at, "removed": { "connection": connection, "name": name } }))
    }
}

impl Inner {
    fn phrase_of(&self, canary: Position) -> Result<Phrase, VaultError> {
        let body = self.open_act(&self.must_entry(canary)?);
        match body.and_then(|body| serde_json::from_value(body).ok()) {
            Some(Changed {
                change: Change::Set { phrase, .. },
                ..
            }) => Ok(phrase),
            _ => Err(VaultError::BadData(format!(
                "what entry {canary} expects cannot be read"
            ))),
        }
    }

    /// Notes what was heard, before anything is made of the capture that brought it.
    pub(super) fn note_heard(&self) -> Result<(), VaultError> {
        let heard = std::mem::take(&mut locked(&self.canaries.listening).heard);
        if heard.is_empty() {
            return Ok(());
        }
        locked(&self.catalogue).transaction(|catalogue| {
            let mut each = heard.into_iter();
            each.try_for_each(|(canary, (capture, at))| catalogue.note_canary_arrived(canary, capture, at))
        })?;
        Ok(())
    }

    /// Those that are expected by all that is written.
    fn canaries_now(&self) -> Result<Vec<CanaryRow>, VaultError> {
        self.wait_followed(self.ledger.head())?;
        self.canary_rows()
    }

    fn canary_rows(&self) -> Result<Vec<CanaryRow>, VaultError> {
        let mut rows = locked(&self.reader).canaries()?;
        rows.retain(|row| !row.removed);
        Ok(rows)
    }

    /// For `capture status`.
    pub(super) fn canary_states(&self) -> Result<Vec<Value>, VaultError> {
        let one = |row: &CanaryRow| {
            json!({
                "connection": row.connection, "name": row.name, "every_seconds": row.every_micros / 1_000_000,
                "grace_seconds": row.grace_micros / 1_000_000, "set_at": row.set_at,
                "last_arrived_at": row.arrived.map(|(_, at)| at), "next_due": row.due(),
                "gap": row.missed.map(|missed| missed.gap),
            })
        };
        Ok(self.canary_rows()?.iter().map(one).collect())
    }

    /// For `doctor`.
    pub(crate) fn check_canaries(&self, now: Timestamp) -> Result<Vec<Check>, VaultError> {
        let check = |row: CanaryRow| {
            let CanaryRow { connection, name, .. } = &row;
            let last = match row.arrived {
                Some((_, at)) => format!("it last arrived at {at}"),
                None => format!("it never arrived since it was set at {}", row.set_at),
            };
            let ok = row.missed.is_none() && !row.is_late(now);
            let detail = match ok {
                true => format!("{last}; the next is due at {}", row.due()),
                false => format!(
                    "{last}, and was due at {}: was it sent? `chancery connection test {connection}`",
                    row.due()
                ),
            };
            let subject = format!("{connection}/{name}");
            let check = format!("{connection} brings the expected message {name}");
            Check::new(CheckKind::CanaryArrived, check, ok, detail).of(subject)
        };
        Ok(self.canary_rows()?.into_iter().map(check).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phrase_is_one_line_of_twelve_to_256_characters() {
        let said = |bytes: &[u8]| Phrase::of(bytes).map(|phrase| phrase.0.clone());
        let refused = |bytes: &[u8], why: &str| match said(bytes) {
            Err(VaultError::Usage(text)) => assert!(text.contains(why), "{text}"),
            _ => panic!("{why}"),
        };
        refused(b"", "fewer than 12");
        refused(b"           \n   \n", "fewer than 12");
        refused("\u{feff}  elf letters ".trim_end().as_bytes(), "fewer than 12");
        refused("每日测试消息每日测试消".as_bytes(), "fewer than 12");
        refused(b"two lines are\nno phrase", "one line");
        refused(b"a tab is\tno phrase", "one line");
        refused(b"\xff\xfe not a text at all", "UTF-8");
        refused("é".repeat(257).as_bytes(), "more than 256");
        assert_eq!(said("é".repeat(256).as_bytes()).unwrap(), "é".repeat(256));
        assert_eq!(
            said("\u{feff} 每日测试消息每日测试消息\r\n".as_bytes()).unwrap(),
            "每日测试消息每日测试消息"
        );
        assert_eq!(said(b"  daily  test 4711 \n").unwrap(), "daily  test 4711");
    }
}
