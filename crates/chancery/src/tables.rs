//! What each answer looks like to people.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::print::{Words, clean, plain};

/// Characters of a message shown in a list.
const EXCERPT: usize = 160;
/// Changed messages and lines listed by number.
const LISTED: usize = 20;

/// A value at a path, as people write it.
pub fn text(value: &Value, path: &str) -> String {
    value.pointer(path).map_or_else(|| "-".to_owned(), plain)
}

/// The items of a list.
pub fn rows<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value
        .get(name)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// Items of a list, a line each under a line of titles; `none` when there are none.
pub fn table(value: &Value, name: &str, columns: &[(&str, &str)], none: &str) -> Words {
    let mut words = Words::new();
    let items = rows(value, name);
    if items.is_empty() {
        words.line(none);
        return words;
    }
    let mut lines = vec![columns.iter().map(|(title, _)| (*title).to_owned()).collect()];
    lines.extend(
        items
            .iter()
            .map(|item| columns.iter().map(|(_, path)| text(item, path)).collect()),
    );
    words.table(&lines);
    words
}

/// What can be said of the keys.
pub fn attested(value: &Value) -> Words {
    let mut words = Words::new();
    let one = |path: &str| text(value, path);
    words.pairs(&[
        ("zone", one("/zone")),
        ("public key", one("/public_key")),
        ("at", one("/at")),
        ("epochs open", one("/epochs_open")),
        ("epochs destroyed", one("/epochs_destroyed")),
        ("erasure in force", one("/erasure_in_force")),
        ("holds", one("/holds")),
        ("requests waiting", one("/requests_waiting")),
        (
            "destructions not in force",
            rows(value, "destructions_not_in_force").len().to_string(),
        ),
        ("why", one("/why")),
    ]);
    words.line("");
    words.append(keys(value.get("keys").unwrap_or(&Value::Null)));
    words
}

/// Connections.
pub fn connections(value: &Value) -> Words {
    let columns = [
        ("id", "/id"),
        ("connector", "/connector"),
        ("minimum lock (days)", "/minimum_lock_days"),
    ];
    table(
        value,
        "connections",
        &columns,
        "no connection yet: chancery connection add CONNECTOR ID",
    )
}

/// When secrets of a connection end.
pub fn connection_expires(value: &Value) -> Words {
    let mut words = Words::new();
    let dates = value
        .pointer("/connection/secret_expires")
        .and_then(Value::as_object);
    let id = text(value, "/connection/id");
    match dates.filter(|dates| !dates.is_empty()) {
        None => words.line(&format!("no secret of {id} is known to end")),
        Some(dates) => {
            let rows: Vec<Vec<String>> = dates
                .iter()
                .map(|(name, until)| vec![name.clone(), until.as_str().unwrap_or_default().to_owned()])
                .collect();
            words.table(&rows)
        }
    };
    words
}

/// An anchor that was configured.
pub fn anchor_added(value: &Value) -> Words {
    let mut words = Words::new();
    let name = text(value, "/anchor/name");
    words.line(&format!("added anchor {name} ({})", text(value, "/anchor/kind")));
    words.line(&format!("Try it: chancery anchor now {name}"));
    words
}

/// An anchor that was taken out.
pub fn anchor_removed(value: &Value) -> Words {
    let mut words = Words::new();
    words.line(&format!(
        "removed anchor {}; what it gave is kept",
        text(value, "/removed")
    ));
    words
}

/// Anchors outside.
pub fn anchors(value: &Value) -> Words {
    let columns = [
        ("name", "/name"),
        ("kind", "/kind"),
        ("every (s)", "/every_seconds"),
        ("last worked", "/last_at"),
        ("entries covered", "/covers"),
        ("failing", "/failing"),
    ];
    table(
        value,
        "anchors",
        &columns,
        "none yet: chancery anchor add witness NAME --url URL --key KEY",
    )
}

/// A signing key that was replaced.
pub fn rotated(value: &Value) -> Words {
    let mut words = Words::new();
    let one = |path: &str| text(value, path);
    words.pairs(&[
        ("new public key", one("/public_key")),
        ("in file", one("/public_key_file")),
        ("statement", one("/statement_file")),
    ]);
    words.line(
        "Hand both files to everybody who has the old public key: examiners, and keepers of witnesses.",
    );
    if one("/reason") == "compromised" {
        words.line("The new key counts for them only when they get it from you, by a way that they trust.");
    }
    words
}

/// People.
pub fn users(value: &Value) -> Words {
    let columns = [("name", "/name"), ("role", "/role"), ("added", "/added_at")];
    table(
        value,
        "users",
        &columns,
        "nobody yet: chancery user add NAME --role administrator",
    )
}

/// One person that was added.
pub fn user(value: &Value) -> Words {
    let mut words = Words::new();
    words.line(&format!(
        "added {} as {}",
        text(value, "/name"),
        text(value, "/role")
    ));
    words
}

/// That derived data was made again.
pub fn rebuilt(value: &Value) -> Words {
    let mut words = Words::new();
    words.line(&format!(
        "everything derived was made again; entry {} says so",
        text(value, "/rebuilt_by_entry")
    ));
    words
}

/// The key ring.
pub fn keys(value: &Value) -> Words {
    let columns = [
        ("kind", "/kind"),
        ("living", "/living"),
        ("destroyed", "/destroyed"),
    ];
    let mut words = table(value, "kinds", &columns, "no keys");
    words.line("");
    words.line(&format!(
        "second copy of the key store: {}",
        text(value, "/second_copy")
    ));
    for key in rows(value, "destroyed") {
        let entry = text(key, "/destroyed_by_entry");
        words.line(&format!(
            "destroyed: {} {} by entry {entry}",
            text(key, "/kind"),
            text(key, "/id")
        ));
    }
    words
}

/// Things that were looked at.
pub fn checks(value: &Value) -> Words {
    let mut words = Words::new();
    let row = |check: &Value| {
        let is = |field: &str| check.get(field).and_then(Value::as_bool).unwrap_or(false);
        let (ok, warned) = (is("ok"), is("warning"));
        vec![
            match (ok, warned) {
                (false, _) => "ATTENTION",
                (true, true) => "WARNING",
                (true, false) => "ok",
            }
            .to_owned(),
            text(check, "/check"),
            text(check, "/detail"),
        ]
    };
    words.table(&rows(value, "checks").iter().map(row).collect::<Vec<_>>());
    words
}

/// How things stand.
pub fn status(value: &Value) -> Words {
    let mut words = Words::new();
    let one = |path: &str| text(value, path);
    words.pairs(&[
        ("zone", format!("{}, since {}", one("/zone"), one("/created_at"))),
        ("messages", one("/messages")),
        ("events", one("/events")),
        ("problems", one("/problems")),
        (
            "understood",
            format!("{} of {} entries", one("/normalized"), one("/head")),
        ),
        (
            "newest checkpoint",
            format!("{} entries, {}", one("/checkpoint/covers"), one("/checkpoint/at")),
        ),
        ("last went outside", one("/outside_anchor_at")),
        ("files to fetch", one("/pending_fetches")),
        (
            "gaps",
            format!("{} open of {} known", one("/gaps_open"), one("/gaps_known")),
        ),
        ("holds", one("/holds")),
        ("requests waiting", one("/requests_waiting")),
        (
            "erased",
            format!(
                "{} records, {} captures",
                one("/erased/records"),
                one("/erased/captures")
            ),
        ),
        (
            "destructions not in force",
            rows(value, "destructions_not_in_force").len().to_string(),
        ),
    ]);
    words.line("");
    let columns = [
        ("connection", "/id"),
        ("connector", "/connector"),
        ("captures", "/captures"),
        ("last", "/last_capture_at"),
    ];
    let connections = table(
        value,
        "connections",
        &columns,
        "no connection yet: chancery connection add CONNECTOR ID",
    );
    words.append(connections);
    if !rows(value, "anchors").is_empty() {
        words.line("");
        let columns = [
            ("anchor", "/name"),
            ("kind", "/kind"),
            ("last worked", "/last_at"),
            ("entries covered", "/covers"),
            ("failing", "/failing"),
        ];
        words.append(table(value, "anchors", &columns, ""));
    }
    if !rows(value, "gaps").is_empty() {
        words.line("");
        words.append(gaps(value));
    }
    words
}

/// Gaps, one a line.
pub fn gaps(value: &Value) -> Words {
    let columns = [
        ("gap", "/id"),
        ("in", "/connection"),
        ("from", "/from"),
        ("to", "/to"),
        ("cause", "/cause"),
        ("count", "/count"),
        ("state", "/state"),
        ("closed because", "/closed/reason"),
    ];
    table(
        value,
        "gaps",
        &columns,
        "no gap is known; that is no proof that everything was captured",
    )
}

fn sender(record: &Value) -> String {
    let person = record.get("sender").or_else(|| record.get("actor"));
    let name = person
        .and_then(|person| person.get("name"))
        .and_then(Value::as_str);
    let id = person
        .and_then(|person| person.pointer("/ids/0/value"))
        .and_then(Value::as_str);
    name.or(id).unwrap_or("-").to_owned()
}

fn when(record: &Value) -> String {
    let times = ["sent_at", "occurred_at", "sent_at_local"];
    let time = times
        .iter()
        .find_map(|name| record.get(name).and_then(Value::as_str));
    time.unwrap_or("-").to_owned()
}

/// Why it was not kept, where that was for want of consent. Of several records in one delivery it is not written down which was
/// for what reason.
fn lacked(erased: &Value) -> String {
    let because: Vec<&str> = rows(erased, "without_consent")
        .iter()
        .filter_map(Value::as_str)
        .collect();
    match because.as_slice() {
        [] => String::new(),
        [one] => format!(", for want of consent ({one})"),
        more => format!(", for want of consent (in this delivery: {})", more.join(", ")),
    }
}

/// What sort of message, event or problem it is.
fn what(record: &Value) -> Option<&str> {
    let names = ["content", "event", "code"];
    names.iter().find_map(|name| record.get(name)?.as_str())
}

/// What was written, or what a problem says.
fn wording(record: &Value) -> Option<&str> {
    ["text", "detail"]
        .iter()
        .find_map(|name| record.get(name)?.as_str())
}

/// A record in a line.
pub fn result(item: &Value) -> String {
    let record = item.get("record").unwrap_or(&Value::Null);
    let kind = what(record);
    let words = wording(record).unwrap_or_default();
    let mut excerpt: String = words.chars().take(EXCERPT).collect();
    if excerpt.len() < words.len() {
        excerpt.push('…');
    }
    let (id, time, kind) = (text(item, "/id"), when(record), kind.unwrap_or("-"));
    let who = match (sender(record), excerpt.is_empty()) {
        (who, _) if who == "-" => String::new(),
        (who, true) => who,
        (who, false) => format!("{who}: "),
    };
    format!(
        "{}\n",
        clean(format!("{id:<10}  {time:<20}  {kind:<12}  {who}{excerpt}").trim_end())
    )
}

/// What stands below results: "none" and "not captured" never look the same.
pub fn coverage(value: &Value, found: u64) -> Words {
    let mut words = Words::new();
    let one = |path: &str| text(value, path);
    let more = if value.get("more").and_then(Value::as_bool).unwrap_or(false) {
        ", and there are more (--limit)"
    } else {
        ""
    };
    let found = match found {
        0 => "nothing found".to_owned(),
        count => format!("{count} found"),
    };
    words.line(&format!(
        "{found}{more}; searched {} of {} entries; captures that no key opens: {}; erased: {}; open gaps: {}",
        one("/normalized"),
        one("/head"),
        one("/unreadable"),
        one("/erased"),
        one("/gaps")
    ));
    words
}

/// One record with its proof.
pub fn record(value: &Value) -> Words {
    let mut words = Words::new();
    let record = value.get("record").unwrap_or(&Value::Null);
    let one = |path: &str| text(value, path);
    let place = ["/record/conversation/title", "/record/conversation/id"];
    let place = place
        .iter()
        .find_map(|path| value.pointer(path).and_then(Value::as_str))
        .unwrap_or("-");
    words.pairs(&[
        ("id", one("/id")),
        (
            "state",
            match value.get("erased") {
                Some(erased) => format!(
                    "erased by entry {} at {}{}",
                    text(erased, "/by_entry"),
                    text(erased, "/at"),
                    lacked(erased)
                ),
                None => one("/state"),
            },
        ),
        (
            "kind",
            format!("{} {}", one("/record/kind"), what(record).unwrap_or_default()),
        ),
        ("when", when(record)),
        ("from", sender(record)),
        ("in", place.to_owned()),
        ("text", wording(record).unwrap_or("-").to_owned()),
        (
            "received",
            format!(
                "{} by {} ({})",
                one("/capture/received_at"),
                one("/capture/connection"),
                one("/capture/connector")
            ),
        ),
        ("signature checked", one("/capture/signature_checked")),
        (
            "in a checkpoint",
            match value.pointer("/proof/covered").and_then(Value::as_bool) {
                Some(true) => format!("yes, the newest is of size {}", one("/proof/checkpoint_size")),
                _ => "not yet: it is signed within a second or two".to_owned(),
            },
        ),
        ("repeats an earlier one", one("/repeats_earlier_capture")),
    ]);
    for (title, name) in [
        ("events", "pointing_at_it"),
        ("files", "files"),
        ("attachments", "/"),
    ] {
        let items = if name == "/" {
            rows(record, "attachments")
        } else {
            rows(value, name)
        };
        if !items.is_empty() {
            words.line("");
            words.line(title);
            for item in items {
                words.value(item);
            }
        }
    }
    words
}

/// What an export wrote.
pub fn exported(value: &Value, out: &Path) -> Words {
    let mut words = Words::new();
    let one = |path: &str| text(value, path);
    words.line(&format!("wrote {}", out.display()));
    words.pairs(&[
        ("messages, events, problems", one("/records")),
        ("of these erased", one("/erased")),
        ("entries of the ledger", one("/entries")),
        ("checkpoint of size", one("/checkpoint_size")),
    ]);
    words.line(&format!(
        "Check it anywhere: chancery-verify {} --key zone.pub",
        out.display()
    ));
    words
}

/// What an import did, file by file.
pub fn imported(items: &[Value], files: &[PathBuf]) -> Words {
    let mut words = Words::new();
    for item in items.iter().filter(|item| item.get("error").is_none()) {
        let index = item
            .get("file_index")
            .and_then(Value::as_u64)
            .and_then(|index| usize::try_from(index).ok());
        let file = index.and_then(|index| files.get(index));
        words.line(&file.map_or("-".to_owned(), |file| file.display().to_string()));
        one_import(&mut words, item);
    }
    words
}

fn one_import(words: &mut Words, item: &Value) {
    let one = |path: &str| text(item, path);
    let yes = |name: &str| item.get(name).and_then(Value::as_bool).unwrap_or(false);
    let captured = match (yes("captured"), yes("resumed")) {
        (true, true) => format!("the rest of an interrupted import, position {}", one("/capture")),
        (true, false) => format!("yes, position {}", one("/capture")),
        _ => format!(
            "no: this very file is there already, position {}",
            one("/capture")
        ),
    };
    let mut pairs = vec![
        ("  captured", captured),
        (
            "  messages",
            format!("{}, of these new: {}", one("/messages"), one("/new_messages")),
        ),
        ("  duplicates", one("/duplicates")),
        ("  erased before, not kept", one("/erased")),
        ("  events", one("/events")),
        ("  problems", one("/problems")),
        ("  changed", rows(item, "changed").len().to_string()),
    ];
    let report = item.get("report").unwrap_or(&Value::Null);
    if report.is_object() {
        let from = |path: &str| text(report, path);
        let (found, missing, extra) = (from("/media_found"), from("/media_missing"), from("/media_extra"));
        pairs.push((
            "  media",
            format!("found: {found}, missing: {missing}, extra: {extra}"),
        ));
        if report.get("date_decision").is_some_and(Value::is_object) {
            let order = match report.pointer("/date_decision/order").and_then(Value::as_str) {
                Some("dmy") => "day, month, year",
                Some("mdy") => "month, day, year",
                Some("ymd") => "year, month, day",
                Some(other) => other,
                None => "open, both readings kept",
            };
            let line = report.pointer("/date_decision/line").and_then(Value::as_u64);
            let line = line.map_or(String::new(), |line| format!(", line {line}"));
            pairs.push((
                "  date order",
                format!(
                    "{order} ({}{line})",
                    from("/date_decision/evidence").replace('-', " ")
                ),
            ));
        }
        let lines: Vec<String> = rows(report, "lines_not_understood")
            .iter()
            .take(LISTED)
            .map(plain)
            .collect();
        if !lines.is_empty() {
            pairs.push(("  lines not understood", lines.join(", ")));
        }
        if report
            .get("possibly_cut")
            .and_then(Value::as_bool)
            .unwrap_or(false)
        {
            pairs.push((
                "  possibly cut",
                "yes: the export may begin in mid-chat".to_owned(),
            ));
        }
    }
    words.pairs(&pairs);
    for change in rows(item, "changed").iter().take(LISTED) {
        words.line(&format!(
            "  {} differs from {}",
            text(change, "/0"),
            text(change, "/1")
        ));
    }
}
