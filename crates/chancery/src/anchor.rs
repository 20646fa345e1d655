//! `anchor add`: what was typed, as a configuration.

use std::path::Path;

use seal::witness::WitnessKey;
use server::vault::anchors::{AnchorConfig, Target};

use crate::args::{AnchorAdd, Schedule};
use crate::failure::Failure;
use crate::operation::{self, Hidden, Operation};
use crate::{files, passphrase};

/// The operation that adds it.
///
/// # Errors
/// A file cannot be read, or the name cannot be one.
pub fn add(add: AnchorAdd) -> Result<Operation, Failure> {
    let (name, target, schedule, password) = match add {
        AnchorAdd::Witness {
            name,
            url,
            key,
            schedule,
        } => {
            let key = witness_key(&key)?.encode();
            (name, Target::Witness { url, key }, schedule, None)
        }
        AnchorAdd::Tsa {
            name,
            url,
            root,
            schedule,
        } => {
            let roots = files::small_text(&root)?;
            (name, Target::TimeStamp { url, roots }, schedule, None)
        }
        AnchorAdd::Folder { name, path, schedule } => {
            let path = files::absolute(&path)?;
            (name, Target::Folder { path }, schedule, None)
        }
        AnchorAdd::Webhook { name, url, schedule } => (name, Target::Webhook { url }, schedule, None),
        AnchorAdd::Mail {
            name,
            to,
            from,
            smtp,
            user,
            password_file,
            schedule,
        } => {
            let password = password_file.as_deref().map(passphrase::line_of).transpose()?;
            (
                name,
                Target::Mail { to, from, smtp, user },
                schedule,
                password.map(Hidden),
            )
        }
    };
    let Schedule { every } = schedule;
    let config = AnchorConfig {
        name: name
            .parse()
            .map_err(|problem| Failure::usage(format!("{name}: {problem}")))?,
        every_seconds: every.unwrap_or(target.usual_seconds()),
        target,
    };
    Ok(Operation::AnchorAdd(operation::AnchorAdd { config, password }))
}

/// A witness's key as it was typed, or out of the file that was named.
fn witness_key(given: &str) -> Result<WitnessKey, Failure> {
    if let Ok(key) = WitnessKey::decode(given) {
        return Ok(key);
    }
    let path = Path::new(given);
    let wrong = || Failure::usage("--key takes a witness's key (NAME+1a2b3c4d+BASE64), or a file with it");
    if !path.exists() {
        return Err(wrong());
    }
    WitnessKey::decode(&files::small_text(path)?).map_err(|_| wrong())
}
