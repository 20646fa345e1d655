//! The daily statement of completeness: an act that says what was captured and what is missing, and of how much.
//!
//! It is written when a day is over and all that arrived is understood, by whoever has the vault open then, and for days
//! that were missed when it is opened again. Like every entry it stands under the next signed checkpoint: that is its
//! signature. Which days are stated follows from the entries alone.
//!
//! A clock that ran ahead may have had days stated that were not over. As soon as the clock is found behind, an act of the same
//! code withdraws such statements: they stay, as every entry does, and count no more. Their days are stated again when they are
//! over, and the new statement names those it replaces.

mod body;

use model::entry::ActCode;
use model::{Position, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::catalogue::{Catalogue, StatementRow};
use store::{StoreError, failpoint};

use super::checks::{Check, CheckKind};
use super::{Inner, Vault, VaultError, locked};
use crate::host::StatementStatus;

const DAY_MICROS: i64 = 86_400_000_000;
/// A day is stated so long after its end: a clock that is put right by less than this states no day before it is over.
const MARGIN_MICROS: i64 = 10 * 60 * 1_000_000;
/// Of so many missed days each has a statement of its own; those before them have one together.
const SINGLE_DAYS_MAX: i64 = 31;
/// Statements of one day that are looked at: more than one are there only when a clock ran ahead.
const OF_A_DAY_MAX: u32 = 64;

/// Statements withdrawn by one entry.
const WITHDRAWN_MAX: u32 = 64;

/// Body of the act by which statements count no more.
#[derive(Serialize, Deserialize)]
struct Withdrawal {
    withdraws: Vec<Position>,
    reason: String,
}

/// A day, counted from 1970-01-01 in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Day(i64);

impl Day {
    fn of(at: Timestamp) -> Day {
        Day(at.as_micros().div_euclid(DAY_MICROS))
    }

    fn begins(self) -> Timestamp {
        Timestamp::from_micros(self.0.saturating_mul(DAY_MICROS))
    }

    fn after(self) -> Day {
        Day(self.0.saturating_add(1))
    }

    /// As `2026-01-31`.
    fn text(self) -> String {
        let begins = self.begins().to_string();
        begins.split('T').next().unwrap_or_default().to_owned()
    }

    fn read(text: &str) -> Option<Day> {
        Timestamp::parse(&format!("{text}T00:00:00Z")).ok().map(Day::of)
    }
}

/// The days that the next statement is about: one, or all that were missed long ago.
fn due(first: Day, stated: Option<Day>, now: Timestamp) -> Option<(Day, Day)> {
    let over = Day::of(Timestamp::from_micros(
        now.as_micros().saturating_sub(MARGIN_MICROS),
    ));
    let last = Day(over.0 - 1);
    let from = stated.map_or(first, Day::after).max(first);
    if from > last {
        return None;
    }
    let to = if last.0 - from.0 >= SINGLE_DAYS_MAX {
        Day(last.0 - SINGLE_DAYS_MAX)
    } else {
        from
    };
    Some((from, to))
}

/// Until when statements count by this clock.
fn counts_until(now: Timestamp) -> Timestamp {
    Timestamp::from_micros(now.as_micros().saturating_add(MARGIN_MICROS))
}

/// Writes the next statement that is due, or withdraws what a clock that ran ahead had stated; `true` when it did. To be
/// called only when all that arrived is understood and nothing more is known to be missing.
pub(super) fn state(inner: &Inner) -> Result<bool, VaultError> {
    // In this order: what is committed after the clock was read belongs to a day that is not over by it.
    let now = (inner.clock)();
    let head = inner.ledger.head();
    if locked(&inner.progress).normalized != head {
        return Ok(false);
    }
    let Some(began) = inner.ledger.entry(Position(0))? else {
        return Ok(false);
    };
    let began = began.header.recorded_at;
    if now < began {
        // A clock without a battery: it says nothing about what was stated before.
        return Ok(false);
    }
    let (ahead, before) = {
        let reader = locked(&inner.reader);
        let ahead = reader.statements_after(counts_until(now), WITHDRAWN_MAX)?;
        (ahead, reader.newest_statement(counts_until(now))?)
    };
    let body = if ahead.is_empty() {
        let stated = before.map(|row| Day(row.last_day));
        let Some(days) = due(Day::of(began), stated, now) else {
            return Ok(false);
        };
        inner.statement_of(days, before.as_ref(), (now, head))?
    } else {
        json!(Withdrawal {
            withdraws: ahead,
            reason: "the clock ran ahead when these were written".to_owned(),
        })
    };
    failpoint::hit("completeness-stating");
    inner.act(ActCode::CompletenessStated, &body)?;
    failpoint::hit("completeness-stated");
    Ok(true)
}

/// Reads a statement into the catalogue.
pub(super) fn note(catalogue: &mut Catalogue, at: Position, body: &[u8]) -> Result<(), StoreError> {
    let day = |body: &Value, name: &str| body.get(name)?.as_str().and_then(Day::read);
    if let Ok(withdrawal) = serde_json::from_slice::<Withdrawal>(body) {
        return catalogue.void_statements(&withdrawal.withdraws);
    }
    let Ok(body) = serde_json::from_slice::<Value>(body) else {
        return Ok(());
    };
    let stated_at = body.get("stated_at").and_then(Value::as_str);
    // The ledger's own times never go back; the clock that decided does.
    let Some(stated_at) = stated_at.and_then(|text| Timestamp::parse(text).ok()) else {
        return Ok(());
    };
    let days = day(&body, "first_day").zip(day(&body, "last_day"));
    let Some((first, last)) = days.filter(|(first, last)| first <= last) else {
        return Ok(());
    };
    catalogue.note_statement(&StatementRow {
        position: at,
        first_day: first.0,
        last_day: last.0,
        stated_at,
        void: false,
    })
}

impl Vault {
    /// The newest statement of completeness, or that of a day, with the checkpoint that covers it.
    ///
    /// # Errors
    /// [`VaultError::Usage`] for a day that is none, [`VaultError::NotFound`] where there is no statement;
    /// [`VaultError::Store`].
    pub fn completeness_statement(&self, day: Option<&str>) -> Result<Value, VaultError> {
        let inner = &self.inner;
        let row = inner.statement_row(day)?;
        let entry = inner.must_entry(row.position)?;
        let body = inner.open_act(&entry).ok_or_else(|| {
            VaultError::BadData(format!("the statement in entry {} does not open", row.position))
        })?;
        let covering = |signed: &store::ledger::Signed| signed.covers > row.position;
        let signed = match inner.ledger.signed().filter(covering) {
            Some(signed) => Some(signed),
            None => inner.ledger.flush()?.filter(covering),
        };
        let ran_ahead = row.void || row.stated_at > counts_until((inner.clock)());
        Ok(json!({
            "entry": row.position, "recorded_at": entry.header.recorded_at,
            "clock_ran_ahead": ran_ahead,
            "checkpoint": signed.map(|signed| json!({
                "size": signed.size, "covers": signed.covers, "at": signed.at,
            })),
            "statement": body,
        }))
    }

    /// The entry that states a day, or the newest.
    ///
    /// # Errors
    /// As [`Vault::completeness_statement`].
    pub fn statement_position(&self, day: Option<&str>) -> Result<Position, VaultError> {
        Ok(self.inner.statement_row(day)?.position)
    }
}

impl Inner {
    fn statement_row(&self, day: Option<&str>) -> Result<StatementRow, VaultError> {
        let now = (self.clock)();
        let reader = locked(&self.reader);
        let Some(text) = day else {
            let newest = reader.newest_statement(counts_until(now))?;
            return newest.ok_or_else(|| {
                VaultError::NotFound(
                    "statement of completeness yet: the first is written when the first day (UTC) is over"
                        .to_owned(),
                )
            });
        };
        let day = Day::read(text)
            .ok_or_else(|| VaultError::Usage(format!("{text}: a day in UTC (2026-01-31) is needed")))?;
        let rows = reader.statements_of(day.0, day.0, OF_A_DAY_MAX)?;
        let good = rows
            .iter()
            .find(|row| !row.void && row.stated_at <= counts_until(now));
        good.or(rows.first())
            .copied()
            .ok_or_else(|| VaultError::NotFound(format!("statement of completeness for {text}")))
    }

    /// The newest statement that counts: of which day, when, by which entry.
    pub fn newest_stated(&self) -> Result<Option<StatementStatus>, VaultError> {
        let newest = locked(&self.reader).newest_statement(counts_until((self.clock)()))?;
        Ok(newest.map(|row| StatementStatus {
            day: Day(row.last_day).text(),
            entry: row.position,
            at: row.stated_at,
        }))
    }

    /// What `doctor` says: whether yesterday is stated, and which day is not.
    pub fn check_stated(&self) -> Result<Check, VaultError> {
        let now = (self.clock)();
        let began = self.ledger.entry(Position(0))?;
        let newest = locked(&self.reader).newest_statement(counts_until(now))?;
        let stated = newest.as_ref().map(|row| Day(row.last_day));
        let missing = began.and_then(|entry| due(Day::of(entry.header.recorded_at), stated, now));
        Ok(Check::new(
            CheckKind::CompletenessStated,
            "completeness is stated each day",
            missing.is_none(),
            match (missing, newest) {
                (Some((day, _)), _) => format!(
                    "{} is over and not stated: it is written when all that arrived is understood; is `chancery serve` running?",
                    day.text()
                ),
                (None, Some(row)) => format!(
                    "the last statement is of {}, entry {}: `chancery capture statement`",
                    Day(row.last_day).text(),
                    row.position
                ),
                (None, None) => "the first is written when the first day (UTC) is over".to_owned(),
            },
        ))
    }
}

#[cfg(test)]
mod tests;
