//! What must hold for every chat export, whatever its bytes: parsing ends, spans tile the text, memory is bounded,
//! and nothing is given twice.

#[cfg(test)]
mod properties {
    use std::io::{self, Cursor, Read, Seek, SeekFrom};

    use connect::json_line::write_record;
    use connect::whatsapp_export::WhatsappExport;
    use connect::{Connector, Fetch, NotRecognized, ParseOptions, Report, Sink, Span};
    use model::record::{Conversation, Participant, Record};
    use proptest::prelude::*;

    /// Keeps spans and texts, and compares the two ways of writing JSON.
    #[derive(Default)]
    struct Kept {
        spans: Vec<Span>,
        texts: Vec<Option<String>>,
        problems: Vec<String>,
    }

    impl Sink for Kept {
        fn record(&mut self, span: Span, record: &Record<'_>) -> io::Result<()> {
            let mut line = Vec::new();
            write_record(&mut line, record);
            assert_eq!(line, serde_json::to_vec(record).expect("a record can be written"));
            match record {
                Record::Message(message) => {
                    self.spans.push(span);
                    self.texts
                        .push(message.text.as_ref().map(|text| text.reveal().to_owned()));
                }
                Record::Problem(problem) => {
                    self.problems.push(problem.code.to_string());
                    if span.len > 0 {
                        self.spans.push(span);
                    }
                }
                Record::Event(_) => {}
            }
            Ok(())
        }

        fn belongs(
            &mut self,
            _: Span,
            _: Option<&Conversation<'_>>,
            _: Option<&Participant<'_>>,
        ) -> io::Result<()> {
            Ok(())
        }

        fn fetch(&mut self, _: &Fetch) -> io::Result<()> {
            panic!("an export fetches nothing")
        }
    }

    fn parse(bytes: &[u8]) -> (Report, Kept) {
        let mut kept = Kept::default();
        let mut input = Cursor::new(bytes);
        let report = WhatsappExport
            .parse(&mut input, &ParseOptions::default(), &mut kept)
            .expect("memory cannot fail");
        (report, kept)
    }

    /// Lines that are headers, nearly headers, and anything else.
    fn line() -> impl Strategy<Value = String> {
        prop_oneof![
            "(0[1-9]|1[0-9]|3[01])/(0[1-9]|1[0-2])/2024, [0-2][0-9]:[0-5][0-9] - [A-Z][a-z]{1,5}: .{0,20}",
            "[0-9]{1,2}/[0-9]{1,2}/[0-9]{2,4}, [0-9]{1,2}:[0-9]{2} - .{0,30}",
            "\\[[0-9]{1,2}[./-][0-9]{1,2}[./-][0-9]{2,4}, [0-9]{1,2}:[0-9]{2}(:[0-9]{2})?( AM|\u{202f}pm)?\\] .{0,30}",
            "(POLL:|OPTION: a \\(2 votes\\)|<Media omitted>|x \\(file attached\\)|\u{200e}<attached: a.jpg>)",
            ".{0,40}",
        ]
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            parse(&bytes);
        }

        #[test]
        fn spans_tile_the_text_from_its_first_line_to_its_end(
            lines in prop::collection::vec(line(), 0..40),
            end in prop_oneof![Just("\n"), Just("\r\n")],
        ) {
            let text: String = lines.iter().map(|line| format!("{line}{end}")).collect();
            let (report, kept) = parse(text.as_bytes());
            let mut at = None;
            for span in &kept.spans {
                prop_assert_eq!(span.stream, 0);
                prop_assert!(at.is_none_or(|at| at == span.offset), "no gap and no overlap");
                at = Some(span.offset + span.len);
            }
            prop_assert!(at.is_none_or(|at| at == text.len() as u64), "to the end");
            prop_assert_eq!(report.messages as usize, kept.texts.len());
        }

        #[test]
        fn every_word_of_a_plain_chat_is_in_its_message(
            words in prop::collection::vec("[a-z]{1,9}( [a-z]{1,9}){0,5}(\n[a-z]{1,9})?", 1..60),
        ) {
            let minute = |i: usize| format!("{:02}:{:02}", i / 60, i % 60);
            let chat: String = words
                .iter()
                .enumerate()
                .map(|(i, words)| format!("31/01/2024, {} - Ann: say {words}\n", minute(i)))
                .collect();
            let (_, kept) = parse(chat.as_bytes());
            let wanted: Vec<_> = words.iter().map(|words| Some(format!("say {words}"))).collect();
            prop_assert_eq!(kept.texts, wanted);
        }
    }

    /// A text that is made while it is read: nothing of it lies in memory.
    struct Endless {
        head: &'static [u8],
        len: u64,
        at: u64,
    }

    impl Read for Endless {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let count = usize::try_from(self.len - self.at)
                .unwrap_or(usize::MAX)
                .min(out.len());
            for byte in &mut out[..count] {
                *byte = usize::try_from(self.at)
                    .ok()
                    .and_then(|at| self.head.get(at))
                    .copied()
                    .unwrap_or(b'x');
                self.at += 1;
            }
            Ok(count)
        }
    }

    impl Seek for Endless {
        fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
            self.at = match to {
                SeekFrom::Start(at) => at,
                SeekFrom::End(by) => self.len.saturating_add_signed(by),
                SeekFrom::Current(by) => self.at.saturating_add_signed(by),
            };
            Ok(self.at)
        }
    }

    #[test]
    fn a_line_of_many_megabytes_is_one_message_with_its_beginning_as_text() {
        let len = 40 << 20;
        let mut input = Endless {
            head: b"31/01/2024, 10:20 - Ann: ",
            len,
            at: 0,
        };
        let mut kept = Kept::default();
        let report = WhatsappExport
            .parse(&mut input, &ParseOptions::default(), &mut kept)
            .expect("it can be read");
        assert_eq!(report.messages, 1);
        assert_eq!(
            kept.spans,
            [Span {
                stream: 0,
                offset: 0,
                len
            }],
            "all bytes belong to it"
        );
        let shown = kept.texts[0].as_ref().expect("a text").len();
        assert!(shown <= 1 << 20, "the record's text is capped");
        assert_eq!(kept.problems, ["line-too-long"]);
    }

    fn refused(bytes: &[u8]) -> String {
        match WhatsappExport.recognize(&mut Cursor::new(bytes), &ParseOptions::default()) {
            Err(error @ NotRecognized::Wrong { .. }) => error.to_string(),
            other => panic!("it was taken: {other:?}"),
        }
    }

    #[test]
    fn a_wrong_file_is_refused_with_what_it_is() {
        for (bytes, found) in [
            (&b""[..], "an empty file"),
            (b"%PDF-1.7", "a PDF"),
            (b"SQLite format 3\0", "an SQLite database"),
            (b"\xFF\xD8\xFF\xE0", "a JPEG image"),
            (b"{\"a\":1}", "a JSON file"),
            (b"a\0b", "a binary file"),
            (
                b"Dear all,\nthis is a letter.\n",
                "a text in which no line looks like a WhatsApp message header",
            ),
            (
                b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
                "a zip without a chat text",
            ),
            (b"PK\x03\x04 cut", "a damaged zip"),
        ] {
            let text = refused(bytes);
            assert!(text.starts_with(found), "{text}");
            assert!(text.contains("expected a WhatsApp chat export"), "{text}");
        }
    }

    #[test]
    fn the_zips_of_the_fixtures_are_taken_or_refused_by_what_is_in_them() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/whatsapp_export/");
        let read =
            |case: &str| std::fs::read(format!("{folder}{case}/input.zip")).expect("the fixture is there");
        for case in ["zip-ios", "zip-android", "zip-unsafe-names", "zip-overlap"] {
            let mut input = Cursor::new(read(case));
            WhatsappExport
                .recognize(&mut input, &ParseOptions::default())
                .expect(case);
        }
        assert!(refused(&read("zip-encrypted")).starts_with("an encrypted zip"));
        assert!(refused(&read("zip-without-chat")).starts_with("a zip whose texts have no line"));
        assert!(refused(&read("zip-cut")).starts_with("a damaged zip"));
    }
}
