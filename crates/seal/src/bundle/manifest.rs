//! The manifest: one line of JSON, signed by the zone, that says what was asked for and binds every member.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::{Timestamp, ZoneId};
use serde::{Deserialize, Serialize};

use super::error::{BundleError, Fault, Where, failed};
use super::{COMPLETENESS, FORMAT_NAME, Member};
use crate::note::{Checkpoint, Note, NoteKey};
use crate::suite::hex;

/// What the manifest says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    pub(super) format: String,
    pub(super) zone: ZoneId,
    /// Origin of the log, which is also the name of the zone's key.
    pub(super) log: String,
    pub(super) created_at: Timestamp,
    pub(super) program: String,
    pub(super) selection: String,
    pub(super) checkpoint: Pinned,
    pub(super) evidence: EvidenceFacts,
    pub(super) messages: u64,
    pub(super) gaps: GapFacts,
    pub(super) members: Vec<MemberFacts>,
    pub(super) completeness: String,
}

/// The checkpoint that everything is proved against.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pinned {
    pub(super) size: u64,
    pub(super) root: String,
}

/// What `evidence` holds. Its digest covers leaf hashes and disclosed keys: its bytes need no second hash.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EvidenceFacts {
    pub(super) bytes: u64,
    pub(super) crc32: String,
    pub(super) digest: String,
    pub(super) batches: u64,
    pub(super) entries: u64,
    pub(super) items: u64,
    pub(super) disclosed: u64,
}

/// The stretch for which gaps were looked up, and how many there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GapFacts {
    pub(super) from: Option<Timestamp>,
    pub(super) to: Option<Timestamp>,
    pub(super) count: u64,
}

/// Another member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MemberFacts {
    pub(super) name: String,
    pub(super) bytes: u64,
    pub(super) sha256: String,
}

/// The members that the manifest binds by their SHA-256, in its order.
pub(super) const LISTED: [Member; 8] = [
    Member::Readme,
    Member::ZonePub,
    Member::Succession,
    Member::Checkpoint,
    Member::Consistency,
    Member::Anchors,
    Member::Messages,
    Member::Gaps,
];

impl Pinned {
    pub(super) fn of(checkpoint: &Checkpoint) -> Self {
        Pinned {
            size: checkpoint.size,
            root: STANDARD.encode(checkpoint.root),
        }
    }
}

impl MemberFacts {
    pub(super) fn of(member: Member, bytes: u64, sha256: &[u8; 32]) -> Self {
        MemberFacts {
            name: member.name().to_owned(),
            bytes,
            sha256: hex(sha256),
        }
    }
}

impl Manifest {
    /// The text that is signed.
    pub(super) fn text(&self) -> Result<String, serde_json::Error> {
        Ok(serde_json::to_string(self)? + "\n")
    }

    /// Reads the signed note: one signature, by `key`, over one spelling of a manifest of this format.
    pub(super) fn open(note: &[u8], key: &NoteKey) -> Result<Manifest, BundleError> {
        let place = Where::Member(Member::Manifest.name());
        let note = std::str::from_utf8(note).map_err(|_| failed(place, "not UTF-8"))?;
        let note = Note::parse(note).map_err(|error| Fault::from(error).at(place))?;
        if note.signatures.len() != 1 {
            return Err(failed(place, "does not have just one signature"));
        }
        note.check(key).map_err(|error| Fault::from(error).at(place))?;
        let manifest: Manifest =
            serde_json::from_str(note.text).map_err(|_| failed(place, "not a manifest of this format"))?;
        if manifest.text().ok().as_deref() != Some(note.text) {
            return Err(failed(place, "not written as a manifest is written"));
        }
        manifest.check_form(key).map_err(|text| failed(place, text))?;
        Ok(manifest)
    }

    fn check_form(&self, key: &NoteKey) -> Result<(), &'static str> {
        let listed = self.members.iter().map(|member| member.name.as_str());
        if self.format != FORMAT_NAME {
            Err("a format that this version does not know")
        } else if self.log != key.name {
            Err("names another log than its key")
        } else if self.completeness != COMPLETENESS {
            Err("claims another completeness than this format allows")
        } else if !listed.eq(LISTED.iter().map(|member| member.name())) {
            Err("does not list the members of this format")
        } else {
            Ok(())
        }
    }

    /// What it says of a listed member.
    pub(super) fn member(&self, member: Member) -> Option<&MemberFacts> {
        self.members.iter().find(|facts| facts.name == member.name())
    }
}
