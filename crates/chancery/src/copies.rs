//! `backup`, `restore`, `scrub`, and what concerns copies of the key store.

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::{Args, Subcommand};
use seal::keyring::PassphraseCost;
use serde_json::{Value, json};
use server::vault::VaultOptions;
use server::vault::backups::KEEP_KEYS_DAYS_MAX;
use server::vault::drill::DrillReport;
use server::vault::restore::{RestoreOptions, RestoredFolder, restore};
use server::vault::scrubs::{Scrub, Scrubbed};
use store::folder::FolderLock;
use store::ledger::places::Places;

use crate::args::Global;
use crate::failure::{CANNOT_WRITE, DOES_NOT_HOLD, DONE, Failure, warn};
use crate::operation::{Hidden, Operation};
use crate::passphrase::Secret;
use crate::print::{self, Words, plain};
use crate::{drill, files, owner, passphrase, socket};

/// `chancery backup`.
#[derive(Subcommand)]
pub enum BackupCommand {
    /// Keep a backup in a folder on another disk: copied at once, then continuously while `serve` runs.
    #[command(after_help = "Example: chancery backup add /mnt/backup/chancery\n\n\
                            What stands there is sealed as in the data folder; take it further with rsync, as it is.")]
    Add {
        /// An empty folder, or one that holds a backup of this zone.
        folder: PathBuf,
        /// Days after which a copy of the key store is deleted there: until then it opens what was destroyed since.
        #[arg(long, default_value_t = KEEP_KEYS_DAYS_MAX, value_name = "N")]
        keep_keys_days: u32,
    },
    /// The backups, how far each has come, and which copies of the key store it holds.
    #[command(after_help = "Example: chancery backup list --json")]
    List,
    /// Copy into a folder no longer. What stands there stays; copies of the key store go when their date comes.
    #[command(after_help = "Example: chancery backup remove /mnt/backup/chancery")]
    Remove {
        /// Which.
        folder: PathBuf,
    },
    /// Bring every backup up to date now.
    #[command(after_help = "Example: chancery backup now --data ./archive")]
    Now,
}

/// Arguments of `restore`.
#[derive(Args)]
pub struct RestoreArgs {
    /// The backup, or what is left of a data folder. A drill takes the first configured backup when none is given.
    #[arg(long, value_name = "DIR", required_unless_present = "drill")]
    pub from: Option<PathBuf>,
    /// Another backup, or what is left of the data folder, from which damaged or missing pieces are taken.
    #[arg(long, value_name = "DIR")]
    pub repair_from: Option<PathBuf>,
    /// Take the key store from this file, as the second copy, and not from the backup.
    #[arg(long, value_name = "FILE")]
    pub keys: Option<PathBuf>,
    /// A checkpoint that was kept elsewhere: says what is lost since.
    #[arg(long, value_name = "CHECKPOINT")]
    pub against: Option<PathBuf>,
    /// Go on although entries are known to be lost; a gap says how many.
    #[arg(long)]
    pub accept_loss: bool,
    /// Keep a second copy of the key store in this file, on another disk.
    #[arg(long, value_name = "FILE")]
    pub key_copy: Option<PathBuf>,
    /// Restore into a temporary folder, compare with the living vault, print times, and delete it.
    #[arg(long, conflicts_with_all = ["key_copy", "against"])]
    pub drill: bool,
    /// Where the temporary folder of a drill is made.
    #[arg(long, value_name = "DIR", requires = "drill")]
    pub scratch: Option<PathBuf>,
}

/// Arguments of `scrub`.
#[derive(Args)]
pub struct ScrubArgs {
    /// Mend what does not hold from the copy that does; bad bytes are set aside.
    #[arg(long)]
    pub repair: bool,
    /// A backup to compare with, beside the configured ones.
    #[arg(long = "with", value_name = "DIR")]
    pub with: Vec<PathBuf>,
}

/// `backup …`.
///
/// # Errors
/// What the vault says.
pub fn backup(global: &Global, command: BackupCommand) -> Result<u8, Failure> {
    let (operation, words): (_, fn(&Value) -> Words) = match command {
        BackupCommand::Add {
            folder,
            keep_keys_days,
        } => {
            let folder = files::absolute(&folder)?;
            (
                Operation::BackupAdd {
                    folder,
                    keep_keys_days,
                },
                added,
            )
        }
        BackupCommand::List => (Operation::BackupList, listed),
        BackupCommand::Remove { folder } => (
            Operation::BackupRemove {
                folder: files::absolute(&folder)?,
            },
            removed,
        ),
        BackupCommand::Now => (Operation::BackupNow, copied),
    };
    let answer = owner::run(global, operation, &mut |_| Ok(()))?;
    say(global, &answer, words)
}

fn say(global: &Global, answer: &Value, words: fn(&Value) -> Words) -> Result<u8, Failure> {
    if global.json {
        print::json(answer)?
    } else {
        words(answer).print()?
    }
    Ok(DONE)
}

fn text(value: &Value, path: &str) -> String {
    value.pointer(path).map_or_else(|| "-".to_owned(), plain)
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value
        .get(name)
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

fn added(value: &Value) -> Words {
    let mut words = Words::new();
    words.line(&format!("{} is kept as a backup", text(value, "/backup/folder")));
    words.pairs(&[
        ("entries", text(value, "/copied/entries")),
        ("bytes", text(value, "/copied/bytes")),
        (
            "copies of the key store kept",
            format!("{} days", text(value, "/backup/keep_keys_days")),
        ),
    ]);
    words.line("Now: chancery restore --drill says how long a restore takes, and whether it holds.");
    words
}

fn listed(value: &Value) -> Words {
    let mut words = Words::new();
    if list(value, "backups").is_empty() {
        words.line("no backups; make one with `chancery backup add DIR`");
    }
    for backup in list(value, "backups") {
        words.line(&text(backup, "/folder"));
        words.pairs(&[
            ("  current", text(backup, "/current")),
            ("  state", text(backup, "/state")),
        ]);
        key_copies(&mut words, backup);
    }
    words
}

fn key_copies(words: &mut Words, value: &Value) {
    for copy in list(value, "key_copies") {
        words.line(&format!(
            "  key store of {}, deleted at {}: {}",
            text(copy, "/made_at"),
            text(copy, "/expires_at"),
            text(copy, "/place")
        ));
    }
}

fn removed(value: &Value) -> Words {
    let mut words = Words::new();
    words.line(&format!(
        "{} is no backup any more; what stands there stays",
        text(value, "/removed/folder")
    ));
    key_copies(&mut words, value);
    words.line(
        "Copies of the key store are still deleted when their date comes, while `serve` runs and finds them.",
    );
    words
}

fn copied(value: &Value) -> Words {
    let mut words = Words::new();
    for backup in list(value, "backups") {
        words.line(&format!(
            "{}: {} entries, {} bytes new",
            text(backup, "/folder"),
            text(backup, "/copied/entries"),
            text(backup, "/copied/bytes")
        ));
    }
    words
}

/// `restore`.
///
/// # Errors
/// The target is not empty; something is damaged, missing, or of another zone.
pub fn run_restore(global: &Global, args: &RestoreArgs) -> Result<u8, Failure> {
    if args.drill {
        return run_drill(global, args);
    }
    let from = args.from.as_deref().map(files::absolute).transpose()?;
    let from = from.ok_or_else(|| Failure::usage("restore from what? give --from DIR"))?;
    let data = files::data_folder(global)?;
    let key_copy = args.key_copy.as_deref().map(files::absolute).transpose()?;
    if let Some(copy) = key_copy.as_ref().filter(|copy| copy.exists()) {
        let text = format!(
            "{} is there already; name a new file for the second copy",
            copy.display()
        );
        return Err(Failure::new(CANNOT_WRITE, text));
    }
    let secret = passphrase::ask(global)?;
    let against = args.against.as_deref().map(files::small_text).transpose()?;
    let actor = owner::actor(rustix::process::getuid());
    let options = RestoreOptions {
        from: &from,
        data: &data,
        unlock: &secret.unlock(),
        keys: args.keys.as_deref(),
        repair_from: args.repair_from.as_deref(),
        against: against.as_deref(),
        accept_loss: args.accept_loss,
        key_copy,
        is_drill: false,
        actor: &actor,
    };
    let done = restore(&options, settings())?;
    if global.json {
        print::json(&json!({ "data": data, "restored": done }))?;
    } else {
        restored(&data, &done).print()?;
    }
    Ok(DONE)
}

fn settings() -> VaultOptions {
    let mut settings = VaultOptions::with_clock(std::sync::Arc::new(owner::now));
    drill::prepare(&mut settings);
    settings
}

fn restored(data: &Path, done: &RestoredFolder) -> Words {
    let mut words = Words::new();
    words.line(&format!("restored zone {} into {}", done.zone, data.display()));
    let seconds = |ms: u64| format!("{}.{:03} s", ms / 1000, ms % 1000);
    words.pairs(&[
        ("entries", done.entries.to_string()),
        ("segments", format!("{}, {} bytes", done.segments, done.bytes)),
        ("checkpoint of size", done.batches.to_string()),
        ("key store", done.keys_from.display().to_string()),
        ("destroyed again", format!("{} secrets", done.destroyed_again)),
        ("copied and checked in", seconds(done.copied_in_ms)),
        ("took", seconds(done.took_ms)),
    ]);
    let since = done
        .lost
        .since
        .map_or("the beginning".to_owned(), |since| since.to_string());
    match (done.lost.entries_at_least, done.lost.batches) {
        (0, 0) => words.line(&format!(
            "Whatever was recorded after {since} is not there; nothing is known to be lost."
        )),
        (entries, _) => words.line(&format!(
            "LOST: at least {entries} entries recorded after {since}; a gap in the record says so."
        )),
    }
    if done.backups_forgotten > 0 {
        words.line(
            "Backups are not configured any more, so that nothing is copied over the one restored from.",
        );
    }
    words.line("Now: chancery doctor; chancery backup add DIR; chancery keys copy --out FILE.");
    words
}

/// A restore into a temporary folder, compared with the living vault.
fn run_drill(global: &Global, args: &RestoreArgs) -> Result<u8, Failure> {
    let data = files::existing_data_folder(global)?;
    let secret = passphrase::ask(global)?;
    let from = match &args.from {
        Some(from) => files::absolute(from)?,
        None => first_backup(global, &secret)?,
    };
    let scratch = args.scratch.clone().unwrap_or_else(std::env::temp_dir);
    let folder = tempfile::Builder::new()
        .prefix("chancery-drill-")
        .tempdir_in(&scratch)
        .map_err(|error| Failure::cannot_write(&scratch, &error))?;
    let target = folder.path().join("data");
    let options = RestoreOptions {
        from: &from,
        data: &target,
        unlock: &secret.unlock(),
        keys: args.keys.as_deref(),
        repair_from: args.repair_from.as_deref(),
        against: None,
        accept_loss: args.accept_loss,
        key_copy: None,
        is_drill: true,
        actor: "",
    };
    let begun = Instant::now();
    let done = restore(&options, settings())?;
    let nonce = seal::Key::random().map_err(server::vault::VaultError::from)?;
    let nonce = seal::suite::hex(nonce.reveal());
    let vault = owner::open(&target, &secret)?;
    vault.wait_normalized(vault.ledger().head())?;
    let fingerprint = vault.fingerprint(&nonce, (done.entries, done.batches), None)?;
    let opened_in_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    drop(vault);
    folder
        .close()
        .map_err(|error| Failure::io("deleting", &target, &error))?;
    let report = DrillReport {
        from,
        nonce,
        restored: json!(done),
        fingerprint,
        opened_in_ms,
    };
    let operation = Operation::Drill { report };
    let answer = owner::run_with(&data, &secret, operation, &mut |_| Ok(()))?;
    say(global, &answer, drilled)?;
    let holds = answer.get("holds").and_then(Value::as_bool).unwrap_or(false);
    Ok(if holds { DONE } else { DOES_NOT_HOLD })
}

fn first_backup(global: &Global, secret: &Secret) -> Result<PathBuf, Failure> {
    let data = files::existing_data_folder(global)?;
    let all = owner::run_with(&data, secret, Operation::BackupList, &mut |_| Ok(()))?;
    let first = list(&all, "backups")
        .first()
        .and_then(|backup| backup.get("folder"));
    first.and_then(Value::as_str).map(PathBuf::from).ok_or_else(|| {
        Failure::usage("there is no backup to try: `chancery backup add DIR`, or name one with --from")
    })
}

fn drilled(value: &Value) -> Words {
    let mut words = Words::new();
    let one = |path: &str| text(value, path);
    let holds = value.get("holds").and_then(Value::as_bool).unwrap_or(false);
    words.line(if holds {
        "the drill held: what was put back is what is here"
    } else {
        "DOES NOT HOLD  what was put back is not what is here"
    });
    words.pairs(&[
        ("from", one("/from")),
        ("entries", one("/restored/entries")),
        ("bytes", one("/restored/bytes")),
        (
            "copied and checked in",
            format!("{} ms", one("/restored/copied_in_ms")),
        ),
        ("restored in", format!("{} ms", one("/restored/took_ms"))),
        (
            "opened and understood in",
            format!("{} ms in all", one("/opened_in_ms")),
        ),
        ("same root", one("/compared/root_is_the_same")),
        (
            "records opened and the same",
            format!(
                "{} of {}",
                one("/compared/records_the_same"),
                one("/compared/records_opened")
            ),
        ),
        ("destroyed since", one("/compared/records_destroyed_since")),
        (
            "would be lost",
            format!(
                "{} entries, recorded since {}",
                one("/would_be_lost/entries"),
                one("/would_be_lost/since")
            ),
        ),
    ]);
    words
}

/// `scrub`: by whoever has the data folder; by this process, without opening anything, when it is too damaged to open.
///
/// # Errors
/// Files that cannot be read. What does not hold is printed, with exit code 1.
pub fn scrub(global: &Global, args: &ScrubArgs) -> Result<u8, Failure> {
    let data = files::existing_data_folder(global)?;
    drop(settings());
    let served = socket::connect(&data)?.is_some();
    if served && args.with.is_empty() {
        let operation = Operation::Scrub { repair: args.repair };
        let answer = owner::run(global, operation, &mut |_| Ok(()))?;
        return scrubbed(global, &answer);
    }
    if served {
        return Err(Failure::usage(
            "--with is for when nobody serves the data folder; stop the server first, or leave it out",
        ));
    }
    let secret = passphrase::ask(global)?;
    let mut result = closed_scrub(&data, args, &secret)?;
    // What was mended may be opened now; that is how it is written down.
    match owner::open(&data, &secret) {
        Ok(vault) => vault.note_scrubbed(&result, &owner::actor(rustix::process::getuid()))?,
        Err(error) => {
            let failure = Failure::from(error);
            warn(&format!(
                "this is not written down, the data folder does not open: {}",
                failure.message
            ));
            result.holds = false;
        }
    }
    scrubbed(global, &json!(result))
}

fn closed_scrub(data: &Path, args: &ScrubArgs, secret: &Secret) -> Result<Scrubbed, Failure> {
    let _lock = FolderLock::take(data)?;
    let file = server::vault::read_zone_file(data)?;
    let keys = server::vault::log_keys(data, &file)?;
    let mut backups: Vec<PathBuf> = args
        .with
        .iter()
        .map(|folder| files::absolute(folder))
        .collect::<Result<_, _>>()?;
    let path = data.join("keys/keystore");
    let opened =
        server::vault::scrubs::open_keys(data, file.key_copy.as_deref(), &secret.unlock(), args.repair)?;
    for folder in opened.backups {
        if !backups.contains(&folder) {
            backups.push(folder);
        }
    }
    let scrub = Scrub {
        zone: &file.zone,
        keys: &keys,
        data,
        backups: &backups,
        repair: args.repair,
        now: owner::now(),
    };
    let ledger = data.join("ledger");
    let mut result = scrub.run(&|| Places::of_data(&ledger), &mut |_| Ok(()))?;
    if let Some(own) = result.copies.first_mut() {
        own.findings.extend(opened.findings);
        own.left.extend(opened.left);
        own.mended
            .extend(opened.mended.then(|| path.display().to_string()));
    }
    result.holds = result.copies.iter().all(|copy| copy.left.is_empty());
    Ok(result)
}

fn scrubbed(global: &Global, value: &Value) -> Result<u8, Failure> {
    say(global, value, |value| {
        let mut words = Words::new();
        for copy in list(value, "copies") {
            let folder = text(copy, "/folder");
            let (entries, segments) = (text(copy, "/entries"), text(copy, "/segments"));
            words.line(&format!(
                "{folder}: {entries} entries in {segments} segments read"
            ));
            let pairs = |name: &str| -> Vec<String> {
                let found = list(copy, name).iter();
                found
                    .map(|pair| format!("{}: {}", text(pair, "/0"), text(pair, "/1")))
                    .collect()
            };
            pairs("findings")
                .iter()
                .for_each(|line| words.line(&format!("  DID NOT HOLD   {line}")));
            for file in list(copy, "mended") {
                words.line(&format!("  mended         {}", plain(file)));
            }
            pairs("left")
                .iter()
                .for_each(|line| words.line(&format!("  DOES NOT HOLD  {line}")));
        }
        let holds = value.get("holds").and_then(Value::as_bool).unwrap_or(false);
        if holds {
            words.line("everything holds");
        }
        words.line(&format!("took {} ms", text(value, "/took_ms")));
        words
    })?;
    let holds = value.get("holds").and_then(Value::as_bool).unwrap_or(false);
    Ok(if holds { DONE } else { DOES_NOT_HOLD })
}

/// `keys copy`.
///
/// # Errors
/// The file is there already, or cannot be written.
pub fn key_copy(global: &Global, out: &Path) -> Result<u8, Failure> {
    let out = files::absolute(out)?;
    let answer = owner::run(global, Operation::KeysCopy { out }, &mut |_| Ok(()))?;
    say(global, &answer, |value| {
        let mut words = Words::new();
        words.line(&format!(
            "the second copy of the key store is {} from now on",
            text(value, "/key_copy")
        ));
        if value.get("old_copy_left").is_some_and(|left| !left.is_null()) {
            let left = text(value, "/old_copy_left");
            words.line(&format!(
                "{left} could not be deleted: delete it, for it holds keys that nobody will destroy"
            ));
        }
        words
    })
}

/// `keys passphrase`.
///
/// # Errors
/// The old one does not open; the new one is short.
pub fn change_passphrase(
    global: &Global,
    new_file: Option<&Path>,
    new_key_file: Option<&Path>,
) -> Result<u8, Failure> {
    let data = files::existing_data_folder(global)?;
    // Also when a server answers: whoever changes it must know it.
    let old = passphrase::ask(global)?;
    server::vault::check_unlock(&data, &old.unlock())?;
    let new = Global {
        passphrase_file: new_file.map(Path::to_owned),
        key_file: new_key_file.map(Path::to_owned),
        ..global.clone()
    };
    let new = passphrase::choose_new(&new)?;
    let operation = match new {
        Secret::Passphrase(bytes) => Operation::KeysPassphrase {
            secret: Hidden(bytes),
            is_key_file: false,
        },
        Secret::KeyFile(bytes) => Operation::KeysPassphrase {
            secret: Hidden(bytes),
            is_key_file: true,
        },
    };
    let answer = owner::run_with(&data, &old, operation, &mut |_| Ok(()))?;
    say(global, &answer, |value| {
        let mut words = Words::new();
        words.line(&format!(
            "the key store is opened by the new {} from now on",
            text(value, "/opened_by")
        ));
        for copy in list(value, "copies_opened_by_the_old_one") {
            let (path, expires) = (text(copy, "/place"), text(copy, "/expires_at"));
            words.line(&format!(
                "{path} is still opened by the old one, until it is deleted at {expires}"
            ));
        }
        words.line(
            "An escrow made before opens only such older copies: make it anew with `chancery escrow make`.",
        );
        words
    })
}

/// Cost of a passphrase that is chosen.
pub const COST: PassphraseCost = PassphraseCost::STANDARD;
