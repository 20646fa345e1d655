//! A list of custodians as a table: CSV with a line of titles. What is wrong is named by line, and the rest goes on.

use std::collections::BTreeMap;

use govern::custodian::{Enrolled, Roster, are_apart};
use model::Timestamp;
use serde::Serialize;

/// Columns there are; the first two must be.
const COLUMNS: [&str; 7] = [
    "name",
    "handles",
    "zone",
    "department",
    "connections",
    "mode",
    "start",
];
/// How somebody is captured.
const MODES: [&str; 2] = ["automatic", "by-export"];
/// Sorts of handles.
const KINDS: [&str; 7] = [
    "phone",
    "bsuid",
    "username",
    "wecom_userid",
    "wecom_external",
    "openid",
    "email",
];
/// Lines of one list.
const LINES_MAX: usize = 100_000;

/// What is wrong in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Wrong {
    /// Line, from 1.
    pub line: u64,
    /// What, without content.
    pub problem: String,
    /// What to do.
    pub remedy: String,
}

/// What a list says.
pub struct Table {
    /// Whom it enrols.
    pub rows: Vec<Enrolled>,
    /// Lines that say the same of somebody as before.
    pub known: u64,
    /// What is wrong.
    pub wrong: Vec<Wrong>,
}

/// What holds for every line.
pub struct Rules<'a> {
    /// Who is enrolled already.
    pub roster: &'a Roster,
    /// Connections there are.
    pub connections: &'a [String],
    /// The zone of this instance.
    pub zone: &'a str,
    /// Start where none is given.
    pub now: Timestamp,
}

/// By handle: the lines in which it stands, each with the connections of whoever has it there.
type Seen = BTreeMap<(String, String), Vec<(u64, Vec<String>)>>;

fn wrong(line: u64, problem: impl Into<String>, remedy: impl Into<String>) -> Wrong {
    Wrong {
        line,
        problem: problem.into(),
        remedy: remedy.into(),
    }
}

/// Reads a list.
pub fn read(text: &str, rules: &Rules<'_>) -> Table {
    let mut table = Table {
        rows: Vec::new(),
        known: 0,
        wrong: Vec::new(),
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let Ok(titles) = reader.headers().cloned() else {
        table.wrong.push(wrong(
            1,
            "the line of titles is not readable",
            "save the file as CSV in UTF-8",
        ));
        return table;
    };
    let mut places: BTreeMap<&str, usize> = BTreeMap::new();
    for (place, title) in titles.iter().enumerate() {
        match COLUMNS.iter().find(|column| title.eq_ignore_ascii_case(column)) {
            Some(column) if places.contains_key(column) => {
                table.wrong.push(wrong(
                    1,
                    format!("column {column} is there twice"),
                    "delete one of them",
                ));
            }
            Some(column) => {
                places.insert(column, place);
            }
            None => table.wrong.push(wrong(
                1,
                format!("column {} is not known and not read", place + 1),
                format!("columns are {}", COLUMNS.join(", ")),
            )),
        }
    }
    for must in COLUMNS.iter().take(2) {
        if !places.contains_key(must) {
            table.wrong.push(wrong(
                1,
                format!("column {must} is missing"),
                "add it; nothing was enrolled",
            ));
        }
    }
    if !(places.contains_key("name") && places.contains_key("handles")) {
        return table;
    }
    let mut seen = Seen::new();
    for record in reader.records().take(LINES_MAX) {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                let line = error.position().map_or(0, csv::Position::line);
                table.wrong.push(wrong(
                    line,
                    "the line is not readable",
                    "save the file as CSV in UTF-8",
                ));
                continue;
            }
        };
        let line = record.position().map_or(0, csv::Position::line);
        let field = |name: &str| {
            let place = places.get(name).copied();
            place.and_then(|place| record.get(place)).unwrap_or("")
        };
        match one(line, &field, rules, &mut seen) {
            Ok(Some(row)) => table.rows.push(row),
            Ok(None) => table.known += 1,
            Err(found) => table.wrong.extend(found),
        }
    }
    table
}

/// One line: whom it enrols; nobody, when it says again what is known.
fn one<'a>(
    line: u64,
    field: &dyn Fn(&str) -> &'a str,
    rules: &Rules<'_>,
    seen: &mut Seen,
) -> Result<Option<Enrolled>, Vec<Wrong>> {
    let mut found = Vec::new();
    if field("name").is_empty() {
        found.push(wrong(
            line,
            "the name is empty",
            "write what the person is called",
        ));
    }
    let zone = field("zone");
    if !zone.is_empty() && zone != rules.zone {
        found.push(wrong(
            line,
            format!("the zone is not {}, which this instance serves", rules.zone),
            "enrol this person in the instance of their zone",
        ));
    }
    let mode = if field("mode").is_empty() {
        "automatic"
    } else {
        field("mode")
    };
    if !MODES.contains(&mode) {
        found.push(wrong(
            line,
            "the mode is not known",
            format!("one of {}", MODES.join(", ")),
        ));
    }
    let start = match field("start") {
        "" => Some(rules.now),
        day => Timestamp::parse(day)
            .or_else(|_| Timestamp::parse(&format!("{day}T00:00:00Z")))
            .ok(),
    };
    if start.is_none() {
        found.push(wrong(line, "the start is not a date", "write it as 2026-01-31"));
    }
    let connections: Vec<String> = list(field("connections"));
    for connection in &connections {
        if !rules.connections.contains(connection) {
            found.push(wrong(
                line,
                "a connection is not configured",
                "`chancery connection list` names those that are; add it first",
            ));
        }
    }
    let handles = handles(line, field("handles"), &mut found);
    let start = start.unwrap_or(rules.now);
    let holder = |handle| rules.roster.holder(handle, start, &connections);
    let same = |handle| {
        holder(handle)
            .is_some_and(|person| person.enrolled.name == field("name") && person.enrolled.handles == handles)
    };
    if found.is_empty() && handles.iter().all(same) {
        return Ok(None);
    }
    for handle in &handles {
        let lines = seen.get(handle).into_iter().flatten();
        let mut same = lines.filter(|(_, theirs)| !are_apart(&handle.0, theirs, &connections));
        if let Some((before, _)) = same.next() {
            found.push(wrong(
                line,
                format!("a handle stands in line {before} too"),
                "give it to one of them; `chancery custodian record` says when it changed hands or is shared",
            ));
        } else if let Some(person) = holder(handle) {
            found.push(wrong(
                line,
                format!("a handle is custodian {}'s on that day", person.id),
                format!(
                    "`chancery custodian record {} number-recycled` first, or a later start",
                    person.id
                ),
            ));
        }
    }
    if !found.is_empty() {
        return Err(found);
    }
    for handle in &handles {
        let lines = seen.entry(handle.clone()).or_default();
        lines.push((line, connections.clone()));
    }
    Ok(Some(Enrolled {
        name: field("name").to_owned(),
        zone: rules.zone.to_owned(),
        department: field("department").to_owned(),
        handles,
        connections,
        mode: mode.to_owned(),
        start,
    }))
}

fn list(text: &str) -> Vec<String> {
    let pieces = text.split(';').map(str::trim);
    pieces
        .filter(|piece| !piece.is_empty())
        .map(str::to_owned)
        .collect()
}

fn handles(line: u64, text: &str, found: &mut Vec<Wrong>) -> Vec<(String, String)> {
    let mut handles = Vec::new();
    for piece in list(text) {
        match handle(&piece) {
            Ok(handle) if handles.contains(&handle) => {
                found.push(wrong(line, "a handle is there twice", "delete one of them"));
            }
            Ok(handle) => handles.push(handle),
            Err(remedy) => found.push(wrong(line, "a handle is not understood", remedy)),
        }
    }
    if handles.is_empty() && text.is_empty() {
        found.push(wrong(
            line,
            "there is no handle",
            "write the phone number or id by which their messages come",
        ));
    }
    handles
}

/// A handle as it is typed: `KIND:VALUE`, or a phone number with its country.
///
/// # Errors
/// What to write.
pub fn handle(text: &str) -> Result<(String, String), String> {
    let (kind, value) = text.split_once(':').unwrap_or(("phone", text));
    let (kind, value) = (kind.trim(), value.trim());
    if !KINDS.contains(&kind) {
        return Err(format!(
            "a phone number, or KIND:VALUE with KIND one of {}",
            KINDS.join(", ")
        ));
    }
    if kind != "phone" {
        return match value.is_empty() {
            true => Err("a value after the colon".to_owned()),
            false => Ok((kind.to_owned(), value.to_owned())),
        };
    }
    let odd = |c: char| !(c.is_ascii_digit() || " +-().".contains(c));
    let digits: String = value.chars().filter(char::is_ascii_digit).collect();
    // E.164: at most fifteen digits.
    if !value.starts_with('+') || value.contains(odd) || !(7..=15).contains(&digits.len()) {
        return Err("a phone number with + and its country, as +44 7700 900123".to_owned());
    }
    Ok(("phone".to_owned(), digits))
}
