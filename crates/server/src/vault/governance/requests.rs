//! Asking for a destruction, agreeing to it, declining it.

use govern::{Asked, Command, Facts, Outcome, Request, RequestState};
use model::Position;
use model::entry::ActCode;
use serde_json::{Value, json};

use super::super::users::User;
use super::super::{Inner, Vault, VaultError, locked};
use super::{Said, Targets, keys_json, person};

/// What somebody asks for.
#[derive(Debug, Clone)]
pub struct RequestOptions {
    /// What is to be destroyed.
    pub targets: Targets,
    /// Why.
    pub reason: String,
    /// The law or duty.
    pub legal_basis: String,
}

impl Vault {
    /// Asks for a destruction. A second person must agree.
    ///
    /// # Errors
    /// [`VaultError::Refused`]; [`VaultError::NotFound`], [`VaultError::Usage`] when it is not clear what is meant.
    pub fn request_destruction(
        &self,
        options: &RequestOptions,
        user: &User,
        actor: &str,
    ) -> Result<Value, VaultError> {
        let inner = &self.inner;
        inner.wait_normalized(inner.ledger.head())?;
        let keys = inner.secrets_of(&options.targets)?;
        let mut governing = inner.governing()?;
        let survey = inner.survey(&governing.state, &keys)?;
        let named = inner.seal_named(&options.targets, &keys)?;
        let command = Command::Request {
            by: person(user),
            asked: Asked {
                keys,
                reason: options.reason.clone(),
                legal_basis: options.legal_basis.clone(),
            },
        };
        let said = Said {
            code: ActCode::DestructionRequested,
            by: &user.name,
            actor,
            about: None,
            named,
        };
        let (at, _) = inner.decide(&mut governing, &command, &survey.facts, &said)?;
        Ok(json!({ "request": at, "state": "waits for a second person", "would_destroy": survey.found }))
    }

    /// Agrees to a destruction, and waits until it is done or stopped.
    ///
    /// # Errors
    /// [`VaultError::Refused`]; [`VaultError::Store`].
    pub fn approve_destruction(
        &self,
        request: Position,
        user: &User,
        actor: &str,
    ) -> Result<Value, VaultError> {
        let inner = &self.inner;
        inner.wait_normalized(inner.ledger.head())?;
        {
            let mut governing = inner.governing()?;
            let facts = match governing.state.request(request) {
                Some(known) => inner.survey(&governing.state, &known.asked.keys)?.facts,
                None => Facts::default(),
            };
            let command = Command::Approve {
                request,
                by: person(user),
            };
            let said = Said {
                code: ActCode::DestructionApproved,
                by: &user.name,
                actor,
                about: Some(request),
                named: None,
            };
            inner.decide(&mut governing, &command, &facts, &said)?;
        }
        inner.wait_over(request)?;
        let governing = inner.governing()?;
        let known = governing.state.request(request);
        known.map_or_else(
            || Err(VaultError::NotFound(format!("request {request}"))),
            |known| inner.request_json(request, known),
        )
    }

    /// Declines a request, or withdraws it.
    ///
    /// # Errors
    /// [`VaultError::Refused`]; [`VaultError::Store`].
    pub fn decline_destruction(
        &self,
        request: Position,
        reason: &str,
        user: &User,
        actor: &str,
    ) -> Result<Value, VaultError> {
        let command = Command::Decline {
            request,
            by: person(user),
            reason: reason.to_owned(),
        };
        let mut governing = self.inner.governing()?;
        let said = Said {
            code: ActCode::DestructionDeclined,
            by: &user.name,
            actor,
            about: Some(request),
            named: None,
        };
        self.inner
            .decide(&mut governing, &command, &Facts::default(), &said)?;
        Ok(json!({ "request": request, "state": "declined" }))
    }

    /// All requests and what became of them. Reading it is an act.
    ///
    /// # Errors
    /// [`VaultError::Store`].
    pub fn requests(&self, actor: &str) -> Result<Vec<Value>, VaultError> {
        let inner = &self.inner;
        // What was approved before a crash is finished first.
        inner.wait_normalized(inner.ledger.head())?;
        inner.act(
            ActCode::KeysListed,
            &json!({ "listed": "requests", "actor": actor }),
        )?;
        let governing = inner.governing()?;
        governing
            .state
            .requests()
            .map(|(at, request)| inner.request_json(at, request))
            .collect()
    }
}

impl Inner {
    fn request_json(&self, at: Position, request: &Request) -> Result<Value, VaultError> {
        let keys = &request.asked.keys;
        let named = self.decided_by(at)?.and_then(|decided| decided.named);
        let named = named
            .map(|named| self.open_named(&named, keys))
            .transpose()?
            .flatten();
        let kinds: Vec<_> = {
            let store = locked(&self.keys);
            let kind = |key| store.ring().held(key).map_or("unknown", |held| held.kind.name());
            keys.iter().map(|key| (*key, kind(*key))).collect()
        };
        let (state, by, reason, entry) = match &request.state {
            RequestState::Open => ("waits for a second person", None, None, None),
            RequestState::Approved { by, at } => ("approved", Some(by.clone()), None, Some(*at)),
            RequestState::Over(Outcome::Destroyed { by, at }) => {
                ("destroyed", Some(by.clone()), None, Some(*at))
            }
            RequestState::Over(Outcome::Declined {
                by: Some(by),
                reason,
                at,
            }) => ("declined", Some(by.clone()), Some(reason.clone()), Some(*at)),
            RequestState::Over(Outcome::Declined { by: None, reason, at }) => {
                ("no effect", None, Some(reason.clone()), Some(*at))
            }
        };
        Ok(json!({
            "request": at,
            "requested_at": self.must_entry(at)?.header.recorded_at,
            "requested_by": request.by,
            "what": named,
            "keys": keys_json(&kinds),
            "reason": request.asked.reason,
            "legal_basis": request.asked.legal_basis,
            "state": state,
            "decided_by": by,
            "decided_because": reason,
            "entry": entry,
        }))
    }

    /// Waits until nothing more will come of a request.
    fn wait_over(&self, request: Position) -> Result<(), VaultError> {
        loop {
            let seen = locked(&self.progress).followed;
            let upto = {
                let governing = self.governing()?;
                let known = governing.state.request(request);
                let over = known.is_none_or(|known| matches!(known.state, RequestState::Over(_)));
                over.then_some(governing.upto)
            };
            match upto {
                // What hung on it is deleted when the follower has read the entry.
                Some(upto) => return self.wait_followed(upto),
                None => self.wait_followed(seen.plus(1))?,
            }
        }
    }
}
