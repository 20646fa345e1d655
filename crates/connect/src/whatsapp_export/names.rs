//! Who wrote a line: the part before the first `: `, unless that part is none of a person's doing.
//!
//! A person's name may hold `: ` itself, and so may a group's title inside a system line. Neither can be told
//! from one line; the whole file can tell, so the first pass collects here what the second looks up.

use std::collections::HashMap;

use memchr::memchr_iter;

use super::cursor::{blank_len, mark_len};
use super::placeholders::Phrases;
use super::system;

/// A name is looked for in this many bytes of a line.
const LONGEST_NAME: usize = 256;

/// Names kept apart. A real group has at most 1024 members; beyond this limit a line is judged by itself.
const MOST_NAMES: usize = 20_000;

/// Where a line's name ends and its text begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Split {
    /// First byte of the name, marks skipped.
    name_start: usize,
    /// Byte after the name, marks dropped.
    name_end: usize,
    /// First byte of the text.
    text: usize,
}

/// Who wrote a line.
#[derive(Debug, PartialEq, Eq)]
pub enum Wrote<'n> {
    /// A person.
    Person {
        /// The person.
        person: &'n Person,
        /// First byte of the text.
        text: usize,
    },
    /// WhatsApp.
    Nobody {
        /// That is only likely.
        unsure: bool,
    },
}

/// A person as the lines show them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// What lines begin with: name, colon, blank.
    opening: Vec<u8>,
    /// The name without the marks around it.
    pub name: String,
    /// Its digits, if it is a phone number.
    pub phone: Option<String>,
    /// The name's bytes are valid UTF-8.
    pub valid: bool,
    /// The first pass met this person.
    pub known: bool,
    /// Some line of this person's has no wording of WhatsApp's own.
    pub spoke: bool,
    /// The text comes right after `opening` and the line needs no second look.
    lasting: bool,
}

impl Person {
    fn new(body: &[u8], split: Split, facts: Option<&Facts>, lasting: bool) -> Self {
        let name = body.get(split.name_start..split.name_end).unwrap_or_default();
        let digits = || {
            name.iter()
                .filter(|b| b.is_ascii_digit())
                .map(|&b| char::from(b))
                .collect()
        };
        Person {
            opening: body.get(..split.text).unwrap_or_default().to_vec(),
            name: String::from_utf8_lossy(name).into_owned(),
            valid: std::str::from_utf8(name).is_ok(),
            phone: is_phone(name).then(digits),
            known: facts.is_some(),
            spoke: facts.is_none_or(|facts| facts.spoke),
            lasting,
        }
    }
}

/// People looked for before anything else.
const MOST_RECENT: usize = 8;

/// What the file shows about the part before `: `.
#[derive(Debug, Clone)]
struct Facts {
    lines: u64,
    writer: bool,
    /// Some line has no wording of WhatsApp's own. A group's title in an iPhone's export has only such lines.
    spoke: bool,
    /// Until then some line was one that only groups have.
    group: bool,
    /// What always follows, up to another `: `: the name itself may hold one.
    second: Option<Vec<u8>>,
    /// Decided without a known wording or repetition to lean on.
    unsure: bool,
}

/// The names of a file.
#[derive(Debug, Default)]
pub struct Names {
    facts: HashMap<Vec<u8>, Facts>,
    /// First pass: lines by the openings met last, not yet added to `facts`.
    counted: Vec<(Vec<u8>, u64)>,
    /// Second pass: people met last.
    recent: Vec<Person>,
    /// More names than are kept apart.
    pub overflow: bool,
}

impl Names {
    /// Notes the first line of a message, header taken off. Returns whether a person wrote it. On an iPhone (`ios`) a
    /// line with a name may still be WhatsApp's own.
    pub fn observe(&mut self, body: &[u8], ios: bool, phrases: &Phrases) -> bool {
        let hit = self
            .counted
            .iter()
            .position(|(opening, _)| begins_with(body, opening));
        if let Some(at) = hit {
            if let Some((_, lines)) = self.counted.get_mut(at) {
                *lines += 1;
            }
            // The one met more often moves to the front.
            self.counted.swap(at, at.saturating_sub(1));
            return true;
        }
        let Some(split) = split_at_colon(body) else {
            return false;
        };
        let name = body.get(..split.text).unwrap_or_default();
        let text = body.get(split.text..).unwrap_or_default();
        if let Some(facts) = self.facts.get_mut(name) {
            facts.lines += 1;
            if !facts.spoke {
                let kind = wording(text, phrases);
                facts.spoke = kind.is_none();
                facts.group |= kind.is_some_and(system::shows_group);
            }
            if let Some(second) = &facts.second
                && !text
                    .strip_prefix(second.as_slice())
                    .is_some_and(|rest| rest.starts_with(b": "))
            {
                facts.second = None;
            }
            // Nothing more can be learnt from this person's lines than how many they are.
            if facts.writer
                && facts.spoke
                && facts.second.is_none()
                && name.ends_with(b": ")
                && self.counted.len() < MOST_RECENT
            {
                self.counted.push((name.to_vec(), 0));
            }
            return facts.writer;
        }
        let (writer, unsure) = is_writer(body, &split, phrases);
        let kind = ios.then(|| wording(text, phrases)).flatten();
        if self.facts.len() >= MOST_NAMES {
            self.overflow = true;
            return writer;
        }
        let second = memchr::memmem::find(text.get(..64).unwrap_or(text), b": ")
            .filter(|&at| at > 0 && !is_phone(clean(name)))
            .and_then(|at| text.get(..at))
            .map(<[u8]>::to_vec);
        self.facts.insert(
            name.to_vec(),
            Facts {
                lines: 1,
                writer,
                spoke: kind.is_none(),
                group: kind.is_some_and(system::shows_group),
                second,
                unsure,
            },
        );
        writer
    }

    /// Ends the first pass: settles which names hold a colon. `known` are names known from elsewhere. Where marks show
    /// what WhatsApp wrote (`marked`), a wording without a mark was typed.
    pub fn settle(&mut self, known: &[&str], marked: bool) {
        for facts in self.facts.values_mut() {
            facts.spoke |= marked;
        }
        for (opening, lines) in std::mem::take(&mut self.counted) {
            if let Some(facts) = self.facts.get_mut(&opening) {
                facts.lines += lines;
            }
        }
        for (name, facts) in &mut self.facts {
            let Some(second) = &facts.second else { continue };
            let whole = [name.as_slice(), second.as_slice()].concat();
            let expected = known.iter().any(|k| k.as_bytes() == clean(&whole));
            if facts.lines < 3 && !expected {
                facts.second = None;
            }
        }
    }

    /// Whether some name stands only before lines that a group alone has: it is the group's title.
    pub fn has_group_title(&self) -> bool {
        self.facts.values().any(|facts| facts.group && !facts.spoke)
    }

    /// How many people wrote, but at most `limit`; a name with a colon counts once.
    pub fn writers(&self, limit: usize) -> usize {
        self.facts
            .values()
            .filter(|facts| facts.writer && facts.spoke)
            .take(limit)
            .count()
    }

    /// The names of all who wrote, without marks.
    pub fn all_writers(&self) -> impl Iterator<Item = String> {
        self.facts
            .iter()
            .filter(|(_, facts)| facts.writer && facts.spoke)
            .map(|(name, facts)| {
                let name = name.strip_suffix(b" ").unwrap_or(name);
                let whole = match &facts.second {
                    Some(second) => [name, b" ", second.as_slice()].concat(),
                    None => name.strip_suffix(b":").unwrap_or(name).to_vec(),
                };
                String::from_utf8_lossy(clean(&whole)).into_owned()
            })
    }

    /// The only two writers.
    pub fn two_writers(&self) -> Option<[String; 2]> {
        let mut writers = self.all_writers();
        match (writers.next(), writers.next(), writers.next()) {
            (Some(a), Some(b), None) => Some([a, b]),
            _ => None,
        }
    }

    /// Who wrote the line.
    #[inline]
    pub fn split(&mut self, body: &[u8], phrases: &Phrases) -> Wrote<'_> {
        let hit = self
            .recent
            .iter()
            .position(|person| person.lasting && begins_with(body, &person.opening));
        let at = match hit {
            // The one met more often moves to the front.
            Some(at) if at > 0 => {
                self.recent.swap(at, at - 1);
                at - 1
            }
            Some(at) => at,
            None => match self.meet(body, phrases) {
                Ok(()) => 0,
                Err(unsure) => return Wrote::Nobody { unsure },
            },
        };
        match self.recent.get(at) {
            Some(person) => Wrote::Person {
                person,
                text: person.opening.len(),
            },
            None => Wrote::Nobody { unsure: false },
        }
    }

    /// Puts the person who wrote the line in front; `Err` says that nobody did, and whether that is only likely.
    fn meet(&mut self, body: &[u8], phrases: &Phrases) -> Result<(), bool> {
        let split = split_at_colon(body).ok_or(false)?;
        let name = body.get(..split.text).unwrap_or_default();
        let person = match self.facts.get(name) {
            None => {
                let (writer, unsure) = is_writer(body, &split, phrases);
                if !writer {
                    return Err(unsure);
                }
                Person::new(body, split, None, false)
            }
            Some(facts) if !facts.writer => return Err(facts.unsure),
            Some(facts) => {
                let more = facts.second.as_ref().map_or(0, |second| second.len() + 2);
                let split = trimmed(body, name.len() + more);
                // Only names that end with `: ` may be known by their beginning: `Ann:` also begins `Ann:x: …`.
                let lasting = body
                    .get(..split.text)
                    .is_some_and(|opening| opening.ends_with(b": "));
                Person::new(body, split, Some(facts), lasting)
            }
        };
        self.recent.retain(|known| known.lasting);
        self.recent.truncate(MOST_RECENT - 1);
        self.recent.insert(0, person);
        Ok(())
    }
}

/// The kind of a text that is one of WhatsApp's own about the chat.
fn wording(text: &[u8], phrases: &Phrases) -> Option<&'static str> {
    const LONGEST: usize = 1024;
    if text.len() > LONGEST {
        return None;
    }
    system::find(phrases, &String::from_utf8_lossy(text), None).map(|said| said.kind)
}

/// The first `: ` of a line; failing that a `:` at its end, before a mark, or before a full stop.
fn split_at_colon(body: &[u8]) -> Option<Split> {
    let window = body.get(..LONGEST_NAME).unwrap_or(body);
    let mut second_best = None;
    for at in memchr_iter(b':', window) {
        let rest = body.get(at + 1..).unwrap_or_default();
        let empty_name = clean(body.get(..at).unwrap_or_default()).is_empty();
        if empty_name {
            continue;
        }
        if rest.first() == Some(&b' ') {
            return Some(trimmed(body, at + 2));
        }
        if second_best.is_none() && (rest.is_empty() || mark_len(rest) > 0 || rest == b".") {
            second_best = Some(trimmed(body, at + 1));
        }
    }
    second_best
}

/// The split for a name that, with its colon and blank, takes `len` bytes.
#[inline]
fn trimmed(body: &[u8], len: usize) -> Split {
    let name = body.get(..len).unwrap_or_default();
    let name = name.strip_suffix(b" ").unwrap_or(name);
    let name = name.strip_suffix(b":").unwrap_or(name);
    let cleaned = clean(name);
    let name_start = leading_marks(name);
    Split {
        name_start,
        name_end: name_start + cleaned.len(),
        text: len,
    }
}

fn leading_marks(name: &[u8]) -> usize {
    let mut at = 0;
    while let len @ 1.. = mark_len(name.get(at..).unwrap_or_default()) {
        at += len;
    }
    at
}

/// `starts_with`, spared for the many names that differ in their first byte already.
#[inline]
fn begins_with(body: &[u8], opening: &[u8]) -> bool {
    body.first() == opening.first() && body.starts_with(opening)
}

/// A name without the direction marks around it.
#[inline]
pub fn clean(name: &[u8]) -> &[u8] {
    let mut name = name.get(leading_marks(name)..).unwrap_or_default();
    while name.last().is_some_and(|&b| b >= 0x80) {
        match name
            .len()
            .checked_sub(3)
            .and_then(|at| name.get(at..).map(|tail| (at, mark_len(tail))))
        {
            Some((at, 3)) => name = name.get(..at).unwrap_or_default(),
            _ => break,
        }
    }
    name
}

/// Judges by the line alone. The second value says that no known wording and no phone number decided.
fn is_writer(body: &[u8], split: &Split, phrases: &Phrases) -> (bool, bool) {
    let name = body.get(split.name_start..split.name_end).unwrap_or_default();
    if is_phone(name) {
        return (true, false);
    }
    let line = String::from_utf8_lossy(body);
    if line.len() <= 4096 && system::find(phrases, &line, Some(split.text.saturating_sub(2))).is_some() {
        return (false, false);
    }
    // Half a pair of quotes: the colon stands inside a quoted title. A blank before it: no name ends so. A whole
    // sentence: a notice that ends with a link.
    let name = String::from_utf8_lossy(name);
    let odd = opens_quote(&name) || name.ends_with([' ', '\u{a0}']) || is_sentence(&name);
    (!odd, odd)
}

fn is_sentence(name: &str) -> bool {
    const LONGEST_NAME: usize = 60;
    name.chars().count() > LONGEST_NAME && (name.contains(". ") || name.contains(['。', '।']))
}

fn opens_quote(name: &str) -> bool {
    const PAIRS: [(char, char); 5] = [('“', '”'), ('„', '“'), ('«', '»'), ('「', '」'), ('『', '』')];
    let count = |wanted: char| name.chars().filter(|&c| c == wanted).count();
    count('"') % 2 == 1
        || PAIRS
            .iter()
            .any(|&(open, close)| count(open) > count(close) && count(open) > 0)
            && !(count('„') > 0 && count('„') == count('“'))
}

/// Whether two names are one, or one phone number in two spacings.
pub fn is_same(a: &str, b: &str) -> bool {
    let digits = |name: &'_ str| name.bytes().filter(u8::is_ascii_digit).collect::<Vec<u8>>();
    a == b || (is_phone(a.as_bytes()) && is_phone(b.as_bytes()) && digits(a) == digits(b))
}

/// `+49 171 1234567` in any spacing.
pub fn is_phone(name: &[u8]) -> bool {
    let Some(rest) = clean(name).strip_prefix(b"+") else {
        return false;
    };
    let mut digits = 0;
    let mut rest = rest;
    while let Some(&byte) = rest.first() {
        let step = match byte {
            b'0'..=b'9' => {
                digits += 1;
                1
            }
            b'(' | b')' | b'-' | b'.' | b'/' => 1,
            // Non-breaking hyphen U+2011 stands between the groups on some phones.
            0xE2 if rest.starts_with("\u{2011}".as_bytes()) => 3,
            _ => blank_len(rest).max(mark_len(rest)),
        };
        if step == 0 {
            return false;
        }
        rest = rest.get(step..).unwrap_or_default();
    }
    (6..=15).contains(&digits)
}
