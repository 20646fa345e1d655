//! The same over TLS.

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use server::TlsFiles;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::instance::{Client, Instance, PATIENCE, Setup, delivery, get};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tls").join(name)
}

fn instance() -> Instance {
    Instance::with(Setup {
        tls: Some(TlsFiles {
            certificate: file("certificate.pem"),
            key: file("key.pem"),
        }),
        ..Setup::default()
    })
}

fn client(instance: &Instance) -> Client<StreamOwned<ClientConnection, TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(file("ca.pem")).unwrap())
        .unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connection = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
    let stream = TcpStream::connect(instance.running.local_addr).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    Client(std::io::BufReader::new(StreamOwned::new(connection, stream)))
}

#[test]
fn deliveries_and_pages_are_served_over_tls() {
    let instance = instance();
    let mut one = client(&instance);
    for n in 0..3 {
        one.send(&delivery(format!("{n}").as_bytes()));
        assert_eq!(one.response().status, 200);
    }
    let large = vec![b'z'; 2_500_000];
    one.send(&delivery(&large));
    assert_eq!(one.response().status, 200);
    assert_eq!(instance.host.captures().last().unwrap().1, large);
    let mut two = client(&instance);
    two.send(&get("/api/v1/status"));
    assert_eq!(two.response().status, 200);
}

#[test]
fn the_path_may_come_in_pieces_over_tls() {
    let instance = instance();
    let mut client = client(&instance);
    for byte in delivery(b"slowly") {
        client.send(&[byte]);
    }
    assert_eq!(client.response().status, 200);
}

#[test]
fn plain_http_at_a_tls_address_gets_no_answer_in_plain() {
    let instance = instance();
    let mut client = instance.client();
    client.send(&delivery(b"x"));
    let rest = client.rest();
    assert!(!rest.starts_with(b"HTTP"), "{rest:?}");
    assert_eq!(instance.host.ledger.head().0, 0);
}

#[test]
fn a_missing_certificate_is_said_before_anything_listens() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let host = instance().end();
    let any = "127.0.0.1:0".parse().unwrap();
    let options = server::ServeOptions {
        listen: any,
        intake_listen: None,
        tls: Some(TlsFiles {
            certificate: file("README.md"),
            key: file("key.pem"),
        }),
        intake: server::IntakeStart::Thread,
        pulls: Vec::new(),
        limits: server::Limits::default(),
    };
    let error = runtime
        .block_on(server::serve(options, host, std::future::pending()))
        .err()
        .unwrap();
    assert!(error.to_string().contains("README.md"), "{error}");
}
