//! A batch, a checkpoint or a key.
#![no_main]

#[path = "../bodies/evidence.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::log(data));
