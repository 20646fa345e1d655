//! How much and how long: every bound on what the network may ask of us.

use std::time::Duration;

/// Bounds of the listener and the intake. The defaults suit one machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Longest request body. WhatsApp says up to 3 MB.
    pub body_bytes: usize,
    /// Longest request line and headers together. Vendors send about 1 KiB.
    pub head_bytes: usize,
    /// Bytes of bodies that the intake holds at once, sealed copies included; more is answered with 503.
    pub in_flight_bytes: usize,
    /// Connections that the intake holds at once.
    pub intake_connections: usize,
    /// Connections that the vault serves at once, those being looked at included.
    pub vault_connections: usize,
    /// From the first byte of a request to the end of its headers; also for the look that tells whose it is.
    pub head_timeout: Duration,
    /// From the first byte of a request to the last of its answer.
    pub request_timeout: Duration,
    /// A kept-alive connection may be silent this long.
    pub idle_timeout: Duration,
    /// How long requests in flight may take to finish when the server stops.
    pub stop_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            body_bytes: 4 << 20,
            head_bytes: 16 << 10,
            in_flight_bytes: 64 << 20,
            intake_connections: 1024,
            vault_connections: 256,
            head_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(75),
            stop_timeout: Duration::from_secs(5),
        }
    }
}

/// Room in a frame beside the bodies: headers of at most a few hundred chunks, and the tags.
const FRAME_OVERHEAD_BYTES: usize = 256 << 10;

impl Limits {
    /// The longest frame that a well-behaved intake sends.
    pub(crate) fn frame_bytes(&self) -> usize {
        self.body_bytes
            .saturating_add(self.head_bytes)
            .saturating_add(FRAME_OVERHEAD_BYTES)
    }
}
