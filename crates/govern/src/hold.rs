//! Holds: what must be kept whatever else is decided, future captures included.

use std::collections::BTreeSet;

use model::{ConnectionId, KeyId, Position, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Event, Person, Refusal, State, permitted, said, share};

/// What a hold keeps. Each kind that is given narrows it; within a kind any one is enough.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selectors {
    /// Names or handles: what these people wrote, and the conversations in which they wrote.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub persons: Vec<String>,
    /// Ids or titles of conversations.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conversations: Vec<String>,
    /// Connections.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub connections: Vec<ConnectionId>,
    /// Said at this time or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// Said before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Timestamp>,
}

/// A hold, as the entry that placed it says. It names people by words, not by secrets: whoever is captured later under
/// that name is held too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Who placed it.
    pub by: String,
    /// What for.
    pub reason: String,
    /// What is kept.
    pub selectors: Selectors,
}

/// What a hold keeps, in the secrets there are at this moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Covering {
    /// The people's secrets; none when the hold names nobody. Empty: named, and not captured yet.
    pub persons: Option<BTreeSet<KeyId>>,
    /// Conversations in which they speak or that are theirs alone.
    pub theirs: BTreeSet<KeyId>,
    /// The conversations' secrets; none when the hold names none.
    pub conversations: Option<BTreeSet<KeyId>>,
    /// Connections; none when the hold names none.
    pub connections: Option<BTreeSet<ConnectionId>>,
    /// From.
    pub from: Option<Timestamp>,
    /// Before.
    pub to: Option<Timestamp>,
}

/// A record that would die.
#[derive(Debug, Clone, Copy)]
pub struct Dying<'a> {
    /// Its conversation.
    pub conversation: KeyId,
    /// Its author.
    pub person: KeyId,
    /// Connection that brought it.
    pub connection: &'a str,
    /// It was not said before this.
    pub earliest: Timestamp,
    /// Nor after this. Apart where only a wall clock of unknown zone is known.
    pub latest: Timestamp,
}

impl Covering {
    /// Whether the hold keeps this record.
    pub fn covers(&self, record: &Dying<'_>) -> bool {
        let spoken = |persons: &BTreeSet<KeyId>| {
            persons.contains(&record.person) || self.theirs.contains(&record.conversation)
        };
        let said_in = |all: &BTreeSet<KeyId>| all.contains(&record.conversation);
        self.persons.as_ref().is_none_or(spoken)
            && self.conversations.as_ref().is_none_or(said_in)
            && self.reaches(record.connection, record.earliest, record.latest)
    }

    /// Whether the hold keeps what this connection brings that was said between these instants, as far as that alone matters.
    pub fn reaches(&self, connection: &str, earliest: Timestamp, latest: Timestamp) -> bool {
        let brought = |all: &BTreeSet<ConnectionId>| all.iter().any(|id| id.as_str() == connection);
        self.connections.as_ref().is_none_or(brought)
            && self.from.is_none_or(|from| latest >= from)
            && self.to.is_none_or(|to| earliest < to)
    }

    /// Whether the hold keeps all that is sealed under one of these secrets, whatever it is: bytes that are no record
    /// included.
    pub fn keeps(&self, keys: &[KeyId]) -> bool {
        if self.connections.is_some() || self.from.is_some() || self.to.is_some() {
            return false;
        }
        match (&self.persons, &self.conversations) {
            (Some(persons), None) => share(keys, persons) || share(keys, &self.theirs),
            (None, Some(conversations)) => share(keys, conversations),
            _ => false,
        }
    }
}

pub(crate) fn place(by: &str, reason: &str, selectors: &Selectors) -> Result<Event, Refusal> {
    let reason = said(reason, Refusal::NoReason)?;
    if *selectors == Selectors::default() {
        return Err(Refusal::SelectsAll);
    }
    if selectors
        .from
        .zip(selectors.to)
        .is_some_and(|(from, to)| from >= to)
    {
        return Err(Refusal::SelectsNothing);
    }
    Ok(Event::HoldPlaced(Hold {
        by: by.to_owned(),
        reason,
        selectors: selectors.clone(),
    }))
}

pub(crate) fn lift(state: &State, hold: Position, by: &Person, reason: &str) -> Result<Event, Refusal> {
    permitted(by)?;
    let reason = said(reason, Refusal::NoReason)?;
    if !state.holds.contains_key(&hold) {
        return Err(Refusal::UnknownHold(hold));
    }
    Ok(Event::HoldLifted {
        hold,
        by: by.name.clone(),
        reason,
    })
}
