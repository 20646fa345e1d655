//! When it is looked, and who is sent what.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use store::failpoint;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::Stored;
use super::book::Batch;
use super::send::attempt;
use crate::vault::{Inner, Vault, VaultError, locked};

/// How often it is looked whether something is due to be sent.
const SEND_EVERY: Duration = Duration::from_millis(250);
/// For a delivery as a whole, whoever is slow.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(60);

/// Looks and sends, until told to stop. Each destination has its own pace: one that hangs holds up no other.
pub async fn run(vault: Arc<Vault>, mut stopping: watch::Receiver<bool>) {
    let inner = vault.inner.clone();
    let mut look = tokio::time::interval(inner.alarms.patience.look);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut send = tokio::time::interval(SEND_EVERY);
    let (mut sending, mut busy) = (JoinSet::new(), BTreeSet::new());
    let mut looking = JoinSet::new();
    loop {
        tokio::select! {
            _ = look.tick() => {
                // A disk that hangs must not let looks pile up, nor stop what waits from leaving.
                if looking.is_empty() && !inner.alarm_names().is_empty() {
                    let asked = inner.clone();
                    looking.spawn_blocking(move || asked.look_for_alarms());
                }
            }
            _ = send.tick() => begin(&inner, &mut sending, &mut busy),
            Some(_) = looking.join_next() => {}
            Some(done) = sending.join_next() => {
                if let Ok(name) = done {
                    busy.remove(&name);
                } else {
                    // Whose attempt it was is not known: all are looked at again.
                    busy.clear();
                }
            }
            _ = stopping.changed() => return,
        }
    }
}

fn begin(inner: &Arc<Inner>, sending: &mut JoinSet<String>, busy: &mut BTreeSet<String>) {
    let now = (inner.clock)();
    let due: Vec<(String, Batch)> = {
        let book = locked(&inner.alarms.book);
        let names = book.queues.keys().filter(|name| !busy.contains(*name));
        names
            .filter_map(|name| Some((name.clone(), book.due(name, now)?)))
            .collect()
    };
    for (name, batch) in due {
        if let Some(stored) = inner.alarm(&name) {
            busy.insert(name.clone());
            sending.spawn(deliver(inner.clone(), name, stored, batch));
        }
    }
}

async fn deliver(inner: Arc<Inner>, name: String, stored: Stored, batch: Batch) -> String {
    let problem = one(&inner, &stored, &batch).await.err();
    failpoint::hit("alarm-sent");
    let asked = inner.clone();
    let of = name.clone();
    let settled = tokio::task::spawn_blocking(move || {
        let now = (asked.clock)();
        let mut book = locked(&asked.alarms.book);
        let turned = book.settle(&of, &batch, problem.as_deref(), now, &asked.alarms.patience);
        match problem {
            Some(problem) if turned => {
                tracing::warn!(
                    alarm.name = of,
                    problem,
                    "alarms cannot be delivered; it is tried again"
                );
            }
            None if turned => tracing::info!(alarm.name = of, "alarms are delivered again"),
            _ => {}
        }
        asked.write_alarms(&book)
    });
    if let Ok(Err(error)) = settled.await {
        tracing::error!(error = %error, "what was delivered cannot be noted; after a restart it is sent once more");
    }
    name
}

async fn one(inner: &Arc<Inner>, stored: &Stored, batch: &Batch) -> Result<(), String> {
    let attempted = tokio::time::timeout(ATTEMPT_TIMEOUT, attempt(inner, stored, batch)).await;
    attempted.unwrap_or_else(|_| Err("it took longer than a minute".to_owned()))
}

/// Sends this to these destinations at once, and waits for them.
pub(super) fn now(inner: &Arc<Inner>, names: &[String], batch: &Batch) -> Result<Value, VaultError> {
    let ask = || -> Result<Vec<Value>, VaultError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(VaultError::Capture)?;
        runtime.block_on(async {
            let mut results = Vec::new();
            for name in names {
                let stored = inner.must_alarm(name)?;
                let sent = one(inner, &stored, batch).await;
                let check = format!("{} {name}", stored.config.target.kind());
                let ok = sent.is_ok();
                let detail = sent
                    .err()
                    .unwrap_or_else(|| stored.config.target.took().to_owned());
                results.push(json!({ "check": check, "ok": ok, "detail": detail }));
            }
            Ok(results)
        })
    };
    // Its own thread: this one may belong to the server's runtime, which must not be waited in.
    let done = std::thread::scope(|scope| scope.spawn(ask).join());
    let results = done.unwrap_or_else(|_| Err(VaultError::BadData("the test ended early".to_owned())))?;
    Ok(json!({ "checks": results }))
}
