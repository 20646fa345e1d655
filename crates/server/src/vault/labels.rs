//! Keyed digests: by which secrets are found, repeats told, and pointers followed, without a name in the catalogue.

use model::record::{Conversation, Participant};
use seal::keyring::{Label, SecretKind};
use seal::suite::MacKey;

/// Makes labels and digests under the zone's digest secret.
pub struct Labels {
    key: MacKey,
}

/// What a record concerns: under whose secrets it is sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Owner {
    /// The conversation.
    pub conversation: Option<Label>,
    /// The author.
    pub person: Option<Label>,
    /// Month of the record, as `Timestamp::month` counts.
    pub month: i32,
    /// It is not kept: sealed under what nobody keeps.
    pub gone: Option<Gone>,
}

/// Why something is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Gone {
    /// It was destroyed, and comes again.
    Destroyed,
    /// Whom it concerns did not agree, as the zone's rule asks.
    NoConsent,
}

impl Labels {
    /// Under this key.
    pub fn new(key: MacKey) -> Labels {
        Labels { key }
    }

    /// A keyed digest of pieces.
    pub fn digest(&self, pieces: &[&[u8]]) -> Label {
        self.key.digest(pieces)
    }

    /// Label of a conversation: its id within its connection.
    pub fn conversation(&self, connection: &str, conversation: &Conversation<'_>) -> Option<Label> {
        let id = conversation.id.as_ref().or(conversation.title.as_ref())?;
        Some(self.conversation_named(connection, id.reveal()))
    }

    /// Label of the conversation with this id within its connection.
    pub fn conversation_named(&self, connection: &str, id: &str) -> Label {
        self.digest(&[b"conversation", connection.as_bytes(), id.as_bytes()])
    }

    /// Label of the person with this typed id.
    pub fn person_by_id(&self, kind: &str, value: &str) -> Label {
        self.digest(&[b"person", kind.as_bytes(), value.as_bytes()])
    }

    /// Label of the person who is called so in a conversation.
    pub fn person_by_name(&self, conversation: Option<&Label>, name: &str) -> Label {
        let scope = conversation.map_or(b"".as_slice(), |label| label.as_slice());
        self.digest(&[b"person", b"name", scope, name.as_bytes()])
    }

    /// Label of a person: by the most lasting id there is. A name counts only within its conversation, for two people
    /// may have the same.
    pub fn person(&self, conversation: Option<&Label>, person: &Participant<'_>) -> Option<Label> {
        const PREFERRED: [&str; 4] = ["phone", "bsuid", "parent_bsuid", "username"];
        let known = PREFERRED
            .iter()
            .find_map(|kind| person.ids.iter().find(|id| id.kind == *kind));
        if let Some(id) = known.or(person.ids.first()) {
            return Some(self.person_by_id(&id.kind, id.value.reveal()));
        }
        let name = person.name.as_ref()?;
        Some(self.person_by_name(conversation, name.reveal()))
    }

    /// Label of a retention period.
    pub fn period(&self, month: i32) -> Label {
        self.digest(&[b"period", b"standard", &month.to_be_bytes()])
    }

    /// Label of what a connection delivered that concerns no known conversation.
    pub fn unattributed(&self, connection: &str) -> Label {
        self.digest(&[b"unattributed", connection.as_bytes()])
    }

    /// Label of the secret under which items of an archive hang that could not be opened yet, and of which nobody knows
    /// whose they are.
    pub fn provisional(&self, connection: &str, generation: u32) -> Label {
        self.digest(&[b"provisional", connection.as_bytes(), &generation.to_be_bytes()])
    }

    /// The secrets under which what `owner` owns is sealed.
    pub fn secrets(&self, owner: &Owner, connection: &str) -> Vec<(SecretKind, Label)> {
        let mut wanted = vec![(SecretKind::Period, self.period(owner.month))];
        if let Some(label) = owner.conversation {
            wanted.push((SecretKind::Conversation, label));
        }
        if let Some(label) = owner.person {
            wanted.push((SecretKind::Person, label));
        }
        if owner.conversation.is_none() && owner.person.is_none() {
            wanted.push((SecretKind::Unattributed, self.unattributed(connection)));
        }
        wanted
    }
}
