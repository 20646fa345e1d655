//! The bar on a terminal.

use std::cell::RefCell;
use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};

/// A bar while something is under way; nothing where nobody looks.
pub struct Bar {
    template: &'static str,
    wanted: bool,
    shown: RefCell<Option<ProgressBar>>,
}

impl Bar {
    /// On the error output when that is a terminal and people are to read it.
    pub fn new(json: bool, bytes: bool) -> Bar {
        let template = if bytes {
            "{bar:32} {bytes} of {total_bytes}, {eta} to go"
        } else {
            "{bar:32} {pos} of {len}, {eta} to go"
        };
        Bar {
            template,
            wanted: !json && std::io::stderr().is_terminal(),
            shown: RefCell::new(None),
        }
    }

    /// So far, and in all.
    pub fn set(&self, done: u64, all: u64) {
        if !self.wanted {
            return;
        }
        let mut shown = self.shown.borrow_mut();
        let bar = shown.get_or_insert_with(|| {
            let style = ProgressStyle::with_template(self.template);
            ProgressBar::new(all).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        bar.set_length(all);
        bar.set_position(done);
    }

    /// Takes the bar away, so that lines can be printed.
    pub fn clear(&self) {
        if let Some(bar) = self.shown.borrow_mut().take() {
            bar.finish_and_clear();
        }
    }
}
