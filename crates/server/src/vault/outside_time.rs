//! The second clock: a time that somebody outside proved.

use model::Timestamp;

use super::Inner;

impl Inner {
    /// The newest time that an anchor from outside proves to have passed; none while there is no such anchor. Nothing that
    /// has a legal minimum is destroyed without one.
    pub fn outside_time(&self) -> Option<Timestamp> {
        None
    }
}
