//! The vault as the HTTP side sees it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use model::{ConnectionId, Position, Timestamp, ZoneId};
use store::catalogue::GapRow;
use store::ledger::Draft;

use super::{Vault, VaultError, locked};
use crate::confine::Confined;
use crate::host::{
    Answer, Attention, CheckKind, CheckpointStatus, ConnectionState, ConnectionStatus, Followers, GapStatus,
    Host, IntakeConfiguration, IntakeConnection, Severity, Status,
};

/// A connection that had captures and then none for so long is called silent.
const SILENT_AFTER_SECONDS: i64 = 24 * 60 * 60;

/// Gaps on the status page.
const GAPS_SHOWN: u32 = 50;

/// Names of secrets that only fetches need: the intake never gets them.
const FETCH_SECRETS: [&str; 2] = ["access-token", "api-secret"];

/// A vault with what is counted only while it runs.
pub struct VaultHost {
    vault: Arc<Vault>,
    started_at: Timestamp,
    refused: Mutex<BTreeMap<String, BTreeMap<String, u64>>>,
}

impl VaultHost {
    /// For this vault, from now on.
    pub fn new(vault: Arc<Vault>) -> VaultHost {
        let started_at = vault.now();
        VaultHost {
            vault,
            started_at,
            refused: Mutex::new(BTreeMap::new()),
        }
    }

    fn try_status(&self) -> Result<Status, VaultError> {
        let inner = &self.vault.inner;
        let now = self.vault.now();
        let progress = self.vault.progress();
        let outside_anchor = inner.last_outside()?;
        let anchors = inner.anchor_states()?;
        let attention = inner.attention();
        let reader = locked(&inner.reader);
        let by_connection = reader.by_connection()?;
        let problems = reader.problems_by_connection()?;
        let gaps = reader.newest_gaps(GAPS_SHOWN)?;
        let (_, gaps_open) = reader.count_gaps()?;
        let pending_fetches = reader.fetches_pending()?;
        drop(reader);
        let mut archives = BTreeMap::new();
        for config in inner.connections() {
            if let Some(status) = inner.archive_status(config.id.as_str())? {
                archives.insert(config.id.to_string(), status);
            }
        }
        let refused = locked(&self.refused);
        let mut connection = |config: &super::connections::ConnectionConfig| {
            let name = config.id.as_str();
            let own = by_connection.iter().find(|(id, _, _)| id == name);
            let last = own.and_then(|(_, _, last)| *last);
            ConnectionStatus {
                id: config.id.clone(),
                connector: config.connector.clone(),
                captures: own.map_or(0, |(_, count, _)| *count),
                last_capture_at: last,
                refused: refused.get(name).cloned().unwrap_or_default(),
                problems: problems
                    .iter()
                    .find(|(id, _)| id == name)
                    .map_or(0, |(_, count)| *count),
                state: state(last, now),
                forward: inner.forward_status(name),
                archive: archives.remove(name),
            }
        };
        Ok(Status {
            zone: inner.file.zone.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: self.started_at,
            connections: inner.connections().iter().map(&mut connection).collect(),
            gaps: gaps.iter().map(gap).collect(),
            gaps_open,
            statement: inner.newest_stated()?,
            checkpoint: inner.ledger.signed().map(|signed| CheckpointStatus {
                size: signed.size,
                covers: signed.covers,
                at: signed.at,
                age_seconds: seconds_between(signed.at, now),
                note: signed.note,
            }),
            outside_anchor,
            anchors,
            attention,
            alarms: inner.alarm_states(),
            followers: Followers {
                head: inner.ledger.head(),
                normalized: progress.normalized,
            },
            pending_fetches,
            epoch: inner.epoch_number(),
            key_copy: locked(&inner.keys).has_copy(),
        })
    }

    /// What can be said when the catalogue cannot be read.
    fn bare_status(&self) -> Status {
        let inner = &self.vault.inner;
        Status {
            zone: inner.file.zone.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: self.started_at,
            connections: Vec::new(),
            gaps: Vec::new(),
            gaps_open: 0,
            statement: None,
            checkpoint: None,
            outside_anchor: None,
            anchors: Vec::new(),
            attention: vec![Attention {
                kind: CheckKind::Following,
                subject: None,
                severity: Severity::Alarm,
            }],
            alarms: inner.alarm_states(),
            followers: Followers {
                head: inner.ledger.head(),
                normalized: Position(0),
            },
            pending_fetches: 0,
            epoch: inner.epoch_number(),
            key_copy: locked(&inner.keys).has_copy(),
        }
    }
}

fn seconds_between(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from((to.as_micros() - from.as_micros()) / 1_000_000).unwrap_or(0)
}

fn state(last: Option<Timestamp>, now: Timestamp) -> ConnectionState {
    match last {
        None => ConnectionState::Waiting,
        Some(last) if now.as_micros() - last.as_micros() > SILENT_AFTER_SECONDS * 1_000_000 => {
            ConnectionState::Silent
        }
        Some(_) => ConnectionState::Receiving,
    }
}

fn gap(row: &GapRow) -> GapStatus {
    GapStatus {
        connection: row
            .connection
            .as_ref()
            .and_then(|id| id.parse::<ConnectionId>().ok()),
        from: row.from,
        to: row.to,
        cause: row.cause.clone(),
        count: row.count,
        closed: row.closed.as_ref().map(|closed| closed.reason.clone()),
    }
}

impl Host for VaultHost {
    fn zone(&self) -> ZoneId {
        self.vault.inner.file.zone.clone()
    }

    fn configuration(&self) -> IntakeConfiguration {
        let inner = &self.vault.inner;
        let connection = |config: super::connections::ConnectionConfig| {
            let mut secrets = self.vault.connection_secrets(&config.id);
            let webhook = connect::find(&config.connector)
                .is_some_and(|connector| matches!(connector.door(), connect::Door::Webhook { .. }));
            // Nobody posts to the others: the intake has no use for what opens an archive.
            secrets
                .0
                .retain(|name, _| webhook && !FETCH_SECRETS.contains(&name.as_str()));
            IntakeConnection {
                id: config.id,
                connector: config.connector,
                secrets,
                settings: config.settings,
                minimum_lock_days: config.minimum_lock_days,
            }
        };
        let connections = inner.connections().into_iter().map(connection).collect();
        // A new epoch that could not be written down leaves the one before in force.
        let epoch = inner
            .epoch()
            .unwrap_or_else(|_| locked(&inner.epoch).public.clone());
        IntakeConfiguration { epoch, connections }
    }

    fn submit(&self, drafts: Vec<Draft>, answer: Answer) {
        self.vault.inner.ledger.submit(drafts, answer);
    }

    fn is_busy(&self) -> bool {
        self.vault.inner.ledger.is_busy()
    }

    fn refused(&self, connection: &str, reason: &str, count: u64) {
        self.vault.inner.turned_away(connection, reason, count);
        let mut refused = locked(&self.refused);
        *refused
            .entry(connection.to_owned())
            .or_default()
            .entry(reason.to_owned())
            .or_default() += count;
    }

    fn confined(&self, intake: &str, confined: Option<Confined>) {
        locked(&self.vault.inner.intakes).insert(intake.to_owned(), confined);
    }

    fn status(&self) -> Status {
        self.try_status().unwrap_or_else(|error| {
            tracing::error!(error = %error, "the status could not be read");
            self.bare_status()
        })
    }
}
