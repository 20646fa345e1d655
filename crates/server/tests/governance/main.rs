//! Holds and destruction on whole vaults.
#![cfg(test)]

mod archive;
mod beyond_reach;
mod certificates;
mod consent;
mod consent_refused;
mod consent_spares;
mod destruction;
mod holds;
mod instance;
mod mixed;
mod tombs;
