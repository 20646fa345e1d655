//! How each anchor does: when it last worked, how far that reaches, and what is wrong since.

use model::entry::{ActCode, Kind};
use model::{ConnectionId, Position, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{AnchorConfig, Target};
use crate::vault::{Inner, VaultError, locked};

/// Hand-outs looked at for the last one to each place.
const HAND_OUTS_MAX: usize = 1000;

/// After this long an anchor is asked although nothing is new: so that there is always a recent time from outside.
const IDLE_SECONDS: u64 = 12 * 60 * 60;

/// The pause after the first failure; doubled after each further one.
const FIRST_PAUSE_SECONDS: u64 = 15;
/// The longest pause.
const LONGEST_PAUSE_SECONDS: u64 = 60 * 60;

/// What an anchor did last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Last {
    /// By its own clock where that is proved; else by ours.
    pub(super) at: Timestamp,
    /// Whether that time is proved.
    pub(super) proved: bool,
    /// By our clock.
    pub(super) done_at: Timestamp,
    /// Batches.
    pub(super) size: u64,
    /// Position after the last entry.
    pub(super) covers: Position,
}

/// What is known of an anchor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct State {
    pub(super) last: Option<Last>,
    pub(super) failures: u32,
    pub(super) failing: Option<String>,
    pub(super) failed_at: Option<Timestamp>,
}

/// How an anchor does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnchorStatus {
    /// Its name.
    pub name: ConnectionId,
    /// Its kind.
    pub kind: String,
    /// When it last worked: the time it proves, or where it proves none, ours.
    pub last_at: Option<Timestamp>,
    /// Position after the last entry that it covered then.
    pub covers: Option<Position>,
    /// What is wrong since; none when it works.
    pub failing: Option<String>,
}

impl State {
    /// Whether it is to be asked. `news`: whether entries came since that are not anchoring itself.
    pub(super) fn is_due(
        &self,
        every_seconds: u64,
        now: Timestamp,
        news: impl FnOnce(Position) -> bool,
    ) -> bool {
        if let Some(failed_at) = self.failed_at {
            let doublings = self.failures.saturating_sub(1).min(16);
            let pause = FIRST_PAUSE_SECONDS
                .saturating_mul(1 << doublings)
                .min(LONGEST_PAUSE_SECONDS);
            return has_passed(failed_at, now, pause.min(every_seconds.max(FIRST_PAUSE_SECONDS)));
        }
        let Some(last) = self.last else { return true };
        has_passed(last.done_at, now, every_seconds)
            && (has_passed(last.done_at, now, IDLE_SECONDS.max(every_seconds)) || news(last.covers))
    }
}

/// Whether so much time has passed. A clock that was put back does not make anybody wait for it.
fn has_passed(since: Timestamp, now: Timestamp, seconds: u64) -> bool {
    let passed = now.as_micros().saturating_sub(since.as_micros());
    let wanted = i64::try_from(seconds)
        .unwrap_or(i64::MAX)
        .saturating_mul(1_000_000);
    passed >= wanted || passed < -1_000_000
}

impl Inner {
    /// The state of an anchor, looked up in what is kept the first time.
    pub(super) fn anchor_state(&self, config: &AnchorConfig) -> Result<State, VaultError> {
        if let Some(state) = locked(&self.anchors.states).get(config.name.as_str()) {
            return Ok(state.clone());
        }
        let last = match config.target {
            Target::Witness { .. } | Target::TimeStamp { .. } => {
                let newest = self.newest_proved(config.name.as_str(), &config.target);
                newest.map(|(kept, at)| Last {
                    at,
                    proved: true,
                    done_at: at,
                    size: kept.read.checkpoint.size,
                    covers: kept.read.end,
                })
            }
            _ => self.last_handed_to(config.name.as_str())?,
        };
        let state = State {
            last,
            ..State::default()
        };
        let mut states = locked(&self.anchors.states);
        Ok(states.entry(config.name.to_string()).or_insert(state).clone())
    }

    fn last_handed_to(&self, name: &str) -> Result<Option<Last>, VaultError> {
        let positions = locked(&self.reader).acts(ActCode::CheckpointHandedOut as u16)?;
        for at in positions.into_iter().rev().take(HAND_OUTS_MAX) {
            let entry = self.must_entry(at)?;
            let Some(body) = self.open_act(&entry) else {
                continue;
            };
            if body.get("anchor").and_then(Value::as_str) != Some(name) {
                continue;
            }
            let number = |field: &str| body.get(field).and_then(Value::as_u64).unwrap_or(0);
            return Ok(Some(Last {
                at: entry.header.recorded_at,
                proved: false,
                done_at: entry.header.recorded_at,
                size: number("size"),
                covers: Position(number("covers")),
            }));
        }
        Ok(None)
    }

    /// How all anchors do.
    pub fn anchor_states(&self) -> Result<Vec<AnchorStatus>, VaultError> {
        let mut all = Vec::new();
        for config in self.anchor_configs() {
            let state = self.anchor_state(&config)?;
            all.push(AnchorStatus {
                kind: config.target.kind().to_owned(),
                last_at: state.last.map(|last| last.at),
                covers: state.last.map(|last| last.covers),
                failing: state.failing,
                name: config.name,
            });
        }
        Ok(all)
    }

    /// The latest time that a configured witness or authority proved: a second clock, that nobody here sets. None when
    /// there is none, or what was kept does not hold.
    pub fn outside_time(&self) -> Option<Timestamp> {
        let proved = |config: AnchorConfig| {
            config.target.proof()?;
            let last = self.anchor_state(&config).ok()?.last?;
            last.proved.then_some(last.at)
        };
        self.anchor_configs().into_iter().filter_map(proved).max()
    }

    /// The earliest of the last proofs of witnesses and authorities that covers a record.
    pub fn anchor_over(&self, position: Position) -> Result<Option<AnchorStatus>, VaultError> {
        let proves = |status: &AnchorStatus| ["witness", "time-stamp"].contains(&status.kind.as_str());
        let covering = |status: &AnchorStatus| status.covers.is_some_and(|covers| position < covers);
        let all = self.anchor_states()?.into_iter();
        Ok(all
            .filter(|status| proves(status) && covering(status))
            .min_by_key(|status| status.last_at))
    }

    /// When a checkpoint last went outside, in whatever way.
    pub fn last_outside(&self) -> Result<Option<Timestamp>, VaultError> {
        let anchored = self
            .anchor_states()?
            .into_iter()
            .filter_map(|status| status.last_at)
            .max();
        Ok(self.last_handed_out()?.max(anchored))
    }

    /// Whether entries came after `covers` that are more than anchoring itself: else each anchor would call for the next.
    pub(super) fn news_since(&self, covers: Position) -> bool {
        let head = self.ledger.head();
        let mut at = covers;
        while at < head {
            let entry = self.must_entry(at);
            let quiet = entry.is_ok_and(|entry| match &entry.header.kind {
                Kind::Act(act) => matches!(act.code, ActCode::Anchored | ActCode::CheckpointHandedOut),
                _ => false,
            });
            if !quiet {
                return true;
            }
            at = at.plus(1);
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    fn done(seconds: i64) -> State {
        let last = Last {
            at: at(seconds),
            proved: true,
            done_at: at(seconds),
            size: 1,
            covers: Position(1),
        };
        State {
            last: Some(last),
            ..State::default()
        }
    }

    #[test]
    fn an_anchor_is_asked_when_something_is_new_and_now_and_then_when_nothing_is() {
        let check = |state: &State, now: i64, news: bool, expected: bool| {
            assert_eq!(state.is_due(60, at(now), |_| news), expected, "{now} {news}");
        };
        check(&State::default(), 0, false, true);
        let state = done(1000);
        check(&state, 1059, true, false);
        check(&state, 1060, true, true);
        check(&state, 1060, false, false);
        check(&state, 1000 + 12 * 3600, false, true);
        // The clock was put back.
        check(&state, 900, true, true);
    }

    #[test]
    fn after_failures_the_pauses_grow_and_never_past_an_hour_or_what_was_asked_for() {
        let pause = |failures: u32, every: u64| {
            let state = State {
                failures,
                failed_at: Some(at(0)),
                failing: Some("x".into()),
                ..done(0)
            };
            (0..).find(|now| state.is_due(every, at(*now), |_| true)).unwrap()
        };
        let day = 86_400;
        assert_eq!(
            [1, 2, 3, 4].map(|failures| pause(failures, day)),
            [15, 30, 60, 120]
        );
        assert_eq!(pause(30, day), 3600);
        assert_eq!(pause(30, 60), 60);
        assert_eq!(pause(30, 1), 15);
    }
}
