//! Alarms that leave the machine, to real receivers on loopback.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::capture::lines;
use crate::hooks;
use crate::outsiders::mail;
use crate::receivers::{Answered, Desk, SECRET, collector, datagrams, tls_collector};
use crate::run::Place;

const PATIENCE: Duration = Duration::from_secs(30);
const QUICK: (&str, &str) = ("CHANCERY_ALARM_MILLISECONDS", "50");

pub fn quick(place: &Place, more: &[(&str, &str)]) {
    let all = [&[QUICK], more].concat();
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    place.set_environment(all.iter().map(owned).collect());
}

pub fn add_desk(place: &Place, name: &str, desk: &Desk, more: &[&str]) {
    place.secret("alarm.txt", &format!("{SECRET}\n"));
    let add = [
        "alarm",
        "add",
        "webhook",
        name,
        "--url",
        &desk.url,
        "--secret-file",
        "alarm.txt",
    ];
    place.on(&[&add[..], more].concat()).done();
}

pub fn until<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "{what}");
    }
}

fn destination(place: &Place, name: &str) -> Value {
    let listed = place.on(&["alarm", "list", "--json"]).json();
    let all = listed["destinations"].as_array().unwrap().clone();
    all.into_iter().find(|one| one["name"] == name).unwrap()
}

/// Kinds of the checks of `doctor` that are not well.
fn failing(place: &Place) -> BTreeSet<String> {
    let doctor: Value = serde_json::from_str(&place.on(&["doctor", "--json"]).out).unwrap();
    let checks = doctor["checks"].as_array().unwrap();
    let bad = checks.iter().filter(|check| check["ok"] == false);
    bad.map(|check| check["kind"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn every_check_that_fails_is_told_once_signed_and_once_more_when_it_is_well() {
    let place = Place::with_archive();
    let desk = Desk::new(Answered::well());
    add_desk(&place, "desk", &desk, &[]);
    assert!(!place.holds("archive", SECRET.as_bytes()));
    quick(&place, &[]);
    let _serving = place.serve();
    let mut opened = BTreeSet::new();
    // Whether the intake is confined depends on who runs the test.
    while opened.is_empty() || opened != failing(&place) {
        for alarm in desk.next() {
            assert_eq!(
                (&alarm["event"], &alarm["kind"]),
                (&json!("opened"), &json!("check"))
            );
            assert_eq!(
                alarm["id"],
                format!("us/check/{}", alarm["name"].as_str().unwrap())
            );
            assert!(
                alarm["advice"].as_str().unwrap().contains("chancery")
                    || !alarm["advice"].as_str().unwrap().is_empty()
            );
            assert!(
                opened.insert(alarm["name"].as_str().unwrap().to_owned()),
                "twice: {alarm}"
            );
        }
    }
    assert!(
        opened.contains("backup") && opened.contains("key-copy"),
        "{opened:?}"
    );
    place.on(&["backup", "add", "elsewhere"]).done();
    let closed = desk.next();
    assert_eq!(closed.len(), 1, "{closed:?}");
    assert_eq!(
        (&closed[0]["event"], &closed[0]["id"]),
        (&json!("closed"), &json!("us/check/backup"))
    );
    assert_eq!(closed[0]["advice"], "");
    until("it is noted", || {
        let listed = destination(&place, "desk");
        let is_well = listed["failing"].is_null() && listed["delivered_at"].is_string();
        (listed["waiting"] == 0 && is_well).then_some(())
    });
}

#[test]
fn the_status_page_says_what_doctor_says() {
    let place = Place::with_archive();
    let serving = place.serve();
    // The intake is being started: what is said of it may change between the two questions.
    until("they agree", || {
        let told = hooks::status(serving.address).unwrap()["attention"].clone();
        let told: BTreeSet<String> = told
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["kind"].as_str().unwrap().to_owned())
            .collect();
        (told == failing(&place) && told.contains("backup")).then_some(())
    });
    let page = hooks::get(serving.address, "/").unwrap();
    assert!(page.contains("There is no backup") && !page.contains("Nothing needs attention"));
}

#[test]
fn a_gap_that_opens_and_closes_is_told_with_its_bounds_and_nothing_of_what_was_said_or_by_whom() {
    let place = Place::with_archive();
    let canary = "zebrafinch";
    let text = lines(&[1, 2, 5])
        .replace("says", canary)
        .replace("Ann", "Quillon");
    place.write("some.jsonl", text);
    place.on(&["import", "generic-import", "some.jsonl"]).done();
    let desk = Desk::new(Answered::well());
    let (tcp, lines_taken) = collector();
    let (server, mailed) = mail();
    add_desk(&place, "desk", &desk, &[]);
    place.on(&["alarm", "add", "syslog", "siem", "--to", &tcp]).done();
    let smtp = server.to_string();
    let mail = [
        "alarm",
        "add",
        "mail",
        "officer",
        "--to",
        "officer@example.org",
        "--from",
        "chancery@example.org",
    ];
    place
        .on(&[&mail[..], &["--smtp", &smtp, "--language", "zh-CN"]].concat())
        .done();
    // A backup that fails, in a folder with a telling name: `doctor` says it, and an alarm must not.
    place.on(&["backup", "add", "kowalska"]).done();
    std::fs::remove_dir_all(place.path("kowalska")).unwrap();
    place.write("kowalska", "no folder any more");
    let doctor = place.on(&["doctor"]).out;
    assert!(doctor.contains("kowalska"), "{doctor}");
    // Two hours later what is missing did not come.
    quick(&place, &[("CHANCERY_CLOCK", "+7200")]);
    let _serving = place.serve();
    let mut left = Vec::new();
    let of_gap = |alarms: Vec<Value>| alarms.into_iter().find(|alarm| alarm["kind"] == "gap");
    let opened = until("the gap opens", || {
        let alarms = desk.next();
        left.push(json!(alarms).to_string());
        of_gap(alarms)
    });
    assert_eq!(opened["event"], "opened");
    assert_eq!(
        (&opened["name"], &opened["count"], &opened["connection"]),
        (&json!("sequence-hole"), &json!(2), &json!("generic-import"))
    );
    assert_eq!(
        (&opened["from"], &opened["to"]),
        (&json!("2026-01-01T00:00:02Z"), &json!("2026-01-01T00:00:05Z"))
    );
    assert!(opened["advice"].as_str().unwrap().contains("pull again"));
    let rest = lines(&[3, 4]).replace("says", canary).replace("Ann", "Quillon");
    place.write("rest.jsonl", rest);
    place.on(&["import", "generic-import", "rest.jsonl"]).done();
    let closed = until("the gap closes", || {
        let alarms = desk.next();
        left.push(json!(alarms).to_string());
        of_gap(alarms)
    });
    assert_eq!(
        (&closed["event"], &closed["id"], &closed["closed_because"]),
        (&json!("closed"), &opened["id"], &json!("arrived"))
    );
    let number = |alarm: &Value| alarm["message"].as_u64().unwrap();
    assert!(number(&closed) > number(&opened));
    // The others are told the same.
    let mut siem = String::new();
    until("the collector has both", || {
        siem.push_str(&lines_taken.recv_timeout(PATIENCE).unwrap());
        let both = [&opened, &closed].map(|alarm| siem.contains(&format!("\"message\":{}", number(alarm))));
        (both == [true, true]).then_some(())
    });
    let mut letters = String::new();
    until("the mails", || {
        let (_, message) = mailed.recv_timeout(PATIENCE).unwrap();
        letters.push_str(&decoded(&message));
        (letters.contains("缺口已关闭") && letters.contains("出现缺口")).then_some(())
    });
    left.extend([siem, letters]);
    let left = left.concat();
    // What is sought would be found.
    assert!(left.contains("generic-import") && left.contains("us/check/backup"));
    for secret in [canary, "Quillon", "kowalska", "x3", "archive/", SECRET] {
        assert!(!left.contains(secret), "{secret}: {left}");
    }
}

/// The text of a mail, whose body is Base64 where it is not ASCII.
fn decoded(message: &str) -> String {
    let (head, body) = message.split_once("\r\n\r\n").unwrap();
    if !head.to_lowercase().contains("base64") {
        return message.to_owned();
    }
    let bytes = STANDARD.decode(body.replace("\r\n", "")).unwrap();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn what_waits_survives_kills_and_a_rebuild_and_arrives_once_in_its_order() {
    let place = Place::with_archive();
    let desk = Desk::new(Answered::well());
    add_desk(&place, "desk", &desk, &[]);
    let down = desk.go_away();
    quick(&place, &[]);
    let serving = place.serve();
    let waiting = until("alarms wait", || {
        let listed = destination(&place, "desk");
        let fails = listed["failing"]
            .as_str()
            .is_some_and(|said| said.contains("cannot be reached"));
        listed["waiting"]
            .as_u64()
            .filter(|waiting| fails && *waiting >= 3)
    });
    // It shows, and raises no storm: it is told to nobody but others.
    assert!(failing(&place).contains("alarm-destination"));
    serving.kill();
    let serving = place.serve();
    place.on(&["rebuild"]).done();
    assert_eq!(destination(&place, "desk")["waiting"], waiting);
    serving.kill();
    let desk = down.come_back(Answered::well());
    let _serving = place.serve();
    let mut taken: Vec<Value> = Vec::new();
    while (taken.len() as u64) < waiting {
        taken.extend(desk.next());
    }
    let numbers: Vec<u64> = taken
        .iter()
        .map(|alarm| alarm["message"].as_u64().unwrap())
        .collect();
    assert!(numbers.is_sorted_by(|one, next| one < next), "{numbers:?}");
    let ids: BTreeSet<&str> = taken.iter().map(|alarm| alarm["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), taken.len(), "{taken:?}");
    assert!(!ids.iter().any(|id| id.contains("alarm-destination")), "{ids:?}");
    until("it is well", || {
        let listed = destination(&place, "desk");
        (listed["waiting"] == 0 && listed["failing_since"].is_null()).then_some(())
    });
    // A rebuild tells nothing again: the next that comes is what is changed after it.
    place.on(&["rebuild"]).done();
    place.on(&["backup", "add", "elsewhere"]).done();
    let next = desk.next();
    assert_eq!(
        (next.len(), &next[0]["event"], &next[0]["name"]),
        (1, &json!("closed"), &json!("backup")),
        "{next:?}"
    );
}

#[test]
fn what_a_receiver_does_wrong_is_said_and_tried_again_and_holds_up_no_other() {
    let place = Place::with_archive();
    let redirected = Desk::new(Answered::well());
    let location = format!(
        "HTTP/1.1 307 X\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n",
        redirected.url
    );
    let endless_head = b"HTTP/1.1 200 OK\r\nX: ".to_vec();
    let bad: Vec<(&str, Answered, &str)> = vec![
        (
            "broken",
            Answered::once(b"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n"),
            "answered 500",
        ),
        (
            "moved",
            Answered::once(location.as_bytes()),
            "a redirect is not followed",
        ),
        (
            "stranger",
            Answered::once(b"HTTP/1.1 401 X\r\nContent-Length: 0\r\n\r\n"),
            "the same secret",
        ),
        ("babbler", Answered::Endless(endless_head), "broke off"),
        ("mute", Answered::once(b""), "broke off"),
        (
            "nonsense",
            Answered::once(b"220 mail.example.org ESMTP\r\n"),
            "broke off",
        ),
    ];
    let mut desks = Vec::new();
    for (name, answered, says) in bad {
        let desk = Desk::new(answered);
        add_desk(&place, name, &desk, &[]);
        let ran = place.on(&["alarm", "test", name, "--json"]);
        let said: Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!((ran.code, &said["checks"][0]["ok"]), (1, &json!(false)), "{said}");
        let detail = said["checks"][0]["detail"].as_str().unwrap();
        assert!(
            detail.contains(says) && !detail.contains("127.0.0.1"),
            "{name}: {detail}"
        );
        place.on(&["alarm", "remove", name]).done();
        desks.push(desk);
    }
    // An answer is taken by its status: what comes after is not waited for.
    let chatty = Desk::new(Answered::Endless(b"HTTP/1.1 200 OK\r\n\r\n".to_vec()));
    add_desk(&place, "chatty", &chatty, &[]);
    place.on(&["alarm", "test", "chatty"]).done();
    // One that never answers, beside one that does.
    let silent = Desk::new(Answered::Never);
    let well = Desk::new(Answered::well());
    add_desk(&place, "silent", &silent, &[]);
    add_desk(&place, "well", &well, &[]);
    quick(&place, &[]);
    let _serving = place.serve();
    let first = well.next();
    assert!(first.iter().any(|alarm| alarm["event"] == "opened"), "{first:?}");
    let asked = silent.next();
    assert_eq!(asked[0]["id"], first[0]["id"]);
    // While it hangs, the other is told what happens.
    place.on(&["backup", "add", "elsewhere"]).done();
    until("backup closes", || {
        let alarms = well.next();
        let is_it = |alarm: &Value| alarm["event"] == "closed" && alarm["name"] == "backup";
        alarms.iter().any(is_it).then_some(())
    });
    assert!(redirected.took_nothing());
}

#[test]
fn a_collector_gets_each_alarm_by_udp_tcp_and_tls_and_only_one_that_leads_to_the_root() {
    let place = Place::with_archive();
    let tls = |name: &str| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../server/tests/tls");
        folder.join(name).to_str().unwrap().to_owned()
    };
    let (udp, datagrams) = datagrams();
    let (tcp, counted) = collector();
    let (secure, encrypted) = tls_collector();
    let ca = tls("ca.pem");
    place.on(&["alarm", "add", "syslog", "udp", "--to", &udp]).done();
    place.on(&["alarm", "add", "syslog", "tcp", "--to", &tcp]).done();
    place
        .on(&["alarm", "add", "syslog", "tls", "--to", &secure, "--root", &ca])
        .done();
    let said = place.on(&["alarm", "test", "--json"]).json();
    assert_eq!(said["checks"].as_array().unwrap().len(), 3);
    for (way, line) in [
        ("udp", datagrams.recv_timeout(PATIENCE).unwrap()),
        ("tcp", counted.recv_timeout(PATIENCE).unwrap()),
        ("tls", encrypted.recv_timeout(PATIENCE).unwrap()),
    ] {
        let (head, text) = line.split_once('\u{feff}').unwrap();
        let fields: Vec<&str> = head.split(' ').collect();
        assert_eq!(fields[0], "<110>1", "{way}: {line}");
        assert_eq!(
            fields[2..7],
            ["n1", "chancery", "-", "test", "-"],
            "{way}: {line}"
        );
        let text: Value = serde_json::from_str(text).unwrap();
        assert_eq!((&text["id"], &text["event"]), (&json!("us/test"), &json!("test")));
    }
    // Another root, and no TLS where there must be.
    let (other, _) = tls_collector();
    let stranger =
        crate::authority::Authority::new(&place.path("tsa"), &crate::authority::Options::default());
    place.write("other.pem", stranger.root());
    place
        .on(&[
            "alarm",
            "add",
            "syslog",
            "other",
            "--to",
            &other,
            "--root",
            "other.pem",
        ])
        .done();
    let plain = tcp.replace("tcp://", "tls://");
    place
        .on(&["alarm", "add", "syslog", "plain", "--to", &plain, "--root", &ca])
        .done();
    for name in ["other", "plain"] {
        let ran = place.on(&["alarm", "test", name]);
        assert_eq!(ran.code, 1, "{}", ran.out);
        assert!(ran.out.contains("leads to the configured root"), "{}", ran.out);
    }
}

#[test]
fn a_destination_that_cannot_be_one_is_refused_with_what_to_do() {
    let place = Place::with_archive();
    place.secret("alarm.txt", &format!("{SECRET}\n"));
    place.secret("short.txt", "guessme\n");
    place.secret("empty.txt", "");
    let refused = |arguments: &[&str], code: i32, says: &str| {
        place
            .on(&[&["alarm", "add"], arguments].concat())
            .failed(code, says);
    };
    let with = |url: &str, file: &str, says: &str, code: i32| {
        refused(&["webhook", "w", "--url", url, "--secret-file", file], code, says);
    };
    with("ftp://x", "alarm.txt", "https://", 64);
    with("http://user:pass@x", "alarm.txt", "https://", 64);
    with("https://x", "short.txt", "fewer than 16", 64);
    with("https://x", "empty.txt", "fewer than 16", 64);
    with("https://x", "nowhere.txt", "nowhere.txt", 74);
    refused(
        &[
            "webhook",
            "W/..",
            "--url",
            "http://x",
            "--secret-file",
            "alarm.txt",
        ],
        64,
        "W/..",
    );
    let mail = [
        "mail",
        "m",
        "--to",
        "nobody",
        "--from",
        "a@example.org",
        "--smtp",
        "mail:25",
    ];
    refused(&mail, 64, "mail addresses");
    refused(&["syslog", "s", "--to", "siem:514"], 64, "udp://HOST:PORT");
    refused(&["syslog", "s", "--to", "tls://siem:6514"], 64, "--root PEM");
    refused(
        &[
            "syslog",
            "s",
            "--to",
            "tls://siem:6514",
            "--root",
            "archive/zone.pub",
        ],
        64,
        "no certificate",
    );
    refused(
        &[
            "syslog",
            "s",
            "--to",
            "udp://siem:514",
            "--root",
            "archive/zone.pub",
        ],
        64,
        "tls:// alone",
    );
    place
        .on(&["alarm", "remove", "w"])
        .failed(65, "there is no destination w");
    place.on(&["alarm", "test"]).failed(65, "there is no destination");
    let udp = ["syslog", "s", "--to", "udp://127.0.0.1:9"];
    place.on(&[&["alarm", "add"], &udp[..]].concat()).done();
    refused(&udp, 73, "there is a destination s already");
    for number in 1..8 {
        let name = format!("s{number}");
        place
            .on(&["alarm", "add", "syslog", &name, "--to", "udp://127.0.0.1:9"])
            .done();
    }
    refused(
        &["syslog", "more", "--to", "udp://127.0.0.1:9"],
        64,
        "8 destinations already",
    );
}

#[test]
fn what_was_sent_and_not_noted_before_a_kill_comes_again_with_the_same_number() {
    let place = Place::with_archive();
    let desk = Desk::new(Answered::well());
    add_desk(&place, "desk", &desk, &[]);
    quick(&place, &[("CHANCERY_FAIL_POINT", "alarm-sent:1")]);
    let mut serving = place.serve();
    let first = desk.next();
    until("it dies", || serving.ended().then_some(()));
    drop(serving);
    quick(&place, &[]);
    let _serving = place.serve();
    let again = desk.next();
    assert_eq!(
        (&again[0]["message"], &again[0]["id"]),
        (&first[0]["message"], &first[0]["id"])
    );
}

#[test]
fn a_mail_server_that_refuses_or_breaks_off_is_said_without_its_address() {
    let place = Place::with_archive();
    for (name, says, expected) in [
        ("refusing", &b"554 go away\r\n"[..], "with code 554"),
        (
            "stranger",
            b"HTTP/1.1 400 X\r\n\r\n",
            "cannot be reached, or broke off",
        ),
        ("mute", b"", "cannot be reached, or broke off"),
    ] {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let smtp = listener.local_addr().unwrap().to_string();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let _ = std::io::Write::write_all(&mut stream.unwrap(), says);
            }
        });
        let to = [
            "--to",
            "officer@example.org",
            "--from",
            "chancery@example.org",
            "--smtp",
            &smtp,
        ];
        place
            .on(&[&["alarm", "add", "mail", name], &to[..]].concat())
            .done();
        let ran = place.on(&["alarm", "test", name]);
        assert_eq!(ran.code, 1, "{}", ran.out);
        assert!(
            ran.out.contains(expected) && !ran.out.contains(&smtp),
            "{}",
            ran.out
        );
    }
}
