//! `verify`: the whole store on disk, read without taking it from whoever has it.

use serde_json::json;
use server::vault::state::{StoreVerified, verify_store};

use crate::args::Global;
use crate::failure::{DOES_NOT_HOLD, DONE, Failure};
use crate::print::{self, Words};
use crate::{files, passphrase};

/// Checks it.
///
/// # Errors
/// Files that cannot be read. What does not hold is printed, with exit code 1.
pub fn verify(global: &Global, against: Option<&std::path::Path>) -> Result<u8, Failure> {
    let data = files::existing_data_folder(global)?;
    let outside = against.map(files::small_text).transpose()?;
    let secret = passphrase::given(global)?;
    let unlock = secret.as_ref().map(passphrase::Secret::unlock);
    let verified = verify_store(&data, unlock.as_ref(), outside.as_deref())?;
    if global.json {
        let findings: Vec<_> = verified
            .findings
            .iter()
            .map(|(place, detail)| json!({ "place": place, "detail": detail }))
            .collect();
        let mut value = json!(verified);
        if let serde_json::Value::Object(fields) = &mut value {
            fields.insert("findings".to_owned(), json!(findings));
            fields.insert("holds".to_owned(), json!(verified.findings.is_empty()));
        }
        print::json(&value)?;
    } else {
        words(&verified).print()?;
    }
    Ok(if verified.findings.is_empty() {
        DONE
    } else {
        DOES_NOT_HOLD
    })
}

fn words(verified: &StoreVerified) -> Words {
    let mut words = Words::new();
    for (place, detail) in &verified.findings {
        words.line(&format!("DOES NOT HOLD  {place}: {detail}"));
    }
    if verified.findings.is_empty() {
        words.line(if verified.compared_with_outside {
            "everything holds, and continues the checkpoint that was kept elsewhere"
        } else {
            "everything is consistent; compare with a checkpoint kept elsewhere (--against) to know that nothing was cut off \
             or written anew"
        });
    }
    words.pairs(&[
        ("zone", verified.zone.clone()),
        ("segments", verified.segments.to_string()),
        ("entries", verified.entries.to_string()),
        ("batches", verified.batches.to_string()),
        ("not yet in a checkpoint", verified.unsigned_entries.to_string()),
        (
            "key store",
            verified
                .secrets
                .map_or("not checked: no passphrase was given".to_owned(), |count| {
                    format!("{count} secrets")
                }),
        ),
    ]);
    words
}
