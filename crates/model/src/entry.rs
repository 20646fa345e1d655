//! Entries of the ledger: the header that every entry has, and what each kind adds.
//!
//! *Shape.* An entry is a header in canonical bytes and a body. All but the body of a gap is ciphertext. Every
//! header opens with format, kind, suite, zone, position and the time it was recorded; then come the fields of its
//! kind. `docs/spec/evidence-format.md`, section "Entries", is the normative text.

use crate::bytes::{Malformed, Reader, Writer};
use crate::{CaptureId, ConnectionId, KeyId, MessageId, Position, Timestamp, ZoneId};

/// The only entry format there is.
pub const FORMAT: u16 = 1;

/// AES-256-GCM, SHA-256, ECDH over P-256, HKDF, AES-KWP, Ed25519. Other numbers are kept for SM2/3/4 and ML-DSA.
pub const SUITE: u8 = 1;

/// A data key wrapped by AES-KWP (RFC 5649): 32 bytes become 40.
pub const WRAPPED_KEY_BYTES: usize = 40;

/// An uncompressed P-256 point (SEC 1).
pub const POINT_BYTES: usize = 65;

/// First byte of such a point.
const UNCOMPRESSED: u8 = 4;

/// The header of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Whose ledger.
    pub zone: ZoneId,
    /// Where in it.
    pub position: Position,
    /// When the vault committed it, by its own clock.
    pub recorded_at: Timestamp,
    /// What it is.
    pub kind: Kind,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A chunk of a capture.
    Chunk(Chunk),
    /// Ranges of a mixed capture that concern one author and conversation.
    Part(Part),
    /// The data key of a capture, wrapped to the secrets of whom it concerns.
    Wrap(Wrap),
    /// Something a person or the program did.
    Act(Act),
    /// A stretch in which capture is known or suspected to be incomplete.
    Gap(Gap),
    /// Secrets destroyed.
    Destruction(Destruction),
    /// A chunk of what was fetched from outside because of a message.
    Outside(Outside),
}

impl Kind {
    const fn code(&self) -> u8 {
        match self {
            Kind::Chunk(_) => 1,
            Kind::Part(_) => 2,
            Kind::Wrap(_) => 3,
            Kind::Act(_) => 4,
            Kind::Gap(_) => 5,
            Kind::Destruction(_) => 6,
            Kind::Outside(_) => 7,
        }
    }

    /// Name for people and reports.
    pub const fn name(&self) -> &'static str {
        match self {
            Kind::Chunk(_) => "capture",
            Kind::Part(_) => "part",
            Kind::Wrap(_) => "wrap",
            Kind::Act(_) => "act",
            Kind::Gap(_) => "gap",
            Kind::Destruction(_) => "destruction",
            Kind::Outside(_) => "outside-result",
        }
    }
}

/// How a capture was sealed by a process that holds only a public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealing {
    /// Names the capture in the associated data of all its chunks.
    pub capture: CaptureId,
    /// Place of this chunk, from 0.
    pub chunk: u32,
    /// Whether it is the last.
    pub last: bool,
    /// Number of the intake epoch.
    pub epoch: u32,
    /// The sealing process' ephemeral public key of that second.
    pub encapsulation: [u8; POINT_BYTES],
    /// The data key, wrapped under the encapsulated key.
    pub wrapped_key: [u8; WRAPPED_KEY_BYTES],
    /// Commitment to the data key.
    pub commitment: [u8; 32],
}

/// Where a capture came from, as far as the intake can know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// Which account.
    pub connection: ConnectionId,
    /// Connector id.
    pub connector: String,
    /// Connector version.
    pub connector_version: u32,
    /// When the first byte was complete, by the intake's clock.
    pub received_at: Timestamp,
    /// How it was proved: 0 not at all, 1 a signature over the raw bytes.
    pub verdict: u8,
    /// Which configured secret matched, from 0.
    pub secret: u8,
    /// Days before which nobody may destroy it; 0 for none.
    pub minimum_lock_days: u32,
}

/// A chunk of a capture. Body: ciphertext of at most 1 MiB and a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Where it came from.
    pub origin: Origin,
    /// How it was sealed.
    pub sealing: Sealing,
}

/// A chunk of a file or answer fetched because of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outside {
    /// Where it came from.
    pub origin: Origin,
    /// How it was sealed.
    pub sealing: Sealing,
    /// The message that named it.
    pub cause: MessageId,
    /// Place among the files of that message, from 0.
    pub file: u16,
    /// 1 as declared, 2 not what was declared, 3 expired, 4 refused (no bytes then).
    pub state: u8,
}

/// Ranges of a mixed capture. Body: `item_count` items, bound by `items_root`, so that the leaf of a part covers
/// its header alone and one item can be shown without the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// First chunk of the capture.
    pub source: Position,
    /// Place among the parts of that capture, from 0.
    pub part: u32,
    /// Whether it is the last; a set without its last part has no effect.
    pub last: bool,
    /// Secrets under whose joint derivation the part key is wrapped, ascending.
    pub keys: Vec<KeyId>,
    /// The part key, wrapped.
    pub wrapped_key: [u8; WRAPPED_KEY_BYTES],
    /// Commitment to the part key.
    pub commitment: [u8; 32],
    /// How many items.
    pub item_count: u32,
    /// RFC 6962 root over the items as they stand in the body.
    pub items_root: [u8; 32],
}

/// A capture's data key, wrapped to the secrets of whom it concerns. Empty body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrap {
    /// First chunk of the capture.
    pub source: Position,
    /// Whether the capture is mixed: parts stand for it once one of the keys is gone.
    pub mixed: bool,
    /// Secrets under whose joint derivation the data key is wrapped, ascending.
    pub keys: Vec<KeyId>,
    /// The data key, wrapped.
    pub wrapped_key: [u8; WRAPPED_KEY_BYTES],
}

/// Something done. Body: sealed JSON, so that names and queries die with their secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Act {
    /// What was done.
    pub code: ActCode,
    /// The secret under which the body is sealed.
    pub key: KeyId,
    /// Random; the body's key is derived from the secret and this.
    pub salt: [u8; 16],
    /// Commitment to the body's key.
    pub commitment: [u8; 32],
}

/// What was done. Never renumbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
#[expect(
    missing_docs,
    reason = "the names are the definition; the specification lists them"
)]
pub enum ActCode {
    ZoneCreated = 1,
    ConnectionAdded = 2,
    ConnectionChanged = 3,
    UserAdded = 4,
    Imported = 5,
    Searched = 6,
    Shown = 7,
    Exported = 8,
    CheckpointHandedOut = 9,
    EpochBegun = 10,
    Rebuilt = 11,
    Started = 12,
    KeysListed = 13,
    ConnectionListed = 14,
    ImportBegun = 15,
    HoldPlaced = 16,
    HoldLifted = 17,
    DestructionRequested = 18,
    DestructionApproved = 19,
    DestructionDeclined = 20,
    Anchored = 21,
    SigningKeyChanged = 22,
    Escrowed = 23,
    BackedUp = 24,
    Restored = 25,
    Scrubbed = 26,
    Drilled = 27,
    SettingChanged = 28,
    UserChanged = 29,
    ReconcileBegun = 30,
    Reconciled = 31,
    GapDetailed = 40,
    GapClosed = 41,
    CustodiansImported = 42,
    CustodianChanged = 43,
    CompletenessStated = 44,
    AlarmChanged = 45,
    CanaryChanged = 46,
    ConsentDecided = 49,
}

impl ActCode {
    /// All of them, by number.
    pub const ALL: &[ActCode] = &[
        ActCode::ZoneCreated,
        ActCode::ConnectionAdded,
        ActCode::ConnectionChanged,
        ActCode::UserAdded,
        ActCode::Imported,
        ActCode::Searched,
        ActCode::Shown,
        ActCode::Exported,
        ActCode::CheckpointHandedOut,
        ActCode::EpochBegun,
        ActCode::Rebuilt,
        ActCode::Started,
        ActCode::KeysListed,
        ActCode::ConnectionListed,
        ActCode::ImportBegun,
        ActCode::HoldPlaced,
        ActCode::HoldLifted,
        ActCode::DestructionRequested,
        ActCode::DestructionApproved,
        ActCode::DestructionDeclined,
        ActCode::Anchored,
        ActCode::SigningKeyChanged,
        ActCode::Escrowed,
        ActCode::BackedUp,
        ActCode::Restored,
        ActCode::Scrubbed,
        ActCode::Drilled,
        ActCode::SettingChanged,
        ActCode::UserChanged,
        ActCode::ReconcileBegun,
        ActCode::Reconciled,
        ActCode::GapDetailed,
        ActCode::GapClosed,
        ActCode::CustodiansImported,
        ActCode::CustodianChanged,
        ActCode::CompletenessStated,
        ActCode::AlarmChanged,
        ActCode::CanaryChanged,
        ActCode::ConsentDecided,
    ];
}

/// A stretch in which capture is known or suspected to be incomplete. Empty body: nothing in it is secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// Which connection, or none when the whole ledger is concerned.
    pub connection: Option<ConnectionId>,
    /// From.
    pub from: Timestamp,
    /// To.
    pub to: Timestamp,
    /// Why.
    pub cause: GapCause,
    /// How many bytes, messages or files, as the cause says; 0 where it is not known.
    pub count: u64,
}

/// Why capture is incomplete. Never renumbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum GapCause {
    /// The last commit group was torn by a crash and cut off; `count` bytes were set aside. None was acknowledged.
    TornGroup = 1,
    /// The process did not run.
    NotRunning = 2,
    /// A file named by a message could not be had; `count` is 1.
    MediaLost = 3,
    /// Key-store entries are missing for `count` captures.
    KeyMissing = 4,
    /// An export begins in mid-chat.
    PossiblyCut = 5,
    /// The platform or the user ended the connection.
    ConnectionEnded = 6,
    /// Put back from a copy that was older than what was lost; `count` entries are known to be missing, 0 if unknown.
    Restored = 7,
    /// A sequence that the source counts has a hole; `count` numbers are missing.
    SequenceHole = 10,
    /// `count` messages are not here at which a status, reply, edit, reaction or revocation points.
    PointedAt = 11,
    /// `count` messages came encrypted and could not be decrypted.
    Undecrypted = 12,
    /// `count` deliveries were turned away because they could not be kept.
    Refused = 13,
    /// Nothing came for much longer than is usual for the connection.
    Silent = 14,
    /// A message that the connection is expected to bring every so often did not come.
    CanaryMissed = 15,
}

impl GapCause {
    /// All of them, by number.
    pub const ALL: &[GapCause] = &[
        GapCause::TornGroup,
        GapCause::NotRunning,
        GapCause::MediaLost,
        GapCause::KeyMissing,
        GapCause::PossiblyCut,
        GapCause::ConnectionEnded,
        GapCause::Restored,
        GapCause::SequenceHole,
        GapCause::PointedAt,
        GapCause::Undecrypted,
        GapCause::Refused,
        GapCause::Silent,
        GapCause::CanaryMissed,
    ];

    /// Name for people and reports.
    pub const fn name(self) -> &'static str {
        match self {
            GapCause::TornGroup => "torn-group",
            GapCause::NotRunning => "not-running",
            GapCause::MediaLost => "media-lost",
            GapCause::KeyMissing => "key-missing",
            GapCause::PossiblyCut => "possibly-cut",
            GapCause::ConnectionEnded => "connection-ended",
            GapCause::Restored => "restored",
            GapCause::SequenceHole => "sequence-hole",
            GapCause::PointedAt => "pointed-at",
            GapCause::Undecrypted => "undecrypted",
            GapCause::Refused => "refused",
            GapCause::Silent => "silent",
            GapCause::CanaryMissed => "canary-missed",
        }
    }
}

/// Secrets destroyed. Body: sealed JSON with reason and people, or empty for what the program does by rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Destruction {
    /// 1 an intake epoch whose captures all have wraps or parts; 2 ordered by people; 3 a secret that stood in for owners not
    /// known yet, all of whose captures have newer wraps or parts; 4 a secret under which was sealed what somebody said without
    /// the consent that the zone asks for.
    pub reason: u16,
    /// What was destroyed.
    pub keys: Vec<KeyId>,
    /// The secret under which the body is sealed, or [`KeyId::NONE`].
    pub key: KeyId,
    /// As in [`Act`].
    pub salt: [u8; 16],
    /// As in [`Act`].
    pub commitment: [u8; 32],
}

/// At most this many secrets are joined in one wrap; a capture that concerns more has parts only.
pub const WRAP_KEYS_MAX: usize = 4096;

impl Header {
    /// The canonical bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::with_capacity(320);
        out.u16(FORMAT)
            .u8(self.kind.code())
            .u8(SUITE)
            .name(self.zone.as_str());
        out.u64(self.position.0).i64(self.recorded_at.as_micros());
        match &self.kind {
            Kind::Chunk(chunk) => {
                encode_origin(&mut out, &chunk.origin);
                encode_sealing(&mut out, &chunk.sealing);
            }
            Kind::Outside(outside) => {
                encode_origin(&mut out, &outside.origin);
                encode_sealing(&mut out, &outside.sealing);
                out.u64(outside.cause.capture.0)
                    .u32(outside.cause.ordinal)
                    .u16(outside.file)
                    .u8(outside.state);
            }
            Kind::Part(part) => {
                out.u64(part.source.0).u32(part.part).u8(u8::from(part.last));
                encode_keys(&mut out, &part.keys);
                out.raw(&part.wrapped_key)
                    .raw(&part.commitment)
                    .u32(part.item_count)
                    .raw(&part.items_root);
            }
            Kind::Wrap(wrap) => {
                out.u64(wrap.source.0).u8(u8::from(wrap.mixed));
                encode_keys(&mut out, &wrap.keys);
                out.raw(&wrap.wrapped_key);
            }
            Kind::Act(act) => {
                out.u16(act.code as u16)
                    .raw(&act.key.0)
                    .raw(&act.salt)
                    .raw(&act.commitment);
            }
            Kind::Gap(gap) => {
                out.name(gap.connection.as_ref().map_or("", ConnectionId::as_str));
                out.i64(gap.from.as_micros())
                    .i64(gap.to.as_micros())
                    .u16(gap.cause as u16)
                    .u64(gap.count);
            }
            Kind::Destruction(destruction) => {
                out.u16(destruction.reason);
                encode_keys(&mut out, &destruction.keys);
                out.raw(&destruction.key.0)
                    .raw(&destruction.salt)
                    .raw(&destruction.commitment);
            }
        }
        out.into_bytes()
    }

    /// Reads canonical bytes; anything else, trailing bytes included, is refused.
    ///
    /// # Errors
    /// [`Malformed`], naming what is wrong.
    pub fn decode(bytes: &[u8]) -> Result<Header, Malformed> {
        let mut input = Reader::new(bytes, "entry header");
        let format = input.u16()?;
        if format != FORMAT {
            return Err(Malformed::Format(format));
        }
        let code = input.u8()?;
        if input.u8()? != SUITE {
            return Err(Malformed::Value("suite"));
        }
        let zone = input.name()?.parse().map_err(|_| Malformed::Value("zone"))?;
        let position = Position(input.u64()?);
        let recorded_at = Timestamp::from_micros(input.i64()?);
        let kind = decode_kind(code, &mut input)?;
        input.end()?;
        Ok(Header {
            zone,
            position,
            recorded_at,
            kind,
        })
    }
}

fn decode_kind(code: u8, input: &mut Reader<'_>) -> Result<Kind, Malformed> {
    Ok(match code {
        1 => Kind::Chunk(Chunk {
            origin: decode_origin(input)?,
            sealing: decode_sealing(input)?,
        }),
        2 => Kind::Part(Part {
            source: Position(input.u64()?),
            part: input.u32()?,
            last: decode_flag(input)?,
            keys: decode_keys(input)?,
            wrapped_key: input.array()?,
            commitment: input.array()?,
            item_count: input.u32()?,
            items_root: input.array()?,
        }),
        3 => Kind::Wrap(Wrap {
            source: Position(input.u64()?),
            mixed: decode_flag(input)?,
            keys: decode_keys(input)?,
            wrapped_key: input.array()?,
        }),
        4 => Kind::Act(Act {
            code: by_number(ActCode::ALL, |c| *c as u16, input.u16()?, "act code")?,
            key: KeyId(input.array()?),
            salt: input.array()?,
            commitment: input.array()?,
        }),
        5 => Kind::Gap(decode_gap(input)?),
        6 => Kind::Destruction(Destruction {
            reason: Some(input.u16()?)
                .filter(|reason| (1..=4).contains(reason))
                .ok_or(Malformed::Value("reason of a destruction"))?,
            keys: decode_keys(input)?,
            key: KeyId(input.array()?),
            salt: input.array()?,
            commitment: input.array()?,
        }),
        7 => Kind::Outside(Outside {
            origin: decode_origin(input)?,
            sealing: decode_sealing(input)?,
            cause: MessageId {
                capture: Position(input.u64()?),
                ordinal: input.u32()?,
            },
            file: input.u16()?,
            state: Some(input.u8()?)
                .filter(|state| (1..=4).contains(state))
                .ok_or(Malformed::Value("state of a file"))?,
        }),
        _ => return Err(Malformed::Value("entry kind")),
    })
}

fn decode_gap(input: &mut Reader<'_>) -> Result<Gap, Malformed> {
    let connection = match input.name()? {
        "" => None,
        name => Some(name.parse().map_err(|_| Malformed::Value("connection"))?),
    };
    Ok(Gap {
        connection,
        from: Timestamp::from_micros(input.i64()?),
        to: Timestamp::from_micros(input.i64()?),
        cause: by_number(GapCause::ALL, |c| *c as u16, input.u16()?, "gap cause")?,
        count: input.u64()?,
    })
}

fn by_number<T: Copy>(
    all: &[T],
    number: impl Fn(&T) -> u16,
    wanted: u16,
    what: &'static str,
) -> Result<T, Malformed> {
    all.iter()
        .copied()
        .find(|value| number(value) == wanted)
        .ok_or(Malformed::Value(what))
}

fn encode_origin(out: &mut Writer, origin: &Origin) {
    out.name(origin.connection.as_str())
        .name(&origin.connector)
        .u32(origin.connector_version);
    out.i64(origin.received_at.as_micros())
        .u8(origin.verdict)
        .u8(origin.secret);
    out.u32(origin.minimum_lock_days);
}

fn decode_origin(input: &mut Reader<'_>) -> Result<Origin, Malformed> {
    Ok(Origin {
        connection: input
            .name()?
            .parse()
            .map_err(|_| Malformed::Value("connection"))?,
        connector: Some(input.name()?)
            .filter(|connector| !connector.is_empty())
            .ok_or(Malformed::Value("connector"))?
            .to_owned(),
        connector_version: input.u32()?,
        received_at: Timestamp::from_micros(input.i64()?),
        verdict: Some(input.u8()?)
            .filter(|verdict| *verdict <= 1)
            .ok_or(Malformed::Value("verdict"))?,
        secret: input.u8()?,
        minimum_lock_days: input.u32()?,
    })
}

fn encode_sealing(out: &mut Writer, sealing: &Sealing) {
    out.raw(&sealing.capture.0)
        .u32(sealing.chunk)
        .u8(u8::from(sealing.last))
        .u32(sealing.epoch);
    out.raw(&sealing.encapsulation)
        .raw(&sealing.wrapped_key)
        .raw(&sealing.commitment);
}

/// Bytes of [`Sealing`] in a header.
pub const SEALING_BYTES: usize = 16 + 4 + 1 + 4 + POINT_BYTES + WRAPPED_KEY_BYTES + 32;

/// Reads the sealing alone: for whoever reads many headers that differ in little else.
///
/// # Errors
/// [`Malformed`].
pub fn decode_sealing(input: &mut Reader<'_>) -> Result<Sealing, Malformed> {
    Ok(Sealing {
        capture: CaptureId(input.array()?),
        chunk: input.u32()?,
        last: decode_flag(input)?,
        epoch: input.u32()?,
        encapsulation: Some(input.array()?)
            .filter(|point: &[u8; POINT_BYTES]| point.first() == Some(&UNCOMPRESSED))
            .ok_or(Malformed::Value("point"))?,
        wrapped_key: input.array()?,
        commitment: input.array()?,
    })
}

fn encode_keys(out: &mut Writer, keys: &[KeyId]) {
    out.u16(u16::try_from(keys.len()).unwrap_or(u16::MAX));
    for key in keys {
        out.raw(&key.0);
    }
}

fn decode_keys(input: &mut Reader<'_>) -> Result<Vec<KeyId>, Malformed> {
    let count = usize::from(input.u16()?);
    if count > WRAP_KEYS_MAX {
        return Err(Malformed::Value("number of keys"));
    }
    let keys: Vec<KeyId> = (0..count)
        .map(|_| input.array().map(KeyId))
        .collect::<Result<_, _>>()?;
    let ascending = keys.windows(2).all(|pair| matches!(pair, [a, b] if a < b));
    if ascending {
        Ok(keys)
    } else {
        Err(Malformed::Value("order of keys"))
    }
}

fn decode_flag(input: &mut Reader<'_>) -> Result<bool, Malformed> {
    match input.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Malformed::Value("flag")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn origin() -> Origin {
        Origin {
            connection: "ward-3".parse().unwrap(),
            connector: "whatsapp-cloud".into(),
            connector_version: 1,
            received_at: Timestamp::from_seconds(1_700_000_000),
            verdict: 1,
            secret: 0,
            minimum_lock_days: 2190,
        }
    }

    fn sealing() -> Sealing {
        Sealing {
            capture: CaptureId([7; 16]),
            chunk: 2,
            last: true,
            epoch: 9,
            encapsulation: [4; POINT_BYTES],
            wrapped_key: [5; WRAPPED_KEY_BYTES],
            commitment: [6; 32],
        }
    }

    fn every_kind() -> Vec<Kind> {
        let keys = vec![KeyId([1; 16]), KeyId([2; 16])];
        vec![
            Kind::Chunk(Chunk {
                origin: origin(),
                sealing: sealing(),
            }),
            Kind::Outside(Outside {
                origin: origin(),
                sealing: sealing(),
                cause: MessageId {
                    capture: Position(4),
                    ordinal: 2,
                },
                file: 1,
                state: 2,
            }),
            Kind::Part(Part {
                source: Position(3),
                part: 1,
                last: false,
                keys: keys.clone(),
                wrapped_key: [8; WRAPPED_KEY_BYTES],
                commitment: [9; 32],
                item_count: 5,
                items_root: [3; 32],
            }),
            Kind::Wrap(Wrap {
                source: Position(3),
                mixed: true,
                keys: keys.clone(),
                wrapped_key: [8; WRAPPED_KEY_BYTES],
            }),
            Kind::Act(Act {
                code: ActCode::Searched,
                key: KeyId([1; 16]),
                salt: [2; 16],
                commitment: [3; 32],
            }),
            Kind::Gap(Gap {
                connection: None,
                from: Timestamp::from_seconds(1),
                to: Timestamp::from_seconds(2),
                cause: GapCause::TornGroup,
                count: 77,
            }),
            Kind::Destruction(Destruction {
                reason: 1,
                keys,
                key: KeyId::NONE,
                salt: [0; 16],
                commitment: [0; 32],
            }),
        ]
    }

    fn header(kind: Kind) -> Header {
        Header {
            zone: "us".parse().unwrap(),
            position: Position(41),
            recorded_at: Timestamp::from_seconds(1_700_000_001),
            kind,
        }
    }

    #[test]
    fn every_kind_reads_back_equal() {
        for kind in every_kind() {
            let header = header(kind);
            assert_eq!(Header::decode(&header.encode()), Ok(header));
        }
    }

    #[test]
    fn a_header_cut_anywhere_or_with_a_byte_more_is_refused() {
        for kind in every_kind() {
            let mut bytes = header(kind).encode();
            for end in 0..bytes.len() {
                assert!(Header::decode(&bytes[..end]).is_err());
            }
            bytes.push(0);
            assert!(Header::decode(&bytes).is_err());
        }
    }

    proptest! {
        #[test]
        fn what_can_be_read_is_written_back_to_the_same_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            if let Ok(header) = Header::decode(&bytes) {
                prop_assert_eq!(header.encode(), bytes);
            }
        }

        #[test]
        fn a_changed_byte_is_refused_or_changes_the_header(at in 0usize..200, with in 1u8..) {
            for kind in every_kind() {
                let original = header(kind);
                let mut bytes = original.encode();
                let at = at % bytes.len();
                bytes[at] ^= with;
                if let Ok(changed) = Header::decode(&bytes) {
                    prop_assert_ne!(&changed, &original);
                    prop_assert_eq!(changed.encode(), bytes);
                }
            }
        }
    }
}
