//! Files that messages name are fetched from the vendor; what cannot be had is said.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::graph::{File, Graph, image_message};
use crate::hooks::{self, body_of};
use crate::run::Place;

const TOKEN: &str = "access-token-of-the-tests";
const PATIENCE: Duration = Duration::from_secs(30);

/// What `show` says of the files of the one message that a query finds, once there is something.
fn files_of(place: &Place, query: &str) -> Value {
    let begun = Instant::now();
    loop {
        let found = place
            .bare(&["search", query, "--data", "archive", "--json"])
            .json();
        if let Some(id) = found["results"][0]["id"].as_str() {
            let shown = place.bare(&["show", id, "--data", "archive", "--json"]).json();
            if shown["files"][0].is_object() {
                return shown["files"].clone();
            }
        }
        assert!(begun.elapsed() < PATIENCE, "no file of {query}");
    }
}

#[test]
fn media_is_fetched_checked_against_its_hash_and_a_lost_file_is_a_gap() {
    let place = Place::with_archive();
    let files = [
        ("1001", File::Bytes(b"the picture".to_vec())),
        ("1002", File::Bytes(b"not the picture".to_vec())),
        ("1003", File::Gone),
    ];
    let files = files.map(|(id, file)| (id.to_owned(), file));
    let graph = Graph::start(TOKEN, BTreeMap::from(files));
    place.secret("access.txt", TOKEN);
    let secret = ["--secret", "access-token=access.txt"];
    hooks::connect(&place, &[&secret[..], &["--setting", &graph.setting()]].concat());
    let serving = place.serve();
    for media in ["1001", "1002", "1003"] {
        let message = image_message(&format!("wamid.{media}"), media, b"the picture");
        let status = hooks::deliver(serving.address, body_of(&[message]).as_bytes()).unwrap();
        assert_eq!(status, 200);
    }
    for (media, state) in [("1001", "fetched"), ("1002", "mismatch"), ("1003", "expired")] {
        let files = files_of(&place, media);
        assert_eq!(
            (&files[0]["state"], files.as_array().unwrap().len()),
            (&state.into(), 1),
            "{media}: {files}"
        );
    }
    assert_eq!(files_of(&place, "1001")[0]["size_bytes"], "the picture".len());
    let status = place.bare(&["status", "--data", "archive", "--json"]).json();
    let gaps: Vec<&Value> = status["gaps"].as_array().unwrap().iter().collect();
    assert_eq!(gaps.len(), 1, "{status}");
    assert_eq!(
        (&gaps[0]["cause"], &gaps[0]["connection"]),
        (&"media-lost".into(), &"ward-3".into())
    );
    assert_eq!(status["pending_fetches"], 0);
    // The file that was not what was declared was asked for twice; nothing is asked for again later.
    let asked = graph.asked();
    let count = |path: &str| asked.iter().filter(|asked| asked.ends_with(path)).count();
    assert_eq!(
        (count("/file/1001"), count("/file/1002"), count("/v23.0/1003")),
        (1, 2, 1)
    );
    assert_eq!(serving.stop(), Some(0));
    assert_eq!(files_of_closed(&place, "1001"), "fetched");
    place.on(&["rebuild"]).done();
    assert_eq!(files_of_closed(&place, "1001"), "fetched");
    assert_eq!(
        place.on(&["status", "--json"]).json()["gaps"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(graph.asked(), asked);
    assert_eq!(place.on(&["verify", "--json"]).json()["holds"], true);
}

fn files_of_closed(place: &Place, query: &str) -> String {
    let found = place.on(&["search", query, "--json"]).json();
    let id = found["results"][0]["id"].as_str().unwrap().to_owned();
    let shown = place.on(&["show", &id, "--json"]).json();
    shown["files"][0]["state"].as_str().unwrap().to_owned()
}
