//! What the evidence showed, kept small: which captures and items were opened, and which can no longer be.

use std::collections::HashSet;

use model::KeyId;

use super::error::Fault;

/// A value that has a next one in the same row.
pub(super) trait Successor: Copy + Ord {
    /// The next, if it stands in the same row.
    fn successor(self) -> Option<Self>;
}

impl Successor for u64 {
    fn successor(self) -> Option<Self> {
        self.checked_add(1)
    }
}

/// A capture and an ordinal in it.
impl Successor for (u64, u32) {
    fn successor(self) -> Option<Self> {
        self.1.checked_add(1).map(|ordinal| (self.0, ordinal))
    }
}

/// A set held as stretches: an export of a million messages is one.
#[derive(Debug)]
pub(super) struct Stretches<K>(Vec<(K, K)>);

impl<K> Default for Stretches<K> {
    fn default() -> Self {
        Stretches(Vec::new())
    }
}

impl<K: Successor> Stretches<K> {
    /// Adds one; says by how many stretches the set grew.
    pub(super) fn add(&mut self, key: K) -> usize {
        if let Some((_, last)) = self.0.last_mut() {
            if *last == key {
                return 0;
            }
            if last.successor() == Some(key) {
                *last = key;
                return 0;
            }
        }
        self.0.push((key, key));
        1
    }

    /// Sorts and joins: to be called once before asking.
    pub(super) fn settle(&mut self) {
        self.0.sort_unstable();
        self.0.dedup_by(|next, kept| {
            let joins = next.0 <= kept.1 || kept.1.successor() == Some(next.0);
            if joins {
                kept.1 = kept.1.max(next.1);
            }
            joins
        });
    }

    pub(super) fn contains(&self, key: K) -> bool {
        let after = self.0.partition_point(|(first, _)| *first <= key);
        let before = after.checked_sub(1).and_then(|at| self.0.get(at));
        before.is_some_and(|(_, last)| key <= *last)
    }
}

/// Something sealed under keys, any of which, once destroyed, makes it unreadable.
struct Locked<K> {
    what: K,
    /// Where its keys stand in `keys`.
    keys: (usize, usize),
}

/// What can no longer be opened, as far as the wraps and destructions shown tell.
#[derive(Default)]
struct Locks<K> {
    locked: Vec<Locked<K>>,
    erased: Stretches<K>,
    living: Stretches<K>,
}

impl<K: Successor> Locks<K> {
    fn settle(&mut self, keys: &[KeyId], destroyed: &HashSet<KeyId>) {
        for locked in std::mem::take(&mut self.locked) {
            let keys = keys.get(locked.keys.0..locked.keys.1).unwrap_or(&[]);
            let gone = keys.iter().any(|key| destroyed.contains(key));
            let of = if gone { &mut self.erased } else { &mut self.living };
            of.add(locked.what);
        }
        self.erased.settle();
        self.living.settle();
    }

    /// Every lock that was shown has lost a key.
    fn is_erased(&self, what: K) -> bool {
        self.erased.contains(what) && !self.living.contains(what)
    }
}

/// All of it, within a bound of memory.
pub(super) struct Known {
    memory_left: usize,
    opened_captures: Stretches<u64>,
    sealed_captures: Vec<u64>,
    /// Captures whose first chunk is here without a key, and captures of several chunks one of which has its key.
    begun_sealed: Stretches<u64>,
    touched: Stretches<u64>,
    opened_items: Stretches<(u64, u32)>,
    sealed_items: u64,
    keys: Vec<KeyId>,
    captures: Locks<u64>,
    items: Locks<(u64, u32)>,
    destroyed: HashSet<KeyId>,
}

impl Known {
    pub(super) fn new(memory_bytes: usize) -> Self {
        Known {
            memory_left: memory_bytes,
            opened_captures: Stretches::default(),
            sealed_captures: Vec::new(),
            begun_sealed: Stretches::default(),
            touched: Stretches::default(),
            opened_items: Stretches::default(),
            sealed_items: 0,
            keys: Vec::new(),
            captures: Locks {
                locked: Vec::new(),
                erased: Stretches::default(),
                living: Stretches::default(),
            },
            items: Locks {
                locked: Vec::new(),
                erased: Stretches::default(),
                living: Stretches::default(),
            },
            destroyed: HashSet::new(),
        }
    }

    /// Counts memory; the bound is on what stays, not on what was seen.
    pub(super) fn charge(&mut self, bytes: usize) -> Result<(), Fault> {
        self.memory_left = self.memory_left.checked_sub(bytes).ok_or(Fault::Is(
            "more separate records than the memory bound allows; raise it, or export in pieces",
        ))?;
        Ok(())
    }

    /// Takes back what [`Known::charge`] counted: it is not kept any more.
    pub(super) fn refund(&mut self, bytes: usize) {
        self.memory_left = self.memory_left.saturating_add(bytes);
    }

    pub(super) fn capture_opened(&mut self, first: u64) -> Result<(), Fault> {
        let grown = self.opened_captures.add(first);
        self.charge(grown * 16)
    }

    pub(super) fn capture_sealed(&mut self, first: u64) -> Result<(), Fault> {
        self.sealed_captures.push(first);
        self.charge(8)
    }

    pub(super) fn capture_begins_sealed(&mut self, first: u64) -> Result<(), Fault> {
        let grown = self.begun_sealed.add(first);
        self.charge(grown * 16)
    }

    pub(super) fn capture_touched(&mut self, first: u64) -> Result<(), Fault> {
        let grown = self.touched.add(first);
        self.charge(grown * 16)
    }

    pub(super) fn item_opened(&mut self, source: u64, ordinal: u32) -> Result<(), Fault> {
        let grown = self.opened_items.add((source, ordinal));
        self.charge(grown * 32)
    }

    /// The keys that something is sealed under; to be named to the two below.
    pub(super) fn keys(&mut self, keys: &[KeyId]) -> Result<(usize, usize), Fault> {
        let from = self.keys.len();
        self.keys.extend_from_slice(keys);
        self.charge(keys.len() * 16)?;
        Ok((from, self.keys.len()))
    }

    pub(super) fn capture_locked(&mut self, source: u64, keys: (usize, usize)) -> Result<(), Fault> {
        self.captures.locked.push(Locked { what: source, keys });
        self.charge(24)
    }

    pub(super) fn item_locked(
        &mut self,
        source: u64,
        ordinal: u32,
        keys: (usize, usize),
    ) -> Result<(), Fault> {
        self.sealed_items += 1;
        let what = (source, ordinal);
        self.items.locked.push(Locked { what, keys });
        self.charge(32)
    }

    pub(super) fn destroyed(&mut self, keys: &[KeyId]) -> Result<(), Fault> {
        self.destroyed.extend(keys);
        self.charge(keys.len() * 32)
    }

    /// The evidence is at its end: makes ready for questions.
    pub(super) fn settle(&mut self) {
        self.opened_captures.settle();
        self.opened_items.settle();
        self.begun_sealed.settle();
        self.touched.settle();
        self.captures.settle(&self.keys, &self.destroyed);
        self.items.settle(&self.keys, &self.destroyed);
        self.sealed_captures.sort_unstable();
        self.sealed_captures.dedup();
    }

    pub(super) fn is_capture_opened(&self, first: u64) -> bool {
        self.opened_captures.contains(first)
    }

    pub(super) fn is_item_opened(&self, source: u64, ordinal: u32) -> bool {
        self.opened_items.contains((source, ordinal))
    }

    /// Whether a record can no longer be opened: its capture, with a wrap, or its item was shown sealed; each lock that
    /// was shown, of the capture and of the item, has lost a key; and no key that was disclosed opens any of it.
    pub(super) fn is_erased(&self, source: u64, ordinal: u32) -> bool {
        let item = (source, ordinal);
        let opened = self.is_capture_opened(source)
            || self.touched.contains(source)
            || self.is_item_opened(source, ordinal);
        let could_open = self.captures.living.contains(source) || self.items.living.contains(item);
        let capture = self.begun_sealed.contains(source) && self.captures.erased.contains(source);
        !opened && !could_open && (capture || self.items.erased.contains(item))
    }

    /// Captures shown without a key: those of them that are erased, and the others.
    pub(super) fn sealed_captures(&self) -> (u64, u64) {
        let erased = |source: &&u64| self.captures.is_erased(**source);
        let erased = self.sealed_captures.iter().filter(erased).count() as u64;
        (erased, self.sealed_captures.len() as u64 - erased)
    }

    /// Items shown without a key.
    pub(super) fn sealed_items(&self) -> u64 {
        self.sealed_items
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn stretches_hold_just_what_was_added(added in proptest::collection::vec(0u64..200, 0..80)) {
            let mut set = Stretches::default();
            for value in &added {
                set.add(*value);
            }
            set.settle();
            for value in 0..200 {
                prop_assert_eq!(set.contains(value), added.contains(&value));
            }
        }
    }

    #[test]
    fn each_lock_that_is_shown_must_have_lost_a_key_and_no_disclosed_key_may_open_any_of_it() {
        let (dead, living) = (KeyId([1; 16]), KeyId([2; 16]));
        // Captures 5 to 8 are sealed under a dead key, and of each an item.
        let erased = |change: fn(&mut Known, KeyId)| {
            let mut known = Known::new(1 << 20);
            for source in 5..9 {
                known.capture_begins_sealed(source).unwrap();
                let keys = known.keys(&[dead]).unwrap();
                known.capture_locked(source, keys).unwrap();
                known.item_locked(source, 3, keys).unwrap();
            }
            change(&mut known, living);
            known.destroyed(&[dead]).unwrap();
            known.settle();
            [(5, 3), (5, 4), (6, 3)].map(|(source, ordinal)| known.is_erased(source, ordinal))
        };
        assert_eq!(erased(|_, _| {}), [true; 3]);
        // Another wrap still opens the capture, which the dead item came out of.
        let wrapped: fn(&mut Known, KeyId) = |known, living| {
            let keys = known.keys(&[living]).unwrap();
            known.capture_locked(5, keys).unwrap();
        };
        assert_eq!(erased(wrapped), [false, false, true]);
        // Another part still opens that item, though all wraps of the capture are dead.
        let parted: fn(&mut Known, KeyId) = |known, living| {
            let keys = known.keys(&[living]).unwrap();
            known.item_locked(5, 3, keys).unwrap();
        };
        assert_eq!(erased(parted), [false, true, true]);
        assert_eq!(
            erased(|known, _| known.item_opened(5, 3).unwrap()),
            [false, true, true]
        );
        assert_eq!(
            erased(|known, _| known.capture_opened(5).unwrap()),
            [false, false, true]
        );
        assert_eq!(
            erased(|known, _| known.capture_touched(5).unwrap()),
            [false, false, true]
        );
    }

    #[test]
    fn a_capture_is_erased_when_every_lock_that_was_shown_lost_a_key() {
        let (a, b) = (KeyId([1; 16]), KeyId([2; 16]));
        let mut known = Known::new(1 << 20);
        for source in [5, 6] {
            known.capture_begins_sealed(source).unwrap();
            known.capture_sealed(source).unwrap();
            let keys = known.keys(&[a]).unwrap();
            known.capture_locked(source, keys).unwrap();
        }
        let hold = known.keys(&[b]).unwrap();
        known.capture_locked(6, hold).unwrap();
        known.destroyed(&[a]).unwrap();
        known.settle();
        assert!(known.is_erased(5, 0));
        assert!(!known.is_erased(6, 0), "another wrap still opens it");
        assert!(!known.is_erased(7, 0));
        assert_eq!(known.sealed_captures(), (1, 1));
    }
}
