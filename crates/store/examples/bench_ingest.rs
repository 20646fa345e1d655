//! Durable, encrypted ingest against its limit and its peer, in one run.
//!
//! *Limit*: a bare group commit: the same bytes, appended to a preallocated file, one fsync for all who wait; no
//! encryption, no header, no tree. *Peer*: SQLite in WAL mode with `synchronous = FULL`, one row a message, one
//! transaction for all who wait. *Ours*: each writer seals its message to the epoch's public key and appends it.
//!
//! Rounds alternate, because disk and neighbours change from minute to minute; the median of the ratios counts.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a benchmark prints, and stops at the first surprise"
)]

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::time::{Duration, Instant};

use model::Timestamp;
use model::entry::Origin;
use seal::Key;
use seal::envelope::{EpochPrivate, Purpose};
use seal::suite::{EcdhPrivate, SigningKey};
use store::ledger::{Draft, Ledger, LedgerOptions};

const MESSAGE_BYTES: usize = 1024;
const ROUND: Duration = Duration::from_millis(2500);

fn main() {
    let rounds: usize = std::env::args().nth(1).and_then(|n| n.parse().ok()).unwrap_or(5);
    let folder = std::env::args().nth(2).unwrap_or_else(|| ".".to_owned());
    println!(
        "{:<8} {:>14} {:>14} {:>14} {:>10} {:>10}",
        "writers", "bare/s", "chancery/s", "sqlite/s", "of bare", "of sqlite"
    );
    for writers in [64, 512] {
        let mut rows = Vec::new();
        for _ in 0..rounds {
            let at = tempfile::tempdir_in(&folder).unwrap();
            let bare = bare(&at.path().join("bare"), writers);
            let ours = ours(&at.path().join("ledger"), writers);
            let sqlite = sqlite(&at.path().join("db"), writers);
            println!(
                "{writers:<8} {bare:>14.0} {ours:>14.0} {sqlite:>14.0} {:>10.2} {:>10.2}",
                ours / bare,
                ours / sqlite
            );
            rows.push((ours / bare, ours / sqlite));
        }
        let median = |mut values: Vec<f64>| {
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        println!(
            "median, {writers} writers: {:.2} of bare group commit (limit 0.70 at 64), {:.2} of SQLite (limit 1.20 at 512)",
            median(rows.iter().map(|row| row.0).collect()),
            median(rows.iter().map(|row| row.1).collect()),
        );
    }
}

/// Runs `writers` threads that each call `write` until the time is over; returns calls a second.
fn rate(writers: usize, write: impl Fn(usize) + Sync) -> f64 {
    let (done, over) = (AtomicU64::new(0), AtomicBool::new(false));
    let start = Instant::now();
    std::thread::scope(|scope| {
        for writer in 0..writers {
            let (done, over, write) = (&done, &over, &write);
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    write(writer);
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        // tidy: allow sleep: a round is a stretch of time
        std::thread::sleep(ROUND);
        over.store(true, Ordering::Relaxed);
    });
    done.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64()
}

type Waiting = (Vec<u8>, mpsc::SyncSender<()>);

/// One thread takes what waits, `commit`s it together, and answers: the same for both rivals.
struct Grouping {
    queue: Mutex<(Vec<Waiting>, bool)>,
    arrived: Condvar,
}

fn grouped(writers: usize, mut commit: impl FnMut(&[Waiting]) + Send) -> f64 {
    let grouping = Grouping {
        queue: Mutex::new((Vec::new(), false)),
        arrived: Condvar::new(),
    };
    let message = vec![7u8; MESSAGE_BYTES];
    std::thread::scope(|scope| {
        let g = &grouping;
        let committer = scope.spawn(move || {
            loop {
                let mut queue = g.queue.lock().unwrap();
                while queue.0.is_empty() && !queue.1 {
                    queue = g.arrived.wait(queue).unwrap();
                }
                let taken = std::mem::take(&mut queue.0);
                drop(queue);
                if taken.is_empty() {
                    return;
                }
                commit(&taken);
                taken.iter().for_each(|(_, answer)| {
                    let _ = answer.send(());
                });
            }
        });
        let rate = rate(writers, |_| {
            let (send, receive) = mpsc::sync_channel(1);
            grouping.queue.lock().unwrap().0.push((message.clone(), send));
            grouping.arrived.notify_one();
            receive.recv().unwrap();
        });
        grouping.queue.lock().unwrap().1 = true;
        grouping.arrived.notify_one();
        committer.join().unwrap();
        rate
    })
}

fn bare(path: &Path, writers: usize) -> f64 {
    let file = std::fs::File::create(path).unwrap();
    let zeros = vec![0u8; 1 << 20];
    for n in 0..512 {
        file.write_all_at(&zeros, n << 20).unwrap();
    }
    file.sync_all().unwrap();
    let mut at = 0;
    let mut buffer = Vec::new();
    grouped(writers, move |taken| {
        buffer.clear();
        taken
            .iter()
            .for_each(|(message, _)| buffer.extend_from_slice(message));
        if at + buffer.len() as u64 > 512 << 20 {
            at = 0;
        }
        file.write_all_at(&buffer, at).unwrap();
        file.sync_data().unwrap();
        at += buffer.len() as u64;
    })
}

fn sqlite(path: &Path, writers: usize) -> f64 {
    let db = rusqlite::Connection::open(path).unwrap();
    db.pragma_update(None, "journal_mode", "WAL").unwrap();
    db.pragma_update(None, "synchronous", "FULL").unwrap();
    db.execute_batch("CREATE TABLE message (id INTEGER PRIMARY KEY, body BLOB NOT NULL)")
        .unwrap();
    grouped(writers, move |taken| {
        db.execute_batch("BEGIN").unwrap();
        let mut insert = db
            .prepare_cached("INSERT INTO message (body) VALUES (?1)")
            .unwrap();
        for (message, _) in taken {
            insert.execute([message]).unwrap();
        }
        drop(insert);
        db.execute_batch("COMMIT").unwrap();
    })
}

fn ours(folder: &Path, writers: usize) -> f64 {
    std::fs::create_dir(folder).unwrap();
    Ledger::create(folder).unwrap();
    let key = SigningKey::from_seed(&Key::from_bytes([5; 32])).unwrap();
    let clock = Arc::new(|| {
        let since = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap();
        Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap())
    });
    let zone: model::ZoneId = "us".parse().unwrap();
    let options = LedgerOptions::default();
    let (ledger, _) = Ledger::open(folder, zone.clone(), key, "bench".into(), options, clock).unwrap();
    let scalar = EcdhPrivate::generate().unwrap().scalar().unwrap();
    let public = EpochPrivate::from_scalar(zone, 1, &scalar)
        .unwrap()
        .public()
        .unwrap();
    let encapsulation = public.encapsulate().unwrap();
    let origin = Origin {
        connection: "bench".parse().unwrap(),
        connector: "whatsapp-cloud".into(),
        connector_version: 1,
        received_at: Timestamp::from_seconds(1_700_000_000),
        verdict: 1,
        secret: 0,
        minimum_lock_days: 0,
    };
    let message = vec![7u8; MESSAGE_BYTES];
    rate(writers, |_| {
        let mut body = Vec::with_capacity(MESSAGE_BYTES + 16);
        body.extend_from_slice(&message);
        let mut sealer = encapsulation.sealer(origin.clone(), Purpose::Capture).unwrap();
        let kind = sealer.seal(&mut body, true).unwrap();
        ledger.append(vec![Draft { kind, body }]).unwrap();
    })
}
