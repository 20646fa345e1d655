//! What was decided of a capture before a crash, or before an append failed: parts that were begun say it.

use std::sync::Arc;

use model::KeyId;
use store::catalogue::CaptureRow;

use super::super::existing::Existing;
use super::super::labels::Labels;
use super::super::{Inner, VaultError, locked};

/// What parts were begun of a capture whose last part was not written.
pub struct Before {
    begun: Existing,
    refused: KeyId,
}

/// The name that what lacks consent in a capture hangs on. It follows from the capture, so that the destruction of it is also
/// of parts that an earlier attempt left behind; the key under it is another each time, and nobody keeps it.
pub fn name_of_refused(labels: &Labels, capture: &CaptureRow) -> KeyId {
    KeyId(labels.digest(&[b"no-consent", &capture.capture_id]))
}

impl Before {
    /// Of a capture that has no complete set of parts; none where none was begun.
    ///
    /// # Errors
    /// [`VaultError::Store`].
    pub fn of(inner: &Arc<Inner>, capture: &CaptureRow) -> Result<Option<Before>, VaultError> {
        let begun = locked(&inner.catalogue).parts_begun(capture.position)?;
        if begun.is_empty() {
            return Ok(None);
        }
        Ok(Some(Before {
            begun: Existing::read(inner, &begun)?,
            refused: name_of_refused(&inner.labels, capture),
        }))
    }

    /// Whether a record was refused; none where it was not written yet.
    pub fn was_refused(&self, ordinal: u32) -> Option<bool> {
        let keys = self.begun.keys_of_record(ordinal)?;
        Some(keys == [self.refused])
    }
}
