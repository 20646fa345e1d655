//! When anchors are asked, and what becomes of what they answer.

use std::sync::Arc;
use std::time::Duration;

use model::Timestamp;
use model::entry::ActCode;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::Stored;
use super::send::{Given, attempt};
use super::status::Last;
use crate::vault::{Inner, Vault, VaultError, locked};

/// How often it is looked for anchors that are due.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Asks anchors when they are due, until told to stop.
pub async fn run(vault: Arc<Vault>, mut stopping: watch::Receiver<bool>) {
    let mut tick = tokio::time::interval(LOOK_EVERY);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            _ = stopping.changed() => return,
        }
        tokio::select! {
            () = round(&vault.inner) => {}
            _ = stopping.changed() => return,
        }
    }
}

async fn round(inner: &Arc<Inner>) {
    let asked = inner.clone();
    let due = match tokio::task::spawn_blocking(move || asked.due_anchors()).await {
        Ok(Ok(due)) => due,
        Ok(Err(error)) => {
            tracing::error!(error = %error, "anchors that are due cannot be looked up");
            return;
        }
        Err(_) => return,
    };
    for stored in due {
        if let Err(error) = one(inner, stored, None).await {
            tracing::error!(error = %error, "what an anchor gave cannot be kept; it is asked again");
        }
    }
}

/// Asks one anchor. `actor` asked for it at once; else it was due.
async fn one(inner: &Arc<Inner>, stored: Stored, actor: Option<String>) -> Result<Value, VaultError> {
    let given = attempt(inner, &stored, actor.is_some()).await;
    let asked = inner.clone();
    let settled = tokio::task::spawn_blocking(move || asked.settle_anchor(&stored, given, actor.as_deref()));
    settled.await.unwrap_or_else(|_| {
        Err(VaultError::BadData(
            "the anchor's answer was not looked at".to_owned(),
        ))
    })
}

/// Asks these anchors at once, and waits for them.
pub(super) fn now(inner: &Arc<Inner>, names: &[String], actor: &str) -> Result<Value, VaultError> {
    let ask = || -> Result<Vec<Value>, VaultError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(VaultError::Capture)?;
        runtime.block_on(async {
            let mut results = Vec::new();
            for name in names {
                results.push(one(inner, inner.must_anchor(name)?, Some(actor.to_owned())).await?);
            }
            Ok(results)
        })
    };
    // Its own thread: this one may belong to the server's runtime, which must not be waited in.
    let done = std::thread::scope(|scope| scope.spawn(ask).join());
    let results = done.unwrap_or_else(|_| Err(VaultError::BadData("anchoring ended early".to_owned())))?;
    Ok(json!({ "checks": results }))
}

impl Inner {
    fn due_anchors(&self) -> Result<Vec<Stored>, VaultError> {
        if self.ledger.signed().is_none() {
            return Ok(Vec::new());
        }
        let now = (self.clock)();
        // Until the acts are read, what was handed out before is not known, and would be handed out again.
        let found = *self.anchors.found.get_or_init(|| self.ledger.head());
        let acts_known = locked(&self.progress).followed >= found;
        let mut due = Vec::new();
        for config in self.anchor_configs() {
            if config.target.proof().is_none() && !acts_known {
                continue;
            }
            let state = self.anchor_state(&config)?;
            if state.is_due(config.every_seconds, now, |covers| self.news_since(covers)) {
                due.extend(self.anchor(config.name.as_str()));
            }
        }
        Ok(due)
    }

    /// Keeps what an anchor gave, writes the act, and says how it went.
    fn settle_anchor(
        &self,
        stored: &Stored,
        given: Result<Given, String>,
        actor: Option<&str>,
    ) -> Result<Value, VaultError> {
        let (name, target) = (&stored.config.name, &stored.config.target);
        let now = (self.clock)();
        let check = format!("{} {name}", target.kind());
        let given = match given {
            Ok(given) => given,
            Err(problem) => {
                self.note_anchor_failure(stored, now, &problem);
                return Ok(json!({ "check": check, "ok": false, "detail": problem }));
            }
        };
        let mut act = json!({ "anchor": name, "kind": target.kind(), "actor": actor });
        let mut add = |field: &str, value: Value| {
            if let Value::Object(fields) = &mut act {
                fields.insert(field.to_owned(), value);
            }
        };
        let (last, detail) = match given {
            Given::Proof {
                anchor,
                size,
                covers,
                at,
                by,
            } => {
                add("size", json!(size));
                add("covers", json!(covers));
                add("at", json!(at));
                add("by", json!(by));
                let first = self.keep(name.as_str(), &anchor, at)?;
                // One act an hour says where to look; an act a minute would be most of a quiet ledger.
                if first || actor.is_some() {
                    self.act(ActCode::Anchored, &act)?;
                }
                let detail = format!(
                    "entries up to {} existed before {at}, says {by}",
                    covers.0.saturating_sub(1)
                );
                (
                    Last {
                        at,
                        proved: true,
                        done_at: now,
                        size,
                        covers,
                    },
                    detail,
                )
            }
            Given::HandedOut { size, covers } => {
                add("size", json!(size));
                add("covers", json!(covers));
                self.act(ActCode::CheckpointHandedOut, &act)?;
                let detail = format!(
                    "has a checkpoint over the entries up to {}",
                    covers.0.saturating_sub(1)
                );
                (
                    Last {
                        at: now,
                        proved: false,
                        done_at: now,
                        size,
                        covers,
                    },
                    detail,
                )
            }
        };
        let mut states = locked(&self.anchors.states);
        let state = states.entry(name.to_string()).or_default();
        if state.failing.take().is_some() {
            tracing::info!(anchor.name = name.as_str(), "an anchor works again");
        }
        (state.last, state.failures, state.failed_at) = (Some(last), 0, None);
        Ok(json!({ "check": check, "ok": true, "detail": detail }))
    }

    fn note_anchor_failure(&self, stored: &Stored, now: Timestamp, problem: &str) {
        let name = stored.config.name.as_str();
        let mut states = locked(&self.anchors.states);
        let state = states.entry(name.to_owned()).or_default();
        // Once, not at every attempt.
        if state.failing.as_deref() != Some(problem) {
            tracing::warn!(
                anchor.name = name,
                problem,
                "an anchor does not work; it is tried again"
            );
        }
        state.failures = state.failures.saturating_add(1);
        (state.failed_at, state.failing) = (Some(now), Some(problem.to_owned()));
    }
}
