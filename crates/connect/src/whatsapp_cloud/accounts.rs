//! What concerns the account rather than a conversation: its own changes, users' preferences, errors of a whole
//! delivery, new ids of a user.

use std::borrow::Cow;
use std::io;

use model::record::{Event, EventKind};
use serde_json::value::RawValue;

use super::envelope::{Scope, bare};
use super::json::Object;
use super::people;
use super::walk::{Shown, Walk};

/// Webhook fields that say who changed what about the account, its numbers and its templates.
const GOVERNANCE: &[&str] = &[
    "account_alerts",
    "account_review_update",
    "account_settings_update",
    "account_update",
    "business_capability_update",
    "business_status_update",
    "business_username_update",
    "flows",
    "message_template_components_update",
    "message_template_quality_update",
    "message_template_status_update",
    "partner_solutions",
    "payment_configuration_update",
    "phone_number_name_update",
    "phone_number_quality_update",
    "security",
    "template_category_update",
    "template_correct_category_detection",
];

/// Where the vendor's word stands; each field uses another.
const WORDS: &[&str] = &[
    "event",
    "decision",
    "alert_type",
    "status",
    "new_category",
    "new_quality_score",
];

/// Whether a webhook field is about the account.
pub(super) fn is_governance(field: &str) -> bool {
    GOVERNANCE.contains(&field)
}

/// Words after which nothing more will come.
const ENDS: &[&str] = &[
    "PARTNER_REMOVED",
    "PARTNER_APP_UNINSTALLED",
    "ACCOUNT_DELETED",
    "ACCOUNT_OFFBOARDED",
];

/// Reads a `value` that holds none of the lists of messages or happenings.
pub(super) fn change<'a>(
    walk: &mut Walk<'a, '_>,
    scope: &Scope<'a>,
    object: &Object<'a>,
    raw: &'a RawValue,
) -> io::Result<()> {
    let governance = is_governance(&scope.field);
    if !governance {
        walk.problem(
            "unknown-webhook-field",
            "a change is of a field not known here, or holds nothing",
            raw,
        )?;
    }
    let mut state = word(walk, object)?;
    if let (None, true, Some(alert)) = (
        &state,
        governance,
        object.get("alert_info").and_then(Object::read),
    ) {
        state = word(walk, &alert)?;
    }
    // Its own time, where it has one, else that of the delivery.
    let own = if object.has("timestamp") {
        walk.instant(object, "timestamp")?
    } else {
        None
    };
    let mut details = scope.details();
    details.put_text("field", Some(&*scope.field).filter(|name| !name.is_empty()));
    if state.as_deref().is_some_and(|word| ENDS.contains(&word)) {
        details.put("capture_ends", true);
    }
    walk.show(&mut details, "value", raw)?;
    let event = Event {
        occurred_at: own.or(scope.delivered),
        state,
        details: details.finish(),
        ..bare(if governance {
            EventKind::Account
        } else {
            EventKind::Other
        })
    };
    walk.event(walk.span(raw), event)
}

/// Keeps what a change holds when it is no object.
pub(super) fn plain<'a>(walk: &mut Walk<'a, '_>, scope: &Scope<'a>, raw: &'a RawValue) -> io::Result<()> {
    let mut details = scope.details();
    details.put_text("field", Some(&*scope.field).filter(|name| !name.is_empty()));
    walk.show(&mut details, "value", raw)?;
    let event = Event {
        occurred_at: scope.delivered,
        details: details.finish(),
        ..bare(EventKind::Other)
    };
    walk.event(walk.span(raw), event)
}

fn word<'a>(walk: &mut Walk<'a, '_>, object: &Object<'a>) -> io::Result<Option<Cow<'a, str>>> {
    let text = |name: &&&str| object.get(name).is_some_and(|word| word.get().starts_with('"'));
    WORDS
        .iter()
        .find(text)
        .map_or(Ok(None), |name| walk.text(object, name))
}

/// Fields of something that happened beside a message.
const HAPPENED: &[&str] = &["id", "timestamp", "event_name", "action_type"];

/// Reads what the vendor noticed beside the messages: a purchase or a lead in a conversation, a click on a link.
pub(super) fn noticed<'a>(walk: &mut Walk<'a, '_>, scope: &Scope<'a>, raw: &'a RawValue) -> io::Result<()> {
    let Some(object) = walk.object(raw)? else {
        return walk.lost("wrong-type", "something noticed is not an object", raw);
    };
    let state = match walk.text(&object, "event_name")? {
        None => walk.text(&object, "action_type")?,
        name => name,
    };
    let person = people::named(walk, &object, WHO)?;
    let mut details = scope.details();
    let person = scope.cards.told(walk, person, &mut details)?;
    details.put_text("field", Some(&*scope.field).filter(|name| !name.is_empty()));
    walk.show_rest(&mut details, &object, &[HAPPENED, WHO].concat())?;
    let event = Event {
        target: walk.content(&object, "id")?,
        conversation: people::direct(&person),
        actor: people::someone(person),
        occurred_at: walk.instant(&object, "timestamp")?,
        state,
        details: details.finish(),
        ..bare(EventKind::Other)
    };
    walk.event(walk.span(raw), event)
}

/// Reads an error of the whole delivery: the vendor had something and did not pass it on.
pub(super) fn error<'a>(walk: &mut Walk<'a, '_>, scope: &Scope<'a>, raw: &'a RawValue) -> io::Result<()> {
    walk.problem(
        "vendor-error",
        "the vendor reports an error instead of a message",
        raw,
    )?;
    let mut details = scope.details();
    let mut list = Shown::default();
    walk.show(&mut list, "error", raw)?;
    details.put(
        "errors",
        list.0.into_iter().map(|(_, error)| error).collect::<Vec<_>>(),
    );
    let event = Event {
        occurred_at: scope.delivered,
        state: Some(Cow::Borrowed("error")),
        details: details.finish(),
        ..bare(EventKind::Other)
    };
    walk.event(walk.span(raw), event)
}

const WHO: &[&str] = &["wa_id", "user_id", "parent_user_id"];

/// Reads what a user wants to receive.
pub(super) fn preference<'a>(
    walk: &mut Walk<'a, '_>,
    scope: &Scope<'a>,
    raw: &'a RawValue,
) -> io::Result<()> {
    let Some(object) = walk.object(raw)? else {
        return walk.lost("wrong-type", "a preference is not an object", raw);
    };
    let person = people::named(walk, &object, WHO)?;
    let mut details = scope.details();
    let person = scope.cards.told(walk, person, &mut details)?;
    for name in ["category", "detail"] {
        walk.show_field(&mut details, &object, name)?;
    }
    let known: &[&str] = &["category", "detail", "value", "timestamp"];
    walk.show_unknown(&mut details, &object, "preference", &[known, WHO])?;
    let event = Event {
        conversation: people::direct(&person),
        actor: people::someone(person),
        occurred_at: walk.instant(&object, "timestamp")?,
        state: walk.text(&object, "value")?,
        details: details.finish(),
        ..bare(EventKind::Consent)
    };
    walk.event(walk.span(raw), event)
}

/// Reads that a user is called otherwise from now on.
pub(super) fn new_id<'a>(walk: &mut Walk<'a, '_>, scope: &Scope<'a>, raw: &'a RawValue) -> io::Result<()> {
    let Some(object) = walk.object(raw)? else {
        return walk.lost("wrong-type", "a change of an id is not an object", raw);
    };
    let mut person = people::named(walk, &object, &["wa_id"])?;
    let mut new = Vec::new();
    for name in ["user_id", "parent_user_id"] {
        let Some(change) = walk.object_in(&object, name)? else {
            continue;
        };
        for id in people::named(walk, &change, &["previous"])?.ids {
            people::add(&mut person, Some(id));
        }
        new.extend(people::named(walk, &change, &["current"])?.ids);
    }
    let mut details = scope.details();
    if !new.is_empty() {
        details.put("new_ids", people::shown(&new));
    }
    walk.show_field(&mut details, &object, "detail")?;
    walk.show_unknown(&mut details, &object, "new id", &[WHO, &["detail", "timestamp"]])?;
    let person = scope.cards.told(walk, person, &mut details)?;
    let event = Event {
        conversation: people::direct(&person),
        actor: people::someone(person),
        occurred_at: walk.instant(&object, "timestamp")?,
        state: Some(Cow::Borrowed("user_id_update")),
        details: details.finish(),
        ..bare(EventKind::IdentityChange)
    };
    walk.event(walk.span(raw), event)
}
