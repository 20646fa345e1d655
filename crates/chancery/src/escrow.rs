//! `escrow`: the key store for so many of several people together.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use seal::suite::EcdhPrivate;
use serde_json::{Value, json};
use server::vault::escrow::{new_recipient, open_by_escrow, open_recipient, seal_anew};
use store::failpoint;

use crate::args::Global;
use crate::copies::COST;
use crate::failure::{BAD_DATA, CANNOT_WRITE, DONE, Failure};
use crate::operation::Operation;
use crate::passphrase::{self, Secret};
use crate::print::{self, Words, plain};
use crate::{files, owner, socket};

const KEYSTORE_BYTES_MAX: u64 = 2 << 30;

/// `chancery escrow`.
#[derive(Subcommand)]
pub enum EscrowCommand {
    /// Make a recipient's key pair: FILE, sealed by the recipient's passphrase, and FILE.pub, to be handed in.
    #[command(after_help = "Example: chancery escrow key --name ann --out ann.key")]
    Key {
        /// Whose: letters, digits, . _ @ and -.
        #[arg(long, value_name = "NAME")]
        name: String,
        /// Where to.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Split what opens the key store among recipients: a share for each, of which so many together open a copy.
    #[command(
        after_help = "Example: chancery escrow make --recipient ann.key.pub --recipient ben.key.pub \
                            --recipient notary.key.pub --threshold 2 --out ./shares"
    )]
    Make {
        /// A recipient's public key; again for each.
        #[arg(long = "recipient", required = true, value_name = "FILE")]
        recipients: Vec<PathBuf>,
        /// So many are needed.
        #[arg(long, value_name = "M")]
        threshold: u8,
        /// A folder for the shares, made when it is not there.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Open a copy of the key store without its passphrase, and write it anew under another.
    #[command(
        after_help = "Example: chancery escrow open --share ann.share --key ann.key --share ben.share --key ben.key \
                            --keystore /mnt/backup/zone-keys/NEWEST.keystore --out keystore\n         \
                            chancery restore --from /mnt/backup --keys keystore --data ./archive"
    )]
    Open {
        /// Who opens what.
        #[command(flatten)]
        with: OpenArgs,
        /// The key store to write; a new file.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        /// File with the new passphrase; else a prompt.
        #[arg(long, value_name = "FILE", conflicts_with = "new_key_file")]
        new_passphrase_file: Option<PathBuf>,
        /// File with a key instead of a passphrase, kept elsewhere; made when it is not there.
        #[arg(long, value_name = "FILE")]
        new_key_file: Option<PathBuf>,
    },
    /// Really open the key store with the escrow alone, and write nothing.
    #[command(
        after_help = "Example: chancery escrow drill --share ann.share --key ann.key --share ben.share --key ben.key \
                            --keystore ./archive/keys/keystore --data ./archive"
    )]
    Drill {
        /// Who opens what.
        #[command(flatten)]
        with: OpenArgs,
    },
}

/// Shares and what opens them.
#[derive(Args)]
pub struct OpenArgs {
    /// A share; again for each.
    #[arg(long = "share", required = true, value_name = "FILE")]
    pub shares: Vec<PathBuf>,
    /// A recipient's key; again for each.
    #[arg(long = "key", required = true, value_name = "FILE")]
    pub keys: Vec<PathBuf>,
    /// File with the passphrase of a recipient's key, in the order of --key; else each is asked for.
    #[arg(long = "key-passphrase-file", value_name = "FILE")]
    pub key_passphrases: Vec<PathBuf>,
    /// The copy of the key store.
    #[arg(long, value_name = "FILE")]
    pub keystore: PathBuf,
}

/// `escrow …`.
///
/// # Errors
/// What cannot be read or written; what is refused.
pub fn escrow(global: &Global, command: EscrowCommand) -> Result<u8, Failure> {
    match command {
        EscrowCommand::Key { name, out } => key(global, &name, &out),
        EscrowCommand::Make {
            recipients,
            threshold,
            out,
        } => make(global, &recipients, threshold, &out),
        EscrowCommand::Open {
            with,
            out,
            new_passphrase_file,
            new_key_file,
        } => {
            let new = Global {
                passphrase_file: new_passphrase_file,
                key_file: new_key_file,
                ..global.clone()
            };
            open(global, &with, &out, &new)
        }
        EscrowCommand::Drill { with } => drill(global, &with),
    }
}

fn say(global: &Global, answer: &Value, lines: &[String]) -> Result<u8, Failure> {
    if global.json {
        print::json(answer)?;
        return Ok(DONE);
    }
    let mut words = Words::new();
    lines.iter().for_each(|line| words.line(line));
    words.print()?;
    Ok(DONE)
}

fn refuse_existing(path: &Path) -> Result<(), Failure> {
    if path.exists() {
        let text = format!("{} is there already; choose another name", path.display());
        return Err(Failure::new(CANNOT_WRITE, text));
    }
    Ok(())
}

/// Writes a file that gets its name when it is whole, readable by its owner alone.
fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    refuse_existing(path)?;
    let (unfinished, mut file) = files::Unfinished::begin(path, false)?;
    std::io::Write::write_all(&mut file, bytes).map_err(|error| Failure::cannot_write(path, &error))?;
    failpoint::hit("escrow-share-written");
    unfinished.finish(&file)
}

fn key(global: &Global, name: &str, out: &Path) -> Result<u8, Failure> {
    let out = files::absolute(out)?;
    let public_file = files::beside(&out, ".pub");
    refuse_existing(&out)?;
    refuse_existing(&public_file)?;
    let secret = passphrase::choose(global)?;
    let (file, public) = new_recipient(name, &secret.unlock(), COST)?;
    write(&out, &file)?;
    write(&public_file, public.as_bytes())?;
    let answer = json!({ "name": name, "key": out, "public_key": public_file });
    let lines = [
        format!("wrote {} and {}", out.display(), public_file.display()),
        "Keep the first with its passphrase, apart from your share; hand in the second.".to_owned(),
    ];
    say(global, &answer, &lines)
}

fn make(global: &Global, recipients: &[PathBuf], threshold: u8, out: &Path) -> Result<u8, Failure> {
    let out = files::absolute(out)?;
    drill_points();
    let recipients: Vec<String> = recipients
        .iter()
        .map(|path| files::small_text(path))
        .collect::<Result<_, _>>()?;
    if std::fs::read_dir(&out).is_ok_and(|mut files| files.next().is_some()) {
        let text = format!("{} is not empty; name a new folder for the shares", out.display());
        return Err(Failure::new(CANNOT_WRITE, text));
    }
    store::folder::create_folder(&out)?;
    let operation = Operation::EscrowMake {
        recipients,
        threshold,
    };
    let answer = owner::run(global, operation, &mut |_| Ok(()))?;
    let list = |name: &str| -> Vec<String> {
        let found = answer.pointer(name).and_then(Value::as_array);
        found.into_iter().flatten().map(plain).collect()
    };
    let mut written = Vec::new();
    for (name, share) in list("/escrow/recipients").iter().zip(list("/shares")) {
        let path = out.join(format!("{name}.share"));
        write(&path, share.as_bytes())?;
        written.push(path);
    }
    let lines = [
        format!(
            "{} shares in {}; any {threshold} open a copy of the key store",
            written.len(),
            out.display()
        ),
        "Hand each to its recipient, and keep none here. Now: chancery escrow drill, with them.".to_owned(),
    ];
    say(
        global,
        &json!({ "escrow": answer.get("escrow"), "shares": written }),
        &lines,
    )
}

/// Only the owner of a vault looks at fail points otherwise, and shares may be written by another process.
fn drill_points() {
    let mut options = server::vault::VaultOptions::with_clock(std::sync::Arc::new(owner::now));
    crate::drill::prepare(&mut options);
}

struct Read {
    shares: Vec<(String, String)>,
    keys: Vec<EcdhPrivate>,
    keystore: Vec<u8>,
}

fn read(with: &OpenArgs) -> Result<Read, Failure> {
    let mut shares = Vec::new();
    for path in &with.shares {
        let failed = |_| Failure::new(BAD_DATA, format!("{} is no share of an escrow", path.display()));
        shares.push((
            path.display().to_string(),
            files::small_text(path).map_err(failed)?,
        ));
    }
    let mut keys = Vec::new();
    let mut passphrases = with.key_passphrases.iter();
    for path in &with.keys {
        let file = store::folder::read_file(path, 1 << 20)?;
        let secret = match passphrases.next() {
            Some(given) => passphrase::line_of(given)?,
            None => passphrase::prompt(
                &format!("Passphrase of {}: ", path.display()),
                "--key-passphrase-file FILE",
            )?,
        };
        let opened = open_recipient(&file, &Secret::Passphrase(secret).unlock());
        keys.push(opened.map_err(|error| Failure::from(error).of(path.display()))?);
    }
    let keystore = store::folder::read_file(&with.keystore, KEYSTORE_BYTES_MAX)?;
    Ok(Read {
        shares,
        keys,
        keystore,
    })
}

fn open(global: &Global, with: &OpenArgs, out: &Path, new: &Global) -> Result<u8, Failure> {
    refuse_existing(out)?;
    let read = read(with)?;
    let (mut ring, opened) = open_by_escrow(&read.shares, &read.keys, &read.keystore)?;
    let secret = passphrase::choose_new(new)?;
    write(out, &seal_anew(&mut ring, &secret.unlock(), COST)?)?;
    let lines = [
        format!(
            "opened by {}: {} secrets of zone {}",
            opened.by.join(", "),
            opened.secrets,
            opened.zone
        ),
        format!(
            "wrote {}, which the new passphrase or key file opens",
            out.display()
        ),
        format!(
            "Now: chancery restore --from BACKUP --keys {} --data NEW",
            out.display()
        ),
    ];
    say(global, &json!({ "opened": opened, "file": out }), &lines)
}

fn drill(global: &Global, with: &OpenArgs) -> Result<u8, Failure> {
    let read = read(with)?;
    let (ring, opened) = open_by_escrow(&read.shares, &read.keys, &read.keystore)?;
    drop(ring);
    let mut lines = vec![format!(
        "opened by the escrow alone, {} of {} needed: {} secrets of zone {}",
        opened.by.len(),
        opened.threshold,
        opened.secrets,
        opened.zone
    )];
    let written = note(global, json!(opened))?;
    lines.push(match &written {
        Some(_) => "written down; `doctor` says how long ago it was".to_owned(),
        None => {
            "not written down: no data folder is open here, nor was a passphrase given for one".to_owned()
        }
    });
    say(
        global,
        &json!({ "opened": opened, "written_down": written }),
        &lines,
    )
}

/// Writes the drill down where that takes no passphrase that was not given: the point is that none is needed.
fn note(global: &Global, opened: Value) -> Result<Option<Value>, Failure> {
    let Ok(data) = files::existing_data_folder(global) else {
        return Ok(None);
    };
    let operation = Operation::EscrowDrill { opened };
    if socket::connect(&data)?.is_none() && passphrase::given(global)?.is_none() {
        return Ok(None);
    }
    owner::run(global, operation, &mut |_| Ok(())).map(Some)
}
