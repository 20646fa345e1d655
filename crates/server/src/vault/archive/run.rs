//! Pulling while `serve` runs: each archive by itself, so that a slow one holds up no other.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::super::{Vault, locked};
use super::Pulled;

/// How often it is looked whether an archive is due; each decides itself when it is.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Items that the library did not open are tried again so often: it may have been mended without our hearing of it.
const OPEN_AGAIN_EVERY: Duration = Duration::from_secs(3600);

/// A library that is being asked when `serve` ends is waited for so long; what it answers later is asked for again.
const ENDS_WITHIN: Duration = Duration::from_secs(2);

/// Answers taken from one archive before it is looked again whether to stop.
const ROUNDS_MAX: usize = 16;

/// Pulls until told to stop.
pub async fn run(vault: Arc<Vault>, mut stopping: watch::Receiver<bool>) {
    let mut running: HashMap<String, JoinHandle<()>> = HashMap::new();
    let mut tick = tokio::time::interval(LOOK_EVERY);
    let mut opened_again = Instant::now();
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            _ = stopping.changed() => break,
        }
        if opened_again.elapsed() >= OPEN_AGAIN_EVERY {
            opened_again = Instant::now();
            vault.open_archives_again();
        }
        running.retain(|_, task| !task.is_finished());
        for connection in vault.archives() {
            if running.contains_key(&connection) {
                continue;
            }
            let (asked, name, told) = (vault.clone(), connection.clone(), stopping.clone());
            let task = tokio::task::spawn_blocking(move || pull(&asked, &name, &told));
            running.insert(connection, task);
        }
    }
    let ended = async {
        for task in running.into_values() {
            let _ = task.await;
        }
    };
    let _ = tokio::time::timeout(ENDS_WITHIN, ended).await;
}

/// Asks until there is nothing more to be had now.
fn pull(vault: &Vault, connection: &str, stopping: &watch::Receiver<bool>) {
    for _ in 0..ROUNDS_MAX {
        if *stopping.borrow() {
            return;
        }
        match vault.pull_archive(connection) {
            Ok(Pulled::Items(0) | Pulled::NotBefore(_)) => return,
            Ok(Pulled::Items(_)) => {}
            Ok(Pulled::Failed(error)) => {
                tracing::warn!(connection.id = connection, error = %error, "the archive was not pulled; it is tried again");
                return;
            }
            Err(error) => {
                tracing::error!(connection.id = connection, error = %error, "what was pulled could not be kept; it is pulled again");
                return;
            }
        }
    }
}

impl Vault {
    /// Connections whose archives are pulled.
    pub fn archives(&self) -> Vec<String> {
        locked(&self.inner.archives).running.keys().cloned().collect()
    }

    /// Has items opened again that the library did not open.
    pub fn open_archives_again(&self) {
        for connection in self.archives() {
            self.inner.want_opened_again(&connection, &["not-opened"]);
        }
    }
}
