//! Wraps: a data key sealed under several secrets at once, so that destroying any one of them shreds it.

use model::KeyId;
use model::entry::WRAPPED_KEY_BYTES;
use zeroize::Zeroizing;

use crate::suite::{self, Key, SealError};

/// The key-encryption key that several secrets give together.
///
/// *Shape.* HKDF-SHA256 with salt `chancery/1/joint`, the secrets in ascending order of their ids as input, and the
/// ids in the same order as info.
///
/// # Errors
/// [`SealError::Provider`].
pub fn joint_key(secrets: &[(KeyId, Key)]) -> Result<Key, SealError> {
    let mut ordered: Vec<&(KeyId, Key)> = secrets.iter().collect();
    ordered.sort_by_key(|(id, _)| *id);
    let mut input = Zeroizing::new(Vec::with_capacity(ordered.len() * 32));
    ordered
        .iter()
        .for_each(|(_, key)| input.extend_from_slice(key.reveal()));
    let ids: Vec<&[u8]> = ordered.iter().map(|(id, _)| id.0.as_slice()).collect();
    suite::derive(b"chancery/1/joint", &input, &ids)
}

/// Wraps a data key under [`joint_key`].
///
/// # Errors
/// [`SealError::Provider`].
pub fn wrap(joint: &Key, key: &Key) -> Result<[u8; WRAPPED_KEY_BYTES], SealError> {
    suite::wrap_key(joint, key)
}

/// Unwraps a data key and checks it against what its capture or part committed to.
///
/// # Errors
/// [`SealError::NotOpened`], [`SealError::Commitment`].
pub fn unwrap(
    joint: &Key,
    wrapped: &[u8; WRAPPED_KEY_BYTES],
    commitment: &[u8; 32],
) -> Result<Key, SealError> {
    let key = suite::unwrap_key(joint, wrapped)?;
    suite::check_commitment(&key, commitment)?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrap_opens_only_with_all_its_secrets() {
        let secrets: Vec<_> = (1..=3u8)
            .map(|n| (KeyId([n; 16]), Key::from_bytes([n; 32])))
            .collect();
        let key = Key::random().unwrap();
        let wrapped = wrap(&joint_key(&secrets).unwrap(), &key).unwrap();
        let commitment = suite::commitment(&key);
        let reversed: Vec<_> = secrets.iter().rev().cloned().collect();
        assert_eq!(
            unwrap(&joint_key(&reversed).unwrap(), &wrapped, &commitment),
            Ok(key)
        );
        for missing in 0..3 {
            let mut fewer = secrets.clone();
            fewer.remove(missing);
            assert!(unwrap(&joint_key(&fewer).unwrap(), &wrapped, &commitment).is_err());
        }
    }
}
