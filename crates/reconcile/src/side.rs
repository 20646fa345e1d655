//! One account of a conversation, in little memory.

use std::collections::{HashMap, HashSet};
use std::hash::RandomState;

use model::Content;
use model::record::{AttachmentState, ContentKind, Event, EventKind, Message, Participant, Record};

use crate::text::{folded, hash};

/// Messages of one side at most: three times the longest chat that was ever reported to us, and about 1 GiB with texts.
pub const MESSAGES_MAX: usize = 4_000_000;

/// Texts of one side that are kept to be shown. What comes after them is compared all the same, by its hash.
pub const TEXT_BYTES_MAX: usize = 256 << 20;

/// A large file may be one of pictures.
const EXPECTED_MAX: usize = 1_200_000;

/// What a message takes in an export, about.
const SOURCE_BYTES_A_MESSAGE: u64 = 72;

/// A block of texts.
const BLOCK_BYTES: usize = 1 << 20;

/// Names and ids of one person that are kept.
const TAGS_MAX: usize = 8;

/// No time is known.
pub(crate) const NEVER: i64 = i64::MIN;

/// The conversation is longer than what is compared at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more than {MESSAGES_MAX} messages on one side")]
pub struct TooMany;

/// What sort of thing, as far as two sources can agree on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Text alone.
    Text,
    /// A file, there or left out, with or without a caption.
    Media,
    /// What each source words in its own way: places, polls, calls, templates, what it does not show.
    Opaque,
    /// A line of the platform's own. Not compared, but it shows how far the side reaches.
    System,
}

/// A message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Item {
    /// Keyed hash of the folded text; 0 without text.
    pub text: u64,
    /// Of the platform's id; 0 without.
    pub id: u64,
    /// Of the file's hash; 0 where it is not known.
    pub file: u64,
    /// Seconds; by a wall clock, read as if it were UTC, where `wall`.
    pub time: i64,
    /// The other reading of an ambiguous date, or [`NEVER`].
    pub other_time: i64,
    /// The caller's word for where it stands.
    pub place: u64,
    /// Which person; `u32::MAX` for nobody.
    pub author: u32,
    text_at: u32,
    text_len: u32,
    pub kind: ContentKind,
    pub class: Class,
    pub wall: bool,
    pub edited: bool,
    pub deleted: bool,
    pub ephemeral: bool,
}

impl Item {
    pub fn text_len(&self) -> u32 {
        self.text_len
    }
}

/// Somebody, as this side calls them.
pub(crate) struct Person {
    /// To be shown.
    pub shown: Content<'static>,
    /// Keyed hashes of names and ids.
    pub tags: Vec<u64>,
}

/// One account of a conversation.
pub struct Side {
    keys: RandomState,
    pub(crate) items: Vec<Item>,
    /// In blocks, so that none is moved while they grow.
    texts: Vec<String>,
    text_bytes: usize,
    pub(crate) people: Vec<Person>,
    by_tag: HashMap<u64, u32>,
    /// As `by_tag`, by how a source writes it: nearly every message is by somebody who was met before.
    by_writing: HashMap<u64, u32>,
    /// Texts after edits, by the id of what was edited.
    pub(crate) edits: HashMap<u64, Vec<u64>>,
    pub(crate) revoked: HashSet<u64>,
    /// What no other kind of source carries: reactions.
    pub(crate) left_out: u64,
}

impl Side {
    /// Nothing in it. Both sides of a comparison are made with clones of the same `keys`, which are secret: whoever knows
    /// them could make two texts look the same.
    pub fn new(keys: &RandomState) -> Side {
        Side {
            keys: keys.clone(),
            items: Vec::new(),
            texts: Vec::new(),
            text_bytes: 0,
            by_writing: HashMap::new(),
            people: Vec::new(),
            by_tag: HashMap::new(),
            edits: HashMap::new(),
            revoked: HashSet::new(),
            left_out: 0,
        }
    }

    /// Makes room for about as many messages as so many bytes of a source hold, so that they are not moved as they grow.
    pub fn expect(&mut self, source_bytes: u64) {
        let messages = usize::try_from(source_bytes / SOURCE_BYTES_A_MESSAGE).unwrap_or(MESSAGES_MAX);
        self.items.reserve_exact(messages.min(EXPECTED_MAX));
    }

    /// Adds a record, in the order of the source. `place` comes back in the report.
    ///
    /// # Errors
    /// [`TooMany`].
    pub fn add(&mut self, place: u64, record: &Record<'_>) -> Result<(), TooMany> {
        match record {
            Record::Message(message) => self.message(place, message),
            Record::Event(event) => {
                self.event(event);
                Ok(())
            }
            Record::Problem(_) => Ok(()),
        }
    }

    fn message(&mut self, place: u64, message: &Message<'_>) -> Result<(), TooMany> {
        if message.content == ContentKind::Reaction {
            self.left_out += 1;
            return Ok(());
        }
        if self.items.len() >= MESSAGES_MAX {
            return Err(TooMany);
        }
        let class = class_of(message);
        let author = match (&message.sender, class) {
            (_, Class::System) | (None, _) => u32::MAX,
            (Some(sender), _) => self.person(sender),
        };
        let (text, text_at, text_len) = self.keep(message.text.as_ref());
        let (time, wall) = match (
            message.sent_at,
            message.sent_at_local.as_deref().map(wall_seconds),
        ) {
            (Some(at), _) => (at.as_micros().div_euclid(1_000_000), false),
            (None, Some(Some(local))) => (local, true),
            // Where nothing is said it stands by its neighbours; no time is claimed of it then.
            _ => (NEVER, false),
        };
        let other = message.sent_at_local_alternatives.first();
        let other_time = other.and_then(|text| wall_seconds(text)).unwrap_or(NEVER);
        let file = message
            .attachments
            .first()
            .filter(|_| message.attachments.len() == 1);
        let file = file.and_then(|file| file.sha256.as_deref());
        self.items.push(Item {
            text,
            id: self.id(message.platform_id.as_ref()),
            file: file.map_or(0, |sha256| hash(&self.keys, &[b"file", sha256.as_bytes()])),
            time,
            other_time,
            place,
            author,
            text_at,
            text_len,
            kind: message.content,
            class,
            wall,
            edited: message.edited,
            deleted: message.deleted,
            ephemeral: message.ephemeral,
        });
        Ok(())
    }

    fn event(&mut self, event: &Event<'_>) {
        let target = self.id(event.target.as_ref());
        if target == 0 {
            return;
        }
        match event.event {
            EventKind::Edit if self.edits.len() < MESSAGES_MAX => {
                if let Some(text) = &event.text {
                    let text = self.text_hash(text.reveal());
                    self.edits.entry(target).or_default().push(text);
                }
            }
            EventKind::Revoke if self.revoked.len() < MESSAGES_MAX => {
                self.revoked.insert(target);
            }
            _ => {}
        }
    }

    /// Puts deliveries in the order of their times; they come as they come, and carry ids. Tells whether the order is the
    /// source's own, which for an export is that of the conversation.
    pub(crate) fn settle(&mut self) -> bool {
        let with_id = self.items.iter().filter(|item| item.id != 0).count();
        let ordered = with_id * 2 <= self.items.len();
        let one_clock = self.items.iter().all(|item| !item.wall && item.time != NEVER);
        if !ordered && one_clock {
            self.items.sort_by_key(|item| item.time);
        }
        ordered
    }

    fn id(&self, id: Option<&Content<'_>>) -> u64 {
        id.map_or(0, |id| hash(&self.keys, &[b"id", id.reveal().as_bytes()]))
    }

    fn text_hash(&self, text: &str) -> u64 {
        match folded(text) {
            folded if folded.is_empty() => 0,
            folded => hash(&self.keys, &[b"text", folded.as_bytes()]),
        }
    }

    fn keep(&mut self, text: Option<&Content<'_>>) -> (u64, u32, u32) {
        let text = text.map_or("", |text| text.reveal());
        let hashed = self.text_hash(text);
        if text.is_empty() {
            return (hashed, 0, 0);
        }
        if text.len() > TEXT_BYTES_MAX.saturating_sub(self.text_bytes) {
            return (hashed, u32::MAX, 0);
        }
        self.text_bytes += text.len();
        let room = |block: &String| block.len() < BLOCK_BYTES && block.capacity() - block.len() >= text.len();
        if !self.texts.last().is_some_and(room) {
            self.texts
                .push(String::with_capacity(BLOCK_BYTES.max(text.len())));
        }
        let block = self.texts.len().saturating_sub(1);
        let Some(last) = self.texts.last_mut() else {
            return (hashed, u32::MAX, 0);
        };
        // A text that does not fit into a block of the usual size begins one of its own, so that it begins within 1 MiB.
        let place = block * BLOCK_BYTES + last.len();
        last.push_str(text);
        let number = |size: usize| u32::try_from(size).unwrap_or(u32::MAX);
        (hashed, number(place), number(text.len()))
    }

    /// The text as it stands in the source; none where it was not kept.
    pub(crate) fn text(&self, item: &Item) -> Option<&str> {
        if item.text_len == 0 && item.text_at == 0 {
            return Some("");
        }
        let place = usize::try_from(item.text_at).ok()?;
        let begin = place % BLOCK_BYTES;
        let end = begin.checked_add(usize::try_from(item.text_len).ok()?)?;
        self.texts.get(place / BLOCK_BYTES)?.get(begin..end)
    }

    fn person(&mut self, participant: &Participant<'_>) -> u32 {
        let (kind, value) = match (participant.ids.first(), &participant.name) {
            (Some(id), _) => (&*id.kind, id.value.reveal()),
            (None, Some(name)) => ("name", name.reveal()),
            (None, None) => return u32::MAX,
        };
        let writing = hash(&self.keys, &[kind.as_bytes(), value.as_bytes()]);
        if let Some(&known) = self.by_writing.get(&writing) {
            return known;
        }
        let main = self.tag(kind, value);
        if let Some(&known) = self.by_tag.get(&main) {
            self.by_writing.insert(writing, known);
            return known;
        }
        let index = u32::try_from(self.people.len()).unwrap_or(u32::MAX);
        let ids = participant.ids.iter().take(TAGS_MAX - 1);
        let mut tags: Vec<u64> = ids.map(|id| self.tag(&id.kind, id.value.reveal())).collect();
        if let Some(name) = &participant.name {
            tags.push(self.tag("name", name.reveal()));
        }
        let shown = participant.name.clone();
        let shown = shown.or_else(|| participant.ids.first().map(|id| id.value.clone()));
        self.people.push(Person {
            shown: shown.unwrap_or_default().into_owned(),
            tags,
        });
        self.by_tag.insert(main, index);
        self.by_writing.insert(writing, index);
        index
    }

    /// A name that is a number counts as the number: that is what an export shows of who is in no address book.
    fn tag(&self, kind: &str, value: &str) -> u64 {
        let name = folded(value);
        let name = name
            .strip_prefix("~ ")
            .or(name.strip_prefix('~'))
            .unwrap_or(&name);
        let number = matches!(kind, "name" | "phone")
            && name
                .chars()
                .all(|c| c.is_ascii_digit() || "+ -().\u{2011}".contains(c));
        let digits: String = name.chars().filter(char::is_ascii_digit).collect();
        if number && digits.len() >= 7 {
            return hash(&self.keys, &[b"phone", digits.as_bytes()]);
        }
        hash(&self.keys, &[kind.as_bytes(), name.as_bytes()])
    }
}

fn class_of(message: &Message<'_>) -> Class {
    match message.content {
        ContentKind::System => Class::System,
        ContentKind::Text => Class::Text,
        ContentKind::Image
        | ContentKind::Audio
        | ContentKind::Video
        | ContentKind::Document
        | ContentKind::Sticker => Class::Media,
        ContentKind::Other
            if message
                .attachments
                .iter()
                .any(|file| file.state == AttachmentState::Omitted) =>
        {
            Class::Media
        }
        _ => Class::Opaque,
    }
}

/// Seconds of `YYYY-MM-DDTHH:MM:SS`, read as if it were UTC.
fn wall_seconds(text: &str) -> Option<i64> {
    let part = |from: usize, to: usize| -> Option<i64> {
        let digits = text.get(from..to)?;
        digits.bytes().all(|b| b.is_ascii_digit()).then_some(())?;
        digits.parse().ok()
    };
    let (year, month, day) = (part(0, 4)?, part(5, 7)?, part(8, 10)?);
    let (hour, minute, second) = (part(11, 13)?, part(14, 16)?, part(17, 19)?);
    // Years counted from 1 March, so that the leap day is the last of its year.
    let (y, m) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = y * 365 + y.div_euclid(4) - y.div_euclid(100) + y.div_euclid(400) + (153 * m + 2) / 5 + day
        - 1
        - 719_468;
    Some(((days * 24 + hour) * 60 + minute) * 60 + second)
}

/// `YYYY-MM-DDTHH:MM:SS` of seconds.
pub(crate) fn wall_text(seconds: i64) -> String {
    model::Timestamp::from_seconds(seconds.clamp(-62_000_000_000, 250_000_000_000))
        .to_string()
        .trim_end_matches('Z')
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_every_length_are_kept_as_they_are() {
        let mut side = Side::new(&RandomState::new());
        let lengths = [
            0,
            1,
            BLOCK_BYTES - 1,
            0,
            2,
            BLOCK_BYTES,
            0,
            3,
            3 * BLOCK_BYTES + 7,
            0,
            5,
            BLOCK_BYTES / 2,
            BLOCK_BYTES,
        ];
        let texts: Vec<String> = lengths
            .iter()
            .zip('a'..)
            .map(|(&length, c)| c.to_string().repeat(length))
            .collect();
        for text in &texts {
            let (text, text_at, text_len) = side.keep(Some(&Content::from(text.as_str())));
            side.items.push(Item {
                text,
                text_at,
                text_len,
                id: 0,
                file: 0,
                time: 0,
                other_time: NEVER,
                place: 0,
                author: 0,
                kind: ContentKind::Text,
                class: Class::Text,
                wall: false,
                edited: false,
                deleted: false,
                ephemeral: false,
            });
        }
        for (item, text) in side.items.iter().zip(&texts) {
            assert!(side.text(item) == Some(text), "{} bytes", text.len());
        }
        // Past what is kept a text has its hash, and nothing to show.
        side.text_bytes = TEXT_BYTES_MAX - 1;
        let (hashed, at, _) = side.keep(Some(&Content::from("ab")));
        assert!(hashed != 0 && at == u32::MAX);
    }

    #[test]
    fn wall_times_are_counted_as_the_calendar_does() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00", Some(0)),
            ("2024-02-29T12:00:00", Some(1_709_208_000)),
            ("2024-03-01T00:00:00", Some(1_709_251_200)),
            ("1969-12-31T23:59:59", Some(-1)),
            ("2024-1-1T00:00:00", None),
            ("", None),
            ("2024-01-31T10:00", None),
            ("２０２４-01-31T10:00:00", None),
        ] {
            assert_eq!(wall_seconds(text), seconds, "{text}");
            if let Some(seconds) = seconds {
                assert_eq!(wall_text(seconds), text);
            }
        }
    }
}
