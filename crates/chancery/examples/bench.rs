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

const BENCHES: &[(&str, fn()); 6] = &[
    ("ingest", || cargo_example("store", "bench_ingest", &["5"])),
    ("http", || cargo_example("server", "http_load", &[])),
    ("verify", || cargo_example("seal", "verify_speed", &["1000000"])),
    ("parse", parse),
    ("import", import),
    ("growth", growth),
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

/// Runs a command; answers seconds and the most memory it held, in bytes.
fn measured(command: &mut Command) -> (f64, u64) {
    let start = Instant::now();
    let mut child = command.spawn().unwrap();
    let status = PathBuf::from(format!("/proc/{}/status", child.id()));
    let mut peak = 0;
    loop {
        if let Ok(text) = std::fs::read_to_string(&status)
            && let Some(line) = text.lines().find(|line| line.starts_with("VmHWM:"))
        {
            let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
            peak = peak.max(kib << 10);
        }
        if let Some(ended) = child.try_wait().unwrap() {
            assert!(ended.success(), "a command did not end well");
            return (start.elapsed().as_secs_f64(), peak);
        }
        // tidy: allow sleep: memory is sampled
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// `parse` of a million messages into a file, against the faster Python peer on the same file.
fn parse() {
    let file = folder().join("export-1000000.txt");
    let python = std::env::var("CHANCERY_BENCH_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let ours: Vec<f64> = (0..5).map(|_| parse_once(&file).0).collect();
    println!("chancery parse, 1,000,000 messages into a file: {ours:.2?} s");
    let output = Command::new(python)
        .args(["bench/peers/parse_export.py"])
        .arg(&file)
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let mut fastest = f64::INFINITY;
    for line in text.lines() {
        println!("{line}");
        if let Ok(value) = serde_json::from_str::<serde_json::Value>(line)
            && let Some(seconds) = value["seconds"].as_f64()
        {
            fastest = fastest.min(seconds);
        }
    }
    println!(
        "faster peer / chancery (median): {:.1} (limit 25)",
        fastest / median(ours)
    );
}

fn parse_once(file: &Path) -> (f64, u64) {
    let out = std::fs::File::create(folder().join("parsed.jsonl")).unwrap();
    measured(
        Command::new(program())
            .args(["parse", "whatsapp-export"])
            .arg(file)
            .stdout(out),
    )
}

/// A data folder of its own, gone when dropped.
struct Instance {
    at: tempfile::TempDir,
}

impl Instance {
    fn new() -> Self {
        let at = tempfile::tempdir_in(folder()).unwrap();
        std::fs::write(at.path().join("passphrase"), "correct horse battery").unwrap();
        let instance = Instance { at };
        instance.run(&["init"]);
        instance
    }

    fn run(&self, arguments: &[&str]) -> (f64, u64) {
        let mut command = Command::new(program());
        command
            .args(arguments)
            .arg("--data")
            .arg(self.at.path().join("data"))
            .arg("--passphrase-file")
            .arg(self.at.path().join("passphrase"));
        measured(command.stdout(Stdio::null()).stderr(Stdio::null()))
    }

    fn import(&self, file: &Path) -> (f64, u64) {
        self.run(&["import", "whatsapp-export", &file.display().to_string()])
    }

    /// Imports another chat of [`STEP`] messages; microseconds a message.
    fn import_chat(&self, number: usize) -> f64 {
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
        let (seconds, _) = self.import(&file);
        std::fs::remove_file(file).unwrap();
        seconds * 1e6 / STEP as f64
    }
}

/// `import` end to end: seconds, cost a message, and whether memory grows with the file.
fn import() {
    let mut rows = Vec::new();
    for messages in [200_000u64, 1_000_000] {
        let file = folder().join(format!("export-{messages}.txt"));
        let (seconds, peak) = Instance::new().import(&file);
        let micros = seconds * 1e6 / messages as f64;
        println!(
            "import of {messages}: {seconds:.1} s, {micros:.1} us a message, peak {} MiB",
            peak >> 20
        );
        rows.push(peak as f64);
    }
    println!(
        "peak memory at 1,000,000 / at 200,000: {:.2} (limit 1.20)",
        rows[1] / rows[0]
    );
}

/// Messages of one import of [`growth`].
const STEP: usize = 100_000;

/// What a message costs when 100,000, 1,000,000 and 5,000,000 are kept: one store grows by imports of 100,000, each
/// another chat. The first size is measured in five fresh stores, the others as the median of the imports that lead
/// there. A second argument sets the largest size.
fn growth() {
    let largest = std::env::args()
        .nth(2)
        .map_or(5_000_000, |text| text.parse().unwrap());
    let first = median((0..5).map(|_| Instance::new().import_chat(1)).collect());
    println!("{STEP:>9} kept: {first:.1} us a message (median of five stores)");
    let store = Instance::new();
    let mut costs = Vec::new();
    for number in 1..=largest / STEP {
        costs.push(store.import_chat(number));
        let kept = number * STEP;
        if kept == 1_000_000 || number == largest / STEP {
            let recent = costs[costs.len().saturating_sub(5)..].to_vec();
            let cost = median(recent);
            println!(
                "{kept:>9} kept: {cost:.1} us a message, {:.2} of the first (limit 1.30 at 5,000,000)",
                cost / first
            );
        }
    }
}
