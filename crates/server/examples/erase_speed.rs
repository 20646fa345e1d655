//! What destroying one conversation among many costs: seconds, and bytes written.
//!
//! `cargo run --release -p server --example erase_speed -- MESSAGES CONVERSATIONS`. Each message is a delivery of its own.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a measurement: it prints, and ends where something is wrong"
)]

use std::sync::Arc;
use std::time::Instant;

use model::Timestamp;
use model::entry::Origin;
use seal::envelope::{Purpose, stream_head};
use seal::keyring::{PassphraseCost, Unlock};
use server::vault::governance::{RequestOptions, Targets};
use server::vault::users::{Role, password_digest};
use server::vault::{Vault, VaultOptions, create};
use store::ledger::Draft;

const NOW: i64 = 1_764_000_000;
const UNLOCK: Unlock<'static> = Unlock::Passphrase(b"correct");
/// Deliveries made durable together.
const AT_ONCE: u64 = 500;

fn written_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/self/io").unwrap();
    let line = text.lines().find(|line| line.starts_with("write_bytes")).unwrap();
    line.split(' ').next_back().unwrap().parse().unwrap()
}

fn deliver(vault: &Vault, messages: std::ops::Range<u64>, conversations: u64) {
    let epoch = vault.epoch().unwrap().encapsulate().unwrap();
    let mut drafts = Vec::new();
    for n in messages {
        let from = 491_500_000_000 + n % conversations;
        let text = format!("message {n} about an appointment on thursday at ten, please confirm");
        let body = format!(
            r#"{{"object":"whatsapp_business_account","entry":[{{"id":"1","changes":[{{"field":"messages","value":{{"messaging_product":"whatsapp","metadata":{{"display_phone_number":"15550001111","phone_number_id":"99"}},"messages":[{{"from":"{from}","id":"wamid.{n}","timestamp":"{}","type":"text","text":{{"body":"{text}"}}}}]}}}}]}}]}}"#,
            NOW - 1000
        );
        let origin = Origin {
            connection: "ward-3".parse().unwrap(),
            connector: "whatsapp-cloud".into(),
            connector_version: 1,
            received_at: vault.now(),
            verdict: 1,
            secret: 0,
            minimum_lock_days: 0,
        };
        let mut stream = stream_head(b"{}");
        stream.extend_from_slice(body.as_bytes());
        let mut sealer = epoch.sealer(origin, Purpose::Capture).unwrap();
        let kind = sealer.seal(&mut stream, true).unwrap();
        drafts.push(Draft { kind, body: stream });
    }
    vault.ledger().append(drafts).unwrap();
}

fn main() {
    let arguments: Vec<u64> = std::env::args()
        .skip(1)
        .map(|text| text.parse().unwrap())
        .collect();
    let (messages, conversations) = (arguments[0], arguments[1]);
    let folder = std::env::var_os("CHANCERY_BENCH_DIR").map_or_else(std::env::temp_dir, Into::into);
    let folder = tempfile::tempdir_in::<std::path::PathBuf>(folder).unwrap();
    let data = folder.path().join("data");
    let cost = PassphraseCost {
        memory_kib: 64,
        passes: 1,
    };
    let copy = Some(folder.path().join("copy"));
    let now = Timestamp::from_seconds(NOW);
    create(&data, "us".parse().unwrap(), &UNLOCK, cost, copy, now).unwrap();
    let options = VaultOptions::with_clock(Arc::new(move || now));
    let vault = Vault::open(&data, &UNLOCK, options).unwrap();
    let digest = password_digest("correct horse").unwrap();
    let ann = vault.add_user("ann", Role::Officer, &digest, "bench").unwrap();
    let bo = vault.add_user("bo", Role::Officer, &digest, "bench").unwrap();
    let begun = Instant::now();
    let mut at = 0;
    while at < messages {
        let end = (at + AT_ONCE).min(messages);
        deliver(&vault, at..end, conversations);
        at = end;
    }
    vault.wait_normalized(vault.ledger().head()).unwrap();
    println!(
        "{messages} messages of {conversations} conversations taken in {:.1} s",
        begun.elapsed().as_secs_f64()
    );
    let size = |path: &str| std::fs::metadata(data.join(path)).map_or(0, |file| file.len());
    for round in 0..3u64 {
        let options = RequestOptions {
            targets: Targets {
                conversations: vec![(491_500_000_000 + round * 7).to_string()],
                ..Targets::default()
            },
            reason: "a measurement".to_owned(),
            legal_basis: "none".to_owned(),
        };
        let (begun, before) = (Instant::now(), written_bytes());
        let asked = vault.request_destruction(&options, &ann, "bench").unwrap();
        let seconds_asked = begun.elapsed().as_secs_f64();
        let request = model::Position(asked["request"].as_u64().unwrap());
        let done = vault.approve_destruction(request, &bo, "bench").unwrap();
        println!(
            "{} of {} messages: asked in {seconds_asked:.3} s, {} in {:.3} s more; {} bytes written; key store {} bytes, \
             catalogue {} bytes",
            asked["would_destroy"]["messages"],
            messages,
            done["state"],
            begun.elapsed().as_secs_f64() - seconds_asked,
            written_bytes() - before,
            size("keys/keystore"),
            size("catalogue/catalogue.sqlite"),
        );
    }
}
