//! Suite 1: the primitives, each behind one function, so that a reader finds every use of cryptography here.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{self, ECDH_P256, PrivateKey, UnparsedPublicKey};
use aws_lc_rs::digest::{self, SHA256};
use aws_lc_rs::encoding::{AsBigEndian, EcPrivateKeyBin};
use aws_lc_rs::hkdf::{HKDF_SHA256, Prk, Salt};
use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrapPadded};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey as VerifyingKey};
use aws_lc_rs::{hmac, rand};
use model::entry::{POINT_BYTES, WRAPPED_KEY_BYTES};
use zeroize::Zeroizing;

/// Why something was not sealed or not opened. Says nothing about the content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The provider gave no randomness, or refused its input.
    #[error("the crypto provider failed")]
    Provider,
    /// Wrong key, or the ciphertext or its place was altered.
    #[error("does not open: wrong key, or altered")]
    NotOpened,
    /// The key is not the one that was committed to.
    #[error("the key is not the one committed to")]
    Commitment,
    /// A signature does not match.
    #[error("signature does not match")]
    Signature,
    /// The bytes do not have their form.
    #[error(transparent)]
    Malformed(#[from] model::bytes::Malformed),
}

/// A secret of 32 bytes. Wiped on drop; `Debug` prints nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(Zeroizing<[u8; 32]>);

impl Key {
    /// From its bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Key(Zeroizing::new(bytes))
    }

    /// Fresh from the provider.
    ///
    /// # Errors
    /// [`SealError::Provider`].
    pub fn random() -> Result<Self, SealError> {
        let mut bytes = Zeroizing::new([0; 32]);
        rand::fill(bytes.as_mut()).map_err(|_| SealError::Provider)?;
        Ok(Key(bytes))
    }

    /// Fresh from the provider, with sixteen random bytes that are no secret.
    ///
    /// # Errors
    /// [`SealError::Provider`].
    pub fn random_with() -> Result<(Self, [u8; 16]), SealError> {
        let bytes = Zeroizing::new(random::<48>()?);
        let (key, rest) = bytes.split_first_chunk::<32>().ok_or(SealError::Provider)?;
        let rest = rest.first_chunk::<16>().ok_or(SealError::Provider)?;
        Ok((Key::from_bytes(*key), *rest))
    }

    /// The bytes themselves: to seal them in the key store, or to disclose them in a bundle.
    pub fn reveal(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(32 bytes)")
    }
}

/// Random bytes.
///
/// # Errors
/// [`SealError::Provider`].
pub fn random<const N: usize>() -> Result<[u8; N], SealError> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| SealError::Provider)?;
    Ok(bytes)
}

fn to_array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    // Digests and signatures have the length of their algorithm; another length becomes zeros, which match nothing.
    <[u8; N]>::try_from(bytes).unwrap_or([0; N])
}

/// SHA-256.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    to_array(digest::digest(&SHA256, bytes).as_ref())
}

/// SHA-256 of several pieces in a row.
pub fn sha256_of(pieces: &[&[u8]]) -> [u8; 32] {
    let mut context = digest::Context::new(&SHA256);
    pieces.iter().for_each(|piece| context.update(piece));
    to_array(context.finish().as_ref())
}

/// SHA-256 of a stream.
pub struct Hasher(digest::Context);

impl Hasher {
    /// Nothing hashed yet.
    pub fn new() -> Self {
        Hasher(digest::Context::new(&SHA256))
    }

    /// More bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest.
    pub fn finish(self) -> [u8; 32] {
        to_array(self.0.finish().as_ref())
    }
}

impl Default for Hasher {
    fn default() -> Self {
        Hasher::new()
    }
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).map_or('0', |&d| char::from(d));
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

/// Bytes of lower-case hex.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let nibble = |b: u8| match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'a'..=b'f' => Some(b - b'a' + 10),
        _ => None,
    };
    let pairs = text.as_bytes().chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return None;
    }
    pairs
        .map(|pair| Some(nibble(*pair.first()?)? << 4 | nibble(*pair.get(1)?)?))
        .collect()
}

/// The 32-byte commitment to a key, published beside what it seals. GCM alone does not commit: a ciphertext could be
/// made to open under two keys. One SHA-256 block, because an HMAC would cost more than opening a short message.
pub fn commitment(key: &Key) -> [u8; 32] {
    const LABEL: &[u8; 17] = b"chancery/1/commit";
    let mut bytes = Zeroizing::new([0; LABEL.len() + 32]);
    let (label, secret) = bytes.split_at_mut(LABEL.len());
    label.copy_from_slice(LABEL);
    secret.copy_from_slice(key.reveal());
    sha256(bytes.as_slice())
}

/// Compares the commitment in constant time.
///
/// # Errors
/// [`SealError::Commitment`].
pub fn check_commitment(key: &Key, expected: &[u8; 32]) -> Result<(), SealError> {
    aws_lc_rs::constant_time::verify_slices_are_equal(&commitment(key), expected)
        .map_err(|_| SealError::Commitment)
}

/// HKDF-SHA256, extract and expand to one key.
///
/// # Errors
/// [`SealError::Provider`].
pub fn derive(salt: &[u8], secret: &[u8], info: &[&[u8]]) -> Result<Key, SealError> {
    expand(&Salt::new(HKDF_SHA256, salt).extract(secret), info)
}

/// HKDF-SHA256, expand only: `secret` is already uniform.
///
/// # Errors
/// [`SealError::Provider`].
pub fn derive_from_key(secret: &Key, info: &[&[u8]]) -> Result<Key, SealError> {
    expand(&Prk::new_less_safe(HKDF_SHA256, secret.reveal()), info)
}

fn expand(prk: &Prk, info: &[&[u8]]) -> Result<Key, SealError> {
    let mut out = Zeroizing::new([0; 32]);
    let okm = prk.expand(info, HKDF_SHA256).map_err(|_| SealError::Provider)?;
    okm.fill(out.as_mut()).map_err(|_| SealError::Provider)?;
    Ok(Key(out))
}

/// HMAC-SHA256.
pub fn mac(key: &Key, pieces: &[&[u8]]) -> [u8; 32] {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key.reveal()));
    pieces.iter().for_each(|piece| context.update(piece));
    to_array(context.sign().as_ref())
}

/// A key ready for many keyed digests.
pub struct MacKey(hmac::Key);

impl MacKey {
    /// Prepares the key.
    pub fn new(key: &Key) -> Self {
        MacKey(hmac::Key::new(hmac::HMAC_SHA256, key.reveal()))
    }

    /// The first 16 bytes of the HMAC-SHA256 over length-prefixed pieces.
    pub fn digest(&self, pieces: &[&[u8]]) -> [u8; 16] {
        let mut context = hmac::Context::with_key(&self.0);
        for piece in pieces {
            context.update(&u64::try_from(piece.len()).unwrap_or(u64::MAX).to_be_bytes());
            context.update(piece);
        }
        let tag: [u8; 32] = to_array(context.sign().as_ref());
        tag.first_chunk().copied().unwrap_or_default()
    }
}

fn gcm(key: &Key) -> Result<LessSafeKey, SealError> {
    let key = UnboundKey::new(&AES_256_GCM, key.reveal()).map_err(|_| SealError::Provider)?;
    Ok(LessSafeKey::new(key))
}

/// Bytes of an AES-GCM tag.
pub const TAG_BYTES: usize = 16;

/// AES-256-GCM in place; the tag is appended. The caller never uses a key and nonce twice.
///
/// # Errors
/// [`SealError::Provider`].
pub fn seal(key: &Key, nonce: [u8; 12], aad: &[u8], bytes: &mut Vec<u8>) -> Result<(), SealError> {
    let nonce = Nonce::assume_unique_for_key(nonce);
    gcm(key)?
        .seal_in_place_append_tag(nonce, Aad::from(aad), bytes)
        .map_err(|_| SealError::Provider)
}

/// AES-256-GCM from `ciphertext` (tag at its end) into `out`, which is cleared first.
///
/// # Errors
/// [`SealError::NotOpened`].
pub fn open(
    key: &Key,
    nonce: [u8; 12],
    aad: &[u8],
    ciphertext: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), SealError> {
    let split = ciphertext
        .len()
        .checked_sub(TAG_BYTES)
        .ok_or(SealError::NotOpened)?;
    let (body, tag) = ciphertext.split_at_checked(split).ok_or(SealError::NotOpened)?;
    out.clear();
    out.resize(body.len(), 0);
    let nonce = Nonce::assume_unique_for_key(nonce);
    gcm(key)?
        .open_separate_gather(nonce, Aad::from(aad), body, tag, out)
        .map_err(|_| {
            out.clear();
            SealError::NotOpened
        })
}

/// AES-256 key wrap with padding (RFC 5649).
///
/// # Errors
/// [`SealError::Provider`].
pub fn wrap_key(kek: &Key, key: &Key) -> Result<[u8; WRAPPED_KEY_BYTES], SealError> {
    let kek = AesKek::new(&AES_256, kek.reveal()).map_err(|_| SealError::Provider)?;
    let mut out = [0; WRAPPED_KEY_BYTES + 8];
    let wrapped = kek
        .wrap_with_padding(key.reveal(), &mut out)
        .map_err(|_| SealError::Provider)?;
    <[u8; WRAPPED_KEY_BYTES]>::try_from(&*wrapped).map_err(|_| SealError::Provider)
}

/// The inverse of [`wrap_key`].
///
/// # Errors
/// [`SealError::NotOpened`].
pub fn unwrap_key(kek: &Key, wrapped: &[u8; WRAPPED_KEY_BYTES]) -> Result<Key, SealError> {
    let kek = AesKek::new(&AES_256, kek.reveal()).map_err(|_| SealError::Provider)?;
    let mut out = Zeroizing::new([0; WRAPPED_KEY_BYTES]);
    let key = kek
        .unwrap_with_padding(wrapped, out.as_mut())
        .map_err(|_| SealError::NotOpened)?;
    Ok(Key::from_bytes(
        <[u8; 32]>::try_from(&*key).map_err(|_| SealError::NotOpened)?,
    ))
}

/// A P-256 private key for ECDH.
pub struct EcdhPrivate(PrivateKey);

impl EcdhPrivate {
    /// A fresh key.
    ///
    /// # Errors
    /// [`SealError::Provider`].
    pub fn generate() -> Result<Self, SealError> {
        PrivateKey::generate(&ECDH_P256)
            .map(EcdhPrivate)
            .map_err(|_| SealError::Provider)
    }

    /// From its 32-byte scalar.
    ///
    /// # Errors
    /// [`SealError::Provider`] when it is no scalar of the curve.
    pub fn from_scalar(scalar: &Key) -> Result<Self, SealError> {
        PrivateKey::from_private_key(&ECDH_P256, scalar.reveal())
            .map(EcdhPrivate)
            .map_err(|_| SealError::Provider)
    }

    /// Its 32-byte scalar.
    ///
    /// # Errors
    /// [`SealError::Provider`].
    pub fn scalar(&self) -> Result<Key, SealError> {
        let scalar: EcPrivateKeyBin<'_> = self.0.as_be_bytes().map_err(|_| SealError::Provider)?;
        Ok(Key::from_bytes(to_array(scalar.as_ref())))
    }

    /// Its public point, uncompressed.
    ///
    /// # Errors
    /// [`SealError::Provider`].
    pub fn public(&self) -> Result<[u8; POINT_BYTES], SealError> {
        Ok(to_array(
            self.0
                .compute_public_key()
                .map_err(|_| SealError::Provider)?
                .as_ref(),
        ))
    }

    /// The shared secret with another's public point, handed to `kdf` and forgotten.
    ///
    /// # Errors
    /// [`SealError::NotOpened`] when the point is not on the curve; those of `kdf`.
    pub fn agree(
        &self,
        public: &[u8; POINT_BYTES],
        kdf: impl FnOnce(&[u8]) -> Result<Key, SealError>,
    ) -> Result<Key, SealError> {
        let public = UnparsedPublicKey::new(&ECDH_P256, public.as_slice());
        agreement::agree(&self.0, public, SealError::NotOpened, kdf)
    }
}

/// An Ed25519 signing key.
pub struct SigningKey(Ed25519KeyPair);

impl SigningKey {
    /// From its 32-byte seed.
    ///
    /// # Errors
    /// [`SealError::Provider`].
    pub fn from_seed(seed: &Key) -> Result<Self, SealError> {
        Ed25519KeyPair::from_seed_unchecked(seed.reveal())
            .map(SigningKey)
            .map_err(|_| SealError::Provider)
    }

    /// Its public key.
    pub fn public(&self) -> [u8; 32] {
        to_array(self.0.public_key().as_ref())
    }

    /// Signs (RFC 8032, deterministic).
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        to_array(self.0.sign(message).as_ref())
    }
}

/// Checks an Ed25519 signature.
///
/// # Errors
/// [`SealError::Signature`].
pub fn verify_signature(public: &[u8; 32], message: &[u8], signature: &[u8]) -> Result<(), SealError> {
    VerifyingKey::new(&ED25519, public)
        .verify(message, signature)
        .map_err(|_| SealError::Signature)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keyed_digests_differ_by_key_by_piece_and_by_where_a_piece_ends() {
        fn digest(key: u8, pieces: &[&[u8]]) -> [u8; 16] {
            MacKey::new(&Key::from_bytes([key; 32])).digest(pieces)
        }
        let all = [
            digest(1, &[b"a", b"b"]),
            digest(2, &[b"a", b"b"]),
            digest(1, &[b"ab", b""]),
            digest(1, &[b"a", b"c"]),
            digest(1, &[]),
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(all.iter().skip(at + 1).all(|other| one != other));
        }
        assert_eq!(all[0], digest(1, &[b"a", b"b"]));
    }
}
