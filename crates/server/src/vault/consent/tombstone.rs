//! What the ledger says of what came without consent: that it came, how much, from whose side, and why it is not kept; or that
//! it is kept because nobody may destroy it.
//!
//! What is not kept is sealed in parts under a key that exists only while they are written. The parts name a secret; a
//! destruction of it, for reason 4, stands in the same append as the last of them. That secret is in no key store, and never
//! was: no copy of the key store holds it.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use govern::consent::Lack;
use model::entry::{ActCode, Destruction, Kind};
use model::{KeyId, Position, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;
use store::StoreError;
use store::catalogue::{CaptureRow, Catalogue, Digest, Lacked, SeenNumber};
use store::ledger::Draft;

use super::super::import::Digest16;
use super::super::rows::Facts;
use super::super::{Inner, VaultError, locked};

/// Reason of such a destruction.
pub const NO_CONSENT: u16 = 4;

/// Records whose ids and numbers stand in one entry. Of more, an entry before says it: neither an append nor what is remembered
/// grows with the capture.
const SEEN_MAX: usize = 5_000;

/// What is still counted of a record that is not kept.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Keyed digest of the platform's id.
    pub platform: Option<Digest>,
    /// Its number in a sequence that the source counts.
    pub sequence: Option<(Digest, u64)>,
    /// When it was said.
    pub at: Option<Timestamp>,
}

/// What of a capture lacks consent.
#[derive(Debug, Default)]
pub struct Lacking {
    destroyed: BTreeMap<Lack, u64>,
    kept: BTreeMap<Lack, u64>,
    seen: Vec<Seen>,
}

#[derive(Serialize, Deserialize)]
struct Count {
    #[serde(flatten)]
    lack: Lack,
    records: u64,
}

/// Body of the destruction.
#[derive(Serialize, Deserialize)]
struct Tombstone {
    /// First chunk of the capture.
    capture: Position,
    /// The entry that put the rule in force.
    rule: Option<Position>,
    lacking: Vec<Count>,
    /// Keyed digests of the platform's ids.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    ids: Vec<Digest16>,
    /// Numbers in sequences.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    numbers: Vec<Number>,
}

#[derive(Serialize, Deserialize)]
struct Number {
    stream: Digest16,
    seq: u64,
    at: Option<Timestamp>,
}

/// Body of an act about what came and is not kept, where there is more of it than one entry says.
#[derive(Serialize, Deserialize)]
struct Came {
    came: Tombstone,
}

/// Body of the act about what is kept all the same.
#[derive(Serialize, Deserialize)]
struct Kept {
    kept: Tombstone,
}

impl Lacking {
    /// Counts a record, when it lacks consent.
    pub fn note(&mut self, facts: &Facts) {
        let Some(lack) = &facts.lack else { return };
        let of = match facts.owner.gone {
            Some(_) => &mut self.destroyed,
            None => &mut self.kept,
        };
        *of.entry(lack.clone()).or_default() += 1;
        let seen = facts.seen();
        if facts.owner.gone.is_some() && (seen.platform.is_some() || seen.sequence.is_some()) {
            self.seen.push(seen);
        }
    }

    /// Whether there is as much as one entry says.
    pub fn is_long(&self) -> bool {
        self.seen.len() >= SEEN_MAX
    }
}

fn counts(of: &BTreeMap<Lack, u64>) -> Vec<Count> {
    let count = |(lack, records): (&Lack, &u64)| Count {
        lack: lack.clone(),
        records: *records,
    };
    of.iter().map(count).collect()
}

fn lacked(counts: Vec<Count>) -> Vec<Lacked> {
    let one = |count: Count| Lacked {
        custodian: count.lack.custodian.unwrap_or_default(),
        because: count.lack.because.name().to_owned(),
        records: count.records,
    };
    counts.into_iter().map(one).collect()
}

impl Inner {
    /// The entries about what of a capture lacks consent: none, when nothing does. `refused` names what its parts hang on.
    pub fn about_consent(
        &self,
        row: &CaptureRow,
        lacking: &Lacking,
        refused: Option<KeyId>,
    ) -> Result<Vec<Draft>, VaultError> {
        if lacking.destroyed.is_empty() && lacking.kept.is_empty() {
            return Ok(Vec::new());
        }
        let capture = row.position;
        let (_, rule) = locked(&self.consent).state().rule_at(capture);
        let mut drafts = Vec::new();
        if let Some(refused) = refused {
            let mut tombstone = Tombstone {
                capture,
                rule,
                lacking: counts(&lacking.destroyed),
                ids: Vec::new(),
                numbers: Vec::new(),
            };
            tombstone.say(&lacking.seen);
            drafts.push(self.seal_tombstone(refused, &tombstone)?);
        }
        if !lacking.kept.is_empty() {
            let kept = Tombstone {
                capture,
                rule,
                lacking: counts(&lacking.kept),
                ids: Vec::new(),
                numbers: Vec::new(),
            };
            drafts.push(self.act_draft(ActCode::ConsentDecided, &json!(Kept { kept }))?);
        }
        Ok(drafts)
    }

    /// What came and is not kept, to be said before the destruction: then it is remembered no longer. It is an act and no
    /// destruction, for the capture is not written out yet.
    pub fn came_without_consent(&self, row: &CaptureRow, lacking: &mut Lacking) -> Result<Draft, VaultError> {
        let (_, rule) = locked(&self.consent).state().rule_at(row.position);
        let mut came = Tombstone {
            capture: row.position,
            rule,
            lacking: Vec::new(),
            ids: Vec::new(),
            numbers: Vec::new(),
        };
        came.say(&std::mem::take(&mut lacking.seen));
        self.act_draft(ActCode::ConsentDecided, &json!(Came { came }))
    }

    fn seal_tombstone(&self, refused: KeyId, tombstone: &Tombstone) -> Result<Draft, VaultError> {
        let mut body = serde_json::to_vec(tombstone).unwrap_or_default();
        let under = seal::act::Under {
            id: self.acts.0,
            secret: &self.acts.1,
        };
        let zone = &self.file.zone;
        let gone = seal::act::seal_destruction(zone, NO_CONSENT, vec![refused], under, &mut body)?;
        Ok(Draft {
            kind: Kind::Destruction(gone),
            body,
        })
    }
}

impl Tombstone {
    fn say(&mut self, seen: &[Seen]) {
        self.ids = seen.iter().filter_map(|one| one.platform.map(Digest16)).collect();
        let number = |one: &Seen| {
            let (stream, seq) = one.sequence?;
            Some(Number {
                stream: Digest16(stream),
                seq,
                at: one.at,
            })
        };
        self.numbers = seen.iter().filter_map(number).collect();
    }

    fn seen(&self) -> (Vec<Digest>, Vec<SeenNumber>) {
        let number = |number: &Number| SeenNumber {
            stream: number.stream.0,
            seq: number.seq,
            at: number.at,
        };
        let ids = self.ids.iter().map(|id| id.0).collect();
        (ids, self.numbers.iter().map(number).collect())
    }
}

/// For the follower: takes in a destruction for want of consent.
///
/// # Errors
/// [`StoreError`].
pub(crate) fn note_tombstone(
    inner: &Inner,
    catalogue: &mut Catalogue,
    at: Position,
    gone: &Destruction,
    body: &[u8],
) -> Result<(), StoreError> {
    let mut plain = Vec::new();
    seal::act::open_destruction(&inner.file.zone, gone, inner.acts_secret(), body, &mut plain)?;
    let Ok(tombstone) = serde_json::from_slice::<Tombstone>(&plain) else {
        return Err(StoreError::damaged(
            format!("entry {at}"),
            "its body is not readable",
        ));
    };
    let (ids, numbers) = tombstone.seen();
    let source = tombstone.capture;
    catalogue.note_lacked(at, source, &lacked(tombstone.lacking), false)?;
    catalogue.note_refused(&gone.keys, at)?;
    catalogue.note_came(source, &ids, &numbers)?;
    let epoch = catalogue.capture(source)?.map_or(0, |row| row.epoch);
    inner.refused_epoch.fetch_max(epoch, Ordering::SeqCst);
    Ok(())
}

/// For the follower: takes in an act about what came or is kept without consent; any other about consent is none of this.
///
/// # Errors
/// [`StoreError::Catalogue`].
pub fn note_said(catalogue: &mut Catalogue, at: Position, plain: &[u8]) -> Result<(), StoreError> {
    if let Ok(Came { came }) = serde_json::from_slice::<Came>(plain) {
        let (ids, numbers) = came.seen();
        return catalogue.note_came(came.capture, &ids, &numbers);
    }
    let Ok(Kept { kept }) = serde_json::from_slice::<Kept>(plain) else {
        return Ok(());
    };
    catalogue.note_lacked(at, kept.capture, &lacked(kept.lacking), true)
}
