//! The committer: gives positions, writes one group, one fsync, answers. Never pipelined.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

use model::entry::Header;
use model::{Position, Timestamp};
use seal::group::{GroupBuilder, PAYLOAD_BYTES_READ};
use seal::segment::SegmentHead;

use super::segments::{SegmentInfo, segment_path};
use super::{Answer, Committed, Shared, Submission, locked};
use crate::failpoint;
use crate::folder::{self, StoreError};

/// The file is kept filled with zeros this far ahead.
const PREPARE_BYTES: u64 = 8 << 20;

/// How far a fresh segment is filled before its first group.
const FIRST_PREPARE_BYTES: u64 = 256 << 10;

/// The segment being written.
pub struct Tail {
    /// Its file.
    pub file: Arc<File>,
    /// Its number.
    pub number: u64,
    /// Where the next group goes.
    pub offset: u64,
    /// How far it is filled with zeros, durably.
    pub prepared: u64,
    /// Position of the next entry.
    pub next: Position,
}

/// Creates the next segment: head, zeros, durable name.
pub fn create_segment(
    shared_folder: &std::path::Path,
    head: &SegmentHead,
) -> Result<(Tail, SegmentInfo), StoreError> {
    let path = segment_path(shared_folder, head.number);
    let file = folder::create_file(&path, true)?;
    failpoint::hit("segment-created");
    let bytes = head.encode();
    let offset = bytes.len() as u64;
    file.write_all_at(&bytes, 0)
        .map_err(StoreError::io("writing", &path))?;
    fill(&file, offset, FIRST_PREPARE_BYTES).map_err(StoreError::io("preparing", &path))?;
    folder::sync_name(&path)?;
    let file = Arc::new(file);
    let tail = Tail {
        file: file.clone(),
        number: head.number,
        offset,
        prepared: FIRST_PREPARE_BYTES,
        next: head.first,
    };
    let info = SegmentInfo {
        number: head.number,
        first: head.first,
        path,
        file,
        end: offset,
        landmarks: Vec::new(),
        sealed: false,
    };
    Ok((tail, info))
}

/// Writes zeros and makes them durable.
fn fill(file: &File, from: u64, to: u64) -> io::Result<()> {
    static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
    let mut at = from;
    while at < to {
        let count = usize::try_from((to - at).min(ZEROS.len() as u64)).unwrap_or(ZEROS.len());
        file.write_all_at(ZEROS.get(..count).unwrap_or(&ZEROS), at)?;
        at += count as u64;
    }
    file.sync_data()
}

/// The preparer's view: which file, how far it is, how far it should be.
///
/// The file is opened anew for it: a failed sync is told once to each descriptor. If it were told to the preparer on the
/// committer's, the committer would take what was lost for durable.
#[derive(Default)]
struct Preparing {
    file: Option<Arc<File>>,
    number: u64,
    prepared: u64,
    wanted: u64,
    failed: bool,
    closed: bool,
}

#[derive(Default)]
struct Preparer {
    state: Mutex<Preparing>,
    changed: Condvar,
}

impl Preparer {
    fn run(&self) {
        let mut state = locked(&self.state);
        while !state.closed {
            if let Some(file) = state
                .file
                .clone()
                .filter(|_| state.prepared < state.wanted && !state.failed)
            {
                let (number, from, to) = (state.number, state.prepared, state.wanted);
                drop(state);
                let filled = fill(&file, from, to);
                state = locked(&self.state);
                if state.number == number {
                    state.failed = filled.is_err();
                    state.prepared = if filled.is_ok() { to } else { from };
                }
                self.changed.notify_all();
            } else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    /// Waits until the file is filled up to `end`, and asks for more beyond it.
    fn ensure(&self, tail: &Tail, path: &Path, end: u64, limit: u64) {
        let mut state = locked(&self.state);
        if state.number != tail.number || state.file.is_none() {
            *state = Preparing {
                file: File::options().write(true).open(path).ok().map(Arc::new),
                number: tail.number,
                prepared: tail.prepared,
                wanted: tail.prepared,
                ..Preparing::default()
            };
        }
        if end + PREPARE_BYTES / 2 > state.wanted && state.wanted < limit {
            state.wanted = (end + PREPARE_BYTES).min(limit.max(end));
            self.changed.notify_all();
        }
        // A failed fill is no failure yet: the write of the group itself will tell.
        while state.file.is_some() && state.prepared < end && state.wanted > state.prepared && !state.failed {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn close(&self) {
        locked(&self.state).closed = true;
        self.changed.notify_all();
    }
}

struct Committer {
    shared: Arc<Shared>,
    tail: Tail,
    preparer: Arc<Preparer>,
    integrator: SyncSender<Committed>,
    last_at: Timestamp,
    /// How large the last groups were, so that the next buffer is made once at the right size.
    group_bytes: usize,
}

/// Starts committer and preparer.
pub fn start(
    shared: Arc<Shared>,
    tail: Tail,
    integrator: SyncSender<Committed>,
) -> Result<JoinHandle<()>, StoreError> {
    let named = |name: &str| std::thread::Builder::new().name(name.to_owned());
    let no_thread = |source| StoreError::Io {
        doing: "starting a thread for",
        path: PathBuf::new(),
        source,
    };
    let preparer = Arc::new(Preparer::default());
    let running = preparer.clone();
    let prepare = named("prepare").spawn(move || running.run()).map_err(no_thread)?;
    let mut committer = Committer {
        shared,
        tail,
        preparer,
        integrator,
        last_at: Timestamp::default(),
        group_bytes: 64 << 10,
    };
    named("commit")
        .spawn(move || {
            committer.run();
            committer.preparer.close();
            drop(prepare.join());
        })
        .map_err(no_thread)
}

impl Committer {
    fn run(&mut self) {
        while let Some(submissions) = self.next_submissions() {
            if let Err((error, answers)) = self.commit(submissions) {
                tracing::error!(
                    error = %error.with_cause(),
                    "the ledger stops: a group was not made durable; free space or repair the disk, then restart"
                );
                self.stop(error, answers);
                return;
            }
        }
    }

    /// What waits, up to one group; none when the ledger is closed and nothing waits.
    fn next_submissions(&self) -> Option<Vec<Submission>> {
        let mut queue = locked(&self.shared.queue);
        loop {
            if !queue.waiting.is_empty() {
                break;
            }
            if queue.closed {
                return None;
            }
            queue.is_awaited = true;
            queue = self
                .shared
                .arrived
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let (mut taken, mut bytes) = (Vec::with_capacity(queue.waiting.len()), 0);
        while let Some(next) = queue.waiting.front() {
            if !taken.is_empty() && bytes + next.bytes > seal::group::PAYLOAD_BYTES_MAX / 2 {
                break;
            }
            bytes += next.bytes;
            taken.extend(queue.waiting.pop_front());
        }
        queue.bytes = queue.bytes.saturating_sub(bytes);
        drop(queue);
        self.shared.room.notify_all();
        Some(taken)
    }

    fn commit(&mut self, submissions: Vec<Submission>) -> Result<(), (StoreError, Vec<Answer>)> {
        let buffer = Vec::with_capacity(self.group_bytes);
        // A clock that was turned back must not make the ledger's own times run backwards.
        let now = (self.shared.clock)().max(self.last_at);
        self.last_at = now;
        let mut group = GroupBuilder::new(self.tail.next, buffer);
        let mut answers = Vec::with_capacity(submissions.len());
        for submission in submissions {
            answers.push((group.next(), submission.answer));
            for draft in submission.drafts {
                let header = Header {
                    zone: self.shared.zone.clone(),
                    position: group.next(),
                    recorded_at: now,
                    kind: draft.kind,
                };
                group.push(&header.encode(), &draft.body);
            }
        }
        let payload = group.payload_bytes();
        if payload > PAYLOAD_BYTES_READ {
            // Only a submission that is alone can be so large. Written, it would be acknowledged, and damage after a restart.
            let refuse = |(_, answer): (Position, Answer)| answer(Err(StoreError::TooLarge(payload)));
            answers.into_iter().for_each(refuse);
            return Ok(());
        }
        let next = group.next();
        let bytes = group.finish();
        self.group_bytes = bytes.len() + bytes.len() / 4;
        match self.write(bytes, now, next) {
            Ok(()) => {
                answers
                    .into_iter()
                    .for_each(|(position, answer)| answer(Ok(position)));
                Ok(())
            }
            Err(error) => Err((error, answers.into_iter().map(|(_, answer)| answer).collect())),
        }
    }

    fn write(&mut self, bytes: Vec<u8>, at: Timestamp, next: Position) -> Result<(), StoreError> {
        let end = self.tail.offset + bytes.len() as u64;
        if end > self.shared.options.segment_bytes && self.tail.next > self.segment_first() {
            self.roll(at)?;
        }
        let (offset, end) = (self.tail.offset, self.tail.offset + bytes.len() as u64);
        let path = segment_path(&self.shared.folder, self.tail.number);
        self.preparer
            .ensure(&self.tail, &path, end, self.shared.options.segment_bytes);
        if cfg!(debug_assertions) {
            let half = bytes.get(..bytes.len() / 2).unwrap_or(&[]);
            self.tail
                .file
                .write_all_at(half, offset)
                .map_err(StoreError::io("writing", &path))?;
            failpoint::hit("group-half-written");
        }
        self.tail
            .file
            .write_all_at(&bytes, offset)
            .map_err(StoreError::io("writing", &path))?;
        failpoint::hit("group-written");
        self.tail
            .file
            .sync_data()
            .map_err(StoreError::io("syncing", &path))?;
        failpoint::hit("group-durable");
        let first = self.tail.next;
        if let Some(segment) = self
            .shared
            .segments
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .all
            .last_mut()
        {
            segment.note_group(offset, first, end);
        }
        self.tail.offset = end;
        self.tail.next = next;
        *locked(&self.shared.head) = next;
        self.shared.moved.notify_all();
        let group = Committed::Group { bytes, at };
        self.integrator.send(group).map_err(|_| StoreError::Stopped)
    }

    fn segment_first(&self) -> Position {
        let table = self
            .shared
            .segments
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        table.all.last().map_or(Position(0), |segment| segment.first)
    }

    /// Goes on in a new segment; the integrator seals the one before.
    fn roll(&mut self, at: Timestamp) -> Result<(), StoreError> {
        let head = SegmentHead {
            zone: self.shared.zone.clone(),
            number: self.tail.number + 1,
            first: self.tail.next,
            created_at: at,
        };
        let (tail, info) = create_segment(&self.shared.folder, &head)?;
        failpoint::hit("segment-rolled");
        self.shared
            .segments
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .all
            .push(info);
        self.tail = tail;
        self.integrator
            .send(Committed::Rolled)
            .map_err(|_| StoreError::Stopped)
    }

    /// After a failed write nothing more is acknowledged: what the disk holds is not known until a restart reads it.
    fn stop(&self, error: StoreError, answers: Vec<Answer>) {
        *locked(&self.shared.stopped) = Some(error.with_cause());
        let mut first = Some(error);
        let mut fail = |answer: Answer| answer(Err(first.take().unwrap_or(StoreError::Stopped)));
        answers.into_iter().for_each(&mut fail);
        let mut queue = locked(&self.shared.queue);
        queue.closed = true;
        let waiting = std::mem::take(&mut queue.waiting);
        drop(queue);
        self.shared.room.notify_all();
        waiting.into_iter().for_each(|submission| fail(submission.answer));
    }
}
