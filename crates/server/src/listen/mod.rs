//! The vault's listener: looks at each connection, serves its own, hands the others to the intake.

mod intake_link;
mod look;
mod pull;
pub mod tls;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, Interest};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::descriptors::{self, What};
use crate::host::Host;
use crate::limits::Limits;
use crate::public;
pub(crate) use intake_link::IntakeLink;
pub use intake_link::{IntakeHealth, IntakeStart};
use look::Side;
pub use pull::Pull;
pub(crate) use tls::acceptor;
pub use tls::{TlsError, TlsFiles};

/// Connections that may wait for an intake that is being started.
const HANDED_WAITING: usize = 1024;
/// Bytes of a request's head in the vault.
const HEAD_BYTES: usize = 64 << 10;
/// Pause after the listening socket gave an error, as when descriptors run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Who is turned away is listened to for so long, and for so many bytes.
const AWAY_TIME: Duration = Duration::from_secs(1);
const AWAY_BYTES: u64 = 1 << 20;
/// Said when the intake cannot take any more.
const NO_INTAKE: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 2\r\n\
                           Connection: close\r\n\r\n";

/// Where and how to listen.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// Address of the status page, the API and, unless separate, the webhooks. Port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Address of the webhooks alone, in plain HTTP: for a proxy in front that ends TLS.
    pub intake_listen: Option<SocketAddr>,
    /// TLS at `listen`.
    pub tls: Option<TlsFiles>,
    /// How the intake is started, unless there are some elsewhere.
    pub intake: IntakeStart,
    /// Intakes on other hosts. With any, none is started here, and webhooks are not taken at `listen`.
    pub pulls: Vec<Pull>,
    /// Bounds.
    pub limits: Limits,
}

/// Why nothing listens.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
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
    /// A thread cannot be started.
    #[error("starting a thread")]
    Thread(#[source] io::Error),
}

/// A server that runs.
pub struct Running {
    /// Where it really listens.
    pub local_addr: SocketAddr,
    /// Where the intake's own listener really listens.
    pub intake_addr: Option<SocketAddr>,
    links: Links,
    ended: JoinHandle<()>,
}

impl Running {
    /// Asks the host for its configuration again and passes it to the intake: after a connection was added or
    /// changed, and after each change of the epoch. May be called from any thread.
    pub fn refresh(&self) {
        self.links.refresh();
    }

    /// What [`Self::refresh`] does, for whoever does not own this.
    pub fn refresher(&self) -> impl Fn() + Send + Sync + 'static {
        let links = self.links.clone();
        move || links.refresh()
    }

    /// How the intake is doing.
    pub fn intake(&self) -> IntakeHealth {
        self.links.health()
    }

    /// Waits until the server has ended, which it does after `shutdown` is done.
    pub async fn ended(self) {
        if self.ended.await.is_err() {
            tracing::error!("the listener panicked");
        }
    }
}

/// All intakes.
#[derive(Clone)]
pub(crate) struct Links(Arc<Vec<Arc<IntakeLink>>>);

impl Links {
    fn refresh(&self) {
        self.0.iter().for_each(|link| link.refresh());
    }

    /// How they are doing together; running are they when each is.
    pub(crate) fn health(&self) -> IntakeHealth {
        let mut all = IntakeHealth {
            running: true,
            restarts: 0,
            connections: 0,
            bytes_in_flight: 0,
        };
        for one in self.0.iter().map(|link| link.health()) {
            all.running &= one.running;
            all.restarts += one.restarts;
            all.connections += one.connections;
            all.bytes_in_flight += one.bytes_in_flight;
        }
        all
    }
}

/// An open connection for the intake.
struct Handed {
    what: What,
    descriptor: OwnedFd,
}

/// Shared by all connections.
struct Listening {
    limits: Limits,
    router: Router,
    tls: Option<TlsAcceptor>,
    /// Whether webhooks are taken here.
    intake_here: bool,
    hand: mpsc::Sender<Handed>,
    /// All connections that the vault holds.
    all: Arc<Semaphore>,
    /// Those that it serves itself, so that deliveries cannot keep people out.
    own: Semaphore,
    stopping: watch::Sender<bool>,
}

/// Binds the addresses, starts the intake, serves until `shutdown` is done. Must be called in a tokio runtime.
///
/// # Errors
/// [`ServeError`] when an address, a certificate or a thread cannot be had.
pub async fn serve(
    options: ServeOptions,
    host: Arc<dyn Host>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<Running, ServeError> {
    let tls = options.tls.as_ref().map(tls::acceptor).transpose()?;
    let (listener, local_addr) = bind(options.listen)?;
    let intake_listener = options.intake_listen.map(bind).transpose()?;
    let listen_error = |source| ServeError::Listen {
        address: options.listen,
        source,
    };
    let listener = TcpListener::from_std(listener).map_err(listen_error)?;
    let (intake_listener, intake_addr) = intake_listener.unzip();
    let limits = options.limits;
    let intake_here = options.pulls.is_empty();
    let elsewhere = options
        .pulls
        .into_iter()
        .map(|pull| IntakeStart::Elsewhere(Arc::new(pull)));
    let starts = if intake_here {
        vec![options.intake]
    } else {
        elsewhere.collect()
    };
    let mut intake_listener = intake_listener;
    let links: Vec<Arc<IntakeLink>> = starts
        .into_iter()
        .map(|start| IntakeLink::new(host.clone(), limits.clone(), start, intake_listener.take()))
        .collect();
    let links = Links(Arc::new(links));
    let (hand, handed) = mpsc::channel(HANDED_WAITING);
    let listening = Arc::new(Listening {
        router: public::router(host, links.clone()),
        tls,
        intake_here,
        hand,
        all: Arc::new(Semaphore::new(all_connections(&limits))),
        own: Semaphore::new(limits.vault_connections),
        stopping: watch::Sender::new(false),
        limits,
    });
    let door = links
        .0
        .first()
        .filter(|_| intake_here)
        .map(|link| tokio::spawn(hand_over(handed, link.door())));
    let mut supervisors = Vec::new();
    for link in links.0.iter() {
        let (link, runtime) = (link.clone(), tokio::runtime::Handle::current());
        let supervisor = std::thread::Builder::new()
            .name("from-intake".to_owned())
            .spawn(move || link.run(&runtime))
            .map_err(ServeError::Thread)?;
        supervisors.push(supervisor);
    }
    let ended = tokio::spawn({
        let links = links.clone();
        async move {
            accept(&listening, listener, shutdown).await;
            for (link, supervisor) in links.0.iter().zip(supervisors) {
                stop_intake(link, supervisor, listening.limits.stop_timeout).await;
            }
            if let Some(door) = door {
                door.abort();
            }
            stop_connections(&listening).await;
        }
    });
    Ok(Running {
        local_addr,
        intake_addr,
        links,
        ended,
    })
}

fn all_connections(limits: &Limits) -> usize {
    limits.vault_connections.saturating_add(limits.intake_connections)
}

fn bind(address: SocketAddr) -> Result<(std::net::TcpListener, SocketAddr), ServeError> {
    let bound = || {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let real = listener.local_addr()?;
        Ok((listener, real))
    };
    bound().map_err(|source| ServeError::Listen { address, source })
}

async fn accept(listening: &Arc<Listening>, listener: TcpListener, shutdown: impl Future<Output = ()>) {
    let mut shutdown = pin!(shutdown);
    loop {
        let accepted = async {
            // Before, not after: who cannot be served waits in the system's queue.
            let permit = listening.all.clone().acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            () = &mut shutdown => return,
            accepted = accepted => accepted,
        };
        match (permit, accepted) {
            (Ok(permit), Ok((stream, _))) => {
                tokio::spawn(attend(listening.clone(), stream, permit));
            }
            (_, Err(error)) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
            (Err(_), Ok(_)) => return,
        }
    }
}

async fn stop_intake(link: &Arc<IntakeLink>, supervisor: std::thread::JoinHandle<()>, patience: Duration) {
    link.finish();
    let mut gone = tokio::task::spawn_blocking(move || supervisor.join());
    if timeout(patience, &mut gone).await.is_err() {
        tracing::warn!("the intake did not finish in time; it is cut off");
        link.cut();
        drop(gone.await);
    }
}

async fn stop_connections(listening: &Listening) {
    listening.stopping.send_replace(true);
    let all = u32::try_from(all_connections(&listening.limits)).unwrap_or(u32::MAX);
    let idle = listening.all.acquire_many(all);
    if timeout(listening.limits.stop_timeout, idle).await.is_err() {
        tracing::warn!("some connections did not end in time; they are cut off");
    }
}

/// Looks at a connection and brings it to whom it belongs.
async fn attend(listening: Arc<Listening>, stream: TcpStream, _permit: OwnedSemaphorePermit) {
    // Answers are short and written at once; waiting to join them would only delay them.
    stream.set_nodelay(true).ok();
    let patience = listening.limits.head_timeout;
    match &listening.tls {
        None => match timeout(patience, look::peek(&stream)).await {
            Ok(Ok(Side::Intake)) if !listening.intake_here => turn_away(stream).await,
            Ok(Ok(Side::Intake)) => hand_tcp(&listening, stream),
            Ok(Ok(Side::Vault)) => serve_own(&listening, stream).await,
            _ => {}
        },
        Some(acceptor) => {
            let looked = timeout(patience, async {
                look::read(acceptor.accept(stream).await?).await
            });
            match looked.await {
                Ok(Ok((Side::Intake, stream))) if !listening.intake_here => turn_away(stream).await,
                Ok(Ok((Side::Intake, stream))) => relay(&listening, stream).await,
                Ok(Ok((Side::Vault, stream))) => serve_own(&listening, stream).await,
                _ => {}
            }
        }
    }
}

fn hand_tcp(listening: &Listening, stream: TcpStream) {
    let place = listening
        .hand
        .try_reserve()
        .ok()
        .filter(|_| listening.intake_here);
    let Some(place) = place else {
        // Not waited for: a client that does not read this little loses it.
        stream.try_write(NO_INTAKE).ok();
        return;
    };
    if let Ok(stream) = stream.into_std() {
        place.send(Handed {
            what: What::Tcp,
            descriptor: stream.into(),
        });
    }
}

/// Webhooks are not taken here. What was sent is read and thrown away for a moment, so that the answer is not lost.
async fn turn_away<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S) {
    let said = timeout(AWAY_TIME, async {
        stream.write_all(NO_INTAKE).await?;
        stream.shutdown().await?;
        tokio::io::copy(&mut stream.take(AWAY_BYTES), &mut tokio::io::sink()).await
    });
    drop(said.await);
}

async fn relay<S: AsyncRead + AsyncWrite + Unpin>(listening: &Listening, client: S) {
    let Ok((ours, theirs)) = UnixStream::pair() else {
        tracing::warn!("no descriptors left for a relayed connection");
        return;
    };
    let handed = Handed {
        what: What::Relay,
        descriptor: theirs.into(),
    };
    if listening.hand.try_send(handed).is_err() {
        return;
    }
    let mut stopping = listening.stopping.subscribe();
    tokio::select! {
        // An error is a client that went away.
        _ = tls::relay(client, ours) => {}
        _ = stopping.wait_for(|now| *now) => {}
    }
}

async fn serve_own<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(listening: &Listening, stream: S) {
    let Ok(_permit) = listening.own.try_acquire() else {
        return;
    };
    let service = TowerToHyperService::new(listening.router.clone());
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(listening.limits.head_timeout)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let mut stopping = listening.stopping.subscribe();
    tokio::select! {
        // An error is a client that went away or does not speak HTTP.
        _ = &mut connection => return,
        _ = stopping.wait_for(|now| *now) => connection.as_mut().graceful_shutdown(),
    }
    connection.await.ok();
}

/// Hands connections to the intake, in order; while there is none, they wait.
async fn hand_over(
    mut handed: mpsc::Receiver<Handed>,
    mut doors: watch::Receiver<Option<Arc<tokio::net::UnixStream>>>,
) {
    while let Some(Handed { what, descriptor }) = handed.recv().await {
        loop {
            let Ok(door) = doors.wait_for(Option::is_some).await.map(|door| door.clone()) else {
                return;
            };
            let Some(door) = door else { continue };
            let send = || descriptors::send(&door, what, descriptor.as_fd());
            match door.async_io(Interest::WRITABLE, send).await {
                Ok(()) => break,
                // This intake is gone; the next one opens another door.
                Err(error) if is_gone(&error) => {
                    if doors.changed().await.is_err() {
                        return;
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be handed to the intake");
                    break;
                }
            }
        }
    }
}

fn is_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, NotConnected};
    matches!(error.kind(), BrokenPipe | ConnectionReset | NotConnected)
}
