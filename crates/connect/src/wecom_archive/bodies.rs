//! What a message says, by its kind.

use std::borrow::Cow;
use std::io;

use model::Content;
use model::record::{Attachment, AttachmentState, ContentKind, Participant, Quote};
use serde_json::Value;
use serde_json::value::RawValue;

use super::fields::{self, Fields};
use super::kinds::{Form, Kind, Line, MediaType};
use super::{nested, quote};
use crate::walk::Walk;
use crate::{Fetch, whatsapp_export};

/// What a message says.
pub(super) struct Said {
    pub(super) content: ContentKind,
    pub(super) text: Option<String>,
    pub(super) attachments: Vec<Attachment<'static>>,
    pub(super) fetches: Vec<Fetch>,
    pub(super) quote: Option<Quote<'static>>,
    pub(super) forwarded: bool,
    /// The fields as the source has them, without what stands elsewhere in the record.
    pub(super) shown: Fields,
}

impl Said {
    pub(super) fn of(content: ContentKind) -> Self {
        Said {
            content,
            text: None,
            attachments: Vec::new(),
            fetches: Vec::new(),
            quote: None,
            forwarded: false,
            shown: Fields::new(),
        }
    }
}

/// Reads bodies of one message. Problems are placed where the message is: what lies in a text inside a text has no
/// place of its own.
pub(super) struct Reader<'w, 'a, 's> {
    pub(super) walk: &'w mut Walk<'a, 's>,
    pub(super) place: &'a RawValue,
    /// A quote found now is one of this message, not of one forwarded in it.
    pub(super) own_words: bool,
}

/// Numbers that name something. Large ones cannot stand as numbers, so none does.
const NAMES: &[&str] = &["meetingid", "meeting_id", "voteid"];

impl Reader<'_, '_, '_> {
    pub(super) fn problem(&mut self, code: &'static str, detail: &'static str) -> io::Result<()> {
        self.walk.problem(code, detail, self.place)
    }

    /// Reads a body of this kind, `depth` messages inside another.
    pub(super) fn read(&mut self, kind: &Kind, mut body: Fields, depth: usize) -> io::Result<Said> {
        if !kind.known.is_empty() {
            for name in body.keys().filter(|name| !kind.known.contains(&name.as_str())) {
                self.walk.tell_unknown(kind.word, name, self.place)?;
            }
        }
        for name in NAMES {
            if let Some(value @ Value::Number(_)) = body.get_mut(*name) {
                *value = Value::String(value.to_string());
            }
        }
        let mut said = match kind.form {
            Form::Lines => Said::of(kind.content),
            Form::Text => return self.plain(kind, body),
            Form::Nested { forwarded } => return nested::read(self, body, forwarded, depth),
            Form::File(media) => self.file(kind, &body, media)?,
            Form::Named => {
                self.walk.report.media_missing += 1;
                Said {
                    attachments: vec![described(&body, MediaType::ByName, AttachmentState::Omitted)],
                    ..Said::of(kind.content)
                }
            }
        };
        body.remove("sdkfileid");
        said.text = lines(kind.lines, &body);
        said.shown = body;
        Ok(said)
    }

    /// Text, in which a quote may be written. Where it was taken apart, the whole text stands in the details.
    fn plain(&mut self, kind: &Kind, mut body: Fields) -> io::Result<Said> {
        let mut said = Said::of(kind.content);
        let content = body.get("content");
        let right = matches!(content, Some(Value::String(_)));
        if !right {
            let (code, detail) = match content {
                None => ("missing-body", "a text message has no text"),
                Some(_) => ("wrong-type", "a text is something other than text"),
            };
            self.problem(code, detail)?;
        }
        let text = fields::text(&body, "content").unwrap_or_default();
        let may_quote = kind.word == "text" && self.own_words;
        let quoted = may_quote.then(|| quote::take_apart(&text)).flatten();
        let reply = match &quoted {
            Some(quoted) => {
                said.quote = Some(Quote {
                    platform_id: None,
                    sender: quoted.sender.map(|name| Participant {
                        name: Some(Content::new(name.to_owned())),
                        ids: Vec::new(),
                    }),
                    text: Some(Content::new(quoted.text.to_owned())),
                });
                quoted.reply.to_owned()
            }
            None => {
                if right {
                    body.remove("content");
                }
                text
            }
        };
        said.text = Some(reply).filter(|text| !text.is_empty());
        said.shown = body;
        Ok(said)
    }

    fn file(&mut self, kind: &Kind, body: &Fields, media: MediaType) -> io::Result<Said> {
        let mut said = Said::of(kind.content);
        let media_id = fields::text(body, "sdkfileid");
        let md5 = fields::text(body, "md5sum");
        let right = |md5: &String| md5.len() == 32 && md5.bytes().all(|b| b.is_ascii_hexdigit());
        if md5.as_ref().is_some_and(|md5| !right(md5)) {
            self.problem("bad-hash", "a file's declared MD5 is not 32 hex digits")?;
        }
        let Some(media_id) = media_id else {
            self.problem("missing-media-id", "a file comes without the id to fetch it by")?;
            self.walk.report.media_missing += 1;
            said.attachments
                .push(described(body, media, AttachmentState::Omitted));
            return Ok(said);
        };
        let mut attachment = described(body, media, AttachmentState::Pending);
        attachment.media_id = Some(Content::new(media_id.clone()));
        said.fetches.push(Fetch {
            media_id: Content::new(media_id),
            url: None,
            media_type: attachment.media_type.as_deref().map(str::to_owned),
            sha256: None,
            md5: md5.filter(right).map(|md5| md5.to_ascii_lowercase()),
            pull: None,
        });
        said.attachments.push(attachment);
        Ok(said)
    }
}

/// The attachment that a body describes.
fn described(body: &Fields, media: MediaType, state: AttachmentState) -> Attachment<'static> {
    let name = fields::text(body, "filename");
    let extension = fields::text(body, "fileext").map(|extension| format!(".{extension}"));
    let media_type = match media {
        MediaType::Is(media_type) => Some(media_type),
        MediaType::ByName => [name.as_deref(), extension.as_deref()]
            .into_iter()
            .flatten()
            .find_map(|name| whatsapp_export::media::by_name(name).0),
        MediaType::Emotion => match fields::number(body, "type") {
            Some(1) => Some("image/gif"),
            Some(2) => Some("image/png"),
            _ => None,
        },
        MediaType::Unsaid => None,
    };
    let sizes = ["filesize", "voice_size", "imagesize"];
    Attachment {
        name: name.map(Content::new),
        media_type: media_type.map(Cow::Borrowed),
        size_bytes: sizes.iter().find_map(|size| fields::number(body, size)),
        sha256: None,
        state,
        media_id: None,
    }
}

/// The fields that are the text, a line each.
fn lines(of: &[Line], body: &Fields) -> Option<String> {
    let mut text = Vec::new();
    for line in of {
        match *line {
            Line::Of(name) => match body.get(name) {
                Some(Value::Array(list)) => {
                    text.extend(list.iter().filter_map(Value::as_str).map(str::to_owned))
                }
                _ => text.extend(fields::text(body, name)),
            },
            Line::Each(list, names) => text.extend(
                fields::objects(body, list)
                    .flat_map(|one| names.iter().filter_map(|name| fields::text(one, name))),
            ),
        }
    }
    (!text.is_empty()).then(|| text.join("\n"))
}
