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
    admitted_with(key, &[("x-hub-signature-256", header)], body)
}

fn admitted_with(key: &[u8], headers: &[(&str, &[u8])], body: &[u8]) -> Result<(), Refused> {
    let secrets = Secrets([("app-secret".to_owned(), vec![Zeroizing::new(key.to_vec())])].into());
    let request = Request {
        method: "POST",
        query: "",
        headers,
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
fn the_headers_name_may_be_spelled_in_any_case_and_stands_once() {
    let (header, other) = (header(), vec![b'0'; 71]);
    for name in [
        "X-Hub-Signature-256",
        "X-HUB-SIGNATURE-256",
        "x-hub-signature-256",
    ] {
        assert_eq!(
            admitted_with(KEY, &[("Host", b"x"), (name, &header)], BODY),
            Ok(())
        );
        for second in [&header, &other] {
            let twice = [(name, &header[..]), ("x-hub-signature-256", second)];
            assert_eq!(admitted_with(KEY, &twice, BODY), Err(Refused::SignatureMissing));
        }
    }
    for name in [
        "X-Hub-Signature",
        "X-Hub-Signature-512",
        "X_Hub_Signature_256",
        "",
    ] {
        assert_eq!(
            admitted_with(KEY, &[(name, &header)], BODY),
            Err(Refused::SignatureMissing)
        );
    }
}

#[test]
fn blanks_prefixes_and_other_forms_around_a_signature_refuse_it() {
    let right = String::from_utf8(header()).unwrap();
    let hex = right.strip_prefix("sha256=").unwrap();
    let forms = [
        hex.to_owned(),
        format!(" {right}"),
        format!("{right} "),
        format!("{right}\n"),
        format!("\"{right}\""),
        format!("sha256 = {hex}"),
        format!("sha256:{hex}"),
        format!("sha1={hex}"),
        format!("SHA256={hex}"),
        format!("sha256={}", hex.to_uppercase()),
        format!("sha256={right}"),
        format!("{right},{right}"),
        format!("{right}{hex}"),
        format!("sha256={}", &hex[..63]),
        format!("sha256={}", &hex[..32]),
        format!("sha256=0x{hex}"),
        "sha256=".to_owned(),
    ];
    for form in forms {
        let refused = admitted(KEY, form.as_bytes(), BODY);
        assert_eq!(refused, Err(Refused::SignatureMalformed), "{form}");
    }
}

#[test]
fn a_key_of_any_length_signs_and_bodies_need_not_be_text() {
    for key in [&b"k"[..], &[0; 64], &[0xff; 65], &[b'x'; 1_000], b"with\n"] {
        for body in [&b""[..], b"\0", b"\xff\xfe{}", &[0x80; 100_000]] {
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), body);
            let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
            let header = format!("sha256={hex}").into_bytes();
            assert_eq!(admitted(key, &header, body), Ok(()));
            let more = [body, b" "].concat();
            assert_eq!(admitted(key, &header, &more), Err(Refused::SignatureMismatch));
        }
    }
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
