//! Named places at which a test build kills its own process, as `kill -9` would, to prove what survives.
//!
//! A build without debug assertions has none of them.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

static ARMED: OnceLock<(String, AtomicU64)> = OnceLock::new();

/// Arms one place: the process dies when it is reached for the `count`-th time. Only the first call counts.
pub fn arm(name: &str, count: u64) {
    drop(ARMED.set((name.to_owned(), AtomicU64::new(count))));
}

/// All places that deliveries and imports come by, so that a test can visit each.
pub const NAMES: &[&str] = &[
    "group-half-written",
    "group-written",
    "group-durable",
    "segment-created",
    "segment-rolled",
    "segment-footer-written",
    "segment-cut",
    "tiles-written",
    "checkpoint-written",
    "keystore-appended",
    "keystore-replaced",
    "normalized-entries",
    "normalized-catalogue",
];

/// Places in pulling an archive: what came is sealed, and the position is noted.
pub const PULLING: &[&str] = &["archive-sealed", "archive-noted"];

/// Places on the way of a destruction that people ordered, in their order.
pub const DESTRUCTION: &[&str] = &[
    "destruction-frozen",
    "destruction-written",
    "keystore-replaced",
    "destruction-keys-gone",
    "destruction-purged",
    "destruction-swept",
];

/// Places in the making of copies, in restoring, repairing and escrow.
pub const NAMES_OF_COPIES: &[&str] = &[
    "copy-opened",
    "copy-half-written",
    "copy-segment-named",
    "copy-checkpoint-written",
    "copy-keys-half-written",
    "restore-segments-copied",
    "restore-log-written",
    "restore-keys-written",
    "scrub-set-aside",
    "scrub-replaced",
    "escrow-share-written",
];

/// Dies here when this place is armed and its count is reached.
pub fn hit(name: &str) {
    if !cfg!(debug_assertions) {
        return;
    }
    if let Some((armed, left)) = ARMED.get()
        && armed == name
        && left.fetch_sub(1, Ordering::SeqCst) == 1
    {
        // Nothing is flushed, no destructor runs. Not a signal sent by ourselves: a disk that is laid under a test must
        // have written down what it did for another thread, and hears of an abort.
        std::process::abort();
    }
}
