//! Writing a bundle while the ledger is read once: memory holds one batch's leaf hashes and the gap lines.
//!
//! The order of the members is the order of the types: [`BundleWriter::create`] writes what is known at the start and
//! gives an [`EvidenceWriter`]; that gives a [`MessagesWriter`]; that writes gaps and manifest. What is written is
//! checked against batch and checkpoint on the way, so that a damaged store does not leave as a bundle.

use std::collections::BTreeMap;
use std::io::{Seek, Write};

use model::bytes::{Malformed, Writer};
use model::entry::{Header, Kind};
use model::{MessageId, Position, Timestamp, ZoneId};
use serde::Serialize;

use super::anchors::{self, Among, Anchor};
use super::container::{Archive, Written};
use super::digest::Digest;
use super::frames::{self, begin, end};
use super::lines::{MessageOut, MessageState, gap_line};
use super::manifest::{EvidenceFacts, GapFacts, Manifest, MemberFacts, Pinned};
use super::{COMPLETENESS, FORMAT_NAME, GAPS_MAX, Member, README, outside};
use crate::batch::Batch;
use crate::group::entry_leaf;
use crate::note::{Checkpoint, NoteError, NoteKey, sign_note};
use crate::part;
use crate::succession::Lineage;
use crate::suite::{Key, SealError, SigningKey, check_commitment, hex};
use crate::tree::{Hash, root, root_of_inclusion};

/// Why a bundle was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The sink failed.
    #[error("cannot be written: {0}")]
    Io(#[from] std::io::Error),
    /// A record is not what the log says it is: the store is damaged there.
    #[error("record {position} is not as it was recorded: {what}")]
    Damaged {
        /// Which record.
        position: Position,
        /// What is wrong.
        what: &'static str,
    },
    /// The caller broke the order or gave what does not fit together.
    #[error("{0}")]
    Misuse(&'static str),
    /// The checkpoint is not the zone's, or its statements do not lead to its key.
    #[error("checkpoint or succession: {0}")]
    Note(#[from] NoteError),
    /// A key that does not belong to what it is disclosed for.
    #[error("record {position}: {error}")]
    Key {
        /// Which record.
        position: Position,
        /// Why.
        error: SealError,
    },
    /// A record could not be written as JSON.
    #[error("cannot be written as JSON")]
    Json,
}

/// A consistency proof from an earlier checkpoint to the pinned one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// Size of the earlier log.
    pub old: u64,
    /// The path.
    pub path: Vec<Hash>,
}

/// What only the exporter knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// When the bundle is made.
    pub created_at: Timestamp,
    /// Version of the program.
    pub program: String,
    /// What was asked for, in the exporter's words.
    pub selection: String,
    /// The stretch for which gaps were looked up; none for all of it.
    pub gaps_from: Option<Timestamp>,
    /// To.
    pub gaps_to: Option<Timestamp>,
}

/// What is known before the evidence is read.
#[derive(Debug, Clone)]
pub struct Opening<'a> {
    /// Whose records.
    pub zone: ZoneId,
    /// The zone's key, which will sign the manifest.
    pub key: NoteKey,
    /// Statements that lead from older keys to this one, oldest first.
    pub succession: &'a [String],
    /// The signed checkpoint that everything will be proved against.
    pub checkpoint: &'a str,
    /// Consistency proofs from earlier checkpoints, in any order.
    pub proofs: &'a [Proof],
    /// Anchors of checkpoints for which there is such a proof, or of this one; in any order.
    pub anchors: &'a [Anchor],
}

/// Begins bundles.
pub struct BundleWriter;

impl BundleWriter {
    /// Writes what is known at the start, into an empty sink.
    ///
    /// # Errors
    /// [`WriteError::Note`] when the checkpoint is not signed by the key, or the statements do not lead to it;
    /// [`WriteError::Misuse`] for an anchor that no reader would accept; [`WriteError::Io`].
    pub fn create<W: Write + Seek>(sink: W, opening: &Opening<'_>) -> Result<EvidenceWriter<W>, WriteError> {
        let key = opening.key.clone();
        let statements = opening.succession.iter().map(String::as_str);
        let lineage = Lineage::new(key.clone(), statements)?;
        let pinned = Checkpoint::open(opening.checkpoint, Some(&key))?;
        let mut archive = Archive::new(sink);
        let mut members = Vec::new();
        let mut write = |member: Member, content: &[u8]| -> Result<(), WriteError> {
            let written = archive.whole(member, content)?;
            members.push(MemberFacts::of(member, written.bytes, &written.sha256));
            Ok(())
        };
        write(Member::Readme, README.as_bytes())?;
        write(Member::ZonePub, (key.encode() + "\n").as_bytes())?;
        write(Member::Succession, &outside::write_statements(opening.succession))?;
        write(Member::Checkpoint, opening.checkpoint.as_bytes())?;
        let consistency = consistency(opening.proofs, pinned.size);
        write(Member::Consistency, &consistency)?;
        let among = Among {
            zone: &opening.zone,
            lineage: &lineage,
            pinned: &pinned,
            consistency: &consistency,
        };
        let lines = anchors::write(opening.anchors, &among)
            .map_err(|_| WriteError::Misuse("an anchor that does not belong to this log"))?;
        write(Member::Anchors, &lines)?;
        archive.begin(Member::Evidence)?;
        Ok(EvidenceWriter {
            archive,
            zone: opening.zone.clone(),
            key,
            pinned,
            members,
            frame: Vec::new(),
            open: None,
            last_batch: None,
            digest: Digest::new(),
            facts: EvidenceFacts::default(),
            gap_lines: Vec::new(),
            gaps: 0,
        })
    }
}

fn consistency(proofs: &[Proof], pinned: u64) -> Vec<u8> {
    let paths: BTreeMap<u64, &Proof> = proofs
        .iter()
        .filter(|proof| proof.old > 0 && proof.old < pinned)
        .map(|proof| (proof.old, proof))
        .collect();
    let mut out = Writer::new();
    for (old, proof) in paths {
        let mut payload = Writer::new();
        payload.u64(old);
        frames::write_path(&mut payload, &proof.path);
        out.u8(frames::ALONE).blob(payload.as_bytes());
    }
    out.into_bytes()
}

/// The batch being shown.
struct OpenBatch {
    first: Position,
    leaves: Vec<Hash>,
    next: usize,
    shown: bool,
}

/// Writes `evidence`, batch by batch in log order.
pub struct EvidenceWriter<W: Write + Seek> {
    archive: Archive<W>,
    zone: ZoneId,
    key: NoteKey,
    pinned: Checkpoint,
    members: Vec<MemberFacts>,
    frame: Vec<u8>,
    open: Option<OpenBatch>,
    last_batch: Option<u64>,
    digest: Digest,
    facts: EvidenceFacts,
    gap_lines: Vec<u8>,
    gaps: u64,
}

impl<W: Write + Seek> EvidenceWriter<W> {
    /// Begins a batch: its index in the log, its record, its inclusion path in the log of the pinned checkpoint, and
    /// the leaf hashes of all its entries. At least one of them must be shown.
    ///
    /// # Errors
    /// [`WriteError::Misuse`] when these do not fit together or come out of order.
    pub fn begin_batch(
        &mut self,
        index: u64,
        batch: &Batch,
        log_path: &[Hash],
        leaves: &[Hash],
    ) -> Result<(), WriteError> {
        if self.open.is_some() || self.last_batch.is_some_and(|last| last >= index) {
            return Err(WriteError::Misuse(
                "batches are written whole and in the order of the log",
            ));
        }
        if batch.zone != self.zone || leaves.len() as u64 != u64::from(batch.count) {
            return Err(WriteError::Misuse("these are not the leaves of the batch"));
        }
        let damaged = |what| WriteError::Damaged {
            position: batch.first,
            what,
        };
        if root(leaves) != batch.root {
            return Err(damaged("the leaves do not lead to the root of its batch"));
        }
        if root_of_inclusion(&batch.leaf(), index, self.pinned.size, log_path) != Some(self.pinned.root) {
            return Err(damaged("its batch is not in the log"));
        }
        let mut payload = Writer::new();
        payload.u64(index);
        frames::write_path(&mut payload, log_path);
        payload.u8(0).raw(&batch.encode());
        begin(&mut self.frame, frames::BATCH);
        self.frame.extend_from_slice(payload.as_bytes());
        self.write_frame()?;
        self.facts.batches += 1;
        self.last_batch = Some(index);
        self.open = Some(OpenBatch {
            first: batch.first,
            leaves: leaves.to_vec(),
            next: 0,
            shown: false,
        });
        Ok(())
    }

    /// Shows an entry, with the key that opens it or without: the data key of a chunk's capture, the body key of an
    /// act or a destruction. Parts are shown by [`EvidenceWriter::part`].
    ///
    /// # Errors
    /// [`WriteError`]; nothing of the entry is written then.
    pub fn entry(
        &mut self,
        index_in_batch: u32,
        header: &[u8],
        body: &[u8],
        key: Option<&Key>,
    ) -> Result<(), WriteError> {
        let (position, leaf, decoded) = self.place(index_in_batch, header, body)?;
        let commitment = match &decoded.kind {
            Kind::Chunk(chunk) => Some(&chunk.sealing.commitment),
            Kind::Outside(outside) => Some(&outside.sealing.commitment),
            Kind::Act(act) => Some(&act.commitment),
            Kind::Destruction(destruction) => Some(&destruction.commitment),
            Kind::Part(_) => return Err(WriteError::Misuse("a part is shown by its items")),
            Kind::Wrap(_) | Kind::Gap(_) => None,
        };
        match (key, commitment) {
            (None, _) => {}
            (Some(key), Some(commitment)) => {
                check_commitment(key, commitment).map_err(|error| WriteError::Key { position, error })?;
            }
            (Some(_), None) => return Err(WriteError::Misuse("nothing is sealed in this kind of entry")),
        }
        if let Kind::Gap(gap) = &decoded.kind {
            self.gaps += 1;
            if self.gaps > GAPS_MAX as u64 {
                return Err(WriteError::Misuse(
                    "more gaps than one bundle may hold: export in pieces",
                ));
            }
            let line = gap_line(position, gap).map_err(|_| WriteError::Json)?;
            self.gap_lines.extend_from_slice(&line);
        }
        self.omit_to(index_in_batch)?;
        let header_bytes =
            u16::try_from(header.len()).map_err(|_| WriteError::Misuse("a header over 64 KiB"))?;
        begin(&mut self.frame, frames::ENTRY);
        frames::write_shown(&mut self.frame, &leaf, key);
        self.frame.extend_from_slice(&header_bytes.to_be_bytes());
        self.frame.push(0);
        self.frame.extend_from_slice(header);
        self.frame.extend_from_slice(body);
        self.write_frame()?;
        self.count(&leaf, key.is_some());
        self.facts.entries += 1;
        Ok(())
    }

    /// Shows a part: its header, and of its items those selected, each with its own key or, to show that it can no
    /// longer be opened, without.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn part(
        &mut self,
        index_in_batch: u32,
        header: &[u8],
        body: &[u8],
        selected: &BTreeMap<u32, Option<Key>>,
    ) -> Result<(), WriteError> {
        let (position, leaf, decoded) = self.place(index_in_batch, header, body)?;
        let Kind::Part(part) = decoded.kind else {
            return Err(WriteError::Misuse("not a part"));
        };
        let items = part::items(&part, body).map_err(|_| WriteError::Damaged {
            position,
            what: "its items do not lead to its root",
        })?;
        if selected.keys().any(|index| *index >= part.item_count) {
            return Err(WriteError::Misuse("the part has no such item"));
        }
        self.omit_to(index_in_batch)?;
        begin(&mut self.frame, frames::PART);
        frames::write_shown(&mut self.frame, &leaf, None);
        self.frame.push(0);
        self.frame.extend_from_slice(header);
        self.write_frame()?;
        self.count(&leaf, false);
        self.facts.entries += 1;
        let leaves: Vec<Hash> = items.iter().map(part::Item::leaf).collect();
        let mut next = 0;
        for item in &items {
            let Some(key) = selected.get(&item.index) else {
                continue;
            };
            if let Some(key) = key {
                check_commitment(key, &item.commitment)
                    .map_err(|error| WriteError::Key { position, error })?;
            }
            let (at, leaf) = (item.index as usize, item.leaf());
            self.omit(&leaves, next, at)?;
            next = at + 1;
            begin(&mut self.frame, frames::ITEM);
            frames::write_shown(&mut self.frame, &leaf, key.as_ref());
            self.frame.push(0);
            self.frame.extend_from_slice(item.frame);
            self.write_frame()?;
            self.count(&leaf, key.is_some());
            self.facts.items += 1;
        }
        self.omit(&leaves, next, leaves.len())
    }

    /// Ends the batch: what was not shown is there as hashes.
    ///
    /// # Errors
    /// [`WriteError::Misuse`] when none of it was shown.
    pub fn end_batch(&mut self) -> Result<(), WriteError> {
        let open = self.open.take().ok_or(WriteError::Misuse("no batch was begun"))?;
        if !open.shown {
            return Err(WriteError::Misuse("a batch of which nothing is shown"));
        }
        self.omit(&open.leaves, open.next, open.leaves.len())
    }

    /// Ends the evidence.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn finish(mut self) -> Result<MessagesWriter<W>, WriteError> {
        if self.open.is_some() {
            return Err(WriteError::Misuse("the last batch was not ended"));
        }
        let Written { bytes, crc, .. } = self.archive.end()?;
        self.facts.bytes = bytes;
        self.facts.crc32 = format!("{crc:08x}");
        self.facts.digest = hex(&std::mem::take(&mut self.digest).finish());
        self.archive.begin(Member::Messages)?;
        Ok(MessagesWriter {
            evidence: self,
            before: None,
            line: Vec::new(),
            messages: 0,
        })
    }

    /// Checks that a record is the next or a later one of the batch and what the log says it is.
    fn place(
        &mut self,
        index: u32,
        header: &[u8],
        body: &[u8],
    ) -> Result<(Position, Hash, Header), WriteError> {
        let open = self
            .open
            .as_ref()
            .ok_or(WriteError::Misuse("no batch was begun"))?;
        let at = index as usize;
        let position = open.first.plus(u64::from(index));
        let leaf = *open
            .leaves
            .get(at)
            .ok_or(WriteError::Misuse("the batch has no such entry"))?;
        if at < open.next {
            return Err(WriteError::Misuse("entries are shown in their order"));
        }
        let damaged = |what| WriteError::Damaged { position, what };
        if entry_leaf(header, body) != leaf {
            return Err(damaged("its hash is not the one in its batch"));
        }
        let decoded = Header::decode(header).map_err(|_: Malformed| damaged("its header cannot be read"))?;
        if decoded.position != position || decoded.zone != self.zone {
            return Err(damaged("its header is that of another record"));
        }
        Ok((position, leaf, decoded))
    }

    /// Writes the hashes of what is skipped, and moves past the entry that is about to be shown.
    fn omit_to(&mut self, index: u32) -> Result<(), WriteError> {
        let mut open = self.open.take().ok_or(WriteError::Misuse("no batch was begun"))?;
        let at = index as usize;
        let done = self.omit(&open.leaves, open.next, at);
        open.next = at + 1;
        open.shown = true;
        self.open = Some(open);
        done
    }

    /// Leaves `from..to` as the largest complete subtrees.
    fn omit(&mut self, leaves: &[Hash], mut from: usize, to: usize) -> Result<(), WriteError> {
        while from < to {
            let aligned = if from == 0 {
                usize::BITS - 1
            } else {
                from.trailing_zeros()
            };
            let height = aligned.min((to - from).ilog2());
            let upto = from + (1 << height);
            begin(&mut self.frame, frames::OMITTED);
            self.frame.push(u8::try_from(height).unwrap_or(u8::MAX));
            let hash = root(leaves.get(from..upto).unwrap_or(&[]));
            self.frame.extend_from_slice(&hash);
            self.write_frame()?;
            from = upto;
        }
        Ok(())
    }

    fn write_frame(&mut self) -> Result<(), WriteError> {
        if !end(&mut self.frame) {
            return Err(WriteError::Misuse("an entry longer than a frame of a bundle"));
        }
        self.archive.write(&self.frame)?;
        Ok(())
    }

    fn count(&mut self, leaf: &Hash, disclosed: bool) {
        self.digest.add(leaf, disclosed);
        self.facts.disclosed += u64::from(disclosed);
    }
}

/// Writes `messages.jsonl`, ids ascending, then the rest.
pub struct MessagesWriter<W: Write + Seek> {
    evidence: EvidenceWriter<W>,
    before: Option<MessageId>,
    line: Vec<u8>,
    messages: u64,
}

impl<W: Write + Seek> MessagesWriter<W> {
    /// One message, event or problem: what a connector understood. None for what is erased.
    ///
    /// # Errors
    /// [`WriteError::Misuse`] when ids do not ascend, or state and record do not fit.
    pub fn message(
        &mut self,
        id: MessageId,
        state: MessageState,
        connector: (&str, u32),
        record: Option<&impl Serialize>,
    ) -> Result<(), WriteError> {
        if self.before.is_some_and(|before| before >= id) {
            return Err(WriteError::Misuse(
                "messages are written in the order of their ids",
            ));
        }
        if record.is_some() == (state == MessageState::Erased) || connector.0.is_empty() {
            return Err(WriteError::Misuse(
                "what is erased has no record; all else has one, and a connector",
            ));
        }
        self.before = Some(id);
        self.messages += 1;
        let line = MessageOut {
            id: id.to_string(),
            state,
            connector: connector.0,
            connector_version: connector.1,
            record,
        };
        self.line.clear();
        serde_json::to_writer(&mut self.line, &line).map_err(|_| WriteError::Json)?;
        self.line.push(b'\n');
        if self.line.len() > super::UNIT_BYTES_MAX {
            return Err(WriteError::Misuse("a message longer than a line of a bundle"));
        }
        self.evidence.archive.write(&self.line)?;
        Ok(())
    }

    /// Writes gaps and manifest, signs it, and gives the sink back, flushed.
    ///
    /// # Errors
    /// [`WriteError::Misuse`] when the key is not the zone's; [`WriteError::Io`].
    pub fn finish(self, key: &SigningKey, facts: Facts) -> Result<W, WriteError> {
        let mut writer = self.evidence;
        if key.public() != writer.key.public {
            return Err(WriteError::Misuse("not the signing key of the zone"));
        }
        let written = writer.archive.end()?;
        let mut members = writer.members;
        members.push(MemberFacts::of(Member::Messages, written.bytes, &written.sha256));
        let written = writer.archive.whole(Member::Gaps, &writer.gap_lines)?;
        members.push(MemberFacts::of(Member::Gaps, written.bytes, &written.sha256));
        let manifest = Manifest {
            format: FORMAT_NAME.to_owned(),
            zone: writer.zone,
            log: writer.key.name.clone(),
            created_at: facts.created_at,
            program: facts.program,
            selection: facts.selection,
            checkpoint: Pinned::of(&writer.pinned),
            evidence: writer.facts,
            messages: self.messages,
            gaps: GapFacts {
                from: facts.gaps_from,
                to: facts.gaps_to,
                count: writer.gaps,
            },
            members,
            completeness: COMPLETENESS.to_owned(),
        };
        let text = manifest.text().map_err(|_| WriteError::Json)?;
        let note = sign_note(&text, key, &writer.key.name);
        writer.archive.whole(Member::Manifest, note.as_bytes())?;
        Ok(writer.archive.finish()?)
    }
}
