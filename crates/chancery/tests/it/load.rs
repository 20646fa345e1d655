//! Who delivers while a server dies: clients of every source that is posted, files of every source that is handed in, and vendors
//! that hold what is pulled.

use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Sender;

use crate::run::Place;
use crate::sources::{self, Said, WriteFile};

/// Deliveries of one client in one cycle.
const DELIVERIES: usize = 25;

/// What the clients know: who came, and who was told 200.
#[derive(Default)]
pub struct Ward {
    made: AtomicU64,
    pub refused: AtomicU64,
    /// Delivered and not acknowledged: the platform comes again.
    again: Mutex<Vec<u64>>,
}

/// Messages that are handed in: their file, the markers in it, whether an import of it ended well.
pub struct Chat {
    pub connector: &'static str,
    pub name: String,
    pub markers: Vec<String>,
    pub imported: bool,
}

impl Chat {
    /// So many messages with fillers of so many characters, as this source has them.
    pub fn written(
        place: &Place,
        (connector, write): (&'static str, WriteFile),
        n: usize,
        (messages, filler): (usize, usize),
    ) -> Chat {
        let markers: Vec<String> = (0..messages).map(|m| format!("export{n}m{m}x")).collect();
        let said: Vec<Said> = (0..)
            .zip(&markers)
            .map(|(number, marker)| Said {
                number,
                marker: marker.clone(),
            })
            .collect();
        let (name, text) = write(n as u64, &said, filler);
        place.write(&name, text);
        Chat {
            connector,
            name,
            markers,
            imported: false,
        }
    }
}

/// What a vendor holds under this number.
pub fn held(source: usize, number: u64) -> Said {
    let marker = format!("held{source}n{number}x");
    Said { number, marker }
}

impl Ward {
    /// Delivers the next message, or one that was not acknowledged, by the next of the sources that post.
    fn deliver(&self, place: &Place, address: SocketAddr) -> (u64, String, std::io::Result<u16>) {
        let again = self.again.lock().unwrap().pop();
        let n = again.unwrap_or_else(|| self.made.fetch_add(1, Ordering::SeqCst));
        let marker = format!("webhook{n}x");
        let posted = sources::posted();
        let count = posted.len() as u64;
        let said = Said {
            number: n / count,
            marker,
        };
        let answer = posted[(n % count) as usize](place, address, &said);
        (n, said.marker, answer)
    }

    pub fn client(
        &self,
        place: &Place,
        address: SocketAddr,
        stop: &AtomicBool,
        acknowledged: &Sender<String>,
    ) {
        for _ in 0..DELIVERIES {
            if stop.load(Ordering::SeqCst) {
                return;
            }
            let (n, marker, answer) = self.deliver(place, address);
            match answer {
                Ok(200) => drop(acknowledged.send(marker)),
                answer => {
                    self.again.lock().unwrap().push(n);
                    if answer.is_err() {
                        return;
                    }
                    self.refused.fetch_add(1, Ordering::SeqCst);
                }
            }
        }
    }
}
