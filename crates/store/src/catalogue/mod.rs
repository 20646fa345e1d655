//! The catalogue: what followers made of the ledger, in SQLite. All of it can be deleted and made again.
//!
//! Names, texts and search terms stand in it only sealed; what is plain are positions, times, kinds, sizes, connection
//! names and keyed digests. SQL is kept to what PostgreSQL accepts too: BIGINT, TEXT, BYTEA (SQLite keeps it as the
//! blob it is given), numbered parameters, ON CONFLICT; ids are given by us.

use std::path::Path;

use model::{MessageId, Position, Timestamp};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::folder::StoreError;

mod canaries;
mod captures;
mod consent;
mod erasure;
mod gaps;
mod missing;
mod records;
mod reopen;
mod rows;
mod statements;
pub use canaries::{CanaryRow, Missed};
pub use consent::{Lacked, Refused, SeenNumber};
pub use erasure::ErasedRecord;
pub use missing::{HoleRow, PointedRow, RhythmRow};
pub use rows::{
    CaptureRow, CaptureState, Closed, FetchRow, GapRow, Placement, Pointing, RecordRow, RecordSort,
    SearchFilter,
};
pub use statements::{StatementRow, Stretch};

const SCHEMA: &str = include_str!("schema.sql");

/// Raised whenever the tables change: an older catalogue is then made anew.
const VERSION: i64 = 6;

const TABLES: [&str; 23] = [
    "mark",
    "capture",
    "chunk",
    "wrap",
    "part",
    "concern",
    "gone",
    "erased",
    "record",
    "gap",
    "imported",
    "fetch",
    "act",
    "pointed",
    "lacking",
    "lacking_run",
    "touched",
    "run",
    "rhythm",
    "statement",
    "canary",
    "without_consent",
    "without_consent_id",
];

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
        // Pages that many rows touch go back into the file once in 64 MiB of log, not once in 4.
        db.pragma_update(None, "wal_autocheckpoint", 16_384)?;
        db.pragma_update(None, "journal_size_limit", 128 << 20)?;
        db.pragma_update(None, "secure_delete", "ON")?;
        // Plans do not depend on what is bound: otherwise a text that binds a column of a partial index is parsed anew each time.
        db.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
        // More than there are texts: a round of the follower uses most of them, and parsing costs more than running.
        db.set_prepared_statement_cache_capacity(128);
        db.execute_batch("CREATE TABLE IF NOT EXISTS mark (name TEXT PRIMARY KEY, value BIGINT NOT NULL)")?;
        let mut catalogue = Catalogue { db };
        let version = catalogue.mark("version")?;
        if version != VERSION {
            // Tables of another shape are not emptied but taken away.
            for table in TABLES {
                catalogue
                    .db
                    .execute(&format!("DROP TABLE IF EXISTS {table}"), [])?;
            }
            catalogue.db.execute_batch(SCHEMA)?;
            catalogue.clear()?;
            return Ok((catalogue, true));
        }
        Ok((catalogue, false))
    }

    /// Empties all tables.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn clear(&mut self) -> Result<(), StoreError> {
        for table in TABLES {
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

    fn count(&self, sql: &str) -> Result<u64, StoreError> {
        let count: i64 = self.db.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
        Ok(u64::try_from(count).unwrap_or(0))
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

    /// Acts with this code from an entry on, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn acts_from(&self, code: u16, from: Position) -> Result<Vec<Position>, StoreError> {
        let mut statement = self.db.prepare_cached(
            "SELECT position FROM act WHERE code = $1 AND position >= $2 ORDER BY position",
        )?;
        let found = statement
            .query_map(params![code, number(from.0)], |row| {
                row.get::<_, i64>(0).map(position)
            })?
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

    /// Whether a capture came out of a file that somebody imported.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn is_import(&self, capture_id: &Digest) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM imported WHERE capture_id = $1)";
        let found = self
            .db
            .prepare_cached(sql)?
            .query_row([capture_id], |row| row.get(0))?;
        Ok(found)
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
        let mut statement = self.db.prepare_cached(
            "SELECT DISTINCT epoch FROM capture WHERE state <> 2 AND state <> 4 ORDER BY epoch",
        )?;
        let found = statement
            .query_map([], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        Ok(found)
    }
}
