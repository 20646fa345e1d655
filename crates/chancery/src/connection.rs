//! `connection add`: secrets from files or a prompt, and what to enter at the vendor.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::Path;

use connect::{Door, SecretName, Secrets};
use serde_json::{Value, json};
use server::vault::connections::ConnectionConfig;

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
    let mut secrets = files_of(&args.secrets)?;
    let settings = args.settings.iter().map(|given| {
        let (name, value) = split(given, "--setting", "NAME=VALUE")?;
        Ok((name.to_owned(), value.to_owned()))
    });
    let config = ConnectionConfig {
        id,
        connector: args.connector.clone(),
        settings: settings.collect::<Result<_, Failure>>()?,
        minimum_lock_days: args.minimum_lock_days,
    };
    if let Door::Webhook {
        required, optional, ..
    } = connector.door()
    {
        prompt_for_missing(required, optional, &mut secrets)?;
    } else if let Some(name) = secrets.keys().next() {
        return Err(Failure::usage(format!(
            "{} takes files and has no secret {name}",
            args.connector
        )));
    }
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
        None => words.line(&format!(
            "Then: chancery import {} FILE --connection {}",
            args.connector, args.id
        )),
    }
    words.print()?;
    Ok(DONE)
}

/// Secrets by name, each value from its file.
fn files_of(given: &[String]) -> Result<BTreeMap<String, Vec<Hidden>>, Failure> {
    let mut secrets: BTreeMap<String, Vec<Hidden>> = BTreeMap::new();
    for given in given {
        let (name, file) = split(given, "--secret", "NAME=FILE")?;
        secrets
            .entry(name.to_owned())
            .or_default()
            .push(Hidden(passphrase::line_of(Path::new(file))?));
    }
    Ok(secrets)
}

/// The same, as a connector takes them.
///
/// # Errors
/// A file that cannot be read.
pub fn secrets_of(given: &[String]) -> Result<Secrets, Failure> {
    let named = files_of(given)?.into_iter().map(|(name, values)| {
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
    required: &[SecretName],
    optional: &[SecretName],
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
        if !std::io::stdin().is_terminal() {
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
