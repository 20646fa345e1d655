//! A file of the archive, piece by piece: what to ask next, and whether what came is what was declared.

use md5::{Digest, Md5};
use model::record::AttachmentState;
use zeroize::Zeroizing;

use super::driver::{DriverError, Retry, Slice};

/// Failures in a row after which a file waits for a later attempt.
const FAILURES_MAX: u32 = 5;

/// What to do next for a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MediaStep {
    /// Ask with this index. What came so far is kept.
    Ask {
        /// Empty: from the beginning.
        index: String,
    },
    /// The file is whole: keep it.
    Keep {
        /// `Fetched`, or `Mismatch` when it is twice not what was declared.
        state: AttachmentState,
    },
    /// Go on later, with what came so far.
    Later,
    /// It cannot be had.
    GiveUp {
        /// `Expired`, or `Refused`.
        state: AttachmentState,
    },
}

/// A file being fetched.
pub struct Media {
    bytes: Zeroizing<Vec<u8>>,
    index: String,
    declared: Option<String>,
    bytes_max: usize,
    again: bool,
    failures: u32,
}

impl Media {
    /// A file of which `declared` is the MD5 as lower-case hex, where the vendor declares one.
    pub fn new(declared: Option<String>, bytes_max: usize) -> Media {
        Media {
            bytes: Zeroizing::new(Vec::new()),
            index: String::new(),
            declared,
            bytes_max,
            again: false,
            failures: 0,
        }
    }

    /// What came so far; the file when it is to be kept.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The first question, or the next after an interruption.
    pub fn ask(&self) -> MediaStep {
        MediaStep::Ask {
            index: self.index.clone(),
        }
    }

    /// A piece came.
    pub fn slice(&mut self, slice: &Slice) -> MediaStep {
        if self.bytes.len() + slice.bytes.len() > self.bytes_max {
            return MediaStep::GiveUp {
                state: AttachmentState::Refused,
            };
        }
        // An index that does not move would ask for the same piece for ever.
        let stuck = slice.next_index.is_empty() || slice.next_index == self.index || slice.bytes.is_empty();
        if stuck && !slice.finished {
            return self.failed(DriverError::Failed("a piece of a file does not lead on"));
        }
        self.failures = 0;
        append(&mut self.bytes, &slice.bytes);
        if slice.finished {
            return self.whole();
        }
        self.index.clone_from(&slice.next_index);
        self.ask()
    }

    /// A piece did not come.
    pub fn failed(&mut self, error: DriverError) -> MediaStep {
        self.failures += 1;
        match error {
            DriverError::Code(10010) => MediaStep::GiveUp {
                state: AttachmentState::Expired,
            },
            _ if error.retry() == Retry::Never => MediaStep::GiveUp {
                state: AttachmentState::Refused,
            },
            _ if error.retry() == Retry::AfterRepair || self.failures >= FAILURES_MAX => {
                self.failures = 0;
                MediaStep::Later
            }
            _ => self.ask(),
        }
    }

    /// Compares with what was declared; once more from the beginning where it differs, then as it is.
    fn whole(&mut self) -> MediaStep {
        let differs = self
            .declared
            .as_deref()
            .is_some_and(|declared| declared != hex_md5(&self.bytes));
        if differs && !self.again {
            self.again = true;
            self.bytes = Zeroizing::new(Vec::new());
            self.index.clear();
            return self.ask();
        }
        MediaStep::Keep {
            state: if differs {
                AttachmentState::Mismatch
            } else {
                AttachmentState::Fetched
            },
        }
    }
}

/// Appends without leaving a copy behind that nobody wipes, as a vector that grows does.
fn append(bytes: &mut Zeroizing<Vec<u8>>, more: &[u8]) {
    let needed = bytes.len() + more.len();
    if needed > bytes.capacity() {
        let mut larger = Zeroizing::new(Vec::with_capacity(needed.max(bytes.capacity() * 2)));
        larger.extend_from_slice(bytes);
        *bytes = larger;
    }
    bytes.extend_from_slice(more);
}

/// The MD5 that the vendor declares: against mishaps on the way, it proves nothing.
fn hex_md5(bytes: &[u8]) -> String {
    Md5::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
