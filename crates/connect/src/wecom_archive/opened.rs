//! One item of the archive, with what was inside: the encrypted item is what is kept, and every record stands for it.

use std::io::{self, Cursor};

use model::record::{Conversation, Participant, Problem, Record};

use super::WecomArchive;
use super::keys::RandomKeyProblem;
use super::pull::{Closed, Opened};
use crate::{Connector, Fetch, ParseOptions, Report, Sink, Span};

/// Says what an item means, given what became of opening it. The first record has the item's bytes, further ones have none
/// of their own; places in problems are those in the opened message.
///
/// # Errors
/// Those of the sink.
pub fn parse(item: &str, opened: &Opened, options: &ParseOptions, sink: &mut dyn Sink) -> io::Result<Report> {
    let closed = match opened {
        Opened::Plain(plain) => {
            let len = u64::try_from(item.len()).unwrap_or(u64::MAX);
            let mut whole = Whole { sink, left: len };
            return WecomArchive.parse(&mut Cursor::new(plain.as_slice()), options, &mut whole);
        }
        Opened::Later(closed) | Opened::Never(closed) => closed,
    };
    let mut report = WecomArchive.parse(&mut Cursor::new(item.as_bytes()), options, sink)?;
    let problem = Problem {
        code: code(*closed).into(),
        detail: closed.to_string().into(),
        position: None,
    };
    let nowhere = Span {
        stream: 0,
        offset: u64::try_from(item.len()).unwrap_or(u64::MAX),
        len: 0,
    };
    sink.record(nowhere, &Record::Problem(problem))?;
    report.problems += 1;
    Ok(report)
}

/// Codes of problems that say that an item stays closed.
pub const CLOSED: [&str; 4] = [NO_KEY, OTHER_KEY, NOT_OPENED, INCOMPLETE];

const NO_KEY: &str = "private-key-missing";
const OTHER_KEY: &str = "private-key-wrong";
const NOT_OPENED: &str = "not-opened";
const INCOMPLETE: &str = "item-incomplete";

fn code(closed: Closed) -> &'static str {
    match closed {
        Closed::Key(RandomKeyProblem::NoSuchVersion(_)) => NO_KEY,
        Closed::Key(RandomKeyProblem::WrongKey(_)) => OTHER_KEY,
        Closed::Driver(_) => NOT_OPENED,
        Closed::Incomplete | Closed::Key(RandomKeyProblem::Malformed) => INCOMPLETE,
    }
}

/// Puts the item's span in place of one in the opened message.
struct Whole<'a> {
    sink: &'a mut dyn Sink,
    left: u64,
}

impl Whole<'_> {
    fn take(&mut self) -> Span {
        Span {
            stream: 0,
            offset: 0,
            len: std::mem::take(&mut self.left),
        }
    }
}

impl Sink for Whole<'_> {
    fn record(&mut self, _span: Span, record: &Record<'_>) -> io::Result<()> {
        let span = self.take();
        self.sink.record(span, record)
    }

    fn belongs(
        &mut self,
        _span: Span,
        conversation: Option<&Conversation<'_>>,
        person: Option<&Participant<'_>>,
    ) -> io::Result<()> {
        let span = self.take();
        self.sink.belongs(span, conversation, person)
    }

    fn fetch(&mut self, fetch: &Fetch) -> io::Result<()> {
        self.sink.fetch(fetch)
    }
}
