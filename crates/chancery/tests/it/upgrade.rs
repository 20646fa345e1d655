//! Stores written by every earlier format open, hold, and answer. Each stands under `fixtures/stores` for ever; none is
//! ever written anew.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use connect::Secrets;
use model::entry::{Header, Kind};
use model::{Position, Timestamp};
use seal::keyring::PassphraseCost;
use server::vault::connections::ConnectionConfig;
use server::vault::state::verify_store;
use server::vault::{Vault, VaultOptions, create};
use store::copy::Source;
use zeroize::Zeroizing;

use crate::backups::files_below;
use crate::hooks::{body_of, text_message};
use crate::inputs::{CHAT, CHAT_NAME};
use crate::vaults::{self, UNLOCK};

const NOW: i64 = 1_764_000_000;
const DAY: i64 = 24 * 60 * 60;
/// Names a folder into which a store as this program writes it is put, for the fixture of a new format.
const WRITE: &str = "CHANCERY_WRITE_STORE";

fn fixture(format: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fixtures/stores")
        .join(format)
}

fn options(seconds: &Arc<AtomicI64>) -> VaultOptions {
    let mut options = vaults::options();
    let clock = seconds.clone();
    options.clock = Arc::new(move || Timestamp::from_seconds(clock.load(Ordering::SeqCst)));
    options
}

/// Webhooks, an export, a connection, and epochs of which the first is destroyed; two segments, the last open.
fn write_store(data: &Path) {
    let seconds = Arc::new(AtomicI64::new(NOW));
    let cost = PassphraseCost {
        memory_kib: 64,
        passes: 1,
    };
    let copy = data.with_extension("key-copy");
    create(
        data,
        "us".parse().unwrap(),
        &UNLOCK,
        cost,
        Some(copy),
        Timestamp::from_seconds(NOW),
    )
    .unwrap();
    let vault = vaults::open(data, &|| options(&seconds));
    let mut secrets = Secrets::default();
    for name in ["app-secret", "verify-token"] {
        let secret = Zeroizing::new(b"a secret of 32 bytes, as Meta has".to_vec());
        secrets.0.insert(name.into(), vec![secret]);
    }
    let config = ConnectionConfig {
        secret_expires: std::collections::BTreeMap::new(),
        id: "ward-3".parse().unwrap(),
        connector: "whatsapp-cloud".into(),
        settings: connect::Settings::new(),
        minimum_lock_days: 0,
    };
    vault.add_connection(&config, &secrets).unwrap();
    for n in 1..=3 {
        let from = if n == 3 { "4915100000" } else { "4915112345" };
        let message = text_message(&format!("wamid.{n}"), from, &format!("heron number {n}"));
        vaults::deliver(&vault, body_of(&[message]).as_bytes());
    }
    vaults::import(&vault, CHAT_NAME, CHAT.as_bytes());
    for _ in 0..2 {
        vault.wait_normalized(vault.ledger().head()).unwrap();
        seconds.fetch_add(2 * DAY, Ordering::SeqCst);
        vault.epoch().unwrap();
    }
    while destroyed(&vault) == 0 {
        let head = vault.ledger().head();
        vault
            .ledger()
            .wait_past(head, Duration::from_millis(100), &false.into());
    }
    let last = text_message("wamid.4", "4915100000", "heron number 4, of a later epoch");
    vaults::deliver(&vault, body_of(&[last]).as_bytes());
    vault.wait_normalized(vault.ledger().head()).unwrap();
    vault.hand_out_checkpoint("test").unwrap();
    drop(vault);
}

/// Secrets that entries say are destroyed.
fn destroyed(vault: &Vault) -> usize {
    let mut count = 0;
    let mut scanner = vault.ledger().scan(Position(0));
    while let Some(group) = scanner.next_group().unwrap() {
        for (_, raw) in group.entries().unwrap() {
            if let Kind::Destruction(destruction) = Header::decode(raw.header).unwrap().kind {
                count += destruction.keys.len();
            }
        }
    }
    count
}

fn copy(from: &Path, to: &Path) {
    for path in files_below(from) {
        let target = to.join(path.strip_prefix(from).unwrap());
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        std::fs::copy(&path, target).unwrap();
    }
}

fn answers(vault: &Vault) -> Vec<String> {
    let found = vaults::search(vault, "is:any");
    found.iter().map(|found| found["record"].to_string()).collect()
}

/// Opens a store, asks it everything, and lets it go on.
fn check(data: &Path, expected: &[String]) {
    assert_eq!(verify_store(data, Some(&UNLOCK), None).unwrap().findings, []);
    let checkpoint = std::fs::read_to_string(data.join("ledger/log/checkpoint")).unwrap();
    let seconds = Arc::new(AtomicI64::new(NOW + 10 * DAY));
    let vault = vaults::open(data, &|| options(&seconds));
    assert_eq!(answers(&vault), expected);
    assert_eq!(vaults::search(&vault, "heron").len(), 4);
    assert_eq!(vaults::search(&vault, "quokka").len(), 1);
    assert!(destroyed(&vault) > 0);
    assert_eq!(vault.connections()[0].id.as_str(), "ward-3");
    vault.rebuild().unwrap();
    assert_eq!(answers(&vault), expected);
    vaults::export_and_verify(&vault);
    // What is written now continues what was written then.
    let message = text_message("wamid.5", "4915100000", "heron number 5, by this program");
    vaults::deliver(&vault, body_of(&[message]).as_bytes());
    assert_eq!(vaults::search(&vault, "heron").len(), 5);
    drop(vault);
    assert_eq!(
        verify_store(data, Some(&UNLOCK), Some(&checkpoint))
            .unwrap()
            .findings,
        []
    );
}

#[test]
fn a_store_of_format_1_opens_holds_answers_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let made = folder.path().join("made");
    write_store(&made);
    let seconds = Arc::new(AtomicI64::new(NOW + 10 * DAY));
    let expected = answers(&vaults::open(&made, &|| options(&seconds)));
    if let Some(to) = std::env::var_os(WRITE) {
        let fresh = folder.path().join("fresh");
        write_store(&fresh);
        copy(&fresh, Path::new(&to));
    }
    let old = folder.path().join("old");
    copy(&fixture("v1"), &old);
    check(&old, &expected);
    // Without its catalogue it is the same: that is not the truth.
    let bare = folder.path().join("bare");
    copy(&fixture("v1"), &bare);
    std::fs::remove_dir_all(bare.join("catalogue")).unwrap();
    std::fs::create_dir(bare.join("catalogue")).unwrap();
    check(&bare, &expected);
}

#[test]
fn what_is_left_of_a_store_of_format_1_is_put_back_by_restore() {
    let folder = tempfile::tempdir().unwrap();
    let (file, to) = (
        server::vault::read_zone_file(&fixture("v1")).unwrap(),
        folder.path().join("ledger"),
    );
    let keys = server::vault::log_keys(&fixture("v1"), &file).unwrap();
    let source = Source {
        ledger: &fixture("v1").join("ledger"),
        other: None,
        accept_loss: false,
    };
    let restored = store::copy::restore_ledger(&source, &to, &file.zone, &keys).unwrap();
    assert!(
        restored.segments == 2 && restored.head > Position(20),
        "{restored:?}"
    );
}
