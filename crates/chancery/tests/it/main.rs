//! The program as people use it, and the pages generated from it.
#![cfg(test)]

mod anchors;
#[path = "../../../seal/tests/authority/mod.rs"]
mod authority;
mod cli;
mod connections;
mod crash;
mod doors;
mod erasure;
mod flips;
mod generated;
mod graph;
mod hooks;
mod inputs;
mod media;
mod outsiders;
mod rotation;
mod run;
mod shuffle;
mod vaults;
