//! One object: a message or an event in the form of `docs/guide/any-other-source.md`.

use std::borrow::Cow;
use std::io;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use model::record::{
    Attachment, AttachmentState, ContentKind, Conversation, ConversationShape, Direction, Event, EventKind,
    Identifier, Message, Participant, Quote, TimeCertainty,
};
use model::{Content, Timestamp};
use serde::Deserialize;
use serde_json::Value;

use crate::pass::Pass;
use crate::tree::{self, Fields, Shown};
use crate::{ParseOptions, Span};

/// Fields of a message.
const MESSAGE: &[&str] = &[
    "kind",
    "platform_id",
    "conversation",
    "sender",
    "direction",
    "sent_at",
    "sent_at_local",
    "sent_at_local_alternatives",
    "time_certainty",
    "content",
    "text",
    "attachments",
    "quote",
    "forwarded",
    "ephemeral",
    "edited",
    "deleted",
    "details",
];

/// Fields of an event.
const EVENT: &[&str] = &[
    "kind",
    "platform_id",
    "event",
    "target",
    "conversation",
    "actor",
    "occurred_at",
    "state",
    "text",
    "details",
];

/// More people, ids or files in one record are not read.
const MAX_ELEMENTS: usize = 1_000;

/// Whether an object has anything of a message or event.
pub(super) fn is_record(fields: &Fields) -> bool {
    [
        "text",
        "sender",
        "attachments",
        "conversation",
        "sent_at",
        "sent_at_local",
        "event",
    ]
    .iter()
    .any(|name| fields.contains_key(*name))
}

/// Reads one object.
pub(super) fn record(
    pass: &mut Pass<'_>,
    span: Span,
    fields: &Fields,
    options: &ParseOptions,
) -> io::Result<()> {
    match tree::word(fields, "kind").as_deref() {
        None | Some("message") if is_record(fields) => message(pass, span, fields, options),
        Some("event") => event(pass, span, fields),
        None | Some("message") => pass.lost(span, "not-a-record", "an object has no field of a message"),
        Some(_) => pass.lost(
            span,
            "unknown-kind",
            "an object is neither a message nor an event",
        ),
    }
}

fn message(pass: &mut Pass<'_>, span: Span, fields: &Fields, options: &ParseOptions) -> io::Result<()> {
    let mut details = details(pass, span, fields, MESSAGE)?;
    let sender = someone(pass, span, fields, "sender")?;
    let content = content(pass, span, fields)?;
    if sender.is_none() && content != ContentKind::System {
        pass.problem(span, "missing-sender", "a message does not say who wrote it")?;
    }
    let time = time(pass, span, fields, options)?;
    let direction = direction(pass, span, fields, sender.as_ref(), options)?;
    let attachments = attachments(pass, span, fields, &mut details)?;
    let message = Message {
        platform_id: tree::word(fields, "platform_id").map(Content::new),
        conversation: conversation(pass, span, fields)?,
        sender,
        direction,
        sent_at: time.utc,
        sent_at_local: time.local.map(Cow::Owned),
        sent_at_local_alternatives: alternatives(fields),
        time_certainty: time.certainty,
        content,
        text: text(pass, span, fields, "text")?,
        attachments,
        quote: quote(pass, span, fields)?,
        forwarded: flag(pass, span, fields, "forwarded")?,
        ephemeral: flag(pass, span, fields, "ephemeral")?,
        edited: flag(pass, span, fields, "edited")?,
        deleted: flag(pass, span, fields, "deleted")?,
        details: details.finish(),
    };
    if message.text.is_none() && message.attachments.is_empty() && message.content == ContentKind::Text {
        pass.problem(span, "missing-text", "a text message has no text")?;
    }
    pass.message(span, message, &[])
}

fn event(pass: &mut Pass<'_>, span: Span, fields: &Fields) -> io::Result<()> {
    let details = details(pass, span, fields, EVENT)?;
    let known = fields
        .get("event")
        .and_then(|word| EventKind::deserialize(word).ok());
    if known.is_none() {
        pass.problem(
            span,
            "unknown-event",
            "an event is missing its kind, or of one not known here",
        )?;
    }
    let occurred_at = fields.get("occurred_at").and_then(instant);
    if occurred_at.is_none() {
        pass.problem(
            span,
            "bad-timestamp",
            "an event has no time, or one that is not RFC 3339 with an offset",
        )?;
    }
    let event = Event {
        event: known.unwrap_or(EventKind::Other),
        platform_id: tree::word(fields, "platform_id").map(Content::new),
        target: tree::word(fields, "target").map(Content::new),
        conversation: conversation(pass, span, fields)?,
        actor: someone(pass, span, fields, "actor")?,
        occurred_at,
        state: tree::word(fields, "state"),
        text: text(pass, span, fields, "text")?,
        attachments: Vec::new(),
        details: details.finish(),
    };
    pass.event(span, event)
}

/// Details as given, and under `other` the fields not known here. Whoever made the file is believed for nothing.
fn details(pass: &mut Pass<'_>, span: Span, fields: &Fields, known: &[&str]) -> io::Result<Shown> {
    let mut details = Shown::default();
    match fields.get("details") {
        Some(Value::Object(given)) => details.rest("given", given, &[]),
        None | Some(Value::Null) => {}
        Some(_) => pass.problem(span, "wrong-type", "a field holds another type than documented")?,
    }
    details.value("origin", "unverified".into());
    details.rest("other", fields, known);
    pass.unknown(span, fields, &[known])?;
    Ok(details)
}

/// A text; a problem where there is something else.
fn text<'a>(
    pass: &mut Pass<'_>,
    span: Span,
    fields: &'a Fields,
    name: &str,
) -> io::Result<Option<Content<'a>>> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) => Ok(Some(Content::new(text.as_str()))),
        Some(_) => {
            pass.problem(span, "wrong-type", "a field holds another type than documented")?;
            Ok(None)
        }
    }
}

fn flag(pass: &mut Pass<'_>, span: Span, fields: &Fields, name: &str) -> io::Result<bool> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(truth)) => Ok(*truth),
        Some(_) => {
            pass.problem(span, "wrong-type", "a field holds another type than documented")?;
            Ok(false)
        }
    }
}

/// Somebody: a name alone, or an object of `name` and `ids`.
fn someone<'a>(
    pass: &mut Pass<'_>,
    span: Span,
    fields: &'a Fields,
    name: &str,
) -> io::Result<Option<Participant<'a>>> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(name)) if name.is_empty() => Ok(None),
        Some(Value::String(name)) => Ok(Some(Participant {
            name: Some(Content::new(name.as_str())),
            ids: Vec::new(),
        })),
        Some(Value::Object(given)) => {
            let mut person = Participant {
                name: text(pass, span, given, "name")?,
                ids: Vec::new(),
            };
            let ids = given
                .get("ids")
                .map_or(&[][..], |ids| ids.as_array().map_or(&[], Vec::as_slice));
            for id in ids.iter().take(MAX_ELEMENTS).filter_map(Value::as_object) {
                let (Some(kind), Some(value)) = (tree::word(id, "kind"), tree::word(id, "value")) else {
                    pass.problem(span, "bad-id", "an id lacks its kind or value")?;
                    continue;
                };
                person.ids.push(Identifier {
                    kind,
                    value: Content::new(value),
                });
            }
            Ok((person.name.is_some() || !person.ids.is_empty()).then_some(person))
        }
        Some(_) => {
            pass.problem(span, "wrong-type", "a field holds another type than documented")?;
            Ok(None)
        }
    }
}

/// A conversation: its id alone, or an object of `id`, `title` and `type`.
fn conversation<'a>(
    pass: &mut Pass<'_>,
    span: Span,
    fields: &'a Fields,
) -> io::Result<Option<Conversation<'a>>> {
    let given = match fields.get("conversation") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::String(id)) => {
            return Ok((!id.is_empty()).then(|| Conversation {
                id: Some(Content::new(id.as_str())),
                title: None,
                shape: ConversationShape::Unknown,
            }));
        }
        Some(Value::Object(given)) => given,
        Some(_) => {
            pass.problem(span, "wrong-type", "a field holds another type than documented")?;
            return Ok(None);
        }
    };
    let shape = match tree::word(given, "type").as_deref() {
        Some("direct") => ConversationShape::Direct,
        Some("group") => ConversationShape::Group,
        None | Some("unknown") => ConversationShape::Unknown,
        Some(_) => {
            pass.problem(
                span,
                "unknown-word",
                "a field holds a word that is not documented",
            )?;
            ConversationShape::Unknown
        }
    };
    let (id, title) = (text(pass, span, given, "id")?, text(pass, span, given, "title")?);
    Ok((id.is_some() || title.is_some()).then_some(Conversation { id, title, shape }))
}

fn content(pass: &mut Pass<'_>, span: Span, fields: &Fields) -> io::Result<ContentKind> {
    let Some(word) = fields.get("content").filter(|word| !word.is_null()) else {
        let bare = !fields.contains_key("text") && fields.contains_key("attachments");
        return Ok(if bare {
            ContentKind::Other
        } else {
            ContentKind::Text
        });
    };
    match ContentKind::deserialize(word) {
        Ok(content) => Ok(content),
        Err(_) => {
            pass.problem(
                span,
                "unknown-word",
                "a field holds a word that is not documented",
            )?;
            Ok(ContentKind::Other)
        }
    }
}

/// As given; else by whose account it is; else unknown.
fn direction(
    pass: &mut Pass<'_>,
    span: Span,
    fields: &Fields,
    sender: Option<&Participant<'_>>,
    options: &ParseOptions,
) -> io::Result<Direction> {
    if let Some(word) = fields.get("direction").filter(|word| !word.is_null()) {
        if let Ok(direction) = Direction::deserialize(word) {
            return Ok(direction);
        }
        pass.problem(
            span,
            "unknown-word",
            "a field holds a word that is not documented",
        )?;
    }
    let (Some(custodian), Some(sender)) = (options.custodian.as_deref(), sender) else {
        return Ok(Direction::Unknown);
    };
    let mut names = sender.name.iter().chain(sender.ids.iter().map(|id| &id.value));
    Ok(match names.any(|name| name.reveal() == custodian) {
        true => Direction::Out,
        false => Direction::In,
    })
}

/// When a message was sent.
struct Time {
    utc: Option<Timestamp>,
    local: Option<String>,
    certainty: TimeCertainty,
}

/// `sent_at` with an offset, or `sent_at_local` without one, which an assumed zone makes an instant. Both may stand
/// there, as in the output of `parse`; how sure they are is then as said there.
fn time(pass: &mut Pass<'_>, span: Span, fields: &Fields, options: &ParseOptions) -> io::Result<Time> {
    let (mut utc, mut local) = (None, None);
    if let Some(value) = fields.get("sent_at").filter(|value| !value.is_null()) {
        utc = instant(value);
        if utc.is_none() {
            pass.problem(
                span,
                "bad-timestamp",
                "`sent_at` is not an RFC 3339 time with an offset",
            )?;
        }
    }
    let written = tree::word(fields, "sent_at_local");
    if let Some(written) = &written {
        local = written.parse::<DateTime>().ok();
        if local.is_none() {
            let detail = "`sent_at_local` is not a time as 2024-01-31T10:20:30";
            pass.problem(span, "bad-timestamp", detail)?;
        }
    }
    if written.is_none() && fields.get("sent_at").is_none_or(Value::is_null) {
        let detail = "a message has neither `sent_at` nor `sent_at_local`";
        pass.problem(span, "bad-timestamp", detail)?;
    }
    let zone = options.zone_of_phone.as_ref();
    let assumed = local.and_then(|local| in_zone(local, zone?));
    let said = fields
        .get("time_certainty")
        .and_then(|word| TimeCertainty::deserialize(word).ok());
    let certainty = match (utc, assumed, said) {
        (Some(_), _, Some(TimeCertainty::AssumedZone)) => TimeCertainty::AssumedZone,
        (Some(_), _, _) => TimeCertainty::VendorUtc,
        (None, _, Some(TimeCertainty::AmbiguousDate)) => TimeCertainty::AmbiguousDate,
        (None, Some(_), _) => TimeCertainty::AssumedZone,
        (None, None, _) => TimeCertainty::LocalUnknown,
    };
    Ok(Time {
        utc: utc.or(assumed.filter(|_| certainty == TimeCertainty::AssumedZone)),
        local: local.map(written_out),
        certainty,
    })
}

fn written_out(local: DateTime) -> String {
    local.strftime("%Y-%m-%dT%H:%M:%S").to_string()
}

/// The other readings of an ambiguous date.
fn alternatives(fields: &Fields) -> Vec<Cow<'_, str>> {
    let given = fields.get("sent_at_local_alternatives").and_then(Value::as_array);
    given
        .into_iter()
        .flatten()
        .take(MAX_ELEMENTS)
        .filter_map(|text| text.as_str()?.parse::<DateTime>().ok())
        .map(|local| Cow::Owned(written_out(local)))
        .collect()
}

fn in_zone(local: DateTime, zone: &TimeZone) -> Option<Timestamp> {
    // An hour that came twice, or never, is no instant.
    let instant = zone.to_ambiguous_timestamp(local).unambiguous().ok()?;
    Some(Timestamp::from_micros(instant.as_microsecond()))
}

/// RFC 3339, with any offset. Seconds as a number would not say so of themselves.
fn instant(value: &Value) -> Option<Timestamp> {
    let instant: jiff::Timestamp = value.as_str()?.parse().ok()?;
    Some(Timestamp::from_micros(instant.as_microsecond()))
}

/// Files are named, never carried: their bytes are nowhere, whatever the sender says of them.
fn attachments<'a>(
    pass: &mut Pass<'_>,
    span: Span,
    fields: &'a Fields,
    details: &mut Shown,
) -> io::Result<Vec<Attachment<'a>>> {
    let list = match fields.get("attachments") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(list)) => list,
        Some(_) => {
            pass.problem(span, "wrong-type", "a field holds another type than documented")?;
            return Ok(Vec::new());
        }
    };
    let mut attachments = Vec::new();
    for given in list.iter().take(MAX_ELEMENTS) {
        let Some(given) = given.as_object() else {
            pass.problem(span, "wrong-type", "a field holds another type than documented")?;
            continue;
        };
        let hash = tree::word(given, "sha256");
        let is_hash = |hash: &str| hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        if hash.as_deref().is_some_and(|hash| !is_hash(hash)) {
            pass.problem(
                span,
                "bad-hash",
                "a declared hash is not the 64 hex digits of a SHA-256",
            )?;
        }
        attachments.push(Attachment {
            name: text(pass, span, given, "name")?,
            media_type: tree::word(given, "media_type"),
            size_bytes: given.get("size_bytes").and_then(Value::as_u64),
            sha256: hash
                .filter(|hash| is_hash(hash))
                .map(|hash| hash.to_ascii_lowercase().into()),
            state: AttachmentState::Omitted,
            media_id: tree::word(given, "media_id").map(Content::new),
        });
    }
    if list.len() > MAX_ELEMENTS {
        pass.problem(
            span,
            "too-many-files",
            "a message names more than 1,000 files; those after are not shown",
        )?;
        details.value("files_named", list.len().into());
    }
    Ok(attachments)
}

fn quote<'a>(pass: &mut Pass<'_>, span: Span, fields: &'a Fields) -> io::Result<Option<Quote<'a>>> {
    let given = match fields.get("quote") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Object(given)) => given,
        Some(_) => {
            pass.problem(span, "wrong-type", "a field holds another type than documented")?;
            return Ok(None);
        }
    };
    Ok(Some(Quote {
        platform_id: tree::word(given, "platform_id").map(Content::new),
        sender: someone(pass, span, given, "sender")?,
        text: text(pass, span, given, "text")?,
    }))
}
