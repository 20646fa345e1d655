//! HTTP: the vault's listener, the intake process, outgoing fetches.
//!
//! For: carrying bytes between the network and the other crates. The *vault* listens, serves the status page and the
//! API, and hands connections for `/in/` to the *intake*, a process of its own that seals what it receives to a public
//! key and passes the sealed bytes back. `docs/decisions/0004-two-processes.md` says why.
//!
//! Never: SQL, understanding a message, a log line with anything that came over the network.
//!
//! To add a page or an API call: a route in [`public`], its entry in `public/openapi.json`, its words in both
//! languages.

mod control;
mod descriptors;
pub mod fetch;
pub mod host;
pub mod intake;
pub mod limits;
pub mod listen;
pub mod public;

pub use host::{Host, IntakeConfiguration, IntakeConnection, Status};
pub use limits::Limits;
pub use listen::{IntakeStart, Running, ServeError, ServeOptions, TlsFiles, serve};
