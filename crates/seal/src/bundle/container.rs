//! The zip that a bundle is: one form, written by [`Archive`] and compared byte for byte by [`layout`].
//!
//! Source of the structures: PKWARE APPNOTE.TXT 6.3, sections 4.3.7, 4.3.12, 4.3.14 to 4.3.16 and 4.5.3.

use std::io::{BufWriter, Read, Seek, SeekFrom, Write};

use super::error::{BundleError, Where, failed};
use super::{Member, README};
use crate::suite::Hasher;

const LOCAL: u32 = 0x0403_4b50;
const CENTRAL: u32 = 0x0201_4b50;
const END: u32 = 0x0605_4b50;
const END_64: u32 = 0x0606_4b50;
const LOCATOR_64: u32 = 0x0706_4b50;
/// In a field of 32 bits: the value stands in the zip64 field.
const ELSEWHERE: u32 = u32::MAX;
/// 1 January 1980, the earliest day the format can say: a bundle's bytes do not depend on a clock.
const DATE: u16 = 0x0021;
const PLAIN: u16 = 20;
const ZIP64: u16 = 45;

/// A member, where it stands, and what it holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placed {
    pub(super) member: Member,
    /// Of its local header.
    pub(super) offset: u64,
    pub(super) bytes: u64,
    pub(super) crc: u32,
}

impl Placed {
    /// Where its content begins.
    pub(super) fn content(&self) -> u64 {
        self.offset + header_bytes(self.member) as u64
    }

    fn end(&self) -> u64 {
        self.content().saturating_add(self.bytes)
    }
}

/// Little-endian fields, as zip has them.
#[derive(Default)]
struct Fields(Vec<u8>);

impl Fields {
    fn u16(&mut self, value: u16) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    fn u32(&mut self, value: u32) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    fn u64(&mut self, value: u64) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// Signature-free middle that local and central headers share.
    fn times_and_crc(&mut self, version: u16, crc: u32) -> &mut Self {
        // Flags, method "stored", time, date.
        self.u16(version).u16(0).u16(0).u16(0).u16(DATE).u32(crc)
    }
}

fn narrow(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(ELSEWHERE)
}

fn name_bytes(member: Member) -> u16 {
    u16::try_from(member.name().len()).unwrap_or(0)
}

fn header_bytes(member: Member) -> usize {
    30 + member.name().len() + if member.large() { 20 } else { 0 }
}

fn local_header(placed: &Placed) -> Vec<u8> {
    let mut out = Fields::default();
    let large = placed.member.large();
    out.u32(LOCAL)
        .times_and_crc(if large { ZIP64 } else { PLAIN }, placed.crc);
    let size = if large { ELSEWHERE } else { narrow(placed.bytes) };
    out.u32(size).u32(size).u16(name_bytes(placed.member));
    out.u16(if large { 20 } else { 0 });
    out.0.extend_from_slice(placed.member.name().as_bytes());
    if large {
        out.u16(1).u16(16).u64(placed.bytes).u64(placed.bytes);
    }
    out.0
}

fn central_header(placed: &Placed) -> Vec<u8> {
    let (size, offset) = (narrow(placed.bytes), narrow(placed.offset));
    let mut extra = Fields::default();
    if size == ELSEWHERE {
        extra.u64(placed.bytes).u64(placed.bytes);
    }
    if offset == ELSEWHERE {
        extra.u64(placed.offset);
    }
    let extra_bytes = u16::try_from(extra.0.len()).unwrap_or(0);
    let version = if placed.member.large() || extra_bytes > 0 {
        ZIP64
    } else {
        PLAIN
    };
    let mut out = Fields::default();
    out.u32(CENTRAL).u16(ZIP64).times_and_crc(version, placed.crc);
    out.u32(size).u32(size).u16(name_bytes(placed.member));
    out.u16(if extra_bytes > 0 { extra_bytes + 4 } else { 0 });
    // Comment, disk, attributes inside and outside: none.
    out.u16(0).u16(0).u16(0).u32(0).u32(offset);
    out.0.extend_from_slice(placed.member.name().as_bytes());
    if extra_bytes > 0 {
        out.u16(1).u16(extra_bytes);
        out.0.extend_from_slice(&extra.0);
    }
    out.0
}

/// Everything after the last member's content.
fn tail(members: &[Placed]) -> Vec<u8> {
    let offset = members.last().map_or(0, Placed::end);
    let mut out = Fields::default();
    members
        .iter()
        .for_each(|placed| out.0.extend(central_header(placed)));
    let (bytes, count) = (out.0.len() as u64, members.len() as u64);
    if narrow(offset) == ELSEWHERE {
        let at = offset + bytes;
        out.u32(END_64).u64(44).u16(ZIP64).u16(ZIP64).u32(0).u32(0);
        out.u64(count).u64(count).u64(bytes).u64(offset);
        out.u32(LOCATOR_64).u32(0).u64(at).u32(1);
    }
    let count = u16::try_from(count).unwrap_or(u16::MAX);
    out.u32(END).u16(0).u16(0).u16(count).u16(count);
    out.u32(narrow(bytes)).u32(narrow(offset)).u16(0);
    out.0
}

/// Finds the members, and that nothing stands in the file but them and one form of structure.
pub(super) fn layout(input: &mut (impl Read + Seek)) -> Result<Vec<Placed>, BundleError> {
    let file_bytes = input.seek(SeekFrom::End(0))?;
    input.seek(SeekFrom::Start(0))?;
    let mut members = Vec::with_capacity(Member::ALL.len());
    let mut at = 0;
    for member in Member::ALL {
        let mut header = vec![0; header_bytes(member)];
        let read = read_fully(input, &mut header)?;
        let header = header.get(..read).unwrap_or(&[]);
        if member == Member::Readme && !resembles_a_bundle(header) {
            return Err(BundleError::NotABundle);
        }
        let placed = Placed {
            member,
            offset: at,
            bytes: stated_bytes(member, header),
            crc: little_u32(header, 14),
        };
        compare(at, header, &local_header(&placed))?;
        at = placed.end();
        if at > file_bytes {
            let place = Where::Container { offset: file_bytes };
            return Err(failed(place, "the file ends inside a member"));
        }
        input.seek(SeekFrom::Start(at))?;
        members.push(placed);
    }
    let expected = tail(&members);
    let mut rest = Vec::new();
    input.take(expected.len() as u64 + 1).read_to_end(&mut rest)?;
    compare(at, &rest, &expected)?;
    Ok(members)
}

fn stated_bytes(member: Member, header: &[u8]) -> u64 {
    if member.large() {
        let from = header.len().saturating_sub(8);
        let field = header.get(from..).and_then(|field| field.first_chunk::<8>());
        field.map_or(0, |field| u64::from_le_bytes(*field))
    } else {
        u64::from(little_u32(header, 18))
    }
}

fn little_u32(bytes: &[u8], at: usize) -> u32 {
    let field = bytes.get(at..).and_then(|field| field.first_chunk::<4>());
    field.map_or(0, |field| u32::from_le_bytes(*field))
}

/// Whether a file's first bytes are those of a bundle, give or take a few: a damaged bundle is to be called damaged,
/// and any other file (another zip too) not a bundle. The first header is the same in every bundle.
fn resembles_a_bundle(found: &[u8]) -> bool {
    let expected = local_header(&Placed {
        member: Member::Readme,
        offset: 0,
        bytes: README.len() as u64,
        crc: crc32fast::hash(README.as_bytes()),
    });
    let equal = expected.iter().zip(found).filter(|(a, b)| a == b).count();
    equal >= 4 && found.len() - equal <= 8
}

fn compare(at: u64, found: &[u8], expected: &[u8]) -> Result<(), BundleError> {
    if found == expected {
        return Ok(());
    }
    let differs = found.iter().zip(expected).position(|(a, b)| a != b);
    let offset = at + differs.unwrap_or(found.len().min(expected.len())) as u64;
    let what = match differs {
        Some(_) => "not as a bundle is written",
        None if found.len() < expected.len() => "the file ends here, too early",
        None => "bytes follow the end of the bundle",
    };
    Err(failed(Where::Container { offset }, what))
}

/// Fills `out` as far as the input goes.
pub(super) fn read_fully(input: &mut impl Read, out: &mut [u8]) -> Result<usize, std::io::Error> {
    let mut filled = 0;
    while let Some(rest) = out.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match input.read(rest) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// What a member turned out to hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Written {
    pub(super) bytes: u64,
    pub(super) sha256: [u8; 32],
    pub(super) crc: u32,
}

/// Writes the members one after the other.
pub(super) struct Archive<W: Write + Seek> {
    sink: BufWriter<W>,
    at: u64,
    members: Vec<Placed>,
    crc: crc32fast::Hasher,
    sha256: Option<Hasher>,
}

impl<W: Write + Seek> Archive<W> {
    /// Into an empty sink.
    pub(super) fn new(sink: W) -> Self {
        Archive {
            sink: BufWriter::with_capacity(1 << 18, sink),
            at: 0,
            members: Vec::new(),
            crc: crc32fast::Hasher::new(),
            sha256: None,
        }
    }

    /// Begins a member. Room is left for its header. `evidence` is not hashed: its leaf hashes are.
    pub(super) fn begin(&mut self, member: Member) -> std::io::Result<()> {
        let room = header_bytes(member);
        self.sink.write_all(&vec![0; room])?;
        self.members.push(Placed {
            member,
            offset: self.at,
            bytes: 0,
            crc: 0,
        });
        self.at += room as u64;
        self.crc = crc32fast::Hasher::new();
        self.sha256 = (member != Member::Evidence).then(Hasher::new);
        Ok(())
    }

    /// Content of the member.
    pub(super) fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.sink.write_all(bytes)?;
        self.crc.update(bytes);
        if let Some(sha256) = &mut self.sha256 {
            sha256.update(bytes);
        }
        if let Some(placed) = self.members.last_mut() {
            placed.bytes += bytes.len() as u64;
        }
        self.at += bytes.len() as u64;
        Ok(())
    }

    /// Ends the member: its header is put where room was left.
    pub(super) fn end(&mut self) -> std::io::Result<Written> {
        let crc = std::mem::take(&mut self.crc).finalize();
        let sha256 = self.sha256.take().map_or([0; 32], Hasher::finish);
        let Some(placed) = self.members.last_mut() else {
            return Err(std::io::Error::other("no member was begun"));
        };
        placed.crc = crc;
        if !placed.member.large() && narrow(placed.bytes) == ELSEWHERE {
            return Err(std::io::Error::other("a member is over 4 GiB"));
        }
        let (header, offset, bytes) = (local_header(placed), placed.offset, placed.bytes);
        self.sink.seek(SeekFrom::Start(offset))?;
        self.sink.write_all(&header)?;
        self.sink.seek(SeekFrom::Start(self.at))?;
        Ok(Written { bytes, sha256, crc })
    }

    /// Writes a whole member.
    pub(super) fn whole(&mut self, member: Member, bytes: &[u8]) -> std::io::Result<Written> {
        self.begin(member)?;
        self.write(bytes)?;
        self.end()
    }

    /// Ends the file and gives the sink back, flushed.
    pub(super) fn finish(mut self) -> std::io::Result<W> {
        let tail = tail(&self.members);
        self.sink.write_all(&tail)?;
        self.sink.flush()?;
        self.sink.into_inner().map_err(|error| error.into_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn placed(offset: u64, bytes: u64) -> Placed {
        Placed {
            member: Member::Evidence,
            offset,
            bytes,
            crc: 7,
        }
    }

    #[test]
    fn sizes_and_offsets_past_four_gibibytes_stand_in_zip64_fields_only_where_needed() {
        assert_eq!(central_header(&placed(9, 9)).len(), 46 + 8);
        assert_eq!(central_header(&placed(9, 1 << 33)).len(), 46 + 8 + 4 + 16);
        assert_eq!(central_header(&placed(1 << 33, 9)).len(), 46 + 8 + 4 + 8);
        assert_eq!(tail(&[placed(0, 9)]).len(), 54 + 22);
        assert_eq!(tail(&[placed(0, 1 << 33)]).len(), 54 + 20 + 56 + 20 + 22);
        assert_eq!(
            stated_bytes(Member::Evidence, &local_header(&placed(0, 1 << 33))),
            1 << 33
        );
    }

    #[test]
    fn what_is_written_is_found_and_an_ordinary_zip_is_not_a_bundle() {
        let mut archive = Archive::new(Cursor::new(Vec::new()));
        for member in Member::ALL {
            let content = if member == Member::Readme { README } else { "some" };
            archive.whole(member, content.as_bytes()).unwrap();
        }
        let mut file = archive.finish().unwrap();
        let members = layout(&mut file).unwrap();
        assert!(members.iter().zip(Member::ALL).all(|(a, b)| a.member == b));
        let mut other = Archive::new(Cursor::new(Vec::new()));
        other.whole(Member::Evidence, b"some").unwrap();
        assert!(matches!(
            layout(&mut other.finish().unwrap()),
            Err(BundleError::NotABundle)
        ));
        assert!(matches!(
            layout(&mut Cursor::new(b"hello")),
            Err(BundleError::NotABundle)
        ));
        assert!(matches!(
            layout(&mut Cursor::new(b"")),
            Err(BundleError::NotABundle)
        ));
    }
}
