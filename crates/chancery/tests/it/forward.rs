//! The tee: what comes in is passed on as it came, once, to a service of the operator's own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::hooks::{self, body_of, text_message};
use crate::run::Place;

const PATIENCE: Duration = Duration::from_secs(30);

/// A request as a service got it.
struct Got {
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Got {
    fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// A service of the operator's own, which answers what it is told.
struct Service {
    address: SocketAddr,
    got: Receiver<Got>,
    answers: Sender<u16>,
}

impl Service {
    fn start() -> Service {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, got) = channel();
        let (answers, told) = channel::<u16>();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = BufReader::new(stream.unwrap());
                // A kept connection carries several.
                while let Some(request) = read(&mut stream) {
                    if sender.send(request).is_err() {
                        return;
                    }
                    let Ok(status) = told.recv() else { return };
                    let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n");
                    drop(stream.get_mut().write_all(answer.as_bytes()));
                }
            }
        });
        Service {
            address,
            got,
            answers,
        }
    }

    fn setting(&self) -> String {
        format!("forward-to=http://{}/crm", self.address)
    }

    /// The next request, answered with this.
    fn next(&self, status: u16) -> Got {
        let got = self.got.recv_timeout(PATIENCE).unwrap();
        self.answers.send(status).unwrap();
        got
    }
}

fn read(stream: &mut BufReader<TcpStream>) -> Option<Got> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_owned();
        if line.is_empty() {
            break;
        }
        lines.push(line);
    }
    let path = lines.first()?.split(' ').nth(1)?.to_owned();
    let header = |line: &String| {
        let (name, value) = line.split_once(": ").unwrap();
        (name.to_lowercase(), value.to_owned())
    };
    let headers: Vec<_> = lines.iter().skip(1).map(header).collect();
    let length = headers
        .iter()
        .find(|(name, _)| name == "content-length")?
        .1
        .parse()
        .ok()?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some(Got { path, headers, body })
}

fn connect(place: &Place, service: &Service, more: &[&str]) {
    hooks::connect(place, &[&["--setting", &service.setting()][..], more].concat());
}

fn body(id: &str, text: &str) -> String {
    body_of(&[text_message(id, "491511", text)])
}

fn deliver(serving: &crate::run::Serving, body: &str) {
    assert_eq!(hooks::deliver(serving.address, body.as_bytes()).unwrap(), 200);
}

fn forward_of(place: &Place) -> Value {
    place.on(&["status", "--json"]).json()["connections"][0]["forward"].clone()
}

fn doctor(place: &Place) -> Value {
    let checks =
        serde_json::from_str::<Value>(&place.on(&["doctor", "--json"]).out).unwrap()["checks"].clone();
    let check = |check: &&Value| check["check"] == "deliveries of ward-3 are passed on";
    checks.as_array().unwrap().iter().find(check).unwrap().clone()
}

/// Waits until nothing waits to be passed on.
fn all_passed_on(place: &Place) {
    let begun = Instant::now();
    while forward_of(place)["waiting"] != 0 {
        assert!(begun.elapsed() < PATIENCE, "{}", forward_of(place));
    }
}

#[test]
fn what_comes_in_is_passed_on_byte_for_byte_in_order_and_once() {
    let place = Place::with_archive();
    let service = Service::start();
    connect(&place, &service, &[]);
    let serving = place.serve();
    // Blanks and escapes that nobody would write again in the same way.
    let first = body("wamid.1", "caf\\u00e9 \\/ one").replace("\"entry\"", " \"entry\" ");
    deliver(&serving, &first);
    assert_eq!(
        hooks::deliver_signed(serving.address, first.as_bytes(), &"0".repeat(64)).unwrap(),
        401
    );
    deliver(&serving, &body("wamid.2", "two"));
    // Not taken twice; then taken. The second waits until the first is.
    for status in [503, 500] {
        assert_eq!(service.next(status).body, first.as_bytes());
    }
    let begun = Instant::now();
    while doctor(&place)["ok"] == true {
        assert!(begun.elapsed() < PATIENCE);
    }
    assert!(
        doctor(&place)["detail"].as_str().unwrap().contains("status 50"),
        "{}",
        doctor(&place)
    );
    let got = service.next(200);
    assert_eq!(
        (got.path.as_str(), got.body.as_slice()),
        ("/crm", first.as_bytes())
    );
    assert_eq!(got.header("content-type"), Some("application/json"));
    let signature = got.header("x-hub-signature-256").unwrap();
    assert!(
        signature.starts_with("sha256=") && signature.len() == 71,
        "{signature}"
    );
    assert_eq!(got.header("host"), Some(service.address.to_string().as_str()));
    assert_eq!(service.next(200).body, body("wamid.2", "two").as_bytes());
    all_passed_on(&place);
    assert_eq!(doctor(&place)["ok"], true);
    serving.stop();
    // Neither another start nor a rebuild passes anything on again.
    place.on(&["rebuild"]).done();
    let serving = place.serve();
    deliver(&serving, &body("wamid.3", "three"));
    assert_eq!(service.next(200).body, body("wamid.3", "three").as_bytes());
    all_passed_on(&place);
    assert!(service.got.try_recv().is_err());
}

#[test]
fn what_a_service_was_sent_while_it_was_killed_waits_and_what_it_refuses_holds_nothing_up() {
    let place = Place::with_archive();
    let service = Service::start();
    connect(&place, &service, &[]);
    let serving = place.serve();
    deliver(&serving, &body("wamid.1", "one"));
    // The server dies with the answer still to come: the delivery goes out again.
    assert_eq!(
        service.got.recv_timeout(PATIENCE).unwrap().body,
        body("wamid.1", "one").as_bytes()
    );
    serving.kill();
    service.answers.send(200).unwrap();
    let serving = place.serve();
    let refused = body("wamid.1", "one");
    for _ in 0..4 {
        assert_eq!(service.next(422).body, refused.as_bytes());
    }
    deliver(&serving, &body("wamid.2", "two"));
    assert_eq!(service.next(200).body, body("wamid.2", "two").as_bytes());
    all_passed_on(&place);
    assert_eq!(forward_of(&place)["given_up"], 1);
    let said = doctor(&place);
    assert_eq!(said["ok"], false);
    assert!(said["detail"].as_str().unwrap().contains("1 given up"), "{said}");
    // Configured anew, it goes on where it was, with nothing held against it.
    serving.stop();
    connect(&place, &service, &["--replace"]);
    assert_eq!(doctor(&place)["ok"], true);
}

#[test]
fn a_delivery_that_comes_back_here_is_not_passed_on_again() {
    let place = Place::with_archive();
    let serving = place.serve();
    let setting = format!("forward-to=http://{}/in/ward-3", serving.address);
    hooks::connect(&place, &["--setting", &setting]);
    let begun = Instant::now();
    // The intake takes the connection up within a second.
    while hooks::deliver(serving.address, body("wamid.1", "one").as_bytes()).unwrap() != 200 {
        assert!(begun.elapsed() < PATIENCE);
    }
    let begun = Instant::now();
    // The delivery and what came back of it; when both are passed over, there are no more.
    while place.on(&["status", "--json"]).json()["connections"][0]["captures"] != 2 {
        assert!(begun.elapsed() < PATIENCE);
    }
    all_passed_on(&place);
    assert_eq!(
        place.on(&["status", "--json"]).json()["connections"][0]["captures"],
        2
    );
}

#[test]
fn where_deliveries_cannot_go_the_connection_is_not_added() {
    let place = Place::with_archive();
    place.secret("app.txt", "0123456789abcdef");
    place.secret("token.txt", "t");
    let add = |to: &str| {
        let setting = format!("forward-to={to}");
        let secrets = [
            "--secret",
            "app-secret=app.txt",
            "--secret",
            "verify-token=token.txt",
        ];
        place.on(&[
            &["connection", "add", "whatsapp-cloud", "x"][..],
            &secrets,
            &["--setting", &setting],
        ]
        .concat())
    };
    for wrong in [
        "crm.example.org",
        "ftp://crm.example.org/",
        "https://user:word@crm.example.org/",
    ] {
        add(wrong).failed(64, "forward-to must be an address");
    }
    add("https://crm.example.org/hook").done();
}
