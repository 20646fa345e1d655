//! What the guide says to type is typed.

use std::path::Path;
use std::process::Command;

use crate::receivers::{Answered, Desk};
use crate::run::Place;

/// The commands of a guide page that are marked to be tried, in their order.
fn commands(page: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs/guide")
        .join(page);
    let text = std::fs::read_to_string(path).unwrap();
    let marked = text.split("<!-- tried by a test -->\n```sh\n").skip(1);
    marked
        .map(|rest| rest.split("```").next().unwrap().to_owned())
        .collect()
}

/// Runs commands in a place, with the program on the path; what they printed.
fn typed(place: &Place, commands: &str) -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_chancery")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let output = Command::new("sh")
        .args(["-euc", commands])
        .current_dir(place.path("."))
        .env("PATH", path)
        .env("CHANCERY_PASSPHRASE", crate::run::PASSPHRASE)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{commands}{said}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn any_other_source_is_brought_in_as_the_guide_says() {
    let place = Place::with_archive();
    let [import, add, post] = commands("any-other-source.md").try_into().unwrap();
    let here = |text: &str| text.replace("DIR", "archive").replace("CONNECTION", "desk");
    let printed = typed(&place, &here(&import));
    assert!(
        printed.contains("\"direction\":\"unknown\"") && printed.contains("\"events\":1"),
        "{printed}"
    );
    typed(&place, &here(&add));
    let serving = place.serve();
    let post = here(&post).replace("https://YOUR-HOST", &format!("http://{}", serving.address));
    assert_eq!(typed(&place, &post), "");
    // The same command with another secret is refused, and curl says so.
    let forged = post.replace("$(cat signing-secret.txt)", "another-secret-of-somebody");
    let refused = format!("if ( {forged} ) 2>/dev/null; then exit 1; fi");
    typed(&place, &refused);
    let begun = std::time::Instant::now();
    for (query, direction) in [("ready", "in"), ("Good", "out"), ("signed", "unknown")] {
        loop {
            let found = place.on(&["search", query, "--json"]).json();
            if let Some(result) = found["results"].get(0) {
                assert_eq!(result["record"]["direction"], direction, "{found}");
                assert_eq!(result["record"]["details"]["origin"], "unverified");
                break;
            }
            assert!(
                begun.elapsed() < std::time::Duration::from_secs(30),
                "{query}: {found}"
            );
        }
    }
}

#[test]
fn who_is_told_can_check_that_it_is_genuine_as_the_guide_says() {
    let place = Place::with_archive();
    let [add, check] = commands("alarms.md").try_into().unwrap();
    let desk = Desk::new(Answered::well());
    let add = add
        .replace("DIR", "archive")
        .replace("https://YOUR-HOST/alarms", &desk.url);
    assert!(typed(&place, &add).contains("it took a test alarm"));
    let taken = desk.taken();
    place.write("body.json", &taken.body);
    let check = |time: &str, signature: &str| {
        typed(
            &place,
            &format!("TIME={time} SIGNATURE={signature}\n(\n{check}) || echo forged"),
        )
    };
    assert_eq!(check(&taken.time, &taken.signature), "genuine\n");
    let later: i64 = taken.time.parse().unwrap();
    for (time, signature) in [
        (
            taken.time.clone(),
            taken.signature.replace(['0', '1', '2', '3'], "f"),
        ),
        ((later + 1).to_string(), taken.signature.clone()),
        ("0".to_owned(), taken.signature.clone()),
    ] {
        let said = check(&time, &signature);
        assert!(said.contains("forged") && !said.contains("genuine"), "{said}");
    }
}
