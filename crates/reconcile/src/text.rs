//! When two texts are the same text, and how alike two others are.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};

use icu_normalizer::ComposingNormalizerBorrowed;

/// Of longer texts only the beginning is looked at to say how alike they are.
const COMPARED_BYTES_MAX: usize = 4096;

/// Digits of a mentioned number at least; what is shorter is text.
const MENTION_DIGITS_MIN: usize = 6;

/// A name in a mention at most.
const MENTION_CHARS_MAX: usize = 200;

/// The text without what sources write differently: composition of characters, direction marks, kinds and runs of
/// blanks, line ends, marks of bold and the like where they come in pairs, whom a mention names.
pub fn folded(text: &str) -> Cow<'_, str> {
    if is_folded(text) {
        return Cow::Borrowed(text.trim_matches([' ', '\n']));
    }
    let normalizer = ComposingNormalizerBorrowed::new_nfc();
    let composed = if text.is_ascii() {
        Cow::Borrowed(text)
    } else {
        normalizer.normalize(text)
    };
    let mut out = String::with_capacity(composed.len());
    for (index, line) in composed.lines().enumerate() {
        if index > 0 {
            out.push('\n');
        }
        fold_line(&mut out, line);
    }
    out.truncate(out.trim_end_matches([' ', '\n']).len());
    let begins = out.len() - out.trim_start_matches([' ', '\n']).len();
    out.drain(..begins);
    Cow::Owned(out)
}

/// Nearly every text: nothing in it is written in two ways. Of letters past ASCII only those are taken that compose with
/// nothing that is taken here.
fn is_folded(text: &str) -> bool {
    let mut before = 0;
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        let blank = matches!(byte, b' ' | b'\n');
        match byte {
            b if is_plain(b) && (blank && before == b' ' || b == b' ' && before == b'\n') => return false,
            b if is_plain(b) => rest = after,
            0..0x80 => return false,
            _ => {
                // The text is UTF-8, and this its next character.
                let at = text.len() - rest.len();
                let next = text.get(at..).and_then(|rest| rest.chars().next());
                let Some(c) = next.filter(|&c| stands_alone(c)) else {
                    return false;
                };
                rest = rest.get(c.len_utf8()..).unwrap_or(&[]);
            }
        }
        before = byte;
    }
    true
}

/// ASCII that every source writes alike.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b'\n' | b' '..=b'~') && !matches!(byte, b'*' | b'_' | b'~' | b'`' | b'@')
}

/// Latin letters, Chinese, Japanese and Korean ones, punctuation of theirs, most emoji.
fn stands_alone(c: char) -> bool {
    matches!(c,
        '\u{A1}'..='\u{AC}' | '\u{AE}'..='\u{2FF}' | '\u{2010}'..='\u{2027}' | '\u{3001}'..='\u{3029}'
        | '\u{4E00}'..='\u{9FFF}' | '\u{AC00}'..='\u{D7A3}' | '\u{FF01}'..='\u{FF5E}'
        | '\u{1F300}'..='\u{1F64F}' | '\u{1F680}'..='\u{1FAFF}')
}

fn fold_line(out: &mut String, line: &str) {
    let begun = out.len();
    let mentions = without_mentions(line);
    let dropped = paired_marks(&mentions);
    let mut blank = false;
    for (at, c) in mentions.char_indices() {
        if is_invisible(c) || dropped.binary_search(&at).is_ok() {
            continue;
        }
        if c.is_whitespace() {
            blank = out.len() > begun;
            continue;
        }
        if std::mem::take(&mut blank) {
            out.push(' ');
        }
        out.push(c);
    }
}

/// Direction marks, byte order marks, and selectors of a picture's style. Not the joiner, which makes another emoji.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{200B}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}' | '\u{2066}'..='\u{2069}'
        | '\u{FEFF}' | '\u{FE0E}' | '\u{FE0F}' | '\u{061C}')
}

/// A mention is a number in one source and a name between marks in another: only that somebody is mentioned stays.
fn without_mentions(line: &str) -> Cow<'_, str> {
    if !line.contains('@') {
        return Cow::Borrowed(line);
    }
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once('@') {
        out.push_str(before);
        out.push('@');
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        rest = if let Some(named) = after.strip_prefix('\u{2068}') {
            let mut near = named.char_indices().take(MENTION_CHARS_MAX);
            let end = near.find(|&(_, c)| c == '\u{2069}');
            end.and_then(|(at, _)| named.get(at + 3..)).unwrap_or(after)
        } else if digits >= MENTION_DIGITS_MIN && !before.ends_with(char::is_alphanumeric) {
            after.get(digits..).unwrap_or_default()
        } else {
            after
        };
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// Places of marks that come in pairs around words: bold, italic, struck through, fixed width. A single one is text, as in
/// `~5` or `3*4`.
fn paired_marks(line: &str) -> Vec<usize> {
    let mut places = Vec::new();
    for mark in ['*', '_', '~', '`'] {
        if !line.contains(mark) {
            continue;
        }
        let (mut open, mut before) = (None, None);
        let mut chars = line.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            let after = chars.peek().map(|&(_, c)| c);
            if c == mark {
                let outside = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric());
                let inside = |c: Option<char>| c.is_some_and(|c| !c.is_whitespace());
                match open {
                    Some(begin) if inside(before) && outside(after) => {
                        places.extend([begin, at]);
                        open = None;
                    }
                    None if outside(before) && inside(after) => open = Some(at),
                    _ => {}
                }
            }
            before = Some(c);
        }
    }
    places.sort_unstable();
    places
}

/// A keyed hash, never 0.
pub fn hash(keys: &RandomState, parts: &[&[u8]]) -> u64 {
    let mut hasher = keys.build_hasher();
    for part in parts {
        hasher.write(part);
        hasher.write_u8(0xFF);
    }
    hasher.finish().max(1)
}

/// How alike two texts are, 0 to 1: pairs of neighbouring characters they share, twice, over all they have.
pub fn likeness(a: &str, b: &str) -> f64 {
    let (a, b) = (folded(a), folded(b));
    let pairs = |text: &str| {
        let mut counted: HashMap<(char, char), u32> = HashMap::new();
        let mut before = ' ';
        for (_, c) in text.char_indices().take_while(|&(at, _)| at < COMPARED_BYTES_MAX) {
            *counted.entry((before, c)).or_default() += 1;
            before = c;
        }
        counted
    };
    let (of_a, of_b) = (pairs(&a), pairs(&b));
    let all: u32 = of_a.values().sum::<u32>() + of_b.values().sum::<u32>();
    let shared: u32 = of_a
        .iter()
        .map(|(pair, count)| of_b.get(pair).map_or(0, |other| *count.min(other)))
        .sum();
    if all == 0 {
        0.0
    } else {
        2.0 * f64::from(shared) / f64::from(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sources_write_differently_is_the_same_text() {
        for (a, b) in [
            ("cafe\u{301}", "café"),
            ("\u{200E}left \u{202A}to\u{202C} right", "left to right"),
            ("10:30\u{202F}AM", "10:30 AM"),
            ("a\r\nb", "a\nb"),
            ("  a   b \n", "a b"),
            ("*bold* and _it_ and ~gone~", "bold and it and gone"),
            ("```code```", "code"),
            ("hi @\u{2068}Bob Stone\u{2069}!", "hi @447700900123!"),
            ("❤\u{FE0F}", "❤"),
        ] {
            assert_eq!(folded(a), folded(b), "{a:?} {b:?}");
        }
    }

    #[test]
    fn what_means_something_else_is_another_text() {
        for (a, b) in [
            ("3*4", "34"),
            ("~5", "5"),
            ("a_b", "ab"),
            ("* one", "one"),
            ("write to a@b.example", "write to @"),
            ("room @12", "room @13"),
            ("x@123456789", "x@987654321"),
            ("Yes", "yes"),
            ("a\nb", "a b"),
            ("👨\u{200D}👩", "👨👩"),
        ] {
            assert_ne!(folded(a), folded(b), "{a:?} {b:?}");
        }
    }

    #[test]
    fn what_is_taken_as_it_stands_is_what_the_long_way_makes_of_it() {
        let long_way = |text: &str| {
            let composed = ComposingNormalizerBorrowed::new_nfc()
                .normalize(text)
                .into_owned();
            let mut out = String::new();
            fold_line(&mut out, &composed);
            out
        };
        for c in (0..=0x1FFFF)
            .filter_map(char::from_u32)
            .filter(|c| !"\n\r".contains(*c))
        {
            for text in [format!("a{c}b"), format!("{c}{c}"), format!("e{c}한")] {
                if is_folded(&text) {
                    assert_eq!(folded(&text), long_way(&text), "{text:?}");
                }
            }
        }
    }

    #[test]
    fn texts_of_marks_alone_take_time_that_grows_with_their_length() {
        for mark in ["*", "_a ", "@", "~", "*a ", "@\u{2068}"] {
            let text = mark.repeat(200_000);
            assert!(folded(&text).len() <= text.len());
        }
    }

    #[test]
    fn alike_is_one_for_the_same_and_nought_for_nothing_shared() {
        assert!((likeness("we pay 10,000", "we pay 10,000") - 1.0).abs() < 1e-9);
        assert!(likeness("we pay 10,000 tomorrow", "we pay 100,000 tomorrow") > 0.8);
        assert!(likeness("yes", "no") < 0.1);
        assert!(likeness("", "") < 0.1);
    }
}
