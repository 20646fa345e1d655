//! From the command line to an operation, and from its answer to the output and the exit code.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::args::{
    AnchorCommand, Arguments, Command, ConnectionCommand, ExportArgs, Global, ImportArgs, KeysCommand,
    UserCommand,
};
use crate::failure::{DOES_NOT_HOLD, DONE, Failure};
use crate::operation::{Chosen, Export, Import, Interim, Operation};
use crate::print::{self, Words};
use crate::progress::Bar;
use crate::{
    alarm, anchor, capture, connection, consent, copies, custodian, demo, dmz, escrow, files, governing,
    init, owner, parse, perform, reconcile, serve, tables, user, verify, witness,
};

/// Does what was typed; answers the exit code.
///
/// # Errors
/// What went wrong.
pub fn dispatch(args: Arguments) -> Result<u8, Failure> {
    let global = &args.global;
    match args.command {
        Command::Demo(args) => demo::demo(global, &args),
        Command::Init(args) => init::init(global, &args),
        Command::Serve(args) => serve::serve(global, &args),
        Command::Intake(args) => dmz::intake(global, &args),
        Command::Identity(args) => dmz::identity(global, &args),
        Command::Doctor => checks(global, Operation::Doctor),
        Command::Status => simple(global, Operation::Status, tables::status),
        Command::Capture(command) => capture::capture(global, command),
        Command::Custodian(command) => custodian::custodian(global, command),
        Command::Consent(command) => consent::consent(global, command),
        Command::Connection(command) => match command {
            ConnectionCommand::Add(args) => connection::add(global, &args),
            ConnectionCommand::Expires { id, dates } => simple(
                global,
                Operation::ConnectionExpires {
                    dates: connection::dates(&dates)?,
                    id,
                },
                tables::connection_expires,
            ),
            ConnectionCommand::List => simple(global, Operation::ConnectionList, tables::connections),
            ConnectionCommand::Test { id, url } => checks(global, Operation::ConnectionTest { id, url }),
        },
        Command::Import(args) => import(global, args),
        Command::Parse(args) => parse::parse(&args),
        Command::Reconcile(args) => reconcile::run(global, args),
        Command::Show { id } => simple(global, Operation::Show { id }, tables::record),
        Command::Search { query, limit } => search(global, query, limit),
        Command::Export(args) => export(global, args),
        Command::Verify { against } => verify::verify(global, against.as_deref()),
        Command::Checkpoint { out } => checkpoint(global, &out),
        Command::Anchor(command) => match command {
            AnchorCommand::Add(add) => simple(global, anchor::add(add)?, tables::anchor_added),
            AnchorCommand::List => simple(global, Operation::AnchorList, tables::anchors),
            AnchorCommand::Remove { name } => {
                simple(global, Operation::AnchorRemove { name }, tables::anchor_removed)
            }
            AnchorCommand::Now { name } => checks(global, Operation::AnchorNow { name }),
        },
        Command::Alarm(command) => alarm::alarm(global, command),
        Command::Witness(command) => witness::witness(global, &command),
        Command::Keys(KeysCommand::RotateSigning { compromised }) => simple(
            global,
            Operation::KeysRotateSigning { compromised },
            tables::rotated,
        ),
        Command::Rebuild => simple(global, Operation::Rebuild, tables::rebuilt),
        Command::Backup(command) => copies::backup(global, command),
        Command::Restore(args) => copies::run_restore(global, &args),
        Command::Escrow(command) => escrow::escrow(global, command),
        Command::Scrub(args) => copies::scrub(global, &args),
        Command::Keys(KeysCommand::Copy { out }) => copies::key_copy(global, &out),
        Command::Keys(KeysCommand::Passphrase {
            new_passphrase_file,
            new_key_file,
        }) => copies::change_passphrase(global, new_passphrase_file.as_deref(), new_key_file.as_deref()),
        Command::Keys(KeysCommand::List) => simple(global, Operation::KeysList, tables::keys),
        Command::Keys(KeysCommand::Attest) => simple(global, Operation::KeysAttest, tables::attested),
        Command::Keys(KeysCommand::Destroy(args)) => governing::destroy(global, args),
        Command::Keys(KeysCommand::Approve { request, signing }) => {
            governing::approve(global, request, &signing)
        }
        Command::Keys(KeysCommand::Decline {
            request,
            reason,
            signing,
        }) => governing::decline(global, request, reason, &signing),
        Command::Keys(KeysCommand::Requests) => governing::requests(global),
        Command::Keys(KeysCommand::Certificate(args)) => governing::certificate(global, &args),
        Command::Hold(command) => governing::hold(global, command),
        Command::User(UserCommand::List) => simple(global, Operation::UserList, tables::users),
        Command::User(UserCommand::Add {
            name,
            role,
            password_file,
        }) => simple(
            global,
            user::add(&name, role, password_file.as_deref())?,
            tables::user,
        ),
        Command::Completions { shell } => completions(shell),
    }
}

pub fn simple(global: &Global, operation: Operation, words: fn(&Value) -> Words) -> Result<u8, Failure> {
    let answer = owner::run(global, operation, &mut |_| Ok(()))?;
    if global.json {
        print::json(&answer)?
    } else {
        words(&answer).print()?
    }
    Ok(DONE)
}

/// An operation that looks at several things: 1 when one is not well.
pub fn checks(global: &Global, operation: Operation) -> Result<u8, Failure> {
    let mut answer = owner::run(global, operation, &mut |_| Ok(()))?;
    let well = |check: &Value| check.get("ok").and_then(Value::as_bool).unwrap_or(false);
    let all = answer
        .get("checks")
        .and_then(Value::as_array)
        .is_some_and(|checks| checks.iter().all(well));
    if let Value::Object(fields) = &mut answer {
        fields.insert("ok".to_owned(), json!(all));
    }
    if global.json {
        print::json(&answer)?
    } else {
        tables::checks(&answer).print()?
    }
    Ok(if all { DONE } else { DOES_NOT_HOLD })
}

fn import(global: &Global, args: ImportArgs) -> Result<u8, Failure> {
    // Before anything is opened or asked for.
    perform::file_connector(&args.source)?;
    args.outside
        .zone_of_phone
        .as_deref()
        .map(perform::time_zone)
        .transpose()?;
    let operation = Operation::Import(Import {
        connector: args.source,
        files: args
            .files
            .iter()
            .map(|path| files::absolute(path))
            .collect::<Result<_, _>>()?,
        connection: args.connection,
        custodian: args.outside.custodian,
        zone_of_phone: args.outside.zone_of_phone,
        date_order: args.outside.date_order.map(Into::into),
    });
    let bar = Bar::new(global.json, true);
    let mut items = Vec::new();
    let sums = owner::run(global, operation, &mut |interim| {
        match interim {
            Interim::Progress(done, all) => bar.set(done, all),
            Interim::Item(item) => {
                bar.clear();
                items.push(item);
            }
        }
        Ok(())
    })?;
    bar.clear();
    let failure = sums
        .get("error")
        .and_then(|error| serde_json::from_value::<Failure>(error.clone()).ok());
    if global.json {
        print::json(&import_json(sums, items))?;
    } else {
        tables::imported(&items, &args.files).print()?;
        let failures = items.iter().filter_map(|item| item.get("error"));
        for failure in failures.filter_map(|error| serde_json::from_value::<Failure>(error.clone()).ok()) {
            failure.print(false);
        }
    }
    Ok(failure.map_or(DONE, |failure| failure.code))
}

fn import_json(mut sums: Value, items: Vec<Value>) -> Value {
    if let Value::Object(fields) = &mut sums {
        if fields.get("error").is_some_and(Value::is_null) {
            fields.remove("error");
        }
        fields.insert("files".to_owned(), Value::Array(items));
    }
    sums
}

fn search(global: &Global, query: String, limit: u32) -> Result<u8, Failure> {
    let json = global.json;
    let mut found = 0u64;
    // Printed as they come, so that many results need no memory.
    let answer = owner::run(global, Operation::Search { query, limit }, &mut |interim| {
        let Interim::Item(item) = interim else {
            return Ok(());
        };
        found += 1;
        if json {
            return print::print(&format!(
                "{}{item}",
                if found == 1 { "{\"results\":[\n" } else { ",\n" }
            ));
        }
        print::print(&tables::result(&item))
    });
    match answer {
        Ok(coverage) if json => {
            print::print(if found == 0 { "{\"results\":[" } else { "\n" })?;
            print::print(&format!("],\"found\":{found},\"coverage\":{coverage}}}\n"))?;
        }
        Ok(coverage) => tables::coverage(&coverage, found).print()?,
        Err(failure) if json && found > 0 => {
            // The object that was begun is ended with the error in it.
            let error = failure.json();
            let error = error.get("error").cloned().unwrap_or_default();
            print::print(&format!("\n],\"error\":{error}}}\n"))?;
            return Ok(failure.code);
        }
        Err(failure) => return Err(failure),
    }
    Ok(DONE)
}

fn export(global: &Global, args: ExportArgs) -> Result<u8, Failure> {
    let chosen = match args.query {
        _ if args.all => Chosen::All,
        Some(query) => Chosen::Query(query),
        None => Chosen::Ids(args.id),
    };
    export_chosen(global, chosen, &args.out, args.against.as_deref(), args.force)
}

/// Writes a bundle of what was chosen, and says what is in it.
///
/// # Errors
/// What the vault said.
pub fn export_chosen(
    global: &Global,
    chosen: Chosen,
    file: &Path,
    against: Option<&Path>,
    force: bool,
) -> Result<u8, Failure> {
    let out = files::absolute(file)?;
    let against = against.map(files::small_text).transpose()?;
    let operation = Operation::Export(Export {
        chosen,
        out: out.clone(),
        against,
        force,
    });
    let bar = Bar::new(global.json, false);
    let done = owner::run(global, operation, &mut |interim| {
        if let Interim::Progress(done, all) = interim {
            bar.set(done, all);
        }
        Ok(())
    });
    bar.clear();
    let mut answer = done?;
    if let Value::Object(fields) = &mut answer {
        fields.insert("file".to_owned(), json!(out));
    }
    if global.json {
        print::json(&answer)?
    } else {
        tables::exported(&answer, file).print()?
    }
    Ok(DONE)
}

fn checkpoint(global: &Global, out: &std::path::Path) -> Result<u8, Failure> {
    let out: PathBuf = files::absolute(out)?;
    if !out.parent().is_some_and(std::path::Path::is_dir) {
        let text = format!(
            "the folder of {} is not there; make it, or name another file",
            out.display()
        );
        return Err(Failure::new(crate::failure::CANNOT_WRITE, text));
    }
    let mut answer = owner::run(
        global,
        Operation::Checkpoint { out: out.clone() },
        &mut |_| Ok(()),
    )?;
    let proof = files::beside(&out, ".proof");
    if let Value::Object(fields) = &mut answer {
        fields.insert("file".to_owned(), json!(out));
        fields.insert("proof_file".to_owned(), json!(proof));
    }
    if global.json {
        print::json(&answer)?;
        return Ok(DONE);
    }
    let mut words = Words::new();
    words.line(&format!("wrote {} and {}", out.display(), proof.display()));
    words.line("Keep both where nobody who runs this machine can change them: a mailbox, an auditor, print.");
    words.print()?;
    Ok(DONE)
}

fn completions(shell: clap_complete::Shell) -> Result<u8, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut crate::args::command(), "chancery", &mut script);
    print::print(&String::from_utf8_lossy(&script))?;
    Ok(DONE)
}
