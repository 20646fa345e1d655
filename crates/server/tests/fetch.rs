//! Fetching files from a vendor that behaves, and from one that does not.
#![cfg(test)]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use connect::{Connector, Fetch, Settings};
use model::record::AttachmentState;
use seal::suite::{hex, sha256};
use server::fetch::{FetchLimits, FetchOutcome, Fetcher};
use zeroize::Zeroizing;

const PICTURE: &[u8] = b"\xff\xd8\xff picture";
const ID: &str = "1013859600285441";

type Script = dyn Fn(&str, u32, SocketAddr) -> Response + Send + Sync;

/// A vendor: answers by script, and counts.
struct Vendor {
    address: SocketAddr,
    hits: AtomicU32,
    without_token: AtomicU32,
    script: Box<Script>,
}

async fn answer(State(vendor): State<Arc<Vendor>>, headers: HeaderMap, request: Request) -> Response {
    let hit = vendor.hits.fetch_add(1, Ordering::SeqCst);
    if headers
        .get("authorization")
        .is_none_or(|value| value != "Bearer token")
    {
        vendor.without_token.fetch_add(1, Ordering::SeqCst);
        return (axum::http::StatusCode::UNAUTHORIZED, "{}").into_response();
    }
    (vendor.script)(request.uri().path(), hit, vendor.address)
}

/// Starts a vendor; `script` is called with path, number of the request and the vendor's address.
async fn vendor(script: impl Fn(&str, u32, SocketAddr) -> Response + Send + Sync + 'static) -> Arc<Vendor> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let vendor = Arc::new(Vendor {
        address: listener.local_addr().unwrap(),
        hits: AtomicU32::new(0),
        without_token: AtomicU32::new(0),
        script: Box::new(script),
    });
    let router = Router::new().fallback(answer).with_state(vendor.clone());
    tokio::spawn(serve(listener, router));
    vendor
}

async fn serve(listener: tokio::net::TcpListener, router: Router) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let service = hyper_util::service::TowerToHyperService::new(router.clone());
        let stream = hyper_util::rt::TokioIo::new(stream);
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(stream, service));
    }
}

/// Answers to the link's request with a link to `/file` at `to`.
fn link(to: SocketAddr) -> Response {
    axum_json(format!(r#"{{"url":"http://{to}/file","id":"{ID}"}}"#))
}

fn axum_json(body: String) -> Response {
    ([("content-type", "application/json")], body).into_response()
}

fn picture() -> Response {
    ([("content-type", "image/jpeg")], PICTURE).into_response()
}

fn status(code: u16) -> Response {
    (axum::http::StatusCode::from_u16(code).unwrap(), "{}").into_response()
}

fn connector() -> &'static dyn Connector {
    connect::find("whatsapp-cloud").unwrap()
}

fn wanted(hash: bool) -> Fetch {
    Fetch {
        media_id: ID.into(),
        url: None,
        media_type: Some("image/jpeg".into()),
        sha256: hash.then(|| hex(&sha256(PICTURE))),
        md5: None,
        pull: None,
    }
}

async fn attempt_with(vendor: &Vendor, limits: FetchLimits, hash: bool) -> FetchOutcome {
    let settings = Settings::from([("graph-url".to_owned(), format!("http://{}", vendor.address))]);
    let bearer = |name: &str| (name == "access-token").then(|| Zeroizing::new(b"token".to_vec()));
    let fetcher = Fetcher::new(limits, None).unwrap();
    fetcher.fetch(connector(), &wanted(hash), &settings, bearer).await
}

async fn attempt(vendor: &Vendor, hash: bool) -> FetchOutcome {
    attempt_with(vendor, FetchLimits::default(), hash).await
}

fn check(outcome: &FetchOutcome, expected: &str) {
    assert_eq!(format!("{outcome:?}"), expected);
}

#[tokio::test]
async fn a_file_is_fetched_with_the_token_by_its_link() {
    let vendor = vendor(|path, _, own| if path == "/file" { picture() } else { link(own) }).await;
    for hash in [true, false] {
        let FetchOutcome::Keep {
            state,
            bytes,
            media_type,
        } = attempt(&vendor, hash).await
        else {
            panic!("not kept")
        };
        assert_eq!((state, &**bytes), (AttachmentState::Fetched, PICTURE));
        assert_eq!(media_type.as_deref(), Some("image/jpeg"));
    }
    assert_eq!(vendor.hits.load(Ordering::SeqCst), 4);
    assert_eq!(vendor.without_token.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn without_a_token_nothing_is_asked() {
    let vendor = vendor(|_, _, _| picture()).await;
    let settings = Settings::from([("graph-url".to_owned(), format!("http://{}", vendor.address))]);
    let fetcher = Fetcher::new(FetchLimits::default(), None).unwrap();
    let outcome = fetcher
        .fetch(connector(), &wanted(true), &settings, |_| None)
        .await;
    check(&outcome, "Again(3600 s, no access token is configured)");
    assert_eq!(vendor.hits.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn an_expired_link_is_asked_for_anew_at_the_next_attempt() {
    let vendor = vendor(|path, hit, own| match (path, hit) {
        ("/file", 1) => status(404),
        ("/file", _) => picture(),
        _ => link(own),
    })
    .await;
    check(
        &attempt(&vendor, true).await,
        "Again(0 s, the link has expired; a new one is asked for)",
    );
    check(&attempt(&vendor, true).await, "Keep(Fetched, 11 bytes)");
}

#[tokio::test]
async fn a_file_that_is_not_what_was_declared_is_asked_for_twice_and_kept_as_such() {
    let vendor = vendor(|path, _, own| {
        if path == "/file" {
            ([("content-type", "image/jpeg")], "another").into_response()
        } else {
            link(own)
        }
    })
    .await;
    check(&attempt(&vendor, true).await, "Keep(Mismatch, 7 bytes)");
    assert_eq!(vendor.hits.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn an_error_page_in_place_of_a_picture_is_noticed_without_a_hash() {
    let vendor = vendor(|path, hit, own| match (path, hit) {
        ("/file", 1) => ([("content-type", "text/html; charset=utf-8")], "<html>Sorry").into_response(),
        ("/file", _) => picture(),
        _ => link(own),
    })
    .await;
    check(&attempt(&vendor, false).await, "Keep(Fetched, 11 bytes)");
}

#[tokio::test]
async fn a_vendor_that_asks_for_patience_gets_it() {
    let vendor = vendor(|_, hit, _| {
        let wait = match hit {
            0 => "17",
            1 => "Wed, 21 Oct 2026 07:28:00 GMT",
            _ => "soon",
        };
        let code = axum::http::StatusCode::TOO_MANY_REQUESTS;
        let date = "Wed, 21 Oct 2026 07:27:00 GMT";
        (code, [("retry-after", wait), ("date", date)], "{}").into_response()
    })
    .await;
    check(&attempt(&vendor, true).await, "Again(17 s, asked too often)");
    check(&attempt(&vendor, true).await, "Again(60 s, asked too often)");
    check(&attempt(&vendor, true).await, "Again(300 s, asked too often)");
}

#[tokio::test]
async fn what_the_vendor_no_longer_has_is_given_up_and_what_it_cannot_give_now_is_not() {
    let cases = [
        (404, "GiveUp(Expired, the vendor no longer has the file)"),
        (410, "GiveUp(Expired, the vendor no longer has the file)"),
        (418, "GiveUp(Refused, the vendor refuses the request)"),
        (500, "Again(60 s, the vendor is in trouble)"),
        (503, "Again(60 s, the vendor is in trouble)"),
        (401, "Again(3600 s, the access token is refused)"),
    ];
    for (code, expected) in cases {
        let vendor = vendor(move |_, _, _| status(code)).await;
        check(&attempt(&vendor, true).await, expected);
        assert_eq!(vendor.hits.load(Ordering::SeqCst), 1, "{code}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_a_link_elsewhere_is_not_asked() {
    let inside = vendor(|_, _, _| picture()).await;
    let elsewhere = inside.address;
    let redirecting = vendor(move |_, _, _| {
        let place = format!("http://{elsewhere}/file");
        (axum::http::StatusCode::FOUND, [("location", place)]).into_response()
    })
    .await;
    check(
        &attempt(&redirecting, true).await,
        "GiveUp(Refused, the vendor redirects elsewhere)",
    );
    let later = vendor(move |path, _, own| match path {
        "/file" => {
            let place = format!("http://{elsewhere}/file");
            (axum::http::StatusCode::TEMPORARY_REDIRECT, [("location", place)]).into_response()
        }
        _ => link(own),
    })
    .await;
    check(
        &attempt(&later, true).await,
        "GiveUp(Refused, the vendor redirects elsewhere)",
    );
    let links = [
        format!("http://{elsewhere}/file"),
        format!("http://localhost:{}/file", elsewhere.port()),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "https://lookaside.fbsbx.com@127.0.0.1/file".to_owned(),
        "file:///etc/passwd".to_owned(),
        "gopher://127.0.0.1/".to_owned(),
    ];
    for url in links {
        let body = serde_json::json!({ "url": url }).to_string();
        let linking = vendor(move |_, _, _| axum_json(body.clone())).await;
        let outcome = attempt(&linking, true).await;
        check(
            &outcome,
            "GiveUp(Refused, the link points to a host that is not allowed)",
        );
    }
    assert_eq!(inside.hits.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_file_larger_than_allowed_is_refused_whether_or_not_it_says_so() {
    let limits = FetchLimits {
        body_bytes: 1000,
        ..FetchLimits::default()
    };
    for declared in [true, false] {
        let vendor = vendor(move |path, _, own| match path {
            "/file" if declared => Response::new(Body::from(vec![0; 1001])),
            "/file" => Response::new(Body::new(Endless)),
            _ => link(own),
        })
        .await;
        let outcome = attempt_with(&vendor, limits.clone(), true).await;
        check(&outcome, "GiveUp(Refused, the file is larger than allowed)");
    }
}

/// A body without a length and without an end.
struct Endless;

impl hyper::body::Body for Endless {
    type Data = axum::body::Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<hyper::body::Frame<Self::Data>, Self::Error>>> {
        let piece = hyper::body::Frame::data(axum::body::Bytes::from_static(&[0; 64]));
        std::task::Poll::Ready(Some(Ok(piece)))
    }
}

#[tokio::test]
async fn a_vendor_that_never_answers_or_is_not_there_is_left_for_later() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ask = |address: SocketAddr| async move {
        let settings = Settings::from([("graph-url".to_owned(), format!("http://{address}"))]);
        let limits = FetchLimits {
            read_timeout: Duration::from_millis(100),
            ..FetchLimits::default()
        };
        let token = |_: &str| Some(Zeroizing::new(b"token".to_vec()));
        let fetcher = Fetcher::new(limits, None).unwrap();
        fetcher.fetch(connector(), &wanted(true), &settings, token).await
    };
    let address = silent.local_addr().unwrap();
    tokio::select! {
        outcome = ask(address) => check(&outcome, "Again(30 s, the vendor did not answer in time)"),
        () = hold(&silent) => {}
    }
    drop(silent);
    check(&ask(address).await, "Again(30 s, the vendor cannot be reached)");
}

/// Takes connections and says nothing.
async fn hold(listener: &tokio::net::TcpListener) {
    let mut held = Vec::new();
    loop {
        held.push(listener.accept().await.unwrap());
    }
}
