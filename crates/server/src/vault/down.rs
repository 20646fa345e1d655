//! Archives that cannot be pulled: each pull that is answered is a heartbeat, and its absence a gap.
//!
//! The gap begins when everything there was had last been pulled. It closes when all of it was pulled after all, within the
//! days for which the vendor keeps it; after them something may be lost for good, and it stays.

use std::collections::BTreeMap;

use connect::wecom_archive::driver::DriverError;
use connect::wecom_archive::pull::KEPT_MICROS;
use model::Timestamp;
use model::entry::GapCause;
use store::ledger::Draft;

use super::gaps::{Detailed, gap};
use super::import::Digest16;
use super::{Inner, VaultError, locked};

/// A vendor or a network may be away for a while; nothing is lost by that.
const DOWN_MICROS: i64 = 3_600_000_000;

/// Gaps of archives that are down, and closings of those that were.
pub(super) fn down(inner: &Inner, now: Timestamp, out: &mut Vec<Vec<Draft>>) -> Result<(), VaultError> {
    let heard = inner.heartbeats();
    let open = locked(&inner.catalogue).open_gaps_of(GapCause::ConnectionEnded.name())?;
    for gap in open {
        let own = heard
            .iter()
            .find(|beat| Some(&beat.connection) == gap.connection.as_ref());
        let all_pulled = own.is_some_and(|beat| {
            let away = beat.caught_up_at.as_micros() - gap.from.as_micros();
            away > 0 && away <= KEPT_MICROS
        });
        if all_pulled {
            out.push(vec![inner.closing(gap.position, "resumed")?]);
        }
    }
    for beat in &heard {
        let Some((since, error)) = beat.failing else {
            continue;
        };
        if now.as_micros() - since.as_micros() < DOWN_MICROS {
            continue;
        }
        let item = inner.labels.digest(&[
            b"down",
            beat.connection.as_bytes(),
            &beat.caught_up_at.as_micros().to_be_bytes(),
        ]);
        if locked(&inner.catalogue).is_lacking(&item)? {
            continue;
        }
        let detail = Detailed {
            items: vec![Digest16(item)],
            by: BTreeMap::from([(kind(error), 1)]),
            ..Detailed::default()
        };
        let between = (beat.caught_up_at.min(now), now);
        let gap = gap(&beat.connection, between, GapCause::ConnectionEnded, 0);
        out.push(inner.gap_with(gap, &detail)?);
    }
    Ok(())
}

/// Why, without the vendor's words: its number, or that its library gave no answer.
fn kind(error: DriverError) -> String {
    match error {
        DriverError::Code(code) => format!("vendor-code-{code}"),
        DriverError::Failed(_) => "no-answer".to_owned(),
    }
}
