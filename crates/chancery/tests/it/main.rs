//! The program as people use it, and the pages generated from it.
#![cfg(test)]

mod cli;
mod generated;
mod inputs;
mod run;
