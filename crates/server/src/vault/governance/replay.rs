//! A key store that is older than the ledger: destructions that it has not heard of are done before anything opens.

use model::entry::{Header, Kind};
use store::StoreError;
use store::keystore::KeyStore;
use store::ledger::Ledger;

use super::super::VaultError;

/// Destroys in the key store what the ledger says is destroyed and the key store still holds: after a crash between the
/// two, and after an older copy of the key store was put back. To be called before any key is used, and before any secret
/// is made: a key store never knows a later entry than a destruction that it has not done. Answers how many secrets.
///
/// # Errors
/// [`VaultError::Store`].
pub fn replay_destructions(ledger: &Ledger, keys: &mut KeyStore) -> Result<u64, VaultError> {
    let mut found = Vec::new();
    let from = keys.ring().latest_position();
    let mut scanner = ledger.scan(from);
    while let Some(group) = scanner.next_group()? {
        for (position, raw) in group.entries()? {
            if position < from {
                continue;
            }
            let header = Header::decode(raw.header)
                .map_err(|problem| StoreError::damaged(format!("entry {position}"), problem.to_string()))?;
            if let Kind::Destruction(gone) = header.kind {
                let living = gone.keys.iter().filter(|key| keys.ring().secret(**key).is_some());
                found.extend(living.map(|key| (*key, position)));
            }
        }
    }
    if !found.is_empty() {
        tracing::info!(
            secrets = found.len(),
            "destructions that the key store had not heard of are done"
        );
        keys.destroy_each(&found)?;
    }
    Ok(found.len() as u64)
}
