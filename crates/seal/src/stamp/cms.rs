//! The CMS structure of a token, and what is signed in it.

use aws_lc_rs::digest::{self, Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA384, SHA512};
use model::Timestamp;
use rustls_pki_types::SignatureVerificationAlgorithm;

use super::StampError;
use super::read::{
    BITS, Elements, INTEGER, OCTETS, OID, SEQUENCE, SET, TIME, WRONG, algorithm, context, number, only, truth,
};
use crate::bundle::LATEST_SECONDS;

/// Content of object identifiers.
pub(super) const SHA_256: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1];
const SHA_384: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 2];
const SHA_512: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 3];
/// 1.2.840.113549.1.7.2
const SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2];
/// 1.2.840.113549.1.9.16.1.4
const TST_INFO: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 16, 1, 4];
/// 1.2.840.113549.1.9.3
const CONTENT_TYPE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 3];
/// 1.2.840.113549.1.9.4
const MESSAGE_DIGEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 4];
/// 1.2.840.113549.1.9.16.2.12, which names the certificate by SHA-1
const SIGNING_CERTIFICATE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 16, 2, 12];
/// 1.2.840.113549.1.9.16.2.47
const SIGNING_CERTIFICATE_V2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 16, 2, 47];
/// 1.2.840.113549.1.1.1, and with SHA-256, SHA-384, SHA-512
const RSA: [&[u8]; 4] = [
    &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1],
    &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11],
    &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 12],
    &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 13],
];
/// 1.2.840.10045.4.3.2 and the two after it
const ECDSA: [&[u8]; 3] = [
    &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2],
    &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3],
    &[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 4],
];
/// 2.5.4.3 and 2.5.4.10
const COMMON_NAME: &[u8] = &[0x55, 4, 3];
const ORGANIZATION: &[u8] = &[0x55, 4, 10];
/// 2.5.29.15
const KEY_USAGE: &[u8] = &[0x55, 0x1d, 15];
/// 2.5.29.37
const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 37];
/// 2.5.29.14
const SUBJECT_KEY_ID: &[u8] = &[0x55, 0x1d, 14];

fn hash_by(name: &[u8]) -> Result<&'static Algorithm, StampError> {
    match name {
        SHA_256 => Ok(&SHA256),
        SHA_384 => Ok(&SHA384),
        SHA_512 => Ok(&SHA512),
        _ => Err(StampError::Is("made with a hash that is not taken here")),
    }
}

/// The token in an answer whose status is granted.
pub(super) fn token_of(answer: &[u8]) -> Result<&[u8], StampError> {
    let mut answer = Elements::of(only(answer, SEQUENCE)?)?;
    let mut status = answer.inside(SEQUENCE)?;
    let status = number(status.take(INTEGER)?)?;
    if status > 1 {
        return Err(StampError::Refused(u8::try_from(status).unwrap_or(u8::MAX)));
    }
    let token = answer.whole()?;
    answer.end()?;
    Ok(token)
}

/// Who signed: issuer and serial number, or the key's identifier.
pub(super) enum Signer<'a> {
    Issuer { issuer: &'a [u8], serial: &'a [u8] },
    KeyId(&'a [u8]),
}

/// A token, read.
pub(super) struct Signed<'a> {
    /// What is stamped: a TSTInfo.
    pub(super) content: &'a [u8],
    pub(super) certificates: Vec<&'a [u8]>,
    pub(super) signer: Signer<'a>,
    hash: &'static Algorithm,
    /// Value of the signed attributes.
    attributes: &'a [u8],
    scheme: &'a [u8],
    signature: &'a [u8],
}

impl<'a> Signed<'a> {
    pub(super) fn read(token: &'a [u8]) -> Result<Self, StampError> {
        let mut outer = Elements::of(only(token, SEQUENCE)?)?;
        if outer.take(OID)? != SIGNED_DATA {
            return Err(WRONG);
        }
        let inner = outer.take(context(0))?;
        outer.end()?;
        let mut data = Elements::of(only(inner, SEQUENCE)?)?;
        // RFC 5652, 5.1: version 3 where the content is none of CMS's own.
        if data.take(INTEGER)? != [3] {
            return Err(WRONG);
        }
        let mut digests = data.inside(SET)?;
        let digest = algorithm(&mut digests)?;
        digests.end()?;
        let mut content = data.inside(SEQUENCE)?;
        if content.take(OID)? != TST_INFO {
            return Err(StampError::Is("not a time stamp"));
        }
        let octets = only(content.take(context(0))?, OCTETS)?;
        content.end()?;
        let mut certificates = Vec::new();
        let given = data.take_if(context(0))?;
        let mut given = Elements::of(given.ok_or(StampError::Is("holds no certificates"))?)?;
        while !given.is_done() {
            // Those of other kinds are not looked at.
            let is_one = given.is_next(SEQUENCE);
            let one = given.whole()?;
            if is_one {
                certificates.push(one);
            }
        }
        data.take_if(context(1))?;
        let mut signers = data.inside(SET)?;
        data.end()?;
        let mut signer = signers.inside(SEQUENCE)?;
        signers.end()?;
        let version = signer.take(INTEGER)?;
        let who = if version == [1] {
            let mut names = signer.inside(SEQUENCE)?;
            let (issuer, serial) = (names.take(SEQUENCE)?, names.take(INTEGER)?);
            names.end()?;
            Signer::Issuer { issuer, serial }
        } else if version == [3] {
            Signer::KeyId(signer.take(0x80)?)
        } else {
            return Err(WRONG);
        };
        let hash = algorithm(&mut signer)?;
        if hash != digest {
            return Err(WRONG);
        }
        let attributes = signer.take(context(0))?;
        let scheme = algorithm(&mut signer)?;
        let signature = signer.take(OCTETS)?;
        signer.take_if(context(1))?;
        signer.end()?;
        Ok(Signed {
            content: octets,
            certificates,
            signer: who,
            hash: hash_by(hash)?,
            attributes,
            scheme,
            signature,
        })
    }

    /// The certificate of the signer.
    pub(super) fn certificate(&self, signer: &Signer<'_>) -> Result<Certificate<'a>, StampError> {
        for der in &self.certificates {
            // What cannot be read is another's, and those are not looked at.
            let Ok(certificate) = Certificate::read(der) else {
                continue;
            };
            let found = match signer {
                Signer::Issuer { issuer, serial } => {
                    certificate.issuer == *issuer && certificate.serial == *serial
                }
                Signer::KeyId(id) => certificate.key_id == Some(id),
            };
            if found {
                return Ok(certificate);
            }
        }
        Err(StampError::Is("the certificate of its signer is not in it"))
    }

    /// The signed attributes: what is signed is a time stamp, of this content, by this certificate.
    pub(super) fn check_attributes(&self, certificate: &[u8]) -> Result<(), StampError> {
        let (mut of_type, mut of_content, mut by_certificate) = (0, 0, [0; 2]);
        let mut attributes = Elements::of(self.attributes)?;
        while !attributes.is_done() {
            let mut attribute = attributes.inside(SEQUENCE)?;
            let (name, values) = (attribute.take(OID)?, attribute.take(SET)?);
            attribute.end()?;
            match name {
                CONTENT_TYPE if only(values, OID)? == TST_INFO => of_type += 1,
                MESSAGE_DIGEST => {
                    if only(values, OCTETS)? != digest::digest(self.hash, self.content).as_ref() {
                        return Err(StampError::Is("was altered: its content has another hash"));
                    }
                    of_content += 1;
                }
                SIGNING_CERTIFICATE | SIGNING_CERTIFICATE_V2 => {
                    let second = name == SIGNING_CERTIFICATE_V2;
                    names_certificate(values, second, certificate)?;
                    let [of_first, of_second] = &mut by_certificate;
                    *(if second { of_second } else { of_first }) += 1;
                }
                CONTENT_TYPE => return Err(WRONG),
                _ => {}
            }
        }
        match (of_type, of_content, by_certificate) {
            (1, 1, [0, 1] | [1, 0] | [1, 1]) => Ok(()),
            (1, 1, [0, 0]) => Err(StampError::Is("does not name its signing certificate")),
            _ => Err(WRONG),
        }
    }

    /// The signature over the signed attributes.
    pub(super) fn check_signature(&self, certificate: &Certificate<'_>) -> Result<(), StampError> {
        // RFC 5652, 5.4: signed as a SET, though it stands under another tag.
        let mut message = vec![SET];
        push_length(&mut message, self.attributes.len());
        message.extend_from_slice(self.attributes);
        let hash = HASHES.iter().position(|hash| **hash == *self.hash);
        let schemes = match hash {
            Some(hash) if RSA.first() == Some(&self.scheme) => rsa_with(hash),
            Some(hash) if RSA.get(hash + 1) == Some(&self.scheme) => rsa_with(hash),
            Some(hash) if ECDSA.get(hash) == Some(&self.scheme) => ecdsa_with(hash),
            _ => vec![],
        };
        if schemes.is_empty() {
            return Err(StampError::Is("signed in a way that is not taken here"));
        }
        if certificate.verifies(&schemes, &message, self.signature) {
            Ok(())
        } else {
            Err(StampError::Is("its signature does not match"))
        }
    }
}

const HASHES: [&Algorithm; 3] = [&SHA256, &SHA384, &SHA512];

/// Ways to sign.
type Schemes = Vec<&'static dyn SignatureVerificationAlgorithm>;

/// With RSA and the hash at this place of [`HASHES`].
fn rsa_with(hash: usize) -> Schemes {
    use webpki::aws_lc_rs as by;
    match hash {
        0 => vec![by::RSA_PKCS1_2048_8192_SHA256],
        1 => vec![by::RSA_PKCS1_2048_8192_SHA384],
        2 => vec![by::RSA_PKCS1_2048_8192_SHA512],
        _ => vec![],
    }
}

/// With ECDSA and that hash: the key decides among the curves.
fn ecdsa_with(hash: usize) -> Schemes {
    use webpki::aws_lc_rs as by;
    match hash {
        0 => vec![
            by::ECDSA_P256_SHA256,
            by::ECDSA_P384_SHA256,
            by::ECDSA_P521_SHA256,
        ],
        1 => vec![
            by::ECDSA_P256_SHA384,
            by::ECDSA_P384_SHA384,
            by::ECDSA_P521_SHA384,
        ],
        2 => vec![
            by::ECDSA_P256_SHA512,
            by::ECDSA_P384_SHA512,
            by::ECDSA_P521_SHA512,
        ],
        _ => vec![],
    }
}

/// How a certificate of a chain may be signed: as a token may be.
pub(super) fn chain_schemes() -> Schemes {
    (0..HASHES.len())
        .flat_map(|hash| [rsa_with(hash), ecdsa_with(hash)].concat())
        .collect()
}

/// DER length.
fn push_length(out: &mut Vec<u8>, length: usize) {
    let bytes = length.to_be_bytes();
    let short = u8::try_from(length).ok().filter(|length| *length < 0x80);
    if let Some(short) = short {
        return out.push(short);
    }
    let from = bytes.iter().position(|byte| *byte != 0).unwrap_or(0);
    let bytes = bytes.get(from..).unwrap_or(&[]);
    out.push(0x80 | u8::try_from(bytes.len()).unwrap_or(0));
    out.extend_from_slice(bytes);
}

/// Whether the attribute's first certificate is this one, by its hash.
fn names_certificate(values: &[u8], second: bool, certificate: &[u8]) -> Result<(), StampError> {
    let mut attribute = Elements::of(only(values, SEQUENCE)?)?;
    let mut ids = attribute.inside(SEQUENCE)?;
    // Policies.
    attribute.take_if(SEQUENCE)?;
    attribute.end()?;
    let mut id = ids.inside(SEQUENCE)?;
    while !ids.is_done() {
        ids.take(SEQUENCE)?;
    }
    let hash = match second {
        false => &SHA1_FOR_LEGACY_USE_ONLY,
        true if id.is_next(SEQUENCE) => hash_by(algorithm(&mut id)?)?,
        true => &SHA256,
    };
    let stated = id.take(OCTETS)?;
    // Issuer and serial number once more.
    id.take_if(SEQUENCE)?;
    id.end()?;
    if stated == digest::digest(hash, certificate).as_ref() {
        Ok(())
    } else {
        Err(StampError::Is(
            "names another signing certificate than its signer's",
        ))
    }
}

/// What is needed of a certificate beside what `webpki` reads.
pub(super) struct Certificate<'a> {
    pub(super) der: &'a [u8],
    /// What is signed in it, by which algorithm, and the signature.
    signed: &'a [u8],
    scheme: &'a [u8],
    signature: &'a [u8],
    issuer: &'a [u8],
    serial: &'a [u8],
    subject: &'a [u8],
    /// Algorithm and bits of its key.
    key: (&'a [u8], &'a [u8]),
    key_id: Option<&'a [u8]>,
    /// Whether the extension is critical, and the usages it names.
    pub(super) usages: Option<(bool, Vec<&'a [u8]>)>,
    /// Whether its key usage leaves out the signing of certificates.
    pub(super) may_not_sign: bool,
}

impl<'a> Certificate<'a> {
    pub(super) fn read(der: &'a [u8]) -> Result<Self, StampError> {
        let mut whole = Elements::of(only(der, SEQUENCE)?)?;
        let signed = whole.whole()?;
        let scheme = whole.inside(SEQUENCE)?.take(OID)?;
        let signature = bits(&mut whole)?;
        whole.end()?;
        let mut body = Elements::of(only(signed, SEQUENCE)?)?;
        body.take_if(context(0))?;
        let serial = body.take(INTEGER)?;
        body.take(SEQUENCE)?;
        let issuer = body.take(SEQUENCE)?;
        body.take(SEQUENCE)?;
        let subject = body.take(SEQUENCE)?;
        let mut key = body.inside(SEQUENCE)?;
        let key = (key.take(SEQUENCE)?, bits(&mut key)?);
        let mut certificate = Certificate {
            der,
            signed,
            scheme,
            signature,
            issuer,
            serial,
            subject,
            key,
            key_id: None,
            usages: None,
            may_not_sign: false,
        };
        while !body.is_done() {
            if let Some(extensions) = body.take_if(context(3))? {
                certificate.extensions(only(extensions, SEQUENCE)?)?;
            } else {
                body.whole()?;
            }
        }
        Ok(certificate)
    }

    fn extensions(&mut self, extensions: &'a [u8]) -> Result<(), StampError> {
        let mut extensions = Elements::of(extensions)?;
        while !extensions.is_done() {
            let mut extension = extensions.inside(SEQUENCE)?;
            let name = extension.take(OID)?;
            let critical = truth(&mut extension)?;
            let value = extension.take(OCTETS)?;
            extension.end()?;
            if name == SUBJECT_KEY_ID {
                self.key_id = Some(only(value, OCTETS)?);
            } else if name == KEY_USAGE {
                // The number of unused bits; keyCertSign is the sixth.
                let bits = only(value, BITS)?.get(1).copied().unwrap_or(0);
                self.may_not_sign = bits & 0x04 == 0;
            } else if name == EXTENDED_KEY_USAGE {
                let mut usages = Elements::of(only(value, SEQUENCE)?)?;
                let mut all = Vec::new();
                while !usages.is_done() {
                    all.push(usages.take(OID)?);
                }
                self.usages = Some((critical, all));
            }
        }
        Ok(())
    }

    /// Who it says it is.
    pub(super) fn name(&self) -> Result<String, StampError> {
        name_in(self.subject)
    }

    /// Whether it has the name of another's issuer.
    pub(super) fn may_be_issuer_of(&self, other: &Certificate<'_>) -> bool {
        self.subject == other.issuer
    }

    /// Whether it has the key that signs another.
    pub(super) fn signs(&self, other: &Certificate<'_>) -> bool {
        let by_rsa = RSA.iter().skip(1).position(|name| *name == other.scheme);
        let by_curve = ECDSA.iter().position(|name| *name == other.scheme);
        let schemes = match (by_rsa, by_curve) {
            (Some(hash), _) => rsa_with(hash),
            (None, Some(hash)) => ecdsa_with(hash),
            (None, None) => return false,
        };
        self.verifies(&schemes, other.signed, other.signature)
    }

    /// Whether its key made a signature in one of these ways.
    fn verifies(
        &self,
        schemes: &[&'static dyn SignatureVerificationAlgorithm],
        message: &[u8],
        signature: &[u8],
    ) -> bool {
        let (algorithm, key) = self.key;
        let mut fitting = schemes
            .iter()
            .filter(|scheme| scheme.public_key_alg_id().as_ref() == algorithm);
        fitting.any(|scheme| scheme.verify_signature(key, message, signature).is_ok())
    }
}

/// Bits, all of the last byte used.
fn bits<'a>(elements: &mut Elements<'a>) -> Result<&'a [u8], StampError> {
    elements.take(BITS)?.strip_prefix(&[0]).ok_or(WRONG)
}

/// The common name in a distinguished name, else the organization.
fn name_in(subject: &[u8]) -> Result<String, StampError> {
    let (mut common, mut organization) = (None, None);
    let mut sets = Elements::of(subject)?;
    while !sets.is_done() {
        let mut pairs = sets.inside(SET)?;
        while !pairs.is_done() {
            let mut pair = pairs.inside(SEQUENCE)?;
            let kind = pair.take(OID)?;
            // UTF8String or PrintableString; another kind has no name to show.
            let text = match (pair.take_if(0x0c)?, pair.take_if(0x13)?) {
                (Some(text), _) | (None, Some(text)) => std::str::from_utf8(text).ok(),
                (None, None) => None,
            };
            match kind {
                COMMON_NAME => common = common.or(text),
                ORGANIZATION => organization = organization.or(text),
                _ => {}
            }
        }
    }
    Ok(common
        .or(organization)
        .unwrap_or("an authority without a name")
        .to_owned())
}

/// What was stamped, and when.
pub(super) struct TstInfo<'a> {
    hash: &'a [u8],
    imprint: &'a [u8],
    time: &'a [u8],
    accuracy_micros: i64,
    pub(super) nonce: Option<&'a [u8]>,
}

impl<'a> TstInfo<'a> {
    pub(super) fn read(content: &'a [u8]) -> Result<Self, StampError> {
        let mut info = Elements::of(only(content, SEQUENCE)?)?;
        if info.take(INTEGER)? != [1] {
            return Err(WRONG);
        }
        info.take(OID)?;
        let mut imprint = info.inside(SEQUENCE)?;
        let (hash, value) = (algorithm(&mut imprint)?, imprint.take(OCTETS)?);
        imprint.end()?;
        info.take(INTEGER)?;
        let time = info.take(TIME)?;
        let accuracy_micros = match info.take_if(SEQUENCE)? {
            Some(accuracy) => accuracy_micros(accuracy)?,
            None => 0,
        };
        truth(&mut info)?;
        let nonce = info.take_if(INTEGER)?;
        info.take_if(context(0))?;
        info.take_if(context(1))?;
        info.end()?;
        Ok(TstInfo {
            hash,
            imprint: value,
            time,
            accuracy_micros,
            nonce,
        })
    }

    pub(super) fn check_imprint(&self, expected: &[u8; 32]) -> Result<(), StampError> {
        if self.hash == SHA_256 && self.imprint == expected {
            Ok(())
        } else {
            Err(StampError::Is("is of something else: its imprint differs"))
        }
    }

    /// The time as stated: `YYYYMMDDhhmmss[.fraction]Z`.
    pub(super) fn generated_at(&self) -> Result<Timestamp, StampError> {
        let text = std::str::from_utf8(self.time).map_err(|_| WRONG)?;
        let text = text.strip_suffix('Z').ok_or(WRONG)?;
        let (whole, fraction) = match text.split_once('.') {
            Some((_, fraction)) if fraction.is_empty() || fraction.ends_with('0') => return Err(WRONG),
            Some(pieces) => pieces,
            None => (text, ""),
        };
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let part = |from, to| whole.get(from..to).ok_or(WRONG);
        if whole.len() != 14 || !digits(whole) || !digits(fraction) {
            return Err(WRONG);
        }
        let (year, month, day) = (part(0, 4)?, part(4, 6)?, part(6, 8)?);
        let (hour, minute, second) = (part(8, 10)?, part(10, 12)?, part(12, 14)?);
        // Finer than a microsecond is not kept.
        let fraction = fraction.get(..6).unwrap_or(fraction);
        let fraction = fraction.trim_end_matches('0');
        let dot = if fraction.is_empty() { "" } else { "." };
        let text = format!("{year}-{month}-{day}T{hour}:{minute}:{second}{dot}{fraction}Z");
        let at = Timestamp::parse(&text).map_err(|_| WRONG)?;
        (at >= Timestamp::from_seconds(0)).then_some(at).ok_or(WRONG)
    }

    /// The stated time and the stated inaccuracy.
    pub(super) fn at(&self) -> Result<Timestamp, StampError> {
        let at = self.generated_at()?.as_micros();
        let at = Timestamp::from_micros(at.saturating_add(self.accuracy_micros));
        let spelled = at < Timestamp::from_seconds(LATEST_SECONDS + 1);
        spelled.then_some(at).ok_or(WRONG)
    }
}

fn accuracy_micros(accuracy: &[u8]) -> Result<i64, StampError> {
    let mut accuracy = Elements::of(accuracy)?;
    let mut sum: u64 = 0;
    for (tag, unit) in [(INTEGER, 1_000_000), (0x80, 1000), (0x81, 1)] {
        if let Some(value) = accuracy.take_if(tag)? {
            let value = number(value)?;
            if tag != INTEGER && !(1..=999).contains(&value) {
                return Err(WRONG);
            }
            sum = sum.saturating_add(value.saturating_mul(unit));
        }
    }
    accuracy.end()?;
    i64::try_from(sum).map_err(|_| WRONG)
}
