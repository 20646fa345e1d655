//! Opening random keys ahead of the follower.
//!
//! An RSA operation a message is nearly all that an archive costs. The follower alone understands and writes, in order; what
//! needs no order and no library is done before by as many threads as there are processors, page by page.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use connect::Connector;
use connect::wecom_archive::WecomArchive;
use connect::wecom_archive::pull::{self, Unlocked};
use model::Position;
use seal::Key;
use store::catalogue::CaptureRow;

use super::super::captures::CaptureReader;
use super::super::{Inner, VaultError, locked};
use super::{Archive, ITEM_BYTES_MAX, item_of};

/// Fewer are opened by the follower itself: a thread costs as much as an operation or two.
const ITEMS_MIN: usize = 8;

/// More threads than this would wait for the follower.
const THREADS_MAX: usize = 16;

/// An item to be opened.
struct Item<'a> {
    row: &'a CaptureRow,
    wrap: Option<Position>,
    archive: Arc<Archive>,
}

/// What was worked out of an item.
pub struct Read {
    /// Its data key.
    pub key: Key,
    /// Its random key, or why it has none.
    pub unlocked: Unlocked,
}

/// What became of one.
enum State {
    /// Nobody came to it yet.
    Waits,
    /// Nothing where it could not be read ahead: the follower does it, and says why.
    Done(Option<Read>),
}

/// Random keys that were opened ahead, or are being opened.
#[derive(Default)]
pub struct Ahead {
    states: Mutex<HashMap<Position, State>>,
    changed: Condvar,
    next: AtomicUsize,
    stopped: AtomicBool,
}

/// Does `work` while the random keys of items among `rows` are opened beside it.
pub fn unlocked_ahead<'a, T>(
    inner: &Arc<Inner>,
    rows: impl Iterator<Item = &'a CaptureRow>,
    work: impl FnOnce(&Ahead) -> Result<T, VaultError>,
) -> Result<T, VaultError> {
    let items = items(inner, rows)?;
    let ahead = Ahead::default();
    if items.len() < ITEMS_MIN {
        return work(&ahead);
    }
    let waiting = items.iter().map(|item| (item.row.position, State::Waits));
    locked(&ahead.states).extend(waiting);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let _stop = Stop(&ahead);
        for _ in 0..threads.min(THREADS_MAX) {
            let thread = std::thread::Builder::new().name("unlock".to_owned());
            // Without threads the follower opens those that nobody took up.
            if thread.spawn_scoped(scope, || ahead.run(inner, &items)).is_err() {
                ahead.next.store(items.len(), Ordering::SeqCst);
                ahead.give_up(&items);
                break;
            }
        }
        work(&ahead)
    })
}

/// Those that can be read ahead: pulled, in one chunk, of an archive that is pulled now.
fn items<'a>(
    inner: &Arc<Inner>,
    rows: impl Iterator<Item = &'a CaptureRow>,
) -> Result<Vec<Item<'a>>, VaultError> {
    let is_item = |row: &&CaptureRow| {
        row.connector == WecomArchive.id()
            && !row.closed
            && row.chunks == 1
            && row.cause.is_none()
            && row.size_bytes <= ITEM_BYTES_MAX
    };
    let mut found = Vec::new();
    for row in rows.filter(is_item) {
        if let Some(archive) = inner.archive(&row.connection) {
            let wrap = locked(&inner.catalogue).wrap(row.position)?;
            found.push(Item { row, wrap, archive });
        }
    }
    Ok(found)
}

/// No thread goes on when the follower does not.
struct Stop<'a>(&'a Ahead);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.stopped.store(true, Ordering::SeqCst);
    }
}

/// Whoever waits for an item hears of it, whatever happens to the thread that took it up.
struct Taken<'a> {
    ahead: &'a Ahead,
    at: Position,
    read: Option<Read>,
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let done = State::Done(self.read.take());
        locked(&self.ahead.states).insert(self.at, done);
        self.ahead.changed.notify_all();
    }
}

impl Ahead {
    fn run(&self, inner: &Arc<Inner>, items: &[Item<'_>]) {
        while !self.stopped.load(Ordering::SeqCst)
            && let Some(item) = items.get(self.next.fetch_add(1, Ordering::SeqCst))
        {
            let mut taken = Taken {
                ahead: self,
                at: item.row.position,
                read: None,
            };
            taken.read = read(inner, item).ok().flatten();
        }
    }

    fn give_up(&self, items: &[Item<'_>]) {
        let mut states = locked(&self.states);
        for item in items {
            let state = states.get(&item.row.position);
            if matches!(state, Some(State::Waits)) {
                states.insert(item.row.position, State::Done(None));
            }
        }
        drop(states);
        self.changed.notify_all();
    }

    /// Whether the item at a position is among those that are opened ahead, and was not taken yet.
    pub fn has(&self, at: Position) -> bool {
        locked(&self.states).contains_key(&at)
    }

    /// What was worked out of the item at a position, once it is; nothing where it is not opened ahead.
    pub fn take(&self, at: Position) -> Option<Read> {
        let mut states = locked(&self.states);
        loop {
            match states.remove(&at)? {
                State::Done(read) => return read,
                waits @ State::Waits => {
                    states.insert(at, waits);
                    states = self.changed.wait(states).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }
}

fn read(inner: &Arc<Inner>, item: &Item<'_>) -> Result<Option<Read>, VaultError> {
    let Some(key) = inner.data_key(item.row, item.wrap)? else {
        return Ok(None);
    };
    let chunks = vec![item.row.position];
    let (mut reader, descriptor) = CaptureReader::open(inner.clone(), item.row, key.clone(), chunks)?;
    if descriptor.file_name.is_some() {
        return Ok(None);
    }
    let keys = inner.keys_in_force(&item.row.connection, &item.archive);
    let unlocked = pull::unlock(&item_of(&mut reader)?, &keys);
    Ok(unlocked.map(|unlocked| Read { key, unlocked }))
}
