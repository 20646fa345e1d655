//! What is said to people and to programs. Every line is true by itself.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use seal::bundle::{AnchorKind, AnchorReport, Report};

/// `--help`.
pub const HELP: &str = "\
Checks a Chancery bundle: that its records are the ones sealed in the ledger of a zone. Needs no server, no network,
and no trust in whoever gave you the bundle.

Usage: chancery-verify BUNDLE [--key ZONE.pub] [--checkpoint FILE] [--extract DIR] [--json]

  --key ZONE.pub      the zone's public key, from somebody you trust. Without it you learn that the bundle is
                      consistent in itself, but not whose it is: anybody can make a consistent bundle.
  --checkpoint FILE   a checkpoint of the zone that was kept outside. Shows that the bundle's log is the same log, not
                      one rewritten since (or before). Where the checkpoint is newer than the bundle, its proof is
                      read from FILE.proof.
  --witness KEY       the key of a witness that you trust, or a file with it; again for another. Its cosignatures in the
                      bundle are checked, and say by when the records existed.
  --tsa-root PEM      a file with the root certificate of a time-stamping authority that you trust; again for another.
  --succession FILE   a statement that the zone published when it replaced its key. The bundle may go on with no other
                      key; and where the statement says that the key was compromised, only what an anchor from before
                      covers still counts.
  --extract DIR       after the check, write what the bundle opens to a new folder: captures/ (the bytes as received),
                      items/, acts/, messages.jsonl, gaps.jsonl.
  --json              one JSON object on the standard output, for programs.
  --memory MIB        bound for what must be remembered of separate records (default 256).
  --help, --version

Exit codes: 0 everything holds; 1 a check does not hold (the record is named); 64 usage; 65 not a bundle, or a key or
checkpoint file that is none; 74 a file cannot be read or written.

What a good result does not say: that nothing else was said (no completeness is claimed beyond the gaps stated), or
that the server's clock was right (between two anchors outside, only the order is proved).

Examples:
  chancery-verify bundle.zip --key us.pub --checkpoint us-2024-03-01.checkpoint
  chancery-verify bundle.zip --key us.pub --witness notary.pub --tsa-root authority.pem
  chancery-verify bundle.zip --key us.pub --json | jq .entries
";

/// The report as one JSON object.
pub fn json_report(report: &Report) -> String {
    let mut value = serde_json::to_value(report).unwrap_or_default();
    if let Some(fields) = value.as_object_mut() {
        fields.insert("ok".into(), true.into());
        let verdict = verdict(report);
        fields.insert("verdict".into(), verdict.into());
        let existed = conclusions(report).into_iter().map(|anchor| {
            serde_json::json!({ "record": anchor.last_record, "before": anchor.at, "by": anchor.by, "kind": anchor.kind })
        });
        fields.insert("existed_before".into(), existed.collect::<Vec<_>>().into());
    }
    format!("{value}\n")
}

/// A failure as one JSON object.
pub fn json_failure(text: &str, code: u8) -> String {
    let value = serde_json::json!({ "ok": false, "error": text, "code": code });
    format!("{value}\n")
}

fn verdict(report: &Report) -> &'static str {
    if report.origin_proved {
        "proved"
    } else {
        "consistent, origin not proved"
    }
}

/// The report for people.
pub fn report(report: &Report, extracted: Option<&Path>) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write_report(&mut out, report);
    if let Some(folder) = extracted {
        let _ = writeln!(out, "Extracted   to {}", folder.display());
    }
    out
}

fn write_report(out: &mut String, report: &Report) -> std::fmt::Result {
    match report.origin_proved {
        true => writeln!(
            out,
            "PROVED: everything in this bundle holds, under the key you gave."
        )?,
        false => writeln!(
            out,
            "CONSISTENT, ORIGIN NOT PROVED: it holds under the key inside it. Give --key with the zone's public key."
        )?,
    }
    writeln!(out, "Zone        {} ({})", report.zone, report.log)?;
    writeln!(out, "Asked for   {}", one_line(&report.selection))?;
    if let Some(at) = report.created_at {
        writeln!(
            out,
            "Made        {at}, by version {} (as it says)",
            one_line(&report.program)
        )?;
    }
    let size = report.checkpoint.size;
    match report.checkpoint.consistent_with_outside {
        Some(_) => writeln!(
            out,
            "Checkpoint  size {size}: one log with the checkpoint you gave"
        )?,
        None => writeln!(
            out,
            "Checkpoint  size {size}: not compared with one kept outside, so a rewritten log would not be noticed"
        )?,
    }
    if let Some(at) = report.given_up_at {
        writeln!(
            out,
            "Key         given up as compromised at {at}; all that is shown is proved by an anchor from before"
        )?;
    }
    write_anchors(out, report)?;
    let kinds = report
        .entries
        .iter()
        .map(|(kind, count)| format!("{count} {kind}"));
    writeln!(out, "Records     {}", listed(kinds))?;
    if let (Some(first), Some(last)) = (report.first_recorded_at, report.last_recorded_at) {
        writeln!(out, "Recorded    {first} to {last}, by the server's clock")?;
    }
    write_contents(out, report)
}

/// For each outsider that proved something: the earliest anchor that covers all that is shown, else the newest.
fn conclusions(report: &Report) -> Vec<&AnchorReport> {
    let mut best: BTreeMap<(&str, &str), &AnchorReport> = BTreeMap::new();
    let covers = |anchor: &AnchorReport| Some(anchor.last_record) >= report.last_record;
    for anchor in report.anchors.iter().filter(|anchor| anchor.proved) {
        let found = best.entry((kind(anchor.kind), &anchor.by)).or_insert(anchor);
        let better = match (covers(anchor), covers(found)) {
            (true, true) => anchor.at < found.at,
            (false, false) => anchor.last_record > found.last_record,
            (better, _) => better,
        };
        if better {
            *found = anchor;
        }
    }
    best.into_values().collect()
}

fn kind(kind: AnchorKind) -> &'static str {
    match kind {
        AnchorKind::Witness => "witness",
        AnchorKind::TimeStamp => "time stamp",
    }
}

fn write_anchors(out: &mut String, report: &Report) -> std::fmt::Result {
    for anchor in conclusions(report) {
        let (record, at, by, kind) = (
            anchor.last_record,
            anchor.at,
            one_line(&anchor.by),
            kind(anchor.kind),
        );
        writeln!(
            out,
            "Anchored    everything up to record {record} existed before {at}, according to {by} ({kind})"
        )?;
    }
    let mut unchecked: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for anchor in report.anchors.iter().filter(|anchor| !anchor.proved) {
        *unchecked.entry((kind(anchor.kind), &anchor.by)).or_default() += 1;
    }
    for ((kind, by), count) in unchecked {
        let option = if kind == "witness" {
            "--witness"
        } else {
            "--tsa-root"
        };
        let by = one_line(by);
        writeln!(
            out,
            "Anchors     {count} by {by} ({kind}) not checked: give {option}, from somebody you trust"
        )?;
    }
    if report.anchors.is_empty() {
        writeln!(
            out,
            "Anchors     none: by when the records existed is not proved by anybody outside"
        )?;
    }
    Ok(())
}

fn write_contents(out: &mut String, report: &Report) -> std::fmt::Result {
    let captures = report.captures;
    let parts = [
        (captures.opened, "opened"),
        (captures.erased, "erased (wrap and destruction proved)"),
        (captures.sealed, "proved but not disclosed"),
        (captures.incomplete, "not complete in this bundle"),
    ];
    writeln!(out, "Captures    {}", counted(&parts))?;
    let items = [
        (report.items.opened, "opened"),
        (report.items.sealed, "proved but not opened"),
    ];
    if report.items.shown > 0 {
        writeln!(out, "Items       {}", counted(&items))?;
    }
    let messages = report.messages;
    let states = [
        (messages.raw, "derived from opened captures"),
        (messages.part, "derived from opened items"),
        (messages.erased, "erased"),
    ];
    writeln!(out, "Messages    {}", counted(&states))?;
    match report.gaps {
        0 => writeln!(
            out,
            "Gaps        none stated; no completeness is claimed beyond that"
        ),
        gaps => writeln!(
            out,
            "Gaps        {gaps} stated in gaps.jsonl; no completeness is claimed beyond them"
        ),
    }
}

fn listed(parts: impl Iterator<Item = String>) -> String {
    let parts: Vec<String> = parts.collect();
    if parts.is_empty() {
        "none".into()
    } else {
        parts.join(", ")
    }
}

fn counted(parts: &[(u64, &str)]) -> String {
    let present = parts.iter().filter(|(count, _)| *count > 0);
    listed(present.map(|(count, what)| format!("{count} {what}")))
}

/// Text from inside the bundle must not paint on somebody's terminal.
fn one_line(text: &str) -> String {
    let shown = text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c });
    shown.take(200).collect()
}
