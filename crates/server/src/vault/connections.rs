//! Connections: configured accounts, with their secrets in the key store.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use connect::wecom_archive::WecomArchive;
use connect::{Account, Connector, Door, Secrets, Settings};
use model::entry::ActCode;
use model::{ConnectionId, Timestamp};
use seal::keyring::Record;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::forward::{self, FORWARD_TO};
use super::{Inner, Vault, VaultError, archive, locked};

const CLASS: &str = "connection";

/// A configured account, without its secrets.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct ConnectionConfig {
    /// Its name, in webhook addresses and in evidence.
    pub id: ConnectionId,
    /// Connector id.
    pub connector: String,
    /// Settings that are not secret.
    #[serde(default)]
    pub settings: Settings,
    /// Days before which nobody may destroy what it captured.
    #[serde(default)]
    pub minimum_lock_days: u32,
    /// When secrets end, by name, where the vendor says so.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secret_expires: BTreeMap<String, Timestamp>,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    #[serde(flatten)]
    config: ConnectionConfig,
    /// Base64, by name.
    secrets: BTreeMap<String, Vec<String>>,
    /// Secrets that are no longer in force and without which older captures cannot be understood.
    #[serde(default)]
    former: BTreeMap<String, Vec<String>>,
}

/// What a self-test of a connection found.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct TestResult {
    /// What was looked at.
    pub check: String,
    /// Whether it holds.
    pub ok: bool,
    /// What to do, where it does not.
    pub detail: String,
}

impl Vault {
    /// Adds a connection, or replaces one of the same name.
    ///
    /// # Errors
    /// [`VaultError::Usage`] for a missing or empty secret, an unknown setting or connector.
    pub fn add_connection(&self, config: &ConnectionConfig, secrets: &Secrets) -> Result<(), VaultError> {
        self.inner.add_connection(config, secrets)
    }

    /// Notes when secrets of a connection end; none where one does not.
    ///
    /// # Errors
    /// [`VaultError::NotFound`]; [`VaultError::Usage`] for a secret that it does not have.
    pub fn note_secret_expiry(
        &self,
        id: &str,
        dates: &BTreeMap<String, Option<Timestamp>>,
        actor: &str,
    ) -> Result<ConnectionConfig, VaultError> {
        self.inner.note_secret_expiry(id, dates, actor)
    }

    /// All connections.
    pub fn connections(&self) -> Vec<ConnectionConfig> {
        self.inner.connections()
    }

    /// A connection's secrets, for the intake.
    pub fn connection_secrets(&self, id: &ConnectionId) -> Secrets {
        self.inner
            .connection(id.as_str())
            .map(|(_, secrets)| secrets)
            .unwrap_or_default()
    }

    /// Looks whether a connection can work; with `url`, the callback address entered at the vendor, also whether that
    /// leads here and is open and shut to the right people.
    ///
    /// # Errors
    /// [`VaultError::NotFound`], [`VaultError::Usage`] when a connection that takes files is to be tried by address.
    pub fn test_connection(&self, id: &str, url: Option<&str>) -> Result<Vec<TestResult>, VaultError> {
        let (config, secrets) = self
            .inner
            .connection(id)
            .ok_or_else(|| VaultError::NotFound(format!("connection {id}")))?;
        let Some(connector) = connect::find(&config.connector) else {
            return Err(VaultError::NotFound(format!("connector {}", config.connector)));
        };
        let mut results = check_secrets(connector, &secrets, &config.settings);
        results.extend(self.inner.try_archive(&config, &secrets)?);
        if let Some(url) = url {
            results.extend(super::door::try_door(connector, &secrets, url)?);
        }
        let captures = locked(&self.inner.reader).by_connection()?;
        let own = captures.iter().find(|(name, _, _)| name == id);
        results.push(TestResult {
            check: "something was captured".to_owned(),
            ok: own.is_some(),
            detail: own.and_then(|(_, _, last)| *last).map_or_else(
                || "nothing yet: send a message to the number, or import a file".to_owned(),
                |last| format!("last at {last}"),
            ),
        });
        Ok(results)
    }
}

fn check_secrets(connector: &dyn Connector, secrets: &Secrets, settings: &Settings) -> Vec<TestResult> {
    let Some((required, optional, _)) = connector.door().given() else {
        return Vec::new();
    };
    if !connector.door().is_used(secrets, settings) {
        return Vec::new();
    }
    let one = |name: &connect::SecretName, must: bool| {
        let present = secrets.all(name.name).iter().any(|value| !value.is_empty());
        TestResult {
            check: format!("secret {}", name.name),
            ok: present || !must,
            detail: match (present, must) {
                (true, _) => "present".to_owned(),
                (false, true) => format!("missing: {}", name.help),
                (false, false) => format!("not given, and may be left out: {}", name.help),
            },
        }
    };
    let required = required.iter().map(|name| one(name, true));
    required
        .chain(optional.iter().map(|name| one(name, false)))
        .collect()
}

fn check_new(config: &ConnectionConfig, secrets: &Secrets) -> Result<(), VaultError> {
    let Some(connector) = connect::find(&config.connector) else {
        let known: Vec<&str> = connect::CONNECTORS
            .iter()
            .map(|connector| connector.id())
            .collect();
        return Err(VaultError::Usage(format!(
            "no connector {}; there are: {}",
            config.connector,
            known.join(", ")
        )));
    };
    let door = connector.door();
    let given = door.given().filter(|_| door.is_used(secrets, &config.settings));
    let Some((required, optional, settings)) = given else {
        return check_expiring(config, secrets);
    };
    let forwards = matches!(door, Door::Webhook { .. });
    for name in required {
        let values = secrets.all(name.name);
        if values.is_empty() || values.iter().any(|value| value.is_empty()) {
            return Err(VaultError::Usage(format!(
                "the secret {} is missing or empty: {}",
                name.name, name.help
            )));
        }
    }
    for name in secrets.0.keys() {
        if !required.iter().chain(optional).any(|known| known.name == name) {
            return Err(VaultError::Usage(format!(
                "{} has no secret {name}",
                config.connector
            )));
        }
    }
    for name in config.settings.keys() {
        let forwarding = forwards && name == FORWARD_TO;
        if !forwarding && !settings.iter().any(|(known, _)| known == name) {
            let known = settings.iter().map(|(name, _)| *name);
            let known: Vec<&str> = known.chain(forwards.then_some(FORWARD_TO)).collect();
            let known = known.join(", ");
            return Err(VaultError::Usage(format!(
                "{} has no setting {name}; there are: {known}",
                config.connector
            )));
        }
    }
    check_expiring(config, secrets)?;
    forward::check(&config.settings)?;
    let account = Account {
        secrets,
        settings: &config.settings,
    };
    connector
        .check(account)
        .map_err(|wrong| VaultError::Usage(wrong.to_owned()))?;
    if config.connector == WecomArchive.id() {
        archive::check_keys(secrets).map_err(|problem| VaultError::Usage(problem.to_string()))?;
    }
    Ok(())
}

/// Dates belong to secrets that are there.
fn check_expiring(config: &ConnectionConfig, secrets: &Secrets) -> Result<(), VaultError> {
    let unknown = config
        .secret_expires
        .keys()
        .find(|name| !secrets.0.contains_key(*name));
    match unknown {
        None => Ok(()),
        Some(name) => Err(VaultError::Usage(format!(
            "--secret-expires names {name}, and this connection is given no such secret"
        ))),
    }
}

fn decoded(secrets: &BTreeMap<String, Vec<String>>) -> Secrets {
    let decode = |values: &Vec<String>| {
        values
            .iter()
            .filter_map(|value| STANDARD.decode(value).ok())
            .map(Zeroizing::new)
            .collect()
    };
    Secrets(
        secrets
            .iter()
            .map(|(name, values)| (name.clone(), decode(values)))
            .collect(),
    )
}

impl Stored {
    /// What is to be kept of the secrets of a connection that `config` replaces: those its captures need. Of another
    /// connector they would open nothing.
    fn opening(self, config: &ConnectionConfig) -> BTreeMap<String, Vec<String>> {
        let mut kept = self.former;
        let names = connect::find(&self.config.connector).map_or(&[][..], Connector::opening_secrets);
        for (name, values) in self.secrets {
            if names.contains(&name.as_str()) && self.config.connector == config.connector {
                let former = kept.entry(name).or_default();
                former.extend(values);
                former.sort_unstable();
                former.dedup();
            }
        }
        kept
    }
}

impl Inner {
    pub fn add_connection(&self, config: &ConnectionConfig, secrets: &Secrets) -> Result<(), VaultError> {
        check_new(config, secrets)?;
        let before = self.stored(config.id.as_str());
        let exists = before.is_some();
        let settings_before = before.as_ref().map(|before| before.config.settings.clone());
        let encode =
            |values: &Vec<Zeroizing<Vec<u8>>>| values.iter().map(|value| STANDARD.encode(value)).collect();
        let stored = Stored {
            config: config.clone(),
            secrets: secrets
                .0
                .iter()
                .map(|(name, values)| (name.clone(), encode(values)))
                .collect(),
            former: before.map(|before| before.opening(config)).unwrap_or_default(),
        };
        let bytes = Zeroizing::new(serde_json::to_vec(&stored).unwrap_or_default());
        let code = if exists {
            ActCode::ConnectionChanged
        } else {
            ActCode::ConnectionAdded
        };
        self.act(code, &serde_json::json!({ "connection": config }))?;
        let (class, name) = (CLASS.to_owned(), config.id.to_string());
        locked(&self.keys).append(vec![Record::Item { class, name, bytes }])?;
        self.forward_from_now(config.id.as_str(), settings_before.as_ref(), &config.settings)?;
        self.changes.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        self.take_up_archive(config, secrets)
    }

    fn note_secret_expiry(
        &self,
        id: &str,
        dates: &BTreeMap<String, Option<Timestamp>>,
        actor: &str,
    ) -> Result<ConnectionConfig, VaultError> {
        let mut stored = self
            .stored(id)
            .ok_or_else(|| VaultError::NotFound(format!("connection {id}")))?;
        for (name, until) in dates {
            match until {
                Some(until) => stored.config.secret_expires.insert(name.clone(), *until),
                None => stored.config.secret_expires.remove(name),
            };
        }
        check_expiring(&stored.config, &decoded(&stored.secrets))?;
        let bytes = Zeroizing::new(serde_json::to_vec(&stored).unwrap_or_default());
        let act = serde_json::json!({ "connection": stored.config, "actor": actor });
        self.act(ActCode::ConnectionChanged, &act)?;
        let (class, name) = (CLASS.to_owned(), id.to_owned());
        locked(&self.keys).append(vec![Record::Item { class, name, bytes }])?;
        Ok(stored.config)
    }

    pub fn connections(&self) -> Vec<ConnectionConfig> {
        let names = locked(&self.keys).ring().item_names(CLASS);
        names
            .iter()
            .filter_map(|name| self.connection(name))
            .map(|(config, _)| config)
            .collect()
    }

    pub fn connection(&self, id: &str) -> Option<(ConnectionConfig, Secrets)> {
        let stored = self.stored(id)?;
        let secrets = decoded(&stored.secrets);
        Some((stored.config, secrets))
    }

    fn stored(&self, id: &str) -> Option<Stored> {
        let keys = locked(&self.keys);
        serde_json::from_slice(keys.ring().item(CLASS, id)?).ok()
    }

    /// The secrets that a connection's captures are understood with, former ones last.
    pub fn opening_secrets(&self, connector: &dyn Connector, connection: &str) -> Secrets {
        let names = connector.opening_secrets();
        let stored = (!names.is_empty()).then(|| self.stored(connection)).flatten();
        let Some(stored) = stored else {
            return Secrets::default();
        };
        let mut secrets = decoded(&stored.secrets);
        secrets.0.retain(|name, _| names.contains(&name.as_str()));
        for (name, values) in decoded(&stored.former).0 {
            secrets.0.entry(name).or_default().extend(values);
        }
        secrets
    }
}
