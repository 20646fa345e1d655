//! Destruction: one person asks, another agrees, and at the place where it happens everything is looked at again.

use model::{KeyId, Position};
use serde::{Deserialize, Serialize};

use crate::{Event, Facts, Person, Refusal, State, permitted, said};

/// What is to be destroyed, why, and on what basis.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// The secrets, ascending. Names stand nowhere.
    pub keys: Vec<KeyId>,
    /// Why.
    pub reason: String,
    /// The law or duty.
    pub legal_basis: String,
}

/// A request and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Who asked.
    pub by: String,
    /// For what.
    pub asked: Asked,
    /// What became of it.
    pub state: RequestState,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestState {
    /// Waits for a second person.
    Open,
    /// Two people agreed; it is not done yet.
    Approved {
        /// The second person.
        by: String,
        /// The entry.
        at: Position,
    },
    /// Nothing more will come of it.
    Over(Outcome),
}

/// How a request ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Destroyed {
        /// The second person.
        by: String,
        /// The destruction.
        at: Position,
    },
    /// It was not.
    Declined {
        /// Who declined; none when the program stopped it.
        by: Option<String>,
        /// Why.
        reason: String,
        /// The entry.
        at: Position,
    },
}

impl RequestState {
    pub(crate) fn is_approved(&self) -> bool {
        matches!(self, RequestState::Approved { .. })
    }
}

/// What forbids destruction whatever people agree on.
fn allowed(facts: &Facts) -> Result<(), Refusal> {
    if !facts.living {
        return Err(Refusal::NoEffect);
    }
    if let Some(hold) = facts.held_by {
        return Err(Refusal::Held(hold));
    }
    let Some(until) = facts.locked_until else {
        return Ok(());
    };
    if facts.own < until {
        return Err(Refusal::Minimum(until));
    }
    if facts.outside.is_none_or(|proved| proved < until) {
        return Err(Refusal::SecondClock {
            until,
            proved: facts.outside,
        });
    }
    Ok(())
}

pub(crate) fn request(by: &Person, asked: &Asked, facts: &Facts) -> Result<Event, Refusal> {
    permitted(by)?;
    let mut keys = asked.keys.clone();
    keys.sort_unstable();
    keys.dedup();
    let asked = Asked {
        keys,
        reason: said(&asked.reason, Refusal::NoReason)?,
        legal_basis: said(&asked.legal_basis, Refusal::NoLegalBasis)?,
    };
    allowed(facts)?;
    Ok(Event::Requested {
        by: by.name.clone(),
        asked,
    })
}

fn open(state: &State, at: Position) -> Result<&str, Refusal> {
    let request = state.request(at).ok_or(Refusal::UnknownRequest(at))?;
    match request.state {
        crate::RequestState::Open => Ok(&request.by),
        _ => Err(Refusal::Decided(at)),
    }
}

pub(crate) fn approve(state: &State, at: Position, by: &Person, facts: &Facts) -> Result<Event, Refusal> {
    permitted(by)?;
    if open(state, at)? == by.name {
        return Err(Refusal::SamePerson);
    }
    allowed(facts)?;
    Ok(Event::Approved {
        request: at,
        by: by.name.clone(),
    })
}

pub(crate) fn decline(state: &State, at: Position, by: &Person, reason: &str) -> Result<Event, Refusal> {
    permitted(by)?;
    let reason = said(reason, Refusal::NoReason)?;
    open(state, at)?;
    Ok(Event::Declined {
        request: at,
        by: Some(by.name.clone()),
        reason,
    })
}

pub(crate) fn destroy(state: &State, at: Position, facts: &Facts) -> Result<Event, Refusal> {
    let request = state.request(at).ok_or(Refusal::UnknownRequest(at))?;
    if !request.state.is_approved() {
        return Err(Refusal::NotApproved(at));
    }
    allowed(facts)?;
    Ok(Event::Destroyed { request: at })
}
