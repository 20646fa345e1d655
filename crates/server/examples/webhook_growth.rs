//! What a webhook costs from its sealing to its row, as the store grows: one message each, a thousand conversations.
//!
//! `cargo run --release -p server --example webhook_growth -- [LARGEST]` prints the processor time a message of steps of
//! 100,000, against the first.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measuring tool stops at the first thing that is not as it should be, and prints what it found"
)]

use std::sync::Arc;
use std::time::Instant;

use model::Timestamp;
use model::entry::Origin;
use seal::envelope::{EpochPublic, Purpose, stream_head};
use seal::keyring::{PassphraseCost, Unlock};
use server::vault::{Vault, VaultOptions, create};
use store::ledger::Draft;

const STEP: usize = 100_000;
/// Captures given to the ledger together, as the intake does under load.
const TOGETHER: usize = 64;
const CONVERSATIONS: usize = 1000;
/// Seconds of 2025-11-24T16:00:00Z.
const BEGIN: usize = 1_764_000_000;

fn body(number: usize) -> String {
    let from = 4_915_100_000_000 + number * 7919 % CONVERSATIONS;
    let (sent, text) = (BEGIN + number / 10, "x".repeat(60 + number % 80));
    format!(
        r#"{{"object":"whatsapp_business_account","entry":[{{"id":"1","changes":[{{"field":"messages","value":{{"messaging_product":"whatsapp","metadata":{{"display_phone_number":"15550001111","phone_number_id":"99"}},"contacts":[{{"profile":{{"name":"Customer {from}"}},"wa_id":"{from}"}}],"messages":[{{"from":"{from}","id":"wamid.{number}","timestamp":"{sent}","type":"text","text":{{"body":"message {number} {text}"}}}}]}}}}]}}]}}"#
    )
}

fn deliver(vault: &Vault, epoch: &EpochPublic, first: usize) {
    let encapsulation = epoch.encapsulate().unwrap();
    let drafts = (first..first + TOGETHER).map(|number| {
        let origin = Origin {
            connection: "ward-3".parse().unwrap(),
            connector: "whatsapp-cloud".into(),
            connector_version: 1,
            received_at: Timestamp::from_seconds(i64::try_from(BEGIN + number / 10).unwrap()),
            verdict: 1,
            secret: 0,
            minimum_lock_days: 0,
        };
        let mut stream = stream_head(b"{}");
        stream.extend_from_slice(body(number).as_bytes());
        let mut sealer = encapsulation.sealer(origin, Purpose::Capture).unwrap();
        let kind = sealer.seal(&mut stream, true).unwrap();
        Draft { kind, body: stream }
    });
    vault.ledger().append(drafts.collect()).unwrap();
}

/// User and system time of this process so far (proc_pid_stat(5), fields 14 and 15, in hundredths of a second).
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields = stat.rsplit_once(") ").unwrap().1.split(' ').skip(11).take(2);
    fields.map(|ticks| ticks.parse::<f64>().unwrap() / 100.0).sum()
}

fn main() {
    let largest = std::env::args()
        .nth(1)
        .map_or(500_000, |text| text.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let unlock = Unlock::Passphrase(b"a passphrase of the benchmark");
    let cost = PassphraseCost {
        memory_kib: 64,
        passes: 1,
    };
    let begin = Timestamp::from_seconds(i64::try_from(BEGIN).unwrap());
    create(folder.path(), "us".parse().unwrap(), &unlock, cost, None, begin).unwrap();
    let options = VaultOptions::with_clock(Arc::new(move || begin));
    let vault = Vault::open(folder.path(), &unlock, options).unwrap();
    let epoch = vault.epoch().unwrap();
    let (mut next, mut first) = (0, None);
    while next < largest {
        let (begun, cpu) = (Instant::now(), cpu_seconds());
        let end = next + STEP;
        while next < end {
            deliver(&vault, &epoch, next);
            next += TOGETHER;
        }
        vault.wait_normalized(vault.ledger().head()).unwrap();
        let each = 1e6 / STEP as f64;
        let (wall, cpu) = (begun.elapsed().as_secs_f64() * each, (cpu_seconds() - cpu) * each);
        let first = *first.get_or_insert((wall, cpu));
        println!(
            "{next:>9} kept: {wall:.1} us a message, {cpu:.1} of the processors: {:.2} and {:.2} of the first (limit 1.30)",
            wall / first.0,
            cpu / first.1
        );
    }
}
