//! The line grammar: what stands in front of a message, in every layout phones have been seen to write.
//!
//! A hand-written scanner that looks at each byte a bounded number of times. It decides no date order: it hands
//! over the three numbers as they stand; [`super::dates`] reads them once the whole file has been seen.

use super::cursor::Cursor;
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
    /// A word stands behind the time (`Uhr`).
    pub suffix: bool,
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
    /// A word stands in it that no list has: a header only where the file's other headers have one too.
    pub foreign: bool,
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
    foreign: bool,
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
            let mut cursor = Cursor::at(rest, self.prefix.len());
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
        let mut cursor = Cursor::at(line, 0);
        let mut shape = Shape {
            bracket: cursor.bracket(),
            ..Shape::default()
        };
        let date = cursor.date(&mut shape)?;
        shape.joiner = cursor.joiner()?;
        let at = cursor.before;
        let opening = Opening {
            date,
            shape,
            foreign: cursor.foreign,
        };
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
        foreign: opening.foreign,
        body: before + len,
    })
}

fn finish(cursor: &mut Cursor<'_>, opening: Opening) -> Option<Head> {
    let Opening {
        date,
        mut shape,
        foreign,
    } = opening;
    let time = cursor.time(&mut shape)?;
    shape.end = cursor.end(shape.bracket)?;
    shape.suffix = cursor.suffix;
    Some(Head {
        date,
        clock: time.clock,
        shape,
        plausible: time.plausible,
        day_part: time.day_part,
        year_first_language: time.cjk,
        foreign: foreign || cursor.foreign,
        body: cursor.before,
    })
}

/// `[14:56:01, 3/18/22] …`, as Vietnamese phones write it.
fn time_first(line: &[u8]) -> Option<Head> {
    let mut cursor = Cursor::at(line, 0);
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
        foreign: cursor.foreign,
        body: cursor.before,
    })
}
