//! Normalize: opens a capture, has its connector say what it means, and writes wraps, parts and rows.
//!
//! A capture that concerns one author and one conversation gets a wrap of its data key. One that concerns several is
//! written out as parts. Either way it stays readable after its epoch's key is gone, and dies with any secret it is
//! sealed under.

use std::io::{self, Seek, SeekFrom};
use std::sync::Arc;

use connect::{Connector, Fetch, Report, Sink};
use model::entry::{Kind, Wrap};
use model::{KeyId, MessageId, Timestamp};
use seal::Key;
use seal::part::item_key;
use store::catalogue::{CaptureRow, CaptureState, FetchRow, Placement, RecordRow};
use store::failpoint;
use store::ledger::Draft;

use super::captures::{CaptureReader, Descriptor};
use super::existing::Existing;
use super::labels::Owner;
use super::parts::{OpenStream, OwnerBook, PartWriter};
use super::rows::{Reading, seal_row};
use super::sinks::{Again, Gather, Gathered, Stream, Understood};
use super::{Inner, VaultError, locked};

/// Captures up to this size are parsed into memory first, to see whom they concern; larger ones are exports, and
/// always written out as parts.
const SMALL_BYTES: u64 = 4 << 20;

/// Rows are written to the catalogue in steps of about this many.
pub const ROWS_STEP: usize = 20_000;

/// The parts of a capture that every path needs.
pub struct Work<'a> {
    pub inner: &'a Arc<Inner>,
    pub row: &'a CaptureRow,
    connector: &'static dyn Connector,
    key: Key,
    chunks: Vec<model::Position>,
    descriptor: Descriptor,
}

/// Normalizes one capture. Everything it writes is there, or none of it counts.
pub fn normalize(inner: &Arc<Inner>, row: &CaptureRow) -> Result<(), VaultError> {
    let (wrap, parts, chunks) = {
        let catalogue = locked(&inner.catalogue);
        (
            catalogue.wrap(row.position)?,
            catalogue.parts(row.position)?,
            catalogue.chunks(row)?,
        )
    };
    let Some(key) = inner.data_key(row, wrap)? else {
        locked(&inner.catalogue).set_capture(row.position, CaptureState::Unreadable, None)?;
        return Ok(());
    };
    let (reader, descriptor) = CaptureReader::open(inner.clone(), row, key.clone(), chunks.clone())?;
    if row.cause.is_some() {
        return outside(inner, row, &key, wrap.is_some());
    }
    let Some(connector) = connect::find(&row.connector) else {
        return Err(VaultError::BadData(format!(
            "no connector {} in this version",
            row.connector
        )));
    };
    let work = Work {
        inner,
        row,
        connector,
        key,
        chunks,
        descriptor,
    };
    locked(&inner.catalogue).clear_records(row.position)?;
    if !parts.is_empty() {
        work.again(reader, &Existing::read(inner, &parts)?)
    } else if reader.len() <= SMALL_BYTES {
        work.small(reader, wrap.is_some())
    } else {
        work.large(reader)
    }
}

/// A fetched file is wrapped to the secrets of the message that named it.
fn outside(inner: &Arc<Inner>, row: &CaptureRow, key: &Key, wrapped: bool) -> Result<(), VaultError> {
    let cause = row
        .cause
        .and_then(|cause| locked(&inner.catalogue).record(cause).ok().flatten());
    if !wrapped {
        let month = cause
            .as_ref()
            .and_then(|cause| cause.at)
            .unwrap_or(row.received_at)
            .month();
        let mut wanted = vec![(seal::keyring::SecretKind::Period, inner.labels.period(month))];
        {
            let keys = locked(&inner.keys);
            let named = cause.iter().flat_map(|cause| [cause.conversation, cause.person]);
            wanted.extend(
                named
                    .filter_map(|id| keys.ring().held(id))
                    .map(|held| (held.kind, held.label)),
            );
        }
        if wanted.len() == 1 {
            let label = inner.labels.unattributed(&row.connection);
            wanted.push((seal::keyring::SecretKind::Unattributed, label));
        }
        let keys = inner.owner_keys(&wanted)?;
        let wrapped_key = seal::wrap::wrap(&keys.joint, key)?;
        let wrap = Wrap {
            source: row.position,
            mixed: false,
            keys: keys.ids,
            wrapped_key,
        };
        inner.ledger.append(vec![Draft {
            kind: Kind::Wrap(wrap),
            body: Vec::new(),
        }])?;
    }
    let mut catalogue = locked(&inner.catalogue);
    catalogue.transaction(|catalogue| {
        if let Some(cause) = row.cause {
            catalogue.set_fetch(cause, row.file, row.received_at, true)?;
        }
        catalogue.set_capture(row.position, CaptureState::Normalized, None)
    })?;
    Ok(())
}

impl Work<'_> {
    fn reading(&self) -> Reading<'_> {
        Reading {
            labels: &self.inner.labels,
            connection: &self.row.connection,
            door: self.connector.door(),
            received_at: self.row.received_at,
        }
    }

    fn reopen(&self) -> Result<CaptureReader, VaultError> {
        let opened = CaptureReader::open(
            self.inner.clone(),
            self.row,
            self.key.clone(),
            self.chunks.clone(),
        )?;
        Ok(opened.0)
    }

    fn part_writer(&self, container: bool) -> PartWriter<'_> {
        let open: OpenStream<'_> = Box::new(|stream| {
            let mut reader = self.reopen()?;
            if stream == 0 {
                reader.seek(SeekFrom::Start(0)).map_err(VaultError::Capture)?;
                return Ok(Box::new(io::BufReader::with_capacity(64 << 10, reader)));
            }
            self.connector
                .stream(Box::new(reader), stream)
                .map_err(VaultError::Capture)
        });
        PartWriter::new(self.inner, self.row, open, container)
    }

    fn parse(&self, mut reader: CaptureReader, sink: &mut dyn Sink) -> Result<Report, VaultError> {
        let mut options = self.descriptor.parse_options();
        options.secrets = self.inner.opening_secrets(self.connector, &self.row.connection);
        self.connector
            .parse(&mut reader, &options, sink)
            .map_err(VaultError::Capture)
    }

    fn small(&self, mut reader: CaptureReader, wrapped: bool) -> Result<(), VaultError> {
        let streams = self.connector.streams(&mut reader).map_err(VaultError::Capture)?;
        reader.seek(SeekFrom::Start(0)).map_err(VaultError::Capture)?;
        let mut gather = Gather {
            reading: self.reading(),
            gathered: Gathered::default(),
            files: 0,
        };
        let report = self.parse(reader, &mut gather)?;
        let gathered = gather.gathered;
        let rows = match (single_owner(&gathered), streams) {
            (Some(owner), 1) => self.wrap_single(&gathered, owner, wrapped)?,
            _ => self.write_parts(&gathered, streams)?,
        };
        let fetches = self.fetch_rows(gathered.fetches)?;
        self.store(rows, fetches, &report)
    }

    /// One author, one conversation: the data key is wrapped, and each record's row hangs on it.
    fn wrap_single(
        &self,
        gathered: &Gathered,
        owner: Option<Owner>,
        wrapped: bool,
    ) -> Result<Vec<RecordRow>, VaultError> {
        let month = self.row.received_at.month();
        let owner = owner.unwrap_or(Owner {
            conversation: None,
            person: None,
            month,
        });
        let keys = OwnerBook::new(self.inner, &self.row.connection).keys(&owner)?;
        if !wrapped {
            let wrapped_key = seal::wrap::wrap(&keys.joint, &self.key)?;
            let wrap = Wrap {
                source: self.row.position,
                mixed: false,
                keys: keys.ids.clone(),
                wrapped_key,
            };
            self.inner.ledger.append(vec![Draft {
                kind: Kind::Wrap(wrap),
                body: Vec::new(),
            }])?;
            failpoint::hit("normalized-entries");
        }
        let mut rows = Vec::with_capacity(gathered.records.len());
        for (ordinal, record) in (0..).zip(&gathered.records) {
            let id = MessageId {
                capture: self.row.position,
                ordinal,
            };
            let key = item_key(&self.key, ordinal)?;
            let sealed = seal_row(&self.inner.file.zone, id, &key, &record.json)?;
            let names = if record.facts.owner.conversation.is_none() && record.facts.owner.person.is_none() {
                (KeyId::NONE, KeyId::NONE)
            } else {
                keys.names
            };
            rows.push(record.facts.clone().row(id, names, Placement::Capture, sealed));
        }
        Ok(rows)
    }

    fn write_parts(&self, gathered: &Gathered, streams: u32) -> Result<Vec<RecordRow>, VaultError> {
        let mut writer = self.part_writer(streams > 1);
        let mut belongings = gathered.belongings.iter().peekable();
        for (ordinal, record) in (0u32..).zip(&gathered.records) {
            while let Some(next) = belongings.next_if(|b| b.before_record <= ordinal as usize) {
                writer.bytes(next.span, next.owner)?;
            }
            writer.record(record.span, ordinal, record.facts.clone(), &record.json)?;
        }
        for rest in belongings {
            writer.bytes(rest.span, rest.owner)?;
        }
        let rows = writer.finish(streams)?;
        failpoint::hit("normalized-entries");
        Ok(rows)
    }

    /// An export: parts are written while it is parsed, so that memory does not grow with it.
    fn large(&self, mut reader: CaptureReader) -> Result<(), VaultError> {
        let streams = self.connector.streams(&mut reader).map_err(VaultError::Capture)?;
        reader.seek(SeekFrom::Start(0)).map_err(VaultError::Capture)?;
        let mut sink = Stream {
            work: self,
            reading: self.reading(),
            writer: self.part_writer(streams > 1),
            next: 0,
            files: 0,
            rows: Vec::new(),
            fetches: Vec::new(),
            json: Vec::new(),
        };
        let report = self.parse(reader, &mut sink)?;
        let Stream {
            writer,
            mut rows,
            fetches,
            ..
        } = sink;
        rows.extend(writer.finish(streams)?);
        failpoint::hit("normalized-entries");
        let fetches = self.fetch_rows(fetches)?;
        self.store(rows, fetches, &report)
    }

    /// Parts are there already: only the rows are made again.
    fn again(&self, reader: CaptureReader, existing: &Existing) -> Result<(), VaultError> {
        if !existing.keys.is_empty() && locked(&self.inner.catalogue).wrap(self.row.position)?.is_none() {
            // A crash came between parts and wrap; both go in one append, so this store was written otherwise.
            tracing::warn!(
                entry.position = self.row.position.0,
                "a mixed capture has parts but no wrap"
            );
        }
        let mut sink = Again {
            work: self,
            reading: self.reading(),
            existing,
            next: 0,
            files: 0,
            rows: Vec::new(),
            fetches: Vec::new(),
        };
        let report = self.parse(reader, &mut sink)?;
        let Again { rows, fetches, .. } = sink;
        let fetches = self.fetch_rows(fetches)?;
        self.store(rows, fetches, &report)
    }

    /// Writes rows in a transaction of their own.
    pub fn insert(&self, rows: Vec<RecordRow>) -> Result<(), VaultError> {
        let mut catalogue = locked(&self.inner.catalogue);
        catalogue.transaction(|catalogue| {
            for row in &rows {
                catalogue.insert_record(row)?;
            }
            Ok(())
        })?;
        Ok(())
    }

    fn fetch_rows(&self, fetches: Vec<(u32, u16, Fetch)>) -> Result<Vec<FetchRow>, VaultError> {
        let seal = |(ordinal, file, fetch): (u32, u16, Fetch)| {
            let id = MessageId {
                capture: self.row.position,
                ordinal,
            };
            let json = serde_json::to_vec(&fetch).unwrap_or_default();
            let sealed = self.inner.seal_fetch(id, file, &json)?;
            Ok(FetchRow {
                id,
                file,
                attempts: 0,
                due_at: Timestamp::default(),
                state: 0,
                sealed,
            })
        };
        fetches.into_iter().map(seal).collect()
    }

    fn store(&self, rows: Vec<RecordRow>, fetches: Vec<FetchRow>, report: &Report) -> Result<(), VaultError> {
        let report = serde_json::to_string(report).unwrap_or_default();
        let mut catalogue = locked(&self.inner.catalogue);
        catalogue.transaction(|catalogue| {
            for row in &rows {
                catalogue.insert_record(row)?;
            }
            for fetch in &fetches {
                catalogue.note_fetch(fetch)?;
                for outside in catalogue.outside_of(fetch.id)? {
                    catalogue.set_fetch(fetch.id, outside.file, outside.received_at, true)?;
                }
            }
            catalogue.set_capture(self.row.position, CaptureState::Normalized, Some(&report))
        })?;
        drop(catalogue);
        failpoint::hit("normalized-catalogue");
        Ok(())
    }
}

/// The one owner of everything in a capture: `Some(None)` when nothing has an owner, `None` when there are several.
#[expect(clippy::option_option, reason = "none, one unknown, one known: three answers")]
fn single_owner(gathered: &Gathered) -> Option<Option<Owner>> {
    let mut only: Option<Owner> = None;
    let records = gathered.records.iter().map(|record| record.facts.owner);
    let belongings = gathered.belongings.iter().map(|belonging| Owner {
        // A contact card has no month of its own.
        month: only_month(gathered).unwrap_or(belonging.owner.month),
        ..belonging.owner
    });
    for owner in records.chain(belongings) {
        if owner.conversation.is_none() && owner.person.is_none() {
            continue;
        }
        match only {
            None => only = Some(owner),
            Some(known) if known == owner => {}
            Some(_) => return None,
        }
    }
    Some(only)
}

fn only_month(gathered: &Gathered) -> Option<i32> {
    let owned = |record: &&Understood| record.facts.owner.person.is_some();
    gathered
        .records
        .iter()
        .find(owned)
        .map(|record| record.facts.owner.month)
}
