//! A delivery as the intake looks at it: the fields at the top of one document, where they lie.
//!
//! The intake must not leave copies of what people wrote in its memory, so nothing of a value is copied here.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::xml::{self, Taker};

/// No delivery has so many fields.
const MAX_FIELDS: usize = 512;

/// The fields at the top of a document.
pub(super) struct Outline<'a> {
    fields: Vec<(String, &'a str)>,
    /// It is JSON.
    pub(super) json: bool,
}

impl<'a> Outline<'a> {
    /// The outline of the one document in `text`; nothing where there is more, less or something else.
    pub(super) fn read(text: &'a str) -> Option<Self> {
        let text = text.trim_matches([' ', '\t', '\r', '\n']);
        if text.starts_with('{') {
            let Top(fields) = serde_json::from_str(text).ok()?;
            return Some(Outline { fields, json: true });
        }
        let mut top = Lines {
            text,
            fields: Vec::new(),
            depth: 0,
            begun: None,
        };
        let end = xml::scan(text, &mut top).ok()?;
        let fields = top.fields;
        (end == text.len() && fields.len() < MAX_FIELDS).then_some(Outline { fields, json: false })
    }

    /// The values of a name, as they are written without what marks them as text.
    fn all(&self, name: &str) -> impl Iterator<Item = &'a str> {
        self.fields
            .iter()
            .filter(move |(known, _)| known == name)
            .map(|(_, value)| plain(value))
    }

    /// What is encrypted, where something is: `Encrypt` in XML and in the JSON of mini programs, `encrypt` in that of
    /// robots. Several are none: which one was signed?
    pub(super) fn encrypted(&self) -> Option<Cow<'a, str>> {
        // One bit lies between the two spellings, and nothing but what stands beside tells which is right.
        let addressed = self.all("ToUserName").next().is_some();
        let name = if self.json && !addressed {
            "encrypt"
        } else {
            "Encrypt"
        };
        let mut found = self.all(name);
        let text = found.next().filter(|text| !text.is_empty())?;
        if found.next().is_some() {
            return None;
        }
        // JSON may write a slash with a backslash before it.
        match text.contains('\\') {
            true => serde_json::from_str(&format!("\"{text}\"")).ok().map(Cow::Owned),
            false => Some(Cow::Borrowed(text)),
        }
    }

    /// Whether it wants the answer that robots want.
    pub(super) fn is_robot(&self) -> bool {
        self.all("encrypt").next().is_some()
    }

    /// Whether it has the fields of a readable message.
    pub(super) fn is_message(&self) -> bool {
        ["MsgType", "Event", "InfoType"]
            .iter()
            .any(|name| self.all(name).next().is_some())
    }

    /// Whether everything beside `Encrypt` says the same as `inside`, or names the receiver.
    pub(super) fn agrees(&self, inside: &Outline<'_>, receiver: &str) -> bool {
        let beside = self
            .fields
            .iter()
            .filter(|(name, _)| !name.eq_ignore_ascii_case("encrypt"));
        let mut values = beside
            .map(|(name, value)| (name, plain(value)))
            .filter(|(_, value)| !value.is_empty());
        values.all(|(name, value)| {
            let mut same = inside.all(name).peekable();
            let known = same.peek().is_some();
            // Messages name their receiver inside too; where none is, the envelope's must be the one that was encrypted.
            let said = if known {
                same.all(|same| same == value)
            } else {
                name != "ToUserName" || receiver.is_empty()
            };
            said || (!receiver.is_empty() && value == receiver)
        })
    }
}

/// A value without what marks it as text: one section of character data, or quotation marks.
fn plain(value: &str) -> &str {
    let value = value.trim_ascii();
    let section = value
        .strip_prefix("<![CDATA[")
        .and_then(|rest| rest.strip_suffix("]]>"));
    match section {
        Some(text) if !text.contains("]]>") => text.trim_ascii(),
        Some(_) => value,
        None => value
            .strip_prefix('"')
            .and_then(|rest| rest.strip_suffix('"'))
            .unwrap_or(value),
    }
}

/// Finds where the elements under the root lie.
struct Lines<'a> {
    text: &'a str,
    fields: Vec<(String, &'a str)>,
    depth: usize,
    begun: Option<(String, usize)>,
}

impl Taker for Lines<'_> {
    fn begin(&mut self, name: &str, content_at: usize) {
        self.depth += 1;
        if self.depth == 2 && self.fields.len() < MAX_FIELDS {
            self.begun = Some((name.to_owned(), content_at));
        }
    }

    fn text(&mut self, _piece: &str) {}

    fn end(&mut self, content_end: usize) {
        if self.depth == 2
            && let Some((name, start)) = self.begun.take()
        {
            self.fields
                .push((name, self.text.get(start..content_end).unwrap_or_default()));
        }
        self.depth = self.depth.saturating_sub(1);
    }
}

/// The fields of a JSON object, as they are written.
struct Top<'a>(Vec<(String, &'a str)>);

impl<'de: 'a, 'a> Deserialize<'de> for Top<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Top<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Top<'de>, A::Error> {
                let mut fields = Vec::new();
                while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
                    if fields.len() >= MAX_FIELDS {
                        return Err(serde::de::Error::custom("too many fields"));
                    }
                    fields.push((name, value.get()));
                }
                Ok(Top(fields))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agree(outside: &str, inside: &str, receiver: &str) -> bool {
        let outside = Outline::read(outside).expect("an outline");
        let inside = Outline::read(inside).expect("an outline");
        outside.agrees(&inside, receiver)
    }

    #[test]
    fn what_is_encrypted_is_found_in_either_form() {
        fn check(text: &str, expected: Option<&str>) {
            let outline = Outline::read(text);
            assert_eq!(
                outline.and_then(|outline| outline.encrypted()).as_deref(),
                expected,
                "{text}"
            );
        }
        check("<xml><Encrypt><![CDATA[a+b=]]></Encrypt></xml>", Some("a+b="));
        check("<xml><Encrypt>a+b=</Encrypt></xml>", Some("a+b="));
        check(
            "<xml><Encrypt>\n <![CDATA[a+b=]]>\n</Encrypt></xml>",
            Some("a+b="),
        );
        check(r#"{"encrypt":"a\/b="}"#, Some("a/b="));
        check(r#"{"ToUserName":"gh_1","Encrypt":"ab"}"#, Some("ab"));
        check(r#"{"Encrypt":"ab"}"#, None);
        check(r#"{"ToUserName":"gh_1","encrypt":"ab"}"#, None);
        check(r#"{"encrypt":"a","encrypt":"a"}"#, None);
        check("<xml><Encrypt>a</Encrypt><Encrypt>a</Encrypt></xml>", None);
        check("<xml><Encrypt></Encrypt></xml>", None);
        check("<xml><encrypt>a</encrypt></xml>", None);
        check("<xml><A><Encrypt>a</Encrypt></A></xml>", None);
        check("<xml><Encrypt>a</Encrypt></xml><xml/>", None);
        check(r#"["encrypt"]"#, None);
        check("", None);
    }

    #[test]
    fn what_stands_outside_must_say_what_stands_inside() {
        let inside = "<xml><ToUserName><![CDATA[gh_1]]></ToUserName><AgentID>7</AgentID></xml>";
        let outside = |to: &str, agent: &str| {
            format!(
                "<xml><ToUserName>{to}</ToUserName><AgentID><![CDATA[{agent}]]></AgentID><Encrypt>x</Encrypt></xml>"
            )
        };
        assert!(agree(&outside("gh_1", "7"), inside, "wx1"));
        assert!(agree(&outside("wx1", "7"), inside, "wx1"));
        assert!(agree(&outside("gh_1", ""), inside, "wx1"));
        assert!(!agree(&outside("gh_2", "7"), inside, "wx1"));
        assert!(!agree(&outside("gh_1", "8"), inside, "wx1"));
        let event = "<xml><SuiteId>ww1</SuiteId></xml>";
        assert!(agree(&outside("ww1", ""), event, "ww1"));
        assert!(!agree(&outside("ww2", ""), event, "ww1"));
        assert!(agree(&outside("ww2", ""), event, ""));
    }
}
