//! Replays the stored fuzz inputs, whole, cut at every byte and with bytes changed.
#![cfg(test)]

#[path = "../../../fuzz/bodies/evidence.rs"]
mod bodies;

use std::fs;
use std::path::Path;

/// The stored inputs of a target.
fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/corpus")
        .join(target);
    let mut files: Vec<_> = fs::read_dir(&folder)
        .expect("the corpus is there")
        .map(|file| file.expect("an entry can be read").path())
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{} holds nothing", folder.display());
    files
        .iter()
        .map(|path| fs::read(path).expect("an input can be read"))
        .collect()
}

/// Calls `body` with every input, with its beginnings, and with one byte changed at a time; at most `steps` of each.
fn replay(target: &str, body: fn(&[u8]), steps: usize) {
    for data in corpus(target) {
        body(&data);
        let stride = (data.len() / steps).max(1);
        for at in (0..data.len()).step_by(stride) {
            body(&data[..at]);
            for with in [0x01, 0x80, 0xff] {
                let mut changed = data.clone();
                changed[at] ^= with;
                body(&changed);
            }
        }
    }
}

#[test]
fn any_segment_is_read_or_refused() {
    replay("segment", bodies::segment, 2000);
}

#[test]
fn any_header_is_read_or_refused() {
    replay("header", bodies::header, 2000);
}

#[test]
fn any_batch_checkpoint_or_key_is_read_or_refused() {
    replay("log", bodies::log, 2000);
}

#[test]
fn any_time_stamp_is_read_or_refused() {
    replay("stamp", bodies::stamp, 2000);
}

#[test]
fn any_key_ring_is_read_or_refused() {
    replay("keyring", bodies::keyring, 500);
}

#[test]
fn any_bundle_is_read_or_refused() {
    replay("bundle", bodies::bundle, 300);
}
