//! Holds and destruction, as decisions: what is asked, on what is known, is allowed or refused.
//!
//! For: [`decide`], which says what follows from a command, or why nothing does; and [`State::apply`], by which what
//! followed becomes the state again, in the order of the ledger.
//!
//! Never: I/O, a clock, a key. Times are arguments, and what would die is told by whoever can look.
//!
//! To add a workflow: a module here with its commands and events, an act code in `model`, a property that no sequence of
//! commands breaks, in `tests`.

pub mod consent;
pub mod custodian;
mod destruction;
mod hold;
mod refusal;

pub use destruction::{Asked, Outcome, Request, RequestState};
pub use hold::{Covering, Dying, Hold, Selectors};
pub use refusal::Refusal;

use std::collections::BTreeMap;

use model::{KeyId, Position, Timestamp};
use serde::{Deserialize, Serialize};

/// Somebody who signed in, and whether their role lets them decide about holds and destruction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Name to sign in with.
    pub name: String,
    /// Compliance officer or administrator.
    pub permitted: bool,
}

/// What somebody, or the program itself, wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Keep what these select, whatever else is decided.
    PlaceHold {
        /// Who. A hold only protects, so that whoever may use the program may place one.
        by: String,
        /// What for.
        reason: String,
        /// What is kept.
        selectors: Selectors,
    },
    /// Let a hold go.
    LiftHold {
        /// Which: the entry that placed it.
        hold: Position,
        /// Who.
        by: Person,
        /// Why.
        reason: String,
    },
    /// Ask for secrets to be destroyed.
    Request {
        /// Who.
        by: Person,
        /// What, why, on what basis.
        asked: Asked,
    },
    /// Agree, as the second person.
    Approve {
        /// Which: the entry that asked for it.
        request: Position,
        /// Who.
        by: Person,
    },
    /// Do not agree, or withdraw it.
    Decline {
        /// Which.
        request: Position,
        /// Who.
        by: Person,
        /// Why.
        reason: String,
    },
    /// Do what two people agreed on. Given by the program, at the place in the ledger where it happens.
    Destroy {
        /// Which.
        request: Position,
    },
}

/// What is known when a command is decided.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Facts {
    /// Own clock.
    pub own: Timestamp,
    /// The newest time that somebody outside proved; none when nobody did.
    pub outside: Option<Timestamp>,
    /// A hold that covers something of what would die.
    pub held_by: Option<Position>,
    /// When the last legal minimum of what would die is over; none when there is no minimum.
    pub locked_until: Option<Timestamp>,
    /// Whether any of the secrets still lives.
    pub living: bool,
}

/// What followed from a command: an entry says it, and the state follows from the entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A hold was placed.
    HoldPlaced(Hold),
    /// A hold was lifted.
    HoldLifted {
        /// The entry that placed it.
        hold: Position,
        /// By whom.
        by: String,
        /// Why.
        reason: String,
    },
    /// Destruction was asked for.
    Requested {
        /// By whom.
        by: String,
        /// What, why, on what basis.
        #[serde(flatten)]
        asked: Asked,
    },
    /// A second person agreed.
    Approved {
        /// The entry that asked for it.
        request: Position,
        /// By whom.
        by: String,
    },
    /// It will not be done.
    Declined {
        /// The entry that asked for it.
        request: Position,
        /// By whom; none when the program stopped it.
        by: Option<String>,
        /// Why.
        reason: String,
    },
    /// It was done.
    Destroyed {
        /// The entry that asked for it.
        request: Position,
    },
}

/// What entries so far add up to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    holds: BTreeMap<Position, Hold>,
    requests: BTreeMap<Position, Request>,
}

impl State {
    /// Holds in force, by the entry that placed each.
    pub fn holds(&self) -> impl Iterator<Item = (Position, &Hold)> {
        self.holds.iter().map(|(at, hold)| (*at, hold))
    }

    /// All requests, oldest first.
    pub fn requests(&self) -> impl Iterator<Item = (Position, &Request)> {
        self.requests.iter().map(|(at, request)| (*at, request))
    }

    /// One request.
    pub fn request(&self, at: Position) -> Option<&Request> {
        self.requests.get(&at)
    }

    /// Requests that wait for a second person.
    pub fn waiting(&self) -> usize {
        let open = |request: &&Request| request.state == RequestState::Open;
        self.requests.values().filter(open).count()
    }

    /// The oldest request that two people agreed on and that is not done.
    pub fn to_do(&self) -> Option<(Position, &Request)> {
        self.requests()
            .find(|(_, request)| matches!(request.state, RequestState::Approved { .. }))
    }

    /// Takes in what the entry at `at` says. `false`: it has no effect, for what it was decided on had changed.
    pub fn apply(&mut self, at: Position, event: &Event) -> bool {
        match event {
            Event::HoldPlaced(hold) => {
                self.holds.insert(at, hold.clone());
                true
            }
            Event::HoldLifted { hold, .. } => self.holds.remove(hold).is_some(),
            Event::Requested { by, asked } => {
                let request = Request {
                    by: by.clone(),
                    asked: asked.clone(),
                    state: RequestState::Open,
                };
                self.requests.insert(at, request);
                true
            }
            Event::Approved { request, by } => match self.requests.get_mut(request) {
                Some(open) if open.state == RequestState::Open && open.by != *by => {
                    open.state = RequestState::Approved { by: by.clone(), at };
                    true
                }
                _ => false,
            },
            Event::Declined { request, by, reason } => {
                let program = by.is_none();
                match self.requests.get_mut(request) {
                    // Only the program stops what two people agreed on: when it may not be done after all.
                    Some(open)
                        if open.state == RequestState::Open || (program && open.state.is_approved()) =>
                    {
                        open.state = RequestState::Over(Outcome::Declined {
                            by: by.clone(),
                            reason: reason.clone(),
                            at,
                        });
                        true
                    }
                    _ => false,
                }
            }
            Event::Destroyed { request } => match self.requests.get_mut(request) {
                Some(approved) => {
                    let RequestState::Approved { by, .. } = &approved.state else {
                        return false;
                    };
                    let by = by.clone();
                    approved.state = RequestState::Over(Outcome::Destroyed { by, at });
                    true
                }
                None => false,
            },
        }
    }
}

/// Says what follows from a command, or why nothing does.
///
/// # Errors
/// [`Refusal`], with its reason.
pub fn decide(state: &State, command: &Command, facts: &Facts) -> Result<Event, Refusal> {
    match command {
        Command::PlaceHold {
            by,
            reason,
            selectors,
        } => hold::place(by, reason, selectors),
        Command::LiftHold { hold, by, reason } => hold::lift(state, *hold, by, reason),
        Command::Request { by, asked } => destruction::request(by, asked, facts),
        Command::Approve { request, by } => destruction::approve(state, *request, by, facts),
        Command::Decline { request, by, reason } => destruction::decline(state, *request, by, reason),
        Command::Destroy { request } => destruction::destroy(state, *request, facts),
    }
}

fn permitted(by: &Person) -> Result<(), Refusal> {
    if by.permitted { Ok(()) } else { Err(Refusal::Role) }
}

fn said(text: &str, otherwise: Refusal) -> Result<String, Refusal> {
    let text = text.trim();
    if text.is_empty() {
        Err(otherwise)
    } else {
        Ok(text.to_owned())
    }
}

/// Whether two lists of secrets have one in common.
fn share(some: &[KeyId], others: &std::collections::BTreeSet<KeyId>) -> bool {
    some.iter().any(|key| others.contains(key))
}
