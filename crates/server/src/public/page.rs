//! The status page, written out on the server: no script, and it reads the same with no style.

use std::fmt::{self, Write as _};

use model::Timestamp;
use qrcodegen::{QrCode, QrCodeEcc};

use super::WholeStatus;
use super::language::Language;
use super::words::Words;
use crate::host::{
    AlarmStatus, AnchorStatus, CheckpointStatus, ConnectionState, ConnectionStatus, GapStatus, Status,
};
use crate::vault::alarms::words::of_check;

/// Gaps shown; the API has all of them.
const GAPS_SHOWN: usize = 50;
/// An outside anchor older than this is complained about.
const ANCHOR_OLD_SECONDS: i64 = 24 * 3600;
const MICROS_PER_SECOND: i64 = 1_000_000;

/// What a warning tells the operator to run.
const ADD_ANCHOR: &str = "chancery anchor add witness NAME --url URL --key KEY";
const ADD_ALARM: &str = "chancery alarm add webhook NAME --url URL --secret-file FILE";
const ADD_CONNECTION: &str = "chancery connection add whatsapp-cloud NAME";

/// Text that HTML may not understand as anything else.
struct Plain<'a>(&'a str);

impl fmt::Display for Plain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// A time to the second, as a `time` element.
struct Time(Timestamp);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = Timestamp::from_seconds(self.0.as_micros().div_euclid(MICROS_PER_SECOND)).to_string();
        let shown = seconds.replace('T', " ").replace('Z', "");
        write!(f, "<time datetime=\"{seconds}\">{shown}</time>")
    }
}

/// A count, its thousands apart.
struct Count(u64);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        for (at, digit) in digits.char_indices() {
            if at > 0 && (digits.len() - at).is_multiple_of(3) {
                f.write_char(',')?;
            }
            f.write_char(digit)?;
        }
        Ok(())
    }
}

/// The page.
pub(super) fn render(whole: &WholeStatus, language: Language) -> String {
    let mut html = String::with_capacity(16 << 10);
    // Writing to a string does not fail.
    write_page(&mut html, whole, language).ok();
    html
}

fn write_page(html: &mut String, whole: &WholeStatus, language: Language) -> fmt::Result {
    let w = Words::of(language);
    let status = &whole.status;
    let (other, other_tag) = match language {
        Language::English => ("zh", Language::Chinese.tag()),
        Language::Chinese => ("en", Language::English.tag()),
    };
    write!(
        html,
        "<!DOCTYPE html>\n<html lang=\"{tag}\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title} · {zone}</title>\n\
         <link rel=\"stylesheet\" href=\"/style.css\">\n</head>\n<body>\n\
         <a class=\"skip\" href=\"#content\">{skip}</a>\n<header>\n\
         <h1>{title} <span class=\"zone\">{zone_word} {zone}</span></h1>\n<nav><a href=\"/?lang={other}\" lang=\"{other_tag}\" hreflang=\"{other_tag}\">{name}</a></nav>\n</header>\n\
         <main id=\"content\">\n<p class=\"about\">{no_content}</p>\n",
        tag = language.tag(),
        title = w.title,
        zone = Plain(status.zone.as_str()),
        skip = w.skip,
        zone_word = w.zone,
        name = w.other_language,
        no_content = w.no_content,
    )?;
    warnings(html, w, whole, language)?;
    summary(html, w, status)?;
    connections(html, w, &status.connections)?;
    archives(html, w, &status.connections)?;
    anchors(html, w, &status.anchors)?;
    alarms(html, w, status)?;
    gaps(html, w, &status.gaps)?;
    to_keep(html, w, status)?;
    html.write_str("<div class=\"details\">\n")?;
    ledger(html, w, status)?;
    instance(html, w, whole)?;
    html.write_str("</div>\n</main>\n</body>\n</html>\n")
}

/// What needs attention, in words, and what to do. What `doctor` finds, and the intake, of which this process knows first.
fn found(w: &Words, whole: &WholeStatus, language: Language) -> Vec<(String, &'static str)> {
    let mut found = Vec::new();
    if !whole.intake.running {
        found.push((w.no_intake.to_owned(), ""));
    }
    for attention in &whole.status.attention {
        let (title, advice) = of_check(language, attention.kind);
        let title = match &attention.subject {
            Some(subject) => format!("{subject}: {title}"),
            None => title.to_owned(),
        };
        found.push((title, advice));
    }
    found
}

fn warnings(html: &mut String, w: &Words, whole: &WholeStatus, language: Language) -> fmt::Result {
    let found = found(w, whole, language);
    if found.is_empty() {
        return writeln!(
            html,
            "<section class=\"verdict good\" aria-labelledby=\"warnings\">\n\
             <h2 id=\"warnings\">{}</h2>\n</section>",
            w.nothing_to_warn
        );
    }
    writeln!(
        html,
        "<section class=\"verdict alarm\" aria-labelledby=\"warnings\">\n<h2 id=\"warnings\">{}</h2>\n<ul>",
        w.warnings
    )?;
    for (title, advice) in found {
        write!(html, "<li>{}", Plain(&title))?;
        if !advice.is_empty() {
            write!(html, " <span class=\"todo\">{}</span>", Plain(advice))?;
        }
        html.write_str("</li>\n")?;
    }
    html.write_str("</ul>\n</section>\n")
}

/// The four numbers to look at first.
fn summary(html: &mut String, w: &Words, status: &Status) -> fmt::Result {
    let checkpoint = status.checkpoint.as_ref();
    let anchor_age = status.outside_anchor.zip(checkpoint).map(|(anchor, checkpoint)| {
        u64::try_from(now_seconds(checkpoint) - anchor.as_micros() / MICROS_PER_SECOND).unwrap_or(0)
    });
    let aged = |age: Option<u64>| age.map_or_else(|| w.none_yet.to_owned(), |age| w.ago(age));
    let anchor_is_old = match (status.outside_anchor, checkpoint) {
        (Some(anchor), Some(checkpoint)) => is_old(anchor, checkpoint),
        (anchor, _) => anchor.is_none(),
    };
    let tiles = [
        (w.entries, Count(status.followers.head.0).to_string(), false),
        (
            w.checkpoint,
            aged(checkpoint.map(|checkpoint| checkpoint.age_seconds)),
            false,
        ),
        (w.outside_anchor, aged(anchor_age), anchor_is_old),
        (w.gaps, Count(status.gaps_open).to_string(), status.gaps_open > 0),
    ];
    html.write_str("<dl class=\"tiles\">\n")?;
    for (name, value, alarm) in tiles {
        let class = if alarm { " class=\"alarm\"" } else { "" };
        writeln!(html, "<div{class}><dt>{name}</dt><dd>{value}</dd></div>")?;
    }
    html.write_str("</dl>\n")
}

/// The present in seconds. The page reads no clock: a checkpoint's time and age give it.
fn now_seconds(checkpoint: &CheckpointStatus) -> i64 {
    let age = i64::try_from(checkpoint.age_seconds).unwrap_or(i64::MAX / 2);
    checkpoint.at.as_micros() / MICROS_PER_SECOND + age
}

/// Whether an anchor is older than a day.
fn is_old(anchor: Timestamp, checkpoint: &CheckpointStatus) -> bool {
    now_seconds(checkpoint) - anchor.as_micros() / MICROS_PER_SECOND > ANCHOR_OLD_SECONDS
}

fn facts(html: &mut String, id: &str, title: &str, rows: &[(&str, String)]) -> fmt::Result {
    writeln!(
        html,
        "<section aria-labelledby=\"{id}\">\n<h2 id=\"{id}\">{title}</h2>\n<dl>"
    )?;
    for (name, value) in rows {
        writeln!(html, "<div><dt>{name}</dt><dd>{value}</dd></div>")?;
    }
    html.write_str("</dl>\n</section>\n")
}

fn instance(html: &mut String, w: &Words, whole: &WholeStatus) -> fmt::Result {
    let (status, intake) = (&whole.status, &whole.intake);
    let yes_no = |yes| if yes { w.yes } else { w.no };
    let rows = [
        (w.zone, Plain(status.zone.as_str()).to_string()),
        (w.version, Plain(&status.version).to_string()),
        (w.started, Time(status.started_at).to_string()),
        (w.epoch, status.epoch.to_string()),
        (w.key_copy, yes_no(status.key_copy).to_owned()),
        (
            w.intake,
            (if intake.running { w.runs } else { w.restarting }).to_owned(),
        ),
        (w.restarts, Count(intake.restarts).to_string()),
        (w.open_connections, intake.connections.to_string()),
        (w.bytes_in_flight, intake.bytes_in_flight.to_string()),
    ];
    facts(html, "instance", w.instance, &rows)
}

fn ledger(html: &mut String, w: &Words, status: &Status) -> fmt::Result {
    let followers = &status.followers;
    let behind = followers.head.0.saturating_sub(followers.normalized.0);
    let none = || w.none_yet.to_owned();
    let mut rows = vec![
        (w.entries, Count(followers.head.0).to_string()),
        (w.understood, w.understood_of(Count(behind), behind)),
        (w.pending_fetches, Count(status.pending_fetches).to_string()),
    ];
    match &status.checkpoint {
        None => rows.push((w.checkpoint, none())),
        Some(checkpoint) => rows.extend([
            (w.checkpoint, Time(checkpoint.at).to_string()),
            (w.covers, Count(checkpoint.covers.0).to_string()),
            (w.batches, Count(checkpoint.size).to_string()),
        ]),
    }
    let anchor = status.outside_anchor.map_or_else(none, |at| Time(at).to_string());
    rows.push((w.outside_anchor, anchor));
    let stated = status.statement.as_ref().map_or_else(none, |stated| {
        w.stated_by(Plain(&stated.day), Count(stated.entry.0))
    });
    rows.push((w.statement, stated));
    facts(html, "ledger", w.ledger, &rows)
}

/// Configured anchors outside: which is how old.
fn anchors(html: &mut String, w: &Words, anchors: &[AnchorStatus]) -> fmt::Result {
    if anchors.is_empty() {
        let text = format!("{} <code>{}</code>", w.no_anchors, Plain(ADD_ANCHOR));
        return empty(html, "anchors", w.anchors, &text);
    }
    let columns = [
        (w.anchor, ""),
        (w.kind, ""),
        (w.state, ""),
        (w.last_worked, ""),
        (w.covers, "number"),
    ];
    table_head(html, "anchors", w.anchors, w.anchors_about, &columns)?;
    for anchor in anchors {
        let (class, state) = match (&anchor.failing, anchor.last_at) {
            (Some(_), _) => ("alarm", w.failing),
            (None, None) => ("waiting", w.none_yet),
            (None, Some(_)) => ("good", w.works),
        };
        let cells = [
            Plain(&anchor.kind).to_string(),
            format!("<span class=\"state {class}\">{state}</span>"),
            anchor
                .last_at
                .map_or_else(|| w.none_yet.to_owned(), |at| Time(at).to_string()),
            Count(anchor.covers.map_or(0, |covers| covers.0)).to_string(),
        ];
        row(html, &columns, anchor.name.as_str(), &cells)?;
    }
    html.write_str("</tbody>\n</table>\n</div>\n</section>\n")
}

/// Who is told of alarms: how many wait for each, and since when it takes none. Nothing where nobody is told.
fn alarms(html: &mut String, w: &Words, status: &Status) -> fmt::Result {
    if status.alarms.is_empty() {
        let text = format!("{} <code>{ADD_ALARM}</code>", w.no_alarms);
        return empty(html, "alarms", w.alarms, &text);
    }
    let columns = [
        (w.destination, ""),
        (w.kind, ""),
        (w.state, ""),
        (w.alarms_waiting, "number"),
        (w.alarms_not_kept, "number"),
        (w.failing_since, ""),
        (w.last_worked, ""),
    ];
    table_head(html, "alarms", w.alarms, w.alarms_about, &columns)?;
    for alarm in &status.alarms {
        let time =
            |at: Option<Timestamp>| at.map_or_else(|| w.none_yet.to_owned(), |at| Time(at).to_string());
        let (class, state) = state_of(w, alarm);
        let cells = [
            Plain(&alarm.kind).to_string(),
            format!("<span class=\"state {class}\">{state}</span>"),
            Count(alarm.waiting).to_string(),
            Count(alarm.not_kept).to_string(),
            alarm
                .failing_since
                .map_or_else(String::new, |at| Time(at).to_string()),
            time(alarm.delivered_at),
        ];
        row(html, &columns, alarm.name.as_str(), &cells)?;
    }
    html.write_str("</tbody>\n</table>\n</div>\n</section>\n")
}

fn state_of(w: &Words, alarm: &AlarmStatus) -> (&'static str, &'static str) {
    match (alarm.failing_since, alarm.delivered_at) {
        (Some(_), _) => ("alarm", w.failing),
        (None, None) => ("waiting", w.none_yet),
        (None, Some(_)) => ("good", w.works),
    }
}

/// The newest checkpoint to be taken along: as text, and to be photographed.
fn to_keep(html: &mut String, w: &Words, status: &Status) -> fmt::Result {
    let Some(checkpoint) = &status.checkpoint else {
        return Ok(());
    };
    write!(
        html,
        "<section class=\"keep\" aria-labelledby=\"keep\">\n<h2 id=\"keep\">{}</h2>\n<p>{}</p>\n<pre>{}</pre>\n",
        w.keep,
        w.keep_about,
        Plain(&checkpoint.note)
    )?;
    qr(html, w.keep, &checkpoint.note)?;
    html.write_str("</section>\n")
}

/// Modules of white around the code, as ISO/IEC 18004 asks for.
const QUIET: i32 = 4;

/// A QR code of a text, as SVG: no script, no style, nothing loaded.
fn qr(html: &mut String, label: &str, text: &str) -> fmt::Result {
    // A text too long for a code stands above all the same.
    let Ok(code) = QrCode::encode_binary(text.as_bytes(), QrCodeEcc::Medium) else {
        return Ok(());
    };
    let side = code.size() + 2 * QUIET;
    write!(
        html,
        "<svg role=\"img\" aria-label=\"QR: {label}\" viewBox=\"0 0 {side} {side}\" shape-rendering=\"crispEdges\">\
         <rect width=\"{side}\" height=\"{side}\" fill=\"#fff\"/><path fill=\"#000\" d=\""
    )?;
    for y in 0..code.size() {
        for x in (0..code.size()).filter(|x| code.get_module(*x, y)) {
            write!(html, "M{} {}h1v1h-1z", x + QUIET, y + QUIET)?;
        }
    }
    html.write_str("\"/></svg>\n")
}

fn connections(html: &mut String, w: &Words, connections: &[ConnectionStatus]) -> fmt::Result {
    if connections.is_empty() {
        let text = format!("{} <code>{ADD_CONNECTION}</code>", w.no_connections);
        return empty(html, "connections", w.connections, &text);
    }
    let columns = [
        (w.connection, ""),
        (w.source, ""),
        (w.state, ""),
        (w.captures, "number"),
        (w.last, ""),
        (w.refused, "number"),
        (w.problems, "number"),
    ];
    table_head(html, "connections", w.connections, w.connections_about, &columns)?;
    for connection in connections {
        let refused: u64 = connection.refused.values().sum();
        let last = connection.last_capture_at;
        let cells = [
            Plain(&connection.connector).to_string(),
            format!(
                "<span class=\"state {}\">{}</span>",
                class(connection.state),
                w.state(connection.state)
            ),
            Count(connection.captures).to_string(),
            last.map_or_else(|| w.none_yet.to_owned(), |at| Time(at).to_string()),
            Count(refused).to_string(),
            Count(connection.problems).to_string(),
        ];
        row(html, &columns, connection.id.as_str(), &cells)?;
    }
    html.write_str("</tbody>\n</table>\n</div>\n</section>\n")
}

/// Nothing where nothing is pulled.
fn archives(html: &mut String, w: &Words, connections: &[ConnectionStatus]) -> fmt::Result {
    let pulled = connections
        .iter()
        .filter_map(|connection| Some((connection.id.as_str(), connection.archive.as_ref()?)));
    let pulled: Vec<_> = pulled.collect();
    if pulled.is_empty() {
        return Ok(());
    }
    let columns = [
        (w.connection, ""),
        (w.pulled_to, "number"),
        (w.caught_up, ""),
        (w.kept_until, ""),
        (w.stay_closed, "number"),
    ];
    table_head(html, "archives", w.archives, w.archives_about, &columns)?;
    for (id, archive) in pulled {
        let cells = [
            Count(archive.position).to_string(),
            Time(archive.caught_up_at).to_string(),
            Time(archive.lost_from).to_string(),
            Count(archive.closed.values().sum()).to_string(),
        ];
        row(html, &columns, id, &cells)?;
    }
    html.write_str("</tbody>\n</table>\n</div>\n</section>\n")
}

fn gaps(html: &mut String, w: &Words, gaps: &[GapStatus]) -> fmt::Result {
    if gaps.is_empty() {
        return empty(html, "gaps", w.gaps, w.no_gaps);
    }
    let columns = [
        (w.connection, ""),
        (w.from, ""),
        (w.to, ""),
        (w.cause, ""),
        (w.count, "number"),
        (w.gap_state, ""),
        (w.remedy, ""),
    ];
    table_head(html, "gaps", w.gaps, w.gaps_about, &columns)?;
    for gap in gaps.iter().take(GAPS_SHOWN) {
        let cells = [
            Time(gap.from).to_string(),
            Time(gap.to).to_string(),
            Plain(w.cause(&gap.cause)).to_string(),
            Count(gap.count).to_string(),
            Plain(w.gap_state_of(gap.closed.as_deref())).to_string(),
            Plain(if gap.closed.is_some() {
                ""
            } else {
                w.remedy_of(&gap.cause)
            })
            .to_string(),
        ];
        let connection = gap.connection.as_ref().map_or(w.all, |id| id.as_str());
        row(html, &columns, connection, &cells)?;
    }
    html.write_str("</tbody>\n</table>\n</div>\n</section>\n")
}

fn class(state: ConnectionState) -> &'static str {
    match state {
        ConnectionState::Receiving => "good",
        ConnectionState::Waiting => "waiting",
        ConnectionState::Silent | ConnectionState::Stopped => "alarm",
    }
}

fn empty(html: &mut String, id: &str, title: &str, text: &str) -> fmt::Result {
    writeln!(
        html,
        "<section aria-labelledby=\"{id}\">\n<h2 id=\"{id}\">{title}</h2>\n<p>{text}</p>\n</section>"
    )
}

/// Opens a section with a table. The frame around it can be scrolled, by keyboard too, where the screen is narrow.
fn table_head(
    html: &mut String,
    id: &str,
    title: &str,
    about: &str,
    columns: &[(&str, &str)],
) -> fmt::Result {
    write!(
        html,
        "<section aria-labelledby=\"{id}\">\n<h2 id=\"{id}\">{title}</h2>\n\
         <div class=\"table\" role=\"region\" aria-labelledby=\"{id}\" tabindex=\"0\">\n<table>\n\
         <caption>{about}</caption>\n<thead>\n<tr>"
    )?;
    for (name, class) in columns {
        write!(html, "<th scope=\"col\" class=\"{class}\">{name}</th>")?;
    }
    html.write_str("</tr>\n</thead>\n<tbody>\n")
}

/// A row; `cells` are HTML, `first` is text.
fn row(html: &mut String, columns: &[(&str, &str)], first: &str, cells: &[String]) -> fmt::Result {
    write!(html, "<tr><th scope=\"row\">{}</th>", Plain(first))?;
    for (cell, (name, class)) in cells.iter().zip(columns.iter().skip(1)) {
        // The name stands before the cell where the screen is too narrow for columns.
        write!(
            html,
            "<td class=\"{class}\" data-name=\"{name}\"><span>{cell}</span></td>"
        )?;
    }
    html.write_str("</tr>\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_on_the_page_is_that_of_the_checkpoint_with_white_around_it() {
        let note = format!(
            "chancery/us/0a1b2c3d\n812\n{}\n\n\u{2014} chancery/us/0a1b2c3d {}\n",
            "A".repeat(44),
            "B".repeat(92)
        );
        let mut html = String::new();
        qr(&mut html, "keep", &note).unwrap();
        let code = QrCode::encode_binary(note.as_bytes(), QrCodeEcc::Medium).unwrap();
        let side = code.size() + 8;
        assert!(html.contains(&format!("viewBox=\"0 0 {side} {side}\"")));
        for y in 0..side {
            for x in 0..side {
                let dark = html.contains(&format!("M{x} {y}h1v1h-1z"));
                assert_eq!(dark, code.get_module(x - 4, y - 4), "{x} {y}");
            }
        }
        html.clear();
        qr(&mut html, "keep", &"x".repeat(5000)).unwrap();
        assert!(html.is_empty());
    }
}
