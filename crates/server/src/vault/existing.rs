//! Finding the parts that were written for a capture before: after a crash, and on a rebuild.

use std::sync::Arc;

use model::entry::Kind;
use model::{KeyId, Position};
use seal::Key;
use seal::part::{NO_RECORD, item_key, items};

use super::{Inner, VaultError};

/// Where the item of each record stands.
pub struct Existing {
    parts: Vec<(Position, Option<Key>)>,
    /// By ordinal: part and item, counted from 0; `None` when no part says this record.
    places: Vec<Option<(u32, u32)>>,
    /// All secrets they were sealed under.
    pub keys: Vec<KeyId>,
}

impl Existing {
    /// Reads the items of the parts at these positions.
    pub fn read(inner: &Arc<Inner>, positions: &[Position]) -> Result<Existing, VaultError> {
        let mut existing = Existing {
            parts: Vec::new(),
            places: Vec::new(),
            keys: Vec::new(),
        };
        for (index, at) in (0..).zip(positions) {
            let entry = inner.must_entry(*at)?;
            let Kind::Part(part) = &entry.header.kind else {
                return Err(VaultError::BadData(format!("entry {at} is not a part")));
            };
            let joint = inner.joint_key(&part.keys)?;
            let key = joint
                .map(|joint| seal::part::part_key(&joint, &part.wrapped_key, &part.commitment))
                .transpose()?;
            existing.keys.extend(&part.keys);
            existing.parts.push((*at, key));
            for item in items(part, &entry.body)? {
                existing.note(item.place.ordinal, index, item.index);
            }
        }
        existing.keys.sort_unstable();
        existing.keys.dedup();
        Ok(existing)
    }

    fn note(&mut self, ordinal: u32, part: u32, item: u32) {
        if ordinal == NO_RECORD {
            return;
        }
        let at = ordinal as usize;
        if self.places.len() <= at {
            self.places.resize(at + 1, None);
        }
        if let Some(place) = self.places.get_mut(at)
            && place.is_none()
        {
            *place = Some((part, item));
        }
    }

    /// Part, item and the item's key of a record; none when its key is destroyed or no part says it.
    pub fn find(&self, ordinal: u32) -> Result<Option<(Position, u32, Key)>, VaultError> {
        let Some((part, item)) = self.places.get(ordinal as usize).copied().flatten() else {
            return Ok(None);
        };
        let Some((at, Some(key))) = self.parts.get(part as usize) else {
            return Ok(None);
        };
        Ok(Some((*at, item, item_key(key, item)?)))
    }
}
