//! What `doctor` says of the machine and of the processes on it.

use model::Position;

use super::checks::{Check, CheckKind};
use super::{Inner, locked};

/// A clock may be set back this far without a word: NTP does it.
const CLOCK_MICROS_MAX: i64 = 5 * 1_000_000;

impl Inner {
    /// Adds what can be said of the machine.
    pub fn look_at_machine(&self, checks: &mut Vec<Check>) {
        let stopped = self.ledger.stopped();
        checks.push(Check {
            kind: CheckKind::Ledger,
subject: None,
warning: false,
check: "the ledger takes entries".to_owned(),
            ok: stopped.is_none(),
            detail: stopped.map_or_else(
                || "it does".to_owned(),
                |why| {
                    format!(
                        "nothing is acknowledged or shown since it stopped: {why}; free space or repair the disk, then \
                         restart; senders come again"
                    )
                },
            ),
        });
        let unsigned = self.ledger.unsigned();
        checks.push(Check {
            kind: CheckKind::CheckpointsWritten,
subject: None,
warning: false,
check: "checkpoints are written".to_owned(),
            ok: unsigned.is_none(),
            detail: unsigned.map_or_else(
                || "they are".to_owned(),
                |why| format!("entries are kept, and the newest have no checkpoint yet: {why}; it is tried each second"),
            ),
        });
        let intakes = locked(&self.intakes).clone();
        let ours = rustix::process::geteuid().as_raw();
        for (name, confined) in intakes {
            // On another host another user has the number of ours.
            let vault = if name.contains(' ') { u32::MAX } else { ours };
            checks.push(Check {
                kind: CheckKind::Intake,
                subject: None,
                warning: false,
                check: format!("the {name} is confined"),
                ok: confined.is_some_and(|confined| confined.is_well()),
                detail: confined.map_or_else(
                    || "it does not run, or cannot be reached; senders come again".to_owned(),
                    |confined| format!("it {}", confined.sentence(vault)),
                ),
            });
        }
        checks.push(self.look_at_clock());
        let swaps = swaps();
        checks.push(Check {
            kind: CheckKind::Swap,
subject: None,
warning: false,
check: "memory is not written to disk".to_owned(),
            ok: swaps == Some(0),
            detail: match swaps {
                None => "unknown: /proc/swaps cannot be read".to_owned(),
                Some(0) => "no swap is in use".to_owned(),
                Some(_) => "swap is in use: keys and messages may be written to it; switch it off with `swapoff --all`, or \
                            encrypt it"
                    .to_owned(),
            },
        });
    }
}

impl Inner {
    /// A clock that went back shows: the newest entry was recorded later than now, or was when this process began. One
    /// that is ahead does not.
    fn look_at_clock(&self) -> Check {
        let now = (self.clock)();
        let newest = self.ledger.head().0.checked_sub(1);
        let entry = newest.and_then(|at| self.must_entry(Position(at)).ok());
        let recorded = entry.map(|entry| entry.header.recorded_at);
        let back = [self.opened, (now, recorded)]
            .into_iter()
            .filter_map(|(now, recorded)| Some((now, recorded?)))
            .find(|(now, recorded)| recorded.as_micros() - now.as_micros() > CLOCK_MICROS_MAX);
        Check {
            kind: CheckKind::Clock,
subject: None,
warning: false,
check: "the clock".to_owned(),
            ok: back.is_none(),
            detail: back.map_or_else(
                || "it has not gone back since the newest entry; whether it is right only an outside anchor shows".to_owned(),
                |(now, at)| {
                    format!(
                        "it went back: it said {now} when the newest entry had been recorded at {at}; set it right, best by NTP. \
                         Order and proofs do not depend on it"
                    )
                },
            ),
        }
    }
}

/// How many swap areas are in use that are not known to lie in memory.
fn swaps() -> Option<usize> {
    let listed = std::fs::read_to_string("/proc/swaps").ok()?;
    Some(count_on_disk(&listed))
}

/// Areas in `/proc/swaps`; one in compressed memory never reaches a disk by itself.
fn count_on_disk(listed: &str) -> usize {
    let areas = listed.lines().skip(1).filter(|line| !line.trim().is_empty());
    areas.filter(|line| !line.starts_with("/dev/zram")).count()
}

#[cfg(test)]
mod tests {
    use super::count_on_disk;

    #[test]
    fn swap_on_a_disk_is_counted_and_swap_in_compressed_memory_is_not() {
        let head = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n";
        let check = |lines: &str, expected| assert_eq!(count_on_disk(&format!("{head}{lines}")), expected);
        check("", 0);
        check("\n", 0);
        check("/dev/zram0 partition 100 0 5\n", 0);
        check("/dev/sda2 partition 100 0 -2\n", 1);
        check(
            "/swapfile file 100 0 -2\n/dev/zram0 partition 100 0 5\n/dev/dm-1 partition 9 9 -3\n",
            2,
        );
        assert_eq!(count_on_disk(""), 0);
    }
}
