//! Who is who: the names of one side and those of the other, learned from messages that both have.

use std::collections::HashMap;

use crate::clock::Anchor;
use crate::side::{Item, Side};

/// Messages that must say so before a name counts as established.
const ESTABLISHED_MIN: u32 = 3;

/// So many make an accusation certain.
pub(crate) const CERTAIN_MIN: u32 = 5;

const NOBODY: u32 = u32::MAX;

/// What was learned.
pub(crate) struct People {
    /// By index of the person: the group of names that mean one person, the same number on both sides.
    a: Vec<Known>,
    b: Vec<Known>,
    /// Who stands beside whom, and how often.
    pub pairs: Vec<(u32, u32, u32)>,
}

#[derive(Clone, Copy)]
struct Known {
    group: u32,
    shown_by: u32,
}

/// What can be said of two authors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Same {
    Yes,
    /// At least one is not established: they may be one person.
    Unknown,
    /// Both are established, as two people; by so many messages at least.
    No(u32),
}

impl People {
    /// From pairs of messages that say the same at the same time.
    pub fn learn(a: &Side, b: &Side, agreed: &[Anchor]) -> People {
        let author =
            |items: &[Item], index: u32| items.get(index as usize).map_or(NOBODY, |item| item.author);
        let mut counts: HashMap<(u32, u32), u32> = HashMap::new();
        for &(of_a, of_b) in agreed {
            let pair = (author(&a.items, of_a), author(&b.items, of_b));
            if pair.0 != NOBODY && pair.1 != NOBODY {
                *counts.entry(pair).or_default() += 1;
            }
        }
        let mut pairs: Vec<(u32, u32, u32)> = counts.into_iter().map(|((a, b), n)| (a, b, n)).collect();
        pairs.sort_unstable_by_key(|&(a, b, n)| (std::cmp::Reverse(n), a, b));
        let mut people = People {
            a: fresh(a.people.len(), 0),
            b: fresh(b.people.len(), a.people.len()),
            pairs,
        };
        people.join(a, b);
        people
    }

    fn join(&mut self, a: &Side, b: &Side) {
        let named = Named::of(a, b);
        let mut seen = Seen::default();
        for &(of_a, of_b, n) in &self.pairs {
            *seen.total_a.entry(of_a).or_default() += n;
            *seen.total_b.entry(of_b).or_default() += n;
            seen.best_a.entry(of_a).or_insert(of_b);
            seen.best_b.entry(of_b).or_insert(of_a);
            if named.a.get(&of_a) == Some(&of_b) {
                seen.as_named.insert(of_a, n);
            }
        }
        let mut groups = Groups::new(a.people.len() + b.people.len());
        let mut together = Vec::new();
        for &(of_a, of_b, n) in &self.pairs {
            let name_holds =
                |of_a: Option<&u32>, other: bool| other && of_a.is_some_and(|&of_a| seen.name_holds(of_a));
            let by_name_a = named.a.get(&of_a);
            let by_name_b = named.b.get(&of_b);
            let other_by_name = name_holds(Some(&of_a), by_name_a.is_some_and(|&named| named != of_b))
                || name_holds(by_name_b, by_name_b.is_some_and(|&named| named != of_a));
            let (best_a, best_b) = seen.best(of_a, of_b, n);
            if !other_by_name && ((best_a && best_b) || (n >= ESTABLISHED_MIN && (best_a || best_b))) {
                together.push((of_a, of_b, n));
            }
        }
        // Who is called the same on both sides is the same, unless the messages say something else.
        let by_name = named.a.iter().filter(|(of_a, _)| seen.name_holds(**of_a));
        together.extend(by_name.map(|(&of_a, &of_b)| (of_a, of_b, ESTABLISHED_MIN)));
        for (of_a, of_b, n) in together {
            groups.join(of_a, shifted(of_b, a));
            for (side, who) in [(&mut self.a, of_a), (&mut self.b, of_b)] {
                if let Some(known) = side.get_mut(who as usize) {
                    known.shown_by = known.shown_by.saturating_add(n);
                }
            }
        }
        for (index, known) in (0u32..).zip(self.a.iter_mut().chain(&mut self.b)) {
            known.group = groups.of(index);
        }
    }

    pub fn group_a(&self, author: u32) -> u32 {
        self.a.get(author as usize).map_or(NOBODY, |known| known.group)
    }

    pub fn group_b(&self, author: u32) -> u32 {
        self.b.get(author as usize).map_or(NOBODY, |known| known.group)
    }

    /// Whether an author of the first side and one of the second are one person.
    pub fn same(&self, of_a: u32, of_b: u32) -> Same {
        let (Some(a), Some(b)) = (self.a.get(of_a as usize), self.b.get(of_b as usize)) else {
            return Same::Unknown;
        };
        let shown = a.shown_by.min(b.shown_by);
        if a.group == b.group {
            Same::Yes
        } else if shown >= ESTABLISHED_MIN {
            Same::No(shown)
        } else {
            Same::Unknown
        }
    }
}

/// What the messages show of each.
#[derive(Default)]
struct Seen {
    total_a: HashMap<u32, u32>,
    total_b: HashMap<u32, u32>,
    best_a: HashMap<u32, u32>,
    best_b: HashMap<u32, u32>,
    /// Messages of somebody of the first side that stand under the same name on the second.
    as_named: HashMap<u32, u32>,
}

impl Seen {
    /// Whether each is most often the other, in three of five messages.
    fn best(&self, of_a: u32, of_b: u32, n: u32) -> (bool, bool) {
        let most = |total: Option<&u32>| n.saturating_mul(5) >= total.copied().unwrap_or(0).saturating_mul(3);
        let best_a = self.best_a.get(&of_a) == Some(&of_b) && most(self.total_a.get(&of_a));
        let best_b = self.best_b.get(&of_b) == Some(&of_a) && most(self.total_b.get(&of_b));
        (best_a, best_b)
    }

    /// Two address books may call two people the same: then hardly a message agrees with the name.
    fn name_holds(&self, of_a: u32) -> bool {
        let total = self.total_a.get(&of_a).copied().unwrap_or(0);
        let as_named = self.as_named.get(&of_a).copied().unwrap_or(0);
        as_named.saturating_mul(5) >= total
    }
}

/// Who has a name or an id in common, where only one has it.
struct Named {
    a: HashMap<u32, u32>,
    b: HashMap<u32, u32>,
}

impl Named {
    fn of(a: &Side, b: &Side) -> Named {
        let by_tag = |side: &Side| {
            let mut known: HashMap<u64, u32> = HashMap::new();
            for (index, person) in (0u32..).zip(&side.people) {
                for &tag in &person.tags {
                    let known = known.entry(tag).or_insert(index);
                    if *known != index {
                        *known = NOBODY;
                    }
                }
            }
            known
        };
        let (tags_a, tags_b) = (by_tag(a), by_tag(b));
        let mut named = Named {
            a: HashMap::new(),
            b: HashMap::new(),
        };
        for (index, person) in (0u32..).zip(&a.people) {
            let mut only = person.tags.iter().filter(|tag| tags_a.get(tag) == Some(&index));
            let other = only.find_map(|tag| tags_b.get(tag).copied().filter(|&other| other != NOBODY));
            if let Some(other) = other {
                named.a.insert(index, other);
                named.b.insert(other, index);
            }
        }
        named
    }
}

fn fresh(count: usize, from: usize) -> Vec<Known> {
    let number = |index: usize| u32::try_from(from + index).unwrap_or(NOBODY);
    (0..count)
        .map(|index| Known {
            group: number(index),
            shown_by: 0,
        })
        .collect()
}

fn shifted(of_b: u32, a: &Side) -> u32 {
    u32::try_from(a.people.len())
        .unwrap_or(NOBODY)
        .saturating_add(of_b)
}

/// Sets that are joined.
struct Groups(Vec<u32>);

impl Groups {
    fn new(count: usize) -> Groups {
        Groups((0u32..).take(count).collect())
    }

    fn of(&mut self, mut who: u32) -> u32 {
        while let Some(&parent) = self.0.get(who as usize) {
            if parent == who {
                break;
            }
            let above = self.0.get(parent as usize).copied().unwrap_or(parent);
            if let Some(slot) = self.0.get_mut(who as usize) {
                *slot = above;
            }
            who = above;
        }
        who
    }

    fn join(&mut self, one: u32, other: u32) {
        let (one, other) = (self.of(one), self.of(other));
        if let Some(slot) = self.0.get_mut(one.max(other) as usize) {
            *slot = one.min(other);
        }
    }
}
