//! Requests that try the door of a connection and leave nothing behind.

/// One request to try a door with, and what must be answered. None is a delivery, so nothing is kept of it.
pub struct Trial {
    /// What it shows, in a few words.
    pub shows: &'static str,
    /// `GET` or `POST`.
    pub method: &'static str,
    /// Parameters of the query string, not yet encoded; a secret may be among them.
    pub query: Vec<(&'static str, String)>,
    /// Headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: &'static str,
    /// The status that must come back.
    pub status: u16,
    /// The body that must come back; none where it does not matter.
    pub reply: Option<&'static str>,
    /// What is likely wrong when something else comes back.
    pub otherwise: &'static str,
}
