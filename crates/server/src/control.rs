//! What vault and intake say to each other, over a Unix socket or, between two hosts, over TLS.
//!
//! *Shape.* On one machine first one byte with the descriptor of a second socket, the *door*, over which connections are
//! handed ([`crate::descriptors`]). Then frames in both directions: four bytes of length, one byte that says what it is,
//! the fields in the canonical form of [`model::bytes`]. On one machine both ends are of one build; between two hosts
//! [`crate::identity`] agrees on the version before a frame is sent.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::time::Duration;

use connect::{Secrets, Settings};
use model::bytes::{Malformed, Reader, Writer};
use model::entry::{Header, Kind};
use model::{Position, Timestamp, ZoneId};
use seal::envelope::EpochPublic;
use store::ledger::Draft;
use zeroize::Zeroizing;

use crate::confine::{Confined, Extent};
use crate::host::{IntakeConfiguration, IntakeConnection};
use crate::limits::Limits;

/// The longest frame to the intake: a configuration with thousands of connections.
pub(crate) const CONFIGURATION_BYTES: usize = 16 << 20;

/// From the vault.
pub(crate) enum ToIntake {
    /// What to take, and how much.
    Configuration(Box<(IntakeConfiguration, Limits)>),
    /// The capture is durable.
    Accepted { request: u64, position: Position },
    /// The capture was not written; the sender must come again.
    Refused { request: u64 },
    /// Take nothing new, finish what was begun, end.
    Finish,
    /// Nothing; sent so that the other side knows that we are there.
    Alive,
}

/// From the intake.
pub(crate) enum ToVault {
    /// A sealed capture, all its chunks.
    Capture {
        request: u64,
        chunks: Vec<(ZoneId, Draft)>,
    },
    /// Requests refused since the last such frame.
    Refusals(Vec<(String, String, u64)>),
    /// How much the intake holds.
    Load(Load),
    /// What the intake gave up before it began.
    Confined(Confined),
}

/// How much the intake holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) connections: u64,
    pub(crate) bytes: u64,
}

const CONFIGURATION: u8 = 1;
const ACCEPTED: u8 = 2;
const REFUSED: u8 = 3;
const FINISH: u8 = 4;
const CAPTURE: u8 = 5;
const REFUSALS: u8 = 6;
const LOAD: u8 = 7;
const CONFINED: u8 = 8;
const ALIVE: u8 = 9;

/// A frame ready to be written: its length stands before it.
fn framed(kind: u8, capacity: usize, fill: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut out = Writer::with_capacity(capacity);
    out.u32(0).u8(kind);
    fill(&mut out);
    let mut bytes = out.into_bytes();
    let length = u32::try_from(bytes.len() - 4).unwrap_or(u32::MAX);
    if let Some(place) = bytes.first_chunk_mut::<4>() {
        *place = length.to_be_bytes();
    }
    bytes
}

/// Reads one frame; nothing at the end of the stream.
pub(crate) fn read_frame(from: &mut impl Read, longest: usize) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    match from.read_exact(&mut length) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let mut frame = vec![0; frame_length(length, longest)?];
    from.read_exact(&mut frame)?;
    Ok(Some(frame))
}

/// The length of a frame, if it may be that long.
pub(crate) fn frame_length(length: [u8; 4], longest: usize) -> io::Result<usize> {
    usize::try_from(u32::from_be_bytes(length))
        .ok()
        .filter(|length| *length <= longest)
        .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))
}

impl ToIntake {
    /// The frame.
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            ToIntake::Configuration(both) => framed(CONFIGURATION, 1024, |out| {
                encode_limits(out, &both.1);
                encode_configuration(out, &both.0);
            }),
            ToIntake::Accepted { request, position } => framed(ACCEPTED, 32, |out| {
                out.u64(*request).u64(position.0);
            }),
            ToIntake::Refused { request } => framed(REFUSED, 32, |out| {
                out.u64(*request);
            }),
            ToIntake::Finish => framed(FINISH, 32, |_| {}),
            ToIntake::Alive => framed(ALIVE, 32, |_| {}),
        }
    }

    /// Reads what [`Self::encode`] wrote, without the length.
    pub(crate) fn decode(frame: &[u8]) -> Result<Self, Malformed> {
        let mut input = Reader::new(frame, "frame to the intake");
        let message = match input.u8()? {
            CONFIGURATION => {
                let limits = decode_limits(&mut input)?;
                ToIntake::Configuration(Box::new((decode_configuration(&mut input)?, limits)))
            }
            ACCEPTED => ToIntake::Accepted {
                request: input.u64()?,
                position: Position(input.u64()?),
            },
            REFUSED => ToIntake::Refused {
                request: input.u64()?,
            },
            FINISH => ToIntake::Finish,
            ALIVE => ToIntake::Alive,
            _ => return Err(Malformed::Value("kind of frame")),
        };
        input.end()?;
        Ok(message)
    }
}

/// A frame with a capture. Position and time are the vault's to give: they are 0 here.
pub(crate) fn encode_capture(request: u64, zone: &ZoneId, chunks: Vec<(Kind, Vec<u8>)>) -> Vec<u8> {
    let bytes: usize = chunks.iter().map(|(_, body)| body.len() + 512).sum();
    framed(CAPTURE, bytes + 32, |out| {
        out.u64(request);
        out.u32(u32::try_from(chunks.len()).unwrap_or(u32::MAX));
        for (kind, body) in chunks {
            let header = Header {
                zone: zone.clone(),
                position: Position(0),
                recorded_at: Timestamp::from_micros(0),
                kind,
            };
            out.blob(&header.encode()).blob(&body);
        }
    })
}

impl ToVault {
    /// The frame. A capture has its own function: [`encode_capture`].
    pub(crate) fn refusals(counts: &BTreeMap<(String, &'static str), u64>) -> Vec<u8> {
        framed(REFUSALS, 32, |out| {
            out.u32(u32::try_from(counts.len()).unwrap_or(u32::MAX));
            for ((connection, reason), count) in counts {
                out.name(connection).name(reason).u64(*count);
            }
        })
    }

    /// The frame.
    pub(crate) fn load(load: Load) -> Vec<u8> {
        framed(LOAD, 32, |out| {
            out.u64(load.connections).u64(load.bytes);
        })
    }

    /// The frame.
    pub(crate) fn confined(confined: &Confined) -> Vec<u8> {
        framed(CONFINED, 32, |out| {
            out.u32(confined.user)
                .u8(u8::from(confined.no_new_privileges))
                .u8(u8::from(confined.no_dumps))
                .u8(match confined.landlock {
                    Extent::None => 0,
                    Extent::Part => 1,
                    Extent::Full => 2,
                })
                .u8(u8::from(confined.system_calls));
        })
    }

    /// Reads a frame, without the length.
    pub(crate) fn decode(frame: &[u8]) -> Result<Self, Malformed> {
        let mut input = Reader::new(frame, "frame to the vault");
        let message = match input.u8()? {
            CAPTURE => ToVault::Capture {
                request: input.u64()?,
                chunks: decode_chunks(&mut input)?,
            },
            REFUSALS => {
                let count = input.u32()?;
                let mut counts = Vec::new();
                for _ in 0..count {
                    counts.push((input.name()?.to_owned(), input.name()?.to_owned(), input.u64()?));
                }
                ToVault::Refusals(counts)
            }
            LOAD => ToVault::Load(Load {
                connections: input.u64()?,
                bytes: input.u64()?,
            }),
            CONFINED => ToVault::Confined(Confined {
                user: input.u32()?,
                no_new_privileges: input.u8()? == 1,
                no_dumps: input.u8()? == 1,
                landlock: match input.u8()? {
                    0 => Extent::None,
                    1 => Extent::Part,
                    2 => Extent::Full,
                    _ => return Err(Malformed::Value("extent")),
                },
                system_calls: input.u8()? == 1,
            }),
            _ => return Err(Malformed::Value("kind of frame")),
        };
        input.end()?;
        Ok(message)
    }
}

fn decode_chunks(input: &mut Reader<'_>) -> Result<Vec<(ZoneId, Draft)>, Malformed> {
    let count = input.u32()?;
    let mut chunks = Vec::new();
    for _ in 0..count {
        let header = Header::decode(input.blob()?)?;
        let body = input.blob()?.to_vec();
        let draft = Draft {
            kind: header.kind,
            body,
        };
        chunks.push((header.zone, draft));
    }
    Ok(chunks)
}

fn encode_configuration(out: &mut Writer, configuration: &IntakeConfiguration) {
    let epoch = &configuration.epoch;
    out.name(epoch.zone.as_str()).u32(epoch.epoch).raw(&epoch.point);
    out.u32(u32::try_from(configuration.connections.len()).unwrap_or(u32::MAX));
    for connection in &configuration.connections {
        out.name(connection.id.as_str()).name(&connection.connector);
        out.u32(connection.minimum_lock_days);
        let secrets: Vec<(&String, &Zeroizing<Vec<u8>>)> = connection
            .secrets
            .0
            .iter()
            .flat_map(|(name, values)| values.iter().map(move |value| (name, value)))
            .collect();
        out.u32(u32::try_from(secrets.len()).unwrap_or(u32::MAX));
        for (name, value) in secrets {
            out.name(name).blob(value);
        }
        out.u32(u32::try_from(connection.settings.len()).unwrap_or(u32::MAX));
        for (name, value) in &connection.settings {
            out.name(name).blob(value.as_bytes());
        }
    }
}

fn decode_configuration(input: &mut Reader<'_>) -> Result<IntakeConfiguration, Malformed> {
    let zone = input.name()?.parse().map_err(|_| Malformed::Value("zone"))?;
    let epoch = EpochPublic {
        zone,
        epoch: input.u32()?,
        point: input.array()?,
    };
    let count = input.u32()?;
    let mut connections = Vec::new();
    for _ in 0..count {
        connections.push(decode_connection(input)?);
    }
    Ok(IntakeConfiguration { epoch, connections })
}

fn decode_connection(input: &mut Reader<'_>) -> Result<IntakeConnection, Malformed> {
    let id = input
        .name()?
        .parse()
        .map_err(|_| Malformed::Value("connection"))?;
    let connector = input.name()?.to_owned();
    let minimum_lock_days = input.u32()?;
    let mut secrets = Secrets::default();
    for _ in 0..input.u32()? {
        let name = input.name()?.to_owned();
        let value = Zeroizing::new(input.blob()?.to_vec());
        secrets.0.entry(name).or_default().push(value);
    }
    let mut settings = Settings::new();
    for _ in 0..input.u32()? {
        let name = input.name()?.to_owned();
        let value = std::str::from_utf8(input.blob()?).map_err(|_| Malformed::Value("setting"))?;
        settings.insert(name, value.to_owned());
    }
    Ok(IntakeConnection {
        id,
        connector,
        secrets,
        settings,
        minimum_lock_days,
    })
}

fn encode_limits(out: &mut Writer, limits: &Limits) {
    let sizes = [
        limits.body_bytes,
        limits.head_bytes,
        limits.in_flight_bytes,
        limits.intake_connections,
        limits.vault_connections,
    ];
    for size in sizes {
        out.u64(u64::try_from(size).unwrap_or(u64::MAX));
    }
    let times = [
        limits.head_timeout,
        limits.request_timeout,
        limits.idle_timeout,
        limits.stop_timeout,
    ];
    for time in times {
        out.u64(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    }
}

fn decode_limits(input: &mut Reader<'_>) -> Result<Limits, Malformed> {
    let size = |input: &mut Reader<'_>| Ok(usize::try_from(input.u64()?).unwrap_or(usize::MAX));
    let time = |input: &mut Reader<'_>| Ok(Duration::from_millis(input.u64()?));
    Ok(Limits {
        body_bytes: size(input)?,
        head_bytes: size(input)?,
        in_flight_bytes: size(input)?,
        intake_connections: size(input)?,
        vault_connections: size(input)?,
        head_timeout: time(input)?,
        request_timeout: time(input)?,
        idle_timeout: time(input)?,
        stop_timeout: time(input)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn configuration() -> IntakeConfiguration {
        let mut secrets = Secrets::default();
        let values = [b"one".to_vec(), b"two".to_vec()].map(Zeroizing::new);
        secrets.0.insert("app-secret".into(), values.into());
        IntakeConfiguration {
            epoch: EpochPublic {
                zone: "us".parse().unwrap(),
                epoch: 7,
                point: [4; 65],
            },
            connections: vec![IntakeConnection {
                id: "ward-3".parse().unwrap(),
                connector: "whatsapp-cloud".into(),
                secrets,
                settings: [("graph-version".to_owned(), "v23.0".to_owned())].into(),
                minimum_lock_days: 2190,
            }],
        }
    }

    #[test]
    fn a_configuration_reads_back_and_cut_anywhere_it_is_refused() {
        let limits = Limits::default();
        let frame = ToIntake::Configuration(Box::new((configuration(), limits.clone()))).encode();
        let whole = read_frame(&mut frame.as_slice(), CONFIGURATION_BYTES)
            .unwrap()
            .unwrap();
        let Ok(ToIntake::Configuration(both)) = ToIntake::decode(&whole) else {
            panic!("not a configuration");
        };
        let (read, read_limits) = *both;
        assert_eq!(read_limits, limits);
        assert_eq!(read.epoch, configuration().epoch);
        let (read, given) = (&read.connections[0], &configuration().connections[0]);
        assert_eq!(read.secrets.0, given.secrets.0);
        assert_eq!((&read.id, &read.settings), (&given.id, &given.settings));
        for end in 0..whole.len() {
            assert!(ToIntake::decode(&whole[..end]).is_err());
        }
    }

    #[test]
    fn a_frame_longer_than_allowed_is_refused_before_any_memory_is_taken_for_it() {
        let mut frame: &[u8] = &[0xff, 0xff, 0xff, 0xff, 1];
        assert!(read_frame(&mut frame, 1 << 20).is_err());
    }

    #[test]
    fn a_frame_that_claims_more_chunks_than_it_holds_is_refused() {
        let frame = framed(CAPTURE, 32, |out| {
            out.u64(1).u32(u32::MAX);
        });
        assert!(ToVault::decode(&frame[4..]).is_err());
    }
}
