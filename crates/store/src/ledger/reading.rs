//! One segment read from end to end, once: what can be said of it without its neighbours.
//!
//! Reading is most of the work of a check and needs no order; what follows from order is decided by the caller.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use model::entry::{Header, Kind};
use model::{Position, Timestamp, ZoneId};
use seal::group::{RawEntry, entry_leaf};
use seal::segment::{HEAD_BYTES_MAX, SegmentFoot, SegmentHead};
use seal::suite::Hasher;
use seal::tree::Hash;

use super::places::SegmentPlace;
use super::read::{Found, Group, group_at};
use super::recover::load_foot;
use crate::folder::StoreError;

/// Bytes read at once where no group is.
const PIECE_BYTES: u64 = 256 << 10;

/// What a segment holds.
pub struct Reading {
    /// Bytes of the file that count.
    pub length: u64,
    /// Its head, or why that cannot be read; nothing else was read then.
    pub head: Result<SegmentHead, String>,
    /// Its footer.
    pub foot: Footer,
    /// Its groups, up to the first that cannot be read.
    pub groups: Vec<ReadGroup>,
    /// What follows the last of them.
    pub end: End,
}

/// The end of a sealed segment.
pub enum Footer {
    /// The bytes before it have its hash, or not.
    Found { matches: bool },
    /// It cannot be read, or there is none, because the segment is still written.
    Missing(StoreError),
    /// The segment was open when it was limited: it has none.
    NotLooked,
}

/// What stands after the groups.
pub enum End {
    /// Nothing, as it must be.
    Clean,
    /// No group, at this byte.
    NoGroup(u64),
    /// In an open segment something else than zeros, at this byte.
    Slack(u64),
}

/// A group, without its bytes.
pub struct ReadGroup {
    /// Position of its first entry.
    pub first: Position,
    /// How many entries.
    pub count: u32,
    /// Where it begins.
    pub offset: u64,
    /// Its bytes are not those that were committed.
    pub altered: bool,
    /// Its entries in order, or why they cannot be told apart.
    pub entries: Result<Vec<Looked>, String>,
}

/// An entry, without its bytes.
pub struct Looked {
    /// Where it stands.
    pub position: Position,
    /// When it says that it was recorded, if it can be read.
    pub recorded_at: Option<Timestamp>,
    /// Its leaf.
    pub leaf: Hash,
    /// What is wrong with it.
    pub problem: Option<String>,
}

/// Reads a segment.
///
/// # Errors
/// [`StoreError::Io`]; what is wrong inside is in the reading.
pub fn read_segment(place: &SegmentPlace, zone: &ZoneId) -> Result<Reading, StoreError> {
    let path = place.path.as_path();
    let io = |source| StoreError::io("reading", path)(source);
    let file = File::open(path).map_err(StoreError::io("opening", path))?;
    let length = file.metadata().map_err(io)?.len();
    let length = place.limit.map_or(length, |limit| limit.min(length));
    let mut reading = Reading {
        length,
        head: Err(String::new()),
        foot: Footer::NotLooked,
        groups: Vec::new(),
        end: End::Clean,
    };
    let mut pass = Pass::new(&file);
    let mut bytes = Vec::new();
    pass.take(0, HEAD_BYTES_MAX as u64, &mut bytes).map_err(io)?;
    let head_bytes = match SegmentHead::decode(&bytes) {
        Ok((head, head_bytes)) => {
            reading.head = Ok(head);
            head_bytes as u64
        }
        Err(problem) => {
            reading.head = Err(problem.to_string());
            return Ok(reading);
        }
    };
    let found = match place.limit {
        Some(_) => None,
        None => Some(load_foot(&file, path)),
    };
    match found {
        Some(Ok((foot, end))) => {
            read_sealed(&mut pass, head_bytes, (&foot, end), zone, &mut reading).map_err(io)?
        }
        missing => {
            pass.restart(None).map_err(io)?;
            let end = read_groups(&mut pass, head_bytes, length, zone, &mut reading.groups).map_err(io)?;
            reading.end = match end {
                Stop::End(at) => slack(&mut pass, at, length).map_err(io)?,
                Stop::Whole => End::Clean,
                Stop::NoGroup(at) => End::NoGroup(at),
            };
            if let Some(Err(problem)) = missing {
                reading.foot = Footer::Missing(problem);
            }
        }
    }
    Ok(reading)
}

/// The hash in the footer is made of the same bytes that the groups are read from.
fn read_sealed(
    pass: &mut Pass<'_>,
    head_bytes: u64,
    (foot, end): (&SegmentFoot, u64),
    zone: &ZoneId,
    reading: &mut Reading,
) -> std::io::Result<()> {
    pass.restart(Some(Hasher::new()))?;
    let mut buffer = Vec::new();
    pass.take(0, head_bytes, &mut buffer)?;
    reading.end = match read_groups(pass, head_bytes, end, zone, &mut reading.groups)? {
        Stop::Whole => End::Clean,
        Stop::End(at) | Stop::NoGroup(at) => End::NoGroup(at),
    };
    while pass.at < end {
        pass.exactly(pass.at, (end - pass.at).min(PIECE_BYTES), &mut buffer)?;
    }
    let hash = pass.hasher.take().map(Hasher::finish);
    reading.foot = Footer::Found {
        matches: hash == Some(foot.sha256),
    };
    Ok(())
}

enum Stop {
    /// At the limit.
    Whole,
    /// Zeros, from this byte on.
    End(u64),
    /// No group, at this byte.
    NoGroup(u64),
}

fn read_groups(
    pass: &mut Pass<'_>,
    from: u64,
    to: u64,
    zone: &ZoneId,
    groups: &mut Vec<ReadGroup>,
) -> std::io::Result<Stop> {
    let mut offset = from;
    let mut buffer = Vec::new();
    while offset < to {
        let mut take = |at, count, into: &mut Vec<u8>| pass.exactly(at, count, into);
        let (group, altered) = match group_at(&mut take, offset, to, std::mem::take(&mut buffer))? {
            Found::Group(group) => (group, false),
            Found::Altered(group) => (group, true),
            Found::End => return Ok(Stop::End(offset)),
            Found::Damaged => return Ok(Stop::NoGroup(offset)),
        };
        let read = look(&group, altered, zone);
        // An altered head says nothing of where the next group begins.
        if altered && (group.count == 0 || read.entries.is_err()) {
            return Ok(Stop::NoGroup(offset));
        }
        groups.push(read);
        offset = group.end;
        buffer = group.into_payload();
    }
    Ok(Stop::Whole)
}

fn look(group: &Group, altered: bool, zone: &ZoneId) -> ReadGroup {
    let entries = group.entries().map_err(|error| error.to_string()).map(|entries| {
        entries
            .into_iter()
            .map(|(position, raw)| look_at(position, &raw, zone))
            .collect()
    });
    ReadGroup {
        first: group.first,
        count: group.count,
        offset: group.offset,
        altered,
        entries,
    }
}

fn look_at(position: Position, raw: &RawEntry<'_>, zone: &ZoneId) -> Looked {
    let header = Header::decode(raw.header);
    let problem = match &header {
        Ok(header) if header.position != position || header.zone != *zone => {
            Some("says that it stands elsewhere".to_owned())
        }
        Ok(header) => match &header.kind {
            Kind::Part(part) if seal::part::items(part, raw.body).is_err() => {
                Some("its items are not those of its header".to_owned())
            }
            _ => None,
        },
        Err(problem) => Some(problem.to_string()),
    };
    Looked {
        position,
        recorded_at: header.ok().map(|header| header.recorded_at),
        leaf: entry_leaf(raw.header, raw.body),
        problem,
    }
}

/// Whether only zeros follow.
fn slack(pass: &mut Pass<'_>, from: u64, to: u64) -> std::io::Result<End> {
    let mut buffer = Vec::new();
    let mut at = from;
    while at < to {
        pass.exactly(at, (to - at).min(PIECE_BYTES), &mut buffer)?;
        if let Some(first) = buffer.iter().position(|byte| *byte != 0) {
            return Ok(End::Slack(at + first as u64));
        }
        at += buffer.len() as u64;
    }
    Ok(End::Clean)
}

/// A file read forward; what is read is hashed as well.
struct Pass<'a> {
    file: &'a File,
    at: u64,
    hasher: Option<Hasher>,
}

impl<'a> Pass<'a> {
    fn new(file: &'a File) -> Pass<'a> {
        Pass {
            file,
            at: 0,
            hasher: None,
        }
    }

    fn restart(&mut self, hasher: Option<Hasher>) -> std::io::Result<()> {
        self.at = self.file.seek(SeekFrom::Start(0))?;
        self.hasher = hasher;
        Ok(())
    }

    /// So many bytes from `offset`, fewer at the end of the file. Bytes that were passed over are not hashed.
    fn take(&mut self, offset: u64, count: u64, into: &mut Vec<u8>) -> std::io::Result<()> {
        if self.at != offset {
            self.at = self.file.seek(SeekFrom::Start(offset))?;
        }
        into.clear();
        into.reserve(usize::try_from(count).unwrap_or(0));
        self.file.take(count).read_to_end(into)?;
        self.at += into.len() as u64;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(into);
        }
        Ok(())
    }

    /// As [`Pass::take`]; fewer is an error.
    fn exactly(&mut self, offset: u64, count: u64, into: &mut Vec<u8>) -> std::io::Result<()> {
        self.take(offset, count, into)?;
        if into.len() as u64 == count {
            return Ok(());
        }
        Err(std::io::ErrorKind::UnexpectedEof.into())
    }
}
