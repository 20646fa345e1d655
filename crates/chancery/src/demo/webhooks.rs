//! The platform's side of a webhook, as WhatsApp does it: plain HTTP/1.1 to loopback.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use seal::Key;
use seal::suite::{hex, mac};

use crate::failure::{Failure, IO};

/// An answer takes milliseconds; a server that takes this long is not well.
const PATIENCE: Duration = Duration::from_secs(30);

/// An invented WhatsApp app.
pub struct Platform {
    app_secret: String,
    verify_token: String,
}

impl Platform {
    /// With fresh secrets, of the form Meta gives them.
    ///
    /// # Errors
    /// No randomness.
    pub fn invented() -> Result<Platform, Failure> {
        let random = || seal::suite::random::<16>().map(|bytes| hex(&bytes));
        let failed = |error: seal::SealError| Failure::new(IO, error.to_string());
        Ok(Platform::new(
            random().map_err(failed)?,
            random().map_err(failed)?,
        ))
    }

    /// With these secrets; an app secret has 32 characters.
    pub fn new(app_secret: String, verify_token: String) -> Platform {
        Platform {
            app_secret,
            verify_token,
        }
    }

    /// Signs deliveries.
    pub fn app_secret(&self) -> &str {
        &self.app_secret
    }

    /// Is told in the handshake.
    pub fn verify_token(&self) -> &str {
        &self.verify_token
    }

    fn signature(&self, body: &[u8]) -> String {
        let mut key = [0; 32];
        key.iter_mut()
            .zip(self.app_secret.bytes())
            .for_each(|(to, from)| *to = from);
        format!("sha256={}", hex(&mac(&Key::from_bytes(key), &[body])))
    }

    /// Registers the address; answers whether the challenge came back.
    ///
    /// # Errors
    /// No answer.
    pub fn handshake(&self, address: SocketAddr, connection: &str) -> Result<&'static str, Failure> {
        let target = format!(
            "/in/{connection}?hub.mode=subscribe&hub.verify_token={}&hub.challenge=1158201444",
            self.verify_token
        );
        let request = format!("GET {target} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        let answer = exchange(address, request.as_bytes())?;
        let echoed = answer.starts_with("HTTP/1.1 200") && answer.ends_with("1158201444");
        Ok(if echoed {
            "the challenge came back"
        } else {
            "the challenge did not come back"
        })
    }

    /// Delivers a body with its true signature; answers the status.
    ///
    /// # Errors
    /// No answer.
    pub fn deliver(&self, address: SocketAddr, connection: &str, body: &[u8]) -> Result<u16, Failure> {
        post(address, connection, body, &self.signature(body))
    }

    /// Delivers a body with the signature of another.
    ///
    /// # Errors
    /// No answer.
    pub fn forge(&self, address: SocketAddr, connection: &str, body: &[u8]) -> Result<u16, Failure> {
        post(address, connection, body, &self.signature(b"something else"))
    }
}

fn post(address: SocketAddr, connection: &str, body: &[u8], signature: &str) -> Result<u16, Failure> {
    let head = format!(
        "POST /in/{connection} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: facebookexternalua\r\n\
         Content-Type: application/json\r\nX-Hub-Signature-256: {signature}\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        body.len()
    );
    let answer = exchange(address, &[head.as_bytes(), body].concat())?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    status.ok_or_else(|| Failure::new(IO, "the server gave no answer"))
}

fn exchange(address: SocketAddr, request: &[u8]) -> Result<String, Failure> {
    let talk = || -> io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(request)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    talk().map_err(|error| Failure::new(IO, format!("talking to the server at {address}: {error}")))
}
