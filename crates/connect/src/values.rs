//! JSON values one at a time out of a stream: one value, a list of them, or one after another, laid out in any way.
//!
//! Only the structure is looked at: where a value begins and where it ends. A value that is broken costs itself, not
//! those after it: reading goes on at the next line that could begin one.

use std::io::{self, SeekFrom};

use zeroize::Zeroizing;

use crate::Input;
use crate::json::make_utf8;

/// Read at once.
const CHUNK_BYTES: usize = 64 << 10;

/// Levels of one value that are followed; far more than anything reads.
const MAX_DEPTH: usize = 1 << 20;

const BOM: [u8; 3] = [0xEF, 0xBB, 0xBF];

/// What was found next, and where it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// A value, as far as its structure goes: see [`Values::text`].
    Value(u64),
    /// A value longer than may be held; it was passed over.
    TooLong(u64),
    /// The bytes are no JSON here.
    Broken(u64),
}

/// The values of a stream, in order. The elements of a list that is not itself inside anything are values of their own.
pub(super) struct Values<'r> {
    input: &'r mut dyn Input,
    chunk: Zeroizing<Vec<u8>>,
    /// What of the chunk was not looked at yet.
    at: usize,
    end: usize,
    /// Where `at` is in the stream.
    offset: u64,
    /// Blanks since the last line end, while there was nothing else.
    blanks: Option<u64>,
    /// Inside a list that is not itself inside anything.
    list: bool,
    value: Zeroizing<Vec<u8>>,
    value_bytes_max: usize,
}

impl<'r> Values<'r> {
    /// From the beginning of `input`; no value of more than `value_bytes_max` is held.
    pub(super) fn new(input: &'r mut dyn Input, value_bytes_max: usize) -> io::Result<Self> {
        // All room at once: a vector that grows leaves copies behind that nobody wipes.
        let size = usize::try_from(input.seek(SeekFrom::End(0))?).unwrap_or(usize::MAX);
        input.seek(SeekFrom::Start(0))?;
        let mut values = Values {
            input,
            chunk: Zeroizing::new(vec![0; CHUNK_BYTES]),
            at: 0,
            end: 0,
            offset: 0,
            blanks: Some(0),
            list: false,
            value: Zeroizing::new(Vec::with_capacity(size.min(value_bytes_max))),
            value_bytes_max,
        };
        values.pass_bom()?;
        Ok(values)
    }

    /// The value found last as text, and where a byte of it was not UTF-8: `?` stands for each such byte.
    pub(super) fn text(&mut self) -> (&str, Option<usize>) {
        let odd = make_utf8(&mut self.value);
        (std::str::from_utf8(&self.value).unwrap_or_default(), odd)
    }

    /// What comes next; nothing at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Found>> {
        loop {
            let Some(byte) = self.peek()? else {
                let open = std::mem::take(&mut self.list);
                return Ok(open.then_some(Found::Broken(self.offset)));
            };
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' => self.pass(byte),
                b',' if self.list => self.pass(byte),
                b']' if self.list => {
                    self.list = false;
                    self.pass(byte);
                }
                b'[' if !self.list => {
                    self.list = true;
                    self.pass(byte);
                }
                b',' | b']' => {
                    let at = self.offset;
                    self.pass(byte);
                    return Ok(Some(Found::Broken(at)));
                }
                _ => return self.take().map(Some),
            }
        }
    }

    /// The value that begins here.
    fn take(&mut self) -> io::Result<Found> {
        let (start, indent) = (self.offset, self.blanks.unwrap_or(0));
        self.value.clear();
        let mut structure = Structure::default();
        let mut whole = true;
        loop {
            let Some(byte) = self.peek()? else {
                if structure.may_end() {
                    return Ok(if whole {
                        Found::Value(start)
                    } else {
                        Found::TooLong(start)
                    });
                }
                self.list = false;
                return Ok(Found::Broken(self.offset));
            };
            let run = if structure.in_text() { self.plain_run() } else { 0 };
            if run > 0 {
                whole &= self.keep(run);
                self.blanks = None;
                continue;
            }
            match structure.step(byte) {
                Step::Wrong => {
                    let at = self.offset;
                    self.next_start(indent)?;
                    return Ok(Found::Broken(at));
                }
                Step::Before => break,
                step => {
                    whole &= self.keep(1);
                    self.note_line(byte);
                    if matches!(step, Step::Last) {
                        break;
                    }
                }
            }
        }
        Ok(if whole {
            Found::Value(start)
        } else {
            Found::TooLong(start)
        })
    }

    /// How many of the bytes read belong to a text and neither end it nor escape anything.
    fn plain_run(&self) -> usize {
        let rest = self.chunk.get(self.at..self.end).unwrap_or_default();
        memchr::memchr3(b'"', b'\\', b'\n', rest).unwrap_or(rest.len())
    }

    /// Moves bytes from the chunk to the value; false when it is longer than may be.
    fn keep(&mut self, count: usize) -> bool {
        let run = self.chunk.get(self.at..self.at + count).unwrap_or_default();
        let fits = self.value.len() + run.len() <= self.value_bytes_max;
        if fits {
            self.value.extend_from_slice(run);
        } else {
            self.value.clear();
        }
        self.at += count;
        self.offset += u64::try_from(count).unwrap_or(0);
        fits
    }

    /// Goes to the next place that could begin a value: on a line of its own, no further in than the broken one.
    fn next_start(&mut self, indent: u64) -> io::Result<()> {
        while let Some(byte) = self.peek()? {
            let at_start = self.blanks.is_some_and(|blanks| blanks <= indent);
            if at_start && matches!(byte, b'{' | b'[') {
                return Ok(());
            }
            self.pass(byte);
        }
        self.list = false;
        Ok(())
    }

    fn peek(&mut self) -> io::Result<Option<u8>> {
        if self.at == self.end {
            self.at = 0;
            self.end = loop {
                match self.input.read(&mut self.chunk) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    read => break read?,
                }
            };
        }
        Ok(self.chunk.get(self.at..self.end).and_then(<[u8]>::first).copied())
    }

    fn pass(&mut self, byte: u8) {
        self.at += 1;
        self.offset += 1;
        self.note_line(byte);
    }

    fn note_line(&mut self, byte: u8) {
        self.blanks = match (byte, self.blanks) {
            (b'\n', _) => Some(0),
            (b' ' | b'\t', Some(blanks)) => Some(blanks + 1),
            _ => None,
        };
    }

    fn pass_bom(&mut self) -> io::Result<()> {
        let mut start = [0; BOM.len()];
        let read = self.input.read_exact(&mut start);
        let marked = read.is_ok() && start == BOM;
        let from = if marked { BOM.len() } else { 0 };
        self.offset = u64::try_from(from).unwrap_or(0);
        self.input.seek(SeekFrom::Start(self.offset)).map(|_| ())
    }
}

/// What a byte means for the value that is being read.
enum Step {
    /// It belongs to the value.
    In,
    /// It is the value's last.
    Last,
    /// The value ended before it.
    Before,
    /// No JSON has it here.
    Wrong,
}

/// What may come next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expect {
    Value,
    /// A value, or the end of a list that is empty so far.
    First,
    /// A key, or the end of an object that is empty so far.
    FirstKey,
    Key,
    Colon,
    /// A comma, or the end of what is open.
    Next,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    Nothing,
    Text {
        key: bool,
        escaped: bool,
    },
    /// A number, `true`, `false` or `null`.
    Bare,
}

/// Where in a value we are. Whether numbers and escapes are right is not looked at.
struct Structure {
    open: Vec<u8>,
    expect: Expect,
    inside: Inside,
}

impl Default for Structure {
    fn default() -> Self {
        Structure {
            open: Vec::new(),
            expect: Expect::Value,
            inside: Inside::Nothing,
        }
    }
}

impl Structure {
    fn in_text(&self) -> bool {
        matches!(self.inside, Inside::Text { escaped: false, .. })
    }

    /// Whether the value is whole if nothing follows.
    fn may_end(&self) -> bool {
        self.open.is_empty() && self.inside == Inside::Bare
    }

    fn step(&mut self, byte: u8) -> Step {
        match self.inside {
            Inside::Nothing => self.between(byte),
            Inside::Text { key, escaped } => self.text(byte, key, escaped),
            Inside::Bare if byte.is_ascii_alphanumeric() || b"+-.".contains(&byte) => Step::In,
            Inside::Bare => {
                self.inside = Inside::Nothing;
                self.expect = Expect::Next;
                if self.open.is_empty() {
                    Step::Before
                } else {
                    self.between(byte)
                }
            }
        }
    }

    fn text(&mut self, byte: u8, key: bool, escaped: bool) -> Step {
        let inside = |escaped| Inside::Text { key, escaped };
        match byte {
            b'\n' => return Step::Wrong,
            _ if escaped => self.inside = inside(false),
            b'\\' => self.inside = inside(true),
            b'"' => {
                self.inside = Inside::Nothing;
                self.expect = if key { Expect::Colon } else { Expect::Next };
                if !key && self.open.is_empty() {
                    return Step::Last;
                }
            }
            _ => {}
        }
        Step::In
    }

    fn between(&mut self, byte: u8) -> Step {
        match (self.expect, byte) {
            (_, b' ' | b'\t' | b'\r' | b'\n') => {}
            (Expect::Value | Expect::First, b'{') => return self.enter(b'{', Expect::FirstKey),
            (Expect::Value | Expect::First, b'[') => return self.enter(b'[', Expect::First),
            (Expect::Value | Expect::First, b'"') => {
                self.inside = Inside::Text {
                    key: false,
                    escaped: false,
                };
            }
            (Expect::Value | Expect::First, b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => {
                self.inside = Inside::Bare;
            }
            (Expect::FirstKey | Expect::Key, b'"') => {
                self.inside = Inside::Text {
                    key: true,
                    escaped: false,
                };
            }
            (Expect::Colon, b':') => self.expect = Expect::Value,
            (Expect::First, b']') | (Expect::FirstKey, b'}') => return self.leave(),
            (Expect::Next, b']') if self.open.last() == Some(&b'[') => return self.leave(),
            (Expect::Next, b'}') if self.open.last() == Some(&b'{') => return self.leave(),
            (Expect::Next, b',') => {
                let object = self.open.last() == Some(&b'{');
                self.expect = if object { Expect::Key } else { Expect::Value };
            }
            _ => return Step::Wrong,
        }
        Step::In
    }

    fn enter(&mut self, bracket: u8, expect: Expect) -> Step {
        if self.open.len() >= MAX_DEPTH {
            return Step::Wrong;
        }
        self.open.push(bracket);
        self.expect = expect;
        Step::In
    }

    fn leave(&mut self) -> Step {
        self.open.pop();
        self.expect = Expect::Next;
        if self.open.is_empty() {
            Step::Last
        } else {
            Step::In
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Cursor, Read, Seek, SeekFrom};

    use proptest::prelude::*;
    use serde_json::Value;

    use super::{Found, Values};

    /// Gives one byte at a time, so that every place is an edge.
    struct Drip(Cursor<Vec<u8>>);

    impl Read for Drip {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let room = buffer.len().min(1);
            self.0.read(&mut buffer[..room])
        }
    }

    impl Seek for Drip {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.0.seek(to)
        }
    }

    fn found_in(text: &[u8], value_bytes_max: usize) -> Vec<String> {
        let read = |input: &mut dyn crate::Input| {
            let mut values = Values::new(input, value_bytes_max).expect("memory can be read");
            let mut found = Vec::new();
            while let Some(next) = values.next().expect("memory can be read") {
                found.push(match next {
                    Found::Value(at) => format!("{at} {}", values.text().0),
                    Found::TooLong(at) => format!("{at} too long"),
                    Found::Broken(at) => format!("{at} broken"),
                });
            }
            found
        };
        let whole = read(&mut Cursor::new(text.to_vec()));
        let dripped = read(&mut Drip(Cursor::new(text.to_vec())));
        assert_eq!(whole, dripped, "where a read ends does not matter");
        whole
    }

    fn check(text: &str, expected: &[&str]) {
        assert_eq!(found_in(text.as_bytes(), 1000), expected, "{text}");
    }

    #[test]
    fn values_are_found_in_every_layout() {
        check("", &[]);
        check(" \n\t\r\n", &[]);
        check("{}", &["0 {}"]);
        check("[]", &[]);
        check("[[]]", &["1 []"]);
        check("\u{feff}{\"a\":1}", &["3 {\"a\":1}"]);
        check("{\"a\":1}\n{\"b\":[2]}\n", &["0 {\"a\":1}", "8 {\"b\":[2]}"]);
        check("{\"a\":1}{\"b\":2}", &["0 {\"a\":1}", "7 {\"b\":2}"]);
        check("[{\"a\":1},{\"b\":2}]", &["1 {\"a\":1}", "9 {\"b\":2}"]);
        check(
            "[\n  {\n    \"a\": [\n{}\n]\n  }\n]",
            &["4 {\n    \"a\": [\n{}\n]\n  }"],
        );
        check("[1,\"]\",true ,null]", &["1 1", "3 \"]\"", "7 true", "13 null"]);
        check("12 -3.5e+7\n\"\\\"}\"", &["0 12", "3 -3.5e+7", "11 \"\\\"}\""]);
        check("[{}][{}]", &["1 {}", "5 {}"]);
    }

    #[test]
    fn a_broken_value_costs_itself_only() {
        check("{\"a\":1\n{\"b\":2}\n", &["7 broken", "7 {\"b\":2}"]);
        check("{\"a\":\"x\n{\"b\":2}", &["7 broken", "8 {\"b\":2}"]);
        check("{\"a\" 1}\n{\"b\":2}", &["5 broken", "8 {\"b\":2}"]);
        check(
            "{\"a\":1}}\n{\"b\":2}",
            &["0 {\"a\":1}", "7 broken", "9 {\"b\":2}"],
        );
        check("<html>\n{\"b\":2}", &["0 broken", "7 {\"b\":2}"]);
        check(
            "[\n  {\"a\":tru e},\n  {\"b\":2}\n]",
            &["13 broken", "19 {\"b\":2}"],
        );
        check(
            "[\n  {\n    \"a\": ,\n    {}\n  },\n  {\"b\":2}\n]",
            &["15 broken", "31 {\"b\":2}"],
        );
        check(
            "{\"a\":1},\n{\"b\":2}",
            &["0 {\"a\":1}", "7 broken", "9 {\"b\":2}"],
        );
        check(
            "{\"a\":1}\n]\n{\"b\":2}",
            &["0 {\"a\":1}", "8 broken", "10 {\"b\":2}"],
        );
    }

    #[test]
    fn what_ends_too_soon_is_broken() {
        for text in [
            "{",
            "{\"a\"",
            "{\"a\":1",
            "\"a",
            "[{\"a\":1}",
            "[",
            "[1",
            "{\"a\":[1,2}",
            "{\"a\":1,}",
            "[1}",
        ] {
            let found = found_in(text.as_bytes(), 1000);
            assert!(
                found.last().is_some_and(|last| last.ends_with("broken")),
                "{text}: {found:?}"
            );
        }
    }

    #[test]
    fn a_value_longer_than_may_be_held_is_passed_over() {
        let text = format!("{{\"a\":\"{}\"}}\n{{\"b\":2}}", "x".repeat(2000));
        assert_eq!(found_in(text.as_bytes(), 1000), ["0 too long", "2009 {\"b\":2}"]);
        let exact = format!("\"{}\"", "x".repeat(998));
        assert_eq!(found_in(exact.as_bytes(), 1000), [format!("0 {exact}")]);
        assert_eq!(
            found_in(format!("{exact}1").as_bytes(), 999),
            ["0 too long", "1000 1"]
        );
    }

    #[test]
    fn bytes_that_are_not_utf8_do_not_move_anything() {
        assert_eq!(
            found_in(b"{\"a\":\"\xff\xfe\"}\n{}", 1000),
            ["0 {\"a\":\"??\"}", "11 {}"]
        );
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::vec((any::<String>(), inner), 0..4)
                    .prop_map(|fields| fields.into_iter().collect::<serde_json::Map<_, _>>().into()),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_was_written_is_found_again(
            wanted in proptest::collection::vec(any_value(), 0..5),
            pretty in any::<bool>(),
            list in any::<bool>(),
        ) {
            let one = |value: &Value| if pretty {
                serde_json::to_string_pretty(value).expect("a value can be written")
            } else {
                value.to_string()
            };
            let text = if list {
                one(&Value::from(wanted.clone()))
            } else {
                // A list outside a list would count as its elements.
                wanted.iter().map(|value| one(value) + "\n").collect()
            };
            let expected: Vec<Value> = wanted
                .into_iter()
                .flat_map(|value| match value {
                    Value::Array(elements) if !list => elements,
                    value => vec![value],
                })
                .collect();
            let found: Vec<Value> = found_in(text.as_bytes(), 1 << 20)
                .iter()
                .map(|found| found.split_once(' ').expect("a place and a value").1)
                .map(|text| serde_json::from_str(text).expect("a value as it was written"))
                .collect();
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn any_bytes_come_to_an_end(bytes in proptest::collection::vec(
            prop_oneof![any::<u8>(), Just(b'{'), Just(b'}'), Just(b'['), Just(b']'), Just(b'"'), Just(b'\n'), Just(b',')],
            0..200,
        )) {
            let found = found_in(&bytes, 50);
            prop_assert!(found.len() <= bytes.len() + 1);
        }
    }
}
