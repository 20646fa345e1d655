//! What was destroyed must not come back with the next import or redelivery.
//!
//! A record of a destroyed conversation, person or period that dates from before the destruction is sealed like any other,
//! under a key that nobody keeps, and its entry names the destroyed secret. What a returning client says afterwards is
//! captured under a fresh secret. What a hold covers is kept all the same.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::Arc;

use govern::{Covering, Dying};
use model::{KeyId, Timestamp};
use seal::keyring::{Label, SecretKind};

use super::super::labels::Owner;
use super::super::{Inner, VaultError, locked};
use super::survey::DiedAt;

/// By kind and label: the secret that was destroyed last, and when.
pub type Table = HashMap<(SecretKind, Label), DiedAt>;

/// What one capture is checked against.
pub struct Tombs<'a> {
    inner: &'a Inner,
    connection: &'a str,
    table: Arc<Table>,
    /// Whether the legal minimum of the capture is not over.
    locked: bool,
    held: OnceCell<Option<Vec<Covering>>>,
}

impl Inner {
    /// Reads anew what people had destroyed.
    pub(in super::super) fn read_tombs(&self) -> Result<(), VaultError> {
        const KINDS: [SecretKind; 3] = [SecretKind::Conversation, SecretKind::Person, SecretKind::Period];
        let gone: Vec<_> = locked(&self.keys)
            .ring()
            .all_destroyed()
            .filter(|(kind, ..)| KINDS.contains(kind))
            .collect();
        let mut table = Table::with_capacity(gone.len());
        for (kind, label, id, at) in gone {
            let died_at = self.must_entry(at)?.header.recorded_at;
            table.insert((kind, label), (id, died_at));
        }
        *locked(&self.tombs) = Arc::new(table);
        Ok(())
    }
}

impl<'a> Tombs<'a> {
    pub fn of(inner: &'a Inner, connection: &'a str, locked_until: Option<Timestamp>) -> Tombs<'a> {
        let over = |until: Timestamp| {
            let outside = inner.outside_time();
            until <= (inner.clock)() && outside.is_some_and(|outside| until <= outside)
        };
        Tombs {
            inner,
            connection,
            table: locked(&inner.tombs).clone(),
            locked: locked_until.is_some_and(|until| !over(until)),
            held: OnceCell::new(),
        }
    }

    fn find(&self, kind: SecretKind, label: Option<Label>) -> Option<&DiedAt> {
        self.table.get(&(kind, label?))
    }

    /// Whether a record of this owner, said between these instants, was destroyed before it came.
    pub fn gone(&self, owner: &Owner, (earliest, latest): (Timestamp, Timestamp)) -> bool {
        if self.table.is_empty() {
            return false;
        }
        let period = Some(self.inner.labels.period(owner.month));
        let tombs = [
            (SecretKind::Period, period),
            (SecretKind::Conversation, owner.conversation),
            (SecretKind::Person, owner.person),
        ];
        let before = |(kind, label)| {
            self.find(kind, label)
                .is_some_and(|(_, died_at)| earliest < *died_at)
        };
        tombs.into_iter().any(before) && !self.is_held(owner, earliest, latest)
    }

    /// Whether whom these bytes belong to was destroyed and has not been heard of since.
    pub fn gone_for_good(&self, owner: &Owner) -> bool {
        if self.table.is_empty() {
            return false;
        }
        let keys = locked(&self.inner.keys);
        let owners = [
            (SecretKind::Conversation, owner.conversation),
            (SecretKind::Person, owner.person),
        ];
        owners.into_iter().any(|(kind, label)| {
            self.find(kind, label).is_some()
                && label.is_some_and(|label| keys.ring().find(kind, &label).is_none())
        })
    }

    /// Whether nobody may destroy a record of this owner, said between these instants: a hold covers it, or its legal minimum
    /// is not over by two clocks.
    pub fn must_keep(&self, owner: &Owner, earliest: Timestamp, latest: Timestamp) -> bool {
        self.locked || self.is_held(owner, earliest, latest)
    }

    fn is_held(&self, owner: &Owner, earliest: Timestamp, latest: Timestamp) -> bool {
        let held = self.held.get_or_init(|| {
            let read = || {
                let governing = self.inner.governing()?;
                self.inner.coverings(&governing.state)
            };
            match read() {
                Ok(all) => Some(all.into_iter().map(|(_, covering)| covering).collect()),
                Err(error) => {
                    tracing::error!(error = %error, "holds cannot be read; what comes is kept");
                    None
                }
            }
        });
        let Some(held) = held else { return true };
        if held.is_empty() {
            return false;
        }
        let key = |kind, label: Option<Label>| {
            let gone = self.find(kind, label).map(|(id, _)| *id);
            let living = || locked(&self.inner.keys).ring().find(kind, &label?);
            gone.or_else(living).unwrap_or(KeyId::NONE)
        };
        let record = Dying {
            conversation: key(SecretKind::Conversation, owner.conversation),
            person: key(SecretKind::Person, owner.person),
            connection: self.connection,
            earliest,
            latest,
        };
        held.iter().any(|covering| covering.covers(&record))
    }
}
