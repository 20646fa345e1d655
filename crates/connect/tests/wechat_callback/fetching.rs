//! Files and announced messages are asked for with a token, from the right place.

use connect::{Fetch, FetchAnswer, FetchStep, Pull, Settings};
use model::Content;

use crate::connector;

fn content(text: &str) -> Content<'static> {
    Content::new(text.to_owned())
}

fn media(id: &str, url: Option<&str>) -> Fetch {
    Fetch {
        media_id: content(id),
        url: url.map(content),
        media_type: None,
        sha256: None,
        md5: None,
        pull: None,
    }
}

fn bell(cursor: Option<&str>) -> Fetch {
    Fetch {
        pull: Some(Pull {
            account: content("wk 1"),
            token: Some(content("ENC")),
            cursor: cursor.map(content),
        }),
        ..media("", None)
    }
}

fn settings(more: &[(&str, &str)]) -> Settings {
    let pairs = [("receive-id", "empty, ww1")].iter().chain(more);
    pairs
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn shown(step: FetchStep) -> String {
    match step {
        FetchStep::Get { url, bearer } => format!("GET {url} {}", bearer.unwrap_or("open")),
        FetchStep::Ask { url, body, secret } => {
            let how = body.map_or("GET".to_owned(), |body| format!("POST {body} to"));
            format!("{how} {url} {}", secret.unwrap_or("open"))
        }
        FetchStep::Capture { asked, cursor } => format!("capture {asked} {cursor:?}"),
        FetchStep::Keep { state } => format!("keep {state:?}"),
        FetchStep::Again { after_seconds, .. } => format!("again {after_seconds}"),
        FetchStep::GiveUp { state, .. } => format!("give up {state:?}"),
    }
}

fn first(fetch: &Fetch, more: &[(&str, &str)]) -> String {
    shown(connector().fetch_first(fetch, &settings(more)))
}

fn next(fetch: &Fetch, step: u32, status: u16, media_type: &str, body: &str) -> String {
    let answer = FetchAnswer {
        status,
        content_type: Some(media_type),
        retry_after_seconds: None,
        sha256: "",
        body: body.as_bytes(),
        size_bytes: body.len() as u64,
    };
    shown(connector().fetch_next(fetch, &settings(&[]), step, &answer))
}

fn json(fetch: &Fetch, step: u32, body: &str) -> String {
    next(fetch, step, 200, "application/json; charset=UTF-8", body)
}

const TOKEN: &str = r#"{"errcode":0,"errmsg":"ok","access_token":"T/1","expires_in":7200}"#;
const ASKS_WECOM: &str =
    "GET https://qyapi.weixin.qq.com/cgi-bin/gettoken?corpid=ww1&corpsecret={secret} api-secret";

#[test]
fn a_token_is_asked_for_first_with_the_secret_and_the_id_of_the_app() {
    assert_eq!(first(&media("M", None), &[]), ASKS_WECOM);
    assert_eq!(first(&bell(None), &[]), ASKS_WECOM);
    assert_eq!(
        first(
            &media("M", None),
            &[("api", "official-account"), ("api-id", "wx\"2")]
        ),
        "POST {\"grant_type\":\"client_credential\",\"appid\":\"wx\\\"2\",\"secret\":{secret}} to \
         https://api.weixin.qq.com/cgi-bin/stable_token api-secret"
    );
    assert_eq!(first(&media("M", None), &[("receive-id", "empty")]), "again 3600");
}

#[test]
fn a_file_is_asked_for_with_the_token() {
    let file = media("M&a=b", None);
    assert_eq!(
        json(&file, 0, TOKEN),
        "GET https://qyapi.weixin.qq.com/cgi-bin/media/get?access_token=T%2F1&media_id=M%26a%3Db open"
    );
    assert_eq!(next(&file, 1, 200, "image/jpeg", "bytes"), "keep Fetched");
    assert_eq!(next(&file, 1, 200, "text/plain", "a text file"), "keep Fetched");
    assert_eq!(json(&file, 1, r#"{"a file":"of JSON"}"#), "keep Fetched");
    assert_eq!(next(&file, 1, 200, "text/html", "<html>"), "again 60");
    assert_eq!(
        json(&file, 1, r#"{"errcode":40007,"errmsg":"invalid media_id"}"#),
        "give up Expired"
    );
    assert_eq!(
        next(&file, 1, 200, "text/plain", r#"{"errcode":40007}"#),
        "give up Expired"
    );
    assert_eq!(json(&file, 1, r#"{"errcode":42001}"#), "again 60");
    assert_eq!(json(&file, 1, r#"{"errcode":45009}"#), "again 300");
    assert_eq!(json(&file, 1, r#"{"errcode":99}"#), "again 600");
    assert_eq!(next(&file, 1, 404, "", ""), "give up Expired");
    assert_eq!(next(&file, 1, 400, "", ""), "give up Refused");
    assert_eq!(next(&file, 1, 302, "", ""), "give up Refused");
    assert_eq!(next(&file, 1, 503, "", ""), "again 60");
    assert_eq!(
        json(&file, 1, r#"{"video_url":"http://mmvideo.qq.com/v?x=1"}"#),
        "GET https://mmvideo.qq.com/v?x=1 open"
    );
}

#[test]
fn without_a_token_nothing_is_asked_for() {
    let file = media("M", None);
    for body in ["", "[]", "{}", r#"{"access_token":""}"#, r#"{"access_token":5}"#] {
        assert_eq!(json(&file, 0, body), "again 60", "{body}");
    }
    assert_eq!(
        json(&file, 0, r#"{"errcode":40013,"errmsg":"invalid corpid"}"#),
        "again 3600"
    );
    assert_eq!(
        json(
            &file,
            0,
            r#"{"errcode":60020,"errmsg":"not allow to access from your ip"}"#
        ),
        "again 3600"
    );
    assert_eq!(next(&file, 0, 500, "application/json", TOKEN), "again 60");
}

#[test]
fn announced_messages_are_asked_for_from_where_the_last_answer_ended() {
    let ask = |body: &str| {
        format!("POST {body} to https://qyapi.weixin.qq.com/cgi-bin/kf/sync_msg?access_token=T%2F1 open")
    };
    assert_eq!(
        json(&bell(None), 0, TOKEN),
        ask(r#"{"limit":100,"open_kfid":"wk 1","token":"ENC","voice_format":0}"#)
    );
    assert_eq!(
        json(&bell(Some("c1")), 0, TOKEN),
        ask(r#"{"cursor":"c1","limit":100,"open_kfid":"wk 1","token":"ENC","voice_format":0}"#)
    );
    let answer = r#"{"errcode":0,"errmsg":"ok","next_cursor":"c2","has_more":0,"msg_list":[]}"#;
    assert_eq!(
        json(&bell(None), 1, answer),
        "capture open_kfid=wk%201 Some(\"c2\")"
    );
    assert_eq!(json(&bell(None), 1, r#"{"errcode":0}"#), "again 60");
    assert_eq!(json(&bell(None), 1, "not JSON"), "again 60");
    assert_eq!(
        json(&bell(None), 1, r#"{"errcode":60030,"msg_list":[]}"#),
        "again 600"
    );
    // The announcement's own token is too old: once more without it.
    assert_eq!(json(&bell(None), 1, r#"{"errcode":95007}"#), ASKS_WECOM);
    assert_eq!(
        json(&bell(None), 2, TOKEN),
        ask(r#"{"limit":100,"open_kfid":"wk 1","voice_format":0}"#)
    );
    assert_eq!(json(&bell(None), 3, r#"{"errcode":95007}"#), "again 600");
}

#[test]
fn only_the_platforms_hosts_are_asked_and_never_without_encryption() {
    let at = |url: &str| first(&media("M", Some(url)), &[]);
    assert_eq!(
        at("http://mmbiz.qpic.cn/a/0"),
        "GET https://mmbiz.qpic.cn/a/0 open"
    );
    assert_eq!(
        at("https://mmbiz.qpic.cn/a/0?x=1"),
        "GET https://mmbiz.qpic.cn/a/0?x=1 open"
    );
    for url in [
        "http://169.254.169.254/latest",
        "https://example.org/mmbiz.qpic.cn",
        "https://mmbiz.qpic.cn@example.org/",
        "https://evilqpic.cn/",
        "https://mmbiz.qpic.cn:8443/",
        "file:///etc/passwd",
        "",
    ] {
        assert_eq!(at(url), "give up Refused", "{url}");
    }
    let own = [("api-url", "http://127.0.0.1:9/x")];
    assert_eq!(
        first(&media("M", Some("http://127.0.0.1:9/p")), &own),
        "GET http://127.0.0.1:9/p open"
    );
    assert_eq!(
        next(
            &media("M", Some("https://mmbiz.qpic.cn/a")),
            0,
            200,
            "image/png",
            "x"
        ),
        "keep Fetched"
    );
}
