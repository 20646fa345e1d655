//! Other people's libraries as the other side: what they make is taken, what they are sent they take.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::hooks;
use crate::run::Place;

const PATIENCE: Duration = Duration::from_secs(30);
pub const TOKEN: &str = "harbour-light";
pub const KEY: &str = "q2w8Zt5RbN0pKfY7uLcXs3GdHe9mVaJ1oTi6QxPzBkD";
const OTHER_KEY: &str = "Zx9Kc2VbN4mQ7wE1rT5yU8iO3pA6sD0fGhJkL9zXcVb";
pub const CORP: &str = "ww7c41f0a2b95d63e8";

/// The Python with the packages of `peers/requirements.txt`, which `./dev test` makes.
fn python() -> PathBuf {
    let beside = std::env::current_exe().unwrap();
    let target = beside.ancestors().nth(3).unwrap().join("peers-python/bin/python");
    let python = std::env::var_os("CHANCERY_PEERS_PYTHON").map_or(target, PathBuf::from);
    assert!(
        python.is_file(),
        "{} is not there; ./dev test makes it",
        python.display()
    );
    python
}

/// What a script of `peers` prints, one JSON object a line.
fn peer(script: &str, arguments: &[&str]) -> Vec<Value> {
    peer_fed(script, arguments, "")
}

/// The same, with something to read.
pub fn peer_fed(script: &str, arguments: &[&str], input: &str) -> Vec<Value> {
    let mut child = Command::new(python())
        .arg("-B")
        .arg(peers().join(script))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn peers() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/peers")
}

/// A company's own service, made with a library.
struct Service {
    child: Child,
    out: BufReader<ChildStdout>,
    port: u16,
}

impl Service {
    fn start(script: &str, arguments: &[&str]) -> Service {
        let mut child = Command::new(python())
            .arg("-B")
            .arg(peers().join(script))
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let port = line.trim().parse().unwrap();
        Service { child, out, port }
    }

    fn setting(&self) -> String {
        format!("forward-to=http://127.0.0.1:{}/hook", self.port)
    }

    /// What the library made of the next delivery.
    fn next(&mut self) -> Value {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn pywa_finds_what_is_passed_on_genuine_and_understands_it() {
    let place = Place::with_archive();
    let mut service = Service::start("whatsapp_receiver.py", &[hooks::APP_SECRET, "99"]);
    hooks::connect(&place, &["--setting", &service.setting()]);
    let serving = place.serve();
    for number in 0..3 {
        let contact =
            r#""contacts":[{"profile":{"name":"Ann"},"wa_id":"491511","user_id":"DE.134"}],"messages""#;
        let text = format!("passed on \\u2714 {number}");
        let message = hooks::text_message(&format!("wamid.{number}"), "491511", &text);
        let message = message.replace("\"id\"", "\"from_user_id\":\"DE.134\",\"id\"");
        let body = hooks::body_of(&[message]).replacen("\"messages\":[{", &format!("{contact}:[{{"), 1);
        assert_eq!(hooks::deliver(serving.address, body.as_bytes()).unwrap(), 200);
        let got = service.next();
        assert_eq!(got["genuine"], true, "{got}");
        assert_eq!(got["handled"][0]["id"], format!("wamid.{number}"), "{got}");
        assert_eq!(
            got["handled"][0]["text"],
            format!("passed on ✔ {number}"),
            "{got}"
        );
    }
}

#[test]
fn wechatpy_opens_what_is_passed_on() {
    let place = Place::with_archive();
    let mut service = Service::start("wechat_receiver.py", &[TOKEN, KEY, CORP]);
    connect(&place, KEY, &["--setting", &service.setting()]);
    let serving = place.serve();
    let address = format!("http://{}/in/app", serving.address);
    peer("wechat.py", &[&address, TOKEN, KEY, CORP, "work"]);
    for number in 0..40 {
        let text = format!("wordwordword{}", "x".repeat(number));
        let expected = serde_json::json!({"id": number, "from": "lin.mei", "text": text});
        assert_eq!(service.next(), expected);
    }
    assert_eq!(
        service.next()["id"],
        39,
        "what the platform repeats is passed on too"
    );
}

pub fn connect(place: &Place, key: &str, more: &[&str]) {
    place.secret("token.txt", TOKEN);
    place.secret("key.txt", key);
    let add = [
        "connection",
        "add",
        "wechat-callback",
        "app",
        "--secret",
        "token=token.txt",
    ];
    let receiver = format!("receive-id={CORP}");
    let rest = ["--secret", "encoding-aes-key=key.txt", "--setting", &receiver];
    place.on(&[&add[..], &rest, more].concat()).done();
}

/// The records that a query finds, once the follower has come so far that there are so many.
fn found(place: &Place, query: &str, count: usize) -> Vec<Value> {
    let begun = Instant::now();
    loop {
        let found = place.on(&["search", query, "--json"]).json();
        let results = found["results"].as_array().unwrap();
        if results.len() >= count {
            return results.iter().map(|result| result["record"].clone()).collect();
        }
        assert!(begun.elapsed() < PATIENCE, "only {} of {query}", results.len());
    }
}

#[test]
fn what_wechatpy_encrypts_is_answered_kept_and_understood() {
    for side in ["work", "official"] {
        let place = Place::with_archive();
        connect(&place, KEY, &[]);
        let serving = place.serve();
        let address = format!("http://{}/in/app", serving.address);
        let answers = peer("wechat.py", &[&address, TOKEN, KEY, CORP, side]);
        for answer in &answers {
            let expected = match answer["asked"].as_str().unwrap() {
                "handshake" => (200, "3141592653589793238"),
                "message" | "again" => (200, "success"),
                _ => (401, "Unauthorized\n"),
            };
            assert_eq!(answer["status"], expected.0, "{answer}");
            assert_eq!(answer["said"], expected.1, "{answer}");
        }
        assert_eq!(answers.len(), 45);
        let before = found(&place, "wordwordword", 40);
        assert_eq!(before.len(), 40, "the repeat is not told twice");
        // Another key is in force now; what the one before opened is still understood.
        serving.stop();
        connect(&place, OTHER_KEY, &["--replace"]);
        place.on(&["rebuild"]).done();
        assert!(found(&place, "wordwordword", 40) == before, "rebuilt otherwise");
        assert!(!place.holds("archive", TOKEN.as_bytes()) && !place.holds("archive", KEY.as_bytes()));
    }
}

#[test]
fn aiosmtpd_takes_alarms_after_a_sign_in_and_python_reads_them_in_both_languages() {
    let place = Place::with_archive();
    let mut server = Service::start("alarm_mail.py", &["robot", "opensesame"]);
    let smtp = format!("127.0.0.1:{}", server.port);
    place.secret("right.txt", "opensesame\n");
    place.secret("wrong.txt", "closesesame\n");
    let add = |name: &str, password: &str, language: &str| {
        let to = [
            "--to",
            "Officer <officer@example.org>",
            "--to",
            "audit@example.org",
        ];
        let from = [
            "--from",
            "chancery@example.org",
            "--smtp",
            &smtp,
            "--language",
            language,
        ];
        let user = ["--user", "robot", "--password-file", password];
        place
            .on(&[&["alarm", "add", "mail", name], &to[..], &from, &user].concat())
            .done();
        place.on(&["alarm", "test", name])
    };
    let mut check = |name: &str, language: &str, subject: &str, text: &str| {
        assert_eq!(add(name, "right.txt", language).code, 0);
        let mail = server.next();
        assert_eq!(
            mail["to"],
            serde_json::json!(["officer@example.org", "audit@example.org"])
        );
        assert_eq!(mail["subject"], subject, "{mail}");
        assert!(mail["text"].as_str().unwrap().contains(text), "{mail}");
    };
    check(
        "english",
        "en",
        "Chancery us: test",
        "TEST  This is a test of the alarms.",
    );
    check(
        "chinese",
        "zh-CN",
        "Chancery us：测试",
        "测试  这是一条测试告警。",
    );
    let refused = add("wrong", "wrong.txt", "en");
    assert_eq!(refused.code, 1);
    assert!(refused.out.contains("refused, with code 535"), "{}", refused.out);
    assert!(!place.holds("archive", b"opensesame"));
}
