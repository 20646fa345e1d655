//! Fetching a file, answer by answer.

use connect::{Fetch, FetchAnswer, FetchStep, Settings};
use model::Content;

const HASH: &str = "92b2fa58028958317e408bd84ecfa70f5ee35b121991dbc232c49d166353708b";
const OTHER: &str = "0000000000000000000000000000000000000000000000000000000000000000";
const LINK: &str = "https://lookaside.fbsbx.com/whatsapp_business/attachments/?mid=1";

fn fetch(media_id: &str, url: Option<&str>, sha256: Option<&str>) -> Fetch {
    Fetch {
        media_id: Content::new(media_id.to_owned()),
        url: url.map(|url| Content::new(url.to_owned())),
        media_type: Some("image/jpeg".to_owned()),
        sha256: sha256.map(str::to_owned),
        md5: None,
        pull: None,
    }
}

fn answer(status: u16, body: &str) -> FetchAnswer<'_> {
    FetchAnswer {
        status,
        content_type: Some("image/jpeg"),
        retry_after_seconds: None,
        sha256: OTHER,
        body: body.as_bytes(),
        size_bytes: body.len() as u64,
    }
}

fn first(fetch: &Fetch, settings: &Settings) -> FetchStep {
    connect::find("whatsapp-cloud")
        .expect("it is there")
        .fetch_first(fetch, settings)
}

fn next(fetch: &Fetch, step: u32, answer: &FetchAnswer<'_>) -> FetchStep {
    next_with(fetch, &Settings::new(), step, answer)
}

fn next_with(fetch: &Fetch, settings: &Settings, step: u32, answer: &FetchAnswer<'_>) -> FetchStep {
    connect::find("whatsapp-cloud")
        .expect("it is there")
        .fetch_next(fetch, settings, step, answer)
}

fn shown(step: &FetchStep) -> String {
    match step {
        FetchStep::Get { url, bearer } => format!("GET {url} {}", bearer.unwrap_or("open")),
        FetchStep::Ask { .. } | FetchStep::Capture { .. } => "something that Graph is not asked".to_owned(),
        FetchStep::Keep { state } => format!("keep {state:?}"),
        FetchStep::Again { after_seconds, .. } => format!("again {after_seconds}"),
        FetchStep::GiveUp { state, .. } => format!("give up {state:?}"),
    }
}

fn asks(step: FetchStep) -> bool {
    shown(&step) == "GET https://graph.facebook.com/v23.0/1001 access-token"
}

fn link(url: &str) -> String {
    format!(r#"{{"url":"{url}","mime_type":"image/jpeg","sha256":"{HASH}","file_size":9,"id":"1001"}}"#)
}

#[test]
fn the_link_is_asked_for_by_id_even_when_the_webhook_gave_one() {
    assert!(asks(first(&fetch("1001", None, None), &Settings::new())));
    assert!(asks(first(&fetch("1001", Some(LINK), None), &Settings::new())));
}

#[test]
fn the_graph_address_and_version_are_settings() {
    let settings = Settings::from([
        ("graph-url".to_owned(), "http://127.0.0.1:9000/".to_owned()),
        ("graph-version".to_owned(), "v99.0".to_owned()),
    ]);
    let fetch = fetch("1001", None, Some(HASH));
    assert_eq!(
        shown(&first(&fetch, &settings)),
        "GET http://127.0.0.1:9000/v99.0/1001 access-token"
    );
    let link = link("http://127.0.0.1:9000/file");
    assert_eq!(
        shown(&next_with(&fetch, &settings, 0, &answer(200, &link))),
        "GET http://127.0.0.1:9000/file access-token"
    );
}

#[test]
fn the_file_with_the_declared_hash_is_kept() {
    let fetch = fetch("1001", None, Some(HASH));
    assert_eq!(
        shown(&next(&fetch, 0, &answer(200, &link(LINK)))),
        format!("GET {LINK} access-token")
    );
    let file = FetchAnswer {
        sha256: HASH,
        ..answer(200, "a picture")
    };
    assert_eq!(shown(&next(&fetch, 1, &file)), "keep Fetched");
}

#[test]
fn a_file_with_another_hash_is_fetched_once_more_and_then_kept_as_a_mismatch() {
    let fetch = fetch("1001", None, Some(HASH));
    assert!(asks(next(&fetch, 1, &answer(200, "<html>"))));
    assert_eq!(
        shown(&next(&fetch, 2, &answer(200, &link(LINK)))),
        format!("GET {LINK} access-token")
    );
    assert_eq!(shown(&next(&fetch, 3, &answer(200, "<html>"))), "keep Mismatch");
}

#[test]
fn without_a_declared_hash_a_file_is_kept_but_an_error_page_is_not_taken_for_it() {
    let fetch = fetch("1001", None, None);
    assert_eq!(shown(&next(&fetch, 1, &answer(200, "bytes"))), "keep Fetched");
    let page = FetchAnswer {
        content_type: Some("text/html; charset=utf-8"),
        ..answer(200, "<html>")
    };
    assert!(asks(next(&fetch, 1, &page)));
    assert_eq!(shown(&next(&fetch, 3, &page)), "keep Mismatch");
}

#[test]
fn a_bare_link_is_followed_and_tried_twice() {
    let fetch = fetch("", Some(LINK), Some(HASH));
    let get = format!("GET {LINK} access-token");
    assert_eq!(shown(&first(&fetch, &Settings::new())), get);
    assert_eq!(shown(&next(&fetch, 0, &answer(200, "x"))), get);
    assert_eq!(shown(&next(&fetch, 1, &answer(200, "x"))), "keep Mismatch");
    assert_eq!(shown(&next(&fetch, 0, &answer(404, ""))), "give up Expired");
}

#[test]
fn an_expired_link_starts_again_and_an_expired_id_gives_up() {
    let fetch = fetch("1001", None, Some(HASH));
    for status in [403, 404, 410] {
        assert_eq!(shown(&next(&fetch, 1, &answer(status, ""))), "again 0");
    }
    for status in [404, 410] {
        assert_eq!(shown(&next(&fetch, 0, &answer(status, ""))), "give up Expired");
    }
    let absent = r#"{"error":{"message":"Unsupported get request","code":100,"error_subcode":33}}"#;
    assert_eq!(shown(&next(&fetch, 0, &answer(400, absent))), "give up Expired");
}

#[test]
fn limits_and_troubles_wait_as_told_or_by_default() {
    let fetch = fetch("1001", None, Some(HASH));
    let told = FetchAnswer {
        retry_after_seconds: Some(17),
        ..answer(429, "")
    };
    assert_eq!(shown(&next(&fetch, 0, &told)), "again 17");
    let ages = FetchAnswer {
        retry_after_seconds: Some(u64::MAX),
        ..answer(503, "")
    };
    assert_eq!(shown(&next(&fetch, 0, &ages)), "again 86400");
    let cases = [
        (429, "", 300),
        (400, r#"{"error":{"code":80007}}"#, 300),
        (403, r#"{"error":{"code":4}}"#, 300),
        (500, "", 60),
        (503, "<html>", 60),
        (408, "", 60),
        (401, r#"{"error":{"code":190}}"#, 3_600),
        (400, r#"{"error":{"code":190}}"#, 3_600),
        (403, r#"{"error":{"code":200}}"#, 21_600),
        (200, "not json", 60),
        (200, r#"{"url":""}"#, 60),
        (200, r#"{"url":7}"#, 60),
        (204, "", 60),
    ];
    for (status, body, seconds) in cases {
        assert_eq!(
            shown(&next(&fetch, 0, &answer(status, body))),
            format!("again {seconds}"),
            "{status} {body}"
        );
    }
    for status in [302, 400, 405, 451] {
        assert_eq!(
            shown(&next(&fetch, 0, &answer(status, ""))),
            "give up Refused",
            "{status}"
        );
    }
}

#[test]
fn a_link_to_any_other_host_is_not_followed() {
    let fetch = fetch("1001", None, Some(HASH));
    for url in [
        "https://evil.example/x",
        "http://lookaside.fbsbx.com/x",
        "https://lookaside.fbsbx.com.evil.example/x",
        "https://lookaside.fbsbx.com@evil.example/x",
        "https://evil.example/https://lookaside.fbsbx.com/",
        "https://evil.example?lookaside.fbsbx.com",
        "https://evil.example#lookaside.fbsbx.com",
        "https://lookaside.fbsbx.com:8443/x",
        "https://lookaside.fbsbx.com:443:80/x",
        "https://notlookaside.fbsbx.com/x",
        "https://.cdn.whatsapp.net/x",
        "https://evilcdn.whatsapp.net/x",
        "https://127.0.0.1/x",
        "https://[::1]/x",
        "https://localhost/x",
        "https:///x",
        "https://",
        "//lookaside.fbsbx.com/x",
        "lookaside.fbsbx.com/x",
        "ftp://lookaside.fbsbx.com/x",
        "file:///etc/passwd",
        "https://lookaside.fbsbx.com%2eevil.example/x",
        "https://graph.facebook.com.evil.example/x",
        "https://graph.facebook.com:444/x",
        "http://graph.facebook.com/x",
        "https://lookaside.fbsbx.com/\u{20}x",
        "https://evil.example\u{2044}lookaside.fbsbx.com/x",
        "https://evil.example%2f.cdn.whatsapp.net/x",
        "https://evil.example%23.cdn.whatsapp.net/x",
        "https://evil.example;.cdn.whatsapp.net/x",
        "https://evil.example,.cdn.whatsapp.net/x",
        "https://evil.example&.cdn.whatsapp.net/x",
        "https://user:secret@lookaside.fbsbx.com/x",
        "https://@lookaside.fbsbx.com/x",
        "https://lookaside.fbsbx.com./x",
        "https://lookaside.fbsbx.com:/x",
        "https:lookaside.fbsbx.com/x",
        "https:/lookaside.fbsbx.com/x",
    ] {
        assert_eq!(
            shown(&next(&fetch, 0, &answer(200, &link(url)))),
            "give up Refused",
            "{url}"
        );
        let bare = self::fetch("", Some(url), None);
        assert_eq!(shown(&first(&bare, &Settings::new())), "give up Refused", "{url}");
    }
    for url in [
        r"https://evil.example\@lookaside.fbsbx.com/x",
        "https://lookaside.fbsbx.com/\nx",
        "https://\tlookaside.fbsbx.com/",
    ] {
        let bare = self::fetch("", Some(url), None);
        assert_eq!(
            shown(&first(&bare, &Settings::new())),
            "give up Refused",
            "{url:?}"
        );
    }
}

#[test]
fn links_to_the_vendors_hosts_are_followed() {
    let fetch = fetch("1001", None, Some(HASH));
    for url in [
        LINK,
        "https://LOOKASIDE.fbsbx.com/x",
        "https://lookaside.fbsbx.com:443/x",
        "https://mmg.whatsapp.net/x",
        "https://media-arn2-1.cdn.whatsapp.net/v/t62?x=1",
        "https://graph.facebook.com/x",
    ] {
        assert_eq!(
            shown(&next(&fetch, 0, &answer(200, &link(url)))),
            format!("GET {url} access-token")
        );
    }
}

#[test]
fn a_media_id_that_is_no_id_never_becomes_part_of_an_address() {
    for id in [
        "../../me",
        "1001/../2",
        "1001?x=1",
        "1001#",
        "10 01",
        "\u{661}",
        "..",
        "a%2fb",
        "",
    ] {
        assert_eq!(
            shown(&first(&fetch(id, None, None), &Settings::new())),
            "give up Refused",
            "{id}"
        );
    }
}

#[test]
fn answers_of_any_bytes_never_break_the_fetching() {
    let fetch = fetch("1001", None, Some(HASH));
    for body in [
        "",
        "{",
        "[]",
        "null",
        "{\"url\":null}",
        "{\"error\":{\"code\":\"x\"}}",
        "{\"error\":[]}",
        "\u{0}",
    ] {
        for status in [0, 100, 200, 206, 301, 400, 418, 599, u16::MAX] {
            for step in [0, 1, 2, 3, 4, u32::MAX] {
                shown(&next(&fetch, step, &answer(status, body)));
            }
        }
    }
}
