//! A witness: for tests, and for a customer's second site.
//!
//! It remembers the newest checkpoint of each log it watches, durably, and cosigns another only when that continues it. It holds
//! no key of the log and nothing of the record. Decisions are made in `seal::witness`; here are the folder and the door.
//!
//! *Shape of the folder.* `witness.key` (seed, hex), `witness.pub`, `logs/HASH` (the newest checkpoint cosigned of the log whose
//! origin has that hash), `conflicts/SIZE-HASH` (signed checkpoints that contradict it: proof against whoever holds the log's key).

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use model::Timestamp;
use seal::Key;
use seal::note::{Checkpoint, Note, NoteKey};
use seal::suite::{self, SigningKey, hex, unhex};
use seal::witness::{self, AddCheckpoint, Decision, MESSAGE_BYTES_MAX, Seen, WitnessKey};
use store::folder::{self, FolderLock};
use store::ledger::Clock;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::vault::VaultError;

/// Contradictions that are kept: each proves the same.
const CONFLICTS_MAX: usize = 100;
/// Connections at once. A log asks once a minute.
const CONNECTIONS_MAX: usize = 64;
/// A connection lasts this long at most.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(60);
/// From the first byte of a request to the end of its headers.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause after the listening socket gave an error.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const FILE_BYTES_MAX: u64 = 64 << 10;

/// Makes a witness's folder with a key of its own.
///
/// # Errors
/// [`VaultError::Exists`] when something is there; [`VaultError::Usage`] for a name that cannot be one.
pub fn create(path: &Path, name: &str) -> Result<WitnessKey, VaultError> {
    let fits = |c: char| c.is_ascii_graphic() && c != '+';
    if name.is_empty() || name.len() > 200 || !name.chars().all(fits) {
        let text =
            "the name of a witness has no spaces and no +; best a host of yours, as witness.example.org/w1";
        return Err(VaultError::Usage(text.to_owned()));
    }
    if std::fs::read_dir(path).is_ok_and(|mut files| files.next().is_some()) {
        return Err(VaultError::Exists(format!(
            "{} is not empty: choose another folder",
            path.display()
        )));
    }
    folder::create_folder(&path.join("logs"))?;
    folder::create_folder(&path.join("conflicts"))?;
    let seed = Key::random()?;
    let key = WitnessKey {
        name: name.to_owned(),
        public: SigningKey::from_seed(&seed)?.public(),
    };
    folder::replace_file(
        &path.join("witness.key"),
        format!("{}\n", hex(seed.reveal())).as_bytes(),
    )?;
    // Last: a folder without it was not finished.
    folder::replace_file(
        &path.join("witness.pub"),
        format!("{}\n", key.encode()).as_bytes(),
    )?;
    Ok(key)
}

/// A witness that may be asked.
pub struct Witness {
    folder: PathBuf,
    key: WitnessKey,
    signing: SigningKey,
    logs: Vec<NoteKey>,
    clock: Clock,
    /// Held from looking what is remembered until the next is durable.
    turn: Mutex<()>,
    _lock: FolderLock,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Media type.
    pub content_type: &'static str,
    /// The body.
    pub body: String,
}

impl Answer {
    fn text(status: u16, body: &str) -> Answer {
        Answer {
            status,
            content_type: "text/plain; charset=utf-8",
            body: body.to_owned(),
        }
    }

    fn size(size: u64) -> Answer {
        Answer {
            status: 409,
            content_type: "text/x.tlog.size",
            body: format!("{size}\n"),
        }
    }
}

impl Witness {
    /// Opens a folder, to watch these logs.
    ///
    /// # Errors
    /// [`VaultError::NotFound`]; [`VaultError::BadData`] when something in it is not as it was written: what a witness
    /// forgot it would cosign twice.
    pub fn open(path: &Path, logs: Vec<NoteKey>, clock: Clock) -> Result<Witness, VaultError> {
        if !path.join("witness.pub").exists() {
            let text = format!(
                "witness at {}; make one with `chancery witness init --dir DIR`",
                path.display()
            );
            return Err(VaultError::NotFound(text));
        }
        let lock = FolderLock::take(path)?;
        let read = |name: &str| -> Result<String, VaultError> {
            let bytes = folder::read_file(&path.join(name), FILE_BYTES_MAX)?;
            String::from_utf8(bytes).map_err(|_| VaultError::BadData(format!("{name} is not a text")))
        };
        let wrong = |name: &str| VaultError::BadData(format!("{name} is not as it was written"));
        let seed = unhex(read("witness.key")?.trim_end()).and_then(|seed| <[u8; 32]>::try_from(seed).ok());
        let signing = SigningKey::from_seed(&Key::from_bytes(seed.ok_or_else(|| wrong("witness.key"))?))?;
        let key = WitnessKey::decode(&read("witness.pub")?).map_err(|_| wrong("witness.pub"))?;
        if key.public != signing.public() {
            return Err(wrong("witness.pub"));
        }
        let witness = Witness {
            folder: path.to_owned(),
            key,
            signing,
            logs,
            clock,
            turn: Mutex::new(()),
            _lock: lock,
        };
        for log in &witness.logs {
            witness.seen(&log.name)?;
        }
        Ok(witness)
    }

    /// Its key.
    pub fn key(&self) -> &WitnessKey {
        &self.key
    }

    fn log_file(&self, origin: &str) -> PathBuf {
        self.folder
            .join("logs")
            .join(hex(&suite::sha256(origin.as_bytes())))
    }

    fn seen(&self, origin: &str) -> Result<Option<Seen>, VaultError> {
        let path = self.log_file(origin);
        if !path.exists() {
            return Ok(None);
        }
        let wrong = || VaultError::BadData(format!("{} is not as it was written", path.display()));
        let note = String::from_utf8(folder::read_file(&path, FILE_BYTES_MAX)?).map_err(|_| wrong())?;
        let checkpoint = Checkpoint::open(&note, None).map_err(|_| wrong())?;
        if checkpoint.origin != origin {
            return Err(wrong());
        }
        Ok(Some(Seen {
            size: checkpoint.size,
            root: checkpoint.root,
        }))
    }

    /// Answers a request to cosign. What is cosigned is durable before.
    pub fn add_checkpoint(&self, body: &str) -> Answer {
        let _turn = crate::vault::locked(&self.turn);
        let mut failed = false;
        let decision = witness::decide(body, &self.logs, |origin| {
            self.seen(origin).unwrap_or_else(|error| {
                tracing::error!(error = %error, "what was cosigned cannot be read");
                failed = true;
                None
            })
        });
        if failed {
            return Answer::text(500, "the witness cannot read what it cosigned\n");
        }
        match decision {
            Decision::Malformed => Answer::text(400, "not a request in its form\n"),
            Decision::NotSigned => Answer::text(403, "not signed by a key of this log\n"),
            Decision::UnknownLog => Answer::text(404, "this log is not watched here\n"),
            Decision::OtherSize(size) => Answer::size(size),
            Decision::Forked(size) => {
                self.keep_conflict(body);
                Answer::size(size)
            }
            Decision::NotConsistent => {
                self.keep_conflict(body);
                Answer::text(422, "the proof does not lead from what was cosigned before\n")
            }
            Decision::Cosign(checkpoint) => self.cosign(body, &checkpoint),
        }
    }

    fn cosign(&self, body: &str, checkpoint: &Checkpoint) -> Answer {
        let Ok(request) = AddCheckpoint::decode(body) else {
            return Answer::text(400, "not a request in its form\n");
        };
        let Ok(note) = Note::parse(request.note) else {
            return Answer::text(400, "not a request in its form\n");
        };
        let path = self.log_file(&checkpoint.origin);
        if let Err(error) = folder::replace_file(&path, request.note.as_bytes()) {
            tracing::error!(error = %error, "nothing is cosigned: it could not be remembered");
            return Answer::text(500, "the witness cannot write down what it would cosign\n");
        }
        let at: Timestamp = (self.clock)();
        Answer::text(
            200,
            &witness::cosign(note.text, at, &self.key.name, &self.signing),
        )
    }

    /// Keeps a signed contradiction, for whoever asks later.
    fn keep_conflict(&self, body: &str) {
        let Ok(request) = AddCheckpoint::decode(body) else {
            return;
        };
        tracing::warn!("a log was shown that does not continue what was cosigned");
        let conflicts = self.folder.join("conflicts");
        let kept = std::fs::read_dir(&conflicts).map_or(CONFLICTS_MAX, Iterator::count);
        let name: String = hex(&suite::sha256(request.note.as_bytes()))
            .chars()
            .take(16)
            .collect();
        if kept < CONFLICTS_MAX
            && let Err(error) = folder::replace_file(
                &conflicts.join(format!("{}-{name}", request.old)),
                body.as_bytes(),
            )
        {
            tracing::error!(error = %error, "a contradiction could not be kept");
        }
    }
}

/// A listening socket for a witness. Port 0 lets the system choose.
///
/// # Errors
/// [`VaultError::File`] when the address cannot be had.
pub async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), VaultError> {
    let failed = |source| VaultError::File {
        doing: "listening at",
        path: PathBuf::from(address.to_string()),
        source,
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let real = listener.local_addr().map_err(failed)?;
    Ok((listener, real))
}

/// Answers until `shutdown` is done.
pub async fn serve(witness: Arc<Witness>, listener: TcpListener, shutdown: impl Future<Output = ()>) {
    let router = Router::new()
        .route("/add-checkpoint", post(add_checkpoint))
        .with_state(witness);
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut shutdown => return,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let Ok(permit) = room.clone().try_acquire_owned() else {
            continue;
        };
        let service = TowerToHyperService::new(router.clone());
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .serve_connection(TokioIo::new(stream), service);
        tokio::spawn(async move {
            let _permit = permit;
            // However it ends, nobody is left to tell.
            drop(timeout(CONNECTION_TIMEOUT, connection).await);
        });
    }
}

async fn add_checkpoint(
    State(witness): State<Arc<Witness>>,
    request: Request<Body>,
) -> Result<Response, Infallible> {
    let Ok(body) = to_bytes(request.into_body(), MESSAGE_BYTES_MAX).await else {
        return Ok(StatusCode::PAYLOAD_TOO_LARGE.into_response());
    };
    let Ok(body) = String::from_utf8(body.to_vec()) else {
        return Ok(StatusCode::BAD_REQUEST.into_response());
    };
    let answered = tokio::task::spawn_blocking(move || witness.add_checkpoint(&body)).await;
    let Ok(answer) = answered else {
        return Ok(StatusCode::INTERNAL_SERVER_ERROR.into_response());
    };
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Ok((status, [(CONTENT_TYPE, answer.content_type)], answer.body).into_response())
}
