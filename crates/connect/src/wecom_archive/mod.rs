//! WeCom conversation archive (会话内容存档): decrypted messages, and items that are still encrypted.
//!
//! Facts about the vendor's format are on [`WecomArchive`]'s page (`about`); each file here reads one subject. How the
//! archive is pulled is decided in [`pull`], [`media`] and [`keys`]; the vendor's library stands behind [`driver`].

mod about;
pub mod account;
mod bodies;
pub mod driver;
mod envelope;
pub mod fake;
mod fields;
pub mod items;
pub mod keys;
mod kinds;
pub mod media;
mod messages;
mod nested;
pub mod opened;
mod people;
pub mod pull;
mod quote;

use std::io::{self, Read as _, SeekFrom};

use serde_json::value::RawValue;

use crate::values::{Found, Values};
use crate::walk::{Kept, Walk};
use crate::{
    About, Account, Connector, Door, Fetch, FetchStep, Input, NotRecognized, ParseOptions, Report, Settings,
    Sink, Span,
};

/// A whole answer of the archive has up to 1,000 messages; a file of messages may be of any length.
const VALUE_BYTES_MAX: usize = 32 << 20;

/// Enough to see what a file is.
const LOOK_BYTES: u64 = 64 << 10;

/// Pause while nothing fetches files: somebody may add a connection.
const NO_DRIVER_SECONDS: u64 = 3600;

/// Words that stand in every message or item of the archive.
const WORDS: &[&str] = &["\"msgid\"", "\"msgtype\"", "\"chatdata\"", "\"encrypt_chat_msg\""];

/// Messages of the WeCom conversation archive.
pub struct WecomArchive;

impl Connector for WecomArchive {
    fn id(&self) -> &'static str {
        "wecom-archive"
    }

    fn version(&self) -> u32 {
        1
    }

    fn about(&self) -> &'static About {
        &about::ABOUT
    }

    fn door(&self) -> Door {
        account::DOOR
    }

    fn check(&self, account: Account<'_>) -> Result<(), &'static str> {
        account::check(account)
    }

    fn versioned_secrets(&self) -> &'static [&'static str] {
        &[account::PRIVATE_KEY]
    }

    fn recognize(&self, input: &mut dyn Input, _options: &ParseOptions) -> Result<(), NotRecognized> {
        let mut start = Vec::new();
        input.seek(SeekFrom::Start(0))?;
        input.take(LOOK_BYTES).read_to_end(&mut start)?;
        let wrong = |found| {
            Err(NotRecognized::Wrong {
                found,
                expected: "messages of the WeCom archive as JSON: objects with `msgid` and `msgtype`",
            })
        };
        let text = String::from_utf8_lossy(&start);
        let text = text.trim_start_matches('\u{feff}').trim_ascii_start();
        match text.bytes().next() {
            None => wrong("the file is empty"),
            Some(b'{' | b'[') if WORDS.iter().any(|word| text.contains(word)) => Ok(()),
            Some(b'{' | b'[') => wrong("the file is JSON without `msgid`"),
            Some(b'P') if start.starts_with(b"PK\x03\x04") => wrong("the file is a zip archive"),
            Some(_) => wrong("the file is not JSON"),
        }
    }

    fn parse(
        &self,
        input: &mut dyn Input,
        options: &ParseOptions,
        sink: &mut dyn Sink,
    ) -> io::Result<Report> {
        let mut values = Values::new(input, VALUE_BYTES_MAX)?;
        let mut kept = Kept::default();
        kept.report.connector = self.id().to_owned();
        kept.report.connector_version = self.version();
        let mut empty = true;
        while let Some(found) = values.next()? {
            empty = false;
            kept = match found {
                Found::Value(offset) => read(values.text(), offset, options, sink, kept)?,
                Found::TooLong(offset) => {
                    told(sink, kept, offset, "too-large", "a value is longer than 32 MiB")?
                }
                Found::Broken(offset) => told(sink, kept, offset, "not-json", "the bytes are not JSON here")?,
            };
        }
        if empty {
            kept = told(sink, kept, 0, "nothing-inside", "there is no message in it")?;
        }
        Ok(kept.report)
    }

    fn fetch_first(&self, _fetch: &Fetch, _settings: &Settings) -> FetchStep {
        FetchStep::Again {
            after_seconds: NO_DRIVER_SECONDS,
            reason: "files of the archive come through the vendor's library, by a connection with its secrets",
        }
    }
}

/// Reads one value of the file, which begins at `offset`.
fn read(
    (text, not_utf8): (&str, Option<usize>),
    offset: u64,
    options: &ParseOptions,
    sink: &mut dyn Sink,
    kept: Kept,
) -> io::Result<Kept> {
    let mut walk = Walk::resumed(text, offset, sink, kept);
    if let Some(odd) = not_utf8 {
        let detail = "bytes here, and maybe further on, are not UTF-8; `?` stands for each";
        walk.problem_at(
            place(offset + u64::try_from(odd).unwrap_or(0)),
            "not-json",
            detail,
        )?;
    }
    match serde_json::from_str::<&RawValue>(text) {
        Ok(raw) => envelope::value(&mut walk, options, raw)?,
        Err(_) => walk.problem_at(
            place(offset),
            "not-json",
            "a number or an escape in this value is not JSON",
        )?,
    }
    Ok(walk.kept())
}

fn told(
    sink: &mut dyn Sink,
    kept: Kept,
    offset: u64,
    code: &'static str,
    detail: &'static str,
) -> io::Result<Kept> {
    let mut walk = Walk::resumed("", 0, sink, kept);
    walk.problem_at(place(offset), code, detail)?;
    Ok(walk.kept())
}

fn place(offset: u64) -> Span {
    Span {
        stream: 0,
        offset,
        len: 0,
    }
}
