//! XML as these platforms write it, read into the same tree as their JSON.
//!
//! Elements, text, character data and the five entities; nothing else. No attributes, comments, instructions or
//! document types: the platforms write none, and each is a way to be understood differently by two readers.

use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::reader::Reader;
use serde_json::{Map, Value};

/// Deeper than any documented message: approvals reach seven.
const MAX_DEPTH: usize = 32;

/// The longest documented lists have some hundred elements.
const MAX_ELEMENTS: usize = 8_192;

/// Why it was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotRead {
    /// It is not well formed, or ends too early.
    Malformed,
    /// It holds something that is not read on purpose.
    Forbidden,
    /// Deeper, or with more elements, than is read.
    TooLarge,
}

/// Takes what stands in an element, in order.
pub(super) trait Taker {
    /// An element begins; its content begins at this byte.
    fn begin(&mut self, name: &str, content_at: usize);

    /// Text of the element that is open.
    fn text(&mut self, piece: &str);

    /// The element that is open ends; its content ends before this byte.
    fn end(&mut self, content_end: usize);
}

/// What an element holds so far.
#[derive(Default)]
struct Held {
    elements: bool,
    text: bool,
}

/// Goes through the one element that `text` begins with, blanks and a declaration before it apart, and says where it
/// ends. Copies nothing.
pub(super) fn scan(text: &str, taker: &mut dyn Taker) -> Result<usize, NotRead> {
    let mut reader = Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let (mut open, mut elements, mut declared) = (Vec::<Held>::new(), 0_usize, false);
    let place = |at: u64| usize::try_from(at).unwrap_or(text.len());
    loop {
        let before = place(reader.buffer_position());
        let event = reader.read_event().map_err(|_| NotRead::Malformed)?;
        match event {
            Event::Decl(_) if open.is_empty() && !declared => declared = true,
            Event::Start(start) => {
                elements += 1;
                if open.len() >= MAX_DEPTH || elements > MAX_ELEMENTS {
                    return Err(NotRead::TooLarge);
                }
                if let Some(parent) = open.last_mut() {
                    parent.elements = true;
                }
                taker.begin(name_of(&start)?, place(reader.buffer_position()));
                open.push(Held::default());
            }
            Event::End(_) => {
                let held = open.pop().ok_or(NotRead::Malformed)?;
                // Text between elements would belong to none of them.
                if held.elements && held.text {
                    return Err(NotRead::Malformed);
                }
                taker.end(before);
                if open.is_empty() {
                    return Ok(place(reader.buffer_position()));
                }
            }
            Event::Text(piece) => match open.last_mut() {
                Some(held) => {
                    held.text |= !piece.trim_ascii().is_empty();
                    taker.text(&piece);
                }
                None if piece.trim_ascii().is_empty() => {}
                None => return Err(NotRead::Malformed),
            },
            // `]]>` inside is written as two sections in a row.
            Event::CData(piece) => {
                open.last_mut().ok_or(NotRead::Malformed)?.text = true;
                taker.text(&piece);
            }
            Event::GeneralRef(reference) => {
                let character = resolved(&reference)?;
                open.last_mut().ok_or(NotRead::Malformed)?.text = true;
                taker.text(character.encode_utf8(&mut [0; 4]));
            }
            Event::Eof => return Err(NotRead::Malformed),
            Event::Decl(_) | Event::Empty(_) | Event::Comment(_) | Event::PI(_) | Event::DocType(_) => {
                return Err(NotRead::Forbidden);
            }
        }
    }
}

fn name_of<'a>(start: &'a BytesStart<'_>) -> Result<&'a str, NotRead> {
    let whole: &str = start;
    let name = start.name();
    let name = whole.get(..name.as_ref().len()).unwrap_or_default();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    if !name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        || !name.bytes().all(plain)
    {
        return Err(NotRead::Malformed);
    }
    if whole
        .get(name.len()..)
        .is_some_and(|rest| !rest.trim_ascii().is_empty())
    {
        return Err(NotRead::Forbidden);
    }
    Ok(name)
}

/// Reads the one element that `text` begins with: what is in it (a text, or an object of its elements, lists where a
/// name repeats) and where it ends.
pub(super) fn read(text: &str) -> Result<(Value, usize), NotRead> {
    let mut tree = Tree::default();
    let end = scan(text, &mut tree)?;
    Ok((tree.done, end))
}

/// An element that is being read.
struct Open {
    name: String,
    text: String,
    children: Map<String, Value>,
}

/// Builds the tree.
#[derive(Default)]
struct Tree {
    open: Vec<Open>,
    done: Value,
}

impl Taker for Tree {
    fn begin(&mut self, name: &str, _content_at: usize) {
        self.open.push(Open {
            name: name.to_owned(),
            text: String::new(),
            children: Map::new(),
        });
    }

    fn text(&mut self, piece: &str) {
        if let Some(element) = self.open.last_mut() {
            element.text.push_str(piece);
        }
    }

    fn end(&mut self, _content_end: usize) {
        let Some(closed) = self.open.pop() else { return };
        let value = if closed.children.is_empty() {
            Value::String(closed.text)
        } else {
            Value::Object(closed.children)
        };
        match self.open.last_mut() {
            Some(parent) => put(&mut parent.children, closed.name, value),
            None => self.done = value,
        }
    }
}

/// A name that comes again makes a list.
fn put(children: &mut Map<String, Value>, name: String, value: Value) {
    match children.get_mut(&name) {
        None => {
            children.insert(name, value);
        }
        Some(Value::Array(list)) => list.push(value),
        Some(first) => {
            let list = vec![first.take(), value];
            *first = Value::Array(list);
        }
    }
}

fn resolved(reference: &BytesRef<'_>) -> Result<char, NotRead> {
    if reference.is_char_ref() {
        let character = reference.resolve_char_ref().ok().flatten();
        let legal = |c: &char| !c.is_control() || matches!(c, '\t' | '\n' | '\r');
        return character.filter(legal).ok_or(NotRead::Malformed);
    }
    match &**reference {
        "lt" => Ok('<'),
        "gt" => Ok('>'),
        "amp" => Ok('&'),
        "quot" => Ok('"'),
        "apos" => Ok('\''),
        _ => Err(NotRead::Forbidden),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(text: &str, expected: Result<Value, NotRead>) {
        assert_eq!(read(text).map(|(value, _)| value), expected, "{text}");
    }

    #[test]
    fn elements_text_and_character_data_become_a_tree() {
        check(
            "<xml><A>1</A><B><![CDATA[<b>&amp;]]></B></xml>",
            Ok(json!({"A": "1", "B": "<b>&amp;"})),
        );
        check("<?xml version=\"1.0\"?>\n<xml><A/></xml>", Ok(json!({"A": ""})));
        check(
            "<xml><L><I>1</I><I>2</I><I>3</I></L></xml>",
            Ok(json!({"L": {"I": ["1", "2", "3"]}})),
        );
        check("<xml>\n <A> a </A>\n</xml>", Ok(json!({"A": " a "})));
    }

    #[test]
    fn the_end_of_character_data_may_be_said_in_two_sections() {
        check(
            "<xml><A><![CDATA[a]]]]><![CDATA[>b]]></A></xml>",
            Ok(json!({"A": "a]]>b"})),
        );
        check("<xml><A>x<![CDATA[y]]>z</A></xml>", Ok(json!({"A": "xyz"})));
        check("<xml><A><![CDATA[]]></A></xml>", Ok(json!({"A": ""})));
    }

    #[test]
    fn the_five_entities_and_characters_by_number_are_read() {
        check(
            "<x>&lt;&gt;&amp;&quot;&apos;&#20013;&#x6587;</x>",
            Ok(json!("<>&\"'中文")),
        );
    }

    #[test]
    fn no_other_entity_is_read() {
        check("<x>&nbsp;</x>", Err(NotRead::Forbidden));
        check(
            "<!DOCTYPE x [<!ENTITY a \"b\">]><x>&a;</x>",
            Err(NotRead::Forbidden),
        );
        check(
            "<!DOCTYPE x SYSTEM \"file:///etc/passwd\"><x/>",
            Err(NotRead::Forbidden),
        );
        check("<x>&#0;</x>", Err(NotRead::Malformed));
        check("<x>&#27;</x>", Err(NotRead::Malformed));
        check("<x>& </x>", Err(NotRead::Malformed));
        check("<x>&#x110000;</x>", Err(NotRead::Malformed));
    }

    #[test]
    fn attributes_comments_and_instructions_are_not_read() {
        check("<x a=\"b\"/>", Err(NotRead::Forbidden));
        check("<x><!-- a --></x>", Err(NotRead::Forbidden));
        check("<x><?php ?></x>", Err(NotRead::Forbidden));
        check("<!-- a --><x/>", Err(NotRead::Forbidden));
    }

    #[test]
    fn what_is_not_well_formed_is_not_read() {
        for text in [
            "",
            " ",
            "x",
            "<",
            "<x",
            "<x>",
            "</x>",
            "<x></y>",
            "<x><y></x></y>",
            "<x><![CDATA[</x>",
            "<x><![CDATA[a]></x>",
            "<xml><A>1</A>text<B>2</B></xml>",
            "a<x/>",
            "<1/>",
            "<a:b/>",
            "<x.<y>",
            "<x>]]</x",
            "<é/>",
        ] {
            check(text, Err(NotRead::Malformed));
        }
    }

    #[test]
    fn depth_and_number_are_bounded() {
        let nested = |depth: usize| format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
        assert!(read(&nested(MAX_DEPTH)).is_ok());
        check(&nested(MAX_DEPTH + 1), Err(NotRead::TooLarge));
        check(&"<a>".repeat(1_000_000), Err(NotRead::TooLarge));
        check(
            &format!("<x>{}</x>", "<a/>".repeat(MAX_ELEMENTS)),
            Err(NotRead::TooLarge),
        );
    }

    #[test]
    fn it_stops_where_its_element_ends() {
        assert_eq!(read("<x/> <y/>"), Ok((json!(""), 4)));
        assert_eq!(read(" <x></x>\n"), Ok((json!(""), 8)));
    }
}
