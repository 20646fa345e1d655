//! The command line, read by hand: a few options do not need a crate.

use std::ffi::OsString;
use std::path::PathBuf;

/// What was asked for.
#[derive(Debug, PartialEq, Eq)]
pub enum Asked {
    /// `--help`.
    Help,
    /// `--version`.
    Version,
    /// A check.
    Verify(Request),
}

/// A check.
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    /// The bundle.
    pub bundle: PathBuf,
    /// File with the zone's key.
    pub key: Option<PathBuf>,
    /// File with a checkpoint from outside.
    pub checkpoint: Option<PathBuf>,
    /// Keys of witnesses, or files with them.
    pub witnesses: Vec<OsString>,
    /// Files with roots of time-stamping authorities.
    pub roots: Vec<PathBuf>,
    /// File with a statement of succession.
    pub succession: Option<PathBuf>,
    /// Folder to write to.
    pub extract: Option<PathBuf>,
    /// One JSON object instead of words.
    pub json: bool,
    /// Memory for what has to be remembered of separate records.
    pub memory_mib: usize,
}

const MEMORY_MIB: usize = 256;

/// Reads the arguments after the program's name.
pub fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Asked, String> {
    let mut arguments = arguments;
    let mut bundle = None;
    let mut request = Request {
        bundle: PathBuf::new(),
        key: None,
        checkpoint: None,
        witnesses: Vec::new(),
        roots: Vec::new(),
        succession: None,
        extract: None,
        json: false,
        memory_mib: MEMORY_MIB,
    };
    let mut only_names = false;
    while let Some(argument) = arguments.next() {
        let (name, inline) = split(&argument, only_names);
        let mut value = |what: &str| -> Result<OsString, String> {
            let value = inline.clone().or_else(|| arguments.next());
            value.ok_or_else(|| format!("{name} needs {what}"))
        };
        match name.as_str() {
            "--help" | "-h" if inline.is_none() => return Ok(Asked::Help),
            "--version" | "-V" if inline.is_none() => return Ok(Asked::Version),
            "--json" if inline.is_none() => request.json = true,
            "--" if inline.is_none() => only_names = true,
            "--key" => set(&mut request.key, &name, value("a file")?)?,
            "--checkpoint" => set(&mut request.checkpoint, &name, value("a file")?)?,
            "--witness" => request.witnesses.push(value("a key, or a file with one")?),
            "--tsa-root" => request.roots.push(value("a file")?.into()),
            "--succession" => set(&mut request.succession, &name, value("a file")?)?,
            "--extract" => set(&mut request.extract, &name, value("a folder")?)?,
            "--memory" => {
                let text = value("a number of MiB")?;
                let number = text.to_str().and_then(|text| text.parse().ok());
                request.memory_mib = number.ok_or("--memory needs a number of MiB")?;
            }
            "" => set(&mut bundle, "the bundle", argument)?,
            _ => return Err(format!("{name}: no such option")),
        }
    }
    request.bundle = bundle.ok_or("which bundle?")?;
    Ok(Asked::Verify(request))
}

/// The name of an option and a value after `=`; an empty name for what is none.
fn split(argument: &OsString, only_names: bool) -> (String, Option<OsString>) {
    let text = argument.to_str().unwrap_or_default();
    if only_names || !text.starts_with('-') || text == "-" {
        return (String::new(), None);
    }
    match text.split_once('=') {
        Some((name, value)) => (name.to_owned(), Some(value.into())),
        None => (text.to_owned(), None),
    }
}

fn set(slot: &mut Option<PathBuf>, name: &str, value: OsString) -> Result<(), String> {
    if slot.replace(PathBuf::from(value)).is_some() {
        Err(format!("{name} was given twice"))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&str]) -> Result<Asked, String> {
        parse(arguments.iter().map(OsString::from))
    }

    #[test]
    fn options_stand_before_or_after_the_bundle_and_take_values_in_two_ways() {
        let expected = read(&["b.zip", "--key", "z", "--checkpoint", "c", "--json"]).unwrap();
        assert_eq!(
            read(&["--json", "--key=z", "--checkpoint=c", "b.zip"]),
            Ok(expected)
        );
        let several = read(&["b.zip", "--witness", "a", "--tsa-root=r", "--witness=b"]).unwrap();
        assert!(matches!(several, Asked::Verify(request) if request.witnesses == ["a", "b"]));
        assert!(matches!(read(&["--", "-odd.zip"]), Ok(Asked::Verify(_))));
        assert_eq!(read(&["b.zip", "--help"]), Ok(Asked::Help));
    }

    #[test]
    fn what_is_no_request_is_refused_with_a_reason() {
        for arguments in [
            &[][..],
            &["a", "b"],
            &["--keys", "z", "b"],
            &["b", "--key"],
            &["b", "--witness"],
            &["b", "--succession", "x", "--succession", "y"],
            &["b", "--key", "x", "--key", "y"],
            &["b", "--memory", "much"],
            &["b", "--json=yes"],
        ] {
            assert!(read(arguments).is_err(), "{arguments:?}");
        }
    }
}
