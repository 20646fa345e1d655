//! The parts one by one: headers, names, wordings, titles.

use super::header::{Head, Scanner};
use super::learned::Learning;
use super::media;
use super::names::{Names, Wrote, clean, is_phone};
use super::placeholders::{Saying, normal, phrases};
use super::{system, title};

fn scanned(line: &str) -> Option<Head> {
    Scanner::default()
        .scan(line.as_bytes())
        .filter(|head| head.plausible)
}

#[test]
fn what_is_no_header_is_not_taken_for_one() {
    for line in [
        "",
        "[",
        "31/01/2024",
        "31/01/2024, 10:20",
        "31/01/2024, 10:20 Anna: x",
        "31/01/2024, 10:20- Anna: x",
        "31/01/2024 - Anna: x",
        "[31/01/2024, 10:20:30 Anna: x",
        "[31/01/2024] Anna: x",
        "[10:20] Anna: x",
        "[31/1, 10:20] Bob: pasted on Android",
        "1.2.3, 10:20 - version",
        "10:20 - 10:30 - lunch",
        "2024, 10:20 - Anna: x",
        "12345/01/2024, 10:20 - Anna: x",
        "99/99/2024, 10:20 - Anna: x",
        "00/01/2024, 10:20 - Anna: x",
        "31/01/2024, 25:20 - Anna: x",
        "31/01/2024, 10:2 - Anna: x",
        "+49 171 2345678 - Anna: x",
        "3/4 cup of milk, 10:20 - no",
        "٣١/٠١/٢٠٢٤",
        "\u{feff}\u{200e}",
    ] {
        assert!(scanned(line).is_none(), "{line}");
    }
}

#[test]
fn the_same_line_reads_alike_with_and_without_a_line_before_it() {
    let lines = [
        "31/01/2024, 10:20 - Anna: x",
        "31/01/2024, 09:05 - Anna: x",
        "[31/01/2024, 10:20:30] Anna: x",
        "[31/01/2024, 9:20:30 PM] Anna: x",
        "31/01/2024, 10:20 p. m. - Anna: x",
        "31/01/2024, 10:20:30 - Anna: x",
    ];
    let mut scanner = Scanner::default();
    for first in lines {
        for second in lines {
            scanner.scan(first.as_bytes());
            assert_eq!(
                scanner.scan(second.as_bytes()),
                scanned(second),
                "{first} then {second}"
            );
        }
    }
}

#[test]
fn noon_midnight_and_every_spelling_of_am_and_pm_are_read() {
    let read = |time: &str| {
        let head = scanned(&format!("31/01/2024, {time} - Anna: x")).expect(time);
        (head.clock.hour, head.clock.minute, head.clock.odd)
    };
    assert_eq!(read("12:00 AM"), (0, 0, false));
    assert_eq!(read("12:00 PM"), (12, 0, false));
    assert_eq!(read("1:05\u{202f}pm"), (13, 5, false));
    assert_eq!(read("1:05\u{a0}p.\u{a0}m."), (13, 5, false));
    assert_eq!(read("1:05 p.m."), (13, 5, false));
    assert_eq!(read("PM 1:05"), (13, 5, false));
    assert_eq!(read("1:05_PM"), (13, 5, false));
    assert_eq!(read("1:05pm"), (13, 5, false));
    assert_eq!(read("오후 1:05"), (13, 5, false));
    assert_eq!(read("中午12:05"), (12, 5, false));
    assert_eq!(read("中午1:05"), (13, 5, false));
    assert_eq!(read("凌晨12:05"), (0, 5, false));
    assert_eq!(read("晚上9:05"), (21, 5, false));
    assert_eq!(read("12:30 nachts"), (0, 30, false));
    assert_eq!(read("00:08 a. m."), (0, 8, true));
    assert_eq!(read("13:05 PM"), (13, 5, true));
}

#[test]
fn every_day_part_ends_where_the_word_ends_and_longer_words_are_tried_first() {
    let read = |time: &str| {
        scanned(&format!("31/01/2024, {time} - Anna: x")).map(|head| (head.clock.hour, head.foreign))
    };
    for (time, hour) in [
        ("3:45 مساءً", 15),
        ("3:45 م", 15),
        ("3:45 صباحًا", 3),
        ("3:45 popodne", 15),
        ("3:45 pop.", 15),
        ("3:45 אחה\"צ", 15),
        ("午後0:05", 12),
        ("午前0:05", 0),
        ("오후 3:45", 15),
    ] {
        assert_eq!(read(time), Some((hour, false)), "{time}");
    }
    for (time, foreign) in [
        ("3:45 Uhr", false),
        ("3:45 morg", true),
        ("3:45 zwei worte", true),
    ] {
        assert_eq!(read(time), Some((3, foreign)), "{time}");
    }
    for time in [
        "3:45 drei ganze worte",
        "3:45 x2",
        "3:45 (a)",
        "3:45 h45",
        "3 h 4x",
    ] {
        assert_eq!(read(time), None, "{time}");
    }
}

#[test]
fn names_that_phones_make_up_are_told_from_others() {
    for name in [
        "IMG-20240131-WA0001.jpg",
        "PTT-20240131-WA0002.opus",
        "DOC-20240131-WA0004.",
        "00000012-PHOTO-2024-01-31-10-20-30.jpg",
        "2017-07-25-PHOTO-00000043.jpg",
    ] {
        assert!(media::is_generated_name(name), "{name}");
    }
    for name in [
        "",
        "IMG.jpg",
        "IMG-2024-WA0001.jpg",
        "img-20240131-WA0001.jpg",
        "IMG-20240131-0001.jpg",
        "IMG-20240131-WA0001-edited copy.jpg",
        "00000012-Report.pdf",
        "2017-07-25-notes.txt",
    ] {
        assert!(!media::is_generated_name(name), "{name}");
    }
}

#[test]
fn a_word_in_brackets_is_learnt_only_behind_a_name_that_phones_make_up() {
    let mut learning = Learning::default();
    for line in [
        "Anna: IMG-20240131-WA0001.jpg (blat tolat)",
        "Anna: Report.pdf (mine)",
        "Anna: IMG-20240131-WA0001.jpg (see 2)",
        "Anna: IMG-20240131-WA0001.jpg (file attached)",
        "Anna: <urlat te>",
        "Bob: <urlat te>",
        "Bob: <br>",
        "Bob: <br>",
        "Bob: <only once>",
        "Bob: <a href=\"x\">",
        "Bob: <a href=\"x\">",
    ] {
        learning.observe(line.as_bytes(), phrases());
    }
    let learned = learning.settle();
    assert_eq!(learned.behind, ["(blat tolat)"]);
    assert_eq!(learned.omitted, ["<urlat te>"]);
}

#[test]
fn phone_numbers_are_told_from_names() {
    for phone in [
        "+49 171 2345678",
        "\u{202a}+1 (555) 010-0199\u{202c}",
        "+44\u{a0}20\u{2011}7946\u{2011}0000",
    ] {
        assert!(is_phone(phone.as_bytes()), "{phone}");
    }
    for name in [
        "49171",
        "+49",
        "+49 171 CALL ME",
        "Anna +49 171 2345678",
        "+1234567890123456789",
    ] {
        assert!(!is_phone(name.as_bytes()), "{name}");
    }
    assert_eq!(clean("\u{200e}\u{202a}Anna\u{202c}".as_bytes()), b"Anna");
}

#[test]
fn a_person_cannot_pass_for_a_system_line_nor_the_reverse() {
    let wrote = |line: &str| {
        matches!(
            Names::default().split(line.as_bytes(), phrases()),
            Wrote::Person { .. }
        )
    };
    for line in [
        "Anna: Tom left",
        "Anna: I added \"Bob: x\"",
        "Anna added: Bob",
        "Anna: created group \"X\"",
    ] {
        assert!(wrote(line), "{line}");
    }
    for line in [
        "Anna created group \"Project: Alpha\"",
        "Anna changed the subject from \"A: b\" to \"C: d\"",
        "Anna tat etwas mit „X: Y“",
        "Anna left",
        "You were added",
    ] {
        assert!(!wrote(line), "{line}");
    }
}

#[test]
fn wordings_are_found_whatever_marks_blanks_and_stops_stand_around_them() {
    let says = |line: &str| phrases().saying(line).map(|(saying, _)| saying);
    assert_eq!(says("This message was deleted"), Some(Saying::Deleted));
    assert_eq!(says("This message was deleted."), Some(Saying::Deleted));
    assert_eq!(says("Diese Nachricht wurde gelöscht."), Some(Saying::Deleted));
    assert_eq!(says("This message was deleted, he said"), None);
    assert_eq!(normal("\u{200e}You’re\u{a0}now an admin."), "You're now an admin");
}

#[test]
fn the_longer_of_two_wordings_that_fit_decides() {
    let kind = |line: &str| system::read(phrases(), line).kind;
    assert_eq!(
        kind("Anna changed this group's settings to allow only admins to send messages to this group"),
        "send_permission_changed"
    );
    assert_eq!(
        kind("Anna changed this group's settings to something new"),
        "group_settings_changed"
    );
    assert_eq!(
        kind("Anna joined using this group's invite link"),
        "joined_by_link"
    );
    assert_eq!(kind("Something nobody has seen"), "other");
}

#[test]
fn titles_are_read_from_the_names_of_exports() {
    for (name, wanted) in [
        ("WhatsApp Chat with Anna Berg.txt", Some("Anna Berg")),
        ("WhatsApp Chat - Team (2024).zip", Some("Team (2024)")),
        ("WhatsApp Chat with Anna (1).txt", Some("Anna")),
        ("/folder/WhatsApp Chat mit Büro.ZIP", Some("Büro")),
        ("与王芳的 WhatsApp 聊天.txt", Some("王芳")),
        ("與陳的WhatsApp對話.txt", Some("陳")),
        ("Чат WhatsApp с\u{a0}Анна.txt", Some("Анна")),
        ("_chat.txt", None),
        ("WhatsApp Chat with .txt", None),
        ("WhatsApp Chat with Anna.pdf", None),
        ("", None),
    ] {
        assert_eq!(title::from_file_name(name).as_deref(), wanted, "{name}");
    }
}
