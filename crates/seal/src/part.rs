//! Parts: a mixed capture written out by author and conversation, each message openable and provable alone.
//!
//! *Shape.* The body of a part is a row of items: stream (4 bytes), offset (8), ordinal (4), commitment to the item's key
//! (32), length (4), ciphertext. Item `n` is sealed under a key derived from the part's key and `n`; the part's header
//! binds all items by an RFC 6962 root, so that one can be shown with a short path and without its neighbours. The
//! commitment stands in the item because whoever is shown only an item's key cannot derive it again.

use model::bytes::{Malformed, Reader, Writer};
use model::entry::{Part, WRAPPED_KEY_BYTES};
use model::{KeyId, Position, ZoneId};

use crate::suite::{self, Key, SealError, TAG_BYTES};
use crate::tree::{Hash, RootBuilder, leaf_hash};

/// Ordinal of bytes that belong to a person without being a record.
pub const NO_RECORD: u32 = u32::MAX;

/// Stream of records as they were understood, for when the capture they were read from can be opened no more.
pub const RECORDS: u32 = u32::MAX;

/// Plain bytes in one item; longer ranges continue in the next item.
pub const ITEM_BYTES_MAX: usize = 1 << 20;

/// A part is closed once its body has this many bytes.
pub const PART_BYTES: usize = 1 << 20;

/// Where an item's bytes stand in the capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Stream: 0 for the capture as received, `n + 1` for the inflated member `n` of a zip.
    pub stream: u32,
    /// First byte.
    pub offset: u64,
    /// The record that these bytes say, or [`NO_RECORD`].
    pub ordinal: u32,
}

/// Collects items of one part.
pub struct PartBuilder {
    zone: ZoneId,
    source: Position,
    key: Key,
    body: Vec<u8>,
    root: RootBuilder,
    count: u32,
}

/// A key that opens what is derived from another: items from a part or a capture, rows from items.
///
/// # Errors
/// [`SealError::Provider`].
pub fn item_key(parent: &Key, index: u32) -> Result<Key, SealError> {
    suite::derive_from_key(parent, &[b"chancery/1/item", &index.to_be_bytes()])
}

fn item_aad(zone: &ZoneId, source: Position, place: Place) -> Vec<u8> {
    let mut aad = Writer::with_capacity(64);
    aad.raw(b"chancery/1/item").name(zone.as_str()).u64(source.0);
    aad.u32(place.stream).u64(place.offset).u32(place.ordinal);
    aad.into_bytes()
}

impl PartBuilder {
    /// An empty part of the capture at `source`, under a fresh key.
    ///
    /// # Errors
    /// [`SealError::Provider`].
    pub fn new(zone: ZoneId, source: Position) -> Result<Self, SealError> {
        Ok(PartBuilder {
            zone,
            source,
            key: Key::random()?,
            body: Vec::new(),
            root: RootBuilder::new(),
            count: 0,
        })
    }

    /// Adds an item and returns its index and key.
    ///
    /// # Errors
    /// [`SealError::Provider`].
    pub fn push(&mut self, place: Place, bytes: &[u8]) -> Result<(u32, Key), SealError> {
        let index = self.count;
        let key = item_key(&self.key, index)?;
        let mut sealed = Vec::with_capacity(bytes.len() + TAG_BYTES);
        sealed.extend_from_slice(bytes);
        suite::seal(
            &key,
            [0; 12],
            &item_aad(&self.zone, self.source, place),
            &mut sealed,
        )?;
        let mut frame = Writer::with_capacity(sealed.len() + 52);
        frame
            .u32(place.stream)
            .u64(place.offset)
            .u32(place.ordinal)
            .raw(&suite::commitment(&key))
            .blob(&sealed);
        self.root.push(leaf_hash(&[frame.as_bytes()]));
        self.body.extend_from_slice(frame.as_bytes());
        self.count += 1;
        Ok((index, key))
    }

    /// Whether the part is large enough to be closed.
    pub fn is_full(&self) -> bool {
        self.body.len() >= PART_BYTES || self.count == u32::MAX
    }

    /// Bytes held.
    pub fn size_bytes(&self) -> usize {
        self.body.len()
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Closes the part: its header's own fields and its body. `part` and `last` are set by who orders the parts.
    ///
    /// # Errors
    /// [`SealError::Provider`].
    pub fn finish(self, keys: Vec<KeyId>, joint: &Key) -> Result<(Part, Vec<u8>), SealError> {
        let part = Part {
            source: self.source,
            part: 0,
            last: false,
            keys,
            wrapped_key: suite::wrap_key(joint, &self.key)?,
            commitment: suite::commitment(&self.key),
            item_count: self.count,
            items_root: self.root.root(),
        };
        Ok((part, self.body))
    }
}

/// One item as it stands in a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item<'a> {
    /// Place among the items of its part.
    pub index: u32,
    /// Where its bytes stand in the capture.
    pub place: Place,
    /// The whole frame: what its leaf hash covers.
    pub frame: &'a [u8],
    /// Commitment to its key.
    pub commitment: [u8; 32],
    /// Ciphertext and tag.
    pub ciphertext: &'a [u8],
}

impl Item<'_> {
    /// Leaf hash in the part's tree.
    pub fn leaf(&self) -> Hash {
        leaf_hash(&[self.frame])
    }

    /// Length of the plain bytes.
    pub fn len(&self) -> usize {
        self.ciphertext.len().saturating_sub(TAG_BYTES)
    }

    /// Whether there are no plain bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Reads one item frame at the head of `bytes`.
///
/// # Errors
/// [`Malformed`].
pub fn read_item(bytes: &[u8], index: u32) -> Result<(Item<'_>, &[u8]), Malformed> {
    let mut reader = Reader::new(bytes, "part item");
    let place = Place {
        stream: reader.u32()?,
        offset: reader.u64()?,
        ordinal: reader.u32()?,
    };
    let commitment = reader.array()?;
    let ciphertext = reader.blob()?;
    let rest = reader.rest();
    let frame = bytes
        .get(..bytes.len() - rest.len())
        .ok_or(Malformed::Short("part item"))?;
    Ok((
        Item {
            index,
            place,
            frame,
            commitment,
            ciphertext,
        },
        rest,
    ))
}

/// All items of a body, checked against count and root of the header.
///
/// # Errors
/// [`SealError::Malformed`] when the body is not `item_count` items with that root.
pub fn items<'a>(part: &Part, body: &'a [u8]) -> Result<Vec<Item<'a>>, SealError> {
    let mut rest = body;
    let mut all = Vec::new();
    let mut root = RootBuilder::new();
    for index in 0..part.item_count {
        let (item, after) = read_item(rest, index)?;
        root.push(item.leaf());
        all.push(item);
        rest = after;
    }
    if !rest.is_empty() {
        return Err(Malformed::Trailing("part body").into());
    }
    if root.root() != part.items_root {
        return Err(Malformed::Value("items root").into());
    }
    Ok(all)
}

/// Opens an item with its own key, once that is the key it commits to.
///
/// # Errors
/// [`SealError::Commitment`], [`SealError::NotOpened`].
pub fn open_item(
    zone: &ZoneId,
    source: Position,
    key: &Key,
    item: &Item<'_>,
    out: &mut Vec<u8>,
) -> Result<(), SealError> {
    suite::check_commitment(key, &item.commitment)?;
    suite::open(
        key,
        [0; 12],
        &item_aad(zone, source, item.place),
        item.ciphertext,
        out,
    )
}

/// Unwraps a part's key.
///
/// # Errors
/// [`SealError::NotOpened`], [`SealError::Commitment`].
pub fn part_key(
    joint: &Key,
    wrapped: &[u8; WRAPPED_KEY_BYTES],
    commitment: &[u8; 32],
) -> Result<Key, SealError> {
    crate::wrap::unwrap(joint, wrapped, commitment)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{InMemory, inclusion_proof, root_of_inclusion};

    #[test]
    fn one_item_of_a_part_opens_and_is_proved_alone() {
        let zone: ZoneId = "us".parse().unwrap();
        let joint = Key::random().unwrap();
        let mut builder = PartBuilder::new(zone.clone(), Position(9)).unwrap();
        let texts: Vec<String> = (0..10).map(|n| format!("message {n}")).collect();
        let keys: Vec<Key> = texts
            .iter()
            .enumerate()
            .map(|(n, text)| {
                let place = Place {
                    stream: 0,
                    offset: n as u64 * 100,
                    ordinal: n as u32,
                };
                builder.push(place, text.as_bytes()).unwrap().1
            })
            .collect();
        let (part, body) = builder.finish(vec![KeyId([1; 16])], &joint).unwrap();
        let items = items(&part, &body).unwrap();
        let leaves: Vec<Hash> = items.iter().map(Item::leaf).collect();
        let mut out = Vec::new();
        for (n, item) in items.iter().enumerate() {
            let Ok(path) = inclusion_proof(&mut InMemory(&leaves), n as u64, 10);
            assert_eq!(
                root_of_inclusion(&item.leaf(), n as u64, 10, &path),
                Some(part.items_root)
            );
            for (m, key) in keys.iter().enumerate() {
                let opened = open_item(&zone, Position(9), key, item, &mut out);
                assert_eq!(opened.is_ok(), n == m, "key {m} on item {n}");
            }
        }
        let key = part_key(&joint, &part.wrapped_key, &part.commitment).unwrap();
        open_item(
            &zone,
            Position(9),
            &item_key(&key, 3).unwrap(),
            &items[3],
            &mut out,
        )
        .unwrap();
        assert_eq!(out, b"message 3");
        assert!(open_item(&zone, Position(8), &keys[3], &items[3], &mut out).is_err());
    }

    #[test]
    fn a_key_that_the_item_does_not_commit_to_opens_nothing_though_the_tag_fits() {
        let zone: ZoneId = "us".parse().unwrap();
        let place = Place {
            stream: 0,
            offset: 0,
            ordinal: 0,
        };
        let mut builder = PartBuilder::new(zone.clone(), Position(9)).unwrap();
        let (_, key) = builder.push(place, b"one").unwrap();
        let (part, mut body) = builder.finish(vec![], &Key::random().unwrap()).unwrap();
        body[16..48].copy_from_slice(&suite::commitment(&Key::random().unwrap()));
        let (item, _) = read_item(&body, 0).unwrap();
        let mut out = Vec::new();
        let refused = open_item(&zone, part.source, &key, &item, &mut out);
        assert!(matches!(refused, Err(SealError::Commitment)));
        assert!(out.is_empty());
    }

    #[test]
    fn a_body_with_a_changed_cut_or_added_byte_is_refused() {
        let mut builder = PartBuilder::new("us".parse().unwrap(), Position(9)).unwrap();
        builder
            .push(
                Place {
                    stream: 0,
                    offset: 0,
                    ordinal: 0,
                },
                b"one",
            )
            .unwrap();
        builder
            .push(
                Place {
                    stream: 0,
                    offset: 3,
                    ordinal: 1,
                },
                b"two",
            )
            .unwrap();
        let (part, body) = builder.finish(vec![], &Key::random().unwrap()).unwrap();
        for at in 0..body.len() {
            let mut changed = body.clone();
            changed[at] ^= 1;
            assert!(items(&part, &changed).is_err());
            assert!(items(&part, &body[..at]).is_err());
        }
        assert!(items(&part, &[body.as_slice(), b"x"].concat()).is_err());
    }
}
