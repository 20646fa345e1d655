//! RFC 6962 Merkle trees: hashes, roots, inclusion and consistency proofs.

use crate::suite::sha256_of;

/// A SHA-256 value.
pub type Hash = [u8; 32];

/// Hash of a leaf: SHA-256(0x00 || pieces).
pub fn leaf_hash(pieces: &[&[u8]]) -> Hash {
    match pieces {
        [one] => sha256_of(&[&[0], one]),
        [one, two] => sha256_of(&[&[0], one, two]),
        more => sha256_of(&[&[0], &more.concat()]),
    }
}

/// Hash of an inner node: SHA-256(0x01 || left || right).
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut bytes = [1; 65];
    let (_, hashes) = bytes.split_at_mut(1);
    let (first, second) = hashes.split_at_mut(32);
    first.copy_from_slice(left);
    second.copy_from_slice(right);
    crate::suite::sha256(&bytes)
}

/// Root of the empty tree: SHA-256 of nothing.
pub fn empty_root() -> Hash {
    sha256_of(&[])
}

/// Computes a root leaf by leaf in memory that grows with the logarithm of their number.
#[derive(Debug, Clone, Default)]
pub struct RootBuilder {
    /// Roots of complete subtrees, largest first, each with its number of leaves.
    stack: Vec<(u64, Hash)>,
}

impl RootBuilder {
    /// An empty tree.
    pub fn new() -> Self {
        RootBuilder::default()
    }

    /// One leaf more.
    pub fn push(&mut self, leaf: Hash) {
        self.push_subtree(1, leaf);
    }

    /// A complete subtree of `size` leaves more; sizes are powers of two and stand where such a subtree may stand.
    pub fn push_subtree(&mut self, size: u64, hash: Hash) {
        let (mut size, mut hash) = (size, hash);
        while let Some(&(left_size, left)) = self.stack.last() {
            if left_size != size {
                break;
            }
            self.stack.pop();
            hash = node_hash(&left, &hash);
            size *= 2;
        }
        self.stack.push((size, hash));
    }

    /// Root of the leaves so far.
    pub fn root(&self) -> Hash {
        let mut hashes = self.stack.iter().rev().map(|(_, hash)| hash);
        let Some(last) = hashes.next() else {
            return empty_root();
        };
        hashes.fold(*last, |right, left| node_hash(left, &right))
    }
}

/// Root of a list of leaves.
pub fn root(leaves: &[Hash]) -> Hash {
    let mut builder = RootBuilder::new();
    leaves.iter().for_each(|leaf| builder.push(*leaf));
    builder.root()
}

/// The largest power of two below `size`; `size` is at least 2.
pub fn split_point(size: u64) -> u64 {
    1 << (63 - (size - 1).leading_zeros())
}

/// Gives the hash of the complete or ragged subtree over leaves `from..to`.
pub trait Subtrees {
    /// What looking up may meet.
    type Error;
    /// Root of leaves `from..to`, as RFC 6962 defines MTH over that list.
    ///
    /// # Errors
    /// Those of the storage behind it.
    fn subtree(&mut self, from: u64, to: u64) -> Result<Hash, Self::Error>;
}

/// Subtrees of leaves held in memory.
pub struct InMemory<'a>(pub &'a [Hash]);

impl Subtrees for InMemory<'_> {
    type Error = std::convert::Infallible;

    fn subtree(&mut self, from: u64, to: u64) -> Result<Hash, Self::Error> {
        let index = |at: u64| usize::try_from(at).unwrap_or(usize::MAX);
        Ok(root(self.0.get(index(from)..index(to)).unwrap_or(&[])))
    }
}

/// Inclusion proof of leaf `index` in the tree of `size` leaves (RFC 6962, 2.1.1), from the leaf upwards.
///
/// # Errors
/// Those of the subtrees.
pub fn inclusion_proof<S: Subtrees>(subtrees: &mut S, index: u64, size: u64) -> Result<Vec<Hash>, S::Error> {
    let (mut from, mut to) = (0, size);
    let mut path = Vec::new();
    while to - from > 1 && index < size {
        let middle = from + split_point(to - from);
        if index < middle {
            path.push(subtrees.subtree(middle, to)?);
            to = middle;
        } else {
            path.push(subtrees.subtree(from, middle)?);
            from = middle;
        }
    }
    path.reverse();
    Ok(path)
}

/// Root that an inclusion proof leads to, or none when the proof has the wrong length (RFC 9162, 2.1.3.2).
pub fn root_of_inclusion(leaf: &Hash, index: u64, size: u64, path: &[Hash]) -> Option<Hash> {
    if index >= size {
        return None;
    }
    let (mut node, mut last, mut hash) = (index, size - 1, *leaf);
    for step in path {
        if last == 0 {
            return None;
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(step, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, step);
        }
        node >>= 1;
        last >>= 1;
    }
    (last == 0).then_some(hash)
}

/// Consistency proof between the trees of `old` and `new` leaves (RFC 6962, 2.1.2).
///
/// # Errors
/// Those of the subtrees.
pub fn consistency_proof<S: Subtrees>(subtrees: &mut S, old: u64, new: u64) -> Result<Vec<Hash>, S::Error> {
    let mut path = Vec::new();
    if old == 0 || old >= new {
        return Ok(path);
    }
    let (mut from, mut to, mut target, mut whole) = (0, new, old, true);
    while target != to - from {
        let split = split_point(to - from);
        if target <= split {
            path.push(subtrees.subtree(from + split, to)?);
            to = from + split;
        } else {
            path.push(subtrees.subtree(from, from + split)?);
            from += split;
            target -= split;
            whole = false;
        }
    }
    if !whole {
        path.push(subtrees.subtree(from, to)?);
    }
    path.reverse();
    Ok(path)
}

/// Whether `path` proves that the tree of `new` leaves continues the tree of `old` (RFC 9162, 2.1.4.2).
pub fn is_consistent(old: u64, old_root: &Hash, new: u64, new_root: &Hash, path: &[Hash]) -> bool {
    if old == 0 || old > new {
        return old == 0 && path.is_empty() && *old_root == empty_root();
    }
    if old == new {
        return path.is_empty() && old_root == new_root;
    }
    let mut steps = path.iter();
    let seed = if old.is_power_of_two() {
        Some(old_root)
    } else {
        steps.next()
    };
    let Some(seed) = seed else { return false };
    let (mut node, mut last) = (old - 1, new - 1);
    while node & 1 == 1 {
        node >>= 1;
        last >>= 1;
    }
    let (mut old_hash, mut new_hash) = (*seed, *seed);
    for step in steps {
        if last == 0 {
            return false;
        }
        if node & 1 == 1 || node == last {
            old_hash = node_hash(step, &old_hash);
            new_hash = node_hash(step, &new_hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            new_hash = node_hash(&new_hash, step);
        }
        node >>= 1;
        last >>= 1;
    }
    last == 0 && old_hash == *old_root && new_hash == *new_root
}

/// Hashes in a consistency proof between two sizes, the older at least 1.
pub fn consistency_length(old: u64, new: u64) -> usize {
    let (mut old, mut new, mut begins) = (old, new, true);
    let mut hashes = 0;
    while old > 0 && old < new {
        let left = split_point(new);
        if old <= left {
            new = left;
        } else {
            (old, new, begins) = (old - left, new - left, false);
        }
        hashes += 1;
    }
    hashes + usize::from(!begins)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn leaves(count: u64) -> Vec<Hash> {
        (0..count).map(|n| leaf_hash(&[&n.to_be_bytes()])).collect()
    }

    #[test]
    fn the_roots_of_rfc_6962_test_leaves_are_the_known_ones() {
        // Root of the empty tree, and of one empty leaf: RFC 6962, 2.1.
        assert_eq!(
            crate::suite::hex(&root(&[])),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert_eq!(
            crate::suite::hex(&root(&[leaf_hash(&[b""])])),
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
        );
    }

    #[test]
    fn every_leaf_of_every_small_tree_is_proved_and_no_other_leaf_is() {
        let all = leaves(40);
        for size in 1..=all.len() {
            let leaves = &all[..size];
            let expected = root(leaves);
            for (index, leaf) in leaves.iter().enumerate() {
                let (index, size) = (index as u64, size as u64);
                let Ok(path) = inclusion_proof(&mut InMemory(leaves), index, size);
                assert_eq!(root_of_inclusion(leaf, index, size, &path), Some(expected));
                assert_ne!(root_of_inclusion(&[0; 32], index, size, &path), Some(expected));
                let mut long = path.clone();
                long.push([0; 32]);
                assert_eq!(root_of_inclusion(leaf, index, size, &long), None);
                if let Some((_, short)) = path.split_last() {
                    assert_eq!(root_of_inclusion(leaf, index, size, short), None);
                }
            }
        }
    }

    #[test]
    fn every_two_small_trees_are_consistent_and_a_changed_one_is_not() {
        let all = leaves(40);
        for new in 0..=all.len() {
            for old in 0..=new {
                let Ok(path) = consistency_proof(&mut InMemory(&all[..new]), old as u64, new as u64);
                let (old_root, new_root) = (root(&all[..old]), root(&all[..new]));
                assert!(
                    is_consistent(old as u64, &old_root, new as u64, &new_root, &path),
                    "{old} {new}"
                );
                assert!(!is_consistent(old as u64, &[9; 32], new as u64, &new_root, &path));
                if old > 0 && old < new {
                    assert_eq!(consistency_length(old as u64, new as u64), path.len());
                    assert!(!is_consistent(old as u64, &old_root, new as u64, &[9; 32], &path));
                }
            }
        }
    }

    proptest! {
        #[test]
        fn proofs_agree_with_a_second_implementation(size in 1usize..300, seed in any::<u64>()) {
            use ct_merkle::mem_backed_tree::MemoryBackedTree;
            use ct_merkle::InclusionProof;
            let items: Vec<[u8; 8]> = (0..size as u64).map(|n| (n ^ seed).to_be_bytes()).collect();
            let mut theirs = MemoryBackedTree::<sha2::Sha256, [u8; 8]>::new();
            items.iter().for_each(|item| theirs.push(*item));
            let ours: Vec<Hash> = items.iter().map(|item| leaf_hash(&[item])).collect();
            let their_root = theirs.root();
            let our_root = root(&ours);
            prop_assert!(their_root.as_bytes().as_slice() == our_root);
            let index = (seed % size as u64) as usize;
            let Ok(path) = inclusion_proof(&mut InMemory(&ours), index as u64, size as u64);
            prop_assert!(theirs.prove_inclusion(index).as_bytes() == path.concat().as_slice());
            let proof = InclusionProof::<sha2::Sha256>::try_from_bytes(path.concat()).unwrap();
            prop_assert!(their_root.verify_inclusion(&items[index], index as u64, &proof).is_ok());
            let old = index + 1;
            let Ok(ours_consistency) = consistency_proof(&mut InMemory(&ours), old as u64, size as u64);
            if old < size {
                let theirs_consistency = theirs.prove_consistency(size - old);
                prop_assert!(theirs_consistency.as_bytes() == ours_consistency.concat().as_slice());
            }
        }
    }
}
