//! Conversations that are made up, and how three kinds of sources write them.
#![allow(dead_code, reason = "each test file uses its part")]

use std::hash::RandomState;

use model::Timestamp;
use model::record::{
    Attachment, AttachmentState, ContentKind, Direction, Identifier, Message, Participant, Record,
    TimeCertainty,
};
use reconcile::{Certainty, Outcome, Side, What, compare};

/// Somebody: the name in address books, and the number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Who {
    pub name: String,
    pub phone: String,
}

pub fn anna() -> Who {
    Who {
        name: "Anna Lindt".into(),
        phone: "447700900123".into(),
    }
}

pub fn bob() -> Who {
    Who {
        name: "Bob Stone".into(),
        phone: "4915112345678".into(),
    }
}

#[derive(Debug, Clone)]
pub struct Line {
    pub number: u64,
    pub at: i64,
    pub author: Who,
    pub text: String,
    pub media: Option<ContentKind>,
    pub deleted: bool,
    pub edited: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// The instant to the second, ids, numbers.
    Webhook,
    /// New York's wall clock to the minute, names, files left out without their kind.
    AndroidEnUs,
    /// Berlin's wall clock to the second, names, files left out with their kind.
    IosDe,
}

#[derive(Debug, Clone)]
pub struct Chat {
    pub lines: Vec<Line>,
}

impl Line {
    pub fn new(number: u64, at: i64, author: &Who, text: &str) -> Line {
        Line {
            number,
            at,
            author: author.clone(),
            text: text.to_owned(),
            media: None,
            deleted: false,
            edited: false,
        }
    }

    pub fn id(&self) -> String {
        format!("wamid.{}", self.number)
    }

    pub fn record(&self, layout: Layout) -> Record<'static> {
        let webhook = layout == Layout::Webhook;
        let phone = Identifier {
            kind: "phone".into(),
            value: self.author.phone.clone().into(),
        };
        let gone = self.deleted && !webhook;
        let media = self.media.filter(|_| !gone);
        let content = match media {
            Some(_) if layout == Layout::AndroidEnUs => ContentKind::Other,
            Some(kind) => kind,
            None if gone => ContentKind::Other,
            None => ContentKind::Text,
        };
        let attachment = Attachment {
            name: None,
            media_type: None,
            size_bytes: None,
            sha256: None,
            state: if webhook {
                AttachmentState::Pending
            } else {
                AttachmentState::Omitted
            },
            media_id: None,
        };
        Record::Message(Message {
            platform_id: webhook.then(|| self.id().into()),
            conversation: None,
            sender: Some(Participant {
                name: (!webhook).then(|| self.author.name.clone().into()),
                ids: if webhook { vec![phone] } else { Vec::new() },
            }),
            direction: Direction::Unknown,
            sent_at: webhook.then(|| Timestamp::from_seconds(self.at)),
            sent_at_local: (!webhook).then(|| wall(layout, self.at).into()),
            sent_at_local_alternatives: Vec::new(),
            time_certainty: if webhook {
                TimeCertainty::VendorUtc
            } else {
                TimeCertainty::LocalUnknown
            },
            content,
            text: (!gone && !self.text.is_empty()).then(|| self.text.clone().into()),
            attachments: media.map(|_| attachment).into_iter().collect(),
            quote: None,
            forwarded: false,
            ephemeral: false,
            edited: self.edited && !webhook,
            deleted: gone,
            details: None,
        })
    }
}

/// The wall clock of the layout's zone, by the rules of the European Union and of the United States since 2007.
fn wall(layout: Layout, at: i64) -> String {
    let utc = Timestamp::from_seconds(at).to_string();
    let year: i64 = utc
        .trim_start_matches('-')
        .get(..4)
        .and_then(|year| year.parse().ok())
        .unwrap_or(1970);
    let day = |month: &str, day: i64, hour: i64| {
        let first = Timestamp::parse(&format!("{year:04}-{month}-01T00:00:00Z"))
            .unwrap()
            .as_micros()
            / 1_000_000;
        first + (day - 1) * 86_400 + hour * 3600
    };
    let weekday = |month: &str, of: i64| (day(month, of, 0).div_euclid(86_400) + 4).rem_euclid(7);
    let last_sunday = |month: &str| 31 - weekday(month, 31);
    let first_sunday = |month: &str| 1 + (7 - weekday(month, 1)) % 7;
    let offset = match layout {
        Layout::Webhook => 0,
        Layout::IosDe => {
            let summer = day("03", last_sunday("03"), 1)..day("10", last_sunday("10"), 1);
            if summer.contains(&at) { 7200 } else { 3600 }
        }
        Layout::AndroidEnUs => {
            let summer = day("03", first_sunday("03") + 7, 7)..day("11", first_sunday("11"), 6);
            if summer.contains(&at) {
                -4 * 3600
            } else {
                -5 * 3600
            }
        }
    };
    let mut local = at + offset;
    if layout == Layout::AndroidEnUs {
        local -= local.rem_euclid(60);
    }
    Timestamp::from_seconds(local)
        .to_string()
        .trim_end_matches('Z')
        .to_owned()
}

const WORDS: [&str; 16] = [
    "offer",
    "price",
    "Harbour",
    "invoice",
    "tomorrow",
    "Bestätigung",
    "pieces",
    "合同",
    "signed",
    "call",
    "margin",
    "draft",
    "warehouse",
    "Montag",
    "client",
    "letter",
];

impl Chat {
    /// Two people, over some weeks; every fourth message is a short one that comes again.
    pub fn long(count: u64) -> Chat {
        let mut state = 7u64;
        let mut random = move |below: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let mut at = 1_705_000_000;
        let lines = (0..count).map(|number| {
            at += 61 + i64::try_from(random(4000)).unwrap();
            let author = if random(2) == 0 { anna() } else { bob() };
            let text = if number % 4 == 3 {
                ["ok", "thanks", "👍", "good morning"][usize::try_from(random(4)).unwrap()].to_owned()
            } else {
                let mut words: Vec<&str> = Vec::new();
                for _ in 0..6 {
                    words.push(WORDS[usize::try_from(random(16)).unwrap()]);
                }
                format!("{} no. {number}", words.join(" "))
            };
            Line::new(number, at, &author, &text)
        });
        Chat {
            lines: lines.collect(),
        }
    }

    /// The same over so many seconds.
    pub fn spread(&mut self, seconds: i64) {
        let count = i64::try_from(self.lines.len()).unwrap();
        for (at, line) in (0i64..).zip(&mut self.lines) {
            line.at = 1_680_000_000 + at * seconds / count;
        }
    }

    pub fn sort(&mut self) {
        self.lines.sort_by_key(|line| line.at);
        for (number, line) in (0u64..).zip(&mut self.lines) {
            line.number = number;
        }
    }

    pub fn swap_author(&mut self, at: usize) {
        let author = &mut self.lines[at].author;
        *author = if *author == anna() { bob() } else { anna() };
    }

    /// Numbered a hundredfold of the one before.
    pub fn insert_after(&mut self, at: usize, author: &Who, text: &str) {
        let before = &self.lines[at];
        let line = Line::new(before.number * 100, before.at + 30, author, text);
        self.lines.insert(at + 1, line);
    }

    pub fn records(&self, layout: Layout) -> Vec<Record<'static>> {
        self.lines.iter().map(|line| line.record(layout)).collect()
    }

    /// As [`Chat::records`], each with its number as its place.
    pub fn side(&self, layout: Layout) -> Account {
        let numbered = self.lines.iter().map(|line| (line.number, line.record(layout)));
        Account(numbered.collect())
    }
}

pub struct Account(Vec<(u64, Record<'static>)>);

pub trait Records {
    fn to(&self, keys: &RandomState) -> Side;
}

impl Records for Account {
    fn to(&self, keys: &RandomState) -> Side {
        let mut side = Side::new(keys);
        for (place, record) in &self.0 {
            side.add(*place, record).unwrap();
        }
        side
    }
}

impl Records for Vec<Record<'static>> {
    fn to(&self, keys: &RandomState) -> Side {
        let mut side = Side::new(keys);
        for (place, record) in (0u64..).zip(self) {
            side.add(place, record).unwrap();
        }
        side
    }
}

pub struct Found {
    pub outcome: Outcome,
    /// What differs, and the number in the first, or in the second where the first has none.
    pub words: Vec<String>,
    pub whats: Vec<Vec<What>>,
    pub certainties: Vec<Certainty>,
}

pub fn report(a: &dyn Records, b: &dyn Records) -> Found {
    let keys = RandomState::new();
    let (mut words, mut whats, mut certainties) = (Vec::new(), Vec::new(), Vec::new());
    let outcome = compare::<()>(a.to(&keys), b.to(&keys), &mut |difference| {
        let place = difference.a.as_ref().or(difference.b.as_ref()).unwrap().place;
        let names: Vec<&str> = difference
            .differs
            .iter()
            .map(|of| match of.what {
                What::MissingInB => "missing-in-b",
                What::MissingInA => "missing-in-a",
                What::Text => "text",
                What::Author => "author",
                What::Time => "time",
                What::Order => "order",
                What::File => "file",
            })
            .collect();
        words.push(format!("{} {place}", names.join(" ")));
        whats.push(difference.differs.iter().map(|of| of.what).collect());
        certainties.extend(difference.differs.iter().map(|of| of.certainty));
        Ok(())
    })
    .unwrap();
    assert_eq!(
        outcome.counts.differences(),
        whats.iter().map(Vec::len).sum::<usize>() as u64
    );
    Found {
        outcome,
        words,
        whats,
        certainties,
    }
}
