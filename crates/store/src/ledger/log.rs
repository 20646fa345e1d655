//! The zone's log on disk: C2SP tiles, entry bundles, the signed checkpoint.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use model::{Position, Timestamp};
use seal::batch::Batch;
use seal::note::{Checkpoint, NoteKey};
use seal::succession::Lineage;
use seal::suite::SigningKey;
use seal::tiles::{Frontier, TileSubtrees, TileWrite, WIDTH, bundle_path, tile_path, tile_width};
use seal::tree::{Hash, consistency_proof, inclusion_proof};

use super::Signed;
use crate::failpoint;
use crate::folder::{self, StoreError};

/// A bundle holds 256 batches of well under 200 bytes.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// The log, as its one writer holds it.
pub struct Log {
    folder: PathBuf,
    key: SigningKey,
    origin: String,
    frontier: Frontier,
    /// Batches of the unfinished entry bundle.
    bundle: Vec<Vec<u8>>,
    /// Files that became full since the last checkpoint.
    full: Vec<(PathBuf, Vec<u8>)>,
    covers: Position,
    signed: Option<Signed>,
    /// Folders whose names this process has made durable. One that is there may have been made by a process that died
    /// before it could.
    durable: HashSet<PathBuf>,
    /// The checkpoint that was found is by a key that was replaced.
    by_older: bool,
}

/// The bytes of an entry bundle.
pub fn encode_bundle(batches: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for batch in batches {
        bytes.extend_from_slice(&u16::try_from(batch.len()).unwrap_or(u16::MAX).to_be_bytes());
        bytes.extend_from_slice(batch);
    }
    bytes
}

/// Splits an entry bundle.
///
/// # Errors
/// [`StoreError::Damaged`].
pub fn decode_bundle(bytes: &[u8], name: &str) -> Result<Vec<Vec<u8>>, StoreError> {
    let mut rest = bytes;
    let mut all = Vec::new();
    while let Some((length, after)) = rest.split_first_chunk::<2>() {
        let (batch, after) = after
            .split_at_checked(usize::from(u16::from_be_bytes(*length)))
            .ok_or_else(|| StoreError::damaged(name, "ends inside a batch"))?;
        all.push(batch.to_vec());
        rest = after;
    }
    if rest.is_empty() {
        Ok(all)
    } else {
        Err(StoreError::damaged(name, "ends inside a length"))
    }
}

/// Splits a hash tile.
fn decode_tile(bytes: &[u8], name: &str) -> Result<Vec<Hash>, StoreError> {
    let (hashes, rest) = bytes.as_chunks::<32>();
    if rest.is_empty() {
        Ok(hashes.to_vec())
    } else {
        Err(StoreError::damaged(name, "is not whole hashes"))
    }
}

/// Reads tiles and batches of a log of `size` leaves, while it may be growing.
#[derive(Debug, Clone)]
pub struct LogReader {
    folder: PathBuf,
    size: u64,
}

impl LogReader {
    /// Over the log in `folder`, as it stood at `size`.
    pub fn new(folder: PathBuf, size: u64) -> LogReader {
        LogReader { folder, size }
    }

    /// How many batches it has.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Reads the file of a tile that had `width` hashes: it may have grown since, never shrunk.
    fn read(&self, width: u64, path: impl Fn(u64) -> String) -> Result<Vec<u8>, StoreError> {
        for wider in (width..=WIDTH).chain([width]) {
            let file = self.folder.join(path(wider));
            match std::fs::metadata(&file) {
                Ok(_) => match folder::read_file(&file, FILE_BYTES_MAX) {
                    // The next checkpoint took it away between the look and the reading: a wider one stands now.
                    Err(StoreError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {}
                    other => return other,
                },
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(StoreError::io("looking for", &file)(error)),
            }
        }
        Err(StoreError::damaged(format!("log/{}", path(width)), "is missing"))
    }

    /// The first `width` hashes of a tile.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when it is missing or too short.
    pub fn tile(&self, level: u8, index: u64, width: u64) -> Result<Vec<Hash>, StoreError> {
        let name = format!("log/{}", tile_path(level, index, width));
        let mut hashes = decode_tile(&self.read(width, |w| tile_path(level, index, w))?, &name)?;
        if (hashes.len() as u64) < width {
            return Err(StoreError::damaged(name, "is too short"));
        }
        hashes.truncate(usize::try_from(width).unwrap_or(256));
        Ok(hashes)
    }

    /// The batches of bundle `index`, as far as the log had them.
    ///
    /// # Errors
    /// [`StoreError::Damaged`].
    pub fn bundle(&self, index: u64) -> Result<Vec<Batch>, StoreError> {
        let width = tile_width(0, index, self.size);
        let name = format!("log/{}", bundle_path(index, width));
        let mut raw = decode_bundle(&self.read(width, |w| bundle_path(index, w))?, &name)?;
        raw.truncate(usize::try_from(width).unwrap_or(256));
        raw.iter()
            .map(|bytes| {
                Batch::decode(bytes).map_err(|problem| StoreError::damaged(name.clone(), problem.to_string()))
            })
            .collect()
    }

    /// Root of the log as it stood at that size.
    ///
    /// # Errors
    /// [`StoreError::Damaged`].
    pub fn root(&self) -> Result<Hash, StoreError> {
        let load = |level, index, width| self.tile(level, index, width);
        Ok(Frontier::load(self.size, load)?.root())
    }

    /// One batch.
    ///
    /// # Errors
    /// [`StoreError::Damaged`].
    pub fn batch(&self, index: u64) -> Result<Batch, StoreError> {
        let batches = self.bundle(index / WIDTH)?;
        let at = usize::try_from(index % WIDTH).unwrap_or(0);
        batches
            .into_iter()
            .nth(at)
            .ok_or_else(|| StoreError::damaged(format!("batch {index}"), "is missing from its bundle"))
    }

    /// Index of the batch that holds a position; none when no batch does yet.
    ///
    /// # Errors
    /// [`StoreError::Damaged`].
    pub fn find(&self, position: Position) -> Result<Option<u64>, StoreError> {
        let (mut low, mut high) = (0, self.size);
        while low < high {
            let middle = low + (high - low) / 2;
            let batch = self.batch(middle)?;
            if position < batch.first {
                high = middle;
            } else if position >= batch.end() {
                low = middle + 1;
            } else {
                return Ok(Some(middle));
            }
        }
        Ok(None)
    }

    fn subtrees(&self) -> TileSubtrees<impl FnMut(u8, u64, u64) -> Result<Vec<Hash>, StoreError>> {
        TileSubtrees {
            size: self.size,
            tile: |level, index, width| self.tile(level, index, width),
        }
    }

    /// Inclusion proof of a batch.
    ///
    /// # Errors
    /// [`StoreError::Damaged`].
    pub fn inclusion(&self, index: u64) -> Result<Vec<Hash>, StoreError> {
        inclusion_proof(&mut self.subtrees(), index, self.size)
    }

    /// Consistency proof from an older size.
    ///
    /// # Errors
    /// [`StoreError::Damaged`].
    pub fn consistency(&self, old: u64) -> Result<Vec<Hash>, StoreError> {
        consistency_proof(&mut self.subtrees(), old, self.size)
    }
}

impl Log {
    /// Opens the log at its checkpoint; what was written past it is of no account.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when checkpoint and tiles do not agree.
    pub fn open(
        folder: &Path,
        origin: String,
        key: SigningKey,
        succession: &[String],
    ) -> Result<Log, StoreError> {
        let path = folder.join("checkpoint");
        let note_key = NoteKey {
            name: origin.clone(),
            public: key.public(),
        };
        let mut log = Log {
            folder: folder.to_owned(),
            key,
            origin,
            frontier: Frontier::new(),
            bundle: Vec::new(),
            full: Vec::new(),
            covers: Position(0),
            signed: None,
            durable: HashSet::new(),
            by_older: false,
        };
        if !path.exists() {
            return Ok(log);
        }
        let damaged = |problem: String| StoreError::damaged("log/checkpoint", problem);
        let note = String::from_utf8(folder::read_file(&path, FILE_BYTES_MAX)?)
            .map_err(|_| damaged("is not text".to_owned()))?;
        let lineage = Lineage::new(note_key, succession.iter().map(String::as_str))
            .map_err(|problem| StoreError::damaged("the succession of keys", problem.to_string()))?;
        let (checkpoint, generation) = lineage
            .open(&note)
            .map_err(|problem| damaged(problem.to_string()))?;
        log.by_older = generation < succession.len();
        log.load(&note, &checkpoint)?;
        if log.frontier.root() != checkpoint.root {
            return Err(StoreError::damaged(
                "log/tile",
                "does not give the root of the checkpoint",
            ));
        }
        Ok(log)
    }

    fn load(&mut self, note: &str, checkpoint: &Checkpoint) -> Result<(), StoreError> {
        let size = checkpoint.size;
        let reader = LogReader::new(self.folder.clone(), size);
        self.frontier = Frontier::load(size, |level, index, width| reader.tile(level, index, width))?;
        if !size.is_multiple_of(WIDTH) {
            let batches = reader.bundle(size / WIDTH)?;
            self.bundle = batches.iter().map(Batch::encode).collect();
        }
        let last = if size == 0 {
            None
        } else {
            Some(reader.batch(size - 1)?)
        };
        self.covers = last.as_ref().map_or(Position(0), Batch::end);
        self.signed = Some(Signed {
            note: note.to_owned(),
            size,
            covers: self.covers,
            at: last.map_or(Timestamp::default(), |batch| batch.last_at),
        });
        Ok(())
    }

    /// The newest checkpoint.
    pub fn signed(&self) -> Option<Signed> {
        self.signed.clone()
    }

    /// Whether the checkpoint that was found is by a key that was replaced since.
    pub fn is_signed_by_older(&self) -> bool {
        self.by_older
    }

    /// Signs with another key from now on.
    pub fn replace_key(&mut self, key: SigningKey) {
        self.key = key;
    }

    /// Position after the last entry in a batch.
    pub fn covers(&self) -> Position {
        self.covers
    }

    /// Appends a batch; it is durable and signed only after [`Log::sign`].
    pub fn append(&mut self, batch: &Batch) {
        self.covers = batch.end();
        let index = self.frontier.size();
        self.bundle.push(batch.encode());
        if self.bundle.len() as u64 == WIDTH {
            let bytes = encode_bundle(&self.bundle);
            self.full
                .push((self.folder.join(bundle_path(index / WIDTH, WIDTH)), bytes));
            self.bundle.clear();
        }
        for write in self.frontier.push(batch.leaf()) {
            self.full.push((
                self.folder.join(tile_path(write.level, write.index, WIDTH)),
                write.hashes.concat(),
            ));
        }
    }

    /// Makes the tiles durable, then signs and replaces the checkpoint, then takes away partial tiles that it made
    /// superfluous.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn sign(&mut self, now: Timestamp) -> Result<Signed, StoreError> {
        // Kept until the checkpoint stands: after a failure all of it is written again.
        let mut files = self.full.clone();
        let size = self.frontier.size();
        let partial = |write: TileWrite| {
            let width = write.hashes.len() as u64;
            (
                self.folder.join(tile_path(write.level, write.index, width)),
                write.hashes.concat(),
            )
        };
        files.extend(self.frontier.unfinished().into_iter().map(partial));
        if !self.bundle.is_empty() {
            let path = bundle_path(size / WIDTH, self.bundle.len() as u64);
            files.push((self.folder.join(path), encode_bundle(&self.bundle)));
        }
        for (path, bytes) in &files {
            let parent = path.parent().unwrap_or(&self.folder).to_owned();
            folder::create_folder(&parent)?;
            folder::write_file(path, bytes)?;
            folder::sync_folder(&parent)?;
            if !self.durable.contains(&parent) {
                sync_up_to(&parent, &self.folder)?;
                self.durable.insert(parent);
            }
        }
        failpoint::hit("tiles-written");
        let checkpoint = Checkpoint {
            origin: self.origin.clone(),
            size,
            root: self.frontier.root(),
        };
        let note = checkpoint.sign(&self.key);
        folder::replace_file(&self.folder.join("checkpoint"), note.as_bytes())?;
        failpoint::hit("checkpoint-written");
        let signed = Signed {
            note,
            size,
            covers: self.covers,
            at: now,
        };
        self.full.clear();
        self.signed = Some(signed.clone());
        remove_stale_partials(&self.folder, size)?;
        Ok(signed)
    }
}

/// Makes the names of new folders durable, from `folder` up to `top`.
fn sync_up_to(folder: &Path, top: &Path) -> Result<(), StoreError> {
    let mut at = folder;
    while at != top {
        let Some(parent) = at.parent() else { return Ok(()) };
        folder::sync_folder(parent)?;
        at = parent;
    }
    Ok(())
}

/// Partial tiles of sizes before `size`, beside those that the log of `size` leaves has.
fn remove_stale_partials(log: &Path, size: u64) -> Result<(), StoreError> {
    for level in 0..8 {
        let hashes = size.checked_shr(8 * u32::from(level)).unwrap_or(0);
        if hashes == 0 && level > 0 {
            break;
        }
        for index in [(hashes / WIDTH).checked_sub(1), Some(hashes / WIDTH)]
            .into_iter()
            .flatten()
        {
            let width = tile_width(level, index, size);
            remove_other_widths(&log.join(tile_path(level, index, 1)), width)?;
            if level == 0 {
                remove_other_widths(&log.join(bundle_path(index, 1)), width)?;
            }
        }
    }
    Ok(())
}

/// `path` is that of width 1: its folder holds one file for each width.
fn remove_other_widths(path: &Path, keep: u64) -> Result<(), StoreError> {
    let Some(folder) = path.parent() else {
        return Ok(());
    };
    let Ok(files) = std::fs::read_dir(folder) else {
        return Ok(());
    };
    let mut kept = false;
    for file in files.flatten() {
        if file.file_name().to_string_lossy().parse() == Ok(keep) && keep < WIDTH {
            kept = true;
        } else {
            let path = file.path();
            std::fs::remove_file(&path).map_err(StoreError::io("removing", &path))?;
        }
    }
    if !kept {
        std::fs::remove_dir(folder).map_err(StoreError::io("removing", folder))?;
    }
    Ok(())
}
