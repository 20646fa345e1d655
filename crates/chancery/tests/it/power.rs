//! The power fails: what was acknowledged is there, once, and provable, though the disk lost what was not made durable.

use std::process::Command;

use crate::crash::{Dice, Loop, long, places};
use crate::disk::{Disk, Switch, traced};
use crate::hooks;
use crate::run::Place;

#[test]
fn what_was_acknowledged_survives_any_power_loss_once_and_provable() {
    let mut cycles = Loop::on_a_forgetful_disk();
    let count = if long() { 160 } else { 2 * places().count() as u64 };
    for number in 0..count {
        cycles.cycle(number);
        if number % 8 == 7 {
            cycles.check();
        }
    }
    cycles.check();
    println!(
        "{count} lives, {} power losses, reached {:?}",
        cycles.losses, cycles.reached
    );
    let reached = cycles.reached.values().filter(|count| **count > 0).count();
    assert!(reached * 2 >= places().count(), "{:?}", cycles.reached);
    assert!(cycles.acknowledged.len() > count as usize);
    assert!(u64::from(cycles.losses) > count / 3);
}

#[test]
fn what_a_command_reported_done_survives_a_power_loss_right_after_it() {
    let mut dice = Dice::thrown();
    for _ in 0..if long() { 40 } else { 4 } {
        let place = Place::new();
        std::fs::create_dir(place.path("disk")).unwrap();
        let mut disk = Disk::watch(&place.path("disk"), &["a", "keys", "key.file"]);
        place.set_environment(disk.environment());
        let data = ["--data", "disk/a/b/archive", "--key-file", "disk/key.file"];
        let on = |arguments: &[&str]| {
            let ran = place.bare(&[arguments, &data].concat());
            assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
            ran.out
        };
        on(&["init", "--key-copy", "disk/copy"]);
        disk.lose_power(&mut dice);
        on(&["user", "list", "--json"]);
        place.secret("app.txt", hooks::APP_SECRET);
        place.secret("token.txt", hooks::VERIFY_TOKEN);
        let secrets = [
            "--secret",
            "app-secret=app.txt",
            "--secret",
            "verify-token=token.txt",
        ];
        on(&[&["connection", "add", "whatsapp-cloud", "ward-3"], &secrets[..]].concat());
        disk.lose_power(&mut dice);
        assert!(on(&["connection", "list"]).contains("ward-3"));
        place.write("WhatsApp Chat with A.txt", "31/01/2024, 10:21 - Ann: hello\n");
        on(&["import", "whatsapp-export", "WhatsApp Chat with A.txt"]);
        on(&["checkpoint", "--out", "disk/a/checkpoint.txt"]);
        disk.lose_power(&mut dice);
        assert!(on(&["verify", "--against", "disk/a/checkpoint.txt", "--json"]).contains("true"));
        let found: serde_json::Value = serde_json::from_str(&on(&["search", "hello", "--json"])).unwrap();
        assert_eq!(found["found"], 1);
    }
}

#[test]
fn what_a_dead_process_wrote_and_did_not_sync_counts_only_once_it_is_synced() {
    // Everything that was not synced is lost.
    let mut dice = Dice::loaded();
    let import = ["import", "whatsapp-export", "WhatsApp Chat with A.txt"];
    for point in [
        "group-written",
        "group-half-written",
        "segment-created",
        "segment-rolled",
        "segment-cut",
        "tiles-written",
    ] {
        let place = Place::with_archive();
        let chat = |text: &str| {
            (0..200)
                .map(|n| format!("31/01/2024, 10:21 - Ann: {text} {n}\n"))
                .collect::<String>()
        };
        place.write(
            "WhatsApp Chat with A.txt",
            chat("first word of many, then some more of them"),
        );
        let mut disk = Disk::watch(&place.path("."), &["archive"]);
        place.set_environment(disk.environment());
        let mut dying = place.command(&import);
        dying.args(["--data", "archive", "--passphrase-file", "pass.txt"]);
        dying
            .env("CHANCERY_SEGMENT_BYTES", "8192")
            .env("CHANCERY_FAIL_POINT", format!("{point}:1"));
        assert_eq!(dying.output().unwrap().status.code(), None, "{point} is reached");
        // Opens, signs a checkpoint over what it found, and writes nothing of its own.
        place.on(&["user", "list"]).done();
        disk.lose_power(&mut dice);
        // The next start repairs what is half done; `verify` only looks.
        place.on(&["user", "list"]).done();
        let ran = place.on(&["verify", "--json"]);
        assert_eq!(ran.json()["holds"], true, "{point}: {}", ran.out);
        place.on(&import).done();
        let found = place.on(&["search", "first", "--limit", "1000", "--json"]).json();
        assert_eq!(found["found"], 200, "{point}");
    }
}

#[test]
fn a_disk_that_answers_syncs_and_does_nothing_loses_what_was_acknowledged_so_the_loop_can_fail() {
    let mut dice = Dice::thrown();
    let place = Place::new();
    let mut disk = Disk::watch(&place.path("."), &["archive"]);
    place.run(&["init", "--data", "archive"]).done();
    hooks::connect(&place, &[]);
    disk.take_as_durable();
    place.set_environment(disk.environment());
    let mut lost = 0;
    for life in 0..4 {
        disk.set(Switch::Lies, 1);
        let serving = place.serve();
        for n in 0..20 {
            let text = hooks::text_message(
                &format!("wamid.{life}m{n}"),
                "4915112345",
                &format!("life{life} stays"),
            );
            let body = hooks::body_of(&[text]);
            assert_eq!(hooks::deliver(serving.address, body.as_bytes()).unwrap(), 200);
        }
        serving.kill();
        disk.lose_power(&mut dice);
        disk.set(Switch::Lies, 0);
        let ran = place.on(&["search", &format!("life{life}"), "--json"]);
        let found: serde_json::Value = serde_json::from_str(&ran.out).unwrap_or_default();
        lost += u32::from(found["found"] != 20);
        if ran.code != 0 {
            break;
        }
    }
    assert!(lost > 0);
}

#[test]
fn the_shim_sees_every_change_and_every_sync_that_the_system_sees() {
    let place = Place::with_archive();
    let mut disk = Disk::watch(&place.path("."), &["archive"]);
    let mut command = Command::new("strace");
    command.args(["-f", "-y", "-qq", "-e", "signal=none", "-o", "trace.txt", "-e"]);
    command.arg(
        "trace=fsync,fdatasync,sync_file_range,syncfs,write,writev,pwrite64,pwritev,pwritev2,ftruncate,truncate,fallocate,\
         rename,renameat,renameat2,unlink,unlinkat,rmdir,mkdir,mkdirat,link,linkat,copy_file_range,sendfile",
    );
    for (name, value) in disk.environment() {
        command.args(["-E", &format!("{name}={value}")]);
    }
    // With small segments, so that they are rolled, sealed and counted too.
    for environment in [
        "CHANCERY_SEGMENT_BYTES=65536",
        "CHANCERY_OBSERVABLE=1",
        "DISK_REAL=1",
    ] {
        command.args(["-E", environment]);
    }
    let chat: String = (0..400)
        .map(|n| format!("31/01/2024, 10:21 - Ann: message {n} {}\n", "long ".repeat(60)))
        .collect();
    place.write("WhatsApp Chat with A.txt", chat);
    let program = place.command(&["import", "whatsapp-export", "WhatsApp Chat with A.txt"]);
    command.arg(program.get_program()).args(program.get_args());
    command.args(["--data", "archive", "--passphrase-file", "pass.txt"]);
    let ran = command.current_dir(place.path(".")).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    disk.read_journal();
    let trace = std::fs::read_to_string(place.path("trace.txt")).unwrap();
    let seen = traced(&trace, &place.path("archive"));
    assert!(
        seen.syncs > 20 && seen.writes > 20 && seen.renames > 0,
        "{seen:?}"
    );
    assert_eq!(disk.counts, seen);
}
