//! A vault with a connection of the archive, a clock that tests turn, and what stands for the vendor.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use connect::wecom_archive::driver::Driver;
use connect::wecom_archive::fake::{CompanyKey, FakeDriver};
use connect::{Secrets, Settings};
use model::Timestamp;
use seal::keyring::{PassphraseCost, Unlock};
use server::vault::connections::ConnectionConfig;
use server::vault::{Vault, VaultOptions, create};
use zeroize::Zeroizing;

pub const QUICK: PassphraseCost = PassphraseCost {
    memory_kib: 64,
    passes: 1,
};
pub const UNLOCK: Unlock<'_> = Unlock::Passphrase(b"correct");

/// A clock that a test moves, in seconds.
#[derive(Clone)]
pub struct Hand(Arc<AtomicI64>);

impl Hand {
    pub fn new() -> Hand {
        Hand(Arc::new(AtomicI64::new(1_764_000_000)))
    }

    pub fn pass(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::SeqCst);
    }

    pub fn open(&self, folder: &Path) -> Vault {
        let hand = self.clone();
        let clock = Arc::new(move || Timestamp::from_seconds(hand.0.load(Ordering::SeqCst)));
        Vault::open(folder, &UNLOCK, VaultOptions::with_clock(clock)).unwrap()
    }

    pub fn create(&self, folder: &Path) -> Vault {
        let now = Timestamp::from_seconds(self.0.load(Ordering::SeqCst));
        create(folder, "cn".parse().unwrap(), &UNLOCK, QUICK, None, now).unwrap();
        self.open(folder)
    }
}

pub fn connect_with(vault: &Vault, connector: &str, keys: &[Zeroizing<Vec<u8>>]) {
    let config = ConnectionConfig {
        secret_expires: std::collections::BTreeMap::new(),
        id: "archive".parse().unwrap(),
        connector: connector.to_owned(),
        settings: settings(connector),
        minimum_lock_days: 0,
    };
    let mut secrets = Secrets::default();
    secrets.0.insert("private-key".to_owned(), keys.to_vec());
    secrets.0.insert(
        "secret".to_owned(),
        vec![Zeroizing::new(b"archive-secret".to_vec())],
    );
    if connector != "wecom-archive" {
        secrets = Secrets::default();
    }
    vault.add_connection(&config, &secrets).unwrap();
}

/// What names a library that is not there: tests lend their own drivers.
pub fn settings(connector: &str) -> Settings {
    let hash = "0".repeat(64);
    let all = [
        ("corp-id", "ww1"),
        ("library", "/nowhere/library.so"),
        ("helper", "/nowhere/wecom-helper"),
        ("library-sha256", &hash),
    ];
    let all = all.map(|(name, value)| (name.to_owned(), value.to_owned()));
    all.into_iter().filter(|_| connector == "wecom-archive").collect()
}

pub fn message(id: &str, text: &str) -> String {
    format!(
        r#"{{"msgid":"{id}","action":"send","from":"lina","tolist":["zhao"],"roomid":"","msgtime":1760000000123,"msgtype":"text","text":{{"content":"{text}"}}}}"#
    )
}

pub fn three(key: &CompanyKey) -> FakeDriver {
    let mut archive = FakeDriver::default();
    for (seq, id, text) in [
        (7, "m7", "the first dose"),
        (8, "m8", "the second dose"),
        (20, "m20", "dose three"),
    ] {
        archive.add(seq, id, key, &message(id, text)).unwrap();
    }
    archive
}

pub fn use_fake(vault: &Vault, asks: impl Driver + 'static) {
    vault
        .use_archive("archive", Box::new(asks), Box::new(FakeDriver::default()))
        .unwrap();
}

pub fn settle(vault: &Vault) {
    vault.wait_normalized(vault.ledger().head()).unwrap();
}

pub fn search(vault: &Vault, query: &str) -> Vec<serde_json::Value> {
    settle(vault);
    let mut found = Vec::new();
    vault
        .search(query, "test", 1000, &mut |value| {
            found.push(value);
            Ok(())
        })
        .unwrap();
    found
}

/// Waits until so many are found; a test that waits in vain is ended from outside.
pub fn wait_until(vault: &Vault, query: &str, count: usize) {
    while search(vault, query).len() != count {
        std::thread::yield_now();
    }
}
