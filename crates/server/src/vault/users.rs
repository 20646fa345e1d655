//! People who may sign in: name, role and the digest of a password, in the key store.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use model::Timestamp;
use model::entry::ActCode;
use seal::keyring::Record;
use serde::{Deserialize, Serialize};
use serde_json::json;
use zeroize::Zeroizing;

use super::{Vault, VaultError, locked};

const CLASS: &str = "user";

/// A password has at least this many characters.
pub const PASSWORD_MIN: usize = 10;

/// Argon2id as OWASP's password storage page has it (2024): 19 MiB, two passes, one lane.
const COST: (u32, u32) = (19_456, 2);

/// What a person may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Reads and decides what is assigned.
    Reviewer,
    /// Compliance officer: policy, holds, exports.
    Officer,
    /// IT security: which apps are in use.
    Security,
    /// Reads everything, changes nothing.
    Auditor,
    /// Connections and people; reads no content.
    Administrator,
}

/// A person, without the digest of the password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Name to sign in with.
    pub name: String,
    /// What the person may do.
    pub role: Role,
    /// Since when.
    pub added_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    #[serde(flatten)]
    user: User,
    password: String,
}

/// Digest of a password in the PHC string form (`$argon2id$v=19$m=…,t=…,p=1$salt$hash`).
///
/// # Errors
/// [`VaultError::Usage`] for a password that is too short.
pub fn password_digest(password: &str) -> Result<String, VaultError> {
    if password.chars().count() < PASSWORD_MIN {
        return Err(VaultError::Usage(format!(
            "the password has fewer than {PASSWORD_MIN} characters"
        )));
    }
    let salt: [u8; 16] = seal::suite::random()?;
    let hash = stretch(password.as_bytes(), &salt, COST)?;
    let (memory, passes) = COST;
    Ok(format!(
        "$argon2id$v=19$m={memory},t={passes},p=1${}${}",
        STANDARD_NO_PAD.encode(salt),
        STANDARD_NO_PAD.encode(hash.as_slice())
    ))
}

fn stretch(
    password: &[u8],
    salt: &[u8],
    (memory, passes): (u32, u32),
) -> Result<Zeroizing<[u8; 32]>, VaultError> {
    let failed = |_| VaultError::Seal(seal::SealError::Provider);
    let params = argon2::Params::new(memory, passes, 1, Some(32)).map_err(failed)?;
    let argon = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
    let mut out = Zeroizing::new([0; 32]);
    argon
        .hash_password_into(password, salt, out.as_mut())
        .map_err(failed)?;
    Ok(out)
}

/// Cost, salt, hash.
type Parts = ((u32, u32), Vec<u8>, Vec<u8>);

/// The parts of a digest made by [`password_digest`].
fn parts(digest: &str) -> Option<Parts> {
    let rest = digest.strip_prefix("$argon2id$v=19$m=")?;
    let (memory, rest) = rest.split_once(",t=")?;
    let (passes, rest) = rest.split_once(",p=1$")?;
    let (salt, hash) = rest.split_once('$')?;
    let cost = (memory.parse().ok()?, passes.parse().ok()?);
    let hash = STANDARD_NO_PAD
        .decode(hash)
        .ok()
        .filter(|hash| hash.len() == 32)?;
    Some((cost, STANDARD_NO_PAD.decode(salt).ok()?, hash))
}

fn check_name(name: &str) -> Result<(), VaultError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._@-".contains(c);
    if name.is_empty() || name.len() > 64 || !name.chars().all(fits) {
        let text = "a user's name has 1 to 64 letters, digits, and . _ @ -";
        return Err(VaultError::Usage(text.to_owned()));
    }
    Ok(())
}

impl Vault {
    /// Adds a person. `digest` comes from [`password_digest`], so that the password itself goes nowhere.
    ///
    /// # Errors
    /// [`VaultError::Exists`]; [`VaultError::Usage`] for a name or digest without its form.
    pub fn add_user(&self, name: &str, role: Role, digest: &str, actor: &str) -> Result<User, VaultError> {
        check_name(name)?;
        if parts(digest).is_none() {
            return Err(VaultError::Usage("this is no digest of a password".to_owned()));
        }
        let user = User {
            name: name.to_owned(),
            role,
            added_at: self.now(),
        };
        // Held until the person is stored: two at once cannot both find the name free.
        let mut keys = locked(&self.inner.keys);
        if keys.ring().item(CLASS, name).is_some() {
            return Err(VaultError::Exists(format!("there is a user {name} already")));
        }
        self.inner
            .act(ActCode::UserAdded, &json!({ "user": user, "actor": actor }))?;
        let stored = Stored {
            user: user.clone(),
            password: digest.to_owned(),
        };
        let bytes = Zeroizing::new(serde_json::to_vec(&stored).unwrap_or_default());
        keys.append(vec![Record::Item {
            class: CLASS.to_owned(),
            name: name.to_owned(),
            bytes,
        }])?;
        Ok(user)
    }

    /// Everybody, by name.
    pub fn users(&self) -> Vec<User> {
        let keys = locked(&self.inner.keys);
        let names = keys.ring().item_names(CLASS);
        names
            .iter()
            .filter_map(|name| stored(keys.ring().item(CLASS, name)?))
            .map(|stored| stored.user)
            .collect()
    }

    /// The person with this name and password. Takes as long for a name that does not exist.
    ///
    /// # Errors
    /// [`VaultError::Seal`].
    pub fn sign_in(&self, name: &str, password: &str) -> Result<Option<User>, VaultError> {
        let found = locked(&self.inner.keys).ring().item(CLASS, name).and_then(stored);
        let (user, digest) = found.map_or((None, None), |found| (Some(found.user), parts(&found.password)));
        let (cost, salt, hash) = digest.unwrap_or((COST, vec![0; 16], Vec::new()));
        let tried = stretch(password.as_bytes(), &salt, cost)?;
        // No early end: how long it takes says nothing about how much was right.
        let differs = hash.iter().zip(tried.iter()).fold(0, |sum, (a, b)| sum | (a ^ b));
        Ok(user.filter(|_| hash.len() == tried.len() && differs == 0))
    }
}

fn stored(bytes: &[u8]) -> Option<Stored> {
    serde_json::from_slice(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_reads_back_and_a_short_password_has_none() {
        let digest = password_digest("correct horse").unwrap();
        let (cost, salt, hash) = parts(&digest).unwrap();
        assert_eq!(cost, COST);
        assert_eq!(*stretch(b"correct horse", &salt, cost).unwrap(), *hash);
        assert!(password_digest("too short").is_err());
        assert!(parts("$argon2id$v=19$m=1,t=1,p=1$AA$AA").is_none());
        assert!(parts("plain").is_none());
    }

    #[test]
    fn only_the_right_name_with_the_right_password_signs_in() {
        let folder = tempfile::tempdir().unwrap();
        let unlock = seal::keyring::Unlock::Passphrase(b"correct");
        let cost = seal::keyring::PassphraseCost {
            memory_kib: 64,
            passes: 1,
        };
        let clock: store::ledger::Clock = std::sync::Arc::new(|| Timestamp::from_seconds(1_764_000_000));
        super::super::create(folder.path(), "us".parse().unwrap(), &unlock, cost, None, clock()).unwrap();
        let vault = Vault::open(
            folder.path(),
            &unlock,
            super::super::VaultOptions::with_clock(clock),
        )
        .unwrap();
        let digest = password_digest("correct horse").unwrap();
        let ann = vault.add_user("ann", Role::Officer, &digest, "os:0").unwrap();
        assert!(matches!(
            vault.add_user("ann", Role::Auditor, &digest, "os:0"),
            Err(VaultError::Exists(_))
        ));
        assert!(matches!(
            vault.add_user("bob", Role::Auditor, "plain", "os:0"),
            Err(VaultError::Usage(_))
        ));
        assert_eq!(vault.users(), vec![ann.clone()]);
        assert_eq!(vault.sign_in("ann", "correct horse").unwrap(), Some(ann));
        assert_eq!(vault.sign_in("ann", "correct house").unwrap(), None);
        assert_eq!(vault.sign_in("bob", "correct horse").unwrap(), None);
    }
}
