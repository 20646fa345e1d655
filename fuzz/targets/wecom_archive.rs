//! Messages of the WeCom conversation archive.
#![no_main]

#[path = "../bodies/connect.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::wecom_archive(data));
