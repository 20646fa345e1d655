//! Wall times as the phone wrote them, and instants where somebody stated the phone's zone.

use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use model::Timestamp;

use super::dates::{Day, Decided, Reading};
use super::header::{Clock, RawDate};
use crate::DateOrder;

/// Writes wall times, keeping the date's text while the date stays.
pub struct Wall {
    raw: Option<RawDate>,
    order: Option<DateOrder>,
    clock: Option<Clock>,
    reading: Option<Reading>,
    text: String,
    other: String,
}

impl Wall {
    /// Nothing read yet.
    pub fn new() -> Self {
        Wall {
            raw: None,
            order: None,
            clock: None,
            reading: None,
            text: String::new(),
            other: String::new(),
        }
    }

    /// Takes the next header's date and time.
    #[inline]
    pub fn set(&mut self, decided: &Decided, date: &RawDate, clock: Clock) -> Option<Reading> {
        if self.raw.as_ref() != Some(date) || self.order != Some(decided.order) {
            self.order = Some(decided.order);
            self.raw = Some(*date);
            self.clock = None;
            self.reading = decided.read(date);
            if let Some(reading) = self.reading {
                self.text = day_text(reading.day);
                self.other = day_text(reading.other.unwrap_or(reading.day));
            }
        }
        if self.clock != Some(clock) {
            self.clock = Some(clock);
            push_clock(&mut self.text, clock);
            if self.reading.is_some_and(|r| r.other.is_some()) {
                push_clock(&mut self.other, clock);
            }
        }
        self.reading
    }

    /// The likelier wall time, `YYYY-MM-DDTHH:MM:SS`.
    #[inline]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The other wall time of an ambiguous date.
    pub fn other(&self) -> &str {
        &self.other
    }
}

fn day_text(day: Day) -> String {
    format!("{:04}-{:02}-{:02}T", day.year, day.month, day.day)
}

/// Puts the time behind `YYYY-MM-DDT`.
#[inline]
fn push_clock(text: &mut String, clock: Clock) {
    const BEFORE_THE_TIME: usize = 11;
    text.truncate(BEFORE_THE_TIME);
    for (value, colon) in [(clock.hour, false), (clock.minute, true), (clock.second, true)] {
        if colon {
            text.push(':');
        }
        text.push(char::from(b'0' + value / 10 % 10));
        text.push(char::from(b'0' + value % 10));
    }
}

/// What a zone makes of a wall time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shift {
    /// One instant.
    None,
    /// The clock showed this time twice; which one was taken follows from the messages before.
    Repeated,
    /// The clock never showed this time; the instant is as if the clock had not been put forward.
    Skipped,
}

/// Turns wall times into instants.
pub struct Zone {
    zone: TimeZone,
    /// Hour looked up last, and the second since 1970 at which it begins.
    hour: Option<((Day, u8), i64)>,
    before: Option<i64>,
}

impl Zone {
    /// Of this zone.
    pub fn new(zone: TimeZone) -> Self {
        Zone {
            zone,
            hour: None,
            before: None,
        }
    }

    /// The instant of a wall time. Times around a clock change are read in the light of the message before.
    #[inline]
    pub fn instant(&mut self, day: Day, clock: Clock) -> Option<(Timestamp, Shift)> {
        let within = i64::from(clock.minute) * 60 + i64::from(clock.second);
        let (seconds, shift) = match self.hour {
            Some((key, begins)) if key == (day, clock.hour) => (begins + within, Shift::None),
            _ => self.look_up(day, clock, within)?,
        };
        self.before = Some(seconds);
        Some((Timestamp::from_seconds(seconds), shift))
    }

    fn look_up(&mut self, day: Day, clock: Clock, within: i64) -> Option<(i64, Shift)> {
        let at = |minute: u8, second: u8| {
            let (year, month) = (i16::try_from(day.year).ok()?, i8::try_from(day.month).ok()?);
            let (day, hour) = (i8::try_from(day.day).ok()?, i8::try_from(clock.hour).ok()?);
            DateTime::new(
                year,
                month,
                day,
                hour,
                i8::try_from(minute).ok()?,
                i8::try_from(second).ok()?,
                0,
            )
            .ok()
        };
        let offset_at = |time: DateTime| self.zone.to_ambiguous_timestamp(time).offset();
        let (first, last) = (at(0, 0)?, at(59, 59)?);
        if let (AmbiguousOffset::Unambiguous { offset: a }, AmbiguousOffset::Unambiguous { offset: b }) =
            (offset_at(first), offset_at(last))
            && a == b
        {
            let begins = a.to_timestamp(first).ok()?.as_second();
            self.hour = Some(((day, clock.hour), begins));
            return Some((begins + within, Shift::None));
        }
        let time = at(clock.minute, clock.second)?;
        match offset_at(time) {
            AmbiguousOffset::Unambiguous { offset } => {
                Some((offset.to_timestamp(time).ok()?.as_second(), Shift::None))
            }
            AmbiguousOffset::Gap { before, .. } => {
                Some((before.to_timestamp(time).ok()?.as_second(), Shift::Skipped))
            }
            AmbiguousOffset::Fold { before, after } => {
                let earlier = before.to_timestamp(time).ok()?.as_second();
                let later = after.to_timestamp(time).ok()?.as_second();
                let passed = self.before.is_some_and(|previous| previous > earlier);
                Some((if passed { later } else { earlier }, Shift::Repeated))
            }
        }
    }
}
