//! The program as people use it, and the pages generated from it.
#![cfg(test)]

mod cli;
mod connections;
mod crash;
mod doors;
mod erasure;
mod flips;
mod forward;
mod generated;
mod graph;
mod guide;
mod hooks;
mod inputs;
mod kefu;
mod media;
mod peers;
mod run;
mod shuffle;
mod vaults;
