//! Envelope encryption: what a process can seal that holds only a public key, and what opens it again.
//!
//! A capture is a stream: four bytes of length, a descriptor in JSON, the bytes as received. It is cut into chunks
//! of 1 MiB, all sealed under one fresh data key, each bound to its capture, its place and whether it is the last.

use model::bytes::{Malformed, Writer};
use model::entry::{Chunk, FORMAT, Kind, Origin, Outside, POINT_BYTES, SUITE, Sealing, WRAPPED_KEY_BYTES};
use model::{CaptureId, MessageId, ZoneId};

use crate::suite::{self, EcdhPrivate, Key, SealError};

/// Plain bytes in a chunk.
pub const CHUNK_BYTES: usize = 1 << 20;

/// The public half of an intake epoch: all that the intake knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EpochPublic {
    /// Whose.
    pub zone: ZoneId,
    /// Which, counted from 1.
    pub epoch: u32,
    /// The point to which data keys are wrapped.
    pub point: [u8; POINT_BYTES],
}

/// The private half, kept by the vault until every capture of the epoch has its wraps or parts.
pub struct EpochPrivate {
    /// Whose.
    pub zone: ZoneId,
    /// Which.
    pub epoch: u32,
    key: EcdhPrivate,
}

/// One encapsulation: data keys of about a second are wrapped under the same derived key, because an ECDH for each
/// capture would cost more than everything else together.
pub struct Encapsulation {
    zone: ZoneId,
    epoch: u32,
    point: [u8; POINT_BYTES],
    kek: Key,
}

fn epoch_kek(
    key: &EcdhPrivate,
    peer: &[u8; POINT_BYTES],
    points: (&[u8; POINT_BYTES], &[u8; POINT_BYTES]),
    zone: &ZoneId,
    epoch: u32,
) -> Result<Key, SealError> {
    let salt = [points.0.as_slice(), points.1.as_slice()].concat();
    key.agree(peer, |shared| {
        suite::derive(
            &salt,
            shared,
            &[
                b"chancery/1/epoch",
                zone.as_str().as_bytes(),
                &epoch.to_be_bytes(),
            ],
        )
    })
}

impl EpochPublic {
    /// A new encapsulation to this epoch.
    ///
    /// # Errors
    /// [`SealError`] when the point is none, or the provider fails.
    pub fn encapsulate(&self) -> Result<Encapsulation, SealError> {
        let ephemeral = EcdhPrivate::generate()?;
        let point = ephemeral.public()?;
        let kek = epoch_kek(
            &ephemeral,
            &self.point,
            (&self.point, &point),
            &self.zone,
            self.epoch,
        )?;
        Ok(Encapsulation {
            zone: self.zone.clone(),
            epoch: self.epoch,
            point,
            kek,
        })
    }
}

impl EpochPrivate {
    /// From the scalar that the key store keeps.
    ///
    /// # Errors
    /// [`SealError::Provider`].
    pub fn from_scalar(zone: ZoneId, epoch: u32, scalar: &Key) -> Result<Self, SealError> {
        Ok(EpochPrivate {
            zone,
            epoch,
            key: EcdhPrivate::from_scalar(scalar)?,
        })
    }

    /// Its public half.
    ///
    /// # Errors
    /// [`SealError::Provider`].
    pub fn public(&self) -> Result<EpochPublic, SealError> {
        Ok(EpochPublic {
            zone: self.zone.clone(),
            epoch: self.epoch,
            point: self.key.public()?,
        })
    }

    /// The key under which an encapsulation wrapped its data keys. Worth keeping for the captures of one second.
    ///
    /// # Errors
    /// [`SealError::NotOpened`] when the point is not on the curve.
    pub fn decapsulate(&self, encapsulation: &[u8; POINT_BYTES]) -> Result<Key, SealError> {
        let own = self.key.public()?;
        epoch_kek(
            &self.key,
            encapsulation,
            (&own, encapsulation),
            &self.zone,
            self.epoch,
        )
    }

    /// The data key of a capture, checked against its commitment.
    ///
    /// # Errors
    /// [`SealError::NotOpened`], [`SealError::Commitment`].
    pub fn data_key(&self, sealing: &Sealing) -> Result<Key, SealError> {
        unwrap_data_key(&self.decapsulate(&sealing.encapsulation)?, sealing)
    }
}

/// The data key of a capture, with the encapsulated key at hand.
///
/// # Errors
/// [`SealError::NotOpened`], [`SealError::Commitment`].
pub fn unwrap_data_key(kek: &Key, sealing: &Sealing) -> Result<Key, SealError> {
    let key = suite::unwrap_key(kek, &sealing.wrapped_key)?;
    suite::check_commitment(&key, &sealing.commitment)?;
    Ok(key)
}

/// What a sealed chunk stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// Received.
    Capture,
    /// Fetched because of a message.
    Outside {
        /// Which message.
        cause: MessageId,
        /// Which of its files.
        file: u16,
        /// See [`Outside::state`].
        state: u8,
    },
}

/// Seals one capture, chunk by chunk.
pub struct Sealer {
    zone: ZoneId,
    origin: Origin,
    purpose: Purpose,
    capture: CaptureId,
    epoch: u32,
    encapsulation: [u8; POINT_BYTES],
    key: Key,
    wrapped_key: [u8; WRAPPED_KEY_BYTES],
    commitment: [u8; 32],
    next: u32,
}

impl Encapsulation {
    /// Begins a capture under a fresh data key.
    ///
    /// # Errors
    /// [`SealError::Provider`].
    pub fn sealer(&self, origin: Origin, purpose: Purpose) -> Result<Sealer, SealError> {
        // One call for both: asking the provider costs more than the bytes.
        let (key, capture) = Key::random_with()?;
        Ok(Sealer {
            zone: self.zone.clone(),
            origin,
            purpose,
            capture: CaptureId(capture),
            epoch: self.epoch,
            encapsulation: self.point,
            wrapped_key: suite::wrap_key(&self.kek, &key)?,
            commitment: suite::commitment(&key),
            key,
            next: 0,
        })
    }
}

impl Sealer {
    /// Goes on with a capture that was interrupted after `last_sealed`, under the same key.
    pub fn resume(zone: ZoneId, origin: Origin, purpose: Purpose, last_sealed: &Sealing, key: Key) -> Sealer {
        Sealer {
            zone,
            origin,
            purpose,
            capture: last_sealed.capture,
            epoch: last_sealed.epoch,
            encapsulation: last_sealed.encapsulation,
            wrapped_key: last_sealed.wrapped_key,
            commitment: last_sealed.commitment,
            key,
            next: last_sealed.chunk.saturating_add(1),
        }
    }

    /// The capture's id.
    pub fn capture(&self) -> CaptureId {
        self.capture
    }

    /// Seals the next chunk in place: `bytes` becomes the body of the entry.
    ///
    /// # Errors
    /// [`SealError::Provider`].
    pub fn seal(&mut self, bytes: &mut Vec<u8>, last: bool) -> Result<Kind, SealError> {
        let sealing = Sealing {
            capture: self.capture,
            chunk: self.next,
            last,
            epoch: self.epoch,
            encapsulation: self.encapsulation,
            wrapped_key: self.wrapped_key,
            commitment: self.commitment,
        };
        self.next = self.next.saturating_add(1);
        suite::seal(
            &self.key,
            chunk_nonce(&sealing),
            &chunk_aad(&self.zone, &sealing),
            bytes,
        )?;
        let origin = self.origin.clone();
        Ok(match self.purpose {
            Purpose::Capture => Kind::Chunk(Chunk { origin, sealing }),
            Purpose::Outside { cause, file, state } => Kind::Outside(Outside {
                origin,
                sealing,
                cause,
                file,
                state,
            }),
        })
    }
}

/// Opens a chunk into `out`. The caller has checked the key's commitment.
///
/// # Errors
/// [`SealError::NotOpened`].
pub fn open_chunk(
    zone: &ZoneId,
    sealing: &Sealing,
    key: &Key,
    body: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), SealError> {
    suite::open(key, chunk_nonce(sealing), &chunk_aad(zone, sealing), body, out)
}

fn chunk_nonce(sealing: &Sealing) -> [u8; 12] {
    let [a, b, c, d] = sealing.chunk.to_be_bytes();
    [0, 0, 0, 0, 0, 0, 0, a, b, c, d, u8::from(sealing.last)]
}

fn chunk_aad(zone: &ZoneId, sealing: &Sealing) -> Vec<u8> {
    let mut aad = Writer::with_capacity(96);
    aad.raw(b"chancery/1/chunk")
        .u16(FORMAT)
        .u8(SUITE)
        .name(zone.as_str())
        .raw(&sealing.capture.0);
    aad.u32(sealing.chunk)
        .u8(u8::from(sealing.last))
        .u32(sealing.epoch);
    aad.into_bytes()
}

/// The first bytes of a capture's stream: length and descriptor.
pub fn stream_head(descriptor: &[u8]) -> Vec<u8> {
    let mut head = Writer::with_capacity(descriptor.len() + 4);
    head.blob(descriptor);
    head.into_bytes()
}

/// Splits the beginning of a stream into descriptor and bytes as received.
///
/// # Errors
/// [`Malformed::Short`].
pub fn split_stream(stream: &[u8]) -> Result<(&[u8], &[u8]), Malformed> {
    let mut reader = model::bytes::Reader::new(stream, "capture descriptor");
    let descriptor = reader.blob()?;
    Ok((descriptor, reader.rest()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Timestamp;

    fn epoch() -> EpochPrivate {
        let scalar = EcdhPrivate::generate().unwrap().scalar().unwrap();
        EpochPrivate::from_scalar("us".parse().unwrap(), 3, &scalar).unwrap()
    }

    fn origin() -> Origin {
        Origin {
            connection: "ward-3".parse().unwrap(),
            connector: "whatsapp-cloud".into(),
            connector_version: 1,
            received_at: Timestamp::from_seconds(1_700_000_000),
            verdict: 1,
            secret: 0,
            minimum_lock_days: 0,
        }
    }

    fn sealing(kind: &Kind) -> Sealing {
        match kind {
            Kind::Chunk(chunk) => chunk.sealing.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_capture_of_two_chunks_opens_with_the_epoch_key_and_with_no_other() {
        let private = epoch();
        let encapsulation = private.public().unwrap().encapsulate().unwrap();
        let mut sealer = encapsulation.sealer(origin(), Purpose::Capture).unwrap();
        let (mut first, mut second) = (b"one".to_vec(), b"two".to_vec());
        let kinds = [
            sealer.seal(&mut first, false).unwrap(),
            sealer.seal(&mut second, true).unwrap(),
        ];
        let mut out = Vec::new();
        for (kind, body, plain) in [(&kinds[0], &first, b"one"), (&kinds[1], &second, b"two")] {
            let sealing = sealing(kind);
            let key = private.data_key(&sealing).unwrap();
            open_chunk(&private.zone, &sealing, &key, body, &mut out).unwrap();
            assert_eq!(out, plain);
            assert!(epoch().data_key(&sealing).is_err());
        }
    }

    #[test]
    fn a_chunk_moved_to_another_place_capture_zone_or_epoch_does_not_open() {
        let private = epoch();
        let encapsulation = private.public().unwrap().encapsulate().unwrap();
        let mut body = b"one".to_vec();
        let kind = encapsulation
            .sealer(origin(), Purpose::Capture)
            .unwrap()
            .seal(&mut body, true)
            .unwrap();
        let good = sealing(&kind);
        let key = private.data_key(&good).unwrap();
        let mut out = Vec::new();
        let moved = [
            Sealing {
                chunk: 1,
                ..good.clone()
            },
            Sealing {
                last: false,
                ..good.clone()
            },
            Sealing {
                epoch: 4,
                ..good.clone()
            },
            Sealing {
                capture: CaptureId([0; 16]),
                ..good.clone()
            },
        ];
        for sealing in moved {
            assert_eq!(
                open_chunk(&private.zone, &sealing, &key, &body, &mut out),
                Err(SealError::NotOpened)
            );
        }
        let elsewhere = "eu".parse().unwrap();
        assert_eq!(
            open_chunk(&elsewhere, &good, &key, &body, &mut out),
            Err(SealError::NotOpened)
        );
        assert_eq!(
            suite::check_commitment(&Key::from_bytes([1; 32]), &good.commitment),
            Err(SealError::Commitment)
        );
    }
}
