//! The vault's side of the intake: starts it, feeds it, hears it, starts it again.
//!
//! One thread reads what the intake sends and hands captures to the host, which may make it wait; another writes
//! answers, many in one call. Threads and not tasks, because waiting for room in the ledger blocks.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Write};
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use model::entry::{Chunk, Kind};
use model::{ConnectionId, ZoneId};
use seal::envelope::CHUNK_BYTES;
use seal::suite::TAG_BYTES;
use serde::{Deserialize, Serialize};
use store::ledger::Draft;
use tokio::sync::watch;

use crate::confine::User;
use crate::control::{Load, ToIntake, ToVault, read_frame};
use crate::descriptors::{self, What};
use crate::host::Host;
use crate::limits::Limits;
use crate::listen::pull::{self, Carrying, Pull};

/// Answers that may wait to be written. The intake never has so many requests in flight; one that does not read its
/// answers loses them, and its senders come again.
const ANSWERS_WAITING: usize = 16 << 10;
/// Answers joined into one write: 21 bytes each.
const BYTES_A_WRITE: usize = 64 << 10;
/// How often an intake elsewhere hears that we are there, when there is nothing else to say.
const ALIVE_EVERY: Duration = Duration::from_secs(2);
/// Bytes read from the intake at once.
const READ_BYTES: usize = 256 << 10;
/// Pause before the first new start; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The longest pause: a vendor's time-out is not much longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// An intake that lived this long did not die of its start.
const LIVED: Duration = Duration::from_secs(30);

/// Name of the intake on this machine.
const LOCAL: &str = "intake";

/// How the intake is started.
#[derive(Debug, Clone)]
pub enum IntakeStart {
    /// As a process of its own, with an empty environment and the control socket as standard input.
    Process {
        /// The program.
        program: PathBuf,
        /// What makes it call [`crate::intake::run`].
        arguments: Vec<String>,
        /// As whom it runs, from its first instruction on. Needs root. Nothing: as we do.
        user: Option<User>,
    },
    /// As a thread of this process: then nothing keeps it from the keys. For tests.
    Thread,
    /// Not at all: it runs on another host, and is connected to.
    Elsewhere(Arc<Pull>),
}

/// How the intake is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntakeHealth {
    /// Whether it runs.
    pub running: bool,
    /// How often it had to be started again.
    pub restarts: u64,
    /// Connections it holds.
    pub connections: u64,
    /// Bytes it has set aside for bodies.
    pub bytes_in_flight: u64,
}

/// A running intake, whatever it runs in.
enum Started {
    Process(Child),
    Thread(JoinHandle<()>),
    Carrying(Carrying, tokio::runtime::Handle),
}

/// What a capture is checked against.
struct Known {
    zone: ZoneId,
    epoch: u32,
    /// The epoch before, for what was sealed just before the change.
    previous: u32,
    connections: BTreeMap<ConnectionId, (String, u32)>,
}

/// The link. Lives as long as the server; intakes come and go.
pub(crate) struct IntakeLink {
    host: Arc<dyn Host>,
    limits: Limits,
    start: IntakeStart,
    listener: Option<TcpListener>,
    known: RwLock<Arc<Known>>,
    to_intake: Mutex<Option<SyncSender<Vec<u8>>>>,
    control: Mutex<Option<UnixStream>>,
    door: watch::Sender<Option<Arc<tokio::net::UnixStream>>>,
    stopping: Mutex<bool>,
    stopped: Condvar,
    running: AtomicBool,
    restarts: AtomicU64,
    load: Mutex<Load>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl IntakeLink {
    /// Ready to be run.
    pub(crate) fn new(
        host: Arc<dyn Host>,
        limits: Limits,
        start: IntakeStart,
        listener: Option<TcpListener>,
    ) -> Arc<IntakeLink> {
        let known = Known {
            zone: host.zone(),
            epoch: 0,
            previous: 0,
            connections: BTreeMap::new(),
        };
        Arc::new(IntakeLink {
            host,
            limits,
            start,
            listener,
            known: RwLock::new(Arc::new(known)),
            to_intake: Mutex::default(),
            control: Mutex::default(),
            door: watch::Sender::new(None),
            stopping: Mutex::default(),
            stopped: Condvar::new(),
            running: AtomicBool::new(false),
            restarts: AtomicU64::new(0),
            load: Mutex::default(),
        })
    }

    /// Where connections are handed over; none while no intake runs.
    pub(crate) fn door(&self) -> watch::Receiver<Option<Arc<tokio::net::UnixStream>>> {
        self.door.subscribe()
    }

    /// How the intake is doing.
    pub(crate) fn health(&self) -> IntakeHealth {
        let load = *locked(&self.load);
        IntakeHealth {
            running: self.running.load(Ordering::SeqCst),
            restarts: self.restarts.load(Ordering::Relaxed),
            connections: load.connections,
            bytes_in_flight: load.bytes,
        }
    }

    /// Tells the intake what holds now.
    pub(crate) fn refresh(&self) {
        let frame = self.configuration();
        self.send(frame);
    }

    /// Lets the intake finish what it began, and starts no other.
    pub(crate) fn finish(&self) {
        *locked(&self.stopping) = true;
        self.stopped.notify_all();
        match self.start {
            // It goes on for the next vault; what waits for an answer is sent again.
            IntakeStart::Elsewhere(_) => self.cut(),
            _ => self.send(ToIntake::Finish.encode()),
        }
    }

    /// What it is called in `doctor` and in log lines.
    fn name(&self) -> String {
        match &self.start {
            IntakeStart::Elsewhere(pull) => format!("{LOCAL} at {}", pull.address),
            _ => LOCAL.to_owned(),
        }
    }

    /// Ends the intake now.
    pub(crate) fn cut(&self) {
        if let Some(control) = locked(&self.control).as_ref() {
            // Fails when the other side is gone, which is what is wanted.
            control.shutdown(std::net::Shutdown::Both).ok();
        }
    }

    fn send(&self, frame: Vec<u8>) {
        let sender = locked(&self.to_intake).clone();
        if sender.is_some_and(|sender| sender.try_send(frame).is_err()) {
            tracing::error!("the intake does not read what it is told; it is cut off");
            self.cut();
        }
    }

    /// The frame with what holds now; captures are checked against it from here on.
    fn configuration(&self) -> Vec<u8> {
        let configuration = self.host.configuration();
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let epoch = configuration.epoch.epoch;
        *known = Arc::new(Known {
            zone: configuration.epoch.zone.clone(),
            epoch,
            previous: if known.epoch == epoch {
                known.previous
            } else {
                known.epoch
            },
            connections: configuration
                .connections
                .iter()
                .map(|connection| {
                    let version = connect::find(&connection.connector).map_or(0, |c| c.version());
                    (connection.id.clone(), (connection.connector.clone(), version))
                })
                .collect(),
        });
        ToIntake::Configuration(Box::new((configuration, self.limits.clone()))).encode()
    }

    /// Runs intakes, one after another, until [`Self::finish`].
    pub(crate) fn run(self: &Arc<Self>, runtime: &tokio::runtime::Handle) {
        let name = self.name();
        self.host.confined(&name, None);
        let mut pause = FIRST_PAUSE;
        let mut said = String::new();
        loop {
            let begun = Instant::now();
            let ended = self.run_once(runtime);
            self.running.store(false, Ordering::SeqCst);
            self.door.send_replace(None);
            *locked(&self.to_intake) = None;
            *locked(&self.control) = None;
            *locked(&self.load) = Load::default();
            self.host.confined(&name, None);
            if *locked(&self.stopping) {
                return;
            }
            let why = ended.map_or_else(|error| error.to_string(), |()| "it ended".to_owned());
            // A host that cannot be reached is tried again every few seconds; one line says so.
            if said != why || begun.elapsed() >= LIVED {
                tracing::error!(error = %why, "the {name} is away; it is tried again");
            }
            said = why;
            self.restarts.fetch_add(1, Ordering::Relaxed);
            pause = if begun.elapsed() >= LIVED {
                FIRST_PAUSE
            } else {
                pause
            };
            let stopping = locked(&self.stopping);
            let (stopping, _) = self
                .stopped
                .wait_timeout_while(stopping, pause, |stopping| !*stopping)
                .unwrap_or_else(PoisonError::into_inner);
            if *stopping {
                return;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Starts an intake and hears it until it ends.
    fn run_once(self: &Arc<Self>, runtime: &tokio::runtime::Handle) -> io::Result<()> {
        let (ours, theirs) = UnixStream::pair()?;
        let started = self.start.start(theirs, runtime)?;
        let heard = self.hear(ours, runtime);
        self.cut();
        self.running.store(false, Ordering::SeqCst);
        self.door.send_replace(None);
        let ended = started.end();
        heard.and(ended)
    }

    fn hear(self: &Arc<Self>, ours: UnixStream, runtime: &tokio::runtime::Handle) -> io::Result<()> {
        let here = !matches!(self.start, IntakeStart::Elsewhere(_));
        let door = if here { Some(self.open_door(&ours)?) } else { None };
        let (answers, waiting) = sync_channel(ANSWERS_WAITING);
        let writer = ours.try_clone()?;
        *locked(&self.control) = Some(ours.try_clone()?);
        *locked(&self.to_intake) = Some(answers.clone());
        std::thread::Builder::new()
            .name("to-intake".to_owned())
            .spawn(move || write_answers(&waiting, writer, here))?;
        self.send(self.configuration());
        if *locked(&self.stopping) {
            return Ok(());
        }
        if let Some(door) = door {
            let _entered = runtime.enter();
            let door = tokio::net::UnixStream::from_std(door)?;
            self.door.send_replace(Some(Arc::new(door)));
        }
        self.running.store(true, Ordering::SeqCst);
        tracing::info!("the {} runs", self.name());
        let mut from = BufReader::with_capacity(READ_BYTES, ours);
        while let Some(frame) = read_frame(&mut from, self.limits.frame_bytes())? {
            let message =
                ToVault::decode(&frame).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            self.take(message, &answers);
        }
        Ok(())
    }

    /// Gives the intake the socket over which it gets connections, and its own listener.
    fn open_door(&self, ours: &UnixStream) -> io::Result<UnixStream> {
        let (door, their_door) = UnixStream::pair()?;
        descriptors::send(ours, What::Door, their_door.as_fd())?;
        if let Some(listener) = &self.listener {
            descriptors::send(&door, What::Listener, listener.as_fd())?;
        }
        door.set_nonblocking(true)?;
        Ok(door)
    }

    fn take(&self, message: ToVault, answers: &SyncSender<Vec<u8>>) {
        match message {
            ToVault::Capture { request, chunks } => self.capture(request, chunks, answers.clone()),
            ToVault::Load(load) => *locked(&self.load) = load,
            ToVault::Confined(confined) => self.host.confined(&self.name(), Some(confined)),
            ToVault::Refusals(counts) => {
                for (connection, reason, count) in counts {
                    self.host.refused(&connection, &reason, count);
                }
            }
        }
    }

    fn capture(&self, request: u64, chunks: Vec<(ZoneId, Draft)>, answers: SyncSender<Vec<u8>>) {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner).clone();
        let refused = ToIntake::Refused { request };
        if self.host.is_busy() {
            return drop(answers.try_send(refused.encode()));
        }
        let drafts = match known.checked(chunks) {
            Ok(drafts) => drafts,
            Err(what) => {
                tracing::error!(
                    what,
                    "the intake sent a capture that cannot be; it was not written"
                );
                return drop(answers.try_send(refused.encode()));
            }
        };
        let answer = move |result: Result<model::Position, store::StoreError>| {
            let message = match result {
                Ok(position) => ToIntake::Accepted { request, position },
                Err(_) => refused,
            };
            drop(answers.try_send(message.encode()));
        };
        self.host.submit(drafts, Box::new(answer));
    }
}

impl Known {
    /// The chunks of one capture as entries, if they are what an intake of ours would send.
    fn checked(&self, chunks: Vec<(ZoneId, Draft)>) -> Result<Vec<Draft>, &'static str> {
        let count = chunks.len();
        let mut drafts: Vec<Draft> = Vec::with_capacity(count.min(1024));
        for (place, (zone, draft)) in chunks.into_iter().enumerate() {
            let Kind::Chunk(chunk) = &draft.kind else {
                return Err("not a capture");
            };
            if zone != self.zone {
                return Err("another zone");
            }
            if usize::try_from(chunk.sealing.chunk) != Ok(place) || chunk.sealing.last != (place + 1 == count)
            {
                return Err("chunks out of order");
            }
            if !(TAG_BYTES..=CHUNK_BYTES + TAG_BYTES).contains(&draft.body.len()) {
                return Err("a chunk of impossible length");
            }
            match drafts.first().map(|first| &first.kind) {
                Some(Kind::Chunk(first)) if !one_capture(first, chunk) => {
                    return Err("chunks of several captures");
                }
                Some(_) => {}
                None => self.check_first(chunk)?,
            }
            drafts.push(draft);
        }
        if drafts.is_empty() {
            Err("no chunk")
        } else {
            Ok(drafts)
        }
    }

    fn check_first(&self, chunk: &Chunk) -> Result<(), &'static str> {
        let epoch = chunk.sealing.epoch;
        if epoch == 0 || (epoch != self.epoch && epoch != self.previous) {
            return Err("another epoch");
        }
        let origin = &chunk.origin;
        match self.connections.get(&origin.connection) {
            Some((connector, version))
                if *connector == origin.connector && *version == origin.connector_version =>
            {
                Ok(())
            }
            _ => Err("a connection that is not configured"),
        }
    }
}

fn one_capture(first: &Chunk, other: &Chunk) -> bool {
    let (a, b) = (&first.sealing, &other.sealing);
    first.origin == other.origin
        && (a.capture, a.epoch, a.encapsulation) == (b.capture, b.epoch, b.encapsulation)
        && (a.wrapped_key, a.commitment) == (b.wrapped_key, b.commitment)
}

/// Writes answers until nobody sends any. An intake elsewhere is told now and then that we are there.
fn write_answers(waiting: &Receiver<Vec<u8>>, mut to: UnixStream, here: bool) {
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        match waiting.recv_timeout(ALIVE_EVERY) {
            Ok(first) => bytes.extend_from_slice(&first),
            Err(RecvTimeoutError::Timeout) if here => continue,
            Err(RecvTimeoutError::Timeout) => bytes.extend_from_slice(&ToIntake::Alive.encode()),
            Err(RecvTimeoutError::Disconnected) => return,
        }
        while bytes.len() < BYTES_A_WRITE
            && let Ok(next) = waiting.try_recv()
        {
            bytes.extend_from_slice(&next);
        }
        if to.write_all(&bytes).is_err() {
            return;
        }
    }
}

impl IntakeStart {
    fn start(&self, control: UnixStream, runtime: &tokio::runtime::Handle) -> io::Result<Started> {
        match self {
            IntakeStart::Process {
                program,
                arguments,
                user,
            } => {
                let mut command = Command::new(program);
                command
                    .arg0("chancery-intake")
                    .args(arguments)
                    .env_clear()
                    .current_dir("/")
                    .stdin(Stdio::from(OwnedFd::from(control)))
                    .stdout(Stdio::null());
                if let Some(User { user, group }) = user {
                    // Takes away all other groups too.
                    command.gid(*group).uid(*user);
                }
                command.spawn().map(Started::Process)
            }
            IntakeStart::Thread => std::thread::Builder::new()
                .name("intake".to_owned())
                .spawn(move || {
                    if let Err(error) = crate::intake::run_unconfined(control) {
                        tracing::error!(%error, "the intake failed");
                    }
                })
                .map(Started::Thread),
            IntakeStart::Elsewhere(pull) => {
                let carrying = pull::start(pull, control, runtime)?;
                Ok(Started::Carrying(carrying, runtime.clone()))
            }
        }
    }
}

impl Started {
    /// Makes sure that it is gone.
    fn end(self) -> io::Result<()> {
        match self {
            Started::Process(mut child) => {
                // An error means that it has ended already.
                child.kill().ok();
                child.wait().map(drop)
            }
            Started::Carrying(carrying, runtime) => match runtime.block_on(carrying) {
                Ok(ended) => ended,
                Err(_) => Err(io::Error::other("carrying its bytes panicked")),
            },
            Started::Thread(thread) => thread.join().map_err(|_| io::Error::other("the intake panicked")),
        }
    }
}
