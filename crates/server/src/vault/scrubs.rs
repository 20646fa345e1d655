//! Scrubbing: reading every byte of the ledger and of its backups, comparing, and mending one from the other.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use model::entry::ActCode;
use model::{Timestamp, ZoneId};
use seal::keyring::{Keyring, KeyringError, Unlock};
use seal::succession::Lineage;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::StoreError;
use store::keystore::KeyStore;
use store::ledger::places::Places;
use store::scrub::{Mended, Pace, Side, compare, mend};
use tokio::sync::watch;
use zeroize::Zeroizing;

use super::checks::{Check, CheckKind};
use super::{Inner, Vault, VaultError, locked};

/// `serve` reads everything this often.
const SCRUB_EVERY_MICROS: i64 = 7 * 24 * 60 * 60 * 1_000_000;
/// `doctor` complains when the last reading is older.
const SCRUB_AGE_MAX_MICROS: i64 = 30 * 24 * 60 * 60 * 1_000_000;
/// How often it is looked whether it is time.
const LOOK_EVERY: Duration = Duration::from_secs(60 * 60);
/// `serve` reads for one part of the time and leaves the disk to others for so many.
const REST: u32 = 15;
/// A rest is cut into pieces of this length, so that stopping is not kept waiting.
const REST_PIECE: Duration = Duration::from_millis(50);
/// Findings that are listed in the act.
const LISTED_MAX: usize = 50;

/// What was found in one copy.
#[derive(Debug, Clone, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct ScrubbedCopy {
    /// Its folder.
    pub folder: PathBuf,
    /// Entries read.
    pub entries: u64,
    /// Segments read.
    pub segments: u64,
    /// Place and detail of what did not hold, before anything was mended.
    pub findings: Vec<(String, String)>,
    /// Files that were put right.
    pub mended: Vec<String>,
    /// What still does not hold.
    pub left: Vec<(String, String)>,
}

/// What was found in all.
#[derive(Debug, Clone, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct Scrubbed {
    /// Whether everything holds now.
    pub holds: bool,
    /// Whether what did not hold was to be mended.
    pub repair: bool,
    /// The data folder first, then its backups.
    pub copies: Vec<ScrubbedCopy>,
    /// Milliseconds it took.
    pub took_ms: u64,
}

/// What is to be read.
pub struct Scrub<'a> {
    /// Zone.
    pub zone: &'a ZoneId,
    /// Its keys.
    pub keys: &'a Lineage,
    /// The data folder.
    pub data: &'a Path,
    /// Its backups.
    pub backups: &'a [PathBuf],
    /// Mend what does not hold.
    pub repair: bool,
    /// Names what is set aside.
    pub now: Timestamp,
}

fn listed(findings: &[store::ledger::verify::Finding]) -> Vec<(String, String)> {
    let pair = |finding: &store::ledger::verify::Finding| (finding.place.clone(), finding.detail.clone());
    findings.iter().map(pair).collect()
}

impl Scrub<'_> {
    /// Reads the data folder and its backups; `places` gives the files of the data folder as they stand.
    ///
    /// # Errors
    /// [`VaultError::Store`] when files cannot be read; what is wrong inside them is in the result.
    pub fn run(
        &self,
        places: &dyn Fn() -> Result<Places, StoreError>,
        pace: &mut Pace<'_>,
    ) -> Result<Scrubbed, VaultError> {
        let begun = Instant::now();
        let mut here = self.read(places, pace)?;
        let mut own = self.copy(self.data, &here);
        let mut others = Vec::new();
        for folder in self.backups {
            let ledger = folder.join("ledger");
            let there = || Places::of_copy(&ledger);
            let side = match self.read(&there, pace) {
                Ok(side) => side,
                Err(StoreError::Stopped) => return Err(StoreError::Stopped.into()),
                Err(error) => {
                    others.push(unreadable(folder, &error));
                    continue;
                }
            };
            let mut copy = self.copy(folder, &side);
            copy.findings.extend(listed(&compare(&here, &side)));
            copy.left.clone_from(&copy.findings);
            if self.repair {
                self.mend_both((&mut own, &mut here), (&mut copy, side), places, &there, pace)?;
            }
            others.push(copy);
        }
        let mut copies = vec![own];
        copies.extend(others);
        Ok(Scrubbed {
            holds: copies.iter().all(|copy| copy.left.is_empty()),
            repair: self.repair,
            copies,
            took_ms: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        })
    }

    /// What is being written may look torn for a moment, and an open segment be replaced by the full one; what is wrong
    /// is so again.
    fn read(
        &self,
        places: &dyn Fn() -> Result<Places, StoreError>,
        pace: &mut Pace<'_>,
    ) -> Result<Side, StoreError> {
        let first = places().and_then(|places| Side::check(places, self.zone, self.keys, pace));
        match first {
            Ok(side) if side.checked.findings.is_empty() => Ok(side),
            Err(StoreError::Stopped) => Err(StoreError::Stopped),
            _ => Side::check(places()?, self.zone, self.keys, pace),
        }
    }

    fn copy(&self, folder: &Path, side: &Side) -> ScrubbedCopy {
        ScrubbedCopy {
            folder: folder.to_owned(),
            entries: side.checked.entries,
            segments: side.checked.segments,
            findings: listed(&side.checked.findings),
            mended: Vec::new(),
            left: listed(&side.checked.findings),
        }
    }

    fn mend_both(
        &self,
        (own, here): (&mut ScrubbedCopy, &mut Side),
        (copy, mut side): (&mut ScrubbedCopy, Side),
        places: &dyn Fn() -> Result<Places, StoreError>,
        there: &dyn Fn() -> Result<Places, StoreError>,
        pace: &mut Pace<'_>,
    ) -> Result<(), VaultError> {
        let (proof, now) = ((self.zone, self.keys), self.now.to_string());
        if !own.left.is_empty() {
            let Mended { files } = mend(here, &side, proof, &now)?;
            own.mended.extend(files);
            *here = Side::check(places()?, self.zone, self.keys, pace)?;
            own.left = listed(&here.checked.findings);
        }
        if !copy.left.is_empty() {
            let Mended { files } = mend(&side, here, proof, &now)?;
            copy.mended.extend(files);
            side = Side::check(there()?, self.zone, self.keys, pace)?;
            copy.left = listed(&side.checked.findings);
            copy.left.extend(listed(&compare(here, &side)));
        }
        Ok(())
    }
}

fn unreadable(folder: &Path, error: &StoreError) -> ScrubbedCopy {
    let finding = (folder.display().to_string(), said(error));
    ScrubbedCopy {
        folder: folder.to_owned(),
        findings: vec![finding.clone()],
        left: vec![finding],
        ..ScrubbedCopy::default()
    }
}

impl Vault {
    /// Reads every byte of the ledger, the key store and the backups.
    ///
    /// # Errors
    /// [`VaultError::Store`] when files cannot be read.
    pub fn scrub(&self, repair: bool, actor: &str) -> Result<Scrubbed, VaultError> {
        self.inner.scrub(repair, actor, &mut |_| Ok(()))
    }

    /// Writes down what was found while nobody had the vault.
    ///
    /// # Errors
    /// [`VaultError::Store`].
    pub fn note_scrubbed(&self, scrubbed: &Scrubbed, actor: &str) -> Result<(), VaultError> {
        self.inner.note_scrubbed(scrubbed, actor)
    }
}

impl Inner {
    fn scrub(&self, repair: bool, actor: &str, pace: &mut Pace<'_>) -> Result<Scrubbed, VaultError> {
        let folders: Vec<PathBuf> = self
            .backup_configs()
            .into_iter()
            .map(|config| config.folder)
            .collect();
        // While something is mended nobody copies. Reading alone, which may take hours, must not keep copies waiting.
        let backups = repair.then(|| locked(&self.backups));
        let lineage = self.lineage();
        let scrub = Scrub {
            zone: &self.file.zone,
            keys: &lineage,
            data: &self.folder,
            backups: &folders,
            repair,
            now: (self.clock)(),
        };
        let mut scrubbed = scrub.run(&|| self.ledger.places(), pace)?;
        drop(backups);
        if scrubbed.copies.first().is_some_and(|own| !own.mended.is_empty()) && locked(&self.progress).failed
        {
            self.follow_again.store(true, Ordering::SeqCst);
            self.set_progress(|progress| progress.failed = false);
            self.ledger.wake();
        }
        self.scrub_keys(repair, &mut scrubbed)?;
        self.note_scrubbed(&scrubbed, actor)?;
        Ok(scrubbed)
    }

    /// The key store's file and its second copy, against what is in memory.
    fn scrub_keys(&self, repair: bool, scrubbed: &mut Scrubbed) -> Result<(), VaultError> {
        let mut keys = locked(&self.keys);
        let mut findings = key_findings(&keys);
        let Some(own) = scrubbed.copies.first_mut() else {
            return Ok(());
        };
        own.findings.extend(findings.clone());
        if repair && !findings.is_empty() {
            // What did not hold is not set aside: it would keep secrets that are destroyed later.
            keys.write_anew()?;
            own.mended.extend(findings.iter().map(|(place, _)| place.clone()));
            findings = key_findings(&keys);
        }
        own.left.extend(findings);
        scrubbed.holds = scrubbed.copies.iter().all(|copy| copy.left.is_empty());
        Ok(())
    }

    fn note_scrubbed(&self, scrubbed: &Scrubbed, actor: &str) -> Result<(), VaultError> {
        let mut listed = scrubbed.clone();
        for copy in &mut listed.copies {
            copy.findings.truncate(LISTED_MAX);
            copy.mended.truncate(LISTED_MAX);
            copy.left.truncate(LISTED_MAX);
        }
        self.act(ActCode::Scrubbed, &json!({ "scrubbed": listed, "actor": actor }))?;
        Ok(())
    }

    /// When the last act of this code that says something at `pointer` was written, and what it says there.
    pub(crate) fn last_act(
        &self,
        code: ActCode,
        pointer: &str,
    ) -> Result<Option<(Timestamp, Value)>, VaultError> {
        let positions = locked(&self.reader).acts(code as u16)?;
        for at in positions.into_iter().rev() {
            let entry = self.must_entry(at)?;
            let body = self.open_act(&entry);
            if let Some(said) = body.as_ref().and_then(|body| body.pointer(pointer)) {
                return Ok(Some((entry.header.recorded_at, said.clone())));
            }
        }
        Ok(None)
    }

    /// For `doctor`.
    pub(crate) fn check_scrubbed(&self) -> Result<Check, VaultError> {
        let now = (self.clock)();
        let check =
            |ok, detail: String| Check::new(CheckKind::Scrub, "everything was read and held", ok, detail);
        let Some((at, body)) = self.last_act(ActCode::Scrubbed, "/scrubbed")? else {
            let is_young = now.as_micros() - self.file.created_at.as_micros() <= SCRUB_AGE_MAX_MICROS;
            let detail = "never read yet: `serve` does it every week, `chancery scrub` at once";
            return Ok(check(is_young, detail.to_owned()));
        };
        let held = body.get("holds").and_then(Value::as_bool);
        if held != Some(true) {
            let detail =
                format!("at {at} something did not hold: `chancery scrub` names it, `--repair` mends it");
            return Ok(check(false, detail));
        }
        let is_late = now.as_micros() - at.as_micros() > SCRUB_AGE_MAX_MICROS;
        let late = if is_late {
            "; more than 30 days is too long: `chancery scrub`"
        } else {
            ""
        };
        Ok(check(!is_late, format!("last at {at}{late}")))
    }

    fn scrub_is_due(&self) -> bool {
        let last = self.last_act(ActCode::Scrubbed, "/scrubbed").ok().flatten();
        let since = last.map_or(self.file.created_at, |(at, _)| at);
        (self.clock)().as_micros() - since.as_micros() >= SCRUB_EVERY_MICROS
    }
}

/// The key store of a closed data folder, as scrubbing found it.
#[derive(Debug, Clone, Default)]
pub struct OpenedKeys {
    /// Folders of the configured backups.
    pub backups: Vec<PathBuf>,
    /// What did not hold.
    pub findings: Vec<(String, String)>,
    /// What still does not.
    pub left: Vec<(String, String)>,
    /// The file was put back from its second copy, or the second copy from the file.
    pub mended: bool,
}

/// Opens the key store of a data folder that nobody has open, and compares it with its second copy. With `repair` the
/// file that does not hold is put back from the other.
///
/// # Errors
/// [`VaultError::Store`] for a wrong passphrase, or when neither file opens.
pub fn open_keys(
    data: &Path,
    copy: Option<&Path>,
    unlock: &Unlock<'_>,
    repair: bool,
) -> Result<OpenedKeys, VaultError> {
    let path = data.join("keys/keystore");
    let mut opened = OpenedKeys::default();
    let own = read_ring(&path, unlock);
    let second = copy.map(|copy| (copy, read_ring(copy, unlock)));
    let mut bad = Vec::new();
    let mut note = |place: &str, path: &Path, error: &StoreError| {
        let finding = (place.to_owned(), said(error));
        opened.findings.push(finding.clone());
        bad.push((path.to_owned(), finding));
    };
    let good = match (own, second) {
        (Ok(own), None) => Some(own),
        (Ok(own), Some((_, Ok(second)))) if own.0 == second.0 => Some(own),
        (Ok(own), Some((copy, second))) => {
            let differs = StoreError::damaged("second copy of the key store", "is not what the key store is");
            note(
                "second copy of the key store",
                copy,
                &second.err().unwrap_or(differs),
            );
            Some(own)
        }
        (Err(error), second) => {
            if matches!(
                error,
                StoreError::Keyring(KeyringError::Wrong | KeyringError::OtherSort(_))
            ) {
                return Err(error.into());
            }
            note("keys/keystore", &path, &error);
            match second {
                Some((_, Ok(second))) => Some(second),
                _ => None,
            }
        }
    };
    for (path, finding) in bad {
        match &good {
            Some((bytes, _)) if repair => {
                store::folder::replace_file(&path, bytes)?;
                opened.mended = true;
            }
            _ => opened.left.push(finding),
        }
    }
    if let Some((_, ring)) = good {
        opened.backups = super::backups::configured(&ring);
    }
    Ok(opened)
}

/// The bytes of a key store and the ring that they give, every one of them.
fn read_ring(path: &Path, unlock: &Unlock<'_>) -> Result<(Zeroizing<Vec<u8>>, Keyring), StoreError> {
    let bytes = Zeroizing::new(store::folder::read_file(path, 2 << 30)?);
    let opened = Keyring::open(&bytes, unlock)?;
    if opened.covered_bytes < bytes.len() {
        return Err(StoreError::damaged(
            format!("key store at byte {}", opened.covered_bytes),
            "its last record is incomplete",
        ));
    }
    Ok((bytes, opened.ring))
}

/// The error and its cause.
fn said(error: &StoreError) -> String {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
    format!("{error}{}", cause.unwrap_or_default())
}

fn key_findings(keys: &KeyStore) -> Vec<(String, String)> {
    let checked = [
        ("keys/keystore", keys.check_file()),
        ("second copy of the key store", keys.check_copy()),
    ];
    let failed = checked
        .into_iter()
        .filter_map(|(place, checked)| Some((place, checked.err()?)));
    failed
        .map(|(place, error)| (place.to_owned(), error.to_string()))
        .collect()
}

/// Reads everything once a week, slowly, until told to stop.
pub async fn run(vault: Arc<Vault>, mut stopping: watch::Receiver<bool>) {
    let stop = Arc::new(AtomicBool::new(false));
    let mut tick = tokio::time::interval(LOOK_EVERY);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            _ = stopping.changed() => return,
        }
        let (asked, stopped) = (vault.clone(), stop.clone());
        let mut reading = tokio::task::spawn_blocking(move || scrub_slowly(&asked, &stopped));
        tokio::select! {
            _ = &mut reading => {}
            _ = stopping.changed() => {
                stop.store(true, Ordering::SeqCst);
                let _ = reading.await;
                return;
            }
        }
    }
}

fn scrub_slowly(vault: &Vault, stop: &AtomicBool) {
    if !vault.inner.scrub_is_due() {
        return;
    }
    match vault.scrub_slowly("chancery", stop) {
        Ok(scrubbed) if !scrubbed.holds => {
            tracing::error!("something does not hold; `chancery scrub` names it");
        }
        Ok(_) => {}
        Err(VaultError::Store(StoreError::Stopped)) => {}
        Err(error) => tracing::error!(error = %error, "not everything could be read"),
    }
}

impl Vault {
    /// As [`Vault::scrub`] without repair, leaving the disk and the processors to others most of the time.
    ///
    /// # Errors
    /// As it; [`StoreError::Stopped`] when told to stop.
    pub fn scrub_slowly(&self, actor: &str, stop: &AtomicBool) -> Result<Scrubbed, VaultError> {
        let mut since = Instant::now();
        let mut pace = |_| {
            let rest = since.elapsed() * REST;
            let begun = Instant::now();
            while begun.elapsed() < rest {
                if stop.load(Ordering::SeqCst) {
                    return Err(StoreError::Stopped);
                }
                std::thread::sleep(REST_PIECE.min(rest));
            }
            since = Instant::now();
            Ok(())
        };
        self.inner.scrub(false, actor, &mut pace)
    }
}
