//! Decoding headers in a row: those of captures that follow each other differ in few places, and decoding one from
//! nothing costs several allocations. Measured: a twelfth of the time of checking records of 1 KiB.

use model::bytes::{Malformed, Reader};
use model::entry::{Header, Kind, SEALING_BYTES, decode_sealing};
use model::{Position, Timestamp};

/// The header read last, with its bytes.
#[derive(Default)]
pub(super) struct Headers {
    bytes: Vec<u8>,
    header: Option<Box<Header>>,
}

/// Where a chunk's header has what differs from one to the next.
struct Places {
    /// Position and time of recording.
    position: usize,
    /// Time of receiving.
    received: usize,
    sealing: usize,
}

const POSITION_BYTES: usize = 16;
const RECEIVED_BYTES: usize = 8;

impl Places {
    fn of(header: &Header, length: usize) -> Option<Places> {
        let Kind::Chunk(chunk) = &header.kind else {
            return None;
        };
        let (connection, connector) = (chunk.origin.connection.as_str(), &chunk.origin.connector);
        // Format, kind, suite and the zone's length; then two length bytes and the connector's version.
        let position = 5 + header.zone.as_str().len();
        Some(Places {
            position,
            received: position + POSITION_BYTES + 1 + connection.len() + 1 + connector.len() + 4,
            sealing: length.checked_sub(SEALING_BYTES)?,
        })
    }

    /// Whether two headers are equal in all other places.
    fn equal_elsewhere(&self, a: &[u8], b: &[u8]) -> bool {
        let same = |from: usize, to: usize| match (a.get(from..to), b.get(from..to)) {
            (Some(a), Some(b)) => a == b,
            _ => false,
        };
        a.len() == b.len()
            && same(0, self.position)
            && same(self.position + POSITION_BYTES, self.received)
            && same(self.received + RECEIVED_BYTES, self.sealing)
    }
}

impl Headers {
    /// Decodes as [`Header::decode`] does. The header is given back with [`Headers::put_back`].
    pub(super) fn decode(&mut self, bytes: &[u8]) -> Result<Box<Header>, Malformed> {
        if let Some(mut header) = self.header.take()
            && let Some(places) = Places::of(&header, bytes.len())
            && places.equal_elsewhere(&self.bytes, bytes)
            && refill(&mut header, &places, bytes)?
        {
            return Ok(header);
        }
        self.bytes.clear();
        self.bytes.extend_from_slice(bytes);
        Ok(Box::new(Header::decode(bytes)?))
    }

    /// Keeps a header that [`Headers::decode`] gave, for the next one. Its fields need not be those of `bytes` any
    /// more: what is compared is what does not change.
    pub(super) fn put_back(&mut self, header: Box<Header>) {
        self.header = Some(header);
    }
}

/// Puts the changing fields of `bytes` into a header that is equal in all others.
fn refill(header: &mut Header, places: &Places, bytes: &[u8]) -> Result<bool, Malformed> {
    let at = |from: usize| Reader::new(bytes.get(from..).unwrap_or(&[]), "entry header");
    let Kind::Chunk(chunk) = &mut header.kind else {
        return Ok(false);
    };
    let mut reader = at(places.position);
    header.position = Position(reader.u64()?);
    header.recorded_at = Timestamp::from_micros(reader.i64()?);
    chunk.origin.received_at = Timestamp::from_micros(at(places.received).i64()?);
    let mut reader = at(places.sealing);
    chunk.sealing = decode_sealing(&mut reader)?;
    reader.end()?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::CaptureId;
    use model::entry::{Chunk, Gap, GapCause, Origin, POINT_BYTES, Sealing, WRAPPED_KEY_BYTES};
    use proptest::prelude::*;

    fn chunk(position: u64, connector: &str, n: u8) -> Vec<u8> {
        let origin = Origin {
            connection: "ward-3".parse().unwrap(),
            connector: connector.into(),
            connector_version: 1,
            received_at: Timestamp::from_seconds(i64::from(n)),
            verdict: n % 2,
            secret: 0,
            minimum_lock_days: 0,
        };
        let sealing = Sealing {
            capture: CaptureId([n; 16]),
            chunk: u32::from(n),
            last: n.is_multiple_of(2),
            epoch: 1,
            encapsulation: std::array::from_fn::<_, POINT_BYTES, _>(|at| if at == 0 { 4 } else { n }),
            wrapped_key: [n; WRAPPED_KEY_BYTES],
            commitment: [n; 32],
        };
        header(position, Kind::Chunk(Chunk { origin, sealing }))
    }

    fn gap(position: u64) -> Vec<u8> {
        let gap = Gap {
            connection: None,
            from: Timestamp::from_seconds(1),
            to: Timestamp::from_seconds(2),
            cause: GapCause::NotRunning,
            count: 0,
        };
        header(position, Kind::Gap(gap))
    }

    fn header(position: u64, kind: Kind) -> Vec<u8> {
        Header {
            zone: "us".parse().unwrap(),
            position: Position(position),
            recorded_at: Timestamp::from_seconds(7),
            kind,
        }
        .encode()
    }

    proptest! {
        #[test]
        fn headers_in_a_row_decode_as_each_does_alone(
            row in proptest::collection::vec((any::<u64>(), 0usize..3, any::<u8>(), 0usize..400, any::<u8>()), 1..20),
        ) {
            let mut headers = Headers::default();
            for (position, kind, n, at, with) in row {
                let mut bytes = match kind {
                    0 => gap(position),
                    1 => chunk(position, "whatsapp-cloud", n),
                    _ => chunk(position, "wecom", n),
                };
                // Half of them altered somewhere, or cut.
                match (n % 4, bytes.get_mut(at)) {
                    (0, Some(byte)) => *byte ^= with,
                    (1, _) => bytes.truncate(at),
                    _ => {}
                }
                let (decoded, alone) = (headers.decode(&bytes), Header::decode(&bytes));
                prop_assert_eq!(decoded.as_deref(), alone.as_ref());
                if let Ok(header) = decoded {
                    headers.put_back(header);
                }
            }
        }
    }
}
