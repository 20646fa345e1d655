//! The query string and the body of a callback of WeChat.
#![no_main]

#[path = "../bodies/connect.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::wechat_signature(data));
