//! Who is who, told by the form of the id, and whose conversation it is.

use std::borrow::Cow;
use std::collections::BTreeSet;

use model::Content;
use model::record::{Conversation, ConversationShape, Direction, Identifier, Participant};
use serde_json::Value;

/// On which side somebody stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// A member of the company, under a userid that the company chose.
    Staff,
    /// A WeChat user, or a member of another company.
    Outside,
    Robot,
}

/// Random characters from here on are the vendor's: it gives out 30 after the prefix.
const VENDOR_CHARACTERS: usize = 18;

/// People named by one message of which the id of a conversation without a room is still made.
const MAX_NAMED: usize = 64;

/// The side of somebody with this id. The vendor's ids begin with `wo`, `wm` or `wb`; so may a userid that the company
/// chose (`woody`), so what follows must look as if nobody had chosen it.
pub(super) fn side(id: &str) -> Side {
    let side = match id.get(..2) {
        Some("wo" | "wm") => Side::Outside,
        Some("wb") => Side::Robot,
        _ => return Side::Staff,
    };
    let rest = id.get(2..).unwrap_or_default();
    let random = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit();
    let plain = rest
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    let long = plain && rest.len() >= VENDOR_CHARACTERS && rest.contains(random);
    // Cut short (`wmErxt…`), or blacked out (`wmxxxxxx`), as ids are in what people hand on.
    let cut = rest.starts_with(|c: char| random(c) || c == '_' || c == '-');
    let black = rest.len() >= 3
        && ["x", "*"]
            .iter()
            .any(|mark| rest.chars().all(|c| mark.contains(c)));
    if long || cut || black { side } else { Side::Staff }
}

/// The typed id.
pub(super) fn identifier(id: Cow<'_, str>) -> Identifier<'_> {
    let kind = match side(&id) {
        Side::Staff => "wecom_userid",
        Side::Outside => "wecom_external",
        Side::Robot => "wecom_robot",
    };
    Identifier {
        kind: kind.into(),
        value: Content::new(id),
    }
}

/// Somebody of whom the id is known; the archive gives no names.
pub(super) fn somebody(id: Cow<'_, str>) -> Participant<'_> {
    Participant {
        name: None,
        ids: vec![identifier(id)],
    }
}

/// Ids as details show them.
pub(super) fn shown<'i>(ids: impl Iterator<Item = &'i str>) -> Value {
    let one = |id: &'i str| {
        let id = identifier(Cow::Borrowed(id));
        serde_json::json!({"kind": id.kind, "value": id.value.reveal()})
    };
    ids.map(one).collect()
}

/// Where it was said: in the room, or else among those it names, whoever of them wrote. The vendor gives a conversation
/// of two no id, so the two ids, sorted and joined by `|` (which no id may hold), are it.
pub(super) fn conversation<'a>(
    room: Option<Cow<'a, str>>,
    from: Option<&str>,
    to: &[Cow<'a, str>],
) -> Option<Conversation<'a>> {
    if let Some(room) = room {
        return Some(Conversation {
            id: Some(Content::new(room)),
            title: None,
            shape: ConversationShape::Group,
        });
    }
    let people: BTreeSet<&str> = from.into_iter().chain(to.iter().map(|id| &**id)).collect();
    let known = from.is_some() && !to.is_empty();
    let id = (known && people.len() <= MAX_NAMED)
        .then(|| Content::new(people.iter().copied().collect::<Vec<_>>().join("|")));
    let shape = match people.len() {
        2 => ConversationShape::Direct,
        _ => ConversationShape::Unknown,
    };
    known.then_some(Conversation {
        id,
        title: None,
        shape,
    })
}

/// Whether it went out of the company. What somebody outside or a robot wrote came in; what staff wrote to somebody
/// outside went out; among staff it depends on whose record it is.
pub(super) fn direction(
    from: Option<&str>,
    to: &[Cow<'_, str>],
    outside_takes_part: bool,
    custodian: Option<&str>,
) -> Direction {
    let Some(from) = from else {
        return Direction::Unknown;
    };
    match custodian {
        Some(custodian) if custodian == from => return Direction::Out,
        Some(custodian) if to.iter().any(|id| id == custodian) => return Direction::In,
        _ => {}
    }
    match side(from) {
        Side::Outside | Side::Robot => Direction::In,
        Side::Staff if outside_takes_part || to.iter().any(|id| side(id) == Side::Outside) => Direction::Out,
        Side::Staff => Direction::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::{Side, side};

    fn check(side_expected: Side, ids: &[&str]) {
        for id in ids {
            assert_eq!(side(id), side_expected, "{id}");
        }
    }

    #[test]
    fn ids_of_the_vendor_are_told_by_form() {
        let outside = [
            "wmQ7rTgBAAk3vXz0LpYdE5sHc1JfNuWa",
            "woQ7rTgBAAk3vXz0LpYdE5sHc1JfNuWa",
        ];
        check(Side::Outside, &outside);
        check(
            Side::Outside,
            &[
                "wmqprstgbaak3vxzlpydehcjfnuwa-_x",
                "wmQ7r",
                "wo_1",
                "wmxxxxxx",
                "wo***",
            ],
        );
        check(Side::Robot, &["wbQ7rTgBAAk3vXz0LpYdE5sHc1JfNuWa", "wbB1"]);
    }

    #[test]
    fn a_userid_that_begins_like_one_of_the_vendors_is_staff() {
        check(
            Side::Staff,
            &[
                "woody",
                "wmiller",
                "wbush",
                "wo",
                "wm",
                "",
                "wolfgangamadeusmozart",
                "wolfgang.a.mozart2@example.com",
            ],
        );
        check(
            Side::Staff,
            &[
                "ZhangSan",
                "WOLF1",
                "张三",
                "w",
                "wr1234567890ABCDEFGHIJ",
                "womöglich-ein-langer-Name1",
            ],
        );
    }
}
