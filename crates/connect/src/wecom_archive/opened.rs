//! One item of the archive, with what was inside: the encrypted item is what is kept, and every record stands for it.

use std::io::{self, Cursor};

use model::record::{Conversation, Participant, Problem, Record};

use super::WecomArchive;
use super::keys::RandomKeyProblem;
use super::pull::{Closed, Opened};
use crate::{Connector, Fetch, ParseOptions, Report, Sink, Span};

/// Says what an item means, given what became of opening it. The first record that is somebody's has the item's bytes, others
/// have none of their own: a problem told before a message must not take what the message hangs on. Places in problems are
/// those in the opened message.
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

/// What has no bytes of its own.
const NOWHERE: Span = Span {
    stream: 0,
    offset: 0,
    len: 0,
};

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
        let span = match record {
            Record::Problem(_) => NOWHERE,
            Record::Message(_) | Record::Event(_) => self.take(),
        };
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What each record is, and how many bytes it has.
    #[derive(Default)]
    struct Kinds(Vec<(&'static str, u64)>);

    impl Sink for Kinds {
        fn record(&mut self, span: Span, record: &Record<'_>) -> io::Result<()> {
            let kind = match record {
                Record::Message(_) => "message",
                Record::Event(_) => "event",
                Record::Problem(_) => "problem",
            };
            self.0.push((kind, span.len));
            Ok(())
        }

        fn belongs(
            &mut self,
            _: Span,
            _: Option<&Conversation<'_>>,
            _: Option<&Participant<'_>>,
        ) -> io::Result<()> {
            Ok(())
        }

        fn fetch(&mut self, _: &Fetch) -> io::Result<()> {
            Ok(())
        }
    }

    #[track_caller]
    fn check(opened: &str, expected: &[(&'static str, u64)]) {
        let item = r#"{"seq":1,"msgid":"m"}"#;
        assert_eq!(item.len(), 21);
        let mut kinds = Kinds::default();
        let opened = Opened::Plain(opened.as_bytes().to_vec().into());
        parse(item, &opened, &ParseOptions::default(), &mut kinds).unwrap();
        assert_eq!(kinds.0, expected);
    }

    #[test]
    fn a_problem_told_before_a_message_does_not_take_the_items_bytes() {
        let said = r#""from":"lina","tolist":["bo"],"msgtime":1763990000123,"text":{"content":"x"}"#;
        check(
            &format!(r#"{{"msgid":"m","action":"send","msgtype":"text",{said}}}"#),
            &[("message", 21)],
        );
        check(
            &format!(r#"{{"msgid":"m","action":"send",{said}}}"#),
            &[("problem", 0), ("message", 21)],
        );
        check(
            r#"{"msgtype":"text"}"#,
            &[
                ("problem", 0),
                ("problem", 0),
                ("problem", 0),
                ("problem", 0),
                ("problem", 0),
                ("message", 21),
            ],
        );
        check("{", &[("problem", 0)]);
    }
}
