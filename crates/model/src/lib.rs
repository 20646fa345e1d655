//! The nouns of Chancery and their one canonical byte form.
//!
//! For: types that every other crate speaks in, so that a connector, the ledger and the verifier mean
//! the same thing by "message", "position" or "entry".
//!
//! Never: I/O, clocks, randomness, cryptography. Times and bytes are arguments.
//!
//! To add an entry kind: a struct in [`entry`] with `encode` and `decode`, one arm in [`entry::Header`],
//! one section in `docs/spec/evidence-format.md`, one golden vector in `crates/seal`.

pub mod bytes;
pub mod content;
pub mod entry;
pub mod id;
pub mod record;
pub mod time;

pub use content::Content;
pub use id::{CaptureId, ConnectionId, KeyId, MessageId, Position, ZoneId};
pub use time::Timestamp;
