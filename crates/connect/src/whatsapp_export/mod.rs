//! WhatsApp "Export chat": the text file or zip that a phone writes, from Android and iOS, in every layout and
//! language.
//!
//! Two passes over the text, each through a window of bounded size: the first decides layout, date order and
//! names from the whole file ([`survey`]), the second gives the records ([`parse`]).

mod about;
mod archive;
mod clock;
mod container;
mod cursor;
mod dates;
mod encoding;
mod files;
mod header;
mod learned;
mod lines;
mod local;
mod meaning;
pub(crate) mod media;
mod message;
mod names;
mod parse;
mod placeholders;
mod survey;
mod system;
mod template;
#[cfg(test)]
mod tests;
mod title;

use std::io::{self, Read};

use model::record::ConversationShape;

use crate::{About, Connector, Door, Input, NotRecognized, ParseOptions, Report, Sink};
use container::{Chat, Container};
use message::Writer;
use parse::{Layout, Out, Parser};
use survey::Survey;

/// The connector `whatsapp-export`.
pub struct WhatsappExport;

const ID: &str = "whatsapp-export";
const VERSION: u32 = 2;

impl Connector for WhatsappExport {
    fn id(&self) -> &'static str {
        ID
    }

    fn version(&self) -> u32 {
        VERSION
    }

    fn about(&self) -> &'static About {
        &about::ABOUT
    }

    fn door(&self) -> Door {
        Door::File
    }

    fn recognize(&self, input: &mut dyn Input, _options: &ParseOptions) -> Result<(), NotRecognized> {
        container::recognize(input)
    }

    fn streams(&self, input: &mut dyn Input) -> io::Result<u32> {
        container::streams(input)
    }

    fn stream(&self, input: Box<dyn Input>, stream: u32) -> io::Result<Box<dyn Read + Send>> {
        container::open_stream(input, stream)
    }

    fn parse(
        &self,
        input: &mut dyn Input,
        options: &ParseOptions,
        sink: &mut dyn Sink,
    ) -> io::Result<Report> {
        let report = Report {
            connector: ID.to_owned(),
            connector_version: VERSION,
            ..Report::default()
        };
        let mut out = Out {
            sink,
            report,
            stream: 0,
        };
        let container = Container::open(input)?;
        container.report_members(&mut out)?;
        let Some(chat) = container.chat.clone() else {
            out.problem(
                "no-chat-text",
                "Nothing in the file looks like an exported chat.",
                0,
                None,
            )?;
            return Ok(out.report);
        };
        out.stream = chat.stream();
        let phrases = placeholders::phrases();
        let survey = chat.read(input, |text| survey::survey(text, phrases))?.0;
        let files = container.measure_files(input, &chat)?;
        parse_chat(input, options, &chat, survey, files, out)
    }
}

/// The second pass, with everything the first one found.
fn parse_chat(
    input: &mut dyn Input,
    options: &ParseOptions,
    chat: &Chat,
    mut survey: Survey,
    files: files::Files,
    mut out: Out<'_>,
) -> io::Result<Report> {
    let title = chat_title(options, chat, &survey);
    let known: Vec<&str> = [options.custodian.as_deref(), title.as_deref()]
        .into_iter()
        .flatten()
        .collect();
    survey.names.settle(&known, survey.marks_seen);
    survey.group_line |= survey.names.has_group_title();
    let title = title.or_else(|| title_from_writers(options, chat, &survey));
    let decided = survey.dates.decide(options.date_order);
    let Some(shape) = survey.shape else {
        out.problem(
            "no-message",
            "No line looks like a WhatsApp message header.",
            0,
            None,
        )?;
        return Ok(out.report);
    };
    out.report.date_decision = Some(decided.reported());
    let others: Vec<_> = survey
        .others
        .iter()
        .map(|(shape, dates)| (*shape, dates.decide(options.date_order)))
        .collect();
    if decided.other.is_some() && survey.dates.matters() {
        let detail = "Nothing in the file tells day and month apart; each message gives both readings. Ask the exporter.";
        out.problem("ambiguous-dates", detail, 0, None)?;
    }
    if survey.names.overflow {
        out.problem(
            "too-many-names",
            "More names than are kept apart; later ones were judged line by line.",
            0,
            None,
        )?;
    }
    if survey.foreign && !survey.past_noon {
        let detail = "Words stand beside the times that are not known; if they tell morning from afternoon, hours are off by twelve.";
        out.problem("unknown-day-part", detail, 0, None)?;
    }
    let custodian = Custodian::of(options.custodian.as_deref(), title.as_deref(), &survey);
    if custodian.unfit {
        let detail = "Neither of the two people in the chat has the name stated for the custodian; directions stay unknown.";
        out.problem("custodian-not-found", detail, 0, None)?;
    }
    let title = title.or(custodian.other);
    let conversation_shape = shape_of(&survey, title.as_deref());
    let mut writer = Writer::new(placeholders::phrases(), files);
    writer.title = title;
    writer.shape = conversation_shape;
    writer.marks_seen = survey.marks_seen;
    writer.learned = survey.learning.settle();
    writer.line_title = survey.first_name;
    writer.custodian = custodian.name;
    writer.zone = options.zone_of_phone.clone().map(local::Zone::new);
    let layout = Layout {
        shape,
        others: &others,
        decided: &decided,
        foreign: survey.foreign,
    };
    let parser = Parser::new(chat.encoding, layout, survey.names, writer, out);
    let ((mut out, writer), damaged) = chat.read(input, |text| parser.run(text))?;
    writer.finish(&mut out);
    report_files(&writer.files, damaged, &mut out)?;
    Ok(out.report)
}

/// The title from the name of the file handed in, of the member in it, or of the notice an iPhone begins with.
fn chat_title(options: &ParseOptions, chat: &Chat, survey: &Survey) -> Option<String> {
    let outer = options.file_name.as_deref().and_then(title::from_file_name);
    let inner = || {
        chat.member
            .as_ref()
            .and_then(|member| title::from_file_name(&member.name))
    };
    let line = || survey.notice_name.clone().or_else(|| survey.first_name.clone());
    outer.or_else(inner).or_else(line)
}

/// The name of the export holds a writer's name, in words that no list has.
fn title_from_writers(options: &ParseOptions, chat: &Chat, survey: &Survey) -> Option<String> {
    let member = chat.member.as_ref().map(|member| member.name.as_str());
    let file = [options.file_name.as_deref(), member]
        .into_iter()
        .flatten()
        .find(|name| title::is_named_by_phone(name))?;
    let mut inside = survey
        .names
        .all_writers()
        .filter(|name| title::holds_name(file, name));
    match (inside.next(), inside.next()) {
        (Some(name), None) => Some(name),
        _ => None,
    }
}

/// Whose export it is, as the file spells the name.
#[derive(Default)]
struct Custodian {
    name: Option<String>,
    /// The other one in a chat of two.
    other: Option<String>,
    /// It is a chat of two, and neither has the name.
    unfit: bool,
}

impl Custodian {
    fn of(stated: Option<&str>, title: Option<&str>, survey: &Survey) -> Self {
        let Some(stated) = stated else {
            return Custodian::default();
        };
        let folded = stated.trim().to_lowercase();
        let mut alike = survey
            .names
            .all_writers()
            .filter(|name| name.trim().to_lowercase() == folded);
        let name = match (alike.next(), alike.next()) {
            (Some(name), None) => name,
            _ => stated.to_owned(),
        };
        if shape_of(survey, title) != ConversationShape::Direct {
            return Custodian {
                name: Some(name),
                ..Custodian::default()
            };
        }
        let mut custodian = Custodian::default();
        if let Some([a, b]) = survey.names.two_writers() {
            match (names::is_same(&name, &a), names::is_same(&name, &b)) {
                (true, false) => custodian.other = Some(b),
                (false, true) => custodian.other = Some(a),
                // Of two the title tells one; the other is whose phone it is, under another name.
                (false, false) => custodian.unfit = true,
                (true, true) => {}
            }
        }
        custodian.name = Some(name).filter(|_| !custodian.unfit);
        custodian
    }
}

/// Two people may also be all who wrote in a group; its title is then neither's name.
fn shape_of(survey: &Survey, title: Option<&str>) -> ConversationShape {
    let is_writer = || title.is_some_and(|title| survey.names.all_writers().any(|name| name == title));
    match survey.names.writers(3) {
        _ if survey.group_line => ConversationShape::Group,
        3.. => ConversationShape::Group,
        2 if title.is_none() || is_writer() => ConversationShape::Direct,
        1 if is_writer() => ConversationShape::Direct,
        _ => ConversationShape::Unknown,
    }
}

fn report_files(files: &files::Files, damaged: bool, out: &mut Out<'_>) -> io::Result<()> {
    let extra = files.extra();
    out.report.media_extra = extra;
    let counted = [
        (extra, "extra-media", "files in the zip are named by no message"),
        (
            files.duplicates,
            "duplicate-member",
            "files in the zip have the name of another; none was chosen where they differ",
        ),
        (
            files.damaged,
            "damaged-member",
            "files in the zip could not be read as declared",
        ),
        (
            files.unread,
            "zip-too-large",
            "files in the zip were not read: all together are too large",
        ),
        (
            u64::from(damaged),
            "damaged-member",
            "chat text could not be read as declared; it was read as far as it goes",
        ),
    ];
    for (count, code, what) in counted {
        if count > 0 {
            out.problem(code, &format!("{count} {what}."), 0, None)?;
        }
    }
    Ok(())
}
