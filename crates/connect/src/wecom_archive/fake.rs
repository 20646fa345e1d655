//! A driver for tests and the demo: an archive in memory that really encrypts.
//!
//! The random key is encrypted with a real RSA key, the message under the random key. How the vendor's library encrypts
//! the message is not known; here it is AES-256-GCM.

use std::collections::VecDeque;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::digest::{self, SHA256};
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rsa::{KeySize, Pkcs1PublicEncryptingKey, PrivateDecryptingKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::driver::{Driver, DriverError, SLICE_BYTES_MAX, Slice};

/// A company's key of one version, both halves.
pub struct CompanyKey {
    version: u64,
    private: PrivateDecryptingKey,
}

impl CompanyKey {
    /// A new key.
    ///
    /// # Errors
    /// When the provider has no randomness.
    pub fn generate(version: u64) -> Result<CompanyKey, DriverError> {
        let private = PrivateDecryptingKey::generate(KeySize::Rsa2048);
        let private = private.map_err(|_| DriverError::Failed("no key could be made"))?;
        Ok(CompanyKey { version, private })
    }

    /// The private half, as the secret `private-key` takes it.
    ///
    /// # Errors
    /// When the provider cannot write it.
    pub fn secret(&self) -> Result<Zeroizing<Vec<u8>>, DriverError> {
        let der = self
            .private
            .as_der()
            .map_err(|_| DriverError::Failed("the key could not be written"))?;
        let base64 = Zeroizing::new(STANDARD.encode(der.as_ref()));
        let armour = "PRIVATE KEY-----\n";
        let pem = format!(
            "{}:-----BEGIN {armour}{}\n-----END {armour}",
            self.version, *base64
        );
        Ok(Zeroizing::new(pem.into_bytes()))
    }

    /// A random key as the vendor encrypts it for this key, in Base64.
    ///
    /// # Errors
    /// When the provider cannot encrypt.
    pub fn encrypted(&self, random_key: &[u8]) -> Result<String, DriverError> {
        let public = Pkcs1PublicEncryptingKey::new(self.private.public_key()).map_err(broken)?;
        let mut room = vec![0; public.ciphertext_size()];
        let sealed = public.encrypt(random_key, &mut room).map_err(broken)?;
        Ok(STANDARD.encode(sealed))
    }
}

/// What a message is encrypted under, and the same encrypted for the company.
pub struct RandomKey {
    version: u64,
    plain: String,
    sealed: String,
}

impl RandomKey {
    /// The one of this name: the same each time, for nothing here is a secret.
    ///
    /// # Errors
    /// When the provider cannot encrypt.
    pub fn of(name: &str, key: &CompanyKey) -> Result<RandomKey, DriverError> {
        let plain = STANDARD.encode(digest::digest(&SHA256, name.as_bytes()));
        Ok(RandomKey {
            version: key.version,
            sealed: key.encrypted(plain.as_bytes())?,
            plain,
        })
    }
}

/// An archive in memory.
#[derive(Clone, Default)]
pub struct FakeDriver {
    items: Vec<(u64, String)>,
    files: Vec<(String, Vec<u8>)>,
    failures: VecDeque<DriverError>,
    /// Bytes of a file in one answer.
    pub slice_bytes: Option<usize>,
}

impl FakeDriver {
    /// Adds a message, encrypted for a company's key.
    ///
    /// # Errors
    /// When the provider cannot encrypt.
    pub fn add(&mut self, seq: u64, id: &str, key: &CompanyKey, message: &str) -> Result<(), DriverError> {
        let random_key = RandomKey::of(&format!("{seq} {id}"), key)?;
        self.add_under(seq, id, &random_key, message)
    }

    /// As [`FakeDriver::add`], under a random key that was encrypted before.
    ///
    /// # Errors
    /// When the provider cannot encrypt.
    pub fn add_under(
        &mut self,
        seq: u64,
        id: &str,
        key: &RandomKey,
        message: &str,
    ) -> Result<(), DriverError> {
        let mut bytes = message.as_bytes().to_vec();
        let cipher = cipher(key.plain.as_bytes()).ok_or(DriverError::Code(10008))?;
        cipher
            .seal_in_place_append_tag(Nonce::assume_unique_for_key([0; 12]), Aad::empty(), &mut bytes)
            .map_err(broken)?;
        let item = serde_json::json!({
            "seq": seq,
            "msgid": id,
            "publickey_ver": key.version,
            "encrypt_random_key": key.sealed,
            "encrypt_chat_msg": STANDARD.encode(bytes),
        });
        self.items.push((seq, item.to_string()));
        self.items.sort_by_key(|(seq, _)| *seq);
        Ok(())
    }

    /// Adds a file.
    pub fn add_file(&mut self, id: &str, bytes: Vec<u8>) {
        self.files.push((id.to_owned(), bytes));
    }

    /// The next calls that ask the vendor fail with these, one after another.
    pub fn fail_next(&mut self, errors: impl IntoIterator<Item = DriverError>) {
        self.failures.extend(errors);
    }

    /// The vendor forgets what lies up to here, as it does after five days.
    pub fn forget(&mut self, up_to: u64) {
        self.items.retain(|(seq, _)| *seq > up_to);
    }
}

impl Driver for FakeDriver {
    fn fetch(&mut self, seq: u64, limit: u32) -> Result<Vec<u8>, DriverError> {
        if let Some(error) = self.failures.pop_front() {
            return Err(error);
        }
        if limit == 0 || limit > super::driver::ITEMS_MAX {
            return Err(DriverError::Code(10000));
        }
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let after = self.items.iter().filter(|(at, _)| *at > seq).take(limit);
        let list: Vec<&str> = after.map(|(_, item)| item.as_str()).collect();
        Ok(format!(r#"{{"errcode":0,"errmsg":"ok","chatdata":[{}]}}"#, list.join(",")).into_bytes())
    }

    fn decrypt(&mut self, random_key: &[u8], encrypted: &str) -> Result<Zeroizing<Vec<u8>>, DriverError> {
        let cipher = cipher(random_key).ok_or(DriverError::Code(10008))?;
        let sealed = STANDARD.decode(encrypted).map_err(|_| DriverError::Code(10006))?;
        let mut bytes = Zeroizing::new(sealed);
        let opened = cipher.open_in_place(Nonce::assume_unique_for_key([0; 12]), Aad::empty(), &mut bytes);
        let length = opened.map_err(|_| DriverError::Code(10006))?.len();
        bytes.truncate(length);
        Ok(bytes)
    }

    fn media(&mut self, file_id: &str, index: &str) -> Result<Slice, DriverError> {
        if let Some(error) = self.failures.pop_front() {
            return Err(error);
        }
        let file = self.files.iter().find(|(id, _)| id == file_id);
        let (_, bytes) = file.ok_or(DriverError::Code(10005))?;
        let from = match index.strip_prefix("Range:bytes=") {
            _ if index.is_empty() => 0,
            Some(range) => range
                .split_once('-')
                .and_then(|(from, _)| from.parse().ok())
                .ok_or(DriverError::Code(10000))?,
            None => return Err(DriverError::Code(10000)),
        };
        let length = self.slice_bytes.unwrap_or(SLICE_BYTES_MAX);
        let rest = bytes.get(from..).ok_or(DriverError::Code(10000))?;
        let piece = rest.get(..length).unwrap_or(rest);
        let next = from + piece.len();
        Ok(Slice {
            bytes: Zeroizing::new(piece.to_vec()),
            next_index: format!("Range:bytes={next}-{}", next + length - 1),
            finished: next == bytes.len(),
        })
    }
}

/// The cipher under a random key, which is the Base64 of 32 bytes.
fn cipher(random_key: &[u8]) -> Option<LessSafeKey> {
    let key = Zeroizing::new(STANDARD.decode(random_key).ok()?);
    UnboundKey::new(&AES_256_GCM, &key).ok().map(LessSafeKey::new)
}

fn broken(_: aws_lc_rs::error::Unspecified) -> DriverError {
    DriverError::Failed("the cryptographic provider failed")
}
