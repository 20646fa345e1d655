//! What a caller waits for whose entries are being made durable.
//!
//! Many wait at once, each for one answer: a channel for each would spin and yield before it sleeps, which on few cores
//! takes the time from those who have something to do.

use std::sync::{Arc, Mutex};
use std::thread::Thread;

use model::Position;

use super::locked;
use crate::folder::StoreError;

type Slot = Arc<Mutex<Option<Result<Position, StoreError>>>>;

/// Gives the answer. Dropped without one, it answers that the ledger has stopped.
pub struct Answering {
    slot: Slot,
    waits: Thread,
}

/// Waits for the answer, on the thread that made it.
pub struct Awaited {
    slot: Slot,
}

/// For one answer to this thread.
pub fn slot() -> (Answering, Awaited) {
    let slot = Slot::default();
    let answering = Answering {
        slot: slot.clone(),
        waits: std::thread::current(),
    };
    (answering, Awaited { slot })
}

impl Answering {
    /// Gives it.
    pub fn give(self, answer: Result<Position, StoreError>) {
        *locked(&self.slot) = Some(answer);
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        locked(&self.slot).get_or_insert(Err(StoreError::Stopped));
        self.waits.unpark();
    }
}

impl Awaited {
    /// Sleeps until it is there.
    pub fn wait(self) -> Result<Position, StoreError> {
        loop {
            if let Some(answer) = locked(&self.slot).take() {
                return answer;
            }
            std::thread::park();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_reaches_the_thread_that_waits_and_one_that_is_dropped_says_stopped() {
        let (answering, awaited) = slot();
        let giving = std::thread::spawn(move || answering.give(Ok(Position(7))));
        assert!(matches!(awaited.wait(), Ok(Position(7))));
        giving.join().unwrap();
        let (answering, awaited) = slot();
        drop(answering);
        assert!(matches!(awaited.wait(), Err(StoreError::Stopped)));
    }
}
