//! Records: what was understood of captures, told apart and found again by keyed digests.

use model::{KeyId, MessageId, Position, Timestamp};
use rusqlite::{OptionalExtension, params};

use super::rows::{self, Placement, RecordRow, RecordSort, SearchFilter};
use super::{Catalogue, Digest, number, position};
use crate::folder::StoreError;

impl Catalogue {
    /// Takes away the records of a capture, before they are written anew.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn clear_records(&mut self, capture: Position) -> Result<(), StoreError> {
        for sql in [
            "DELETE FROM record WHERE capture = $1",
            "DELETE FROM fetch WHERE capture = $1",
            "DELETE FROM pointed WHERE capture = $1",
        ] {
            self.db.prepare_cached(sql)?.execute([number(capture.0)])?;
        }
        Ok(())
    }

    /// Inserts a record, and tells whether an earlier capture said the same.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn insert_record(&mut self, row: &RecordRow) -> Result<bool, StoreError> {
        let repeats = self.repeated(row)?;
        let (placement, part, item) = match row.placement {
            Placement::Capture => (0, None, None),
            Placement::Part { part, item } => (1, Some(number(part.0)), Some(item)),
        };
        self.db
            .prepare_cached(
                "INSERT INTO record (capture, ordinal, sort, what, conversation, person, at, at_local, digest, platform,
                    target, place, repeats, placement, part, item, sealed)
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
                row.place,
                i64::from(repeats),
                placement,
                part,
                item,
                row.sealed,
            ])?;
        self.look_for_missing(row)?;
        Ok(repeats)
    }

    /// Whether some earlier capture says the same more often than this capture does so far.
    fn repeated(&self, row: &RecordRow) -> Result<bool, StoreError> {
        let same = "FROM record WHERE conversation = $1 AND place = $2 AND digest = $3";
        let capture = number(row.id.capture.0);
        let mut earlier = self.db.prepare_cached(&format!(
            "SELECT COUNT(*) {same} AND capture < $4 GROUP BY capture ORDER BY COUNT(*) DESC LIMIT 1"
        ))?;
        let earlier: Option<i64> = earlier
            .query_row(
                params![row.conversation.0, row.place, row.digest, capture],
                |row| row.get(0),
            )
            .optional()?;
        let Some(earlier) = earlier else { return Ok(false) };
        let mut here = self
            .db
            .prepare_cached(&format!("SELECT COUNT(*) {same} AND capture = $4"))?;
        let here: i64 = here.query_row(
            params![row.conversation.0, row.place, row.digest, capture],
            |row| row.get(0),
        )?;
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
             WHERE (capture, ordinal) > ($1, $2)
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

    /// Messages, events and problems of captures that are whole before a position.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn totals_before(&self, before: Position) -> Result<[u64; 3], StoreError> {
        let mut statement = self.db.prepare_cached(
            "SELECT COUNT(*) FROM record JOIN capture ON capture.position = record.capture
                 WHERE capture.last_position < $1 AND record.sort = $2",
        )?;
        let mut count = |sort: RecordSort| -> Result<u64, StoreError> {
            let count: i64 = statement.query_row(params![number(before.0), sort.code()], |row| row.get(0))?;
            Ok(u64::try_from(count).unwrap_or(0))
        };
        Ok([
            count(RecordSort::Message)?,
            count(RecordSort::Event)?,
            count(RecordSort::Problem)?,
        ])
    }

    /// Every `step`-th record of captures that are whole before a position, from the first on.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn spread_before(&self, before: Position, step: u64) -> Result<Vec<MessageId>, StoreError> {
        let mut statement = self.db.prepare_cached(
            "SELECT capture, ordinal FROM (
                 SELECT record.capture, record.ordinal,
                        ROW_NUMBER() OVER (ORDER BY record.capture, record.ordinal) AS n
                 FROM record JOIN capture ON capture.position = record.capture
                 WHERE capture.last_position < $1
             ) AS numbered WHERE (n - 1) % $2 = 0 ORDER BY capture, ordinal",
        )?;
        let found = statement
            .query_map(params![number(before.0), number(step)], |row| {
                Ok(MessageId {
                    capture: position(row.get(0)?),
                    ordinal: row.get(1)?,
                })
            })?
            .collect::<Result<_, _>>()?;
        Ok(found)
    }

    /// Messages of a person in a stretch of time, repeats left out.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn count_said_by(
        &self,
        person: KeyId,
        from: Timestamp,
        to: Option<Timestamp>,
    ) -> Result<u64, StoreError> {
        let mut statement = self.db.prepare_cached(
            "SELECT COUNT(*) FROM record WHERE capture IN (SELECT source FROM concern WHERE key = $1)
               AND person = $1 AND sort = 1 AND repeats = 0 AND at >= $2 AND ($3 IS NULL OR at < $3)",
        )?;
        let count: i64 = statement.query_row(
            params![person.0, from.as_micros(), to.map(Timestamp::as_micros)],
            |row| row.get(0),
        )?;
        Ok(u64::try_from(count).unwrap_or(0))
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

    /// Pairs of a new line of a text export and one of an earlier capture of the same conversation, sender and minute,
    /// whose text differs and which this capture does not hold: messages changed between two exports.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn changed_since(
        &self,
        capture: Position,
        limit: u32,
    ) -> Result<Vec<(MessageId, MessageId)>, StoreError> {
        let mut statement = self.db.prepare_cached(
            "SELECT DISTINCT n.ordinal, o.capture, o.ordinal FROM record n
             JOIN record o ON o.conversation = n.conversation AND o.place = n.place AND o.person = n.person
             WHERE n.capture = $1 AND n.sort = 1 AND n.repeats = 0 AND n.platform IS NULL
               AND o.capture < $1 AND o.sort = 1 AND o.repeats = 0 AND o.platform IS NULL
               AND NOT EXISTS (SELECT 1 FROM record s WHERE s.capture = $1
                   AND s.conversation = o.conversation AND s.place = o.place AND s.digest = o.digest)
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
}
