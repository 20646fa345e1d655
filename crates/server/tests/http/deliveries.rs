//! What is kept, what is refused, and what the sender hears.

use std::time::Duration;

use server::Limits;

use crate::instance::{Instance, Mood, Setup, TOKEN, delivery, delivery_to, get, signature};

const BODY: &[u8] = br#"{"object":"whatsapp_business_account","entry":[]}"#;

#[test]
fn a_genuine_delivery_is_in_the_ledger_when_its_sender_hears_200() {
    let instance = Instance::new();
    let response = instance.ask(&delivery(BODY));
    assert_eq!(response.status, 200);
    assert_eq!(response.body, b"");
    assert_eq!(response.headers["content-type"], "text/plain");
    let captures = instance.host.captures();
    assert_eq!(captures.len(), 1);
    let (descriptor, body) = &captures[0];
    assert_eq!(body, BODY);
    let expected = serde_json::json!({
        "headers": [["content-type", "application/json"], ["x-hub-signature-256", signature(BODY)]],
        "method": "POST",
        "query": "",
    });
    assert_eq!(*descriptor, expected);
}

#[test]
fn a_sender_hears_503_when_its_delivery_could_not_be_written() {
    let instance = Instance::new();
    for mood in [Mood::Fails, Mood::Busy] {
        *instance.host.mood.lock().unwrap() = mood;
        let response = instance.ask(&delivery(BODY));
        assert_eq!(response.status, 503);
        assert!(response.headers.contains_key("retry-after"));
    }
    instance.host.wait_refused("ward-3", "not-written", 2);
    assert_eq!(instance.host.ledger.head().0, 0);
}

#[test]
fn a_sender_hears_503_when_the_ledger_does_not_answer_in_time() {
    let limits = Limits {
        request_timeout: Duration::from_millis(200),
        stop_timeout: Duration::from_millis(200),
        ..Limits::default()
    };
    let instance = Instance::with(Setup {
        limits,
        ..Setup::default()
    });
    *instance.host.mood.lock().unwrap() = Mood::NeverAnswers;
    assert_eq!(instance.ask(&delivery(BODY)).status, 503);
}

#[test]
fn a_delivery_that_is_not_proved_genuine_is_refused_counted_and_not_kept() {
    let instance = Instance::new();
    let wrong = signature(b"another body");
    let check = |request: &[u8], status: u16, connection: &str, reason: &str| {
        assert_eq!(instance.ask(request).status, status, "{reason}");
        instance.host.wait_refused(connection, reason, 1);
    };
    check(
        &delivery_to("ward-3", &wrong, BODY),
        401,
        "ward-3",
        "signature-mismatch",
    );
    check(
        &delivery_to("ward-3", "md5=1", BODY),
        401,
        "ward-3",
        "signature-malformed",
    );
    check(
        &delivery_to("bare", &signature(BODY), BODY),
        401,
        "bare",
        "no-secret",
    );
    check(
        &delivery_to("nobody", &signature(BODY), BODY),
        404,
        "",
        "unknown-connection",
    );
    let unsigned = b"POST /in/ward-3 HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}";
    check(unsigned, 401, "ward-3", "signature-missing");
    let twice = format!(
        "POST /in/ward-3 HTTP/1.1\r\nHost: h\r\nX-Hub-Signature-256: {0}\r\nX-Hub-Signature-256: {0}\r\n\
         Content-Length: 2\r\n\r\n{{}}",
        signature(b"{}")
    );
    assert_eq!(instance.ask(twice.as_bytes()).status, 401);
    instance.host.wait_refused("ward-3", "signature-missing", 2);
    let put = b"PUT /in/ward-3 HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n";
    check(put, 405, "", "method");
    assert_eq!(instance.host.ledger.head().0, 0);
}

#[test]
fn the_handshake_is_answered_with_the_challenge_and_nothing_else() {
    let instance = Instance::new();
    let query = |token: &str| {
        format!("/in/ward-3?hub.mode=subscribe&hub.verify_token={token}&hub.challenge=1158201444")
    };
    let response = instance.ask(&get(&query(&TOKEN.replace(' ', "%20"))));
    assert_eq!((response.status, &*response.body), (200, &b"1158201444"[..]));
    assert_eq!(response.headers["content-type"], "text/plain");
    assert_eq!(response.headers["x-content-type-options"], "nosniff");
    assert_eq!(instance.ask(&get(&query("wrong"))).status, 403);
    assert_eq!(instance.ask(&get("/in/ward-3")).status, 401);
    instance.host.wait_refused("ward-3", "token-mismatch", 1);
    instance.host.wait_refused("ward-3", "handshake-incomplete", 1);
    assert_eq!(instance.host.ledger.head().0, 0);
}

#[test]
fn a_body_of_several_chunks_is_kept_whole_and_together() {
    let instance = Instance::new();
    let body: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    assert_eq!(instance.ask(&delivery(&body)).status, 200);
    assert_eq!(instance.host.ledger.head().0, 3);
    assert_eq!(instance.host.captures()[0].1, body);
}

#[test]
fn a_body_over_the_limit_is_refused_before_it_is_read() {
    let limits = Limits {
        body_bytes: 1000,
        ..Limits::default()
    };
    let instance = Instance::with(Setup {
        limits,
        ..Setup::default()
    });
    assert_eq!(instance.ask(&delivery(&[b'x'; 1000])).status, 200);
    // Only the head is sent: the answer does not wait for the body.
    let claims = |length: &str| {
        format!("POST /in/ward-3 HTTP/1.1\r\nHost: h\r\nContent-Length: {length}\r\n\r\n").into_bytes()
    };
    for length in ["1001", "18446744073709551616", "99999999999999999999999999"] {
        let response = instance.ask(&claims(length));
        assert_eq!(response.status, 413, "{length}");
        assert_eq!(response.headers["connection"], "close");
    }
    let chunked = b"POST /in/ward-3 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n";
    assert_eq!(instance.ask(chunked).status, 413);
    instance.host.wait_refused("ward-3", "too-large", 4);
}

#[test]
fn more_bytes_in_flight_than_allowed_are_turned_away_and_let_in_later() {
    let limits = Limits {
        in_flight_bytes: 3000,
        ..Limits::default()
    };
    let instance = Instance::with(Setup {
        limits,
        ..Setup::default()
    });
    let request = delivery(&[b'x'; 1000]);
    let text = String::from_utf8(request.clone()).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let mut first = instance.client();
    first.send(format!("{head}\r\nExpect: 100-continue\r\n\r\n").as_bytes());
    // Said once room is set aside.
    assert_eq!(first.line(), "HTTP/1.1 100 Continue");
    assert_eq!(first.line(), "");
    assert_eq!(instance.ask(&request).status, 503);
    instance.host.wait_refused("ward-3", "no-room", 1);
    first.send(body.as_bytes());
    assert_eq!(first.response().status, 200);
    assert_eq!(instance.ask(&request).status, 200);
}

#[test]
fn sixty_four_senders_at_once_are_all_kept_once() {
    let instance = Instance::new();
    std::thread::scope(|scope| {
        for sender in 0..64 {
            let instance = &instance;
            scope.spawn(move || {
                let mut client = instance.client();
                for n in 0..20 {
                    client.send(&delivery(format!("{sender} {n}").as_bytes()));
                    assert_eq!(client.response().status, 200);
                }
            });
        }
    });
    let mut bodies: Vec<Vec<u8>> = instance
        .host
        .captures()
        .into_iter()
        .map(|(_, body)| body)
        .collect();
    bodies.sort();
    bodies.dedup();
    assert_eq!(bodies.len(), 64 * 20);
}

#[test]
fn after_a_change_of_epoch_deliveries_are_sealed_to_the_new_one() {
    let instance = Instance::new();
    assert_eq!(instance.ask(&delivery(BODY)).status, 200);
    instance.host.next_epoch();
    instance.running.refresh();
    // What was sealed just before is still taken; sooner or later the new epoch is used.
    loop {
        assert_eq!(instance.ask(&delivery(BODY)).status, 200);
        let head = instance.host.ledger.head().0;
        let last = instance
            .host
            .ledger
            .entry(model::Position(head - 1))
            .unwrap()
            .unwrap();
        let model::entry::Kind::Chunk(chunk) = last.header.kind else {
            panic!("not a capture")
        };
        if chunk.sealing.epoch == 2 {
            assert_eq!(chunk.origin.minimum_lock_days, 7);
            assert_eq!((chunk.origin.verdict, chunk.origin.secret), (1, 0));
            break;
        }
    }
}

#[test]
fn a_stopping_server_finishes_what_was_begun() {
    let mut instance = Instance::new();
    let request = delivery(BODY);
    let mut client = instance.client();
    client.send(&request[..request.len() - 1]);
    // Known to be with the intake once another connection was answered by it.
    while instance.running.intake().connections == 0 {
        instance.ask(&get("/in/nobody"));
    }
    instance.stop();
    client.send(&request[request.len() - 1..]);
    assert_eq!(client.response().status, 200);
    let host = instance.end();
    assert_eq!(host.captures().len(), 1);
}
