//! Checking `evidence`: every record shown against the log, every disclosure against its record, a frame at a time.

use std::collections::HashMap;
use std::io::{Read, Seek};

use model::bytes::{Malformed, Reader};
use model::entry::{Destruction, Header, Kind, Sealing, Wrap};
use model::{CaptureId, KeyId, Position, ZoneId};
use zeroize::Zeroizing;

use super::GAPS_MAX;
use super::digest::Digest;
use super::error::{BundleError, Fault, Where, failed};
use super::frames::{self, Blocks, Frame, locator};
use super::headers::Headers;
use super::known::Known;
use super::lines::gap_line;
use super::rebuilt::Rebuilt;
use super::verify::{Report, Sink};
use crate::batch::Batch;
use crate::note::Checkpoint;
use crate::part::Item;
use crate::suite::{self, Key, TAG_BYTES};
use crate::tree::{Hash, root_of_inclusion};
use crate::{act, envelope, part};

/// The batch being rebuilt.
struct Open {
    index: u64,
    batch: Batch,
    tree: Rebuilt,
    shown: u64,
}

impl Open {
    fn place(&self) -> Where {
        Where::Batch {
            index: self.index,
            first: self.batch.first,
            end: self.batch.end(),
        }
    }

    fn position(&self) -> Position {
        self.batch.first.plus(self.tree.next())
    }

    /// Whether a record at the edge of the batch was recorded when the batch says.
    fn dates(&self, header: &Header) -> bool {
        let at_edge = |edge: Position, at| header.position != edge || header.recorded_at == at;
        let last = Position(self.batch.end().0.saturating_sub(1));
        at_edge(self.batch.first, self.batch.first_at) && at_edge(last, self.batch.last_at)
    }
}

/// The part whose items are being shown.
struct OpenPart {
    position: Position,
    part: model::entry::Part,
    tree: Rebuilt,
    keys: Option<(usize, usize)>,
}

/// A capture of several chunks, not yet at its last.
struct Progress {
    first: Position,
    next: u64,
    /// All so far were here, in order, under one commitment.
    whole: bool,
    /// And opened.
    opened: bool,
    commitment: [u8; 32],
}

/// Everything that checking needs between two frames.
pub(super) struct Evidence<'a, 's> {
    zone: &'a ZoneId,
    pinned: &'a Checkpoint,
    extract: Option<&'a mut (dyn Sink + 's)>,
    open: Option<Open>,
    part: Option<OpenPart>,
    /// Index of the last batch and position after it.
    before: Option<(u64, Position)>,
    progress: HashMap<CaptureId, Progress>,
    headers: Headers,
    plain: Zeroizing<Vec<u8>>,
    digest: Digest,
    pub(super) known: Known,
    pub(super) gap_lines: Vec<Vec<u8>>,
    pub(super) report: &'a mut Report,
}

/// What one capture in progress takes, its place in the map included.
const PROGRESS_BYTES: usize = 2 * size_of::<(CaptureId, Progress)>();

impl<'a, 's> Evidence<'a, 's> {
    pub(super) fn new(
        zone: &'a ZoneId,
        pinned: &'a Checkpoint,
        extract: Option<&'a mut (dyn Sink + 's)>,
        memory_bytes: usize,
        report: &'a mut Report,
    ) -> Self {
        Evidence {
            zone,
            pinned,
            extract,
            open: None,
            part: None,
            before: None,
            progress: HashMap::new(),
            headers: Headers::default(),
            plain: Zeroizing::new(Vec::new()),
            digest: Digest::new(),
            known: Known::new(memory_bytes),
            gap_lines: Vec::new(),
            report,
        }
    }

    /// Reads the member to its end. Returns the digest over what was shown.
    pub(super) fn read(
        &mut self,
        blocks: &mut Blocks<'_, impl Read + Seek>,
    ) -> Result<[u8; 32], BundleError> {
        while let Some(frame) = blocks.frame()? {
            self.frame(&frame)?;
        }
        if let Some(part) = &self.part {
            return Err(failed(
                Where::Record(part.position),
                "its items are not all shown or omitted",
            ));
        }
        if let Some(open) = &self.open {
            return Err(failed(open.place(), "its records are not all shown or omitted"));
        }
        self.report.captures.incomplete += self.progress.len() as u64;
        self.known.settle();
        let (erased, sealed) = self.known.sealed_captures();
        (self.report.captures.erased, self.report.captures.sealed) = (erased, sealed);
        self.report.items.sealed = self.known.sealed_items();
        Ok(std::mem::take(&mut self.digest).finish())
    }

    fn frame(&mut self, frame: &Frame<'_>) -> Result<(), BundleError> {
        let place = Where::Frame {
            member: "evidence",
            offset: frame.offset,
        };
        match (frame.kind, &self.open, &self.part) {
            (frames::BATCH, None, None) => self.batch(frame.payload, place)?,
            (frames::ENTRY, Some(_), None) => self.entry(frame.payload)?,
            (frames::PART, Some(_), None) => self.begin_part(frame.payload)?,
            (frames::ITEM, Some(_), Some(_)) => self.item(frame.payload)?,
            (frames::OMITTED, Some(_), _) => self.omitted(frame.payload, place)?,
            _ => return Err(failed(place, "a frame that may not stand there")),
        }
        self.close_part()?;
        self.close_batch()
    }

    fn batch(&mut self, payload: &[u8], place: Where) -> Result<(), BundleError> {
        let (index, path, preimage, batch) =
            read_batch(payload).map_err(|error| Fault::from(error).at(place))?;
        let open = Open {
            index,
            tree: Rebuilt::new(batch.count),
            batch,
            shown: 0,
        };
        let place = open.place();
        if open.batch.zone != *self.zone {
            return Err(failed(place, "of another zone"));
        }
        if !self.follows(index, open.batch.first) {
            return Err(failed(place, "does not follow the batch before it"));
        }
        let leaf = suite::sha256(preimage);
        if root_of_inclusion(&leaf, index, self.pinned.size, &path) != Some(self.pinned.root) {
            return Err(failed(place, "is not in the log of the checkpoint"));
        }
        self.before = Some((index, open.batch.end()));
        self.open = Some(open);
        self.report.batches += 1;
        Ok(())
    }

    /// Positions have no holes, and a batch has at least one: as many are passed over as batches, or more.
    fn follows(&self, index: u64, first: Position) -> bool {
        let (next, end) = self
            .before
            .map_or((Some(0), Position(0)), |(index, end)| (index.checked_add(1), end));
        let batches = next.and_then(|next| index.checked_sub(next));
        match (batches, first.0.checked_sub(end.0)) {
            (Some(0), Some(positions)) => positions == 0,
            (Some(batches), Some(positions)) => batches <= positions,
            _ => false,
        }
    }

    fn omitted(&mut self, payload: &[u8], place: Where) -> Result<(), BundleError> {
        let read = || -> Result<(u8, Hash), Malformed> {
            let mut reader = Reader::new(payload, "omitted subtree");
            let read = (reader.u8()?, reader.array()?);
            reader.end()?;
            Ok(read)
        };
        let (height, hash) = read().map_err(|error| Fault::from(error).at(place))?;
        let tree = match (&mut self.part, &mut self.open) {
            (Some(part), _) => &mut part.tree,
            (None, Some(open)) => &mut open.tree,
            (None, None) => return Err(failed(place, "a frame that may not stand there")),
        };
        tree.omit(height, hash).map_err(|fault| fault.at(place))
    }

    fn close_batch(&mut self) -> Result<(), BundleError> {
        let Some(open) = self
            .open
            .take_if(|open| open.tree.is_done() && self.part.is_none())
        else {
            return Ok(());
        };
        if open.tree.root() != open.batch.root {
            return Err(failed(open.place(), "its records do not lead to its root"));
        }
        if open.shown == 0 {
            return Err(failed(open.place(), "shows nothing"));
        }
        Ok(())
    }

    fn close_part(&mut self) -> Result<(), BundleError> {
        let Some(open) = self.part.take_if(|open| open.tree.is_done()) else {
            return Ok(());
        };
        if open.tree.root() != open.part.items_root {
            return Err(failed(
                Where::Record(open.position),
                "its items do not lead to its root",
            ));
        }
        Ok(())
    }

    /// Counts a shown leaf.
    fn count(&mut self, leaf: &Hash, disclosed: bool) {
        self.digest.add(leaf, disclosed);
        self.report.disclosed += u64::from(disclosed);
    }

    /// Takes the place of the next record of the batch, for a leaf that was shown.
    fn take_place(&mut self) -> Result<(Position, Where), BundleError> {
        let open = self.open.as_mut().ok_or(BundleError::NotABundle)?;
        let position = open.position();
        open.shown += 1;
        Ok((position, Where::Record(position)))
    }

    /// Reads a shown record: its header, its body, and its leaf pushed to the batch's tree.
    fn shown<'p>(&mut self, payload: &'p [u8], with_body: bool) -> Result<ShownRecord<'p>, BundleError> {
        let (position, place) = self.take_place()?;
        let read = || -> Result<_, Malformed> {
            let mut reader = Reader::new(payload, "record frame");
            let (check, key) = frames::read_shown(&mut reader)?;
            let header_bytes = if with_body { Some(reader.u16()?) } else { None };
            let (preimage, hashed) = frames::read_preimage(&reader)?;
            let header_bytes = header_bytes.map_or(hashed.len(), usize::from);
            let pieces = hashed.split_at_checked(header_bytes);
            Ok((
                check,
                key,
                preimage,
                pieces.ok_or(Malformed::Short("record frame"))?,
            ))
        };
        let (check, key, preimage, (header, body)) = read().map_err(|error| Fault::from(error).at(place))?;
        let leaf = suite::sha256(preimage);
        if locator(&leaf) != check {
            return Err(failed(place, "its bytes were altered"));
        }
        let header = self
            .headers
            .decode(header)
            .map_err(|error| Fault::from(error).at(place))?;
        if header.zone != *self.zone || header.position != position {
            return Err(failed(place, "its header is that of another record"));
        }
        if self.open.as_ref().is_some_and(|open| !open.dates(&header)) {
            return Err(failed(place, "was not recorded when its batch says"));
        }
        self.count(&leaf, key.is_some());
        if let Some(open) = &mut self.open {
            open.tree.leaf(leaf);
        }
        self.report.count(&header);
        Ok((position, header, body, key))
    }

    fn entry(&mut self, payload: &[u8]) -> Result<(), BundleError> {
        let (position, header, body, key) = self.shown(payload, true)?;
        self.by_kind(position, &header.kind, body, key.as_ref())?;
        self.headers.put_back(header);
        Ok(())
    }

    fn by_kind(
        &mut self,
        position: Position,
        kind: &Kind,
        body: &[u8],
        key: Option<&Key>,
    ) -> Result<(), BundleError> {
        let place = Where::Record(position);
        let at = |fault: Fault| fault.at(place);
        match kind {
            Kind::Chunk(chunk) => self.chunk(position, &chunk.sealing, body, key),
            Kind::Outside(outside) => self.chunk(position, &outside.sealing, body, key),
            Kind::Part(_) => Err(failed(place, "a part that is not shown as one")),
            Kind::Wrap(wrap) => bare(body, key).and_then(|()| self.wrap(wrap)).map_err(at),
            Kind::Gap(gap) => bare(body, key).and_then(|()| self.gap(position, gap)).map_err(at),
            Kind::Act(sealed) => {
                check_sealed(body).map_err(at)?;
                let Some(key) = key else { return Ok(()) };
                let opened = act::open_act_with(self.zone, sealed, key, body, &mut self.plain);
                opened.map_err(|error| at(error.into()))?;
                self.acted(position)
            }
            Kind::Destruction(sealed) => {
                destruction_body(sealed, body, key).map_err(at)?;
                self.known.destroyed(&sealed.keys).map_err(at)?;
                let Some(key) = key else { return Ok(()) };
                let opened = act::open_destruction_with(self.zone, sealed, key, body, &mut self.plain);
                opened.map_err(|error| at(error.into()))?;
                self.acted(position)
            }
        }
    }

    fn acted(&mut self, position: Position) -> Result<(), BundleError> {
        self.report.acts_opened += 1;
        match &mut self.extract {
            Some(sink) => sink.act(position, &self.plain).map_err(BundleError::Extract),
            None => Ok(()),
        }
    }

    fn wrap(&mut self, wrap: &Wrap) -> Result<(), Fault> {
        // A mixed capture has parts, which stand for it once a key of its wrap is gone. A capture that was opened is
        // not erased; not to remember its wrap keeps memory small.
        if wrap.mixed || self.known.is_capture_opened(wrap.source.0) {
            return Ok(());
        }
        let keys = self.known.keys(&wrap.keys)?;
        self.known.capture_locked(wrap.source.0, keys)
    }

    fn gap(&mut self, position: Position, gap: &model::entry::Gap) -> Result<(), Fault> {
        if self.gap_lines.len() >= GAPS_MAX {
            return Err(Fault::Is("more gaps than one bundle may hold"));
        }
        let line = gap_line(position, gap).map_err(|_| Fault::Is("cannot be written as a line"))?;
        self.known.charge(line.len() + 24)?;
        self.gap_lines.push(line);
        Ok(())
    }

    fn chunk(
        &mut self,
        position: Position,
        sealing: &Sealing,
        body: &[u8],
        key: Option<&Key>,
    ) -> Result<(), BundleError> {
        let place = Where::Record(position);
        if body.len() > envelope::CHUNK_BYTES + TAG_BYTES {
            return Err(failed(place, "its body is longer than a chunk"));
        }
        check_sealed(body).map_err(|fault| fault.at(place))?;
        if let Some(key) = key {
            let opened = suite::check_commitment(key, &sealing.commitment)
                .and_then(|()| envelope::open_chunk(self.zone, sealing, key, body, &mut self.plain));
            opened.map_err(|error| Fault::from(error).at(place))?;
        }
        let first = self.advance(position, sealing, key.is_some());
        let first = first.map_err(|fault| fault.at(place))?;
        match (&mut self.extract, first) {
            (Some(sink), Some(first)) if key.is_some() => sink
                .capture(first, sealing.chunk, sealing.last, &self.plain)
                .map_err(BundleError::Extract),
            _ => Ok(()),
        }
    }

    /// Joins the chunks of a capture: it counts as opened when all were, in order. Returns its first position, or
    /// none when not all before this chunk were opened.
    fn advance(
        &mut self,
        position: Position,
        sealing: &Sealing,
        opened: bool,
    ) -> Result<Option<Position>, Fault> {
        let before = self.progress.remove(&sealing.capture);
        if before.is_some() {
            self.known.refund(PROGRESS_BYTES);
        }
        let mut at = match (sealing.chunk, before) {
            (0, before) => {
                self.report.captures.incomplete += u64::from(before.is_some());
                Progress {
                    first: position,
                    next: 0,
                    whole: true,
                    opened: true,
                    commitment: sealing.commitment,
                }
            }
            (_, Some(progress)) => progress,
            (_, None) => {
                self.report.captures.incomplete += u64::from(sealing.last);
                return Ok(None);
            }
        };
        let first = at.first;
        let same_key = at.commitment == sealing.commitment;
        if sealing.chunk == 0 && !opened {
            self.known.capture_begins_sealed(first.0)?;
        } else if opened && same_key && !(sealing.chunk == 0 && sealing.last) {
            self.known.capture_touched(first.0)?;
        }
        at.whole &= at.next == u64::from(sealing.chunk) && same_key;
        at.opened &= at.whole && opened;
        at.next = u64::from(sealing.chunk) + 1;
        let goes_on = at.opened;
        if !sealing.last {
            self.known.charge(PROGRESS_BYTES)?;
            self.progress.insert(sealing.capture, at);
        } else if !at.whole {
            self.report.captures.incomplete += 1;
        } else if at.opened {
            self.report.captures.opened += 1;
            self.known.capture_opened(first.0)?;
        } else {
            self.known.capture_sealed(first.0)?;
        }
        Ok(goes_on.then_some(first))
    }

    fn begin_part(&mut self, payload: &[u8]) -> Result<(), BundleError> {
        let (position, header, _, key) = self.shown(payload, false)?;
        let place = Where::Record(position);
        let Kind::Part(part) = header.kind else {
            return Err(failed(place, "not a part"));
        };
        if key.is_some() {
            return Err(failed(place, "a part is disclosed by its items"));
        }
        self.part = Some(OpenPart {
            position,
            tree: Rebuilt::new(part.item_count),
            part,
            keys: None,
        });
        Ok(())
    }

    fn item(&mut self, payload: &[u8]) -> Result<(), BundleError> {
        let Some(mut open) = self.part.take() else {
            return Err(BundleError::NotABundle);
        };
        let index = u32::try_from(open.tree.next()).unwrap_or(u32::MAX);
        let place = Where::Item {
            position: open.position,
            index,
        };
        let (check, key, preimage, item) =
            read_item(payload, index).map_err(|error| Fault::from(error).at(place))?;
        let leaf = suite::sha256(preimage);
        if locator(&leaf) != check {
            return Err(failed(place, "its bytes were altered"));
        }
        if item.len() > part::ITEM_BYTES_MAX {
            return Err(failed(place, "longer than an item"));
        }
        check_sealed(item.ciphertext).map_err(|fault| fault.at(place))?;
        self.count(&leaf, key.is_some());
        open.tree.leaf(leaf);
        self.report.items.shown += 1;
        match &key {
            Some(key) => self.item_opened(&open, &item, key, place)?,
            None => self
                .item_sealed(&mut open, &item)
                .map_err(|fault| fault.at(place))?,
        }
        self.part = Some(open);
        Ok(())
    }

    fn item_opened(
        &mut self,
        open: &OpenPart,
        item: &Item<'_>,
        key: &Key,
        place: Where,
    ) -> Result<(), BundleError> {
        let source = open.part.source;
        part::open_item(self.zone, source, key, item, &mut self.plain)
            .map_err(|error| Fault::from(error).at(place))?;
        self.report.items.opened += 1;
        let known = self.known.item_opened(source.0, item.place.ordinal);
        known.map_err(|fault| fault.at(place))?;
        match &mut self.extract {
            Some(sink) => sink
                .item(source, item.place, &self.plain)
                .map_err(BundleError::Extract),
            None => Ok(()),
        }
    }

    fn item_sealed(&mut self, open: &mut OpenPart, item: &Item<'_>) -> Result<(), Fault> {
        let keys = match open.keys {
            Some(keys) => keys,
            None => self.known.keys(&open.part.keys)?,
        };
        open.keys = Some(keys);
        let source = open.part.source.0;
        self.known.item_locked(source, item.place.ordinal, keys)
    }
}

/// Position, header, body and disclosed key of a record.
type ShownRecord<'a> = (Position, Box<Header>, &'a [u8], Option<Key>);

/// Whether it could be opened at all: disclosed or not, it is at least as long as its tag.
fn check_sealed(body: &[u8]) -> Result<(), Fault> {
    if body.len() < TAG_BYTES {
        return Err(Fault::Is("shorter than anything sealed"));
    }
    Ok(())
}

/// What was done by rule has no body and names no key for one; all else has both.
fn destruction_body(sealed: &Destruction, body: &[u8], key: Option<&Key>) -> Result<(), Fault> {
    let named = sealed.key != KeyId::NONE || sealed.salt != [0; 16] || sealed.commitment != [0; 32];
    match named {
        true => check_sealed(body),
        false => bare(body, key),
    }
}

/// Nothing sealed stands in it, so nothing can be disclosed of it.
fn bare(body: &[u8], key: Option<&Key>) -> Result<(), Fault> {
    if body.is_empty() && key.is_none() {
        Ok(())
    } else {
        Err(Fault::Is("has a body or a key where its kind has none"))
    }
}

type BatchFrame<'a> = (u64, Vec<Hash>, &'a [u8], Batch);

fn read_batch(payload: &[u8]) -> Result<BatchFrame<'_>, Malformed> {
    let mut reader = Reader::new(payload, "batch frame");
    let (index, path) = (reader.u64()?, frames::read_path(&mut reader)?);
    let (preimage, batch) = frames::read_preimage(&reader)?;
    Ok((index, path, preimage, Batch::decode(batch)?))
}

type ItemFrame<'a> = (frames::Locator, Option<Key>, &'a [u8], Item<'a>);

fn read_item(payload: &[u8], index: u32) -> Result<ItemFrame<'_>, Malformed> {
    let mut reader = Reader::new(payload, "item frame");
    let (check, key) = frames::read_shown(&mut reader)?;
    let (preimage, hashed) = frames::read_preimage(&reader)?;
    let (item, rest) = part::read_item(hashed, index)?;
    if rest.is_empty() {
        Ok((check, key, preimage, item))
    } else {
        Err(Malformed::Trailing("item frame"))
    }
}
