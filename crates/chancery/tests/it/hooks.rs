//! The platform's side of a webhook: signed deliveries over plain HTTP to loopback.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use seal::Key;
use seal::suite::{hex, mac};

use crate::run::Place;

pub const APP_SECRET: &str = "0123456789abcdef0123456789ABCDEF";
pub const VERIFY_TOKEN: &str = "verify-token-of-the-tests";

/// A server that takes this long is not well.
const PATIENCE: Duration = Duration::from_secs(30);

/// Adds the connection `ward-3` with the secrets above.
pub fn connect(place: &Place, more: &[&str]) {
    place.secret("app.txt", APP_SECRET);
    place.secret("token.txt", VERIFY_TOKEN);
    let add = [
        "connection",
        "add",
        "whatsapp-cloud",
        "ward-3",
        "--secret",
        "app-secret=app.txt",
        "--secret",
        "verify-token=token.txt",
    ];
    place.on(&[&add[..], more].concat()).done();
}

/// Delivers a body with its true signature; the status of the answer.
pub fn deliver(address: SocketAddr, body: &[u8]) -> io::Result<u16> {
    let mut key = [0; 32];
    key.copy_from_slice(APP_SECRET.as_bytes());
    deliver_signed(address, body, &hex(&mac(&Key::from_bytes(key), &[body])))
}

/// Delivers a body with this signature in hex; the status of the answer.
pub fn deliver_signed(address: SocketAddr, body: &[u8], signature: &str) -> io::Result<u16> {
    let signature = format!("sha256={signature}");
    let headers = [
        ("Content-Type", "application/json"),
        ("X-Hub-Signature-256", signature.as_str()),
    ];
    post(address, "/in/ward-3", &headers, body)
}

/// Posts a body; the status of the answer.
pub fn post(address: SocketAddr, path: &str, headers: &[(&str, &str)], body: &[u8]) -> io::Result<u16> {
    let headers: String = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\n{headers}Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let answer = exchange(address, &[head.as_bytes(), body].concat())?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    status.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

/// What is answered to a request for this path, headers included.
pub fn get(address: SocketAddr, path: &str) -> io::Result<String> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    exchange(address, request.as_bytes())
}

/// The status as JSON.
pub fn status(address: SocketAddr) -> io::Result<serde_json::Value> {
    let answer = get(address, "/api/v1/status")?;
    let (_, body) = answer
        .split_once("\r\n\r\n")
        .ok_or(io::ErrorKind::UnexpectedEof)?;
    Ok(serde_json::from_str(body)?)
}

fn exchange(address: SocketAddr, request: &[u8]) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// A webhook body with these messages.
pub fn body_of(messages: &[String]) -> String {
    format!(
        r#"{{"object":"whatsapp_business_account","entry":[{{"id":"1","changes":[{{"field":"messages","value":{{"messaging_product":"whatsapp","metadata":{{"display_phone_number":"15550001111","phone_number_id":"99"}},"messages":[{}]}}}}]}}]}}"#,
        messages.join(",")
    )
}

/// A text message.
pub fn text_message(id: &str, from: &str, text: &str) -> String {
    format!(
        r#"{{"from":"{from}","id":"{id}","timestamp":"1763990000","type":"text","text":{{"body":"{text}"}}}}"#
    )
}
