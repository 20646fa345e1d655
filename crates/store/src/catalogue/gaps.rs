//! Gaps as entries state them, whether they are open, and how many there are.

use model::{Position, Timestamp};
use rusqlite::params;

use super::rows::{self, GapRow};
use super::{Catalogue, number};
use crate::folder::StoreError;

impl Catalogue {
    /// Notes a gap.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn note_gap(&mut self, row: &GapRow) -> Result<(), StoreError> {
        self.db
            .prepare_cached(
                "INSERT INTO gap (position, connection, from_at, to_at, cause, amount)
                 VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (position) DO NOTHING",
            )?
            .execute(params![
                number(row.position.0),
                row.connection,
                row.from.as_micros(),
                row.to.as_micros(),
                row.cause,
                number(row.count),
            ])?;
        Ok(())
    }

    /// Notes what an open gap is about, in words for people, and that it is one that can close.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn note_gap_detail(&mut self, gap: Position, detail: &str) -> Result<(), StoreError> {
        self.db
            .prepare_cached("UPDATE gap SET detail = $1 WHERE position = $2")?
            .execute(params![detail, number(gap.0)])?;
        Ok(())
    }

    /// Notes that a gap is closed, by which entry, when and why. A second closing changes nothing.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn note_gap_closed(
        &mut self,
        gap: Position,
        by: Position,
        at: Timestamp,
        reason: &str,
    ) -> Result<(), StoreError> {
        self.db
            .prepare_cached(
                "UPDATE gap SET closed_by = $1, closed_at = $2, reason = $3 WHERE position = $4 AND closed_by IS NULL",
            )?
            .execute(params![number(by.0), at.as_micros(), reason, number(gap.0)])?;
        self.db
            .prepare_cached("DELETE FROM touched WHERE gap = $1")?
            .execute([number(gap.0)])?;
        self.canary_gap_is_closed(gap)
    }

    /// Gaps after `after`, oldest first, at most `limit`; only open ones where asked.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn gaps_after(
        &self,
        after: Option<Position>,
        open_only: bool,
        limit: u32,
    ) -> Result<Vec<GapRow>, StoreError> {
        let sql = format!(
            "SELECT {} FROM gap WHERE position > $1 AND ($2 = 0 OR closed_by IS NULL) ORDER BY position LIMIT $3",
            rows::GAP
        );
        let mut statement = self.db.prepare_cached(&sql)?;
        let mut found: Vec<GapRow> = statement
            .query_map(
                params![after.map_or(-1, |at| number(at.0)), i64::from(open_only), limit],
                rows::gap,
            )?
            .collect::<Result<_, _>>()?;
        for gap in &mut found {
            if gap.closed.is_none() && gap.detail.is_some() {
                gap.left = Some(self.still_missing(gap.position)?);
            }
        }
        Ok(found)
    }

    /// Gaps closed by the entry at `from` or a later one, in the order of their closing, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn gaps_closed_from(&self, from: Position, limit: u32) -> Result<Vec<GapRow>, StoreError> {
        let sql = format!(
            "SELECT {} FROM gap WHERE closed_by >= $1 ORDER BY closed_by, position LIMIT $2",
            rows::GAP
        );
        let mut statement = self.db.prepare_cached(&sql)?;
        let found = statement
            .query_map(params![number(from.0), limit], rows::gap)?
            .collect::<Result<_, _>>()?;
        Ok(found)
    }

    /// Open gaps of a cause, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn open_gaps_of(&self, cause: &str) -> Result<Vec<GapRow>, StoreError> {
        let sql = format!(
            "SELECT {} FROM gap WHERE closed_by IS NULL AND cause = $1 ORDER BY position",
            rows::GAP
        );
        let mut statement = self.db.prepare_cached(&sql)?;
        let found = statement
            .query_map([cause], rows::gap)?
            .collect::<Result<_, _>>()?;
        Ok(found)
    }

    /// How many gaps are open, by connection; none stands for the whole ledger.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn open_gaps_by_connection(&self) -> Result<Vec<(Option<String>, u64)>, StoreError> {
        let mut statement = self.db.prepare_cached(
            "SELECT connection, COUNT(*) FROM gap WHERE closed_by IS NULL GROUP BY connection",
        )?;
        let found = statement
            .query_map([], |row| {
                Ok((row.get(0)?, u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0)))
            })?
            .collect::<Result<_, _>>()?;
        Ok(found)
    }

    /// The newest gaps, open ones first, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn newest_gaps(&self, limit: u32) -> Result<Vec<GapRow>, StoreError> {
        let sql = format!(
            "SELECT {} FROM gap ORDER BY closed_by IS NOT NULL, position DESC LIMIT $1",
            rows::GAP
        );
        let mut statement = self.db.prepare_cached(&sql)?;
        let found = statement
            .query_map([limit], rows::gap)?
            .collect::<Result<_, _>>()?;
        Ok(found)
    }

    /// How many gaps are known, and how many of them are open.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn count_gaps(&self) -> Result<(u64, u64), StoreError> {
        Ok((
            self.count("SELECT COUNT(*) FROM gap")?,
            self.count("SELECT COUNT(*) FROM gap WHERE closed_by IS NULL")?,
        ))
    }
}
