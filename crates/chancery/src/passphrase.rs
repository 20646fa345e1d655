//! Where the passphrase comes from: a file, the environment, a prompt; never the command line.

use std::io::{IsTerminal, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use seal::keyring::Unlock;
use zeroize::Zeroizing;

use crate::args::Global;
use crate::failure::{BAD_DATA, Failure, warn};

const VARIABLE: &str = "CHANCERY_PASSPHRASE";
const SECRET_BYTES_MAX: u64 = 1 << 20;
const PASSPHRASE_MIN: usize = 8;
const KEY_BYTES_MIN: usize = 32;

/// What opens the key store.
pub enum Secret {
    /// Typed or read.
    Passphrase(Zeroizing<Vec<u8>>),
    /// The bytes of a key file.
    KeyFile(Zeroizing<Vec<u8>>),
}

impl Secret {
    /// For the vault.
    pub fn unlock(&self) -> Unlock<'_> {
        match self {
            Secret::Passphrase(bytes) => Unlock::Passphrase(bytes),
            Secret::KeyFile(bytes) => Unlock::KeyFile(bytes),
        }
    }
}

/// What was given without a prompt.
///
/// # Errors
/// A file that cannot be read.
pub fn given(global: &Global) -> Result<Option<Secret>, Failure> {
    if let Some(path) = &global.key_file {
        return Ok(Some(Secret::KeyFile(secret_file(path)?)));
    }
    if let Some(path) = &global.passphrase_file {
        return Ok(Some(Secret::Passphrase(line_of(path)?)));
    }
    use std::os::unix::ffi::OsStringExt;
    let variable = std::env::var_os(VARIABLE);
    Ok(variable.map(|value| Secret::Passphrase(Zeroizing::new(value.into_vec()))))
}

/// What opens the key store, asked for on a terminal when it was not given.
///
/// # Errors
/// Nothing was given and there is no terminal.
pub fn ask(global: &Global) -> Result<Secret, Failure> {
    match given(global)? {
        Some(secret) => Ok(secret),
        None => Ok(Secret::Passphrase(prompt(
            "Passphrase: ",
            "--passphrase-file FILE or CHANCERY_PASSPHRASE",
        )?)),
    }
}

/// What will open a new key store: asked for twice, and refused when it protects nothing.
///
/// # Errors
/// Too short, or the two differ.
pub fn choose(global: &Global) -> Result<Secret, Failure> {
    // A key file may have to be made first.
    let given = match global.key_file {
        Some(_) => None,
        None => given(global)?,
    };
    chosen(
        global,
        given,
        "Passphrase",
        "--passphrase-file FILE or CHANCERY_PASSPHRASE",
    )
}

/// The same of what takes the place of another: from the files that were named, else asked for. The environment holds
/// the old one.
///
/// # Errors
/// As [`choose`].
pub fn choose_new(named: &Global) -> Result<Secret, Failure> {
    let file = named.passphrase_file.as_deref().map(line_of).transpose()?;
    let instead = "--new-passphrase-file FILE or --new-key-file FILE";
    chosen(named, file.map(Secret::Passphrase), "New passphrase", instead)
}

fn chosen(global: &Global, given: Option<Secret>, what: &str, instead: &str) -> Result<Secret, Failure> {
    if let Some(path) = &global.key_file {
        if !path.exists() {
            make_key_file(path)?;
        }
        let key = secret_file(path)?;
        if key.len() < KEY_BYTES_MIN {
            let text = format!(
                "{} has fewer than {KEY_BYTES_MIN} bytes; name a new file, and it is made",
                path.display()
            );
            return Err(Failure::usage(text));
        }
        return Ok(Secret::KeyFile(key));
    }
    let secret = match given {
        Some(Secret::Passphrase(secret)) => secret,
        _ => twice(what, instead)?,
    };
    let characters = String::from_utf8_lossy(&secret).chars().count();
    if characters < PASSPHRASE_MIN {
        let text = "the passphrase has fewer than 8 characters; choose a longer one, best several words";
        return Err(Failure::usage(text));
    }
    Ok(Secret::Passphrase(secret))
}

fn make_key_file(path: &Path) -> Result<(), Failure> {
    let key = seal::Key::random().map_err(|error| Failure::from(server::vault::VaultError::from(error)))?;
    store::folder::write_file(path, key.reveal())?;
    store::folder::sync_name(path)?;
    warn(&format!(
        "made the key file {}; keep it apart from the data folder, and keep a copy",
        path.display()
    ));
    Ok(())
}

/// Asks twice on a terminal; `instead` says what to give where there is none.
///
/// # Errors
/// No terminal, or the two differ.
pub fn twice(what: &str, instead: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let first = prompt(&format!("{what}: "), instead)?;
    let second = prompt(&format!("{what} again: "), instead)?;
    if *first != *second {
        return Err(Failure::usage("the two are not the same; start again"));
    }
    Ok(first)
}

/// Asks once on a terminal.
///
/// # Errors
/// No terminal.
pub fn prompt(text: &str, instead: &str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let what = text.trim_end_matches([':', ' ']).to_lowercase();
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage(format!(
            "no {what} given, and no terminal to ask on; use {instead}"
        )));
    }
    let typed = rpassword::prompt_password(text)
        .map_err(|error| Failure::new(crate::failure::IO, format!("asking for the {what}: {error}")))?;
    Ok(Zeroizing::new(typed.into_bytes()))
}

/// The bytes of a file that holds a secret, without one line end at its end.
///
/// # Errors
/// It cannot be read.
pub fn line_of(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let mut bytes = secret_file(path)?;
    if bytes.last() == Some(&b'\n') {
        bytes.pop();
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
    }
    Ok(bytes)
}

/// The bytes of a file that holds a secret.
///
/// # Errors
/// It cannot be read, or is too long.
pub fn secret_file(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let failed = |error: std::io::Error| Failure::io("reading", path, &error);
    let file = std::fs::File::open(path).map_err(failed)?;
    let about = file.metadata().map_err(failed)?;
    if about.is_file() && about.mode() & 0o077 != 0 {
        warn(&format!(
            "{} can be read by others; run: chmod 600 {0}",
            path.display()
        ));
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(4096));
    file.take(SECRET_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > SECRET_BYTES_MAX {
        return Err(Failure::new(
            BAD_DATA,
            format!("{} is too long to hold a secret", path.display()),
        ));
    }
    Ok(bytes)
}
