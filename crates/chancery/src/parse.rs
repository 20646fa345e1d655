//! `parse`: what files mean, one JSON object a line; keeps nothing.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, StdoutLock, Write};
use std::path::{Path, PathBuf};

use connect::{Connector, Fetch, NotRecognized, ParseOptions, Report, Sink, Span};
use model::record::{Conversation, Participant, Record};
use serde_json::{Value, json};

use crate::args::ParseArgs;
use crate::connection;
use crate::failure::{BAD_DATA, DONE, Failure};
use crate::perform::{connector, time_zone};

const BUFFER_BYTES: usize = 1 << 20;

/// Does it.
///
/// # Errors
/// An unknown connector or zone; a file that cannot be read or is not what the connector takes.
pub fn parse(args: &ParseArgs) -> Result<u8, Failure> {
    let connector = connector(&args.source)?;
    let options = ParseOptions {
        file_name: None,
        query: None,
        custodian: args.outside.custodian.clone(),
        zone_of_phone: args.outside.zone_of_phone.as_deref().map(time_zone).transpose()?,
        date_order: args.outside.date_order.map(Into::into),
        secrets: connection::secrets_of(connector, &args.secrets)?,
    };
    // All are looked at before a line is printed: a wrong file leaves no half output behind.
    let sources: Vec<Source> = args
        .files
        .iter()
        .map(|path| Source::of(path))
        .collect::<Result<_, _>>()?;
    for source in &sources {
        recognize(connector, source, &options)?;
    }
    let mut lines = Lines::new();
    let mut reports = Vec::new();
    for source in &sources {
        match connector.parse(&mut source.open()?, &source.options(&options), &mut lines) {
            Ok(report) => reports.push(report),
            Err(error) => return Err(lines.failure(error, source)),
        }
    }
    for (index, report) in reports.iter().enumerate() {
        lines
            .value(&report_line(report, index))
            .map_err(|error| Failure::output(&error))?;
    }
    lines.flush().map_err(|error| Failure::output(&error))?;
    Ok(DONE)
}

fn report_line(report: &Report, index: usize) -> Value {
    let mut line = json!({ "kind": "report", "file_index": index });
    if let (Value::Object(line), Value::Object(report)) = (&mut line, json!(report)) {
        line.extend(report);
    }
    line
}

fn recognize(connector: &dyn Connector, source: &Source, options: &ParseOptions) -> Result<(), Failure> {
    let recognized = connector.recognize(&mut source.open()?, &source.options(options));
    recognized.map_err(|problem| match problem {
        NotRecognized::Io(error) => Failure::io("reading", source.path(), &error),
        wrong @ NotRecognized::Wrong { .. } => {
            Failure::new(BAD_DATA, wrong.to_string()).of(source.path().display())
        }
    })
}

/// Where the bytes are.
enum Source {
    Path(PathBuf),
    /// The standard input, in a file without a name.
    Spooled(File),
}

impl Source {
    fn of(path: &Path) -> Result<Source, Failure> {
        if path != Path::new("-") {
            return Ok(Source::Path(path.to_owned()));
        }
        let spooled = tempfile::tempfile().and_then(|mut file| {
            io::copy(&mut io::stdin().lock(), &mut file)?;
            Ok(file)
        });
        spooled
            .map(Source::Spooled)
            .map_err(|error| Failure::io("reading", path, &error))
    }

    fn path(&self) -> &Path {
        match self {
            Source::Path(path) => path,
            Source::Spooled(_) => Path::new("standard input"),
        }
    }

    fn open(&self) -> Result<File, Failure> {
        let opened = match self {
            Source::Path(path) => File::open(path),
            Source::Spooled(file) => file.try_clone().and_then(|mut file| {
                file.seek(SeekFrom::Start(0))?;
                Ok(file)
            }),
        };
        opened.map_err(|error| Failure::io("reading", self.path(), &error))
    }

    fn options(&self, options: &ParseOptions) -> ParseOptions {
        let mut options = options.clone();
        if let Source::Path(path) = self {
            options.file_name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        }
        options
    }
}

/// Lines for the standard output, many at once.
struct Lines {
    out: StdoutLock<'static>,
    buffer: Vec<u8>,
    /// Writing failed: told apart from reading, which may fail in the same call.
    failed: bool,
}

impl Lines {
    fn new() -> Lines {
        Lines {
            out: io::stdout().lock(),
            buffer: Vec::with_capacity(BUFFER_BYTES + (64 << 10)),
            failed: false,
        }
    }

    fn end_line(&mut self) -> io::Result<()> {
        self.buffer.push(b'\n');
        if self.buffer.len() >= BUFFER_BYTES {
            self.flush()
        } else {
            Ok(())
        }
    }

    fn value(&mut self, value: &Value) -> io::Result<()> {
        serde_json::to_writer(&mut self.buffer, value)?;
        self.end_line()
    }

    fn flush(&mut self) -> io::Result<()> {
        let written = write_whole(&mut self.out, &self.buffer);
        self.buffer.clear();
        self.failed |= written.is_err();
        written
    }

    fn failure(&mut self, error: io::Error, source: &Source) -> Failure {
        if self.failed {
            return Failure::output(&error);
        }
        // What was understood before the file could not be read on.
        let _ = self.flush();
        Failure::io("reading", source.path(), &error)
    }
}

/// Past the line buffer of the standard output, which would look for line ends in each block.
fn write_whole(out: &mut StdoutLock<'static>, bytes: &[u8]) -> io::Result<()> {
    use std::os::fd::AsFd;
    out.flush()?;
    let mut rest = bytes;
    while !rest.is_empty() {
        match rustix::io::write(out.as_fd(), rest) {
            Ok(count) => rest = rest.get(count..).unwrap_or(&[]),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

impl Sink for Lines {
    fn record(&mut self, _span: Span, record: &Record<'_>) -> io::Result<()> {
        connect::json_line::write_record(&mut self.buffer, record);
        self.end_line()
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
