//! Connectors: from a platform's bytes to messages, events and problems.
//!
//! For: checking that a delivery is genuine, saying what the bytes mean, and describing what to fetch next.
//!
//! Never: the network, the clock, randomness, files. A connector reads from what it is given and writes to a
//! sink; `server` performs what it describes. A parser never refuses a capture: what it does not understand
//! becomes a problem, and the bytes stay.
//!
//! To add a connector: one file here, one line in [`CONNECTORS`], one folder under `fixtures/` (the test
//! `every_connector_has_its_fixtures` lists what must be in it), then `./dev generate`.

use std::collections::BTreeMap;
use std::io::{self, Read, Seek};

use model::record::{AttachmentState, Conversation, Participant, Record};
use model::{Content, Timestamp};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

pub use door::{Door, Given, SecretName};
pub use trial::Trial;

mod door;
pub mod generic;
mod hosts;
mod json;
pub mod json_line;
mod pass;
mod query;
mod tree;
mod trial;
mod values;
mod walk;
pub mod wechat_callback;
pub mod wecom_archive;
pub mod whatsapp_cloud;
pub mod whatsapp_export;

/// Every connector there is.
pub const CONNECTORS: &[&dyn Connector] = &[
    &whatsapp_cloud::WhatsappCloud,
    &whatsapp_export::WhatsappExport,
    &wecom_archive::WecomArchive,
    &wechat_callback::WechatCallback,
    &generic::GenericImport,
    &generic::GenericWebhook,
];

/// The connector with this id.
pub fn find(id: &str) -> Option<&'static dyn Connector> {
    CONNECTORS.iter().copied().find(|connector| connector.id() == id)
}

/// One way by which messages reach us. Pure: bytes in, values out.
pub trait Connector: Sync {
    /// Kebab-case name, used on the command line, in URLs and in evidence. Never reused, never renamed.
    fn id(&self) -> &'static str;

    /// Raised whenever the same bytes may be understood differently.
    fn version(&self) -> u32;

    /// What it can and cannot capture, for the reference page.
    fn about(&self) -> &'static About;

    /// How its captures arrive.
    fn door(&self) -> Door;

    /// Is this request from the platform, and what does the platform want to hear? Looks at raw bytes only.
    ///
    /// # Errors
    /// [`Refused`] when it is not proved to be from the platform. Connectors that take files refuse always.
    fn admit(&self, _request: &Request<'_>, _account: Account<'_>) -> Result<Admission, Refused> {
        Err(Refused::NoWebhook)
    }

    /// Whether these secrets and settings can work together, asked before a connection is added. That required
    /// secrets are there and no unknown ones is seen to elsewhere.
    ///
    /// # Errors
    /// A sentence that says what is wrong and what would be right, without any value.
    fn check(&self, _account: Account<'_>) -> Result<(), &'static str> {
        Ok(())
    }

    /// Names of secrets without which captures cannot be understood. Their former values are kept when a connection
    /// is replaced, so that what came before can still be read.
    fn opening_secrets(&self) -> &'static [&'static str] {
        &[]
    }

    /// Names of secrets of which there is one a version: a value is the version, a colon, and the secret.
    fn versioned_secrets(&self) -> &'static [&'static str] {
        &[]
    }

    /// Is this file what this connector takes? Asked before a file is sealed, so that a wrong file leaves
    /// nothing behind. Cheap: looks at as little as it can.
    ///
    /// # Errors
    /// [`NotRecognized`] with what was expected.
    fn recognize(&self, input: &mut dyn Input, options: &ParseOptions) -> Result<(), NotRecognized>;

    /// Requests that try whether the door is open and shut to the right people, from outside and without a trace in
    /// the record; none for a connector without a door.
    fn trials(&self, _secrets: &Secrets) -> Vec<Trial> {
        Vec::new()
    }

    /// Says what the bytes mean, in the order of the bytes. Memory does not grow with the input.
    ///
    /// # Errors
    /// Only those of `input` and `sink`; never for what the bytes say.
    fn parse(&self, input: &mut dyn Input, options: &ParseOptions, sink: &mut dyn Sink)
    -> io::Result<Report>;

    /// How many streams a capture has: 1, or 1 and one for each member of a container.
    ///
    /// # Errors
    /// Those of the input.
    fn streams(&self, _input: &mut dyn Input) -> io::Result<u32> {
        Ok(1)
    }

    /// The bytes of a stream that is not the capture itself (see [`Span`]), from its beginning.
    ///
    /// # Errors
    /// Those of the input.
    fn stream(&self, _input: Box<dyn Input>, _stream: u32) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(io::empty()))
    }

    /// The first request for a file that a message names, or how to give up at once.
    fn fetch_first(&self, _fetch: &Fetch, _settings: &Settings) -> FetchStep {
        FetchStep::GiveUp {
            state: AttachmentState::Refused,
            reason: "this connector fetches nothing",
        }
    }

    /// What to do with the answer to the request before. `step` counts answers from 0; `hash` is the SHA-256 of
    /// the body.
    fn fetch_next(
        &self,
        _fetch: &Fetch,
        _settings: &Settings,
        _step: u32,
        _answer: &FetchAnswer<'_>,
    ) -> FetchStep {
        FetchStep::GiveUp {
            state: AttachmentState::Refused,
            reason: "this connector fetches nothing",
        }
    }
}

/// Bytes that can be read at any place.
pub trait Input: Read + Seek + Send {}
impl<T: Read + Seek + Send> Input for T {}

/// A connection's secrets by name. `Debug` prints names only.
#[derive(Clone, Default)]
pub struct Secrets(pub BTreeMap<String, Vec<Zeroizing<Vec<u8>>>>);

impl Secrets {
    /// All values of one name; empty when there is none.
    pub fn all(&self, name: &str) -> &[Zeroizing<Vec<u8>>] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// A connection's settings that are not secret.
pub type Settings = BTreeMap<String, String>;

/// A configured account, as far as its connector needs to know it.
#[derive(Debug, Clone, Copy)]
pub struct Account<'a> {
    /// Its secrets.
    pub secrets: &'a Secrets,
    /// Its settings.
    pub settings: &'a Settings,
}

/// An HTTP request as it came, before anything parsed it.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// `GET` or `POST`.
    pub method: &'a str,
    /// The query string, undecoded, without `?`.
    pub query: &'a str,
    /// Headers in the order received.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// The raw body.
    pub body: &'a [u8],
    /// When it came.
    pub received_at: Timestamp,
}

impl<'a> Request<'a> {
    /// The value of a header that came exactly once, however its name is spelled. Twice counts as not at all: which one
    /// was signed?
    pub fn header(&self, name: &str) -> Option<&'a [u8]> {
        let named = |(found, _): &&(&str, &[u8])| found.eq_ignore_ascii_case(name);
        let mut values = self.headers.iter().filter(named).map(|&(_, value)| value);
        values.next().filter(|_| values.next().is_none())
    }
}

/// What to do with a genuine request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// A handshake: answer it, keep nothing.
    Answer(Reply),
    /// A delivery: keep it, then answer.
    Keep {
        /// How it was proved to be genuine; written into the capture's header.
        verdict: Verdict,
        /// Names of the headers worth keeping with the body.
        headers: &'static [&'static str],
        /// What the platform wants to hear once it is durable.
        reply: Reply,
    },
}

/// An answer with status 200.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Media type.
    pub content_type: &'static str,
    /// Exactly what the platform wants, no line end added.
    pub body: Vec<u8>,
}

/// How a capture was proved to be from whom it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// A signature over the raw bytes was checked; which of the configured secrets matched, counted from 0.
    Signature {
        /// Index among the configured secrets.
        secret: u8,
    },
    /// Nothing proves the origin: a file somebody handed in.
    Unverified,
}

/// Why a request was not admitted. Counted by name; nothing of the request is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
pub enum Refused {
    /// This connector takes files, not requests.
    #[error("this connection takes no webhooks")]
    NoWebhook,
    /// Neither GET nor POST.
    #[error("method not allowed")]
    Method,
    /// No signature, or several.
    #[error("signature header missing")]
    SignatureMissing,
    /// Not in the form the vendor documents.
    #[error("signature header malformed")]
    SignatureMalformed,
    /// No configured secret gives this signature.
    #[error("signature does not match")]
    SignatureMismatch,
    /// The handshake's token is not ours.
    #[error("verify token does not match")]
    TokenMismatch,
    /// The handshake lacks something.
    #[error("handshake incomplete")]
    HandshakeIncomplete,
    /// No secret is configured, so nothing can be proved.
    #[error("no secret configured")]
    NoSecret,
    /// The body is not in the vendor's form, so there is nothing whose signature could be checked.
    #[error("body malformed")]
    BodyMalformed,
    /// This connection takes encrypted deliveries only.
    #[error("the delivery is not encrypted")]
    NotEncrypted,
    /// Signed, but no configured key opens it.
    #[error("no configured key opens the delivery")]
    NotOpened,
    /// Signed and opened, but meant for another account.
    #[error("the delivery is for another account")]
    NotForUs,
    /// What stands outside the encryption contradicts what stands inside.
    #[error("the delivery contradicts itself")]
    Contradiction,
    /// The time that was signed is too far from now.
    #[error("the signed time is too far from now")]
    Stale,
}

/// The file is not what this connector takes. The text says what was expected and holds no content.
#[derive(Debug, thiserror::Error)]
pub enum NotRecognized {
    /// It is something else.
    #[error("{found}; expected {expected}")]
    Wrong {
        /// What it looks like.
        found: &'static str,
        /// What would have been right.
        expected: &'static str,
    },
    /// It could not be read.
    #[error("the file could not be read")]
    Io(#[from] io::Error),
}

/// What is known from outside about the bytes to parse.
#[derive(Clone, Default)]
pub struct ParseOptions {
    /// Name of the file as handed in.
    pub file_name: Option<String>,
    /// Whose phone or account it is: a name or handle as it stands in the source. Decides `direction`.
    pub custodian: Option<String>,
    /// IANA zone of the phone that wrote local times.
    pub zone_of_phone: Option<jiff::tz::TimeZone>,
    /// Exporter's stated date order (`dmy`, `mdy`, `ymd`), used when the file does not decide.
    pub date_order: Option<DateOrder>,
    /// The query string it came with, or that was asked with.
    pub query: Option<String>,
    /// The secrets named by [`Connector::opening_secrets`], former values after those in force.
    pub secrets: Secrets,
}

/// Order of the parts of a date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names are the definition")]
pub enum DateOrder {
    Dmy,
    Mdy,
    Ymd,
    Ydm,
    Myd,
}

/// A range of bytes of a capture.
///
/// Stream 0 is the capture itself. In a zip, stream `n + 1` is the inflated content of the member at place `n` of
/// the central directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// Which stream.
    pub stream: u32,
    /// First byte.
    pub offset: u64,
    /// How many bytes.
    pub len: u64,
}

/// Takes what a parser understood, in order. Spans of records never overlap each other.
pub trait Sink {
    /// A record and the bytes that say it. A record without bytes of its own has length 0.
    ///
    /// # Errors
    /// Whatever the sink's own writing meets; the parser stops and passes it on.
    fn record(&mut self, span: Span, record: &Record<'_>) -> io::Result<()>;

    /// Bytes that belong to a person without being a record: a contact card, a media file of a zip.
    ///
    /// # Errors
    /// As [`Sink::record`].
    fn belongs(
        &mut self,
        span: Span,
        conversation: Option<&Conversation<'_>>,
        person: Option<&Participant<'_>>,
    ) -> io::Result<()>;

    /// A file to fetch for the record given last.
    ///
    /// # Errors
    /// As [`Sink::record`].
    fn fetch(&mut self, fetch: &Fetch) -> io::Result<()>;
}

/// A file that a message names and the vendor holds.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fetch {
    /// The vendor's id of the file.
    pub media_id: Content<'static>,
    /// A direct link, where the delivery gave one.
    pub url: Option<Content<'static>>,
    /// The media type as declared.
    pub media_type: Option<String>,
    /// Lower-case hex SHA-256 as declared.
    pub sha256: Option<String>,
    /// Messages that were announced, instead of a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pull: Option<Pull>,
    /// Lower-case hex MD5 as declared, where the vendor declares nothing better.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub md5: Option<String>,
}

impl Fetch {
    /// The file of this id, of which nothing else is known.
    pub fn of(media_id: Content<'static>) -> Fetch {
        Fetch {
            media_id,
            url: None,
            media_type: None,
            sha256: None,
            pull: None,
            md5: None,
        }
    }
}

/// Messages that were announced and are to be asked for.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pull {
    /// Of which account.
    pub account: Content<'static>,
    /// What the announcement gave to ask with.
    pub token: Option<Content<'static>>,
    /// Where to go on. Of an announcement none: whoever asks knows where it stopped.
    pub cursor: Option<Content<'static>>,
}

impl std::fmt::Debug for Fetch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fetch")
            .field("media_type", &self.media_type)
            .finish_non_exhaustive()
    }
}

/// The answer to a fetch's request.
#[derive(Clone, Copy)]
pub struct FetchAnswer<'a> {
    /// HTTP status.
    pub status: u16,
    /// Media type of the answer.
    pub content_type: Option<&'a str>,
    /// `Retry-After` in seconds, where given.
    pub retry_after_seconds: Option<u64>,
    /// Lower-case hex SHA-256 of the body.
    pub sha256: &'a str,
    /// The body, or its first 64 KiB when it is longer.
    pub body: &'a [u8],
    /// Length of the whole body.
    pub size_bytes: u64,
}

/// Where a secret is put into what is asked; see [`FetchStep::Ask`].
pub const SECRET_PLACE: &str = "{secret}";

/// What `server` is to do next for a fetch.
#[derive(Clone, PartialEq, Eq)]
pub enum FetchStep {
    /// GET this address.
    Get {
        /// The whole URL.
        url: String,
        /// Name of the connection's secret to send as bearer token.
        bearer: Option<&'static str>,
    },
    /// Ask this address, with a secret in it. [`SECRET_PLACE`] stands for the secret: escaped in the address, as a
    /// JSON text with its quotation marks in the body.
    Ask {
        /// The whole URL.
        url: String,
        /// JSON to POST; without it the address is got.
        body: Option<String>,
        /// Name of the connection's secret, where one is to be put in.
        secret: Option<&'static str>,
    },
    /// The body just received is a delivery of its own: keep it as a capture, and understand it.
    Capture {
        /// What was asked for, as a query string; the parser is told it.
        asked: String,
        /// From where to go on when this conversation or account is asked for again.
        cursor: Option<String>,
    },
    /// The body just received is the file: seal it.
    Keep {
        /// `Fetched`, or `Mismatch` when it is not what was declared.
        state: AttachmentState,
    },
    /// Start again later.
    Again {
        /// Not before this many seconds; the server adds growing pauses of its own.
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

/// What became of a capture, in numbers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Connector id.
    pub connector: String,
    /// Connector version.
    pub connector_version: u32,
    /// Messages, system lines included.
    pub messages: u64,
    /// System lines among the messages.
    pub system: u64,
    /// Events.
    pub events: u64,
    /// Problems.
    pub problems: u64,
    /// Media whose bytes are there.
    pub media_found: u64,
    /// Media named but left out or absent.
    pub media_missing: u64,
    /// Files in the container that no message names.
    pub media_extra: u64,
    /// First instant met, where it is known in UTC.
    pub first_at: Option<Timestamp>,
    /// Last instant met.
    pub last_at: Option<Timestamp>,
    /// First and last wall time, where only that is known.
    pub first_at_local: Option<String>,
    /// See `first_at_local`.
    pub last_at_local: Option<String>,
    /// How day and month were told apart, for text exports.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub date_decision: Option<DateDecision>,
    /// Numbers of the lines that were not understood; at most the first 100.
    pub lines_not_understood: Vec<u64>,
    /// The export may begin in mid-chat (no opening system line, or the vendor's limit reached).
    pub possibly_cut: bool,
}

/// How the order of a date's parts was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DateDecision {
    /// The order taken, or null when both readings stay open.
    pub order: Option<DateOrder>,
    /// Which rule decided: `value-above-12`, `never-backwards`, `changes-more-often`, `stated`, `dots`, `ambiguous`, …
    pub evidence: String,
    /// Line whose date decided, where one did.
    pub line: Option<u64>,
}

/// A connector's page in `docs/reference/connectors.md`.
#[derive(Debug, Clone, Copy)]
pub struct About {
    /// Name for people.
    pub title: &'static str,
    /// One paragraph: what it captures, and how.
    pub summary: &'static str,
    /// What it captures.
    pub captures: &'static [&'static str],
    /// What it cannot see. Honest and complete: this is what an examiner asks first.
    pub blind_spots: &'static [&'static str],
    /// Reason codes of its problems, with what they mean.
    pub problems: &'static [(&'static str, &'static str)],
    /// How deliveries are proved genuine.
    pub authenticity: &'static str,
    /// By what repeats are told.
    pub repeats: &'static str,
    /// The vendor's page.
    pub vendor_page: &'static str,
    /// When that page was last compared with the code, `YYYY-MM-DD`, and how (read, or at second hand).
    pub compared: &'static str,
}
