//! The ledger written anew: every entry, batch, root and signature fits, as only who holds the signing key can make them.
//! What does not fit is the checkpoint over four batches that left the house before.

use std::collections::BTreeMap;

use model::Timestamp;
use model::entry::{ActCode, GapCause, Header, Kind};
use seal::note::NoteKey;
use seal::suite::SigningKey;
use seal::tree::root;

use crate::Case;
use crate::sample::{Choice, Entry, Sample, Shown, key, key_id};

/// How many batches the checkpoint outside covers, and how many there are.
const OUTSIDE: usize = 4;
const COUNTS: [u32; 5] = [2, 6, 6, 3, 1];

/// What is changed, at which entries.
type Change = fn(&mut Sample);

pub fn attacks() -> Vec<Case> {
    let mut cases: Vec<Case> = CHANGES
        .iter()
        .map(|(name, change)| {
            let mut sample = Sample::new("us", 3);
            let outside = sample.note(OUTSIDE);
            change(&mut sample);
            case(name, &sample, Some(outside))
        })
        .collect();
    cases.extend(shifted());
    cases.push(of_another_log());
    cases
}

const CHANGES: &[(&str, Change)] = &[
    ("alter-a-message", |s| {
        replace(s, 2, |s| s.capture(1, &[b"altered"], None))
    }),
    ("alter-a-message-of-several", |s| {
        replace(s, 12, |s| s.part(10, 0, false, 31, &[key_id(1)], &[0, 2, 3, 4]))
    }),
    ("alter-one-bit-that-nobody-opens", |s| flip(s, 3)),
    ("alter-one-bit-of-a-key-that-was-wrapped", |s| {
        edit(s, 8, |header| {
            if let Kind::Wrap(wrap) = &mut header.kind {
                wrap.wrapped_key[7] ^= 1;
            }
        })
    }),
    ("reorder-two-messages", |s| {
        s.entries.swap(2, 3);
        finish(s, &COUNTS);
    }),
    ("swap-two-ciphertexts", |s| {
        let (left, right) = s.entries.split_at_mut(3);
        std::mem::swap(&mut left[2].body, &mut right[0].body);
        finish(s, &COUNTS);
    }),
    ("put-a-message-in-the-place-of-another", |s| {
        replace(s, 3, |s| s.capture(9, &[b"never said"], None))
    }),
    ("back-date-an-entry", |s| {
        edit(s, 2, |header| {
            header.recorded_at = Timestamp::from_seconds(1_600_000_000)
        })
    }),
    ("back-date-everything", |s| {
        for entry in &mut s.entries {
            entry.header.recorded_at =
                Timestamp::from_micros(entry.header.recorded_at.as_micros() - 86_400_000_000);
        }
        finish(s, &COUNTS);
    }),
    ("back-date-what-the-intake-said", |s| {
        origin(s, 2, |origin| {
            origin.received_at = Timestamp::from_seconds(1_600_000_000)
        })
    }),
    ("call-a-signed-message-unproved", |s| {
        origin(s, 2, |origin| origin.verdict = 0)
    }),
    ("name-another-secret-of-the-platform", |s| {
        origin(s, 2, |origin| origin.secret = 1)
    }),
    ("move-a-message-to-another-connection", |s| {
        origin(s, 2, |origin| origin.connection = "ward-4".parse().unwrap())
    }),
    ("name-another-connector", |s| {
        origin(s, 2, |origin| origin.connector = "generic-import".into())
    }),
    ("name-another-version-of-the-connector", |s| {
        origin(s, 2, |origin| origin.connector_version = 2)
    }),
    ("shorten-the-minimum-lock", |s| {
        origin(s, 2, |origin| origin.minimum_lock_days = 0)
    }),
    ("move-a-wrap-to-another-conversation", |s| {
        replace(s, 8, |s| s.wrap(2, &[key_id(3), key_id(9)], 1, false))
    }),
    ("move-a-part-to-another-conversation", |s| {
        replace(s, 13, |s| s.part(10, 1, true, 22, &[key_id(1)], &[2]))
    }),
    ("give-one-persons-words-to-another", |s| {
        replace(s, 12, |s| s.part(10, 0, false, 21, &[key_id(1)], &[0, 2, 3, 4]));
        replace(s, 13, |s| s.part(10, 1, true, 22, &[key_id(3)], &[1]));
    }),
    ("take-one-message-out-of-a-part", |s| {
        replace(s, 12, |s| s.part(10, 0, false, 21, &[key_id(1)], &[0, 1, 4]))
    }),
    ("reorder-the-messages-of-a-part", |s| {
        replace(s, 12, |s| s.part(10, 0, false, 21, &[key_id(1)], &[1, 0, 3, 4]))
    }),
    ("seal-a-message-under-another-key", |s| {
        replace(s, 2, |s| s.capture(8, &[b"alpha"], None))
    }),
    ("exchange-the-file-of-a-message", |s| {
        replace(s, 7, |s| s.capture(4, &[b"another picture"], Some(2)))
    }),
    ("give-a-file-to-another-message", |s| {
        replace(s, 7, |s| s.capture(4, &[b"a picture"], Some(3)))
    }),
    ("call-a-file-expired", |s| {
        edit(s, 7, |header| {
            if let Kind::Outside(outside) = &mut header.kind {
                outside.state = 3;
            }
        })
    }),
    ("shorten-a-gap", |s| {
        gap(s, 6, |gap| gap.to = Timestamp::from_seconds(1_700_000_001))
    }),
    ("move-a-gap-to-another-connection", |s| {
        gap(s, 16, |gap| gap.connection = Some("ward-4".parse().unwrap()))
    }),
    ("name-another-cause-of-a-gap", |s| {
        gap(s, 16, |gap| gap.cause = GapCause::TornGroup)
    }),
    ("say-that-a-gap-lost-less", |s| gap(s, 16, |gap| gap.count = 1)),
    ("put-a-message-where-a-gap-was", |s| {
        replace(s, 6, |s| s.capture(9, &[b"never said"], None))
    }),
    ("forge-an-act", |s| {
        replace(s, 15, |s| s.act(ActCode::Shown, r#"{"by":"carol"}"#))
    }),
    ("say-that-somebody-else-did-it", |s| {
        replace(s, 15, |s| s.act(ActCode::Exported, r#"{"by":"carol"}"#))
    }),
    ("put-a-gap-where-an-act-was", |s| {
        replace(s, 15, |s| s.gap(None, GapCause::NotRunning, 0))
    }),
    ("resurrect-an-erased-key", |s| {
        replace(s, 14, |s| {
            s.destruction(2, vec![key_id(3)], r#"{"reason":"asked for"}"#)
        })
    }),
    ("take-a-destruction-back", |s| {
        replace(s, 14, |s| s.act(ActCode::Started, "{}"))
    }),
    ("claim-a-destruction", |s| {
        replace(s, 14, |s| {
            s.destruction(
                2,
                vec![key_id(1), key_id(2), key_id(3)],
                r#"{"reason":"asked for"}"#,
            );
        })
    }),
    ("name-another-reason-of-a-destruction", |s| {
        replace(s, 14, |s| {
            s.destruction(1, vec![key_id(2), key_id(3)], r#"{"reason":"asked for"}"#);
        })
    }),
    ("rewrite-the-reason-given", |s| {
        replace(s, 14, |s| {
            s.destruction(2, vec![key_id(2), key_id(3)], r#"{"reason":"nothing!!"}"#);
        })
    }),
    ("merge-two-batches", |s| finish(s, &[2, 12, 3, 1])),
    ("split-a-batch", |s| finish(s, &[2, 3, 3, 6, 3, 1])),
    ("move-the-bound-of-a-batch", |s| finish(s, &[2, 5, 7, 3, 1])),
    ("rename-the-node-of-a-batch", |s| s.batches[1].node = "n2".into()),
];

/// Those that change how many entries there are before what the checkpoint covers.
fn shifted() -> Vec<Case> {
    let one = |name: &str, counts: &[u32], change: Change| {
        let mut sample = Sample::new("us", 3);
        let outside = sample.note(OUTSIDE);
        change(&mut sample);
        finish(&mut sample, counts);
        case(name, &sample, Some(outside))
    };
    vec![
        one("drop-a-message", &[2, 5, 6, 3, 1], |s| drop(s.entries.remove(3))),
        one("hide-a-gap", &[2, 5, 6, 3, 1], |s| drop(s.entries.remove(6))),
        one("drop-a-wrap", &[2, 6, 5, 3, 1], |s| drop(s.entries.remove(8))),
        one("drop-an-act", &[2, 6, 6, 2, 1], |s| drop(s.entries.remove(15))),
        one("drop-a-destruction", &[2, 6, 6, 2, 1], |s| {
            drop(s.entries.remove(14))
        }),
        one("drop-a-batch", &[2, 6, 3, 1], |s| drop(s.entries.drain(2..8))),
        one("insert-a-message-in-the-past", &[2, 7, 6, 3, 1], |s| {
            insert(s, 6, |s| s.capture(9, &[b"never said"], None));
        }),
        one("insert-an-act-in-the-past", &[3, 6, 6, 3, 1], |s| {
            insert(s, 2, |s| s.act(ActCode::Shown, r#"{"by":"carol"}"#));
        }),
        one("add-to-a-batch-at-its-end", &[2, 6, 6, 4, 1], |s| {
            insert(s, 17, |s| s.capture(9, &[b"never said"], None));
        }),
        one("go-on-from-an-old-copy", &[2, 6, 6, 1, 1], |s| {
            s.entries.truncate(14);
            s.act(ActCode::Started, "{}");
            s.act(ActCode::Started, "{}");
        }),
        one("cut-off-all-but-the-beginning", &[2, 1, 1, 1, 1], |s| {
            s.entries.truncate(2);
            for n in 5..9 {
                s.capture(n, &[b"another story"], None);
            }
        }),
    ]
}

/// A second log under the same key, for another audience.
fn of_another_log() -> Case {
    let honest = Sample::new("us", 3);
    let mut second = Sample::new("us", 3);
    for at in 0..5 {
        second.batches[at].node = "n9".into();
    }
    assert_ne!(root(&honest.log()), root(&second.log()));
    case(
        "keep-a-second-log-for-the-examiner",
        &second,
        Some(honest.note(OUTSIDE)),
    )
}

/// A thief's own zone of the same name: the key is another.
pub fn of_another_key() -> Sample {
    let mut sample = Sample::new("us", 3);
    sample.signing = SigningKey::from_seed(&key(9)).unwrap();
    sample.key = NoteKey {
        name: sample.key.name.clone(),
        public: sample.signing.public(),
    };
    sample
}

/// All that there is, opened, pinned to the newest checkpoint and reaching back to those before.
pub fn case(name: &str, sample: &Sample, outside: Option<String>) -> Case {
    let size = sample.batches.len();
    let reach: Vec<usize> = (1..size).collect();
    Case {
        name: name.to_owned(),
        bundle: sample.bundle(size, &reach, &all(sample), &[]),
        key: Some(Sample::new("us", 3).key),
        outside,
        ..Case::default()
    }
}

/// Everything with its key, but what does not open any more.
fn all(sample: &Sample) -> Choice {
    let shown = |entry: &Entry| match &entry.header.kind {
        Kind::Part(part) => Shown::Items(
            (0..part.item_count)
                .map(|item| (item, true))
                .collect::<BTreeMap<_, _>>(),
        ),
        _ if opens(sample, entry) => Shown::Opened,
        _ => Shown::Sealed,
    };
    let entries = sample.entries.iter().enumerate();
    entries.map(|(at, entry)| (at as u64, shown(entry))).collect()
}

fn opens(sample: &Sample, entry: &Entry) -> bool {
    let (Some(key), Kind::Chunk(chunk)) = (&entry.key, &entry.header.kind) else {
        return entry.key.is_some();
    };
    seal::envelope::open_chunk(&sample.zone, &chunk.sealing, key, &entry.body, &mut Vec::new()).is_ok()
}

/// Makes everything after the entries fit them: positions, roots; checkpoints are signed when they are asked for.
fn finish(sample: &mut Sample, counts: &[u32]) {
    for (at, entry) in sample.entries.iter_mut().enumerate() {
        entry.header.position = model::Position(at as u64);
    }
    batch_anew(sample, counts);
}

/// Makes all batches anew, of these many entries each.
pub fn batch_anew(sample: &mut Sample, counts: &[u32]) {
    let mut first = 0;
    sample.batches.clear();
    for count in counts {
        let batch = sample.batch_of(first, *count);
        sample.batches.push(batch);
        first += *count as usize;
    }
}

fn insert(sample: &mut Sample, at: usize, make: impl FnOnce(&mut Sample)) {
    let after = sample.entries.split_off(at);
    make(sample);
    sample.entries.extend(after);
}

fn replace(sample: &mut Sample, at: usize, make: impl FnOnce(&mut Sample)) {
    insert(sample, at, make);
    sample.entries.remove(at + 1);
    finish(sample, &COUNTS);
}

fn edit(sample: &mut Sample, at: usize, change: impl FnOnce(&mut Header)) {
    change(&mut sample.entries[at].header);
    finish(sample, &COUNTS);
}

fn origin(sample: &mut Sample, at: usize, change: impl FnOnce(&mut model::entry::Origin)) {
    edit(sample, at, |header| {
        if let Kind::Chunk(chunk) = &mut header.kind {
            change(&mut chunk.origin);
        }
    });
}

fn gap(sample: &mut Sample, at: usize, change: impl FnOnce(&mut model::entry::Gap)) {
    edit(sample, at, |header| {
        if let Kind::Gap(gap) = &mut header.kind {
            change(gap);
        }
    });
}

fn flip(sample: &mut Sample, at: usize) {
    sample.entries[at].body[3] ^= 1;
    finish(sample, &COUNTS);
}
