//! Pulling a WeCom archive, from the vendor's answer to the row in the catalogue, against the RSA-2048 private operations alone
//! on the same processors: one is needed a message, and there is no way around it.
//!
//! `cargo run --release -p server --example wecom_pull -- [ITEMS] [FEWER]`. Memory is compared with a pull of `FEWER` items. The
//! vendor is the fake driver: its RSA was done before, the rest of what it does counts against us.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a measuring tool stops at the first thing that is not as it should be, and prints what it found; counts are \
              far below 2^52"
)]

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use connect::wecom_archive::driver::{Driver, DriverError, Slice};
use connect::wecom_archive::fake::{CompanyKey, FakeDriver, RandomKey};
use connect::wecom_archive::items::items;
use connect::wecom_archive::keys::Keys;
use connect::wecom_archive::pull::unlock;
use connect::{Secrets, Settings};
use model::Timestamp;
use seal::keyring::{PassphraseCost, Unlock};
use server::vault::archive::Pulled;
use server::vault::connections::ConnectionConfig;
use server::vault::{Vault, VaultOptions, create};
use zeroize::Zeroizing;

/// How long RSA alone is measured, before and after.
const ALONE: Duration = Duration::from_secs(5);
const PEOPLE: u64 = 500;

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap())
}

/// Random keys that the vendor encrypted before: a real one does it on machines of its own. We open the one of each item.
const RANDOM_KEYS: usize = 4096;

/// An archive of so many messages, each made when it is asked for.
struct Vendor {
    random_keys: Arc<Vec<RandomKey>>,
    items: u64,
}

fn message(seq: u64) -> String {
    let (from, to, room) = (seq % PEOPLE, seq * 7 % PEOPLE, seq % 40);
    let text = "很高兴为您服务 ".repeat(usize::try_from(1 + seq % 8).unwrap());
    format!(
        r#"{{"msgid":"{seq}_1760000000","action":"send","from":"staff{from}","tolist":["wmCustomer{to}"],"roomid":"wrRoom{room}","msgtime":{},"msgtype":"text","text":{{"content":"message {seq} {text}"}}}}"#,
        1_760_000_000_000 + seq * 1000
    )
}

impl Driver for Vendor {
    fn fetch(&mut self, seq: u64, limit: u32) -> Result<Vec<u8>, DriverError> {
        let last = self.items.min(seq + u64::from(limit));
        let mut archive = FakeDriver::default();
        for seq in seq + 1..=last {
            let key = &self.random_keys[usize::try_from(seq).unwrap() % RANDOM_KEYS];
            archive.add_under(seq, &format!("{seq}_1760000000"), key, &message(seq))?;
        }
        archive.fetch(seq, limit)
    }

    fn decrypt(&mut self, random_key: &[u8], encrypted: &str) -> Result<Zeroizing<Vec<u8>>, DriverError> {
        FakeDriver::default().decrypt(random_key, encrypted)
    }

    fn media(&mut self, _: &str, _: &str) -> Result<Slice, DriverError> {
        Err(DriverError::Code(10005))
    }
}

/// Random keys opened a second by all processors together, and nothing else.
fn alone(key: &CompanyKey) -> f64 {
    let mut archive = FakeDriver::default();
    for seq in 1..=64 {
        archive.add(seq, "id", key, &message(seq)).unwrap();
    }
    let answer = String::from_utf8(archive.fetch(0, 64).unwrap()).unwrap();
    let items = items(&answer).unwrap();
    let keys = Keys::read(&[key.secret().unwrap()]).unwrap();
    let (count, begun) = (AtomicU64::new(0), Instant::now());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().unwrap().get() {
            scope.spawn(|| {
                for item in items.iter().cycle().take_while(|_| begun.elapsed() < ALONE) {
                    assert!(unlock(item.bytes, &keys).unwrap().is_ok());
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    count.into_inner() as f64 / begun.elapsed().as_secs_f64()
}

fn connect(vault: &Vault, key: &CompanyKey) {
    let settings = [
        ("corp-id", "ww1"),
        ("library", "/nowhere/library.so"),
        ("helper", "/nowhere/wecom-helper"),
        ("library-sha256", &"0".repeat(64)),
    ];
    let config = ConnectionConfig {
        id: "archive".parse().unwrap(),
        connector: "wecom-archive".to_owned(),
        settings: settings
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into_iter()
            .collect::<Settings>(),
        minimum_lock_days: 0,
        secret_expires: std::collections::BTreeMap::new(),
    };
    let mut secrets = Secrets::default();
    let secret = vec![Zeroizing::new(b"secret of the archive".to_vec())];
    secrets.0.insert("secret".to_owned(), secret);
    secrets
        .0
        .insert("private-key".to_owned(), vec![key.secret().unwrap()]);
    vault.add_connection(&config, &secrets).unwrap();
}

/// Pulls an archive of so many; items a second until all are understood.
fn pulled(key: &CompanyKey, items: u64) -> f64 {
    let folder = tempfile::tempdir_in(".").unwrap();
    let unlock = Unlock::Passphrase(b"a passphrase of the benchmark");
    let cost = PassphraseCost {
        memory_kib: 64,
        passes: 1,
    };
    create(folder.path(), "cn".parse().unwrap(), &unlock, cost, None, now()).unwrap();
    let vault = Vault::open(folder.path(), &unlock, VaultOptions::with_clock(Arc::new(now))).unwrap();
    connect(&vault, key);
    let random_keys = (0..RANDOM_KEYS).map(|n| RandomKey::of(&n.to_string(), key).unwrap());
    let random_keys = Arc::new(random_keys.collect::<Vec<_>>());
    let vendor = || {
        Box::new(Vendor {
            random_keys: random_keys.clone(),
            items,
        })
    };
    vault.use_archive("archive", vendor(), vendor()).unwrap();
    let begun = Instant::now();
    let mut count = 0;
    while count < items {
        match vault.pull_archive("archive").unwrap() {
            Pulled::Items(more) => count += more as u64,
            Pulled::NotBefore(until) => {
                let micros = until.as_micros() - now().as_micros();
                // tidy: allow sleep: the vendor allows so many calls a minute
                std::thread::sleep(Duration::from_micros(u64::try_from(micros).unwrap_or(0)));
            }
            Pulled::Failed(error) => panic!("{error}"),
        }
    }
    vault.wait_normalized(vault.ledger().head()).unwrap();
    let rate = items as f64 / begun.elapsed().as_secs_f64();
    let shown = vault.status().unwrap();
    assert_eq!(shown["messages"], items, "{shown}");
    rate
}

fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

/// In a process of its own, so that its peak of memory is its own: a pull between two measurements of RSA alone. The ratio, and
/// the peak.
fn measured(items: u64) -> (f64, u64) {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["one", &items.to_string()])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout).into_owned();
    assert!(
        child.status.success(),
        "{said}{}",
        String::from_utf8_lossy(&child.stderr)
    );
    print!("{said}");
    let last = said.lines().last().unwrap();
    let mut numbers = last.rsplit(' ');
    let peak = numbers.next().unwrap().parse().unwrap();
    (numbers.next().unwrap().parse().unwrap(), peak)
}

fn one(items: u64) {
    let key = CompanyKey::generate(1).unwrap();
    let before = alone(&key);
    let rate = pulled(&key, items);
    let after = alone(&key);
    let alone = f64::midpoint(before, after);
    println!("{items} items: {rate:.0} a second; RSA-2048 alone {before:.0} before, {after:.0} after");
    println!(
        "ratio, and peak of memory in bytes: {:.3} {}",
        rate / alone,
        peak_bytes()
    );
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |place: usize| arguments.get(place).map(|text| text.parse::<u64>().unwrap());
    if arguments.first().is_some_and(|first| first == "one") {
        return one(number(1).unwrap());
    }
    let items = number(0).unwrap_or(1_000_000);
    let fewer = number(1).unwrap_or((items / 5).max(1));
    let (_, small) = measured(fewer);
    let (ratio, large) = measured(items);
    println!("a pull of {items} / RSA-2048 private operations alone: {ratio:.2} (limit 0.60)");
    println!(
        "peak memory at {items} / at {fewer}: {:.2} (limit 1.20)",
        large as f64 / small as f64
    );
}
