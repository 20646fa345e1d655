//! What alarms and the status page say of each check, in both languages. Nothing but what stands here, a name that the
//! operator gave, and numbers and times leaves the machine.

use super::book::{About, Alarm, Event};
use crate::public::language::Language;
use crate::public::words::Words;
use crate::vault::checks::{CheckKind, Severity};

/// What is said of an alarm.
pub(super) struct Said {
    /// What is wrong.
    pub(super) title: String,
    /// What to do.
    pub(super) advice: String,
}

/// What is wrong, and what to do.
type Pair = (&'static str, &'static str);

/// What is said of a check that is not well.
pub(crate) const fn of_check(language: Language, kind: CheckKind) -> Pair {
    match language {
        Language::English => english(kind),
        Language::Chinese => chinese(kind),
    }
}

const fn english(kind: CheckKind) -> Pair {
    match kind {
        CheckKind::CheckpointElsewhere => (
            "No checkpoint went outside in the last 24 hours: what came since could be rewritten or cut off unseen.",
            "chancery checkpoint --out FILE, and keep FILE where nobody here can change it; or chancery anchor add",
        ),
        CheckKind::Anchor => (
            "An anchor outside does not work; it is tried again.",
            "chancery doctor says what is wrong; then chancery anchor now",
        ),
        CheckKind::KeyCopy => (
            "There is no second copy of the key store: if this disk is lost, no copy of the record can be read, and \
             destroying a key does not yet make content unreadable.",
            "chancery keys copy --out FILE, on another disk",
        ),
        CheckKind::Backup => (
            "There is no backup, or one is not current: one lost disk may lose records.",
            "chancery backup add DIR, on another disk; chancery backup list says how each stands",
        ),
        CheckKind::Scrub => (
            "The record was not read and checked for more than a week, or something in it did not hold.",
            "chancery scrub --repair",
        ),
        CheckKind::Drill => (
            "A restore was not tried for long, or the last trial did not hold.",
            "chancery restore --drill",
        ),
        CheckKind::Escrow => (
            "The escrow of the key store is stale: it no longer opens what is there.",
            "chancery escrow make",
        ),
        CheckKind::Following => (
            "What arrives is kept, and not understood: following stopped.",
            "chancery doctor says why; chancery rebuild, or a restart, begins it anew",
        ),
        CheckKind::CapturesOpen => (
            "Captures cannot be opened: their keys are not here.",
            "restore a newer copy of the key store, then chancery rebuild",
        ),
        CheckKind::GapsOpen => (
            "Gaps are open: stretches in which the record is, or may be, incomplete.",
            "chancery capture gaps --open",
        ),
        CheckKind::CanaryArrived => (
            "A message that is expected every so often did not arrive: it was not sent, or it is not captured.",
            "see whether it was sent; then chancery connection test ID; chancery capture status says when it last arrived",
        ),
        CheckKind::CompletenessStated => (
            "A day is over whose completeness is not stated yet.",
            "see that chancery serve runs and that everything captured is understood: chancery doctor",
        ),
        CheckKind::DestructionWaiting => (
            "A destruction waits for a second person.",
            "chancery keys requests, then approve or decline",
        ),
        CheckKind::DestructionInForce => (
            "Something that was destroyed can still be opened here.",
            "chancery doctor says what it waits for",
        ),
        CheckKind::ConnectionConfigured => (
            "No connection is configured: nothing is captured.",
            "chancery connection add CONNECTOR ID",
        ),
        CheckKind::Forwarding => (
            "Deliveries are not passed on, or some were given up. They are in the record.",
            "look after the service that they go to; chancery doctor says what it answered",
        ),
        CheckKind::ArchivePulled => (
            "An archive is not pulled, or far behind: the vendor keeps what was not pulled for 5 days.",
            "chancery connection test ID; chancery doctor says what is wrong",
        ),
        CheckKind::ArchiveOpens => (
            "Items of an archive stay closed: they are kept, and cannot be read yet.",
            "add the private key of their version to the connection",
        ),
        CheckKind::SecretExpires => (
            "A secret of a connection expires soon, or has expired: then nothing is captured by it.",
            "get a new one from the vendor, and chancery connection add --replace with its --secret-expires",
        ),
        CheckKind::CertificateExpires => (
            "The TLS certificate expires soon, or has expired: platforms then deliver nothing.",
            "renew it, and restart chancery serve",
        ),
        CheckKind::DiskRoom => (
            "The disk is nearly full: soon nothing can be kept.",
            "free space, or move the data folder to a larger disk",
        ),
        CheckKind::Ledger => (
            "The ledger takes no entries: nothing is acknowledged or shown. Senders come again.",
            "free space or repair the disk, then restart",
        ),
        CheckKind::CheckpointsWritten => (
            "Entries are kept, and the newest have no checkpoint yet.",
            "chancery doctor says why; it is tried each second",
        ),
        CheckKind::Intake => (
            "An intake does not run, cannot be reached, or is not confined. Senders come again.",
            "chancery doctor says which; it is started again by itself",
        ),
        CheckKind::Clock => (
            "The clock of the machine went back.",
            "set it right, best by NTP; order and proofs do not depend on it",
        ),
        CheckKind::Swap => (
            "Memory may be written to disk: swap is in use, or it is not known whether.",
            "swapoff --all, or encrypt the swap",
        ),
        CheckKind::AlarmDestination => (
            "A destination of alarms takes none; they wait for it.",
            "chancery alarm test NAME; chancery doctor says what is wrong",
        ),
    }
}

const fn chinese(kind: CheckKind) -> Pair {
    match kind {
        CheckKind::CheckpointElsewhere => (
            "过去 24 小时内没有检查点交到外部：其后的内容可能被改写或截断而不被发现。",
            "运行 chancery checkpoint --out FILE，并把文件存放在本机人员无法改动的地方；或运行 chancery anchor add",
        ),
        CheckKind::Anchor => (
            "有外部锚点无法使用，程序会继续重试。",
            "运行 chancery doctor 查看原因，再运行 chancery anchor now",
        ),
        CheckKind::KeyCopy => (
            "密钥库没有第二份副本：一旦此磁盘丢失，记录的任何副本都将无法读取；销毁密钥也尚不能使内容不可读。",
            "运行 chancery keys copy --out FILE，存放在另一块磁盘上",
        ),
        CheckKind::Backup => (
            "没有备份，或备份不是最新：丢失一块磁盘就可能丢失记录。",
            "运行 chancery backup add DIR，放在另一块磁盘上；chancery backup list 显示各备份的状况",
        ),
        CheckKind::Scrub => (
            "记录已超过一周未通读校验，或校验发现问题。",
            "运行 chancery scrub --repair",
        ),
        CheckKind::Drill => (
            "很久没有演练恢复，或上次演练未通过。",
            "运行 chancery restore --drill",
        ),
        CheckKind::Escrow => (
            "密钥库的托管份额已过时：不再能打开现有密钥库。",
            "运行 chancery escrow make",
        ),
        CheckKind::Following => (
            "到达的内容已保存，但解析已停止。",
            "运行 chancery doctor 查看原因；运行 chancery rebuild 或重新启动后继续",
        ),
        CheckKind::CapturesOpen => (
            "有捕获内容无法打开：其密钥不在此处。",
            "恢复较新的密钥库副本，再运行 chancery rebuild",
        ),
        CheckKind::GapsOpen => (
            "存在未关闭的缺口：这些时段的记录不完整或可能不完整。",
            "运行 chancery capture gaps --open",
        ),
        CheckKind::CanaryArrived => (
            "定期应到的测试消息没有到达：可能没有发送，也可能没有被捕获。",
            "请确认消息是否已发送，再运行 chancery connection test ID；chancery capture status 显示上次到达的时间",
        ),
        CheckKind::CompletenessStated => (
            "有一天已经结束，但尚未写入其完整性声明。",
            "请确认 chancery serve 正在运行且所有捕获内容均已解析：chancery doctor",
        ),
        CheckKind::DestructionWaiting => (
            "有销毁请求等待第二人批准。",
            "运行 chancery keys requests，然后批准或拒绝",
        ),
        CheckKind::DestructionInForce => (
            "已销毁的内容在此处仍可打开。",
            "运行 chancery doctor 查看尚待完成的步骤",
        ),
        CheckKind::ConnectionConfigured => (
            "尚未配置接入：没有任何内容被捕获。",
            "运行 chancery connection add CONNECTOR ID",
        ),
        CheckKind::Forwarding => (
            "投递未能转发，或有投递已放弃转发。内容均在记录中。",
            "请检查接收转发的服务；运行 chancery doctor 查看其应答",
        ),
        CheckKind::ArchivePulled => (
            "有存档未能拉取或严重滞后：供应商对未拉取的内容只保留 5 天。",
            "运行 chancery connection test ID；运行 chancery doctor 查看原因",
        ),
        CheckKind::ArchiveOpens => (
            "有存档条目尚未解开：已保存，但暂时无法读取。",
            "把相应版本的私钥加入该接入",
        ),
        CheckKind::SecretExpires => (
            "有接入的密钥即将到期或已到期：到期后该接入不再捕获内容。",
            "向供应商取得新密钥，并运行 chancery connection add --replace，同时给出 --secret-expires",
        ),
        CheckKind::CertificateExpires => (
            "TLS 证书即将到期或已到期：到期后各平台不再投递。",
            "更新证书，并重新启动 chancery serve",
        ),
        CheckKind::DiskRoom => (
            "磁盘空间将满：很快将无法保存任何内容。",
            "释放空间，或把数据文件夹移到更大的磁盘",
        ),
        CheckKind::Ledger => (
            "账本无法写入条目：既不确认投递，也不显示内容。发送方会重发。",
            "释放空间或修复磁盘，然后重新启动",
        ),
        CheckKind::CheckpointsWritten => (
            "条目已保存，但最新条目尚无检查点。",
            "运行 chancery doctor 查看原因；程序每秒重试",
        ),
        CheckKind::Intake => (
            "有接收进程没有运行、无法联系或未受限制。发送方会重发。",
            "运行 chancery doctor 查看是哪一个；程序会自动重新启动它",
        ),
        CheckKind::Clock => (
            "本机时钟被调回。",
            "请校准时钟，最好使用 NTP；顺序与证明不依赖时钟",
        ),
        CheckKind::Swap => (
            "内存内容可能被写入磁盘：正在使用交换空间，或无法判断。",
            "运行 swapoff --all，或加密交换空间",
        ),
        CheckKind::AlarmDestination => (
            "有告警接收方未能接收告警；告警在等待投递。",
            "运行 chancery alarm test NAME；运行 chancery doctor 查看原因",
        ),
    }
}

/// What is said of an alarm.
pub(super) fn said(language: Language, alarm: &Alarm) -> Said {
    let words = Words::of(language);
    let (title, advice) = match &alarm.about {
        About::Check(attention) => {
            let (title, advice) = of_check(language, attention.kind);
            (title.to_owned(), advice.to_owned())
        }
        About::Gap(gap) => {
            let cause = words.cause(&gap.cause);
            let title = match (language, alarm.event) {
                (Language::English, Event::Closed) => format!("A gap is closed: {cause}"),
                (Language::English, _) => format!("A gap is open: {cause}"),
                (Language::Chinese, Event::Closed) => format!("缺口已关闭：{cause}"),
                (Language::Chinese, _) => format!("出现缺口：{cause}"),
            };
            (title, words.remedy_of(&gap.cause).to_owned())
        }
        About::Test => {
            let title = match language {
                Language::English => "This is a test of the alarms.",
                Language::Chinese => "这是一条测试告警。",
            };
            (title.to_owned(), String::new())
        }
    };
    // What is over needs nobody to do anything.
    let advice = if alarm.event == Event::Closed {
        String::new()
    } else {
        advice
    };
    Said { title, advice }
}

/// What happened, in a word.
const fn event(language: Language, event: Event) -> &'static str {
    match (language, event) {
        (Language::English, Event::Opened) => "OPENED",
        (Language::English, Event::Worse) => "WORSE",
        (Language::English, Event::Reminder) => "STILL OPEN",
        (Language::English, Event::Closed) => "CLOSED",
        (Language::English, Event::Test) => "TEST",
        (Language::Chinese, Event::Opened) => "出现",
        (Language::Chinese, Event::Worse) => "加重",
        (Language::Chinese, Event::Reminder) => "仍未解决",
        (Language::Chinese, Event::Closed) => "已解决",
        (Language::Chinese, Event::Test) => "测试",
    }
}

/// An alarm in a mail: what happened, to what, since when, and what to do.
pub(super) fn paragraph(language: Language, alarm: &Alarm, id: &str, title: &str, advice: &str) -> String {
    let english = language == Language::English;
    let word = |in_english: &'static str, in_chinese| if english { in_english } else { in_chinese };
    let mut lines = vec![format!("{}  {title}", event(language, alarm.event))];
    let mut add = |name: &str, value: String| lines.push(format!("    {name}: {value}"));
    match &alarm.about {
        About::Check(attention) => {
            if let Some(subject) = &attention.subject {
                add(word("which", "对象"), subject.clone());
            }
            let severity = match attention.severity {
                Severity::Warning => word("warning", "警告"),
                Severity::Alarm => word("alarm", "告警"),
            };
            add(word("severity", "级别"), severity.to_owned());
            add(word("since", "自"), alarm.since.to_string());
        }
        About::Gap(gap) => {
            let all = Words::of(language).all;
            add(
                word("connection", "接入"),
                gap.connection.clone().unwrap_or_else(|| all.to_owned()),
            );
            add(word("from", "起"), gap.from.to_string());
            add(word("to", "止"), gap.to.to_string());
            if gap.count > 0 {
                add(word("count", "数量"), gap.count.to_string());
            }
        }
        About::Test => {}
    }
    if !advice.is_empty() {
        add(word("what to do", "处理办法"), advice.to_owned());
    }
    add("id", id.to_owned());
    lines.push(String::new());
    lines.join("\n")
}

/// That some alarms were too many; nothing when none were.
pub(super) fn not_kept(language: Language, count: u64) -> Option<String> {
    (count > 0).then(|| match language {
        Language::English => format!(
            "{count} earlier alarms were too many to keep while they could not be delivered. `chancery doctor` and \
             `chancery capture gaps` say what is open."
        ),
        Language::Chinese => format!(
            "无法投递期间告警过多，有 {count} 条较早的告警未能保留。请运行 chancery doctor 和 chancery capture gaps 查看当前状况。"
        ),
    })
}

/// What stands at the end of each mail.
pub(super) const fn mail_end(language: Language) -> &'static str {
    match language {
        Language::English => {
            "Times are UTC. No message, name or handle is in this mail. `chancery doctor` says more.\n"
        }
        Language::Chinese => "时间均为 UTC。本邮件不含消息、姓名或账号。详情请运行 chancery doctor。\n",
    }
}

/// Subject of a mail: how many opened, closed, and are reminded of.
pub(super) fn subject(language: Language, zone: &str, [opened, closed, reminders]: [usize; 3]) -> String {
    let counts: Vec<String> = [
        (opened, "opened", "条出现"),
        (closed, "closed", "条已解决"),
        (reminders, "still open", "条仍未解决"),
    ]
    .iter()
    .filter(|(count, ..)| *count > 0)
    .map(|(count, english, chinese)| match language {
        Language::English => format!("{count} {english}"),
        Language::Chinese => format!("{count} {chinese}"),
    })
    .collect();
    match (language, counts.is_empty()) {
        (Language::English, true) => format!("Chancery {zone}: test"),
        (Language::English, false) => format!("Chancery {zone}: alarms: {}", counts.join(", ")),
        (Language::Chinese, true) => format!("Chancery {zone}：测试"),
        (Language::Chinese, false) => format!("Chancery {zone} 告警：{}", counts.join("，")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_is_said_in_both_languages() {
        for kind in CheckKind::ALL {
            let (english, todo) = of_check(Language::English, kind);
            let (chinese, too) = of_check(Language::Chinese, kind);
            assert!(english.is_ascii() && todo.is_ascii(), "{kind:?}");
            let is_chinese = |text: &str| text.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c));
            assert!(is_chinese(chinese) && is_chinese(too), "{kind:?}");
        }
    }
}
