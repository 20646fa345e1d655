//! An intake on a host of its own: two processes that share nothing but a connection from the vault to it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::hooks;
use crate::run::{Place, Serving};

const PATIENCE: Duration = Duration::from_secs(30);

/// The host in the DMZ, with a folder of its own.
struct Outpost {
    place: Place,
    pin: String,
    listen: SocketAddr,
    vault_listen: SocketAddr,
    process: Option<Child>,
}

/// An address that was free a moment ago.
fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

fn pin(place: &Place, name: &str) -> String {
    let said = place.bare(&["identity", name, "--json"]).json();
    said["pin"].as_str().unwrap().to_owned()
}

impl Outpost {
    fn new() -> Outpost {
        let place = Place::new();
        Outpost {
            pin: pin(&place, "intake.key"),
            place,
            listen: free(),
            vault_listen: free(),
            process: None,
        }
    }

    /// Starts it for the vault with this pin, and waits until it listens.
    fn start(&mut self, vault_pin: &str) {
        let (listen, vault_listen) = (self.listen.to_string(), self.vault_listen.to_string());
        let mut command = self
            .place
            .command(&["intake", "--identity", "intake.key", "--json"]);
        command.args([
            "--listen",
            &listen,
            "--vault-listen",
            &vault_listen,
            "--vault-pin",
            vault_pin,
        ]);
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.place.path("intake.err"));
        command.stdout(Stdio::piped()).stderr(log.unwrap());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let said: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line} {}", self.log()));
        assert_eq!(said["listen"], listen);
        self.process = Some(child);
    }

    fn kill(&mut self) {
        let mut child = self.process.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.place.path("intake.err")).unwrap_or_default()
    }
}

impl Drop for Outpost {
    fn drop(&mut self) {
        if self.process.is_some() {
            self.kill();
        }
    }
}

fn body(number: u32) -> String {
    let text = format!("number{number} stays");
    hooks::body_of(&[hooks::text_message(
        &format!("wamid.{number}"),
        "4915112345",
        &text,
    )])
}

fn deliver(to: SocketAddr, number: u32) -> u16 {
    hooks::deliver(to, body(number).as_bytes()).unwrap_or(0)
}

/// Senders come again until it is taken.
fn deliver_patiently(to: SocketAddr, number: u32) {
    let begun = Instant::now();
    loop {
        match deliver(to, number) {
            200 => return,
            503 | 0 => assert!(begun.elapsed() < PATIENCE, "it is never taken"),
            other => panic!("{other}"),
        }
    }
}

fn vault() -> (Place, String) {
    let place = Place::with_archive();
    hooks::connect(&place, &[]);
    let pin = pin(&place, "vault.key");
    (place, pin)
}

fn serve(place: &Place, outposts: &[(&Outpost, &str)]) -> Serving {
    let pulls: Vec<String> = outposts
        .iter()
        .map(|(outpost, pin)| format!("{}={pin}", outpost.vault_listen))
        .collect();
    let mut arguments = vec!["--identity", "vault.key"];
    for pull in &pulls {
        arguments.extend(["--pull", pull]);
    }
    place.serve_with(&arguments)
}

/// What `doctor` says of an intake, once the vault has tried to reach it.
fn check(place: &Place, outpost: &Outpost) -> Value {
    let name = format!("the intake at {} is confined", outpost.vault_listen);
    let begun = Instant::now();
    loop {
        let said = place.on(&["doctor", "--json"]).json();
        let checks = said["checks"].as_array().unwrap();
        if let Some(check) = checks.iter().find(|check| check["check"] == name) {
            return check.clone();
        }
        assert!(begun.elapsed() < PATIENCE, "{said}");
    }
}

#[test]
fn a_vault_comes_for_what_intakes_on_other_hosts_sealed_through_restarts_of_either() {
    let (place, vault_pin) = vault();
    let (mut one, mut two) = (Outpost::new(), Outpost::new());
    one.start(&vault_pin);
    two.start(&vault_pin);
    // Without a vault nothing is taken, not even looked at.
    assert_eq!(deliver(one.listen, 0), 503);
    assert_eq!(
        hooks::deliver_signed(one.listen, b"{}", &"0".repeat(64)).unwrap(),
        503
    );
    let serving = serve(&place, &[(&one, &one.pin), (&two, &two.pin)]);
    assert_eq!(
        serving.children(),
        Vec::<i32>::new(),
        "no intake is started beside the vault"
    );
    deliver_patiently(one.listen, 0);
    deliver_patiently(two.listen, 1);
    assert_eq!(
        hooks::deliver_signed(one.listen, body(0).as_bytes(), &"0".repeat(64)).unwrap(),
        401
    );
    // The vault's own address takes no webhooks.
    assert_eq!(deliver(serving.address, 2), 503);
    let confined = check(&place, &one);
    let detail = confined["detail"].as_str().unwrap();
    assert!(detail.contains("system calls are limited"), "{detail}");

    // An intake is killed and comes back; the other goes on meanwhile.
    one.kill();
    assert_eq!(deliver(two.listen, 2), 200);
    one.start(&vault_pin);
    deliver_patiently(one.listen, 3);

    // The vault is killed: senders are told to come again until it is back.
    serving.kill();
    let begun = Instant::now();
    while deliver(one.listen, 4) != 503 {
        assert!(begun.elapsed() < PATIENCE);
    }
    let serving = serve(&place, &[(&one, &one.pin), (&two, &two.pin)]);
    deliver_patiently(one.listen, 4);
    deliver_patiently(two.listen, 5);
    assert_eq!(serving.stop(), Some(0));
    assert_eq!(deliver(two.listen, 6), 503);

    let found = place.on(&["search", "stays", "--json"]).json();
    let texts: std::collections::BTreeSet<&str> = found["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|result| result["record"]["text"].as_str().unwrap())
        .collect();
    for number in 0..6 {
        assert!(
            texts.contains(format!("number{number} stays").as_str()),
            "{number} in {texts:?}"
        );
    }
    assert_eq!(place.on(&["verify", "--json"]).json()["holds"], true);
}

#[test]
fn only_the_pinned_keys_talk_to_each_other() {
    let (place, vault_pin) = vault();
    let mut outpost = Outpost::new();
    let stranger = pin(&place, "stranger.key");
    outpost.start(&vault_pin);

    // The vault expects another intake.
    let serving = serve(&place, &[(&outpost, &stranger)]);
    let begun = Instant::now();
    while !place_log(&place).contains("is away; it is tried again") {
        assert!(begun.elapsed() < PATIENCE);
    }
    assert_eq!(deliver(outpost.listen, 0), 503);
    assert_eq!(check(&place, &outpost)["ok"], false);
    assert_eq!(serving.stop(), Some(0));

    // The intake expects another vault.
    outpost.kill();
    outpost.start(&stranger);
    let serving = serve(&place, &[(&outpost, &outpost.pin)]);
    let begun = Instant::now();
    while !outpost
        .log()
        .contains("a connection at the vault's address ended")
    {
        assert!(begun.elapsed() < PATIENCE);
    }
    assert_eq!(deliver(outpost.listen, 0), 503);
    assert_eq!(check(&place, &outpost)["ok"], false);
    assert_eq!(serving.stop(), Some(0));

    // Whoever has no key at all gets not a byte of use, and keeps nobody else out.
    outpost.kill();
    outpost.start(&vault_pin);
    let serving = serve(&place, &[(&outpost, &outpost.pin)]);
    let mut strangers = Vec::new();
    for _ in 0..4 {
        let mut stream = TcpStream::connect(outpost.vault_listen).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut answer = Vec::new();
        drop(stream.read_to_end(&mut answer));
        assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
        strangers.push(TcpStream::connect(outpost.vault_listen).unwrap());
    }
    deliver_patiently(outpost.listen, 0);
    drop(serving);
}

fn place_log(place: &Place) -> String {
    std::fs::read_to_string(place.path("serve.err")).unwrap_or_default()
}

#[test]
fn an_identity_is_made_once_private_and_what_is_none_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let (place, first) = vault();
    assert_eq!(pin(&place, "vault.key"), first);
    let mode = std::fs::metadata(place.path("vault.key"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    place.secret("no.key", "not a key");
    place
        .bare(&["identity", "no.key"])
        .failed(65, "holds no private key");
    let serve = |arguments: &[&str]| place.on(&[&["serve", "--listen", "127.0.0.1:0"], arguments].concat());
    let pull = format!("127.0.0.1:9={first}");
    assert_eq!(serve(&["--pull", &pull]).code, 64);
    assert_eq!(
        serve(&["--pull", "127.0.0.1:9=sha256:00", "--identity", "vault.key"]).code,
        64
    );
    assert_eq!(
        serve(&["--pull", &format!("9={first}"), "--identity", "vault.key"]).code,
        64
    );
    serve(&["--pull", &pull, "--identity", "missing.key"]).failed(69, "make it with `chancery identity");
    place.bare(&["intake", "--listen", "127.0.0.1:0"]).failed_with(64);
    place
        .bare(&["intake"])
        .failed(69, "on a host of its own give --listen");
}
