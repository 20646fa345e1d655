//! Trying a connection's door by its address, as the vendor would come.

use std::time::Duration;

use connect::{Connector, Secrets, Trial};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, StatusCode, Url};

use super::VaultError;
use super::connections::TestResult;

/// For each request and its answer.
const TIMEOUT: Duration = Duration::from_secs(15);
/// An answer longer than this is not ours.
const ANSWER_BYTES_MAX: u64 = 4096;

/// Sends the connector's trials to `url`, one after another.
///
/// # Errors
/// [`VaultError::Usage`] when the connector has none or the address is none; what does not answer is a result.
pub fn try_door(
    connector: &dyn Connector,
    secrets: &Secrets,
    url: &str,
) -> Result<Vec<TestResult>, VaultError> {
    let trials = connector.trials(secrets);
    if trials.is_empty() {
        return Err(VaultError::Usage(format!(
            "{} takes files and has no address to try; leave --url out",
            connector.id()
        )));
    }
    let url = address(url)?;
    let client = Client::builder()
        .user_agent(concat!("chancery/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::none())
        .no_proxy()
        .timeout(TIMEOUT)
        .build()
        .map_err(|_| VaultError::Usage("install the system's certificates (ca-certificates)".to_owned()))?;
    // Its own thread: this one may belong to the server's runtime, which must not be waited in.
    std::thread::scope(|scope| {
        let tried = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            Ok(runtime.block_on(async {
                let mut results = Vec::new();
                for trial in &trials {
                    results.push(one(&client, &url, trial).await);
                }
                results
            }))
        });
        let tried: std::io::Result<_> = tried
            .join()
            .unwrap_or_else(|_| Err(std::io::Error::other("the trial ended early")));
        tried.map_err(VaultError::Capture)
    })
}

fn address(text: &str) -> Result<Url, VaultError> {
    let url = Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.query().is_none());
    url.ok_or_else(|| {
        VaultError::Usage("--url takes the callback address, as https://YOUR-HOST/in/CONNECTION".to_owned())
    })
}

async fn one(client: &Client, url: &Url, trial: &Trial) -> TestResult {
    let found = answer(client, url, trial).await;
    TestResult {
        check: trial.shows.to_owned(),
        ok: found.is_ok(),
        detail: match found {
            Ok(status) => format!("answered {status}"),
            Err(found) => format!("{found}: {}", trial.otherwise),
        },
    }
}

/// The status, when it and the body are as they must be; else what came instead.
async fn answer(client: &Client, url: &Url, trial: &Trial) -> Result<u16, String> {
    let mut url = url.clone();
    if !trial.query.is_empty() {
        url.query_pairs_mut().extend_pairs(&trial.query);
    }
    let method = Method::from_bytes(trial.method.as_bytes()).unwrap_or(Method::GET);
    let mut request = client.request(method, url).body(trial.body);
    for (name, value) in &trial.headers {
        request = request.header(*name, value);
    }
    // The error itself would name the address, and with it the token.
    let response = request.send().await.map_err(|error| no_answer(&error))?;
    let status = response.status();
    if status != StatusCode::from_u16(trial.status).unwrap_or_default() {
        return Err(format!(
            "answered {} instead of {}",
            status.as_u16(),
            trial.status
        ));
    }
    let Some(expected) = trial.reply else {
        return Ok(trial.status);
    };
    if response
        .content_length()
        .is_none_or(|length| length > ANSWER_BYTES_MAX)
    {
        return Err("answered something else".to_owned());
    }
    let body = response.bytes().await.map_err(|error| no_answer(&error))?;
    if body == expected.as_bytes() {
        Ok(trial.status)
    } else {
        Err("answered something else".to_owned())
    }
}

fn no_answer(error: &reqwest::Error) -> String {
    let text = if error.is_timeout() {
        "no answer in 15 seconds"
    } else if error.is_connect() {
        "nothing can be reached at this address (or its certificate is not trusted here)"
    } else {
        "the answer broke off"
    };
    text.to_owned()
}
