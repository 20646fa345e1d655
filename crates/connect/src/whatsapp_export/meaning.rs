//! What a person's text is: words, a file, a poll, a place, a call, or the trace of something deleted.

use memchr::memmem;
use model::record::{AttachmentState, ContentKind, Details};
use serde_json::{Map, Value};

use super::learned::Learned;
use super::media;
use super::placeholders::{Evidence, Filled, Phrases, Saying, unmarked};

/// A text understood. Everything borrows from the text.
#[derive(Debug, Clone, PartialEq)]
pub struct Meaning<'t> {
    /// What sort of thing it is.
    pub content: ContentKind,
    /// Words or caption.
    pub text: Option<&'t str>,
    /// A file: its name where the line gives one, and whether the line says it was left out.
    pub file: Option<(Option<&'t str>, AttachmentState)>,
    /// Changed after sending.
    pub edited: bool,
    /// Deleted.
    pub deleted: bool,
    /// View-once.
    pub ephemeral: bool,
    /// Poll options, coordinates, call facts.
    pub details: Option<Details>,
    /// How sure the wording is that decided; `None` where no wording was needed.
    pub evidence: Option<Evidence>,
    /// An iPhone marked it as generated, and it is nothing a person sends: a system line.
    pub system: bool,
}

impl<'t> Meaning<'t> {
    fn words(text: &'t str) -> Self {
        Meaning {
            content: ContentKind::Text,
            text: (!text.is_empty()).then_some(text),
            file: None,
            edited: false,
            deleted: false,
            ephemeral: false,
            details: None,
            evidence: None,
            system: false,
        }
    }

    /// A line that no person wrote.
    pub fn system_line(text: &'t str) -> Self {
        Meaning {
            system: true,
            ..Meaning::of(ContentKind::System, Some(text).filter(|t| !t.is_empty()))
        }
    }

    fn of(content: ContentKind, text: Option<&'t str>) -> Self {
        Meaning {
            content,
            text,
            ..Meaning::words("")
        }
    }
}

/// How generated text is told from what people type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marking {
    /// Android: by its wording alone.
    Wording,
    /// iOS: it begins with U+200E (Arabic: U+200F). What has no mark was typed.
    Marks,
    /// iOS layout, but the file holds no mark at all: something has taken them out.
    MarksLost,
}

/// Reads a text.
#[inline]
pub fn read<'t>(phrases: &Phrases, learned: &Learned, text: &'t str, marking: Marking) -> Meaning<'t> {
    let (bare, marked) = unmarked(text);
    let mut edited = None;
    let last = bare.as_bytes().last().copied().unwrap_or(0);
    if last == b'>' || last <= b' ' {
        edited = edited_off(phrases, text, marking);
    }
    let (words, bare) = match edited {
        Some((words, _)) => (words, unmarked(words).0),
        None => (text, bare),
    };
    let mut meaning = match generated(phrases, learned, bare, words, marked, marking) {
        Some(meaning) => meaning,
        None => Meaning::words(words),
    };
    if let Some((_, evidence)) = edited {
        meaning.edited = true;
        meaning.evidence = meaning.evidence.or(evidence);
        meaning.system = false;
    }
    meaning
}

/// The text in front of `<This message was edited>`; on an iPhone a mark shows it in any language.
fn edited_off<'t>(phrases: &Phrases, text: &'t str, marking: Marking) -> Option<(&'t str, Option<Evidence>)> {
    let text = text.trim_end();
    let known = phrases.edited.iter().find_map(|(suffix, evidence)| {
        text.strip_suffix(suffix.as_str())
            .map(|words| (words, Some(*evidence)))
    });
    let (words, evidence) = known.or_else(|| {
        let (before, tail) = last_marked(text).filter(|_| marking == Marking::Marks)?;
        let inner = tail.strip_prefix('<')?.strip_suffix('>')?;
        let plain =
            !inner.contains(['<', '>', ':', '：', '\n']) && inner.contains(' ') && before.ends_with(' ');
        (plain && !ending_trimmed(before).is_empty()).then_some((before, None))
    })?;
    Some((ending_trimmed(words), evidence))
}

/// Everything but plain words.
#[inline]
fn generated<'t>(
    phrases: &Phrases,
    learned: &Learned,
    bare: &'t str,
    text: &'t str,
    marked: bool,
    marking: Marking,
) -> Option<Meaning<'t>> {
    let ios = marking != Marking::Wording;
    if ios && let Some(meaning) = ios_file(phrases, text, bare, marking) {
        return Some(meaning);
    }
    if marking == Marking::Marks && !marked {
        return None;
    }
    let (first, rest) = first_line(bare);
    if let Some((saying, evidence)) = phrases.saying(first)
        && (rest.is_empty() || matches!(saying, Saying::Omitted(_)))
    {
        return Some(said(saying, evidence, rest));
    }
    if first.ends_with('>')
        && let Some(meaning) = in_angles(phrases, first, text)
    {
        return Some(meaning);
    }
    if first.ends_with(')')
        && let Some(meaning) = attached_behind(phrases, learned, first, rest)
    {
        return Some(meaning);
    }
    if first.ends_with('>') && learned.omitted.iter().any(|known| known == first) {
        return Some(Meaning {
            file: Some((None, AttachmentState::Omitted)),
            ..Meaning::of(ContentKind::Other, Some(rest).filter(|r| !r.is_empty()))
        });
    }
    if phrases.may_have_prefix(first)
        && let Some(meaning) = poll_or_place(phrases, first, bare, text)
    {
        return Some(meaning);
    }
    if let Some(meaning) = place_in_any_language(first, rest, text) {
        return Some(meaning);
    }
    if marked && let Some(meaning) = poll_in_any_language(phrases, first, rest, text) {
        return Some(meaning);
    }
    if rest.is_empty()
        && phrases.may_have_holes(first)
        && let Some(found) = phrases.saying_with_holes(first)
    {
        return Some(said_with(found));
    }
    if marked
        && rest.is_empty()
        && let Some(meaning) = call_with_a_second_part(phrases, first)
    {
        return Some(meaning);
    }
    (ios && marked).then(|| Meaning::system_line(text))
}

fn first_line(text: &str) -> (&str, &str) {
    let Some(at) = memchr::memchr(b'\n', text.as_bytes()) else {
        return (text, "");
    };
    (
        text.get(..at).unwrap_or(text),
        text.get(at + 1..).unwrap_or_default(),
    )
}

/// A whole line that is one of WhatsApp's own.
fn said(saying: Saying, evidence: Evidence, caption: &str) -> Meaning<'_> {
    let caption = Some(caption).filter(|c| !c.is_empty());
    let mut meaning = match saying {
        Saying::Omitted(kind) => {
            let mut meaning = Meaning::of(kind, caption);
            meaning.file = Some((None, AttachmentState::Omitted));
            meaning
        }
        Saying::Deleted => Meaning {
            deleted: true,
            ..Meaning::of(ContentKind::Other, None)
        },
        Saying::ViewOnce => Meaning {
            ephemeral: true,
            ..Meaning::of(ContentKind::Other, None)
        },
        Saying::Unsupported => Meaning::of(ContentKind::Unsupported, None),
        Saying::LiveLocation => Meaning {
            details: one_detail("live", Value::from(true)),
            ..Meaning::of(ContentKind::Location, None)
        },
        Saying::Call { missed } => Meaning {
            details: one_detail("missed", Value::from(missed)),
            ..Meaning::of(ContentKind::Call, None)
        },
    };
    meaning.evidence = Some(evidence);
    meaning
}

/// The same with what stood in its holes.
fn said_with((saying, evidence, filled): (Saying, Evidence, Filled)) -> Meaning<'static> {
    let mut meaning = said(saying, evidence, "");
    let details = meaning.details.get_or_insert_default();
    details
        .0
        .extend(filled.into_iter().map(|(hole, value)| (hole, Value::from(value))));
    meaning
}

/// iOS: `Missed voice call, ‎Tap to call back`: two parts, the second behind a mark of its own.
fn call_with_a_second_part(phrases: &Phrases, first: &str) -> Option<Meaning<'static>> {
    let (call, second) = last_marked(first)?;
    let call = call.trim_end_matches([' ', '.', ',', '。', '،', '、']);
    if let Some((saying @ Saying::Call { .. }, evidence)) = phrases.saying(call) {
        return Some(said(saying, evidence, ""));
    }
    let joined = format!("{call}. {second}");
    phrases
        .saying_with_holes(&joined)
        .filter(|(saying, ..)| matches!(saying, Saying::Call { .. }))
        .map(said_with)
}

fn one_detail(name: &str, value: Value) -> Option<Details> {
    Some(Details(Map::from_iter([(name.to_owned(), value)])))
}

/// Android: `FILE (file attached)`, a caption on the lines after it.
fn attached_behind<'t>(
    phrases: &Phrases,
    learned: &Learned,
    first: &'t str,
    rest: &'t str,
) -> Option<Meaning<'t>> {
    let known = phrases
        .attached(first)
        .map(|(name, evidence)| (name, Some(evidence)));
    let learnt = || {
        learned
            .behind
            .iter()
            .find_map(|behind| first.strip_suffix(behind.as_str()))
            .map(|name| (name, None))
    };
    let (name, evidence) = known.or_else(learnt)?;
    let name = ending_trimmed(unmarked(name).0);
    if name.is_empty() {
        return None;
    }
    let meaning = Meaning {
        evidence,
        ..attached(name)
    };
    Some(Meaning {
        text: Some(rest).filter(|r| !r.is_empty()),
        ..meaning
    })
}

/// A message that is a file; whether the file is there is found out later.
fn attached(name: &str) -> Meaning<'_> {
    let (_, kind) = media::by_name(name);
    Meaning {
        file: Some((Some(name), AttachmentState::Missing)),
        ..Meaning::of(kind, None)
    }
}

/// iOS: `[CAPTION ]‎<attached: FILE>[line end CAPTION]`, `NAME.pdf • ‎2 pages ‎<attached: FILE>`, and the same with
/// `‎image omitted` at the end. Generated parts follow a mark; without one only a whole line counts. Before 2018 the
/// mark stood inside: `FILE <‎attached>`, `<‎image omitted>`.
fn ios_file<'t>(phrases: &Phrases, text: &'t str, bare: &'t str, marking: Marking) -> Option<Meaning<'t>> {
    let (before, tail) = match last_marked(text) {
        Some(parts) => parts,
        None if marking == Marking::MarksLost => bare.split_at(bare.rfind('<').unwrap_or(0)),
        None => return None,
    };
    if tail.starts_with('<')
        && let Some((name, after, evidence)) = named_in_angles(phrases, tail)
    {
        let after = after.trim_start_matches(['\n', ' ']);
        let mut meaning = with_label(attached(name), before, after);
        meaning.evidence = evidence;
        return Some(meaning);
    }
    if let (Some(before), Some(inner)) = (before.strip_suffix('<'), tail.strip_suffix('>')) {
        return ios_file_before_2018(phrases, before, inner);
    }
    if before.is_empty() {
        return None;
    }
    match phrases.saying(tail) {
        Some((saying @ Saying::Omitted(_), evidence)) => {
            Some(with_label(said(saying, evidence, ""), before, ""))
        }
        _ => None,
    }
}

/// `<attached: FILE>REST`: file and rest. The word in front of the colon may be of any language: what follows is then
/// a name as iPhones make them up, or has a known ending.
fn named_in_angles<'t>(phrases: &Phrases, tail: &'t str) -> Option<(&'t str, &'t str, Option<Evidence>)> {
    let known = phrases.attached_before.iter().find_map(|(opening, evidence)| {
        let (name, after) = tail.strip_prefix(opening.as_str())?.split_once('>')?;
        Some((name.trim(), after, Some(*evidence)))
    });
    let found = known.or_else(|| {
        let (inner, after) = tail.strip_prefix('<')?.split_once('>')?;
        let (word, name) = inner.split_once([':', '：'])?;
        let name = ending_trimmed(unmarked(name.trim()).0);
        let a_word =
            word.len() <= 60 && !word.contains(['<', '\n', '/']) && !word.bytes().any(|b| b.is_ascii_digit());
        let a_file = media::is_generated_name(name) || media::by_name(name).0.is_some();
        (a_word && a_file).then_some((name, after, None))
    });
    found.filter(|(name, ..)| !name.is_empty())
}

/// What iPhones wrote before 2018, also without the mark: `<image omitted>`, `FILE <‎attached>`.
fn in_angles<'t>(phrases: &Phrases, first: &'t str, text: &'t str) -> Option<Meaning<'t>> {
    if let Some(inner) = first.strip_prefix('<').and_then(|rest| rest.strip_suffix('>')) {
        let (saying, evidence) = phrases.saying(unmarked(inner).0)?;
        return matches!(saying, Saying::Omitted(_)).then(|| said(saying, evidence, ""));
    }
    let (before, tail) = last_marked(text)?;
    ios_file_before_2018(phrases, before.strip_suffix('<')?, tail.strip_suffix('>')?)
}

/// `FILE <‎attached>` and `<‎image omitted>`, split around what stands in front of the mark.
fn ios_file_before_2018<'t>(phrases: &Phrases, before: &'t str, inner: &str) -> Option<Meaning<'t>> {
    let name = ending_trimmed(unmarked(before).0);
    if name.is_empty() {
        let (saying, evidence) = phrases.saying(inner)?;
        return matches!(saying, Saying::Omitted(_)).then(|| said(saying, evidence, ""));
    }
    let a_file = media::is_generated_name(name) || media::by_name(name).0.is_some();
    (a_file && !name.contains('\n') && !inner.contains(['<', ' '])).then(|| attached(name))
}

/// What stands before the mark of the last generated part, and that part.
fn last_marked(text: &str) -> Option<(&str, &str)> {
    // Both marks begin with this byte, which most texts do not have.
    memchr::memrchr(0xE2, text.as_bytes())?;
    let at = memmem::rfind(text.as_bytes(), b"\xE2\x80\x8E")
        .max(memmem::rfind(text.as_bytes(), b"\xE2\x80\x8F"))?;
    let tail = text.get(at..).map(|tail| unmarked(tail).0)?;
    text.get(..at).map(|before| (before, tail))
}

/// `NAME.pdf • ‎2 pages` in front of a document is its label; other words in front or behind are the caption.
fn with_label<'t>(mut meaning: Meaning<'t>, before: &'t str, after: &'t str) -> Meaning<'t> {
    let before = ending_trimmed(unmarked(before).0);
    let label = before
        .split_once(" • ")
        .filter(|(name, _)| name.contains('.') && !name.contains('\n'));
    if let Some((name, pages)) = label {
        let details = meaning.details.get_or_insert_default();
        details.0.insert("shown_name".to_owned(), Value::from(name));
        let digits: String = pages.chars().filter(char::is_ascii_digit).collect();
        if let Ok(count) = digits.parse::<u32>() {
            details.0.insert("pages".to_owned(), Value::from(count));
        }
    }
    let caption = if label.is_some() || before.is_empty() {
        after
    } else {
        before
    };
    if !caption.is_empty() {
        meaning.text = Some(caption);
    }
    meaning
}

/// Text without blanks and marks at its end.
fn ending_trimmed(text: &str) -> &str {
    text.trim_end_matches(|c: char| {
        c.is_whitespace()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    })
}

fn poll_or_place<'t>(phrases: &Phrases, first: &'t str, bare: &'t str, text: &'t str) -> Option<Meaning<'t>> {
    if first.len() < 40
        && let Some((word, evidence)) = phrases
            .poll
            .iter()
            .find(|(word, _)| first.starts_with(word.as_str()))
    {
        let body = bare.get(word.len()..)?;
        let details = poll(phrases, None, body)?;
        return Some(Meaning {
            details: Some(details),
            evidence: Some(*evidence),
            ..Meaning::of(ContentKind::Poll, Some(text))
        });
    }
    let (word, evidence) = phrases
        .location
        .iter()
        .find(|(word, _)| first.starts_with(word.as_str()))?;
    let details = place(unmarked(first.get(word.len()..)?.trim()).0)?;
    Some(Meaning {
        details: Some(details),
        evidence: Some(*evidence),
        ..Meaning::of(ContentKind::Location, Some(text))
    })
}

/// `location: https://maps.google.com/?q=LAT,LONG` whatever the word in front is. The link is never translated.
fn place_in_any_language<'t>(first: &'t str, rest: &str, text: &'t str) -> Option<Meaning<'t>> {
    const LINK: &str = "https://maps.google.com/?q=";
    const LONGEST: usize = 160;
    if !rest.is_empty() || first.len() > LONGEST || !first.as_bytes().last()?.is_ascii_digit() {
        return None;
    }
    let at = memmem::find(first.as_bytes(), LINK.as_bytes())?;
    let word = first.get(..at)?.trim_end();
    let word = word.strip_suffix([':', '：'])?;
    let plain = !word.is_empty() && word.len() <= 60 && !word.contains([':', '.', '/']);
    let details = place(first.get(at..)?).filter(|_| plain)?;
    details.0.contains_key("latitude").then(|| Meaning {
        details: Some(details),
        ..Meaning::of(ContentKind::Location, Some(text))
    })
}

/// A poll in a language without words: a marked line that ends with a colon, and marked lines `WORD: TEXT (…)`.
fn poll_in_any_language<'t>(
    phrases: &Phrases,
    first: &str,
    rest: &str,
    text: &'t str,
) -> Option<Meaning<'t>> {
    if !first.ends_with([':', '：']) || first.chars().count() > 40 {
        return None;
    }
    let option = rest.lines().find_map(|line| {
        let (bare, marked) = unmarked(line);
        let (word, _) = bare.split_once([':', '：']).filter(|_| marked)?;
        let colon = bare.get(word.len()..)?.chars().next()?;
        bare.get(..word.len() + colon.len_utf8())
    })?;
    Some(Meaning {
        details: Some(poll(phrases, Some(option), rest)?),
        ..Meaning::of(ContentKind::Poll, Some(text))
    })
}

/// Title and options: `OPTION: TEXT (n votes)`; lines without the word go on what stands before them.
fn poll(phrases: &Phrases, option_word: Option<&str>, body: &str) -> Option<Details> {
    let mut title = String::new();
    let mut options: Vec<(String, u64)> = Vec::new();
    for line in body.lines() {
        let line = unmarked(line).0;
        let option = match option_word {
            Some(word) => line.strip_prefix(word),
            None => phrases
                .option
                .iter()
                .find_map(|(word, _)| line.strip_prefix(word.as_str())),
        };
        match (option, options.last_mut()) {
            (Some(option), _) => options.push((option.trim().to_owned(), 0)),
            (None, Some((text, _))) => push_line(text, line),
            (None, None) => push_line(&mut title, line),
        }
    }
    if options.is_empty() {
        return None;
    }
    let options = options.into_iter().map(|(text, _)| {
        let (text, votes) = votes_taken_off(&text);
        Value::Object(Map::from_iter([
            ("text".to_owned(), Value::from(text)),
            ("votes".to_owned(), votes.map_or(Value::Null, Value::from)),
        ]))
    });
    let options = Value::Array(options.collect());
    Some(Details(Map::from_iter([
        ("title".to_owned(), Value::from(title.trim())),
        ("options".to_owned(), options),
    ])))
}

fn push_line(text: &mut String, line: &str) {
    if !text.is_empty() {
        text.push('\n');
    }
    text.push_str(line);
}

/// `Pizza (‎3 votes)`: the number inside the last brackets, in whatever language the word is.
fn votes_taken_off(option: &str) -> (&str, Option<u64>) {
    let trimmed = ending_trimmed(option);
    let inner = trimmed.strip_suffix(')').or_else(|| trimmed.strip_suffix('）'));
    let Some((text, inner)) = inner.and_then(|i| i.rsplit_once(['(', '（'])) else {
        return (trimmed, None);
    };
    let digits: String = inner.chars().filter(char::is_ascii_digit).collect();
    match digits.parse() {
        Ok(votes) => (ending_trimmed(text), Some(votes)),
        Err(_) => (trimmed, None),
    }
}

/// `https://maps.google.com/?q=LAT,LONG`, or a place by name with another link.
fn place(rest: &str) -> Option<Details> {
    let at = rest.find("https://")?;
    let url = rest.get(at..)?.split_whitespace().next()?;
    let mut map = Map::new();
    let query = url
        .split_once("?q=")
        .or_else(|| url.split_once("&q="))
        .map(|(_, query)| query);
    if let Some((latitude, longitude)) = query.and_then(coordinates) {
        map.insert("latitude".to_owned(), Value::from(latitude));
        map.insert("longitude".to_owned(), Value::from(longitude));
    }
    map.insert("url".to_owned(), Value::from(url));
    let name = rest.get(..at)?.trim().trim_end_matches([':', '(']).trim();
    if !name.is_empty() {
        map.insert("name".to_owned(), Value::from(name));
    }
    Some(Details(map))
}

fn coordinates(query: &str) -> Option<(f64, f64)> {
    let (latitude, longitude) = query.split_once(',')?;
    let longitude = longitude.split('&').next()?;
    let (latitude, longitude): (f64, f64) = (latitude.parse().ok()?, longitude.parse().ok()?);
    (latitude.abs() <= 90.0 && longitude.abs() <= 180.0).then_some((latitude, longitude))
}
