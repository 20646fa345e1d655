//! The two accounts, read.

use std::collections::hash_map::RandomState;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use connect::{Connector, Fetch, NotRecognized, ParseOptions, Sink, Span};
use model::MessageId;
use model::record::{Conversation, Participant, Record};
use reconcile::Side;
use serde::Deserialize;
use server::vault::reconcile::{Begun, Reach};
use server::vault::{Vault, VaultError};

use super::RECORDS;
use crate::failure::{BAD_DATA, Failure};
use crate::perform;

/// A line of `records` at most: the longest message of any connector, its files and details, many times over.
const LINE_BYTES_MAX: u64 = 16 << 20;

/// Where the records of an account stand.
pub enum Places {
    /// Bytes from the beginning of a file.
    Offsets(Vec<u64>),
    /// In the record.
    Captured(Vec<MessageId>),
}

/// One account.
pub struct Loaded {
    /// What it says.
    pub side: Side,
    /// Where.
    pub places: Places,
    /// How far what was captured can be relied upon.
    pub reach: Option<Reach>,
}

fn too_many() -> Failure {
    Failure::new(
        BAD_DATA,
        format!(
            "{}; compare shorter stretches of the conversation",
            reconcile::TooMany
        ),
    )
}

/// A captured conversation.
///
/// # Errors
/// Those of the vault; it is too long.
pub fn load_captured(
    vault: &Vault,
    begun: &Begun,
    id: &str,
    connection: Option<&str>,
    keys: &RandomState,
) -> Result<Loaded, Failure> {
    let conversation = vault.captured_conversation(id, connection)?;
    let (mut side, mut places) = (Side::new(keys), Vec::new());
    let reach = vault.each_of_conversation(begun, &conversation, &mut |id, record| {
        let place = places.len() as u64;
        side.add(place, record)
            .map_err(|error| VaultError::BadData(error.to_string()))?;
        places.push(id);
        Ok(())
    })?;
    Ok(Loaded {
        side,
        places: Places::Captured(places),
        reach: Some(reach),
    })
}

/// A file.
///
/// # Errors
/// It cannot be read, is not what reads it takes, is too long, or holds several conversations.
pub fn load_file(
    source: &str,
    path: &Path,
    within: Option<&str>,
    keys: &RandomState,
) -> Result<Loaded, Failure> {
    let mut taking = Taking {
        side: Side::new(keys),
        offsets: Vec::new(),
        within,
        first: None,
        several: false,
        too_many: false,
    };
    let unreadable = |error: &io::Error| Failure::io("reading", path, error);
    let mut file = File::open(path).map_err(|error| unreadable(&error))?;
    if let Ok(about) = file.metadata() {
        taking.side.expect(about.len());
    }
    let read = if source == RECORDS {
        taking.records(&file)
    } else {
        let connector: &dyn Connector = perform::connector(source)?;
        let options = ParseOptions {
            file_name: path.file_name().map(|name| name.to_string_lossy().into_owned()),
            ..ParseOptions::default()
        };
        match connector.recognize(&mut file, &options) {
            Err(NotRecognized::Io(error)) => return Err(unreadable(&error)),
            Err(wrong) => return Err(Failure::new(BAD_DATA, wrong.to_string()).of(path.display())),
            Ok(()) => io::Seek::rewind(&mut file)
                .and_then(|()| connector.parse(&mut file, &options, &mut taking))
                .map(drop)
                .map_err(|error| unreadable(&error)),
        }
    };
    if taking.too_many {
        return Err(too_many().of(path.display()));
    }
    read.map_err(|failure| failure.of(path.display()))?;
    if taking.several {
        let text = "holds several conversations; name one with --within";
        return Err(Failure::usage(text).of(path.display()));
    }
    Ok(Loaded {
        side: taking.side,
        places: Places::Offsets(taking.offsets),
        reach: None,
    })
}

/// Takes the records of a file.
struct Taking<'a> {
    side: Side,
    offsets: Vec<u64>,
    within: Option<&'a str>,
    first: Option<String>,
    several: bool,
    too_many: bool,
}

impl Taking<'_> {
    fn take(&mut self, offset: u64, record: &Record<'_>) -> io::Result<()> {
        let (conversation, is_message) = match record {
            Record::Message(message) => (&message.conversation, true),
            Record::Event(event) => (&event.conversation, false),
            Record::Problem(_) => return Ok(()),
        };
        if !self.wanted(conversation.as_ref(), is_message) {
            return Ok(());
        }
        let place = self.offsets.len() as u64;
        if self.side.add(place, record).is_err() {
            self.too_many = true;
            return Err(io::Error::other("too many messages"));
        }
        self.offsets.push(offset);
        Ok(())
    }

    fn wanted(&mut self, conversation: Option<&Conversation<'_>>, is_message: bool) -> bool {
        let names = conversation.map(|one| [one.id.as_ref(), one.title.as_ref()]);
        let mut names = names.into_iter().flatten().flatten().map(|name| name.reveal());
        if let Some(within) = self.within {
            let named = names.any(|name| name == within);
            return named || (conversation.is_none() && !is_message);
        }
        if let Some(name) = names.next().filter(|_| is_message) {
            match &self.first {
                Some(first) => self.several |= first != name,
                None => self.first = Some(name.to_owned()),
            }
        }
        true
    }

    /// What `parse` wrote.
    fn records(&mut self, file: &File) -> Result<(), Failure> {
        let mut reader = BufReader::with_capacity(1 << 20, file);
        let (mut line, mut offset, mut number) = (Vec::new(), 0u64, 0u64);
        loop {
            line.clear();
            number += 1;
            let wrong = |what: &str| Failure::new(BAD_DATA, format!("line {number} {what}"));
            let count = Read::by_ref(&mut reader)
                .take(LINE_BYTES_MAX)
                .read_until(b'\n', &mut line)
                .map_err(|_| wrong("could not be read"))?;
            if count == 0 {
                return Ok(());
            }
            if count as u64 == LINE_BYTES_MAX && !line.ends_with(b"\n") {
                return Err(wrong("is too long"));
            }
            let text = line.trim_ascii();
            if !text.is_empty() {
                match serde_json::from_slice::<Line<'_>>(text) {
                    Ok(Line::Record(record)) => {
                        self.take(offset, &record).map_err(|_| too_many())?;
                    }
                    Ok(Line::Report { .. }) => {}
                    Err(_) => return Err(wrong("is no record as `chancery parse` writes it")),
                }
            }
            offset += count as u64;
        }
    }
}

/// A line that `parse` writes.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line<'a> {
    #[serde(borrow)]
    Record(Box<Record<'a>>),
    Report {
        #[serde(rename = "kind")]
        _kind: Report,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Report {
    Report,
}

impl Sink for Taking<'_> {
    fn record(&mut self, span: Span, record: &Record<'_>) -> io::Result<()> {
        self.take(span.offset, record)
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
