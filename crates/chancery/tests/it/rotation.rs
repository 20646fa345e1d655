//! One signing key after another: for whoever holds the old one, after a compromise, and through crashes.

use std::io::Cursor;

use seal::bundle::{VerifyOptions, verify};
use seal::note::NoteKey;

use crate::anchors::{add_witness, export, grow, said, with_chat, zone_pub};
use crate::escrows::{ANN, BEN, with, with_escrow};
use crate::outsiders::Running;

#[test]
fn a_new_signing_key_continues_the_log_for_who_holds_the_old_key_the_witness_and_older_bundles() {
    let place = with_chat();
    std::fs::copy(place.path("archive/zone.pub"), place.path("old.pub")).unwrap();
    let old_key = zone_pub(&place);
    let witness = Running::witness(&place, &["old.pub"]);
    add_witness(&place, &witness, "1d");
    assert!(said(&place).0);
    place.on(&["checkpoint", "--out", "old-point.txt"]).done();
    place.on(&["export", "--all", "--out", "before.zip"]).done();
    let rotated = place.on(&["keys", "rotate-signing", "--json"]).json();
    assert_ne!(zone_pub(&place), old_key);
    assert_eq!(rotated["public_key"], zone_pub(&place).trim_end());
    grow(&place, "Cleo");
    for key in [&old_key, &zone_pub(&place)] {
        let report = export(&place, key, &[&witness.key], &[]).unwrap();
        assert!(report.origin_proved && report.anchors[0].proved);
    }
    let verified = place
        .on(&["verify", "--against", "old-point.txt", "--json"])
        .json();
    assert_eq!(verified["holds"], true, "{verified}");
    place
        .on(&["export", "--all", "--out", "c.zip", "--against", "old-point.txt"])
        .done();
    // The old bundle stands under the old key.
    let before = std::fs::read(place.path("before.zip")).unwrap();
    let options = VerifyOptions {
        key: Some(NoteKey::decode(&old_key).unwrap()),
        ..VerifyOptions::default()
    };
    assert!(verify(&mut Cursor::new(before), options).unwrap().origin_proved);
    // The witness knows the old key until its keeper is given the new one.
    let (ok, words) = said(&place);
    assert!(!ok && words.contains("does not know this log's key"), "{words}");
    witness.kill();
    let witness = Running::witness(&place, &["old.pub", "archive/zone.pub"]);
    place.on(&["anchor", "remove", "notary"]).done();
    add_witness(&place, &witness, "1d");
    assert!(said(&place).0);
    // Once more, with the program closed in between each time.
    place.on(&["keys", "rotate-signing"]).done();
    let report = export(&place, &old_key, &[&witness.key], &[]).unwrap();
    assert!(report.origin_proved && report.anchors.iter().all(|anchor| anchor.proved));
}

#[test]
fn after_a_compromise_the_old_key_proves_what_an_anchor_from_before_covers_and_no_more() {
    let place = with_chat();
    let old_key = zone_pub(&place);
    place.on(&["export", "--all", "--out", "early.zip"]).done();
    let witness = Running::witness(&place, &["archive/zone.pub"]);
    add_witness(&place, &witness, "1d");
    assert!(said(&place).0);
    place.on(&["keys", "rotate-signing", "--compromised"]).done();
    let error = export(&place, &old_key, &[&witness.key], &[]).unwrap_err();
    assert!(
        error.contains("came after the last anchor") || error.contains("no anchor from before"),
        "{error}"
    );
    assert!(export(&place, &zone_pub(&place), &[], &[]).unwrap().origin_proved);
    // The early bundle, with the public statement beside it, counts only with an anchor; it has none.
    let statement = std::fs::read_to_string(place.path("archive/succession/000000.txt")).unwrap();
    let early = std::fs::read(place.path("early.zip")).unwrap();
    let check = |succession| {
        let options = VerifyOptions {
            key: Some(NoteKey::decode(&old_key).unwrap()),
            succession,
            ..VerifyOptions::default()
        };
        verify(&mut Cursor::new(&early), options).map_err(|error| error.to_string())
    };
    assert!(check(None).is_ok());
    assert!(
        check(Some(&statement))
            .unwrap_err()
            .contains("no anchor from before")
    );
}

#[test]
fn a_replacement_of_the_key_that_dies_at_any_step_is_done_or_undone_when_the_vault_opens_next() {
    for (point, count) in [
        ("keystore-appended", 1),
        ("key-replaced", 1),
        ("checkpoint-written", 2),
        ("keystore-appended", 2),
    ] {
        let place = with_chat();
        let old_key = zone_pub(&place);
        let armed = format!("{point}:{count}");
        let mut command = place.command(&[
            "keys",
            "rotate-signing",
            "--data",
            "archive",
            "--passphrase-file",
            "pass.txt",
        ]);
        let died = command.env("CHANCERY_FAIL_POINT", &armed).output().unwrap();
        assert!(!died.status.success(), "{armed} was not reached");
        grow(&place, "Cleo");
        let report = export(&place, &old_key, &[], &[]).unwrap_or_else(|error| panic!("{armed}: {error}"));
        assert!(report.origin_proved, "{armed}");
        let verified = place.on(&["verify", "--json"]).json();
        assert_eq!(verified["holds"], true, "{armed}: {verified}");
        // And it can be done again.
        place.on(&["keys", "rotate-signing"]).done();
        assert!(
            export(&place, &old_key, &[], &[]).unwrap().origin_proved,
            "{armed}"
        );
        let kinds = place.on(&["keys", "list", "--json"]).json()["kinds"].clone();
        let signing = kinds
            .as_array()
            .unwrap()
            .iter()
            .find(|kind| kind["kind"] == "signing")
            .unwrap();
        assert_eq!(signing["living"], 1, "{armed}: {kinds}");
    }
}

#[test]
fn a_backup_an_escrow_and_a_scrub_go_on_through_a_new_signing_key() {
    let place = crate::backups::backed_up();
    let old_key = zone_pub(&place);
    place.on(&["checkpoint", "--out", "old-point.txt"]).done();
    with_escrow(&place);
    place.on(&["backup", "now"]).done();
    place.on(&["keys", "rotate-signing"]).done();
    // Of before the replacement: whole, of the old key.
    place
        .run(&["restore", "--from", "backup", "--data", "old"])
        .done();
    assert_eq!(
        std::fs::read_to_string(place.path("old/zone.pub")).unwrap(),
        old_key
    );
    let scrubbed = place.on(&["scrub", "--json"]).json();
    assert_eq!(scrubbed["holds"], true, "{scrubbed}");
    place.on(&["backup", "now"]).done();
    grow(&place, "Cleo");
    place.on(&["backup", "now"]).done();
    assert_eq!(place.on(&["scrub", "--json"]).json()["holds"], true);
    assert_eq!(place.on(&["restore", "--drill", "--json"]).json()["holds"], true);
    with(
        &place,
        "drill",
        &[ANN, BEN],
        &["--keystore", "archive/keys/keystore"],
    )
    .done();
    let new_key = zone_pub(&place);
    std::fs::remove_dir_all(place.path("archive")).unwrap();
    place
        .run(&[
            "restore",
            "--from",
            "backup",
            "--data",
            "archive",
            "--against",
            "old-point.txt",
        ])
        .done();
    assert_eq!(zone_pub(&place), new_key);
    for key in [&old_key, &new_key] {
        assert!(export(&place, key, &[], &[]).unwrap().origin_proved);
    }
    let older = place.path("old/keys/keystore");
    let ran = place.run(&[
        "restore",
        "--from",
        "backup",
        "--keys",
        older.to_str().unwrap(),
        "--data",
        "again",
    ]);
    ran.failed(65, "from before the signing key was replaced");
}
