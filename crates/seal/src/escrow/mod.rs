//! Escrow: the key ring's master key, split among named recipients so that so many of them together open a copy of the
//! ring, and fewer do not.
//!
//! *Shape* of a share: a signed note by the zone's key over one line of JSON ([`Share`]). The share itself is wrapped
//! under a key that ECDH on P-256 gives to its recipient alone. Commitments to every share and to the master key stand in
//! each: an altered share, one of another escrow, and one of an older master key are told apart.

use model::ZoneId;
use model::entry::{POINT_BYTES, WRAPPED_KEY_BYTES};
use serde::{Deserialize, Serialize};

use crate::note::{Note, NoteKey, sign_note};
use crate::suite::{self, EcdhPrivate, Key, SealError, SigningKey, hex, sha256_of, unhex};

mod field;

const FORMAT: &str = "chancery-escrow/1";
const KEY_FORMAT: &str = "chancery-escrow-key/1";
const NAME_BYTES_MAX: usize = 64;

/// Most recipients of one escrow.
pub const RECIPIENTS_MAX: usize = 32;

/// Why an escrow was not made or not opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EscrowError {
    /// Not the form of a share or of a recipient's key.
    #[error("is no {0}")]
    Form(&'static str),
    /// The wrong number of recipients or shares, or one twice.
    #[error("{0}")]
    Count(String),
    /// Altered, or not signed by the zone's key.
    #[error("was altered, or is not of this zone: its signature does not hold")]
    Signature,
    /// The recipient's key does not open it, or it was altered.
    #[error("does not open with the key of {0}")]
    NotOpened(String),
    /// Shares of two escrows.
    #[error("the shares are of different escrows; take those that were made together")]
    Mixed,
    /// What the shares give is not the key that was split.
    #[error("the shares do not give the key that was split")]
    Wrong,
    /// The provider.
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// Somebody who keeps a share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// Name: 1 to 64 of letters, digits, `.`, `_`, `@` and `-`.
    pub name: String,
    /// Public point.
    pub point: [u8; POINT_BYTES],
}

impl Recipient {
    /// One line: `chancery-escrow-key/1 NAME HEX`.
    pub fn encode(&self) -> String {
        format!("{KEY_FORMAT} {} {}\n", self.name, hex(&self.point))
    }

    /// Reads that line.
    ///
    /// # Errors
    /// [`EscrowError::Form`].
    pub fn decode(text: &str) -> Result<Recipient, EscrowError> {
        let wrong = EscrowError::Form("recipient's public key");
        let line = text.strip_suffix('\n').unwrap_or(text);
        let mut words = line.split(' ');
        let (format, name, point) = (words.next(), words.next(), words.next());
        let (Some(KEY_FORMAT), Some(name), Some(point), None) = (format, name, point, words.next()) else {
            return Err(wrong);
        };
        let point = unhex(point).and_then(|bytes| <[u8; POINT_BYTES]>::try_from(bytes).ok());
        let point = point.filter(|point| point.first() == Some(&4));
        match point {
            Some(point) if is_name(name) => Ok(Recipient {
                name: name.to_owned(),
                point,
            }),
            _ => Err(wrong),
        }
    }
}

/// Whether a text can be a recipient's name.
pub fn is_name(name: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&name.len())
        && !name.starts_with(['.', '-'])
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._@-".contains(&b))
}

/// What stands in a share's file. Bytes are in hex.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Share {
    /// `chancery-escrow/1`.
    pub format: String,
    /// Whose key ring.
    pub zone: String,
    /// Sixteen random bytes that all shares of one escrow have.
    pub escrow: String,
    /// Commitment to the master key that was split.
    pub master: String,
    /// So many shares are needed.
    pub threshold: u8,
    /// So many there are.
    pub count: u8,
    /// SHA-256 over "chancery/1/share", escrow, number and share, of each share in order.
    pub commitments: Vec<String>,
    /// Number of this share, from 1.
    pub number: u8,
    /// Who keeps it.
    pub recipient: String,
    /// The recipient's public point.
    pub point: String,
    /// Ephemeral point.
    pub ephemeral: String,
    /// The share, wrapped.
    pub wrapped: String,
}

/// An escrow that was made.
#[derive(Debug, Clone)]
pub struct Made {
    /// Its id, in hex.
    pub id: String,
    /// A signed share for each recipient, in order.
    pub shares: Vec<String>,
}

fn commitment(escrow: &[u8], number: u8, share: &Key) -> [u8; 32] {
    sha256_of(&[b"chancery/1/share", escrow, &[number], share.reveal()])
}

fn kek(
    private: &EcdhPrivate,
    other: &[u8; POINT_BYTES],
    (recipient, ephemeral): (&[u8; POINT_BYTES], &[u8; POINT_BYTES]),
    about: &[&[u8]],
) -> Result<Key, SealError> {
    let salt = [recipient.as_slice(), ephemeral.as_slice()].concat();
    private.agree(other, |shared| suite::derive(&salt, shared, about))
}

fn about<'a>(zone: &'a str, escrow: &'a [u8], numbers: &'a [u8; 3]) -> [&'a [u8]; 4] {
    [b"chancery/1/escrow", zone.as_bytes(), escrow, numbers]
}

/// Splits `master` among the recipients, any `threshold` of whom open it.
///
/// # Errors
/// [`EscrowError::Count`] for recipients that are none, too many or twice the same, or a threshold that they cannot reach.
pub fn make(
    zone: &ZoneId,
    master: &Key,
    recipients: &[Recipient],
    threshold: u8,
    (signing, name): (&SigningKey, &str),
) -> Result<Made, EscrowError> {
    let count = u8::try_from(recipients.len()).unwrap_or(u8::MAX);
    if recipients.is_empty() || recipients.len() > RECIPIENTS_MAX {
        return Err(EscrowError::Count(format!(
            "an escrow has 1 to {RECIPIENTS_MAX} recipients"
        )));
    }
    if !(1..=count).contains(&threshold) {
        return Err(EscrowError::Count(format!(
            "of {count} recipients {threshold} cannot be needed; choose 1 to {count}"
        )));
    }
    for (at, one) in recipients.iter().enumerate() {
        let same = |other: &&Recipient| other.name == one.name || other.point == one.point;
        if recipients.iter().skip(at + 1).any(|other| same(&other)) {
            return Err(EscrowError::Count(format!("{} is named twice", one.name)));
        }
    }
    let escrow: [u8; 16] = suite::random()?;
    let shares = field::split(master, threshold, count)?;
    let numbered = || (1u8..).zip(&shares);
    let commitments: Vec<String> = numbered()
        .map(|(number, share)| hex(&commitment(&escrow, number, share)))
        .collect();
    let mut notes = Vec::with_capacity(recipients.len());
    for ((number, share), recipient) in numbered().zip(recipients) {
        let ephemeral = EcdhPrivate::generate()?;
        let point = ephemeral.public()?;
        let numbers = [number, threshold, count];
        let about = about(zone.as_str(), &escrow, &numbers);
        let kek = kek(&ephemeral, &recipient.point, (&recipient.point, &point), &about)?;
        let share = Share {
            format: FORMAT.to_owned(),
            zone: zone.to_string(),
            escrow: hex(&escrow),
            master: hex(&suite::commitment(master)),
            threshold,
            count,
            commitments: commitments.clone(),
            number,
            recipient: recipient.name.clone(),
            point: hex(&recipient.point),
            ephemeral: hex(&point),
            wrapped: hex(&suite::wrap_key(&kek, share)?),
        };
        let line = serde_json::to_string(&share).map_err(|_| EscrowError::Form("share"))?;
        notes.push(sign_note(&format!("{line}\n"), signing, name));
    }
    Ok(Made {
        id: hex(&escrow),
        shares: notes,
    })
}

impl Share {
    /// Reads a share; its signature is checked with [`check_signature`].
    ///
    /// # Errors
    /// [`EscrowError::Form`].
    pub fn decode(note: &str) -> Result<Share, EscrowError> {
        let wrong = || EscrowError::Form("share of an escrow");
        let note = Note::parse(note).map_err(|_| wrong())?;
        let share: Share = serde_json::from_str(note.text).map_err(|_| wrong())?;
        let counts = (1..=share.count).contains(&share.number)
            && (1..=share.count).contains(&share.threshold)
            && share.commitments.len() == usize::from(share.count);
        if share.format == FORMAT && counts && is_name(&share.recipient) {
            Ok(share)
        } else {
            Err(wrong())
        }
    }

    /// Opens it with its recipient's key.
    ///
    /// # Errors
    /// [`EscrowError::NotOpened`], [`EscrowError::Form`].
    pub fn open(&self, private: &EcdhPrivate) -> Result<Key, EscrowError> {
        let not_opened = || EscrowError::NotOpened(self.recipient.clone());
        let escrow = bytes::<16>(&self.escrow)?;
        let point = bytes::<POINT_BYTES>(&self.point)?;
        let ephemeral = bytes::<POINT_BYTES>(&self.ephemeral)?;
        let wrapped = bytes::<WRAPPED_KEY_BYTES>(&self.wrapped)?;
        if private.public()? != point {
            return Err(not_opened());
        }
        let numbers = [self.number, self.threshold, self.count];
        let about = about(&self.zone, &escrow, &numbers);
        let kek = kek(private, &ephemeral, (&point, &ephemeral), &about).map_err(|_| not_opened())?;
        let share = suite::unwrap_key(&kek, &wrapped).map_err(|_| not_opened())?;
        let expected = usize::from(self.number)
            .checked_sub(1)
            .and_then(|at| self.commitments.get(at));
        if expected != Some(&hex(&commitment(&escrow, self.number, &share))) {
            return Err(not_opened());
        }
        Ok(share)
    }
}

fn bytes<const N: usize>(text: &str) -> Result<[u8; N], EscrowError> {
    let read = unhex(text).and_then(|bytes| <[u8; N]>::try_from(bytes).ok());
    read.ok_or(EscrowError::Form("share of an escrow"))
}

/// Whether the zone's key signed a share's file.
///
/// # Errors
/// [`EscrowError::Signature`].
pub fn check_signature(note: &str, key: &NoteKey) -> Result<(), EscrowError> {
    let note = Note::parse(note).map_err(|_| EscrowError::Signature)?;
    note.check(key).map_err(|_| EscrowError::Signature)
}

/// The master key from shares that were opened.
///
/// # Errors
/// [`EscrowError::Count`] when there are too few or one stands there twice, [`EscrowError::Mixed`], [`EscrowError::Wrong`].
pub fn recover(shares: &[(Share, Key)]) -> Result<Key, EscrowError> {
    let Some((first, _)) = shares.first() else {
        return Err(EscrowError::Count("no share was given".to_owned()));
    };
    let same = |share: &Share| {
        let of = |share: &Share| {
            let Share {
                zone,
                escrow,
                master,
                threshold,
                count,
                commitments,
                ..
            } = share.clone();
            (zone, escrow, master, threshold, count, commitments)
        };
        of(share) == of(first)
    };
    if !shares.iter().all(|(share, _)| same(share)) {
        return Err(EscrowError::Mixed);
    }
    for (at, (share, _)) in shares.iter().enumerate() {
        if shares
            .iter()
            .skip(at + 1)
            .any(|(other, _)| other.number == share.number)
        {
            return Err(EscrowError::Count(format!(
                "the share of {} was given twice",
                share.recipient
            )));
        }
    }
    let (needed, given) = (usize::from(first.threshold), shares.len());
    if given < needed {
        return Err(EscrowError::Count(format!(
            "{needed} of {} shares are needed, {given} given",
            first.count
        )));
    }
    let points: Vec<(u8, Key)> = shares
        .iter()
        .map(|(share, key)| (share.number, key.clone()))
        .collect();
    let master = field::combine(&points);
    if hex(&suite::commitment(&master)) == first.master {
        Ok(master)
    } else {
        Err(EscrowError::Wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone_key() -> (SigningKey, NoteKey) {
        let signing = SigningKey::from_seed(&Key::from_bytes([3; 32])).unwrap();
        let key = NoteKey {
            name: "chancery/us/0a1b2c3d".into(),
            public: signing.public(),
        };
        (signing, key)
    }

    fn recipients(count: u8) -> (Vec<EcdhPrivate>, Vec<Recipient>) {
        let private: Vec<EcdhPrivate> = (0..count).map(|_| EcdhPrivate::generate().unwrap()).collect();
        let public = (0..).zip(&private).map(|(n, key)| Recipient {
            name: format!("officer-{n}"),
            point: key.public().unwrap(),
        });
        let public = public.collect();
        (private, public)
    }

    fn made(threshold: u8, count: u8) -> (Key, Vec<EcdhPrivate>, Made) {
        let (private, public) = recipients(count);
        let (signing, key) = zone_key();
        let master = Key::random().unwrap();
        let zone = "us".parse().unwrap();
        let made = make(&zone, &master, &public, threshold, (&signing, &key.name)).unwrap();
        (master, private, made)
    }

    fn opened(private: &[EcdhPrivate], made: &Made, which: &[usize]) -> Vec<(Share, Key)> {
        let one = |at: &usize| {
            let share = Share::decode(&made.shares[*at]).unwrap();
            let key = share.open(&private[*at]).unwrap();
            (share, key)
        };
        which.iter().map(one).collect()
    }

    #[test]
    fn so_many_recipients_open_it_together_and_no_fewer() {
        let (master, private, made) = made(3, 5);
        for which in [&[0, 1, 2][..], &[4, 2, 0], &[0, 1, 2, 3, 4], &[1, 3, 4, 0]] {
            assert_eq!(recover(&opened(&private, &made, which)), Ok(master.clone()));
        }
        for which in [&[][..], &[0], &[4], &[0, 4], &[1, 2]] {
            let refused = recover(&opened(&private, &made, which)).unwrap_err();
            assert!(matches!(refused, EscrowError::Count(_)), "{refused}");
        }
        let twice = recover(&opened(&private, &made, &[0, 1, 1])).unwrap_err();
        assert_eq!(twice.to_string(), "the share of officer-1 was given twice");
    }

    #[test]
    fn a_share_opens_with_its_recipients_key_alone() {
        let (_, private, made) = made(2, 3);
        for (at, note) in made.shares.iter().enumerate() {
            let share = Share::decode(note).unwrap();
            for (other, key) in private.iter().enumerate() {
                assert_eq!(share.open(key).is_ok(), at == other);
            }
            let stranger = EcdhPrivate::generate().unwrap();
            assert_eq!(
                share.open(&stranger),
                Err(EscrowError::NotOpened(format!("officer-{at}")))
            );
        }
    }

    #[test]
    fn every_changed_byte_of_a_share_is_refused() {
        let (_, private, made) = made(2, 2);
        let (_, key) = zone_key();
        let note = &made.shares[0];
        assert_eq!(check_signature(note, &key), Ok(()));
        for at in 0..note.len() {
            let mut bytes = note.clone().into_bytes();
            bytes[at] ^= 1;
            let Ok(altered) = String::from_utf8(bytes) else {
                continue;
            };
            let opens = Share::decode(&altered).and_then(|share| share.open(&private[0]));
            assert!(
                opens.is_err() || check_signature(&altered, &key).is_err(),
                "byte {at}"
            );
        }
    }

    #[test]
    fn shares_of_two_escrows_do_not_mix_and_one_that_was_made_to_fit_gives_nothing() {
        let (_, private, one) = made(2, 3);
        let (_, other_private, other) = made(2, 3);
        let mut mixed = opened(&private, &one, &[0]);
        mixed.extend(opened(&other_private, &other, &[1]));
        assert_eq!(recover(&mixed), Err(EscrowError::Mixed));
        // The words of the one with the share of the other.
        let mut fitted = opened(&private, &one, &[0, 1]);
        fitted[1].1 = opened(&other_private, &other, &[1])[0].1.clone();
        assert_eq!(recover(&fitted), Err(EscrowError::Wrong));
        fitted[1].0.number = 3;
        assert_eq!(recover(&fitted), Err(EscrowError::Wrong));
    }

    #[test]
    fn what_cannot_be_an_escrow_is_refused() {
        let (signing, key) = zone_key();
        let (zone, master) = ("us".parse().unwrap(), Key::random().unwrap());
        let (_, public) = recipients(3);
        let try_make = |recipients: &[Recipient], threshold| {
            make(&zone, &master, recipients, threshold, (&signing, &key.name)).map(|_| ())
        };
        for (recipients, threshold) in [(&public[..0], 1), (&public[..], 0), (&public[..], 4)] {
            assert!(matches!(
                try_make(recipients, threshold),
                Err(EscrowError::Count(_))
            ));
        }
        let twice = [public[0].clone(), public[1].clone(), public[0].clone()];
        assert!(matches!(try_make(&twice, 2), Err(EscrowError::Count(_))));
        let (_, many) = recipients(33);
        assert!(matches!(try_make(&many, 2), Err(EscrowError::Count(_))));
        for text in [
            "",
            "chancery-escrow-key/1 ann",
            "chancery-escrow-key/1 ann 04",
            "chancery-escrow-key/2 ann 04",
            &public[0].encode().replace(" 04", " 05"),
            &public[0].encode().replace("officer-0", "../officer"),
            &public[0].encode().replace("officer-0", ""),
            &format!("{} more", public[0].encode()),
        ] {
            assert!(Recipient::decode(text).is_err(), "{text:?}");
        }
        assert_eq!(Recipient::decode(&public[0].encode()), Ok(public[0].clone()));
    }
}
