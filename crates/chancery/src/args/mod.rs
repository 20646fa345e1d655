//! The command line as it is typed.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use crate::failure::{DONE, Failure, USAGE};
use crate::governing::{CertificateArgs, DestroyArgs, HoldCommand, SignIn};

mod alarms;
mod anchors;

pub use alarms::{AlarmAdd, AlarmCommand, Tongue};
pub use anchors::{AnchorAdd, AnchorCommand, Schedule, WitnessCommand};

const EXIT_CODES: &str = "\
Exit codes:
   0  done; what was checked holds
   1  done; what was checked does not hold
  64  the command line is wrong
  65  the data is not what it should be
  69  something that is needed is missing
  73  the output cannot be made, or the data folder is in use
  74  reading or writing failed
  77  not permitted, wrong passphrase

Begin with:
  chancery init --data ./archive
  chancery import whatsapp-export chat.zip --data ./archive
  chancery search invoice --data ./archive";

/// Keeps a sealed, provable record of business messaging.
#[derive(Parser)]
#[command(name = "chancery", version, max_term_width = 100, after_help = EXIT_CODES)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// What every command takes.
    #[command(flatten)]
    pub global: Global,
}

/// What every command takes.
#[derive(Args, Clone)]
#[command(next_help_heading = "Everywhere")]
pub struct Global {
    /// The data folder. Without it: chancery under $XDG_DATA_HOME, or under ~/.local/share.
    #[arg(long, global = true, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// File with the passphrase; one line end at its end does not count. Else CHANCERY_PASSPHRASE, else a prompt.
    #[arg(long, global = true, value_name = "FILE", conflicts_with = "key_file")]
    pub passphrase_file: Option<PathBuf>,
    /// File with a key instead of a passphrase, kept elsewhere; `init` makes it when it is not there.
    #[arg(long, global = true, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// Print one JSON object (parse: one a line) on the standard output, errors included.
    #[arg(long, global = true)]
    pub json: bool,
}

/// What to do.
#[derive(Subcommand)]
pub enum Command {
    /// A temporary instance filled with sample traffic: the main job in one command.
    #[command(after_help = "Example: chancery demo")]
    Demo(crate::demo::DemoArgs),
    /// Make a data folder with its keys.
    #[command(
        after_help = "Example: chancery init --zone eu --data ./archive --key-copy /media/usb/keystore"
    )]
    Init(InitArgs),
    /// Run: take webhooks, answer the console and the other commands, until stopped.
    #[command(after_help = "Example: chancery serve --data ./archive --listen 127.0.0.1:8080")]
    Serve(crate::serve::ServeArgs),
    /// On a host of its own: take webhooks, seal them, and hold them out to the vault, which comes for them.
    #[command(
        after_help = "Example: chancery intake --listen 0.0.0.0:443 --tls-cert cert.pem --tls-key key.pem \\\n         \
                            --vault-listen 10.0.0.5:7443 --vault-pin sha256:… --identity intake.key\n\n\
                            docs/guide/dmz.md says how the two are set up."
    )]
    Intake(crate::dmz::IntakeArgs),
    /// Make the key by which an intake host and a vault know each other, and print its pin.
    #[command(after_help = "Example: chancery identity /etc/chancery/intake.key")]
    Identity(crate::dmz::IdentityArgs),
    /// Look at everything that may need attention; exit 1 if something does.
    #[command(after_help = "Example: chancery doctor --data ./archive || mail -s attention ops@example.com")]
    Doctor,
    /// How things stand: connections, gaps, newest checkpoint.
    #[command(after_help = "Example: chancery status --json")]
    Status,
    /// What is captured, and what is known to be missing.
    #[command(subcommand)]
    Capture(crate::capture::CaptureCommand),
    /// Whose communication is kept: import, list, show, record, notice.
    #[command(subcommand)]
    Custodian(crate::custodian::CustodianCommand),
    /// Of whom consent is asked before what they say is kept: show, require, approve, decline.
    #[command(subcommand)]
    Consent(crate::consent::ConsentCommand),
    /// Configured accounts: add, list, test.
    #[command(subcommand)]
    Connection(ConnectionCommand),
    /// Bring files in through a connector.
    #[command(
        after_help = "Example: chancery import whatsapp-export chat.zip --custodian 'Ann Lee' \
                            --zone-of-phone Europe/London"
    )]
    Import(ImportArgs),
    /// Say what files mean, as JSON, and keep nothing. Needs no data folder.
    #[command(
        after_help = "Example: chancery parse whatsapp-export chat.zip > chat.jsonl\n\n\
                            A report for each file comes last. FILE may be - for the standard input."
    )]
    Parse(ParseArgs),
    /// Lay two accounts of one conversation side by side; exit 1 if they differ.
    #[command(after_help = crate::reconcile::EXAMPLES)]
    Reconcile(crate::reconcile::ReconcileArgs),
    /// Show one message, event or problem with its proof.
    #[command(after_help = "Example: chancery show 1042.3")]
    Show {
        /// Its id, as `search` prints it.
        id: String,
    },
    /// Find messages.
    #[command(
        after_help = "Example: chancery search 'invoice from:ann after:2024-01-31'\n\n\
                            Words must all occur. \"a phrase\"; from: in: kind: connection: after: before:; is:message, \
                            is:event, is:problem, is:any, is:repeat."
    )]
    Search {
        /// Words and filters.
        query: String,
        /// At most so many.
        #[arg(long, default_value_t = 100, value_name = "N")]
        limit: u32,
    },
    /// Write a bundle that proves itself, with just the keys that open it.
    #[command(after_help = "Example: chancery export --query invoice --out bundle.zip\n\
                            Check it anywhere: chancery-verify bundle.zip --key zone.pub")]
    Export(ExportArgs),
    /// Check the whole store on disk; exit 1 if something does not hold.
    #[command(after_help = "Example: chancery verify --against checkpoint.txt\n\n\
                            Needs no passphrase; with one given the key store is checked too.")]
    Verify {
        /// A checkpoint that was kept elsewhere.
        #[arg(long, value_name = "CHECKPOINT")]
        against: Option<PathBuf>,
    },
    /// Sign a checkpoint over everything so far, to be kept by somebody else.
    #[command(after_help = "Example: chancery checkpoint --out checkpoint.txt\n\n\
                            Writes FILE and FILE.proof. Keep both where nobody here can change them.")]
    Checkpoint {
        /// Where to.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Anchors outside: who cosigns, time-stamps or keeps checkpoints.
    #[command(subcommand)]
    Anchor(AnchorCommand),
    /// Alarms: who is told that a check is not well or a gap opened.
    #[command(subcommand)]
    Alarm(AlarmCommand),
    /// A witness, for a second site: cosigns checkpoints of a log, and never two histories of it.
    #[command(subcommand)]
    Witness(WitnessCommand),
    /// Delete everything derived from the ledger and make it again.
    #[command(after_help = "Example: chancery rebuild --data ./archive")]
    Rebuild,
    /// Backups on other disks: add, list, remove, now.
    #[command(subcommand)]
    Backup(crate::copies::BackupCommand),
    /// Put a data folder back from a backup; or try it, and delete it again.
    #[command(
        after_help = "Examples: chancery restore --from /mnt/backup/chancery --data ./archive\n          \
                            chancery restore --drill --data ./archive"
    )]
    Restore(crate::copies::RestoreArgs),
    /// Read every byte of the data folder and its backups, and compare them; exit 1 if something does not hold.
    #[command(after_help = "Example: chancery scrub --repair --data ./archive")]
    Scrub(crate::copies::ScrubArgs),
    /// The key store for so many of several people together: key, make, open, drill.
    #[command(subcommand)]
    Escrow(crate::escrow::EscrowCommand),
    /// The key ring, without secrets, and what is destroyed in it.
    #[command(subcommand)]
    Keys(KeysCommand),
    /// What must be kept whatever else is decided.
    #[command(subcommand)]
    Hold(HoldCommand),
    /// People and their roles.
    #[command(subcommand)]
    User(UserCommand),
    /// Print completions for a shell.
    #[command(after_help = "Example: chancery completions bash > /etc/bash_completion.d/chancery")]
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

/// Arguments of `init`.
#[derive(Args)]
pub struct InitArgs {
    /// The legal territory whose record this is: a-z, 0-9 and -.
    #[arg(long, default_value = "us", value_name = "ID")]
    pub zone: String,
    /// Keep a second copy of the key store in this file, on another disk.
    #[arg(long, value_name = "FILE")]
    pub key_copy: Option<PathBuf>,
}

/// What is known of a file from outside.
#[derive(Args, Clone, Default)]
pub struct FromOutside {
    /// Whose phone it is: the name or number as it stands in the file. Decides what is in and what is out.
    #[arg(long, value_name = "NAME")]
    pub custodian: Option<String>,
    /// IANA time zone of that phone, as Europe/London.
    #[arg(long, value_name = "IANA")]
    pub zone_of_phone: Option<String>,
    /// Order of dates, for when the file does not decide.
    #[arg(long, value_name = "ORDER")]
    pub date_order: Option<Order>,
}

/// Order of the parts of a date.
#[derive(Clone, Copy, ValueEnum)]
pub enum Order {
    /// 31/01/2024
    Dmy,
    /// 01/31/2024
    Mdy,
    /// 2024/01/31
    Ymd,
}

impl From<Order> for connect::DateOrder {
    fn from(order: Order) -> connect::DateOrder {
        match order {
            Order::Dmy => connect::DateOrder::Dmy,
            Order::Mdy => connect::DateOrder::Mdy,
            Order::Ymd => connect::DateOrder::Ymd,
        }
    }
}

/// Arguments of `import`.
#[derive(Args)]
pub struct ImportArgs {
    /// Connector.
    pub source: String,
    /// Files as the phone or platform made them.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Connection they belong to; the connector's name when not given. Made when there is none.
    #[arg(long, value_name = "ID")]
    pub connection: Option<String>,
    /// What the files do not say.
    #[command(flatten)]
    pub outside: FromOutside,
}

/// Arguments of `parse`.
#[derive(Args)]
pub struct ParseArgs {
    /// Connector.
    pub source: String,
    /// Files, or - for the standard input.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// A secret that opens encrypted files, and the file it stands in; again for several.
    #[arg(long = "secret", value_name = "NAME=FILE")]
    pub secrets: Vec<String>,
    /// What the files do not say.
    #[command(flatten)]
    pub outside: FromOutside,
}

/// Arguments of `export`.
#[derive(Args)]
#[command(group = clap::ArgGroup::new("selection").required(true).args(["all", "query", "id"]))]
pub struct ExportArgs {
    /// Everything.
    #[arg(long)]
    pub all: bool,
    /// What a query finds.
    #[arg(long, value_name = "QUERY")]
    pub query: Option<String>,
    /// These records.
    #[arg(long, value_name = "ID", num_args = 1..)]
    pub id: Vec<String>,
    /// The bundle to write.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// A checkpoint that the receiver holds: the bundle proves that it continues it.
    #[arg(long, value_name = "CHECKPOINT")]
    pub against: Option<PathBuf>,
    /// Write over a file that is there.
    #[arg(long)]
    pub force: bool,
}

/// `chancery connection`.
#[derive(Subcommand)]
pub enum ConnectionCommand {
    /// Add a connection, with its secrets from files or a prompt.
    #[command(
        after_help = "Example: chancery connection add whatsapp-cloud ward-3 --secret app-secret=app.txt \
                            --secret verify-token=token.txt"
    )]
    Add(ConnectionAddArgs),
    /// List connections.
    #[command(after_help = "Example: chancery connection list --json")]
    List,
    /// Note when secrets of a connection end, without giving them anew.
    #[command(after_help = "Example: chancery connection expires ward-3 access-token=2027-03-31")]
    Expires {
        /// Which.
        id: String,
        /// A secret, and the day or time at which it ends; never, where it does not.
        #[arg(required = true, value_name = "NAME=DATE")]
        dates: Vec<String>,
    },
    /// Look whether a connection can work; exit 1 if not.
    #[command(after_help = "Examples: chancery connection test ward-3\n          \
                            chancery connection test ward-3 --url https://hooks.example.org/in/ward-3")]
    Test {
        /// Which.
        id: String,
        /// The callback address entered at the vendor: tries the handshake and two forgeries through it, from here.
        /// Nothing of that is kept in the record.
        #[arg(long, value_name = "URL")]
        url: Option<String>,
    },
}

/// Arguments of `connection add`.
#[derive(Args)]
pub struct ConnectionAddArgs {
    /// Connector.
    pub connector: String,
    /// Name of the connection: a-z, 0-9 and -; part of the webhook's address.
    pub id: String,
    /// A secret and the file it stands in; again for several values of one secret. Where there is one a version (the private
    /// keys of `wecom-archive`): NAME=VERSION:FILE.
    #[arg(long = "secret", value_name = "NAME=FILE")]
    pub secrets: Vec<String>,
    /// A setting.
    #[arg(long = "setting", value_name = "NAME=VALUE")]
    pub settings: Vec<String>,
    /// When a secret ends, where the vendor says so: it is warned 30 days before. A date, as 2027-03-31, or a time.
    #[arg(long = "secret-expires", value_name = "NAME=DATE")]
    pub secret_expires: Vec<String>,
    /// Days before which nobody may destroy what it captured.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub minimum_lock_days: u32,
    /// Replace a connection of this name with its secrets and settings.
    #[arg(long)]
    pub replace: bool,
}

/// `chancery keys`.
#[derive(Subcommand)]
pub enum KeysCommand {
    /// How many secrets of each kind live, and which were destroyed.
    #[command(after_help = "Example: chancery keys list")]
    List,
    /// What can be said of erasure: which keys are gone, and whether that is in force.
    #[command(after_help = "Example: chancery keys attest --json")]
    Attest,
    /// Ask for the keys of a conversation, a person or a month to be destroyed. A second person must approve.
    #[command(
        after_help = "Example: chancery keys destroy --person +447700900123 --reason 'asked to be forgotten' \
                            --legal-basis 'GDPR art. 17(1)(b)' --user ann --password-file ann.txt\n\n\
                            All that is named in one command is one request."
    )]
    Destroy(DestroyArgs),
    /// Agree to a request, as the second person; exit 1 if it could not be done after all.
    #[command(after_help = "Example: chancery keys approve 1042 --user bo --password-file bo.txt")]
    Approve {
        /// The request, as `keys requests` names it.
        request: u64,
        /// Who.
        #[command(flatten)]
        signing: SignIn,
    },
    /// Do not agree to a request, or withdraw one's own.
    #[command(after_help = "Example: chancery keys decline 1042 --reason 'the wrong person' --user bo")]
    Decline {
        /// The request.
        request: u64,
        /// Why.
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// Who.
        #[command(flatten)]
        signing: SignIn,
    },
    /// All requests, and what became of them.
    #[command(after_help = "Example: chancery keys requests --json")]
    Requests,
    /// Write the certificate of a destruction: what is gone, who decided, what is beyond reach.
    #[command(after_help = "Example: chancery keys certificate 1057 --out certificate.html --language zh-CN")]
    Certificate(CertificateArgs),
    /// Keep the second copy of the key store in this file from now on; what is destroyed is destroyed there at once.
    #[command(after_help = "Example: chancery keys copy --out /media/usb/keystore")]
    Copy {
        /// A new file, on another disk. The file that was the second copy before is deleted.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Open the key store with another passphrase from now on; every secret is sealed anew.
    #[command(after_help = "Example: chancery keys passphrase --new-passphrase-file new.txt")]
    Passphrase {
        /// File with the new passphrase; else a prompt.
        #[arg(long, value_name = "FILE", conflicts_with = "new_key_file")]
        new_passphrase_file: Option<PathBuf>,
        /// File with a key instead of a passphrase, kept elsewhere; made when it is not there.
        #[arg(long, value_name = "FILE")]
        new_key_file: Option<PathBuf>,
    },
    /// Put a new signing key in the place of the one in force. The log and its history stay.
    #[command(after_help = "Example: chancery keys rotate-signing\n\n\
                            Hand the new zone.pub and the statement to everybody who has the old zone.pub.")]
    RotateSigning {
        /// Somebody else may have the old key: it then proves only what an anchor from before covers.
        #[arg(long)]
        compromised: bool,
    },
}

/// `chancery user`.
#[derive(Subcommand)]
pub enum UserCommand {
    /// Add a person; the password comes from a prompt or a file.
    #[command(after_help = "Example: chancery user add ann --role officer --password-file ann.txt")]
    Add {
        /// Name to sign in with.
        name: String,
        /// What the person may do.
        #[arg(long)]
        role: RoleName,
        /// File with the password; one line end at its end does not count.
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// List people and roles.
    #[command(after_help = "Example: chancery user list")]
    List,
}

/// What a person may do.
#[derive(Clone, Copy, ValueEnum)]
pub enum RoleName {
    /// Reads and decides what is assigned.
    Reviewer,
    /// Compliance officer: policy, holds, exports.
    Officer,
    /// IT security: which apps are in use.
    Security,
    /// Reads everything, changes nothing.
    Auditor,
    /// Connections and people; reads no content.
    Administrator,
}

/// The whole command line, for completions and the reference page.
pub fn command() -> clap::Command {
    Arguments::command()
}

/// Reads the command line. What clap says itself (help, version, mistakes) is printed here.
///
/// # Errors
/// The exit code.
pub fn read() -> Result<Arguments, u8> {
    let error = match Arguments::try_parse() {
        Ok(arguments) => return Ok(arguments),
        Err(error) => error,
    };
    let json = std::env::args_os().any(|argument| argument == "--json");
    let text = error.render();
    if !error.use_stderr() {
        let _ = write!(io::stdout().lock(), "{text}");
        return Err(DONE);
    }
    if json {
        let text = text.to_string();
        let line = text.lines().next().unwrap_or_default();
        Failure::usage(line.trim_start_matches("error: ")).print(true);
    } else {
        let _ = write!(io::stderr().lock(), "{text}");
    }
    Err(USAGE)
}
