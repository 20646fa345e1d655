//! Other checkpoints and other keys of the same log.
//!
//! Checkpoints from outside: handed out earlier or later than the one a bundle is pinned to.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::bytes::{Malformed, Reader, Writer};
use serde::{Deserialize, Serialize};

use super::Member;
use super::error::{BundleError, Fault, Where, failed};
use super::frames::{ALONE, HEAD_BYTES, read_path};
use super::verify::OutsideCheckpoint;
use crate::note::{Checkpoint, NoteKey};
use crate::succession::Lineage;
use crate::tree::{Hash, consistency_length, is_consistent};

/// What stands beside a checkpoint that is handed out (`FILE.proof`): how it continues earlier logs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SideProofs {
    /// Size of the checkpoint it stands beside.
    pub to: u64,
    /// From where, ascending.
    pub from: Vec<SideProof>,
}

/// One consistency proof.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SideProof {
    /// Size of the earlier log.
    pub size: u64,
    /// Hashes of the path, Base64.
    pub path: Vec<String>,
}

impl SideProof {
    /// From a path of hashes.
    pub fn new(size: u64, path: &[Hash]) -> Self {
        SideProof {
            size,
            path: path.iter().map(|hash| STANDARD.encode(hash)).collect(),
        }
    }

    fn hashes(&self) -> Option<Vec<Hash>> {
        let hash = |text: &String| Hash::try_from(STANDARD.decode(text).ok()?).ok();
        self.path.iter().map(hash).collect()
    }
}

/// Calls `each` with the payload of every frame of a short member, and its place.
fn each_frame(
    name: &'static str,
    member: &[u8],
    mut each: impl FnMut(&[u8], Where) -> Result<(), BundleError>,
) -> Result<(), BundleError> {
    let mut rest = member;
    while !rest.is_empty() {
        let place = Where::Frame {
            member: name,
            offset: (member.len() - rest.len()) as u64,
        };
        let read = |rest| -> Result<&[u8], Malformed> {
            let mut frame = Reader::new(rest, "frame");
            if frame.u8()? != ALONE {
                return Err(Malformed::Value("frame type"));
            }
            frame.blob()
        };
        let payload = read(rest).map_err(|error| Fault::from(error).at(place))?;
        each(payload, place)?;
        rest = rest.get(HEAD_BYTES + payload.len()..).unwrap_or(&[]);
    }
    Ok(())
}

/// Calls `each` with the size and path of every proof in the member `consistency`; sizes ascend and are smaller than
/// the pinned one.
pub(super) fn proofs(
    member: &[u8],
    pinned: u64,
    mut each: impl FnMut(u64, Vec<Hash>),
) -> Result<(), BundleError> {
    let mut before = 0;
    each_frame(Member::Consistency.name(), member, |payload, place| {
        let read = || -> Result<(u64, Vec<Hash>), Malformed> {
            let mut reader = Reader::new(payload, "consistency frame");
            let read = (reader.u64()?, read_path(&mut reader)?);
            reader.end()?;
            Ok(read)
        };
        let (size, path) = read().map_err(|error| Fault::from(error).at(place))?;
        if size <= before || size >= pinned {
            return Err(failed(place, "a size that does not ascend below the pinned one"));
        }
        if path.len() != consistency_length(size, pinned) {
            return Err(failed(place, "a path of another length than it must have"));
        }
        before = size;
        each(size, path);
        Ok(())
    })
}

/// The member `succession`.
pub(super) fn write_statements(notes: &[String]) -> Vec<u8> {
    let mut out = Writer::new();
    for note in notes {
        out.u8(ALONE).blob(note.as_bytes());
    }
    out.into_bytes()
}

/// Reads the member `succession`: the keys that lead to the bundle's.
pub(super) fn lineage(member: &[u8], key: &NoteKey) -> Result<Lineage, BundleError> {
    let place = Where::Member(Member::Succession.name());
    let mut notes = Vec::new();
    each_frame(Member::Succession.name(), member, |payload, place| {
        let note = std::str::from_utf8(payload).map_err(|_| failed(place, "not UTF-8"))?;
        notes.push(note.to_owned());
        Ok(())
    })?;
    Lineage::new(key.clone(), notes.iter().map(String::as_str)).map_err(|error| Fault::from(error).at(place))
}

/// What was found of an earlier checkpoint of the bundle's log.
pub(super) enum Earlier {
    /// The log only grew since.
    Continued,
    /// It did not.
    Forked,
    /// The bundle holds no proof from there.
    NoProof,
}

/// Whether the pinned log continues that of an earlier checkpoint, or is that log.
pub(super) fn continues(
    other: &Checkpoint,
    pinned: &Checkpoint,
    consistency: &[u8],
) -> Result<Earlier, BundleError> {
    let mut path = (other.size == pinned.size).then(Vec::new);
    proofs(consistency, pinned.size, |size, found| {
        if size == other.size {
            path = Some(found);
        }
    })?;
    let Some(path) = path else {
        return Ok(Earlier::NoProof);
    };
    let holds = is_consistent(other.size, &other.root, pinned.size, &pinned.root, &path);
    Ok(if holds {
        Earlier::Continued
    } else {
        Earlier::Forked
    })
}

/// Whether the pinned checkpoint and the one from outside are of one log that was only added to.
pub(super) fn check(
    outside: &OutsideCheckpoint<'_>,
    lineage: &Lineage,
    pinned: &Checkpoint,
    consistency: &[u8],
) -> Result<(), BundleError> {
    let place = Where::Outside;
    let (other, _) = lineage
        .open(outside.note)
        .map_err(|error| Fault::from(error).at(place))?;
    if other.size == pinned.size {
        let same = other.root == pinned.root;
        return same
            .then_some(())
            .ok_or_else(|| failed(place, "same size, other root: the log was forked or rewritten"));
    }
    if other.size < pinned.size {
        return match continues(&other, pinned, consistency)? {
            Earlier::Continued => Ok(()),
            Earlier::Forked => Err(failed(
                place,
                "the bundle's log does not continue it: the log was forked or rewritten",
            )),
            Earlier::NoProof => Err(Fault::NoProofFrom { size: other.size }.at(place)),
        };
    }
    let missing = || {
        let (size, pinned) = (other.size, pinned.size);
        Fault::NoProofTo { size, pinned }.at(place)
    };
    let path = beside(outside.proof.ok_or_else(missing)?, other.size, pinned.size)?.ok_or_else(missing)?;
    is_consistent(pinned.size, &pinned.root, other.size, &other.root, &path)
        .then_some(())
        .ok_or_else(|| {
            failed(
                place,
                "it does not continue the bundle's log: the log was forked or rewritten",
            )
        })
}

/// The path from `pinned` to `size` in the text of a `.proof` file.
fn beside(text: &str, size: u64, pinned: u64) -> Result<Option<Vec<Hash>>, BundleError> {
    let place = Where::SideProof;
    let proofs: SideProofs =
        serde_json::from_str(text).map_err(|_| failed(place, "not a proof in this format"))?;
    let sizes: BTreeSet<u64> = proofs.from.iter().map(|proof| proof.size).collect();
    if sizes.len() < proofs.from.len() {
        return Err(failed(place, "it leads from one size twice"));
    }
    if proofs.to != size {
        return Err(failed(place, "it stands beside a checkpoint of another size"));
    }
    if pinned == 0 {
        return Ok(None);
    }
    let Some(proof) = proofs.from.iter().find(|proof| proof.size == pinned) else {
        return Ok(None);
    };
    let path = proof
        .hashes()
        .ok_or_else(|| failed(place, "not a proof in this format"))?;
    Ok(Some(path))
}
