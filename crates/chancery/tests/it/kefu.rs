//! 微信客服: what a callback announces is asked for, once and from the right place, with the files it names.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::peers::{self, CORP, KEY, TOKEN};
use crate::run::Place;

const PATIENCE: Duration = Duration::from_secs(30);
const SECRET: &str = "api-secret/of+tests";
const CUSTOMER: &str = "wmQ3xDkEAAlBzT8vR0sNcHf2YpLu6jWg";

/// The vendor's interface. Ends with the test's process.
struct Vendor {
    address: SocketAddr,
    /// Bodies of the requests for messages.
    asked: Arc<Mutex<Vec<Value>>>,
}

fn item(number: u32, kind: &str, body: &Value) -> Value {
    json!({
        "msgid": format!("kf{number}"), "open_kfid": "wk1", "external_userid": CUSTOMER,
        "send_time": 1_732_406_300 + number, "origin": 3, "msgtype": kind, kind: body,
    })
}

/// Two pages, then nothing new, then one more message.
fn page(cursor: Option<&str>) -> Value {
    let text = |number: u32, text: &str| item(number, "text", &json!({ "content": text }));
    match cursor {
        None => json!({
            "errcode": 0, "errmsg": "ok", "next_cursor": "c1", "has_more": 1,
            "msg_list": [text(1, "kefufirst"), item(2, "image", &json!({"media_id": "there"}))],
        }),
        Some("c1") => json!({
            "errcode": 0, "errmsg": "ok", "next_cursor": "c2", "has_more": 0,
            "msg_list": [text(3, "kefusecond"), item(4, "file", &json!({"media_id": "gone"}))],
        }),
        Some("c2") => json!({
            "errcode": 0, "errmsg": "ok", "next_cursor": "c3", "has_more": 0, "msg_list": [text(5, "kefuthird")],
        }),
        _ => json!({ "errcode": 0, "errmsg": "ok", "next_cursor": "c3", "has_more": 0, "msg_list": [] }),
    }
}

impl Vendor {
    fn start() -> Vendor {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = asked.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = BufReader::new(stream.unwrap());
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") && stream.read_line(&mut head).unwrap() > 0 {}
                let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                let length = head.to_lowercase().lines().find_map(|line| {
                    line.strip_prefix("content-length: ")
                        .and_then(|length| length.parse().ok())
                });
                let mut body = vec![0; length.unwrap_or(0)];
                stream.read_exact(&mut body).unwrap();
                let (media_type, answer) = answered(&path, &body, &seen);
                let head = format!(
                    "HTTP/1.1 200 OK\r\nContent-Type: {media_type}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                    answer.len()
                );
                drop(stream.get_mut().write_all(&[head.as_bytes(), &answer].concat()));
            }
        });
        Vendor { address, asked }
    }

    fn asked(&self) -> Vec<Value> {
        self.asked.lock().unwrap().clone()
    }
}

fn answered(path: &str, body: &[u8], asked: &Mutex<Vec<Value>>) -> (&'static str, Vec<u8>) {
    let said = |value: Value| ("application/json", value.to_string().into_bytes());
    let expected = format!("/cgi-bin/gettoken?corpid={CORP}&corpsecret=api-secret%2Fof%2Btests");
    if path == expected {
        return said(json!({"errcode": 0, "access_token": "T1", "expires_in": 7200}));
    }
    match path {
        "/cgi-bin/kf/sync_msg?access_token=T1" => {
            let body: Value = serde_json::from_slice(body).unwrap();
            asked.lock().unwrap().push(body.clone());
            if body["token"] == "TOO-OLD" {
                return said(json!({"errcode": 95007, "errmsg": "invalid msg token"}));
            }
            said(page(body["cursor"].as_str()))
        }
        "/cgi-bin/media/get?access_token=T1&media_id=there" => ("image/jpeg", b"the picture".to_vec()),
        "/cgi-bin/media/get?access_token=T1&media_id=gone" => said(json!({"errcode": 40007})),
        _ => said(json!({"errcode": 40001, "errmsg": path})),
    }
}

fn bell(number: u32, token: &str) -> String {
    format!(
        "<xml><ToUserName>{CORP}</ToUserName><CreateTime>{}</CreateTime><MsgType>event</MsgType>\
         <Event>kf_msg_or_event</Event><Token>{token}</Token><OpenKfId>wk1</OpenKfId></xml>",
        1_732_406_400 + number
    )
}

fn show(place: &Place, query: &str) -> Value {
    let begun = Instant::now();
    loop {
        let found = place.on(&["search", query, "--json"]).json();
        if let Some(id) = found["results"][0]["id"].as_str() {
            return place.on(&["show", id, "--json"]).json();
        }
        assert!(begun.elapsed() < PATIENCE, "{query}: {found}");
    }
}

fn file_of(place: &Place, query: &str) -> Value {
    let begun = Instant::now();
    loop {
        let shown = show(place, query);
        if shown["files"][0].is_object() {
            return shown["files"][0].clone();
        }
        assert!(begun.elapsed() < PATIENCE, "{query}: {shown}");
    }
}

#[test]
fn what_a_bell_announces_is_asked_for_once_with_its_files_and_kept_as_it_came() {
    let place = Place::with_archive();
    let vendor = Vendor::start();
    place.secret("api.txt", SECRET);
    let url = format!("api-url=http://{}", vendor.address);
    peers::connect(
        &place,
        KEY,
        &["--secret", "api-secret=api.txt", "--setting", &url],
    );
    let serving = place.serve();
    let address = format!("http://{}/in/app", serving.address);
    let ring = |number: u32, token: &str| {
        let said = peers::peer_fed(
            "wechat_deliver.py",
            &[&address, TOKEN, KEY, CORP],
            &bell(number, token),
        );
        assert_eq!(said, [json!({"status": 200, "said": "success"})]);
    };
    ring(1, "ENC1");
    let second = show(&place, "kefusecond");
    assert_eq!(second["record"]["direction"], "in", "{second}");
    assert_eq!(second["record"]["conversation"]["id"], format!("wk1/{CUSTOMER}"));
    assert_eq!(
        show(&place, "kefufirst")["record"]["sent_at"],
        "2024-11-23T23:58:21Z"
    );
    assert_eq!(file_of(&place, "kind:image")["state"], "fetched");
    assert_eq!(file_of(&place, "kind:document")["state"], "expired");
    // The next bell is answered from where the last answer ended, and its own token may be too old.
    ring(2, "TOO-OLD");
    show(&place, "kefuthird");
    let cursors = |asked: &[Value]| {
        asked
            .iter()
            .map(|body| body["cursor"].clone())
            .collect::<Vec<_>>()
    };
    let asked = vendor.asked();
    assert_eq!(
        cursors(&asked),
        [Value::Null, json!("c1"), json!("c2"), json!("c2")]
    );
    assert_eq!(asked[0]["token"], "ENC1");
    assert_eq!(
        (&asked[2]["token"], &asked[3]["token"]),
        (&json!("TOO-OLD"), &Value::Null)
    );
    assert!(asked.iter().all(|body| body["open_kfid"] == "wk1"));
    // After a rebuild the bells are there again, and nothing is asked for again.
    serving.stop();
    let before = place.on(&["search", "kefu", "--json"]).json()["results"].clone();
    place.on(&["rebuild"]).done();
    let serving = place.serve();
    let begun = Instant::now();
    while place.on(&["status", "--json"]).json()["pending_fetches"] != 0 {
        assert!(begun.elapsed() < PATIENCE);
    }
    assert_eq!(vendor.asked().len(), 4);
    let after = place.on(&["search", "kefu", "--json"]).json()["results"].clone();
    let records = |found: &Value| -> Vec<Value> {
        found
            .as_array()
            .unwrap()
            .iter()
            .map(|result| result["record"].clone())
            .collect()
    };
    assert_eq!(records(&after), records(&before));
    assert!(!place.holds("archive", SECRET.as_bytes()) && !place.holds("archive", b"wk1"));
    drop(serving);
}
