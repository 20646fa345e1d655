//! What is left of what was erased: that it was there, and by which destruction it went.

use model::entry::Kind;
use model::{KeyId, MessageId, Position};
use serde_json::{Value, json};
use store::catalogue::{CaptureState, ErasedRecord};

use super::consent::NO_CONSENT;
use super::{Inner, VaultError, locked};

/// How a record was erased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Erasure {
    /// With its part of a capture that concerns others too.
    InPart(ErasedRecord),
    /// With all of its capture, whose wraps these are.
    Whole(Vec<Position>),
}

impl Inner {
    /// How the record of this id was erased; none when it was not, or never was. Of a capture that is erased whole it can
    /// no longer be told how many records it had.
    pub fn erasure(&self, id: MessageId) -> Result<Option<Erasure>, VaultError> {
        let reader = locked(&self.reader);
        if let Some(erased) = reader.erased(id)? {
            return Ok(Some(Erasure::InPart(erased)));
        }
        let capture = reader.capture(id.capture)?;
        if capture.is_none_or(|capture| capture.state != CaptureState::Erased) {
            return Ok(None);
        }
        Ok(Some(Erasure::Whole(reader.wraps(id.capture)?)))
    }

    /// The destructions by which it went.
    pub fn destructions_of(&self, source: Position, erasure: &Erasure) -> Result<Vec<Position>, VaultError> {
        let reader = locked(&self.reader);
        let locks = match erasure {
            Erasure::InPart(erased) => std::slice::from_ref(&erased.part),
            Erasure::Whole(wraps) => wraps,
        };
        let mut all = Vec::new();
        for lock in locks {
            all.extend(reader.died_by(source, *lock)?);
        }
        all.sort_unstable();
        all.dedup();
        Ok(all)
    }

    /// What can still be said of it.
    pub fn erasure_json(&self, source: Position, erasure: &Erasure) -> Result<Value, VaultError> {
        let by = self.destructions_of(source, erasure)?;
        let last = by.last().copied();
        let at = last.map(|at| self.must_entry(at)).transpose()?;
        Ok(json!({
            "by_entry": last,
            "at": at.map(|entry| entry.header.recorded_at),
            "without_consent": self.lacked_at(&by, source)?,
            "whole_capture": matches!(erasure, Erasure::Whole(_)),
        }))
    }

    /// Why what was refused of its delivery was not kept, where one of these destructions was for want of consent; empty
    /// otherwise. Which record was refused for which of several reasons is not written down.
    fn lacked_at(&self, by: &[Position], source: Position) -> Result<Vec<String>, VaultError> {
        let of_consent = |at: &Position| {
            let entry = self.must_entry(*at)?;
            Ok(matches!(&entry.header.kind, Kind::Destruction(gone) if gone.reason == NO_CONSENT))
        };
        let found: Vec<bool> = by.iter().map(of_consent).collect::<Result<_, VaultError>>()?;
        if !found.contains(&true) {
            return Ok(Vec::new());
        }
        Ok(locked(&self.reader).lacked_by(source, false)?)
    }

    /// The secrets that an erased record hung on; none when it is not erased.
    pub fn secrets_of_erased(&self, id: MessageId) -> Result<Option<Vec<KeyId>>, VaultError> {
        let Some(erasure) = self.erasure(id)? else {
            return Ok(None);
        };
        let lock = match erasure {
            Erasure::InPart(erased) => Some(erased.part),
            Erasure::Whole(wraps) => wraps.last().copied(),
        };
        let Some(lock) = lock else { return Ok(None) };
        Ok(match self.must_entry(lock)?.header.kind {
            Kind::Part(part) => Some(part.keys),
            Kind::Wrap(wrap) => Some(wrap.keys),
            _ => None,
        })
    }
}
