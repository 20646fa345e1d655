//! The bar on a terminal.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;

/// A bar, or nothing where nobody looks.
pub struct Bar(Option<ProgressBar>);

impl Bar {
    /// On the error output when that is a terminal and people are to read it.
    pub fn new(json: bool, bytes: bool) -> Bar {
        if json || !std::io::stderr().is_terminal() {
            return Bar(None);
        }
        let template = if bytes {
            "{bar:32} {bytes} of {total_bytes}, {eta} to go"
        } else {
            "{bar:32} {pos} of {len}, {eta} to go"
        };
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        Bar(Some(ProgressBar::new(0).with_style(style)))
    }

    /// So far, and in all.
    pub fn set(&self, done: u64, all: u64) {
        if let Some(bar) = &self.0 {
            bar.set_length(all);
            bar.set_position(done);
        }
    }

    /// Takes the bar away, so that lines can be printed.
    pub fn clear(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
            bar.reset();
        }
    }
}
