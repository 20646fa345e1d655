//! Who does it: the process that has the data folder, when there is one; else this one.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use model::Timestamp;
use serde_json::Value;
use server::vault::{Vault, VaultError, VaultOptions};
use store::StoreError;

use crate::args::Global;
use crate::failure::Failure;
use crate::operation::{Emit, Operation};
use crate::passphrase::{self, Secret};
use crate::{drill, files, perform, socket};

/// How often, and after what pauses, a folder that is in use is tried again: another command may be about to end.
const TRIES: u32 = 20;
const PATIENT_TRIES: u32 = 100;
const PAUSE: Duration = Duration::from_millis(100);

/// Does it, here or in the process that has the data folder.
///
/// # Errors
/// What went wrong, there or here.
pub fn run(global: &Global, operation: Operation, emit: &mut Emit<'_>) -> Result<Value, Failure> {
    let data = files::existing_data_folder(global)?;
    if let Some(owner) = socket::connect(&data)? {
        return socket::ask(owner, &operation, emit);
    }
    let secret = passphrase::ask(global)?;
    run_with(&data, &secret, operation, emit)
}

/// The same with what opens the key store in hand.
///
/// # Errors
/// What went wrong, there or here.
pub fn run_with(
    data: &Path,
    secret: &Secret,
    operation: Operation,
    emit: &mut Emit<'_>,
) -> Result<Value, Failure> {
    if let Some(owner) = socket::connect(data)? {
        return socket::ask(owner, &operation, emit);
    }
    for _ in 0..TRIES {
        match open(data, secret) {
            Err(VaultError::Store(StoreError::Locked(_))) => std::thread::sleep(PAUSE),
            vault => return perform::perform(&vault?, operation, &actor(rustix::process::getuid()), emit),
        }
        if let Some(owner) = socket::connect(data)? {
            return socket::ask(owner, &operation, emit);
        }
    }
    Err(VaultError::Store(StoreError::Locked(data.to_owned())).into())
}

/// Opens the vault in this process.
///
/// # Errors
/// As [`Vault::open`].
pub fn open(data: &Path, secret: &Secret) -> Result<Vault, VaultError> {
    let mut options = VaultOptions::with_clock(Arc::new(now));
    drill::prepare(&mut options);
    // Keys are about to be in memory. A kernel that refuses this has other troubles.
    drop(server::confine::guard_memory(drill::observable()));
    Vault::open(data, &secret.unlock(), options)
}

/// As [`open`], waiting a moment for a command that has the folder just now: a server that is started again should not
/// fail because somebody's search was not over yet.
///
/// # Errors
/// As [`Vault::open`].
pub fn open_patiently(data: &Path, secret: &Secret) -> Result<Vault, VaultError> {
    for _ in 0..PATIENT_TRIES {
        match open(data, secret) {
            Err(VaultError::Store(StoreError::Locked(folder))) => {
                // A server has it, and will not let go.
                if socket::connect(data).is_ok_and(|owner| owner.is_some()) {
                    return Err(StoreError::Locked(folder).into());
                }
                std::thread::sleep(PAUSE);
            }
            vault => return vault,
        }
    }
    open(data, secret)
}

/// What the machine's clock says.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// How acts name a user of this machine.
pub fn actor(user: rustix::process::Uid) -> String {
    format!("os:{}", user.as_raw())
}
