//! Signed notes and checkpoints.
//!
//! Source: C2SP `signed-note` and `tlog-checkpoint` (c2sp.org). Ed25519, signature type 1.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::suite::{self, SealError, SigningKey};
use crate::tree::Hash;

const ED25519: u8 = 1;

/// A key that signs or verifies notes: the text form is `NAME+KEYID+BASE64`, as C2SP writes verifier keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteKey {
    /// Name of the key; for a zone also the origin of its log.
    pub name: String,
    /// Ed25519 public key.
    pub public: [u8; 32],
}

/// Why a note or key was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    /// Not in the form of a note, checkpoint or key.
    #[error("not a well-formed {0}")]
    Form(&'static str),
    /// No signature by the wanted key.
    #[error("no signature by this key")]
    NotSigned,
    /// A signature by the wanted key that does not match.
    #[error("the signature does not match")]
    Signature,
    /// Another log's.
    #[error("a checkpoint of another log")]
    Origin,
    /// Signed by a key that was replaced, and not of what it signed until then.
    #[error("signed by a key that was replaced before, and not among what that key signed")]
    AfterLast,
}

/// The four bytes that name a key in a signature line.
pub(crate) fn key_id(name: &str, kind: u8, public: &[u8; 32]) -> [u8; 4] {
    let digest = suite::sha256_of(&[name.as_bytes(), b"\n", &[kind], public]);
    [digest[0], digest[1], digest[2], digest[3]]
}

/// The text form of a key.
pub(crate) fn encode_key(name: &str, kind: u8, public: &[u8; 32]) -> String {
    let key = [&[kind], public.as_slice()].concat();
    let id = suite::hex(&key_id(name, kind, public));
    format!("{name}+{id}+{}", STANDARD.encode(key))
}

/// What may name a key: C2SP takes no space of Unicode and no plus.
fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(|c: char| c == '+' || c < ' ' || c.is_whitespace())
}

/// Reads the text form of a key of this kind; a line end is allowed.
pub(crate) fn decode_key(text: &str, kind: u8) -> Result<(String, [u8; 32]), NoteError> {
    let wrong = NoteError::Form("key (NAME+ID+BASE64)");
    let mut pieces = text.strip_suffix('\n').unwrap_or(text).splitn(3, '+');
    let (Some(name), Some(id), Some(key)) = (pieces.next(), pieces.next(), pieces.next()) else {
        return Err(wrong);
    };
    let key = STANDARD.decode(key).map_err(|_| wrong.clone())?;
    let (found, public) = key.split_first().ok_or(wrong.clone())?;
    let public = <[u8; 32]>::try_from(public).map_err(|_| wrong.clone())?;
    if *found == kind && is_name(name) && suite::hex(&key_id(name, kind, &public)) == id {
        Ok((name.to_owned(), public))
    } else {
        Err(wrong)
    }
}

impl NoteKey {
    /// The four bytes that name the key in a signature line.
    pub fn id(&self) -> [u8; 4] {
        key_id(&self.name, ED25519, &self.public)
    }

    /// The text form.
    pub fn encode(&self) -> String {
        encode_key(&self.name, ED25519, &self.public)
    }

    /// Reads the text form; a line end is allowed.
    ///
    /// # Errors
    /// [`NoteError::Form`].
    pub fn decode(text: &str) -> Result<NoteKey, NoteError> {
        let (name, public) = decode_key(text, ED25519)?;
        Ok(NoteKey { name, public })
    }
}

/// The head of a log: its size and root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log.
    pub origin: String,
    /// How many batches it holds.
    pub size: u64,
    /// RFC 6962 root over them.
    pub root: Hash,
}

impl Checkpoint {
    fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, STANDARD.encode(self.root))
    }

    /// The signed note.
    pub fn sign(&self, key: &SigningKey) -> String {
        sign_note(&self.text(), key, &self.origin)
    }

    /// Reads a signed note. With a key its signature is checked; without one only its form.
    ///
    /// # Errors
    /// [`NoteError`].
    pub fn open(note: &str, key: Option<&NoteKey>) -> Result<Checkpoint, NoteError> {
        let note = Note::parse(note)?;
        let checkpoint = Checkpoint::parse(note.text)?;
        let Some(key) = key else { return Ok(checkpoint) };
        if checkpoint.origin != key.name {
            return Err(NoteError::Origin);
        }
        note.check(key)?;
        Ok(checkpoint)
    }

    fn parse(text: &str) -> Result<Checkpoint, NoteError> {
        let wrong = NoteError::Form("checkpoint");
        let lines: Vec<&str> = text.split('\n').collect();
        let [origin, size, root, ""] = lines.as_slice() else {
            return Err(wrong);
        };
        let root = STANDARD
            .decode(root)
            .ok()
            .and_then(|root| Hash::try_from(root.as_slice()).ok());
        let checkpoint = Checkpoint {
            origin: (*origin).to_owned(),
            size: size.parse().map_err(|_| wrong.clone())?,
            root: root.ok_or(wrong.clone())?,
        };
        // One text for each checkpoint: no leading zeros, plus signs or other spellings.
        if checkpoint.text() == text && !origin.is_empty() {
            Ok(checkpoint)
        } else {
            Err(wrong)
        }
    }
}

/// A text that ends with a line end, signed as a note under a key's name.
pub fn sign_note(text: &str, key: &SigningKey, name: &str) -> String {
    format!("{text}\n{}", signature_line(text, key, name))
}

/// A signature line, its end included.
pub(crate) fn signature_line(text: &str, key: &SigningKey, name: &str) -> String {
    let id = key_id(name, ED25519, &key.public());
    let signature = [id.as_slice(), key.sign(text.as_bytes()).as_slice()].concat();
    format!("\u{2014} {name} {}\n", STANDARD.encode(signature))
}

/// A signed note, read but not checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note<'a> {
    /// What is signed, its last line end included.
    pub text: &'a str,
    /// Name and signature of each signature line, in order.
    pub signatures: Vec<(&'a str, Vec<u8>)>,
}

impl<'a> Note<'a> {
    /// Reads the form.
    ///
    /// # Errors
    /// [`NoteError::Form`].
    pub fn parse(note: &'a str) -> Result<Self, NoteError> {
        let wrong = NoteError::Form("signed note");
        if note.bytes().any(|byte| byte < b' ' && byte != b'\n') {
            return Err(wrong);
        }
        let blank = note.rfind("\n\n").ok_or(wrong.clone())?;
        let (text, rest) = note.split_at_checked(blank + 1).ok_or(wrong.clone())?;
        let lines = rest.strip_prefix('\n').and_then(|rest| rest.strip_suffix('\n'));
        let signatures = lines.ok_or(wrong)?.split('\n').map(parse_signature);
        Ok(Note {
            text,
            signatures: signatures.collect::<Result<_, _>>()?,
        })
    }

    /// Checks the signature by this key, or all of them where there are several.
    ///
    /// # Errors
    /// [`NoteError::NotSigned`], [`NoteError::Signature`].
    pub fn check(&self, key: &NoteKey) -> Result<(), NoteError> {
        let id = key.id();
        let by_key = |(name, signature): &&(&str, Vec<u8>)| *name == key.name && signature.starts_with(&id);
        let mut found = Err(NoteError::NotSigned);
        for (_, signature) in self.signatures.iter().filter(by_key) {
            let signature = signature.get(id.len()..).unwrap_or(&[]);
            suite::verify_signature(&key.public, self.text.as_bytes(), signature)
                .map_err(|_: SealError| NoteError::Signature)?;
            found = Ok(());
        }
        found
    }
}

fn parse_signature(line: &str) -> Result<(&str, Vec<u8>), NoteError> {
    let wrong = NoteError::Form("signature line");
    let rest = line.strip_prefix("\u{2014} ").ok_or(wrong.clone())?;
    let (name, signature) = rest.split_once(' ').ok_or(wrong.clone())?;
    let signature = STANDARD.decode(signature).map_err(|_| wrong.clone())?;
    if is_name(name) && signature.len() >= 5 {
        Ok((name, signature))
    } else {
        Err(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Key;

    fn signed() -> (String, NoteKey, Checkpoint) {
        let key = SigningKey::from_seed(&Key::from_bytes([3; 32])).unwrap();
        let name = NoteKey {
            name: "chancery/us/0a1b2c3d".into(),
            public: key.public(),
        };
        let checkpoint = Checkpoint {
            origin: name.name.clone(),
            size: 17,
            root: [9; 32],
        };
        (checkpoint.sign(&key), name, checkpoint)
    }

    #[test]
    fn a_checkpoint_opens_with_its_key_and_any_changed_byte_is_noticed() {
        let (note, key, checkpoint) = signed();
        assert_eq!(Checkpoint::open(&note, Some(&key)), Ok(checkpoint));
        for at in 0..note.len() {
            for bit in 0..7 {
                let mut changed = note.clone().into_bytes();
                changed[at] ^= 1 << bit;
                if let Ok(changed) = String::from_utf8(changed) {
                    assert!(
                        Checkpoint::open(&changed, Some(&key)).is_err(),
                        "byte {at} bit {bit}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_key_reads_back_from_its_text_and_no_other_text_is_a_key() {
        let (_, key, _) = signed();
        let text = key.encode();
        assert_eq!(NoteKey::decode(&text), Ok(key.clone()));
        assert_eq!(NoteKey::decode(&format!("{text}\n")), Ok(key.clone()));
        for wrong in [
            "",
            "a+b",
            "a+00000000+AAAA",
            &text.replace("us", "eu"),
            &format!("{text}\n\n"),
            &encode_key("a\u{a0}b", ED25519, &key.public),
            &encode_key("a\u{1f}b", ED25519, &key.public),
            &text[..text.len() - 2],
        ] {
            assert!(NoteKey::decode(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_note_has_every_signature_by_the_key_right_and_no_odd_characters() {
        let (note, key, _) = signed();
        let line = note.lines().last().unwrap();
        let wrong = line.replacen('=', "", 1);
        assert!(Checkpoint::open(&format!("{note}{line}\n"), Some(&key)).is_ok());
        let other = SigningKey::from_seed(&Key::from_bytes([4; 32])).unwrap();
        let forged = [key.id().as_slice(), other.sign(b"else").as_slice()].concat();
        let forged = format!("\u{2014} {} {}\n", key.name, STANDARD.encode(forged));
        assert_eq!(
            Checkpoint::open(&format!("{note}{forged}"), Some(&key)),
            Err(NoteError::Signature)
        );
        for more in [
            format!("{wrong}\n"),
            "\u{2014} a+b AAAAAAA=\n".to_owned(),
            "\u{2014} a\u{a0}b AAAAAAA=\n".to_owned(),
            "\u{2014} a\tb AAAAAAA=\n".to_owned(),
        ] {
            assert!(
                Checkpoint::open(&format!("{note}{more}"), Some(&key)).is_err(),
                "{more}"
            );
        }
        assert!(Checkpoint::open(&format!("{note}\u{2014} a AAAAAAA=\n"), Some(&key)).is_ok());
    }

    #[test]
    fn a_checkpoint_with_another_spelling_of_its_size_is_refused() {
        let (note, _, _) = signed();
        for other in ["017", "+17", "17 ", "-1", "x"] {
            let changed = note.replacen("\n17\n", &format!("\n{other}\n"), 1);
            assert!(Checkpoint::open(&changed, None).is_err(), "{other}");
        }
    }
}
