//! HTTP, intake, the vault and its followers, jobs, outgoing fetches.
//!
//! For: everything between the network and the store.
//!
//! Never: SQL, its own cryptography, reading the environment.
//!
//! To add a follower: one file in [`vault`], one call in `vault::follow`, its lag in `Status`.

pub mod vault;
