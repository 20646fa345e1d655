//! The head of the ring's file: the zone, and the master key sealed under a passphrase or a key file.

use model::ZoneId;
use model::bytes::{Malformed, Reader, Writer};
use model::entry::FORMAT;
use zeroize::Zeroizing;

use super::{KeyringError, PassphraseCost, Unlock};
use crate::suite::{self, Key, SealError};

const MAGIC: [u8; 8] = *b"CHKEYRG1";

fn stretch(unlock: &Unlock<'_>, salt: &[u8; 16], cost: PassphraseCost) -> Result<Key, KeyringError> {
    match unlock {
        Unlock::Passphrase(passphrase) => {
            if passphrase.is_empty() {
                return Err(KeyringError::Weak("the passphrase is empty"));
            }
            let params = argon2::Params::new(cost.memory_kib, cost.passes, 1, Some(32))
                .map_err(|_| Malformed::Value("passphrase cost"))?;
            let argon = argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, params);
            let mut out = Zeroizing::new([0; 32]);
            argon
                .hash_password_into(passphrase, salt, out.as_mut())
                .map_err(|_| SealError::Provider)?;
            Ok(Key::from_bytes(*out))
        }
        Unlock::KeyFile(bytes) => {
            if bytes.len() < 32 {
                return Err(KeyringError::Weak("the key file has fewer than 32 bytes"));
            }
            Ok(suite::derive(salt, bytes, &[b"chancery/1/keyfile"])?)
        }
    }
}

impl Unlock<'_> {
    const fn code(&self) -> u8 {
        match self {
            Unlock::Passphrase(_) => 1,
            Unlock::KeyFile(_) => 2,
        }
    }
}

/// The bytes of a head with this master key.
pub fn encode_head(
    zone: &ZoneId,
    unlock: &Unlock<'_>,
    cost: PassphraseCost,
    master: &Key,
) -> Result<Vec<u8>, KeyringError> {
    let (salt, nonce) = (suite::random()?, suite::random()?);
    let mut fields = Writer::new();
    fields
        .u16(FORMAT)
        .name(zone.as_str())
        .u8(unlock.code())
        .u32(cost.memory_kib)
        .u32(cost.passes)
        .raw(&salt);
    let mut sealed = master.reveal().to_vec();
    suite::seal(
        &stretch(unlock, &salt, cost)?,
        nonce,
        fields.as_bytes(),
        &mut sealed,
    )?;
    fields.raw(&nonce).raw(&sealed);
    let mut head = Writer::new();
    head.raw(&MAGIC).blob(fields.as_bytes());
    let crc = crc32c::crc32c(head.as_bytes());
    head.u32(crc);
    Ok(head.into_bytes())
}

/// The zone and the length of a head, without opening it.
pub fn split_head(bytes: &[u8]) -> Result<(ZoneId, usize), KeyringError> {
    let mut outer = Reader::new(bytes, "key store head");
    if outer.array::<8>()? != MAGIC {
        return Err(Malformed::Value("key store magic").into());
    }
    let fields = outer.blob()?;
    let covered = bytes.len() - outer.rest().len();
    if outer.u32()? != crc32c::crc32c(bytes.get(..covered).unwrap_or(&[])) {
        return Err(Malformed::Value("key store head").into());
    }
    let mut reader = Reader::new(fields, "key store head");
    let format = reader.u16()?;
    if format != FORMAT {
        return Err(Malformed::Format(format).into());
    }
    let zone = reader.name()?.parse().map_err(|_| Malformed::Value("zone"))?;
    Ok((zone, covered + 4))
}

/// The zone, the master key, and the length of the head.
pub fn open_head(bytes: &[u8], unlock: &Unlock<'_>) -> Result<(ZoneId, Key, usize), KeyringError> {
    let (zone, head_bytes) = split_head(bytes)?;
    let mut outer = Reader::new(bytes, "key store head");
    outer.array::<8>()?;
    let fields = outer.blob()?;
    let mut reader = Reader::new(fields, "key store head");
    reader.u16()?;
    reader.name()?;
    let code = reader.u8()?;
    if code != unlock.code() {
        return Err(KeyringError::OtherSort(if code == 1 {
            "a passphrase"
        } else {
            "a key file"
        }));
    }
    let cost = PassphraseCost {
        memory_kib: reader.u32()?,
        passes: reader.u32()?,
    };
    if cost.memory_kib > 4 << 20 || cost.passes > 64 {
        return Err(Malformed::Value("passphrase cost").into());
    }
    let salt = reader.array()?;
    let aad = fields.get(..fields.len() - reader.rest().len()).unwrap_or(&[]);
    let nonce = reader.array()?;
    let mut master = Zeroizing::new(Vec::new());
    suite::open(
        &stretch(unlock, &salt, cost)?,
        nonce,
        aad,
        reader.rest(),
        &mut master,
    )
    .map_err(|_| KeyringError::Wrong)?;
    let master = <[u8; 32]>::try_from(master.as_slice()).map_err(|_| KeyringError::Wrong)?;
    Ok((zone, Key::from_bytes(master), head_bytes))
}
