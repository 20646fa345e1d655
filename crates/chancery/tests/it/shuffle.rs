//! The order in which a platform delivers, and how often, decides nothing.

use std::collections::BTreeSet;
use std::path::Path;

use server::vault::Vault;

use crate::vaults;

/// Bodies of the connector's own fixtures, without those that are not webhooks' bodies at all.
fn bodies() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../connect/fixtures/whatsapp_cloud");
    let left_out = ["bad-", "handshake", "signature", "method-"];
    let mut folders: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let name = path.file_name().unwrap().to_string_lossy();
            !left_out.iter().any(|prefix| name.starts_with(prefix))
        })
        .collect();
    folders.sort();
    let bodies = folders
        .iter()
        .filter_map(|path| std::fs::read(path.join("body.json")).ok());
    bodies.collect()
}

fn records(vault: &Vault) -> BTreeSet<String> {
    vaults::search(vault, "is:any")
        .iter()
        .map(|found| found["record"].to_string())
        .collect()
}

/// What results from delivering bodies in this order, one client a list, all at once; the same after a rebuild.
fn state_of(clients: &[Vec<&[u8]>]) -> BTreeSet<String> {
    let folder = tempfile::tempdir().unwrap();
    let vault = vaults::fresh(folder.path());
    let opened = &vault;
    std::thread::scope(|scope| {
        for bodies in clients {
            scope.spawn(move || {
                for body in bodies {
                    vaults::deliver(opened, body);
                }
            });
        }
    });
    let state = records(&vault);
    vault.rebuild().unwrap();
    let again = records(&vault);
    assert_eq!((again.len(), again == state), (state.len(), true));
    state
}

#[test]
fn webhooks_shuffled_tripled_and_interleaved_give_the_same_records() {
    let bodies = bodies();
    assert!(bodies.len() > 30, "{}", bodies.len());
    let in_order: Vec<&[u8]> = bodies.iter().map(Vec::as_slice).collect();
    let expected = state_of(std::slice::from_ref(&in_order));
    assert!(expected.len() > bodies.len());
    let count = in_order.len();
    // Three clients, each with every body, each in another order: steps that have no divisor in common with the count.
    let coprime = |step: &usize| (2..=*step).all(|d| !step.is_multiple_of(d) || !count.is_multiple_of(d));
    let mut steps = (count / 3..count).filter(coprime);
    let clients: Vec<Vec<&[u8]>> = (0..3)
        .map(|_| {
            let step = steps.next().unwrap();
            (0..count).map(|n| in_order[(n + 1) * step % count]).collect()
        })
        .collect();
    let actual = state_of(&clients);
    let only = |a: &BTreeSet<String>, b: &BTreeSet<String>| a.difference(b).cloned().collect::<Vec<_>>();
    assert_eq!(
        (only(&actual, &expected), only(&expected, &actual)),
        (vec![], vec![])
    );
}
