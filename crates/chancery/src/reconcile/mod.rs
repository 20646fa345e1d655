//! `reconcile`: two accounts of one conversation, laid side by side.

use std::collections::hash_map::RandomState;
use std::fs::File;
use std::path::{Path, PathBuf};

use clap::Args;
use model::MessageId;
use reconcile::{Difference, Outcome, compare};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use server::vault::Vault;
use server::vault::reconcile::Digesting;

use crate::args::Global;
use crate::failure::{DOES_NOT_HOLD, DONE, Failure};
use crate::operation::{Emit, Interim, Operation};
use crate::{files, owner, perform, print};

mod load;
mod words;

use load::{Places, load_captured, load_file};
use words::{difference_words, words};

/// What `parse` writes, as a source.
const RECORDS: &str = "records";

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
