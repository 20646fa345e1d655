//! From the body to the things in it: bodies, entries, changes, and the lists of a `value`.
//!
//! What a list holds decides how it is read, never the field's name: media of a history come as `messages` under
//! the field `history`. A part of a delivery may stand alone: the dashboard's test button sends a change, the
//! on-premises API sent what is a `value` now, and gateways put either into something of their own.

use std::borrow::Cow;
use std::io;

use model::Timestamp;
use model::record::{Event, EventKind, Participant};
use serde_json::value::RawValue;

use super::json::{Field, Object};
use super::messages::Origin;
use super::people::{self, Card, Cards};
use super::shape::{self, LISTS, Shape};
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
    /// What its metadata says besides.
    more: Shown,
    /// How many things that are not the vendor's lie around it.
    wraps: u8,
}

impl<'a> Scope<'a> {
    /// Details that every record carries: which of the company's numbers it concerns.
    pub(super) fn details(&self) -> Shown {
        let mut details = Shown::default();
        details.put_text("account_id", self.account.as_deref());
        details.put_text("business_phone", self.business_phone.as_deref());
        details.put_text("phone_number_id", self.phone_number_id.as_deref());
        details.0.extend(self.more.0.clone());
        details
    }

    /// What holds for something inside that stands for itself.
    fn deeper(&self) -> Scope<'a> {
        Scope {
            account: self.account.clone(),
            delivered: self.delivered,
            field: self.field.clone(),
            business_phone: self.business_phone.clone(),
            phone_number_id: self.phone_number_id.clone(),
            cards: Cards::default(),
            direct_only: false,
            more: Shown::default(),
            wraps: self.wraps + 1,
        }
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

/// What stands around the lists of a `value`, and is in the scope.
const AROUND: &[&str] = &["messaging_product", "metadata", "meta"];

/// Deliveries inside one another, which nobody sends: what lies deeper is kept and not read.
const MAX_WRAPS: u8 = 3;

/// One delivery or a part of one, or a list of such.
pub(super) fn body<'a>(walk: &mut Walk<'a, '_>, raw: &'a RawValue) -> io::Result<()> {
    any(walk, &Scope::default(), raw)
}

fn any<'a>(walk: &mut Walk<'a, '_>, scope: &Scope<'a>, raw: &'a RawValue) -> io::Result<()> {
    let before = walk.given();
    match super::json::Elements::of(raw) {
        Some(mut elements) => elements.try_for_each(|element| one(walk, scope, element))?,
        None => one(walk, scope, raw)?,
    }
    walk.unless_given(before, "a body holds nothing", raw)
}

fn one<'a>(walk: &mut Walk<'a, '_>, scope: &Scope<'a>, raw: &'a RawValue) -> io::Result<()> {
    let Some(object) = Object::read(raw) else {
        return walk.lost(
            "not-a-delivery",
            "there is a JSON value that is not an object",
            raw,
        );
    };
    match Shape::of(&object) {
        Some(Shape::Delivery) => delivery(walk, scope, raw),
        Some(Shape::Entry) => entry(walk, scope, raw),
        Some(Shape::Change) => change(walk, scope, raw),
        Some(Shape::Value) => value(walk, scope, raw),
        Some(Shape::Message) => messages::message(walk, scope, &Origin::Received, raw),
        Some(Shape::Status) => statuses::status(walk, scope, raw),
        None if scope.wraps < MAX_WRAPS && shape::is_known(raw) => {
            let detail = "a delivery, or a part of one, lies inside something else; it was read all the same";
            walk.problem("unknown-object", detail, raw)?;
            match walk.object(raw)? {
                Some(object) => wrapper(walk, scope, "wrapper", &object),
                None => Ok(()),
            }
        }
        None => walk.lost(
            "not-a-delivery",
            "an object has no `entry`, and is no part of a delivery that is known here",
            raw,
        ),
    }
}

/// Something that holds what is known among other things.
fn wrapper<'a>(
    walk: &mut Walk<'a, '_>,
    scope: &Scope<'a>,
    whose: &'static str,
    object: &Object<'a>,
) -> io::Result<()> {
    let inner = scope.deeper();
    for field in object.fields() {
        match &*field.name {
            _ if shape::is_known(field.value) => any(walk, &inner, field.value)?,
            name if whose == "value" && AROUND.contains(&name) => {}
            _ if field.value.get() == "null" => {}
            _ => loose(walk, scope, whose, field)?,
        }
    }
    Ok(())
}

fn delivery<'a>(walk: &mut Walk<'a, '_>, scope: &Scope<'a>, raw: &'a RawValue) -> io::Result<()> {
    let Some(object) = walk.object(raw)? else {
        return Ok(());
    };
    if object.has("object") && walk.text(&object, "object")?.as_deref() != Some(OBJECT) {
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
                    entry(walk, scope, element)?;
                }
            }
            _ => loose(walk, scope, "delivery", field)?,
        }
    }
    Ok(())
}

fn entry<'a>(walk: &mut Walk<'a, '_>, outer: &Scope<'a>, raw: &'a RawValue) -> io::Result<()> {
    let before = walk.given();
    let Some(object) = walk.object(raw)? else {
        return walk.lost("wrong-type", "an entry is not an object", raw);
    };
    let scope = Scope {
        account: walk.text(&object, "id")?,
        delivered: walk.instant(&object, "time")?,
        wraps: outer.wraps,
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
    walk.unless_given(before, "an entry holds nothing", raw)
}

fn change<'a>(walk: &mut Walk<'a, '_>, outer: &Scope<'a>, raw: &'a RawValue) -> io::Result<()> {
    let before = walk.given();
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
        wraps: outer.wraps,
        ..Scope::default()
    };
    for field in object.fields() {
        match &*field.name {
            "field" => {}
            "value" if field.value.get() == "null" => {}
            "value" => value_or_list(walk, &scope, field.value)?,
            _ => loose(walk, &scope, "change", field)?,
        }
    }
    walk.unless_given(before, "a change holds nothing", raw)
}

/// What a change holds. A list in its place is read element by element, anything else kept as it is.
fn value_or_list<'a>(walk: &mut Walk<'a, '_>, scope: &Scope<'a>, raw: &'a RawValue) -> io::Result<()> {
    if raw.get().starts_with('{') {
        return value(walk, scope, raw);
    }
    walk.problem("wrong-type", "a `value` is not an object", raw)?;
    match super::json::Elements::of(raw) {
        Some(mut elements) => elements.try_for_each(|element| match element.get().starts_with('{') {
            true => value(walk, scope, element),
            false => accounts::plain(walk, scope, element),
        }),
        None => accounts::plain(walk, scope, raw),
    }
}

fn value<'a>(walk: &mut Walk<'a, '_>, outer: &Scope<'a>, raw: &'a RawValue) -> io::Result<()> {
    let Some(object) = walk.object(raw)? else {
        return walk.lost("wrong-type", "a `value` is not an object", raw);
    };
    let mut scope = scope_of(walk, outer, &object)?;
    let governance = accounts::is_governance(&scope.field);
    // Reports on flows have a list of `errors` that are theirs, and not of this delivery.
    let mut lists = LISTS.iter().filter(|name| object.has(name));
    if !lists.any(|name| !governance || *name != "errors") {
        if governance || outer.wraps >= MAX_WRAPS || !shape::is_known(raw) {
            return accounts::change(walk, &scope, &object, raw);
        }
        if Shape::of(&object).is_some() {
            return one(walk, &outer.deeper(), raw);
        }
        return wrapper(walk, &scope, "value", &object);
    }
    scope.direct_only = !raw.get().contains("\"group");
    for list in object.all("contacts") {
        Cards::read(walk, list, &mut scope.cards)?;
    }
    let inner = scope.deeper();
    for field in object.fields() {
        match &*field.name {
            name if AROUND.contains(&name) => {}
            name if LISTS.contains(&name) => list(walk, &scope, name, field.value)?,
            _ if scope.wraps < MAX_WRAPS && shape::is_known(field.value) => {
                walk.tell_unknown("value", &field.name, field.value)?;
                any(walk, &inner, field.value)?;
            }
            _ => loose(walk, &scope, "value", field)?,
        }
    }
    for card in scope.cards.untold() {
        contact(walk, &scope, card)?;
    }
    Ok(())
}

/// A contact card that belongs to nobody who wrote or got something here. Its bytes are given already.
fn contact<'a>(walk: &mut Walk<'a, '_>, scope: &Scope<'a>, card: &Card<'a>) -> io::Result<()> {
    let mut details = scope.details();
    card.show_more(walk, &mut details)?;
    let event = Event {
        conversation: people::direct(&card.person).filter(|_| scope.direct_only),
        actor: people::someone(card.person.clone()),
        occurred_at: scope.delivered,
        state: Some(Cow::Borrowed("contact")),
        details: details.finish(),
        ..bare(EventKind::Other)
    };
    walk.event(walk.place(card.raw), event)
}

fn scope_of<'a>(walk: &mut Walk<'a, '_>, outer: &Scope<'a>, object: &Object<'a>) -> io::Result<Scope<'a>> {
    let mut scope = outer.deeper();
    scope.wraps = outer.wraps;
    if let Some(metadata) = walk.object_in(object, "metadata")? {
        let shown = walk.text(&metadata, "display_phone_number")?;
        let digits = shown.as_deref().and_then(people::phone);
        if let Some(digits) = digits {
            scope.business_phone = Some(Cow::Owned(digits.into_owned()));
        } else if let (Some(_), Some(raw)) = (&shown, metadata.get("display_phone_number")) {
            walk.problem(
                "unknown-id-form",
                "the company's number is not a telephone number",
                raw,
            )?;
            scope.more.put_text("display_phone_number", shown.as_deref());
        }
        scope.phone_number_id = walk.text(&metadata, "phone_number_id")?.or(scope.phone_number_id);
        let known: &[&str] = &["display_phone_number", "phone_number_id"];
        walk.show_unknown(&mut scope.more, &metadata, "metadata", &[known])?;
    }
    // The on-premises API's own version.
    walk.show_field(&mut scope.more, object, "meta")?;
    Ok(scope)
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
            "user_id_update" => accounts::new_id(walk, scope, element),
            _ => accounts::noticed(walk, scope, element),
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
