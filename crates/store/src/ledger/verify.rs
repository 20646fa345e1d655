//! Checking a whole ledger on disk, trusting nothing but the zone's public key.

use std::collections::{BTreeSet, VecDeque};
use std::path::Path;
use std::thread::ScopedJoinHandle;

use model::{Position, Timestamp, ZoneId};
use seal::batch::Batch;
use seal::note::Checkpoint;
use seal::succession::Lineage;
use seal::tiles::{Frontier, bundle_path, tile_path, tile_width, tiles_of};
use seal::tree::{Hash, RootBuilder};

use super::log::decode_bundle;
use super::places::{Places, SegmentPlace};
use super::reading::{End, Footer, Looked, ReadGroup, Reading, read_segment};
use super::segments::segment_name;
use crate::folder::StoreError;

/// Something that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Which file, record or tile.
    pub place: String,
    /// What is wrong with it.
    pub detail: String,
}

/// What checking a ledger found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// Segments read.
    pub segments: u64,
    /// Entries read.
    pub entries: u64,
    /// Batches in the log.
    pub batches: u64,
    /// Entries that no checkpoint covers yet.
    pub unsigned_entries: u64,
    /// The signed checkpoint, when there is one.
    pub checkpoint: Option<String>,
    /// What does not hold.
    pub findings: Vec<Finding>,
    /// Segments that are not as they were written, or that are missing.
    pub broken: BTreeSet<u64>,
    /// Segments that hold entries of a batch that has another root; those of `broken` may be among them.
    pub contradicted: BTreeSet<u64>,
    /// Batches that were read from the log, in order.
    pub log: Vec<Batch>,
}

impl Checked {
    /// Whether a segment is whole and agrees with the signed log.
    pub fn is_good(&self, number: u64) -> bool {
        !self.broken.contains(&number) && !self.contradicted.contains(&number)
    }
}

struct Checker<'a> {
    places: &'a Places,
    zone: &'a ZoneId,
    outside: Option<&'a Checkpoint>,
    batches: Vec<Batch>,
    batch: usize,
    root: RootBuilder,
    in_batch: u32,
    next: Position,
    /// Entries before this belong to a batch whose beginning is missing.
    skip_before: Position,
    /// The segment being read, and the one in which the batch under way begins.
    segment: u64,
    batch_began_in: u64,
    report: Checked,
}

/// Segments being read or waiting to be judged at most: each takes as much memory as a segment has entries.
const READERS_MAX: usize = 4;

/// Segments that are being read, in order.
type BeingRead<'p, 'scope> = VecDeque<(
    &'p SegmentPlace,
    ScopedJoinHandle<'scope, Result<Reading, StoreError>>,
)>;

/// Most findings that are listed; one altered byte early on would otherwise name everything after it.
const FINDINGS_MAX: usize = 100;

/// Reads every byte of a ledger and recomputes everything up to the signed checkpoint.
///
/// `outside` is a checkpoint kept elsewhere: the log must contain it.
///
/// # Errors
/// [`StoreError::Io`] when a file cannot be read; what is wrong inside is in the report.
pub fn verify(
    folder: &Path,
    zone: &ZoneId,
    keys: &Lineage,
    outside: Option<&Checkpoint>,
) -> Result<Checked, StoreError> {
    match Places::of_data(folder) {
        Ok(places) => check(&places, zone, keys, outside, &mut |_| Ok(())),
        Err(StoreError::Damaged { what, detail }) => {
            // A file that is no segment stands among them: nothing can be said of their order.
            let places = Places::without_segments(folder)?;
            let mut report = check(&places, zone, keys, outside, &mut |_| Ok(()))?;
            report.findings.push(Finding { place: what, detail });
            Ok(report)
        }
        Err(other) => Err(other),
    }
}

/// As [`verify`], of files wherever they stand. `before` is called with the number of each segment before it is read:
/// to wait for it, or to leave the disk to others for a while.
///
/// # Errors
/// As [`verify`]; those of `before`.
pub fn check(
    places: &Places,
    zone: &ZoneId,
    keys: &Lineage,
    outside: Option<&Checkpoint>,
    before: &mut dyn FnMut(u64) -> Result<(), StoreError>,
) -> Result<Checked, StoreError> {
    let mut checker = Checker {
        places,
        zone,
        outside,
        batches: Vec::new(),
        batch: 0,
        root: RootBuilder::new(),
        in_batch: 0,
        next: Position(0),
        skip_before: Position(0),
        segment: 0,
        batch_began_in: 0,
        report: Checked::default(),
    };
    checker.check_log(keys);
    let present: BTreeSet<u64> = places.segments.iter().map(|place| place.number).collect();
    let count = present.last().map_or(0, |last| last + 1);
    for number in (0..count).filter(|number| !present.contains(number)) {
        checker.report.broken.insert(number);
        checker.find(segment_name(number), "is missing");
    }
    checker.check_segments(before)?;
    checker.check_all_batches_seen();
    checker.report.log = checker.batches;
    Ok(checker.report)
}

impl Checker<'_> {
    fn find(&mut self, place: impl Into<String>, detail: impl Into<String>) {
        if self.report.findings.len() < FINDINGS_MAX {
            self.report.findings.push(Finding {
                place: place.into(),
                detail: detail.into(),
            });
        }
    }

    /// The segment being read is not as it was written.
    fn find_here(&mut self, place: impl Into<String>, detail: impl Into<String>) {
        self.report.broken.insert(self.segment);
        self.find(place, detail);
    }

    fn check_log(&mut self, keys: &Lineage) {
        let Some((name, note)) = self.places.checkpoint.clone() else {
            if self.outside.is_some() {
                self.find(
                    "log/checkpoint",
                    "is missing, although a checkpoint was handed out",
                );
            }
            return self.check_files(0);
        };
        let Ok(note) = String::from_utf8(note) else {
            return self.find(name, "is not text");
        };
        let checkpoint = match keys.checkpoint(&note) {
            Ok(checkpoint) => checkpoint,
            Err(problem) => return self.find(name, problem.to_string()),
        };
        self.report.checkpoint = Some(note);
        self.load_batches(checkpoint.size);
        if self.batches.len() as u64 == checkpoint.size {
            self.check_tiles(&checkpoint);
        }
        self.check_files(checkpoint.size);
    }

    fn load_batches(&mut self, size: u64) {
        for index in 0..size.div_ceil(256) {
            let width = tile_width(0, index, size);
            let name = format!("log/{}", bundle_path(index, width));
            let bytes = match self.places.read_log(width, |width| bundle_path(index, width)) {
                Ok((bytes, _)) => bytes,
                Err(error) => return self.find(name, error.to_string()),
            };
            let Ok(mut raw) = decode_bundle(&bytes, &name) else {
                return self.find(name, "is not a row of batches");
            };
            raw.truncate(raw.len().min(256));
            if (raw.len() as u64) < width
                || (raw.len() as u64 > width && self.places.has_exact(&bundle_path(index, width)))
            {
                return self.find(name, "has another number of batches than the log");
            }
            raw.truncate(usize::try_from(width).unwrap_or(256));
            for bytes in &raw {
                match Batch::decode(bytes) {
                    Ok(batch) => self.batches.push(batch),
                    Err(problem) => return self.find(name, problem.to_string()),
                }
            }
        }
    }

    /// Recomputes every tile and the root from the batches.
    fn check_tiles(&mut self, checkpoint: &Checkpoint) {
        let mut frontier = Frontier::new();
        let mut writes = Vec::new();
        let leaves: Vec<Hash> = self.batches.iter().map(Batch::leaf).collect();
        self.check_outside(&leaves, checkpoint);
        for leaf in leaves {
            writes.extend(frontier.push(leaf));
        }
        if self.places.has_unfinished_tiles {
            writes.extend(frontier.unfinished());
        }
        for write in writes {
            let width = write.hashes.len() as u64;
            let path = |width| tile_path(write.level, write.index, width);
            let name = format!("log/{}", path(width));
            let expected = write.hashes.concat();
            match self.places.read_log(width, path) {
                Ok((bytes, true)) if bytes == expected => {}
                Ok((bytes, false)) if bytes.starts_with(&expected) => {}
                Ok(_) => self.find(name, "does not hold the hashes of its batches"),
                Err(error) => self.find(name, error.to_string()),
            }
        }
        if frontier.root() != checkpoint.root {
            self.find("log/checkpoint", "its root is not that of the batches");
        }
    }

    fn check_outside(&mut self, leaves: &[Hash], checkpoint: &Checkpoint) {
        let Some(outside) = self.outside else { return };
        if outside.origin != checkpoint.origin {
            return self.find("outside checkpoint", "is of another log");
        }
        let size = usize::try_from(outside.size).unwrap_or(usize::MAX);
        match leaves.get(..size) {
            None => self.find(
                "log/checkpoint",
                format!(
                    "covers {} batches, the outside checkpoint {}: the log was cut back",
                    leaves.len(),
                    size
                ),
            ),
            Some(older) if seal::tree::root(older) != outside.root => self.find(
                "log/checkpoint",
                "does not continue the outside checkpoint: the history before it was rewritten",
            ),
            Some(_) => {}
        }
    }

    /// Every file of the log must be one that a log of this size has.
    fn check_files(&mut self, size: u64) {
        let mut expected: BTreeSet<String> = tiles_of(size)
            .into_iter()
            .flat_map(|(level, index, width)| {
                let bundle = (level == 0).then(|| bundle_path(index, width));
                [Some(tile_path(level, index, width)), bundle]
            })
            .flatten()
            .collect();
        if size > 0 || self.report.checkpoint.is_some() {
            expected.insert("checkpoint".to_owned());
        }
        let mut present = Vec::new();
        list(&self.places.log, "", &mut present);
        for name in present {
            if !self.places.has_unfinished_tiles
                && (name.starts_with("checkpoints/") || name.ends_with(".part"))
            {
                continue;
            }
            // A crash after the tiles and before the checkpoint leaves tiles of a size that was never signed; the next
            // checkpoint takes them away. They prove nothing, so they are only counted when they pretend to be ours.
            let is_tile = name.starts_with("tile/") && name.contains(".p/");
            if !expected.contains(&name) && !is_tile && name != "checkpoint.new" {
                let full = name.starts_with("tile/");
                if !full {
                    self.find(format!("log/{name}"), "is not a file of this log");
                }
            }
        }
    }

    /// Several segments are read at a time; what was read is judged in order.
    fn check_segments(
        &mut self,
        before: &mut dyn FnMut(u64) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let (places, zone) = (self.places, self.zone);
        let last = places.segments.last().map(|place| place.number);
        let readers = std::thread::available_parallelism()
            .map_or(1, usize::from)
            .clamp(2, READERS_MAX);
        std::thread::scope(|scope| {
            let mut reading = VecDeque::new();
            for place in &places.segments {
                if reading.len() >= readers {
                    self.judge_next(&mut reading, last)?;
                }
                before(place.number)?;
                reading.push_back((place, scope.spawn(|| read_segment(place, zone))));
            }
            while !reading.is_empty() {
                self.judge_next(&mut reading, last)?;
            }
            Ok(())
        })
    }

    fn judge_next(&mut self, reading: &mut BeingRead<'_, '_>, last: Option<u64>) -> Result<(), StoreError> {
        let Some((place, thread)) = reading.pop_front() else {
            return Ok(());
        };
        let read = thread.join().map_err(|_| StoreError::Stopped)??;
        self.check_segment(place, read, last == Some(place.number));
        Ok(())
    }

    fn check_segment(&mut self, place: &SegmentPlace, read: Reading, is_last: bool) {
        let (number, name) = (place.number, place.name.as_str());
        self.report.segments += 1;
        self.segment = number;
        if self.in_batch == 0 {
            self.batch_began_in = number;
        }
        let head = match read.head {
            Ok(head) => head,
            Err(problem) => return self.find_here(format!("{name} at byte 0"), problem),
        };
        if head.zone == *self.zone && head.number == number && head.first > self.next {
            self.go_on_after_a_hole(head.first);
        }
        if head.zone != *self.zone || head.number != number || head.first != self.next {
            let next = self.next;
            self.find_here(name, format!("belongs elsewhere; position {next} was to follow"));
        }
        if let Footer::Missing(error) = &read.foot
            && !(is_last || place.is_open)
        {
            self.find_here(format!("{name} at byte {}", read.length), error.to_string());
        }
        if self.check_groups(read.groups, name) {
            self.check_end(&read.end, name);
        }
        if matches!(read.foot, Footer::Found { matches: false }) {
            self.find_here(name, "its bytes do not have the hash in its footer");
        }
    }

    /// Names what is missing before `position`, and finds the first batch that can be checked from there.
    fn go_on_after_a_hole(&mut self, position: Position) {
        let last = position.0.saturating_sub(1);
        self.find(format!("entries {} to {last}", self.next), "are missing");
        self.next = position;
        self.batch = self.batches.partition_point(|batch| batch.first < position);
        self.skip_before = self.batches.get(self.batch).map_or(position, |batch| batch.first);
        self.root = RootBuilder::new();
        self.in_batch = 0;
    }

    /// Whether all of them could be followed.
    fn check_groups(&mut self, groups: Vec<ReadGroup>, name: &str) -> bool {
        for group in groups {
            let (offset, end) = (group.offset, group.first.plus(u64::from(group.count)));
            if group.altered && group.first != self.next {
                // Its head cannot be believed either.
                self.find_no_group(name, offset);
                return false;
            }
            if group.altered {
                let last = end.0.saturating_sub(1);
                self.find_here(
                    format!("{name} at byte {offset}, entries {} to {last}", group.first),
                    "were altered: their checksum does not match",
                );
            } else if group.first != self.next {
                let expected = self.next;
                self.find_here(
                    format!("{name} at byte {offset}"),
                    format!("begins at position {}, expected {expected}", group.first),
                );
                self.next = group.first;
            }
            match group.entries {
                Ok(entries) => entries.into_iter().for_each(|entry| self.check_entry(entry)),
                Err(problem) => self.find_here(format!("{name} at byte {offset}"), problem),
            }
            if group.altered {
                self.next = end;
            }
        }
        true
    }

    fn find_no_group(&mut self, name: &str, offset: u64) {
        let next = self.next;
        self.find_here(
            format!("{name} at byte {offset}, position {next}"),
            "is not a whole group",
        );
    }

    fn check_end(&mut self, end: &End, name: &str) {
        match end {
            End::Clean => {}
            End::NoGroup(offset) => self.find_no_group(name, *offset),
            End::Slack(at) => {
                self.find_here(format!("{name} at byte {at}"), "has bytes after the last group")
            }
        }
    }

    fn check_entry(&mut self, entry: Looked) {
        self.report.entries += 1;
        if let Some(problem) = entry.problem {
            self.find_here(format!("entry {}", entry.position), problem);
        }
        self.next = entry.position.plus(1);
        self.leaf(entry.position, entry.recorded_at, entry.leaf);
    }

    /// Adds a leaf to the batch it belongs to, and compares times and root where the batch begins and ends.
    fn leaf(&mut self, position: Position, recorded_at: Option<Timestamp>, leaf: Hash) {
        if position < self.skip_before {
            return;
        }
        let Some(batch) = self.batches.get(self.batch) else {
            self.report.unsigned_entries += 1;
            return;
        };
        let (first, last) = (batch.first, Position(batch.end().0.saturating_sub(1)));
        let (count, root) = (batch.count, batch.root);
        let at_edge = |edge, at| position != edge || recorded_at.is_none_or(|recorded| recorded == at);
        let dated = at_edge(first, batch.first_at) && at_edge(last, batch.last_at);
        if position < first || batch.zone != *self.zone {
            return self.find(
                format!("batch {}", self.batch),
                "does not continue the batch before it",
            );
        }
        if !dated {
            self.find(
                format!("batch {}, entry {position}", self.batch),
                "was not recorded when its batch says",
            );
        }
        if self.in_batch == 0 {
            self.batch_began_in = self.segment;
        }
        self.root.push(leaf);
        self.in_batch += 1;
        if self.in_batch == count {
            if self.root.root() != root {
                self.report
                    .contradicted
                    .extend(self.batch_began_in..=self.segment);
                self.find(
                    format!("entries {first} to {last}"),
                    "one of them was altered: the batch has another root",
                );
            }
            self.root = RootBuilder::new();
            self.in_batch = 0;
            self.batch += 1;
        }
    }

    fn check_all_batches_seen(&mut self) {
        self.report.batches = self.batches.len() as u64;
        if self.batch < self.batches.len() {
            let from = self.next;
            let to = self.batches.last().map_or(Position(0), Batch::end);
            self.find(
                format!("entries {from} to {}", to.0.saturating_sub(1)),
                "are missing, although the checkpoint covers them",
            );
        }
    }
}

fn list(folder: &Path, prefix: &str, into: &mut Vec<String>) {
    let Ok(files) = std::fs::read_dir(folder) else {
        return;
    };
    for file in files.flatten() {
        let name = format!("{prefix}{}", file.file_name().to_string_lossy());
        if file.path().is_dir() {
            list(&file.path(), &format!("{name}/"), into);
        } else {
            into.push(name);
        }
    }
}
