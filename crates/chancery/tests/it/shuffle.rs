//! The order in which anything is delivered or handed in, and how often, decides nothing: of no connector there is.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use connect::Connector;
use serde_json::{Map, Value};
use server::vault::Vault;

use crate::vaults;

/// Something that came in: what is known of it from outside, and its bytes.
struct Capture {
    descriptor: Vec<u8>,
    bytes: Vec<u8>,
}

/// The connector's own fixtures, without those that are no captures at all, or whose contradictions are told by which came first.
fn captures(connector: &dyn Connector) -> Vec<Capture> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../connect/fixtures")
        .join(connector.id().replace('-', "_"));
    let mut folders: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| !path.file_name().unwrap().to_string_lossy().starts_with("bad-"))
        .collect();
    folders.sort();
    folders
        .iter()
        .filter_map(|folder| capture(connector, folder))
        .collect()
}

/// The capture of a fixture; none of one that is a request.
fn capture(connector: &dyn Connector, folder: &Path) -> Option<Capture> {
    let files = std::fs::read_dir(folder).unwrap();
    let path = files.map(|file| file.unwrap().path()).find(|path| {
        let stem = path.file_stem().unwrap();
        stem == "input" || stem == "body"
    })?;
    if folder.join("request.json").exists() {
        return None;
    }
    let mut known: Map<String, Value> = match std::fs::read(folder.join("options.json")) {
        Ok(options) => serde_json::from_slice(&options).unwrap(),
        Err(_) => Map::new(),
    };
    known.remove("secrets");
    if connector.door().takes_files() && !known.contains_key("file_name") {
        // Of an export this names the conversation: what one fixture says is not a repeat of what another says otherwise.
        let (case, ending) = (folder.file_name().unwrap(), path.extension().unwrap());
        let name = format!(
            "WhatsApp Chat with {}.{}",
            case.to_string_lossy(),
            ending.to_string_lossy()
        );
        known.insert("file_name".to_owned(), name.into());
    }
    Some(Capture {
        descriptor: serde_json::to_vec(&known).unwrap(),
        bytes: std::fs::read(path).unwrap(),
    })
}

fn records(vault: &Vault) -> BTreeSet<String> {
    vaults::search(vault, "is:any")
        .iter()
        .map(|found| found["record"].to_string())
        .collect()
}

/// What results from delivering captures in this order, one client a list, all at once; the same after a rebuild.
fn state_of(connector: &str, clients: &[Vec<&Capture>]) -> BTreeSet<String> {
    let folder = tempfile::tempdir().unwrap();
    let vault = vaults::fresh(folder.path());
    let opened = &vault;
    std::thread::scope(|scope| {
        for captures in clients {
            scope.spawn(move || {
                for capture in captures {
                    vaults::deliver_as(opened, connector, "ward-3", &capture.descriptor, &capture.bytes);
                }
            });
        }
    });
    let state = records(&vault);
    vault.rebuild().unwrap();
    let again = records(&vault);
    assert_eq!((again.len(), again == state), (state.len(), true), "{connector}");
    state
}

/// Shuffled, tripled and interleaved, the captures of a connector give the records that they give in order.
fn check(connector: &dyn Connector) {
    let captures = captures(connector);
    let in_order: Vec<&Capture> = captures.iter().collect();
    let count = in_order.len();
    assert!(count >= 3, "{}: {count}", connector.id());
    let expected = state_of(connector.id(), std::slice::from_ref(&in_order));
    assert!(
        expected.len() >= count,
        "{}: {} of {count}",
        connector.id(),
        expected.len()
    );
    // Three clients, each with every capture, each in another order: steps that have no divisor in common with the count.
    let coprime = |step: &usize| (2..=*step).all(|d| !step.is_multiple_of(d) || !count.is_multiple_of(d));
    let steps: Vec<usize> = (count.div_ceil(3)..count).chain(1..2).filter(coprime).collect();
    let clients: Vec<Vec<&Capture>> = (0..3)
        .map(|client| {
            let step = steps[client % steps.len()];
            (0..count)
                .map(|n| in_order[(n + 1 + client) * step % count])
                .collect()
        })
        .collect();
    let actual = state_of(connector.id(), &clients);
    let only = |a: &BTreeSet<String>, b: &BTreeSet<String>| a.difference(b).cloned().collect::<Vec<_>>();
    assert_eq!(
        (only(&actual, &expected), only(&expected, &actual)),
        (vec![], vec![]),
        "{}",
        connector.id()
    );
}

#[test]
fn what_comes_in_by_any_connector_shuffled_tripled_and_interleaved_gives_the_same_records() {
    std::thread::scope(|scope| {
        for connector in connect::CONNECTORS {
            let named = std::thread::Builder::new().name(connector.id().to_owned());
            named.spawn_scoped(scope, || check(*connector)).unwrap();
        }
    });
}
