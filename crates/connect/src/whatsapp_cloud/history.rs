//! Coexistence: chunks of the app's history, and its address book.

use std::borrow::Cow;
use std::io;

use model::record::{Event, EventKind, Participant};
use serde_json::Value;
use serde_json::value::RawValue;

use super::envelope::{Scope, bare};
use super::messages::{self, Origin};
use super::people;
use super::walk::{Shown, Walk};

/// The account's owner declined to share the history.
const DECLINED: i64 = 2_593_109;

/// Reads one chunk: an event that says how far the history has come, then its threads.
pub(super) fn chunk<'a>(walk: &mut Walk<'a, '_>, scope: &Scope<'a>, raw: &'a RawValue) -> io::Result<()> {
    let Some(object) = walk.object(raw)? else {
        return walk.lost("wrong-type", "a part of a history is not an object", raw);
    };
    let mut details = scope.details();
    let mut complete = false;
    if let Some(metadata) = walk.object_in(&object, "metadata")? {
        for name in ["phase", "chunk_order", "progress"] {
            walk.show_field(&mut details, &metadata, name)?;
        }
        complete = metadata
            .get("progress")
            .is_some_and(|p| p.get().trim_matches('"') == "100");
        let known: &[&str] = &["phase", "chunk_order", "progress"];
        walk.show_unknown(&mut details, &metadata, "history metadata", &[known])?;
    }
    walk.show_field(&mut details, &object, "errors")?;
    walk.show_unknown(
        &mut details,
        &object,
        "history",
        &[&["metadata", "threads", "errors"]],
    )?;
    let state = match details.0.get("errors") {
        Some(errors) if declined(errors) => "declined",
        Some(_) => "error",
        None if complete => "complete",
        None => "chunk",
    };
    // The messages inside own their bytes, so that a chunk with threads owns none.
    let span = if object.get("threads").is_some() {
        walk.place(raw)
    } else {
        walk.span(raw)
    };
    let event = Event {
        occurred_at: scope.delivered,
        state: Some(Cow::Borrowed(state)),
        details: details.finish(),
        ..bare(EventKind::HistorySync)
    };
    walk.event(span, event)?;
    for threads in object.all("threads") {
        for element in walk.elements(threads)?.into_iter().flatten() {
            thread(walk, scope, element)?;
        }
    }
    Ok(())
}

fn declined(errors: &Value) -> bool {
    let code = |error: &Value| {
        error
            .get("code")
            .and_then(|code| code.as_i64().or_else(|| code.as_str()?.parse().ok()))
    };
    errors
        .as_array()
        .is_some_and(|errors| errors.iter().any(|error| code(error) == Some(DECLINED)))
}

fn thread<'a>(walk: &mut Walk<'a, '_>, scope: &Scope<'a>, raw: &'a RawValue) -> io::Result<()> {
    let Some(object) = walk.object(raw)? else {
        return walk.lost("wrong-type", "a thread is not an object", raw);
    };
    let mut other = people::named(walk, &object, &["id"])?;
    if let Some(context) = walk.object_in(&object, "context")? {
        for id in people::named(walk, &context, &["wa_id", "user_id", "parent_user_id"])?.ids {
            people::add(&mut other, Some(id));
        }
        if let Some(name) = walk.text(&context, "username")? {
            people::add(&mut other, Some(people::username(name)));
        }
    }
    walk.show_unknown(
        &mut Shown::default(),
        &object,
        "thread",
        &[&["id", "context", "messages"]],
    )?;
    let other = scope.cards.complete(other);
    if other.ids.is_empty() {
        walk.problem("missing-thread-id", "a thread does not say with whom it was", raw)?;
    }
    for name in ["id", "context"] {
        object.get(name).map_or(Ok(()), |part| {
            walk.belongs(
                part,
                people::direct(&other).as_ref(),
                people::someone(other.clone()).as_ref(),
            )
        })?;
    }
    let origin = Origin::Thread(other);
    let before = walk.given();
    for list in object.all("messages") {
        for element in walk.elements(list)?.into_iter().flatten() {
            messages::message(walk, scope, &origin, element)?;
        }
    }
    walk.unless_given(before, "a thread holds no message", raw)
}

const CONTACT_IDS: &[&str] = &["phone_number", "wa_id", "user_id", "parent_user_id"];

/// Reads one change of the app's address book. The bytes belong to the person; the event owns none.
pub(super) fn contact<'a>(walk: &mut Walk<'a, '_>, scope: &Scope<'a>, raw: &'a RawValue) -> io::Result<()> {
    let Some(object) = walk.object(raw)? else {
        return walk.lost("wrong-type", "a change of the address book is not an object", raw);
    };
    let mut details = scope.details();
    let mut person = Participant::default();
    let kind = walk.text(&object, "type")?;
    if let Some(contact) = walk.object_in(&object, "contact")? {
        person = people::named(walk, &contact, CONTACT_IDS)?;
        person.name = walk.content(&contact, "full_name")?;
        let first = walk.text(&contact, "first_name")?;
        details.put_text("first_name", first.as_deref());
        if person.name.is_none() {
            person.name = first.map(model::Content::new);
        }
        if let Some(name) = walk.text(&contact, "username")? {
            people::add(&mut person, Some(people::username(name)));
        }
        let known: &[&str] = &["full_name", "first_name", "username"];
        walk.show_unknown(&mut details, &contact, "contact", &[known, CONTACT_IDS])?;
    }
    if kind.as_deref() != Some("contact") {
        walk.problem(
            "unknown-state-sync",
            "a change of the app's state is not of a contact",
            raw,
        )?;
    }
    walk.show_unknown(
        &mut details,
        &object,
        "state_sync",
        &[&["type", "contact", "action", "metadata"]],
    )?;
    let action = walk.text(&object, "action")?;
    let at = walk
        .object_in(&object, "metadata")?
        .map_or(Ok(None), |m| walk.instant(&m, "timestamp"))?;
    let state = format!(
        "{}_{}",
        kind.as_deref().unwrap_or("unknown"),
        action.as_deref().unwrap_or("unknown")
    );
    let conversation = people::direct(&person);
    let person = people::someone(person);
    walk.belongs(raw, conversation.as_ref(), person.as_ref())?;
    let event = Event {
        actor: person,
        occurred_at: at,
        state: Some(Cow::Owned(state)),
        details: details.finish(),
        ..bare(EventKind::Other)
    };
    walk.event(walk.place(raw), event)
}
