//! The intake as a process of its own.

use std::io::{Read, Seek, SeekFrom};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use seal::suite::hex;
use server::IntakeStart;

use crate::instance::{Instance, PATIENCE, Setup, delivery, delivery_to, get, signature};
use crate::others::{callback, post};

/// This very test program, told to run the "test" below, which becomes the intake when its standard input is a socket.
fn as_a_process() -> Setup {
    let arguments = [
        "--exact",
        "process::when_started_with_a_socket_this_is_the_intake",
    ];
    Setup {
        intake: IntakeStart::Process {
            program: std::env::current_exe().unwrap(),
            arguments: arguments.map(str::to_owned).into(),
        },
        ..Setup::default()
    }
}

#[test]
fn when_started_with_a_socket_this_is_the_intake() {
    let input = std::io::stdin().as_fd().try_clone_to_owned().unwrap();
    let socket = UnixStream::from(input);
    if socket.peer_addr().is_ok() && std::env::vars_os().next().is_none() {
        server::intake::run(socket).unwrap();
    }
}

/// What `/proc` calls our children.
fn intakes() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let children = std::fs::read_to_string(task.unwrap().path().join("children")).unwrap_or_default();
        found.extend(children.split_whitespace().map(|id| Path::new("/proc").join(id)));
    }
    found
}

/// One test with a child at a time, so that each finds its own.
static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());

#[test]
fn the_intake_process_knows_no_folder_no_environment_and_no_other_file() {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let instance = Instance::with(as_a_process());
    assert_eq!(instance.ask(&delivery(b"x")).status, 200);
    let [process] = &intakes()[..] else {
        panic!("{:?}", intakes())
    };
    assert_eq!(std::fs::read(process.join("environ")).unwrap(), b"");
    assert_eq!(std::fs::read_link(process.join("cwd")).unwrap(), Path::new("/"));
    for descriptor in std::fs::read_dir(process.join("fd")).unwrap() {
        let target = std::fs::read_link(descriptor.unwrap().path()).unwrap_or_default();
        assert!(!target.starts_with(instance.host.folder.path()), "{target:?}");
    }

    // Killed in the middle of a request, it is replaced, and the vault goes on.
    let mut client = instance.client();
    client.send(&delivery(b"never finished")[..100]);
    let mut page = instance.client();
    page.send(&get("/api/v1/status"));
    assert_eq!(page.response().status, 200);
    let id: i32 = process.file_name().unwrap().to_str().unwrap().parse().unwrap();
    let id = rustix::process::Pid::from_raw(id).unwrap();
    rustix::process::kill_process(id, rustix::process::Signal::KILL).unwrap();
    page.send(&get("/api/v1/status"));
    assert_eq!(page.response().status, 200);
    // Who comes while there is none waits for the next; who was handed to the dead one comes again, as vendors do.
    loop {
        let mut client = instance.client();
        client.send(&delivery(b"after"));
        if client.rest_or_answer() {
            break;
        }
    }
    assert_eq!(instance.running.intake().restarts, 1);
    let bodies: Vec<Vec<u8>> = instance
        .host
        .captures()
        .into_iter()
        .map(|(_, body)| body)
        .collect();
    assert_eq!(bodies.first().unwrap(), b"x");
    assert!(bodies[1..].iter().all(|body| body == b"after"));
    drop(instance.end());
    assert_eq!(intakes(), Vec::<PathBuf>::new());
}

#[test]
fn while_the_intake_cannot_be_started_the_status_says_so() {
    let instance = Instance::with(Setup {
        intake: IntakeStart::Process {
            program: "/nonexistent/program".into(),
            arguments: Vec::new(),
        },
        ..Setup::default()
    });
    let response = instance.ask(&get("/?lang=en"));
    let page = String::from_utf8(response.body).unwrap();
    assert!(page.contains("The intake process is not running"), "{page}");
    drop(instance.end());
}

/// How often `marker` stands in the memory of a process.
fn found_in_memory(process: &Path, marker: &[u8]) -> usize {
    let maps = std::fs::read_to_string(process.join("maps")).unwrap();
    let mut memory = std::fs::File::open(process.join("mem")).unwrap();
    let mut found = 0;
    for line in maps.lines().filter(|line| line.contains(" rw")) {
        let (range, _) = line.split_once(' ').unwrap();
        let (start, end) = range.split_once('-').unwrap();
        let start = u64::from_str_radix(start, 16).unwrap();
        let end = u64::from_str_radix(end, 16).unwrap();
        let mut bytes = vec![0; (end - start) as usize];
        // Some ranges belong to the kernel and cannot be read.
        if memory.seek(SeekFrom::Start(start)).is_ok() && memory.read_exact(&mut bytes).is_ok() {
            found += bytes
                .windows(marker.len())
                .filter(|window| *window == marker)
                .count();
        }
    }
    found
}

#[test]
fn two_seconds_after_its_connections_close_the_intakes_memory_holds_nothing_of_what_passed() {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let instance = Instance::with(as_a_process());
    // Made here, because the intake is this same program and would hold whatever stands in its text.
    let marker = hex(&seal::suite::random::<16>().unwrap());
    let body = format!("before {marker} after");
    let head = format!(
        "Host: h\r\nX-Hub-Signature-256: {}\r\n",
        signature(body.as_bytes())
    );
    let mut client = instance.client();
    // The intake answers, so it is there.
    assert_eq!(instance.ask(&get("/in/nobody")).status, 404);
    let whole = delivery(body.as_bytes());
    let (first, last) = whole.split_at(whole.len() - 20);
    client.send(first);
    let process = intakes().remove(0);
    // That the search finds what is there: a request that is not finished.
    let begun = Instant::now();
    while found_in_memory(&process, &marker.as_bytes()[..8]) == 0 {
        assert!(begun.elapsed() < PATIENCE);
    }
    client.send(last);
    assert_eq!(client.response().status, 200);
    client.send(format!("POST /in/ward-3 HTTP/1.1\r\n{head}Transfer-Encoding: chunked\r\n\r\n").as_bytes());
    client.send(format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len()).as_bytes());
    assert_eq!(client.response().status, 200);
    client.send(&delivery(marker.repeat(40_000).as_bytes()));
    assert_eq!(client.response().status, 200);
    // Opened by the connector, and compared with what stands outside; a text with all that XML can hold.
    let text = format!("{marker}<![CDATA[{marker}]]]]><![CDATA[>{marker}]]>&amp;{marker}");
    for message in [
        format!("<xml><ToUserName>ww1</ToUserName><Content>{text}</Content><MsgType>text</MsgType></xml>"),
        format!(r#"{{"ToUserName":"ww1","text":"{marker}\n{marker}"}}"#),
        format!("neither {marker}"),
    ] {
        client.send(&callback(&message));
        let response = client.response();
        assert_eq!(
            (response.status, &*response.body),
            (200, &b"success"[..]),
            "{message}"
        );
    }
    client.send(&post(&body));
    assert_eq!(client.response().status, 200);
    client.send(&get(&format!(
        "/in/ward-3?hub.mode=subscribe&hub.verify_token={marker}&hub.challenge=1"
    )));
    assert_eq!(client.response().status, 403);
    client.send(&delivery_to("ward-3", &signature(b"no"), body.as_bytes()));
    assert_eq!(client.response().status, 401);
    drop(client);
    let closed = Instant::now();
    while found_in_memory(&process, marker.as_bytes()) > 0 {
        assert!(closed.elapsed() < Duration::from_secs(2), "something stays");
    }
    drop(instance.end());
}
