//! What happened to a group: made, ended, joined, left, renamed, suspended.

use std::io;

use model::Content;
use model::record::{Conversation, Event, EventKind, Participant};
use serde_json::value::RawValue;

use super::envelope::{Scope, bare};
use super::json::Object;
use super::people;
use super::walk::{Shown, Walk};

const WHO: &[&str] = &["wa_id", "user_id", "parent_user_id", "input"];
const MAPPED: &[&str] = &[
    "timestamp",
    "group_id",
    "type",
    "wa_id",
    "user_id",
    "parent_user_id",
];
/// Shown as they are.
const SHOWN: &[&str] = &[
    "request_id",
    "join_request_id",
    "subject",
    "description",
    "invite_link",
    "join_approval_mode",
    "reason",
    "initiated_by",
    "added_participants",
    "removed_participants",
    "failed_participants",
    "group_subject",
    "group_description",
    "profile_picture",
    "errors",
];

/// A group of the vendor's has at most eight members; more than this are only shown in the details.
const MAX_MEMBERS: usize = 1_024;

/// Reads one happening. Several people joining at once make an event each; the first owns the bytes.
pub(super) fn group<'a>(walk: &mut Walk<'a, '_>, scope: &Scope<'a>, raw: &'a RawValue) -> io::Result<()> {
    let Some(object) = walk.object(raw)? else {
        return walk.lost("wrong-type", "a group's change is not an object", raw);
    };
    let mut details = scope.details();
    for name in SHOWN {
        walk.show_field(&mut details, &object, name)?;
    }
    walk.show_unknown(&mut details, &object, "group", &[MAPPED, SHOWN])?;
    let word = walk.text(&object, "type")?;
    let group = walk.text(&object, "group_id")?;
    if group.is_none() {
        walk.problem("missing-id", "a group's change does not say of which group", raw)?;
    }
    let subject = subject(walk, &object)?;
    let conversation = group.map(|id| Conversation {
        title: subject.clone(),
        ..people::group(id)
    });
    let kind = kind_of(word.as_deref(), subject.is_some());
    if kind == EventKind::Other && !word.as_deref().is_some_and(|word| OTHERS.contains(&word)) {
        walk.problem(
            "unknown-group-event",
            "a group's change is of a kind not known here",
            raw,
        )?;
    }
    let mut event = Event {
        conversation,
        occurred_at: walk.instant(&object, "timestamp")?,
        state: word,
        text: if matches!(kind, EventKind::Rename | EventKind::Other) {
            subject
        } else {
            None
        },
        details: details.finish(),
        ..bare(kind)
    };
    let moved = match kind {
        EventKind::Join => members(walk, scope, &object, "added_participants")?,
        EventKind::Leave => members(walk, scope, &object, "removed_participants")?,
        _ => Vec::new(),
    };
    if let (false, Some(details)) = (moved.is_empty(), &mut event.details) {
        // Each mover has an event; the lists would stand in every one of them.
        details
            .0
            .retain(|name, _| name != "added_participants" && name != "removed_participants");
    }
    if moved.is_empty() {
        let actor = people::someone(scope.cards.complete(people::named(walk, &object, WHO)?));
        return walk.event(
            walk.span(raw),
            Event {
                actor,
                ..nobody_moved(event)
            },
        );
    }
    for (place, actor) in moved.into_iter().enumerate() {
        let span = if place == 0 {
            walk.span(raw)
        } else {
            walk.place(raw)
        };
        walk.event(
            span,
            Event {
                actor: Some(actor),
                ..event.clone()
            },
        )?;
    }
    Ok(())
}

/// Kinds that are neither a join, a leave nor a new name.
const OTHERS: &[&str] = &[
    "group_create",
    "group_delete",
    "group_join_request_created",
    "group_join_request_revoked",
    "group_settings_update",
    "group_suspend",
    "group_suspend_cleared",
];

fn kind_of(word: Option<&str>, renamed: bool) -> EventKind {
    match word {
        Some("group_participants_add") => EventKind::Join,
        Some("group_participants_remove" | "group_participants_leave") => EventKind::Leave,
        Some("group_settings_update") if renamed => EventKind::Rename,
        _ => EventKind::Other,
    }
}

/// A list of joiners or leavers may be empty because every one of them failed: then nobody moved.
fn nobody_moved(event: Event<'_>) -> Event<'_> {
    let moved = matches!(event.event, EventKind::Join | EventKind::Leave);
    Event {
        event: if moved { EventKind::Other } else { event.event },
        ..event
    }
}

/// The group's name, where the change gives it or has set it.
fn subject<'a>(walk: &mut Walk<'a, '_>, object: &Object<'a>) -> io::Result<Option<Content<'a>>> {
    if let Some(subject) = walk.content(object, "subject")? {
        return Ok(Some(subject));
    }
    let Some(setting) = walk.object_in(object, "group_subject")? else {
        return Ok(None);
    };
    if walk.flag(&setting, "update_successful")? == Some(false) {
        return Ok(None);
    }
    walk.content(&setting, "text")
}

fn members<'a>(
    walk: &mut Walk<'a, '_>,
    scope: &Scope<'a>,
    object: &Object<'a>,
    list: &'static str,
) -> io::Result<Vec<Participant<'a>>> {
    let mut moved = Vec::new();
    for raw in object.all(list) {
        let Some(elements) = super::json::Elements::of(raw) else {
            walk.problem("wrong-type", "a list of members is no list", raw)?;
            continue;
        };
        for element in elements.take(MAX_MEMBERS) {
            let Some(member) = walk.object(element)? else {
                walk.problem("wrong-type", "a member is not an object", element)?;
                continue;
            };
            walk.show_unknown(&mut Shown::default(), &member, "member", &[WHO, &["errors"]])?;
            moved.push(scope.cards.complete(people::named(walk, &member, WHO)?));
        }
    }
    Ok(moved)
}
