//! What `doctor` says of the machine and of the processes on it.

use super::state::Check;
use super::{Inner, locked};

impl Inner {
    /// Adds what can be said of the machine.
    pub fn look_at_machine(&self, checks: &mut Vec<Check>) {
        let intakes = locked(&self.intakes).clone();
        let vault = rustix::process::geteuid().as_raw();
        for (name, confined) in intakes {
            checks.push(Check {
                check: format!("the {name} is confined"),
                ok: confined.is_some_and(|confined| confined.is_well()),
                detail: confined.map_or_else(
                    || "it does not run".to_owned(),
                    |confined| format!("it {}", confined.sentence(vault)),
                ),
            });
        }
        let swaps = swaps();
        checks.push(Check {
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
