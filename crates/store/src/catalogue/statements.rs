//! Which days an entry states the completeness of, and what such an entry counts.

use model::{KeyId, Position, Timestamp};
use rusqlite::{OptionalExtension, Row, params};

use super::{Catalogue, number, position};
use crate::folder::StoreError;

/// A statement of completeness. Days are counted from 1970-01-01.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatementRow {
    /// Of the entry.
    pub position: Position,
    /// First day it is about.
    pub first_day: i64,
    /// Last one.
    pub last_day: i64,
    /// When it was written, by the clock of that moment.
    pub stated_at: Timestamp,
    /// Withdrawn: the clock ran ahead when it was written.
    pub void: bool,
}

/// Captures of a connection in a stretch of time, or messages of a person.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stretch {
    /// How many.
    pub count: u64,
    /// The first.
    pub first: Option<Timestamp>,
    /// The last.
    pub last: Option<Timestamp>,
}

const COLUMNS: &str = "position, first_day, last_day, stated_at, void";

fn statement(row: &Row<'_>) -> rusqlite::Result<StatementRow> {
    Ok(StatementRow {
        position: position(row.get(0)?),
        first_day: row.get(1)?,
        last_day: row.get(2)?,
        stated_at: Timestamp::from_micros(row.get(3)?),
        void: row.get::<_, i64>(4)? != 0,
    })
}

impl Catalogue {
    /// Notes a statement.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn note_statement(&mut self, row: &StatementRow) -> Result<(), StoreError> {
        self.db
            .prepare_cached(
                "INSERT INTO statement (position, first_day, last_day, stated_at, void)
                 VALUES ($1, $2, $3, $4, $5) ON CONFLICT (position) DO NOTHING",
            )?
            .execute(params![
                number(row.position.0),
                row.first_day,
                row.last_day,
                row.stated_at.as_micros(),
                i64::from(row.void)
            ])?;
        Ok(())
    }

    /// Marks statements as withdrawn.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn void_statements(&mut self, positions: &[Position]) -> Result<(), StoreError> {
        for at in positions {
            self.db
                .prepare_cached("UPDATE statement SET void = 1 WHERE position = $1")?
                .execute([number(at.0)])?;
        }
        Ok(())
    }

    /// Statements written after `at` and not withdrawn, oldest entry first, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn statements_after(&self, at: Timestamp, limit: u32) -> Result<Vec<Position>, StoreError> {
        let mut found = self.db.prepare_cached(
            "SELECT position FROM statement WHERE void = 0 AND stated_at > $1 ORDER BY position LIMIT $2",
        )?;
        let positions = found
            .query_map(params![at.as_micros(), limit], |row| row.get(0).map(position))?
            .collect::<Result<_, _>>()?;
        Ok(positions)
    }

    /// The statement of the last day of which there is one, as far as it was written by `now`.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn newest_statement(&self, now: Timestamp) -> Result<Option<StatementRow>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM statement WHERE void = 0 AND stated_at <= $1
             ORDER BY last_day DESC, position DESC LIMIT 1"
        );
        let mut found = self.db.prepare_cached(&sql)?;
        Ok(found.query_row([now.as_micros()], statement).optional()?)
    }

    /// Statements about one of these days, newest entry first, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn statements_of(
        &self,
        first_day: i64,
        last_day: i64,
        limit: u32,
    ) -> Result<Vec<StatementRow>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM statement WHERE first_day <= $2 AND last_day >= $1
             ORDER BY position DESC LIMIT $3"
        );
        let mut found = self.db.prepare_cached(&sql)?;
        let rows = found
            .query_map(params![first_day, last_day, limit], statement)?
            .collect::<Result<_, _>>()?;
        Ok(rows)
    }

    /// What each connection captured in a stretch of time, the last moment left out.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn captured_between(
        &self,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<(String, Stretch)>, StoreError> {
        let mut statement = self.db.prepare_cached(
            "SELECT connection, COUNT(*), MIN(received_at), MAX(received_at) FROM capture
             WHERE cause IS NULL AND received_at >= $1 AND received_at < $2 GROUP BY connection ORDER BY connection",
        )?;
        let found = statement
            .query_map(params![from.as_micros(), to.as_micros()], |row| {
                Ok((row.get(0)?, stretch(row, 1)?))
            })?
            .collect::<Result<_, _>>()?;
        Ok(found)
    }

    /// Messages of a person in a stretch of time, repeats left out.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn said_between(
        &self,
        person: KeyId,
        from: Timestamp,
        to: Option<Timestamp>,
    ) -> Result<Stretch, StoreError> {
        let mut statement = self.db.prepare_cached(
            "SELECT COUNT(*), MIN(at), MAX(at) FROM record WHERE capture IN (SELECT source FROM concern WHERE key = $1)
               AND person = $1 AND sort = 1 AND repeats = 0 AND at >= $2 AND ($3 IS NULL OR at < $3)",
        )?;
        Ok(statement.query_row(
            params![person.0, from.as_micros(), to.map(Timestamp::as_micros)],
            |row| stretch(row, 0),
        )?)
    }

    /// Gaps closed by an entry after `after`, oldest first, at most `limit`, and how many there are.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn gaps_closed_after(
        &self,
        after: Option<Position>,
        limit: u32,
    ) -> Result<(Vec<super::GapRow>, u64), StoreError> {
        let after = after.map_or(-1, |at| number(at.0));
        let sql = format!(
            "SELECT {} FROM gap WHERE closed_by > $1 ORDER BY closed_by, position LIMIT $2",
            super::rows::GAP
        );
        let mut statement = self.db.prepare_cached(&sql)?;
        let rows = statement
            .query_map(params![after, limit], super::rows::gap)?
            .collect::<Result<_, _>>()?;
        let count: i64 = self
            .db
            .prepare_cached("SELECT COUNT(*) FROM gap WHERE closed_by > $1")?
            .query_row([after], |row| row.get(0))?;
        Ok((rows, u64::try_from(count).unwrap_or(0)))
    }
}

fn stretch(row: &Row<'_>, column: usize) -> rusqlite::Result<Stretch> {
    Ok(Stretch {
        count: u64::try_from(row.get::<_, i64>(column)?).unwrap_or(0),
        first: row.get::<_, Option<i64>>(column + 1)?.map(Timestamp::from_micros),
        last: row.get::<_, Option<i64>>(column + 2)?.map(Timestamp::from_micros),
    })
}
