//! Holds and destruction: what people decide, written down before it takes effect, and carried out in the order of the
//! ledger.
//!
//! Everything that is decided is decided under one lock, so that no hold can come between the last look at holds and the
//! destruction itself. The decision is `govern`'s; the state is what `govern` makes of the entries.

use std::sync::MutexGuard;

use govern::{Command, Event, Facts, Person, State, decide};
use model::entry::{ActCode, Kind};
use model::{KeyId, Position};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::users::{Role, User};
use super::{Inner, Vault, VaultError, locked};

mod certificate;
pub(super) mod destroy;
mod freeze;
mod holds;
mod replay;
mod requests;
mod survey;
pub mod targets;
pub(super) mod tombs;

pub(super) use freeze::freeze;
pub use replay::replay_destructions;
pub use requests::RequestOptions;
pub use targets::Targets;

/// Reason of a destruction that people ordered.
pub const BY_PEOPLE: u16 = 2;

/// Acts that say something about holds and destruction: the first and the last code.
const CODES: (u16, u16) = (ActCode::HoldPlaced as u16, ActCode::DestructionDeclined as u16);

/// What was decided so far.
pub struct Governing {
    state: State,
    /// Entries before this one are taken in.
    upto: Position,
    /// Where the ledger ended when it was opened: earlier entries are read by the follower first.
    opened_at: Position,
    read: bool,
}

/// Body of an act, and of a destruction, by which something was decided.
#[derive(Serialize, Deserialize)]
struct Decided {
    did: Event,
    /// Everything before this entry was taken into account.
    decided_on: Position,
    /// Who sat at the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    actor: Option<String>,
    /// What was typed to name whom it concerns, sealed so that it dies with them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    named: Option<String>,
    /// What a destruction met.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    found: Option<survey::Found>,
}

impl Governing {
    pub(super) fn new(opened_at: Position) -> Governing {
        Governing {
            state: State::default(),
            upto: Position(0),
            opened_at,
            read: false,
        }
    }
}

impl Inner {
    /// What was decided so far; nobody else decides while this is held.
    fn governing(&self) -> Result<MutexGuard<'_, Governing>, VaultError> {
        loop {
            let mut governing = locked(&self.governing);
            if governing.read {
                return Ok(governing);
            }
            let opened_at = governing.opened_at;
            if locked(&self.progress).followed >= opened_at {
                let entries = locked(&self.reader).governing(CODES, Position(0))?;
                for at in entries {
                    if let Some(decided) = self.decided_by(at)? {
                        governing.state.apply(at, &decided.did);
                    }
                }
                governing.read = true;
                governing.upto = governing.upto.max(opened_at);
                return Ok(governing);
            }
            drop(governing);
            self.wait_followed(opened_at)?;
        }
    }

    /// What an entry decided; none for a refusal.
    fn decided_by(&self, at: Position) -> Result<Option<Decided>, VaultError> {
        let entry = self.must_entry(at)?;
        let mut body = Vec::new();
        match &entry.header.kind {
            Kind::Act(act) => {
                seal::act::open_act(&self.file.zone, act, self.acts_secret(), &entry.body, &mut body)?;
            }
            Kind::Destruction(gone) => {
                let secret = self.acts_secret();
                seal::act::open_destruction(&self.file.zone, gone, secret, &entry.body, &mut body)?;
            }
            _ => return Ok(None),
        }
        Ok(serde_json::from_slice(&body).ok())
    }

    /// Decides, and writes down what was decided, a refusal too. It has taken effect when this returns.
    fn decide(
        &self,
        governing: &mut Governing,
        command: &Command,
        facts: &Facts,
        said: &Said<'_>,
    ) -> Result<(Position, Event), VaultError> {
        match decide(&governing.state, command, facts) {
            Ok(event) => {
                let body = Decided {
                    did: event.clone(),
                    decided_on: governing.upto,
                    actor: Some(said.actor.to_owned()),
                    named: said.named.clone(),
                    found: None,
                };
                let at = self.act(said.code, &json!(body))?;
                governing.take_in(at, &event);
                Ok((at, event))
            }
            Err(refusal) => {
                let body = json!({
                    "refused": refusal.code(), "by": said.by, "actor": said.actor, "about": said.about,
                    "decided_on": governing.upto,
                });
                self.act(said.code, &body)?;
                Err(refusal.into())
            }
        }
    }

    pub(super) fn wait_followed(&self, position: Position) -> Result<(), VaultError> {
        let mut progress = locked(&self.progress);
        while progress.followed < position {
            if progress.failed {
                return Err(store::StoreError::Stopped.into());
            }
            progress = self
                .progressed
                .wait(progress)
                .unwrap_or_else(std::sync::PoisonError::into_inner);
        }
        Ok(())
    }
}

impl Governing {
    fn take_in(&mut self, at: Position, event: &Event) {
        self.state.apply(at, event);
        self.upto = at.plus(1);
    }
}

/// Who said it, and how it is written down.
struct Said<'a> {
    code: ActCode,
    /// Who signed in, or sat at the machine.
    by: &'a str,
    actor: &'a str,
    about: Option<Position>,
    named: Option<String>,
}

impl Vault {
    /// The person with this name and password, who is about to decide something. That somebody failed is an act.
    ///
    /// # Errors
    /// [`VaultError::NotSignedIn`].
    pub fn signed_in(&self, name: &str, password: &str, actor: &str) -> Result<User, VaultError> {
        if let Some(user) = self.sign_in(name, password)? {
            return Ok(user);
        }
        // The name only where there is such a user: what was typed may be a password in the wrong place.
        let known = self.users().iter().any(|user| user.name == name);
        let body = json!({ "refused": "sign-in", "by": known.then_some(name), "actor": actor });
        self.inner.act(ActCode::DestructionRequested, &body)?;
        Err(VaultError::NotSignedIn)
    }
}

/// Who may decide about holds and destruction.
pub(super) fn person(user: &User) -> Person {
    Person {
        name: user.name.clone(),
        permitted: matches!(user.role, Role::Officer | Role::Administrator),
    }
}

fn keys_json(kinds: &[(KeyId, &'static str)]) -> Value {
    kinds
        .iter()
        .map(|(key, kind)| json!({ "kind": kind, "key": key }))
        .collect()
}
