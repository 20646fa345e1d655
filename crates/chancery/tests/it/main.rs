//! The program as people use it, and the pages generated from it.
#![cfg(test)]

mod canary;
mod cli;
mod clock;
mod confined;
mod connections;
mod crash;
mod deploy;
mod disk;
mod dmz;
mod doors;
mod erasure;
mod faults;
mod flips;
mod generated;
mod graph;
mod hooks;
mod inputs;
mod media;
mod memory;
mod power;
mod run;
mod shuffle;
mod vaults;
