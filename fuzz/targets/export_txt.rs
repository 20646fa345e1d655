//! A chat export as text.
#![no_main]

#[path = "../bodies/connect.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::export_txt(data));
