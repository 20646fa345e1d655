//! Times, which these platforms write as seconds.

use std::io;

use model::Timestamp;

use crate::Span;
use crate::pass::Pass;
use crate::tree::{self, Fields};

/// Earlier than WeChat itself (2011-01-01).
const EARLIEST: i64 = 1_293_840_000;
/// 2100-01-01: a value in milliseconds lies far beyond.
const LATEST: i64 = 4_102_444_800;

/// Seconds since 1970, as text or as a number. One that is missing or odd is a problem.
pub(super) fn instant(
    pass: &mut Pass<'_>,
    span: Span,
    fields: &Fields,
    names: &[&str],
) -> io::Result<Option<Timestamp>> {
    let seconds = tree::first(fields, names)
        .and_then(|digits| digits.parse::<i64>().ok())
        .filter(|seconds| (EARLIEST..LATEST).contains(seconds));
    if seconds.is_none() {
        let detail = "a time is missing, or not a plausible number of seconds since 1970";
        pass.problem(span, "bad-timestamp", detail)?;
    }
    Ok(seconds.map(Timestamp::from_seconds))
}
