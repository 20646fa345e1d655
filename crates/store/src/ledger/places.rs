//! Where the files of a ledger stand: in a data folder, or in a copy of one.
//!
//! *A copy* differs in three things. A segment that was not full yet is `NUMBER.open`: it only grows. Checkpoints stand
//! under their size in `log/checkpoints`, so that no file changes its content. Hash tiles are there once they are full;
//! unfinished ones follow from the batches.

use std::path::{Path, PathBuf};

use seal::tiles::WIDTH;

use super::segments::{present_segments, segment_name, segment_path};
use crate::folder::{self, StoreError};

/// A tile or bundle is no longer than this.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// One segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentPlace {
    /// Its number.
    pub number: u64,
    /// Its file.
    pub path: PathBuf,
    /// How findings name it.
    pub name: String,
    /// It may lack a footer, wherever it stands.
    pub is_open: bool,
    /// Read up to here only: behind it somebody writes.
    pub limit: Option<u64>,
}

/// The files of one ledger.
#[derive(Debug, Clone)]
pub struct Places {
    /// The folder with the segments' folder and the log's.
    pub folder: PathBuf,
    /// The folder of the log.
    pub log: PathBuf,
    /// The newest checkpoint: the name of its file and its bytes, read before anything else is looked at.
    pub checkpoint: Option<(String, Vec<u8>)>,
    /// By number.
    pub segments: Vec<SegmentPlace>,
    /// Whether hash tiles are there before they are full.
    pub has_unfinished_tiles: bool,
}

impl Places {
    /// Of the ledger in a data folder.
    ///
    /// # Errors
    /// [`StoreError::Io`]; [`StoreError::Damaged`] for a file that is no segment.
    pub fn of_data(folder: &Path) -> Result<Places, StoreError> {
        let place = |number| SegmentPlace {
            number,
            path: segment_path(folder, number),
            name: segment_name(number),
            is_open: false,
            limit: None,
        };
        let mut places = Places::without_segments(folder)?;
        places.segments = present_segments(folder)?.into_iter().map(place).collect();
        Ok(places)
    }

    /// Of a data folder whose segments cannot be told.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub(super) fn without_segments(folder: &Path) -> Result<Places, StoreError> {
        let log = folder.join("log");
        let path = log.join("checkpoint");
        let note = path.exists().then(|| folder::read_file(&path, FILE_BYTES_MAX));
        Ok(Places {
            folder: folder.to_owned(),
            checkpoint: note.transpose()?.map(|note| ("log/checkpoint".to_owned(), note)),
            log,
            segments: Vec::new(),
            has_unfinished_tiles: true,
        })
    }

    /// Of a copy.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn of_copy(folder: &Path) -> Result<Places, StoreError> {
        let log = folder.join("log");
        let newest = copied_checkpoints(folder)?.pop();
        let note = newest.map(|(size, path)| {
            let note = folder::read_file(&path, FILE_BYTES_MAX)?;
            Ok::<_, StoreError>((format!("log/checkpoints/{size:012}"), note))
        });
        Ok(Places {
            folder: folder.to_owned(),
            log,
            checkpoint: note.transpose()?,
            segments: copied_segments(folder)?,
            has_unfinished_tiles: false,
        })
    }

    /// Of either.
    ///
    /// # Errors
    /// As [`Places::of_data`].
    pub fn of(folder: &Path) -> Result<Places, StoreError> {
        if checkpoints_folder(folder).is_dir() {
            Places::of_copy(folder)
        } else {
            Places::of_data(folder)
        }
    }

    /// Whether the log has a file of just this name.
    pub(super) fn has_exact(&self, path: &str) -> bool {
        self.log.join(path).exists()
    }

    /// The file of a tile or bundle that had `width` entries, and whether it has just these: a log that grows meanwhile
    /// replaces it by a wider one.
    pub(crate) fn read_log(
        &self,
        width: u64,
        path: impl Fn(u64) -> String,
    ) -> Result<(Vec<u8>, bool), StoreError> {
        // Once more at the end: what was being replaced while we looked is there under another name now.
        for wider in (width..=WIDTH).chain(width..=WIDTH) {
            let file = self.log.join(path(wider));
            match folder::read_file(&file, FILE_BYTES_MAX) {
                Ok(bytes) => return Ok((bytes, wider == width)),
                Err(StoreError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Err(StoreError::damaged(format!("log/{}", path(width)), "is missing"))
    }

    /// The segment of this number.
    pub fn segment(&self, number: u64) -> Option<&SegmentPlace> {
        let at = self.segments.binary_search_by_key(&number, |place| place.number);
        at.ok().and_then(|at| self.segments.get(at))
    }
}

/// Where a copy keeps its checkpoints.
pub(crate) fn checkpoints_folder(folder: &Path) -> PathBuf {
    folder.join("log/checkpoints")
}

/// Name of a segment that was not full when it was copied.
pub(crate) fn open_path(folder: &Path, number: u64) -> PathBuf {
    folder.join("segments").join(format!("{number:012}.open"))
}

/// The checkpoints of a copy with their sizes, oldest first.
pub(crate) fn copied_checkpoints(folder: &Path) -> Result<Vec<(u64, PathBuf)>, StoreError> {
    let at = checkpoints_folder(folder);
    let mut found = Vec::new();
    for file in std::fs::read_dir(&at).map_err(StoreError::io("listing", &at))? {
        let name = file.map_err(StoreError::io("listing", &at))?.file_name();
        let name = name.to_string_lossy().into_owned();
        if name.len() == 12
            && let Ok(size) = name.parse()
        {
            found.push((size, at.join(name)));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// The segments of a copy: full ones, and those that were not full. What was not finished when the copying stopped has
/// another ending and is passed over.
fn copied_segments(folder: &Path) -> Result<Vec<SegmentPlace>, StoreError> {
    let at = folder.join("segments");
    let mut found: Vec<SegmentPlace> = Vec::new();
    for file in std::fs::read_dir(&at).map_err(StoreError::io("listing", &at))? {
        let name = file.map_err(StoreError::io("listing", &at))?.file_name();
        let name = name.to_string_lossy().into_owned();
        let Some((number, ending)) = name.split_once('.') else {
            continue;
        };
        let (Ok(number), true) = (number.parse(), number.len() == 12) else {
            continue;
        };
        if ending == "seg" || ending == "open" {
            found.push(SegmentPlace {
                number,
                path: at.join(&name),
                name: format!("segments/{name}"),
                is_open: ending == "open",
                limit: None,
            });
        }
    }
    // Of both, the full one counts: the other was about to be taken away.
    found.sort_by_key(|place| (place.number, place.is_open));
    found.dedup_by_key(|place| place.number);
    Ok(found)
}
