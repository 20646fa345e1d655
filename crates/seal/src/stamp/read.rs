//! Reading DER, element by element.

use der::asn1::AnyRef;
use der::{Decode, Reader, SliceReader};

use super::StampError;

pub(super) const INTEGER: u8 = 2;
pub(super) const BITS: u8 = 3;
pub(super) const OCTETS: u8 = 4;
pub(super) const NULL: u8 = 5;
pub(super) const OID: u8 = 6;
const BOOLEAN: u8 = 1;
pub(super) const SHORT_TIME: u8 = 0x17;
pub(super) const TIME: u8 = 0x18;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;

/// A context-specific, constructed tag.
pub(super) const fn context(number: u8) -> u8 {
    0xa0 | number
}

pub(super) const WRONG: StampError = StampError::Is("not a time stamp in its form");

/// The elements of a value, one after the other.
pub(super) struct Elements<'a>(SliceReader<'a>);

impl<'a> Elements<'a> {
    pub(super) fn of(value: &'a [u8]) -> Result<Self, StampError> {
        SliceReader::new(value).map(Elements).map_err(|_| WRONG)
    }

    /// Whether the next element has this tag.
    pub(super) fn is_next(&self, tag: u8) -> bool {
        self.0.peek_byte() == Some(tag)
    }

    pub(super) fn is_done(&self) -> bool {
        self.0.is_finished()
    }

    /// The value of the next element, which must have this tag.
    pub(super) fn take(&mut self, tag: u8) -> Result<&'a [u8], StampError> {
        self.take_if(tag)?.ok_or(WRONG)
    }

    /// The value of the next element, if it has this tag.
    pub(super) fn take_if(&mut self, tag: u8) -> Result<Option<&'a [u8]>, StampError> {
        if !self.is_next(tag) {
            return Ok(None);
        }
        let element = AnyRef::decode(&mut self.0).map_err(|_| WRONG)?;
        Ok(Some(element.value()))
    }

    /// The whole of the next element, tag and length included.
    pub(super) fn whole(&mut self) -> Result<&'a [u8], StampError> {
        self.0.tlv_bytes().map_err(|_| WRONG)
    }

    /// The elements inside the next element.
    pub(super) fn inside(&mut self, tag: u8) -> Result<Elements<'a>, StampError> {
        Elements::of(self.take(tag)?)
    }

    /// Nothing follows.
    pub(super) fn end(self) -> Result<(), StampError> {
        if self.is_done() { Ok(()) } else { Err(WRONG) }
    }
}

/// The one element that a value is.
pub(super) fn only(value: &[u8], tag: u8) -> Result<&[u8], StampError> {
    let mut elements = Elements::of(value)?;
    let inside = elements.take(tag)?;
    elements.end()?;
    Ok(inside)
}

/// The identifier of an algorithm whose parameters are absent or NULL.
pub(super) fn algorithm<'a>(elements: &mut Elements<'a>) -> Result<&'a [u8], StampError> {
    let mut algorithm = elements.inside(SEQUENCE)?;
    let name = algorithm.take(OID)?;
    if let Some(parameters) = algorithm.take_if(NULL)?
        && !parameters.is_empty()
    {
        return Err(WRONG);
    }
    algorithm.end()?;
    Ok(name)
}

/// A truth that is false where nothing is said, so that DER never says that it is false.
pub(super) fn truth(elements: &mut Elements<'_>) -> Result<bool, StampError> {
    match elements.take_if(BOOLEAN)? {
        None => Ok(false),
        Some([0xff]) => Ok(true),
        Some(_) => Err(WRONG),
    }
}

/// A small whole number that is not negative, in its one spelling.
pub(super) fn number(value: &[u8]) -> Result<u64, StampError> {
    let negative = value.first().is_none_or(|first| first & 0x80 != 0);
    let longer = matches!(value, [0, next, ..] if next & 0x80 == 0);
    if negative || longer || value.len() > 8 {
        return Err(WRONG);
    }
    Ok(value.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
}
