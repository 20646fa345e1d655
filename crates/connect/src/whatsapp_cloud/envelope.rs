//! From the body to the things in it: bodies, entries, changes, and the lists of a `value`.
//!
//! What a list holds decides how it is read, never the field's name: media of a history come as `messages` under
//! the field `history`.

use std::borrow::Cow;
use std::io;

use model::Timestamp;
use model::record::{Event, EventKind, Participant};
use serde_json::value::RawValue;

use super::json::{Field, Object};
use super::messages::Origin;
use super::people::{self, Cards};
use super::walk::{Shown, Walk};
use super::{accounts, calls, groups, history, messages, statuses};

/// What is known of a `value` before its lists are read.
#[derive(Default)]
pub(super) struct Scope<'a> {
    /// The business account.
    pub(super) account: Option<Cow<'a, str>>,
    /// When the delivery was made, where it says so.
    pub(super) delivered: Option<Timestamp>,
    /// The webhook field.
    pub(super) field: Cow<'a, str>,
    /// The company's own number, digits only.
    pub(super) business_phone: Option<Cow<'a, str>>,
    /// The vendor's id of that number.
    pub(super) phone_number_id: Option<Cow<'a, str>>,
    /// Names and further ids.
    pub(super) cards: Cards<'a>,
    /// Nothing in this `value` speaks of a group.
    pub(super) direct_only: bool,
}

impl<'a> Scope<'a> {
    /// Details that every record carries: which of the company's numbers it concerns.
    pub(super) fn details(&self) -> Shown {
        let mut details = Shown::default();
        details.put_text("account_id", self.account.as_deref());
        details.put_text("business_phone", self.business_phone.as_deref());
        details.put_text("phone_number_id", self.phone_number_id.as_deref());
        details
    }

    /// The company's side.
    pub(super) fn business(&self) -> Participant<'a> {
        let mut business = Participant::default();
        people::add(
            &mut business,
            self.business_phone.clone().and_then(people::identifier),
        );
        people::add(
            &mut business,
            self.phone_number_id.clone().map(people::phone_number_id),
        );
        business
    }

    /// Whether this person is the company.
    pub(super) fn is_business(&self, person: &Participant<'_>) -> bool {
        let ours = self.business_phone.as_deref();
        ours.is_some()
            && person
                .ids
                .iter()
                .any(|id| id.kind == "phone" && Some(id.value.reveal()) == ours)
    }
}

const OBJECT: &str = "whatsapp_business_account";

/// One delivery, or a list of deliveries.
pub(super) fn body<'a>(walk: &mut Walk<'a, '_>, raw: &'a RawValue) -> io::Result<()> {
    if let Some(elements) = super::json::Elements::of(raw) {
        for element in elements {
            delivery(walk, element)?;
        }
        return Ok(());
    }
    delivery(walk, raw)
}

fn delivery<'a>(walk: &mut Walk<'a, '_>, raw: &'a RawValue) -> io::Result<()> {
    let Some(object) = walk.object(raw)? else {
        return walk.lost(
            "not-a-delivery",
            "there is a JSON value that is not an object",
            raw,
        );
    };
    if object.get("entry").is_none() {
        if object.get("field").is_some() && object.get("value").is_some() {
            return change(walk, &Scope::default(), raw);
        }
        return walk.lost("not-a-delivery", "an object has no `entry`", raw);
    }
    if object.get("object").is_some() && walk.text(&object, "object")?.as_deref() != Some(OBJECT) {
        walk.problem(
            "unknown-object",
            "the delivery is not of a WhatsApp business account",
            raw,
        )?;
    }
    for field in object.fields() {
        match &*field.name {
            "object" => {}
            "entry" => {
                for element in walk.elements(field.value)?.into_iter().flatten() {
                    entry(walk, element)?;
                }
            }
            _ => loose(walk, &Scope::default(), "delivery", field)?,
        }
    }
    Ok(())
}

fn entry<'a>(walk: &mut Walk<'a, '_>, raw: &'a RawValue) -> io::Result<()> {
    let Some(object) = walk.object(raw)? else {
        return walk.lost("wrong-type", "an entry is not an object", raw);
    };
    let scope = Scope {
        account: walk.text(&object, "id")?,
        delivered: walk.instant(&object, "time")?,
        ..Scope::default()
    };
    if object.get("changes").is_none() {
        walk.problem("missing-field", "an entry has no `changes`", raw)?;
    }
    for field in object.fields() {
        match &*field.name {
            "id" | "time" => {}
            "changes" => {
                for element in walk.elements(field.value)?.into_iter().flatten() {
                    change(walk, &scope, element)?;
                }
            }
            _ => loose(walk, &scope, "entry", field)?,
        }
    }
    Ok(())
}

fn change<'a>(walk: &mut Walk<'a, '_>, outer: &Scope<'a>, raw: &'a RawValue) -> io::Result<()> {
    let Some(object) = walk.object(raw)? else {
        return walk.lost("wrong-type", "a change is not an object", raw);
    };
    let field = walk.text(&object, "field")?;
    if field.is_none() {
        walk.problem("missing-field", "a change does not name its field", raw)?;
    }
    if object.get("value").is_none() {
        walk.problem("missing-field", "a change has no `value`", raw)?;
    }
    let scope = Scope {
        account: outer.account.clone(),
        delivered: outer.delivered,
        field: field.unwrap_or_default(),
        ..Scope::default()
    };
    for field in object.fields() {
        match &*field.name {
            "field" => {}
            "value" if field.value.get() == "null" => {}
            "value" => value(walk, &scope, field.value)?,
            _ => loose(walk, &scope, "change", field)?,
        }
    }
    Ok(())
}

/// Lists of a `value` that hold messages or happenings.
const LISTS: &[&str] = &[
    "contacts",
    "messages",
    "message_echoes",
    "statuses",
    "errors",
    "groups",
    "calls",
    "history",
    "state_sync",
    "user_preferences",
    "user_id_update",
];

fn value<'a>(walk: &mut Walk<'a, '_>, outer: &Scope<'a>, raw: &'a RawValue) -> io::Result<()> {
    let Some(object) = walk.object(raw)? else {
        return walk.lost("wrong-type", "a `value` is not an object", raw);
    };
    if !LISTS.iter().any(|name| object.get(name).is_some()) {
        return accounts::change(walk, outer, &object, raw);
    }
    let mut scope = scope_of(walk, outer, &object)?;
    scope.direct_only = !raw.get().contains("\"group");
    for list in object.all("contacts") {
        Cards::read(walk, list, &mut scope.cards)?;
    }
    for field in object.fields() {
        match &*field.name {
            "messaging_product" | "metadata" => {}
            name if LISTS.contains(&name) => list(walk, &scope, name, field.value)?,
            _ => loose(walk, &scope, "value", field)?,
        }
    }
    Ok(())
}

fn scope_of<'a>(walk: &mut Walk<'a, '_>, outer: &Scope<'a>, object: &Object<'a>) -> io::Result<Scope<'a>> {
    let (mut business_phone, mut phone_number_id) = (None, None);
    if let Some(metadata) = walk.object_in(object, "metadata")? {
        let shown = walk.text(&metadata, "display_phone_number")?;
        business_phone = shown
            .as_deref()
            .and_then(people::phone)
            .map(|digits| Cow::Owned(digits.into_owned()));
        if let (None, Some(_), Some(raw)) = (&business_phone, &shown, metadata.get("display_phone_number")) {
            walk.problem(
                "unknown-id-form",
                "the company's number is not a telephone number",
                raw,
            )?;
        }
        phone_number_id = walk.text(&metadata, "phone_number_id")?;
        let known: &[&str] = &["display_phone_number", "phone_number_id"];
        walk.show_unknown(&mut Shown::default(), &metadata, "metadata", &[known])?;
    }
    Ok(Scope {
        account: outer.account.clone(),
        delivered: outer.delivered,
        field: outer.field.clone(),
        business_phone,
        phone_number_id,
        ..Scope::default()
    })
}

/// Reads one list of a `value`, whatever field the change names.
fn list<'a>(walk: &mut Walk<'a, '_>, scope: &Scope<'a>, name: &str, raw: &'a RawValue) -> io::Result<()> {
    for element in walk.elements(raw)?.into_iter().flatten() {
        match name {
            "contacts" => people::card(walk, element, scope.direct_only),
            "messages" => messages::message(walk, scope, &Origin::Received, element),
            "message_echoes" => messages::message(walk, scope, &Origin::Echo, element),
            "statuses" => statuses::status(walk, scope, element),
            "errors" => accounts::error(walk, scope, element),
            "groups" => groups::group(walk, scope, element),
            "calls" => calls::call(walk, scope, element),
            "history" => history::chunk(walk, scope, element),
            "state_sync" => history::contact(walk, scope, element),
            "user_preferences" => accounts::preference(walk, scope, element),
            _ => accounts::new_id(walk, scope, element),
        }?;
    }
    Ok(())
}

/// A field that belongs to nothing known: kept, as an event of its own bytes.
fn loose<'a>(
    walk: &mut Walk<'a, '_>,
    scope: &Scope<'a>,
    whose: &'static str,
    field: &Field<'a>,
) -> io::Result<()> {
    walk.tell_unknown(whose, &field.name, field.value)?;
    let mut details = scope.details();
    details.put_text("field", Some(&*scope.field).filter(|name| !name.is_empty()));
    let mut other = Shown::default();
    walk.show(&mut other, &field.name, field.value)?;
    details.put_map("other", other);
    let event = Event {
        occurred_at: scope.delivered,
        details: details.finish(),
        ..bare(EventKind::Other)
    };
    walk.event(walk.span(field.value), event)
}

/// An event of which nothing is known yet.
pub(super) fn bare<'a>(event: EventKind) -> Event<'a> {
    Event {
        event,
        platform_id: None,
        target: None,
        conversation: None,
        actor: None,
        occurred_at: None,
        state: None,
        text: None,
        attachments: Vec::new(),
        details: None,
    }
}
