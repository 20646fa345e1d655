//! Shamir's secret sharing over GF(256), byte by byte.
//!
//! The field is that of AES (FIPS 197, section 4.2): polynomials over GF(2) modulo x^8 + x^4 + x^3 + x + 1. A secret byte
//! is the value at 0 of a random polynomial of degree threshold - 1; share x is its value at x. Multiplication has no
//! table and no branch on its operands, so that the time says nothing of them. Why not a crate: those there are take
//! their randomness from elsewhere than the provider, or bring a second library of elliptic curves with them.

use zeroize::Zeroizing;

use crate::suite::{Key, SealError, random};

/// The product of two elements.
fn multiply(a: u8, b: u8) -> u8 {
    let (mut a, mut product) = (a, 0u8);
    for bit in 0..8 {
        // All ones when the bit is set.
        let taken = 0u8.wrapping_sub((b >> bit) & 1);
        product ^= a & taken;
        let carried = 0u8.wrapping_sub(a >> 7);
        a = (a << 1) ^ (0x1b & carried);
    }
    product
}

/// The inverse of an element: its 254th power. Of 0, which has none, 0.
fn invert(a: u8) -> u8 {
    let mut power = a;
    let mut inverse = 1;
    for _ in 0..7 {
        power = multiply(power, power);
        inverse = multiply(inverse, power);
    }
    inverse
}

/// The shares 1 to `count` of a secret, any `threshold` of which give it back.
///
/// # Errors
/// [`SealError::Provider`].
pub fn split(secret: &Key, threshold: u8, count: u8) -> Result<Vec<Key>, SealError> {
    let mut coefficients = vec![secret.clone()];
    for _ in 1..threshold {
        coefficients.push(Key::from_bytes(random()?));
    }
    let share = |x: u8| {
        let mut out = Zeroizing::new([0; 32]);
        // Horner's rule, the highest coefficient first.
        for coefficient in coefficients.iter().rev() {
            for (sum, byte) in out.iter_mut().zip(coefficient.reveal()) {
                *sum = multiply(*sum, x) ^ byte;
            }
        }
        Key::from_bytes(*out)
    };
    Ok((1..=count).map(share).collect())
}

/// The value at 0 of the polynomial of lowest degree through these shares: the secret, when there are enough of them and
/// all are of it. The numbers differ and are not 0.
pub fn combine(shares: &[(u8, Key)]) -> Key {
    let mut out = Zeroizing::new([0; 32]);
    for (x, share) in shares {
        let others = shares.iter().map(|(other, _)| *other).filter(|other| other != x);
        // Lagrange at 0: the product of other / (other - x); minus is plus here.
        let weight = others.fold(1, |product, other| {
            multiply(product, multiply(other, invert(other ^ x)))
        });
        for (sum, byte) in out.iter_mut().zip(share.reveal()) {
            *sum ^= multiply(weight, *byte);
        }
    }
    Key::from_bytes(*out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_are_those_of_fips_197() {
        // FIPS 197, sections 4.2 and 4.2.1.
        assert_eq!(multiply(0x57, 0x83), 0xc1);
        assert_eq!(multiply(0x57, 0x13), 0xfe);
        assert_eq!(multiply(0x57, 0x02), 0xae);
        assert_eq!(multiply(0x57, 0x10), 0x07);
    }

    #[test]
    fn it_is_a_field() {
        for a in 0..=255u8 {
            assert_eq!((multiply(a, 1), multiply(a, 0)), (a, 0));
            assert_eq!(multiply(a, invert(a)), u8::from(a != 0));
            for b in 0..=255u8 {
                assert_eq!(multiply(a, b), multiply(b, a));
                for c in [1, 2, 3, 0x53, 0x80, 0xff] {
                    assert_eq!(multiply(a, multiply(b, c)), multiply(multiply(a, b), c));
                    assert_eq!(multiply(a, b ^ c), multiply(a, b) ^ multiply(a, c));
                }
            }
        }
    }

    #[test]
    fn any_threshold_of_the_shares_gives_the_secret_and_fewer_do_not() {
        for (threshold, count) in [(1, 1), (1, 3), (2, 2), (2, 3), (3, 5), (5, 5), (4, 8)] {
            let secret = Key::random().unwrap();
            let shares = split(&secret, threshold, count).unwrap();
            for chosen in 0u32..1 << count {
                let taken: Vec<(u8, Key)> = (1..=count)
                    .filter(|x| chosen >> (x - 1) & 1 == 1)
                    .map(|x| (x, shares[usize::from(x) - 1].clone()))
                    .collect();
                let enough = taken.len() >= usize::from(threshold);
                assert_eq!(
                    combine(&taken) == secret,
                    enough,
                    "{threshold} of {count}: {chosen:b}"
                );
            }
        }
    }

    #[test]
    fn one_share_too_few_says_nothing_every_secret_is_as_likely() {
        // Of two shares one is known: for each value of the secret there is just one line through both.
        for known in [0u8, 1, 0x53, 0xff] {
            let slopes: std::collections::BTreeSet<u8> = (0..=255u8)
                .map(|secret| multiply(known ^ secret, invert(7)))
                .collect();
            assert_eq!(slopes.len(), 256);
        }
    }

    #[test]
    fn a_share_of_another_number_or_altered_gives_another_secret() {
        let secret = Key::random().unwrap();
        let shares = split(&secret, 2, 3).unwrap();
        assert_ne!(combine(&[(1, shares[0].clone()), (3, shares[1].clone())]), secret);
        let mut altered = *shares[1].reveal();
        altered[31] ^= 1;
        assert_ne!(
            combine(&[(1, shares[0].clone()), (2, Key::from_bytes(altered))]),
            secret
        );
    }
}
