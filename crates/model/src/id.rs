//! Typed ids.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A place in a zone's ledger, counted from 0 without holes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(pub u64);

impl Position {
    /// The position `count` entries later.
    pub const fn plus(self, count: u64) -> Self {
        Position(self.0.saturating_add(count))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The id of a message, event or problem: the position of its capture's first chunk and its place among
/// what was understood of that capture. Text form `POSITION.ORDINAL`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId {
    /// Position of the capture's first chunk.
    pub capture: Position,
    /// Place among the records of that capture, counted from 0 in the order of the parser.
    pub ordinal: u32,
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.capture, self.ordinal)
    }
}

/// The text does not have the form of the id it was to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a {0}")]
pub struct NotAnId(&'static str);

impl FromStr for MessageId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let wrong = || NotAnId("message id (POSITION.ORDINAL, as in 1042.3)");
        let (capture, ordinal) = text.split_once('.').ok_or_else(wrong)?;
        let capture = Position(capture.parse().map_err(|_| wrong())?);
        Ok(MessageId {
            capture,
            ordinal: ordinal.parse().map_err(|_| wrong())?,
        })
    }
}

/// Sixteen random bytes made by whoever seals a capture.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CaptureId(pub [u8; 16]);

/// Sixteen random bytes that name a secret of the key store. Says nothing about whom it concerns. Text form: 32 small hex
/// digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyId(pub [u8; 16]);

impl FromStr for KeyId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let wrong = || NotAnId("key id (32 small hex digits)");
        let digit = |b: u8| match b {
            b'0'..=b'9' => Ok(b - b'0'),
            b'a'..=b'f' => Ok(b - b'a' + 10),
            _ => Err(wrong()),
        };
        let mut id = [0; 16];
        let mut pairs = text.as_bytes().chunks_exact(2);
        for byte in &mut id {
            let Some([high, low]) = pairs.next() else {
                return Err(wrong());
            };
            *byte = digit(*high)? << 4 | digit(*low)?;
        }
        if text.len() == 32 {
            Ok(KeyId(id))
        } else {
            Err(wrong())
        }
    }
}

impl TryFrom<String> for KeyId {
    type Error = NotAnId;

    fn try_from(text: String) -> Result<Self, NotAnId> {
        text.parse()
    }
}

impl From<KeyId> for String {
    fn from(id: KeyId) -> String {
        id.to_string()
    }
}

impl KeyId {
    /// No such key: for instance a system line has no author.
    pub const NONE: KeyId = KeyId([0; 16]);
}

fn write_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

impl fmt::Debug for CaptureId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, &self.0)
    }
}

macro_rules! name_id {
    ($type:ident, $what:literal, $doc:literal) => {
        #[doc = $doc]
        ///
        /// 1 to 32 characters of `a-z`, `0-9` and `-`, starting with a letter.
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        // Shared: every entry that is written clones it, and another thread drops it.
        pub struct $type(Arc<str>);

        impl $type {
            /// The name.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $type {
            type Err = NotAnId;

            fn from_str(text: &str) -> Result<Self, NotAnId> {
                let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
                let starts = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
                if starts && text.len() <= 32 && text.bytes().all(allowed) {
                    Ok($type(text.into()))
                } else {
                    Err(NotAnId(concat!(
                        $what,
                        " (1 to 32 of a-z, 0-9 and -, starting with a letter)"
                    )))
                }
            }
        }

        impl TryFrom<String> for $type {
            type Error = NotAnId;

            fn try_from(text: String) -> Result<Self, NotAnId> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(id: $type) -> String {
                id.0.as_ref().to_owned()
            }
        }
    };
}

name_id!(
    ZoneId,
    "zone id",
    "A legal territory with its own ledger, keys and administrators (`us`, `eu`, `cn`)."
);
name_id!(
    ConnectionId,
    "connection id",
    "One configured account of a connector."
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_id_reads_back_from_its_text() {
        let id = MessageId {
            capture: Position(1042),
            ordinal: 3,
        };
        assert_eq!("1042.3".parse(), Ok(id));
        assert_eq!(id.to_string(), "1042.3");
    }

    #[test]
    fn a_key_id_reads_back_from_its_text_and_from_no_other() {
        let id = KeyId(std::array::from_fn(|n| n as u8 * 17));
        assert_eq!(id.to_string().parse(), Ok(id));
        let text = id.to_string();
        for wrong in [
            &text[1..],
            &text.to_uppercase(),
            &format!("{text}0"),
            &format!("{text}00"),
            "",
            "zz",
        ] {
            assert!(wrong.parse::<KeyId>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn texts_that_are_no_id_are_refused() {
        for text in [
            "",
            "1042",
            ".3",
            "1042.",
            "1042.-3",
            "a.b",
            "1042.3.4",
            "1042.4294967296",
        ] {
            assert!(text.parse::<MessageId>().is_err(), "{text}");
        }
        for text in ["", "US", "9us", "-us", "a b", "a/b", "ä", &"x".repeat(33)] {
            assert!(text.parse::<ZoneId>().is_err(), "{text}");
        }
    }
}
