//! Encodings: UTF-8 passes through; UTF-16 with a byte order mark becomes UTF-8 on the way, and lengths are turned
//! back so that spans always count the bytes of the capture.

use std::io::{self, Read};

/// How the text is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// With or without byte order mark.
    Utf8,
    /// Little endian, told by `FF FE`, or by the zeros beside the first two digits or brackets.
    Utf16Le,
    /// Big endian, told by `FE FF`, or by such zeros.
    Utf16Be,
}

impl Encoding {
    /// Told by the first bytes.
    pub fn of(first: &[u8]) -> Self {
        match *first {
            [0xFF, 0xFE, ..] => Encoding::Utf16Le,
            [0xFE, 0xFF, ..] => Encoding::Utf16Be,
            [a, 0, b, 0, ..] if a != 0 && b != 0 => Encoding::Utf16Le,
            [0, a, 0, b, ..] if a != 0 && b != 0 => Encoding::Utf16Be,
            _ => Encoding::Utf8,
        }
    }

    /// How many captured bytes stand behind these bytes of UTF-8.
    #[inline]
    pub fn captured_len(self, utf8: &[u8]) -> u64 {
        if self == Encoding::Utf8 {
            return utf8.len() as u64;
        }
        // A character takes one unit of two bytes, or two units where its UTF-8 form has four bytes.
        let units: usize = utf8
            .iter()
            .map(|&b| usize::from(b & 0xC0 != 0x80) + usize::from(b >= 0xF0))
            .sum();
        units as u64 * 2
    }
}

/// Whether lines end with a carriage return alone, as old editors on the Mac wrote them. In UTF-16 the two are told
/// apart by the same bytes; U+0A0A and the like are no letters that chats are full of.
pub fn ends_lines_with_returns(first: &[u8]) -> bool {
    memchr::memchr(b'\r', first).is_some() && memchr::memchr(b'\n', first).is_none()
}

/// Reads carriage returns as line feeds; every length stays.
pub struct ReturnsAsLineFeeds<R>(pub R);

impl<R: Read> Read for ReturnsAsLineFeeds<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read(out)?;
        for byte in out.get_mut(..read).unwrap_or_default() {
            if *byte == b'\r' {
                *byte = b'\n';
            }
        }
        Ok(read)
    }
}

/// Reads UTF-16 as UTF-8. A unit that belongs to no pair becomes U+FFFD: one unit, as the length rule needs.
pub struct Utf16AsUtf8<R> {
    source: R,
    big_endian: bool,
    raw: Vec<u8>,
    raw_filled: usize,
    ready: Vec<u8>,
    taken: usize,
    ended: bool,
}

impl<R: Read> Utf16AsUtf8<R> {
    /// Wraps a source that begins with a byte order mark (it is passed on as U+FEFF).
    pub fn new(source: R, encoding: Encoding) -> Self {
        Utf16AsUtf8 {
            source,
            big_endian: encoding == Encoding::Utf16Be,
            raw: vec![0; 64 * 1024],
            raw_filled: 0,
            ready: Vec::new(),
            taken: 0,
            ended: false,
        }
    }

    fn unit(&self, pair: &[u8]) -> u16 {
        match *pair {
            [a, b] if self.big_endian => u16::from_be_bytes([a, b]),
            [a, b] => u16::from_le_bytes([a, b]),
            _ => 0xFFFD,
        }
    }

    fn fill(&mut self) -> io::Result<()> {
        let room = self.raw.get_mut(self.raw_filled..).unwrap_or_default();
        let read = self.source.read(room)?;
        self.ended = read == 0;
        self.raw_filled += read;
        let raw = self.raw.get(..self.raw_filled).unwrap_or_default();
        let mut whole = raw.len() - raw.len() % 2;
        let last = raw.get(whole.saturating_sub(2)..whole).unwrap_or_default();
        // A first half of a pair waits for the second.
        if !self.ended && whole > 0 && (0xD800..0xDC00).contains(&self.unit(last)) {
            whole -= 2;
        }
        let units = raw
            .get(..whole)
            .unwrap_or_default()
            .chunks_exact(2)
            .map(|pair| self.unit(pair));
        let text: String = char::decode_utf16(units)
            .map(|c| c.unwrap_or('\u{FFFD}'))
            .collect();
        self.ready = text.into_bytes();
        self.taken = 0;
        self.raw.copy_within(whole..self.raw_filled, 0);
        self.raw_filled -= whole;
        Ok(())
    }
}

impl<R: Read> Read for Utf16AsUtf8<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.taken >= self.ready.len() {
            if self.ended {
                return Ok(0);
            }
            self.fill()?;
        }
        let ready = self.ready.get(self.taken..).unwrap_or_default();
        let count = ready.len().min(out.len());
        if let (Some(to), Some(from)) = (out.get_mut(..count), ready.get(..count)) {
            to.copy_from_slice(from);
        }
        self.taken += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(bytes: &[u8], encoding: Encoding) -> String {
        let mut text = String::new();
        Utf16AsUtf8::new(bytes, encoding)
            .read_to_string(&mut text)
            .expect("UTF-8 comes out");
        text
    }

    #[test]
    fn both_byte_orders_give_the_same_text_and_its_length_in_the_file() {
        let text = "\u{FEFF}31/01 😀 é\n";
        let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        assert_eq!(decoded(&little, Encoding::of(&little)), text);
        assert_eq!(decoded(&big, Encoding::of(&big)), text);
        assert_eq!(
            Encoding::Utf16Le.captured_len(text.as_bytes()),
            little.len() as u64
        );
    }

    #[test]
    fn half_a_pair_becomes_one_replacement_character() {
        assert_eq!(
            decoded(&[0xFF, 0xFE, 0x3D, 0xD8, b'x', 0], Encoding::Utf16Le),
            "\u{FEFF}\u{FFFD}x"
        );
        assert_eq!(
            decoded(&[0xFF, 0xFE, 0x3D, 0xD8], Encoding::Utf16Le),
            "\u{FEFF}\u{FFFD}"
        );
    }
}
