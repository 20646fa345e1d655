//! A time-stamp token, or an authority's answer.
#![no_main]

#[path = "../bodies/evidence.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::stamp(data));
