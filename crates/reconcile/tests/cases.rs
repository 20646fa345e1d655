//! Accounts of one conversation that differ in what a source does, and in what a person did.
#![cfg(test)]

mod chat;

use chat::{Chat, Layout, anna, bob, report};
use model::Content;
use model::record::{Attachment, AttachmentState, ContentKind, Event, EventKind, Record};
use reconcile::{Certainty, MESSAGES_MAX, Side, TooMany, Verdict, What};

/// Both written out, the second after `change`; the differences in words, in order.
fn differences(base: &Chat, layouts: (Layout, Layout), change: impl FnOnce(&mut Chat)) -> Vec<String> {
    let mut other = base.clone();
    change(&mut other);
    report(&base.side(layouts.0), &other.side(layouts.1)).words
}

const PAIRS: [(Layout, Layout); 4] = [
    (Layout::Webhook, Layout::AndroidEnUs),
    (Layout::AndroidEnUs, Layout::IosDe),
    (Layout::IosDe, Layout::AndroidEnUs),
    (Layout::IosDe, Layout::Webhook),
];

#[test]
fn what_is_the_same_is_the_same_in_every_layout_and_zone() {
    let chat = Chat::long(400);
    for layouts in PAIRS {
        let found = report(&chat.side(layouts.0), &chat.side(layouts.1));
        assert_eq!(found.words, Vec::<String>::new(), "{layouts:?}");
        assert_eq!(found.outcome.verdict, Verdict::Same, "{layouts:?}");
        assert_eq!(found.outcome.counts.same, 400, "{layouts:?}");
    }
}

#[test]
fn each_alteration_is_told_by_its_name() {
    let chat = Chat::long(200);
    for layouts in PAIRS {
        let one = |change: &dyn Fn(&mut Chat), expected: &[&str]| {
            assert_eq!(differences(&chat, layouts, change), expected, "{layouts:?}");
        };
        one(&|chat| drop(chat.lines.remove(90)), &["missing-in-b 90"]);
        one(
            &|chat| chat.insert_after(90, &bob(), "this was never said by anybody here"),
            &["missing-in-a 9000"],
        );
        one(
            &|chat| chat.lines[90].text = format!("{} not", chat.lines[90].text),
            &["text 90"],
        );
        one(&|chat| chat.swap_author(90), &["author 90"]);
        one(&|chat| chat.lines[90].at += 7200 + 600, &["time 90"]);
    }
}

#[test]
fn a_line_at_another_place_with_its_time_kept_is_out_of_order() {
    let chat = Chat::long(200);
    let layouts = (Layout::AndroidEnUs, Layout::IosDe);
    let found = differences(&chat, layouts, |chat| {
        let line = chat.lines.remove(90);
        chat.lines.insert(150, line);
    });
    assert_eq!(found, ["order 90"]);
    // Deliveries have no order of their own.
    let found = differences(&chat, (Layout::AndroidEnUs, Layout::Webhook), |chat| {
        let line = chat.lines.remove(90);
        chat.lines.insert(150, line);
    });
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn an_export_that_begins_later_and_ends_earlier_is_told_by_its_bounds() {
    let chat = Chat::long(500);
    for layouts in PAIRS {
        let mut part = chat.clone();
        part.lines = part.lines[200..450].to_vec();
        let found = report(&chat.side(layouts.0), &part.side(layouts.1));
        assert_eq!(found.words, Vec::<String>::new(), "{layouts:?}");
        assert_eq!(
            (found.outcome.outside.a_before_b, found.outcome.outside.a_after_b),
            (200, 50)
        );
        let found = report(&part.side(layouts.0), &chat.side(layouts.1));
        assert_eq!(
            (found.outcome.outside.b_before_a, found.outcome.outside.b_after_a),
            (200, 50)
        );
        assert_eq!(found.outcome.verdict, Verdict::Same);
    }
}

#[test]
fn the_zone_of_a_wall_clock_is_told_through_summer_and_winter() {
    // Three years from the end of March 2023, so that the clocks change five times in Berlin.
    let mut chat = Chat::long(1200);
    chat.spread(3 * 365 * 86_400);
    let found = report(&chat.side(Layout::IosDe), &chat.side(Layout::Webhook));
    assert_eq!(found.words, Vec::<String>::new());
    assert_eq!(found.outcome.clock.zones, ["+02:00", "+01:00"]);
    assert_eq!(found.outcome.clock.stretches.len(), 6);
    let found = report(&chat.side(Layout::Webhook), &chat.side(Layout::AndroidEnUs));
    assert_eq!(found.outcome.clock.zones, ["-04:00", "-05:00"]);
    let offsets = found
        .outcome
        .clock
        .stretches
        .iter()
        .map(|stretch| stretch.offset_s);
    assert!(offsets.into_iter().all(|offset| offset % 3600 == 0));
}

#[test]
fn names_and_numbers_are_learned_and_two_people_called_the_same_are_not_taken_for_one() {
    let mut chat = Chat::long(200);
    let found = report(&chat.side(Layout::Webhook), &chat.side(Layout::AndroidEnUs));
    assert!(found.outcome.people.iter().all(|pair| pair.same));
    // One address book calls Bob what the other calls Anna, and the reverse.
    let as_captured = chat.side(Layout::IosDe);
    for line in &mut chat.lines {
        let name = if line.author.name == anna().name {
            bob().name
        } else {
            anna().name
        };
        line.author.name = name;
    }
    let found = report(&as_captured, &chat.side(Layout::AndroidEnUs));
    assert_eq!(found.words, Vec::<String>::new());
}

#[test]
fn a_name_that_occurs_once_is_only_possibly_somebody_else() {
    let chat = Chat::long(200);
    let mut other = chat.clone();
    other.lines[90].author.name = "Mallory".into();
    other.lines[90].author.phone = "15550009999".into();
    let found = report(&chat.side(Layout::IosDe), &other.side(Layout::AndroidEnUs));
    assert_eq!(found.words, ["author 90"]);
    assert_eq!(found.certainties, [Certainty::Possible]);
    assert_eq!(found.outcome.counts.author_unsure, 1);
    assert_eq!(found.outcome.counts.author_differs, 0);
}

#[test]
fn what_is_deleted_or_edited_is_no_accusation_unless_the_edit_was_captured_and_is_another() {
    let chat = Chat::long(200);
    let layouts = (Layout::Webhook, Layout::AndroidEnUs);
    let found = differences(&chat, layouts, |chat| {
        chat.lines[50].deleted = true;
        chat.lines[60].text = "something else was meant".into();
        chat.lines[60].edited = true;
    });
    assert_eq!(found, Vec::<String>::new());
    let edit = |text: &str| {
        let mut records = chat.records(Layout::Webhook);
        records.push(Record::Event(Event {
            event: EventKind::Edit,
            platform_id: None,
            target: Some(chat.lines[60].id().into()),
            conversation: None,
            actor: None,
            occurred_at: None,
            state: None,
            text: Some(Content::from(text.to_owned())),
            attachments: Vec::new(),
            details: None,
        }));
        records
    };
    let mut edited = chat.clone();
    edited.lines[60].text = "we agreed on 200 pieces".into();
    edited.lines[60].edited = true;
    let export = edited.side(Layout::AndroidEnUs);
    assert_eq!(
        report(&edit("we agreed on 200 pieces"), &export).words,
        Vec::<String>::new()
    );
    assert_eq!(
        report(&edit("we agreed on 100 pieces"), &export).words,
        ["text 60"]
    );
}

#[test]
fn a_message_taken_back_may_be_gone_without_a_trace() {
    let chat = Chat::long(200);
    let mut records = chat.records(Layout::Webhook);
    records.push(Record::Event(Event {
        event: EventKind::Revoke,
        platform_id: None,
        target: Some(chat.lines[60].id().into()),
        conversation: None,
        actor: None,
        occurred_at: None,
        state: None,
        text: None,
        attachments: Vec::new(),
        details: None,
    }));
    let mut export = chat.clone();
    export.lines.remove(60);
    let found = report(&records, &export.side(Layout::IosDe));
    assert_eq!(found.words, Vec::<String>::new());
    assert_eq!(found.outcome.explained.deleted, 1);
}

#[test]
fn a_placeholder_is_the_file_that_was_left_out() {
    let mut chat = Chat::long(200);
    // Thirty in one minute.
    for (at, line) in chat.lines.iter_mut().enumerate().skip(40).take(30) {
        line.media = Some([ContentKind::Image, ContentKind::Video, ContentKind::Audio][at % 3]);
        line.text.clear();
    }
    let minute = chat.lines[40].at;
    for line in chat.lines.iter_mut().skip(40).take(30) {
        line.at = minute;
    }
    for layouts in PAIRS {
        assert_eq!(
            differences(&chat, layouts, |_| ()),
            Vec::<String>::new(),
            "{layouts:?}"
        );
    }
    let found = differences(&chat, (Layout::Webhook, Layout::AndroidEnUs), |chat| {
        chat.lines.remove(55);
    });
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("missing-in-b"));
}

#[test]
fn another_document_under_the_same_name_is_another_file() {
    let chat = Chat::long(100);
    let with = |sha256: &str| {
        let mut records = chat.records(Layout::IosDe);
        if let Record::Message(message) = &mut records[50] {
            message.content = ContentKind::Document;
            message.text = None;
            message.attachments = vec![Attachment {
                name: Some("offer.pdf".into()),
                media_type: None,
                size_bytes: None,
                sha256: Some(sha256.to_owned().into()),
                state: AttachmentState::Found,
                media_id: None,
            }];
        }
        records
    };
    assert_eq!(report(&with("aa"), &with("aa")).words, Vec::<String>::new());
    assert_eq!(report(&with("aa"), &with("bb")).words, ["file 50"]);
}

#[test]
fn the_same_word_twice_in_a_minute_and_once_taken_out_is_one_missing() {
    let mut chat = Chat::long(200);
    for (at, line) in chat.lines.iter_mut().enumerate().skip(80).take(8) {
        line.text = "ok".into();
        line.at = 1_706_690_000 + i64::try_from(at).unwrap();
        line.author = if at % 2 == 0 { anna() } else { bob() };
    }
    chat.sort();
    for layouts in PAIRS {
        let found = differences(&chat, layouts, |chat| {
            let at = chat.lines.iter().position(|line| line.text == "ok").unwrap();
            chat.lines.remove(at + 3);
        });
        assert_eq!(found.len(), 1, "{layouts:?} {found:?}");
        assert!(found[0].starts_with("missing-in-b"), "{found:?}");
    }
}

#[test]
fn somebody_of_whom_one_side_has_nothing_is_one_statement() {
    let chat = Chat::long(400);
    let mut only_received = chat.clone();
    only_received.lines.retain(|line| line.author.name != bob().name);
    let found = report(&chat.side(Layout::IosDe), &only_received.side(Layout::Webhook));
    assert_eq!(found.words, Vec::<String>::new());
    assert_eq!(found.outcome.absent.len(), 1);
    assert_eq!(found.outcome.absent[0].absent_in, "b");
    assert_eq!(found.outcome.absent[0].author.reveal(), bob().name);
    assert_eq!(found.outcome.verdict, Verdict::Differs);
}

#[test]
fn two_other_conversations_are_not_thousands_of_missing_messages() {
    let one = Chat::long(300);
    let mut other = Chat::long(300);
    for (at, line) in other.lines.iter_mut().enumerate() {
        line.text = format!("another matter altogether, number {at}");
    }
    for (a, b) in PAIRS {
        if a == Layout::Webhook || b == Layout::Webhook {
            other.lines.iter_mut().for_each(|line| line.number += 10_000);
        }
        let found = report(&one.side(a), &other.side(b));
        assert_eq!(found.outcome.verdict, Verdict::NothingInCommon);
        assert_eq!(found.words, Vec::<String>::new());
    }
    let empty = Chat { lines: Vec::new() };
    let found = report(&empty.side(Layout::IosDe), &empty.side(Layout::IosDe));
    assert_eq!(found.outcome.verdict, Verdict::Same);
    let found = report(&one.side(Layout::IosDe), &empty.side(Layout::IosDe));
    assert_eq!(found.outcome.verdict, Verdict::NothingInCommon);
}

#[test]
fn an_ambiguous_date_is_read_as_fits_the_other_side() {
    let mut chat = Chat::long(300);
    chat.spread(200 * 86_400);
    let mut records = chat.records(Layout::AndroidEnUs);
    for record in &mut records {
        let Record::Message(message) = record else {
            continue;
        };
        let read = message.sent_at_local.clone().unwrap().into_owned();
        let day: u32 = read[8..10].parse().unwrap();
        if day <= 12 {
            let swapped = format!("{}-{}-{}{}", &read[..4], &read[8..10], &read[5..7], &read[10..]);
            message.sent_at_local_alternatives = vec![read.into()];
            message.sent_at_local = Some(swapped.into());
        }
    }
    let found = report(&chat.side(Layout::Webhook), &records);
    assert_eq!(found.words, Vec::<String>::new());
    assert!(found.outcome.clock.other_reading_b);
}

#[test]
fn platform_ids_pair_whatever_else_was_changed() {
    let chat = Chat::long(100);
    let found = differences(&chat, (Layout::Webhook, Layout::Webhook), |chat| {
        chat.lines[50].text = "nothing alike".into();
        chat.swap_author(50);
        chat.lines[50].at += 100_000;
    });
    assert_eq!(found, ["text author time 50"]);
}

#[test]
fn what_is_differently_spelt_is_the_same_and_counted() {
    let mut chat = Chat::long(200);
    chat.lines[50].text = "the *final* price, café, @447700900123".into();
    chat.lines[51].text = "one\ntwo\nthree lines of it".into();
    let mut other = chat.clone();
    other.lines[50].text = "the final  price, cafe\u{301}, @\u{2068}Bob Stone\u{2069}".into();
    other.lines[51].text = "\u{200E}one\r\ntwo \r\nthree lines of it".into();
    let found = report(&chat.side(Layout::IosDe), &other.side(Layout::AndroidEnUs));
    assert_eq!(found.words, Vec::<String>::new());
    assert_eq!(found.outcome.explained.spelling, 2);
}

/// Whatever is handed in: it ends, soon, and nothing is said twice.
#[test]
fn hostile_accounts_end_soon_and_count_every_message_once() {
    let anna = anna();
    let line = |at: i64, text: &str| chat::Line::new(0, at, &anna, text);
    let many = 30_000i64;
    let same_minute = |text: &dyn Fn(i64) -> String| Chat {
        lines: (0..many).map(|n| line(1_700_000_000, &text(n))).collect(),
    };
    let all_ok = same_minute(&|_| "ok".into());
    let alike = |seed: i64| same_minute(&move |n| format!("an offer of {} pieces for {seed}", n * 7 + seed));
    let backwards = Chat {
        lines: (0..many)
            .map(|n| line(1_700_000_000 - n * 977, &format!("message {n} of them")))
            .collect(),
    };
    let scattered = Chat {
        lines: (0..many)
            .map(|n| {
                line(
                    1_700_000_000 + (n * 7_919_777) % 90_000_000,
                    &format!("message {n} of them"),
                )
            })
            .collect(),
    };
    let everybody = Chat {
        lines: (0..many)
            .map(|n| {
                let mut line = line(1_700_000_000 + n * 60, &format!("message {n} of them"));
                line.author.name = format!("Person {n}");
                line.author.phone = format!("4477009{n:05}");
                line
            })
            .collect(),
    };
    let extreme = Chat {
        lines: [i64::from(i32::MIN) * 20, -1, 0, i64::from(i32::MAX) * 50]
            .map(|at| line(at, "a text that is telling enough"))
            .to_vec(),
    };
    let all = [
        all_ok,
        alike(1),
        alike(2),
        backwards,
        scattered,
        everybody,
        extreme,
    ];
    for one in &all {
        for other in &all {
            let found = report(&one.side(Layout::IosDe), &other.side(Layout::AndroidEnUs));
            let (counts, outside) = (found.outcome.counts, found.outcome.outside);
            let absent_from = |side| {
                let absent = found
                    .outcome
                    .absent
                    .iter()
                    .filter(|absent| absent.absent_in == side);
                absent.map(|absent| absent.messages).sum::<u64>()
            };
            let only_a = counts.missing_in_b + outside.a_before_b + outside.a_after_b + absent_from("b");
            let only_b = counts.missing_in_a + outside.b_before_a + outside.b_after_a + absent_from("a");
            if found.outcome.verdict != Verdict::NothingInCommon {
                let (a, b) = (one.lines.len() as u64, other.lines.len() as u64);
                assert_eq!(a - only_a, b - only_b);
            }
            let pairs = found
                .whats
                .iter()
                .filter(|whats| !whats.contains(&What::MissingInA))
                .count();
            assert!(pairs <= one.lines.len());
        }
    }
}

#[test]
fn more_messages_than_are_compared_at_once_are_refused() {
    let mut side = Side::new(&std::hash::RandomState::new());
    let line = chat::Line::new(0, 0, &anna(), "");
    let record = line.record(Layout::IosDe);
    for place in 0..MESSAGES_MAX as u64 {
        side.add(place, &record).unwrap();
    }
    assert_eq!(side.add(0, &record), Err(TooMany));
}
