//! The words WhatsApp writes itself, in every language we know them in: data files, one a language.
//!
//! Each entry carries its evidence: `documented` (the vendor's own words), `observed` (seen in real exports), or
//! `unverified` (plausible, not confirmed by a real file). An unverified entry works like the others, but the
//! first line it decides is reported, so that nobody takes a guess for a fact.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::OnceLock;

use model::record::ContentKind;
use serde::Deserialize;

use super::cursor::{blank_len, mark_len};
use super::template::Template;

/// One language's file.
#[derive(Deserialize)]
struct Language {
    phrases: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    is: Role,
    text: String,
    evidence: Evidence,
    /// What was left out.
    #[serde(default)]
    content: Option<ContentKind>,
    /// Kind of system line.
    #[serde(default)]
    kind: Option<String>,
    /// A call nobody took.
    #[serde(default)]
    missed: bool,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Role {
    Omitted,
    Attached,
    Edited,
    Deleted,
    ViewOnce,
    Unsupported,
    Poll,
    Option,
    Location,
    LiveLocation,
    Call,
    System,
    Title,
}

/// How sure a wording is.
#[derive(Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// The vendor's own words.
    Documented,
    /// Seen in real exports.
    Observed,
    /// Plausible, not confirmed by a real file.
    Unverified,
}

/// What a whole line says, if it is one of WhatsApp's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Saying {
    /// A file was left out.
    Omitted(ContentKind),
    /// The message was deleted.
    Deleted,
    /// View-once: never exported.
    ViewOnce,
    /// The phone could not show it.
    Unsupported,
    /// A call.
    Call {
        /// Nobody took it.
        missed: bool,
    },
    /// Somebody shared where they are, as they move.
    LiveLocation,
}

/// What stood in the holes of a wording: name of the hole, text.
pub type Filled = Vec<(String, String)>;

/// A wording with holes, and what it says.
pub struct Form<T> {
    /// The wording.
    pub template: Template,
    /// What it says.
    pub says: T,
    /// How sure it is.
    pub evidence: Evidence,
}

/// All phrases of all languages, ready for looking up.
#[derive(Default)]
pub struct Phrases {
    sayings: HashMap<String, (Saying, Evidence)>,
    gate: Gate,
    saying_forms: Vec<Form<Saying>>,
    /// First bytes of the wordings in `saying_forms`.
    form_gate: FirstBytes,
    /// First bytes of `poll` and `location`.
    prefix_gate: FirstBytes,
    /// System lines.
    pub system: Vec<Form<&'static str>>,
    /// Behind the name of an attached file (Android), with their brackets.
    attached_behind: HashMap<String, Evidence>,
    /// In front of the name of an attached file (iOS); `>` follows the name.
    pub attached_before: Vec<(String, Evidence)>,
    /// Behind an edited text.
    pub edited: Vec<(String, Evidence)>,
    /// First line of a poll.
    pub poll: Vec<(String, Evidence)>,
    /// In front of a poll's option.
    pub option: Vec<(String, Evidence)>,
    /// In front of a location's link.
    pub location: Vec<(String, Evidence)>,
    /// File names of exports.
    pub titles: Vec<Template>,
}

const FILES: &[&str] = &[
    include_str!("placeholders/en.json"),
    include_str!("placeholders/af.json"),
    include_str!("placeholders/ar.json"),
    include_str!("placeholders/az.json"),
    include_str!("placeholders/bg.json"),
    include_str!("placeholders/bn.json"),
    include_str!("placeholders/ca.json"),
    include_str!("placeholders/cs.json"),
    include_str!("placeholders/da.json"),
    include_str!("placeholders/de.json"),
    include_str!("placeholders/el.json"),
    include_str!("placeholders/es.json"),
    include_str!("placeholders/et.json"),
    include_str!("placeholders/fa.json"),
    include_str!("placeholders/fi.json"),
    include_str!("placeholders/fr.json"),
    include_str!("placeholders/ga.json"),
    include_str!("placeholders/gu.json"),
    include_str!("placeholders/he.json"),
    include_str!("placeholders/hi.json"),
    include_str!("placeholders/hr.json"),
    include_str!("placeholders/hu.json"),
    include_str!("placeholders/id.json"),
    include_str!("placeholders/it.json"),
    include_str!("placeholders/ja.json"),
    include_str!("placeholders/kk.json"),
    include_str!("placeholders/kn.json"),
    include_str!("placeholders/ko.json"),
    include_str!("placeholders/lt.json"),
    include_str!("placeholders/lv.json"),
    include_str!("placeholders/mk.json"),
    include_str!("placeholders/ml.json"),
    include_str!("placeholders/mr.json"),
    include_str!("placeholders/ms.json"),
    include_str!("placeholders/nb.json"),
    include_str!("placeholders/nl.json"),
    include_str!("placeholders/pa.json"),
    include_str!("placeholders/pl.json"),
    include_str!("placeholders/pt.json"),
    include_str!("placeholders/ro.json"),
    include_str!("placeholders/ru.json"),
    include_str!("placeholders/sk.json"),
    include_str!("placeholders/sl.json"),
    include_str!("placeholders/sq.json"),
    include_str!("placeholders/sr.json"),
    include_str!("placeholders/sv.json"),
    include_str!("placeholders/sw.json"),
    include_str!("placeholders/ta.json"),
    include_str!("placeholders/te.json"),
    include_str!("placeholders/th.json"),
    include_str!("placeholders/tl.json"),
    include_str!("placeholders/tr.json"),
    include_str!("placeholders/uk.json"),
    include_str!("placeholders/ur.json"),
    include_str!("placeholders/uz.json"),
    include_str!("placeholders/vi.json"),
    include_str!("placeholders/zh-CN.json"),
    include_str!("placeholders/zh-TW.json"),
];

/// The compiled-in phrases.
pub fn phrases() -> &'static Phrases {
    static ALL: OnceLock<Phrases> = OnceLock::new();
    ALL.get_or_init(|| {
        let mut all = Phrases::default();
        // A test reads every file, so that none is skipped here.
        for language in FILES
            .iter()
            .filter_map(|file| serde_json::from_str::<Language>(file).ok())
        {
            for entry in language.phrases {
                all.add(entry);
            }
        }
        all.system
            .sort_by_key(|form| std::cmp::Reverse(form.template.fixed_len()));
        all.saying_forms
            .sort_by_key(|form| std::cmp::Reverse(form.template.fixed_len()));
        all.titles
            .sort_by_key(|template| std::cmp::Reverse(template.fixed_len()));
        all
    })
}

impl Phrases {
    fn add(&mut self, entry: Entry) {
        let saying = match entry.is {
            Role::Omitted => Saying::Omitted(entry.content.unwrap_or(ContentKind::Other)),
            Role::Deleted => Saying::Deleted,
            Role::ViewOnce => Saying::ViewOnce,
            Role::Unsupported => Saying::Unsupported,
            Role::Call => Saying::Call { missed: entry.missed },
            Role::LiveLocation => Saying::LiveLocation,
            Role::Title => return self.titles.push(Template::new(&entry.text)),
            Role::System => {
                let says = super::system::known_kind(entry.kind.as_deref().unwrap_or_default());
                let template = Template::new(&normal(&entry.text));
                return self.system.push(Form {
                    template,
                    says,
                    evidence: entry.evidence,
                });
            }
            Role::Attached | Role::Edited | Role::Poll | Role::Option | Role::Location => {
                return self.add_affix(entry);
            }
        };
        let text = normal(&entry.text).into_owned();
        if text.contains('{') {
            let template = Template::new(&text);
            self.form_gate.add(&text);
            self.saying_forms.push(Form {
                template,
                says: saying,
                evidence: entry.evidence,
            });
        } else {
            self.gate.admit(&text);
            self.sayings.entry(text).or_insert((saying, entry.evidence));
        }
    }

    fn add_affix(&mut self, entry: Entry) {
        let Entry {
            is, text, evidence, ..
        } = entry;
        if matches!(is, Role::Poll | Role::Location) {
            self.prefix_gate.add(&text);
        }
        let (list, text) = match is {
            Role::Attached if text.contains("{}") => (
                &mut self.attached_before,
                text.split("{}").next().unwrap_or_default().to_owned(),
            ),
            Role::Attached => {
                self.attached_behind.entry(text).or_insert(evidence);
                return;
            }
            Role::Edited => (&mut self.edited, text),
            Role::Poll => (&mut self.poll, text),
            Role::Option => (&mut self.option, text),
            _ => (&mut self.location, text),
        };
        if !list.iter().any(|(known, _)| *known == text) {
            list.push((text, evidence));
        }
    }

    /// What a whole line says. `line` is without marks at its front. Nearly free for what people write.
    #[inline]
    pub fn saying(&self, line: &str) -> Option<(Saying, Evidence)> {
        if !self.gate.may_pass(line) {
            return None;
        }
        self.sayings.get(normal(line).as_ref()).copied()
    }

    /// Whether [`Phrases::saying_with_holes`] is worth asking.
    #[inline]
    pub fn may_have_holes(&self, line: &str) -> bool {
        self.form_gate.has(line) && line.len() < 200
    }

    /// The name in front of words in brackets that say "file attached".
    pub fn attached<'t>(&self, line: &'t str) -> Option<(&'t str, Evidence)> {
        let (name, words) = line.split_at(line.rfind('(')?);
        self.attached_behind.get(words).map(|evidence| (name, *evidence))
    }

    /// Whether the line may begin with one of `poll` and `location`.
    #[inline]
    pub fn may_have_prefix(&self, line: &str) -> bool {
        self.prefix_gate.has(line)
    }

    /// What a line says that WhatsApp is known to have written, holes allowed; with what stood in the holes.
    pub fn saying_with_holes(&self, line: &str) -> Option<(Saying, Evidence, Filled)> {
        let line = normal(line);
        self.saying_forms.iter().find_map(|form| {
            let filled = form.template.matches(&line)?;
            let filled = filled
                .into_iter()
                .map(|(hole, text)| (hole.to_owned(), text.to_owned()))
                .collect();
            Some((form.says, form.evidence, filled))
        })
    }
}

/// The bytes that some texts begin with.
#[derive(Default)]
struct FirstBytes([u64; 4]);

impl FirstBytes {
    fn place(text: &str) -> (usize, u64) {
        let byte = text.as_bytes().first().copied().unwrap_or(0);
        (usize::from(byte >> 6), 1 << (byte & 63))
    }

    fn add(&mut self, text: &str) {
        let (word, bit) = Self::place(text);
        if let Some(bits) = self.0.get_mut(word) {
            *bits |= bit;
        }
    }

    #[inline]
    fn has(&self, text: &str) -> bool {
        let (word, bit) = Self::place(text);
        self.0.get(word).is_some_and(|bits| bits & bit != 0)
    }
}

/// Answers "no" for nearly every text that is no phrase, from a few of its bytes.
struct Gate {
    bits: Vec<u64>,
    longest: usize,
}

impl Default for Gate {
    fn default() -> Self {
        Gate {
            bits: vec![0; 1024],
            longest: 0,
        }
    }
}

impl Gate {
    /// The bit of a text: its first four bytes and its last one, mixed.
    #[inline]
    fn place(text: &str) -> Option<(usize, u64)> {
        let bytes = text.as_bytes();
        let first = u32::from_le_bytes(*bytes.first_chunk::<4>()?);
        let last = u32::from(*bytes.last()?);
        let mixed = (first ^ last.rotate_left(11)).wrapping_mul(0x9E37_79B1) >> 16;
        usize::try_from(mixed >> 6)
            .ok()
            .map(|word| (word, 1 << (mixed & 63)))
    }

    fn admit(&mut self, text: &str) {
        self.longest = self.longest.max(text.len());
        if let Some((word, bit)) = Self::place(text)
            && let Some(bits) = self.bits.get_mut(word)
        {
            *bits |= bit;
        }
    }

    #[inline]
    fn may_pass(&self, line: &str) -> bool {
        // Marks, wide blanks and a full stop are taken off for comparing; they may add a little length.
        if line.len() > self.longest + 24 {
            return false;
        }
        let Some((word, bit)) = Self::place(without_stop(line)) else {
            return false;
        };
        self.bits.get(word).is_some_and(|bits| bits & bit != 0)
    }
}

#[inline]
fn without_stop(text: &str) -> &str {
    let plain_end = text.as_bytes().last().is_some_and(u8::is_ascii_alphanumeric);
    if plain_end {
        return text;
    }
    let text = text.trim_end();
    text.strip_suffix('.')
        .or_else(|| text.strip_suffix('。'))
        .unwrap_or(text)
}

/// The form in which texts are compared: no marks, one kind of blank, plain quotes, no full stop at the end.
pub fn normal(text: &str) -> Cow<'_, str> {
    let text = without_stop(text);
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let len = c.len_utf8();
        if mark_len(rest.as_bytes()) == 0 {
            match c {
                _ if blank_len(rest.as_bytes()) > 0 => out.push(' '),
                '\u{2019}' | '\u{2018}' => out.push('\''),
                '\u{201C}' | '\u{201D}' | '\u{201E}' | '«' | '»' | '「' | '」' | '『' | '』' => {
                    out.push('"')
                }
                _ => out.push(c),
            }
        }
        rest = rest.get(len..).unwrap_or_default();
    }
    if let Some(shorter) = Some(without_stop(&out).len()).filter(|&len| len < out.len()) {
        out.truncate(shorter);
    }
    Cow::Owned(out)
}

/// The text without the marks at its front, and whether there was one.
#[inline]
pub fn unmarked(text: &str) -> (&str, bool) {
    let mut at = 0;
    loop {
        let rest = text.as_bytes().get(at..).unwrap_or_default();
        let len = mark_len(rest);
        if len == 0 {
            return (text.get(at..).unwrap_or_default(), at > 0);
        }
        at += len;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_data_file_is_read_whole_and_every_kind_is_known() {
        for file in FILES {
            let language: Language = serde_json::from_str(file).expect("the file is as described");
            assert!(language.phrases.len() >= 3);
            for entry in language.phrases {
                assert!(!entry.text.trim().is_empty());
                if entry.is == Role::Attached && !entry.text.contains("{}") {
                    let inner = entry.text.strip_prefix('(').and_then(|t| t.strip_suffix(')'));
                    assert!(inner.is_some_and(|t| !t.contains('(')), "{}", entry.text);
                }
                if entry.is == Role::System {
                    let kind = entry.kind.expect("a system line has a kind");
                    assert_eq!(super::super::system::known_kind(&kind), kind);
                }
                assert_eq!(
                    entry.is == Role::Omitted,
                    entry.content.is_some(),
                    "{}",
                    entry.text
                );
            }
        }
    }

    #[test]
    fn no_wording_stands_with_two_meanings() {
        let mut seen: HashMap<String, Saying> = HashMap::new();
        for file in FILES {
            let language: Language = serde_json::from_str(file).expect("the file is as described");
            for entry in language.phrases {
                let saying = match entry.is {
                    Role::Omitted => Saying::Omitted(entry.content.unwrap_or(ContentKind::Other)),
                    Role::Deleted => Saying::Deleted,
                    Role::Call => Saying::Call { missed: entry.missed },
                    _ => continue,
                };
                let before = seen.insert(normal(&entry.text).into_owned(), saying);
                assert!(before.is_none_or(|before| before == saying), "{}", entry.text);
            }
        }
    }
}
