//! TLS at the vault's listener.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use model::Timestamp;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig};

/// Where certificate and key are. Read once, at the start.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The certificate and those that signed it, PEM, the server's own first.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
}

/// Why TLS cannot be offered.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or is not PEM.
    #[error("{} holds no {what} in PEM form that can be read", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What was expected in it.
        what: &'static str,
        /// Why not.
        source: rustls::pki_types::pem::Error,
    },
    /// Certificate and key do not belong together, or are of a kind that is not supported.
    #[error("certificate and key cannot be used together")]
    Pair(#[source] rustls::Error),
}

/// Until when a certificate and those that signed it hold, the first that ends. None where that cannot be read; the same files
/// are then refused, or are of a form that says nothing of it.
pub fn holds_until(certificate: &Path) -> Option<Timestamp> {
    let chain = CertificateDer::pem_file_iter(certificate).ok()?;
    chain
        .filter_map(|certificate| seal::stamp::holds_until(certificate.ok()?.as_ref()))
        .min()
}

/// Reads certificate and key.
pub(crate) fn acceptor(files: &TlsFiles) -> Result<TlsAcceptor, TlsError> {
    let chain = CertificateDer::pem_file_iter(&files.certificate).and_then(Iterator::collect);
    let chain: Vec<CertificateDer<'static>> = chain
        .and_then(|chain: Vec<_>| match chain.is_empty() {
            true => Err(rustls::pki_types::pem::Error::NoItemsFound),
            false => Ok(chain),
        })
        .map_err(|source| TlsError::File {
            path: files.certificate.clone(),
            what: "certificate",
            source,
        })?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|source| TlsError::File {
        path: files.key.clone(),
        what: "private key",
        source,
    })?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Pair)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(TlsError::Pair)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Carries bytes between a client and the intake, without reading them.
pub(super) async fn relay<S>(mut client: S, intake: std::os::unix::net::UnixStream) -> io::Result<()>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    intake.set_nonblocking(true)?;
    let mut intake = tokio::net::UnixStream::from_std(intake)?;
    tokio::io::copy_bidirectional(&mut client, &mut intake).await?;
    Ok(())
}
