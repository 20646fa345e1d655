//! Bringing a copy up to a signed checkpoint of the ledger.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

use model::Position;
use seal::segment::{HEAD_BYTES_MAX, SegmentHead};
use seal::suite::Hasher;
use seal::tiles::{WIDTH, bundle_path, tile_path, tile_width};

use super::{Copy, ledger_folder, name, newest, pour, unfinished, up_to, write_whole};
use crate::failpoint;
use crate::folder::{self, StoreError};
use crate::ledger::log::{LogReader, encode_bundle};
use crate::ledger::places::{checkpoints_folder, copied_checkpoints, open_path};
use crate::ledger::{Found, Ledger, SegmentView, Signed, load_foot, read_group, segment_name, segment_path};

/// Checkpoints that are kept, with the batches of each: whoever takes the copy further file by file, while it grows,
/// finds one of them whole.
const CHECKPOINTS_KEPT: usize = 16;

/// What one round copied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Copied {
    /// Bytes of segments.
    pub bytes: u64,
    /// Segments that became full.
    pub segments: u64,
    /// Batches of the checkpoint that the copy ends at.
    pub size: u64,
    /// Position after the last entry that it covers.
    pub covers: Position,
}

/// The file as a stream from an offset on.
struct From<'a>(&'a File, u64);

impl std::io::Read for From<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.0.read_at(buffer, self.1)?;
        self.1 += read as u64;
        Ok(read)
    }
}

impl Copy {
    /// Brings the copy up to `signed`, a checkpoint of `ledger`. What is altered in the ledger is not copied.
    ///
    /// # Errors
    /// [`StoreError::Mismatch`] when the copy has another history, or a longer one; [`StoreError::Damaged`] names what
    /// is not as it was written, here or there; [`StoreError::Io`].
    pub fn follow(&mut self, ledger: &Ledger, signed: &Signed) -> Result<Copied, StoreError> {
        // What a failed round left half written is compared again by the next.
        self.bring_up(ledger, signed)
            .inspect_err(|_| self.compared.clear())
    }

    fn bring_up(&mut self, ledger: &Ledger, signed: &Signed) -> Result<Copied, StoreError> {
        self.check_history(ledger, signed)?;
        let mut copied = Copied {
            size: signed.size,
            covers: signed.covers,
            ..Copied::default()
        };
        let segments = ledger.segments();
        for (at, segment) in segments.iter().enumerate() {
            if segment.number < self.full_below || segment.first >= signed.covers {
                continue;
            }
            let next = segments.get(at + 1).map(|next| next.first);
            let is_covered = next.is_some_and(|next| next <= signed.covers);
            if segment.is_sealed && is_covered {
                copied.bytes += self.copy_full(segment, &mut copied.segments)?;
                self.full_below = segment.number + 1;
                self.compared.remove(&segment.number);
            } else {
                copied.bytes += self.copy_open(segment, signed.covers)?;
            }
        }
        self.copy_log(ledger, signed)?;
        Ok(copied)
    }

    /// The copy's newest checkpoint must be one that this log went through.
    fn check_history(&self, ledger: &Ledger, signed: &Signed) -> Result<(), StoreError> {
        if !self.compared.is_empty() {
            return Ok(());
        }
        let Some(there) = newest(&self.folder, &self.keys)? else {
            return Ok(());
        };
        let other = |what: String| {
            let advice = "keep it as it is, and name an empty folder for new backups";
            Err(StoreError::Mismatch(format!(
                "{} {what}; {advice}",
                self.folder.display()
            )))
        };
        if there.size > signed.size {
            return other(format!(
                "reaches further than this ledger ({} batches, here {}): was the ledger put back to an older state?",
                there.size, signed.size
            ));
        }
        if LogReader::new(ledger.log_folder(), there.size).root()? != there.root {
            return other("holds another history than this ledger".to_owned());
        }
        Ok(())
    }

    /// Copies a full segment; its bytes must have the hash in its footer.
    fn copy_full(&self, segment: &SegmentView, count: &mut u64) -> Result<u64, StoreError> {
        let to = segment_path(&ledger_folder(&self.folder), segment.number);
        let open = open_path(&ledger_folder(&self.folder), segment.number);
        let mut bytes = 0;
        if !to.exists() {
            let (foot, offset) = load_foot(&segment.file, &segment.path)?;
            let about = segment.file.metadata();
            bytes = about.map_err(StoreError::io("reading", &segment.path))?.len();
            let part = unfinished(&to);
            let mut file = folder::create_file(&part, false)?;
            file.set_len(0).map_err(StoreError::io("writing", &part))?;
            let (mut hasher, mut left) = (Hasher::new(), offset);
            pour(
                &mut From(&segment.file, 0),
                (&segment.path, &part),
                &mut file,
                bytes,
                |piece| {
                    let hashed = usize::try_from(left.min(piece.len() as u64)).unwrap_or(0);
                    hasher.update(piece.get(..hashed).unwrap_or(&[]));
                    left -= hashed as u64;
                },
            )?;
            if hasher.finish() != foot.sha256 {
                drop(std::fs::remove_file(&part));
                return Err(StoreError::damaged(
                    segment_name(segment.number),
                    "its bytes do not have the hash in its footer; it was not copied",
                ));
            }
            file.sync_all().map_err(StoreError::io("syncing", &part))?;
            name(&part, &to)?;
            failpoint::hit("copy-segment-named");
            *count += 1;
        }
        if open.exists() {
            std::fs::remove_file(&open).map_err(StoreError::io("removing", &open))?;
        }
        Ok(bytes)
    }

    /// Appends what the segment has more, up to the group that ends at `covers`.
    fn copy_open(&mut self, segment: &SegmentView, covers: Position) -> Result<u64, StoreError> {
        let path = open_path(&ledger_folder(&self.folder), segment.number);
        let is_new = !path.exists();
        let mut file = folder::create_file(&path, false)?;
        failpoint::hit("copy-opened");
        if is_new {
            path.parent().map_or(Ok(()), folder::sync_folder)?;
        }
        let have = file.metadata().map_err(StoreError::io("reading", &path))?.len();
        let have = if self.compared.get(&segment.number) == Some(&have) {
            have
        } else {
            self.compare_open(segment, &file, &path, have)?
        };
        let end = whole_groups(segment, have, covers, segment.end)?;
        self.compared.insert(segment.number, end.max(have));
        if end <= have {
            return Ok(0);
        }
        std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(have))
            .map_err(StoreError::io("writing", &path))?;
        let files = (segment.path.as_path(), path.as_path());
        pour(
            &mut From(&segment.file, have),
            files,
            &mut file,
            end - have,
            |_| {},
        )?;
        file.sync_data().map_err(StoreError::io("syncing", &path))?;
        Ok(end - have)
    }

    /// How much of an `.open` is whole groups of the segment; the rest is cut off. What a crash left there that the
    /// ledger does not hold is set aside; what should be there by the copy's own checkpoint and is not is damage.
    fn compare_open(
        &self,
        segment: &SegmentView,
        file: &File,
        path: &Path,
        have: u64,
    ) -> Result<u64, StoreError> {
        let same = same_bytes(file, path, segment, have.min(segment.end))?;
        let whole = whole_groups(segment, 0, Position(u64::MAX), same)?;
        if whole == have {
            return Ok(have);
        }
        let covered = match newest(&self.folder, &self.keys)? {
            Some(there) if there.size > 0 => {
                let log = segment
                    .path
                    .parent()
                    .and_then(Path::parent)
                    .map(|ledger| ledger.join("log"));
                let reader = LogReader::new(log.unwrap_or_default(), there.size);
                reader.batch(there.size - 1)?.end()
            }
            _ => Position(0),
        };
        if covered > segment.first && whole < whole_groups(segment, 0, covered, segment.end)? {
            return Err(StoreError::damaged(
                format!("{} at byte {same}", path.display()),
                format!(
                    "is not what the ledger holds, although its checkpoint covers {}; `chancery scrub --repair` mends it",
                    up_to(covered)
                ),
            ));
        }
        if same < have {
            let aside = ledger_folder(&self.folder)
                .join("aside")
                .join(format!("{:012}-{same}.torn", segment.number));
            let mut torn = vec![0; usize::try_from(have - same).unwrap_or(0)];
            file.read_exact_at(&mut torn, same)
                .map_err(StoreError::io("reading", path))?;
            write_whole(&aside, &torn)?;
        }
        file.set_len(whole)
            .and_then(|()| file.sync_all())
            .map_err(StoreError::io("cutting", path))?;
        Ok(whole)
    }

    fn copy_log(&mut self, ledger: &Ledger, signed: &Signed) -> Result<(), StoreError> {
        let checkpoint =
            checkpoints_folder(&ledger_folder(&self.folder)).join(format!("{:012}", signed.size));
        if checkpoint.exists() {
            self.size = signed.size;
            return Ok(());
        }
        let to = ledger_folder(&self.folder).join("log");
        let reader = LogReader::new(ledger.log_folder(), signed.size);
        for level in 0..8u8 {
            let full = |size: u64| size.checked_shr(8 * (u32::from(level) + 1)).unwrap_or(0);
            for index in full(self.size)..full(signed.size) {
                let hashes = reader.tile(level, index, WIDTH)?;
                write_below(&to, &tile_path(level, index, WIDTH), &hashes.concat())?;
                if level == 0 {
                    write_below(&to, &bundle_path(index, WIDTH), &bundle(&reader, index)?)?;
                }
            }
        }
        let (index, width) = (
            signed.size / WIDTH,
            tile_width(0, signed.size / WIDTH, signed.size),
        );
        if width > 0 {
            write_below(&to, &bundle_path(index, width), &bundle(&reader, index)?)?;
        }
        write_whole(&checkpoint, signed.note.as_bytes())?;
        failpoint::hit("copy-checkpoint-written");
        self.size = signed.size;
        self.take_away_old()
    }

    /// Old checkpoints, and the batches that only they needed.
    fn take_away_old(&self) -> Result<(), StoreError> {
        let ledger = ledger_folder(&self.folder);
        let all = copied_checkpoints(&ledger)?;
        let old = all.len().saturating_sub(CHECKPOINTS_KEPT);
        let kept: Vec<u64> = all.iter().skip(old).map(|(size, _)| *size).collect();
        for (_, path) in all.iter().take(old) {
            std::fs::remove_file(path).map_err(StoreError::io("removing", path))?;
        }
        let newest = self.size / WIDTH;
        for index in newest.saturating_sub(1)..=newest {
            let Some(folder) = ledger
                .join("log")
                .join(bundle_path(index, 1))
                .parent()
                .map(Path::to_owned)
            else {
                continue;
            };
            let is_needed = |width: u64| kept.contains(&(index * WIDTH + width));
            remove_widths(&folder, is_needed)?;
        }
        Ok(())
    }
}

/// Where the last group ends that stands wholly before `covers` and before the byte `until`, each checked from `from` on;
/// 0 when not even the head does.
fn whole_groups(segment: &SegmentView, from: u64, covers: Position, until: u64) -> Result<u64, StoreError> {
    let io = |source| StoreError::io("reading", &segment.path)(source);
    let mut offset = from;
    if offset == 0 {
        let mut bytes = vec![0; HEAD_BYTES_MAX];
        let read = segment.file.read_at(&mut bytes, 0).map_err(io)?;
        let (_, head) = SegmentHead::decode(bytes.get(..read).unwrap_or(&[]))
            .map_err(|problem| StoreError::damaged(segment_name(segment.number), problem.to_string()))?;
        if head as u64 > until {
            return Ok(0);
        }
        offset = head as u64;
    }
    while offset < until {
        match read_group(&segment.file, offset, segment.end).map_err(io)? {
            Found::Group(group) if group.first >= covers || group.end > until => break,
            Found::Group(group) => offset = group.end,
            Found::End | Found::Damaged | Found::Altered(_) => {
                return Err(StoreError::damaged(
                    format!("{} at byte {offset}", segment_name(segment.number)),
                    "is not a whole group; it was not copied",
                ));
            }
        }
    }
    Ok(offset)
}

/// How many of the first `length` bytes are the same.
fn same_bytes(file: &File, path: &Path, segment: &SegmentView, length: u64) -> Result<u64, StoreError> {
    let (mut here, mut there) = (vec![0; 256 << 10], vec![0; 256 << 10]);
    let mut at = 0;
    while at < length {
        let count = usize::try_from((length - at).min(here.len() as u64)).unwrap_or(0);
        let (ours, theirs) = (
            here.get_mut(..count).unwrap_or(&mut []),
            there.get_mut(..count).unwrap_or(&mut []),
        );
        segment
            .file
            .read_exact_at(ours, at)
            .map_err(StoreError::io("reading", &segment.path))?;
        file.read_exact_at(theirs, at)
            .map_err(StoreError::io("reading", path))?;
        if let Some(first) = ours.iter().zip(theirs.iter()).position(|(a, b)| a != b) {
            return Ok(at + first as u64);
        }
        at += count as u64;
    }
    Ok(length)
}

fn bundle(reader: &LogReader, index: u64) -> Result<Vec<u8>, StoreError> {
    let batches = reader.bundle(index)?;
    Ok(encode_bundle(
        &batches.iter().map(seal::batch::Batch::encode).collect::<Vec<_>>(),
    ))
}

/// Writes a file of the log once, and makes its folders.
fn write_below(log: &Path, path: &str, bytes: &[u8]) -> Result<(), StoreError> {
    let to = log.join(path);
    if to.exists() {
        return Ok(());
    }
    let mut missing: Vec<&Path> = to
        .ancestors()
        .skip(1)
        .take_while(|folder| folder.starts_with(log) && !folder.exists())
        .collect();
    while let Some(folder) = missing.pop() {
        folder::create_folder(folder)?;
        folder.parent().map_or(Ok(()), folder::sync_folder)?;
    }
    write_whole(&to, bytes)
}

/// Takes away the files of a folder of unfinished bundles that are not needed, and the folder when it is empty.
fn remove_widths(folder: &Path, is_needed: impl Fn(u64) -> bool) -> Result<(), StoreError> {
    let Ok(files) = std::fs::read_dir(folder) else {
        return Ok(());
    };
    let mut kept = false;
    for file in files.flatten() {
        let width = file.file_name().to_string_lossy().parse();
        if width.is_ok_and(&is_needed) {
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

/// Opens a file for reading.
pub(super) fn open(path: &Path) -> Result<File, StoreError> {
    OpenOptions::new()
        .read(true)
        .open(path)
        .map_err(StoreError::io("opening", path))
}
