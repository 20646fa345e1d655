//! A sink that keeps everything, and the bodies to try.

use std::io::{self, Cursor};

use connect::{Fetch, ParseOptions, Report, Sink, Span};
use model::record::{Conversation, Participant, Record};
use serde_json::Value;

/// Keeps everything.
#[derive(Default)]
pub struct Collect {
    pub records: Vec<(Span, Value)>,
    pub belonging: Vec<Span>,
    pub fetches: Vec<Fetch>,
}

impl Sink for Collect {
    fn record(&mut self, span: Span, record: &Record<'_>) -> io::Result<()> {
        let value = serde_json::to_value(record).expect("a record can be written");
        self.records.push((span, value));
        Ok(())
    }

    fn belongs(
        &mut self,
        span: Span,
        _: Option<&Conversation<'_>>,
        _: Option<&Participant<'_>>,
    ) -> io::Result<()> {
        self.belonging.push(span);
        Ok(())
    }

    fn fetch(&mut self, fetch: &Fetch) -> io::Result<()> {
        self.fetches.push(fetch.clone());
        Ok(())
    }
}

/// What a body says.
pub fn parsed(body: &[u8]) -> (Collect, Report) {
    let mut sink = Collect::default();
    let connector = connect::find("whatsapp-cloud").expect("it is there");
    let report = connector
        .parse(&mut Cursor::new(body), &ParseOptions::default(), &mut sink)
        .expect("parsing never fails for what the bytes say");
    for (_, record) in sink
        .records
        .iter()
        .filter(|(_, record)| record["kind"] == "problem")
    {
        let code = record["code"].as_str().expect("a code is text");
        let mut known = connector.about().problems.iter();
        assert!(known.any(|(known, _)| *known == code), "{code} is not documented");
    }
    (sink, report)
}

/// Codes of the problems of a body.
pub fn problems(body: &[u8]) -> Vec<String> {
    let (sink, _) = parsed(body);
    let codes = sink
        .records
        .iter()
        .filter_map(|(_, record)| record["code"].as_str());
    codes.map(str::to_owned).collect()
}

/// Every body among the fixtures.
pub fn fixtures() -> Vec<Vec<u8>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/whatsapp_cloud");
    let cases = std::fs::read_dir(folder).expect("the fixtures are there");
    let bodies = cases.filter_map(|case| std::fs::read(case.expect("a case").path().join("body.json")).ok());
    bodies.collect()
}

/// A delivery of these message objects.
pub fn delivery(messages: &str) -> String {
    format!(
        r#"{{"object":"whatsapp_business_account","entry":[{{"id":"1","changes":[{{"field":"messages","value":{{"messages":[{messages}]}}}}]}}]}}"#
    )
}
