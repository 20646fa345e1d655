//! One delivery to one destination.

use aws_lc_rs::hmac;
use model::Timestamp;
use seal::suite::hex;
use serde_json::{Value, json};

use super::book::{About, Alarm, Batch, Event};
use super::words::{self, Said};
use super::{Password, Stored, Target, http, mail, syslog};
use crate::public::language::Language;
use crate::vault::Inner;

/// The form of what is sent; raised when a receiver would have to change.
const VERSION: u32 = 1;
/// Seconds since 1970 at which it was signed.
const TIME_HEADER: &str = "x-chancery-timestamp";
/// `v1=` and the HMAC-SHA256 over `v1:TIME:BODY` in hex: the form that `generic-webhook` takes.
const SIGNATURE_HEADER: &str = "x-chancery-signature";

impl Target {
    /// What it means that it took something.
    pub(super) fn took(&self) -> &'static str {
        match self {
            Target::Webhook { .. } => "it took a test alarm",
            Target::Mail { .. } => "its server took a test alarm",
            Target::Syslog { to, .. } if to.starts_with("udp:") => {
                "a test alarm was sent; by UDP nobody says whether it arrived"
            }
            Target::Syslog { .. } => "a test alarm was written to it",
        }
    }
}

/// Sends alarms.
///
/// # Errors
/// A sentence without the destination's address.
pub(super) async fn attempt(inner: &Inner, stored: &Stored, batch: &Batch) -> Result<(), String> {
    let zone = inner.file.zone.as_str();
    let language = stored.config.language;
    match &stored.config.target {
        Target::Webhook { url } => {
            let now = (inner.clock)();
            let body = document(zone, language, batch, now).to_string().into_bytes();
            let secret = stored.secret.as_ref().ok_or("its secret is missing")?;
            let headers = signed(secret, now, &body);
            match http::notify(&http::client()?, url, &headers, body).await? {
                200..=299 => Ok(()),
                status @ 300..=399 => Err(format!("answered {status}; a redirect is not followed")),
                status @ (401 | 403) => Err(format!("answered {status}: does it know the same secret?")),
                status => Err(format!("answered {status}")),
            }
        }
        Target::Mail { to, from, smtp, user } => {
            let way = mail::Way {
                to,
                from,
                smtp,
                user: user.as_deref(),
                password: stored.secret.as_ref(),
            };
            mail::send(way, letter(zone, language, batch)).await
        }
        Target::Syslog { to, roots } => {
            let one = |alarm: &Alarm| {
                let text = described(zone, language, alarm).to_string();
                syslog::message(alarm, &inner.file.node, &text)
            };
            let mut lines: Vec<String> = batch.alarms.iter().map(one).collect();
            if let (Some(said), Some(first)) =
                (words::not_kept(language, batch.not_kept), batch.alarms.first())
            {
                let text = json!({ "zone": zone, "not_kept": batch.not_kept, "title": said }).to_string();
                lines.insert(0, syslog::message(first, &inner.file.node, &text));
            }
            syslog::send(to, roots.as_deref(), &lines).await
        }
    }
}

fn signed(secret: &Password, now: Timestamp, body: &[u8]) -> [(&'static str, String); 2] {
    let time = now.as_micros().div_euclid(1_000_000).to_string();
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.reveal().as_bytes());
    let mut context = hmac::Context::with_key(&key);
    context.update(format!("v1:{time}:").as_bytes());
    context.update(body);
    let tag = hex(context.sign().as_ref());
    [(TIME_HEADER, time), (SIGNATURE_HEADER, format!("v1={tag}"))]
}

/// What a webhook is posted.
fn document(zone: &str, language: Language, batch: &Batch, now: Timestamp) -> Value {
    let alarms = batch.alarms.iter();
    let alarms: Vec<Value> = alarms.map(|alarm| described(zone, language, alarm)).collect();
    json!({ "version": VERSION, "zone": zone, "sent_at": now, "not_kept": batch.not_kept, "alarms": alarms })
}

/// An alarm, field by field.
fn described(zone: &str, language: Language, alarm: &Alarm) -> Value {
    let Said { title, advice } = words::said(language, alarm);
    let mut value = json!({
        "id": alarm.id(zone), "message": alarm.message, "event": alarm.event, "zone": zone,
        "since": alarm.since, "at": alarm.at, "title": title, "advice": advice,
    });
    let more = match &alarm.about {
        About::Check(attention) => json!({
            "kind": "check", "name": attention.kind, "subject": attention.subject, "severity": attention.severity,
        }),
        About::Gap(gap) => json!({
            "kind": "gap", "name": gap.cause, "connection": gap.connection, "severity": "alarm",
            "from": gap.from, "to": gap.to, "count": gap.count, "entry": gap.position, "closed_because": gap.closed,
        }),
        About::Test => json!({ "kind": "test", "name": "test", "severity": "warning" }),
    };
    if let (Value::Object(value), Value::Object(more)) = (&mut value, more) {
        value.extend(more);
    }
    value
}

/// All alarms of a delivery in one mail.
fn letter(zone: &str, language: Language, batch: &Batch) -> mail::Letter {
    let mut text = String::new();
    for alarm in &batch.alarms {
        let Said { title, advice } = words::said(language, alarm);
        text.push_str(&words::paragraph(
            language,
            alarm,
            &alarm.id(zone),
            &title,
            &advice,
        ));
        text.push('\n');
    }
    if let Some(said) = words::not_kept(language, batch.not_kept) {
        text.push_str(&said);
        text.push('\n');
    }
    text.push_str(words::mail_end(language));
    let count = |event: Event| batch.alarms.iter().filter(|alarm| alarm.event == event).count();
    let counts = [
        count(Event::Opened) + count(Event::Worse),
        count(Event::Closed),
        count(Event::Reminder),
    ];
    let numbers = batch.alarms.first().zip(batch.alarms.last());
    let id = numbers.map(|(first, last)| {
        let (first, last) = (first.message, last.message);
        format!("<{first}.{last}.{zone}@chancery.invalid>")
    });
    mail::Letter {
        subject: words::subject(language, zone, counts),
        text,
        id,
        attached: Vec::new(),
    }
}
