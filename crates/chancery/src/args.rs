//! The command line as it is typed.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use crate::failure::{DONE, Failure, USAGE};
use crate::governing::{CertificateArgs, DestroyArgs, HoldCommand, SignIn};

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
    /// The process that faces the network, started by `serve`.
    #[command(hide = true)]
    Intake(crate::serve::IntakeArgs),
    /// Look at everything that may need attention; exit 1 if something does.
    #[command(after_help = "Example: chancery doctor --data ./archive || mail -s attention ops@example.com")]
    Doctor,
    /// How things stand: connections, gaps, newest checkpoint.
    #[command(after_help = "Example: chancery status --json")]
    Status,
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
    /// A witness, for a second site: cosigns checkpoints of a log, and never two histories of it.
    #[command(subcommand)]
    Witness(WitnessCommand),
    /// Delete everything derived from the ledger and make it again.
    #[command(after_help = "Example: chancery rebuild --data ./archive")]
    Rebuild,
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
    /// A secret and the file it stands in; again for several values of one secret.
    #[arg(long = "secret", value_name = "NAME=FILE")]
    pub secrets: Vec<String>,
    /// A setting.
    #[arg(long = "setting", value_name = "NAME=VALUE")]
    pub settings: Vec<String>,
    /// Days before which nobody may destroy what it captured.
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub minimum_lock_days: u32,
    /// Replace a connection of this name with its secrets and settings.
    #[arg(long)]
    pub replace: bool,
}

/// `chancery anchor`.
#[derive(Subcommand)]
pub enum AnchorCommand {
    /// Configure one. `serve` then asks it by itself.
    #[command(subcommand)]
    Add(AnchorAdd),
    /// All of them, and how old the last of each is.
    #[command(after_help = "Example: chancery anchor list")]
    List,
    /// Take one out. What it gave is kept.
    #[command(after_help = "Example: chancery anchor remove notary")]
    Remove {
        /// Which.
        name: String,
    },
    /// Anchor everything so far at once, and say what came back; exit 1 if one did not work.
    #[command(after_help = "Example: chancery anchor now")]
    Now {
        /// Which; all when none is named.
        name: Option<String>,
    },
}

/// `chancery anchor add`.
#[derive(Subcommand)]
pub enum AnchorAdd {
    /// A C2SP witness: cosigns each checkpoint that continues the last.
    #[command(
        after_help = "Example: chancery anchor add witness notary --url https://witness.example.org \
                            --key witness.example.org/w1+1a2b3c4d+BASE64"
    )]
    Witness {
        /// What it is called here: a-z, 0-9 and -.
        name: String,
        /// Its submission prefix.
        #[arg(long, value_name = "URL")]
        url: String,
        /// Its key, or a file with it.
        #[arg(long, value_name = "KEY")]
        key: String,
        /// How often.
        #[command(flatten)]
        schedule: Schedule,
    },
    /// An RFC 3161 time-stamping authority.
    #[command(
        after_help = "Example: chancery anchor add tsa stamps --url https://tsa.example.org --root tsa-root.pem"
    )]
    Tsa {
        /// What it is called here: a-z, 0-9 and -.
        name: String,
        /// Where it takes requests.
        #[arg(long, value_name = "URL")]
        url: String,
        /// File with the root certificate, or several, that its certificate must lead to (PEM).
        #[arg(long, value_name = "PEM")]
        root: PathBuf,
        /// How often.
        #[command(flatten)]
        schedule: Schedule,
    },
    /// A folder on another machine's disk, mounted here.
    #[command(after_help = "Example: chancery anchor add folder auditor --path /mnt/auditor")]
    Folder {
        /// What it is called here: a-z, 0-9 and -.
        name: String,
        /// The folder.
        #[arg(long, value_name = "DIR")]
        path: PathBuf,
        /// How often.
        #[command(flatten)]
        schedule: Schedule,
    },
    /// An address that takes checkpoints by POST, as JSON.
    #[command(
        after_help = "Example: chancery anchor add webhook board --url https://board.example.org/checkpoints"
    )]
    Webhook {
        /// What it is called here: a-z, 0-9 and -.
        name: String,
        /// The address.
        #[arg(long, value_name = "URL")]
        url: String,
        /// How often.
        #[command(flatten)]
        schedule: Schedule,
    },
    /// Mail to people who keep it.
    #[command(
        after_help = "Example: chancery anchor add mail officer --to officer@example.org --from chancery@example.org \
                            --smtp mail.example.org:465 --user chancery --password-file smtp.txt\n\n\
                            Port 465 begins with TLS, every other must offer STARTTLS, except on this machine itself."
    )]
    Mail {
        /// What it is called here: a-z, 0-9 and -.
        name: String,
        /// To whom; again for several.
        #[arg(long, required = true, value_name = "ADDRESS")]
        to: Vec<String>,
        /// From whom.
        #[arg(long, value_name = "ADDRESS")]
        from: String,
        /// The mail server.
        #[arg(long, value_name = "HOST:PORT")]
        smtp: String,
        /// Name to sign in with.
        #[arg(long, value_name = "NAME", requires = "password_file")]
        user: Option<String>,
        /// File with the password; one line end at its end does not count.
        #[arg(long, value_name = "FILE", requires = "user")]
        password_file: Option<PathBuf>,
        /// How often.
        #[command(flatten)]
        schedule: Schedule,
    },
}

/// How often.
#[derive(Args)]
pub struct Schedule {
    /// How often, when there is something new, as 60s, 15m, 6h or 1d. Without it: a witness each minute, an authority each
    /// hour, the others each day.
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub every: Option<u64>,
}

/// A number of seconds, minutes, hours or days.
fn seconds(text: &str) -> Result<u64, String> {
    let wrong = || "a whole number and s, m, h or d, as 15m".to_owned();
    let unit = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 60 * 60,
        Some('d') => 24 * 60 * 60,
        _ => return Err(wrong()),
    };
    let number = text.get(..text.len().saturating_sub(1)).unwrap_or_default();
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let number = Some(number).filter(|number| (1..=100_000).contains(number));
    Ok(number.ok_or_else(wrong)? * unit)
}

/// `chancery witness`.
#[derive(Subcommand)]
pub enum WitnessCommand {
    /// Make a witness's folder with its key.
    #[command(after_help = "Example: chancery witness init --dir ./witness --name witness.example.org/w1")]
    Init {
        /// The folder.
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
        /// Its name in cosignatures: best a host of yours.
        #[arg(long, default_value = "chancery-witness", value_name = "NAME")]
        name: String,
    },
    /// Run it, until stopped.
    #[command(
        after_help = "Example: chancery witness serve --dir ./witness --log zone.pub --listen 0.0.0.0:8090"
    )]
    Serve {
        /// The folder.
        #[arg(long, value_name = "DIR")]
        dir: PathBuf,
        /// File with the public key of a zone whose log it watches; again for another.
        #[arg(long = "log", required = true, value_name = "ZONE.pub")]
        logs: Vec<PathBuf>,
        /// Where it is asked, in plain HTTP: put a proxy with TLS in front where others can listen.
        #[arg(long, default_value = "127.0.0.1:8090", value_name = "ADDR")]
        listen: std::net::SocketAddr,
    },
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
