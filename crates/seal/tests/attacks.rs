//! Attacks by somebody who has the disk, the database and the signing key, against an examiner who has the zone's key and
//! a checkpoint that left the house before. Each is found, or stands in the table as a limit.
//!
//! To add one: a line in `attacks/history.rs` (the ledger is written anew and signed), `attacks/bundle.rs` (the bundle
//! is put together by hand) or `attacks/keys.rs` (keys, their succession, anchors); then `UPDATE_EXPECT=1 cargo test -p seal --test attacks`, and read what the table says now.
//! `crates/chancery-verify/tests/agree.rs` has the second verifier answer the same cases.
#![cfg(test)]

#[path = "attacks/bundle.rs"]
mod bundle;
#[path = "attacks/case.rs"]
mod case;
#[path = "attacks/history.rs"]
mod history;
#[path = "attacks/keys.rs"]
mod keys;
mod sample;
#[path = "sample/zip.rs"]
mod zip;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Cursor;
use std::path::Path;

use seal::bundle::{BundleError, OutsideCheckpoint, VerifyOptions, verify};
use seal::stamp::Root;

pub use case::Case;

/// The same evidence in the hands of somebody who was given no checkpoint.
fn without_outside(case: &Case) -> Case {
    Case {
        outside: None,
        proof: None,
        ..case.clone()
    }
}

/// The words of the verdict, and the complaint.
fn judged(case: &Case) -> (&'static str, String) {
    let options = VerifyOptions {
        key: case.key.clone(),
        outside: case.outside.as_deref().map(|note| OutsideCheckpoint {
            note,
            proof: case.proof.as_deref(),
        }),
        witnesses: case.witness.iter().cloned().collect(),
        roots: case.root.map_or_else(Vec::new, |pem| Root::all(pem).unwrap()),
        succession: case.succession.as_deref(),
        ..VerifyOptions::default()
    };
    match verify(&mut Cursor::new(&case.bundle), options) {
        Ok(report) if report.origin_proved => ("holds", String::new()),
        Ok(_) => ("holds", "origin not proved".to_owned()),
        Err(BundleError::NotABundle) => ("not a bundle", String::new()),
        Err(error) => ("does not hold", error.to_string()),
    }
}

#[test]
fn every_attack_of_an_insider_is_found_or_listed_as_a_limit() {
    let cases = case::all();
    let mut table = String::from("# name, verdict, what our verifier says; written by UPDATE_EXPECT=1\n");
    for case in &cases {
        let (verdict, said) = judged(case);
        let genuine = case.name.starts_with("genuine");
        let may_pass = genuine || case.limit.is_some();
        assert_eq!(verdict == "holds", may_pass, "{}: {verdict}: {said}", case.name);
        let said = case.limit.map_or(said, |limit| format!("LIMIT: {limit}"));
        writeln!(table, "{}\t{verdict}\t{said}", case.name).unwrap();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/attacks/table.txt");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, &table).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), table);
    let names: BTreeSet<&str> = cases.iter().map(|case| case.name.as_str()).collect();
    assert_eq!(names.len(), cases.len(), "every attack has a name of its own");
    let found = cases
        .iter()
        .filter(|case| case.limit.is_none() && !case.name.starts_with("genuine"));
    assert!(found.count() >= 40);
}

/// Else they would prove only that a clumsy forger is found.
#[test]
fn a_history_written_anew_is_perfect_but_for_the_checkpoint_that_left_the_house() {
    for case in history::attacks() {
        let (verdict, said) = judged(&without_outside(&case));
        assert_eq!(verdict, "holds", "{}: {said}", case.name);
    }
}
