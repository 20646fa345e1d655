//! Killed again and again, at random and at named places: what was acknowledged is there, once, and provable.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use model::Timestamp;
use rustix::process::{Pid, Signal, kill_process};
use seal::keyring::Unlock;
use server::vault::state::verify_store;
use server::vault::{Vault, VaultOptions};
use store::failpoint;

use crate::disk::Disk;
use crate::hooks;
use crate::load::{Chat, Ward, held};
use crate::run::{PASSPHRASE, Place, Serving};
use crate::sources;
use crate::vaults;

/// Clients that deliver at the same time.
const CLIENTS: usize = 4;
/// So that segments are rolled and sealed on little data.
const SMALL_SEGMENTS: (&str, &str) = ("CHANCERY_SEGMENT_BYTES", "65536");
/// So that lives begin new epochs and old ones are ended. Longer than the intake may take to hear of a new one: the epoch
/// before the last is ended.
const SHORT_EPOCHS: (&str, &str) = ("CHANCERY_EPOCH_MILLISECONDS", "1000");
/// An armed place that is not reached within this time is not reached in this cycle.
const ARMED: Duration = Duration::from_millis(1500);
const PATIENCE: Duration = Duration::from_secs(30);
/// Items that come to each vendor before each life.
const HELD: u64 = 3;
/// Messages of a chat, and the length of each.
const SMALL: (usize, usize) = (20, 40);
/// More than is made durable in one step.
const LARGE: (usize, usize) = (90, 60_000);

pub fn long() -> bool {
    std::env::var_os("CHANCERY_TEST_LONG").is_some()
}

/// Numbers that look random; the seed is printed, so that a failure can be looked at again.
pub struct Dice(u64);

impl Dice {
    /// Falls on 0 always.
    pub fn loaded() -> Dice {
        Dice(0)
    }

    pub fn thrown() -> Dice {
        let seed = u64::from_be_bytes(seal::suite::random().unwrap()) | 1;
        println!("seed {seed}");
        Dice(seed)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// How a cycle ends.
#[derive(Debug, Clone, Copy)]
enum End {
    /// Killed from outside.
    After(Duration),
    /// Kills itself.
    At(&'static str, u64),
}

pub struct Loop {
    place: Arc<Place>,
    ward: Ward,
    pub acknowledged: BTreeSet<String>,
    chats: Vec<Chat>,
    /// Items that each vendor holds.
    held: u64,
    dice: Dice,
    pub reached: BTreeMap<&'static str, u32>,
    resumed: u32,
    /// The disk, when it is one that loses what was not made durable.
    disk: Option<Disk>,
    /// How often the power failed.
    pub losses: u32,
    /// The last checkpoint that left the house.
    outside: Option<String>,
}

/// Where a checkpoint is handed out to.
const HANDED_OUT: &str = "outside.txt";

impl Loop {
    fn new() -> Loop {
        Loop::at(Place::new(), None)
    }

    /// On a disk that loses what was not made durable.
    pub fn on_a_forgetful_disk() -> Loop {
        let place = Place::new();
        let disk = Disk::watch(&place.path("."), &["archive", "copy"]);
        place.set_environment(disk.environment());
        Loop::at(place, Some(disk))
    }

    fn at(place: Place, disk: Option<Disk>) -> Loop {
        // With a second copy, the keys of past epochs are destroyed along the way.
        place
            .run(&["init", "--data", "archive", "--key-copy", "copy"])
            .done();
        sources::connect(&place);
        Loop {
            place: Arc::new(place),
            ward: Ward::default(),
            acknowledged: BTreeSet::new(),
            chats: Vec::new(),
            held: 0,
            dice: Dice::thrown(),
            reached: places().map(|name| (name, 0)).collect(),
            resumed: 0,
            disk,
            losses: 0,
            outside: None,
        }
    }

    fn lose_power(&mut self) {
        if let Some(disk) = &mut self.disk {
            disk.lose_power(&mut self.dice);
            self.losses += 1;
        }
    }

    /// Now and then a checkpoint leaves the house while the server runs.
    fn hand_out(&mut self) {
        let out = ["checkpoint", "--out", HANDED_OUT, "--data", "archive"];
        if self.disk.is_some() && self.place.bare(&out).code == 0 {
            self.outside = Some(std::fs::read_to_string(self.place.path(HANDED_OUT)).unwrap());
        }
    }

    /// A new chat; each fourth is so large that it is sealed in several steps.
    fn write_chat(&mut self) {
        let n = self.chats.len();
        let handed = sources::handed();
        // By turns, and large ones of each.
        let source = handed[n / 4 % handed.len()];
        let chat = Chat::written(&self.place, source, n, if n % 4 == 1 { LARGE } else { SMALL });
        self.chats.push(chat);
    }

    /// Something comes to the vendors.
    fn hold(&mut self) {
        for number in self.held..self.held + HELD {
            for (source, hold) in sources::pulled().into_iter().enumerate() {
                hold(&self.place, &held(source, number));
            }
        }
        self.held += HELD;
    }

    /// Imports what was not imported, through the running server or, if there is none, dying at `point`.
    fn import(&mut self, point: Option<&str>) {
        for chat in self.chats.iter_mut().filter(|chat| !chat.imported) {
            let mut command = self
                .place
                .command(&["import", chat.connector, &chat.name, "--json"]);
            command
                .args(["--data", "archive", "--passphrase-file", "pass.txt"])
                .env(SMALL_SEGMENTS.0, SMALL_SEGMENTS.1);
            if let Some(point) = point {
                command.env("CHANCERY_FAIL_POINT", point);
            }
            let output = command.output().unwrap();
            let said: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
            if output.status.success() {
                chat.imported = true;
                self.resumed += u32::from(said["files"][0]["resumed"] == true);
            }
        }
    }

    pub fn cycle(&mut self, number: u64) {
        self.live_and_die(number);
        // A process that dies takes nothing with it; a machine does. By turns, because what the one left half done is
        // found by the other.
        if self.dice.below(3) > 0 {
            self.lose_power();
        }
    }

    fn live_and_die(&mut self, number: u64) {
        let end = self.end_of(number);
        let armed = match end {
            End::At(name, count) => format!("{name}:{count}"),
            End::After(_) => String::new(),
        };
        if number % 3 == 1 {
            self.write_chat();
        }
        // By turns an import of its own process dies at the place, and the server under its clients.
        if let End::At(name, count) = end
            && number % 4 == 1
        {
            // An import makes few groups of its own.
            self.import(Some(&format!("{name}:{}", count % 4 + 1)));
        }
        self.hold();
        let environment = [
            SMALL_SEGMENTS,
            SHORT_EPOCHS,
            ("CHANCERY_FAIL_POINT", armed.as_str()),
        ];
        let Some(serving) = self.place.try_serve(&environment) else {
            let End::At(name, _) = end else {
                panic!("it did not start: {}", self.log())
            };
            *self.reached.get_mut(name).unwrap() += 1;
            return;
        };
        if number % 4 == 2 {
            self.hand_out();
        }
        self.under_load(serving, end, number % 3 == 1);
    }

    fn end_of(&mut self, number: u64) -> End {
        if number % 10 == 8 {
            // Long enough for epochs to begin and end.
            return End::After(Duration::from_millis(2300));
        }
        if number.is_multiple_of(2) {
            return End::After(Duration::from_millis(10 + self.dice.below(500)));
        }
        let name = places().cycle().nth((number / 2) as usize).unwrap();
        let most = match name {
            "segment-created" | "segment-rolled" | "segment-footer-written" | "segment-cut" => 1,
            "keystore-replaced" => 1,
            "tiles-written" | "checkpoint-written" => 2,
            "keystore-appended" | "archive-sealed" | "archive-noted" => 2,
            _ => 40,
        };
        End::At(name, 1 + self.dice.below(most))
    }

    /// Clients deliver, an import may run, until the server is dead.
    fn under_load(&mut self, mut serving: Serving, end: End, importing: bool) {
        let (stop, address) = (AtomicBool::new(false), serving.address);
        let (sender, receiver) = channel();
        let import = importing.then(|| self.import_beside());
        std::thread::scope(|scope| {
            for _ in 0..CLIENTS {
                let (ward, place) = (&self.ward, &*self.place);
                let (stop, sender) = (&stop, sender.clone());
                scope.spawn(move || ward.client(place, address, stop, &sender));
            }
            let deadline = Instant::now()
                + match end {
                    End::After(duration) => duration,
                    End::At(..) => ARMED,
                };
            let died = note_until(&receiver, deadline, &mut serving, &mut self.acknowledged);
            if let End::At(name, _) = end {
                *self.reached.get_mut(name).unwrap() += u32::from(died);
            }
            stop.store(true, Ordering::SeqCst);
            serving.kill();
        });
        drop(sender);
        self.acknowledged.extend(receiver);
        if let Some(import) = import {
            drop(import.join());
        }
    }

    /// Starts to import what was not; what comes of it is looked at by importing again.
    fn import_beside(&self) -> std::thread::JoinHandle<()> {
        let chats: Vec<(&'static str, String)> = self
            .chats
            .iter()
            .filter(|chat| !chat.imported)
            .map(|chat| (chat.connector, chat.name.clone()))
            .collect();
        let place = self.place.clone();
        std::thread::spawn(move || {
            for (connector, name) in chats {
                drop(place.bare(&["import", connector, &name, "--data", "archive", "--json"]));
            }
        })
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.place.path("serve.err")).unwrap_or_default()
    }

    /// Everything acknowledged is there once; the store holds; a bundle of everything is proved.
    pub fn check(&mut self) {
        self.import(None);
        if self.held > 0 {
            sources::pull_all(&self.place, self.held);
        }
        self.lose_power();
        assert!(self.chats.iter().all(|chat| chat.imported), "{}", self.log());
        let data = self.place.path("archive");
        let vault = open(&data);
        let found = vaults::search(&vault, "is:message");
        let mut seen = BTreeMap::new();
        for result in &found {
            let text = result["record"]["text"].as_str().unwrap();
            let marker = text.split(' ').next().unwrap().to_owned();
            *seen.entry(marker).or_insert(0) += 1;
        }
        let doubled: Vec<_> = seen.iter().filter(|(_, count)| **count > 1).collect();
        assert!(doubled.is_empty(), "{doubled:?}");
        let imported = self.chats.iter().flat_map(|chat| &chat.markers);
        let vendors = 0..sources::pulled().len();
        let pulled: Vec<String> = vendors
            .flat_map(|source| (0..self.held).map(move |number| held(source, number).marker))
            .collect();
        let lost: Vec<_> = imported
            .chain(&self.acknowledged)
            .chain(&pulled)
            .filter(|marker| !seen.contains_key(*marker))
            .collect();
        assert!(lost.is_empty(), "lost: {lost:?}");
        assert!(!self.log().contains("panicked"), "{}", self.log());
        assert_eq!(
            vault
                .doctor()
                .unwrap()
                .iter()
                .find(|check| check.check == "every capture opens")
                .map(|check| check.ok),
            Some(true)
        );
        let report = vaults::export_and_verify(&vault);
        assert!(
            report.messages.raw + report.messages.part >= found.len() as u64,
            "{report:?}"
        );
        let destroyed = vault.keys("test").unwrap()["destroyed"].as_array().unwrap().len();
        drop(vault);
        let unlock = Unlock::Passphrase(PASSPHRASE.as_bytes());
        let verified = verify_store(&data, Some(&unlock), self.outside.as_deref()).unwrap();
        assert_eq!(verified.findings, []);
        if let Some(disk) = &mut self.disk {
            disk.take_as_durable();
        }
        println!(
            "{} acknowledged, {} messages, {} entries in {} segments, {destroyed} epochs ended",
            self.acknowledged.len(),
            found.len(),
            verified.entries,
            verified.segments
        );
    }
}

/// Notes what is acknowledged until the deadline or the server's death; whether it died by itself.
fn note_until(
    receiver: &Receiver<String>,
    deadline: Instant,
    serving: &mut Serving,
    acknowledged: &mut BTreeSet<String>,
) -> bool {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match receiver.recv_timeout(left.min(Duration::from_millis(20))) {
            Ok(marker) => drop(acknowledged.insert(marker)),
            Err(RecvTimeoutError::Timeout) if left.is_zero() => return serving.ended(),
            Err(RecvTimeoutError::Timeout) if serving.ended() => return true,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => unreachable!("the loop has a sender of its own"),
        }
    }
}

/// All places that the sources come by.
pub fn places() -> impl Iterator<Item = &'static str> + Clone {
    failpoint::PULLING.iter().chain(failpoint::NAMES).copied()
}

fn open(data: &Path) -> Vault {
    let now = || {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Timestamp::from_micros(since.as_micros() as i64)
    };
    let unlock = Unlock::Passphrase(PASSPHRASE.as_bytes());
    Vault::open(data, &unlock, VaultOptions::with_clock(Arc::new(now))).unwrap()
}

#[test]
fn what_was_acknowledged_survives_any_death_once_and_provable() {
    let mut cycles = Loop::new();
    // Each place once, and between two of them a kill from outside.
    let count = if long() { 200 } else { 2 * places().count() as u64 };
    for number in 0..count {
        cycles.cycle(number);
        if number % 8 == 7 {
            cycles.check();
        }
    }
    cycles.check();
    println!(
        "{count} cycles, reached {:?}, {} imports resumed, {} deliveries refused",
        cycles.reached,
        cycles.resumed,
        cycles.ward.refused.load(Ordering::SeqCst)
    );
    let reached = cycles.reached.values().filter(|count| **count > 0).count();
    assert!(reached * 2 >= places().count(), "{:?}", cycles.reached);
    for place in failpoint::PULLING {
        assert!(cycles.reached[place] > 0, "{:?}", cycles.reached);
    }
    assert!(cycles.acknowledged.len() > count as usize);
}

#[test]
fn an_import_that_dies_at_any_step_is_continued_and_its_messages_are_there_once() {
    let place = Place::with_archive();
    let points = ["group-half-written", "group-durable"].map(|name| (2..=4).map(move |count| (name, count)));
    let mut points: Vec<(&str, u32)> = points.into_iter().flatten().collect();
    points.extend([("normalized-entries", 1), ("normalized-catalogue", 1)]);
    let mut resumed = 0;
    for (n, (name, count)) in points.into_iter().enumerate() {
        let handed = sources::handed();
        let chat = Chat::written(&place, handed[n % handed.len()], n, LARGE);
        let import = [
            "import",
            chat.connector,
            &chat.name,
            "--data",
            "archive",
            "--json",
        ];
        let mut dying = place.command(&import);
        dying
            .args(["--passphrase-file", "pass.txt"])
            .env("CHANCERY_FAIL_POINT", format!("{name}:{count}"));
        assert_eq!(
            dying.output().unwrap().status.code(),
            None,
            "{name}:{count} is reached"
        );
        let again = place.run(&import).json();
        let file = &again["files"][0];
        assert_eq!(file["messages"], chat.markers.len(), "{again}");
        resumed += u32::from(file["resumed"] == true);
        let found = place
            .on(&["search", &format!("export{n}m"), "--limit", "1000", "--json"])
            .json();
        assert_eq!(found["found"], chat.markers.len());
    }
    println!("{resumed} continued");
    assert!(resumed > 0);
    assert_eq!(place.on(&["verify", "--json"]).json()["holds"], true);
}

#[test]
fn when_only_the_intake_dies_the_server_starts_another_and_goes_on() {
    let place = Place::with_archive();
    hooks::connect(&place, &[]);
    let serving = place.serve();
    let body = |n: u32| {
        let text = format!("marker{n}x stays");
        hooks::body_of(&[hooks::text_message(&format!("wamid.{n}"), "4915112345", &text)])
    };
    assert_eq!(hooks::deliver(serving.address, body(0).as_bytes()).unwrap(), 200);
    let [intake] = serving.children()[..] else {
        panic!("one child is expected")
    };
    kill_process(Pid::from_raw(intake).unwrap(), Signal::KILL).unwrap();
    let begun = Instant::now();
    // Who was handed to the dead one comes again, as vendors do.
    while !hooks::deliver(serving.address, body(1).as_bytes()).is_ok_and(|status| status == 200) {
        assert!(begun.elapsed() < PATIENCE);
    }
    let status = hooks::status(serving.address).unwrap();
    assert_eq!(
        (&status["intake"]["restarts"], &status["intake"]["running"]),
        (&1.into(), &true.into())
    );
    assert_eq!(serving.stop(), Some(0));
    let found = place.on(&["search", "stays", "--json"]).json();
    assert_eq!(found["found"], 2);
}
