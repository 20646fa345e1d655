//! The second pass: lines become messages, in the order of the file, each with the bytes that say it.

use std::io::{self, Read};

use model::record::{Place, Problem, Record};

use super::dates::Decided;
use super::encoding::Encoding;
use super::header::{Head, RawDate, Scanner, Shape};
use super::lines::{LONGEST_TEXT, Line, Lines};
use super::message::{Raw, Writer};
use super::names::Names;
use crate::{Report, Sink, Span};

/// Line numbers kept for the report.
const MOST_LINES_LISTED: usize = 100;

/// Problems kept back until the message they lie in has been given.
const MOST_KEPT_BACK: usize = 64;

/// Where problems and records go, and how they are counted.
pub struct Out<'s> {
    /// Takes them.
    pub sink: &'s mut dyn Sink,
    /// Counts them.
    pub report: Report,
    /// Stream of the chat text.
    pub stream: u32,
}

impl Out<'_> {
    /// Gives a problem without bytes of its own.
    ///
    /// # Errors
    /// Those of the sink.
    pub fn problem(
        &mut self,
        code: &'static str,
        detail: &str,
        offset: u64,
        line: Option<u64>,
    ) -> io::Result<()> {
        self.problem_with(
            code,
            detail,
            Span {
                stream: self.stream,
                offset,
                len: 0,
            },
            line,
        )
    }

    fn problem_with(
        &mut self,
        code: &'static str,
        detail: &str,
        span: Span,
        line: Option<u64>,
    ) -> io::Result<()> {
        self.report.problems += 1;
        let position = Some(Place {
            offset: span.offset,
            line,
        });
        let problem = Problem {
            code: code.into(),
            detail: detail.into(),
            position,
        };
        self.sink.record(span, &Record::Problem(problem))
    }

    fn not_understood(&mut self, line: u64) {
        if self.report.lines_not_understood.len() < MOST_LINES_LISTED {
            self.report.lines_not_understood.push(line);
        }
    }
}

/// Which lines begin a message.
pub struct Layout<'l> {
    /// The file's layout.
    pub shape: Shape,
    /// Layouts of further exports in the same file, and how their dates read.
    pub others: &'l [(Shape, Decided)],
    /// How its dates read.
    pub decided: &'l Decided,
    /// Its headers hold a word that no list has.
    pub foreign: bool,
}

impl<'l> Layout<'l> {
    /// How the dates of a header in another layout read.
    fn decided_for(&self, head: &Head) -> Option<&'l Decided> {
        self.others
            .iter()
            .find(|(shape, _)| *shape == head.shape)
            .map(|(_, decided)| decided)
    }
}

/// A message whose end has not been seen.
struct Pending {
    head: Head,
    start: u64,
    /// First byte in the capture, and how many so far.
    offset: u64,
    len: u64,
    line: u64,
    several_lines: bool,
    /// Its first bytes, once it has become too long for the window.
    cut: Option<Vec<u8>>,
    problems: Vec<(&'static str, &'static str, u64, u64)>,
}

/// Lines before the first header.
#[derive(Default)]
struct Preamble {
    line: u64,
    offset: u64,
    len: u64,
    written: bool,
}

/// The state of the second pass.
pub struct Parser<'p, 's> {
    encoding: Encoding,
    layout: Layout<'p>,
    writer: Writer<'p>,
    names: Names,
    out: Out<'s>,
    pending: Option<Pending>,
    preamble: Preamble,
    /// The date last found to exist.
    checked: Option<RawDate>,
    /// Bytes of the capture before the line at hand.
    offset: u64,
    number: u64,
}

impl<'p, 's> Parser<'p, 's> {
    /// Ready to read.
    pub fn new(
        encoding: Encoding,
        layout: Layout<'p>,
        names: Names,
        writer: Writer<'p>,
        out: Out<'s>,
    ) -> Self {
        Parser {
            encoding,
            layout,
            writer,
            names,
            out,
            pending: None,
            preamble: Preamble::default(),
            checked: None,
            offset: 0,
            number: 0,
        }
    }

    /// Reads the whole text and hands back where things went.
    ///
    /// # Errors
    /// Those of the source and the sink.
    pub fn run(mut self, source: &mut dyn Read) -> io::Result<(Out<'s>, Writer<'p>)> {
        let mut lines = Lines::new(source);
        let mut scanner = Scanner::default();
        while let Some(line) = lines.next()? {
            let bytes = lines.slice(line.start, line.end);
            let len = self.encoding.captured_len(bytes);
            let head = if line.continues { None } else { scanner.scan(bytes) };
            self.number += u64::from(!line.continues);
            match head {
                Some(head) if self.begins_message(&head)? => {
                    self.flush(&lines, line.start)?;
                    lines.hold(line.start);
                    self.begin(head, line, len);
                }
                _ => self.go_on(&mut lines, line, len),
            }
            self.cut_if_long(&mut lines, line);
            self.offset += len;
        }
        let end = lines.position();
        self.flush(&lines, end)?;
        self.end_preamble()?;
        Ok((self.out, self.writer))
    }

    fn begin(&mut self, head: Head, line: Line, len: u64) {
        self.pending = Some(Pending {
            head,
            start: line.start,
            offset: self.offset,
            len,
            line: self.number,
            several_lines: false,
            cut: None,
            problems: Vec::new(),
        });
    }

    /// A line that begins no message goes on the one before, or stands before all.
    fn go_on(&mut self, lines: &mut Lines<'_>, line: Line, len: u64) {
        if let Some(pending) = &mut self.pending {
            pending.len += len;
            pending.several_lines = true;
            return;
        }
        let blank = lines.slice(line.start, line.end).trim_ascii().is_empty();
        self.preamble.len += len;
        if !blank && !line.continues {
            if !self.preamble.written {
                self.preamble.written = true;
                self.preamble.line = self.number;
            }
            self.out.not_understood(self.number);
        }
    }

    /// Whether this header begins a message. Headers of other layouts are what people paste: they stay text.
    fn begins_message(&mut self, head: &Head) -> io::Result<bool> {
        // A date, a word and a time are what people write too.
        if head.foreign && !self.layout.foreign {
            return Ok(false);
        }
        let own = head.shape == self.layout.shape;
        if own && head.plausible && self.date_exists(head) {
            return Ok(true);
        }
        let (line, offset) = (self.number, self.offset);
        if own {
            self.out.not_understood(line);
            self.trouble("impossible-date", "A line looks like a header but its date or time does not exist; it was kept as text of the message before.", offset, line)?;
            return Ok(false);
        }
        let other = self.layout.decided_for(head);
        if let Some(decided) = other.filter(|_| head.plausible) {
            self.trouble(
                "other-layout",
                "The header has another layout than the file began with: a second export seems to follow.",
                offset,
                line,
            )?;
            return Ok(decided.read(&head.date).is_some());
        }
        self.trouble("text-like-header", "A line looks like a message header of another layout; it was kept as text of the message before.", offset, line)?;
        Ok(false)
    }

    /// Asked once a date: most lines have the date of the line before.
    #[inline]
    fn date_exists(&mut self, head: &Head) -> bool {
        if self.checked != Some(head.date) {
            if self.layout.decided.read(&head.date).is_none() {
                return false;
            }
            self.checked = Some(head.date);
        }
        true
    }

    /// A problem inside a message is given after the message.
    fn trouble(
        &mut self,
        code: &'static str,
        detail: &'static str,
        offset: u64,
        line: u64,
    ) -> io::Result<()> {
        match &mut self.pending {
            Some(pending) if pending.problems.len() < MOST_KEPT_BACK => {
                pending.problems.push((code, detail, offset, line));
                Ok(())
            }
            _ => self.out.problem(code, detail, offset, Some(line)),
        }
    }

    /// Keeps only the beginning of a message that outgrows the window.
    fn cut_if_long(&mut self, lines: &mut Lines<'_>, line: Line) {
        let Some(pending) = &mut self.pending else { return };
        if pending.cut.is_none() && line.end - pending.start > LONGEST_TEXT as u64 {
            let end = pending.start + LONGEST_TEXT as u64;
            pending.cut = Some(lines.slice(pending.start, end).to_vec());
            lines.release();
        }
    }

    /// Gives the message that ends here.
    fn flush(&mut self, lines: &Lines<'_>, end: u64) -> io::Result<()> {
        let Some(pending) = self.pending.take() else {
            return self.end_preamble();
        };
        let bytes = match &pending.cut {
            Some(cut) => cut.as_slice(),
            None => lines.slice(pending.start, end),
        };
        let raw = Raw {
            head: pending.head,
            body: bytes.get(pending.head.body..).unwrap_or_default(),
            span: Span {
                stream: self.out.stream,
                offset: pending.offset,
                len: pending.len,
            },
            line: pending.line,
            several_lines: pending.several_lines,
            cut: pending.cut.is_some(),
        };
        let decided = match raw.head.shape == self.layout.shape {
            true => self.layout.decided,
            false => self.layout.decided_for(&raw.head).unwrap_or(self.layout.decided),
        };
        self.writer.write(&raw, &mut self.names, decided, &mut self.out)?;
        for (code, detail, offset, line) in pending.problems {
            self.out.problem(code, detail, offset, Some(line))?;
        }
        Ok(())
    }

    fn end_preamble(&mut self) -> io::Result<()> {
        let Preamble {
            line,
            offset,
            len,
            written,
        } = std::mem::take(&mut self.preamble);
        if !written {
            return Ok(());
        }
        let span = Span {
            stream: self.out.stream,
            offset,
            len,
        };
        let detail = "Lines stand before the first message header.";
        self.out
            .problem_with("text-before-first-message", detail, span, Some(line))
    }
}
