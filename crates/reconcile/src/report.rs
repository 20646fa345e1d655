//! How sides, people and places are shown.

use model::{Content, Timestamp};

use crate::judge::Judge;
use crate::outcome::{Absent, Pair, Place, SideSummary};
use crate::people::Same;
use crate::side::{Class, Item, NEVER, Side, wall_text};

/// Pairs of names that are told.
const PEOPLE_MAX: usize = 1000;

impl Judge<'_> {
    pub(crate) fn people(&self) -> Vec<Pair> {
        let name = |side: &Side, who: u32| {
            let person = side.people.get(who as usize);
            person.map_or(Content::default(), |person| person.shown.clone())
        };
        let pairs = self.aligned.people.pairs.iter().take(PEOPLE_MAX);
        pairs
            .map(|&(a, b, n)| Pair {
                a: name(self.a, a),
                b: name(self.b, b),
                messages: u64::from(n),
                same: self.aligned.people.same(a, b) == Same::Yes,
            })
            .collect()
    }

    pub(crate) fn absent(&self) -> Vec<Absent> {
        let mut all: Vec<Absent> = self
            .absent
            .values()
            .map(|&(in_a, who, messages)| {
                let side = if in_a { self.b } else { self.a };
                let person = side.people.get(who as usize);
                Absent {
                    absent_in: if in_a { "a" } else { "b" },
                    author: person.map_or(Content::default(), |person| person.shown.clone()),
                    messages,
                }
            })
            .collect();
        all.sort_by(|one, other| {
            other
                .messages
                .cmp(&one.messages)
                .then(one.author.cmp(&other.author))
        });
        all
    }
}

pub(crate) fn place<'a>(side: &'a Side, item: &Item) -> Place<'a> {
    let author = side.people.get(item.author as usize);
    Place {
        place: item.place,
        at: written(item),
        author: author.map(|person| Content::from(person.shown.reveal())),
        content: item.kind,
        text: side.text(item).filter(|text| !text.is_empty()).map(Content::from),
    }
}

fn written(item: &Item) -> Option<String> {
    match (item.time, item.wall) {
        (NEVER, _) => None,
        (time, true) => Some(wall_text(time)),
        (time, false) => Some(Timestamp::from_seconds(time).to_string()),
    }
}

pub(crate) fn summary(side: &Side, ordered: bool) -> SideSummary {
    let system = side
        .items
        .iter()
        .filter(|item| item.class == Class::System)
        .count() as u64;
    let timed = || side.items.iter().filter(|item| item.time != NEVER);
    SideSummary {
        messages: side.items.len() as u64 - system,
        system,
        reactions: side.left_out,
        first: timed().min_by_key(|item| item.time).and_then(written),
        last: timed().max_by_key(|item| item.time).and_then(written),
        ordered,
    }
}
