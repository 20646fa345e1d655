//! Scrubbing: what is found in either copy, and what is mended from the other, and only from what is proved.

use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde_json::Value;
use server::vault::scrubs::{Scrub, Scrubbed};
use store::ledger::places::Places;
use tempfile::TempDir;

use crate::backups::{backed_up, files_below};
use crate::inputs::{CHAT, CHAT_NAME, WEBHOOK};
use crate::vaults;

/// A closed vault with several segments, and its backup.
fn both() -> (TempDir, PathBuf, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let (data, backup) = (folder.path().join("data"), folder.path().join("backup"));
    let vault = vaults::fresh(&data);
    vaults::import(&vault, CHAT_NAME, CHAT.as_bytes());
    for n in 0..8 {
        vaults::deliver(&vault, WEBHOOK.replace("TEST0001", &format!("T{n}")).as_bytes());
        vault.ledger().flush().unwrap();
    }
    vault.wait_normalized(vault.ledger().head()).unwrap();
    vault.add_backup(&backup, 30, "test").unwrap();
    vault.backup_now("test").unwrap();
    drop(vault);
    (folder, data, backup)
}

/// Scrubs the two while nobody has them open.
fn scrub(data: &Path, backup: &Path, repair: bool) -> Scrubbed {
    let file = server::vault::read_zone_file(data).unwrap();
    let keys = server::vault::log_keys(data, &file).unwrap();
    let backups = [backup.to_owned()];
    let scrub = Scrub {
        zone: &file.zone,
        keys: &keys,
        data,
        backups: &backups,
        repair,
        now: file.created_at,
    };
    let ledger = data.join("ledger");
    scrub.run(&|| Places::of_data(&ledger), &mut |_| Ok(())).unwrap()
}

fn flip(path: &Path, at: u64) {
    let file = std::fs::File::options()
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 0x10], at).unwrap();
}

/// Bytes of every file of a ledger that counts, by name; without what was set aside.
fn content(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let all = files_below(&folder.join("ledger")).into_iter();
    let kept = all.filter(|path| !path.components().any(|part| part.as_os_str() == "aside"));
    kept.map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect()
}

#[test]
fn what_holds_is_said_to_hold_and_nothing_is_touched() {
    let (_folder, data, backup) = both();
    let before = (content(&data), content(&backup));
    for repair in [false, true] {
        let scrubbed = scrub(&data, &backup, repair);
        assert!(scrubbed.holds, "{scrubbed:?}");
        assert_eq!(scrubbed.copies.len(), 2);
        assert!(
            scrubbed
                .copies
                .iter()
                .all(|copy| copy.mended.is_empty() && copy.segments >= 3)
        );
    }
    assert_eq!((content(&data), content(&backup)), before);
}

#[test]
fn a_bad_byte_anywhere_in_either_copy_is_found_set_aside_and_mended_from_the_other() {
    let (_folder, data, backup) = both();
    for side in [&data, &backup] {
        let before = content(side);
        for (path, bytes) in &before {
            let used = bytes.iter().rposition(|byte| *byte != 0).unwrap() as u64;
            for at in [0, used / 3, used / 2, used] {
                flip(path, at);
                let place = format!("{} byte {at}", path.display());
                let found = scrub(&data, &backup, false);
                assert!(!found.holds, "{place} is found");
                let bad = std::fs::read(path).unwrap();
                let mended = scrub(&data, &backup, true);
                assert!(mended.holds, "{place}: {mended:?}");
                let own = mended.copies.iter().find(|copy| copy.folder == **side).unwrap();
                assert!(!own.mended.is_empty(), "{place}: {mended:?}");
                let aside = files_below(&side.join("ledger/aside"));
                let kept = aside.iter().any(|path| std::fs::read(path).unwrap() == bad);
                assert!(kept, "{place}: the bad bytes are set aside");
                // What a copy keeps beside its newest checkpoint is taken away; everything else is as it was.
                if path.exists() {
                    assert!(std::fs::read(path).unwrap() == *bytes, "{place}");
                } else {
                    let name = path.to_str().unwrap();
                    assert!(
                        name.contains("log/checkpoints/") || name.contains(".p/"),
                        "{place}"
                    );
                    std::fs::write(path, bytes).unwrap();
                }
                aside.iter().for_each(|path| std::fs::remove_file(path).unwrap());
            }
        }
        assert!(before.len() >= 6);
    }
    let vault = vaults::open(&data, &vaults::options);
    assert!(vault.scrub(false, "test").unwrap().holds);
}

#[test]
fn a_missing_segment_or_tile_comes_back_from_the_other_copy() {
    let (_folder, data, backup) = both();
    for side in [&data, &backup] {
        for (path, bytes) in content(side) {
            let name = path.to_str().unwrap();
            if name.contains("checkpoint") {
                continue;
            }
            std::fs::remove_file(&path).unwrap();
            let found = scrub(&data, &backup, false);
            let is_covered = !found.holds;
            let mended = scrub(&data, &backup, true);
            assert!(mended.holds, "{name}: {mended:?}");
            // Of the last segment only what was copied can come back; of others every byte.
            let there = std::fs::read(&path).unwrap_or_default();
            let is_last = name.ends_with(".open") || !is_covered || bytes.ends_with(&[0; 16]);
            assert!(is_last || there == bytes, "{name}");
            std::fs::write(&path, bytes).unwrap();
        }
    }
    assert!(scrub(&data, &backup, false).holds);
}

#[test]
fn what_is_bad_in_both_in_different_places_is_mended_and_in_the_same_place_it_is_named() {
    let (_folder, data, backup) = both();
    let segment = |folder: &Path, n: usize| files_below(&folder.join("ledger/segments"))[n].clone();
    flip(&segment(&data, 0), 400);
    flip(&segment(&backup, 1), 400);
    let mended = scrub(&data, &backup, true);
    assert!(mended.holds, "{mended:?}");
    assert!(
        mended.copies.iter().all(|copy| copy.mended.len() == 1),
        "{mended:?}"
    );
    let before: Vec<_> = [&data, &backup]
        .map(|folder| std::fs::read(segment(folder, 0)).unwrap())
        .into();
    flip(&segment(&data, 0), 400);
    flip(&segment(&backup, 0), 500);
    let left = scrub(&data, &backup, true);
    assert!(!left.holds);
    for copy in &left.copies {
        assert!(
            copy.left
                .iter()
                .any(|(place, _)| place.contains("segments/000000000000")),
            "{left:?}"
        );
        assert!(copy.mended.is_empty(), "no bad byte is taken for a good one");
    }
    flip(&segment(&data, 0), 400);
    flip(&segment(&backup, 0), 500);
    let again: Vec<_> = [&data, &backup]
        .map(|folder| std::fs::read(segment(folder, 0)).unwrap())
        .into();
    assert_eq!(before, again, "neither was touched");
}

#[test]
fn a_copy_altered_with_every_checksum_right_is_not_taken_for_good() {
    let (_folder, data, backup) = both();
    let segment = files_below(&backup.join("ledger/segments"))[0].clone();
    let good = std::fs::read(&segment).unwrap();
    // The insider's way: another byte in a body, group checksum and footer made to fit.
    let forged = forge(&good);
    assert_ne!(forged, good);
    std::fs::write(&segment, &forged).unwrap();
    let found = scrub(&data, &backup, false);
    let said: Vec<String> = found.copies[1]
        .left
        .iter()
        .map(|(place, detail)| format!("{place} {detail}"))
        .collect();
    assert!(said.iter().any(|line| line.contains("another root")), "{said:?}");
    assert!(!said.iter().any(|line| line.contains("checksum")), "{said:?}");
    // The data folder has a bad byte in the same segment: the forged one does not mend it.
    let own = files_below(&data.join("ledger/segments"))[0].clone();
    flip(&own, 400);
    let refused = scrub(&data, &backup, true);
    assert!(
        !refused.holds && refused.copies.iter().all(|copy| copy.mended.is_empty()),
        "{refused:?}"
    );
    flip(&own, 400);
    // With the data folder whole, the forged one is what is mended.
    let mended = scrub(&data, &backup, true);
    assert!(mended.holds, "{mended:?}");
    assert_eq!(std::fs::read(&segment).unwrap(), good);
}

/// A segment with a byte of its first group's last body altered and all checksums made to fit.
fn forge(segment: &[u8]) -> Vec<u8> {
    let head = seal::segment::SegmentHead::decode(&segment[..segment.len().min(128)])
        .unwrap()
        .1;
    let mut trailer = [0; seal::segment::TRAILER_BYTES];
    trailer.copy_from_slice(&segment[segment.len() - seal::segment::TRAILER_BYTES..]);
    let foot_at = seal::segment::SegmentFoot::offset(&trailer).unwrap() as usize;
    let foot = seal::segment::SegmentFoot::decode(&segment[foot_at..], foot_at as u64).unwrap();
    let group_head: [u8; seal::group::HEAD_BYTES] =
        segment[head..head + seal::group::HEAD_BYTES].try_into().unwrap();
    let seal::group::HeadKind::Group(group) = seal::group::read_head(&group_head) else {
        panic!("a group")
    };
    let payload_at = head + seal::group::HEAD_BYTES;
    let payload = &segment[payload_at..payload_at + group.payload_bytes];
    let entries = seal::group::entries(payload, group.count).unwrap();
    let mut builder = seal::group::GroupBuilder::new(group.first, Vec::new());
    let last = entries.len() - 1;
    for (n, raw) in entries.iter().enumerate() {
        let mut body = raw.body.to_vec();
        if n == last {
            body[0] ^= 1;
        }
        builder.push(raw.header, &body);
    }
    let mut forged = segment[..foot_at].to_vec();
    let bytes = builder.finish();
    forged[head..head + bytes.len()].copy_from_slice(&bytes);
    let sha256 = seal::suite::sha256(&forged);
    let foot = seal::segment::SegmentFoot { sha256, ..foot };
    forged.extend(foot.encode(foot_at as u64));
    forged
}

#[test]
fn the_command_scrubs_what_does_not_open_and_what_is_served_and_doctor_knows() {
    let place = backed_up();
    place.on(&["keys", "copy", "--out", "second"]).done();
    place.on(&["backup", "now"]).done();
    let held = place.on(&["scrub", "--json"]).json();
    assert_eq!(
        (&held["holds"], &held["copies"][1]["folder"]),
        (&true.into(), &place.path("backup").to_str().unwrap().into())
    );
    let check = || {
        let doctor = place.on(&["doctor", "--json"]).json();
        let checks = doctor["checks"].as_array().unwrap().clone();
        checks
            .into_iter()
            .find(|check| check["check"] == "everything was read and held")
            .unwrap()
    };
    assert_eq!(check()["ok"], true);
    // Altered below the checkpoint: the data folder does not even open.
    let segment = place.path("archive/ledger/segments/000000000000.seg");
    flip(&segment, 300);
    place.on(&["search", "quokka"]).failed(65, "");
    let found = place.on(&["scrub"]);
    assert!(
        found.code == 1 && found.out.contains("DOES NOT HOLD"),
        "{}{}",
        found.out,
        found.err
    );
    let mended = place.on(&["scrub", "--repair"]);
    assert!(
        mended.code == 0 && mended.out.contains("mended"),
        "{}{}",
        mended.out,
        mended.err
    );
    assert_eq!(place.on(&["search", "quokka", "--json"]).json()["found"], 1);
    // The key store from its second copy, and the other way.
    for (bad, good) in [
        ("archive/keys/keystore", "second"),
        ("second", "archive/keys/keystore"),
    ] {
        let length = std::fs::metadata(place.path(bad)).unwrap().len();
        flip(&place.path(bad), length / 2);
        assert_eq!(place.on(&["scrub"]).code, 1);
        place.on(&["scrub", "--repair"]).done();
        assert_eq!(
            std::fs::read(place.path(bad)).unwrap(),
            std::fs::read(place.path(good)).unwrap()
        );
    }
    // While a server writes.
    let serving = place.serve();
    let copied = place.path("backup/ledger/segments/000000000000.open");
    flip(&copied, 300);
    let found = place.on(&["scrub", "--json"]);
    assert_eq!((found.code, &found.json()["holds"]), (1, &Value::Bool(false)));
    assert_eq!(
        check()["ok"],
        false,
        "doctor says that the last reading did not hold"
    );
    flip(&segment, 350);
    let both = place.on(&["scrub", "--repair", "--json"]);
    assert_eq!(
        both.code, 1,
        "two bad bytes in the same segment of both copies: {}",
        both.out
    );
    flip(&copied, 300);
    place.on(&["scrub", "--repair"]).done();
    assert_eq!(place.on(&["search", "quokka", "--json"]).json()["found"], 1);
    assert_eq!(check()["ok"], true);
    assert_eq!(serving.stop(), Some(0));
    assert_eq!(place.on(&["verify", "--json"]).json()["holds"], true);
    place.secret("wrong.txt", "another passphrase\n");
    place
        .bare(&["scrub", "--data", "archive", "--passphrase-file", "wrong.txt"])
        .failed(77, "wrong passphrase");
}
