//! Holds and destruction on whole vaults.
#![cfg(test)]

mod beyond_reach;
mod certificates;
mod destruction;
mod holds;
mod instance;
mod mixed;
mod tombs;
