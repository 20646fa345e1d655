//! Items that could not be opened yet: nobody knows whose they are, and later somebody will.
//!
//! They are wrapped under a secret that stands in for their owners. Once opened they get a wrap of their owners, and the
//! secret that stood in is destroyed: from then on an item dies with its owners, like any other. What still stays closed
//! is wrapped under a next such secret before.

use connect::Connector;
use connect::wecom_archive::WecomArchive;
use model::entry::{Destruction, Kind, WRAP_KEYS_MAX, Wrap};
use model::{KeyId, Position};
use seal::keyring::{Label, SecretKind};
use store::catalogue::CaptureRow;
use store::failpoint;
use store::ledger::Draft;

use super::super::{Inner, VaultError, locked};

/// Why such a secret is destroyed, as the entry says it.
pub const SUPERSEDED: u16 = 3;

/// Captures looked at together.
const PAGE: u32 = 1000;

/// To whom a capture is wrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrapped {
    /// To nobody yet.
    No,
    /// To those whose it is.
    ToOwners,
    /// Until it is known whose it is.
    Provisionally,
}

impl Inner {
    /// To whom a capture is wrapped, given its newest wrap.
    pub fn wrapped(&self, row: &CaptureRow, wrap: Option<Position>) -> Result<Wrapped, VaultError> {
        let Some(at) = wrap else { return Ok(Wrapped::No) };
        if row.connector != WecomArchive.id() {
            return Ok(Wrapped::ToOwners);
        }
        let standing_in = self.standing_in(&row.connection);
        let provisional = self.wrap_keys(at)?.iter().any(|key| standing_in.contains(key));
        Ok(if provisional {
            Wrapped::Provisionally
        } else {
            Wrapped::ToOwners
        })
    }

    /// The secrets under which an item hangs that could not be opened.
    pub fn provisional_secrets(&self, row: &CaptureRow) -> Vec<(SecretKind, Label)> {
        let newest = self.newest_generation(&row.connection);
        self.secrets_of_generation(row, newest)
    }

    fn secrets_of_generation(&self, row: &CaptureRow, generation: u32) -> Vec<(SecretKind, Label)> {
        vec![
            (SecretKind::Period, self.labels.period(row.received_at.month())),
            (
                SecretKind::Unattributed,
                self.labels.provisional(&row.connection, generation),
            ),
        ]
    }

    /// Those that live of the secrets that stood in, oldest first.
    fn standing_in(&self, connection: &str) -> Vec<KeyId> {
        let keys = locked(&self.keys);
        let mut living = Vec::new();
        for generation in 0.. {
            let label = self.labels.provisional(connection, generation);
            match keys.ring().find(SecretKind::Unattributed, &label) {
                Some(id) => living.push(id),
                None if keys.ring().destroyed(SecretKind::Unattributed, &label).is_some() => {}
                None => break,
            }
        }
        living
    }

    /// The generation under which items are wrapped now: the first that was not destroyed and has none living after it.
    fn newest_generation(&self, connection: &str) -> u32 {
        let keys = locked(&self.keys);
        let mut newest = 0;
        for generation in 0.. {
            let label = self.labels.provisional(connection, generation);
            if keys.ring().find(SecretKind::Unattributed, &label).is_some() {
                newest = generation;
            } else if keys.ring().destroyed(SecretKind::Unattributed, &label).is_some() {
                newest = generation.saturating_add(1);
            } else {
                break;
            }
        }
        newest
    }

    fn wrap_keys(&self, at: Position) -> Result<Vec<KeyId>, VaultError> {
        let entry = self.must_entry(at)?;
        Ok(match entry.header.kind {
            Kind::Wrap(wrap) => wrap.keys,
            _ => Vec::new(),
        })
    }

    /// An item that was wrapped provisionally was opened.
    pub fn note_opened(&self) {
        locked(&self.archives).opened = true;
    }

    /// Has items opened again that have one of these problems.
    pub fn want_opened_again(&self, connection: &str, codes: &[&'static str]) {
        let wanted = codes.iter().map(|code| (connection.to_owned(), *code));
        locked(&self.archives).open_again.extend(wanted);
        self.ledger.wake();
    }

    /// For the follower, before a round: what was asked for since the last is normalized again.
    pub fn open_again(&self) -> Result<(), VaultError> {
        let wanted = std::mem::take(&mut locked(&self.archives).open_again);
        for (connection, code) in &wanted {
            let first = locked(&self.catalogue).normalize_again(connection, code)?;
            if let Some(first) = first {
                self.set_progress(|progress| progress.normalized = progress.normalized.min(first));
            }
        }
        Ok(())
    }

    /// For the follower, when everything is normalized: destroys secrets that stood in and under which an item hung that has
    /// other wraps now. Without a second copy of the key store they are kept, as epochs are.
    pub fn end_provisional(&self) -> Result<(), VaultError> {
        if !locked(&self.archives).opened || !locked(&self.keys).has_copy() {
            return Ok(());
        }
        for config in self.connections() {
            if config.connector == WecomArchive.id() {
                for secret in self.standing_in(config.id.as_str()) {
                    self.end_one(config.id.as_str(), secret)?;
                }
            }
        }
        locked(&self.archives).opened = false;
        Ok(())
    }

    fn end_one(&self, connection: &str, secret: KeyId) -> Result<(), VaultError> {
        let (mut staying, mut moved, mut after) = (Vec::new(), false, None);
        loop {
            let page = locked(&self.catalogue).concerned(secret, after, PAGE)?;
            let Some(last) = page.last() else { break };
            after = Some(*last);
            for source in page {
                let (newest, parts) = {
                    let catalogue = locked(&self.catalogue);
                    (catalogue.wrap(source)?, catalogue.parts(source)?)
                };
                // Of what was destroyed before it was opened there are parts, and no other wrap.
                match newest.filter(|_| parts.is_empty()) {
                    Some(wrap) if self.wrap_keys(wrap)?.contains(&secret) => staying.push(source),
                    _ => moved = true,
                }
            }
        }
        if !moved {
            return Ok(());
        }
        let next = self.newest_generation(connection).saturating_add(1);
        for page in staying.chunks(WRAP_KEYS_MAX) {
            let mut drafts = Vec::with_capacity(page.len());
            for source in page {
                drafts.extend(self.wrapped_again(*source, next)?);
            }
            if !drafts.is_empty() {
                self.ledger.append(drafts)?;
            }
        }
        failpoint::hit("provisional-wrapped-again");
        // Held from before the entry until the secret is gone, as where people order it.
        let mut keys = locked(&self.keys);
        let kind = Kind::Destruction(Destruction {
            reason: SUPERSEDED,
            keys: vec![secret],
            key: KeyId::NONE,
            salt: [0; 16],
            commitment: [0; 32],
        });
        let at = self.ledger.append(vec![Draft {
            kind,
            body: Vec::new(),
        }])?;
        keys.destroy(&[secret], at)?;
        Ok(())
    }

    /// A wrap under the secret that stands in next, of an item that stays closed.
    fn wrapped_again(&self, source: Position, generation: u32) -> Result<Option<Draft>, VaultError> {
        let (row, wrap) = {
            let catalogue = locked(&self.catalogue);
            (catalogue.capture(source)?, catalogue.wrap(source)?)
        };
        let Some(row) = row else { return Ok(None) };
        let Some(key) = self.data_key(&row, wrap)? else {
            return Ok(None);
        };
        let keys = self.owner_keys(&self.secrets_of_generation(&row, generation))?;
        let wrap = Wrap {
            source,
            mixed: false,
            keys: keys.ids,
            wrapped_key: seal::wrap::wrap(&keys.joint, &key)?,
        };
        Ok(Some(Draft {
            kind: Kind::Wrap(wrap),
            body: Vec::new(),
        }))
    }
}
