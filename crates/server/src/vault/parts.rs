//! Writing a mixed capture out by author and conversation.
//!
//! The capture is read a second time, in step with what the parser understood: what lies between two spans belongs to
//! nobody in particular and goes into parts of the connection's own, so that nothing of the capture is left out.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io::{self, Read};
use std::sync::Arc;

use connect::Span;
use model::entry::{Kind, Part, WRAP_KEYS_MAX, Wrap};
use model::{KeyId, MessageId, Position};
use seal::Key;
use seal::keyring::SecretKind;
use seal::part::{ITEM_BYTES_MAX, NO_RECORD, PartBuilder, Place};
use store::catalogue::{CaptureRow, ErasedRecord, Placement, RecordRow};
use store::ledger::Draft;

use super::consent::{Lacking, name_of_refused};
use super::labels::{Gone, Owner};
use super::rows::{Facts, seal_row};
use super::{Inner, VaultError, locked};

/// Parts being filled hold at most this much together; then the largest is closed.
const OPEN_BYTES_MAX: usize = 8 << 20;

/// Closed parts are written to the ledger together once they have this much.
const CLOSED_BYTES_MAX: usize = 4 << 20;

/// About what a part's header and its frame take beside its body: it has few secrets, and small parts are mostly header.
const HEADER_BYTES: usize = 512;

/// The secrets of an owner, ready for use.
#[derive(Clone)]
pub struct OwnerKeys {
    /// Their names, ascending.
    pub ids: Vec<KeyId>,
    /// What they give together.
    pub joint: Key,
    /// Names of conversation and person, for rows.
    pub names: (KeyId, KeyId),
}

/// Finds and makes the secrets of owners; remembers those of one capture.
pub struct OwnerBook<'a> {
    inner: &'a Inner,
    capture: &'a CaptureRow,
    known: HashMap<Owner, OwnerKeys>,
    /// Names what seals that for which consent is lacking, in this capture. It is no secret of the key store, and never was.
    refused: Option<KeyId>,
}

/// Owners remembered at once; more are looked up again.
const OWNERS_MAX: usize = 10_000;

impl<'a> OwnerBook<'a> {
    pub fn new(inner: &'a Inner, capture: &'a CaptureRow) -> OwnerBook<'a> {
        OwnerBook {
            inner,
            capture,
            known: HashMap::new(),
            refused: None,
        }
    }

    /// The secrets of an owner, made where there are none.
    pub fn keys(&mut self, owner: &Owner) -> Result<OwnerKeys, VaultError> {
        if let Some(known) = self.known.get(owner) {
            return Ok(known.clone());
        }
        let wanted = self.inner.labels.secrets(owner, &self.capture.connection);
        let found = match owner.gone {
            None => self.inner.owner_keys(&wanted)?,
            Some(Gone::Destroyed) => self.inner.nobodys_keys(&wanted)?,
            Some(Gone::NoConsent) => OwnerKeys {
                ids: vec![self.refused()],
                joint: Key::random()?,
                names: (KeyId::NONE, KeyId::NONE),
            },
        };
        if self.known.len() >= OWNERS_MAX {
            self.known.clear();
        }
        self.known.insert(*owner, found.clone());
        Ok(found)
    }

    /// The name that what lacks consent hangs on, and that a destruction in the same append says is gone.
    fn refused(&mut self) -> KeyId {
        *self
            .refused
            .get_or_insert_with(|| name_of_refused(&self.inner.labels, self.capture))
    }
}

impl Inner {
    /// The secrets of these labels together, made where there are none.
    pub fn owner_keys(&self, wanted: &[(SecretKind, [u8; 16])]) -> Result<OwnerKeys, VaultError> {
        let head = self.ledger.head();
        let mut keys = locked(&self.keys);
        keys.ensure(wanted, head)?;
        let mut secrets = Vec::with_capacity(wanted.len());
        let mut names = (KeyId::NONE, KeyId::NONE);
        for (kind, label) in wanted {
            let id = keys.ring().find(*kind, label);
            let found = id.and_then(|id| keys.ring().secret(id).map(|secret| (id, secret.clone())));
            let Some((id, secret)) = found else {
                return Err(VaultError::BadData(
                    "a secret that was just made is not there".to_owned(),
                ));
            };
            match kind {
                SecretKind::Conversation => names.0 = id,
                SecretKind::Person => names.1 = id,
                _ => {}
            }
            secrets.push((id, secret));
        }
        drop(keys);
        secrets.sort_by_key(|(id, _)| *id);
        let joint = seal::wrap::joint_key(&secrets)?;
        Ok(OwnerKeys {
            ids: secrets.into_iter().map(|(id, _)| id).collect(),
            joint,
            names,
        })
    }
}

impl Inner {
    /// What seals what was destroyed and comes again: it names the secrets that are gone, so that the record says why, and
    /// is a key that nobody keeps.
    fn nobodys_keys(&self, wanted: &[(SecretKind, [u8; 16])]) -> Result<OwnerKeys, VaultError> {
        let keys = locked(&self.keys);
        let named = |(kind, label): &(SecretKind, [u8; 16])| {
            let gone = keys.ring().destroyed(*kind, label).map(|(id, _)| id);
            gone.or_else(|| keys.ring().find(*kind, label))
        };
        let mut ids: Vec<KeyId> = wanted.iter().filter_map(named).collect();
        ids.sort_unstable();
        Ok(OwnerKeys {
            ids,
            joint: Key::random()?,
            names: (KeyId::NONE, KeyId::NONE),
        })
    }
}

/// A row that waits for the position of its part. One that is gone leaves only its place.
struct WaitingRow {
    id: MessageId,
    facts: Facts,
    names: (KeyId, KeyId),
    item: u32,
    sealed: Vec<u8>,
    gone: bool,
}

impl WaitingRow {
    fn placed(self, part: Position) -> RecordRow {
        self.facts.row(
            self.id,
            self.names,
            Placement::Part {
                part,
                item: self.item,
            },
            self.sealed,
        )
    }
}

struct OpenPart {
    builder: PartBuilder,
    rows: Vec<WaitingRow>,
}

struct ClosedPart {
    part: Part,
    body: Vec<u8>,
    rows: Vec<WaitingRow>,
}

/// Opens the streams of a capture anew.
pub type OpenStream<'a> = Box<dyn Fn(u32) -> Result<Box<dyn Read + Send>, VaultError> + 'a>;

struct Stream {
    reader: Box<dyn Read + Send>,
    at: u64,
}

/// Writes the parts of one capture.
pub struct PartWriter<'a> {
    inner: &'a Arc<Inner>,
    capture: &'a CaptureRow,
    book: OwnerBook<'a>,
    open_stream: OpenStream<'a>,
    streams: BTreeMap<u32, Stream>,
    open: HashMap<Owner, OpenPart>,
    open_bytes: usize,
    closed: Vec<ClosedPart>,
    closed_bytes: usize,
    next_part: u32,
    all_keys: BTreeSet<KeyId>,
    /// Streams that are not cut: a container whose members are.
    skip: Option<u32>,
    placed: Vec<RecordRow>,
    written: Vec<Position>,
    gone: HashSet<u32>,
    /// Something in it was destroyed before: its whole is not wrapped.
    any_gone: bool,
    erased: Vec<ErasedRecord>,
    /// What lacked consent.
    lacking: Lacking,
}

/// What became of a capture that was written out as parts.
pub struct WrittenParts {
    /// Rows not taken yet.
    pub rows: Vec<RecordRow>,
    /// Where the parts stand.
    pub parts: Vec<Position>,
    /// Records that were destroyed before.
    pub erased: Vec<ErasedRecord>,
    /// Whether anything in it was.
    pub any_gone: bool,
}

impl<'a> PartWriter<'a> {
    /// For a capture; `container` says that stream 0 holds the others compressed, and is left to the wrap.
    pub fn new(
        inner: &'a Arc<Inner>,
        capture: &'a CaptureRow,
        open_stream: OpenStream<'a>,
        container: bool,
    ) -> PartWriter<'a> {
        PartWriter {
            inner,
            capture,
            book: OwnerBook::new(inner, capture),
            open_stream,
            streams: BTreeMap::new(),
            open: HashMap::new(),
            open_bytes: 0,
            closed: Vec::new(),
            closed_bytes: 0,
            next_part: 0,
            all_keys: BTreeSet::new(),
            skip: container.then_some(0),
            placed: Vec::new(),
            written: Vec::new(),
            gone: HashSet::new(),
            any_gone: false,
            erased: Vec::new(),
            lacking: Lacking::default(),
        }
    }

    /// Whether a record was destroyed before.
    pub fn is_gone(&self, ordinal: u32) -> bool {
        self.gone.contains(&ordinal)
    }

    fn nobody(&self) -> Owner {
        Owner {
            conversation: None,
            person: None,
            month: self.capture.received_at.month(),
            gone: None,
        }
    }

    /// Adds a record with the bytes that say it.
    pub fn record(&mut self, span: Span, ordinal: u32, facts: Facts, json: &[u8]) -> Result<(), VaultError> {
        let id = MessageId {
            capture: self.capture.position,
            ordinal,
        };
        let owner = facts.owner;
        let names = self.book.keys(&owner)?.names;
        let (item, key) = self.cut(span, owner, ordinal)?;
        let gone = owner.gone.is_some();
        self.lacking.note(&facts);
        if self.lacking.is_long() {
            let came = self.inner.came_without_consent(self.capture, &mut self.lacking)?;
            self.inner.ledger.append(vec![came])?;
        }
        let sealed = if gone {
            self.gone.insert(ordinal);
            Vec::new()
        } else {
            seal_row(&self.inner.file.zone, id, &key, json)?
        };
        self.open_bytes += sealed.len() + 128;
        if let Some(open) = self.open.get_mut(&owner) {
            open.rows.push(WaitingRow {
                id,
                facts,
                names,
                item,
                sealed,
                gone,
            });
        }
        self.close_if_full(owner)
    }

    /// Adds bytes that belong to somebody without being a record.
    pub fn bytes(&mut self, span: Span, owner: Owner) -> Result<(), VaultError> {
        self.cut(span, owner, NO_RECORD)?;
        self.close_if_full(owner)
    }

    /// Cuts a span out of its stream; what was passed over goes to nobody. Returns the first item and its key.
    fn cut(&mut self, span: Span, owner: Owner, ordinal: u32) -> Result<(u32, Key), VaultError> {
        if self.skip == Some(span.stream) {
            return self.item(
                owner,
                Place {
                    stream: span.stream,
                    offset: span.offset,
                    ordinal,
                },
                &[],
            );
        }
        let mut at = self.position(span.stream)?;
        if span.offset > at {
            let between = span.offset - at;
            self.take(span.stream, between, self.nobody(), NO_RECORD)?;
            at = span.offset;
        }
        // A span that goes back over bytes already given out keeps what is new of it.
        let fresh = (span.offset + span.len).saturating_sub(at).min(span.len);
        self.take(span.stream, fresh, owner, ordinal)
    }

    fn position(&mut self, stream: u32) -> Result<u64, VaultError> {
        if let Some(open) = self.streams.get(&stream) {
            return Ok(open.at);
        }
        let reader = (self.open_stream)(stream)?;
        self.streams.insert(stream, Stream { reader, at: 0 });
        Ok(0)
    }

    /// Reads `length` bytes of a stream into items of `owner`.
    fn take(
        &mut self,
        stream: u32,
        length: u64,
        owner: Owner,
        ordinal: u32,
    ) -> Result<(u32, Key), VaultError> {
        let mut first = None;
        let mut left = length;
        while left > 0 || first.is_none() {
            let want = usize::try_from(left)
                .unwrap_or(ITEM_BYTES_MAX)
                .min(ITEM_BYTES_MAX);
            let (offset, bytes) = self.read(stream, want)?;
            let short = bytes.len() < want;
            let place = Place {
                stream,
                offset,
                ordinal,
            };
            let item = self.item(owner, place, &bytes)?;
            first.get_or_insert(item);
            left -= bytes.len() as u64;
            if short {
                break;
            }
        }
        first.ok_or_else(|| VaultError::BadData("a record without an item".to_owned()))
    }

    fn read(&mut self, stream: u32, want: usize) -> Result<(u64, Vec<u8>), VaultError> {
        let Some(open) = self.streams.get_mut(&stream) else {
            return Err(VaultError::Capture(io::ErrorKind::NotFound.into()));
        };
        let offset = open.at;
        let mut bytes = Vec::with_capacity(want);
        let mut limited = (&mut open.reader).take(want as u64);
        limited.read_to_end(&mut bytes).map_err(VaultError::Capture)?;
        open.at += bytes.len() as u64;
        Ok((offset, bytes))
    }

    fn item(&mut self, owner: Owner, place: Place, bytes: &[u8]) -> Result<(u32, Key), VaultError> {
        if !self.open.contains_key(&owner) {
            let builder = PartBuilder::new(self.inner.file.zone.clone(), self.capture.position)?;
            self.open.insert(
                owner,
                OpenPart {
                    builder,
                    rows: Vec::new(),
                },
            );
        }
        let Some(open) = self.open.get_mut(&owner) else {
            return Err(VaultError::BadData(
                "a part that was just opened is not there".to_owned(),
            ));
        };
        let before = open.builder.size_bytes();
        let item = open.builder.push(place, bytes)?;
        self.open_bytes += open.builder.size_bytes() - before;
        if place.ordinal == NO_RECORD {
            self.close_if_full(owner)?;
        }
        Ok(item)
    }

    fn close_if_full(&mut self, owner: Owner) -> Result<(), VaultError> {
        if self.open.get(&owner).is_some_and(|open| open.builder.is_full()) {
            self.close(owner)?;
        }
        while self.open_bytes > OPEN_BYTES_MAX {
            let largest = self.open.iter().max_by_key(|(_, open)| open.builder.size_bytes());
            let Some(owner) = largest.map(|(owner, _)| *owner) else {
                break;
            };
            self.close(owner)?;
        }
        self.write_closed_if_many()
    }

    /// So that no append grows with the capture.
    fn write_closed_if_many(&mut self) -> Result<(), VaultError> {
        if self.closed_bytes > CLOSED_BYTES_MAX {
            self.write_closed(false)?;
        }
        Ok(())
    }

    fn close(&mut self, owner: Owner) -> Result<(), VaultError> {
        let Some(open) = self.open.remove(&owner) else {
            return Ok(());
        };
        if open.builder.is_empty() {
            return Ok(());
        }
        let rows_bytes: usize = open.rows.iter().map(|row| row.sealed.len() + 128).sum();
        self.open_bytes = self
            .open_bytes
            .saturating_sub(open.builder.size_bytes() + rows_bytes);
        let keys = self.book.keys(&owner)?;
        self.all_keys.extend(keys.ids.iter().copied());
        self.any_gone |= owner.gone.is_some();
        let (part, body) = open.builder.finish(keys.ids, &keys.joint)?;
        self.closed_bytes += HEADER_BYTES + body.len() + rows_bytes;
        self.closed.push(ClosedPart {
            part,
            body,
            rows: open.rows,
        });
        Ok(())
    }

    /// Appends closed parts; all but the last unless `finishing`, for only then it is known which is the last.
    fn write_closed(&mut self, finishing: bool) -> Result<(), VaultError> {
        let kept = if finishing { None } else { self.closed.pop() };
        let count = self.closed.len();
        let mut drafts = Vec::with_capacity(count + 1);
        let mut rows = Vec::with_capacity(count);
        for (index, closed) in std::mem::take(&mut self.closed).into_iter().enumerate() {
            let last = finishing && index + 1 == count;
            let part = Part {
                part: self.next_part,
                last,
                ..closed.part
            };
            self.next_part += 1;
            drafts.push(Draft {
                kind: Kind::Part(part),
                body: closed.body,
            });
            rows.push(closed.rows);
        }
        if finishing && let Some(wrap) = self.whole_wrap()? {
            drafts.push(wrap);
        }
        if finishing {
            drafts.extend(
                self.inner
                    .about_consent(self.capture, &self.lacking, self.book.refused)?,
            );
        }
        if !drafts.is_empty() {
            let first = self.inner.ledger.append(drafts)?;
            for (at, rows) in (0..).zip(rows) {
                let part = first.plus(at);
                self.written.push(part);
                for row in rows {
                    if row.gone {
                        self.erased.push(ErasedRecord {
                            id: row.id,
                            part,
                            item: row.item,
                        });
                    } else {
                        self.placed.push(row.placed(part));
                    }
                }
            }
        }
        self.closed_bytes = kept.as_ref().map_or(0, |kept| kept.body.len());
        self.closed.extend(kept);
        Ok(())
    }

    /// The capture as received stays openable while every secret it concerns lives.
    fn whole_wrap(&self) -> Result<Option<Draft>, VaultError> {
        if self.any_gone || self.all_keys.len() > WRAP_KEYS_MAX {
            return Ok(None);
        }
        let ids: Vec<KeyId> = self.all_keys.iter().copied().collect();
        let Some(joint) = self.inner.joint_key(&ids)? else {
            return Ok(None);
        };
        let Some(key) = self.inner.data_key(self.capture, None)? else {
            return Ok(None);
        };
        let wrapped_key = seal::wrap::wrap(&joint, &key)?;
        let wrap = Wrap {
            source: self.capture.position,
            mixed: true,
            keys: ids,
            wrapped_key,
        };
        Ok(Some(Draft {
            kind: Kind::Wrap(wrap),
            body: Vec::new(),
        }))
    }

    /// Rows whose parts are written by now.
    pub fn take_placed(&mut self) -> Vec<RecordRow> {
        std::mem::take(&mut self.placed)
    }

    /// Writes out the rest of every stream and all parts.
    pub fn finish(mut self, streams: u32) -> Result<WrittenParts, VaultError> {
        let skip = self.skip;
        for stream in (0..streams).filter(|stream| Some(*stream) != skip) {
            self.position(stream)?;
            loop {
                let (offset, bytes) = self.read(stream, ITEM_BYTES_MAX)?;
                if bytes.is_empty() {
                    break;
                }
                let nobody = self.nobody();
                self.item(
                    nobody,
                    Place {
                        stream,
                        offset,
                        ordinal: NO_RECORD,
                    },
                    &bytes,
                )?;
            }
        }
        let owners: Vec<Owner> = self.open.keys().copied().collect();
        for owner in owners {
            self.close(owner)?;
            self.write_closed_if_many()?;
        }
        self.write_closed(true)?;
        Ok(WrittenParts {
            rows: self.placed,
            parts: self.written,
            erased: self.erased,
            any_gone: self.any_gone,
        })
    }
}
