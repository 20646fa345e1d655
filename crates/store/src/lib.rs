//! Where things are kept: the ledger's segments and log, the key store, the catalogue.
//!
//! For: durability. What this crate says is stored survives a crash at any moment.
//!
//! Never: opening sealed content, deciding anything, HTTP. The only crate with SQL.
//!
//! To add a back end: one concrete type that chooses inside [`ledger::Ledger`] or [`catalogue::Catalogue`], opened from
//! its URL in one place, and the suites in `tests/`, which then run against it too.

pub mod catalogue;
pub mod copy;
pub mod failpoint;
pub mod folder;
pub mod keystore;
pub mod ledger;
pub mod scrub;

pub use folder::StoreError;
