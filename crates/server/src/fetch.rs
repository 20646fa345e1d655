//! Fetching what messages name: performs what a connector describes, and decides when to try again.
//!
//! Which address may be asked and which may see a token is the connector's decision; this never leaves what it said:
//! no redirect is followed, no proxy taken from the environment, nothing sent but the request itself. One file at a
//! time is held in memory, up to [`FetchLimits::body_bytes`], because whether it is kept is known only at its end.

use std::time::{Duration, SystemTime};

use connect::{Connector, Fetch, FetchAnswer, FetchStep, SECRET_PLACE, Settings};
use model::record::AttachmentState;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, DATE, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use seal::suite::{Hasher, hex};
use tokio::sync::Mutex;
use zeroize::Zeroizing;

/// A connector sees this much of an answer.
const BODY_SHOWN_BYTES: usize = 2 << 20;
/// Requests for one file in one attempt: link, file, and once again where the file was not what was declared.
const MAX_REQUESTS: u32 = 6;
/// A body of unknown length starts with this room.
const START_BYTES: usize = 64 << 10;
/// The pause after the first failed attempt; doubled after each further one.
const FIRST_PAUSE_SECONDS: u64 = 5;
/// The longest pause.
const LONGEST_PAUSE_SECONDS: u64 = 6 * 3600;
/// Attempts in all. With the pauses above they last 7 days, which is how long vendors keep a file.
pub const MAX_ATTEMPTS: u32 = 41;
/// Pause after an answer that never came.
const NO_ANSWER_SECONDS: u64 = 30;
/// Pause while no token is configured: somebody may add it.
const NO_TOKEN_SECONDS: u64 = 3600;

/// Bounds of one attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchLimits {
    /// Longest file. WhatsApp allows documents of 100 MB.
    pub body_bytes: usize,
    /// For the connection to be made.
    pub connect_timeout: Duration,
    /// Between two pieces of an answer.
    pub read_timeout: Duration,
    /// For one request and its whole answer.
    pub request_timeout: Duration,
}

impl Default for FetchLimits {
    fn default() -> Self {
        FetchLimits {
            body_bytes: 128 << 20,
            connect_timeout: Duration::from_secs(10),
            read_timeout: Duration::from_secs(30),
            request_timeout: Duration::from_secs(600),
        }
    }
}

/// What became of an attempt.
#[derive(Clone, PartialEq, Eq)]
pub enum FetchOutcome {
    /// Seal these bytes.
    Keep {
        /// `Fetched`, or `Mismatch` when they are not what was declared.
        state: AttachmentState,
        /// The file.
        bytes: Zeroizing<Vec<u8>>,
        /// Media type of the answer.
        media_type: Option<String>,
    },
    /// Keep these bytes as a delivery of their own.
    Capture {
        /// The answer.
        bytes: Zeroizing<Vec<u8>>,
        /// What was asked for, as a query string.
        asked: String,
        /// From where to go on.
        cursor: Option<String>,
        /// Media type of the answer.
        media_type: Option<String>,
    },
    /// Try again later: see [`next_attempt`].
    Again {
        /// Not before this many seconds.
        after_seconds: u64,
        /// Why, without content.
        reason: &'static str,
    },
    /// It cannot be had.
    GiveUp {
        /// `Expired` or `Refused`.
        state: AttachmentState,
        /// Why, without content.
        reason: &'static str,
    },
}

impl std::fmt::Debug for FetchOutcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            FetchOutcome::Keep { state, bytes, .. } => write!(f, "Keep({state:?}, {} bytes)", bytes.len()),
            FetchOutcome::Capture { bytes, .. } => write!(f, "Capture({} bytes)", bytes.len()),
            FetchOutcome::Again {
                after_seconds,
                reason,
            } => write!(f, "Again({after_seconds} s, {reason})"),
            FetchOutcome::GiveUp { state, reason } => write!(f, "GiveUp({state:?}, {reason})"),
        }
    }
}

/// Seconds to wait before the next attempt, `attempts` having been made; nothing when there is to be none. Then an
/// outcome of [`FetchOutcome::Again`] means that the file is lost.
pub fn next_attempt(attempts: u32, outcome: &FetchOutcome) -> Option<u64> {
    let FetchOutcome::Again { after_seconds, .. } = outcome else {
        return None;
    };
    if attempts >= MAX_ATTEMPTS {
        return None;
    }
    let doublings = attempts.saturating_sub(1).min(u64::BITS - 8);
    let pause = FIRST_PAUSE_SECONDS
        .saturating_mul(1 << doublings)
        .min(LONGEST_PAUSE_SECONDS);
    Some(pause.max(*after_seconds))
}

/// The outgoing client cannot be made: usually no trusted certificates are installed.
#[derive(Debug, thiserror::Error)]
#[error("outgoing requests cannot be made; install the system's certificates (ca-certificates)")]
pub struct NoClient(
    #[source]
    #[from]
    reqwest::Error,
);

/// Performs fetches, one at a time.
pub struct Fetcher {
    client: reqwest::Client,
    limits: FetchLimits,
    turn: Mutex<()>,
}

/// A whole answer.
struct Answer {
    status: u16,
    content_type: Option<String>,
    retry_after_seconds: Option<u64>,
    sha256: String,
    body: Zeroizing<Vec<u8>>,
}

impl Fetcher {
    /// `proxy` is a URL the operator configured; without it requests go out directly.
    ///
    /// # Errors
    /// [`NoClient`].
    pub fn new(limits: FetchLimits, proxy: Option<&str>) -> Result<Fetcher, NoClient> {
        let builder = reqwest::Client::builder()
            .user_agent(concat!("chancery/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .referer(false)
            .retry(reqwest::retry::never())
            .no_proxy()
            .connect_timeout(limits.connect_timeout)
            .read_timeout(limits.read_timeout)
            .timeout(limits.request_timeout)
            // One file now and then: nothing is gained by connections kept open.
            .pool_max_idle_per_host(0);
        let builder = match proxy {
            Some(url) => builder.proxy(reqwest::Proxy::all(url).map_err(NoClient)?),
            None => builder,
        };
        Ok(Fetcher {
            client: builder.build().map_err(NoClient)?,
            limits,
            turn: Mutex::new(()),
        })
    }

    /// One attempt at one file. `bearer` gives the connection's secret of a name.
    pub async fn fetch(
        &self,
        connector: &dyn Connector,
        fetch: &Fetch,
        settings: &Settings,
        bearer: impl Fn(&str) -> Option<Zeroizing<Vec<u8>>>,
    ) -> FetchOutcome {
        let _turn = self.turn.lock().await;
        let mut step = connector.fetch_first(fetch, settings);
        let mut answer: Option<Answer> = None;
        for number in 0..=MAX_REQUESTS {
            let (asked, secret) = match step {
                FetchStep::Get { url, bearer } => (Asked::get(url), bearer),
                FetchStep::Ask { url, body, secret } => (Asked::with_secret(url, body), secret),
                FetchStep::Capture { asked, cursor } => return captured(asked, cursor, answer),
                FetchStep::Keep { state } => return kept(state, answer),
                FetchStep::Again {
                    after_seconds,
                    reason,
                } => {
                    return FetchOutcome::Again {
                        after_seconds,
                        reason,
                    };
                }
                FetchStep::GiveUp { state, reason } => return FetchOutcome::GiveUp { state, reason },
            };
            let token = match secret.map(&bearer) {
                Some(None) => return again(NO_TOKEN_SECONDS, "no access token is configured"),
                Some(Some(token)) => Some(token),
                None => None,
            };
            // The one before is no longer needed, and two would be twice the memory.
            drop(answer.take());
            let got = match self
                .ask(&asked, token.as_ref().map(|token| token.as_slice()))
                .await
            {
                Ok(got) => got,
                Err(outcome) => return outcome,
            };
            step = connector.fetch_next(fetch, settings, number, &got.shown());
            answer = Some(got);
        }
        refused("the vendor sends from one address to the next")
    }

    async fn ask(&self, asked: &Asked, token: Option<&[u8]>) -> Result<Answer, FetchOutcome> {
        let (url, body) = asked.filled(token)?;
        let url = reqwest::Url::parse(&url).map_err(|_| refused("the address is none"))?;
        let plain = url.username().is_empty() && url.password().is_none();
        if !plain || !matches!(url.scheme(), "http" | "https") {
            return Err(refused("the address is not one for HTTP"));
        }
        let mut request = match body {
            None => self.client.get(url),
            Some(body) => self
                .client
                .post(url)
                .header(CONTENT_TYPE, "application/json")
                .body(body.to_vec()),
        };
        if let Some(token) = token.filter(|_| asked.bearer) {
            let value = Zeroizing::new([b"Bearer ", token].concat());
            let mut value = HeaderValue::from_bytes(&value)
                .map_err(|_| again(NO_TOKEN_SECONDS, "the access token is none"))?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        let mut response = request.send().await.map_err(|error| no_answer(&error))?;
        let text = |headers: &HeaderMap, name| {
            let value = headers
                .get(name)
                .and_then(|value: &HeaderValue| value.to_str().ok());
            value.map(|value| value.trim().to_owned())
        };
        let (content_type, retry_after_seconds) = {
            let headers = response.headers();
            let (wait, date) = (text(headers, RETRY_AFTER), text(headers, DATE));
            let seconds = wait.and_then(|wait| seconds_to_wait(&wait, date.as_deref(), SystemTime::now()));
            (text(headers, CONTENT_TYPE), seconds)
        };
        let declared = response.content_length().map_or(Ok(START_BYTES), usize::try_from);
        let mut body = Growing::new(self.limits.body_bytes, declared.unwrap_or(usize::MAX))?;
        let mut hasher = Hasher::new();
        while let Some(piece) = response.chunk().await.map_err(|error| no_answer(&error))? {
            hasher.update(&piece);
            body.append(&piece)?;
        }
        Ok(Answer {
            status: response.status().as_u16(),
            content_type,
            retry_after_seconds,
            sha256: hex(&hasher.finish()),
            body: body.bytes,
        })
    }
}

impl Answer {
    fn shown(&self) -> FetchAnswer<'_> {
        let shown = self.body.len().min(BODY_SHOWN_BYTES);
        FetchAnswer {
            status: self.status,
            content_type: self.content_type.as_deref(),
            retry_after_seconds: self.retry_after_seconds,
            sha256: &self.sha256,
            body: self.body.get(..shown).unwrap_or_default(),
            size_bytes: u64::try_from(self.body.len()).unwrap_or(u64::MAX),
        }
    }
}

/// Address and body as they go out.
type Filled = (Zeroizing<String>, Option<Zeroizing<Vec<u8>>>);

/// What is asked, and where a secret goes in it.
struct Asked {
    url: Zeroizing<String>,
    body: Option<Zeroizing<String>>,
    /// The secret is a bearer token; else it is put into address or body.
    bearer: bool,
}

impl Asked {
    fn get(url: String) -> Asked {
        Asked {
            url: Zeroizing::new(url),
            body: None,
            bearer: true,
        }
    }

    fn with_secret(url: String, body: Option<String>) -> Asked {
        Asked {
            url: Zeroizing::new(url),
            body: body.map(Zeroizing::new),
            bearer: false,
        }
    }

    /// Address and body with the secret in its place.
    fn filled(&self, secret: Option<&[u8]>) -> Result<Filled, FetchOutcome> {
        let Some(secret) = secret.filter(|_| !self.bearer) else {
            let body = self
                .body
                .as_ref()
                .map(|body| Zeroizing::new(body.as_bytes().to_vec()));
            return Ok((self.url.clone(), body));
        };
        let text =
            std::str::from_utf8(secret).map_err(|_| again(NO_TOKEN_SECONDS, "the secret is no text"))?;
        let mut escaped = Zeroizing::new(String::with_capacity(3 * secret.len()));
        for byte in secret {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                    escaped.push(char::from(*byte))
                }
                other => escaped.push_str(&format!("%{other:02X}")),
            }
        }
        let quoted = Zeroizing::new(serde_json::to_string(text).unwrap_or_default());
        let url = Zeroizing::new(self.url.replace(SECRET_PLACE, &escaped));
        let body = self
            .body
            .as_ref()
            .map(|body| Zeroizing::new(body.replace(SECRET_PLACE, &quoted).into_bytes()));
        Ok((url, body))
    }
}

/// Bytes that grow up to a limit without leaving copies behind.
struct Growing {
    bytes: Zeroizing<Vec<u8>>,
    limit: usize,
}

impl Growing {
    fn new(limit: usize, expected: usize) -> Result<Self, FetchOutcome> {
        if expected > limit {
            return Err(too_large());
        }
        Ok(Growing {
            bytes: Zeroizing::new(Vec::with_capacity(expected)),
            limit,
        })
    }

    fn append(&mut self, piece: &[u8]) -> Result<(), FetchOutcome> {
        let whole = self.bytes.len().saturating_add(piece.len());
        if whole > self.limit {
            return Err(too_large());
        }
        if whole > self.bytes.capacity() {
            let room = whole.max(self.bytes.capacity().saturating_mul(2)).min(self.limit);
            let mut grown = Zeroizing::new(Vec::with_capacity(room));
            grown.extend_from_slice(&self.bytes);
            self.bytes = grown;
        }
        self.bytes.extend_from_slice(piece);
        Ok(())
    }
}

/// What `Retry-After` asks for: seconds, or an instant (RFC 9110, section 10.2.3). An instant is the vendor's clock's,
/// so that it is counted from the answer's own `Date`; only without one from our clock, `now`.
fn seconds_to_wait(wait: &str, date: Option<&str>, now: SystemTime) -> Option<u64> {
    if let Ok(seconds) = wait.parse() {
        return Some(seconds);
    }
    let until = httpdate::parse_http_date(wait).ok()?;
    let from = date.and_then(|date| httpdate::parse_http_date(date).ok());
    let pause = until.duration_since(from.unwrap_or(now));
    Some(pause.map_or(0, |pause| pause.as_secs()))
}

fn kept(state: AttachmentState, answer: Option<Answer>) -> FetchOutcome {
    match answer {
        Some(answer) => FetchOutcome::Keep {
            state,
            bytes: answer.body,
            media_type: answer.content_type,
        },
        None => refused("nothing was fetched"),
    }
}

fn captured(asked: String, cursor: Option<String>, answer: Option<Answer>) -> FetchOutcome {
    match answer {
        Some(answer) => FetchOutcome::Capture {
            bytes: answer.body,
            asked,
            cursor,
            media_type: answer.content_type,
        },
        None => refused("nothing was fetched"),
    }
}

fn again(after_seconds: u64, reason: &'static str) -> FetchOutcome {
    FetchOutcome::Again {
        after_seconds,
        reason,
    }
}

fn refused(reason: &'static str) -> FetchOutcome {
    FetchOutcome::GiveUp {
        state: AttachmentState::Refused,
        reason,
    }
}

fn too_large() -> FetchOutcome {
    refused("the file is larger than allowed")
}

/// The error itself is not passed on: it names the address.
fn no_answer(error: &reqwest::Error) -> FetchOutcome {
    let reason = if error.is_timeout() {
        "the vendor did not answer in time"
    } else if error.is_connect() {
        "the vendor cannot be reached"
    } else {
        "the answer broke off"
    };
    again(NO_ANSWER_SECONDS, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_last_seven_days_and_end() {
        let failed = again(0, "x");
        let pauses: Vec<u64> = (1..=MAX_ATTEMPTS)
            .map_while(|n| next_attempt(n, &failed))
            .collect();
        assert_eq!(pauses[..4], [5, 10, 20, 40]);
        assert!(pauses.is_sorted());
        assert_eq!(pauses.last(), Some(&LONGEST_PAUSE_SECONDS));
        assert_eq!(pauses.len(), 40);
        let days = pauses.iter().sum::<u64>() / 86_400;
        assert_eq!(days, 7);
        assert_eq!(next_attempt(u32::MAX, &failed), None);
    }

    #[test]
    fn a_wish_to_wait_is_seconds_or_an_instant_of_the_vendors_clock() {
        const AT: &str = "Wed, 21 Oct 2026 07:28:00 GMT";
        let now = httpdate::parse_http_date("Wed, 21 Oct 2026 07:00:00 GMT").unwrap();
        let cases = [
            ("17", None, Some(17)),
            ("0", None, Some(0)),
            (AT, Some("Wed, 21 Oct 2026 07:27:30 GMT"), Some(30)),
            (AT, Some("a vendor without a clock"), Some(28 * 60)),
            (AT, None, Some(28 * 60)),
            // What is past is over.
            (AT, Some("Wed, 21 Oct 2026 07:28:01 GMT"), Some(0)),
            // The two forms of before 1995.
            ("Wednesday, 21-Oct-26 07:28:00 GMT", None, Some(28 * 60)),
            ("Wed Oct 21 07:28:00 2026", None, Some(28 * 60)),
            ("", None, None),
            ("-1", None, None),
            ("1.5", None, None),
            ("soon", None, None),
            ("2026-10-21T07:28:00Z", None, None),
            ("Wed, 21 Oct 2026 07:28:00 +0200", None, None),
            ("Wed, 31 Feb 2026 07:28:00 GMT", None, None),
            ("18446744073709551616", None, None),
        ];
        for (wait, date, expected) in cases {
            assert_eq!(seconds_to_wait(wait, date, now), expected, "{wait}");
        }
    }

    #[test]
    fn a_vendors_wish_to_wait_is_kept_and_what_is_decided_is_not_tried_again() {
        assert_eq!(next_attempt(1, &again(300, "x")), Some(300));
        assert_eq!(next_attempt(10, &again(300, "x")), Some(2560));
        assert_eq!(next_attempt(1, &too_large()), None);
        let kept = FetchOutcome::Keep {
            state: AttachmentState::Fetched,
            bytes: Zeroizing::new(b"secret".to_vec()),
            media_type: None,
        };
        assert_eq!(next_attempt(1, &kept), None);
        assert_eq!(format!("{kept:?}"), "Keep(Fetched, 6 bytes)");
    }
}
