//! The program as people use it, and the pages generated from it.
#![cfg(test)]

mod backups;
mod cli;
mod connections;
mod copies_crash;
mod crash;
mod doors;
mod erasure;
mod escrows;
mod flips;
mod generated;
mod graph;
mod hooks;
mod inputs;
mod media;
mod restores;
mod run;
mod scrubs;
mod shuffle;
mod upgrade;
mod vaults;
