//! Mail, through a server that the operator named.

use std::net::IpAddr;
use std::time::Duration;

use lettre::message::header::ContentTransferEncoding;
use lettre::message::header::ContentType;
use lettre::message::{Attachment, Body, Mailbox, MultiPart, SinglePart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};

use super::Password;
use crate::vault::VaultError;

/// For each command of the conversation.
const TIMEOUT: Duration = Duration::from_secs(20);
/// SMTP that begins with TLS (RFC 8314).
const TLS_PORT: u16 = 465;

/// Whom and through whom.
pub(in crate::vault) struct Way<'a> {
    pub(in crate::vault) to: &'a [String],
    pub(in crate::vault) from: &'a str,
    pub(in crate::vault) smtp: &'a str,
    pub(in crate::vault) user: Option<&'a str>,
    pub(in crate::vault) password: Option<&'a Password>,
}

/// What is written.
#[derive(Default)]
pub(in crate::vault) struct Letter {
    pub(in crate::vault) subject: String,
    pub(in crate::vault) text: String,
    /// Its id, so that one that is sent twice is known again.
    pub(in crate::vault) id: Option<String>,
    /// Names of files and what is in them.
    pub(in crate::vault) attached: Vec<(String, String)>,
}

/// Whether mail can be sent like this.
pub(in crate::vault) fn check(to: &[String], from: &str, smtp: &str) -> Result<(), VaultError> {
    let is_address = |text: &String| text.parse::<Mailbox>().is_ok();
    if to.is_empty() || !to.iter().all(is_address) || from.parse::<Mailbox>().is_err() {
        let text = "--to and --from take mail addresses, as officer@example.org";
        return Err(VaultError::Usage(text.to_owned()));
    }
    host_and_port(smtp).map(drop).ok_or_else(|| {
        VaultError::Usage("--smtp takes HOST:PORT, as mail.example.org:465 or :587".to_owned())
    })
}

fn host_and_port(smtp: &str) -> Option<(&str, u16)> {
    let (host, port) = smtp.rsplit_once(':')?;
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    Some((host, port.parse().ok()?)).filter(|(host, _)| !host.is_empty())
}

/// Whether it is this machine: then nothing leaves it, and TLS would protect nothing.
fn is_here(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Sends it. The connection is encrypted, from its beginning at port 465 and else by STARTTLS, unless it stays on this
/// machine.
pub(in crate::vault) async fn send(way: Way<'_>, letter: Letter) -> Result<(), String> {
    let message = message(&way, letter).ok_or("the message cannot be written")?;
    let (host, port) = host_and_port(way.smtp).ok_or("the mail server's address is none")?;
    let no_tls = |_| "no encrypted connection can be made: install ca-certificates".to_owned();
    let builder = if is_here(host) {
        AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host)
    } else if port == TLS_PORT {
        AsyncSmtpTransport::<Tokio1Executor>::relay(host).map_err(no_tls)?
    } else {
        AsyncSmtpTransport::<Tokio1Executor>::starttls_relay(host).map_err(no_tls)?
    };
    let builder = builder.port(port).timeout(Some(TIMEOUT));
    let builder = match (way.user, way.password) {
        (Some(user), Some(password)) => {
            builder.credentials(Credentials::new(user.to_owned(), password.reveal().to_owned()))
        }
        _ => builder,
    };
    let sent = builder.build().send(message).await;
    sent.map(drop).map_err(|error| {
        // The error itself may name addresses.
        match error.status() {
            Some(code) => format!("the mail server refused, with code {code}"),
            None if error.is_timeout() => "the mail server did not answer in time".to_owned(),
            None if error.is_tls() => "the mail server offers no connection that is trusted here".to_owned(),
            None => "the mail server cannot be reached, or broke off".to_owned(),
        }
    })
}

fn message(way: &Way<'_>, letter: Letter) -> Option<Message> {
    let mut builder = Message::builder()
        .from(way.from.parse().ok()?)
        .subject(letter.subject);
    for to in way.to {
        builder = builder.to(to.parse().ok()?);
    }
    if let Some(id) = letter.id {
        builder = builder.message_id(Some(id));
    }
    if letter.attached.is_empty() {
        return builder.singlepart(SinglePart::plain(letter.text)).ok();
    }
    // In Base64, so that not one byte of it changes on the way.
    let attached = |name: String, text: String| {
        let body = Body::new_with_encoding(text.into_bytes(), ContentTransferEncoding::Base64).ok()?;
        let kind = ContentType::parse("application/octet-stream").ok()?;
        Some(Attachment::new(name).body(body, kind))
    };
    let mut parts = MultiPart::mixed().singlepart(SinglePart::plain(letter.text));
    for (name, text) in letter.attached {
        parts = parts.singlepart(attached(name, text)?);
    }
    builder.multipart(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_mail_address_or_server_is_refused() {
        let to = |text: &str| vec![text.to_owned()];
        let good = to("Officer <officer@example.org>");
        assert!(check(&good, "chancery@example.org", "mail.example.org:465").is_ok());
        assert!(check(&good, "chancery@example.org", "[::1]:25").is_ok());
        for (to, from, smtp) in [
            (Vec::new(), "a@example.org", "mail:25"),
            (to("nobody"), "a@example.org", "mail:25"),
            (to("a@example.org\r\nBcc: x@y.z"), "a@example.org", "mail:25"),
            (good.clone(), "", "mail:25"),
            (good.clone(), "a@example.org", "mail"),
            (good.clone(), "a@example.org", ":25"),
            (good.clone(), "a@example.org", "mail:smtp"),
        ] {
            assert!(check(&to, from, smtp).is_err(), "{to:?} {from} {smtp}");
        }
    }

    #[test]
    fn only_a_server_on_this_machine_is_spoken_to_in_the_clear() {
        for here in ["localhost", "127.0.0.1", "::1"] {
            assert!(is_here(here), "{here}");
        }
        for away in [
            "localhost.example.org",
            "10.0.0.1",
            "mail",
            "127.0.0.1.example.org",
        ] {
            assert!(!is_here(away), "{away}");
        }
    }
}
