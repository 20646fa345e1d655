//! The digest by which the manifest binds `evidence`: over what is shown and disclosed, not over its bytes, which the
//! log, the commitments and the tags of the ciphertexts bind already.

use zeroize::Zeroizing;

use crate::suite::{Hasher, Key};
use crate::tree::Hash;

/// What binds a disclosed key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bound {
    /// The commitment in the header of its entry.
    ByCommitment,
    /// Nothing in the ledger: an item's key is derived from a key that stays secret. The digest covers it.
    Here,
}

/// SHA-256 over, for each shown leaf in order: leaf hash, 1 if a key is disclosed for it and 0 if not, and the key of
/// an item.
pub(super) struct Digest {
    hasher: Hasher,
    /// Collected, because hashing in pieces of 33 bytes costs more than hashing.
    pending: Zeroizing<Vec<u8>>,
}

const PENDING_BYTES: usize = 4096;

impl Digest {
    pub(super) fn new() -> Self {
        Digest {
            hasher: Hasher::new(),
            pending: Zeroizing::new(Vec::with_capacity(PENDING_BYTES + 65)),
        }
    }

    pub(super) fn add(&mut self, leaf: &Hash, key: Option<&Key>, bound: Bound) {
        self.pending.extend_from_slice(leaf);
        self.pending.push(u8::from(key.is_some()));
        if let (Some(key), Bound::Here) = (key, bound) {
            self.pending.extend_from_slice(key.reveal());
        }
        if self.pending.len() >= PENDING_BYTES {
            self.hasher.update(&self.pending);
            self.pending.clear();
        }
    }

    pub(super) fn finish(mut self) -> [u8; 32] {
        self.hasher.update(&self.pending);
        self.hasher.finish()
    }
}

impl Default for Digest {
    fn default() -> Self {
        Digest::new()
    }
}
