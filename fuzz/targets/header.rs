//! The header of an entry.
#![no_main]

#[path = "../bodies/evidence.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::header(data));
