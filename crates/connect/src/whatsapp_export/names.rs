//! Who wrote a line: the part before the first `: `, unless that part is none of a person's doing.
//!
//! A person's name may hold `: ` itself, and so may a group's title inside a system line. Neither can be told
//! from one line; the whole file can tell, so the first pass collects here what the second looks up.

use std::collections::HashMap;

use memchr::memchr_iter;

use super::header::{blank_len, mark_len};
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
    pub name_start: usize,
    /// Byte after the name, marks dropped.
    pub name_end: usize,
    /// First byte of the text.
    pub text: usize,
}

/// What the file shows about the part before `: `.
#[derive(Debug, Clone)]
struct Facts {
    lines: u64,
    writer: bool,
    /// What always follows, up to another `: `: the name itself may hold one.
    second: Option<Vec<u8>>,
    /// Decided without a known wording or repetition to lean on.
    unsure: bool,
}

/// The names of a file.
#[derive(Debug, Default)]
pub struct Names {
    facts: HashMap<Vec<u8>, Facts>,
    /// Names with `: ` at their end as the lines show them, the one met last in front.
    recent: Vec<Vec<u8>>,
    /// More names than are kept apart.
    pub overflow: bool,
}

impl Names {
    /// Notes the first line of a message, header taken off. Returns whether a person wrote it.
    pub fn observe(&mut self, body: &[u8], phrases: &Phrases) -> bool {
        let Some(split) = split_at_colon(body) else {
            return false;
        };
        let name = body.get(..split.text).unwrap_or_default();
        let text = body.get(split.text..).unwrap_or_default();
        if let Some(facts) = self.facts.get_mut(name) {
            facts.lines += 1;
            if let Some(second) = &facts.second
                && !text
                    .strip_prefix(second.as_slice())
                    .is_some_and(|rest| rest.starts_with(b": "))
            {
                facts.second = None;
            }
            return facts.writer;
        }
        let (writer, unsure) = is_writer(body, &split, phrases);
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
                second,
                unsure,
            },
        );
        writer
    }

    /// Ends the first pass: settles which names hold a colon. `known` are names known from elsewhere.
    pub fn settle(&mut self, known: &[&str]) {
        for (name, facts) in &mut self.facts {
            let Some(second) = &facts.second else { continue };
            let whole = [name.as_slice(), second.as_slice()].concat();
            let expected = known.iter().any(|k| k.as_bytes() == clean(&whole));
            if facts.lines < 3 && !expected {
                facts.second = None;
            }
        }
    }

    /// How many people wrote, but at most `limit`; a name with a colon counts once.
    pub fn writers(&self, limit: usize) -> usize {
        self.facts
            .values()
            .filter(|facts| facts.writer)
            .take(limit)
            .count()
    }

    /// The only two writers, without marks.
    pub fn two_writers(&self) -> Option<[String; 2]> {
        let mut writers = self
            .facts
            .iter()
            .filter(|(_, facts)| facts.writer)
            .map(|(name, facts)| {
                let name = name.strip_suffix(b" ").unwrap_or(name);
                let whole = match &facts.second {
                    Some(second) => [name, b" ", second.as_slice()].concat(),
                    None => name.strip_suffix(b":").unwrap_or(name).to_vec(),
                };
                String::from_utf8_lossy(clean(&whole)).into_owned()
            });
        match (writers.next(), writers.next(), writers.next()) {
            (Some(a), Some(b), None) => Some([a, b]),
            _ => None,
        }
    }

    /// The name and text of a line, or `None` for a system line. Also whether that is only likely.
    #[inline]
    pub fn split(&mut self, body: &[u8], phrases: &Phrases) -> (Option<Split>, bool) {
        let hit = self.recent.iter().position(|name| body.starts_with(name));
        match hit {
            Some(at) => {
                let len = self.recent.get(at).map_or(0, Vec::len);
                if at > 0 {
                    self.recent.swap(at, at - 1);
                }
                (Some(trimmed(body, len)), false)
            }
            None => self.split_slowly(body, phrases),
        }
    }

    fn split_slowly(&mut self, body: &[u8], phrases: &Phrases) -> (Option<Split>, bool) {
        let Some(split) = split_at_colon(body) else {
            return (None, false);
        };
        let name = body.get(..split.text).unwrap_or_default();
        let Some(facts) = self.facts.get(name) else {
            let (writer, unsure) = is_writer(body, &split, phrases);
            return (writer.then_some(split), unsure);
        };
        if !facts.writer {
            return (None, facts.unsure);
        }
        let mut whole = name.to_vec();
        if let Some(second) = &facts.second {
            whole.extend_from_slice(second);
            whole.extend_from_slice(b": ");
        }
        let len = whole.len();
        let unsure = facts.unsure;
        // Only names that end with `: ` may be looked up by their beginning: `Ann:` also begins `Ann:x: …`.
        if whole.ends_with(b": ") && !unsure {
            self.recent.insert(0, whole);
            self.recent.truncate(6);
        }
        (Some(trimmed(body, len)), unsure)
    }
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
    // Half a pair of quotes: the colon stands inside a quoted title. A blank before it: no name ends so.
    let open = opens_quote(&String::from_utf8_lossy(name));
    let blank = name.last().is_some_and(|&b| b == b' ') || name.ends_with(b"\xC2\xA0");
    (!open && !blank, open || blank)
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
