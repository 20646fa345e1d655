//! Witnesses: what one is asked, what it decides, and the cosignature it gives.
//!
//! A witness remembers the newest checkpoint of a log and cosigns another only when that continues it. So whoever holds
//! the log's key cannot show two histories, nor date one back. Here is what a client sends and checks, and the whole
//! decision of a witness; connections and files are the business of whoever calls.
//!
//! Source: C2SP `tlog-witness` and `tlog-cosignature` (c2sp.org), read 2026-11. Ed25519, signature type 4.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use model::Timestamp;

use crate::note::{self, Checkpoint, Note, NoteError, NoteKey};
use crate::suite::{self, SigningKey};
use crate::tree::{Hash, is_consistent};

/// Signature type of a cosignature, which also stands in its key.
const COSIGNATURE: u8 = 4;

/// Hashes in a consistency proof. Source: C2SP `tlog-witness`.
pub const PATH_MAX: usize = 63;

/// Longest request or answer that is read: a proof of 63 hashes, a checkpoint and many signatures.
pub const MESSAGE_BYTES_MAX: usize = 64 << 10;

/// The key by which a witness cosigns: the text form is `NAME+KEYID+BASE64`, as of a log's key, with type 4.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WitnessKey {
    /// Name of the witness.
    pub name: String,
    /// Ed25519 public key.
    pub public: [u8; 32],
}

impl WitnessKey {
    /// The four bytes that name the key in a signature line.
    pub fn id(&self) -> [u8; 4] {
        note::key_id(&self.name, COSIGNATURE, &self.public)
    }

    /// The text form.
    pub fn encode(&self) -> String {
        note::encode_key(&self.name, COSIGNATURE, &self.public)
    }

    /// Reads the text form; a line end is allowed.
    ///
    /// # Errors
    /// [`NoteError::Form`].
    pub fn decode(text: &str) -> Result<WitnessKey, NoteError> {
        let (name, public) = note::decode_key(text, COSIGNATURE)?;
        Ok(WitnessKey { name, public })
    }

    /// Checks every cosignature by this key on a note. Returns the latest time one of them states; unit: whole seconds.
    ///
    /// # Errors
    /// [`NoteError::NotSigned`], [`NoteError::Signature`].
    pub fn check(&self, note: &Note<'_>) -> Result<Timestamp, NoteError> {
        let id = self.id();
        let ours = |(name, signature): &&(&str, Vec<u8>)| *name == self.name && signature.starts_with(&id);
        let mut latest = None;
        for (_, signature) in note.signatures.iter().filter(ours) {
            let signature = signature.get(id.len()..).unwrap_or(&[]);
            let (time, signature) = signature.split_first_chunk::<8>().ok_or(NoteError::Signature)?;
            let seconds = u64::from_be_bytes(*time);
            suite::verify_signature(&self.public, message(note.text, seconds).as_bytes(), signature)
                .map_err(|_| NoteError::Signature)?;
            let seconds = i64::try_from(seconds).map_err(|_| NoteError::Signature)?;
            latest = latest.max(Some(Timestamp::from_seconds(seconds)));
        }
        latest.ok_or(NoteError::NotSigned)
    }
}

/// What is signed: two lines, then the text of the checkpoint.
fn message(text: &str, seconds: u64) -> String {
    format!("cosignature/v1\ntime {seconds}\n{text}")
}

/// A cosignature line, its end included, over the text of a checkpoint.
pub fn cosign(text: &str, at: Timestamp, name: &str, key: &SigningKey) -> String {
    let seconds = u64::try_from(at.as_micros().div_euclid(1_000_000)).unwrap_or(0);
    let id = note::key_id(name, COSIGNATURE, &key.public());
    let signature = key.sign(message(text, seconds).as_bytes());
    let signature = [id.as_slice(), &seconds.to_be_bytes(), &signature].concat();
    format!("\u{2014} {name} {}\n", STANDARD.encode(signature))
}

/// A request to cosign a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddCheckpoint<'a> {
    /// Size of the log that the witness is thought to know; 0 when it knows none.
    pub old: u64,
    /// Consistency proof from there.
    pub path: Vec<Hash>,
    /// The signed checkpoint.
    pub note: &'a str,
}

impl<'a> AddCheckpoint<'a> {
    /// The body of the request.
    pub fn encode(&self) -> String {
        let mut body = format!("old {}\n", self.old);
        for hash in &self.path {
            body.push_str(&STANDARD.encode(hash));
            body.push('\n');
        }
        body.push('\n');
        body.push_str(self.note);
        body
    }

    /// Reads a body.
    ///
    /// # Errors
    /// [`NoteError::Form`].
    pub fn decode(body: &'a str) -> Result<Self, NoteError> {
        let wrong = NoteError::Form("request of a witness");
        let (head, note) = body.split_once("\n\n").ok_or(wrong.clone())?;
        let mut lines = head.split('\n');
        let size = lines.next().and_then(|line| line.strip_prefix("old "));
        let old = size.and_then(decimal).ok_or(wrong.clone())?;
        let hash = |line: &str| Hash::try_from(STANDARD.decode(line).ok()?).ok();
        let path: Option<Vec<Hash>> = lines.map(hash).collect();
        match path {
            Some(path) if path.len() <= PATH_MAX => Ok(AddCheckpoint { old, path, note }),
            _ => Err(wrong),
        }
    }
}

/// A size in its one spelling.
pub fn decimal(text: &str) -> Option<u64> {
    let value: u64 = text.parse().ok()?;
    (value.to_string() == text).then_some(value)
}

/// What a witness remembers of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Size of the newest checkpoint it cosigned.
    pub size: u64,
    /// Its root.
    pub root: Hash,
}

/// What a witness answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Remember this, durably, then cosign.
    Cosign(Checkpoint),
    /// 400: not a request.
    Malformed,
    /// 403: not signed by the log's key.
    NotSigned,
    /// 404: a log that it does not watch.
    UnknownLog,
    /// 409: it knows the log at another size, which this is.
    OtherSize(u64),
    /// 409: the same size with another root. The log was forked, and its signature proves that.
    Forked(u64),
    /// 422: the proof does not lead from what it knows to this.
    NotConsistent,
}

/// Decides a request, `seen` telling what is remembered of a log by its origin. The caller lets nobody else decide for
/// the same log until what is to be remembered is durable.
pub fn decide(body: &str, logs: &[NoteKey], seen: impl FnOnce(&str) -> Option<Seen>) -> Decision {
    let Ok(request) = AddCheckpoint::decode(body) else {
        return Decision::Malformed;
    };
    let Ok(checkpoint) = Checkpoint::open(request.note, None) else {
        return Decision::Malformed;
    };
    let mut of_log = logs.iter().filter(|key| key.name == checkpoint.origin).peekable();
    if of_log.peek().is_none() {
        return Decision::UnknownLog;
    }
    if !of_log.any(|key| Checkpoint::open(request.note, Some(key)).is_ok()) {
        return Decision::NotSigned;
    }
    if request.old > checkpoint.size {
        return Decision::Malformed;
    }
    let seen = seen(&checkpoint.origin).unwrap_or(Seen {
        size: 0,
        root: crate::tree::empty_root(),
    });
    if request.old != seen.size {
        return Decision::OtherSize(seen.size);
    }
    if seen.size == checkpoint.size && seen.root != checkpoint.root {
        return Decision::Forked(seen.size);
    }
    let (root, path) = (&checkpoint.root, &request.path);
    if !is_consistent(seen.size, &seen.root, checkpoint.size, root, path) {
        return Decision::NotConsistent;
    }
    Decision::Cosign(checkpoint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Key;
    use crate::tree::{InMemory, consistency_proof, leaf_hash, root};

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_seed(&Key::from_bytes([seed; 32])).unwrap()
    }

    fn log_key() -> NoteKey {
        NoteKey {
            name: "chancery/us/0a1b2c3d".into(),
            public: key(3).public(),
        }
    }

    fn witness_key() -> WitnessKey {
        WitnessKey {
            name: "witness.example/w1".into(),
            public: key(8).public(),
        }
    }

    /// Leaves of a history; `branch` makes others.
    fn leaves(branch: u8, count: u64) -> Vec<Hash> {
        (0..count)
            .map(|n| leaf_hash(&[&[branch], &n.to_be_bytes()]))
            .collect()
    }

    fn checkpoint(leaves: &[Hash]) -> Checkpoint {
        Checkpoint {
            origin: log_key().name,
            size: leaves.len() as u64,
            root: root(leaves),
        }
    }

    fn request(leaves: &[Hash], old: u64, signer: &SigningKey) -> String {
        let note = checkpoint(leaves).sign(signer);
        let Ok(path) = consistency_proof(&mut InMemory(leaves), old, leaves.len() as u64);
        AddCheckpoint {
            old,
            path,
            note: &note,
        }
        .encode()
    }

    fn seen(leaves: &[Hash]) -> Option<Seen> {
        Some(Seen {
            size: leaves.len() as u64,
            root: root(leaves),
        })
    }

    #[test]
    fn a_witness_cosigns_what_continues_what_it_knows_and_nothing_else() {
        let (known, longer, other) = (leaves(1, 5), leaves(1, 9), leaves(2, 9));
        let logs = [log_key()];
        let check = |what: &str, body: &str, known: Option<Seen>, expected: Decision| {
            assert_eq!(decide(body, &logs, |_| known), expected, "{what}");
        };
        let right = request(&longer, 5, &key(3));
        check(
            "the first",
            &request(&known, 0, &key(3)),
            None,
            Decision::Cosign(checkpoint(&known)),
        );
        check(
            "a later one",
            &right,
            seen(&known),
            Decision::Cosign(checkpoint(&longer)),
        );
        check(
            "the same again",
            &request(&known, 5, &key(3)),
            seen(&known),
            Decision::Cosign(checkpoint(&known)),
        );
        check(
            "from another size",
            &request(&longer, 4, &key(3)),
            seen(&known),
            Decision::OtherSize(5),
        );
        check(
            "from nothing",
            &request(&longer, 0, &key(3)),
            seen(&known),
            Decision::OtherSize(5),
        );
        check(
            "a rollback",
            &request(&known, 3, &key(3)),
            seen(&longer),
            Decision::OtherSize(9),
        );
        check(
            "a fork",
            &request(&other, 5, &key(3)),
            seen(&known),
            Decision::NotConsistent,
        );
        check(
            "a fork of the same size",
            &request(&other, 9, &key(3)),
            seen(&longer),
            Decision::Forked(9),
        );
        check(
            "an old size past the checkpoint",
            &request(&known, 5, &key(3)).replacen("old 5", "old 6", 1),
            seen(&known),
            Decision::Malformed,
        );
        check(
            "another key",
            &request(&longer, 5, &key(4)),
            seen(&known),
            Decision::NotSigned,
        );
        let cut = right.lines().skip(2).collect::<Vec<_>>().join("\n");
        check(
            "a proof too short",
            &format!("old 5\n{cut}\n"),
            seen(&known),
            Decision::NotConsistent,
        );
        let strange = right.replace("chancery/us/", "chancery/eu/");
        check("another log", &strange, seen(&known), Decision::UnknownLog);
        for wrong in ["", "old 5", "old 05\n\n", "old 5\nnot a hash\n\nx", "new 5\n\nx"] {
            check(wrong, wrong, seen(&known), Decision::Malformed);
        }
    }

    #[test]
    fn a_request_reads_back_and_one_with_too_long_a_proof_is_refused() {
        let note = checkpoint(&leaves(1, 5)).sign(&key(3));
        let request = |hashes| AddCheckpoint {
            old: 3,
            path: vec![[7; 32]; hashes],
            note: &note,
        };
        for hashes in [0, 1, PATH_MAX] {
            let body = request(hashes).encode();
            assert_eq!(AddCheckpoint::decode(&body), Ok(request(hashes)));
        }
        assert!(AddCheckpoint::decode(&request(PATH_MAX + 1).encode()).is_err());
    }

    #[test]
    fn a_cosignature_is_proved_with_its_key_and_any_changed_byte_is_noticed() {
        let text = "chancery/us/0a1b2c3d\n5\nAAAA\n";
        let at = Timestamp::from_seconds(1_679_315_147);
        let line = cosign(text, at, &witness_key().name, &key(8));
        let whole = format!("{text}\n{line}");
        assert_eq!(witness_key().check(&Note::parse(&whole).unwrap()), Ok(at));
        for at in 0..whole.len() {
            let mut changed = whole.clone().into_bytes();
            changed[at] ^= 1;
            if let Ok(changed) = String::from_utf8(changed)
                && let Ok(note) = Note::parse(&changed)
            {
                assert!(witness_key().check(&note).is_err(), "byte {at}");
            }
        }
        let other = WitnessKey {
            public: key(9).public(),
            ..witness_key()
        };
        assert_eq!(
            other.check(&Note::parse(&whole).unwrap()),
            Err(NoteError::NotSigned)
        );
    }

    #[test]
    fn a_good_cosignature_beside_a_wrong_one_of_the_same_key_is_refused() {
        let text = "chancery/us/0a1b2c3d\n5\nAAAA\n";
        let at = Timestamp::from_seconds(1_679_315_147);
        let good = cosign(text, at, &witness_key().name, &key(8));
        let wrong = cosign("other\n5\nAAAA\n", at, &witness_key().name, &key(8));
        let both = format!("{text}\n{good}{wrong}");
        assert_eq!(
            witness_key().check(&Note::parse(&both).unwrap()),
            Err(NoteError::Signature)
        );
    }

    #[test]
    fn a_witness_key_reads_back_and_a_logs_key_is_none() {
        let text = witness_key().encode();
        assert_eq!(WitnessKey::decode(&format!("{text}\n")), Ok(witness_key()));
        assert!(WitnessKey::decode(&log_key().encode()).is_err());
        assert!(NoteKey::decode(&text).is_err());
    }
}
