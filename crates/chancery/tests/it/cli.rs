//! Commands, exit codes and outputs.

use std::process::Stdio;

use serde_json::Value;

use crate::inputs::{CHAT, CHAT_NAME, LONGER, WEBHOOK};
use crate::run::{PASSPHRASE, Place, none_ends_with};

fn first_id(place: &Place, query: &str) -> String {
    let found = place.on(&["search", query, "--json"]).json();
    found["results"][0]["id"]
        .as_str()
        .expect("something is found")
        .to_owned()
}

#[test]
fn an_export_is_imported_found_shown_exported_and_proved() {
    let place = Place::new();
    let made = place
        .run(&["init", "--data", "archive", "--key-copy", "copy", "--json"])
        .json();
    assert!(made["public_key"].as_str().unwrap().starts_with("chancery/us/"));
    assert!(place.path("copy").exists());
    place.write(CHAT_NAME, CHAT);
    let options = ["--custodian", "Tom", "--zone-of-phone", "Europe/Berlin"];
    let said = place
        .on(&[&["import", "whatsapp-export", CHAT_NAME], &options[..]].concat())
        .done();
    assert!(said.contains("4, of these new: 4"), "{said}");

    let found = place.on(&["search", "quokka", "--json"]).json();
    assert_eq!(found["found"], 1);
    let message = &found["results"][0]["record"];
    assert_eq!(
        (&message["sent_at"], &message["direction"]),
        (&"2024-01-31T09:21:00Z".into(), &"in".into())
    );
    let id = first_id(&place, "quokka");
    assert!(place.on(&["show", &id]).done().contains("quokka"));
    let shown = place.on(&["show", &id, "--json"]).json();
    let as_handed_in = (&shown["id"], &shown["capture"]["size_bytes"]);
    assert_eq!(as_handed_in, (&id.as_str().into(), &CHAT.len().into()));

    place.on(&["checkpoint", "--out", "point.txt"]).done();
    assert!(place.path("point.txt.proof").exists());
    let exported = place
        .on(&[
            "export",
            "--id",
            &id,
            "--out",
            "one.zip",
            "--against",
            "point.txt",
            "--json",
        ])
        .json();
    assert_eq!(exported["records"], 1);
    place
        .on(&["export", "--query", "from:anna", "--out", "some.zip"])
        .done();
    let all = place
        .on(&["export", "--all", "--out", "all.zip", "--json"])
        .json();
    assert_eq!(all["records"], 4);
    place
        .on(&["export", "--all", "--out", "all.zip"])
        .failed(73, "is there already");
    place
        .on(&["export", "--all", "--out", "all.zip", "--force"])
        .done();
    assert!(none_ends_with(&place.path(""), ".part"));

    assert_eq!(
        place.on(&["verify", "--against", "point.txt", "--json"]).json()["holds"],
        true
    );
    assert!(
        place
            .bare(&["verify", "--data", "archive"])
            .done()
            .contains("not checked: no passphrase")
    );
    place.on(&["rebuild"]).done();
    assert_eq!(first_id(&place, "quokka"), id);
    assert_eq!(place.on(&["status", "--json"]).json()["messages"], 4);
    assert!(!place.holds("archive", b"quokka") && !place.holds("archive", b"Anna"));
}

#[test]
fn importing_again_adds_nothing_and_a_longer_export_adds_what_is_new() {
    let place = Place::with_archive();
    place.write(CHAT_NAME, CHAT);
    let first = place
        .on(&["import", "whatsapp-export", CHAT_NAME, "--json"])
        .json();
    assert_eq!(
        (&first["captured"], &first["new_messages"]),
        (&1.into(), &4.into())
    );
    let again = place
        .on(&["import", "whatsapp-export", CHAT_NAME, "--json"])
        .json();
    assert_eq!((&again["captured"], &again["duplicates"]), (&0.into(), &4.into()));
    place.write(CHAT_NAME, LONGER);
    let longer = place
        .on(&["import", "whatsapp-export", CHAT_NAME, "--json"])
        .json();
    assert_eq!(
        (&longer["new_messages"], &longer["duplicates"]),
        (&2.into(), &3.into())
    );
    assert_eq!(longer["changed"], 1);
}

#[test]
fn of_several_files_the_good_ones_are_imported_and_the_bad_one_is_named() {
    let place = Place::with_archive();
    place.write(CHAT_NAME, CHAT);
    place.write("picture.zip", b"\xff\xd8\xff\xe0 no archive");
    let ran = place.on(&["import", "whatsapp-export", "picture.zip", CHAT_NAME, "--json"]);
    let sums = ran.json();
    assert_eq!(
        (ran.code, &sums["captured"], &sums["error"]["code"]),
        (65, &1.into(), &65.into())
    );
    assert_eq!(
        (
            &sums["files"][0]["file_index"],
            &sums["files"][0]["error"]["code"]
        ),
        (&0.into(), &65.into())
    );
    place
        .on(&["import", "whatsapp-export", "picture.zip", CHAT_NAME])
        .failed(65, "picture.zip: ");
}

#[test]
fn what_is_wrong_ends_with_its_code_and_one_line() {
    let place = Place::with_archive();
    place.write("garbage.txt", "no chat at all\n");
    place.secret("wrong.txt", "another passphrase\n");
    let import = |source: &str, file: &str| place.on(&["import", source, file]);
    import("whatsapp-export", "garbage.txt").failed(65, "expected");
    import("whatsapp-export", "absent.txt").failed(74, "No such file");
    import("signal", "garbage.txt").failed(64, "there is no connector signal; there are: whatsapp-cloud");
    import("whatsapp-cloud", "garbage.txt").failed(64, "takes webhooks, not files");
    let zone = [
        "import",
        "whatsapp-export",
        "garbage.txt",
        "--zone-of-phone",
        "Berlin",
    ];
    place.on(&zone).failed(64, "there is no time zone Berlin");
    place.on(&["show", "7"]).failed(64, "not a message id");
    place
        .on(&["show", "700.0"])
        .failed(65, "there is no record 700.0");
    place
        .on(&["search", "after:yesterday"])
        .failed(64, "after: takes");
    place
        .on(&["connection", "test", "nowhere"])
        .failed(65, "there is no connection nowhere");
    place
        .on(&["export", "--all", "--out", "no/such/folder/b.zip"])
        .failed(73, "b.zip");
    place
        .on(&["checkpoint", "--out", "no/such/folder/c.txt"])
        .failed(73, "is not there");
    place
        .on(&["verify", "--against", "absent.txt"])
        .failed(74, "absent.txt");
    place
        .on(&["verify", "--against", "garbage.txt"])
        .failed(65, "checkpoint");
    place.on(&["init"]).failed(73, "is not empty");
    place
        .run(&["search", "x", "--data", "elsewhere"])
        .failed(69, "is not there");
    place
        .run(&["search", "x", "--data", "."])
        .failed(69, "is no data folder");
    let wrong = [
        "search",
        "x",
        "--data",
        "archive",
        "--passphrase-file",
        "wrong.txt",
    ];
    place.bare(&wrong).failed(77, "wrong passphrase");
    place
        .bare(&["search", "x", "--data", "archive"])
        .failed(64, "no passphrase given");
    // Nothing of all this left anything behind.
    assert_eq!(place.on(&["status", "--json"]).json()["messages"], 0);
}

#[test]
fn a_wrong_command_line_is_64_and_help_is_0() {
    let place = Place::new();
    for arguments in [
        &[][..],
        &["sing"],
        &["import"],
        &["import", "whatsapp-export"],
        &["export", "--out", "b.zip"],
        &["export", "--all", "--query", "x", "--out", "b.zip"],
        &["search"],
        &["search", "x", "--limit", "many"],
        &["user", "add", "ann", "--role", "king"],
        &["serve", "--listen", "nowhere"],
        &["serve", "--tls-cert", "c.pem"],
        &["status", "--passphrase-file", "a", "--key-file", "b"],
    ] {
        assert_eq!(place.bare(arguments).code, 64, "{arguments:?}");
    }
    for arguments in [
        &["--help"][..],
        &["--version"],
        &["help", "import"],
        &["import", "--help"],
    ] {
        assert_eq!(place.bare(arguments).code, 0, "{arguments:?}");
    }
    let said = place.bare(&["sing", "--json"]);
    assert_eq!((said.code, &said.json()["error"]["code"]), (64, &64.into()));
}

#[test]
fn errors_are_json_where_json_was_asked_for() {
    let place = Place::with_archive();
    place.write("garbage.txt", "no chat at all\n");
    for (arguments, code) in [
        (&["show", "700.0"][..], 65),
        (&["export", "--all", "--out", "no/such/b.zip"], 73),
        (&["parse", "whatsapp-export", "garbage.txt"], 65),
        (&["parse", "signal", "garbage.txt"], 64),
        (&["search", "\"open"], 64),
    ] {
        let ran = place.on(&[arguments, &["--json"]].concat());
        assert_eq!(
            (ran.code, &ran.json()["error"]["code"]),
            (code, &code.into()),
            "{arguments:?}"
        );
    }
}

#[test]
fn a_short_passphrase_is_refused_and_leaves_nothing() {
    let place = Place::new();
    place.secret("short.txt", "seven77\n");
    place.secret("empty.txt", "\n");
    for file in ["short.txt", "empty.txt"] {
        let arguments = ["init", "--data", "archive", "--passphrase-file", file];
        place.bare(&arguments).failed(64, "fewer than 8 characters");
    }
    place
        .run(&["init", "--data", "archive", "--zone", "Not A Zone"])
        .failed(64, "zone");
    place
        .run(&["init", "--data", "archive", "--key-copy", "no/such/copy"])
        .failed(73, "is not there");
    assert!(!place.path("archive").exists());
}

#[test]
fn a_passphrase_that_others_can_read_is_warned_of() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::with_archive();
    std::fs::set_permissions(place.path("pass.txt"), PermissionsExt::from_mode(0o644)).unwrap();
    let ran = place.on(&["connection", "list"]);
    assert!(ran.err.contains("can be read by others"), "{}", ran.err);
    assert_eq!(ran.code, 0);
}

#[test]
fn the_passphrase_comes_from_the_environment_or_a_key_file_stands_in_for_it() {
    let place = Place::new();
    let mut command = place.command(&["init", "--data", "a"]);
    assert!(
        command
            .env("CHANCERY_PASSPHRASE", PASSPHRASE)
            .output()
            .unwrap()
            .status
            .success()
    );
    place.run(&["keys", "list", "--data", "a"]).done();
    place.bare(&["init", "--data", "b", "--key-file", "key"]).done();
    place
        .bare(&["keys", "list", "--data", "b", "--key-file", "key"])
        .done();
    place.run(&["keys", "list", "--data", "b"]).failed(77, "key file");
    place.secret("tiny", "too little");
    place
        .bare(&["init", "--data", "c", "--key-file", "tiny"])
        .failed(64, "fewer than 32 bytes");
}

#[test]
fn while_serve_runs_commands_are_answered_by_it_without_a_passphrase() {
    let place = Place::with_archive();
    place.write(CHAT_NAME, CHAT);
    let serving = place.serve();
    let on = |arguments: &[&str]| place.bare(&[arguments, &["--data", "archive", "--json"]].concat());
    let imported = on(&["import", "whatsapp-export", CHAT_NAME]).json();
    assert_eq!(imported["new_messages"], 4);
    assert_eq!(on(&["search", "quokka"]).json()["found"], 1);
    assert_eq!(on(&["export", "--all", "--out", "b.zip"]).json()["records"], 4);
    assert_eq!(on(&["verify"]).json()["holds"], true);
    let refused = on(&["show", "700.0"]);
    assert_eq!((refused.code, &refused.json()["error"]["code"]), (65, &65.into()));
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(place.path("archive/chancery.sock"))
            .unwrap()
            .permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
    place
        .run(&["serve", "--data", "archive"])
        .failed(73, "in use by another");
    assert_eq!(serving.stop(), Some(0));
    assert!(!place.path("archive/chancery.sock").exists());
    assert_eq!(place.on(&["search", "quokka", "--json"]).json()["found"], 1);
}

#[test]
fn a_socket_left_by_a_killed_process_is_passed_over_and_replaced() {
    let place = Place::with_archive();
    place.serve().kill();
    assert!(place.path("archive/chancery.sock").exists());
    place.on(&["connection", "list"]).done();
    let serving = place.serve();
    place.bare(&["connection", "list", "--data", "archive"]).done();
    assert_eq!(serving.stop(), Some(0));
}

#[test]
fn a_data_folder_with_a_long_path_is_served_too() {
    let place = Place::new();
    let long = "a-long-name-of-a-folder/".repeat(6) + "archive";
    place.run(&["init", "--data", &long]).done();
    let mut command = place.command(&[
        "serve",
        "--data",
        &long,
        "--passphrase-file",
        "pass.txt",
        "--listen",
        "127.0.0.1:0",
    ]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
    std::io::BufRead::read_line(&mut out, &mut line).unwrap();
    let listed = place.bare(&["connection", "list", "--data", &long]);
    child.kill().unwrap();
    child.wait().unwrap();
    listed.done();
}

#[test]
fn a_folder_that_is_locked_is_said_to_be() {
    let place = Place::with_archive();
    let _lock = store::folder::FolderLock::take(&place.path("archive")).unwrap();
    place
        .on(&["connection", "list"])
        .failed(73, "in use by another chancery process");
}

#[test]
fn doctor_says_what_needs_attention() {
    let place = Place::with_archive();
    let ran = place.on(&["doctor", "--json"]);
    assert_eq!(
        (ran.code, &ran.json()["ok"]),
        (1, &false.into()),
        "no checkpoint left the machine yet"
    );
    assert!(place.on(&["doctor"]).out.contains("ATTENTION"));
    assert!(place.on(&["keys", "attest", "--json"]).json()["why"].is_string());
    assert!(place.on(&["keys", "list", "--json"]).json()["kinds"].is_array());
}

#[test]
fn people_are_added_with_a_password_from_a_file_and_listed() {
    let place = Place::with_archive();
    place.secret("ann.txt", "ten or more letters\n");
    place.secret("bob.txt", "too short\n");
    let add = |name: &str, file: &str| {
        place.on(&["user", "add", name, "--role", "officer", "--password-file", file])
    };
    assert!(add("ann", "ann.txt").done().contains("officer"));
    add("ann", "ann.txt").failed(73, "there is a user ann already");
    add("bob", "bob.txt").failed(64, "fewer than 10 characters");
    add("bob smith", "ann.txt").failed(64, "name");
    let listed = place.on(&["user", "list", "--json"]).json();
    assert_eq!(
        (&listed["users"][0]["name"], &listed["users"][1]),
        (&"ann".into(), &Value::Null)
    );
    assert!(!listed.to_string().contains("argon2"));
}

#[test]
fn a_changed_byte_is_found_by_verify_with_exit_code_1() {
    let place = Place::with_archive();
    place.write(CHAT_NAME, CHAT);
    place.on(&["import", "whatsapp-export", CHAT_NAME]).done();
    let folder = place.path("archive/ledger/segments");
    let segment = std::fs::read_dir(folder).unwrap().next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[600] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    let ran = place.bare(&["verify", "--data", "archive", "--json"]);
    assert_eq!((ran.code, &ran.json()["holds"]), (1, &false.into()));
    assert!(ran.json()["findings"][0]["place"].is_string());
}

fn lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn parse_prints_an_object_a_line_and_a_report_last() {
    let place = Place::new();
    place.write(CHAT_NAME, CHAT);
    place.write("body.json", WEBHOOK);
    let chat = lines(&place.bare(&["parse", "whatsapp-export", CHAT_NAME]).done());
    assert_eq!(chat.len(), 5);
    assert_eq!(
        (&chat[0]["content"], &chat[4]["kind"]),
        (&"system".into(), &"report".into())
    );
    assert_eq!(chat[4]["messages"], 4);
    assert!(!chat[4].to_string().contains("Anna"));
    let hooks = lines(
        &place
            .bare(&["parse", "whatsapp-cloud", "body.json", "body.json"])
            .done(),
    );
    let kinds: Vec<_> = hooks.iter().map(|line| line["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["message", "message", "report", "report"]);
    assert_eq!(hooks[3]["file_index"], 1);
    let piped = lines(
        &place
            .fed(&["parse", "whatsapp-cloud", "-"], WEBHOOK.as_bytes())
            .done(),
    );
    assert_eq!(piped[0], hooks[0]);
}

#[test]
fn parse_prints_nothing_when_a_file_is_not_what_it_should_be() {
    let place = Place::new();
    place.write("body.json", WEBHOOK);
    place.write("garbage.txt", "quokka quokka");
    let ran = place.bare(&["parse", "whatsapp-cloud", "body.json", "garbage.txt"]);
    assert_eq!((ran.code, ran.out.as_str()), (65, ""));
    assert!(!ran.err.contains("quokka"), "content in an error: {}", ran.err);
    place
        .bare(&["parse", "whatsapp-cloud", "absent.json"])
        .failed(74, "absent.json");
    place
        .bare(&["parse", "whatsapp-cloud", "."])
        .failed(74, "reading .");
    place
        .fed(&["parse", "whatsapp-cloud", "-"], b"")
        .failed(65, "standard input");
}

#[test]
fn parse_ends_quietly_when_nobody_reads_on() {
    let place = Place::new();
    let line = "31/01/2024, 10:21 - Anna Berg: Good morning\n";
    place.write(CHAT_NAME, line.repeat(60_000));
    let mut command = place.command(&["parse", "whatsapp-export", CHAT_NAME]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
}

#[test]
fn completions_for_bash_are_a_script_that_bash_reads() {
    let place = Place::new();
    let script = place.bare(&["completions", "bash"]).done();
    assert!(script.contains("whatsapp") || script.contains("import"));
    place.write("completions.sh", script);
    let read = std::process::Command::new("bash")
        .arg("-n")
        .arg(place.path("completions.sh"))
        .status()
        .unwrap();
    assert!(read.success());
    for shell in ["zsh", "fish", "elvish", "powershell"] {
        assert!(!place.bare(&["completions", shell]).done().is_empty());
    }
}
