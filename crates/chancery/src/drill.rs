//! What a test may set from the environment to see the program die, or to have much happen on little data.
//!
//! Only a build with debug assertions looks at it; a release build ignores all of these names.

use std::sync::Arc;
use std::time::Duration;

use model::Timestamp;
use server::vault::VaultOptions;
use store::failpoint;

use crate::owner;

/// `NAME:COUNT`: the process kills itself when this place is reached for the `COUNT`-th time.
const FAIL_POINT: &str = "CHANCERY_FAIL_POINT";
/// A segment is sealed at this many bytes.
const SEGMENT_BYTES: &str = "CHANCERY_SEGMENT_BYTES";
/// An intake epoch lasts this long.
const EPOCH_MILLISECONDS: &str = "CHANCERY_EPOCH_MILLISECONDS";

/// It is looked so often what needs attention; an alarm opens at once, closes after as long, and is sent again after as long.
const ALARM_MILLISECONDS: &str = "CHANCERY_ALARM_MILLISECONDS";

/// The vault's clock: `frozen` at the start, or so many seconds `+` ahead or `-` behind.
const CLOCK: &str = "CHANCERY_CLOCK";
/// Memory of this process and of its intake stays readable for the user who runs it.
const OBSERVABLE: &str = "CHANCERY_OBSERVABLE";

/// Whether a test wants to look into memory.
pub fn observable() -> bool {
    cfg!(debug_assertions) && std::env::var_os(OBSERVABLE).is_some()
}

/// Does what the environment says. Called wherever a vault is about to be opened.
pub fn prepare(options: &mut VaultOptions) {
    if !cfg!(debug_assertions) {
        return;
    }
    let named = |name: &str| std::env::var(name).ok();
    let point = named(FAIL_POINT);
    let armed = point.as_deref().and_then(|point| point.split_once(':'));
    if let Some((name, count)) = armed
        && let Ok(count) = count.parse()
    {
        failpoint::arm(name, count);
    }
    match named(CLOCK).as_deref() {
        None => {}
        Some("frozen") => {
            let moment = owner::now();
            options.clock = Arc::new(move || moment);
        }
        Some(shift) => {
            let shift = shift.parse::<i64>().unwrap_or(0).saturating_mul(1_000_000);
            options.clock =
                Arc::new(move || Timestamp::from_micros(owner::now().as_micros().saturating_add(shift)));
        }
    }
    let number = |name: &str| named(name).and_then(|value| value.parse().ok());
    if let Some(bytes) = number(SEGMENT_BYTES) {
        options.ledger.segment_bytes = bytes;
    }
    if let Some(milliseconds) = number(ALARM_MILLISECONDS) {
        let short = Duration::from_millis(milliseconds);
        options.alarms.look = short;
        options.alarms.open_after = Duration::ZERO;
        options.alarms.close_after = short;
        options.alarms.first_pause = short;
    }
    if let Some(milliseconds) = number(EPOCH_MILLISECONDS) {
        options.epoch_lasts = Duration::from_millis(milliseconds);
    }
}
