//! What was destroyed must not come back with the next import or redelivery.
//!
//! A record of a destroyed conversation, person or period that dates from before the destruction is sealed like any other,
//! under a key that nobody keeps, and its entry names the destroyed secret. What a returning client says afterwards is
//! captured under a fresh secret. What a hold covers is kept all the same.

use std::cell::OnceCell;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use govern::{Covering, Selectors};
use model::{KeyId, Position, Timestamp};
use seal::keyring::{Label, SecretKind};
use store::catalogue::CaptureRow;

use super::super::labels::{Labels, Owner};
use super::super::{Inner, VaultError, locked};
use super::survey::DiedAt;

/// By kind and label: the secret that was destroyed last, and when.
pub type Table = HashMap<(SecretKind, Label), DiedAt>;

/// What one capture is checked against.
pub struct Tombs<'a> {
    inner: &'a Inner,
    connection: &'a str,
    capture: Position,
    table: Arc<Table>,
    /// Whether the legal minimum of the capture is not over.
    locked: bool,
    held: OnceCell<Option<Vec<Held>>>,
}

/// A hold by what it names, and not by the secrets there are: what is destroyed as it comes never had one.
struct Held {
    covering: Covering,
    /// As they were typed; none when the hold names nobody.
    persons: Option<Vec<String>>,
    /// The same, under every kind of handle.
    handles: BTreeSet<Label>,
    /// Conversations that are called after them.
    alone: BTreeSet<Label>,
    /// Conversations that it names; none when it names none.
    conversations: Option<BTreeSet<Label>>,
}

/// Whom a record concerns, as far as it says.
#[derive(Default)]
pub struct Concerned<'a> {
    /// What its author is called.
    pub author: Option<&'a str>,
    /// The author by each of their ids, who received it, and the account by which it came.
    pub persons: Vec<Label>,
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
    pub fn of(inner: &'a Inner, row: &'a CaptureRow) -> Tombs<'a> {
        let over = |until: Timestamp| {
            let outside = inner.outside_time();
            until <= (inner.clock)() && outside.is_some_and(|outside| until <= outside)
        };
        Tombs {
            inner,
            connection: &row.connection,
            capture: row.position,
            table: locked(&inner.tombs).clone(),
            locked: row.locked_until.is_some_and(|until| !over(until)),
            held: OnceCell::new(),
        }
    }

    /// What other clocks than the one by which the capture was received say of when that was: the ledger's, which does not run
    /// backwards, and the latest time that somebody outside proved, where there is one.
    pub fn other_clocks(&self) -> Vec<Timestamp> {
        let entry = self.inner.must_entry(self.capture).ok();
        let ledger = entry.map(|entry| entry.header.recorded_at);
        ledger.into_iter().chain(self.inner.outside_time()).collect()
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
        tombs.into_iter().any(before) && !self.is_held(owner, &Concerned::default(), earliest, latest)
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
    pub fn must_keep(
        &self,
        owner: &Owner,
        concerned: &Concerned<'_>,
        earliest: Timestamp,
        latest: Timestamp,
    ) -> bool {
        self.locked || self.is_held(owner, concerned, earliest, latest)
    }

    fn is_held(
        &self,
        owner: &Owner,
        concerned: &Concerned<'_>,
        earliest: Timestamp,
        latest: Timestamp,
    ) -> bool {
        let held = self.held.get_or_init(|| {
            self.read_holds()
                .inspect_err(|error| {
                    tracing::error!(error = %error, "holds cannot be read; what comes is kept");
                })
                .ok()
        });
        let Some(held) = held else { return true };
        let labels = &self.inner.labels;
        held.iter().any(|hold| {
            hold.covering.reaches(self.connection, earliest, latest)
                && hold
                    .persons
                    .as_ref()
                    .is_none_or(|words| self.concerns(hold, words, owner, concerned, labels))
                && hold
                    .conversations
                    .as_ref()
                    .is_none_or(|all| owner.conversation.is_some_and(|label| all.contains(&label)))
        })
    }

    /// Whether a record is of those whom a hold names, to them, or in a conversation in which they wrote before.
    fn concerns(
        &self,
        hold: &Held,
        words: &[String],
        owner: &Owner,
        concerned: &Concerned<'_>,
        labels: &Labels,
    ) -> bool {
        let within = owner.conversation.as_ref();
        let mut persons = concerned.persons.iter().chain(&owner.person);
        let is_called = |word: &String| {
            concerned.author == Some(word.as_str())
                || owner.person == Some(labels.person_by_name(within, word))
        };
        let key = |label: &Label| {
            let kind = SecretKind::Conversation;
            let gone = self.find(kind, Some(*label)).map(|(id, _)| *id);
            gone.or_else(|| locked(&self.inner.keys).ring().find(kind, label))
        };
        persons.any(|label| hold.handles.contains(label))
            || words.iter().any(is_called)
            || within.is_some_and(|label| hold.alone.contains(label))
            || within
                .and_then(key)
                .is_some_and(|key: KeyId| hold.covering.theirs.contains(&key))
    }

    fn read_holds(&self) -> Result<Vec<Held>, VaultError> {
        let governing = self.inner.governing()?;
        let holds = governing.state.holds();
        holds.map(|(_, hold)| self.held(&hold.selectors)).collect()
    }

    fn held(&self, selectors: &Selectors) -> Result<Held, VaultError> {
        let Selectors {
            persons,
            conversations,
            ..
        } = selectors;
        let named = |words: &[String]| {
            let within = |word: &String| self.inner.conversation_in(self.connection, word);
            words.iter().flat_map(within).collect::<BTreeSet<Label>>()
        };
        let handles = persons.iter().flat_map(|word| self.inner.person_with(word));
        Ok(Held {
            covering: self.inner.covering(selectors)?,
            handles: handles.collect(),
            alone: named(persons),
            persons: (!persons.is_empty()).then(|| persons.clone()),
            conversations: (!conversations.is_empty()).then(|| named(conversations)),
        })
    }
}
