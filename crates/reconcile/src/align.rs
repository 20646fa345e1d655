//! Which message of one side is which of the other.

use std::cmp::Reverse;

use model::record::ContentKind;

use crate::clock::{Anchor, Clock};
use crate::index::{Index, compared, groups, in_context, index, text_hash, unique};
use crate::people::People;
use crate::side::{Class, Item, Side};
use crate::text::likeness;

/// No partner.
pub(crate) const NONE: u32 = u32::MAX;

/// What is left over is looked at in runs of so many at most, each with so many of the other side.
const RUN_MAX: usize = 2048;
const CANDIDATES_MAX: usize = 8;

/// How far back the last partner is looked for.
const LOOK_BACK: u32 = 64;

/// Kinds of files.
const KINDS: [ContentKind; 6] = [
    ContentKind::Image,
    ContentKind::Audio,
    ContentKind::Video,
    ContentKind::Document,
    ContentKind::Sticker,
    ContentKind::Other,
];

/// Two texts that are less alike are two messages, unless everything around them is the same.
const LIKENESS_MIN: f64 = 0.5;

/// Texts that occur once a side: too few of them, and they are looked for with their neighbours.
const ANCHORS_SHARE: usize = 50;

/// A text that occurs once on either side and is as long is the same message at whatever time.
const TELLING_BYTES_MIN: u32 = 12;

/// Who is whose partner.
pub(crate) struct Partners {
    pub a: Vec<u32>,
    pub b: Vec<u32>,
}

impl Partners {
    fn new(a: usize, b: usize) -> Partners {
        Partners {
            a: vec![NONE; a],
            b: vec![NONE; b],
        }
    }

    pub fn of_a(&self, index: u32) -> u32 {
        self.a.get(index as usize).copied().unwrap_or(NONE)
    }

    pub fn of_b(&self, index: u32) -> u32 {
        self.b.get(index as usize).copied().unwrap_or(NONE)
    }

    /// Pairs two that are both free.
    fn pair(&mut self, a: u32, b: u32) -> bool {
        match (self.a.get_mut(a as usize), self.b.get_mut(b as usize)) {
            (Some(of_a), Some(of_b)) if *of_a == NONE && *of_b == NONE => {
                (*of_a, *of_b) = (b, a);
                true
            }
            _ => false,
        }
    }

    fn both_free(&self, a: u32, b: u32) -> bool {
        self.of_a(a) == NONE && self.of_b(b) == NONE
    }
}

/// The alignment under way.
pub(crate) struct Aligned {
    pub partners: Partners,
    pub clock: Clock,
    pub people: People,
    /// Times of the first side by the second's clock, and of the second.
    pub times_a: Vec<i64>,
    pub times_b: Vec<i64>,
    /// Pairs that the platform's own ids make.
    pub by_id: u64,
    /// Texts that occur once on either side, by their place in the first.
    pub telling: Vec<bool>,
}

/// Lays one beside the other.
pub(crate) fn align(a: &Side, b: &Side) -> Aligned {
    let ids = |side: &Side| {
        index(
            side.items
                .iter()
                .map(|item| if compared(item) { item.id } else { 0 }),
        )
    };
    let by_id = unique(&ids(a), &ids(b));
    let texts = |side: &Side| index(side.items.iter().map(text_hash));
    let (texts_a, texts_b) = (texts(a), texts(b));
    let by_text = unique(&texts_a, &texts_b);
    let mut telling = vec![false; a.items.len()];
    for &(of_a, _) in &by_text {
        if let Some(slot) = telling.get_mut(of_a as usize) {
            *slot = true;
        }
    }
    let few = a.items.len().min(b.items.len()) / ANCHORS_SHARE;
    let mut anchors = if by_id.len() > few { by_id.clone() } else { by_text };
    if anchors.len() <= few {
        let more = unique(&index(in_context(&a.items)), &index(in_context(&b.items)));
        anchors.extend(more);
        anchors.sort_unstable();
        anchors.dedup_by_key(|anchor| anchor.0);
    }
    let (clock, raw_a, times_b) = Clock::learn((&a.items, &b.items), &anchors);
    let times_a: Vec<i64> = raw_a
        .iter()
        .enumerate()
        .map(|(at, time)| time + clock.offset(at))
        .collect();
    let near = |&(of_a, of_b): &Anchor| {
        let of = |times: &[i64], at: u32| times.get(at as usize).copied().unwrap_or(0);
        (of(&times_a, of_a) - of(&times_b, of_b)).abs() <= clock.tolerance
    };
    let agreed: Vec<Anchor> = anchors.iter().copied().filter(near).collect();
    let people = People::learn(a, b, &agreed);
    let mut aligned = Aligned {
        partners: Partners::new(a.items.len(), b.items.len()),
        clock,
        people,
        times_a,
        times_b,
        by_id: 0,
        telling,
    };
    for (of_a, of_b) in by_id {
        aligned.by_id += u64::from(aligned.partners.pair(of_a, of_b));
    }
    aligned.same_texts(a, b, &texts_a, &texts_b);
    aligned.files(a, b);
    aligned.left_over(a, b);
    if aligned.clock.a != "utc" || aligned.clock.b != "utc" {
        aligned.beside_changes(a, b, &texts_b);
    }
    aligned
}

impl Aligned {
    fn time_a(&self, index: u32) -> i64 {
        self.times_a.get(index as usize).copied().unwrap_or(0)
    }

    fn time_b(&self, index: u32) -> i64 {
        self.times_b.get(index as usize).copied().unwrap_or(0)
    }

    /// Once more for what stands beside a change of the clocks and has no partner, by the offset on the other side of the
    /// change: between the last message that shows the old one and the first that shows the new, and in the hour that
    /// comes twice, either may be right.
    fn beside_changes(&mut self, a: &Side, b: &Side, texts_b: &Index) {
        let free =
            |at: &u32| self.partners.of_a(*at) == NONE && a.items.get(*at as usize).is_some_and(compared);
        let near = |at: &u32| self.clock.other_offsets(*at as usize).iter().any(Option::is_some);
        let mut few: Vec<u32> = (0u32..)
            .take(a.items.len())
            .filter(|at| free(at) && near(at))
            .collect();
        for which in 0..self.clock.other_offsets(0).len() {
            few.retain(|at| self.partners.of_a(*at) == NONE);
            self.by_another_offset(a, b, &few, texts_b, which);
        }
    }

    fn by_another_offset(&mut self, a: &Side, b: &Side, few: &[u32], texts_b: &Index, which: usize) {
        let (mut before, mut texts, mut media) = (Vec::new(), Index::new(), false);
        for &at in few {
            let other = self
                .clock
                .other_offsets(at as usize)
                .get(which)
                .copied()
                .flatten();
            let (Some(other), Some(item)) = (other, a.items.get(at as usize)) else {
                continue;
            };
            if let Some(time) = self.times_a.get_mut(at as usize) {
                before.push((at, *time));
                *time += other - self.clock.offset(at as usize);
            }
            media |= item.class == Class::Media;
            if text_hash(item) != 0 {
                texts.push((item.text, at));
            }
        }
        if before.is_empty() {
            return;
        }
        texts.sort_unstable();
        self.same_texts(a, b, &texts, texts_b);
        if media {
            self.files(a, b);
        }
        self.left_over(a, b);
        for (at, time) in before {
            if let (NONE, Some(slot)) = (self.partners.of_a(at), self.times_a.get_mut(at as usize)) {
                *slot = time;
            }
        }
    }

    /// Pairs what says the same: by the same person at the same time; at the same time; and at another time, where the
    /// text is telling.
    fn same_texts(&mut self, a: &Side, b: &Side, texts_a: &Index, texts_b: &Index) {
        let author = |items: &[Item], at: u32| items.get(at as usize).map_or(NONE, |item| item.author);
        let (mut free_a, mut free_b): (Vec<Free>, Vec<Free>) = (Vec::new(), Vec::new());
        groups(texts_a, texts_b, &mut |of_a, of_b| {
            free_a.clear();
            free_b.clear();
            free_a.extend(
                of_a.iter()
                    .filter(|(_, at)| self.partners.of_a(*at) == NONE)
                    .map(|&(_, at)| Free {
                        group: self.people.group_a(author(&a.items, at)),
                        time: self.time_a(at),
                        at,
                    }),
            );
            free_b.extend(
                of_b.iter()
                    .filter(|(_, at)| self.partners.of_b(*at) == NONE)
                    .map(|&(_, at)| Free {
                        group: self.people.group_b(author(&b.items, at)),
                        time: self.time_b(at),
                        at,
                    }),
            );
            let first = of_a.first().map(|(_, at)| *at as usize);
            let item = first.and_then(|at| a.items.get(at));
            let once = first
                .and_then(|at| self.telling.get(at))
                .copied()
                .unwrap_or(false);
            let alone = once && item.is_some_and(|item| item.text_len() >= TELLING_BYTES_MIN);
            self.one_text(&mut free_a, &mut free_b, alone);
        });
    }

    fn one_text(&mut self, a: &mut Vec<Free>, b: &mut Vec<Free>, alone: bool) {
        if alone {
            if let ([a], [b]) = (a.as_slice(), b.as_slice()) {
                self.partners.pair(a.at, b.at);
            }
            return;
        }
        a.sort_unstable();
        b.sort_unstable();
        let close = self.clock.tolerance;
        // First what is as near as the clocks can tell, so that of several alike the right one stays over.
        for tolerance in [close.min(31), close] {
            self.sweep(a, b, tolerance, true);
        }
        for free in a.iter_mut().chain(b.iter_mut()) {
            free.group = 0;
        }
        a.sort_unstable();
        b.sort_unstable();
        for tolerance in [close.min(31), close] {
            self.sweep(a, b, tolerance, false);
        }
    }

    /// Two pointers over what is free, ascending.
    fn sweep(&mut self, a: &mut Vec<Free>, b: &mut Vec<Free>, tolerance: i64, authors: bool) {
        let (mut at_a, mut at_b) = (0, 0);
        while let (Some(of_a), Some(of_b)) = (a.get(at_a), b.get(at_b)) {
            let groups = if authors {
                of_a.group.cmp(&of_b.group)
            } else {
                std::cmp::Ordering::Equal
            };
            if groups.is_lt() || (groups.is_eq() && of_a.time < of_b.time - tolerance) {
                at_a += 1;
            } else if groups.is_gt() || of_b.time < of_a.time - tolerance {
                at_b += 1;
            } else {
                self.partners.pair(of_a.at, of_b.at);
                at_a += 1;
                at_b += 1;
            }
        }
        a.retain(|free| self.partners.of_a(free.at) == NONE);
        b.retain(|free| self.partners.of_b(free.at) == NONE);
    }

    /// Pairs what stands at the same time and place and does not say the same: media, what was edited or deleted, what
    /// each source words in its own way, and texts that were altered.
    fn left_over(&mut self, a: &Side, b: &Side) {
        let free = |items: &[Item], partners: &[u32], times: &[i64]| {
            let mut free: Vec<(i64, u32)> = items
                .iter()
                .zip(partners)
                .zip(times)
                .zip(0u32..)
                .filter(|(((item, partner), _), _)| compared(item) && **partner == NONE)
                .map(|((_, time), at)| (*time, at))
                .collect();
            free.sort_unstable();
            free
        };
        let free_a = free(&a.items, &self.partners.a, &self.times_a);
        let free_b = free(&b.items, &self.partners.b, &self.times_b);
        let tolerance = self.clock.tolerance;
        let mut rest_b = free_b.as_slice();
        for cluster in free_a.chunk_by(|one, next| next.0 - one.0 <= 2 * tolerance) {
            for run in cluster.chunks(RUN_MAX) {
                let (Some(first), Some(last)) = (run.first(), run.last()) else {
                    continue;
                };
                let earlier = rest_b.partition_point(|(time, _)| *time < first.0 - tolerance);
                rest_b = rest_b.get(earlier..).unwrap_or(&[]);
                let within = rest_b.partition_point(|(time, _)| *time <= last.0 + tolerance);
                self.run(a, b, run, rest_b.get(..within).unwrap_or(&[]));
            }
        }
    }

    fn run(&mut self, a: &Side, b: &Side, free_a: &[(i64, u32)], free_b: &[(i64, u32)]) {
        let tolerance = self.clock.tolerance;
        let mut edges: Vec<Edge> = Vec::new();
        for &(time, of_a) in free_a {
            // The nearest in time, and of those in the same minute the nearest in order.
            let middle = free_b.partition_point(|other| *other < (time, self.expected(of_a)));
            let from = middle.saturating_sub(CANDIDATES_MAX / 2);
            for &(other, of_b) in free_b.iter().skip(from).take(CANDIDATES_MAX) {
                let apart = (other - time).abs();
                let free = apart <= tolerance && self.partners.both_free(of_a, of_b);
                if let Some(score) = free.then(|| self.score(a, b, of_a, of_b)).flatten() {
                    edges.push(Edge {
                        score: Reverse(score),
                        apart,
                        order: self.expected(of_a).abs_diff(of_b),
                        pair: (of_a, of_b),
                    });
                }
            }
        }
        edges.sort_unstable();
        for Edge {
            pair: (of_a, of_b), ..
        } in edges
        {
            self.partners.pair(of_a, of_b);
        }
        // One on either side, with the same before and after, by the same person: whatever it says.
        for &(_, of_a) in free_a {
            for of_b in self.beside(of_a).into_iter().flatten() {
                let (Some(item_a), Some(item_b)) = (a.items.get(of_a as usize), b.items.get(of_b as usize))
                else {
                    continue;
                };
                let near = (self.time_a(of_a) - self.time_b(of_b)).abs() <= self.clock.tolerance;
                let author = self.people.group_a(item_a.author) == self.people.group_b(item_b.author);
                let classes =
                    item_a.class == item_b.class || [item_a.class, item_b.class].contains(&Class::Opaque);
                if near
                    && author
                    && classes
                    && compared(item_a)
                    && compared(item_b)
                    && self.partners.both_free(of_a, of_b)
                {
                    self.partners.pair(of_a, of_b);
                }
            }
        }
    }

    /// Where this would stand on the other side, told from the last one before it that has a partner.
    fn expected(&self, of_a: u32) -> u32 {
        let mut before = (1..=LOOK_BACK).filter_map(|back| Some((back, of_a.checked_sub(back)?)));
        let known = before.find_map(|(back, at)| {
            let partner = self.partners.of_a(at);
            (partner != NONE).then(|| partner.saturating_add(back))
        });
        known.unwrap_or(of_a)
    }

    /// Pairs files by what kind they are of, who sent them and when: a source may leave out all else, even the kind.
    fn files(&mut self, a: &Side, b: &Side) {
        let file = |side: &Side| {
            index(
                side.items
                    .iter()
                    .map(|item| if compared(item) { item.file } else { 0 }),
            )
        };
        for (of_a, of_b) in unique(&file(a), &file(b)) {
            let near = (self.time_a(of_a) - self.time_b(of_b)).abs() <= self.clock.tolerance;
            if near {
                self.partners.pair(of_a, of_b);
            }
        }
        let media = |items: &[Item], partners: &[u32], times: &[i64], group: &dyn Fn(&Item) -> u32| {
            let all = items.iter().zip(partners).zip(times).zip(0u32..);
            let media =
                all.filter(|(((item, partner), _), _)| item.class == Class::Media && **partner == NONE);
            media
                .map(|(((item, _), &time), at)| {
                    let group = group(item);
                    (item.kind, Free { group, time, at })
                })
                .collect::<Vec<_>>()
        };
        let people = &self.people;
        let of_a = media(&a.items, &self.partners.a, &self.times_a, &|item| {
            people.group_a(item.author)
        });
        let of_b = media(&b.items, &self.partners.b, &self.times_b, &|item| {
            people.group_b(item.author)
        });
        let only = |all: &[(ContentKind, Free)], kind: Option<ContentKind>| {
            let kept = all.iter().filter(|(of, _)| kind.is_none_or(|kind| kind == *of));
            let mut kept: Vec<Free> = kept.map(|(_, free)| *free).collect();
            kept.sort_unstable();
            kept
        };
        let known = KINDS.iter().map(|&kind| (Some(kind), Some(kind)));
        let unknown = [(Some(ContentKind::Other), None), (None, Some(ContentKind::Other))];
        for (kind_a, kind_b) in known.chain(unknown) {
            let (mut free_a, mut free_b) = (only(&of_a, kind_a), only(&of_b, kind_b));
            free_a.retain(|free| self.partners.of_a(free.at) == NONE);
            free_b.retain(|free| self.partners.of_b(free.at) == NONE);
            for tolerance in [self.clock.tolerance.min(31), self.clock.tolerance] {
                self.sweep(&mut free_a, &mut free_b, tolerance, true);
            }
        }
    }

    /// What stands on the other side where this would stand, if the one before and the one after are there together with
    /// nothing else between.
    fn beside(&self, of_a: u32) -> Option<Option<u32>> {
        let last_a = u32::try_from(self.partners.a.len()).ok()?.checked_sub(1)?;
        let last_b = u32::try_from(self.partners.b.len()).ok()?.checked_sub(1)?;
        let before = of_a.checked_sub(1).map(|at| self.partners.of_a(at));
        let after = (of_a < last_a).then(|| self.partners.of_a(of_a + 1));
        let found = match (before, after) {
            (Some(before), Some(after)) if before != NONE && after.checked_sub(2) == Some(before) => {
                before + 1
            }
            (None, Some(1)) => 0,
            (Some(before), None) if before != NONE && before.checked_add(1) == Some(last_b) => last_b,
            _ => return None,
        };
        Some((self.partners.of_b(found) == NONE).then_some(found))
    }

    /// How well two fit that do not say the same; none when they are two messages.
    fn score(&self, a: &Side, b: &Side, of_a: u32, of_b: u32) -> Option<u32> {
        let (item_a, item_b) = (a.items.get(of_a as usize)?, b.items.get(of_b as usize)?);
        let author = self.people.group_a(item_a.author) == self.people.group_b(item_b.author);
        if !author {
            // An altered text under another name is two things at once: too much to tell from another message.
            return None;
        }
        if item_a.deleted || item_b.deleted || is_revoked(a, item_a) || is_revoked(b, item_b) {
            return Some(300);
        }
        match (item_a.class, item_b.class) {
            (Class::Media, Class::Media) => {
                let same = item_a.file != 0 && item_a.file == item_b.file;
                let kind = item_a.kind == item_b.kind;
                Some(
                    400 + 100 * u32::from(same)
                        + 20 * u32::from(kind)
                        + u32::from(item_a.text == item_b.text),
                )
            }
            (Class::Opaque, Class::Opaque) => Some(250 + u32::from(item_a.kind == item_b.kind)),
            (Class::Opaque, Class::Media) | (Class::Media, Class::Opaque) => Some(200),
            (Class::Text, Class::Text) => {
                if edited_to(a, item_a, item_b.text) || edited_to(b, item_b, item_a.text) {
                    return Some(700);
                }
                let alike = likeness(a.text(item_a)?, b.text(item_b)?);
                if alike >= LIKENESS_MIN {
                    // At most 1000.
                    return Some(600 + (alike * 90.0) as u32);
                }
                (item_a.edited || item_b.edited).then_some(150)
            }
            _ => None,
        }
    }
}

/// The source itself says that this was taken back.
pub(crate) fn is_revoked(side: &Side, item: &Item) -> bool {
    item.id != 0 && side.revoked.contains(&item.id)
}

/// An edit that the source tells of gave it this text.
pub(crate) fn edited_to(side: &Side, item: &Item, text: u64) -> bool {
    item.id != 0
        && side
            .edits
            .get(&item.id)
            .is_some_and(|texts| texts.contains(&text))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Free {
    group: u32,
    time: i64,
    at: u32,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Edge {
    score: Reverse<u32>,
    apart: i64,
    order: u32,
    pair: (u32, u32),
}
