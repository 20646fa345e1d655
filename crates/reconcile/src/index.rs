//! What both sides have, found by sorted hashes.

use crate::clock::Anchor;
use crate::side::{Class, Item};

/// Hashes with where they stand, in the order of the hashes.
pub(crate) type Index = Vec<Entry>;
pub(crate) type Entry = (u64, u32);

pub(crate) fn index(hashes: impl Iterator<Item = u64>) -> Index {
    let mut all: Index = hashes.zip(0u32..).filter(|(hash, _)| *hash != 0).collect();
    all.sort_unstable();
    all
}

pub(crate) fn compared(item: &Item) -> bool {
    item.class != Class::System
}

pub(crate) fn text_hash(item: &Item) -> u64 {
    if compared(item) && !item.deleted {
        item.text
    } else {
        0
    }
}

/// A text with the one before and the one after.
pub(crate) fn in_context(items: &[Item]) -> impl Iterator<Item = u64> + '_ {
    let text = |at: Option<usize>| at.and_then(|at| items.get(at)).map_or(1, text_hash);
    (0..items.len()).map(move |at| {
        let here = text(Some(at));
        if here == 0 {
            return 0;
        }
        let mixed = here
            .rotate_left(17)
            .wrapping_add(text(at.checked_sub(1)))
            .wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (mixed.rotate_left(29) ^ text(Some(at + 1)))
            .wrapping_mul(0xD6E8_FEB8_6659_FD93)
            .max(1)
    })
}

/// Calls `each` with the places of every hash that both have.
pub(crate) fn groups(a: &Index, b: &Index, each: &mut dyn FnMut(&[Entry], &[Entry])) {
    let (mut a, mut b) = (a.as_slice(), b.as_slice());
    while let (Some(&(of_a, _)), Some(&(of_b, _))) = (a.first(), b.first()) {
        if of_a < of_b {
            a = a.get(before(a, of_b)..).unwrap_or(&[]);
        } else if of_b < of_a {
            b = b.get(before(b, of_a)..).unwrap_or(&[]);
        } else {
            let run = |side: &[Entry]| side.iter().take_while(|(hash, _)| *hash == of_a).count();
            let (here_a, rest_a) = a.split_at(run(a));
            let (here_b, rest_b) = b.split_at(run(b));
            each(here_a, here_b);
            (a, b) = (rest_a, rest_b);
        }
    }
}

/// How many stand before this hash: a step where they are as many, few steps where one side is much shorter.
fn before(side: &[Entry], hash: u64) -> usize {
    let mut step = 1;
    while side.get(step).is_some_and(|(other, _)| *other < hash) {
        step *= 2;
    }
    let within = side.get(..=step).unwrap_or(side);
    within.partition_point(|(other, _)| *other < hash)
}

/// Places whose hash occurs once on either side, in the order of the first.
pub(crate) fn unique(a: &Index, b: &Index) -> Vec<Anchor> {
    let mut found = Vec::new();
    groups(a, b, &mut |of_a, of_b| {
        if let ([(_, of_a)], [(_, of_b)]) = (of_a, of_b) {
            found.push((*of_a, *of_b));
        }
    });
    found.sort_unstable();
    found
}
