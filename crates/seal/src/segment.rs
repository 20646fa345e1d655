//! Segments: files of commit groups, immutable once sealed.
//!
//! *Shape.* A head: `CHSEGMT1`, length (4 bytes), canonical fields, CRC-32C (4). Then groups. A segment being written
//! is preallocated with zeros. A sealed one ends with a footer: `CHFOOTR1`, length (4), canonical fields, CRC-32C (4),
//! then the footer's offset (8) and `CHSEALED`.

use model::bytes::{Malformed, Reader, Writer};
use model::entry::FORMAT;
use model::{Position, Timestamp, ZoneId};

const HEAD_MAGIC: [u8; 8] = *b"CHSEGMT1";
const FOOT_MAGIC: [u8; 8] = *b"CHFOOTR1";
const SEALED_MAGIC: [u8; 8] = *b"CHSEALED";

/// Bytes after the footer proper.
pub const TRAILER_BYTES: usize = 16;

/// The head of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentHead {
    /// Whose.
    pub zone: ZoneId,
    /// Its number, from 0.
    pub number: u64,
    /// Position of its first entry.
    pub first: Position,
    /// When it was begun.
    pub created_at: Timestamp,
}

/// One group of a sealed segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupPlace {
    /// Where it begins in the file.
    pub offset: u64,
    /// Position of its first entry.
    pub first: Position,
}

/// The footer of a sealed segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentFoot {
    /// Entries in the segment.
    pub count: u64,
    /// SHA-256 of all bytes before the footer.
    pub sha256: [u8; 32],
    /// Its groups, in order.
    pub groups: Vec<GroupPlace>,
}

fn framed(magic: [u8; 8], fields: &[u8]) -> Vec<u8> {
    let mut out = Writer::with_capacity(fields.len() + 16);
    out.raw(&magic).blob(fields);
    let crc = crc32c::crc32c(out.as_bytes());
    out.u32(crc);
    out.into_bytes()
}

/// Splits `magic, length, fields, CRC` off the head of `bytes`: the fields, and how long the frame is.
fn unframed<'a>(bytes: &'a [u8], magic: [u8; 8], what: &'static str) -> Result<(&'a [u8], usize), Malformed> {
    let mut reader = Reader::new(bytes, what);
    if reader.array::<8>()? != magic {
        return Err(Malformed::Value(what));
    }
    let fields = reader.blob()?;
    let covered = bytes.len() - reader.rest().len();
    let crc = reader.u32()?;
    if crc32c::crc32c(bytes.get(..covered).unwrap_or(&[])) != crc {
        return Err(Malformed::Value(what));
    }
    Ok((fields, covered + 4))
}

impl SegmentHead {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut fields = Writer::new();
        fields
            .u16(FORMAT)
            .name(self.zone.as_str())
            .u64(self.number)
            .u64(self.first.0);
        fields.i64(self.created_at.as_micros());
        framed(HEAD_MAGIC, fields.as_bytes())
    }

    /// Reads it from the first bytes of a file; also says how long it is.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<(SegmentHead, usize), Malformed> {
        let (fields, len) = unframed(bytes, HEAD_MAGIC, "segment head")?;
        let mut reader = Reader::new(fields, "segment head");
        let format = reader.u16()?;
        if format != FORMAT {
            return Err(Malformed::Format(format));
        }
        let head = SegmentHead {
            zone: reader.name()?.parse().map_err(|_| Malformed::Value("zone"))?,
            number: reader.u64()?,
            first: Position(reader.u64()?),
            created_at: Timestamp::from_micros(reader.i64()?),
        };
        reader.end()?;
        Ok((head, len))
    }
}

/// Longest possible head, for reading enough of a file.
pub const HEAD_BYTES_MAX: usize = 128;

impl SegmentFoot {
    /// Its bytes, trailer included, for a footer that begins at `offset`.
    pub fn encode(&self, offset: u64) -> Vec<u8> {
        let mut fields = Writer::new();
        fields.u64(self.count).raw(&self.sha256);
        fields.u32(u32::try_from(self.groups.len()).unwrap_or(u32::MAX));
        for group in &self.groups {
            fields.u64(group.offset).u64(group.first.0);
        }
        let mut out = framed(FOOT_MAGIC, fields.as_bytes());
        out.extend_from_slice(&offset.to_be_bytes());
        out.extend_from_slice(&SEALED_MAGIC);
        out
    }

    /// Where the footer begins, from the last [`TRAILER_BYTES`] of a file; none when the segment is not sealed.
    pub fn offset(trailer: &[u8; TRAILER_BYTES]) -> Option<u64> {
        let (offset, magic) = trailer.split_first_chunk::<8>()?;
        (magic == SEALED_MAGIC).then(|| u64::from_be_bytes(*offset))
    }

    /// Reads a footer with its trailer: `bytes` is the file from the footer's offset to its end.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn decode(bytes: &[u8], offset: u64) -> Result<SegmentFoot, Malformed> {
        let (fields, _) = unframed(bytes, FOOT_MAGIC, "segment footer")?;
        let mut reader = Reader::new(fields, "segment footer");
        let (count, sha256, groups) = (reader.u64()?, reader.array()?, reader.u32()?);
        let groups = (0..groups)
            .map(|_| {
                Ok(GroupPlace {
                    offset: reader.u64()?,
                    first: Position(reader.u64()?),
                })
            })
            .collect::<Result<Vec<_>, Malformed>>()?;
        reader.end()?;
        let foot = SegmentFoot {
            count,
            sha256,
            groups,
        };
        if foot.encode(offset) == bytes {
            Ok(foot)
        } else {
            Err(Malformed::Trailing("segment footer"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_and_foot_read_back_and_any_changed_byte_is_noticed() {
        let head = SegmentHead {
            zone: "us".parse().unwrap(),
            number: 3,
            first: Position(900),
            created_at: Timestamp::from_seconds(1_700_000_000),
        };
        let bytes = head.encode();
        assert!(bytes.len() <= HEAD_BYTES_MAX);
        assert_eq!(SegmentHead::decode(&bytes), Ok((head, bytes.len())));
        let groups = vec![GroupPlace {
            offset: 60,
            first: Position(900),
        }];
        let foot = SegmentFoot {
            count: 5,
            sha256: [7; 32],
            groups,
        };
        let foot_bytes = foot.encode(4096);
        assert_eq!(SegmentFoot::decode(&foot_bytes, 4096), Ok(foot));
        assert_eq!(SegmentFoot::offset(foot_bytes.last_chunk().unwrap()), Some(4096));
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(SegmentHead::decode(&changed).is_err(), "head byte {at}");
        }
        for at in 0..foot_bytes.len() {
            let mut changed = foot_bytes.clone();
            changed[at] ^= 1;
            assert!(SegmentFoot::decode(&changed, 4096).is_err(), "foot byte {at}");
        }
    }
}
