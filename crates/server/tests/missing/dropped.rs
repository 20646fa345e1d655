//! Whatever is left out of a stream of whatever source.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::streams::{Item, SOURCES, Source, detectable};
use crate::{HOUR, World, said};

/// Streams of each source, each with other things left out.
const RUNS: usize = 200;
const MESSAGES: usize = 10;

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        // SplitMix64, Steele et al. 2014.
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % limit as u64) as usize
    }

    fn shuffle<T>(&mut self, items: &mut [T]) {
        for n in (1..items.len()).rev() {
            items.swap(n, self.below(n + 1));
        }
    }
}

/// Gaps of a connection: how many messages are pointed at and missing, and which numbers.
fn found(gaps: &[Value], connection: &str) -> (u64, Vec<[u64; 2]>) {
    let (mut pointed, mut holes) = (0, Vec::new());
    for gap in gaps.iter().filter(|gap| gap["connection"] == connection) {
        match gap["cause"].as_str().unwrap() {
            "pointed-at" => pointed += gap["count"].as_u64().unwrap(),
            "sequence-hole" => {
                let numbers: Vec<[u64; 2]> =
                    serde_json::from_value(gap["missing_by"]["numbers"].clone()).unwrap();
                assert_eq!(gap["count"], numbers[0][1] - numbers[0][0] + 1);
                holes.extend(numbers);
            }
            other => panic!("{other} was claimed in {connection}"),
        }
    }
    holes.sort_unstable();
    (pointed, holes)
}

/// Items at these places arrive: each by itself, or in one file in their order.
fn arrive(world: &World, source: &Source, connection: &str, items: &[Item], places: &[usize]) {
    if source.one_file {
        let places: BTreeSet<usize> = places.iter().copied().collect();
        let file: String = places.into_iter().map(|n| items[n].body.as_str()).collect();
        world.deliver(connection, source.connector, &file);
        return;
    }
    for n in places {
        world.deliver(connection, source.connector, &items[*n].body);
    }
}

/// Streams of one source, in a vault of their own: each in another order, and with others left out.
fn check(source: &Source, seed: u64) {
    let mut world = World::new();
    let items = (source.stream)(MESSAGES);
    let mut dice = Dice(seed);
    let (mut expected, mut left_out) = (BTreeMap::new(), Vec::new());
    for run in 0..RUNS {
        let connection = format!("{}-{run}", source.connector);
        let mut order: Vec<usize> = (0..items.len()).collect();
        dice.shuffle(&mut order);
        let dropped: Vec<usize> = order.drain(..dice.below(items.len() / 2)).collect();
        arrive(&world, source, &connection, &items, &order);
        let kept: BTreeSet<usize> = order.into_iter().collect();
        expected.insert(connection.clone(), detectable(&items, &kept));
        left_out.push((connection, dropped));
    }
    world.settle();
    assert!(world.gaps().is_empty(), "something may still come");
    world.pass(2 * HOUR);
    world.settle();
    let gaps = world.gaps();
    let mut claimed = 0;
    for (connection, expected) in &expected {
        assert_eq!(found(&gaps, connection), *expected, "{connection}");
        claimed += expected.0 + expected.1.len() as u64;
    }
    println!(
        "{}: {claimed} were missed, in {} gaps",
        source.connector,
        gaps.len()
    );
    assert_eq!(
        claimed > RUNS as u64,
        source.tells,
        "{}: {claimed}",
        source.connector
    );
    assert!(gaps.iter().all(|gap| gap["state"] == "open"));
    // The same after a rebuild and a restart; and nothing is said twice.
    let before: Vec<String> = gaps.iter().map(said).collect();
    world.vault().rebuild().unwrap();
    world.settle();
    assert_eq!(world.gaps().iter().map(said).collect::<Vec<_>>(), before);
    world.again();
    world.settle();
    assert_eq!(world.gaps().iter().map(said).collect::<Vec<_>>(), before);
    // What was left out comes after all: every gap closes, and none is opened.
    for (connection, dropped) in &left_out {
        if !dropped.is_empty() {
            arrive(&world, source, connection, &items, dropped);
        }
    }
    world.settle();
    let closed = world.gaps();
    assert_eq!(closed.len(), gaps.len());
    for gap in &closed {
        assert_eq!(gap["state"], "closed", "{gap}");
        assert_eq!(gap["closed"]["reason"], "arrived");
    }
    world.pass(2 * HOUR);
    world.settle();
    let after: Vec<String> = closed.iter().map(said).collect();
    world.vault().rebuild().unwrap();
    world.settle();
    assert_eq!(world.gaps().iter().map(said).collect::<Vec<_>>(), after);
}

#[test]
fn whatever_is_dropped_from_a_stream_of_any_source_is_found_where_it_can_be_and_nothing_else_is_claimed() {
    std::thread::scope(|scope| {
        for (source, seed) in SOURCES.iter().zip(20_261_125..) {
            let named = std::thread::Builder::new().name(source.connector.to_owned());
            named.spawn_scoped(scope, move || check(source, seed)).unwrap();
        }
    });
}

#[test]
fn every_connector_there_is_has_a_stream_from_which_is_dropped() {
    let listed: BTreeSet<&str> = SOURCES.iter().map(|source| source.connector).collect();
    let there: BTreeSet<&str> = connect::CONNECTORS
        .iter()
        .map(|connector| connector.id())
        .collect();
    assert_eq!(listed, there, "add a line to SOURCES");
}
