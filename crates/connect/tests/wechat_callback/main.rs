//! Callbacks of WeChat: a signature is right or refused, and what it covers is for us or refused.
#![cfg(test)]

mod fetching;

use aws_lc_rs::cipher::{AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use aws_lc_rs::iv::FixedLength;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use connect::{Account, Admission, Connector, Refused, Request, Secrets, Settings};
use model::Timestamp;
use proptest::prelude::{ProptestConfig, any, prop_assert_eq, proptest};

const TOKEN: &str = "harbour-light";
/// Its last character says no more than its first four bits: `A` is the canonical one of sixteen.
const KEY: &str = "q2w8Zt5RbN0pKfY7uLcXs3GdHe9mVaJ1oTi6QxPzBkA";
const CORP: &str = "ww7c41f0a2b95d63e8";
const TIME: &str = "1732406400";
const NONCE: &str = "n0nce77";
const MESSAGE: &str = "<xml><ToUserName><![CDATA[ww7c41f0a2b95d63e8]]></ToUserName><FromUserName>a</FromUserName>\
                       <CreateTime>1732406399</CreateTime><MsgType>text</MsgType><Content>hello</Content>\
                       <MsgId>1</MsgId><AgentID>7</AgentID></xml>";

/// The platform's side: what it makes of a message.
fn encrypted(message: &[u8], receiver: &str) -> String {
    let key = STANDARD.decode(format!("{KEY}=")).expect("the key is canonical");
    let size = u32::try_from(message.len()).expect("it is short").to_be_bytes();
    let mut bytes = [
        b"0123456789abcdef".as_slice(),
        &size,
        message,
        receiver.as_bytes(),
    ]
    .concat();
    let padding = 32 - bytes.len() % 32;
    bytes.extend(std::iter::repeat_n(
        u8::try_from(padding).expect("at most 32"),
        padding,
    ));
    let iv: [u8; 16] = key[..16].try_into().expect("16 bytes");
    let cipher = EncryptingKey::cbc(UnboundCipherKey::new(&AES_256, &key).expect("32 bytes")).expect("a key");
    cipher
        .less_safe_encrypt(&mut bytes, EncryptionContext::Iv128(FixedLength::from(iv)))
        .expect("whole blocks");
    STANDARD.encode(bytes)
}

fn signature(parts: &[&str]) -> String {
    let mut parts: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
    parts.sort_unstable();
    let tag = digest(&SHA1_FOR_LEGACY_USE_ONLY, &parts.concat());
    tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A delivery and the account it is for.
#[derive(Clone)]
struct Delivery {
    method: &'static str,
    query: Vec<u8>,
    body: Vec<u8>,
    token: Vec<u8>,
    key: Vec<u8>,
    receiver: String,
}

impl Delivery {
    fn of(message: &[u8], body: impl Fn(&str) -> String) -> Delivery {
        let encrypted = encrypted(message, CORP);
        let tag = signature(&[TOKEN, TIME, NONCE, &encrypted]);
        Delivery {
            method: "POST",
            query: format!("msg_signature={tag}&timestamp={TIME}&nonce={NONCE}").into_bytes(),
            body: body(&encrypted).into_bytes(),
            token: TOKEN.into(),
            key: KEY.into(),
            receiver: CORP.to_owned(),
        }
    }

    fn xml() -> Delivery {
        Delivery::of(MESSAGE.as_bytes(), |encrypted| {
            format!(
                "<xml><ToUserName><![CDATA[{CORP}]]></ToUserName>\n<Encrypt><![CDATA[{encrypted}]]></Encrypt>\
                 <AgentID><![CDATA[7]]></AgentID></xml>"
            )
        })
    }

    fn json() -> Delivery {
        Delivery::of(br#"{"msgid":"1","msgtype":"text"}"#, |encrypted| {
            format!(r#"{{"encrypt":"{encrypted}"}}"#)
        })
    }

    fn handshake() -> Delivery {
        let encrypted = encrypted(b"1616140317555161061", CORP);
        let tag = signature(&[TOKEN, TIME, NONCE, &encrypted]);
        // Not escaped: an escape has two spellings, and one flipped bit lies between them.
        Delivery {
            method: "GET",
            query: format!("msg_signature={tag}&timestamp={TIME}&nonce={NONCE}&echostr={encrypted}")
                .into_bytes(),
            body: Vec::new(),
            ..Delivery::xml()
        }
    }

    /// Nothing where the query is not text: no such request comes this far.
    fn admitted(&self) -> Option<Result<Admission, Refused>> {
        let secrets = [("token", &self.token), ("encoding-aes-key", &self.key)];
        let secrets = secrets.map(|(name, value)| (name.to_owned(), vec![value.clone().into()]));
        let request = Request {
            method: self.method,
            query: std::str::from_utf8(&self.query).ok()?,
            headers: &[],
            body: &self.body,
            received_at: Timestamp::default(),
        };
        let account = Account {
            secrets: &Secrets(secrets.into()),
            settings: &Settings::from([("receive-id".to_owned(), self.receiver.clone())]),
        };
        Some(connector().admit(&request, account))
    }

    fn is_admitted(&self) -> bool {
        matches!(self.admitted(), Some(Ok(_)))
    }
}

fn connector() -> &'static dyn Connector {
    connect::find("wechat-callback").expect("it is there")
}

fn with_each_bit_flipped(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    (0..bytes.len() * 8).map(|bit| {
        let mut flipped = bytes.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        flipped
    })
}

/// No change to a part of a delivery leaves it admitted.
fn refused_with_each_bit_flipped(delivery: &Delivery, part: fn(&mut Delivery) -> &mut Vec<u8>) {
    let original = part(&mut delivery.clone()).clone();
    for flipped in with_each_bit_flipped(&original) {
        let mut changed = delivery.clone();
        *part(&mut changed) = flipped.clone();
        assert!(!changed.is_admitted(), "{}", String::from_utf8_lossy(&flipped));
    }
}

#[test]
fn a_right_delivery_is_admitted_and_answered_with_one_word() {
    for (delivery, word) in [(Delivery::xml(), &b"success"[..]), (Delivery::json(), b"")] {
        match delivery.admitted() {
            Some(Ok(Admission::Keep { reply, .. })) => assert_eq!(reply.body, word),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_handshake_is_answered_with_what_was_encrypted_alone() {
    match Delivery::handshake().admitted() {
        Some(Ok(Admission::Answer(reply))) => assert_eq!(reply.body, b"1616140317555161061"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_flipped_bit_anywhere_in_the_body_is_refused() {
    refused_with_each_bit_flipped(&Delivery::xml(), |delivery| &mut delivery.body);
    refused_with_each_bit_flipped(&Delivery::json(), |delivery| &mut delivery.body);
}

#[test]
fn one_flipped_bit_anywhere_in_the_query_is_refused() {
    for delivery in [Delivery::xml(), Delivery::json(), Delivery::handshake()] {
        refused_with_each_bit_flipped(&delivery, |delivery| &mut delivery.query);
    }
}

#[test]
fn one_flipped_bit_in_the_token_is_refused() {
    for delivery in [Delivery::xml(), Delivery::json(), Delivery::handshake()] {
        refused_with_each_bit_flipped(&delivery, |delivery| &mut delivery.token);
    }
}

#[test]
fn one_flipped_bit_in_the_key_is_refused_but_for_the_two_that_no_key_has() {
    for delivery in [Delivery::xml(), Delivery::json(), Delivery::handshake()] {
        let same = with_each_bit_flipped(KEY.as_bytes())
            .filter(|key| {
                let changed = Delivery {
                    key: key.clone(),
                    ..delivery.clone()
                };
                changed.is_admitted()
            })
            .map(|key| String::from_utf8(key).expect("it was admitted"))
            .collect::<Vec<_>>();
        // `A` is 0; `C` is 2 and `B`, which is 1, lies two bits away.
        assert_eq!(same, [KEY.replace("BkA", "BkC")]);
    }
}

#[test]
fn whoever_is_refused_after_the_signature_cannot_tell_why() {
    let wrong = |change: fn(&mut Delivery)| {
        let mut delivery = Delivery::xml();
        change(&mut delivery);
        delivery
            .admitted()
            .expect("the query is text")
            .expect_err("it is wrong")
    };
    // Inside, the operator is told which setting is wrong; the server answers 401 to all of them.
    assert_eq!(
        wrong(|delivery| delivery.key = vec![b'z'; 43]),
        Refused::NotOpened
    );
    assert_eq!(
        wrong(|delivery| delivery.receiver = "ww1".to_owned()),
        Refused::NotForUs
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_the_platform_encrypts_is_admitted_whatever_its_length(message in proptest::collection::vec(any::<u8>(), 0..200)) {
        let delivery = Delivery::of(&message, |encrypted| format!("<xml><Encrypt>{encrypted}</Encrypt></xml>"));
        prop_assert_eq!(delivery.is_admitted(), true);
    }
}

fn checked(key: &[&str], receiver: Option<&str>) -> Result<(), &'static str> {
    let keys = key
        .iter()
        .map(|key| key.as_bytes().to_vec().into())
        .collect::<Vec<_>>();
    let mut secrets = Secrets([("token".to_owned(), vec![b"t".to_vec().into()])].into());
    if !keys.is_empty() {
        secrets.0.insert("encoding-aes-key".to_owned(), keys);
    }
    let settings = receiver
        .map(|id| ("receive-id".to_owned(), id.to_owned()))
        .into_iter()
        .collect();
    connector().check(Account {
        secrets: &secrets,
        settings: &settings,
    })
}

#[test]
fn a_connection_whose_key_or_receiver_cannot_be_right_is_not_added() {
    assert_eq!(checked(&[KEY], Some(CORP)), Ok(()));
    assert_eq!(checked(&[KEY, KEY], Some("empty")), Ok(()));
    assert_eq!(checked(&[], None), Ok(()));
    let wrong = |key: &[&str], receiver, word| {
        let said = checked(key, receiver).expect_err("it cannot be right");
        assert!(said.contains(word), "{said}");
    };
    wrong(&[&KEY[1..]], Some(CORP), "43");
    wrong(&[&format!("{KEY}=")], Some(CORP), "43");
    wrong(&[&KEY.replace('q', "-")], Some(CORP), "43");
    wrong(&[KEY, "short"], Some(CORP), "43");
    wrong(&[""], Some(CORP), "43");
    wrong(&[KEY], None, "receive-id");
    wrong(&[KEY], Some(" , "), "receive-id");
    wrong(&[], Some(CORP), "no use");
}
