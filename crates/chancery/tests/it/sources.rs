//! Every source there is, as the suites of the whole program use them: how it is connected, and how a genuine message of it comes
//! in by its own door. A new connector is a line in [`SOURCES`], and crash, power and canary run over it.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aws_lc_rs::cipher::{AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use connect::wecom_archive::fake::CompanyKey;
use seal::suite::hex;
use serde_json::json;

use crate::bells;
use crate::hooks;
use crate::peers;
use crate::run::Place;
use crate::wecom;

/// Items that the vendor gives in one answer. The library of the tests reads no longer ones.
const TOGETHER: u64 = 5;
const PATIENCE: Duration = Duration::from_secs(60);
const SIGNING_SECRET: &str = "4f2b9c60d1e8a7350f2b9c60d1e8a735";
/// Seconds of 2025-11-24.
const BEGIN: u64 = 1_763_990_000;

/// A message: its number, counted from 0 in its source, and the first word of its text.
pub struct Said {
    pub number: u64,
    pub marker: String,
}

/// One way by which messages come.
pub struct Source {
    pub connector: &'static str,
    /// Adds its connection, where it needs one.
    pub connect: fn(&Place),
    pub door: Door,
}

/// Posts a message to a server that runs; the status of the answer.
pub type Post = fn(&Place, SocketAddr, &Said) -> io::Result<u16>;

/// How a message comes in.
pub enum Door {
    /// Posted to a server that runs; the status of the answer.
    Posted(Post),
    /// The vendor holds it from now on, until it is pulled. Numbers follow each other.
    Pulled(fn(&Place, &Said)),
    /// Handed in as a file with others; its name and content, where each message has so many characters more.
    Handed(fn(u64, &[Said], usize) -> (String, String)),
}

/// One line a connector.
pub const SOURCES: &[Source] = &[
    Source {
        connector: "whatsapp-cloud",
        connect: connect_cloud,
        door: Door::Posted(post_cloud),
    },
    Source {
        connector: "wechat-callback",
        connect: connect_callback,
        door: Door::Posted(post_callback),
    },
    Source {
        connector: "generic-webhook",
        connect: connect_desk,
        door: Door::Posted(post_desk),
    },
    Source {
        connector: "wecom-archive",
        connect: connect_archive,
        door: Door::Pulled(hold),
    },
    Source {
        connector: "whatsapp-export",
        connect: |_| (),
        door: Door::Handed(export),
    },
    Source {
        connector: "generic-import",
        connect: |_| (),
        door: Door::Handed(json_lines),
    },
];

/// Connects all of them.
pub fn connect(place: &Place) {
    SOURCES.iter().for_each(|source| (source.connect)(place));
}

/// Those whose messages are posted.
pub fn posted() -> Vec<Post> {
    let post = |source: &Source| match source.door {
        Door::Posted(post) => Some(post),
        _ => None,
    };
    SOURCES.iter().filter_map(post).collect()
}

/// Those whose messages are pulled.
pub fn pulled() -> Vec<fn(&Place, &Said)> {
    let hold = |source: &Source| match source.door {
        Door::Pulled(hold) => Some(hold),
        _ => None,
    };
    SOURCES.iter().filter_map(hold).collect()
}

/// What a file is made with.
pub type WriteFile = fn(u64, &[Said], usize) -> (String, String);

/// Those whose messages are handed in, with their connectors.
pub fn handed() -> Vec<(&'static str, WriteFile)> {
    let write = |source: &Source| match source.door {
        Door::Handed(write) => Some((source.connector, write)),
        _ => None,
    };
    SOURCES.iter().filter_map(write).collect()
}

// ---- whatsapp-cloud

fn connect_cloud(place: &Place) {
    hooks::connect(place, &[]);
}

/// One message, or two: of two people some deliveries tell.
fn post_cloud(_: &Place, address: SocketAddr, said: &Said) -> io::Result<u16> {
    let (n, marker) = (said.number, &said.marker);
    let one = |word: &str, sender: u64| {
        let sender = format!("49151{:05}", sender % 10_000);
        hooks::text_message(
            &format!("wamid.{word}"),
            &sender,
            &format!("{word} the rest of it"),
        )
    };
    let mut messages = vec![one(marker, n / 2)];
    if n.is_multiple_of(2) {
        messages.push(one(&format!("also{n}x"), n / 2 + 1));
    }
    hooks::deliver(address, hooks::body_of(&messages).as_bytes())
}

// ---- wechat-callback

fn connect_callback(place: &Place) {
    let vendor = bells::start(place);
    let vendor: Vec<&str> = vendor.iter().map(String::as_str).collect();
    peers::connect(place, peers::KEY, &vendor);
}

/// Of some messages only a bell comes (微信客服): they are asked for.
pub fn is_announced(number: u64) -> bool {
    number % 8 == 1
}

/// Encrypted as the vendor documents: 16 bytes at random, a length, the message, the receiver, whole blocks of 32.
fn post_callback(place: &Place, address: SocketAddr, said: &Said) -> io::Result<u16> {
    let (n, marker) = (said.number, &said.marker);
    let message = if is_announced(n) {
        bells::bell(place, said)
    } else {
        format!(
            "<xml><ToUserName>{corp}</ToUserName><FromUserName>staff{from}</FromUserName>\
             <CreateTime>{time}</CreateTime><MsgType>text</MsgType><Content>{marker} the rest of it</Content>\
             <MsgId>{id}</MsgId><AgentID>7</AgentID></xml>",
            corp = peers::CORP,
            from = n % 50,
            time = BEGIN + n,
            id = 7_000_000 + n,
        )
    };
    // Its last character says no more than four bits; the canonical one of sixteen is taken.
    let key = STANDARD.decode(format!("{}A=", &peers::KEY[..42])).unwrap();
    let size = u32::try_from(message.len()).unwrap().to_be_bytes();
    let head = seal::suite::random::<16>().unwrap();
    let mut bytes = [&head, size.as_slice(), message.as_bytes(), peers::CORP.as_bytes()].concat();
    let padding = 32 - bytes.len() % 32;
    bytes.resize(bytes.len() + padding, u8::try_from(padding).unwrap());
    let iv: [u8; 16] = key[..16].try_into().unwrap();
    let cipher = EncryptingKey::cbc(UnboundCipherKey::new(&AES_256, &key).unwrap()).unwrap();
    let context = EncryptionContext::Iv128(FixedLength::from(iv));
    cipher.less_safe_encrypt(&mut bytes, context).unwrap();
    let encrypted = STANDARD.encode(bytes);
    let (time, nonce) = ((BEGIN + n).to_string(), format!("n{n}"));
    let mut parts = [peers::TOKEN, &time, &nonce, &encrypted];
    parts.sort_unstable();
    let tag = hex(digest(&SHA1_FOR_LEGACY_USE_ONLY, parts.concat().as_bytes()).as_ref());
    let path = format!("/in/app?msg_signature={tag}&timestamp={time}&nonce={nonce}");
    let body = format!(
        "<xml><ToUserName>{}</ToUserName><Encrypt>{encrypted}</Encrypt></xml>",
        peers::CORP
    );
    hooks::post(address, &path, &[("Content-Type", "text/xml")], body.as_bytes())
}

// ---- generic-webhook

fn connect_desk(place: &Place) {
    place.secret("signing.txt", SIGNING_SECRET);
    let add = [
        "connection",
        "add",
        "generic-webhook",
        "desk",
        "--secret",
        "signing-secret=signing.txt",
    ];
    place.on(&add).done();
}

fn generic(said: &Said, filler: usize) -> String {
    let (n, marker) = (said.number, &said.marker);
    let text = format!("{marker} {}", "lorem ipsum ".repeat(filler / 12));
    let sent_at = model::Timestamp::from_seconds(i64::try_from(BEGIN + n).unwrap());
    json!({ "platform_id": format!("g-{marker}"), "conversation": format!("room-{}", n % 7),
        "sender": format!("Ann {}", n % 5), "text": text, "sent_at": sent_at })
    .to_string()
}

fn post_desk(_: &Place, address: SocketAddr, said: &Said) -> io::Result<u16> {
    let body = generic(said, 40);
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
        .to_string();
    let key = hmac::Key::new(hmac::HMAC_SHA256, SIGNING_SECRET.as_bytes());
    let tag = hmac::sign(&key, format!("v1:{now}:{body}").as_bytes());
    let signature = format!("v1={}", hex(tag.as_ref()));
    let headers = [
        ("X-Chancery-Timestamp", now.as_str()),
        ("X-Chancery-Signature", signature.as_str()),
    ];
    hooks::post(address, "/in/desk", &headers, body.as_bytes())
}

// ---- wecom-archive

/// The company's key of version 1.
fn company() -> &'static CompanyKey {
    static KEY: OnceLock<CompanyKey> = OnceLock::new();
    KEY.get_or_init(|| CompanyKey::generate(1).unwrap())
}

/// Through the real helper and a library that stands for the vendor's; what the vendor holds lies in `vendor`.
fn connect_archive(place: &Place) {
    std::fs::create_dir(place.path("vendor")).unwrap();
    wecom::write_key(place, "company.pem", company());
    place.secret("archive-secret.txt", "right\n");
    let setting = |name: &str, path: &Path| format!("{name}={}", path.display());
    place
        .on(&[
            "connection",
            "add",
            "wecom-archive",
            "archive",
            "--setting",
            &setting("corp-id", &place.path("vendor")),
            "--setting",
            &setting("library", &wecom::library(place)),
            "--setting",
            &setting("helper", &wecom::helper()),
            "--secret",
            "secret=archive-secret.txt",
            "--secret",
            "private-key=1:company.pem",
        ])
        .done();
}

/// The vendor's answer to each question that this item answers is written anew, whole or not at all.
fn hold(place: &Place, said: &Said) {
    let seq = said.number + 1;
    let message = json!({
        "msgid": format!("a{seq}"), "action": "send", "from": format!("staff{}", seq % 5), "tolist": ["wmCustomer"], "roomid": "",
        "msgtime": (BEGIN + seq) * 1000, "msgtype": "text", "text": { "content": format!("{} the rest of it", said.marker) },
    });
    let item = json!({
        "seq": seq, "msgid": format!("a{seq}"), "publickey_ver": 1,
        "encrypt_random_key": company().encrypted(b"right").unwrap(),
        // Not in the clear, so that what is found in the clear came out of it.
        "encrypt_chat_msg": format!("hex:{}", hex(message.to_string().as_bytes())),
    });
    place.write(&format!("vendor/item-{seq}"), item.to_string());
    for asked in seq.saturating_sub(TOGETHER)..seq {
        let items = asked + 1..=seq;
        let items: Vec<String> = items
            .map(|n| std::fs::read_to_string(place.path(&format!("vendor/item-{n}"))).unwrap())
            .collect();
        let answer = format!(r#"{{"errcode":0,"chatdata":[{}]}}"#, items.join(","));
        let written = place.write("vendor/written", answer);
        std::fs::rename(written, place.path(&format!("vendor/{asked}"))).unwrap();
    }
}

/// Serves until everything is here that vendors hold: so many items of an archive, and all that was announced.
pub fn pull_all(place: &Place, items: u64) {
    let serving = place.serve();
    let begun = Instant::now();
    loop {
        let status = hooks::status(serving.address).unwrap();
        let mut connections = status["connections"].as_array().unwrap().iter();
        let archive = connections
            .find(|found| found["connector"] == "wecom-archive")
            .unwrap();
        let followers = &status["followers"];
        // A bell that is not understood yet asks for nothing yet.
        let understood = followers["normalized"] == followers["head"];
        if archive["archive"]["position"] == items && status["pending_fetches"] == 0 && understood {
            return serving.kill();
        }
        assert!(begun.elapsed() < PATIENCE, "{status}");
    }
}

// ---- whatsapp-export and generic-import

fn export(number: u64, said: &[Said], filler: usize) -> (String, String) {
    let mut text = String::new();
    for (m, said) in said.iter().enumerate() {
        let filler = "lorem ipsum ".repeat(filler / 12);
        text += &format!("31/01/2024, {:02}:{:02} - ", 8 + m / 60, m % 60);
        text += &format!("{}: {} {filler}\n", ["Ann", "Bo"][m % 2], said.marker);
    }
    (format!("WhatsApp Chat with Group {number}.txt"), text)
}

fn json_lines(number: u64, said: &[Said], filler: usize) -> (String, String) {
    let lines: String = said.iter().map(|said| generic(said, filler) + "\n").collect();
    (format!("messages-{number}.jsonl"), lines)
}

#[test]
fn every_connector_there_is_is_run_through_crash_power_and_canary() {
    let listed: BTreeSet<&str> = SOURCES.iter().map(|source| source.connector).collect();
    let there: BTreeSet<&str> = connect::CONNECTORS
        .iter()
        .map(|connector| connector.id())
        .collect();
    assert_eq!(listed, there, "add a line to SOURCES");
    assert_eq!(listed.len(), SOURCES.len());
    // By the door that it has, and no other.
    for source in SOURCES {
        let door = connect::find(source.connector).unwrap().door();
        assert!(
            matches!(
                (&source.door, door),
                (Door::Posted(_), connect::Door::Webhook { .. })
                    | (Door::Pulled(_), connect::Door::Pull { .. })
                    | (Door::Handed(_), connect::Door::File)
            ),
            "{}",
            source.connector
        );
    }
}
