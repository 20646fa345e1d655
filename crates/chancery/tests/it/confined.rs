//! What the processes of `serve` gave up.

use std::path::Path;

use crate::hooks;
use crate::run::{Place, Serving};

/// A user that every Unix has and that owns nothing.
const NOBODY: &str = "nobody";

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// What `/proc` says of a process under this name.
fn fact(process: i32, name: &str) -> String {
    let status =
        std::fs::read_to_string(Path::new("/proc").join(process.to_string()).join("status")).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {name} in {status}"))
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

fn core_limit(process: i32) -> String {
    let limits = std::fs::read_to_string(format!("/proc/{process}/limits")).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max core file size"));
    line.unwrap()
        .split_whitespace()
        .skip(4)
        .take(2)
        .collect::<Vec<_>>()
        .join(" ")
}

fn check_of(place: &Place, name: &str) -> serde_json::Value {
    let said = place.on(&["doctor", "--json"]).json();
    let checks = said["checks"].as_array().unwrap();
    let found = checks.iter().find(|check| check["check"] == name);
    found.unwrap_or_else(|| panic!("{name} in {said}")).clone()
}

fn delivered(serving: &Serving) {
    let body = hooks::body_of(&[hooks::text_message("wamid.1", "4915112345", "stays")]);
    assert_eq!(hooks::deliver(serving.address, body.as_bytes()).unwrap(), 200);
}

#[test]
fn the_intake_runs_as_the_user_that_was_named_and_only_root_may_name_one() {
    let place = Place::with_archive();
    hooks::connect(&place, &[]);
    let refused = |user: &str, code, says: &str| {
        let ran = place.on(&["serve", "--listen", "127.0.0.1:0", "--intake-user", user]);
        assert_eq!(ran.code, code, "{}", ran.err);
        assert!(ran.err.contains(says), "{}", ran.err);
    };
    if !is_root() {
        return refused(NOBODY, 77, "only root can run the intake as nobody");
    }
    refused("root", 64, "must not run as root");
    refused("nobody-by-this-name", 69, "there is no user nobody-by-this-name");
    let serving = place.serve_with(&["--intake-user", NOBODY]);
    delivered(&serving);
    let [intake] = serving.children()[..] else {
        panic!("one child is expected")
    };
    let nobody = nix::unistd::User::from_name(NOBODY).unwrap().unwrap();
    let (user, group) = (nobody.uid, nobody.gid);
    assert_eq!(fact(intake, "Uid"), format!("{user} {user} {user} {user}"));
    assert_eq!(fact(intake, "Gid"), format!("{group} {group} {group} {group}"));
    assert_eq!(fact(intake, "Groups"), "");
    for capabilities in ["CapEff", "CapPrm", "CapInh"] {
        assert_eq!(fact(intake, capabilities), "0000000000000000");
    }
    let check = check_of(&place, "the intake is confined");
    assert_eq!(check["ok"], true, "{check}");
    assert!(
        check["detail"].as_str().unwrap().contains("a user of its own"),
        "{check}"
    );
}

#[test]
fn neither_vault_nor_intake_leaves_its_memory_to_others_or_gains_privileges() {
    let place = Place::with_archive();
    hooks::connect(&place, &[]);
    let serving = place.serve();
    delivered(&serving);
    let [intake] = serving.children()[..] else {
        panic!("one child is expected")
    };
    for process in [i32::try_from(serving.id()).unwrap(), intake] {
        assert_eq!(core_limit(process), "0 0");
        assert_eq!(fact(process, "NoNewPrivs"), "1");
        // What may not be dumped belongs to root in /proc, whoever runs it.
        use std::os::unix::fs::MetadataExt;
        let memory = std::fs::metadata(format!("/proc/{process}/mem")).unwrap();
        assert_eq!((memory.uid(), memory.gid()), (0, 0));
    }
    assert_eq!(fact(intake, "Seccomp"), "2");
    let check = check_of(&place, "the intake is confined");
    let detail = check["detail"].as_str().unwrap();
    assert!(detail.contains("system calls are limited"), "{detail}");
    if is_root() && nix::unistd::User::from_name("chancery-intake").unwrap().is_none() {
        assert_eq!(check["ok"], false);
        assert!(detail.contains("useradd --system chancery-intake"), "{detail}");
    } else {
        assert_eq!(check["ok"], true);
    }
}

#[test]
fn doctor_says_whether_memory_may_reach_a_disk() {
    let place = Place::with_archive();
    let swaps = std::fs::read_to_string("/proc/swaps").unwrap();
    let on_disk = swaps
        .lines()
        .skip(1)
        .filter(|line| !line.starts_with("/dev/zram"))
        .count();
    let check = check_of(&place, "memory is not written to disk");
    assert_eq!(check["ok"], on_disk == 0, "{check}");
}
