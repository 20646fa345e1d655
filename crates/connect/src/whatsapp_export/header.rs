//! The line grammar: what stands in front of a message, in every layout phones have been seen to write.
//!
//! A hand-written scanner that looks at each byte a bounded number of times. It decides no date order: it hands
//! over the three numbers as they stand; [`super::dates`] reads them once the whole file has been seen.

use super::clock::{self, DayPart};
use super::dates;

/// The date as written: three numbers in file order, and how many digits each had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct RawDate {
    /// The numbers, Japanese era years already turned into years of the common era.
    pub values: [u16; 3],
    /// Digits of each number; 4 for an era year.
    pub digits: [u8; 3],
}

/// Time of day, already on the 24-hour clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Clock {
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59; 0 where the layout writes none.
    pub second: u8,
    /// Hour and day part do not go together (`00:08 a. m.`, `13:05 PM`); the hour was kept.
    pub odd: bool,
}

/// Everything by which two layouts differ. One export is written with one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Shape {
    /// `[date, time] …` (iOS) instead of `date, time - …` (Android).
    pub bracket: bool,
    /// The time stands before the date.
    pub time_first: bool,
    /// First byte of the separator between the numbers of the date.
    pub date_separator: u8,
    /// What stands between date and time: `,`, blank, `w` for a word, `a` for an Arabic comma.
    pub joiner: u8,
    /// Separator within the time.
    pub time_separator: u8,
    /// The time has seconds.
    pub seconds: bool,
    /// Which number has four digits: 1 to 3, or 0.
    pub long_year: u8,
    /// `-` or `:` after the time; 0 inside brackets.
    pub end: u8,
}

/// A line's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Head {
    /// The date as written.
    pub date: RawDate,
    /// The time.
    pub clock: Clock,
    /// The layout.
    pub shape: Shape,
    /// The numbers make a date in some order, and a time. A line that is a header but for this is reported.
    pub plausible: bool,
    /// The time is written with a day part: a 12-hour clock.
    pub day_part: bool,
    /// The day part shows a language that writes the year first (Chinese, Japanese, Korean).
    pub year_first_language: bool,
    /// Where the name or the system line begins.
    pub body: usize,
}

/// Longest header looked at. Real ones stay below 60 bytes; Devanagari digits take three bytes each.
const LONGEST: usize = 160;

/// Reads headers, remembering the last date: most lines have the date of the line before.
#[derive(Default)]
pub struct Scanner {
    prefix: Vec<u8>,
    opening: Option<Opening>,
}

/// A date-first header up to its time.
#[derive(Clone, Copy)]
struct Opening {
    date: RawDate,
    shape: Shape,
}

impl Scanner {
    /// The header of this line, if it has one.
    #[inline]
    pub fn scan(&mut self, line: &[u8]) -> Option<Head> {
        if let Some(opening) = self.opening
            && let Some(rest) = line.strip_prefix(self.prefix.as_slice())
        {
            if let Some(head) = usual_clock(rest, self.prefix.len(), &opening) {
                return Some(head);
            }
            let mut cursor = Cursor {
                rest,
                before: self.prefix.len(),
            };
            return finish(&mut cursor, opening);
        }
        if !may_begin(line) {
            return None;
        }
        let line = line.get(..LONGEST).unwrap_or(line);
        match self.scan_anew(line) {
            Some(head) if head.plausible => Some(head),
            other => time_first(line).filter(|head| head.plausible).or(other),
        }
    }

    fn scan_anew(&mut self, line: &[u8]) -> Option<Head> {
        let mut cursor = Cursor {
            rest: line,
            before: 0,
        };
        let mut shape = Shape {
            bracket: cursor.bracket(),
            ..Shape::default()
        };
        let date = cursor.date(&mut shape)?;
        shape.joiner = cursor.joiner()?;
        let at = cursor.before;
        let opening = Opening { date, shape };
        let head = finish(&mut cursor, opening)?;
        if !dates::is_possible(&date) {
            return Some(Head {
                plausible: false,
                ..head
            });
        }
        self.prefix.clear();
        self.prefix.extend_from_slice(line.get(..at).unwrap_or_default());
        self.opening = Some(opening);
        Some(head)
    }
}

/// Cheap refusal of the lines that are plainly no header.
#[inline]
fn may_begin(line: &[u8]) -> bool {
    line.first()
        .is_some_and(|&b| b.is_ascii_digit() || b == b'[' || b >= 0x80 || matches!(b, b'R' | b'H'))
}

/// The two clocks that most files have, without the general scanner: `10:20 - ` and `10:20:30] `.
#[inline]
fn usual_clock(rest: &[u8], before: usize, opening: &Opening) -> Option<Head> {
    let (hour, minute, second, len, end) = match *rest {
        [a, b, b':', c, d, b' ', b'-', b' ', ..] if !opening.shape.bracket => {
            ([a, b], [c, d], [b'0'; 2], 8, b'-')
        }
        [a, b, b':', c, d, b':', e, f, b']', b' ', ..] if opening.shape.bracket => {
            ([a, b], [c, d], [e, f], 10, 0)
        }
        _ => return None,
    };
    let value = |[tens, ones]: [u8; 2]| {
        let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
        (tens < 10 && ones < 10).then(|| tens * 10 + ones)
    };
    let (hour, minute, second) = (value(hour)?, value(minute)?, value(second)?);
    let shape = Shape {
        time_separator: b':',
        seconds: opening.shape.bracket,
        end,
        ..opening.shape
    };
    Some(Head {
        date: opening.date,
        clock: Clock {
            hour,
            minute,
            second,
            odd: false,
        },
        shape,
        plausible: hour < 24 && minute < 60 && second < 60,
        day_part: false,
        year_first_language: false,
        body: before + len,
    })
}

fn finish(cursor: &mut Cursor<'_>, opening: Opening) -> Option<Head> {
    let Opening { date, mut shape } = opening;
    let time = cursor.time(&mut shape)?;
    shape.end = cursor.close(shape.bracket)?;
    Some(Head {
        date,
        clock: time.clock,
        shape,
        plausible: time.plausible,
        day_part: time.day_part,
        year_first_language: time.cjk,
        body: cursor.before,
    })
}

/// `[14:56:01, 3/18/22] …`, as Vietnamese phones write it.
fn time_first(line: &[u8]) -> Option<Head> {
    let mut cursor = Cursor {
        rest: line,
        before: 0,
    };
    let mut shape = Shape {
        bracket: cursor.bracket(),
        time_first: true,
        ..Shape::default()
    };
    let time = cursor.time(&mut shape)?;
    shape.joiner = cursor.joiner()?;
    let date = cursor.date(&mut shape)?;
    shape.end = cursor.close(shape.bracket)?;
    Some(Head {
        date,
        clock: time.clock,
        shape,
        plausible: time.plausible && dates::is_possible(&date),
        day_part: time.day_part,
        year_first_language: time.cjk,
        body: cursor.before,
    })
}

/// A time as scanned.
struct Time {
    clock: Clock,
    /// Written with a Chinese, Japanese or Korean day part.
    cjk: bool,
    plausible: bool,
    day_part: bool,
}

struct Cursor<'a> {
    rest: &'a [u8],
    before: usize,
}

impl Cursor<'_> {
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

    fn bracket(&mut self) -> bool {
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
    fn date(&mut self, shape: &mut Shape) -> Option<RawDate> {
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

    /// ` BE`, ` พ.ศ.`, ` AD`. A Buddhist year is known by its size too, so the word only needs to be skipped.
    fn era_suffix(&mut self, date: &mut RawDate) {
        let (rest, before) = (self.rest, self.before);
        self.blanks();
        let known = ["BE", "B.E.", "พ.ศ.", "AD", "A.D.", "CE"]
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
    fn joiner(&mut self) -> Option<u8> {
        let blank = self.blanks();
        let comma = if self.take(b',') || self.take_text("，") || self.take_text("、") {
            b','
        } else if self.take_text("،") {
            b'a'
        } else {
            0
        };
        let blank = self.blanks() || blank;
        if let Some(len) = clock::joining_word(self.rest) {
            self.advance(len);
            self.blanks();
            return Some(b'w');
        }
        match (comma, blank) {
            (0, true) => Some(b' '),
            (0, false) => None,
            (comma, _) => Some(comma),
        }
    }

    /// The time with its day part before or after.
    #[inline]
    fn time(&mut self, shape: &mut Shape) -> Option<Time> {
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
        }
        if part == DayPart::None
            && let Some((skipped, found)) = self.day_part_after()
        {
            self.advance(skipped + found.len);
            (part, cjk) = (found.part, found.cjk);
        }
        let plausible = hour < 24 && minute < 60 && second < 60;
        let (hour, odd) = part.on_24_hours(u8::try_from(hour).unwrap_or(u8::MAX));
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
            _ => self.take_text("：").then_some(b':'),
        }
    }

    /// A day part after the time, behind blanks or `_`; how far it is, and what it is.
    #[inline]
    fn day_part_after(&self) -> Option<(usize, clock::Found)> {
        let mut ahead = Cursor {
            rest: self.rest,
            before: 0,
        };
        if matches!(ahead.rest, [b']', ..] | [b' ', b'-', ..]) {
            return None;
        }
        ahead.blanks();
        ahead.take(b'_');
        clock::day_part(ahead.rest).map(|found| (ahead.before, found))
    }

    /// The end of the header: `]`, ` - `, or `: ` as iPhones wrote it before 2017.
    #[inline]
    fn close(&mut self, bracket: bool) -> Option<u8> {
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
        // Devanagari U+0966, Bengali U+09E6, Thai U+0E50, Myanmar U+1040, full width U+FF10.
        [0xE0, 0xA5, b @ 0xA6..=0xAF, ..] => Some((u16::from(b - 0xA6), 3)),
        [0xE0, 0xA7, b @ 0xA6..=0xAF, ..] => Some((u16::from(b - 0xA6), 3)),
        [0xE0, 0xB9, b @ 0x90..=0x99, ..] => Some((u16::from(b - 0x90), 3)),
        [0xE1, 0x81, b @ 0x80..=0x89, ..] => Some((u16::from(b - 0x80), 3)),
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
