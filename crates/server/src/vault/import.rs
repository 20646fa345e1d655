//! Importing a file: recognized first, sealed as it is, then understood.

use std::io::{Read, SeekFrom};

use connect::{Connector, NotRecognized};
use model::entry::{ActCode, GapCause, Origin};
use model::{ConnectionId, MessageId, Position, Timestamp};
use seal::envelope::{CHUNK_BYTES, Purpose, Sealer, stream_head};
use seal::suite::Hasher;
use serde::{Deserialize, Serialize};
use store::catalogue::{CaptureRow, CaptureState, RecordSort};
use store::ledger::Draft;

use super::captures::{CaptureReader, Descriptor, sealing};
use super::connections::ConnectionConfig;
use super::{Inner, Vault, VaultError, locked};

/// Body of the act that says an import began. By it an interrupted import is found and continued.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Begun {
    /// Keyed digest of connection and file.
    pub digest: Digest16,
    /// Id of the capture.
    pub capture: Digest16,
    /// Length of the file.
    pub size_bytes: u64,
    /// Who imported it.
    pub actor: String,
}

/// Sixteen bytes as 32 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct Digest16(pub [u8; 16]);

impl From<Digest16> for String {
    fn from(digest: Digest16) -> String {
        seal::suite::hex(&digest.0)
    }
}

impl TryFrom<String> for Digest16 {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        let bytes = seal::suite::unhex(&text).ok_or("not hex")?;
        <[u8; 16]>::try_from(bytes.as_slice())
            .map(Digest16)
            .map_err(|_| "not 16 bytes")
    }
}

/// A file to import.
#[derive(Debug, Clone, Default)]
pub struct ImportOptions {
    /// Connector id.
    pub connector: String,
    /// Connection; the connector's own name when not given. Made when there is none.
    pub connection: Option<String>,
    /// What is known of the file from outside.
    pub descriptor: Descriptor,
    /// Who imports it.
    pub actor: String,
}

/// What an import did.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Imported {
    /// Position of the capture.
    pub capture: Position,
    /// Whether the file was new: `false` when the very same file was imported before.
    pub captured: bool,
    /// Whether an interrupted import was continued.
    pub resumed: bool,
    /// Messages in the file, system lines included.
    pub messages: u64,
    /// Of these, not seen in any earlier capture.
    pub new_messages: u64,
    /// Of these, seen before.
    pub duplicates: u64,
    /// Records of whom or what was destroyed before, dated from before then: sealed under a key that nobody keeps.
    pub erased: u64,
    /// Events.
    pub events: u64,
    /// Problems.
    pub problems: u64,
    /// Messages that an earlier export of the same chat has with another text: new id, earlier id.
    pub changed: Vec<(String, String)>,
    /// The parser's report.
    pub report: Option<serde_json::Value>,
}

/// Most changed messages that are listed by id.
const CHANGED_MAX: u32 = 1000;

/// Chunks sealed and made durable together.
const CHUNKS_AT_ONCE: usize = 4;

impl Vault {
    /// Imports a file. `progress` is told bytes sealed and bytes in all.
    ///
    /// # Errors
    /// [`VaultError::BadData`] when the file is not what the connector takes; nothing was kept then.
    pub fn import(
        &self,
        input: &mut dyn connect::Input,
        options: &ImportOptions,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Imported, VaultError> {
        let connector = connect::find(&options.connector)
            .ok_or_else(|| VaultError::Usage(format!("no connector {}", options.connector)))?;
        recognize(connector, input, &options.descriptor)?;
        let connection = self.inner.import_connection(options)?;
        let (digest, size_bytes) = self.inner.digest(input, &connection.id)?;
        self.inner.wait_normalized(self.inner.ledger.head())?;
        let known = locked(&self.inner.reader).imported(&digest)?;
        let mut imported = Imported::default();
        let capture = match known {
            Some(row) if row.state != CaptureState::Partial => row.position,
            Some(row) => {
                imported.captured = true;
                imported.resumed = true;
                self.inner.resume(input, &row, size_bytes, progress)?
            }
            None => {
                imported.captured = true;
                let begun = Digest16(digest);
                self.inner.seal_file(
                    input,
                    connector,
                    &connection,
                    options,
                    (begun, size_bytes),
                    progress,
                )?
            }
        };
        self.inner.wait_normalized(self.inner.ledger.head())?;
        self.inner.describe(capture, &mut imported)?;
        if imported.captured {
            let act = serde_json::json!({
                "capture": capture, "connection": connection.id, "actor": options.actor,
                "messages": imported.messages, "new": imported.new_messages, "erased": imported.erased,
            });
            self.inner.act(ActCode::Imported, &act)?;
            self.inner.note_possibly_cut(&connection.id, &imported)?;
        }
        Ok(imported)
    }
}

fn recognize(
    connector: &dyn Connector,
    input: &mut dyn connect::Input,
    descriptor: &Descriptor,
) -> Result<(), VaultError> {
    rewind(input)?;
    connector
        .recognize(input, &descriptor.parse_options(connect::Secrets::default()))
        .map_err(|problem| match problem {
            NotRecognized::Io(error) => VaultError::Capture(error),
            wrong @ NotRecognized::Wrong { .. } => VaultError::BadData(wrong.to_string()),
        })?;
    rewind(input)
}

fn rewind(input: &mut dyn connect::Input) -> Result<(), VaultError> {
    input
        .seek(SeekFrom::Start(0))
        .map(drop)
        .map_err(VaultError::Capture)
}

/// Reads up to a whole chunk; shorter only at the end.
fn read_chunk(input: &mut dyn Read, chunk: &mut Vec<u8>) -> Result<(), VaultError> {
    let missing = CHUNK_BYTES - chunk.len();
    input
        .take(missing as u64)
        .read_to_end(chunk)
        .map(drop)
        .map_err(VaultError::Capture)
}

impl Inner {
    fn import_connection(&self, options: &ImportOptions) -> Result<ConnectionConfig, VaultError> {
        let name = options.connection.as_ref().unwrap_or(&options.connector);
        if let Some((config, _)) = self.connection(name) {
            if config.connector != options.connector {
                return Err(VaultError::Usage(format!(
                    "connection {name} is of {}, not of {}",
                    config.connector, options.connector
                )));
            }
            return Ok(config);
        }
        let id: ConnectionId = name
            .parse()
            .map_err(|problem| VaultError::Usage(format!("{name}: {problem}")))?;
        let config = ConnectionConfig {
            secret_expires: std::collections::BTreeMap::new(),
            id,
            connector: options.connector.clone(),
            settings: connect::Settings::new(),
            minimum_lock_days: 0,
        };
        self.add_connection(&config, &connect::Secrets::default())?;
        Ok(config)
    }

    /// Keyed digest of a whole file, by which the same file is told. No digest of content without the key is kept.
    fn digest(
        &self,
        input: &mut dyn connect::Input,
        connection: &ConnectionId,
    ) -> Result<([u8; 16], u64), VaultError> {
        let mut hasher = Hasher::new();
        let mut buffer = vec![0; 256 << 10];
        let mut size_bytes = 0u64;
        loop {
            let count = input.read(&mut buffer).map_err(VaultError::Capture)?;
            if count == 0 {
                break;
            }
            hasher.update(buffer.get(..count).unwrap_or(&[]));
            size_bytes += count as u64;
        }
        rewind(input)?;
        let digest = self
            .labels
            .digest(&[b"file", connection.as_str().as_bytes(), &hasher.finish()]);
        Ok((digest, size_bytes))
    }

    fn seal_file(
        &self,
        input: &mut dyn connect::Input,
        connector: &dyn Connector,
        connection: &ConnectionConfig,
        options: &ImportOptions,
        (digest, size_bytes): (Digest16, u64),
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Position, VaultError> {
        let origin = Origin {
            connection: connection.id.clone(),
            connector: connector.id().to_owned(),
            connector_version: connector.version(),
            received_at: (self.clock)(),
            verdict: 0,
            secret: 0,
            minimum_lock_days: connection.minimum_lock_days,
        };
        let mut sealer = self.epoch()?.encapsulate()?.sealer(origin, Purpose::Capture)?;
        let begun = Begun {
            digest,
            capture: Digest16(sealer.capture().0),
            size_bytes,
            actor: options.actor.clone(),
        };
        let begun = serde_json::to_value(&begun).unwrap_or_default();
        self.act(ActCode::ImportBegun, &begun)?;
        let descriptor = serde_json::to_vec(&options.descriptor).unwrap_or_default();
        let first = stream_head(&descriptor);
        let head_bytes = first.len() as u64;
        let at = self.seal_rest(input, &mut sealer, first, &mut |sealed| {
            progress(sealed.saturating_sub(head_bytes).min(size_bytes), size_bytes);
        })?;
        at.ok_or_else(|| VaultError::BadData("nothing was sealed".to_owned()))
    }

    /// Seals from where `input` stands to its end; `chunk` holds the beginning of the first chunk.
    fn seal_rest(
        &self,
        input: &mut dyn connect::Input,
        sealer: &mut Sealer,
        mut chunk: Vec<u8>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Option<Position>, VaultError> {
        let (mut first, mut drafts, mut sealed) = (None, Vec::new(), 0u64);
        read_chunk(input, &mut chunk)?;
        loop {
            let mut next = Vec::with_capacity(CHUNK_BYTES + 16);
            read_chunk(input, &mut next)?;
            let last = next.is_empty();
            sealed += chunk.len() as u64;
            let kind = sealer.seal(&mut chunk, last)?;
            drafts.push(Draft { kind, body: chunk });
            if last || drafts.len() >= CHUNKS_AT_ONCE {
                let at = self.ledger.append(std::mem::take(&mut drafts))?;
                first.get_or_insert(at);
                progress(sealed);
            }
            if last {
                return Ok(first);
            }
            chunk = next;
        }
    }

    /// Goes on where an interrupted import stopped.
    fn resume(
        &self,
        input: &mut dyn connect::Input,
        row: &CaptureRow,
        size_bytes: u64,
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<Position, VaultError> {
        let key = self.data_key(row, None)?.ok_or_else(|| {
            VaultError::BadData(
                "the import was interrupted too long ago to be continued: its epoch is over".to_owned(),
            )
        })?;
        let first = self.must_entry(row.position)?;
        let last = self.must_entry(row.last_position)?;
        let mut plain = Vec::new();
        seal::envelope::open_chunk(&self.file.zone, sealing(&first)?, &key, &first.body, &mut plain)?;
        let (descriptor, _) = seal::envelope::split_stream(&plain).map_err(seal::SealError::from)?;
        let done = u64::from(row.chunks) * CHUNK_BYTES as u64 - (descriptor.len() as u64 + 4);
        input.seek(SeekFrom::Start(done)).map_err(VaultError::Capture)?;
        let origin = match &first.header.kind {
            model::entry::Kind::Chunk(chunk) => chunk.origin.clone(),
            _ => return Err(VaultError::BadData("an import that is no capture".to_owned())),
        };
        let mut sealer = Sealer::resume(
            self.file.zone.clone(),
            origin,
            Purpose::Capture,
            sealing(&last)?,
            key,
        );
        self.seal_rest(input, &mut sealer, Vec::new(), &mut |sealed| {
            progress(done + sealed, size_bytes)
        })?;
        Ok(row.position)
    }

    /// An export that begins in mid-chat leaves out what was said before: a gap with no known beginning.
    fn note_possibly_cut(&self, connection: &ConnectionId, imported: &Imported) -> Result<(), VaultError> {
        let Some(report) = &imported.report else {
            return Ok(());
        };
        if report.get("possibly_cut").and_then(serde_json::Value::as_bool) != Some(true) {
            return Ok(());
        }
        let first = report.get("first_at").and_then(serde_json::Value::as_str);
        let until = first
            .and_then(|at| Timestamp::parse(at).ok())
            .unwrap_or_else(|| (self.clock)());
        self.append_gap(GapCause::PossiblyCut, Some(connection.clone()), (until, until), 0)
    }

    fn describe(&self, capture: Position, imported: &mut Imported) -> Result<(), VaultError> {
        let reader = locked(&self.reader);
        let (messages, repeated) = reader.count_of_capture(capture, RecordSort::Message)?;
        imported.capture = capture;
        imported.messages = messages;
        imported.duplicates = if imported.captured { repeated } else { messages };
        imported.new_messages = messages - imported.duplicates;
        imported.erased = reader.count_erased_of(capture)?;
        imported.events = reader.count_of_capture(capture, RecordSort::Event)?.0;
        imported.problems = reader.count_of_capture(capture, RecordSort::Problem)?.0;
        if imported.captured {
            let text = |(new, old): (MessageId, MessageId)| (new.to_string(), old.to_string());
            imported.changed = reader
                .changed_since(capture, CHANGED_MAX)?
                .into_iter()
                .map(text)
                .collect();
        }
        imported.report = reader
            .report(capture)?
            .and_then(|report| serde_json::from_str(&report).ok());
        Ok(())
    }
}

impl Vault {
    /// The bytes of a capture as they were received.
    ///
    /// # Errors
    /// [`VaultError::NotFound`]; [`VaultError::BadData`] when no key opens it any more.
    pub fn open_capture(&self, at: Position) -> Result<(CaptureReader, Descriptor), VaultError> {
        let (row, wrap, chunks) = {
            let reader = locked(&self.inner.reader);
            let row = reader
                .capture(at)?
                .ok_or_else(|| VaultError::NotFound(format!("capture {at}")))?;
            let (wrap, chunks) = (reader.wrap(at)?, reader.chunks(&row)?);
            (row, wrap, chunks)
        };
        let key = self.inner.data_key(&row, wrap)?;
        let key = key.ok_or_else(|| VaultError::BadData(format!("no key opens capture {at} any more")))?;
        CaptureReader::open(self.inner.clone(), &row, key, chunks)
    }
}
