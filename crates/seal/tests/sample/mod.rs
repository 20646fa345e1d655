//! A small ledger made of fixed keys and bytes, written from the specification and not through the code it tests:
//! nonces, associated data and item frames are put together here once more.

use std::collections::BTreeMap;
use std::io::Cursor;

use model::bytes::Writer;
use model::entry::*;
use model::{CaptureId, ConnectionId, KeyId, MessageId, Position, Timestamp, ZoneId};
use seal::batch::Batch;
use seal::bundle::{Anchor, AnchorKind, BundleWriter, Facts, MessageState, Opening, Proof};
use seal::note::{Checkpoint, NoteKey};
use seal::succession::{Reason, Statement};
use seal::suite::{self, EcdhPrivate, SigningKey};
use seal::tree::{Hash, InMemory, consistency_proof, inclusion_proof, leaf_hash, root};
use seal::witness::{WitnessKey, cosign};
use seal::{Key, act};

/// An entry with all that opens it.
pub struct Entry {
    pub header: Header,
    pub body: Vec<u8>,
    /// Data key or body key.
    pub key: Option<Key>,
    /// Keys of a part's items.
    pub items: Vec<Key>,
}

impl Entry {
    pub fn bytes(&self) -> Vec<u8> {
        self.header.encode()
    }

    pub fn leaf(&self) -> Hash {
        match self.header.kind {
            Kind::Part(_) => leaf_hash(&[&self.bytes()]),
            _ => leaf_hash(&[&self.bytes(), &self.body]),
        }
    }
}

pub struct Sample {
    pub zone: ZoneId,
    pub signing: SigningKey,
    pub key: NoteKey,
    pub entries: Vec<Entry>,
    pub batches: Vec<Batch>,
}

/// Which entries, and of parts which items: with their keys or without.
pub type Choice = BTreeMap<u64, Shown>;

#[derive(Clone, Debug)]
pub enum Shown {
    Sealed,
    Opened,
    Items(BTreeMap<u32, bool>),
}

pub fn key(n: u8) -> Key {
    Key::from_bytes([n; 32])
}

pub fn key_id(n: u8) -> KeyId {
    KeyId([n; 16])
}

pub const MIXED: &[&str] = &[
    "first of Ann",
    "second of Ann",
    "of Bob",
    "third of Ann",
    "fourth",
];

/// A token over the checkpoint of four batches of the sample, made once with `openssl ts`; its root stands beside it.
pub const TOKEN: &[u8] = include_bytes!("../../fixtures/v1/stamp.token");

pub fn witness_signing() -> SigningKey {
    SigningKey::from_seed(&key(8)).unwrap()
}

/// The witness of the sample.
pub fn witness_key() -> WitnessKey {
    WitnessKey {
        name: "witness.example/w1".into(),
        public: witness_signing().public(),
    }
}

impl Sample {
    pub fn new(zone: &str, seed: u8) -> Sample {
        let signing = SigningKey::from_seed(&key(seed)).unwrap();
        let key = NoteKey {
            name: format!("chancery/{zone}/0a1b2c3d"),
            public: signing.public(),
        };
        let mut sample = Sample {
            zone: zone.parse().unwrap(),
            signing,
            key,
            entries: Vec::new(),
            batches: Vec::new(),
        };
        sample.fill();
        sample
    }

    fn fill(&mut self) {
        self.act(ActCode::ZoneCreated, r#"{"by":"ann"}"#);
        self.act(ActCode::Started, "{}");
        self.close(2);
        self.capture(1, &[b"alpha"], None);
        self.capture(2, &[b"bravo"], None);
        self.capture(3, &[b"charlie ", b"delta"], None);
        self.gap(None, GapCause::NotRunning, 0);
        self.capture(4, &[b"a picture"], Some(2));
        self.close(6);
        self.wrap(2, &[key_id(1), key_id(9)], 1, false);
        self.wrap(3, &[key_id(2), key_id(9)], 2, false);
        self.capture(5, &[b"mixed"], None);
        self.wrap(10, &[key_id(1), key_id(3)], 5, true);
        self.part(10, 0, false, 21, &[key_id(1)], &[0, 1, 3, 4]);
        self.part(10, 1, true, 22, &[key_id(3)], &[2]);
        self.close(6);
        self.destruction(2, vec![key_id(2), key_id(3)], r#"{"reason":"asked for"}"#);
        self.act(ActCode::Exported, r#"{"by":"bob"}"#);
        self.gap(Some("ward-3"), GapCause::PossiblyCut, 3);
        self.close(3);
        self.act(ActCode::Searched, r#"{"query":"x"}"#);
        self.close(1);
    }

    fn at(&self) -> Position {
        Position(self.entries.len() as u64)
    }

    fn push(&mut self, kind: Kind, body: Vec<u8>, key: Option<Key>, items: Vec<Key>) {
        let header = Header {
            zone: self.zone.clone(),
            position: self.at(),
            recorded_at: Timestamp::from_seconds(1_700_000_000 + self.at().0 as i64),
            kind,
        };
        self.entries.push(Entry {
            header,
            body,
            key,
            items,
        });
    }

    pub fn act(&mut self, code: ActCode, json: &str) {
        let (secret, salt) = (key(40), [self.at().0 as u8; 16]);
        let under = act::Under {
            id: key_id(40),
            secret: &secret,
        };
        let mut body = json.as_bytes().to_vec();
        let sealed = act::seal_act_salted(&self.zone, code, under, salt, &mut body).unwrap();
        let key = suite::derive_from_key(&secret, &[b"chancery/1/act", &salt]).unwrap();
        self.push(Kind::Act(sealed), body, Some(key), vec![]);
    }

    pub fn destruction(&mut self, reason: u16, keys: Vec<KeyId>, json: &str) {
        let (secret, salt) = (key(40), [self.at().0 as u8; 16]);
        let under = act::Under {
            id: key_id(40),
            secret: &secret,
        };
        let mut body = json.as_bytes().to_vec();
        let what = act::destruction_by_rule(reason, keys);
        let sealed = act::seal_destruction_salted(&self.zone, what, under, salt, &mut body).unwrap();
        let key = suite::derive_from_key(&secret, &[b"chancery/1/destruction", &salt]).unwrap();
        self.push(Kind::Destruction(sealed), body, Some(key), vec![]);
    }

    pub fn gap(&mut self, connection: Option<&str>, cause: GapCause, count: u64) {
        let gap = Gap {
            connection: connection.map(|name| name.parse::<ConnectionId>().unwrap()),
            from: Timestamp::from_seconds(1_700_000_000),
            to: Timestamp::from_micros(1_700_000_060_250_000),
            cause,
            count,
        };
        self.push(Kind::Gap(gap), vec![], None, vec![]);
    }

    /// A capture of these chunks under data key `n`; `cause` makes it an outside result.
    pub fn capture(&mut self, n: u8, chunks: &[&[u8]], cause: Option<u64>) {
        let descriptor = format!(r#"{{"n":{n}}}"#);
        for (at, bytes) in chunks.iter().enumerate() {
            let mut plain = Vec::new();
            if at == 0 {
                plain.extend_from_slice(&(descriptor.len() as u32).to_be_bytes());
                plain.extend_from_slice(descriptor.as_bytes());
            }
            plain.extend_from_slice(bytes);
            let place = (at as u32, at + 1 == chunks.len());
            self.chunk(n, place, plain, cause);
        }
    }

    fn chunk(&mut self, n: u8, (chunk, last): (u32, bool), mut body: Vec<u8>, cause: Option<u64>) {
        let epoch = EcdhPrivate::from_scalar(&key(60)).unwrap();
        let sealing = Sealing {
            capture: CaptureId([n; 16]),
            chunk,
            last,
            epoch: 1,
            encapsulation: epoch.public().unwrap(),
            wrapped_key: suite::wrap_key(&key(61), &key(n)).unwrap(),
            commitment: suite::sha256_of(&[b"chancery/1/commit", &[n; 32]]),
        };
        let mut nonce = [0; 12];
        nonce[7..11].copy_from_slice(&chunk.to_be_bytes());
        nonce[11] = u8::from(last);
        let mut aad = Writer::new();
        aad.raw(b"chancery/1/chunk").u16(1).u8(1).name(self.zone.as_str());
        aad.raw(&[n; 16]).u32(chunk).u8(u8::from(last)).u32(1);
        suite::seal(&key(n), nonce, aad.as_bytes(), &mut body).unwrap();
        let origin = Origin {
            connection: "ward-3".parse().unwrap(),
            connector: "whatsapp-cloud".into(),
            connector_version: 1,
            received_at: Timestamp::from_micros(1_699_999_999_500_000),
            verdict: 1,
            secret: 0,
            minimum_lock_days: 2190,
        };
        let kind = match cause {
            None => Kind::Chunk(Chunk { origin, sealing }),
            Some(capture) => Kind::Outside(Outside {
                origin,
                sealing,
                cause: MessageId {
                    capture: Position(capture),
                    ordinal: 0,
                },
                file: 0,
                state: 1,
            }),
        };
        self.push(kind, body, Some(key(n)), vec![]);
    }

    pub fn wrap(&mut self, source: u64, keys: &[KeyId], data: u8, mixed: bool) {
        let kind = Kind::Wrap(Wrap {
            source: Position(source),
            mixed,
            keys: keys.to_vec(),
            wrapped_key: suite::wrap_key(&key(62), &key(data)).unwrap(),
        });
        self.push(kind, vec![], None, vec![]);
    }

    /// A part that holds these of the [`MIXED`] texts.
    pub fn part(&mut self, source: u64, part: u32, last: bool, secret: u8, keys: &[KeyId], ordinals: &[u32]) {
        let (mut body, mut leaves, mut items) = (Vec::new(), Vec::new(), Vec::new());
        for (index, ordinal) in ordinals.iter().enumerate() {
            let index = (index as u32).to_be_bytes();
            let item = suite::derive_from_key(&key(secret), &[b"chancery/1/item", &index]).unwrap();
            let (stream, offset) = (0u32, u64::from(*ordinal) * 100);
            let mut aad = Writer::new();
            aad.raw(b"chancery/1/item").name(self.zone.as_str()).u64(source);
            aad.u32(stream).u64(offset).u32(*ordinal);
            let mut sealed = MIXED[*ordinal as usize].as_bytes().to_vec();
            suite::seal(&item, [0; 12], aad.as_bytes(), &mut sealed).unwrap();
            let mut frame = Writer::new();
            frame.u32(stream).u64(offset).u32(*ordinal);
            frame.raw(&suite::commitment(&item)).blob(&sealed);
            leaves.push(leaf_hash(&[frame.as_bytes()]));
            body.extend_from_slice(frame.as_bytes());
            items.push(item);
        }
        let kind = Kind::Part(Part {
            source: Position(source),
            part,
            last,
            keys: keys.to_vec(),
            wrapped_key: suite::wrap_key(&key(63), &key(secret)).unwrap(),
            commitment: suite::commitment(&key(secret)),
            item_count: leaves.len() as u32,
            items_root: root(&leaves),
        });
        self.push(kind, body, None, items);
    }

    /// Closes a batch over the last `count` entries.
    pub fn close(&mut self, count: u32) {
        let first = self.entries.len() - count as usize;
        self.batches.push(self.batch_of(first, count));
    }

    /// A batch of `count` entries from `first`.
    pub fn batch_of(&self, first: usize, count: u32) -> Batch {
        let entries = &self.entries[first..first + count as usize];
        let leaves: Vec<Hash> = entries.iter().map(Entry::leaf).collect();
        Batch {
            zone: self.zone.clone(),
            node: "n1".into(),
            first: Position(first as u64),
            count,
            root: root(&leaves),
            first_at: entries[0].header.recorded_at,
            last_at: entries[entries.len() - 1].header.recorded_at,
        }
    }

    pub fn log(&self) -> Vec<Hash> {
        self.batches.iter().map(Batch::leaf).collect()
    }

    pub fn checkpoint(&self, size: usize) -> Checkpoint {
        Checkpoint {
            origin: self.key.name.clone(),
            size: size as u64,
            root: root(&self.log()[..size]),
        }
    }

    pub fn note(&self, size: usize) -> String {
        self.checkpoint(size).sign(&self.signing)
    }

    /// Everything but the last batch; of parts the second and fourth item and the one that is erased.
    pub fn usual(&self) -> Choice {
        let mut choice: Choice = (0..17).map(|at| (at, Shown::Opened)).collect();
        for at in [1, 8, 11] {
            choice.remove(&at);
        }
        choice.insert(3, Shown::Sealed);
        choice.insert(10, Shown::Sealed);
        choice.insert(12, Shown::Items(BTreeMap::from([(1, true), (3, true)])));
        choice.insert(13, Shown::Items(BTreeMap::from([(0, false)])));
        choice
    }

    pub fn usual_messages() -> Vec<(&'static str, MessageState)> {
        vec![
            ("2.0", MessageState::Raw),
            ("3.0", MessageState::Erased),
            ("4.0", MessageState::Raw),
            ("10.1", MessageState::Part),
            ("10.2", MessageState::Erased),
            ("10.4", MessageState::Part),
        ]
    }

    /// The same zone with its next key (seed 32 bytes 04), and the statement that the key took this one's place after three
    /// batches.
    pub fn successor(&self, reason: Reason, at: i64) -> (Sample, String) {
        let mut next = Sample::new(self.zone.as_str(), 3);
        next.signing = SigningKey::from_seed(&key(4)).unwrap();
        next.key.public = next.signing.public();
        let statement = Statement {
            old: self.key.clone(),
            new: next.key.clone(),
            at: Timestamp::from_seconds(at),
            reason,
            last: self.checkpoint(3),
        };
        let note = statement.sign(&self.signing, &next.signing);
        (next, note)
    }

    /// A bundle of the next key, with anchors of both.
    pub fn rotated_bundle(&self) -> Vec<u8> {
        let (next, statement) = self.successor(Reason::Rotated, 1_700_002_900);
        let anchors = [self.cosigned(3), next.cosigned(4)];
        let messages = Self::usual_messages();
        next.bundle_with((4, &[1, 3]), &self.usual(), &messages, (&[statement], &anchors))
    }

    /// What a witness or an authority gave for the log of `size` batches.
    pub fn anchor(&self, kind: AnchorKind, name: &str, size: usize, proof: &[u8]) -> Anchor {
        let log = &self.log()[..size];
        let Ok(path) = inclusion_proof(&mut InMemory(log), size as u64 - 1, size as u64);
        let batch = &self.batches[size - 1];
        Anchor::new((kind, name), &self.note(size), proof, (batch, &path))
    }

    /// A cosignature, a second for each batch after 2023-11-14T23:00:00Z.
    pub fn cosigned(&self, size: usize) -> Anchor {
        let note = self.note(size);
        let text = note.split_once("\n\n").unwrap().0.to_owned() + "\n";
        let at = Timestamp::from_seconds(1_700_002_800 + size as i64);
        let line = cosign(&text, at, &witness_key().name, &witness_signing());
        self.anchor(AnchorKind::Witness, "notary", size, line.as_bytes())
    }

    /// The anchors of those sizes that a bundle reaches: cosignatures, and for the one log that it was made for the time
    /// stamp of the fixtures.
    fn anchors(&self, size: usize, reach: &[usize]) -> Vec<Anchor> {
        let mut anchors: Vec<Anchor> = [3, 4]
            .into_iter()
            .filter(|of| *of == size || *of < size && reach.contains(of))
            .map(|of| self.cosigned(of))
            .collect();
        let stamped =
            size >= 4 && seal::stamp::stated(TOKEN, &suite::sha256(self.note(4).as_bytes())).is_ok();
        if stamped && (size == 4 || reach.contains(&4)) {
            anchors.push(self.anchor(AnchorKind::TimeStamp, "stamps", 4, TOKEN));
        }
        anchors
    }

    /// A bundle pinned to the log of `size` batches, with a proof from each smaller size in `reach`.
    pub fn bundle(
        &self,
        size: usize,
        reach: &[usize],
        choice: &Choice,
        messages: &[(&str, MessageState)],
    ) -> Vec<u8> {
        self.bundle_with((size, reach), choice, messages, (&[], &self.anchors(size, reach)))
    }

    /// The same with these statements of succession and these anchors.
    pub fn bundle_with(
        &self,
        (size, reach): (usize, &[usize]),
        choice: &Choice,
        messages: &[(&str, MessageState)],
        (succession, anchors): (&[String], &[Anchor]),
    ) -> Vec<u8> {
        let log = self.log();
        let proofs: Vec<Proof> = reach
            .iter()
            .map(|old| {
                let Ok(path) = consistency_proof(&mut InMemory(&log[..size]), *old as u64, size as u64);
                Proof {
                    old: *old as u64,
                    path,
                }
            })
            .collect();
        let sink = Cursor::new(Vec::new());
        let (zone, note) = (self.zone.clone(), self.note(size));
        let opening = Opening {
            zone,
            key: self.key.clone(),
            succession,
            checkpoint: &note,
            proofs: &proofs,
            anchors,
        };
        let mut writer = BundleWriter::create(sink, &opening).unwrap();
        for (index, batch) in self.batches[..size].iter().enumerate() {
            let of_batch = batch.first.0..batch.end().0;
            if !of_batch.clone().any(|at| choice.contains_key(&at)) {
                continue;
            }
            let leaves: Vec<Hash> = of_batch
                .clone()
                .map(|at| self.entries[at as usize].leaf())
                .collect();
            let Ok(path) = inclusion_proof(&mut InMemory(&log[..size]), index as u64, size as u64);
            writer.begin_batch(index as u64, batch, &path, &leaves).unwrap();
            for at in of_batch {
                let (entry, index) = (&self.entries[at as usize], (at - batch.first.0) as u32);
                let (header, body) = (entry.bytes(), &entry.body);
                match choice.get(&at) {
                    None => {}
                    Some(Shown::Sealed) => writer.entry(index, &header, body, None).unwrap(),
                    Some(Shown::Opened) => {
                        writer.entry(index, &header, body, entry.key.as_ref()).unwrap();
                    }
                    Some(Shown::Items(items)) => {
                        let keys = items
                            .iter()
                            .map(|(n, open)| (*n, open.then(|| entry.items[*n as usize].clone())))
                            .collect();
                        writer.part(index, &header, body, &keys).unwrap();
                    }
                }
            }
            writer.end_batch().unwrap();
        }
        let mut writer = writer.finish().unwrap();
        for (id, state) in messages {
            let record = serde_json::json!({ "kind": "message", "text": id });
            let record = (*state != MessageState::Erased).then_some(&record);
            writer
                .message(id.parse().unwrap(), *state, ("whatsapp-cloud", 1), record)
                .unwrap();
        }
        let facts = Facts {
            created_at: Timestamp::from_seconds(1_700_001_000),
            program: "0.1.0".into(),
            selection: "--all".into(),
            gaps_from: None,
            gaps_to: Some(Timestamp::from_seconds(1_700_000_500)),
        };
        writer.finish(&self.signing, facts).unwrap().into_inner()
    }

    pub fn usual_bundle(&self) -> Vec<u8> {
        self.bundle(4, &[1, 3], &self.usual(), &Self::usual_messages())
    }
}
