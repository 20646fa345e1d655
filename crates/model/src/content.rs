//! What people wrote, as a type that cannot be printed by accident.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};

/// Something a person wrote or is called by: message text, a name, a handle, a file name.
///
/// `Debug` prints a length; there is no `Display`, so neither a log line nor an error text can carry it.
/// `Serialize` exists because three places must write it (`chancery parse`, a sealed row, a bundle).
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Content<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Content<'_> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Content::from)
    }
}

impl<'a> Content<'a> {
    /// Wraps text, borrowed or owned.
    pub fn new(text: impl Into<Cow<'a, str>>) -> Self {
        Content(text.into())
    }

    /// The text itself. Search for callers of this to find every place where content leaves its type.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether there is no text.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A copy that borrows nothing.
    pub fn into_owned(self) -> Content<'static> {
        Content(Cow::Owned(self.0.into_owned()))
    }
}

impl<'a> From<&'a str> for Content<'a> {
    fn from(text: &'a str) -> Self {
        Content(Cow::Borrowed(text))
    }
}

impl From<String> for Content<'static> {
    fn from(text: String) -> Self {
        Content(Cow::Owned(text))
    }
}

impl fmt::Debug for Content<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Content({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    static_assertions::assert_not_impl_any!(Content<'static>: fmt::Display);

    #[test]
    fn debug_of_content_shows_a_length_and_no_text() {
        let shown = format!("{:?}", Content::from("call me at noon"));
        assert_eq!(shown, "Content(15 bytes)");
    }
}
