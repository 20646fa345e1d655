//! What was handed in: a text, a zip with a chat text in it, or something else.

use std::io::{self, Read, SeekFrom};

use super::archive::{Archive, Member, Refusal};
use super::encoding::{self, Encoding, ReturnsAsLineFeeds, Utf16AsUtf8};
use super::files::Files;
use super::header::Scanner;
use super::lines::Lines;
use super::parse::Out;
use super::title;
use crate::{Input, NotRecognized};

/// Header lines are looked for in this much of a text.
const LOOKED_AT: u64 = 64 * 1024;

/// Texts of a zip looked into, to find the chat among them.
const MOST_TEXTS: usize = 64;

const EXPECTED: &str = "a WhatsApp chat export: the .txt, or the .zip with the .txt in it";

/// The chat text and how to read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chat {
    /// The member of the zip; `None` where the file is the text.
    pub member: Option<Member>,
    /// How it is written.
    pub encoding: Encoding,
    /// Lines end with a carriage return alone.
    returns: bool,
}

/// What was handed in.
#[derive(Debug, Default)]
pub struct Container {
    archive: Option<Archive>,
    /// The chat.
    pub chat: Option<Chat>,
    /// Further members that look like chats.
    further_chats: u64,
}

impl Chat {
    /// The stream of its bytes.
    pub fn stream(&self) -> u32 {
        self.member
            .as_ref()
            .map_or(0, |member| member.place.saturating_add(1))
    }

    /// Reads the text as UTF-8 from its beginning; also says whether the zip member turned out damaged.
    ///
    /// # Errors
    /// Those of the input, and of `read`.
    pub fn read<T>(
        &self,
        input: &mut dyn Input,
        read: impl FnOnce(&mut dyn Read) -> io::Result<T>,
    ) -> io::Result<(T, bool)> {
        let Some(member) = &self.member else {
            input.seek(SeekFrom::Start(0))?;
            return Ok((self.decode(&mut *input, read)?, false));
        };
        let mut reader = member.open(input)?;
        let result = self.decode(&mut reader, read)?;
        Ok((result, reader.damaged))
    }

    fn decode<T, R: Read>(
        &self,
        mut source: R,
        read: impl FnOnce(&mut dyn Read) -> io::Result<T>,
    ) -> io::Result<T> {
        match (self.encoding, self.returns) {
            (Encoding::Utf8, false) => read(&mut source),
            (Encoding::Utf8, true) => read(&mut ReturnsAsLineFeeds(source)),
            (other, false) => read(&mut Utf16AsUtf8::new(source, other)),
            (other, true) => read(&mut ReturnsAsLineFeeds(Utf16AsUtf8::new(source, other))),
        }
    }
}

/// How many streams a file has: itself, and each member of a zip.
///
/// # Errors
/// Those of the input.
pub fn streams(input: &mut dyn Input) -> io::Result<u32> {
    if !is_zip(&first_bytes(input)?) {
        return Ok(1);
    }
    let members = Archive::read(input)?.members.len();
    Ok(u32::try_from(members).unwrap_or(u32::MAX - 1) + 1)
}

/// The inflated bytes of the member that is stream `stream`; none for one that must be left alone.
///
/// # Errors
/// Those of the input.
pub fn open_stream(mut input: Box<dyn Input>, stream: u32) -> io::Result<Box<dyn Read + Send>> {
    let archive = Archive::read(&mut *input)?;
    let place = stream
        .checked_sub(1)
        .and_then(|place| usize::try_from(place).ok());
    match place.and_then(|place| archive.members.get(place)) {
        Some(member) if member.refusal.is_none() => Ok(Box::new(member.open(input)?)),
        _ => Ok(Box::new(io::empty())),
    }
}

impl Container {
    /// Looks at what was handed in.
    ///
    /// # Errors
    /// Those of the input.
    pub fn open(input: &mut dyn Input) -> io::Result<Self> {
        let first = first_bytes(input)?;
        if !is_zip(&first) {
            let chat = Chat {
                member: None,
                encoding: Encoding::of(&first),
                returns: encoding::ends_lines_with_returns(&first),
            };
            return Ok(Container {
                chat: Some(chat),
                ..Container::default()
            });
        }
        let archive = Archive::read(input)?;
        let (chat, further_chats) = find_chat(input, &archive)?;
        Ok(Container {
            archive: Some(archive),
            chat,
            further_chats,
        })
    }

    /// Problems of the zip as a whole and of members left alone.
    ///
    /// # Errors
    /// Those of the sink.
    pub fn report_members(&self, out: &mut Out<'_>) -> io::Result<()> {
        let Some(archive) = &self.archive else {
            return Ok(());
        };
        let refused = |refusal| {
            archive
                .members
                .iter()
                .filter(|m| m.refusal == Some(refusal))
                .count() as u64
        };
        let counted = [
            (
                refused(Refusal::Encrypted),
                "zip-encrypted",
                "members are encrypted",
            ),
            (
                refused(Refusal::UnsafeName),
                "unsafe-member-name",
                "members have an absolute path, `..`, a link or an overlong name",
            ),
            (
                refused(Refusal::TooLarge),
                "zip-too-large",
                "members are declared too large, or blown up too far",
            ),
            (
                refused(Refusal::Method),
                "zip-method",
                "members are packed in a way that phones do not use",
            ),
            (
                refused(Refusal::Inconsistent),
                "zip-overlap",
                "members share bytes with others",
            ),
            (
                u64::from(archive.more),
                "zip-too-many-members",
                "limit on members was passed; the rest was left alone",
            ),
            (
                u64::from(archive.damaged),
                "zip-damaged",
                "directory breaks off or does not fit the file",
            ),
            (
                self.further_chats,
                "several-chat-texts",
                "further members look like chats; only one was read",
            ),
        ];
        for (count, code, what) in counted {
            if count > 0 {
                out.problem(code, &format!("{count} {what}."), 0, None)?;
            }
        }
        Ok(())
    }

    /// Measures the files beside the chat text.
    ///
    /// # Errors
    /// Those of the input.
    pub fn measure_files(&self, input: &mut dyn Input, chat: &Chat) -> io::Result<Files> {
        match (&self.archive, &chat.member) {
            (Some(archive), Some(member)) => Files::measure(input, archive, member.place),
            _ => Ok(Files::default()),
        }
    }
}

/// The member that is the chat: named like one and looking like one, else the text with most headers.
fn find_chat(input: &mut dyn Input, archive: &Archive) -> io::Result<(Option<Chat>, u64)> {
    let texts = archive.members.iter().filter(|member| {
        let name = member.base_name();
        let text = match name.rsplit_once('.') {
            Some((_, ending)) => ending.eq_ignore_ascii_case("txt"),
            None => title::is_named_by_phone(name),
        };
        text && !member.is_noise() && member.refusal.is_none()
    });
    let mut best: Option<(bool, u64, Chat)> = None;
    let mut chats = 0_u64;
    for member in texts.take(MOST_TEXTS) {
        let name = member.base_name();
        let named =
            name == "_chat.txt" || title::is_named_by_phone(name) || title::from_file_name(name).is_some();
        let mut first = Vec::new();
        member
            .open(&mut *input)?
            .take(LOOKED_AT)
            .read_to_end(&mut first)?;
        let encoding = Encoding::of(&first);
        let headers = count_headers(&first, encoding)?;
        if headers == 0 {
            continue;
        }
        chats += u64::from(named);
        if best.as_ref().is_none_or(|(n, h, _)| (named, headers) > (*n, *h)) {
            best = Some((
                named,
                headers,
                Chat {
                    member: Some(member.clone()),
                    encoding,
                    returns: encoding::ends_lines_with_returns(&first),
                },
            ));
        }
    }
    Ok((best.map(|(.., chat)| chat), chats.saturating_sub(1)))
}

fn count_headers(bytes: &[u8], encoding: Encoding) -> io::Result<u64> {
    let mut source: Box<dyn Read> = match encoding {
        Encoding::Utf8 => Box::new(bytes),
        other => Box::new(Utf16AsUtf8::new(bytes, other)),
    };
    if encoding::ends_lines_with_returns(bytes) {
        source = Box::new(ReturnsAsLineFeeds(source));
    }
    let mut lines = Lines::new(&mut source);
    let mut scanner = Scanner::default();
    let mut headers = 0;
    while let Some(line) = lines.next()? {
        let found = scanner
            .scan(lines.slice(line.start, line.end))
            .is_some_and(|head| head.plausible);
        headers += u64::from(found && !line.continues);
    }
    Ok(headers)
}

fn first_bytes(input: &mut dyn Input) -> io::Result<Vec<u8>> {
    let mut first = Vec::new();
    input.seek(SeekFrom::Start(0))?;
    input.take(LOOKED_AT).read_to_end(&mut first)?;
    Ok(first)
}

fn is_zip(first: &[u8]) -> bool {
    first.starts_with(b"PK\x03\x04") || first.starts_with(b"PK\x05\x06") || first.starts_with(b"PK\x07\x08")
}

/// Whether this is a chat export.
///
/// # Errors
/// What it is instead, or that it could not be read.
pub fn recognize(input: &mut dyn Input) -> Result<(), NotRecognized> {
    let wrong = |found| {
        Err(NotRecognized::Wrong {
            found,
            expected: EXPECTED,
        })
    };
    let first = first_bytes(input)?;
    if is_zip(&first) {
        let archive = Archive::read(input)?;
        if find_chat(input, &archive)?.0.is_some() {
            return Ok(());
        }
        return wrong(why_no_chat(&archive));
    }
    if let Some(found) = known_format(&first) {
        return wrong(found);
    }
    if first.is_empty() {
        return wrong("an empty file");
    }
    if count_headers(&first, Encoding::of(&first))? > 0 {
        return Ok(());
    }
    if Encoding::of(&first) == Encoding::Utf8 && first.contains(&0) {
        return wrong("a binary file");
    }
    wrong("a text in which no line looks like a WhatsApp message header")
}

fn why_no_chat(archive: &Archive) -> &'static str {
    let text = |member: &&Member| member.name.to_ascii_lowercase().ends_with(".txt");
    let mut texts = archive.members.iter().filter(text).peekable();
    if archive.damaged && archive.members.is_empty() {
        "a damaged zip"
    } else if archive
        .members
        .iter()
        .any(|m| m.refusal == Some(Refusal::Encrypted))
    {
        "an encrypted zip"
    } else if texts.peek().is_none() {
        "a zip without a chat text"
    } else if texts.all(|m| m.refusal.is_some()) {
        "a zip whose text cannot be read safely"
    } else {
        "a zip whose texts have no line that looks like a WhatsApp message header"
    }
}

/// Files that people mistake for an export.
fn known_format(first: &[u8]) -> Option<&'static str> {
    const SIGNATURES: &[(&[u8], &str)] = &[
        (b"%PDF", "a PDF"),
        (
            b"SQLite format 3\0",
            "an SQLite database (msgstore or ChatStorage)",
        ),
        (b"\xFF\xD8\xFF", "a JPEG image"),
        (b"\x89PNG", "a PNG image"),
        (b"GIF8", "a GIF image"),
        (b"Rar!", "a RAR archive"),
        (b"7z\xBC\xAF\x27\x1C", "a 7z archive"),
        (b"\x1F\x8B", "a gzip file"),
        (b"\xD0\xCF\x11\xE0", "an old Office document or Outlook message"),
        (b"BEGIN:VCARD", "a contact card"),
        (b"<!DOCTYPE", "an HTML page"),
        (b"<html", "an HTML page"),
        (b"<?xml", "an XML file"),
        (b"{", "a JSON file"),
        (b"From ", "a mailbox"),
    ];
    let found = SIGNATURES
        .iter()
        .find(|(signature, _)| first.starts_with(signature))
        .map(|&(_, name)| name);
    let film = first.get(4..8) == Some(b"ftyp".as_slice());
    found.or_else(|| film.then_some("a video"))
}
