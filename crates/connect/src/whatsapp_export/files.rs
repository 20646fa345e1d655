//! The files that lie beside the chat text in a zip.

use std::collections::HashMap;
use std::io::{self, Read};

use aws_lc_rs::digest;

use super::archive::{Archive, LARGEST_TOTAL, Member};
use super::media;
use crate::Input;

/// One file, its bytes measured.
struct File {
    stream: u32,
    size: u64,
    sha256: [u8; 32],
    /// Another file has the same name and other bytes: which one a message means cannot be told.
    ambiguous: bool,
    named: bool,
}

/// What became of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lookup {
    /// Here it is.
    Found {
        /// Inflated size.
        size: u64,
        /// Lower-case hex.
        sha256: String,
        /// No message named it before.
        first: bool,
        /// Its stream.
        stream: u32,
    },
    /// There is no file, or not exactly one, of this name.
    Missing,
}

/// All files by name.
#[derive(Default)]
pub struct Files {
    by_name: HashMap<String, File>,
    /// Names by the number that iPhones begin them with; `None` where two share it.
    by_number: HashMap<String, Option<String>>,
    /// Files left out of `by_name` because another had their name.
    pub duplicates: u64,
    /// Files whose bytes are not what the zip declares.
    pub damaged: u64,
    /// Files not read because all of them together are too large.
    pub unread: u64,
}

impl Files {
    /// Measures every member but the chat text and noise. Reads each once, in blocks.
    ///
    /// # Errors
    /// Those of the input.
    pub fn measure(input: &mut dyn Input, archive: &Archive, chat: u32) -> io::Result<Self> {
        let mut files = Files::default();
        let mut total = 0_u64;
        let mut block = vec![0; 64 * 1024];
        let members = archive
            .members
            .iter()
            .filter(|m| m.place != chat && m.refusal.is_none() && !m.is_noise());
        for member in members {
            total = total.saturating_add(member.size);
            if total > LARGEST_TOTAL {
                files.unread += 1;
                continue;
            }
            match measure(input, member, &mut block)? {
                Some(file) => files.add(member.base_name(), file),
                None => files.damaged += 1,
            }
        }
        Ok(files)
    }

    fn add(&mut self, name: &str, file: File) {
        match self.by_name.get_mut(name) {
            Some(known) => {
                self.duplicates += 1;
                known.ambiguous |= known.sha256 != file.sha256 || known.size != file.size;
            }
            None => {
                if let Some(number) = media::number_of(name) {
                    self.by_number
                        .entry(number.to_owned())
                        .and_modify(|known| *known = None)
                        .or_insert_with(|| Some(name.to_owned()));
                }
                self.by_name.insert(name.to_owned(), file);
            }
        }
    }

    /// The file that goes by this name. Zips spell letters with accents in more than one way; the number in front of
    /// an iPhone's files, with the same ending, then tells them.
    fn spelt(&self, name: &str) -> Option<String> {
        let other = self.by_number.get(media::number_of(name)?)?.as_ref()?;
        let ending = |name: &str| name.rsplit_once('.').map(|(_, ending)| ending.to_owned());
        let accents = !name.is_ascii() || !other.is_ascii();
        (accents && ending(name) == ending(other)).then(|| other.clone())
    }

    /// The file a message names.
    pub fn look_up(&mut self, name: &str) -> Lookup {
        let spelt = match self.by_name.contains_key(name) {
            true => None,
            false => self.spelt(name),
        };
        match self.by_name.get_mut(spelt.as_deref().unwrap_or(name)) {
            Some(file) if !file.ambiguous => {
                let first = !std::mem::replace(&mut file.named, true);
                Lookup::Found {
                    size: file.size,
                    sha256: hex(&file.sha256),
                    first,
                    stream: file.stream,
                }
            }
            _ => Lookup::Missing,
        }
    }

    /// Files that no message named.
    pub fn extra(&self) -> u64 {
        let unnamed = self.by_name.values().filter(|file| !file.named).count();
        (unnamed as u64).saturating_add(self.duplicates)
    }
}

fn measure(input: &mut dyn Input, member: &Member, block: &mut [u8]) -> io::Result<Option<File>> {
    let mut reader = member.open(input)?;
    let mut context = digest::Context::new(&digest::SHA256);
    loop {
        let read = reader.read(block)?;
        if read == 0 {
            break;
        }
        context.update(block.get(..read).unwrap_or_default());
    }
    if reader.damaged {
        return Ok(None);
    }
    let mut sha256 = [0; 32];
    for (to, from) in sha256.iter_mut().zip(context.finish().as_ref()) {
        *to = *from;
    }
    let stream = member.place.saturating_add(1);
    Ok(Some(File {
        stream,
        size: member.size,
        sha256,
        ambiguous: false,
        named: false,
    }))
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().map_or('0', char::from);
    bytes
        .iter()
        .flat_map(|&byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}
