//! Records of the ring as bytes.

use model::bytes::{Malformed, Reader, Writer};
use model::{KeyId, Position};
use zeroize::Zeroizing;

use super::{Record, SecretKind};
use crate::suite::Key;

/// The bytes of a record.
pub fn encode_record(record: &Record) -> Vec<u8> {
    let mut out = Writer::new();
    match record {
        Record::Secret {
            id,
            kind,
            label,
            at,
            secret,
        } => {
            out.u8(1)
                .raw(&id.0)
                .u8(*kind as u8)
                .raw(label)
                .u64(at.0)
                .raw(secret.reveal());
        }
        Record::Destroyed { id, kind, label, at } => {
            out.u8(2).raw(&id.0).u8(*kind as u8).raw(label).u64(at.0);
        }
        Record::Item { class, name, bytes } => {
            out.u8(3).name(class).name(name).blob(bytes);
        }
    }
    out.into_bytes()
}

/// Reads a record; trailing bytes are refused.
pub fn decode_record(bytes: &[u8]) -> Result<Record, Malformed> {
    let mut reader = Reader::new(bytes, "key store record");
    let sort = reader.u8()?;
    if sort == 3 {
        let (class, name) = (reader.name()?.to_owned(), reader.name()?.to_owned());
        let bytes = Zeroizing::new(reader.blob()?.to_vec());
        reader.end()?;
        return Ok(Record::Item { class, name, bytes });
    }
    let id = KeyId(reader.array()?);
    let code = reader.u8()?;
    let kind = SecretKind::ALL.iter().copied().find(|kind| *kind as u8 == code);
    let kind = kind.ok_or(Malformed::Value("kind of secret"))?;
    let (label, at) = (reader.array()?, Position(reader.u64()?));
    let record = match sort {
        1 => Record::Secret {
            id,
            kind,
            label,
            at,
            secret: Key::from_bytes(reader.array()?),
        },
        2 => Record::Destroyed { id, kind, label, at },
        _ => return Err(Malformed::Value("key store record")),
    };
    reader.end()?;
    Ok(record)
}
