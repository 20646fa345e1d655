//! Messages with a `MsgType`: what people write to an Official Account, a mini program or an app of WeCom.

use std::borrow::Cow;
use std::io;

use model::record::{
    Attachment, AttachmentState, ContentKind, Conversation, Direction, Message, Participant, TimeCertainty,
};
use model::{Content, Timestamp};
use serde_json::Value;

use super::people;
use super::times::instant;
use crate::pass::Pass;
use crate::tree::{self, Fields, Shown};
use crate::{Fetch, Span};

/// What all callbacks have, events too.
pub(super) struct Head<'a> {
    pub(super) sender: Option<Participant<'a>>,
    pub(super) conversation: Option<Conversation<'a>>,
    pub(super) at: Option<Timestamp>,
    /// It is of a kind that has no time.
    timeless: bool,
    pub(super) details: Shown,
}

/// Fields of the head.
pub(super) const HEAD: &[&str] = &[
    "ToUserName",
    "FromUserName",
    "CreateTime",
    "MsgType",
    "MsgId",
    "MsgID",
    "AgentID",
    "AgentId",
    "Encrypt",
    "MsgDataId",
    "Idx",
    // Of robots in groups, whose callbacks are XML. The address of the webhook is as good as a key, and not shown.
    "From",
    "ChatId",
    "ChatType",
    "WebhookUrl",
    "GetChatInfoUrl",
];

/// Who writes for the platform itself.
const SYSTEM: &str = "sys";

/// Reads the head.
pub(super) fn head<'a>(pass: &mut Pass<'_>, span: Span, fields: &'a Fields) -> io::Result<Head<'a>> {
    let to = tree::word(fields, "ToUserName");
    let agent = tree::first(fields, &["AgentID", "AgentId"]);
    let inner = tree::inner(fields, "From");
    let from = tree::word(fields, "FromUserName")
        .or_else(|| inner.and_then(|from| tree::word(from, "UserId")))
        .filter(|from| from != SYSTEM);
    // Robots in groups give none.
    let timeless = inner.is_some() && !fields.contains_key("CreateTime");
    let at = match timeless {
        true => None,
        false => instant(pass, span, fields, &["CreateTime", "TimeStamp"])?,
    };
    let mut details = Shown::default();
    details.text("to", to.clone());
    details.text("agent_id", agent.clone());
    let chat = tree::word(fields, "ChatId").filter(|_| inner.is_some());
    let conversation = chat.map(people::group).or_else(|| {
        from.as_ref().map(|from| match &agent {
            // One person and one app: the same person and another app is another conversation.
            Some(agent) => people::direct(format!("{agent}/{from}")),
            None => people::direct(from.clone()),
        })
    });
    let sender = from.map(|from| {
        let kind = people::kind_of(&from, to.as_deref(), agent.is_some() || inner.is_some());
        let mut person = people::person(kind, from);
        person.name = inner.and_then(|from| tree::text(from, "Name")).map(Content::new);
        person
    });
    Ok(Head {
        sender,
        conversation,
        at,
        timeless,
        details,
    })
}

/// What a message says.
pub(super) struct Said<'a> {
    pub(super) content: ContentKind,
    pub(super) text: Option<Cow<'a, str>>,
    pub(super) attachments: Vec<Attachment<'a>>,
    pub(super) fetches: Vec<Fetch>,
}

impl<'a> Said<'a> {
    pub(super) fn of(content: ContentKind, text: Option<Cow<'a, str>>) -> Self {
        Said {
            content,
            text,
            attachments: Vec::new(),
            fetches: Vec::new(),
        }
    }

    /// With a file that the platform holds.
    pub(super) fn file(mut self, file: File<'a>) -> Self {
        let there = file.media_id.is_some() || file.url.is_some();
        let media_id = file.media_id.clone().unwrap_or_default();
        if there {
            self.fetches.push(Fetch {
                media_id: Content::new(media_id.clone().into_owned()),
                url: file.url.map(|url| Content::new(url.into_owned())),
                media_type: file.media_type.map(str::to_owned),
                sha256: None,
                md5: None,
                pull: None,
            });
        }
        self.attachments.push(Attachment {
            name: file.name.map(Content::new),
            media_type: file.media_type.map(Cow::Borrowed),
            size_bytes: file.size_bytes,
            sha256: None,
            state: if there {
                AttachmentState::Pending
            } else {
                AttachmentState::Omitted
            },
            media_id: file.media_id.map(Content::new),
        });
        self
    }
}

/// A file as a message names it.
#[derive(Default)]
pub(super) struct File<'a> {
    pub(super) media_id: Option<Cow<'a, str>>,
    pub(super) url: Option<Cow<'a, str>>,
    pub(super) name: Option<Cow<'a, str>>,
    pub(super) media_type: Option<&'static str>,
    pub(super) size_bytes: Option<u64>,
}

/// The media type of a voice message's format.
pub(super) fn voice_type(format: Option<&str>) -> Option<&'static str> {
    match format?.to_ascii_lowercase().as_str() {
        "amr" => Some("audio/amr"),
        "speex" => Some("audio/speex"),
        "mp3" => Some("audio/mpeg"),
        "silk" => Some("audio/silk"),
        _ => None,
    }
}

/// Reads one message.
pub(super) fn message(pass: &mut Pass<'_>, span: Span, fields: &Fields) -> io::Result<()> {
    let mut head = head(pass, span, fields)?;
    let kind = tree::word(fields, "MsgType").unwrap_or_default();
    let id = tree::first(fields, &["MsgId", "MsgID"]);
    if id.is_none() {
        pass.problem(span, "missing-id", "a message has no id")?;
    }
    if head.sender.is_none() {
        pass.problem(span, "missing-sender", "a message does not say who wrote it")?;
    }
    head.details.text("type", Some(kind.clone()));
    head.details.fields(
        "article",
        fields,
        &[("MsgDataId", "msg_data_id"), ("Idx", "index")],
    );
    let (said, known) = said(&kind, fields, &mut head.details);
    if known.is_empty() {
        pass.problem(
            span,
            "unknown-message-type",
            "a message is of a type not known here",
        )?;
        head.details.rest("other", fields, HEAD);
    } else {
        pass.unknown(span, fields, &[HEAD, known])?;
        let twice = fields.iter().filter(|(_, value)| value.is_array());
        let twice: Fields = twice.map(|(name, value)| (name.clone(), value.clone())).collect();
        if !twice.is_empty() {
            pass.problem(
                span,
                "field-twice",
                "a field stands twice in one message; the last one was read",
            )?;
        }
        head.details.value("repeated", Value::Object(twice));
        head.details.rest("other", fields, &[HEAD, known].concat());
    }
    if missing(&said) {
        pass.problem(
            span,
            "missing-body",
            "a message has nothing of what its type should hold",
        )?;
    }
    let message = Message {
        platform_id: id.map(Content::new),
        conversation: head.conversation,
        sender: head.sender,
        direction: Direction::In,
        sent_at: head.at,
        time_certainty: match head.timeless {
            true => TimeCertainty::LocalUnknown,
            false => TimeCertainty::VendorUtc,
        },
        attachments: said.attachments,
        details: head.details.finish(),
        ..blank(said.content, said.text)
    };
    pass.message(span, message, &said.fetches)
}

fn missing(said: &Said<'_>) -> bool {
    match said.content {
        ContentKind::Text => said.text.is_none(),
        ContentKind::Image | ContentKind::Audio | ContentKind::Video => said.fetches.is_empty(),
        // A file of an Official Account is named, and cannot be fetched.
        ContentKind::Document => said
            .attachments
            .iter()
            .all(|file| file.name.is_none() && file.media_id.is_none()),
        _ => false,
    }
}

/// A message of which only this is known.
pub(super) fn blank<'a>(content: ContentKind, text: Option<Cow<'a, str>>) -> Message<'a> {
    Message {
        platform_id: None,
        conversation: None,
        sender: None,
        direction: Direction::Unknown,
        sent_at: None,
        sent_at_local: None,
        sent_at_local_alternatives: Vec::new(),
        time_certainty: TimeCertainty::VendorUtc,
        content,
        text: text.map(Content::new),
        attachments: Vec::new(),
        quote: None,
        forwarded: false,
        ephemeral: false,
        edited: false,
        deleted: false,
        details: None,
    }
}

/// What a message says, and the fields its type has; none for an unknown type.
fn said<'a>(kind: &str, fields: &'a Fields, details: &mut Shown) -> (Said<'a>, &'static [&'static str]) {
    let text = |name| tree::text(fields, name);
    let word = |name| tree::word(fields, name);
    match kind {
        "text" => {
            details.text("menu_id", word("bizmsgmenuid"));
            let known = &["Content", "bizmsgmenuid", "Text"];
            // Robots in groups put the text one level deeper.
            let content = match tree::inner(fields, "Text") {
                Some(inner) => tree::text(inner, "Content"),
                None => text("Content"),
            };
            (Said::of(ContentKind::Text, content), known)
        }
        "image" => {
            details.text("pic_url", word("PicUrl"));
            let file = File {
                media_id: word("MediaId"),
                url: word("PicUrl"),
                ..File::default()
            };
            (
                Said::of(ContentKind::Image, None).file(file),
                &["PicUrl", "MediaId"],
            )
        }
        "voice" => {
            let file = File {
                media_id: word("MediaId"),
                media_type: voice_type(word("Format").as_deref()),
                ..File::default()
            };
            let spoken = text("Recognition");
            details.fields(
                "voice",
                fields,
                &[
                    ("Format", "format"),
                    ("Recognition", "recognition"),
                    ("MediaId16K", "media_id_16k"),
                ],
            );
            let known = &["MediaId", "Format", "Recognition", "MediaId16K"];
            (Said::of(ContentKind::Audio, spoken).file(file), known)
        }
        "video" | "shortvideo" => {
            details.text("thumb_media_id", word("ThumbMediaId"));
            let file = File {
                media_id: word("MediaId"),
                ..File::default()
            };
            (
                Said::of(ContentKind::Video, None).file(file),
                &["MediaId", "ThumbMediaId"],
            )
        }
        "location" => {
            details.fields(
                "location",
                fields,
                &[
                    ("Location_X", "latitude"),
                    ("Location_Y", "longitude"),
                    ("Scale", "scale"),
                    ("Label", "label"),
                    ("AppType", "app_type"),
                ],
            );
            let known = &["Location_X", "Location_Y", "Scale", "Label", "AppType"];
            (Said::of(ContentKind::Location, text("Label")), known)
        }
        "link" => {
            details.fields(
                "link",
                fields,
                &[
                    ("Title", "title"),
                    ("Description", "description"),
                    ("Url", "url"),
                    ("PicUrl", "pic_url"),
                ],
            );
            let lines = lines([text("Title"), text("Description"), word("Url")]);
            (
                Said::of(ContentKind::Other, lines),
                &["Title", "Description", "Url", "PicUrl"],
            )
        }
        "file" => {
            details.fields(
                "file",
                fields,
                &[
                    ("FileMd5", "md5"),
                    ("FileKey", "file_key"),
                    ("Description", "description"),
                ],
            );
            let file = File {
                media_id: word("MediaId"),
                name: tree::first(fields, &["Title", "FileName"]),
                size_bytes: word("FileTotalLen").and_then(|size| size.parse().ok()),
                ..File::default()
            };
            let known = &[
                "MediaId",
                "Title",
                "FileName",
                "Description",
                "FileKey",
                "FileMd5",
                "FileTotalLen",
            ];
            (Said::of(ContentKind::Document, None).file(file), known)
        }
        "miniprogrampage" => {
            details.fields(
                "mini_program",
                fields,
                &[
                    ("Title", "title"),
                    ("AppId", "app_id"),
                    ("PagePath", "page_path"),
                    ("ThumbUrl", "thumb_url"),
                    ("ThumbMediaId", "thumb_media_id"),
                ],
            );
            let known = &["Title", "AppId", "PagePath", "ThumbUrl", "ThumbMediaId"];
            (Said::of(ContentKind::Other, text("Title")), known)
        }
        _ => (Said::of(ContentKind::Other, text("Content")), &[]),
    }
}

/// What is there of these, a line each.
pub(super) fn lines<'a, const N: usize>(parts: [Option<Cow<'a, str>>; N]) -> Option<Cow<'a, str>> {
    let parts: Vec<_> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| Cow::Owned(parts.join("\n")))
}

/// A value of JSON as it is written, for details.
pub(super) fn value(fields: &Fields, name: &str) -> Value {
    fields.get(name).cloned().unwrap_or_default()
}
