//! What came without the consent that the zone's rule asks for: that it came, how much, and why it is not here.

use model::{KeyId, MessageId, Position, Timestamp};
use rusqlite::params;

use super::rows::{self, RecordRow};
use super::{Catalogue, Digest, number};
use crate::folder::StoreError;

/// Something that lacked consent, as an entry says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lacked {
    /// The custodian who did not agree, by id; empty for somebody else.
    pub custodian: String,
    /// Why.
    pub because: String,
    /// How many records.
    pub records: u64,
}

/// A number of a sequence that came and is not here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenNumber {
    /// Keyed digest of the sequence.
    pub stream: Digest,
    /// The number.
    pub seq: u64,
    /// When it was said.
    pub at: Option<Timestamp>,
}

/// How much lacked consent, by where it came and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Connection.
    pub connection: String,
    /// The custodian who did not agree, by id; empty for somebody else.
    pub custodian: String,
    /// Why.
    pub because: String,
    /// Kept all the same, because nobody may destroy it.
    pub kept: bool,
    /// Intake epoch.
    pub epoch: u32,
    /// A wrap of the capture still opens it, whatever became of its epoch's key.
    pub is_wrapped: bool,
    /// How many records.
    pub records: u64,
}

impl Catalogue {
    /// Notes what of a capture lacked consent; `kept` when it is here all the same.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn note_lacked(
        &mut self,
        entry: Position,
        source: Position,
        lacked: &[Lacked],
        kept: bool,
    ) -> Result<(), StoreError> {
        let mut insert = self.db.prepare_cached(
            "INSERT INTO without_consent (entry, place, source, connection, epoch, custodian, because, records, kept)
             SELECT $1, $2, $3, connection, epoch, $4, $5, $6, $7 FROM capture WHERE position = $3
             ON CONFLICT (entry, place) DO NOTHING",
        )?;
        for (place, lacked) in (0i64..).zip(lacked) {
            insert.execute(params![
                number(entry.0),
                place,
                number(source.0),
                lacked.custodian,
                lacked.because,
                number(lacked.records),
                i64::from(kept),
            ])?;
        }
        Ok(())
    }

    /// Takes in that parts of a capture were sealed under what nobody keeps.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn note_refused(&mut self, keys: &[KeyId], entry: Position) -> Result<(), StoreError> {
        self.note_gone(keys, entry)
    }

    /// Takes in that records of a capture came which are not here: no gap claims them.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn note_came(
        &mut self,
        source: Position,
        ids: &[Digest],
        numbers: &[SeenNumber],
    ) -> Result<(), StoreError> {
        for platform in ids {
            self.db
                .prepare_cached(
                    "INSERT INTO without_consent_id (platform) VALUES ($1) ON CONFLICT (platform) DO NOTHING",
                )?
                .execute([platform])?;
            self.came(platform)?;
        }
        numbers
            .iter()
            .try_for_each(|one| self.count_on(source, one.at, &one.stream, one.seq))
    }

    /// How much lacked consent.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn refused(&self) -> Result<Vec<Refused>, StoreError> {
        let mut statement = self.db.prepare_cached(
            "SELECT connection, custodian, because, kept, epoch, SUM(records), wrapped FROM
                (SELECT connection, custodian, because, kept, epoch, records, EXISTS
                    (SELECT 1 FROM wrap WHERE wrap.source = without_consent.source AND wrap.dead = 0) AS wrapped
                 FROM without_consent)
             GROUP BY connection, custodian, because, kept, epoch, wrapped
             ORDER BY connection, custodian, because, kept, epoch, wrapped",
        )?;
        let found = statement
            .query_map([], |row| {
                Ok(Refused {
                    connection: row.get(0)?,
                    custodian: row.get(1)?,
                    because: row.get(2)?,
                    kept: row.get::<_, i64>(3)? != 0,
                    epoch: row.get(4)?,
                    records: u64::try_from(row.get::<_, i64>(5)?).unwrap_or(0),
                    is_wrapped: row.get::<_, i64>(6)? != 0,
                })
            })?
            .collect::<Result<_, _>>()?;
        Ok(found)
    }

    /// Why something of a capture lacked consent: what was destroyed, or what was kept.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn lacked_by(&self, source: Position, kept: bool) -> Result<Vec<String>, StoreError> {
        let mut statement = self.db.prepare_cached(
            "SELECT DISTINCT because FROM without_consent WHERE source = $1 AND kept = $2 ORDER BY because",
        )?;
        let found = statement
            .query_map([number(source.0), i64::from(kept)], |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        Ok(found)
    }

    /// The newest epoch in which something came that was destroyed for want of consent; 0 for none.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn refused_epoch(&self) -> Result<u32, StoreError> {
        let found: Option<u32> = self.db.query_row(
            "SELECT MAX(epoch) FROM without_consent WHERE kept = 0",
            [],
            |row| row.get(0),
        )?;
        Ok(found.unwrap_or(0))
    }

    /// Events about consent after `after`, in order of their ids, each with the connection that it came by.
    ///
    /// # Errors
    /// [`StoreError::Catalogue`].
    pub fn consents_after(
        &self,
        after: Option<MessageId>,
        limit: u32,
    ) -> Result<Vec<(RecordRow, String)>, StoreError> {
        let (capture, ordinal) = after.map_or((-1, 0), |id| (number(id.capture.0), i64::from(id.ordinal)));
        let sql = format!(
            "SELECT {} FROM record WHERE sort = 2 AND what = 'consent' AND (capture, ordinal) > ($1, $2)
             ORDER BY capture, ordinal LIMIT $3",
            rows::RECORD
        );
        let found: Vec<RecordRow> = self
            .db
            .prepare_cached(&sql)?
            .query_map([capture, ordinal, i64::from(limit)], rows::record)?
            .collect::<Result<_, _>>()?;
        found
            .into_iter()
            .map(|row| {
                let connection = self
                    .db
                    .prepare_cached("SELECT connection FROM capture WHERE position = $1")?
                    .query_row([number(row.id.capture.0)], |row| row.get(0))?;
                Ok((row, connection))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::rows::{CaptureRow, CaptureState};
    use super::*;

    #[test]
    fn what_was_refused_counts_as_wrapped_until_each_wrap_of_its_capture_has_lost_a_secret() {
        let folder = tempfile::tempdir().unwrap();
        let (mut catalogue, _) = Catalogue::open(&folder.path().join("catalogue.sqlite")).unwrap();
        let at = Position(7);
        let row = CaptureRow {
            position: at,
            capture_id: [7; 16],
            connection: "archive".to_owned(),
            connector: "wecom-archive".to_owned(),
            connector_version: 1,
            received_at: Timestamp::from_seconds(1),
            verdict: 1,
            epoch: 3,
            chunks: 1,
            size_bytes: 10,
            last_position: at,
            state: CaptureState::Complete,
            cause: None,
            file: 0,
            file_state: 0,
            closed: false,
            locked_until: None,
        };
        catalogue.note_chunk(&row, 0, true, at).unwrap();
        let lacked = Lacked {
            custodian: String::new(),
            because: "counterparty-disagreed".to_owned(),
            records: 1,
        };
        catalogue.note_lacked(Position(11), at, &[lacked], false).unwrap();
        let wrapped = |catalogue: &Catalogue| {
            let refused = catalogue.refused().unwrap();
            assert_eq!(refused.len(), 1);
            refused[0].is_wrapped
        };
        assert!(!wrapped(&catalogue));
        let [standing_in, next, period] = [1, 2, 3].map(|n| KeyId([n; 16]));
        catalogue
            .note_wrap(at, Position(8), &[standing_in, period])
            .unwrap();
        assert!(wrapped(&catalogue));
        catalogue.note_wrap(at, Position(9), &[next, period]).unwrap();
        catalogue.note_refused(&[standing_in], Position(12)).unwrap();
        assert!(wrapped(&catalogue), "the next secret that stands in opens it");
        catalogue.note_refused(&[next], Position(13)).unwrap();
        assert!(!wrapped(&catalogue));
    }
}
