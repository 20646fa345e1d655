//! Holds and destruction on the command line: who decides signs in, and what was decided is said in words.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use govern::Selectors;
use model::{Position, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use server::vault::Vault;
use server::vault::governance::{RequestOptions, Targets};
use server::vault::users::User;

use crate::args::Global;
use crate::failure::{DOES_NOT_HOLD, DONE, Failure};
use crate::operation::{Hidden, Operation};
use crate::print::{self, Words};
use crate::{certificate, files, owner, passphrase, tables};

/// `chancery hold`.
#[derive(Subcommand)]
pub enum HoldCommand {
    /// Keep what these select, whatever else is decided: what is captured later too.
    #[command(
        after_help = "Example: chancery hold place --person 'Ann Lee' --connection ward-3 --from 2024-01-01 \
                            --reason 'Lee v. Clinic'\n\n\
                            Each kind of selector narrows the hold; a selector given again widens it."
    )]
    Place(HoldPlaceArgs),
    /// Let a hold go. Nothing dies by that alone.
    #[command(
        after_help = "Example: chancery hold lift 1042 --reason 'settled' --user ann --password-file ann.txt"
    )]
    Lift {
        /// The hold, as `hold list` names it.
        hold: u64,
        /// Why.
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// Who.
        #[command(flatten)]
        signing: SignIn,
    },
    /// The holds in force.
    #[command(after_help = "Example: chancery hold list --json")]
    List,
}

/// Arguments of `hold place`.
#[derive(Args)]
pub struct HoldPlaceArgs {
    /// A name or handle: what they wrote, and conversations in which they wrote.
    #[arg(long = "person", value_name = "NAME")]
    pub persons: Vec<String>,
    /// Id or title of a conversation.
    #[arg(long = "conversation", value_name = "ID")]
    pub conversations: Vec<String>,
    /// A connection.
    #[arg(long = "connection", value_name = "ID")]
    pub connections: Vec<String>,
    /// Said on this day or later (2024-01-31, or a time in UTC).
    #[arg(long, value_name = "DAY")]
    pub from: Option<String>,
    /// Said on this day or earlier (or before a time in UTC).
    #[arg(long, value_name = "DAY")]
    pub to: Option<String>,
    /// What for.
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// A user of Chancery who places it; without, the act names the user of this machine.
    #[arg(long, value_name = "NAME", requires = "password_file")]
    pub user: Option<String>,
    /// File with their password.
    #[arg(long, value_name = "FILE", requires = "user")]
    pub password_file: Option<PathBuf>,
}

/// Who decides: a compliance officer or an administrator of Chancery.
#[derive(Args)]
pub struct SignIn {
    /// Name of a user of Chancery: a compliance officer or an administrator.
    #[arg(long, value_name = "NAME")]
    pub user: String,
    /// File with their password, one line end at its end does not count; else a prompt.
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
}

/// Who decides, where somebody must: while the zone's rule destroys what comes without consent.
#[derive(Args)]
pub struct MaySignIn {
    /// While a rule about consent is in force, for what may destroy: a compliance officer or an administrator of Chancery.
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// File with their password, one line end at its end does not count; else a prompt.
    #[arg(long, value_name = "FILE", requires = "user")]
    pub password_file: Option<PathBuf>,
}

impl MaySignIn {
    /// Name and password, where a name was given.
    ///
    /// # Errors
    /// The password cannot be read.
    pub fn signing(&self) -> Result<Option<Signing>, Failure> {
        let name = self.user.as_deref();
        name.map(|name| signing(name, self.password_file.as_deref()))
            .transpose()
    }
}

/// Arguments of `keys destroy`.
#[derive(Args)]
pub struct DestroyArgs {
    /// Id or title of a conversation: all that was said in it.
    #[arg(long = "conversation", value_name = "ID")]
    pub conversations: Vec<String>,
    /// A name or handle: all that they wrote.
    #[arg(long = "person", value_name = "NAME-OR-HANDLE")]
    pub persons: Vec<String>,
    /// A month: all that was said in it.
    #[arg(long = "period", value_name = "YYYY-MM")]
    pub periods: Vec<String>,
    /// Only conversations of this connection.
    #[arg(long, value_name = "ID")]
    pub connection: Option<String>,
    /// Only people who are called so in this conversation.
    #[arg(long = "in", value_name = "CONVERSATION")]
    pub within: Option<String>,
    /// Why. Names nobody: it stays in the record.
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// The law or duty under which it is destroyed.
    #[arg(long, value_name = "TEXT")]
    pub legal_basis: String,
    /// Who asks.
    #[command(flatten)]
    pub signing: SignIn,
}

/// Arguments of `keys certificate`.
#[derive(Args)]
pub struct CertificateArgs {
    /// The destruction: the entry that `keys requests` names.
    pub destruction: u64,
    /// Where to: .html and .txt are for people, anything else is JSON.
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Language of what is for people.
    #[arg(long, value_name = "LANGUAGE", default_value = "en")]
    pub language: Language,
}

/// Language of a certificate.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Language {
    /// English
    En,
    /// 简体中文
    #[value(name = "zh-CN", alias = "zh")]
    Zh,
}

/// What is asked of the vault.
#[derive(Serialize, Deserialize)]
pub struct Governing {
    /// What.
    pub what: What,
    /// Who, with the password: checked where the vault is.
    pub signing: Option<Signing>,
}

/// A name and a password.
#[derive(Serialize, Deserialize)]
pub struct Signing {
    /// Name.
    pub name: String,
    /// Password.
    pub password: Hidden,
}

/// What is asked.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    HoldPlace {
        selectors: Selectors,
        reason: String,
    },
    HoldLift {
        hold: Position,
        reason: String,
    },
    HoldList,
    Destroy {
        targets: Targets,
        reason: String,
        legal_basis: String,
    },
    Approve {
        request: Position,
    },
    Decline {
        request: Position,
        reason: String,
    },
    Requests,
    Certificate {
        destruction: Position,
    },
    /// The rule about consent.
    Consent,
    /// Another one.
    ConsentRule {
        /// Which.
        rule: govern::consent::Rule,
        /// Why.
        reason: String,
    },
    /// Agree to one that was proposed.
    ConsentApprove {
        /// Which.
        proposal: Position,
    },
    /// Decline it.
    ConsentDecline {
        /// Which.
        proposal: Position,
    },
}

pub fn signing(name: &str, file: Option<&Path>) -> Result<Signing, Failure> {
    let password = match file {
        Some(path) => passphrase::line_of(path)?,
        None => passphrase::prompt(&format!("Password of {name}: "), "--password-file FILE")?,
    };
    Ok(Signing {
        name: name.to_owned(),
        password: Hidden(password),
    })
}

/// The instant at which a day begins, or a time itself; `end`: at which the day is over.
/// A day, or a time; with `end` the day's end.
///
/// # Errors
/// Neither.
pub fn instant(text: &str, end: bool) -> Result<Timestamp, Failure> {
    const DAY_MICROS: i64 = 86_400_000_000;
    if let Ok(at) = Timestamp::parse(text) {
        return Ok(at);
    }
    let day = Timestamp::parse(&format!("{text}T00:00:00Z")).map_err(|_| {
        Failure::usage(format!(
            "{text}: a day (2024-01-31) or a time (2024-01-31T10:00:00Z) is needed"
        ))
    })?;
    Ok(if end {
        Timestamp::from_micros(day.as_micros().saturating_add(DAY_MICROS))
    } else {
        day
    })
}

pub fn ask(global: &Global, what: What, signing: Option<Signing>) -> Result<Value, Failure> {
    let operation = Operation::Governing(Governing { what, signing });
    owner::run(global, operation, &mut |_| Ok(()))
}

pub fn say(global: &Global, answer: &Value, words: impl FnOnce(&Value) -> Words) -> Result<(), Failure> {
    if global.json {
        print::json(answer)
    } else {
        words(answer).print()
    }
}

/// `hold …`.
///
/// # Errors
/// What went wrong.
pub fn hold(global: &Global, command: HoldCommand) -> Result<u8, Failure> {
    match command {
        HoldCommand::Place(args) => {
            let connections = args.connections.iter().map(|id| {
                id.parse()
                    .map_err(|problem| Failure::usage(format!("{id}: {problem}")))
            });
            let selectors = Selectors {
                connections: connections.collect::<Result<_, _>>()?,
                from: args
                    .from
                    .as_deref()
                    .map(|text| instant(text, false))
                    .transpose()?,
                to: args.to.as_deref().map(|text| instant(text, true)).transpose()?,
                persons: args.persons,
                conversations: args.conversations,
            };
            let signed = args
                .user
                .as_deref()
                .map(|user| signing(user, args.password_file.as_deref()))
                .transpose()?;
            let reason = args.reason;
            let answer = ask(global, What::HoldPlace { selectors, reason }, signed)?;
            say(global, &answer, |answer| {
                line(format!("placed hold {}", tables::text(answer, "/hold")))
            })?;
        }
        HoldCommand::Lift {
            hold,
            reason,
            signing: who,
        } => {
            let signed = signing(&who.user, who.password_file.as_deref())?;
            let hold = Position(hold);
            let answer = ask(global, What::HoldLift { hold, reason }, Some(signed))?;
            say(global, &answer, |_| line(format!("lifted hold {hold}")))?;
        }
        HoldCommand::List => {
            let answer = ask(global, What::HoldList, None)?;
            say(global, &answer, holds)?;
        }
    }
    Ok(DONE)
}

/// `keys destroy`.
///
/// # Errors
/// What went wrong.
pub fn destroy(global: &Global, args: DestroyArgs) -> Result<u8, Failure> {
    let targets = Targets {
        conversations: args.conversations,
        persons: args.persons,
        periods: args.periods,
        connection: args.connection,
        within: args.within,
    };
    let named =
        !(targets.conversations.is_empty() && targets.persons.is_empty() && targets.periods.is_empty());
    if !named {
        return Err(Failure::usage(
            "name what is to be destroyed: --conversation, --person or --period",
        ));
    }
    let signed = signing(&args.signing.user, args.signing.password_file.as_deref())?;
    let what = What::Destroy {
        targets,
        reason: args.reason,
        legal_basis: args.legal_basis,
    };
    let answer = ask(global, what, Some(signed))?;
    say(global, &answer, requested)?;
    Ok(DONE)
}

/// `keys approve`.
///
/// # Errors
/// What went wrong.
pub fn approve(global: &Global, request: u64, who: &SignIn) -> Result<u8, Failure> {
    let signed = signing(&who.user, who.password_file.as_deref())?;
    let request = Position(request);
    let answer = ask(global, What::Approve { request }, Some(signed))?;
    let done = answer.get("state").and_then(Value::as_str) == Some("destroyed");
    say(global, &answer, one_request)?;
    Ok(if done { DONE } else { DOES_NOT_HOLD })
}

/// `keys decline`.
///
/// # Errors
/// What went wrong.
pub fn decline(global: &Global, request: u64, reason: String, who: &SignIn) -> Result<u8, Failure> {
    let signed = signing(&who.user, who.password_file.as_deref())?;
    let request = Position(request);
    let answer = ask(global, What::Decline { request, reason }, Some(signed))?;
    say(global, &answer, |_| line(format!("declined request {request}")))?;
    Ok(DONE)
}

/// `keys requests`.
///
/// # Errors
/// What went wrong.
pub fn requests(global: &Global) -> Result<u8, Failure> {
    let answer = ask(global, What::Requests, None)?;
    say(global, &answer, all_requests)?;
    Ok(DONE)
}

/// `keys certificate`.
///
/// # Errors
/// What went wrong.
pub fn certificate(global: &Global, args: &CertificateArgs) -> Result<u8, Failure> {
    let destruction = Position(args.destruction);
    let out = files::absolute(&args.out)?;
    let certificate = ask(global, What::Certificate { destruction }, None)?;
    let extension = out
        .extension()
        .and_then(|extension| extension.to_str())
        .unwrap_or("");
    let text = match extension.to_ascii_lowercase().as_str() {
        "html" | "htm" => certificate::html(&certificate, args.language),
        "txt" => certificate::text(&certificate, args.language),
        _ => format!(
            "{}\n",
            serde_json::to_string_pretty(&certificate).unwrap_or_default()
        ),
    };
    files::replace(&out, &text)?;
    let in_force = certificate
        .pointer("/erasure/in_force")
        .cloned()
        .unwrap_or_default();
    let answer = json!({ "file": out, "destruction": destruction, "erasure_in_force": in_force });
    say(global, &answer, |answer| {
        let mut words = line(format!("wrote {}", args.out.display()));
        if answer.get("erasure_in_force") != Some(&Value::Bool(true)) {
            words.line("Erasure is not in force yet: the certificate says what could still open it. Ask again later.");
        }
        words
    })?;
    Ok(DONE)
}

/// Who signed in, where somebody did.
///
/// # Errors
/// The name or the password is not right.
pub fn signed_in(vault: &Vault, signing: Option<&Signing>, actor: &str) -> Result<Option<User>, Failure> {
    let Some(signing) = signing else {
        return Ok(None);
    };
    let password =
        std::str::from_utf8(&signing.password.0).map_err(|_| Failure::usage("the password is not UTF-8"))?;
    Ok(Some(vault.signed_in(&signing.name, password, actor)?))
}

/// Does it on the open vault.
///
/// # Errors
/// What the vault said.
pub fn perform(vault: &Vault, governing: Governing, actor: &str) -> Result<Value, Failure> {
    let user = signed_in(vault, governing.signing.as_ref(), actor)?;
    let signed = || {
        user.as_ref()
            .ok_or_else(|| Failure::usage("a user of Chancery must sign in for this: --user NAME"))
    };
    Ok(match governing.what {
        What::HoldPlace { selectors, reason } => {
            json!({ "hold": vault.place_hold(selectors, &reason, user.as_ref(), actor)? })
        }
        What::HoldLift { hold, reason } => {
            json!({ "hold": hold, "lifted_by_entry": vault.lift_hold(hold, &reason, signed()?, actor)? })
        }
        What::HoldList => json!({ "holds": vault.holds(actor)? }),
        What::Destroy {
            targets,
            reason,
            legal_basis,
        } => {
            let options = RequestOptions {
                targets,
                reason,
                legal_basis,
            };
            vault.request_destruction(&options, signed()?, actor)?
        }
        What::Approve { request } => vault.approve_destruction(request, signed()?, actor)?,
        What::Decline { request, reason } => vault.decline_destruction(request, &reason, signed()?, actor)?,
        What::Requests => json!({ "requests": vault.requests(actor)? }),
        What::Certificate { destruction } => vault.certificate(destruction, actor)?,
        What::Consent => vault.consent(actor)?,
        What::ConsentRule { rule, reason } => vault.set_consent_rule(rule, &reason, signed()?, actor)?,
        What::ConsentApprove { proposal } => vault.approve_consent_rule(proposal, signed()?, actor)?,
        What::ConsentDecline { proposal } => vault.decline_consent_rule(proposal, signed()?, actor)?,
    })
}

fn line(text: impl AsRef<str>) -> Words {
    let mut words = Words::new();
    words.line(text.as_ref());
    words
}

fn holds(answer: &Value) -> Words {
    let mut words = Words::new();
    let all = tables::rows(answer, "holds");
    if all.is_empty() {
        return line("no hold is in force");
    }
    for (index, hold) in all.iter().enumerate() {
        if index > 0 {
            words.line("");
        }
        words.value(hold);
    }
    words
}

fn found(words: &mut Words, found: &Value) {
    let one = |path: &str| tables::text(found, path);
    words.pairs(&[
        ("messages", one("/messages")),
        ("events", one("/events")),
        ("files", one("/files")),
        ("captures that go whole", one("/captures")),
        ("captures that others have a part in", one("/shared_captures")),
    ]);
}

fn requested(answer: &Value) -> Words {
    let request = tables::text(answer, "/request");
    let mut words = line(format!("request {request} waits for a second person"));
    words.line("");
    words.line("It would destroy:");
    found(&mut words, answer.get("would_destroy").unwrap_or(&Value::Null));
    words.line("");
    words.line(&format!(
        "The second person: chancery keys approve {request} --user NAME"
    ));
    words
}

fn one_request(answer: &Value) -> Words {
    let mut words = Words::new();
    words.value(answer);
    let entry = tables::text(answer, "/entry");
    if answer.get("state").and_then(Value::as_str) == Some("destroyed") {
        words.line("");
        words.line(&format!(
            "What can be said of it: chancery keys certificate {entry} --out certificate.html"
        ));
    }
    words
}

fn all_requests(answer: &Value) -> Words {
    let all = tables::rows(answer, "requests");
    if all.is_empty() {
        return line("no destruction was ever asked for");
    }
    let mut words = Words::new();
    for (index, request) in all.iter().enumerate() {
        if index > 0 {
            words.line("");
        }
        words.value(request);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_day_of_a_hold_is_held_whole() {
        let at = |text: &str, end| instant(text, end).unwrap().to_string();
        assert_eq!(at("2024-02-29", false), "2024-02-29T00:00:00Z");
        assert_eq!(at("2024-02-29", true), "2024-03-01T00:00:00Z");
        assert_eq!(at("2024-02-29T10:00:00Z", true), "2024-02-29T10:00:00Z");
        for text in ["2023-02-29", "2024", "yesterday", "", "2024-02-29T10:00"] {
            assert!(instant(text, true).is_err(), "{text}");
        }
    }
}
