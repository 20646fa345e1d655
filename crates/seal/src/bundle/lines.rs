//! Lines of `messages.jsonl` and `gaps.jsonl`.

use model::entry::Gap;
use model::{ConnectionId, MessageId, Position, Timestamp};
use serde::{Deserialize, Serialize};
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
#[serde(deny_unknown_fields)]
struct MessageIn<'a> {
    id: &'a str,
    state: MessageState,
    connector: &'a str,
    #[serde(rename = "connector_version")]
    _connector_version: u32,
    #[serde(borrow)]
    record: &'a RawValue,
}

/// Checks a line against what the evidence opened; ids ascend, so none stands twice.
pub(super) fn check_message(
    line: &[u8],
    before: Option<MessageId>,
    known: &Known,
) -> Result<(MessageId, MessageState), Fault> {
    let message: MessageIn<'_> =
        serde_json::from_slice(line).map_err(|_| Fault::Is("not a line of this format"))?;
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
