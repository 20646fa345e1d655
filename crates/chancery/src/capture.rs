//! `chancery capture`: what is captured, and what is known to be missing.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use server::vault::Vault;
use server::vault::gaps::GapsWanted;

use crate::args::Global;
use crate::failure::{DONE, Failure};
use crate::governing::Language;
use crate::operation::{Chosen, Operation};
use crate::print::{self, Words};
use crate::tables::{self, rows, text};
use crate::{commands, governing, owner, statement};

/// `chancery capture`.
#[derive(Subcommand)]
pub enum CaptureCommand {
    /// Stretches in which the record is, or may be, incomplete: from when to when, why, and what can still be done.
    #[command(
        after_help = "Example: chancery capture gaps --open --connection ward-3 --since 2026-01-31\n\n\
                            A gap that names messages or numbers closes by itself when all of them are here."
    )]
    Gaps(GapsArgs),
    /// What is captured, of how much, and what is not.
    #[command(after_help = "Example: chancery capture status --json")]
    Status,
    /// The daily statement of completeness: who and what was captured from when to when, and what is missing.
    #[command(
        after_help = "Examples: chancery capture statement --day 2026-01-31 --language zh-CN\n          \
                            chancery capture statement --out statement.zip && chancery-verify statement.zip --extract FOLDER\n\n\
                            One is written for each day (UTC) when it is over. It is signed because it is an entry of the \
                            ledger, which the next signed checkpoint covers."
    )]
    Statement(StatementArgs),
}

/// Arguments of `capture statement`.
#[derive(Args)]
pub struct StatementArgs {
    /// Of this day in UTC (2026-01-31); else the newest.
    #[arg(long, value_name = "DAY")]
    pub day: Option<String>,
    /// Language.
    #[arg(long, value_name = "LANGUAGE", default_value = "en")]
    pub language: Language,
    /// Write it, with its proof, as a bundle: `chancery-verify` checks it anywhere.
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Write over a file that is there.
    #[arg(long, requires = "out")]
    pub force: bool,
}

/// Arguments of `capture gaps`.
#[derive(Args)]
pub struct GapsArgs {
    /// Only of this connection, and of the whole ledger.
    #[arg(long, value_name = "ID")]
    pub connection: Option<String>,
    /// Only what reaches to this day or later (2024-01-31, or a time in UTC).
    #[arg(long, value_name = "DAY")]
    pub since: Option<String>,
    /// Only what is still open.
    #[arg(long)]
    pub open: bool,
}

/// What is asked of the vault.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Asked {
    /// The gaps.
    Gaps(GapsWanted),
    /// How complete it is.
    Status,
    /// The statement of a day, or the newest.
    Statement(Option<String>),
}

/// Does it.
///
/// # Errors
/// What the vault said.
pub fn perform(vault: &Vault, asked: Asked) -> Result<Value, Failure> {
    vault.wait_looked(vault.ledger().head())?;
    Ok(match asked {
        Asked::Gaps(wanted) => vault.gaps(&wanted)?,
        Asked::Status => vault.capture_status()?,
        Asked::Statement(day) => vault.completeness_statement(day.as_deref())?,
    })
}

/// How an answer is said to people.
type Say = Box<dyn Fn(&Value) -> Words>;

/// Does what was typed; answers the exit code.
///
/// # Errors
/// What went wrong.
pub fn capture(global: &Global, command: CaptureCommand) -> Result<u8, Failure> {
    let (asked, words): (Asked, Say) = match command {
        CaptureCommand::Gaps(args) => {
            let wanted = GapsWanted {
                connection: args.connection,
                since: args
                    .since
                    .as_deref()
                    .map(|day| governing::instant(day, false))
                    .transpose()?,
                open: args.open,
            };
            (Asked::Gaps(wanted), Box::new(gaps))
        }
        CaptureCommand::Status => (Asked::Status, Box::new(status)),
        CaptureCommand::Statement(args) => {
            if let Some(out) = &args.out {
                return commands::export_chosen(global, Chosen::Statement(args.day), out, None, args.force);
            }
            let language = args.language;
            (
                Asked::Statement(args.day),
                Box::new(move |value| statement::words(value, language)),
            )
        }
    };
    let answer = owner::run(global, Operation::Capture(asked), &mut |_| Ok(()))?;
    if global.json {
        print::json(&answer)?;
    } else {
        words(&answer).print()?;
    }
    Ok(DONE)
}

fn gaps(value: &Value) -> Words {
    let mut words = tables::gaps(value);
    let mut said: Vec<String> = Vec::new();
    for gap in rows(value, "gaps")
        .iter()
        .filter(|gap| text(gap, "/state") == "open")
    {
        let line = format!("{}: {}", text(gap, "/cause"), text(gap, "/remedy"));
        if !said.contains(&line) {
            said.push(line);
        }
    }
    if !said.is_empty() {
        words.line("");
        words.line("What can still be done:");
        said.iter().for_each(|line| words.line(line));
    }
    words.line("");
    words.line(&format!(
        "{} open of {} known. What nobody points at, counts or expects can be missing without a gap.",
        text(value, "/open"),
        text(value, "/known")
    ));
    if value.get("more").and_then(Value::as_bool) == Some(true) {
        words.line("There are more: narrow it with --connection, --since, --open.");
    }
    words
}

fn status(value: &Value) -> Words {
    let mut words = Words::new();
    let one = |path: &str| text(value, path);
    words.pairs(&[
        (
            "connections",
            format!(
                "{} of {} configured captured something",
                one("/captured_connections"),
                one("/configured_connections")
            ),
        ),
        (
            "custodians",
            match value.get("custodians_by_state").and_then(Value::as_object) {
                Some(states) if !states.is_empty() => {
                    let each = states.iter().map(|(state, count)| format!("{count} {state}"));
                    each.collect::<Vec<_>>().join(", ")
                }
                _ => "nobody is enrolled".to_owned(),
            },
        ),
        (
            "consent of custodians",
            match value.get("custodians_by_consent").and_then(Value::as_object) {
                Some(by) if !by.is_empty() => {
                    let each = by.iter().map(|(consent, count)| format!("{count} {consent}"));
                    each.collect::<Vec<_>>().join(", ")
                }
                _ => "nobody is enrolled".to_owned(),
            },
        ),
        ("destroyed without consent", one("/without_consent/destroyed")),
        (
            "understood",
            format!("{} of {} entries", one("/normalized"), one("/head")),
        ),
        (
            "gaps",
            format!("{} open of {} known", one("/gaps_open"), one("/gaps_known")),
        ),
    ]);
    words.line("");
    let columns = [
        ("connection", "/id"),
        ("connector", "/connector"),
        ("captures", "/captures"),
        ("first", "/first_capture_at"),
        ("last", "/last_capture_at"),
        ("open gaps", "/gaps_open"),
    ];
    words.append(tables::table(
        value,
        "connections",
        &columns,
        "no connection yet: chancery connection add CONNECTOR ID",
    ));
    if one("/without_consent/destroyed") != "0" || one("/without_consent/kept_under_hold_or_minimum") != "0" {
        words.line("");
        words.append(crate::consent::lacking(value));
    }
    words.line("");
    words.line(&one("/denominator"));
    words
}
