//! Lines of a text of any size through a window of bounded size.
//!
//! Positions count bytes of the UTF-8 text from its beginning and stay good when the window moves. What the
//! parser still needs (the message being assembled) it *holds*; everything before may be forgotten.

use std::io::{self, Read};

use memchr::memchr;

/// A longer line is handed out in pieces, and a message's text is cut here. 1 MiB.
pub const LONGEST_TEXT: usize = 1 << 20;

/// How much is read at once.
const BLOCK: usize = 256 * 1024;

/// A line, or a piece of a very long one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// First byte.
    pub start: u64,
    /// Byte after the last, line end included.
    pub end: u64,
    /// It goes on from the piece before: no header can begin here.
    pub continues: bool,
    /// Its end has been reached.
    pub complete: bool,
}

/// The window.
pub struct Lines<'r> {
    source: &'r mut dyn Read,
    buffer: Vec<u8>,
    /// Position of the buffer's first byte in the text.
    base: u64,
    /// Filled bytes of the buffer.
    filled: usize,
    /// Bytes of the buffer already handed out as lines.
    done: usize,
    /// Offset in the buffer of the first byte still needed.
    held: Option<usize>,
    ended: bool,
    continues: bool,
}

impl<'r> Lines<'r> {
    /// Reads from here.
    pub fn new(source: &'r mut dyn Read) -> Self {
        Lines {
            source,
            buffer: vec![0; 2 * BLOCK],
            base: 0,
            filled: 0,
            done: 0,
            held: None,
            ended: false,
            continues: false,
        }
    }

    /// The next line.
    ///
    /// # Errors
    /// Those of the source.
    #[inline]
    pub fn next(&mut self) -> io::Result<Option<Line>> {
        let mut looked = 0;
        loop {
            let ahead = self.buffer.get(self.done..self.filled).unwrap_or_default();
            let fresh = ahead.get(looked..).unwrap_or_default();
            if let Some(at) = memchr(b'\n', fresh) {
                return Ok(Some(self.hand_out(looked + at + 1, true)));
            }
            looked = ahead.len();
            if looked >= LONGEST_TEXT {
                return Ok(Some(self.hand_out(looked, false)));
            }
            if self.ended {
                return Ok((looked > 0).then(|| self.hand_out(looked, true)));
            }
            self.refill()?;
        }
    }

    #[inline]
    fn hand_out(&mut self, len: usize, complete: bool) -> Line {
        let start = self.base + self.done as u64;
        self.done += len;
        let line = Line {
            start,
            end: start + len as u64,
            continues: self.continues,
            complete,
        };
        self.continues = !complete;
        line
    }

    /// Where the next line begins.
    pub fn position(&self) -> u64 {
        self.base + self.done as u64
    }

    /// Keeps everything from this position until [`Lines::release`] or the next hold.
    #[inline]
    pub fn hold(&mut self, position: u64) {
        self.held = usize::try_from(position.saturating_sub(self.base)).ok();
    }

    /// Nothing before the lines to come is needed any more.
    pub fn release(&mut self) {
        self.held = None;
    }

    /// Bytes between two positions, as far as they are still there.
    #[inline]
    pub fn slice(&self, start: u64, end: u64) -> &[u8] {
        let from = usize::try_from(start.saturating_sub(self.base)).unwrap_or(usize::MAX);
        let to = usize::try_from(end.saturating_sub(self.base)).unwrap_or(usize::MAX);
        self.buffer.get(from..to).unwrap_or_default()
    }

    /// Moves what is needed to the front and reads another block behind it.
    fn refill(&mut self) -> io::Result<()> {
        let keep = self.held.map_or(self.done, |held| held.min(self.done));
        self.buffer.copy_within(keep..self.filled, 0);
        self.base += keep as u64;
        self.filled -= keep;
        self.done -= keep;
        self.held = self.held.map(|held| held.saturating_sub(keep));
        if self.buffer.len() < self.filled + BLOCK {
            self.buffer.resize(self.filled + BLOCK, 0);
        }
        let room = self.buffer.get_mut(self.filled..).unwrap_or_default();
        match self.source.read(room) {
            Ok(0) => self.ended = true,
            Ok(read) => self.filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &[u8]) -> Vec<(u64, u64, bool, bool)> {
        let mut source = text;
        let mut lines = Lines::new(&mut source);
        let mut all = Vec::new();
        while let Some(line) = lines.next().expect("memory does not fail") {
            all.push((line.start, line.end, line.continues, line.complete));
        }
        all
    }

    #[test]
    fn a_last_line_without_line_end_is_a_line() {
        assert_eq!(
            cut(b"a\n\nbc"),
            [(0, 2, false, true), (2, 3, false, true), (3, 5, false, true)]
        );
        assert_eq!(cut(b""), []);
    }

    #[test]
    fn a_line_without_end_comes_in_bounded_pieces_that_tile() {
        let text = vec![b'x'; 5 * LONGEST_TEXT + 17];
        let pieces = cut(&text);
        let mut at = 0;
        for &(start, end, ..) in &pieces {
            assert_eq!(start, at);
            assert!((end - start) as usize <= LONGEST_TEXT + 2 * BLOCK);
            at = end;
        }
        assert_eq!(at as usize, text.len());
        assert!(pieces.iter().skip(1).all(|p| p.2), "all but the first go on");
    }

    #[test]
    fn what_is_held_survives_refilling() {
        let text = [b"first\n".as_slice(), &vec![b'y'; 2 * BLOCK], b"\nlast\n"].concat();
        let mut source = text.as_slice();
        let mut lines = Lines::new(&mut source);
        let first = lines.next().expect("readable").expect("a line");
        lines.hold(first.start);
        while lines.next().expect("readable").is_some() {}
        assert_eq!(lines.slice(first.start, first.end), b"first\n");
    }
}
