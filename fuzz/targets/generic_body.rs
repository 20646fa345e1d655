//! A webhook body of the WhatsApp Business Platform.
#![no_main]

#[path = "../bodies/connect.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::generic_body(data));
