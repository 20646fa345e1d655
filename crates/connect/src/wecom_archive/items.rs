//! An answer of the archive, taken apart into items that stay as they came.

use serde_json::value::RawValue;

use super::envelope::id_text;
use crate::json::{self, Elements, Object, Text};

/// Why an answer is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AnswerProblem {
    /// It is not JSON, or has no list of items.
    #[error("the answer of the archive is not what the vendor documents")]
    NotAnAnswer,
    /// The vendor's error.
    #[error("the archive answered {code}: {text}", code = .0, text = super::driver::meaning(*.0).text)]
    Error(i64),
}

/// One item of an answer: a message that is still encrypted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Item<'a> {
    /// Its number in the archive.
    pub seq: u64,
    /// The whole item, byte for byte as the vendor gave it: this is sealed.
    pub bytes: &'a str,
}

impl std::fmt::Debug for Item<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Item")
            .field("seq", &self.seq)
            .finish_non_exhaustive()
    }
}

/// The items of an answer, in its order. An item without a number is an error: it could never be asked for again, so
/// nothing may be passed over.
///
/// # Errors
/// [`AnswerProblem`].
pub fn items(answer: &str) -> Result<Vec<Item<'_>>, AnswerProblem> {
    let wrong = AnswerProblem::NotAnAnswer;
    let raw: &RawValue = serde_json::from_str(answer).map_err(|_| wrong)?;
    let object = Object::read(raw).ok_or(wrong)?;
    match object.get("errcode").map(|code| code.get().parse::<i64>()) {
        None | Some(Ok(0)) => {}
        Some(Ok(code)) => return Err(AnswerProblem::Error(code)),
        Some(Err(_)) => return Err(wrong),
    }
    let Some(list) = object.get("chatdata") else {
        return Ok(Vec::new());
    };
    Elements::of(list)
        .ok_or(wrong)?
        .map(|raw| item(raw).ok_or(wrong))
        .collect()
}

fn item(raw: &RawValue) -> Option<Item<'_>> {
    let object = Object::read(raw)?;
    Some(Item {
        seq: id_text(&object, "seq")?.parse().ok()?,
        bytes: raw.get(),
    })
}

/// What opens an item.
pub(super) struct Sealed {
    pub(super) version: u64,
    pub(super) random_key: String,
    pub(super) message: String,
}

/// Reads what opens an item; nothing where it lacks something.
pub(super) fn sealed(item: &str) -> Option<Sealed> {
    let raw: &RawValue = serde_json::from_str(item).ok()?;
    let object = Object::read(raw)?;
    let text = |name: &str| match json::text(object.get(name)?) {
        Text::Whole(text) => Some(text.into_owned()),
        Text::Repaired(_) | Text::Not => None,
    };
    Some(Sealed {
        version: id_text(&object, "publickey_ver")?.parse().ok()?,
        random_key: text("encrypt_random_key")?,
        message: text("encrypt_chat_msg")?,
    })
}
