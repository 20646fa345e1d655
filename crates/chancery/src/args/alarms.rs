//! What is typed for destinations of alarms.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

/// `chancery alarm`.
#[derive(Subcommand)]
pub enum AlarmCommand {
    /// Say who is told. `serve` then tells them by itself.
    #[command(subcommand)]
    Add(AlarmAdd),
    /// All destinations, how many alarms wait for each, and what is wrong.
    #[command(after_help = "Example: chancery alarm list")]
    List,
    /// Take one out. What waits for it is dropped.
    #[command(after_help = "Example: chancery alarm remove desk")]
    Remove {
        /// Which.
        name: String,
    },
    /// Send a test at once, and say what came of it; exit 1 if one did not take it.
    #[command(after_help = "Example: chancery alarm test desk")]
    Test {
        /// Which; all when none is named.
        name: Option<String>,
    },
}

/// `chancery alarm add`.
#[derive(Subcommand)]
pub enum AlarmAdd {
    /// An address that takes signed JSON by POST.
    #[command(
        after_help = "Example: chancery alarm add webhook desk --url https://alarms.example.org/in --secret-file alarm.txt"
    )]
    Webhook {
        /// What it is called here: a-z, 0-9 and -.
        name: String,
        /// The address.
        #[arg(long, value_name = "URL")]
        url: String,
        /// File with the secret by which messages are signed; one line end at its end does not count.
        #[arg(long, value_name = "FILE")]
        secret_file: PathBuf,
        /// In which language.
        #[command(flatten)]
        language: Language,
    },
    /// Mail to people.
    #[command(
        after_help = "Example: chancery alarm add mail officer --to officer@example.org --from chancery@example.org \
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
        /// In which language.
        #[command(flatten)]
        language: Language,
    },
    /// A collector of syslog (RFC 5424).
    #[command(
        after_help = "Examples: chancery alarm add syslog siem --to tls://siem.example.org:6514 --root siem-root.pem\n          \
                            chancery alarm add syslog siem --to udp://127.0.0.1:514"
    )]
    Syslog {
        /// What it is called here: a-z, 0-9 and -.
        name: String,
        /// udp://HOST:PORT, tcp://HOST:PORT or tls://HOST:PORT.
        #[arg(long, value_name = "ADDRESS")]
        to: String,
        /// File with the certificate, or several, that a collector by TLS must lead to (PEM).
        #[arg(long, value_name = "PEM")]
        root: Option<PathBuf>,
        /// In which language.
        #[command(flatten)]
        language: Language,
    },
}

/// In which language.
#[derive(Args)]
pub struct Language {
    /// In which language it is told.
    #[arg(long, value_enum, default_value = "en", value_name = "LANGUAGE")]
    pub language: Tongue,
}

/// A language of the product.
#[derive(Clone, Copy, ValueEnum)]
pub enum Tongue {
    /// English
    En,
    /// 简体中文
    #[value(name = "zh-CN", alias = "zh")]
    Zh,
}
