//! The program as people use it, and the pages generated from it.
#![cfg(test)]

mod alarms;
mod anchors;
#[path = "../../../seal/tests/authority/mod.rs"]
mod authority;
mod backups;
mod canary;
mod capture;
mod cli;
mod clock;
mod confined;
mod connections;
mod copies_crash;
mod crash;
mod custodians;
mod deploy;
mod disk;
mod dmz;
mod doors;
mod erasure;
mod escrows;
mod expiry;
mod faults;
mod flips;
mod forward;
mod generated;
mod graph;
mod guide;
mod hooks;
mod inputs;
mod kefu;
mod media;
mod memory;
mod outsiders;
mod peers;
mod power;
mod receivers;
mod reconciles;
mod restores;
mod rotation;
mod run;
mod scrubs;
mod shuffle;
mod upgrade;
mod vaults;
mod wecom;
