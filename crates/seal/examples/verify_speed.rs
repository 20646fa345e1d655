//! How fast a bundle is checked, against SHA-256 over the same bytes in the same process.
//!
//! `cargo run --release -p seal --example verify_speed -- [RECORDS] [--messages]` makes a bundle of RECORDS captures of
//! 1 KiB in a temporary file, checks it five times in turn with plain hashing, and prints medians. `--messages` adds a
//! line of `messages.jsonl` of about the same size for each; `--keep` leaves the file, and `--check FILE RECORDS` checks
//! one.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "an example is a program")]

use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::time::Instant;

use model::entry::Origin;
use model::{MessageId, Position, Timestamp, ZoneId};
use seal::Key;
use seal::batch::Batch;
use seal::bundle::{BundleWriter, Facts, MessageState, Opening, VerifyOptions, verify};
use seal::envelope::{EpochPrivate, Purpose, stream_head};
use seal::group::entry_leaf;
use seal::note::{Checkpoint, NoteKey};
use seal::suite::{EcdhPrivate, Hasher, SigningKey};
use seal::tree::{Hash, InMemory, inclusion_proof, root};

const RECORD_BYTES: usize = 1024;
const BATCH: usize = 2000;

struct Sealed {
    header: Vec<u8>,
    body: Vec<u8>,
    key: Key,
}

fn origin() -> Origin {
    Origin {
        connection: "ward-3".parse().unwrap(),
        connector: "whatsapp-cloud".into(),
        connector_version: 1,
        received_at: Timestamp::from_seconds(1_700_000_000),
        verdict: 1,
        secret: 0,
        minimum_lock_days: 2190,
    }
}

fn recorded_at(record: usize) -> Timestamp {
    Timestamp::from_seconds(1_700_000_000 + record as i64 / 1000)
}

/// One batch of captures. Data keys come from the epoch's private half, as the vault gets them.
fn seal_batch(zone: &ZoneId, epoch: &EpochPrivate, first: usize, count: usize) -> Vec<Sealed> {
    let encapsulation = epoch.public().unwrap().encapsulate().unwrap();
    let one = |at: usize| {
        let mut body = stream_head(b"{}");
        body.extend((body.len()..RECORD_BYTES).map(|byte| (byte * 31 + at) as u8));
        let kind = encapsulation
            .sealer(origin(), Purpose::Capture)
            .unwrap()
            .seal(&mut body, true)
            .unwrap();
        let model::entry::Kind::Chunk(chunk) = &kind else {
            unreachable!("a capture is a chunk")
        };
        let key = epoch.data_key(&chunk.sealing).unwrap();
        let header = model::entry::Header {
            zone: zone.clone(),
            position: Position(at as u64),
            recorded_at: recorded_at(at),
            kind,
        };
        Sealed {
            header: header.encode(),
            body,
            key,
        }
    };
    (first..first + count).map(one).collect()
}

fn make(path: &std::path::Path, records: usize, messages: bool) {
    let zone: ZoneId = "us".parse().unwrap();
    let signing = SigningKey::from_seed(&Key::from_bytes([3; 32])).unwrap();
    let key = NoteKey {
        name: "chancery/us/0a1b2c3d".into(),
        public: signing.public(),
    };
    let scalar = EcdhPrivate::generate().unwrap().scalar().unwrap();
    let epoch = EpochPrivate::from_scalar(zone.clone(), 1, &scalar).unwrap();
    let batches: Vec<(Batch, Vec<Sealed>, Vec<Hash>)> = (0..records)
        .step_by(BATCH)
        .map(|first| {
            let sealed = seal_batch(&zone, &epoch, first, BATCH.min(records - first));
            let leaves: Vec<Hash> = sealed
                .iter()
                .map(|one| entry_leaf(&one.header, &one.body))
                .collect();
            let batch = Batch {
                zone: zone.clone(),
                node: "n1".into(),
                first: Position(first as u64),
                count: leaves.len() as u32,
                root: root(&leaves),
                first_at: recorded_at(first),
                last_at: recorded_at(first + leaves.len() - 1),
            };
            (batch, sealed, leaves)
        })
        .collect();
    let log: Vec<Hash> = batches.iter().map(|(batch, ..)| batch.leaf()).collect();
    let checkpoint = Checkpoint {
        origin: key.name.clone(),
        size: log.len() as u64,
        root: root(&log),
    };
    let sink = File::create(path).unwrap();
    let opening = Opening {
        zone,
        key,
        succession: &[],
        checkpoint: &checkpoint.sign(&signing),
        proofs: &[],
        anchors: &[],
    };
    let mut writer = BundleWriter::create(sink, &opening).unwrap();
    for (index, (batch, sealed, leaves)) in batches.iter().enumerate() {
        let Ok(path) = inclusion_proof(&mut InMemory(&log), index as u64, log.len() as u64);
        writer.begin_batch(index as u64, batch, &path, leaves).unwrap();
        for (at, one) in sealed.iter().enumerate() {
            writer
                .entry(at as u32, &one.header, &one.body, Some(&one.key))
                .unwrap();
        }
        writer.end_batch().unwrap();
    }
    let mut writer = writer.finish().unwrap();
    let record = serde_json::json!({ "kind": "message", "text": "x".repeat(RECORD_BYTES - 60) });
    for at in 0..if messages { records } else { 0 } {
        let id = MessageId {
            capture: Position(at as u64),
            ordinal: 0,
        };
        writer
            .message(id, MessageState::Raw, ("whatsapp-cloud", 1), Some(&record))
            .unwrap();
    }
    let facts = Facts {
        created_at: Timestamp::from_seconds(1_700_001_000),
        program: "0.1.0".into(),
        selection: "--all".into(),
        gaps_from: None,
        gaps_to: None,
    };
    writer.finish(&signing, facts).unwrap();
}

/// SHA-256 over the first `bytes` of a file, read in the same block size.
fn hash(path: &std::path::Path, bytes: u64) -> f64 {
    let mut file = File::open(path).unwrap().take(bytes);
    let (mut block, mut hasher) = (vec![0; 1 << 18], Hasher::new());
    let begun = Instant::now();
    loop {
        let read = file.read(&mut block).unwrap();
        if read == 0 {
            break;
        }
        hasher.update(block.get(..read).unwrap());
    }
    std::hint::black_box(hasher.finish());
    begun.elapsed().as_secs_f64()
}

fn check(path: &std::path::Path, records: usize) -> f64 {
    let mut file = File::open(path).unwrap();
    let begun = Instant::now();
    let report = verify(&mut file, VerifyOptions::default()).unwrap();
    let took = begun.elapsed().as_secs_f64();
    assert_eq!(report.captures.opened, records as u64);
    took
}

/// The verifier in Python on a smaller bundle of the same kind, beside ours. It starts anew, as an examiner would.
fn second_verifier(python: &std::ffi::OsStr, records: usize, ours: f64) {
    let folder = tempfile::tempdir().unwrap();
    let (bundle, key) = (folder.path().join("bundle.zip"), folder.path().join("zone.pub"));
    make(&bundle, records, false);
    let signing = SigningKey::from_seed(&Key::from_bytes([3; 32])).unwrap();
    let public = NoteKey {
        name: "chancery/us/0a1b2c3d".into(),
        public: signing.public(),
    };
    std::fs::write(&key, format!("{}\n", public.encode())).unwrap();
    let begun = Instant::now();
    let ran = std::process::Command::new(python)
        .arg("verifiers/python/chancery_verify.py")
        .arg(&bundle)
        .arg("--key")
        .arg(&key)
        .output()
        .unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stdout));
    let each = begun.elapsed().as_secs_f64() / records as f64;
    println!(
        "in Python        {:>10.0} records/s of {records}, {:.0} times ours a record",
        1.0 / each,
        each / ours
    );
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    *times.get(times.len() / 2).unwrap()
}

/// Peak resident memory of this process, where the system tells.
fn peak_kib() -> Option<String> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM"))?;
    Some(line.to_owned())
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let messages = arguments.iter().any(|argument| argument == "--messages");
    let check_only = arguments.iter().position(|argument| argument == "--check");
    let records = arguments
        .iter()
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(100_000);
    if let Some(path) = check_only.and_then(|at| arguments.get(at + 1)) {
        // In a process of its own, so that its memory is that of checking alone.
        let took = check(path.as_ref(), records);
        println!("checked alone: {took:.2} s, {}", peak_kib().unwrap_or_default());
        return;
    }
    let path = std::env::temp_dir().join(format!("chancery-verify-speed-{}.zip", std::process::id()));
    make(&path, records, messages);
    let file_bytes = BufReader::new(File::open(&path).unwrap())
        .seek(std::io::SeekFrom::End(0))
        .unwrap();
    let record_bytes = (records * RECORD_BYTES) as u64;
    let (mut checks, mut of_file, mut of_records) = (vec![], vec![], vec![]);
    for _ in 0..5 {
        checks.push(check(&path, records));
        of_file.push(hash(&path, file_bytes));
        of_records.push(hash(&path, record_bytes));
    }
    let (checked, of_file, of_records) = (median(checks), median(of_file), median(of_records));
    println!("{records} records of {RECORD_BYTES} bytes, bundle of {file_bytes} bytes");
    println!(
        "verify           {:>10.0} records/s, {:.3} us each",
        records as f64 / checked,
        checked * 1e6 / records as f64
    );
    println!(
        "sha256 of bundle {:.2} of its time: ratio {:.2}",
        of_file / checked,
        of_file / checked
    );
    println!("sha256 of records' own bytes: ratio {:.2}", of_records / checked);
    let program = std::env::current_exe().unwrap();
    let alone = std::process::Command::new(program)
        .arg("--check")
        .arg(&path)
        .arg(records.to_string())
        .status();
    assert!(alone.unwrap().success());
    if let Some(python) = std::env::var_os("CHANCERY_PYTHON") {
        second_verifier(&python, records.div_ceil(25), checked / records as f64);
    }
    if arguments.iter().any(|argument| argument == "--keep") {
        println!("kept as {}", path.display());
    } else {
        std::fs::remove_file(&path).unwrap();
    }
}
