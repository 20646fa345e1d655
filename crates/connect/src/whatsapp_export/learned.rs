//! Wordings of languages that no data file lists, learnt from the file itself.
//!
//! On Android nothing marks what WhatsApp wrote. But names of attached files are in no language
//! (`IMG-20240131-WA0001.jpg`), and what always stands behind them in brackets says "file attached"; and the same
//! words between `<` and `>` again and again say that a file was left out.
//!
//! On an iPhone a mark shows what WhatsApp wrote, but not whether it stands for something a person sent. What comes
//! back word for word does: lines about the chat name somebody, or come once.

use super::media;
use super::placeholders::{Phrases, Saying, unmarked};

/// Wordings learnt of each sort. One export has one language.
const MOST: usize = 4;

/// Candidates counted.
const MOST_CANDIDATES: usize = 32;

/// Longest wording looked at, in bytes.
const LONGEST: usize = 120;

/// Times a wording must come back.
const OFTEN: u64 = 2;

/// What the first pass has seen.
#[derive(Default)]
pub struct Learning {
    behind: Vec<String>,
    angled: Vec<(String, u64)>,
    marked: Vec<(String, u64)>,
    /// Some wording was a known one: the file's language has a data file.
    pub known_language: bool,
}

/// What the second pass looks up.
#[derive(Default)]
pub struct Learned {
    /// `(…)` behind the name of an attached file.
    pub behind: Vec<String>,
    /// `<…>` in the place of a file.
    pub omitted: Vec<String>,
    /// Marked texts that came back.
    marked: Vec<String>,
    known_language: bool,
}

impl Learned {
    /// Whether a marked text without a known wording may stand for something that a person sent.
    pub fn stands_for_message(&self, text: &str) -> bool {
        !self.known_language || self.marked.iter().any(|known| known == text)
    }
}

impl Learning {
    /// Takes the first line of a message, header taken off.
    #[inline]
    pub fn observe(&mut self, body: &[u8], phrases: &Phrases) {
        match body.last() {
            Some(b')') => self.attached(body, phrases),
            Some(b'>') => self.angled(body, phrases),
            _ => {}
        }
    }

    fn attached(&mut self, body: &[u8], phrases: &Phrases) {
        // What few lines hold, asked before anything is cut or looked up.
        if self.behind.len() >= MOST || memchr::memmem::find(body, b"-WA").is_none() {
            return;
        }
        let Some(text) = text_of(body) else { return };
        let Some((name, words)) = split_brackets(text) else {
            return;
        };
        let known = phrases.attached(text).is_some();
        let seen = self.behind.iter().any(|seen| seen == words);
        if !known && !seen && media::is_generated_name(name) {
            self.behind.push(words.to_owned());
        }
    }

    fn angled(&mut self, body: &[u8], phrases: &Phrases) {
        let Some(text) = text_of(body).filter(|text| text.len() <= LONGEST && text.starts_with('<')) else {
            return;
        };
        count(&mut self.angled, text, |text| {
            may_say_omitted(text) && !is_known(text, phrases)
        });
    }

    /// Takes a text that an iPhone marked and that has no known wording, mark taken off.
    pub fn marked(&mut self, text: &str) {
        if text.len() <= LONGEST {
            count(&mut self.marked, text, |_| true);
        }
    }

    /// Ends the first pass.
    pub fn settle(self) -> Learned {
        let often = |counted: Vec<(String, u64)>| {
            let often = counted.into_iter().filter(|(_, times)| *times >= OFTEN);
            often.map(|(text, _)| text).collect()
        };
        Learned {
            behind: self.behind,
            omitted: often(self.angled),
            marked: often(self.marked),
            known_language: self.known_language,
        }
    }
}

fn count(counted: &mut Vec<(String, u64)>, text: &str, is_candidate: impl FnOnce(&str) -> bool) {
    if let Some((_, times)) = counted.iter_mut().find(|(seen, _)| seen == text) {
        *times += 1;
    } else if counted.len() < MOST_CANDIDATES && is_candidate(text) {
        counted.push((text.to_owned(), 1));
    }
}

/// The text of a line with a name: behind the last `: `, since neither wording holds one.
fn text_of(body: &[u8]) -> Option<&str> {
    let at = memchr::memmem::rfind(body, b": ")?;
    let text = std::str::from_utf8(body.get(at + 2..)?).ok()?;
    Some(unmarked(text).0)
}

/// `NAME (WORDS)`: the name, and the words with their brackets.
pub fn split_brackets(text: &str) -> Option<(&str, &str)> {
    let at = text.rfind(" (").filter(|_| text.ends_with(')'))?;
    let words = text.get(at + 1..)?;
    let inner = words.get(1..words.len() - 1)?;
    let plain =
        !inner.is_empty() && !inner.contains(['(', ')']) && !inner.bytes().any(|b| b.is_ascii_digit());
    (plain && words.len() <= LONGEST).then_some((text.get(..at)?, words))
}

/// Words between one pair of angles. One plain word is a tag that people type.
fn may_say_omitted(text: &str) -> bool {
    let inner = text.strip_prefix('<').and_then(|rest| rest.strip_suffix('>'));
    inner.is_some_and(|inner| {
        let words = inner.contains(' ') || !inner.is_ascii();
        words
            && inner
                .chars()
                .all(|c| c != '<' && c != '>' && c != '=' && c != ':' && !c.is_ascii_digit())
    })
}

fn is_known(text: &str, phrases: &Phrases) -> bool {
    matches!(phrases.saying(text), Some((Saying::Omitted(_), _)))
        || phrases.edited.iter().any(|(known, _)| known == text)
}
