//! The CMS structure of a token, and what is signed in it.

use aws_lc_rs::digest::{self, Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA384, SHA512};
use model::Timestamp;
use rustls_pki_types::SignatureVerificationAlgorithm;
use webpki::EndEntityCert;

use super::StampError;
use super::read::{
    BOOLEAN, Elements, INTEGER, OCTETS, OID, SEQUENCE, SET, TIME, WRONG, algorithm, context, number, only,
};

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
        while given.is_next(SEQUENCE) {
            certificates.push(given.whole()?);
        }
        given.end()?;
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
            let certificate = Certificate::read(der)?;
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
        let (mut of_type, mut of_content, mut by_certificate) = (0, 0, 0);
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
                    names_certificate(values, name == SIGNING_CERTIFICATE_V2, certificate)?;
                    by_certificate += 1;
                }
                CONTENT_TYPE => return Err(WRONG),
                _ => {}
            }
        }
        match (of_type, of_content, by_certificate) {
            (1, 1, 1..=2) => Ok(()),
            (1, 1, 0) => Err(StampError::Is("does not name its signing certificate")),
            _ => Err(WRONG),
        }
    }

    /// The signature over the signed attributes.
    pub(super) fn check_signature(&self, certificate: &EndEntityCert<'_>) -> Result<(), StampError> {
        // RFC 5652, 5.4: signed as a SET, though it stands under another tag.
        let mut message = vec![SET];
        push_length(&mut message, self.attributes.len());
        message.extend_from_slice(self.attributes);
        let schemes = self.schemes();
        if schemes.is_empty() {
            return Err(StampError::Is("signed in a way that is not taken here"));
        }
        let fits = |scheme: &&dyn SignatureVerificationAlgorithm| {
            certificate
                .verify_signature(*scheme, &message, self.signature)
                .is_ok()
        };
        if schemes.iter().any(fits) {
            Ok(())
        } else {
            Err(StampError::Is("its signature does not match"))
        }
    }

    /// The ways in which it may be signed: the certificate's key decides among them.
    fn schemes(&self) -> Vec<&'static dyn SignatureVerificationAlgorithm> {
        use webpki::aws_lc_rs as by;
        let place = [&SHA256, &SHA384, &SHA512]
            .iter()
            .position(|hash| **hash == *self.hash);
        let Some(place) = place else { return Vec::new() };
        let is_rsa = |scheme: &[u8]| RSA.first() == Some(&scheme) || RSA.get(place + 1) == Some(&scheme);
        match (self.scheme, place) {
            (scheme, 0) if is_rsa(scheme) => vec![by::RSA_PKCS1_2048_8192_SHA256],
            (scheme, 1) if is_rsa(scheme) => vec![by::RSA_PKCS1_2048_8192_SHA384],
            (scheme, 2) if is_rsa(scheme) => vec![by::RSA_PKCS1_2048_8192_SHA512],
            (scheme, 0) if ECDSA.first() == Some(&scheme) => {
                vec![
                    by::ECDSA_P256_SHA256,
                    by::ECDSA_P384_SHA256,
                    by::ECDSA_P521_SHA256,
                ]
            }
            (scheme, 1) if ECDSA.get(1) == Some(&scheme) => {
                vec![
                    by::ECDSA_P256_SHA384,
                    by::ECDSA_P384_SHA384,
                    by::ECDSA_P521_SHA384,
                ]
            }
            (scheme, 2) if ECDSA.get(2) == Some(&scheme) => {
                vec![
                    by::ECDSA_P256_SHA512,
                    by::ECDSA_P384_SHA512,
                    by::ECDSA_P521_SHA512,
                ]
            }
            _ => Vec::new(),
        }
    }
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
    let mut id = ids.inside(SEQUENCE)?;
    let hash = match second {
        false => &SHA1_FOR_LEGACY_USE_ONLY,
        true if id.is_next(SEQUENCE) => hash_by(algorithm(&mut id)?)?,
        true => &SHA256,
    };
    if id.take(OCTETS)? == digest::digest(hash, certificate).as_ref() {
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
    issuer: &'a [u8],
    serial: &'a [u8],
    key_id: Option<&'a [u8]>,
    /// Whether the extension is critical, and the usages it names.
    pub(super) usages: Option<(bool, Vec<&'a [u8]>)>,
    /// Common name, or the organization's.
    pub(super) name: String,
}

impl<'a> Certificate<'a> {
    fn read(der: &'a [u8]) -> Result<Self, StampError> {
        let mut whole = Elements::of(only(der, SEQUENCE)?)?;
        let mut body = whole.inside(SEQUENCE)?;
        body.take_if(context(0))?;
        let serial = body.take(INTEGER)?;
        body.take(SEQUENCE)?;
        let issuer = body.take(SEQUENCE)?;
        body.take(SEQUENCE)?;
        let subject = body.take(SEQUENCE)?;
        body.take(SEQUENCE)?;
        let mut certificate = Certificate {
            der,
            issuer,
            serial,
            key_id: None,
            usages: None,
            name: name_in(subject)?,
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
            let critical = extension.take_if(BOOLEAN)? == Some(&[0xff]);
            let value = extension.take(OCTETS)?;
            extension.end()?;
            if name == SUBJECT_KEY_ID {
                self.key_id = Some(only(value, OCTETS)?);
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
                COMMON_NAME => common = text,
                ORGANIZATION => organization = text,
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
        info.take_if(BOOLEAN)?;
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
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let part = |from, to| whole.get(from..to).ok_or(WRONG);
        if whole.len() != 14 {
            return Err(WRONG);
        }
        let (year, month, day) = (part(0, 4)?, part(4, 6)?, part(6, 8)?);
        let (hour, minute, second) = (part(8, 10)?, part(10, 12)?, part(12, 14)?);
        // Finer than a microsecond is not kept.
        let fraction = fraction.get(..6).unwrap_or(fraction);
        let dot = if fraction.is_empty() { "" } else { "." };
        let text = format!("{year}-{month}-{day}T{hour}:{minute}:{second}{dot}{fraction}Z");
        Timestamp::parse(&text).map_err(|_| WRONG)
    }

    /// The stated time and the stated inaccuracy.
    pub(super) fn at(&self) -> Result<Timestamp, StampError> {
        let at = self.generated_at()?.as_micros();
        Ok(Timestamp::from_micros(at.saturating_add(self.accuracy_micros)))
    }
}

fn accuracy_micros(accuracy: &[u8]) -> Result<i64, StampError> {
    let mut accuracy = Elements::of(accuracy)?;
    let mut sum: u64 = 0;
    for (tag, unit) in [(INTEGER, 1_000_000), (0x80, 1000), (0x81, 1)] {
        if let Some(value) = accuracy.take_if(tag)? {
            sum = sum.saturating_add(number(value)?.saturating_mul(unit));
        }
    }
    accuracy.end()?;
    i64::try_from(sum).map_err(|_| WRONG)
}
