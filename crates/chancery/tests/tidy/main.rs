//! Hygiene: what no single change breaks visibly, and what many small ones wear away.
//!
//! Each rule is a table with a reason in every row; a failure says what to do. A line that must break a rule
//! of [`sources`] carries, on itself or on the line before, `tidy: allow RULE: why`.
#![cfg(test)]

mod crates;
mod docs;
mod sources;
mod spdx;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

/// The root of the clone.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .expect("the workspace is there")
}

/// A text file of the clone: its path from the root, with `/`, and its content.
struct File {
    path: String,
    text: String,
}

/// Folders that hold nothing anybody wrote.
const NOT_OURS: &[&str] = &[
    "target",
    ".git",
    ".venv",
    "node_modules",
    "corpus",
    "dist",
    "artifacts",
];

/// Every text file somebody wrote.
fn files() -> Vec<File> {
    let root = root();
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the clone can be read") {
            let path = entry.expect("an entry can be read").path();
            let name = path
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or_default();
            if NOT_OURS.contains(&name) {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(text) = fs::read_to_string(&path) {
                let path = path.strip_prefix(&root).expect("it lies under the root");
                found.push(File {
                    path: path.to_string_lossy().replace('\\', "/"),
                    text,
                });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// Fails with every complaint at once, and with what to do about them.
fn none(complaints: &[String], what_to_do: &str) {
    if complaints.is_empty() {
        return;
    }
    let mut text = String::new();
    for complaint in complaints {
        writeln!(text, "  {complaint}").expect("writing to a string");
    }
    panic!("\n{text}\n  What to do: {what_to_do}\n");
}
