//! Files of the user's: where they are, reading small ones, replacing whole ones.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::args::Global;
use crate::failure::{BAD_DATA, CANNOT_WRITE, Failure, MISSING};

const SMALL_BYTES_MAX: u64 = 4 << 20;

/// The data folder that was named, or the platform's.
///
/// # Errors
/// Neither was named nor is there a home.
pub fn data_folder(global: &Global) -> Result<PathBuf, Failure> {
    if let Some(path) = &global.data {
        return absolute(path);
    }
    let from = |variable: &str| {
        std::env::var_os(variable)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let base = from("XDG_DATA_HOME").or_else(|| from("HOME").map(|home| home.join(".local/share")));
    let base = base.ok_or_else(|| Failure::usage("which data folder? give --data DIR"))?;
    Ok(base.join("chancery"))
}

/// A data folder that was made by `init`.
///
/// # Errors
/// It is none.
pub fn existing_data_folder(global: &Global) -> Result<PathBuf, Failure> {
    let data = data_folder(global)?;
    let mark = data.join("zone.json");
    if mark
        .try_exists()
        .map_err(|error| Failure::io("looking for", &mark, &error))?
    {
        return Ok(data);
    }
    let what = if data.exists() {
        "is no data folder"
    } else {
        "is not there"
    };
    let advice = "name another with --data, or make one with `chancery init`";
    Err(Failure::new(
        MISSING,
        format!("{} {what}; {advice}", data.display()),
    ))
}

/// The path from the root: another process may open it.
///
/// # Errors
/// No working folder.
pub fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(|error| Failure::io("finding", path, &error))
}

/// A small text.
///
/// # Errors
/// It cannot be read, is long, or is no text.
pub fn small_text(path: &Path) -> Result<String, Failure> {
    let failed = |error: std::io::Error| Failure::io("reading", path, &error);
    let mut text = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(SMALL_BYTES_MAX + 1)
        .read_to_end(&mut text)
        .map_err(failed)?;
    let wrong = || Failure::new(BAD_DATA, format!("{} is not a checkpoint", path.display()));
    if text.len() as u64 > SMALL_BYTES_MAX {
        return Err(wrong());
    }
    String::from_utf8(text).map_err(|_| wrong())
}

/// The same name with something after it.
pub fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// A file under way: it gets its name when it is whole and durable, and is gone when it was not finished.
pub struct Unfinished {
    path: PathBuf,
    part: PathBuf,
    finished: bool,
}

impl Unfinished {
    /// Begins the file. `over` allows replacing one that is there.
    ///
    /// # Errors
    /// It is there already, or cannot be made.
    pub fn begin(path: &Path, over: bool) -> Result<(Unfinished, File), Failure> {
        if !over && path.exists() {
            let text = format!(
                "{} is there already; choose another name, or give --force",
                path.display()
            );
            return Err(Failure::new(CANNOT_WRITE, text));
        }
        if path.is_dir() {
            return Err(Failure::new(
                CANNOT_WRITE,
                format!("{} is a folder; name a file", path.display()),
            ));
        }
        let part = beside(path, ".part");
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&part)
            .map_err(|error| Failure::cannot_write(&part, &error))?;
        Ok((
            Unfinished {
                path: path.to_owned(),
                part,
                finished: false,
            },
            file,
        ))
    }

    /// Makes it durable and gives it its name.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn finish(mut self, file: &File) -> Result<(), Failure> {
        let named = file
            .sync_all()
            .and_then(|()| std::fs::rename(&self.part, &self.path));
        named.map_err(|error| Failure::cannot_write(&self.path, &error))?;
        self.finished = true;
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        Ok(store::folder::sync_folder(folder.unwrap_or(Path::new(".")))?)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.finished {
            let _ = std::fs::remove_file(&self.part);
        }
    }
}

/// Replaces a whole file at once, durably.
///
/// # Errors
/// It cannot be written.
pub fn replace(path: &Path, text: &str) -> Result<(), Failure> {
    let (unfinished, mut file) = Unfinished::begin(path, true)?;
    file.write_all(text.as_bytes())
        .map_err(|error| Failure::cannot_write(path, &error))?;
    unfinished.finish(&file)
}
