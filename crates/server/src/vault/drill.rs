//! A restore drill: whether what was put back from a backup is what the living vault holds.

use std::path::PathBuf;

use model::entry::ActCode;
use model::{MessageId, Position};
use seal::Key;
use seal::suite::{MacKey, hex, unhex};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::StoreError;
use store::ledger::log::LogReader;

use super::checks::{Check, CheckKind};
use super::show::RowOpener;
use super::{Inner, Vault, VaultError, locked};

/// Records that are opened and compared.
const SAMPLE: u64 = 200;

/// `doctor` complains when no drill was held for this long: a quarter and some days.
const DRILL_AGE_MAX_MICROS: i64 = 100 * 24 * 60 * 60 * 1_000_000;

/// What a vault holds up to a position: comparable without showing any of it.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub struct Fingerprint {
    /// Entries before this position were looked at.
    pub before: Position,
    /// Batches of the log, and its root at that size, in hex.
    pub batches: u64,
    /// The root.
    pub root: String,
    /// Messages, events, problems.
    pub totals: [u64; 3],
    /// Records with a digest of what they say, keyed for this drill; none where the key is gone.
    pub sample: Vec<(String, Option<String>)>,
}

/// What a drill found, for the living vault to compare.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DrillReport {
    /// The backup.
    pub from: PathBuf,
    /// The key of the digests, in hex: made for this drill.
    pub nonce: String,
    /// What was put back.
    pub restored: Value,
    /// What it holds.
    pub fingerprint: Fingerprint,
    /// Milliseconds until it was opened and understood.
    pub opened_in_ms: u64,
}

impl Vault {
    /// What is held before a position, with `batches` in the log; the sample is drawn here, or is the one given.
    ///
    /// # Errors
    /// [`VaultError::Store`].
    pub fn fingerprint(
        &self,
        nonce: &str,
        (before, batches): (Position, u64),
        sample: Option<&[MessageId]>,
    ) -> Result<Fingerprint, VaultError> {
        self.inner.fingerprint(nonce, (before, batches), sample)
    }

    /// Compares what was put back with what is here, and writes the drill down.
    ///
    /// # Errors
    /// [`VaultError::Store`].
    pub fn note_drill(&self, report: &DrillReport, actor: &str) -> Result<Value, VaultError> {
        self.inner.note_drill(report, actor)
    }
}

impl Inner {
    fn fingerprint(
        &self,
        nonce: &str,
        (before, batches): (Position, u64),
        sample: Option<&[MessageId]>,
    ) -> Result<Fingerprint, VaultError> {
        let bytes = unhex(nonce).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
        let nonce = bytes.ok_or_else(|| VaultError::Usage("the key of a drill has 32 bytes".to_owned()))?;
        let mac = MacKey::new(&Key::from_bytes(nonce));
        let signed = self.ledger.flush()?.map_or(0, |signed| signed.size);
        if signed < batches {
            let text = format!("the log here has {signed} batches, what was put back {batches}");
            return Err(StoreError::Mismatch(text).into());
        }
        let root = LogReader::new(self.ledger.log_folder(), batches).root()?;
        let totals = locked(&self.reader).totals_before(before)?;
        let step = totals.iter().sum::<u64>().div_ceil(SAMPLE).max(1);
        let ids = match sample {
            Some(ids) => ids.to_vec(),
            None => locked(&self.reader).spread_before(before, step)?,
        };
        let mut opener = RowOpener::new(self);
        let mut digests = Vec::with_capacity(ids.len());
        for id in ids {
            let row = locked(&self.reader).record(id)?;
            let opened = row.map(|row| {
                opener
                    .open(&row)
                    .map(|json| json.map(|json| hex(&mac.digest(&[json]))))
            });
            digests.push((id.to_string(), opened.transpose()?.flatten()));
        }
        Ok(Fingerprint {
            before,
            batches,
            root: hex(&root),
            totals,
            sample: digests,
        })
    }

    fn note_drill(&self, report: &DrillReport, actor: &str) -> Result<Value, VaultError> {
        self.wait_normalized(self.ledger.head())?;
        let there = &report.fingerprint;
        let ids = there.sample.iter().map(|(id, _)| id.parse::<MessageId>());
        let ids = ids
            .collect::<Result<Vec<_>, _>>()
            .map_err(|problem| VaultError::Usage(problem.to_string()))?;
        let here = self.fingerprint(&report.nonce, (there.before, there.batches), Some(&ids))?;
        let (mut same, mut destroyed_since, mut differ) = (0u64, 0u64, Vec::new());
        for ((id, ours), (_, theirs)) in here.sample.iter().zip(&there.sample) {
            match (ours, theirs) {
                (None, Some(_)) => destroyed_since += 1,
                (ours, theirs) if ours == theirs => same += 1,
                _ => differ.push(id.clone()),
            }
        }
        let lacks = self.ledger.head().0.saturating_sub(there.before.0);
        let lost_since = self
            .ledger
            .entry(there.before)?
            .map(|entry| entry.header.recorded_at);
        let checks = [
            ("root", here.root == there.root),
            ("totals", here.totals == there.totals),
            ("sample", differ.is_empty()),
        ];
        let holds = checks.iter().all(|(_, holds)| *holds);
        let result = json!({
            "holds": holds, "from": report.from, "restored": report.restored,
            "opened_in_ms": report.opened_in_ms,
            "compared": {
                "root_is_the_same": here.root == there.root,
                "totals_here": here.totals, "totals_there": there.totals,
                "records_opened": there.sample.len(), "records_the_same": same,
                "records_destroyed_since": destroyed_since, "records_that_differ": differ,
            },
            "would_be_lost": { "entries": lacks, "since": lost_since },
        });
        self.act(ActCode::Drilled, &json!({ "drill": result, "actor": actor }))?;
        Ok(result)
    }

    /// For `doctor`.
    pub(crate) fn check_drilled(&self) -> Result<Check, VaultError> {
        let now = (self.clock)();
        let last = self.last_act(ActCode::Drilled, "/drill")?;
        let check = |ok, detail: String| Check::new(CheckKind::Drill, "a restore was tried", ok, detail);
        let Some((at, body)) = last else {
            let is_young = now.as_micros() - self.file.created_at.as_micros() <= DRILL_AGE_MAX_MICROS;
            let detail =
                "never yet: `chancery restore --drill` says how long it takes and what would be lost";
            return Ok(check(is_young, detail.to_owned()));
        };
        let held = body.get("holds").and_then(Value::as_bool);
        if held != Some(true) {
            return Ok(check(
                false,
                format!("the drill at {at} did not hold: try again, and read what it says"),
            ));
        }
        let is_late = now.as_micros() - at.as_micros() > DRILL_AGE_MAX_MICROS;
        let late = if is_late {
            "; try again every quarter: `chancery restore --drill`"
        } else {
            ""
        };
        Ok(check(!is_late, format!("last at {at}, and it held{late}")))
    }
}
