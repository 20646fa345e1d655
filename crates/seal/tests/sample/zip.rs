//! The zip of a bundle, taken apart and put together by somebody who holds no key.

use seal::note::sign_note;
use seal::suite::{hex, sha256};

use crate::sample::Sample;

/// Name and content of each member, in order.
#[derive(Clone, Debug)]
pub struct Members(pub Vec<(String, Vec<u8>)>);

/// A frame: type and payload.
pub type Frame = (u8, Vec<u8>);

fn large(name: &str) -> bool {
    name == "evidence" || name == "messages.jsonl"
}

fn little(bytes: &[u8], at: usize, count: usize) -> usize {
    bytes[at..at + count]
        .iter()
        .rev()
        .fold(0, |value, byte| value << 8 | usize::from(*byte))
}

impl Members {
    pub fn of(bundle: &[u8]) -> Members {
        let (mut members, mut at) = (Vec::new(), 0);
        while bundle[at..].starts_with(b"PK\x03\x04") {
            let (name_bytes, extra) = (little(bundle, at + 26, 2), little(bundle, at + 28, 2));
            let name = String::from_utf8(bundle[at + 30..at + 30 + name_bytes].to_vec()).unwrap();
            let from = at + 30 + name_bytes + extra;
            let size = match extra {
                0 => little(bundle, at + 18, 4),
                _ => little(bundle, from - 8, 8),
            };
            members.push((name, bundle[from..from + size].to_vec()));
            at = from + size;
        }
        Members(members)
    }

    pub fn content(&mut self, name: &str) -> &mut Vec<u8> {
        let found = self.0.iter_mut().find(|(of, _)| of == name);
        &mut found.unwrap().1
    }

    pub fn pack(&self) -> Vec<u8> {
        let (mut file, mut central) = (Vec::new(), Vec::new());
        for (name, content) in &self.0 {
            let (offset, large) = (file.len() as u32, large(name));
            let version = if large { [45u8, 0] } else { [20, 0] };
            let crc = crc32fast::hash(content).to_le_bytes();
            let size = content.len() as u32;
            let middle = [&version[..], &[0, 0, 0, 0, 0, 0, 0x21, 0], &crc].concat();
            file.extend([b"PK\x03\x04", &middle[..]].concat());
            let stated = if large { u32::MAX } else { size }.to_le_bytes();
            let extra = if large { 20u16 } else { 0 }.to_le_bytes();
            let length = (name.len() as u16).to_le_bytes();
            file.extend([&stated[..], &stated, &length, &extra, name.as_bytes()].concat());
            if large {
                let size = u64::from(size).to_le_bytes();
                file.extend([&[1, 0, 16, 0][..], &size, &size].concat());
            }
            file.extend(content);
            let (size, offset) = (size.to_le_bytes(), offset.to_le_bytes());
            central.extend([b"PK\x01\x02", &[45, 0][..], &middle, &size, &size, &length].concat());
            central.extend([&[0; 12][..], &offset, name.as_bytes()].concat());
        }
        let count = (self.0.len() as u16).to_le_bytes();
        let (bytes, offset) = (
            (central.len() as u32).to_le_bytes(),
            (file.len() as u32).to_le_bytes(),
        );
        file.extend(central);
        file.extend(
            [
                b"PK\x05\x06",
                &[0; 4][..],
                &count,
                &count,
                &bytes,
                &offset,
                &[0; 2],
            ]
            .concat(),
        );
        file
    }

    pub fn frames(&mut self) -> Vec<Frame> {
        let mut rest = self.content("evidence").as_slice();
        let mut frames = Vec::new();
        while let [kind, a, b, c, d, after @ ..] = rest {
            let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
            frames.push((*kind, after[..length].to_vec()));
            rest = &after[length..];
        }
        frames
    }

    pub fn set_frames(&mut self, frames: &[Frame]) {
        let bytes =
            |(kind, payload): &Frame| [&[*kind][..], &(payload.len() as u32).to_be_bytes(), payload].concat();
        *self.content("evidence") = frames.iter().flat_map(bytes).collect();
    }

    /// Signs the manifest anew over what the members hold now: what an insider with the zone's key could do.
    pub fn sign_anew(&mut self, sample: &Sample, edit: impl FnOnce(&mut String)) {
        let note = String::from_utf8(self.content("manifest").clone()).unwrap();
        let mut text = note.split_once("\n\n").unwrap().0.to_owned();
        for (name, content) in self.0.clone() {
            let of = |field: &str, until: &str, text: &str| {
                let from = text.find(field).unwrap() + field.len();
                (from, from + text[from..].find(until).unwrap())
            };
            if name == "evidence" {
                let (from, to) = of("\"evidence\":{\"bytes\":", ",\"digest\"", &text);
                let crc = crc32fast::hash(&content);
                text.replace_range(from..to, &format!("{},\"crc32\":\"{crc:08x}\"", content.len()));
            } else if name != "manifest" {
                let (from, to) = of(&format!("{{\"name\":\"{name}\",\"bytes\":"), "}", &text);
                let facts = format!("{},\"sha256\":\"{}\"", content.len(), hex(&sha256(&content)));
                text.replace_range(from..to, &facts);
            }
        }
        edit(&mut text);
        let signed = sign_note(&format!("{text}\n"), &sample.signing, &sample.key.name);
        *self.content("manifest") = signed.into_bytes();
    }
}
