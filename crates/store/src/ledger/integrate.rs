//! The integrator: hashes what was committed, closes batches, signs checkpoints, seals full segments.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use model::{Position, Timestamp};
use seal::batch::{BATCH_BYTES, Batch};
use seal::group::{HEAD_BYTES, entry_leaf};
use seal::tree::RootBuilder;

use super::log::Log;
use super::recover::{Recovery, seal_segment};
use super::{Committed, Replacement, Scanner, Shared, locked};
use crate::failpoint;
use crate::folder::StoreError;

/// A batch being collected.
struct Open {
    first: Position,
    count: u32,
    root: RootBuilder,
    bytes: u64,
    first_at: Timestamp,
    last_at: Timestamp,
}

struct Integrator {
    shared: Arc<Shared>,
    log: Log,
    open: Option<Open>,
    /// Batches were closed that no checkpoint covers yet.
    unsigned: bool,
    last_signed: Option<Instant>,
}

/// Starts the integrator; it first takes in what was committed before a crash and not yet signed.
pub fn start(
    shared: Arc<Shared>,
    log: Log,
    committed: Receiver<Committed>,
    recovery: &Recovery,
) -> Result<JoinHandle<()>, StoreError> {
    let mut integrator = Integrator {
        shared,
        log,
        open: None,
        unsigned: false,
        last_signed: None,
    };
    // A key was replaced, and the program ended before it had signed.
    integrator.unsigned = integrator.log.is_signed_by_older();
    integrator.catch_up(recovery.head)?;
    std::thread::Builder::new()
        .name("integrate".to_owned())
        .spawn(move || integrator.run(&committed))
        .map_err(|source| StoreError::Io {
            doing: "starting a thread for",
            path: PathBuf::new(),
            source,
        })
}

impl Integrator {
    fn catch_up(&mut self, head: Position) -> Result<(), StoreError> {
        let from = self.log.covers();
        if from >= head {
            return Ok(());
        }
        let mut scanner = Scanner::new(self.shared.clone(), from);
        while let Some(group) = scanner.next_group()? {
            if group.first < from {
                return Err(StoreError::damaged(
                    format!("group at position {}", group.first),
                    "is only partly covered by the checkpoint",
                ));
            }
            let mut last_at = Timestamp::default();
            for (position, raw) in group.entries()? {
                last_at = super::StoredEntry::from_raw(&raw, position)?.header.recorded_at;
                self.leaf(position, raw.header, raw.body, last_at);
            }
            self.group_done(group.payload_bytes(), last_at);
        }
        Ok(())
    }

    fn run(&mut self, committed: &Receiver<Committed>) {
        let tick = self.shared.options.checkpoint_every.max(Duration::from_millis(1));
        loop {
            let due = self
                .last_signed
                .map_or(tick, |at| tick.saturating_sub(at.elapsed()));
            let wait = if self.open.is_some() || self.unsigned {
                due
            } else {
                Duration::from_secs(3600)
            };
            match committed.recv_timeout(wait) {
                Ok(Committed::Group { bytes, at }) => self.take_group(&bytes, at),
                Ok(Committed::Rolled) => self.seal_previous(),
                Ok(Committed::Flush(answer)) => self.answer_flush(&answer),
                Ok(Committed::Replace(replacement, answer)) => {
                    let result = self.replace_key(*replacement);
                    drop(answer.send(result));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    drop(self.sign());
                    return;
                }
            }
            let due = self.last_signed.is_none_or(|at| at.elapsed() >= tick);
            if due && (self.open.is_some() || self.unsigned) {
                drop(self.sign());
            }
        }
    }

    fn answer_flush(&mut self, answer: &SyncSender<Result<(), StoreError>>) {
        let result = self.sign();
        drop(answer.send(result));
    }

    fn replace_key(&mut self, replacement: Replacement) -> Result<(), StoreError> {
        self.sign()?;
        let last = self.log.signed();
        let last = last.ok_or_else(|| StoreError::Mismatch("nothing was ever signed".to_owned()))?;
        (replacement.decide)(&last)?;
        failpoint::hit("key-replaced");
        self.log.replace_key(replacement.key);
        self.unsigned = true;
        self.sign()
    }

    fn leaf(&mut self, position: Position, header: &[u8], body: &[u8], at: Timestamp) {
        let open = self.open.get_or_insert_with(|| Open {
            first: position,
            count: 0,
            root: RootBuilder::new(),
            bytes: 0,
            first_at: at,
            last_at: at,
        });
        open.root.push(entry_leaf(header, body));
        open.count += 1;
        open.last_at = at;
    }

    fn group_done(&mut self, bytes: u64, at: Timestamp) {
        if let Some(open) = &mut self.open {
            open.bytes += bytes;
            open.last_at = at;
            if open.bytes >= BATCH_BYTES {
                self.close_batch();
            }
        }
    }

    fn take_group(&mut self, bytes: &[u8], at: Timestamp) {
        let Some((head, payload)) = bytes.split_first_chunk::<HEAD_BYTES>() else {
            return;
        };
        let seal::group::HeadKind::Group(head) = seal::group::read_head(head) else {
            return;
        };
        let Ok(entries) = seal::group::entries(payload, head.count) else {
            tracing::error!("a group built in memory does not read back");
            return;
        };
        for (n, raw) in (0..).zip(entries) {
            self.leaf(head.first.plus(n), raw.header, raw.body, at);
        }
        self.group_done(payload.len() as u64, at);
    }

    fn close_batch(&mut self) {
        let Some(open) = self.open.take() else { return };
        self.log.append(&Batch {
            zone: self.shared.zone.clone(),
            node: self.shared.options.node.clone(),
            first: open.first,
            count: open.count,
            root: open.root.root(),
            first_at: open.first_at,
            last_at: open.last_at,
        });
        self.unsigned = true;
    }

    fn sign(&mut self) -> Result<(), StoreError> {
        self.close_batch();
        self.last_signed = Some(Instant::now());
        if !self.unsigned {
            return Ok(());
        }
        match self.log.sign((self.shared.clock)()) {
            Ok(signed) => {
                self.unsigned = false;
                *locked(&self.shared.unsigned) = None;
                *locked(&self.shared.signed) = Some(signed);
                self.shared.signed_anew.notify_all();
                Ok(())
            }
            Err(error) => {
                // The entries are durable; only their proof waits. Tried again at the next tick.
                let why = error.with_cause();
                tracing::error!(error = %why, "no checkpoint could be written");
                *locked(&self.shared.unsigned) = Some(why);
                Err(error)
            }
        }
    }

    /// Gives the segment before the last its footer.
    fn seal_previous(&mut self) {
        let unsealed = {
            let table = self
                .shared
                .segments
                .read()
                .unwrap_or_else(PoisonError::into_inner);
            let before_last = table.all.len().saturating_sub(1);
            table
                .all
                .iter()
                .take(before_last)
                .find(|segment| !segment.sealed)
                .cloned()
        };
        let Some(segment) = unsealed else { return };
        let count = {
            let table = self
                .shared
                .segments
                .read()
                .unwrap_or_else(PoisonError::into_inner);
            let next = table.all.iter().find(|other| other.number == segment.number + 1);
            next.map_or(0, |next| next.first.0 - segment.first.0)
        };
        match seal_segment(&segment, count) {
            Ok(()) => {
                let mut table = self
                    .shared
                    .segments
                    .write()
                    .unwrap_or_else(PoisonError::into_inner);
                if let Some(known) = table.all.iter_mut().find(|other| other.number == segment.number) {
                    known.sealed = true;
                }
            }
            // The next start seals it; until then it reads as it is.
            Err(error) => tracing::error!(error = %error, "a full segment has no footer yet"),
        }
    }
}
