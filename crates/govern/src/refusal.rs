//! Why a command is not followed: a sentence for people, a word for programs.

use model::{Position, Timestamp};

/// Why nothing follows from a command.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The role does not let them.
    #[error("only a compliance officer or an administrator decides this")]
    Role,
    /// Nothing was said why.
    #[error("a reason is needed, in words")]
    NoReason,
    /// No legal basis was named.
    #[error("the legal basis is needed, in words: the law or the duty under which this is destroyed")]
    NoLegalBasis,
    /// A hold that would keep everything there is, by an oversight.
    #[error("a hold needs at least one of: person, conversation, connection, from, to")]
    SelectsAll,
    /// A hold that can keep nothing.
    #[error("this hold ends before it begins")]
    SelectsNothing,
    /// There is no such hold in force.
    #[error("no hold {0} is in force; `chancery hold list` names those that are")]
    UnknownHold(Position),
    /// There is no such request.
    #[error("there is no request {0}; `chancery keys requests` names them")]
    UnknownRequest(Position),
    /// It was decided before.
    #[error("request {0} is decided already; `chancery keys requests` says how")]
    Decided(Position),
    /// One person asked and agrees.
    #[error("two people are needed: whoever asked for a destruction cannot also approve it")]
    SamePerson,
    /// Nobody has agreed yet.
    #[error("request {0} was not approved")]
    NotApproved(Position),
    /// The rule is that already.
    #[error("this is the rule already: no effect")]
    SameRule,
    /// No such proposal waits.
    #[error("no proposal {0} about consent waits; `chancery consent show` names the one that does")]
    NoProposal(Position),
    /// One person proposes and agrees.
    #[error("two people are needed: whoever proposed a rule that destroys more cannot also approve it")]
    SamePersonProposed,
    /// A hold covers it.
    #[error("hold {0} covers what would be destroyed: while it is in force nothing of it dies")]
    Held(Position),
    /// The legal minimum is not over by our own clock.
    #[error("the legal minimum of what would be destroyed ends at {0}: until then nobody may destroy it")]
    Minimum(Timestamp),
    /// It is over by our clock, and nobody outside confirms that.
    #[error(
        "by this machine's clock the legal minimum ended at {until}, but no time proved from outside has passed it \
         (the newest: {}): one clock alone destroys nothing", newest(*.proved)
    )]
    SecondClock {
        /// When the minimum ends.
        until: Timestamp,
        /// The newest time proved from outside.
        proved: Option<Timestamp>,
    },
    /// Every secret asked for is gone already.
    #[error("nothing of this is left to destroy: no effect")]
    NoEffect,
}

fn newest(at: Option<Timestamp>) -> String {
    at.map_or_else(|| "none".to_owned(), |at| at.to_string())
}

impl Refusal {
    /// A word for programs and for the entry. Never renamed.
    pub const fn code(&self) -> &'static str {
        match self {
            Refusal::Role => "role",
            Refusal::NoReason => "no-reason",
            Refusal::NoLegalBasis => "no-legal-basis",
            Refusal::SelectsAll => "selects-all",
            Refusal::SelectsNothing => "selects-nothing",
            Refusal::UnknownHold(_) => "unknown-hold",
            Refusal::UnknownRequest(_) => "unknown-request",
            Refusal::Decided(_) => "decided",
            Refusal::SamePerson => "same-person",
            Refusal::NotApproved(_) => "not-approved",
            Refusal::SameRule => "same-rule",
            Refusal::NoProposal(_) => "no-proposal",
            Refusal::SamePersonProposed => "same-person-proposed",
            Refusal::Held(_) => "held",
            Refusal::Minimum(_) => "minimum",
            Refusal::SecondClock { .. } => "second-clock",
            Refusal::NoEffect => "no-effect",
        }
    }
}
