//! Showing and searching: every look is an entry before it is answered.

use std::collections::HashMap;

use connect::DateOrder;
use model::entry::ActCode;
use model::record::Record;
use model::{MessageId, Position, Timestamp};
use seal::Key;
use seal::part::item_key;
use serde::Serialize;
use serde_json::{Value, json};
use store::catalogue::{CaptureRow, Placement, RecordRow, RecordSort, SearchFilter};

use super::erased::Erasure;
use super::rows::open_row;
use super::{Inner, Vault, VaultError, locked};

/// Keys kept while records are read in order; more are found again.
const KEYS_MAX: usize = 4096;

/// Records read from the catalogue at once.
const PAGE: u32 = 1000;

/// Opens rows, remembering the keys of captures and parts.
pub struct RowOpener<'a> {
    inner: &'a Inner,
    captures: HashMap<Position, Option<Key>>,
    parts: HashMap<Position, Option<Key>>,
    json: Vec<u8>,
}

impl<'a> RowOpener<'a> {
    pub(crate) fn new(inner: &'a Inner) -> RowOpener<'a> {
        RowOpener {
            inner,
            captures: HashMap::new(),
            parts: HashMap::new(),
            json: Vec::new(),
        }
    }

    /// The key of a record's item; none when it is destroyed.
    pub fn item_key(&mut self, row: &RecordRow) -> Result<Option<Key>, VaultError> {
        let (parent, index) = match row.placement {
            Placement::Capture => (self.capture_key(row.id.capture)?, row.id.ordinal),
            Placement::Part { part, item } => (self.part_key(part)?, item),
        };
        Ok(parent.map(|parent| item_key(&parent, index)).transpose()?)
    }

    /// The data key of a capture.
    pub fn capture_key(&mut self, at: Position) -> Result<Option<Key>, VaultError> {
        if let Some(known) = self.captures.get(&at) {
            return Ok(known.clone());
        }
        let (row, wrap) = {
            let reader = locked(&self.inner.reader);
            (reader.capture(at)?, reader.wrap(at)?)
        };
        let key = row
            .map(|row| self.inner.data_key(&row, wrap))
            .transpose()?
            .flatten();
        if self.captures.len() >= KEYS_MAX {
            self.captures.clear();
        }
        self.captures.insert(at, key.clone());
        Ok(key)
    }

    /// The key of a part.
    pub fn part_key(&mut self, at: Position) -> Result<Option<Key>, VaultError> {
        if let Some(known) = self.parts.get(&at) {
            return Ok(known.clone());
        }
        let entry = self.inner.must_entry(at)?;
        let model::entry::Kind::Part(part) = &entry.header.kind else {
            return Err(VaultError::BadData(format!("entry {at} is not a part")));
        };
        let joint = self.inner.joint_key(&part.keys)?;
        let key = joint
            .map(|joint| seal::part::part_key(&joint, &part.wrapped_key, &part.commitment))
            .transpose()?;
        if self.parts.len() >= KEYS_MAX {
            self.parts.clear();
        }
        self.parts.insert(at, key.clone());
        Ok(key)
    }

    /// The record's JSON; none when its key is destroyed.
    pub fn open(&mut self, row: &RecordRow) -> Result<Option<&[u8]>, VaultError> {
        let Some(key) = self.item_key(row)? else {
            return Ok(None);
        };
        open_row(&self.inner.file.zone, row.id, &key, &row.sealed, &mut self.json)?;
        Ok(Some(&self.json))
    }
}

/// A query: words that must all occur, and filters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query {
    /// Words or phrases, folded to lower case.
    pub words: Vec<String>,
    /// Names or handles that the sender's must contain, folded.
    pub from: Vec<String>,
    /// Titles or ids that the conversation's must contain, folded.
    pub conversation: Vec<String>,
    /// What the catalogue can tell.
    pub filter: SearchFilter,
}

impl Query {
    /// Reads the console's query language: words, "phrases", and filters `from:`, `in:`, `kind:`, `connection:`,
    /// `after:`, `before:`, `is:event`, `is:problem`, `is:repeat`.
    ///
    /// # Errors
    /// [`VaultError::Usage`], naming the part that is wrong.
    pub fn parse(text: &str) -> Result<Query, VaultError> {
        let mut query = Query::default();
        query.filter.without_repeats = true;
        query.filter.sort = Some(RecordSort::Message);
        for token in tokens(text)? {
            match token.split_once(':') {
                Some((name, value)) if !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase()) => {
                    query.filter(name, value)?;
                }
                _ => query.words.push(fold(&token)),
            }
        }
        Ok(query)
    }

    fn filter(&mut self, name: &str, value: &str) -> Result<(), VaultError> {
        let wrong = |what: &str| Err(VaultError::Usage(format!("{name}: takes {what}")));
        if value.is_empty() {
            return wrong("a value right after the colon");
        }
        match name {
            "from" => self.from.push(fold(value)),
            "in" => self.conversation.push(fold(value)),
            "kind" => self.filter.what = Some(value.to_owned()),
            "connection" => self.filter.connection = Some(value.to_owned()),
            "after" | "before" => {
                let day = format!("{value}T00:00:00Z");
                let Ok(at) = Timestamp::parse(value).or_else(|_| Timestamp::parse(&day)) else {
                    return wrong("a date (2024-01-31) or a time (2024-01-31T10:00:00Z)");
                };
                if name == "after" {
                    self.filter.from = Some(at)
                } else {
                    self.filter.to = Some(at)
                }
            }
            "is" => match value {
                "message" => self.filter.sort = Some(RecordSort::Message),
                "event" => self.filter.sort = Some(RecordSort::Event),
                "problem" => self.filter.sort = Some(RecordSort::Problem),
                "any" => self.filter.sort = None,
                "repeat" => self.filter.without_repeats = false,
                _ => return wrong("message, event, problem, any or repeat"),
            },
            // A colon in an ordinary word (a time, an address) is no filter.
            _ => self.words.push(fold(&format!("{name}:{value}"))),
        }
        Ok(())
    }

    fn matches(&self, record: &Record<'_>) -> bool {
        let (text, people, conversation) = match record {
            Record::Message(message) => (&message.text, &message.sender, &message.conversation),
            Record::Event(event) => (&event.text, &event.actor, &event.conversation),
            Record::Problem(problem) => {
                return self.from.is_empty()
                    && self.conversation.is_empty()
                    && contains_all(&fold(&problem.detail), &self.words);
            }
        };
        let files: &[_] = match record {
            Record::Message(message) => &message.attachments,
            Record::Event(event) => &event.attachments,
            Record::Problem(_) => &[],
        };
        let mut searched = text.as_ref().map_or(String::new(), |text| fold(text.reveal()));
        for name in files.iter().filter_map(|file| file.name.as_ref()) {
            searched.push('\n');
            searched.push_str(&fold(name.reveal()));
        }
        let person = people.as_ref().map_or(String::new(), |person| {
            let ids = person.ids.iter().map(|id| fold(id.value.reveal()));
            let name = person.name.as_ref().map(|name| fold(name.reveal()));
            name.into_iter().chain(ids).collect::<Vec<_>>().join("\n")
        });
        let place = conversation.as_ref().map_or(String::new(), |conversation| {
            let names = [conversation.title.as_ref(), conversation.id.as_ref()];
            names
                .into_iter()
                .flatten()
                .map(|name| fold(name.reveal()))
                .collect::<Vec<_>>()
                .join("\n")
        });
        contains_all(&searched, &self.words)
            && contains_all(&person, &self.from)
            && contains_all(&place, &self.conversation)
    }
}

fn fold(text: &str) -> String {
    text.to_lowercase()
}

fn contains_all(text: &str, wanted: &[String]) -> bool {
    wanted.iter().all(|word| text.contains(word.as_str()))
}

fn tokens(text: &str) -> Result<Vec<String>, VaultError> {
    let (mut all, mut current, mut quoted) = (Vec::new(), String::new(), false);
    for c in text.chars() {
        match c {
            '"' => quoted = !quoted,
            c if c.is_whitespace() && !quoted => {
                if !current.is_empty() {
                    all.push(std::mem::take(&mut current));
                }
            }
            c => current.push(c),
        }
    }
    if quoted {
        return Err(VaultError::Usage("a quotation mark is not closed".to_owned()));
    }
    if !current.is_empty() {
        all.push(current);
    }
    Ok(all)
}

/// What stands around a list of results: how far it reaches.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct Coverage {
    /// Entries in the ledger.
    pub head: Position,
    /// Entries that are normalized, and so were searched.
    pub normalized: Position,
    /// Captures that no key opens.
    pub unreadable: u64,
    /// Records that were destroyed, and captures that were destroyed whole: they were there, and are not found any more.
    pub erased: u64,
    /// Gaps open, in any connection.
    pub gaps: u64,
    /// More was found than was asked for.
    pub more: bool,
}

impl Vault {
    /// Searches, oldest first. `each` is given every result as JSON.
    ///
    /// # Errors
    /// [`VaultError::Usage`]; [`VaultError::Store`] when the act could not be written: then nothing is shown.
    pub fn search(
        &self,
        text: &str,
        actor: &str,
        limit: usize,
        each: &mut dyn FnMut(Value) -> Result<(), VaultError>,
    ) -> Result<Coverage, VaultError> {
        let query = Query::parse(text)?;
        self.inner.act(
            ActCode::Searched,
            &json!({ "query": text, "actor": actor, "limit": limit }),
        )?;
        let progress = self.progress();
        let mut found = 0;
        let more = self.inner.each_match(&query, &mut |inner, row, record| {
            if found >= limit {
                return Ok(false);
            }
            found += 1;
            each(inner.summary(row, record))?;
            Ok(true)
        })?;
        let (_, gaps) = locked(&self.inner.reader).count_gaps()?;
        let erased = locked(&self.inner.reader).count_erased()?;
        Ok(Coverage {
            head: self.inner.ledger.head(),
            normalized: progress.normalized,
            unreadable: locked(&self.inner.reader).count_unreadable()?,
            erased: erased.0 + erased.1,
            gaps,
            more,
        })
    }

    /// One record with everything that is known of it.
    ///
    /// # Errors
    /// [`VaultError::NotFound`]; [`VaultError::Store`] when the act could not be written: then nothing is shown.
    pub fn show(&self, id: MessageId, actor: &str) -> Result<Value, VaultError> {
        let row = locked(&self.inner.reader).record(id)?;
        let erasure = if row.is_none() {
            self.inner.erasure(id)?
        } else {
            None
        };
        if row.is_none() && erasure.is_none() {
            return Err(VaultError::NotFound(format!("record {id}")));
        }
        self.inner
            .act(ActCode::Shown, &json!({ "id": id.to_string(), "actor": actor }))?;
        match (row, erasure) {
            (Some(row), _) => self.inner.show(&row),
            (None, Some(erasure)) => self.inner.show_erased(id, &erasure),
            (None, None) => Err(VaultError::NotFound(format!("record {id}"))),
        }
    }
}

impl Inner {
    /// Calls `each` for every record that matches, until it answers `false`; tells whether it did.
    pub fn each_match(
        &self,
        query: &Query,
        each: &mut dyn FnMut(&Inner, &RecordRow, &Value) -> Result<bool, VaultError>,
    ) -> Result<bool, VaultError> {
        let mut opener = RowOpener::new(self);
        let mut after = None;
        loop {
            let page = locked(&self.reader).records(&query.filter, after, PAGE)?;
            let Some(last) = page.last() else { return Ok(false) };
            after = Some(last.id);
            for row in &page {
                let Some(json) = opener.open(row)? else { continue };
                let Ok(record) = serde_json::from_slice::<Record<'_>>(json) else {
                    continue;
                };
                if query.matches(&record) {
                    let value = serde_json::from_slice(json).unwrap_or_default();
                    if !each(self, row, &value)? {
                        return Ok(true);
                    }
                }
            }
        }
    }

    fn summary(&self, row: &RecordRow, record: &Value) -> Value {
        let signed = self.ledger.signed();
        let proved = signed.is_some_and(|signed| signed.covers > row.id.capture);
        json!({ "id": row.id.to_string(), "proved": proved, "repeats": row.repeats, "record": record })
    }

    fn show(&self, row: &RecordRow) -> Result<Value, VaultError> {
        let mut opener = RowOpener::new(self);
        let record: Option<Value> = opener
            .open(row)?
            .and_then(|json| serde_json::from_slice(json).ok());
        let reader = locked(&self.reader);
        let capture = reader.capture(row.id.capture)?;
        let pointing = match &row.platform {
            Some(platform) => reader.pointing_at(platform, PAGE)?,
            None => Vec::new(),
        };
        let files = reader.outside_of(row.id)?;
        drop(reader);
        let mut events = Vec::new();
        for event in &pointing {
            let record: Option<Value> = opener
                .open(event)?
                .and_then(|json| serde_json::from_slice(json).ok());
            events.push(json!({ "id": event.id.to_string(), "record": record }));
        }
        let files: Vec<Value> = files
            .iter()
            .map(|file| Ok(file_json(file, self.received_bytes(file)?)))
            .collect::<Result<_, VaultError>>()?;
        let capture = capture
            .map(|capture| Ok::<_, VaultError>(capture_json(&capture, self.received_bytes(&capture)?)))
            .transpose()?;
        let signed = self.ledger.signed();
        let outside = self.anchor_over(row.id.capture)?;
        Ok(json!({
            "id": row.id.to_string(),
            "state": if record.is_some() { "readable" } else { "erased" },
            "record": record,
            "kept_without_consent_in_this_delivery": locked(&self.reader).lacked_by(row.id.capture, true)?,
            "repeats_earlier_capture": row.repeats,
            "pointing_at_it": events,
            "files": files,
            "capture": capture,
            "proof": signed.map(|signed| json!({
                "covered": signed.covers > row.id.capture,
                "checkpoint_size": signed.size,
                "checkpoint_covers": signed.covers,
                "outside_anchor": outside,
            })),
        }))
    }
}

impl Inner {
    /// That a record was there, and went.
    fn show_erased(&self, id: MessageId, erasure: &Erasure) -> Result<Value, VaultError> {
        let capture = locked(&self.reader).capture(id.capture)?;
        let signed = self.ledger.signed();
        Ok(json!({
            "id": id.to_string(),
            "state": "erased",
            "erased": self.erasure_json(id.capture, erasure)?,
            "record": Value::Null,
            "pointing_at_it": [],
            "files": [],
            "capture": capture.map(|capture| capture_json(&capture, None)),
            "proof": signed.map(|signed| json!({
                "covered": signed.covers > id.capture,
                "checkpoint_size": signed.size,
                "checkpoint_covers": signed.covers,
                "outside_anchor": Value::Null,
            })),
        }))
    }
}

fn capture_json(row: &CaptureRow, size_bytes: Option<u64>) -> Value {
    json!({
        "position": row.position,
        "connection": row.connection,
        "connector": row.connector,
        "connector_version": row.connector_version,
        "received_at": row.received_at,
        "signature_checked": row.verdict == 1,
        "chunks": row.chunks,
        "size_bytes": size_bytes,
    })
}

fn file_json(row: &CaptureRow, size_bytes: Option<u64>) -> Value {
    let state = match row.file_state {
        1 => "fetched",
        2 => "mismatch",
        3 => "expired",
        _ => "refused",
    };
    json!({ "position": row.position, "file": row.file, "state": state, "size_bytes": size_bytes })
}

/// Reads a stated date order.
///
/// # Errors
/// [`VaultError::Usage`].
pub fn date_order(text: &str) -> Result<DateOrder, VaultError> {
    serde_json::from_value(Value::String(text.to_owned()))
        .map_err(|_| VaultError::Usage("date order: one of dmy, mdy, ymd, ydm, myd".to_owned()))
}
