//! Anchors outside: who cosigns, stamps or keeps our checkpoints, and what they gave.
//!
//! A *witness* and a time-stamping *authority* give a proof, which is kept in `DATA/anchors/NAME/` beside the ledger and goes
//! into bundles. A *folder*, a *webhook* and *mail* only take a checkpoint; whoever keeps it there can compare it later.
//! Either is done by `serve` by itself, and at once by `anchor now`. Nothing here can hold up a capture: it runs beside, reads the
//! log's files, and appends an act now and then.

mod kept;
mod run;
mod send;
mod status;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock};

use model::entry::ActCode;
use model::{ConnectionId, Position, Timestamp};
use seal::bundle::AnchorKind;
use seal::keyring::Record;
use seal::stamp::Root;
use seal::witness::WitnessKey;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::outgoing::{Password, http, mail};
use super::{Inner, Vault, VaultError, locked};
pub use kept::KEPT_FOLDER;
pub use run::run;
pub use status::AnchorStatus;
use status::State;

const CLASS: &str = "anchor";

/// More would be asked more often than a minute apart, one after another.
const ANCHORS_MAX: usize = 32;

/// An anchor outside, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnchorConfig {
    /// Its name: of the form of a connection's.
    pub name: ConnectionId,
    /// Who or what.
    #[serde(flatten)]
    pub target: Target,
    /// So often, when there is something new.
    pub every_seconds: u64,
}

/// Who or what anchors.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Target {
    /// A C2SP witness.
    Witness {
        /// Submission prefix.
        url: String,
        /// Its key in text form.
        key: String,
    },
    /// An RFC 3161 authority.
    TimeStamp {
        /// Address that takes requests.
        url: String,
        /// Certificates that it must lead to, PEM.
        roots: String,
    },
    /// A folder that somebody else keeps, or that is copied elsewhere.
    Folder {
        /// From the root.
        path: PathBuf,
    },
    /// An address that takes checkpoints by POST.
    Webhook {
        /// The address.
        url: String,
    },
    /// People who keep their mail.
    Mail {
        /// To whom.
        to: Vec<String>,
        /// From whom.
        from: String,
        /// `HOST:PORT`.
        smtp: String,
        /// Name to sign in with; the password is the secret.
        user: Option<String>,
    },
}

impl Target {
    /// Name of the kind.
    pub const fn kind(&self) -> &'static str {
        match self {
            Target::Witness { .. } => "witness",
            Target::TimeStamp { .. } => "time-stamp",
            Target::Folder { .. } => "folder",
            Target::Webhook { .. } => "webhook",
            Target::Mail { .. } => "mail",
        }
    }

    /// How often it is asked, when the operator does not say.
    pub const fn usual_seconds(&self) -> u64 {
        match self {
            Target::Witness { .. } => 60,
            Target::TimeStamp { .. } => 60 * 60,
            Target::Folder { .. } | Target::Webhook { .. } | Target::Mail { .. } => 24 * 60 * 60,
        }
    }

    /// What sort of proof it gives; none when it only keeps.
    const fn proof(&self) -> Option<AnchorKind> {
        match self {
            Target::Witness { .. } => Some(AnchorKind::Witness),
            Target::TimeStamp { .. } => Some(AnchorKind::TimeStamp),
            Target::Folder { .. } | Target::Webhook { .. } | Target::Mail { .. } => None,
        }
    }

    /// By what its proofs are checked.
    fn trusted(&self) -> (Vec<WitnessKey>, Vec<Root>) {
        match self {
            Target::Witness { key, .. } => (WitnessKey::decode(key).into_iter().collect(), Vec::new()),
            Target::TimeStamp { roots, .. } => (Vec::new(), Root::all(roots).unwrap_or_default()),
            _ => (Vec::new(), Vec::new()),
        }
    }

    fn check(&self) -> Result<(), VaultError> {
        let usage = |text: &str| Err(VaultError::Usage(text.to_owned()));
        match self {
            Target::Witness { url, key } => {
                http::address(url)?;
                WitnessKey::decode(key).map(drop).map_err(|_| {
                    let text = "the key is not a witness's: it looks like NAME+1a2b3c4d+BASE64, of type 4";
                    VaultError::Usage(text.to_owned())
                })
            }
            Target::TimeStamp { url, roots } => {
                http::address(url)?;
                let found = Root::all(roots).map(drop);
                found.map_err(|problem| VaultError::Usage(format!("the root: {problem}")))
            }
            Target::Folder { path } if !path.is_absolute() => usage("the folder is named from the root"),
            Target::Folder { path } if !path.is_dir() => {
                usage("there is no such folder; make it, or mount what it stands on")
            }
            Target::Folder { .. } => Ok(()),
            Target::Webhook { url } => http::address(url).map(drop),
            Target::Mail { to, from, smtp, .. } => mail::check(to, from, smtp),
        }
    }
}

#[derive(Clone, Serialize, Deserialize)]
struct Stored {
    #[serde(flatten)]
    config: AnchorConfig,
    password: Option<Password>,
}

/// What is known of each anchor while the vault is open.
#[derive(Default)]
pub(crate) struct Anchors {
    /// Where the ledger ended when anchors were first looked at.
    found: OnceLock<Position>,
    states: Mutex<BTreeMap<String, State>>,
}

impl Vault {
    /// Configures an anchor outside.
    ///
    /// # Errors
    /// [`VaultError::Usage`] for what cannot be one; [`VaultError::Exists`] when there is one of this name.
    pub fn add_anchor(
        &self,
        config: &AnchorConfig,
        password: Option<Zeroizing<Vec<u8>>>,
        actor: &str,
    ) -> Result<(), VaultError> {
        let inner = &self.inner;
        config.target.check()?;
        if config.every_seconds == 0 {
            return Err(VaultError::Usage("--every is at least one second".to_owned()));
        }
        let known = self.anchors();
        if known.iter().any(|known| known.name == config.name) {
            let text = format!(
                "there is an anchor {} already: `chancery anchor remove {0}` first",
                config.name
            );
            return Err(VaultError::Exists(text));
        }
        if known.len() >= ANCHORS_MAX {
            return Err(VaultError::Usage(format!(
                "there are {ANCHORS_MAX} anchors already"
            )));
        }
        let password = password.as_ref().map(Password::of).transpose()?;
        let stored = Stored {
            config: config.clone(),
            password,
        };
        let bytes = Zeroizing::new(serde_json::to_vec(&stored).unwrap_or_default());
        inner.act(
            ActCode::SettingChanged,
            &json!({ "setting": "anchor", "added": config, "actor": actor }),
        )?;
        let (class, name) = (CLASS.to_owned(), config.name.to_string());
        locked(&inner.keys).append(vec![Record::Item { class, name, bytes }])?;
        locked(&inner.anchors.states).remove(config.name.as_str());
        Ok(())
    }

    /// Takes an anchor out of the configuration. What it gave is kept.
    ///
    /// # Errors
    /// [`VaultError::NotFound`].
    pub fn remove_anchor(&self, name: &str, actor: &str) -> Result<(), VaultError> {
        let inner = &self.inner;
        inner.must_anchor(name)?;
        inner.act(
            ActCode::SettingChanged,
            &json!({ "setting": "anchor", "removed": name, "actor": actor }),
        )?;
        let record = Record::Item {
            class: CLASS.to_owned(),
            name: name.to_owned(),
            bytes: Zeroizing::new(Vec::new()),
        };
        locked(&inner.keys).append(vec![record])?;
        locked(&inner.anchors.states).remove(name);
        Ok(())
    }

    /// All anchors outside, without secrets.
    pub fn anchors(&self) -> Vec<AnchorConfig> {
        self.inner.anchor_configs()
    }

    /// All anchors outside and how they do.
    ///
    /// # Errors
    /// [`VaultError::Store`].
    pub fn list_anchors(&self) -> Result<Value, VaultError> {
        let states = self.inner.anchor_states()?;
        let one = |config: AnchorConfig| {
            let status = states.iter().find(|status| status.name == config.name);
            let mut value = json!(config);
            if let (Value::Object(fields), Some(status)) = (&mut value, status) {
                fields.insert("last_at".to_owned(), json!(status.last_at));
                fields.insert("covers".to_owned(), json!(status.covers));
                fields.insert("failing".to_owned(), json!(status.failing));
            }
            value
        };
        Ok(json!({ "anchors": self.anchors().into_iter().map(one).collect::<Vec<_>>() }))
    }

    /// Anchors a checkpoint over everything so far, at once: with one anchor, or with all.
    ///
    /// # Errors
    /// [`VaultError::NotFound`]; what an anchor answered is in the result, each with `ok`.
    pub fn anchor_now(&self, name: Option<&str>, actor: &str) -> Result<Value, VaultError> {
        let mut names: Vec<String> = self
            .anchors()
            .iter()
            .map(|config| config.name.to_string())
            .collect();
        if let Some(name) = name {
            self.inner.must_anchor(name)?;
            names.retain(|known| known == name);
        }
        if names.is_empty() {
            let text = "anchor: `chancery anchor add witness NAME --url URL --key KEY`, or another kind";
            return Err(VaultError::NotFound(text.to_owned()));
        }
        run::now(&self.inner, &names, actor)
    }

    /// The latest time that somebody outside proved; see [`Inner::outside_time`].
    pub fn outside_time(&self) -> Option<Timestamp> {
        self.inner.outside_time()
    }
}

impl Inner {
    fn anchor_configs(&self) -> Vec<AnchorConfig> {
        let names = locked(&self.keys).ring().item_names(CLASS);
        names
            .iter()
            .filter_map(|name| self.anchor(name))
            .map(|stored| stored.config)
            .collect()
    }

    fn anchor(&self, name: &str) -> Option<Stored> {
        let keys = locked(&self.keys);
        serde_json::from_slice(keys.ring().item(CLASS, name)?).ok()
    }

    /// How often it is asked, in seconds.
    pub fn anchor_every(&self, name: &ConnectionId) -> u64 {
        self.anchor(name.as_str())
            .map_or(0, |stored| stored.config.every_seconds)
    }

    fn must_anchor(&self, name: &str) -> Result<Stored, VaultError> {
        self.anchor(name)
            .ok_or_else(|| VaultError::NotFound(format!("anchor {name}; `chancery anchor list` names them")))
    }
}
