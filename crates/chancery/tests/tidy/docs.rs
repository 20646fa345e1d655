//! Documents: their links lead somewhere, and what they name exists.

use std::collections::BTreeSet;

use crate::{File, files, none, root};

/// Paths of one machine, or outside the clone.
const NOT_EVERYWHERE: &[&str] = &["/work/", "/root/", "/home/", "/Users/", "../shared"];

fn markdown() -> Vec<File> {
    files()
        .into_iter()
        .filter(|file| file.path.ends_with(".md"))
        .collect()
}

/// The lines of a document that are not inside a fence, numbered from 1.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    text.lines().enumerate().filter_map(move |(at, line)| {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        (!fenced && !fence).then_some((at + 1, line))
    })
}

/// Targets of `[text](target)`, `src="target"` and `srcset="target"`.
fn targets(line: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for (opening, closing) in [("](", ')'), ("src=\"", '"'), ("srcset=\"", '"')] {
        for (at, _) in line.match_indices(opening) {
            let rest = &line[at + opening.len()..];
            found.push(rest.split(closing).next().unwrap_or_default());
        }
    }
    found
}

/// The anchor that a heading gets, the way forges make it.
fn anchor(heading: &str) -> String {
    let kept = heading
        .trim()
        .chars()
        .filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

fn anchors(text: &str) -> BTreeSet<String> {
    prose(text)
        .filter(|(_, line)| line.starts_with('#'))
        .map(|(_, line)| anchor(line.trim_start_matches('#')))
        .collect()
}

#[test]
fn every_link_of_a_document_leads_somewhere() {
    let mut complaints = Vec::new();
    for file in markdown() {
        let here = root().join(&file.path);
        for (number, line) in prose(&file.text) {
            for target in targets(line) {
                if target.contains("://") || target.starts_with("mailto:") {
                    continue;
                }
                let (path, fragment) = target.split_once('#').unwrap_or((target, ""));
                let linked = if path.is_empty() {
                    here.clone()
                } else {
                    here.with_file_name(path)
                };
                if !linked.exists() {
                    complaints.push(format!("{}:{number}: {target}", file.path));
                } else if !fragment.is_empty()
                    && linked.extension().is_some_and(|extension| extension == "md")
                {
                    let text = std::fs::read_to_string(&linked).expect("a document is text");
                    if !anchors(&text).contains(fragment) {
                        complaints.push(format!("{}:{number}: no heading for #{fragment}", file.path));
                    }
                }
            }
        }
    }
    none(&complaints, "correct the link, or write what it points at.");
}

#[test]
fn documents_name_only_commands_that_dev_has() {
    let dev = std::fs::read_to_string(root().join("dev")).expect("./dev is there");
    let mut complaints = Vec::new();
    for file in markdown() {
        for (at, line) in file.text.lines().enumerate() {
            for (start, opening) in line.match_indices("./dev ") {
                let rest = &line[start + opening.len()..];
                let word: String = rest.chars().take_while(char::is_ascii_lowercase).collect();
                if !word.is_empty() && !dev.contains(&format!("\n  {word})")) {
                    complaints.push(format!("{}:{}: ./dev {word}", file.path, at + 1));
                }
            }
        }
    }
    none(&complaints, "`./dev` alone lists what there is.");
}

#[test]
fn nothing_refers_to_one_machine_or_outside_the_clone() {
    let mut complaints = Vec::new();
    for file in files()
        .iter()
        .filter(|file| !file.path.starts_with("crates/chancery/tests/tidy/"))
    {
        for (at, line) in file.text.lines().enumerate() {
            let absolute = |word: &&&str| {
                line.match_indices(**word).any(|(start, _)| {
                    let before = line[..start].chars().next_back();
                    !before.is_some_and(|c| c.is_alphanumeric() || "._-}~".contains(c))
                })
            };
            for word in NOT_EVERYWHERE.iter().filter(absolute) {
                complaints.push(format!("{}:{}: {word}", file.path, at + 1));
            }
        }
    }
    none(
        &complaints,
        "write a path from the root of the clone, or a variable.",
    );
}

#[test]
fn the_map_of_the_architecture_names_every_crate() {
    let map = std::fs::read_to_string(root().join("docs/ARCHITECTURE.md")).expect("the map is there");
    let mut complaints = Vec::new();
    for entry in std::fs::read_dir(root().join("crates")).expect("crates can be listed") {
        let name = entry
            .expect("an entry can be read")
            .file_name()
            .to_string_lossy()
            .into_owned();
        if !map.contains(&format!("`{name}`")) {
            complaints.push(name);
        }
    }
    none(
        &complaints,
        "add a line for it to the map in docs/ARCHITECTURE.md.",
    );
}

/// Names of the tests and functions that there are.
fn functions() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for file in files().iter().filter(|file| file.path.ends_with(".rs")) {
        for (_, rest) in file
            .text
            .match_indices("fn ")
            .map(|(at, _)| file.text.split_at(at + 3))
        {
            names.insert(
                rest.chars()
                    .take_while(|c| c.is_alphanumeric() || *c == '_')
                    .collect(),
            );
        }
    }
    names
}

#[test]
fn every_threat_names_the_test_that_shows_it() {
    let text = std::fs::read_to_string(root().join("docs/THREATS.md")).expect("the page is there");
    let functions = functions();
    let mut complaints = Vec::new();
    for (number, line) in prose(&text).filter(|(_, line)| line.starts_with('|')) {
        let cell = line
            .trim_end()
            .trim_end_matches('|')
            .rsplit('|')
            .next()
            .unwrap_or_default()
            .trim();
        if cell.is_empty() {
            complaints.push(format!("docs/THREATS.md:{number}: no test"));
        }
        for name in cell
            .split('`')
            .skip(1)
            .step_by(2)
            .filter(|name| !functions.contains(*name))
        {
            complaints.push(format!("docs/THREATS.md:{number}: there is no test {name}"));
        }
    }
    none(
        &complaints,
        "name the test in the last column, or say there in words why no test can show it.",
    );
}

#[test]
fn links_and_anchors_are_read_as_a_forge_reads_them() {
    assert_eq!(targets("see [a](b.md#c) and [d](e)"), ["b.md#c", "e"]);
    assert_eq!(targets("<img src=\"docs/path.svg\" alt=\"\">"), ["docs/path.svg"]);
    assert_eq!(anchor(" The path of one message"), "the-path-of-one-message");
    assert_eq!(
        anchor("What `doctor` says, and when"),
        "what-doctor-says-and-when"
    );
    assert_eq!(prose("a\n```\nb\n```\nc").count(), 2);
}
