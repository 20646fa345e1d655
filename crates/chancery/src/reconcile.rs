//! `reconcile`: two accounts of one conversation, laid side by side.

use std::collections::hash_map::RandomState;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use connect::{Connector, Fetch, NotRecognized, ParseOptions, Sink, Span};
use model::MessageId;
use model::record::{Conversation, Participant, Record};
use reconcile::{Difference, Outcome, Side, compare};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use server::vault::reconcile::{Begun, Digesting, Reach};
use server::vault::{Vault, VaultError};

use crate::args::Global;
use crate::failure::{BAD_DATA, DOES_NOT_HOLD, DONE, Failure};
use crate::operation::{Emit, Interim, Operation};
use crate::print::{self, Words, clean};
use crate::{files, owner, perform};

/// What `parse` writes, as a source.
const RECORDS: &str = "records";

/// A line of `records` at most: the longest message of any connector, its files and details, many times over.
const LINE_BYTES_MAX: u64 = 16 << 20;

/// Of a text in the words for people.
const EXCERPT: usize = 100;

/// For `--help`.
pub const EXAMPLES: &str = "\
Examples: chancery reconcile whatsapp-export:ann.zip whatsapp-export:bob.zip
          chancery reconcile whatsapp-export:chat.zip --conversation 447700900123
          chancery parse whatsapp-cloud hooks.json > hooks.jsonl
          chancery reconcile whatsapp-export:chat.zip records:hooks.jsonl

The first is A, the second B; files stand before conversations. Time zones, clocks and names are learned from what both have.
Exit code 0: where both reach, both say the same. 1: they differ, or have nothing in common.";

/// Arguments of `reconcile`.
#[derive(Args)]
pub struct ReconcileArgs {
    /// A file and what reads it: a connector, or records for the output of `parse`.
    #[arg(value_name = "SOURCE:FILE", num_args = 0..=2)]
    pub accounts: Vec<String>,
    /// A captured conversation, by the id that `show` prints. What is read is written down before.
    #[arg(long, value_name = "ID")]
    pub conversation: Vec<String>,
    /// Captured conversations of this connection only.
    #[arg(long, value_name = "ID", requires = "conversation")]
    pub connection: Option<String>,
    /// Of a file that holds several conversations, the one with this id or title.
    #[arg(long, value_name = "ID")]
    pub within: Option<String>,
    /// Write the result into the record, also when only files are compared.
    #[arg(long)]
    pub record: bool,
    /// Print so many differences at most; all are counted.
    #[arg(long, default_value_t = 1000, value_name = "N")]
    pub limit: u64,
}

/// What is to be compared.
#[derive(Serialize, Deserialize)]
pub struct Asked {
    a: Account,
    b: Account,
    within: Option<String>,
    limit: u64,
}

/// One account.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Account {
    File { source: String, path: PathBuf },
    Captured { id: String, connection: Option<String> },
}

/// Does it.
///
/// # Errors
/// What went wrong.
pub fn run(global: &Global, args: ReconcileArgs) -> Result<u8, Failure> {
    let needs_vault = args.record || !args.conversation.is_empty();
    let asked = asked(args)?;
    let mut shown = Shown {
        json: global.json,
        begun: false,
    };
    let done = match needs_vault {
        true => owner::run(global, Operation::Reconcile(asked), &mut |interim| {
            shown.interim(interim)
        }),
        false => laid_side_by_side(None, &asked, &mut |interim| shown.interim(interim)),
    };
    let outcome = match done {
        Ok(outcome) => outcome,
        Err(failure) if global.json && shown.begun => {
            // The object that was begun is ended with the error in it.
            let error = failure.json().get("error").cloned().unwrap_or_default();
            print::print(&format!("\n],\"error\":{error}}}\n"))?;
            return Ok(failure.code);
        }
        Err(failure) => return Err(failure),
    };
    let same = outcome.get("verdict").and_then(Value::as_str) == Some("same");
    if global.json {
        let opening = if shown.begun { "\n" } else { "{\"differences\":[" };
        print::print(&format!("{opening}],\"outcome\":{outcome}}}\n"))?;
    } else {
        words(&outcome).print()?;
    }
    Ok(if same { DONE } else { DOES_NOT_HOLD })
}

fn asked(args: ReconcileArgs) -> Result<Asked, Failure> {
    let mut accounts = Vec::new();
    for account in &args.accounts {
        let Some((source, path)) = account.split_once(':').filter(|(_, path)| !path.is_empty()) else {
            return Err(Failure::usage(format!(
                "{account}: say what reads the file, as in whatsapp-export:chat.zip"
            )));
        };
        if source != RECORDS {
            perform::connector(source)?;
        }
        accounts.push(Account::File {
            source: source.to_owned(),
            path: files::absolute(Path::new(path))?,
        });
    }
    for id in args.conversation {
        accounts.push(Account::Captured {
            id,
            connection: args.connection.clone(),
        });
    }
    let Ok([a, b]) = <[Account; 2]>::try_from(accounts) else {
        return Err(Failure::usage(
            "two accounts are compared: two files, a file and --conversation, or --conversation twice",
        ));
    };
    Ok(Asked {
        a,
        b,
        within: args.within,
        limit: args.limit,
    })
}

/// Prints differences as they come.
struct Shown {
    json: bool,
    begun: bool,
}

impl Shown {
    fn interim(&mut self, interim: Interim) -> Result<(), Failure> {
        let Interim::Item(item) = interim else {
            return Ok(());
        };
        let first = !std::mem::replace(&mut self.begun, true);
        if self.json {
            let before = if first { "{\"differences\":[\n" } else { ",\n" };
            return print::print(&format!("{before}{item}"));
        }
        print::print(&difference_words(&item))
    }
}

/// Does it for whoever has the vault.
///
/// # Errors
/// What went wrong.
pub fn perform(vault: &Vault, asked: &Asked, actor: &str, emit: &mut Emit<'_>) -> Result<Value, Failure> {
    laid_side_by_side(Some((vault, actor)), asked, emit)
}

fn laid_side_by_side(
    vault: Option<(&Vault, &str)>,
    asked: &Asked,
    emit: &mut Emit<'_>,
) -> Result<Value, Failure> {
    let keys = RandomState::new();
    let begun = match vault {
        Some((vault, actor)) => {
            perform::settle(vault)?;
            let (a, b) = (subject(vault, &asked.a)?, subject(vault, &asked.b)?);
            Some((vault, actor, vault.begin_reconciling(&a, &b, actor)?))
        }
        None => None,
    };
    let within = asked.within.as_deref();
    let load = |account: &Account| match (account, &begun) {
        (Account::File { source, path }, _) => load_file(source, path, within, &keys),
        (Account::Captured { id, connection }, Some((vault, _, begun))) => {
            load_captured(vault, begun, id, connection.as_deref(), &keys)
        }
        (Account::Captured { .. }, None) => {
            Err(Failure::usage("a captured conversation needs its data folder"))
        }
    };
    // Reading the two takes longer than comparing them.
    let (a, b) = std::thread::scope(|scope| {
        let a = scope.spawn(|| load(&asked.a));
        let b = load(&asked.b);
        (a.join(), b)
    });
    let a = a.map_err(|_| Failure::new(crate::failure::IO, "the first account could not be read"))??;
    let b = b?;
    let (mut digesting, mut listed, mut left_out) = (Digesting::default(), 0, 0u64);
    let outcome = compare::<Failure>(a.side, b.side, &mut |difference| {
        let item = difference_json(difference, &a.places, &b.places);
        if begun.is_some() {
            digesting.update(item.to_string().as_bytes());
            digesting.update(b"\n");
        }
        if listed == asked.limit {
            left_out += 1;
            return Ok(());
        }
        listed += 1;
        emit(Interim::Item(item))
    })?;
    let mut answer = json!(outcome);
    let entry = match begun {
        Some((vault, actor, begun)) => {
            let report = vault.finish_digest(digesting);
            Some(vault.end_reconciling(&begun, result(&outcome, &report), actor)?)
        }
        None => None,
    };
    if let Value::Object(fields) = &mut answer {
        fields.insert("not_listed".to_owned(), json!(left_out));
        fields.insert("entry".to_owned(), json!(entry));
        fields.insert("captured".to_owned(), json!(a.reach.or(b.reach)));
    }
    Ok(answer)
}

/// What the act says that is compared: no content.
fn subject(vault: &Vault, account: &Account) -> Result<Value, Failure> {
    match account {
        Account::File { source, path } => {
            let mut file = File::open(path).map_err(|error| Failure::io("reading", path, &error))?;
            let digest = vault.keyed_digest(&mut file);
            let digest = digest.map_err(|error| Failure::from(error).of(path.display()))?;
            Ok(json!({ "source": source, "file": digest }))
        }
        Account::Captured { id, connection } => {
            Ok(vault.captured_conversation(id, connection.as_deref())?.named())
        }
    }
}

/// What the act says that was found: counts and digests, no content.
fn result(outcome: &Outcome, report: &str) -> Value {
    let offsets: Vec<i64> = outcome
        .clock
        .stretches
        .iter()
        .map(|stretch| stretch.offset_s)
        .collect();
    json!({
        "verdict": outcome.verdict,
        "counts": outcome.counts,
        "explained": outcome.explained,
        "outside": outcome.outside,
        "absent": outcome.absent.iter().map(|absent| absent.messages).sum::<u64>(),
        "clock_sure": outcome.clock.sure,
        "offsets_s": offsets,
        "messages": [outcome.a.messages, outcome.b.messages],
        "report": report,
    })
}

/// Where the records of an account stand.
enum Places {
    Offsets(Vec<u64>),
    Captured(Vec<MessageId>),
}

struct Loaded {
    side: Side,
    places: Places,
    reach: Option<Reach>,
}

fn too_many() -> Failure {
    Failure::new(
        BAD_DATA,
        format!(
            "{}; compare shorter stretches of the conversation",
            reconcile::TooMany
        ),
    )
}

fn load_captured(
    vault: &Vault,
    begun: &Begun,
    id: &str,
    connection: Option<&str>,
    keys: &RandomState,
) -> Result<Loaded, Failure> {
    let conversation = vault.captured_conversation(id, connection)?;
    let (mut side, mut places) = (Side::new(keys), Vec::new());
    let reach = vault.each_of_conversation(begun, &conversation, &mut |id, record| {
        let place = places.len() as u64;
        side.add(place, record)
            .map_err(|error| VaultError::BadData(error.to_string()))?;
        places.push(id);
        Ok(())
    })?;
    Ok(Loaded {
        side,
        places: Places::Captured(places),
        reach: Some(reach),
    })
}

fn load_file(source: &str, path: &Path, within: Option<&str>, keys: &RandomState) -> Result<Loaded, Failure> {
    let mut taking = Taking {
        side: Side::new(keys),
        offsets: Vec::new(),
        within,
        first: None,
        several: false,
        too_many: false,
    };
    let unreadable = |error: &io::Error| Failure::io("reading", path, error);
    let mut file = File::open(path).map_err(|error| unreadable(&error))?;
    let read = if source == RECORDS {
        taking.records(&file)
    } else {
        let connector: &dyn Connector = perform::connector(source)?;
        let options = ParseOptions {
            file_name: path.file_name().map(|name| name.to_string_lossy().into_owned()),
            ..ParseOptions::default()
        };
        match connector.recognize(&mut file, &options) {
            Err(NotRecognized::Io(error)) => return Err(unreadable(&error)),
            Err(wrong) => return Err(Failure::new(BAD_DATA, wrong.to_string()).of(path.display())),
            Ok(()) => io::Seek::rewind(&mut file)
                .and_then(|()| connector.parse(&mut file, &options, &mut taking))
                .map(drop)
                .map_err(|error| unreadable(&error)),
        }
    };
    if taking.too_many {
        return Err(too_many().of(path.display()));
    }
    read.map_err(|failure| failure.of(path.display()))?;
    if taking.several {
        let text = "holds several conversations; name one with --within";
        return Err(Failure::usage(text).of(path.display()));
    }
    Ok(Loaded {
        side: taking.side,
        places: Places::Offsets(taking.offsets),
        reach: None,
    })
}

/// Takes the records of a file.
struct Taking<'a> {
    side: Side,
    offsets: Vec<u64>,
    within: Option<&'a str>,
    first: Option<String>,
    several: bool,
    too_many: bool,
}

impl Taking<'_> {
    fn take(&mut self, offset: u64, record: &Record<'_>) -> io::Result<()> {
        let (conversation, is_message) = match record {
            Record::Message(message) => (&message.conversation, true),
            Record::Event(event) => (&event.conversation, false),
            Record::Problem(_) => return Ok(()),
        };
        if !self.wanted(conversation.as_ref(), is_message) {
            return Ok(());
        }
        let place = self.offsets.len() as u64;
        if self.side.add(place, record).is_err() {
            self.too_many = true;
            return Err(io::Error::other("too many messages"));
        }
        self.offsets.push(offset);
        Ok(())
    }

    fn wanted(&mut self, conversation: Option<&Conversation<'_>>, is_message: bool) -> bool {
        let names = conversation.map(|one| [one.id.as_ref(), one.title.as_ref()]);
        let mut names = names.into_iter().flatten().flatten().map(|name| name.reveal());
        if let Some(within) = self.within {
            let named = names.any(|name| name == within);
            return named || (conversation.is_none() && !is_message);
        }
        if let Some(name) = names.next().filter(|_| is_message) {
            match &self.first {
                Some(first) => self.several |= first != name,
                None => self.first = Some(name.to_owned()),
            }
        }
        true
    }

    /// What `parse` wrote.
    fn records(&mut self, file: &File) -> Result<(), Failure> {
        let mut reader = BufReader::with_capacity(1 << 20, file);
        let (mut line, mut offset, mut number) = (Vec::new(), 0u64, 0u64);
        loop {
            line.clear();
            number += 1;
            let wrong = |what: &str| Failure::new(BAD_DATA, format!("line {number} {what}"));
            let count = Read::by_ref(&mut reader)
                .take(LINE_BYTES_MAX)
                .read_until(b'\n', &mut line)
                .map_err(|_| wrong("could not be read"))?;
            if count == 0 {
                return Ok(());
            }
            if count as u64 == LINE_BYTES_MAX && !line.ends_with(b"\n") {
                return Err(wrong("is too long"));
            }
            let text = line.trim_ascii();
            if !text.is_empty() {
                match serde_json::from_slice::<Line<'_>>(text) {
                    Ok(Line::Record(record)) => {
                        self.take(offset, &record).map_err(|_| too_many())?;
                    }
                    Ok(Line::Report { .. }) => {}
                    Err(_) => return Err(wrong("is no record as `chancery parse` writes it")),
                }
            }
            offset += count as u64;
        }
    }
}

/// A line that `parse` writes.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line<'a> {
    #[serde(borrow)]
    Record(Box<Record<'a>>),
    Report {
        #[serde(rename = "kind")]
        _kind: Report,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Report {
    Report,
}

impl Sink for Taking<'_> {
    fn record(&mut self, span: Span, record: &Record<'_>) -> io::Result<()> {
        self.take(span.offset, record)
    }

    fn belongs(
        &mut self,
        _span: Span,
        _conversation: Option<&Conversation<'_>>,
        _person: Option<&Participant<'_>>,
    ) -> io::Result<()> {
        Ok(())
    }

    fn fetch(&mut self, _fetch: &Fetch) -> io::Result<()> {
        Ok(())
    }
}

fn difference_json(difference: &Difference<'_>, a: &Places, b: &Places) -> Value {
    let mut item = json!(difference);
    for (side, places) in [("a", a), ("b", b)] {
        let place = item.get_mut(side).and_then(|side| side.get_mut("place"));
        let Some(place) = place else { continue };
        let index = place.as_u64().and_then(|index| usize::try_from(index).ok());
        let index = index.unwrap_or(usize::MAX);
        *place = match places {
            Places::Offsets(offsets) => json!({ "record": index + 1, "offset": offsets.get(index) }),
            Places::Captured(ids) => json!({ "id": ids.get(index).map(MessageId::to_string) }),
        };
    }
    item
}

fn at<'a>(value: &'a Value, path: &str) -> &'a str {
    value.pointer(path).and_then(Value::as_str).unwrap_or("-")
}

fn number(value: &Value, path: &str) -> u64 {
    value.pointer(path).and_then(Value::as_u64).unwrap_or(0)
}

fn difference_words(item: &Value) -> String {
    let mut names = Vec::new();
    let mut notes = Vec::new();
    for of in item
        .get("differs")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let what = match at(of, "/what") {
            "missing-in-a" => "missing in A",
            "missing-in-b" => "missing in B",
            "text" => "text differs",
            "author" => "author differs",
            "time" => "time differs",
            "order" => "order differs",
            _ => "file differs",
        };
        names.push(format!("{what} ({})", at(of, "/certainty")));
        notes.extend(of.get("note").and_then(Value::as_str));
    }
    let mut text = names.join(", ");
    if !notes.is_empty() {
        text.push_str(&format!(": {}", notes.join("; ")));
    }
    let mut lines = format!("{}\n", clean(&text));
    for (name, side) in [("A", item.get("a")), ("B", item.get("b"))] {
        let Some(side) = side.filter(|side| !side.is_null()) else {
            continue;
        };
        let place = match side.pointer("/place/id").and_then(Value::as_str) {
            Some(id) => id.to_owned(),
            None => format!("no. {}", number(side, "/place/record")),
        };
        let words: String = match side.get("text").and_then(Value::as_str) {
            Some(text) => text.chars().take(EXCERPT).collect(),
            None => format!("({})", at(side, "/content")),
        };
        let line = format!(
            "  {name} {place}  {}  {}: {words}",
            at(side, "/at"),
            at(side, "/author")
        );
        lines.push_str(&format!("{}\n", clean(&line)));
    }
    lines
}

fn words(outcome: &Value) -> Words {
    let mut words = Words::new();
    let count = |path: &str| number(outcome, path).to_string();
    words.line(match at(outcome, "/verdict") {
        "same" => "Where both reach, both say the same.",
        "differs" => "They differ.",
        _ => "Too little in common to compare them: nothing is claimed of single messages.",
    });
    for (name, side) in [("A", "/a"), ("B", "/b")] {
        let one = |field: &str| format!("{side}/{field}");
        words.line(&format!(
            "{name}: {} messages, {} to {}; clock: {}{}",
            count(&one("messages")),
            at(outcome, &one("first")),
            at(outcome, &one("last")),
            at(outcome, &format!("/clock{side}")),
            match outcome.pointer(&format!("/clock/other_reading_{}", name.to_lowercase())) {
                Some(Value::Bool(true)) => "; day and month read the other way, as fits the other side",
                _ => "",
            }
        ));
    }
    clock_words(&mut words, outcome);
    people_words(&mut words, outcome);
    let mut rows: Vec<(&str, String)> = Vec::new();
    for (name, path) in [
        ("same", "/counts/same"),
        ("missing in B", "/counts/missing_in_b"),
        ("missing in A", "/counts/missing_in_a"),
        ("text differs", "/counts/text_differs"),
        ("author differs", "/counts/author_differs"),
        ("author unsure", "/counts/author_unsure"),
        ("time differs", "/counts/time_differs"),
        ("order differs", "/counts/order_differs"),
        ("file differs", "/counts/file_differs"),
        ("explained: deleted", "/explained/deleted"),
        ("explained: edited", "/explained/edited"),
        ("explained: media left out", "/explained/media_left_out"),
        ("explained: shown differently", "/explained/shown_differently"),
        ("explained: spelling", "/explained/spelling"),
        ("explained: arrival", "/explained/arrival"),
        ("explained: clock change", "/explained/clock_change"),
        ("A before B begins", "/outside/a_before_b"),
        ("A after B ends", "/outside/a_after_b"),
        ("B before A begins", "/outside/b_before_a"),
        ("B after A ends", "/outside/b_after_a"),
        ("differences not listed", "/not_listed"),
    ] {
        let always = path.starts_with("/counts/same") || path.starts_with("/counts/missing");
        if always || number(outcome, path) > 0 {
            rows.push((name, count(path)));
        }
    }
    words.pairs(&rows);
    if outcome
        .get("captured")
        .is_some_and(|captured| !captured.is_null())
    {
        words.line(&format!(
            "What was captured was looked at up to entry {} of {}; captures that no key opens: {}; erased: {}; gaps open: {}",
            count("/captured/normalized"),
            count("/captured/head"),
            count("/captured/unreadable"),
            count("/captured/erased"),
            count("/captured/gaps"),
        ));
    }
    if let Some(entry) = outcome.get("entry").filter(|entry| !entry.is_null()) {
        words.line(&format!("Written down as entry {entry}."));
    }
    words
}

fn clock_words(words: &mut Words, outcome: &Value) {
    let stretches = outcome.pointer("/clock/stretches").and_then(Value::as_array);
    let sure = outcome.pointer("/clock/sure").and_then(Value::as_bool) == Some(true);
    for stretch in stretches.into_iter().flatten().take(20) {
        let seconds = stretch.get("offset_s").and_then(Value::as_i64).unwrap_or(0);
        let (sign, all) = (
            if seconds < 0 { "behind" } else { "ahead of" },
            seconds.unsigned_abs(),
        );
        words.line(&format!(
            "B's clock is {:02}:{:02}:{:02} {sign} A's, {} to {} by A's; shown by {} messages{}",
            all / 3600,
            all / 60 % 60,
            all % 60,
            at(stretch, "/from"),
            at(stretch, "/to"),
            number(stretch, "/shown_by"),
            if sure {
                ""
            } else {
                ", too few to claim differences of time"
            },
        ));
    }
    let zones = outcome.pointer("/clock/zones").and_then(Value::as_array);
    let zones: Vec<&str> = zones.into_iter().flatten().filter_map(Value::as_str).collect();
    if !zones.is_empty() {
        words.line(&format!("The local clock is UTC{}", zones.join(", UTC")));
    }
}

fn people_words(words: &mut Words, outcome: &Value) {
    let people = outcome.get("people").and_then(Value::as_array);
    let same = |pair: &&Value| pair.get("same").and_then(Value::as_bool) == Some(true);
    for pair in people.into_iter().flatten().filter(same).take(50) {
        words.line(&format!(
            "{} in A is {} in B: {} messages",
            at(pair, "/a"),
            at(pair, "/b"),
            number(pair, "/messages")
        ));
    }
    for absent in outcome
        .get("absent")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let (here, there) = match at(absent, "/absent_in") {
            "a" => ("B", "A"),
            _ => ("A", "B"),
        };
        words.line(&format!(
            "{there} has nothing at all by {}, who has {} messages in {here} where both reach",
            at(absent, "/author"),
            number(absent, "/messages")
        ));
    }
}
