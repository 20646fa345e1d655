//! Vaults opened in the test's own process.

use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::entry::Origin;
use model::{Position, Timestamp};
use seal::bundle::{VerifyOptions, verify};
use seal::envelope::{Purpose, stream_head};
use seal::keyring::{PassphraseCost, Unlock};
use seal::note::NoteKey;
use serde_json::Value;
use server::vault::captures::Descriptor;
use server::vault::export::Selection;
use server::vault::import::{ImportOptions, Imported};
use server::vault::{Vault, VaultError, VaultOptions, create};
use store::StoreError;
use store::ledger::{Draft, LedgerOptions};

/// What the vaults of [`fresh`] open with.
pub const UNLOCK: Unlock<'static> = Unlock::Passphrase(b"a passphrase of the tests");

const NOW: i64 = 1_764_000_000;
/// A lock that stays taken longer is somebody's.
const PATIENCE: Duration = Duration::from_secs(10);

/// Small segments and quick checkpoints, at a fixed time.
pub fn options() -> VaultOptions {
    let mut options = VaultOptions::with_clock(Arc::new(|| Timestamp::from_seconds(NOW)));
    options.ledger = LedgerOptions {
        checkpoint_every: Duration::from_millis(20),
        segment_bytes: 4 << 10,
        ..LedgerOptions::default()
    };
    options
}

/// A new vault whose passphrase costs next to nothing.
pub fn fresh(folder: &Path) -> Vault {
    let cost = PassphraseCost {
        memory_kib: 64,
        passes: 1,
    };
    let now = Timestamp::from_seconds(NOW);
    create(folder, "us".parse().unwrap(), &UNLOCK, cost, None, now).unwrap();
    open(folder, &options)
}

/// Opens a data folder. Its lock may seem taken for a moment: a test beside this one starts a program, and until that has
/// begun it holds what is open here.
pub fn open(folder: &Path, options: &dyn Fn() -> VaultOptions) -> Vault {
    let begun = Instant::now();
    loop {
        match Vault::open(folder, &UNLOCK, options()) {
            Err(VaultError::Store(StoreError::Locked(_))) if begun.elapsed() < PATIENCE => {
                std::thread::yield_now();
            }
            opened => return opened.unwrap(),
        }
    }
}

/// What the intake does with a webhook that it admitted.
pub fn deliver(vault: &Vault, body: &[u8]) -> Position {
    deliver_as(vault, "whatsapp-cloud", "ward-3", b"{}", body)
}

/// The same with what came in by any connector, and what is known of it from outside.
pub fn deliver_as(
    vault: &Vault,
    connector: &str,
    connection: &str,
    descriptor: &[u8],
    body: &[u8],
) -> Position {
    let origin = Origin {
        connection: connection.parse().unwrap(),
        connector: connector.into(),
        connector_version: 1,
        received_at: vault.now(),
        verdict: 1,
        secret: 0,
        minimum_lock_days: 0,
    };
    let mut stream = stream_head(descriptor);
    stream.extend_from_slice(body);
    let mut sealer = vault
        .epoch()
        .unwrap()
        .encapsulate()
        .unwrap()
        .sealer(origin, Purpose::Capture)
        .unwrap();
    let kind = sealer.seal(&mut stream, true).unwrap();
    vault.ledger().append(vec![Draft { kind, body: stream }]).unwrap()
}

/// Imports an export.
pub fn import(vault: &Vault, name: &str, text: &[u8]) -> Imported {
    let options = ImportOptions {
        connector: "whatsapp-export".into(),
        descriptor: Descriptor {
            file_name: Some(name.into()),
            ..Default::default()
        },
        actor: "test".into(),
        ..Default::default()
    };
    let mut input = Cursor::new(text.to_vec());
    vault.import(&mut input, &options, &mut |_, _| {}).unwrap()
}

/// Everything that a query finds.
pub fn try_search(vault: &Vault, query: &str) -> Result<Vec<Value>, VaultError> {
    let mut found = Vec::new();
    vault.search(query, "test", usize::MAX, &mut |value| {
        found.push(value);
        Ok(())
    })?;
    Ok(found)
}

/// Everything that a query finds, once everything is normalized.
pub fn search(vault: &Vault, query: &str) -> Vec<Value> {
    vault.wait_normalized(vault.ledger().head()).unwrap();
    try_search(vault, query).unwrap()
}

/// Exports everything and checks the bundle.
pub fn export_and_verify(vault: &Vault) -> seal::bundle::Report {
    let sink = Cursor::new(Vec::new());
    let (mut bundle, _) = vault
        .export(&Selection::All, None, "test", sink, &mut |_, _| {})
        .unwrap();
    bundle.set_position(0);
    let options = VerifyOptions {
        key: Some(NoteKey::decode(&vault.public_key()).unwrap()),
        ..VerifyOptions::default()
    };
    let report = verify(&mut bundle, options).unwrap();
    assert!(report.origin_proved);
    report
}
