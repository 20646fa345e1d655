//! Two verifiers, written apart from each other, answer one corpus of bundles, case by case: `chancery-verify`, and the one in
//! `verifiers/python`, which was written from the specification alone.
//!
//! The corpus: every case of `crates/seal/tests/attacks`; a genuine bundle with a bit flipped here or there, or cut; and every
//! bundle that the tests of the verifier in Python ask about, over a thousand, each with one rule broken by a writer who
//! holds the zone's key. Those tests leave their bundles in CHANCERY_CASES; where that is not set, they are run here to do it.
#![cfg(test)]

#[path = "../../seal/tests/attacks/bundle.rs"]
mod bundle;
#[path = "../../seal/tests/attacks/case.rs"]
mod case;
#[path = "../../seal/tests/attacks/history.rs"]
mod history;
#[path = "../../seal/tests/attacks/keys.rs"]
mod keys;
#[path = "../../seal/tests/sample/mod.rs"]
mod sample;
#[path = "../../seal/tests/sample/zip.rs"]
mod zip;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;

use serde_json::{Value, json};

pub use case::Case;

/// Fewer than these would mean that a half of the corpus was not written.
const OF_RUST: usize = 400;
const OF_PYTHON: usize = 1000;
/// Disagreements that are printed; the first few tell.
const PRINTED: usize = 40;

fn verifier() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../verifiers/python")
}

/// Runs the Python that `./dev test` makes, with the packages of the verifier.
fn python(arguments: &[&str], cases: &Path) -> Output {
    let beside = std::env::current_exe().unwrap();
    let target = beside
        .ancestors()
        .nth(3)
        .unwrap()
        .join("verifier-python/bin/python");
    let python = std::env::var_os("CHANCERY_PYTHON").map_or(target, PathBuf::from);
    assert!(
        python.is_file(),
        "{} is not there; ./dev test makes it",
        python.display()
    );
    let run = Command::new(python)
        .arg("-B")
        .args(arguments)
        .env("CHANCERY_CASES", cases)
        .current_dir(verifier())
        .output();
    let output = run.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    output
}

/// What both must say alike: `holds`, `does not hold` or `unusable`, and of a bundle that holds what was found in it.
type Answers = BTreeMap<String, Value>;

/// All cases of a folder, answered by one Python.
fn by_python(cases: &Path) -> Answers {
    let output = python(&["agree.py", cases.to_str().unwrap()], cases);
    let lines = String::from_utf8(output.stdout).unwrap();
    let answer = |line: &str| {
        let found: Value = serde_json::from_str(line).unwrap();
        let verdict = match found["verdict"].as_str().unwrap() {
            "not a bundle" => "unusable",
            verdict => verdict,
        };
        let mut answer = json!({ "verdict": verdict });
        if verdict == "holds" {
            for same in ["entries", "items", "opened", "messages", "gaps", "anchors"] {
                answer[same] = found[same].clone();
            }
            answer["origin proved"] = (found["origin"] == "proved").into();
            answer["outside"] = (found["outside_checkpoint"] != "none").into();
            let proved = found["existed_before"].as_array().unwrap().iter();
            let proved = proved.map(|one| json!([one["last_record"], one["before"], one["according_to"]]));
            answer["proved"] = proved.collect();
        }
        (found["name"].as_str().unwrap().to_owned(), answer)
    };
    lines.lines().map(answer).collect()
}

/// One case, answered by `chancery-verify` as it is installed.
fn by_rust(case: &Path) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chancery-verify"));
    command.arg(case.join("bundle.zip")).arg("--json");
    for (option, name) in [
        ("--key", "zone.pub"),
        ("--checkpoint", "checkpoint"),
        ("--witness", "witness.pub"),
        ("--tsa-root", "tsa-root.pem"),
        ("--succession", "succession"),
    ] {
        if case.join(name).exists() {
            command.arg(option).arg(case.join(name));
        }
    }
    let output = command.output().unwrap();
    match output.status.code() {
        Some(0) => {}
        Some(1) => return json!({ "verdict": "does not hold" }),
        Some(65) => return json!({ "verdict": "unusable" }),
        code => panic!("{}: {code:?}: {:?}", case.display(), output.stdout),
    }
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let sum = |counts: &Value| -> u64 {
        let counts = counts.as_object().unwrap().values();
        counts.map(|count| count.as_u64().unwrap()).sum()
    };
    let anchors = found["anchors"].as_array().unwrap();
    let proved = anchors.iter().filter(|anchor| anchor["proved"] == true);
    let proved = proved.map(|anchor| json!([anchor["last_record"], anchor["at"], anchor["by"]]));
    json!({
        "verdict": "holds",
        "origin proved": found["origin_proved"],
        "outside": !found["checkpoint"]["consistent_with_outside"].is_null(),
        "entries": sum(&found["entries"]),
        "items": found["items"]["shown"],
        "opened": found["disclosed"],
        "messages": sum(&found["messages"]),
        "gaps": found["gaps"],
        "anchors": anchors.len(),
        "proved": proved.collect::<Vec<_>>(),
    })
}

/// Steps, prime, between the places of damage.
const FLIPPED: usize = 67;
const CUT: usize = 331;

/// A genuine bundle, damaged by somebody who has no key.
fn damaged() -> Vec<Case> {
    let genuine = bundle::honest().usual_bundle();
    let case = |name: String, bundle: Vec<u8>| Case {
        name,
        bundle,
        ..Case::default()
    };
    let flipped = (0..genuine.len()).step_by(FLIPPED).map(|at| {
        let mut bytes = genuine.clone();
        bytes[at] ^= 1 << (at % 8);
        case(format!("flip-a-bit-of-byte-{at}"), bytes)
    });
    let cut = (0..genuine.len()).step_by(CUT);
    let cut = cut.map(|end| case(format!("cut-at-byte-{end}"), genuine[..end].to_vec()));
    flipped.chain(cut).collect()
}

/// Leaves a case as files in a folder of its name.
fn leave(case: &Case, folder: &Path) {
    let folder = folder.join(&case.name);
    fs::create_dir(&folder).unwrap();
    let write = |name: &str, text: Option<String>| {
        if let Some(text) = text {
            fs::write(folder.join(name), text).unwrap();
        }
    };
    fs::write(folder.join("bundle.zip"), &case.bundle).unwrap();
    write("zone.pub", case.key.as_ref().map(|key| key.encode() + "\n"));
    write(
        "witness.pub",
        case.witness.as_ref().map(|key| key.encode() + "\n"),
    );
    write("tsa-root.pem", case.root.map(str::to_owned));
    write("succession", case.succession.clone());
    write("checkpoint", case.outside.clone());
    write("checkpoint.proof", case.proof.clone());
}

/// The folders of the cases in a folder.
fn folders(of: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(of).unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.is_dir()).collect()
}

#[test]
fn both_verifiers_give_the_same_answer_to_every_case_by_name() {
    let own = tempfile::tempdir().unwrap();
    let (ours, theirs) = (own.path().join("rust"), own.path().join("python"));
    fs::create_dir(&ours).unwrap();
    let attacks = case::all();
    for case in attacks.iter().chain(&damaged()) {
        leave(case, &ours);
    }
    let theirs = match std::env::var_os("CHANCERY_CASES") {
        Some(left) => PathBuf::from(left),
        None => {
            fs::create_dir(&theirs).unwrap();
            python(&["-W", "error", "-m", "unittest"], &theirs);
            theirs
        }
    };
    let mut disagreements = Vec::new();
    for (folder, least) in [(&ours, OF_RUST), (&theirs, OF_PYTHON)] {
        let cases = folders(folder);
        assert!(cases.len() >= least, "{} of {}", cases.len(), folder.display());
        let (left, right) = cases.split_at(cases.len() / 2);
        let answer = |cases: &[PathBuf]| -> Answers {
            let name = |case: &Path| case.file_name().unwrap().to_str().unwrap().to_owned();
            cases.iter().map(|case| (name(case), by_rust(case))).collect()
        };
        let (python, rust) = thread::scope(|scope| {
            let python = scope.spawn(|| by_python(folder));
            let left = scope.spawn(|| answer(left));
            let mut rust = answer(right);
            rust.append(&mut left.join().unwrap());
            (python.join().unwrap(), rust)
        });
        assert_eq!(python.len(), rust.len(), "each answers every case");
        for case in attacks.iter().filter(|case| python.contains_key(&case.name)) {
            let may_hold = case.limit.is_some() || case.name.starts_with("genuine");
            let holds = python[&case.name]["verdict"] == "holds";
            assert_eq!(holds, may_hold, "{}: Python, too, finds every attack", case.name);
        }
        for (name, ours) in &rust {
            let theirs = &python[name];
            if ours != theirs {
                disagreements.push(format!("{name}\n  Rust:   {ours}\n  Python: {theirs}"));
            }
        }
    }
    let count = disagreements.len();
    disagreements.truncate(PRINTED);
    assert_eq!(count, 0, "cases with two answers:\n{}", disagreements.join("\n"));
}
