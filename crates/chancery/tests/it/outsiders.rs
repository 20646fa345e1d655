//! Those outside, as small servers: a witness of our own, an authority of openssl's, a webhook, a mail server.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};

use serde_json::Value;

use crate::authority::{Authority, Keys, Options};
use crate::run::Place;

/// A witness that runs.
pub struct Running {
    child: Child,
    pub url: String,
    pub key: String,
}

impl Running {
    /// In a folder of the place, which is made when it is not there; it watches the archive's log.
    pub fn witness(place: &Place, logs: &[&str]) -> Running {
        if !place.path("witness").exists() {
            place
                .bare(&["witness", "init", "--dir", "witness", "--name", "w.example/1"])
                .done();
        }
        let mut arguments = vec![
            "witness",
            "serve",
            "--dir",
            "witness",
            "--json",
            "--listen",
            "127.0.0.1:0",
        ];
        for log in logs {
            arguments.extend(["--log", log]);
        }
        let mut child = place
            .command(&arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let said: Value =
            serde_json::from_str(&line).unwrap_or_else(|_| panic!("it does not listen: {line}"));
        Running {
            child,
            url: format!("http://{}", said["listen"].as_str().unwrap()),
            key: said["key"].as_str().unwrap().to_owned(),
        }
    }

    /// Kills it, as a power cut does.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a small HTTP server answers: status, media type, body.
type Answer = (u16, &'static str, Vec<u8>);

/// Answers every POST, one after another; the thread ends with the test.
pub fn http(answer: impl Fn(Vec<u8>) -> Answer + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let Some(body) = request(&stream) else { continue };
            let (status, kind, body) = answer(body);
            let head = format!(
                "HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all(&[head.as_bytes(), &body].concat());
        }
    });
    address
}

fn request(stream: &TcpStream) -> Option<Vec<u8>> {
    let mut reader = BufReader::new(stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let line = line.trim_end().to_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(body)
}

/// A time-stamping authority in a folder: where it takes requests, and its root.
pub fn authority(folder: &Path, keys: Keys) -> (String, String) {
    let options = Options {
        keys,
        ..Options::default()
    };
    let authority = Authority::new(folder, &options);
    let root = authority.root();
    let address = http(move |request| (200, "application/timestamp-reply", authority.answer(&request)));
    (format!("http://{address}/stamp"), root)
}

/// A webhook that takes everything, and what it took.
pub fn webhook() -> (String, Receiver<Vec<u8>>) {
    let (send, taken) = channel();
    let address = http(move |body| {
        send.send(body).unwrap();
        (204, "text/plain", Vec::new())
    });
    (format!("http://{address}/checkpoints?board=7"), taken)
}

/// A mail server that takes everything: where it is, and the messages with who sent them to whom.
pub fn mail() -> (SocketAddr, Receiver<(Vec<String>, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (send, taken) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            let _ = send.send(conversation(&stream));
        }
    });
    (address, taken)
}

/// RFC 5321, as much as one message needs.
fn conversation(mut stream: &TcpStream) -> (Vec<String>, String) {
    let mut reader = BufReader::new(stream);
    let (mut commands, mut message) = (Vec::new(), String::new());
    stream.write_all(b"220 here\r\n").unwrap();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap() == 0 {
            return (commands, message);
        }
        let command = line.trim_end().to_owned();
        let reply: &[u8] = match command.get(..4).unwrap_or_default() {
            "EHLO" => b"250-here\r\n250 AUTH PLAIN\r\n",
            "AUTH" => b"235 welcome\r\n",
            "DATA" => {
                stream.write_all(b"354 go on\r\n").unwrap();
                loop {
                    let mut line = String::new();
                    reader.read_line(&mut line).unwrap();
                    if line == ".\r\n" {
                        break;
                    }
                    message.push_str(&line);
                }
                b"250 kept\r\n"
            }
            "QUIT" => {
                stream.write_all(b"221 bye\r\n").unwrap();
                return (commands, message);
            }
            _ => b"250 fine\r\n",
        };
        commands.push(command);
        stream.write_all(reply).unwrap();
    }
}
