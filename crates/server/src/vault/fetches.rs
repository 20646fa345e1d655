//! Fetching files that messages name: what is due, and what becomes of it.

use std::sync::Arc;
use std::time::Duration;

use connect::{Connector, Fetch};
use model::entry::{Gap, GapCause, Kind, Origin};
use model::record::{Attachment, AttachmentState, Record};
use model::{MessageId, Position, Timestamp};
use seal::Key;
use seal::envelope::{CHUNK_BYTES, Purpose, Sealer, stream_head};
use store::catalogue::FetchRow;
use store::ledger::Draft;
use tokio::sync::watch;

use super::captures::Descriptor;
use super::connections::ConnectionConfig;
use super::{Inner, Vault, VaultError, locked};
use crate::fetch::{FetchLimits, FetchOutcome, Fetcher, next_attempt};

/// How often it is looked for files that are due.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Files taken up at once; they are fetched one after another.
const AT_ONCE: u32 = 16;

/// A file that is due.
pub struct Due {
    /// Where it stands in the queue.
    pub row: FetchRow,
    /// What is to be had.
    pub fetch: Fetch,
    connector: &'static dyn Connector,
    /// The connection that named it.
    pub config: ConnectionConfig,
    secrets: connect::Secrets,
}

/// Fetches what is due until told to stop.
pub async fn run(vault: Arc<Vault>, mut stopping: watch::Receiver<bool>) {
    let fetcher = match Fetcher::new(FetchLimits::default(), None) {
        Ok(fetcher) => fetcher,
        Err(error) => {
            tracing::error!(error = %error, "media will not be fetched");
            return;
        }
    };
    let mut tick = tokio::time::interval(LOOK_EVERY);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            _ = stopping.changed() => return,
        }
        tokio::select! {
            () = round(&vault, &fetcher) => {}
            _ = stopping.changed() => return,
        }
    }
}

async fn round(vault: &Arc<Vault>, fetcher: &Fetcher) {
    let asked = vault.clone();
    let due = match tokio::task::spawn_blocking(move || asked.inner.due()).await {
        Ok(Ok(due)) => due,
        Ok(Err(error)) => {
            tracing::error!(error = %error, "files to fetch cannot be looked up");
            return;
        }
        Err(_) => return,
    };
    for due in due {
        let due = Arc::new(due);
        let (asked, taken) = (vault.clone(), due.clone());
        let archived = tokio::task::spawn_blocking(move || asked.inner.fetch_archived(&taken)).await;
        let bearer = |name: &str| due.secrets.all(name).first().cloned();
        let outcome = match archived {
            Ok(Some(outcome)) => outcome,
            _ => {
                fetcher
                    .fetch(due.connector, &due.fetch, &due.config.settings, bearer)
                    .await
            }
        };
        let asked = vault.clone();
        let settled = tokio::task::spawn_blocking(move || asked.inner.settle(&due, outcome)).await;
        if let Ok(Err(error)) = settled {
            tracing::error!(error = %error, "a fetched file could not be kept; it is fetched again");
        }
    }
}

impl Due {
    /// From whom the answer is.
    pub fn origin(&self, received_at: Timestamp) -> Origin {
        Origin {
            connection: self.config.id.clone(),
            connector: self.config.connector.clone(),
            connector_version: self.connector.version(),
            received_at,
            verdict: 0,
            secret: 0,
            minimum_lock_days: self.config.minimum_lock_days,
        }
    }
}

impl Inner {
    fn due(&self) -> Result<Vec<Due>, VaultError> {
        let rows = locked(&self.reader).fetches_due((self.clock)(), AT_ONCE)?;
        let mut due = Vec::new();
        for row in rows {
            let capture = locked(&self.reader).capture(row.id.capture)?;
            let configured = capture.and_then(|capture| self.connection(&capture.connection));
            let Some((config, secrets)) = configured else {
                continue;
            };
            let Some(connector) = connect::find(&config.connector) else {
                continue;
            };
            let mut fetch = self.open_fetch(&row)?;
            if !self.is_wanted(&row, &config, &mut fetch) {
                locked(&self.catalogue).set_fetch(row.id, row.file, (self.clock)(), true)?;
                continue;
            }
            due.push(Due {
                row,
                fetch,
                connector,
                config,
                secrets,
            });
        }
        Ok(due)
    }

    fn settle(&self, due: &Due, outcome: FetchOutcome) -> Result<(), VaultError> {
        let attempts = due.row.attempts.saturating_add(1);
        if let Some(seconds) = next_attempt(attempts, &outcome) {
            let now = (self.clock)();
            let wait = i64::try_from(seconds)
                .unwrap_or(i64::MAX)
                .saturating_mul(1_000_000);
            let due_at = Timestamp::from_micros(now.as_micros().saturating_add(wait));
            locked(&self.catalogue).set_fetch(due.row.id, due.row.file, due_at, false)?;
            return Ok(());
        }
        match outcome {
            FetchOutcome::Keep {
                state,
                bytes,
                media_type,
            } => {
                let state = if state == AttachmentState::Fetched { 1 } else { 2 };
                self.keep_file(due, state, &bytes, media_type)
            }
            FetchOutcome::Capture {
                bytes,
                asked,
                cursor,
                media_type,
            } => self.keep_answer(due, &bytes, asked, cursor, media_type),
            FetchOutcome::GiveUp {
                state: AttachmentState::Expired,
                ..
            }
            | FetchOutcome::Again { .. } => self.lose_file(due, 3),
            FetchOutcome::GiveUp { .. } => self.lose_file(due, 4),
        }
    }

    fn keep_file(
        &self,
        due: &Due,
        state: u8,
        bytes: &[u8],
        content_type: Option<String>,
    ) -> Result<(), VaultError> {
        let drafts = self.seal_outside(due, state, bytes, content_type)?;
        self.ledger.append(drafts)?;
        locked(&self.catalogue).set_fetch(due.row.id, due.row.file, (self.clock)(), true)?;
        Ok(())
    }

    /// What could not be had is a result too, and a gap.
    fn lose_file(&self, due: &Due, state: u8) -> Result<(), VaultError> {
        let now = (self.clock)();
        let at = locked(&self.reader)
            .record(due.row.id)?
            .and_then(|record| record.at)
            .unwrap_or(now);
        let mut drafts = self.seal_outside(due, state, &[], None)?;
        let connection = Some(due.config.id.clone());
        let gap = Gap {
            connection,
            from: at,
            to: at,
            cause: GapCause::MediaLost,
            count: 1,
        };
        drafts.push(Draft {
            kind: Kind::Gap(gap),
            body: Vec::new(),
        });
        self.ledger.append(drafts)?;
        locked(&self.catalogue).set_fetch(due.row.id, due.row.file, now, true)?;
        Ok(())
    }

    fn seal_outside(
        &self,
        due: &Due,
        state: u8,
        bytes: &[u8],
        content_type: Option<String>,
    ) -> Result<Vec<Draft>, VaultError> {
        let origin = due.origin((self.clock)());
        let purpose = Purpose::Outside {
            cause: due.row.id,
            file: due.row.file,
            state,
        };
        let descriptor = Descriptor {
            content_type,
            ..Descriptor::default()
        };
        self.sealed(origin, purpose, &descriptor, bytes)
    }

    /// A whole stream, sealed.
    pub fn sealed(
        &self,
        origin: Origin,
        purpose: Purpose,
        descriptor: &Descriptor,
        bytes: &[u8],
    ) -> Result<Vec<Draft>, VaultError> {
        sealed_by(
            self.epoch()?.encapsulate()?.sealer(origin, purpose)?,
            descriptor,
            bytes,
        )
    }
}

/// Bytes and what is known of them, in chunks.
pub fn sealed_by(
    mut sealer: Sealer,
    descriptor: &Descriptor,
    bytes: &[u8],
) -> Result<Vec<Draft>, VaultError> {
    let mut stream = stream_head(&serde_json::to_vec(descriptor).unwrap_or_default());
    stream.extend_from_slice(bytes);
    let mut drafts = Vec::new();
    let mut chunks = stream.chunks(CHUNK_BYTES).peekable();
    while let Some(chunk) = chunks.next() {
        let mut body = Vec::with_capacity(chunk.len() + seal::suite::TAG_BYTES);
        body.extend_from_slice(chunk);
        let kind = sealer.seal(&mut body, chunks.peek().is_none())?;
        drafts.push(Draft { kind, body });
    }
    Ok(drafts)
}

impl Inner {
    /// Rows of the files that messages of a capture name: ordinal, place among its files, file.
    pub fn fetch_rows(
        &self,
        capture: Position,
        fetches: Vec<(u32, u16, Fetch)>,
    ) -> Result<Vec<FetchRow>, VaultError> {
        let seal = |(ordinal, file, fetch): (u32, u16, Fetch)| {
            let id = MessageId { capture, ordinal };
            let json = serde_json::to_vec(&fetch).unwrap_or_default();
            let sealed = self.seal_fetch(id, file, &json)?;
            Ok(FetchRow {
                id,
                file,
                attempts: 0,
                due_at: Timestamp::default(),
                state: 0,
                sealed,
            })
        };
        fetches.into_iter().map(seal).collect()
    }

    /// Seals what is to be fetched: it names a file of somebody's message.
    pub fn seal_fetch(&self, id: MessageId, file: u16, json: &[u8]) -> Result<Vec<u8>, VaultError> {
        let salt: [u8; 16] = seal::suite::random()?;
        let key = self.fetch_key(id, file, &salt)?;
        let mut sealed = json.to_vec();
        seal::suite::seal(&key, [0; 12], b"chancery/1/fetch", &mut sealed)?;
        Ok([salt.as_slice(), &sealed].concat())
    }

    fn fetch_key(&self, id: MessageId, file: u16, salt: &[u8; 16]) -> Result<Key, VaultError> {
        let place = [
            id.capture.0.to_be_bytes().as_slice(),
            &id.ordinal.to_be_bytes(),
            &file.to_be_bytes(),
        ]
        .concat();
        Ok(seal::suite::derive_from_key(
            &self.names_key,
            &[b"chancery/1/fetch", &place, salt],
        )?)
    }

    /// Opens what is to be fetched.
    pub fn open_fetch(&self, row: &FetchRow) -> Result<Fetch, VaultError> {
        let wrong = || VaultError::BadData(format!("fetch of {} is not readable", row.id));
        let (salt, sealed) = row.sealed.split_first_chunk::<16>().ok_or_else(wrong)?;
        let key = self.fetch_key(row.id, row.file, salt)?;
        let mut json = Vec::new();
        seal::suite::open(&key, [0; 12], b"chancery/1/fetch", sealed, &mut json)?;
        serde_json::from_slice(&json).map_err(|_| wrong())
    }
}

/// Files that a record says are still to be fetched.
pub(super) fn to_fetch(record: &Record<'_>) -> Vec<Fetch> {
    let files = match record {
        Record::Message(message) => &message.attachments,
        Record::Event(event) => &event.attachments,
        Record::Problem(_) => return Vec::new(),
    };
    let pending = |file: &Attachment<'_>| {
        let media_id = file
            .media_id
            .as_ref()
            .filter(|_| file.state == AttachmentState::Pending)?;
        Some(Fetch {
            media_type: file.media_type.as_deref().map(str::to_owned),
            sha256: file.sha256.as_deref().map(str::to_owned),
            ..Fetch::of(media_id.clone().into_owned())
        })
    };
    files.iter().filter_map(pending).collect()
}
