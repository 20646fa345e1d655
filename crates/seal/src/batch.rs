//! Batches: whole groups of about a second or 4 MiB, whose root is one leaf of the zone's log.

use model::bytes::{Malformed, Reader, Writer};
use model::entry::{FORMAT, SUITE};
use model::{Position, Timestamp, ZoneId};

use crate::tree::{Hash, leaf_hash};

/// A batch is closed once its entries have this many bytes.
pub const BATCH_BYTES: u64 = 4 << 20;

/// A leaf of the zone's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Whose.
    pub zone: ZoneId,
    /// Which node wrote it.
    pub node: String,
    /// Position of its first entry.
    pub first: Position,
    /// How many entries.
    pub count: u32,
    /// RFC 6962 root over their leaf hashes.
    pub root: Hash,
    /// When its first entry was recorded.
    pub first_at: Timestamp,
    /// When its last entry was recorded.
    pub last_at: Timestamp,
}

impl Batch {
    /// The canonical bytes: an entry of the C2SP log.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::with_capacity(96);
        out.raw(b"CHBATCH1")
            .u16(FORMAT)
            .u8(SUITE)
            .name(self.zone.as_str())
            .name(&self.node);
        out.u64(self.first.0).u32(self.count).raw(&self.root);
        out.i64(self.first_at.as_micros()).i64(self.last_at.as_micros());
        out.into_bytes()
    }

    /// Reads canonical bytes.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Batch, Malformed> {
        let mut reader = Reader::new(bytes, "batch");
        if reader.array::<8>()? != *b"CHBATCH1" {
            return Err(Malformed::Value("batch magic"));
        }
        let format = reader.u16()?;
        if format != FORMAT {
            return Err(Malformed::Format(format));
        }
        if reader.u8()? != SUITE {
            return Err(Malformed::Value("suite"));
        }
        let batch = Batch {
            zone: reader.name()?.parse().map_err(|_| Malformed::Value("zone"))?,
            node: reader.name()?.to_owned(),
            first: Position(reader.u64()?),
            count: reader.u32()?,
            root: reader.array()?,
            first_at: Timestamp::from_micros(reader.i64()?),
            last_at: Timestamp::from_micros(reader.i64()?),
        };
        reader.end()?;
        let end = batch.first.0.checked_add(u64::from(batch.count));
        if batch.node.is_empty() || batch.count == 0 || end.is_none() {
            return Err(Malformed::Value("node or number of entries of a batch"));
        }
        Ok(batch)
    }

    /// Position after its last entry.
    pub fn end(&self) -> Position {
        self.first.plus(u64::from(self.count))
    }

    /// Its leaf hash in the log.
    pub fn leaf(&self) -> Hash {
        leaf_hash(&[&self.encode()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_reads_back_and_one_cut_short_does_not() {
        let batch = Batch {
            zone: "us".parse().unwrap(),
            node: "n1".into(),
            first: Position(10),
            count: 4,
            root: [3; 32],
            first_at: Timestamp::from_seconds(5),
            last_at: Timestamp::from_seconds(6),
        };
        let bytes = batch.encode();
        assert_eq!(Batch::decode(&bytes), Ok(batch));
        for end in 0..bytes.len() {
            assert!(Batch::decode(&bytes[..end]).is_err());
        }
        let good = Batch::decode(&bytes).unwrap();
        let (nobody, none, beyond) = (
            Batch {
                node: String::new(),
                ..good.clone()
            },
            Batch {
                count: 0,
                ..good.clone()
            },
            Batch {
                first: Position(u64::MAX - 3),
                ..good
            },
        );
        for wrong in [nobody, none, beyond] {
            assert!(Batch::decode(&wrong.encode()).is_err(), "{wrong:?}");
        }
    }
}
