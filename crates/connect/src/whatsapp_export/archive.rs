//! The zip directory, read by ourselves: members keep their place in the central directory even where two have the
//! same name, nothing is looked up by name, and memory is bounded before anything is believed.
//!
//! Only what phones write is read: stored and deflated members, one volume, zip64 sizes.

use std::io::{self, Read, Seek, SeekFrom};

use flate2::Crc;
use flate2::read::DeflateDecoder;

use crate::Input;

/// Members looked at. An export with media has a few thousand.
pub const MOST_MEMBERS: usize = 65_536;
/// A member declared larger than this is not inflated. 8 GiB.
pub const LARGEST_MEMBER: u64 = 8 << 30;
/// All members together. 64 GiB.
pub const LARGEST_TOTAL: u64 = 64 << 30;
/// Longest member name.
const LONGEST_NAME: usize = 512;
/// Deflate cannot pass 1032:1; text and media stay far below this.
const HIGHEST_RATIO: u64 = 200;
/// A high ratio is harmless in small members (a page of blanks).
const RATIO_MATTERS_FROM: u64 = 16 << 20;

/// Why a member is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Encrypted.
    Encrypted,
    /// An absolute path, `..`, a link, or an overlong name.
    UnsafeName,
    /// Too large, or blown up too far.
    TooLarge,
    /// Neither stored nor deflated.
    Method,
    /// Shares bytes with another member, or its local header says something else.
    Inconsistent,
}

/// One member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Name with its folders; empty where it was too long to keep.
    pub name: String,
    /// Place in the central directory, from 0.
    pub place: u32,
    /// Inflated size as declared.
    pub size: u64,
    /// Whether it must be left alone.
    pub refusal: Option<Refusal>,
    deflated: bool,
    crc: u32,
    packed: u64,
    header_at: u64,
    /// Length of the name as stored, and a checksum of it, to compare with the local header.
    name_len: u16,
    name_crc: u32,
}

impl Member {
    /// Name without folders.
    pub fn base_name(&self) -> &str {
        self.name.rsplit('/').next().unwrap_or_default()
    }

    /// What file systems and not people put there.
    pub fn is_noise(&self) -> bool {
        let base = self.base_name();
        self.name.split('/').any(|part| part == "__MACOSX")
            || base.starts_with("._")
            || base == ".DS_Store"
            || base == "Thumbs.db"
            || base.is_empty()
    }
}

/// The members of a zip.
#[derive(Debug, Default)]
pub struct Archive {
    /// In the order of the central directory.
    pub members: Vec<Member>,
    /// There were more than are looked at.
    pub more: bool,
    /// The directory breaks off or does not fit the file.
    pub damaged: bool,
}

impl Archive {
    /// Reads the central directory.
    ///
    /// # Errors
    /// Those of the input; a damaged directory gives what could be read, and says so.
    pub fn read(input: &mut dyn Input) -> io::Result<Self> {
        let Some(directory) = find_directory(input)? else {
            return Ok(Archive {
                damaged: true,
                ..Archive::default()
            });
        };
        let mut archive = Archive::default();
        input.seek(SeekFrom::Start(directory.start))?;
        let mut source = io::BufReader::with_capacity(64 * 1024, input.take(directory.len));
        let mut place = 0;
        loop {
            match read_member(&mut source, directory.shift, place) {
                Ok(Some(member)) if archive.members.len() < MOST_MEMBERS => archive.members.push(member),
                Ok(Some(_)) => {
                    archive.more = true;
                    break;
                }
                Ok(None) => break,
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    archive.damaged = true;
                    break;
                }
                Err(error) => return Err(error),
            }
            place += 1;
        }
        archive.damaged |= u64::from(place) < directory.count;
        archive.refuse_overlaps();
        Ok(archive)
    }

    /// Members that share bytes are how a small file is made to inflate without end.
    fn refuse_overlaps(&mut self) {
        let mut order: Vec<usize> = (0..self.members.len()).collect();
        order.sort_by_key(|&i| self.members.get(i).map_or(0, |m| m.header_at));
        let mut before: Option<(usize, u64)> = None;
        for at in order {
            let Some((begins, ends)) = self.members.get(at).map(|m| (m.header_at, m.ends_after())) else {
                continue;
            };
            if let Some((last, end)) = before
                && begins < end
            {
                for index in [last, at] {
                    if let Some(member) = self.members.get_mut(index) {
                        member.refusal = member.refusal.or(Some(Refusal::Inconsistent));
                    }
                }
            }
            if before.is_none_or(|(_, end)| ends > end) {
                before = Some((at, ends));
            }
        }
    }
}

impl Member {
    fn ends_after(&self) -> u64 {
        self.header_at
            .saturating_add(30)
            .saturating_add(u64::from(self.name_len))
            .saturating_add(self.packed)
    }

    /// Reads the member's inflated bytes. Damage ends the reading; it never is an error.
    ///
    /// # Errors
    /// Those of the input.
    pub fn open<R: Read + Seek>(&self, mut input: R) -> io::Result<MemberReader<R>> {
        let mut header = [0_u8; 30];
        input.seek(SeekFrom::Start(self.header_at))?;
        let whole = read_or_ends(&mut input, &mut header)?;
        let number = |at: usize| u16::from_le_bytes([byte(&header, at), byte(&header, at + 1)]);
        let mut name = vec![0; usize::from(number(26))];
        let fits = whole
            && header.starts_with(b"PK\x03\x04")
            && number(26) == self.name_len
            && read_or_ends(&mut input, &mut name)?
            && checksum(&name) == self.name_crc;
        input.seek(SeekFrom::Current(i64::from(number(28))))?;
        let packed = input.take(if fits { self.packed } else { 0 });
        let source = if self.deflated {
            Source::Deflated(DeflateDecoder::new(packed))
        } else {
            Source::Stored(packed)
        };
        Ok(MemberReader {
            source,
            left: self.size,
            crc: Crc::new(),
            expected: self.crc,
            damaged: !fits,
            ended: false,
        })
    }
}

enum Source<R> {
    Stored(io::Take<R>),
    Deflated(DeflateDecoder<io::Take<R>>),
}

/// Inflated bytes of one member, never more than declared.
pub struct MemberReader<R> {
    source: Source<R>,
    left: u64,
    crc: Crc,
    expected: u32,
    ended: bool,
    /// The bytes are not what the directory declares.
    pub damaged: bool,
}

impl<R: Read> Read for MemberReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.ended || out.is_empty() {
            return Ok(0);
        }
        let room = usize::try_from(self.left).unwrap_or(usize::MAX).min(out.len());
        if room == 0 {
            self.finish();
            return Ok(0);
        }
        let room = out.get_mut(..room).unwrap_or_default();
        let read = match &mut self.source {
            Source::Stored(source) => source.read(room),
            Source::Deflated(source) => source.read(room),
        };
        match read {
            Ok(0) => {
                self.finish();
                Ok(0)
            }
            Ok(count) => {
                self.left = self.left.saturating_sub(count as u64);
                self.crc.update(room.get(..count).unwrap_or_default());
                Ok(count)
            }
            // What the inflater says of damaged data.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof
                ) =>
            {
                self.finish();
                self.damaged = true;
                Ok(0)
            }
            Err(error) => Err(error),
        }
    }
}

impl<R> MemberReader<R> {
    fn finish(&mut self) {
        self.ended = true;
        self.damaged |= self.left > 0 || self.crc.sum() != self.expected;
    }
}

struct Directory {
    start: u64,
    len: u64,
    count: u64,
    /// Bytes in front of the zip, by which its offsets are off.
    shift: u64,
}

/// Finds the end record, and the zip64 one where there is one.
fn find_directory(input: &mut dyn Input) -> io::Result<Option<Directory>> {
    const LONGEST_TAIL: u64 = 22 + 65_535;
    let len = input.seek(SeekFrom::End(0))?;
    let from = len.saturating_sub(LONGEST_TAIL);
    input.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    input.take(LONGEST_TAIL).read_to_end(&mut tail)?;
    let Some(at) = memchr::memmem::rfind_iter(&tail, b"PK\x05\x06").find(|&at| {
        tail.get(at..)
            .is_some_and(|end| end.len() >= 22 && 22 + usize::from(u16_at(end, 20)) <= end.len())
    }) else {
        return Ok(None);
    };
    let end = tail.get(at..).unwrap_or_default();
    let end_at = from + at as u64;
    let (mut count, mut size, mut start) = (
        u64::from(u16_at(end, 10)),
        u64::from(u32_at(end, 12)),
        u64::from(u32_at(end, 16)),
    );
    let mut directory_ends = end_at;
    if count == 0xFFFF || size == 0xFFFF_FFFF || start == 0xFFFF_FFFF {
        let locator = at
            .checked_sub(20)
            .and_then(|at| tail.get(at..))
            .filter(|l| l.starts_with(b"PK\x06\x07"));
        if let Some(locator) = locator {
            let record_at = u64_at(locator, 8);
            let mut record = [0_u8; 56];
            input.seek(SeekFrom::Start(record_at))?;
            if read_or_ends(input, &mut record)? && record.starts_with(b"PK\x06\x06") {
                (count, size, start) = (u64_at(&record, 32), u64_at(&record, 40), u64_at(&record, 48));
                directory_ends = record_at;
            }
        }
    }
    let Some(really) = directory_ends.checked_sub(size).filter(|&really| really >= start) else {
        return Ok(None);
    };
    Ok(Some(Directory {
        start: really,
        len: size,
        count,
        shift: really - start,
    }))
}

/// One record of the central directory; `None` at its end.
fn read_member(source: &mut dyn Read, shift: u64, place: u32) -> io::Result<Option<Member>> {
    let mut fixed = [0_u8; 46];
    if !read_or_ends(source, &mut fixed)? || !fixed.starts_with(b"PK\x01\x02") {
        return Ok(None);
    }
    let (name_len, extra_len, comment_len) = (u16_at(&fixed, 28), u16_at(&fixed, 30), u16_at(&fixed, 32));
    let mut name = vec![0; usize::from(name_len)];
    let mut extra = vec![0; usize::from(extra_len)];
    source.read_exact(&mut name)?;
    source.read_exact(&mut extra)?;
    io::copy(&mut source.take(u64::from(comment_len)), &mut io::sink())?;
    let declared = [u32_at(&fixed, 24), u32_at(&fixed, 20), u32_at(&fixed, 42)];
    let [size, packed, header_at] = with_zip64(declared, &extra);
    let (flags, method, made_by) = (u16_at(&fixed, 8), u16_at(&fixed, 10), u16_at(&fixed, 4));
    let attributes = u32_at(&fixed, 38);
    let text = String::from_utf8_lossy(&name);
    // Unix attributes: 0o12 in the top bits is a symbolic link.
    let link = made_by >> 8 == 3 && attributes >> 28 == 0xA;
    let refusal = if flags & 1 != 0 || flags & 0x40 != 0 {
        Some(Refusal::Encrypted)
    } else if link || is_unsafe(&text) {
        Some(Refusal::UnsafeName)
    } else if method != 0 && method != 8 {
        Some(Refusal::Method)
    } else if size > LARGEST_MEMBER || (size > RATIO_MATTERS_FROM && size / packed.max(1) > HIGHEST_RATIO) {
        Some(Refusal::TooLarge)
    } else {
        None
    };
    Ok(Some(Member {
        name: if name.len() > LONGEST_NAME {
            String::new()
        } else {
            text.into_owned()
        },
        place,
        size,
        refusal,
        deflated: method == 8,
        crc: u32_at(&fixed, 16),
        packed,
        header_at: header_at.saturating_add(shift),
        name_len,
        name_crc: checksum(&name),
    }))
}

fn is_unsafe(name: &str) -> bool {
    let drive = name.as_bytes().get(1) == Some(&b':');
    name.len() > LONGEST_NAME
        || name.starts_with(['/', '\\'])
        || drive
        || name.contains('\0')
        || name.split(['/', '\\']).any(|part| part == "..")
}

/// Sizes and offset from the zip64 field, where the plain ones are filled with ones.
fn with_zip64(declared: [u32; 3], extra: &[u8]) -> [u64; 3] {
    let mut values = declared.map(u64::from);
    let mut rest = extra;
    while let Some(field) = rest.get(4..) {
        let (id, len) = (u16_at(rest, 0), usize::from(u16_at(rest, 2)));
        if id == 1 {
            let mut wide = field.get(..len).unwrap_or_default().chunks_exact(8);
            for (value, plain) in values.iter_mut().zip(declared) {
                if plain == u32::MAX
                    && let Some(eight) = wide.next()
                {
                    *value = u64_at(eight, 0);
                }
            }
        }
        rest = field.get(len..).unwrap_or_default();
    }
    values
}

/// Fills the buffer; `false` if the input ends before.
fn read_or_ends<R: Read + ?Sized>(source: &mut R, buffer: &mut [u8]) -> io::Result<bool> {
    match source.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

fn byte(bytes: &[u8], at: usize) -> u8 {
    bytes.get(at).copied().unwrap_or(0)
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([byte(bytes, at), byte(bytes, at + 1)])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
