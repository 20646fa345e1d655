//! The handshake and the signature, over raw bytes.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;

use crate::query::{nibble, parameter};
use crate::{Account, Admission, Refused, Reply, Request, Secrets, Trial, Verdict};

/// Names of the secrets.
pub(super) const APP_SECRET: &str = "app-secret";
/// See [`APP_SECRET`].
pub(super) const VERIFY_TOKEN: &str = "verify-token";

const HEADERS: &[&str] = &["content-type", "x-hub-signature-256", "user-agent"];
/// The vendor's challenges are short numbers; nobody needs us to echo a book.
const MAX_CHALLENGE_BYTES: usize = 1_024;

/// Decides about one request.
pub(super) fn admit(request: &Request<'_>, account: Account<'_>) -> Result<Admission, Refused> {
    let secrets = account.secrets;
    match request.method {
        "GET" => handshake(request.query, secrets),
        "POST" => delivery(request, secrets),
        _ => Err(Refused::Method),
    }
}

/// The vendor asks whether this address is ours. The request is not signed: the token is the proof.
fn handshake(query: &str, secrets: &Secrets) -> Result<Admission, Refused> {
    let mode = parameter(query, "hub.mode").ok_or(Refused::HandshakeIncomplete)?;
    let token = parameter(query, "hub.verify_token").ok_or(Refused::HandshakeIncomplete)?;
    let challenge = parameter(query, "hub.challenge").ok_or(Refused::HandshakeIncomplete)?;
    if &*mode != b"subscribe" || challenge.is_empty() || challenge.len() > MAX_CHALLENGE_BYTES {
        return Err(Refused::HandshakeIncomplete);
    }
    let mut configured = secrets
        .all(VERIFY_TOKEN)
        .iter()
        .filter(|secret| !secret.is_empty())
        .peekable();
    if configured.peek().is_none() {
        return Err(Refused::NoSecret);
    }
    if !configured.any(|secret| verify_slices_are_equal(secret, &token).is_ok()) {
        return Err(Refused::TokenMismatch);
    }
    Ok(Admission::Answer(Reply {
        content_type: "text/plain",
        body: challenge.into_owned(),
    }))
}

/// A handshake with the token and one with another, a delivery that nobody signed and one that somebody else did.
pub(super) fn trials(secrets: &Secrets) -> Vec<Trial> {
    const CHALLENGE: &str = "1158201444";
    const EMPTY: &str = r#"{"object":"whatsapp_business_account","entry":[]}"#;
    let token = secrets.all(VERIFY_TOKEN).iter().find(|token| !token.is_empty());
    let token = token.map(|token| String::from_utf8_lossy(token).into_owned());
    let handshake = |token: String| {
        vec![
            ("hub.mode", "subscribe".to_owned()),
            ("hub.challenge", CHALLENGE.to_owned()),
            ("hub.verify_token", token),
        ]
    };
    let stranger = format!("{}-not", token.as_deref().unwrap_or_default());
    let asked = token.map(|token| Trial {
        shows: "the vendor's handshake is answered",
        method: "GET",
        query: handshake(token),
        headers: Vec::new(),
        body: "",
        status: 200,
        reply: Some(CHALLENGE),
        otherwise: "is the address that of this connection, and does a proxy pass the query string on?",
    });
    let unasked = Trial {
        shows: "a handshake with another token is refused",
        method: "GET",
        query: handshake(stranger),
        headers: Vec::new(),
        body: "",
        status: 403,
        reply: None,
        otherwise: "something before this program answers in its place",
    };
    let posted = |shows, signature: Option<String>| Trial {
        shows,
        method: "POST",
        query: Vec::new(),
        headers: signature
            .map(|signature| ("x-hub-signature-256", signature))
            .into_iter()
            .collect(),
        body: EMPTY,
        status: 401,
        reply: None,
        otherwise: "something before this program answers in its place, or does not pass POST on",
    };
    let mut trials: Vec<Trial> = asked.into_iter().collect();
    trials.push(unasked);
    trials.push(posted("an unsigned delivery is refused", None));
    let forged = format!("sha256={}", "0".repeat(64));
    trials.push(posted("a forged delivery is refused", Some(forged)));
    trials
}

/// A delivery is proved by its signature alone: the body is not looked at.
fn delivery(request: &Request<'_>, secrets: &Secrets) -> Result<Admission, Refused> {
    let header = request
        .header("x-hub-signature-256")
        .ok_or(Refused::SignatureMissing)?;
    let tag = header
        .strip_prefix(b"sha256=")
        .and_then(unhex)
        .ok_or(Refused::SignatureMalformed)?;
    let all = secrets.all(APP_SECRET);
    if all.iter().all(|secret| secret.is_empty()) {
        return Err(Refused::NoSecret);
    }
    let matching = all.iter().position(|secret| {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        !secret.is_empty() && hmac::verify(&key, request.body, &tag).is_ok()
    });
    let secret = matching
        .and_then(|place| u8::try_from(place).ok())
        .ok_or(Refused::SignatureMismatch)?;
    Ok(Admission::Keep {
        verdict: Verdict::Signature { secret },
        headers: HEADERS,
        reply: Reply {
            content_type: "text/plain",
            body: Vec::new(),
        },
    })
}

/// 64 lower-case hex digits, the one form the vendor writes: two spellings of a signature would be one too many.
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
