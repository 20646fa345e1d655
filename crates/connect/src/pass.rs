//! One pass over one capture: gives records to the sink, counts them, and says what was not understood.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io;

use model::Timestamp;
use model::record::{AttachmentState, ContentKind, Event, Message, Place, Problem, Record};

use crate::tree::Fields;
use crate::{Fetch, Report, Sink, Span};

/// A new field stands in every message of a file: it is told once. This many different ones are told.
const MAX_UNKNOWN_TOLD: usize = 1_000;
/// Longer names are told apart by this many characters.
const MAX_NAME: usize = 64;
/// Problems told of one capture. A file made of nothing else would otherwise grow a hundredfold on its way in.
const MAX_PROBLEMS: u64 = 10_000;

/// The state of one pass.
pub(crate) struct Pass<'s> {
    sink: &'s mut dyn Sink,
    /// What became of it so far.
    pub(crate) report: Report,
    /// The line that is being read, counted from 1, where there are lines.
    pub(crate) line: Option<u64>,
    told: BTreeSet<String>,
}

impl<'s> Pass<'s> {
    pub(crate) fn new(sink: &'s mut dyn Sink, report: Report) -> Self {
        Pass {
            sink,
            report,
            line: None,
            told: BTreeSet::new(),
        }
    }

    /// Gives a message with its files.
    pub(crate) fn message(&mut self, span: Span, message: Message<'_>, fetches: &[Fetch]) -> io::Result<()> {
        self.report.messages += 1;
        self.report.system += u64::from(message.content == ContentKind::System);
        let absent = message
            .attachments
            .iter()
            .filter(|file| file.state == AttachmentState::Omitted);
        self.report.media_missing += u64::try_from(absent.count()).unwrap_or(0);
        self.met(message.sent_at);
        self.sink.record(span, &Record::Message(message))?;
        fetches.iter().try_for_each(|fetch| self.sink.fetch(fetch))
    }

    /// Gives an event.
    pub(crate) fn event(&mut self, span: Span, event: Event<'_>) -> io::Result<()> {
        self.report.events += 1;
        self.met(event.occurred_at);
        self.sink.record(span, &Record::Event(event))
    }

    /// What an event announced and is to be asked for.
    pub(crate) fn fetch(&mut self, fetch: &Fetch) -> io::Result<()> {
        self.sink.fetch(fetch)
    }

    fn met(&mut self, instant: Option<Timestamp>) {
        let Some(instant) = instant else { return };
        self.report.first_at = Some(self.report.first_at.map_or(instant, |first| first.min(instant)));
        self.report.last_at = Some(self.report.last_at.map_or(instant, |last| last.max(instant)));
    }

    /// A problem with something inside another record.
    pub(crate) fn problem(&mut self, span: Span, code: &'static str, detail: &'static str) -> io::Result<()> {
        self.lost(Span { len: 0, ..span }, code, detail)
    }

    /// A problem that is all there is to say of these bytes.
    pub(crate) fn lost(&mut self, span: Span, code: &'static str, detail: &'static str) -> io::Result<()> {
        let (code, detail) = match self.report.problems {
            0..MAX_PROBLEMS => (code, detail),
            MAX_PROBLEMS => ("too-many-problems", "no further problem of this capture is told"),
            _ => return Ok(()),
        };
        self.report.problems += 1;
        let problem = Problem {
            code: Cow::Borrowed(code),
            detail: Cow::Borrowed(detail),
            position: Some(Place {
                offset: span.offset,
                line: self.line,
            }),
        };
        self.sink.record(span, &Record::Problem(problem))
    }

    /// Says that there are fields not known here, once for each name.
    pub(crate) fn unknown(&mut self, span: Span, fields: &Fields, known: &[&[&str]]) -> io::Result<()> {
        for name in fields.keys() {
            let is_known = known.iter().any(|names| names.contains(&name.as_str()));
            let short: String = name.chars().take(MAX_NAME).collect();
            if !is_known && self.told.len() < MAX_UNKNOWN_TOLD && self.told.insert(short) {
                self.problem(span, "unknown-field", "a field is not known here")?;
            }
        }
        Ok(())
    }
}
