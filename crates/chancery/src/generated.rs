//! Reference pages that follow from the code: `./dev generate` writes them, a test compares them.

/// Path from the root of the clone, and text, of each page.
pub fn documents() -> Vec<(String, String)> {
    vec![]
}
