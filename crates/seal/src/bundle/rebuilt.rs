//! Trees put together again: of what is shown, and of the roots of what is not.

use super::error::Fault;
use crate::tree::{Hash, RootBuilder};

/// A tree that is rebuilt from shown leaves and omitted subtrees.
pub(super) struct Rebuilt {
    builder: RootBuilder,
    next: u64,
    count: u64,
    /// The omitted subtree before this place, as first leaf and height.
    omitted: Option<(u64, u8)>,
}

impl Rebuilt {
    pub(super) fn new(count: u32) -> Self {
        Rebuilt {
            builder: RootBuilder::new(),
            next: 0,
            count: u64::from(count),
            omitted: None,
        }
    }

    pub(super) fn is_done(&self) -> bool {
        self.next == self.count
    }

    pub(super) fn leaf(&mut self, hash: Hash) {
        self.builder.push(hash);
        self.next += 1;
        self.omitted = None;
    }

    /// A subtree that is not shown. Only the largest that may stand there: one thing is said in one way.
    pub(super) fn omit(&mut self, height: u8, hash: Hash) -> Result<(), Fault> {
        let size = 1u64.checked_shl(u32::from(height)).filter(|_| height < 32);
        let size = size.ok_or(Fault::Is("an omitted subtree that is too high"))?;
        if !self.next.is_multiple_of(size) || self.next + size > self.count {
            return Err(Fault::Is("an omitted subtree that cannot stand there"));
        }
        let joins = |(from, before): (u64, u8)| before == height && from.is_multiple_of(size * 2);
        if self.omitted.is_some_and(joins) {
            return Err(Fault::Is("two omitted subtrees that are one"));
        }
        self.omitted = Some((self.next, height));
        self.builder.push_subtree(size, hash);
        self.next += size;
        Ok(())
    }

    /// The place of the next leaf.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    pub(super) fn root(&self) -> Hash {
        self.builder.root()
    }
}
