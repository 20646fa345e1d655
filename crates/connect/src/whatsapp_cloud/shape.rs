//! What a JSON value is, told by the fields it has.
//!
//! The vendor sends deliveries. Gateways pass on parts of them, alone or inside something of their own, and the
//! on-premises API (until 2025) sent what is now a `value`.

use serde_json::value::RawValue;

use super::json::{Elements, Object};

/// The vendor's shapes, from the largest to the smallest.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// `entry`
    Delivery,
    /// `changes`
    Entry,
    /// `field` and `value`
    Change,
    /// One of [`LISTS`], and a sign that it is the vendor's.
    Value,
    Message,
    Status,
}

/// Lists of a `value` that hold messages or happenings.
pub(super) const LISTS: &[&str] = &[
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
    "automatic_events",
    "user_actions",
];

const OTHER_SIDE: &[&str] = &[
    "from",
    "from_user_id",
    "from_parent_user_id",
    "to",
    "to_user_id",
    "to_parent_user_id",
];

impl Shape {
    /// The shape of an object, where it has one.
    pub(super) fn of(object: &Object<'_>) -> Option<Shape> {
        let has = |name: &str| object.has(name);
        let text = |name: &str| object.get(name).is_some_and(|raw| raw.get().starts_with('"'));
        if has("entry") {
            Some(Shape::Delivery)
        } else if has("changes") {
            Some(Shape::Entry)
        } else if has("field") && has("value") {
            Some(Shape::Change)
        } else if has("timestamp") && text("type") && has("id") && OTHER_SIDE.iter().any(|name| has(name)) {
            Some(Shape::Message)
        } else if has("timestamp")
            && text("status")
            && has("id")
            && (has("recipient_id") || has("recipient_user_id"))
        {
            Some(Shape::Status)
        } else if is_value(object) {
            Some(Shape::Value)
        } else {
            None
        }
    }
}

/// Whether an object is a `value`: other programs have lists of messages and contacts too.
fn is_value(object: &Object<'_>) -> bool {
    let mut lists = LISTS.iter().filter(|name| object.has(name)).peekable();
    lists.peek().is_some()
        && (object.has("messaging_product")
            || inside(object, "metadata", |metadata| metadata.has("phone_number_id"))
            || lists.any(|name| inside(object, name, |first| is_ours(name, first))))
}

/// Whether the first element of a list looks like the vendor's.
fn is_ours(list: &str, first: &Object<'_>) -> bool {
    match list {
        "contacts" => first.has("wa_id") || first.has("user_id"),
        "messages" | "message_echoes" => {
            first.has("timestamp") && OTHER_SIDE.iter().any(|name| first.has(name))
        }
        "statuses" => first.has("status") && first.has("id"),
        "errors" => first.has("code") && (first.has("title") || first.has("message")),
        _ => false,
    }
}

/// Asks about an object in a field, or about the first in a list there.
fn inside(object: &Object<'_>, name: &str, ask: impl Fn(&Object<'_>) -> bool) -> bool {
    let raw = object.get(name);
    let first = raw.and_then(|raw| Elements::of(raw).map_or(Some(raw), |mut list| list.next()));
    first.and_then(Object::read).is_some_and(|first| ask(&first))
}

/// Objects around a delivery that are looked through for it: gateways put one or two.
const MAX_DEPTH: u32 = 3;

/// Whether a value has one of the vendor's shapes, or holds something that has.
pub(super) fn is_known(raw: &RawValue) -> bool {
    known_within(raw, MAX_DEPTH)
}

fn known_within(raw: &RawValue, depth: u32) -> bool {
    let Some(further) = depth.checked_sub(1) else {
        return false;
    };
    if let Some(mut elements) = Elements::of(raw) {
        return elements.next().is_some_and(|first| known_within(first, further));
    }
    Object::read(raw).is_some_and(|object| Shape::of(&object).is_some() || holds_known(&object, further))
}

fn holds_known(object: &Object<'_>, depth: u32) -> bool {
    object
        .fields()
        .iter()
        .any(|field| known_within(field.value, depth))
}
