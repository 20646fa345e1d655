//! The headers and the body of a signed post.
#![no_main]

#[path = "../bodies/connect.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::generic_signature(data));
