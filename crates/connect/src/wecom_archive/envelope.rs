//! From a JSON value to what it is: a decrypted message, an item that is still encrypted, or an answer of the archive
//! with a list of either.

use std::io;

use model::Content;
use model::record::{Event, EventKind};
use serde_json::value::RawValue;

use super::messages;
use crate::ParseOptions;
use crate::json::{Elements, Object};
use crate::walk::{Shown, Walk};

const ANSWER: &[&str] = &["errcode", "errmsg", "chatdata"];
const ENCRYPTED: &[&str] = &[
    "seq",
    "msgid",
    "publickey_ver",
    "encrypt_random_key",
    "encrypt_chat_msg",
];

/// Reads one value that is not inside another.
pub(super) fn value<'a>(
    walk: &mut Walk<'a, '_>,
    options: &ParseOptions,
    raw: &'a RawValue,
) -> io::Result<()> {
    let Some(object) = walk.object(raw)? else {
        return walk.lost(
            "not-a-message",
            "there is a JSON value that is not an object",
            raw,
        );
    };
    if object.get("chatdata").is_some() || object.get("errcode").is_some() {
        return answer(walk, options, &object, raw);
    }
    item(walk, options, &object, raw)
}

/// What the library answers to `GetChatData`.
fn answer<'a>(
    walk: &mut Walk<'a, '_>,
    options: &ParseOptions,
    object: &Object<'a>,
    raw: &'a RawValue,
) -> io::Result<()> {
    let failed = object
        .get("errcode")
        .is_some_and(|code| !["0", "\"0\""].contains(&code.get()));
    let mut details = Shown::default();
    if failed {
        walk.problem("vendor-error", "the archive answered with an error", raw)?;
        walk.show_field(&mut details, object, "errcode")?;
        walk.show_field(&mut details, object, "errmsg")?;
    }
    walk.show_unknown(&mut details, object, "answer", &[ANSWER])?;
    if !details.0.is_empty() {
        let event = Event {
            state: failed.then_some("vendor-error".into()),
            details: details.finish(),
            ..bare(EventKind::Other)
        };
        walk.event(walk.place(raw), event)?;
    }
    for list in object.all("chatdata") {
        let Some(elements) = Elements::of(list) else {
            if list.get() != "null" {
                walk.lost("wrong-type", "`chatdata` is not a list", list)?;
            }
            continue;
        };
        for element in elements {
            match walk.object(element)? {
                Some(object) => item(walk, options, &object, element)?,
                None => walk.lost("not-a-message", "an item is not an object", element)?,
            }
        }
    }
    Ok(())
}

fn item<'a>(
    walk: &mut Walk<'a, '_>,
    options: &ParseOptions,
    object: &Object<'a>,
    raw: &'a RawValue,
) -> io::Result<()> {
    let has = |name: &str| object.get(name).is_some();
    if has("encrypt_chat_msg") || has("encrypt_random_key") {
        return encrypted(walk, object, raw);
    }
    if has("msgtype") || has("msgid") || has("action") {
        return messages::message(walk, options, object, raw);
    }
    walk.lost(
        "not-a-message",
        "an object has neither `msgid` nor `msgtype`",
        raw,
    )
}

/// A message nobody has opened yet: that it was there, and which key opens it.
fn encrypted<'a>(walk: &mut Walk<'a, '_>, object: &Object<'a>, raw: &'a RawValue) -> io::Result<()> {
    walk.problem(
        "encrypted",
        "a message is encrypted; it needs the company's key and the vendor's library",
        raw,
    )?;
    for name in ["msgid", "publickey_ver", "encrypt_random_key", "encrypt_chat_msg"] {
        if object.get(name).is_none() {
            walk.problem("missing-field", "an encrypted item lacks one of its fields", raw)?;
        }
    }
    let mut details = Shown::default();
    for name in ["seq", "publickey_ver"] {
        details.put_text(name, id_text(object, name));
    }
    walk.show_unknown(&mut details, object, "encrypted item", &[ENCRYPTED])?;
    let event = Event {
        platform_id: walk.content(object, "msgid")?,
        state: Some("encrypted".into()),
        details: details.finish(),
        ..bare(EventKind::Other)
    };
    walk.event(walk.span(raw), event)
}

/// A number as it is written: the vendor's go beyond what readers of JSON keep exact.
pub(super) fn id_text<'a>(object: &Object<'a>, name: &str) -> Option<&'a str> {
    let raw = object.get(name)?.get().trim_matches('"');
    (!raw.is_empty() && raw.bytes().all(|b| b.is_ascii_digit())).then_some(raw)
}

/// An event of which nothing is known yet.
pub(super) fn bare<'a>(event: EventKind) -> Event<'a> {
    Event {
        event,
        platform_id: None::<Content<'a>>,
        target: None,
        conversation: None,
        actor: None,
        occurred_at: None,
        state: None,
        text: None,
        attachments: Vec::new(),
        details: None,
    }
}
