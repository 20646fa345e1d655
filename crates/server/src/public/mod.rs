//! What the vault serves itself: the status page, its style, the status as JSON, and the API's document.
//!
//! Nothing here needs a sign-in, so nothing here may say more than numbers, times, and names that the operator gave
//! to connections.

pub mod language;
mod page;
pub(crate) mod words;

use std::sync::Arc;

use axum::Router;
use axum::extract::{RawQuery, Request, State};
use axum::http::header::{
    ACCEPT_LANGUAGE, CACHE_CONTROL, CONTENT_LANGUAGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY,
    VARY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::{Deserialize, Serialize};

use crate::host::{Host, Status};
use crate::listen::{IntakeHealth, Links};

/// The whole style sheet.
const STYLE: &str = include_str!("style.css");
/// The API's document.
pub const OPENAPI: &str = include_str!("openapi.json");

/// Only our own style sheet may be loaded; nothing runs, nothing frames, nothing is submitted.
const POLICY: &str = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; \
                      frame-ancestors 'none'";

/// Sent with every answer.
const HEADERS: [(HeaderName, &str); 7] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "no-referrer"),
    (CACHE_CONTROL, "no-store"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

/// What `/api/v1/status` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WholeStatus {
    /// What the host knows.
    #[serde(flatten)]
    pub status: Status,
    /// How the intake is doing.
    pub intake: IntakeHealth,
}

/// What pages are made from.
#[derive(Clone)]
struct View {
    host: Arc<dyn Host>,
    links: Links,
}

impl View {
    fn whole(&self) -> WholeStatus {
        WholeStatus {
            status: self.host.status(),
            intake: self.links.health(),
        }
    }
}

/// All routes of the vault.
pub(crate) fn router(host: Arc<dyn Host>, links: Links) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/style.css", get(style))
        .route("/api/v1/status", get(status))
        .route("/api/openapi.json", get(openapi))
        .fallback(nothing)
        .layer(from_fn(guarded))
        .with_state(View { host, links })
}

async fn page(State(view): State<View>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let accepted = headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    let language = language::choose(query.as_deref().unwrap_or_default(), accepted.unwrap_or_default());
    let html = page::render(&view.whole(), language);
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_LANGUAGE, language.tag()),
        (VARY, "accept-language"),
    ];
    (headers, html).into_response()
}

async fn style() -> Response {
    ([(CONTENT_TYPE, "text/css; charset=utf-8")], STYLE).into_response()
}

async fn status(State(view): State<View>) -> Response {
    json(serde_json::to_vec(&view.whole()).unwrap_or_default())
}

async fn openapi() -> Response {
    json(OPENAPI.as_bytes().to_vec())
}

fn json(bytes: Vec<u8>) -> Response {
    ([(CONTENT_TYPE, "application/json")], bytes).into_response()
}

async fn nothing(request: Request) -> Response {
    // A connection belongs to one side for its whole life; this one is the vault's.
    let status = if request.uri().path().starts_with("/in/") {
        StatusCode::MISDIRECTED_REQUEST
    } else {
        StatusCode::NOT_FOUND
    };
    status.into_response()
}

async fn guarded(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    for (name, value) in HEADERS {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}
