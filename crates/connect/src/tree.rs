//! Looking into a message that was read as a tree, where a number may come as text and a text as number.

use std::borrow::Cow;

use model::record::Details;
use serde_json::{Map, Value};

/// The fields of a message.
pub(crate) type Fields = Map<String, Value>;

/// What stands in a value that is one text, number or truth; of a name that came several times, in the last.
pub(crate) fn scalar(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        Value::Bool(truth) => Some(Cow::Borrowed(if *truth { "true" } else { "false" })),
        Value::Array(list) => list.last().filter(|last| !last.is_array()).and_then(scalar),
        Value::Null | Value::Object(_) => None,
    }
}

/// The text in a field as it is written; an empty one counts as absent.
pub(crate) fn text<'a>(fields: &'a Fields, name: &str) -> Option<Cow<'a, str>> {
    scalar(fields.get(name)?).filter(|text| !text.is_empty())
}

/// An id, word or number in a field, without the blanks that a printer of XML may have put around it.
pub(crate) fn word<'a>(fields: &'a Fields, name: &str) -> Option<Cow<'a, str>> {
    let trimmed = match text(fields, name)? {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
        Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
    };
    Some(trimmed).filter(|word| !word.is_empty())
}

/// The first of these fields that holds something.
pub(crate) fn first<'a>(fields: &'a Fields, names: &[&str]) -> Option<Cow<'a, str>> {
    names.iter().find_map(|name| word(fields, name))
}

/// The fields in a field.
pub(crate) fn inner<'a>(fields: &'a Fields, name: &str) -> Option<&'a Fields> {
    match fields.get(name)? {
        Value::Object(inner) => Some(inner),
        Value::Array(list) => list.last().and_then(Value::as_object),
        _ => None,
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Details being put together.
#[derive(Default)]
pub(crate) struct Shown(Fields);

impl Shown {
    /// A text under a name, where there is one.
    pub(crate) fn text(&mut self, name: &str, text: Option<Cow<'_, str>>) {
        if let Some(text) = text {
            self.0.insert(name.to_owned(), Value::String(text.into_owned()));
        }
    }

    /// A value under a name, unless it is empty.
    pub(crate) fn value(&mut self, name: &str, value: Value) {
        if !is_empty(&value) {
            self.0.insert(name.to_owned(), value);
        }
    }

    /// Fields of a message under names of ours, as they are written.
    pub(crate) fn fields(&mut self, under: &str, fields: &Fields, names: &[(&str, &str)]) {
        let taken = names.iter().filter_map(|(theirs, ours)| {
            let value = fields.get(*theirs).filter(|value| !value.is_null())?;
            (!is_empty(value)).then(|| ((*ours).to_owned(), value.clone()))
        });
        self.value(under, Value::Object(taken.collect()));
    }

    /// All fields but these, under a name.
    pub(crate) fn rest(&mut self, under: &str, fields: &Fields, but: &[&str]) {
        let rest = fields
            .iter()
            .filter(|(name, value)| !but.contains(&name.as_str()) && !is_empty(value))
            .map(|(name, value)| (name.clone(), value.clone()));
        self.value(under, Value::Object(rest.collect()));
    }

    /// The details, or nothing when there are none.
    pub(crate) fn finish(self) -> Option<Details> {
        (!self.0.is_empty()).then_some(Details(self.0))
    }
}
