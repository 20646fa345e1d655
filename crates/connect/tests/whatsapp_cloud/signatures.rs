//! A signature is right or refused.

use aws_lc_rs::hmac;
use connect::{Account, Refused, Request, Secrets, Settings};
use model::Timestamp;
use zeroize::Zeroizing;

const KEY: &[u8] = b"an app secret of 32 characters..";
const BODY: &[u8] = br#"{"object":"whatsapp_business_account","entry":[]}"#;

fn header() -> Vec<u8> {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, KEY), BODY);
    let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={hex}").into_bytes()
}

fn admitted(key: &[u8], header: &[u8], body: &[u8]) -> Result<(), Refused> {
    let secrets = Secrets([("app-secret".to_owned(), vec![Zeroizing::new(key.to_vec())])].into());
    let headers = [("x-hub-signature-256", header)];
    let request = Request {
        method: "POST",
        query: "",
        headers: &headers,
        body,
        received_at: Timestamp::default(),
    };
    let account = Account {
        secrets: &secrets,
        settings: &Settings::new(),
    };
    connect::find("whatsapp-cloud")
        .expect("it is there")
        .admit(&request, account)
        .map(|_| ())
}

fn with_each_bit_flipped(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    (0..bytes.len() * 8).map(|bit| {
        let mut flipped = bytes.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        flipped
    })
}

#[test]
fn a_right_signature_is_admitted() {
    assert_eq!(admitted(KEY, &header(), BODY), Ok(()));
}

#[test]
fn one_flipped_bit_in_the_body_refuses_the_signature() {
    for body in with_each_bit_flipped(BODY) {
        assert_eq!(admitted(KEY, &header(), &body), Err(Refused::SignatureMismatch));
    }
}

#[test]
fn one_flipped_bit_in_the_header_refuses_the_signature() {
    for header in with_each_bit_flipped(&header()) {
        assert!(admitted(KEY, &header, BODY).is_err());
    }
}

#[test]
fn one_flipped_bit_in_the_key_refuses_the_signature() {
    for key in with_each_bit_flipped(KEY) {
        assert_eq!(admitted(&key, &header(), BODY), Err(Refused::SignatureMismatch));
    }
}

#[test]
fn a_body_with_one_byte_more_or_less_refuses_the_signature() {
    for body in [[BODY, b"\n"].concat(), BODY[1..].to_vec(), Vec::new()] {
        assert_eq!(admitted(KEY, &header(), &body), Err(Refused::SignatureMismatch));
    }
}
