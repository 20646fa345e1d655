//! `DATA/chancery.sock`: by which commands reach the process that has the data folder.
//!
//! One line of JSON with an operation; then lines of JSON with replies, the last `done` or `error`. Only the user who runs
//! the process, and root, are answered.

use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::Uid;
use serde_json::Value;
use server::vault::Vault;
use zeroize::Zeroizing;

use crate::failure::{BAD_DATA, Failure, IO, MISSING, NOT_PERMITTED};
use crate::operation::{Emit, Interim, Operation, Reply};
use crate::{owner, perform};

const NAME: &str = "chancery.sock";
/// Longest path that fits into a socket's address, with room to spare.
const ADDRESS_MAX: usize = 100;
const REQUEST_BYTES_MAX: u64 = 8 << 20;
const REPLY_BYTES_MAX: u64 = 256 << 20;
/// Commands answered at once.
const AT_ONCE: usize = 32;
/// How long commands under way may take when the process is to stop.
const FINISH: Duration = Duration::from_secs(30);

/// A path to the socket that is short enough, and what must stay open meanwhile.
fn address(data: &Path) -> io::Result<(PathBuf, Option<File>)> {
    let path = data.join(NAME);
    if path.as_os_str().len() <= ADDRESS_MAX {
        return Ok((path, None));
    }
    let folder = File::open(data)?;
    let path = PathBuf::from(format!("/proc/self/fd/{}/{NAME}", folder.as_raw_fd()));
    Ok((path, Some(folder)))
}

/// The process that has the data folder, when there is one.
///
/// # Errors
/// It is there, and not ours to talk to.
pub fn connect(data: &Path) -> Result<Option<UnixStream>, Failure> {
    let connected = address(data).and_then(|(path, _folder)| UnixStream::connect(path));
    match connected {
        Ok(stream) => Ok(Some(stream)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => Ok(None),
        Err(error) => Err(Failure::io("talking to", &data.join(NAME), &error)),
    }
}

fn broken(error: &io::Error) -> Failure {
    Failure::new(
        IO,
        format!("talking to the running chancery: {error}; is it still running?"),
    )
}

/// Has the other process do it.
///
/// # Errors
/// What it answered, or that it went away.
pub fn ask(mut owner: UnixStream, operation: &Operation, emit: &mut Emit<'_>) -> Result<Value, Failure> {
    let request = serde_json::to_vec(operation)
        .map_err(|error| Failure::usage(format!("this cannot be asked of the running chancery: {error}")))?;
    let mut request = Zeroizing::new(request);
    request.push(b'\n');
    owner.write_all(&request).map_err(|error| broken(&error))?;
    let mut replies = BufReader::with_capacity(64 << 10, owner);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = (&mut replies).take(REPLY_BYTES_MAX).read_until(b'\n', &mut line);
        if read.map_err(|error| broken(&error))? == 0 {
            return Err(Failure::new(
                MISSING,
                "the running chancery went away; is it stopped? try again",
            ));
        }
        let reply = serde_json::from_slice(&line)
            .map_err(|_| Failure::new(BAD_DATA, "the running chancery is of another version; restart it"))?;
        match reply {
            Reply::Progress(done, all) => emit(Interim::Progress(done, all))?,
            Reply::Item(item) => emit(Interim::Item(item))?,
            Reply::Done(value) => return Ok(value),
            Reply::Error(failure) => return Err(failure),
        }
    }
}

/// Answers commands until it is closed.
pub struct Listener {
    path: PathBuf,
    data: PathBuf,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    vault: Arc<Vault>,
    closing: AtomicBool,
    active: AtomicUsize,
    idle: (Mutex<()>, Condvar),
}

impl Listener {
    /// Begins to answer. The caller has the lock of the data folder, so a socket that is there is a dead one's.
    ///
    /// # Errors
    /// The socket cannot be made.
    pub fn start(data: &Path, vault: Arc<Vault>) -> Result<Listener, Failure> {
        let path = data.join(NAME);
        let failed = |error: io::Error| Failure::cannot_write(&path, &error);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        let (bound, _folder) = address(data).map_err(failed)?;
        let listener = UnixListener::bind(bound).map_err(failed)?;
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).map_err(failed)?;
        let shared = Arc::new(Shared {
            vault,
            closing: AtomicBool::new(false),
            active: AtomicUsize::new(0),
            idle: (Mutex::new(()), Condvar::new()),
        });
        let accepting = shared.clone();
        let thread = std::thread::Builder::new()
            .name("commands".to_owned())
            .spawn(move || accept(&listener, &accepting))
            .map_err(failed)?;
        Ok(Listener {
            path,
            data: data.to_owned(),
            shared,
            thread: Some(thread),
        })
    }

    /// Takes no more commands, waits for those under way, and removes the socket.
    pub fn close(mut self) {
        self.shared.closing.store(true, Ordering::SeqCst);
        // Wakes whoever waits for a command.
        drop(connect(&self.data));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let _ = std::fs::remove_file(&self.path);
        let (mutex, condition) = &self.shared.idle;
        let guard = mutex.lock().unwrap_or_else(PoisonError::into_inner);
        let busy = |_: &mut ()| self.shared.active.load(Ordering::SeqCst) > 0;
        let _ = condition.wait_timeout_while(guard, FINISH, busy);
    }
}

fn accept(listener: &UnixListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.closing.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        if shared.active.fetch_add(1, Ordering::SeqCst) >= AT_ONCE {
            shared.active.fetch_sub(1, Ordering::SeqCst);
            let text = "the running chancery is busy with other commands; try again";
            refuse(stream, &Failure::new(MISSING, text));
            continue;
        }
        let own = Active(shared.clone());
        // When no thread can be started the command finds its connection closed.
        let _ = std::thread::Builder::new()
            .name("command".to_owned())
            .spawn(move || answer(stream, &own.0.vault));
    }
}

/// Counts itself out however its thread ends.
struct Active(Arc<Shared>);

impl Drop for Active {
    fn drop(&mut self) {
        let _guard = self.0.idle.0.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.active.fetch_sub(1, Ordering::SeqCst);
        self.0.idle.1.notify_all();
    }
}

fn refuse(mut stream: UnixStream, failure: &Failure) {
    let _ = send(&mut stream, &Reply::Error(failure.clone()));
}

fn send(stream: &mut UnixStream, reply: &Reply) -> Result<(), Failure> {
    let mut line = serde_json::to_vec(reply).unwrap_or_default();
    line.push(b'\n');
    stream.write_all(&line).map_err(|error| broken(&error))
}

/// Who is at the other end, when it is somebody we answer.
fn peer(stream: &UnixStream) -> Option<Uid> {
    let peer = rustix::net::sockopt::socket_peercred(stream).ok()?.uid;
    (peer == rustix::process::geteuid() || peer.is_root()).then_some(peer)
}

fn answer(mut stream: UnixStream, vault: &Vault) {
    let Some(peer) = peer(&stream) else {
        let text = "only the user who runs chancery, and root, may command it";
        return refuse(stream, &Failure::new(NOT_PERMITTED, text));
    };
    let mut request = Zeroizing::new(Vec::with_capacity(64 << 10));
    let mut limited = BufReader::new((&stream).take(REQUEST_BYTES_MAX));
    if limited.read_until(b'\n', &mut request).is_err() || request.is_empty() {
        return;
    }
    let Ok(operation) = serde_json::from_slice::<Operation>(&request) else {
        let text = "the running chancery does not know this; is it of another version? restart it";
        return refuse(stream, &Failure::new(BAD_DATA, text));
    };
    let done = perform::perform(vault, operation, &owner::actor(peer), &mut |interim| {
        let reply = match interim {
            Interim::Progress(done, all) => Reply::Progress(done, all),
            Interim::Item(item) => Reply::Item(item),
        };
        send(&mut stream, &reply)
    });
    // Whoever asked may be gone; what was done is done.
    let _ = send(&mut stream, &done.map_or_else(Reply::Error, Reply::Done));
}
