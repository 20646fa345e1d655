//! Requests: one POST each.

use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use reqwest::{Client, Url};

use crate::vault::VaultError;

/// For a request and its whole answer.
const TIMEOUT: Duration = Duration::from_secs(15);

/// An address that may be configured.
pub(in crate::vault) fn address(text: &str) -> Result<Url, VaultError> {
    let url = Url::parse(text).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https") && url.username().is_empty() && url.password().is_none()
    });
    url.ok_or_else(|| {
        VaultError::Usage("--url takes an address that begins with https:// or http://".to_owned())
    })
}

/// An answer.
pub(in crate::vault) struct Answer {
    pub(in crate::vault) status: u16,
    pub(in crate::vault) content_type: String,
    pub(in crate::vault) body: Vec<u8>,
}

/// The client: no redirects, no proxy of the environment's, nothing sent but the request.
pub(in crate::vault) fn client() -> Result<Client, String> {
    Client::builder()
        .user_agent(concat!("chancery/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .referer(false)
        .no_proxy()
        .timeout(TIMEOUT)
        .build()
        .map_err(|_| "no request can be made: install the system's certificates (ca-certificates)".to_owned())
}

/// Posts with more headers. Of the answer only the status is read: nobody can make us wait for its body, or keep it.
pub(in crate::vault) async fn notify(
    client: &Client,
    url: &str,
    headers: &[(&'static str, String)],
    body: Vec<u8>,
) -> Result<u16, String> {
    let url = Url::parse(url).map_err(|_| "the address is none".to_owned())?;
    let mut request = client.post(url).header(CONTENT_TYPE, "application/json");
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    let answer = request.body(body).send().await;
    Ok(answer.map_err(|error| no_answer(&error))?.status().as_u16())
}

/// Posts, and reads at most `limit` bytes of the answer.
pub(in crate::vault) async fn post(
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
