//! What anchoring and scrubbing cost the path of a capture: durable captures a second by 64 writers, while a witness is
//! asked every second and the store is read again and again at the pace of `serve`, against the same without.
//!
//! `cargo run --release -p server --example upkeep_cost -- [KEPT] [SECONDS]`: so many are kept before, so long is a round.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a measurement: it prints, and ends where something is wrong"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use model::Timestamp;
use model::entry::Origin;
use seal::envelope::{EpochPublic, Purpose, stream_head};
use seal::keyring::{PassphraseCost, Unlock};
use seal::note::NoteKey;
use server::vault::anchors::{AnchorConfig, Target};
use server::vault::{Vault, VaultOptions, create};
use server::witness::{self, Witness};
use store::ledger::{Clock, Draft};

const WRITERS: u64 = 64;
const ROUNDS: usize = 7;
const UNLOCK: Unlock<'static> = Unlock::Passphrase(b"a passphrase of the benchmark");

fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Timestamp::from_micros(i64::try_from(since.unwrap().as_micros()).unwrap())
}

fn draft(epoch: &EpochPublic, number: u64) -> Draft {
    let (from, text) = (491_500_000_000 + number % 1000, "x".repeat(600));
    let body = format!(
        r#"{{"object":"whatsapp_business_account","entry":[{{"id":"1","changes":[{{"field":"messages","value":{{"messaging_product":"whatsapp","metadata":{{"display_phone_number":"15550001111","phone_number_id":"99"}},"messages":[{{"from":"{from}","id":"wamid.{number}","timestamp":"1764000000","type":"text","text":{{"body":"{text}"}}}}]}}}}]}}]}}"#
    );
    let origin = Origin {
        connection: "ward-3".parse().unwrap(),
        connector: "whatsapp-cloud".into(),
        connector_version: 1,
        received_at: now(),
        verdict: 1,
        secret: 0,
        minimum_lock_days: 0,
    };
    let mut stream = stream_head(b"{}");
    stream.extend_from_slice(body.as_bytes());
    let encapsulation = epoch.encapsulate().unwrap();
    let mut sealer = encapsulation.sealer(origin, Purpose::Capture).unwrap();
    let kind = sealer.seal(&mut stream, true).unwrap();
    Draft { kind, body: stream }
}

/// Captures a second, each writer waiting for its own to be durable.
fn ingest(vault: &Vault, next: &AtomicU64, length: Duration) -> f64 {
    let epoch = vault.epoch().unwrap();
    let (begun, first) = (Instant::now(), next.load(Ordering::Relaxed));
    std::thread::scope(|scope| {
        for _ in 0..WRITERS {
            scope.spawn(|| {
                while begun.elapsed() < length {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    vault.ledger().append(vec![draft(&epoch, number)]).unwrap();
                }
            });
        }
    });
    let rate = (next.load(Ordering::Relaxed) - first) as f64 / begun.elapsed().as_secs_f64();
    // What follows has its own time.
    vault.wait_normalized(vault.ledger().head()).unwrap();
    rate
}

/// The same while the witness is asked and the store is read; how often each was done to its end.
fn ingest_with_upkeep(vault: &Vault, next: &AtomicU64, length: Duration) -> (f64, u64, u64) {
    let (stop, scrubs, anchors) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let rate = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::SeqCst) {
                if vault
                    .scrub_slowly("bench", &stop)
                    .is_ok_and(|scrubbed| scrubbed.holds)
                {
                    scrubs.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
        scope.spawn(|| {
            while !stop.load(Ordering::SeqCst) {
                let begun = Instant::now();
                let answers = vault.anchor_now(None, "bench").unwrap();
                assert!(answers.to_string().contains("true"), "{answers}");
                anchors.fetch_add(1, Ordering::Relaxed);
                while begun.elapsed() < Duration::from_secs(1) && !stop.load(Ordering::SeqCst) {
                    // tidy: allow sleep: once a second is what is measured
                    std::thread::sleep(Duration::from_millis(20));
                }
            }
        });
        let rate = ingest(vault, next, length);
        stop.store(true, Ordering::SeqCst);
        rate
    });
    (rate, scrubs.into_inner(), anchors.into_inner())
}

/// A witness of this log, in this process; its address and key.
fn start_witness(folder: &std::path::Path, log: NoteKey) -> (String, String) {
    witness::create(folder, "w.example/1").unwrap();
    let clock: Clock = Arc::new(now);
    let witness = Arc::new(Witness::open(folder, vec![log], clock).unwrap());
    let key = witness.key().encode();
    let (send, receive) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.unwrap().block_on(async {
            let (listener, address) = witness::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
            send.send(address).unwrap();
            witness::serve(witness, listener, std::future::pending()).await;
        });
    });
    (format!("http://{}", receive.recv().unwrap()), key)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u64>().unwrap());
    let (kept, seconds) = (arguments.next().unwrap_or(200_000), arguments.next().unwrap_or(8));
    let folder = std::env::var_os("CHANCERY_BENCH_DIR").map_or_else(std::env::temp_dir, Into::into);
    let folder = tempfile::tempdir_in::<std::path::PathBuf>(folder).unwrap();
    let data = folder.path().join("data");
    let cost = PassphraseCost {
        memory_kib: 64,
        passes: 1,
    };
    create(&data, "us".parse().unwrap(), &UNLOCK, cost, None, now()).unwrap();
    let vault = Vault::open(&data, &UNLOCK, VaultOptions::with_clock(Arc::new(now))).unwrap();
    let next = AtomicU64::new(0);
    let epoch = vault.epoch().unwrap();
    while next.load(Ordering::Relaxed) < kept {
        let first = next.fetch_add(500, Ordering::Relaxed);
        let drafts = (first..first + 500).map(|number| draft(&epoch, number));
        vault.ledger().append(drafts.collect()).unwrap();
    }
    vault.wait_normalized(vault.ledger().head()).unwrap();
    let log = NoteKey::decode(&vault.public_key()).unwrap();
    let (url, key) = start_witness(&folder.path().join("witness"), log);
    let config = AnchorConfig {
        name: "notary".parse().unwrap(),
        target: Target::Witness { url, key },
        every_seconds: 86_400,
    };
    vault.add_anchor(&config, None, "bench").unwrap();
    let (mut alone, mut with) = (Vec::new(), Vec::new());
    let (mut scrubs, mut anchors) = (0, 0);
    for round in 0..ROUNDS {
        let length = Duration::from_secs(seconds);
        let mut upkeep = || {
            let (rate, read, asked) = ingest_with_upkeep(&vault, &next, length);
            with.push(rate);
            (scrubs, anchors) = (scrubs + read, anchors + asked);
        };
        if round % 2 == 1 {
            upkeep();
        }
        alone.push(ingest(&vault, &next, length));
        if round % 2 == 0 {
            upkeep();
        }
    }
    println!(
        "captures a second, {WRITERS} writers: alone {alone:.0?}, with anchoring and scrubbing {with:.0?}"
    );
    println!(
        "{anchors} times cosigned, {scrubs} times read whole, {} kept",
        next.into_inner()
    );
    println!(
        "with / alone (median): {:.2} (limit 0.95)",
        median(with) / median(alone)
    );
}
