//! One pass over one body: gives records to the sink, counts them, and says what was not understood.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io;

use model::record::{Conversation, Details, Event, Message, Participant, Place, Problem, Record};
use model::{Content, Timestamp};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::json::{self, Elements, Object, Text, Tree, Unshown};
use crate::{Fetch, Report, Sink, Span};

/// Earlier than WhatsApp itself (2009-01-01).
const EARLIEST: i64 = 1_230_768_000;
/// 2100-01-01: a value in milliseconds lies far beyond.
const LATEST: i64 = 4_102_444_800;

/// A new field of the vendor's stands in every message of a history of thousands: it is told once a capture.
/// This many different ones are told.
const MAX_UNKNOWN_TOLD: usize = 1_000;

/// Problems told of one capture. A body made of nothing else would otherwise grow a hundredfold on its way in.
const MAX_PROBLEMS: u64 = 10_000;

/// What lasts from one of a capture's bodies to the next.
#[derive(Default)]
pub(super) struct Kept {
    /// What became of it so far.
    pub(super) report: Report,
    told: BTreeSet<(&'static str, String)>,
}

/// The state of one pass.
pub(super) struct Walk<'a, 's> {
    body: &'a str,
    /// Where the body begins in the capture.
    base: u64,
    sink: &'s mut dyn Sink,
    /// What became of it so far.
    pub(super) report: Report,
    told: BTreeSet<(&'static str, String)>,
}

impl<'a, 's> Walk<'a, 's> {
    /// Over `body`, which must be the very text that all values given later were read from.
    pub(super) fn new(body: &'a str, sink: &'s mut dyn Sink, report: Report) -> Self {
        Walk {
            body,
            base: 0,
            sink,
            report,
            told: BTreeSet::new(),
        }
    }

    /// Over one of several bodies: this one begins at `base` of the capture.
    pub(super) fn resumed(body: &'a str, base: u64, sink: &'s mut dyn Sink, kept: Kept) -> Self {
        Walk {
            body,
            base,
            sink,
            report: kept.report,
            told: kept.told,
        }
    }

    /// What the pass over the next body is given.
    pub(super) fn kept(self) -> Kept {
        Kept {
            report: self.report,
            told: self.told,
        }
    }

    /// Where a value lies.
    pub(super) fn span(&self, raw: &RawValue) -> Span {
        let distance = raw.get().as_ptr().addr().checked_sub(self.body.as_ptr().addr());
        let offset = distance.and_then(|d| u64::try_from(d).ok()).unwrap_or(0);
        Span {
            stream: 0,
            offset: self.base.saturating_add(offset),
            len: u64::try_from(raw.get().len()).unwrap_or(0),
        }
    }

    /// The place of a value, for a record that has no bytes of its own.
    pub(super) fn place(&self, raw: &RawValue) -> Span {
        Span {
            len: 0,
            ..self.span(raw)
        }
    }

    /// Gives a message.
    pub(super) fn message(&mut self, span: Span, message: Message<'_>) -> io::Result<()> {
        self.report.messages += 1;
        if message.content == model::record::ContentKind::System {
            self.report.system += 1;
        }
        self.met(message.sent_at);
        self.sink.record(span, &Record::Message(message))
    }

    /// Gives an event.
    pub(super) fn event(&mut self, span: Span, event: Event<'_>) -> io::Result<()> {
        self.report.events += 1;
        self.met(event.occurred_at);
        self.sink.record(span, &Record::Event(event))
    }

    /// How many records were given so far.
    pub(super) fn given(&self) -> u64 {
        self.report.messages + self.report.events + self.report.problems
    }

    /// Says that nothing came of a part of a delivery, when nothing was given since there were `before` records.
    pub(super) fn unless_given(
        &mut self,
        before: u64,
        detail: &'static str,
        raw: &RawValue,
    ) -> io::Result<()> {
        if self.given() == before {
            self.problem("nothing-inside", detail, raw)?;
        }
        Ok(())
    }

    fn met(&mut self, instant: Option<Timestamp>) {
        let Some(instant) = instant else { return };
        self.report.first_at = Some(self.report.first_at.map_or(instant, |first| first.min(instant)));
        self.report.last_at = Some(self.report.last_at.map_or(instant, |last| last.max(instant)));
    }

    /// Gives bytes that belong to a person.
    pub(super) fn belongs(
        &mut self,
        raw: &RawValue,
        conversation: Option<&Conversation<'_>>,
        person: Option<&Participant<'_>>,
    ) -> io::Result<()> {
        let span = self.span(raw);
        self.sink.belongs(span, conversation, person)
    }

    /// Asks for a file of the record given last.
    pub(super) fn fetch(&mut self, fetch: &Fetch) -> io::Result<()> {
        self.sink.fetch(fetch)
    }

    /// A problem with something inside another record, or beside any.
    pub(super) fn problem(
        &mut self,
        code: &'static str,
        detail: &'static str,
        raw: &RawValue,
    ) -> io::Result<()> {
        self.problem_at(self.place(raw), code, detail)
    }

    /// A problem that is all there is to say of these bytes.
    pub(super) fn lost(
        &mut self,
        code: &'static str,
        detail: &'static str,
        raw: &RawValue,
    ) -> io::Result<()> {
        self.problem_at(self.span(raw), code, detail)
    }

    /// A problem with these bytes.
    pub(super) fn problem_at(
        &mut self,
        span: Span,
        code: &'static str,
        detail: &'static str,
    ) -> io::Result<()> {
        let (code, detail) = match self.report.problems {
            0..MAX_PROBLEMS => (code, detail),
            MAX_PROBLEMS => ("too-many-problems", "no further problem of this capture is told"),
            _ => return Ok(()),
        };
        self.report.problems += 1;
        let position = Some(Place {
            offset: span.offset,
            line: None,
        });
        let problem = Problem {
            code: Cow::Borrowed(code),
            detail: Cow::Borrowed(detail),
            position,
        };
        self.sink.record(span, &Record::Problem(problem))
    }

    /// The fields of an object. Says so when a key is repeated; gives nothing when it is no object.
    pub(super) fn object(&mut self, raw: &'a RawValue) -> io::Result<Option<Object<'a>>> {
        let Some(object) = Object::read(raw) else {
            return Ok(None);
        };
        if let Some(second) = object.repeated {
            self.problem(
                "duplicate-key",
                "a key stands twice in one object; the last one was read",
                second,
            )?;
        }
        if object.cut {
            self.problem(
                "too-many-fields",
                "an object has more fields than are looked at",
                raw,
            )?;
        }
        Ok(Some(object))
    }

    /// The object in a field of another; a problem when there is something else.
    pub(super) fn object_in(&mut self, outer: &Object<'a>, name: &str) -> io::Result<Option<Object<'a>>> {
        let Some(raw) = outer.get(name) else {
            return Ok(None);
        };
        let object = self.object(raw)?;
        if object.is_none() {
            self.problem("wrong-type", "a field holds something other than an object", raw)?;
        }
        Ok(object)
    }

    /// The elements of a list. An object in its place is its one element, with a problem; anything else is a problem
    /// and nothing.
    pub(super) fn elements(&mut self, raw: &'a RawValue) -> io::Result<Option<Elements<'a>>> {
        if let Some(elements) = Elements::of(raw) {
            return Ok(Some(elements));
        }
        let alone = Elements::alone(raw);
        if alone.is_some() {
            self.problem("wrong-type", "an object stands in the place of a list", raw)?;
        } else if raw.get() != "null" {
            self.lost("wrong-type", "a field holds something other than a list", raw)?;
        }
        Ok(alone)
    }

    /// The text in a field. Empty counts as absent; a number is taken as it is written, with a problem.
    pub(super) fn text(&mut self, object: &Object<'a>, name: &str) -> io::Result<Option<Cow<'a, str>>> {
        let Some(raw) = object.get(name) else {
            return Ok(None);
        };
        let text = match json::text(raw) {
            Text::Whole(text) => Some(text),
            Text::Repaired(text) => {
                self.problem(
                    "bad-text",
                    "a text holds half a character; U+FFFD stands for it",
                    raw,
                )?;
                Some(Cow::Owned(text))
            }
            Text::Not => {
                self.problem("wrong-type", "a field holds something other than text", raw)?;
                let number = raw.get().starts_with(|c: char| c.is_ascii_digit() || c == '-');
                number.then(|| Cow::Borrowed(raw.get()))
            }
        };
        Ok(text.filter(|text| !text.is_empty()))
    }

    /// As [`Walk::text`], as something a person wrote or is called by.
    pub(super) fn content(&mut self, object: &Object<'a>, name: &str) -> io::Result<Option<Content<'a>>> {
        Ok(self.text(object, name)?.map(Content::new))
    }

    /// The truth of a field; anything but `true` and `false` is a problem, even where it can be read.
    pub(super) fn flag(&mut self, object: &Object<'a>, name: &str) -> io::Result<Option<bool>> {
        let Some(raw) = object.get(name) else {
            return Ok(None);
        };
        match raw.get() {
            "true" => Ok(Some(true)),
            "false" => Ok(Some(false)),
            _ => {
                self.problem(
                    "wrong-type",
                    "a field holds something other than true or false",
                    raw,
                )?;
                Ok(match raw.get() {
                    "\"true\"" => Some(true),
                    "\"false\"" => Some(false),
                    _ => None,
                })
            }
        }
    }

    /// Seconds since 1970, as text or as a number. Milliseconds, which some gateways make of them, lie a thousandfold
    /// apart and cannot be mistaken for seconds: they are read, with a problem.
    pub(super) fn instant(&mut self, object: &Object<'a>, name: &str) -> io::Result<Option<Timestamp>> {
        let Some(raw) = object.get(name) else {
            return Ok(None);
        };
        let digits = match json::text(raw) {
            Text::Whole(text) => text,
            Text::Repaired(_) | Text::Not => Cow::Borrowed(raw.get()),
        };
        let number = digits.parse::<i64>().ok();
        if let Some(seconds) = number.filter(|n| (EARLIEST..LATEST).contains(n)) {
            return Ok(Some(Timestamp::from_seconds(seconds)));
        }
        let millis = number.filter(|n| (EARLIEST * 1_000..LATEST * 1_000).contains(n));
        let detail = match millis {
            Some(_) => "a time is in milliseconds, not in seconds; it was read as such",
            None => "a time is not a plausible number of seconds since 1970",
        };
        self.problem("bad-timestamp", detail, raw)?;
        Ok(millis.map(|millis| Timestamp::from_micros(millis * 1_000)))
    }

    /// Puts a value into details under a name.
    pub(super) fn show(&mut self, details: &mut Shown, name: &str, raw: &'a RawValue) -> io::Result<()> {
        match json::tree(raw.get()) {
            Ok(Tree {
                value,
                repeated,
                repaired,
            }) => {
                if repeated {
                    self.problem(
                        "duplicate-key",
                        "a key stands twice in one object; the last one is shown",
                        raw,
                    )?;
                }
                if repaired {
                    let detail = "a value holds a text with half a character; U+FFFD stands for it";
                    self.problem("bad-text", detail, raw)?;
                }
                details.0.insert(name.to_owned(), value);
                Ok(())
            }
            Err(Unshown::TooDeep) => {
                self.problem("too-deep", "a value is nested too deeply to be shown", raw)
            }
            Err(Unshown::TooLong) => self.problem("value-too-long", "a value is too long to be shown", raw),
            Err(Unshown::Unreadable) => {
                self.problem("bad-text", "a value holds a number that cannot be shown", raw)
            }
        }
    }

    /// Puts a field into details, where there is one.
    pub(super) fn show_field(
        &mut self,
        details: &mut Shown,
        object: &Object<'a>,
        name: &str,
    ) -> io::Result<()> {
        object
            .get(name)
            .map_or(Ok(()), |raw| self.show(details, name, raw))
    }

    /// Puts all fields but the named ones into `details`.
    pub(super) fn show_rest(
        &mut self,
        details: &mut Shown,
        object: &Object<'a>,
        but: &[&str],
    ) -> io::Result<()> {
        let rest = object
            .fields()
            .iter()
            .filter(|field| !but.contains(&&*field.name));
        rest.filter(|field| field.value.get() != "null")
            .try_for_each(|field| self.show(details, &field.name, field.value))
    }

    /// Puts fields that are in none of the lists under `other`, and says so once a capture and name.
    pub(super) fn show_unknown(
        &mut self,
        details: &mut Shown,
        object: &Object<'a>,
        whose: &'static str,
        known: &[&[&str]],
    ) -> io::Result<()> {
        let mut other = Shown::default();
        self.tell_all_unknown(object, whose, known)?;
        for field in object.fields() {
            if !known.iter().any(|names| names.contains(&&*field.name)) {
                self.show(&mut other, &field.name, field.value)?;
            }
        }
        details.put_map("other", other);
        Ok(())
    }

    /// Says that fields are in none of the lists, once a capture and name; they are shown elsewhere.
    pub(super) fn tell_all_unknown(
        &mut self,
        object: &Object<'a>,
        whose: &'static str,
        known: &[&[&str]],
    ) -> io::Result<()> {
        for field in object.fields() {
            if !known.iter().any(|names| names.contains(&&*field.name)) {
                self.tell_unknown(whose, &field.name, field.value)?;
            }
        }
        Ok(())
    }

    /// Says that a field is not known, the first time.
    pub(super) fn tell_unknown(&mut self, whose: &'static str, name: &str, raw: &RawValue) -> io::Result<()> {
        if self.told.len() >= MAX_UNKNOWN_TOLD || !self.told.insert((whose, name.to_owned())) {
            return Ok(());
        }
        self.problem("unknown-field", "a field is not known here", raw)
    }
}

/// Details being put together.
#[derive(Default)]
pub(super) struct Shown(pub(super) Map<String, Value>);

impl Shown {
    /// A value under a name.
    pub(super) fn put(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.to_owned(), value.into());
    }

    /// A text under a name, where there is one.
    pub(super) fn put_text(&mut self, name: &str, text: Option<&str>) {
        if let Some(text) = text {
            self.put(name, text);
        }
    }

    /// An object under a name, where it holds anything. What stands there already is joined with it.
    pub(super) fn put_map(&mut self, name: &str, inner: Shown) {
        if inner.0.is_empty() {
            return;
        }
        match self.0.get_mut(name) {
            Some(Value::Object(there)) => there.extend(inner.0),
            _ => self.put(name, inner.0),
        }
    }

    /// The details, or nothing when there are none.
    pub(super) fn finish(self) -> Option<Details> {
        (!self.0.is_empty()).then_some(Details(self.0))
    }
}
