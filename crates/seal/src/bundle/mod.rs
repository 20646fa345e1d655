//! Bundles: what is handed to somebody who trusts nobody here, and the check they make of it.
//!
//! *Shape.* A zip of ten stored members in fixed order. `evidence` shows entries of the ledger, each against the
//! zone's log; `messages.jsonl` says what was understood of them; `manifest` says what was asked for and binds the
//! rest, signed by the zone. `docs/spec/evidence-format.md`, section "Bundles", is the normative text.
//!
//! *Why an own zip writer and reader.* A general reader accepts what nobody checks: other timestamps, extra fields,
//! comments, gaps between members, a second member of the same name. Here every byte of the file is either content
//! that is proved or structure that has one allowed value, so any changed byte is found. That takes a writer with one
//! form and a reader that writes the form again and compares.

mod anchors;
mod container;
mod digest;
mod error;
mod evidence;
mod frames;
mod headers;
mod known;
mod lines;
mod manifest;
mod outside;
mod rebuilt;
mod verify;
mod write;

pub(crate) use anchors::LATEST_SECONDS;
pub use anchors::{ANCHORS_MAX, Anchor, AnchorKind, AnchorReport, Proved, Read as AnchorRead};
pub use error::{BundleError, Fault, Where};
pub use lines::MessageState;
pub use outside::{SideProof, SideProofs};
pub use verify::{
    CaptureCounts, CheckpointReport, ItemCounts, MessageCounts, OutsideCheckpoint, Report, Sink,
    VerifyOptions, verify,
};
pub use write::{BundleWriter, EvidenceWriter, Facts, MessagesWriter, Opening, Proof, WriteError};

/// The name of this format, as the manifest states it.
pub const FORMAT_NAME: &str = "chancery-bundle/1";

/// The text of `README.txt`: the same in every bundle of this format.
pub const README: &str = include_str!("readme.txt");

/// What the manifest says of completeness: the same in every bundle of this format.
pub const COMPLETENESS: &str =
    "Nothing is claimed about records that are not in this bundle, beyond gaps.jsonl.";

/// Longest frame of `evidence` and longest line of the others. One of them is in memory at a time.
pub const UNIT_BYTES_MAX: usize = 16 << 20;

/// Longest member that is read whole.
const WHOLE_BYTES_MAX: u64 = 4 << 20;

/// Gap entries in one bundle: the writer keeps their lines, the reader their values.
const GAPS_MAX: usize = 1 << 20;

/// The members, in their order. The manifest is last because it says what the others hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Member {
    Readme,
    ZonePub,
    Succession,
    Checkpoint,
    Consistency,
    Anchors,
    Evidence,
    Messages,
    Gaps,
    Manifest,
}

impl Member {
    const ALL: [Member; 10] = [
        Member::Readme,
        Member::ZonePub,
        Member::Succession,
        Member::Checkpoint,
        Member::Consistency,
        Member::Anchors,
        Member::Evidence,
        Member::Messages,
        Member::Gaps,
        Member::Manifest,
    ];

    const fn name(self) -> &'static str {
        match self {
            Member::Readme => "README.txt",
            Member::ZonePub => "zone.pub",
            Member::Succession => "succession",
            Member::Checkpoint => "checkpoint",
            Member::Consistency => "consistency",
            Member::Anchors => "anchors.jsonl",
            Member::Evidence => "evidence",
            Member::Messages => "messages.jsonl",
            Member::Gaps => "gaps.jsonl",
            Member::Manifest => "manifest",
        }
    }

    /// Whether its local header has room for 64-bit sizes: known before its size is.
    const fn large(self) -> bool {
        matches!(self, Member::Evidence | Member::Messages)
    }
}
