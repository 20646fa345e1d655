//! JSON read where it lies: every value knows its place in the body, and a repeated key is seen.
//!
//! Nothing here copies a value it was not asked for, and nothing grows with the number of elements of a list.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// More fields than this in one object are not looked at: the vendor's largest has about thirty.
const MAX_FIELDS: usize = 4_096;

/// Longer values stay in the capture only. A tree of small values takes some twenty times its text.
const MAX_VALUE_BYTES: usize = 1 << 20;

/// One field of an object.
pub(super) struct Field<'a> {
    pub(super) name: Cow<'a, str>,
    pub(super) value: &'a RawValue,
}

/// The fields of an object in the order they lie.
pub(super) struct Object<'a> {
    fields: Vec<Field<'a>>,
    /// The value of the first key that came a second time.
    pub(super) repeated: Option<&'a RawValue>,
    /// There were more fields than are looked at.
    pub(super) cut: bool,
}

impl<'a> Object<'a> {
    /// The fields of `raw`, or nothing when it is no object.
    pub(super) fn read(raw: &'a RawValue) -> Option<Self> {
        if !raw.get().starts_with('{') {
            return None;
        }
        serde_json::from_str(raw.get()).ok()
    }

    /// The value of a field; `null` counts as absent. Of a repeated key the last, as most readers do.
    pub(super) fn get(&self, name: &str) -> Option<&'a RawValue> {
        let field = self.fields.iter().rev().find(|field| field.name == name)?;
        (field.value.get() != "null").then_some(field.value)
    }

    /// Every value given under this name.
    pub(super) fn all(&self, name: &'static str) -> impl Iterator<Item = &'a RawValue> {
        self.fields
            .iter()
            .filter(move |field| field.name == name)
            .map(|field| field.value)
    }

    /// Whether a field is there and not `null`.
    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// All fields.
    pub(super) fn fields(&self) -> &[Field<'a>] {
        &self.fields
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Object<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
                let mut object = Object {
                    fields: Vec::new(),
                    repeated: None,
                    cut: false,
                };
                while let Some((Key(name), value)) = map.next_entry::<Key<'de>, &'de RawValue>()? {
                    if object.fields.len() >= MAX_FIELDS {
                        object.cut = true;
                        continue;
                    }
                    object.fields.push(Field { name, value });
                }
                object.repeated = repeated(&object.fields);
                Ok(object)
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

/// The value of a key that stands a second time.
fn repeated<'a>(fields: &[Field<'a>]) -> Option<&'a RawValue> {
    let mut sorted: Vec<_> = fields.iter().collect();
    sorted.sort_by(|one, other| one.name.cmp(&other.name));
    sorted
        .array_windows()
        .find(|[one, other]| one.name == other.name)
        .map(|[_, other]| other.value)
}

/// A key, borrowed where it holds no escapes. A broken surrogate in a key becomes U+FFFD.
struct Key<'a>(Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Key<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;
        impl<'de> Visitor<'de> for Name {
            type Value = Key<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a key")
            }

            fn visit_borrowed_str<E: Error>(self, name: &'de str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Borrowed(name)))
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(name.to_owned())))
            }

            fn visit_borrowed_bytes<E: Error>(self, name: &'de [u8]) -> Result<Key<'de>, E> {
                Ok(Key(repaired(name)))
            }

            fn visit_bytes<E: Error>(self, name: &[u8]) -> Result<Key<'de>, E> {
                Ok(Key(Cow::Owned(repaired(name).into_owned())))
            }
        }
        deserializer.deserialize_bytes(Name)
    }
}

/// Text in which one U+FFFD stands for what is not Unicode. Half a surrogate pair arrives as three odd bytes.
fn repaired(bytes: &[u8]) -> Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Cow::Borrowed(text);
    }
    let mut text = String::with_capacity(bytes.len());
    for (place, chunk) in bytes.utf8_chunks().enumerate() {
        text.push_str(chunk.valid());
        if !chunk.invalid().is_empty() && (place == 0 || !chunk.valid().is_empty()) {
            text.push('\u{fffd}');
        }
    }
    Cow::Owned(text)
}

/// The elements of a list, one at a time: a list of millions is never held as a whole.
pub(super) struct Elements<'a> {
    rest: &'a str,
}

impl<'a> Elements<'a> {
    /// The elements of `raw`, or nothing when it is no list.
    pub(super) fn of(raw: &'a RawValue) -> Option<Self> {
        raw.get().strip_prefix('[').map(|rest| Elements { rest })
    }

    /// An object in the place of a list, as the one element of it.
    pub(super) fn alone(raw: &'a RawValue) -> Option<Self> {
        raw.get().starts_with('{').then(|| Elements { rest: raw.get() })
    }
}

impl<'a> Iterator for Elements<'a> {
    type Item = &'a RawValue;

    fn next(&mut self) -> Option<&'a RawValue> {
        let rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n', ',']);
        if rest.starts_with(']') {
            return None;
        }
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<&'a RawValue>();
        let element = values.next()?.ok()?;
        self.rest = rest.get(values.byte_offset()..)?;
        Some(element)
    }
}

/// A JSON string, and whether it had to be repaired.
pub(super) enum Text<'a> {
    Whole(Cow<'a, str>),
    /// It held half a surrogate pair, shown as U+FFFD.
    Repaired(String),
    /// It is no string.
    Not,
}

/// Reads a JSON string, borrowing it where it holds no escapes.
pub(super) fn text(raw: &RawValue) -> Text<'_> {
    let Some(inner) = raw
        .get()
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
    else {
        return Text::Not;
    };
    if !inner.contains('\\') {
        return Text::Whole(Cow::Borrowed(inner));
    }
    if let Ok(whole) = serde_json::from_str::<String>(raw.get()) {
        return Text::Whole(Cow::Owned(whole));
    }
    match serde_json::from_str::<Key<'_>>(raw.get()) {
        Ok(Key(repaired)) => Text::Repaired(repaired.into_owned()),
        Err(_) => Text::Not,
    }
}

/// Why a value cannot be shown as details.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unshown {
    /// Nested deeper than is read.
    TooDeep,
    /// Too long to be worth a tree.
    TooLong,
    /// A number that no reader could hold, or no JSON at all.
    Unreadable,
}

/// A value as it is shown.
pub(super) struct Tree {
    pub(super) value: Value,
    /// An object in it repeats a key; the last one is shown.
    pub(super) repeated: bool,
    /// A text in it held half a surrogate pair, shown as U+FFFD.
    pub(super) repaired: bool,
}

/// A value as a tree.
pub(super) fn tree(text: &str) -> Result<Tree, Unshown> {
    if text.len() > MAX_VALUE_BYTES {
        return Err(Unshown::TooLong);
    }
    let mut read = serde_json::from_str::<Branches>(text);
    let mut repaired = false;
    if read.is_err() && text.contains("\\u") {
        read = serde_json::from_str(&without_halves(text));
        repaired = true;
    }
    match read {
        Ok(Branches { value, .. }) if depth(&value) > MAX_SHOWN_DEPTH => Err(Unshown::TooDeep),
        Ok(Branches { value, repeated }) => Ok(Tree {
            value,
            repeated,
            repaired,
        }),
        Err(error) if error.to_string().starts_with("recursion limit") => Err(Unshown::TooDeep),
        Err(_) => Err(Unshown::Unreadable),
    }
}

/// JSON in which `\\ufffd` stands for every escape of half a surrogate pair.
fn without_halves(text: &str) -> String {
    let mut mended = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(place) = rest.find('\\') {
        let (before, escape) = rest.split_at(place);
        mended.push_str(before);
        let second = escape.get(6..).and_then(surrogate);
        let (kept, len) = match (surrogate(escape), second) {
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => (escape.get(..12), 12),
            (Some(_), _) => (Some("\\ufffd"), 6),
            // What is escaped here is a character of its own, a backslash too.
            (None, _) => {
                let len = 1 + escape.chars().nth(1).map_or(0, char::len_utf8);
                (escape.get(..len), len)
            }
        };
        mended.push_str(kept.unwrap_or_default());
        rest = escape.get(len..).unwrap_or_default();
    }
    mended.push_str(rest);
    mended
}

/// The surrogate that a text begins with, escaped.
fn surrogate(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    let unit = u16::from_str_radix(digits, 16).ok()?;
    (0xd800..=0xdfff).contains(&unit).then_some(unit)
}

/// Levels of a value that are shown. A record puts some more around it, and must itself be readable: the usual
/// limit of readers is 128.
const MAX_SHOWN_DEPTH: usize = 64;

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(list) => 1 + list.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// A value that remembers whether a key was repeated; `serde_json::Value` forgets it.
struct Branches {
    value: Value,
    repeated: bool,
}

impl From<Value> for Branches {
    fn from(value: Value) -> Self {
        Branches {
            value,
            repeated: false,
        }
    }
}

impl<'de> Deserialize<'de> for Branches {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Branch)
    }
}

struct Branch;

impl<'de> Visitor<'de> for Branch {
    type Value = Branches;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Branches, E> {
        Ok(Value::from(value).into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Branches, E> {
        Ok(Value::from(value).into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Branches, E> {
        Ok(Value::from(value).into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Branches, E> {
        Ok(Value::from(value).into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Branches, E> {
        Ok(Value::from(value).into())
    }

    fn visit_unit<E>(self) -> Result<Branches, E> {
        Ok(Value::Null.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Branches, A::Error> {
        let (mut list, mut repeated) = (Vec::new(), false);
        while let Some(element) = seq.next_element::<Branches>()? {
            repeated |= element.repeated;
            list.push(element.value);
        }
        Ok(Branches {
            value: Value::Array(list),
            repeated,
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Branches, A::Error> {
        let (mut fields, mut repeated) = (Map::new(), false);
        while let Some((Key(name), field)) = map.next_entry::<Key<'_>, Branches>()? {
            repeated |= field.repeated;
            repeated |= fields.insert(name.into_owned(), field.value).is_some();
        }
        Ok(Branches {
            value: Value::Object(fields),
            repeated,
        })
    }
}

/// Puts `?` in the place of every byte that is not UTF-8, so that one odd byte does not take a whole delivery with
/// it and all places stay what they are. Says where the first was.
pub(super) fn make_utf8(bytes: &mut [u8]) -> Option<usize> {
    let (mut from, mut first) = (0, None);
    while let Some(Err(error)) = bytes.get(from..).map(std::str::from_utf8) {
        let start = from + error.valid_up_to();
        let odd = error.error_len().unwrap_or(usize::MAX);
        from = start.saturating_add(odd).min(bytes.len());
        bytes.get_mut(start..from)?.fill(b'?');
        first.get_or_insert(start);
    }
    first
}

/// Whole numbers up to here are the same number in every reader of JSON.
const MAX_SAFE_NUMBER: u64 = 1 << 53;

/// A value as a tree of at most `levels`. A whole number beyond 2^53, which many readers round, stands as text.
pub(super) fn exact(raw: &RawValue, levels: usize) -> Result<Tree, Unshown> {
    if raw.get().len() > MAX_VALUE_BYTES {
        return Err(Unshown::TooLong);
    }
    let mut tree = Tree {
        value: Value::Null,
        repeated: false,
        repaired: false,
    };
    tree.value = tree.grow(raw, levels)?;
    Ok(tree)
}

impl Tree {
    fn grow(&mut self, raw: &RawValue, levels: usize) -> Result<Value, Unshown> {
        let inner = || levels.checked_sub(1).ok_or(Unshown::TooDeep);
        if let Some(elements) = Elements::of(raw) {
            let inner = inner()?;
            let grown = elements.map(|element| self.grow(element, inner));
            return Ok(Value::Array(grown.collect::<Result<_, _>>()?));
        }
        if let Some(object) = Object::read(raw) {
            self.repeated |= object.repeated.is_some();
            let (inner, mut fields) = (inner()?, Map::new());
            for field in object.fields() {
                fields.insert(field.name.clone().into_owned(), self.grow(field.value, inner)?);
            }
            return Ok(Value::Object(fields));
        }
        Ok(match (text(raw), raw.get()) {
            (Text::Whole(text), _) => Value::String(text.into_owned()),
            (Text::Repaired(text), _) => {
                self.repaired = true;
                Value::String(text)
            }
            (Text::Not, "null") => Value::Null,
            (Text::Not, "true") => Value::Bool(true),
            (Text::Not, "false") => Value::Bool(false),
            (Text::Not, number) => unrounded(number),
        })
    }
}

fn unrounded(number: &str) -> Value {
    let whole = number
        .parse::<i64>()
        .ok()
        .filter(|n| n.unsigned_abs() <= MAX_SAFE_NUMBER);
    let broken = number
        .contains(['.', 'e', 'E'])
        .then(|| number.parse::<f64>().ok());
    let broken = broken.flatten().and_then(serde_json::Number::from_f64);
    whole
        .map(Value::from)
        .or(broken.map(Value::Number))
        .unwrap_or_else(|| Value::String(number.to_owned()))
}
