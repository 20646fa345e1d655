//! Requests to anchors. What goes out is public: checkpoints, proofs, hashes.

use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use reqwest::{Client, Url};

use crate::vault::VaultError;

/// For a request and its whole answer.
const TIMEOUT: Duration = Duration::from_secs(15);

/// An address that may be configured.
pub(super) fn address(text: &str) -> Result<Url, VaultError> {
    let url = Url::parse(text).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none()
    });
    url.ok_or_else(|| {
        VaultError::Usage("--url takes an address that begins with https:// or http://".to_owned())
    })
}

/// An answer.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) content_type: String,
    pub(super) body: Vec<u8>,
}

/// The client: no redirects, no proxy of the environment's, nothing sent but the request.
pub(super) fn client() -> Result<Client, String> {
    Client::builder()
        .user_agent(concat!("chancery/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .referer(false)
        .no_proxy()
        .timeout(TIMEOUT)
        .build()
        .map_err(|_| "no request can be made: install the system's certificates (ca-certificates)".to_owned())
}

/// Posts, and reads at most `limit` bytes of the answer.
pub(super) async fn post(
    client: &Client,
    url: &str,
    content_type: &'static str,
    body: Vec<u8>,
    limit: usize,
) -> Result<Answer, String> {
    // Configured addresses were read before.
    let url = Url::parse(url).map_err(|_| "the address is none".to_owned())?;
    let request = client.post(url).header(CONTENT_TYPE, content_type).body(body);
    let mut response = request.send().await.map_err(|error| no_answer(&error))?;
    let content_type = response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let content_type = content_type.unwrap_or_default().to_owned();
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|error| no_answer(&error))? {
        body.extend_from_slice(&piece);
        if body.len() > limit {
            return Err("the answer is longer than any such answer".to_owned());
        }
    }
    Ok(Answer {
        status: response.status().as_u16(),
        content_type,
        body,
    })
}

/// The error itself is not passed on: it names the address.
fn no_answer(error: &reqwest::Error) -> String {
    let text = if error.is_timeout() {
        "no answer in 15 seconds"
    } else if error.is_connect() {
        "cannot be reached (or its certificate is not trusted here)"
    } else {
        "the answer broke off"
    };
    text.to_owned()
}
