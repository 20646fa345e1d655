//! The ledger on one machine: entries in segments, batches in a tiled log, signed checkpoints.
//!
//! Three threads, so that no one waits for another's work: the *committer* gives positions, writes one group and
//! calls fsync; the *preparer* fills the file ahead with zeros, because appending to a file that grows costs twice the
//! fsync; the *integrator* hashes what was committed, closes batches and signs checkpoints.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use model::entry::Kind;
use model::{Position, Timestamp, ZoneId};
use seal::suite::SigningKey;

use crate::folder::{self, StoreError};

mod answer;
mod commit;
mod integrate;
pub mod log;
pub mod places;
mod read;
mod reading;
mod recover;
mod segments;
pub mod verify;

pub(crate) use read::{Found, read_group};
pub use read::{Scanner, StoredEntry};
pub use recover::Recovery;
pub(crate) use recover::load_foot;
use segments::SegmentTable;
pub(crate) use segments::{segment_name, segment_path};

/// What a caller hands in: the vault adds zone, position and time.
#[derive(Debug, Clone)]
pub struct Draft {
    /// What it is.
    pub kind: Kind,
    /// Its body.
    pub body: Vec<u8>,
}

/// Settings of a ledger.
#[derive(Debug, Clone)]
pub struct LedgerOptions {
    /// A segment is sealed once it has this many bytes.
    pub segment_bytes: u64,
    /// A checkpoint follows an entry after at most this long.
    pub checkpoint_every: Duration,
    /// Bytes that may wait for their commit; more makes callers wait.
    pub queue_bytes: usize,
    /// Name of this node in batches.
    pub node: String,
    /// Statements that lead from older signing keys to the one in force, oldest first.
    pub succession: Vec<String>,
}

impl Default for LedgerOptions {
    fn default() -> Self {
        LedgerOptions {
            segment_bytes: 64 << 20,
            checkpoint_every: Duration::from_secs(1),
            queue_bytes: 64 << 20,
            node: "n1".to_owned(),
            succession: Vec::new(),
        }
    }
}

/// Tells the time. Injected, because tests turn it back.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

type Answer = Box<dyn FnOnce(Result<Position, StoreError>) + Send>;

struct Submission {
    drafts: Vec<Draft>,
    bytes: usize,
    answer: Answer,
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Submission>,
    bytes: usize,
    /// The committer sleeps until something arrives.
    is_awaited: bool,
    /// No more is taken: closing, or after a failed write.
    closed: bool,
}

/// A group that was made durable, on its way to the integrator.
enum Committed {
    Group {
        bytes: Vec<u8>,
        at: Timestamp,
    },
    /// The segment before is complete; the next group stands in a new one.
    Rolled,
    /// Close what is open and sign, then answer.
    Flush(SyncSender<Result<(), StoreError>>),
    /// Sign with the old key, have it decided, sign with this one from then on, then answer.
    Replace(Box<Replacement>, SyncSender<Result<(), StoreError>>),
}

/// Decides that a signing key is replaced, given the last checkpoint of the old one. Runs on the integrator's thread, which
/// hashes nothing meanwhile: it must be quick, and must not wait for the ledger.
pub type Decide = Box<dyn FnOnce(&Signed) -> Result<(), StoreError> + Send>;

struct Replacement {
    key: SigningKey,
    decide: Decide,
}

/// The newest signed head of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signed {
    /// The signed note.
    pub note: String,
    /// Batches it covers.
    pub size: u64,
    /// Position after the last entry it covers.
    pub covers: Position,
    /// When it was signed, by our clock.
    pub at: Timestamp,
}

/// A segment as it stands.
#[derive(Debug, Clone)]
pub struct SegmentView {
    /// Its number.
    pub number: u64,
    /// Position of its first entry.
    pub first: Position,
    /// Its file's name.
    pub path: PathBuf,
    /// For reading.
    pub file: Arc<std::fs::File>,
    /// Where its groups end: so far is durable.
    pub end: u64,
    /// Whether it has a footer.
    pub is_sealed: bool,
}

struct Shared {
    folder: PathBuf,
    zone: ZoneId,
    options: LedgerOptions,
    clock: Clock,
    queue: Mutex<Queue>,
    arrived: Condvar,
    room: Condvar,
    segments: RwLock<SegmentTable>,
    head: Mutex<Position>,
    moved: Condvar,
    signed: Mutex<Option<Signed>>,
    signed_anew: Condvar,
    /// The groups that entries were read from last, the newest first.
    last_read: Mutex<[Option<Arc<read::Group>>; 2]>,
    /// Why nothing more is taken.
    stopped: Mutex<Option<String>>,
    /// Why the newest entries have no checkpoint.
    unsigned: Mutex<Option<String>>,
}

/// An open ledger. Dropping it closes it: what waits is written, a checkpoint is signed.
pub struct Ledger {
    shared: Arc<Shared>,
    to_integrator: Option<SyncSender<Committed>>,
    threads: Vec<JoinHandle<()>>,
}

/// A poisoned lock means that another thread panicked while it held it; the data behind our locks is replaced whole,
/// never left half changed, so it is safe to go on and report the panic where it happened.
pub(crate) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ledger {
    /// Makes an empty ledger in `folder`.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn create(folder: &Path) -> Result<(), StoreError> {
        folder::create_folder(&folder.join("segments"))?;
        folder::create_folder(&folder.join("log"))?;
        folder::create_folder(&folder.join("aside"))?;
        folder::sync_folder(folder)
    }

    /// Opens a ledger: finds its end, sets aside what a crash tore, and starts its threads.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when bytes that were made durable are not as they were written.
    pub fn open(
        folder: &Path,
        zone: ZoneId,
        key: SigningKey,
        origin: String,
        options: LedgerOptions,
        clock: Clock,
    ) -> Result<(Ledger, Recovery), StoreError> {
        let log = log::Log::open(&folder.join("log"), origin, key, &options.succession)?;
        let (table, tail, recovery) = recover::recover(folder, &zone, &log, &clock)?;
        let head = recovery.head;
        let shared = Arc::new(Shared {
            folder: folder.to_owned(),
            zone,
            options,
            clock,
            queue: Mutex::new(Queue::default()),
            arrived: Condvar::new(),
            room: Condvar::new(),
            segments: RwLock::new(table),
            head: Mutex::new(head),
            moved: Condvar::new(),
            signed: Mutex::new(log.signed()),
            signed_anew: Condvar::new(),
            last_read: Mutex::new([None, None]),
            stopped: Mutex::default(),
            unsigned: Mutex::default(),
        });
        // Bounded: when hashing falls behind, the committer waits and callers with it, rather than memory growing.
        let (to_integrator, from_committer) = std::sync::mpsc::sync_channel(64);
        let integrator = integrate::start(shared.clone(), log, from_committer, &recovery)?;
        let committer = commit::start(shared.clone(), tail, to_integrator.clone())?;
        let threads = vec![committer, integrator];
        Ok((
            Ledger {
                shared,
                to_integrator: Some(to_integrator),
                threads,
            },
            recovery,
        ))
    }

    /// Appends entries together and waits until they are durable. Returns the position of the first.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`]: nothing is written, and the ledger goes on. [`StoreError::Stopped`] after a failed write; the
    /// error itself for those whose write failed.
    pub fn append(&self, drafts: Vec<Draft>) -> Result<Position, StoreError> {
        let (answering, awaited) = answer::slot();
        self.submit(drafts, Box::new(move |result| answering.give(result)));
        awaited.wait()
    }

    /// Appends entries together; `answer` is called on the committer's thread once they are durable, so it must be
    /// quick. Waits while too much is queued.
    pub fn submit(&self, drafts: Vec<Draft>, answer: Answer) {
        let bytes = drafts.iter().map(|draft| draft.body.len() + 512).sum();
        let mut queue = locked(&self.shared.queue);
        while queue.bytes >= self.shared.options.queue_bytes && !queue.closed {
            queue = self
                .shared
                .room
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if queue.closed {
            drop(queue);
            return answer(Err(StoreError::Stopped));
        }
        queue.bytes += bytes;
        queue.waiting.push_back(Submission {
            drafts,
            bytes,
            answer,
        });
        let is_awaited = std::mem::take(&mut queue.is_awaited);
        drop(queue);
        // A call of the system each, which would be spent for nothing while the committer is busy.
        if is_awaited {
            self.shared.arrived.notify_one();
        }
    }

    /// Whether so much is queued that a caller who cannot wait should be turned away.
    pub fn is_busy(&self) -> bool {
        let queue = locked(&self.shared.queue);
        queue.closed || queue.bytes >= self.shared.options.queue_bytes
    }

    /// Why nothing more is taken until a restart; nothing while all is well.
    pub fn stopped(&self) -> Option<String> {
        locked(&self.shared.stopped).clone()
    }

    /// Why the last checkpoint could not be written. It is tried again each second.
    pub fn unsigned(&self) -> Option<String> {
        locked(&self.shared.unsigned).clone()
    }

    /// Position that the next entry will have.
    pub fn head(&self) -> Position {
        *locked(&self.shared.head)
    }

    /// Waits until the head has passed `seen`, `stop` is set and [`Ledger::wake`] called, or `at_most` is over; returns
    /// the head.
    pub fn wait_past(&self, seen: Position, at_most: Duration, stop: &AtomicBool) -> Position {
        let head = locked(&self.shared.head);
        if *head > seen || stop.load(Ordering::SeqCst) {
            return *head;
        }
        let waited = self.shared.moved.wait_timeout(head, at_most);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Wakes whoever waits in [`Ledger::wait_past`]. Under the lock, so that nobody who has just looked at `stop` misses it.
    pub fn wake(&self) {
        let _head = locked(&self.shared.head);
        self.shared.moved.notify_all();
    }

    /// Whose ledger.
    pub fn zone(&self) -> &ZoneId {
        &self.shared.zone
    }

    /// The newest checkpoint; none before the first entry.
    pub fn signed(&self) -> Option<Signed> {
        locked(&self.shared.signed).clone()
    }

    /// Closes the open batch, signs a checkpoint over everything committed so far, and returns it.
    ///
    /// # Errors
    /// [`StoreError`] when the log could not be written.
    pub fn flush(&self) -> Result<Option<Signed>, StoreError> {
        let (send, receive) = std::sync::mpsc::sync_channel(1);
        let sender = self.to_integrator.as_ref().ok_or(StoreError::Stopped)?;
        sender
            .send(Committed::Flush(send))
            .map_err(|_| StoreError::Stopped)?;
        receive.recv().map_err(|_| StoreError::Stopped)??;
        Ok(self.signed())
    }

    /// The segments as they stand, oldest first.
    pub fn segments(&self) -> Vec<SegmentView> {
        let table = self
            .shared
            .segments
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let view = |segment: &segments::SegmentInfo| SegmentView {
            number: segment.number,
            first: segment.first,
            path: segment.path.clone(),
            file: segment.file.clone(),
            end: segment.end,
            is_sealed: segment.sealed,
        };
        table.all.iter().map(view).collect()
    }

    /// Files of this ledger, to be read while it is written: what is committed later is not looked at.
    ///
    /// # Errors
    /// [`StoreError::Io`], [`StoreError::Damaged`].
    pub fn places(&self) -> Result<places::Places, StoreError> {
        // The checkpoint is read first, the table last: what the one covers, the other has.
        let mut places = places::Places::of_data(&self.shared.folder)?;
        let views = self.segments();
        for (place, view) in places.segments.iter_mut().zip(&views) {
            place.limit = (!view.is_sealed).then_some(view.end);
        }
        Ok(places)
    }

    /// Signs a last checkpoint with the key in force, calls `decide` with it, and when that says so signs with `key` from
    /// then on.
    ///
    /// # Errors
    /// Those of `decide`, and of writing: then the old key stays, unless the decision was made.
    pub fn replace_key(&self, key: SigningKey, decide: Decide) -> Result<(), StoreError> {
        let (send, receive) = std::sync::mpsc::sync_channel(1);
        let sender = self.to_integrator.as_ref().ok_or(StoreError::Stopped)?;
        let replacement = Box::new(Replacement { key, decide });
        sender
            .send(Committed::Replace(replacement, send))
            .map_err(|_| StoreError::Stopped)?;
        receive.recv().map_err(|_| StoreError::Stopped)?
    }

    /// The folder of the log, to read tiles from.
    pub fn log_folder(&self) -> PathBuf {
        self.shared.folder.join("log")
    }
}

impl Drop for Ledger {
    fn drop(&mut self) {
        locked(&self.shared.queue).closed = true;
        self.shared.arrived.notify_all();
        self.shared.room.notify_all();
        self.to_integrator = None;
        for thread in self.threads.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the ledger panicked");
            }
        }
    }
}
