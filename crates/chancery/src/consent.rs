//! `chancery consent`: of whom the zone asks consent, and what becomes of what comes without it.

use clap::{Args, Subcommand, ValueEnum};
use govern::consent::{Required, Rule, Unknown};
use model::Position;
use serde_json::Value;

use crate::args::Global;
use crate::failure::{DONE, Failure};
use crate::governing::{SignIn, What, ask, say, signing};
use crate::print::Words;
use crate::tables::{self, text};

/// `chancery consent`.
#[derive(Subcommand)]
pub enum ConsentCommand {
    /// The rule, the proposal that waits, and how much came without consent.
    #[command(after_help = "Example: chancery consent show --json")]
    Show,
    /// Say of whom consent is asked. What comes without it is sealed, and nobody keeps a key that opens it.
    #[command(
        after_help = "Example: chancery consent require custodian --reason 'works agreement 12' --user ann --password-file ann.txt\n\n\
                            A rule that destroys more than the one in force waits for a second person: consent approve.\n\
                            What counts is the time of the message. What a hold or a legal minimum covers is kept, and counted.\n\
                            What is here already stays; `keys destroy` is for that."
    )]
    Require(RequireArgs),
    /// Agree to a proposal, as the second person. It counts for what arrives from then on.
    #[command(after_help = "Example: chancery consent approve 1042 --user bo --password-file bo.txt")]
    Approve {
        /// The proposal, as `consent show` names it.
        proposal: u64,
        /// Who.
        #[command(flatten)]
        signing: SignIn,
    },
    /// Decline a proposal, or withdraw it.
    #[command(after_help = "Example: chancery consent decline 1042 --user bo --password-file bo.txt")]
    Decline {
        /// The proposal, as `consent show` names it.
        proposal: u64,
        /// Who.
        #[command(flatten)]
        signing: SignIn,
    },
}

/// Arguments of `consent require`.
#[derive(Args)]
pub struct RequireArgs {
    /// Of whom.
    pub of: Of,
    /// With `everyone`: what becomes of a message of a counterparty of whom nobody knows whether they agree.
    #[arg(long, value_name = "keep|destroy", default_value = "keep")]
    pub unknown: IfUnknown,
    /// Why. Names nobody: it stays in the record.
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
    /// Who.
    #[command(flatten)]
    pub signing: SignIn,
}

/// Of whom consent is asked.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Of {
    /// Of nobody: all that arrives is kept.
    NotRequired,
    /// Of custodians: `custodian record … consented` must be there, and no later `withdrew`.
    Custodian,
    /// Of custodians, and of counterparties as far as WeCom says whether they agree.
    Everyone,
}

/// What becomes of what nobody knows.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum IfUnknown {
    /// It is kept.
    Keep,
    /// It is destroyed. WhatsApp never says whether a counterparty agrees.
    Destroy,
}

/// Does what was typed; answers the exit code.
///
/// # Errors
/// What went wrong.
pub fn consent(global: &Global, command: ConsentCommand) -> Result<u8, Failure> {
    let sign = |who: &SignIn| signing(&who.user, who.password_file.as_deref());
    match command {
        ConsentCommand::Show => {
            let answer = ask(global, What::Consent, None)?;
            say(global, &answer, show)?;
        }
        ConsentCommand::Require(args) => {
            let required = match args.of {
                Of::NotRequired => Required::NotRequired,
                Of::Custodian => Required::Custodian,
                Of::Everyone => Required::Everyone,
            };
            let unknown = match args.unknown {
                IfUnknown::Keep => Unknown::Keep,
                IfUnknown::Destroy => Unknown::Destroy,
            };
            if unknown == Unknown::Destroy && required != Required::Everyone {
                return Err(Failure::usage("--unknown destroy goes with `everyone` only"));
            }
            let rule = Rule::new(required, unknown);
            let reason = args.reason;
            let answer = ask(
                global,
                What::ConsentRule { rule, reason },
                Some(sign(&args.signing)?),
            )?;
            say(global, &answer, decided)?;
        }
        ConsentCommand::Approve { proposal, signing } => {
            let proposal = Position(proposal);
            let answer = ask(global, What::ConsentApprove { proposal }, Some(sign(&signing)?))?;
            say(global, &answer, decided)?;
        }
        ConsentCommand::Decline { proposal, signing } => {
            let proposal = Position(proposal);
            let answer = ask(global, What::ConsentDecline { proposal }, Some(sign(&signing)?))?;
            say(global, &answer, decided)?;
        }
    }
    Ok(DONE)
}

fn decided(answer: &Value) -> Words {
    let mut words = Words::new();
    let entry = text(answer, "/entry");
    match text(answer, "/state").as_str() {
        "in force" => {
            let required = text(answer, "/rule_in_force/required");
            words.line(&format!(
                "consent is asked of: {required}, for what arrives after entry {entry}"
            ));
            if required != "not-required" {
                words.line("What comes without it is destroyed as it comes, and cannot be had back. `chancery custodian list`");
                words.line("says who has not consented; record who has before their next message.");
            }
        }
        "declined" => words.line(&format!(
            "nothing comes of the proposal; written down by entry {entry}"
        )),
        _ => {
            words.line(&format!(
                "proposal {entry} waits for a second person: it destroys more than the rule in force"
            ));
            words.line(&format!(
                "The second person: chancery consent approve {entry} --user NAME"
            ));
        }
    }
    words
}

fn show(answer: &Value) -> Words {
    let mut words = Words::new();
    let one = |path: &str| text(answer, path);
    words.pairs(&[
        ("consent is asked of", one("/required")),
        ("where it is not known", one("/unknown")),
        ("destroyed without consent", one("/without_consent/destroyed")),
        (
            "kept under a hold or minimum",
            one("/without_consent/kept_under_hold_or_minimum"),
        ),
    ]);
    if let Some(proposal) = answer.get("proposal").filter(|proposal| !proposal.is_null()) {
        words.line("");
        words.line("Waits for a second person:");
        words.value(proposal);
    }
    words.line("");
    words.append(lacking(answer));
    words
}

/// What came without consent, and whether it can still be opened.
pub fn lacking(answer: &Value) -> Words {
    let mut words = Words::new();
    let open = text(answer, "/without_consent/not_in_force_yet");
    if open != "0" {
        words.line(&match text(answer, "/without_consent/second_copy_of_the_key_store").as_str() {
            "true" => format!(
                "{open} of them can still be opened by whoever has the key of their intake epoch. That key is ended early, within \
                 about two hours of running."
            ),
            _ => format!(
                "{open} of them can still be opened by whoever has the key of their intake epoch, and without a second copy of \
                 the key store (chancery keys copy) that key never ends."
            ),
        });
        words.line("");
    }
    let columns = [
        ("connection", "/connection"),
        ("custodian", "/custodian"),
        ("because", "/because"),
        ("destroyed", "/destroyed"),
        ("kept", "/kept"),
    ];
    let by = answer.get("without_consent").unwrap_or(&Value::Null);
    words.append(tables::table(by, "by", &columns, "nothing came without consent"));
    words
}
