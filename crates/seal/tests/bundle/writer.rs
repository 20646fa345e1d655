//! What a writer of bundles takes.
#![cfg(test)]

use std::io::Cursor;

use seal::bundle::*;
use seal::note::NoteKey;
use seal::tree::InMemory;

use crate::sample::{self, Sample};

#[test]
fn the_writer_refuses_what_would_not_be_proved() {
    let sample = Sample::new("us", 3);
    let sink = Cursor::new(Vec::new());
    let note = sample.note(4);
    let opening = |key: &NoteKey, sink| {
        let opening = Opening {
            zone: sample.zone.clone(),
            key: key.clone(),
            succession: &[],
            checkpoint: &note,
            proofs: &[],
            anchors: &[],
        };
        BundleWriter::create(sink, &opening)
    };
    let begun = opening(&sample.key, sink);
    let mut writer = begun.unwrap();
    let leaves: Vec<_> = sample.entries[2..8].iter().map(sample::Entry::leaf).collect();
    let Ok(path) = seal::tree::inclusion_proof(&mut InMemory(&sample.log()[..4]), 1, 4);
    assert!(writer.begin_batch(0, &sample.batches[1], &path, &leaves).is_err());
    assert!(
        writer
            .begin_batch(1, &sample.batches[1], &path, &leaves[1..])
            .is_err()
    );
    writer.begin_batch(1, &sample.batches[1], &path, &leaves).unwrap();
    let (entry, other) = (&sample.entries[3], &sample.entries[2]);
    let header = entry.bytes();
    assert!(writer.entry(0, &header, &entry.body, None).is_err());
    assert!(writer.entry(1, &header, &other.body, None).is_err());
    assert!(writer.entry(1, &header, &entry.body, other.key.as_ref()).is_err());
    assert!(writer.entry(9, &header, &entry.body, None).is_err());
    writer.entry(1, &header, &entry.body, entry.key.as_ref()).unwrap();
    assert!(
        writer.entry(0, &other.bytes(), &other.body, None).is_err(),
        "out of order"
    );
    assert!(writer.finish().is_err(), "the batch was not ended");
    let stranger = Sample::new("us", 9);
    let sink = Cursor::new(Vec::new());
    assert!(opening(&stranger.key, sink).is_err());
}
