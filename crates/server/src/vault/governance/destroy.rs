//! Carrying out what two people agreed on.
//!
//! Done by the follower, and by nobody else: it alone seals under the secrets that die, so that nothing is sealed under
//! them between the last look and the end. Every step may be the last before a crash; the next start goes on from it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use govern::{Command, Event, RequestState, decide};
use model::entry::{ActCode, Kind};
use model::{KeyId, Position};
use serde_json::json;
use store::failpoint;
use store::ledger::Draft;

use super::super::follow::{index_entries, position_of};
use super::super::{Inner, VaultError, locked};
use super::{BY_PEOPLE, Decided, freeze};

/// Carries out one request that two people agreed on, if there is one; `waiting` is the first capture that is not
/// normalized yet. `true` when something was written.
pub fn carry_out(inner: &Arc<Inner>, waiting: Option<Position>) -> Result<bool, VaultError> {
    let mut governing = inner.governing()?;
    let Some((at, request)) = governing.state.to_do() else {
        return Ok(false);
    };
    let request = request.clone();
    let RequestState::Approved { at: approved_at, .. } = request.state else {
        return Ok(false);
    };
    if waiting.is_some_and(|first| first < approved_at) {
        return Ok(false);
    }
    // Nobody decides anything while this is held: what is read now is how things stand at the entry below.
    let head = inner.ledger.head();
    while position_of(&locked(&inner.catalogue))? < head {
        index_entries(inner)?;
    }
    let keys = &request.asked.keys;
    let survey = inner.survey(&governing.state, keys)?;
    let command = Command::Destroy { request: at };
    match decide(&governing.state, &command, &survey.facts) {
        Ok(did) => {
            for source in &survey.shared {
                let parts = locked(&inner.catalogue).parts(*source)?;
                freeze(inner, *source, &parts, keys)?;
            }
            failpoint::hit("destruction-frozen");
            let body = Decided {
                did: did.clone(),
                decided_on: governing.upto,
                actor: None,
                named: None,
                found: Some(survey.found.clone()),
            };
            let secrets: Vec<KeyId> = survey.found.secrets.iter().map(|(_, key)| *key).collect();
            let (kind, body) = inner.seal_destruction(&secrets, &body)?;
            // Held from before the entry until the secrets are gone: no secret is made in between, by whose position a later
            // start would think that this was done.
            let mut store = locked(&inner.keys);
            let at = inner.ledger.append(vec![Draft { kind, body }])?;
            failpoint::hit("destruction-written");
            // It is so from here on: if the key store fails now, the next start finishes it.
            governing.take_in(at, &did);
            store.destroy(&secrets, at)?;
            failpoint::hit("destruction-keys-gone");
            drop(store);
            inner.sweep_failed.store(false, Ordering::SeqCst);
            inner.read_tombs()?;
        }
        Err(refusal) => {
            let did = Event::Declined {
                request: at,
                by: None,
                reason: refusal.to_string(),
            };
            let body = json!({ "did": did, "decided_on": governing.upto, "refused": refusal.code() });
            let at = inner.act(ActCode::DestructionDeclined, &body)?;
            governing.take_in(at, &did);
        }
    }
    Ok(true)
}

impl Inner {
    fn seal_destruction(&self, keys: &[KeyId], body: &Decided) -> Result<(Kind, Vec<u8>), VaultError> {
        let mut bytes = serde_json::to_vec(body).unwrap_or_default();
        let under = seal::act::Under {
            id: self.acts.0,
            secret: &self.acts.1,
        };
        let gone = seal::act::seal_destruction(&self.file.zone, BY_PEOPLE, keys.to_vec(), under, &mut bytes)?;
        Ok((Kind::Destruction(gone), bytes))
    }
}
