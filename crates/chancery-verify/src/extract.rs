//! The files that `--extract` writes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use model::Position;
use seal::bundle::Sink;
use seal::envelope::split_stream;
use seal::part::Place;

/// A folder that was not there before: nothing of anybody's is overwritten.
pub struct Folder {
    path: PathBuf,
    lines: Option<(&'static str, BufWriter<File>)>,
}

impl Folder {
    /// Makes it, with its three subfolders.
    pub fn create(path: &Path) -> io::Result<Folder> {
        fs::create_dir(path)?;
        for folder in ["captures", "items", "acts"] {
            fs::create_dir(path.join(folder))?;
        }
        Ok(Folder {
            path: path.to_owned(),
            lines: None,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Everything is on its way to the disk.
    pub fn finish(&mut self) -> io::Result<()> {
        self.lines.take().map_or(Ok(()), |(_, mut file)| file.flush())
    }

    fn write_new(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        File::create_new(self.path.join(name))?.write_all(bytes)
    }
}

impl Sink for Folder {
    fn capture(&mut self, capture: Position, chunk: u32, _last: bool, plain: &[u8]) -> io::Result<()> {
        let name = format!("captures/{capture}.raw");
        if chunk > 0 {
            let mut file = OpenOptions::new().append(true).open(self.path.join(name))?;
            return file.write_all(plain);
        }
        // The descriptor stands at the head of the first chunk; a stream without one is written as it is.
        let (descriptor, raw) = split_stream(plain).unwrap_or((&[], plain));
        self.write_new(&format!("captures/{capture}.json"), descriptor)?;
        self.write_new(&name, raw)
    }

    fn item(&mut self, source: Position, place: Place, plain: &[u8]) -> io::Result<()> {
        let Place {
            stream,
            offset,
            ordinal,
        } = place;
        // Bytes that belong to a person without being a record have no ordinal to be named by.
        let name = match ordinal {
            seal::part::NO_RECORD => format!("items/{source}.bytes.{stream}.{offset}"),
            _ => format!("items/{source}.{ordinal}.{stream}.{offset}"),
        };
        self.write_new(&name, plain)
    }

    fn act(&mut self, position: Position, plain: &[u8]) -> io::Result<()> {
        self.write_new(&format!("acts/{position}.json"), plain)
    }

    fn line(&mut self, member: &'static str, line: &[u8]) -> io::Result<()> {
        match &mut self.lines {
            Some((open, file)) if *open == member => file.write_all(line),
            other => {
                if let Some((_, file)) = other {
                    file.flush()?;
                }
                let mut file = BufWriter::new(File::create_new(self.path.join(member))?);
                file.write_all(line)?;
                *other = Some((member, file));
                Ok(())
            }
        }
    }
}
