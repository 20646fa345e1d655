//! Messages inside a message: forwarded together (`chatrecord`), or the parts of one (`mixed`).
//!
//! Each item's content is JSON in a text, and may hold items again.

use std::io;

use model::record::ContentKind;
use serde_json::Value;
use serde_json::value::RawValue;

use super::bodies::{Reader, Said};
use super::fields::{self, Fields};
use super::kinds;
use crate::json;

/// Messages inside messages that are followed. Each level escapes the quotes of those inside it again, so real ones
/// hardly get further than three.
const MAX_DEPTH: usize = 6;

/// Levels of one item's content; a mixed message has three. With [`MAX_DEPTH`] it bounds how deep a record gets.
const ITEM_LEVELS: usize = 8;

/// Where a forwarded message says who wrote it. The vendor documents neither; taken where they are.
const SENDER: &[&str] = &["from", "sender"];
const SENDER_NAME: &[&str] = &["name", "nickname"];

const ITEM: &[&str] = &["type", "msgtime", "content", "from_chatroom"];

/// Reads the items of a body.
pub(super) fn read(
    reader: &mut Reader<'_, '_, '_>,
    mut body: Fields,
    forwarded: bool,
    depth: usize,
) -> io::Result<Said> {
    let mut said = Said::of(ContentKind::Other);
    said.forwarded = forwarded;
    let own_words = reader.own_words;
    reader.own_words &= !forwarded;
    let mut text = fields::text(&body, "title").unwrap_or_default();
    let mut first = None;
    match body.remove("item") {
        Some(Value::Array(items)) => {
            let mut shown = Vec::with_capacity(items.len());
            for item in items {
                let Value::Object(item) = item else {
                    reader.problem("bad-item", "a message inside a message is not an object")?;
                    shown.push(item);
                    continue;
                };
                let one = self::item(reader, item, depth, said.attachments.len())?;
                let words = if forwarded {
                    Some(one.line())
                } else {
                    one.said.text
                };
                if let Some(words) = words {
                    let parted = text.is_empty() || text.ends_with('\n');
                    text.extend([if parted { "" } else { "\n" }, &words]);
                }
                first = first.or(Some(one.said.content));
                said.quote = said.quote.or(one.said.quote);
                said.attachments.extend(one.said.attachments);
                said.fetches.extend(one.said.fetches);
                shown.push(Value::Object(one.shown));
            }
            body.insert("item".to_owned(), Value::Array(shown));
        }
        other => {
            reader.problem(
                "missing-body",
                "a message that should hold others has no list of them",
            )?;
            body.extend(other.map(|other| ("item".to_owned(), other)));
        }
    }
    reader.own_words = own_words;
    said.text = Some(text).filter(|text| !text.is_empty());
    // Words make it a text; a picture without any is a picture.
    said.content = match (&said.text, first) {
        (Some(_), _) => ContentKind::Text,
        (None, Some(first)) => first,
        (None, None) => ContentKind::Other,
    };
    said.shown = body;
    Ok(said)
}

/// One item, read.
struct Item {
    word: String,
    sender: Option<String>,
    sent_at: Option<String>,
    said: Said,
    shown: Fields,
}

impl Item {
    /// The item as a line of the text: when, who, what, as far as the source says.
    fn line(&self) -> String {
        let mut line = String::new();
        if let Some(at) = &self.sent_at {
            line.extend(["[", at, "] "]);
        }
        if let Some(sender) = &self.sender {
            line.extend([sender, ": "]);
        }
        if let Some(text) = &self.said.text {
            return line + &text.replace('\n', "\n  ");
        }
        let word = self.word.strip_prefix("ChatRecord").unwrap_or(&self.word);
        let word = if word.is_empty() { "?" } else { word };
        line.extend(["[", &word.to_ascii_lowercase(), "]"]);
        for name in self.said.attachments.iter().filter_map(|file| file.name.as_ref()) {
            line.extend([" ", name.reveal()]);
        }
        line
    }
}

fn item(
    reader: &mut Reader<'_, '_, '_>,
    mut shown: Fields,
    depth: usize,
    files_before: usize,
) -> io::Result<Item> {
    let word = fields::text(&shown, "type").unwrap_or_default();
    let any = |names: &[&str]| names.iter().find_map(|name| fields::text(&shown, name));
    let sender = any(SENDER_NAME).or_else(|| any(SENDER));
    for name in shown.keys() {
        if ![ITEM, SENDER, SENDER_NAME]
            .iter()
            .any(|known| known.contains(&name.as_str()))
        {
            reader.walk.tell_unknown("item", name, reader.place)?;
        }
    }
    let sent_at = fields::time(&shown, "msgtime").map(|at| at.to_string());
    if sent_at.is_none() && shown.contains_key("msgtime") {
        reader.problem(
            "bad-timestamp",
            "a time is not a plausible number of seconds or milliseconds since 1970",
        )?;
    }
    let mut said = match content(reader, &mut shown, depth)? {
        Some(body) => {
            let kind = kinds::nested(&word);
            if kind.is_none() {
                reader.problem(
                    "unknown-message-type",
                    "a message inside a message is of a type not known here",
                )?;
            }
            reader.read(kind.unwrap_or(&kinds::UNKNOWN), body, depth + 1)?
        }
        None => Said {
            text: fields::text(&shown, "content"),
            ..Said::of(ContentKind::Other)
        },
    };
    if let Some(at) = &sent_at {
        shown.insert("sent_at".to_owned(), Value::from(at.as_str()));
    }
    if !said.shown.is_empty() {
        shown.insert(
            "content".to_owned(),
            Value::Object(std::mem::take(&mut said.shown)),
        );
    }
    if let Some(text) = &said.text {
        shown.insert("text".to_owned(), Value::from(text.as_str()));
    }
    if !said.attachments.is_empty() {
        let places = (files_before..).take(said.attachments.len());
        shown.insert("attachments".to_owned(), places.collect());
    }
    Ok(Item {
        word,
        sender,
        sent_at,
        said,
        shown,
    })
}

/// Takes the content out of an item, as an object. What cannot be read stays there.
fn content(reader: &mut Reader<'_, '_, '_>, item: &mut Fields, depth: usize) -> io::Result<Option<Fields>> {
    let text = match item.get("content") {
        Some(Value::Object(_)) => match item.remove("content") {
            Some(Value::Object(body)) => return Ok(Some(body)),
            _ => return Ok(None),
        },
        Some(Value::String(text)) => text,
        _ => {
            reader.problem("bad-item", "a message inside a message has no content")?;
            return Ok(None);
        }
    };
    if depth >= MAX_DEPTH {
        reader.problem("too-deep", "messages lie inside messages too deeply to be read")?;
        return Ok(None);
    }
    let read = serde_json::from_str::<&RawValue>(text)
        .ok()
        .map(|raw| json::exact(raw, ITEM_LEVELS));
    let Some(Ok(tree)) = read else {
        reader.problem(
            "bad-item",
            "the content of a message inside a message is not readable JSON",
        )?;
        return Ok(None);
    };
    if tree.repeated {
        reader.problem(
            "duplicate-key",
            "a key stands twice in one object; the last one was read",
        )?;
    }
    if tree.repaired {
        reader.problem("bad-text", "a text holds half a character; U+FFFD stands for it")?;
    }
    let Value::Object(body) = tree.value else {
        reader.problem(
            "bad-item",
            "the content of a message inside a message is not an object",
        )?;
        return Ok(None);
    };
    item.remove("content");
    Ok(Some(body))
}
