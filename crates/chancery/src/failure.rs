//! Why a command ends without success: an exit code and a line that says what to do.

use std::error::Error;
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use govern::Refusal;
use seal::bundle::WriteError;
use seal::keyring::KeyringError;
use serde::{Deserialize, Serialize};
use server::vault::VaultError;
use store::StoreError;

/// Done; what was checked holds.
pub const DONE: u8 = 0;
/// Done, and what was checked does not hold.
pub const DOES_NOT_HOLD: u8 = 1;
/// The command line is wrong.
pub const USAGE: u8 = 64;
/// The data is not what it should be.
pub const BAD_DATA: u8 = 65;
/// Something that is needed is missing.
pub const MISSING: u8 = 69;
/// The output cannot be made.
pub const CANNOT_WRITE: u8 = 73;
/// Reading or writing failed.
pub const IO: u8 = 74;
/// Not permitted.
pub const NOT_PERMITTED: u8 = 77;

/// Why a command ends without success. Holds no content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The exit code.
    pub code: u8,
    /// One line: what failed, why, what to do.
    pub message: String,
    /// Nobody reads the output any more: end without a word.
    #[serde(skip)]
    pub quiet: bool,
}

impl Failure {
    /// With this code and these words.
    pub fn new(code: u8, message: impl Into<String>) -> Failure {
        Failure {
            code,
            message: message.into(),
            quiet: false,
        }
    }

    /// The command line is wrong.
    pub fn usage(message: impl Into<String>) -> Failure {
        Failure::new(USAGE, message)
    }

    /// A file could not be read or written.
    pub fn io(doing: &str, path: &Path, error: &io::Error) -> Failure {
        Failure::new(
            io_code(error),
            format!("{doing} {}: {error}{}", path.display(), io_advice(error)),
        )
    }

    /// A file could not be made.
    pub fn cannot_write(path: &Path, error: &io::Error) -> Failure {
        Failure::new(
            CANNOT_WRITE,
            format!("writing {}: {error}{}", path.display(), io_advice(error)),
        )
    }

    /// Writing to the standard output failed: quietly when its reader went away.
    pub fn output(error: &io::Error) -> Failure {
        let quiet = error.kind() == ErrorKind::BrokenPipe;
        let code = if quiet { DONE } else { IO };
        Failure {
            code,
            message: format!("writing the output: {error}{}", io_advice(error)),
            quiet,
        }
    }

    /// The same with what it concerns in front.
    pub fn of(mut self, what: impl std::fmt::Display) -> Failure {
        self.message = format!("{what}: {}", self.message);
        self
    }

    /// The same as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::json!({ "error": { "code": self.code, "message": self.message } })
    }

    /// Tells people on the error output, programs on the standard output.
    pub fn print(&self, json: bool) {
        if self.quiet {
            return;
        }
        // Nobody is left to tell when that output is closed; the exit code still says it.
        let _ = if json {
            writeln!(io::stdout().lock(), "{}", self.json())
        } else {
            writeln!(
                io::stderr().lock(),
                "chancery: {}",
                crate::print::clean(&self.message)
            )
        };
    }
}

/// Says something to people beside the output.
pub fn warn(text: &str) {
    let _ = writeln!(io::stderr().lock(), "chancery: {text}");
}

fn io_code(error: &io::Error) -> u8 {
    if error.kind() == ErrorKind::PermissionDenied {
        NOT_PERMITTED
    } else {
        IO
    }
}

fn io_advice(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "; free some space, then start it again",
        ErrorKind::PermissionDenied => "; run it as the user who owns the data folder",
        ErrorKind::IsADirectory => "; name the files themselves",
        ErrorKind::ReadOnlyFilesystem => "; choose another place, or make that one writable",
        _ => "",
    }
}

/// The error and its causes, each once.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.ends_with(&words) {
            text = format!("{text}: {words}");
        }
        cause = error.source();
    }
    text
}

fn store_code(error: &StoreError) -> (u8, &'static str) {
    match error {
        StoreError::Io { source, .. } => (io_code(source), io_advice(source)),
        StoreError::Locked(_) => (CANNOT_WRITE, ""),
        StoreError::Damaged { .. } | StoreError::Mismatch(_) => {
            (BAD_DATA, "; `chancery verify` says what else does not hold")
        }
        StoreError::Stopped | StoreError::TooLarge(_) | StoreError::Seal(_) => (IO, ""),
        StoreError::Catalogue(_) => (IO, "; if it stays so, move DATA/catalogue away: it is made again"),
        StoreError::Keyring(problem) => keyring_code(problem),
    }
}

fn keyring_code(error: &KeyringError) -> (u8, &'static str) {
    match error {
        KeyringError::Wrong => (
            NOT_PERMITTED,
            "; check --passphrase-file, --key-file or CHANCERY_PASSPHRASE",
        ),
        KeyringError::OtherSort(_) => (NOT_PERMITTED, "; give that instead"),
        KeyringError::Weak(_) => (USAGE, "; choose a longer one"),
        KeyringError::Altered { .. } | KeyringError::Malformed(_) => (
            BAD_DATA,
            "; put back the second copy of the key store, or a backup of it",
        ),
        KeyringError::Seal(_) => (IO, ""),
    }
}

fn refusal_code(refusal: &Refusal) -> u8 {
    match refusal {
        Refusal::NoReason | Refusal::NoLegalBasis | Refusal::SelectsAll | Refusal::SelectsNothing => USAGE,
        Refusal::UnknownHold(_) | Refusal::UnknownRequest(_) | Refusal::NoProposal(_) => BAD_DATA,
        _ => NOT_PERMITTED,
    }
}

impl From<VaultError> for Failure {
    fn from(error: VaultError) -> Failure {
        let (code, advice) = match &error {
            VaultError::Store(problem) => store_code(problem),
            VaultError::Bundle(WriteError::Io(source)) => (CANNOT_WRITE, io_advice(source)),
            VaultError::Bundle(WriteError::Damaged { .. })
            | VaultError::BadData(_)
            | VaultError::NotFound(_) => (BAD_DATA, ""),
            VaultError::File { source, .. } | VaultError::Capture(source) => {
                (io_code(source), io_advice(source))
            }
            VaultError::Usage(_) => (USAGE, ""),
            VaultError::Refused(refusal) => (refusal_code(refusal), ""),
            VaultError::NotSignedIn => (NOT_PERMITTED, "; `chancery user list` names the users"),
            VaultError::Exists(_) => (CANNOT_WRITE, ""),
            VaultError::Seal(_) | VaultError::Bundle(_) | VaultError::NotFollowed(_) => (IO, ""),
        };
        Failure::new(code, format!("{}{advice}", chain(&error)))
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        VaultError::from(error).into()
    }
}
