//! How an archive stands, whether its connection can work, and its files.

use connect::wecom_archive::driver::{DriverError, Retry, meaning};
use connect::wecom_archive::media::{Media, MediaStep};
use connect::wecom_archive::opened::CLOSED;
use connect::wecom_archive::pull::{Alarm, KEPT_MICROS, Opened};
use connect::wecom_archive::{WecomArchive, items};
use connect::{Connector, Secrets};
use model::record::AttachmentState;
use model::{MessageId, Timestamp};
use std::sync::atomic::Ordering;
use zeroize::Zeroizing;

use super::super::checks::{Check, CheckKind};
use super::super::connections::{ConnectionConfig, TestResult};
use super::super::fetches::Due;
use super::super::{Inner, VaultError, locked};
use super::{Archive, keys_of};
use crate::fetch::{FetchLimits, FetchOutcome};
use crate::host::ArchiveStatus;

const HOUR_MICROS: i64 = 3_600_000_000;

/// A file that did not come is asked for again after this long at the earliest.
const FILE_PAUSE_SECONDS: u64 = 60;

/// What is wrong with items that stay closed, by the code of the problem, and what to do.
const WHY: [(&str, &str); 4] = [
    (
        CLOSED[0],
        "lack the private key of their version: add it with `chancery connection add wecom-archive … --replace`; `chancery \
         search is:problem` says which version",
    ),
    (
        CLOSED[1],
        "have a private key that is not the one of their version: give the right one with `chancery connection add \
         wecom-archive … --replace`",
    ),
    (
        CLOSED[2],
        "were not opened by the library: `chancery connection test` says why; they are tried again each hour",
    ),
    (CLOSED[3], "lack what opens them: the vendor delivered them so"),
];

impl Inner {
    /// How a connection's archive stands; nothing where none is pulled.
    pub fn archive_status(&self, connection: &str) -> Result<Option<ArchiveStatus>, VaultError> {
        let Some(archive) = self.archive(connection) else {
            return Ok(None);
        };
        let now = (self.clock)();
        let (position, caught_up_at, failure, alarm) = {
            let pull = locked(&archive.pull);
            (
                pull.position(),
                pull.caught_up_at(),
                pull.last_failure(),
                pull.alarm(now),
            )
        };
        let reader = locked(&self.reader);
        let mut closed = std::collections::BTreeMap::new();
        for code in CLOSED {
            let count = reader.count_with_problem(connection, code)?;
            if count > 0 {
                closed.insert(code.to_owned(), count);
            }
        }
        Ok(Some(ArchiveStatus {
            position,
            caught_up_at,
            lost_from: Timestamp::from_micros(caught_up_at.as_micros().saturating_add(KEPT_MICROS)),
            alarm: alarm.map(|alarm| word(alarm).to_owned()),
            failing: failure.map(said),
            closed,
        }))
    }

    /// What `doctor` says of the archives.
    pub fn check_archives(&self) -> Result<Vec<Check>, VaultError> {
        let now = (self.clock)();
        let mut checks = Vec::new();
        for config in self.connections() {
            let name = config.id.as_str();
            let Some(status) = self.archive_status(name)? else {
                continue;
            };
            checks.push(pulled(name, &status, now));
            checks.push(opened(name, &status));
        }
        Ok(checks)
    }

    /// Asks the vendor once, and says what is wrong where it does not answer.
    pub fn try_archive(
        &self,
        config: &ConnectionConfig,
        secrets: &Secrets,
    ) -> Result<Vec<TestResult>, VaultError> {
        let Some(archive) = self.archive(config.id.as_str()) else {
            return Ok(Vec::new());
        };
        let mut results = Vec::new();
        let mut add = |check: &str, ok: bool, detail: String| {
            results.push(TestResult {
                check: check.to_owned(),
                ok,
                detail,
            });
        };
        match keys_of(secrets) {
            Ok(keys) => {
                let versions: Vec<String> = keys.versions().map(|version| version.to_string()).collect();
                add(
                    "private keys",
                    true,
                    format!("of versions {}", versions.join(", ")),
                );
            }
            Err(problem) => add("private keys", false, problem.to_string()),
        }
        // From the beginning: what is sealed already is as good to try the keys with, while the vendor has it.
        let answer = locked(&archive.asks).fetch(0, 1);
        let answer = answer.and_then(|bytes| {
            String::from_utf8(bytes).map_err(|_| DriverError::Failed("the archive's answer is not UTF-8"))
        });
        const ASKED: &str = "the vendor answers";
        const OPENS: &str = "an item opens";
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                add(ASKED, false, said(error));
                return Ok(results);
            }
        };
        match items::items(&answer) {
            Err(items::AnswerProblem::Error(code)) => add(ASKED, false, said(DriverError::Code(code))),
            Err(problem) => add(ASKED, false, problem.to_string()),
            Ok(items) => {
                add(ASKED, true, "it took corp id and secret".to_owned());
                match items.first() {
                    None => add(OPENS, true, "not tried: the vendor holds no item now".to_owned()),
                    Some(item) => match self.open_item(config.id.as_str(), &archive, item.bytes) {
                        Opened::Plain(_) => add(OPENS, true, "it does".to_owned()),
                        Opened::Later(why) | Opened::Never(why) => add(OPENS, false, why.to_string()),
                    },
                }
            }
        }
        Ok(results)
    }

    /// Fetches a file of the archive, piece by piece, from where it stopped. Nothing for files of other connectors.
    pub fn fetch_archived(&self, due: &Due) -> Option<FetchOutcome> {
        if due.config.connector != WecomArchive.id() {
            return None;
        }
        let archive = self.archive(due.config.id.as_str())?;
        Some(self.fetch_pieces(due, &archive))
    }

    fn fetch_pieces(&self, due: &Due, archive: &Archive) -> FetchOutcome {
        let again = |reason| FetchOutcome::Again {
            after_seconds: FILE_PAUSE_SECONDS,
            reason,
        };
        let mut held = locked(&archive.media);
        let is_this =
            |(id, file, _): &mut (MessageId, u16, Media)| (*id, *file) == (due.row.id, due.row.file);
        let before = held.take_if(is_this);
        let mut media = before.map_or_else(
            || Media::new(due.fetch.md5.clone(), FetchLimits::default().body_bytes),
            |(_, _, media)| media,
        );
        let mut step = media.ask();
        loop {
            match step {
                MediaStep::Ask { index } => {
                    if self.closing.load(Ordering::SeqCst) {
                        return again("the vault closes");
                    }
                    // Between two pieces others may ask.
                    let slice = locked(&archive.asks).media(due.fetch.media_id.reveal(), &index);
                    step = match slice {
                        Ok(slice) => media.slice(&slice),
                        Err(error) => media.failed(error),
                    };
                }
                MediaStep::Keep { state } => {
                    return FetchOutcome::Keep {
                        state,
                        bytes: Zeroizing::new(media.bytes().to_vec()),
                        media_type: due.fetch.media_type.clone(),
                    };
                }
                MediaStep::Later => {
                    *held = Some((due.row.id, due.row.file, media));
                    return again("the vendor's library did not give all of the file");
                }
                MediaStep::GiveUp { state } => {
                    let reason = if state == AttachmentState::Expired {
                        "the vendor holds the file no more"
                    } else {
                        "the vendor refuses the file, or it is larger than allowed"
                    };
                    return FetchOutcome::GiveUp { state, reason };
                }
            }
        }
    }
}

fn pulled(name: &str, status: &ArchiveStatus, now: Timestamp) -> Check {
    let hours = (now.as_micros() - status.caught_up_at.as_micros()).max(0) / HOUR_MICROS;
    let left = (status.lost_from.as_micros() - now.as_micros()).max(0) / HOUR_MICROS;
    let age = match hours {
        0 => format!(
            "up to item {}, all there was less than an hour ago",
            status.position
        ),
        _ => format!(
            "up to item {}; all there was {hours} h ago, and the vendor keeps what was not pulled for 5 days: {left} h are left",
            status.position
        ),
    };
    let alarm = match status.alarm.as_deref() {
        Some("warning") => "WARNING: ",
        Some("urgent") => "ALARM: ",
        Some("lost") => "ALARM, messages may be lost: ",
        _ => "",
    };
    let failing = status
        .failing
        .as_ref()
        .map_or(String::new(), |failing| format!("; {failing}"));
    let idle = if hours > 0 && failing.is_empty() {
        "; is `chancery serve` running?"
    } else {
        ""
    };
    Check {
        kind: CheckKind::ArchivePulled,
        subject: Some(name.to_owned()),
        warning: false,
        check: format!("the archive of {name} is pulled"),
        ok: alarm.is_empty() && status.failing.is_none(),
        detail: format!("{alarm}{age}{failing}{idle}"),
    }
}

fn opened(name: &str, status: &ArchiveStatus) -> Check {
    let found: Vec<String> = WHY
        .iter()
        .filter_map(|(code, why)| status.closed.get(*code).map(|count| format!("{count} {why}")))
        .collect();
    Check {
        kind: CheckKind::ArchiveOpens,
        subject: Some(name.to_owned()),
        warning: false,
        check: format!("items of the archive of {name} open"),
        ok: found.is_empty(),
        detail: if found.is_empty() {
            "none stays closed".to_owned()
        } else {
            found.join("; ")
        },
    }
}

fn word(alarm: Alarm) -> &'static str {
    match alarm {
        Alarm::Late => "late",
        Alarm::Warning => "warning",
        Alarm::Urgent => "urgent",
        Alarm::Lost => "lost",
    }
}

/// An error with what to do.
fn said(error: DriverError) -> String {
    const UNUSABLE: &str = "the WeCom library could not be used: wrong file, or it lacks something";
    let remedy = match error {
        DriverError::Code(code) => meaning(code).remedy,
        DriverError::Failed("the WeCom library cannot be read") => {
            "check the setting library, and that the user of `chancery serve` may read the file"
        }
        DriverError::Failed("the WeCom library is not the one that was approved") => {
            "somebody replaced the file; if that was meant, add the connection again with --replace"
        }
        DriverError::Failed("wecom-helper cannot be started; it belongs beside chancery") => {
            "check the setting helper: it is the path of wecom-helper"
        }
        DriverError::Failed(UNUSABLE) => {
            "check that it is libWeWorkFinanceSdk_C.so for this kind of machine, and that the libraries it needs are installed"
        }
        DriverError::Failed(_) => "",
    };
    let after = match error.retry() {
        Retry::Later => "",
        Retry::AfterRepair | Retry::Never => "; asked again each 6 minutes",
    };
    if remedy.is_empty() {
        format!("{error}{after}")
    } else {
        format!("{error}: {remedy}{after}")
    }
}
