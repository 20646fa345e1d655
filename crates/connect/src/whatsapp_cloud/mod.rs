//! WhatsApp Business Platform (Cloud API): webhooks of a business account.
//!
//! Facts about the vendor's format are on [`WhatsappCloud`]'s page (`about`); each file here reads one subject.

mod about;
mod accounts;
mod bodies;
mod calls;
mod envelope;
mod fetch;
mod groups;
mod history;
mod media;
mod messages;
mod people;
mod shape;
mod signature;
mod statuses;
mod system;

use std::io::{self, Read as _, SeekFrom};

use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::{
    About, Account, Admission, Connector, Door, Fetch, FetchAnswer, FetchStep, Input, NotRecognized,
    ParseOptions, Refused, Report, Request, SecretName, Secrets, Settings, Sink, Span, Trial,
};
use crate::{json, walk};
use walk::Walk;

/// The vendor says up to 3 MB; a history may be longer, and a file of collected bodies longer still.
const MAX_BODY_BYTES: u64 = 64 << 20;

/// Enough to see what a file is.
const LOOK_BYTES: u64 = 64 << 10;

const BOM: &str = "\u{feff}";

/// Webhooks of the WhatsApp Business Platform.
pub struct WhatsappCloud;

impl Connector for WhatsappCloud {
    fn id(&self) -> &'static str {
        "whatsapp-cloud"
    }

    fn version(&self) -> u32 {
        2
    }

    fn about(&self) -> &'static About {
        &about::ABOUT
    }

    fn door(&self) -> Door {
        Door::Webhook {
            required: &[
                SecretName {
                    name: signature::APP_SECRET,
                    help: "App secret (App dashboard > App settings > Basic). Several when several apps or \
                           partners deliver here.",
                    several: true,
                },
                SecretName {
                    name: signature::VERIFY_TOKEN,
                    help: "Any text, entered again under WhatsApp > Configuration > Webhook > Verify token.",
                    several: false,
                },
            ],
            optional: &[SecretName {
                name: fetch::ACCESS_TOKEN,
                help: "System user token with whatsapp_business_messaging, to fetch files. Without it no file is \
                       fetched.",
                several: false,
            }],
            settings: fetch::SETTINGS,
        }
    }

    fn admit(&self, request: &Request<'_>, account: Account<'_>) -> Result<Admission, Refused> {
        signature::admit(request, account)
    }

    fn trials(&self, secrets: &Secrets) -> Vec<Trial> {
        signature::trials(secrets)
    }

    fn recognize(&self, input: &mut dyn Input, _options: &ParseOptions) -> Result<(), NotRecognized> {
        let mut start = Vec::new();
        input.seek(SeekFrom::Start(0))?;
        input.take(LOOK_BYTES).read_to_end(&mut start)?;
        let wrong = |found| {
            Err(NotRecognized::Wrong {
                found,
                expected: "a webhook body: a JSON object with `object` and `entry`, or a part of one",
            })
        };
        let text = String::from_utf8_lossy(&start);
        let text = text.trim_start_matches(BOM).trim_ascii_start();
        // What is cut off, broken or unusual at its beginning is known by a word of the vendor's.
        let words = [
            "\"entry\"",
            "\"messaging_product\"",
            "\"wa_id\"",
            "\"recipient_id\"",
        ];
        let named = words.iter().any(|word| text.contains(word));
        let begins = |text: &str| {
            let mut values = serde_json::Deserializer::from_str(text).into_iter::<&RawValue>();
            matches!(values.next(), Some(Ok(raw)) if shape::is_known(raw))
        };
        // Of a long list only the first element may be there as a whole.
        let known = || begins(text) || text.strip_prefix('[').is_some_and(begins);
        match text.bytes().next() {
            None => wrong("the file is empty"),
            Some(b'{' | b'[') if named || known() => Ok(()),
            Some(b'{' | b'[') => wrong("the file is JSON without `entry`, and no part of a delivery"),
            Some(b'P') if start.starts_with(b"PK\x03\x04") => wrong("the file is a zip archive"),
            Some(_) => wrong("the file is not JSON"),
        }
    }

    fn parse(
        &self,
        input: &mut dyn Input,
        _options: &ParseOptions,
        sink: &mut dyn Sink,
    ) -> io::Result<Report> {
        let mut bytes = Zeroizing::new(Vec::new());
        // All room at once: a vector that grows leaves copies behind that nobody wipes.
        let size = input.seek(SeekFrom::End(0))?.min(MAX_BODY_BYTES) + 1;
        bytes.reserve_exact(usize::try_from(size).unwrap_or_default());
        input.seek(SeekFrom::Start(0))?;
        input.take(MAX_BODY_BYTES + 1).read_to_end(&mut bytes)?;
        let too_large = u64::try_from(bytes.len()).is_ok_and(|len| len > MAX_BODY_BYTES);
        let report = Report {
            connector: self.id().to_owned(),
            connector_version: self.version(),
            ..Report::default()
        };
        let not_utf8 = json::make_utf8(&mut bytes);
        let text = std::str::from_utf8(&bytes).unwrap_or_default();
        let mut walk = Walk::new(text, sink, report);
        if too_large {
            let start = Span {
                stream: 0,
                offset: 0,
                len: 0,
            };
            walk.problem_at(start, "too-large", "the body is longer than 64 MiB")?;
            return Ok(walk.report);
        }
        if let Some(place) = not_utf8 {
            not_json(
                &mut walk,
                place,
                "bytes here, and maybe further on, are not UTF-8; `?` stands for each",
            )?;
        }
        bodies_in(&mut walk, text)?;
        Ok(walk.report)
    }

    fn fetch_first(&self, fetch: &Fetch, settings: &Settings) -> FetchStep {
        fetch::first(fetch, settings)
    }

    fn fetch_next(
        &self,
        fetch: &Fetch,
        settings: &Settings,
        step: u32,
        answer: &FetchAnswer<'_>,
    ) -> FetchStep {
        fetch::next(fetch, settings, step, answer)
    }
}

/// Reads one body, or several one after another (JSON Lines).
///
/// A broken line of a collection does not take the others with it. Only a line that begins with `{` or `[` can be
/// one: the lines of a body laid out for reading are indented.
fn bodies_in<'a>(walk: &mut Walk<'a, '_>, text: &'a str) -> io::Result<()> {
    let mut next = Some(text.len() - text.trim_start_matches(BOM).len());
    while let Some(at) = next {
        let rest = text.get(at..).unwrap_or("");
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<&'a RawValue>();
        let broken = loop {
            match values.next() {
                Some(Ok(raw)) => envelope::body(walk, raw)?,
                Some(Err(error)) => break Some(error),
                None => break None,
            }
        };
        let Some(error) = broken else { break };
        let place = at + place_of(rest, &error).max(values.byte_offset());
        not_json(walk, place, "the bytes are not JSON here")?;
        next = next_line(text, place.saturating_sub(1).max(at)).filter(|_| !error.is_eof());
    }
    if text.trim_start_matches(BOM).trim_ascii().is_empty() {
        not_json(walk, text.len(), "there is nothing but blanks")?;
    }
    Ok(())
}

/// The start of the first line after `from` that could be a body.
fn next_line(text: &str, from: usize) -> Option<usize> {
    let rest = text.get(from..)?;
    let starts = rest.match_indices('\n').map(|(newline, _)| newline + 1);
    let mut bodies =
        starts.filter(|&start| rest.get(start..).is_some_and(|line| line.starts_with(['{', '['])));
    bodies.next().map(|start| from + start)
}

/// Byte offset of a syntax error, which is told as line and column.
fn place_of(text: &str, error: &serde_json::Error) -> usize {
    let lines_before = error.line().saturating_sub(1);
    let start = match lines_before.checked_sub(1) {
        None => 0,
        Some(last) => text
            .match_indices('\n')
            .nth(last)
            .map_or(text.len(), |(newline, _)| newline + 1),
    };
    let place = start
        .saturating_add(error.column().saturating_sub(1))
        .min(text.len());
    (0..=place)
        .rev()
        .find(|&place| text.is_char_boundary(place))
        .unwrap_or(0)
}

fn not_json(walk: &mut Walk<'_, '_>, place: usize, detail: &'static str) -> io::Result<()> {
    let span = Span {
        stream: 0,
        offset: u64::try_from(place).unwrap_or(0),
        len: 0,
    };
    walk.problem_at(span, "not-json", detail)
}
