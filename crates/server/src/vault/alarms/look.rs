//! What needs attention now, compared with what was raised before.

use std::sync::Arc;

use model::Position;
use store::catalogue::GapRow;

use super::book::{About, Event, GapTold, Seen};
use crate::vault::{Inner, VaultError, locked};

/// Gaps, and closings, told in one look: more wait for the next.
const GAPS_AT_ONCE: u32 = 200;

impl Inner {
    /// One look. What cannot be written down is told all the same: the disk may be what needs attention.
    pub(super) fn look_for_alarms(self: &Arc<Self>) {
        let progress = *locked(&self.progress);
        let attention = self.attention();
        let gaps = self.gaps_to_tell();
        let mut book = locked(&self.alarms.book);
        if book.queues.is_empty() {
            return;
        }
        let (before, began) = (book.clone(), book.began);
        let seen = Seen {
            attention,
            is_caught_up: progress.followed >= book.followed.max(self.alarms.opened_at),
            now: (self.clock)(),
        };
        book.followed = book.followed.max(progress.followed);
        match gaps {
            Ok((opened, closed)) => {
                // Not what was there before the first destination, should that just have been added.
                for row in opened.iter().filter(|row| row.position >= began) {
                    book.gaps_from = row.position.plus(1);
                    let mut told = told(row);
                    told.closed = None;
                    book.tell(Event::Opened, About::Gap(told), row.from, seen.now);
                }
                for row in closed {
                    if let Some(closed) = &row.closed {
                        book.closings_from = closed.by.plus(1);
                    }
                    if row.position >= began {
                        book.tell(Event::Closed, About::Gap(told(&row)), row.from, seen.now);
                    }
                }
            }
            Err(error) => tracing::error!(error = %error, "gaps cannot be looked up for alarms"),
        }
        book.observe(&seen, &self.alarms.patience);
        if *book != before
            && let Err(error) = self.write_alarms(&book)
        {
            tracing::error!(error = %error, "what was raised cannot be noted; after a restart it is told once more");
        }
    }

    /// Gaps that are not told yet, and those that were told and are closed since.
    fn gaps_to_tell(&self) -> Result<(Vec<GapRow>, Vec<GapRow>), VaultError> {
        let (gaps_from, closings_from) = {
            let book = locked(&self.alarms.book);
            (book.gaps_from, book.closings_from)
        };
        let reader = locked(&self.reader);
        let before = gaps_from.0.checked_sub(1).map(Position);
        let opened = reader.gaps_after(before, false, GAPS_AT_ONCE)?;
        let told_to = match opened.last() {
            Some(last) if opened.len() == GAPS_AT_ONCE as usize => last.position.plus(1),
            _ => Position(u64::MAX),
        };
        let closed = reader.gaps_closed_from(closings_from, GAPS_AT_ONCE)?;
        // One that is not told yet is closed in a later look.
        let closed = closed.into_iter().take_while(|row| row.position < told_to);
        Ok((opened, closed.collect()))
    }
}

fn told(row: &GapRow) -> GapTold {
    GapTold {
        position: row.position,
        connection: row.connection.clone(),
        cause: row.cause.clone(),
        from: row.from,
        to: row.to,
        count: row.count,
        closed: row.closed.as_ref().map(|closed| closed.reason.clone()),
    }
}
