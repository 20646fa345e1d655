//! Commit groups: what one fsync made durable, and the unit of recovery.
//!
//! *Shape.* `CHGR`, payload length (4 bytes), first position (8), entry count (4), CRC-32C (4) over the 20 bytes
//! before it and the payload. The payload is a row of entries: header length (4), body length (4), header, body.

use model::Position;
use model::bytes::{Malformed, Reader, Writer};

/// First bytes of a group.
pub const MAGIC: [u8; 4] = *b"CHGR";

/// Bytes before the payload.
pub const HEAD_BYTES: usize = 24;

/// Bytes before each entry: the lengths of its header and body.
pub const FRAME_BYTES: usize = 8;

/// Payload of a group; the committer closes a group before it passes this.
pub const PAYLOAD_BYTES_MAX: usize = 32 << 20;

/// A longer payload is not read: no group is written that has one.
pub const PAYLOAD_BYTES_READ: usize = PAYLOAD_BYTES_MAX + (4 << 20);

/// Builds one group in memory.
#[derive(Debug)]
pub struct GroupBuilder {
    bytes: Vec<u8>,
    first: Position,
    count: u32,
}

impl GroupBuilder {
    /// An empty group whose first entry will stand at `first`, using `buffer` as its room.
    pub fn new(first: Position, mut buffer: Vec<u8>) -> Self {
        buffer.clear();
        buffer.resize(HEAD_BYTES, 0);
        GroupBuilder {
            bytes: buffer,
            first,
            count: 0,
        }
    }

    /// Position of the next entry.
    pub fn next(&self) -> Position {
        self.first.plus(u64::from(self.count))
    }

    /// Entries so far.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Bytes of payload so far.
    pub fn payload_bytes(&self) -> usize {
        self.bytes.len().saturating_sub(HEAD_BYTES)
    }

    /// Whether an entry of this size still fits.
    pub fn fits(&self, header_bytes: usize, body_bytes: usize) -> bool {
        self.count == 0 || self.bytes.len() + header_bytes + body_bytes + 8 <= PAYLOAD_BYTES_MAX
    }

    /// Adds an entry.
    pub fn push(&mut self, header: &[u8], body: &[u8]) {
        let len = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes();
        self.bytes.reserve(header.len() + body.len() + 8);
        self.bytes.extend_from_slice(&len(header));
        self.bytes.extend_from_slice(&len(body));
        self.bytes.extend_from_slice(header);
        self.bytes.extend_from_slice(body);
        self.count += 1;
    }

    /// Writes the head and returns the whole group.
    pub fn finish(mut self) -> Vec<u8> {
        let payload = self.bytes.len() - HEAD_BYTES;
        let mut head = Writer::with_capacity(HEAD_BYTES);
        head.raw(&MAGIC)
            .u32(u32::try_from(payload).unwrap_or(u32::MAX))
            .u64(self.first.0)
            .u32(self.count);
        let crc = crc32c::crc32c(head.as_bytes());
        let crc = crc32c::crc32c_append(crc, self.bytes.get(HEAD_BYTES..).unwrap_or(&[]));
        head.u32(crc);
        self.bytes
            .iter_mut()
            .zip(head.as_bytes())
            .for_each(|(to, from)| *to = *from);
        self.bytes
    }
}

/// The head of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Bytes of payload that follow.
    pub payload_bytes: usize,
    /// Position of the first entry.
    pub first: Position,
    /// Entries in it.
    pub count: u32,
    crc: u32,
    head_crc: u32,
}

/// What stands where a group might begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeadKind {
    /// Zeros: nothing was written here.
    End,
    /// A group.
    Group(Head),
    /// Neither.
    Damaged,
}

/// Reads the 24 bytes where a group might begin.
pub fn read_head(bytes: &[u8; HEAD_BYTES]) -> HeadKind {
    if bytes.iter().all(|byte| *byte == 0) {
        return HeadKind::End;
    }
    let mut reader = Reader::new(bytes, "group head");
    let mut read = || -> Result<Head, Malformed> {
        if reader.array::<4>()? != MAGIC {
            return Err(Malformed::Value("group magic"));
        }
        let payload_bytes = reader.u32()? as usize;
        let (first, count, crc) = (Position(reader.u64()?), reader.u32()?, reader.u32()?);
        let head_crc = crc32c::crc32c(bytes.get(..20).unwrap_or(&[]));
        if payload_bytes > PAYLOAD_BYTES_READ {
            return Err(Malformed::Value("group length"));
        }
        Ok(Head {
            payload_bytes,
            first,
            count,
            crc,
            head_crc,
        })
    };
    read().map_or(HeadKind::Damaged, HeadKind::Group)
}

impl Head {
    /// Whether `payload` is what was committed.
    pub fn matches(&self, payload: &[u8]) -> bool {
        payload.len() == self.payload_bytes && crc32c::crc32c_append(self.head_crc, payload) == self.crc
    }
}

/// An entry inside a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawEntry<'a> {
    /// Canonical header.
    pub header: &'a [u8],
    /// Body.
    pub body: &'a [u8],
}

/// Splits a payload into its entries.
///
/// # Errors
/// [`Malformed`] when it is not exactly `count` entries.
pub fn entries(payload: &[u8], count: u32) -> Result<Vec<RawEntry<'_>>, Malformed> {
    let mut reader = Reader::new(payload, "group payload");
    let mut all = Vec::new();
    for _ in 0..count {
        let (header_bytes, body_bytes) = (reader.u32()? as usize, reader.u32()? as usize);
        all.push(RawEntry {
            header: reader.raw(header_bytes)?,
            body: reader.raw(body_bytes)?,
        });
    }
    reader.end()?;
    Ok(all)
}

/// The leaf hash of an entry: over header and body, except for parts, whose header binds their items by a root.
pub fn entry_leaf(header: &[u8], body: &[u8]) -> crate::tree::Hash {
    const PART: Option<&u8> = Some(&2);
    if header.get(2) == PART {
        crate::tree::leaf_hash(&[header])
    } else {
        crate::tree::leaf_hash(&[header, body])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group() -> Vec<u8> {
        let mut builder = GroupBuilder::new(Position(7), Vec::new());
        builder.push(b"header one", b"body one");
        builder.push(b"header two", b"");
        builder.finish()
    }

    fn read(bytes: &[u8]) -> Option<Head> {
        let head = bytes.first_chunk::<HEAD_BYTES>()?;
        match read_head(head) {
            HeadKind::Group(head) if head.matches(&bytes[HEAD_BYTES..]) => Some(head),
            _ => None,
        }
    }

    #[test]
    fn a_group_reads_back_and_any_changed_or_missing_byte_is_noticed() {
        let bytes = group();
        let head = read(&bytes).unwrap();
        assert_eq!((head.first, head.count), (Position(7), 2));
        let all = entries(&bytes[HEAD_BYTES..], head.count).unwrap();
        assert_eq!(
            all[0],
            RawEntry {
                header: b"header one",
                body: b"body one"
            }
        );
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << bit;
                assert_eq!(read(&changed), None, "byte {at}");
            }
            assert_eq!(read(&bytes[..at]), None);
        }
    }

    #[test]
    fn zeros_are_the_end_and_not_damage() {
        assert_eq!(read_head(&[0; HEAD_BYTES]), HeadKind::End);
        assert_eq!(read_head(&[1; HEAD_BYTES]), HeadKind::Damaged);
    }
}
