//! The intake as a process of its own.

use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use server::IntakeStart;

use crate::instance::{Instance, Setup, delivery, get};

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

/// Process ids of our children that are intakes.
fn intakes() -> Vec<PathBuf> {
    let mut found = Vec::new();
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let children = std::fs::read_to_string(task.unwrap().path().join("children")).unwrap_or_default();
        found.extend(children.split_whitespace().map(|id| Path::new("/proc").join(id)));
    }
    found
}

#[test]
fn the_intake_process_knows_no_folder_no_environment_and_no_other_file() {
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
    assert_eq!(intakes(), [PathBuf::new(); 0]);
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
