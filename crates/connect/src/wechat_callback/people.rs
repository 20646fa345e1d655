//! Who: by the ids these platforms use, and by nothing else.

use std::borrow::Cow;

use model::Content;
use model::record::{Conversation, ConversationShape, Identifier, Participant};

/// Length from which on an id that begins with `wm` or `wo` is somebody outside the company: theirs have 32
/// characters, while a member's id may be anything its company chose, most often short.
const OUTSIDE_CHARACTERS: usize = 30;

/// An open id has 28 characters and begins with `o`.
const OPEN_ID_CHARACTERS: usize = 28;

/// Somebody known by one id.
pub(super) fn person<'a>(kind: &'static str, value: Cow<'a, str>) -> Participant<'a> {
    Participant {
        name: None,
        ids: vec![Identifier {
            kind: Cow::Borrowed(kind),
            value: Content::new(value),
        }],
    }
}

/// What kind of id a sender's is, which no field says: it depends on whose callback it is.
pub(super) fn kind_of(sender: &str, account: Option<&str>, agent: bool) -> &'static str {
    let official = account.is_some_and(|account| account.starts_with("gh_"));
    if official {
        return "openid";
    }
    if is_outside(sender) {
        return "external_userid";
    }
    let company =
        agent || account.is_some_and(|account| account.starts_with("ww") || account.starts_with("wx"));
    if !company && sender.len() == OPEN_ID_CHARACTERS && sender.starts_with('o') {
        return "openid";
    }
    "userid"
}

/// Whether this is the id of somebody outside the company.
pub(super) fn is_outside(id: &str) -> bool {
    id.len() >= OUTSIDE_CHARACTERS && (id.starts_with("wm") || id.starts_with("wo"))
}

/// The conversation of two, known by this id.
pub(super) fn direct<'a>(id: impl Into<Cow<'a, str>>) -> Conversation<'a> {
    of(ConversationShape::Direct, id.into())
}

/// The group of this id.
pub(super) fn group<'a>(id: impl Into<Cow<'a, str>>) -> Conversation<'a> {
    of(ConversationShape::Group, id.into())
}

fn of(shape: ConversationShape, id: Cow<'_, str>) -> Conversation<'_> {
    Conversation {
        id: Some(Content::new(id)),
        title: None,
        shape,
    }
}
