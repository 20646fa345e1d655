//! How fast an export is read: `cargo run --release -p connect --example parse_export -- FILE [OUT]`.
//!
//! Prints messages a second for parsing alone, and for parsing with JSON lines written to `OUT`.

use std::fs::File;
use std::io::{self, Write};
use std::time::{Duration, Instant};

use connect::json_line::write_record;
use connect::{Connector, Fetch, ParseOptions, Report, Sink, Span};
use model::record::{Conversation, Participant, Record};

/// Counts, or writes.
struct Lines {
    buffer: Vec<u8>,
    file: Option<File>,
}

impl Sink for Lines {
    fn record(&mut self, _span: Span, record: &Record<'_>) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Ok(()) };
        write_record(&mut self.buffer, record);
        self.buffer.push(b'\n');
        if self.buffer.len() >= 256 * 1024 {
            file.write_all(&self.buffer)?;
            self.buffer.clear();
        }
        Ok(())
    }

    fn belongs(
        &mut self,
        _span: Span,
        _conversation: Option<&Conversation<'_>>,
        _person: Option<&Participant<'_>>,
    ) -> io::Result<()> {
        Ok(())
    }

    fn fetch(&mut self, _fetch: &Fetch) -> io::Result<()> {
        Ok(())
    }
}

fn timed(path: &str, out: Option<File>) -> io::Result<(Report, Duration)> {
    let mut sink = Lines {
        buffer: Vec::new(),
        file: out,
    };
    let options = ParseOptions {
        file_name: Some(path.to_owned()),
        ..ParseOptions::default()
    };
    let start = Instant::now();
    let report =
        connect::whatsapp_export::WhatsappExport.parse(&mut File::open(path)?, &options, &mut sink)?;
    if let Some(file) = &mut sink.file {
        file.write_all(&sink.buffer)?;
    }
    Ok((report, start.elapsed()))
}

fn main() -> io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or_else(|| io::Error::other("which file?"))?;
    let out = arguments.next();
    let mut stdout = io::stdout().lock();
    let mut show = |what: &str, (report, took): (Report, Duration)| {
        let count = report.messages.max(1);
        let each = took.as_nanos() / u128::from(count);
        writeln!(
            stdout,
            "{what}: {count} messages, {took:.2?}, {each} ns a message, {} problems",
            report.problems
        )
    };
    show("parsed", timed(&path, None)?)?;
    match out {
        Some(out) => show("parsed and written", timed(&path, Some(File::create(out)?))?),
        None => Ok(()),
    }
}
