//! The roster of custodians: made from entries whose bodies are sealed; nothing of it stands readable in the data folder.

use std::collections::BTreeMap;

use govern::Refusal;
use govern::consent::Required;
use govern::custodian::{Custodian, Dated, Enrolled, Roster};
use model::entry::ActCode;
use model::{Position, Timestamp};
use seal::keyring::SecretKind;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::governance::person;
use super::users::User;
use super::{Inner, Vault, VaultError, locked};

mod table;
pub use table::handle;

/// Body of the act that enrols.
#[derive(Serialize, Deserialize)]
struct Imported {
    custodians: Vec<Enrolled>,
    actor: String,
    /// The user who signed in for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<String>,
}

/// Body of the act that says what happened to one.
#[derive(Serialize, Deserialize)]
struct Changed {
    custodian: String,
    #[serde(flatten)]
    dated: Dated,
    actor: String,
    /// The user who signed in for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    by: Option<String>,
}

/// Whether they agree to be captured, in a word.
pub fn consent_of(person: &Custodian, at: Timestamp) -> &'static str {
    match person.consents(at) {
        None => "not-asked",
        Some(true) => "consented",
        Some(false) => "withdrew",
    }
}

impl Vault {
    /// Enrols whom a table names. What is wrong in it is named by line, and the rest goes on. Whoever is new has not consented:
    /// while a rule destroys for want of that, it needs a user who may decide it.
    ///
    /// # Errors
    /// [`VaultError::Usage`], [`VaultError::Refused`]; [`VaultError::Store`].
    pub fn import_custodians(
        &self,
        text: &str,
        user: Option<&User>,
        actor: &str,
    ) -> Result<Value, VaultError> {
        let inner = &self.inner;
        let _one_at_a_time = locked(&inner.enrolling);
        let (roster, now) = (inner.roster()?, self.now());
        inner.must_sign_in(user)?;
        let connections: Vec<String> = inner
            .connections()
            .iter()
            .map(|config| config.id.to_string())
            .collect();
        let rules = table::Rules {
            roster: &roster,
            connections: &connections,
            zone: inner.file.zone.as_str(),
            now,
        };
        let table = table::read(text, &rules);
        let enrolled = table.rows.len();
        let mut by_entry = None;
        if enrolled > 0 {
            let body = json!(Imported {
                custodians: table.rows,
                actor: actor.to_owned(),
                by: user.map(|user| user.name.clone()),
            });
            by_entry = Some(inner.act(ActCode::CustodiansImported, &body)?);
        }
        Ok(json!({
            "enrolled": enrolled, "known": table.known, "wrong": table.wrong, "by_entry": by_entry,
        }))
    }

    /// Writes down what happened to a custodian. What may have messages destroyed, by the rule in force, needs a user who may
    /// decide that.
    ///
    /// # Errors
    /// [`VaultError::BadData`] when it cannot have happened so; [`VaultError::Usage`], [`VaultError::Refused`];
    /// [`VaultError::Store`].
    pub fn record_custodian(
        &self,
        id: &str,
        dated: &Dated,
        user: Option<&User>,
        actor: &str,
    ) -> Result<Value, VaultError> {
        let _one_at_a_time = locked(&self.inner.enrolling);
        let mut roster = self.inner.roster()?;
        if dated.change.may_lose_consent() {
            self.inner.must_sign_in(user)?;
        }
        roster
            .apply(id, dated)
            .map_err(|problem| VaultError::BadData(problem.to_string()))?;
        let body = json!(Changed {
            custodian: id.to_owned(),
            dated: dated.clone(),
            actor: actor.to_owned(),
            by: user.map(|user| user.name.clone()),
        });
        let at = self.inner.act(ActCode::CustodianChanged, &body)?;
        Ok(json!({ "custodian": id, "by_entry": at }))
    }

    /// Everybody, and how their capture stands.
    ///
    /// # Errors
    /// [`VaultError::Store`].
    pub fn custodians(&self, actor: &str) -> Result<Value, VaultError> {
        self.inner
            .act(ActCode::Shown, &json!({ "custodians": "all", "actor": actor }))?;
        let roster = self.inner.roster()?;
        let mut destroyed: BTreeMap<String, u64> = BTreeMap::new();
        for one in locked(&self.inner.reader).refused()? {
            if !one.kept {
                *destroyed.entry(one.custodian).or_default() += one.records;
            }
        }
        let people: Result<Vec<Value>, VaultError> = roster
            .people()
            .iter()
            .map(|person| {
                let mut shown = json!(person.enrolled);
                if let Value::Object(fields) = &mut shown {
                    fields.insert("id".to_owned(), json!(person.id));
                    fields.insert("state".to_owned(), json!(self.inner.state_of(person)?));
                    fields.insert("consent".to_owned(), json!(consent_of(person, self.now())));
                    let destroyed = destroyed.get(&person.id).copied().unwrap_or(0);
                    fields.insert("destroyed_without_consent".to_owned(), json!(destroyed));
                }
                Ok(shown)
            })
            .collect();
        Ok(json!({ "custodians": people? }))
    }

    /// One of them, with all that happened and how many messages came under each handle while it was theirs.
    ///
    /// # Errors
    /// [`VaultError::NotFound`]; [`VaultError::Store`].
    pub fn custodian(&self, id: &str, actor: &str) -> Result<Value, VaultError> {
        self.inner
            .act(ActCode::Shown, &json!({ "custodians": id, "actor": actor }))?;
        let roster = self.inner.roster()?;
        let person = roster
            .find(id)
            .ok_or_else(|| VaultError::NotFound(format!("custodian {id}")))?;
        let mut shown = json!(person);
        let messages: Result<Vec<u64>, VaultError> = person
            .spans
            .iter()
            .map(|span| {
                self.inner
                    .said_under(&span.kind, &span.value, (span.from, span.to))
            })
            .collect();
        if let Value::Object(fields) = &mut shown {
            fields.insert("state".to_owned(), json!(self.inner.state_of(person)?));
            if let Some(Value::Array(spans)) = fields.get_mut("spans") {
                for (span, messages) in spans.iter_mut().zip(messages?) {
                    if let Value::Object(span) = span {
                        span.insert("messages".to_owned(), json!(messages));
                    }
                }
            }
        }
        Ok(shown)
    }
}

impl Inner {
    /// While a rule destroys what comes without consent, what changes who has given it is decided by those who decide the rule.
    fn must_sign_in(&self, user: Option<&User>) -> Result<(), VaultError> {
        super::consent::refresh(self)?;
        if locked(&self.consent).state().rule().required == Required::NotRequired {
            return Ok(());
        }
        let user = user.ok_or_else(|| {
            VaultError::Usage(
                "what comes without consent is destroyed here: a user of Chancery must sign in for this: --user NAME"
                    .to_owned(),
            )
        })?;
        match person(user).permitted {
            true => Ok(()),
            false => Err(Refusal::Role.into()),
        }
    }

    /// Everybody, as the entries say.
    pub fn roster(&self) -> Result<Roster, VaultError> {
        self.wait_normalized(self.ledger.head())?;
        self.roster_as_read()
    }

    /// The same as far as entries were read: for the follower, which waits for nobody.
    pub fn roster_as_read(&self) -> Result<Roster, VaultError> {
        self.read_roster(&self.acts_about_custodians()?)
    }

    /// Where the entries about custodians stand, as far as they were followed.
    pub fn acts_about_custodians(&self) -> Result<Vec<Position>, VaultError> {
        let mut at: Vec<Position> = Vec::new();
        let reader = locked(&self.reader);
        for code in [ActCode::CustodiansImported, ActCode::CustodianChanged] {
            at.extend(reader.acts(code as u16)?);
        }
        drop(reader);
        at.sort_unstable();
        Ok(at)
    }

    /// Everybody, as these entries say.
    pub fn read_roster(&self, entries: &[Position]) -> Result<Roster, VaultError> {
        let mut roster = Roster::default();
        for position in entries.iter().copied() {
            let entry = self.must_entry(position)?;
            let Some(body) = self.open_act(&entry) else {
                continue;
            };
            if let Ok(imported) = serde_json::from_value::<Imported>(body.clone()) {
                for (place, enrolled) in imported.custodians.into_iter().enumerate() {
                    roster.enrol(format!("{position}.{place}"), enrolled);
                }
            } else if let Ok(changed) = serde_json::from_value::<Changed>(body)
                && let Err(problem) = roster.apply(&changed.custodian, &changed.dated)
            {
                tracing::warn!(entry.position = position.0, problem = %problem, "an entry about a custodian has no effect");
            }
        }
        Ok(roster)
    }

    /// How capture of somebody stands.
    pub fn state_of(&self, person: &Custodian) -> Result<&'static str, VaultError> {
        let now = (self.clock)();
        if person.has_left(now) {
            return Ok("left");
        }
        let reader = locked(&self.reader);
        let theirs = |connection: &str| person.enrolled.connections.iter().any(|own| own == connection);
        let silent = reader.open_gaps_of(model::entry::GapCause::Silent.name())?;
        let captured = reader
            .rhythms()?
            .iter()
            .any(|row| theirs(&row.connection) && row.last >= person.enrolled.start);
        drop(reader);
        if silent
            .iter()
            .any(|gap| gap.connection.as_deref().is_some_and(theirs))
        {
            return Ok("silent");
        }
        let said = || {
            person
                .spans
                .iter()
                .map(|span| self.said_under(&span.kind, &span.value, (span.from, span.to)))
                .sum::<Result<u64, VaultError>>()
        };
        Ok(if captured || said()? > 0 {
            "captured"
        } else if person.consents(now) == Some(true) {
            "consented"
        } else if person.was_told(now) {
            "invited"
        } else {
            "discovered"
        })
    }

    /// Messages sent under a handle in a stretch of time.
    fn said_under(
        &self,
        kind: &str,
        value: &str,
        (from, to): (Timestamp, Option<Timestamp>),
    ) -> Result<u64, VaultError> {
        let label = self.labels.person_by_id(kind, value);
        let key = locked(&self.keys).ring().find(SecretKind::Person, &label);
        let Some(key) = key else { return Ok(0) };
        Ok(locked(&self.reader).count_said_by(key, from, to)?)
    }
}
