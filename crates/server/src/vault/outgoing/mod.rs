//! Requests and mail to those outside whom the operator named: anchors and destinations of alarms.
//!
//! No redirect is followed, no proxy of the environment's is asked, and what is said of a failure names no address.

pub mod http;
pub mod mail;

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use super::VaultError;

/// A password or a key that the operator gave: wiped when dropped, and never printed.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Password(String);

impl Password {
    /// Of these bytes.
    pub fn of(bytes: &Zeroizing<Vec<u8>>) -> Result<Password, VaultError> {
        let text = std::str::from_utf8(bytes);
        text.map(|text| Password(text.to_owned()))
            .map_err(|_| VaultError::Usage("the password or secret is not a text".to_owned()))
    }

    /// The text itself.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl Drop for Password {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}
