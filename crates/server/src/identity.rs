//! How an intake on a host of its own and the vault know each other: each by the other's public key, pinned.
//!
//! TLS 1.3 with raw public keys (RFC 7250): no certificate, no name, no date that runs out, nobody who could vouch for a
//! third. What is compared is the SHA-256 of the key in its usual encoding.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use seal::suite::{hex, sha256, unhex};
use tokio_rustls::rustls::client::AlwaysResolvesClientRawPublicKeys;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{
    CryptoProvider, aws_lc_rs as provider, verify_tls13_signature_with_raw_key,
};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{
    CertificateDer, PrivateKeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime,
};
use tokio_rustls::rustls::server::AlwaysResolvesServerRawPublicKeys;
use tokio_rustls::rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, ServerConfig,
    SignatureScheme,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use zeroize::Zeroizing;

/// What both sides speak once they know each other. Counted up when a frame changes, so that builds that would not
/// understand each other do not begin to talk.
const PROTOCOL: &[u8] = b"chancery-intake/1";
const PIN_PREFIX: &str = "sha256:";

/// What is wrong with an identity or a pin.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file holds no private key in PEM form.
    #[error("holds no private key in PEM form")]
    NoKey,
    /// The key cannot be used.
    #[error("its key cannot be used: make one with `chancery identity FILE`")]
    Unfit(#[source] Error),
    /// The provider made no key.
    #[error("no key could be made")]
    NotMade,
    /// A pin is not written as one.
    #[error("a pin is sha256: and 64 hex digits, as `chancery identity FILE` prints it")]
    NoPin,
}

/// The SHA-256 of a public key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pin([u8; 32]);

impl Pin {
    fn of(key: &[u8]) -> Pin {
        Pin(sha256(key))
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{PIN_PREFIX}{}", hex(&self.0))
    }
}

impl FromStr for Pin {
    type Err = IdentityError;

    fn from_str(text: &str) -> Result<Pin, IdentityError> {
        text.strip_prefix(PIN_PREFIX)
            .and_then(unhex)
            .and_then(|bytes| bytes.try_into().ok())
            .map(Pin)
            .ok_or(IdentityError::NoPin)
    }
}

/// A private key and its public half.
#[derive(Clone)]
pub struct Identity {
    key: Arc<CertifiedKey>,
    pin: Pin,
}

impl fmt::Debug for Identity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Identity({})", self.pin)
    }
}

impl Identity {
    /// A new private key (Ed25519, PKCS #8) as the text of a PEM file.
    ///
    /// # Errors
    /// [`IdentityError::NotMade`].
    pub fn make() -> Result<Zeroizing<String>, IdentityError> {
        let pair = Ed25519KeyPair::generate().map_err(|_| IdentityError::NotMade)?;
        let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> = pair.as_der().map_err(|_| IdentityError::NotMade)?;
        let text = Zeroizing::new(STANDARD.encode(der.as_ref()));
        Ok(Zeroizing::new(format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            text.as_str()
        )))
    }

    /// Reads such a file.
    ///
    /// # Errors
    /// [`IdentityError::NoKey`]; [`IdentityError::Unfit`].
    pub fn read(pem: &[u8]) -> Result<Identity, IdentityError> {
        let key = PrivateKeyDer::from_pem_slice(pem).map_err(|_| IdentityError::NoKey)?;
        let key = provider::default_provider()
            .key_provider
            .load_private_key(key)
            .map_err(IdentityError::Unfit)?;
        let public = key.public_key().ok_or(IdentityError::NoKey)?.to_vec();
        let pin = Pin::of(&public);
        // A raw public key travels in the place of a certificate.
        let key = Arc::new(CertifiedKey::new(vec![CertificateDer::from(public)], key));
        Ok(Identity { key, pin })
    }

    /// What the other side pins.
    pub fn pin(&self) -> Pin {
        self.pin
    }

    /// Takes connections of whoever has one of these keys.
    pub(crate) fn acceptor(&self, pins: Vec<Pin>) -> Result<TlsAcceptor, Error> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(provider::default_provider()))
            .with_protocol_versions(&[&TLS13])?
            .with_client_cert_verifier(Pinned::new(pins))
            .with_cert_resolver(Arc::new(AlwaysResolvesServerRawPublicKeys::new(self.key.clone())));
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        // Each connection proves itself anew: a pin that was taken away must not live on in a ticket.
        config.send_tls13_tickets = 0;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }

    /// Connects to whoever has this key.
    pub(crate) fn connector(&self, pin: Pin) -> Result<TlsConnector, Error> {
        let mut config = ClientConfig::builder_with_provider(Arc::new(provider::default_provider()))
            .with_protocol_versions(&[&TLS13])?
            .dangerous()
            .with_custom_certificate_verifier(Pinned::new(vec![pin]))
            .with_client_cert_resolver(Arc::new(AlwaysResolvesClientRawPublicKeys::new(self.key.clone())));
        config.alpn_protocols = vec![PROTOCOL.to_vec()];
        config.enable_sni = false;
        Ok(TlsConnector::from(Arc::new(config)))
    }
}

/// Accepts the keys that are pinned, and no other.
#[derive(Debug)]
struct Pinned {
    pins: Vec<Pin>,
    provider: CryptoProvider,
}

impl Pinned {
    fn new(pins: Vec<Pin>) -> Arc<Pinned> {
        Arc::new(Pinned {
            pins,
            provider: provider::default_provider(),
        })
    }

    fn check(&self, key: &CertificateDer<'_>, more: &[CertificateDer<'_>]) -> Result<(), Error> {
        if more.is_empty() && self.pins.contains(&Pin::of(key)) {
            return Ok(());
        }
        Err(Error::InvalidCertificate(
            CertificateError::ApplicationVerificationFailure,
        ))
    }

    fn check_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = SubjectPublicKeyInfoDer::from(key.as_ref());
        verify_tls13_signature_with_raw_key(
            message,
            &key,
            signed,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// Only TLS 1.3 is spoken.
fn no_older() -> Error {
    Error::InvalidCertificate(CertificateError::BadSignature)
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        key: &CertificateDer<'_>,
        more: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(key, more).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _key: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(no_older())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check_signature(message, key, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes()
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

impl ClientCertVerifier for Pinned {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        key: &CertificateDer<'_>,
        more: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(key, more).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _key: &CertificateDer<'_>,
        _signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(no_older())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        key: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.check_signature(message, key, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes()
    }

    fn requires_raw_public_keys(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_reads_back_and_nothing_else_is_one() {
        let identity = Identity::read(Identity::make().unwrap().as_bytes()).unwrap();
        let text = identity.pin().to_string();
        assert_eq!(text.parse::<Pin>().unwrap(), identity.pin());
        let other = Identity::read(Identity::make().unwrap().as_bytes()).unwrap();
        assert_ne!(other.pin(), identity.pin());
        for wrong in [
            "",
            "sha256:",
            &text[..70],
            &text[7..],
            &format!("{text}0"),
            &text.replace("sha256", "sha1"),
        ] {
            assert!(wrong.parse::<Pin>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_no_private_key_is_refused() {
        for wrong in [
            "",
            "x",
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        ] {
            assert!(Identity::read(wrong.as_bytes()).is_err(), "{wrong:?}");
        }
        let made = Identity::make().unwrap();
        let public = made.replace("PRIVATE", "PUBLIC");
        assert!(Identity::read(public.as_bytes()).is_err());
    }
}
