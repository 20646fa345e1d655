//! What a connector understood of a capture: messages, events, problems, and a report.
//!
//! The serialized form is the contract of `chancery parse` (`docs/reference/parse.md`): one object a
//! line, told apart by `kind`. Unknown is `null`, never a guess and never an empty string.
//!
//! Strings borrow from the capture where they can: an export of a million messages is parsed without an
//! allocation a message.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::{Content, Timestamp};

/// One output line of a parser.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Record<'a> {
    /// Something somebody said.
    #[serde(borrow)]
    Message(Message<'a>),
    /// Something that happened to a message, a conversation or an account.
    #[serde(borrow)]
    Event(Event<'a>),
    /// Something that was not understood.
    #[serde(borrow)]
    Problem(Problem<'a>),
}

/// A set of names that mean one person, as this capture gives them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Participant<'a> {
    /// The name shown, as captured, direction marks included.
    #[serde(borrow)]
    pub name: Option<Content<'a>>,
    /// Typed ids. Empty where the source gives none; a number is never built from another id.
    #[serde(borrow)]
    pub ids: Vec<Identifier<'a>>,
}

/// One typed id of a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identifier<'a> {
    /// What sort of id: `phone` (digits only, international, no plus), `bsuid` (business-scoped user id),
    /// `parent_bsuid`, `username`, `name`, `wecom_userid`, `wecom_external`, `wecom_robot`.
    #[serde(borrow)]
    pub kind: Cow<'a, str>,
    /// Its value.
    #[serde(borrow)]
    pub value: Content<'a>,
}

/// Where something was said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conversation<'a> {
    /// The source's id of it; for a text export the title of the chat, the only id there is.
    #[serde(borrow)]
    pub id: Option<Content<'a>>,
    /// Its title, where the source gives one.
    #[serde(borrow)]
    pub title: Option<Content<'a>>,
    /// Two people or several.
    #[serde(rename = "type")]
    pub shape: ConversationShape,
}

/// Two people or several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConversationShape {
    /// Two people.
    Direct,
    /// Several.
    Group,
    /// The source does not say.
    Unknown,
}

/// Whether the custodian wrote or received it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Received.
    In,
    /// Sent.
    Out,
    /// Not known whose export or account this is.
    Unknown,
}

/// How sure the instant is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TimeCertainty {
    /// The vendor gives UTC.
    VendorUtc,
    /// Local wall time, turned into UTC with a zone somebody stated.
    AssumedZone,
    /// Local wall time of an unknown zone: `sent_at` is null.
    LocalUnknown,
    /// Day and month could be either: both readings are given.
    AmbiguousDate,
}

/// What sort of thing a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(
    missing_docs,
    reason = "the names are the definition; docs/reference/parse.md lists them"
)]
pub enum ContentKind {
    Text,
    Image,
    Audio,
    Video,
    Document,
    Sticker,
    Location,
    Contact,
    Poll,
    Call,
    Reaction,
    Order,
    Interactive,
    Template,
    System,
    Unsupported,
    Other,
}

/// Whether the bytes of an attachment are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AttachmentState {
    /// In this capture, with these bytes.
    Found,
    /// Named, but the source left it out (`image omitted`).
    Omitted,
    /// Named as attached, but not in the container.
    Missing,
    /// To be fetched from the vendor.
    Pending,
    /// Fetched, hash as declared.
    Fetched,
    /// Fetched, but not what was declared.
    Mismatch,
    /// The vendor no longer has it.
    Expired,
    /// The vendor refused.
    Refused,
}

/// A file that came with a message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Attachment<'a> {
    /// File name as captured.
    #[serde(borrow)]
    pub name: Option<Content<'a>>,
    /// Media type as declared, or told from the name where the source declares none.
    #[serde(borrow)]
    pub media_type: Option<Cow<'a, str>>,
    /// Size in bytes.
    pub size_bytes: Option<u64>,
    /// Lower-case hex SHA-256 of the bytes; declared by the vendor, or computed where `state` is `found`.
    #[serde(borrow)]
    pub sha256: Option<Cow<'a, str>>,
    /// Whether the bytes are there.
    pub state: AttachmentState,
    /// The vendor's id of the file, by which it is fetched.
    #[serde(default, skip_serializing_if = "Option::is_none", borrow)]
    pub media_id: Option<Content<'a>>,
}

/// What a message says it replies to. Forgeable: the sender's client supplies it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quote<'a> {
    /// Id of the message replied to; it may never have been captured.
    #[serde(borrow)]
    pub platform_id: Option<Content<'a>>,
    /// Who is said to have written it.
    #[serde(borrow)]
    pub sender: Option<Participant<'a>>,
    /// What it is said to say.
    #[serde(borrow)]
    pub text: Option<Content<'a>>,
}

/// Something somebody said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message<'a> {
    /// The platform's id; null in text exports, which carry none.
    #[serde(borrow)]
    pub platform_id: Option<Content<'a>>,
    /// Where it was said.
    #[serde(borrow)]
    pub conversation: Option<Conversation<'a>>,
    /// Who wrote it; null for system lines.
    #[serde(borrow)]
    pub sender: Option<Participant<'a>>,
    /// Whether the custodian wrote it.
    pub direction: Direction,
    /// When, in UTC; null where the zone or the date is not known.
    pub sent_at: Option<Timestamp>,
    /// Wall time as written, `YYYY-MM-DDTHH:MM:SS` without zone; null where the vendor gives UTC.
    #[serde(borrow)]
    pub sent_at_local: Option<Cow<'a, str>>,
    /// The other reading(s) of an ambiguous date.
    #[serde(default, skip_serializing_if = "Vec::is_empty", borrow)]
    pub sent_at_local_alternatives: Vec<Cow<'a, str>>,
    /// How sure the instant is.
    pub time_certainty: TimeCertainty,
    /// What sort of thing it is.
    pub content: ContentKind,
    /// Text, caption, or the system line; null where there is none.
    #[serde(borrow)]
    pub text: Option<Content<'a>>,
    /// Files that came with it.
    #[serde(borrow)]
    pub attachments: Vec<Attachment<'a>>,
    /// What it says it replies to.
    #[serde(borrow)]
    pub quote: Option<Quote<'a>>,
    /// The platform marks it as forwarded.
    pub forwarded: bool,
    /// View-once or disappearing, as far as the source tells.
    pub ephemeral: bool,
    /// The source says that its text was changed after sending (the earlier text is elsewhere or lost).
    #[serde(default, skip_serializing_if = "is_false")]
    pub edited: bool,
    /// The source says that it was deleted: the text is gone.
    #[serde(default, skip_serializing_if = "is_false")]
    pub deleted: bool,
    /// What only this source has (coordinates, order lines, poll options, error codes, …), as an object whose
    /// fields the connector's page lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Details>,
}

/// What sort of thing happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(
    missing_docs,
    reason = "the names are the definition; docs/reference/parse.md lists them"
)]
pub enum EventKind {
    Edit,
    Revoke,
    Reaction,
    Status,
    Join,
    Leave,
    Rename,
    Consent,
    Call,
    Account,
    IdentityChange,
    HistorySync,
    Other,
}

/// Something that happened to a message, a conversation or an account. It points at its target and never
/// changes it; the target may come later, or never.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event<'a> {
    /// What happened.
    pub event: EventKind,
    /// The event's own id, where the platform gives one.
    #[serde(borrow)]
    pub platform_id: Option<Content<'a>>,
    /// The platform id of the message it is about; null for events about a conversation or an account.
    #[serde(borrow)]
    pub target: Option<Content<'a>>,
    /// Where it happened.
    #[serde(borrow)]
    pub conversation: Option<Conversation<'a>>,
    /// Who did it; for a status the recipient it concerns.
    #[serde(borrow)]
    pub actor: Option<Participant<'a>>,
    /// When, in UTC.
    pub occurred_at: Option<Timestamp>,
    /// `sent`, `delivered`, `read`, `played`, `failed`, `deleted`, `pending` for a status; the emoji's absence
    /// (`removed`) for a reaction taken back; the vendor's word for other events.
    #[serde(borrow)]
    pub state: Option<Cow<'a, str>>,
    /// The new text of an edit, the emoji of a reaction, the new title of a rename.
    #[serde(borrow)]
    pub text: Option<Content<'a>>,
    /// Files of an edited message.
    #[serde(default, skip_serializing_if = "Vec::is_empty", borrow)]
    pub attachments: Vec<Attachment<'a>>,
    /// What only this source has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Details>,
}

/// Channel-specific details. `Debug` prints only how many fields there are.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Details(pub serde_json::Map<String, serde_json::Value>);

impl std::fmt::Debug for Details {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Details({} fields)", self.0.len())
    }
}

/// Something that was not understood. The bytes stay as captured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem<'a> {
    /// Stable reason code, kebab-case, listed on the connector's page.
    #[serde(borrow)]
    pub code: Cow<'a, str>,
    /// One sentence without content.
    #[serde(borrow)]
    pub detail: Cow<'a, str>,
    /// Where in the capture.
    pub position: Option<Place>,
}

/// A place in a capture.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Byte offset in the stream.
    pub offset: u64,
    /// Line, counted from 1, in text formats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
}

impl ContentKind {
    /// Its name in the serialized form.
    pub const fn name(self) -> &'static str {
        match self {
            ContentKind::Text => "text",
            ContentKind::Image => "image",
            ContentKind::Audio => "audio",
            ContentKind::Video => "video",
            ContentKind::Document => "document",
            ContentKind::Sticker => "sticker",
            ContentKind::Location => "location",
            ContentKind::Contact => "contact",
            ContentKind::Poll => "poll",
            ContentKind::Call => "call",
            ContentKind::Reaction => "reaction",
            ContentKind::Order => "order",
            ContentKind::Interactive => "interactive",
            ContentKind::Template => "template",
            ContentKind::System => "system",
            ContentKind::Unsupported => "unsupported",
            ContentKind::Other => "other",
        }
    }
}

impl EventKind {
    /// Its name in the serialized form.
    pub const fn name(self) -> &'static str {
        match self {
            EventKind::Edit => "edit",
            EventKind::Revoke => "revoke",
            EventKind::Reaction => "reaction",
            EventKind::Status => "status",
            EventKind::Join => "join",
            EventKind::Leave => "leave",
            EventKind::Rename => "rename",
            EventKind::Consent => "consent",
            EventKind::Call => "call",
            EventKind::Account => "account",
            EventKind::IdentityChange => "identity_change",
            EventKind::HistorySync => "history_sync",
            EventKind::Other => "other",
        }
    }
}

fn is_false(value: &bool) -> bool {
    !*value
}
