//! Opening after anything: finds the end, sets aside what a crash tore, refuses what was altered.
//!
//! Only the last group of the last segment may be incomplete, and only past the last checkpoint. A bad group before a
//! good one, or below the checkpoint, is corruption and stops the start.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use model::{Position, ZoneId};
use seal::segment::{GroupPlace, HEAD_BYTES_MAX, SegmentFoot, SegmentHead, TRAILER_BYTES};
use seal::suite::Hasher;

use super::Clock;
use super::commit::{Tail, create_segment};
use super::log::Log;
use super::read::{Found, read_group};
use super::segments::{SegmentInfo, SegmentTable, segment_numbers, segment_path};
use crate::failpoint;
use crate::folder::{self, StoreError};

/// What opening found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovery {
    /// Position of the next entry.
    pub head: Position,
    /// Bytes of a torn group that were set aside; the caller writes a gap entry.
    pub torn_bytes: u64,
    /// Position after the last entry that the checkpoint covers.
    pub covered: Position,
}

fn name(path: &Path) -> String {
    let file = path.file_name().map(|name| name.to_string_lossy().into_owned());
    format!("segments/{}", file.unwrap_or_default())
}

/// Opens all segments and finds the place of the next group.
pub fn recover(
    folder: &Path,
    zone: &ZoneId,
    log: &Log,
    clock: &Clock,
) -> Result<(SegmentTable, Tail, Recovery), StoreError> {
    let covered = log.covers();
    let mut numbers = segment_numbers(folder)?;
    let mut table = SegmentTable::default();
    let mut next = Position(0);
    let mut torn_bytes = 0;
    let mut unmade = false;
    if let Some(number) = numbers.last().copied()
        && !has_head(&segment_path(folder, number))?
    {
        // A crash while it was being created: nothing was ever written into it.
        unmade = true;
        torn_bytes += set_aside_whole(folder, &segment_path(folder, number))?;
        numbers.pop();
    }
    for number in numbers.iter().copied() {
        let is_last = numbers.last() == Some(&number);
        let path = segment_path(folder, number);
        let Some(mut segment) = open_segment(&path, zone, number, next)? else {
            return Err(StoreError::damaged(name(&path), "its head is not readable"));
        };
        next = if segment.sealed {
            read_foot(&mut segment)?
        } else {
            let walked = walk(&mut segment, next, covered)?;
            if is_last {
                if walked.damaged && unmade {
                    // A segment is begun only when all groups of the one before are durable.
                    return Err(StoreError::damaged(
                        format!("{} after position {}", name(&path), walked.next),
                        "a group is altered or missing before a segment that was begun",
                    ));
                }
                if walked.damaged {
                    torn_bytes += set_aside_tail(folder, &segment, walked.next)?;
                }
                // A process that died between writing and syncing, or whose sync failed, left groups that read well and
                // are not on the disk. From here on they count.
                write_again(&segment, walked.covered_end)?;
                folder::sync_name(&segment.path)?;
            } else {
                check_next_begins(folder, number, walked.next)?;
                seal_segment(&segment, walked.next.0 - segment.first.0)?;
                segment.sealed = true;
            }
            walked.next
        };
        table.all.push(segment);
    }
    if next < covered {
        return Err(StoreError::damaged(
            format!("entries {next} to {}", covered.0 - 1),
            "are missing, although the checkpoint covers them",
        ));
    }
    let tail = tail_of(folder, zone, &mut table, next, clock)?;
    Ok((
        table,
        tail,
        Recovery {
            head: next,
            torn_bytes,
            covered,
        },
    ))
}

fn tail_of(
    folder: &Path,
    zone: &ZoneId,
    table: &mut SegmentTable,
    next: Position,
    clock: &Clock,
) -> Result<Tail, StoreError> {
    if let Some(last) = table.all.last().filter(|last| !last.sealed) {
        return Ok(Tail {
            file: last.file.clone(),
            number: last.number,
            offset: last.end,
            prepared: last.end,
            next,
        });
    }
    let number = table.all.last().map_or(0, |last| last.number + 1);
    let head = SegmentHead {
        zone: zone.clone(),
        number,
        first: next,
        created_at: clock(),
    };
    let (tail, info) = create_segment(folder, &head)?;
    table.all.push(info);
    Ok(tail)
}

/// Whether a segment's head is readable.
fn has_head(path: &Path) -> Result<bool, StoreError> {
    let read = || {
        let mut bytes = vec![0; HEAD_BYTES_MAX];
        let read = File::open(path)?.read_at(&mut bytes, 0)?;
        Ok(SegmentHead::decode(bytes.get(..read).unwrap_or(&[])).is_ok())
    };
    read().map_err(StoreError::io("reading", path))
}

/// Opens a segment and reads its head; none when the head is not readable.
fn open_segment(
    path: &Path,
    zone: &ZoneId,
    number: u64,
    first: Position,
) -> Result<Option<SegmentInfo>, StoreError> {
    let file = folder::create_file(path, false)?;
    let mut bytes = vec![0; HEAD_BYTES_MAX];
    let read = file
        .read_at(&mut bytes, 0)
        .map_err(StoreError::io("reading", path))?;
    let Ok((head, head_bytes)) = SegmentHead::decode(bytes.get(..read).unwrap_or(&[])) else {
        return Ok(None);
    };
    if head.zone != *zone || head.number != number || head.first != first {
        return Err(StoreError::damaged(
            name(path),
            format!(
                "belongs elsewhere: zone {}, number {}, first position {}",
                head.zone, head.number, head.first
            ),
        ));
    }
    let length = file.metadata().map_err(StoreError::io("reading", path))?.len();
    let sealed = length >= TRAILER_BYTES as u64 && {
        let mut trailer = [0; TRAILER_BYTES];
        file.read_exact_at(&mut trailer, length - TRAILER_BYTES as u64)
            .map_err(StoreError::io("reading", path))?;
        SegmentFoot::offset(&trailer).is_some()
    };
    Ok(Some(SegmentInfo {
        number,
        first: head.first,
        path: path.to_owned(),
        file: Arc::new(file),
        end: head_bytes as u64,
        landmarks: Vec::new(),
        sealed,
    }))
}

/// Reads the footer of a sealed segment; returns the position after its last entry.
fn read_foot(segment: &mut SegmentInfo) -> Result<Position, StoreError> {
    let (foot, offset) = load_foot(&segment.file, &segment.path)?;
    segment.end = offset;
    segment.landmarks = foot.groups;
    Ok(segment.first.plus(foot.count))
}

/// The footer of a sealed segment and where it begins.
pub fn load_foot(file: &File, path: &Path) -> Result<(SegmentFoot, u64), StoreError> {
    let io = StoreError::io("reading", path);
    let read = || -> std::io::Result<(u64, Vec<u8>)> {
        let length = file.metadata()?.len();
        let mut trailer = [0; TRAILER_BYTES];
        file.read_exact_at(&mut trailer, length.saturating_sub(TRAILER_BYTES as u64))?;
        let offset = SegmentFoot::offset(&trailer).unwrap_or(length).min(length);
        let mut bytes = vec![0; usize::try_from(length - offset).unwrap_or(0).min(64 << 20)];
        file.read_exact_at(&mut bytes, offset)?;
        Ok((offset, bytes))
    };
    let (offset, bytes) = read().map_err(io)?;
    let foot = SegmentFoot::decode(&bytes, offset)
        .map_err(|problem| StoreError::damaged(name(path), problem.to_string()))?;
    Ok((foot, offset))
}

struct Walked {
    next: Position,
    damaged: bool,
    /// Where the first group begins that no checkpoint covers.
    covered_end: u64,
}

/// Walks the groups of an unsealed segment.
fn walk(segment: &mut SegmentInfo, first: Position, covered: Position) -> Result<Walked, StoreError> {
    let (file, path) = (segment.file.clone(), segment.path.clone());
    let io = |source| StoreError::io("reading", &path)(source);
    let length = file.metadata().map_err(io)?.len();
    let mut next = first;
    let mut covered_end = segment.end;
    loop {
        let offset = segment.end;
        match read_group(&file, offset, length).map_err(io)? {
            Found::Group(group) if group.first == next => {
                next = group.first.plus(u64::from(group.count));
                segment.note_group(offset, group.first, group.end);
                if next <= covered {
                    covered_end = group.end;
                }
            }
            Found::End => {
                let damaged = !is_zero(&file, offset, length).map_err(io)?;
                return Ok(Walked {
                    next,
                    damaged,
                    covered_end,
                });
            }
            Found::Group(_) | Found::Altered(_) | Found::Damaged => {
                return Ok(Walked {
                    next,
                    damaged: true,
                    covered_end,
                });
            }
        }
    }
}

/// Writes the groups from `from` on once more, as they are, and makes them durable. A sync alone would not do: after one
/// that failed the kernel holds for written what it only remembers.
fn write_again(segment: &SegmentInfo, from: u64) -> Result<(), StoreError> {
    let write = || {
        let mut at = from;
        let mut buffer = vec![0; 256 << 10];
        while at < segment.end {
            let count = usize::try_from((segment.end - at).min(buffer.len() as u64)).unwrap_or(0);
            let piece = buffer.get_mut(..count).unwrap_or(&mut []);
            segment.file.read_exact_at(piece, at)?;
            segment.file.write_all_at(piece, at)?;
            at += count as u64;
        }
        segment.file.sync_all()
    };
    write().map_err(StoreError::io("syncing", &segment.path))
}

fn is_zero(file: &File, from: u64, to: u64) -> std::io::Result<bool> {
    let mut at = from;
    let mut buffer = vec![0; 64 << 10];
    while at < to {
        let count = usize::try_from((to - at).min(buffer.len() as u64)).unwrap_or(0);
        let piece = buffer.get_mut(..count).unwrap_or(&mut []);
        file.read_exact_at(piece, at)?;
        if piece.iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
        at += count as u64;
    }
    Ok(true)
}

/// A segment before the last must end where the next begins.
fn check_next_begins(folder: &Path, number: u64, next: Position) -> Result<(), StoreError> {
    let path = segment_path(folder, number + 1);
    let bytes = File::open(&path)
        .and_then(|file| {
            let mut bytes = vec![0; HEAD_BYTES_MAX];
            let read = file.read_at(&mut bytes, 0)?;
            bytes.truncate(read);
            Ok(bytes)
        })
        .map_err(StoreError::io("reading", &path))?;
    match SegmentHead::decode(&bytes) {
        Ok((head, _)) if head.first == next => Ok(()),
        _ => Err(StoreError::damaged(
            format!("{} after position {next}", name(&segment_path(folder, number))),
            "a group is altered or missing before a good one",
        )),
    }
}

/// Copies what is torn to `aside/`, then fills its place with zeros. Refuses when a whole group follows.
fn set_aside_tail(folder: &Path, segment: &SegmentInfo, next: Position) -> Result<u64, StoreError> {
    let io = |source| StoreError::io("reading", &segment.path)(source);
    let length = segment.file.metadata().map_err(io)?.len();
    let mut torn = vec![0; usize::try_from(length - segment.end).unwrap_or(0)];
    segment.file.read_exact_at(&mut torn, segment.end).map_err(io)?;
    let used = torn
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1);
    torn.truncate(used);
    refuse_if_group_follows(&torn, &segment.path, (segment.end, next))?;
    let number = segment.number;
    let aside = folder
        .join("aside")
        .join(format!("{number:012}-{}.torn", segment.end));
    folder::write_file(&aside, &torn)?;
    folder::sync_folder(&folder.join("aside"))?;
    let zeros = vec![0; used];
    let write = |source| StoreError::io("writing", &segment.path)(source);
    segment.file.write_all_at(&zeros, segment.end).map_err(write)?;
    segment.file.sync_data().map_err(write)?;
    Ok(used as u64)
}

/// `torn` begins at the byte and the position `at`.
fn refuse_if_group_follows(torn: &[u8], path: &Path, (end, next): (u64, Position)) -> Result<(), StoreError> {
    let mut from = 1;
    while let Some(found) = torn.get(from..).and_then(|rest| find(rest, &seal::group::MAGIC)) {
        let at = from + found;
        let rest = torn.get(at..).unwrap_or(&[]);
        if let Some((head, payload)) = rest.split_first_chunk()
            && let seal::group::HeadKind::Group(head) = seal::group::read_head(head)
            && head.first >= next
            && head.matches(payload.get(..head.payload_bytes).unwrap_or(&[]))
        {
            return Err(StoreError::damaged(
                format!("{} at byte {end}, position {next}", name(path)),
                "a group is altered or missing before a good one",
            ));
        }
        from = at + 1;
    }
    Ok(())
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

fn set_aside_whole(folder: &Path, path: &Path) -> Result<u64, StoreError> {
    let bytes = folder::read_file(path, 1 << 30)?;
    // A group is written only once the head is durable: then it is the head that was altered.
    refuse_if_group_follows(&bytes, path, (0, Position(0)))?;
    let used = bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1);
    let aside = folder.join("aside").join(name(path).replace('/', "-"));
    if used > 0 {
        folder::write_file(&aside, bytes.get(..used).unwrap_or(&[]))?;
        folder::sync_name(&aside)?;
    }
    std::fs::remove_file(path).map_err(StoreError::io("removing", path))?;
    folder::sync_name(path)?;
    Ok(used as u64)
}

/// Writes the footer of a full segment and cuts off the zeros behind it.
pub fn seal_segment(segment: &SegmentInfo, count: u64) -> Result<(), StoreError> {
    let io = |source| StoreError::io("sealing", &segment.path)(source);
    let sha256 = hash_file(&segment.file, segment.end).map_err(io)?;
    let groups: Vec<GroupPlace> = segment.landmarks.clone();
    let foot = SegmentFoot {
        count,
        sha256,
        groups,
    }
    .encode(segment.end);
    let end = segment.end + foot.len() as u64;
    // A file is sealed when its footer is the last thing in it. So that one half of a footer is never taken for a whole,
    // something stands behind it until it is durable.
    let write = || {
        if segment.file.metadata()?.len() <= end {
            segment.file.set_len(end + 1)?;
        }
        segment.file.write_all_at(&foot, segment.end)?;
        failpoint::hit("segment-footer-written");
        segment.file.sync_all()?;
        segment.file.set_len(end)?;
        failpoint::hit("segment-cut");
        segment.file.sync_all()
    };
    write().map_err(StoreError::io("sealing", &segment.path))
}

/// SHA-256 of the first `end` bytes of a file.
pub fn hash_file(file: &File, end: u64) -> std::io::Result<[u8; 32]> {
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 256 << 10];
    let mut at = 0;
    while at < end {
        let count = usize::try_from((end - at).min(buffer.len() as u64)).unwrap_or(0);
        let piece = buffer.get_mut(..count).unwrap_or(&mut []);
        file.read_exact_at(piece, at)?;
        hasher.update(piece);
        at += count as u64;
    }
    Ok(hasher.finish())
}
