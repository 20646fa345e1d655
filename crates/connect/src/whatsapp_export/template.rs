//! Wordings with holes: `{actor} added {subject}`.

/// A wording. Matching is one pass from left to right, without going back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// Text before the first hole.
    head: String,
    /// Each hole's name and the text after it.
    holes: Vec<(String, String)>,
}

impl Template {
    /// Reads a wording; a brace that is never closed is text.
    pub fn new(wording: &str) -> Self {
        let mut template = Template {
            head: String::new(),
            holes: Vec::new(),
        };
        let mut rest = wording;
        while let Some((before, after)) = rest.split_once('{') {
            let Some((name, behind)) = after.split_once('}') else {
                break;
            };
            template.push_text(before);
            template.holes.push((name.to_owned(), String::new()));
            rest = behind;
        }
        template.push_text(rest);
        template
    }

    fn push_text(&mut self, text: &str) {
        match self.holes.last_mut() {
            Some((_, after)) => after.push_str(text),
            None => self.head.push_str(text),
        }
    }

    /// How much of the wording is fixed: of two that fit, the longer says more.
    pub fn fixed_len(&self) -> usize {
        self.head.len() + self.holes.iter().map(|(_, after)| after.len()).sum::<usize>()
    }

    /// Whether the wording begins with a hole.
    pub fn begins_with_hole(&self) -> bool {
        self.head.is_empty() && !self.holes.is_empty()
    }

    /// What stands in the holes if the whole text has this wording. No hole is empty.
    pub fn matches<'t>(&'t self, text: &'t str) -> Option<Vec<(&'t str, &'t str)>> {
        // Before anything is allocated: most wordings fail here.
        let mut rest = text.strip_prefix(self.head.as_str())?;
        let (last, inner) = match self.holes.split_last() {
            Some(split) => split,
            None => return rest.is_empty().then(Vec::new),
        };
        if !rest.ends_with(last.1.as_str()) {
            return None;
        }
        let mut filled = Vec::new();
        for (name, after) in inner {
            let at = rest.find(after.as_str()).filter(|&at| at > 0)?;
            filled.push((name.as_str(), rest.get(..at)?));
            rest = rest.get(at + after.len()..)?;
        }
        let value = rest
            .strip_suffix(last.1.as_str())
            .filter(|value| !value.is_empty())?;
        filled.push((last.0.as_str(), value));
        Some(filled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_take_what_stands_between_the_words() {
        let template = Template::new("{actor} added {subject} (new)");
        assert_eq!(
            template.matches("Ann added Bob (new)"),
            Some(vec![("actor", "Ann"), ("subject", "Bob")])
        );
        assert_eq!(template.matches("Ann added Bob"), None);
        assert_eq!(template.matches(" added Bob (new)"), None);
        assert_eq!(template.matches("Ann added  (new)").map(|f| f.len()), None);
    }

    #[test]
    fn a_wording_without_holes_is_compared_as_a_whole() {
        assert_eq!(Template::new("You left").matches("You left"), Some(vec![]));
        assert_eq!(Template::new("You left").matches("You left us"), None);
    }
}
