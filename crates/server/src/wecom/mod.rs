//! The customer's WeCom library, in a process of its own that is started, watched and, when it breaks, started again.

mod child;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use connect::wecom_archive::driver::{Driver, DriverError, Slice};
use seal::suite::{Hasher, hex};
use serde::Serialize;
use serde_json::Value;
use zeroize::Zeroizing;

use child::Child;

/// How the library is loaded and signed in.
pub struct LibraryOptions {
    /// `wecom-helper`.
    pub program: PathBuf,
    /// The customer's library.
    pub library: PathBuf,
    /// Lower-case hex SHA-256 of the library as it was approved; another is not loaded.
    pub library_sha256: String,
    /// The company.
    pub corp_id: String,
    /// The archive's secret.
    pub secret: Zeroizing<String>,
    /// `http://…` or `socks5://…`; empty for none.
    pub proxy: String,
    /// `user:password` for the proxy; empty for none.
    pub proxy_password: Zeroizing<String>,
    /// How long the library may wait for the vendor.
    pub call_timeout: Duration,
    /// How long the process may take to answer; longer than `call_timeout`.
    pub answer_timeout: Duration,
}

/// A driver that has the library do it.
pub struct LibraryDriver {
    options: LibraryOptions,
    child: Option<Child>,
}

impl LibraryDriver {
    /// Nothing is started before the first question.
    pub fn new(options: LibraryOptions) -> LibraryDriver {
        LibraryDriver { options, child: None }
    }

    /// Asks, starting the process where there is none. One that broke, hung or talked nonsense is ended; the next
    /// question starts another.
    fn ask(&mut self, request: &Request<'_>) -> Result<Answer, DriverError> {
        if self.child.is_none() {
            self.child = Some(self.start()?);
        }
        let answer = self
            .child
            .as_mut()
            .map(|child| child.ask(request, self.options.answer_timeout));
        match answer
            .unwrap_or(Err("the helper is not running"))
            .and_then(|reply| Answer::read(&reply))
        {
            Ok(answer) => answer,
            Err(why) => {
                self.child = None;
                Err(DriverError::Failed(why))
            }
        }
    }

    fn start(&self) -> Result<Child, DriverError> {
        let options = &self.options;
        if sha256(&options.library).map_err(|_| DriverError::Failed("the WeCom library cannot be read"))?
            != options.library_sha256
        {
            return Err(DriverError::Failed(
                "the WeCom library is not the one that was approved",
            ));
        }
        let mut child = Child::start(&options.program, &options.library).map_err(DriverError::Failed)?;
        let init = Request::Init {
            corp_id: &options.corp_id,
            secret: &options.secret,
            proxy: &options.proxy,
            proxy_password: &options.proxy_password,
            timeout_seconds: options.call_timeout.as_secs().clamp(1, 600),
        };
        let reply = child
            .ask(&init, options.answer_timeout)
            .map_err(DriverError::Failed)?;
        Answer::read(&reply).map_err(DriverError::Failed)??;
        Ok(child)
    }
}

impl Driver for LibraryDriver {
    fn fetch(&mut self, seq: u64, limit: u32) -> Result<Vec<u8>, DriverError> {
        let answer = self.ask(&Request::Fetch { seq, limit })?;
        Ok(answer.bytes.to_vec())
    }

    fn decrypt(&mut self, random_key: &[u8], encrypted: &str) -> Result<Zeroizing<Vec<u8>>, DriverError> {
        let random_key = Zeroizing::new(STANDARD.encode(random_key));
        let answer = self.ask(&Request::Decrypt {
            random_key: &random_key,
            message: encrypted,
        })?;
        Ok(answer.bytes)
    }

    fn media(&mut self, file_id: &str, index: &str) -> Result<Slice, DriverError> {
        let answer = self.ask(&Request::Media { file_id, index })?;
        Ok(Slice {
            bytes: answer.bytes,
            next_index: answer.index,
            finished: answer.finished,
        })
    }
}

/// What the process is asked.
#[derive(Serialize)]
#[serde(tag = "op", rename_all = "snake_case")]
enum Request<'a> {
    Init {
        corp_id: &'a str,
        secret: &'a str,
        proxy: &'a str,
        proxy_password: &'a str,
        timeout_seconds: u64,
    },
    Fetch {
        seq: u64,
        limit: u32,
    },
    Decrypt {
        random_key: &'a str,
        message: &'a str,
    },
    Media {
        file_id: &'a str,
        index: &'a str,
    },
}

/// What the process answered.
struct Answer {
    bytes: Zeroizing<Vec<u8>>,
    index: String,
    finished: bool,
}

impl Answer {
    /// Reads a reply. The outer error is nonsense, after which the process is not to be trusted; the inner is an answer.
    fn read(reply: &[u8]) -> Result<Result<Answer, DriverError>, &'static str> {
        const NONSENSE: &str = "the helper's answer is not readable";
        let reply: Value = serde_json::from_slice(reply).map_err(|_| NONSENSE)?;
        if let Some(code) = reply.get("code") {
            let code = code.as_i64().ok_or(NONSENSE)?;
            return Ok(Err(DriverError::Code(code)));
        }
        if reply.get("error").is_some() {
            return Err("the WeCom library could not be used: wrong file, or it lacks something");
        }
        let bytes = match reply.get("bytes") {
            None => Vec::new(),
            Some(bytes) => STANDARD
                .decode(bytes.as_str().ok_or(NONSENSE)?)
                .map_err(|_| NONSENSE)?,
        };
        let index = reply
            .get("index")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        Ok(Ok(Answer {
            bytes: Zeroizing::new(bytes),
            index,
            finished: reply.get("finished").and_then(Value::as_bool).unwrap_or(false),
        }))
    }
}

/// Lower-case hex SHA-256 of a file: what `library_sha256` is compared with.
///
/// # Errors
/// Those of reading it.
pub fn sha256(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Hasher::new();
    let mut chunk = [0; 64 << 10];
    loop {
        let count = file.read(&mut chunk)?;
        if count == 0 {
            return Ok(hex(&hasher.finish()));
        }
        hasher.update(chunk.get(..count).unwrap_or_default());
    }
}
