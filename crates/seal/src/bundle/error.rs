//! What may be wrong with a bundle, and where. Nothing here holds content.

use std::fmt;

use model::{Position, Timestamp};

use crate::note::NoteError;
use crate::stamp::StampError;
use crate::suite::SealError;
use model::bytes::Malformed;

/// Why a bundle was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The file is something else.
    #[error("not a Chancery bundle")]
    NotABundle,
    /// It could not be read.
    #[error("cannot be read: {0}")]
    Io(#[from] std::io::Error),
    /// What was opened could not be written.
    #[error("cannot extract: {0}")]
    Extract(std::io::Error),
    /// A check does not hold.
    #[error("{place}: {fault}")]
    Failed {
        /// Where.
        place: Where,
        /// What.
        fault: Fault,
    },
}

/// A place in a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Where {
    /// The structure of the file, at a byte.
    Container {
        /// Offset in the file.
        offset: u64,
    },
    /// A whole member.
    Member(&'static str),
    /// A frame of a member.
    Frame {
        /// Which member.
        member: &'static str,
        /// Offset in the member.
        offset: u64,
    },
    /// A batch of the log.
    Batch {
        /// Its index in the log.
        index: u64,
        /// Position of its first record.
        first: Position,
        /// Position after its last record.
        end: Position,
    },
    /// A record.
    Record(Position),
    /// An item of a record that is a part.
    Item {
        /// Position of the part.
        position: Position,
        /// Place among its items.
        index: u32,
    },
    /// A line, counted from 1.
    Line {
        /// Which member.
        member: &'static str,
        /// Which line.
        line: u64,
    },
    /// The checkpoint from outside.
    Outside,
    /// The proof beside the checkpoint from outside.
    SideProof,
    /// The statement of succession from outside.
    Succession,
}

impl fmt::Display for Where {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Where::Container { offset } => write!(f, "file structure at byte {offset}"),
            Where::Member(name) => f.write_str(name),
            Where::Frame { member, offset } => write!(f, "{member} at byte {offset}"),
            Where::Batch { index, first, end } => {
                write!(
                    f,
                    "batch {index} of the log (records {first} to {})",
                    end.0.saturating_sub(1)
                )
            }
            Where::Record(position) => write!(f, "record {position}"),
            Where::Item { position, index } => write!(f, "item {index} of record {position}"),
            Where::Line { member, line } => write!(f, "{member} line {line}"),
            Where::Outside => f.write_str("the checkpoint from outside"),
            Where::Succession => f.write_str("the statement of succession that was given"),
            Where::SideProof => f.write_str("the proof beside the checkpoint from outside"),
        }
    }
}

/// What does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Said in full by the text.
    #[error("{0}")]
    Is(&'static str),
    /// A canonical structure is not one.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// A key, ciphertext or commitment.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// A signed note.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// A time stamp.
    #[error(transparent)]
    Stamp(#[from] StampError),
    /// The key was given up, and nobody outside had seen this before.
    #[error(
        "the key that was given was given up as compromised at {at}, and no anchor from before is proved: give \
         --witness or --tsa-root, or the zone's new key from somebody you trust"
    )]
    GivenUp {
        /// When, as the statement says.
        at: Timestamp,
    },
    /// The checkpoint from outside is older, and the bundle does not reach back to it.
    #[error(
        "it is of size {size}, and the bundle has no proof from there; export again with `--against FILE`"
    )]
    NoProofFrom {
        /// Size of the checkpoint from outside.
        size: u64,
    },
    /// The checkpoint from outside is newer, and nothing leads up to it.
    #[error(
        "it is of size {size}, newer than the bundle's {pinned}; its proof from size {pinned} is needed beside it, \
         in a file of the same name with .proof added"
    )]
    NoProofTo {
        /// Size of the checkpoint from outside.
        size: u64,
        /// Size of the bundle's.
        pinned: u64,
    },
}

impl Fault {
    /// This fault, at a place.
    pub(super) fn at(self, place: Where) -> BundleError {
        BundleError::Failed { place, fault: self }
    }
}

/// A fault said in full by a text, at a place.
pub(super) fn failed(place: Where, text: &'static str) -> BundleError {
    Fault::Is(text).at(place)
}
