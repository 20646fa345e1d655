//! Messages that a delivery only announced, and that are asked for.
//!
//! An answer is a capture of its own. Where to go on is noted after it is durable, in a file beside the catalogue: a crash
//! between the two asks for the same messages once more, and they are marked as repeats. Accounts stand in the file by
//! keyed digest.

use std::collections::BTreeMap;

use connect::Fetch;
use model::{Content, Position};
use seal::envelope::Purpose;
use seal::suite::hex;
use serde::{Deserialize, Serialize};
use store::catalogue::FetchRow;

use super::captures::Descriptor;
use super::connections::ConnectionConfig;
use super::fetches::Due;
use super::{Inner, VaultError, locked};

const FILE: &str = "pulls.json";
/// The file has some hundred bytes an account.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// What was asked for last, of one account.
#[derive(Default, Serialize, Deserialize)]
pub struct Pulled {
    /// From where to go on.
    cursor: Option<String>,
    /// Announcements before this position are answered.
    answered: Position,
}

/// By digest of connection and account.
pub type Pulls = BTreeMap<String, Pulled>;

impl Inner {
    /// What was noted last.
    pub fn read_pulls(&self) -> Result<(), VaultError> {
        let path = self.folder.join(FILE);
        if !path.is_file() {
            return Ok(());
        }
        let bytes = store::folder::read_file(&path, FILE_BYTES_MAX)?;
        *locked(&self.pulls) = serde_json::from_slice(&bytes).map_err(|_| {
            VaultError::BadData(format!(
                "{FILE} is not readable: delete it, and what the platform still holds is asked for again"
            ))
        })?;
        Ok(())
    }

    fn account(&self, connection: &str, account: &str) -> String {
        hex(&self
            .labels
            .digest(&[b"pull", connection.as_bytes(), account.as_bytes()]))
    }

    /// Whether something announced is still to be asked for; then `fetch` says from where.
    pub fn is_wanted(&self, row: &FetchRow, config: &ConnectionConfig, fetch: &mut Fetch) -> bool {
        let Some(pull) = &mut fetch.pull else { return true };
        let account = self.account(config.id.as_str(), pull.account.reveal());
        let pulls = locked(&self.pulls);
        let Some(known) = pulls.get(&account) else {
            return true;
        };
        if let Some(cursor) = &known.cursor {
            pull.cursor = Some(Content::new(cursor.clone()));
        }
        row.id.capture >= known.answered
    }

    /// Keeps an answer as a capture of its own.
    pub fn keep_answer(
        &self,
        due: &Due,
        bytes: &[u8],
        asked: String,
        cursor: Option<String>,
        content_type: Option<String>,
    ) -> Result<(), VaultError> {
        let descriptor = Descriptor {
            query: Some(asked),
            content_type,
            ..Descriptor::default()
        };
        let drafts = self.sealed(due.origin((self.clock)()), Purpose::Capture, &descriptor, bytes)?;
        self.ledger.append(drafts)?;
        if let Some(pull) = &due.fetch.pull {
            let account = self.account(due.config.id.as_str(), pull.account.reveal());
            let mut pulls = locked(&self.pulls);
            let known = pulls.entry(account).or_default();
            known.answered = known.answered.max(due.row.id.capture.plus(1));
            known.cursor = cursor.or(known.cursor.take());
            let bytes = serde_json::to_vec_pretty(&*pulls).unwrap_or_default();
            store::folder::replace_file(&self.folder.join(FILE), &bytes)?;
        }
        locked(&self.catalogue).set_fetch(due.row.id, due.row.file, (self.clock)(), true)?;
        Ok(())
    }
}
