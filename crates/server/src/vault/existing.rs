//! Finding the parts that were written for a capture before: after a crash, and on a rebuild.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use model::entry::Kind;
use model::{KeyId, MessageId, Position};
use seal::Key;
use seal::part::{NO_RECORD, RECORDS, item_key, items};
use store::catalogue::ErasedRecord;

use super::{Inner, VaultError};

/// Is given ordinal and JSON of a record.
type EachFrozen<'a> = dyn FnMut(u32, &[u8]) -> Result<(), VaultError> + 'a;

/// Where the item of each record stands.
pub struct Existing {
    parts: Vec<(Position, Option<Key>)>,
    /// By ordinal: part and item, counted from 0; `None` when no part says this record.
    places: Vec<Option<(u32, u32)>>,
    /// Records written out as they were understood, and the parts in which they stand.
    frozen: HashSet<u32>,
    frozen_parts: BTreeSet<u32>,
    /// All secrets they were sealed under.
    pub keys: Vec<KeyId>,
    keys_of: Vec<Vec<KeyId>>,
}

impl Existing {
    /// Reads the items of the parts at these positions.
    pub fn read(inner: &Arc<Inner>, positions: &[Position]) -> Result<Existing, VaultError> {
        let mut existing = Existing {
            parts: Vec::new(),
            places: Vec::new(),
            frozen: HashSet::new(),
            frozen_parts: BTreeSet::new(),
            keys: Vec::new(),
            keys_of: Vec::new(),
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
            existing.keys_of.push(part.keys.clone());
            existing.parts.push((*at, key));
            for item in items(part, &entry.body)? {
                if item.place.stream == RECORDS {
                    existing.frozen.insert(item.place.ordinal);
                    existing.frozen_parts.insert(index);
                } else {
                    existing.note(item.place.ordinal, index, item.index);
                }
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

    /// How many parts.
    pub fn len(&self) -> usize {
        self.parts.len()
    }

    /// The secrets of the part at a position.
    pub fn keys_of(&self, part: Position) -> Option<&[KeyId]> {
        let index = self.parts.iter().position(|(at, _)| *at == part)?;
        self.keys_of.get(index).map(Vec::as_slice)
    }

    /// The secrets of the part that says a record; none when no part does.
    pub fn keys_of_record(&self, ordinal: u32) -> Option<&[KeyId]> {
        let (part, _) = self.places.get(ordinal as usize).copied().flatten()?;
        self.keys_of.get(part as usize).map(Vec::as_slice)
    }

    /// Whether a record was written out as it was understood.
    pub fn is_frozen(&self, ordinal: u32) -> bool {
        self.frozen.contains(&ordinal)
    }

    /// Whether every record that can still be opened was written out as it was understood.
    pub fn is_all_frozen(&self) -> bool {
        let living = |part: u32| matches!(self.parts.get(part as usize), Some((_, Some(_))));
        (0..)
            .zip(&self.places)
            .filter_map(|(ordinal, place)| place.map(|(part, _)| (ordinal, part)))
            .all(|(ordinal, part)| !living(part) || self.is_frozen(ordinal))
    }

    /// Records that can no longer be opened.
    pub fn erased(&self, source: Position) -> impl Iterator<Item = ErasedRecord> {
        (0..).zip(&self.places).filter_map(move |(ordinal, place)| {
            let (part, item) = (*place)?;
            match self.parts.get(part as usize)? {
                (at, None) => Some(ErasedRecord {
                    id: MessageId {
                        capture: source,
                        ordinal,
                    },
                    part: *at,
                    item,
                }),
                _ => None,
            }
        })
    }

    /// Calls `each` with ordinal and JSON of every record that was written out as it was understood and can be opened,
    /// part by part.
    pub fn each_frozen(
        &self,
        inner: &Inner,
        source: Position,
        each: &mut EachFrozen<'_>,
    ) -> Result<(), VaultError> {
        for part in &self.frozen_parts {
            let Some((at, Some(key))) = self.parts.get(*part as usize) else {
                continue;
            };
            let entry = inner.must_entry(*at)?;
            let Kind::Part(header) = &entry.header.kind else {
                continue;
            };
            let mut open: Option<u32> = None;
            let (mut json, mut plain) = (Vec::new(), Vec::new());
            for item in items(header, &entry.body)? {
                // A long record goes on in the items after its first.
                if open.is_some_and(|ordinal| ordinal != item.place.ordinal) {
                    each(open.unwrap_or_default(), &json)?;
                    json.clear();
                }
                open = Some(item.place.ordinal);
                let key = item_key(key, item.index)?;
                seal::part::open_item(&inner.file.zone, source, &key, &item, &mut plain)?;
                json.extend_from_slice(&plain);
            }
            if let Some(ordinal) = open {
                each(ordinal, &json)?;
            }
        }
        Ok(())
    }
}
