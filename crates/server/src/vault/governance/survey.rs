//! What would die with some secrets: counted, and looked at under every hold, before anything is decided.

use std::collections::{BTreeSet, VecDeque};

use govern::{Dying, Facts, State};
use model::{KeyId, Position, Timestamp};
use serde::{Deserialize, Serialize};
use store::catalogue::RecordSort;

use super::super::rows::when;
use super::super::{Inner, VaultError, locked};

/// Captures looked up at once.
const PAGE: u32 = 1000;

/// Captures named one by one in the entry; more are counted.
const LISTED: usize = 1000;

/// What a destruction met. Stands in its entry and in the certificate: numbers and places, no names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// Kind of each secret.
    pub secrets: Vec<(String, KeyId)>,
    /// Messages.
    pub messages: u64,
    /// Events.
    pub events: u64,
    /// Problems.
    pub problems: u64,
    /// Files fetched because of messages.
    pub files: u64,
    /// Captures that are erased whole.
    pub captures: u64,
    /// Captures that others have a part in: only theirs stays readable.
    pub shared_captures: u64,
    /// Where the first of the captures stand.
    pub positions: Vec<Position>,
    /// Intake epochs in which they were received.
    pub epochs: BTreeSet<u32>,
}

/// Everything that a decision needs to know of what would die.
#[derive(Debug, Default)]
pub(super) struct Survey {
    pub found: Found,
    pub facts: Facts,
    /// Captures that others have a part in.
    pub shared: Vec<Position>,
}

/// Captures that some secrets concern, each once, in order, with the secrets that concern it.
struct Sources<'a> {
    inner: &'a Inner,
    pages: Vec<Page>,
}

struct Page {
    key: KeyId,
    waiting: VecDeque<Position>,
    after: Option<Position>,
    over: bool,
}

impl<'a> Sources<'a> {
    fn of(inner: &'a Inner, keys: &[KeyId]) -> Sources<'a> {
        let page = |key: &KeyId| Page {
            key: *key,
            waiting: VecDeque::new(),
            after: None,
            over: false,
        };
        Sources {
            inner,
            pages: keys.iter().map(page).collect(),
        }
    }

    fn next(&mut self) -> Result<Option<(Position, Vec<KeyId>)>, VaultError> {
        for page in self.pages.iter_mut().filter(|page| !page.over) {
            if page.waiting.is_empty() {
                let found = locked(&self.inner.reader).concerned(page.key, page.after, PAGE)?;
                page.over = found.is_empty();
                page.after = found.last().copied().or(page.after);
                page.waiting = found.into();
            }
        }
        let first = self.pages.iter().filter_map(|page| page.waiting.front()).min();
        let Some(first) = first.copied() else {
            return Ok(None);
        };
        let mut keys = Vec::new();
        for page in &mut self.pages {
            if page.waiting.front() == Some(&first) {
                page.waiting.pop_front();
                keys.push(page.key);
            }
        }
        Ok(Some((first, keys)))
    }
}

impl Inner {
    /// Looks at everything that would die with these secrets.
    pub(super) fn survey(&self, state: &State, keys: &[KeyId]) -> Result<Survey, VaultError> {
        let mut survey = Survey::default();
        {
            let store = locked(&self.keys);
            let living = |key: &&KeyId| store.ring().secret(**key).is_some();
            survey.facts.living = keys.iter().any(|key| living(&key));
            survey.found.secrets = keys
                .iter()
                .filter(living)
                .filter_map(|key| {
                    store
                        .ring()
                        .held(*key)
                        .map(|held| (held.kind.name().to_owned(), *key))
                })
                .collect();
        }
        survey.facts.own = (self.clock)();
        survey.facts.outside = self.outside_time();
        let coverings = self.coverings(state)?;
        let kept = coverings.iter().find(|(_, covering)| covering.keeps(keys));
        survey.facts.held_by = kept.map(|(at, _)| *at);
        let mut sources = Sources::of(self, keys);
        while let Some((source, keys)) = sources.next()? {
            let reader = locked(&self.reader);
            let Some(capture) = reader.capture(source)? else {
                continue;
            };
            survey.facts.locked_until = survey.facts.locked_until.max(capture.locked_until);
            survey.found.epochs.insert(capture.epoch);
            if survey.found.positions.len() < LISTED {
                survey.found.positions.push(source);
            }
            if capture.cause.is_some() {
                survey.found.files += 1;
                continue;
            }
            if reader.is_mixed(source)? {
                survey.found.shared_captures += 1;
                survey.shared.push(source);
            } else {
                survey.found.captures += 1;
            }
            let mut seen = BTreeSet::new();
            for key in keys {
                for row in reader.hanging_on(key, source)? {
                    if !seen.insert(row.id.ordinal) {
                        continue;
                    }
                    match row.sort {
                        RecordSort::Message => survey.found.messages += 1,
                        RecordSort::Event => survey.found.events += 1,
                        RecordSort::Problem => survey.found.problems += 1,
                    }
                    let (earliest, latest) = when(row.at, row.at_local.as_deref(), capture.received_at);
                    let dying = Dying {
                        conversation: row.conversation,
                        person: row.person,
                        connection: &capture.connection,
                        earliest,
                        latest,
                    };
                    if survey.facts.held_by.is_none() {
                        let held = coverings.iter().find(|(_, covering)| covering.covers(&dying));
                        survey.facts.held_by = held.map(|(at, _)| *at);
                    }
                }
            }
        }
        Ok(survey)
    }
}

/// When a label was destroyed: what was said before then is not taken again.
pub(super) type DiedAt = (KeyId, Timestamp);
