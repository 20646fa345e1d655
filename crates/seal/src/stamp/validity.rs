//! Until when a certificate holds.

use model::Timestamp;

use super::StampError;
use super::read::{Elements, INTEGER, SEQUENCE, SHORT_TIME, TIME, WRONG, context, only};

/// Until when a certificate says that it holds; none where it is no certificate. Nothing of it is checked.
///
/// *Source:* RFC 5280, sections 4.1 and 4.1.2.5.
pub fn holds_until(certificate: &[u8]) -> Option<Timestamp> {
    read(certificate).ok()
}

fn read(certificate: &[u8]) -> Result<Timestamp, StampError> {
    let mut whole = Elements::of(only(certificate, SEQUENCE)?)?;
    let mut body = whole.inside(SEQUENCE)?;
    body.take_if(context(0))?;
    body.take(INTEGER)?;
    body.take(SEQUENCE)?;
    body.take(SEQUENCE)?;
    let mut validity = body.inside(SEQUENCE)?;
    time(&mut validity)?;
    let until = time(&mut validity)?;
    validity.end()?;
    Ok(until)
}

/// `YYMMDDhhmmssZ`, of the years 1950 to 2049, or `YYYYMMDDhhmmssZ`.
fn time(elements: &mut Elements<'_>) -> Result<Timestamp, StampError> {
    let (text, century) = match elements.take_if(SHORT_TIME)? {
        Some(text) => {
            let is_late = text.first().is_some_and(|decade| *decade < b'5');
            (text, if is_late { "20" } else { "19" })
        }
        None => (elements.take(TIME)?, ""),
    };
    let text = std::str::from_utf8(text).map_err(|_| WRONG)?;
    let text = format!("{century}{}", text.strip_suffix('Z').ok_or(WRONG)?);
    if text.len() != 14 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(WRONG);
    }
    let part = |from, to| text.get(from..to).ok_or(WRONG);
    let (date, clock) = (
        [part(0, 4)?, part(4, 6)?, part(6, 8)?].join("-"),
        [part(8, 10)?, part(10, 12)?, part(12, 14)?].join(":"),
    );
    Timestamp::parse(&format!("{date}T{clock}Z")).map_err(|_| WRONG)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(tag: u8, value: &[u8]) -> Vec<u8> {
        [&[tag, u8::try_from(value.len()).unwrap()], value].concat()
    }

    /// A certificate as far as it is read.
    fn certificate(until: &[u8]) -> Vec<u8> {
        let validity = [element(SHORT_TIME, b"240101000000Z"), until.to_vec()].concat();
        let body = [
            element(context(0), &element(INTEGER, &[2])),
            element(INTEGER, &[1]),
            element(SEQUENCE, &[]),
            element(SEQUENCE, &[]),
            element(SEQUENCE, &validity),
        ];
        element(SEQUENCE, &element(SEQUENCE, &body.concat()))
    }

    #[test]
    fn the_end_of_a_certificate_is_read_in_both_forms_and_nothing_else_is_taken_for_it() {
        let check = |tag: u8, text: &[u8], expected: Option<&str>| {
            let found = holds_until(&certificate(&element(tag, text)));
            assert_eq!(found.map(|at| at.to_string()).as_deref(), expected, "{text:?}");
        };
        check(SHORT_TIME, b"270331235959Z", Some("2027-03-31T23:59:59Z"));
        check(SHORT_TIME, b"491231235959Z", Some("2049-12-31T23:59:59Z"));
        check(SHORT_TIME, b"991231235959Z", Some("1999-12-31T23:59:59Z"));
        check(TIME, b"20500101000000Z", Some("2050-01-01T00:00:00Z"));
        for (tag, text) in [
            (SHORT_TIME, &b"270331235959"[..]),
            (SHORT_TIME, b"2703312359Z"),
            (SHORT_TIME, b"270331235959+0100"),
            (SHORT_TIME, b"27033123595xZ"),
            (SHORT_TIME, b"271331235959Z"),
            (TIME, b"20500101000000.5Z"),
            (TIME, b""),
            (INTEGER, b"20500101000000Z"),
        ] {
            check(tag, text, None);
        }
        let whole = certificate(&element(TIME, b"20500101000000Z"));
        for cut in 0..whole.len() {
            assert_eq!(holds_until(&whole[..cut]), None, "{cut}");
        }
    }
}
