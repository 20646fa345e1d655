//! WeChat and WeCom callbacks: apps of WeCom, Official Accounts, mini programs, robots, and the answers of 微信客服.
//!
//! Facts about the platforms' formats are on [`WechatCallback`]'s page (`about`); each file here reads one subject.

mod about;
mod documents;
mod envelope;
mod events;
mod fetch;
mod messages;
mod outline;
mod people;
mod robot;
mod service;
mod signature;
mod times;
mod xml;

use std::io::{self, Read as _, SeekFrom};

use serde_json::Value;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::pass::Pass;
use crate::query::parameter;
use crate::tree::{self, Fields};
use crate::{
    About, Account, Admission, Connector, Door, Fetch, FetchAnswer, FetchStep, Input, NotRecognized,
    ParseOptions, Refused, Report, Request, SecretName, Secrets, Settings, Sink, Span, Trial,
};
use documents::{Document, Elements};
use xml::NotRead;

/// A callback has some kilobytes, an answer of 微信客服 at most 1,000 messages; a file of collected ones may be longer.
const MAX_BODY_BYTES: u64 = 64 << 20;

/// Enough to see what a file is.
const LOOK_BYTES: u64 = 64 << 10;

const BOM: &str = "\u{feff}";

/// Callbacks of WeChat and WeCom.
pub struct WechatCallback;

impl Connector for WechatCallback {
    fn id(&self) -> &'static str {
        "wechat-callback"
    }

    fn version(&self) -> u32 {
        1
    }

    fn about(&self) -> &'static About {
        &about::ABOUT
    }

    fn door(&self) -> Door {
        Door::Webhook {
            required: &[SecretName {
                name: signature::TOKEN,
                help: "Token, as entered on the vendor's page of the callback (接收消息 or 服务器配置). Several while it \
                       is changed.",
                several: true,
            }],
            optional: &[
                SecretName {
                    name: signature::AES_KEY,
                    help: "EncodingAESKey, 43 letters and digits from the same page. Without it only deliveries in the plain \
                       mode of Official Accounts are taken, whose bodies nothing proves. Several while it is changed.",
                    several: true,
                },
                SecretName {
                    name: fetch::API_SECRET,
                    help: "Secret of the WeCom app (with the right to 微信客服 where its messages are wanted), or AppSecret of \
                       the Official Account. Without it neither files nor messages of 微信客服 are fetched.",
                    several: false,
                },
            ],
            settings: fetch::SETTINGS,
        }
    }

    fn admit(&self, request: &Request<'_>, account: Account<'_>) -> Result<Admission, Refused> {
        signature::admit(request, account)
    }

    fn check(&self, account: Account<'_>) -> Result<(), &'static str> {
        signature::check(account)?;
        fetch::check(account.settings)
    }

    fn opening_secrets(&self) -> &'static [&'static str] {
        &[signature::AES_KEY]
    }

    fn trials(&self, secrets: &Secrets) -> Vec<Trial> {
        signature::trials(secrets)
    }

    fn fetch_first(&self, fetch: &Fetch, settings: &Settings) -> FetchStep {
        fetch::first(fetch, settings)
    }

    fn fetch_next(
        &self,
        fetch: &Fetch,
        settings: &Settings,
        step: u32,
        answer: &FetchAnswer<'_>,
    ) -> FetchStep {
        fetch::next(fetch, settings, step, answer)
    }

    fn recognize(&self, input: &mut dyn Input, _options: &ParseOptions) -> Result<(), NotRecognized> {
        let mut start = Vec::new();
        input.seek(SeekFrom::Start(0))?;
        input.take(LOOK_BYTES).read_to_end(&mut start)?;
        let wrong = |found| {
            Err(NotRecognized::Wrong {
                found,
                expected: "callbacks: XML elements `xml`, JSON objects with MsgType, msgtype or encrypt, or answers of \
                           kf/sync_msg with msg_list",
            })
        };
        let text = String::from_utf8_lossy(&start);
        let text = text.trim_start_matches(BOM).trim_ascii_start();
        const NAMES: [&str; 6] = [
            "\"MsgType\"",
            "\"msgtype\"",
            "\"msg_list\"",
            "\"encrypt\"",
            "\"Encrypt\"",
            "\"InfoType\"",
        ];
        match text.bytes().next() {
            None => wrong("the file is empty"),
            Some(b'<') if text.contains("<xml>") => Ok(()),
            Some(b'<') => wrong("the file is XML or HTML of another kind"),
            Some(b'{' | b'[') if NAMES.iter().any(|name| text.contains(name)) => Ok(()),
            Some(b'{' | b'[') => wrong("the file is JSON of another kind"),
            Some(b'P') if start.starts_with(b"PK\x03\x04") => wrong("the file is a zip archive"),
            Some(_) => wrong("the file is neither XML nor JSON"),
        }
    }

    fn parse(
        &self,
        input: &mut dyn Input,
        options: &ParseOptions,
        sink: &mut dyn Sink,
    ) -> io::Result<Report> {
        let mut bytes = Zeroizing::new(Vec::new());
        // All room at once: a vector that grows leaves copies behind that nobody wipes.
        let size = input.seek(SeekFrom::End(0))?.min(MAX_BODY_BYTES) + 1;
        bytes.reserve_exact(usize::try_from(size).unwrap_or_default());
        input.seek(SeekFrom::Start(0))?;
        input.take(MAX_BODY_BYTES + 1).read_to_end(&mut bytes)?;
        let report = Report {
            connector: self.id().to_owned(),
            connector_version: self.version(),
            ..Report::default()
        };
        let mut pass = Pass::new(sink, report);
        if u64::try_from(bytes.len()).is_ok_and(|len| len > MAX_BODY_BYTES) {
            pass.lost(span(0, 0), "too-large", "the file is longer than 64 MiB")?;
            return Ok(pass.report);
        }
        if let Some(place) = make_utf8(&mut bytes) {
            let detail = "bytes here, and maybe further on, are not UTF-8; `?` stands for each";
            pass.lost(span(place, 0), "not-read", detail)?;
        }
        let asked = options
            .query
            .as_deref()
            .and_then(|query| parameter(query, "open_kfid"));
        let given = Given {
            keys: signature::keys(&options.secrets).collect(),
            asked: asked.map(|account| String::from_utf8_lossy(&account).into_owned().into()),
        };
        let text = std::str::from_utf8(&bytes).unwrap_or_default();
        all(&mut pass, &given, text)?;
        Ok(pass.report)
    }
}

/// What is known from outside of the bytes.
struct Given<'a> {
    /// What opens encrypted bodies.
    keys: Vec<Zeroizing<[u8; 32]>>,
    /// The account of 微信客服 whose messages were asked for.
    asked: Option<std::borrow::Cow<'a, str>>,
}

fn span(offset: usize, len: usize) -> Span {
    Span {
        stream: 0,
        offset: u64::try_from(offset).unwrap_or(0),
        len: u64::try_from(len).unwrap_or(0),
    }
}

/// Puts `?` in the place of every byte that is not UTF-8, so that one odd byte does not take a whole delivery with
/// it and all places stay what they are. Says where the first was.
fn make_utf8(bytes: &mut [u8]) -> Option<usize> {
    let (mut from, mut first) = (0, None);
    while let Some(Err(error)) = bytes.get(from..).map(std::str::from_utf8) {
        let start = from + error.valid_up_to();
        let odd = error.error_len().unwrap_or(usize::MAX);
        from = start.saturating_add(odd).min(bytes.len());
        bytes.get_mut(start..from)?.fill(b'?');
        first.get_or_insert(start);
    }
    first
}

/// Reads every document of a capture. One that is broken does not take the others with it: what follows is read from
/// the next line that could begin one.
fn all(pass: &mut Pass<'_>, given: &Given<'_>, text: &str) -> io::Result<()> {
    let mut at = text.len() - text.trim_start_matches(BOM).len();
    if text.trim_start_matches(BOM).trim_ascii().is_empty() {
        return pass.lost(span(0, 0), "not-read", "there is nothing but blanks");
    }
    loop {
        let rest = text.get(at..).unwrap_or_default();
        at += rest.len() - rest.trim_ascii_start().len();
        let rest = rest.trim_ascii_start();
        if rest.is_empty() {
            return Ok(());
        }
        match documents::first(rest) {
            Ok((document, length)) => {
                read(pass, given, &document, text, span(at, length))?;
                at += length;
            }
            Err(wrong) => {
                not_read(pass, span(at, 0), wrong)?;
                let Some(next) = documents::next_line(text, at) else {
                    return Ok(());
                };
                at = next;
            }
        }
    }
}

fn not_read(pass: &mut Pass<'_>, span: Span, wrong: NotRead) -> io::Result<()> {
    match wrong {
        NotRead::Malformed => pass.lost(span, "not-read", "here stands neither well-formed XML nor JSON"),
        NotRead::Forbidden => {
            let detail =
                "the XML has a document type, entity, attribute, comment or instruction; none is read";
            pass.lost(span, "forbidden-xml", detail)
        }
        NotRead::TooLarge => pass.lost(span, "too-large", "a document is longer or deeper than is read"),
    }
}

/// Reads one document of a capture. `text` is the capture, of which parts of JSON know where they lie.
fn read(
    pass: &mut Pass<'_>,
    given: &Given<'_>,
    document: &Document<'_>,
    text: &str,
    whole: Span,
) -> io::Result<()> {
    let raw = match document {
        Document::Xml(value) => return tree_of(pass, given, whole, value),
        Document::Json(raw) => *raw,
    };
    let place = |part: &str| {
        let distance = part.as_ptr().addr().checked_sub(text.as_ptr().addr());
        span(distance.unwrap_or(0), part.len())
    };
    json(pass, given, raw, &place)
}

fn json(
    pass: &mut Pass<'_>,
    given: &Given<'_>,
    raw: &RawValue,
    place: &dyn Fn(&str) -> Span,
) -> io::Result<()> {
    if service::is_answer(raw.get()) {
        return service::answer(pass, raw, given.asked.as_deref(), place);
    }
    if let Some(elements) = Elements::of(raw) {
        for element in elements {
            one(pass, given, element, place)?;
        }
        return Ok(());
    }
    one(pass, given, raw, place)
}

fn one(
    pass: &mut Pass<'_>,
    given: &Given<'_>,
    raw: &RawValue,
    place: &dyn Fn(&str) -> Span,
) -> io::Result<()> {
    if service::is_answer(raw.get()) {
        return service::answer(pass, raw, given.asked.as_deref(), place);
    }
    match documents::json(raw.get()) {
        Ok(value) => tree_of(pass, given, place(raw.get()), &value),
        Err(wrong) => not_read(pass, place(raw.get()), wrong),
    }
}

/// Reads one message or event, opening it where it is encrypted.
fn tree_of(pass: &mut Pass<'_>, given: &Given<'_>, whole: Span, value: &Value) -> io::Result<()> {
    let Value::Object(fields) = value else {
        return pass.lost(whole, "not-a-callback", "there is a document without fields");
    };
    match encrypted(fields) {
        Some(encrypted) => sealed(pass, given, whole, fields, encrypted),
        None => plain(pass, whole, fields),
    }
}

/// Opens what is encrypted and reads it. Where no key opens it, what stands readable beside it is read.
fn sealed(
    pass: &mut Pass<'_>,
    given: &Given<'_>,
    whole: Span,
    fields: &Fields,
    encrypted: &str,
) -> io::Result<()> {
    let opened = given.keys.iter().find_map(|key| envelope::open(key, encrypted));
    let Some(opened) = opened else {
        if fields.contains_key("MsgType") {
            return plain(pass, whole, fields);
        }
        let detail = "the callback is encrypted, and no key that is given opens it";
        return pass.lost(whole, "not-opened", detail);
    };
    let mut message = opened.message;
    if make_utf8(&mut message).is_some() {
        let detail = "what is encrypted holds bytes that are not UTF-8; `?` stands for each";
        pass.problem(whole, "not-read", detail)?;
    }
    let text = std::str::from_utf8(&message).unwrap_or_default().trim_ascii();
    let inside = match documents::first(text) {
        Ok((Document::Xml(value), length)) if length == text.len() => Ok(value),
        Ok((Document::Json(raw), length)) if length == text.len() => documents::json(raw.get()),
        Ok(_) => Err(NotRead::Malformed),
        Err(wrong) => Err(wrong),
    };
    match inside {
        Ok(Value::Object(fields)) => plain(pass, whole, &fields),
        Ok(_) => pass.lost(whole, "not-a-callback", "there is a document without fields"),
        Err(wrong) => not_read(pass, whole, wrong),
    }
}

/// Reads one readable message or event.
fn plain(pass: &mut Pass<'_>, whole: Span, fields: &Fields) -> io::Result<()> {
    let is_event = tree::word(fields, "MsgType").as_deref() == Some("event");
    if is_event
        || (!fields.contains_key("MsgType")
            && ["Event", "InfoType"]
                .iter()
                .any(|name| fields.contains_key(*name)))
    {
        events::event(pass, whole, fields)
    } else if fields.contains_key("MsgType") {
        messages::message(pass, whole, fields)
    } else if service::is_item(fields) {
        service::message(pass, whole, fields)
    } else if robot::is_message(fields) {
        robot::message(pass, whole, fields)
    } else {
        pass.lost(
            whole,
            "not-a-callback",
            "a document has no MsgType, msgtype, InfoType or msg_list",
        )
    }
}

/// What is encrypted, where something is: `Encrypt` in XML and in the JSON of mini programs, `encrypt` in that of robots.
fn encrypted(fields: &Fields) -> Option<&str> {
    let text = match (fields.get("Encrypt"), fields.get("encrypt")) {
        (Some(Value::String(text)), None) | (None, Some(Value::String(text))) => text.trim_ascii(),
        _ => return None,
    };
    Some(text).filter(|text| !text.is_empty())
}
