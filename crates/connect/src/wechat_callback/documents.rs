//! From bytes to documents: one XML element or one JSON value each, several of them in a file.

use serde_json::Value;
use serde_json::value::RawValue;

use super::xml::{self, NotRead};

/// Longer documents are not read: a message has some kilobytes.
pub(super) const MAX_DOCUMENT_BYTES: usize = 1 << 20;
/// Levels of JSON that are read. A record puts some more around it, and readers' usual limit is 128.
const MAX_DEPTH: usize = 64;

/// What stands at a place of a text.
pub(super) enum Document<'a> {
    /// An XML element.
    Xml(Value),
    /// A JSON value, as it is written.
    Json(&'a RawValue),
}

/// The document that `text` begins with, and its length. `text` begins with no blank.
pub(super) fn first(text: &str) -> Result<(Document<'_>, usize), NotRead> {
    if text.starts_with('<') {
        // Not looked at further than the longest document: the end may be far, or nowhere.
        let near = text.get(..boundary(text, MAX_DOCUMENT_BYTES)).unwrap_or(text);
        return match xml::read(near) {
            Ok((value, end)) => Ok((Document::Xml(value), end)),
            Err(NotRead::Malformed) if near.len() < text.len() => Err(NotRead::TooLarge),
            Err(wrong) => Err(wrong),
        };
    }
    if !text.starts_with(['{', '[']) {
        return Err(NotRead::Malformed);
    }
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
    match values.next() {
        Some(Ok(raw)) => Ok((Document::Json(raw), values.byte_offset())),
        Some(Err(error)) if error.to_string().starts_with("recursion limit") => Err(NotRead::TooLarge),
        _ => Err(NotRead::Malformed),
    }
}

/// A JSON value as a tree, if it is not too large to be one.
pub(super) fn json(text: &str) -> Result<Value, NotRead> {
    if text.len() > MAX_DOCUMENT_BYTES {
        return Err(NotRead::TooLarge);
    }
    let value: Value = serde_json::from_str(text).map_err(|error| {
        if error.to_string().starts_with("recursion limit") {
            NotRead::TooLarge
        } else {
            NotRead::Malformed
        }
    })?;
    if depth(&value) > MAX_DEPTH {
        return Err(NotRead::TooLarge);
    }
    Ok(value)
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(list) => 1 + list.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// The elements of a JSON list, one at a time.
pub(super) struct Elements<'a>(&'a str);

impl<'a> Elements<'a> {
    /// The elements of `raw`, or nothing when it is no list.
    pub(super) fn of(raw: &'a RawValue) -> Option<Self> {
        raw.get().strip_prefix('[').map(Elements)
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a RawValue;

    fn next(&mut self) -> Option<&'a RawValue> {
        let rest = self.0.trim_start_matches([' ', '\t', '\r', '\n', ',']);
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<&RawValue>();
        let element = values.next()?.ok()?;
        self.0 = rest.get(values.byte_offset()..)?;
        Some(element)
    }
}

/// The start of the first line after `from` that could begin a document.
pub(super) fn next_line(text: &str, from: usize) -> Option<usize> {
    let rest = text.get(from..)?;
    let mut starts = rest.match_indices('\n').map(|(newline, _)| newline + 1);
    let begins =
        |line: &str| line.starts_with("<xml>") || line.starts_with("<?xml") || line.starts_with(['{', '[']);
    starts
        .find(|&start| rest.get(start..).is_some_and(begins))
        .map(|start| from + start)
}

/// The last place at or before `at` where a character begins.
fn boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len()))
        .rev()
        .find(|&place| text.is_char_boundary(place))
        .unwrap_or(0)
}
