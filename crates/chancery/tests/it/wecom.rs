//! The WeCom archive from the command line to the search: `serve`, the helper process and a library that stands for the
//! vendor's.

use std::path::{Path, PathBuf};
use std::process::Command;

use connect::wecom_archive::fake::CompanyKey;
use serde_json::{Value, json};

use crate::run::Place;

/// The library that stands for the vendor's, compiled into the place.
pub fn library(place: &Place) -> PathBuf {
    let library = place.path("libstub.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wecom-helper/tests/stub.c");
    let mut compiler = Command::new("cc");
    compiler
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .arg(&library)
        .arg(&source);
    assert!(compiler.status().unwrap().success());
    library
}

/// The helper, built beside the program.
pub fn helper() -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_chancery"));
    let folder = program.parent().unwrap();
    let mut build = Command::new(env!("CARGO"));
    build.current_dir(env!("CARGO_MANIFEST_DIR")).args([
        "build",
        "--quiet",
        "--locked",
        "-p",
        "wecom-helper",
    ]);
    if folder.ends_with("release") {
        build.arg("--release");
    }
    build.arg("--target-dir").arg(folder.parent().unwrap());
    assert!(build.status().unwrap().success());
    folder.join("wecom-helper")
}

/// A company's private key as `openssl` writes it: lines of 64.
pub fn write_key(place: &Place, name: &str, key: &CompanyKey) {
    let secret = key.secret().unwrap();
    let text = std::str::from_utf8(&secret).unwrap();
    let (_, pem) = text.split_once(':').unwrap();
    let lines: Vec<String> = pem
        .lines()
        .flat_map(|line| {
            line.as_bytes()
                .chunks(64)
                .map(|piece| String::from_utf8(piece.to_vec()).unwrap())
        })
        .collect();
    assert!(lines.len() > 20);
    place.secret(name, &(lines.join("\n") + "\n"));
}

fn item(seq: u64, version: u64, key: &CompanyKey, text: &str) -> Value {
    let message = json!({
        "msgid": format!("m{seq}"), "action": "send", "from": "lina", "tolist": ["zhao"], "roomid": "",
        "msgtime": 1_760_000_000_123_u64, "msgtype": "text", "text": { "content": text },
    });
    json!({
        "seq": seq, "msgid": format!("m{seq}"), "publickey_ver": version,
        "encrypt_random_key": key.encrypted(b"right").unwrap(),
        "encrypt_chat_msg": format!("plain:{message}"),
    })
}

fn wait_for(place: &Place, query: &str) -> Value {
    let begun = std::time::Instant::now();
    loop {
        let found = place.on(&["search", query, "--json"]).json();
        if let Some(result) = found["results"].get(0) {
            return result.clone();
        }
        assert!(
            begun.elapsed().as_secs() < 60,
            "{query} is not found; {}",
            place.on(&["status", "--json"]).out
        );
    }
}

fn checks(ran: &Value) -> Vec<(String, bool, String)> {
    let each = ran["checks"].as_array().unwrap().iter();
    each.map(|check| {
        let text = |name: &str| check[name].as_str().unwrap().to_owned();
        (text("check"), check["ok"] == true, text("detail"))
    })
    .collect()
}

#[test]
fn an_archive_is_connected_tried_pulled_opened_and_searched_and_a_key_that_comes_late_opens_the_rest() {
    let place = Place::with_archive();
    let (library, helper) = (library(&place), helper());
    let (one, two) = (CompanyKey::generate(1).unwrap(), CompanyKey::generate(2).unwrap());
    std::fs::create_dir(place.path("vendor")).unwrap();
    let answer = json!({ "errcode": 0, "chatdata": [item(4, 1, &one, "the early dose"), item(5, 2, &two, "the late dose")] });
    place.write("vendor/0", answer.to_string());
    write_key(&place, "key1.pem", &one);
    write_key(&place, "key2.pem", &two);
    place.secret("secret.txt", "right\n");
    place.secret("wrong.txt", "wrong\n");
    let corp = format!("corp-id={}", place.path("vendor").display());
    let library = format!("library={}", library.display());
    let helper = format!("helper={}", helper.display());
    let add = |secret: &str, keys: &[&str], more: &[&str]| {
        let mut all = vec!["connection", "add", "wecom-archive", "archive"];
        all.extend([
            "--setting",
            &corp,
            "--setting",
            &library,
            "--setting",
            &helper,
            "--secret",
            secret,
        ]);
        for key in keys {
            all.extend(["--secret", key]);
        }
        all.extend(more);
        place.on(&all)
    };
    add("secret=secret.txt", &[], &[]).failed(64, "private-key");
    add("secret=secret.txt", &["private-key=1:secret.txt"], &[]).failed(64, "not an RSA key");
    add("secret=secret.txt", &["private-key=key1.pem"], &[]).failed(64, "needs the version");
    add("secret=secret.txt", &["private-key=1:nowhere.pem"], &[]).failed(74, "nowhere.pem");
    let said = add("secret=wrong.txt", &["private-key=1:key1.pem"], &[]).done();
    assert!(
        said.contains("SHA-256") && said.contains("connection test archive"),
        "{said}"
    );
    let tested = place.on(&["connection", "test", "archive", "--json"]);
    assert_eq!(tested.code, 1);
    let found = checks(&tested.json());
    assert!(
        found
            .iter()
            .any(|(check, ok, detail)| check == "the vendor answers"
                && !ok
                && detail.contains("check the connection's secret")),
        "{found:?}"
    );

    let serving = place.serve();
    add("secret=secret.txt", &["private-key=1:key1.pem"], &["--replace"]).done();
    assert_eq!(wait_for(&place, "early")["record"]["text"], "the early dose");
    let doctor = checks(&place.on(&["doctor", "--json"]).json());
    let closed = doctor
        .iter()
        .find(|(check, ..)| check == "items of the archive of archive open")
        .unwrap();
    assert!(
        !closed.1 && closed.2.starts_with("1 lack the private key of their version"),
        "{doctor:?}"
    );
    let pulled = doctor
        .iter()
        .find(|(check, ..)| check == "the archive of archive is pulled")
        .unwrap();
    assert!(pulled.1 && pulled.2.contains("up to item 5"), "{doctor:?}");

    add(
        "secret=secret.txt",
        &["private-key=1:key1.pem", "private-key=2:key2.pem"],
        &["--replace"],
    )
    .done();
    assert_eq!(wait_for(&place, "late")["record"]["text"], "the late dose");
    place.write(
        "vendor/5",
        json!({ "errcode": 0, "chatdata": [item(9, 2, &two, "a third dose")] }).to_string(),
    );
    wait_for(&place, "third");
    let tested = place.on(&["connection", "test", "archive", "--json"]);
    assert_eq!(tested.code, 0, "{}", tested.out);
    serving.stop();
    assert!(!place.holds("archive", b"dose") && !place.holds("archive", b"PRIVATE KEY"));
    // After a restart it goes on where it was.
    let serving = place.serve();
    place.write(
        "vendor/9",
        json!({ "errcode": 0, "chatdata": [item(10, 2, &two, "a fourth dose")] }).to_string(),
    );
    wait_for(&place, "fourth");
    let all = place.on(&["search", "dose", "--json"]).json();
    assert_eq!(all["results"].as_array().unwrap().len(), 4, "{all}");
    serving.stop();
}

/// How many secrets that stood in for owners live, and how many are destroyed.
fn standing_in(place: &Place) -> (u64, u64) {
    let listed = place.on(&["keys", "list", "--json"]).json();
    let mut kinds = listed["kinds"].as_array().unwrap().iter();
    let kind = kinds.find(|kind| kind["kind"] == "unattributed").unwrap();
    let count = |name: &str| kind[name].as_u64().unwrap();
    (count("living"), count("destroyed"))
}

#[test]
fn killed_when_what_stays_closed_is_wrapped_again_an_archive_loses_nothing_and_goes_on_at_the_next_start() {
    let place = Place::new();
    place
        .run(&["init", "--data", "archive", "--key-copy", "copy"])
        .done();
    let (library, helper) = (library(&place), helper());
    let keys = [1, 2, 3].map(|version| CompanyKey::generate(version).unwrap());
    let items: Vec<Value> = (1..=12)
        .map(|seq| {
            let key = (seq % 3) as usize;
            item(seq, seq % 3 + 1, &keys[key], &format!("dose{seq}x of twelve"))
        })
        .collect();
    std::fs::create_dir(place.path("vendor")).unwrap();
    for (asked, items) in [(0, &items[..5]), (5, &items[5..10]), (10, &items[10..])] {
        let answer = json!({ "errcode": 0, "chatdata": items });
        place.write(&format!("vendor/{asked}"), answer.to_string());
    }
    place.secret("secret.txt", "right\n");
    let setting = |name: &str, path: &Path| format!("{name}={}", path.display());
    let settings = [
        setting("corp-id", &place.path("vendor")),
        setting("library", &library),
        setting("helper", &helper),
    ];
    let connect = |versions: usize| {
        let mut all = vec!["connection", "add", "wecom-archive", "archive", "--replace"];
        settings
            .iter()
            .for_each(|setting| all.extend(["--setting", setting]));
        all.extend(["--secret", "secret=secret.txt"]);
        let names: Vec<String> = (1..=versions)
            .map(|version| format!("private-key={version}:key{version}.pem"))
            .collect();
        names.iter().for_each(|name| all.extend(["--secret", name]));
        place.on(&all)
    };
    for (version, key) in (1..).zip(&keys) {
        write_key(&place, &format!("key{version}.pem"), key);
    }
    connect(1).done();
    let mut serving = place
        .try_serve(&[("CHANCERY_FAIL_POINT", "provisional-wrapped-again:1")])
        .unwrap();
    wait_for(&place, "dose12x");
    assert_eq!(standing_in(&place), (1, 0));
    // The second key opens a third of them; the last third is to be wrapped under what stands in next.
    drop(connect(2));
    let begun = std::time::Instant::now();
    while !serving.ended() {
        assert!(begun.elapsed().as_secs() < 60, "it did not come by");
    }
    let found =
        |query: &str| place.on(&["search", query, "--limit", "100", "--json"]).json()["found"].clone();
    let serving = place.serve();
    let begun = std::time::Instant::now();
    while standing_in(&place) != (1, 1) {
        assert!(begun.elapsed().as_secs() < 60, "{:?}", standing_in(&place));
    }
    assert_eq!(found("twelve"), 8);
    connect(3).done();
    wait_for(&place, "dose2x");
    serving.stop();
    for rebuilt in [false, true] {
        assert_eq!(found("twelve"), 12, "rebuilt: {rebuilt}");
        assert_eq!(found("is:problem"), 0);
        // With what was kept twice: nothing was.
        assert_eq!(found("is:repeat twelve"), 12);
        assert_eq!(place.on(&["verify", "--json"]).json()["holds"], true);
        place.on(&["rebuild"]).done();
    }
}
