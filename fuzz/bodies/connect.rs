//! What must hold for any bytes a connector is given. The fuzz targets and the ordinary test
//! `crates/connect/tests/fuzz_corpus.rs` both call these functions.

use std::collections::BTreeMap;
use std::io::{self, Cursor};

use connect::{
    Account, Connector, Door, Fetch, Input, ParseOptions, Report, Request, Secrets, Settings, Sink, Span,
};
use model::Timestamp;
use model::record::{Conversation, Participant, Record};

/// Bytes a delivery may have before the intake refuses it unread.
const BODY_BYTES_MAX: usize = 4 << 20;

/// Takes records the way the archive does, and checks what the archive relies on.
#[derive(Default)]
pub struct Checker {
    /// Length of stream 0.
    pub size: u64,
    /// End of the last span, by stream.
    ends: BTreeMap<u32, u64>,
    pub messages: u64,
    pub events: u64,
    pub problems: u64,
}

impl Checker {
    fn span(&mut self, span: Span) {
        let end = span
            .offset
            .checked_add(span.len)
            .expect("a span's end is a number");
        assert!(
            span.stream != 0 || end <= self.size,
            "a span lies inside the capture"
        );
        if span.len == 0 {
            return;
        }
        let before = self.ends.insert(span.stream, end).unwrap_or(0);
        assert!(
            before <= span.offset,
            "spans of a stream ascend and never overlap"
        );
    }
}

impl Sink for Checker {
    fn record(&mut self, span: Span, record: &Record<'_>) -> io::Result<()> {
        self.span(span);
        match record {
            Record::Message(_) => self.messages += 1,
            Record::Event(_) => self.events += 1,
            Record::Problem(_) => self.problems += 1,
        }
        // All of a short input, some of a long one: writing and reading costs more than parsing.
        let count = self.messages + self.events + self.problems;
        if count < 1000 || count.is_multiple_of(100) {
            let line = serde_json::to_string(record).expect("a record can be written");
            assert!(!line.contains('\n'), "a record is one line");
            serde_json::from_str::<Record<'_>>(&line).expect("a record can be read back");
        }
        Ok(())
    }

    fn belongs(
        &mut self,
        span: Span,
        _: Option<&Conversation<'_>>,
        _: Option<&Participant<'_>>,
    ) -> io::Result<()> {
        let end = span
            .offset
            .checked_add(span.len)
            .expect("a span's end is a number");
        assert!(
            span.stream != 0 || end <= self.size,
            "a span lies inside the capture"
        );
        Ok(())
    }

    fn fetch(&mut self, _: &Fetch) -> io::Result<()> {
        Ok(())
    }
}

/// The connector of this id.
pub fn connector(id: &str) -> &'static dyn Connector {
    connect::find(id).expect("the connector exists")
}

/// Parses, and checks that the report says what the sink was given.
pub fn parse_checked(id: &str, input: &mut dyn Input, size: u64, options: &ParseOptions) -> Report {
    let mut sink = Checker {
        size,
        ..Checker::default()
    };
    let parsed = connector(id).parse(input, options, &mut sink);
    let report = parsed.expect("a parser never fails for what the bytes say");
    assert_eq!(report.messages, sink.messages, "messages");
    assert_eq!(report.events, sink.events, "events");
    assert_eq!(report.problems, sink.problems, "problems");
    report
}

fn file(id: &str, name: &str, data: &[u8]) {
    let options = ParseOptions {
        file_name: Some(name.to_owned()),
        ..ParseOptions::default()
    };
    file_with(id, &options, data);
}

fn file_with(id: &str, options: &ParseOptions, data: &[u8]) {
    // Either verdict is right for bytes at random; reaching one is what is asked.
    let _verdict = connector(id).recognize(&mut Cursor::new(data), options);
    let size = data.len() as u64;
    let first = parse_checked(id, &mut Cursor::new(data), size, options);
    let again = parse_checked(id, &mut Cursor::new(data), size, options);
    assert!(first == again, "the same bytes are understood the same way");
}

/// Any bytes as a text export.
pub fn export_txt(data: &[u8]) {
    file("whatsapp-export", "WhatsApp Chat with A.txt", data);
}

/// Any bytes as a zip export.
pub fn export_zip(data: &[u8]) {
    file("whatsapp-export", "WhatsApp Chat - A.zip", data);
}

/// Any bytes as a webhook body.
pub fn cloud_body(data: &[u8]) {
    let data = data.get(..BODY_BYTES_MAX).unwrap_or(data);
    file("whatsapp-cloud", "body.json", data);
}

/// Any bytes as messages of the WeCom archive, and as an answer of it.
pub fn wecom_archive(data: &[u8]) {
    let data = data.get(..BODY_BYTES_MAX).unwrap_or(data);
    file("wecom-archive", "messages.jsonl", data);
    let answer = std::str::from_utf8(data).unwrap_or_default();
    for item in connect::wecom_archive::items::items(answer).unwrap_or_default() {
        assert!(answer.contains(item.bytes), "an item is as it came");
    }
}

/// What opens the encrypted inputs of the corpus.
const WECHAT_KEY: &[u8] = b"q2w8Zt5RbN0pKfY7uLcXs3GdHe9mVaJ1oTi6QxPzBkD";

/// Any bytes as callbacks of WeChat, encrypted or not.
pub fn wechat_body(data: &[u8]) {
    let data = data.get(..BODY_BYTES_MAX).unwrap_or(data);
    let secrets = Secrets([("encoding-aes-key".to_owned(), vec![WECHAT_KEY.to_vec().into()])].into());
    let options = ParseOptions {
        secrets,
        ..ParseOptions::default()
    };
    file_with("wechat-callback", &options, data);
}

/// Any bytes as messages of any other source: a file of lines, and a posted body.
pub fn generic_body(data: &[u8]) {
    let data = data.get(..BODY_BYTES_MAX).unwrap_or(data);
    file("generic-import", "messages.jsonl", data);
    file("generic-webhook", "body.json", data);
}

/// Any header and body, the two parted by the first line end: without the secret none is admitted.
pub fn cloud_signature(data: &[u8]) {
    let (signature, body) = parted(data);
    let query = String::from_utf8_lossy(signature);
    let names = ["x-hub-signature-256", "x-hub-signature"];
    for headers in [
        vec![(names[0], signature)],
        vec![(names[1], signature)],
        vec![(names[0], signature); 2],
    ] {
        never_admitted("whatsapp-cloud", &query, &headers, body);
    }
}

/// Any query string and body, the two parted by the first line end: without the token none is admitted.
pub fn wechat_signature(data: &[u8]) {
    let (query, body) = parted(data);
    never_admitted("wechat-callback", &String::from_utf8_lossy(query), &[], body);
}

/// Any time, signature and body, parted by the first two line ends: without the secret none is admitted.
pub fn generic_signature(data: &[u8]) {
    let (stamp, rest) = parted(data);
    let (signature, body) = parted(rest.get(1..).unwrap_or_default());
    let stamp = ("x-chancery-timestamp", stamp);
    let signature = ("x-chancery-signature", signature);
    for headers in [
        vec![stamp, signature],
        vec![signature],
        vec![stamp, signature, signature],
    ] {
        never_admitted("generic-webhook", "", &headers, body);
    }
}

fn parted(data: &[u8]) -> (&[u8], &[u8]) {
    let at = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    data.split_at(at)
}

fn never_admitted(id: &str, query: &str, headers: &[(&str, &[u8])], body: &[u8]) {
    let connector = connector(id);
    let mut secrets = Secrets::default();
    if let Door::Webhook {
        required, optional, ..
    } = connector.door()
    {
        for secret in required.iter().chain(optional) {
            let value = b"nobody guesses this one".to_vec();
            secrets.0.insert(secret.name.to_owned(), vec![value.into()]);
        }
    }
    // With a key and without: the two take different paths.
    let mut keyless = secrets.clone();
    keyless.0.remove("encoding-aes-key");
    secrets
        .0
        .insert("encoding-aes-key".to_owned(), vec![WECHAT_KEY.to_vec().into()]);
    for secrets in [&secrets, &keyless] {
        for method in ["GET", "POST", "PUT"] {
            let request = Request {
                method,
                query,
                headers,
                body,
                received_at: Timestamp::default(),
            };
            let account = Account {
                secrets,
                settings: &Settings::new(),
            };
            assert!(
                connector.admit(&request, account).is_err(),
                "admitted without the secret"
            );
        }
    }
}
