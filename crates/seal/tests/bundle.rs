//! Bundles: what is true of a good one, and that nothing else passes.

#[cfg(test)]
mod sample;

use std::collections::BTreeMap;
use std::io::Cursor;

use sample::Sample;
use seal::bundle::*;

fn check(bytes: &[u8]) -> Result<Report, BundleError> {
    verify(&mut Cursor::new(bytes), VerifyOptions::default())
}

fn check_with_key(bytes: &[u8], sample: &Sample) -> Result<Report, BundleError> {
    let options = VerifyOptions {
        key: Some(sample.key.clone()),
        ..VerifyOptions::default()
    };
    verify(&mut Cursor::new(bytes), options)
}

#[test]
fn a_bundle_is_proved_and_says_what_it_holds() {
    let sample = Sample::new("us", 3);
    let report = check_with_key(&sample.usual_bundle(), &sample).unwrap();
    let counts = |pairs: &[(&'static str, u64)]| BTreeMap::from_iter(pairs.iter().copied());
    assert_eq!(
        report.entries,
        counts(&[
            ("act", 2),
            ("capture", 5),
            ("destruction", 1),
            ("gap", 2),
            ("outside-result", 1),
            ("part", 2),
            ("wrap", 1)
        ])
    );
    assert!(report.origin_proved);
    assert_eq!((report.captures.opened, report.captures.erased), (3, 1));
    assert_eq!((report.captures.sealed, report.captures.incomplete), (1, 0));
    assert_eq!((report.items.shown, report.items.opened), (3, 2));
    let messages = MessageCounts {
        raw: 2,
        part: 2,
        erased: 2,
    };
    assert_eq!((report.messages, report.gaps), (messages, 2));
    assert!(!check(&sample.usual_bundle()).unwrap().origin_proved);
}

#[test]
fn every_changed_bit_of_a_bundle_is_found() {
    let sample = Sample::new("us", 3);
    let bytes = sample.usual_bundle();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << bit;
            assert!(check(&changed).is_err(), "byte {at} bit {bit}");
        }
    }
}

#[test]
fn a_bundle_cut_anywhere_or_with_a_byte_more_is_refused() {
    let bytes = Sample::new("us", 3).usual_bundle();
    for end in 0..bytes.len() {
        assert!(check(&bytes[..end]).is_err(), "cut at {end}");
    }
    for more in [&[0u8][..], b"PK\x05\x06", &bytes] {
        assert!(check(&[&bytes, more].concat()).is_err());
        assert!(check(&[more, &bytes].concat()).is_err());
    }
}
