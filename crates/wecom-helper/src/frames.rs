//! What goes over the pipe.

use std::io::{self, Read, Write};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use crate::library::Failure;

/// Longer frames are an error: the largest is an answer of a thousand items.
const FRAME_BYTES_MAX: u32 = 96 << 20;

/// What is asked.
#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    Init {
        corp_id: String,
        secret: String,
        #[serde(default)]
        proxy: String,
        #[serde(default)]
        proxy_password: String,
        timeout_seconds: i32,
    },
    Fetch {
        seq: u64,
        limit: u32,
    },
    Decrypt {
        /// Base64.
        random_key: String,
        message: String,
    },
    Media {
        file_id: String,
        index: String,
    },
}

/// What is answered: `bytes`, or `code` (the library's), or `error` (ours).
#[derive(Default, Serialize)]
pub struct Reply {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'static str>,
    /// Base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub index: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub finished: Option<bool>,
}

impl Reply {
    /// These bytes.
    pub fn of(bytes: &[u8]) -> Reply {
        Reply {
            bytes: Some(STANDARD.encode(bytes)),
            ..Reply::default()
        }
    }
}

impl From<Failure> for Reply {
    fn from(failure: Failure) -> Reply {
        match failure {
            Failure::Code(code) => Reply {
                code: Some(code),
                ..Reply::default()
            },
            Failure::Text(text) => Reply {
                error: Some(text),
                ..Reply::default()
            },
        }
    }
}

/// The next request; nothing when the pipe ended between two.
pub fn read(input: &mut impl Read) -> io::Result<Option<Request>> {
    let mut length = [0; 4];
    let first = loop {
        match input.read(length.get_mut(..1).unwrap_or_default()) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => break read?,
        }
    };
    if first == 0 {
        return Ok(None);
    }
    input.read_exact(length.get_mut(1..).unwrap_or_default())?;
    let length = u32::from_be_bytes(length);
    if length > FRAME_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut frame = Vec::new();
    input.take(length.into()).read_to_end(&mut frame)?;
    Ok(Some(serde_json::from_slice(&frame)?))
}

/// Writes a reply.
pub fn write(out: &mut impl Write, reply: &Reply) -> io::Result<()> {
    let frame = serde_json::to_vec(reply)?;
    let length = u32::try_from(frame.len()).map_err(|_| io::ErrorKind::InvalidData)?;
    out.write_all(&length.to_be_bytes())?;
    out.write_all(&frame)?;
    out.flush()
}
