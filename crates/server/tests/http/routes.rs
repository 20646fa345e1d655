//! What can be asked for at all. An endpoint for debugging once gave an archive's memory to anyone who asked.

use std::path::Path;

use crate::instance::{Instance, delivery_to, get};

/// Every route of the vault, and of a witness, and what may be learned there without a sign-in.
const ROUTES: &[(&str, &str)] = &[
    ("/", "the status page: numbers and times"),
    ("/style.css", "its style"),
    ("/api/v1/status", "the same as JSON"),
    ("/api/openapi.json", "what the API is"),
    (
        "/add-checkpoint",
        "of a witness: how far it has seen a log, to who shows that log's signature",
    ),
];

/// Where others have put what must not be there.
const NOT_THERE: &[&str] = &[
    "/actuator",
    "/actuator/heapdump",
    "/actuator/env",
    "/heapdump",
    "/dump",
    "/threaddump",
    "/debug",
    "/debug/pprof/",
    "/debug/pprof/heap",
    "/debug/vars",
    "/metrics",
    "/metrics/prometheus",
    "/stats",
    "/server-status",
    "/health/../debug",
    "/env",
    "/config",
    "/trace",
    "/console",
    "/phpinfo.php",
    "/.env",
    "/.git/config",
    "/api/v1/debug",
    "/api/v1/heap",
    "/api/debug",
    "/proc/self/mem",
    "/core",
];

fn sources(folder: &Path, found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(std::fs::read_to_string(path).unwrap());
        }
    }
}

#[test]
fn every_route_is_known_here_with_what_it_says() {
    let mut all = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut all);
    let mut routes = Vec::new();
    for text in &all {
        for (at, call) in text.match_indices(".route(") {
            let rest = text[at + call.len()..].trim_start();
            let path = rest.strip_prefix('"').and_then(|rest| rest.split('"').next());
            routes.push(
                path.unwrap_or_else(|| panic!("a route whose path is not written out: {}", &rest[..20])),
            );
        }
        if !text.contains("Router") {
            continue;
        }
        for other in [".nest(", ".merge(", ".route_service(", ".nest_service("] {
            assert!(!text.contains(other), "{other} would hide routes from this test");
        }
    }
    routes.sort_unstable();
    let mut known: Vec<&str> = ROUTES.iter().map(|(path, _)| *path).collect();
    known.sort_unstable();
    assert_eq!(
        routes, known,
        "a new route gets a row in ROUTES that says what may be learned there"
    );
}

#[test]
fn nothing_for_debugging_answers_on_either_side() {
    let instance = Instance::new();
    for path in NOT_THERE {
        let response = instance.ask(&get(path));
        assert_eq!((response.status, response.body), (404, Vec::new()), "{path}");
        let below = format!("/in{path}");
        let status = instance.ask(&get(&below)).status;
        assert!([400, 404].contains(&status), "{below}: {status}");
    }
    for name in ["ward-3/heapdump", "ward-3/../debug", "debug", "metrics", ""] {
        let status = instance.ask(&delivery_to(name, "sha256=00", b"x")).status;
        assert!([400, 404].contains(&status), "{name}: {status}");
    }
    assert_eq!(instance.host.ledger.head().0, 0);
}
