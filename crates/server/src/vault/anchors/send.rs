//! One attempt at one anchor.

use std::path::Path;
use std::sync::Arc;

use model::{Position, Timestamp};
use reqwest::Client;
use seal::bundle::{Anchor, AnchorKind};
use seal::note::Note;
use seal::stamp::{self, Root};
use seal::suite;
use seal::tree::Hash;
use seal::witness::{AddCheckpoint, MESSAGE_BYTES_MAX, WitnessKey, decimal};
use serde_json::{Value, json};
use store::folder;
use store::ledger::Signed;
use store::ledger::log::LogReader;

use super::{Stored, Target};
use crate::vault::outgoing::{http, mail};
use crate::vault::state::HandedOut;
use crate::vault::{Inner, VaultError};

/// Requests to a witness in one attempt: with the size we think it knows, with the one it names, and once more if somebody
/// else was quicker.
const WITNESS_REQUESTS_MAX: usize = 3;
/// Media type of a size. Source: C2SP `tlog-witness`.
const SIZE_TYPE: &str = "text/x.tlog.size";
/// Answers of webhooks are not read beyond this.
const WEBHOOK_ANSWER_BYTES_MAX: usize = 64 << 10;

/// What an anchor gave.
pub(super) enum Given {
    /// A proof.
    Proof {
        anchor: Anchor,
        size: u64,
        covers: Position,
        at: Timestamp,
        by: String,
    },
    /// It has the checkpoint.
    HandedOut { size: u64, covers: Position },
}

/// Does what reads files, away from those who wait for the network.
async fn blocking<T: Send + 'static>(
    inner: &Arc<Inner>,
    work: impl FnOnce(&Inner) -> Result<T, VaultError> + Send + 'static,
) -> Result<T, String> {
    let inner = inner.clone();
    let done = tokio::task::spawn_blocking(move || work(&inner)).await;
    match done {
        Ok(done) => done.map_err(|error| format!("here: {error}")),
        Err(_) => Err("the attempt ended early".to_owned()),
    }
}

/// Asks an anchor. `fresh`: over everything so far, else over the newest checkpoint there is.
///
/// # Errors
/// A sentence without the anchor's address.
pub(super) async fn attempt(inner: &Arc<Inner>, stored: &Stored, fresh: bool) -> Result<Given, String> {
    let signed = blocking(inner, move |inner| {
        Ok(if fresh {
            inner.ledger.flush()?
        } else {
            inner.ledger.signed()
        })
    });
    let signed = signed.await?.ok_or("nothing is recorded yet")?;
    let name = stored.config.name.as_str();
    let client = http::client()?;
    match &stored.config.target {
        Target::Witness { url, key } => {
            let key = WitnessKey::decode(key).map_err(|_| "its configured key is none")?;
            let known = blocking(inner, {
                let config = stored.config.clone();
                move |inner| inner.anchor_state(&config)
            });
            let known = known.await?.last.map_or(0, |last| last.size);
            let asked = Witness {
                inner,
                client: &client,
                url,
                key,
            };
            let (lines, at) = asked.cosign(&signed, known).await?;
            let by = asked.key.name;
            proof(
                (AnchorKind::Witness, name),
                inner,
                signed,
                lines.into_bytes(),
                (at, by),
            )
            .await
        }
        Target::TimeStamp { url, roots } => {
            let roots = Root::all(roots).map_err(|_| "its configured root is none")?;
            let (token, stamped) = time_stamp(&client, url, &roots, &signed).await?;
            let from = (stamped.at, stamped.authority);
            proof((AnchorKind::TimeStamp, name), inner, signed, token, from).await
        }
        Target::Folder { path } => {
            let path = path.clone();
            let handed = blocking(inner, move |inner| inner.handed(&signed)).await?;
            let zone = inner.file.zone.to_string();
            let handed = blocking(inner, move |_| Ok(write(&path, &zone, handed))).await??;
            Ok(given(&handed))
        }
        Target::Webhook { url } => {
            let handed = blocking(inner, move |inner| inner.handed(&signed)).await?;
            let body = webhook_body(inner, &handed);
            let answer = http::post(&client, url, "application/json", body, WEBHOOK_ANSWER_BYTES_MAX).await?;
            match answer.status {
                200..=299 => Ok(given(&handed)),
                status => Err(format!("answered {status}")),
            }
        }
        Target::Mail { to, from, smtp, user } => {
            let handed = blocking(inner, move |inner| inner.handed(&signed)).await?;
            let way = mail::Way {
                to,
                from,
                smtp,
                user: user.as_deref(),
                password: stored.password.as_ref(),
            };
            mail::send(way, letter(inner.file.zone.as_str(), &handed)).await?;
            Ok(given(&handed))
        }
    }
}

fn given(handed: &HandedOut) -> Given {
    Given::HandedOut {
        size: handed.size,
        covers: handed.covers,
    }
}

/// Makes the anchor that is kept.
async fn proof(
    (kind, name): (AnchorKind, &str),
    inner: &Arc<Inner>,
    signed: Signed,
    proof: Vec<u8>,
    (at, by): (Timestamp, String),
) -> Result<Given, String> {
    let name = name.to_owned();
    blocking(inner, move |inner| {
        let log = LogReader::new(inner.ledger.log_folder(), signed.size);
        let last = signed.size.saturating_sub(1);
        let (batch, path) = (log.batch(last)?, log.inclusion(last)?);
        Ok(Given::Proof {
            anchor: Anchor::new((kind, &name), &signed.note, &proof, (&batch, &path)),
            size: signed.size,
            covers: signed.covers,
            at,
            by,
        })
    })
    .await
}

/// A witness that is asked.
struct Witness<'a> {
    inner: &'a Arc<Inner>,
    client: &'a Client,
    url: &'a str,
    key: WitnessKey,
}

impl Witness<'_> {
    /// Its cosignature lines over a checkpoint, checked, and their time.
    async fn cosign(&self, signed: &Signed, known: u64) -> Result<(String, Timestamp), String> {
        let url = format!("{}/add-checkpoint", self.url.trim_end_matches('/'));
        let mut old = if known > signed.size { 0 } else { known };
        for _ in 0..WITNESS_REQUESTS_MAX {
            let path = self.path(old, signed.size).await?;
            let note = &signed.note;
            let body = AddCheckpoint { old, path, note }.encode().into_bytes();
            let answer = http::post(
                self.client,
                &url,
                "text/plain; charset=utf-8",
                body,
                MESSAGE_BYTES_MAX,
            )
            .await?;
            let text = String::from_utf8_lossy(&answer.body).into_owned();
            match answer.status {
                200 => return self.lines(&signed.note, &text),
                409 => old = self.other_size(&answer, &text, old, signed.size)?,
                status => return Err(refusal(status)),
            }
        }
        Err("names another size each time: is somebody else using this log's key?".to_owned())
    }

    async fn path(&self, old: u64, size: u64) -> Result<Vec<Hash>, String> {
        blocking(self.inner, move |inner| {
            Ok(LogReader::new(inner.ledger.log_folder(), size).consistency(old)?)
        })
        .await
    }

    /// The size that it knows the log at, where that leads on.
    fn other_size(&self, answer: &http::Answer, text: &str, asked: u64, size: u64) -> Result<u64, String> {
        let known = text.strip_suffix('\n').and_then(decimal);
        let Some(known) = known.filter(|_| answer.content_type.starts_with(SIZE_TYPE)) else {
            return Err("answered 409 without the size it knows: is this a witness?".to_owned());
        };
        if known > size {
            return Err(format!(
                "ALARM: it has cosigned this log at {known} batches, and here are {size}: the ledger was put back to an \
                 older copy, or another machine uses the same key"
            ));
        }
        if known == asked {
            return Err(format!(
                "ALARM: it has cosigned another history of this log at {known} batches: the record was rewritten, or \
                 another machine uses the same key"
            ));
        }
        Ok(known)
    }

    /// Of what it answered, the lines by its key.
    fn lines(&self, note: &str, answer: &str) -> Result<(String, Timestamp), String> {
        let wrong = || "its cosignature is not by the key that is configured for it".to_owned();
        let text = Note::parse(note).map_err(|_| wrong())?.text;
        let whole = format!("{text}\n{answer}");
        let at = Note::parse(&whole)
            .and_then(|note| self.key.check(&note))
            .map_err(|_| wrong())?;
        let ours = |line: &&str| {
            let alone = format!("{text}\n{line}");
            Note::parse(&alone).is_ok_and(|note| self.key.check(&note).is_ok())
        };
        Ok((answer.split_inclusive('\n').filter(ours).collect(), at))
    }
}

/// What a witness means by a status.
fn refusal(status: u16) -> String {
    match status {
        400 => "answered 400: it does not understand the request".to_owned(),
        403 => "answered 403: it does not know this log's key; give its keeper the zone's newest zone.pub"
            .to_owned(),
        404 => "answered 404: it does not watch this log, or the address is wrong; give its keeper zone.pub"
            .to_owned(),
        422 => {
            "ALARM: answered 422: this log does not continue the history that it cosigned: the record was \
                rewritten, or another machine uses the same key"
                .to_owned()
        }
        status => format!("answered {status}"),
    }
}

async fn time_stamp(
    client: &Client,
    url: &str,
    roots: &[Root],
    signed: &Signed,
) -> Result<(Vec<u8>, stamp::Stamped), String> {
    let random = suite::random().map_err(|error| error.to_string())?;
    let request = stamp::Request::new(suite::sha256(signed.note.as_bytes()), random);
    let answer = http::post(
        client,
        url,
        stamp::REQUEST_TYPE,
        request.encode(),
        stamp::ANSWER_BYTES_MAX,
    )
    .await?;
    if answer.status != 200 {
        return Err(format!("answered {}", answer.status));
    }
    let accepted = request.accept(&answer.body, roots);
    accepted.map_err(|problem| format!("the token is not accepted: {problem}"))
}

fn letter(zone: &str, handed: &HandedOut) -> mail::Letter {
    let name = handed.file_name(zone);
    let text = format!(
        "This is a checkpoint of the sealed record of zone {zone}.\n\nPlease keep this mail. If the record is ever cut \
         short or rewritten, the attached file {name} shows it:\n\n    chancery-verify BUNDLE.zip --key ZONE.pub \
         --checkpoint {name}\n\n{}",
        handed.note
    );
    mail::Letter {
        subject: format!("Chancery checkpoint of zone {zone}, {} batches", handed.size),
        text,
        id: None,
        attached: vec![
            (name.clone(), handed.note.clone()),
            (format!("{name}.proof"), handed.proofs.clone()),
        ],
    }
}

fn webhook_body(inner: &Inner, handed: &HandedOut) -> Vec<u8> {
    let proof: Value = serde_json::from_str(&handed.proofs).unwrap_or_default();
    let body = json!({
        "zone": inner.file.zone, "size": handed.size, "covers": handed.covers, "checkpoint": handed.note, "proof": proof,
    });
    body.to_string().into_bytes()
}

/// Writes a checkpoint and its proof into a folder, beside those before.
fn write(path: &Path, zone: &str, handed: HandedOut) -> Result<HandedOut, String> {
    // Never made here: where a mount is missing, a folder on this disk would keep nothing elsewhere.
    if !path.is_dir() {
        return Err("the folder is not there: is what it stands on mounted?".to_owned());
    }
    let name = handed.file_name(zone);
    let written = folder::replace_file(&path.join(format!("{name}.proof")), handed.proofs.as_bytes())
        .and_then(|()| folder::replace_file(&path.join(name), handed.note.as_bytes()));
    written.map_err(|_| "the folder cannot be written to".to_owned())?;
    Ok(handed)
}
