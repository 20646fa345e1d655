//! Checking a whole ledger on disk, trusting nothing but the zone's public key.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use model::entry::Header;
use model::{Position, Timestamp, ZoneId};
use seal::batch::Batch;
use seal::group::entry_leaf;
use seal::note::{Checkpoint, NoteKey};
use seal::segment::{HEAD_BYTES_MAX, SegmentHead};
use seal::tiles::{Frontier, bundle_path, tile_path, tile_width, tiles_of};
use seal::tree::{Hash, RootBuilder};

use super::log::decode_bundle;
use super::read::{Found, read_group};
use super::recover::{hash_file, load_foot};
use super::segments::{present_segments, segment_name, segment_path};
use crate::folder::{self, StoreError};

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
}

struct Checker<'a> {
    folder: &'a Path,
    zone: &'a ZoneId,
    outside: Option<&'a Checkpoint>,
    batches: Vec<Batch>,
    batch: usize,
    root: RootBuilder,
    in_batch: u32,
    next: Position,
    /// Entries before this belong to a batch whose beginning is missing.
    skip_before: Position,
    report: Checked,
}

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
    key: &NoteKey,
    outside: Option<&Checkpoint>,
) -> Result<Checked, StoreError> {
    let mut checker = Checker {
        folder,
        zone,
        outside,
        batches: Vec::new(),
        batch: 0,
        root: RootBuilder::new(),
        in_batch: 0,
        next: Position(0),
        skip_before: Position(0),
        report: Checked::default(),
    };
    checker.check_log(key);
    match present_segments(folder) {
        Ok(numbers) => {
            let count = numbers.last().map_or(0, |last| last + 1);
            for number in (0..count).filter(|number| numbers.binary_search(number).is_err()) {
                checker.find(segment_name(number), "is missing");
            }
            for number in &numbers {
                checker.check_segment(*number, numbers.last() == Some(number))?;
            }
        }
        Err(StoreError::Damaged { what, detail }) => checker.find(what, detail),
        Err(other) => return Err(other),
    }
    checker.check_all_batches_seen();
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

    fn check_log(&mut self, key: &NoteKey) {
        let path = self.folder.join("log").join("checkpoint");
        if !path.exists() {
            if self.outside.is_some_and(|outside| outside.size > 0) {
                self.find(
                    "log/checkpoint",
                    "is missing, although a checkpoint was handed out",
                );
            }
            return self.check_files(0);
        }
        let note = folder::read_file(&path, 1 << 20)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok());
        let Some(note) = note else {
            return self.find("log/checkpoint", "is not text");
        };
        let checkpoint = match Checkpoint::open(&note, Some(key)) {
            Ok(checkpoint) => checkpoint,
            Err(problem) => return self.find("log/checkpoint", problem.to_string()),
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
            let bytes = match folder::read_file(&self.folder.join(&name), 1 << 20) {
                Ok(bytes) => bytes,
                Err(error) => return self.find(name, error.to_string()),
            };
            let Ok(raw) = decode_bundle(&bytes, &name) else {
                return self.find(name, "is not a row of batches");
            };
            if raw.len() as u64 != width {
                return self.find(name, "has another number of batches than the log");
            }
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
        writes.extend(frontier.unfinished());
        for write in writes {
            let name = format!(
                "log/{}",
                tile_path(write.level, write.index, write.hashes.len() as u64)
            );
            match folder::read_file(&self.folder.join(&name), 1 << 20) {
                Ok(bytes) if bytes == write.hashes.concat() => {}
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
        list(&self.folder.join("log"), "", &mut present);
        for name in present {
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

    fn check_segment(&mut self, number: u64, is_last: bool) -> Result<(), StoreError> {
        let path = segment_path(self.folder, number);
        let name = format!("segments/{number:012}.seg");
        self.report.segments += 1;
        let file = File::open(&path).map_err(StoreError::io("opening", &path))?;
        let io = StoreError::io("reading", &path);
        let length = file.metadata().map_err(StoreError::io("reading", &path))?.len();
        let mut bytes = vec![0; HEAD_BYTES_MAX];
        let read = file.read_at(&mut bytes, 0).map_err(io)?;
        let (head, head_bytes) = match SegmentHead::decode(bytes.get(..read).unwrap_or(&[])) {
            Ok(read) => read,
            Err(problem) => {
                self.find(format!("{name} at byte 0"), problem.to_string());
                return Ok(());
            }
        };
        if head.zone == *self.zone && head.number == number && head.first > self.next {
            self.go_on_after_a_hole(head.first);
        }
        if head.zone != *self.zone || head.number != number || head.first != self.next {
            self.find(
                &name,
                format!("belongs elsewhere; position {} was to follow", self.next),
            );
        }
        let end = self.check_foot(&file, &path, &name, length, is_last);
        self.check_groups(
            &file,
            &path,
            &name,
            (head_bytes as u64, end.unwrap_or(length)),
            end.is_some(),
        )
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

    /// Where the groups end, for a sealed segment whose footer holds.
    fn check_foot(
        &mut self,
        file: &File,
        path: &Path,
        name: &str,
        length: u64,
        is_last: bool,
    ) -> Option<u64> {
        match load_foot(file, path) {
            Ok((foot, offset)) => {
                match hash_file(file, offset) {
                    Ok(hash) if hash == foot.sha256 => {}
                    _ => self.find(name, "its bytes do not have the hash in its footer"),
                }
                Some(offset)
            }
            Err(error) if !is_last => {
                self.find(format!("{name} at byte {length}"), error.to_string());
                None
            }
            Err(_) => None,
        }
    }

    fn check_groups(
        &mut self,
        file: &File,
        path: &Path,
        name: &str,
        (from, to): (u64, u64),
        sealed: bool,
    ) -> Result<(), StoreError> {
        let mut offset = from;
        while offset < to {
            match read_group(file, offset, to).map_err(StoreError::io("reading", path))? {
                Found::Group(group) => {
                    if group.first != self.next {
                        let expected = self.next;
                        self.find(
                            format!("{name} at byte {offset}"),
                            format!("begins at position {}, expected {expected}", group.first),
                        );
                    }
                    self.next = group.first;
                    self.check_entries(&group, name, offset);
                    offset = group.end;
                }
                Found::Altered(group) if self.plausible(&group) => {
                    let last = group.first.0 + u64::from(group.count).saturating_sub(1);
                    self.find(
                        format!("{name} at byte {offset}, entries {} to {last}", group.first),
                        "were altered: their checksum does not match",
                    );
                    self.check_entries(&group, name, offset);
                    self.next = group.first.plus(u64::from(group.count));
                    offset = group.end;
                }
                Found::End if !sealed => return self.check_slack(file, path, name, offset, to),
                Found::End | Found::Damaged | Found::Altered(_) => {
                    self.find(
                        format!("{name} at byte {offset}, position {}", self.next),
                        "is not a whole group",
                    );
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Whether the head of an altered group can be believed, so that what follows it can still be checked.
    fn plausible(&self, group: &super::read::Group) -> bool {
        group.first == self.next && group.count > 0 && group.entries().is_ok()
    }

    fn check_slack(
        &mut self,
        file: &File,
        path: &Path,
        name: &str,
        from: u64,
        to: u64,
    ) -> Result<(), StoreError> {
        let mut buffer = vec![0; 64 << 10];
        let mut at = from;
        while at < to {
            let count = usize::try_from((to - at).min(buffer.len() as u64)).unwrap_or(0);
            let piece = buffer.get_mut(..count).unwrap_or(&mut []);
            file.read_exact_at(piece, at)
                .map_err(StoreError::io("reading", path))?;
            if let Some(first) = piece.iter().position(|byte| *byte != 0) {
                self.find(
                    format!("{name} at byte {}", at + first as u64),
                    "has bytes after the last group",
                );
                return Ok(());
            }
            at += count as u64;
        }
        Ok(())
    }

    fn check_entries(&mut self, group: &super::read::Group, name: &str, offset: u64) {
        let entries = match group.entries() {
            Ok(entries) => entries,
            Err(error) => return self.find(format!("{name} at byte {offset}"), error.to_string()),
        };
        for (position, raw) in entries {
            self.report.entries += 1;
            let header = Header::decode(raw.header);
            match &header {
                Ok(header) if header.position != position || header.zone != *self.zone => {
                    self.find(format!("entry {position}"), "says that it stands elsewhere");
                }
                Ok(header) => {
                    if let model::entry::Kind::Part(part) = &header.kind
                        && seal::part::items(part, raw.body).is_err()
                    {
                        self.find(
                            format!("entry {position}"),
                            "its items are not those of its header",
                        );
                    }
                }
                Err(problem) => self.find(format!("entry {position}"), problem.to_string()),
            }
            let recorded_at = header.ok().map(|header| header.recorded_at);
            self.next = position.plus(1);
            self.leaf(position, recorded_at, entry_leaf(raw.header, raw.body));
        }
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
        self.root.push(leaf);
        self.in_batch += 1;
        if self.in_batch == count {
            if self.root.root() != root {
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
