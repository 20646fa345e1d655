//! What takes a parser's records: in memory, as parts while it parses, or as rows for parts that exist.

use std::collections::{HashMap, HashSet};
use std::io;

use connect::{Fetch, Sink, Span};
use model::record::{Conversation, EventKind, Participant, Record};
use model::{KeyId, MessageId};
use seal::keyring::Label;
use store::catalogue::{Placement, RecordRow};

use super::existing::Existing;
use super::labels::{Gone, Owner};
use super::normalize::{ROWS_STEP, Work};
use super::parts::PartWriter;
use super::rows::{Facts, Reading, seal_row};
use super::{Inner, VaultError, locked};

/// One record as a small capture's parser gave it.
pub struct Understood {
    pub span: Span,
    pub json: Vec<u8>,
    pub facts: Facts,
}

/// Bytes that belong to somebody.
pub struct Belonging {
    pub span: Span,
    pub owner: Owner,
    pub before_record: usize,
}

impl Gather<'_> {
    /// What was gathered, once it is known of all bytes whose they are.
    pub fn finish(self) -> Gathered {
        let mut gathered = self.gathered;
        for (ordinal, record) in (0..).zip(gathered.records.iter_mut().take(self.asked_early)) {
            self.reading.ask_again(ordinal, &record.json, &mut record.facts);
        }
        let mut met = Met::default();
        gathered
            .records
            .iter()
            .for_each(|record| met.note(&record.facts.owner));
        for belonging in &mut gathered.belongings {
            let before = belonging.before_record.checked_sub(1);
            met.last = before
                .and_then(|before| gathered.records.get(before))
                .map(|record| record.facts.owner)
                .map(|owner| ((owner.conversation, owner.person), owner.gone));
            belonging.owner.gone = buries(&met, &self.reading, &belonging.owner);
        }
        let gone = |ordinal: u32| {
            let record = gathered.records.get(ordinal as usize);
            record.is_some_and(|record| record.facts.owner.gone.is_some())
        };
        let mut fetches = std::mem::take(&mut gathered.fetches);
        fetches.retain(|(ordinal, ..)| !gone(*ordinal));
        gathered.fetches = fetches;
        gathered
    }
}

#[derive(Default)]
pub struct Gathered {
    pub records: Vec<Understood>,
    pub belongings: Vec<Belonging>,
    pub fetches: Vec<(u32, u16, Fetch)>,
}

fn to_json(record: &Record<'_>, out: &mut Vec<u8>) -> io::Result<()> {
    out.clear();
    serde_json::to_writer(out, record).map_err(io::Error::other)
}

fn owner_of_bytes(
    reading: &Reading<'_>,
    conversation: Option<&Conversation<'_>>,
    person: Option<&Participant<'_>>,
) -> Owner {
    let conversation = conversation.and_then(|c| reading.labels.conversation(reading.connection, c));
    let person = person.and_then(|person| reading.labels.person(conversation.as_ref(), person));
    Owner {
        conversation,
        person,
        month: reading.received_at.month(),
        gone: None,
    }
}

/// Of what is written anew; of what stands in the ledger it was decided before.
fn buries(met: &Met, reading: &Reading<'_>, owner: &Owner) -> Option<Gone> {
    let tombs = reading.tombs?;
    met.buries(owner, || tombs.gone_for_good(owner))
}

/// Gathers a small capture in memory.
pub struct Gather<'a> {
    pub reading: Reading<'a>,
    pub gathered: Gathered,
    pub files: u16,
    /// Of so many records it was asked whether they may be kept before the last word about consent was known.
    pub asked_early: usize,
}

impl Sink for Gather<'_> {
    fn record(&mut self, span: Span, record: &Record<'_>) -> io::Result<()> {
        let mut json = Vec::with_capacity(512);
        to_json(record, &mut json)?;
        if matches!(record, Record::Event(event) if event.event == EventKind::Consent) {
            self.asked_early = self.gathered.records.len();
        }
        let facts = self.reading.facts(record, &json);
        self.gathered.records.push(Understood { span, json, facts });
        self.files = 0;
        Ok(())
    }

    fn belongs(
        &mut self,
        span: Span,
        conversation: Option<&Conversation<'_>>,
        person: Option<&Participant<'_>>,
    ) -> io::Result<()> {
        let owner = owner_of_bytes(&self.reading, conversation, person);
        let before_record = self.gathered.records.len();
        self.gathered.belongings.push(Belonging {
            span,
            owner,
            before_record,
        });
        Ok(())
    }

    fn fetch(&mut self, fetch: &Fetch) -> io::Result<()> {
        let ordinal = last_ordinal(self.gathered.records.len())?;
        self.gathered.fetches.push((ordinal, self.files, fetch.clone()));
        self.files = self.files.saturating_add(1);
        Ok(())
    }
}

fn last_ordinal(records: usize) -> io::Result<u32> {
    let last = records.checked_sub(1).and_then(|last| u32::try_from(last).ok());
    last.ok_or_else(|| io::Error::other("a file to fetch before any record"))
}

/// Writes a large capture out while it is parsed.
pub struct Stream<'a> {
    pub work: &'a Work<'a>,
    pub reading: Reading<'a>,
    pub writer: PartWriter<'a>,
    pub next: u32,
    pub files: u16,
    pub rows: Vec<RecordRow>,
    pub fetches: Vec<(u32, u16, Fetch)>,
    pub json: Vec<u8>,
    /// Whose records came so far, with and without a tomb.
    pub met: Met,
}

impl Sink for Stream<'_> {
    fn record(&mut self, span: Span, record: &Record<'_>) -> io::Result<()> {
        let mut json = std::mem::take(&mut self.json);
        to_json(record, &mut json)?;
        let facts = self.reading.facts(record, &json);
        self.met.note(&facts.owner);
        self.writer
            .record(span, self.next, facts, &json)
            .map_err(io::Error::other)?;
        self.json = json;
        self.next += 1;
        self.files = 0;
        self.rows.extend(self.writer.take_placed());
        if self.rows.len() >= ROWS_STEP {
            self.work
                .insert(std::mem::take(&mut self.rows))
                .map_err(io::Error::other)?;
        }
        Ok(())
    }

    fn belongs(
        &mut self,
        span: Span,
        conversation: Option<&Conversation<'_>>,
        person: Option<&Participant<'_>>,
    ) -> io::Result<()> {
        let mut owner = owner_of_bytes(&self.reading, conversation, person);
        owner.gone = buries(&self.met, &self.reading, &owner);
        self.writer.bytes(span, owner).map_err(io::Error::other)
    }

    fn fetch(&mut self, fetch: &Fetch) -> io::Result<()> {
        let ordinal = self
            .next
            .checked_sub(1)
            .ok_or_else(|| io::Error::other("a file before any record"))?;
        if !self.writer.is_gone(ordinal) {
            self.fetches.push((ordinal, self.files, fetch.clone()));
        }
        self.files = self.files.saturating_add(1);
        Ok(())
    }
}

/// Whose records a capture holds. Bytes without a date of their own (a contact card, a file in a zip) follow them.
#[derive(Default)]
pub struct Met {
    gone: HashMap<Who, Gone>,
    living: HashSet<Who>,
    /// The same by author alone, whatever the conversation.
    authors_gone: HashMap<Label, Gone>,
    authors_living: HashSet<Label>,
    /// The record that came last, and what becomes of it.
    last: Option<(Who, Option<Gone>)>,
}

/// Conversation and author.
type Who = (Option<Label>, Option<Label>);

impl Met {
    pub fn note(&mut self, owner: &Owner) {
        let who = (owner.conversation, owner.person);
        self.last = Some((who, owner.gone));
        if let Some(gone) = owner.gone {
            self.gone.insert(who, gone);
            self.authors_gone
                .extend(owner.person.map(|author| (author, gone)));
        } else if who != (None, None) {
            self.living.insert(who);
            self.authors_living.extend(owner.person);
        }
    }

    /// Whether bytes of this owner are to be sealed under what nobody keeps. They go with the record just before them, where it
    /// is of the same: a file of an export comes right after its line. Else where a record of theirs was destroyed before it
    /// came; where all of theirs lack consent; and where there is none, and they were destroyed and have not come back since.
    pub fn buries(&self, owner: &Owner, gone_for_good: impl FnOnce() -> bool) -> Option<Gone> {
        let who = (owner.conversation, owner.person);
        if let Some((_, gone)) = self.last.filter(|(last, _)| *last == who) {
            return gone;
        }
        // A contact card does not always say in which conversation.
        let of_author = owner.person.filter(|_| owner.conversation.is_none());
        let living = self.living.contains(&who)
            || of_author.is_some_and(|author| self.authors_living.contains(&author));
        let by_author = || self.authors_gone.get(&of_author?).copied();
        let gone = self.gone.get(&who).copied();
        gone.filter(|gone| *gone == Gone::Destroyed || !living)
            .or_else(|| by_author().filter(|_| !living))
            .or_else(|| (!living && gone_for_good()).then_some(Gone::Destroyed))
    }
}

/// Makes rows for parts that exist.
pub struct Again<'a> {
    pub work: &'a Work<'a>,
    pub reading: Reading<'a>,
    pub existing: &'a Existing,
    pub next: u32,
    /// Whether the record before can be opened.
    pub living: bool,
    pub files: u16,
    pub rows: Vec<RecordRow>,
    pub fetches: Vec<(u32, u16, Fetch)>,
}

impl Again<'_> {
    fn row(&mut self, record: &Record<'_>) -> Result<(), VaultError> {
        let mut json = Vec::new();
        to_json(record, &mut json).map_err(VaultError::Capture)?;
        let facts = self.reading.facts(record, &json);
        let inner = self.work.inner;
        let id = MessageId {
            capture: self.work.row.position,
            ordinal: self.next,
        };
        self.living = false;
        if let Some((part, item, key)) = self.existing.find(self.next)? {
            self.living = true;
            let sealed = seal_row(&inner.file.zone, id, &key, &json)?;
            let names = inner.names_of(&facts.owner);
            self.rows
                .push(facts.row(id, names, Placement::Part { part, item }, sealed));
        }
        Ok(())
    }
}

impl Inner {
    /// Names of the secrets of an owner, where they live.
    pub fn names_of(&self, owner: &Owner) -> (KeyId, KeyId) {
        let keys = locked(&self.keys);
        let find = |kind, label: Option<[u8; 16]>| {
            label
                .and_then(|label| keys.ring().find(kind, &label))
                .unwrap_or(KeyId::NONE)
        };
        (
            find(seal::keyring::SecretKind::Conversation, owner.conversation),
            find(seal::keyring::SecretKind::Person, owner.person),
        )
    }
}

impl Sink for Again<'_> {
    fn record(&mut self, _span: Span, record: &Record<'_>) -> io::Result<()> {
        self.row(record).map_err(io::Error::other)?;
        self.next += 1;
        self.files = 0;
        if self.rows.len() >= ROWS_STEP {
            self.work
                .insert(std::mem::take(&mut self.rows))
                .map_err(io::Error::other)?;
        }
        Ok(())
    }

    fn belongs(
        &mut self,
        _span: Span,
        _conversation: Option<&Conversation<'_>>,
        _person: Option<&Participant<'_>>,
    ) -> io::Result<()> {
        Ok(())
    }

    fn fetch(&mut self, fetch: &Fetch) -> io::Result<()> {
        let ordinal = self
            .next
            .checked_sub(1)
            .ok_or_else(|| io::Error::other("a file before any record"))?;
        if self.living {
            self.fetches.push((ordinal, self.files, fetch.clone()));
        }
        self.files = self.files.saturating_add(1);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: Option<Label> = Some([1; 16]);
    const ANN: Option<Label> = Some([2; 16]);
    const BO: Option<Label> = Some([3; 16]);

    fn owner(conversation: Option<Label>, person: Option<Label>, gone: Option<Gone>) -> Owner {
        Owner {
            conversation,
            person,
            month: 0,
            gone,
        }
    }

    /// What becomes of bytes after these records.
    fn after(records: &[Owner], (conversation, person): Who) -> Option<Gone> {
        let mut met = Met::default();
        records.iter().for_each(|record| met.note(record));
        met.buries(&owner(conversation, person, None), || false)
    }

    #[test]
    fn a_file_goes_with_its_own_line_and_not_with_another_of_the_same_author() {
        let (kept, refused) = (owner(ROOM, ANN, None), owner(ROOM, ANN, Some(Gone::NoConsent)));
        let hers = (ROOM, ANN);
        for (records, expected) in [
            (&[kept][..], None),
            (&[refused], Some(Gone::NoConsent)),
            (&[kept, refused], Some(Gone::NoConsent)),
            (&[refused, kept], None),
            (&[owner(ROOM, ANN, Some(Gone::Destroyed)), kept], None),
        ] {
            assert_eq!(after(records, hers), expected, "{records:?}");
        }
    }

    #[test]
    fn bytes_apart_from_their_record_are_gone_for_want_of_consent_only_when_all_of_their_author_is() {
        let of = |person, gone| owner(ROOM, person, gone);
        let (no, destroyed) = (Some(Gone::NoConsent), Some(Gone::Destroyed));
        let other = of(BO, None);
        for (records, expected) in [
            (vec![of(ANN, no), other], no),
            (vec![of(ANN, no), of(ANN, None), other], None),
            (vec![of(ANN, None), of(ANN, no), other], None),
            (vec![of(ANN, destroyed), other], destroyed),
            (vec![of(ANN, destroyed), of(ANN, None), other], destroyed),
            (vec![of(BO, no)], None),
            (vec![], None),
        ] {
            assert_eq!(after(&records, (ROOM, ANN)), expected, "{records:?}");
        }
    }

    #[test]
    fn a_card_that_names_no_conversation_goes_with_its_person() {
        let of = |person, gone| owner(ROOM, person, gone);
        let no = Some(Gone::NoConsent);
        for (records, expected) in [
            (vec![of(ANN, no)], no),
            (vec![of(ANN, no), of(BO, None)], no),
            (vec![of(ANN, no), of(ANN, None)], None),
            (vec![of(BO, no)], None),
        ] {
            assert_eq!(after(&records, (None, ANN)), expected, "{records:?}");
        }
        // What is nobody's is not gone because something else that is nobody's is.
        let records = [owner(None, None, no), of(BO, None)];
        assert_eq!(after(&records, (ROOM, None)), None);
    }
}
