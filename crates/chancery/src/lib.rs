//! The commands: what is typed becomes an operation on the vault, and its answer becomes lines of text or JSON.
//!
//! For: the command line, the environment, the socket by which commands reach the process that has the data folder.
//!
//! Never: parsing of captures, cryptography, SQL, HTTP; those are called.
//!
//! To add a command: a variant in [`args`] with an example, one in [`operation`] with its arm in `perform` if it needs the
//! vault, its words in [`print`], then `./dev generate`.

use std::process::ExitCode;

mod account;
mod alarm;
mod anchor;
mod args;
mod capture;
mod certificate;
mod commands;
mod connection;
mod consent;
mod copies;
mod custodian;
mod demo;
mod dmz;
mod drill;
mod escrow;
mod failure;
mod files;
pub mod generated;
mod governing;
mod init;
mod operation;
mod owner;
mod parse;
mod passphrase;
mod perform;
mod print;
mod progress;
mod reconcile;
mod serve;
mod socket;
mod statement;
mod tables;
mod user;
mod verify;
mod witness;

/// Reads the command line, does what it says, and tells how that went. Exit codes: `docs/guide/exit-codes.md`.
pub fn run() -> ExitCode {
    let args = match args::read() {
        Ok(args) => args,
        Err(code) => return ExitCode::from(code),
    };
    let json = args.global.json;
    match commands::dispatch(args) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            failure.print(json);
            ExitCode::from(failure.code)
        }
    }
}
