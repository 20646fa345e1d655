//! Files and folders, durably.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Why the store did not do something. Names the place, never the content.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file could not be read or written.
    #[error("{doing} {}", path.display())]
    Io {
        /// What was tried, as in `writing`.
        doing: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Another process has the folder.
    #[error("the data folder {} is in use by another chancery process; stop it, or talk to it instead", .0.display())]
    Locked(PathBuf),
    /// Bytes are not as they were written.
    #[error("{what}: {detail}")]
    Damaged {
        /// Which file or record.
        what: String,
        /// What is wrong with it.
        detail: String,
    },
    /// An earlier write failed; nothing is written until a restart.
    #[error(
        "the ledger stopped accepting writes after an error; free space or repair the disk, then restart"
    )]
    Stopped,
    /// What was to be appended together does not fit into one group: it was not written.
    #[error("{0} bytes to be written together, more than can be read back together")]
    TooLarge(usize),
    /// The key ring was not opened.
    #[error(transparent)]
    Keyring(#[from] seal::keyring::KeyringError),
    /// Sealing failed.
    #[error(transparent)]
    Seal(#[from] seal::SealError),
    /// The catalogue failed.
    #[error("catalogue")]
    Catalogue(#[from] rusqlite::Error),
    /// Key store and ledger do not belong together.
    #[error("{0}")]
    Mismatch(String),
}

impl StoreError {
    /// Makes an error out of what a file operation met.
    pub fn io<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> StoreError + 'a {
        move |source| StoreError::Io {
            doing,
            path: path.to_owned(),
            source,
        }
    }

    /// A damaged record.
    pub fn damaged(what: impl Into<String>, detail: impl Into<String>) -> StoreError {
        StoreError::Damaged {
            what: what.into(),
            detail: detail.into(),
        }
    }

    /// What failed, and why, in one line.
    pub fn with_cause(&self) -> String {
        match std::error::Error::source(self) {
            Some(cause) => format!("{self}: {cause}"),
            None => self.to_string(),
        }
    }

    /// Whether it may be over when it is tried again in this process: a full or failing disk, a file that is in use.
    /// What was altered stays so, and a ledger or key store that stopped goes on only after a restart.
    pub fn may_pass(&self) -> bool {
        matches!(self, StoreError::Io { .. } | StoreError::Catalogue(_))
    }

    /// Whether the disk is full.
    pub fn is_full(&self) -> bool {
        matches!(self, StoreError::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull)
    }
}

/// Makes the entries of a folder durable.
///
/// # Errors
/// [`StoreError::Io`].
pub fn sync_folder(path: &Path) -> Result<(), StoreError> {
    File::open(path)
        .and_then(|folder| folder.sync_all())
        .map_err(StoreError::io("syncing", path))
}

/// Creates a folder and its parents, readable by the owner only, and makes the names of those that were missing durable.
///
/// # Errors
/// [`StoreError::Io`].
pub fn create_folder(path: &Path) -> Result<(), StoreError> {
    use std::os::unix::fs::DirBuilderExt;
    let missing: Vec<&Path> = path.ancestors().take_while(|folder| !folder.exists()).collect();
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(StoreError::io("creating", path))?;
    // The uppermost first: a name in a folder that is lost is no name.
    missing
        .into_iter()
        .rev()
        .filter(|folder| !folder.as_os_str().is_empty())
        .try_for_each(sync_name)
}

/// Makes the name of a file or folder durable: syncs the folder in which it stands.
///
/// # Errors
/// [`StoreError::Io`].
pub fn sync_name(path: &Path) -> Result<(), StoreError> {
    match path.parent() {
        Some(folder) if folder.as_os_str().is_empty() => sync_folder(Path::new(".")),
        Some(folder) => sync_folder(folder),
        None => Ok(()),
    }
}

/// Opens a file for writing, readable by the owner only; creates it.
///
/// # Errors
/// [`StoreError::Io`].
pub fn create_file(path: &Path, new: bool) -> Result<File, StoreError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .create_new(new)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(StoreError::io("creating", path))
}

/// Writes a whole file and makes it durable, without a name change: for files that nothing refers to yet.
///
/// # Errors
/// [`StoreError::Io`].
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let mut file = create_file(path, false)?;
    file.set_len(0)
        .and_then(|()| file.write_all(bytes))
        .and_then(|()| file.sync_data())
        .map_err(StoreError::io("writing", path))
}

/// Replaces a file at once: whoever reads sees the old bytes or the new, never a mixture, also after a crash.
///
/// # Errors
/// [`StoreError::Io`].
pub fn replace_file(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let beside = path.with_extension("new");
    write_file(&beside, bytes)?;
    std::fs::rename(&beside, path).map_err(StoreError::io("renaming", &beside))?;
    sync_name(path)
}

/// Reads a whole file, at most `limit` bytes.
///
/// # Errors
/// [`StoreError::Io`]; [`StoreError::Damaged`] when it is longer.
pub fn read_file(path: &Path, limit: u64) -> Result<Vec<u8>, StoreError> {
    let file = File::open(path).map_err(StoreError::io("opening", path))?;
    let mut bytes = Vec::new();
    file.take(limit + 1)
        .read_to_end(&mut bytes)
        .map_err(StoreError::io("reading", path))?;
    if bytes.len() as u64 > limit {
        return Err(StoreError::damaged(
            path.display().to_string(),
            "is longer than any such file may be",
        ));
    }
    Ok(bytes)
}

/// Bytes free on the disk of a folder, for whoever is not root.
pub fn free_bytes(folder: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(folder).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// A data folder held by this process alone, until dropped.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Takes the lock of a data folder.
    ///
    /// # Errors
    /// [`StoreError::Locked`] when another process has it.
    pub fn take(folder: &Path) -> Result<FolderLock, StoreError> {
        use rustix::fs::{FlockOperation, flock};
        let file = create_file(&folder.join("lock"), false)?;
        flock(&file, FlockOperation::NonBlockingLockExclusive)
            .map_err(|_| StoreError::Locked(folder.to_owned()))?;
        Ok(FolderLock { _file: file })
    }
}
