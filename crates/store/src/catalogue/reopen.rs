//! Captures that could not be opened inside when they were normalized, and are normalized again once something changed.

use model::{KeyId, Position};
use rusqlite::params;

use super::{Catalogue, number, position};
use crate::folder::StoreError;

impl Catalogue {
    /// How many captures of a connection have a problem of this code.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn count_with_problem(&self, connection: &str, code: &str) -> Result<u64, StoreError> {
        let mut statement = self.db.prepare_cached(
            "SELECT COUNT(DISTINCT r.capture) FROM record r JOIN capture c ON c.position = r.capture
             WHERE r.sort = 3 AND r.what = $1 AND c.connection = $2",
        )?;
        let count: i64 = statement.query_row(params![code, connection], |row| row.get(0))?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// Has a connection's captures with a problem of this code normalized again. Answers the first of them.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn normalize_again(&mut self, connection: &str, code: &str) -> Result<Option<Position>, StoreError> {
        const WHICH: &str = "SELECT r.capture FROM record r JOIN capture c ON c.position = r.capture
             WHERE r.sort = 3 AND r.what = $1 AND c.connection = $2 AND c.state = 2";
        let first: Option<i64> = self
            .db
            .prepare_cached(&format!("SELECT MIN(capture) FROM ({WHICH})"))?
            .query_row(params![code, connection], |row| row.get(0))?;
        self.db
            .prepare_cached(&format!(
                "UPDATE capture SET state = 1 WHERE position IN ({WHICH})"
            ))?
            .execute(params![code, connection])?;
        Ok(first.map(position))
    }

    /// Takes in that secrets are gone of which every capture has a newer wrap: the older wraps open nothing any more, and
    /// nothing is deleted.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn note_superseded(&mut self, keys: &[KeyId], at: Position) -> Result<(), StoreError> {
        for key in keys {
            self.db
                .prepare_cached(
                    "UPDATE wrap SET dead = $1 WHERE dead = 0 AND (source, position) IN
                     (SELECT source, position FROM concern WHERE key = $2)",
                )?
                .execute(params![number(at.0), key.0])?;
        }
        Ok(())
    }
}
