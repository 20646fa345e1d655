//! Checks a bundle, with no server and no network, trusting nothing but the key and checkpoint it is given.
//!
//! For: an examiner, a court, a patient: whoever holds a bundle and trusts nobody here. Small on purpose, so that it can
//! be read by those who have to trust it.
//!
//! Never: a check of its own, a network, a configuration file. All checks are in `seal::bundle`; here are the command
//! line, the words for people, and the files that `--extract` writes.
//!
//! To add an option: a field and an arm in [`arguments`], a line in [`words::HELP`], a test in `tests/command.rs`.

mod arguments;
mod extract;
mod words;

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use seal::bundle::{BundleError, OutsideCheckpoint, Report, Sink, VerifyOptions, verify};
use seal::note::{Checkpoint, NoteKey};
use seal::stamp::Root;
use seal::succession::Statement;
use seal::witness::WitnessKey;

use arguments::{Asked, Request};

const DOES_NOT_HOLD: u8 = 1;
const USAGE: u8 = 64;
const BAD_DATA: u8 = 65;
const IO: u8 = 74;

/// Why the program ends without success: what is printed, and the exit code.
struct Failure {
    text: String,
    code: u8,
}

impl Failure {
    fn io(path: &Path, error: &io::Error) -> Self {
        Failure {
            text: format!("{}: {error}", path.display()),
            code: IO,
        }
    }

    fn data(path: &Path, what: &str) -> Self {
        Failure {
            text: format!("{}: {what}", path.display()),
            code: BAD_DATA,
        }
    }

    fn bundle(path: &Path, error: &BundleError) -> Self {
        let code = match error {
            BundleError::NotABundle => BAD_DATA,
            BundleError::Io(_) | BundleError::Extract(_) => IO,
            BundleError::Failed { .. } => DOES_NOT_HOLD,
        };
        Failure {
            text: format!("{}: {error}", path.display()),
            code,
        }
    }
}

fn main() -> ExitCode {
    let request = match arguments::parse(std::env::args_os().skip(1)) {
        Ok(Asked::Verify(request)) => request,
        Ok(Asked::Help) => return say(words::HELP, ExitCode::SUCCESS),
        Ok(Asked::Version) => {
            let text = concat!("chancery-verify ", env!("CARGO_PKG_VERSION"), "\n");
            return say(text, ExitCode::SUCCESS);
        }
        Err(text) => {
            complain(&format!("{text}\nTry: chancery-verify --help\n"));
            return ExitCode::from(USAGE);
        }
    };
    match run(&request) {
        Ok(report) if request.json => say(&words::json_report(&report), ExitCode::SUCCESS),
        Ok(report) => say(
            &words::report(&report, request.extract.as_deref()),
            ExitCode::SUCCESS,
        ),
        Err(failure) if request.json => {
            let text = words::json_failure(&failure.text, failure.code);
            say(&text, ExitCode::from(failure.code))
        }
        Err(failure) => {
            let verdict = if failure.code == DOES_NOT_HOLD {
                "DOES NOT HOLD: "
            } else {
                ""
            };
            complain(&format!("{verdict}{}\n", failure.text));
            ExitCode::from(failure.code)
        }
    }
}

/// Prints and ends with `code`, or with the code for I/O when nobody takes what is printed.
fn say(text: &str, code: ExitCode) -> ExitCode {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => code,
        Err(_) => ExitCode::from(IO),
    }
}

fn complain(text: &str) {
    // Nobody is left to tell when the error stream is closed; the exit code still says it.
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

fn run(request: &Request) -> Result<Report, Failure> {
    let outside = Outside {
        key: request.key.as_deref().map(read_key).transpose()?,
        checkpoint: request.checkpoint.as_deref().map(read_checkpoint).transpose()?,
        proof: match &request.checkpoint {
            Some(path) => read_proof(&beside(path))?,
            None => None,
        },
        witnesses: request
            .witnesses
            .iter()
            .map(|given| read_witness(given))
            .collect::<Result<_, _>>()?,
        roots: read_roots(&request.roots)?,
        succession: request.succession.as_deref().map(read_statement).transpose()?,
    };
    let report = check(request, &outside, None)?;
    // Only what was found to hold is written out: the bundle is read a second time.
    if let Some(folder) = &request.extract {
        let mut folder = extract::Folder::create(folder).map_err(|error| Failure::io(folder, &error))?;
        check(request, &outside, Some(&mut folder))?;
        folder
            .finish()
            .map_err(|error| Failure::io(folder.path(), &error))?;
    }
    Ok(report)
}

/// What comes from outside the bundle.
struct Outside {
    key: Option<NoteKey>,
    checkpoint: Option<String>,
    proof: Option<String>,
    witnesses: Vec<WitnessKey>,
    roots: Vec<Root>,
    succession: Option<String>,
}

fn check<'a>(
    request: &Request,
    outside: &'a Outside,
    extract: Option<&'a mut dyn Sink>,
) -> Result<Report, Failure> {
    let bundle = &request.bundle;
    let mut file = File::open(bundle).map_err(|error| Failure::io(bundle, &error))?;
    let checkpoint = outside.checkpoint.as_deref().map(|note| OutsideCheckpoint {
        note,
        proof: outside.proof.as_deref(),
    });
    let options = VerifyOptions {
        key: outside.key.clone(),
        outside: checkpoint,
        witnesses: outside.witnesses.clone(),
        roots: outside.roots.clone(),
        succession: outside.succession.as_deref(),
        extract,
        memory_bytes: request.memory_mib.saturating_mul(1 << 20),
    };
    verify(&mut file, options).map_err(|error| Failure::bundle(bundle, &error))
}

/// Longest key, checkpoint or proof file that is read.
const SMALL_BYTES_MAX: u64 = 4 << 20;

fn read_bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    let length = std::fs::metadata(path)
        .map_err(|error| Failure::io(path, &error))?
        .len();
    if length > SMALL_BYTES_MAX {
        return Err(Failure::data(
            path,
            "too long to be a key, a checkpoint, a proof or a certificate",
        ));
    }
    std::fs::read(path).map_err(|error| Failure::io(path, &error))
}

fn read_text(path: &Path) -> Result<String, Failure> {
    String::from_utf8(read_bytes(path)?).map_err(|_| {
        Failure::data(
            path,
            "not a key, a checkpoint, a certificate or a statement: it is not a text",
        )
    })
}

/// A checkpoint, its form checked: what is none is the user's mistake and not the bundle's.
fn read_checkpoint(path: &Path) -> Result<String, Failure> {
    let text = read_text(path)?;
    Checkpoint::open(&text, None).map_err(|error| Failure::data(path, &error.to_string()))?;
    Ok(text)
}

/// What stands beside a checkpoint. Whether it is a proof is part of the check: it may come from who gave the bundle.
fn read_proof(path: &Path) -> Result<Option<String>, Failure> {
    if !path.exists() {
        return Ok(None);
    }
    let bytes = read_bytes(path)?;
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

fn read_key(path: &Path) -> Result<NoteKey, Failure> {
    NoteKey::decode(&read_text(path)?).map_err(|error| Failure::data(path, &error.to_string()))
}

/// A witness key as it was typed, or out of the file that was named.
fn read_witness(given: &OsStr) -> Result<WitnessKey, Failure> {
    if let Some(key) = given.to_str().and_then(|text| WitnessKey::decode(text).ok()) {
        return Ok(key);
    }
    let path = Path::new(given);
    WitnessKey::decode(&read_text(path)?).map_err(|_| Failure::data(path, "not the key of a witness"))
}

fn read_roots(paths: &[PathBuf]) -> Result<Vec<Root>, Failure> {
    let mut roots = Vec::new();
    for path in paths {
        let all = Root::all(&read_text(path)?).map_err(|error| Failure::data(path, &error.to_string()))?;
        roots.extend(all);
    }
    Ok(roots)
}

fn read_statement(path: &Path) -> Result<String, Failure> {
    let text = read_text(path)?;
    Statement::open(&text).map_err(|error| Failure::data(path, &error.to_string()))?;
    Ok(text)
}

/// Where the proof of a checkpoint file stands.
fn beside(checkpoint: &Path) -> PathBuf {
    let mut name = checkpoint.as_os_str().to_owned();
    name.push(".proof");
    PathBuf::from(name)
}
