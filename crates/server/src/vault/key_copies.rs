//! Copies of the key store that may still open what was destroyed since they were made.

use model::Timestamp;
use serde::Serialize;

use super::Inner;

/// A copy of the key store that was handed somewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyCopy {
    /// Where, in the words of whoever made it.
    pub place: String,
    /// When it was made.
    pub made_at: Timestamp,
    /// When its owner must have deleted it; none when nobody said.
    pub expires_at: Option<Timestamp>,
}

impl Inner {
    /// Copies known to this program, beside the second copy that it keeps current. None are made by it yet.
    pub fn copies_known(&self) -> Vec<KeyCopy> {
        Vec::new()
    }
}
