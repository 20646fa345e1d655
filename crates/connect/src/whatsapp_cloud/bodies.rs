//! What a message says, by its type.

use std::borrow::Cow;
use std::io;

use model::Content;
use model::record::{Attachment, AttachmentState, ContentKind};
use serde_json::value::RawValue;

use super::json::{self, Elements, Object};
use super::media;
use super::messages::left_out;
use super::walk::{Shown, Walk};
use crate::Fetch;

/// Names of cards in one message; the vendor allows 257.
const MAX_NAMES: usize = 1_024;

/// What a message says.
pub(super) struct Said<'a> {
    pub(super) content: ContentKind,
    pub(super) text: Option<Content<'a>>,
    pub(super) attachments: Vec<Attachment<'a>>,
    pub(super) fetches: Vec<Fetch>,
    pub(super) ephemeral: bool,
}

impl Said<'_> {
    /// Nothing, of this kind.
    pub(super) fn of(content: ContentKind) -> Self {
        Said {
            content,
            text: None,
            attachments: Vec::new(),
            fetches: Vec::new(),
            ephemeral: false,
        }
    }
}

/// Reads the body of a message of this type. What has no place of its own goes into the details.
pub(super) fn read<'a>(
    walk: &mut Walk<'a, '_>,
    kind: &str,
    object: &Object<'a>,
    raw: &'a RawValue,
    details: &mut Shown,
) -> io::Result<Said<'a>> {
    match kind {
        "unsupported" | "unknown" | "ephemeral" => return bodiless(walk, kind, object, details),
        // A history names some so; the errors themselves are in the details.
        "errors" => return Ok(Said::of(ContentKind::Unsupported)),
        "" => return Ok(Said::of(ContentKind::Other)),
        "request_welcome" => return Ok(Said::of(ContentKind::System)),
        "media_placeholder" => {
            walk.report.media_missing += 1;
            let attachments = vec![left_out()];
            return Ok(Said {
                attachments,
                ..Said::of(ContentKind::Other)
            });
        }
        "contacts" => {
            expect_body(walk, kind, object, raw)?;
            walk.show_field(details, object, kind)?;
            return Ok(Said {
                text: names(walk, object, kind)?,
                ..Said::of(ContentKind::Contact)
            });
        }
        _ => {}
    }
    let content = content_of(kind);
    if !expect_body(walk, kind, object, raw)? {
        let file = FILES.contains(&kind);
        walk.report.media_missing += u64::from(file);
        let attachments = if file { vec![left_out()] } else { Vec::new() };
        return Ok(Said {
            attachments,
            ..Said::of(content)
        });
    }
    let Some(body) = walk.object_in(object, kind)? else {
        walk.show_field(details, object, kind)?;
        return Ok(Said::of(content));
    };
    match kind {
        "text" => {
            if body.get("body").is_none() {
                walk.problem("missing-body", "a text message has no text", raw)?;
            }
            plain(walk, &body, "body", &["body", "preview_url"], "text", details)
        }
        _ if FILES.contains(&kind) => file(walk, content, kind, &body, raw, details),
        "button" => {
            let said = plain(walk, &body, "text", &["text", "payload"], "button", details)?;
            Ok(Said { content, ..said })
        }
        "order" => {
            let known = &["catalog_id", "text", "product_items"];
            let said = plain(walk, &body, "text", known, "order", details)?;
            Ok(Said { content, ..said })
        }
        "interactive" => interactive(walk, &body, raw, details),
        "location" => {
            let parts = [walk.text(&body, "name")?, walk.text(&body, "address")?];
            let text = lines(parts.into_iter().flatten());
            let mut rest = Shown::default();
            walk.show_rest(&mut rest, &body, &[])?;
            details.put_map(kind, rest);
            Ok(Said {
                text,
                ..Said::of(content)
            })
        }
        _ => {
            let mut rest = Shown::default();
            walk.show_rest(&mut rest, &body, &[])?;
            details.put_map(kind, rest);
            Ok(Said::of(content))
        }
    }
}

fn content_of(kind: &str) -> ContentKind {
    match kind {
        "text" => ContentKind::Text,
        "image" => ContentKind::Image,
        "video" => ContentKind::Video,
        "audio" | "voice" => ContentKind::Audio,
        "document" => ContentKind::Document,
        "sticker" => ContentKind::Sticker,
        "location" => ContentKind::Location,
        "interactive" | "button" => ContentKind::Interactive,
        "order" => ContentKind::Order,
        "template" => ContentKind::Template,
        _ => ContentKind::Other,
    }
}

/// Whether the body is there; the vendor has sent interactive messages without one.
fn expect_body<'a>(
    walk: &mut Walk<'a, '_>,
    kind: &str,
    object: &Object<'a>,
    raw: &'a RawValue,
) -> io::Result<bool> {
    let there = object.get(kind).is_some();
    if !there {
        walk.problem("missing-body", "a message has no body of its type", raw)?;
    }
    Ok(there)
}

/// A body whose text is one field; its other fields are shown under the type's name.
fn plain<'a>(
    walk: &mut Walk<'a, '_>,
    body: &Object<'a>,
    text: &str,
    known: &[&str],
    kind: &'static str,
    details: &mut Shown,
) -> io::Result<Said<'a>> {
    let mut rest = Shown::default();
    let but: Vec<&str> = known.iter().copied().filter(|name| *name != text).collect();
    for name in but {
        walk.show_field(&mut rest, body, name)?;
    }
    walk.show_unknown(&mut rest, body, kind, &[known])?;
    details.put_map(kind, rest);
    let text = walk.content(body, text)?;
    Ok(Said {
        text,
        ..Said::of(ContentKind::Text)
    })
}

/// Texts that stand apart, a line each.
fn lines<'a>(texts: impl Iterator<Item = Cow<'a, str>>) -> Option<Content<'a>> {
    let mut lines: Option<Cow<'a, str>> = None;
    for text in texts {
        lines = Some(match lines {
            None => text,
            Some(before) => Cow::Owned(format!("{before}\n{text}")),
        });
    }
    lines.map(Content::new)
}

/// The names on contact cards that were sent, a line each; where a card has none, its first number.
fn names<'a>(walk: &mut Walk<'a, '_>, object: &Object<'a>, kind: &str) -> io::Result<Option<Content<'a>>> {
    let mut names = Vec::new();
    let cards = object
        .get(kind)
        .and_then(|list| Elements::of(list).or_else(|| Elements::alone(list)));
    for card in cards.into_iter().flatten().take(MAX_NAMES) {
        let Some(card) = Object::read(card) else { continue };
        let mut name = match walk.object_in(&card, "name")? {
            Some(parts) => match walk.text(&parts, "formatted_name")? {
                None => walk.text(&parts, "first_name")?,
                name => name,
            },
            None => None,
        };
        if name.is_none() {
            let phones = card.get("phones").and_then(Elements::of);
            let first = phones.and_then(|mut phones| phones.next()).and_then(Object::read);
            name = first.map_or(Ok(None), |phone| walk.text(&phone, "phone"))?;
        }
        names.extend(name);
    }
    Ok(lines(names.into_iter()))
}

/// Something the vendor could not or would not pass on, with its reason.
fn bodiless<'a>(
    walk: &mut Walk<'a, '_>,
    kind: &str,
    object: &Object<'a>,
    details: &mut Shown,
) -> io::Result<Said<'a>> {
    let mut said = Said::of(ContentKind::Unsupported);
    said.ephemeral = kind == "ephemeral";
    if let Some(body) = walk.object_in(object, kind)? {
        if let Some(reason) = walk.text(&body, "type")? {
            said.ephemeral |= ["view_once", "ephemeral"]
                .iter()
                .any(|word| reason.contains(word));
            details.put(&format!("{kind}_type"), reason);
        }
        walk.show_unknown(details, &body, "unsupported", &[&["type"]])?;
    }
    Ok(said)
}

/// `voice` is what the on-premises API called a voice message.
const FILES: &[&str] = &["image", "video", "audio", "voice", "document", "sticker"];
const FILE: &[&str] = &[
    "id",
    "mime_type",
    "sha256",
    "caption",
    "filename",
    "url",
    "file_size",
];
/// Where the sender has it, and where the on-premises server kept it.
const WHERE: &[&str] = &["link", "file"];
/// Flags of files that are shown as they are.
const FLAGS: &[&str] = &["voice", "animated"];

fn file<'a>(
    walk: &mut Walk<'a, '_>,
    content: ContentKind,
    kind: &str,
    body: &Object<'a>,
    raw: &'a RawValue,
    details: &mut Shown,
) -> io::Result<Said<'a>> {
    for name in FLAGS {
        if let Some(flag) = walk.flag(body, name)? {
            details.put(name, flag);
        }
    }
    // `voice` is a flag in the details, and so no place for the rest of a body.
    let place = if kind == "voice" {
        details.put("voice", true);
        "audio"
    } else {
        kind
    };
    let mut rest = Shown::default();
    for name in WHERE {
        walk.show_field(&mut rest, body, name)?;
    }
    walk.show_unknown(&mut rest, body, "file", &[FILE, FLAGS, WHERE])?;
    details.put_map(place, rest);
    let (attachment, fetch) = media::attachment(walk, body, raw)?;
    if attachment.state != AttachmentState::Pending {
        walk.report.media_missing += 1;
    }
    Ok(Said {
        text: walk.content(body, "caption")?,
        attachments: vec![attachment],
        fetches: fetch.into_iter().collect(),
        ..Said::of(content)
    })
}

/// Replies to what the company sent, and what it sent when echoed.
const INTERACTIVE: &[&str] = &[
    "list_reply",
    "button_reply",
    "nfm_reply",
    "call_permission_reply",
    "button",
    "list",
    "product",
    "product_list",
    "catalog_message",
    "cta_url",
    "flow",
    "carousel",
    "voice_call",
    "address_message",
    "location_request_message",
    "call_permission_request",
];

fn interactive<'a>(
    walk: &mut Walk<'a, '_>,
    body: &Object<'a>,
    raw: &RawValue,
    details: &mut Shown,
) -> io::Result<Said<'a>> {
    let mut rest = Shown::default();
    walk.show_rest(&mut rest, body, &[])?;
    let mut kind = walk.text(body, "type")?;
    if kind.is_none() {
        walk.problem(
            "missing-type",
            "an interactive message does not say of what kind it is",
            raw,
        )?;
        let there = INTERACTIVE.iter().find(|name| body.has(name));
        kind = there.map(|name| Cow::Borrowed(*name));
    }
    let raw = kind.as_ref().and_then(|kind| body.get(kind));
    if let Some(place) = body
        .get("type")
        .filter(|_| !kind.as_deref().is_some_and(|k| INTERACTIVE.contains(&k)))
    {
        walk.problem(
            "unknown-interactive",
            "an interactive message is of a kind not known here",
            place,
        )?;
    }
    let reply = raw.map_or(Ok(None), |raw| walk.object(raw))?;
    let text = match (kind.as_deref(), &reply) {
        (Some("list_reply" | "button_reply"), Some(reply)) => walk.content(reply, "title")?,
        (Some("nfm_reply"), Some(reply)) => {
            form(walk, reply, &mut rest)?;
            walk.content(reply, "body")?
        }
        _ => match walk.object_in(body, "body")? {
            Some(sent) => walk.content(&sent, "text")?,
            None => None,
        },
    };
    details.put_map("interactive", rest);
    Ok(Said {
        text,
        ..Said::of(ContentKind::Interactive)
    })
}

/// A form's answers come as JSON inside a text; they are shown as a tree beside it.
fn form<'a>(walk: &mut Walk<'a, '_>, reply: &Object<'a>, rest: &mut Shown) -> io::Result<()> {
    let (Some(raw), Some(text)) = (reply.get("response_json"), walk.text(reply, "response_json")?) else {
        return Ok(());
    };
    match json::tree(&text) {
        Ok(answers) => {
            rest.put("answers", answers.value);
            Ok(())
        }
        Err(_) => walk.problem("bad-form", "a form's answers are not readable JSON", raw),
    }
}
