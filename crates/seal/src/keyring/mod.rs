//! The key ring: the few secrets whose destruction makes content unreadable, and the file that keeps them.
//!
//! *Shape.* A head: `CHKEYRG1`, length (4 bytes), fields, CRC-32C (4); the fields name the zone and hold the master
//! key, sealed under the passphrase (Argon2id) or a key file. Then records: length (4), CRC-32C of the length (4),
//! nonce (12), ciphertext. Each record's associated data is a running SHA-256 over everything before it, so that a
//! record cannot be altered, dropped, moved or taken from an older copy. An append is one write; to destroy, the whole
//! file is written anew without the secret. Why not a database: every flipped byte must be found, and a database file
//! has bytes that nothing checks.

mod head;
mod records;

use std::collections::HashMap;

use model::bytes::{Malformed, Writer};
use model::{KeyId, Position, ZoneId};
use zeroize::Zeroizing;

use crate::suite::{self, Key, SealError};
use head::{encode_head, open_head, split_head};
use records::{decode_record, encode_record};

const RECORD_HEAD_BYTES: usize = 20;
const RECORD_BYTES_MAX: usize = 1 << 20;

/// What a secret is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum SecretKind {
    /// One conversation.
    Conversation = 1,
    /// One person.
    Person = 2,
    /// One month of one retention class.
    Period = 3,
    /// What a connection delivered that concerns no known conversation.
    Unattributed = 4,
    /// A hold.
    Hold = 5,
    /// Keyed digests by which repeats are told and secrets are found.
    Digest = 6,
    /// The private half of an intake epoch.
    Epoch = 7,
    /// Seed of the key that signs checkpoints.
    Signing = 8,
    /// Bodies of acts.
    Acts = 9,
    /// Names in the catalogue.
    Catalogue = 10,
}

impl SecretKind {
    /// All of them.
    pub const ALL: &[SecretKind] = &[
        SecretKind::Conversation,
        SecretKind::Person,
        SecretKind::Period,
        SecretKind::Unattributed,
        SecretKind::Hold,
        SecretKind::Digest,
        SecretKind::Epoch,
        SecretKind::Signing,
        SecretKind::Acts,
        SecretKind::Catalogue,
    ];

    /// Name for people and reports.
    pub const fn name(self) -> &'static str {
        match self {
            SecretKind::Conversation => "conversation",
            SecretKind::Person => "person",
            SecretKind::Period => "period",
            SecretKind::Unattributed => "unattributed",
            SecretKind::Hold => "hold",
            SecretKind::Digest => "digest",
            SecretKind::Epoch => "epoch",
            SecretKind::Signing => "signing",
            SecretKind::Acts => "acts",
            SecretKind::Catalogue => "catalogue",
        }
    }
}

/// A keyed digest by which a secret is found again: of a conversation's id, a person's handle, a month.
pub type Label = [u8; 16];

/// A record of the ring.
#[derive(Clone, PartialEq, Eq)]
pub enum Record {
    /// A secret.
    Secret {
        /// Its name in entries.
        id: KeyId,
        /// What for.
        kind: SecretKind,
        /// How it is found.
        label: Label,
        /// Head of the ledger when it was made: a ring that knows a later head than the ledger is refused.
        at: Position,
        /// The secret.
        secret: Key,
    },
    /// A secret that was destroyed; its label stays, so that later imports are checked.
    Destroyed {
        /// Its name in entries.
        id: KeyId,
        /// What for.
        kind: SecretKind,
        /// How it was found.
        label: Label,
        /// The entry that says so.
        at: Position,
    },
    /// Something else that must be kept secret: a connection with its webhook secrets, a user's password digest.
    Item {
        /// What sort (`connection`, `user`).
        class: String,
        /// Its name.
        name: String,
        /// Its bytes; empty when it was removed.
        bytes: Zeroizing<Vec<u8>>,
    },
}

/// How the ring is opened.
pub enum Unlock<'a> {
    /// A passphrase, stretched by Argon2id.
    Passphrase(&'a [u8]),
    /// The bytes of a key file kept elsewhere, at least 32.
    KeyFile(&'a [u8]),
}

/// Cost of Argon2id (RFC 9106).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PassphraseCost {
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes.
    pub passes: u32,
}

impl PassphraseCost {
    /// RFC 9106, section 4, second recommended option: 64 MiB, three passes.
    pub const STANDARD: PassphraseCost = PassphraseCost {
        memory_kib: 65_536,
        passes: 3,
    };
}

/// Why a ring was not opened.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    /// The passphrase or key file is wrong, or the head was altered.
    #[error("wrong passphrase or key file (or the head of the key store was altered)")]
    Wrong,
    /// The wrong sort of key was given.
    #[error("this key store is opened by {0}")]
    OtherSort(&'static str),
    /// A passphrase or key file too short to protect anything.
    #[error("{0}")]
    Weak(&'static str),
    /// A record was altered, dropped or moved.
    #[error("key store altered at byte {offset}")]
    Altered {
        /// Where the record begins.
        offset: u64,
    },
    /// The head is not one.
    #[error("not a key store: {0}")]
    Malformed(#[from] Malformed),
    /// The provider failed.
    #[error(transparent)]
    Seal(#[from] SealError),
}

/// A secret as the ring holds it.
#[derive(Debug, Clone)]
pub struct Held {
    /// What for.
    pub kind: SecretKind,
    /// How it is found.
    pub label: Label,
    /// Head of the ledger when it was made.
    pub at: Position,
    /// The secret, unless destroyed.
    pub secret: Option<Key>,
}

/// The opened ring.
pub struct Keyring {
    zone: ZoneId,
    head: Vec<u8>,
    master: Key,
    chain: [u8; 32],
    held: HashMap<KeyId, Held>,
    found: HashMap<(SecretKind, Label), KeyId>,
    /// The last of each label that was destroyed: it may have a living one again.
    gone: HashMap<(SecretKind, Label), (KeyId, Position)>,
    items: HashMap<(String, String), Zeroizing<Vec<u8>>>,
    order: Vec<KeyId>,
}

/// A ring read from its file.
pub struct Opened {
    /// The ring.
    pub ring: Keyring,
    /// How many bytes of the file it covers. Fewer than the file has: a torn append, never acknowledged.
    pub covered_bytes: usize,
}

impl Keyring {
    /// A new, empty ring and the bytes of its file.
    ///
    /// # Errors
    /// [`KeyringError::Weak`] for an empty passphrase or a short key file; [`KeyringError::Seal`].
    pub fn create(
        zone: ZoneId,
        unlock: &Unlock<'_>,
        cost: PassphraseCost,
    ) -> Result<(Keyring, Vec<u8>), KeyringError> {
        let master = Key::random()?;
        let head = encode_head(&zone, unlock, cost, &master)?;
        Ok((Keyring::empty(zone, head.clone(), master), head))
    }

    fn empty(zone: ZoneId, head: Vec<u8>, master: Key) -> Keyring {
        Keyring {
            zone,
            chain: suite::sha256(&head),
            head,
            master,
            held: HashMap::new(),
            found: HashMap::new(),
            gone: HashMap::new(),
            items: HashMap::new(),
            order: Vec::new(),
        }
    }

    /// Opens the bytes of a file. An append that a crash cut short is left out; anything else that is not as it was
    /// written is refused.
    ///
    /// # Errors
    /// [`KeyringError`].
    pub fn open(bytes: &[u8], unlock: &Unlock<'_>) -> Result<Opened, KeyringError> {
        let (zone, master, head_bytes) = open_head(bytes, unlock)?;
        Keyring::read_all(bytes, zone, master, head_bytes)
    }

    fn read_all(bytes: &[u8], zone: ZoneId, master: Key, head_bytes: usize) -> Result<Opened, KeyringError> {
        let head = bytes.get(..head_bytes).unwrap_or(&[]).to_vec();
        let mut ring = Keyring::empty(zone, head, master);
        let mut at = head_bytes;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            match ring
                .read_record(rest)
                .map_err(|()| KeyringError::Altered { offset: at as u64 })?
            {
                Some(length) => at += length,
                None => break,
            }
        }
        Ok(Opened {
            ring,
            covered_bytes: at,
        })
    }

    /// Reads one record; `None` when the file ends inside it.
    fn read_record(&mut self, bytes: &[u8]) -> Result<Option<usize>, ()> {
        let Some((length, rest)) = bytes.split_first_chunk::<4>() else {
            return Ok(None);
        };
        let Some((check, rest)) = rest.split_first_chunk::<4>() else {
            return Ok(None);
        };
        if crc32c::crc32c(length) != u32::from_be_bytes(*check) {
            return Err(());
        }
        let sealed_bytes = u32::from_be_bytes(*length) as usize;
        let Some((nonce, rest)) = rest.split_first_chunk::<12>() else {
            return Ok(None);
        };
        let Some(sealed) = rest.get(..sealed_bytes) else {
            return Ok(None);
        };
        let mut plain = Zeroizing::new(Vec::new());
        suite::open(&self.master, *nonce, &self.chain, sealed, &mut plain).map_err(|_| ())?;
        self.apply(decode_record(&plain).map_err(|_| ())?);
        let total = RECORD_HEAD_BYTES + sealed_bytes;
        self.chain = suite::sha256_of(&[&self.chain, bytes.get(..total).unwrap_or(&[])]);
        Ok(Some(total))
    }

    fn apply(&mut self, record: Record) {
        match record {
            Record::Secret {
                id,
                kind,
                label,
                at,
                secret,
            } => {
                self.found.insert((kind, label), id);
                self.order.push(id);
                self.held.insert(
                    id,
                    Held {
                        kind,
                        label,
                        at,
                        secret: Some(secret),
                    },
                );
            }
            Record::Destroyed { id, kind, label, at } => {
                if self.found.get(&(kind, label)) == Some(&id) {
                    self.found.remove(&(kind, label));
                }
                let last = self.gone.entry((kind, label)).or_insert((id, at));
                if last.1 < at {
                    *last = (id, at);
                }
                if self
                    .held
                    .insert(
                        id,
                        Held {
                            kind,
                            label,
                            at,
                            secret: None,
                        },
                    )
                    .is_none()
                {
                    self.order.push(id);
                }
            }
            Record::Item { class, name, bytes } => {
                if bytes.is_empty() {
                    self.items.remove(&(class, name));
                } else {
                    self.items.insert((class, name), bytes);
                }
            }
        }
    }

    /// Seals a record and returns the bytes to append to the file. The ring counts it at once: when the append
    /// fails, the ring must be dropped and opened anew.
    ///
    /// # Errors
    /// [`KeyringError::Seal`]; [`KeyringError::Weak`] for an item over 1 MiB.
    pub fn append(&mut self, record: Record) -> Result<Vec<u8>, KeyringError> {
        let plain = Zeroizing::new(encode_record(&record));
        if plain.len() > RECORD_BYTES_MAX {
            return Err(KeyringError::Weak("an item of the key store is over 1 MiB"));
        }
        let nonce: [u8; 12] = suite::random()?;
        let mut sealed = Vec::with_capacity(plain.len() + suite::TAG_BYTES);
        sealed.extend_from_slice(&plain);
        suite::seal(&self.master, nonce, &self.chain, &mut sealed)?;
        let length = u32::try_from(sealed.len()).unwrap_or(u32::MAX).to_be_bytes();
        let mut frame = Writer::with_capacity(sealed.len() + RECORD_HEAD_BYTES);
        frame
            .raw(&length)
            .u32(crc32c::crc32c(&length))
            .raw(&nonce)
            .raw(&sealed);
        let frame = frame.into_bytes();
        self.chain = suite::sha256_of(&[&self.chain, &frame]);
        self.apply(record);
        Ok(frame)
    }

    /// The whole file anew, holding only what the ring holds now: what was destroyed is in no byte of it.
    ///
    /// # Errors
    /// [`KeyringError::Seal`].
    pub fn rewrite(&mut self) -> Result<Vec<u8>, KeyringError> {
        let mut fresh = Keyring::empty(self.zone.clone(), self.head.clone(), self.master.clone());
        let mut file = self.head.clone();
        for id in &self.order {
            let Some(held) = self.held.get(id) else { continue };
            let (id, kind, label, at) = (*id, held.kind, held.label, held.at);
            file.extend(fresh.append(match held.secret.clone() {
                Some(secret) => Record::Secret {
                    id,
                    kind,
                    label,
                    at,
                    secret,
                },
                None => Record::Destroyed { id, kind, label, at },
            })?);
        }
        let mut items: Vec<_> = self.items.iter().collect();
        items.sort_by_key(|(name, _)| *name);
        for ((class, name), bytes) in items {
            let (class, name, bytes) = (class.clone(), name.clone(), bytes.clone());
            file.extend(fresh.append(Record::Item { class, name, bytes })?);
        }
        *self = fresh;
        Ok(file)
    }

    /// Seals under a new master key, which another passphrase or key file opens. The file must be written anew.
    ///
    /// # Errors
    /// As [`Keyring::create`].
    pub fn change_unlock(&mut self, unlock: &Unlock<'_>, cost: PassphraseCost) -> Result<(), KeyringError> {
        let master = Key::random()?;
        self.head = encode_head(&self.zone, unlock, cost, &master)?;
        self.master = master;
        Ok(())
    }

    /// The master key: to split it among the recipients of an escrow.
    pub fn master(&self) -> &Key {
        &self.master
    }

    /// Opens the bytes of a file with its master key, as an escrow gives it back.
    ///
    /// # Errors
    /// [`KeyringError::Wrong`] when it is another ring's, or of before the passphrase was changed; [`KeyringError`].
    pub fn open_with_master(bytes: &[u8], master: &Key) -> Result<Opened, KeyringError> {
        let (zone, head_bytes) = split_head(bytes)?;
        let opened = Keyring::read_all(bytes, zone, master.clone(), head_bytes);
        match opened {
            // The zone's own secrets are the first record of every ring: if that does not open, the key is another.
            Err(KeyringError::Altered { offset }) if offset == head_bytes as u64 => Err(KeyringError::Wrong),
            other => other,
        }
    }

    /// Whether the bytes of a file are this ring's, every record of them; how many bytes that covers.
    ///
    /// # Errors
    /// [`KeyringError::Altered`] names the byte.
    pub fn check(&self, bytes: &[u8]) -> Result<usize, KeyringError> {
        let (zone, head_bytes) = split_head(bytes)?;
        if bytes.get(..head_bytes) != Some(self.head.as_slice()) {
            return Err(KeyringError::Altered { offset: 0 });
        }
        let opened = Keyring::read_all(bytes, zone, self.master.clone(), head_bytes)?;
        Ok(opened.covered_bytes)
    }

    /// Forgets secrets that were made when the ledger reached further than `head`: no entry below it needs them. What
    /// was destroyed stays destroyed, as if it had been at `head`. The file must be written anew.
    pub fn cut_back(&mut self, head: Position) {
        let newer: Vec<KeyId> = self
            .held
            .iter()
            .filter(|(_, held)| held.at > head && held.secret.is_some())
            .map(|(id, _)| *id)
            .collect();
        for id in newer {
            if let Some(held) = self.held.remove(&id) {
                self.found.remove(&(held.kind, held.label));
            }
            self.order.retain(|known| *known != id);
        }
        for held in self.held.values_mut() {
            held.at = held.at.min(head);
        }
    }

    /// Whose ring it is.
    pub fn zone(&self) -> &ZoneId {
        &self.zone
    }

    /// A secret by its name; none when it was destroyed or never here.
    pub fn secret(&self, id: KeyId) -> Option<&Key> {
        self.held.get(&id).and_then(|held| held.secret.as_ref())
    }

    /// What is known of a name.
    pub fn held(&self, id: KeyId) -> Option<&Held> {
        self.held.get(&id)
    }

    /// The living secret of a kind with this label.
    pub fn find(&self, kind: SecretKind, label: &Label) -> Option<KeyId> {
        self.found.get(&(kind, *label)).copied()
    }

    /// The secret of a kind with this label that was destroyed last, and the entry that says so. Whether or not there is a
    /// living one again.
    pub fn destroyed(&self, kind: SecretKind, label: &Label) -> Option<(KeyId, Position)> {
        self.gone.get(&(kind, *label)).copied()
    }

    /// What was destroyed last of each kind and label, and the entries that say so, in no order.
    pub fn all_destroyed(&self) -> impl Iterator<Item = (SecretKind, Label, KeyId, Position)> {
        self.gone
            .iter()
            .map(|((kind, label), (id, at))| (*kind, *label, *id, *at))
    }

    /// Everything held, oldest first.
    pub fn all(&self) -> impl Iterator<Item = (KeyId, &Held)> {
        self.order
            .iter()
            .filter_map(|id| self.held.get(id).map(|held| (*id, held)))
    }

    /// An item's bytes.
    pub fn item(&self, class: &str, name: &str) -> Option<&[u8]> {
        self.items
            .get(&(class.to_owned(), name.to_owned()))
            .map(|bytes| bytes.as_slice())
    }

    /// Names of all items of a class, sorted.
    pub fn item_names(&self, class: &str) -> Vec<String> {
        let of_class = self.items.keys().filter(|(c, _)| c == class);
        let mut names: Vec<String> = of_class.map(|(_, name)| name.clone()).collect();
        names.sort();
        names
    }

    /// The latest head of the ledger that the ring knows of.
    pub fn latest_position(&self) -> Position {
        self.held.values().map(|held| held.at).max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: PassphraseCost = PassphraseCost {
        memory_kib: 64,
        passes: 1,
    };

    fn secret(n: u8) -> Record {
        Record::Secret {
            id: KeyId([n; 16]),
            kind: SecretKind::Person,
            label: [n; 16],
            at: Position(u64::from(n)),
            secret: Key::from_bytes([n; 32]),
        }
    }

    fn file() -> Vec<u8> {
        let (mut ring, mut file) =
            Keyring::create("us".parse().unwrap(), &Unlock::Passphrase(b"correct"), QUICK).unwrap();
        for n in 1..4 {
            file.extend(ring.append(secret(n)).unwrap());
        }
        let item = Record::Item {
            class: "connection".into(),
            name: "ward-3".into(),
            bytes: Zeroizing::new(b"{}".to_vec()),
        };
        file.extend(ring.append(item).unwrap());
        file
    }

    fn open(bytes: &[u8]) -> Result<Opened, KeyringError> {
        Keyring::open(bytes, &Unlock::Passphrase(b"correct"))
    }

    #[test]
    fn a_ring_opens_with_its_passphrase_and_with_no_other() {
        let file = file();
        let opened = open(&file).unwrap();
        assert_eq!(opened.covered_bytes, file.len());
        assert_eq!(
            opened.ring.secret(KeyId([2; 16])),
            Some(&Key::from_bytes([2; 32]))
        );
        assert_eq!(
            opened.ring.find(SecretKind::Person, &[3; 16]),
            Some(KeyId([3; 16]))
        );
        assert_eq!(opened.ring.item("connection", "ward-3"), Some(b"{}".as_slice()));
        assert_eq!(opened.ring.latest_position(), Position(3));
        let wrong = [b"wrong".as_slice(), b"correct "];
        for passphrase in wrong {
            assert_eq!(
                Keyring::open(&file, &Unlock::Passphrase(passphrase)).err(),
                Some(KeyringError::Wrong)
            );
        }
        assert!(matches!(
            Keyring::open(&file, &Unlock::KeyFile(&[1; 32])).err(),
            Some(KeyringError::OtherSort(_))
        ));
    }

    #[test]
    fn every_changed_byte_of_the_file_is_found() {
        let file = file();
        for at in 0..file.len() {
            let mut changed = file.clone();
            changed[at] ^= 0x10;
            assert!(open(&changed).is_err(), "byte {at} of {}", file.len());
        }
    }

    #[test]
    fn a_cut_file_opens_to_its_whole_records_and_says_how_far() {
        let file = file();
        let head = open_head(&file, &Unlock::Passphrase(b"correct")).unwrap().2;
        for end in head..file.len() {
            let opened = open(&file[..end]).unwrap();
            assert!(opened.covered_bytes <= end);
            assert!(open(&file[..opened.covered_bytes]).unwrap().covered_bytes == opened.covered_bytes);
        }
        for end in 0..head {
            assert!(open(&file[..end]).is_err());
        }
    }

    #[test]
    fn a_rewritten_ring_holds_no_byte_of_what_was_destroyed() {
        let opened = open(&file()).unwrap();
        let mut ring = opened.ring;
        let gone = KeyId([2; 16]);
        ring.append(Record::Destroyed {
            id: gone,
            kind: SecretKind::Person,
            label: [2; 16],
            at: Position(9),
        })
        .unwrap();
        let rewritten = ring.rewrite().unwrap();
        let again = open(&rewritten).unwrap();
        assert_eq!(again.covered_bytes, rewritten.len());
        assert!(again.ring.secret(gone).is_none());
        assert!(again.ring.held(gone).is_some());
        assert_eq!(again.ring.secret(KeyId([1; 16])), Some(&Key::from_bytes([1; 32])));
        assert_eq!(again.ring.item("connection", "ward-3"), Some(b"{}".as_slice()));
    }

    #[test]
    fn an_empty_passphrase_and_a_short_key_file_are_refused() {
        for unlock in [Unlock::Passphrase(b""), Unlock::KeyFile(&[1; 31])] {
            assert!(matches!(
                Keyring::create("us".parse().unwrap(), &unlock, QUICK).err(),
                Some(KeyringError::Weak(_))
            ));
        }
    }
}
