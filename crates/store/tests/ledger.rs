//! The ledger on disk: what survives, what is noticed, what is refused.
#![cfg(test)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use model::entry::{Act, ActCode, Gap, GapCause, Kind};
use model::{KeyId, Position, Timestamp};
use seal::Key;
use seal::note::{Checkpoint, NoteKey};
use seal::succession::Lineage;
use seal::suite::SigningKey;
use store::StoreError;
use store::ledger::verify::{Checked, verify};
use store::ledger::{Draft, Ledger, LedgerOptions, Recovery};

const ORIGIN: &str = "chancery/us/test";

fn key() -> SigningKey {
    SigningKey::from_seed(&Key::from_bytes([5; 32])).unwrap()
}

fn note_key() -> NoteKey {
    NoteKey {
        name: ORIGIN.to_owned(),
        public: key().public(),
    }
}

fn options(segment_bytes: u64) -> LedgerOptions {
    LedgerOptions {
        segment_bytes,
        checkpoint_every: Duration::from_millis(20),
        ..LedgerOptions::default()
    }
}

fn open_with(folder: &Path, segment_bytes: u64) -> Result<(Ledger, Recovery), StoreError> {
    let clock = Arc::new(|| Timestamp::from_seconds(1_700_000_000));
    Ledger::open(
        folder,
        "us".parse().unwrap(),
        key(),
        ORIGIN.to_owned(),
        options(segment_bytes),
        clock,
    )
}

fn open(folder: &Path) -> Result<(Ledger, Recovery), StoreError> {
    open_with(folder, 64 << 20)
}

fn act(text: &str) -> Draft {
    let act = Act {
        code: ActCode::Shown,
        key: KeyId([1; 16]),
        salt: [2; 16],
        commitment: [3; 32],
    };
    Draft {
        kind: Kind::Act(act),
        body: text.as_bytes().to_vec(),
    }
}

fn gap() -> Draft {
    let at = Timestamp::from_seconds(1);
    let gap = Gap {
        connection: None,
        from: at,
        to: at,
        cause: GapCause::TornGroup,
        count: 1,
    };
    Draft {
        kind: Kind::Gap(gap),
        body: Vec::new(),
    }
}

fn check(folder: &Path, outside: Option<&Checkpoint>) -> Checked {
    verify(folder, &"us".parse().unwrap(), &Lineage::of(note_key()), outside).unwrap()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path))
        } else {
            all.push(path)
        }
    }
    all
}

fn small(folder: &Path) {
    Ledger::create(folder).unwrap();
    let (ledger, _) = open_with(folder, 2000).unwrap();
    for n in 0..20 {
        ledger.append(vec![act(&format!("act {n}")), gap()]).unwrap();
        ledger.flush().unwrap();
    }
    drop(ledger);
}

#[test]
fn entries_read_back_after_reopening_across_segments() {
    let folder = tempfile::tempdir().unwrap();
    small(folder.path());
    let (ledger, recovery) = open_with(folder.path(), 2000).unwrap();
    assert_eq!(recovery.head, Position(40));
    assert_eq!(recovery.torn_bytes, 0);
    for n in 0..20 {
        let entry = ledger.entry(Position(2 * n)).unwrap().unwrap();
        assert_eq!(entry.body, format!("act {n}").as_bytes());
    }
    assert!(ledger.entry(Position(40)).unwrap().is_none());
    let mut scanner = ledger.scan(Position(7));
    let mut seen = Vec::new();
    while let Some(group) = scanner.next_group().unwrap() {
        seen.extend(group.entries().unwrap().iter().map(|(at, _)| at.0));
    }
    assert_eq!(seen, (6..40).collect::<Vec<_>>());
    drop(ledger);
    let checked = check(folder.path(), None);
    assert_eq!((checked.entries, checked.unsigned_entries), (40, 0));
    assert!(checked.segments > 1);
    assert_eq!(checked.findings, []);
}

#[test]
fn every_changed_byte_of_a_small_ledger_is_found_and_named() {
    let folder = tempfile::tempdir().unwrap();
    small(folder.path());
    let (ledger, _) = open_with(folder.path(), 2000).unwrap();
    drop(ledger);
    let mut tried = 0;
    for path in files(folder.path()) {
        let original = std::fs::read(&path).unwrap();
        // The zeros ahead of the last group are all alike: their first and last hundred stand for the rest.
        let zeros = original.iter().rev().take_while(|byte| **byte == 0).count();
        let used = original.len() - zeros;
        for at in (0..original.len()).filter(|at| *at < used + 100 || *at > original.len() - 100) {
            let mut changed = original.clone();
            changed[at] ^= 0x04;
            std::fs::write(&path, &changed).unwrap();
            let checked = check(folder.path(), None);
            assert!(!checked.findings.is_empty(), "{} byte {at}", path.display());
            tried += 1;
        }
        std::fs::write(&path, &original).unwrap();
    }
    assert_eq!(check(folder.path(), None).findings, []);
    assert!(tried > 6000, "{tried}");
}

#[test]
fn truncation_at_every_byte_of_the_last_group_keeps_all_before_it() {
    let folder = tempfile::tempdir().unwrap();
    Ledger::create(folder.path()).unwrap();
    let (ledger, _) = open(folder.path()).unwrap();
    ledger.append(vec![act("first")]).unwrap();
    ledger.append(vec![act("second"), gap()]).unwrap();
    drop(ledger);
    // Without a checkpoint over the last group: what a crash right after the write leaves.
    std::fs::remove_dir_all(folder.path().join("log")).unwrap();
    std::fs::create_dir(folder.path().join("log")).unwrap();
    let path = folder.path().join("segments/000000000000.seg");
    let whole = std::fs::read(&path).unwrap();
    let used = whole.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let starts: Vec<usize> = (0..used).filter(|at| whole[*at..].starts_with(b"CHGR")).collect();
    for end in starts[1] + 1..used {
        for zeroed in [true, false] {
            let mut bytes = whole.clone();
            if zeroed {
                bytes[end..].fill(0)
            } else {
                bytes.truncate(end)
            }
            std::fs::write(&path, &bytes).unwrap();
            let (ledger, recovery) = open(folder.path()).unwrap();
            let expected = u64::from(bytes[starts[1]..].iter().any(|byte| *byte != 0));
            assert_eq!(recovery.head, Position(1), "end {end}");
            assert_eq!(u64::from(recovery.torn_bytes > 0), expected);
            assert_eq!(ledger.append(vec![act("third")]).unwrap(), Position(1));
            assert_eq!(ledger.entry(Position(0)).unwrap().unwrap().body, b"first");
            assert_eq!(ledger.entry(Position(1)).unwrap().unwrap().body, b"third");
            drop(ledger);
            assert_eq!(check(folder.path(), None).findings, []);
            std::fs::remove_dir_all(folder.path().join("log")).unwrap();
            std::fs::create_dir(folder.path().join("log")).unwrap();
        }
    }
}

#[test]
fn a_bad_group_before_a_good_one_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    Ledger::create(folder.path()).unwrap();
    let (ledger, _) = open(folder.path()).unwrap();
    for text in ["first", "second", "third"] {
        ledger.append(vec![act(text)]).unwrap();
    }
    drop(ledger);
    std::fs::remove_dir_all(folder.path().join("log")).unwrap();
    std::fs::create_dir(folder.path().join("log")).unwrap();
    let path = folder.path().join("segments/000000000000.seg");
    let mut bytes = std::fs::read(&path).unwrap();
    let second = bytes.windows(6).position(|window| window == b"second").unwrap();
    bytes[second] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let error = open(folder.path()).err().unwrap();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
}

#[test]
fn a_segment_whose_making_was_cut_short_takes_nothing_with_it() {
    let head = |folder: &Path| {
        let first = std::fs::read(folder.join("segments/000000000000.seg")).unwrap();
        first[..20].to_vec()
    };
    for begun in 0..4 {
        let folder = tempfile::tempdir().unwrap();
        small(folder.path());
        let before = check(folder.path(), None);
        let next = folder
            .path()
            .join(format!("segments/{:012}.seg", before.segments));
        // Made and nothing in it; a part of its head; zeros; and the head of another place.
        let bytes = match begun {
            0 => Vec::new(),
            1 => head(folder.path()),
            2 => vec![0; 4096],
            _ => std::fs::read(folder.path().join("segments/000000000000.seg")).unwrap(),
        };
        std::fs::write(&next, bytes).unwrap();
        let opened = open_with(folder.path(), 2000);
        if begun == 3 {
            assert!(matches!(opened.err(), Some(StoreError::Damaged { .. })));
            continue;
        }
        let (ledger, recovery) = opened.unwrap();
        assert_eq!(recovery.head, Position(before.entries), "{begun}");
        ledger.append(vec![act("after")]).unwrap();
        drop(ledger);
        let after = check(folder.path(), None);
        assert_eq!(
            (after.findings, after.entries),
            (vec![], before.entries + 1),
            "{begun}"
        );
    }
}

#[test]
fn what_the_checkpoint_covers_is_never_cut() {
    let folder = tempfile::tempdir().unwrap();
    Ledger::create(folder.path()).unwrap();
    let (ledger, _) = open(folder.path()).unwrap();
    ledger.append(vec![act("first")]).unwrap();
    ledger.append(vec![act("second")]).unwrap();
    drop(ledger);
    let path = folder.path().join("segments/000000000000.seg");
    let mut bytes = std::fs::read(&path).unwrap();
    let second = bytes.windows(6).position(|window| window == b"second").unwrap();
    bytes[second] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let error = open(folder.path()).err().unwrap();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
}

#[test]
fn an_outside_checkpoint_finds_a_history_rewritten_with_the_signing_key_in_hand() {
    let (honest, forged) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut notes = Vec::new();
    for (folder, text) in [(honest.path(), "pay 100"), (forged.path(), "pay 900")] {
        Ledger::create(folder).unwrap();
        let (ledger, _) = open(folder).unwrap();
        ledger.append(vec![act(text)]).unwrap();
        notes.push(ledger.flush().unwrap().unwrap().note);
        ledger.append(vec![act("later")]).unwrap();
        ledger.flush().unwrap();
    }
    let outside = Checkpoint::open(&notes[0], Some(&note_key())).unwrap();
    assert_eq!(check(honest.path(), Some(&outside)).findings, []);
    assert_eq!(check(forged.path(), None).findings, []);
    let findings = check(forged.path(), Some(&outside)).findings;
    assert!(
        findings
            .iter()
            .any(|finding| finding.detail.contains("rewritten")),
        "{findings:?}"
    );
}

#[test]
fn a_log_cut_back_to_an_older_copy_is_found_with_an_outside_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    Ledger::create(folder.path()).unwrap();
    let (ledger, _) = open(folder.path()).unwrap();
    ledger.append(vec![act("first")]).unwrap();
    ledger.flush().unwrap();
    ledger.append(vec![act("second")]).unwrap();
    let later = ledger.flush().unwrap().unwrap();
    drop(ledger);
    let outside = Checkpoint {
        size: later.size + 3,
        ..Checkpoint::open(&later.note, None).unwrap()
    };
    let findings = check(folder.path(), Some(&outside)).findings;
    assert!(
        findings.iter().any(|finding| finding.detail.contains("cut back")),
        "{findings:?}"
    );
}

#[test]
fn many_writers_get_positions_without_holes_or_doubles() {
    let folder = tempfile::tempdir().unwrap();
    Ledger::create(folder.path()).unwrap();
    let (ledger, _) = open_with(folder.path(), 64 << 10).unwrap();
    let mut positions: Vec<u64> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..16)
            .map(|_| {
                scope.spawn(|| {
                    (0..50)
                        .map(|_| ledger.append(vec![act("x")]).unwrap().0)
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        writers
            .into_iter()
            .flat_map(|writer| writer.join().unwrap())
            .collect()
    });
    positions.sort_unstable();
    assert_eq!(positions, (0..800).collect::<Vec<_>>());
    drop(ledger);
    let checked = check(folder.path(), None);
    assert_eq!((checked.entries, checked.unsigned_entries), (800, 0));
    assert_eq!(checked.findings, []);
}

#[test]
fn a_log_of_more_than_256_batches_verifies_and_reopens() {
    let folder = tempfile::tempdir().unwrap();
    Ledger::create(folder.path()).unwrap();
    let (ledger, _) = open(folder.path()).unwrap();
    for _ in 0..300 {
        ledger.append(vec![gap()]).unwrap();
        ledger.flush().unwrap();
    }
    drop(ledger);
    let checked = check(folder.path(), None);
    assert_eq!(
        (checked.batches, checked.findings.as_slice()),
        (300, [].as_slice())
    );
    let (ledger, _) = open(folder.path()).unwrap();
    ledger.append(vec![gap()]).unwrap();
    ledger.flush().unwrap();
    drop(ledger);
    assert_eq!(check(folder.path(), None).batches, 301);
}

#[test]
fn one_altered_entry_is_named_and_those_after_it_are_still_checked() {
    let folder = tempfile::tempdir().unwrap();
    Ledger::create(folder.path()).unwrap();
    let (ledger, _) = open(folder.path()).unwrap();
    for text in ["first", "second", "third"] {
        ledger.append(vec![act(text)]).unwrap();
        ledger.flush().unwrap();
    }
    drop(ledger);
    let path = folder.path().join("segments/000000000000.seg");
    let mut bytes = std::fs::read(&path).unwrap();
    let second = bytes.windows(6).position(|window| window == b"second").unwrap();
    bytes[second] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let checked = check(folder.path(), None);
    assert_eq!(checked.entries, 3);
    assert!(
        checked
            .findings
            .iter()
            .all(|finding| finding.place.contains("1 to 1")),
        "{:?}",
        checked.findings
    );
}

#[test]
fn what_is_too_much_for_one_group_is_refused_unwritten_and_the_ledger_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    Ledger::create(folder.path()).unwrap();
    let (ledger, _) = open(folder.path()).unwrap();
    assert_eq!(ledger.append(vec![act("before")]).unwrap(), Position(0));
    let huge = "x".repeat(19 << 20);
    let refused = ledger.append(vec![act(&huge), act(&huge)]).unwrap_err();
    assert!(
        matches!(refused, StoreError::TooLarge(bytes) if bytes > 38 << 20),
        "{refused:?}"
    );
    assert_eq!(ledger.head(), Position(1));
    // Just what can be read back is taken.
    let large = "x".repeat(17 << 20);
    assert_eq!(
        ledger.append(vec![act(&large), act(&large)]).unwrap(),
        Position(1)
    );
    assert_eq!(ledger.append(vec![act("after")]).unwrap(), Position(3));
    assert_eq!(ledger.stopped(), None);
    drop(ledger);
    let (ledger, recovery) = open(folder.path()).unwrap();
    assert_eq!((recovery.head, ledger.head()), (Position(4), Position(4)));
    assert_eq!(ledger.entry(Position(3)).unwrap().unwrap().body, b"after");
    assert_eq!(ledger.entry(Position(2)).unwrap().unwrap().body.len(), 17 << 20);
}
