//! The encryption around a message: AES-256-CBC under the connection's key, then 16 bytes of chance, a length, the
//! message, and for whom it is.
//!
//! The platforms pad to blocks of 32 bytes, which no library does for a cipher whose blocks have 16; so padding is
//! looked at here. Nothing is opened whose signature was not checked before, and every failure looks the same, so
//! there is no oracle. That the whole was not altered is told by the signature, not by the cipher.

use aws_lc_rs::cipher::{AES_256, DecryptingKey, DecryptionContext, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

/// Characters of a key as the platforms show it: Base64 of 32 bytes without the last `=`.
const KEY_CHARACTERS: usize = 43;
const KEY_BYTES: usize = 32;
const BLOCK_BYTES: usize = 16;
/// Padding brings the whole to a multiple of this.
const PADDING_MAX: u8 = 32;
/// What stands before the message: bytes of chance and its length.
const HEAD_BYTES: usize = 16;

/// The platforms' keys are 43 characters at random: the last holds two bits more than fit, and they are seldom zero.
const KEY_BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_encode_padding(false)
        .with_decode_padding_mode(base64::engine::DecodePaddingMode::RequireNone),
);

/// What was encrypted.
pub(super) struct Opened {
    /// The message.
    pub(super) message: Zeroizing<Vec<u8>>,
    /// For whom: a corp id, suite id, app id, or nothing.
    pub(super) receiver: Vec<u8>,
}

/// The key in these 43 characters; none when they are not 43 characters of Base64.
pub(super) fn key(characters: &[u8]) -> Option<Zeroizing<[u8; KEY_BYTES]>> {
    if characters.len() != KEY_CHARACTERS {
        return None;
    }
    let bytes = Zeroizing::new(KEY_BASE64.decode(characters).ok()?);
    bytes.as_slice().try_into().ok().map(Zeroizing::new)
}

/// Opens what stands in `Encrypt`. One answer for everything that can be wrong with it.
pub(super) fn open(key: &[u8; KEY_BYTES], encrypted: &str) -> Option<Opened> {
    let mut bytes = Zeroizing::new(base64::engine::general_purpose::STANDARD.decode(encrypted).ok()?);
    if bytes.is_empty() || !bytes.len().is_multiple_of(BLOCK_BYTES) {
        return None;
    }
    let cipher = DecryptingKey::cbc(UnboundCipherKey::new(&AES_256, key).ok()?).ok()?;
    let start: &[u8; BLOCK_BYTES] = key.first_chunk()?;
    let context = DecryptionContext::Iv128(FixedLength::from(start));
    let plain = cipher.decrypt(&mut bytes, context).ok()?;
    let length = unpadded(plain)?;
    let (_, rest) = plain.get(..length)?.split_at_checked(HEAD_BYTES)?;
    let (size, rest) = rest.split_first_chunk::<4>()?;
    let size = usize::try_from(u32::from_be_bytes(*size)).ok()?;
    let (message, receiver) = rest.split_at_checked(size)?;
    Some(Opened {
        message: Zeroizing::new(message.to_vec()),
        receiver: receiver.to_vec(),
    })
}

/// Length without the padding: as many bytes as each of them says, 1 to 32. All are looked at, whatever the first
/// of them are.
fn unpadded(plain: &[u8]) -> Option<usize> {
    let &last = plain.last()?;
    let length = plain.len().checked_sub(usize::from(last))?;
    let wrong = plain
        .iter()
        .skip(length)
        .fold(0, |wrong, byte| wrong | (byte ^ last));
    (wrong == 0 && (1..=PADDING_MAX).contains(&last)).then_some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_43_characters_of_base64_whatever_their_last_bits() {
        let good = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";
        assert!(key(good.as_bytes()).is_some());
        // The last character holds four bits that count and two that do not.
        for last in ["G", "E", "F", "H"] {
            let other = format!("{}{last}", &good[..42]);
            assert_eq!(key(other.as_bytes()), key(good.as_bytes()), "{last}");
        }
        let wrong = [
            "",
            "abc",
            &good[..42],
            &format!("{good}="),
            &format!("{good}a"),
            &format!("{}-", &good[..42]),
        ];
        for wrong in wrong {
            assert!(key(wrong.as_bytes()).is_none(), "{wrong}");
        }
    }

    #[test]
    fn padding_is_1_to_32_bytes_that_agree() {
        fn check(rest: &[u8], expected: Option<usize>) {
            let plain = [&[b'x'; 40], rest].concat();
            assert_eq!(unpadded(&plain), expected.map(|more| 40 + more), "{rest:?}");
        }
        check(&[1], Some(0));
        check(&[2, 2], Some(0));
        check(&[7, 1], Some(1));
        check(&[16; 16], Some(0));
        check(&[17; 17], Some(0));
        check(&[32; 32], Some(0));
        check(&[0], None);
        check(&[33; 33], None);
        check(&[3, 2, 3], None);
        check(&[2, 3, 3], None);
        check(&[255], None);
        assert_eq!(unpadded(&[]), None);
        assert_eq!(unpadded(&[2]), None);
        assert_eq!(unpadded(&[1]), Some(0));
    }
}
