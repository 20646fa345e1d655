//! Whose connection is it? Told by the first bytes of the request line, which nobody else has read.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// The longest method that HTTP has registered is `UPDATEREDIRECTREF`, 17 characters; a longer one is the vault's to
/// refuse.
const MAX_METHOD_BYTES: usize = 17;
const PREFIX: &[u8] = b"/in/";
/// Enough for the longest method, a blank and the prefix.
const LOOK_BYTES: usize = 32;
/// The kernel says that something is there, not that more has come; between two looks at an unfinished line we
/// wait this long.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Who serves a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Intake,
    Vault,
}

/// Whose it is, once enough is known.
fn side(first: &[u8]) -> Option<Side> {
    let method = first.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
    let Some((_, rest)) = first
        .split_at_checked(method)
        .filter(|_| method <= MAX_METHOD_BYTES)
    else {
        return Some(Side::Vault);
    };
    match rest.split_first() {
        None => None,
        Some((b' ', target)) if target.starts_with(PREFIX) => Some(Side::Intake),
        Some((b' ', target)) if PREFIX.starts_with(target) => None,
        Some(_) => Some(Side::Vault),
    }
}

/// Looks at a connection without taking anything from it.
pub(super) async fn peek(stream: &TcpStream) -> io::Result<Side> {
    let mut first = [0; LOOK_BYTES];
    let mut known = 0;
    loop {
        let count = stream.peek(&mut first).await?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(side) = side(first.get(..count).unwrap_or_default()) {
            return Ok(side);
        }
        if count == known {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        known = count;
    }
}

/// Reads from a connection that cannot be peeked at, and gives back what was read with it.
pub(super) async fn read<S: AsyncRead + Unpin>(mut stream: S) -> io::Result<(Side, Prefixed<S>)> {
    let mut prefix = Vec::with_capacity(LOOK_BYTES);
    loop {
        if stream.read_buf(&mut prefix).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(side) = side(&prefix) {
            let prefixed = Prefixed {
                prefix,
                at: 0,
                stream,
            };
            return Ok((side, prefixed));
        }
    }
}

/// A stream of which the first bytes were read already.
pub(super) struct Prefixed<S> {
    prefix: Vec<u8>,
    at: usize,
    stream: S,
}

impl<S: AsyncRead + Unpin> AsyncRead for Prefixed<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let rest = this.prefix.get(this.at..).unwrap_or_default();
        if rest.is_empty() {
            return Pin::new(&mut this.stream).poll_read(cx, to);
        }
        let (now, _) = rest.split_at(rest.len().min(to.remaining()));
        to.put_slice(now);
        this.at += now.len();
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Prefixed<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, from)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_path_under_in_goes_to_the_intake_and_no_byte_more_is_waited_for_than_needed() {
        let check = |first: &[u8], expected| assert_eq!(side(first), expected, "{first:?}");
        check(b"", None);
        check(b"POST", None);
        check(b"POST ", None);
        check(b"POST /in", None);
        check(b"POST /in/", Some(Side::Intake));
        check(b"GET /in/ward-3?hub.mode=subscribe HTTP/1.1", Some(Side::Intake));
        check(b"DELETE /in/x", Some(Side::Intake));
        check(b"GET / HTTP/1.1", Some(Side::Vault));
        check(b"GET /inbox", Some(Side::Vault));
        check(b"GET /IN/", Some(Side::Vault));
        check(b"GET  /in/", Some(Side::Vault));
        check(b"get /in/", Some(Side::Vault));
        check(b"\r\nGET /in/", Some(Side::Vault));
        check(b"\x16\x03\x01", Some(Side::Vault));
        check(&[b'A'; 18], Some(Side::Vault));
        check(&[b'A'; 17], None);
    }
}
