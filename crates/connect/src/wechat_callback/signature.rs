//! The handshake and the signature: what is proved before anything is kept.
//!
//! There are two. `signature` covers token, time and nonce, and so proves that the sender knows the token, but nothing
//! of the body. `msg_signature` covers what is encrypted too. With a key configured only the second is taken.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA1_OUTPUT_LEN, digest};
use zeroize::Zeroizing;

use super::envelope::{self, Opened};
use super::outline::Outline;
use crate::query::{nibble, parameter};
use crate::{Account, Admission, Refused, Reply, Request, Secrets, Trial, Verdict};

/// Names of the secrets.
pub(super) const TOKEN: &str = "token";
/// See [`TOKEN`].
pub(super) const AES_KEY: &str = "encoding-aes-key";
/// Name of the setting.
pub(super) const RECEIVER: &str = "receive-id";
/// In the setting, stands for a receive id that is empty.
const NO_RECEIVER: &str = "empty";

const HEADERS: &[&str] = &["content-type", "user-agent"];
/// Whoever writes a longer body is not the platform: a text has 2,048 bytes at most, an event some thousand.
const MAX_BODY_BYTES: usize = 1 << 20;
/// The platforms' challenges are short; nobody needs us to echo a book.
const MAX_CHALLENGE_BYTES: usize = 4_096;

/// Decides about one request.
pub(super) fn admit(request: &Request<'_>, account: Account<'_>) -> Result<Admission, Refused> {
    match request.method {
        "GET" => handshake(request.query, account),
        "POST" => delivery(request, account),
        _ => Err(Refused::Method),
    }
}

/// What is signed of a query string, and the signatures that came with it.
struct Signed {
    timestamp: Vec<u8>,
    nonce: Vec<u8>,
    /// Over token, time and nonce; DingTalk puts here what others call `msg_signature`.
    short: Option<[u8; SHA1_OUTPUT_LEN]>,
    /// Over what is encrypted too.
    long: Option<[u8; SHA1_OUTPUT_LEN]>,
}

impl Signed {
    fn read(query: &str) -> Result<Signed, Refused> {
        let tag = |name: &str| match parameter(query, name) {
            None => Ok(None),
            Some(digits) => unhex(&digits).map(Some).ok_or(Refused::SignatureMalformed),
        };
        let (short, long) = (tag("signature")?, tag("msg_signature")?);
        if short.is_none() && long.is_none() {
            return Err(Refused::SignatureMissing);
        }
        let part = |name: &str| parameter(query, name).filter(|value| !value.is_empty());
        let timestamp = part("timestamp").ok_or(Refused::SignatureMalformed)?;
        let nonce = part("nonce").ok_or(Refused::SignatureMalformed)?;
        Ok(Signed {
            timestamp: timestamp.into_owned(),
            nonce: nonce.into_owned(),
            short,
            long,
        })
    }

    /// SHA-1 over the texts, sorted as bytes and joined.
    fn over(&self, token: &[u8], encrypted: Option<&[u8]>) -> [u8; SHA1_OUTPUT_LEN] {
        let mut parts = vec![token, &self.timestamp, &self.nonce];
        parts.extend(encrypted);
        parts.sort_unstable();
        let joined = Zeroizing::new(parts.concat());
        let mut tag = [0; SHA1_OUTPUT_LEN];
        for (to, from) in tag
            .iter_mut()
            .zip(digest(&SHA1_FOR_LEGACY_USE_ONLY, &joined).as_ref())
        {
            *to = *from;
        }
        tag
    }

    /// Which token signed, counted from 0. Every signature that is there must be right: over the body where one must
    /// cover it, and one that covers less where it came beside.
    fn proved(&self, secrets: &Secrets, encrypted: Option<&[u8]>) -> Result<u8, Refused> {
        let tokens = secrets.all(TOKEN);
        if tokens.iter().all(|token| token.is_empty()) {
            return Err(Refused::NoSecret);
        }
        let matching = tokens
            .iter()
            .position(|token| !token.is_empty() && self.signed_by(token, encrypted));
        matching
            .and_then(|place| u8::try_from(place).ok())
            .ok_or(Refused::SignatureMismatch)
    }

    fn signed_by(&self, token: &[u8], encrypted: Option<&[u8]>) -> bool {
        let equal = |tag: &[u8; SHA1_OUTPUT_LEN], expected: [u8; SHA1_OUTPUT_LEN]| {
            verify_slices_are_equal(tag, &expected).is_ok()
        };
        let long = encrypted.map(|encrypted| self.over(token, Some(encrypted)));
        match (&self.short, &self.long, long) {
            (None, Some(tag), Some(long)) => equal(tag, long),
            (Some(tag), None, Some(long)) => equal(tag, long),
            (Some(short), Some(tag), Some(long)) => {
                equal(tag, long) && (equal(short, self.over(token, None)) || equal(short, long))
            }
            (Some(short), None, None) => equal(short, self.over(token, None)),
            // A signature over something encrypted where nothing is.
            (_, Some(_), None) | (None, None, _) => false,
        }
    }
}

/// The platform asks whether this address is ours.
fn handshake(query: &str, account: Account<'_>) -> Result<Admission, Refused> {
    let mut challenge = parameter(query, "echostr")
        .filter(|challenge| !challenge.is_empty() && challenge.len() <= MAX_CHALLENGE_BYTES)
        .ok_or(Refused::HandshakeIncomplete)?
        .into_owned();
    let signed = Signed::read(query)?;
    if signed.long.is_none() {
        signed.proved(account.secrets, None)?;
        return Ok(answer(challenge));
    }
    // Base64 has no blanks: one is a `+` that somebody on the way did not escape.
    for byte in &mut challenge {
        if *byte == b' ' {
            *byte = b'+';
        }
    }
    signed.proved(account.secrets, Some(&challenge))?;
    let challenge = std::str::from_utf8(&challenge).map_err(|_| Refused::NotOpened)?;
    Ok(answer(opened(challenge, account)?.message.to_vec()))
}

fn answer(body: Vec<u8>) -> Admission {
    Admission::Answer(reply(body))
}

fn reply(body: Vec<u8>) -> Reply {
    Reply {
        content_type: "text/plain",
        body,
    }
}

/// A delivery is proved by its signature; an encrypted one also by being for us and by not contradicting itself.
fn delivery(request: &Request<'_>, account: Account<'_>) -> Result<Admission, Refused> {
    let signed = Signed::read(request.query)?;
    let with_key = keys(account.secrets).next().is_some();
    let outside = Some(request.body)
        .filter(|body| body.len() <= MAX_BODY_BYTES)
        .and_then(|body| std::str::from_utf8(body).ok())
        .and_then(Outline::read);
    let encrypted = outside.as_ref().and_then(Outline::encrypted);
    let secret = match (encrypted, &outside) {
        (Some(encrypted), Some(outside)) => {
            let secret = signed.proved(account.secrets, Some(encrypted.as_bytes()))?;
            match with_key {
                true => agree(outside, &opened(&encrypted, account)?)?,
                // Both forms in one body ("compatible"): what is readable is taken under its own signature.
                false if signed.short.is_some() && outside.is_message() => {
                    let plain = Signed { long: None, ..signed };
                    plain.proved(account.secrets, None)?;
                }
                false => return Err(Refused::NoSecret),
            }
            secret
        }
        (None, None) if with_key => return Err(Refused::BodyMalformed),
        (None, _) if with_key => return Err(Refused::NotEncrypted),
        _ => signed.proved(account.secrets, None)?,
    };
    // Robots want nothing at all; everybody else takes this one word.
    let body = match &outside {
        Some(outside) if outside.is_robot() => Vec::new(),
        _ => b"success".to_vec(),
    };
    Ok(Admission::Keep {
        verdict: Verdict::Signature { secret },
        headers: HEADERS,
        reply: reply(body),
    })
}

/// The keys that are configured and well formed.
pub(super) fn keys(secrets: &Secrets) -> impl Iterator<Item = Zeroizing<[u8; 32]>> {
    secrets
        .all(AES_KEY)
        .iter()
        .filter_map(|characters| envelope::key(characters))
}

/// Opens with whichever key does, and looks for whom it is. A wrong receiver gets a name of its own for the operator,
/// who most often mistyped the setting; to the sender both are the same refusal.
fn opened(encrypted: &str, account: Account<'_>) -> Result<Opened, Refused> {
    let mut refused = Refused::NoSecret;
    for key in keys(account.secrets) {
        match envelope::open(&key, encrypted) {
            Some(opened) if is_ours(&opened.receiver, account) => return Ok(opened),
            Some(_) => refused = Refused::NotForUs,
            None if refused == Refused::NoSecret => refused = Refused::NotOpened,
            None => {}
        }
    }
    Err(refused)
}

fn is_ours(receiver: &[u8], account: Account<'_>) -> bool {
    receivers(account).any(|ours| match ours {
        NO_RECEIVER => receiver.is_empty(),
        ours => verify_slices_are_equal(ours.as_bytes(), receiver).is_ok(),
    })
}

fn receivers(account: Account<'_>) -> impl Iterator<Item = &str> {
    let setting = account.settings.get(RECEIVER).map_or("", String::as_str);
    setting.split(',').map(str::trim).filter(|id| !id.is_empty())
}

/// Only what is encrypted is signed. What stands beside it must say the same, or somebody on the way wrote it.
fn agree(outside: &Outline<'_>, opened: &Opened) -> Result<(), Refused> {
    let inside = std::str::from_utf8(&opened.message).ok().and_then(Outline::read);
    let receiver = std::str::from_utf8(&opened.receiver).unwrap_or_default();
    match inside {
        Some(inside) if !outside.agrees(&inside, receiver) => Err(Refused::Contradiction),
        // What cannot be read at all is kept for the parser to say so.
        _ => Ok(()),
    }
}

/// Whether secrets and settings can work together.
pub(super) fn check(account: Account<'_>) -> Result<(), &'static str> {
    let all = account.secrets.all(AES_KEY);
    if all.iter().any(|characters| envelope::key(characters).is_none()) {
        return Err(
            "the secret encoding-aes-key must be the 43 letters and digits of EncodingAESKey, \
                    without `=` at the end",
        );
    }
    if !all.is_empty() && receivers(account).next().is_none() {
        return Err(
            "with an encoding-aes-key the setting receive-id is needed: the corp id (WeCom), suite id \
                    (third-party events) or AppID (Official Account, mini program) that deliveries are for, several \
                    parted by commas; `empty` for robots whose receive id is empty",
        );
    }
    if all.is_empty() && receivers(account).next().is_some() {
        return Err("the setting receive-id has no use without the secret encoding-aes-key");
    }
    Ok(())
}

/// 40 lower-case hex digits, the one form the platforms write: two spellings of a signature would be one too many.
fn unhex(digits: &[u8]) -> Option<[u8; SHA1_OUTPUT_LEN]> {
    let mut tag = [0; SHA1_OUTPUT_LEN];
    if digits.len() != 2 * tag.len() || digits.iter().any(u8::is_ascii_uppercase) {
        return None;
    }
    for (byte, pair) in tag.iter_mut().zip(digits.chunks_exact(2)) {
        let &[high, low] = pair else { return None };
        *byte = nibble(high)? << 4 | nibble(low)?;
    }
    Some(tag)
}

/// The platform's handshake and one that somebody else signed, a delivery that nobody signed and one that was forged.
/// The handshake is the one with a readable challenge: it opens the door of an encrypted connection too.
pub(super) fn trials(secrets: &Secrets) -> Vec<Trial> {
    const CHALLENGE: &str = "4375120948345356249";
    const EMPTY: &str = "<xml><Encrypt></Encrypt></xml>";
    let signed = |tag: String| {
        vec![
            ("signature", tag),
            ("timestamp", "1700000000".to_owned()),
            ("nonce", "chancery".to_owned()),
        ]
    };
    let by = |token: &[u8]| {
        let parts = Signed {
            timestamp: b"1700000000".to_vec(),
            nonce: b"chancery".to_vec(),
            short: None,
            long: None,
        };
        let tag = parts.over(token, None);
        tag.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let asking = |tag: String| {
        let mut query = signed(tag);
        query.push(("echostr", CHALLENGE.to_owned()));
        query
    };
    let token = secrets.all(TOKEN).iter().find(|token| !token.is_empty());
    let asked = token.map(|token| Trial {
        shows: "the vendor's handshake is answered",
        method: "GET",
        query: asking(by(token)),
        headers: Vec::new(),
        body: "",
        status: 200,
        reply: Some(CHALLENGE),
        otherwise: "is the address that of this connection, and does a proxy pass the query string on?",
    });
    let stranger = [token.map_or(b"".as_slice(), |token| token.as_slice()), b"-not"].concat();
    let unasked = Trial {
        shows: "a handshake that somebody else signed is refused",
        method: "GET",
        query: asking(by(&stranger)),
        headers: Vec::new(),
        body: "",
        status: 401,
        reply: None,
        otherwise: "something before this program answers in its place",
    };
    let posted = |shows, query| Trial {
        shows,
        method: "POST",
        query,
        headers: vec![("content-type", "text/xml".to_owned())],
        body: EMPTY,
        status: 401,
        reply: None,
        otherwise: "something before this program answers in its place, or does not pass POST on",
    };
    let mut trials: Vec<Trial> = asked.into_iter().collect();
    trials.push(unasked);
    trials.push(posted("an unsigned delivery is refused", Vec::new()));
    trials.push(posted(
        "a forged delivery is refused",
        signed("0".repeat(2 * SHA1_OUTPUT_LEN)),
    ));
    trials
}
