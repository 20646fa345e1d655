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

/// A group of the vendor's has at most eight members.
const MAX_MEMBERS: usize = 1_024;

/// Reads one happening. Several people joining at once make an event each; the first owns the bytes.
pub(super) fn group<'a>(walk: &mut Walk<'a, '_>, scope: &Scope<'a>, raw: &'a RawValue) -> io::Result<()> {
    let Some(object) = walk.object(raw)? else {
        return walk.lost("wrong-type", "a group's change is not an object", raw);
    };
    let mut event = happening(walk, scope, &object, raw)?;
    let moved = match event.event {
        EventKind::Join => members(walk, scope, &object, "added_participants")?,
        EventKind::Leave => members(walk, scope, &object, "removed_participants")?,
        _ => Vec::new(),
    };
    if moved.is_empty() {
        event.actor = people::someone(scope.cards.complete(people::named(walk, &object, WHO)?));
        return walk.event(walk.span(raw), nobody_moved(event));
    }
    if let Some(details) = &mut event.details {
        // Each mover has an event; the lists would stand in every one of them.
        let list = |name: &str| name == "added_participants" || name == "removed_participants";
        details.0.retain(|name, _| !list(name));
    }
    let mut span = walk.span(raw);
    for actor in moved {
        event.actor = Some(actor);
        walk.event(span, event.clone())?;
        span = walk.place(raw);
    }
    Ok(())
}

/// What happened, without whom it happened to.
fn happening<'a>(
    walk: &mut Walk<'a, '_>,
    scope: &Scope<'a>,
    object: &Object<'a>,
    raw: &'a RawValue,
) -> io::Result<Event<'a>> {
    let mut details = scope.details();
    for name in SHOWN {
        walk.show_field(&mut details, object, name)?;
    }
    walk.show_unknown(&mut details, object, "group", &[MAPPED, SHOWN])?;
    let word = walk.text(object, "type")?;
    let group = walk.text(object, "group_id")?;
    if group.is_none() {
        walk.problem("missing-id", "a group's change does not say of which group", raw)?;
    }
    let subject = subject(walk, object)?;
    let title = subject.clone();
    let kind = kind_of(word.as_deref(), subject.is_some());
    if kind == EventKind::Other && !word.as_deref().is_some_and(|word| OTHERS.contains(&word)) {
        let detail = "a group's change is of a kind not known here";
        walk.problem("unknown-group-event", detail, raw)?;
    }
    Ok(Event {
        conversation: group.map(|id| Conversation {
            title,
            ..people::group(id)
        }),
        occurred_at: walk.instant(object, "timestamp")?,
        state: word,
        text: subject.filter(|_| matches!(kind, EventKind::Rename | EventKind::Other)),
        details: details.finish(),
        ..bare(kind)
    })
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
        for element in elements {
            if moved.len() >= MAX_MEMBERS {
                walk.problem(
                    "too-many-members",
                    "not every member that moved has an event",
                    raw,
                )?;
                break;
            }
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
