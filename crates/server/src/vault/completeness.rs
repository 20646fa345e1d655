//! How complete the record is, and of how much that is said.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::custodians::consent_of;
use super::{Inner, Vault, VaultError, locked};

/// What every number of completeness is a part of: nobody can count what no connection could see.
pub(super) const DENOMINATOR: &str = "Counted are the configured connections and the enrolled custodians. Accounts, phones, apps and \
    people that were never set up or enrolled are in none of these numbers.";

impl Vault {
    /// What is captured, by connection, with what it is a part of.
    ///
    /// # Errors
    /// [`VaultError::Store`].
    pub fn capture_status(&self) -> Result<Value, VaultError> {
        self.inner.capture_status()
    }
}

impl Inner {
    fn capture_status(&self) -> Result<Value, VaultError> {
        let mut custodians: BTreeMap<&str, u64> = BTreeMap::new();
        let now = (self.clock)();
        let mut consent: BTreeMap<&str, u64> = BTreeMap::new();
        for person in self.roster()?.people() {
            *consent.entry(consent_of(person, now)).or_default() += 1;
            *custodians.entry(self.state_of(person)?).or_default() += 1;
        }
        let progress = *locked(&self.progress);
        let reader = locked(&self.reader);
        let (gaps_known, gaps_open) = reader.count_gaps()?;
        let rhythms = reader.rhythms()?;
        let by_gap: BTreeMap<Option<String>, u64> = reader.open_gaps_by_connection()?.into_iter().collect();
        drop(reader);
        let configured = self.connections();
        let connections: Vec<Value> = configured
            .iter()
            .map(|config| {
                let id = config.id.as_str();
                let own = rhythms.iter().find(|row| row.connection == id);
                json!({
                    "id": id, "connector": config.connector,
                    "captures": own.map_or(0, |row| row.captures),
                    "first_capture_at": own.map(|row| row.first),
                    "last_capture_at": own.map(|row| row.last),
                    "gaps_open": by_gap.get(&Some(id.to_owned())).copied().unwrap_or(0),
                })
            })
            .collect();
        let captured = configured
            .iter()
            .filter(|config| rhythms.iter().any(|row| row.connection == config.id.as_str()));
        Ok(json!({
            "at": (self.clock)(), "head": self.ledger.head(), "normalized": progress.normalized,
            "configured_connections": configured.len(), "captured_connections": captured.count(),
            "connections": connections, "expected": self.canary_states()?, "custodians_by_state": custodians,
            "gaps_known": gaps_known, "gaps_open": gaps_open,
            "gaps_open_of_the_whole_ledger": by_gap.get(&None).copied().unwrap_or(0),
            "custodians_by_consent": consent, "without_consent": self.without_consent()?,
            "denominator": DENOMINATOR,
        }))
    }
}
