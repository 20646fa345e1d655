//! What is known to be missing: messages that something points at, and holes in a sequence that a source counts.
//!
//! Each record costs a few look-ups by index, however many there are. What a gap entry named stands in `lacking` and
//! `lacking_run`, from the act beside it; so a rebuild, which reads entries before it understands captures, knows
//! beforehand what was decided.

use model::{Position, Timestamp};
use rusqlite::{OptionalExtension, params};

use super::rows::{Pointing, RecordRow};
use super::{Catalogue, Digest, number, position};
use crate::folder::StoreError;

/// A message that something points at, and that did not come in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PointedRow {
    /// Keyed digest of its id.
    pub target: Digest,
    /// Connection.
    pub connection: String,
    /// What points at it.
    pub what: Pointing,
    /// When that was said to happen.
    pub at: Timestamp,
}

/// Numbers of a sequence that did not come in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HoleRow {
    /// Keyed digest of the sequence.
    pub stream: Digest,
    /// Connection.
    pub connection: String,
    /// First number missing.
    pub first: u64,
    /// Last number missing.
    pub last: u64,
    /// When the number before it was.
    pub from: Timestamp,
    /// When the number after it was.
    pub to: Timestamp,
}

/// Where a stretch of a sequence stands: numbers without a hole.
struct Run {
    first: i64,
    last: i64,
    last_at: i64,
    due: Option<i64>,
}

/// How a connection speaks: to tell that it is silent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RhythmRow {
    /// Connection.
    pub connection: String,
    /// Captures so far.
    pub captures: u64,
    /// The first.
    pub first: Timestamp,
    /// The newest.
    pub last: Timestamp,
    /// The longest pause between two, in this period of four weeks and the one before, in microseconds.
    pub longest_micros: i64,
}

/// Pauses are forgotten after one to two of these.
const RHYTHM_MICROS: i64 = 28 * 86_400_000_000;

impl Catalogue {
    /// What is missing as far as a record tells, and what is missing no longer.
    pub(super) fn look_for_missing(&mut self, row: &RecordRow) -> Result<(), StoreError> {
        if let Some(platform) = &row.platform {
            self.came(platform)?;
        }
        if let Some((stream, seq)) = row.sequence {
            self.count_on(row.id.capture, row.at, &stream, seq)?;
        }
        match row.target.zip(row.points) {
            Some((target, what)) => self.point_at(row, &target, what),
            None => Ok(()),
        }
    }

    /// Notes that something points at a message, unless that is here or a gap names it.
    fn point_at(&mut self, row: &RecordRow, target: &Digest, what: Pointing) -> Result<(), StoreError> {
        let seen = "SELECT 1 FROM record WHERE platform = $1
                    UNION ALL SELECT 1 FROM without_consent_id WHERE platform = $1 LIMIT 1";
        if self.db.prepare_cached(seen)?.exists([target])? || self.is_lacking(target)? {
            return Ok(());
        }
        let (connection, received_at) = self.arrival(row.id.capture)?;
        self.db
            .prepare_cached(
                "INSERT INTO pointed (target, connection, capture, ordinal, what, at, seen_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (target) DO NOTHING",
            )?
            .execute(params![
                target,
                connection,
                number(row.id.capture.0),
                row.id.ordinal,
                what.name(),
                row.at.map_or(received_at, Timestamp::as_micros),
                received_at,
            ])?;
        Ok(())
    }

    /// A message with this id is here: nothing waits for it any more, and what a gap named came after all.
    pub(super) fn came(&mut self, platform: &Digest) -> Result<(), StoreError> {
        self.db
            .prepare_cached("DELETE FROM pointed WHERE target = $1")?
            .execute([platform])?;
        self.arrived(platform)
    }

    /// What a gap named under this digest is here.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn arrived(&mut self, item: &Digest) -> Result<(), StoreError> {
        let changed = self
            .db
            .prepare_cached("UPDATE lacking SET arrived = 1 WHERE item = $1 AND arrived = 0")?
            .execute([item])?;
        if changed > 0 {
            self.db
                .prepare_cached(
                    "INSERT INTO touched (gap) SELECT gap FROM lacking WHERE item = $1 ON CONFLICT (gap) DO NOTHING",
                )?
                .execute([item])?;
        }
        Ok(())
    }

    fn arrival(&self, capture: Position) -> Result<(String, i64), StoreError> {
        let found = self
            .db
            .prepare_cached("SELECT connection, received_at FROM capture WHERE position = $1")?
            .query_row([number(capture.0)], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        Ok(found.unwrap_or_default())
    }

    /// Notes a number of a sequence: runs without a hole are kept, so that what is between them is missing.
    pub(super) fn count_on(
        &mut self,
        capture: Position,
        at: Option<Timestamp>,
        stream: &Digest,
        seq: u64,
    ) -> Result<(), StoreError> {
        let Ok(seq) = i64::try_from(seq) else {
            return Ok(());
        };
        let before = self.run("first <= $2 ORDER BY first DESC", stream, seq)?;
        if before.as_ref().is_some_and(|run| run.last >= seq) {
            return Ok(());
        }
        let after = self.run("first > $2 ORDER BY first", stream, seq)?;
        let (connection, received_at) = self.arrival(capture)?;
        let at = at.map_or(received_at, Timestamp::as_micros);
        let joins_before = before.as_ref().filter(|run| run.last.checked_add(1) == Some(seq));
        let joins_after = after.as_ref().filter(|run| run.first.checked_sub(1) == Some(seq));
        let (last, last_at) = joins_after.map_or((seq, at), |run| (run.last, run.last_at));
        if let Some(run) = joins_after {
            self.db
                .prepare_cached("DELETE FROM run WHERE stream = $1 AND first = $2")?
                .execute(params![stream, run.first])?;
        }
        match joins_before {
            Some(run) => {
                self.db
                    .prepare_cached(
                        "UPDATE run SET last = $1, last_at = $2 WHERE stream = $3 AND first = $4",
                    )?
                    .execute(params![last, last_at, stream, run.first])?;
            }
            None => {
                // The hole before it, when there is one, was seen now; of a run that only grew, when that was seen.
                let due = match (joins_after.and_then(|run| run.due), &before) {
                    (Some(due), _) => Some(due),
                    (None, Some(_)) if joins_after.is_none() => Some(received_at),
                    (None, _) => None,
                };
                self.db
                    .prepare_cached(
                        "INSERT INTO run (stream, connection, first, last, first_at, last_at, due)
                         VALUES ($1, $2, $3, $4, $5, $6, $7)",
                    )?
                    .execute(params![stream, connection, seq, last, at, last_at, due])?;
            }
        }
        if before.is_none()
            && joins_after.is_none()
            && let Some(run) = &after
        {
            // Older than all so far: what was the beginning has a hole before it now.
            self.db
                .prepare_cached("UPDATE run SET due = $1 WHERE stream = $2 AND first = $3")?
                .execute(params![received_at, stream, run.first])?;
        }
        self.db
            .prepare_cached(
                "INSERT INTO touched (gap) SELECT gap FROM (SELECT gap, last FROM lacking_run
                     WHERE stream = $1 AND first <= $2 ORDER BY first DESC LIMIT 1) AS near WHERE last >= $2
                 ON CONFLICT (gap) DO NOTHING",
            )?
            .execute(params![stream, seq])?;
        Ok(())
    }

    fn run(&self, which: &str, stream: &Digest, seq: i64) -> Result<Option<Run>, StoreError> {
        let sql = format!("SELECT first, last, last_at, due FROM run WHERE stream = $1 AND {which} LIMIT 1");
        let read = |row: &rusqlite::Row<'_>| {
            Ok(Run {
                first: row.get(0)?,
                last: row.get(1)?,
                last_at: row.get(2)?,
                due: row.get(3)?,
            })
        };
        Ok(self
            .db
            .prepare_cached(&sql)?
            .query_row(params![stream, seq], read)
            .optional()?)
    }

    /// Messages pointed at since before `before` and not here, of one connection and sort, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn pointed_before(&self, before: Timestamp, limit: u32) -> Result<Vec<PointedRow>, StoreError> {
        let mut statement = self.db.prepare_cached(
            "SELECT target, connection, what, at FROM pointed WHERE seen_at <= $1
             ORDER BY seen_at, connection, capture, ordinal LIMIT $2",
        )?;
        let read = |row: &rusqlite::Row<'_>| {
            Ok(PointedRow {
                target: row.get(0)?,
                connection: row.get(1)?,
                what: Pointing::named(&row.get::<_, String>(2)?),
                at: Timestamp::from_micros(row.get(3)?),
            })
        };
        let found = statement
            .query_map(params![before.as_micros(), limit], read)?
            .collect::<Result<_, _>>()?;
        Ok(found)
    }

    /// Holes seen before `before` that no gap names yet, at most `limit` runs looked at. What is named already is marked
    /// so, and not looked at again.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn holes_before(&mut self, before: Timestamp, limit: u32) -> Result<Vec<HoleRow>, StoreError> {
        let mut statement = self.db.prepare_cached(
            "SELECT r.stream, r.connection, r.first, r.first_at, p.last, p.last_at FROM run r
             JOIN run p ON p.stream = r.stream
               AND p.first = (SELECT MAX(q.first) FROM run q WHERE q.stream = r.stream AND q.first < r.first)
             WHERE r.due <= $1 ORDER BY r.due, r.stream, r.first LIMIT $2",
        )?;
        type Due = (Digest, String, i64, i64, i64, i64);
        let read = |row: &rusqlite::Row<'_>| -> rusqlite::Result<Due> {
            Ok((
                row.get(0)?,
                row.get(1)?,
                row.get(2)?,
                row.get(3)?,
                row.get(4)?,
                row.get(5)?,
            ))
        };
        let due: Vec<Due> = statement
            .query_map(params![before.as_micros(), limit], read)?
            .collect::<Result<_, _>>()?;
        drop(statement);
        let mut holes = Vec::new();
        for (stream, connection, next, to, last, from) in due {
            let found = self.unnamed(&stream, last + 1, next - 1)?;
            if found.is_empty() {
                self.db
                    .prepare_cached("UPDATE run SET due = NULL WHERE stream = $1 AND first = $2")?
                    .execute(params![stream, next])?;
            }
            holes.extend(found.into_iter().map(|(first, last)| HoleRow {
                stream,
                connection: connection.clone(),
                first: u64::try_from(first).unwrap_or(0),
                last: u64::try_from(last).unwrap_or(0),
                from: Timestamp::from_micros(from),
                to: Timestamp::from_micros(to),
            }));
        }
        Ok(holes)
    }

    /// The pieces of a hole that no gap names.
    fn unnamed(&self, stream: &Digest, first: i64, last: i64) -> Result<Vec<(i64, i64)>, StoreError> {
        let mut statement = self.db.prepare_cached(
            "SELECT first, last FROM lacking_run WHERE stream = $1 AND first <= $2 AND last >= $3 ORDER BY first",
        )?;
        let named = statement
            .query_map(params![stream, last, first], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<Vec<(i64, i64)>, _>>()?;
        let (mut pieces, mut next) = (Vec::new(), first);
        for (from, to) in named {
            if from > next {
                pieces.push((next, from - 1));
            }
            next = next.max(to.saturating_add(1));
        }
        if next <= last {
            pieces.push((next, last));
        }
        Ok(pieces)
    }

    /// Notes what a gap entry names.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn note_lacking(&mut self, gap: Position, items: &[Digest]) -> Result<(), StoreError> {
        for item in items {
            self.db
                .prepare_cached(
                    "INSERT INTO lacking (item, gap, arrived) VALUES ($1, $2, 0) ON CONFLICT (item) DO NOTHING",
                )?
                .execute(params![item, number(gap.0)])?;
            self.db
                .prepare_cached("DELETE FROM pointed WHERE target = $1")?
                .execute([item])?;
        }
        Ok(())
    }

    /// Notes which numbers of a sequence a gap entry names.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn note_lacking_run(
        &mut self,
        gap: Position,
        stream: &Digest,
        first: u64,
        last: u64,
    ) -> Result<(), StoreError> {
        self.db
            .prepare_cached(
                "INSERT INTO lacking_run (stream, first, last, gap) VALUES ($1, $2, $3, $4)
                 ON CONFLICT (stream, first) DO NOTHING",
            )?
            .execute(params![stream, number(first), number(last), number(gap.0)])?;
        Ok(())
    }

    /// Whether some gap names this.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn is_lacking(&self, item: &Digest) -> Result<bool, StoreError> {
        Ok(self
            .db
            .prepare_cached("SELECT 1 FROM lacking WHERE item = $1")?
            .exists([item])?)
    }

    /// Open gaps of which something came since, at most `limit`, with how much of each is still missing.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn touched_gaps(&mut self, limit: u32) -> Result<Vec<(Position, u64)>, StoreError> {
        let mut statement = self.db.prepare_cached(
            "SELECT t.gap FROM touched t JOIN gap g ON g.position = t.gap WHERE g.closed_by IS NULL ORDER BY t.gap LIMIT $1",
        )?;
        let gaps: Vec<i64> = statement
            .query_map([limit], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        drop(statement);
        let mut found = Vec::new();
        for gap in gaps {
            let left = self.still_missing(position(gap))?;
            if left > 0 {
                self.db
                    .prepare_cached("DELETE FROM touched WHERE gap = $1")?
                    .execute([gap])?;
            }
            found.push((position(gap), left));
        }
        Ok(found)
    }

    /// How much of what a gap named is missing now.
    pub(super) fn still_missing(&self, gap: Position) -> Result<u64, StoreError> {
        let items: i64 = self
            .db
            .prepare_cached("SELECT COUNT(*) FROM lacking WHERE gap = $1 AND arrived = 0")?
            .query_row([number(gap.0)], |row| row.get(0))?;
        let mut statement = self
            .db
            .prepare_cached("SELECT stream, first, last FROM lacking_run WHERE gap = $1")?;
        let named = statement
            .query_map([number(gap.0)], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
            .collect::<Result<Vec<(Digest, i64, i64)>, _>>()?;
        let mut left = items;
        for (stream, first, last) in named {
            // The run that begins before the hole may reach into it; the others begin in it.
            let here: i64 = self
                .db
                .prepare_cached(
                    "SELECT COALESCE(SUM(CASE WHEN last < $1 THEN last ELSE $1 END
                                       - CASE WHEN first > $2 THEN first ELSE $2 END + 1), 0)
                     FROM run WHERE stream = $3 AND first <= $1 AND last >= $2 AND first >= COALESCE(
                         (SELECT MAX(first) FROM run WHERE stream = $3 AND first <= $2), $2)",
                )?
                .query_row(params![last, first, stream], |row| row.get(0))?;
            left += (last - first + 1) - here;
        }
        Ok(u64::try_from(left).unwrap_or(0))
    }

    /// Notes that a capture came, for the rhythm of its connection.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn note_rhythm(&mut self, connection: &str, at: Timestamp) -> Result<(), StoreError> {
        self.db
            .prepare_cached(
                "INSERT INTO rhythm (connection, captures, first, last, period, longest, longest_before)
                 VALUES ($1, 1, $2, $2, $2 / $3, 0, 0)
                 ON CONFLICT (connection) DO UPDATE SET
                    captures = rhythm.captures + 1,
                    longest_before = CASE WHEN excluded.period > rhythm.period + 1 THEN 0
                        WHEN excluded.period > rhythm.period THEN rhythm.longest ELSE rhythm.longest_before END,
                    longest = CASE WHEN excluded.last - rhythm.last > rhythm.longest OR excluded.period > rhythm.period
                        THEN CASE WHEN excluded.last > rhythm.last THEN excluded.last - rhythm.last ELSE 0 END
                        ELSE rhythm.longest END,
                    period = CASE WHEN excluded.period > rhythm.period THEN excluded.period ELSE rhythm.period END,
                    last = CASE WHEN excluded.last > rhythm.last THEN excluded.last ELSE rhythm.last END",
            )?
            .execute(params![connection, at.as_micros(), RHYTHM_MICROS])?;
        Ok(())
    }

    /// The rhythm of every connection.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn rhythms(&self) -> Result<Vec<RhythmRow>, StoreError> {
        let mut statement = self.db.prepare_cached(
            "SELECT connection, captures, first, last,
                CASE WHEN longest > longest_before THEN longest ELSE longest_before END
             FROM rhythm ORDER BY connection",
        )?;
        let read = |row: &rusqlite::Row<'_>| {
            Ok(RhythmRow {
                connection: row.get(0)?,
                captures: u64::try_from(row.get::<_, i64>(1)?).unwrap_or(0),
                first: Timestamp::from_micros(row.get(2)?),
                last: Timestamp::from_micros(row.get(3)?),
                longest_micros: row.get(4)?,
            })
        };
        let found = statement.query_map([], read)?.collect::<Result<_, _>>()?;
        Ok(found)
    }

    /// Captures that no key opens and that no gap names yet, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn unreadable_captures(
        &self,
        after: Position,
        limit: u32,
    ) -> Result<Vec<(Position, String, Timestamp)>, StoreError> {
        let mut statement = self.db.prepare_cached(
            "SELECT position, connection, received_at FROM capture
             WHERE state <> 2 AND state = 3 AND position >= $1 ORDER BY position LIMIT $2",
        )?;
        let found = statement
            .query_map(params![number(after.0), limit], |row| {
                Ok((
                    position(row.get(0)?),
                    row.get(1)?,
                    Timestamp::from_micros(row.get(2)?),
                ))
            })?
            .collect::<Result<_, _>>()?;
        Ok(found)
    }
}
