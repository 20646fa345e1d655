//! Every fixture of every connector.
//!
//! `fixtures/<connector>/<case>/` holds either
//!
//! * `body.json` or one file `input.*`, with `expected.jsonl` (what the sink was given, a report last) and where
//!   needed `options.json` (`file_name`, `custodian`, `zone_of_phone`, `date_order`, `secrets`, `query`), or
//! * `request.json`: a request, the secrets, and what must become of it.
//!
//! `UPDATE_EXPECT=1`, or a connector's id in the place of 1, writes `expected.jsonl` anew. What was written is then
//! read against the vendor's rules.

#[cfg(test)]
mod walker {
    use std::collections::BTreeMap;
    use std::fs;
    use std::io::{self, Cursor};
    use std::path::{Path, PathBuf};

    use connect::{
        Account, Admission, CONNECTORS, Connector, DateOrder, Door, Fetch, ParseOptions, Request, Secrets,
        Settings, Sink, Span, Verdict,
    };
    use model::Timestamp;
    use model::record::{Conversation, Participant, Record};
    use serde::Deserialize;
    use serde_json::{Value, json};
    use zeroize::Zeroizing;

    /// Writes down what it is given, and checks what every sink may rely on.
    struct Lines {
        lines: Vec<Value>,
        size: Option<u64>,
        ends: BTreeMap<u32, u64>,
        counts: [u64; 3],
    }

    impl Lines {
        fn span(&mut self, span: Span) -> Value {
            let end = span
                .offset
                .checked_add(span.len)
                .expect("a span's end is a number");
            if let (0, Some(size)) = (span.stream, self.size) {
                assert!(end <= size, "a span lies inside the capture");
            }
            json!([span.stream, span.offset, span.len])
        }
    }

    impl Sink for Lines {
        fn record(&mut self, span: Span, record: &Record<'_>) -> io::Result<()> {
            let shown = self.span(span);
            if span.len > 0 {
                let before = self.ends.insert(span.stream, span.offset + span.len).unwrap_or(0);
                assert!(before <= span.offset, "spans of records ascend and never overlap");
            }
            self.counts[match record {
                Record::Message(_) => 0,
                Record::Event(_) => 1,
                Record::Problem(_) => 2,
            }] += 1;
            let value = serde_json::to_value(record).expect("a record can be written");
            let text = value.to_string();
            let back: Record<'_> = serde_json::from_str(&text).expect("a record can be read back");
            assert_eq!(
                serde_json::to_value(&back).expect("again"),
                value,
                "a record reads back as it was written"
            );
            self.lines.push(json!({"span": shown, "record": value}));
            Ok(())
        }

        fn belongs(
            &mut self,
            span: Span,
            conversation: Option<&Conversation<'_>>,
            person: Option<&Participant<'_>>,
        ) -> io::Result<()> {
            let shown = self.span(span);
            self.lines
                .push(json!({"belongs": shown, "conversation": conversation, "person": person}));
            Ok(())
        }

        fn fetch(&mut self, fetch: &Fetch) -> io::Result<()> {
            self.lines.push(json!({"fetch": fetch}));
            Ok(())
        }
    }

    #[derive(Default, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Options {
        file_name: Option<String>,
        custodian: Option<String>,
        zone_of_phone: Option<String>,
        date_order: Option<DateOrder>,
        secrets: BTreeMap<String, Vec<String>>,
        query: Option<String>,
    }

    fn options(case: &Path) -> ParseOptions {
        let Ok(text) = fs::read_to_string(case.join("options.json")) else {
            return ParseOptions::default();
        };
        let options: Options = serde_json::from_str(&text).expect("options.json is as described");
        let zone = |name: String| jiff::tz::TimeZone::get(&name).expect("the zone exists");
        ParseOptions {
            file_name: options.file_name,
            custodian: options.custodian,
            zone_of_phone: options.zone_of_phone.map(zone),
            date_order: options.date_order,
            secrets: secrets(&options.secrets),
            query: options.query,
        }
    }

    fn input(case: &Path) -> Option<PathBuf> {
        let named = |path: &PathBuf| {
            path.file_name().is_some_and(|name| name == "body.json")
                || path.file_stem().is_some_and(|s| s == "input")
        };
        files(case).into_iter().find(named)
    }

    fn files(folder: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(folder).into_iter().flatten();
        let mut paths: Vec<_> = entries
            .map(|entry| entry.expect("an entry can be read").path())
            .collect();
        paths.sort();
        paths
    }

    fn cases(connector: &dyn Connector) -> Vec<PathBuf> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fixtures")
            .join(connector.id().replace('-', "_"));
        files(&folder).into_iter().filter(|path| path.is_dir()).collect()
    }

    /// What the sink was given, one value a line, the report last.
    fn parsed(connector: &dyn Connector, input: &Path, options: &ParseOptions) -> String {
        let bytes = fs::read(input).expect("the input can be read");
        let size = u64::try_from(bytes.len()).expect("a file's length fits");
        let mut sink = Lines {
            lines: Vec::new(),
            size: Some(size),
            ends: BTreeMap::new(),
            counts: [0; 3],
        };
        let report = connector
            .parse(&mut Cursor::new(bytes), options, &mut sink)
            .expect("parsing never fails");
        assert_eq!(
            [report.messages, report.events, report.problems],
            sink.counts,
            "the report counts what was given"
        );
        sink.lines.push(json!({"report": report}));
        sink.lines.iter().map(|line| format!("{line}\n")).collect()
    }

    #[test]
    fn every_input_is_understood_as_expected() {
        let asked = std::env::var("UPDATE_EXPECT").unwrap_or_default();
        let mut wrong = Vec::new();
        for &connector in CONNECTORS {
            let update = asked == "1" || asked == connector.id();
            for case in cases(connector) {
                let Some(input) = input(&case) else { continue };
                let found = parsed(connector, &input, &options(&case));
                let expected = case.join("expected.jsonl");
                if update {
                    fs::write(&expected, &found).expect("the expectation can be written");
                }
                let wanted = fs::read_to_string(&expected).unwrap_or_default();
                for (number, pair) in wanted.lines().zip(found.lines()).enumerate() {
                    if pair.0 != pair.1 {
                        wrong.push(format!(
                            "{}:{}\n  expected {}\n  found    {}",
                            case.display(),
                            number + 1,
                            pair.0,
                            pair.1
                        ));
                    }
                }
                if wanted.lines().count() != found.lines().count() {
                    wrong.push(format!("{}: another number of lines", case.display()));
                }
            }
        }
        assert!(
            wrong.is_empty(),
            "{} differences\n{}",
            wrong.len(),
            wrong.join("\n")
        );
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Asked {
        method: String,
        #[serde(default)]
        query: String,
        #[serde(default)]
        headers: Vec<(String, String)>,
        #[serde(default)]
        body: String,
        secrets: BTreeMap<String, Vec<String>>,
        #[serde(default)]
        settings: Settings,
        /// When it came; needed where a signed time is compared with the clock.
        #[serde(default)]
        received_at: Timestamp,
        expected: Value,
    }

    fn secrets(given: &BTreeMap<String, Vec<String>>) -> Secrets {
        let wrap = |values: &Vec<String>| {
            values
                .iter()
                .map(|v| Zeroizing::new(v.clone().into_bytes()))
                .collect()
        };
        Secrets(
            given
                .iter()
                .map(|(name, values)| (name.clone(), wrap(values)))
                .collect(),
        )
    }

    fn decided(connector: &dyn Connector, asked: &Asked) -> Value {
        let headers: Vec<(&str, &[u8])> = asked
            .headers
            .iter()
            .map(|(n, v)| (n.as_str(), v.as_bytes()))
            .collect();
        let secrets = secrets(&asked.secrets);
        let account = Account {
            secrets: &secrets,
            settings: &asked.settings,
        };
        let request = Request {
            method: &asked.method,
            query: &asked.query,
            headers: &headers,
            body: asked.body.as_bytes(),
            received_at: asked.received_at,
        };
        match connector.admit(&request, account) {
            Err(refused) => json!({"refused": format!("{refused:?}")}),
            Ok(Admission::Answer(reply)) => {
                json!({"answer": String::from_utf8_lossy(&reply.body), "content_type": reply.content_type})
            }
            Ok(Admission::Keep {
                verdict: Verdict::Signature { secret },
                reply,
                ..
            }) => match &*reply.body {
                b"" => json!({"kept": {"secret": secret}}),
                said => json!({"kept": {"secret": secret, "reply": String::from_utf8_lossy(said)}}),
            },
            Ok(Admission::Keep {
                verdict: Verdict::Unverified,
                ..
            }) => json!({"kept": "unverified"}),
        }
    }

    #[test]
    fn every_request_is_decided_as_expected() {
        for &connector in CONNECTORS {
            for case in cases(connector) {
                let Ok(text) = fs::read_to_string(case.join("request.json")) else {
                    continue;
                };
                let asked: Asked =
                    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", case.display()));
                assert_eq!(decided(connector, &asked), asked.expected, "{}", case.display());
            }
        }
    }

    #[test]
    fn every_connector_has_its_fixtures() {
        for &connector in CONNECTORS {
            let id = connector.id();
            let cases = cases(connector);
            let with = |name: &str| cases.iter().filter(|case| case.join(name).is_file()).count();
            for case in &cases {
                let parse = input(case).is_some() && case.join("expected.jsonl").is_file();
                assert!(
                    parse || case.join("request.json").is_file(),
                    "{} holds no case",
                    case.display()
                );
            }
            assert!(with("expected.jsonl") >= 5, "{id} has fewer than five inputs");
            if let Door::Webhook { .. } = connector.door() {
                assert!(with("request.json") >= 5, "{id} has fewer than five requests");
            }
        }
    }

    #[test]
    fn every_problem_of_a_fixture_is_on_its_connectors_page() {
        for &connector in CONNECTORS {
            let known: Vec<_> = connector.about().problems.iter().map(|(code, _)| *code).collect();
            for case in cases(connector) {
                for line in fs::read_to_string(case.join("expected.jsonl"))
                    .unwrap_or_default()
                    .lines()
                {
                    let line: Value = serde_json::from_str(line).expect("a line is JSON");
                    if let Some(code) = line["record"]["code"].as_str() {
                        assert!(
                            known.contains(&code),
                            "{code} of {} is not documented",
                            case.display()
                        );
                    }
                }
            }
        }
    }
}
