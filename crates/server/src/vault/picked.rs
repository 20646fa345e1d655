//! Records that are selected for a bundle: those that can be read, and those that were erased.

use std::collections::VecDeque;

use model::{MessageId, Position};
use store::catalogue::{ErasedRecord, RecordRow, SearchFilter};

use super::erased::Erasure;
use super::{Inner, VaultError, locked};

/// Records read from the catalogue at once.
const PAGE: u32 = 1000;

/// A selected record.
pub enum Picked {
    /// One that can be read.
    Row(RecordRow),
    /// One that was erased.
    Erased(MessageId, Erasure),
}

impl Picked {
    pub fn id(&self) -> MessageId {
        match self {
            Picked::Row(row) => row.id,
            Picked::Erased(id, _) => *id,
        }
    }
}

/// Everything there is, in order of id: what can be read, and what was erased.
pub struct Everything<'a> {
    inner: &'a Inner,
    records: VecDeque<RecordRow>,
    erased: VecDeque<ErasedRecord>,
    captures: VecDeque<Position>,
    after: (Option<MessageId>, Option<MessageId>, Option<Position>),
    over: (bool, bool, bool),
}

impl<'a> Everything<'a> {
    pub fn of(inner: &'a Inner) -> Everything<'a> {
        Everything {
            inner,
            records: VecDeque::new(),
            erased: VecDeque::new(),
            captures: VecDeque::new(),
            after: (None, None, None),
            over: (false, false, false),
        }
    }

    fn fill(&mut self) -> Result<(), VaultError> {
        let reader = locked(&self.inner.reader);
        if self.records.is_empty() && !self.over.0 {
            self.records = reader
                .records(&SearchFilter::default(), self.after.0, PAGE)?
                .into();
            self.over.0 = self.records.is_empty();
            self.after.0 = self.records.back().map(|row| row.id).or(self.after.0);
        }
        if self.erased.is_empty() && !self.over.1 {
            self.erased = reader.erased_after(self.after.1, PAGE)?.into();
            self.over.1 = self.erased.is_empty();
            self.after.1 = self.erased.back().map(|erased| erased.id).or(self.after.1);
        }
        if self.captures.is_empty() && !self.over.2 {
            self.captures = reader.erased_captures(self.after.2, PAGE)?.into();
            self.over.2 = self.captures.is_empty();
            self.after.2 = self.captures.back().copied().or(self.after.2);
        }
        Ok(())
    }

    pub fn next(&mut self) -> Result<Option<Picked>, VaultError> {
        self.fill()?;
        let whole = |capture: &Position| MessageId {
            capture: *capture,
            ordinal: 0,
        };
        let ids = [
            self.records.front().map(|row| row.id),
            self.erased.front().map(|erased| erased.id),
            self.captures.front().map(whole),
        ];
        let Some(first) = ids.iter().flatten().min().copied() else {
            return Ok(None);
        };
        let [record, erased, _] = ids;
        if record == Some(first) {
            return Ok(self.records.pop_front().map(Picked::Row));
        }
        if erased == Some(first) {
            let erased = self.erased.pop_front();
            return Ok(erased.map(|erased| Picked::Erased(first, Erasure::InPart(erased))));
        }
        self.captures.pop_front();
        Ok(self
            .inner
            .erasure(first)?
            .map(|erasure| Picked::Erased(first, erasure)))
    }
}
