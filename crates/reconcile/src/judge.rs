//! What pairs and what is left over mean.

use std::collections::HashMap;

use model::record::ContentKind;

use crate::align::{Aligned, NONE, align, edited_to, is_revoked};
use crate::order::out_of_order;
use crate::outcome::{
    Certainty, Counts, Difference, Explained, Explanations, Of, Outcome, Outside, Verdict, What,
};
use crate::people::{CERTAIN_MIN, Same};
use crate::report::{place, summary};
use crate::side::{Class, Item, NEVER, Side};
use crate::text::likeness;

/// Messages of somebody of whom the other side has nothing: from so many on they are one statement.
const ABSENT_MIN: u64 = 20;

/// Lays two accounts side by side. Differences go to `each`, in the order of the conversation.
///
/// # Errors
/// Those of `each`.
pub fn compare<E>(
    mut a: Side,
    mut b: Side,
    each: &mut dyn FnMut(&Difference<'_>) -> Result<(), E>,
) -> Result<Outcome, E> {
    let ordered = (a.settle(), b.settle());
    let aligned = align(&a, &b);
    let mut judge = Judge {
        a: &a,
        b: &b,
        moved: Vec::new(),
        bounds: (Bounds::NONE, Bounds::NONE),
        absent: HashMap::new(),
        counts: Counts::default(),
        explained: Explanations::default(),
        outside: Outside::default(),
        aligned,
    };
    let mut verdict = Verdict::NothingInCommon;
    if judge.comparable() {
        judge.bounds();
        judge.find_absent();
        if ordered.0 && ordered.1 {
            judge.find_moved();
        }
        judge.walk(each)?;
        verdict = match (judge.counts.differences(), judge.absent.is_empty()) {
            (0, true) => Verdict::Same,
            _ => Verdict::Differs,
        };
    }
    Ok(Outcome {
        verdict,
        counts: judge.counts,
        explained: judge.explained,
        outside: judge.outside,
        absent: judge.absent(),
        paired_by_id: judge.aligned.by_id,
        people: judge.people(),
        a: summary(&a, ordered.0),
        b: summary(&b, ordered.1),
        clock: judge.aligned.clock,
    })
}

/// How far a side reaches, in seconds.
#[derive(Clone, Copy)]
struct Bounds {
    first: i64,
    last: i64,
}

impl Bounds {
    const NONE: Bounds = Bounds {
        first: i64::MAX,
        last: i64::MIN,
    };

    fn take(&mut self, time: i64) {
        self.first = self.first.min(time);
        self.last = self.last.max(time);
    }
}

pub(crate) struct Judge<'a> {
    pub a: &'a Side,
    pub b: &'a Side,
    pub aligned: Aligned,
    /// By place in the first side: out of order, and not only within a minute.
    moved: Vec<Moved>,
    bounds: (Bounds, Bounds),
    /// Groups of which one side has nothing: whether it is the first, who, how many.
    pub absent: HashMap<u32, (bool, u32, u64)>,
    counts: Counts,
    explained: Explanations,
    outside: Outside,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Moved {
    No,
    WithinMinutes,
    Yes,
}

impl<'a> Judge<'a> {
    fn item_a(&self, at: u32) -> Option<&'a Item> {
        self.a.items.get(at as usize)
    }

    fn item_b(&self, at: u32) -> Option<&'a Item> {
        self.b.items.get(at as usize)
    }

    fn time_a(&self, at: u32) -> i64 {
        self.aligned.times_a.get(at as usize).copied().unwrap_or(0)
    }

    fn time_b(&self, at: u32) -> i64 {
        self.aligned.times_b.get(at as usize).copied().unwrap_or(0)
    }

    fn near(&self, a: u32, b: u32) -> bool {
        (self.time_a(a) - self.time_b(b)).abs() <= self.aligned.clock.tolerance
    }

    /// Pairs by the platform's ids, or several that agree on the clocks.
    fn comparable(&self) -> bool {
        let pairs = self.aligned.partners.a.iter().filter(|&&b| b != NONE).count();
        let empty = self.a.items.is_empty() && self.b.items.is_empty();
        empty || self.aligned.by_id > 0 || (pairs > 0 && self.aligned.clock.sure)
    }

    /// From where to where each side reaches: by what both have and by lines of the platform; by what it has alone only
    /// where that is several messages, lest one wrong date make thousands missing.
    fn bounds(&mut self) {
        let of = |items: &[Item], partners: &[u32], times: &[i64], near: &dyn Fn(u32, u32) -> bool| {
            let mut bounds = Bounds::NONE;
            let (mut before, mut after) = (Vec::new(), Vec::new());
            for (((item, &partner), &time), at) in items.iter().zip(partners).zip(times).zip(0u32..) {
                if item.time == NEVER {
                } else if item.class == Class::System || (partner != NONE && near(at, partner)) {
                    bounds.take(time);
                } else if partner == NONE {
                    before.push(time);
                }
            }
            after.extend(before.iter().copied().filter(|&time| time > bounds.last));
            before.retain(|&time| time < bounds.first);
            // The third from the end counts, and so do those within.
            before.sort_unstable();
            after.sort_unstable_by_key(|&time| std::cmp::Reverse(time));
            if let (Some(&first), true) = (before.first(), before.len() >= 3) {
                bounds.take(first);
            }
            if let (Some(&last), true) = (after.first(), after.len() >= 3) {
                bounds.take(last);
            }
            bounds
        };
        let partners = &self.aligned.partners;
        let near_a = |a: u32, b: u32| self.near(a, b);
        let near_b = |b: u32, a: u32| self.near(a, b);
        let of_a = of(&self.a.items, &partners.a, &self.aligned.times_a, &near_a);
        let of_b = of(&self.b.items, &partners.b, &self.aligned.times_b, &near_b);
        self.bounds = (of_a, of_b);
    }

    fn find_absent(&mut self) {
        let mut seen: HashMap<u32, (u64, u64, u32)> = HashMap::new();
        let people = &self.aligned.people;
        for item in self.a.items.iter().filter(|item| item.author != u32::MAX) {
            let group = seen
                .entry(people.group_a(item.author))
                .or_insert((0, 0, item.author));
            group.0 += 1;
        }
        for item in self.b.items.iter().filter(|item| item.author != u32::MAX) {
            let group = seen
                .entry(people.group_b(item.author))
                .or_insert((0, 0, item.author));
            group.1 += 1;
        }
        // A message that has a partner under another name is not absent, but another's.
        for (item, _) in self
            .a
            .items
            .iter()
            .zip(&self.aligned.partners.a)
            .filter(|(_, b)| **b != NONE)
        {
            seen.remove(&people.group_a(item.author));
        }
        for (item, _) in self
            .b
            .items
            .iter()
            .zip(&self.aligned.partners.b)
            .filter(|(_, a)| **a != NONE)
        {
            seen.remove(&people.group_b(item.author));
        }
        for (group, (of_a, of_b, author)) in seen {
            if of_a.max(of_b) >= ABSENT_MIN && of_a.min(of_b) == 0 {
                self.absent.insert(group, (of_a == 0, author, 0));
            }
        }
    }

    /// Out of order, unless within the time that clocks and networks leave open.
    fn find_moved(&mut self) {
        let pairs: Vec<(u32, u32)> = (0u32..)
            .zip(&self.aligned.partners.a)
            .filter(|(_, b)| **b != NONE)
            .map(|(a, b)| (a, *b))
            .collect();
        let numbers: Vec<u32> = pairs.iter().map(|(_, b)| *b).collect();
        let out = out_of_order(&numbers);
        let mut moved = vec![Moved::No; self.a.items.len()];
        let kept: Vec<(u32, u32)> = pairs
            .iter()
            .zip(&out)
            .filter(|(_, out)| !**out)
            .map(|(pair, _)| *pair)
            .collect();
        for (&(a, b), _) in pairs.iter().zip(&out).filter(|(_, out)| **out) {
            // Its neighbours where the second side has it.
            let after = kept.partition_point(|(_, other)| *other < b);
            let beside = [after.checked_sub(1), Some(after)];
            let mut beside = beside.into_iter().flatten().filter_map(|at| kept.get(at));
            let tolerance = 2 * self.aligned.clock.tolerance;
            let far = |other: u32| (self.time_b(other) - self.time_b(b)).abs() > tolerance;
            // And where the first has it.
            let after = kept.partition_point(|(other, _)| *other < a);
            let there = [after.checked_sub(1), Some(after)];
            let mut there = there.into_iter().flatten().filter_map(|at| kept.get(at));
            let moved_here = beside.all(|(_, other)| far(*other));
            let moved_there =
                there.all(|(other, _)| (self.time_a(*other) - self.time_a(a)).abs() > tolerance);
            if let Some(slot) = moved.get_mut(a as usize) {
                *slot = if moved_here || moved_there {
                    Moved::Yes
                } else {
                    Moved::WithinMinutes
                };
            }
        }
        self.moved = moved;
    }

    fn walk<E>(&mut self, each: &mut dyn FnMut(&Difference<'_>) -> Result<(), E>) -> Result<(), E> {
        let count = |side: &Side| u32::try_from(side.items.len()).unwrap_or(NONE);
        let (all_a, all_b) = (count(self.a), count(self.b));
        let mut next_b = 0;
        for at in 0..all_a {
            let partner = self.aligned.partners.of_a(at);
            if partner == NONE {
                self.alone_a(at, each)?;
                continue;
            }
            while next_b < partner {
                self.alone_b(next_b, each)?;
                next_b += 1;
            }
            self.pair(at, partner, each)?;
        }
        for at in next_b..all_b {
            self.alone_b(at, each)?;
        }
        Ok(())
    }

    fn alone_a<E>(
        &mut self,
        at: u32,
        each: &mut dyn FnMut(&Difference<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(item) = self.item_a(at).filter(|item| item.class != Class::System) else {
            return Ok(());
        };
        let (time, slack) = (self.time_a(at), self.aligned.clock.tolerance);
        if time < self.bounds.1.first - slack {
            self.outside.a_before_b += 1;
            return Ok(());
        }
        if time > self.bounds.1.last + slack {
            self.outside.a_after_b += 1;
            return Ok(());
        }
        if let Some(absent) = self.absent.get_mut(&self.aligned.people.group_a(item.author)) {
            absent.2 += 1;
            return Ok(());
        }
        let Some(of) = missing(What::MissingInB, item, is_revoked(self.a, item)) else {
            self.explained.add(Explained::Deleted);
            return Ok(());
        };
        self.counts.missing_in_b += 1;
        each(&Difference {
            differs: vec![of],
            a: Some(place(self.a, item)),
            b: None,
        })
    }

    fn alone_b<E>(
        &mut self,
        at: u32,
        each: &mut dyn FnMut(&Difference<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let item = self.item_b(at).filter(|item| item.class != Class::System);
        let Some(item) = item.filter(|_| self.aligned.partners.of_b(at) == NONE) else {
            return Ok(());
        };
        let (time, slack) = (self.time_b(at), self.aligned.clock.tolerance);
        if time < self.bounds.0.first - slack {
            self.outside.b_before_a += 1;
            return Ok(());
        }
        if time > self.bounds.0.last + slack {
            self.outside.b_after_a += 1;
            return Ok(());
        }
        if let Some(absent) = self.absent.get_mut(&self.aligned.people.group_b(item.author)) {
            absent.2 += 1;
            return Ok(());
        }
        let Some(of) = missing(What::MissingInA, item, is_revoked(self.b, item)) else {
            self.explained.add(Explained::Deleted);
            return Ok(());
        };
        self.counts.missing_in_a += 1;
        each(&Difference {
            differs: vec![of],
            a: None,
            b: Some(place(self.b, item)),
        })
    }

    fn pair<E>(
        &mut self,
        a: u32,
        b: u32,
        each: &mut dyn FnMut(&Difference<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let (Some(item_a), Some(item_b)) = (self.item_a(a), self.item_b(b)) else {
            return Ok(());
        };
        let mut differs = Vec::new();
        differs.extend(self.text(a, b, item_a, item_b));
        differs.extend(self.author(a, b, item_a, item_b));
        differs.extend(self.time(a, b, item_a, item_b));
        differs.extend(self.order(a, &differs));
        differs.extend(self.file(item_a, item_b));
        for of in &differs {
            let count = match of.what {
                What::Text => &mut self.counts.text_differs,
                What::Author if of.certainty == Certainty::Possible => &mut self.counts.author_unsure,
                What::Author => &mut self.counts.author_differs,
                What::Time => &mut self.counts.time_differs,
                What::Order => &mut self.counts.order_differs,
                What::File => &mut self.counts.file_differs,
                What::MissingInA => &mut self.counts.missing_in_a,
                What::MissingInB => &mut self.counts.missing_in_b,
            };
            *count += 1;
        }
        if differs.is_empty() {
            self.counts.same += 1;
            return Ok(());
        }
        each(&Difference {
            differs,
            a: Some(place(self.a, item_a)),
            b: Some(place(self.b, item_b)),
        })
    }

    fn text(&mut self, at_a: u32, at_b: u32, a: &Item, b: &Item) -> Option<Of> {
        let revoked = |side: &Side, item: &Item| item.deleted || is_revoked(side, item);
        if revoked(self.a, a) || revoked(self.b, b) {
            self.explained.add(Explained::Deleted);
            return None;
        }
        if a.text == b.text {
            let as_written = |side: &'a Side, item: &Item| side.text(item);
            if as_written(self.a, a) != as_written(self.b, b) {
                self.explained.add(Explained::Spelling);
            } else if a.class != b.class {
                self.explained.add(Explained::ShownDifferently);
            } else if a.class == Class::Media && a.kind != b.kind {
                self.explained.add(Explained::MediaLeftOut);
            }
            return None;
        }
        if a.class == Class::Opaque || b.class == Class::Opaque || a.ephemeral || b.ephemeral {
            self.explained.add(Explained::ShownDifferently);
            return None;
        }
        if a.class == Class::Media && (a.text == 0 || b.text == 0) {
            self.explained.add(Explained::MediaLeftOut);
            return None;
        }
        if edited_to(self.a, a, b.text) || edited_to(self.b, b, a.text) {
            self.explained.add(Explained::Edited);
            return None;
        }
        let told = |side: &Side, item: &Item| item.id != 0 && side.edits.contains_key(&item.id);
        // A side that knows what it was edited to is not explained by a mark: the new text would have to be that.
        if (a.edited != b.edited) && !told(self.a, a) && !told(self.b, b) {
            self.explained.add(Explained::Edited);
            return None;
        }
        let alike = match (self.a.text(a), self.b.text(b)) {
            (Some(a), Some(b)) => likeness(a, b),
            _ => 0.0,
        };
        let by_id = a.id != 0 && a.id == b.id;
        let certain = by_id || (alike >= 0.5 && self.stands_alike(at_a, at_b));
        Some(Of {
            what: What::Text,
            certainty: if certain {
                Certainty::Certain
            } else {
                Certainty::Likely
            },
            note: (!by_id).then_some("by the same person at the same time and place"),
        })
    }

    /// A neighbour is the other's neighbour too.
    fn stands_alike(&self, a: u32, b: u32) -> bool {
        let partner = |at: Option<u32>| at.map_or(NONE, |at| self.aligned.partners.of_a(at));
        let before = b.checked_sub(1).is_some_and(|b| partner(a.checked_sub(1)) == b);
        before || partner(a.checked_add(1)) == b.saturating_add(1)
    }

    fn author(&self, at_a: u32, at_b: u32, a: &Item, b: &Item) -> Option<Of> {
        if a.author == u32::MAX || b.author == u32::MAX {
            return None;
        }
        let telling = a.id != 0 && a.id == b.id
            || self.aligned.telling.get(at_a as usize).copied().unwrap_or(false)
            || self.stands_alike(at_a, at_b);
        let (certainty, note) = match self.aligned.people.same(a.author, b.author) {
            Same::Yes => return None,
            Same::Unknown => (
                Certainty::Possible,
                Some("one of the two may be another name of the same person"),
            ),
            Same::No(shown_by) if telling && shown_by >= CERTAIN_MIN => (Certainty::Certain, None),
            Same::No(_) => (Certainty::Likely, None),
        };
        Some(Of {
            what: What::Author,
            certainty,
            note,
        })
    }

    fn time(&mut self, at_a: u32, at_b: u32, a: &Item, b: &Item) -> Option<Of> {
        let clock = &self.aligned.clock;
        let stated = a.time != NEVER && b.time != NEVER;
        // Where a side mixes clocks, only what stands by the same kind of clock as the rest could be compared.
        if !stated || !clock.sure || clock.a == "mixed" || clock.b == "mixed" || self.near(at_a, at_b) {
            return None;
        }
        let raw = self.time_b(at_b) - (self.time_a(at_a) - clock.offset(at_a as usize));
        if clock.is_a_change(at_a as usize, raw) {
            self.explained.add(Explained::ClockChange);
            return None;
        }
        let telling = self.aligned.telling.get(at_a as usize).copied().unwrap_or(false);
        let by_id = a.id != 0 && a.id == b.id;
        Some(Of {
            what: What::Time,
            certainty: if telling || by_id {
                Certainty::Certain
            } else {
                Certainty::Likely
            },
            note: None,
        })
    }

    fn order(&mut self, at_a: u32, others: &[Of]) -> Option<Of> {
        // Who is dated otherwise stands elsewhere.
        if others.iter().any(|of| of.what == What::Time) {
            return None;
        }
        match self.moved.get(at_a as usize).copied().unwrap_or(Moved::No) {
            Moved::No => None,
            Moved::WithinMinutes => {
                self.explained.add(Explained::Arrival);
                None
            }
            Moved::Yes => Some(Of {
                what: What::Order,
                certainty: Certainty::Certain,
                note: None,
            }),
        }
    }

    fn file(&self, a: &Item, b: &Item) -> Option<Of> {
        let known = a.file != 0 && b.file != 0 && a.file != b.file;
        let kinds = a.class == Class::Media
            && b.class == Class::Media
            && a.kind != b.kind
            && a.kind != ContentKind::Other
            && b.kind != ContentKind::Other
            // A picture may be sent as a document, and a GIF is a video here and a picture there.
            && ![a.kind, b.kind].contains(&ContentKind::Document)
            && [a.kind, b.kind].contains(&ContentKind::Audio);
        let (certainty, note) = if known {
            // Apps make pictures smaller again on the way; nothing does so to a document.
            match a.kind == ContentKind::Document && b.kind == ContentKind::Document {
                true => (Certainty::Certain, None),
                false => (Certainty::Possible, Some("a phone may have stored it anew")),
            }
        } else if kinds {
            (Certainty::Likely, Some("another kind of file"))
        } else {
            return None;
        };
        Some(Of {
            what: What::File,
            certainty,
            note,
        })
    }
}

fn missing(what: What, item: &Item, revoked: bool) -> Option<Of> {
    // What was taken back may be gone without a trace on another phone.
    if item.deleted || revoked {
        return None;
    }
    let note = match item.class {
        Class::Opaque => Some("of a kind that not every source carries"),
        _ if item.ephemeral => Some("shown once, or for a while"),
        _ => None,
    };
    Some(Of {
        what,
        certainty: if note.is_some() {
            Certainty::Possible
        } else {
            Certainty::Certain
        },
        note,
    })
}
