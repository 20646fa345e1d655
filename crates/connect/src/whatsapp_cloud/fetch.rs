//! Fetching a file: first the link, then the bytes, both with the access token.
//!
//! Answers are counted from 0: with a media id the even ones are the link and the odd ones the file; with a bare
//! URL every answer is the file. That is all the state there is.

use model::record::AttachmentState;
use serde_json::value::RawValue;

use super::json::{self, Object, Text};
use crate::hosts;
use crate::{Fetch, FetchAnswer, FetchStep, Settings};

/// Name of the secret.
pub(super) const ACCESS_TOKEN: &str = "access-token";

/// Settings and their defaults. A host that begins with a dot stands for every host under it.
pub(super) const SETTINGS: &[(&str, &str)] = &[
    ("graph-url", "https://graph.facebook.com"),
    ("graph-version", "v23.0"),
    (
        "media-hosts",
        "lookaside.fbsbx.com,mmg.whatsapp.net,.cdn.whatsapp.net",
    ),
];

const MINUTE: u64 = 60;
const HOUR: u64 = 3_600;
/// Codes of "not so fast": application, account, number and pair limits.
const RATE_CODES: &[i64] = &[4, 613, 80_007, 130_429, 131_048, 131_056];
/// Codes of "not this token": expired, or without the permission.
const TOKEN_CODES: &[i64] = &[10, 190];
/// "No such object", which Graph also says with status 400.
const ABSENT_CODE: i64 = 100;

fn setting<'a>(settings: &'a Settings, name: &str) -> &'a str {
    let default = SETTINGS
        .iter()
        .find(|(key, _)| *key == name)
        .map_or("", |(_, value)| value);
    settings
        .get(name)
        .map(|value| value.trim())
        .filter(|value| !value.is_empty())
        .unwrap_or(default)
}

/// The first request.
pub(super) fn first(fetch: &Fetch, settings: &Settings) -> FetchStep {
    if let Some(step) = ask_for_link(fetch, settings) {
        return step;
    }
    match &fetch.url {
        Some(url) => follow(url.reveal(), settings),
        None => refused("there is neither a well-formed media id nor a link"),
    }
}

/// What to do with an answer.
pub(super) fn next(fetch: &Fetch, settings: &Settings, step: u32, answer: &FetchAnswer<'_>) -> FetchStep {
    let by_id = ask_for_link(fetch, settings).is_some();
    if by_id && step.is_multiple_of(2) {
        return link(settings, answer);
    }
    let first_round = if by_id { step < 2 } else { step == 0 };
    file(fetch, settings, answer, by_id, first_round)
}

/// The documented way: ask Graph for a link by the media id. The id goes into a path and is checked first.
fn ask_for_link(fetch: &Fetch, settings: &Settings) -> Option<FetchStep> {
    let id = fetch.media_id.reveal();
    let plain = |text: &str| {
        text.bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
    };
    let version = setting(settings, "graph-version");
    if id.is_empty() || id.starts_with('.') || !plain(id) || !plain(version) {
        return None;
    }
    let base = setting(settings, "graph-url").trim_end_matches('/');
    Some(FetchStep::Get {
        url: format!("{base}/{version}/{id}"),
        bearer: Some(ACCESS_TOKEN),
    })
}

/// The answer that should hold the link.
fn link(settings: &Settings, answer: &FetchAnswer<'_>) -> FetchStep {
    if answer.status != 200 {
        return trouble(answer);
    }
    match text_in(answer.body, "url") {
        Some(url) => follow(&url, settings),
        None => again(answer, MINUTE, "the answer holds no link"),
    }
}

/// The answer that should be the file.
fn file(
    fetch: &Fetch,
    settings: &Settings,
    answer: &FetchAnswer<'_>,
    by_id: bool,
    first_round: bool,
) -> FetchStep {
    match answer.status {
        200 if genuine(fetch, answer) => FetchStep::Keep {
            state: AttachmentState::Fetched,
        },
        200 if first_round => first(fetch, settings),
        200 => FetchStep::Keep {
            state: AttachmentState::Mismatch,
        },
        // A link lives five minutes; a new one can be had as long as the id lives.
        403 | 404 | 410 if by_id => FetchStep::Again {
            after_seconds: 0,
            reason: "the link has expired; a new one is asked for",
        },
        _ => trouble(answer),
    }
}

/// Whether the body is what was declared. Without a declared hash an error page in place of a file is noticed.
fn genuine(fetch: &Fetch, answer: &FetchAnswer<'_>) -> bool {
    if let Some(declared) = &fetch.sha256 {
        return declared.eq_ignore_ascii_case(answer.sha256);
    }
    let essence = |media_type: &str| {
        media_type
            .split(';')
            .next()
            .unwrap_or("")
            .trim()
            .to_ascii_lowercase()
    };
    let got = answer.content_type.map(essence).unwrap_or_default();
    let page = matches!(&*got, "text/html" | "application/json" | "text/javascript");
    !page || fetch.media_type.as_deref().map(essence) == Some(got)
}

/// An answer that is neither link nor file.
fn trouble(answer: &FetchAnswer<'_>) -> FetchStep {
    let code = error_code(answer.body);
    let is = |codes: &[i64]| code.is_some_and(|code| codes.contains(&code));
    match answer.status {
        404 | 410 => expired(),
        429 => again(answer, 5 * MINUTE, "asked too often"),
        _ if is(RATE_CODES) => again(answer, 5 * MINUTE, "asked too often"),
        // An operator can renew the token while the file still lives, so nothing is given up.
        401 => again(answer, HOUR, "the access token is refused"),
        _ if is(TOKEN_CODES) => again(answer, HOUR, "the access token is refused"),
        403 => again(answer, 6 * HOUR, "the access token lacks the permission"),
        408 | 425 => again(answer, MINUTE, "the vendor was too slow"),
        400 if code == Some(ABSENT_CODE) => expired(),
        300..=399 => refused("the vendor redirects elsewhere"),
        400..=499 => refused("the vendor refuses the request"),
        _ => again(answer, MINUTE, "the vendor is in trouble"),
    }
}

fn again(answer: &FetchAnswer<'_>, default: u64, reason: &'static str) -> FetchStep {
    // A day at most: a file lives seven.
    let after_seconds = answer.retry_after_seconds.unwrap_or(default).min(24 * HOUR);
    FetchStep::Again {
        after_seconds,
        reason,
    }
}

fn refused(reason: &'static str) -> FetchStep {
    FetchStep::GiveUp {
        state: AttachmentState::Refused,
        reason,
    }
}

fn expired() -> FetchStep {
    FetchStep::GiveUp {
        state: AttachmentState::Expired,
        reason: "the vendor no longer has the file",
    }
}

/// Goes to an address that a payload or an answer gave, if its host may see the access token.
fn follow(url: &str, settings: &Settings) -> FetchStep {
    if allowed(url, settings) {
        FetchStep::Get {
            url: url.to_owned(),
            bearer: Some(ACCESS_TOKEN),
        }
    } else {
        refused("the link points to a host that is not allowed")
    }
}

fn allowed(url: &str, settings: &Settings) -> bool {
    hosts::allowed(
        url,
        setting(settings, "graph-url"),
        setting(settings, "media-hosts"),
    )
}

fn text_in(body: &[u8], name: &str) -> Option<String> {
    let raw: &RawValue = serde_json::from_slice(body).ok()?;
    match json::text(Object::read(raw)?.get(name)?) {
        Text::Whole(text) if !text.is_empty() => Some(text.into_owned()),
        _ => None,
    }
}

fn error_code(body: &[u8]) -> Option<i64> {
    let raw: &RawValue = serde_json::from_slice(body).ok()?;
    let error = Object::read(Object::read(raw)?.get("error")?)?;
    error.get("code")?.get().parse().ok()
}
