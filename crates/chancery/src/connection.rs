//! `connection add`: secrets from files or a prompt, and what to enter at the vendor.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::Path;

use connect::wecom_archive::{WecomArchive, account};
use connect::{Connector, Door, SecretName, Secrets, Settings};
use model::Timestamp;
use serde_json::{Value, json};
use server::vault::connections::ConnectionConfig;
use zeroize::Zeroizing;

use crate::args::{ConnectionAddArgs, Global};
use crate::failure::{DONE, Failure};
use crate::operation::{ConnectionAdd, Hidden, Operation};
use crate::print::{self, Words};
use crate::{owner, passphrase, perform};

/// Adds it.
///
/// # Errors
/// A secret is missing; the connector or a setting does not exist.
pub fn add(global: &Global, args: &ConnectionAddArgs) -> Result<u8, Failure> {
    let connector = perform::connector(&args.connector)?;
    let id = args
        .id
        .parse()
        .map_err(|problem| Failure::usage(format!("{}: {problem}", args.id)))?;
    let mut secrets = files_of(connector, &args.secrets)?;
    let settings = args.settings.iter().map(|given| {
        let (name, value) = split(given, "--setting", "NAME=VALUE")?;
        Ok((name.to_owned(), value.to_owned()))
    });
    let mut config = ConnectionConfig {
        id,
        connector: args.connector.clone(),
        settings: settings.collect::<Result<_, Failure>>()?,
        minimum_lock_days: args.minimum_lock_days,
        secret_expires: dates(&args.secret_expires)?
            .into_iter()
            .filter_map(|(name, until)| Some((name, until?)))
            .collect(),
    };
    if let Some((required, optional, _)) = connector.door().given() {
        let versioned = connector.versioned_secrets();
        prompt_for_missing((required, optional, versioned), &mut secrets)?;
        if config.connector == WecomArchive.id() {
            find_library(&mut config.settings)?;
        }
    } else if let Some(name) = secrets.keys().next() {
        return Err(Failure::usage(format!(
            "{} takes files and has no secret {name}",
            args.connector
        )));
    }
    let pulls = matches!(connector.door(), Door::Pull { .. });
    let library = config.settings.get(account::LIBRARY_SHA256).cloned();
    let webhook = matches!(connector.door(), Door::Webhook { .. }).then(|| format!("/in/{}", config.id));
    let operation = Operation::ConnectionAdd(ConnectionAdd {
        config,
        secrets,
        replace: args.replace,
    });
    let mut added = owner::run(global, operation, &mut |_| Ok(()))?;
    if let Value::Object(fields) = &mut added {
        fields.insert("webhook_path".to_owned(), json!(webhook));
    }
    if global.json {
        print::json(&added)?;
        return Ok(DONE);
    }
    let mut words = Words::new();
    words.line(&format!("added connection {} of {}", args.id, args.connector));
    match webhook {
        Some(path) => {
            words.line("Enter at the vendor, on the page of the webhook:");
            words.pairs(&[
                ("  callback URL", format!("https://YOUR-HOST{path}")),
                ("  verify token", "the text you gave as verify-token".to_owned()),
            ]);
            words.line(&format!("Then: chancery connection test {}", args.id));
        }
        None if pulls => {
            let library = library.unwrap_or_default();
            words.line(&format!(
                "Only a library with this SHA-256 is loaded; compare it with the vendor's: {library}"
            ));
            words.line(&format!(
                "Then: chancery connection test {}; `chancery serve` pulls the archive",
                args.id
            ))
        }
        None => words.line(&format!(
            "Then: chancery import {} FILE --connection {}",
            args.connector, args.id
        )),
    }
    words.print()?;
    Ok(DONE)
}

/// When secrets end, by name; none for `never`.
///
/// # Errors
/// What is no date.
pub fn dates(given: &[String]) -> Result<BTreeMap<String, Option<Timestamp>>, Failure> {
    let one = |given: &String| {
        let pair = given.split_once('=').filter(|(name, _)| !name.is_empty());
        let wrong = || {
            Failure::usage(format!(
                "{given}: this takes NAME=DATE, as access-token=2027-03-31, or NAME=never"
            ))
        };
        let (name, date) = pair.ok_or_else(wrong)?;
        if date == "never" {
            return Ok((name.to_owned(), None));
        }
        // Of a day, its beginning: early is the safe side.
        let text = if date.len() == 10 {
            format!("{date}T00:00:00Z")
        } else {
            date.to_owned()
        };
        let until = Timestamp::parse(&text).map_err(|_| wrong())?;
        Ok((name.to_owned(), Some(until)))
    };
    given.iter().map(one).collect()
}

/// Secrets by name, each value from its file.
fn files_of(connector: &dyn Connector, given: &[String]) -> Result<BTreeMap<String, Vec<Hidden>>, Failure> {
    let mut secrets: BTreeMap<String, Vec<Hidden>> = BTreeMap::new();
    for given in given {
        let (name, file) = split(given, "--secret", "NAME=FILE")?;
        let versioned = connector.versioned_secrets().contains(&name);
        let value = match version_of(file).filter(|_| versioned) {
            Some((version, file)) => {
                let value = passphrase::line_of(Path::new(file))?;
                Zeroizing::new([version.as_bytes(), b":", value.as_slice()].concat())
            }
            None => passphrase::line_of(Path::new(file))?,
        };
        secrets.entry(name.to_owned()).or_default().push(Hidden(value));
    }
    Ok(secrets)
}

/// `VERSION:FILE`; a file that says its version itself has none before its name.
fn version_of(file: &str) -> Option<(&str, &str)> {
    let (version, file) = file.split_once(':')?;
    let digits = !version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit());
    digits.then_some((version, file))
}

/// Completes what a connection of the archive says of the library: the helper is the one beside this program, and the
/// library is approved as it is now.
fn find_library(settings: &mut Settings) -> Result<(), Failure> {
    if !settings.contains_key(account::HELPER) {
        let own =
            std::env::current_exe().map_err(|error| Failure::io("finding", Path::new("chancery"), &error))?;
        let helper = own.with_file_name("wecom-helper");
        if !helper.is_file() {
            return Err(Failure::usage(
                "wecom-helper does not lie beside chancery; put it there, or give --setting helper=FILE with its whole path",
            ));
        }
        settings.insert(account::HELPER.to_owned(), helper.to_string_lossy().into_owned());
    }
    let Some(library) = settings.get(account::LIBRARY) else {
        return Err(Failure::usage(
            "the vendor's library is missing: give --setting library=FILE with the whole path of libWeWorkFinanceSdk_C.so",
        ));
    };
    if !settings.contains_key(account::LIBRARY_SHA256) {
        let path = Path::new(library);
        let hash = server::wecom::sha256(path).map_err(|error| Failure::io("reading", path, &error))?;
        settings.insert(account::LIBRARY_SHA256.to_owned(), hash);
    }
    Ok(())
}

/// The same, as a connector takes them.
///
/// # Errors
/// A file that cannot be read.
pub fn secrets_of(connector: &dyn Connector, given: &[String]) -> Result<Secrets, Failure> {
    let named = files_of(connector, given)?.into_iter().map(|(name, values)| {
        let values = values.into_iter().map(|Hidden(value)| value).collect();
        (name, values)
    });
    Ok(Secrets(named.collect()))
}

fn split<'a>(given: &'a str, option: &str, form: &str) -> Result<(&'a str, &'a str), Failure> {
    let pair = given
        .split_once('=')
        .filter(|(name, value)| !name.is_empty() && !value.is_empty());
    // What was given is not repeated: it may be the secret itself.
    pair.ok_or_else(|| {
        Failure::usage(format!(
            "{option} takes {form}; secrets stand in files, never on the command line"
        ))
    })
}

fn prompt_for_missing(
    (required, optional, versioned): (&[SecretName], &[SecretName], &[&str]),
    secrets: &mut BTreeMap<String, Vec<Hidden>>,
) -> Result<(), Failure> {
    for (name, must) in required
        .iter()
        .map(|name| (name, true))
        .chain(optional.iter().map(|name| (name, false)))
    {
        if secrets.contains_key(name.name) {
            continue;
        }
        // Nobody types a file of several lines.
        if !std::io::stdin().is_terminal() || versioned.contains(&name.name) {
            if must {
                let text = format!(
                    "the secret {0} is missing; give --secret {0}=FILE. What it is: {1}",
                    name.name, name.help
                );
                return Err(Failure::usage(text));
            }
            continue;
        }
        let skip = if must { "" } else { ", or nothing" };
        let value = passphrase::prompt(
            &format!("{}\n  {}{skip}: ", name.help, name.name),
            "--secret NAME=FILE",
        )?;
        if !value.is_empty() {
            secrets.insert(name.name.to_owned(), vec![Hidden(value)]);
        }
    }
    Ok(())
}
