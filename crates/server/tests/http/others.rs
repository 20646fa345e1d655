//! Deliveries of the other connectors, as their platforms make them.

use aws_lc_rs::cipher::{AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use aws_lc_rs::hmac;
use aws_lc_rs::iv::FixedLength;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use connect::{Secrets, Settings};
use seal::suite::hex;
use server::IntakeConnection;

use crate::instance::SECRET;

const KEY: &str = "q2w8Zt5RbN0pKfY7uLcXs3GdHe9mVaJ1oTi6QxPzBkA";
const TOKEN: &str = "harbour-light";

fn connection(
    id: &str,
    connector: &str,
    secrets: &[(&str, &[u8])],
    settings: &[(&str, &str)],
) -> IntakeConnection {
    let secrets = secrets
        .iter()
        .map(|(name, value)| ((*name).to_owned(), vec![value.to_vec().into()]));
    IntakeConnection {
        id: id.parse().unwrap(),
        connector: connector.into(),
        secrets: Secrets(secrets.collect()),
        settings: settings
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect::<Settings>(),
        minimum_lock_days: 7,
    }
}

/// `app`, of WeChat callbacks, and `desk`, of signed posts.
pub fn connections() -> [IntakeConnection; 2] {
    let secrets: [(&str, &[u8]); 2] = [("token", TOKEN.as_bytes()), ("encoding-aes-key", KEY.as_bytes())];
    [
        connection("app", "wechat-callback", &secrets, &[("receive-id", "ww1")]),
        connection("desk", "generic-webhook", &[("signing-secret", SECRET)], &[]),
    ]
}

/// What WeCom sends to `app` of this message.
pub fn callback(message: &str) -> Vec<u8> {
    let key = STANDARD.decode(format!("{KEY}=")).unwrap();
    let size = u32::try_from(message.len()).unwrap().to_be_bytes();
    let mut bytes = [b"0123456789abcdef".as_slice(), &size, message.as_bytes(), b"ww1"].concat();
    let padding = 32 - bytes.len() % 32;
    bytes.resize(bytes.len() + padding, u8::try_from(padding).unwrap());
    let iv: [u8; 16] = key[..16].try_into().unwrap();
    let cipher = EncryptingKey::cbc(UnboundCipherKey::new(&AES_256, &key).unwrap()).unwrap();
    let context = EncryptionContext::Iv128(FixedLength::from(iv));
    cipher.less_safe_encrypt(&mut bytes, context).unwrap();
    let encrypted = STANDARD.encode(bytes);
    let mut parts = [TOKEN, "1732406400", "n0nce", &encrypted];
    parts.sort_unstable();
    let tag = hex(digest(&SHA1_FOR_LEGACY_USE_ONLY, parts.concat().as_bytes()).as_ref());
    let body = format!("<xml><ToUserName>ww1</ToUserName><Encrypt>{encrypted}</Encrypt></xml>");
    format!(
        "POST /in/app?msg_signature={tag}&timestamp=1732406400&nonce=n0nce HTTP/1.1\r\nHost: localhost\r\n\
         Content-Type: text/xml\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// A signed post of this body to `desk`.
pub fn post(body: &str) -> Vec<u8> {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let tag = hmac::sign(
        &hmac::Key::new(hmac::HMAC_SHA256, SECRET),
        format!("v1:{now}:{body}").as_bytes(),
    );
    format!(
        "POST /in/desk HTTP/1.1\r\nHost: localhost\r\nX-Chancery-Timestamp: {now}\r\n\
         X-Chancery-Signature: v1={}\r\nContent-Length: {}\r\n\r\n{body}",
        hex(tag.as_ref()),
        body.len()
    )
    .into_bytes()
}
