//! Frames of `evidence`, `consistency` and `succession`: what they look like, and reading them a block at a time.
//!
//! *Shape.* Type (1 byte), payload length (4, big-endian), payload. What is hashed stands in a payload exactly as it is
//! hashed, the leading zero byte of a leaf included, so that checking copies nothing.

use std::io::{Read, Seek, SeekFrom};

use model::bytes::{Malformed, Reader, Writer};

use super::UNIT_BYTES_MAX;
use super::container::{Placed, read_fully};
use super::error::{BundleError, Where, failed};
use crate::suite::Key;
use crate::tree::Hash;

pub(super) const BATCH: u8 = 1;
pub(super) const ENTRY: u8 = 2;
pub(super) const OMITTED: u8 = 3;
pub(super) const PART: u8 = 4;
pub(super) const ITEM: u8 = 5;
/// The only type there is in `consistency` and `succession`.
pub(super) const ALONE: u8 = 1;

/// Type and length.
pub(super) const HEAD_BYTES: usize = 5;

/// First four bytes of a leaf hash. They stand in a frame so that damage is told of the record it is in: a root
/// tells only of the batch. They prove nothing.
pub(super) type Locator = [u8; 4];

pub(super) fn locator(leaf: &Hash) -> Locator {
    let [a, b, c, d, ..] = *leaf;
    [a, b, c, d]
}

/// A frame as it stands in the buffer.
pub(super) struct Frame<'a> {
    pub(super) kind: u8,
    /// Offset in the member.
    pub(super) offset: u64,
    pub(super) payload: &'a [u8],
}

/// Begins a frame in `out`; [`end`] fills in the length.
pub(super) fn begin(out: &mut Vec<u8>, kind: u8) {
    out.clear();
    out.extend_from_slice(&[kind, 0, 0, 0, 0]);
}

/// Fills in the length; false when the frame is too long.
pub(super) fn end(out: &mut [u8]) -> bool {
    let payload = out.len().saturating_sub(HEAD_BYTES);
    let length = u32::try_from(payload).unwrap_or(u32::MAX).to_be_bytes();
    out.iter_mut()
        .skip(1)
        .zip(length)
        .for_each(|(to, from)| *to = from);
    payload <= UNIT_BYTES_MAX
}

/// A path of hashes: a count byte, then the hashes.
pub(super) fn write_path(out: &mut Writer, path: &[Hash]) {
    out.u8(u8::try_from(path.len()).unwrap_or(u8::MAX));
    path.iter().for_each(|hash| {
        out.raw(hash);
    });
}

pub(super) fn read_path(reader: &mut Reader<'_>) -> Result<Vec<Hash>, Malformed> {
    let count = reader.u8()?;
    (0..count).map(|_| reader.array()).collect()
}

/// What opens a shown leaf (an entry, a part's header or an item): its locator, and the key disclosed for it, if any.
pub(super) fn write_shown(out: &mut Vec<u8>, leaf: &Hash, key: Option<&Key>) {
    out.extend_from_slice(&locator(leaf));
    match key {
        None => out.push(0),
        Some(key) => {
            out.push(1);
            out.extend_from_slice(key.reveal());
        }
    }
}

pub(super) fn read_shown(reader: &mut Reader<'_>) -> Result<(Locator, Option<Key>), Malformed> {
    let locator = reader.array()?;
    let key = match reader.u8()? {
        0 => None,
        1 => Some(Key::from_bytes(reader.array()?)),
        _ => return Err(Malformed::Value("disclosure flag")),
    };
    Ok((locator, key))
}

/// The rest of a payload as a leaf's preimage, and what stands after its zero byte.
pub(super) fn read_preimage<'a>(reader: &Reader<'a>) -> Result<(&'a [u8], &'a [u8]), Malformed> {
    match reader.rest().split_first() {
        Some((0, hashed)) => Ok((reader.rest(), hashed)),
        _ => Err(Malformed::Value("leaf prefix")),
    }
}

/// Block in which a member is read: stays in the processor's cache between the checksum and the hash.
const BLOCK_BYTES: usize = 1 << 18;

/// Reads a member in blocks, with its CRC-32, and gives contiguous pieces of it.
pub(super) struct Blocks<'r, R> {
    input: &'r mut R,
    place: Placed,
    /// Bytes of the member not yet read from the input.
    left: u64,
    crc: crc32fast::Hasher,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl<'r, R: Read + Seek> Blocks<'r, R> {
    pub(super) fn new(input: &'r mut R, place: Placed) -> Result<Self, BundleError> {
        input.seek(SeekFrom::Start(place.content()))?;
        Ok(Blocks {
            input,
            place,
            left: place.bytes,
            crc: crc32fast::Hasher::new(),
            // A short member gets a short buffer.
            buffer: vec![
                0;
                usize::try_from(place.bytes)
                    .unwrap_or(BLOCK_BYTES)
                    .min(BLOCK_BYTES)
            ],
            start: 0,
            end: 0,
        })
    }

    fn held(&self) -> usize {
        self.end - self.start
    }

    /// Offset in the member of the next byte.
    pub(super) fn offset(&self) -> u64 {
        self.place.bytes - self.left - self.held() as u64
    }

    /// Whether everything was taken.
    pub(super) fn is_done(&self) -> bool {
        self.left == 0 && self.held() == 0
    }

    /// What stands in the buffer.
    pub(super) fn peek(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or(&[])
    }

    /// Takes the next bytes, which [`Blocks::fill`] made sure of.
    pub(super) fn take(&mut self, count: usize) -> &[u8] {
        let from = self.start;
        self.start = (from + count).min(self.end);
        self.buffer.get(from..self.start).unwrap_or(&[])
    }

    /// Makes at least `count` bytes contiguous, or all there are; says whether there are so many.
    pub(super) fn fill(&mut self, count: usize) -> Result<bool, BundleError> {
        while self.held() < count && self.left > 0 {
            self.read_block(count)?;
        }
        Ok(self.held() >= count)
    }

    fn read_block(&mut self, wanted: usize) -> Result<(), BundleError> {
        self.buffer.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        if self.buffer.len() < wanted.max(self.end + 1) {
            self.buffer
                .resize(wanted.max(self.end + 1).next_power_of_two(), 0);
        }
        let room = (self.buffer.len() - self.end) as u64;
        let count = usize::try_from(room.min(self.left)).unwrap_or(0);
        let target = self.buffer.get_mut(self.end..self.end + count).unwrap_or(&mut []);
        if read_fully(self.input, target)? < count {
            let offset = self.place.content() + self.place.bytes - self.left;
            return Err(failed(Where::Container { offset }, "the file became shorter"));
        }
        self.crc.update(target);
        self.left -= count as u64;
        self.end += count;
        Ok(())
    }

    /// The next frame, or none at the end.
    pub(super) fn frame(&mut self) -> Result<Option<Frame<'_>>, BundleError> {
        let offset = self.offset();
        let place = Where::Frame {
            member: self.place.member.name(),
            offset,
        };
        if !self.fill(HEAD_BYTES)? {
            return if self.is_done() {
                Ok(None)
            } else {
                Err(failed(place, "ends inside a frame"))
            };
        }
        let Some(&[kind, a, b, c, d]) = self.peek().first_chunk::<HEAD_BYTES>() else {
            return Err(failed(place, "ends inside a frame"));
        };
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        if length > UNIT_BYTES_MAX {
            return Err(failed(place, "a frame longer than any writer writes"));
        }
        if !self.fill(HEAD_BYTES + length)? {
            return Err(failed(place, "ends inside a frame"));
        }
        let payload = self.take(HEAD_BYTES + length).get(HEAD_BYTES..).unwrap_or(&[]);
        Ok(Some(Frame {
            kind,
            offset,
            payload,
        }))
    }

    /// The next line with its end, or none at the end.
    pub(super) fn line(&mut self) -> Result<Option<&[u8]>, BundleError> {
        let offset = self.offset();
        let place = Where::Frame {
            member: self.place.member.name(),
            offset,
        };
        let mut searched = 0;
        loop {
            let unseen = self.peek().get(searched..).unwrap_or(&[]);
            if let Some(at) = memchr::memchr(b'\n', unseen) {
                return Ok(Some(self.take(searched + at + 1)));
            }
            searched = self.held();
            if searched > UNIT_BYTES_MAX {
                return Err(failed(place, "a line longer than any writer writes"));
            }
            if !self.fill(searched + 1)? {
                return if searched == 0 {
                    Ok(None)
                } else {
                    Err(failed(place, "a line without an end"))
                };
            }
        }
    }

    /// All of a member that is short.
    pub(super) fn whole(&mut self) -> Result<&[u8], BundleError> {
        let member = self.place.member.name();
        if self.place.bytes > super::WHOLE_BYTES_MAX {
            return Err(failed(Where::Member(member), "longer than any writer writes"));
        }
        let bytes = usize::try_from(self.place.bytes).unwrap_or(0);
        self.fill(bytes)?;
        Ok(self.take(bytes))
    }

    /// The end was reached, and the CRC-32 is that of the header.
    pub(super) fn finish(self) -> Result<Placed, BundleError> {
        let place = Where::Member(self.place.member.name());
        if !self.is_done() {
            return Err(failed(place, "bytes after its end"));
        }
        if self.crc.finalize() != self.place.crc {
            return Err(failed(place, "its checksum (CRC-32) does not match"));
        }
        Ok(self.place)
    }
}
