//! A running server over a real ledger in a temporary folder, and a client that says exactly what it is told.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use aws_lc_rs::hmac;
use connect::{Secrets, Settings};
use model::entry::Kind;
use model::{Position, Timestamp, ZoneId};
use seal::Key;
use seal::envelope::{EpochPrivate, open_chunk, split_stream};
use seal::suite::{EcdhPrivate, SigningKey, hex};
use server::confine::Confined;
use server::host::{
    AlarmStatus, Answer, ArchiveStatus, Attention, CheckKind, CheckpointStatus, ConnectionState,
    ConnectionStatus, Followers, GapStatus, Severity, StatementStatus,
};
use server::{
    Host, IntakeConfiguration, IntakeConnection, IntakeStart, Limits, Running, ServeOptions, Status, TlsFiles,
};
use store::StoreError;
use store::ledger::{Draft, Ledger, LedgerOptions};
use zeroize::Zeroizing;

pub const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";
pub const TOKEN: &str = "pick one";
/// Longer than anything here takes on a busy machine; only a test that fails waits for it.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How the host treats captures.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Writes,
    Fails,
    NeverAnswers,
    Busy,
}

pub struct TestHost {
    pub ledger: Ledger,
    pub epoch: Mutex<EpochPrivate>,
    pub mood: Mutex<Mood>,
    refused: Mutex<BTreeMap<(String, String), u64>>,
    counted: Condvar,
    confined: Mutex<Option<Confined>>,
    /// How pulling the archive of a second connection stands; none without one.
    pub archive: Mutex<Option<ArchiveStatus>>,
    kept: Mutex<Vec<Answer>>,
    pub folder: tempfile::TempDir,
}

fn epoch(number: u32) -> EpochPrivate {
    let scalar = EcdhPrivate::generate().unwrap().scalar().unwrap();
    EpochPrivate::from_scalar(zone(), number, &scalar).unwrap()
}

fn zone() -> ZoneId {
    "us".parse().unwrap()
}

fn connection(id: &str, with_secrets: bool) -> IntakeConnection {
    let mut secrets = Secrets::default();
    if with_secrets {
        let value = |bytes: &[u8]| vec![Zeroizing::new(bytes.to_vec())];
        secrets.0.insert("app-secret".into(), value(SECRET));
        secrets.0.insert("verify-token".into(), value(TOKEN.as_bytes()));
    }
    IntakeConnection {
        id: id.parse().unwrap(),
        connector: "whatsapp-cloud".into(),
        secrets,
        settings: Settings::new(),
        minimum_lock_days: 7,
    }
}

impl TestHost {
    fn new() -> TestHost {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("ledger");
        Ledger::create(&place).unwrap();
        let key = SigningKey::from_seed(&Key::from_bytes([5; 32])).unwrap();
        let clock = Arc::new(|| Timestamp::from_seconds(1_700_000_000));
        let options = LedgerOptions::default();
        let (ledger, _) =
            Ledger::open(&place, zone(), key, "chancery/us/test".into(), options, clock).unwrap();
        TestHost {
            ledger,
            epoch: Mutex::new(epoch(1)),
            mood: Mutex::new(Mood::Writes),
            refused: Mutex::default(),
            counted: Condvar::new(),
            confined: Mutex::default(),
            archive: Mutex::default(),
            kept: Mutex::default(),
            folder,
        }
    }

    pub fn next_epoch(&self) {
        let mut current = self.epoch.lock().unwrap();
        *current = epoch(current.epoch + 1);
    }

    /// Waits until so many requests were refused for this reason.
    pub fn wait_refused(&self, connection: &str, reason: &str, count: u64) {
        let key = (connection.to_owned(), reason.to_owned());
        let fewer = |refused: &mut BTreeMap<_, u64>| refused.get(&key).copied().unwrap_or(0) < count;
        let refused = self.refused.lock().unwrap();
        let (refused, waited) = self.counted.wait_timeout_while(refused, PATIENCE, fewer).unwrap();
        assert!(!waited.timed_out(), "{key:?} in {refused:?}");
        assert_eq!(refused[&key], count);
    }

    /// Waits until the intake has said what it gave up.
    pub fn wait_confined(&self) -> Confined {
        let confined = self.confined.lock().unwrap();
        let unsaid = |confined: &mut Option<Confined>| confined.is_none();
        let (confined, waited) = self
            .counted
            .wait_timeout_while(confined, PATIENCE, unsaid)
            .unwrap();
        assert!(!waited.timed_out());
        confined.unwrap()
    }

    /// Every capture in the ledger, opened: descriptor and body.
    pub fn captures(&self) -> Vec<(serde_json::Value, Vec<u8>)> {
        let mut captures = Vec::new();
        let mut stream = Vec::new();
        for at in 0..self.ledger.head().0 {
            let entry = self.ledger.entry(Position(at)).unwrap().unwrap();
            let Kind::Chunk(chunk) = entry.header.kind else {
                panic!("not a capture")
            };
            let key = self.epoch.lock().unwrap().data_key(&chunk.sealing).unwrap();
            let mut plain = Vec::new();
            open_chunk(&zone(), &chunk.sealing, &key, &entry.body, &mut plain).unwrap();
            stream.extend_from_slice(&plain);
            if chunk.sealing.last {
                let (descriptor, body) = split_stream(&stream).unwrap();
                captures.push((serde_json::from_slice(descriptor).unwrap(), body.to_vec()));
                stream.clear();
            }
        }
        captures
    }
}

impl Host for TestHost {
    fn zone(&self) -> ZoneId {
        zone()
    }

    fn configuration(&self) -> IntakeConfiguration {
        IntakeConfiguration {
            epoch: self.epoch.lock().unwrap().public().unwrap(),
            connections: [connection("ward-3", true), connection("bare", false)]
                .into_iter()
                .chain(crate::others::connections())
                .collect(),
        }
    }

    fn submit(&self, drafts: Vec<Draft>, answer: Answer) {
        match *self.mood.lock().unwrap() {
            Mood::Fails => answer(Err(StoreError::Stopped)),
            Mood::NeverAnswers => self.kept.lock().unwrap().push(answer),
            Mood::Writes | Mood::Busy => self.ledger.submit(drafts, answer),
        }
    }

    fn is_busy(&self) -> bool {
        *self.mood.lock().unwrap() == Mood::Busy
    }

    fn refused(&self, connection: &str, reason: &str, count: u64) {
        let key = (connection.to_owned(), reason.to_owned());
        *self.refused.lock().unwrap().entry(key).or_default() += count;
        self.counted.notify_all();
    }

    fn confined(&self, _intake: &str, confined: Option<Confined>) {
        *self.confined.lock().unwrap() = confined;
        self.counted.notify_all();
    }

    fn status(&self) -> Status {
        let at = Timestamp::from_seconds(1_700_000_000);
        let ward = ConnectionStatus {
            id: "ward-3".parse().unwrap(),
            connector: "whatsapp-cloud".into(),
            captures: 41,
            last_capture_at: Some(at),
            refused: BTreeMap::from([("signature-mismatch".to_owned(), 3)]),
            problems: 2,
            state: ConnectionState::Receiving,
            forward: None,
            archive: None,
        };
        let archived = self
            .archive
            .lock()
            .unwrap()
            .clone()
            .map(|archive| ConnectionStatus {
                id: "staff".parse().unwrap(),
                connector: "wecom-archive".into(),
                refused: BTreeMap::new(),
                archive: Some(archive),
                ..ward.clone()
            });
        Status {
            zone: zone(),
            version: "0.1.0 <&\"'>".into(),
            started_at: at,
            connections: std::iter::once(ward).chain(archived).collect(),
            gaps_open: 1,
            statement: Some(StatementStatus {
                day: "2023-11-13".into(),
                entry: Position(33),
                at,
            }),
            gaps: vec![GapStatus {
                connection: None,
                from: at,
                to: at,
                cause: "torn-group".into(),
                count: 77,
                closed: None,
            }],
            checkpoint: Some(CheckpointStatus {
                size: 4,
                covers: Position(40),
                at,
                age_seconds: 12,
                note: "chancery/us/0a1b2c3d\n4\nAAAA\n\n\u{2014} chancery/us/0a1b2c3d BBBB\n".into(),
            }),
            outside_anchor: None,
            anchors: Vec::new(),
            attention: [
                CheckKind::CheckpointElsewhere,
                CheckKind::KeyCopy,
                CheckKind::Backup,
            ]
            .map(|kind| Attention {
                kind,
                subject: None,
                severity: Severity::Alarm,
            })
            .to_vec(),
            alarms: vec![AlarmStatus {
                name: "desk".parse().unwrap(),
                kind: "webhook".into(),
                waiting: 3,
                not_kept: 0,
                delivered_at: None,
                failing_since: Some(at),
                failing: Some("answered 500".into()),
            }],
            followers: Followers {
                head: self.ledger.head(),
                normalized: Position(0),
            },
            pending_fetches: 5,
            epoch: 1,
            key_copy: false,
        }
    }
}

pub struct Setup {
    pub intake: IntakeStart,
    pub limits: Limits,
    pub own_address: bool,
    pub tls: Option<TlsFiles>,
}

impl Default for Setup {
    fn default() -> Self {
        Setup {
            intake: IntakeStart::Thread,
            limits: Limits::default(),
            own_address: false,
            tls: None,
        }
    }
}

pub struct Instance {
    pub host: Arc<TestHost>,
    pub running: Running,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    runtime: tokio::runtime::Runtime,
}

impl Instance {
    pub fn new() -> Instance {
        Instance::with(Setup::default())
    }

    pub fn with(setup: Setup) -> Instance {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let host = Arc::new(TestHost::new());
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let options = ServeOptions {
            listen: any,
            intake_listen: setup.own_address.then_some(any),
            tls: setup.tls,
            intake: setup.intake,
            pulls: Vec::new(),
            limits: setup.limits,
        };
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let shutdown = async move { drop(stopped.await) };
        let running = runtime
            .block_on(server::serve(options, host.clone(), shutdown))
            .unwrap();
        Instance {
            host,
            running,
            stop: Some(stop),
            runtime,
        }
    }

    pub fn client(&self) -> Client {
        Client::to(self.running.local_addr)
    }

    /// Begins to stop.
    pub fn stop(&mut self) {
        drop(self.stop.take());
    }

    /// Stops, waits for the end, and gives the host back.
    pub fn end(mut self) -> Arc<TestHost> {
        self.stop();
        self.runtime.block_on(self.running.ended());
        self.host
    }

    /// One request on a connection of its own.
    pub fn ask(&self, request: &[u8]) -> Response {
        let mut client = self.client();
        client.send(request);
        client.response()
    }
}

#[derive(Debug, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

pub struct Client<S = TcpStream>(pub BufReader<S>);

impl Client {
    pub fn to(address: SocketAddr) -> Client {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Client(BufReader::new(stream))
    }
}

impl<S: Read + Write> Client<S> {
    pub fn send(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).unwrap();
        self.0.get_mut().flush().unwrap();
    }

    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    pub fn response(&mut self) -> Response {
        let first = self.line();
        let mut words = first.split(' ');
        assert_eq!(words.next(), Some("HTTP/1.1"), "{first:?}");
        let status = words.next().unwrap().parse().unwrap();
        let mut headers = BTreeMap::new();
        loop {
            let line = self.line();
            let Some((name, value)) = line.split_once(": ") else {
                assert_eq!(line, "");
                break;
            };
            let before = headers.insert(name.to_ascii_lowercase(), value.to_owned());
            assert_eq!(before, None, "twice: {line}");
        }
        let length = headers.get("content-length").map_or(0, |n| n.parse().unwrap());
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        Response {
            status,
            headers,
            body,
        }
    }

    /// Reads to the end. A reset counts as an end: it is one.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        match self.0.read_to_end(&mut rest) {
            Ok(_) => rest,
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => rest,
            Err(error) => panic!("the connection stays open: {error}"),
        }
    }
}

pub fn signature(body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET);
    format!("sha256={}", hex(hmac::sign(&key, body).as_ref()))
}

/// A genuine delivery.
pub fn delivery(body: &[u8]) -> Vec<u8> {
    delivery_to("ward-3", &signature(body), body)
}

pub fn delivery_to(connection: &str, signature: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /in/{connection} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
         X-Hub-Signature-256: {signature}\r\nX-Not-Kept: 1\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

pub fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").into_bytes()
}

impl Client {
    /// Whether an answer with status 200 came before the connection ended.
    pub fn rest_or_answer(mut self) -> bool {
        let mut line = String::new();
        self.0.read_line(&mut line).is_ok() && line.starts_with("HTTP/1.1 200 ")
    }
}
