//! What a book decides.

use super::*;
use crate::vault::checks::Severity;

const MINUTE: i64 = 60;
const DAY: i64 = 24 * 60 * 60;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(1_700_000_000 + seconds)
}

fn bad(kind: CheckKind, subject: Option<&str>, severity: Severity) -> Attention {
    Attention {
        kind,
        subject: subject.map(str::to_owned),
        severity,
    }
}

fn backup() -> Attention {
    bad(CheckKind::Backup, None, Severity::Alarm)
}

/// A book with one destination, which always takes what it is sent.
struct Desk {
    book: Book,
    names: Vec<String>,
}

impl Desk {
    fn new() -> Desk {
        Desk::with(&["desk"])
    }

    fn with(names: &[&str]) -> Desk {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut book = Book::default();
        book.settle_destinations(&names, at(0));
        Desk { book, names }
    }

    fn look(&mut self, seconds: i64, attention: &[Attention]) {
        self.look_behind(seconds, attention, true);
    }

    fn look_behind(&mut self, seconds: i64, attention: &[Attention], is_caught_up: bool) {
        let seen = Seen {
            attention: attention.to_vec(),
            is_caught_up,
            now: at(seconds),
        };
        self.book.observe(&seen, &Patience::default());
    }

    /// What the first destination is sent and takes.
    fn taken(&mut self, seconds: i64) -> Vec<Event> {
        let name = self.names[0].clone();
        let Some(batch) = self.book.due(&name, at(seconds)) else {
            return Vec::new();
        };
        self.book
            .settle(&name, &batch, None, at(seconds), &Patience::default());
        batch.alarms.iter().map(|alarm| alarm.event).collect()
    }
}

#[test]
fn an_alarm_is_told_once_when_it_opens_and_once_when_it_is_over() {
    let mut desk = Desk::new();
    desk.look(0, &[backup()]);
    assert_eq!(desk.taken(0), [], "it may be over in a moment");
    for seconds in [30, 60, 90, 3600] {
        desk.look(seconds, &[backup()]);
    }
    assert_eq!(desk.taken(3600), [Event::Opened]);
    desk.look(3630, &[]);
    assert_eq!(desk.taken(3630), []);
    desk.look(3630 + 5 * MINUTE, &[]);
    assert_eq!(desk.taken(4000), [Event::Closed]);
    desk.look(5000, &[]);
    assert_eq!(desk.taken(5000), []);
}

#[test]
fn what_comes_and_goes_is_one_alarm_and_what_passes_at_once_is_none() {
    let mut desk = Desk::new();
    // One look alone: never told.
    desk.look(0, &[backup()]);
    desk.look(30, &[]);
    desk.look(60, &[backup()]);
    desk.look(90, &[]);
    assert_eq!(desk.taken(90), []);
    // Every minute there and gone, for ten hours.
    desk.look(100, &[backup()]);
    desk.look(130, &[backup()]);
    for round in 0..600 {
        desk.look(160 + round * MINUTE, &[]);
        desk.look(190 + round * MINUTE, &[backup()]);
    }
    assert_eq!(desk.taken(160 + 600 * MINUTE), [Event::Opened]);
}

#[test]
fn each_day_that_it_stays_there_is_one_reminder() {
    let mut desk = Desk::new();
    let mut told = Vec::new();
    for half_hour in 0..3 * 48 + 2 {
        desk.look(half_hour * 30 * MINUTE, &[backup()]);
        told.extend(desk.taken(half_hour * 30 * MINUTE));
    }
    assert_eq!(
        told,
        [Event::Opened, Event::Reminder, Event::Reminder, Event::Reminder]
    );
}

#[test]
fn a_warning_that_becomes_an_alarm_is_told_again_at_once() {
    let mut desk = Desk::new();
    let secret = |severity| bad(CheckKind::SecretExpires, Some("ward-3/access-token"), severity);
    desk.look(0, &[secret(Severity::Warning)]);
    desk.look(30, &[secret(Severity::Warning)]);
    desk.look(60, &[secret(Severity::Alarm)]);
    // To and fro is not told each time.
    desk.look(90, &[secret(Severity::Warning)]);
    desk.look(120, &[secret(Severity::Alarm)]);
    assert_eq!(desk.taken(120), [Event::Opened, Event::Worse]);
}

#[test]
fn while_followers_catch_up_what_they_make_opens_and_closes_nothing() {
    let gaps = bad(CheckKind::GapsOpen, None, Severity::Alarm);
    let scrub = bad(CheckKind::Scrub, None, Severity::Alarm);
    let mut desk = Desk::new();
    desk.look(0, std::slice::from_ref(&gaps));
    desk.look(30, std::slice::from_ref(&gaps));
    assert_eq!(desk.taken(30), [Event::Opened]);
    // A rebuild: for an hour no gap is known, no scrub is known, and the disk is full.
    let full = bad(CheckKind::DiskRoom, None, Severity::Alarm);
    for minute in 1..60 {
        desk.look_behind(30 + minute * MINUTE, &[scrub.clone(), full.clone()], false);
    }
    assert_eq!(desk.taken(3600), [Event::Opened], "the disk alone");
    desk.look(3700, &[gaps, full]);
    assert_eq!(desk.taken(3700), []);
}

#[test]
fn a_destination_that_is_new_is_told_what_stands_and_one_that_is_gone_leaves_nothing() {
    let mut desk = Desk::new();
    desk.look(0, &[backup()]);
    desk.look(30, &[backup()]);
    desk.names.push("siem".to_owned());
    let names = desk.names.clone();
    desk.book.settle_destinations(&names, at(40));
    let told = desk.book.due("siem", at(40)).unwrap().alarms;
    assert_eq!(
        (told.len(), told[0].event, told[0].since),
        (1, Event::Opened, at(0))
    );
    desk.book.settle_destinations(&["siem".to_owned()], at(50));
    assert!(desk.book.due("desk", at(50)).is_none());
    assert!(!desk.book.settle(
        "desk",
        &Batch {
            alarms: told,
            not_kept: 0
        },
        None,
        at(60),
        &Patience::default()
    ));
}

#[test]
fn a_destination_that_fails_is_told_to_the_others_and_not_to_itself() {
    let mut desk = Desk::with(&["desk", "siem"]);
    let fails = bad(CheckKind::AlarmDestination, Some("desk"), Severity::Alarm);
    desk.look(0, std::slice::from_ref(&fails));
    desk.look(30, &[fails]);
    assert!(desk.book.due("desk", at(30)).is_none());
    assert_eq!(desk.book.due("siem", at(30)).unwrap().alarms.len(), 1);
}

#[test]
fn what_is_too_much_is_dropped_oldest_first_counted_and_said_until_it_was_said() {
    let mut desk = Desk::new();
    let too_many = WAITING_MAX + 7;
    for position in 0..too_many {
        let gap = GapTold {
            position: Position(position as u64),
            connection: None,
            cause: "silent".to_owned(),
            from: at(0),
            to: at(1),
            count: 0,
            closed: None,
        };
        desk.book.tell(Event::Opened, About::Gap(gap), at(0), at(2));
    }
    let batch = desk.book.due("desk", at(3)).unwrap();
    assert_eq!((batch.alarms.len(), batch.not_kept), (AT_ONCE, 7));
    assert_eq!(batch.alarms[0].id("us"), "us/gap/7");
    let patience = Patience::default();
    desk.book
        .settle("desk", &batch, Some("answered 500"), at(3), &patience);
    let again = desk.book.due("desk", at(3600)).unwrap();
    assert_eq!((again.not_kept, &again.alarms), (7, &batch.alarms), "as it was");
    desk.book.settle("desk", &again, None, at(3600), &patience);
    let mut left = 0;
    while let Some(batch) = desk.book.due("desk", at(3600)) {
        assert_eq!(batch.not_kept, 0);
        left += batch.alarms.len();
        desk.book.settle("desk", &batch, None, at(3600), &patience);
    }
    assert_eq!(left, WAITING_MAX - AT_ONCE);
}

#[test]
fn one_reminder_waits_for_a_destination_however_long_it_is_away() {
    let mut desk = Desk::new();
    for day in 0..30 {
        desk.look(day * DAY, &[backup()]);
        desk.look(day * DAY + 30, &[backup()]);
    }
    let events: Vec<Event> = desk.book.queues["desk"]
        .waiting
        .iter()
        .map(|alarm| alarm.event)
        .collect();
    assert_eq!(events, [Event::Opened, Event::Reminder]);
}

#[test]
fn pauses_grow_to_a_quarter_of_an_hour_and_a_clock_that_was_put_back_is_not_waited_for() {
    let mut desk = Desk::new();
    desk.book.tell(Event::Test, About::Test, at(0), at(0));
    let batch = desk.book.due("desk", at(0)).unwrap();
    let mut pauses = Vec::new();
    let mut now = 0;
    for _ in 0..12 {
        desk.book
            .settle("desk", &batch, Some("no"), at(now), &Patience::default());
        let pause = (0..).find(|pause| desk.book.due("desk", at(now + pause)).is_some());
        pauses.push(pause.unwrap());
        now += pause.unwrap();
    }
    assert_eq!(pauses[..8], [5, 10, 20, 40, 80, 160, 320, 640]);
    assert!(pauses[8..].iter().all(|pause| *pause == 900), "{pauses:?}");
    desk.book
        .settle("desk", &batch, Some("no"), at(now), &Patience::default());
    assert!(desk.book.due("desk", at(now - DAY)).is_some());
    assert_eq!(desk.book.queues["desk"].failing_since, Some(at(0)));
}

#[test]
fn a_number_is_never_given_twice_not_even_when_the_book_is_lost() {
    let mut desk = Desk::new();
    for _ in 0..3 {
        desk.book.tell(Event::Test, About::Test, at(0), at(0));
    }
    let before = desk.book.queues["desk"].waiting.back().unwrap().message;
    let mut fresh = Desk::new();
    fresh.book.tell(Event::Test, About::Test, at(1), at(1));
    assert!(fresh.book.queues["desk"].waiting[0].message > before);
}

#[test]
fn what_waits_is_read_back_as_it_was_written() {
    let mut desk = Desk::new();
    desk.look(0, &[backup()]);
    desk.look(30, &[backup()]);
    let bytes = serde_json::to_vec(&desk.book).unwrap();
    let read: Book = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(read, desk.book);
}
