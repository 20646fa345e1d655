//! What comes in through any door can be read nowhere but in answers to those who may ask.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde_json::Value;

use crate::graph::{File, Graph, image_message};
use crate::hooks::{self, APP_SECRET, VERIFY_TOKEN, body_of};
use crate::run::{PASSPHRASE, Place, Serving};

const PATIENCE: Duration = Duration::from_secs(30);
const TOKEN: &str = "EAAcanarytokenQ7";
const PICTURE: &str = "canarypicturebytes81";

/// What must be readable nowhere.
const CANARIES: &[&str] = &[
    APP_SECRET,
    VERIFY_TOKEN,
    TOKEN,
    PASSPHRASE,
    PICTURE,
    "canarymediaid5512",
    "canarycaption22",
    "canarywebhooktext1",
    "wamid.canaryid77",
    "4915177700042",
    "canaryprofilename",
    "canaryforgedtext9",
    "canarytxtline31",
    "canarytxtsender",
    "canarytxttitle",
    "canaryzipline64",
    "canaryzipsender",
    "canaryattachment12.jpg",
    "canaryattachmentbytes",
    "canarycustodian",
    "canarysearchterm",
];

/// The ways in which a text may lie in a file: itself, in other alphabets, in two bytes a character.
fn forms(canary: &str) -> Vec<Vec<u8>> {
    let bytes = canary.as_bytes();
    let mut forms = vec![bytes.to_vec()];
    let hex = seal::suite::hex(bytes);
    forms.extend([hex.to_uppercase().into_bytes(), hex.into_bytes()]);
    forms.push(bytes.iter().flat_map(|byte| [*byte, 0]).collect());
    for skipped in 0..3 {
        // Base64 of a text inside another depends on where it begins; its first and last characters on the neighbours.
        let padded = [&[b' '; 3][..skipped], bytes].concat();
        for engine in [STANDARD, URL_SAFE] {
            let encoded = engine.encode(&padded);
            let whole = encoded.trim_end_matches('=').as_bytes();
            forms.push(whole[(skipped * 4).div_ceil(3)..whole.len() - 1].to_vec());
        }
    }
    forms
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else if path.is_file() {
            found.push(path);
        }
    }
    found
}

/// No canary in any form stands in these bytes.
fn nothing_readable(place: &str, bytes: &[u8]) {
    if let Some((canary, at)) = canary_in(bytes) {
        panic!("{canary} stands in {place} at {at}");
    }
}

/// The first canary in these bytes, and where.
fn canary_in(bytes: &[u8]) -> Option<(&'static str, usize)> {
    // Most of a data folder is random or zero: only places with the first two bytes of a form are looked at closer.
    let mut by_begin: BTreeMap<[u8; 2], Vec<(&'static str, Vec<u8>)>> = BTreeMap::new();
    for canary in CANARIES {
        for form in forms(canary) {
            by_begin
                .entry([form[0], form[1]])
                .or_default()
                .push((canary, form));
        }
    }
    let mut begins = vec![false; 1 << 16];
    for begin in by_begin.keys() {
        begins[usize::from(u16::from_be_bytes(*begin))] = true;
    }
    for (at, pair) in bytes.windows(2).enumerate() {
        if begins[usize::from(pair[0]) << 8 | usize::from(pair[1])] {
            for (canary, form) in &by_begin[&[pair[0], pair[1]]] {
                if bytes[at..].starts_with(form) {
                    return Some((canary, at));
                }
            }
        }
    }
    None
}

fn nothing_readable_in_the_data_folder(place: &Place) {
    let mut looked = 0;
    for path in files_below(&place.path("archive")) {
        nothing_readable(&path.to_string_lossy(), path.to_string_lossy().as_bytes());
        nothing_readable(&path.to_string_lossy(), &std::fs::read(&path).unwrap());
        looked += 1;
    }
    assert!(looked > 8);
}

/// A zip archive with stored members.
fn zip(members: &[(&str, &[u8])]) -> Vec<u8> {
    let crc = |bytes: &[u8]| {
        !bytes.iter().fold(!0u32, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
                (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg())
            })
        })
    };
    let (mut archive, mut directory) = (Vec::new(), Vec::new());
    for (name, bytes) in members {
        let length = (bytes.len() as u32).to_le_bytes();
        let mut fields = vec![20, 0, 0, 8, 0, 0, 0, 0, 0x21, 0x58];
        fields.extend(crc(bytes).to_le_bytes());
        fields.extend([length, length].concat());
        fields.extend((name.len() as u16).to_le_bytes());
        fields.extend([0, 0]);
        directory.extend(b"PK\x01\x02\x14\x00");
        directory.extend(&fields);
        directory.extend([0; 10]);
        directory.extend((archive.len() as u32).to_le_bytes());
        directory.extend(name.as_bytes());
        archive.extend(b"PK\x03\x04");
        archive.extend(&fields);
        archive.extend(name.as_bytes());
        archive.extend(*bytes);
    }
    let (at, count) = (
        (archive.len() as u32).to_le_bytes(),
        (members.len() as u16).to_le_bytes(),
    );
    archive.extend(&directory);
    archive.extend(b"PK\x05\x06\0\0\0\0");
    archive.extend([count, count].concat());
    archive.extend((directory.len() as u32).to_le_bytes());
    archive.extend(at);
    archive.extend([0, 0]);
    archive
}

fn search(place: &Place, query: &str) -> Value {
    place
        .bare(&["search", query, "--data", "archive", "--json"])
        .json()
}

/// Webhooks: a message, one with a picture, one that nobody signed.
fn deliver_webhooks(place: &Place, serving: &Serving) {
    let text = hooks::text_message("wamid.canaryid77", "4915177700042", "canarywebhooktext1");
    let contacts =
        r#""contacts":[{"profile":{"name":"canaryprofilename"},"wa_id":"4915177700042"}],"messages""#;
    let body = body_of(&[text]).replace(r#""messages":"#, &format!("{contacts}:"));
    assert_eq!(hooks::deliver(serving.address, body.as_bytes()).unwrap(), 200);
    let picture = image_message("wamid.other", "canarymediaid5512", PICTURE.as_bytes());
    let picture = picture.replace("picture canarymediaid5512", "canarycaption22");
    assert_eq!(
        hooks::deliver(serving.address, body_of(&[picture]).as_bytes()).unwrap(),
        200
    );
    let forged = body_of(&[hooks::text_message("wamid.no", "1", "canaryforgedtext9")]);
    assert_eq!(
        hooks::deliver_signed(serving.address, forged.as_bytes(), &"0".repeat(64)).unwrap(),
        401
    );
    let begun = Instant::now();
    let id = search(place, "canarycaption22")["results"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let shown = || place.bare(&["show", &id, "--data", "archive", "--json"]).json();
    while shown()["files"][0]["state"] != "fetched" {
        assert!(begun.elapsed() < PATIENCE);
    }
}

fn import_exports(place: &Place) {
    let txt =
        "31/01/2024, 10:21 - canarytxtsender: canarytxtline31\n31/01/2024, 10:22 - canarycustodian: yes\n";
    place.write("WhatsApp Chat with canarytxttitle.txt", txt);
    let chat = "31/01/2024, 10:21 - canaryzipsender: canaryzipline64\n\
                31/01/2024, 10:22 - canaryzipsender: canaryattachment12.jpg (file attached)\n";
    let bytes = b"\xff\xd8\xff\xe0 canaryattachmentbytes";
    let members: [(&str, &[u8]); 2] = [
        ("WhatsApp Chat with canaryzipsender.txt", chat.as_bytes()),
        ("canaryattachment12.jpg", bytes),
    ];
    place.write("WhatsApp Chat with canaryzipsender.zip", zip(&members));
    let ran = place.bare(&[
        "import",
        "whatsapp-export",
        "WhatsApp Chat with canarytxttitle.txt",
        "WhatsApp Chat with canaryzipsender.zip",
        "--custodian",
        "canarycustodian",
        "--data",
        "archive",
        "--json",
    ]);
    assert_eq!(ran.json()["captured"], 2, "{}", ran.out);
    nothing_readable(
        "what import says",
        ran.out.replace("canarytxttitle", "").as_bytes(),
    );
}

#[test]
fn canaries_sent_through_each_door_are_found_by_search_and_nowhere_else() {
    let place = Place::with_archive();
    let files = BTreeMap::from([("canarymediaid5512".to_owned(), File::Bytes(PICTURE.into()))]);
    let graph = Graph::start(TOKEN, files);
    place.secret("access.txt", TOKEN);
    let secret = ["--secret", "access-token=access.txt"];
    hooks::connect(&place, &[&secret[..], &["--setting", &graph.setting()]].concat());
    let serving = place.serve();
    deliver_webhooks(&place, &serving);
    import_exports(&place);
    assert_eq!(search(&place, "canarysearchterm")["found"], 0);
    for (query, count) in [
        ("canarywebhooktext1", 1),
        ("from:4915177700042", 1),
        ("from:canaryprofilename", 1),
        ("canarycaption22", 1),
        ("canarytxtline31", 1),
        ("in:canarytxttitle", 2),
        ("from:canarycustodian", 1),
        ("canaryzipline64", 1),
        ("canaryattachment12.jpg", 1),
        ("canaryforgedtext9", 0),
    ] {
        assert_eq!(search(&place, query)["found"], count, "{query}");
    }
    for path in [
        "/",
        "/api/v1/status",
        "/canarysearchterm",
        "/in/ward-3?hub.verify_token=canarysearchterm",
    ] {
        nothing_readable(path, hooks::get(serving.address, path).unwrap().as_bytes());
    }
    nothing_readable_in_the_data_folder(&place);
    let (code, said) = serving.stop_and_hear();
    assert_eq!(code, Some(0));
    nothing_readable("what serve says", said.as_bytes());
    nothing_readable(
        "what serve logs",
        &std::fs::read(place.path("serve.err")).unwrap(),
    );
    nothing_readable_in_the_data_folder(&place);
    place.on(&["rebuild"]).done();
    nothing_readable_in_the_data_folder(&place);
}

#[test]
fn the_search_for_canaries_finds_each_form() {
    let found = |bytes: &[u8]| canary_in(bytes).is_some();
    let encoded = |text: &str| STANDARD.encode(text).into_bytes();
    assert!(found(b"..canarytxtline31.."));
    assert!(found(seal::suite::hex(b"canarytxtline31").as_bytes()));
    for before in ["", "a", "ab", "abc"] {
        assert!(
            found(&encoded(&format!("{before}canarytxtline31 and more"))),
            "{before}"
        );
    }
    assert!(!found(b"canarytxtline3"));
}
