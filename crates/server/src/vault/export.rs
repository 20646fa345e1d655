//! Exporting a bundle: what was asked for, proved, with just the keys that open it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Seek, Write};

use model::entry::{ActCode, Header, Kind};
use model::{MessageId, Position};
use seal::Key;
use seal::bundle::{BundleWriter, EvidenceWriter, Facts, MessageState, Opening, Proof};
use seal::group::entry_leaf;
use seal::keyring::SecretKind;
use seal::part::{RECORDS, item_key, items};
use seal::suite::SigningKey;
use serde::Serialize;
use serde_json::{Value, json};
use store::catalogue::Placement;
use store::ledger::log::LogReader;
use store::ledger::{Signed, StoredEntry};

use super::erased::Erasure;
use super::picked::{Everything, Picked};
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
    /// The statement of completeness in this entry.
    Statement(Position),
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
            Selection::Statement(at) => format!("statement of completeness: entry {at}"),
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

/// Keys named in the act by which an export is written down; with more it says only that there are more.
const KEYS_NAMED: usize = 4096;

/// Is given every selected record; none in place of one that is erased.
type EachRecord<'a> = dyn FnMut(&Picked, Option<Value>) -> Result<(), VaultError> + 'a;

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
        let understood = inner.ledger.head();
        inner.wait_normalized(understood)?;
        let signed = inner.ledger.flush()?;
        let signed = signed.ok_or_else(|| VaultError::NotFound("record: the ledger is empty".to_owned()))?;
        // The checkpoint may cover captures that came meanwhile: what of them may be kept at all is not decided, or is
        // decided in entries that it does not cover. They are shown sealed, and nothing is said of what they hold.
        let understood = understood.min(signed.covers);
        let rows = inner.selected(selection, understood);
        // What could not be selected hands out nothing.
        let released = inner.released(rows.as_ref().map_or(Some(&[][..]), Option::as_deref))?;
        let act = json!({
            "selection": selection.text(), "size": signed.size, "covers": signed.covers, "released": released,
            "actor": actor,
        });
        inner.act(ActCode::Exported, &act)?;
        let rows = rows?;
        let wanted = inner.wanted(selection, rows.as_deref())?;
        let job = Job {
            inner,
            signed: &signed,
            understood,
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
        inner.each_selected(rows.as_deref(), understood, &mut |picked, record| {
            let capture = captures.get(picked.id().capture)?;
            let state = match (&record, picked) {
                (None, _) | (_, Picked::Erased(..)) => MessageState::Erased,
                (Some(_), Picked::Row(row)) => match row.placement {
                    Placement::Part { .. } if !matches!(wanted, Wanted::All) => MessageState::Part,
                    _ if capture.opens_whole => MessageState::Raw,
                    _ => MessageState::Part,
                },
            };
            records += 1;
            erased += u64::from(record.is_none());
            let connector = (capture.connector.as_str(), capture.version);
            messages.message(picked.id(), state, connector, record.as_ref())?;
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
        understood: Position,
    ) -> Result<Option<Vec<Picked>>, VaultError> {
        let rows = match selection {
            Selection::All => return Ok(None),
            Selection::Statement(_) => return Ok(Some(Vec::new())),
            Selection::Ids(ids) => {
                let mut rows = Vec::new();
                for id in ids.iter().copied().collect::<BTreeSet<_>>() {
                    let row = locked(&self.reader).record(id)?.map(Picked::Row);
                    let picked = match row {
                        Some(row) => Some(row),
                        None => self.erasure(id)?.map(|erasure| Picked::Erased(id, erasure)),
                    };
                    rows.push(picked.ok_or_else(|| VaultError::NotFound(format!("record {id}")))?);
                }
                rows
            }
            Selection::Query(text) => {
                let mut rows = Vec::new();
                self.each_match(&Query::parse(text)?, &mut |_, row, _| {
                    rows.push(Picked::Row(row.clone()));
                    Ok(true)
                })?;
                rows
            }
        };
        let rows: Vec<Picked> = rows
            .into_iter()
            .filter(|picked| picked.id().capture < understood)
            .collect();
        if rows.is_empty() {
            return Err(VaultError::NotFound(
                "record that this selects, so no bundle was written".to_owned(),
            ));
        }
        Ok(Some(rows))
    }

    fn each_selected(
        &self,
        rows: Option<&[Picked]>,
        understood: Position,
        each: &mut EachRecord<'_>,
    ) -> Result<(), VaultError> {
        let mut opener = RowOpener::new(self);
        let mut one = |picked: &Picked| {
            let record = match picked {
                Picked::Row(row) => opener
                    .open(row)?
                    .and_then(|json| serde_json::from_slice(json).ok()),
                Picked::Erased(..) => None,
            };
            each(picked, record)
        };
        if let Some(rows) = rows {
            return rows.iter().try_for_each(one);
        }
        let mut everything = Everything::of(self);
        while let Some(picked) = everything.next()? {
            if picked.id().capture < understood {
                one(&picked)?;
            }
        }
        Ok(())
    }

    /// What a bundle hands out, in the secrets it hung on: by that a later certificate says which bundles hold what was
    /// destroyed since. None: everything.
    fn released(&self, rows: Option<&[Picked]>) -> Result<Value, VaultError> {
        let Some(rows) = rows else { return Ok(Value::Null) };
        let mut keys = BTreeSet::new();
        let mut months = BTreeSet::new();
        for picked in rows {
            let Picked::Row(row) = picked else { continue };
            keys.extend([row.conversation, row.person]);
            let received_at = || -> Result<_, VaultError> {
                let capture = locked(&self.reader).capture(row.id.capture)?;
                Ok(capture.map(|capture| capture.received_at).unwrap_or_default())
            };
            let received_at = if row.at.is_none() && row.at_local.is_none() {
                received_at()?
            } else {
                model::Timestamp::default()
            };
            months.insert(super::rows::month(row.at, row.at_local.as_deref(), received_at));
        }
        let store = locked(&self.keys);
        let period = |month: &i32| store.ring().find(SecretKind::Period, &self.labels.period(*month));
        keys.extend(months.iter().filter_map(period));
        keys.remove(&model::KeyId::NONE);
        let more = keys.len() > KEYS_NAMED;
        let keys: Vec<model::KeyId> = keys.into_iter().take(KEYS_NAMED).collect();
        Ok(json!({ "keys": keys, "more": more }))
    }

    /// Which entries show the selected records, with the keys that open just them.
    fn wanted(&self, selection: &Selection, rows: Option<&[Picked]>) -> Result<Wanted, VaultError> {
        let (Some(rows), false) = (rows, *selection == Selection::All) else {
            return Ok(Wanted::All);
        };
        if let Selection::Statement(at) = selection {
            let entry = self.must_entry(*at)?;
            let act = match &entry.header.kind {
                Kind::Act(act) if act.code == ActCode::CompletenessStated => act,
                _ => return Err(VaultError::BadData(format!("entry {at} is not a statement"))),
            };
            let want = Want {
                key: Some(seal::act::act_key(self.acts_secret(), &act.salt)?),
                items: BTreeMap::new(),
            };
            return Ok(Wanted::These(BTreeMap::from([(*at, want)])));
        }
        let mut wanted: BTreeMap<Position, Want> = BTreeMap::new();
        let mut opener = RowOpener::new(self);
        for picked in rows {
            let capture = picked.id().capture;
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
            let row = match picked {
                Picked::Row(row) => row,
                Picked::Erased(id, erasure) => {
                    // Sealed, with what it was sealed under and the entry that says that this is gone.
                    match erasure {
                        Erasure::Whole(wraps) => {
                            for at in chunks.iter().chain(wraps) {
                                wanted.entry(*at).or_default();
                            }
                        }
                        Erasure::InPart(erased) => {
                            let (part, item) = (erased.part, erased.item);
                            self.want_items(&mut wanted, &mut opener, part, id.ordinal, item)?;
                        }
                    }
                    for at in self.destructions_of(capture, erasure)? {
                        wanted.entry(at).or_default();
                    }
                    continue;
                }
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
            if item.index == first || (item.place.ordinal == ordinal && item.place.stream != RECORDS) {
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
    /// Of captures before this entry it was decided what may be kept, in entries that the checkpoint covers.
    understood: Position,
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
            Kind::Part(part) if part.source < self.understood => {
                if opener.capture_key(part.source)?.is_none() {
                    let key = opener.part_key(*position)?;
                    for item in items(part, &entry.body)? {
                        // What a program understood is no evidence beside the bytes it was understood of.
                        if item.place.stream == RECORDS {
                            continue;
                        }
                        let key = key.as_ref().map(|key| item_key(key, item.index)).transpose()?;
                        want.items.insert(item.index, key);
                    }
                }
            }
            Kind::Destruction(gone) if gone.key != model::KeyId::NONE => {
                want.key = Some(seal::act::destruction_key(self.inner.acts_secret(), &gone.salt)?);
            }
            Kind::Part(_) | Kind::Wrap(_) | Kind::Gap(_) | Kind::Destruction(_) => {}
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
        let first = first.filter(|first| *first < self.understood);
        first.map_or(Ok(None), |first| opener.capture_key(first))
    }
}
