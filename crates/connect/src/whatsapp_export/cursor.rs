//! The parts of a header line, read from left to right: date, what joins it to the time, time, end.

use super::clock::{self, DayPart};
use super::header::{Clock, RawDate, Shape};

/// A time as scanned.
pub struct Time {
    /// Hour, minute, second.
    pub clock: Clock,
    /// Written with a Chinese, Japanese or Korean day part.
    pub cjk: bool,
    /// The clock can show it.
    pub plausible: bool,
    /// Written with a day part.
    pub day_part: bool,
}

/// A place in a line.
pub struct Cursor<'a> {
    /// What follows.
    pub rest: &'a [u8],
    /// How many bytes stand before it.
    pub before: usize,
    /// A word stood there that no list has.
    pub foreign: bool,
    /// A word stood behind the time that says neither morning nor afternoon.
    pub suffix: bool,
}

impl<'a> Cursor<'a> {
    /// At the front of these bytes, `before` of which have been passed.
    pub fn at(rest: &'a [u8], before: usize) -> Self {
        Cursor {
            rest,
            before,
            foreign: false,
            suffix: false,
        }
    }

    #[inline]
    fn advance(&mut self, by: usize) {
        self.rest = self.rest.get(by..).unwrap_or_default();
        self.before += by;
    }

    #[inline]
    fn take(&mut self, byte: u8) -> bool {
        let hit = self.rest.first() == Some(&byte);
        if hit {
            self.advance(1);
        }
        hit
    }

    fn take_text(&mut self, text: &str) -> bool {
        let hit = self.rest.starts_with(text.as_bytes());
        if hit {
            self.advance(text.len());
        }
        hit
    }

    #[inline]
    fn marks(&mut self) {
        while self.rest.first().is_some_and(|&b| b >= 0x80) {
            let len = mark_len(self.rest);
            if len == 0 {
                return;
            }
            self.advance(len);
        }
    }

    /// Skips blanks of every width, and marks; says whether there was a blank.
    #[inline]
    fn blanks(&mut self) -> bool {
        let mut any = false;
        loop {
            let blank = blank_len(self.rest);
            let len = if blank == 0 { mark_len(self.rest) } else { blank };
            if len == 0 {
                return any;
            }
            any |= blank > 0;
            self.advance(len);
        }
    }

    /// Marks, and a bracket where there is one.
    pub fn bracket(&mut self) -> bool {
        self.marks();
        let bracket = self.take(b'[');
        self.marks();
        bracket
    }

    /// A number of 1 to 4 digits of one script, with its length.
    #[inline]
    fn number(&mut self) -> Option<(u16, u8)> {
        let (mut value, mut digits) = (0_u16, 0_u8);
        while let Some((digit, len)) = digit(self.rest) {
            if digits == 4 {
                return None;
            }
            value = value * 10 + digit;
            digits += 1;
            self.advance(len);
        }
        (digits > 0).then_some((value, digits))
    }

    /// Three numbers with separators, an optional trailing dot, an optional era.
    pub fn date(&mut self, shape: &mut Shape) -> Option<RawDate> {
        let mut date = RawDate::default();
        for (place, (value, digits)) in date.values.iter_mut().zip(date.digits.iter_mut()).enumerate() {
            let era = self.japanese_era();
            let (number, length) = self.number()?;
            (*value, *digits) = match era {
                Some(base) => (base + number, 4),
                None => (number, length),
            };
            self.marks();
            if place < 2 {
                let separator = self.date_separator()?;
                if place == 0 {
                    shape.date_separator = separator;
                }
            }
        }
        if !self.take(b'.') && !self.take_text("日") {
            self.take_text("일");
        }
        self.era_suffix(&mut date);
        shape.long_year = date
            .digits
            .iter()
            .zip(1..)
            .find(|&(&d, _)| d == 4)
            .map_or(0, |(_, place)| place);
        Some(date)
    }

    fn date_separator(&mut self) -> Option<u8> {
        let blank = self.blanks();
        let found = match *self.rest.first()? {
            byte @ (b'/' | b'.' | b'-') => {
                self.advance(1);
                byte
            }
            _ if ["年", "月", "년", "월"]
                .into_iter()
                .any(|word| self.take_text(word)) =>
            {
                b'n'
            }
            _ => return None,
        };
        // `31 .1` is not a date as anybody writes it; `31. 1.` and `31 / 1` are.
        if blank && found == b'.' {
            return None;
        }
        self.blanks();
        Some(found)
    }

    /// `R4` or `令和4`: the year before the era's first.
    fn japanese_era(&mut self) -> Option<u16> {
        const ERAS: [(&str, u16); 4] = [("R", 2018), ("令和", 2018), ("H", 1988), ("平成", 1988)];
        let rest = self.rest;
        ERAS.into_iter().find_map(|(name, base)| {
            let after = rest.strip_prefix(name.as_bytes())?;
            digit(after)?;
            self.advance(name.len());
            Some(base)
        })
    }

    /// ` BE`, ` พ.ศ.`, ` AD`, Bulgarian ` г.`. A Buddhist year is known by its size too, so the word only needs to be
    /// skipped.
    fn era_suffix(&mut self, date: &mut RawDate) {
        let (rest, before) = (self.rest, self.before);
        self.blanks();
        let known = ["BE", "B.E.", "พ.ศ.", "AD", "A.D.", "CE", "г.", "р."]
            .into_iter()
            .any(|word| self.take_text(word));
        if !known || self.rest.first().is_some_and(u8::is_ascii_alphanumeric) {
            (self.rest, self.before) = (rest, before);
        }
        for (value, digits) in date.values.iter_mut().zip(date.digits) {
            if digits == 4 && (2500..2700).contains(value) {
                *value -= 543;
            }
        }
    }

    /// What stands between date and time; `None` where nothing does.
    #[inline]
    pub fn joiner(&mut self) -> Option<u8> {
        let blank = self.blanks();
        let comma = if self.take(b',') || self.take_text("，") || self.take_text("、") {
            b','
        } else if self.take_text("،") {
            b'a'
        } else {
            0
        };
        let blank = self.blanks() || blank;
        if self.rest.first().is_none_or(u8::is_ascii_digit) {
            return match (comma, blank) {
                (0, true) => Some(b' '),
                (0, false) => None,
                (comma, _) => Some(comma),
            };
        }
        if let Some(len) = clock::joining_word(self.rest) {
            self.advance(len);
            self.blanks();
            return Some(b'w');
        }
        if let Some(len) = self.unknown_joiner().filter(|_| blank) {
            self.advance(len);
            self.foreign = true;
            return Some(b'w');
        }
        match (comma, blank) {
            (0, true) => Some(b' '),
            (0, false) => None,
            (comma, _) => Some(comma),
        }
    }

    /// A word that no list has, between the date and a time in digits.
    #[cold]
    fn unknown_joiner(&self) -> Option<usize> {
        if digit(self.rest).is_some() || clock::day_part(self.rest).is_some() {
            return None;
        }
        let len = clock::unknown_words(self.rest)?;
        let mut ahead = Cursor::at(self.rest.get(len..)?, 0);
        (ahead.blanks() && digit(ahead.rest).is_some()).then_some(len + ahead.before)
    }

    /// The time with its day part before or after.
    #[inline]
    pub fn time(&mut self, shape: &mut Shape) -> Option<Time> {
        let mut part = DayPart::None;
        let mut cjk = false;
        if !self.rest.first()?.is_ascii_digit()
            && let Some(found) = clock::day_part(self.rest)
        {
            self.advance(found.len);
            self.blanks();
            (part, cjk) = (found.part, found.cjk);
        }
        let (hour, _) = self.number()?;
        shape.time_separator = self.time_separator()?;
        let (minute, 2) = self.number()? else { return None };
        let mut second = 0;
        shape.seconds = false;
        if matches!(self.rest.first(), Some(b':' | b'.')) && digit(self.rest.get(1..)?).is_some() {
            self.advance(1);
            let (value, 2) = self.number()? else { return None };
            (second, shape.seconds) = (value, true);
        } else if matches!(shape.time_separator, b'h' | b'n')
            && let Some(value) = self.seconds_in_words(shape.time_separator)
        {
            (second, shape.seconds) = (value, true);
        }
        if part == DayPart::None
            && let Some((skipped, found)) = self.day_part_after()
        {
            self.advance(skipped + found.len);
            (part, cjk) = (found.part, found.cjk);
        }
        let plausible = hour < 24 && minute < 60 && second < 60;
        let (hour, odd) = part.on_24_hours(u8::try_from(hour).unwrap_or(u8::MAX), cjk);
        let (minute, second) = (u8::try_from(minute).ok()?, u8::try_from(second).ok()?);
        Some(Time {
            clock: Clock {
                hour,
                minute,
                second,
                odd,
            },
            cjk,
            plausible,
            day_part: part != DayPart::None,
        })
    }

    fn time_separator(&mut self) -> Option<u8> {
        match *self.rest.first()? {
            byte @ (b':' | b'.') => {
                self.advance(1);
                Some(byte)
            }
            0xEF => self.take_text("：").then_some(b':'),
            _ => self.hour_word(),
        }
    }

    /// `15 h 45` (French in Canada), `15時45分`.
    #[cold]
    fn hour_word(&mut self) -> Option<u8> {
        self.blanks();
        let found = if self.take(b'h') {
            b'h'
        } else {
            ["時", "时", "点", "點", "시"]
                .into_iter()
                .any(|word| self.take_text(word))
                .then_some(b'n')?
        };
        self.blanks();
        digit(self.rest).map(|_| found)
    }

    /// What follows the minutes where words stand between the numbers: ` min 10 s`, `分10秒`, or `分` alone.
    #[cold]
    fn seconds_in_words(&mut self, separator: u8) -> Option<u16> {
        let word = |cursor: &mut Self, latin: &str, others: [&str; 2]| {
            if separator == b'h' {
                cursor.blanks();
                return cursor.take_text(latin);
            }
            others.into_iter().any(|word| cursor.take_text(word))
        };
        let before = Cursor::at(self.rest, self.before);
        if !word(self, "min", ["分", "분"]) {
            (self.rest, self.before) = (before.rest, before.before);
            return None;
        }
        let minutes_end = Cursor::at(self.rest, self.before);
        self.blanks();
        let seconds = match self.number() {
            Some((value, 1 | 2)) if word(self, "s", ["秒", "초"]) => Some(value),
            _ => None,
        };
        if seconds.is_none() {
            (self.rest, self.before) = (minutes_end.rest, minutes_end.before);
        }
        seconds
    }

    /// A day part after the time, behind blanks or `_`; how far it is, and what it is.
    #[inline]
    fn day_part_after(&self) -> Option<(usize, clock::Found)> {
        let mut ahead = Cursor::at(self.rest, 0);
        if matches!(ahead.rest, [b']', ..] | [b' ', b'-', ..]) {
            return None;
        }
        ahead.blanks();
        ahead.take(b'_');
        clock::day_part(ahead.rest).map(|found| (ahead.before, found))
    }

    /// The end of the header, behind a word that says neither morning nor afternoon (`Uhr`, `น.`), or one that no
    /// list has.
    #[cold]
    fn close_behind_words(&mut self, bracket: bool) -> Option<u8> {
        self.blanks();
        let (len, known) = match clock::clock_suffix(self.rest) {
            Some(len) => (len, true),
            None => (clock::unknown_words(self.rest)?, false),
        };
        self.advance(len);
        (self.foreign, self.suffix) = (self.foreign || !known, known);
        // The old layout of iPhones ends with a colon: behind a word that would be a name.
        self.close(bracket).filter(|&end| end != b':')
    }

    /// The end of the header, also behind a word after the time.
    #[inline]
    pub fn end(&mut self, bracket: bool) -> Option<u8> {
        let start = Cursor::at(self.rest, self.before);
        self.close(bracket).or_else(|| {
            (self.rest, self.before) = (start.rest, start.before);
            self.close_behind_words(bracket)
        })
    }

    /// The end of the header: `]`, ` - `, or `: ` as iPhones wrote it before 2017.
    #[inline]
    pub fn close(&mut self, bracket: bool) -> Option<u8> {
        if bracket {
            self.blanks();
            if !self.take(b']') {
                return None;
            }
            self.take(b' ');
            return Some(0);
        }
        if self.rest.starts_with(b" - ") {
            self.advance(3);
            return Some(b'-');
        }
        if self.take_text(": ") {
            return Some(b':');
        }
        let blank = self.blanks();
        let dash = self.take(b'-') || self.take_text("–") || self.take_text("—");
        if !blank || !dash {
            return None;
        }
        let ends = self.rest.first().is_none_or(|b| matches!(b, b'\r' | b'\n'));
        (self.take(b' ') || ends || blank_len(self.rest) > 0).then_some(b'-')
    }
}

/// Value and length of the decimal digit at the front, in the scripts WhatsApp writes dates in.
#[inline]
fn digit(bytes: &[u8]) -> Option<(u16, usize)> {
    match *bytes {
        [b @ b'0'..=b'9', ..] => Some((u16::from(b - b'0'), 1)),
        // Arabic-Indic U+0660, Persian U+06F0.
        [0xD9, b @ 0xA0..=0xA9, ..] => Some((u16::from(b - 0xA0), 2)),
        [0xDB, b @ 0xB0..=0xB9, ..] => Some((u16::from(b - 0xB0), 2)),
        // Devanagari U+0966, Bengali U+09E6, Gurmukhi, Gujarati, Oriya, Tamil, Telugu, Kannada, Malayalam U+0D66.
        [
            0xE0,
            0xA5 | 0xA7 | 0xA9 | 0xAB | 0xAD | 0xAF | 0xB1 | 0xB3 | 0xB5,
            b @ 0xA6..=0xAF,
            ..,
        ] => Some((u16::from(b - 0xA6), 3)),
        // Thai U+0E50, Lao U+0ED0, Myanmar U+1040, Khmer U+17E0, full width U+FF10.
        [0xE0, 0xB9 | 0xBB, b @ 0x90..=0x99, ..] => Some((u16::from(b - 0x90), 3)),
        [0xE1, 0x81, b @ 0x80..=0x89, ..] => Some((u16::from(b - 0x80), 3)),
        [0xE1, 0x9F, b @ 0xA0..=0xA9, ..] => Some((u16::from(b - 0xA0), 3)),
        [0xEF, 0xBC, b @ 0x90..=0x99, ..] => Some((u16::from(b - 0x90), 3)),
        _ => None,
    }
}

/// Length of the invisible mark at the front: U+FEFF, U+200E, U+200F, U+061C, U+202A–U+202E, U+2066–U+2069.
#[inline]
pub fn mark_len(bytes: &[u8]) -> usize {
    match *bytes {
        [0xE2, 0x80, 0x8E | 0x8F | 0xAA..=0xAE, ..]
        | [0xE2, 0x81, 0xA6..=0xA9, ..]
        | [0xEF, 0xBB, 0xBF, ..] => 3,
        [0xD8, 0x9C, ..] => 2,
        _ => 0,
    }
}

/// Length of the blank at the front: space, tab, U+00A0, U+2000–U+200A, U+202F, U+3000.
#[inline]
pub fn blank_len(bytes: &[u8]) -> usize {
    match *bytes {
        [b' ' | b'\t', ..] => 1,
        [0xC2, 0xA0, ..] => 2,
        [0xE2, 0x80, 0x80..=0x8A | 0xAF, ..] | [0xE3, 0x80, 0x80, ..] => 3,
        _ => 0,
    }
}
