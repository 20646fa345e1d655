//! Opening captures: from sealed chunks to the bytes as received.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;

use model::Position;
use model::entry::{Kind, Sealing};
use seal::Key;
use seal::envelope::{CHUNK_BYTES, open_chunk, unwrap_data_key};
use seal::suite::TAG_BYTES;
use serde::{Deserialize, Serialize};
use store::StoreError;
use store::catalogue::CaptureRow;
use store::ledger::StoredEntry;
use zeroize::Zeroize;

use super::{Inner, VaultError, locked};

/// What is sealed with a capture's bytes: how they came.
#[derive(Debug, Clone, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct Descriptor {
    /// HTTP method, for a webhook.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Headers worth keeping, for a webhook.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(String, String)>,
    /// Query string, undecoded, for a webhook.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// Name of the file as handed in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_name: Option<String>,
    /// Whose phone or account it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub custodian: Option<String>,
    /// IANA zone of that phone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone_of_phone: Option<String>,
    /// Stated order of dates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date_order: Option<connect::DateOrder>,
    /// Media type of a fetched file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
}

impl Descriptor {
    /// What the parser is told; `secrets` are those that captures are understood with.
    pub fn parse_options(&self, secrets: connect::Secrets) -> connect::ParseOptions {
        connect::ParseOptions {
            file_name: self.file_name.clone(),
            custodian: self.custodian.clone(),
            zone_of_phone: self
                .zone_of_phone
                .as_ref()
                .and_then(|zone| jiff::tz::TimeZone::get(zone).ok()),
            date_order: self.date_order,
            query: self.query.clone(),
            secrets,
        }
    }
}

/// The sealing of a capture's chunk.
pub fn sealing(entry: &StoredEntry) -> Result<&Sealing, StoreError> {
    match &entry.header.kind {
        Kind::Chunk(chunk) => Ok(&chunk.sealing),
        Kind::Outside(outside) => Ok(&outside.sealing),
        other => {
            let detail = format!("is a {}, not a capture", other.name());
            Err(StoreError::damaged(
                format!("entry {}", entry.header.position),
                detail,
            ))
        }
    }
}

impl Inner {
    /// An entry that must be there.
    pub fn must_entry(&self, at: Position) -> Result<StoredEntry, VaultError> {
        let found = self.ledger.entry(at)?;
        found.ok_or_else(|| StoreError::damaged(format!("entry {at}"), "is missing").into())
    }

    /// The data key of a capture: by its wrap, else by the epoch's key. None when both are gone; and none once a secret that
    /// it concerns was destroyed, for the epoch's key may live a little longer.
    pub fn data_key(&self, row: &CaptureRow, wrap: Option<Position>) -> Result<Option<Key>, VaultError> {
        if row.closed {
            return Ok(None);
        }
        let first = self.must_entry(row.position)?;
        let sealing = sealing(&first)?;
        if let Some(at) = wrap {
            let entry = self.must_entry(at)?;
            if let Kind::Wrap(wrap) = &entry.header.kind
                && let Some(joint) = self.joint_key(&wrap.keys)?
            {
                return Ok(Some(seal::wrap::unwrap(
                    &joint,
                    &wrap.wrapped_key,
                    &sealing.commitment,
                )?));
            }
        }
        self.epoch_key(sealing)
    }

    /// The data key by the epoch's key alone: for writing out what belongs to the living, before the epoch ends.
    pub fn epoch_key(&self, sealing: &Sealing) -> Result<Option<Key>, VaultError> {
        let Some(kek) = self.encapsulated_key(sealing)? else {
            return Ok(None);
        };
        Ok(Some(unwrap_data_key(&kek, sealing)?))
    }

    /// How many bytes were received, which the sealed length does not say; none when its key is gone.
    pub fn received_bytes(&self, row: &CaptureRow) -> Result<Option<u64>, VaultError> {
        let wrap = locked(&self.reader).wrap(row.position)?;
        let Some(key) = self.data_key(row, wrap)? else {
            return Ok(None);
        };
        let first = self.must_entry(row.position)?;
        let mut plain = Vec::new();
        open_chunk(&self.file.zone, sealing(&first)?, &key, &first.body, &mut plain)?;
        let descriptor = plain
            .first_chunk()
            .map_or(0, |length| u64::from(u32::from_be_bytes(*length)));
        let around = TAG_BYTES as u64 * u64::from(row.chunks) + 4 + descriptor;
        plain.zeroize();
        Ok(Some(row.size_bytes.saturating_sub(around)))
    }

    /// The key that secrets give together; none when one of them is gone.
    pub fn joint_key(&self, ids: &[model::KeyId]) -> Result<Option<Key>, VaultError> {
        let keys = locked(&self.keys);
        let secrets: Option<Vec<_>> = ids
            .iter()
            .map(|id| keys.ring().secret(*id).map(|secret| (*id, secret.clone())))
            .collect();
        Ok(secrets
            .map(|secrets| seal::wrap::joint_key(&secrets))
            .transpose()?)
    }
}

/// The bytes of a capture, opened chunk by chunk: memory holds one chunk, whatever its size.
pub struct CaptureReader {
    inner: Arc<Inner>,
    key: Key,
    chunks: Vec<Position>,
    /// Bytes before the capture's own: length and descriptor.
    head_bytes: u64,
    length: u64,
    at: u64,
    open: Option<usize>,
    plain: Vec<u8>,
}

impl CaptureReader {
    /// Opens a capture and reads its descriptor.
    pub(crate) fn open(
        inner: Arc<Inner>,
        row: &CaptureRow,
        key: Key,
        chunks: Vec<Position>,
    ) -> Result<(CaptureReader, Descriptor), VaultError> {
        let tags = TAG_BYTES as u64 * u64::from(row.chunks);
        let mut reader = CaptureReader {
            inner,
            key,
            chunks,
            head_bytes: 0,
            length: row.size_bytes.saturating_sub(tags),
            at: 0,
            open: None,
            plain: Vec::new(),
        };
        let mut length = [0; 4];
        reader.read_exact(&mut length).map_err(VaultError::Capture)?;
        let length = u32::from_be_bytes(length) as usize;
        if length > CHUNK_BYTES {
            return Err(VaultError::BadData(
                "a capture's descriptor is too long".to_owned(),
            ));
        }
        let mut descriptor = vec![0; length];
        reader.read_exact(&mut descriptor).map_err(VaultError::Capture)?;
        reader.head_bytes = 4 + length as u64;
        reader.length = reader.length.saturating_sub(reader.head_bytes);
        reader.at = 0;
        let descriptor = serde_json::from_slice(&descriptor)
            .map_err(|_| VaultError::BadData("a capture's descriptor is not readable".to_owned()))?;
        Ok((reader, descriptor))
    }

    /// Bytes as received.
    pub fn len(&self) -> u64 {
        self.length
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    fn load(&mut self, index: usize) -> io::Result<()> {
        if self.open == Some(index) {
            return Ok(());
        }
        let position = *self.chunks.get(index).ok_or(io::ErrorKind::UnexpectedEof)?;
        let entry = self.inner.must_entry(position).map_err(io::Error::other)?;
        let sealing = sealing(&entry).map_err(io::Error::other)?;
        self.open = None;
        open_chunk(
            &self.inner.file.zone,
            sealing,
            &self.key,
            &entry.body,
            &mut self.plain,
        )
        .map_err(io::Error::other)?;
        self.open = Some(index);
        Ok(())
    }
}

impl Read for CaptureReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.length || out.is_empty() {
            return Ok(0);
        }
        let absolute = self.head_bytes + self.at;
        let index = usize::try_from(absolute / CHUNK_BYTES as u64).unwrap_or(usize::MAX);
        let within = usize::try_from(absolute % CHUNK_BYTES as u64).unwrap_or(0);
        self.load(index)?;
        let available = self.plain.get(within..).unwrap_or(&[]);
        let left = usize::try_from(self.length - self.at).unwrap_or(usize::MAX);
        let count = available.len().min(out.len()).min(left);
        if let (Some(to), Some(from)) = (out.get_mut(..count), available.get(..count)) {
            to.copy_from_slice(from);
        }
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for CaptureReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(at) => i128::from(at),
            SeekFrom::End(by) => i128::from(self.length) + i128::from(by),
            SeekFrom::Current(by) => i128::from(self.at) + i128::from(by),
        };
        self.at = u64::try_from(target).map_err(|_| io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}
