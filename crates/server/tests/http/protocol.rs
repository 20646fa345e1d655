//! HTTP as strangers speak it.

use std::time::Duration;

use server::Limits;

use crate::instance::{Client, Instance, Setup, delivery, get, signature};

fn with(limits: Limits) -> Instance {
    Instance::with(Setup {
        limits,
        ..Setup::default()
    })
}

#[test]
fn requests_follow_each_other_on_one_connection() {
    let instance = Instance::new();
    let mut client = instance.client();
    for n in 0..5_u32 {
        client.send(&delivery(&n.to_be_bytes()));
        let response = client.response();
        assert_eq!(
            (response.status, &*response.headers["connection"]),
            (200, "keep-alive")
        );
    }
    assert_eq!(instance.host.captures().len(), 5);
}

#[test]
fn several_requests_in_one_packet_are_answered_in_order() {
    let instance = Instance::new();
    let mut client = instance.client();
    let bad = String::from_utf8(delivery(b"three"))
        .unwrap()
        .replace("sha256=", "sha256=0");
    let all = [
        delivery(b"one"),
        delivery(b"two"),
        bad.into_bytes(),
        delivery(b"four"),
    ]
    .concat();
    client.send(&all);
    let statuses: Vec<u16> = (0..4).map(|_| client.response().status).collect();
    assert_eq!(statuses, [200, 200, 401, 200]);
    let bodies: Vec<Vec<u8>> = instance
        .host
        .captures()
        .into_iter()
        .map(|(_, body)| body)
        .collect();
    assert_eq!(bodies, [&b"one"[..], b"two", b"four"]);
}

#[test]
fn a_request_that_comes_byte_by_byte_is_understood() {
    let instance = Instance::new();
    let mut client = instance.client();
    for byte in delivery(b"slow") {
        client.send(&[byte]);
    }
    assert_eq!(client.response().status, 200);
}

#[test]
fn a_connection_belongs_to_one_side_for_its_whole_life() {
    let instance = Instance::new();
    let mut client = instance.client();
    client.send(&delivery(b"x"));
    assert_eq!(client.response().status, 200);
    client.send(&get("/api/v1/status"));
    let response = client.response();
    assert_eq!(
        (response.status, &*response.headers["connection"]),
        (421, "close")
    );
    assert_eq!(client.rest(), b"");

    let mut client = instance.client();
    client.send(&get("/api/v1/status"));
    assert_eq!(client.response().status, 200);
    client.send(&delivery(b"x"));
    assert_eq!(client.response().status, 421);
    assert_eq!(instance.host.captures().len(), 1);
}

#[test]
fn the_intakes_own_address_serves_deliveries_only() {
    let instance = Instance::with(Setup {
        own_address: true,
        ..Setup::default()
    });
    let mut client = Client::to(instance.running.intake_addr.unwrap());
    client.send(&delivery(b"x"));
    assert_eq!(client.response().status, 200);
    let mut client = Client::to(instance.running.intake_addr.unwrap());
    client.send(&get("/"));
    assert_eq!(client.response().status, 421);
}

#[test]
fn a_chunked_body_is_put_together() {
    let instance = Instance::new();
    let body = b"hello, world";
    let head = format!(
        "POST /in/ward-3 HTTP/1.1\r\nHost: h\r\nX-Hub-Signature-256: {}\r\nTransfer-Encoding: chunked\r\n\r\n",
        signature(body)
    );
    let mut client = instance.client();
    for chunks in [
        "c\r\nhello, world\r\n0\r\n\r\n",
        "1\r\nh\r\n00b;a=b\r\nello, world\r\n0\r\nTrailer: x\r\n\r\n",
    ] {
        client.send(head.as_bytes());
        for byte in chunks.bytes() {
            client.send(&[byte]);
        }
        assert_eq!(client.response().status, 200, "{chunks:?}");
    }
    let large = vec![b'y'; 200_000];
    let head = head.replace(&signature(body), &signature(&large));
    client.send(head.as_bytes());
    for piece in large.chunks(30_011) {
        client.send(format!("{:x}\r\n", piece.len()).as_bytes());
        client.send(piece);
        client.send(b"\r\n");
    }
    client.send(b"0\r\n\r\n");
    assert_eq!(client.response().status, 200);
    let bodies: Vec<Vec<u8>> = instance
        .host
        .captures()
        .into_iter()
        .map(|(_, body)| body)
        .collect();
    assert_eq!(bodies, [body.to_vec(), body.to_vec(), large]);
    for broken in [
        "g\r\n",
        "1\r\nab\r\n",
        "-1\r\n",
        "ffffffffffffffffff\r\n",
        "1\nx\r\n",
    ] {
        let mut client = instance.client();
        client.send(head.as_bytes());
        client.send(broken.as_bytes());
        let status = client.response().status;
        assert!(matches!(status, 400 | 413), "{broken:?}: {status}");
    }
}

#[test]
fn an_old_client_is_answered_and_its_connection_closed() {
    let instance = Instance::new();
    let request = String::from_utf8(delivery(b"old"))
        .unwrap()
        .replace("HTTP/1.1", "HTTP/1.0");
    let mut client = instance.client();
    client.send(request.as_bytes());
    let response = client.response();
    assert_eq!(
        (response.status, &*response.headers["connection"]),
        (200, "close")
    );
    assert_eq!(client.rest(), b"");
}

#[test]
fn a_client_that_asks_first_is_told_to_go_on() {
    let instance = Instance::new();
    let request = String::from_utf8(delivery(b"asked")).unwrap();
    let (head, body) = request.split_once("\r\n\r\n").unwrap();
    let mut client = instance.client();
    client.send(format!("{head}\r\nExpect: 100-continue\r\n\r\n").as_bytes());
    assert_eq!(client.line(), "HTTP/1.1 100 Continue");
    assert_eq!(client.line(), "");
    client.send(body.as_bytes());
    assert_eq!(client.response().status, 200);
}

#[test]
fn what_two_readers_could_understand_differently_is_refused() {
    let instance = Instance::new();
    let lines = [
        "Content-Length: 1\r\nContent-Length: 2\r\n",
        "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Content-Length: -1\r\n",
        "Content-Length : 1\r\n",
        "X-Hub-Signature-256: a\r\n b\r\n",
        "X-Injected: a\rSet-Cookie: b\r\n",
        "X-Injected: a\0b\r\n",
        "Host: another\r\n",
    ];
    for line in lines {
        let mut client = instance.client();
        client.send(
            format!("POST /in/ward-3 HTTP/1.1\r\nHost: h\r\n{line}\r\nGET / HTTP/1.1\r\n\r\n").as_bytes(),
        );
        assert_eq!(client.response().status, 400, "{line:?}");
        assert_eq!(client.rest(), b"", "{line:?}");
    }
    instance.host.wait_refused("", "malformed", lines.len() as u64);
}

#[test]
fn nothing_of_a_request_comes_back_in_an_answer() {
    let instance = Instance::new();
    for request in [
        "GET /in/%0d%0aSet-Cookie:x HTTP/1.1\r\nHost: marker\r\n\r\n",
        "GET /in/marker?marker=marker HTTP/1.1\r\nHost: marker\r\nX-Marker: marker\r\n\r\n",
        "GET /marker?marker HTTP/1.1\r\nHost: marker\r\n\r\n",
        "GET /?lang=marker HTTP/1.1\r\nHost: marker\r\nAccept-Language: marker\r\nConnection: close\r\n\r\n",
    ] {
        let response = instance.ask(request.as_bytes());
        let text = format!(
            "{:?}{}",
            response.headers,
            String::from_utf8(response.body).unwrap()
        );
        assert!(!text.contains("marker") && !text.contains("Set-Cookie"), "{text}");
    }
}

#[test]
fn garbage_is_answered_or_cut_off_and_the_next_sender_served() {
    let instance = Instance::new();
    let garbage: [&[u8]; 7] = [
        b"\0\0\0\0\0\0\0\0\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"POST /in/\xff\xfe HTTP/1.1\r\n\r\n",
        b"POST /in/ward-3\r\n\r\n",
        b"POST /in/ward-3 HTTP/9.9\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /in/ward-3 HTTP/1.1\r\n: x\r\n\r\n",
    ];
    for bytes in garbage {
        let mut client = instance.client();
        client.send(bytes);
        client.0.get_ref().shutdown(std::net::Shutdown::Write).unwrap();
        let rest = client.rest();
        assert!(
            rest.is_empty() || rest.starts_with(b"HTTP/1.1 400"),
            "{bytes:?}: {rest:?}"
        );
    }
    assert_eq!(instance.ask(&delivery(b"after")).status, 200);
}

#[test]
fn a_head_over_the_limit_is_refused() {
    let instance = with(Limits {
        head_bytes: 1024,
        ..Limits::default()
    });
    let long = format!(
        "GET /in/ward-3 HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n",
        "x".repeat(2000)
    );
    assert_eq!(instance.ask(long.as_bytes()).status, 431);
    let many = format!(
        "GET /in/ward-3 HTTP/1.1\r\nHost: h\r\n{}\r\n",
        "X: y\r\n".repeat(70)
    );
    assert_eq!(instance.ask(many.as_bytes()).status, 431);
    instance.host.wait_refused("", "head-too-large", 2);
}

#[test]
fn who_is_too_slow_is_cut_off_wherever_he_stops() {
    let instance = with(Limits {
        head_timeout: Duration::from_millis(100),
        request_timeout: Duration::from_millis(300),
        idle_timeout: Duration::from_millis(300),
        ..Limits::default()
    });
    // Before the path is known nobody answers; after it, the intake does.
    for (sent, answer) in [
        ("", ""),
        ("POST /i", ""),
        ("POST /in/ward-3 HTTP/1.1\r\nHos", "HTTP/1.1 408"),
        (
            "POST /in/ward-3 HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nabc",
            "HTTP/1.1 408",
        ),
        ("GET / HTTP/1.1\r\nHos", ""),
    ] {
        let mut client = instance.client();
        client.send(sent.as_bytes());
        let rest = String::from_utf8(client.rest()).unwrap();
        assert!(
            rest.starts_with(answer) && rest.is_empty() == answer.is_empty(),
            "{sent:?}: {rest:?}"
        );
    }
    let mut idle = instance.client();
    idle.send(&delivery(b"then silence"));
    assert_eq!(idle.response().status, 200);
    assert_eq!(idle.rest(), b"");
    instance.host.wait_refused("", "too-slow", 1);
    instance.host.wait_refused("ward-3", "too-slow", 1);
}
