//! Reading every byte of both copies of a ledger, comparing them, and mending one from the other.
//!
//! What is mended comes from a copy that is whole and gives the roots that the zone signed; nothing else is taken for
//! good. The bytes that did not hold are set aside in `aside/` before they are replaced.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use model::ZoneId;
use seal::batch::Batch;
use seal::note::Checkpoint;
use seal::succession::Lineage;
use seal::tiles::{WIDTH, bundle_path};
use seal::tree::RootBuilder;

use crate::copy::{load_batches, log_files, whole_end};
use crate::failpoint;
use crate::folder::{self, StoreError};
use crate::ledger::log::encode_bundle;
use crate::ledger::places::{Places, SegmentPlace, checkpoints_folder, copied_checkpoints};
use crate::ledger::verify::{Checked, Finding, check};
use crate::ledger::{segment_name, segment_path};

/// One copy, checked.
pub struct Side {
    /// Its files.
    pub places: Places,
    /// What checking it found.
    pub checked: Checked,
}

/// Lets others have the disk for a while; called before each segment.
pub type Pace<'a> = dyn FnMut(u64) -> Result<(), StoreError> + 'a;

impl Side {
    /// Reads all of it.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn check(
        places: Places,
        zone: &ZoneId,
        keys: &Lineage,
        pace: &mut Pace<'_>,
    ) -> Result<Side, StoreError> {
        let checked = check(&places, zone, keys, None, pace)?;
        let mut side = Side { places, checked };
        if side.is_copy() {
            side.check_older(keys)?;
        }
        Ok(side)
    }

    fn is_copy(&self) -> bool {
        checkpoints_folder(&self.places.folder).is_dir()
    }

    /// The checkpoints of a copy before its newest, and the batches that it keeps for them.
    fn check_older(&mut self, keys: &Lineage) -> Result<(), StoreError> {
        if self.places.checkpoint.is_none() && !self.places.segments.is_empty() {
            self.checked.findings.push(Finding {
                place: "log/checkpoints".to_owned(),
                detail: "is empty: nothing says that what is here is of this zone".to_owned(),
            });
        }
        if self.log_is_bad() {
            // Batches that do not give the newest root say nothing of the older ones.
            return Ok(());
        }
        let (mut root, mut at) = (RootBuilder::new(), 0);
        let mut wrong = Vec::new();
        for (size, path) in copied_checkpoints(&self.places.folder)? {
            let note = String::from_utf8(folder::read_file(&path, 1 << 20)?).unwrap_or_default();
            let opened = keys.checkpoint(&note).ok();
            let until = usize::try_from(size).unwrap_or(usize::MAX);
            let Some(more) = self.checked.log.get(at..until) else {
                // Behind a log that does not hold, which was found already.
                continue;
            };
            more.iter().for_each(|batch| root.push(batch.leaf()));
            at = until;
            let is_right = |there: &Checkpoint| there.size == size && there.root == root.root();
            if !opened.as_ref().is_some_and(is_right) {
                wrong.push((
                    format!("log/checkpoints/{size:012}"),
                    "is not what the zone signed",
                ));
            }
            let name = bundle_path(size / WIDTH, size % WIDTH);
            let first = until - usize::try_from(size % WIDTH).unwrap_or(0);
            let raw = self
                .checked
                .log
                .get(first..until)
                .unwrap_or(&[])
                .iter()
                .map(Batch::encode);
            let expected = encode_bundle(&raw.collect::<Vec<_>>());
            let file = self.places.log.join(&name);
            if size % WIDTH > 0 && file.exists() && folder::read_file(&file, 1 << 20)? != expected {
                wrong.push((
                    format!("log/{name}"),
                    "does not hold the batches of its checkpoint",
                ));
            }
        }
        for (place, detail) in wrong {
            if !self.checked.findings.iter().any(|finding| finding.place == place) {
                self.checked.findings.push(Finding {
                    place,
                    detail: detail.to_owned(),
                });
            }
        }
        Ok(())
    }

    fn checkpoint(&self, keys: &Lineage) -> Option<Checkpoint> {
        keys.checkpoint(self.checked.checkpoint.as_deref()?).ok()
    }

    fn log_is_bad(&self) -> bool {
        self.checked
            .findings
            .iter()
            .any(|finding| finding.place.starts_with("log/"))
    }
}

/// What contradicts between two copies that hold each on its own.
pub fn compare(here: &Side, there: &Side) -> Vec<Finding> {
    let both = here.checked.log.iter().zip(&there.checked.log);
    let differs = (0u64..).zip(both).find(|(_, (ours, theirs))| ours != theirs);
    let mut findings = Vec::new();
    if let Some((batch, _)) = differs {
        findings.push(Finding {
            place: format!("batch {batch}"),
            detail: "is another in the copy: the two have different histories".to_owned(),
        });
    }
    findings
}

/// What was mended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mended {
    /// Files that were put right, as they are named in their copy.
    pub files: Vec<String>,
}

/// Mends `bad` from `good` where that holds. `now` makes the names under which bytes are set aside.
///
/// # Errors
/// [`StoreError::Io`].
pub fn mend(
    bad: &Side,
    good: &Side,
    (zone, keys): (&ZoneId, &Lineage),
    now: &str,
) -> Result<Mended, StoreError> {
    let aside = Aside {
        folder: bad.places.folder.join("aside"),
        now,
    };
    folder::create_folder(&aside.folder)?;
    let mut mended = Mended::default();
    if bad.log_is_bad() {
        mend_log(bad, good, keys, &aside, &mut mended)?;
    }
    let mut wrong: BTreeSet<u64> = bad
        .checked
        .broken
        .union(&bad.checked.contradicted)
        .copied()
        .collect();
    if !bad.checked.findings.is_empty() {
        let numbers = good.places.segments.iter().map(|place| place.number);
        wrong.extend(numbers.filter(|number| bad.places.segment(*number).is_none()));
    }
    if !wrong.is_empty() {
        let sources = proved_sources(bad, good, zone, keys)?;
        for number in wrong {
            if let Some(from) = sources.segment(number) {
                mend_segment(bad, from, number, &aside, &mut mended)?;
            }
        }
    }
    Ok(mended)
}

struct Aside<'a> {
    folder: PathBuf,
    now: &'a str,
}

impl Aside<'_> {
    /// Keeps the bytes of a file that does not hold.
    fn keep(&self, path: &Path, name: &str) -> Result<(), StoreError> {
        if !path.exists() {
            return Ok(());
        }
        let to = self.folder.join(format!(
            "{}-{}.bad",
            name.replace('/', "-"),
            self.now.replace(':', "")
        ));
        std::fs::copy(path, &to).map_err(StoreError::io("setting aside", path))?;
        File::open(&to)
            .and_then(|file| file.sync_all())
            .map_err(StoreError::io("syncing", &to))?;
        folder::sync_folder(&self.folder)?;
        failpoint::hit("scrub-set-aside");
        Ok(())
    }
}

/// Segments that are whole and give the signed roots: of the good copy alone, or where both lack something, of what the
/// two have together.
fn proved_sources(bad: &Side, good: &Side, zone: &ZoneId, keys: &Lineage) -> Result<Places, StoreError> {
    let mut sources = good.places.clone();
    let all_good = |side: &Side| side.checked.broken.is_empty() && side.checked.contradicted.is_empty();
    if all_good(good) {
        return Ok(sources);
    }
    let numbers: BTreeSet<u64> = [&bad.places, &good.places]
        .into_iter()
        .flat_map(|places| places.segments.iter().map(|place| place.number))
        .collect();
    sources.segments = numbers
        .into_iter()
        .filter_map(|number| {
            let preferred = [good, bad]
                .into_iter()
                .filter(|side| side.checked.is_good(number));
            let whole = [good, bad]
                .into_iter()
                .filter(|side| !side.checked.broken.contains(&number));
            preferred
                .chain(whole)
                .find_map(|side| side.places.segment(number).cloned())
        })
        .collect();
    let checked = check(&sources, zone, keys, None, &mut |_| Ok(()))?;
    sources.segments.retain(|place| checked.is_good(place.number));
    Ok(sources)
}

fn mend_segment(
    bad: &Side,
    from: &SegmentPlace,
    number: u64,
    aside: &Aside<'_>,
    mended: &mut Mended,
) -> Result<(), StoreError> {
    let there = bad.places.segment(number);
    if there.is_some_and(|there| there.path == from.path) {
        return Ok(());
    }
    let Some(there) = there else {
        let to = missing_path(&bad.places, from);
        put(from, &to)?;
        mended.files.push(segment_name(number));
        return Ok(());
    };
    let (mut source, target) = (open(&from.path)?, open_to_write(&there.path)?);
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| StoreError::io("reading", &path)(source)
    };
    let have = target.metadata().map_err(io(&there.path))?.len();
    let want = source.metadata().map_err(io(&from.path))?.len();
    let is_full = is_full_file(from);
    let want = if is_full { want } else { whole_end(from)?.0 };
    // Behind a copy that was not full yet stands what only the other has.
    let end = if is_full {
        want
    } else {
        want.min(there.limit.unwrap_or(u64::MAX))
    };
    let mut set_aside = false;
    let mut buffer = (vec![0; 256 << 10], vec![0; 256 << 10]);
    source.seek(SeekFrom::Start(0)).map_err(io(&from.path))?;
    let mut at = 0;
    while at < end {
        let count = usize::try_from((end - at).min(buffer.0.len() as u64)).unwrap_or(0);
        let ours = buffer.0.get_mut(..count).unwrap_or(&mut []);
        let theirs = buffer.1.get_mut(..count).unwrap_or(&mut []);
        source.read_exact(ours).map_err(io(&from.path))?;
        let present = usize::try_from(have.saturating_sub(at).min(count as u64)).unwrap_or(0);
        let known = theirs.get_mut(..present).unwrap_or(&mut []);
        target.read_exact_at(known, at).map_err(io(&there.path))?;
        if present < count || known != ours {
            if !set_aside {
                aside.keep(&there.path, &there.name)?;
                set_aside = true;
            }
            target
                .write_all_at(ours, at)
                .map_err(StoreError::io("writing", &there.path))?;
        }
        at += count as u64;
    }
    if is_full && have > want {
        if !set_aside {
            aside.keep(&there.path, &there.name)?;
            set_aside = true;
        }
        target
            .set_len(want)
            .map_err(StoreError::io("cutting", &there.path))?;
    }
    if set_aside {
        target
            .sync_all()
            .map_err(StoreError::io("syncing", &there.path))?;
        failpoint::hit("scrub-replaced");
        mended.files.push(there.name.clone());
    }
    Ok(())
}

/// Whether a segment's file is full: then the other must be the same to its end.
fn is_full_file(place: &SegmentPlace) -> bool {
    let foot = || crate::ledger::load_foot(&open(&place.path)?, &place.path);
    place.limit.is_none() && !place.is_open && foot().is_ok()
}

/// Where a segment goes that a copy lacks.
fn missing_path(places: &Places, from: &SegmentPlace) -> PathBuf {
    let is_copy = checkpoints_folder(&places.folder).is_dir();
    if is_copy && !is_full_file(from) {
        return crate::ledger::places::open_path(&places.folder, from.number);
    }
    segment_path(&places.folder, from.number)
}

fn put(from: &SegmentPlace, to: &Path) -> Result<(), StoreError> {
    let part = to.with_extension("part");
    let mut file = folder::create_file(&part, false)?;
    file.set_len(0).map_err(StoreError::io("writing", &part))?;
    let source = open(&from.path)?;
    let length = if is_full_file(from) {
        u64::MAX
    } else {
        whole_end(from)?.0
    };
    std::io::copy(&mut source.take(length), &mut file)
        .and_then(|_| file.sync_all())
        .and_then(|()| std::fs::rename(&part, to))
        .map_err(StoreError::io("writing", &part))?;
    to.parent().map_or(Ok(()), folder::sync_folder)
}

/// Puts the files of a log right: the batches as they give the signed root, from whichever copy has them so, and all
/// tiles from these.
fn mend_log(
    bad: &Side,
    good: &Side,
    keys: &Lineage,
    aside: &Aside<'_>,
    mended: &mut Mended,
) -> Result<(), StoreError> {
    let log = &bad.places.log;
    let is_copy = bad.is_copy();
    let (own, other) = (bad.checkpoint(keys), good.checkpoint(keys));
    let Some(checkpoint) = own.clone().or(other) else {
        return Ok(());
    };
    let both = [bad.places.clone(), good.places.clone()];
    let Ok(batches) = load_batches(&both, &checkpoint) else {
        return Ok(());
    };
    let mut expected = BTreeSet::new();
    for (path, bytes) in log_files(&batches) {
        // A copy keeps the batches of the unfinished bundle, and no unfinished tile of hashes.
        let is_hashes = !path.starts_with("tile/entries/");
        if is_copy && is_hashes && path.contains(".p/") {
            continue;
        }
        let file = log.join(&path);
        expected.insert(path.clone());
        if std::fs::read(&file).is_ok_and(|there| there == bytes) {
            continue;
        }
        replace(&file, &bytes, &format!("log/{path}"), aside, mended)?;
    }
    if own.is_none()
        && let Some(note) = &good.checked.checkpoint
    {
        let name = bad
            .places
            .checkpoint
            .as_ref()
            .map_or("log/checkpoint", |(name, _)| name);
        let file = bad.places.folder.join(name);
        if !is_copy {
            replace(&file, note.as_bytes(), name, aside, mended)?;
        }
    }
    for finding in &bad.checked.findings {
        let stray = finding
            .place
            .strip_prefix("log/")
            .filter(|name| !expected.contains(*name));
        // A checkpoint of a copy that does not hold is taken away: the next round makes another.
        let is_stray =
            |name: &&str| name.starts_with("tile/") || (is_copy && name.starts_with("checkpoints/"));
        let stray = stray.filter(|name| is_stray(name) && log.join(name).is_file());
        if let Some(name) = stray {
            let file = log.join(name);
            aside.keep(&file, &finding.place)?;
            std::fs::remove_file(&file).map_err(StoreError::io("removing", &file))?;
            mended.files.push(finding.place.clone());
        }
    }
    Ok(())
}

fn replace(
    file: &Path,
    bytes: &[u8],
    name: &str,
    aside: &Aside<'_>,
    mended: &mut Mended,
) -> Result<(), StoreError> {
    aside.keep(file, name)?;
    file.parent().map_or(Ok(()), folder::create_folder)?;
    let part = file.with_extension("part");
    folder::write_file(&part, bytes)?;
    std::fs::rename(&part, file).map_err(StoreError::io("renaming", &part))?;
    file.parent().map_or(Ok(()), folder::sync_folder)?;
    failpoint::hit("scrub-replaced");
    mended.files.push(name.to_owned());
    Ok(())
}

fn open(path: &Path) -> Result<File, StoreError> {
    File::open(path).map_err(StoreError::io("opening", path))
}

fn open_to_write(path: &Path) -> Result<File, StoreError> {
    File::options()
        .read(true)
        .write(true)
        .open(path)
        .map_err(StoreError::io("opening", path))
}
