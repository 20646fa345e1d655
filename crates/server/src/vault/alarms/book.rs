//! What was raised and what waits for whom: decided here, without a clock, a file or the network.
//!
//! An alarm stands as long as what it is about. It is told once when it opens, once when it becomes worse, once a day while it
//! stays, and once when it is over; what comes and goes within minutes is one alarm. Everything here is bounded, and what
//! finds no room is counted and said.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use model::{Position, Timestamp};
use serde::{Deserialize, Serialize};

use crate::vault::checks::{Attention, CheckKind};

/// Alarms that wait for one destination: some ten kilobytes on disk.
pub(super) const WAITING_MAX: usize = 256;
/// Alarms in one delivery.
pub(super) const AT_ONCE: usize = 50;
/// Checks that stand at one time. There are fewer sorts, and one for each connection, anchor and secret at most.
const STANDING_MAX: usize = 4096;
/// The longest pause before what was not delivered is tried again.
const LONGEST_PAUSE_MICROS: i64 = 15 * 60 * 1_000_000;

/// When alarms are raised, repeated and sent again.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// How often it is looked what needs attention.
    pub look: Duration,
    /// What is not well for so long is an alarm.
    pub open_after: Duration,
    /// What is well again for so long is none any more.
    pub close_after: Duration,
    /// So often it is said that it still is.
    pub remind_after: Duration,
    /// The pause after the first delivery that failed; doubled after each further one.
    pub first_pause: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Patience {
            look: Duration::from_secs(30),
            open_after: Duration::from_secs(30),
            close_after: Duration::from_secs(5 * 60),
            remind_after: Duration::from_secs(24 * 60 * 60),
            first_pause: Duration::from_secs(5),
        }
    }
}

/// What is said of an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Event {
    Opened,
    Worse,
    Reminder,
    Closed,
    Test,
}

/// A gap as it is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct GapTold {
    pub(super) position: Position,
    pub(super) connection: Option<String>,
    pub(super) cause: String,
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    pub(super) count: u64,
    /// Why it is closed.
    #[serde(default)]
    pub(super) closed: Option<String>,
}

/// What an alarm is about. No field can hold what people wrote or are called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum About {
    Check(Attention),
    Gap(GapTold),
    Test,
}

/// One thing to tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Alarm {
    /// The same for each destination and each attempt; never given out twice.
    pub(super) message: u64,
    pub(super) event: Event,
    pub(super) about: About,
    /// Since when.
    pub(super) since: Timestamp,
    /// When it was raised.
    pub(super) at: Timestamp,
}

impl Alarm {
    /// The same for everything that is said of one check or gap.
    pub(super) fn id(&self, zone: &str) -> String {
        match &self.about {
            About::Check(attention) => {
                let kind = attention.kind.name();
                match &attention.subject {
                    Some(subject) => format!("{zone}/check/{kind}/{subject}"),
                    None => format!("{zone}/check/{kind}"),
                }
            }
            About::Gap(gap) => format!("{zone}/gap/{}", gap.position),
            About::Test => format!("{zone}/test"),
        }
    }

    fn is_about(&self, other: &About) -> bool {
        match (&self.about, other) {
            (About::Check(one), About::Check(other)) => one.is_of(other),
            (one, other) => one == other,
        }
    }
}

/// A check that is not well.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Standing {
    attention: Attention,
    since: Timestamp,
    /// Whether it was told, and when last.
    told_at: Option<Timestamp>,
    well_since: Option<Timestamp>,
}

/// What waits for one destination, and how it does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Queue {
    pub(super) waiting: VecDeque<Alarm>,
    /// Alarms for which there was no room, since the last delivery.
    pub(super) not_kept: u64,
    attempts: u32,
    pub(super) failing_since: Option<Timestamp>,
    pub(super) problem: Option<String>,
    pub(super) delivered_at: Option<Timestamp>,
    /// Not before then. Not kept: after a start it is tried at once.
    #[serde(skip)]
    due: Option<Timestamp>,
}

impl Queue {
    fn push(&mut self, alarm: Alarm) {
        // A destination that is away for a month gets one reminder, not thirty.
        if alarm.event == Event::Reminder {
            self.waiting
                .retain(|known| known.event != Event::Reminder || !known.is_about(&alarm.about));
        }
        if self.waiting.len() >= WAITING_MAX {
            self.waiting.pop_front();
            self.not_kept += 1;
        }
        self.waiting.push_back(alarm);
    }
}

/// What is to be sent to a destination now.
#[derive(Debug, Clone)]
pub(super) struct Batch {
    pub(super) alarms: Vec<Alarm>,
    pub(super) not_kept: u64,
}

/// What is known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Book {
    /// Gaps from here on are told; what was open before is said by the check that counts them.
    pub(super) began: Position,
    /// Gaps before this were told.
    pub(super) gaps_from: Position,
    /// Entries before this that close gaps were told.
    pub(super) closings_from: Position,
    /// Followers had come this far.
    pub(super) followed: Position,
    next: u64,
    standing: Vec<Standing>,
    pub(super) queues: BTreeMap<String, Queue>,
}

/// What is true just now.
pub(super) struct Seen {
    pub(super) attention: Vec<Attention>,
    /// Whether followers have come at least as far as ever before: else what is derived says nothing.
    pub(super) is_caught_up: bool,
    pub(super) now: Timestamp,
}

impl Seen {
    /// Whether it says something now.
    fn counts(&self, attention: &Attention) -> bool {
        self.is_caught_up || !attention.kind.is_derived()
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// Whether so much time has passed. A clock that was put back makes nobody wait for it.
fn has_passed(since: Timestamp, now: Timestamp, wanted: Duration) -> bool {
    let passed = now.as_micros().saturating_sub(since.as_micros());
    passed >= micros(wanted) || passed < -1_000_000
}

impl Book {
    /// Nothing raised; gaps count from `at` on.
    pub(super) fn beginning_at(at: Position) -> Book {
        Book {
            began: at,
            gaps_from: at,
            closings_from: at,
            ..Book::default()
        }
    }

    /// Makes queues for new destinations, which are told what stands, and drops those of destinations that are gone.
    pub(super) fn settle_destinations(&mut self, names: &[String], now: Timestamp) {
        self.queues.retain(|name, _| names.contains(name));
        for name in names {
            if self.queues.contains_key(name) {
                continue;
            }
            let told = self.standing.iter().filter(|standing| standing.told_at.is_some());
            let told: Vec<Standing> = told.cloned().collect();
            let mut queue = Queue::default();
            for standing in told {
                let alarm = self.alarm(
                    Event::Opened,
                    About::Check(standing.attention),
                    standing.since,
                    now,
                );
                queue.push(alarm);
            }
            self.queues.insert(name.clone(), queue);
        }
    }

    /// Raises and closes what checks say.
    pub(super) fn observe(&mut self, seen: &Seen, patience: &Patience) {
        let mut told = self.raised(seen, patience);
        told.extend(self.closed(seen, patience));
        for (event, attention, since) in told {
            self.tell(event, About::Check(attention), since, seen.now);
        }
    }

    fn raised(&mut self, seen: &Seen, patience: &Patience) -> Vec<(Event, Attention, Timestamp)> {
        let mut told = Vec::new();
        for attention in seen.attention.iter().filter(|attention| seen.counts(attention)) {
            let known = self
                .standing
                .iter()
                .position(|known| known.attention.is_of(attention));
            if known.is_none() && self.standing.len() < STANDING_MAX {
                self.standing.push(Standing {
                    attention: attention.clone(),
                    since: seen.now,
                    told_at: None,
                    well_since: None,
                });
            }
            let standing = match known {
                Some(at) => self.standing.get_mut(at),
                None => self.standing.last_mut(),
            };
            let standing = standing.filter(|standing| standing.attention.is_of(attention));
            if let Some(standing) = standing
                && let Some(event) = standing.goes_on(attention, seen.now, patience)
            {
                told.push((event, attention.clone(), standing.since));
            }
        }
        told
    }

    fn closed(&mut self, seen: &Seen, patience: &Patience) -> Vec<(Event, Attention, Timestamp)> {
        let mut told = Vec::new();
        self.standing.retain_mut(|standing| {
            let is_there = seen.attention.iter().any(|one| one.is_of(&standing.attention));
            if is_there || !seen.counts(&standing.attention) {
                return true;
            }
            if standing.told_at.is_none() {
                return false;
            }
            let well_since = *standing.well_since.get_or_insert(seen.now);
            let is_over = has_passed(well_since, seen.now, patience.close_after);
            if is_over {
                told.push((Event::Closed, standing.attention.clone(), standing.since));
            }
            !is_over
        });
        told
    }

    fn alarm(&mut self, event: Event, about: About, since: Timestamp, at: Timestamp) -> Alarm {
        // Counted from the clock, so that no number comes again when this book is lost.
        let next = u64::try_from(at.as_micros()).unwrap_or(0);
        self.next = self.next.saturating_add(1).max(next);
        Alarm {
            message: self.next,
            event,
            about,
            since,
            at,
        }
    }

    /// Puts it into every queue; what is about a destination not into its own, where it would only add to what waits.
    pub(super) fn tell(&mut self, event: Event, about: About, since: Timestamp, at: Timestamp) {
        let own = match &about {
            About::Check(attention) if attention.kind == CheckKind::AlarmDestination => {
                attention.subject.clone()
            }
            _ => None,
        };
        let alarm = self.alarm(event, about, since, at);
        for (name, queue) in &mut self.queues {
            if own.as_ref() != Some(name) {
                queue.push(alarm.clone());
            }
        }
    }

    /// What a destination is to be sent now; nothing when nothing waits or the pause is not over.
    pub(super) fn due(&self, name: &str, now: Timestamp) -> Option<Batch> {
        let queue = self.queues.get(name)?;
        let is_early = queue.due.is_some_and(|due| now < due);
        // A clock that was put back by more than the longest pause is not waited for.
        let is_stuck = queue
            .due
            .is_some_and(|due| due.as_micros() - now.as_micros() > LONGEST_PAUSE_MICROS);
        if queue.waiting.is_empty() || (is_early && !is_stuck) {
            return None;
        }
        Some(Batch {
            alarms: queue.waiting.iter().take(AT_ONCE).cloned().collect(),
            not_kept: queue.not_kept,
        })
    }

    /// Notes what became of a delivery. Answers whether the destination began or ceased to fail.
    pub(super) fn settle(
        &mut self,
        name: &str,
        batch: &Batch,
        problem: Option<&str>,
        now: Timestamp,
        patience: &Patience,
    ) -> bool {
        // It may have been removed meanwhile.
        let Some(queue) = self.queues.get_mut(name) else {
            return false;
        };
        let was_failing = queue.failing_since.is_some();
        if let Some(problem) = problem {
            queue.attempts = queue.attempts.saturating_add(1);
            let doublings = queue.attempts.saturating_sub(1).min(20);
            let pause = micros(patience.first_pause).saturating_mul(1 << doublings);
            let pause = pause.min(LONGEST_PAUSE_MICROS);
            queue.due = Some(Timestamp::from_micros(now.as_micros().saturating_add(pause)));
            queue.failing_since.get_or_insert(now);
            queue.problem = Some(problem.to_owned());
            return !was_failing;
        }
        let sent = batch.alarms.last().map_or(0, |alarm| alarm.message);
        queue.waiting.retain(|alarm| alarm.message > sent);
        queue.not_kept = queue.not_kept.saturating_sub(batch.not_kept);
        queue.delivered_at = Some(now);
        (queue.attempts, queue.due, queue.failing_since, queue.problem) = (0, None, None, None);
        was_failing
    }
}

impl Standing {
    /// It is not well still: what is to be said of that.
    fn goes_on(&mut self, attention: &Attention, now: Timestamp, patience: &Patience) -> Option<Event> {
        self.well_since = None;
        let is_worse = attention.severity > self.attention.severity;
        let event = match self.told_at {
            None if has_passed(self.since, now, patience.open_after) => Event::Opened,
            None => {
                self.attention = attention.clone();
                return None;
            }
            Some(_) if is_worse => Event::Worse,
            Some(told_at) if has_passed(told_at, now, patience.remind_after) => Event::Reminder,
            // One that only becomes better and worse again is not told each time.
            Some(_) => return None,
        };
        self.attention = attention.clone();
        self.told_at = Some(now);
        Some(event)
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
