//! Copies, restores, repairs and escrows that die at any step: nothing half looks whole, and the next try goes on.

use std::collections::BTreeSet;
use std::time::Instant;

use store::failpoint;

use crate::backups::files_below;
use crate::hooks;
use crate::inputs::{CHAT, CHAT_NAME, WEBHOOK};
use crate::run::Place;

/// An archive of many small segments, with a backup that lacks the newest of them.
fn behind() -> Place {
    let place = Place::with_archive();
    place.on(&["backup", "add", "backup"]).done();
    more(&place, 0);
    place
}

fn small_segments(place: &Place, arguments: &[&str]) -> std::process::Command {
    let mut command = place.command(arguments);
    command
        .args(["--data", "archive", "--passphrase-file", "pass.txt"])
        .env("CHANCERY_SEGMENT_BYTES", "4096");
    command
}

/// Imports a chat that nobody imported yet.
fn more(place: &Place, n: usize) {
    // Other people, so that there are new secrets.
    let chat = CHAT
        .replace("quokka", &format!("quokka{n}x"))
        .replace("Tom", &format!("Tom{n}"));
    place.write(CHAT_NAME, chat);
    let done = small_segments(place, &["import", "whatsapp-export", CHAT_NAME])
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// Runs it with an armed fail point; whether it died there.
fn dies(place: &Place, arguments: &[&str], point: &str, count: u32) -> bool {
    let mut command = small_segments(place, arguments);
    command.env("CHANCERY_FAIL_POINT", format!("{point}:{count}"));
    command.output().unwrap().status.code().is_none()
}

/// Whatever stands in the backup: if it is restored, it holds.
fn restored_holds(place: &Place) -> bool {
    let ran = place.run(&["restore", "--from", "backup", "--data", "tried"]);
    if ran.code == 0 {
        assert_eq!(
            place.run(&["verify", "--data", "tried", "--json"]).json()["holds"],
            true
        );
    } else {
        assert_eq!(ran.code, 65, "{}", ran.err);
        let newer = ran.err.contains("the key store is newer than the ledger");
        assert!(newer, "only keys may be ahead, and that is said: {}", ran.err);
    }
    std::fs::remove_dir_all(place.path("tried")).unwrap();
    ran.code == 0
}

#[test]
fn a_backup_that_dies_at_any_step_never_looks_whole_and_goes_on() {
    let place = behind();
    let mut reached = BTreeSet::new();
    let (mut n, mut held) = (0, 0);
    for point in failpoint::NAMES_OF_COPIES
        .iter()
        .filter(|point| point.starts_with("copy-"))
    {
        for count in [1, 2, 5] {
            n += 1;
            more(&place, n);
            if count == 2 {
                place.on(&["keys", "rotate-signing"]).done();
            }
            if dies(&place, &["backup", "now"], point, count) {
                reached.insert(*point);
            }
            held += u32::from(restored_holds(&place));
        }
        place.on(&["backup", "now"]).done();
        assert_eq!(place.on(&["scrub", "--json"]).json()["holds"], true, "{point}");
    }
    assert_eq!(reached.len(), 5, "{reached:?}");
    assert!(held > 0);
    place.on(&["backup", "now"]).done();
    assert_eq!(place.on(&["restore", "--drill", "--json"]).json()["holds"], true);
    place
        .run(&["restore", "--from", "backup", "--data", "restored"])
        .done();
    let found = place
        .run(&["search", "invoice", "--data", "restored", "--json"])
        .json();
    assert_eq!(found["found"], n + 1, "every chat is there");
}

#[test]
fn a_restore_that_dies_leaves_no_data_folder_and_is_begun_anew() {
    let place = behind();
    place.on(&["backup", "now"]).done();
    let restore = [
        "restore",
        "--from",
        "backup",
        "--data",
        "new",
        "--passphrase-file",
        "pass.txt",
    ];
    for point in failpoint::NAMES_OF_COPIES
        .iter()
        .filter(|point| point.starts_with("restore-"))
    {
        let mut command = place.command(&restore);
        command.env("CHANCERY_FAIL_POINT", format!("{point}:1"));
        assert_eq!(
            command.output().unwrap().status.code(),
            None,
            "{point} is reached"
        );
        place
            .run(&["search", "quokka0x", "--data", "new"])
            .failed(69, "is no data folder");
        place.run(&["init", "--data", "new"]).failed(73, "is not empty");
        place.bare(&restore).done();
        assert_eq!(
            place
                .run(&["search", "quokka0x", "--data", "new", "--json"])
                .json()["found"],
            1
        );
        std::fs::remove_dir_all(place.path("new")).unwrap();
    }
}

#[test]
fn a_repair_that_dies_has_set_the_bad_bytes_aside_and_is_ended_by_the_next() {
    let place = behind();
    place.on(&["backup", "now"]).done();
    for (folder, at) in [("archive/ledger/segments", 300), ("archive/ledger/log/tile", 10)] {
        for point in ["scrub-set-aside", "scrub-replaced"] {
            // Names of tiles change as the log grows.
            let path = files_below(&place.path(folder)).remove(0);
            let good = std::fs::read(&path).unwrap();
            let mut bad = good.clone();
            bad[at] ^= 1;
            std::fs::write(&path, &bad).unwrap();
            assert!(
                dies(&place, &["scrub", "--repair"], point, 1),
                "{point} is reached"
            );
            let aside = files_below(&place.path("archive/ledger/aside"));
            assert!(aside.iter().any(|path| std::fs::read(path).unwrap() == bad));
            place.on(&["scrub", "--repair"]).done();
            let mended = std::fs::read(&path).unwrap_or_else(|_| good.clone());
            assert_eq!(mended[..=at], good[..=at], "{point}");
            aside.iter().for_each(|path| std::fs::remove_file(path).unwrap());
        }
    }
    assert_eq!(place.on(&["search", "quokka0x", "--json"]).json()["found"], 1);
    assert_eq!(place.on(&["verify", "--json"]).json()["holds"], true);
}

#[test]
fn an_escrow_that_dies_leaves_only_whole_shares_and_is_made_again() {
    let place = behind();
    for name in ["ann", "ben"] {
        let out = format!("{name}.key");
        place
            .run(&["escrow", "key", "--name", name, "--out", &out])
            .done();
    }
    let make = |out: &str| -> Vec<String> {
        let words = [
            "escrow",
            "make",
            "--recipient",
            "ann.key.pub",
            "--recipient",
            "ben.key.pub",
            "--threshold",
            "2",
            "--out",
            out,
        ];
        words.map(str::to_owned).to_vec()
    };
    for count in [1, 2] {
        let out = format!("shares{count}");
        let words = make(&out);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        assert!(dies(&place, &words, "escrow-share-written", count));
        let shares = files_below(&place.path(&out));
        let named = shares
            .iter()
            .filter(|path| path.extension().is_some_and(|ending| ending == "share"));
        assert_eq!(
            named.count(),
            count as usize - 1,
            "a share has its name once it is whole"
        );
        place.on(&words).failed(73, "is not empty");
    }
    let words = make("shares");
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    place.on(&words).done();
    let drill = [
        "escrow",
        "drill",
        "--share",
        "shares/ann.share",
        "--key",
        "ann.key",
        "--key-passphrase-file",
        "pass.txt",
        "--share",
        "shares/ben.share",
        "--key",
        "ben.key",
        "--key-passphrase-file",
        "pass.txt",
        "--keystore",
        "archive/keys/keystore",
    ];
    place.bare(&drill).done();
}

#[test]
fn a_full_disk_under_a_backup_hurts_nothing_but_the_backup_and_is_said() {
    let place = Place::with_archive();
    hooks::connect(&place, &[]);
    place.on(&["backup", "add", "backup"]).done();
    let open = place.path("backup/ledger/segments/000000000000.open");
    let aside = place.path("away");
    let serving = place.serve();
    let state = || {
        place.on(&["backup", "list", "--json"]).json()["backups"][0]["state"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let wait_for = |wanted: &str| {
        let begun = Instant::now();
        while !state().contains(wanted) {
            assert!(begun.elapsed().as_secs() < 60, "{} should say {wanted}", state());
        }
    };
    wait_for("holds everything");
    // Every write to it fails as on a full disk.
    std::fs::rename(&open, &aside).unwrap();
    std::os::unix::fs::symlink("/dev/full", &open).unwrap();
    assert_eq!(hooks::deliver(serving.address, WEBHOOK.as_bytes()).unwrap(), 200);
    wait_for("No space left");
    assert_eq!(place.on(&["search", "blue", "--json"]).json()["found"], 1);
    let doctor = place.on(&["doctor"]);
    assert!(
        doctor.code == 1 && doctor.out.contains("No space left"),
        "{}",
        doctor.out
    );
    place.on(&["backup", "now"]).failed(74, "No space left");
    assert_eq!(
        hooks::deliver(serving.address, WEBHOOK.replace("TEST0001", "T2").as_bytes()).unwrap(),
        200
    );
    std::fs::remove_file(&open).unwrap();
    std::fs::rename(&aside, &open).unwrap();
    wait_for("holds everything");
    assert_eq!(serving.stop(), Some(0));
    assert_eq!(place.on(&["restore", "--drill", "--json"]).json()["holds"], true);
}
