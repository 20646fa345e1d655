//! What the vendor's library does, as three operations; and what its error codes mean.
//!
//! The library is closed and belongs to the customer. A driver may stand for it in another process, or be the fake one
//! of tests and the demo.

use zeroize::Zeroizing;

/// Most items of one answer.
pub const ITEMS_MAX: u32 = 1_000;

/// Most bytes of a file in one answer.
pub const SLICE_BYTES_MAX: usize = 512 << 10;

/// Stands for the vendor's library.
pub trait Driver: Send {
    /// The archive's items after `seq`, at most `limit`: the JSON as the vendor gave it.
    ///
    /// # Errors
    /// [`DriverError`].
    fn fetch(&mut self, seq: u64, limit: u32) -> Result<Vec<u8>, DriverError>;

    /// The message that `encrypted` holds, with the random key that the company's own key opened. Needs no network.
    ///
    /// # Errors
    /// [`DriverError`].
    fn decrypt(&mut self, random_key: &[u8], encrypted: &str) -> Result<Zeroizing<Vec<u8>>, DriverError>;

    /// The next piece of a file; from the beginning where `index` is empty.
    ///
    /// # Errors
    /// [`DriverError`].
    fn media(&mut self, file_id: &str, index: &str) -> Result<Slice, DriverError>;
}

/// A piece of a file.
#[derive(Clone, PartialEq, Eq)]
pub struct Slice {
    /// Its bytes.
    pub bytes: Zeroizing<Vec<u8>>,
    /// What to ask with for the next piece (`Range:bytes=524288-1048575`).
    pub next_index: String,
    /// This was the last.
    pub finished: bool,
}

impl std::fmt::Debug for Slice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Slice")
            .field("bytes", &self.bytes.len())
            .field("finished", &self.finished)
            .finish_non_exhaustive()
    }
}

/// Why a driver did not do what it was asked. Holds no content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DriverError {
    /// The library's own code.
    #[error("the WeCom library answered {code}: {text}", code = .0, text = meaning(*.0).text)]
    Code(i64),
    /// The library, or the process that holds it, gave no right answer.
    #[error("{0}")]
    Failed(&'static str),
}

/// Whether asking again may help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Later, as things are.
    Later,
    /// When somebody has changed something.
    AfterRepair,
    /// Never: it concerns this one item or file alone.
    Never,
}

/// What a code means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meaning {
    /// Whether asking again may help.
    pub retry: Retry,
    /// What happened.
    pub text: &'static str,
    /// What to do; empty where there is nothing.
    pub remedy: &'static str,
}

/// The library's codes.
const CODES: &[(i64, Retry, &str, &str)] = &[
    (
        10000,
        Retry::AfterRepair,
        "wrong parameters",
        "check the corp id, the secret and the proxy of the connection",
    ),
    (
        10001,
        Retry::Later,
        "a network error",
        "check that this machine reaches qyapi.weixin.qq.com, by the proxy if one is set",
    ),
    (10002, Retry::Later, "data could not be read", ""),
    (10003, Retry::Later, "the vendor's system failed", ""),
    (
        10004,
        Retry::AfterRepair,
        "a key is wrong",
        "check the connection's secret",
    ),
    (10005, Retry::Never, "the file id is wrong", ""),
    (
        10006,
        Retry::AfterRepair,
        "decryption failed",
        "check that the private key belongs to the public key of this version",
    ),
    (
        10007,
        Retry::AfterRepair,
        "a key of an earlier version is missing",
        "add the private key of that version",
    ),
    (
        10008,
        Retry::AfterRepair,
        "the random key is wrong",
        "check that the private key belongs to the public key of this version",
    ),
    (
        10009,
        Retry::AfterRepair,
        "this machine's address is not allowed",
        "enter its outgoing address on the archive's page of the WeCom console",
    ),
    (10010, Retry::Never, "the data have expired", ""),
    (
        10011,
        Retry::AfterRepair,
        "a certificate is wrong",
        "check the machine's clock and certificates, and a proxy that opens TLS",
    ),
    // In the answer, not from the library.
    (
        40001,
        Retry::AfterRepair,
        "the secret is wrong, or this machine's address is not allowed",
        "check both on the archive's page of the WeCom console",
    ),
    (
        41001,
        Retry::AfterRepair,
        "the secret is missing, or this machine's address is not allowed",
        "check both on the archive's page of the WeCom console",
    ),
    (
        45009,
        Retry::Later,
        "asked too often",
        "let only one program pull with this secret",
    ),
    (
        301042,
        Retry::AfterRepair,
        "this machine's address is not allowed",
        "enter its outgoing address on the archive's page of the WeCom console",
    ),
    (
        301052,
        Retry::AfterRepair,
        "the archive's licence has ended",
        "renew it in the WeCom console",
    ),
];

/// What a code means. One that is not known may pass.
pub fn meaning(code: i64) -> Meaning {
    let known = CODES.iter().find(|(known, ..)| *known == code);
    known.map_or(
        Meaning {
            retry: Retry::Later,
            text: "a code not known here",
            remedy: "look it up on the vendor's page of global error codes",
        },
        |&(_, retry, text, remedy)| Meaning { retry, text, remedy },
    )
}

impl DriverError {
    /// Whether asking again may help. A library that broke is started again.
    pub fn retry(self) -> Retry {
        match self {
            DriverError::Code(code) => meaning(code).retry,
            DriverError::Failed(_) => Retry::Later,
        }
    }
}
