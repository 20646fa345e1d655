//! Bundles of a zone whose signing key was replaced.
#![cfg(test)]

use std::io::Cursor;

use model::Timestamp;
use seal::bundle::*;
use seal::note::NoteKey;
use seal::succession::{Reason, Statement};
use seal::suite::SigningKey;

use crate::sample::{Choice, Sample, Shown, key, witness_key};
use crate::zip::Members;

/// The zone with the key of the sample, and the same zone with the next.
fn both() -> (Sample, Sample) {
    let old = Sample::new("us", 3);
    let (new, _) = old.successor(Reason::Rotated, COSIGNED);
    (old, new)
}

/// Cosignatures of the sample are of this second and one more for each batch.
const COSIGNED: i64 = 1_700_002_800;

/// The statement: the old key signed three batches.
fn statement(reason: Reason, at: i64) -> String {
    Sample::new("us", 3).successor(reason, at).1
}

/// A bundle signed with the new key, with the anchor that the old key had at three batches; shows records 2 to `last`.
fn bundle(statement: &str, last: u64, anchors: &[Anchor]) -> Vec<u8> {
    let (_, new) = both();
    let choice: Choice = (2..=last)
        .map(|at| (at, Shown::Sealed))
        .filter(|(at, _)| *at < 12)
        .collect();
    new.bundle_with((4, &[1, 3]), &choice, &[], (&[statement.to_owned()], anchors))
}

fn check(bytes: &[u8], key: &NoteKey, witness: bool) -> Result<Report, String> {
    let options = VerifyOptions {
        key: Some(key.clone()),
        witnesses: if witness { vec![witness_key()] } else { Vec::new() },
        ..VerifyOptions::default()
    };
    verify(&mut Cursor::new(bytes), options).map_err(|error| error.to_string())
}

#[test]
fn a_bundle_of_the_new_key_is_proved_to_who_holds_only_the_old_one() {
    let (old, new) = both();
    let bytes = bundle(
        &statement(Reason::Rotated, COSIGNED),
        7,
        &[old.cosigned(3), new.cosigned(4)],
    );
    for key in [&old.key, &new.key] {
        let report = check(&bytes, key, true).unwrap();
        assert!(report.origin_proved);
        assert_eq!(report.given_up_at, None);
        assert!(report.anchors.iter().all(|anchor| anchor.proved));
    }
    // And one that shows everything the usual bundle shows.
    assert!(
        check(&old.rotated_bundle(), &old.key, true)
            .unwrap()
            .origin_proved
    );
    let stranger = Sample::new("us", 5).key;
    let refused = check(&bytes, &stranger, true).unwrap_err();
    assert!(refused.contains("not the key that was given"), "{refused}");
}

#[test]
fn a_bundle_without_the_statement_or_with_a_forged_one_is_refused_by_who_holds_the_old_key() {
    let (old, new) = both();
    let bytes = bundle(&statement(Reason::Rotated, COSIGNED), 7, &[]);
    let with = |statements: &[String]| {
        let mut members = Members::of(&bytes);
        let frame = |note: &String| [&[1][..], &(note.len() as u32).to_be_bytes(), note.as_bytes()].concat();
        *members.content("succession") = statements.iter().flat_map(frame).collect();
        members.sign_anew(&new, |_| {});
        check(&members.pack(), &old.key, true)
    };
    assert!(with(&[statement(Reason::Rotated, COSIGNED)]).is_ok());
    assert!(with(&[]).is_err());
    // Signed by a thief in the old key's place.
    let thief = SigningKey::from_seed(&key(5)).unwrap();
    let genuine = Statement::open(&statement(Reason::Rotated, COSIGNED)).unwrap();
    assert!(with(&[genuine.sign(&thief, &new.signing)]).is_err());
    assert!(with(&[genuine.sign(&old.signing, &thief)]).is_err());
    let altered = statement(Reason::Compromised, COSIGNED).replace("compromised", "rotated");
    assert!(with(&[altered]).is_err());
    let twice = statement(Reason::Rotated, COSIGNED);
    assert!(with(&[twice.clone(), twice]).is_err());
}

#[test]
fn after_a_compromise_the_old_key_proves_only_what_an_anchor_from_before_covers() {
    let (old, new) = both();
    let later = statement(Reason::Compromised, COSIGNED + 100);
    let third = old.batches[2].end().0 - 1;
    let bytes = bundle(&later, third, &[old.cosigned(3), new.cosigned(4)]);
    let report = check(&bytes, &old.key, true).unwrap();
    assert_eq!(report.given_up_at, Some(Timestamp::from_seconds(COSIGNED + 100)));
    // The new key, from somebody trusted, proves everything.
    assert_eq!(check(&bytes, &new.key, false).unwrap().given_up_at, None);
    let says = |result: Result<Report, String>, words: &str| {
        let error = result.unwrap_err();
        assert!(error.contains(words), "{error}");
    };
    says(check(&bytes, &old.key, false), "no anchor from before is proved");
    let bytes = bundle(&later, third, &[new.cosigned(4)]);
    says(check(&bytes, &old.key, true), "no anchor from before is proved");
    let earlier = statement(Reason::Compromised, COSIGNED);
    let bytes = bundle(&earlier, third, &[old.cosigned(3)]);
    says(check(&bytes, &old.key, true), "no anchor from before is proved");
    let choice: Choice = [(2, Shown::Sealed), (15, Shown::Sealed)].into();
    let succession = std::slice::from_ref(&later);
    let anchors = [old.cosigned(3)];
    let beyond = new.bundle_with((4, &[3]), &choice, &[], (succession, &anchors));
    says(
        check(&beyond, &old.key, true),
        "record 15: came after the last anchor",
    );
}

#[test]
fn a_statement_from_outside_takes_an_old_bundles_key_back() {
    let (old, new) = both();
    let choice: Choice = [(2, Shown::Sealed)].into();
    let bytes = old.bundle_with((3, &[]), &choice, &[], (&[], &[old.cosigned(3)]));
    let check = |statement: &str, witness: bool| {
        let options = VerifyOptions {
            key: Some(old.key.clone()),
            witnesses: if witness { vec![witness_key()] } else { Vec::new() },
            succession: Some(statement),
            ..VerifyOptions::default()
        };
        verify(&mut Cursor::new(&bytes), options).map_err(|error| error.to_string())
    };
    assert_eq!(
        check(&statement(Reason::Rotated, COSIGNED), false)
            .unwrap()
            .given_up_at,
        None
    );
    let compromised = statement(Reason::Compromised, COSIGNED + 100);
    assert!(check(&compromised, true).unwrap().given_up_at.is_some());
    assert!(
        check(&compromised, false)
            .unwrap_err()
            .contains("no anchor from before")
    );
    assert!(check("hello", true).is_err());
    let other = Statement {
        old: new.key.clone(),
        new: old.key.clone(),
        ..Statement::open(&compromised).unwrap()
    };
    let other = other.sign(&new.signing, &old.signing);
    assert!(check(&other, true).unwrap_err().contains("another key"));
}

#[test]
fn a_bundle_that_follows_another_successor_than_the_owner_named_is_refused() {
    let (old, mut thief) = both();
    thief.signing = SigningKey::from_seed(&key(5)).unwrap();
    thief.key.public = thief.signing.public();
    let genuine = Statement::open(&statement(Reason::Rotated, COSIGNED + 100)).unwrap();
    let choice: Choice = [(2, Shown::Sealed)].into();
    for stolen in [Reason::Rotated, Reason::Compromised] {
        let forged = Statement {
            new: thief.key.clone(),
            reason: stolen,
            ..genuine.clone()
        };
        let forged = [forged.sign(&old.signing, &thief.signing)];
        let bytes = thief.bundle_with((4, &[3]), &choice, &[], (&forged, &[old.cosigned(3)]));
        let check = |given: &NoteKey, told: Option<&str>| {
            let options = VerifyOptions {
                key: Some(given.clone()),
                witnesses: vec![witness_key()],
                succession: told,
                ..VerifyOptions::default()
            };
            verify(&mut Cursor::new(&bytes), options).map_err(|error| error.to_string())
        };
        // Who was told nothing is deceived.
        assert!(check(&old.key, None).is_ok());
        for reason in [Reason::Rotated, Reason::Compromised] {
            let told = statement(reason, COSIGNED + 100);
            for given in [&old.key, &thief.key] {
                let error = check(given, Some(&told)).unwrap_err();
                assert!(error.contains("another new key than the bundle"), "{error}");
            }
        }
    }
}

#[test]
fn a_checkpoint_kept_from_the_old_key_is_of_one_log_with_the_new_keys_bundle() {
    let (old, new) = both();
    let bytes = bundle(&statement(Reason::Rotated, COSIGNED), 7, &[]);
    let check = |note: &str| {
        let options = VerifyOptions {
            key: Some(new.key.clone()),
            outside: Some(OutsideCheckpoint { note, proof: None }),
            ..VerifyOptions::default()
        };
        verify(&mut Cursor::new(&bytes), options).map_err(|error| error.to_string())
    };
    for size in [1, 3] {
        assert_eq!(
            check(&old.note(size)).unwrap().checkpoint.consistent_with_outside,
            Some(true)
        );
    }
    // What the old key signed after it was replaced counts for nothing.
    assert!(check(&old.note(4)).unwrap_err().contains("was replaced before"));
    assert!(check(&new.note(4)).is_ok());
}
