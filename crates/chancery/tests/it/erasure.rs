//! Holds and destruction on the command line, and a destruction that dies at any step.

use serde_json::Value;
use store::failpoint;

use crate::inputs::{CHAT, CHAT_NAME, LONGER};
use crate::run::Place;

pub const ANN: [&str; 4] = ["--user", "ann", "--password-file", "ann.txt"];
pub const BO: [&str; 4] = ["--user", "bo", "--password-file", "bo.txt"];

/// With a second copy of the key store, a chat, and two users who may decide.
pub fn ward() -> Place {
    let place = Place::new();
    place
        .run(&["init", "--data", "archive", "--key-copy", "copy"])
        .done();
    place.secret("ann.txt", "the password of ann\n");
    place.secret("bo.txt", "the password of bo\n");
    place.secret("cy.txt", "the password of cy\n");
    for (name, role, file) in [
        ("ann", "officer", "ann.txt"),
        ("bo", "administrator", "bo.txt"),
        ("cy", "auditor", "cy.txt"),
    ] {
        place
            .on(&["user", "add", name, "--role", role, "--password-file", file])
            .done();
    }
    place.write(CHAT_NAME, CHAT);
    place.on(&["import", "whatsapp-export", CHAT_NAME]).done();
    place
}

pub fn with<'a>(arguments: &[&'a str], who: &[&'a str]) -> Vec<&'a str> {
    [arguments, who].concat()
}

const DESTROY: [&str; 8] = [
    "keys",
    "destroy",
    "--person",
    "Anna Berg",
    "--reason",
    "asked to be forgotten",
    "--legal-basis",
    "GDPR art. 17",
];

pub fn request(place: &Place) -> String {
    let mut arguments = with(&DESTROY, &ANN);
    arguments.push("--json");
    place.on(&arguments).json()["request"].to_string()
}

fn found(place: &Place, query: &str) -> Value {
    place.on(&["search", query, "--json"]).json()
}

#[test]
fn two_people_erase_one_voice_of_a_chat_and_are_told_what_can_be_said_of_it() {
    let place = ward();
    assert_eq!(found(&place, "from:anna")["found"], 2);
    place
        .on(&with(&DESTROY, &["--user", "cy", "--password-file", "cy.txt"]))
        .failed(77, "only a compliance officer");
    place
        .on(&with(&DESTROY, &["--user", "ann", "--password-file", "bo.txt"]))
        .failed(77, "no user of that name has that password");
    let asked = request(&place);
    place
        .on(&with(&["keys", "approve", &asked], &ANN))
        .failed(77, "cannot also approve");
    place
        .on(&with(&["keys", "approve", "9999"], &BO))
        .failed(65, "no request 9999");
    place
        .on(&["hold", "place", "--person", "Anna Berg", "--reason", "a dispute"])
        .done();
    place
        .on(&with(&["keys", "approve", &asked], &BO))
        .failed(77, "covers what would be destroyed");
    let hold = place.on(&["hold", "list", "--json"]).json()["holds"][0]["hold"].to_string();
    let nobody = place.on(&["hold", "lift", &hold, "--reason", "settled"]);
    assert!(
        nobody.code == 64 && nobody.err.contains("--user"),
        "{}",
        nobody.err
    );
    place
        .on(&with(&["hold", "lift", &hold, "--reason", "settled"], &BO))
        .done();
    assert!(place.on(&["keys", "requests"]).done().contains("Anna Berg"));
    let said = place.on(&with(&["keys", "approve", &asked], &BO)).done();
    assert!(
        said.contains("destroyed") && !said.contains("Anna Berg"),
        "{said}"
    );
    place
        .on(&with(&["keys", "approve", &asked], &BO))
        .failed(77, "is decided already");

    let after = found(&place, "from:anna");
    assert_eq!(
        (&after["found"], &after["coverage"]["erased"]),
        (&0.into(), &2.into())
    );
    assert_eq!(found(&place, "from:tom")["found"], 1);
    let requests = place.on(&["keys", "requests", "--json"]).json();
    let entry = requests["requests"][0]["entry"].to_string();
    let capture = found(&place, "from:tom")["results"][0]["id"]
        .as_str()
        .unwrap()
        .split('.')
        .next()
        .unwrap()
        .to_owned();
    let shown = place.on(&["show", &format!("{capture}.1")]).done();
    assert!(shown.contains(&format!("erased by entry {entry}")), "{shown}");

    for (file, words) in [
        ("certificate.html", "Erasure is not yet in force"),
        ("certificate.txt", "Approved by: bo"),
        ("certificate.json", "\"two_people\": true"),
    ] {
        place.on(&["keys", "certificate", &entry, "--out", file]).done();
        let text = std::fs::read_to_string(place.path(file)).unwrap();
        assert!(text.contains(words) && !text.contains("Anna"), "{text}");
    }
    place
        .on(&[
            "keys",
            "certificate",
            &entry,
            "--out",
            "zh.html",
            "--language",
            "zh-CN",
        ])
        .done();
    assert!(
        std::fs::read_to_string(place.path("zh.html"))
            .unwrap()
            .contains("销毁尚未生效")
    );
    place
        .on(&["keys", "certificate", "1", "--out", "none.html"])
        .failed(65, "there is no destruction 1");

    // A longer export of the same chat brings hers back no more than his twice.
    place.write(CHAT_NAME, LONGER);
    let imported = place
        .on(&["import", "whatsapp-export", CHAT_NAME, "--json"])
        .json();
    assert_eq!(imported["erased"], 2, "{imported}");
    assert_eq!(found(&place, "from:anna")["found"], 0);
    let status = place.on(&["status", "--json"]).json();
    assert_eq!(
        (&status["holds"], &status["requests_waiting"]),
        (&0.into(), &0.into())
    );
    assert_eq!(status["erased"]["records"], 4);
    assert_eq!(place.on(&["verify", "--json"]).json()["holds"], true);
    for secret in ["password of", "asked to be forgotten", "a dispute"] {
        assert!(!place.holds("archive", secret.as_bytes()), "{secret}");
    }
}

#[test]
fn a_running_server_takes_the_password_over_its_socket_and_keeps_it_nowhere() {
    let place = ward();
    let serving = place.serve();
    let asked = place
        .bare(&[&with(&DESTROY, &ANN)[..], &["--data", "archive", "--json"]].concat())
        .json()["request"]
        .to_string();
    let approve = with(&["keys", "approve", &asked, "--data", "archive"], &BO);
    place.bare(&approve).done();
    let searched = place
        .bare(&["search", "from:anna", "--data", "archive", "--json"])
        .json();
    assert_eq!(searched["found"], 0);
    assert_eq!(serving.stop(), Some(0));
    let log = std::fs::read_to_string(place.path("serve.err")).unwrap();
    assert!(!log.contains("password of") && !log.contains("Anna"), "{log}");
    assert!(!place.holds("archive", b"password of"));
}

#[test]
fn a_destruction_that_dies_at_any_step_is_finished_at_the_next_start_and_once() {
    for point in failpoint::DESTRUCTION {
        let place = ward();
        let asked = request(&place);
        let mut dying = place.command(&with(&["keys", "approve", &asked, "--data", "archive"], &BO));
        dying
            .args(["--passphrase-file", "pass.txt"])
            .env("CHANCERY_FAIL_POINT", format!("{point}:1"));
        assert_eq!(dying.output().unwrap().status.code(), None, "{point} is reached");
        let requests = place.on(&["keys", "requests", "--json"]).json();
        let request = &requests["requests"][0];
        assert_eq!(request["state"], "destroyed", "{point}: {requests}");
        let keys = place.on(&["keys", "list", "--json"]).json();
        let destroyed = keys["destroyed"].as_array().unwrap();
        assert_eq!(destroyed.len(), 1, "{point}: {keys}");
        assert_eq!(destroyed[0]["destroyed_by_entry"], request["entry"], "{point}");
        let kind = |name: &str| {
            let kinds = keys["kinds"].as_array().unwrap();
            kinds.iter().find(|kind| kind["kind"] == name).unwrap().clone()
        };
        assert_eq!(
            (&kind("person")["living"], &kind("person")["destroyed"]),
            (&1.into(), &1.into()),
            "{point}"
        );
        assert_eq!(
            std::fs::read(place.path("copy")).unwrap(),
            std::fs::read(place.path("archive/keys/keystore")).unwrap()
        );
        for round in ["as it came up", "made again"] {
            let hers = found(&place, "from:anna");
            assert_eq!(
                (&hers["found"], &hers["coverage"]["erased"]),
                (&0.into(), &2.into()),
                "{point} {round}"
            );
            assert_eq!(found(&place, "is:message")["found"], 2, "{point} {round}");
            place.on(&["rebuild"]).done();
        }
        let entry = request["entry"].to_string();
        let certificate = [
            "keys",
            "certificate",
            &entry,
            "--out",
            "certificate.json",
            "--json",
        ];
        place.on(&certificate).json();
        let certificate: Value =
            serde_json::from_slice(&std::fs::read(place.path("certificate.json")).unwrap()).unwrap();
        assert_eq!(certificate["destroyed"]["messages"], 2, "{point}");
        assert_eq!(certificate["erasure"]["derived_rows_swept"], true, "{point}");
        assert_eq!(place.on(&["verify", "--json"]).json()["holds"], true, "{point}");
    }
}

#[test]
fn an_import_with_somebody_erased_in_it_that_dies_at_any_step_keeps_what_others_said() {
    for point in [
        "group-durable:3",
        "normalized-entries:1",
        "normalized-catalogue:1",
    ] {
        let place = ward();
        let asked = request(&place);
        place.on(&with(&["keys", "approve", &asked], &BO)).done();
        place.write(CHAT_NAME, LONGER);
        let import = [
            "import",
            "whatsapp-export",
            CHAT_NAME,
            "--data",
            "archive",
            "--json",
        ];
        let mut dying = place.command(&import);
        dying
            .args(["--passphrase-file", "pass.txt"])
            .env("CHANCERY_FAIL_POINT", point);
        assert_eq!(dying.output().unwrap().status.code(), None, "{point} is reached");
        let imported = place.run(&import).json();
        assert_eq!(imported["files"][0]["messages"], 3, "{point}: {imported}");
        assert_eq!(imported["files"][0]["erased"], 2, "{point}: {imported}");
        for _ in 0..2 {
            assert_eq!(found(&place, "from:anna")["found"], 0, "{point}");
            assert_eq!(found(&place, "from:tom is:repeat")["found"], 3, "{point}");
            place.on(&["rebuild"]).done();
        }
    }
}
