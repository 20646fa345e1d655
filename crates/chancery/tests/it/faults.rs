//! The disk is full, or breaks: nothing more is acknowledged or shown, it is said plainly, and a restart recovers.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::crash::Dice;
use crate::disk::{Disk, Switch};
use crate::hooks;
use crate::run::{Place, Serving};

const PATIENCE: Duration = Duration::from_secs(30);
/// More than fits into what the ledger has prepared ahead.
const DELIVERIES: u32 = 3000;
const SMALL_SEGMENTS: (&str, &str) = ("CHANCERY_SEGMENT_BYTES", "65536");

struct Fault {
    place: Place,
    disk: Disk,
    acknowledged: BTreeSet<String>,
    made: u32,
}

impl Fault {
    /// With a connection, on a disk of which only paths with `breaks` in them can break.
    fn on(breaks: &str) -> Fault {
        let place = Place::with_archive();
        hooks::connect(&place, &[]);
        let disk = Disk::watch(&place.path("."), &["archive"]);
        let mut environment = disk.environment();
        environment.push(("DISK_BREAKS".to_owned(), breaks.to_owned()));
        place.set_environment(environment);
        Fault {
            place,
            disk,
            acknowledged: BTreeSet::new(),
            made: 0,
        }
    }

    fn serve(&self) -> Serving {
        self.place.try_serve(&[SMALL_SEGMENTS]).expect("it serves")
    }

    /// One delivery from a sender of its own, so that it needs new keys too; the status of the answer.
    fn deliver(&mut self, to: SocketAddr) -> u16 {
        self.made += 1;
        let marker = format!("marker{}x", self.made);
        let sender = format!("49151{:05}", self.made);
        let text = hooks::text_message(&format!("wamid.{marker}"), &sender, &format!("{marker} stays"));
        let status = hooks::deliver(to, hooks::body_of(&[text]).as_bytes()).unwrap();
        if status == 200 {
            self.acknowledged.insert(marker);
        }
        status
    }

    /// One delivery of about a megabyte; the status of the answer.
    fn deliver_large(&mut self, to: SocketAddr) -> u16 {
        self.made += 1;
        let marker = format!("marker{}x", self.made);
        let filler = "lorem ipsum ".repeat(90_000);
        let text = hooks::text_message(
            &format!("wamid.{marker}"),
            "4915100000",
            &format!("{marker} stays {filler}"),
        );
        let status = hooks::deliver(to, hooks::body_of(&[text]).as_bytes()).unwrap();
        if status == 200 {
            self.acknowledged.insert(marker);
        }
        status
    }

    fn deliver_well(&mut self, to: SocketAddr, count: u32) {
        for _ in 0..count {
            assert_eq!(self.deliver(to), 200, "{}", self.log());
        }
    }

    /// Delivers until it is refused for want of a durable place; then nothing more is taken.
    fn deliver_until_refused(&mut self, to: SocketAddr) {
        let refused = (0..DELIVERIES).find(|_| self.deliver(to) != 200);
        assert!(refused.is_some(), "everything was taken");
        for _ in 0..10 {
            assert_eq!(self.deliver(to), 503);
        }
    }

    fn check(&self, name: &str) -> Value {
        let said = self.place.on(&["doctor", "--json"]).json();
        let checks = said["checks"].as_array().unwrap();
        checks
            .iter()
            .find(|check| check["check"] == name)
            .unwrap()
            .clone()
    }

    fn wait_for(&self, name: &str, ok: bool) -> String {
        let begun = Instant::now();
        loop {
            let check = self.check(name);
            if check["ok"] == ok {
                return check["detail"].as_str().unwrap().to_owned();
            }
            assert!(begun.elapsed() < PATIENCE, "{check} {}", self.log());
        }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.place.path("serve.err")).unwrap_or_default()
    }

    /// What was acknowledged is found, each once, and the store holds.
    fn all_is_there(&self) {
        let ran = self.place.on(&["search", "stays", "--limit", "100000", "--json"]);
        let said = ran.json();
        let mut found = BTreeSet::new();
        for result in said["results"].as_array().unwrap() {
            let text = result["record"]["text"].as_str().unwrap();
            let marker = text.split(' ').next().unwrap().to_owned();
            assert!(found.insert(marker), "{text} is there twice");
        }
        let lost: Vec<_> = self.acknowledged.difference(&found).collect();
        assert!(lost.is_empty(), "{lost:?}");
        let verified = self.place.on(&["verify", "--json"]);
        assert_eq!(verified.json()["holds"], true, "{}", verified.out);
    }

    /// The power fails, and everything that was not synced is lost; then it serves again.
    fn recovers(mut self) {
        self.disk.lose_power(&mut Dice::loaded());
        let serving = self.serve();
        self.deliver_well(serving.address, 3);
        assert_eq!(self.check("the ledger takes entries")["ok"], true);
        self.wait_for("everything captured is understood", true);
        assert_eq!(serving.stop(), Some(0));
        self.disk.lose_power(&mut Dice::loaded());
        self.all_is_there();
        // Of what failed nothing was tried again on the same descriptor.
        assert_eq!(self.disk.get(Switch::Again), 0);
        assert!(!self.log().contains("panicked"), "{}", self.log());
    }
}

#[test]
fn on_a_full_disk_nothing_is_acknowledged_or_shown_until_there_is_room_and_a_restart() {
    for (switch, value) in [(Switch::Room, 0), (Switch::Room, 20_000), (Switch::EveryWrite, 1)] {
        let mut fault = Fault::on("");
        let serving = fault.serve();
        fault.deliver_well(serving.address, 5);
        fault.wait_for("everything captured is understood", true);
        let found = fault.place.on(&["search", "marker1x", "--json"]).json();
        let id = found["results"][0]["id"].as_str().unwrap().to_owned();
        fault.disk.set(switch, value);
        fault.deliver_until_refused(serving.address);
        let detail = fault.wait_for("the ledger takes entries", false);
        assert!(detail.contains("No space left on device"), "{detail}");
        assert!(detail.contains("restart"), "{detail}");
        // Each look is an entry first; where none can be written, there is no look.
        for command in [
            ["search", "marker1x"],
            ["show", id.as_str()],
            ["keys", "list"],
            ["export", "--all"],
        ] {
            let out: &[&str] = if command[0] == "export" {
                &["--out", "bundle.zip"]
            } else {
                &[]
            };
            let ran = fault.place.on(&[&command, out].concat());
            // A bundle stands on the same full disk, and is not even begun.
            let code = if command[0] == "export" { 73 } else { 74 };
            assert_eq!(ran.code, code, "{command:?}: {}{}", ran.out, ran.err);
            assert!(!ran.out.contains("marker1x"), "{}", ran.out);
            assert_eq!(ran.err.lines().count(), 1, "{}", ran.err);
        }
        let ran = fault.place.on(&["keys", "list"]);
        assert!(
            ran.err.contains("stopped accepting writes") && ran.err.contains("restart"),
            "{}",
            ran.err
        );
        assert!(
            fault
                .log()
                .contains("the ledger stops: a group was not made durable; free space")
        );
        assert!(!fault.place.path("bundle.zip").exists());
        fault.disk.set(Switch::Room, -1);
        fault.disk.set(Switch::EveryWrite, 0);
        // What the disk holds of the last group is not known: room alone is not enough.
        assert_eq!(fault.deliver(serving.address), 503);
        assert_eq!(serving.stop(), Some(0), "{}", fault.log());
        fault.recovers();
    }
}

#[test]
fn when_a_sync_of_the_ledger_fails_nothing_after_it_is_acknowledged_though_the_kernel_says_all_is_well() {
    for nth in 1..=8 {
        let mut fault = Fault::on("ledger/segments/");
        let serving = fault.serve();
        fault.deliver_well(serving.address, 3);
        fault.disk.set(Switch::BreakSyncs, nth);
        fault.deliver_until_refused(serving.address);
        assert_eq!(fault.disk.get(Switch::Broken), 1);
        let detail = fault.wait_for("the ledger takes entries", false);
        assert!(detail.contains("Input/output error"), "{detail}");
        assert_eq!(fault.place.on(&["search", "marker1x"]).code, 74);
        serving.kill();
        if nth % 2 == 0 {
            // Opens, finds in the kernel's memory what the disk does not hold, and signs a checkpoint over it.
            fault.place.on(&["user", "list"]).done();
        }
        fault.recovers();
    }
}

#[test]
fn an_error_told_to_the_thread_that_fills_the_file_ahead_is_not_lost_on_the_one_that_acknowledges() {
    let mut fault = Fault::on("ledger/segments/");
    let mut environment = fault.disk.environment();
    environment.push(("DISK_BREAKS".to_owned(), "ledger/segments/".to_owned()));
    environment.push(("DISK_THREAD".to_owned(), "prepare".to_owned()));
    fault.place.set_environment(environment);
    // Segments of the usual size: smaller ones are filled whole before anything is written.
    let serving = fault.place.serve();
    assert_eq!(fault.deliver_large(serving.address), 200);
    fault.disk.set(Switch::BreakSyncs, 1);
    let refused = (0..40).find(|_| fault.deliver_large(serving.address) != 200);
    assert!(refused.is_some(), "an error was told, and nobody heard it");
    assert_eq!(fault.disk.get(Switch::Broken), 1);
    assert_eq!(fault.deliver(serving.address), 503);
    fault.wait_for("the ledger takes entries", false);
    serving.kill();
    fault.recovers();
}

#[test]
fn when_a_checkpoint_cannot_be_written_entries_are_taken_and_it_is_tried_anew() {
    let mut fault = Fault::on("ledger/log/");
    let serving = fault.serve();
    for nth in [1, 2, 3, 4, 5] {
        fault.disk.set(Switch::BreakSyncs, nth);
        let begun = Instant::now();
        while fault.disk.get(Switch::BreakSyncs) > 0 {
            fault.deliver_well(serving.address, 1);
            assert!(begun.elapsed() < PATIENCE);
        }
    }
    assert_eq!(fault.disk.get(Switch::Broken), 5);
    fault.wait_for("checkpoints are written", true);
    assert!(fault.log().contains("no checkpoint could be written"));
    serving.kill();
    fault.recovers();
}

#[test]
fn when_the_key_store_cannot_be_written_captures_are_kept_and_a_restart_understands_them() {
    let mut fault = Fault::on("keys/");
    let serving = fault.serve();
    fault.deliver_well(serving.address, 2);
    fault.wait_for("everything captured is understood", true);
    fault.disk.set(Switch::BreakSyncs, 1);
    fault.deliver_well(serving.address, 3);
    let detail = fault.wait_for("everything captured is understood", false);
    assert!(detail.contains("what arrives is kept"), "{detail}");
    fault.deliver_well(serving.address, 3);
    let begun = Instant::now();
    // The first failure may pass; the key store itself goes on only after a restart, and that is said.
    while !fault.check("everything captured is understood")["detail"]
        .as_str()
        .unwrap()
        .contains("restart")
    {
        assert!(begun.elapsed() < PATIENCE);
    }
    let ran = fault.place.on(&["search", "stays"]);
    assert_eq!(ran.code, 74);
    assert!(ran.err.contains("not understood yet"), "{}", ran.err);
    serving.kill();
    fault.recovers();
}

#[test]
fn when_the_catalogue_cannot_be_written_following_says_so_and_goes_on_by_itself() {
    let mut fault = Fault::on("catalogue/");
    let serving = fault.serve();
    fault.deliver_well(serving.address, 2);
    for nth in [1, 2, 3] {
        fault.disk.set(Switch::BreakSyncs, nth);
        let begun = Instant::now();
        while fault.disk.get(Switch::BreakSyncs) > 0 {
            fault.deliver_well(serving.address, 1);
            assert!(begun.elapsed() < PATIENCE);
        }
        fault.wait_for("everything captured is understood", true);
    }
    assert_eq!(fault.disk.get(Switch::Broken), 3);
    assert!(fault.log().contains("following stopped") && fault.log().contains("following goes on"));
    fault.all_is_there();
    assert_eq!(serving.stop(), Some(0));
    fault.recovers();
}
