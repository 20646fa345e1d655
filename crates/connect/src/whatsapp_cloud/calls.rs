//! Calls: that there was one, with whom, when and how it ended; never what was said.

use std::io;

use model::record::{Event, EventKind};
use serde_json::value::RawValue;

use super::envelope::{Scope, bare};
use super::json::Object;
use super::people;
use super::walk::{Shown, Walk};

const FROM: &[&str] = &["from", "from_user_id", "from_parent_user_id"];
const TO: &[&str] = &["to", "to_user_id", "to_parent_user_id"];
/// `connection` repeats the session description.
const MAPPED: &[&str] = &["id", "event", "timestamp", "session", "connection"];
const SHOWN: &[&str] = &[
    "direction",
    "status",
    "start_time",
    "end_time",
    "duration",
    "errors",
    "biz_opaque_callback_data",
    "deeplink_payload",
    "cta_payload",
];

/// Reads one step of a call.
pub(super) fn call<'a>(walk: &mut Walk<'a, '_>, scope: &Scope<'a>, raw: &'a RawValue) -> io::Result<()> {
    let Some(object) = walk.object(raw)? else {
        return walk.lost("wrong-type", "a call is not an object", raw);
    };
    let mut details = scope.details();
    for name in SHOWN {
        walk.show_field(&mut details, &object, name)?;
    }
    session(walk, &object, &mut details)?;
    walk.show_unknown(&mut details, &object, "call", &[MAPPED, SHOWN, FROM, TO])?;
    let id = walk.content(&object, "id")?;
    if id.is_none() {
        walk.problem("missing-id", "a call has no id", raw)?;
    }
    let state = walk.text(&object, "event")?;
    if !matches!(state.as_deref(), Some("connect" | "terminate")) {
        walk.problem(
            "unknown-call-event",
            "a step of a call is of a kind not known here",
            raw,
        )?;
    }
    let from = people::named(walk, &object, FROM)?;
    let from = scope.cards.told(walk, from, &mut details)?;
    let to = people::named(walk, &object, TO)?;
    let to = scope.cards.told(walk, to, &mut details)?;
    let direction = walk.text(&object, "direction")?;
    let outgoing = scope.is_business(&from) || direction.as_deref() == Some("BUSINESS_INITIATED");
    let conversation = people::direct(if outgoing { &to } else { &from });
    if !to.ids.is_empty() {
        details.put("to", people::shown(&to.ids));
    }
    let event = Event {
        platform_id: id,
        conversation,
        actor: people::someone(from),
        occurred_at: walk.instant(&object, "timestamp")?,
        state,
        details: details.finish(),
        ..bare(EventKind::Call)
    };
    walk.event(walk.span(raw), event)
}

/// The description of a call's media names network addresses: its kind is shown, its text stays in the capture.
fn session<'a>(walk: &mut Walk<'a, '_>, object: &Object<'a>, details: &mut Shown) -> io::Result<()> {
    let Some(session) = walk.object_in(object, "session")? else {
        return Ok(());
    };
    let kind = walk.text(&session, "sdp_type")?;
    let mut shown = Shown::default();
    shown.put_text("sdp_type", kind.as_deref());
    walk.show_unknown(&mut shown, &session, "session", &[&["sdp_type", "sdp"]])?;
    details.put("session", shown.0);
    Ok(())
}
