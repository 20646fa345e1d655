//! Which segment holds which positions, and where to start reading.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::Position;
use seal::segment::GroupPlace;

use crate::folder::StoreError;

/// A landmark is kept for about each of these many bytes: enough to find an entry with one short read, few enough to
/// keep in memory for years of segments.
pub const LANDMARK_BYTES: u64 = 64 << 10;

/// A segment as the table knows it.
#[derive(Debug, Clone)]
pub struct SegmentInfo {
    /// Its number.
    pub number: u64,
    /// Position of its first entry.
    pub first: Position,
    /// Where it is.
    pub path: PathBuf,
    /// For reading.
    pub file: Arc<File>,
    /// Where its groups end.
    pub end: u64,
    /// Some of its groups.
    pub landmarks: Vec<GroupPlace>,
    /// Whether it has a footer.
    pub sealed: bool,
}

impl SegmentInfo {
    /// Notes a group that was written.
    pub fn note_group(&mut self, offset: u64, first: Position, end: u64) {
        let far = self
            .landmarks
            .last()
            .is_none_or(|last| offset >= last.offset + LANDMARK_BYTES);
        if far {
            self.landmarks.push(GroupPlace { offset, first });
        }
        self.end = end;
    }
}

/// All segments, oldest first.
#[derive(Debug, Default)]
pub struct SegmentTable {
    /// In order of number.
    pub all: Vec<SegmentInfo>,
}

impl SegmentTable {
    /// The segment that holds `position`, with the landmark to start from.
    pub fn find(&self, position: Position) -> Option<(usize, GroupPlace)> {
        let after = self.all.partition_point(|segment| segment.first <= position);
        let index = after.checked_sub(1)?;
        let landmarks = &self.all.get(index)?.landmarks;
        let after = landmarks.partition_point(|landmark| landmark.first <= position);
        Some((index, *landmarks.get(after.checked_sub(1)?)?))
    }
}

/// Path of a segment.
pub fn segment_path(folder: &Path, number: u64) -> PathBuf {
    folder.join("segments").join(format!("{number:012}.seg"))
}

/// Numbers of the segments in a folder, ascending.
///
/// # Errors
/// [`StoreError::Io`]; [`StoreError::Damaged`] for a hole in the numbers or a file that is no segment.
pub fn segment_numbers(folder: &Path) -> Result<Vec<u64>, StoreError> {
    let numbers = present_segments(folder)?;
    match (0..).zip(&numbers).find(|(expected, number)| expected != *number) {
        Some((expected, _)) => Err(StoreError::damaged(segment_name(expected), "is missing")),
        None => Ok(numbers),
    }
}

/// Name of a segment below the ledger's folder.
pub fn segment_name(number: u64) -> String {
    format!("segments/{number:012}.seg")
}

/// Numbers of the segments that are there, ascending, with holes.
///
/// # Errors
/// [`StoreError::Io`]; [`StoreError::Damaged`] for a file that is no segment.
pub fn present_segments(folder: &Path) -> Result<Vec<u64>, StoreError> {
    let segments = folder.join("segments");
    let mut numbers = Vec::new();
    for file in std::fs::read_dir(&segments).map_err(StoreError::io("listing", &segments))? {
        let name = file.map_err(StoreError::io("listing", &segments))?.file_name();
        let name = name.to_string_lossy().into_owned();
        let number = name.strip_suffix(".seg").and_then(|number| number.parse().ok());
        match number {
            Some(number) if segment_path(folder, number).ends_with(&name) => numbers.push(number),
            _ => {
                return Err(StoreError::damaged(
                    format!("segments/{name}"),
                    "is not a segment",
                ));
            }
        }
    }
    numbers.sort_unstable();
    Ok(numbers)
}
