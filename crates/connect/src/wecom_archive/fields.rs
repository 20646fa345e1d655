//! Fields of a body that was read as a tree: numbers come as text and texts as numbers, depending on who passed a
//! message on.

use model::Timestamp;
use serde_json::{Map, Value};

/// The fields of a body.
pub(super) type Fields = Map<String, Value>;

/// 2009-01-01: earlier than the vendor itself.
const EARLIEST_SECONDS: i64 = 1_230_768_000;
/// 2100-01-01. In milliseconds both lie far beyond, so the size of a number tells its unit.
const LATEST_SECONDS: i64 = 4_102_444_800;

/// A text that is not empty; a number as it is written.
pub(super) fn text(fields: &Fields, name: &str) -> Option<String> {
    match fields.get(name)? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A whole number, as such or as text.
pub(super) fn number(fields: &Fields, name: &str) -> Option<u64> {
    match fields.get(name)? {
        Value::Number(number) => number.as_u64(),
        Value::String(digits) => digits.parse().ok(),
        _ => None,
    }
}

/// The instant in a field: see [`instant`].
pub(super) fn time(fields: &Fields, name: &str) -> Option<Timestamp> {
    instant(&text(fields, name)?)
}

/// Seconds or milliseconds since 1970, told apart by their size.
pub(super) fn instant(digits: &str) -> Option<Timestamp> {
    let number = digits.parse::<i64>().ok()?;
    if (EARLIEST_SECONDS..LATEST_SECONDS).contains(&number) {
        return Some(Timestamp::from_seconds(number));
    }
    let millis = EARLIEST_SECONDS * 1_000..LATEST_SECONDS * 1_000;
    millis
        .contains(&number)
        .then(|| Timestamp::from_micros(number.saturating_mul(1_000)))
}

/// The objects in a list.
pub(super) fn objects<'f>(fields: &'f Fields, name: &str) -> impl Iterator<Item = &'f Fields> {
    fields
        .get(name)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_object)
}

#[cfg(test)]
mod tests {
    use super::instant;

    #[test]
    fn the_size_of_a_time_tells_its_unit() {
        let check = |digits: &str, expected: Option<&str>| {
            assert_eq!(
                instant(digits).map(|at| at.to_string()).as_deref(),
                expected,
                "{digits}"
            );
        };
        check("1603875610", Some("2020-10-28T09:00:10Z"));
        check("1603875610123", Some("2020-10-28T09:00:10.123Z"));
        check("1230768000", Some("2009-01-01T00:00:00Z"));
        check("1230768000000", Some("2009-01-01T00:00:00Z"));
        check("4102444799", Some("2099-12-31T23:59:59Z"));
        for digits in [
            "",
            "0",
            "-1",
            "1230767999",
            "4102444800",
            "1230767999999",
            "4102444800000",
            "1603875610123000",
            "16038756101230000000000",
            "1603875610.5",
            "1e9",
            "2020-10-28",
            "soon",
        ] {
            check(digits, None);
        }
    }
}
