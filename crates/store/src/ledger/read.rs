//! Reading entries back, while others are being written.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock, PoisonError};

use model::Position;
use model::bytes::Malformed;
use model::entry::Header;
use seal::group::{FRAME_BYTES, HEAD_BYTES, HeadKind, RawEntry};

use super::{Ledger, Shared, locked};
use crate::folder::StoreError;

/// An entry as it stands in the ledger.
#[derive(Debug, Clone)]
pub struct StoredEntry {
    /// Its header, read.
    pub header: Header,
    /// Its header's bytes.
    pub header_bytes: Vec<u8>,
    /// Its body.
    pub body: Vec<u8>,
}

impl StoredEntry {
    /// From the raw bytes.
    ///
    /// # Errors
    /// [`StoreError::Damaged`].
    pub fn from_raw(raw: &RawEntry<'_>, position: Position) -> Result<StoredEntry, StoreError> {
        let header = Header::decode(raw.header)
            .map_err(|problem| StoreError::damaged(format!("entry {position}"), problem.to_string()))?;
        if header.position != position {
            return Err(StoreError::damaged(
                format!("entry {position}"),
                "says that it stands elsewhere",
            ));
        }
        Ok(StoredEntry {
            header,
            header_bytes: raw.header.to_vec(),
            body: raw.body.to_vec(),
        })
    }
}

/// A group read from a segment.
#[derive(Debug)]
pub struct Group {
    /// Position of its first entry.
    pub first: Position,
    /// How many entries.
    pub count: u32,
    /// Where it begins in its segment.
    pub offset: u64,
    /// Where it ends.
    pub end: u64,
    payload: Vec<u8>,
    /// Where each entry stands in the payload, once one was asked for.
    places: OnceLock<Vec<Range<usize>>>,
}

impl Group {
    /// Its entries with their positions.
    ///
    /// # Errors
    /// [`StoreError::Damaged`].
    pub fn entries(&self) -> Result<Vec<(Position, RawEntry<'_>)>, StoreError> {
        let raw = seal::group::entries(&self.payload, self.count).map_err(|problem| {
            StoreError::damaged(format!("group at position {}", self.first), problem.to_string())
        })?;
        Ok((0..).map(|n| self.first.plus(n)).zip(raw).collect())
    }

    /// One of its entries. Where they stand is found once: asked for one by one, the entries of a group of thousands would
    /// each be looked for among all.
    fn entry(&self, position: Position) -> Result<Option<StoredEntry>, StoreError> {
        let damaged = |problem: Malformed| {
            StoreError::damaged(format!("group at position {}", self.first), problem.to_string())
        };
        let places = match self.places.get() {
            Some(places) => places,
            None => {
                let all = seal::group::entries(&self.payload, self.count).map_err(damaged)?;
                let places = all.iter().scan(0, |end, raw| {
                    let begin = *end;
                    *end += FRAME_BYTES + raw.header.len() + raw.body.len();
                    Some(begin..*end)
                });
                let places = places.collect();
                self.places.get_or_init(|| places)
            }
        };
        let number = position
            .0
            .checked_sub(self.first.0)
            .and_then(|number| usize::try_from(number).ok());
        let bytes = number
            .and_then(|number| places.get(number))
            .and_then(|place| self.payload.get(place.clone()));
        let Some(bytes) = bytes else { return Ok(None) };
        let one = seal::group::entries(bytes, 1).map_err(damaged)?;
        one.first()
            .map(|raw| StoredEntry::from_raw(raw, position))
            .transpose()
    }

    fn holds(&self, position: Position) -> bool {
        self.first <= position && position < self.first.plus(u64::from(self.count))
    }

    /// Its room, for another one.
    pub fn into_payload(self) -> Vec<u8> {
        self.payload
    }

    /// Bytes of its payload.
    pub fn payload_bytes(&self) -> u64 {
        self.payload.len() as u64
    }
}

/// What stands at an offset of a segment.
pub enum Found {
    /// A whole group.
    Group(Group),
    /// Nothing was written here.
    End,
    /// Something that is no whole group.
    Damaged,
    /// A group whose bytes are not those that were committed.
    Altered(Group),
}

/// Reads the group at `offset`; `limit` is where the file's groups may end at most.
///
/// # Errors
/// The file's own.
pub fn read_group(file: &File, offset: u64, limit: u64) -> std::io::Result<Found> {
    let mut read = |at, count, into: &mut Vec<u8>| {
        into.resize(usize::try_from(count).unwrap_or(0), 0);
        file.read_exact_at(into, at)
    };
    group_at(&mut read, offset, limit, Vec::new())
}

/// Reads just so many bytes at a place into a buffer.
pub type ReadAt<'a> = dyn FnMut(u64, u64, &mut Vec<u8>) -> std::io::Result<()> + 'a;

/// As [`read_group`], of anything that can be read so; `buffer` becomes the payload.
pub fn group_at(
    read: &mut ReadAt<'_>,
    offset: u64,
    limit: u64,
    mut buffer: Vec<u8>,
) -> std::io::Result<Found> {
    let head_bytes = (HEAD_BYTES as u64).min(limit.saturating_sub(offset));
    read(offset, head_bytes, &mut buffer)?;
    let Some(head) = buffer.first_chunk() else {
        return Ok(if buffer.iter().all(|byte| *byte == 0) {
            Found::End
        } else {
            Found::Damaged
        });
    };
    let head = match seal::group::read_head(head) {
        HeadKind::End => return Ok(Found::End),
        HeadKind::Damaged => return Ok(Found::Damaged),
        HeadKind::Group(head) => head,
    };
    let end = offset + HEAD_BYTES as u64 + head.payload_bytes as u64;
    if end > limit {
        return Ok(Found::Damaged);
    }
    read(offset + HEAD_BYTES as u64, head.payload_bytes as u64, &mut buffer)?;
    let matches = head.matches(&buffer);
    let group = Group {
        first: head.first,
        count: head.count,
        offset,
        end,
        payload: buffer,
        places: OnceLock::new(),
    };
    Ok(if matches {
        Found::Group(group)
    } else {
        Found::Altered(group)
    })
}

/// Walks the groups from a position to the head, as far as it stands when each is asked for.
pub struct Scanner {
    shared: Arc<Shared>,
    next: Position,
    place: Option<(usize, u64)>,
}

struct Stretch {
    file: Arc<File>,
    path: PathBuf,
    end: u64,
    has_next: bool,
}

impl Scanner {
    pub(super) fn new(shared: Arc<Shared>, from: Position) -> Scanner {
        Scanner {
            shared,
            next: from,
            place: None,
        }
    }

    fn stretch(&self, index: usize) -> Option<Stretch> {
        let table = self
            .shared
            .segments
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let segment = table.all.get(index)?;
        Some(Stretch {
            file: segment.file.clone(),
            path: segment.path.clone(),
            end: segment.end,
            has_next: index + 1 < table.all.len(),
        })
    }

    fn begin(&self) -> Option<(usize, u64)> {
        let table = self
            .shared
            .segments
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        table
            .find(self.next)
            .map(|(index, landmark)| (index, landmark.offset))
    }

    /// The next group that holds entries from the wanted position on; none at the head.
    ///
    /// # Errors
    /// [`StoreError::Io`], [`StoreError::Damaged`].
    pub fn next_group(&mut self) -> Result<Option<Group>, StoreError> {
        loop {
            let Some((index, offset)) = self.place.or_else(|| self.begin()) else {
                return Ok(None);
            };
            let Some(stretch) = self.stretch(index) else {
                return Ok(None);
            };
            if offset >= stretch.end {
                if !stretch.has_next {
                    self.place = Some((index, offset));
                    return Ok(None);
                }
                let head = segment_head_bytes(&stretch, self, index + 1)?;
                self.place = Some((index + 1, head));
                continue;
            }
            let found = read_group(&stretch.file, offset, stretch.end)
                .map_err(StoreError::io("reading", &stretch.path))?;
            let Found::Group(group) = found else {
                let name = stretch.path.display();
                return Err(StoreError::damaged(
                    format!("{name} at byte {offset}"),
                    "is not a whole group",
                ));
            };
            self.place = Some((index, group.end));
            if group.first.plus(u64::from(group.count)) > self.next {
                self.next = group.first.plus(u64::from(group.count));
                return Ok(Some(group));
            }
        }
    }
}

/// Where the groups of the segment at `index` begin.
fn segment_head_bytes(before: &Stretch, scanner: &Scanner, index: usize) -> Result<u64, StoreError> {
    let Some(stretch) = scanner.stretch(index) else {
        return Err(StoreError::damaged(
            before.path.display().to_string(),
            "has no segment after it",
        ));
    };
    let mut bytes = vec![0; seal::segment::HEAD_BYTES_MAX];
    let read = stretch
        .file
        .read_at(&mut bytes, 0)
        .map_err(StoreError::io("reading", &stretch.path))?;
    seal::segment::SegmentHead::decode(bytes.get(..read).unwrap_or(&[]))
        .map(|(_, head)| head as u64)
        .map_err(|problem| StoreError::damaged(stretch.path.display().to_string(), problem.to_string()))
}

impl Ledger {
    /// Walks groups from `from` on.
    pub fn scan(&self, from: Position) -> Scanner {
        Scanner::new(self.shared.clone(), from)
    }

    /// One entry; none when it does not exist yet.
    ///
    /// # Errors
    /// [`StoreError::Io`], [`StoreError::Damaged`].
    pub fn entry(&self, position: Position) -> Result<Option<StoredEntry>, StoreError> {
        if position >= self.head() {
            return Ok(None);
        }
        match self.group_of(position)? {
            Some(group) => group.entry(position),
            None => Ok(None),
        }
    }

    /// The group that holds an entry. The last two read are remembered: entries are mostly asked for in order, a group under
    /// load holds hundreds, and who looks ahead comes to the next before others have done with the one.
    fn group_of(&self, position: Position) -> Result<Option<Arc<Group>>, StoreError> {
        let known = {
            let last = locked(&self.shared.last_read);
            last.iter().flatten().find(|group| group.holds(position)).cloned()
        };
        if known.is_some() {
            return Ok(known);
        }
        let group = self.scan(position).next_group()?.map(Arc::new);
        let mut last = locked(&self.shared.last_read);
        let [newest, older] = &mut *last;
        std::mem::swap(newest, older);
        newest.clone_from(&group);
        Ok(group)
    }
}
