//! Time stamps of RFC 3161: what an authority is asked, and whether what it answered holds.
//!
//! A token says that an authority saw a hash at a time. It is a CMS structure signed by a certificate; that the signature
//! is right is half of the check, whose certificate it is the other half. The chain is checked as of the time that the
//! token states, so that a token stays good after its certificate has expired.
//!
//! Source: RFC 3161 (request, token), RFC 5652 (CMS), RFC 2634 and 5035 (signing certificate), RFC 5280 by `rustls-webpki`.

mod cms;
mod read;
mod validity;

use std::time::Duration;

use model::Timestamp;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

pub use validity::holds_until;

use cms::{Certificate, Signed, TstInfo};

/// Media type of a request.
pub const REQUEST_TYPE: &str = "application/timestamp-query";
/// Media type of an answer.
pub const ANSWER_TYPE: &str = "application/timestamp-reply";

/// Longest answer that is read: a token, its chain, and what authorities add.
pub const ANSWER_BYTES_MAX: usize = 64 << 10;

/// Extended key usage timeStamping, 1.3.6.1.5.5.7.3.8.
const TIME_STAMPING: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 8];

/// Why a token is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StampError {
    /// The authority gave none.
    #[error("the authority refused, with status {0}")]
    Refused(u8),
    /// It may be good, and is another authority's.
    #[error("its certificate does not lead to a root that was given")]
    OtherRoot,
    /// Said in full by the text.
    #[error("{0}")]
    Is(&'static str),
}

/// A root that is trusted to say who is an authority.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root(CertificateDer<'static>);

impl Root {
    /// All certificates of a PEM text.
    ///
    /// # Errors
    /// [`StampError::Is`] when it holds none, or one of them is none.
    pub fn all(pem: &str) -> Result<Vec<Root>, StampError> {
        let wrong = StampError::Is("not a certificate in PEM form");
        let mut roots = Vec::new();
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            let certificate = certificate.map_err(|_| wrong.clone())?;
            anchor_from_trusted_cert(&certificate).map_err(|_| wrong.clone())?;
            roots.push(Root(certificate.into_owned()));
        }
        if roots.is_empty() { Err(wrong) } else { Ok(roots) }
    }
}

/// A request for a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    imprint: [u8; 32],
    nonce: [u8; 8],
}

impl Request {
    /// For a SHA-256 value, with a nonce made of random bytes.
    pub fn new(imprint: [u8; 32], mut random: [u8; 8]) -> Request {
        // A positive integer of eight bytes in its one encoding.
        if let Some(first) = random.first_mut() {
            *first = (*first & 0x7f) | 0x40;
        }
        Request {
            imprint,
            nonce: random,
        }
    }

    /// DER: version 1, SHA-256 imprint, nonce, and that certificates are wanted.
    pub fn encode(&self) -> Vec<u8> {
        // Everything has a fixed length, so the whole is a template. 0x43 bytes follow the first two.
        let mut out = vec![0x30, 0x43, 2, 1, 1, 0x30, 0x31, 0x30, 0x0d, 6, 9];
        out.extend_from_slice(cms::SHA_256);
        out.extend_from_slice(&[5, 0, 4, 0x20]);
        out.extend_from_slice(&self.imprint);
        out.extend_from_slice(&[2, 8]);
        out.extend_from_slice(&self.nonce);
        out.extend_from_slice(&[1, 1, 0xff]);
        out
    }

    /// Takes the token out of an answer, checked in full against this request and the roots.
    ///
    /// # Errors
    /// [`StampError`].
    pub fn accept(&self, answer: &[u8], roots: &[Root]) -> Result<(Vec<u8>, Stamped), StampError> {
        let token = cms::token_of(answer)?;
        let (stamped, info) = check_token(token, &self.imprint, roots)?;
        if info.nonce != Some(self.nonce.as_slice()) {
            return Err(StampError::Is(
                "the token answers another request: its nonce differs",
            ));
        }
        Ok((token.to_vec(), stamped))
    }
}

/// What a good token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamped {
    /// The latest time at which the hash was seen: the stated time, and the inaccuracy that the authority admits.
    pub at: Timestamp,
    /// The name in the authority's certificate.
    pub authority: String,
}

/// Checks a token over a SHA-256 value: form, imprint, signature, signing certificate, usage, and the chain to one of
/// the roots at the stated time.
///
/// # Errors
/// [`StampError`].
pub fn verify(token: &[u8], imprint: &[u8; 32], roots: &[Root]) -> Result<Stamped, StampError> {
    check_token(token, imprint, roots).map(|(stamped, _)| stamped)
}

/// The time and authority that a token names, nothing but its form and imprint checked: for a reader without a root.
///
/// # Errors
/// [`StampError`].
pub fn stated(token: &[u8], imprint: &[u8; 32]) -> Result<Stamped, StampError> {
    let signed = Signed::read(token)?;
    let info = TstInfo::read(signed.content)?;
    info.check_imprint(imprint)?;
    Ok(Stamped {
        at: info.at()?,
        authority: signed.certificate(&signed.signer)?.name()?,
    })
}

fn check_token<'a>(
    token: &'a [u8],
    imprint: &[u8; 32],
    roots: &[Root],
) -> Result<(Stamped, TstInfo<'a>), StampError> {
    let signed = Signed::read(token)?;
    let info = TstInfo::read(signed.content)?;
    info.check_imprint(imprint)?;
    let at = info.at()?;
    let certificate = signed.certificate(&signed.signer)?;
    if certificate.usages != Some((true, vec![TIME_STAMPING])) {
        return Err(StampError::Is(
            "its certificate is not for time stamps alone (extended key usage timeStamping, critical)",
        ));
    }
    signed.check_attributes(certificate.der)?;
    signed.check_signature(&certificate)?;
    // The stated time is the authority's word; whether its certificate was good then is decided by it.
    check_chain(&certificate, &signed, roots, &info)?;
    let authority = certificate.name()?;
    Ok((Stamped { at, authority }, info))
}

/// Certificates between a signer and its root, and signatures that are tried to find them: a chain has two or three, and
/// somebody who sends many wants them tried in every order.
const BETWEEN_MAX: usize = 6;
const TRIES_MAX: usize = 200;

fn check_chain(
    certificate: &Certificate<'_>,
    signed: &Signed<'_>,
    roots: &[Root],
    info: &TstInfo<'_>,
) -> Result<(), StampError> {
    let anchors: Result<Vec<_>, _> = roots
        .iter()
        .map(|root| anchor_from_trusted_cert(&root.0))
        .collect();
    let anchors = anchors.map_err(|_| StampError::Is("not a root certificate"))?;
    // A certificate that `webpki` cannot read is in no right chain.
    let between: Vec<CertificateDer<'_>> = signed
        .certificates
        .iter()
        .map(|der| CertificateDer::from(*der))
        .filter(|der| EndEntityCert::try_from(der).is_ok())
        .collect();
    let failed = |error: &webpki::Error| match leads_to_a_root(certificate, signed, roots) {
        Ok(true) => StampError::Is(chain_words(error)),
        Ok(false) => StampError::OtherRoot,
        Err(error) => error,
    };
    let der = CertificateDer::from(certificate.der);
    let entity = EndEntityCert::try_from(&der).map_err(|error| failed(&error))?;
    let schemes = cms::chain_schemes();
    let micros = info.generated_at()?.as_micros();
    let second = u64::try_from(micros.div_euclid(1_000_000)).map_err(|_| read::WRONG)?;
    // What stands within a second lies before a whole second only if the next one does too.
    let last = second + u64::from(micros.rem_euclid(1_000_000) != 0);
    for second in second..=last {
        let found = entity.verify_for_usage(
            &schemes,
            &anchors,
            &between,
            UnixTime::since_unix_epoch(Duration::from_secs(second)),
            // The usage of the signer was checked above, more strictly; certificates above it may leave it unsaid.
            KeyUsage::required_if_present(TIME_STAMPING),
            None,
            Some(&may_sign),
        );
        found.map_err(|error| failed(&error))?;
    }
    Ok(())
}

/// What stands between says nothing of key usage, or that it may sign certificates.
fn may_sign(path: &webpki::VerifiedPath<'_>) -> Result<(), webpki::Error> {
    let may_not = |between: &webpki::Cert<'_>| {
        let der = between.der();
        Certificate::read(&der).map_or(true, |certificate| certificate.may_not_sign)
    };
    if path.intermediate_certificates().any(may_not) {
        Err(webpki::Error::EndEntityUsedAsCa)
    } else {
        Ok(())
    }
}

/// Whether one of the roots has the name and the key that sign the chain, whatever else is wrong with it.
fn leads_to_a_root(
    certificate: &Certificate<'_>,
    signed: &Signed<'_>,
    roots: &[Root],
) -> Result<bool, StampError> {
    let roots: Vec<Certificate<'_>> = roots
        .iter()
        .filter_map(|root| Certificate::read(&root.0).ok())
        .collect();
    let others: Vec<Certificate<'_>> = signed
        .certificates
        .iter()
        .filter_map(|der| Certificate::read(der).ok())
        .collect();
    let mut left = TRIES_MAX;
    leads(&mut vec![certificate], &others, &roots, &mut left)
}

fn leads<'c, 'd>(
    chain: &mut Vec<&'c Certificate<'d>>,
    others: &'c [Certificate<'d>],
    roots: &[Certificate<'_>],
    left: &mut usize,
) -> Result<bool, StampError> {
    let Some(last) = chain.last().copied() else {
        return Ok(false);
    };
    let mut signs = |issuer: &Certificate<'_>| {
        if !issuer.may_be_issuer_of(last) {
            return Ok(false);
        }
        *left = left
            .checked_sub(1)
            .ok_or(StampError::Is("holds more certificates than are tried"))?;
        Ok(issuer.signs(last))
    };
    for root in roots {
        if signs(root)? {
            return Ok(true);
        }
    }
    if chain.len() > BETWEEN_MAX {
        return Ok(false);
    }
    let mut next = Vec::new();
    for other in others {
        if chain.iter().all(|seen| seen.der != other.der) && signs(other)? {
            next.push(other);
        }
    }
    for other in next {
        chain.push(other);
        if leads(chain, others, roots, left)? {
            return Ok(true);
        }
        chain.pop();
    }
    Ok(false)
}

fn chain_words(error: &webpki::Error) -> &'static str {
    match error {
        webpki::Error::CertExpired { .. } => {
            "a certificate of its chain had expired at the time that the token states"
        }
        webpki::Error::CertNotValidYet { .. } => {
            "a certificate of its chain was not valid yet at the time that the token states"
        }
        _ => "the chain of its certificate does not hold",
    }
}
