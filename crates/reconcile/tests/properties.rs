//! Whatever is altered in a conversation, exactly that is reported.
#![cfg(test)]

mod chat;

use std::collections::BTreeSet;

use chat::{Chat, Layout, bob, report};
use proptest::prelude::*;

#[derive(Debug, Clone, Copy)]
enum Alteration {
    Remove,
    Add,
    Number,
    Author,
    Time(i64),
}

fn alteration() -> impl Strategy<Value = Alteration> {
    prop_oneof![
        Just(Alteration::Remove),
        Just(Alteration::Add),
        Just(Alteration::Number),
        Just(Alteration::Author),
        // Not by half an hour or an hour: near a change of the clocks that is explained.
        prop_oneof![-90_000i64..-4000, -1600i64..-700, 700i64..1600, 4000i64..90_000]
            .prop_map(Alteration::Time),
    ]
}

fn layout() -> impl Strategy<Value = Layout> {
    prop_oneof![
        Just(Layout::Webhook),
        Just(Layout::AndroidEnUs),
        Just(Layout::IosDe)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// Platform ids are left out of one side where both would have them: pairing by id is the easy way.
    #[test]
    fn exactly_the_known_alterations_are_reported(
        length in 120u64..500,
        days in 1i64..800,
        (a, b) in (layout(), layout()).prop_filter("ids", |pair| *pair != (Layout::Webhook, Layout::Webhook)),
        alterations in proptest::collection::btree_map(6usize..110, alteration(), 0..12),
    ) {
        let mut chat = Chat::long(length);
        chat.spread(days * 86_400);
        let mut other = chat.clone();
        let mut expected = BTreeSet::new();
        let mut last = usize::MAX;
        for (&at, &what) in alterations.iter().rev() {
            // What comes again cannot be told from its like; and two side by side may be one altered message.
            if at % 4 == 3 || last.saturating_sub(at) < 3 {
                continue;
            }
            last = at;
            let line = &mut other.lines[at];
            let name = match what {
                Alteration::Remove => {
                    other.lines.remove(at);
                    format!("missing-in-b {at}")
                }
                Alteration::Add => {
                    other.insert_after(at, &bob(), &format!("a word that nobody said, {at} times"));
                    format!("missing-in-a {}", at * 100)
                }
                Alteration::Number => {
                    line.text.push('0');
                    format!("text {at}")
                }
                Alteration::Author => {
                    other.swap_author(at);
                    format!("author {at}")
                }
                Alteration::Time(seconds) => {
                    line.at += seconds;
                    format!("time {at}")
                }
            };
            expected.insert(name);
        }
        let found: BTreeSet<String> = report(&chat.side(a), &other.side(b)).words.into_iter().collect();
        prop_assert_eq!(found, expected);
    }
}
