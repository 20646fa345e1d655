//! Normalize: opens a capture, has its connector say what it means, and writes wraps, parts and rows.
//!
//! A capture that concerns one author and one conversation gets a wrap of its data key. One that concerns several is
//! written out as parts. Either way it stays readable after its epoch's key is gone, and dies with any secret it is
//! sealed under.

use std::cell::Cell;
use std::io::{self, Seek, SeekFrom};
use std::sync::{Arc, atomic::Ordering};

use connect::wecom_archive::pull::Unlocked;
use connect::{Connector, Report, Sink};
use model::entry::{Kind, Wrap};
use model::record::Record;
use model::{KeyId, MessageId, Position};
use seal::Key;
use store::catalogue::{CaptureRow, CaptureState, Catalogue, ErasedRecord, FetchRow, Placement, RecordRow};
use store::ledger::Draft;
use store::{StoreError, failpoint};

use super::archive::Wrapped;
use super::archive::ahead::{Ahead, Read, unlocked_ahead};
use super::captures::{CaptureReader, Descriptor};
use super::consent::Before;
use super::existing::Existing;
use super::fetches::to_fetch;
use super::governance::freeze;
use super::governance::tombs::Tombs;
use super::labels::Owner;
use super::parts::{OpenStream, PartWriter, WrittenParts};
use super::rows::{Reading, seal_row};
use super::sinks::{Again, Gather, Gathered, Met, Stream};
use super::together::{Single, Together, single_owner};
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
    chunks: Vec<Position>,
    descriptor: Descriptor,
    tombs: Tombs<'a>,
    /// What was decided of it in an attempt that did not come to its end.
    before: Option<Before>,
    /// Of an item of an archive whose random key was opened ahead.
    unlocked: Option<Unlocked>,
}

/// What is to be written to the catalogue of a capture.
struct Made {
    rows: Vec<RecordRow>,
    fetches: Vec<FetchRow>,
    erased: Vec<ErasedRecord>,
    /// Where its parts stand, when something in it was destroyed before it came: what belongs to others is written out.
    freeze: Option<Vec<Position>>,
}

/// Normalizes captures in their order. What is written of each is there, or none of it counts. Items that are not opened ahead
/// already are from now on.
pub fn normalize(inner: &Arc<Inner>, rows: &[CaptureRow], ahead: &Ahead) -> Result<(), VaultError> {
    super::consent::refresh(inner)?;
    super::canaries::refresh(inner)?;
    let new = rows.iter().filter(|row| !ahead.has(row.position));
    unlocked_ahead(inner, new, |more| {
        let mut together = Together::new(inner);
        for row in rows {
            if inner.closing.load(Ordering::SeqCst) {
                break;
            }
            let read = || ahead.take(row.position).or_else(|| more.take(row.position));
            one(inner, row, read, &mut together)?;
        }
        together.write()
    })
}

/// Normalizes a capture, or leaves it to be written with its neighbours. Whoever writes on his own writes those before
/// first: repeats are told by what earlier captures say.
fn one(
    inner: &Arc<Inner>,
    row: &CaptureRow,
    read_ahead: impl FnOnce() -> Option<Read>,
    together: &mut Together<'_>,
) -> Result<(), VaultError> {
    let (wrap, parts, chunks) = {
        let catalogue = locked(&inner.catalogue);
        (
            catalogue.wrap(row.position)?,
            catalogue.parts(row.position)?,
            catalogue.chunks(row)?,
        )
    };
    let existing = if parts.is_empty() {
        None
    } else {
        Some(Existing::read(inner, &parts)?)
    };
    let read = read_ahead();
    let key = if row.closed {
        together.write()?;
        match &existing {
            None if !locked(&inner.catalogue).is_mixed(row.position)? => return erased(inner, row),
            Some(existing) if existing.is_all_frozen() => return thaw(inner, row, existing),
            // It was destroyed before it came, and a crash came before what belongs to others was written out.
            _ => {
                let first = inner.must_entry(row.position)?;
                inner.epoch_key(super::captures::sealing(&first)?)?
            }
        }
    } else if let Some(read) = &read {
        Some(read.key.clone())
    } else {
        inner.data_key(row, wrap)?
    };
    let Some(key) = key else {
        together.write()?;
        locked(&inner.catalogue).set_capture(row.position, CaptureState::Unreadable, None)?;
        return Ok(());
    };
    let (reader, descriptor) = CaptureReader::open(inner.clone(), row, key.clone(), chunks.clone())?;
    if row.cause.is_some() {
        together.write()?;
        return outside(inner, row, &key, wrap.is_some());
    }
    let connector = connector_of(row)?;
    let before = if parts.is_empty() {
        Before::of(inner, row)?
    } else {
        None
    };
    let work = Work {
        inner,
        row,
        connector,
        key,
        chunks,
        descriptor,
        tombs: Tombs::of(inner, row),
        before,
        unlocked: read.map(|read| read.unlocked),
    };
    if parts.is_empty() && reader.len() <= SMALL_BYTES {
        let wrapped = inner.wrapped(row, wrap)?;
        return work.small(reader, wrapped, together);
    }
    together.write()?;
    locked(&inner.catalogue).clear_records(row.position)?;
    match existing {
        None => work.large(reader),
        Some(existing) => work.again(reader, &existing, &parts),
    }
}

fn connector_of(row: &CaptureRow) -> Result<&'static dyn Connector, VaultError> {
    connect::find(&row.connector)
        .ok_or_else(|| VaultError::BadData(format!("no connector {} in this version", row.connector)))
}

/// All of it hung on a secret that was destroyed.
fn erased(inner: &Inner, row: &CaptureRow) -> Result<(), VaultError> {
    let mut catalogue = locked(&inner.catalogue);
    catalogue.transaction(|catalogue| {
        catalogue.clear_records(row.position)?;
        if let Some(cause) = row.cause {
            catalogue.set_fetch(cause, row.file, row.received_at, true)?;
        }
        catalogue.set_capture(row.position, CaptureState::Erased, None)
    })?;
    Ok(())
}

/// A secret that a mixed capture concerns was destroyed: rows of the others from what was written out before.
fn thaw(inner: &Arc<Inner>, row: &CaptureRow, existing: &Existing) -> Result<(), VaultError> {
    let source = row.position;
    let reading = Reading {
        labels: &inner.labels,
        connection: &row.connection,
        door: connector_of(row)?.door(),
        received_at: row.received_at,
        row,
        inner,
        tombs: None,
        before: None,
        next: Cell::new(0),
    };
    locked(&inner.catalogue).clear_records(source)?;
    let (mut rows, mut fetches) = (Vec::new(), Vec::new());
    existing.each_frozen(inner, source, &mut |ordinal, json| {
        let Some((part, item, key)) = existing.find(ordinal)? else {
            return Ok(());
        };
        let id = MessageId {
            capture: source,
            ordinal,
        };
        let record: Record<'_> = serde_json::from_slice(json).map_err(|_| {
            VaultError::BadData(format!("the record {id} as it was understood is not readable"))
        })?;
        let facts = reading.facts(&record, json);
        let names = inner.names_of(&facts.owner);
        let sealed = seal_row(&inner.file.zone, id, &key, json)?;
        rows.push(facts.row(id, names, Placement::Part { part, item }, sealed));
        fetches.extend(
            (0..)
                .zip(to_fetch(&record))
                .map(|(file, fetch)| (ordinal, file, fetch)),
        );
        if rows.len() >= ROWS_STEP {
            insert(inner, &std::mem::take(&mut rows))?;
        }
        Ok(())
    })?;
    let made = Made {
        rows,
        fetches: inner.fetch_rows(source, fetches)?,
        erased: existing.erased(source).collect(),
        freeze: None,
    };
    store(inner, row, made, None, true)
}

/// A fetched file is wrapped to the secrets of the message that named it.
fn outside(inner: &Arc<Inner>, row: &CaptureRow, key: &Key, wrapped: bool) -> Result<(), VaultError> {
    let cause = row
        .cause
        .and_then(|cause| locked(&inner.catalogue).record(cause).ok().flatten());
    let gone = row
        .cause
        .map(|cause| inner.secrets_of_erased(cause))
        .transpose()?
        .flatten();
    if let Some(keys) = gone.filter(|_| cause.is_none() && !wrapped) {
        // Its message was destroyed while it was on its way: it goes too.
        inner.write_wrap(row, keys, &Key::random()?, key)?;
        return erased(inner, row);
    }
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
        inner.write_wrap(row, keys.ids, &keys.joint, key)?;
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

impl Inner {
    /// Writes a wrap of a capture that concerns one author and conversation.
    fn write_wrap(
        &self,
        row: &CaptureRow,
        keys: Vec<KeyId>,
        joint: &Key,
        key: &Key,
    ) -> Result<(), VaultError> {
        let wrap = Wrap {
            source: row.position,
            mixed: false,
            keys,
            wrapped_key: seal::wrap::wrap(joint, key)?,
        };
        self.ledger.append(vec![Draft {
            kind: Kind::Wrap(wrap),
            body: Vec::new(),
        }])?;
        Ok(())
    }
}

impl Work<'_> {
    fn reading(&self) -> Reading<'_> {
        Reading {
            labels: &self.inner.labels,
            connection: &self.row.connection,
            door: self.connector.door(),
            received_at: self.row.received_at,
            row: self.row,
            inner: self.inner,
            tombs: Some(&self.tombs),
            before: self.before.as_ref(),
            next: Cell::new(0),
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

    fn parse(&self, reader: CaptureReader, sink: &mut dyn Sink) -> Result<Report, VaultError> {
        Ok(self.parse_or_not(reader, sink)?.0)
    }

    /// Also says whether it stayed closed inside, so that whose it is is not known yet.
    fn parse_or_not(
        &self,
        mut reader: CaptureReader,
        sink: &mut dyn Sink,
    ) -> Result<(Report, bool), VaultError> {
        let secrets = self.inner.opening_secrets(self.connector, &self.row.connection);
        let options = self.descriptor.parse_options(secrets);
        if let Some(parsed) =
            self.inner
                .parse_archived(self.row, &mut reader, &options, self.unlocked.as_ref(), sink)?
        {
            self.inner.note_heard()?;
            return Ok(parsed);
        }
        let parsed = self.connector.parse(&mut reader, &options, sink);
        let parsed = parsed.map_err(VaultError::Capture)?;
        self.inner.note_heard()?;
        Ok((parsed, false))
    }

    fn small(
        &self,
        mut reader: CaptureReader,
        wrapped: Wrapped,
        together: &mut Together<'_>,
    ) -> Result<(), VaultError> {
        let streams = self.connector.streams(&mut reader).map_err(VaultError::Capture)?;
        reader.seek(SeekFrom::Start(0)).map_err(VaultError::Capture)?;
        let reading = self.reading();
        let mut gather = Gather {
            // With a wrap it was decided before whether this comes back: a hold that was in force then may be lifted now.
            reading: Reading {
                tombs: reading.tombs.filter(|_| wrapped != Wrapped::ToOwners),
                ..reading
            },
            gathered: Gathered::default(),
            files: 0,
            asked_early: 0,
        };
        let (report, closed) = self.parse_or_not(reader, &mut gather)?;
        let mut gathered = gather.finish();
        if wrapped == Wrapped::Provisionally && !closed {
            self.inner.note_opened();
        }
        // What is not kept goes into parts, which say how many records there were.
        let gone = gathered
            .records
            .iter()
            .any(|record| record.facts.owner.gone.is_some());
        if let (Some(owner), 1, false) = (single_owner(&gathered), streams, gone) {
            return together.add(Single {
                row: self.row.clone(),
                key: self.key.clone(),
                owner: owner.unwrap_or(Owner {
                    conversation: None,
                    person: None,
                    month: self.row.received_at.month(),
                    gone: None,
                }),
                provisional: closed && wrapped != Wrapped::ToOwners,
                // Opened now: it is wrapped to those whose it is.
                wrapped: wrapped == Wrapped::ToOwners || (closed && wrapped == Wrapped::Provisionally),
                gathered,
                report,
            });
        }
        together.write()?;
        locked(&self.inner.catalogue).clear_records(self.row.position)?;
        let fetches = std::mem::take(&mut gathered.fetches);
        let fetches = self.inner.fetch_rows(self.row.position, fetches)?;
        let made = Made::of(self.write_parts(&gathered, streams)?, fetches);
        self.store(made, &report)
    }

    fn write_parts(&self, gathered: &Gathered, streams: u32) -> Result<WrittenParts, VaultError> {
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
        let written = writer.finish(streams)?;
        failpoint::hit("normalized-entries");
        Ok(written)
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
            met: Met::default(),
        };
        let report = self.parse(reader, &mut sink)?;
        let Stream {
            writer,
            mut rows,
            fetches,
            ..
        } = sink;
        let mut written = writer.finish(streams)?;
        rows.append(&mut written.rows);
        failpoint::hit("normalized-entries");
        let fetches = self.inner.fetch_rows(self.row.position, fetches)?;
        self.store(
            Made {
                rows,
                ..Made::of(written, fetches)
            },
            &report,
        )
    }

    /// Parts are there already: only the rows are made again.
    fn again(
        &self,
        reader: CaptureReader,
        existing: &Existing,
        parts: &[Position],
    ) -> Result<(), VaultError> {
        if !self.row.closed
            && !existing.keys.is_empty()
            && locked(&self.inner.catalogue).wrap(self.row.position)?.is_none()
        {
            // A crash came between parts and wrap; both go in one append, so this store was written otherwise.
            tracing::warn!(
                entry.position = self.row.position.0,
                "a mixed capture has parts but no wrap"
            );
        }
        let mut sink = Again {
            work: self,
            reading: Reading {
                tombs: None,
                ..self.reading()
            },
            existing,
            next: 0,
            living: false,
            files: 0,
            rows: Vec::new(),
            fetches: Vec::new(),
        };
        let report = self.parse(reader, &mut sink)?;
        let Again { rows, fetches, .. } = sink;
        let made = Made {
            rows,
            fetches: self.inner.fetch_rows(self.row.position, fetches)?,
            erased: existing.erased(self.row.position).collect(),
            freeze: self.row.closed.then(|| parts.to_vec()),
        };
        self.store(made, &report)
    }

    /// Writes rows in a transaction of their own.
    pub fn insert(&self, rows: Vec<RecordRow>) -> Result<(), VaultError> {
        insert(self.inner, &rows)
    }

    fn store(&self, made: Made, report: &Report) -> Result<(), VaultError> {
        store(self.inner, self.row, made, Some(report), false)?;
        failpoint::hit("normalized-catalogue");
        Ok(())
    }
}

impl Made {
    fn of(written: WrittenParts, fetches: Vec<FetchRow>) -> Made {
        Made {
            rows: written.rows,
            fetches,
            erased: written.erased,
            freeze: written.any_gone.then_some(written.parts),
        }
    }
}

fn insert(inner: &Inner, rows: &[RecordRow]) -> Result<(), VaultError> {
    let mut catalogue = locked(&inner.catalogue);
    catalogue.transaction(|catalogue| {
        rows.iter()
            .try_for_each(|row| catalogue.insert_record(row).map(drop))
    })?;
    Ok(())
}

/// Writes what was made of a capture. `unordered`: rows did not come in the order of their ordinals.
fn store(
    inner: &Arc<Inner>,
    row: &CaptureRow,
    mut made: Made,
    report: Option<&Report>,
    unordered: bool,
) -> Result<(), VaultError> {
    if let Some(parts) = &made.freeze {
        insert(inner, &std::mem::take(&mut made.rows))?;
        freeze(inner, row.position, parts, &[])?;
    }
    let mut catalogue = locked(&inner.catalogue);
    catalogue.transaction(|catalogue| {
        store_normalized(catalogue, row.position, &made.rows, &made.fetches, report)?;
        if unordered {
            catalogue.tell_repeats_of(row.position)?;
        }
        made.erased
            .iter()
            .try_for_each(|erased| catalogue.note_erased(erased))
    })?;
    Ok(())
}

/// Writes what was understood of a capture into the catalogue.
pub fn store_normalized(
    catalogue: &mut Catalogue,
    capture: Position,
    rows: &[RecordRow],
    fetches: &[FetchRow],
    report: Option<&Report>,
) -> Result<(), StoreError> {
    for row in rows {
        catalogue.insert_record(row)?;
    }
    for fetch in fetches {
        catalogue.note_fetch(fetch)?;
        for outside in catalogue.outside_of(fetch.id)? {
            catalogue.set_fetch(fetch.id, outside.file, outside.received_at, true)?;
        }
    }
    let report = report.map(|report| serde_json::to_string(report).unwrap_or_default());
    catalogue.set_capture(capture, CaptureState::Normalized, report.as_deref())
}
