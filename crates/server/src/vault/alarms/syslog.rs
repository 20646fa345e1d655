//! RFC 5424 over UDP (RFC 5426), TCP with octet counting (RFC 6587) and TLS (RFC 5425).
//!
//! The protocol has no receipt. Over TCP and TLS we end our side and wait for the other to end its own: what was refused or
//! torn down before that is sent again. By UDP nobody knows.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::book::{About, Alarm, Event};
use crate::vault::VaultError;
use crate::vault::checks::Severity;

/// To reach it, and to write.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Most collectors end at once when we do; those that do not are not waited for longer.
const END_TIMEOUT: Duration = Duration::from_secs(2);
/// What it says is thrown away; more than this it does not say.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// Log audit. Source: RFC 5424, table 1.
const FACILITY: u8 = 13;

/// How it is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Udp,
    Tcp,
    Tls,
}

fn parts(to: &str) -> Option<(Way, &str, u16)> {
    let (way, rest) = to.split_once("://")?;
    let way = match way {
        "udp" => Way::Udp,
        "tcp" => Way::Tcp,
        "tls" => Way::Tls,
        _ => return None,
    };
    let (host, port) = rest.rsplit_once(':')?;
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_written = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '_');
    let is_host = |host: &str| !host.is_empty() && host.chars().all(is_written);
    let host = bare.unwrap_or(host);
    let port = port.parse().ok().filter(|port| *port > 0)?;
    (is_host(host) && (bare.is_some() || !host.contains(':'))).then_some((way, host, port))
}

/// Whether a collector can be reached like this.
pub(super) fn check(to: &str, pem: Option<&str>) -> Result<(), VaultError> {
    let usage = |text: &str| Err(VaultError::Usage(text.to_owned()));
    let Some((way, host, _)) = parts(to) else {
        return usage("--to takes udp://HOST:PORT, tcp://HOST:PORT or tls://HOST:PORT");
    };
    match (way, pem) {
        (Way::Tls, None) => {
            usage("a collector by TLS needs --root PEM: the certificate that its own must lead to")
        }
        (Way::Tls, Some(pem)) => {
            roots(pem).map_err(VaultError::Usage)?;
            let named = ServerName::try_from(host.to_owned());
            named
                .map(drop)
                .map_err(|_| VaultError::Usage("--to names no host".to_owned()))
        }
        (_, Some(_)) => usage("--root goes with tls:// alone"),
        (_, None) => Ok(()),
    }
}

fn roots(pem: &str) -> Result<RootCertStore, String> {
    let wrong = || "--root holds no certificate in PEM form that can be read".to_owned();
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        store
            .add(certificate.map_err(|_| wrong())?)
            .map_err(|_| wrong())?;
    }
    if store.is_empty() { Err(wrong()) } else { Ok(store) }
}

/// One alarm in the form of RFC 5424. `text` is JSON, and so holds no control character.
pub(super) fn message(alarm: &Alarm, node: &str, text: &str) -> String {
    let severity = match (&alarm.about, alarm.event) {
        (_, Event::Closed) => 5,
        (About::Test, _) => 6,
        (About::Check(attention), _) if attention.severity == Severity::Warning => 4,
        _ => 3,
    };
    let host: String = node.chars().filter(char::is_ascii_graphic).take(255).collect();
    let host = if host.is_empty() { "-" } else { &host };
    let kind = match &alarm.about {
        About::Check(_) => "check",
        About::Gap(_) => "gap",
        About::Test => "test",
    };
    let number = FACILITY * 8 + severity;
    // The byte order mark says that the text is UTF-8 (RFC 5424, section 6.4).
    format!(
        "<{number}>1 {} {host} chancery - {kind} - \u{feff}{text}",
        alarm.at
    )
}

/// Sends lines in their order.
///
/// # Errors
/// A sentence without the collector's address.
pub(super) async fn send(to: &str, pem: Option<&str>, lines: &[String]) -> Result<(), String> {
    let (way, host, port) = parts(to).ok_or("the address is none")?;
    let sent = async {
        match way {
            Way::Udp => by_udp(host, port, lines).await,
            Way::Tcp => counted(reach(host, port).await?, lines).await,
            Way::Tls => {
                let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
                    .with_safe_default_protocol_versions()
                    .map_err(|_| "no encrypted connection can be made".to_owned())?
                    .with_root_certificates(roots(pem.unwrap_or_default())?)
                    .with_no_client_auth();
                let name = ServerName::try_from(host.to_owned()).map_err(|_| "the address is none")?;
                let connector = TlsConnector::from(Arc::new(config));
                let stream = connector.connect(name, reach(host, port).await?).await;
                let untrusted =
                    |_| "the collector offers no connection that leads to the configured root".to_owned();
                counted(stream.map_err(untrusted)?, lines).await
            }
        }
    };
    let sent = tokio::time::timeout(TIMEOUT, sent).await;
    sent.unwrap_or_else(|_| Err("the collector did not take it in 15 seconds".to_owned()))
}

async fn reach(host: &str, port: u16) -> Result<TcpStream, String> {
    let stream = TcpStream::connect((host, port)).await;
    stream.map_err(|_| "the collector cannot be reached".to_owned())
}

async fn by_udp(host: &str, port: u16, lines: &[String]) -> Result<(), String> {
    let failed = |_| "the collector cannot be reached".to_owned();
    let address = tokio::net::lookup_host((host, port))
        .await
        .map_err(failed)?
        .next();
    let address = address.ok_or("the collector's name leads nowhere")?;
    let own = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(own).await.map_err(failed)?;
    socket.connect(address).await.map_err(failed)?;
    for line in lines {
        socket.send(line.as_bytes()).await.map_err(failed)?;
    }
    Ok(())
}

async fn counted<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, lines: &[String]) -> Result<(), String> {
    let broken = |_| "the collector broke off".to_owned();
    for line in lines {
        let frame = format!("{} {line}", line.len());
        stream.write_all(frame.as_bytes()).await.map_err(broken)?;
    }
    stream.shutdown().await.map_err(broken)?;
    let ended = async {
        let (mut heard, mut piece) = (0, [0; 1024]);
        while heard < ANSWER_BYTES_MAX {
            match stream.read(&mut piece).await {
                Ok(0) => return Ok(()),
                Ok(read) => heard += read,
                // A peer that ends TLS without saying so has ended all the same.
                Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(()),
                Err(error) => return Err(broken(error)),
            }
        }
        Ok(())
    };
    tokio::time::timeout(END_TIMEOUT, ended).await.unwrap_or(Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_collectors_address_is_refused() {
        for good in [
            "udp://127.0.0.1:514",
            "tcp://siem.example.org:601",
            "tcp://[::1]:601",
        ] {
            assert!(check(good, None).is_ok(), "{good}");
        }
        for bad in [
            "",
            "siem:514",
            "http://siem:514",
            "udp://siem",
            "udp://:514",
            "udp://siem:0",
            "udp://siem:70000",
            "udp://user@siem:514",
            "udp://siem/:514",
            "tcp://::1:601",
            "tls://siem:6514",
        ] {
            assert!(check(bad, None).is_err(), "{bad}");
        }
        assert!(check("tls://siem:6514", Some("no certificate")).is_err());
        assert!(check("udp://siem:514", Some("x")).is_err());
    }
}
