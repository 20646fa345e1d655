//! The company's private keys, one a version of the public key that it gave the vendor.

use std::collections::BTreeMap;

use aws_lc_rs::rsa::{Pkcs1PrivateDecryptingKey, PrivateDecryptingKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::{Zeroize, Zeroizing};

/// Why something given as a private key is none. Holds nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyProblem {
    /// No version before the key.
    #[error("a private key needs the version of its public key before it: `3:` and then the key")]
    NoVersion,
    /// Two keys of one version.
    #[error("two private keys have the version {0}")]
    Twice(u64),
    /// Under a passphrase.
    #[error("private key {0} is protected by a passphrase; give it without: openssl pkey -in FILE")]
    Protected(u64),
    /// A public key or a certificate.
    #[error("what is given as private key {0} is public")]
    Public(u64),
    /// Neither PEM nor Base64 of an RSA key.
    #[error("private key {0} is not an RSA key in PEM")]
    NotAKey(u64),
    /// The vendor takes keys of 2048 bits.
    #[error("private key {version} has {bits} bits; the vendor takes 2048")]
    WrongSize {
        /// Of which version.
        version: u64,
        /// How many.
        bits: usize,
    },
}

/// Why an item's random key could not be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RandomKeyProblem {
    /// There is no private key of this version here. It may be added.
    #[error("the private key of version {0} is missing")]
    NoSuchVersion(u64),
    /// It is not Base64 of the right length.
    #[error("the random key is not Base64 of 256 bytes")]
    Malformed,
    /// The private key of this version is another than the vendor has.
    #[error("the private key of version {0} does not open the random key")]
    WrongKey(u64),
}

/// The private keys by version. `Debug` prints versions only.
#[derive(Default)]
pub struct Keys(BTreeMap<u64, Pkcs1PrivateDecryptingKey>);

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// The size the vendor takes.
const KEY_BITS: usize = 2048;

impl Keys {
    /// Reads the values of the secret `private-key`: each a version, a colon, and the key as PEM (PKCS#8 or PKCS#1) or as
    /// the Base64 inside one.
    ///
    /// # Errors
    /// [`KeyProblem`] for the first that is not such a key.
    pub fn read(values: &[Zeroizing<Vec<u8>>]) -> Result<Keys, KeyProblem> {
        let mut keys = BTreeMap::new();
        for value in values {
            let text = std::str::from_utf8(value).map_err(|_| KeyProblem::NoVersion)?;
            let (version, key) = text.split_once(':').ok_or(KeyProblem::NoVersion)?;
            let version = version.trim().parse().map_err(|_| KeyProblem::NoVersion)?;
            let key = private_key(version, key)?;
            if keys.insert(version, key).is_some() {
                return Err(KeyProblem::Twice(version));
            }
        }
        Ok(Keys(keys))
    }

    /// The versions there are.
    pub fn versions(&self) -> impl Iterator<Item = u64> {
        self.0.keys().copied()
    }

    /// Opens an item's random key.
    ///
    /// # Errors
    /// [`RandomKeyProblem`].
    pub fn random_key(&self, version: u64, encrypted: &str) -> Result<Zeroizing<Vec<u8>>, RandomKeyProblem> {
        let key = self
            .0
            .get(&version)
            .ok_or(RandomKeyProblem::NoSuchVersion(version))?;
        let sealed = STANDARD
            .decode(encrypted)
            .map_err(|_| RandomKeyProblem::Malformed)?;
        if sealed.len() != key.key_size_bytes() {
            return Err(RandomKeyProblem::Malformed);
        }
        let mut room = Zeroizing::new(vec![0; key.min_output_size()]);
        let opened = key.decrypt(&sealed, &mut room);
        let opened = opened.map_err(|_| RandomKeyProblem::WrongKey(version))?.len();
        room.truncate(opened);
        Ok(room)
    }
}

fn private_key(version: u64, text: &str) -> Result<Pkcs1PrivateDecryptingKey, KeyProblem> {
    if text.contains("ENCRYPTED") {
        return Err(KeyProblem::Protected(version));
    }
    if text.contains("BEGIN PUBLIC")
        || text.contains("BEGIN RSA PUBLIC")
        || text.contains("BEGIN CERTIFICATE")
    {
        return Err(KeyProblem::Public(version));
    }
    let wrong = KeyProblem::NotAKey(version);
    let inside = text.lines().filter(|line| !line.contains("-----"));
    let mut base64 = Zeroizing::new(String::with_capacity(text.len()));
    inside.for_each(|line| base64.extend(line.split_ascii_whitespace()));
    let der = Zeroizing::new(STANDARD.decode(base64.as_bytes()).map_err(|_| wrong)?);
    let read = PrivateDecryptingKey::from_pkcs8(&der);
    let read = read.or_else(|_| PrivateDecryptingKey::from_pkcs8(&as_pkcs8(&der)));
    let key = read.map_err(|_| wrong)?;
    if key.key_size_bits() != KEY_BITS {
        let bits = key.key_size_bits();
        return Err(KeyProblem::WrongSize { version, bits });
    }
    Pkcs1PrivateDecryptingKey::new(key).map_err(|_| wrong)
}

/// A PKCS#1 key as PKCS#8: version 0, the algorithm `rsaEncryption`, the key (RFC 5208, RFC 8017 A.1).
fn as_pkcs8(pkcs1: &[u8]) -> Zeroizing<Vec<u8>> {
    const SEQUENCE: u8 = 0x30;
    const OCTET_STRING: u8 = 0x04;
    const HEAD: &[u8] = &[
        0x02, 0x01, 0x00, SEQUENCE, 0x0D, 0x06, 0x09, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01,
        0x05, 0x00,
    ];
    let mut inside = HEAD.to_vec();
    inside.extend(tagged(OCTET_STRING, pkcs1).iter());
    let whole = tagged(SEQUENCE, &inside);
    inside.zeroize();
    whole
}

/// DER: tag, length, content.
fn tagged(tag: u8, content: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut der = Zeroizing::new(Vec::with_capacity(content.len() + 6));
    der.push(tag);
    let length = u32::try_from(content.len()).unwrap_or(u32::MAX).to_be_bytes();
    let digits = length.iter().skip_while(|byte| **byte == 0);
    let count = digits.clone().count();
    if content.len() >= 0x80 {
        der.push(0x80 | u8::try_from(count).unwrap_or(4));
    } else if count == 0 {
        der.push(0);
    }
    der.extend(digits);
    der.extend_from_slice(content);
    der
}
