//! Altered copies, to be caught.

use std::fs;
use std::io;
use std::path::Path;

use crate::failure::{Failure, IO};

fn failed(error: io::Error) -> Failure {
    Failure::new(IO, format!("making an altered copy: {error}"))
}

/// A copy with one bit changed in the middle.
pub fn copy_of_bundle(from: &Path, to: &Path) -> Result<(), Failure> {
    let mut bytes = fs::read(from).map_err(failed)?;
    let middle = bytes.len() / 2;
    flip(&mut bytes, middle);
    fs::write(to, bytes).map_err(failed)
}

/// A copy with one bit changed in the middle of what its first segment holds.
pub fn copy_of_store(from: &Path, to: &Path) -> Result<(), Failure> {
    copy_folder(from, to).map_err(failed)?;
    let segment = to.join("ledger/segments/000000000000.seg");
    let mut bytes = fs::read(&segment).map_err(failed)?;
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(0);
    flip(&mut bytes, used / 2);
    fs::write(segment, bytes).map_err(failed)
}

fn flip(bytes: &mut [u8], at: usize) {
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1;
    }
}

fn copy_folder(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for file in fs::read_dir(from)? {
        let file = file?;
        let (kind, target) = (file.file_type()?, to.join(file.file_name()));
        if kind.is_dir() {
            copy_folder(&file.path(), &target)?;
        } else if kind.is_file() {
            fs::copy(file.path(), target)?;
        }
    }
    Ok(())
}
