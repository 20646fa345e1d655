//! A signature over time and body: `v1:TIME:` and the body.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;

use crate::query::nibble;
use crate::{Account, Admission, Refused, Reply, Request, Trial, Verdict};

/// Name of the secret.
pub(super) const SECRET: &str = "signing-secret";
/// Name of the setting.
pub(super) const WINDOW: &str = "window-seconds";
/// How far the signed time may lie from now: long enough for clocks that differ a little, short enough that a
/// delivery somebody overheard is soon of no use.
pub(super) const WINDOW_DEFAULT: &str = "300";
/// A day: more is no window.
const WINDOW_MAX: u64 = 86_400;
/// A shorter secret can be guessed.
const MIN_SECRET_BYTES: usize = 16;

const TIMESTAMP: &str = "x-chancery-timestamp";
const SIGNATURE: &str = "x-chancery-signature";
const HEADERS: &[&str] = &["content-type", TIMESTAMP, SIGNATURE, "user-agent"];

/// Decides about one request.
pub(super) fn admit(request: &Request<'_>, account: Account<'_>) -> Result<Admission, Refused> {
    if request.method != "POST" {
        return Err(Refused::Method);
    }
    let tag = request.header(SIGNATURE).ok_or(Refused::SignatureMissing)?;
    let tag = tag
        .strip_prefix(b"v1=")
        .and_then(unhex)
        .ok_or(Refused::SignatureMalformed)?;
    let stamp = request.header(TIMESTAMP).ok_or(Refused::SignatureMissing)?;
    let seconds = seconds(stamp).ok_or(Refused::SignatureMalformed)?;
    let all = account.secrets.all(SECRET);
    if all.iter().all(|secret| secret.is_empty()) {
        return Err(Refused::NoSecret);
    }
    let matching = all.iter().position(|secret| {
        !secret.is_empty() && {
            let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
            let mut signed = hmac::Context::with_key(&key);
            for piece in [b"v1:".as_slice(), stamp, b":", request.body] {
                signed.update(piece);
            }
            verify_slices_are_equal(signed.sign().as_ref(), &tag).is_ok()
        }
    });
    let secret = matching
        .and_then(|place| u8::try_from(place).ok())
        .ok_or(Refused::SignatureMismatch)?;
    // Only of a delivery that is genuine otherwise: a stranger learns nothing of our clock.
    let now = request.received_at.as_micros().div_euclid(1_000_000);
    if now.abs_diff(seconds) > window(account).unwrap_or(0) {
        return Err(Refused::Stale);
    }
    Ok(Admission::Keep {
        verdict: Verdict::Signature { secret },
        headers: HEADERS,
        reply: Reply {
            content_type: "text/plain",
            body: Vec::new(),
        },
    })
}

/// Whether secrets and settings can work.
pub(super) fn check(account: Account<'_>) -> Result<(), &'static str> {
    if account
        .secrets
        .all(SECRET)
        .iter()
        .any(|secret| secret.len() < MIN_SECRET_BYTES)
    {
        return Err(
            "the secret signing-secret must have at least 16 characters; `openssl rand -hex 32` makes a good one",
        );
    }
    match window(account) {
        Some(1..) => Ok(()),
        _ => Err("the setting window-seconds must be a number from 1 to 86400"),
    }
}

fn window(account: Account<'_>) -> Option<u64> {
    let setting = account
        .settings
        .get(WINDOW)
        .map_or(WINDOW_DEFAULT, String::as_str);
    setting
        .trim()
        .parse()
        .ok()
        .filter(|seconds| *seconds <= WINDOW_MAX)
}

/// Digits only: a sign or a blank would be a second way to write the same time.
fn seconds(stamp: &[u8]) -> Option<i64> {
    let digits = std::str::from_utf8(stamp).ok()?;
    let plain = digits.len() <= 12 && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| plain)
}

/// 64 lower-case hex digits.
fn unhex(digits: &[u8]) -> Option<[u8; 32]> {
    let mut tag = [0; 32];
    if digits.len() != 2 * tag.len() || digits.iter().any(u8::is_ascii_uppercase) {
        return None;
    }
    for (byte, pair) in tag.iter_mut().zip(digits.chunks_exact(2)) {
        let &[high, low] = pair else { return None };
        *byte = nibble(high)? << 4 | nibble(low)?;
    }
    Some(tag)
}

/// A post that nobody signed and one that was forged; a genuine one would be kept.
pub(super) fn trials() -> Vec<Trial> {
    let posted = |shows, headers| Trial {
        shows,
        method: "POST",
        query: Vec::new(),
        headers,
        body: "{}",
        status: 401,
        reply: None,
        otherwise: "is the address that of this connection, and does a proxy pass POST on?",
    };
    vec![
        posted("an unsigned delivery is refused", Vec::new()),
        posted(
            "a forged delivery is refused",
            vec![
                (TIMESTAMP, "1700000000".to_owned()),
                (SIGNATURE, format!("v1={}", "0".repeat(64))),
            ],
        ),
    ]
}
