//! One message object, whoever wrote it and however it came: received, echoed from the app, or out of a history.

use std::borrow::Cow;
use std::io;

use model::record::{
    Attachment, AttachmentState, ContentKind, Conversation, Direction, Event, EventKind, Message,
    Participant, Quote, TimeCertainty,
};
use model::{Content, Timestamp};
use serde_json::value::RawValue;

use super::bodies::{self, Said};
use super::envelope::{Scope, bare};
use super::json::Object;
use super::people;
use super::system;
use super::walk::{Shown, Walk};

/// How a message came.
pub(super) enum Origin<'a> {
    /// In `messages`.
    Received,
    /// In `message_echoes`: written in the app by the company's own people.
    Echo,
    /// In a thread of a history, with the person at the other end.
    Thread(Participant<'a>),
}

/// What all kinds have.
pub(super) struct Head<'a> {
    pub(super) kind: Cow<'a, str>,
    pub(super) id: Option<Content<'a>>,
    pub(super) at: Option<Timestamp>,
    pub(super) sender: Option<Participant<'a>>,
    pub(super) conversation: Option<Conversation<'a>>,
    pub(super) direction: Direction,
    pub(super) details: Shown,
}

const FROM: &[&str] = &["from", "from_user_id", "from_parent_user_id"];
const TO: &[&str] = &["to", "to_user_id", "to_parent_user_id"];
const KNOWN: &[&str] = &[
    "id",
    "timestamp",
    "type",
    "group_id",
    "context",
    "referral",
    "identity",
    "errors",
    "history_context",
    "recipient_type",
    "origin",
];

/// Of a context, shown as they are.
const CONTEXT: &[&str] = &["type", "group_id", "mentions"];

/// Kinds that the vendor documents; each has its body in a field of the same name.
const KINDS: &[&str] = &[
    "text",
    "image",
    "video",
    "audio",
    "voice",
    "document",
    "sticker",
    "location",
    "contacts",
    "interactive",
    "button",
    "order",
    "reaction",
    "edit",
    "revoke",
    "system",
    "request_welcome",
    "ephemeral",
    "media_placeholder",
    "unsupported",
    "unknown",
    "template",
    "errors",
];

/// Reads one message object.
pub(super) fn message<'a>(
    walk: &mut Walk<'a, '_>,
    scope: &Scope<'a>,
    origin: &Origin<'a>,
    raw: &'a RawValue,
) -> io::Result<()> {
    let Some(object) = walk.object(raw)? else {
        return walk.lost("wrong-type", "a message is not an object", raw);
    };
    let head = head(walk, scope, origin, &object, raw)?;
    match &*head.kind {
        "reaction" => reaction(walk, head, &object, raw),
        "revoke" => revoke(walk, head, &object, raw),
        "edit" => edit(walk, head, &object, raw),
        "system" => system::line(walk, head, &object, raw),
        _ => said(walk, head, &object, raw),
    }
}

fn head<'a>(
    walk: &mut Walk<'a, '_>,
    scope: &Scope<'a>,
    origin: &Origin<'a>,
    object: &Object<'a>,
    raw: &'a RawValue,
) -> io::Result<Head<'a>> {
    let kind = kind_of(walk, object, raw)?;
    let id = walk.content(object, "id")?;
    if id.is_none() {
        walk.problem("missing-id", "a message has no id", raw)?;
    }
    if object.get("timestamp").is_none() {
        walk.problem("bad-timestamp", "a message has no time", raw)?;
    }
    let at = walk.instant(object, "timestamp")?;
    let from = people::named(walk, object, FROM)?;
    let to = people::named(walk, object, TO)?;
    let direction = direction(scope, origin, &from, &to);
    let mut details = scope.details();
    if object.get("type").is_some_and(|word| word.get().starts_with('"')) {
        details.put("type", &*kind);
    }
    if !to.ids.is_empty() {
        details.put("to", people::shown(&to.ids));
    }
    let (sender, other) = sides(scope, origin, direction, from, to);
    let group = walk.text(object, "group_id")?;
    let conversation = group.map(people::group).or_else(|| people::direct(&other));
    if people::someone(sender.clone()).is_none() || conversation.is_none() {
        walk.problem(
            "missing-sender",
            "a message does not say who wrote it, or to whom",
            raw,
        )?;
    }
    for name in ["referral", "identity", "errors", "recipient_type", "origin"] {
        walk.show_field(&mut details, object, name)?;
    }
    let with = if direction == Direction::Out {
        &other
    } else {
        &sender
    };
    if let Some(card) = scope.cards.of(with) {
        card.show_more(walk, &mut details)?;
    }
    if let Some(context) = walk.object_in(object, "history_context")? {
        let status = walk
            .text(&context, "status")?
            .map(|status| status.to_ascii_lowercase());
        details.put_text("history_status", status.as_deref());
        walk.show_unknown(&mut details, &context, "history_context", &[&["status"]])?;
    }
    walk.show_unknown(&mut details, object, "message", &[KNOWN, FROM, TO, &[&*kind]])?;
    Ok(Head {
        kind,
        id,
        at,
        sender: people::someone(sender),
        conversation,
        direction,
        details,
    })
}

/// The vendor's word for the kind; where it is missing, the body that is there tells it, or nothing does.
fn kind_of<'a>(walk: &mut Walk<'a, '_>, object: &Object<'a>, raw: &RawValue) -> io::Result<Cow<'a, str>> {
    if let Some(kind) = walk.text(object, "type")? {
        return Ok(kind);
    }
    walk.problem("missing-type", "a message does not say of what type it is", raw)?;
    let body = KINDS.iter().copied().find(|kind| object.get(kind).is_some());
    Ok(Cow::Borrowed(body.unwrap_or_default()))
}

/// Who wrote it. A history, and the media that follow it, hold both sides under the same field.
fn direction(
    scope: &Scope<'_>,
    origin: &Origin<'_>,
    from: &Participant<'_>,
    to: &Participant<'_>,
) -> Direction {
    let ours = scope.is_business(from);
    match origin {
        Origin::Echo => Direction::Out,
        Origin::Received if ours && (scope.field == "history" || !to.ids.is_empty()) => Direction::Out,
        Origin::Received => Direction::In,
        Origin::Thread(_) if ours => Direction::Out,
        Origin::Thread(other) if from.ids.iter().any(|id| other.ids.contains(id)) => Direction::In,
        Origin::Thread(_) if !to.ids.is_empty() => Direction::Out,
        Origin::Thread(_) if scope.business_phone.is_some() && !from.ids.is_empty() => Direction::In,
        Origin::Thread(_) => Direction::Unknown,
    }
}

/// The writer, and the person at the other end of the conversation.
fn sides<'a>(
    scope: &Scope<'a>,
    origin: &Origin<'a>,
    direction: Direction,
    from: Participant<'a>,
    to: Participant<'a>,
) -> (Participant<'a>, Participant<'a>) {
    match direction {
        Direction::Out => {
            let mut business = from;
            scope
                .business()
                .ids
                .into_iter()
                .for_each(|id| people::add(&mut business, Some(id)));
            (business, thread_or(origin, scope.cards.complete(to)))
        }
        Direction::In => {
            let mut sender = scope.cards.complete(from);
            let other = thread_or(origin, sender.clone());
            if other.ids.iter().any(|id| sender.ids.contains(id)) {
                sender.name = sender.name.or_else(|| other.name.clone());
                other
                    .ids
                    .iter()
                    .for_each(|id| people::add(&mut sender, Some(id.clone())));
            }
            (sender, other)
        }
        Direction::Unknown => (from, thread_or(origin, Participant::default())),
    }
}

/// The person at the other end of a thread, or else this one.
fn thread_or<'a>(origin: &Origin<'a>, person: Participant<'a>) -> Participant<'a> {
    match origin {
        Origin::Thread(other) => other.clone(),
        Origin::Received | Origin::Echo => person,
    }
}

/// A message that says something.
fn said<'a>(
    walk: &mut Walk<'a, '_>,
    mut head: Head<'a>,
    object: &Object<'a>,
    raw: &'a RawValue,
) -> io::Result<()> {
    if !head.kind.is_empty() && !KINDS.contains(&&*head.kind) {
        walk.problem(
            "unknown-message-type",
            "a message is of a type not known here",
            raw,
        )?;
    }
    let kind = head.kind.clone();
    let said = bodies::read(walk, &kind, object, raw, &mut head.details)?;
    let (quote, forwarded) = context(walk, object, &mut head.details)?;
    if said.content == ContentKind::System {
        head.sender = None;
    }
    let message = Message {
        text: said.text,
        attachments: said.attachments,
        quote,
        forwarded,
        ephemeral: said.ephemeral,
        ..blank(head, said.content)
    };
    walk.message(walk.span(raw), message)?;
    said.fetches.iter().try_for_each(|fetch| walk.fetch(fetch))
}

/// A message with its head only.
pub(super) fn blank<'a>(head: Head<'a>, content: ContentKind) -> Message<'a> {
    Message {
        platform_id: head.id,
        conversation: head.conversation,
        sender: head.sender,
        direction: head.direction,
        sent_at: head.at,
        sent_at_local: None,
        sent_at_local_alternatives: Vec::new(),
        time_certainty: TimeCertainty::VendorUtc,
        content,
        text: None,
        attachments: Vec::new(),
        quote: None,
        forwarded: false,
        ephemeral: false,
        edited: false,
        deleted: false,
        details: head.details.finish(),
    }
}

/// What it replies to, and whether it is forwarded.
fn context<'a>(
    walk: &mut Walk<'a, '_>,
    object: &Object<'a>,
    details: &mut Shown,
) -> io::Result<(Option<Quote<'a>>, bool)> {
    let Some(context) = walk.object_in(object, "context")? else {
        return Ok((None, false));
    };
    let often = walk.flag(&context, "frequently_forwarded")?.unwrap_or(false);
    let forwarded = walk.flag(&context, "forwarded")?.unwrap_or(false) || often;
    if often {
        details.put("frequently_forwarded", true);
    }
    walk.show_field(details, &context, "referred_product")?;
    let platform_id = walk.content(&context, "id")?;
    let sender = people::someone(people::named(walk, &context, FROM)?);
    let known: &[&str] = &["id", "forwarded", "frequently_forwarded", "referred_product"];
    let mut rest = Shown::default();
    for name in CONTEXT {
        walk.show_field(&mut rest, &context, name)?;
    }
    walk.show_unknown(&mut rest, &context, "context", &[known, FROM, CONTEXT])?;
    details.put_map("context", rest);
    let quotes = platform_id.is_some() || sender.is_some();
    Ok((
        quotes.then_some(Quote {
            platform_id,
            sender,
            text: None,
        }),
        forwarded,
    ))
}

/// An event that points at a message, with the head of the object that tells it.
pub(super) fn pointing<'a>(head: Head<'a>, kind: EventKind, target: Option<Content<'a>>) -> Event<'a> {
    Event {
        platform_id: head.id,
        target,
        conversation: head.conversation,
        actor: head.sender,
        occurred_at: head.at,
        details: head.details.finish(),
        ..bare(kind)
    }
}

/// The body of an event, and the id it points at; a problem where either is missing.
fn pointer<'a>(
    walk: &mut Walk<'a, '_>,
    object: &Object<'a>,
    body: &str,
    name: &str,
    raw: &'a RawValue,
) -> io::Result<(Option<Object<'a>>, Option<Content<'a>>)> {
    let Some(body) = walk.object_in(object, body)? else {
        walk.problem("missing-body", "a message has no body of its type", raw)?;
        return Ok((None, None));
    };
    let target = walk.content(&body, name)?;
    if target.is_none() {
        walk.problem(
            "missing-target",
            "an event does not say which message it is about",
            raw,
        )?;
    }
    Ok((Some(body), target))
}

fn reaction<'a>(
    walk: &mut Walk<'a, '_>,
    mut head: Head<'a>,
    object: &Object<'a>,
    raw: &'a RawValue,
) -> io::Result<()> {
    let (body, target) = pointer(walk, object, "reaction", "message_id", raw)?;
    let emoji = body
        .as_ref()
        .map_or(Ok(None), |body| walk.content(body, "emoji"))?;
    if let Some(body) = &body {
        walk.show_unknown(&mut head.details, body, "reaction", &[&["message_id", "emoji"]])?;
    }
    let removed = body.is_some() && emoji.is_none();
    let event = Event {
        state: removed.then_some(Cow::Borrowed("removed")),
        text: emoji,
        ..pointing(head, EventKind::Reaction, target)
    };
    walk.event(walk.span(raw), event)
}

fn revoke<'a>(
    walk: &mut Walk<'a, '_>,
    mut head: Head<'a>,
    object: &Object<'a>,
    raw: &'a RawValue,
) -> io::Result<()> {
    let (body, target) = pointer(walk, object, "revoke", "original_message_id", raw)?;
    if let Some(body) = &body {
        walk.show_unknown(&mut head.details, body, "revoke", &[&["original_message_id"]])?;
    }
    walk.event(walk.span(raw), pointing(head, EventKind::Revoke, target))
}

fn edit<'a>(
    walk: &mut Walk<'a, '_>,
    mut head: Head<'a>,
    object: &Object<'a>,
    raw: &'a RawValue,
) -> io::Result<()> {
    let (body, target) = pointer(walk, object, "edit", "original_message_id", raw)?;
    let mut said = Said::of(ContentKind::Other);
    if let Some(body) = &body {
        walk.show_unknown(
            &mut head.details,
            body,
            "edit",
            &[&["original_message_id", "message"]],
        )?;
        match walk.object_in(body, "message")? {
            Some(inner) => {
                let kind = kind_of(walk, &inner, raw)?;
                head.details.put("edited_type", &*kind);
                said = bodies::read(walk, &kind, &inner, raw, &mut head.details)?;
                let mut context = Shown::default();
                walk.show_field(&mut context, &inner, "context")?;
                head.details.0.extend(context.0);
                let known: &[&str] = &["type", "context"];
                walk.show_unknown(&mut head.details, &inner, "edited message", &[known, &[&*kind]])?;
            }
            None => walk.problem("missing-body", "an edit does not hold the new message", raw)?,
        }
    }
    let event = Event {
        text: said.text,
        attachments: said.attachments,
        ..pointing(head, EventKind::Edit, target)
    };
    walk.event(walk.span(raw), event)?;
    said.fetches.iter().try_for_each(|fetch| walk.fetch(fetch))
}

/// An attachment of which only the existence is known.
pub(super) fn left_out<'a>() -> Attachment<'a> {
    Attachment {
        name: None,
        media_type: None,
        size_bytes: None,
        sha256: None,
        state: AttachmentState::Omitted,
        media_id: None,
    }
}
