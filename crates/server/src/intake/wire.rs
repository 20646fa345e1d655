//! HTTP/1.1 as far as webhooks need it, over buffers that are wiped.
//!
//! Why not hyper here: its read buffers pass through several hands and are freed without being wiped, and what passes
//! through the intake must not stay in its memory. So little is accepted that little can go wrong: two methods, a
//! length or chunks, never both. The head is parsed by `httparse`, as in hyper.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout_at};
use zeroize::{Zeroize, Zeroizing};

/// Headers a request may have. Vendors send about ten.
pub(super) const MAX_HEADERS: usize = 64;
/// Room beside the head for what the sender sends before it is asked for, and for the lines between chunks.
const WINDOW_BYTES: usize = 16 << 10;
/// The line before a chunk: 16 hex digits and extensions nobody uses.
const MAX_CHUNK_LINE_BYTES: usize = 256;
/// Lines after the last chunk are skipped, up to this length.
const MAX_TRAILER_BYTES: usize = 4 << 10;
/// A body of unknown length starts with this room.
const CHUNKED_START_BYTES: usize = 16 << 10;
/// After an answer to an unread request, this much more is read and thrown away, so that the answer is not lost.
const LINGER_BYTES: usize = 1 << 20;
/// And for so long.
const LINGER_TIME: Duration = Duration::from_secs(1);

/// Why there is no request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoRequest {
    /// The connection is over: closed between requests, or silent for too long.
    Quiet,
    /// Answer with this status, count it by this name, close.
    Bad(u16, &'static str),
}

impl From<io::Error> for NoRequest {
    fn from(_: io::Error) -> Self {
        NoRequest::Quiet
    }
}

const MALFORMED: NoRequest = NoRequest::Bad(400, "malformed");
const TOO_SLOW: NoRequest = NoRequest::Bad(408, "too-slow");

/// How the body comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    Length(usize),
    Chunked,
}

/// What is known once the head is there. The head itself stays in the buffer: see [`Wire::head`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) framing: Framing,
    pub(super) keep_alive: bool,
    pub(super) expects_continue: bool,
}

/// A connection and the bytes read from it.
pub(super) struct Wire<S> {
    stream: S,
    buffer: Zeroizing<Vec<u8>>,
    head_bytes: usize,
    /// Length of the current head; what lies between `start` and `end` comes after it.
    head: usize,
    start: usize,
    end: usize,
    /// No byte from here on was written since the last wipe.
    clean: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    pub(super) fn new(stream: S, head_bytes: usize) -> Self {
        Wire {
            stream,
            buffer: Zeroizing::new(vec![0; head_bytes.saturating_add(WINDOW_BYTES)]),
            head_bytes,
            head: 0,
            start: 0,
            end: 0,
            clean: 0,
        }
    }

    /// Bytes read and not yet used.
    fn rest(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    /// The head of the current request.
    pub(super) fn head(&self) -> &[u8] {
        self.buffer.get(..self.head).unwrap_or_default()
    }

    /// Reads more; an error at the end of the stream.
    async fn fill(&mut self) -> io::Result<()> {
        if self.start == self.end {
            self.start = self.head;
            self.end = self.head;
        }
        if self.end == self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, self.head);
            self.end = self.head + (self.end - self.start);
            self.start = self.head;
        }
        let room = self.buffer.get_mut(self.end..).unwrap_or_default();
        let count = self.stream.read(room).await?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.end += count;
        self.clean = self.clean.max(self.end);
        Ok(())
    }

    /// Forgets the request before: wipes it, and moves what came after it to the front.
    fn forget(&mut self) {
        self.buffer.copy_within(self.start..self.end, 0);
        let kept = self.end - self.start;
        if let Some(rest) = self.buffer.get_mut(kept..self.clean) {
            rest.zeroize();
        }
        self.clean = kept;
        (self.head, self.start, self.end) = (0, 0, kept);
    }

    /// Waits for the first byte of the next request.
    pub(super) async fn begin(&mut self) -> io::Result<()> {
        self.forget();
        if self.end == 0 { self.fill().await } else { Ok(()) }
    }

    /// Reads the head.
    pub(super) async fn read_head(&mut self, deadline: Instant) -> Result<Plan, NoRequest> {
        loop {
            let rest = self.buffer.get(..self.end).unwrap_or_default();
            if let Some((length, plan)) = parse_head(rest)? {
                if length > self.head_bytes {
                    return Err(NoRequest::Bad(431, "head-too-large"));
                }
                (self.head, self.start) = (length, length);
                return Ok(plan);
            }
            if self.end >= self.head_bytes {
                return Err(NoRequest::Bad(431, "head-too-large"));
            }
            timeout_at(deadline, self.fill()).await.map_err(|_| TOO_SLOW)??;
        }
    }

    /// Reads the whole body. `room` is asked before memory is taken for so many bytes in all.
    pub(super) async fn read_body(
        &mut self,
        framing: Framing,
        deadline: Instant,
        room: &mut (dyn FnMut(usize) -> Result<(), NoRequest> + Send),
    ) -> Result<Zeroizing<Vec<u8>>, NoRequest> {
        let read = async {
            match framing {
                Framing::Length(length) => {
                    room(length)?;
                    let mut body = Zeroizing::new(vec![0; length]);
                    self.read_into(&mut body).await?;
                    Ok(body)
                }
                Framing::Chunked => self.read_chunks(room).await,
            }
        };
        timeout_at(deadline, read).await.map_err(|_| TOO_SLOW)?
    }

    /// Fills `to`, first with what was read already.
    async fn read_into(&mut self, to: &mut [u8]) -> io::Result<()> {
        let known = self.rest().len().min(to.len());
        let (first, remaining) = to.split_at_mut_checked(known).unwrap_or_default();
        first.copy_from_slice(self.rest().get(..known).unwrap_or_default());
        self.start += known;
        self.stream.read_exact(remaining).await?;
        Ok(())
    }

    async fn read_chunks(
        &mut self,
        room: &mut (dyn FnMut(usize) -> Result<(), NoRequest> + Send),
    ) -> Result<Zeroizing<Vec<u8>>, NoRequest> {
        let mut body = Zeroizing::new(Vec::new());
        let mut length = 0_usize;
        loop {
            let size = self.read_chunk_size().await?;
            if size == 0 {
                self.skip_trailers().await?;
                body.truncate(length);
                return Ok(body);
            }
            let whole = length.checked_add(size).ok_or(MALFORMED)?;
            if whole > body.len() {
                let larger = whole.max(body.len().saturating_mul(2)).max(CHUNKED_START_BYTES);
                room(whole)?;
                // A fresh buffer, because growing the old one could leave a copy behind that nobody wipes.
                let mut grown = Zeroizing::new(vec![0; larger]);
                grown
                    .iter_mut()
                    .zip(body.iter())
                    .for_each(|(to, from)| *to = *from);
                body = grown;
            }
            self.read_into(body.get_mut(length..whole).unwrap_or_default())
                .await?;
            length = whole;
            let mut end = [0; 2];
            self.read_into(&mut end).await?;
            if &end != b"\r\n" {
                return Err(MALFORMED);
            }
        }
    }

    async fn read_chunk_size(&mut self) -> Result<usize, NoRequest> {
        loop {
            match httparse::parse_chunk_size(self.rest()) {
                Ok(httparse::Status::Complete((line, size))) => {
                    self.start += line;
                    return usize::try_from(size).map_err(|_| MALFORMED);
                }
                Ok(httparse::Status::Partial) if self.rest().len() < MAX_CHUNK_LINE_BYTES => {
                    self.fill().await?;
                }
                _ => return Err(MALFORMED),
            }
        }
    }

    async fn skip_trailers(&mut self) -> Result<(), NoRequest> {
        let mut skipped = 0;
        loop {
            match self.rest().iter().position(|byte| *byte == b'\n') {
                Some(end) => {
                    let empty = self.rest().starts_with(b"\r\n");
                    self.start += end + 1;
                    skipped += end + 1;
                    if empty {
                        return Ok(());
                    }
                }
                None if self.rest().len() < MAX_TRAILER_BYTES => self.fill().await?,
                None => return Err(MALFORMED),
            }
            if skipped > MAX_TRAILER_BYTES {
                return Err(MALFORMED);
            }
        }
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// Ends the connection so that the last answer arrives although not all of the request was read: a socket
    /// closed with unread bytes is reset, and the reset may overtake the answer.
    pub(super) async fn close(mut self) {
        let deadline = Instant::now() + LINGER_TIME;
        if self.stream.shutdown().await.is_err() {
            return;
        }
        let mut read = 0;
        while read < LINGER_BYTES {
            match timeout_at(deadline, self.stream.read(&mut self.buffer)).await {
                Ok(Ok(count)) if count > 0 => read += count,
                _ => return,
            }
        }
    }
}

/// The head at the start of `bytes`, if it is complete: its length and what follows from it.
fn parse_head(bytes: &[u8]) -> Result<Option<(usize, Plan)>, NoRequest> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let length = match request.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(httparse::Error::TooManyHeaders) => return Err(NoRequest::Bad(431, "head-too-large")),
        Err(_) => return Err(MALFORMED),
    };
    let minor = request.version.unwrap_or(0);
    let all = |name: &str| {
        let same: Vec<&[u8]> = request
            .headers
            .iter()
            .filter(|header| header.name.eq_ignore_ascii_case(name))
            .map(|header| header.value)
            .collect();
        same
    };
    let says = |name: &str, word: &[u8]| {
        all(name)
            .iter()
            .flat_map(|value| value.split(|byte| *byte == b','))
            .any(|item| item.trim_ascii().eq_ignore_ascii_case(word))
    };
    let hosts = all("host").len();
    if hosts > 1 || (minor == 1 && hosts == 0) {
        return Err(MALFORMED);
    }
    let plan = Plan {
        framing: framing(&all("content-length"), &all("transfer-encoding"), minor)?,
        keep_alive: minor == 1 && !says("connection", b"close"),
        expects_continue: minor == 1 && says("expect", b"100-continue"),
    };
    Ok(Some((length, plan)))
}

/// How long the body is. Whatever two readers could understand differently is refused (RFC 9112, section 6.3).
fn framing(lengths: &[&[u8]], encodings: &[&[u8]], minor: u8) -> Result<Framing, NoRequest> {
    match (lengths, encodings) {
        ([], []) => Ok(Framing::Length(0)),
        ([length], []) => {
            let digits = !length.is_empty() && length.iter().all(u8::is_ascii_digit);
            let number = std::str::from_utf8(length).ok().filter(|_| digits);
            let number = number.map(|text| text.parse().unwrap_or(usize::MAX));
            number.map(Framing::Length).ok_or(MALFORMED)
        }
        ([], [encoding]) if minor == 1 && encoding.eq_ignore_ascii_case(b"chunked") => Ok(Framing::Chunked),
        _ => Err(MALFORMED),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(head: &str, expected: Result<Framing, u16>) {
        let found = match parse_head(head.as_bytes()) {
            Ok(Some((_, plan))) => Ok(plan.framing),
            Ok(None) => Err(0),
            Err(NoRequest::Bad(status, _)) => Err(status),
            Err(NoRequest::Quiet) => Err(1),
        };
        assert_eq!(found, expected, "{head:?}");
    }

    #[test]
    fn a_body_length_that_two_readers_could_understand_differently_is_refused() {
        let with = |lines: &str| format!("POST /in/a HTTP/1.1\r\nHost: h\r\n{lines}\r\n");
        check(&with(""), Ok(Framing::Length(0)));
        check(&with("Content-Length: 12\r\n"), Ok(Framing::Length(12)));
        check(&with("Transfer-Encoding: Chunked\r\n"), Ok(Framing::Chunked));
        check(
            &with("Content-Length: 99999999999999999999999\r\n"),
            Ok(Framing::Length(usize::MAX)),
        );
        let refused = [
            "Content-Length: 1\r\nContent-Length: 1\r\n",
            "Content-Length: 1, 1\r\n",
            "Content-Length: +1\r\n",
            "Content-Length: 0x10\r\n",
            "Content-Length:\r\n",
            "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: identity\r\n",
            "Transfer-Encoding : chunked\r\n",
            "Host: other\r\n",
            "X: a\r\n folded\r\n",
            "X: a\0b\r\n",
            "no colon\r\n",
        ];
        for lines in refused {
            check(&with(lines), Err(400));
        }
        check("POST /in/a HTTP/1.1\r\n\r\n", Err(400));
        check(
            "POST /in/a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
            Err(400),
        );
        check("POST /in/a HTTP/2.0\r\n\r\n", Err(400));
        check("POST /in/a HTTP/1.1\r\nHost: h\r\n", Err(0));
    }

    #[test]
    fn more_headers_than_allowed_are_refused() {
        let many = "X: y\r\n".repeat(MAX_HEADERS + 1);
        check(&format!("GET /in/a HTTP/1.1\r\n{many}\r\n"), Err(431));
    }
}
