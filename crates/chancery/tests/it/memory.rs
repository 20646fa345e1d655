//! Looking for known bytes in the memory of a running process.

use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::time::{Duration, Instant};

/// How often `marker` stands in the writable memory of a process. Root may look anywhere; others only into a process that
/// was started with `CHANCERY_OBSERVABLE`.
pub fn count_in(process: u32, marker: &[u8]) -> usize {
    let process = Path::new("/proc").join(process.to_string());
    let maps = std::fs::read_to_string(process.join("maps")).unwrap();
    let mut memory = std::fs::File::open(process.join("mem")).unwrap();
    let mut found = 0;
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let (range, _) = line.split_once(' ').unwrap();
        let (start, end) = range.split_once('-').unwrap();
        let start = u64::from_str_radix(start, 16).unwrap();
        let end = u64::from_str_radix(end, 16).unwrap();
        let mut bytes = vec![0; usize::try_from(end - start).unwrap()];
        // Some ranges belong to the kernel and cannot be read.
        if memory.seek(SeekFrom::Start(start)).is_ok() && memory.read_exact(&mut bytes).is_ok() {
            found += bytes
                .windows(marker.len())
                .filter(|window| *window == marker)
                .count();
        }
    }
    found
}

/// Waits until `marker` is nowhere in the memory of a process, at most so long; how long it took.
pub fn gone_within(process: u32, marker: &[u8], longest: Duration) -> Duration {
    let begun = Instant::now();
    loop {
        let found = count_in(process, marker);
        if found == 0 {
            return begun.elapsed();
        }
        assert!(begun.elapsed() < longest, "it is still there {found} times");
    }
}
