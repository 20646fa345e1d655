//! `alarm`: who is told that something needs attention.

use serde_json::Value;
use server::public::language::Language;
use server::vault::Vault;
use server::vault::alarms::{AlarmConfig, Target};

use crate::args::{AlarmAdd, AlarmCommand, Global, Tongue};
use crate::commands::{checks, simple};
use crate::failure::Failure;
use crate::operation::{Hidden, Operation};
use crate::print::Words;
use crate::tables::{table, text};
use crate::{files, passphrase};

/// What is asked.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Asked {
    /// Tell somebody more.
    Add {
        /// Without the secret.
        config: AlarmConfig,
        /// Signing secret of a webhook, or password of a mail server.
        secret: Option<Hidden>,
    },
    /// All.
    List,
    /// No longer.
    Remove {
        /// Whom.
        name: String,
    },
    /// Send a test.
    Test {
        /// To whom; all when none is named.
        name: Option<String>,
    },
}

/// Does what was typed.
///
/// # Errors
/// A file cannot be read, the name cannot be one, or what the vault says.
pub fn alarm(global: &Global, command: AlarmCommand) -> Result<u8, Failure> {
    match command {
        AlarmCommand::Add(given) => simple(global, Operation::Alarm(add(given)?), added),
        AlarmCommand::List => simple(global, Operation::Alarm(Asked::List), listed),
        AlarmCommand::Remove { name } => simple(global, Operation::Alarm(Asked::Remove { name }), removed),
        AlarmCommand::Test { name } => checks(global, Operation::Alarm(Asked::Test { name })),
    }
}

fn add(given: AlarmAdd) -> Result<Asked, Failure> {
    let (name, target, language, secret) = match given {
        AlarmAdd::Webhook {
            name,
            url,
            secret_file,
            language,
        } => {
            let secret = passphrase::line_of(&secret_file)?;
            (name, Target::Webhook { url }, language, Some(secret))
        }
        AlarmAdd::Mail {
            name,
            to,
            from,
            smtp,
            user,
            password_file,
            language,
        } => {
            let password = password_file.as_deref().map(passphrase::line_of).transpose()?;
            (name, Target::Mail { to, from, smtp, user }, language, password)
        }
        AlarmAdd::Syslog {
            name,
            to,
            root,
            language,
        } => {
            let roots = root.as_deref().map(files::small_text).transpose()?;
            (name, Target::Syslog { to, roots }, language, None)
        }
    };
    let config = AlarmConfig {
        name: name
            .parse()
            .map_err(|problem| Failure::usage(format!("{name}: {problem}")))?,
        target,
        language: match language.language {
            Tongue::En => Language::English,
            Tongue::Zh => Language::Chinese,
        },
    };
    let secret = secret.map(Hidden);
    Ok(Asked::Add { config, secret })
}

/// Does it on the open vault.
///
/// # Errors
/// What the vault says.
pub fn perform(vault: &Vault, asked: Asked, actor: &str) -> Result<Value, Failure> {
    match asked {
        Asked::Add { config, secret } => {
            vault.add_alarm(&config, secret.map(|secret| secret.0), actor)?;
            Ok(serde_json::json!({ "destination": config }))
        }
        Asked::List => Ok(vault.list_alarms()),
        Asked::Remove { name } => {
            vault.remove_alarm(&name, actor)?;
            Ok(serde_json::json!({ "removed": name }))
        }
        Asked::Test { name } => Ok(vault.test_alarm(name.as_deref())?),
    }
}

fn added(value: &Value) -> Words {
    let mut words = Words::new();
    let name = text(value, "/destination/name");
    let kind = text(value, "/destination/kind");
    words.line(&format!(
        "alarms go to {name} ({kind}), as long as chancery serve runs"
    ));
    words.line(&format!("Try it: chancery alarm test {name}"));
    words
}

fn removed(value: &Value) -> Words {
    let mut words = Words::new();
    words.line(&format!("alarms go to {} no more", text(value, "/removed")));
    words
}

fn listed(value: &Value) -> Words {
    let columns = [
        ("name", "/name"),
        ("kind", "/kind"),
        ("language", "/language"),
        ("waiting", "/waiting"),
        ("not kept", "/not_kept"),
        ("last took one", "/delivered_at"),
        ("failing since", "/failing_since"),
        ("failing", "/failing"),
    ];
    table(
        value,
        "destinations",
        &columns,
        "nobody is told yet: chancery alarm add webhook NAME --url URL --secret-file FILE",
    )
}
