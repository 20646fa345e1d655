//! Captures, their chunks, and the wraps and parts made from them.

use model::{KeyId, Position, Timestamp};
use rusqlite::{OptionalExtension, params};

use super::rows::{self, CaptureRow, CaptureState};
use super::{Catalogue, Digest, number, position};
use crate::folder::StoreError;

impl Catalogue {
    /// Notes a chunk of a capture; the first makes the row, each one makes it longer.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn note_chunk(
        &mut self,
        row: &CaptureRow,
        chunk: u32,
        last: bool,
        at: Position,
    ) -> Result<(), StoreError> {
        if chunk == 0 {
            self.db
                .prepare_cached(
                    "INSERT INTO capture (position, capture_id, connection, connector, connector_version, received_at,
                        verdict, epoch, chunks, size_bytes, last_position, state, cause, cause_ordinal, file, file_state,
                        closed, locked_until)
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 1, $9, $10, $11, $12, $13, $14, $15, 0, $16)
                     ON CONFLICT (position) DO NOTHING",
                )?
                .execute(params![
                    number(row.position.0),
                    row.capture_id,
                    row.connection,
                    row.connector,
                    row.connector_version,
                    row.received_at.as_micros(),
                    row.verdict,
                    row.epoch,
                    number(row.size_bytes),
                    number(at.0),
                    if last { CaptureState::Complete.code() } else { CaptureState::Partial.code() },
                    row.cause.map(|cause| number(cause.capture.0)),
                    row.cause.map(|cause| i64::from(cause.ordinal)),
                    row.file,
                    row.file_state,
                    row.locked_until.map(Timestamp::as_micros),
                ])?;
            return Ok(());
        }
        let state = if last {
            CaptureState::Complete
        } else {
            CaptureState::Partial
        };
        self.db
            .prepare_cached(
                "INSERT INTO chunk (capture_id, chunk, position) VALUES ($1, $2, $3)
                 ON CONFLICT (capture_id, chunk) DO NOTHING",
            )?
            .execute(params![row.capture_id, chunk, number(at.0)])?;
        self.db
            .prepare_cached(
                "UPDATE capture SET chunks = chunks + 1, size_bytes = size_bytes + $1, last_position = $2, state = $3
                 WHERE capture_id = $4 AND chunks = $5",
            )?
            .execute(params![number(row.size_bytes), number(at.0), state.code(), row.capture_id, chunk])?;
        Ok(())
    }

    /// A capture by the position of its first chunk.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn capture(&self, at: Position) -> Result<Option<CaptureRow>, StoreError> {
        let mut statement = self.db.prepare_cached(&format!(
            "SELECT {} FROM capture WHERE position = $1",
            rows::CAPTURE
        ))?;
        Ok(statement.query_row([number(at.0)], rows::capture).optional()?)
    }

    /// Position of the first chunk of a capture.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn first_chunk(&self, capture_id: &Digest) -> Result<Option<Position>, StoreError> {
        let mut statement = self
            .db
            .prepare_cached("SELECT position FROM capture WHERE capture_id = $1")?;
        let found: Option<i64> = statement.query_row([capture_id], |row| row.get(0)).optional()?;
        Ok(found.map(position))
    }

    /// Positions of a capture's chunks, in order.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn chunks(&self, row: &CaptureRow) -> Result<Vec<Position>, StoreError> {
        let mut all = vec![row.position];
        let mut statement = self
            .db
            .prepare_cached("SELECT position FROM chunk WHERE capture_id = $1 ORDER BY chunk")?;
        let mut found = statement.query([row.capture_id])?;
        while let Some(row) = found.next()? {
            all.push(position(row.get(0)?));
        }
        Ok(all)
    }

    /// Complete captures that are not normalized yet, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn captures_to_normalize(&self, limit: u32) -> Result<Vec<CaptureRow>, StoreError> {
        let sql = format!(
            "SELECT {} FROM capture WHERE state = 1 AND state <> 2 ORDER BY position LIMIT $1",
            rows::CAPTURE
        );
        let mut statement = self.db.prepare_cached(&sql)?;
        let found = statement
            .query_map([limit], rows::capture)?
            .collect::<Result<_, _>>()?;
        Ok(found)
    }

    /// Captures from a position on.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn captures_from(&self, from: Position, limit: u32) -> Result<Vec<CaptureRow>, StoreError> {
        let sql = format!(
            "SELECT {} FROM capture WHERE position >= $1 ORDER BY position LIMIT $2",
            rows::CAPTURE
        );
        let mut statement = self.db.prepare_cached(&sql)?;
        let found = statement
            .query_map(params![number(from.0), limit], rows::capture)?
            .collect::<Result<_, _>>()?;
        Ok(found)
    }

    /// What a connection delivered from a position on, files it fetched apart.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn received_from(
        &self,
        connection: &str,
        from: Position,
        limit: u32,
    ) -> Result<Vec<CaptureRow>, StoreError> {
        let sql = format!(
            "SELECT {} FROM capture WHERE position >= $1 AND connection = $2 AND cause IS NULL
             ORDER BY position LIMIT $3",
            rows::CAPTURE
        );
        let mut statement = self.db.prepare_cached(&sql)?;
        let found = statement
            .query_map(params![number(from.0), connection, limit], rows::capture)?
            .collect::<Result<_, _>>()?;
        Ok(found)
    }

    /// How many that are.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn count_received(&self, connection: &str, from: Position) -> Result<u64, StoreError> {
        let count: i64 = self
            .db
            .prepare_cached(
                "SELECT COUNT(*) FROM capture WHERE position >= $1 AND connection = $2 AND cause IS NULL",
            )?
            .query_row(params![number(from.0), connection], |row| row.get(0))?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// How many captures wait for normalization.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn count_to_normalize(&self) -> Result<u64, StoreError> {
        self.count("SELECT COUNT(*) FROM capture WHERE state = 1 AND state <> 2")
    }

    /// How many captures no key opens.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn count_unreadable(&self) -> Result<u64, StoreError> {
        self.count("SELECT COUNT(*) FROM capture WHERE state = 3 AND state <> 2")
    }

    /// Sets what became of a capture.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn set_capture(
        &mut self,
        at: Position,
        state: CaptureState,
        report: Option<&str>,
    ) -> Result<(), StoreError> {
        self.db
            .prepare_cached("UPDATE capture SET state = $1, report = $2 WHERE position = $3")?
            .execute(params![state.code(), report, number(at.0)])?;
        Ok(())
    }

    /// The parser's report on a capture.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn report(&self, at: Position) -> Result<Option<String>, StoreError> {
        let mut statement = self
            .db
            .prepare_cached("SELECT report FROM capture WHERE position = $1")?;
        Ok(statement
            .query_row([number(at.0)], |row| row.get(0))
            .optional()?
            .flatten())
    }

    /// Notes a wrap.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn note_wrap(&mut self, source: Position, at: Position, keys: &[KeyId]) -> Result<(), StoreError> {
        let dead = self.note_concerns(keys, source, at)?;
        self.db
            .prepare_cached(
                "INSERT INTO wrap (source, position, dead) VALUES ($1, $2, $3)
                 ON CONFLICT (source, position) DO NOTHING",
            )?
            .execute([number(source.0), number(at.0), dead])?;
        self.close_if(source, dead)
    }

    /// The newest wrap of a capture that can still be opened.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn wrap(&self, source: Position) -> Result<Option<Position>, StoreError> {
        let mut statement = self.db.prepare_cached(
            "SELECT position FROM wrap WHERE source = $1 AND dead = 0 ORDER BY position DESC LIMIT 1",
        )?;
        let found: Option<i64> = statement
            .query_row([number(source.0)], |row| row.get(0))
            .optional()?;
        Ok(found.map(position))
    }

    /// Notes a part.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn note_part(
        &mut self,
        source: Position,
        part: u32,
        last: bool,
        at: Position,
        keys: &[KeyId],
    ) -> Result<(), StoreError> {
        let dead = self.note_concerns(keys, source, at)?;
        self.db
            .prepare_cached(
                "INSERT INTO part (source, position, part, last, dead) VALUES ($1, $2, $3, $4, $5)
                 ON CONFLICT (source, position) DO NOTHING",
            )?
            .execute(params![
                number(source.0),
                number(at.0),
                part,
                i64::from(last),
                dead
            ])?;
        self.close_if(source, dead)
    }

    /// All parts of a capture, in order: also those that a crash left behind.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn parts_begun(&self, source: Position) -> Result<Vec<Position>, StoreError> {
        let mut statement = self
            .db
            .prepare_cached("SELECT position FROM part WHERE source = $1 ORDER BY position")?;
        let found = statement
            .query_map([number(source.0)], |row| row.get(0).map(position))?
            .collect::<Result<_, _>>()?;
        Ok(found)
    }

    /// The newest complete set of parts of a capture, in order; empty when there is none. A set that goes on where an
    /// earlier one ended is added to it.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn parts(&self, source: Position) -> Result<Vec<Position>, StoreError> {
        let mut statement = self
            .db
            .prepare_cached("SELECT position, part, last FROM part WHERE source = $1 ORDER BY position")?;
        let (mut set, mut complete) = (Vec::new(), Vec::new());
        let mut found = statement.query([number(source.0)])?;
        while let Some(row) = found.next()? {
            let (at, part, last): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let Ok(place) = usize::try_from(part) else {
                continue;
            };
            // Written again from here on: a crash came before the last of them.
            if place <= set.len() {
                set.truncate(place);
                set.push(position(at));
                if last == 1 {
                    complete.clone_from(&set);
                }
            }
        }
        Ok(complete)
    }
}
