//! What is looked at: one list, which `doctor`, the status page and the alarms all read.

use serde::{Deserialize, Serialize};

use super::Inner;

/// One thing that was looked at.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
pub struct Check {
    /// What sort of thing.
    pub kind: CheckKind,
    /// Which of that sort: a name that the operator gave to a connection, an anchor or a destination.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// What.
    pub check: String,
    /// Whether it is well.
    pub ok: bool,
    /// It is well, and will not be for long.
    pub warning: bool,
    /// How it stands, or what to do.
    pub detail: String,
}

/// Sorts of checks. Alarms and the status page name them by these, with words of their own: what `doctor` says in detail may
/// name folders and addresses, and stays on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "their words stand in `alarms::words`")]
pub enum CheckKind {
    CheckpointElsewhere,
    Anchor,
    KeyCopy,
    Backup,
    Scrub,
    Drill,
    Escrow,
    Following,
    CapturesOpen,
    GapsOpen,
    CanaryArrived,
    CompletenessStated,
    DestructionWaiting,
    DestructionInForce,
    ConnectionConfigured,
    Forwarding,
    ArchivePulled,
    ArchiveOpens,
    SecretExpires,
    CertificateExpires,
    DiskRoom,
    Ledger,
    CheckpointsWritten,
    Intake,
    Clock,
    Swap,
    AlarmDestination,
}

impl CheckKind {
    /// All of them.
    pub const ALL: [CheckKind; 27] = [
        CheckKind::CheckpointElsewhere,
        CheckKind::Anchor,
        CheckKind::KeyCopy,
        CheckKind::Backup,
        CheckKind::Scrub,
        CheckKind::Drill,
        CheckKind::Escrow,
        CheckKind::Following,
        CheckKind::CapturesOpen,
        CheckKind::GapsOpen,
        CheckKind::CanaryArrived,
        CheckKind::CompletenessStated,
        CheckKind::DestructionWaiting,
        CheckKind::DestructionInForce,
        CheckKind::ConnectionConfigured,
        CheckKind::Forwarding,
        CheckKind::ArchivePulled,
        CheckKind::ArchiveOpens,
        CheckKind::SecretExpires,
        CheckKind::CertificateExpires,
        CheckKind::DiskRoom,
        CheckKind::Ledger,
        CheckKind::CheckpointsWritten,
        CheckKind::Intake,
        CheckKind::Clock,
        CheckKind::Swap,
        CheckKind::AlarmDestination,
    ];

    /// Its name in alarms and in JSON.
    pub const fn name(self) -> &'static str {
        match self {
            CheckKind::CheckpointElsewhere => "checkpoint-elsewhere",
            CheckKind::Anchor => "anchor",
            CheckKind::KeyCopy => "key-copy",
            CheckKind::Backup => "backup",
            CheckKind::Scrub => "scrub",
            CheckKind::Drill => "drill",
            CheckKind::Escrow => "escrow",
            CheckKind::Following => "following",
            CheckKind::CapturesOpen => "captures-open",
            CheckKind::GapsOpen => "gaps-open",
            CheckKind::CanaryArrived => "canary-arrived",
            CheckKind::CompletenessStated => "completeness-stated",
            CheckKind::DestructionWaiting => "destruction-waiting",
            CheckKind::DestructionInForce => "destruction-in-force",
            CheckKind::ConnectionConfigured => "connection-configured",
            CheckKind::Forwarding => "forwarding",
            CheckKind::ArchivePulled => "archive-pulled",
            CheckKind::ArchiveOpens => "archive-opens",
            CheckKind::SecretExpires => "secret-expires",
            CheckKind::CertificateExpires => "certificate-expires",
            CheckKind::DiskRoom => "disk-room",
            CheckKind::Ledger => "ledger",
            CheckKind::CheckpointsWritten => "checkpoints-written",
            CheckKind::Intake => "intake",
            CheckKind::Clock => "clock",
            CheckKind::Swap => "swap",
            CheckKind::AlarmDestination => "alarm-destination",
        }
    }

    /// Whether the answer comes from what followers made: until they have come as far as before, it says nothing.
    pub const fn is_derived(self) -> bool {
        matches!(
            self,
            CheckKind::CheckpointElsewhere
                | CheckKind::Anchor
                | CheckKind::Scrub
                | CheckKind::Drill
                | CheckKind::Escrow
                | CheckKind::CapturesOpen
                | CheckKind::GapsOpen
                | CheckKind::CanaryArrived
                | CheckKind::CompletenessStated
                | CheckKind::DestructionWaiting
                | CheckKind::DestructionInForce
                | CheckKind::Forwarding
                | CheckKind::ArchivePulled
                | CheckKind::ArchiveOpens
        )
    }
}

/// How much something matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// It will be an alarm, unless somebody does something.
    Warning,
    /// It is not as it must be.
    Alarm,
}

/// Something that needs attention: what a check that is not well says outside of this machine.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Attention {
    /// Which sort of check.
    pub kind: CheckKind,
    /// Which of that sort.
    #[serde(default)]
    pub subject: Option<String>,
    /// How much it matters.
    pub severity: Severity,
}

impl Attention {
    /// Whether both are of the same thing.
    pub(super) fn is_of(&self, other: &Attention) -> bool {
        self.kind == other.kind && self.subject == other.subject
    }
}

impl Check {
    /// Looked at, with this result.
    pub fn new(kind: CheckKind, check: impl Into<String>, ok: bool, detail: impl Into<String>) -> Check {
        Check {
            kind,
            subject: None,
            check: check.into(),
            ok,
            warning: false,
            detail: detail.into(),
        }
    }

    /// Which of its sort.
    pub fn of(mut self, subject: impl Into<String>) -> Check {
        self.subject = Some(subject.into());
        self
    }

    fn attention(&self) -> Option<Attention> {
        let severity = match (self.ok, self.warning) {
            (false, _) => Severity::Alarm,
            (true, true) => Severity::Warning,
            (true, false) => return None,
        };
        Some(Attention {
            kind: self.kind,
            subject: self.subject.clone(),
            severity,
        })
    }
}

impl Inner {
    /// What needs attention, each thing once, in the order of the checks. When not even that can be read, that.
    pub fn attention(&self) -> Vec<Attention> {
        let checks = self.doctor().unwrap_or_else(|error| {
            tracing::error!(error = %error, "the checks cannot be made");
            vec![Check::new(
                CheckKind::Following,
                "the checks can be made",
                false,
                "",
            )]
        });
        let mut found: Vec<Attention> = Vec::new();
        for one in checks.iter().filter_map(Check::attention) {
            match found.iter_mut().find(|known| known.is_of(&one)) {
                Some(known) => known.severity = known.severity.max(one.severity),
                None => found.push(one),
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_of_check_has_one_name_in_alarms_and_in_json() {
        for kind in CheckKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
        let mut names = CheckKind::ALL.map(CheckKind::name).to_vec();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CheckKind::ALL.len());
    }
}
