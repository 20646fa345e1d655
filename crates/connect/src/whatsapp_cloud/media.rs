//! A file that a message names: what is declared of it, and what to fetch.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io;

use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use model::record::{Attachment, AttachmentState};
use serde_json::value::RawValue;

use super::json::Object;
use super::walk::Walk;
use crate::Fetch;

/// The attachment that a body describes, and how to get it.
pub(super) fn attachment<'a>(
    walk: &mut Walk<'a, '_>,
    body: &Object<'a>,
    raw: &'a RawValue,
) -> io::Result<(Attachment<'a>, Option<Fetch>)> {
    let media_id = walk.content(body, "id")?;
    let url = match walk.content(body, "url")? {
        // What is sent by an address, and what the on-premises API received, has it here.
        None => walk.content(body, "link")?,
        url => url,
    };
    let media_type = walk.text(body, "mime_type")?;
    let declared = walk.text(body, "sha256")?;
    let sha256 = declared.as_deref().and_then(hash);
    if let (Some(_), None, Some(place)) = (&declared, &sha256, body.get("sha256")) {
        walk.problem(
            "bad-hash",
            "a file's declared hash is neither hex nor Base64 of 32 bytes",
            place,
        )?;
    }
    if media_id.is_none() && url.is_none() {
        walk.problem(
            "missing-media-id",
            "a file comes without the id to fetch it by",
            raw,
        )?;
    }
    let fetch = (media_id.is_some() || url.is_some()).then(|| Fetch {
        media_id: media_id.clone().unwrap_or_default().into_owned(),
        url: url.map(model::Content::into_owned),
        media_type: media_type.as_deref().map(str::to_owned),
        sha256: sha256.clone(),
        md5: None,
        pull: None,
    });
    let attachment = Attachment {
        name: walk.content(body, "filename")?,
        media_type,
        size_bytes: body
            .get("file_size")
            .and_then(|size| size.get().trim_matches('"').parse().ok()),
        sha256: sha256.map(Cow::Owned),
        state: if fetch.is_some() {
            AttachmentState::Pending
        } else {
            AttachmentState::Omitted
        },
        media_id,
    };
    Ok((attachment, fetch))
}

/// The vendor's Base64 comes with and without padding.
const BASE64: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);

/// A declared SHA-256 as lower-case hex: 64 characters are hex, 43 or 44 are Base64.
pub(super) fn hash(declared: &str) -> Option<String> {
    if declared.len() == 64 {
        return declared
            .bytes()
            .all(|b| b.is_ascii_hexdigit())
            .then(|| declared.to_ascii_lowercase());
    }
    if !(43..=44).contains(&declared.len()) {
        return None;
    }
    let alphabet = if declared.contains(['-', '_']) {
        base64::alphabet::URL_SAFE
    } else {
        base64::alphabet::STANDARD
    };
    let bytes = GeneralPurpose::new(&alphabet, BASE64)
        .decode(declared)
        .ok()
        .filter(|b| b.len() == 32)?;
    let mut hex = String::with_capacity(64);
    for byte in bytes {
        let _ = write!(hex, "{byte:02x}");
    }
    Some(hex)
}
