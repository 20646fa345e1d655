//! 微信客服 as the suites need it: a vendor that holds messages, announces each with a bell, and gives them when it is asked.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::peers::CORP;
use crate::run::Place;
use crate::sources::Said;

const ACCOUNT: &str = "wk1";
const CUSTOMER: &str = "wmQ3xDkEAAlBzT8vR0sNcHf2YpLu6jWg";
/// Messages of one answer.
const TOGETHER: usize = 3;
const SECRET: &str = "api-secret-of-tests";

/// Markers, in the order in which their messages came.
type Held = Arc<Mutex<Vec<String>>>;

/// What the vendor of each place holds; ends with the test's process.
static VENDORS: Mutex<Vec<(PathBuf, Held)>> = Mutex::new(Vec::new());

/// Starts the vendor of a place; what a connection is given for it.
pub fn start(place: &Place) -> [String; 4] {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let held = Held::default();
    VENDORS.lock().unwrap().push((place.path("."), held.clone()));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            // A server that was killed in the middle hears nothing.
            drop(answer(stream.unwrap(), &held));
        }
    });
    place.secret("api.txt", SECRET);
    [
        "--secret",
        "api-secret=api.txt",
        "--setting",
        &format!("api-url=http://{address}"),
    ]
    .map(str::to_owned)
}

/// The vendor holds a message from now on; the callback that announces it.
pub fn bell(place: &Place, said: &Said) -> String {
    let vendors = VENDORS.lock().unwrap();
    let (_, held) = vendors.iter().find(|(of, _)| *of == place.path(".")).unwrap();
    let mut held = held.lock().unwrap();
    if !held.contains(&said.marker) {
        held.push(said.marker.clone());
    }
    format!(
        "<xml><ToUserName>{CORP}</ToUserName><CreateTime>{}</CreateTime><MsgType>event</MsgType>\
         <Event>kf_msg_or_event</Event><Token>T{number}</Token><OpenKfId>{ACCOUNT}</OpenKfId></xml>",
        1_763_990_000 + said.number,
        number = said.number,
    )
}

fn answer(stream: TcpStream, held: &Held) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") && stream.read_line(&mut head)? > 0 {}
    let length = head.to_lowercase().lines().find_map(|line| {
        line.strip_prefix("content-length: ")
            .and_then(|length| length.parse().ok())
    });
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body)?;
    let said = match head.split(' ').nth(1).unwrap_or_default() {
        path if path.starts_with("/cgi-bin/gettoken?") => {
            assert!(path.ends_with(&format!("corpsecret={SECRET}")), "{path}");
            json!({ "errcode": 0, "access_token": "T1", "expires_in": 7200 })
        }
        "/cgi-bin/kf/sync_msg?access_token=T1" => page(&body, held),
        path => json!({ "errcode": 40001, "errmsg": path }),
    };
    let said = said.to_string();
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n",
        said.len()
    );
    stream
        .get_mut()
        .write_all(format!("{head}Connection: close\r\n\r\n{said}").as_bytes())
}

/// What comes after a cursor, which is a count.
fn page(body: &[u8], held: &Held) -> Value {
    let asked: Value = serde_json::from_slice(body).unwrap();
    let from: usize = asked["cursor"]
        .as_str()
        .map_or(0, |cursor| cursor.parse().unwrap());
    let held = held.lock().unwrap();
    let to = held.len().min(from + TOGETHER);
    let item = |n: usize| {
        json!({
            "msgid": format!("kf{n}"), "open_kfid": ACCOUNT, "external_userid": CUSTOMER, "send_time": 1_763_990_000 + n,
            "origin": 3, "msgtype": "text", "text": { "content": format!("{} the rest of it", held[n]) },
        })
    };
    let items: Vec<Value> = (from..to).map(item).collect();
    json!({ "errcode": 0, "next_cursor": to.to_string(), "has_more": u8::from(to < held.len()), "msg_list": items })
}
