//! Signed deliveries over HTTP, as many as go: the whole way (two processes, signature, sealing, ledger) against the
//! same listener that only reads the body and answers after a group commit of as many bytes.
//!
//! `cargo run --release -p server --example http_load -- [SECONDS] [CONNECTIONS]`
//!
//! With `callbacks` before them: encrypted callbacks of WeChat against webhooks of WhatsApp of as many bytes, both the whole way.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measuring tool stops at the first thing that is not as it should be, and prints what it found"
)]

use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::cipher::{AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use connect::{Secrets, Settings};
use model::entry::{Gap, GapCause, Kind};
use model::{Position, Timestamp, ZoneId};
use seal::Key;
use seal::envelope::{EpochPrivate, EpochPublic};
use seal::suite::{EcdhPrivate, SigningKey, hex};
use server::confine::Confinement;
use server::host::{Answer, Followers};
use server::{Host, IntakeConfiguration, IntakeConnection, IntakeStart, Limits, ServeOptions, Status};
use store::ledger::{Draft, Ledger, LedgerOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
const BODY_BYTES: usize = 1024;
const AES_KEY: &str = "q2w8Zt5RbN0pKfY7uLcXs3GdHe9mVaJ1oTi6QxPzBkA";
const TOKEN: &str = "harbour-light";
const CORP: &str = "ww7c41f0a2b95d63e8";
/// Bytes of the message in a callback of about [`BODY_BYTES`]: Base64 makes four of three.
const MESSAGE_BYTES: usize = 650;

struct LoadHost {
    ledger: Ledger,
    epoch: EpochPublic,
}

fn zone() -> ZoneId {
    "us".parse().unwrap()
}

fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    Timestamp::from_micros(i64::try_from(since.unwrap().as_micros()).unwrap())
}

impl LoadHost {
    fn new(folder: &std::path::Path) -> Arc<LoadHost> {
        Ledger::create(folder).unwrap();
        let key = SigningKey::from_seed(&Key::from_bytes([5; 32])).unwrap();
        let origin = "chancery/us/load".to_owned();
        let (ledger, _) = Ledger::open(
            folder,
            zone(),
            key,
            origin,
            LedgerOptions::default(),
            Arc::new(now),
        )
        .unwrap();
        let scalar = EcdhPrivate::generate().unwrap().scalar().unwrap();
        let epoch = EpochPrivate::from_scalar(zone(), 1, &scalar)
            .unwrap()
            .public()
            .unwrap();
        Arc::new(LoadHost { ledger, epoch })
    }
}

impl Host for LoadHost {
    fn zone(&self) -> ZoneId {
        zone()
    }

    fn configuration(&self) -> IntakeConfiguration {
        let connection = |id: &str, connector: &str, secrets: &[(&str, &[u8])], settings| {
            let secrets = secrets
                .iter()
                .map(|(name, value)| ((*name).to_owned(), vec![Zeroizing::new(value.to_vec())]));
            IntakeConnection {
                id: id.parse().unwrap(),
                connector: connector.to_owned(),
                secrets: Secrets(secrets.collect()),
                settings,
                minimum_lock_days: 0,
            }
        };
        let ours = [
            ("token", TOKEN.as_bytes()),
            ("encoding-aes-key", AES_KEY.as_bytes()),
        ];
        let receiver = Settings::from([("receive-id".to_owned(), CORP.to_owned())]);
        IntakeConfiguration {
            epoch: self.epoch.clone(),
            connections: vec![
                connection(
                    "load",
                    "whatsapp-cloud",
                    &[("app-secret", SECRET)],
                    Settings::new(),
                ),
                connection("app", "wechat-callback", &ours, receiver),
            ],
        }
    }

    fn submit(&self, drafts: Vec<Draft>, answer: Answer) {
        self.ledger.submit(drafts, answer);
    }

    fn is_busy(&self) -> bool {
        self.ledger.is_busy()
    }

    fn refused(&self, _connection: &str, reason: &str, count: u64) {
        println!("refused: {count} for {reason}");
    }

    fn status(&self) -> Status {
        Status {
            zone: zone(),
            version: String::new(),
            started_at: now(),
            connections: Vec::new(),
            gaps: Vec::new(),
            statement: None,
            gaps_open: 0,
            checkpoint: None,
            outside_anchor: None,
            anchors: Vec::new(),
            attention: Vec::new(),
            alarms: Vec::new(),
            followers: Followers {
                head: self.ledger.head(),
                normalized: Position(0),
            },
            pending_fetches: 0,
            epoch: 1,
            key_copy: false,
        }
    }
}

/// The peer: the same HTTP stack as the status page, one process, no signature, no sealing.
async fn bare(host: Arc<LoadHost>) -> SocketAddr {
    async fn commit(State(host): State<Arc<LoadHost>>, body: Bytes) -> StatusCode {
        let (send, receive) = oneshot::channel();
        let gap = Gap {
            connection: None,
            from: now(),
            to: now(),
            cause: GapCause::NotRunning,
            count: 0,
        };
        let draft = Draft {
            kind: Kind::Gap(gap),
            body: body.to_vec(),
        };
        host.submit(
            vec![draft],
            Box::new(move |result| {
                send.send(result.is_ok()).ok();
            }),
        );
        match receive.await {
            Ok(true) => StatusCode::OK,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/in/load", post(commit)).with_state(host);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            stream.set_nodelay(true).unwrap();
            let service = hyper_util::service::TowerToHyperService::new(router.clone());
            let stream = hyper_util::rt::TokioIo::new(stream);
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(stream, service));
        }
    });
    address
}

/// One sender: as many deliveries as the time allows; how long each took.
async fn sender(address: SocketAddr, request: Arc<Vec<u8>>, until: Instant) -> Vec<Duration> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let mut buffer = vec![0; 4096];
    let mut times = Vec::new();
    while Instant::now() < until {
        let begun = Instant::now();
        stream.write_all(&request).await.unwrap();
        let mut filled = 0;
        while !is_whole(buffer.get(..filled).unwrap()) {
            let count = stream.read(buffer.get_mut(filled..).unwrap()).await.unwrap();
            assert!(count > 0, "closed");
            filled += count;
        }
        assert!(buffer.starts_with(b"HTTP/1.1 200"), "not taken");
        times.push(begun.elapsed());
    }
    times
}

/// Whether an answer is there with the body that it announces.
fn is_whole(answer: &[u8]) -> bool {
    let text = std::str::from_utf8(answer).unwrap();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.parse().unwrap())
    });
    body.len() >= length.unwrap_or(0)
}

/// A webhook of WhatsApp.
fn webhook() -> Vec<u8> {
    let body: Vec<u8> = b"abcdefgh ".iter().copied().cycle().take(BODY_BYTES).collect();
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET);
    let head = format!(
        "POST /in/load HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         X-Hub-Signature-256: sha256={}\r\nContent-Length: {BODY_BYTES}\r\n\r\n",
        hex(hmac::sign(&key, &body).as_ref())
    );
    [head.as_bytes(), &body].concat()
}

/// A callback of WeCom, encrypted as the vendor documents: 16 bytes at random, a length, the message, the receiver, whole blocks
/// of 32.
fn callback() -> Vec<u8> {
    let head = format!(
        "<xml><ToUserName>{CORP}</ToUserName><FromUserName>lin.mei</FromUserName><CreateTime>1732406399</CreateTime>\
         <MsgType>text</MsgType><MsgId>1</MsgId><AgentID>7</AgentID><Content>"
    );
    let tail = "</Content></xml>";
    let text = "x".repeat(MESSAGE_BYTES - head.len() - tail.len());
    let size = u32::try_from(MESSAGE_BYTES).unwrap().to_be_bytes();
    let message = [&head, text.as_str(), tail].concat();
    let mut bytes = [
        b"0123456789abcdef".as_slice(),
        &size,
        message.as_bytes(),
        CORP.as_bytes(),
    ]
    .concat();
    let padding = 32 - bytes.len() % 32;
    bytes.resize(bytes.len() + padding, u8::try_from(padding).unwrap());
    let key = STANDARD.decode(format!("{AES_KEY}=")).unwrap();
    let iv: [u8; 16] = key.first_chunk().copied().unwrap();
    let cipher = EncryptingKey::cbc(UnboundCipherKey::new(&AES_256, &key).unwrap()).unwrap();
    let context = EncryptionContext::Iv128(FixedLength::from(iv));
    cipher.less_safe_encrypt(&mut bytes, context).unwrap();
    let encrypted = STANDARD.encode(bytes);
    let mut parts = [TOKEN, "1732406400", "n0nce", &encrypted];
    parts.sort_unstable();
    let tag = hex(digest(&SHA1_FOR_LEGACY_USE_ONLY, parts.concat().as_bytes()).as_ref());
    let body = format!("<xml><ToUserName>{CORP}</ToUserName><Encrypt>{encrypted}</Encrypt></xml>");
    assert!(
        body.len().abs_diff(BODY_BYTES) < BODY_BYTES / 20,
        "{}",
        body.len()
    );
    format!(
        "POST /in/app?msg_signature={tag}&timestamp=1732406400&nonce=n0nce HTTP/1.1\r\nHost: localhost\r\n\
         Content-Type: text/xml\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Drives a server from a thread of its own; requests a second.
fn drive(name: &str, address: SocketAddr, request: &Arc<Vec<u8>>, seconds: u64, connections: usize) -> f64 {
    let mut times = Vec::new();
    let begun = Instant::now();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let until = Instant::now() + Duration::from_secs(seconds);
        let senders: Vec<_> = (0..connections)
            .map(|_| tokio::spawn(sender(address, request.clone(), until)))
            .collect();
        for sender in senders {
            times.extend(sender.await.unwrap());
        }
    });
    let took = begun.elapsed().as_secs_f64();
    times.sort();
    let at = |part: usize| times.get(times.len() * part / 100).copied().unwrap_or_default();
    #[expect(clippy::cast_precision_loss, reason = "counts here are far below 2^52")]
    let rate = times.len() as f64 / took;
    println!(
        "{name:<28} {rate:>9.0} requests/s   p50 {:>8.2?}   p99 {:>8.2?}",
        at(50),
        at(99)
    );
    rate
}

fn main() {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == "intake") {
        let control = std::io::stdin().as_fd().try_clone_to_owned().unwrap();
        return server::intake::run(UnixStream::from(control), &Confinement::default()).unwrap();
    }
    let callbacks = arguments.first().is_some_and(|first| first == "callbacks");
    arguments.drain(..usize::from(callbacks));
    let number = |place: usize| arguments.get(place).map(|text| text.parse::<u64>().unwrap());
    let seconds = number(0).unwrap_or(5);
    let connections = usize::try_from(number(1).unwrap_or(64)).unwrap();
    let folder = tempfile::tempdir_in(".").unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let options = ServeOptions {
        listen: "127.0.0.1:0".parse().unwrap(),
        intake_listen: None,
        tls: None,
        intake: IntakeStart::Process {
            program: std::env::current_exe().unwrap(),
            arguments: vec!["intake".to_owned()],
            user: None,
        },
        pulls: Vec::new(),
        limits: Limits::default(),
    };
    let host = LoadHost::new(&folder.path().join("whole"));
    let running = runtime
        .block_on(server::serve(options, host, std::future::pending()))
        .unwrap();
    let whole = running.local_addr;
    let (webhook, callback) = (Arc::new(webhook()), Arc::new(callback()));
    let mut ratios = Vec::new();
    if callbacks {
        // By turns: what else the machine does meets both.
        for round in 0..5 {
            let ours = || drive("callbacks of WeChat", whole, &callback, seconds, connections);
            let peer = || drive("webhooks of WhatsApp", whole, &webhook, seconds, connections);
            let (ours, peer) = if round % 2 == 0 {
                (ours(), peer())
            } else {
                let peer = peer();
                (ours(), peer)
            };
            ratios.push(ours / peer);
        }
    } else {
        let peer = runtime.block_on(bare(LoadHost::new(&folder.path().join("bare"))));
        for _ in 0..3 {
            let bare = drive("a bare group commit", peer, &webhook, seconds, connections);
            let ours = drive("proved, sealed, committed", whole, &webhook, seconds, connections);
            ratios.push(ours / bare);
        }
    }
    ratios.sort_by(f64::total_cmp);
    let middle = ratios.get(ratios.len() / 2).unwrap();
    let limit = if callbacks { " (limit 0.80)" } else { "" };
    println!("ratio, the middle of {}: {middle:.2}{limit}", ratios.len());
    println!("intake: {:?}", running.intake());
}
