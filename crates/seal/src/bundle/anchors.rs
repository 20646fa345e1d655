//! `anchors.jsonl`: checkpoints of the log that somebody outside cosigned or time-stamped.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::{Position, Timestamp, ZoneId};
use serde::{Deserialize, Serialize};

use super::Member;
use super::error::{BundleError, Fault, Where, failed};
use super::outside::{Earlier, continues};
use crate::batch::Batch;
use crate::note::{Checkpoint, Note};
use crate::stamp::{self, Root, Stamped};
use crate::succession::Lineage;
use crate::suite::sha256;
use crate::tree::{Hash, root_of_inclusion};
use crate::witness::WitnessKey;

/// The last second of the year 9999: later times have no spelling.
pub(crate) const LATEST_SECONDS: i64 = 253_402_300_799;

/// Anchors in one bundle.
pub const ANCHORS_MAX: usize = 4096;

/// Who anchored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AnchorKind {
    /// A C2SP witness cosigned.
    Witness,
    /// An RFC 3161 authority stamped.
    TimeStamp,
}

/// A checkpoint, what somebody outside made of it, and how far it reaches: a line of `anchors.jsonl`, and a file that the
/// server keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Anchor {
    /// Who anchored.
    pub kind: AnchorKind,
    /// The operator's name for it. Proves nothing.
    pub name: String,
    /// The signed checkpoint.
    pub checkpoint: String,
    /// Cosignature lines, or the token in Base64.
    pub proof: String,
    /// Record of the last batch that the checkpoint covers, Base64.
    pub batch: String,
    /// That it stands in the log of the checkpoint: hashes from the leaf upwards, Base64.
    pub path: Vec<String>,
}

/// An anchor whose parts fit together; who made its proof is another question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// The checkpoint.
    pub checkpoint: Checkpoint,
    /// Which key of the log signed it.
    pub generation: usize,
    /// Position after the last entry that it covers.
    pub end: Position,
    stated: Vec<(String, Timestamp)>,
}

/// What is known of an anchor's proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proved {
    /// By whom, and at what time at the latest it was made.
    By(String, Timestamp),
    /// None of the keys or roots is its.
    NotChecked,
}

impl Anchor {
    /// The line, its end included.
    pub fn line(&self) -> String {
        serde_json::to_string(self).unwrap_or_default() + "\n"
    }

    /// Reads a line in its one spelling.
    pub fn parse(line: &str) -> Option<Anchor> {
        let anchor: Anchor = serde_json::from_str(line).ok()?;
        (anchor.line() == line).then_some(anchor)
    }

    /// Makes an anchor of a checkpoint out of what somebody outside gave.
    pub fn new(
        (kind, name): (AnchorKind, &str),
        checkpoint: &str,
        proof: &[u8],
        (batch, path): (&Batch, &[Hash]),
    ) -> Anchor {
        Anchor {
            kind,
            name: name.to_owned(),
            checkpoint: checkpoint.to_owned(),
            proof: match kind {
                AnchorKind::Witness => String::from_utf8_lossy(proof).into_owned(),
                AnchorKind::TimeStamp => STANDARD.encode(proof),
            },
            batch: STANDARD.encode(batch.encode()),
            path: path.iter().map(|hash| STANDARD.encode(hash)).collect(),
        }
    }

    /// Checks everything that needs no key of an outsider: the checkpoint is the log's, its last batch stands in it, the
    /// proof has its form and is of this checkpoint.
    ///
    /// # Errors
    /// [`Fault`].
    pub fn read(&self, zone: &ZoneId, lineage: &Lineage) -> Result<Read, Fault> {
        let (checkpoint, generation) = lineage.open(&self.checkpoint)?;
        if Note::parse(&self.checkpoint)?.signatures.len() != 1 {
            return Err(Fault::Is("its checkpoint does not have just one signature"));
        }
        let wrong = Fault::Is("its last batch is not in its checkpoint");
        let record = STANDARD.decode(&self.batch).map_err(|_| wrong.clone())?;
        let batch = Batch::decode(&record)?;
        let hash = |text: &String| Hash::try_from(STANDARD.decode(text).ok()?).ok();
        let path: Option<Vec<Hash>> = self.path.iter().map(hash).collect();
        let last = checkpoint.size.checked_sub(1).ok_or(wrong.clone())?;
        let leads = path.and_then(|path| root_of_inclusion(&batch.leaf(), last, checkpoint.size, &path));
        let end = batch.first.0.checked_add(u64::from(batch.count));
        if leads != Some(checkpoint.root) || batch.zone != *zone {
            return Err(wrong);
        }
        Ok(Read {
            end: Position(end.ok_or(wrong)?),
            stated: self.stated()?,
            checkpoint,
            generation,
        })
    }

    /// What the proof says of itself: the names and times it states.
    fn stated(&self) -> Result<Vec<(String, Timestamp)>, Fault> {
        match self.kind {
            AnchorKind::Witness => {
                let whole = self.cosigned()?;
                let note = Note::parse(&whole)?;
                let times = note.signatures.iter().map(|(name, signature)| {
                    // Key id, time, signature.
                    let time = signature.get(4..12).and_then(|time| time.first_chunk::<8>());
                    let seconds = time.and_then(|time| i64::try_from(u64::from_be_bytes(*time)).ok());
                    let fits = seconds.filter(|at| signature.len() == 4 + 8 + 64 && *at <= LATEST_SECONDS);
                    let seconds = fits.ok_or(Fault::Is("its proof is not a cosignature"))?;
                    Ok(((*name).to_owned(), Timestamp::from_seconds(seconds)))
                });
                times.collect()
            }
            AnchorKind::TimeStamp => {
                let Stamped { at, authority } = stamp::stated(&self.token()?, &self.imprint())?;
                Ok(vec![(authority, at)])
            }
        }
    }

    /// The checkpoint's text under the cosignatures alone.
    fn cosigned(&self) -> Result<String, Fault> {
        Ok(format!("{}\n{}", Note::parse(&self.checkpoint)?.text, self.proof))
    }

    fn token(&self) -> Result<Vec<u8>, Fault> {
        STANDARD
            .decode(&self.proof)
            .map_err(|_| Fault::Is("its proof is not Base64"))
    }

    /// What authorities stamp: the signed checkpoint with its signature, so that it was made by the key's holder.
    fn imprint(&self) -> [u8; 32] {
        sha256(self.checkpoint.as_bytes())
    }

    /// Checks the proof against keys and roots of outsiders.
    ///
    /// # Errors
    /// [`Fault`] when it claims to be by one of them and does not hold.
    pub fn prove(&self, witnesses: &[WitnessKey], roots: &[Root]) -> Result<Proved, Fault> {
        match self.kind {
            AnchorKind::Witness => {
                let whole = self.cosigned()?;
                let note = Note::parse(&whole)?;
                let mut earliest: Option<(Timestamp, &str)> = None;
                for key in witnesses {
                    match key.check(&note) {
                        Ok(at) if earliest.is_none_or(|(before, _)| at < before) => {
                            earliest = Some((at, &key.name));
                        }
                        Ok(_) | Err(crate::note::NoteError::NotSigned) => {}
                        Err(error) => return Err(error.into()),
                    }
                }
                let by = earliest.map(|(at, name)| Proved::By(name.to_owned(), at));
                Ok(by.unwrap_or(Proved::NotChecked))
            }
            AnchorKind::TimeStamp if roots.is_empty() => Ok(Proved::NotChecked),
            AnchorKind::TimeStamp => match stamp::verify(&self.token()?, &self.imprint(), roots) {
                Ok(Stamped { at, authority }) => Ok(Proved::By(authority, at)),
                // Another authority's.
                Err(stamp::StampError::OtherRoot) => Ok(Proved::NotChecked),
                Err(error) => Err(error.into()),
            },
        }
    }
}

/// What is reported of an anchor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AnchorReport {
    /// Who anchored.
    pub kind: AnchorKind,
    /// The operator's name for it.
    pub name: String,
    /// Size of the log that is anchored.
    pub size: u64,
    /// The last entry that it covers.
    pub last_record: Position,
    /// The latest time at which it was made, as proved, else as stated.
    pub at: Timestamp,
    /// The name of the witness or authority, as proved, else as stated.
    pub by: String,
    /// Whether it was checked with a key or root that was given.
    pub proved: bool,
    #[serde(skip)]
    pub(super) generation: usize,
}

/// The log that anchors must belong to.
pub(super) struct Among<'a> {
    pub(super) zone: &'a ZoneId,
    pub(super) lineage: &'a Lineage,
    pub(super) pinned: &'a Checkpoint,
    pub(super) consistency: &'a [u8],
}

impl Among<'_> {
    fn read(&self, anchor: &Anchor, place: Where) -> Result<Read, BundleError> {
        let read = anchor
            .read(self.zone, self.lineage)
            .map_err(|fault| fault.at(place))?;
        if read.checkpoint.size > self.pinned.size {
            return Err(failed(place, "anchors a checkpoint later than the bundle's"));
        }
        match continues(&read.checkpoint, self.pinned, self.consistency)? {
            Earlier::Continued => Ok(read),
            Earlier::Forked => Err(failed(
                place,
                "the bundle's log does not continue what was anchored: the log was forked or rewritten",
            )),
            Earlier::NoProof => Err(failed(place, "the bundle has no proof from what was anchored")),
        }
    }
}

/// The member, for a writer: ascending by size and name, each proved to belong.
pub(super) fn write(anchors: &[Anchor], among: &Among<'_>) -> Result<Vec<u8>, BundleError> {
    let mut lines = std::collections::BTreeMap::new();
    for anchor in anchors {
        let read = among.read(anchor, Where::Member(Member::Anchors.name()))?;
        lines.insert((read.checkpoint.size, anchor.name.clone()), anchor.line());
    }
    let lines: String = lines.into_values().collect();
    if lines.lines().count() > ANCHORS_MAX {
        let place = Where::Member(Member::Anchors.name());
        return Err(failed(place, "more anchors than one bundle may hold"));
    }
    Ok(lines.into_bytes())
}

/// Checks the member.
pub(super) fn check(
    member: &[u8],
    among: &Among<'_>,
    witnesses: &[WitnessKey],
    roots: &[Root],
) -> Result<Vec<AnchorReport>, BundleError> {
    let name = Member::Anchors.name();
    let text = std::str::from_utf8(member).map_err(|_| failed(Where::Member(name), "not UTF-8"))?;
    let mut reports: Vec<AnchorReport> = Vec::new();
    for (number, line) in (1..).zip(text.split_inclusive('\n')) {
        let place = Where::Line {
            member: name,
            line: number,
        };
        let anchor = Anchor::parse(line).ok_or_else(|| failed(place, "not a line of this format"))?;
        let read = among.read(&anchor, place)?;
        let ascends = |before: &AnchorReport| {
            (before.size, before.name.as_str()) < (read.checkpoint.size, anchor.name.as_str())
        };
        if !reports.last().is_none_or(ascends) || reports.len() >= ANCHORS_MAX {
            return Err(failed(place, "does not follow the line before it"));
        }
        let proved = anchor.prove(witnesses, roots).map_err(|fault| fault.at(place))?;
        let (by, at, proved) = match proved {
            Proved::By(by, at) => (by, at, true),
            Proved::NotChecked => {
                let (by, at) = read.stated.first().cloned().unwrap_or_default();
                (by, at, false)
            }
        };
        reports.push(AnchorReport {
            kind: anchor.kind,
            name: anchor.name,
            size: read.checkpoint.size,
            last_record: Position(read.end.0.saturating_sub(1)),
            at,
            by,
            proved,
            generation: read.generation,
        });
    }
    Ok(reports)
}
