//! Consent: who agreed and when, and whether what arrives may be kept by the zone's rule.
//!
//! Of custodians the roster says it, of those they write with the consent events of WeCom. What counts is the time of the
//! message. It is decided once, when a capture is normalized, and what follows stands in the ledger: a rebuild decides nothing.

use std::collections::{BTreeSet, HashMap};

use connect::Connector;
use connect::wecom_archive::WecomArchive;
use govern::consent::{Lack, Required, Standing, State};
use govern::custodian::{Custodian, Roster};
use model::entry::ActCode;
use model::record::{ConversationShape, Details, Event, EventKind, Participant, Record};
use model::{MessageId, Position, Timestamp};
use seal::keyring::Label;
use serde_json::Value;
use store::catalogue::{CaptureRow, Catalogue};

use super::governance::tombs::Concerned;
use super::labels::Labels;
use super::show::RowOpener;
use super::{Inner, VaultError, locked};

mod before;
mod rule;
mod tombstone;

pub(crate) use before::{Before, name_of_refused};
pub use tombstone::NO_CONSENT;
pub(crate) use tombstone::{Lacking, Seen, note_said, note_tombstone};

/// Consent events read from the catalogue at once.
const PAGE: u32 = 1000;

/// Kind and value of an id, one spelling a platform.
type Handle = (String, String);

/// What somebody outside said about being captured.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Word {
    at: Timestamp,
    agrees: bool,
    /// In a group: it holds there alone.
    group: Option<Label>,
    /// Else towards these; towards everybody, when there are none.
    toward: BTreeSet<Label>,
}

/// What is known of consent.
#[derive(Default)]
pub struct Known {
    state: State,
    /// Acts about the rule before this entry are taken in.
    upto: Position,
    roster: Roster,
    /// The entries that the roster was read from.
    entries: Vec<Position>,
    /// By handle: places in the roster.
    holders: HashMap<Handle, Vec<usize>>,
    words: HashMap<Label, BTreeSet<Word>>,
    /// What the catalogue holds of them was read; from then on each is added as it comes.
    words_read: bool,
}

/// Of which capture it is asked.
pub struct Asked<'a> {
    /// For digests.
    pub labels: &'a Labels,
    /// Connection it came by.
    pub connection: &'a str,
    /// Where it stands: the rule in force there counts.
    pub capture: Position,
    /// Between which instants it was said.
    pub at: (Timestamp, Timestamp),
}

/// Somebody whom a record concerns.
struct Party {
    handles: Vec<Handle>,
    name: Option<String>,
    /// An account and not somebody: it counts only where it is a custodian's.
    is_account: bool,
}

/// Brings what is known up to what was followed. To be called before captures are normalized.
///
/// # Errors
/// [`VaultError::Store`].
pub(crate) fn refresh(inner: &Inner) -> Result<(), VaultError> {
    let mut known = locked(&inner.consent);
    known.read_rules(inner)?;
    if !known.state.ever_required() {
        return Ok(());
    }
    let entries = inner.acts_about_custodians()?;
    if entries != known.entries {
        known.roster = inner.read_roster(&entries)?;
        known.entries = entries;
        known.find_holders();
    }
    if !known.words_read {
        known.read_words(inner)?;
    }
    Ok(())
}

impl Known {
    /// What was decided about the rule.
    pub fn state(&self) -> &State {
        &self.state
    }

    fn read_rules(&mut self, inner: &Inner) -> Result<(), VaultError> {
        let acts = locked(&inner.reader).acts_from(ActCode::ConsentDecided as u16, self.upto)?;
        for at in acts {
            let body = inner.open_act(&inner.must_entry(at)?).unwrap_or_default();
            if let Some(did) = body.get("did").cloned()
                && let Ok(event) = serde_json::from_value(did)
            {
                self.state.apply(at, &event);
            }
            self.upto = at.plus(1);
        }
        Ok(())
    }

    fn find_holders(&mut self) {
        self.holders.clear();
        for (place, person) in self.roster.people().iter().enumerate() {
            for span in &person.spans {
                let places = self.holders.entry(spelled(&span.kind, &span.value)).or_default();
                if !places.contains(&place) {
                    places.push(place);
                }
            }
        }
    }

    fn read_words(&mut self, inner: &Inner) -> Result<(), VaultError> {
        self.words_read = true;
        let mut opener = RowOpener::new(inner);
        let mut after: Option<MessageId> = None;
        let vouched = |row: &CaptureRow| inner.is_vouched(&locked(&inner.reader), row);
        loop {
            let page = locked(&inner.reader).consents_after(after, PAGE)?;
            let Some((last, _)) = page.last() else {
                return Ok(());
            };
            after = Some(last.id);
            for (row, connection) in &page {
                if let Some(json) = opener.open(row)?
                    && let Ok(Record::Event(event)) = serde_json::from_slice(json)
                {
                    let capture = locked(&inner.reader).capture(row.id.capture)?;
                    let is_vouched = !refuses(&event) || capture.as_ref().is_some_and(vouched);
                    self.note(&inner.labels, connection, &event, is_vouched);
                }
            }
        }
    }

    /// Takes in what somebody outside said about being captured. Other consents (to advertising) are none of this, nor is a
    /// refusal that nobody vouches for.
    pub fn note(&mut self, labels: &Labels, connection: &str, event: &Event<'_>, is_vouched: bool) {
        let agrees = match event.state.as_deref() {
            Some("agree") => true,
            Some("disagree") if is_vouched => false,
            _ => return,
        };
        let is_consent = self.words_read && event.event == EventKind::Consent;
        let Some((actor, at)) = event.actor.as_ref().zip(event.occurred_at).filter(|_| is_consent) else {
            return;
        };
        let group = event
            .conversation
            .as_ref()
            .filter(|conversation| conversation.shape == ConversationShape::Group)
            .and_then(|conversation| labels.conversation(connection, conversation));
        let details = event.details.as_ref();
        let staff = field(details, "fields").and_then(|fields| fields.get("UserID"));
        let staff = staff
            .and_then(Value::as_str)
            .map(|id| spelled("wecom_userid", id));
        let toward = listed(details, "toward").into_iter().chain(staff);
        let word = Word {
            at,
            agrees,
            group,
            toward: toward.map(|handle| label(labels, &handle)).collect(),
        };
        for handle in handles(actor).filter(|(kind, _)| kind == "wecom_external") {
            let said = self.words.entry(label(labels, &handle)).or_default();
            said.insert(word.clone());
        }
    }

    /// Whose consent a record lacks by the rule; none when it may be kept. Where only a wall clock of unknown zone is known,
    /// it is lacking only when it is whatever the zone.
    pub fn lack(&self, asked: &Asked<'_>, record: &Record<'_>) -> Option<Lack> {
        let (rule, _) = self.state.rule_at(asked.capture);
        if rule.required == Required::NotRequired {
            return None;
        }
        let parties = parties(record);
        let (earliest, latest) = asked.at;
        let lacks = |at| rule.lack(&self.standings(asked, record, &parties, at));
        let lack = lacks(earliest)?;
        if earliest != latest {
            lacks(latest)?;
            for at in self.changes(asked, &parties) {
                lacks(at)?;
            }
        }
        Some(lack)
    }

    /// When within the time in question something changed about one of these: in between it was the same.
    fn changes(&self, asked: &Asked<'_>, parties: &[Party]) -> BTreeSet<Timestamp> {
        let (earliest, latest) = asked.at;
        let handles = || parties.iter().flat_map(|party| &party.handles);
        let places = handles().filter_map(|handle| self.holders.get(handle)).flatten();
        let people = places.filter_map(|place| self.roster.people().get(*place));
        let of_roster = people.flat_map(|person| {
            let dates = person.log.iter().map(|dated| dated.at);
            let spans = person.spans.iter();
            dates.chain(spans.flat_map(|span| std::iter::once(span.from).chain(span.to)))
        });
        let said = handles().filter_map(|handle| self.words.get(&label(asked.labels, handle)));
        let of_words = said.flatten().map(|word| word.at);
        let within = |at: &Timestamp| earliest < *at && *at < latest;
        of_roster.chain(of_words).filter(within).collect()
    }

    fn standings(
        &self,
        asked: &Asked<'_>,
        record: &Record<'_>,
        parties: &[Party],
        at: Timestamp,
    ) -> Vec<Standing> {
        let standing = |party: &Party| {
            let name = party.name.as_deref();
            let find = |accept: &dyn Fn(&Custodian, &Handle) -> bool| {
                party.handles.iter().find_map(|handle| {
                    let places = self.holders.get(handle)?;
                    let mut people = places.iter().filter_map(|place| self.roster.people().get(*place));
                    people.find(|person| person.has(handle, at, name) && accept(person, handle))
                })
            };
            // Who has the same handle in another connection may be somebody else: their refusal says nothing here. They may
            // be the same: what they agreed to is kept.
            let custodian = find(&|person, (kind, _)| person.is_in(kind, asked.connection))
                .or_else(|| find(&|person, _| person.consents(at) == Some(true)));
            if let Some(person) = custodian {
                return Some(Standing::Custodian(person.id.clone(), person.consents(at)));
            }
            (!party.is_account)
                .then(|| Standing::Counterparty(self.agrees(asked, record, party, parties, at)))
        };
        parties.iter().filter_map(standing).collect()
    }

    /// Whether somebody outside agreed by then: in a group by what they said there, else by what they said towards one of the
    /// others.
    fn agrees(
        &self,
        asked: &Asked<'_>,
        record: &Record<'_>,
        party: &Party,
        parties: &[Party],
        at: Timestamp,
    ) -> Option<bool> {
        let mut words = party
            .handles
            .iter()
            .filter_map(|handle| self.words.get(&label(asked.labels, handle)))
            .flatten()
            .filter(|word| word.at <= at)
            .peekable();
        words.peek()?;
        let said: Vec<&Word> = words.collect();
        let newest = |of: &dyn Fn(&Word) -> bool| {
            let found = said.iter().filter(|word| of(word));
            // Said at the same instant, the refusal counts.
            found
                .max_by_key(|word| (word.at, !word.agrees))
                .map(|word| word.agrees)
        };
        let group = conversation(record)
            .filter(|place| place.shape == ConversationShape::Group)
            .and_then(|place| asked.labels.conversation(asked.connection, place));
        let here = group.and_then(|group| newest(&|word| word.group == Some(group)));
        let everybody = parties.iter().flat_map(|party| party.handles.iter().cloned());
        let others: BTreeSet<Label> = everybody
            .chain(listed(details(record), "to"))
            .map(|handle| label(asked.labels, &handle))
            .collect();
        here.or_else(|| {
            newest(&|word| {
                word.group.is_none() && (word.toward.is_empty() || !word.toward.is_disjoint(&others))
            })
        })
    }
}

/// Whether an event says that somebody does not agree to be captured: what may destroy.
pub(crate) fn refuses(event: &Event<'_>) -> bool {
    event.event == EventKind::Consent && event.state.as_deref() == Some("disagree")
}

impl Inner {
    /// Whether somebody vouches for where a capture comes from: the intake, which checked it, or the program itself, which
    /// pulled it. Nobody does for a file that somebody imported.
    pub(crate) fn is_vouched(&self, catalogue: &Catalogue, row: &CaptureRow) -> bool {
        let is_import = || {
            catalogue.is_import(&row.capture_id).unwrap_or_else(|error| {
                tracing::error!(error = %error, "it cannot be read what was imported; a refusal of consent is not counted");
                true
            })
        };
        row.verdict == 1 || (row.connector == WecomArchive.id() && !is_import())
    }
}

/// Whom a record concerns: who wrote it, who received it where two people write, and the account by which it came. Of a group
/// each is asked only about what they wrote themselves. What somebody says about consent is kept in any case.
fn parties(record: &Record<'_>) -> Vec<Party> {
    let author = match record {
        Record::Message(message) => message.sender.as_ref(),
        Record::Event(event) if event.event == EventKind::Consent => return Vec::new(),
        Record::Event(event) => event.actor.as_ref(),
        Record::Problem(_) => return Vec::new(),
    };
    let mut parties: Vec<Party> = author
        .map(|author| Party {
            handles: handles(author).collect(),
            name: author.name.as_ref().map(|name| name.reveal().to_owned()),
            is_account: false,
        })
        .into_iter()
        .collect();
    let mut add = |handle: Handle, is_account| {
        parties.push(Party {
            handles: vec![handle],
            name: None,
            is_account,
        });
    };
    let details = details(record);
    if conversation(record).is_some_and(|place| place.shape == ConversationShape::Direct) {
        listed(details, "to")
            .into_iter()
            .for_each(|handle| add(handle, false));
    }
    accounts(record).into_iter().for_each(|handle| add(handle, true));
    parties.retain(|party| !party.handles.iter().any(|(kind, _)| kind == "wecom_robot"));
    parties
}

/// By which labels a hold may name those whom a record concerns: who wrote it, everybody who received it, and the account.
pub(crate) fn concerned<'r>(labels: &Labels, record: &'r Record<'_>) -> Concerned<'r> {
    let author = match record {
        Record::Message(message) => message.sender.as_ref(),
        Record::Event(event) => event.actor.as_ref(),
        Record::Problem(_) => None,
    };
    let written = author
        .into_iter()
        .flat_map(|author| author.ids.iter())
        .map(|id| labels.person_by_id(&id.kind, id.value.reveal()));
    let handles = author.into_iter().flat_map(handles);
    let others = listed(details(record), "to").into_iter().chain(accounts(record));
    let by_handle = handles.chain(others);
    let by_handle = by_handle.map(|(kind, value)| labels.person_by_id(&kind, &value));
    Concerned {
        author: author.and_then(|author| Some(author.name.as_ref()?.reveal())),
        persons: written.chain(by_handle).collect(),
    }
}

/// The account by which a record came, where it says so.
fn accounts(record: &Record<'_>) -> Vec<Handle> {
    let details = details(record);
    let account = |(name, kind): (&str, &str)| {
        let value = field(details, name).and_then(Value::as_str)?;
        Some(spelled(kind, value))
    };
    [
        ("business_phone", "phone"),
        ("phone_number_id", "phone_number_id"),
        ("servicer_userid", "wecom_userid"),
    ]
    .into_iter()
    .filter_map(account)
    .collect()
}

fn details<'r>(record: &'r Record<'_>) -> Option<&'r Details> {
    match record {
        Record::Message(message) => message.details.as_ref(),
        Record::Event(event) => event.details.as_ref(),
        Record::Problem(_) => None,
    }
}

fn conversation<'r, 'a>(record: &'r Record<'a>) -> Option<&'r model::record::Conversation<'a>> {
    match record {
        Record::Message(message) => message.conversation.as_ref(),
        Record::Event(event) => event.conversation.as_ref(),
        Record::Problem(_) => None,
    }
}

fn field<'d>(details: Option<&'d Details>, name: &str) -> Option<&'d Value> {
    details?.0.get(name)
}

/// Handles in a list of the details; what has another shape is none.
fn listed(details: Option<&Details>, name: &str) -> Vec<Handle> {
    let list = field(details, name).and_then(Value::as_array);
    let handle = |one: &Value| Some(spelled(one.get("kind")?.as_str()?, one.get("value")?.as_str()?));
    list.into_iter().flatten().filter_map(handle).collect()
}

fn handles<'p>(person: &'p Participant<'_>) -> impl Iterator<Item = Handle> + 'p {
    person.ids.iter().map(|id| spelled(&id.kind, id.value.reveal()))
}

/// The callbacks and the archive of WeCom have two names for one kind of id; phone numbers are written with and without +.
fn spelled(kind: &str, value: &str) -> Handle {
    let kind = match kind {
        "userid" => "wecom_userid",
        "external_userid" => "wecom_external",
        other => other,
    };
    let value = match kind {
        "phone" => value.chars().filter(char::is_ascii_digit).collect(),
        _ => value.to_owned(),
    };
    (kind.to_owned(), value)
}

fn label(labels: &Labels, (kind, value): &Handle) -> Label {
    labels.digest(&[b"consent", kind.as_bytes(), value.as_bytes()])
}
