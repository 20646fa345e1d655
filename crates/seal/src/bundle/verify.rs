//! The offline check, step by step, in the order in which the specification lists the steps.

use std::collections::BTreeMap;
use std::io::{Read, Seek};

use model::entry::Header;
use model::{Position, Timestamp};
use serde::Serialize;

use super::anchors::{self, Among, AnchorReport};
use super::container::{Placed, layout};
use super::error::{BundleError, Fault, Where, failed};
use super::evidence::Evidence;
use super::frames::Blocks;
use super::known::Known;
use super::lines::{MessageState, check_message};
use super::manifest::{EvidenceFacts, Manifest, Pinned};
use super::{Member, README, outside};
use crate::note::{Checkpoint, NoteKey};
use crate::part::Place;
use crate::stamp::Root;
use crate::succession::{GivenUp, Lineage, Statement};
use crate::suite::{hex, sha256};
use crate::witness::WitnessKey;

/// What the check is given besides the bundle.
pub struct VerifyOptions<'a> {
    /// The zone's public key, from somebody who is trusted. Without it inner consistency is checked, not origin.
    pub key: Option<NoteKey>,
    /// A checkpoint of the zone that was kept outside.
    pub outside: Option<OutsideCheckpoint<'a>>,
    /// Keys of witnesses, from somebody who is trusted: their cosignatures in the bundle are checked.
    pub witnesses: Vec<WitnessKey>,
    /// Roots of time-stamping authorities, from somebody who is trusted.
    pub roots: Vec<Root>,
    /// A public statement of succession, by which the bundle's key may have been given up since.
    pub succession: Option<&'a str>,
    /// Who takes what is opened. It is called before the check is over: what it got counts only after success.
    pub extract: Option<&'a mut dyn Sink>,
    /// Bound for what has to be remembered of separate records; a bundle that needs more is refused.
    pub memory_bytes: usize,
}

impl Default for VerifyOptions<'_> {
    fn default() -> Self {
        VerifyOptions {
            key: None,
            outside: None,
            witnesses: Vec::new(),
            roots: Vec::new(),
            succession: None,
            extract: None,
            memory_bytes: 256 << 20,
        }
    }
}

/// A checkpoint from outside.
#[derive(Debug, Clone, Copy)]
pub struct OutsideCheckpoint<'a> {
    /// The signed note.
    pub note: &'a str,
    /// Text of the proof file beside it, needed when it is newer than the bundle.
    pub proof: Option<&'a str>,
}

/// Takes what is opened.
pub trait Sink {
    /// A chunk of a capture's stream (its first four bytes are the length of the descriptor that follows them), by the
    /// position of its first chunk. Chunks of one capture come in order.
    ///
    /// # Errors
    /// Those of writing; they end the check.
    fn capture(&mut self, capture: Position, chunk: u32, last: bool, plain: &[u8]) -> std::io::Result<()>;

    /// A range of a mixed capture.
    ///
    /// # Errors
    /// Those of writing.
    fn item(&mut self, source: Position, place: Place, plain: &[u8]) -> std::io::Result<()>;

    /// The body of an act or a destruction.
    ///
    /// # Errors
    /// Those of writing.
    fn act(&mut self, position: Position, plain: &[u8]) -> std::io::Result<()>;

    /// A line of `messages.jsonl` or `gaps.jsonl`, its end included.
    ///
    /// # Errors
    /// Those of writing.
    fn line(&mut self, member: &'static str, line: &[u8]) -> std::io::Result<()>;
}

/// What was found to hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whose records.
    pub zone: String,
    /// Origin of the log: the name of the key that signed.
    pub log: String,
    /// Whether the key came from outside the bundle.
    pub origin_proved: bool,
    /// The version of the program that made it, as it says.
    pub program: String,
    /// When it was made, as it says.
    pub created_at: Option<Timestamp>,
    /// What was asked for, as the exporter gave it.
    pub selection: String,
    /// What everything is proved against.
    pub checkpoint: CheckpointReport,
    /// Checkpoints anchored outside.
    pub anchors: Vec<AnchorReport>,
    /// When the key that was given, or the bundle's, was given up as compromised, as a statement says. Then everything
    /// shown is proved by an anchor from before.
    pub given_up_at: Option<Timestamp>,
    /// Batches of the log from which something is shown.
    pub batches: u64,
    /// Entries proved, by kind.
    pub entries: BTreeMap<&'static str, u64>,
    /// Captures and outside results.
    pub captures: CaptureCounts,
    /// Items of parts.
    pub items: ItemCounts,
    /// Acts and destructions whose bodies were opened.
    pub acts_opened: u64,
    /// Keys disclosed: each opened just what it stands beside.
    pub disclosed: u64,
    /// Lines of `messages.jsonl`, by state.
    pub messages: MessageCounts,
    /// Gaps stated.
    pub gaps: u64,
    /// Earliest time of recording among the entries, by the server's clock.
    pub first_recorded_at: Option<Timestamp>,
    /// Latest.
    pub last_recorded_at: Option<Timestamp>,
    /// The last record shown.
    pub last_record: Option<Position>,
    /// Length of the file.
    pub bytes: u64,
}

/// The pinned checkpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CheckpointReport {
    /// Batches in the log.
    pub size: u64,
    /// Root over them, Base64.
    pub root: String,
    /// Whether it is of one log with the checkpoint from outside; none when none was given.
    pub consistent_with_outside: Option<bool>,
}

/// Captures and outside results, by what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct CaptureCounts {
    /// All chunks are here and were opened.
    pub opened: u64,
    /// Here, and cannot be opened any more: each wrap shown has lost a key to a destruction shown.
    pub erased: u64,
    /// Here, not disclosed.
    pub sealed: u64,
    /// Not all chunks are here.
    pub incomplete: u64,
}

/// Items of parts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ItemCounts {
    /// Shown and proved.
    pub shown: u64,
    /// Of these: opened.
    pub opened: u64,
    /// Of these: not opened.
    pub sealed: u64,
}

/// Messages by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct MessageCounts {
    /// See [`MessageState::Raw`].
    pub raw: u64,
    /// See [`MessageState::Part`].
    pub part: u64,
    /// See [`MessageState::Erased`].
    pub erased: u64,
}

impl MessageCounts {
    fn total(&self) -> u64 {
        self.raw + self.part + self.erased
    }
}

impl Report {
    pub(super) fn count(&mut self, header: &Header) {
        *self.entries.entry(header.kind.name()).or_default() += 1;
        let at = Some(header.recorded_at);
        self.first_recorded_at = self
            .first_recorded_at
            .map_or(at, |first| Some(first.min(header.recorded_at)));
        self.last_recorded_at = self.last_recorded_at.max(at);
        self.last_record = self.last_record.max(Some(header.position));
    }

    fn entries_total(&self) -> u64 {
        self.entries.values().sum()
    }
}

/// Checks a bundle. Reads it once, one frame at a time; never panics, whatever the bytes.
///
/// # Errors
/// [`BundleError`]: the first thing that does not hold, and where.
pub fn verify(input: &mut (impl Read + Seek), mut options: VerifyOptions<'_>) -> Result<Report, BundleError> {
    let members = layout(input)?;
    let mut bundle = Bundle { input, members };
    let key = bundle.key()?;
    let mut lineage = outside::lineage(&bundle.whole(Member::Succession)?, &key)?;
    let given_up = trust(&options, &mut lineage)?;
    let manifest = Manifest::open(&bundle.whole(Member::Manifest)?, &key)?;
    let pinned = bundle.checkpoint(&manifest, &lineage)?;
    bundle.readme(&manifest)?;
    bundle.listed(Member::Succession, &manifest)?;
    let consistency = bundle.listed(Member::Consistency, &manifest)?;
    outside::proofs(&consistency, pinned.size, |_, _| {})?;
    let mut report = begin_report(&manifest, &options, bundle.bytes()?);
    let zone = &manifest.zone;
    let among = Among {
        zone,
        lineage: &lineage,
        pinned: &pinned,
        consistency: &consistency,
    };
    let lines = bundle.listed(Member::Anchors, &manifest)?;
    report.anchors = anchors::check(&lines, &among, &options.witnesses, &options.roots)?;
    if let Some(outside) = &options.outside {
        outside::check(outside, &lineage, &pinned, &consistency)?;
        report.checkpoint.consistent_with_outside = Some(true);
    }
    let reach = given_up
        .as_ref()
        .map(|given_up| reach(given_up, &report.anchors))
        .transpose()?;
    report.given_up_at = given_up.map(|given_up| given_up.at);
    let (known, gap_lines) = {
        let extract = options.extract.as_mut().map(|sink| &mut **sink as &mut dyn Sink);
        let mut evidence = Evidence::new(zone, &pinned, extract, options.memory_bytes, &mut report);
        bundle.evidence(&mut evidence, &manifest.evidence)?;
        (evidence.known, evidence.gap_lines)
    };
    if let (Some(reach), Some(last)) = (reach, report.last_record)
        && last > reach
    {
        return Err(failed(
            Where::Record(last),
            "came after the last anchor from before its key was given up as compromised",
        ));
    }
    check_evidence_counts(&manifest.evidence, &report)?;
    let mut extract = options.extract;
    report.messages = bundle.messages(&manifest, &known, &mut extract)?;
    report.gaps = bundle.gaps(&manifest, &gap_lines, &mut extract)?;
    Ok(report)
}

/// The last record that is proved by an anchor from before a key was given up: its signatures prove nothing any more, but
/// what somebody outside had seen of them before stands.
fn reach(given_up: &GivenUp, anchors: &[AnchorReport]) -> Result<Position, BundleError> {
    let before = |anchor: &&AnchorReport| {
        anchor.proved && anchor.at < given_up.at && anchor.generation <= given_up.generation
    };
    let reach = anchors
        .iter()
        .filter(before)
        .map(|anchor| anchor.last_record)
        .max();
    reach.ok_or_else(|| Fault::GivenUp { at: given_up.at }.at(Where::Member(Member::ZonePub.name())))
}

/// Whether the key that was given leads to the bundle's, as the statement from outside allows; and whether one on the way
/// was given up.
fn trust(options: &VerifyOptions<'_>, lineage: &mut Lineage) -> Result<Option<GivenUp>, BundleError> {
    let Some(given) = &options.key else {
        return Ok(None);
    };
    let place = Where::Member(Member::ZonePub.name());
    let generation = lineage.generation(given).ok_or_else(|| {
        let text = "not the key that was given: another zone's bundle, or a forged one";
        failed(place, text)
    })?;
    if let Some(note) = options.succession {
        let place = Where::Succession;
        let statement = Statement::open(note).map_err(|error| Fault::from(error).at(place))?;
        lineage.heed(statement).map_err(|text| failed(place, text))?;
    }
    Ok(lineage.given_up(generation))
}

fn begin_report(manifest: &Manifest, options: &VerifyOptions<'_>, bytes: u64) -> Report {
    Report {
        zone: manifest.zone.to_string(),
        log: manifest.log.clone(),
        origin_proved: options.key.is_some(),
        program: manifest.program.clone(),
        created_at: Some(manifest.created_at),
        selection: manifest.selection.clone(),
        checkpoint: CheckpointReport {
            size: manifest.checkpoint.size,
            root: manifest.checkpoint.root.clone(),
            consistent_with_outside: None,
        },
        bytes,
        ..Report::default()
    }
}

fn check_evidence_counts(stated: &EvidenceFacts, report: &Report) -> Result<(), BundleError> {
    let found = (
        report.batches,
        report.entries_total(),
        report.items.shown,
        report.disclosed,
    );
    if (stated.batches, stated.entries, stated.items, stated.disclosed) == found {
        Ok(())
    } else {
        let place = Where::Member(Member::Evidence.name());
        Err(failed(
            place,
            "does not hold as many records as the manifest says",
        ))
    }
}

/// The opened file.
struct Bundle<'r, R> {
    input: &'r mut R,
    members: Vec<Placed>,
}

impl<R: Read + Seek> Bundle<'_, R> {
    fn blocks(&mut self, member: Member) -> Result<Blocks<'_, R>, BundleError> {
        let placed = self.members.iter().find(|placed| placed.member == member);
        Blocks::new(self.input, *placed.ok_or(BundleError::NotABundle)?)
    }

    fn bytes(&mut self) -> Result<u64, BundleError> {
        Ok(self.input.seek(std::io::SeekFrom::End(0))?)
    }

    /// A short member, its checksum checked.
    fn whole(&mut self, member: Member) -> Result<Vec<u8>, BundleError> {
        let mut blocks = self.blocks(member)?;
        let content = blocks.whole()?.to_vec();
        blocks.finish()?;
        Ok(content)
    }

    /// A short member that the manifest lists.
    fn listed(&mut self, member: Member, manifest: &Manifest) -> Result<Vec<u8>, BundleError> {
        let content = self.whole(member)?;
        check_listed(member, manifest, content.len() as u64, &sha256(&content))?;
        Ok(content)
    }

    /// The key of the bundle.
    fn key(&mut self) -> Result<NoteKey, BundleError> {
        let place = Where::Member(Member::ZonePub.name());
        let content = self.whole(Member::ZonePub)?;
        let text = std::str::from_utf8(&content).map_err(|_| failed(place, "not UTF-8"))?;
        let key = NoteKey::decode(text).map_err(|error| Fault::from(error).at(place))?;
        if key.encode() + "\n" != text {
            return Err(failed(place, "not written as a key is written"));
        }
        Ok(key)
    }

    fn readme(&mut self, manifest: &Manifest) -> Result<(), BundleError> {
        let content = self.listed(Member::Readme, manifest)?;
        if content == README.as_bytes() {
            Ok(())
        } else {
            Err(failed(
                Where::Member(Member::Readme.name()),
                "not the text of this format",
            ))
        }
    }

    fn checkpoint(&mut self, manifest: &Manifest, lineage: &Lineage) -> Result<Checkpoint, BundleError> {
        let place = Where::Member(Member::Checkpoint.name());
        let zone_pub = self.whole(Member::ZonePub)?;
        check_listed(
            Member::ZonePub,
            manifest,
            zone_pub.len() as u64,
            &sha256(&zone_pub),
        )?;
        let note = self.listed(Member::Checkpoint, manifest)?;
        let note = std::str::from_utf8(&note).map_err(|_| failed(place, "not UTF-8"))?;
        let pinned = lineage
            .pinned(note)
            .map_err(|error| Fault::from(error).at(place))?;
        if Pinned::of(&pinned) == manifest.checkpoint {
            Ok(pinned)
        } else {
            Err(failed(place, "not the checkpoint that the manifest names"))
        }
    }

    fn evidence(
        &mut self,
        evidence: &mut Evidence<'_, '_>,
        stated: &EvidenceFacts,
    ) -> Result<(), BundleError> {
        let place = Where::Member(Member::Evidence.name());
        let mut blocks = self.blocks(Member::Evidence)?;
        let digest = evidence.read(&mut blocks)?;
        let found = blocks.finish()?;
        if hex(&digest) != stated.digest {
            return Err(failed(place, "does not show what the manifest says it shows"));
        }
        if (found.bytes, format!("{:08x}", found.crc)) != (stated.bytes, stated.crc32.clone()) {
            return Err(failed(
                place,
                "not of the length and checksum that the manifest names",
            ));
        }
        Ok(())
    }

    fn messages(
        &mut self,
        manifest: &Manifest,
        known: &Known,
        extract: &mut Option<&mut dyn Sink>,
    ) -> Result<MessageCounts, BundleError> {
        let member = Member::Messages;
        let (mut counts, mut before) = (MessageCounts::default(), None);
        let mut lines = self.lines(member)?;
        while let Some((number, line)) = lines.next()? {
            let place = Where::Line {
                member: member.name(),
                line: number,
            };
            let (id, state) = check_message(line, before, known).map_err(|fault| fault.at(place))?;
            before = Some(id);
            match state {
                MessageState::Raw => counts.raw += 1,
                MessageState::Part => counts.part += 1,
                MessageState::Erased => counts.erased += 1,
            }
            if let Some(sink) = extract {
                sink.line(member.name(), line).map_err(BundleError::Extract)?;
            }
        }
        lines.finish(member, manifest)?;
        if counts.total() == manifest.messages {
            Ok(counts)
        } else {
            let place = Where::Member(member.name());
            Err(failed(
                place,
                "does not hold as many messages as the manifest says",
            ))
        }
    }

    /// The lines say just what the gap entries say, in their order.
    fn gaps(
        &mut self,
        manifest: &Manifest,
        expected: &[Vec<u8>],
        extract: &mut Option<&mut dyn Sink>,
    ) -> Result<u64, BundleError> {
        let member = Member::Gaps;
        let mut expected = expected.iter();
        let mut lines = self.lines(member)?;
        while let Some((number, line)) = lines.next()? {
            if expected.next().map(Vec::as_slice) != Some(line) {
                let place = Where::Line {
                    member: member.name(),
                    line: number,
                };
                return Err(failed(
                    place,
                    "does not say what the gap entry in the evidence says",
                ));
            }
            if let Some(sink) = extract {
                sink.line(member.name(), line).map_err(BundleError::Extract)?;
            }
        }
        let count = lines.number;
        lines.finish(member, manifest)?;
        if expected.next().is_some() || count != manifest.gaps.count {
            let place = Where::Member(member.name());
            return Err(failed(place, "does not name every gap entry of the evidence"));
        }
        Ok(count)
    }

    fn lines(&mut self, member: Member) -> Result<Lines<'_, R>, BundleError> {
        Ok(Lines {
            blocks: self.blocks(member)?,
            number: 0,
            hasher: crate::suite::Hasher::new(),
        })
    }
}

/// Lines of a member, counted and hashed.
struct Lines<'r, R> {
    blocks: Blocks<'r, R>,
    number: u64,
    hasher: crate::suite::Hasher,
}

impl<R: Read + Seek> Lines<'_, R> {
    fn next(&mut self) -> Result<Option<(u64, &[u8])>, BundleError> {
        let Some(line) = self.blocks.line()? else {
            return Ok(None);
        };
        self.number += 1;
        self.hasher.update(line);
        Ok(Some((self.number, line)))
    }

    fn finish(self, member: Member, manifest: &Manifest) -> Result<(), BundleError> {
        let found = self.blocks.finish()?;
        check_listed(member, manifest, found.bytes, &self.hasher.finish())
    }
}

fn check_listed(
    member: Member,
    manifest: &Manifest,
    bytes: u64,
    sha256: &[u8; 32],
) -> Result<(), BundleError> {
    let stated = manifest.member(member);
    if stated.is_some_and(|stated| stated.bytes == bytes && stated.sha256 == hex(sha256)) {
        Ok(())
    } else {
        Err(failed(
            Where::Member(member.name()),
            "not of the length and hash that the manifest names",
        ))
    }
}
