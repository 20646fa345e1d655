//! Two accounts of one conversation, laid side by side.
//!
//! For: [`compare`], which says of two [`Side`]s what is the same, what is missing on either, and where text, author,
//! time, order or file differ; with the offset of the clocks and who is who, both learned from what is the same.
//!
//! Never: a clock, files, the network, randomness (the key of the hashes is an argument). Never a difference that can be
//! explained otherwise: a picture that was left out, a message that was edited or deleted, another spelling of the same
//! text, an arrival in the same minute. What is explained is counted by its explanation.
//!
//! Bounded: [`MESSAGES_MAX`] and [`TEXT_BYTES_MAX`] a side; time `O(n log n)`, whatever the messages say.
//!
//! To add an explanation: a variant of [`Explained`], the place in `judge` that finds it, a case in `tests/cases.rs` in
//! which it explains, and one in which it does not.

mod align;
mod clock;
mod index;
mod judge;
mod order;
mod outcome;
mod people;
mod report;
mod side;
mod text;

pub use clock::{Clock, Stretch};
pub use judge::compare;
pub use outcome::{
    Absent, Certainty, Counts, Difference, Explained, Explanations, Of, Outcome, Outside, Pair, Place,
    SideSummary, Verdict, What,
};
pub use side::{MESSAGES_MAX, Side, TEXT_BYTES_MAX, TooMany};
