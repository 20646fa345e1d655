//! What became of a message or a call the company made: one status of one recipient.

use std::borrow::Cow;
use std::io;

use model::record::{Conversation, Event, EventKind};
use serde_json::value::RawValue;

use super::envelope::{Scope, bare};
use super::json::Object;
use super::people;
use super::walk::{Shown, Walk};

/// Ids of the recipient of a message to one person.
const RECIPIENT: &[&str] = &[
    "recipient_id",
    "recipient_user_id",
    "parent_recipient_user_id",
    "recipient_parent_user_id",
];
/// Ids of the member of a group whom the status concerns.
const PARTICIPANT: &[&str] = &[
    "recipient_participant_id",
    "recipient_participant_user_id",
    "recipient_participant_parent_user_id",
    "parent_recipient_participant_user_id",
];
/// Ids of somebody who pays.
const PAYER: &[&str] = &["from", "from_user_id", "from_parent_user_id"];
const KNOWN: &[&str] = &["id", "status", "timestamp", "recipient_type", "group_id"];
const SHOWN: &[&str] = &[
    "type",
    "conversation",
    "pricing",
    "errors",
    "biz_opaque_callback_data",
    "recipient_identity_key_hash",
    "payment",
    "message",
];

const MESSAGE_STATES: &[&str] = &[
    "sent",
    "delivered",
    "read",
    "played",
    "failed",
    "deleted",
    "pending",
    "warning",
    "error",
];
const CALL_STATES: &[&str] = &["ringing", "accepted", "rejected"];

/// Reads one status.
pub(super) fn status<'a>(walk: &mut Walk<'a, '_>, scope: &Scope<'a>, raw: &'a RawValue) -> io::Result<()> {
    let Some(object) = walk.object(raw)? else {
        return walk.lost("wrong-type", "a status is not an object", raw);
    };
    let mut details = scope.details();
    for name in SHOWN {
        walk.show_field(&mut details, &object, name)?;
    }
    walk.show_unknown(
        &mut details,
        &object,
        "status",
        &[KNOWN, SHOWN, RECIPIENT, PARTICIPANT, PAYER],
    )?;
    let kind = match walk.text(&object, "type")?.as_deref() {
        None | Some("message") => EventKind::Status,
        Some("call") => EventKind::Call,
        Some(_) => EventKind::Other,
    };
    let id = walk.content(&object, "id")?;
    if id.is_none() {
        walk.problem("missing-id", "a status does not say of which message", raw)?;
    }
    let state = state(walk, &object, kind, raw)?;
    if object.get("timestamp").is_none() {
        walk.problem("bad-timestamp", "a status has no time", raw)?;
    }
    let (actor, conversation) = recipient(walk, scope, &object, &mut details)?;
    if actor.is_none() && conversation.is_none() {
        walk.problem("missing-recipient", "a status does not say whom it concerns", raw)?;
    }
    let (platform_id, target) = if kind == EventKind::Call {
        (id, None)
    } else {
        (None, id)
    };
    let event = Event {
        platform_id,
        target,
        conversation,
        actor,
        occurred_at: walk.instant(&object, "timestamp")?,
        state,
        details: details.finish(),
        ..bare(kind)
    };
    walk.event(walk.span(raw), event)
}

/// The vendor's word in lower case; a history writes it in upper case.
fn state<'a>(
    walk: &mut Walk<'a, '_>,
    object: &Object<'a>,
    kind: EventKind,
    raw: &'a RawValue,
) -> io::Result<Option<Cow<'a, str>>> {
    let Some(word) = walk.text(object, "status")? else {
        walk.problem("missing-status", "a status says nothing", raw)?;
        return Ok(None);
    };
    let word = word.to_ascii_lowercase();
    let known = match kind {
        EventKind::Status => MESSAGE_STATES.contains(&&*word),
        EventKind::Call => CALL_STATES.contains(&&*word),
        _ => true,
    };
    if !known {
        walk.problem("unknown-status", "a status is of a kind not known here", raw)?;
    }
    Ok(Some(Cow::Owned(word)))
}

/// Whom it concerns, and in which conversation.
fn recipient<'a>(
    walk: &mut Walk<'a, '_>,
    scope: &Scope<'a>,
    object: &Object<'a>,
    details: &mut Shown,
) -> io::Result<(Option<model::record::Participant<'a>>, Option<Conversation<'a>>)> {
    let in_group = walk
        .text(object, "recipient_type")?
        .is_some_and(|kind| kind.eq_ignore_ascii_case("group"));
    let group = walk.text(object, "group_id")?;
    if in_group || group.is_some() {
        let group = match group {
            Some(group) => Some(group),
            None => walk.text(object, "recipient_id")?,
        };
        details.put("recipient_type", "group");
        let member = people::named(walk, object, PARTICIPANT)?;
        let member = scope.cards.told(walk, member, details)?;
        return Ok((people::someone(member), group.map(people::group)));
    }
    let mut person = people::named(walk, object, RECIPIENT)?;
    if person.ids.is_empty() {
        // The on-premises API names the recipient inside the message, a payment who pays.
        person = match walk.object_in(object, "message")? {
            Some(message) => people::named(walk, &message, RECIPIENT)?,
            None => people::named(walk, object, PAYER)?,
        };
    }
    let person = scope.cards.told(walk, person, details)?;
    let conversation = people::direct(&person);
    Ok((people::someone(person), conversation))
}
