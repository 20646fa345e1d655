//! Lines of `messages.jsonl` and `gaps.jsonl`.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use model::entry::Gap;
use model::{ConnectionId, MessageId, Position, Timestamp};
use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::error::Fault;
use super::known::Known;
use crate::part::NO_RECORD;

/// From what a message was derived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MessageState {
    /// From a capture that is in the bundle and opened.
    Raw,
    /// From items of parts that are in the bundle and opened.
    Part,
    /// It can no longer be opened: its wrap or part and the destruction of one of its keys are in the bundle.
    Erased,
}

/// A line of `messages.jsonl` to be written.
#[derive(Serialize)]
pub(super) struct MessageOut<'a, R> {
    pub(super) id: String,
    pub(super) state: MessageState,
    pub(super) connector: &'a str,
    pub(super) connector_version: u32,
    pub(super) record: Option<&'a R>,
}

/// A line of `messages.jsonl` as it is read.
#[derive(Deserialize)]
struct MessageIn<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    state: MessageState,
    #[serde(borrow)]
    connector: Cow<'a, str>,
    #[serde(rename = "connector_version")]
    _connector_version: u32,
    #[serde(borrow)]
    record: &'a RawValue,
}

/// Fields of a line, in their order.
const FIELDS: [&str; 5] = ["id", "state", "connector", "connector_version", "record"];

/// The names in an object, in order; none of a value that is no object. Reading it refuses an object, at any depth, that
/// has a name twice: readers would differ on what it says.
struct Names(Vec<String>);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(NamesVisitor)
    }
}

struct NamesVisitor;

impl<'de> Visitor<'de> for NamesVisitor {
    type Value = Names;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON that has no name twice")
    }

    fn visit_unit<E>(self) -> Result<Names, E> {
        Ok(Names(Vec::new()))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Names, E> {
        Ok(Names(Vec::new()))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Names, E> {
        Ok(Names(Vec::new()))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Names, E> {
        Ok(Names(Vec::new()))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Names, E> {
        Ok(Names(Vec::new()))
    }

    fn visit_str<E>(self, _: &str) -> Result<Names, E> {
        Ok(Names(Vec::new()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut values: A) -> Result<Names, A::Error> {
        while values.next_element::<Names>()?.is_some() {}
        Ok(Names(Vec::new()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Names, A::Error> {
        let mut names = Vec::new();
        while let Some((name, _)) = fields.next_entry::<String, Names>()? {
            names.push(name);
        }
        let once: BTreeSet<&String> = names.iter().collect();
        if once.len() < names.len() {
            return Err(de::Error::custom("a name stands twice"));
        }
        Ok(Names(names))
    }
}

/// Checks a line against what the evidence opened; ids ascend, so none stands twice.
pub(super) fn check_message(
    line: &[u8],
    before: Option<MessageId>,
    known: &Known,
) -> Result<(MessageId, MessageState), Fault> {
    let wrong = |_| Fault::Is("not a line of this format");
    let Names(names) = serde_json::from_slice(line).map_err(wrong)?;
    if names != FIELDS {
        return Err(Fault::Is("not a line of this format"));
    }
    let message: MessageIn<'_> = serde_json::from_slice(line).map_err(wrong)?;
    let id: MessageId = message
        .id
        .parse()
        .map_err(|_| Fault::Is("its id is not a message id"))?;
    if id.ordinal == NO_RECORD || id.to_string() != message.id {
        return Err(Fault::Is("its id is spelled in another way than ids are"));
    }
    if before.is_some_and(|before| before >= id) {
        return Err(Fault::Is("its id does not follow that of the line before"));
    }
    if message.connector.is_empty() {
        return Err(Fault::Is("names no connector"));
    }
    let shape = message.record.get().as_bytes().first();
    let expected = if message.state == MessageState::Erased {
        b'n'
    } else {
        b'{'
    };
    if shape != Some(&expected) {
        return Err(Fault::Is(
            "has a record where it may have none, or none where it must",
        ));
    }
    let (source, ordinal) = (id.capture.0, id.ordinal);
    match message.state {
        MessageState::Raw if !known.is_capture_opened(source) => Err(Fault::Is(
            "says it is derived from a capture that is not opened in this bundle",
        )),
        MessageState::Part if !known.is_item_opened(source, ordinal) => Err(Fault::Is(
            "says it is derived from an item that is not opened in this bundle",
        )),
        MessageState::Erased if !known.is_erased(source, ordinal) => {
            Err(Fault::Is("says it is erased, which the bundle does not prove"))
        }
        state => Ok((id, state)),
    }
}

/// A line of `gaps.jsonl`: what a gap entry says, in one spelling.
#[derive(Serialize)]
struct GapLine<'a> {
    position: Position,
    connection: Option<&'a ConnectionId>,
    from: Timestamp,
    to: Timestamp,
    cause: &'static str,
    count: u64,
}

/// The line of a gap entry, its end included.
pub(super) fn gap_line(position: Position, gap: &Gap) -> Result<Vec<u8>, serde_json::Error> {
    let mut line = serde_json::to_vec(&GapLine {
        position,
        connection: gap.connection.as_ref(),
        from: gap.from,
        to: gap.to,
        cause: gap.cause.name(),
        count: gap.count,
    })?;
    line.push(b'\n');
    Ok(line)
}
