//! Intake epochs: the key pairs to which captures are sealed, begun and ended by the vault.

use model::entry::{ActCode, Destruction, Kind, POINT_BYTES, Sealing};
use model::{KeyId, Position, Timestamp, ZoneId};
use seal::Key;
use seal::envelope::{EpochPrivate, EpochPublic};
use seal::keyring::{Record, SecretKind};
use seal::suite::EcdhPrivate;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use store::keystore::KeyStore;
use store::ledger::Draft;

use super::{Inner, VaultError, locked};

/// An epoch lasts no longer than this while its key, or an earlier one's, opens something that came without consent.
const HURRIED: Duration = Duration::from_secs(60 * 60);

/// The epoch in force.
pub struct Epoch {
    pub number: u32,
    pub public: EpochPublic,
    pub begun_at: Timestamp,
    /// The same by a clock that nobody sets: one that stands still or was set back must not keep an epoch for ever.
    since: Instant,
}

/// An encapsulated key that was worked out.
pub struct Encapsulated {
    epoch: u32,
    encapsulation: [u8; POINT_BYTES],
    key: Key,
}

pub fn epoch_label(number: u32) -> [u8; 16] {
    let mut label = *b"chancery-ep\0\0\0\0\0";
    label
        .iter_mut()
        .skip(12)
        .zip(number.to_be_bytes())
        .for_each(|(to, from)| *to = from);
    label
}

impl Inner {
    /// The public half of the epoch in force; begins a new one when it has lasted long enough.
    pub fn epoch(&self) -> Result<EpochPublic, VaultError> {
        let mut epoch = locked(&self.epoch);
        let now = (self.clock)();
        let age = now.as_micros().saturating_sub(epoch.begun_at.as_micros());
        let lasts = match self.refused_is_open() {
            true => self.epoch_lasts.min(HURRIED),
            false => self.epoch_lasts,
        };
        if u128::try_from(age).unwrap_or(0) >= lasts.as_micros() || epoch.since.elapsed() >= lasts {
            let head = self.ledger.head();
            *epoch = begin_epoch(
                &mut locked(&self.keys),
                &self.file.zone,
                epoch.number + 1,
                head,
                now,
            )?;
            self.changes.fetch_add(1, Ordering::SeqCst);
            self.act(ActCode::EpochBegun, &serde_json::json!({ "epoch": epoch.number }))?;
        }
        Ok(epoch.public.clone())
    }

    /// Whether something that lacked consent could still be opened by the key of its epoch, and that key can end.
    fn refused_is_open(&self) -> bool {
        let newest = self.refused_epoch.load(Ordering::SeqCst);
        let keys = locked(&self.keys);
        newest > 0
            && keys.has_copy()
            && keys
                .ring()
                .find(SecretKind::Epoch, &epoch_label(newest))
                .is_some()
    }

    pub fn epoch_number(&self) -> u32 {
        locked(&self.epoch).number
    }

    /// The private half of an epoch, while the key store holds it.
    pub fn epoch_private(&self, number: u32) -> Result<Option<EpochPrivate>, VaultError> {
        let keys = locked(&self.keys);
        let id = keys.ring().find(SecretKind::Epoch, &epoch_label(number));
        let Some(scalar) = id.and_then(|id| keys.ring().secret(id)) else {
            return Ok(None);
        };
        Ok(Some(EpochPrivate::from_scalar(
            self.file.zone.clone(),
            number,
            scalar,
        )?))
    }

    /// The key that an encapsulation wrapped data keys under; none when the epoch's private half is gone. The last two are
    /// remembered: captures of one second share one, and working it out costs more than all else about a capture. Two,
    /// because what is opened ahead comes to the next before the follower has done with the one.
    pub fn encapsulated_key(&self, sealing: &Sealing) -> Result<Option<Key>, VaultError> {
        let mut last = locked(&self.encapsulated);
        let is_it = |known: &&Encapsulated| {
            known.epoch == sealing.epoch && known.encapsulation == sealing.encapsulation
        };
        if let Some(known) = last.iter().flatten().find(is_it) {
            return Ok(Some(known.key.clone()));
        }
        let Some(private) = self.epoch_private(sealing.epoch)? else {
            return Ok(None);
        };
        let key = private.decapsulate(&sealing.encapsulation)?;
        let [newest, older] = &mut *last;
        std::mem::swap(newest, older);
        *newest = Some(Encapsulated {
            epoch: sealing.epoch,
            encapsulation: sealing.encapsulation,
            key: key.clone(),
        });
        Ok(Some(key))
    }

    /// Destroys private halves of past epochs all of whose captures have their wraps or parts, if a second copy of the
    /// key store exists.
    pub fn end_epochs(&self, unfinished: &[u32]) -> Result<(), VaultError> {
        let current = self.epoch_number();
        let mut keys = locked(&self.keys);
        if !keys.has_copy() {
            return Ok(());
        }
        // The intake may still seal to the epoch before: it hears of a new one a moment later, and what it sealed may
        // be on its way. Older ones are refused at the door, so nothing sealed to them can still come.
        let still_sealed_to = current.saturating_sub(1);
        let oldest_needed = unfinished
            .iter()
            .copied()
            .min()
            .unwrap_or(current)
            .min(still_sealed_to);
        let over: Vec<KeyId> = (1..oldest_needed)
            .filter_map(|number| keys.ring().find(SecretKind::Epoch, &epoch_label(number)))
            .collect();
        if over.is_empty() {
            return Ok(());
        }
        let mut ordered = over.clone();
        ordered.sort_unstable();
        let kind = Kind::Destruction(Destruction {
            reason: 1,
            keys: ordered,
            key: KeyId::NONE,
            salt: [0; 16],
            commitment: [0; 32],
        });
        let at = self.ledger.append(vec![Draft {
            kind,
            body: Vec::new(),
        }])?;
        keys.destroy(&over, at)?;
        *locked(&self.encapsulated) = [None, None];
        Ok(())
    }
}

/// The newest epoch of the ring, or a first one.
pub fn current_epoch(
    keys: &mut KeyStore,
    zone: &ZoneId,
    head: Position,
    now: Timestamp,
) -> Result<Epoch, VaultError> {
    let latest = (1..=u32::MAX)
        .take_while(|number| {
            let label = epoch_label(*number);
            keys.ring()
                .all()
                .any(|(_, held)| held.kind == SecretKind::Epoch && held.label == label)
        })
        .last();
    let Some(number) = latest else {
        return begin_epoch(keys, zone, 1, head, now);
    };
    let id = keys.ring().find(SecretKind::Epoch, &epoch_label(number));
    let Some(scalar) = id.and_then(|id| keys.ring().secret(id)) else {
        return begin_epoch(keys, zone, number + 1, head, now);
    };
    let public = EpochPrivate::from_scalar(zone.clone(), number, scalar)?.public()?;
    // After a restart an epoch counts as begun now: at worst it lasts twice as long, never without end.
    Ok(Epoch {
        number,
        public,
        begun_at: now,
        since: Instant::now(),
    })
}

fn begin_epoch(
    keys: &mut KeyStore,
    zone: &ZoneId,
    number: u32,
    head: Position,
    now: Timestamp,
) -> Result<Epoch, VaultError> {
    let scalar = EcdhPrivate::generate()?.scalar()?;
    let public = EpochPrivate::from_scalar(zone.clone(), number, &scalar)?.public()?;
    let id = KeyId(seal::suite::random()?);
    let label = epoch_label(number);
    keys.append(vec![Record::Secret {
        id,
        kind: SecretKind::Epoch,
        label,
        at: head,
        secret: scalar,
    }])?;
    Ok(Epoch {
        number,
        public,
        begun_at: now,
        since: Instant::now(),
    })
}
