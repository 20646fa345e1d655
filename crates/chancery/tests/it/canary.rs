//! What passed through the vault does not stay in its memory.

use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use seal::Key;
use seal::suite::{hex, mac, random};
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::erasure::{BO, request, ward, with};
use crate::hooks;
use crate::memory::{count_in, gone_within};
use crate::run::{Place, Serving};
use crate::sources::{self, Door, SOURCES, Said, Source};

const PATIENCE: Duration = Duration::from_secs(30);
/// After the last use of it, content is in the vault's memory no longer than this.
const STAYS: Duration = Duration::from_secs(2);

/// Made here, and nowhere in the program's own text.
fn marker() -> String {
    format!("m{}", hex(&random::<12>().unwrap()))
}

fn body_with(marker: &str) -> String {
    hooks::body_of(&[hooks::text_message(
        "wamid.1",
        "4915112345",
        &format!("{marker} stays"),
    )])
}

/// The intake among the processes that a server started: with an archive, a helper is there too.
fn intake_of(serving: &Serving) -> u32 {
    let is_intake = |id: &i32| {
        let named = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        named.split(|byte| *byte == 0).any(|word| word == b"intake")
    };
    let found: Vec<i32> = serving.children().into_iter().filter(is_intake).collect();
    let [intake] = found[..] else {
        panic!("one intake is expected: {found:?}")
    };
    u32::try_from(intake).unwrap()
}

/// A message comes in by the source's own door.
fn bring_in(place: &Place, serving: Option<&Serving>, (source, number): (&Source, u64), marker: &str) {
    let said = Said {
        number,
        marker: marker.to_owned(),
    };
    match source.door {
        Door::Posted(post) => assert_eq!(post(place, serving.unwrap().address, &said).unwrap(), 200),
        Door::Pulled(hold) => hold(place, &said),
        Door::Handed(write) => {
            let (name, text) = write(number, &[said], 40);
            place.write(&name, text);
            let import = ["import", source.connector, &name, "--data", "archive", "--json"];
            assert_eq!(place.bare(&import).json()["messages"], 1);
        }
    }
}

/// Searched for until it is there, once: what is pulled comes when it comes.
fn found_once(place: &Place, marker: &str) -> String {
    let begun = Instant::now();
    loop {
        let found = place
            .bare(&["search", marker, "--data", "archive", "--json"])
            .json();
        if let Some(id) = found["results"][0]["id"].as_str() {
            assert_eq!(found["found"], 1, "{found}");
            return id.to_owned();
        }
        assert!(begun.elapsed() < PATIENCE, "{marker}: {found}");
    }
}

#[test]
fn two_seconds_after_a_search_a_look_and_an_export_no_memory_holds_anything_that_came_by_any_connector() {
    let place = Place::new();
    place
        .run(&["init", "--data", "archive", "--key-copy", "copy"])
        .done();
    sources::connect(&place);
    let environment = [
        ("CHANCERY_OBSERVABLE", "1"),
        ("CHANCERY_EPOCH_MILLISECONDS", "1000"),
    ];
    // Two messages of each: of WeChat's callbacks the second is one that is only announced.
    let each = SOURCES.iter().flat_map(|source| [(source, 0), (source, 1)]);
    let (pulled, others): (Vec<_>, Vec<_>) = each
        .map(|said| (said, marker()))
        .partition(|((source, _), _)| matches!(source.door, Door::Pulled(_)));
    // What is pulled is there when it is asked for first: the next time is a while later.
    for (said, marker) in &pulled {
        bring_in(&place, None, *said, marker);
    }
    let serving = place.try_serve(&environment).unwrap();
    let gone = |marker: &str| {
        let vault = gone_within(serving.id(), marker.as_bytes(), STAYS);
        let intake = gone_within(intake_of(&serving), marker.as_bytes(), STAYS);
        (vault, intake)
    };
    for (said, marker) in others.iter().chain(&pulled) {
        let source = said.0;
        if !matches!(source.door, Door::Pulled(_)) {
            bring_in(&place, Some(&serving), *said, marker);
        }
        let id = found_once(&place, marker);
        let shown = place.bare(&["show", &id, "--data", "archive"]);
        assert!(shown.done().contains(marker.as_str()), "{}", source.connector);
        place
            .bare(&["export", "--query", marker, "--out", "b.zip", "--data", "archive"])
            .done();
        let took = gone(marker);
        println!("{}: gone after {took:?}", source.connector);
        std::fs::remove_file(place.path("b.zip")).unwrap();
    }

    // The key of its epoch is destroyed after a while; nothing of it comes back with that.
    let begun = Instant::now();
    loop {
        let said = place
            .bare(&["keys", "attest", "--data", "archive", "--json"])
            .json();
        if said["epochs_destroyed"].as_u64() > Some(0) {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{said}");
    }
    for ((source, _), marker) in others.iter().chain(&pulled) {
        gone(marker);
        // What is sought would be found: it is read again, as it may be.
        found_once(&place, marker);
        // And it lies readable nowhere.
        assert!(!place.holds("archive", marker.as_bytes()), "{}", source.connector);
        let log = std::fs::read_to_string(place.path("serve.err")).unwrap();
        assert!(!log.contains(marker.as_str()), "{}", source.connector);
    }
}

#[test]
fn two_seconds_after_its_key_is_destroyed_the_vaults_memory_holds_nothing_of_a_message() {
    let place = ward();
    place.set_environment(vec![("CHANCERY_OBSERVABLE".to_owned(), "1".to_owned())]);
    let serving = place.serve();
    let marker = marker();
    let line = |n| format!("31/01/2024, 11:{:02} - Anna Berg: {marker} {n}\n", n % 60);
    let chat: String = (0..500).map(line).collect();
    place.write("WhatsApp Chat with Anna Berg.txt", chat);
    let import = ["import", "whatsapp-export", "WhatsApp Chat with Anna Berg.txt"];
    let on = |arguments: &[&str]| {
        place
            .bare(&[arguments, &["--data", "archive", "--json"]].concat())
            .json()
    };
    assert_eq!(on(&import)["messages"], 500);
    assert_eq!(on(&["search", &marker, "--limit", "1000"])["found"], 500);
    let asked = request(&place);
    on(&with(&["keys", "approve", &asked], &BO));
    gone_within(serving.id(), marker.as_bytes(), STAYS);
    let after = on(&["search", "from:anna"]);
    assert_eq!(after["found"], 0);
    assert!(after["coverage"]["erased"].as_u64() > Some(0), "{after}");
    // Looking for it brought nothing back.
    gone_within(serving.id(), marker.as_bytes(), STAYS);
}

fn tls_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../server/tests/tls")
        .join(name)
}

fn over_tls(address: SocketAddr) -> StreamOwned<ClientConnection, TcpStream> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(tls_file("ca.pem")).unwrap())
        .unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connection = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    StreamOwned::new(connection, stream)
}

fn signed(body: &str) -> String {
    let mut key = [0; 32];
    key.copy_from_slice(hooks::APP_SECRET.as_bytes());
    let signature = hex(&mac(&Key::from_bytes(key), &[body.as_bytes()]));
    format!(
        "POST /in/ward-3 HTTP/1.1\r\nHost: localhost\r\nX-Hub-Signature-256: sha256={signature}\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

#[test]
fn two_seconds_after_a_connection_over_tls_closes_neither_vault_nor_intake_holds_what_it_carried() {
    let place = Place::with_archive();
    hooks::connect(&place, &[]);
    let (certificate, key) = (tls_file("certificate.pem"), tls_file("key.pem"));
    let tls = [
        "--tls-cert",
        certificate.to_str().unwrap(),
        "--tls-key",
        key.to_str().unwrap(),
    ];
    place.set_environment(vec![("CHANCERY_OBSERVABLE".to_owned(), "1".to_owned())]);
    let serving = place.serve_with(&tls);
    let marker = marker();
    let request = signed(&body_with(&marker));
    // A request that is not finished is in the memory of both: the search finds what is there.
    let (first, last) = request.split_at(request.len() - 10);
    let mut client = over_tls(serving.address);
    client.write_all(first.as_bytes()).unwrap();
    client.flush().unwrap();
    let begun = Instant::now();
    let intake = loop {
        if let [intake] = serving.children()[..] {
            break u32::try_from(intake).unwrap();
        }
        assert!(begun.elapsed() < PATIENCE);
    };
    while count_in(intake, &marker.as_bytes()[..marker.len() - 1]) == 0 {
        assert!(begun.elapsed() < PATIENCE);
    }
    client.write_all(last.as_bytes()).unwrap();
    let mut answer = String::new();
    // Who closes without saying so, as servers do, is no error here: the answer is looked at.
    drop(BufReader::new(&mut client).read_to_string(&mut answer));
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    // Something large, so that buffers of all sizes were used.
    let large = body_with(&marker.repeat(20_000));
    let mut second = over_tls(serving.address);
    second.write_all(signed(&large).as_bytes()).unwrap();
    let mut answer = String::new();
    drop(second.read_to_string(&mut answer));
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    drop((client, second));
    gone_within(intake, marker.as_bytes(), STAYS);
    // The vault understands the messages too, a moment later.
    let begun = Instant::now();
    loop {
        let status = place.bare(&["status", "--data", "archive", "--json"]).json();
        if status["messages"] == 2 {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "{status}");
    }
    gone_within(serving.id(), marker.as_bytes(), STAYS);
}
