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

const BENCHES: &[(&str, fn()); 5] = &[
    ("ingest", || cargo_example("store", "bench_ingest", &["5"])),
    ("http", || cargo_example("server", "http_load", &[])),
    ("verify", || cargo_example("seal", "verify_speed", &["1000000"])),
    ("parse", parse),
    ("import", import),
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

/// `import` end to end: seconds, cost a message, and whether memory grows with the file.
fn import() {
    let mut rows = Vec::new();
    for messages in [200_000u64, 1_000_000] {
        let at = tempfile::tempdir_in(folder()).unwrap();
        let data = at.path().join("data");
        let passphrase = at.path().join("passphrase");
        std::fs::write(&passphrase, "correct horse battery").unwrap();
        let command = |arguments: &[&str]| {
            let mut command = Command::new(program());
            command
                .args(arguments)
                .arg("--data")
                .arg(&data)
                .arg("--passphrase-file")
                .arg(&passphrase);
            command.stdout(Stdio::null()).stderr(Stdio::null());
            command
        };
        measured(&mut command(&["init"]));
        let file = folder()
            .join(format!("export-{messages}.txt"))
            .display()
            .to_string();
        let (seconds, peak) = measured(&mut command(&["import", "whatsapp-export", &file]));
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
