//! What witnesses and authorities gave: kept in the data folder, an hour to a file, and read again for bundles.
//!
//! The files are public and prove themselves. A newer anchor of the same hour takes the place of the one before: it covers
//! more, and an hour is close enough to say when something existed.

use std::path::{Path, PathBuf};

use model::{Position, Timestamp};
use seal::bundle::{Anchor, AnchorRead, Proved};
use seal::succession::Lineage;
use store::StoreError;
use store::folder;

use super::Target;
use crate::vault::{Inner, VaultError};

/// Where they are kept, below the data folder.
pub const KEPT_FOLDER: &str = "anchors";

/// A checkpoint, a token with its chain, a batch and its path: far below this.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Anchors of one outsider in a bundle, besides the newest and the first that covers everything shown.
const MONTHS_MAX: usize = 120;

/// An anchor that was kept, and what it says.
pub(super) struct Kept {
    pub(super) anchor: Anchor,
    pub(super) read: AnchorRead,
}

impl Inner {
    fn kept_folder(&self, name: &str) -> PathBuf {
        self.folder.join(KEPT_FOLDER).join(name)
    }

    /// Keeps an anchor; says whether it is the first of its hour.
    pub(super) fn keep(&self, name: &str, anchor: &Anchor, at: Timestamp) -> Result<bool, VaultError> {
        let folder = self.kept_folder(name);
        folder::create_folder(&folder)?;
        folder::sync_folder(&self.folder.join(KEPT_FOLDER))?;
        // YYYY-MM-DDTHH: names in order are times in order.
        let hour: String = at.to_string().chars().take(13).collect();
        let path = folder.join(format!("{hour}.json"));
        let first = !path.exists();
        folder::replace_file(&path, anchor.line().as_bytes())?;
        Ok(first)
    }

    /// Names of an outsider's files, oldest first.
    fn kept_files(&self, name: &str) -> Vec<PathBuf> {
        let files = std::fs::read_dir(self.kept_folder(name));
        let mut files: Vec<PathBuf> = files
            .into_iter()
            .flatten()
            .flatten()
            .map(|file| file.path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
            .collect();
        files.sort();
        files
    }

    /// Reads a file. One that is not as it was written is none: it proves nothing, and must not keep the rest from being
    /// shown.
    fn kept(&self, path: &Path, lineage: &Lineage) -> Option<Kept> {
        let read = || -> Result<Kept, StoreError> {
            let damaged = || StoreError::damaged(path.display().to_string(), "is not an anchor of this log");
            let bytes = folder::read_file(path, FILE_BYTES_MAX)?;
            let text = String::from_utf8(bytes).map_err(|_| damaged())?;
            let anchor = Anchor::parse(&text).ok_or_else(damaged)?;
            let read = anchor.read(&self.file.zone, lineage).map_err(|_| damaged())?;
            Ok(Kept { anchor, read })
        };
        read()
            .inspect_err(|error| tracing::warn!(error = %error, "a kept anchor is left out"))
            .ok()
    }

    /// The newest anchor of an outsider that is proved by its key or root, and the time it proves.
    pub(super) fn newest_proved(&self, name: &str, target: &Target) -> Option<(Kept, Timestamp)> {
        let lineage = self.lineage();
        let (witnesses, roots) = target.trusted();
        self.kept_files(name).iter().rev().find_map(|path| {
            let kept = self.kept(path, &lineage)?;
            match kept.anchor.prove(&witnesses, &roots) {
                Ok(Proved::By(_, at)) => Some((kept, at)),
                _ => None,
            }
        })
    }

    /// The anchors that go into a bundle pinned to `size` batches and showing records before `shown`: of each outsider the
    /// newest, the first that covers all that is shown, and the last of each month.
    pub fn anchors_for_bundle(&self, size: u64, shown: Position) -> Result<Vec<Anchor>, VaultError> {
        let lineage = self.lineage();
        let mut chosen = Vec::new();
        let outsiders = std::fs::read_dir(self.folder.join(KEPT_FOLDER));
        for outsider in outsiders.into_iter().flatten().flatten() {
            let name = outsider.file_name().to_string_lossy().into_owned();
            let files = self.kept_files(&name);
            let mut paths: Vec<&PathBuf> = last_of_months(&files);
            let fits = |path: &&PathBuf| {
                self.kept(path, &lineage)
                    .is_some_and(|kept| kept.read.checkpoint.size <= size)
            };
            paths.extend(files.iter().rev().find(fits));
            let first = files.partition_point(|path| {
                let kept = self.kept(path, &lineage);
                kept.is_none_or(|kept| kept.read.end < shown)
            });
            paths.extend(files.get(first));
            paths.sort();
            paths.dedup();
            let kept = paths.iter().filter_map(|path| self.kept(path, &lineage));
            chosen.extend(
                kept.filter(|kept| kept.read.checkpoint.size <= size)
                    .map(|kept| kept.anchor),
            );
        }
        Ok(chosen)
    }

    /// Sizes of the log that anchors name.
    pub fn sizes_of(&self, anchors: &[Anchor]) -> Vec<u64> {
        let lineage = self.lineage();
        let size = |anchor: &Anchor| {
            lineage
                .open(&anchor.checkpoint)
                .ok()
                .map(|(checkpoint, _)| checkpoint.size)
        };
        anchors.iter().filter_map(size).collect()
    }
}

/// Of files named by the hour, in order, the last of each month; the newest months.
fn last_of_months(files: &[PathBuf]) -> Vec<&PathBuf> {
    let month = |path: &PathBuf| -> String {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.chars().take(7).collect()
    };
    let next = files.iter().skip(1).map(Some).chain([None]);
    let last = files
        .iter()
        .zip(next)
        .filter(|(path, next)| next.is_none_or(|next| month(next) != month(path)))
        .map(|(path, _)| path);
    let mut months: Vec<&PathBuf> = last.collect();
    months.drain(..months.len().saturating_sub(MONTHS_MAX));
    months
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_each_month_is_chosen_and_only_the_newest_months() {
        let named = |names: &[&str]| -> Vec<PathBuf> {
            names
                .iter()
                .map(|name| PathBuf::from(format!("a/{name}.json")))
                .collect()
        };
        let files = named(&[
            "2024-01-01T00",
            "2024-01-31T23",
            "2024-02-01T00",
            "2025-02-01T00",
            "2025-02-02T10",
        ]);
        let chosen: Vec<_> = last_of_months(&files).into_iter().cloned().collect();
        assert_eq!(
            chosen,
            named(&["2024-01-31T23", "2024-02-01T00", "2025-02-02T10"])
        );
        let many: Vec<String> = (0..200)
            .map(|n| format!("{:04}-{:02}-01T00", 2000 + n / 12, n % 12 + 1))
            .collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(last_of_months(&named(&many)).len(), MONTHS_MAX);
        assert!(last_of_months(&[]).is_empty());
    }
}
