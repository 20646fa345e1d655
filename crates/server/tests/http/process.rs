//! The intake as a process of its own.

use std::io::{BufRead, Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use seal::suite::hex;
use server::IntakeStart;
use server::confine::{self, Confinement, Extent};

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
            user: None,
        },
        ..Setup::default()
    }
}

/// Root may look into any memory; others only into what is left open to them.
fn confinement() -> Confinement {
    Confinement {
        user: None,
        observable: !rustix::process::geteuid().is_root(),
    }
}

#[test]
fn when_started_with_a_socket_this_is_the_intake() {
    let input = std::io::stdin().as_fd().try_clone_to_owned().unwrap();
    let socket = UnixStream::from(input);
    if socket.peer_addr().is_ok() && std::env::vars_os().next().is_none() {
        server::intake::run(socket, &confinement()).unwrap();
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

/// What somebody would try who had taken over the intake, and what the system answers: 0 when it is done.
fn intrusions(parent: rustix::process::Pid) -> Vec<(&'static str, i32)> {
    use std::net::{TcpListener, TcpStream, UdpSocket};
    fn code<T>(result: std::io::Result<T>) -> i32 {
        result.map_or_else(|error| error.raw_os_error().unwrap_or(-1), |_| 0)
    }
    let traced = nix::sys::ptrace::attach(nix::unistd::Pid::from_raw(parent.as_raw_nonzero().get()));
    vec![
        ("read a file", code(std::fs::File::open("/etc/passwd"))),
        ("write a file", code(std::fs::File::create("/tmp/intruded"))),
        ("list a folder", code(std::fs::read_dir("/"))),
        ("remove a file", code(std::fs::remove_file("/nonexistent"))),
        ("look at a file", code(std::fs::metadata("/etc/passwd"))),
        ("go to a folder", code(std::env::set_current_dir("/tmp"))),
        (
            "read its own memory by name",
            code(std::fs::File::open("/proc/self/mem")),
        ),
        (
            "start a program",
            code(std::process::Command::new("/bin/true").status()),
        ),
        ("start a thread", code(std::thread::Builder::new().spawn(|| ()))),
        ("connect to an address", code(TcpStream::connect("127.0.0.1:9"))),
        ("listen", code(TcpListener::bind("127.0.0.1:0"))),
        ("send datagrams", code(UdpSocket::bind("127.0.0.1:0"))),
        (
            "make a Unix socket",
            code(std::os::unix::net::UnixDatagram::unbound()),
        ),
        ("make a pair of sockets", code(UnixStream::pair())),
        (
            "trace another process",
            traced.map_or_else(|error| error as i32, |()| 0),
        ),
        (
            "signal another process",
            code(rustix::process::test_kill_process(parent).map_err(Into::into)),
        ),
        (
            "make memory that is a file",
            code(rustix::fs::memfd_create("x", rustix::fs::MemfdFlags::empty()).map_err(Into::into)),
        ),
    ]
}

#[test]
fn when_started_with_a_socket_this_is_an_intruder_in_a_confined_intake() {
    let input = std::io::stdin().as_fd().try_clone_to_owned().unwrap();
    let mut socket = UnixStream::from(input);
    if socket.peer_addr().is_err() || std::env::vars_os().next().is_some() {
        return;
    }
    let parent = rustix::process::getppid().unwrap();
    let mut confined = confine::begin(&confinement()).unwrap();
    let file = std::fs::File::open("/etc/passwd").map_or_else(|error| error.raw_os_error().unwrap(), |_| 0);
    confine::close(&mut confined);
    let mut said = serde_json::to_string(&(confined, file, intrusions(parent))).unwrap();
    said.push('\n');
    socket.write_all(said.as_bytes()).unwrap();
    std::process::exit(0);
}

#[test]
fn whoever_takes_over_the_intake_gets_no_file_no_program_no_socket_and_no_other_process() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let name = "process::when_started_with_a_socket_this_is_an_intruder_in_a_confined_intake";
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name])
        .env_clear()
        .stdin(std::os::fd::OwnedFd::from(theirs))
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut said = String::new();
    std::io::BufReader::new(ours).read_line(&mut said).unwrap();
    child.wait().unwrap();
    let (confined, file, tried): (confine::Confined, i32, Vec<(String, i32)>) =
        serde_json::from_str(&said).unwrap();
    println!("{confined:?}");
    assert!(confined.no_new_privileges);
    // What it says of the kernel is what the kernel does.
    let denied = libc::EACCES;
    assert_eq!(
        file,
        if confined.landlock == Extent::None {
            0
        } else {
            denied
        }
    );
    assert!(
        confined.system_calls,
        "every kernel that Rust supports here has seccomp"
    );
    for (what, code) in tried {
        assert_eq!(code, libc::EPERM, "{what}");
    }
}

#[test]
fn a_confined_intake_takes_large_chunked_and_many_deliveries_and_says_what_it_gave_up() {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let instance = Instance::with(as_a_process());
    let large = vec![b'x'; 3_000_000];
    std::thread::scope(|scope| {
        for n in 0..8 {
            let (instance, large) = (&instance, &large);
            scope.spawn(move || {
                let mut client = instance.client();
                for m in 0..40 {
                    client.send(&delivery(format!("{n}-{m}").as_bytes()));
                    assert_eq!(client.response().status, 200);
                }
                client.send(&delivery(large));
                assert_eq!(client.response().status, 200);
            });
        }
    });
    assert_eq!(instance.host.captures().len(), 8 * 41);
    assert_eq!(instance.running.intake().restarts, 0);
    let confined = instance.host.wait_confined();
    assert!(confined.system_calls && confined.no_new_privileges);
    let [process] = &intakes()[..] else {
        panic!("{:?}", intakes())
    };
    let status = std::fs::read_to_string(process.join("status")).unwrap();
    let says = |line: &str| assert!(status.contains(line), "{line} in {status}");
    says("NoNewPrivs:\t1");
    says("Seccomp:\t2");
    let limits = std::fs::read_to_string(process.join("limits")).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
    // Every thread, not the first alone.
    for task in std::fs::read_dir(process.join("task")).unwrap() {
        let status = std::fs::read_to_string(task.unwrap().path().join("status")).unwrap();
        assert!(status.contains("Seccomp:\t2"), "{status}");
    }
    drop(instance.end());
}

#[test]
fn while_the_intake_cannot_be_started_the_status_says_so() {
    let instance = Instance::with(Setup {
        intake: IntakeStart::Process {
            program: "/nonexistent/program".into(),
            arguments: Vec::new(),
            user: None,
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
