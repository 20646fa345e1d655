//! How things stand: for the status page, `doctor`, `keys list` and whole-store verification.

use std::path::Path;

use model::Position;
use model::Timestamp;
use model::entry::ActCode;
use seal::keyring::{SecretKind, Unlock};
use serde::Serialize;
use serde_json::{Value, json};
use store::catalogue::Catalogue;
use store::keystore::KeyStore;
use store::ledger::Signed;
use store::ledger::log::LogReader;
use store::ledger::verify::Finding;

use super::checks::CheckKind;
pub use super::checks::{Attention, Check};
use super::log_keys;
use super::{Inner, Vault, VaultError, locked, read_zone_file};

/// An anchor older than this lets an insider rewrite more than a day.
const ANCHOR_AGE_MAX_HOURS: i64 = 24;

/// Gaps in the answer; `capture gaps` has all of them.
const GAPS_SHOWN: u32 = 100;

/// Result of checking a whole store.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct StoreVerified {
    /// Which zone.
    pub zone: String,
    /// Segments read.
    pub segments: u64,
    /// Entries read.
    pub entries: u64,
    /// Batches in the log.
    pub batches: u64,
    /// Entries that no checkpoint covers yet.
    pub unsigned_entries: u64,
    /// Secrets in the key store, when it could be opened.
    pub secrets: Option<u64>,
    /// Whether an outside checkpoint was compared.
    pub compared_with_outside: bool,
    /// What does not hold: place and detail.
    pub findings: Vec<(String, String)>,
}

/// Checks a whole store on disk. Reads only; needs no key but to check the key store.
///
/// # Errors
/// [`VaultError::Store`] when files cannot be read; what is wrong inside them is in the result.
pub fn verify_store(
    data: &Path,
    unlock: Option<&Unlock<'_>>,
    outside: Option<&str>,
) -> Result<StoreVerified, VaultError> {
    let file = read_zone_file(data)?;
    let keys = log_keys(data, &file)?;
    let outside = outside
        .map(|note| keys.checkpoint(note))
        .transpose()
        .map_err(|problem| VaultError::BadData(format!("the outside checkpoint: {problem}")))?;
    let checked = store::ledger::verify::verify(&data.join("ledger"), &file.zone, &keys, outside.as_ref())?;
    let mut findings = checked.findings;
    check_public_key(data, &file.public_key, &mut findings);
    let secrets = match unlock.map(|unlock| KeyStore::check(&data.join("keys/keystore"), unlock)) {
        None => None,
        Some(Ok(count)) => Some(count),
        Some(Err(error)) => {
            findings.push(Finding {
                place: "keys/keystore".to_owned(),
                detail: error.to_string(),
            });
            None
        }
    };
    Ok(StoreVerified {
        zone: file.zone.to_string(),
        segments: checked.segments,
        entries: checked.entries,
        batches: checked.batches,
        unsigned_entries: checked.unsigned_entries,
        secrets,
        compared_with_outside: outside.is_some(),
        findings: findings
            .into_iter()
            .map(|finding| (finding.place, finding.detail))
            .collect(),
    })
}

fn check_public_key(data: &Path, expected: &str, findings: &mut Vec<Finding>) {
    let on_file = std::fs::read_to_string(data.join("zone.pub")).unwrap_or_default();
    if on_file.strip_suffix('\n') != Some(expected) {
        findings.push(Finding {
            place: "zone.pub".to_owned(),
            detail: "is not the key that zone.json names".to_owned(),
        });
    }
}

/// A checkpoint handed to somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandedOut {
    /// The signed note.
    pub note: String,
    /// The proofs that go beside it.
    pub proofs: String,
    /// Batches it covers.
    pub size: u64,
    /// Position after the last entry it covers.
    pub covers: Position,
}

impl HandedOut {
    /// A name for its file: each checkpoint has its own.
    pub fn file_name(&self, zone: &str) -> String {
        format!("checkpoint-{zone}-{}.txt", self.size)
    }
}

/// Checkpoints that were handed out or exported, the newest, to which bundles and checkpoints prove their way.
const PINNED_MAX: usize = 2000;

impl Vault {
    /// Signs a checkpoint over everything so far, to be kept by somebody else.
    ///
    /// # Errors
    /// [`VaultError::Store`].
    pub fn hand_out_checkpoint(&self, actor: &str) -> Result<HandedOut, VaultError> {
        let signed = self.inner.ledger.flush()?;
        let signed =
            signed.ok_or_else(|| VaultError::NotFound("checkpoint: the ledger is empty".to_owned()))?;
        let act = json!({ "size": signed.size, "covers": signed.covers, "actor": actor });
        let handed = self.inner.handed(&signed)?;
        self.inner.act(ActCode::CheckpointHandedOut, &act)?;
        Ok(handed)
    }

    /// The newest checkpoint as it stands.
    pub fn newest_checkpoint(&self) -> Option<store::ledger::Signed> {
        self.inner.ledger.signed()
    }

    /// Everything that may need attention.
    ///
    /// # Errors
    /// [`VaultError::Store`].
    pub fn doctor(&self) -> Result<Vec<Check>, VaultError> {
        self.inner.doctor()
    }

    /// The key ring by kind, without secrets.
    ///
    /// # Errors
    /// [`VaultError::Store`].
    pub fn keys(&self, actor: &str) -> Result<Value, VaultError> {
        self.inner.act(ActCode::KeysListed, &json!({ "actor": actor }))?;
        let keys = locked(&self.inner.keys);
        let count = |kind: SecretKind| {
            let of_kind = || keys.ring().all().filter(move |(_, held)| held.kind == kind);
            let living = of_kind().filter(|(_, held)| held.secret.is_some()).count();
            json!({ "kind": kind.name(), "living": living, "destroyed": of_kind().count() - living })
        };
        let kinds: Vec<Value> = SecretKind::ALL.iter().map(|kind| count(*kind)).collect();
        let destroyed: Vec<Value> = keys
            .ring()
            .all()
            .filter(|(_, held)| held.secret.is_none())
            .map(|(id, held)| {
                json!({ "id": id.to_string(), "kind": held.kind.name(), "destroyed_by_entry": held.at })
            })
            .collect();
        Ok(json!({ "kinds": kinds, "destroyed": destroyed, "second_copy": keys.has_copy() }))
    }

    /// What can and cannot be said of the keys: which epochs are over, and whether erasure is in force.
    ///
    /// # Errors
    /// [`VaultError::Store`].
    pub fn attest_keys(&self, actor: &str) -> Result<Value, VaultError> {
        let listed = self.keys(actor)?;
        let (holds, requests_waiting) = self.inner.governed()?;
        let unfinished = self.inner.erasures_not_in_force()?;
        let keys = locked(&self.inner.keys);
        let epochs = |living: bool| {
            keys.ring()
                .all()
                .filter(|(_, held)| held.kind == SecretKind::Epoch && held.secret.is_some() == living)
                .count()
        };
        let second_copy = keys.has_copy();
        Ok(json!({
            "zone": self.inner.file.zone,
            "public_key": self.inner.note_key().encode(),
            "at": (self.inner.clock)(),
            "keys": listed,
            "epochs_open": epochs(true),
            "epochs_destroyed": epochs(false),
            "erasure_in_force": second_copy && epochs(true) <= 2,
            "holds": holds,
            "requests_waiting": requests_waiting,
            "destructions_not_in_force": unfinished,
            "why": if second_copy {
                "private keys of epochs before the last are destroyed once all their captures have wraps or parts"
            } else {
                "no second copy of the key store: private keys of past epochs are kept, so that losing one disk does \
                 not lose the record; until there is one, destroying a secret does not make captures of an open epoch \
                 unreadable"
            },
        }))
    }

    /// For the status page.
    ///
    /// # Errors
    /// [`VaultError::Store`].
    pub fn status(&self) -> Result<Value, VaultError> {
        self.inner.status()
    }
}

impl Inner {
    /// A checkpoint with the proofs that go beside it.
    pub fn handed(&self, signed: &Signed) -> Result<HandedOut, VaultError> {
        let reader = LogReader::new(self.ledger.log_folder(), signed.size);
        let mut from = Vec::new();
        for size in self
            .pinned_sizes()?
            .into_iter()
            .filter(|size| *size > 0 && *size < signed.size)
        {
            from.push(seal::bundle::SideProof::new(size, &reader.consistency(size)?));
        }
        let proofs = seal::bundle::SideProofs {
            to: signed.size,
            from,
        };
        Ok(HandedOut {
            note: signed.note.clone(),
            proofs: serde_json::to_string(&proofs).unwrap_or_default(),
            size: signed.size,
            covers: signed.covers,
        })
    }

    /// Sizes of the log that bundles or handed-out checkpoints name.
    pub fn pinned_sizes(&self) -> Result<Vec<u64>, VaultError> {
        let positions = {
            let reader = locked(&self.reader);
            let mut all = reader.acts(ActCode::CheckpointHandedOut as u16)?;
            all.extend(reader.acts(ActCode::Exported as u16)?);
            all.sort_unstable();
            all.drain(..all.len().saturating_sub(PINNED_MAX));
            all
        };
        let mut sizes = Vec::new();
        for at in positions {
            let body = self.open_act(&self.must_entry(at)?);
            sizes.extend(body.and_then(|body| body.get("size").and_then(Value::as_u64)));
        }
        sizes.sort_unstable();
        sizes.dedup();
        Ok(sizes)
    }

    pub fn last_handed_out(&self) -> Result<Option<Timestamp>, VaultError> {
        let last = locked(&self.reader)
            .acts(ActCode::CheckpointHandedOut as u16)?
            .pop();
        Ok(last
            .map(|at| self.must_entry(at))
            .transpose()?
            .map(|entry| entry.header.recorded_at))
    }

    pub(super) fn doctor(&self) -> Result<Vec<Check>, VaultError> {
        let now = (self.clock)();
        let mut checks = Vec::new();
        let anchored = self.last_outside()?;
        let hours = anchored.map(|at| (now.as_micros() - at.as_micros()) / 3_600_000_000);
        checks.push(Check::new(
            CheckKind::CheckpointElsewhere,
            "a checkpoint is kept elsewhere",
            hours.is_some_and(|hours| hours <= ANCHOR_AGE_MAX_HOURS),
            hours.map_or_else(
                || {
                    "none ever went outside: `chancery anchor add`, or `chancery checkpoint --out FILE` and keep FILE elsewhere"
                        .to_owned()
                },
                |hours| match hours {
                    0 => "the last went outside less than an hour ago".to_owned(),
                    _ => format!("the last went outside {hours} h ago; more than 24 h is too long"),
                },
            ),
        ));
        for anchor in self.anchor_states()? {
            let hours = anchor
                .last_at
                .map(|at| (now.as_micros() - at.as_micros()) / 3_600_000_000);
            let every = self.anchor_every(&anchor.name) / 3600;
            let old = 2 * i64::try_from(every)
                .unwrap_or(i64::MAX / 2)
                .max(ANCHOR_AGE_MAX_HOURS);
            let recent = hours.is_some_and(|hours| hours <= old);
            let age = match hours {
                None => "it never worked yet".to_owned(),
                Some(0) => "it worked less than an hour ago".to_owned(),
                Some(hours) => format!("it last worked {hours} h ago"),
            };
            let detail = match anchor.failing {
                Some(problem) => format!("{problem}; {age}"),
                None if recent => age,
                None => format!(
                    "{age}: is `chancery serve` running? try `chancery anchor now {}`",
                    anchor.name
                ),
            };
            let ok = recent && !detail.starts_with("ALARM");
            let check = format!("anchor {} ({})", anchor.name, anchor.kind);
            let check = Check::new(CheckKind::Anchor, check, ok, detail);
            checks.push(check.of(anchor.name.as_str()));
        }
        let copy = locked(&self.keys).has_copy();
        let advice = "none: without one erasure is not in force (a backup does not count, its copies of the key store keep \
                      what is destroyed for days); `chancery keys copy --out FILE`, on another disk";
        let copy_detail = if copy {
            "present".to_owned()
        } else {
            advice.to_owned()
        };
        let check = "a second copy of the key store";
        checks.push(Check::new(CheckKind::KeyCopy, check, copy, copy_detail));
        checks.extend(self.check_backups());
        checks.push(self.check_scrubbed()?);
        checks.push(self.check_drilled()?);
        checks.extend(self.check_escrow()?);
        let progress = *locked(&self.progress);
        checks.push(Check::new(
            CheckKind::Following,
            "everything captured is understood",
            !progress.failed,
            self.trouble().map_or_else(
                || format!("{} of {} entries read", progress.normalized, self.ledger.head()),
                |trouble| trouble.to_string(),
            ),
        ));
        let reader = locked(&self.reader);
        let unreadable = reader.count_unreadable()?;
        checks.push(Check::new(
            CheckKind::CapturesOpen,
            "every capture opens",
            unreadable == 0,
            match unreadable {
                0 => "no capture lacks its key".to_owned(),
                count => format!("{count} do not: their keys are not here"),
            },
        ));
        let (gaps, open) = reader.count_gaps()?;
        checks.push(Check::new(
            CheckKind::GapsOpen,
            "no gaps are open",
            open == 0,
            match open {
                0 => format!("none of {gaps} known; that is no proof that everything was captured"),
                open => format!(
                    "{open} of {gaps} known; `chancery capture gaps --open` names them and what can be done"
                ),
            },
        ));
        drop(reader);
        checks.extend(self.check_canaries(now)?);
        checks.push(self.check_stated()?);
        // When following stopped, what was decided cannot be read; that it stopped is said above.
        if !progress.failed {
            let (holds, waiting) = self.governed()?;
            checks.push(Check::new(
                CheckKind::DestructionWaiting,
                "no destruction waits for a second person",
                waiting == 0,
                match waiting {
                    0 => format!("none waits; holds in force: {holds}"),
                    count => format!("{count} wait: `chancery keys requests`, then approve or decline"),
                },
            ));
            let unfinished = self.erasures_not_in_force()?;
            checks.push(Check::new(
                CheckKind::DestructionInForce,
                "what was destroyed can be opened by nobody here",
                unfinished.is_empty(),
                match unfinished.as_slice() {
                    [] => "nothing that was destroyed can".to_owned(),
                    [first, ..] => format!(
                        "{} not in force yet: `chancery keys certificate {first} --out FILE` says why",
                        unfinished.len()
                    ),
                },
            ));
        }
        let connections = self.connections();
        checks.push(Check::new(
            CheckKind::ConnectionConfigured,
            "a connection is configured",
            !connections.is_empty(),
            match connections.len() {
                0 => "none: `chancery connection add CONNECTOR ID`".to_owned(),
                count => format!("{count} configured"),
            },
        ));
        for config in &connections {
            if let Some((known, waiting)) = self.forwarding(config.id.as_str())? {
                let (ok, detail) = super::forward::described(&known, waiting);
                let check = format!("deliveries of {} are passed on", config.id);
                checks.push(Check::new(CheckKind::Forwarding, check, ok, detail).of(config.id.as_str()));
            }
        }
        checks.extend(self.check_archives()?);
        checks.extend(self.check_expiry(now));
        checks.extend(self.check_alarms(now));
        let space = store::folder::free_bytes(&self.folder);
        checks.push(Check::new(
            CheckKind::DiskRoom,
            "the disk has room",
            space.is_none_or(|bytes| bytes > 1 << 30),
            space.map_or("unknown".to_owned(), |bytes| {
                format!("{} MiB free; less than 1024 is too little", bytes >> 20)
            }),
        ));
        self.look_at_machine(&mut checks);
        Ok(checks)
    }

    fn status(&self) -> Result<Value, VaultError> {
        let (holds, requests_waiting) = self.governed()?;
        let erasures_not_in_force = self.erasures_not_in_force()?;
        let attention = self.attention();
        let signed = self.ledger.signed();
        let progress = *locked(&self.progress);
        let mut archives = std::collections::BTreeMap::new();
        for config in self.connections() {
            if let Some(status) = self.archive_status(config.id.as_str())? {
                archives.insert(config.id.to_string(), status);
            }
        }
        let reader: std::sync::MutexGuard<'_, Catalogue> = locked(&self.reader);
        let [messages, events, problems] = reader.totals()?;
        let by_connection = reader.by_connection()?;
        let gaps: Vec<Value> = reader
            .newest_gaps(GAPS_SHOWN)?
            .iter()
            .map(super::gaps::shown)
            .collect();
        let (gaps_known, gaps_open) = reader.count_gaps()?;
        let pending = reader.fetches_pending()?;
        let erased = reader.count_erased()?;
        drop(reader);
        let connections: Vec<Value> = self
            .connections()
            .iter()
            .map(|config| {
                let own = by_connection
                    .iter()
                    .find(|(name, _, _)| name == config.id.as_str());
                json!({
                    "id": config.id, "connector": config.connector,
                    "captures": own.map_or(0, |(_, count, _)| *count),
                    "last_capture_at": own.and_then(|(_, _, last)| *last),
                    "forward": self.forward_status(config.id.as_str()),
                    "archive": archives.remove(config.id.as_str()),
                })
            })
            .collect();
        Ok(json!({
            "zone": self.file.zone,
            "created_at": self.file.created_at,
            "now": (self.clock)(),
            "connections": connections,
            "gaps": gaps, "gaps_known": gaps_known, "gaps_open": gaps_open,
            "messages": messages, "events": events, "problems": problems,
            "head": self.ledger.head(),
            "followed": progress.followed,
            "normalized": progress.normalized,
            "checkpoint": signed.map(|signed| json!({
                "size": signed.size, "covers": signed.covers, "at": signed.at,
            })),
            "checkpoint_handed_out_at": self.last_handed_out()?,
            "outside_anchor_at": self.last_outside()?,
            "statement": self.newest_stated()?,
            "outside_time": self.outside_time(),
            "anchors": self.anchor_states()?,
            "alarms": self.alarm_states(),
            "attention": attention,
            "pending_fetches": pending,
            "epoch": self.epoch_number(),
            "key_copy": locked(&self.keys).has_copy(),
            "holds": holds,
            "requests_waiting": requests_waiting,
            "erased": { "records": erased.0, "captures": erased.1 },
            "destructions_not_in_force": erasures_not_in_force,
        }))
    }
}
