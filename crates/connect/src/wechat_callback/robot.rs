//! 智能机器人: robots of WeCom, whose callbacks are JSON.

use std::borrow::Cow;
use std::io;

use model::Content;
use model::record::{
    ContentKind, Conversation, Direction, Event, EventKind, Message, Participant, Quote, TimeCertainty,
};
use serde_json::Value;

use super::events::bare;
use super::messages::{File, Said, blank, value};
use super::people;
use super::times::instant;
use crate::Span;
use crate::pass::Pass;
use crate::tree::{self, Fields, Shown};

const HEAD: &[&str] = &[
    "msgid",
    "aibotid",
    "chatid",
    "chattype",
    "from",
    "msgtype",
    "quote",
    "create_time",
    // Opens the conversation to whoever has it, for an hour.
    "response_url",
];

/// Whether these are the fields of a callback of a robot.
pub(super) fn is_message(fields: &Fields) -> bool {
    fields.contains_key("msgtype")
        && ["aibotid", "chattype", "from"]
            .iter()
            .any(|name| fields.contains_key(*name))
}

/// Reads one callback.
pub(super) fn message(pass: &mut Pass<'_>, span: Span, fields: &Fields) -> io::Result<()> {
    let kind = tree::word(fields, "msgtype").unwrap_or_default();
    let robot = tree::word(fields, "aibotid");
    let from = tree::inner(fields, "from");
    let sender = from.and_then(person);
    // Only events have a time of their own.
    let at = match fields.get("create_time") {
        Some(_) => instant(pass, span, fields, &["create_time"])?,
        None => None,
    };
    let mut details = Shown::default();
    details.text("type", Some(kind.clone()));
    details.text("robot_id", robot.clone());
    details.text("chat_type", tree::word(fields, "chattype"));
    details.rest("other", fields, &[HEAD, &[&*kind]].concat());
    pass.unknown(span, fields, &[HEAD, &[&*kind]])?;
    let conversation = conversation(fields, robot.as_deref());
    let id = tree::word(fields, "msgid").map(Content::new);
    let empty = Fields::new();
    let body = tree::inner(fields, &kind).unwrap_or(&empty);
    if kind == "event" {
        let name = tree::word(body, "eventtype").unwrap_or_default();
        details.value("event", value(fields, "event"));
        let event = Event {
            platform_id: id,
            conversation,
            actor: sender,
            occurred_at: at,
            state: Some(name).filter(|name| !name.is_empty()),
            details: details.finish(),
            ..bare(EventKind::Other)
        };
        return pass.event(span, event);
    }
    if id.is_none() {
        pass.problem(span, "missing-id", "a message has no id")?;
    }
    if sender.is_none() {
        pass.problem(span, "missing-sender", "a message does not say who wrote it")?;
    }
    let Some(said) = said(&kind, body) else {
        pass.problem(
            span,
            "unknown-message-type",
            "a message is of a type not known here",
        )?;
        details.value(&kind, value(fields, &kind));
        let message = Message {
            platform_id: id,
            conversation,
            sender,
            direction: Direction::In,
            sent_at: at,
            time_certainty: certainty(at.is_some()),
            details: details.finish(),
            ..blank(ContentKind::Other, None)
        };
        return pass.message(span, message, &[]);
    };
    let message = Message {
        platform_id: id,
        conversation,
        sender,
        direction: Direction::In,
        sent_at: at,
        time_certainty: certainty(at.is_some()),
        attachments: said.attachments,
        quote: quote(fields),
        details: details.finish(),
        ..blank(said.content, said.text)
    };
    pass.message(span, message, &said.fetches)
}

fn certainty(known: bool) -> TimeCertainty {
    if known {
        TimeCertainty::VendorUtc
    } else {
        TimeCertainty::LocalUnknown
    }
}

fn person(from: &Fields) -> Option<Participant<'_>> {
    tree::word(from, "userid").map(|id| {
        let kind = if people::is_outside(&id) {
            "external_userid"
        } else {
            "userid"
        };
        people::person(kind, id)
    })
}

fn conversation<'a>(fields: &'a Fields, robot: Option<&str>) -> Option<Conversation<'a>> {
    if let Some(chat) = tree::word(fields, "chatid") {
        return Some(people::group(chat));
    }
    let user = tree::inner(fields, "from").and_then(|from| tree::word(from, "userid"))?;
    Some(match robot {
        Some(robot) => people::direct(format!("{robot}/{user}")),
        None => people::direct(user),
    })
}

/// What a message says; nothing for a kind not known here.
fn said<'a>(kind: &str, body: &'a Fields) -> Option<Said<'a>> {
    let file = |content| {
        let file = File {
            url: tree::word(body, "url"),
            ..File::default()
        };
        Said::of(content, None).file(file)
    };
    Some(match kind {
        "text" => Said::of(ContentKind::Text, tree::text(body, "content")),
        // What was said, as the vendor's machine understood it; the sound itself is not delivered.
        "voice" => Said::of(ContentKind::Audio, tree::text(body, "content")),
        "image" => file(ContentKind::Image),
        "video" => file(ContentKind::Video),
        "file" => file(ContentKind::Document),
        "mixed" => mixed(body),
        // The vendor asks for more of an answer that is being written.
        "stream" => Said::of(ContentKind::System, tree::text(body, "id")),
        _ => return None,
    })
}

/// Text and pictures in one message.
fn mixed(body: &Fields) -> Said<'_> {
    let items = body.get("msg_item").and_then(Value::as_array);
    let mut texts = Vec::new();
    let mut said = Said::of(ContentKind::Text, None);
    for item in items.into_iter().flatten().filter_map(Value::as_object) {
        if let Some(text) = tree::inner(item, "text").and_then(|inner| tree::text(inner, "content")) {
            texts.push(text);
        }
        if let Some(image) = tree::inner(item, "image") {
            said = said.file(File {
                url: tree::word(image, "url"),
                ..File::default()
            });
        }
    }
    if texts.is_empty() && !said.attachments.is_empty() {
        said.content = ContentKind::Image;
    }
    said.text = (!texts.is_empty()).then(|| Cow::Owned(texts.join("\n")));
    said
}

fn quote(fields: &Fields) -> Option<Quote<'_>> {
    let quoted = tree::inner(fields, "quote")?;
    let kind = tree::word(quoted, "msgtype")?;
    let text = tree::inner(quoted, &kind)
        .and_then(|body| said(&kind, body))
        .and_then(|said| said.text);
    Some(Quote {
        platform_id: tree::word(quoted, "msgid").map(Content::new),
        sender: tree::inner(quoted, "from").and_then(person),
        text: text.map(Content::new),
    })
}
