//! What may stand in which source file.

use crate::{File, files, none};

/// Crates that read no clock, open no file, reach no network and never wait.
const PURE: &[&str] = &[
    "model", "seal", "connect", "detect", "policy", "discover", "govern",
];
/// Crates that end in a program.
const BINARIES: &[&str] = &["chancery", "chancery-verify", "wecom-helper"];
/// Words that must not stand in a crate's code, tests excepted.
struct Rule {
    name: &'static str,
    words: &'static [&'static str],
    holds_for: fn(&str) -> bool,
    instead: &'static str,
}

const RULES: &[Rule] = &[
    Rule {
        name: "clock",
        words: &[
            "SystemTime",
            "Instant::now",
            "Timestamp::now",
            "Zoned::now",
            "TimeZone::system",
        ],
        holds_for: pure,
        instead: "take the time as an argument",
    },
    Rule {
        name: "files",
        words: &[
            "std::fs",
            "fs::read",
            "File::open",
            "File::create",
            "OpenOptions",
            "std::process",
        ],
        holds_for: pure,
        instead: "read from `Read + Seek` and write to a sink that the caller gives",
    },
    Rule {
        name: "network",
        words: &["std::net", "TcpStream", "TcpListener", "UdpSocket"],
        holds_for: pure,
        instead: "describe the request as a value and let `server` make it",
    },
    Rule {
        name: "waiting",
        words: &["async fn", "async move", "await", "thread::sleep", "tokio"],
        holds_for: pure,
        instead: "return a value; whoever waits lives in `store`, `server` or `chancery`",
    },
    Rule {
        name: "environment",
        words: &[
            "std::env",
            "env::var",
            "env::var_os",
            "env::args",
            "env::temp_dir",
        ],
        holds_for: |room| !BINARIES.contains(&room),
        instead: "read it in `chancery` and pass it on as a value",
    },
    Rule {
        name: "sql",
        words: &["rusqlite"],
        holds_for: |room| room != "store",
        instead: "add a function to `store` that says what is wanted",
    },
    Rule {
        name: "http",
        words: &["axum", "hyper", "hyper_util", "reqwest", "rustls", "tokio_rustls"],
        holds_for: |room| room != "server",
        instead: "add a function to `server` that says what is wanted",
    },
    Rule {
        name: "printing",
        words: &["println!", "print!", "eprintln!", "eprint!", "dbg!"],
        holds_for: |room| !BINARIES.contains(&room),
        instead: "return what is to be said, or log it without content",
    },
    Rule {
        name: "unsafe",
        words: &[
            "unsafe {",
            "unsafe fn",
            "unsafe impl",
            "unsafe trait",
            "unsafe extern",
            "unsafe(",
            "transmute",
        ],
        holds_for: |room| room != "wecom-helper",
        instead: "look for the safe function in `rustix` or the standard library",
    },
];

/// Words that stand for work put off. Searched in comments and tests too.
const UNFINISHED: &[&str] = &[
    "for now",
    "todo!",
    "unimplemented!",
    "TODO",
    "FIXME",
    "XXX",
    "HACK",
];
/// Lines a file may have before it must say why, its inline tests not counted.
const LINES_MAX: usize = 600;
/// Longer files, and why they are one thing all the same.
const LONGER: &[(&str, &str)] = &[
    (
        "crates/connect/tests/whatsapp_cloud.rs",
        "one list: a delivery and what it means",
    ),
    (
        "crates/model/src/entry.rs",
        "one format: each kind beside its encoding",
    ),
];
/// Names that say nothing about what is inside.
const SAYS_NOTHING: &[&str] = &[
    "utils", "util", "helpers", "helper", "manager", "common", "misc", "shared", "types",
];

fn pure(room: &str) -> bool {
    PURE.contains(&room)
}

/// The crate a file belongs to.
fn room(path: &str) -> Option<&str> {
    path.strip_prefix("crates/")?.split('/').next()
}

fn is_test(path: &str) -> bool {
    let inside = |folder: &str| path.contains(&format!("/{folder}/"));
    inside("tests") || inside("benches") || inside("examples") || path.ends_with("/tests.rs")
}

fn ours(file: &File) -> bool {
    file.path.ends_with(".rs") && file.path.starts_with("crates/") && !file.path.contains("/tests/tidy/")
}

/// The code of a line: without its comment.
fn code(line: &str) -> &str {
    let comment = line
        .match_indices("//")
        .find(|(at, _)| !line.get(..*at).is_some_and(|b| b.ends_with(':')));
    comment.map_or(line, |(at, _)| &line[..at])
}

/// Whether `word` stands in `text` and is not part of a longer name.
fn stands_in(text: &str, word: &str) -> bool {
    let part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    text.match_indices(word).any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + word.len()..]);
        let opens = word.starts_with(|c: char| c.is_alphanumeric()) && part(before.chars().next_back());
        let closes = word.ends_with(|c: char| c.is_alphanumeric()) && part(after.chars().next());
        !opens && !closes
    })
}

/// `use std::{env, fs}` also says `std::env` and `std::fs`.
fn spelled_out(line: &str) -> String {
    let Some((_, names)) = line.trim_start().split_once("use std::{") else {
        return line.to_owned();
    };
    let items = names.split(',').map(|name| format!("std::{} ", name.trim()));
    items.collect()
}

/// Lines where `rule` may be broken: they, or the ones before, say why.
fn excepted(lines: &[&str], at: usize, rule: &str) -> bool {
    let marker = format!("tidy: allow {rule}: ");
    let says = |line: &&str| {
        line.split_once(&marker)
            .is_some_and(|(_, why)| why.trim().len() >= 12)
    };
    lines.get(at).is_some_and(says)
        || at
            .checked_sub(1)
            .and_then(|before| lines.get(before))
            .is_some_and(says)
}

/// The part of a file that is not its inline tests.
fn before_inline_tests(text: &str) -> &str {
    text.split_once("#[cfg(test)]\nmod tests {")
        .map_or(text, |(before, _)| before)
}

/// Calls `found` for each line of `text` in which one of `words` stands and no exception is written down.
fn search(text: &str, rule: &str, words: &[&str], with_comments: bool, mut found: impl FnMut(usize, &str)) {
    let lines: Vec<&str> = text.lines().collect();
    for (at, line) in lines.iter().enumerate() {
        let searched = if with_comments {
            (*line).to_owned()
        } else {
            spelled_out(code(line))
        };
        for word in words.iter().filter(|word| stands_in(&searched, word)) {
            if !excepted(&lines, at, rule) {
                found(at + 1, word);
            }
        }
    }
}

#[test]
fn each_call_stays_in_the_rooms_that_may_make_it() {
    let mut complaints = Vec::new();
    for file in files().iter().filter(|file| ours(file) && !is_test(&file.path)) {
        let room = room(&file.path).unwrap_or_default();
        for rule in RULES.iter().filter(|rule| (rule.holds_for)(room)) {
            search(
                before_inline_tests(&file.text),
                rule.name,
                rule.words,
                false,
                |line, word| {
                    complaints.push(format!(
                        "{}:{line}: {word} ({}): {}",
                        file.path, rule.name, rule.instead
                    ));
                },
            );
        }
    }
    none(
        &complaints,
        "as each line says; or, where it must be, `// tidy: allow RULE: why` on the line before.",
    );
}

#[test]
fn nothing_is_left_for_later() {
    let mut complaints = Vec::new();
    for file in files().iter().filter(|file| ours(file)) {
        search(&file.text, "unfinished", UNFINISHED, true, |line, word| {
            complaints.push(format!("{}:{line}: {word}", file.path));
        });
    }
    none(
        &complaints,
        "finish it, or open an issue and say in the code what holds today.",
    );
}

#[test]
fn no_test_is_skipped() {
    let mut complaints = Vec::new();
    for file in files().iter().filter(|file| ours(file)) {
        search(&file.text, "ignore", &["#[ignore"], false, |line, _| {
            complaints.push(format!("{}:{line}", file.path));
        });
    }
    none(
        &complaints,
        "make it run, make it short (`--long` may multiply it), or delete it.",
    );
}

#[test]
fn no_test_sleeps() {
    let mut complaints = Vec::new();
    for file in files().iter().filter(|file| ours(file) && is_test(&file.path)) {
        search(
            &file.text,
            "sleep",
            &["thread::sleep", "time::sleep", "sleep_ms"],
            false,
            |line, word| {
                complaints.push(format!("{}:{line}: {word}", file.path));
            },
        );
    }
    none(
        &complaints,
        "wait for what must happen (a position, a line of output, a closed pipe); where time itself is the \
         subject, `// tidy: allow sleep: why` on the line before.",
    );
}

#[test]
fn every_place_at_which_a_process_can_be_killed_is_visited_by_a_test() {
    let files = files();
    // The lists that tests go through.
    let lists = "crates/store/src/failpoint.rs";
    let visited = |place: &str| {
        let named = format!("\"{place}");
        let visits = |file: &&File| file.path == lists || is_test(&file.path);
        files.iter().filter(visits).any(|file| file.text.contains(&named))
    };
    let mut unvisited = Vec::new();
    for file in files.iter().filter(|file| ours(file) && !is_test(&file.path)) {
        let hits = file.text.split("failpoint::hit(\"").skip(1);
        for place in hits.filter_map(|rest| rest.split('"').next()) {
            if !visited(place) {
                unvisited.push(format!("{}: {place}", file.path));
            }
        }
    }
    none(
        &unvisited,
        "have a test kill the process there, by a list of failpoint.rs or by name",
    );
}

#[test]
fn spans_record_only_fields_named_one_by_one() {
    let mut complaints = Vec::new();
    for file in files().iter().filter(|file| ours(file)) {
        for (at, line) in file.text.lines().enumerate() {
            if code(line).contains("instrument(") != code(line).contains("skip_all")
                && code(line).contains("#[")
            {
                complaints.push(format!("{}:{}", file.path, at + 1));
            }
            if code(line).contains("#[instrument]") || code(line).contains("#[tracing::instrument]") {
                complaints.push(format!("{}:{}", file.path, at + 1));
            }
        }
    }
    none(
        &complaints,
        "write `#[instrument(skip_all, fields(…))]`: arguments may hold what people wrote.",
    );
}

#[test]
fn every_crate_opens_with_what_it_is_for_never_does_and_how_to_add_to_it() {
    let all = files();
    let mut complaints = Vec::new();
    for file in all.iter().filter(|file| ours(file)) {
        let Some((_, inside)) = file
            .path
            .strip_prefix("crates/")
            .and_then(|path| path.split_once('/'))
        else {
            continue;
        };
        let a_library_too = all
            .iter()
            .any(|other| other.path == file.path.replace("/main.rs", "/lib.rs"));
        if inside != "src/lib.rs" && (inside != "src/main.rs" || a_library_too) {
            continue;
        }
        let header: String = file
            .text
            .lines()
            .take_while(|line| line.starts_with("//!"))
            .collect();
        for part in ["For: ", "Never: ", "To add "] {
            if !header.contains(part) {
                complaints.push(format!("{}: its opening comment has no `{part}`", file.path));
            }
        }
    }
    none(
        &complaints,
        "say it in a few lines of `//!` at the top; crates/connect/src/lib.rs shows the form.",
    );
}

#[test]
fn every_source_file_opens_with_what_it_is_about() {
    let mut complaints = Vec::new();
    for file in files()
        .iter()
        .filter(|file| ours(file) && file.path.contains("/src/"))
    {
        let about = file
            .text
            .lines()
            .next()
            .is_some_and(|line| line.starts_with("//! ") && line.len() > 12);
        if !about && !is_test(&file.path) {
            complaints.push(file.path.clone());
        }
    }
    none(
        &complaints,
        "begin the file with one line of `//!` that says what it is about.",
    );
}

#[test]
fn no_file_is_longer_than_one_subject() {
    let mut complaints = Vec::new();
    for file in files()
        .iter()
        .filter(|file| ours(file) || file.path.ends_with(".sh") || file.path == "dev")
    {
        let lines = before_inline_tests(&file.text).lines().count();
        if lines > LINES_MAX && !LONGER.iter().any(|(path, _)| *path == file.path) {
            complaints.push(format!("{}: {lines} lines", file.path));
        }
    }
    none(
        &complaints,
        "split it where two halves do not name each other, or add a row with the reason to LONGER.",
    );
}

#[test]
fn file_names_say_what_is_inside() {
    let mut complaints = Vec::new();
    for file in files() {
        let words = file
            .path
            .split('/')
            .map(|part| part.split('.').next().unwrap_or_default());
        if words.clone().any(|word| SAYS_NOTHING.contains(&word)) {
            complaints.push(file.path);
        }
    }
    none(&complaints, "name it after the thing it is about.");
}

#[test]
fn words_are_found_whole_and_comments_are_left_out() {
    assert!(stands_in("use std::fs;", "std::fs"));
    assert!(stands_in("    println!(\"\")", "println!"));
    assert!(!stands_in("eprintln!(\"\")", "println!"));
    assert!(stands_in("#[unsafe(no_mangle)]", "unsafe("));
    assert!(!stands_in("forbid(unsafe_code)", "unsafe("));
    assert!(stands_in("x.await?", "await"));
    assert!(stands_in(&spelled_out("use std::{env, fs};"), "std::env"));
    assert!(stands_in(&spelled_out("use std::{fs, env};"), "std::env"));
    assert_eq!(code("let x = 1; // std::fs"), "let x = 1; ");
    assert_eq!(
        code("let x = \"https://std::fs\";"),
        "let x = \"https://std::fs\";"
    );
    assert!(excepted(
        &["// tidy: allow sleep: the clock itself is the subject", "x"],
        1,
        "sleep"
    ));
    assert!(!excepted(&["// tidy: allow sleep: because", "x"], 1, "sleep"));
    assert!(!excepted(
        &["// tidy: allow clock: the clock itself is the subject", "x"],
        1,
        "sleep"
    ));
}
