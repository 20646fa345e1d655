//! The kinds of message, as data.

use model::record::ContentKind;

/// How a body is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// The fields named by `lines` are the text.
    Lines,
    /// `content` is the text, in which the client may have written a quote.
    Text,
    /// A file that is fetched by its `sdkfileid`.
    File(MediaType),
    /// A file of which only the name is given.
    Named,
    /// A list of messages, each with its type: they are read as messages of their own.
    Nested {
        /// Messages forwarded together, with their times; else the parts of one message.
        forwarded: bool,
    },
}

/// The media type of a file, which the vendor gives by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MediaType {
    Is(&'static str),
    /// By the extension.
    ByName,
    /// `type` 1 is a GIF, 2 a PNG.
    Emotion,
    /// The vendor does not say.
    Unsaid,
}

/// Where a line of the text comes from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Line {
    /// A field; of a list, a line each.
    Of(&'static str),
    /// The fields of each object in a list.
    Each(&'static str, &'static [&'static str]),
}
use Line::{Each, Of};

/// One kind of message.
pub(super) struct Kind {
    /// The vendor's word.
    pub(super) word: &'static str,
    /// The fields that may hold the body, the usual one first.
    pub(super) keys: &'static [&'static str],
    /// Fields that stand beside the body, or in its place.
    pub(super) beside: &'static [&'static str],
    pub(super) content: ContentKind,
    pub(super) form: Form,
    /// Fields of the body that are known.
    pub(super) known: &'static [&'static str],
    pub(super) lines: &'static [Line],
}

const LINES: Kind = Kind {
    word: "",
    keys: &[],
    beside: &[],
    content: ContentKind::Other,
    form: Form::Lines,
    known: &[],
    lines: &[],
};

/// A kind that is not known: what usually holds words is shown as its text, everything in the details.
pub(super) const UNKNOWN: Kind = Kind {
    lines: &[Of("title"), Of("description"), Of("content"), Of("text")],
    ..LINES
};

/// Every kind the vendor documents. Field by field after the vendor's page 91774 as of 2026-01-19, at second hand;
/// `solitaire` and `note` are named there, their fields were not seen.
pub(super) const KINDS: &[Kind] = &[
    Kind {
        word: "text",
        keys: &["text"],
        content: ContentKind::Text,
        form: Form::Text,
        known: &["content"],
        lines: &[Of("content")],
        ..LINES
    },
    Kind {
        word: "markdown",
        keys: &["info", "markdown"],
        content: ContentKind::Text,
        form: Form::Text,
        known: &["content"],
        lines: &[Of("content")],
        ..LINES
    },
    Kind {
        word: "image",
        keys: &["image"],
        content: ContentKind::Image,
        form: Form::File(MediaType::Is("image/jpeg")),
        known: &["md5sum", "filesize", "sdkfileid"],
        ..LINES
    },
    Kind {
        word: "voice",
        keys: &["voice"],
        content: ContentKind::Audio,
        form: Form::File(MediaType::Is("audio/amr")),
        known: &["md5sum", "voice_size", "play_length", "sdkfileid"],
        ..LINES
    },
    Kind {
        word: "video",
        keys: &["video"],
        content: ContentKind::Video,
        form: Form::File(MediaType::Is("video/mp4")),
        known: &["md5sum", "filesize", "play_length", "sdkfileid"],
        ..LINES
    },
    Kind {
        word: "emotion",
        keys: &["emotion"],
        content: ContentKind::Sticker,
        form: Form::File(MediaType::Emotion),
        known: &["type", "width", "height", "imagesize", "md5sum", "sdkfileid"],
        ..LINES
    },
    Kind {
        word: "file",
        keys: &["file"],
        content: ContentKind::Document,
        form: Form::File(MediaType::ByName),
        known: &["md5sum", "filename", "fileext", "filesize", "sdkfileid"],
        ..LINES
    },
    Kind {
        word: "voip_doc_share",
        keys: &["voip_doc_share"],
        beside: &["voipid"],
        content: ContentKind::Document,
        form: Form::File(MediaType::ByName),
        known: &["filename", "md5sum", "filesize", "sdkfileid"],
        ..LINES
    },
    Kind {
        word: "meeting_voice_call",
        keys: &["meeting_voice_call"],
        beside: &["voiceid"],
        content: ContentKind::Call,
        form: Form::File(MediaType::Unsaid),
        known: &["endtime", "sdkfileid", "demofiledata", "sharescreendata"],
        ..LINES
    },
    Kind {
        word: "voiptext",
        keys: &["info", "voiptext"],
        content: ContentKind::Call,
        known: &["callduration", "invitetype"],
        ..LINES
    },
    Kind {
        word: "qydiskfile",
        keys: &["info", "qydiskfile"],
        content: ContentKind::Document,
        form: Form::Named,
        known: &["filename"],
        ..LINES
    },
    Kind {
        word: "docmsg",
        keys: &["doc", "docmsg"],
        content: ContentKind::Document,
        known: &["title", "doc_creator", "link_url"],
        lines: &[Of("title"), Of("link_url")],
        ..LINES
    },
    Kind {
        word: "card",
        keys: &["card"],
        content: ContentKind::Contact,
        known: &["corpname", "userid"],
        lines: &[Of("corpname"), Of("userid")],
        ..LINES
    },
    Kind {
        word: "location",
        keys: &["location"],
        content: ContentKind::Location,
        known: &["longitude", "latitude", "address", "title", "zoom"],
        lines: &[Of("title"), Of("address")],
        ..LINES
    },
    Kind {
        word: "link",
        keys: &["link"],
        known: &["title", "description", "link_url", "image_url"],
        lines: &[Of("title"), Of("description"), Of("link_url")],
        ..LINES
    },
    Kind {
        word: "news",
        keys: &["info", "news"],
        known: &["item"],
        lines: &[Each("item", &["title", "description", "url"])],
        ..LINES
    },
    Kind {
        word: "weapp",
        keys: &["weapp"],
        known: &["title", "description", "username", "displayname"],
        lines: &[Of("title"), Of("description"), Of("displayname")],
        ..LINES
    },
    Kind {
        word: "sphfeed",
        keys: &["sphfeed"],
        known: &["feed_type", "sph_name", "feed_desc"],
        lines: &[Of("sph_name"), Of("feed_desc")],
        ..LINES
    },
    Kind {
        word: "mixed",
        keys: &["mixed"],
        content: ContentKind::Text,
        form: Form::Nested { forwarded: false },
        known: &["item"],
        ..LINES
    },
    Kind {
        word: "chatrecord",
        keys: &["chatrecord"],
        content: ContentKind::Text,
        form: Form::Nested { forwarded: true },
        known: &["title", "item"],
        ..LINES
    },
    Kind {
        word: "vote",
        keys: &["vote"],
        beside: &["votetitle", "voteitem", "votetype", "voteid"],
        content: ContentKind::Poll,
        known: &["votetitle", "voteitem", "votetype", "voteid"],
        lines: &[Of("votetitle"), Of("voteitem")],
        ..LINES
    },
    Kind {
        word: "collect",
        keys: &["collect"],
        content: ContentKind::Interactive,
        known: &["room_name", "creator", "create_time", "title", "details"],
        lines: &[Of("title"), Each("details", &["ques"])],
        ..LINES
    },
    Kind {
        word: "todo",
        keys: &["todo"],
        known: &["title", "content"],
        lines: &[Of("title"), Of("content")],
        ..LINES
    },
    Kind {
        word: "redpacket",
        keys: &["redpacket"],
        known: &["type", "wish", "totalcnt", "totalamount"],
        lines: &[Of("wish")],
        ..LINES
    },
    Kind {
        word: "external_redpacket",
        keys: &["redpacket", "external_redpacket"],
        known: &["type", "wish", "totalcnt", "totalamount"],
        lines: &[Of("wish")],
        ..LINES
    },
    Kind {
        word: "meeting",
        keys: &["meeting"],
        known: &[
            "topic",
            "starttime",
            "endtime",
            "address",
            "remarks",
            "meetingtype",
            "meetingid",
            "status",
        ],
        lines: &[Of("topic"), Of("address"), Of("remarks")],
        ..LINES
    },
    Kind {
        word: "meeting_notification",
        keys: &["meeting_notification", "info"],
        known: &["meeting_id", "notification_type", "content"],
        lines: &[Of("content")],
        ..LINES
    },
    Kind {
        word: "calendar",
        keys: &["calendar"],
        known: &[
            "title",
            "creatorname",
            "attendeename",
            "starttime",
            "endtime",
            "place",
            "remarks",
        ],
        lines: &[Of("title"), Of("place"), Of("remarks")],
        ..LINES
    },
    Kind {
        word: "solitaire",
        keys: &["solitaire", "info"],
        ..UNKNOWN
    },
    Kind {
        word: "note",
        keys: &["note", "info"],
        ..UNKNOWN
    },
    Kind {
        word: "notes",
        keys: &["notes", "note", "info"],
        ..UNKNOWN
    },
];

/// The kind of this word.
pub(super) fn of(word: &str) -> Option<&'static Kind> {
    KINDS.iter().find(|kind| kind.word == word)
}

/// The kind of an item inside a message: `ChatRecordText` for `text`.
pub(super) fn nested(word: &str) -> Option<&'static Kind> {
    let plain = word.strip_prefix("ChatRecord").filter(|rest| !rest.is_empty());
    let plain = plain.unwrap_or(word);
    KINDS.iter().find(|kind| kind.word.eq_ignore_ascii_case(plain))
}
