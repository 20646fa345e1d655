//! One message from its bytes: who, when, what.

use std::borrow::Cow;
use std::io;

use model::Content;
use model::record::{
    Attachment, AttachmentState, ContentKind, Conversation, ConversationShape, Direction, Identifier,
    Message, Participant, Record, TimeCertainty,
};
use serde_json::Value;

use super::dates::{Decided, Reading};
use super::files::{Files, Lookup};
use super::header::Head;
use super::learned::Learned;
use super::local::{Shift, Wall, Zone};
use super::meaning::{self, Marking, Meaning};
use super::media;
use super::names::{self, Names, Person, Wrote};
use super::parse::Out;
use super::placeholders::{Evidence, Phrases, unmarked};
use super::survey::without_end;
use super::system;
use crate::Span;

/// A message's bytes.
pub struct Raw<'r> {
    /// Its header.
    pub head: Head,
    /// What follows the header, line ends included.
    pub body: &'r [u8],
    /// All its bytes in the capture.
    pub span: Span,
    /// Number of its first line.
    pub line: u64,
    /// It has further lines.
    pub several_lines: bool,
    /// Only its beginning is here.
    pub cut: bool,
}

/// What was reported once for the file and is not repeated.
#[derive(Default)]
struct Once {
    odd_clock: bool,
    unverified: bool,
    unknown: bool,
    repeated_hour: bool,
    skipped_hour: bool,
}

/// Makes records.
pub struct Writer<'w> {
    /// The words WhatsApp writes.
    pub phrases: &'w Phrases,
    /// The chat's title.
    pub title: Option<String>,
    /// Group or not.
    pub shape: ConversationShape,
    /// Whose export it is.
    pub custodian: Option<String>,
    /// Where that person's phone was.
    pub zone: Option<Zone>,
    /// The files beside the text.
    pub files: Files,
    /// The file holds marks in front of texts.
    pub marks_seen: bool,
    /// Wordings that no list has.
    pub learned: Learned,
    /// What an iPhone puts in front of lines that no person wrote: the chat's title.
    pub line_title: Option<String>,
    wall: Wall,
    once: Once,
    /// Kinds of the first record, to tell an export that begins in mid-chat.
    begins_with: Option<Option<&'static str>>,
    media_named: bool,
    text: String,
    local_range: Option<(String, String)>,
}

/// When a message was sent, as far as it can be told.
struct When {
    reading: Reading,
    sent_at: Option<model::Timestamp>,
    certainty: TimeCertainty,
    shift: Shift,
}

impl<'w> Writer<'w> {
    /// Ready to write.
    pub fn new(phrases: &'w Phrases, files: Files) -> Self {
        Writer {
            phrases,
            title: None,
            shape: ConversationShape::Unknown,
            custodian: None,
            zone: None,
            files,
            marks_seen: false,
            learned: Learned::default(),
            line_title: None,
            wall: Wall::new(),
            once: Once::default(),
            begins_with: None,
            media_named: false,
            text: String::new(),
            local_range: None,
        }
    }

    /// Gives the record of a message.
    ///
    /// # Errors
    /// Those of the sink.
    pub fn write(
        &mut self,
        raw: &Raw<'_>,
        names: &mut Names,
        decided: &Decided,
        out: &mut Out<'_>,
    ) -> io::Result<()> {
        let Some(when) = self.when(raw, decided) else {
            return Ok(());
        };
        let body = trimmed(raw);
        let marking = self.marking(raw);
        let mut scratch = std::mem::take(&mut self.text);
        let (person, text, unsure) = match names.split(without_later_lines(body, raw), self.phrases) {
            Wrote::Person { person, text } => (Some(person), body.get(text..).unwrap_or_default(), false),
            Wrote::Nobody { unsure } => (None, body, unsure),
        };
        let (text, broken) = as_text(text, raw, &mut scratch);
        let broken = broken || person.is_some_and(|person| !person.valid);
        let meaning = match person {
            Some(person) => self.of_person(person, text, marking),
            None => self.without_sender(text),
        };
        let result = self.give(raw, &when, person, meaning, text, out);
        self.text = scratch;
        result?;
        let quiet = !broken
            && !unsure
            && !raw.cut
            && !when.reading.contradicts
            && !raw.head.clock.odd
            && when.shift == Shift::None;
        if quiet {
            Ok(())
        } else {
            self.troubles(raw, &when, broken, unsure, out)
        }
    }

    fn marking(&self, raw: &Raw<'_>) -> Marking {
        match (raw.head.shape.bracket, self.marks_seen) {
            (false, _) => Marking::Wording,
            (true, true) => Marking::Marks,
            (true, false) => Marking::MarksLost,
        }
    }

    fn of_person<'t>(&self, person: &Person, text: &'t str, marking: Marking) -> Meaning<'t> {
        let meaning = meaning::read(self.phrases, &self.learned, text, marking);
        if marking == Marking::MarksLost
            && meaning.content == ContentKind::Text
            && self.is_notice(person, text)
        {
            return Meaning::system_line(text);
        }
        meaning
    }

    /// iOS without its marks: a line of a name that stands before notices only, or the notice a chat begins with.
    fn is_notice(&self, person: &Person, text: &str) -> bool {
        !person.spoke
            || (self.begins_with.is_none()
                && system::find(self.phrases, text, None).is_some_and(|said| system::opens_chat(said.kind)))
    }

    /// iOS: a marked text without a known wording stands for something a person sent (a file left out, a message
    /// deleted) if it is short, one sentence, names nobody, and the name in front is not the chat's title.
    fn stands_for_message(&self, person: &Person, text: &str) -> bool {
        const LONGEST: usize = 40;
        let text = unmarked(text).0.trim_end();
        let sentence = text.trim_end_matches(['.', '。', '।', '!']);
        let name = person.name.trim_start_matches(['~', ' ', '\u{a0}', '\u{202f}']);
        let title = [&self.title, &self.line_title]
            .into_iter()
            .flatten()
            .any(|title| *title == person.name);
        self.learned.stands_for_message(text)
            && (person.known || (self.line_title.is_some() && !title))
            && text.chars().count() <= LONGEST
            && !sentence.contains(['\n', '"', '“', '”', '«', '„', '+', '。', '।', ':'])
            && !sentence.contains(". ")
            && !text.contains(name)
    }

    /// Android: a line without a name is a system line, or a call.
    fn without_sender<'t>(&self, text: &'t str) -> Meaning<'t> {
        let read = meaning::read(self.phrases, &self.learned, text, Marking::Wording);
        if read.content == ContentKind::Call {
            return read;
        }
        Meaning::system_line(text)
    }

    fn give(
        &mut self,
        raw: &Raw<'_>,
        when: &When,
        person: Option<&Person>,
        mut meaning: Meaning<'_>,
        text: &str,
        out: &mut Out<'_>,
    ) -> io::Result<()> {
        let mut sender = person;
        let mut system_kind = None;
        let mut unknown = false;
        if meaning.system
            && let Some(person) = person
            && self.stands_for_message(person, text)
            && system::find(self.phrases, text, None).is_none()
        {
            (meaning.system, meaning.content, unknown) = (false, ContentKind::Other, true);
        }
        if meaning.system {
            let said = system::read(self.phrases, text);
            system_kind = Some(said.kind).filter(|_| !text.is_empty());
            meaning.details = Some(said.details(person.map(|p| p.name.as_str())));
            meaning.evidence = said.evidence;
            sender = None;
            out.report.system += 1;
        }
        self.begins_with.get_or_insert(system_kind);
        out.report.messages += 1;
        self.count_time(when, out);
        if when.shift != Shift::None {
            let word = if when.shift == Shift::Repeated {
                "repeated-hour"
            } else {
                "skipped-hour"
            };
            let details = meaning.details.get_or_insert_default();
            details.0.insert("clock_change".to_owned(), Value::from(word));
        }
        let unverified = meaning.evidence == Some(Evidence::Unverified);
        self.hand_over(raw, when, sender, meaning, out)?;
        if unknown && !std::mem::replace(&mut self.once.unknown, true) {
            let detail = "A text that the phone marked as its own has no known wording; it was taken for something that the person in front of it sent. Later such lines are not reported.";
            out.problem("unknown-wording", detail, raw.span.offset, Some(raw.line))?;
        }
        if unverified && !std::mem::replace(&mut self.once.unverified, true) {
            let detail = "A wording that no real file has confirmed decided what this line is; later such lines are not reported.";
            out.problem("unverified-wording", detail, raw.span.offset, Some(raw.line))?;
        }
        Ok(())
    }

    #[inline]
    fn hand_over(
        &mut self,
        raw: &Raw<'_>,
        when: &When,
        sender: Option<&Person>,
        meaning: Meaning<'_>,
        out: &mut Out<'_>,
    ) -> io::Result<()> {
        let title = self.title.as_deref();
        let conversation = Conversation {
            id: title.map(Content::from),
            title: title.map(Content::from),
            shape: self.shape,
        };
        let (attachments, belongs) = match meaning.file {
            None => (Vec::new(), None),
            Some((name, stated)) => {
                self.media_named |= name.is_some();
                let (attachment, belongs) = attach(&mut self.files, name, stated, out);
                (vec![attachment], belongs)
            }
        };
        let record = Record::Message(Message {
            platform_id: None,
            conversation: Some(conversation),
            sender: sender.map(participant),
            direction: direction(self.custodian.as_deref(), sender),
            sent_at: when.sent_at,
            sent_at_local: Some(Cow::Borrowed(self.wall.text())),
            sent_at_local_alternatives: match when.reading.other {
                Some(_) => vec![Cow::Borrowed(self.wall.other())],
                None => Vec::new(),
            },
            time_certainty: when.certainty,
            content: meaning.content,
            text: meaning.text.map(Content::from),
            attachments,
            quote: None,
            forwarded: false,
            ephemeral: meaning.ephemeral,
            edited: meaning.edited,
            deleted: meaning.deleted,
            details: meaning.details,
        });
        out.sink.record(raw.span, &record)?;
        match (belongs, &record) {
            (Some(span), Record::Message(message)) => {
                out.sink
                    .belongs(span, message.conversation.as_ref(), message.sender.as_ref())
            }
            _ => Ok(()),
        }
    }

    #[inline]
    fn when(&mut self, raw: &Raw<'_>, decided: &Decided) -> Option<When> {
        let clock = raw.head.clock;
        let reading = self.wall.set(decided, &raw.head.date, clock)?;
        if reading.other.is_some() {
            let certainty = TimeCertainty::AmbiguousDate;
            return Some(When {
                reading,
                sent_at: None,
                certainty,
                shift: Shift::None,
            });
        }
        match self
            .zone
            .as_mut()
            .and_then(|zone| zone.instant(reading.day, clock))
        {
            Some((instant, shift)) => {
                let certainty = TimeCertainty::AssumedZone;
                Some(When {
                    reading,
                    sent_at: Some(instant),
                    certainty,
                    shift,
                })
            }
            None => {
                let certainty = TimeCertainty::LocalUnknown;
                Some(When {
                    reading,
                    sent_at: None,
                    certainty,
                    shift: Shift::None,
                })
            }
        }
    }

    #[inline]
    fn count_time(&mut self, when: &When, out: &mut Out<'_>) {
        if let Some(instant) = when.sent_at {
            let report = &mut out.report;
            report.first_at = Some(report.first_at.map_or(instant, |first| first.min(instant)));
            report.last_at = Some(report.last_at.map_or(instant, |last| last.max(instant)));
        }
        let now = self.wall.text();
        match &mut self.local_range {
            Some((first, last)) => {
                if now < first.as_str() {
                    now.clone_into(first);
                }
                if now > last.as_str() {
                    now.clone_into(last);
                }
            }
            None => self.local_range = Some((now.to_owned(), now.to_owned())),
        }
    }

    /// Problems of one message, given after it.
    fn troubles(
        &mut self,
        raw: &Raw<'_>,
        when: &When,
        broken: bool,
        unsure: bool,
        out: &mut Out<'_>,
    ) -> io::Result<()> {
        let mut give = |code, detail| out.problem(code, detail, raw.span.offset, Some(raw.line));
        if broken {
            give(
                "invalid-utf8",
                "Text or name is not valid UTF-8; the record shows replacement characters.",
            )?;
        }
        if raw.cut {
            give(
                "line-too-long",
                "The message is longer than 1 MiB; the record shows its beginning, the bytes are kept.",
            )?;
        }
        if when.reading.contradicts {
            give(
                "date-contradicts-order",
                "The date is impossible in the order of the other dates and was read in the order that fits.",
            )?;
        }
        if unsure {
            give(
                "sender-unsure",
                "The line may be a person's; it was taken for a system line because the part before its colon does not look like a name.",
            )?;
        }
        let once = &mut self.once;
        if raw.head.clock.odd && !std::mem::replace(&mut once.odd_clock, true) {
            give(
                "odd-clock",
                "Hour and day part contradict each other; the hour was kept. Later such lines are not reported.",
            )?;
        }
        if when.shift == Shift::Repeated && !std::mem::replace(&mut once.repeated_hour, true) {
            give(
                "clock-change",
                "The stated zone's clock showed this time twice; the reading that follows from the messages before was taken.",
            )?;
        }
        if when.shift == Shift::Skipped && !std::mem::replace(&mut once.skipped_hour, true) {
            give(
                "clock-change",
                "The stated zone's clock never showed this time; is the zone right?",
            )?;
        }
        Ok(())
    }

    /// Ends the file: fills in what only the whole tells.
    pub fn finish(&self, out: &mut Out<'_>) {
        if out.report.first_at.is_none()
            && let Some((first, last)) = &self.local_range
        {
            out.report.first_at_local = Some(first.clone());
            out.report.last_at_local = Some(last.clone());
        }
        // A notice without a known wording is most likely the one that every chat begins with.
        let opened = self
            .begins_with
            .flatten()
            .is_some_and(|kind| kind == "other" || system::opens_chat(kind));
        let limit = if self.media_named { 10_000 } else { 40_000 };
        out.report.possibly_cut = out.report.messages > 0 && (!opened || out.report.messages >= limit);
    }
}

/// The message's bytes without the line ends behind it. WhatsApp trims what people send; a blank line at the end
/// comes from a poll, or ends the file.
fn trimmed<'r>(raw: &Raw<'r>) -> &'r [u8] {
    let mut text = without_end(raw.body);
    while let Some((b'\n' | b'\r', rest)) = text.split_last() {
        text = rest;
    }
    text
}

/// The first line, in which the name stands.
#[inline]
fn without_later_lines<'r>(body: &'r [u8], raw: &Raw<'_>) -> &'r [u8] {
    if !raw.several_lines {
        return body;
    }
    let end = memchr::memchr(b'\n', body).unwrap_or(body.len());
    without_end(body.get(..end).unwrap_or(body))
}

/// Bytes as text, line breaks as `\n`; and whether some of them were no UTF-8.
#[inline]
fn as_text<'t>(bytes: &'t [u8], raw: &Raw<'_>, scratch: &'t mut String) -> (&'t str, bool) {
    let returns = raw.several_lines && memchr::memmem::find(bytes, b"\r\n").is_some();
    match std::str::from_utf8(bytes) {
        Ok(text) if !returns => (text, false),
        // A message cut in the middle of a character is not broken.
        Err(error) if raw.cut && error.error_len().is_none() && !returns => (
            std::str::from_utf8(bytes.get(..error.valid_up_to()).unwrap_or_default()).unwrap_or_default(),
            false,
        ),
        other => {
            *scratch = String::from_utf8_lossy(bytes).replace("\r\n", "\n");
            let broken = other.is_err_and(|error| !(raw.cut && error.error_len().is_none()));
            (scratch, broken)
        }
    }
}

/// The person of a line. A phone number is an id too; `~ NAME` is what people outside the address book call
/// themselves, and is kept as shown.
#[inline]
fn participant(person: &Person) -> Participant<'_> {
    let ids = match &person.phone {
        Some(digits) => {
            vec![Identifier {
                kind: Cow::Borrowed("phone"),
                value: Content::from(digits.as_str()),
            }]
        }
        None => Vec::new(),
    };
    Participant {
        name: Some(Content::from(person.name.as_str())),
        ids,
    }
}

/// The custodian may be given as a phone number in another spacing.
#[inline]
fn direction(custodian: Option<&str>, sender: Option<&Person>) -> Direction {
    let (Some(custodian), Some(sender)) = (custodian, sender) else {
        return Direction::Unknown;
    };
    let same_number = || sender.phone.is_some() && names::is_same(custodian, &sender.name);
    if custodian == sender.name || same_number() {
        Direction::Out
    } else {
        Direction::In
    }
}

/// The attachment, and the member of the zip that it is.
fn attach<'t>(
    files: &mut Files,
    name: Option<&'t str>,
    stated: AttachmentState,
    out: &mut Out<'_>,
) -> (Attachment<'t>, Option<Span>) {
    let media_type = name.and_then(|name| media::by_name(name).0).map(Cow::Borrowed);
    let mut attachment = Attachment {
        name: name.map(Content::from),
        media_type,
        size_bytes: None,
        sha256: None,
        state: stated,
        media_id: None,
    };
    let mut span = None;
    match name.map(|name| files.look_up(name)) {
        Some(Lookup::Found {
            size,
            sha256,
            first,
            stream,
        }) => {
            attachment.state = AttachmentState::Found;
            attachment.size_bytes = Some(size);
            attachment.sha256 = Some(Cow::Owned(sha256));
            out.report.media_found += 1;
            span = first.then_some(Span {
                stream,
                offset: 0,
                len: size,
            });
        }
        Some(Lookup::Missing) | None => out.report.media_missing += 1,
    }
    (attachment, span)
}
