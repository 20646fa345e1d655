//! How fast an export is read: `cargo run --release -p connect --example parse_export -- FILE [OUT]`.
//!
//! Prints messages a second for parsing alone, and for parsing with JSON lines written to `OUT`.

use std::fs::File;
use std::io::{self, Write};
use std::sync::mpsc::{self, SyncSender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use connect::json_line::write_record;
use connect::{Connector, Fetch, ParseOptions, Report, Sink, Span};
use model::record::{Conversation, Participant, Record};

/// Counts, or hands lines to the thread that writes them.
struct Lines {
    buffer: Vec<u8>,
    to: Option<SyncSender<Vec<u8>>>,
}

const BLOCK: usize = 256 * 1024;

impl Sink for Lines {
    fn record(&mut self, _span: Span, record: &Record<'_>) -> io::Result<()> {
        let Some(to) = &self.to else { return Ok(()) };
        write_record(&mut self.buffer, record);
        self.buffer.push(b'\n');
        if self.buffer.len() >= BLOCK {
            let full = std::mem::replace(&mut self.buffer, Vec::with_capacity(BLOCK + BLOCK / 4));
            to.send(full).map_err(io::Error::other)?;
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

/// Writes what it is sent, on its own thread: the kernel's part of the work costs as much as the parser's.
fn writing(mut file: File) -> (SyncSender<Vec<u8>>, JoinHandle<io::Result<()>>) {
    let (to, from) = mpsc::sync_channel::<Vec<u8>>(4);
    let thread = std::thread::spawn(move || from.into_iter().try_for_each(|block| file.write_all(&block)));
    (to, thread)
}

fn timed(path: &str, out: Option<File>) -> io::Result<(Report, Duration)> {
    let start = Instant::now();
    let (to, thread) = out.map(writing).unzip();
    let mut sink = Lines {
        buffer: Vec::new(),
        to,
    };
    let options = ParseOptions {
        file_name: Some(path.to_owned()),
        ..ParseOptions::default()
    };
    let report =
        connect::whatsapp_export::WhatsappExport.parse(&mut File::open(path)?, &options, &mut sink)?;
    if let Some(to) = sink.to.take() {
        to.send(std::mem::take(&mut sink.buffer))
            .map_err(io::Error::other)?;
    }
    if let Some(thread) = thread {
        thread
            .join()
            .map_err(|_| io::Error::other("the writing thread died"))??;
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
