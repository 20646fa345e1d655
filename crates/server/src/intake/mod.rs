//! The intake: a process that takes deliveries, proves them genuine, seals them, and passes them on.
//!
//! It faces the network and holds nothing that opens a record: webhook secrets and a public key. It has no name of the
//! data folder, and no environment. Bodies are wiped once sealed. When the vault goes, it ends.

mod exchange;
pub mod front;
mod link;
mod sealing;
mod wire;

use std::collections::BTreeMap;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use connect::Connector;
use tokio::io::Interest;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::confine::{self, Confined, Confinement};
use crate::control::{Load, ToIntake};
use crate::descriptors::{self, What};
use crate::host::{IntakeConfiguration, IntakeConnection};
use crate::limits::Limits;
use link::{FromVault, Link, Verdict};
use sealing::Epoch;
use wire::Wire;

/// Threads that serve connections. Sealing takes microseconds; two keep the disk busy.
const WORKERS: usize = 2;
/// How often counts are passed on: often enough for a person who watches the status page.
const REPORT_EVERY: Duration = Duration::from_millis(500);
/// Pause after a listening socket gave an error, as when descriptors run out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What holds until the vault says otherwise.
struct Current {
    epoch: Epoch,
    connections: BTreeMap<String, Account>,
}

/// A connection with its connector's code.
struct Account {
    connection: IntakeConnection,
    connector: &'static dyn Connector,
}

/// Shared by all conversations.
struct Intake {
    limits: Limits,
    link: Link,
    /// Nothing while no vault has said what is to be taken.
    current: RwLock<Option<Arc<Current>>>,
    /// One permit a byte.
    room: Semaphore,
    connections: Arc<Semaphore>,
    finishing: watch::Sender<bool>,
}

/// Runs confined until the vault ends or says so. `control` is the Unix socket that the vault gave at the start. Must be
/// called on the only thread of the process.
///
/// # Errors
/// When the socket does not carry what the vault sends first, when threads cannot be started, or when it cannot be
/// confined.
pub fn run(control: UnixStream, confinement: &Confinement) -> io::Result<()> {
    let confined = confine::begin(confinement)?;
    run_as(control, Some(confined))
}

/// Runs on a thread of another process, where nothing can be given up.
pub(crate) fn run_unconfined(control: UnixStream) -> io::Result<()> {
    run_as(control, None)
}

fn run_as(control: UnixStream, mut confined: Option<Confined>) -> io::Result<()> {
    let Some((What::Door, door)) = descriptors::receive(&control)? else {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "standard input is not a socket of the vault: this command is started by it, not by people",
        ));
    };
    let runtime = runtime()?;
    if let Some(confined) = &mut confined {
        confine::close(confined);
    }
    let ended = runtime.block_on(serve(control, UnixStream::from(door), confined));
    // Whatever still runs belongs to connections that outlived their time.
    runtime.shutdown_background();
    ended
}

fn runtime() -> io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .thread_name("intake")
        .enable_all()
        .build()
}

async fn serve(control: UnixStream, door: UnixStream, confined: Option<Confined>) -> io::Result<()> {
    control.set_nonblocking(true)?;
    door.set_nonblocking(true)?;
    let (from, to) = tokio::net::UnixStream::from_std(control)?.into_split();
    let door = tokio::net::UnixStream::from_std(door)?;
    let mut from = FromVault::new(from);
    let Some(ToIntake::Configuration(first)) = from.next().await else {
        return Err(io::ErrorKind::InvalidData.into());
    };
    let (configuration, limits) = *first;
    let intake = Arc::new(Intake::new(limits));
    intake.set_current(Current::new(configuration));
    let (_, frames) = intake.link.attach();
    tokio::spawn(link::write_frames(frames, to));
    if let Some(confined) = confined {
        intake.link.tell(&confined);
    }
    let door = tokio::spawn(take_connections(intake.clone(), door));
    let report = tokio::spawn(report(intake.clone()));
    tokio::select! {
        () = listen_to_vault(&intake, from) => {}
        () = finished(&intake) => {}
    }
    door.abort();
    report.abort();
    Ok(())
}

async fn listen_to_vault<R: AsyncRead + Unpin>(intake: &Intake, mut from: FromVault<R>) {
    while let Some(message) = from.next().await {
        hear(intake, message);
    }
}

/// Does what the vault says.
fn hear(intake: &Intake, message: ToIntake) {
    match message {
        ToIntake::Accepted { request, .. } => intake.link.answered(request, Verdict::Durable),
        ToIntake::Refused { request } => intake.link.answered(request, Verdict::NotWritten),
        ToIntake::Configuration(changed) => intake.set_current(Current::new(changed.0)),
        ToIntake::Finish => {
            intake.finishing.send_replace(true);
        }
        ToIntake::Alive => {}
    }
}

/// Waits until the vault wants an end, and then until no connection is left, or for so long as is allowed.
async fn finished(intake: &Intake) {
    let mut finishing = intake.finishing.subscribe();
    if finishing.wait_for(|now| *now).await.is_err() {
        return;
    }
    let all = u32::try_from(intake.limits.intake_connections).unwrap_or(u32::MAX);
    drop(timeout(intake.limits.stop_timeout, intake.connections.acquire_many(all)).await);
}

async fn report(intake: Arc<Intake>) {
    let mut ticks = interval(REPORT_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let held = |limit: usize, free: usize| u64::try_from(limit.saturating_sub(free)).unwrap_or(u64::MAX);
        let limits = &intake.limits;
        intake.link.report(Load {
            connections: held(limits.intake_connections, intake.connections.available_permits()),
            bytes: held(limits.in_flight_bytes, intake.room.available_permits()),
        });
    }
}

impl Current {
    fn new(configuration: IntakeConfiguration) -> Self {
        let mut connections = BTreeMap::new();
        for connection in configuration.connections {
            match connect::find(&connection.connector) {
                Some(connector) => {
                    let id = connection.id.as_str().to_owned();
                    connections.insert(
                        id,
                        Account {
                            connection,
                            connector,
                        },
                    );
                }
                None => tracing::error!(
                    connection.id = %connection.id,
                    "this connection's connector is not known; nothing is taken for it"
                ),
            }
        }
        Current {
            epoch: Epoch::new(configuration.epoch),
            connections,
        }
    }
}

impl Intake {
    fn new(limits: Limits) -> Intake {
        Intake {
            room: Semaphore::new(limits.in_flight_bytes.min(Semaphore::MAX_PERMITS)),
            connections: Arc::new(Semaphore::new(limits.intake_connections)),
            limits,
            link: Link::new(),
            current: RwLock::default(),
            finishing: watch::Sender::new(false),
        }
    }

    fn set_current(&self, current: Current) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(current));
    }

    fn current(&self) -> Option<Arc<Current>> {
        self.current
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn is_finishing(&self) -> bool {
        *self.finishing.borrow()
    }
}

/// Takes what the vault hands over the door.
async fn take_connections(intake: Arc<Intake>, door: tokio::net::UnixStream) {
    loop {
        let received = door
            .async_io(Interest::READABLE, || descriptors::receive(&door))
            .await;
        match received {
            Ok(Some((what, descriptor))) => {
                if let Err(error) = take(&intake, what, descriptor) {
                    tracing::warn!(%error, "a connection could not be taken over");
                }
            }
            Ok(None) => return,
            Err(error) => {
                tracing::error!(%error, "connections can no longer be taken over");
                return;
            }
        }
    }
}

fn take(intake: &Arc<Intake>, what: What, descriptor: OwnedFd) -> io::Result<()> {
    match what {
        What::Tcp => {
            let stream = std::net::TcpStream::from(descriptor);
            stream.set_nonblocking(true)?;
            begin(intake, TcpStream::from_std(stream)?);
        }
        What::Relay => {
            let stream = UnixStream::from(descriptor);
            stream.set_nonblocking(true)?;
            begin(intake, tokio::net::UnixStream::from_std(stream)?);
        }
        What::Listener => {
            let listener = std::net::TcpListener::from(descriptor);
            listener.set_nonblocking(true)?;
            tokio::spawn(listen(intake.clone(), TcpListener::from_std(listener)?));
        }
        What::Door => return Err(io::ErrorKind::InvalidData.into()),
    }
    Ok(())
}

/// Serves the intake's own address.
async fn listen(intake: Arc<Intake>, listener: TcpListener) {
    let mut finishing = intake.finishing.subscribe();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = finishing.wait_for(|now| *now) => return,
        };
        match accepted {
            Ok((stream, _)) => begin(&intake, stream),
            Err(error) => {
                tracing::warn!(%error, "the intake could not accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn begin<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(intake: &Arc<Intake>, stream: S) {
    match intake.connections.clone().try_acquire_owned() {
        Ok(permit) => {
            tokio::spawn(converse(intake.clone(), stream, permit));
        }
        // Closed without a word: an answer would need what there is no more of.
        Err(_) => intake.link.refused("", "too-many-connections"),
    }
}

/// Serves one connection until it ends.
async fn converse<S>(intake: Arc<Intake>, stream: S, _permit: OwnedSemaphorePermit)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let mut wire = Wire::new(stream, intake.limits.head_bytes);
    let mut finishing = intake.finishing.subscribe();
    loop {
        let begun = tokio::select! {
            biased;
            begun = timeout(intake.limits.idle_timeout, wire.begin()) => begun,
            _ = finishing.wait_for(|now| *now) => return,
        };
        if !matches!(begun, Ok(Ok(()))) {
            return;
        }
        let deadline = Instant::now() + intake.limits.request_timeout;
        match exchange::exchange(&intake, &mut wire, deadline).await {
            Some(exchange::Then::Next) if !intake.is_finishing() => {}
            Some(_) => return wire.close().await,
            None => return,
        }
    }
}
