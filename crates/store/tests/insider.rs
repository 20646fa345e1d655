//! Attacks on the data folder by somebody who has the disk and the signing key, and puts every checksum right that can be
//! computed. Each is found by `verify`, most without a checkpoint from outside.
#![cfg(test)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use model::Timestamp;
use model::entry::{Act, ActCode, Kind};
use seal::Key;
use seal::batch::Batch;
use seal::group::{GroupBuilder, HEAD_BYTES, HeadKind, entries, read_head};
use seal::note::{Checkpoint, NoteKey};
use seal::segment::{GroupPlace, SegmentFoot, SegmentHead};
use seal::succession::Lineage;
use seal::suite::{SigningKey, sha256};
use seal::tiles::{Frontier, bundle_path, tile_path};
use seal::tree::{leaf_hash, root};
use store::ledger::log::decode_bundle;
use store::ledger::verify::verify;
use store::ledger::{Draft, Ledger, LedgerOptions};
use tempfile::TempDir;

const ORIGIN: &str = "chancery/us/test";
const BATCHES: u64 = 300;

fn key() -> SigningKey {
    SigningKey::from_seed(&Key::from_bytes([5; 32])).unwrap()
}

fn note_key() -> NoteKey {
    NoteKey {
        name: ORIGIN.to_owned(),
        public: key().public(),
    }
}

/// A ledger of several segments and over 256 batches, and a checkpoint that left the house when it was half as long.
fn honest() -> (TempDir, Checkpoint) {
    let folder = tempfile::tempdir().unwrap();
    Ledger::create(folder.path()).unwrap();
    let options = LedgerOptions {
        segment_bytes: 8000,
        checkpoint_every: Duration::from_millis(20),
        ..LedgerOptions::default()
    };
    let clock = Arc::new(|| Timestamp::from_seconds(1_700_000_000));
    let zone = "us".parse().unwrap();
    let (ledger, _) = Ledger::open(folder.path(), zone, key(), ORIGIN.to_owned(), options, clock).unwrap();
    let mut outside = None;
    for n in 0..BATCHES {
        let act = Act {
            code: ActCode::Shown,
            key: model::KeyId([1; 16]),
            salt: [2; 16],
            commitment: [3; 32],
        };
        let drafts = [b'a', b'b'].map(|letter| Draft {
            kind: Kind::Act(act.clone()),
            body: format!("entry {n:03} {}", char::from(letter)).into_bytes(),
        });
        ledger.append(drafts.into()).unwrap();
        let signed = ledger.flush().unwrap().unwrap();
        if n == BATCHES / 2 {
            outside = Some(Checkpoint::open(&signed.note, Some(&note_key())).unwrap());
        }
    }
    drop(ledger);
    (folder, outside.unwrap())
}

/// What `verify` finds, with the checkpoint from outside or without.
fn found(folder: &Path, outside: Option<&Checkpoint>) -> Vec<String> {
    let checked = verify(folder, &"us".parse().unwrap(), &Lineage::of(note_key()), outside).unwrap();
    let words = checked.findings.iter();
    words
        .map(|finding| format!("{}: {}", finding.place, finding.detail))
        .collect()
}

/// The groups of a segment file: where each begins and how long it is.
fn groups(bytes: &[u8]) -> Vec<(usize, usize)> {
    let (_, mut at) = SegmentHead::decode(bytes).unwrap();
    let mut all = Vec::new();
    while let Some(head) = bytes.get(at..at + HEAD_BYTES) {
        let HeadKind::Group(group) = read_head(head.try_into().unwrap()) else {
            break;
        };
        all.push((at, HEAD_BYTES + group.payload_bytes));
        at += HEAD_BYTES + group.payload_bytes;
    }
    all
}

/// Header and body of each entry of a group.
type Entries = Vec<(Vec<u8>, Vec<u8>)>;

/// Changes the entries of group `nth` of a sealed segment and puts group, footer and trailer right.
fn in_group(folder: &Path, segment: u64, nth: usize, change: impl FnOnce(&mut Entries)) {
    let path = folder.join(format!("segments/{segment:012}.seg"));
    let bytes = std::fs::read(&path).unwrap();
    let all = groups(&bytes);
    let mut out = bytes[..all[0].0].to_vec();
    let mut placed = Vec::new();
    let mut change = Some(change);
    for (index, (at, length)) in all.iter().enumerate() {
        let whole = &bytes[*at..at + length];
        let HeadKind::Group(head) = read_head(whole[..HEAD_BYTES].try_into().unwrap()) else {
            panic!()
        };
        let mut held: Entries = entries(&whole[HEAD_BYTES..], head.count)
            .unwrap()
            .iter()
            .map(|entry| (entry.header.to_vec(), entry.body.to_vec()))
            .collect();
        if index == nth {
            change.take().unwrap()(&mut held);
        }
        let mut group = GroupBuilder::new(head.first, Vec::new());
        held.iter().for_each(|(header, body)| group.push(header, body));
        placed.push(GroupPlace {
            offset: out.len() as u64,
            first: head.first,
        });
        out.extend(group.finish());
    }
    let (first, last) = (placed[0].first, all.last().unwrap());
    let HeadKind::Group(end) = read_head(bytes[last.0..last.0 + HEAD_BYTES].try_into().unwrap()) else {
        panic!()
    };
    let foot = SegmentFoot {
        count: end.first.0 + u64::from(end.count) - first.0,
        sha256: sha256(&out),
        groups: placed,
    };
    let offset = out.len() as u64;
    out.extend(foot.encode(offset));
    std::fs::write(&path, out).unwrap();
}

/// Makes the log anew from changed batch records, tiles, parents and checkpoint included.
fn in_log(folder: &Path, change: impl FnOnce(&mut Vec<Batch>)) {
    let log = folder.join("log");
    let mut records = Vec::new();
    for (index, width) in [(0, 256), (1, BATCHES - 256)] {
        let bytes = std::fs::read(log.join(bundle_path(index, width))).unwrap();
        records.extend(decode_bundle(&bytes, "bundle").unwrap());
    }
    let mut batches: Vec<Batch> = records
        .iter()
        .map(|record| Batch::decode(record).unwrap())
        .collect();
    change(&mut batches);
    let mut frontier = Frontier::new();
    let mut tiles = Vec::new();
    batches
        .iter()
        .for_each(|batch| tiles.extend(frontier.push(batch.leaf())));
    tiles.extend(frontier.unfinished());
    for tile in tiles {
        let path = log.join(tile_path(tile.level, tile.index, tile.hashes.len() as u64));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, tile.hashes.concat()).unwrap();
    }
    for (index, of_bundle) in batches.chunks(256).enumerate() {
        let framed = |batch: &Batch| {
            let record = batch.encode();
            [&(record.len() as u16).to_be_bytes()[..], &record].concat()
        };
        let bytes: Vec<u8> = of_bundle.iter().flat_map(framed).collect();
        std::fs::write(log.join(bundle_path(index as u64, of_bundle.len() as u64)), bytes).unwrap();
    }
    let checkpoint = Checkpoint {
        origin: ORIGIN.to_owned(),
        size: frontier.size(),
        root: frontier.root(),
    };
    std::fs::write(log.join("checkpoint"), checkpoint.sign(&key())).unwrap();
}

/// An attack: what it is, what it does, and what must be said of it without a checkpoint from outside.
type Attack = (&'static str, fn(&Path), &'static str);

const ATTACKS: &[Attack] = &[
    (
        "an entry altered, every checksum put right",
        |folder| in_group(folder, 1, 2, |entries| entries[0].1[9] ^= 1),
        "entries 70 to 71: one of them was altered",
    ),
    (
        "an entry back-dated",
        |folder| in_group(folder, 1, 2, |entries| entries[0].0[20] ^= 1),
        "batch 35, entry 70: was not recorded when its batch says",
    ),
    (
        "two entries exchanged",
        |folder| in_group(folder, 1, 2, |entries| entries.swap(0, 1)),
        "entry 70: says that it stands elsewhere",
    ),
    (
        "the bodies of two entries exchanged",
        |folder| {
            in_group(folder, 1, 2, |entries| {
                let (first, second) = entries.split_at_mut(1);
                std::mem::swap(&mut first[0].1, &mut second[0].1);
            });
        },
        "entries 70 to 71: one of them was altered",
    ),
    (
        "an entry taken out",
        |folder| in_group(folder, 1, 2, |entries| drop(entries.remove(0))),
        "begins at position 72, expected 71",
    ),
    (
        "an entry added",
        |folder| in_group(folder, 1, 2, |entries| entries.push(entries[0].clone())),
        "begins at position 72, expected 73",
    ),
    (
        "two segments exchanged",
        |folder| {
            let path = |n: u32| folder.join(format!("segments/{n:012}.seg"));
            std::fs::rename(path(1), path(900)).unwrap();
            std::fs::rename(path(2), path(1)).unwrap();
            std::fs::rename(path(900), path(2)).unwrap();
        },
        "segments/000000000001.seg: belongs elsewhere",
    ),
    (
        "a segment taken out",
        |folder| std::fs::remove_file(folder.join("segments/000000000001.seg")).unwrap(),
        "entries 66 to 131: are missing",
    ),
    (
        "the newest segment taken out",
        |folder| {
            let mut all: Vec<_> = std::fs::read_dir(folder.join("segments"))
                .unwrap()
                .map(|file| file.unwrap().path())
                .collect();
            all.sort();
            std::fs::remove_file(all.last().unwrap()).unwrap();
        },
        "entries 594 to 599: are missing, although the checkpoint covers them",
    ),
    (
        "a tile and its parents edited, and signed",
        |folder| {
            let log = folder.join("log");
            let path = log.join(tile_path(0, 0, 256));
            let mut hashes = std::fs::read(&path).unwrap();
            hashes[40] ^= 1;
            std::fs::write(&path, &hashes).unwrap();
            let (full, _) = hashes.as_chunks::<32>();
            let parent = root(full);
            std::fs::write(log.join(tile_path(1, 0, 1)), parent).unwrap();
            let edge = std::fs::read(log.join(tile_path(0, 1, BATCHES - 256))).unwrap();
            let (edge, _) = edge.as_chunks::<32>();
            let checkpoint = Checkpoint {
                origin: ORIGIN.to_owned(),
                size: BATCHES,
                root: seal::tree::node_hash(&parent, &root(edge)),
            };
            std::fs::write(log.join("checkpoint"), checkpoint.sign(&key())).unwrap();
        },
        "log/tile/0/000: does not hold the hashes of its batches",
    ),
    (
        "a batch's root edited, the log made anew and signed",
        |folder| in_log(folder, |batches| batches[7].root[0] ^= 1),
        "entries 14 to 15: one of them was altered",
    ),
    (
        "a batch back-dated, the log made anew and signed",
        |folder| {
            in_log(folder, |batches| {
                batches[7].first_at = Timestamp::from_seconds(1_600_000_000)
            })
        },
        "batch 7, entry 14: was not recorded when its batch says",
    ),
    (
        "a batch taken out of the log",
        |folder| in_log(folder, |batches| drop(batches.remove(7))),
        "batch 7: does not continue the batch before it",
    ),
    (
        "two batches exchanged in the log",
        |folder| in_log(folder, |batches| batches.swap(7, 8)),
        "batch 7: does not continue the batch before it",
    ),
    (
        "a checkpoint signed by another key",
        |folder| {
            let path = folder.join("log/checkpoint");
            let checkpoint = Checkpoint::open(&std::fs::read_to_string(&path).unwrap(), None).unwrap();
            let other = SigningKey::from_seed(&Key::from_bytes([6; 32])).unwrap();
            std::fs::write(&path, checkpoint.sign(&other)).unwrap();
        },
        "log/checkpoint: no signature by this key",
    ),
    (
        "a checkpoint of another log, signed",
        |folder| {
            let checkpoint = Checkpoint {
                origin: ORIGIN.to_owned(),
                size: BATCHES,
                root: leaf_hash(&[b"elsewhere"]),
            };
            std::fs::write(folder.join("log/checkpoint"), checkpoint.sign(&key())).unwrap();
        },
        "log/checkpoint: its root is not that of the batches",
    ),
];

#[test]
fn an_attack_on_the_data_folder_is_found_though_every_checksum_and_signature_was_put_right() {
    let (folder, outside) = honest();
    assert_eq!(found(folder.path(), Some(&outside)), Vec::<String>::new());
    for (name, attack, says) in ATTACKS {
        let copy = copied(folder.path());
        attack(copy.path());
        let said = found(copy.path(), None);
        assert!(said.iter().any(|said| said.contains(says)), "{name}: {said:?}");
        if *name == "a segment taken out" {
            assert_eq!(said.len(), 2, "what is left is checked and in order: {said:?}");
        }
    }
}

#[test]
fn an_entry_altered_with_the_whole_log_made_to_fit_is_found_by_the_checkpoint_that_left_the_house_and_only_by_it()
 {
    let (folder, outside) = honest();
    in_group(folder.path(), 0, 1, |entries| entries[0].1[9] ^= 1);
    let path = folder.path().join("segments/000000000000.seg");
    let bytes = std::fs::read(path).unwrap();
    let (at, length) = groups(&bytes)[1];
    let HeadKind::Group(head) = read_head(bytes[at..at + HEAD_BYTES].try_into().unwrap()) else {
        panic!()
    };
    let held = entries(&bytes[at + HEAD_BYTES..at + length], head.count).unwrap();
    let leaves: Vec<_> = held
        .iter()
        .map(|entry| leaf_hash(&[entry.header, entry.body]))
        .collect();
    in_log(folder.path(), |batches| {
        let batch = batches
            .iter_mut()
            .find(|batch| batch.first == head.first)
            .unwrap();
        batch.root = root(&leaves);
    });
    assert_eq!(found(folder.path(), None), Vec::<String>::new());
    let said = found(folder.path(), Some(&outside));
    assert!(said.iter().any(|said| said.contains("rewritten")), "{said:?}");
}

fn copied(from: &Path) -> TempDir {
    let to = tempfile::tempdir().unwrap();
    copy(from, to.path());
    to
}

fn copy(from: &Path, to: &Path) {
    for file in std::fs::read_dir(from).unwrap() {
        let path = file.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}
