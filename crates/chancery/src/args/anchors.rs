//! What is typed for anchors outside and for a witness.

use std::path::PathBuf;

use clap::{Args, Subcommand};

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
