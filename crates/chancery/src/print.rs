//! Words for people, and JSON for programs.

use std::fmt::Write as _;
use std::io::{self, Write};

use serde_json::Value;

use crate::failure::Failure;

/// Prints one JSON object on a line of its own.
///
/// # Errors
/// Nobody takes it.
pub fn json(value: &Value) -> Result<(), Failure> {
    print(&format!("{value}\n"))
}

/// Prints a text as it is.
///
/// # Errors
/// Nobody takes it.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| Failure::output(&error))
}

/// Lines under way.
pub struct Words {
    text: String,
}

impl Words {
    /// None yet.
    pub fn new() -> Words {
        Words { text: String::new() }
    }

    /// A line.
    pub fn line(&mut self, line: &str) {
        self.text.push_str(&clean(line));
        self.text.push('\n');
    }

    /// Names and values, the values aligned.
    pub fn pairs(&mut self, pairs: &[(&str, String)]) {
        let width = pairs
            .iter()
            .map(|(name, _)| name.chars().count())
            .max()
            .unwrap_or(0);
        for (name, value) in pairs {
            self.line(&format!("{name:width$}  {value}"));
        }
    }

    /// Rows, the columns aligned; the first row names them.
    pub fn table(&mut self, rows: &[Vec<String>]) {
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| clean(cell).chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for row in rows {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                let _ = write!(line, "{cell:width$}  ", width = *width);
            }
            self.line(line.trim_end());
        }
    }

    /// Other lines after these.
    pub fn append(&mut self, other: Words) {
        self.text.push_str(&other.text);
    }

    /// Any JSON, a field a line.
    pub fn value(&mut self, value: &Value) {
        let mut pairs = Vec::new();
        flatten(value, "", &mut pairs);
        let pairs: Vec<(&str, String)> = pairs
            .iter()
            .map(|(name, value)| (name.as_str(), value.clone()))
            .collect();
        self.pairs(&pairs);
    }

    /// Prints them.
    ///
    /// # Errors
    /// Nobody takes them.
    pub fn print(self) -> Result<(), Failure> {
        print(&self.text)
    }
}

fn flatten(value: &Value, name: &str, pairs: &mut Vec<(String, String)>) {
    let under = |part: &str| {
        if name.is_empty() {
            part.to_owned()
        } else {
            format!("{name}.{part}")
        }
    };
    match value {
        Value::Object(fields) => fields
            .iter()
            .for_each(|(part, value)| flatten(value, &under(part), pairs)),
        Value::Array(items) if items.is_empty() => pairs.push((name.to_owned(), "none".to_owned())),
        Value::Array(items) => {
            items
                .iter()
                .enumerate()
                .for_each(|(at, value)| flatten(value, &under(&(at + 1).to_string()), pairs));
        }
        other => pairs.push((name.to_owned(), plain(other))),
    }
}

/// A single value as people write it.
pub fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Without what would command a terminal or turn the line around: captured text may hold anything.
pub fn clean(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' | '\r' | '\t' => ' ',
        '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' => '\u{FFFD}',
        c if c.is_control() => '\u{FFFD}',
        c => c,
    };
    text.chars().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn captured_text_cannot_command_the_terminal() {
        assert_eq!(
            clean("a\u{1b}[2Jb\u{202e}c\nd\u{9b}"),
            "a\u{fffd}[2Jb\u{fffd}c d\u{fffd}"
        );
    }

    #[test]
    fn columns_are_aligned_and_lines_have_no_blanks_at_their_end() {
        let mut words = Words::new();
        words.table(&[
            vec!["id".into(), "name".into()],
            vec!["1042.3".into(), String::new()],
        ]);
        assert_eq!(words.text, "id      name\n1042.3\n");
    }
}
