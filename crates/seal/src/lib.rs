//! Evidence: envelope encryption, key ring, Merkle trees, checkpoints, proofs, bundles, the offline verifier.
//!
//! For: turning bytes into sealed bytes, and sealed bytes into proofs that a stranger can check.
//!
//! Never: files, sockets, clocks. It reads from what it is given; times are arguments; randomness comes from the
//! crypto provider, `aws-lc-rs`, the only one our code calls (argon2 excepted).
//!
//! To add an algorithm suite: a number in `model::entry`, the primitives in [`suite`], a section in
//! `docs/spec/evidence-format.md`, golden vectors in `tests/golden.rs`. Nothing is ever taken away: old entries
//! stay readable.

pub mod act;
pub mod batch;
pub mod bundle;
pub mod envelope;
pub mod escrow;
pub mod group;
pub mod keyring;
pub mod note;
pub mod part;
pub mod segment;
pub mod stamp;
pub mod succession;
pub mod suite;
pub mod tiles;
pub mod tree;
pub mod witness;
pub mod wrap;

pub use suite::{Key, SealError};
