//! From a genuine request to sealed chunks. What was readable is wiped or overwritten by its own ciphertext.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use connect::{Connector, Request, Verdict};
use model::Timestamp;
use model::entry::{Kind, Origin};
use seal::SealError;
use seal::envelope::{CHUNK_BYTES, Encapsulation, EpochPublic, Purpose, stream_head};
use seal::suite::TAG_BYTES;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::host::IntakeConnection;

/// One encapsulation serves for this long: an ECDH a capture would cost more than everything else together.
const ENCAPSULATION_LIFE: Duration = Duration::from_secs(1);

/// Seals to one epoch.
pub(super) struct Epoch {
    public: EpochPublic,
    current: Mutex<Option<(Instant, Encapsulation)>>,
}

/// What precedes the body in a capture's stream.
#[derive(Serialize)]
struct Descriptor<'a> {
    headers: Vec<(&'a str, std::borrow::Cow<'a, str>)>,
    method: &'a str,
    query: &'a str,
}

impl Epoch {
    pub(super) fn new(public: EpochPublic) -> Self {
        Epoch {
            public,
            current: Mutex::new(None),
        }
    }

    pub(super) fn public(&self) -> &EpochPublic {
        &self.public
    }

    /// Seals one request. `headers` names those to keep.
    pub(super) fn seal(
        &self,
        connection: &IntakeConnection,
        connector: &dyn Connector,
        request: &Request<'_>,
        verdict: Verdict,
        headers: &[&str],
    ) -> Result<Vec<(Kind, Vec<u8>)>, SealError> {
        let (verdict, secret) = match verdict {
            Verdict::Signature { secret } => (1, secret),
            Verdict::Unverified => (0, 0),
        };
        let origin = Origin {
            connection: connection.id.clone(),
            connector: connector.id().to_owned(),
            connector_version: connector.version(),
            received_at: now(),
            verdict,
            secret,
            minimum_lock_days: connection.minimum_lock_days,
        };
        let descriptor = Zeroizing::new(descriptor(request, headers));
        let head = Zeroizing::new(stream_head(&descriptor));
        let mut sealer = self.sealer(origin)?;
        let mut chunks = Vec::new();
        let mut pieces = Pieces {
            first: &head,
            second: request.body,
        };
        loop {
            let (mut chunk, last) = pieces.next();
            let kind = sealer.seal(&mut chunk, last)?;
            chunks.push((kind, chunk));
            if last {
                return Ok(chunks);
            }
        }
    }

    fn sealer(&self, origin: Origin) -> Result<seal::envelope::Sealer, SealError> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = |(since, _): &(Instant, Encapsulation)| since.elapsed() < ENCAPSULATION_LIFE;
        if !current.as_ref().is_some_and(fresh) {
            *current = None;
        }
        let (_, encapsulation) = match &mut *current {
            Some(current) => current,
            empty => empty.insert((Instant::now(), self.public.encapsulate()?)),
        };
        encapsulation.sealer(origin, Purpose::Capture)
    }
}

pub(super) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

fn descriptor(request: &Request<'_>, keep: &[&str]) -> Vec<u8> {
    let kept = request.headers.iter().filter(|(name, _)| keep.contains(name));
    let descriptor = Descriptor {
        headers: kept
            .map(|(name, value)| (*name, String::from_utf8_lossy(value)))
            .collect(),
        method: request.method,
        query: request.query,
    };
    // Strings and lists of strings always have a JSON form.
    serde_json::to_vec(&descriptor).unwrap_or_default()
}

/// Two pieces of bytes in a row, cut into chunks.
struct Pieces<'a> {
    first: &'a [u8],
    second: &'a [u8],
}

impl Pieces<'_> {
    /// The next chunk, and whether it is the last.
    fn next(&mut self) -> (Vec<u8>, bool) {
        let length = (self.first.len() + self.second.len()).min(CHUNK_BYTES);
        // With room for the tag, so that sealing does not move it and leave a copy.
        let mut chunk = Vec::with_capacity(length + TAG_BYTES);
        for piece in [&mut self.first, &mut self.second] {
            let (now, later) = piece.split_at(piece.len().min(length - chunk.len()));
            chunk.extend_from_slice(now);
            *piece = later;
        }
        (chunk, self.first.is_empty() && self.second.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(first: usize, second: usize, expected: &[usize]) {
        let bytes = vec![7; first + second];
        let mut pieces = Pieces {
            first: &bytes[..first],
            second: &bytes[first..],
        };
        let mut lengths = Vec::new();
        loop {
            let (chunk, last) = pieces.next();
            assert_eq!(chunk.capacity(), chunk.len() + TAG_BYTES);
            lengths.push(chunk.len());
            if last {
                break;
            }
        }
        assert_eq!(lengths, expected);
    }

    #[test]
    fn a_stream_is_cut_into_full_chunks_and_a_last_one_without_an_empty_one_after_it() {
        check(10, 0, &[10]);
        check(10, 5, &[15]);
        check(10, CHUNK_BYTES - 10, &[CHUNK_BYTES]);
        check(10, CHUNK_BYTES - 9, &[CHUNK_BYTES, 1]);
        check(10, 2 * CHUNK_BYTES, &[CHUNK_BYTES, CHUNK_BYTES, 10]);
    }
}
