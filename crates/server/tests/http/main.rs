//! The listener and the intake, over real sockets.
#![cfg(test)]

mod deliveries;
mod instance;
mod others;
mod process;
mod protocol;
mod routes;
mod status_page;
mod tls;
