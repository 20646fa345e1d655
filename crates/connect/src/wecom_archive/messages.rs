//! One decrypted message: who, when, where, and what it is.

use std::borrow::Cow;
use std::io;

use model::record::{Conversation, Direction, Event, EventKind, Message, Participant, TimeCertainty};
use model::{Content, Timestamp};
use serde_json::Value;
use serde_json::value::RawValue;

use super::bodies::{Reader, Said};
use super::envelope::{bare, id_text};
use super::fields::{self, Fields};
use super::kinds::{self, Form, Kind};
use super::people;
use crate::ParseOptions;
use crate::json::{self, Elements, Field, Object, Text, Unshown};
use crate::walk::{Shown, Walk};

/// What every message has.
const HEAD: &[&str] = &[
    "msgid", "action", "from", "tolist", "roomid", "msgtime", "msgtype",
];
/// What an entry about a person who changed company has beside it.
const SWITCH: &[&str] = &["time", "user"];
/// Of the encrypted item around it, for whoever keeps it with the message.
const NUMBERS: &[&str] = &["seq", "publickey_ver"];

/// Receivers looked at; the vendor's largest rooms have 2,000 members.
const MAX_RECEIVERS: usize = 10_000;

/// Levels of a body; see `nested::ITEM_LEVELS` for why not more.
const BODY_LEVELS: usize = 32;

/// Ends the ids of messages in which somebody outside the company takes part.
const EXTERNAL: &str = "_external";

struct Head<'a> {
    word: Cow<'a, str>,
    id: Option<Content<'a>>,
    from: Option<Cow<'a, str>>,
    to: Vec<Cow<'a, str>>,
    conversation: Option<Conversation<'a>>,
    direction: Direction,
    at: Option<Timestamp>,
    details: Shown,
}

/// Reads one message.
pub(super) fn message<'a>(
    walk: &mut Walk<'a, '_>,
    options: &ParseOptions,
    object: &Object<'a>,
    raw: &'a RawValue,
) -> io::Result<()> {
    let action = walk.text(object, "action")?;
    if action.as_deref() == Some("switch") {
        return switch(walk, object, raw);
    }
    if !matches!(action.as_deref(), None | Some("send" | "recall")) {
        walk.problem("unknown-action", "a message has an action not known here", raw)?;
    }
    let mut head = head(walk, options, object, raw)?;
    if let Some(action) = action.filter(|action| action != "send") {
        head.details.put("action", action);
    }
    match &*head.word {
        "revoke" => revoke(walk, head, object, raw),
        "agree" | "disagree" => consent(walk, head, object, raw),
        _ => said(walk, head, object, raw),
    }
}

fn head<'a>(
    walk: &mut Walk<'a, '_>,
    options: &ParseOptions,
    object: &Object<'a>,
    raw: &'a RawValue,
) -> io::Result<Head<'a>> {
    let word = word(walk, object, raw)?;
    let id = walk.text(object, "msgid")?;
    if id.is_none() {
        walk.problem("missing-id", "a message has no id", raw)?;
    }
    let from = walk.text(object, "from")?;
    if from.is_none() {
        walk.problem("missing-sender", "a message does not say who wrote it", raw)?;
    }
    let to = receivers(walk, object)?;
    let room = walk.text(object, "roomid")?;
    if to.is_empty() && room.is_none() {
        walk.problem(
            "missing-receiver",
            "a message does not say to whom, or in which room",
            raw,
        )?;
    }
    let external = id.as_deref().is_some_and(|id| id.ends_with(EXTERNAL));
    let direction = people::direction(from.as_deref(), &to, external, options.custodian.as_deref());
    let mut details = Shown::default();
    if object.get("msgtype").is_some() {
        details.put("type", &*word);
    }
    if !to.is_empty() {
        details.put("to", people::shown(to.iter().map(|id| &**id)));
    }
    for name in NUMBERS {
        details.put_text(name, id_text(object, name));
    }
    Ok(Head {
        word,
        id: id.map(Content::new),
        conversation: people::conversation(room, from.as_deref(), &to),
        from,
        to,
        direction,
        at: moment(walk, object, "msgtime", raw)?,
        details,
    })
}

/// The vendor's word for the kind; where it is missing, the body that is there tells it, or nothing does.
fn word<'a>(walk: &mut Walk<'a, '_>, object: &Object<'a>, raw: &RawValue) -> io::Result<Cow<'a, str>> {
    if let Some(word) = walk.text(object, "msgtype")? {
        return Ok(word);
    }
    walk.problem("missing-type", "a message does not say of what type it is", raw)?;
    let events = ["revoke", "agree", "disagree"].into_iter();
    let words = events.chain(kinds::KINDS.iter().map(|kind| kind.word));
    let body = words.into_iter().find(|word| object.get(word).is_some());
    Ok(Cow::Borrowed(body.unwrap_or_default()))
}

/// The receivers, in the source's order. Some programs make a text of the list.
fn receivers<'a>(walk: &mut Walk<'a, '_>, object: &Object<'a>) -> io::Result<Vec<Cow<'a, str>>> {
    let Some(raw) = object.get("tolist") else {
        return Ok(Vec::new());
    };
    let Some(elements) = Elements::of(raw) else {
        walk.problem("wrong-type", "the receivers are not a list", raw)?;
        return Ok(match json::text(raw) {
            Text::Whole(text) => text
                .split([',', '|', ';'])
                .map(str::trim)
                .filter(|id| !id.is_empty())
                .take(MAX_RECEIVERS)
                .map(|id| Cow::Owned(id.to_owned()))
                .collect(),
            Text::Repaired(_) | Text::Not => Vec::new(),
        });
    };
    let mut receivers = Vec::new();
    for element in elements {
        match json::text(element) {
            _ if receivers.len() >= MAX_RECEIVERS => {
                walk.problem("too-many-receivers", "not all receivers are shown", element)?;
                break;
            }
            Text::Whole(id) if id.is_empty() => {}
            Text::Whole(id) => receivers.push(id),
            Text::Repaired(id) => {
                walk.problem(
                    "bad-text",
                    "a text holds half a character; U+FFFD stands for it",
                    element,
                )?;
                receivers.push(Cow::Owned(id));
            }
            Text::Not => walk.problem("wrong-type", "a receiver is something other than text", element)?,
        }
    }
    Ok(receivers)
}

/// A time, in the vendor's milliseconds or in seconds; a problem where it is missing or implausible.
fn moment<'a>(
    walk: &mut Walk<'a, '_>,
    object: &Object<'a>,
    name: &str,
    raw: &RawValue,
) -> io::Result<Option<Timestamp>> {
    let Some(value) = object.get(name) else {
        walk.problem("bad-timestamp", "a message has no time", raw)?;
        return Ok(None);
    };
    let at = fields::instant(value.get().trim_matches('"'));
    if at.is_none() {
        walk.problem(
            "bad-timestamp",
            "a time is not a plausible number of seconds or milliseconds since 1970",
            value,
        )?;
    }
    Ok(at)
}

/// A message that says something.
fn said<'a>(
    walk: &mut Walk<'a, '_>,
    mut head: Head<'a>,
    object: &Object<'a>,
    raw: &'a RawValue,
) -> io::Result<()> {
    let known = kinds::of(&head.word);
    if known.is_none() && object.get("msgtype").is_some() {
        walk.problem(
            "unknown-message-type",
            "a message is of a type not known here",
            raw,
        )?;
    }
    let kind = known.unwrap_or(&kinds::UNKNOWN);
    let place = body_of(kind, &head.word, object);
    let said = read(walk, &mut head, kind, place, object, raw)?;
    let used = place.map_or("", |field| &*field.name);
    if let (Some(kind), Some(field)) = (known, place)
        && !kind.keys.contains(&used)
    {
        walk.tell_unknown("message", used, field.value)?;
    }
    rest(
        walk,
        &mut head.details,
        object,
        &[HEAD, NUMBERS, kind.beside, &[used]],
    )?;
    let message = Message {
        platform_id: head.id,
        conversation: head.conversation,
        sender: head.from.map(people::somebody),
        direction: head.direction,
        sent_at: head.at,
        sent_at_local: None,
        sent_at_local_alternatives: Vec::new(),
        time_certainty: TimeCertainty::VendorUtc,
        content: said.content,
        text: said.text.map(Content::new),
        attachments: said.attachments,
        quote: said.quote,
        forwarded: said.forwarded,
        ephemeral: false,
        edited: false,
        deleted: false,
        details: head.details.finish(),
    };
    walk.message(walk.span(raw), message)?;
    said.fetches.iter().try_for_each(|fetch| walk.fetch(fetch))
}

/// The field that holds the body: one of those the kind is known to use, else one named as the type, else the only
/// object there is.
fn body_of<'o, 'a>(kind: &Kind, word: &str, object: &'o Object<'a>) -> Option<&'o Field<'a>> {
    let there = |field: &&Field<'_>| field.value.get() != "null";
    let named = |name: &str| {
        object
            .fields()
            .iter()
            .rev()
            .filter(there)
            .find(|field| field.name == name)
    };
    let objects = || {
        object
            .fields()
            .iter()
            .filter(|field| field.value.get().starts_with('{'))
    };
    let only = || objects().next().filter(|_| objects().count() == 1);
    let known = kind
        .keys
        .iter()
        .find_map(|key| named(key))
        .or_else(|| named(word));
    known.filter(|field| !HEAD.contains(&&*field.name)).or_else(only)
}

fn read<'a>(
    walk: &mut Walk<'a, '_>,
    head: &mut Head<'a>,
    kind: &Kind,
    place: Option<&Field<'a>>,
    object: &Object<'a>,
    raw: &'a RawValue,
) -> io::Result<Said> {
    let mut body = Fields::new();
    for name in kind.beside {
        let Some(value) = object.get(name) else { continue };
        let Some(value) = tree(walk, value)? else { continue };
        head.details.put(name, value.clone());
        if kind.known.contains(name) {
            body.insert((*name).to_owned(), value);
        }
    }
    let instead = !body.is_empty();
    let mut name = "";
    match place {
        None if instead => {}
        None => {
            if !kind.word.is_empty() {
                walk.problem("missing-body", "a message has no body of its type", raw)?;
            }
            return Ok(Said::of(kind.content));
        }
        Some(field) => {
            name = &*field.name;
            match tree(walk, field.value)? {
                Some(Value::Object(fields)) => body.extend(fields),
                Some(other) => {
                    walk.problem(
                        "wrong-type",
                        "the body of a message is not an object",
                        field.value,
                    )?;
                    if !(other.is_string() && kind.form == Form::Text) {
                        head.details.put(name, other);
                        return Ok(Said::of(kind.content));
                    }
                    body.insert("content".to_owned(), other);
                }
                None => return Ok(Said::of(kind.content)),
            }
        }
    }
    let mut reader = Reader {
        walk,
        place: raw,
        own_words: true,
    };
    let mut said = reader.read(kind, body, 0)?;
    let mut shown = Shown(std::mem::take(&mut said.shown));
    if instead {
        shown.0.retain(|field, _| !kind.beside.contains(&field.as_str()));
    }
    head.details.put_map(name, shown);
    Ok(said)
}

/// A value as a tree, with a problem for each reason why it is not quite what the source says.
fn tree<'a>(walk: &mut Walk<'a, '_>, raw: &'a RawValue) -> io::Result<Option<Value>> {
    match json::exact(raw, BODY_LEVELS) {
        Ok(tree) => {
            if tree.repeated {
                walk.problem(
                    "duplicate-key",
                    "a key stands twice in one object; the last one was read",
                    raw,
                )?;
            }
            if tree.repaired {
                walk.problem(
                    "bad-text",
                    "a text holds half a character; U+FFFD stands for it",
                    raw,
                )?;
            }
            Ok(Some(tree.value))
        }
        Err(Unshown::TooLong) => {
            walk.problem("value-too-long", "a value is too long to be shown", raw)?;
            Ok(None)
        }
        Err(Unshown::TooDeep | Unshown::Unreadable) => {
            walk.problem("too-deep", "a value is nested too deeply to be shown", raw)?;
            Ok(None)
        }
    }
}

/// Shows every field that has no place of its own under `other`, and says so once a capture and name. The bodies of
/// other kinds, which some programs write down as null, are nothing.
fn rest<'a>(
    walk: &mut Walk<'a, '_>,
    details: &mut Shown,
    object: &Object<'a>,
    known: &[&[&str]],
) -> io::Result<()> {
    let mut other = Shown::default();
    for field in object.fields() {
        if field.value.get() == "null" || known.iter().any(|names| names.contains(&&*field.name)) {
            continue;
        }
        walk.tell_unknown("message", &field.name, field.value)?;
        if let Some(value) = tree(walk, field.value)? {
            other.put(&field.name, value);
        }
    }
    details.put_map("other", other);
    Ok(())
}

/// The body of an event, without what it was read for.
fn event_body<'a>(
    walk: &mut Walk<'a, '_>,
    head: &mut Head<'a>,
    object: &Object<'a>,
    raw: &'a RawValue,
    keys: &[&str],
    known: &[&str],
) -> io::Result<Fields> {
    let word = keys
        .iter()
        .copied()
        .find(|key| object.get(key).is_some())
        .unwrap_or("");
    let mut body = Fields::new();
    match object.get(word) {
        None => walk.problem("missing-body", "a message has no body of its type", raw)?,
        Some(value) => match tree(walk, value)? {
            Some(Value::Object(fields)) => body = fields,
            Some(other) => {
                walk.problem("wrong-type", "the body of a message is not an object", value)?;
                head.details.put(word, other);
            }
            None => {}
        },
    }
    let mut unknown = Shown::default();
    for (name, value) in body.iter().filter(|(name, _)| !known.contains(&name.as_str())) {
        walk.tell_unknown("event", name, raw)?;
        unknown.put(name, value.clone());
    }
    head.details.put_map(word, unknown);
    rest(walk, &mut head.details, object, &[HEAD, NUMBERS, &[word]])?;
    Ok(body)
}

fn revoke<'a>(
    walk: &mut Walk<'a, '_>,
    mut head: Head<'a>,
    object: &Object<'a>,
    raw: &'a RawValue,
) -> io::Result<()> {
    let body = event_body(walk, &mut head, object, raw, &["revoke"], &["pre_msgid"])?;
    let target = fields::text(&body, "pre_msgid");
    if target.is_none() {
        walk.problem("missing-target", "a recall does not say of which message", raw)?;
    }
    let event = Event {
        target: target.map(Content::new),
        ..pointing(head, EventKind::Revoke)
    };
    walk.event(walk.span(raw), event)
}

/// Somebody outside agreed to be archived, or no longer does; towards whom are the receivers.
fn consent<'a>(
    walk: &mut Walk<'a, '_>,
    mut head: Head<'a>,
    object: &Object<'a>,
    raw: &'a RawValue,
) -> io::Result<()> {
    let word = head.word.clone();
    let known = ["userid", "agree_time", "disagree_time"];
    let body = event_body(
        walk,
        &mut head,
        object,
        raw,
        &[&*word, "agree", "disagree"],
        &known,
    )?;
    let at = ["agree_time", "disagree_time"]
        .iter()
        .find_map(|name| fields::time(&body, name));
    let who = fields::text(&body, "userid")
        .map(Cow::Owned)
        .or_else(|| head.from.clone());
    let others = head
        .from
        .iter()
        .chain(&head.to)
        .filter(|id| Some(*id) != who.as_ref());
    let toward = people::shown(others.map(|id| &**id));
    head.details.0.remove("to");
    if toward.as_array().is_some_and(|list| !list.is_empty()) {
        head.details.put("toward", toward);
    }
    let told_at = head.at;
    let event = Event {
        actor: who.map(people::somebody),
        occurred_at: at.or(told_at),
        state: Some(word),
        ..pointing(head, EventKind::Consent)
    };
    walk.event(walk.span(raw), event)
}

fn pointing(head: Head<'_>, kind: EventKind) -> Event<'_> {
    Event {
        platform_id: head.id,
        conversation: head.conversation,
        actor: head.from.map(people::somebody),
        occurred_at: head.at,
        details: head.details.finish(),
        ..bare(kind)
    }
}

/// A member of staff changed company in the client.
fn switch<'a>(walk: &mut Walk<'a, '_>, object: &Object<'a>, raw: &'a RawValue) -> io::Result<()> {
    let id = walk.content(object, "msgid")?;
    if id.is_none() {
        walk.problem("missing-id", "an entry about a change of company has no id", raw)?;
    }
    let user = walk.text(object, "user")?;
    if user.is_none() {
        walk.problem(
            "missing-sender",
            "an entry about a change of company does not say whose",
            raw,
        )?;
    }
    let mut details = Shown::default();
    for name in NUMBERS {
        details.put_text(name, id_text(object, name));
    }
    rest(
        walk,
        &mut details,
        object,
        &[&["msgid", "action"], SWITCH, NUMBERS],
    )?;
    let actor: Option<Participant<'a>> = user.map(people::somebody);
    let event = Event {
        platform_id: id,
        actor,
        occurred_at: moment(walk, object, "time", raw)?,
        state: Some("switch".into()),
        details: details.finish(),
        ..bare(EventKind::Account)
    };
    walk.event(walk.span(raw), event)
}

#[cfg(test)]
mod tests {
    use model::record::ContentKind;

    use super::super::kinds::KINDS;

    #[test]
    fn every_kind_has_one_word_and_a_place_for_its_body() {
        for (at, kind) in KINDS.iter().enumerate() {
            assert!(
                KINDS[..at].iter().all(|other| other.word != kind.word),
                "{} twice",
                kind.word
            );
            assert!(!kind.keys.is_empty(), "{} has no body", kind.word);
            assert_ne!(kind.content, ContentKind::System, "{} has a sender", kind.word);
        }
    }
}
