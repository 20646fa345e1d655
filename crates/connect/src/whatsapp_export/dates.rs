//! Which number of a date is the day: decided once for the whole file, with the evidence named.
//!
//! Order of the rules: a value that only one order can hold; an order in which the file would run backwards; the
//! number that changes more often is the day; what the exporter stated; else both readings are given.

use jiff::ToSpan;
use jiff::civil::Date;

use super::header::{Head, RawDate, Shape};
use crate::{DateDecision, DateOrder};

/// A day of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day {
    /// Common era.
    pub year: u16,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
}

impl Day {
    /// A number that grows with the day; months count 31 days, which is near enough to see a step back.
    fn ordinal(self) -> i32 {
        (i32::from(self.year) * 12 + i32::from(self.month)) * 31 + i32::from(self.day)
    }
}

/// How the numbers of one date read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// The likelier day.
    pub day: Day,
    /// The other day, where the file leaves both open and they differ.
    pub other: Option<Day>,
    /// The date is impossible in the order of the file and was read in another.
    pub contradicts: bool,
}

/// Orders in the sequence they are considered. The last two are so rare that only need makes us take them.
const ORDERS: [DateOrder; 5] = [
    DateOrder::Dmy,
    DateOrder::Mdy,
    DateOrder::Ymd,
    DateOrder::Ydm,
    DateOrder::Myd,
];

/// A file may step back by this many days without it being evidence: people fly, and correct clocks.
const STEP_BACK_DAYS: i32 = 2;

/// What the file shows about one order.
#[derive(Debug, Clone, Copy, Default)]
struct Facts {
    valid: u64,
    invalid: u64,
    first_invalid: Option<u64>,
    backwards: u64,
    first_backwards: Option<u64>,
    last: Option<i32>,
}

/// Collects what the dates of a file show.
#[derive(Debug, Default)]
pub struct Evidence {
    facts: [Facts; 5],
    last: Option<RawDate>,
    seen: u64,
    changes: [u64; 3],
    short_year: bool,
    padded: bool,
    unpadded: bool,
    day_part: bool,
    slash: bool,
    dotted: bool,
    /// Some date is another day in the other order.
    differs: bool,
    year_first_language: bool,
    /// Years of two digits are Buddhist where they can be: somebody writes Thai.
    pub buddhist: bool,
}

impl Evidence {
    /// Takes the date of a header line. Repeats of the date before cost nothing.
    #[inline]
    pub fn observe(&mut self, head: &Head, line: u64) {
        self.year_first_language |= head.year_first_language;
        self.day_part |= head.day_part;
        if self.last != Some(head.date) {
            self.observe_new(&head.date, &head.shape, line);
        }
    }

    fn observe_new(&mut self, date: &RawDate, shape: &Shape, line: u64) {
        self.slash = shape.date_separator == b'/';
        self.dotted = shape.date_separator == b'.';
        let [first, second, _] = date.values;
        self.differs |= first != second;
        self.short_year |= !date.digits.contains(&4);
        for (&value, &digits) in date.values.iter().zip(&date.digits) {
            self.padded |= digits == 2 && value < 10;
            self.unpadded |= digits == 1;
        }
        if let Some(last) = self.last {
            let pairs = last.values.iter().zip(&date.values);
            for (count, (before, now)) in self.changes.iter_mut().zip(pairs) {
                *count += u64::from(before != now);
            }
        }
        self.last = Some(*date);
        self.seen += 1;
        for (order, facts) in ORDERS.into_iter().zip(self.facts.iter_mut()) {
            let Some(day) = read_as(order, date, self.buddhist) else {
                facts.invalid += 1;
                facts.first_invalid = facts.first_invalid.or(Some(line));
                continue;
            };
            facts.valid += 1;
            let ordinal = day.ordinal();
            // The second date may lie before the first: the encryption notice is sometimes dated later.
            if self.seen > 2 && facts.last.is_some_and(|last| ordinal + STEP_BACK_DAYS < last) {
                facts.backwards += 1;
                facts.first_backwards = facts.first_backwards.or(Some(line));
            }
            facts.last = Some(ordinal);
        }
    }

    fn of(&self, order: DateOrder) -> Facts {
        ORDERS
            .into_iter()
            .zip(self.facts)
            .find(|&(o, _)| o == order)
            .map_or_else(Facts::default, |(_, f)| f)
    }

    /// The decision for the file.
    pub fn decide(&self, stated: Option<DateOrder>) -> Decided {
        Decided {
            buddhist: self.buddhist,
            ..self.decide_order(stated)
        }
    }

    /// Both readings stay open, and they are not the same day throughout.
    pub fn matters(&self) -> bool {
        self.differs
    }

    fn decide_order(&self, stated: Option<DateOrder>) -> Decided {
        let possible: Vec<DateOrder> = ORDERS.into_iter().filter(|&o| self.of(o).invalid == 0).collect();
        let usual: Vec<DateOrder> = possible.iter().copied().filter(|&o| is_usual(o)).collect();
        if usual.is_empty() {
            return match possible.first() {
                Some(&order) => Decided::by(order, "value-above-12", self.eliminated(order)),
                None => Decided::by(self.most_valid(), "contradictory", None),
            };
        }
        let left = self.without_unlikely_years(&usual, stated);
        match *left.as_slice() {
            [DateOrder::Ymd] if !self.short_year => Decided::by(DateOrder::Ymd, "year-first", None),
            [DateOrder::Ymd] if usual.len() > 1 && self.year_first_language => {
                Decided::by(DateOrder::Ymd, "year-first-language", None)
            }
            [DateOrder::Ymd] if usual.len() > 1 => Decided::by(DateOrder::Ymd, "stated", None),
            [order] => Decided::by(order, "value-above-12", self.eliminated(order)),
            _ => self.day_or_month_first(stated),
        }
    }

    /// A year of two digits stands first only in Chinese, Japanese and Korean exports, or where somebody says so,
    /// or where no other order is possible.
    fn without_unlikely_years(&self, usual: &[DateOrder], stated: Option<DateOrder>) -> Vec<DateOrder> {
        let year_first = usual.contains(&DateOrder::Ymd);
        if !year_first || usual.len() == 1 {
            return usual.to_vec();
        }
        if self.year_first_language || stated == Some(DateOrder::Ymd) {
            return vec![DateOrder::Ymd];
        }
        usual
            .iter()
            .copied()
            .filter(|&order| order != DateOrder::Ymd)
            .collect()
    }

    fn day_or_month_first(&self, stated: Option<DateOrder>) -> Decided {
        let (dmy, mdy) = (self.of(DateOrder::Dmy), self.of(DateOrder::Mdy));
        if dmy.backwards == 0 && mdy.backwards > 0 {
            return Decided::by(DateOrder::Dmy, "never-backwards", mdy.first_backwards);
        }
        if mdy.backwards == 0 && dmy.backwards > 0 {
            return Decided::by(DateOrder::Mdy, "never-backwards", dmy.first_backwards);
        }
        let [first, second, _] = self.changes;
        if first != second {
            let order = if first > second {
                DateOrder::Dmy
            } else {
                DateOrder::Mdy
            };
            return Decided::by(order, "changes-more-often", None);
        }
        match stated {
            Some(order @ (DateOrder::Dmy | DateOrder::Mdy)) => Decided::by(order, "stated", None),
            // No locale of Unicode's data (CLDR) puts the month first and dots between the numbers.
            _ if self.dotted => Decided::by(DateOrder::Dmy, "dots", None),
            _ => self.both_open(),
        }
    }

    /// Nothing decides. American phones write `1/5/24` without zeros and with AM/PM; others lead with the day.
    fn both_open(&self) -> Decided {
        let american = self.slash && !self.padded && (self.day_part || (self.unpadded && self.short_year));
        let (order, other) = if american {
            (DateOrder::Mdy, DateOrder::Dmy)
        } else {
            (DateOrder::Dmy, DateOrder::Mdy)
        };
        Decided {
            order,
            other: Some(other),
            evidence: "ambiguous",
            line: None,
            buddhist: self.buddhist,
        }
    }

    /// The line that made the strongest rival of this order impossible.
    fn eliminated(&self, order: DateOrder) -> Option<u64> {
        let rival = match order {
            DateOrder::Dmy => DateOrder::Mdy,
            DateOrder::Mdy => DateOrder::Dmy,
            DateOrder::Ydm | DateOrder::Myd => DateOrder::Ymd,
            DateOrder::Ymd => return None,
        };
        self.of(rival).first_invalid
    }

    fn most_valid(&self) -> DateOrder {
        let mut best = (DateOrder::Dmy, 0);
        for (order, facts) in ORDERS.into_iter().zip(self.facts) {
            if facts.valid > best.1 {
                best = (order, facts.valid);
            }
        }
        best.0
    }
}

fn is_usual(order: DateOrder) -> bool {
    matches!(order, DateOrder::Dmy | DateOrder::Mdy | DateOrder::Ymd)
}

/// The order of the file's dates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    /// The order, or the likelier one.
    pub order: DateOrder,
    /// The other one, where both stay open.
    pub other: Option<DateOrder>,
    /// Which rule decided.
    pub evidence: &'static str,
    /// Line whose date decided.
    pub line: Option<u64>,
    /// Years of two digits are Buddhist where they can be.
    pub buddhist: bool,
}

impl Decided {
    fn by(order: DateOrder, evidence: &'static str, line: Option<u64>) -> Self {
        Decided {
            order,
            other: None,
            evidence,
            line,
            buddhist: false,
        }
    }

    /// For the report.
    pub fn reported(&self) -> DateDecision {
        let order = if self.other.is_some() {
            None
        } else {
            Some(self.order)
        };
        DateDecision {
            order,
            evidence: self.evidence.to_owned(),
            line: self.line,
        }
    }

    /// What day the numbers mean.
    pub fn read(&self, date: &RawDate) -> Option<Reading> {
        let read_as = |order| read_as(order, date, self.buddhist);
        let other = self.other.and_then(read_as);
        match read_as(self.order) {
            Some(day) => Some(Reading {
                day,
                other: other.filter(|&o| o != day),
                contradicts: false,
            }),
            None => ORDERS.into_iter().find_map(|order| {
                read_as(order).map(|day| Reading {
                    day,
                    other: None,
                    contradicts: true,
                })
            }),
        }
    }
}

/// Whether some order makes a day of the numbers; which one is right is decided later.
pub fn is_possible(date: &RawDate) -> bool {
    exists(date, false) || (may_be_buddhist(date) && exists(date, true))
}

/// Whether some order makes a day of the numbers, years of two digits being Buddhist where they can be or not.
pub fn exists(date: &RawDate, buddhist: bool) -> bool {
    ORDERS
        .into_iter()
        .any(|order| read_as(order, date, buddhist).is_some())
}

/// Whether the year may be a Buddhist one of two digits: 52 is 2552, which is 2009.
pub fn may_be_buddhist(date: &RawDate) -> bool {
    !date.digits.contains(&4) && date.values.iter().any(|value| (52..100).contains(value))
}

/// The day, if the numbers make one in this order.
fn read_as(order: DateOrder, date: &RawDate, buddhist: bool) -> Option<Day> {
    let [a, b, c] = date.values;
    let [da, db, dc] = date.digits;
    let ((year, digits), month, day) = match order {
        DateOrder::Dmy => ((c, dc), b, a),
        DateOrder::Mdy => ((c, dc), a, b),
        DateOrder::Ymd => ((a, da), b, c),
        DateOrder::Ydm => ((a, da), c, b),
        DateOrder::Myd => ((b, db), a, c),
    };
    let (month, day) = (u8::try_from(month).ok()?, u8::try_from(day).ok()?);
    let year = match (digits, year) {
        (2, 52..=99) if buddhist => 2500 - 543 + year,
        // WhatsApp began in 2009: two digits mean 2009 to 2068.
        (2, 9..=68) => 2000 + year,
        (4, PERSIAN_FROM..=PERSIAN_TO) => return persian(year, month, day),
        (4, 1970..=2199) => year,
        _ => return None,
    };
    ((1..=12).contains(&month) && day >= 1 && day <= days_in(year, month)).then_some(Day { year, month, day })
}

/// Years of the Persian calendar that WhatsApp can have written: 2008 to 2050.
const PERSIAN_FROM: u16 = 1387;
const PERSIAN_TO: u16 = 1429;

/// A day of the Persian (solar Hijri) calendar, in which phones set to Persian write dates. Six months of 31 days, five
/// of 30, and a last of 29 or 30; leap years by the cycle of 33 years, which is exact for these years.
fn persian(year: u16, month: u8, day: u8) -> Option<Day> {
    let leap = |year: u16| (25 * u32::from(year) + 11) % 33 < 8;
    let length = match month {
        1..=6 => 31,
        7..=11 => 30,
        12 => 29 + u8::from(leap(year)),
        _ => return None,
    };
    if day == 0 || day > length {
        return None;
    }
    let years: i32 = (PERSIAN_FROM..year).map(|year| 365 + i32::from(leap(year))).sum();
    let months = i32::from(month - 1) * 30 + i32::from(month - 1).min(6);
    // The first day of 1387 was 20 March 2008.
    let date = Date::new(2008, 3, 20)
        .ok()?
        .checked_add((years + months + i32::from(day) - 1).days())
        .ok()?;
    Some(Day {
        year: u16::try_from(date.year()).ok()?,
        month: u8::try_from(date.month()).ok()?,
        day: u8::try_from(date.day()).ok()?,
    })
}

fn days_in(year: u16, month: u8) -> u8 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}
