//! The status page, written out on the server: no script, and it reads the same with no style.

use std::fmt::{self, Write as _};

use model::Timestamp;

use super::WholeStatus;
use super::language::Language;
use super::words::Words;
use crate::host::{ConnectionStatus, GapStatus, Status};

/// Gaps shown; the API has all of them.
const GAPS_SHOWN: usize = 50;
/// An outside anchor older than this is complained about.
const ANCHOR_OLD_SECONDS: i64 = 24 * 3600;
const MICROS_PER_SECOND: i64 = 1_000_000;

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
         <a class=\"skip\" href=\"#content\">{skip}</a>\n<header>\n<h1>{title}</h1>\n\
         <nav><a href=\"/?lang={other}\" lang=\"{other_tag}\" hreflang=\"{other_tag}\">{name}</a></nav>\n</header>\n\
         <main id=\"content\">\n<p>{no_content}</p>\n",
        tag = language.tag(),
        title = w.title,
        zone = Plain(status.zone.as_str()),
        skip = w.skip,
        name = w.other_language,
        no_content = w.no_content,
    )?;
    warnings(html, w, whole)?;
    instance(html, w, whole)?;
    ledger(html, w, status)?;
    connections(html, w, &status.connections)?;
    gaps(html, w, &status.gaps)?;
    html.write_str("</main>\n</body>\n</html>\n")
}

fn warnings(html: &mut String, w: &Words, whole: &WholeStatus) -> fmt::Result {
    let status = &whole.status;
    let mut found = Vec::new();
    match (status.outside_anchor, &status.checkpoint) {
        (None, _) => found.push(w.no_anchor),
        (Some(anchor), Some(checkpoint)) if is_old(anchor, checkpoint.at, checkpoint.age_seconds) => {
            found.push(w.old_anchor);
        }
        _ => {}
    }
    if !status.key_copy {
        found.push(w.no_key_copy);
    }
    if !whole.intake.running {
        found.push(w.no_intake);
    }
    writeln!(
        html,
        "<section aria-labelledby=\"warnings\">\n<h2 id=\"warnings\">{}</h2>",
        w.warnings
    )?;
    if found.is_empty() {
        writeln!(html, "<p class=\"good\">{}</p>", w.nothing_to_warn)?;
    } else {
        html.write_str("<ul class=\"warnings\">\n")?;
        for warning in found {
            writeln!(html, "<li>{}</li>", Plain(warning))?;
        }
        html.write_str("</ul>\n")?;
    }
    html.write_str("</section>\n")
}

/// Whether an anchor is older than a day. The page reads no clock: a checkpoint's time and age give the present.
fn is_old(anchor: Timestamp, checkpoint_at: Timestamp, age_seconds: u64) -> bool {
    let now =
        checkpoint_at.as_micros() / MICROS_PER_SECOND + i64::try_from(age_seconds).unwrap_or(i64::MAX / 2);
    now - anchor.as_micros() / MICROS_PER_SECOND > ANCHOR_OLD_SECONDS
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
        (w.restarts, intake.restarts.to_string()),
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
        (w.entries, followers.head.to_string()),
        (
            w.understood,
            format!("{} ({behind} {})", followers.normalized, w.behind),
        ),
        (w.pending_fetches, status.pending_fetches.to_string()),
    ];
    match &status.checkpoint {
        None => rows.push((w.checkpoint, none())),
        Some(checkpoint) => rows.extend([
            (w.checkpoint, Time(checkpoint.at).to_string()),
            (w.age, format!("{} {}", checkpoint.age_seconds, w.seconds)),
            (w.covers, checkpoint.covers.to_string()),
            (w.batches, checkpoint.size.to_string()),
        ]),
    }
    let anchor = status.outside_anchor.map_or_else(none, |at| Time(at).to_string());
    rows.push((w.outside_anchor, anchor));
    facts(html, "ledger", w.ledger, &rows)
}

fn connections(html: &mut String, w: &Words, connections: &[ConnectionStatus]) -> fmt::Result {
    if connections.is_empty() {
        return empty(html, "connections", w.connections, w.no_connections);
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
    table_head(html, "connections", w.connections, "", &columns)?;
    for connection in connections {
        let refused: u64 = connection.refused.values().sum();
        let last = connection.last_capture_at;
        let cells = [
            Plain(&connection.connector).to_string(),
            w.state(connection.state).to_owned(),
            connection.captures.to_string(),
            last.map_or_else(|| w.none_yet.to_owned(), |at| Time(at).to_string()),
            refused.to_string(),
            connection.problems.to_string(),
        ];
        row(html, &columns, connection.id.as_str(), &cells)?;
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
    ];
    table_head(html, "gaps", w.gaps, w.gaps_about, &columns)?;
    for gap in gaps.iter().take(GAPS_SHOWN) {
        let cells = [
            Time(gap.from).to_string(),
            Time(gap.to).to_string(),
            Plain(w.cause(&gap.cause)).to_string(),
            gap.count.to_string(),
        ];
        let connection = gap.connection.as_ref().map_or(w.all, |id| id.as_str());
        row(html, &columns, connection, &cells)?;
    }
    html.write_str("</tbody>\n</table>\n</div>\n</section>\n")
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
    let caption = if about.is_empty() { title } else { about };
    write!(
        html,
        "<section aria-labelledby=\"{id}\">\n<h2 id=\"{id}\">{title}</h2>\n\
         <div class=\"table\" role=\"region\" aria-labelledby=\"{id}\" tabindex=\"0\">\n<table>\n\
         <caption>{caption}</caption>\n<thead>\n<tr>"
    )?;
    for (name, class) in columns {
        write!(html, "<th scope=\"col\" class=\"{class}\">{name}</th>")?;
    }
    html.write_str("</tr>\n</thead>\n<tbody>\n")
}

/// A row; `cells` are HTML, `first` is text.
fn row(html: &mut String, columns: &[(&str, &str)], first: &str, cells: &[String]) -> fmt::Result {
    write!(html, "<tr><th scope=\"row\">{}</th>", Plain(first))?;
    for (cell, (_, class)) in cells.iter().zip(columns.iter().skip(1)) {
        write!(html, "<td class=\"{class}\">{cell}</td>")?;
    }
    html.write_str("</tr>\n")
}
