//! `chancery custodian`: whose communication is kept, and what they were told and agreed to.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use govern::custodian::{Change, Dated, Named, Told};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use server::vault::Vault;

use crate::args::Global;
use crate::failure::{BAD_DATA, DOES_NOT_HOLD, DONE, Failure};
use crate::governing::{Language, MaySignIn, Signing};
use crate::operation::Operation;
use crate::print::{self, Words};
use crate::tables::{self, rows, text};
use crate::{governing, owner};

/// A line of a person is some hundred bytes, and all of it crosses the socket in one request.
const TABLE_BYTES_MAX: u64 = 4 << 20;

/// `chancery custodian`.
#[derive(Subcommand)]
pub enum CustodianCommand {
    /// Enrol whom a table names; what is wrong in it is named by line, the rest goes on, and the exit code is 1.
    #[command(after_help = "Example: chancery custodian import staff.csv\n\n\
                            Columns: name, handles, zone, department, connections, mode (automatic, by-export), start (2026-01-31).\n\
                            Several handles or connections with ; between. A handle: +44 7700 900123, or KIND:VALUE.")]
    Import {
        /// The table, CSV in UTF-8.
        file: PathBuf,
        /// Who.
        #[command(flatten)]
        signing: MaySignIn,
    },
    /// Everybody, and how their capture stands.
    #[command(after_help = "Example: chancery custodian list --json")]
    List,
    /// One of them: handles with their dates, what happened, how many messages came under each.
    #[command(after_help = "Example: chancery custodian show 42.0")]
    Show {
        /// Id, as `custodian list` prints it.
        id: String,
    },
    /// Write down what happened to one of them.
    #[command(
        after_help = "Examples: chancery custodian record 42.0 noticed --on 2026-01-31 --version draft-1 --language zh-CN\n          \
                            chancery custodian record 42.0 number-changed --on 2026-03-01 --handle '+44 7700 900123' --new '+44 7700 900456'"
    )]
    Record(RecordArgs),
    /// Print a notice to fill in. A draft: have counsel review it.
    #[command(after_help = "Example: chancery custodian notice --language zh-CN > notice.txt")]
    Notice {
        /// Language.
        #[arg(long, value_name = "LANGUAGE", default_value = "en")]
        language: Language,
    },
}

/// Arguments of `custodian record`.
#[derive(Args)]
pub struct RecordArgs {
    /// Id, as `custodian list` prints it.
    pub id: String,
    /// What happened.
    pub what: What,
    /// The day (2026-01-31), or a time in UTC.
    #[arg(long, value_name = "DAY")]
    pub on: String,
    /// The handle that it is about.
    #[arg(long, value_name = "HANDLE")]
    pub handle: Option<String>,
    /// The handle from then on.
    #[arg(long, value_name = "HANDLE")]
    pub new: Option<String>,
    /// Which text they were shown.
    #[arg(long, value_name = "NAME", default_value = "capture")]
    pub text: String,
    /// Its version.
    #[arg(long, value_name = "VERSION")]
    pub version: Option<String>,
    /// Its language.
    #[arg(long, value_name = "LANGUAGE")]
    pub language: Option<String>,
    /// Who.
    #[command(flatten)]
    pub signing: MaySignIn,
}

/// What can happen.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// They were told; needs --version and --language.
    Noticed,
    /// They agreed; needs --version and --language.
    Consented,
    /// They agree no longer.
    Withdrew,
    /// A phone is lost; needs --handle.
    PhoneLost,
    /// They have another number; needs --handle and --new.
    NumberChanged,
    /// The number is somebody else's from then on; needs --handle.
    NumberRecycled,
    /// Several people write under it from then on; needs --handle.
    NumberShared,
    /// They left.
    Left,
}

/// What is asked of the vault.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Asked {
    /// Enrol whom this table names.
    Import {
        /// CSV.
        table: String,
        /// Who signs in for it.
        signing: Option<Signing>,
    },
    /// Everybody.
    List,
    /// One.
    Show(String),
    /// Something happened.
    Record {
        /// To whom.
        id: String,
        /// When and what.
        dated: Dated,
        /// Who signs in for it.
        signing: Option<Signing>,
    },
}

/// Does it.
///
/// # Errors
/// What the vault said.
pub fn perform(vault: &Vault, asked: Asked, actor: &str) -> Result<Value, Failure> {
    Ok(match asked {
        Asked::Import { table, signing } => {
            let user = governing::signed_in(vault, signing.as_ref(), actor)?;
            vault.import_custodians(&table, user.as_ref(), actor)?
        }
        Asked::List => vault.custodians(actor)?,
        Asked::Show(id) => vault.custodian(&id, actor)?,
        Asked::Record { id, dated, signing } => {
            let user = governing::signed_in(vault, signing.as_ref(), actor)?;
            vault.record_custodian(&id, &dated, user.as_ref(), actor)?
        }
    })
}

/// Does what was typed; answers the exit code.
///
/// # Errors
/// What went wrong.
pub fn custodian(global: &Global, command: CustodianCommand) -> Result<u8, Failure> {
    let (asked, words): (Asked, fn(&Value) -> Words) = match command {
        CustodianCommand::Import { file, signing } => {
            let signing = signing.signing()?;
            let table = read_table(&file)?;
            (Asked::Import { table, signing }, imported)
        }
        CustodianCommand::List => (Asked::List, list),
        CustodianCommand::Show { id } => (Asked::Show(id), show),
        CustodianCommand::Record(args) => {
            let id = args.id.clone();
            let signing = args.signing.signing()?;
            let dated = dated(args)?;
            (Asked::Record { id, dated, signing }, recorded)
        }
        CustodianCommand::Notice { language } => {
            print::print(match language {
                Language::En => include_str!("notices/en.txt"),
                Language::Zh => include_str!("notices/zh-CN.txt"),
            })?;
            return Ok(DONE);
        }
    };
    let answer = owner::run(global, Operation::Custodian(asked), &mut |_| Ok(()))?;
    if global.json {
        print::json(&answer)?;
    } else {
        words(&answer).print()?;
    }
    Ok(if rows(&answer, "wrong").is_empty() {
        DONE
    } else {
        DOES_NOT_HOLD
    })
}

/// The bytes of a table, as text.
fn read_table(path: &std::path::Path) -> Result<String, Failure> {
    use std::io::Read;
    let failed = |error: std::io::Error| Failure::io("reading", path, &error);
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(TABLE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > TABLE_BYTES_MAX {
        let text = format!("{} is larger than 4 MiB; import it in pieces", path.display());
        return Err(Failure::new(BAD_DATA, text));
    }
    String::from_utf8(bytes).map_err(|_| {
        Failure::new(
            BAD_DATA,
            format!("{} is not UTF-8; save it as CSV in UTF-8", path.display()),
        )
    })
}

fn dated(args: RecordArgs) -> Result<Dated, Failure> {
    let at = governing::instant(&args.on, false)?;
    let handle = |given: Option<&str>, option: &str| {
        let given = given.ok_or_else(|| Failure::usage(format!("{option} is needed")))?;
        server::vault::custodians::handle(given)
            .map_err(|remedy| Failure::usage(format!("{option}: write {remedy}")))
    };
    let told = || {
        let need = |given: &Option<String>, option: &str| {
            given
                .clone()
                .ok_or_else(|| Failure::usage(format!("{option} is needed: which text they were shown")))
        };
        Ok::<_, Failure>(Told {
            text: args.text.clone(),
            version: need(&args.version, "--version")?,
            language: need(&args.language, "--language")?,
        })
    };
    let named = || {
        Ok::<_, Failure>(Named {
            handle: handle(args.handle.as_deref(), "--handle")?,
        })
    };
    let change = match args.what {
        What::Noticed => Change::Noticed(told()?),
        What::Consented => Change::Consented(told()?),
        What::Withdrew => Change::Withdrew,
        What::PhoneLost => Change::PhoneLost(named()?),
        What::NumberChanged => Change::NumberChanged {
            handle: named()?.handle,
            new: handle(args.new.as_deref(), "--new")?,
        },
        What::NumberRecycled => Change::NumberRecycled(named()?),
        What::NumberShared => Change::NumberShared(named()?),
        What::Left => Change::Left,
    };
    Ok(Dated { at, change })
}

fn imported(value: &Value) -> Words {
    let mut words = Words::new();
    words.line(&format!(
        "enrolled {}, known before {}, wrong {}",
        text(value, "/enrolled"),
        text(value, "/known"),
        rows(value, "wrong").len()
    ));
    for wrong in rows(value, "wrong") {
        words.line(&format!(
            "line {}: {}: {}",
            text(wrong, "/line"),
            text(wrong, "/problem"),
            text(wrong, "/remedy")
        ));
    }
    words
}

fn list(value: &Value) -> Words {
    let columns = [
        ("custodian", "/id"),
        ("name", "/name"),
        ("department", "/department"),
        ("mode", "/mode"),
        ("since", "/start"),
        ("state", "/state"),
        ("consent", "/consent"),
        ("destroyed", "/destroyed_without_consent"),
    ];
    tables::table(
        value,
        "custodians",
        &columns,
        "nobody is enrolled yet: chancery custodian import FILE.csv",
    )
}

fn show(value: &Value) -> Words {
    let mut words = Words::new();
    let one = |path: &str| text(value, path);
    words.pairs(&[
        ("custodian", one("/id")),
        ("name", one("/name")),
        ("department", one("/department")),
        ("zone", one("/zone")),
        ("mode", one("/mode")),
        ("state", one("/state")),
    ]);
    words.line("");
    let columns = [
        ("handle", "/kind"),
        ("", "/value"),
        ("from", "/from"),
        ("to", "/to"),
        ("shared", "/shared"),
        ("messages", "/messages"),
    ];
    words.append(tables::table(value, "spans", &columns, "no handle"));
    words.line("");
    let columns = [
        ("on", "/at"),
        ("what", "/what"),
        ("text", "/text"),
        ("version", "/version"),
        ("language", "/language"),
    ];
    words.append(tables::table(value, "log", &columns, "nothing happened yet"));
    words
}

fn recorded(value: &Value) -> Words {
    let mut words = Words::new();
    words.line(&format!(
        "written down for {} by entry {}",
        text(value, "/custodian"),
        text(value, "/by_entry")
    ));
    words
}
