//! Holds: placed, lifted, listed, and turned into the secrets they cover.

use std::collections::BTreeSet;

use govern::{Command, Covering, Facts, Selectors, State};
use model::entry::ActCode;
use model::{KeyId, Position};
use seal::keyring::{Label, SecretKind};
use serde_json::{Value, json};

use super::super::users::User;
use super::super::{Inner, Vault, VaultError, locked};
use super::{Said, person};

impl Vault {
    /// Keeps what `selectors` select, whatever else is decided, until the hold is lifted.
    ///
    /// # Errors
    /// [`VaultError::Refused`]; [`VaultError::Store`].
    pub fn place_hold(
        &self,
        selectors: Selectors,
        reason: &str,
        user: Option<&User>,
        actor: &str,
    ) -> Result<Position, VaultError> {
        let by = user.map_or(actor, |user| &user.name);
        let command = Command::PlaceHold {
            by: by.to_owned(),
            reason: reason.to_owned(),
            selectors,
        };
        let mut governing = self.inner.governing()?;
        let said = Said {
            code: ActCode::HoldPlaced,
            by,
            actor,
            about: None,
            named: None,
        };
        let (at, _) = self
            .inner
            .decide(&mut governing, &command, &Facts::default(), &said)?;
        Ok(at)
    }

    /// Lets a hold go.
    ///
    /// # Errors
    /// [`VaultError::Refused`]; [`VaultError::Store`].
    pub fn lift_hold(
        &self,
        hold: Position,
        reason: &str,
        user: &User,
        actor: &str,
    ) -> Result<Position, VaultError> {
        let command = Command::LiftHold {
            hold,
            by: person(user),
            reason: reason.to_owned(),
        };
        let mut governing = self.inner.governing()?;
        let said = Said {
            code: ActCode::HoldLifted,
            by: &user.name,
            actor,
            about: Some(hold),
            named: None,
        };
        let (at, _) = self
            .inner
            .decide(&mut governing, &command, &Facts::default(), &said)?;
        Ok(at)
    }

    /// The holds in force. What they say is what people typed: reading it is an act.
    ///
    /// # Errors
    /// [`VaultError::Store`].
    pub fn holds(&self, actor: &str) -> Result<Vec<Value>, VaultError> {
        self.inner
            .act(ActCode::KeysListed, &json!({ "listed": "holds", "actor": actor }))?;
        let governing = self.inner.governing()?;
        let mut all = Vec::new();
        for (at, hold) in governing.state.holds() {
            let placed_at = self.inner.must_entry(at)?.header.recorded_at;
            let (selectors, reason, by) = (&hold.selectors, &hold.reason, &hold.by);
            all.push(json!({
                "hold": at, "placed_at": placed_at, "by": by, "reason": reason, "keeps": selectors,
            }));
        }
        Ok(all)
    }
}

impl Inner {
    /// How many holds are in force, and how many requests wait for a second person.
    pub fn governed(&self) -> Result<(usize, usize), VaultError> {
        let governing = self.governing()?;
        Ok((governing.state.holds().count(), governing.state.waiting()))
    }

    /// What each hold covers, in the secrets there are.
    pub(super) fn coverings(&self, state: &State) -> Result<Vec<(Position, Covering)>, VaultError> {
        state
            .holds()
            .map(|(at, hold)| Ok((at, self.covering(&hold.selectors)?)))
            .collect()
    }

    pub(super) fn covering(&self, selectors: &Selectors) -> Result<Covering, VaultError> {
        let mut covering = Covering {
            connections: (!selectors.connections.is_empty())
                .then(|| selectors.connections.iter().cloned().collect()),
            from: selectors.from,
            to: selectors.to,
            ..Covering::default()
        };
        if !selectors.conversations.is_empty() {
            let mut keys = BTreeSet::new();
            for word in &selectors.conversations {
                let labels = self.conversations_named(word, None)?;
                keys.extend(self.keys_with(SecretKind::Conversation, &labels));
            }
            covering.conversations = Some(keys);
        }
        if !selectors.persons.is_empty() {
            let mut keys = BTreeSet::new();
            for word in &selectors.persons {
                let labels = self.persons_named(word, None);
                keys.extend(self.keys_with(SecretKind::Person, &labels));
                // A conversation with one person alone is called after them.
                let alone = self.conversations_named(word, None)?;
                covering
                    .theirs
                    .extend(self.keys_with(SecretKind::Conversation, &alone));
            }
            for key in &keys {
                covering
                    .theirs
                    .extend(locked(&self.reader).conversations_of(*key)?);
            }
            covering.persons = Some(keys);
        }
        Ok(covering)
    }

    /// The secrets with these labels, living and destroyed: what comes again under a destroyed one is held too.
    fn keys_with(&self, kind: SecretKind, labels: &[Label]) -> Vec<KeyId> {
        let keys = locked(&self.keys);
        let of = |label: &Label| {
            let gone = keys.ring().destroyed(kind, label).map(|(id, _)| id);
            [keys.ring().find(kind, label), gone]
        };
        labels.iter().flat_map(of).flatten().collect()
    }
}
