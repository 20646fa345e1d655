//! Bodies of acts and destructions: JSON, sealed under a key of its own, so that one can be shown alone.
//!
//! *Shape.* Key: HKDF-Expand of the secret with the label and a random salt that stands in the header. Nonce zero, for
//! the key is used once. Associated data: the label, the zone, and the act's code or the destruction's reason.

use model::bytes::Writer;
use model::entry::{Act, ActCode, Destruction};
use model::{KeyId, ZoneId};

use crate::suite::{self, Key, SealError};

const ACT: &[u8] = b"chancery/1/act";
const DESTRUCTION: &[u8] = b"chancery/1/destruction";

/// A secret with its name: under what a body is sealed.
#[derive(Debug, Clone, Copy)]
pub struct Under<'a> {
    /// Its name, which stands in the header.
    pub id: KeyId,
    /// The secret.
    pub secret: &'a Key,
}

fn aad(label: &[u8], zone: &ZoneId, number: u16) -> Vec<u8> {
    let mut aad = Writer::with_capacity(64);
    aad.raw(label).name(zone.as_str()).u16(number);
    aad.into_bytes()
}

/// Seals in place; returns the commitment.
fn seal_body(
    label: &[u8],
    zone: &ZoneId,
    number: u16,
    key: &Key,
    body: &mut Vec<u8>,
) -> Result<[u8; 32], SealError> {
    suite::seal(key, [0; 12], &aad(label, zone, number), body)?;
    Ok(suite::commitment(key))
}

/// Seals the body of an act in place, and returns what its entry says.
///
/// # Errors
/// [`SealError::Provider`].
pub fn seal_act(
    zone: &ZoneId,
    code: ActCode,
    under: Under<'_>,
    body: &mut Vec<u8>,
) -> Result<Act, SealError> {
    seal_act_salted(zone, code, under, suite::random()?, body)
}

/// As [`seal_act`], with a salt that was never used before.
///
/// # Errors
/// [`SealError::Provider`].
pub fn seal_act_salted(
    zone: &ZoneId,
    code: ActCode,
    under: Under<'_>,
    salt: [u8; 16],
    body: &mut Vec<u8>,
) -> Result<Act, SealError> {
    let commitment = seal_body(ACT, zone, code as u16, &act_key(under.secret, &salt)?, body)?;
    Ok(Act {
        code,
        key: under.id,
        salt,
        commitment,
    })
}

/// The key of one act's body: what a bundle discloses.
///
/// # Errors
/// [`SealError::Provider`].
pub fn act_key(secret: &Key, salt: &[u8; 16]) -> Result<Key, SealError> {
    suite::derive_from_key(secret, &[ACT, salt])
}

/// Opens the body of an act with the secret it was sealed under.
///
/// # Errors
/// [`SealError::Commitment`], [`SealError::NotOpened`].
pub fn open_act(
    zone: &ZoneId,
    act: &Act,
    secret: &Key,
    body: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), SealError> {
    open_act_with(zone, act, &act_key(secret, &act.salt)?, body, out)
}

/// Opens the body of an act with the body's own key.
///
/// # Errors
/// [`SealError::Commitment`], [`SealError::NotOpened`].
pub fn open_act_with(
    zone: &ZoneId,
    act: &Act,
    key: &Key,
    body: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), SealError> {
    suite::check_commitment(key, &act.commitment)?;
    suite::open(key, [0; 12], &aad(ACT, zone, act.code as u16), body, out)
}

/// What a destruction without a body says: it was done by rule, by no person.
pub fn destruction_by_rule(reason: u16, keys: Vec<KeyId>) -> Destruction {
    Destruction {
        reason,
        keys,
        key: KeyId::NONE,
        salt: [0; 16],
        commitment: [0; 32],
    }
}

/// Seals the body of a destruction in place, and returns what its entry says. `keys` are ascending.
///
/// # Errors
/// [`SealError::Provider`].
pub fn seal_destruction(
    zone: &ZoneId,
    reason: u16,
    keys: Vec<KeyId>,
    under: Under<'_>,
    body: &mut Vec<u8>,
) -> Result<Destruction, SealError> {
    seal_destruction_salted(
        zone,
        destruction_by_rule(reason, keys),
        under,
        suite::random()?,
        body,
    )
}

/// As [`seal_destruction`], with a salt that was never used before.
///
/// # Errors
/// [`SealError::Provider`].
pub fn seal_destruction_salted(
    zone: &ZoneId,
    what: Destruction,
    under: Under<'_>,
    salt: [u8; 16],
    body: &mut Vec<u8>,
) -> Result<Destruction, SealError> {
    let key = destruction_key(under.secret, &salt)?;
    let commitment = seal_body(DESTRUCTION, zone, what.reason, &key, body)?;
    Ok(Destruction {
        key: under.id,
        salt,
        commitment,
        ..what
    })
}

/// The key of one destruction's body.
///
/// # Errors
/// [`SealError::Provider`].
pub fn destruction_key(secret: &Key, salt: &[u8; 16]) -> Result<Key, SealError> {
    suite::derive_from_key(secret, &[DESTRUCTION, salt])
}

/// Opens the body of a destruction with the secret it was sealed under.
///
/// # Errors
/// [`SealError::Commitment`], [`SealError::NotOpened`].
pub fn open_destruction(
    zone: &ZoneId,
    destruction: &Destruction,
    secret: &Key,
    body: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), SealError> {
    let key = destruction_key(secret, &destruction.salt)?;
    open_destruction_with(zone, destruction, &key, body, out)
}

/// Opens the body of a destruction with the body's own key.
///
/// # Errors
/// [`SealError::Commitment`], [`SealError::NotOpened`].
pub fn open_destruction_with(
    zone: &ZoneId,
    destruction: &Destruction,
    key: &Key,
    body: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), SealError> {
    suite::check_commitment(key, &destruction.commitment)?;
    let aad = aad(DESTRUCTION, zone, destruction.reason);
    suite::open(key, [0; 12], &aad, body, out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_opens_with_its_secret_and_its_own_key_and_in_no_other_place() {
        let (zone, other): (ZoneId, ZoneId) = ("us".parse().unwrap(), "eu".parse().unwrap());
        let secret = Key::random().unwrap();
        let under = Under {
            id: KeyId([1; 16]),
            secret: &secret,
        };
        let mut body = b"{}".to_vec();
        let act = seal_act(&zone, ActCode::Shown, under, &mut body).unwrap();
        let mut out = Vec::new();
        open_act(&zone, &act, &secret, &body, &mut out).unwrap();
        assert_eq!(out, b"{}");
        let key = act_key(&secret, &act.salt).unwrap();
        open_act_with(&zone, &act, &key, &body, &mut out).unwrap();
        assert!(open_act(&other, &act, &secret, &body, &mut out).is_err());
        let moved = Act {
            code: ActCode::Searched,
            ..act.clone()
        };
        assert!(open_act(&zone, &moved, &secret, &body, &mut out).is_err());
        let salted = Act { salt: [0; 16], ..act };
        assert!(open_act(&zone, &salted, &secret, &body, &mut out).is_err());
    }

    #[test]
    fn the_body_of_a_destruction_opens_and_one_under_another_reason_does_not() {
        let zone: ZoneId = "us".parse().unwrap();
        let secret = Key::random().unwrap();
        let under = Under {
            id: KeyId([1; 16]),
            secret: &secret,
        };
        let mut body = b"{}".to_vec();
        let done = seal_destruction(&zone, 2, vec![KeyId([9; 16])], under, &mut body).unwrap();
        let mut out = Vec::new();
        open_destruction(&zone, &done, &secret, &body, &mut out).unwrap();
        assert_eq!(out, b"{}");
        let moved = Destruction { reason: 1, ..done };
        assert!(open_destruction(&zone, &moved, &secret, &body, &mut out).is_err());
    }
}
