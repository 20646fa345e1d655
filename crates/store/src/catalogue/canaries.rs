//! Messages that a connection is expected to bring every so often: when each last came, and whether one is missing.

use model::{Position, Timestamp};
use rusqlite::{Row, params};

use super::{Catalogue, number, position};
use crate::folder::StoreError;

/// An open gap because an expected message did not come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missed {
    /// The gap's entry.
    pub gap: Position,
    /// The newest capture that had brought it by then.
    pub after: Option<Position>,
}

/// A message that is expected. What it says stands only in the act that set it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CanaryRow {
    /// The act that set it.
    pub position: Position,
    /// Connection that is to bring it.
    pub connection: String,
    /// What it is called.
    pub name: String,
    /// How often, in microseconds.
    pub every_micros: i64,
    /// How much later it may be, in microseconds.
    pub grace_micros: i64,
    /// When it was set.
    pub set_at: Timestamp,
    /// It is expected no more.
    pub removed: bool,
    /// The newest capture that brought it, and when that was received.
    pub arrived: Option<(Position, Timestamp)>,
    /// The newest such capture of which an entry says it.
    pub stated: Option<Position>,
    /// From when the next is counted: of the last or of the setting; earlier, where the clock had run ahead.
    pub counted_from: Timestamp,
    /// It is missing.
    pub missed: Option<Missed>,
}

fn canary(row: &Row<'_>) -> rusqlite::Result<CanaryRow> {
    let optional = |value: Option<i64>| value.map(position);
    let arrived = optional(row.get(7)?).zip(row.get::<_, Option<i64>>(8)?.map(Timestamp::from_micros));
    let after = optional(row.get(12)?);
    Ok(CanaryRow {
        position: position(row.get(0)?),
        connection: row.get(1)?,
        name: row.get(2)?,
        every_micros: row.get(3)?,
        grace_micros: row.get(4)?,
        set_at: Timestamp::from_micros(row.get(5)?),
        removed: row.get::<_, i64>(6)? != 0,
        arrived,
        stated: optional(row.get(9)?),
        counted_from: Timestamp::from_micros(row.get(10)?),
        missed: optional(row.get(11)?).map(|gap| Missed { gap, after }),
    })
}

impl CanaryRow {
    /// When the next is due, without the time by which it may be late.
    pub fn due(&self) -> Timestamp {
        Timestamp::from_micros(self.counted_from.as_micros().saturating_add(self.every_micros))
    }

    /// Whether it is later than it may be.
    pub fn is_late(&self, now: Timestamp) -> bool {
        now.as_micros() > self.due().as_micros().saturating_add(self.grace_micros)
    }
}

impl Catalogue {
    /// Notes that a message is expected. Its arrivals are noted by themselves.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn note_canary(&mut self, row: &CanaryRow) -> Result<(), StoreError> {
        self.db
            .prepare_cached(
                "INSERT INTO canary (position, connection, name, every, grace, set_at, removed, counted_from)
                 VALUES ($1, $2, $3, $4, $5, $6, 0, $6) ON CONFLICT (position) DO NOTHING",
            )?
            .execute(params![
                number(row.position.0),
                row.connection,
                row.name,
                row.every_micros,
                row.grace_micros,
                row.set_at.as_micros(),
            ])?;
        Ok(())
    }

    /// Notes that it is expected no more.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn note_canary_removed(&mut self, canary: Position) -> Result<(), StoreError> {
        self.db
            .prepare_cached("UPDATE canary SET removed = 1 WHERE position = $1")?
            .execute([number(canary.0)])?;
        Ok(())
    }

    /// Notes that a capture brought it. An older one than is known changes nothing.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn note_canary_arrived(
        &mut self,
        canary: Position,
        capture: Position,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.db
            .prepare_cached(
                "UPDATE canary SET arrived = $1, arrived_at = $2, counted_from = $2
                 WHERE position = $3 AND (arrived IS NULL OR arrived < $1)",
            )?
            .execute(params![number(capture.0), at.as_micros(), number(canary.0)])?;
        Ok(())
    }

    /// Notes that an entry says which capture brought it.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn note_canary_stated(&mut self, canary: Position, capture: Position) -> Result<(), StoreError> {
        self.db
            .prepare_cached(
                "UPDATE canary SET stated = $1 WHERE position = $2 AND (stated IS NULL OR stated < $1)",
            )?
            .execute(params![number(capture.0), number(canary.0)])?;
        Ok(())
    }

    /// Notes a gap that opened because it did not come.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn note_canary_missed(&mut self, canary: Position, missed: &Missed) -> Result<(), StoreError> {
        self.db
            .prepare_cached("UPDATE canary SET gap = $1, missed_after = $2 WHERE position = $3")?
            .execute(params![
                number(missed.gap.0),
                missed.after.map(|after| number(after.0)),
                number(canary.0),
            ])?;
        Ok(())
    }

    pub(super) fn canary_gap_is_closed(&mut self, gap: Position) -> Result<(), StoreError> {
        self.db
            .prepare_cached("UPDATE canary SET gap = NULL WHERE gap = $1")?
            .execute([number(gap.0)])?;
        Ok(())
    }

    /// What was counted from a time that is still to come, because the clock had run ahead, counts from now.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn count_canaries_by(&mut self, now: Timestamp) -> Result<(), StoreError> {
        self.db
            .prepare_cached("UPDATE canary SET counted_from = $1 WHERE counted_from > $1")?
            .execute([now.as_micros()])?;
        Ok(())
    }

    /// All that are expected, and those no more expected of which a gap is open.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn canaries(&self) -> Result<Vec<CanaryRow>, StoreError> {
        let mut statement = self.db.prepare_cached(
            "SELECT position, connection, name, every, grace, set_at, removed, arrived, arrived_at, stated, counted_from,
                 gap, missed_after
             FROM canary WHERE removed = 0 OR gap IS NOT NULL ORDER BY connection, name, position",
        )?;
        let found = statement.query_map([], canary)?.collect::<Result<_, _>>()?;
        Ok(found)
    }
}
