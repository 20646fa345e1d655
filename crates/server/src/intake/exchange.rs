//! One request and its answer.

use connect::{Account as Known, Admission, Refused, Reply, Request};
use model::entry::Kind;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::SemaphorePermit;
use tokio::time::{Instant, timeout_at};
use zeroize::Zeroize as _;

use super::link::Verdict;
use super::wire::{Framing, MAX_HEADERS, NoRequest, Wire};
use super::{Account, Current, Intake, sealing};
use crate::control::encode_capture;
use crate::host::IntakeConnection;
use crate::vault::forward;

/// Where webhooks live.
const PREFIX: &str = "/in/";
/// Bytes held for each byte of a body: as received, and sealed.
const COPIES: usize = 2;
/// Deeper than checking a signature and sealing go; about a microsecond's work.
const WIPED_STACK_BYTES: usize = 32 << 10;
/// Seconds after which a sender may come again when there is no room.
const RETRY_AFTER_SECONDS: u32 = 2;

/// What follows an exchange.
pub(super) enum Then {
    /// Another request may come.
    Next,
    /// The connection is to be closed.
    Close,
}

/// What is sent back.
struct Answer {
    status: u16,
    content_type: &'static str,
    body: Vec<u8>,
}

/// What the connector decided.
enum Decision {
    Say(Answer),
    Keep(Vec<(Kind, Vec<u8>)>, Reply),
}

/// Reads a request, answers it. Nothing when the connection ended in the middle.
pub(super) async fn exchange<S>(intake: &Intake, wire: &mut Wire<S>, deadline: Instant) -> Option<Then>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let mut keep_alive = false;
    let answer = match request(intake, wire, deadline, &mut keep_alive).await {
        Ok(answer) => answer,
        Err(NoRequest::Quiet) => return None,
        Err(NoRequest::Bad(status, reason)) => {
            intake.link.refused("", reason);
            Answer::plain(status)
        }
    };
    let keep_alive = keep_alive && !intake.is_finishing();
    let bytes = answer.encode(keep_alive, wire.head().starts_with(b"HEAD "));
    // A second more than the request had, so that a late answer still goes out.
    let written = timeout_at(deadline + std::time::Duration::from_secs(1), wire.write(&bytes)).await;
    match written {
        Ok(Ok(())) if keep_alive => Some(Then::Next),
        Ok(Ok(())) => Some(Then::Close),
        _ => None,
    }
}

/// `keep_alive` becomes true once the whole request was read and another may follow.
async fn request<S>(
    intake: &Intake,
    wire: &mut Wire<S>,
    deadline: Instant,
    keep_alive: &mut bool,
) -> Result<Answer, NoRequest>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let head_deadline = deadline.min(Instant::now() + intake.limits.head_timeout);
    let plan = wire.read_head(head_deadline).await?;
    let Some(current) = intake.current() else {
        intake.link.refused("", "no-vault");
        return Ok(Answer::plain(503));
    };
    let account = match account(&current, wire.head()) {
        Ok(account) => account,
        Err((status, reason)) => {
            *keep_alive = plan.keep_alive && plan.framing == Framing::Length(0) && status != 421;
            intake.link.refused("", reason);
            return Ok(Answer::plain(status));
        }
    };
    let name = account.connection.id.as_str();
    let mut permit = None;
    let mut room = |bytes: usize| reserve(intake, bytes, &mut permit);
    if let Framing::Length(length) = plan.framing
        && let Err(refused) = room(length)
    {
        return refuse(intake, name, refused);
    }
    if plan.expects_continue && wire.write(b"HTTP/1.1 100 Continue\r\n\r\n").await.is_err() {
        return Err(NoRequest::Quiet);
    }
    let body = match wire.read_body(plan.framing, deadline, &mut room).await {
        Ok(body) => body,
        Err(refused) => return refuse(intake, name, refused),
    };
    *keep_alive = plan.keep_alive;
    let decision = decide(intake, &current, account, wire.head(), &body);
    drop(body);
    wipe_stack();
    let (chunks, reply) = match decision {
        Decision::Say(answer) => return Ok(answer),
        Decision::Keep(chunks, reply) => (chunks, reply),
    };
    let zone = &current.epoch.public().zone;
    let pending = intake.link.send(|request| encode_capture(request, zone, chunks));
    let verdict = timeout_at(deadline, pending.answer()).await;
    Ok(match verdict {
        Ok(Verdict::Durable) => Answer::from(reply),
        _ => {
            intake.link.refused(name, "not-written");
            Answer::plain(503)
        }
    })
}

fn refuse(intake: &Intake, connection: &str, refused: NoRequest) -> Result<Answer, NoRequest> {
    match refused {
        NoRequest::Quiet => Err(refused),
        NoRequest::Bad(status, reason) => {
            intake.link.refused(connection, reason);
            Ok(Answer::plain(status))
        }
    }
}

/// Sets room aside for a body of so many bytes in all, on top of what was set aside before.
fn reserve<'a>(
    intake: &'a Intake,
    bytes: usize,
    permit: &mut Option<SemaphorePermit<'a>>,
) -> Result<(), NoRequest> {
    if bytes > intake.limits.body_bytes {
        return Err(NoRequest::Bad(413, "too-large"));
    }
    let wanted = bytes.saturating_mul(COPIES);
    let missing = wanted.saturating_sub(permit.as_ref().map_or(0, SemaphorePermit::num_permits));
    let more = u32::try_from(missing)
        .ok()
        .and_then(|missing| intake.room.try_acquire_many(missing).ok());
    let Some(more) = more else {
        return Err(NoRequest::Bad(503, "no-room"));
    };
    match permit {
        Some(permit) => permit.merge(more),
        None => *permit = Some(more),
    }
    Ok(())
}

/// Calls `with` with the parsed head. It was parsed before, so it can be again.
fn parsed<T>(head: &[u8], with: impl FnOnce(&httparse::Request<'_, '_>) -> T) -> Option<T> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    request.parse(head).ok().map(|_| with(&request))
}

/// Whose delivery it is, or status and reason of the refusal.
fn account<'a>(current: &'a Current, head: &[u8]) -> Result<&'a Account, (u16, &'static str)> {
    parsed(head, |request| {
        let target = request.path.unwrap_or_default();
        let path = target.split_once('?').map_or(target, |(path, _)| path);
        let Some(name) = path.strip_prefix(PREFIX) else {
            return Err((421, "misdirected"));
        };
        if !matches!(request.method, Some("GET" | "POST")) {
            return Err((405, "method"));
        }
        current.connections.get(name).ok_or((404, "unknown-connection"))
    })
    .unwrap_or(Err((400, "malformed")))
}

/// Asks the connector, and seals what it wants kept.
fn decide(intake: &Intake, current: &Current, account: &Account, head: &[u8], body: &[u8]) -> Decision {
    let decided = parsed(head, |request| {
        let names: Vec<String> = request
            .headers
            .iter()
            .map(|header| header.name.to_ascii_lowercase())
            .collect();
        let values = request.headers.iter().map(|header| header.value);
        let headers: Vec<(&str, &[u8])> = names.iter().map(String::as_str).zip(values).collect();
        let target = request.path.unwrap_or_default();
        let request = Request {
            method: request.method.unwrap_or_default(),
            query: target.split_once('?').map_or("", |(_, query)| query),
            headers: &headers,
            body,
            received_at: sealing::now(),
        };
        admitted(intake, current, account, &request)
    });
    decided.unwrap_or_else(|| Decision::Say(Answer::plain(400)))
}

/// Overwrites the stack below the caller. The provider's hash states hold up to a block of the body (63 bytes), and
/// nobody wipes the places they were moved from; found by looking for a known body in the memory of the process.
#[inline(never)]
fn wipe_stack() {
    let mut area = [0_u64; WIPED_STACK_BYTES / 8];
    area.zeroize();
    std::hint::black_box(&mut area);
}

fn admitted(intake: &Intake, current: &Current, account: &Account, request: &Request<'_>) -> Decision {
    let Account {
        connection,
        connector,
    } = account;
    let known = Known {
        secrets: &connection.secrets,
        settings: &connection.settings,
    };
    match connector.admit(request, known) {
        Err(refused) => {
            let (status, reason) = status_of(refused);
            intake.link.refused(connection.id.as_str(), reason);
            Decision::Say(Answer::plain(status))
        }
        Ok(Admission::Answer(reply)) => Decision::Say(Answer::from(reply)),
        Ok(Admission::Keep {
            verdict,
            headers,
            reply,
        }) => match current.epoch.seal(
            connection,
            *connector,
            request,
            verdict,
            &kept_headers(connection, request, headers),
        ) {
            Ok(chunks) => Decision::Keep(chunks, reply),
            Err(error) => {
                tracing::error!(connection.id = %connection.id, %error, "a delivery could not be sealed");
                intake.link.refused(connection.id.as_str(), "not-sealed");
                Decision::Say(Answer::plain(503))
            }
        },
    }
}

/// Headers to keep: those the connector names, or all where the delivery is passed on as it came.
fn kept_headers<'a>(
    connection: &IntakeConnection,
    request: &Request<'a>,
    named: &[&'static str],
) -> Vec<&'a str> {
    let all = forward::target(&connection.settings).is_some();
    let names = request.headers.iter().map(|(name, _)| *name);
    names.filter(|name| all || named.contains(name)).collect()
}

/// Status and name of a refusal.
fn status_of(refused: Refused) -> (u16, &'static str) {
    match refused {
        Refused::NoWebhook => (404, "no-webhook"),
        Refused::Method => (405, "method"),
        Refused::SignatureMissing => (401, "signature-missing"),
        Refused::SignatureMalformed => (401, "signature-malformed"),
        Refused::SignatureMismatch => (401, "signature-mismatch"),
        Refused::TokenMismatch => (403, "token-mismatch"),
        Refused::HandshakeIncomplete => (401, "handshake-incomplete"),
        Refused::NoSecret => (401, "no-secret"),
        Refused::BodyMalformed => (401, "body-malformed"),
        Refused::NotEncrypted => (401, "not-encrypted"),
        Refused::NotOpened => (401, "not-opened"),
        Refused::NotForUs => (401, "not-for-us"),
        Refused::Contradiction => (401, "contradiction"),
        Refused::Stale => (401, "stale"),
    }
}

impl From<Reply> for Answer {
    fn from(reply: Reply) -> Self {
        Answer {
            status: 200,
            content_type: reply.content_type,
            body: reply.body,
        }
    }
}

impl Answer {
    /// A status and its name.
    fn plain(status: u16) -> Self {
        Answer {
            status,
            content_type: "text/plain",
            body: format!("{}\n", phrase(status)).into_bytes(),
        }
    }

    fn encode(&self, keep_alive: bool, without_body: bool) -> Vec<u8> {
        let connection = if keep_alive { "keep-alive" } else { "close" };
        let more = match self.status {
            405 => "Allow: GET, POST\r\n".to_owned(),
            503 => format!("Retry-After: {RETRY_AFTER_SECONDS}\r\n"),
            _ => String::new(),
        };
        let head = format!(
            "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nX-Content-Type-Options: nosniff\r\n\
             Cache-Control: no-store\r\nConnection: {connection}\r\n{more}\r\n",
            self.status,
            phrase(self.status),
            self.content_type,
            self.body.len(),
        );
        let mut bytes = head.into_bytes();
        if !without_body {
            bytes.extend_from_slice(&self.body);
        }
        bytes
    }
}

fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        413 => "Content Too Large",
        421 => "Misdirected Request",
        431 => "Request Header Fields Too Large",
        _ => "Service Unavailable",
    }
}
