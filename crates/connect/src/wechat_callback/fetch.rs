//! Fetching what a callback only names: files, and the messages of 微信客服.
//!
//! Both need an access token, which is asked for first with the app's secret, each time: the platforms answer with the
//! same one as long as it is good, and of an Official Account the *stable* one is asked for, which takes nothing from
//! the company's own service. Answers are counted from 0: even ones are the token, odd ones what was asked for with it.

use std::borrow::Cow;

use model::record::AttachmentState;
use serde_json::{Value, json};

use super::signature::RECEIVER;
use crate::hosts;
use crate::query::escaped;
use crate::{Fetch, FetchAnswer, FetchStep, Pull, SECRET_PLACE, Settings};

/// Name of the secret.
pub(super) const API_SECRET: &str = "api-secret";

const API: &str = "api";
const WECOM: &str = "wecom";
const OFFICIAL: &str = "official-account";
const API_ID: &str = "api-id";
const API_URL: &str = "api-url";
const MEDIA_HOSTS: &str = "media-hosts";

/// Settings and their defaults. A host that begins with a dot stands for every host under it.
pub(super) const SETTINGS: &[(&str, &str)] = &[
    (RECEIVER, ""),
    (API, WECOM),
    (API_ID, ""),
    (API_URL, ""),
    (MEDIA_HOSTS, ".qpic.cn,.qq.com"),
];

/// Messages asked for at once: an answer is to fit into what is shown of one.
const PULL_LIMIT: u32 = 100;

const MINUTE: u64 = 60;
const HOUR: u64 = 3_600;
/// The access token has run out meanwhile.
const TOKEN_CODES: &[i64] = &[40_001, 40_014, 41_001, 42_001];
/// The secret, the id, or this server's address is not the app's; or it may not do this.
const RIGHTS_CODES: &[i64] = &[40_013, 40_091, 40_125, 40_164, 48_001, 48_002, 60_011, 60_020];
/// Asked too often, or the platform is busy.
const RATE_CODES: &[i64] = &[-1, 45_009, 45_011, 45_033];
/// No such file, or no more.
const ABSENT_CODES: &[i64] = &[40_007];
/// The token of an announcement lives ten minutes; without one it may be asked too, though seldom.
const PULL_TOKEN_CODES: &[i64] = &[95_007];

fn setting<'a>(settings: &'a Settings, name: &str) -> &'a str {
    let given = settings
        .get(name)
        .map(|value| value.trim())
        .filter(|value| !value.is_empty());
    let default = || {
        SETTINGS
            .iter()
            .find(|(known, _)| *known == name)
            .map_or("", |(_, value)| *value)
    };
    given.unwrap_or_else(default)
}

fn is_official(settings: &Settings) -> bool {
    setting(settings, API) == OFFICIAL
}

/// Whether the settings about fetching can be meant.
pub(super) fn check(settings: &Settings) -> Result<(), &'static str> {
    match setting(settings, API) {
        WECOM | OFFICIAL => Ok(()),
        _ => Err("the setting api must be wecom or official-account"),
    }
}

fn base(settings: &Settings) -> &str {
    match setting(settings, API_URL).trim_end_matches('/') {
        "" if is_official(settings) => "https://api.weixin.qq.com",
        "" => "https://qyapi.weixin.qq.com",
        url => url,
    }
}

/// Whose access token it is: as set, or for whom deliveries are.
fn id(settings: &Settings) -> Option<&str> {
    let set = setting(settings, API_ID);
    let mut receivers = setting(settings, RECEIVER).split(',').map(str::trim);
    Some(set)
        .filter(|id| !id.is_empty())
        .or_else(|| receivers.find(|id| !id.is_empty() && *id != "empty"))
}

/// The first request.
pub(super) fn first(fetch: &Fetch, settings: &Settings) -> FetchStep {
    // A picture's own address needs no token.
    match &fetch.url {
        Some(url) => follow(url.reveal(), settings),
        None => ask_for_token(settings),
    }
}

fn ask_for_token(settings: &Settings) -> FetchStep {
    let Some(id) = id(settings) else {
        return FetchStep::Again {
            after_seconds: HOUR,
            reason: "neither api-id nor receive-id says whose access token to ask for",
        };
    };
    let (base, secret) = (base(settings), Some(API_SECRET));
    if is_official(settings) {
        let id = Value::from(id);
        return FetchStep::Ask {
            url: format!("{base}/cgi-bin/stable_token"),
            body: Some(format!(
                r#"{{"grant_type":"client_credential","appid":{id},"secret":{SECRET_PLACE}}}"#
            )),
            secret,
        };
    }
    FetchStep::Ask {
        url: format!(
            "{base}/cgi-bin/gettoken?corpid={}&corpsecret={SECRET_PLACE}",
            escaped(id)
        ),
        body: None,
        secret,
    }
}

/// What to do with an answer.
pub(super) fn next(fetch: &Fetch, settings: &Settings, step: u32, answer: &FetchAnswer<'_>) -> FetchStep {
    if fetch.url.is_some() {
        return file(settings, answer);
    }
    if step.is_multiple_of(2) {
        return match token(answer) {
            Ok(token) => with_token(fetch, settings, step, &token),
            Err(step) => step,
        };
    }
    match &fetch.pull {
        Some(pull) => pulled(pull, settings, step, answer),
        None => file(settings, answer),
    }
}

/// The access token in an answer.
fn token(answer: &FetchAnswer<'_>) -> Result<String, FetchStep> {
    let body = fields(answer.body);
    let token = body.as_ref().and_then(|body| body.get("access_token")?.as_str());
    match token {
        Some(token) if answer.status == 200 && !token.is_empty() => Ok(token.to_owned()),
        _ => Err(trouble(answer, code(answer.body))),
    }
}

/// What the token was asked for.
fn with_token(fetch: &Fetch, settings: &Settings, step: u32, token: &str) -> FetchStep {
    let (base, token) = (base(settings), escaped(token));
    let Some(pull) = &fetch.pull else {
        let media = escaped(fetch.media_id.reveal()).into_owned();
        return FetchStep::Ask {
            url: format!("{base}/cgi-bin/media/get?access_token={token}&media_id={media}"),
            body: None,
            secret: None,
        };
    };
    let mut body = json!({ "open_kfid": pull.account.reveal(), "limit": PULL_LIMIT, "voice_format": 0 });
    if let Value::Object(fields) = &mut body {
        let mut put = |name: &str, value: Option<&str>| {
            if let Some(value) = value {
                fields.insert(name.to_owned(), value.into());
            }
        };
        put("cursor", pull.cursor.as_ref().map(|cursor| cursor.reveal()));
        // Of the second round none: it was refused.
        put(
            "token",
            pull.token
                .as_ref()
                .filter(|_| step == 0)
                .map(|token| token.reveal()),
        );
    }
    FetchStep::Ask {
        url: format!("{base}/cgi-bin/kf/sync_msg?access_token={token}"),
        body: Some(body.to_string()),
        secret: None,
    }
}

/// The answer that should hold messages.
fn pulled(pull: &Pull, settings: &Settings, step: u32, answer: &FetchAnswer<'_>) -> FetchStep {
    let body = fields(answer.body);
    match (answer.status, code(answer.body), &body) {
        (200, Some(0) | None, Some(body)) if body.contains_key("msg_list") => FetchStep::Capture {
            asked: format!("open_kfid={}", escaped(pull.account.reveal())),
            cursor: body.get("next_cursor").and_then(Value::as_str).map(str::to_owned),
        },
        (200, Some(code), _) if PULL_TOKEN_CODES.contains(&code) && step == 1 => ask_for_token(settings),
        (_, code, _) => trouble(answer, code),
    }
}

/// The answer that should be the file, or say where it is.
fn file(settings: &Settings, answer: &FetchAnswer<'_>) -> FetchStep {
    let essence = answer
        .content_type
        .unwrap_or_default()
        .split(';')
        .next()
        .unwrap_or_default();
    let essence = essence.trim().to_ascii_lowercase();
    // Errors come with status 200, as JSON that calls itself this or that.
    let said = matches!(&*essence, "" | "application/json" | "text/plain")
        .then(|| fields(answer.body))
        .flatten();
    let code = said
        .as_ref()
        .and_then(|said| said.get("errcode")?.as_i64())
        .filter(|code| *code != 0);
    let video = said.as_ref().and_then(|said| said.get("video_url")?.as_str());
    match (answer.status, code, video) {
        // Videos of an Official Account are somewhere else.
        (200, None, Some(url)) => follow(url, settings),
        (200, None, None) if essence != "text/html" => FetchStep::Keep {
            state: AttachmentState::Fetched,
        },
        _ => trouble(answer, code),
    }
}

/// Goes to an address that a callback or an answer gave. The platforms write `http` and take `https`.
fn follow(url: &str, settings: &Settings) -> FetchStep {
    let vendor = base(settings);
    let mut url = Cow::Borrowed(url);
    if !hosts::allowed(&url, vendor, "") {
        if let Some(rest) = url.strip_prefix("http://") {
            url = Cow::Owned(format!("https://{rest}"));
        }
        if !hosts::allowed(&url, vendor, setting(settings, MEDIA_HOSTS)) {
            return FetchStep::GiveUp {
                state: AttachmentState::Refused,
                reason: "the address is of a host that is not allowed",
            };
        }
    }
    FetchStep::Get {
        url: url.into_owned(),
        bearer: None,
    }
}

/// An answer that is not what was asked for.
fn trouble(answer: &FetchAnswer<'_>, code: Option<i64>) -> FetchStep {
    let is = |codes: &[i64]| code.is_some_and(|code| codes.contains(&code));
    let give_up = |state, reason| FetchStep::GiveUp { state, reason };
    match answer.status {
        _ if is(ABSENT_CODES) => give_up(AttachmentState::Expired, "the platform no longer has the file"),
        _ if is(TOKEN_CODES) => again(answer, MINUTE, "the access token is refused"),
        _ if is(RIGHTS_CODES) => again(answer, HOUR, "the app's secret, id or rights are refused"),
        _ if is(RATE_CODES) => again(answer, 5 * MINUTE, "asked too often"),
        _ if code.is_some_and(|code| code != 0) => {
            again(answer, 10 * MINUTE, "the platform reports an error")
        }
        404 | 410 => give_up(AttachmentState::Expired, "the platform no longer has the file"),
        429 => again(answer, 5 * MINUTE, "asked too often"),
        401 | 403 => again(answer, HOUR, "the platform refuses the request"),
        300..=399 => give_up(AttachmentState::Refused, "the platform redirects elsewhere"),
        400..=499 => give_up(AttachmentState::Refused, "the platform refuses the request"),
        _ => again(answer, MINUTE, "the platform is in trouble"),
    }
}

fn again(answer: &FetchAnswer<'_>, default: u64, reason: &'static str) -> FetchStep {
    FetchStep::Again {
        // A day at most: what is announced lives three.
        after_seconds: answer.retry_after_seconds.unwrap_or(default).min(24 * HOUR),
        reason,
    }
}

fn fields(body: &[u8]) -> Option<serde_json::Map<String, Value>> {
    serde_json::from_slice(body).ok()
}

fn code(body: &[u8]) -> Option<i64> {
    fields(body)?.get("errcode")?.as_i64()
}
