//! Consent: of whom the zone asks it before what they say is kept, and who decides that.
//!
//! A rule that destroys more than the one before needs two people, for what it destroys does not come back. One that destroys
//! less needs one. Only the newest proposal can be approved.

use std::collections::BTreeMap;

use model::Position;
use serde::{Deserialize, Serialize};

use crate::{Person, Refusal};

/// Of whom consent is asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Required {
    /// Of nobody.
    #[default]
    NotRequired,
    /// Of custodians.
    Custodian,
    /// Of custodians and of those they write with.
    Everyone,
}

/// What becomes of what a counterparty says of whom nobody knows whether they agree.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unknown {
    /// It is kept.
    #[default]
    Keep,
    /// It is destroyed.
    Destroy,
}

/// The zone's rule.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Of whom.
    pub required: Required,
    /// Of whom nobody knows.
    pub unknown: Unknown,
}

/// One of the people whom a message concerns, and what is known of their consent when it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// A custodian by id; none where nobody wrote down that they agreed or withdrew.
    Custodian(String, Option<bool>),
    /// Somebody else; none where it is not known.
    Counterparty(Option<bool>),
}

/// Why something is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Because {
    /// The custodian agrees no longer.
    CustodianWithdrew,
    /// Nobody wrote down that the custodian agreed.
    CustodianNotAsked,
    /// The counterparty does not agree.
    CounterpartyDisagreed,
    /// Nobody knows whether the counterparty agrees.
    CounterpartyUnknown,
    /// It was so decided before a crash, and what is known since says no reason any more.
    DecidedBefore,
}

/// Whose consent is missing, and why.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Lack {
    /// The custodian, by id; none for a counterparty.
    pub custodian: Option<String>,
    /// Why.
    pub because: Because,
}

impl Because {
    /// Its name in entries and reports. Never renamed.
    pub const fn name(self) -> &'static str {
        match self {
            Because::CustodianWithdrew => "custodian-withdrew",
            Because::CustodianNotAsked => "custodian-not-asked",
            Because::CounterpartyDisagreed => "counterparty-disagreed",
            Because::CounterpartyUnknown => "counterparty-unknown",
            Because::DecidedBefore => "decided-before",
        }
    }
}

impl Rule {
    /// Of a counterparty only it matters what is not known.
    pub fn new(required: Required, unknown: Unknown) -> Rule {
        let matters = required == Required::Everyone;
        Rule {
            required,
            unknown: if matters { unknown } else { Unknown::Keep },
        }
    }

    /// Whether there is something that the other keeps and this destroys.
    pub fn destroys_more_than(&self, other: &Rule) -> bool {
        self.required > other.required || self.unknown > other.unknown
    }

    /// Whose consent a message lacks that concerns these people; none when it may be kept.
    pub fn lack(&self, people: &[Standing]) -> Option<Lack> {
        people.iter().find_map(|person| match person {
            Standing::Custodian(id, said) if self.required >= Required::Custodian && *said != Some(true) => {
                Some(Lack {
                    custodian: Some(id.clone()),
                    because: match said {
                        None => Because::CustodianNotAsked,
                        Some(_) => Because::CustodianWithdrew,
                    },
                })
            }
            Standing::Counterparty(said) if self.required == Required::Everyone => {
                let because = match said {
                    Some(true) => return None,
                    Some(false) => Because::CounterpartyDisagreed,
                    None if self.unknown == Unknown::Keep => return None,
                    None => Because::CounterpartyUnknown,
                };
                Some(Lack {
                    custodian: None,
                    because,
                })
            }
            _ => None,
        })
    }
}

/// What somebody wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Another rule.
    Set {
        /// Who.
        by: Person,
        /// Which.
        rule: Rule,
        /// Why.
        reason: String,
    },
    /// Agree, as the second person.
    Approve {
        /// Which: the entry that proposed it.
        proposal: Position,
        /// Who.
        by: Person,
    },
    /// Do not agree, or withdraw it.
    Decline {
        /// Which.
        proposal: Position,
        /// Who.
        by: Person,
    },
}

/// What followed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum Event {
    /// It waits for a second person.
    Proposed {
        /// Which.
        rule: Rule,
        /// Who.
        by: String,
        /// Why.
        reason: String,
    },
    /// It is in force for what arrives after this entry.
    InForce {
        /// Which.
        rule: Rule,
        /// Who put it in force.
        by: String,
        /// Why; of a proposal its entry says it.
        reason: Option<String>,
        /// The proposal, where two people were needed.
        proposal: Option<Position>,
    },
    /// Nothing comes of a proposal.
    Declined {
        /// Which.
        proposal: Position,
        /// Who.
        by: String,
    },
}

/// A proposal that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Proposal {
    /// Its entry.
    pub proposal: Position,
    /// Which rule.
    pub rule: Rule,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
}

/// What was decided so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct State {
    rules: BTreeMap<Position, Rule>,
    proposal: Option<Proposal>,
}

impl State {
    /// The rule for what stands at a place in the ledger, and the entry that put it in force.
    pub fn rule_at(&self, at: Position) -> (Rule, Option<Position>) {
        let last = self.rules.range(..at).next_back();
        last.map_or((Rule::default(), None), |(by, rule)| (*rule, Some(*by)))
    }

    /// The rule now.
    pub fn rule(&self) -> Rule {
        self.rule_at(Position(u64::MAX)).0
    }

    /// Whether any rule ever asked for consent.
    pub fn ever_required(&self) -> bool {
        self.rules
            .values()
            .any(|rule| rule.required != Required::NotRequired)
    }

    /// The proposal that waits for a second person.
    pub fn proposal(&self) -> Option<&Proposal> {
        self.proposal.as_ref()
    }

    /// Takes in what an entry says.
    pub fn apply(&mut self, at: Position, event: &Event) {
        match event {
            Event::Proposed { rule, by, reason } => {
                self.proposal = Some(Proposal {
                    proposal: at,
                    rule: *rule,
                    by: by.clone(),
                    reason: reason.clone(),
                });
            }
            Event::InForce { rule, .. } => {
                self.rules.insert(at, *rule);
                self.proposal = None;
            }
            Event::Declined { .. } => self.proposal = None,
        }
    }

    fn waiting(&self, proposal: Position) -> Result<&Proposal, Refusal> {
        let waiting = self.proposal.as_ref();
        waiting
            .filter(|waiting| waiting.proposal == proposal)
            .ok_or(Refusal::NoProposal(proposal))
    }
}

/// What follows from a command.
///
/// # Errors
/// [`Refusal`]; then nothing changes.
pub fn decide(state: &State, command: &Command) -> Result<Event, Refusal> {
    let (Command::Set { by, .. } | Command::Approve { by, .. } | Command::Decline { by, .. }) = command;
    if !by.permitted {
        return Err(Refusal::Role);
    }
    match command {
        Command::Set { by, rule, reason } => {
            if reason.trim().is_empty() {
                return Err(Refusal::NoReason);
            }
            let (rule, by, reason) = (*rule, by.name.clone(), reason.clone());
            let before = state.rule();
            if rule == before && state.proposal.is_none() {
                return Err(Refusal::SameRule);
            }
            Ok(if rule.destroys_more_than(&before) {
                Event::Proposed { rule, by, reason }
            } else {
                Event::InForce {
                    rule,
                    by,
                    reason: Some(reason),
                    proposal: None,
                }
            })
        }
        Command::Approve { proposal, by } => {
            let waiting = state.waiting(*proposal)?;
            if waiting.by == by.name {
                return Err(Refusal::SamePersonProposed);
            }
            Ok(Event::InForce {
                rule: waiting.rule,
                by: by.name.clone(),
                reason: None,
                proposal: Some(*proposal),
            })
        }
        Command::Decline { proposal, by } => {
            state.waiting(*proposal)?;
            Ok(Event::Declined {
                proposal: *proposal,
                by: by.name.clone(),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(name: &str) -> Person {
        Person {
            name: name.to_owned(),
            permitted: name != "cy",
        }
    }

    fn set(by: &str, required: Required, unknown: Unknown) -> Command {
        Command::Set {
            by: person(by),
            rule: Rule::new(required, unknown),
            reason: "works council".to_owned(),
        }
    }

    fn approve(by: &str, proposal: u64) -> Command {
        Command::Approve {
            proposal: Position(proposal),
            by: person(by),
        }
    }

    fn does(state: &mut State, at: u64, command: &Command) -> Result<Event, Refusal> {
        let event = decide(state, command)?;
        state.apply(Position(at), &event);
        Ok(event)
    }

    #[test]
    fn a_rule_that_destroys_more_needs_two_people_and_one_that_destroys_less_needs_one() {
        let mut state = State::default();
        let strict = set("ann", Required::Everyone, Unknown::Destroy);
        does(&mut state, 1, &strict).unwrap();
        assert_eq!(state.rule(), Rule::default());
        for (command, refused) in [
            (approve("ann", 1), Refusal::SamePersonProposed),
            (approve("cy", 1), Refusal::Role),
            (approve("bo", 2), Refusal::NoProposal(Position(2))),
            (set("cy", Required::NotRequired, Unknown::Keep), Refusal::Role),
        ] {
            assert_eq!(does(&mut state, 2, &command), Err(refused));
        }
        does(&mut state, 3, &approve("bo", 1)).unwrap();
        assert_eq!(state.rule(), Rule::new(Required::Everyone, Unknown::Destroy));
        assert_eq!(
            does(&mut state, 4, &approve("bo", 1)),
            Err(Refusal::NoProposal(Position(1)))
        );
        assert_eq!(does(&mut state, 4, &strict), Err(Refusal::SameRule));
        let keeps = set("bo", Required::Everyone, Unknown::Keep);
        assert!(matches!(does(&mut state, 5, &keeps), Ok(Event::InForce { .. })));
        let off = set("bo", Required::NotRequired, Unknown::Keep);
        does(&mut state, 6, &off).unwrap();
        let at = |at| state.rule_at(Position(at)).0.required;
        assert_eq!(
            [3, 4, 6, 7].map(at),
            [
                Required::NotRequired,
                Required::Everyone,
                Required::Everyone,
                Required::NotRequired
            ]
        );
    }

    #[test]
    fn a_later_proposal_and_a_refusal_leave_nothing_of_the_first() {
        let mut state = State::default();
        does(&mut state, 1, &set("ann", Required::Everyone, Unknown::Destroy)).unwrap();
        does(&mut state, 2, &set("ann", Required::Custodian, Unknown::Destroy)).unwrap();
        assert_eq!(
            does(&mut state, 3, &approve("bo", 1)),
            Err(Refusal::NoProposal(Position(1)))
        );
        let decline = Command::Decline {
            proposal: Position(2),
            by: person("ann"),
        };
        does(&mut state, 3, &decline).unwrap();
        assert_eq!(
            does(&mut state, 4, &approve("bo", 2)),
            Err(Refusal::NoProposal(Position(2)))
        );
        assert_eq!(state.rule(), Rule::default());
        assert!(!state.ever_required());
    }

    fn lack(required: Required, unknown: Unknown, people: &[Standing]) -> Option<&'static str> {
        let lack = Rule::new(required, unknown).lack(people);
        lack.map(|lack| lack.because.name())
    }

    #[test]
    fn what_lacks_consent_depends_on_whom_the_rule_asks_and_on_what_is_known() {
        use Required::{Custodian, Everyone, NotRequired};
        use Unknown::{Destroy, Keep};
        let custodian = |said| Standing::Custodian("1.0".to_owned(), said);
        let outside = Standing::Counterparty;
        for (required, unknown, people, expected) in [
            (
                NotRequired,
                Destroy,
                [custodian(Some(false)), outside(Some(false))],
                None,
            ),
            (
                Custodian,
                Destroy,
                [custodian(Some(false)), outside(Some(true))],
                Some("custodian-withdrew"),
            ),
            (
                Custodian,
                Destroy,
                [outside(None), custodian(None)],
                Some("custodian-not-asked"),
            ),
            (
                Custodian,
                Destroy,
                [custodian(Some(true)), outside(Some(false))],
                None,
            ),
            (
                Everyone,
                Keep,
                [custodian(Some(true)), outside(Some(false))],
                Some("counterparty-disagreed"),
            ),
            (Everyone, Keep, [custodian(Some(true)), outside(None)], None),
            (
                Everyone,
                Destroy,
                [custodian(Some(true)), outside(None)],
                Some("counterparty-unknown"),
            ),
            (
                Everyone,
                Destroy,
                [custodian(Some(true)), outside(Some(true))],
                None,
            ),
        ] {
            assert_eq!(
                lack(required, unknown, &people),
                expected,
                "{required:?} {people:?}"
            );
        }
        assert_eq!(lack(Everyone, Destroy, &[]), None);
    }
}
