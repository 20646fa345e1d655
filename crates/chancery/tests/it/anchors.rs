//! Anchors outside: witnesses, authorities, and places that keep checkpoints, with real servers.

use std::io::Cursor;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use seal::bundle::{Report, VerifyOptions, verify};
use seal::note::NoteKey;
use seal::stamp::Root;
use seal::witness::WitnessKey;
use serde_json::Value;

use crate::authority::Keys;
use crate::inputs::{CHAT, CHAT_NAME, LONGER};
use crate::outsiders::{Running, authority, http, mail, webhook};
use crate::run::Place;

/// An archive with a chat in it.
pub fn with_chat() -> Place {
    let place = Place::with_archive();
    place.write(CHAT_NAME, CHAT);
    place.on(&["import", "whatsapp-export", CHAT_NAME]).done();
    place
}

pub fn add_witness(place: &Place, witness: &Running, every: &str) {
    let arguments = [
        "anchor",
        "add",
        "witness",
        "notary",
        "--url",
        &witness.url,
        "--key",
        &witness.key,
        "--every",
        every,
    ];
    place.on(&arguments).done();
}

fn now(place: &Place) -> Value {
    let ran = place.on(&["anchor", "now", "--json"]);
    serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{}{}", ran.out, ran.err))
}

/// What one anchor said when it was asked: whether it worked, and its words.
pub fn said(place: &Place) -> (bool, String) {
    let checks = now(place)["checks"].clone();
    assert_eq!(checks.as_array().unwrap().len(), 1, "{checks}");
    (
        checks[0]["ok"].as_bool().unwrap(),
        checks[0]["detail"].as_str().unwrap().to_owned(),
    )
}

/// Imports something more, so that the log grows.
pub fn grow(place: &Place, marker: &str) {
    let name = format!("WhatsApp Chat with {marker}.txt");
    place.write(&name, LONGER.replace("Anna Berg", marker));
    place.on(&["import", "whatsapp-export", &name]).done();
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Exports everything and checks it, with these keys of outsiders.
pub fn export(place: &Place, key: &str, witnesses: &[&str], roots: &[Root]) -> Result<Report, String> {
    place.on(&["export", "--all", "--out", "b.zip", "--force"]).done();
    let options = VerifyOptions {
        key: Some(NoteKey::decode(key).unwrap()),
        witnesses: witnesses
            .iter()
            .map(|key| WitnessKey::decode(key).unwrap())
            .collect(),
        roots: roots.to_vec(),
        ..VerifyOptions::default()
    };
    let bundle = std::fs::read(place.path("b.zip")).unwrap();
    verify(&mut Cursor::new(bundle), options).map_err(|error| error.to_string())
}

pub fn zone_pub(place: &Place) -> String {
    std::fs::read_to_string(place.path("archive/zone.pub")).unwrap()
}

#[test]
fn a_witness_cosigns_is_shown_by_doctor_and_proves_a_time_in_a_bundle() {
    let place = with_chat();
    let witness = Running::witness(&place, &["archive/zone.pub"]);
    add_witness(&place, &witness, "60s");
    let (ok, words) = said(&place);
    assert!(ok && words.contains("says w.example/1"), "{words}");
    // Again, with nothing new but the act, and with something new.
    assert!(said(&place).0);
    grow(&place, "Cleo");
    assert!(said(&place).0);
    let listed = place.on(&["anchor", "list", "--json"]).json();
    assert_eq!(listed["anchors"][0]["failing"], Value::Null);
    assert!(listed["anchors"][0]["last_at"].is_string());
    let doctor = place.on(&["doctor", "--json"]).out;
    let doctor: Value = serde_json::from_str(&doctor).unwrap();
    let check = |name: &str| {
        let checks = doctor["checks"].as_array().unwrap();
        checks.iter().find(|check| check["check"] == name).unwrap()["ok"].clone()
    };
    assert_eq!(check("anchor notary (witness)"), true);
    assert_eq!(check("a checkpoint is kept elsewhere"), true);
    // Derived data is made again; what the witness gave is found again.
    place.on(&["rebuild"]).done();
    let report = export(&place, &zone_pub(&place), &[&witness.key], &[]).unwrap();
    assert_eq!(
        report.anchors.len(),
        1,
        "one an hour is kept (or two, at its turn)"
    );
    assert!(
        report
            .anchors
            .iter()
            .all(|anchor| anchor.proved && anchor.by == "w.example/1")
    );
    let status = place.on(&["status", "--json"]).json();
    assert!(status["outside_time"].is_string());
    place.on(&["anchor", "remove", "notary"]).done();
    place.on(&["anchor", "now"]).failed(65, "there is no anchor");
    // What it gave stays.
    assert_eq!(
        export(&place, &zone_pub(&place), &[], &[]).unwrap().anchors.len(),
        1
    );
    assert_eq!(
        place.on(&["status", "--json"]).json()["outside_time"],
        Value::Null
    );
}

#[test]
fn a_witness_refuses_the_second_of_two_writers_with_one_key_and_keeps_the_proof() {
    let place = with_chat();
    let witness = Running::witness(&place, &["archive/zone.pub"]);
    add_witness(&place, &witness, "1d");
    assert!(said(&place).0);
    // Somebody copies the whole data folder, and both go on.
    let other = Place::new();
    copy(&place.path("archive"), &other.path("archive"));
    grow(&place, "Cleo");
    assert!(said(&place).0);
    grow(&other, "Dora");
    grow(&other, "Emil");
    let (ok, words) = said(&other);
    assert!(
        !ok && words.starts_with("ALARM") && words.contains("422"),
        "{words}"
    );
    assert_eq!(
        std::fs::read_dir(place.path("witness/conflicts"))
            .unwrap()
            .count(),
        1
    );
    let doctor = other.on(&["doctor", "--json"]);
    assert_eq!(doctor.code, 1);
    // The one that was first is cosigned as before, also by a witness that was killed meanwhile.
    witness.kill();
    let again = Running::witness(&place, &["archive/zone.pub"]);
    let elsewhere = [
        "anchor", "add", "witness", "second", "--url", &again.url, "--key", &again.key,
    ];
    for place in [&place, &other] {
        place.on(&["anchor", "remove", "notary"]).done();
        place.on(&elsewhere).done();
    }
    assert!(said(&place).0);
    let (ok, words) = said(&other);
    assert!(!ok && words.starts_with("ALARM"), "{words}");
}

#[test]
fn a_ledger_put_back_to_an_older_copy_is_noticed_by_its_witness() {
    let place = with_chat();
    let witness = Running::witness(&place, &["archive/zone.pub"]);
    add_witness(&place, &witness, "1d");
    let older = Place::new();
    copy(&place.path("archive"), &older.path("archive"));
    for name in ["Cleo", "Dora", "Emil"] {
        grow(&place, name);
    }
    assert!(said(&place).0);
    let (ok, words) = said(&older);
    assert!(
        !ok && words.contains("ALARM: it has cosigned this log at"),
        "{words}"
    );
}

#[test]
fn what_a_witness_answers_otherwise_is_told_in_a_sentence_without_its_address() {
    let place = with_chat();
    let good = Running::witness(&place, &["archive/zone.pub"]);
    let check = |answer: (u16, &'static str, &'static [u8]), words: &str| {
        let (status, kind, body) = answer;
        let address = http(move |_| (status, kind, body.to_vec()));
        let url = format!("http://{address}/secret-path");
        place
            .on(&[
                "anchor", "add", "witness", "bad", "--url", &url, "--key", &good.key,
            ])
            .done();
        let (ok, said) = said(&place);
        assert!(!ok && said.contains(words), "{said}");
        assert!(
            !said.contains("secret-path") && !said.contains("127.0.0.1"),
            "{said}"
        );
        place.on(&["anchor", "remove", "bad"]).done();
    };
    check((403, "text/plain", b""), "does not know this log's key");
    check((404, "text/plain", b""), "does not watch this log");
    check((422, "text/plain", b""), "ALARM");
    check((500, "text/plain", b""), "answered 500");
    check((302, "text/plain", b""), "answered 302");
    check((409, "text/plain", b"3\n"), "409 without the size");
    check((409, "text/x.tlog.size", b"03\n"), "409 without the size");
    check((409, "text/x.tlog.size", b"0\n"), "another history");
    check(
        (409, "text/x.tlog.size", b"4000\n"),
        "ALARM: it has cosigned this log at 4000",
    );
    check((200, "text/plain", b""), "not by the key");
    check(
        (200, "text/plain", "\u{2014} w.example/1 AAAA\n".as_bytes()),
        "not by the key",
    );
    // Nobody is there.
    let url = "http://127.0.0.1:1/";
    place
        .on(&[
            "anchor", "add", "witness", "gone", "--url", url, "--key", &good.key,
        ])
        .done();
    let (ok, words) = said(&place);
    assert!(!ok && words.contains("cannot be reached"), "{words}");
}

#[test]
fn an_authority_stamps_and_one_that_leads_to_another_root_is_refused() {
    let place = with_chat();
    let (url, root) = authority(&place.path("tsa"), Keys::Rsa);
    let (other, _) = authority(&place.path("other-tsa"), Keys::P384);
    let (third, _) = authority(&place.path("third-tsa"), Keys::P256);
    place.write("root.pem", &root);
    let add = |name: &str, url: &str| {
        place
            .on(&["anchor", "add", "tsa", name, "--url", url, "--root", "root.pem"])
            .done();
    };
    add("stamps", &url);
    let (ok, words) = said(&place);
    assert!(ok && words.contains("says Stamps of tsa"), "{words}");
    add("others", &other);
    add("third", &third);
    let checks = now(&place)["checks"].clone();
    let found: Vec<(bool, &str)> = checks
        .as_array()
        .unwrap()
        .iter()
        .map(|check| (check["ok"].as_bool().unwrap(), check["check"].as_str().unwrap()))
        .collect();
    assert!(found.contains(&(true, "time-stamp stamps")), "{checks}");
    assert!(found.contains(&(false, "time-stamp others")), "{checks}");
    assert!(found.contains(&(false, "time-stamp third")), "{checks}");
    assert!(checks.to_string().contains("does not lead to a root"));
    let roots = Root::all(&root).unwrap();
    let report = export(&place, &zone_pub(&place), &[], &roots).unwrap();
    assert!(report.anchors[0].proved && report.anchors[0].by == "Stamps of tsa");
    let one = export(&place, &zone_pub(&place), &[], &[]).unwrap();
    assert!(!one.anchors[0].proved);
    // One message shows the first anchor that covers it.
    place
        .on(&["export", "--query", "quokka", "--out", "one.zip"])
        .done();
    let bundle = std::fs::read(place.path("one.zip")).unwrap();
    let options = VerifyOptions {
        roots,
        ..VerifyOptions::default()
    };
    let report = verify(&mut Cursor::new(bundle), options).unwrap();
    assert!(
        report
            .anchors
            .iter()
            .any(|anchor| Some(anchor.last_record) >= report.last_record)
    );
}

#[test]
fn a_folder_a_webhook_and_mail_get_a_checkpoint_that_finds_what_was_rewritten() {
    let place = with_chat();
    let (hook, hooked) = webhook();
    let (server, mailed) = mail();
    std::fs::create_dir(place.path("auditor")).unwrap();
    place.secret("smtp.txt", "opensesame\n");
    let (path, smtp) = (place.path("auditor"), server.to_string());
    place
        .on(&[
            "anchor",
            "add",
            "folder",
            "auditor",
            "--path",
            path.to_str().unwrap(),
        ])
        .done();
    place
        .on(&["anchor", "add", "webhook", "board", "--url", &hook])
        .done();
    let to = [
        "--to",
        "Officer <officer@example.org>",
        "--to",
        "audit@example.org",
        "--from",
        "chancery@example.org",
    ];
    let way = ["--smtp", &smtp, "--user", "robot", "--password-file", "smtp.txt"];
    place
        .on(&[&["anchor", "add", "mail", "officer"], &to[..], &way[..]].concat())
        .done();
    assert!(!place.holds("archive", b"opensesame"));
    let checks = now(&place)["checks"].clone();
    assert!(
        checks.as_array().unwrap().iter().all(|check| check["ok"] == true),
        "{checks}"
    );

    let mut kept: Vec<_> = std::fs::read_dir(&path)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    kept.sort();
    assert_eq!(kept.len(), 2, "{kept:?}");
    let in_folder = std::fs::read_to_string(&kept[0]).unwrap();
    let body: Value = serde_json::from_slice(&hooked.recv().unwrap()).unwrap();
    assert_eq!(body["zone"], "us");
    let by_hook = body["checkpoint"].as_str().unwrap().to_owned();
    let (commands, message) = mailed.recv().unwrap();
    assert!(
        commands.contains(&"RCPT TO:<audit@example.org>".to_owned()),
        "{commands:?}"
    );
    let login = STANDARD.encode(b"\0robot\0opensesame");
    assert!(commands.contains(&format!("AUTH PLAIN {login}")), "{commands:?}");
    let by_mail = attachment(&message);
    for (name, note) in [("folder", in_folder), ("webhook", by_hook), ("mail", by_mail)] {
        place.write("kept.txt", &note);
        let verified = place.on(&["verify", "--against", "kept.txt", "--json"]).json();
        assert_eq!(
            (&verified["holds"], &verified["compared_with_outside"]),
            (&true.into(), &true.into()),
            "{name}"
        );
    }
    // A folder that is gone is not made: it would be on this disk.
    std::fs::remove_dir_all(&path).unwrap();
    place.on(&["anchor", "remove", "board"]).done();
    place.on(&["anchor", "remove", "officer"]).done();
    let (ok, words) = said(&place);
    assert!(!ok && words.contains("mounted") && !path.exists(), "{words}");
}

/// The first attachment of a mail.
fn attachment(message: &str) -> String {
    let from = message.find("application/octet-stream").unwrap();
    let rest = &message[from..];
    let body = rest.split_once("\r\n\r\n").unwrap().1;
    let body = body.split("\r\n--").next().unwrap().replace("\r\n", "");
    String::from_utf8(STANDARD.decode(body).unwrap()).unwrap()
}

#[test]
fn serve_anchors_by_itself_and_goes_on_when_an_anchor_is_dead() {
    let place = with_chat();
    let witness = Running::witness(&place, &["archive/zone.pub"]);
    add_witness(&place, &witness, "1s");
    let url = "http://127.0.0.1:1/";
    place
        .on(&["anchor", "add", "webhook", "dead", "--url", url])
        .done();
    let serving = place.serve();
    let listed = |name: &str, field: &str| {
        let listed = place.on(&["anchor", "list", "--json"]).json();
        let all = listed["anchors"].as_array().unwrap().clone();
        let one = all.into_iter().find(|anchor| anchor["name"] == name).unwrap();
        one[field].clone()
    };
    while listed("notary", "covers").is_null() || listed("dead", "failing").is_null() {}
    let before = listed("notary", "covers").as_u64().unwrap();
    grow(&place, "Cleo");
    while listed("notary", "covers").as_u64().unwrap() <= before + 3 {}
    assert_eq!(listed("notary", "failing"), Value::Null);
    assert_eq!(
        listed("dead", "failing"),
        "cannot be reached (or its certificate is not trusted here)"
    );
    let log = std::fs::read_to_string(place.path("serve.err")).unwrap();
    assert_eq!(log.matches("an anchor does not work").count(), 1, "{log}");
    assert!(!log.contains("127.0.0.1:1/"), "{log}");
    assert_eq!(serving.stop(), Some(0));
    assert!(
        export(&place, &zone_pub(&place), &[&witness.key], &[])
            .unwrap()
            .anchors[0]
            .proved
    );
}

#[test]
fn an_anchor_that_cannot_be_one_is_refused_with_what_to_do() {
    let place = with_chat();
    let key = zone_pub(&place);
    let key = key.trim_end();
    let refused = |arguments: &[&str], code: i32, says: &str| {
        let all = [&["anchor", "add"], arguments].concat();
        place.on(&all).failed(code, says);
    };
    refused(
        &["witness", "w", "--url", "http://x", "--key", key],
        64,
        "--key takes a witness's key",
    );
    refused(&["webhook", "w", "--url", "ftp://x"], 64, "https://");
    refused(&["webhook", "w", "--url", "http://user:pass@x"], 64, "https://");
    refused(&["webhook", "W/..", "--url", "http://x"], 64, "W/..");
    refused(
        &["tsa", "t", "--url", "http://x", "--root", "archive/zone.pub"],
        64,
        "PEM",
    );
    refused(&["folder", "f", "--path", "nowhere"], 64, "no such folder");
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
    place
        .on(&["anchor", "add", "webhook", "w", "--url", "http://x"])
        .done();
    refused(
        &["webhook", "w", "--url", "http://x"],
        73,
        "there is an anchor w already",
    );
    place
        .on(&["anchor", "remove", "other"])
        .failed(65, "there is no anchor other");
}

#[test]
fn a_kept_anchor_that_was_altered_or_made_up_tells_no_time_and_goes_into_no_bundle() {
    let place = with_chat();
    let witness = Running::witness(&place, &["archive/zone.pub"]);
    add_witness(&place, &witness, "1d");
    assert!(said(&place).0);
    let outside_time = || place.on(&["status", "--json"]).json()["outside_time"].clone();
    assert!(outside_time().is_string());
    let folder = place.path("archive/anchors/notary");
    let file = std::fs::read_dir(&folder)
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let genuine = std::fs::read_to_string(&file).unwrap();
    // Its time moved on, by whoever has the disk: the cosignature's eight bytes of time follow the key's four.
    let proof: Value = serde_json::from_str(&genuine).unwrap();
    let line = proof["proof"].as_str().unwrap().trim_end();
    let (head, signature) = line.rsplit_once(' ').unwrap();
    let mut signature = STANDARD.decode(signature).unwrap();
    signature[8] ^= 1;
    let later = format!("{head} {}", STANDARD.encode(signature));
    std::fs::write(&file, genuine.replace(line, &later)).unwrap();
    assert_eq!(outside_time(), Value::Null);
    for garbage in [&genuine[..genuine.len() / 2], "{}", ""] {
        std::fs::write(&file, garbage).unwrap();
        assert_eq!(outside_time(), Value::Null);
        assert!(
            export(&place, &zone_pub(&place), &[&witness.key], &[])
                .unwrap()
                .anchors
                .is_empty()
        );
    }
    // In the name of another month, as if it were the newest.
    std::fs::write(folder.join("2999-01-01T00.json"), &genuine).unwrap();
    assert!(outside_time().as_str().unwrap() < "2999");
    assert!(
        export(&place, &zone_pub(&place), &[&witness.key], &[])
            .unwrap()
            .anchors[0]
            .proved
    );
}
