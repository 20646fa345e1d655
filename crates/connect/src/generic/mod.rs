//! Any other source: messages in a form of ours, from a file or in a signed post.
//!
//! The form is written down in `docs/guide/any-other-source.md`; [`record`] reads it. Both connectors share it.

mod about;
mod record;
mod signature;

use std::io::{self, BufRead as _, BufReader, Read as _, SeekFrom};

use serde_json::Value;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::pass::Pass;
use crate::{
    About, Account, Admission, Connector, Door, Input, NotRecognized, ParseOptions, Refused, Report, Request,
    SecretName, Secrets, Sink, Span, Trial,
};

/// Longer lines and objects are not read.
const MAX_OBJECT_BYTES: usize = 1 << 20;
/// A posted body is held in memory while it is read.
const MAX_BODY_BYTES: u64 = 64 << 20;
/// Enough to see what a file is.
const LOOK_BYTES: u64 = 64 << 10;
/// Levels of JSON that are read. A record puts some more around it, and readers' usual limit is 128.
const MAX_DEPTH: usize = 64;

const BOM: &[u8] = b"\xef\xbb\xbf";

/// Files of JSON Lines.
pub struct GenericImport;

/// Signed posts of the same.
pub struct GenericWebhook;

impl Connector for GenericImport {
    fn id(&self) -> &'static str {
        "generic-import"
    }

    fn version(&self) -> u32 {
        1
    }

    fn about(&self) -> &'static About {
        &about::IMPORT
    }

    fn door(&self) -> Door {
        Door::File
    }

    fn recognize(&self, input: &mut dyn Input, _options: &ParseOptions) -> Result<(), NotRecognized> {
        let mut start = Vec::new();
        input.seek(SeekFrom::Start(0))?;
        input.take(LOOK_BYTES).read_to_end(&mut start)?;
        let wrong = |found| {
            Err(NotRecognized::Wrong {
                found,
                expected: "JSON Lines: one object a line with `text`, `sender` or another field of a message",
            })
        };
        let text = start.strip_prefix(BOM).unwrap_or(&start).trim_ascii_start();
        let whole = text.iter().position(|byte| *byte == b'\n');
        let line = text.get(..whole.unwrap_or(text.len())).unwrap_or_default();
        match line.first() {
            None => wrong("the file is empty"),
            Some(b'{') => match serde_json::from_slice::<Value>(line) {
                Ok(Value::Object(fields)) if record::is_record(&fields) => Ok(()),
                Ok(_) => wrong("the first line has no field of a message"),
                // A line longer than was looked at is cut.
                Err(_) if whole.is_none() && line.len() as u64 >= LOOK_BYTES - 8 => Ok(()),
                Err(_) => wrong("the first line is not a whole JSON object"),
            },
            Some(b'[') => wrong("the file is one JSON list"),
            Some(b'P') if line.starts_with(b"PK\x03\x04") => wrong("the file is a zip archive"),
            Some(_) => wrong("the file is not JSON"),
        }
    }

    fn parse(
        &self,
        input: &mut dyn Input,
        options: &ParseOptions,
        sink: &mut dyn Sink,
    ) -> io::Result<Report> {
        let mut pass = Pass::new(sink, blank_report(self));
        input.seek(SeekFrom::Start(0))?;
        lines(&mut pass, input, options)?;
        Ok(pass.report)
    }
}

impl Connector for GenericWebhook {
    fn id(&self) -> &'static str {
        "generic-webhook"
    }

    fn version(&self) -> u32 {
        1
    }

    fn about(&self) -> &'static About {
        &about::WEBHOOK
    }

    fn door(&self) -> Door {
        Door::Webhook {
            required: &[SecretName {
                name: signature::SECRET,
                help: "A text of at least 16 characters at random that the sender signs with, as from `openssl rand \
                       -hex 32`. Several while it is changed.",
                several: true,
            }],
            optional: &[],
            settings: &[(signature::WINDOW, signature::WINDOW_DEFAULT)],
        }
    }

    fn admit(&self, request: &Request<'_>, account: Account<'_>) -> Result<Admission, Refused> {
        signature::admit(request, account)
    }

    fn check(&self, account: Account<'_>) -> Result<(), &'static str> {
        signature::check(account)
    }

    fn trials(&self, _secrets: &Secrets) -> Vec<Trial> {
        signature::trials()
    }

    fn recognize(&self, input: &mut dyn Input, _options: &ParseOptions) -> Result<(), NotRecognized> {
        let mut start = Vec::new();
        input.seek(SeekFrom::Start(0))?;
        input.take(LOOK_BYTES).read_to_end(&mut start)?;
        let text = start.strip_prefix(BOM).unwrap_or(&start).trim_ascii_start();
        match text.first() {
            Some(b'{' | b'[') => Ok(()),
            _ => Err(NotRecognized::Wrong {
                found: "the file is not JSON",
                expected: "a posted body: a JSON object, a list of objects, or one object a line",
            }),
        }
    }

    fn parse(
        &self,
        input: &mut dyn Input,
        options: &ParseOptions,
        sink: &mut dyn Sink,
    ) -> io::Result<Report> {
        let mut pass = Pass::new(sink, blank_report(self));
        let mut bytes = Zeroizing::new(Vec::new());
        // All room at once: a vector that grows leaves copies behind that nobody wipes.
        let size = input.seek(SeekFrom::End(0))?.min(MAX_BODY_BYTES) + 1;
        bytes.reserve_exact(usize::try_from(size).unwrap_or_default());
        input.seek(SeekFrom::Start(0))?;
        input.take(MAX_BODY_BYTES + 1).read_to_end(&mut bytes)?;
        if u64::try_from(bytes.len()).is_ok_and(|length| length > MAX_BODY_BYTES) {
            pass.lost(span(0, 0), "too-large", "the body is longer than 64 MiB")?;
            return Ok(pass.report);
        }
        body(&mut pass, &bytes, options)?;
        Ok(pass.report)
    }
}

fn blank_report(connector: &dyn Connector) -> Report {
    Report {
        connector: connector.id().to_owned(),
        connector_version: connector.version(),
        ..Report::default()
    }
}

fn span(offset: u64, len: usize) -> Span {
    Span {
        stream: 0,
        offset,
        len: u64::try_from(len).unwrap_or(0),
    }
}

/// Reads a file line by line: memory holds one line, whatever the file's size.
fn lines(pass: &mut Pass<'_>, input: &mut dyn Input, options: &ParseOptions) -> io::Result<()> {
    let mut reader = BufReader::with_capacity(64 << 10, input);
    let (mut at, mut number, mut line) = (0_u64, 0_u64, Zeroizing::new(Vec::with_capacity(64 << 10)));
    loop {
        line.clear();
        let limit = u64::try_from(MAX_OBJECT_BYTES).unwrap_or(u64::MAX) + 2;
        let taken = (&mut reader).take(limit).read_until(b'\n', &mut line)?;
        if taken == 0 {
            return Ok(());
        }
        number += 1;
        pass.line = Some(number);
        let mut length = u64::try_from(taken).unwrap_or(u64::MAX);
        let whole = line.last() == Some(&b'\n') || length < limit;
        if !whole {
            length = length.saturating_add(skip_line(&mut reader)?);
        }
        let text = line
            .strip_prefix(if number == 1 { BOM } else { b"" })
            .unwrap_or(&line);
        let shift = u64::try_from(line.len() - text.len()).unwrap_or(0);
        let blanks = text.len() - text.trim_ascii_start().len();
        let place = at + shift + u64::try_from(blanks).unwrap_or(0);
        let text = text.trim_ascii();
        if !whole {
            not_understood(
                pass,
                number,
                span(place, 0),
                "too-large",
                "a line is longer than 1 MiB",
            )?;
        } else if !text.is_empty() {
            let before = pass.report.problems;
            object(pass, text, span(place, text.len()), options)?;
            if pass.report.problems > before && pass.report.lines_not_understood.len() < 100 {
                pass.report.lines_not_understood.push(number);
            }
        }
        at = at.saturating_add(length);
    }
}

fn not_understood(
    pass: &mut Pass<'_>,
    line: u64,
    span: Span,
    code: &'static str,
    detail: &'static str,
) -> io::Result<()> {
    if pass.report.lines_not_understood.len() < 100 {
        pass.report.lines_not_understood.push(line);
    }
    pass.lost(span, code, detail)
}

/// Goes to the end of the line; how many bytes that were.
fn skip_line(reader: &mut impl io::BufRead) -> io::Result<u64> {
    let mut skipped = 0_u64;
    loop {
        let buffer = reader.fill_buf()?;
        if buffer.is_empty() {
            return Ok(skipped);
        }
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let count = end.map_or(buffer.len(), |end| end + 1);
        reader.consume(count);
        skipped = skipped.saturating_add(u64::try_from(count).unwrap_or(0));
        if end.is_some() {
            return Ok(skipped);
        }
    }
}

/// Reads a posted body: an object, a list of objects, or several one after another.
fn body(pass: &mut Pass<'_>, bytes: &[u8], options: &ParseOptions) -> io::Result<()> {
    let text = bytes.strip_prefix(BOM).unwrap_or(bytes);
    let skipped = bytes.len() - text.len();
    let Ok(text) = std::str::from_utf8(text) else {
        return pass.lost(span(0, bytes.len()), "not-json", "the body is not UTF-8");
    };
    let place = |part: &str| {
        let distance = part.as_ptr().addr().saturating_sub(text.as_ptr().addr());
        span(u64::try_from(skipped + distance).unwrap_or(0), part.len())
    };
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
    let mut any = false;
    loop {
        let at = values.byte_offset();
        match values.next() {
            Some(Ok(raw)) => {
                any = true;
                match raw.get().strip_prefix('[') {
                    Some(rest) => list(pass, rest, &place, options)?,
                    None => object(pass, raw.get().as_bytes(), place(raw.get()), options)?,
                }
            }
            Some(Err(_)) => {
                let place = span(u64::try_from(skipped + at).unwrap_or(0), 0);
                return pass.lost(place, "not-json", "the bytes are not JSON from here on");
            }
            None if any => return Ok(()),
            None => return pass.lost(span(0, 0), "not-json", "there is nothing but blanks"),
        }
    }
}

/// The elements of a list, one at a time.
fn list(
    pass: &mut Pass<'_>,
    mut rest: &str,
    place: &dyn Fn(&str) -> Span,
    options: &ParseOptions,
) -> io::Result<()> {
    loop {
        rest = rest.trim_start_matches([' ', '\t', '\r', '\n', ',']);
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<&RawValue>();
        // The list is well formed: what cannot be read is its end.
        let Some(Ok(raw)) = values.next() else {
            return Ok(());
        };
        rest = rest.get(values.byte_offset()..).unwrap_or_default();
        object(pass, raw.get().as_bytes(), place(raw.get()), options)?;
    }
}

fn object(pass: &mut Pass<'_>, text: &[u8], span: Span, options: &ParseOptions) -> io::Result<()> {
    if text.len() > MAX_OBJECT_BYTES {
        return pass.lost(span, "too-large", "an object is longer than 1 MiB");
    }
    match serde_json::from_slice::<Value>(text) {
        Ok(value) if depth(&value) > MAX_DEPTH => {
            pass.lost(span, "too-large", "an object is nested too deeply")
        }
        Ok(Value::Object(fields)) => record::record(pass, span, &fields, options),
        Ok(_) => pass.lost(
            span,
            "not-a-record",
            "here stands a JSON value that is not an object",
        ),
        Err(error) if error.to_string().starts_with("recursion limit") => {
            pass.lost(span, "too-large", "an object is nested too deeply")
        }
        Err(_) => pass.lost(span, "not-json", "this is not a JSON object in UTF-8"),
    }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::Array(list) => 1 + list.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}
