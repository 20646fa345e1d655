//! What a destruction reaches, and what is left of it afterwards: that there was something.

use model::{KeyId, MessageId, Position, Timestamp};
use rusqlite::{OptionalExtension, params};

use super::rows::{self, CaptureRow, RecordRow};
use super::{Catalogue, Digest, number, position};
use crate::folder::StoreError;

/// A record of a mixed capture whose part lost a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ErasedRecord {
    /// Its id.
    pub id: MessageId,
    /// Its part.
    pub part: Position,
    /// The first of its items there.
    pub item: u32,
}

/// The mark that says that what was deleted still stands in the files of the database.
const TO_SWEEP: &str = "sweep";

/// What records that say the same have in common: conversation, place, digest.
type Same = ([u8; 16], i64, Digest);

fn same(row: &rusqlite::Row<'_>) -> rusqlite::Result<Same> {
    Ok((row.get(0)?, row.get(1)?, row.get(2)?))
}

/// Captures looked through at once.
const PAGE: u32 = 1000;

impl Catalogue {
    /// Notes which secrets a wrap or part needs; answers the destruction by which one of them is gone already, or 0.
    pub(super) fn note_concerns(
        &mut self,
        keys: &[KeyId],
        source: Position,
        at: Position,
    ) -> Result<i64, StoreError> {
        let mut insert = self.db.prepare_cached(
            "INSERT INTO concern (key, source, position) VALUES ($1, $2, $3)
             ON CONFLICT (key, source, position) DO NOTHING",
        )?;
        let mut gone = self
            .db
            .prepare_cached("SELECT position FROM gone WHERE key = $1")?;
        let mut dead = 0;
        for key in keys {
            insert.execute(params![key.0, number(source.0), number(at.0)])?;
            let by: Option<i64> = gone.query_row([key.0], |row| row.get(0)).optional()?;
            if let Some(by) = by {
                dead = if dead == 0 { by } else { by.min(dead) };
            }
        }
        Ok(dead)
    }

    /// A wrap or part that can never be opened was written: its capture is closed from its beginning.
    pub(super) fn close_if(&mut self, source: Position, dead: i64) -> Result<(), StoreError> {
        if dead != 0 {
            self.db
                .prepare_cached("UPDATE capture SET closed = 1 WHERE position = $1")?
                .execute([number(source.0)])?;
        }
        Ok(())
    }

    /// Takes in that secrets were destroyed: what only they opened is deleted, and that it was there is noted.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn note_destruction(&mut self, keys: &[KeyId], at: Position) -> Result<(), StoreError> {
        self.note_gone(keys, at)?;
        if !keys.is_empty() {
            self.set_mark(TO_SWEEP, 1)?;
        }
        Ok(())
    }

    /// As [`Catalogue::note_destruction`], of what had no rows.
    pub(super) fn note_gone(&mut self, keys: &[KeyId], at: Position) -> Result<(), StoreError> {
        for key in keys {
            self.db
                .prepare_cached(
                    "INSERT INTO gone (key, position) VALUES ($1, $2) ON CONFLICT (key) DO NOTHING",
                )?
                .execute(params![key.0, number(at.0)])?;
            for table in ["wrap", "part"] {
                self.db.execute(
                    &format!(
                        "UPDATE {table} SET dead = $1 WHERE dead = 0 AND (source, position) IN
                         (SELECT source, position FROM concern WHERE key = $2)"
                    ),
                    params![number(at.0), key.0],
                )?;
            }
            let mut after = None;
            loop {
                let sources = self.concerned(*key, after, PAGE)?;
                let Some(last) = sources.last() else { break };
                after = Some(*last);
                for source in &sources {
                    self.bury(*source)?;
                }
            }
        }
        Ok(())
    }

    /// Deletes what of a capture is dead.
    fn bury(&mut self, source: Position) -> Result<(), StoreError> {
        let mixed = self.is_mixed(source)?;
        if !mixed && self.wrap(source)?.is_some() {
            return Ok(());
        }
        let source = number(source.0);
        let dead = if mixed {
            "capture = $1 AND part IN (SELECT position FROM part WHERE source = $1 AND dead <> 0)"
        } else {
            "capture = $1"
        };
        let said = self
            .db
            .prepare_cached(&format!(
                "SELECT DISTINCT conversation, place, digest FROM record WHERE {dead}"
            ))?
            .query_map([source], same)?
            .collect::<Result<Vec<Same>, _>>()?;
        if mixed {
            self.db
                .prepare_cached(&format!(
                    "INSERT INTO erased (capture, ordinal, part, item)
                     SELECT capture, ordinal, part, item FROM record WHERE {dead}
                     ON CONFLICT (capture, ordinal) DO NOTHING"
                ))?
                .execute([source])?;
            self.db
                .prepare_cached(
                    "DELETE FROM fetch WHERE capture = $1
                     AND ordinal IN (SELECT ordinal FROM erased WHERE capture = $1)",
                )?
                .execute([source])?;
        } else {
            self.db
                .prepare_cached("DELETE FROM fetch WHERE capture = $1")?
                .execute([source])?;
        }
        self.db
            .prepare_cached(&format!("DELETE FROM record WHERE {dead}"))?
            .execute([source])?;
        // What only it pointed at would be unknown after a rebuild, too.
        self.db
            .prepare_cached(
                "DELETE FROM pointed WHERE capture = $1
                 AND NOT EXISTS (SELECT 1 FROM record r WHERE r.capture = $1 AND r.ordinal = pointed.ordinal)",
            )?
            .execute([source])?;
        let state = if mixed {
            "state"
        } else {
            "CASE state WHEN 2 THEN 4 ELSE state END"
        };
        self.db
            .prepare_cached(&format!(
                "UPDATE capture SET closed = 1, report = NULL, state = {state} WHERE position = $1"
            ))?
            .execute([source])?;
        said.iter().try_for_each(|said| self.tell_repeats(said))
    }

    /// Whether a capture was written out as parts, or began to be.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn is_mixed(&self, source: Position) -> Result<bool, StoreError> {
        let mut statement = self
            .db
            .prepare_cached("SELECT 1 FROM part WHERE source = $1 LIMIT 1")?;
        Ok(statement.exists([number(source.0)])?)
    }

    /// Tells anew which records of a capture repeat an earlier one, where the capture says the same more than once: for rows
    /// that were not inserted in the order of their ordinals.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn tell_repeats_of(&mut self, capture: Position) -> Result<(), StoreError> {
        let said = self
            .db
            .prepare_cached(
                "SELECT conversation, place, digest FROM record WHERE capture = $1
                 GROUP BY conversation, place, digest HAVING COUNT(*) > 1",
            )?
            .query_map([number(capture.0)], same)?
            .collect::<Result<Vec<Same>, _>>()?;
        said.iter().try_for_each(|said| self.tell_repeats(said))
    }

    /// Tells anew which records that say the same repeat an earlier capture: the first may be gone.
    fn tell_repeats(&mut self, (conversation, place, digest): &Same) -> Result<(), StoreError> {
        let rows = self
            .db
            .prepare_cached(
                "SELECT capture, ordinal, repeats FROM record
                 WHERE conversation = $1 AND place = $2 AND digest = $3 ORDER BY capture, ordinal",
            )?
            .query_map(params![conversation, place, digest], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })?
            .collect::<Result<Vec<(i64, i64, i64)>, _>>()?;
        let (mut most, mut here, mut capture) = (0, 0, None);
        for (of, ordinal, repeats) in rows {
            if capture != Some(of) {
                most = most.max(here);
                (here, capture) = (0, Some(of));
            }
            let now = i64::from(most > here);
            here += 1;
            if now != repeats {
                self.db
                    .prepare_cached("UPDATE record SET repeats = $1 WHERE capture = $2 AND ordinal = $3")?
                    .execute([now, of, ordinal])?;
            }
        }
        Ok(())
    }

    /// Notes a record of a mixed capture that can no longer be opened.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn note_erased(&mut self, erased: &ErasedRecord) -> Result<(), StoreError> {
        self.db
            .prepare_cached(
                "INSERT INTO erased (capture, ordinal, part, item) VALUES ($1, $2, $3, $4)
                 ON CONFLICT (capture, ordinal) DO NOTHING",
            )?
            .execute(params![
                number(erased.id.capture.0),
                erased.id.ordinal,
                number(erased.part.0),
                erased.item
            ])?;
        Ok(())
    }

    /// An erased record of a mixed capture.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn erased(&self, id: MessageId) -> Result<Option<ErasedRecord>, StoreError> {
        let mut statement = self
            .db
            .prepare_cached("SELECT part, item FROM erased WHERE capture = $1 AND ordinal = $2")?;
        let found = statement
            .query_row(params![number(id.capture.0), id.ordinal], |row| {
                Ok(ErasedRecord {
                    id,
                    part: position(row.get(0)?),
                    item: row.get(1)?,
                })
            })
            .optional()?;
        Ok(found)
    }

    /// Erased records of mixed captures after `after`, in order of their ids.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn erased_after(
        &self,
        after: Option<MessageId>,
        limit: u32,
    ) -> Result<Vec<ErasedRecord>, StoreError> {
        let (capture, ordinal) = after.map_or((-1, 0), |id| (number(id.capture.0), i64::from(id.ordinal)));
        let mut statement = self.db.prepare_cached(
            "SELECT capture, ordinal, part, item FROM erased
             WHERE (capture, ordinal) > ($1, $2) ORDER BY capture, ordinal LIMIT $3",
        )?;
        let found = statement
            .query_map([capture, ordinal, i64::from(limit)], |row| {
                Ok(ErasedRecord {
                    id: MessageId {
                        capture: position(row.get(0)?),
                        ordinal: row.get(1)?,
                    },
                    part: position(row.get(2)?),
                    item: row.get(3)?,
                })
            })?
            .collect::<Result<_, _>>()?;
        Ok(found)
    }

    /// Captures after `after` all of which is erased, in order; files fetched because of a message left out.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn erased_captures(&self, after: Option<Position>, limit: u32) -> Result<Vec<Position>, StoreError> {
        let after = after.map_or(-1, |at| number(at.0));
        let mut statement = self.db.prepare_cached(
            "SELECT position FROM capture WHERE state = 4 AND state <> 2 AND cause IS NULL AND position > $1
             ORDER BY position LIMIT $2",
        )?;
        let found = statement
            .query_map([after, i64::from(limit)], |row| row.get(0).map(position))?
            .collect::<Result<_, _>>()?;
        Ok(found)
    }

    /// How much is erased: records of mixed captures, and captures that are erased whole.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn count_erased(&self) -> Result<(u64, u64), StoreError> {
        Ok((
            self.count("SELECT COUNT(*) FROM erased")?,
            self.count("SELECT COUNT(*) FROM capture WHERE state = 4 AND state <> 2 AND cause IS NULL")?,
        ))
    }

    /// How many records of a capture are erased.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn count_erased_of(&self, capture: Position) -> Result<u64, StoreError> {
        let mut statement = self
            .db
            .prepare_cached("SELECT COUNT(*) FROM erased WHERE capture = $1")?;
        let count: i64 = statement.query_row([number(capture.0)], |row| row.get(0))?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// All wraps of a capture, dead ones too, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn wraps(&self, source: Position) -> Result<Vec<Position>, StoreError> {
        let mut statement = self
            .db
            .prepare_cached("SELECT position FROM wrap WHERE source = $1 ORDER BY position")?;
        let found = statement
            .query_map([number(source.0)], |row| row.get(0).map(position))?
            .collect::<Result<_, _>>()?;
        Ok(found)
    }

    /// Parts of a capture that lost a secret.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn dead_parts(&self, source: Position) -> Result<Vec<Position>, StoreError> {
        let mut statement = self
            .db
            .prepare_cached("SELECT position FROM part WHERE source = $1 AND dead <> 0 ORDER BY position")?;
        let found = statement
            .query_map([number(source.0)], |row| row.get(0).map(position))?
            .collect::<Result<_, _>>()?;
        Ok(found)
    }

    /// The destruction by which a wrap or part lost a secret.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn died_by(&self, source: Position, at: Position) -> Result<Option<Position>, StoreError> {
        let mut statement = self.db.prepare_cached(
            "SELECT dead FROM wrap WHERE source = $1 AND position = $2 AND dead <> 0
             UNION SELECT dead FROM part WHERE source = $1 AND position = $2 AND dead <> 0",
        )?;
        let found: Option<i64> = statement
            .query_row([number(source.0), number(at.0)], |row| row.get(0))
            .optional()?;
        Ok(found.map(position))
    }

    /// Captures after `after` that a secret concerns, in order.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn concerned(
        &self,
        key: KeyId,
        after: Option<Position>,
        limit: u32,
    ) -> Result<Vec<Position>, StoreError> {
        let after = after.map_or(-1, |at| number(at.0));
        let mut statement = self.db.prepare_cached(
            "SELECT DISTINCT source FROM concern WHERE key = $1 AND source > $2 ORDER BY source LIMIT $3",
        )?;
        let found = statement
            .query_map(params![key.0, after, limit], |row| row.get(0).map(position))?
            .collect::<Result<_, _>>()?;
        Ok(found)
    }

    /// Records of a capture that hang on this secret.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn hanging_on(&self, key: KeyId, source: Position) -> Result<Vec<RecordRow>, StoreError> {
        let sql = format!(
            "SELECT {} FROM record WHERE capture = $1
             AND (part IS NULL OR part IN (SELECT position FROM concern WHERE key = $2 AND source = $1))
             ORDER BY ordinal",
            rows::RECORD
        );
        let mut statement = self.db.prepare_cached(&sql)?;
        let found = statement
            .query_map(params![number(source.0), key.0], rows::record)?
            .collect::<Result<_, _>>()?;
        Ok(found)
    }

    /// Records of a capture from an ordinal on.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn records_of(&self, source: Position, from: u32, limit: u32) -> Result<Vec<RecordRow>, StoreError> {
        let sql = format!(
            "SELECT {} FROM record WHERE capture = $1 AND ordinal >= $2 ORDER BY ordinal LIMIT $3",
            rows::RECORD
        );
        let mut statement = self.db.prepare_cached(&sql)?;
        let found = statement
            .query_map(params![number(source.0), from, limit], rows::record)?
            .collect::<Result<_, _>>()?;
        Ok(found)
    }

    /// When the last legal minimum of what a secret concerns is over; none when there is none.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn locked_until(&self, key: KeyId) -> Result<Option<Timestamp>, StoreError> {
        let mut statement = self.db.prepare_cached(
            "SELECT MAX(locked_until) FROM capture WHERE position IN (SELECT source FROM concern WHERE key = $1)",
        )?;
        let found: Option<i64> = statement.query_row([key.0], |row| row.get(0))?;
        Ok(found.map(Timestamp::from_micros))
    }

    /// Epochs in which captures were received that these secrets concern.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn epochs_of(&self, key: KeyId) -> Result<Vec<u32>, StoreError> {
        let mut statement = self.db.prepare_cached(
            "SELECT DISTINCT epoch FROM capture WHERE position IN (SELECT source FROM concern WHERE key = $1)
             ORDER BY epoch",
        )?;
        let found = statement
            .query_map([key.0], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        Ok(found)
    }

    /// Conversations in which this person wrote something that can be read.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn conversations_of(&self, person: KeyId) -> Result<Vec<KeyId>, StoreError> {
        let mut statement = self.db.prepare_cached(
            "SELECT DISTINCT conversation FROM record
             WHERE capture IN (SELECT source FROM concern WHERE key = $1) AND person = $1",
        )?;
        let found = statement
            .query_map([person.0], |row| row.get(0).map(KeyId))?
            .collect::<Result<Vec<_>, _>>()?;
        Ok(found.into_iter().filter(|key| *key != KeyId::NONE).collect())
    }

    /// Files fetched because of these records that hang on this secret.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn files_concerned(&self, key: KeyId) -> Result<Vec<CaptureRow>, StoreError> {
        let sql = format!(
            "SELECT {} FROM capture WHERE cause IS NOT NULL
             AND position IN (SELECT source FROM concern WHERE key = $1) ORDER BY position",
            rows::CAPTURE
        );
        let mut statement = self.db.prepare_cached(&sql)?;
        let found = statement
            .query_map([key.0], rows::capture)?
            .collect::<Result<_, _>>()?;
        Ok(found)
    }

    /// Entries from `from` on by which holds and destructions are governed: their acts, and what people had destroyed.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn governing(&self, codes: (u16, u16), from: Position) -> Result<Vec<Position>, StoreError> {
        let mut statement = self.db.prepare_cached(
            "SELECT position FROM act WHERE code BETWEEN $1 AND $2 AND position >= $3
             UNION SELECT position FROM gone WHERE position >= $3
                 AND position NOT IN (SELECT entry FROM without_consent) ORDER BY 1",
        )?;
        let found = statement
            .query_map(params![codes.0, codes.1, number(from.0)], |row| {
                row.get(0).map(position)
            })?
            .collect::<Result<_, _>>()?;
        Ok(found)
    }

    /// Whether what was deleted still stands in the database's files.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn must_sweep(&self) -> Result<bool, StoreError> {
        Ok(self.mark(TO_SWEEP)? != 0)
    }

    /// Writes the database's file anew without what was deleted. SQLite overwrites a deleted row (`secure_delete`), but not
    /// the copies of it that it left behind in pages when it moved rows about: a test found digests of the dead there.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`], also when the disk has not the room for a second copy.
    pub fn write_anew(&mut self) -> Result<(), StoreError> {
        self.db.execute_batch("VACUUM")?;
        Ok(())
    }

    /// Ends the database's log, in which what was deleted still stands. `false` when somebody reads just now: try again.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn end_log(&mut self) -> Result<bool, StoreError> {
        let busy: i64 = self
            .db
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
        if busy != 0 {
            return Ok(false);
        }
        self.set_mark(TO_SWEEP, 0)?;
        Ok(true)
    }
}
