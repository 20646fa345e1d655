//! `chancery capture`: what is captured, and what is known to be missing.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use server::vault::Vault;
use server::vault::canaries::CanaryWanted;
use server::vault::gaps::GapsWanted;

use crate::args::Global;
use crate::failure::{DONE, Failure};
use crate::governing::Language;
use crate::operation::{Chosen, Hidden, Operation};
use crate::print::{self, Words};
use crate::tables::{self, rows, text};
use crate::{commands, governing, owner, passphrase, statement};

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
    /// Expect a message of your own at a connection every so often: that it does not arrive is a gap and an alarm.
    #[command(
        after_help = "Examples: chancery capture expect ward-3 daily --phrase-file phrase.txt --every 24h --grace 2h\n          \
                            chancery capture expect ward-3 daily --remove\n\n\
                            The message has to hold the phrase, one line of 12 to 256 characters, exactly as it is. `capture status` \
                            lists what is expected."
    )]
    Expect(ExpectArgs),
}

/// Arguments of `capture expect`.
#[derive(Args)]
pub struct ExpectArgs {
    /// The connection that is to bring it.
    pub connection: String,
    /// What it is called here: a-z, 0-9 and -.
    pub name: String,
    /// File with the phrase that the message holds, `-` for standard input.
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present = "remove",
        requires = "every"
    )]
    pub phrase_file: Option<PathBuf>,
    /// It arrives at least this often (30m, 24h, 7d).
    #[arg(long, value_name = "TIME", required_unless_present = "remove", value_parser = seconds)]
    pub every: Option<u64>,
    /// It may be this much later.
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = seconds)]
    pub grace: u64,
    /// Expect it no more.
    #[arg(long, conflicts_with_all = ["phrase_file", "every"])]
    pub remove: bool,
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
    /// Expect a message.
    Expect {
        /// Which.
        wanted: CanaryWanted,
        /// What it holds.
        phrase: Hidden,
    },
    /// Expect it no more.
    ExpectNoMore {
        /// Of which connection.
        connection: String,
        /// Which.
        name: String,
    },
}

/// A time as typed (30m, 24h, 7d), in seconds.
fn seconds(typed: &str) -> Result<u64, String> {
    let of = |unit: &str, seconds: u64| {
        let number = typed.strip_suffix(unit)?.parse::<u32>().ok()?;
        u64::from(number).checked_mul(seconds)
    };
    of("m", 60)
        .or_else(|| of("h", 3600))
        .or_else(|| of("d", 86_400))
        .ok_or_else(|| "a number and m, h or d is needed: 30m, 24h, 7d".to_owned())
}

/// Seconds as they are typed.
fn typed(seconds: u64) -> String {
    match seconds {
        0 => "0m".to_owned(),
        _ if seconds.is_multiple_of(86_400) && seconds > 86_400 => format!("{}d", seconds / 86_400),
        _ if seconds.is_multiple_of(3600) => format!("{}h", seconds / 3600),
        _ => format!("{}m", seconds / 60),
    }
}

/// Does it.
///
/// # Errors
/// What the vault said.
pub fn perform(vault: &Vault, asked: Asked, actor: &str) -> Result<Value, Failure> {
    vault.wait_looked(vault.ledger().head())?;
    Ok(match asked {
        Asked::Gaps(wanted) => vault.gaps(&wanted)?,
        Asked::Status => vault.capture_status()?,
        Asked::Statement(day) => vault.completeness_statement(day.as_deref())?,
        Asked::Expect { wanted, phrase } => vault.expect_canary(&wanted, &phrase.0, actor)?,
        Asked::ExpectNoMore { connection, name } => vault.expect_canary_no_more(&connection, &name, actor)?,
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
        CaptureCommand::Expect(args) => (expect(args)?, Box::new(expected)),
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

fn expect(args: ExpectArgs) -> Result<Asked, Failure> {
    let ExpectArgs { connection, name, .. } = args;
    let (Some(file), Some(every_seconds), false) = (args.phrase_file, args.every, args.remove) else {
        return Ok(Asked::ExpectNoMore { connection, name });
    };
    let file = match file.as_os_str() == "-" {
        true => Path::new("/dev/stdin"),
        false => &file,
    };
    let phrase = Hidden(passphrase::line_of(file)?);
    let wanted = CanaryWanted {
        connection,
        name: name
            .parse()
            .map_err(|problem| Failure::usage(format!("{name}: {problem}")))?,
        every_seconds,
        grace_seconds: args.grace,
    };
    Ok(Asked::Expect { wanted, phrase })
}

fn expected(value: &Value) -> Words {
    let mut words = Words::new();
    let of = |what: &str| {
        let path = |field: &str| text(value, &format!("/{what}/{field}"));
        format!("{} of {}", path("name"), path("connection"))
    };
    if value.get("removed").is_some() {
        words.line(&format!("{} is expected no more", of("removed")));
        return words;
    }
    let time = |field: &str| typed(value.pointer(field).and_then(Value::as_u64).unwrap_or(0));
    words.line(&format!(
        "{} is expected every {} from now on, and missing {} later; as long as chancery serve runs",
        of("expected"),
        time("/expected/every_seconds"),
        time("/expected/grace_seconds")
    ));
    words.line("See it: chancery capture status");
    words
}

/// What is expected, when it last arrived, and when it is next due.
fn awaited(value: &Value) -> Words {
    let mut words = Words::new();
    let mut lines = vec![
        [
            "expected",
            "every",
            "grace",
            "last arrived",
            "next due",
            "open gap",
        ]
        .map(str::to_owned)
        .to_vec(),
    ];
    for one in rows(value, "expected") {
        let time = |name: &str| typed(one.get(name).and_then(Value::as_u64).unwrap_or(0));
        lines.push(vec![
            format!("{}/{}", text(one, "/connection"), text(one, "/name")),
            time("every_seconds"),
            time("grace_seconds"),
            text(one, "/last_arrived_at"),
            text(one, "/next_due"),
            text(one, "/gap"),
        ]);
    }
    words.table(&lines);
    words
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
    if !rows(value, "expected").is_empty() {
        words.line("");
        words.append(awaited(value));
    }
    if one("/without_consent/destroyed") != "0" || one("/without_consent/kept_under_hold_or_minimum") != "0" {
        words.line("");
        words.append(crate::consent::lacking(value));
    }
    words.line("");
    words.line(&one("/denominator"));
    words
}
