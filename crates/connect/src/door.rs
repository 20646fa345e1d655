//! How captures arrive, and what a connection is given for it.

use crate::{Secrets, Settings};

/// How captures arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// The platform posts to `/in/{connection}`.
    Webhook {
        /// Secrets a connection must have before it starts, then those it may have.
        required: &'static [SecretName],
        /// Secrets that it may have.
        optional: &'static [SecretName],
        /// Settings that are not secret, with their defaults.
        settings: &'static [(&'static str, &'static str)],
    },
    /// `serve` asks the vendor for what is new. Files may be handed in too, and a connection without secrets and settings
    /// takes nothing else.
    Pull {
        /// As of a webhook.
        required: &'static [SecretName],
        /// As of a webhook.
        optional: &'static [SecretName],
        /// As of a webhook.
        settings: &'static [(&'static str, &'static str)],
    },
    /// Somebody hands in a file.
    File,
}

/// What a connection is given: secrets it must have, secrets it may have, settings with their defaults.
pub type Given = (
    &'static [SecretName],
    &'static [SecretName],
    &'static [(&'static str, &'static str)],
);

impl Door {
    /// Whether files may be handed in.
    pub fn takes_files(self) -> bool {
        !matches!(self, Door::Webhook { .. })
    }

    /// Whether a connection does more than to take files: one that is pulled, and was given nothing, does not.
    pub fn is_used(self, secrets: &Secrets, settings: &Settings) -> bool {
        match self {
            Door::Webhook { .. } => true,
            Door::Pull { .. } => !secrets.0.is_empty() || !settings.is_empty(),
            Door::File => false,
        }
    }

    /// What its connections are given; nothing where that is nothing.
    pub fn given(self) -> Option<Given> {
        match self {
            Door::Webhook {
                required,
                optional,
                settings,
            }
            | Door::Pull {
                required,
                optional,
                settings,
            } => Some((required, optional, settings)),
            Door::File => None,
        }
    }
}

/// A named secret of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecretName {
    /// Kebab-case name.
    pub name: &'static str,
    /// One line: what it is and where the vendor shows it.
    pub help: &'static str,
    /// Whether several values may be valid at once (rotation, several apps).
    pub several: bool,
}
