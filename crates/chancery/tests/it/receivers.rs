//! Receivers of alarms on loopback: webhooks that check the signature, and collectors of syslog.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use seal::Key;
use seal::suite::{hex, mac};
use serde_json::Value;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

/// By which alarms are signed.
pub const SECRET: &str = "the-32-bytes-that-sign-an-alarm!";
const PATIENCE: Duration = Duration::from_secs(30);

/// What a webhook answers.
#[derive(Clone)]
pub enum Answered {
    /// These bytes.
    Once(Vec<u8>),
    /// These bytes, and then more and more.
    Endless(Vec<u8>),
    /// Nothing, and keeps the connection.
    Never,
}

impl Answered {
    pub fn well() -> Answered {
        Answered::once(b"HTTP/1.1 204 X\r\nConnection: close\r\n\r\n")
    }

    pub fn once(bytes: &[u8]) -> Answered {
        Answered::Once(bytes.to_vec())
    }
}

/// A delivery as it came.
pub struct Taken {
    pub time: String,
    pub signature: String,
    pub body: Vec<u8>,
}

impl Taken {
    /// Whether it is signed with [`SECRET`], and lately.
    fn check(&self) {
        let mut key = [0; 32];
        key.copy_from_slice(SECRET.as_bytes());
        let key = Key::from_bytes(key);
        let expected = mac(&key, &[format!("v1:{}:", self.time).as_bytes(), &self.body]);
        assert_eq!(self.signature, format!("v1={}", hex(&expected)));
        let seconds: i64 = self.time.parse().unwrap();
        let sent = jiff::Timestamp::now().as_second();
        // Some tests run two hours ahead.
        assert!((-60..=7260).contains(&(seconds - sent)), "{seconds} {sent}");
    }
}

/// A webhook.
pub struct Desk {
    pub url: String,
    address: SocketAddr,
    taken: Receiver<Taken>,
    closing: Arc<AtomicBool>,
}

/// A webhook that is away: nobody listens where it was.
pub struct Away(SocketAddr);

impl Desk {
    pub fn new(answered: Answered) -> Desk {
        Desk::at("127.0.0.1:0".parse().unwrap(), answered)
    }

    fn at(address: SocketAddr, answered: Answered) -> Desk {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let (send, taken) = channel();
        let closing = Arc::new(AtomicBool::new(false));
        let over = closing.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                let (answered, send) = (answered.clone(), send.clone());
                std::thread::spawn(move || serve(&stream.unwrap(), &answered, &send));
            }
        });
        Desk {
            url: format!("http://{address}/alarms?desk=7"),
            address,
            taken,
            closing,
        }
    }

    /// The alarms of the next delivery, whose signature holds.
    pub fn next(&self) -> Vec<Value> {
        let taken = self.taken();
        taken.check();
        let body: Value = serde_json::from_slice(&taken.body).unwrap();
        assert_eq!(
            (&body["version"], &body["zone"]),
            (&1.into(), &"us".into()),
            "{body}"
        );
        body["alarms"].as_array().unwrap().clone()
    }

    /// The next delivery, whoever signed it.
    pub fn taken(&self) -> Taken {
        self.taken.recv_timeout(PATIENCE).expect("an alarm comes")
    }

    pub fn took_nothing(&self) -> bool {
        matches!(
            self.taken.recv_timeout(Duration::ZERO),
            Err(RecvTimeoutError::Timeout)
        )
    }

    /// Ceases to listen.
    pub fn go_away(self) -> Away {
        self.closing.store(true, Ordering::SeqCst);
        // Wakes it up to see that.
        drop(TcpStream::connect(self.address));
        while TcpStream::connect(self.address).is_ok() {}
        Away(self.address)
    }
}

impl Away {
    pub fn come_back(self, answered: Answered) -> Desk {
        Desk::at(self.0, answered)
    }
}

fn serve(mut stream: &TcpStream, answered: &Answered, send: &Sender<Taken>) {
    let Some(body) = request(stream) else { return };
    // The test may be over.
    let _ = send.send(body);
    match answered {
        Answered::Once(bytes) => drop(stream.write_all(bytes)),
        Answered::Endless(bytes) => {
            if stream.write_all(bytes).is_ok() {
                while stream.write_all(&[b'x'; 4096]).is_ok() {}
            }
        }
        Answered::Never => {
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest);
        }
    }
}

fn request(stream: &TcpStream) -> Option<Taken> {
    let mut reader = BufReader::new(stream);
    let (mut length, mut time, mut signature) = (0, String::new(), String::new());
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
        let line = line.trim_end();
        let Some((name, value)) = line.split_once(": ") else {
            if line.is_empty() {
                break;
            }
            continue;
        };
        match name.to_lowercase().as_str() {
            "content-length" => length = value.parse().unwrap(),
            "x-chancery-timestamp" => time = value.to_owned(),
            "x-chancery-signature" => signature = value.to_owned(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Taken {
        time,
        signature,
        body,
    })
}

/// A collector by TCP: its address, and each message it takes.
pub fn collector() -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (send, taken) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            frames(stream.unwrap(), &send);
        }
    });
    (format!("tcp://{address}"), taken)
}

/// Octet counting: a length, a space, and so many bytes.
fn frames(stream: impl Read, send: &Sender<String>) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut length = Vec::new();
        let read = reader.read_until(b' ', &mut length);
        let text = String::from_utf8_lossy(&length).trim_end().to_owned();
        let (Ok(1..), Ok(length)) = (read, text.parse::<usize>()) else {
            return;
        };
        let mut message = vec![0; length];
        if reader.read_exact(&mut message).is_err() {
            return;
        }
        let _ = send.send(String::from_utf8(message).unwrap());
    }
}

/// A collector by UDP.
pub fn datagrams() -> (String, Receiver<String>) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let (send, taken) = channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 65_536];
        while let Ok(length) = socket.recv(&mut buffer) {
            let _ = send.send(String::from_utf8(buffer[..length].to_vec()).unwrap());
        }
    });
    (format!("udp://{address}"), taken)
}

/// A collector by TLS, whose certificate is for localhost.
pub fn tls_collector() -> (String, Receiver<String>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../server/tests/tls");
    let chain = CertificateDer::pem_file_iter(folder.join("certificate.pem")).unwrap();
    let chain = chain.collect::<Result<Vec<_>, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_file(folder.join("key.pem")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (send, taken) = channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = ServerConnection::new(config.clone()).unwrap();
            frames(StreamOwned::new(connection, stream.unwrap()), &send);
        }
    });
    (format!("tls://localhost:{port}"), taken)
}
