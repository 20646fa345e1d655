//! Who is who: ids told apart by their form, names found by id, conversations named after the other side.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashMap;
use std::io;

use model::Content;
use model::record::{Conversation, ConversationShape, Identifier, Participant};
use serde_json::Value;
use serde_json::value::RawValue;

use super::json::{Elements, Object};
use super::walk::{Shown, Walk};

/// Contact cards remembered for one `value`; a delivery of the vendor's holds a handful.
const MAX_CARDS: usize = 10_000;

/// Which sort of id a value is, decided by its form alone: gateways put any of them into any field.
pub(super) fn identifier<'a>(value: Cow<'a, str>) -> Option<Identifier<'a>> {
    if value.is_empty() {
        return None;
    }
    if let Some(digits) = phone(&value) {
        return Some(Identifier {
            kind: "phone".into(),
            value: Content::new(digits.into_owned()),
        });
    }
    let kind = match scoped(&value) {
        Some(true) => "parent_bsuid",
        Some(false) => "bsuid",
        None => "whatsapp_id",
    };
    Some(Identifier {
        kind: kind.into(),
        value: Content::new(value),
    })
}

/// The digits of a telephone number as the vendor writes it (`16505551234`, `+1 650-555-1234`).
pub(super) fn phone(value: &str) -> Option<Cow<'_, str>> {
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    let plain = value.bytes().all(|b| b.is_ascii_digit() || b"+ -()".contains(&b));
    // Short codes have three digits or more; with signs between them a value that short is something else.
    let shortest = if digits == value.len() { 3 } else { 5 };
    if !plain || !(shortest..=15).contains(&digits) {
        return None;
    }
    Some(if digits == value.len() {
        Cow::Borrowed(value)
    } else {
        Cow::Owned(value.chars().filter(char::is_ascii_digit).collect())
    })
}

/// The other form of a number that the vendor writes in two: mobile numbers of Brazil have a `9` after the area code,
/// those of Mexico a `1` and those of Argentina a `9` after the country's, in one plan and not in another. The vendor
/// says that a user's id and number need not match; these are the cases where they do not.
fn other_form(digits: &str) -> Option<String> {
    let (place, digit) = match digits.get(..2)? {
        "55" => (4, '9'),
        "52" => (2, '1'),
        "54" => (2, '9'),
        _ => return None,
    };
    let (head, tail) = digits.split_at_checked(place)?;
    let shorter = match digits.len() {
        13 => tail.strip_prefix(digit)?,
        12 => tail,
        _ => return None,
    };
    // In Brazil only mobile numbers got the digit; others begin with 2 to 5.
    if place == 4 && shorter.starts_with(['0', '1', '2', '3', '4', '5']) {
        return None;
    }
    Some(if digits.len() == 13 {
        format!("{head}{shorter}")
    } else {
        format!("{head}{digit}{shorter}")
    })
}

/// Whether a value is a business-scoped id (`US.13491208655302741918`), and if so of a whole portfolio (`US.ENT.…`).
fn scoped(value: &str) -> Option<bool> {
    let (country, rest) = value.split_once('.')?;
    if country.len() != 2 || !country.bytes().all(|b| b.is_ascii_uppercase()) {
        return None;
    }
    let (parent, id) = rest.strip_prefix("ENT.").map_or((false, rest), |id| (true, id));
    let formed = (1..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric());
    formed.then_some(parent)
}

/// Adds an id unless it is there.
pub(super) fn add<'a>(person: &mut Participant<'a>, id: Option<Identifier<'a>>) {
    if let Some(id) = id.filter(|id| !person.ids.contains(id)) {
        person.ids.push(id);
    }
}

/// The ids in the named fields of an object. An id of no known form is kept, with a problem.
pub(super) fn named<'a>(
    walk: &mut Walk<'a, '_>,
    object: &Object<'a>,
    fields: &[&str],
) -> io::Result<Participant<'a>> {
    let mut person = Participant::default();
    for name in fields {
        let Some(value) = walk.text(object, name)? else {
            continue;
        };
        let id = identifier(value);
        if let (Some(raw), Some("whatsapp_id")) = (object.get(name), id.as_ref().map(|id| &*id.kind)) {
            walk.problem(
                "unknown-id-form",
                "an id is neither a number nor business-scoped",
                raw,
            )?;
        }
        add(&mut person, id);
    }
    Ok(person)
}

/// Someone, if anything is known of them.
pub(super) fn someone(person: Participant<'_>) -> Option<Participant<'_>> {
    (person.name.is_some() || !person.ids.is_empty()).then_some(person)
}

/// The conversation with this person alone: named by phone, else by the narrowest id there is.
pub(super) fn direct<'a>(person: &Participant<'a>) -> Option<Conversation<'a>> {
    let of = |kind: &str| person.ids.iter().find(|id| id.kind == kind);
    let id = of("phone")
        .or_else(|| of("bsuid"))
        .or_else(|| of("parent_bsuid"))
        .or_else(|| of("whatsapp_id"))?;
    Some(Conversation {
        id: Some(id.value.clone()),
        title: None,
        shape: ConversationShape::Direct,
    })
}

/// The group with this id.
pub(super) fn group(id: Cow<'_, str>) -> Conversation<'_> {
    Conversation {
        id: Some(Content::new(id)),
        title: None,
        shape: ConversationShape::Group,
    }
}

/// Ids as details show them.
pub(super) fn shown(ids: &[Identifier<'_>]) -> Value {
    let one = |id: &Identifier<'_>| serde_json::json!({"kind": id.kind, "value": id.value.reveal()});
    ids.iter().map(one).collect()
}

/// One contact card, as it stands beside the messages.
pub(super) struct Card<'a> {
    pub(super) person: Participant<'a>,
    pub(super) raw: &'a RawValue,
    /// What it says besides name and ids.
    more: Vec<(Cow<'a, str>, &'a RawValue)>,
    /// Everything on it stands in some record.
    told: Cell<bool>,
}

impl<'a> Card<'a> {
    /// Puts what it says besides name and ids into details.
    pub(super) fn show_more(&self, walk: &mut Walk<'a, '_>, details: &mut Shown) -> io::Result<()> {
        let mut shown = Shown::default();
        for (name, raw) in &self.more {
            walk.show(&mut shown, name, raw)?;
        }
        details.put_map("contact_card", shown);
        self.told.set(true);
        Ok(())
    }
}

/// The contact cards of one `value`, found by any id they hold.
#[derive(Default)]
pub(super) struct Cards<'a> {
    cards: Vec<Card<'a>>,
    by_id: HashMap<Content<'a>, usize>,
}

impl<'a> Cards<'a> {
    /// Reads the cards without saying anything: [`card`] does when it comes to each in its order.
    pub(super) fn read(walk: &mut Walk<'a, '_>, raw: &'a RawValue, cards: &mut Cards<'a>) -> io::Result<()> {
        let elements = Elements::of(raw).or_else(|| Elements::alone(raw));
        for element in elements.into_iter().flatten() {
            if cards.cards.len() >= MAX_CARDS {
                walk.problem(
                    "too-many-contacts",
                    "not all contact cards are used for names",
                    element,
                )?;
                break;
            }
            let Some(object) = Object::read(element) else {
                continue;
            };
            let (person, more) = quiet_card(&object);
            for id in &person.ids {
                cards.by_id.insert(id.value.clone(), cards.cards.len());
            }
            cards.cards.push(Card {
                person,
                raw: element,
                more,
                told: Cell::new(false),
            });
        }
        Ok(())
    }

    /// The same person with what their card adds: name, user name, further ids.
    pub(super) fn complete(&self, mut person: Participant<'a>) -> Participant<'a> {
        if let Some(card) = self.of(&person) {
            if card.more.is_empty() {
                card.told.set(true);
            }
            person.name = person.name.or_else(|| card.person.name.clone());
            let ids = card.person.ids.iter();
            ids.for_each(|id| add(&mut person, Some(id.clone())));
        }
        person
    }

    /// The same, with everything else on their card put into details.
    pub(super) fn told(
        &self,
        walk: &mut Walk<'a, '_>,
        person: Participant<'a>,
        details: &mut Shown,
    ) -> io::Result<Participant<'a>> {
        let person = self.complete(person);
        self.of(&person)
            .map_or(Ok(()), |card| card.show_more(walk, details))?;
        Ok(person)
    }

    /// The card of this person.
    pub(super) fn of(&self, person: &Participant<'_>) -> Option<&Card<'a>> {
        let named = person.ids.iter().find_map(|id| self.by_id.get(&id.value));
        let place = named.or_else(|| {
            let phones = person.ids.iter().filter(|id| id.kind == "phone");
            let others = phones.filter_map(|id| other_form(id.value.reveal()));
            others
                .into_iter()
                .find_map(|form| self.by_id.get(&Content::new(form)))
        });
        place.and_then(|&place| self.cards.get(place))
    }

    /// The cards that no record has told of.
    pub(super) fn untold(&self) -> impl Iterator<Item = &Card<'a>> {
        self.cards.iter().filter(|card| !card.told.get())
    }
}

const CARD_IDS: &[&str] = &["wa_id", "user_id", "parent_user_id"];

const PROFILE: &[&str] = &["name", "username"];

/// The person on a card, and what else it says.
fn quiet_card<'a>(object: &Object<'a>) -> (Participant<'a>, Vec<(Cow<'a, str>, &'a RawValue)>) {
    let text = |object: &Object<'a>, name: &str| match object.get(name).map(super::json::text) {
        Some(super::json::Text::Whole(text)) if !text.is_empty() => Some(text),
        _ => None,
    };
    let mut person = Participant::default();
    let mut more = rest(object, &[CARD_IDS, &["profile"]]);
    for name in CARD_IDS {
        add(&mut person, text(object, name).and_then(identifier));
    }
    if let Some(profile) = object.get("profile").and_then(Object::read) {
        person.name = text(&profile, "name").map(Content::new);
        add(&mut person, text(&profile, "username").map(username));
        more.extend(rest(&profile, &[PROFILE]));
    }
    (person, more)
}

/// The fields of an object that are in none of the lists, and hold something.
fn rest<'a>(object: &Object<'a>, but: &[&[&str]]) -> Vec<(Cow<'a, str>, &'a RawValue)> {
    let fields = object.fields().iter();
    let rest = fields.filter(|field| !but.iter().any(|names| names.contains(&&*field.name)));
    rest.filter(|field| field.value.get() != "null")
        .map(|field| (field.name.clone(), field.value))
        .collect()
}

/// A name the person chose, as it is written.
pub(super) fn username(value: Cow<'_, str>) -> Identifier<'_> {
    Identifier {
        kind: "username".into(),
        value: Content::new(value),
    }
}

/// Gives one contact card as bytes that belong to its person.
pub(super) fn card<'a>(walk: &mut Walk<'a, '_>, raw: &'a RawValue, alone: bool) -> io::Result<()> {
    let Some(object) = walk.object(raw)? else {
        return walk.lost("wrong-type", "a contact card is not an object", raw);
    };
    let mut person = named(walk, &object, CARD_IDS)?;
    if let Some(profile) = walk.object_in(&object, "profile")? {
        person.name = walk.content(&profile, "name")?;
        add(&mut person, walk.text(&profile, "username")?.map(username));
        walk.tell_all_unknown(&profile, "profile", &[PROFILE, &["country_code"]])?;
    }
    let known: &[&str] = &["profile", "identity_key_hash"];
    walk.tell_all_unknown(&object, "contact", &[CARD_IDS, known])?;
    let conversation = if alone { direct(&person) } else { None };
    walk.belongs(raw, conversation.as_ref(), someone(person).as_ref())
}

/// The vendor's id of one of the company's numbers: digits, but no number to call.
pub(super) fn phone_number_id(value: Cow<'_, str>) -> Identifier<'_> {
    Identifier {
        kind: "phone_number_id".into(),
        value: Content::new(value),
    }
}
