//! The catalogue: what followers made of the ledger, in SQLite. All of it can be deleted and made again.
//!
//! Names, texts and search terms stand in it only sealed; what is plain are positions, times, kinds, sizes, connection
//! names and keyed digests. SQL is kept to what PostgreSQL accepts too: BIGINT, TEXT, BYTEA (SQLite keeps it as the
//! blob it is given), numbered parameters, ON CONFLICT; ids are given by us.

use std::path::Path;

use model::{KeyId, MessageId, Position, Timestamp};
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::folder::StoreError;

mod rows;
pub use rows::{CaptureRow, CaptureState, FetchRow, GapRow, Placement, RecordRow, RecordSort, SearchFilter};

const SCHEMA: &str = include_str!("schema.sql");

/// Raised whenever the tables change: an older catalogue is then made anew.
const VERSION: i64 = 1;

/// Sixteen bytes of a keyed digest.
pub type Digest = [u8; 16];

/// The open catalogue.
pub struct Catalogue {
    db: Connection,
}

fn position(value: i64) -> Position {
    Position(u64::try_from(value).unwrap_or(0))
}

fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

impl Catalogue {
    /// Opens the catalogue, or makes it. `true` when it is new and must be filled from the ledger.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn open(path: &Path) -> Result<(Catalogue, bool), StoreError> {
        let db = Connection::open(path)?;
        db.pragma_update(None, "journal_mode", "WAL")?;
        db.pragma_update(None, "synchronous", "FULL")?;
        db.pragma_update(None, "cache_size", -65_536)?;
        db.pragma_update(None, "secure_delete", "ON")?;
        db.execute_batch(SCHEMA)?;
        let mut catalogue = Catalogue { db };
        let version = catalogue.mark("version")?;
        if version != VERSION {
            catalogue.clear()?;
            catalogue.set_mark("version", VERSION)?;
            return Ok((catalogue, true));
        }
        Ok((catalogue, false))
    }

    /// Empties all tables.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn clear(&mut self) -> Result<(), StoreError> {
        for table in [
            "mark", "capture", "chunk", "wrap", "part", "record", "gap", "imported", "fetch", "act",
        ] {
            self.db.execute(&format!("DELETE FROM {table}"), [])?;
        }
        self.set_mark("version", VERSION)
    }

    /// Runs `work` in one transaction: all of it or nothing.
    ///
    /// # Errors
    /// Those of `work`; [`StoreError::Catalogue`].
    pub fn transaction<T>(
        &mut self,
        work: impl FnOnce(&mut Catalogue) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.db.execute_batch("BEGIN IMMEDIATE")?;
        match work(self) {
            Ok(value) => {
                self.db.execute_batch("COMMIT")?;
                Ok(value)
            }
            Err(error) => {
                self.db.execute_batch("ROLLBACK")?;
                Err(error)
            }
        }
    }

    /// A follower's position or another number; 0 when never set.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn mark(&self, name: &str) -> Result<i64, StoreError> {
        let mut statement = self.db.prepare_cached("SELECT value FROM mark WHERE name = $1")?;
        Ok(statement
            .query_row([name], |row| row.get(0))
            .optional()?
            .unwrap_or(0))
    }

    /// Sets a mark.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn set_mark(&mut self, name: &str, value: i64) -> Result<(), StoreError> {
        self.db
            .prepare_cached(
                "INSERT INTO mark (name, value) VALUES ($1, $2)
                 ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            )?
            .execute(params![name, value])?;
        Ok(())
    }

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
                        verdict, epoch, chunks, size_bytes, last_position, state, cause, cause_ordinal, file, file_state)
                     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 1, $9, $10, $11, $12, $13, $14, $15)
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
            "SELECT {} FROM capture WHERE state = 1 ORDER BY position LIMIT $1",
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

    /// How many captures wait for normalization.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn count_to_normalize(&self) -> Result<u64, StoreError> {
        self.count("SELECT COUNT(*) FROM capture WHERE state = 1")
    }

    /// How many captures no key opens.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn count_unreadable(&self) -> Result<u64, StoreError> {
        self.count("SELECT COUNT(*) FROM capture WHERE state = 3")
    }

    fn count(&self, sql: &str) -> Result<u64, StoreError> {
        let count: i64 = self.db.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
        Ok(u64::try_from(count).unwrap_or(0))
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
    pub fn note_wrap(&mut self, source: Position, at: Position) -> Result<(), StoreError> {
        self.db
            .prepare_cached(
                "INSERT INTO wrap (source, position) VALUES ($1, $2) ON CONFLICT (source, position) DO NOTHING",
            )?
            .execute([number(source.0), number(at.0)])?;
        Ok(())
    }

    /// The newest wrap of a capture.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn wrap(&self, source: Position) -> Result<Option<Position>, StoreError> {
        let mut statement = self
            .db
            .prepare_cached("SELECT position FROM wrap WHERE source = $1 ORDER BY position DESC LIMIT 1")?;
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
    ) -> Result<(), StoreError> {
        self.db
            .prepare_cached(
                "INSERT INTO part (source, position, part, last) VALUES ($1, $2, $3, $4)
                 ON CONFLICT (source, position) DO NOTHING",
            )?
            .execute(params![number(source.0), number(at.0), part, i64::from(last)])?;
        Ok(())
    }

    /// The newest complete set of parts of a capture, in order; empty when there is none.
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
            if part == 0 {
                set.clear();
            }
            if usize::try_from(part) == Ok(set.len()) {
                set.push(position(at));
                if last == 1 {
                    complete.clone_from(&set);
                }
            }
        }
        Ok(complete)
    }

    /// Takes away the records of a capture, before they are written anew.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn clear_records(&mut self, capture: Position) -> Result<(), StoreError> {
        self.db
            .execute("DELETE FROM record WHERE capture = $1", [number(capture.0)])?;
        self.db
            .execute("DELETE FROM fetch WHERE capture = $1", [number(capture.0)])?;
        Ok(())
    }

    /// Inserts a record, and tells whether an earlier capture said the same.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn insert_record(&mut self, row: &RecordRow) -> Result<bool, StoreError> {
        let repeats = self.repeated(&row.digest, row.id.capture)?;
        let (placement, part, item) = match row.placement {
            Placement::Capture => (0, None, None),
            Placement::Part { part, item } => (1, Some(number(part.0)), Some(item)),
        };
        self.db
            .prepare_cached(
                "INSERT INTO record (capture, ordinal, sort, what, conversation, person, at, at_local, digest, platform,
                    target, slot, repeats, placement, part, item, sealed)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)",
            )?
            .execute(params![
                number(row.id.capture.0),
                row.id.ordinal,
                row.sort.code(),
                row.what,
                row.conversation.0,
                row.person.0,
                row.at.map(Timestamp::as_micros),
                row.at_local,
                row.digest,
                row.platform,
                row.target,
                row.slot,
                i64::from(repeats),
                placement,
                part,
                item,
                row.sealed,
            ])?;
        Ok(repeats)
    }

    /// Whether some earlier capture holds this digest more often than this capture does so far.
    fn repeated(&self, digest: &Digest, capture: Position) -> Result<bool, StoreError> {
        let mut earlier = self.db.prepare_cached(
            "SELECT COUNT(*) FROM record WHERE digest = $1 AND capture < $2 GROUP BY capture
             ORDER BY COUNT(*) DESC LIMIT 1",
        )?;
        let earlier: Option<i64> = earlier
            .query_row(params![digest, number(capture.0)], |row| row.get(0))
            .optional()?;
        let Some(earlier) = earlier else { return Ok(false) };
        let mut here = self
            .db
            .prepare_cached("SELECT COUNT(*) FROM record WHERE digest = $1 AND capture = $2")?;
        let here: i64 = here.query_row(params![digest, number(capture.0)], |row| row.get(0))?;
        Ok(earlier > here)
    }

    /// A record.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn record(&self, id: MessageId) -> Result<Option<RecordRow>, StoreError> {
        let sql = format!(
            "SELECT {} FROM record WHERE capture = $1 AND ordinal = $2",
            rows::RECORD
        );
        let mut statement = self.db.prepare_cached(&sql)?;
        Ok(statement
            .query_row(params![number(id.capture.0), id.ordinal], rows::record)
            .optional()?)
    }

    /// Records after `after` that a filter takes, in order of their ids.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn records(
        &self,
        filter: &SearchFilter,
        after: Option<MessageId>,
        limit: u32,
    ) -> Result<Vec<RecordRow>, StoreError> {
        let (capture, ordinal) = after.map_or((-1, 0), |id| (number(id.capture.0), i64::from(id.ordinal)));
        let sql = format!(
            "SELECT {} FROM record
             WHERE (capture > $1 OR (capture = $1 AND ordinal > $2))
               AND ($3 = 0 OR repeats = 0)
               AND ($4 IS NULL OR sort = $4)
               AND ($5 IS NULL OR what = $5)
               AND ($6 IS NULL OR at >= $6)
               AND ($7 IS NULL OR at < $7)
               AND ($8 IS NULL OR capture IN (SELECT position FROM capture WHERE connection = $8))
             ORDER BY capture, ordinal LIMIT $9",
            rows::RECORD
        );
        let mut statement = self.db.prepare_cached(&sql)?;
        let found = statement
            .query_map(
                params![
                    capture,
                    ordinal,
                    i64::from(filter.without_repeats),
                    filter.sort.map(RecordSort::code),
                    filter.what,
                    filter.from.map(Timestamp::as_micros),
                    filter.to.map(Timestamp::as_micros),
                    filter.connection,
                    limit,
                ],
                rows::record,
            )?
            .collect::<Result<_, _>>()?;
        Ok(found)
    }

    /// Records that point at a message.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn pointing_at(&self, platform: &Digest, limit: u32) -> Result<Vec<RecordRow>, StoreError> {
        let sql = format!(
            "SELECT {} FROM record WHERE target = $1 AND repeats = 0 ORDER BY capture, ordinal LIMIT $2",
            rows::RECORD
        );
        let mut statement = self.db.prepare_cached(&sql)?;
        let found = statement
            .query_map(params![platform, limit], rows::record)?
            .collect::<Result<_, _>>()?;
        Ok(found)
    }

    /// How many records of a sort a capture has: all, and those that repeat an earlier capture.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn count_of_capture(&self, capture: Position, sort: RecordSort) -> Result<(u64, u64), StoreError> {
        let mut statement = self.db.prepare_cached(
            "SELECT COUNT(*), COALESCE(SUM(repeats), 0) FROM record WHERE capture = $1 AND sort = $2",
        )?;
        let (all, repeated): (i64, i64) = statement
            .query_row(params![number(capture.0), sort.code()], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?;
        Ok((
            u64::try_from(all).unwrap_or(0),
            u64::try_from(repeated).unwrap_or(0),
        ))
    }

    /// Pairs of a new record and one of an earlier capture in the same slot (conversation, sender, minute) whose text
    /// differs and which this capture does not hold: messages changed between two exports.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn changed_since(
        &self,
        capture: Position,
        limit: u32,
    ) -> Result<Vec<(MessageId, MessageId)>, StoreError> {
        let mut statement = self.db.prepare_cached(
            "SELECT DISTINCT n.ordinal, o.capture, o.ordinal FROM record n JOIN record o ON o.slot = n.slot
             WHERE n.capture = $1 AND n.repeats = 0 AND n.slot IS NOT NULL AND o.capture < $1 AND o.repeats = 0
               AND NOT EXISTS (SELECT 1 FROM record s WHERE s.capture = $1 AND s.digest = o.digest)
             ORDER BY n.ordinal, o.capture, o.ordinal LIMIT $2",
        )?;
        let found = statement
            .query_map(params![number(capture.0), limit], |row| {
                let (new, old, ordinal): (u32, i64, u32) = (row.get(0)?, row.get(1)?, row.get(2)?);
                Ok((
                    MessageId {
                        capture,
                        ordinal: new,
                    },
                    MessageId {
                        capture: position(old),
                        ordinal,
                    },
                ))
            })?
            .collect::<Result<_, _>>()?;
        Ok(found)
    }

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

    /// All gaps, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn gaps(&self) -> Result<Vec<GapRow>, StoreError> {
        let mut statement = self.db.prepare_cached(
            "SELECT position, connection, from_at, to_at, cause, amount FROM gap ORDER BY position",
        )?;
        let found = statement.query_map([], rows::gap)?.collect::<Result<_, _>>()?;
        Ok(found)
    }

    /// Notes an act, so that acts of a kind can be found without reading the ledger.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn note_act(&mut self, at: Position, code: u16) -> Result<(), StoreError> {
        self.db
            .prepare_cached(
                "INSERT INTO act (position, code) VALUES ($1, $2) ON CONFLICT (position) DO NOTHING",
            )?
            .execute(params![number(at.0), code])?;
        Ok(())
    }

    /// Positions of acts of a kind.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn acts(&self, code: u16) -> Result<Vec<Position>, StoreError> {
        let mut statement = self
            .db
            .prepare_cached("SELECT position FROM act WHERE code = $1 ORDER BY position")?;
        let found = statement
            .query_map([code], |row| row.get::<_, i64>(0).map(position))?
            .collect::<Result<_, _>>()?;
        Ok(found)
    }

    /// Notes that a file with this keyed digest was imported as the capture at `at`.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn note_import(&mut self, digest: &Digest, capture_id: &Digest) -> Result<(), StoreError> {
        self.db
            .prepare_cached(
                "INSERT INTO imported (digest, capture_id) VALUES ($1, $2)
                 ON CONFLICT (digest) DO UPDATE SET capture_id = excluded.capture_id",
            )?
            .execute(params![digest, capture_id])?;
        Ok(())
    }

    /// The capture of a file with this keyed digest, whole or begun.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn imported(&self, digest: &Digest) -> Result<Option<CaptureRow>, StoreError> {
        let sql = format!(
            "SELECT {} FROM capture WHERE capture_id IN (SELECT capture_id FROM imported WHERE digest = $1)",
            rows::CAPTURE
        );
        let mut statement = self.db.prepare_cached(&sql)?;
        Ok(statement.query_row([digest], rows::capture).optional()?)
    }

    /// Notes a file to fetch.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn note_fetch(&mut self, row: &FetchRow) -> Result<(), StoreError> {
        self.db
            .prepare_cached(
                "INSERT INTO fetch (capture, ordinal, file, attempts, due_at, state, sealed)
                 VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (capture, ordinal, file) DO NOTHING",
            )?
            .execute(params![
                number(row.id.capture.0),
                row.id.ordinal,
                row.file,
                row.attempts,
                row.due_at.as_micros(),
                row.state,
                row.sealed,
            ])?;
        Ok(())
    }

    /// Files to fetch that are due, earliest first.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn fetches_due(&self, now: Timestamp, limit: u32) -> Result<Vec<FetchRow>, StoreError> {
        let mut statement = self.db.prepare_cached(
            "SELECT capture, ordinal, file, attempts, due_at, state, sealed FROM fetch
             WHERE state = 0 AND due_at <= $1 ORDER BY due_at, capture, ordinal LIMIT $2",
        )?;
        let found = statement
            .query_map(params![now.as_micros(), limit], rows::fetch)?
            .collect::<Result<_, _>>()?;
        Ok(found)
    }

    /// How many files wait to be fetched.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn fetches_pending(&self) -> Result<u64, StoreError> {
        self.count("SELECT COUNT(*) FROM fetch WHERE state = 0")
    }

    /// Sets when a fetch is tried again (state 0), or that it is over (state 1).
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn set_fetch(
        &mut self,
        id: MessageId,
        file: u16,
        due_at: Timestamp,
        over: bool,
    ) -> Result<(), StoreError> {
        self.db
            .prepare_cached(
                "UPDATE fetch SET attempts = attempts + 1, due_at = $1, state = $2
                 WHERE capture = $3 AND ordinal = $4 AND file = $5",
            )?
            .execute(params![
                due_at.as_micros(),
                i64::from(over),
                number(id.capture.0),
                id.ordinal,
                file
            ])?;
        Ok(())
    }

    /// Captures of files fetched because of a message.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn outside_of(&self, id: MessageId) -> Result<Vec<CaptureRow>, StoreError> {
        let sql = format!(
            "SELECT {} FROM capture WHERE cause = $1 AND cause_ordinal = $2 ORDER BY position",
            rows::CAPTURE
        );
        let mut statement = self.db.prepare_cached(&sql)?;
        let found = statement
            .query_map(params![number(id.capture.0), id.ordinal], rows::capture)?
            .collect::<Result<_, _>>()?;
        Ok(found)
    }

    /// For each connection: captures, problems, and when the last capture came.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn by_connection(&self) -> Result<Vec<(String, u64, Option<Timestamp>)>, StoreError> {
        let mut statement = self.db.prepare_cached(
            "SELECT connection, COUNT(*), MAX(received_at) FROM capture WHERE cause IS NULL
             GROUP BY connection ORDER BY connection",
        )?;
        let read = |row: &Row<'_>| {
            let (name, count, last): (String, i64, Option<i64>) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok((
                name,
                u64::try_from(count).unwrap_or(0),
                last.map(Timestamp::from_micros),
            ))
        };
        let found = statement.query_map([], read)?.collect::<Result<_, _>>()?;
        Ok(found)
    }

    /// For each connection: how many problems its captures have.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn problems_by_connection(&self) -> Result<Vec<(String, u64)>, StoreError> {
        let mut statement = self.db.prepare_cached(
            "SELECT c.connection, COUNT(*) FROM record r JOIN capture c ON c.position = r.capture
             WHERE r.sort = 3 AND r.repeats = 0 GROUP BY c.connection ORDER BY c.connection",
        )?;
        let read = |row: &Row<'_>| {
            let (name, count): (String, i64) = (row.get(0)?, row.get(1)?);
            Ok((name, u64::try_from(count).unwrap_or(0)))
        };
        let found = statement.query_map([], read)?.collect::<Result<_, _>>()?;
        Ok(found)
    }

    /// How many records of each sort there are: messages, events, problems.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn totals(&self) -> Result<[u64; 3], StoreError> {
        Ok([
            self.count("SELECT COUNT(*) FROM record WHERE sort = 1 AND repeats = 0")?,
            self.count("SELECT COUNT(*) FROM record WHERE sort = 2 AND repeats = 0")?,
            self.count("SELECT COUNT(*) FROM record WHERE sort = 3 AND repeats = 0")?,
        ])
    }

    /// Epochs that still have captures without wraps or parts.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn unfinished_epochs(&self) -> Result<Vec<u32>, StoreError> {
        let mut statement = self
            .db
            .prepare_cached("SELECT DISTINCT epoch FROM capture WHERE state <> 2 ORDER BY epoch")?;
        let found = statement
            .query_map([], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        Ok(found)
    }

    /// Names of the secrets that records concern: conversations and persons.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn count_for_key(&self, key: KeyId) -> Result<u64, StoreError> {
        let mut statement = self.db.prepare_cached(
            "SELECT COUNT(*) FROM record WHERE (conversation = $1 OR person = $1) AND repeats = 0",
        )?;
        let count: i64 = statement.query_row([key.0], |row| row.get(0))?;
        Ok(u64::try_from(count).unwrap_or(0))
    }
}
