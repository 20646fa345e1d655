//! Lines that WhatsApp wrote itself: what happened to the chat.

use super::placeholders::{Evidence, Phrases, normal};
use model::record::Details;
use serde_json::{Map, Value};

/// Every kind of system line, and whether it can only happen in a group.
pub const KINDS: &[(&str, bool)] = &[
    ("encryption", false),
    ("group_created", true),
    ("group_renamed", true),
    ("group_picture_changed", true),
    ("group_picture_deleted", true),
    ("group_description_changed", true),
    ("group_description_deleted", true),
    ("group_settings_changed", true),
    ("group_deleted", true),
    ("group_suspended", true),
    ("added", true),
    ("removed", true),
    ("left", true),
    ("joined", true),
    ("joined_by_link", true),
    ("joined_from_community", true),
    ("join_requested", true),
    ("join_approved", true),
    ("join_declined", true),
    ("approval_turned_on", true),
    ("approval_turned_off", true),
    ("invite_link_reset", true),
    ("invited", true),
    ("admin_made", true),
    ("admin_removed", true),
    ("send_permission_changed", true),
    ("edit_permission_changed", true),
    ("add_permission_changed", true),
    ("number_changed", false),
    ("security_code_changed", false),
    ("device_list_changed", false),
    ("disappearing_on", false),
    ("disappearing_off", false),
    ("disappearing_default", false),
    ("message_kept", false),
    ("pinned", false),
    ("unpinned", false),
    ("community_created", true),
    ("community_linked", true),
    ("community_unlinked", true),
    ("community_welcome", true),
    ("community_changed", true),
    ("announcement_group", true),
    ("privacy_advanced_on", false),
    ("privacy_advanced_off", false),
    ("ai_notice", false),
    ("blocked", false),
    ("unblocked", false),
    ("business_account", false),
    ("business_provider", false),
    ("business_changed", false),
    ("business_verified", false),
    ("broadcast_created", false),
    ("broadcast_changed", false),
    ("call_link", false),
    ("group_call", true),
    ("payment", false),
    ("event", false),
    ("screenshot_blocked", false),
    ("unknown_contact", false),
    ("member_tag_changed", true),
    ("history_shared", true),
    ("channel", false),
    ("other", false),
];

/// The kind by this name; `other` for a name that no list has.
pub fn known_kind(name: &str) -> &'static str {
    KINDS
        .iter()
        .find(|(kind, _)| *kind == name)
        .map_or("other", |(kind, _)| kind)
}

/// Whether this kind shows that the chat is a group.
pub fn shows_group(kind: &str) -> bool {
    KINDS.iter().any(|&(name, group)| group && name == kind)
}

/// Whether a chat that was exported from its beginning begins with this kind.
pub fn opens_chat(kind: &str) -> bool {
    const OPENING: &[&str] = &[
        "encryption",
        "group_created",
        "community_created",
        "community_welcome",
        "broadcast_created",
        "business_account",
        "business_provider",
        "disappearing_default",
    ];
    OPENING.contains(&kind)
}

/// What a system line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemLine {
    /// One of [`KINDS`].
    pub kind: &'static str,
    /// What stood in the wording's holes: `actor`, `subject`, `title`, `old`, `new`, `period`.
    pub named: Vec<(String, String)>,
    /// How sure the wording is; `None` where no wording fitted.
    pub evidence: Option<Evidence>,
}

/// Reads a line that is known to be a system line.
pub fn read(phrases: &Phrases, line: &str) -> SystemLine {
    find(phrases, line, None).unwrap_or(SystemLine {
        kind: "other",
        named: Vec::new(),
        evidence: None,
    })
}

/// Reads a line if a wording fits. With `colon` (the place of the first `: `), the line is a system line only
/// if the colon stands in a title or a later name: a person's `NAME: TEXT` must never pass for one.
pub fn find(phrases: &Phrases, line: &str, colon: Option<usize>) -> Option<SystemLine> {
    let text = normal(line);
    let before_colon = colon.and_then(|at| line.get(..at)).map(normal);
    phrases.system.iter().find_map(|form| {
        let filled = form.template.matches(&text)?;
        let first = filled.first().map_or("", |&(_, value)| value);
        if let Some(name) = &before_colon
            && form.template.begins_with_hole()
            && (first.contains(": ") || first.len() >= name.len())
        {
            return None;
        }
        let named = filled
            .into_iter()
            .filter(|(hole, _)| !hole.is_empty() && *hole != "rest");
        Some(SystemLine {
            kind: form.says,
            named: named
                .map(|(hole, value)| (hole.to_owned(), value.to_owned()))
                .collect(),
            evidence: Some(form.evidence),
        })
    })
}

impl SystemLine {
    /// For the record.
    pub fn details(&self, shown_name: Option<&str>) -> Details {
        let mut map = Map::new();
        map.insert("system".to_owned(), Value::from(self.kind));
        for (hole, value) in &self.named {
            map.insert(hole.clone(), Value::from(value.as_str()));
        }
        if let Some(name) = shown_name {
            map.insert("shown_name".to_owned(), Value::from(name));
        }
        Details(map)
    }
}
