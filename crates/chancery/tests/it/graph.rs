//! A vendor's Graph server: answers requests for media by a table.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

/// What is answered for a media id.
#[derive(Clone)]
pub enum File {
    /// These bytes.
    Bytes(Vec<u8>),
    /// No such object.
    Gone,
}

/// A running Graph server. Ends with the test's process.
pub struct Graph {
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Graph {
    /// Serves these files to whoever shows the token.
    pub fn start(token: &str, files: BTreeMap<String, File>) -> Graph {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (seen, authorization) = (
            asked.clone(),
            format!("authorization: bearer {}", token.to_lowercase()),
        );
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut head = Vec::new();
                for line in BufReader::new(&stream).lines() {
                    let line = line.unwrap_or_default();
                    if line.is_empty() {
                        break;
                    }
                    head.push(line);
                }
                let path = head
                    .first()
                    .and_then(|line| line.split(' ').nth(1))
                    .unwrap_or_default();
                seen.lock().unwrap().push(path.to_owned());
                let known = head.iter().any(|line| line.to_lowercase() == authorization);
                let answer = if known {
                    answer(address, path, &files)
                } else {
                    plain(401, b"{}")
                };
                drop(stream.write_all(&answer));
            }
        });
        Graph { address, asked }
    }

    /// Paths that were asked for.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// The setting that points to it.
    pub fn setting(&self) -> String {
        format!("graph-url=http://{}", self.address)
    }
}

/// First the link is asked for, as `/v23.0/ID`, then the file, as `/file/ID`.
fn answer(address: SocketAddr, path: &str, files: &BTreeMap<String, File>) -> Vec<u8> {
    let id = path.rsplit('/').next().unwrap_or_default();
    match files.get(id) {
        Some(File::Bytes(bytes)) if path.starts_with("/file/") => plain(200, bytes),
        Some(File::Bytes(_)) => {
            let link = format!(r#"{{"url":"http://{address}/file/{id}","id":"{id}"}}"#);
            plain(200, link.as_bytes())
        }
        _ => plain(404, b"{}"),
    }
}

fn plain(status: u16, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status} X\r\nContent-Type: image/jpeg\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// A message with an image of this media id and declared hash.
pub fn image_message(message: &str, media: &str, declared: &[u8]) -> String {
    let hash = seal::suite::hex(&seal::suite::sha256(declared));
    format!(
        r#"{{"from":"4915112345","id":"{message}","timestamp":"1763990000","type":"image","image":{{"caption":"picture {media}","mime_type":"image/jpeg","sha256":"{hash}","id":"{media}"}}}}"#
    )
}
