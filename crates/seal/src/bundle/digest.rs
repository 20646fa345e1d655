//! The digest by which the manifest binds `evidence`: over what is shown and disclosed, not over its bytes, which the
//! log, the commitments and the tags of the ciphertexts bind already.

use crate::suite::Hasher;
use crate::tree::Hash;

/// SHA-256 over, for each shown leaf in order: leaf hash, 1 if a key is disclosed for it and 0 if not.
pub(super) struct Digest {
    hasher: Hasher,
    /// Collected, because hashing in pieces of 33 bytes costs more than hashing.
    pending: Vec<u8>,
}

const PENDING_BYTES: usize = 4096;

impl Digest {
    pub(super) fn new() -> Self {
        Digest {
            hasher: Hasher::new(),
            pending: Vec::with_capacity(PENDING_BYTES + 33),
        }
    }

    pub(super) fn add(&mut self, leaf: &Hash, disclosed: bool) {
        self.pending.extend_from_slice(leaf);
        self.pending.push(u8::from(disclosed));
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
