//! HTTP, the intake process, the vault and its followers, outgoing fetches.
//!
//! For: everything between the network and the store. The *vault* listens, serves the status page and the
//! API, and hands connections for `/in/` to the *intake*, a process of its own that seals what it receives to a public
//! key and passes the sealed bytes back. `docs/decisions/0004-two-processes.md` says why.
//!
//! Never: SQL, its own cryptography, reading the environment, a log line with anything that came over the network.
//!
//! To add a page or an API call: a route in [`public`], its entry in `public/openapi.json`, its words in both
//! languages. To add a follower: one file in [`vault`], one call in `vault::follow`, its lag in `Status`.

pub mod confine;
mod control;
mod descriptors;
pub mod fetch;
pub mod host;
pub mod identity;
pub mod intake;
pub mod limits;
pub mod listen;
pub mod public;
pub mod vault;
pub mod wecom;
pub mod witness;

pub use host::{Host, IntakeConfiguration, IntakeConnection, Status};
pub use limits::Limits;
pub use listen::{IntakeStart, Pull, Running, ServeError, ServeOptions, TlsFiles, serve};
