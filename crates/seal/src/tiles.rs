//! The zone's log as C2SP tiles: 256 hashes a tile, full tiles immutable.
//!
//! Source: C2SP `tlog-tiles` (c2sp.org). Tile `L/N` holds hashes `N * 256 ..` of tree level `8 * L`; entry bundles
//! hold the leaves themselves, each with two bytes of length.

use crate::tree::{Hash, RootBuilder, Subtrees, root};

/// Hashes in a full tile.
pub const WIDTH: u64 = 256;

/// Path of a hash tile below the log's folder; `width` 256 is a full one.
pub fn tile_path(level: u8, index: u64, width: u64) -> String {
    format!("tile/{level}/{}", index_path(index, width))
}

/// Path of an entry bundle.
pub fn bundle_path(index: u64, width: u64) -> String {
    format!("tile/entries/{}", index_path(index, width))
}

fn index_path(index: u64, width: u64) -> String {
    let mut path = format!("{:03}", index % 1000);
    let mut rest = index / 1000;
    while rest > 0 {
        path = format!("x{:03}/{path}", rest % 1000);
        rest /= 1000;
    }
    if width < WIDTH {
        format!("{path}.p/{width}")
    } else {
        path
    }
}

/// How many hashes tile `index` of `level` has in a log of `size` leaves; 0 when it does not exist.
pub fn tile_width(level: u8, index: u64, size: u64) -> u64 {
    let hashes = size.checked_shr(8 * u32::from(level)).unwrap_or(0);
    hashes.saturating_sub(index.saturating_mul(WIDTH)).min(WIDTH)
}

/// Every tile of a log of `size` leaves, as level, index and width.
pub fn tiles_of(size: u64) -> Vec<(u8, u64, u64)> {
    let mut all = Vec::new();
    for level in 0..8 {
        let mut index = 0;
        while tile_width(level, index, size) > 0 {
            all.push((level, index, tile_width(level, index, size)));
            index += 1;
        }
    }
    all
}

/// The unfinished right edge of a log: enough to append and to know the root.
#[derive(Debug, Clone, Default)]
pub struct Frontier {
    size: u64,
    /// For each level the hashes of its unfinished tile.
    levels: Vec<Vec<Hash>>,
}

/// A tile that became longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TileWrite {
    /// Level.
    pub level: u8,
    /// Index.
    pub index: u64,
    /// All its hashes so far.
    pub hashes: Vec<Hash>,
}

impl Frontier {
    /// An empty log.
    pub fn new() -> Self {
        Frontier::default()
    }

    /// From the unfinished tiles of a log of `size` leaves.
    ///
    /// # Errors
    /// Those of `tile`, which gives the hashes of a tile.
    pub fn load<E>(size: u64, mut tile: impl FnMut(u8, u64, u64) -> Result<Vec<Hash>, E>) -> Result<Self, E> {
        let mut levels = Vec::new();
        for level in 0..8u8 {
            let hashes = size >> (8 * u32::from(level));
            if hashes == 0 {
                break;
            }
            let (index, width) = (hashes / WIDTH, hashes % WIDTH);
            levels.push(if width == 0 {
                Vec::new()
            } else {
                tile(level, index, width)?
            });
        }
        Ok(Frontier { size, levels })
    }

    /// Leaves so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf; returns every tile that became full.
    pub fn push(&mut self, leaf: Hash) -> Vec<TileWrite> {
        let mut full = Vec::new();
        let mut carry = leaf;
        self.size += 1;
        for level in 0..8u8 {
            let slot = usize::from(level);
            if self.levels.len() <= slot {
                self.levels.push(Vec::new());
            }
            let Some(hashes) = self.levels.get_mut(slot) else {
                break;
            };
            hashes.push(carry);
            if hashes.len() < 256 {
                break;
            }
            carry = root(hashes);
            let index = (self.size >> (8 * u32::from(level))) / WIDTH - 1;
            full.push(TileWrite {
                level,
                index,
                hashes: std::mem::take(hashes),
            });
        }
        full
    }

    /// The unfinished tiles, as they are to be written beside the full ones.
    pub fn unfinished(&self) -> Vec<TileWrite> {
        let present = |(level, hashes): (usize, &Vec<Hash>)| {
            let level = u8::try_from(level).ok().filter(|_| !hashes.is_empty())?;
            let index = (self.size >> (8 * u32::from(level))) / WIDTH;
            Some(TileWrite {
                level,
                index,
                hashes: hashes.clone(),
            })
        };
        self.levels.iter().enumerate().filter_map(present).collect()
    }

    /// Root of the log.
    pub fn root(&self) -> Hash {
        let mut builder = RootBuilder::new();
        for (level, hashes) in self.levels.iter().enumerate().rev() {
            let leaves = 1u64 << (8 * level.min(7));
            hashes.iter().for_each(|hash| builder.push_subtree(leaves, *hash));
        }
        builder.root()
    }
}

/// Subtrees of a log, read from its tiles.
pub struct TileSubtrees<F> {
    /// Size of the log whose tiles are read.
    pub size: u64,
    /// Gives the hashes of a tile: level, index, width.
    pub tile: F,
}

impl<E, F: FnMut(u8, u64, u64) -> Result<Vec<Hash>, E>> TileSubtrees<F> {
    /// Root of the complete subtree of `1 << height` leaves at `from`.
    fn complete(&mut self, from: u64, height: u32) -> Result<Hash, E> {
        let level = u8::try_from(height / 8).unwrap_or(7);
        let first = from >> (8 * u32::from(level));
        let count = 1usize << (height % 8);
        let hashes = (self.tile)(level, first / WIDTH, tile_width(level, first / WIDTH, self.size))?;
        let at = usize::try_from(first % WIDTH).unwrap_or(0);
        Ok(root(hashes.get(at..at + count).unwrap_or(&[])))
    }
}

impl<E, F: FnMut(u8, u64, u64) -> Result<Vec<Hash>, E>> Subtrees for TileSubtrees<F> {
    type Error = E;

    fn subtree(&mut self, mut from: u64, to: u64) -> Result<Hash, E> {
        let mut builder = RootBuilder::new();
        while from < to {
            let aligned = if from == 0 { 63 } else { from.trailing_zeros() };
            let height = aligned.min(63 - (to - from).leading_zeros());
            builder.push_subtree(1 << height, self.complete(from, height)?);
            from += 1 << height;
        }
        Ok(builder.root())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{InMemory, consistency_proof, inclusion_proof, leaf_hash};
    use std::collections::BTreeMap;
    use std::convert::Infallible;

    #[test]
    fn tile_paths_are_those_of_the_c2sp_text() {
        assert_eq!(tile_path(0, 1_234_067, 256), "tile/0/x001/x234/067");
        assert_eq!(tile_path(0, 1_234_067, 5), "tile/0/x001/x234/067.p/5");
        assert_eq!(tile_path(1, 0, 1), "tile/1/000.p/1");
        assert_eq!(bundle_path(999, 256), "tile/entries/999");
    }

    #[test]
    fn roots_and_proofs_from_tiles_equal_those_from_memory() {
        let leaves: Vec<Hash> = (0..70_000u64).map(|n| leaf_hash(&[&n.to_be_bytes()])).collect();
        let mut frontier = Frontier::new();
        let mut tiles: BTreeMap<(u8, u64), Vec<Hash>> = BTreeMap::new();
        for leaf in &leaves {
            for write in frontier.push(*leaf) {
                tiles.insert((write.level, write.index), write.hashes);
            }
        }
        for write in frontier.unfinished() {
            tiles.insert((write.level, write.index), write.hashes);
        }
        let size = leaves.len() as u64;
        assert_eq!(frontier.root(), root(&leaves));
        assert_eq!(tiles_of(size).len(), tiles.len());
        let tile = |level, index, width: u64| -> Result<Vec<Hash>, Infallible> {
            let hashes = tiles[&(level, index)].clone();
            assert_eq!(hashes.len() as u64, width);
            Ok(hashes)
        };
        let Ok(loaded) = Frontier::load(size, tile);
        assert_eq!(loaded.root(), frontier.root());
        let mut from_tiles = TileSubtrees { size, tile };
        let mut from_memory = InMemory(&leaves);
        for index in [0, 1, 255, 256, 257, 65_535, 65_536, 69_999] {
            let Ok(a) = inclusion_proof(&mut from_tiles, index, size);
            let Ok(b) = inclusion_proof(&mut from_memory, index, size);
            assert_eq!(a, b, "{index}");
            let Ok(a) = consistency_proof(&mut from_tiles, index, size);
            let Ok(b) = consistency_proof(&mut from_memory, index, size);
            assert_eq!(a, b, "{index}");
        }
    }
}
