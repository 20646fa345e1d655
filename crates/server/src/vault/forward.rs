//! The tee: genuine deliveries passed on, as they came, to a service of the operator's own.
//!
//! A callback has one address; whoever had it before the record did still needs what comes. The ledger is the queue: a
//! position for each connection says what was passed on, kept in a file of its own, so that neither a restart nor a
//! rebuild passes anything on twice. After a crash the last delivery may go out once more, as from the platform.
//!
//! The vault does this, never the intake. In order, one at a time for each connection: a delivery that is not taken is
//! tried again with growing pauses until a platform would have given up too.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use connect::Settings;
use model::{Position, Timestamp};
use reqwest::header::{HeaderName, HeaderValue};
use reqwest::redirect::Policy;
use serde::{Deserialize, Serialize};
use store::catalogue::{CaptureRow, CaptureState};
use tokio::sync::watch;
use tokio::task::JoinSet;
use zeroize::Zeroizing;

use super::captures::{CaptureReader, Descriptor};
use super::{Inner, Vault, VaultError, locked};
use crate::fetch::NoClient;
use crate::host::ForwardStatus;

/// Setting of every connection that takes webhooks: where its deliveries go on to.
pub const FORWARD_TO: &str = "forward-to";

/// On what goes on, so that it is not passed on again should it come back here.
const MARK: &str = "x-chancery-forwarded";

/// Headers about one connection between two machines, and those that the new request must say itself.
const OWN_HEADERS: [&str; 13] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    MARK,
];

const FILE: &str = "forward.json";
/// The file has some hundred bytes a connection.
const FILE_BYTES_MAX: u64 = 4 << 20;
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Deliveries of one connection passed on before the others are looked at again.
const AT_ONCE: u32 = 64;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
const FIRST_PAUSE_SECONDS: u64 = 1;
const LONGEST_PAUSE_SECONDS: u64 = 900;
/// As long as a platform would have tried.
const GIVE_UP_AFTER_SECONDS: i64 = 7 * 86_400;
/// A delivery that the service says is wrong is not waited for longer: those behind it wait too.
const REFUSALS_MAX: u32 = 4;

/// How passing on stands for one connection.
#[derive(Debug, Clone, Default, Serialize, Deserialize, PartialEq, Eq)]
pub struct Forwarding {
    /// What is not yet passed on begins here.
    pub next: Position,
    /// Attempts for the delivery that is next.
    #[serde(default)]
    pub attempts: u32,
    /// Since when nothing was taken.
    #[serde(default)]
    pub failing_since: Option<Timestamp>,
    /// Status of the last answer; none when there was none.
    #[serde(default)]
    pub last_status: Option<u16>,
    /// Deliveries given up since the connection was configured.
    #[serde(default)]
    pub given_up: u64,
    /// When the next attempt is due.
    #[serde(skip)]
    due: Option<Timestamp>,
}

/// Of all connections, by name.
pub type Forwards = BTreeMap<String, Forwarding>;

/// The address in the settings; none where deliveries stay here.
pub fn target(settings: &Settings) -> Option<&str> {
    settings
        .get(FORWARD_TO)
        .map(|url| url.trim())
        .filter(|url| !url.is_empty())
}

/// Whether deliveries can go to the address in the settings.
pub fn check(settings: &Settings) -> Result<(), VaultError> {
    let Some(address) = target(settings) else {
        return Ok(());
    };
    let good = reqwest::Url::parse(address).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.fragment().is_none()
    });
    if good {
        return Ok(());
    }
    Err(VaultError::Usage(format!(
        "the setting {FORWARD_TO} must be an address as https://HOST/PATH, without user name and fragment"
    )))
}

/// A delivery to pass on.
struct Delivery {
    row: CaptureRow,
    descriptor: Descriptor,
    body: Zeroizing<Vec<u8>>,
}

/// What the service made of a delivery.
#[derive(Clone, Copy)]
enum Answer {
    Taken,
    /// It answered something else.
    Status(u16),
    /// It did not answer.
    Nothing,
}

/// Passes deliveries on until told to stop.
pub async fn run(vault: Arc<Vault>, mut stopping: watch::Receiver<bool>) {
    let client = match client() {
        Ok(client) => client,
        Err(error) => {
            tracing::error!(error = %error, "deliveries will not be passed on");
            return;
        }
    };
    let mut tick = tokio::time::interval(LOOK_EVERY);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            _ = stopping.changed() => return,
        }
        let mut rounds = JoinSet::new();
        for config in vault.connections() {
            if let Some(address) = target(&config.settings) {
                let (vault, client) = (vault.clone(), client.clone());
                rounds.spawn(round(vault, client, config.id.to_string(), address.to_owned()));
            }
        }
        tokio::select! {
            () = async { while rounds.join_next().await.is_some() {} } => {}
            // What was sent and not yet noted goes out once more.
            _ = stopping.changed() => return,
        }
    }
}

fn client() -> Result<reqwest::Client, NoClient> {
    reqwest::Client::builder()
        .redirect(Policy::none())
        .referer(false)
        .retry(reqwest::retry::never())
        .no_proxy()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(REQUEST_TIMEOUT)
        .build()
        .map_err(NoClient::from)
}

/// Passes on what one connection has, until something is not taken.
async fn round(vault: Arc<Vault>, client: reqwest::Client, connection: String, address: String) {
    for _ in 0..AT_ONCE {
        let (asked, name) = (vault.clone(), connection.clone());
        let next = tokio::task::spawn_blocking(move || asked.inner.next_to_forward(&name)).await;
        let delivery = match next {
            Ok(Ok(Some(delivery))) => delivery,
            Ok(Ok(None)) | Err(_) => return,
            Ok(Err(error)) => {
                tracing::error!(connection.id = connection, error = %error, "what is to be passed on cannot be read");
                return;
            }
        };
        let answer = send(&client, &address, &delivery).await;
        let (asked, name) = (vault.clone(), connection.clone());
        let settled =
            tokio::task::spawn_blocking(move || asked.inner.settle_forward(&name, &delivery, answer));
        match settled.await {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) | Err(_) => return,
            Ok(Err(error)) => {
                tracing::error!(connection.id = connection, error = %error, "what was passed on cannot be noted");
                return;
            }
        }
    }
}

/// One attempt: the body byte for byte, the query string and the headers as they came.
async fn send(client: &reqwest::Client, address: &str, delivery: &Delivery) -> Answer {
    let query = delivery.descriptor.query.as_deref().unwrap_or_default();
    let joint = match (query.is_empty(), address.contains('?')) {
        (true, _) => "",
        (false, false) => "?",
        (false, true) => "&",
    };
    let mut request = client.post(format!("{address}{joint}{query}"));
    for (name, value) in &delivery.descriptor.headers {
        if OWN_HEADERS.contains(&name.as_str()) {
            continue;
        }
        let header = HeaderName::from_bytes(name.as_bytes())
            .ok()
            .zip(HeaderValue::from_str(value).ok());
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
    }
    let request = request.header(MARK, "1").body(delivery.body.to_vec());
    match request.send().await {
        Ok(answer) if answer.status().is_success() => Answer::Taken,
        Ok(answer) => Answer::Status(answer.status().as_u16()),
        // The error names the address, whose query may hold what only the platform and the service should know.
        Err(_) => Answer::Nothing,
    }
}

/// Whether the service says that this delivery is wrong, rather than that it cannot take any just now or does not know
/// who we are.
fn is_refusal(answer: Answer) -> bool {
    matches!(answer, Answer::Status(status @ 400..=499) if ![401, 403, 404, 407, 408, 425, 429].contains(&status))
}

impl Inner {
    /// How passing on stood when it was last noted.
    pub fn read_forwards(&self) -> Result<(), VaultError> {
        let path = self.folder.join(FILE);
        if !path.is_file() {
            return Ok(());
        }
        let bytes = store::folder::read_file(&path, FILE_BYTES_MAX)?;
        let read: Forwards = serde_json::from_slice(&bytes).map_err(|_| {
            VaultError::BadData(format!(
                "{FILE} is not readable: delete it, and what was not passed on by now stays here"
            ))
        })?;
        *locked(&self.forwards) = read;
        Ok(())
    }

    /// From now on; or no more. A connection that keeps its address goes on where it was, with nothing held against it.
    pub fn forward_from_now(
        &self,
        connection: &str,
        before: Option<&Settings>,
        settings: &Settings,
    ) -> Result<(), VaultError> {
        let (before, now) = (before.and_then(target), target(settings));
        let mut forwards = locked(&self.forwards);
        match now {
            None if forwards.remove(connection).is_none() => return Ok(()),
            None => {}
            Some(_) => {
                let head = self.ledger.head();
                let kept = forwards
                    .get(connection)
                    .filter(|_| before.is_some())
                    .map(|known| known.next);
                let fresh = Forwarding {
                    next: kept.unwrap_or(head),
                    ..Forwarding::default()
                };
                forwards.insert(connection.to_owned(), fresh);
            }
        }
        self.write_forwards(&forwards)
    }

    fn write_forwards(&self, forwards: &Forwards) -> Result<(), VaultError> {
        let bytes = serde_json::to_vec_pretty(forwards).unwrap_or_default();
        Ok(store::folder::replace_file(&self.folder.join(FILE), &bytes)?)
    }

    /// How passing on stands for a connection, and how many captures wait.
    pub fn forwarding(&self, connection: &str) -> Result<Option<(Forwarding, u64)>, VaultError> {
        let Some(known) = locked(&self.forwards).get(connection).cloned() else {
            return Ok(None);
        };
        let waiting = locked(&self.reader).count_received(connection, known.next)?;
        Ok(Some((known, waiting)))
    }

    /// The same, for those who only look.
    pub fn forward_status(&self, connection: &str) -> Option<ForwardStatus> {
        let (known, waiting) = self.forwarding(connection).ok().flatten()?;
        Some(ForwardStatus {
            waiting,
            failing_since: known.failing_since,
            last_status: known.last_status,
            given_up: known.given_up,
        })
    }

    fn next_to_forward(self: &Arc<Self>, connection: &str) -> Result<Option<Delivery>, VaultError> {
        let known = locked(&self.forwards).get(connection).cloned();
        let Some(known) = known else {
            // The file was lost: what is there already may have been passed on.
            let head = self.ledger.head();
            self.note_forward(connection, |known| known.next = head)?;
            return Ok(None);
        };
        if known.due.is_some_and(|due| (self.clock)() < due) {
            return Ok(None);
        }
        let rows = locked(&self.reader).received_from(connection, known.next, AT_ONCE)?;
        let mut passed_over = None;
        for row in rows {
            if let Some(delivery) = self.open_delivery(row.clone())? {
                return Ok(Some(delivery));
            }
            passed_over = Some(row.position.plus(1));
        }
        if let Some(next) = passed_over {
            self.note_forward(connection, |known| known.next = next)?;
        }
        Ok(None)
    }

    /// The delivery as it came; nothing for a file somebody handed in, for what came back from a tee, and for what
    /// was destroyed meanwhile.
    fn open_delivery(self: &Arc<Self>, row: CaptureRow) -> Result<Option<Delivery>, VaultError> {
        let readable = matches!(row.state, CaptureState::Complete | CaptureState::Normalized) && !row.closed;
        if !readable || row.verdict == 0 {
            return Ok(None);
        }
        let (wrap, chunks) = {
            let reader = locked(&self.reader);
            (reader.wrap(row.position)?, reader.chunks(&row)?)
        };
        let Some(key) = self.data_key(&row, wrap)? else {
            return Ok(None);
        };
        let (mut reader, descriptor) = CaptureReader::open(self.clone(), &row, key, chunks)?;
        let came_back = descriptor.headers.iter().any(|(name, _)| name == MARK);
        if descriptor.method.as_deref() != Some("POST") || came_back {
            return Ok(None);
        }
        let mut body = Zeroizing::new(Vec::with_capacity(usize::try_from(reader.len()).unwrap_or(0)));
        reader.read_to_end(&mut body).map_err(VaultError::Capture)?;
        Ok(Some(Delivery {
            row,
            descriptor,
            body,
        }))
    }

    /// Notes what became of an attempt; true when the next may follow at once.
    fn settle_forward(
        &self,
        connection: &str,
        delivery: &Delivery,
        answer: Answer,
    ) -> Result<bool, VaultError> {
        let now = (self.clock)();
        let age = now.as_micros() - delivery.row.received_at.as_micros();
        let too_old = age > GIVE_UP_AFTER_SECONDS * 1_000_000;
        let mut goes_on = true;
        self.note_forward(connection, |known| {
            known.attempts += 1;
            let given_up = too_old || (is_refusal(answer) && known.attempts >= REFUSALS_MAX);
            match answer {
                Answer::Taken => {
                    *known = Forwarding {
                        next: delivery.row.position.plus(1),
                        given_up: known.given_up,
                        ..Forwarding::default()
                    };
                }
                Answer::Status(_) | Answer::Nothing if given_up => {
                    tracing::error!(
                        connection.id = connection,
                        entry.position = delivery.row.position.0,
                        "a delivery could not be passed on and is given up; it stays in the record"
                    );
                    known.next = delivery.row.position.plus(1);
                    known.given_up += 1;
                    known.attempts = 0;
                    known.due = None;
                }
                Answer::Status(_) | Answer::Nothing => {
                    let doublings = known.attempts.saturating_sub(1).min(20);
                    let pause = (FIRST_PAUSE_SECONDS << doublings).min(LONGEST_PAUSE_SECONDS);
                    let pause = i64::try_from(pause).unwrap_or(i64::MAX).saturating_mul(1_000_000);
                    known.due = Some(Timestamp::from_micros(now.as_micros().saturating_add(pause)));
                    known.failing_since.get_or_insert(now);
                    known.last_status = match answer {
                        Answer::Status(status) => Some(status),
                        Answer::Taken | Answer::Nothing => None,
                    };
                    goes_on = false;
                }
            }
        })?;
        Ok(goes_on)
    }

    fn note_forward(&self, connection: &str, change: impl FnOnce(&mut Forwarding)) -> Result<(), VaultError> {
        let mut forwards = locked(&self.forwards);
        change(forwards.entry(connection.to_owned()).or_default());
        self.write_forwards(&forwards)
    }
}

/// What is to be said of passing on, in one line.
pub fn described(known: &Forwarding, waiting: u64) -> (bool, String) {
    let given_up = match known.given_up {
        0 => String::new(),
        count => format!("; {count} given up since it was configured"),
    };
    match (known.failing_since, known.last_status) {
        (None, _) => (known.given_up == 0, format!("{waiting} wait{given_up}")),
        (Some(since), Some(status)) => (
            false,
            format!("answered with status {status}, nothing taken since {since}; {waiting} wait{given_up}"),
        ),
        (Some(since), None) => (
            false,
            format!("no answer, nothing taken since {since}; {waiting} wait{given_up}"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_nobody_could_reach_or_that_holds_a_password_is_refused() {
        fn checked(address: &str) -> bool {
            check(&Settings::from([(FORWARD_TO.to_owned(), address.to_owned())])).is_ok()
        }
        for good in [
            "http://localhost:8080/hook",
            "https://crm.example.org/in?tenant=7",
            "",
            " ",
        ] {
            assert!(checked(good), "{good}");
        }
        for bad in [
            "crm.example.org",
            "ftp://h/",
            "http://",
            "https://u:p@h/",
            "https://u@h/",
            "https://h/#x",
            "file:///etc/passwd",
        ] {
            assert!(!checked(bad), "{bad}");
        }
    }

    #[test]
    fn only_what_is_wrong_with_the_delivery_itself_is_a_refusal() {
        for status in [400, 402, 405, 409, 410, 413, 415, 422] {
            assert!(is_refusal(Answer::Status(status)), "{status}");
        }
        for status in [301, 401, 403, 404, 408, 429, 500, 502, 503] {
            assert!(!is_refusal(Answer::Status(status)), "{status}");
        }
        assert!(!is_refusal(Answer::Nothing) && !is_refusal(Answer::Taken));
    }
}
