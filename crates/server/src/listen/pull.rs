//! The vault's side of an intake on another host: connects out to it and carries the link's bytes.
//!
//! The link itself does not know the difference: it speaks over a Unix socket, whose other end is carried through TLS
//! instead of being given to a process.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, split};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::ServerName;
use zeroize::Zeroizing;

use crate::identity::{Identity, Pin};

/// Longest wait for the other host, and for it to prove who it is.
const CONNECT_TIME: Duration = Duration::from_secs(5);
/// An intake that says nothing for so long is gone: it tells its load twice a second.
const SILENCE: Duration = Duration::from_secs(10);
const READ_BYTES: usize = 256 << 10;

/// An intake on another host.
#[derive(Debug, Clone)]
pub struct Pull {
    /// Host and port.
    pub address: String,
    /// Its key.
    pub pin: Pin,
    /// Ours.
    pub identity: Identity,
}

/// Connects. Returns once each side has proved to the other who it is.
pub(super) async fn connect(pull: &Pull) -> io::Result<TlsStream<TcpStream>> {
    let failed = |error: tokio_rustls::rustls::Error| io::Error::new(io::ErrorKind::InvalidInput, error);
    let connector = pull.identity.connector(pull.pin).map_err(failed)?;
    let connected = timeout(CONNECT_TIME, async {
        let stream = TcpStream::connect(&pull.address).await?;
        stream.set_nodelay(true)?;
        // Names play no part: the key is what is known. Something must stand here.
        let name = ServerName::IpAddress(std::net::Ipv4Addr::UNSPECIFIED.into());
        let mut stream = connector.connect(name, stream).await?;
        // In TLS 1.3 the client is done before the server has looked at the client's key; the first byte tells.
        let mut hello = [0];
        stream.read_exact(&mut hello).await?;
        Ok(stream)
    });
    match connected.await {
        Ok(connected) => connected,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// Carries bytes until either side ends.
pub(super) async fn carry(far: TlsStream<TcpStream>, near: tokio::net::UnixStream) -> io::Result<()> {
    let (mut far_read, mut far_write) = split(far);
    let (mut near_read, mut near_write) = near.into_split();
    let down = async {
        let mut buffer = Zeroizing::new(vec![0; READ_BYTES]);
        loop {
            let count = match timeout(SILENCE, far_read.read(&mut buffer)).await {
                Ok(count) => count?,
                Err(_) => return Err(io::ErrorKind::TimedOut.into()),
            };
            if count == 0 {
                return Ok(());
            }
            near_write
                .write_all(buffer.get(..count).unwrap_or_default())
                .await?;
        }
    };
    let ended = tokio::select! {
        ended = down => ended,
        ended = copy(&mut near_read, &mut far_write) => ended.map(drop),
    };
    // Said, so that the other side need not wait for silence; fails when it is gone.
    drop(far_write.shutdown().await);
    ended
}

/// The task that carries, and how it ended.
pub(super) type Carrying = tokio::task::JoinHandle<io::Result<()>>;

/// Connects and starts to carry. Called on a thread that may wait.
pub(super) fn start(
    pull: &Arc<Pull>,
    near: std::os::unix::net::UnixStream,
    runtime: &tokio::runtime::Handle,
) -> io::Result<Carrying> {
    let far = runtime.block_on(connect(pull))?;
    near.set_nonblocking(true)?;
    let _entered = runtime.enter();
    let near = tokio::net::UnixStream::from_std(near)?;
    Ok(runtime.spawn(carry(far, near)))
}
