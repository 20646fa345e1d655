//! By how much the clocks of the two sides differ, learned from what both have.

use serde::Serialize;

use crate::side::{Item, NEVER};

/// Messages that are looked at before the offset is said to have changed, and how many of them must agree.
const AHEAD: usize = 31;
const AGREE_MIN: usize = 8;

/// So many must agree before a difference of time is anybody's fault.
const SURE_MIN: usize = 3;

/// A network's and a phone's delay. More is a difference.
const DELAY_S: i64 = 60;

/// Half a minute more where one side writes no seconds.
const MINUTES_S: i64 = 90;

/// By these a wall clock is set between summer and winter.
const CLOCK_STEPS_S: [i64; 4] = [3600, -3600, 1800, -1800];

/// Summer time, or a pause of it, lasts as long at least: the pause of Ramadan in Morocco.
const SUMMER_S_MIN: i64 = 28 * 86_400;

/// Two zones change on different days, and stand otherwise to each other for as long at least: a week in autumn between the
/// European Union and the United States.
const BETWEEN_CHANGES_S_MIN: i64 = 6 * 86_400;

/// So many in a row over so long show that it was set.
const STEP_MIN: usize = 3;
const STEP_SPAN_S: i64 = 30 * 86_400;

/// Zones differ by these.
const QUARTER_S: i64 = 900;

/// A run of messages through which the offset is the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stretch {
    /// Seconds to be added to a time of the first side to get that of the second, to the whole minute where one of them
    /// writes no seconds.
    pub offset_s: i64,
    /// First and last time of the stretch by the first side's clock.
    pub from: String,
    /// See `from`.
    pub to: String,
    /// Messages that show it.
    pub shown_by: u64,
    #[serde(skip)]
    pub(crate) begin: usize,
    #[serde(skip)]
    pub(crate) centre: i64,
    #[serde(skip)]
    pub(crate) agreeing: (usize, usize),
}

/// What is known of the two clocks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Clock {
    /// Enough messages agree, or both sides state the instant. Without it no difference of time is claimed.
    pub sure: bool,
    /// The sides' times mean an instant (`utc`), or a wall clock of an unstated zone (`local`), or both occur (`mixed`).
    pub a: &'static str,
    /// See `a`.
    pub b: &'static str,
    /// Times are written without seconds.
    pub minutes_only_a: bool,
    /// See `minutes_only_a`.
    pub minutes_only_b: bool,
    /// Dates could be read in two ways, and the reading that the source's own reader preferred does not fit the other side.
    pub other_reading_a: bool,
    /// See `other_reading_a`.
    pub other_reading_b: bool,
    /// The zone of the side that writes a wall clock, where the other states the instant: `+01:00`, one for each stretch
    /// that differs.
    pub zones: Vec<String>,
    /// The offsets, in order.
    pub stretches: Vec<Stretch>,
    #[serde(skip)]
    pub(crate) tolerance: i64,
    /// Places and times in the first side of what shows an offset.
    #[serde(skip)]
    showing: Vec<(usize, i64)>,
}

/// Two places that say the same: index in either side.
pub(crate) type Anchor = (u32, u32);

/// The times of one side in one reading. A message without a time has that of the one before it.
pub(crate) fn times(items: &[Item], other: bool) -> Vec<i64> {
    let mut last = items
        .iter()
        .map(|item| item.time)
        .find(|&time| time != NEVER)
        .unwrap_or(0);
    let read = |item: &Item| match other {
        true if item.other_time != NEVER => item.other_time,
        _ => item.time,
    };
    items
        .iter()
        .map(|item| {
            let time = read(item);
            if time != NEVER {
                last = time;
            }
            last
        })
        .collect()
}

fn nature(items: &[Item]) -> &'static str {
    let mut timed = items.iter().filter(|item| item.time != NEVER);
    match (timed.clone().any(|item| item.wall), timed.any(|item| !item.wall)) {
        (true, true) => "mixed",
        (true, false) => "local",
        _ => "utc",
    }
}

fn minutes_only(items: &[Item]) -> bool {
    items
        .iter()
        .filter(|item| item.time != NEVER)
        .all(|item| item.time.rem_euclid(60) == 0)
}

fn difference(times: (&[i64], &[i64]), (a, b): Anchor) -> i64 {
    let of = |times: &[i64], index: u32| times.get(index as usize).copied().unwrap_or(0);
    of(times.1, b) - of(times.0, a)
}

/// Which readings of ambiguous dates fit each other best.
fn readings(items: (&[Item], &[Item]), anchors: &[Anchor]) -> (bool, bool) {
    let ambiguous = |items: &[Item]| items.iter().any(|item| item.other_time != NEVER);
    let options = |ambiguous: bool| if ambiguous { &[false, true][..] } else { &[false] };
    let mut best = ((false, false), 0usize);
    for &of_a in options(ambiguous(items.0)) {
        for &of_b in options(ambiguous(items.1)) {
            let (a, b) = (times(items.0, of_a), times(items.1, of_b));
            let mut differences = anchors.iter().map(|&anchor| difference((&a, &b), anchor));
            let mut steady = 0;
            if let Some(mut before) = differences.next() {
                for next in differences {
                    steady += usize::from((next - before).abs() <= MINUTES_S);
                    before = next;
                }
            }
            if steady > best.1 {
                best = ((of_a, of_b), steady);
            }
        }
    }
    best.0
}

impl Clock {
    /// Learns it from anchors in the order of the first side. Also gives both sides' times as they are to be read.
    pub(crate) fn learn(items: (&[Item], &[Item]), anchors: &[Anchor]) -> (Clock, Vec<i64>, Vec<i64>) {
        let (other_a, other_b) = readings(items, anchors);
        let (a, b) = (times(items.0, other_a), times(items.1, other_b));
        let timed =
            |side: &[Item], index: u32| side.get(index as usize).is_some_and(|item| item.time != NEVER);
        let differences: Vec<Seen> = anchors
            .iter()
            .filter(|(of_a, of_b)| timed(items.0, *of_a) && timed(items.1, *of_b))
            .map(|&anchor| Seen {
                index: anchor.0 as usize,
                time: a.get(anchor.0 as usize).copied().unwrap_or(0),
                difference: difference((&a, &b), anchor),
            })
            .collect();
        let mut clock = Clock {
            a: nature(items.0),
            b: nature(items.1),
            minutes_only_a: minutes_only(items.0),
            minutes_only_b: minutes_only(items.1),
            other_reading_a: other_a,
            other_reading_b: other_b,
            ..Clock::default()
        };
        let coarse = clock.minutes_only_a || clock.minutes_only_b;
        clock.tolerance = if coarse { MINUTES_S } else { DELAY_S };
        clock.stretches = stretches(
            &differences,
            clock.tolerance,
            clock.a != "utc" || clock.b != "utc",
        );
        let mut showing = differences.iter().peekable();
        for (at, stretch) in clock.stretches.iter().enumerate() {
            let end = clock.stretches.get(at + 1).map_or(usize::MAX, |next| next.begin);
            while let Some(seen) = showing.next_if(|seen| seen.index < end) {
                if (seen.difference - stretch.centre).abs() <= clock.tolerance {
                    clock.showing.push((seen.index, seen.time));
                }
            }
        }
        let shown: u64 = clock.stretches.iter().map(|stretch| stretch.shown_by).sum();
        let few = items.0.len().min(items.1.len());
        clock.sure = shown as usize >= SURE_MIN || (shown == 2 && few <= 4);
        if !clock.sure && clock.a == "utc" && clock.b == "utc" {
            clock.sure = true;
            clock.stretches = vec![Stretch::at(0, 0)];
        }
        for index in 0..clock.stretches.len() {
            let next = clock.stretches.get(index + 1).map_or(a.len(), |next| next.begin);
            if let Some(stretch) = clock.stretches.get_mut(index) {
                stretch.settle(&differences, (clock.minutes_only_a, clock.minutes_only_b));
                let time = |at: usize| a.get(at).copied().unwrap_or(0);
                stretch.from = crate::side::wall_text(time(stretch.begin));
                stretch.to = crate::side::wall_text(time(next.saturating_sub(1)));
            }
        }
        clock.name_zones();
        (clock, a, b)
    }

    fn name_zones(&mut self) {
        let sign = match (self.a, self.b) {
            ("local", "utc") => -1,
            ("utc", "local") => 1,
            _ => return,
        };
        for stretch in &self.stretches {
            let quarters = (sign * stretch.offset_s + QUARTER_S / 2).div_euclid(QUARTER_S);
            // Further west or east is no zone, but a clock that is wrong.
            if (-12 * 4..=14 * 4).contains(&quarters) && self.sure {
                let minutes = quarters.abs() * 15;
                let sign = if quarters < 0 { '-' } else { '+' };
                let name = format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60);
                if !self.zones.contains(&name) {
                    self.zones.push(name);
                }
            }
        }
    }

    fn stretch_of(&self, index: usize) -> usize {
        self.stretches
            .partition_point(|stretch| stretch.begin <= index)
            .saturating_sub(1)
    }

    /// What is added to the time of this message of the first side.
    pub(crate) fn offset(&self, index: usize) -> i64 {
        self.stretches
            .get(self.stretch_of(index))
            .map_or(0, |stretch| stretch.centre)
    }

    /// Whether the change of an offset explains this difference: the hour that comes twice, a message between the last that
    /// shows the old offset and the first that shows the new, or one at an end, after which nothing shows a change any more.
    pub(crate) fn is_a_change(&self, index: usize, difference: i64) -> bool {
        let fits = |offset: i64| (difference - offset).abs() <= self.tolerance;
        self.other_offsets(index).into_iter().flatten().any(fits)
    }

    /// Other offsets that a message near a change of the clocks, or at an end, may have.
    pub(crate) fn other_offsets(&self, index: usize) -> [Option<i64>; 6] {
        let at = self.stretch_of(index);
        let next = self
            .stretches
            .get(at + 1)
            .filter(|next| next.begin - index <= AHEAD);
        let last = at.checked_sub(1).filter(|_| index - self.begin(at) <= AHEAD);
        let last = last.and_then(|last| self.stretches.get(last));
        let mut all = [None; 6];
        let [of_next, of_last, steps @ ..] = &mut all;
        *of_next = next.map(|stretch| stretch.centre);
        *of_last = last.map(|stretch| stretch.centre);
        if let Some(stretch) = self.stretches.get(at).filter(|_| self.room_for_a_change(index)) {
            for (slot, step) in steps.iter_mut().zip(CLOCK_STEPS_S) {
                *slot = Some(stretch.centre + step);
            }
        }
        all
    }

    /// Whether so much time lies between the last before and the first after that show an offset, that a wall clock may have
    /// been set and set back between them.
    fn room_for_a_change(&self, index: usize) -> bool {
        let least = match (self.a, self.b) {
            ("utc", "utc") => return false,
            ("utc", _) | (_, "utc") => SUMMER_S_MIN,
            _ => BETWEEN_CHANGES_S_MIN,
        };
        let from = self.showing.partition_point(|(at, _)| *at < index);
        let before = from.checked_sub(1).and_then(|at| self.showing.get(at));
        let after = self.showing.iter().skip(from).find(|(at, _)| *at > index);
        match (before, after) {
            (Some((_, before)), Some((_, after))) => (after - before).abs() >= least,
            _ => true,
        }
    }

    fn begin(&self, at: usize) -> usize {
        self.stretches.get(at).map_or(0, |stretch| stretch.begin)
    }
}

impl Stretch {
    fn at(begin: usize, centre: i64) -> Stretch {
        Stretch {
            offset_s: centre,
            from: String::new(),
            to: String::new(),
            shown_by: 0,
            begin,
            centre,
            agreeing: (usize::MAX, 0),
        }
    }

    /// The middle of what agrees; where one side leaves seconds out, half a minute beside the true offset.
    fn settle(&mut self, differences: &[Seen], (minutes_a, minutes_b): (bool, bool)) {
        self.offset_s = self.centre;
        if minutes_a == minutes_b {
            return;
        }
        // A whole quarter that fits nearly all is the zone, and the clocks are right.
        let shift = if minutes_b { -30 } else { 30 };
        let zone = (self.centre - shift + QUARTER_S / 2).div_euclid(QUARTER_S) * QUARTER_S;
        let (first, last) = self.agreeing;
        let mut fitting = 0u64;
        for seen in differences {
            let inside = (first..=last).contains(&seen.index);
            fitting += u64::from(inside && (seen.difference - zone - shift).abs() <= 31);
        }
        if fitting * 20 >= self.shown_by * 19 {
            (self.offset_s, self.centre) = (zone, zone + shift);
        } else {
            self.offset_s = (self.centre - shift + 30).div_euclid(60) * 60;
        }
    }
}

/// Runs through which the difference stays. One that deviates alone deviates; where most of what follows does too, the
/// offset has changed. Of a wall clock that is set by an hour or half an hour less is asked: it stays so for months.
fn stretches(differences: &[Seen], tolerance: i64, wall: bool) -> Vec<Stretch> {
    let agrees = |seen: &Seen, centre: i64| (seen.difference - centre).abs() <= tolerance;
    let agree = |from: usize, centre: i64| {
        let ahead = differences.iter().skip(from).take(AHEAD);
        ahead.filter(|seen| agrees(seen, centre)).count()
    };
    let is_step = |from: i64, to: i64| {
        wall && CLOCK_STEPS_S
            .iter()
            .any(|step| (to - from - step).abs() <= tolerance)
    };
    // How many in a row from here, and over how many seconds; whether to the end.
    let row = |from: usize, centre: i64| {
        let ahead = differences.iter().skip(from).take(AHEAD);
        let in_a_row = ahead.take_while(|seen| agrees(seen, centre));
        let (mut count, mut last) = (0, None);
        for seen in in_a_row {
            count += 1;
            last = Some(seen.time);
        }
        let first = differences.get(from).map(|seen| seen.time);
        let span = last.zip(first).map_or(0, |(last, first)| last - first);
        (count, span, from + count == differences.len())
    };
    let mut all: Vec<(Stretch, Vec<i64>)> = Vec::new();
    let first = differences.iter().take(2 * AHEAD).map(|seen| seen.difference);
    let begin = first
        .map(|d| (agree(0, d), d))
        .max_by_key(|&(count, d)| (count, -d.abs()));
    let Some((_, mut centre)) = begin else {
        return Vec::new();
    };
    if let Some(first) = differences.first()
        && is_step(centre, first.difference)
        && row(0, first.difference).0 >= 2
    {
        centre = first.difference;
    }
    all.push((Stretch::at(0, centre), Vec::new()));
    for (place, seen) in differences.iter().enumerate() {
        let Some((stretch, agreeing)) = all.last_mut() else {
            break;
        };
        let d = seen.difference;
        if agrees(seen, stretch.centre) {
            stretch.agreeing = (stretch.agreeing.0.min(seen.index), seen.index);
            agreeing.push(d);
            continue;
        }
        let (stay, change) = (agree(place, stretch.centre), agree(place, d));
        let (count, span, to_the_end) = row(place, d);
        let set = is_step(stretch.centre, d)
            && ((count >= 2 && to_the_end) || (count >= STEP_MIN && span >= STEP_SPAN_S));
        if set || (change >= AGREE_MIN && change > stay) {
            let mut next = Stretch::at(seen.index, d);
            next.agreeing = (seen.index, seen.index);
            all.push((next, vec![d]));
        }
    }
    all.retain(|(_, agreeing)| !agreeing.is_empty());
    let settled = all.into_iter().map(|(mut stretch, mut agreeing)| {
        stretch.shown_by = agreeing.len() as u64;
        let middle = agreeing.len() / 2;
        stretch.centre = *agreeing.select_nth_unstable(middle).1;
        stretch
    });
    let mut joined: Vec<Stretch> = Vec::new();
    for stretch in settled {
        match joined.last_mut() {
            Some(last) if (last.centre - stretch.centre).abs() <= tolerance / 2 => {
                last.shown_by += stretch.shown_by;
                last.agreeing.1 = stretch.agreeing.1;
            }
            _ => joined.push(stretch),
        }
    }
    if let Some(first) = joined.first_mut() {
        first.begin = 0;
    }
    joined
}

/// What an anchor shows.
#[derive(Clone, Copy)]
struct Seen {
    /// Its place in the first side, and its time there.
    index: usize,
    time: i64,
    difference: i64,
}
