//! Golden vectors: bytes that must stay readable for ever, and equal those of the specification.
//!
//! `GOLDEN_WRITE=1 cargo test -p seal --test golden` writes the fixtures and the specification's appendix anew. That is
//! right when a vector is added; when one changes, a format was broken.

#[cfg(test)]
mod sample;

use std::path::PathBuf;

use sample::{Choice, Sample, Shown, key, key_id};
use seal::bundle::{MessageState, VerifyOptions, verify};
use seal::envelope::EpochPrivate;
use seal::group::GroupBuilder;
use seal::keyring::{Keyring, PassphraseCost, Record, SecretKind, Unlock};
use seal::note::NoteKey;
use seal::segment::SegmentHead;
use seal::stamp::Root;
use seal::succession::Reason;
use seal::suite::{self, EcdhPrivate, hex, sha256};
use seal::witness::WitnessKey;
use seal::{act, part, wrap};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn writing() -> bool {
    std::env::var_os("GOLDEN_WRITE").is_some()
}

/// The stored bytes of a fixture; written first where that was asked for.
fn stored(name: &str, now: &[u8]) -> Vec<u8> {
    let path = folder().join("fixtures/v1").join(name);
    if writing() {
        std::fs::write(&path, now).unwrap_or_default();
    }
    std::fs::read(&path).unwrap_or_default()
}

/// Name, what it is, and the bytes as code makes them today.
type Vector = (&'static str, &'static str, Vec<u8>);

#[cfg(test)]
mod vectors {
    use super::*;
    use model::{Position, Timestamp};

    pub fn all() -> Vec<Vector> {
        let sample = Sample::new("us", 3);
        let mut all = primitives();
        all.extend(entries(&sample));
        all.extend(log(&sample));
        all.extend(files(&sample));
        all
    }

    fn primitives() -> Vec<Vector> {
        let epoch = EpochPrivate::from_scalar("us".parse().unwrap(), 1, &key(60)).unwrap();
        let ephemeral = EcdhPrivate::from_scalar(&key(59)).unwrap().public().unwrap();
        let kek = epoch.decapsulate(&ephemeral).unwrap();
        let secrets = [(key_id(9), key(9)), (key_id(1), key(1))];
        let joint = wrap::joint_key(&secrets).unwrap();
        vec![
            (
                "commitment",
                "Commitment to the key of 32 bytes 07.",
                suite::commitment(&key(7)).to_vec(),
            ),
            (
                "epoch-point",
                "Public point of the epoch whose scalar is 32 bytes 3c.",
                epoch.public().unwrap().point.to_vec(),
            ),
            (
                "ephemeral-point",
                "Public point of the ephemeral key whose scalar is 32 bytes 3b.",
                ephemeral.to_vec(),
            ),
            (
                "epoch-kek",
                "Key that the two give for zone `us`, epoch 1.",
                kek.reveal().to_vec(),
            ),
            (
                "epoch-wrapped",
                "The data key of 32 bytes 07, wrapped under it.",
                suite::wrap_key(&kek, &key(7)).unwrap().to_vec(),
            ),
            (
                "joint-key",
                "Joint key of the secrets 32 bytes 01 (id 16 bytes 01) and 32 bytes 09 (id 16 bytes 09).",
                joint.reveal().to_vec(),
            ),
            (
                "item-key",
                "Key of item 1 under the part key of 32 bytes 15.",
                part::item_key(&key(21), 1).unwrap().reveal().to_vec(),
            ),
            (
                "act-key",
                "Key of an act's body: secret 32 bytes 28, salt 16 zero bytes.",
                act::act_key(&key(40), &[0; 16]).unwrap().reveal().to_vec(),
            ),
            (
                "destruction-key",
                "The same for a destruction.",
                act::destruction_key(&key(40), &[0; 16])
                    .unwrap()
                    .reveal()
                    .to_vec(),
            ),
        ]
    }

    fn entries(sample: &Sample) -> Vec<Vector> {
        let header = |at: usize| sample.entries[at].bytes();
        let item = part_items(sample)[1].clone();
        vec![
            (
                "header-capture",
                "Header of record 2, a capture of one chunk.",
                header(2),
            ),
            (
                "body-capture",
                "Its body: the stream with descriptor `{\"n\":1}` and bytes `alpha` under the key of 32 bytes 01.",
                sample.entries[2].body.clone(),
            ),
            (
                "leaf-capture",
                "Its leaf hash.",
                sample.entries[2].leaf().to_vec(),
            ),
            (
                "header-chunk-of-two",
                "Header of record 5, the second and last chunk of a capture.",
                header(5),
            ),
            (
                "header-outside",
                "Header of record 7, an outside result.",
                header(7),
            ),
            (
                "header-part",
                "Header of record 12, a part of four items.",
                header(12),
            ),
            (
                "leaf-part",
                "Its leaf hash: of the header alone.",
                sample.entries[12].leaf().to_vec(),
            ),
            (
                "item",
                "Its item 1, `second of Ann`, under the key of vector `item-key`.",
                item,
            ),
            ("header-wrap", "Header of record 8, a wrap.", header(8)),
            ("header-act", "Header of record 0, an act.", header(0)),
            (
                "body-act",
                "Its body: `{\"by\":\"ann\"}` under the key of vector `act-key`.",
                sample.entries[0].body.clone(),
            ),
            (
                "header-gap",
                "Header of record 6, a gap of the whole ledger.",
                header(6),
            ),
            (
                "header-gap-of-connection",
                "Header of record 16, a gap of one connection.",
                header(16),
            ),
            (
                "header-destruction",
                "Header of record 14, a destruction.",
                header(14),
            ),
            (
                "body-destruction",
                "Its body: `{\"reason\":\"asked for\"}`; salt 16 bytes 0e.",
                sample.entries[14].body.clone(),
            ),
        ]
    }

    fn part_items(sample: &Sample) -> Vec<Vec<u8>> {
        let entry = &sample.entries[12];
        let model::entry::Kind::Part(part) = &entry.header.kind else {
            return vec![];
        };
        let items = part::items(part, &entry.body).unwrap();
        items.iter().map(|item| item.frame.to_vec()).collect()
    }

    fn log(sample: &Sample) -> Vec<Vector> {
        let checkpoint = sample.checkpoint(4);
        vec![
            (
                "batch",
                "Record of batch 1: records 2 to 7.",
                sample.batches[1].encode(),
            ),
            (
                "batch-leaf",
                "Its leaf hash in the log.",
                sample.batches[1].leaf().to_vec(),
            ),
            (
                "log-root",
                "Root of the log of four batches.",
                checkpoint.root.to_vec(),
            ),
            (
                "zone-key",
                "The zone's key in text form (seed 32 bytes 03).",
                sample.key.encode().into_bytes(),
            ),
            (
                "checkpoint",
                "The checkpoint of the four batches, signed.",
                sample.note(4).into_bytes(),
            ),
            (
                "succession",
                "Statement that the key of seed 32 bytes 04 took its place after three batches.",
                sample.successor(Reason::Rotated, 1_700_002_900).1.into_bytes(),
            ),
            (
                "witness-key",
                "The key of a witness in text form (seed 32 bytes 08).",
                sample::witness_key().encode().into_bytes(),
            ),
            (
                "cosignature",
                "Its line under the checkpoint of three batches, at 2023-11-14T23:00:03Z.",
                sample.cosigned(3).proof.into_bytes(),
            ),
            (
                "anchor",
                "The anchor made of the two, named `notary`, without its newline.",
                sample.cosigned(3).line().trim_end().as_bytes().to_vec(),
            ),
        ]
    }

    fn files(sample: &Sample) -> Vec<Vector> {
        let head = SegmentHead {
            zone: sample.zone.clone(),
            number: 3,
            first: Position(900),
            created_at: Timestamp::from_seconds(1_700_000_000),
        };
        let mut group = GroupBuilder::new(Position(6), Vec::new());
        group.push(&sample.entries[6].bytes(), &sample.entries[6].body);
        let foot = seal::segment::SegmentFoot {
            count: 1,
            sha256: [7; 32],
            groups: vec![seal::segment::GroupPlace {
                offset: 60,
                first: Position(900),
            }],
        };
        vec![
            (
                "segment-head",
                "Head of segment 3, first record 900.",
                head.encode(),
            ),
            ("group", "A commit group of record 6 alone.", group.finish()),
            (
                "segment-foot",
                "Footer and trailer of a segment whose footer begins at byte 4096; its SHA-256 is 32 bytes 07.",
                foot.encode(4096),
            ),
            (
                "bundle-sha256",
                "SHA-256 of `crates/seal/fixtures/v1/bundle.zip`.",
                sha256(&sample.usual_bundle()).to_vec(),
            ),
        ]
    }
}

#[test]
fn every_vector_is_made_as_it_always_was() {
    let line = |(name, _, bytes): &Vector| format!("{name} {}\n", hex(bytes));
    let now: String = vectors::all().iter().map(line).collect();
    let before = String::from_utf8(stored("vectors.txt", now.as_bytes())).unwrap();
    for (now, before) in now.lines().zip(before.lines()) {
        assert_eq!(now, before);
    }
    assert_eq!(now, before);
}

/// The appendix of the specification, from the vectors.
fn appendix() -> String {
    let mut text = String::new();
    for (name, what, bytes) in vectors::all() {
        let hex = hex(&bytes);
        let lines: Vec<&str> = (0..hex.len())
            .step_by(96)
            .map(|at| &hex[at..hex.len().min(at + 96)])
            .collect();
        text += &format!("\n`{name}` — {what}\n\n```\n{}\n```\n", lines.join("\n"));
    }
    text
}

#[test]
fn the_specification_prints_the_same_vectors() {
    const MARK: &str = "<!-- vectors: written by crates/seal/tests/golden.rs -->\n";
    let path = folder().join("../../docs/spec/evidence-format.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let (before, found) = text
        .split_once(MARK)
        .expect("the specification has an appendix of vectors");
    if writing() {
        std::fs::write(&path, format!("{before}{MARK}{}", appendix())).unwrap();
    } else {
        assert_eq!(found, appendix());
    }
}

#[test]
fn the_stored_bundle_verifies_for_ever_and_is_written_the_same_today() {
    let sample = Sample::new("us", 3);
    let now = sample.usual_bundle();
    let before = stored("bundle.zip", &now);
    let zone_pub = String::from_utf8(stored("zone.pub", (sample.key.encode() + "\n").as_bytes())).unwrap();
    let options = VerifyOptions {
        key: Some(NoteKey::decode(&zone_pub).unwrap()),
        ..VerifyOptions::default()
    };
    let report = verify(&mut std::io::Cursor::new(&before), options).unwrap();
    assert_eq!(
        (report.batches, report.messages.raw, report.captures.erased),
        (4, 2, 1)
    );
    assert!(
        now == before,
        "a bundle of the same records has other bytes than it had"
    );
}

#[test]
fn the_stored_bundle_of_a_zone_whose_key_was_replaced_verifies_for_ever() {
    let sample = Sample::new("us", 3);
    let (next, _) = sample.successor(Reason::Rotated, 1_700_002_900);
    let now = sample.rotated_bundle();
    let before = stored("rotated.zip", &now);
    let text = |name, now: String| String::from_utf8(stored(name, (now + "\n").as_bytes())).unwrap();
    let witness = text("witness.pub", sample::witness_key().encode());
    let root = std::fs::read_to_string(folder().join("fixtures/v1/stamp-root.pem")).unwrap();
    for key in [
        text("zone.pub", sample.key.encode()),
        text("zone-2.pub", next.key.encode()),
    ] {
        let options = VerifyOptions {
            key: Some(NoteKey::decode(&key).unwrap()),
            witnesses: vec![WitnessKey::decode(&witness).unwrap()],
            roots: Root::all(&root).unwrap(),
            ..VerifyOptions::default()
        };
        let report = verify(&mut std::io::Cursor::new(&before), options).unwrap();
        assert!(report.origin_proved && report.anchors.iter().all(|anchor| anchor.proved));
        assert_eq!(report.anchors.len(), 2);
    }
    assert!(now == before);
}

#[test]
fn the_stored_bundle_of_one_message_verifies_for_ever() {
    let sample = Sample::new("us", 3);
    let items = std::collections::BTreeMap::from([(1, true)]);
    let choice = Choice::from([(12, Shown::Items(items))]);
    let now = sample.bundle(5, &[2, 4], &choice, &[("10.1", MessageState::Part)]);
    let before = stored("one-message.zip", &now);
    let report = verify(&mut std::io::Cursor::new(&before), VerifyOptions::default()).unwrap();
    assert_eq!(
        (report.items.shown, report.items.opened, report.disclosed),
        (1, 1, 1)
    );
    assert!(now == before);
}

#[test]
fn the_stored_key_ring_opens_for_ever() {
    let (zone, unlock) = ("us".parse().unwrap(), Unlock::Passphrase(b"correct horse"));
    let cost = PassphraseCost {
        memory_kib: 64,
        passes: 1,
    };
    let (mut ring, mut file) = Keyring::create(zone, &unlock, cost).unwrap();
    let record = Record::Secret {
        id: key_id(1),
        kind: SecretKind::Person,
        label: [5; 16],
        at: model::Position(7),
        secret: key(1),
    };
    file.extend(ring.append(record).unwrap());
    // Its nonces are random: what is stored is one of many, and is not made anew.
    let there = folder().join("fixtures/v1/keyring").exists();
    let before = if there {
        std::fs::read(folder().join("fixtures/v1/keyring")).unwrap()
    } else {
        stored("keyring", &file)
    };
    let opened = Keyring::open(&before, &unlock).unwrap();
    assert_eq!(opened.covered_bytes, before.len());
    assert_eq!(opened.ring.secret(key_id(1)), Some(&key(1)));
    assert_eq!(opened.ring.latest_position(), model::Position(7));
}
