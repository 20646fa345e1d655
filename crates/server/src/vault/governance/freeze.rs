//! Frozen records: what others said in a capture, written out as it was understood before a secret dies.
//!
//! A mixed capture can be read as a whole only while every secret it concerns lives. After one of them is destroyed its
//! connector cannot say again what the others' bytes mean, for it needs all of the capture to say it. So their records are
//! written out before, each owner's under that owner's own secrets: decision 7.

use std::collections::HashMap;
use std::sync::Arc;

use model::entry::{Kind, Part};
use model::{KeyId, Position};
use seal::part::{ITEM_BYTES_MAX, PartBuilder, Place, RECORDS};
use store::catalogue::Placement;
use store::ledger::Draft;

use super::super::existing::Existing;
use super::super::show::RowOpener;
use super::super::{Inner, VaultError, locked};

/// Records read from the catalogue at once.
const PAGE: u32 = 1000;

/// Parts are written to the ledger together once they have this much.
const WRITE_BYTES: usize = 4 << 20;

/// Parts being filled hold at most this much together.
const OPEN_BYTES_MAX: usize = 8 << 20;

/// Writes out the records of a capture whose parts stand at `parts`, unless they hang on a secret that is about to die, or
/// were written out before. Answers how many.
///
/// # Errors
/// [`VaultError::Store`], [`VaultError::Seal`].
pub fn freeze(
    inner: &Arc<Inner>,
    source: Position,
    parts: &[Position],
    dying: &[KeyId],
) -> Result<u64, VaultError> {
    let existing = Existing::read(inner, parts)?;
    let mut writer = Frozen {
        inner,
        source,
        open: HashMap::new(),
        open_bytes: 0,
        closed: Vec::new(),
        closed_bytes: 0,
        next_part: u32::try_from(existing.len()).unwrap_or(u32::MAX),
    };
    let mut opener = RowOpener::new(inner);
    let (mut from, mut count) = (0, 0);
    loop {
        let page = locked(&inner.catalogue).records_of(source, from, PAGE)?;
        let Some(last) = page.last() else { break };
        from = last.id.ordinal.saturating_add(1);
        for row in &page {
            let Placement::Part { part, .. } = row.placement else {
                continue;
            };
            let Some(keys) = existing.keys_of(part) else {
                continue;
            };
            let dies = keys.iter().any(|key| dying.contains(key));
            if dies || existing.is_frozen(row.id.ordinal) {
                continue;
            }
            if let Some(json) = opener.open(row)? {
                writer.record(keys, row.id.ordinal, json)?;
                count += 1;
            }
        }
    }
    writer.finish()?;
    Ok(count)
}

struct Frozen<'a> {
    inner: &'a Arc<Inner>,
    source: Position,
    /// By the secrets of each owner.
    open: HashMap<Vec<KeyId>, PartBuilder>,
    open_bytes: usize,
    closed: Vec<(Part, Vec<u8>)>,
    closed_bytes: usize,
    next_part: u32,
}

impl Frozen<'_> {
    fn record(&mut self, keys: &[KeyId], ordinal: u32, json: &[u8]) -> Result<(), VaultError> {
        if !self.open.contains_key(keys) {
            let builder = PartBuilder::new(self.inner.file.zone.clone(), self.source)?;
            self.open.insert(keys.to_vec(), builder);
        }
        let Some(builder) = self.open.get_mut(keys) else {
            return Ok(());
        };
        let before = builder.size_bytes();
        let mut offset = 0;
        for piece in json.chunks(ITEM_BYTES_MAX) {
            let place = Place {
                stream: RECORDS,
                offset,
                ordinal,
            };
            builder.push(place, piece)?;
            offset += piece.len() as u64;
        }
        self.open_bytes += builder.size_bytes() - before;
        if builder.is_full() {
            self.close(keys.to_vec())?;
        }
        while self.open_bytes > OPEN_BYTES_MAX {
            let largest = self.open.iter().max_by_key(|(_, builder)| builder.size_bytes());
            let Some(keys) = largest.map(|(keys, _)| keys.clone()) else {
                break;
            };
            self.close(keys)?;
        }
        if self.closed_bytes > WRITE_BYTES {
            self.write(false)?;
        }
        Ok(())
    }

    fn close(&mut self, keys: Vec<KeyId>) -> Result<(), VaultError> {
        let Some(builder) = self.open.remove(&keys) else {
            return Ok(());
        };
        self.open_bytes = self.open_bytes.saturating_sub(builder.size_bytes());
        let joint = self.inner.joint_key(&keys)?.ok_or_else(|| {
            VaultError::BadData("a record could be opened whose secrets are not all here".to_owned())
        })?;
        let (part, body) = builder.finish(keys, &joint)?;
        self.closed_bytes += body.len();
        self.closed.push((part, body));
        Ok(())
    }

    /// Appends closed parts; all but the last unless `finishing`, for only then it is known which is the last.
    fn write(&mut self, finishing: bool) -> Result<(), VaultError> {
        let kept = if finishing { None } else { self.closed.pop() };
        let count = self.closed.len();
        let mut drafts = Vec::with_capacity(count);
        for (index, (part, body)) in std::mem::take(&mut self.closed).into_iter().enumerate() {
            let part = Part {
                part: self.next_part,
                last: finishing && index + 1 == count,
                ..part
            };
            self.next_part += 1;
            drafts.push(Draft {
                kind: Kind::Part(part),
                body,
            });
        }
        if !drafts.is_empty() {
            self.inner.ledger.append(drafts)?;
        }
        self.closed_bytes = kept.as_ref().map_or(0, |(_, body)| body.len());
        self.closed.extend(kept);
        Ok(())
    }

    fn finish(mut self) -> Result<(), VaultError> {
        let owners: Vec<Vec<KeyId>> = self.open.keys().cloned().collect();
        for keys in owners {
            self.close(keys)?;
        }
        self.write(true)
    }
}
