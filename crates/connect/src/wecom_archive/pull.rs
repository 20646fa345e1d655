//! Pulling the archive: what to ask next, when the position may move, and when to be alarmed. Decides only; whoever
//! asks, seals and waits tells it what happened.

use model::Timestamp;
use zeroize::Zeroizing;

use super::driver::{Driver, DriverError, ITEMS_MAX, Retry};
use super::items::{self, Item};
use super::keys::{Keys, RandomKeyProblem};

const SECOND: i64 = 1_000_000;
const HOUR: i64 = 3_600 * SECOND;

/// The vendor keeps what was not pulled this long.
pub const KEPT_MICROS: i64 = 5 * 24 * HOUR;

/// After an answer that was empty, that is, when everything there was has been pulled.
const IDLE_SECONDS: i64 = 15;
/// After the first failure; doubled after each further one.
const FIRST_PAUSE_SECONDS: i64 = 5;
/// The longest pause: a tenth of an hour costs nothing of five days.
const LONGEST_PAUSE_SECONDS: i64 = 360;
/// The vendor allows 600 calls a minute to one secret.
const BETWEEN_CALLS_MICROS: i64 = SECOND / 10;

/// How near the vendor's limit the oldest message that was not pulled may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Alarm {
    /// More than six hours since everything had been pulled.
    Late,
    /// More than a day.
    Warning,
    /// More than three days: two are left.
    Urgent,
    /// More than five: something may be lost.
    Lost,
}

const ALARMS: [(i64, Alarm); 4] = [
    (KEPT_MICROS, Alarm::Lost),
    (3 * 24 * HOUR, Alarm::Urgent),
    (24 * HOUR, Alarm::Warning),
    (6 * HOUR, Alarm::Late),
];

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Ask for what comes after `seq`.
    Fetch {
        /// The last that is sealed.
        seq: u64,
        /// How many at most.
        limit: u32,
    },
    /// Nothing before this instant.
    Wait {
        /// When to look again.
        until: Timestamp,
    },
}

/// The state of pulling one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pull {
    /// The last item that is sealed: everything up to it is durable.
    sealed: u64,
    /// The last item of the answer that is being sealed.
    sealing: Option<u64>,
    /// When everything there was had last been pulled.
    caught_up_at: Timestamp,
    not_before: Timestamp,
    failures: u32,
    last_failure: Option<DriverError>,
    failing_since: Option<Timestamp>,
}

impl Pull {
    /// Goes on after `sealed` (0 at first). `caught_up_at` is when everything had last been pulled; at first, when the
    /// connection was made.
    pub fn resume(sealed: u64, caught_up_at: Timestamp) -> Pull {
        Pull {
            sealed,
            sealing: None,
            caught_up_at,
            not_before: Timestamp::from_micros(i64::MIN),
            failures: 0,
            last_failure: None,
            failing_since: None,
        }
    }

    /// The last item that is sealed.
    pub fn position(&self) -> u64 {
        self.sealed
    }

    /// When everything there was had last been pulled.
    pub fn caught_up_at(&self) -> Timestamp {
        self.caught_up_at
    }

    /// Why the last question failed, while it has not succeeded since.
    pub fn last_failure(&self) -> Option<DriverError> {
        self.last_failure
    }

    /// Since when every question fails.
    pub fn failing_since(&self) -> Option<Timestamp> {
        self.failing_since
    }

    /// What to do now.
    pub fn next(&self, now: Timestamp) -> Next {
        if now < self.not_before {
            return Next::Wait {
                until: self.not_before,
            };
        }
        Next::Fetch {
            seq: self.sealed,
            limit: ITEMS_MAX,
        }
    }

    /// An answer came. Gives the items to seal, in order of their numbers; those up to the position were sealed before
    /// and are left out. Nothing moves until [`Pull::sealed`] is told.
    ///
    /// # Errors
    /// The vendor's error, or an answer that is none; it counts as a failure.
    pub fn answered<'a>(&mut self, now: Timestamp, answer: &'a str) -> Result<Vec<Item<'a>>, DriverError> {
        let mut items = match items::items(answer) {
            Ok(items) => items,
            Err(problem) => {
                let error = match problem {
                    items::AnswerProblem::Error(code) => DriverError::Code(code),
                    items::AnswerProblem::NotAnAnswer => {
                        DriverError::Failed("the archive's answer is not readable")
                    }
                };
                self.failed(now, error);
                return Err(error);
            }
        };
        self.failures = 0;
        self.last_failure = None;
        self.failing_since = None;
        let whole = items.is_empty();
        items.retain(|item| item.seq > self.sealed);
        items.sort_by_key(|item| item.seq);
        items.dedup_by(|later, earlier| later == earlier);
        self.sealing = items.last().map(|item| item.seq);
        self.not_before = if whole {
            self.caught_up_at = self.caught_up_at.max(now);
            later(now, IDLE_SECONDS * SECOND)
        } else if items.is_empty() {
            // Old items again and again are no progress; asked without a pause they would be a busy loop.
            later(now, IDLE_SECONDS * SECOND)
        } else {
            later(now, BETWEEN_CALLS_MICROS)
        };
        Ok(items)
    }

    /// The items given last are durable. Only now the position moves.
    pub fn sealed(&mut self) {
        if let Some(seq) = self.sealing.take() {
            self.sealed = self.sealed.max(seq);
        }
    }

    /// The question failed, or sealing did. The same is asked again later; where only a repair helps, at the slowest pace
    /// at once, because it may be made at the vendor's side, where we see nothing of it.
    pub fn failed(&mut self, now: Timestamp, error: DriverError) {
        self.sealing = None;
        self.last_failure = Some(error);
        self.failing_since.get_or_insert(now);
        let doubled = FIRST_PAUSE_SECONDS.saturating_mul(1 << self.failures.min(30));
        let pause = match error.retry() {
            Retry::Later => doubled,
            Retry::AfterRepair | Retry::Never => LONGEST_PAUSE_SECONDS,
        };
        self.failures = self.failures.saturating_add(1);
        self.not_before = later(now, pause.min(LONGEST_PAUSE_SECONDS) * SECOND);
    }

    /// Somebody changed the connection, or the vendor says that there is something new: no more waiting.
    pub fn repaired(&mut self) {
        self.failures = 0;
        self.not_before = Timestamp::from_micros(i64::MIN);
    }

    /// How alarming it is. Counts from when everything had last been pulled, also while pulling goes on but never
    /// catches up.
    pub fn alarm(&self, now: Timestamp) -> Option<Alarm> {
        let age = now.as_micros().saturating_sub(self.caught_up_at.as_micros());
        ALARMS
            .iter()
            .find(|(limit, _)| age > *limit)
            .map(|&(_, alarm)| alarm)
    }

    /// The stretch in which something may be lost for good: from when everything had been pulled to five days ago.
    pub fn lost(&self, now: Timestamp) -> Option<(Timestamp, Timestamp)> {
        let end = Timestamp::from_micros(now.as_micros().saturating_sub(KEPT_MICROS));
        (self.alarm(now) == Some(Alarm::Lost)).then_some((self.caught_up_at, end))
    }
}

fn later(now: Timestamp, micros: i64) -> Timestamp {
    Timestamp::from_micros(now.as_micros().saturating_add(micros))
}

/// What became of opening an item.
#[derive(Clone, PartialEq, Eq)]
pub enum Opened {
    /// The message, as JSON.
    Plain(Zeroizing<Vec<u8>>),
    /// Not yet: the item stays, and is tried again when something changed.
    Later(Closed),
    /// Not with anything that could change here.
    Never(Closed),
}

/// Why an item stays closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Closed {
    /// It lacks what opens it.
    #[error("the item lacks its key or its message")]
    Incomplete,
    /// Its random key could not be had.
    #[error(transparent)]
    Key(RandomKeyProblem),
    /// The library did not open the message.
    #[error(transparent)]
    Driver(DriverError),
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Opened::Plain(bytes) => write!(f, "Plain({} bytes)", bytes.len()),
            Opened::Later(why) => write!(f, "Later({why})"),
            Opened::Never(why) => write!(f, "Never({why})"),
        }
    }
}

/// An item's random key, or why it could not be had.
pub type Unlocked = Result<Zeroizing<Vec<u8>>, RandomKeyProblem>;

/// The first half of [`open`], and nearly all that it costs: the company's key opens the item's random key. Needs no
/// library, so many may do it at once.
pub fn unlock(item: &str, keys: &Keys) -> Option<Unlocked> {
    let sealed = items::sealed(item)?;
    Some(keys.random_key(sealed.version, &sealed.random_key))
}

/// The second half: the library opens the message with the random key.
pub fn open_unlocked(item: &str, unlocked: &Unlocked, driver: &mut dyn Driver) -> Opened {
    let Some(sealed) = items::sealed(item) else {
        return Opened::Never(Closed::Incomplete);
    };
    let random_key = match unlocked {
        Ok(random_key) => random_key,
        Err(problem @ RandomKeyProblem::Malformed) => return Opened::Never(Closed::Key(*problem)),
        Err(problem) => return Opened::Later(Closed::Key(*problem)),
    };
    match driver.decrypt(random_key, &sealed.message) {
        Ok(plain) => Opened::Plain(plain),
        Err(error) if error.retry() == Retry::Never => Opened::Never(Closed::Driver(error)),
        Err(error) => Opened::Later(Closed::Driver(error)),
    }
}

/// Opens an item with the company's keys and the library.
pub fn open(item: &str, keys: &Keys, driver: &mut dyn Driver) -> Opened {
    match unlock(item, keys) {
        Some(unlocked) => open_unlocked(item, &unlocked, driver),
        None => Opened::Never(Closed::Incomplete),
    }
}
