//! What is tried with any bytes that claim to be evidence: nothing panics, and what is read writes back the same.

use std::io::Cursor;

use model::entry::Header;
use seal::batch::Batch;
use seal::bundle::{Anchor, VerifyOptions, verify};
use seal::group::{HEAD_BYTES, HeadKind, entries, read_head};
use seal::keyring::{Keyring, Unlock};
use seal::note::{Checkpoint, NoteKey};
use seal::part::read_item;
use seal::segment::{SegmentFoot, SegmentHead, TRAILER_BYTES};
use seal::stamp::{Request, Root, stated};
use seal::succession::{Lineage, Statement};
use seal::witness::{AddCheckpoint, WitnessKey};

/// A segment: its head, its groups, their entries, its footer.
pub fn segment(data: &[u8]) {
    if let Ok((head, length)) = SegmentHead::decode(data) {
        assert_eq!(head.encode(), data[..length]);
        groups(&data[length..]);
    }
    groups(data);
    if let Some(trailer) = data.last_chunk::<TRAILER_BYTES>()
        && let Some(offset) = SegmentFoot::offset(trailer)
        && let Some(foot) = usize::try_from(offset).ok().and_then(|offset| data.get(offset..))
    {
        let _ = SegmentFoot::decode(foot, offset);
    }
}

fn groups(mut rest: &[u8]) {
    while let Some((head, after)) = rest.split_first_chunk::<HEAD_BYTES>() {
        let HeadKind::Group(head) = read_head(head) else {
            return;
        };
        let Some((payload, after)) = after.split_at_checked(head.payload_bytes) else {
            return;
        };
        // Entries are looked at whether or not the checksum holds: it keeps nobody from writing one.
        let _ = head.matches(payload);
        for entry in entries(payload, head.count).unwrap_or_default() {
            header(entry.header);
            item(entry.body);
        }
        rest = after;
    }
}

/// The header of an entry.
pub fn header(data: &[u8]) {
    if let Ok(header) = Header::decode(data) {
        assert_eq!(header.encode(), data);
    }
}

/// Items of a part.
pub fn item(data: &[u8]) {
    let mut rest = data;
    for index in 0..64 {
        let Ok((item, after)) = read_item(rest, index) else {
            return;
        };
        assert!(item.frame.len() + after.len() == rest.len());
        rest = after;
    }
}

/// A time-stamp token or an answer with one; the roots are those of the sample.
pub fn stamp(data: &[u8]) {
    const ROOT: &str = include_str!("../../crates/seal/fixtures/v1/stamp-root.pem");
    let (imprint, roots) = ([7; 32], Root::all(ROOT).unwrap_or_default());
    let _ = stated(data, &imprint);
    assert!(seal::stamp::verify(data, &imprint, &roots).is_err());
    assert!(Request::new(imprint, [1; 8]).accept(data, &roots).is_err());
}

/// Leaves and heads of the log: batches, checkpoints, keys, anchors, statements of succession, what witnesses are asked.
pub fn log(data: &[u8]) {
    if let Ok(batch) = Batch::decode(data) {
        assert_eq!(batch.encode(), data);
    }
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let _ = Checkpoint::open(text, None);
    if let Ok(key) = WitnessKey::decode(text) {
        assert_eq!(key.encode(), text.trim_end_matches('\n'));
    }
    if let Ok(request) = AddCheckpoint::decode(text) {
        assert_eq!(request.encode(), text);
    }
    let _ = Statement::open(text);
    if let Some(anchor) = Anchor::parse(text) {
        assert_eq!(anchor.line(), text);
        let key = NoteKey {
            name: "chancery/us/0a1b2c3d".to_owned(),
            public: [1; 32],
        };
        if let (Ok(zone), Ok(lineage)) = ("us".parse(), Lineage::new(key, [])) {
            let _ = anchor.read(&zone, &lineage);
        }
        let _ = anchor.prove(&[], &[]);
    }
    if let Ok(key) = NoteKey::decode(text) {
        assert_eq!(key.encode(), text.trim_end_matches('\n'));
        let _ = Checkpoint::open(text, Some(&key));
    }
}

/// A key ring. A key file, because stretching a passphrase would leave time for little else.
pub fn keyring(data: &[u8]) {
    let _ = Keyring::open(data, &Unlock::KeyFile(&[7; 32]));
}

/// A bundle.
pub fn bundle(data: &[u8]) {
    let _ = verify(&mut Cursor::new(data), VerifyOptions::default());
}
