//! Copies of the key store that may still open what was destroyed since they were made.

use model::{Position, Timestamp};
use serde::Serialize;

use super::backups::BackupConfig;
use super::{Inner, Vault};

/// A copy of the key store that was handed somewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeyCopy {
    /// Where: its file; or a backup that cannot be read just now (a disk that is not mounted), which may hold several.
    pub place: String,
    /// When it was made; of a backup that cannot be read, since when it is one.
    pub made_at: Timestamp,
    /// When it is deleted; none when that is not known.
    pub expires_at: Option<Timestamp>,
    /// Head of the ledger when it was begun: what an entry at or after it destroyed may be in it. None when not known.
    pub head: Option<Position>,
}

impl Vault {
    /// As [`Inner::copies_known`].
    pub fn copies_known(&self) -> Vec<KeyCopy> {
        self.inner.copies_known()
    }
}

impl Inner {
    /// Copies known to this program, beside the second copy that it keeps current: the dated ones in backups, in those that
    /// were removed too. What others copied further is not known.
    pub fn copies_known(&self) -> Vec<KeyCopy> {
        let configs = self.all_backup_configs();
        configs
            .iter()
            .flat_map(|config| self.key_copies_of(config))
            .collect()
    }

    /// The dated copies in a backup.
    pub(crate) fn key_copies_of(&self, config: &BackupConfig) -> Vec<KeyCopy> {
        let known = |copy: store::copy::KeyCopy| KeyCopy {
            place: copy.path.display().to_string(),
            made_at: copy.begun_at,
            expires_at: Some(copy.expires_at),
            head: Some(copy.head),
        };
        match store::copy::key_copies(&config.folder) {
            Ok(copies) => copies.into_iter().map(known).collect(),
            Err(_) => vec![KeyCopy {
                place: config.folder.display().to_string(),
                made_at: config.added_at,
                expires_at: None,
                head: None,
            }],
        }
    }
}
