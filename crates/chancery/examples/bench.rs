//! Benchmarks of the whole program: `./dev bench NAME`. Every figure is a ratio to a peer or a limit in the same run.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a benchmark prints, and stops at the first surprise"
)]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

fn main() {
    let name = std::env::args().nth(1).unwrap_or_else(|| "all".to_owned());
    let all = name == "all";
    let mut known = all;
    for (own, run) in BENCHES {
        if all || name == *own {
            println!("\n== {own}");
            run();
            known = true;
        }
    }
    assert!(
        known,
        "no benchmark {name}; there are: {}",
        BENCHES.map(|(name, _)| name).join(", ")
    );
}

const BENCHES: &[(&str, fn()); 14] = &[
    ("ingest", || cargo_example("store", "bench_ingest", &["5"])),
    ("http", || cargo_example("server", "http_load", &[])),
    ("callbacks", || {
        cargo_example("server", "http_load", &["callbacks"])
    }),
    ("wecom", || {
        let items = std::env::args().nth(2).unwrap_or_else(|| "1000000".to_owned());
        cargo_example("server", "wecom_pull", &[&items])
    }),
    ("verify", || cargo_example("seal", "verify_speed", &["1000000"])),
    ("parse", parse),
    ("import", import),
    ("reconcile", reconcile),
    ("growth", growth),
    ("webhooks", || {
        cargo_example("server", "webhook_growth", &["500000"])
    }),
    ("scrub", scrub),
    ("restore", restore),
    ("upkeep", || cargo_example("server", "upkeep_cost", &[])),
    ("erase", || {
        cargo_example("server", "erase_speed", &["1000000", "100000"])
    }),
];

fn cargo_example(package: &str, example: &str, arguments: &[&str]) {
    let status = Command::new("cargo")
        .args([
            "run",
            "--release",
            "--quiet",
            "-p",
            package,
            "--example",
            example,
            "--",
        ])
        .args(arguments)
        .status()
        .unwrap();
    assert!(status.success(), "{example} did not end well");
}

fn folder() -> PathBuf {
    std::env::var_os("CHANCERY_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from)
}

fn program() -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.join("chancery")
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// What a command took.
#[derive(Clone, Copy)]
struct Took {
    /// By the clock.
    seconds: f64,
    /// Of the processors, in the program and for it in the kernel: what other programs on the machine change least.
    cpu_seconds: f64,
    /// The most memory it held.
    peak_bytes: u64,
}

/// Runs a command and watches it.
fn measured(command: &mut Command) -> Took {
    measured_with(command, 0)
}

/// As [`measured`], where it is to end with this exit code.
fn measured_with(command: &mut Command, code: i32) -> Took {
    let start = Instant::now();
    let mut child = command.spawn().unwrap();
    let process = PathBuf::from(format!("/proc/{}", child.id()));
    let (mut peak_bytes, mut cpu_seconds) = (0, 0.0);
    loop {
        if let Ok(text) = std::fs::read_to_string(process.join("status"))
            && let Some(line) = text.lines().find(|line| line.starts_with("VmHWM:"))
        {
            let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
            peak_bytes = peak_bytes.max(kib << 10);
        }
        // Of one that has ended too, until it is waited for.
        if let Ok(text) = std::fs::read_to_string(process.join("stat")) {
            cpu_seconds = cpu_seconds_of(&text);
        }
        if let Some(ended) = child.try_wait().unwrap() {
            assert_eq!(ended.code(), Some(code), "a command did not end well");
            return Took {
                seconds: start.elapsed().as_secs_f64(),
                cpu_seconds,
                peak_bytes,
            };
        }
        // tidy: allow sleep: memory is sampled
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// User and system time in a line of /proc/PID/stat (proc_pid_stat(5)): fields 14 and 15, in hundredths of a second.
fn cpu_seconds_of(stat: &str) -> f64 {
    let after_name = stat.rsplit_once(") ").unwrap().1;
    let fields: Vec<&str> = after_name.split(' ').collect();
    [fields[11], fields[12]]
        .iter()
        .map(|ticks| ticks.parse::<f64>().unwrap() / 100.0)
        .sum()
}

/// `parse` of a million messages into a file, against the faster Python peer on the same file. Which that is, a first round
/// of both tells; only it takes part in the rest, since the slower needs more than a minute a round.
fn parse() {
    let file = folder().join("export-1000000.txt");
    let rounds = PEERS.map(|peer| (peer, peer_parse(peer, &file)));
    let faster = if rounds[0].1 <= rounds[1].1 {
        PEERS[0]
    } else {
        PEERS[1]
    };
    let (ours, peer) = alternating(|| parse_once(&file).seconds, || peer_parse(faster, &file));
    println!("chancery parse, 1,000,000 messages into a file: {ours:.2?} s; {faster}: {peer:.1?} s");
    println!(
        "{faster} / chancery (median): {:.1} (limit 25)",
        median(peer) / median(ours)
    );
}

const PEERS: [&str; 2] = ["whatstk", "chat-miner"];

/// Seconds in which a peer makes its data frame of an export of a million messages.
fn peer_parse(peer: &str, file: &Path) -> f64 {
    let python = std::env::var("CHANCERY_BENCH_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let output = Command::new(python)
        .args(["bench/peers/parse_export.py", peer])
        .arg(file)
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    println!("{}", text.trim_end());
    let said: serde_json::Value = serde_json::from_str(&text).unwrap();
    // The message lines that the file was made with; what one leaves out must not make it fast.
    assert!(said["messages"].as_u64().unwrap() >= 990_000, "{said}");
    said["seconds"].as_f64().unwrap()
}

fn parse_once(file: &Path) -> Took {
    let out = std::fs::File::create(folder().join("parsed.jsonl")).unwrap();
    measured(
        Command::new(program())
            .args(["parse", "whatsapp-export"])
            .arg(file)
            .stdout(out),
    )
}

/// `reconcile` of an export of a million messages and of another phone's of the same chat, against one `parse`. The other
/// phone stands in another zone, knows some people by other names, lacks one message in a thousand and tells one in a
/// thousand otherwise.
fn reconcile() {
    let file = folder().join("export-1000000.txt");
    let other = folder().join("export-1000000-other.txt");
    let made = Command::new("python3")
        .arg("bench/other_export.py")
        .args([&file, &other])
        .status()
        .unwrap();
    assert!(made.success(), "no second export was made");
    let account = |file: &Path| format!("whatsapp-export:{}", file.display());
    let mut peaks = Vec::new();
    let (ours, parsed) = alternating(
        || {
            let out = std::fs::File::create(folder().join("reconciled.json")).unwrap();
            let mut command = Command::new(program());
            command.args(["reconcile", &account(&file), &account(&other), "--json"]);
            let took = measured_with(command.stdout(out), 1);
            peaks.push(took.peak_bytes);
            took.seconds
        },
        || parse_once(&file).seconds,
    );
    let text = std::fs::read(folder().join("reconciled.json")).unwrap();
    let report: serde_json::Value = serde_json::from_slice(&text).unwrap();
    println!("found: {}", report["outcome"]["counts"]);
    println!(
        "reconcile of 1,000,000 and as many: {ours:.2?} s, peak {} MiB; one parse: {parsed:.2?} s",
        peaks.iter().max().unwrap() >> 20
    );
    println!(
        "reconcile / parse (median): {:.2} (limit 3.0)",
        median(ours) / median(parsed)
    );
}

/// A data folder of its own, gone when dropped.
struct Instance {
    at: tempfile::TempDir,
}

impl Instance {
    fn new() -> Self {
        let at = tempfile::tempdir_in(folder()).unwrap();
        let passphrase = at.path().join("passphrase");
        std::fs::write(&passphrase, "correct horse battery").unwrap();
        let owner_only = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(&passphrase, owner_only).unwrap();
        let instance = Instance { at };
        instance.run(&["init"]);
        instance
    }

    fn run(&self, arguments: &[&str]) -> Took {
        let mut command = Command::new(program());
        command
            .args(arguments)
            .arg("--data")
            .arg(self.at.path().join("data"))
            .arg("--passphrase-file")
            .arg(self.at.path().join("passphrase"));
        measured(command.stdout(Stdio::null()).stderr(Stdio::null()))
    }

    fn import(&self, file: &Path) -> Took {
        self.run(&["import", "whatsapp-export", &file.display().to_string()])
    }

    /// Imports another chat of [`STEP`] messages; microseconds a message by the clock, and of the processors.
    fn import_chat(&self, number: usize) -> (f64, f64) {
        let file = self
            .at
            .path()
            .join(format!("WhatsApp Chat with Group {number}.txt"));
        let made = Command::new("python3")
            .args(["bench/make_export.py", &STEP.to_string()])
            .arg(&file)
            .args(["--seed", &number.to_string()])
            .status()
            .unwrap();
        assert!(made.success(), "no export was made");
        let took = self.import(&file);
        std::fs::remove_file(file).unwrap();
        let each = 1e6 / STEP as f64;
        (took.seconds * each, took.cpu_seconds * each)
    }
}

/// `import` end to end: seconds, cost a message, and whether memory grows with the file.
fn import() {
    let mut rows = Vec::new();
    for messages in [200_000u64, 1_000_000] {
        let file = folder().join(format!("export-{messages}.txt"));
        let took = Instance::new().import(&file);
        let micros = took.seconds * 1e6 / messages as f64;
        println!(
            "import of {messages}: {:.1} s, {micros:.1} us a message, peak {} MiB",
            took.seconds,
            took.peak_bytes >> 20
        );
        rows.push(took.peak_bytes as f64);
    }
    println!(
        "peak memory at 1,000,000 / at 200,000: {:.2} (limit 1.20)",
        rows[1] / rows[0]
    );
}

/// Rounds of [`scrub`] and [`restore`], each with the peer before or after in turn.
const ROUNDS: usize = 5;

/// What an instance with a backup holds.
enum Kept {
    /// One chat of so many messages.
    Text(usize),
    /// As offices have it: in a chat of 200,000 messages one in fifty comes with a file of 256 KiB.
    WithFiles,
}

/// An instance and a backup of it, in `backup`.
fn backed_up(kept: &Kept) -> Instance {
    let instance = Instance::new();
    let (name, messages, more) = match kept {
        Kept::Text(messages) => ("WhatsApp Chat with Group 1.txt", *messages, &[][..]),
        Kept::WithFiles => (
            "WhatsApp Chat - Harbour account.zip",
            200_000,
            &["--files", "50"][..],
        ),
    };
    let file = instance.at.path().join(name);
    let made = Command::new("python3")
        .args(["bench/make_export.py", &messages.to_string()])
        .arg(&file)
        .args(more)
        .status()
        .unwrap();
    assert!(made.success(), "no export was made");
    instance.import(&file);
    std::fs::remove_file(file).unwrap();
    instance.run(&[
        "backup",
        "add",
        &instance.at.path().join("backup").display().to_string(),
    ]);
    instance
}

/// The second argument, a million unless told.
fn messages_told() -> Kept {
    let told = std::env::args().nth(2);
    Kept::Text(told.map_or(1_000_000, |text| text.parse().unwrap()))
}

fn files_below(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files_below(&path, into);
        } else {
            into.push(path);
        }
    }
}

/// Runs ours and the peer in alternating order; seconds of each in each round.
fn alternating(mut ours: impl FnMut() -> f64, mut peer: impl FnMut() -> f64) -> (Vec<f64>, Vec<f64>) {
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        if round % 2 == 0 {
            first.push(ours());
            second.push(peer());
        } else {
            second.push(peer());
            first.push(ours());
        }
    }
    (first, second)
}

/// `scrub` of the data folder and a backup, the whole command, against `sha256sum` of the same files.
fn scrub() {
    let instance = backed_up(&messages_told());
    // Looked up anew each time: a scrub is an entry, and the unfinished tiles have other names after it.
    let files = || {
        let mut found = Vec::new();
        for folder in ["data/ledger", "backup/ledger"] {
            files_below(&instance.at.path().join(folder), &mut found);
        }
        found
    };
    let bytes: u64 = files().iter().map(|file| file.metadata().unwrap().len()).sum();
    let (ours, peer) = alternating(
        || instance.run(&["scrub"]).seconds,
        || measured(Command::new("sha256sum").args(files()).stdout(Stdio::null())).seconds,
    );
    println!(
        "scrub of {} MiB: {ours:.2?} s, sha256sum: {peer:.2?} s",
        bytes >> 20
    );
    println!(
        "sha256sum / scrub (median): {:.2} (limit 0.5)",
        median(peer) / median(ours)
    );
}

/// `restore`, the whole command, against copying the same bytes durably. Opening the key store costs the same however much
/// there is, and text alone is little: its row has no limit.
fn restore() {
    let ratio = restored(&backed_up(&Kept::WithFiles));
    println!("copying / restore, chats with their files (median): {ratio:.2} (limit 0.5)");
    let ratio = restored(&backed_up(&messages_told()));
    println!("copying / restore, text alone (median): {ratio:.2}");
}

fn restored(instance: &Instance) -> f64 {
    let at = instance.at.path();
    let (backup, copied) = (at.join("backup"), at.join("copied"));
    let mut files = Vec::new();
    files_below(&backup, &mut files);
    let bytes: u64 = files.iter().map(|file| file.metadata().unwrap().len()).sum();
    let (ours, peer) = alternating(
        || {
            let took = measured(
                Command::new(program())
                    .args(["restore", "--from"])
                    .arg(&backup)
                    .arg("--data")
                    .arg(at.join("restored"))
                    .arg("--passphrase-file")
                    .arg(at.join("passphrase"))
                    .stdout(Stdio::null()),
            );
            std::fs::remove_dir_all(at.join("restored")).unwrap();
            took.seconds
        },
        || {
            let mut copy = Command::new("sh");
            copy.args(["-c", "cp -r \"$0\" \"$1\" && sync -f \"$1\""])
                .arg(&backup)
                .arg(&copied);
            let took = measured(&mut copy);
            std::fs::remove_dir_all(&copied).unwrap();
            took.seconds
        },
    );
    println!(
        "restore of {} MiB: {ours:.2?} s, cp and sync: {peer:.2?} s",
        bytes >> 20
    );
    median(peer) / median(ours)
}

/// Messages of one import of [`growth`].
const STEP: usize = 100_000;

/// What a message costs when 100,000, 1,000,000 and 5,000,000 are kept: one store grows by imports of 100,000, each
/// another chat. The first size is measured in five fresh stores, the others as the median of the five imports that lead
/// there. A second argument sets the largest size.
fn growth() {
    let largest = std::env::args()
        .nth(2)
        .map_or(5_000_000, |text| text.parse().unwrap());
    let first = medians(&(0..5).map(|_| Instance::new().import_chat(1)).collect::<Vec<_>>());
    println!(
        "{STEP:>9} kept: {:.1} us a message, {:.1} of the processors (median of five stores)",
        first.0, first.1
    );
    let store = Instance::new();
    let mut costs = Vec::new();
    for number in 1..=largest / STEP {
        costs.push(store.import_chat(number));
        let kept = number * STEP;
        if kept == 1_000_000 || number == largest / STEP {
            let cost = medians(&costs[costs.len().saturating_sub(5)..]);
            println!(
                "{kept:>9} kept: {:.1} us a message, {:.1} of the processors: {:.2} and {:.2} of the first (limit 1.30 at \
                 5,000,000)",
                cost.0,
                cost.1,
                cost.0 / first.0,
                cost.1 / first.1
            );
        }
    }
}

fn medians(pairs: &[(f64, f64)]) -> (f64, f64) {
    (
        median(pairs.iter().map(|pair| pair.0).collect()),
        median(pairs.iter().map(|pair| pair.1).collect()),
    )
}
