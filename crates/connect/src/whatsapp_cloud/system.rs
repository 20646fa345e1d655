//! Lines that WhatsApp itself writes: a changed number, a changed key, a changed preference.
//!
//! The line is a message without a sender; what happened to the person is an event beside it, without bytes of
//! its own, because the line holds them.

use std::io;

use model::record::{ContentKind, Event, EventKind, Message};
use serde_json::value::RawValue;

use super::envelope::bare;
use super::json::Object;
use super::messages::{Head, blank};
use super::people;
use super::walk::{Shown, Walk};

const BODY: &[&str] = &["body", "type", "identity", "marketing"];
/// What the person is called from now on.
const NEW: &[&str] = &["wa_id", "new_wa_id", "user_id", "parent_user_id"];
/// What the person was called before, where the line says so.
const OLD: &[&str] = &["customer"];

/// Reads one line.
pub(super) fn line<'a>(
    walk: &mut Walk<'a, '_>,
    mut head: Head<'a>,
    object: &Object<'a>,
    raw: &'a RawValue,
) -> io::Result<()> {
    let Some(body) = walk.object_in(object, "system")? else {
        walk.problem("missing-body", "a message has no body of its type", raw)?;
        return walk.message(
            walk.span(raw),
            Message {
                sender: None,
                ..blank(head, ContentKind::System)
            },
        );
    };
    let word = walk.text(&body, "type")?;
    let text = walk.content(&body, "body")?;
    let new = people::named(walk, &body, NEW)?;
    let mut actor = head.sender.take().unwrap_or_default();
    for id in people::named(walk, &body, OLD)?.ids {
        people::add(&mut actor, Some(id));
    }
    head.conversation = head.conversation.or_else(|| people::direct(&actor));
    let mut about = Shown(head.details.0.clone());
    about.0.remove("type");
    if !new.ids.is_empty() {
        about.put("new_ids", people::shown(&new.ids));
    }
    walk.show_field(&mut about, &body, "identity")?;
    head.details.put_text("system_type", word.as_deref());
    walk.show_unknown(&mut head.details, &body, "system", &[BODY, NEW, OLD])?;
    let marketing = walk.text(&body, "marketing")?;
    let happened = match word.as_deref() {
        Some("user_preference_changed") => Some((EventKind::Consent, marketing)),
        Some(
            "user_changed_number"
            | "customer_changed_number"
            | "customer_identity_changed"
            | "user_identity_changed"
            | "user_changed_user_id",
        ) => Some((EventKind::IdentityChange, word.clone())),
        _ => {
            walk.problem(
                "unknown-system-type",
                "a system line is of a kind not known here",
                raw,
            )?;
            None
        }
    };
    let event = happened.map(|(kind, state)| Event {
        conversation: head.conversation.clone(),
        actor: people::someone(actor),
        occurred_at: head.at,
        state,
        details: about.finish(),
        ..bare(kind)
    });
    let message = Message {
        sender: None,
        text,
        ..blank(head, ContentKind::System)
    };
    walk.message(walk.span(raw), message)?;
    event.map_or(Ok(()), |event| walk.event(walk.place(raw), event))
}
