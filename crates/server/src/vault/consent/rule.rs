//! The zone's rule about consent: who set it, what it destroyed, and whether that can still be opened.

use std::collections::{BTreeMap, BTreeSet};

use govern::Person;
use govern::consent::{Command, Event, Rule, decide};
use model::Position;
use model::entry::ActCode;
use seal::keyring::SecretKind;
use serde_json::{Value, json};
use store::catalogue::Refused;

use super::super::epochs::epoch_label;
use super::super::governance::person;
use super::super::users::User;
use super::super::{Inner, Vault, VaultError, locked};
use super::refresh;

impl Vault {
    /// Sets the rule, or proposes it where it destroys more than the one in force.
    ///
    /// # Errors
    /// [`VaultError::Refused`]; [`VaultError::Store`].
    pub fn set_consent_rule(
        &self,
        rule: Rule,
        reason: &str,
        user: &User,
        actor: &str,
    ) -> Result<Value, VaultError> {
        self.decide_consent(user, actor, |by| Command::Set {
            by,
            rule,
            reason: reason.to_owned(),
        })
    }

    /// Agrees to a proposal, as the second person.
    ///
    /// # Errors
    /// As [`Vault::set_consent_rule`].
    pub fn approve_consent_rule(
        &self,
        proposal: Position,
        user: &User,
        actor: &str,
    ) -> Result<Value, VaultError> {
        self.decide_consent(user, actor, |by| Command::Approve { proposal, by })
    }

    /// Declines a proposal, or withdraws it.
    ///
    /// # Errors
    /// As [`Vault::set_consent_rule`].
    pub fn decline_consent_rule(
        &self,
        proposal: Position,
        user: &User,
        actor: &str,
    ) -> Result<Value, VaultError> {
        self.decide_consent(user, actor, |by| Command::Decline { proposal, by })
    }

    /// Decides under a lock, on all that is written; a refusal is an entry too.
    fn decide_consent(
        &self,
        user: &User,
        actor: &str,
        command: impl FnOnce(Person) -> Command,
    ) -> Result<Value, VaultError> {
        let inner = &self.inner;
        let _one_at_a_time = locked(&inner.enrolling);
        let decided_on = inner.ledger.head();
        inner.wait_normalized(decided_on)?;
        refresh(inner)?;
        let command = command(person(user));
        let decided = decide(locked(&inner.consent).state(), &command);
        let body = match &decided {
            Ok(event) => json!({ "did": event, "decided_on": decided_on, "actor": actor }),
            Err(refusal) => json!({
                "refused": refusal.code(), "by": user.name, "decided_on": decided_on, "actor": actor,
            }),
        };
        let at = inner.act(ActCode::ConsentDecided, &body)?;
        let event = decided?;
        let state = match event {
            Event::Proposed { .. } => "waits for a second person",
            Event::InForce { .. } => "in force",
            Event::Declined { .. } => "declined",
        };
        inner.wait_normalized(inner.ledger.head())?;
        refresh(inner)?;
        let rule = locked(&inner.consent).state().rule();
        Ok(json!({ "entry": at, "state": state, "did": event, "rule_in_force": rule }))
    }

    /// The rule, the proposal that waits, and what came without consent.
    ///
    /// # Errors
    /// [`VaultError::Store`].
    pub fn consent(&self, actor: &str) -> Result<Value, VaultError> {
        let inner = &self.inner;
        inner.act(ActCode::Shown, &json!({ "consent": "rule", "actor": actor }))?;
        inner.wait_normalized(inner.ledger.head())?;
        refresh(inner)?;
        let (rule, by, proposal) = {
            let known = locked(&inner.consent);
            let (rule, by) = known.state().rule_at(Position(u64::MAX));
            (rule, by, known.state().proposal().cloned())
        };
        Ok(json!({
            "required": rule.required, "unknown": rule.unknown, "in_force_by_entry": by, "proposal": proposal,
            "without_consent": inner.without_consent()?,
        }))
    }
}

impl Inner {
    /// How much came without consent, by connection and person: counts only.
    pub fn without_consent(&self) -> Result<Value, VaultError> {
        let refused = locked(&self.reader).refused()?;
        let (mut destroyed, mut kept, mut open, mut alive) = (0, 0, 0, BTreeSet::new());
        let mut by: BTreeMap<_, [u64; 2]> = BTreeMap::new();
        for one in &refused {
            let Refused {
                records,
                epoch,
                is_wrapped,
                ..
            } = *one;
            let key = (&one.connection, &one.custodian, &one.because);
            let [of_destroyed, of_kept] = by.entry(key).or_default();
            if one.kept {
                kept += records;
                *of_kept += records;
                continue;
            }
            destroyed += records;
            *of_destroyed += records;
            let living = locked(&self.keys)
                .ring()
                .find(SecretKind::Epoch, &epoch_label(epoch))
                .is_some();
            if living {
                alive.insert(epoch);
            }
            // An item of an archive that came closed hangs on a secret that stands in for its owner, until it is destroyed.
            if living || is_wrapped {
                open += records;
            }
        }
        let rows: Vec<Value> = by
            .into_iter()
            .map(|((connection, custodian, because), [destroyed, kept])| {
                json!({
                    "connection": connection, "because": because, "destroyed": destroyed, "kept": kept,
                    "custodian": (!custodian.is_empty()).then_some(custodian),
                })
            })
            .collect();
        Ok(json!({
            "destroyed": destroyed,
            "kept_under_hold_or_minimum": kept,
            "not_in_force_yet": open,
            "epoch_keys_alive": alive,
            "second_copy_of_the_key_store": locked(&self.keys).has_copy(),
            "by": rows,
        }))
    }
}
