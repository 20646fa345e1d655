//! The first pass: which layout the file has, what its dates show, who wrote, and whether it is a group.

use std::collections::HashMap;
use std::io::{self, Read};

use super::cursor::mark_len;
use super::dates::{self, Evidence};
use super::header::{Head, RawDate, Scanner, Shape};
use super::learned::{Learned, Learning};
use super::lines::Lines;
use super::meaning::{self, Marking};
use super::names::Names;
use super::placeholders::{Phrases, unmarked};
use super::system;

/// The layout is chosen from this many lines that look like headers.
const DECIDING: usize = 50;

/// Layouts counted beside the file's own.
const MOST_SHAPES: usize = 64;

/// A second layout is taken for a second export in the same file from this many lines on, if it also has a
/// quarter of the lines of the first. Fewer are what people paste.
const SECOND_LAYOUT_FROM: u64 = 50;

/// What the first pass found.
#[derive(Default)]
pub struct Survey {
    /// The file's layout; `None` if no line looks like a header.
    pub shape: Option<Shape>,
    /// Layouts of other exports in the same file.
    pub others: Vec<(Shape, Evidence)>,
    /// What the dates show.
    pub dates: Evidence,
    /// Who wrote.
    pub names: Names,
    /// A system line that only groups have.
    pub group_line: bool,
    /// The name an iPhone shows in front of the encryption notice: the chat's title.
    pub notice_name: Option<String>,
    /// Some text begins with a mark.
    pub marks_seen: bool,
    /// The name in front of the first line, where a mark shows that no person wrote it: the chat's title.
    pub first_name: Option<String>,
    /// Header lines in the file's layout.
    pub headers: u64,
    /// The headers hold a word that no list has.
    pub foreign: bool,
    /// An hour beside such a word shows that it does not tell morning from afternoon.
    pub past_noon: bool,
    /// Wordings that no list has.
    pub learning: Learning,
    date: Option<RawDate>,
}

/// A header line kept until the layout is chosen.
struct Early {
    head: Head,
    line: u64,
    body: Vec<u8>,
}

/// Lines in other layouts than the file's own, and what their dates show.
type Others = HashMap<Shape, (u64, Evidence)>;

fn note_other(others: &mut Others, head: &Head, line: u64) {
    if others.len() < MOST_SHAPES || others.contains_key(&head.shape) {
        let (count, dates) = others.entry(head.shape).or_default();
        *count += 1;
        dates.observe(head, line);
    }
}

/// Reads the whole text once.
///
/// # Errors
/// Those of the source.
pub fn survey(source: &mut dyn Read, phrases: &Phrases) -> io::Result<Survey> {
    let mut lines = Lines::new(source);
    let mut scanner = Scanner::default();
    let mut found = Survey::default();
    let mut early: Vec<Early> = Vec::new();
    let mut others = Others::new();
    let mut number = 0;
    while let Some(line) = lines.next()? {
        if line.continues {
            continue;
        }
        number += 1;
        let bytes = lines.slice(line.start, line.end);
        let Some(head) = scanner.scan(bytes).filter(|head| head.plausible) else {
            continue;
        };
        let body = without_end(bytes.get(head.body..).unwrap_or_default());
        if !found.has_year(&head, body) {
            continue;
        }
        match found.shape {
            Some(_) if head.foreign && !found.foreign => {}
            Some(shape) if shape == head.shape => found.observe(&head, body, number, phrases),
            Some(_) => note_other(&mut others, &head, number),
            None => {
                early.push(Early {
                    head,
                    line: number,
                    body: body.get(..4096).unwrap_or(body).to_vec(),
                });
                if early.len() >= DECIDING {
                    found.choose(std::mem::take(&mut early), &mut others, phrases);
                }
            }
        }
    }
    found.choose(early, &mut others, phrases);
    let enough = SECOND_LAYOUT_FROM.max(found.headers / 4);
    found.others = others
        .into_iter()
        .filter(|(_, (count, _))| *count >= enough)
        .map(|(shape, (_, dates))| (shape, dates))
        .collect();
    for (_, dates) in &mut found.others {
        dates.buddhist = found.dates.buddhist;
    }
    Ok(found)
}

/// Whether somebody writes Thai.
fn is_thai(body: &[u8]) -> bool {
    let window = body.get(..512).unwrap_or(body);
    memchr::memchr_iter(0xE0, window).any(|at| matches!(window.get(at + 1), Some(0xB8 | 0xB9)))
}

impl Survey {
    /// Whether the date has a year that this file can mean. Asked once a date.
    #[inline]
    fn has_year(&mut self, head: &Head, body: &[u8]) -> bool {
        if self.date == Some(head.date) {
            return true;
        }
        if dates::may_be_buddhist(&head.date) {
            self.dates.buddhist |= is_thai(body);
            if !dates::exists(&head.date, self.dates.buddhist) {
                return false;
            }
        }
        self.date = Some(head.date);
        true
    }

    /// Chooses the most frequent layout, of two alike the one met first, and takes its lines.
    fn choose(&mut self, early: Vec<Early>, others: &mut Others, phrases: &Phrases) {
        if early.is_empty() || self.shape.is_some() {
            return;
        }
        let count = |shape: Shape| early.iter().filter(|e| e.head.shape == shape).count();
        let mut best: Option<(Shape, usize)> = None;
        for shape in early.iter().map(|e| e.head.shape) {
            let lines = count(shape);
            if best.is_none_or(|(_, most)| lines > most) {
                best = Some((shape, lines));
            }
        }
        self.shape = best.map(|(shape, _)| shape);
        // In one export every header has such a word, or a day part in its place; else somebody typed a date.
        let own = || early.iter().filter(|e| Some(e.head.shape) == self.shape);
        let words = own().filter(|e| e.head.foreign).count();
        let plain = own().filter(|e| !e.head.foreign && !e.head.day_part).count();
        self.foreign = words > plain * 10;
        for Early { head, line, body } in early {
            if head.foreign && !self.foreign {
                continue;
            }
            if Some(head.shape) == self.shape {
                self.observe(&head, &body, line, phrases);
            } else {
                note_other(others, &head, line);
            }
        }
    }

    fn observe(&mut self, head: &Head, body: &[u8], line: u64, phrases: &Phrases) {
        self.headers += 1;
        self.dates.observe(head, line);
        self.past_noon |= head.foreign && !(1..=12).contains(&head.clock.hour);
        if head.shape.bracket && self.is_marked_system(body, phrases) {
            return;
        }
        if !head.shape.bracket {
            self.learning.observe(body, phrases);
        }
        if !self.names.observe(body, head.shape.bracket, phrases) {
            self.system_line(
                &String::from_utf8_lossy(body.get(..4096).unwrap_or(body)),
                None,
                phrases,
            );
        }
    }

    /// iOS: `NAME: ‎TEXT` where the text is generated and nothing a person sends.
    fn is_marked_system(&mut self, body: &[u8], phrases: &Phrases) -> bool {
        let Some((name, text)) = marked_text(body) else {
            return false;
        };
        self.marks_seen = true;
        let text = String::from_utf8_lossy(text.get(..4096).unwrap_or(text));
        let meaning = meaning::read(phrases, &Learned::default(), &text, Marking::Marks);
        self.learning.known_language |= meaning.evidence.is_some();
        if !meaning.system {
            return false;
        }
        let name = String::from_utf8_lossy(super::names::clean(name)).into_owned();
        if self.headers == 1 && !text.contains(&name) {
            self.first_name = Some(name.clone());
        }
        self.system_line(unmarked(&text).0, Some(name), phrases);
        true
    }

    fn system_line(&mut self, text: &str, name: Option<String>, phrases: &Phrases) {
        // One is enough for each answer; a file of nothing but system lines must not cost more.
        if self.group_line && self.learning.known_language && (self.notice_name.is_some() || name.is_none()) {
            self.learning.marked(text.trim_end());
            return;
        }
        let said = system::read(phrases, text);
        match said.evidence {
            Some(_) => self.learning.known_language = true,
            None if name.is_some() => self.learning.marked(text.trim_end()),
            None => {}
        }
        self.group_line |= system::shows_group(said.kind);
        if said.kind == "encryption" && self.notice_name.is_none() {
            self.notice_name = name;
        }
    }
}

/// Name and text of a line whose text begins with a mark.
fn marked_text(body: &[u8]) -> Option<(&[u8], &[u8])> {
    for at in memchr::memchr_iter(b':', body.get(..256).unwrap_or(body)) {
        let rest = body.get(at + 1..)?;
        let text = rest.strip_prefix(b" ").unwrap_or(rest);
        if mark_len(text) > 0 {
            return Some((body.get(..at)?, text));
        }
        if rest.first() == Some(&b' ') {
            return None;
        }
    }
    None
}

/// A line without its line end.
#[inline]
pub fn without_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}
