//! The intake on a host of its own: it listens for senders and for the vault, and calls nobody.
//!
//! The vault connects, proves itself by its pinned key, says what is to be taken, and gets what is sealed. While no vault
//! is connected senders are told to come again; nothing is kept here.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncWriteExt, split};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::link::{self, FromVault};
use super::{Current, Intake, begin, report};
use crate::confine::{self, Confined, Confinement};
use crate::control::ToIntake;
use crate::identity::{Identity, Pin};
use crate::limits::Limits;
use crate::listen::{TlsError, TlsFiles, acceptor};

/// Longest wait for a vault to prove itself and say what is to be taken.
const HELLO_TIME: Duration = Duration::from_secs(10);
/// A vault that says nothing for so long is gone: it says so much as that it is there every two seconds.
const SILENCE: Duration = Duration::from_secs(10);
/// Connections that may try to be the vault at once.
const CANDIDATES: usize = 8;
/// Pause after a listening socket gave an error, as when descriptors run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where and for whom an intake on a host of its own listens.
#[derive(Debug)]
pub struct FrontOptions {
    /// For senders. Port 0 lets the system choose.
    pub listen: SocketAddr,
    /// For the vault.
    pub vault_listen: SocketAddr,
    /// TLS for senders.
    pub tls: Option<TlsFiles>,
    /// Our key.
    pub identity: Identity,
    /// Keys of vaults. More than one only while a key is exchanged.
    pub pins: Vec<Pin>,
    /// Bounds.
    pub limits: Limits,
}

/// Why an intake on a host of its own does not run.
#[derive(Debug, thiserror::Error)]
pub enum FrontError {
    /// An address cannot be used.
    #[error("cannot listen on {address}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// TLS cannot be offered.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The system.
    #[error("starting the intake")]
    System(#[from] io::Error),
}

fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), FrontError> {
    let bound = || {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let real = listener.local_addr()?;
        Ok((listener, real))
    };
    bound().map_err(|source| FrontError::Listen { address, source })
}

/// Runs confined until `shutdown` is done. `announce` is told where it really listens. Must be called on the only thread
/// of the process; `shutdown` is called in the runtime, before anything is given up.
///
/// # Errors
/// [`FrontError`].
pub fn run<F: Future<Output = ()>>(
    options: FrontOptions,
    confinement: &Confinement,
    shutdown: impl FnOnce() -> io::Result<F>,
    announce: impl FnOnce(SocketAddr, SocketAddr) -> io::Result<()>,
) -> Result<(), FrontError> {
    let (senders, address) = bind(options.listen)?;
    let (vaults, vault_address) = bind(options.vault_listen)?;
    let tls = options.tls.as_ref().map(acceptor).transpose()?;
    let failed = |error| FrontError::System(io::Error::new(io::ErrorKind::InvalidInput, error));
    let for_vaults = options.identity.acceptor(options.pins).map_err(failed)?;
    let mut confined = confine::begin(confinement)?;
    let runtime = super::runtime()?;
    let shutdown = {
        let _entered = runtime.enter();
        shutdown()?
    };
    confine::close(&mut confined);
    let ended = runtime.block_on(async {
        let intake = Arc::new(Intake::new(options.limits));
        tokio::spawn(report(intake.clone()));
        let senders = tokio::net::TcpListener::from_std(senders)?;
        tokio::spawn(take_senders(intake.clone(), senders, tls));
        let vaults = tokio::net::TcpListener::from_std(vaults)?;
        tokio::spawn(take_vaults(intake.clone(), vaults, for_vaults, confined));
        announce(address, vault_address)?;
        shutdown.await;
        intake.finishing.send_replace(true);
        super::finished(&intake).await;
        Ok(())
    });
    runtime.shutdown_background();
    ended
}

async fn accept(listener: &tokio::net::TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn take_senders(intake: Arc<Intake>, listener: tokio::net::TcpListener, tls: Option<TlsAcceptor>) {
    let mut finishing = intake.finishing.subscribe();
    loop {
        let stream = tokio::select! {
            stream = accept(&listener) => stream,
            _ = finishing.wait_for(|now| *now) => return,
        };
        // Answers are short and written at once; waiting to join them would only delay them.
        stream.set_nodelay(true).ok();
        let Some(tls) = tls.clone() else {
            begin(&intake, stream);
            continue;
        };
        let Ok(permit) = intake.connections.clone().try_acquire_owned() else {
            intake.link.refused("", "too-many-connections");
            continue;
        };
        let intake = intake.clone();
        tokio::spawn(async move {
            if let Ok(Ok(stream)) = timeout(intake.limits.head_timeout, tls.accept(stream)).await {
                super::converse(intake, stream, permit).await;
            }
        });
    }
}

async fn take_vaults(
    intake: Arc<Intake>,
    listener: tokio::net::TcpListener,
    tls: TlsAcceptor,
    confined: Confined,
) {
    let candidates = Arc::new(Semaphore::new(CANDIDATES));
    loop {
        let stream = accept(&listener).await;
        let Ok(permit) = candidates.clone().try_acquire_owned() else {
            continue;
        };
        let (intake, tls) = (intake.clone(), tls.clone());
        tokio::spawn(async move {
            stream.set_nodelay(true).ok();
            if let Err(error) = serve_vault(&intake, &tls, stream, confined).await {
                tracing::warn!(%error, "a connection at the vault's address ended");
            }
            drop(permit);
        });
    }
}

/// Serves one connection at the vault's address until it ends. The newest takes the place of the one before: a vault that
/// was started again must not wait until the old connection is found dead.
async fn serve_vault(
    intake: &Intake,
    tls: &TlsAcceptor,
    stream: TcpStream,
    confined: Confined,
) -> io::Result<()> {
    let begun = timeout(HELLO_TIME, async {
        let mut stream = tls.accept(stream).await?;
        // Tells the vault that its key was accepted.
        stream.write_all(&[1]).await?;
        stream.flush().await?;
        let (from, to) = split(stream);
        let mut from = FromVault::new(from);
        match from.next().await {
            Some(ToIntake::Configuration(first)) => Ok((from, to, first)),
            _ => Err(io::Error::from(io::ErrorKind::InvalidData)),
        }
    });
    let (mut from, to, first) = match begun.await {
        Ok(begun) => begun?,
        Err(_) => return Err(io::ErrorKind::TimedOut.into()),
    };
    intake.set_current(Current::new(first.0));
    let (turn, frames) = intake.link.attach();
    tracing::info!("the vault is connected");
    tokio::spawn(link::write_frames(frames, to));
    intake.link.tell(&confined);
    let ended = loop {
        match timeout(SILENCE, from.next()).await {
            Ok(Some(message)) if intake.link.has_turn(turn) => super::hear(intake, message),
            Ok(Some(_)) => break "another vault took its place",
            Ok(None) => break "it closed the connection",
            Err(_) => break "it has been silent for too long",
        }
    };
    if intake.link.detach(turn) {
        tracing::warn!("the vault is away: {ended}; senders are told to come again");
        *intake.current.write().unwrap_or_else(PoisonError::into_inner) = None;
    }
    Ok(())
}
