//! The intake's side of the link to the vault: captures out, answers back, counts.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::sync::{mpsc, oneshot};
use zeroize::Zeroizing;

use crate::confine::Confined;
use crate::control::{CONFIGURATION_BYTES, Load, ToIntake, ToVault, frame_length};

/// Frames joined into one write at most.
const FRAMES_A_WRITE: usize = 256;
/// Bytes joined into one write at most, the last frame excepted.
const BYTES_A_WRITE: usize = 1 << 20;
/// Bytes read from the vault at once: answers are 21 bytes.
const READ_BYTES: usize = 64 << 10;

/// What the vault said about a capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Durable,
    NotWritten,
}

/// Shared by all conversations.
pub(super) struct Link {
    vault: Mutex<Attached>,
    waiting: Mutex<HashMap<u64, oneshot::Sender<Verdict>>>,
    next: AtomicU64,
    refused: Mutex<BTreeMap<(String, &'static str), u64>>,
}

/// The vault that is connected, if one is.
#[derive(Default)]
struct Attached {
    /// Counts vaults that were connected.
    turn: u64,
    /// Unbounded, because every frame in it belongs to a request that was let in, and those are bounded.
    frames: Option<mpsc::UnboundedSender<Vec<u8>>>,
}

/// A capture on its way; forgotten when dropped.
pub(super) struct Pending<'a> {
    link: &'a Link,
    request: u64,
    answer: oneshot::Receiver<Verdict>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Link {
    pub(super) fn new() -> Link {
        Link {
            vault: Mutex::default(),
            waiting: Mutex::default(),
            next: AtomicU64::new(1),
            refused: Mutex::default(),
        }
    }

    /// A vault is there; what is for it comes out of the receiver. Takes the place of the one before.
    pub(super) fn attach(&self) -> (u64, mpsc::UnboundedReceiver<Vec<u8>>) {
        let (frames, receiver) = mpsc::unbounded_channel();
        let mut vault = locked(&self.vault);
        vault.turn += 1;
        vault.frames = Some(frames);
        // What the one before was asked it will not answer.
        locked(&self.waiting).clear();
        (vault.turn, receiver)
    }

    /// That vault is gone. Whoever waits for it waits no longer. False when another has taken its place.
    pub(super) fn detach(&self, turn: u64) -> bool {
        let mut vault = locked(&self.vault);
        if vault.turn != turn {
            return false;
        }
        vault.frames = None;
        locked(&self.waiting).clear();
        true
    }

    /// Whether that vault is the one that is connected.
    pub(super) fn has_turn(&self, turn: u64) -> bool {
        let vault = locked(&self.vault);
        vault.turn == turn && vault.frames.is_some()
    }

    fn put(&self, frame: Vec<u8>) {
        if let Some(frames) = &locked(&self.vault).frames {
            drop(frames.send(frame));
        }
    }

    /// Sends a capture; `frame` makes its frame from the number of the request. Where there is no vault the answer is that
    /// it was not written.
    pub(super) fn send(&self, frame: impl FnOnce(u64) -> Vec<u8>) -> Pending<'_> {
        let request = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        let frame = frame(request);
        let vault = locked(&self.vault);
        if let Some(frames) = &vault.frames {
            locked(&self.waiting).insert(request, sender);
            drop(frames.send(frame));
        }
        Pending {
            link: self,
            request,
            answer,
        }
    }

    /// Tells whoever waits for this request.
    pub(super) fn answered(&self, request: u64, verdict: Verdict) {
        let waiting = locked(&self.waiting).remove(&request);
        if let Some(sender) = waiting {
            // Nobody waits any more when the request ran out of time.
            sender.send(verdict).ok();
        }
    }

    /// Counts a refused request. `connection` is one that exists, or empty: what a stranger typed is not counted by
    /// name, or he could fill the memory.
    pub(super) fn refused(&self, connection: &str, reason: &'static str) {
        let mut refused = locked(&self.refused);
        *refused.entry((connection.to_owned(), reason)).or_default() += 1;
    }

    /// Says what was given up.
    pub(super) fn tell(&self, confined: &Confined) {
        self.put(ToVault::confined(confined));
    }

    /// Sends what was counted since the last time, and how much is held.
    pub(super) fn report(&self, load: Load) {
        if locked(&self.vault).frames.is_none() {
            return;
        }
        let counts = std::mem::take(&mut *locked(&self.refused));
        if !counts.is_empty() {
            self.put(ToVault::refusals(&counts));
        }
        self.put(ToVault::load(load));
    }
}

impl Pending<'_> {
    /// Waits for the vault.
    pub(super) async fn answer(mut self) -> Verdict {
        (&mut self.answer).await.unwrap_or(Verdict::NotWritten)
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        locked(&self.link.waiting).remove(&self.request);
    }
}

/// Writes frames, those that wait together in one call.
pub(super) async fn write_frames<W: AsyncWrite + Unpin>(
    mut frames: mpsc::UnboundedReceiver<Vec<u8>>,
    mut to: W,
) {
    let mut batch = Vec::new();
    let mut bytes = Vec::new();
    while frames.recv_many(&mut batch, FRAMES_A_WRITE).await > 0 {
        for frame in batch.drain(..) {
            bytes.extend_from_slice(&frame);
            if bytes.len() >= BYTES_A_WRITE {
                if to.write_all(&bytes).await.is_err() {
                    return;
                }
                bytes.clear();
            }
        }
        if to.write_all(&bytes).await.is_err() || to.flush().await.is_err() {
            return;
        }
        bytes.clear();
    }
    // Fails when the other side is gone.
    drop(to.shutdown().await);
}

/// Reads what the vault says.
pub(super) struct FromVault<R>(BufReader<R>);

impl<R: AsyncRead + Unpin> FromVault<R> {
    pub(super) fn new(from: R) -> Self {
        FromVault(BufReader::with_capacity(READ_BYTES, from))
    }

    /// The next message; nothing when the vault is gone, or does not speak our language.
    pub(super) async fn next(&mut self) -> Option<ToIntake> {
        let mut length = [0; 4];
        self.0.read_exact(&mut length).await.ok()?;
        let length = frame_length(length, CONFIGURATION_BYTES).ok()?;
        // Wiped, because a configuration holds secrets.
        let mut frame = Zeroizing::new(vec![0; length]);
        self.0.read_exact(&mut frame).await.ok()?;
        let message = ToIntake::decode(&frame);
        message
            .inspect_err(|error| tracing::error!(%error, "the vault sent a frame that is none"))
            .ok()
    }
}
