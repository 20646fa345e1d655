//! The command as people and scripts meet it: exit codes, words, JSON, files.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

#[cfg(test)]
mod program {
    use super::*;

    pub fn fixture(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../seal/fixtures/v1")
            .join(name)
    }

    pub fn run(arguments: &[&Path]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chancery-verify"));
        command.args(arguments).output().expect("the program runs")
    }

    pub fn code(output: &Output) -> i32 {
        output.status.code().unwrap_or(-1)
    }

    pub fn text(output: &Output) -> String {
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
    }

    pub fn option(name: &str, value: &Path) -> PathBuf {
        let mut option = std::ffi::OsString::from(name);
        option.push("=");
        option.push(value);
        option.into()
    }
}

use program::{code, fixture, option, run, text};

#[test]
fn a_good_bundle_is_proved_with_the_key_and_only_consistent_without() {
    let with_key = run(&[&fixture("bundle.zip"), &option("--key", &fixture("zone.pub"))]);
    assert_eq!(code(&with_key), 0);
    assert!(text(&with_key).starts_with("PROVED: "), "{}", text(&with_key));
    let without = run(&[&fixture("bundle.zip")]);
    assert_eq!(code(&without), 0);
    assert!(
        text(&without).starts_with("CONSISTENT, ORIGIN NOT PROVED: "),
        "{}",
        text(&without)
    );
    let json = run(&[&fixture("bundle.zip"), Path::new("--json")]);
    let value: serde_json::Value = serde_json::from_slice(&json.stdout).expect("one JSON object");
    assert_eq!(value["ok"], true);
    assert_eq!(value["verdict"], "consistent, origin not proved");
    assert_eq!(value["messages"]["raw"], 2);
}

#[test]
fn an_anchor_is_said_to_prove_a_time_with_its_key_and_only_to_be_there_without() {
    let bundle = fixture("bundle.zip");
    let key = option("--key", &fixture("zone.pub"));
    let plain = text(&run(&[&bundle, &key]));
    assert!(
        plain.contains("2 by witness.example/w1 (witness) not checked: give --witness"),
        "{plain}"
    );
    assert!(
        plain.contains("1 by Sample stamps (time stamp) not checked: give --tsa-root"),
        "{plain}"
    );
    let witness = option("--witness", &fixture("witness.pub"));
    let root = option("--tsa-root", &fixture("stamp-root.pem"));
    let proved = text(&run(&[&bundle, &key, &witness, &root]));
    let says = "everything up to record 16 existed before 2023-11-14T23:00:04Z, according to witness.example/w1 (witness)";
    assert!(proved.contains(says), "{proved}");
    assert!(
        proved.contains("according to Sample stamps (time stamp)"),
        "{proved}"
    );
    assert!(!proved.contains("not checked"), "{proved}");
    // The key itself, as it is typed.
    let typed = fs::read_to_string(fixture("witness.pub")).unwrap();
    let typed = option("--witness", Path::new(typed.trim_end()));
    let json = run(&[&bundle, &key, &typed, Path::new("--json")]);
    let value: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(value["existed_before"][0]["record"], 16);
    assert_eq!(value["existed_before"][0]["before"], "2023-11-14T23:00:04Z");
    assert_eq!(value["existed_before"].as_array().unwrap().len(), 1);
    assert_eq!(value["anchors"].as_array().unwrap().len(), 3);
    for wrong in [
        option("--witness", &fixture("zone.pub")),
        option("--tsa-root", &fixture("zone.pub")),
        option("--succession", &fixture("zone.pub")),
    ] {
        assert_eq!(code(&run(&[&bundle, &key, &wrong])), 65, "{wrong:?}");
    }
}

#[test]
fn a_bundle_of_the_next_key_is_proved_to_who_holds_the_one_before() {
    for key in ["zone.pub", "zone-2.pub"] {
        let result = run(&[&fixture("rotated.zip"), &option("--key", &fixture(key))]);
        assert_eq!(code(&result), 0, "{}", text(&result));
        assert!(text(&result).starts_with("PROVED: "));
    }
}

#[test]
fn a_tampered_bundle_is_refused_by_the_name_of_its_record() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut bytes = fs::read(fixture("bundle.zip")).expect("the fixture");
    let at = bytes
        .windows(14)
        .rposition(|window| window == b"whatsapp-cloud")
        .expect("a connector");
    let in_evidence = bytes
        .windows(14)
        .position(|window| window == b"whatsapp-cloud")
        .expect("a connector");
    assert!(in_evidence < at);
    bytes[in_evidence] ^= 1;
    let bundle = folder.path().join("tampered.zip");
    fs::write(&bundle, bytes).expect("written");
    let refused = run(&[&bundle]);
    assert_eq!(code(&refused), 1);
    assert!(
        text(&refused).starts_with("DOES NOT HOLD: "),
        "{}",
        text(&refused)
    );
    assert!(
        text(&refused).contains("record 2: its bytes were altered"),
        "{}",
        text(&refused)
    );
    let json = run(&[&bundle, Path::new("--json")]);
    let value: serde_json::Value = serde_json::from_slice(&json.stdout).expect("one JSON object");
    assert_eq!((&value["ok"], &value["code"]), (&false.into(), &1.into()));
}

#[test]
fn what_is_no_bundle_no_key_no_file_and_no_request_have_their_own_codes() {
    assert_eq!(code(&run(&[&fixture("vectors.txt")])), 65);
    assert_eq!(
        code(&run(&[
            &fixture("bundle.zip"),
            &option("--key", &fixture("vectors.txt"))
        ])),
        65
    );
    assert_eq!(code(&run(&[&fixture("there-is-none.zip")])), 74);
    assert_eq!(code(&run(&[])), 64);
    assert_eq!(code(&run(&[Path::new("--wrong")])), 64);
    let no_checkpoint = option("--checkpoint", &fixture("zone.pub"));
    assert_eq!(code(&run(&[&fixture("bundle.zip"), &no_checkpoint])), 65);
    let help = run(&[Path::new("--help")]);
    assert_eq!(code(&help), 0);
    assert!(text(&help).contains("Exit codes"));
}

#[test]
fn what_a_bundle_opens_is_written_to_a_new_folder_and_nothing_is_overwritten() {
    let folder = tempfile::tempdir().expect("a folder");
    let target = folder.path().join("out");
    assert_eq!(
        code(&run(&[&fixture("bundle.zip"), &option("--extract", &target)])),
        0
    );
    let read = |name: &str| fs::read_to_string(target.join(name)).unwrap_or_default();
    assert_eq!(read("captures/2.raw"), "alpha");
    assert_eq!(read("captures/2.json"), "{\"n\":1}");
    assert_eq!(read("captures/4.raw"), "charlie delta");
    assert_eq!(read("items/10.1.0.100"), "second of Ann");
    assert_eq!(read("acts/14.json"), "{\"reason\":\"asked for\"}");
    assert_eq!(read("messages.jsonl").lines().count(), 6);
    assert_eq!(read("gaps.jsonl").lines().count(), 2);
    assert_eq!(
        code(&run(&[&fixture("bundle.zip"), &option("--extract", &target)])),
        74
    );
}
