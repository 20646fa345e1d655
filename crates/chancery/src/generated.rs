//! Reference pages that follow from the code: `./dev generate` writes them, a test compares them.

use std::fmt::Write as _;

use clap::Command;
use connect::{Connector, Door, SecretName};
use model::record::{AttachmentState, ContentKind, EventKind, TimeCertainty};
use server::vault::forward::FORWARD_TO;

const HEAD: &str = "<!-- Written by `./dev generate` from the code; change it there. -->\n";
/// Columns of the help texts in the page of commands.
const COLUMNS: usize = 100;

/// Path from the root of the clone, and text, of each page.
pub fn documents() -> Vec<(String, String)> {
    vec![
        ("docs/reference/commands.md".to_owned(), commands()),
        ("docs/reference/connectors.md".to_owned(), connectors()),
        ("docs/reference/parse.md".to_owned(), parse()),
    ]
}

fn commands() -> String {
    let mut page = format!("# Commands\n\n{HEAD}\n");
    page.push_str(include_str!("reference/commands.txt"));
    let mut root = crate::args::command().term_width(COLUMNS);
    root.build();
    help(&mut page, &mut root, "chancery");
    page
}

fn help(page: &mut String, command: &mut Command, name: &str) {
    let text = command.render_long_help().to_string();
    // What every command takes stands once, under the program itself.
    let text = if name.contains(' ') {
        without_section(&text, "Everywhere:")
    } else {
        text
    };
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    let _ = write!(
        page,
        "\n## {name}\n\n```text\n{}\n```\n",
        lines.join("\n").trim_end()
    );
    let parts: Vec<String> = command
        .get_subcommands()
        .map(|part| part.get_name().to_owned())
        .collect();
    for part in parts.iter().filter(|part| *part != "help") {
        if let Some(sub) = command.find_subcommand_mut(part)
            && !sub.is_hide_set()
        {
            help(page, sub, &format!("{name} {part}"));
        }
    }
}

/// A help text without the section of this title.
fn without_section(text: &str, title: &str) -> String {
    let mut inside = false;
    let mut kept = String::new();
    for line in text.lines() {
        inside = line == title || (inside && (line.is_empty() || line.starts_with(' ')));
        if !inside {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

fn connectors() -> String {
    let mut page = format!("# Connectors\n\n{HEAD}\n");
    page.push_str(
        "What each connector captures, and what it cannot see. An examiner asks for the second list first.\n",
    );
    for connector in connect::CONNECTORS {
        one_connector(&mut page, *connector);
    }
    page
}

fn one_connector(page: &mut String, connector: &dyn Connector) {
    let about = connector.about();
    let _ = write!(page, "\n## {}\n\n", about.title);
    let _ = writeln!(
        page,
        "`{}`, version {}. {}\n",
        connector.id(),
        connector.version(),
        about.summary
    );
    list(page, "Captures", about.captures);
    list(page, "Cannot see", about.blind_spots);
    let _ = write!(
        page,
        "**Authenticity.** {}\n\n**Repeats.** {}\n\n",
        about.authenticity, about.repeats
    );
    door(page, connector.door());
    page.push_str("**Problems**\n\n| code | means |\n|---|---|\n");
    for (code, means) in about.problems {
        let _ = writeln!(page, "| `{code}` | {} |", means.replace('|', "\\|"));
    }
    let _ = write!(
        page,
        "\nVendor's page: <{}>. Compared: {}.\n",
        about.vendor_page, about.compared
    );
}

fn list(page: &mut String, title: &str, items: &[&str]) {
    let _ = write!(page, "**{title}**\n\n");
    for item in items {
        let _ = writeln!(page, "- {item}");
    }
    page.push('\n');
}

fn door(page: &mut String, door: Door) {
    let Some((required, optional, settings)) = door.given() else {
        page.push_str("Takes files: `chancery import`.\n\n");
        return;
    };
    let forwards = matches!(door, Door::Webhook { .. });
    page.push_str(if forwards {
        "Takes webhooks at `/in/CONNECTION`.\n\n"
    } else {
        "`chancery serve` asks the vendor for what is new. Takes files too: `chancery import`; for those a connection needs \
         nothing of what follows.\n\n"
    });
    page.push_str("| secret | needed | |\n|---|---|---|\n");
    let mut row = |name: &SecretName, needed: &str| {
        let several = if name.several {
            " Several values may be valid at once."
        } else {
            ""
        };
        let _ = writeln!(
            page,
            "| `{}` | {needed} | {}{several} |",
            name.name,
            sentence(name.help)
        );
    };
    required.iter().for_each(|name| row(name, "yes"));
    optional.iter().for_each(|name| row(name, "no"));
    page.push('\n');
    page.push_str("| setting | without it |\n|---|---|\n");
    for (name, default) in settings.iter().chain(forwards.then_some(&(FORWARD_TO, ""))) {
        let default = if default.is_empty() {
            "nothing".to_owned()
        } else if default.contains(' ') {
            (*default).to_owned()
        } else {
            format!("`{default}`")
        };
        let _ = writeln!(page, "| `{name}` | {default} |");
    }
    page.push('\n');
}

fn sentence(text: &str) -> String {
    if text.ends_with('.') {
        text.to_owned()
    } else {
        format!("{text}.")
    }
}

fn parse() -> String {
    let template = include_str!("reference/parse.txt");
    let page = format!("# The output of `parse`\n\n{HEAD}\n{template}");
    page.replace(
        "{content}\n",
        &rows(CONTENT.iter().map(|kind| (kind.name(), content_means(*kind)))),
    )
    .replace(
        "{event}\n",
        &rows(EVENTS.iter().map(|kind| (kind.name(), event_means(*kind)))),
    )
    .replace(
        "{certainty}\n",
        &rows(
            CERTAINTY
                .iter()
                .map(|it| (certainty_name(*it), certainty_means(*it))),
        ),
    )
    .replace(
        "{state}\n",
        &rows(STATES.iter().map(|it| (state_name(*it), state_means(*it)))),
    )
}

fn rows<'a>(rows: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    rows.fold(String::new(), |mut text, (name, means)| {
        let _ = writeln!(text, "| `{name}` | {means} |");
        text
    })
}

const CONTENT: &[ContentKind] = &[
    ContentKind::Text,
    ContentKind::Image,
    ContentKind::Audio,
    ContentKind::Video,
    ContentKind::Document,
    ContentKind::Sticker,
    ContentKind::Location,
    ContentKind::Contact,
    ContentKind::Poll,
    ContentKind::Call,
    ContentKind::Reaction,
    ContentKind::Order,
    ContentKind::Interactive,
    ContentKind::Template,
    ContentKind::System,
    ContentKind::Unsupported,
    ContentKind::Other,
];

fn content_means(kind: ContentKind) -> &'static str {
    match kind {
        ContentKind::Text => "text alone",
        ContentKind::Image => "a picture; `text` is its caption",
        ContentKind::Audio => "sound or a voice message",
        ContentKind::Video => "a video or GIF",
        ContentKind::Document => "any other file",
        ContentKind::Sticker => "a sticker",
        ContentKind::Location => "a place, fixed or live",
        ContentKind::Contact => "one or more contact cards",
        ContentKind::Poll => "a poll with its options",
        ContentKind::Call => "a line about a call",
        ContentKind::Reaction => "a reaction that the source gives as a message",
        ContentKind::Order => "an order or product from a catalogue",
        ContentKind::Interactive => "buttons, lists and forms, and answers to them",
        ContentKind::Template => "a message from an approved template",
        ContentKind::System => "a line of the platform's own; no sender",
        ContentKind::Unsupported => "the platform said that it leaves the content out",
        ContentKind::Other => "of a kind that is not known here, or gone; `details` has what the source says",
    }
}

const EVENTS: &[EventKind] = &[
    EventKind::Edit,
    EventKind::Revoke,
    EventKind::Reaction,
    EventKind::Status,
    EventKind::Join,
    EventKind::Leave,
    EventKind::Rename,
    EventKind::Consent,
    EventKind::Call,
    EventKind::Account,
    EventKind::IdentityChange,
    EventKind::HistorySync,
    EventKind::Other,
];

fn event_means(kind: EventKind) -> &'static str {
    match kind {
        EventKind::Edit => "the text of `target` was changed to `text`",
        EventKind::Revoke => "`target` was deleted for everyone",
        EventKind::Reaction => "`text` is the emoji; `state` is `removed` when it was taken back",
        EventKind::Status => "`target` was sent, delivered, read, played, or failed, as `state` says",
        EventKind::Join => "somebody came into a group",
        EventKind::Leave => "somebody left, or was taken out",
        EventKind::Rename => "a conversation has a new title",
        EventKind::Consent => "somebody agreed to messages, or no longer does",
        EventKind::Call => "a call took place, or was not answered",
        EventKind::Account => "the company's account, a number or a template changed",
        EventKind::IdentityChange => "a person's number, id or device changed",
        EventKind::HistorySync => "a piece of history was delivered",
        EventKind::Other => "anything else; `details` has what the source says",
    }
}

const CERTAINTY: &[TimeCertainty] = &[
    TimeCertainty::VendorUtc,
    TimeCertainty::AssumedZone,
    TimeCertainty::LocalUnknown,
    TimeCertainty::AmbiguousDate,
];

fn certainty_name(certainty: TimeCertainty) -> &'static str {
    match certainty {
        TimeCertainty::VendorUtc => "vendor-utc",
        TimeCertainty::AssumedZone => "assumed-zone",
        TimeCertainty::LocalUnknown => "local-unknown",
        TimeCertainty::AmbiguousDate => "ambiguous-date",
    }
}

fn certainty_means(certainty: TimeCertainty) -> &'static str {
    match certainty {
        TimeCertainty::VendorUtc => "the vendor gives the instant",
        TimeCertainty::AssumedZone => "wall time, made an instant with the zone given by `--zone-of-phone`",
        TimeCertainty::LocalUnknown => "wall time of an unknown zone; `sent_at` is null",
        TimeCertainty::AmbiguousDate => "day and month could be either; the other reading stands beside",
    }
}

const STATES: &[AttachmentState] = &[
    AttachmentState::Found,
    AttachmentState::Omitted,
    AttachmentState::Missing,
    AttachmentState::Pending,
    AttachmentState::Fetched,
    AttachmentState::Mismatch,
    AttachmentState::Expired,
    AttachmentState::Refused,
];

fn state_name(state: AttachmentState) -> &'static str {
    match state {
        AttachmentState::Found => "found",
        AttachmentState::Omitted => "omitted",
        AttachmentState::Missing => "missing",
        AttachmentState::Pending => "pending",
        AttachmentState::Fetched => "fetched",
        AttachmentState::Mismatch => "mismatch",
        AttachmentState::Expired => "expired",
        AttachmentState::Refused => "refused",
    }
}

fn state_means(state: AttachmentState) -> &'static str {
    match state {
        AttachmentState::Found => "in this capture, with these bytes",
        AttachmentState::Omitted => "the source says that it left it out",
        AttachmentState::Missing => "named, and not in the container",
        AttachmentState::Pending => "to be fetched from the vendor",
        AttachmentState::Fetched => "fetched, hash as declared",
        AttachmentState::Mismatch => "fetched, and not what was declared",
        AttachmentState::Expired => "the vendor no longer has it",
        AttachmentState::Refused => "the vendor refused",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_the_pages_are_those_of_the_output() {
        let name = |value: &dyn Fn() -> serde_json::Value| value().as_str().map(str::to_owned);
        for it in CERTAINTY {
            assert_eq!(
                name(&|| serde_json::json!(it)).as_deref(),
                Some(certainty_name(*it))
            );
        }
        for it in STATES {
            assert_eq!(name(&|| serde_json::json!(it)).as_deref(), Some(state_name(*it)));
        }
    }
}
