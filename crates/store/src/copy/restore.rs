//! Putting a ledger back from a copy, or from what is left of a data folder: everything that is put back is checked
//! against the zone's key while it is copied.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::mpsc::{Receiver, sync_channel};

use model::{Position, ZoneId};
use seal::batch::Batch;
use seal::note::Checkpoint;
use seal::succession::Lineage;
use seal::tiles::{Frontier, WIDTH, bundle_path, tile_path, tile_width};
use seal::tree::Hash;

use super::follow::open;
use crate::failpoint;
use crate::folder::{self, StoreError};
use crate::ledger::log::{decode_bundle, encode_bundle};
use crate::ledger::places::{Places, SegmentPlace, checkpoints_folder, copied_checkpoints};
use crate::ledger::verify::{Checked, check};
use crate::ledger::{Found, read_group, segment_name, segment_path};

/// Segments copied ahead of their checking.
const AHEAD: usize = 4;

/// From where.
pub struct Source<'a> {
    /// The folder `ledger` of a copy or of a data folder.
    pub ledger: &'a Path,
    /// Another one, from which what is damaged or missing in the first is taken.
    pub other: Option<&'a Path>,
    /// Go on when the copy lacks entries that it is known to have had.
    pub accept_loss: bool,
}

/// What was put back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// Segments.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Batches of the checkpoint.
    pub size: u64,
    /// The checkpoint.
    pub checkpoint: Option<String>,
    /// Position after the last entry.
    pub head: Position,
    /// A newer checkpoint covers entries up to here, which are not there: accepted as lost.
    pub known_head: Option<Position>,
    /// Segments that were taken from the other source.
    pub from_other: BTreeSet<u64>,
}

/// Puts a ledger back into `to`, a new folder. Durable when it returns; the caller then makes it a data folder.
///
/// # Errors
/// [`StoreError::Damaged`] names the file and the place that is not as it was written, or is missing;
/// [`StoreError::Io`].
pub fn restore_ledger(
    source: &Source<'_>,
    to: &Path,
    zone: &ZoneId,
    keys: &Lineage,
) -> Result<Restored, StoreError> {
    plan(source, keys)?.carry_out(to, zone, keys)
}

/// What is to be put back: decided at one moment, while nobody writes the copy; it may grow on while it is carried out.
pub struct Plan {
    sources: Vec<Places>,
    wanted: Vec<Wanted>,
    chosen: Chosen,
}

/// Decides what can be put back.
///
/// # Errors
/// As [`restore_ledger`].
pub fn plan(source: &Source<'_>, keys: &Lineage) -> Result<Plan, StoreError> {
    let mut sources = vec![Places::of(source.ledger)?];
    sources.extend(source.other.map(Places::of).transpose()?);
    for place in sources.iter_mut().flat_map(|places| &mut places.segments) {
        if place.is_open {
            place.limit = Some(whole_end(place)?.0);
        }
    }
    let (wanted, available) = available(&sources)?;
    let chosen = choose(source, &sources, keys, available)?;
    Ok(Plan {
        sources,
        wanted,
        chosen,
    })
}

impl Plan {
    /// Puts it back, as [`restore_ledger`] does.
    ///
    /// # Errors
    /// As [`restore_ledger`].
    pub fn carry_out(&self, to: &Path, zone: &ZoneId, keys: &Lineage) -> Result<Restored, StoreError> {
        put_back(self, to, zone, keys)
    }
}

fn put_back(plan: &Plan, to: &Path, zone: &ZoneId, keys: &Lineage) -> Result<Restored, StoreError> {
    let Plan {
        sources,
        wanted,
        chosen,
    } = plan;
    for part in ["segments", "log", "aside"] {
        folder::create_folder(&to.join(part))?;
    }
    let placed = write_log(to, chosen)?;
    failpoint::hit("restore-log-written");
    let mut places = placed;
    places.segments = wanted.iter().map(|wanted| target(to, wanted)).collect();
    let mut restored = Restored {
        segments: wanted.len() as u64,
        bytes: 0,
        size: chosen.batches.len() as u64,
        checkpoint: chosen.note.clone(),
        head: Position(0),
        known_head: chosen.known_head,
        from_other: BTreeSet::new(),
    };
    let mut checked = copy_and_check(sources, wanted, &places, (zone, keys), &mut restored)?;
    if !checked.findings.is_empty() && sources.len() > 1 {
        mend(sources, &places, &checked, &mut restored)?;
        checked = check(&places, zone, keys, None, &mut |_| Ok(()))?;
    }
    if let Some(first) = checked.findings.first() {
        let more = match checked.findings.len() - 1 {
            0 => String::new(),
            more => format!(" (and {more} more)"),
        };
        let detail = format!("{}{more}", first.detail);
        return Err(StoreError::damaged(format!("the copy's {}", first.place), detail));
    }
    restored.head = Position(checked.entries);
    // One call for all files: each on its own would wait for the disk thousands of times.
    File::open(to)
        .and_then(|folder| Ok(rustix::fs::syncfs(folder)?))
        .map_err(StoreError::io("syncing", to))?;
    failpoint::hit("restore-segments-copied");
    Ok(restored)
}

fn target(to: &Path, wanted: &Wanted) -> SegmentPlace {
    SegmentPlace {
        number: wanted.number,
        path: segment_path(to, wanted.number),
        name: segment_name(wanted.number),
        is_open: wanted.is_open,
        limit: None,
    }
}

/// A segment that is to be put back.
struct Wanted {
    number: u64,
    is_open: bool,
    /// Which source it is taken from.
    source: usize,
}

/// The segments that there are, and up to where their entries go on from 0.
fn available(sources: &[Places]) -> Result<(Vec<Wanted>, Position), StoreError> {
    let mut wanted = Vec::new();
    let all: BTreeSet<u64> = sources
        .iter()
        .flat_map(|places| places.segments.iter().map(|place| place.number))
        .collect();
    for (expected, number) in (0..).zip(&all) {
        let of = |(at, places): (usize, &Places)| places.segment(*number).map(|place| (at, place.is_open));
        let found = sources.iter().enumerate().find_map(of);
        let Some((source, is_open)) = found.filter(|_| expected == *number) else {
            return Err(StoreError::damaged(
                format!("the copy's {}", segment_name(expected)),
                "is missing",
            ));
        };
        wanted.push(Wanted {
            number: *number,
            is_open,
            source,
        });
    }
    // The last may be short, or only begun: the longest there is counts.
    while let Some(last) = wanted.last_mut() {
        let mut longest = (0, Position(0), 0);
        for (at, places) in sources.iter().enumerate() {
            if let Some(place) = places.segment(last.number) {
                let (bytes, next) = whole_end(place)?;
                longest = longest.max((bytes, next, at));
            }
        }
        let (bytes, next, source) = longest;
        if bytes > 0 {
            (last.source, last.is_open) = (source, true);
            return Ok((wanted, next));
        }
        wanted.pop();
    }
    Ok((wanted, Position(0)))
}

/// Where the groups of a segment end that are whole, one after another, and the position after them; 0 bytes when not
/// even its head is whole.
pub(crate) fn whole_end(place: &SegmentPlace) -> Result<(u64, Position), StoreError> {
    let file = open(&place.path)?;
    let io = |source| StoreError::io("reading", &place.path)(source);
    let mut bytes = Vec::new();
    (&file)
        .take(seal::segment::HEAD_BYTES_MAX as u64)
        .read_to_end(&mut bytes)
        .map_err(io)?;
    let length = file.metadata().map_err(io)?.len();
    let length = place.limit.map_or(length, |limit| limit.min(length));
    let Ok((head, head_bytes)) = seal::segment::SegmentHead::decode(&bytes) else {
        return Ok((0, Position(0)));
    };
    let (mut offset, mut next) = (head_bytes as u64, head.first);
    while let Found::Group(group) = read_group(&file, offset, length).map_err(io)? {
        offset = group.end;
        next = group.first.plus(u64::from(group.count));
    }
    Ok((offset, next))
}

/// The checkpoint that is put back, and its batches.
struct Chosen {
    note: Option<String>,
    batches: Vec<Batch>,
    known_head: Option<Position>,
}

fn choose(
    source: &Source<'_>,
    sources: &[Places],
    keys: &Lineage,
    available: Position,
) -> Result<Chosen, StoreError> {
    let mut notes = Vec::new();
    for places in sources {
        notes.extend(notes_of(places)?);
    }
    let mut first_problem = None;
    let mut opened: Vec<(Checkpoint, String)> = Vec::new();
    for (name, note) in notes {
        match keys.checkpoint(&note) {
            Ok(checkpoint) => opened.push((checkpoint, note)),
            Err(problem) => {
                first_problem.get_or_insert(StoreError::damaged(
                    format!("the copy's {name}"),
                    problem.to_string(),
                ));
            }
        }
    }
    if let Some(problem) = first_problem.filter(|_| source.other.is_none() && !source.accept_loss) {
        return Err(problem);
    }
    opened.sort_by_key(|(checkpoint, _)| std::cmp::Reverse(checkpoint.size));
    opened.dedup_by_key(|(checkpoint, _)| checkpoint.size);
    let (mut known_head, mut problem) = (None, None);
    for (checkpoint, note) in opened {
        let tried = load_batches(sources, &checkpoint).and_then(|batches| {
            let covers = batches.last().map_or(Position(0), Batch::end);
            if covers <= available {
                return Ok(batches);
            }
            known_head.get_or_insert(covers);
            Err(StoreError::damaged(
                format!("the copy's entries {available} to {}", covers.0 - 1),
                "are missing, although its checkpoint covers them; bring a newer copy, or accept the loss with --accept-loss",
            ))
        });
        match tried {
            Ok(batches) => {
                return Ok(Chosen {
                    note: Some(note),
                    batches,
                    known_head,
                });
            }
            Err(error) if source.accept_loss => problem = problem.or(Some(error)),
            Err(error) => return Err(error),
        }
    }
    match problem {
        Some(problem) => Err(problem),
        None => Ok(Chosen {
            note: None,
            batches: Vec::new(),
            known_head: None,
        }),
    }
}

/// The checkpoints of a source with their names, newest first.
fn notes_of(places: &Places) -> Result<Vec<(String, String)>, StoreError> {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap_or_default();
    if !checkpoints_folder(&places.folder).is_dir() {
        return Ok(places
            .checkpoint
            .clone()
            .map(|(name, note)| (name, text(note)))
            .into_iter()
            .collect());
    }
    let mut found = Vec::new();
    for (size, path) in copied_checkpoints(&places.folder)?.into_iter().rev() {
        let name = format!("log/checkpoints/{size:012}");
        found.push((name, text(folder::read_file(&path, 1 << 20)?)));
    }
    Ok(found)
}

/// The batches under a checkpoint, each bundle from the first source whose batches are those of the log.
///
/// # Errors
/// [`StoreError::Damaged`] names the bundle that is missing or altered everywhere.
pub(crate) fn load_batches(sources: &[Places], checkpoint: &Checkpoint) -> Result<Vec<Batch>, StoreError> {
    let mut batches = Vec::new();
    let mut doubtful = None;
    let count = checkpoint.size.div_ceil(WIDTH);
    for index in 0..count {
        let width = tile_width(0, index, checkpoint.size);
        let found = bundles(sources, index, width);
        let name = format!("the copy's log/{}", bundle_path(index, width));
        let Some(first) = found.first() else {
            return Err(StoreError::damaged(name, "is missing, or no row of batches"));
        };
        let matching = found.iter().find(|one| match hashes(sources, index, width) {
            Some(hashes) => hashes.iter().any(|tile| *tile == leaves(one)),
            None => index + 1 == count && root_with(&batches, one) == checkpoint.root,
        });
        if matching.is_none() {
            doubtful.get_or_insert(name);
        }
        batches.extend(matching.unwrap_or(first).iter().cloned());
    }
    if root_with(&batches, &[]) != checkpoint.root {
        let name = doubtful.unwrap_or_else(|| "the copy's log/tile".to_owned());
        return Err(StoreError::damaged(
            name,
            "does not give the root of the signed checkpoint",
        ));
    }
    Ok(batches)
}

fn leaves(batches: &[Batch]) -> Vec<Hash> {
    batches.iter().map(Batch::leaf).collect()
}

fn root_with(batches: &[Batch], more: &[Batch]) -> Hash {
    let mut builder = seal::tree::RootBuilder::new();
    batches
        .iter()
        .chain(more)
        .for_each(|batch| builder.push(batch.leaf()));
    builder.root()
}

/// The bundle as each source has it, of those that can be read.
fn bundles(sources: &[Places], index: u64, width: u64) -> Vec<Vec<Batch>> {
    let read = |places: &Places| {
        let (bytes, _) = places.read_log(width, |width| bundle_path(index, width)).ok()?;
        let raw = decode_bundle(&bytes, "").ok()?;
        let taken = raw.get(..usize::try_from(width).ok()?)?;
        taken.iter().map(|bytes| Batch::decode(bytes).ok()).collect()
    };
    sources.iter().filter_map(read).collect()
}

/// The hash tile over a full bundle as each source has it.
fn hashes(sources: &[Places], index: u64, width: u64) -> Option<Vec<Vec<Hash>>> {
    if width < WIDTH {
        return None;
    }
    let read = |places: &Places| {
        let (bytes, _) = places.read_log(width, |width| tile_path(0, index, width)).ok()?;
        Some(bytes.as_chunks::<32>().0.to_vec())
    };
    let found: Vec<Vec<Hash>> = sources.iter().filter_map(read).collect();
    (!found.is_empty()).then_some(found)
}

/// The files of a log over these batches, tiles made anew: paths below the log's folder.
pub(crate) fn log_files(batches: &[Batch]) -> Vec<(String, Vec<u8>)> {
    let mut frontier = Frontier::new();
    let mut writes: Vec<_> = batches
        .iter()
        .flat_map(|batch| frontier.push(batch.leaf()))
        .collect();
    writes.extend(frontier.unfinished());
    let mut files: Vec<(String, Vec<u8>)> = writes
        .into_iter()
        .map(|write| {
            (
                tile_path(write.level, write.index, write.hashes.len() as u64),
                write.hashes.concat(),
            )
        })
        .collect();
    for (index, bundle) in (0..).zip(batches.chunks(256)) {
        let raw: Vec<Vec<u8>> = bundle.iter().map(Batch::encode).collect();
        files.push((bundle_path(index, bundle.len() as u64), encode_bundle(&raw)));
    }
    files
}

fn write_log(to: &Path, chosen: &Chosen) -> Result<Places, StoreError> {
    let log = to.join("log");
    for (path, bytes) in log_files(&chosen.batches) {
        let file = log.join(path);
        file.parent().map_or(Ok(()), folder::create_folder)?;
        std::fs::write(&file, bytes).map_err(StoreError::io("writing", &file))?;
    }
    if let Some(note) = &chosen.note {
        folder::write_file(&log.join("checkpoint"), note.as_bytes())?;
    }
    Ok(Places {
        folder: to.to_owned(),
        checkpoint: chosen
            .note
            .clone()
            .map(|note| ("log/checkpoint".to_owned(), note.into_bytes())),
        log,
        segments: Vec::new(),
        has_unfinished_tiles: true,
    })
}

/// Copies all segments, and checks each as soon as it is there.
fn copy_and_check(
    sources: &[Places],
    wanted: &[Wanted],
    places: &Places,
    (zone, keys): (&ZoneId, &Lineage),
    restored: &mut Restored,
) -> Result<Checked, StoreError> {
    std::thread::scope(|scope| {
        let (send, receive) = sync_channel(AHEAD);
        scope.spawn(move || {
            for (wanted, place) in wanted.iter().zip(&places.segments) {
                let copied = copy_segment(sources, wanted, place);
                let failed = copied.is_err();
                if send.send(copied).is_err() || failed {
                    return;
                }
            }
        });
        check(places, zone, keys, None, &mut |number| {
            wait_for(&receive, number, restored)
        })
    })
}

/// How many bytes were copied, and whether they are not of the first source.
type CopiedSegment = Result<(u64, bool), StoreError>;

fn wait_for(
    receive: &Receiver<CopiedSegment>,
    number: u64,
    restored: &mut Restored,
) -> Result<(), StoreError> {
    // Segments are copied in the order in which they are read.
    let (bytes, from_other) = receive.recv().map_err(|_| StoreError::Stopped)??;
    restored.bytes += bytes;
    if from_other {
        restored.from_other.insert(number);
    }
    Ok(())
}

fn copy_segment(sources: &[Places], wanted: &Wanted, to: &SegmentPlace) -> CopiedSegment {
    let source = sources.get(wanted.source);
    let Some(place) = source.and_then(|places| places.segment(wanted.number)) else {
        return Err(StoreError::damaged(
            format!("the copy's {}", to.name),
            "is missing",
        ));
    };
    Ok((copy_from(place, to)?, wanted.source > 0))
}

fn copy_from(place: &SegmentPlace, to: &SegmentPlace) -> Result<u64, StoreError> {
    let length = place.limit.unwrap_or(u64::MAX);
    let mut target = folder::create_file(&to.path, false)?;
    target.set_len(0).map_err(StoreError::io("writing", &to.path))?;
    let file = match open(&place.path) {
        // It became full meanwhile, and has the same bytes in front under its other name.
        Err(_) if place.is_open => open(&place.path.with_extension("seg"))?,
        opened => opened?,
    };
    std::io::copy(&mut file.take(length), &mut target).map_err(StoreError::io("writing", &to.path))
}

/// Takes what did not hold from the other sources.
fn mend(
    sources: &[Places],
    places: &Places,
    checked: &Checked,
    restored: &mut Restored,
) -> Result<(), StoreError> {
    for place in places
        .segments
        .iter()
        .filter(|place| !checked.is_good(place.number))
    {
        let others = sources.iter().skip(1);
        if let Some(other) = others.filter_map(|places| places.segment(place.number)).next() {
            copy_from(other, place)?;
            restored.from_other.insert(place.number);
        }
    }
    Ok(())
}
