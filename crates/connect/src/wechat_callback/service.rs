//! 微信客服: the answer of `kf/sync_msg`, which holds what customers and the company's people said.

use std::borrow::Cow;
use std::io;

use model::Content;
use model::record::{ContentKind, Direction, Event, EventKind, Message, Participant};
use serde_json::Value;
use serde_json::value::RawValue;

use super::documents::{self, Elements};
use super::events::bare;
use super::messages::{File, Said, blank, lines, value};
use super::people;
use super::times::instant;
use crate::pass::Pass;
use crate::tree::{self, Fields, Shown};
use crate::{Fetch, Pull, Span};

/// The parts of an answer. Of anything else nothing is looked at.
#[derive(serde::Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    msg_list: &'a RawValue,
    #[serde(default)]
    errcode: Option<i64>,
    #[serde(default)]
    has_more: Option<u8>,
    #[serde(default)]
    next_cursor: Option<String>,
}

/// Whether a JSON object is such an answer.
pub(super) fn is_answer(raw: &str) -> bool {
    raw.starts_with('{') && raw.contains("\"msg_list\"")
}

/// Reads an answer. `place` says where a part of it lies.
pub(super) fn answer(
    pass: &mut Pass<'_>,
    raw: &RawValue,
    asked: Option<&str>,
    place: &dyn Fn(&str) -> Span,
) -> io::Result<()> {
    let whole = place(raw.get());
    let Ok(answer) = serde_json::from_str::<Answer<'_>>(raw.get()) else {
        return pass.lost(
            whole,
            "wrong-type",
            "an answer of kf/sync_msg is not as documented",
        );
    };
    if answer.errcode.is_some_and(|code| code != 0) {
        pass.problem(
            whole,
            "vendor-error",
            "the answer reports an error: something may be missing",
        )?;
    }
    let list = place(answer.msg_list.get());
    let Some(elements) = Elements::of(answer.msg_list) else {
        return pass.lost(list, "wrong-type", "a list of messages is something else");
    };
    let mut count = 0_u64;
    for element in elements {
        count += 1;
        let span = place(element.get());
        match documents::json(element.get()) {
            Ok(Value::Object(fields)) => message(pass, span, &fields)?,
            Ok(_) => pass.lost(span, "wrong-type", "a message is not an object")?,
            Err(_) => pass.lost(span, "too-large", "a message is longer or deeper than is read")?,
        }
    }
    let mut details = Shown::default();
    details.value("messages", count.into());
    details.value("has_more", answer.has_more.map_or(Value::Null, Value::from));
    details.value(
        "next_cursor",
        answer.next_cursor.clone().map_or(Value::Null, Value::from),
    );
    let event = Event {
        state: Some(Cow::Borrowed(match (answer.errcode, answer.has_more) {
            (Some(code), _) if code != 0 => "failed",
            (_, Some(0) | None) => "complete",
            (_, Some(_)) => "more",
        })),
        details: details.finish(),
        ..bare(EventKind::HistorySync)
    };
    let end = Span {
        offset: list.offset + list.len,
        len: 0,
        ..list
    };
    let more = event.state.as_deref() == Some("more");
    pass.event(end, event)?;
    match (more, asked) {
        (true, Some(account)) => pass.fetch(&announced(account, None, answer.next_cursor.as_deref())),
        _ => Ok(()),
    }
}

/// Messages of an account that are to be asked for.
pub(super) fn announced(account: &str, token: Option<&str>, cursor: Option<&str>) -> Fetch {
    let owned = |text: &str| Content::new(text.to_owned());
    Fetch {
        pull: Some(Pull {
            account: owned(account),
            token: token.map(owned),
            cursor: cursor.map(owned),
        }),
        ..Fetch::of(owned(""))
    }
}

/// What all items have.
const HEAD: &[&str] = &[
    "msgid",
    "open_kfid",
    "external_userid",
    "send_time",
    "origin",
    "servicer_userid",
    "msgtype",
];

/// Who an item is from: `origin`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    Customer,
    System,
    Staff,
    Unknown,
}

/// Whether these are the fields of one item.
pub(super) fn is_item(fields: &Fields) -> bool {
    fields.contains_key("msgtype")
        && ["open_kfid", "external_userid", "origin"]
            .iter()
            .any(|name| fields.contains_key(*name))
}

/// Reads one item of the list.
pub(super) fn message(pass: &mut Pass<'_>, span: Span, fields: &Fields) -> io::Result<()> {
    let kind = tree::word(fields, "msgtype").unwrap_or_default();
    let from = match tree::word(fields, "origin").as_deref() {
        Some("3") => From::Customer,
        Some("4") => From::System,
        Some("5") => From::Staff,
        _ => From::Unknown,
    };
    let mut details = Shown::default();
    details.text("type", Some(kind.clone()));
    details.text("open_kfid", tree::word(fields, "open_kfid"));
    details.text("servicer_userid", tree::word(fields, "servicer_userid"));
    if from == From::Unknown {
        pass.problem(
            span,
            "unknown-origin",
            "an item does not say whether customer, system or staff wrote it",
        )?;
    }
    if kind == "event" {
        return event(pass, span, fields, details);
    }
    let at = instant(pass, span, fields, &["send_time"])?;
    let id = tree::word(fields, "msgid");
    if id.is_none() {
        pass.problem(span, "missing-id", "a message has no id")?;
    }
    let (sender, direction) = match from {
        From::Customer => (customer(fields), Direction::In),
        From::Staff => (
            tree::word(fields, "servicer_userid").map(|id| people::person("userid", id)),
            Direction::Out,
        ),
        From::System => (None, Direction::Unknown),
        From::Unknown => (customer(fields), Direction::Unknown),
    };
    if sender.is_none() && from != From::System {
        pass.problem(span, "missing-sender", "a message does not say who wrote it")?;
    }
    let body = tree::inner(fields, &kind);
    if body.is_none() {
        pass.problem(
            span,
            "missing-body",
            "a message has nothing of what its type should hold",
        )?;
    }
    let empty = Fields::new();
    let said = said(pass, span, &kind, body.unwrap_or(&empty), &mut details)?;
    details.rest("other", fields, &[HEAD, &[&*kind]].concat());
    pass.unknown(span, fields, &[HEAD, &[&*kind]])?;
    let message = Message {
        platform_id: id.map(Content::new),
        conversation: conversation(fields),
        sender,
        direction,
        sent_at: at,
        attachments: said.attachments,
        details: details.finish(),
        ..blank(said.content, said.text)
    };
    pass.message(span, message, &said.fetches)
}

fn customer(fields: &Fields) -> Option<Participant<'_>> {
    tree::word(fields, "external_userid").map(|id| people::person("external_userid", id))
}

/// One account and one customer: the same customer at another account is another conversation.
fn conversation(fields: &Fields) -> Option<model::record::Conversation<'_>> {
    let (account, customer) = (
        tree::word(fields, "open_kfid"),
        tree::word(fields, "external_userid"),
    );
    match (account, customer) {
        (Some(account), Some(customer)) => Some(people::direct(format!("{account}/{customer}"))),
        (None, Some(customer)) => Some(people::direct(customer)),
        _ => None,
    }
}

fn said<'a>(
    pass: &mut Pass<'_>,
    span: Span,
    kind: &str,
    body: &'a Fields,
    details: &mut Shown,
) -> io::Result<Said<'a>> {
    let text = |name| tree::text(body, name);
    let file = |content, media_type| {
        let file = File {
            media_id: tree::word(body, "media_id"),
            name: tree::text(body, "filename"),
            media_type,
            ..File::default()
        };
        Said::of(content, None).file(file)
    };
    let (said, shown): (Said<'a>, &[&str]) = match kind {
        "text" => (Said::of(ContentKind::Text, text("content")), &["content"]),
        "image" => (file(ContentKind::Image, None), &["media_id"]),
        "voice" => (file(ContentKind::Audio, None), &["media_id"]),
        "video" => (file(ContentKind::Video, None), &["media_id"]),
        "file" => (file(ContentKind::Document, None), &["media_id", "filename"]),
        "location" => (
            Said::of(ContentKind::Location, lines([text("name"), text("address")])),
            &[],
        ),
        "link" => (
            Said::of(
                ContentKind::Other,
                lines([text("title"), text("desc"), text("url")]),
            ),
            &[],
        ),
        "business_card" => (Said::of(ContentKind::Contact, None), &[]),
        "miniprogram" => (Said::of(ContentKind::Other, text("title")), &[]),
        "msgmenu" => (Said::of(ContentKind::Interactive, menu(body)), &[]),
        "merged_msg" => (Said::of(ContentKind::Other, merged(body)), &[]),
        "channels_shop_product" | "channels_shop_order" => (Said::of(ContentKind::Order, text("title")), &[]),
        "channels" => (
            Said::of(ContentKind::Other, lines([text("nickname"), text("title")])),
            &[],
        ),
        "meeting" | "schedule" | "note" => (Said::of(ContentKind::Other, text("title")), &[]),
        _ => {
            pass.problem(
                span,
                "unknown-message-type",
                "a message is of a type not known here",
            )?;
            (Said::of(ContentKind::Other, text("content")), &[])
        }
    };
    details.rest(kind, body, shown);
    Ok(said)
}

/// A menu as the customer saw it: its head, what could be chosen, its tail.
fn menu(body: &Fields) -> Option<Cow<'_, str>> {
    let choices = value(body, "list");
    let mut all: Vec<String> = tree::text(body, "head_content")
        .map(Cow::into_owned)
        .into_iter()
        .collect();
    for choice in choices
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_object)
    {
        let inner = ["click", "view", "miniprogram", "text"]
            .iter()
            .find_map(|name| tree::inner(choice, name));
        all.extend(
            inner
                .and_then(|inner| tree::text(inner, "content"))
                .map(Cow::into_owned),
        );
    }
    all.extend(tree::text(body, "tail_content").map(Cow::into_owned));
    (!all.is_empty()).then(|| Cow::Owned(all.join("\n")))
}

/// Messages forwarded together: whose each was stands before it, as the forwarding client says.
fn merged(body: &Fields) -> Option<Cow<'_, str>> {
    let mut all: Vec<String> = tree::text(body, "title")
        .map(Cow::into_owned)
        .into_iter()
        .collect();
    let items = value(body, "item");
    for item in items
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_object)
    {
        let name = tree::text(item, "sender_name").unwrap_or_default();
        let content = tree::text(item, "msg_content").unwrap_or_default();
        // The content of an item is JSON in a text.
        let inner = documents::json(&content).ok();
        let inner = inner.as_ref().and_then(Value::as_object);
        let said = inner.and_then(|inner| {
            let kind = tree::word(item, "msgtype")?;
            let body = tree::inner(inner, &kind).unwrap_or(inner);
            tree::text(body, "content").map(Cow::into_owned)
        });
        all.push(format!(
            "{name}: {}",
            said.unwrap_or_else(|| content.into_owned())
        ));
    }
    (!all.is_empty()).then(|| Cow::Owned(all.join("\n")))
}

/// Fields of an event that open something for a while; they stay in the capture and are not shown.
const CREDENTIALS: &[&str] = &["welcome_code", "msg_code"];

fn event(pass: &mut Pass<'_>, span: Span, fields: &Fields, mut details: Shown) -> io::Result<()> {
    let at = instant(pass, span, fields, &["send_time"])?;
    let empty = Fields::new();
    let body = tree::inner(fields, "event").unwrap_or(&empty);
    let name = tree::word(body, "event_type").unwrap_or_default();
    details.text("event_type", Some(name.clone()));
    details.rest("event", body, &[CREDENTIALS, &["event_type"]].concat());
    details.rest("other", fields, &[HEAD, &["event"]].concat());
    let staff = || {
        tree::first(
            body,
            &["servicer_userid", "new_servicer_userid", "old_servicer_userid"],
        )
    };
    let mut event = Event {
        platform_id: tree::word(fields, "msgid").map(Content::new),
        conversation: conversation(body).or_else(|| conversation(fields)),
        actor: customer(body).or_else(|| customer(fields)),
        occurred_at: at,
        state: Some(name.clone()).filter(|name| !name.is_empty()),
        ..bare(EventKind::Other)
    };
    match &*name {
        "enter_session" | "session_status_change" => {}
        "servicer_status_change" => event.actor = staff().map(|id| people::person("userid", id)),
        "msg_send_fail" => {
            event.event = EventKind::Status;
            event.target = tree::word(body, "fail_msgid").map(Content::new);
            event.state = Some(Cow::Borrowed("failed"));
        }
        "user_recall_msg" => {
            event.event = EventKind::Revoke;
            event.target = tree::word(body, "recall_msgid").map(Content::new);
        }
        "servicer_recall_msg" => {
            event.event = EventKind::Revoke;
            event.target = tree::word(body, "recall_msgid").map(Content::new);
            event.actor = staff().map(|id| people::person("userid", id));
        }
        "reject_customer_msg_switch_change" => event.event = EventKind::Consent,
        "" => pass.problem(span, "missing-type", "an event does not say of what type it is")?,
        _ => pass.problem(span, "unknown-event", "an event is of a type not known here")?,
    }
    if event.event == EventKind::Revoke && event.target.is_none() {
        pass.problem(span, "missing-target", "a recall does not say of which message")?;
    }
    event.details = details.finish();
    pass.event(span, event)
}
