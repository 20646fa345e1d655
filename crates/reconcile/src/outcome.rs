//! What a comparison says.

use model::Content;
use model::record::ContentKind;
use serde::Serialize;

use crate::clock::Clock;

/// In one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Where both reach, both say the same; what is explained is counted.
    Same,
    /// They differ.
    Differs,
    /// Too little is the same to lay one beside the other: nothing else is claimed.
    NothingInCommon,
}

/// In what two accounts differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// The first has it, the second does not, though it reaches that far.
    MissingInB,
    /// The second has it, the first does not.
    MissingInA,
    /// The text is another.
    Text,
    /// Somebody else is said to have written it.
    Author,
    /// At another time, clocks and zones taken into account.
    Time,
    /// At another place among the others, at the same time.
    Order,
    /// Another file.
    File,
}

/// How sure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Certainty {
    /// It can be explained otherwise; the difference says how.
    Possible,
    /// No other explanation is known, and little was to be learned from.
    Likely,
    /// No other explanation is known.
    Certain,
}

/// A difference in one respect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Of {
    /// In what.
    pub what: What,
    /// How sure.
    pub certainty: Certainty,
    /// Another explanation, or what was compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<&'static str>,
}

/// Where a message stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Place<'a> {
    /// What the caller called it.
    pub place: u64,
    /// When, as this side writes it; null where it does not say.
    pub at: Option<String>,
    /// Who, as this side calls them.
    pub author: Option<Content<'a>>,
    /// What sort of thing.
    pub content: ContentKind,
    /// Null also where it was too much to keep.
    pub text: Option<Content<'a>>,
}

/// A message on which the two do not agree.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference<'a> {
    /// In what.
    pub differs: Vec<Of>,
    /// In the first.
    pub a: Option<Place<'a>>,
    /// In the second.
    pub b: Option<Place<'a>>,
}

/// How many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// On both sides, without a difference.
    pub same: u64,
    /// See [`What::MissingInB`].
    pub missing_in_b: u64,
    /// See [`What::MissingInA`].
    pub missing_in_a: u64,
    /// See [`What::Text`].
    pub text_differs: u64,
    /// See [`What::Author`].
    pub author_differs: u64,
    /// Other names whose owners are not established: possibly one person with two names.
    pub author_unsure: u64,
    /// See [`What::Time`].
    pub time_differs: u64,
    /// See [`What::Order`].
    pub order_differs: u64,
    /// See [`What::File`].
    pub file_differs: u64,
}

impl Counts {
    /// Of differences.
    pub fn differences(&self) -> u64 {
        self.missing_in_b
            + self.missing_in_a
            + self.text_differs
            + self.author_differs
            + self.author_unsure
            + self.time_differs
            + self.order_differs
            + self.file_differs
    }
}

/// Why something is no difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Explained {
    /// A side says that the message was deleted.
    Deleted,
    /// A side says that it was edited.
    Edited,
    /// A side left a file out, or its caption.
    MediaLeftOut,
    /// Each source words it in its own way: places, polls, calls, templates, what it does not show.
    ShownDifferently,
    /// Another spelling of the same text: composition, marks, blanks, bold and the like, whom a mention names.
    Spelling,
    /// Arrived in another order within the same minute.
    Arrival,
    /// Clocks were changed between summer and winter, or may have been: near a change that is known, and by an hour or half an
    /// hour where no other message within the time from one change to the next shows that they were not.
    ClockChange,
}

/// How much was explained.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "as in `Explained`")]
pub struct Explanations {
    pub deleted: u64,
    pub edited: u64,
    pub media_left_out: u64,
    pub shown_differently: u64,
    pub spelling: u64,
    pub arrival: u64,
    pub clock_change: u64,
}

impl Explanations {
    pub(crate) fn add(&mut self, explained: Explained) {
        let count = match explained {
            Explained::Deleted => &mut self.deleted,
            Explained::Edited => &mut self.edited,
            Explained::MediaLeftOut => &mut self.media_left_out,
            Explained::ShownDifferently => &mut self.shown_differently,
            Explained::Spelling => &mut self.spelling,
            Explained::Arrival => &mut self.arrival,
            Explained::ClockChange => &mut self.clock_change,
        };
        *count += 1;
    }
}

/// What one side has from before the other begins, or after it ends: not missing, not compared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Outside {
    /// Messages of the first from before the second begins.
    pub a_before_b: u64,
    /// Messages of the first from after the second ends.
    pub a_after_b: u64,
    /// Messages of the second from before the first begins.
    pub b_before_a: u64,
    /// Messages of the second from after the first ends.
    pub b_after_a: u64,
}

/// A name of one side and one of the other that stand on the same messages.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pair {
    /// In the first.
    pub a: Content<'static>,
    /// In the second.
    pub b: Content<'static>,
    /// Messages that show it.
    pub messages: u64,
    /// Taken for one person.
    pub same: bool,
}

/// Somebody of whom the other side has nothing.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Absent {
    /// The side that has nothing: `a` or `b`.
    pub absent_in: &'static str,
    /// The name on the other.
    pub author: Content<'static>,
    /// How many messages.
    pub messages: u64,
}

/// One side.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SideSummary {
    /// Compared.
    pub messages: u64,
    /// Lines of the platform's own: not compared.
    pub system: u64,
    /// Reactions, which exports do not carry: not compared.
    pub reactions: u64,
    /// First and last time, as this side writes it.
    pub first: Option<String>,
    /// See `first`.
    pub last: Option<String>,
    /// Its order is that of the conversation: that of a chat export. Deliveries come as they come, and are put in the order
    /// of their times.
    pub ordered: bool,
}

/// Everything but the differences.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outcome {
    /// In one word.
    pub verdict: Verdict,
    /// How many.
    pub counts: Counts,
    /// How much was explained.
    pub explained: Explanations,
    /// Not compared.
    pub outside: Outside,
    /// Whom the other side does not have at all. Not counted among the missing.
    pub absent: Vec<Absent>,
    /// The clocks.
    pub clock: Clock,
    /// Pairs that the platform's ids made.
    pub paired_by_id: u64,
    /// Who is who.
    pub people: Vec<Pair>,
    /// The first.
    pub a: SideSummary,
    /// The second.
    pub b: SideSummary,
}
