//! Exporting a bundle: what was asked for, proved, with just the keys that open it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Seek, Write};

use model::entry::{ActCode, Header, Kind};
use model::{MessageId, Position};
use seal::Key;
use seal::bundle::{BundleWriter, EvidenceWriter, Facts, MessageState, Opening, Proof};
use seal::group::entry_leaf;
use seal::keyring::SecretKind;
use seal::part::{item_key, items};
use seal::suite::SigningKey;
use serde::Serialize;
use serde_json::{Value, json};
use store::catalogue::{Placement, RecordRow, SearchFilter};
use store::ledger::log::LogReader;
use store::ledger::{Signed, StoredEntry};

use super::show::{Query, RowOpener};
use super::{Inner, SIGNING_LABEL, Vault, VaultError, locked, own_secret};

/// What to export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// Everything.
    All,
    /// What a query finds.
    Query(String),
    /// These records.
    Ids(Vec<MessageId>),
}

impl Selection {
    fn text(&self) -> String {
        match self {
            Selection::All => "everything".to_owned(),
            Selection::Query(query) => format!("query: {query}"),
            Selection::Ids(ids) => {
                let ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
                format!("records: {}", ids.join(", "))
            }
        }
    }
}

/// What an export did.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct Exported {
    /// Entries shown.
    pub entries: u64,
    /// Messages, events and problems in it.
    pub records: u64,
    /// Of these, erased.
    pub erased: u64,
    /// Batches covered by the checkpoint it is pinned to.
    pub checkpoint_size: u64,
}

/// A capture larger than this is not shown beside the part that is asked for.
const SHOWN_SEALED_BYTES_MAX: u64 = 64 << 10;

/// Is given every selected record; none in place of one that is erased.
type EachRecord<'a> = dyn FnMut(&RecordRow, Option<Value>) -> Result<(), VaultError> + 'a;

/// How an entry is to be shown.
#[derive(Debug, Clone, Default)]
struct Want {
    key: Option<Key>,
    items: BTreeMap<u32, Option<Key>>,
}

/// Which entries to show: all, or these.
enum Wanted {
    All,
    These(BTreeMap<Position, Want>),
}

impl Wanted {
    /// Position after the last entry shown.
    fn end(&self, covers: Position) -> Position {
        match self {
            Wanted::All => covers,
            Wanted::These(these) => these.keys().next_back().map_or(covers, |last| last.plus(1)),
        }
    }
}

impl Vault {
    /// Writes a bundle into `sink`. `against` is a checkpoint the receiver holds: the bundle proves that it continues
    /// it.
    ///
    /// # Errors
    /// [`VaultError::NotFound`] when nothing is selected.
    pub fn export<W: Write + Seek>(
        &self,
        selection: &Selection,
        against: Option<&str>,
        actor: &str,
        sink: W,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<(W, Exported), VaultError> {
        let inner = &self.inner;
        inner.wait_normalized(inner.ledger.head())?;
        let signed = inner.ledger.flush()?;
        let signed = signed.ok_or_else(|| VaultError::NotFound("record: the ledger is empty".to_owned()))?;
        let act = json!({ "selection": selection.text(), "size": signed.size, "actor": actor });
        inner.act(ActCode::Exported, &act)?;
        let rows = inner.selected(selection, signed.covers)?;
        let wanted = inner.wanted(selection, rows.as_deref())?;
        let job = Job {
            inner,
            signed: &signed,
            log: LogReader::new(inner.ledger.log_folder(), signed.size),
        };
        let anchors = inner.anchors_for_bundle(signed.size, wanted.end(signed.covers))?;
        let proofs = job.proofs(against, &inner.sizes_of(&anchors))?;
        let opening = Opening {
            zone: inner.file.zone.clone(),
            key: inner.note_key(),
            succession: &inner.succession_notes(),
            checkpoint: &signed.note,
            proofs: &proofs,
            anchors: &anchors,
        };
        let mut writer = BundleWriter::create(sink, &opening)?;
        let entries = job.evidence(&mut writer, &wanted, progress)?;
        let mut messages = writer.finish()?;
        let (mut records, mut erased) = (0, 0);
        let mut captures = ReadCaptures::new(inner);
        inner.each_selected(rows.as_deref(), signed.covers, &mut |row, record| {
            let capture = captures.get(row.id.capture)?;
            let state = match (&record, row.placement) {
                (None, _) => MessageState::Erased,
                (Some(_), Placement::Part { .. }) if !matches!(wanted, Wanted::All) => MessageState::Part,
                (Some(_), _) if capture.opens_whole => MessageState::Raw,
                (Some(_), _) => MessageState::Part,
            };
            records += 1;
            erased += u64::from(record.is_none());
            let connector = (capture.connector.as_str(), capture.version);
            messages.message(row.id, state, connector, record.as_ref())?;
            Ok(())
        })?;
        let facts = Facts {
            created_at: (inner.clock)(),
            program: format!("chancery {}", env!("CARGO_PKG_VERSION")),
            selection: selection.text(),
            gaps_from: None,
            gaps_to: None,
        };
        let sink = messages.finish(&inner.signing_key()?, facts)?;
        Ok((
            sink,
            Exported {
                entries,
                records,
                erased,
                checkpoint_size: signed.size,
            },
        ))
    }
}

impl Inner {
    pub fn signing_key(&self) -> Result<SigningKey, VaultError> {
        let (_, seed) = own_secret(&locked(&self.keys), SecretKind::Signing, &SIGNING_LABEL)?;
        Ok(SigningKey::from_seed(&seed)?)
    }

    /// The selected records in order of id; none for all of them.
    fn selected(
        &self,
        selection: &Selection,
        covers: Position,
    ) -> Result<Option<Vec<RecordRow>>, VaultError> {
        let rows = match selection {
            Selection::All => return Ok(None),
            Selection::Ids(ids) => {
                let reader = locked(&self.reader);
                let mut rows = Vec::new();
                for id in ids.iter().copied().collect::<BTreeSet<_>>() {
                    let row = reader
                        .record(id)?
                        .ok_or_else(|| VaultError::NotFound(format!("record {id}")))?;
                    rows.push(row);
                }
                rows
            }
            Selection::Query(text) => {
                let mut rows = Vec::new();
                self.each_match(&Query::parse(text)?, &mut |_, row, _| {
                    rows.push(row.clone());
                    Ok(true)
                })?;
                rows
            }
        };
        let rows: Vec<RecordRow> = rows.into_iter().filter(|row| row.id.capture < covers).collect();
        if rows.is_empty() {
            return Err(VaultError::NotFound(
                "record that this selects, so no bundle was written".to_owned(),
            ));
        }
        Ok(Some(rows))
    }

    fn each_selected(
        &self,
        rows: Option<&[RecordRow]>,
        covers: Position,
        each: &mut EachRecord<'_>,
    ) -> Result<(), VaultError> {
        let mut opener = RowOpener::new(self);
        let mut one = |row: &RecordRow| {
            let record = opener
                .open(row)?
                .and_then(|json| serde_json::from_slice(json).ok());
            each(row, record)
        };
        if let Some(rows) = rows {
            return rows.iter().try_for_each(one);
        }
        let mut after = None;
        loop {
            let page = locked(&self.reader).records(&SearchFilter::default(), after, 1000)?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.id);
            page.iter()
                .filter(|row| row.id.capture < covers)
                .try_for_each(&mut one)?;
        }
    }

    /// Which entries show the selected records, with the keys that open just them.
    fn wanted(&self, selection: &Selection, rows: Option<&[RecordRow]>) -> Result<Wanted, VaultError> {
        let (Some(rows), false) = (rows, *selection == Selection::All) else {
            return Ok(Wanted::All);
        };
        let mut wanted: BTreeMap<Position, Want> = BTreeMap::new();
        let mut opener = RowOpener::new(self);
        for row in rows {
            let capture = row.id.capture;
            let (chunks, small_enough, wrap) = {
                let reader = locked(&self.reader);
                let capture_row = reader.capture(capture)?;
                let small_enough = capture_row
                    .as_ref()
                    .is_some_and(|row| row.size_bytes <= SHOWN_SEALED_BYTES_MAX);
                let chunks = capture_row
                    .map(|row| reader.chunks(&row))
                    .transpose()?
                    .unwrap_or_default();
                (chunks, small_enough, reader.wrap(capture)?)
            };
            match row.placement {
                Placement::Capture => {
                    let key = opener.capture_key(capture)?;
                    for at in chunks {
                        wanted.entry(at).or_default().key.clone_from(&key);
                    }
                    if let Some(wrap) = wrap {
                        wanted.entry(wrap).or_default();
                    }
                }
                Placement::Part { part, item } => {
                    // The capture is shown sealed: where from, when, whether signed. A large one would bring a
                    // megabyte of ciphertext to say what its part says already.
                    if chunks.len() == 1 && small_enough {
                        wanted.entry(capture).or_default();
                    }
                    self.want_items(&mut wanted, &mut opener, part, row.id.ordinal, item)?;
                }
            }
        }
        Ok(Wanted::These(wanted))
    }

    /// A long record goes on in the items after its first, perhaps in the next part.
    fn want_items(
        &self,
        wanted: &mut BTreeMap<Position, Want>,
        opener: &mut RowOpener<'_>,
        part: Position,
        ordinal: u32,
        first: u32,
    ) -> Result<(), VaultError> {
        let entry = self.must_entry(part)?;
        let Kind::Part(header) = &entry.header.kind else {
            return Err(VaultError::BadData(format!("entry {part} is not a part")));
        };
        let key = opener.part_key(part)?;
        let want = wanted.entry(part).or_default();
        for item in items(header, &entry.body)? {
            if item.index == first || item.place.ordinal == ordinal {
                let key = key.as_ref().map(|key| item_key(key, item.index)).transpose()?;
                want.items.insert(item.index, key);
            }
        }
        Ok(())
    }
}

/// What the records of a capture have in common. They come capture by capture, so the last one is remembered.
struct ReadCaptures<'a> {
    inner: &'a Inner,
    opener: RowOpener<'a>,
    last: Option<(Position, ReadCapture)>,
}

#[derive(Clone)]
struct ReadCapture {
    connector: String,
    /// Records are derived by the version that runs now, from bytes that an earlier one may have received.
    version: u32,
    /// In an export of everything it is opened whole while its data key lives, else by its parts.
    opens_whole: bool,
}

impl<'a> ReadCaptures<'a> {
    fn new(inner: &'a Inner) -> ReadCaptures<'a> {
        ReadCaptures {
            inner,
            opener: RowOpener::new(inner),
            last: None,
        }
    }

    fn get(&mut self, at: Position) -> Result<ReadCapture, VaultError> {
        if let Some((_, last)) = self.last.as_ref().filter(|(last, _)| *last == at) {
            return Ok(last.clone());
        }
        let row = locked(&self.inner.reader).capture(at)?;
        let row = row.ok_or_else(|| VaultError::NotFound(format!("capture {at}")))?;
        let read = ReadCapture {
            version: connect::find(&row.connector).map_or(row.connector_version, |c| c.version()),
            connector: row.connector,
            opens_whole: self.opener.capture_key(at)?.is_some(),
        };
        self.last = Some((at, read.clone()));
        Ok(read)
    }
}

/// One export under way.
struct Job<'a> {
    inner: &'a Inner,
    signed: &'a Signed,
    log: LogReader,
}

impl Job<'_> {
    /// Consistency proofs from every checkpoint that was handed out or pinned before, and from those anchored.
    fn proofs(&self, against: Option<&str>, anchored: &[u64]) -> Result<Vec<Proof>, VaultError> {
        let mut sizes: BTreeSet<u64> = self.inner.pinned_sizes()?.into_iter().collect();
        sizes.extend(anchored);
        if let Some(note) = against {
            let (checkpoint, _) = self.inner.lineage().open(note).map_err(|problem| {
                VaultError::BadData(format!("the checkpoint to compare with: {problem}"))
            })?;
            sizes.insert(checkpoint.size);
        }
        sizes
            .into_iter()
            .filter(|size| *size > 0 && *size < self.signed.size)
            .map(|old| {
                Ok(Proof {
                    old,
                    path: self.log.consistency(old)?,
                })
            })
            .collect()
    }

    fn evidence<W: Write + Seek>(
        &self,
        writer: &mut EvidenceWriter<W>,
        wanted: &Wanted,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<u64, VaultError> {
        let mut shown = 0;
        let mut opener = RowOpener::new(self.inner);
        for index in self.batches(wanted)? {
            shown += self.batch(writer, index, wanted, &mut opener)?;
            progress(index + 1, self.log.size());
        }
        Ok(shown)
    }

    fn batches(&self, wanted: &Wanted) -> Result<Box<dyn Iterator<Item = u64>>, VaultError> {
        let Wanted::These(these) = wanted else {
            return Ok(Box::new(0..self.log.size()));
        };
        let mut indexes = BTreeSet::new();
        for at in these.keys() {
            let index = self.log.find(*at)?;
            indexes.insert(
                index.ok_or_else(|| VaultError::BadData(format!("entry {at} is not in the log yet")))?,
            );
        }
        Ok(Box::new(indexes.into_iter()))
    }

    fn batch<W: Write + Seek>(
        &self,
        writer: &mut EvidenceWriter<W>,
        index: u64,
        wanted: &Wanted,
        opener: &mut RowOpener<'_>,
    ) -> Result<u64, VaultError> {
        let batch = self.log.batch(index)?;
        let mut leaves = Vec::with_capacity(batch.count as usize);
        let mut chosen: Vec<(u32, StoredEntry, Want)> = Vec::new();
        let mut scanner = self.inner.ledger.scan(batch.first);
        while leaves.len() < batch.count as usize {
            let Some(group) = scanner.next_group()? else { break };
            for (position, raw) in group.entries()? {
                if position < batch.first || position >= batch.end() {
                    continue;
                }
                leaves.push(entry_leaf(raw.header, raw.body));
                let in_batch = u32::try_from(position.0 - batch.first.0).unwrap_or(u32::MAX);
                match wanted {
                    Wanted::All => {
                        let entry = StoredEntry::from_raw(&raw, position)?;
                        let want = self.want_in_whole(&entry, opener)?;
                        chosen.push((in_batch, entry, want));
                    }
                    Wanted::These(these) => {
                        if let Some(want) = these.get(&position) {
                            chosen.push((in_batch, StoredEntry::from_raw(&raw, position)?, want.clone()));
                        }
                    }
                }
            }
        }
        writer.begin_batch(index, &batch, &self.log.inclusion(index)?, &leaves)?;
        for (in_batch, entry, want) in &chosen {
            if matches!(entry.header.kind, Kind::Part(_)) {
                writer.part(*in_batch, &entry.header_bytes, &entry.body, &want.items)?;
            } else {
                writer.entry(*in_batch, &entry.header_bytes, &entry.body, want.key.as_ref())?;
            }
        }
        writer.end_batch()?;
        Ok(chosen.len() as u64)
    }

    /// In an export of everything: captures and acts opened; parts only where their capture no longer opens.
    fn want_in_whole(&self, entry: &StoredEntry, opener: &mut RowOpener<'_>) -> Result<Want, VaultError> {
        let mut want = Want::default();
        let Header { position, kind, .. } = &entry.header;
        match kind {
            Kind::Chunk(chunk) => want.key = self.chunk_key(*position, &chunk.sealing, opener)?,
            Kind::Outside(outside) => want.key = self.chunk_key(*position, &outside.sealing, opener)?,
            Kind::Act(act) => want.key = Some(seal::act::act_key(self.inner.acts_secret(), &act.salt)?),
            Kind::Part(part) => {
                if opener.capture_key(part.source)?.is_none() {
                    let key = opener.part_key(*position)?;
                    for index in 0..part.item_count {
                        let key = key.as_ref().map(|key| item_key(key, index)).transpose()?;
                        want.items.insert(index, key);
                    }
                }
            }
            Kind::Wrap(_) | Kind::Gap(_) | Kind::Destruction(_) => {}
        }
        Ok(want)
    }

    fn chunk_key(
        &self,
        position: Position,
        sealing: &model::entry::Sealing,
        opener: &mut RowOpener<'_>,
    ) -> Result<Option<Key>, VaultError> {
        let first = if sealing.chunk == 0 {
            Some(position)
        } else {
            locked(&self.inner.reader).first_chunk(&sealing.capture.0)?
        };
        first.map_or(Ok(None), |first| opener.capture_key(first))
    }
}
