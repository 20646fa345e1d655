//! Replays the stored fuzz inputs, and makes the ones that are too large to store.
#![cfg(test)]

#[path = "../../../fuzz/bodies/connect.rs"]
mod bodies;

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use connect::{Input, ParseOptions};
use zip::write::SimpleFileOptions;

/// How far memory may rise while a parser runs, whatever it is given.
const GROWTH_BYTES_MAX: u64 = 48 << 20;
const HEADER: &[u8] = b"13/01/2024, 09:05 - Ann: ";
const LARGE: u64 = 64 << 20;

/// The stored inputs of a target.
fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../fuzz/corpus")
        .join(target);
    let entries = fs::read_dir(&folder).expect("the corpus is there");
    let mut found: Vec<_> = entries
        .map(|entry| entry.expect("an entry can be read").path())
        .map(|path| (path.clone(), fs::read(path).expect("an input can be read")))
        .collect();
    found.sort();
    assert!(found.len() > 10, "{} holds too little", folder.display());
    found
}

/// Calls `body` with each input, and names every input that breaks it.
fn replay(target: &str, body: fn(&[u8])) {
    let broken =
        |(path, data): &(PathBuf, Vec<u8>)| catch_unwind(|| body(data)).is_err().then(|| path.clone());
    let names: Vec<_> = corpus(target).iter().filter_map(broken).collect();
    assert!(names.is_empty(), "these inputs break it: {names:#?}");
}

/// Calls `body` with the beginning of each input, cut at every byte.
fn replay_cut(target: &str, body: fn(&[u8]), size_max: usize) {
    let mut broken = Vec::new();
    for (path, data) in corpus(target).iter().filter(|(_, data)| data.len() <= size_max) {
        let cut =
            (0..data.len()).find(|cut| catch_unwind(|| body(data.get(..*cut).unwrap_or_default())).is_err());
        broken.extend(cut.map(|cut| (path.clone(), cut)));
    }
    assert!(broken.is_empty(), "cut at these bytes they break it: {broken:#?}");
}

#[test]
fn stored_text_exports_are_understood_or_reported() {
    replay("export_txt", bodies::export_txt);
}

#[test]
fn stored_zip_exports_are_understood_or_reported() {
    replay("export_zip", bodies::export_zip);
}

#[test]
fn stored_webhook_bodies_are_understood_or_reported() {
    replay("cloud_body", bodies::cloud_body);
}

#[test]
fn stored_archive_messages_are_understood_or_reported() {
    replay("wecom_archive", bodies::wecom_archive);
}

#[test]
fn no_stored_signature_admits_a_request() {
    replay("cloud_signature", bodies::cloud_signature);
}

#[test]
fn stored_callbacks_of_wechat_are_understood_or_reported() {
    replay("wechat_body", bodies::wechat_body);
}

#[test]
fn stored_messages_of_any_other_source_are_understood_or_reported() {
    replay("generic_body", bodies::generic_body);
    replay_cut("generic_body", bodies::generic_body, 400);
}

#[test]
fn a_long_file_of_any_other_source_takes_no_more_memory_than_a_short_one() {
    let unit = b"{\"sender\":\"Ann\",\"text\":\"a message like many others\",\"sent_at\":\"2026-01-31T10:20:30Z\"}\n";
    for (head, unit, messages) in [
        (&b""[..], &unit[..], 700_000),
        (b"{\"text\":\"", b"a", 0),
        (b"", b"{", 0),
        (b"", b"\n", 0),
    ] {
        let report = stays_small(
            "generic-import",
            "a.jsonl",
            &mut Repeated::new(head, unit, LARGE),
            LARGE,
        );
        assert!(report.messages >= messages, "{} messages", report.messages);
    }
}

#[test]
fn no_stored_time_and_signature_admit_a_post() {
    replay("generic_signature", bodies::generic_signature);
    replay_cut("generic_signature", bodies::generic_signature, 200);
}

/// The targets of each connector: what its bytes are given to, and where requests are posted, what their proofs are.
const TARGETS: [(&str, &[&str]); 6] = [
    ("whatsapp-cloud", &["cloud_body", "cloud_signature"]),
    ("whatsapp-export", &["export_txt", "export_zip"]),
    ("wecom-archive", &["wecom_archive"]),
    ("wechat-callback", &["wechat_body", "wechat_signature"]),
    ("generic-import", &["generic_body"]),
    ("generic-webhook", &["generic_body", "generic_signature"]),
];

#[test]
fn every_connector_there_is_is_fuzzed_and_so_is_every_proof_of_origin() {
    let there: BTreeSet<&str> = connect::CONNECTORS
        .iter()
        .map(|connector| connector.id())
        .collect();
    let listed: BTreeSet<&str> = TARGETS.iter().map(|(id, _)| *id).collect();
    assert_eq!(listed, there, "add a line to TARGETS");
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz");
    let bodies = fs::read_to_string(fuzz.join("bodies/connect.rs")).expect("the bodies are there");
    for (id, targets) in TARGETS {
        let posted = matches!(bodies::connector(id).door(), connect::Door::Webhook { .. });
        let proofs = targets.iter().filter(|target| target.ends_with("_signature"));
        assert_eq!(proofs.count(), usize::from(posted), "{id}");
        for target in targets {
            assert!(fuzz.join(format!("targets/{target}.rs")).is_file(), "{target}");
            assert!(!corpus(target).is_empty());
            // What the target calls gives its bytes to this connector.
            let body = bodies.split(&format!("pub fn {target}(")).nth(1).expect("a body");
            let body = body.split("\n}\n").next().unwrap_or_default();
            assert!(body.contains(&format!("\"{id}\"")), "{target} does not call {id}");
        }
    }
}

#[test]
fn no_stored_query_admits_a_callback_of_wechat() {
    replay("wechat_signature", bodies::wechat_signature);
}

#[test]
fn a_callback_of_wechat_cut_at_any_byte_is_understood_or_reported() {
    replay_cut("wechat_body", bodies::wechat_body, 700);
}

#[test]
fn a_text_export_cut_at_any_byte_is_understood_or_reported() {
    replay_cut("export_txt", bodies::export_txt, 400);
}

#[test]
fn a_zip_export_cut_at_any_byte_is_understood_or_reported() {
    replay_cut("export_zip", bodies::export_zip, 700);
}

#[test]
fn a_webhook_body_cut_at_any_byte_is_understood_or_reported() {
    replay_cut("cloud_body", bodies::cloud_body, 600);
}

#[test]
fn archive_messages_cut_at_any_byte_are_understood_or_reported() {
    replay_cut("wecom_archive", bodies::wecom_archive, 700);
}

/// A file that is not in memory: some bytes, then others over and over.
struct Repeated {
    head: Vec<u8>,
    unit: Vec<u8>,
    size: u64,
    at: u64,
}

impl Repeated {
    fn new(head: &[u8], unit: &[u8], size: u64) -> Self {
        // Many units at once, so that a read is not a few bytes.
        let unit = unit.repeat((64 << 10) / unit.len() + 1);
        Repeated {
            head: head.to_vec(),
            unit,
            size,
            at: 0,
        }
    }
}

impl Read for Repeated {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let head = self.head.len() as u64;
        let rest = match self.at.checked_sub(head) {
            None => &self.head[self.at as usize..],
            Some(inside) => &self.unit[(inside % self.unit.len() as u64) as usize..],
        };
        let left = usize::try_from(self.size.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let count = rest.len().min(buffer.len()).min(left);
        buffer[..count].copy_from_slice(&rest[..count]);
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for Repeated {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.size.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

/// The highest resident size since the last [`forget_peak`], in bytes.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("Linux says how much memory a process has");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .expect("the peak is in it");
    let kibibytes: u64 = line
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .expect("a number of kB");
    kibibytes << 10
}

fn forget_peak() {
    fs::write("/proc/self/clear_refs", "5").expect("a process may reset its own peak");
}

/// One at a time: memory is counted for the process.
static ALONE: Mutex<()> = Mutex::new(());

/// Parses, and fails when memory rose further than it may.
fn stays_small(id: &str, name: &str, input: &mut dyn Input, size: u64) -> connect::Report {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    forget_peak();
    let before = peak();
    let options = ParseOptions {
        file_name: Some(name.to_owned()),
        ..ParseOptions::default()
    };
    let report = bodies::parse_checked(id, input, size, &options);
    // A process may also have given memory back since.
    let growth = peak().saturating_sub(before);
    assert!(growth <= GROWTH_BYTES_MAX, "memory rose by {} MiB", growth >> 20);
    report
}

fn text_stays_small(head: &[u8], unit: &[u8]) -> connect::Report {
    stays_small(
        "whatsapp-export",
        "chat.txt",
        &mut Repeated::new(head, unit, LARGE),
        LARGE,
    )
}

#[test]
fn a_long_chat_takes_no_more_memory_than_a_short_one() {
    let unit = b"13/01/2024, 09:05 - Ann: hello, this is a line of a chat like many others\n";
    let report = text_stays_small(b"", unit);
    assert!(report.messages > 800_000, "{} messages", report.messages);
}

#[test]
fn a_message_of_one_endless_line_takes_no_memory_to_speak_of() {
    text_stays_small(HEADER, b"a");
}

#[test]
fn a_message_of_endless_lines_takes_no_memory_to_speak_of() {
    text_stays_small(HEADER, b"and so on\n");
}

#[test]
fn endless_bytes_without_a_header_take_no_memory_to_speak_of() {
    text_stays_small(b"", b"\xff\x00");
}

#[test]
fn ever_new_senders_take_no_memory_to_speak_of() {
    // A million names: what is remembered of people must be bounded too.
    let mut text = Vec::new();
    for number in 0..500_000u32 {
        writeln!(
            text,
            "13/01/2024, 09:05 - person {number:x} {:x}: a",
            number.wrapping_mul(2_654_435_761)
        )
        .expect("writing to memory");
    }
    let size = text.len() as u64;
    stays_small("whatsapp-export", "chat.txt", &mut Cursor::new(text), size);
}

/// A zip whose only member of this name inflates to `HEADER` and then `zeros` bytes of nothing.
fn bomb(name: &str, zeros: u64) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    writer
        .start_file("_chat.txt", SimpleFileOptions::default())
        .expect("writing to memory");
    writer.write_all(HEADER).expect("writing to memory");
    if name != "_chat.txt" {
        writer
            .start_file(name, SimpleFileOptions::default())
            .expect("writing to memory");
    }
    io::copy(&mut io::repeat(0).take(zeros), &mut writer).expect("writing to memory");
    writer.finish().expect("writing to memory").into_inner()
}

#[test]
fn a_chat_that_inflates_a_thousandfold_takes_no_memory_to_speak_of() {
    let zip = bomb("_chat.txt", 256 << 20);
    let size = zip.len() as u64;
    stays_small("whatsapp-export", "chat.zip", &mut Cursor::new(zip), size);
}

#[test]
fn a_picture_that_inflates_a_thousandfold_takes_no_memory_to_speak_of() {
    let zip = bomb("IMG-20240113-WA0001.jpg", 256 << 20);
    let size = zip.len() as u64;
    stays_small("whatsapp-export", "chat.zip", &mut Cursor::new(zip), size);
}

#[test]
fn a_zip_with_a_hundred_thousand_members_takes_little_memory() {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for number in 0..100_000u32 {
        writer
            .start_file(format!("{number}.jpg"), SimpleFileOptions::default())
            .expect("writing to memory");
    }
    let zip = writer.finish().expect("writing to memory").into_inner();
    let size = zip.len() as u64;
    stays_small("whatsapp-export", "chat.zip", &mut Cursor::new(zip), size);
}

#[test]
fn callbacks_of_wechat_made_of_one_thing_over_and_over_take_little_memory() {
    let units: [&[u8]; 8] = [
        b"<a>",
        b"<a/>",
        b"<xml><MsgType>text</MsgType></xml>",
        b"&amp;",
        b"<![CDATA[",
        b"[",
        b"{\"msg_list\":[",
        b"{\"MsgType\":\"text\"}\n",
    ];
    for (head, unit) in units
        .iter()
        .flat_map(|unit| [(&b""[..], unit), (b"<xml><MsgType>text</MsgType><Content>", unit)])
    {
        let size = 16 << 20;
        let report = stays_small(
            "wechat-callback",
            "body.xml",
            &mut Repeated::new(head, unit, size),
            size,
        );
        assert!(report.problems > 0, "what is not understood is a problem");
    }
}

#[test]
fn a_webhook_body_nested_a_million_deep_is_reported() {
    for unit in [&b"["[..], b"{\"a\":", b"[{\"a\":"] {
        let size = 3 << 20;
        let report = stays_small(
            "whatsapp-cloud",
            "body.json",
            &mut Repeated::new(b"", unit, size),
            size,
        );
        assert!(report.problems > 0, "what is not understood is a problem");
    }
}

fn archive_stays_small(head: &[u8], unit: &[u8], size: u64) -> connect::Report {
    stays_small(
        "wecom-archive",
        "messages.jsonl",
        &mut Repeated::new(head, unit, size),
        size,
    )
}

const ARCHIVED: &[u8] = br#"{"msgid":"1","action":"send","from":"ann","tolist":["bob"],"msgtime":1760000000000,"msgtype":"text","text":{"content":"a line like many others"}}"#;

#[test]
fn a_long_archive_takes_no_more_memory_than_a_short_one() {
    let line = [ARCHIVED, b"\n"].concat();
    assert!(archive_stays_small(b"", &line, LARGE).messages > 400_000);
    let element = [ARCHIVED, b",\n"].concat();
    assert!(archive_stays_small(b"[", &element, LARGE).messages > 400_000);
}

#[test]
fn archive_values_that_never_end_take_no_memory_to_speak_of() {
    for (head, unit) in [
        (&b""[..], &b"["[..]),
        (b"", b"{\"msgid\":"),
        (b"[{\"msgid\":\"", b"1"),
        (b"{\"chatdata\":[", b"{\"seq\":1},"),
        (b"", b"{\"msgid\":\n"),
        (b"", b"}{"),
        (b"", b"\xff\x00"),
    ] {
        let report = archive_stays_small(head, unit, LARGE);
        assert!(report.problems > 0, "what is not understood is a problem");
    }
}
