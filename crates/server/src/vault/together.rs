//! Small captures of one author and conversation each: written together.
//!
//! Most webhooks are such. One append and one transaction for many of them; alone, each would wait for two fsyncs, and a
//! store could understand no more than a few hundred a second.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use connect::Report;
use model::entry::{Kind, Wrap};
use model::{KeyId, MessageId, Position};
use seal::Key;
use seal::part::item_key;
use store::catalogue::{CaptureRow, FetchRow, Placement, RecordRow};
use store::failpoint;
use store::ledger::Draft;

use super::consent::Lacking;
use super::labels::Owner;
use super::normalize::store_normalized;
use super::parts::OwnerKeys;
use super::rows::seal_row;
use super::sinks::{Gathered, Understood};
use super::{Inner, VaultError, locked};

/// Understood records held in memory at once have at most about this many bytes of JSON.
const JSON_BYTES_MAX: usize = 8 << 20;

/// Captures written together: an append and a transaction cost little of each among so many.
const WAITING_MAX: usize = 512;

/// A capture that concerns one author and conversation, or nobody.
pub struct Single {
    pub row: CaptureRow,
    pub key: Key,
    pub owner: Owner,
    /// It could not be opened inside, so that whose it is will be known only later.
    pub provisional: bool,
    /// Its wrap is in the ledger already.
    pub wrapped: bool,
    pub gathered: Gathered,
    pub report: Report,
}

/// Captures in their order, waiting to be written.
pub struct Together<'a> {
    inner: &'a Arc<Inner>,
    waiting: Vec<Single>,
    json_bytes: usize,
}

/// What one capture becomes in the catalogue.
struct Rows {
    capture: Position,
    records: Vec<RecordRow>,
    fetches: Vec<FetchRow>,
    report: Report,
}

impl<'a> Together<'a> {
    pub fn new(inner: &'a Arc<Inner>) -> Together<'a> {
        Together {
            inner,
            waiting: Vec::new(),
            json_bytes: 0,
        }
    }

    pub fn add(&mut self, single: Single) -> Result<(), VaultError> {
        let json = single.gathered.records.iter().map(|record| record.json.len());
        self.json_bytes += json.sum::<usize>();
        self.waiting.push(single);
        if self.json_bytes > JSON_BYTES_MAX || self.waiting.len() >= WAITING_MAX {
            self.write()?;
        }
        Ok(())
    }

    /// Writes what waits: first the wraps, as entries; then the rows.
    pub fn write(&mut self) -> Result<(), VaultError> {
        self.json_bytes = 0;
        let waiting = std::mem::take(&mut self.waiting);
        if waiting.is_empty() {
            return Ok(());
        }
        let keys = self.keys(&waiting)?;
        let (mut drafts, mut all) = (Vec::new(), Vec::with_capacity(waiting.len()));
        for (single, keys) in waiting.into_iter().zip(keys) {
            if !single.wrapped {
                drafts.push(wrap(&single, &keys)?);
                let mut lacking = Lacking::default();
                single
                    .gathered
                    .records
                    .iter()
                    .for_each(|record| lacking.note(&record.facts));
                drafts.extend(self.inner.about_consent(&single.row, &lacking, None)?);
            }
            all.push(self.rows(single, &keys)?);
        }
        if !drafts.is_empty() {
            self.inner.ledger.append(drafts)?;
            failpoint::hit("normalized-entries");
        }
        locked(&self.inner.catalogue).transaction(|catalogue| {
            for rows in &all {
                catalogue.clear_records(rows.capture)?;
                store_normalized(
                    catalogue,
                    rows.capture,
                    &rows.records,
                    &rows.fetches,
                    Some(&rows.report),
                )?;
            }
            Ok(())
        })?;
        failpoint::hit("normalized-catalogue");
        Ok(())
    }

    /// The secrets of each, made with one write where there are none.
    fn keys(&self, waiting: &[Single]) -> Result<Vec<OwnerKeys>, VaultError> {
        let wanted: Vec<_> = waiting
            .iter()
            .map(|single| {
                if single.provisional {
                    self.inner.provisional_secrets(&single.row)
                } else {
                    self.inner.labels.secrets(&single.owner, &single.row.connection)
                }
            })
            .collect();
        locked(&self.inner.keys).ensure(&wanted.concat(), self.inner.ledger.head())?;
        let mut known: HashMap<(&str, Owner, bool), OwnerKeys> = HashMap::new();
        let mut keys = Vec::with_capacity(waiting.len());
        for (single, wanted) in waiting.iter().zip(&wanted) {
            let found = match known.entry((single.row.connection.as_str(), single.owner, single.provisional))
            {
                Entry::Occupied(entry) => entry.get().clone(),
                Entry::Vacant(entry) => entry.insert(self.inner.owner_keys(wanted)?).clone(),
            };
            keys.push(found);
        }
        Ok(keys)
    }

    fn rows(&self, single: Single, keys: &OwnerKeys) -> Result<Rows, VaultError> {
        let capture = single.row.position;
        let mut records = Vec::with_capacity(single.gathered.records.len());
        for (ordinal, record) in (0..).zip(single.gathered.records) {
            let id = MessageId { capture, ordinal };
            let sealed = seal_row(
                &self.inner.file.zone,
                id,
                &item_key(&single.key, ordinal)?,
                &record.json,
            )?;
            let owner = record.facts.owner;
            let names = if owner.conversation.is_none() && owner.person.is_none() {
                (KeyId::NONE, KeyId::NONE)
            } else {
                keys.names
            };
            records.push(record.facts.row(id, names, Placement::Capture, sealed));
        }
        Ok(Rows {
            capture,
            records,
            fetches: self.inner.fetch_rows(capture, single.gathered.fetches)?,
            report: single.report,
        })
    }
}

/// The data key, wrapped to whom the capture concerns.
fn wrap(single: &Single, keys: &OwnerKeys) -> Result<Draft, VaultError> {
    let wrap = Wrap {
        source: single.row.position,
        mixed: false,
        keys: keys.ids.clone(),
        wrapped_key: seal::wrap::wrap(&keys.joint, &single.key)?,
    };
    Ok(Draft {
        kind: Kind::Wrap(wrap),
        body: Vec::new(),
    })
}

/// The one owner of everything in a capture: `Some(None)` when nothing has an owner, `None` when there are several.
#[expect(clippy::option_option, reason = "none, one unknown, one known: three answers")]
pub fn single_owner(gathered: &Gathered) -> Option<Option<Owner>> {
    let mut only: Option<Owner> = None;
    let records = gathered.records.iter().map(|record| record.facts.owner);
    let belongings = gathered.belongings.iter().map(|belonging| Owner {
        // A contact card has no month of its own.
        month: only_month(gathered).unwrap_or(belonging.owner.month),
        ..belonging.owner
    });
    for owner in records.chain(belongings) {
        if owner.conversation.is_none() && owner.person.is_none() {
            continue;
        }
        match only {
            None => only = Some(owner),
            Some(known) if known == owner => {}
            Some(_) => return None,
        }
    }
    Some(only)
}

fn only_month(gathered: &Gathered) -> Option<i32> {
    let owned = |record: &&Understood| record.facts.owner.person.is_some();
    gathered
        .records
        .iter()
        .find(owned)
        .map(|record| record.facts.owner.month)
}
