//! The words of the status page in both languages.

use std::fmt::Display;

use super::language::Language;
use crate::host::ConnectionState;
use crate::vault::gaps::remedy;

/// What the page says.
pub(crate) struct Words {
    pub(super) title: &'static str,
    pub(super) skip: &'static str,
    pub(super) other_language: &'static str,
    pub(super) no_content: &'static str,
    pub(super) warnings: &'static str,
    pub(super) nothing_to_warn: &'static str,
    pub(super) no_intake: &'static str,
    pub(super) archives: &'static str,
    pub(super) archives_about: &'static str,
    pub(super) pulled_to: &'static str,
    pub(super) caught_up: &'static str,
    pub(super) kept_until: &'static str,
    pub(super) stay_closed: &'static str,
    pub(super) instance: &'static str,
    pub(super) zone: &'static str,
    pub(super) version: &'static str,
    pub(super) started: &'static str,
    pub(super) epoch: &'static str,
    pub(super) key_copy: &'static str,
    pub(super) intake: &'static str,
    pub(super) runs: &'static str,
    pub(super) restarting: &'static str,
    pub(super) restarts: &'static str,
    pub(super) open_connections: &'static str,
    pub(super) bytes_in_flight: &'static str,
    pub(super) ledger: &'static str,
    pub(super) entries: &'static str,
    pub(super) understood: &'static str,
    all_understood: &'static str,
    behind: &'static str,
    pub(super) pending_fetches: &'static str,
    pub(super) checkpoint: &'static str,
    pub(super) covers: &'static str,
    pub(super) batches: &'static str,
    pub(super) outside_anchor: &'static str,
    pub(super) statement: &'static str,
    pub(super) entry: &'static str,
    pub(super) anchors: &'static str,
    pub(super) anchor: &'static str,
    pub(super) kind: &'static str,
    pub(super) last_worked: &'static str,
    pub(super) failing: &'static str,
    pub(super) works: &'static str,
    pub(super) anchors_about: &'static str,
    pub(super) no_anchors: &'static str,
    pub(super) alarms: &'static str,
    pub(super) alarms_about: &'static str,
    pub(super) no_alarms: &'static str,
    pub(super) destination: &'static str,
    pub(super) alarms_waiting: &'static str,
    pub(super) alarms_not_kept: &'static str,
    pub(super) failing_since: &'static str,
    pub(super) keep: &'static str,
    pub(super) keep_about: &'static str,
    pub(super) connections: &'static str,
    pub(super) connection: &'static str,
    pub(super) source: &'static str,
    pub(super) state: &'static str,
    pub(super) captures: &'static str,
    pub(super) last: &'static str,
    pub(super) refused: &'static str,
    pub(super) problems: &'static str,
    pub(super) connections_about: &'static str,
    pub(super) no_connections: &'static str,
    pub(super) gaps: &'static str,
    pub(super) gaps_about: &'static str,
    pub(super) no_gaps: &'static str,
    pub(super) from: &'static str,
    pub(super) to: &'static str,
    pub(super) cause: &'static str,
    pub(super) count: &'static str,
    pub(super) gap_state: &'static str,
    pub(super) remedy: &'static str,
    gap_states: [(&'static str, &'static str); 4],
    pub(crate) all: &'static str,
    pub(super) yes: &'static str,
    pub(super) no: &'static str,
    pub(super) none_yet: &'static str,
    ago: &'static str,
    units: [&'static str; 4],
    states: [&'static str; 4],
    causes: [(&'static str, &'static str); 13],
    /// What can still be done, by cause; in English that of the commands.
    remedies: &'static [(&'static str, &'static str)],
}

impl Words {
    /// In a language.
    pub(crate) fn of(language: Language) -> &'static Words {
        match language {
            Language::English => &ENGLISH,
            Language::Chinese => &CHINESE,
        }
    }

    pub(super) fn state(&self, state: ConnectionState) -> &'static str {
        let [receiving, waiting, silent, stopped] = self.states;
        match state {
            ConnectionState::Receiving => receiving,
            ConnectionState::Waiting => waiting,
            ConnectionState::Silent => silent,
            ConnectionState::Stopped => stopped,
        }
    }

    /// How long ago something was, in the largest unit of which there are two.
    pub(super) fn ago(&self, seconds: u64) -> String {
        let [second, minute, hour, day] = self.units;
        let (count, unit) = match seconds {
            0..120 => (seconds, second),
            120..7_200 => (seconds / 60, minute),
            7_200..172_800 => (seconds / 3_600, hour),
            _ => (seconds / 86_400, day),
        };
        format!("{count} {unit}{}", self.ago)
    }

    /// How much is still to be understood.
    pub(super) fn understood_of(&self, shown: impl Display, behind: u64) -> String {
        match behind {
            0 => self.all_understood.to_owned(),
            _ => format!("{} {shown}", self.behind),
        }
    }

    /// A day whose completeness is stated, and the entry that does.
    pub(super) fn stated_by(&self, day: impl Display, entry: impl Display) -> String {
        format!("{day} ({} {entry})", self.entry)
    }

    /// The cause of a gap; one that has no words here stands as it is.
    pub(crate) fn cause<'a>(&self, name: &'a str) -> &'a str {
        let known = self.causes.iter().find(|(known, _)| *known == name);
        known.map_or(name, |(_, words)| words)
    }

    /// Whether a gap is open, or why it is closed.
    pub(super) fn gap_state_of<'a>(&self, closed: Option<&'a str>) -> &'a str
    where
        'static: 'a,
    {
        let name = closed.unwrap_or("open");
        let known = self.gap_states.iter().find(|(known, _)| *known == name);
        known.map_or(name, |(_, words)| *words)
    }

    /// What can still be done about a gap.
    pub(crate) fn remedy_of(&self, cause: &str) -> &'static str {
        let known = self.remedies.iter().find(|(known, _)| *known == cause);
        known.map_or_else(|| remedy(cause), |(_, words)| words)
    }
}

const ENGLISH: Words = Words {
    title: "Chancery status",
    skip: "Skip to the content",
    other_language: "简体中文",
    no_content: "Numbers and times only: no names, no messages. Times are UTC.",
    warnings: "Needs attention",
    nothing_to_warn: "Nothing needs attention.",
    no_intake: "The intake process is not running; it is being started again. Deliveries wait, and senders repeat \
                them.",
    archives: "Archives",
    archives_about: "What is pulled from the vendor. What was not pulled by the time shown may be gone there for good.",
    pulled_to: "Pulled to item",
    caught_up: "All there was pulled at",
    kept_until: "Vendor keeps the rest until",
    stay_closed: "Items that stay closed",
    instance: "Instance",
    zone: "Zone",
    version: "Version",
    started: "Started",
    epoch: "Intake key epoch",
    key_copy: "Second copy of the key store",
    intake: "Intake process",
    runs: "running",
    restarting: "being started again",
    restarts: "Restarts of the intake",
    open_connections: "Open connections",
    bytes_in_flight: "Bytes in flight",
    ledger: "Ledger",
    entries: "Entries sealed",
    understood: "Understood",
    all_understood: "everything",
    behind: "all but the newest",
    pending_fetches: "Files still to be fetched",
    checkpoint: "Newest checkpoint",
    covers: "Entries covered",
    batches: "Batches covered",
    outside_anchor: "Last anchor outside",
    statement: "Completeness stated for",
    entry: "entry",
    anchors: "Anchors outside",
    anchor: "Anchor",
    kind: "Kind",
    last_worked: "Last worked",
    failing: "failing",
    works: "works",
    anchors_about: "Who cosigns, time-stamps or keeps our checkpoints. What came before an anchor cannot be rewritten \
                    unseen.",
    no_anchors: "None is configured. Run",
    alarms: "Alarms",
    alarms_about: "Who is told when something here needs attention or a gap opens.",
    no_alarms: "Nobody is told. Run",
    destination: "Destination",
    alarms_waiting: "Waiting",
    alarms_not_kept: "Not kept",
    failing_since: "Failing since",
    keep: "Checkpoint to keep",
    keep_about: "The newest checkpoint, signed. Photograph it or save the text where nobody here can change it: it shows \
                 later whether anything before it was changed or cut off.",
    connections: "Connections",
    connection: "Connection",
    source: "Source",
    state: "State",
    captures: "Captures",
    last: "Last capture",
    refused: "Refused",
    problems: "Problems",
    connections_about: "Configured accounts. Refused: requests with a wrong signature, token or form since the program \
                        started; nothing of them is kept. Problems: what was kept and not fully understood.",
    no_connections: "No connection is configured, so no webhook is taken. Run",
    gaps: "Gaps",
    gaps_about: "Stretches in which capture is known or suspected to be incomplete, open ones first, newest first.",
    no_gaps: "No gap is known. That is no proof that everything was captured.",
    from: "From",
    to: "To",
    cause: "Cause",
    count: "Count",
    gap_state: "State",
    remedy: "What can still be done",
    gap_states: [
        ("open", "open"),
        ("arrived", "closed: all of it came"),
        ("resumed", "closed: it speaks again"),
        ("no-longer-expected", "closed: it is expected no more"),
    ],
    all: "all",
    yes: "yes",
    no: "no",
    none_yet: "none yet",
    ago: " ago",
    units: ["s", "min", "h", "days"],
    states: ["receiving", "waiting", "silent", "stopped"],
    causes: [
        (
            "torn-group",
            "a crash in the middle of a write; nothing acknowledged was lost",
        ),
        ("not-running", "the program did not run"),
        ("media-lost", "a file could not be had"),
        ("key-missing", "keys are missing"),
        ("possibly-cut", "an export begins in mid-chat"),
        ("connection-ended", "the archive could not be pulled"),
        ("restored", "put back from an older copy"),
        (
            "sequence-hole",
            "numbers are missing in a sequence that the source counts",
        ),
        (
            "pointed-at",
            "a status, reply, edit, reaction or revocation points at messages that are not here",
        ),
        (
            "undecrypted",
            "messages came encrypted and could not be decrypted",
        ),
        ("refused", "deliveries could not be kept and were turned away"),
        ("silent", "nothing came for much longer than usual"),
        (
            "canary-missed",
            "a message that is expected every so often did not come",
        ),
    ],
    remedies: &[],
};

const CHINESE: Words = Words {
    title: "Chancery 运行状态",
    skip: "跳到正文",
    other_language: "English",
    no_content: "本页只有数字和时间，没有姓名，也没有消息内容。时间均为 UTC。",
    warnings: "需要处理",
    nothing_to_warn: "没有需要处理的事项。",
    no_intake: "接收进程没有运行，正在重新启动。投递会等待，发送方会重发。",
    archives: "会话存档",
    archives_about: "从供应商处拉取的内容。超过所示时间仍未拉取的，可能在供应商处永久消失。",
    pulled_to: "已拉取至条目",
    caught_up: "上次全部拉取完毕",
    kept_until: "供应商保留其余内容至",
    stay_closed: "未解开的条目",
    instance: "实例",
    zone: "区域",
    version: "版本",
    started: "启动时间",
    epoch: "接收密钥周期",
    key_copy: "密钥库的第二份副本",
    intake: "接收进程",
    runs: "运行中",
    restarting: "正在重新启动",
    restarts: "接收进程重启次数",
    open_connections: "打开的连接",
    bytes_in_flight: "处理中的字节",
    ledger: "账本",
    entries: "已封存条目",
    understood: "已解析",
    all_understood: "全部",
    behind: "尚余最新条目",
    pending_fetches: "待下载的文件",
    checkpoint: "最新检查点",
    covers: "覆盖的条目",
    batches: "覆盖的批次",
    outside_anchor: "最近的外部锚点",
    statement: "完整性声明截至",
    entry: "条目",
    anchors: "外部锚点",
    anchor: "锚点",
    kind: "类型",
    last_worked: "最近成功",
    failing: "失败",
    works: "正常",
    anchors_about: "为检查点联署、加盖时间戳或代为保存的外部机构。锚点之前的内容无法在不被发现的情况下改写。",
    no_anchors: "尚未配置。请运行",
    alarms: "告警",
    alarms_about: "有事项需要处理或出现缺口时，通知何处。",
    no_alarms: "尚未配置接收方。请运行",
    destination: "接收方",
    alarms_waiting: "等待中",
    alarms_not_kept: "未保留",
    failing_since: "失败始于",
    keep: "可供保存的检查点",
    keep_about: "最新的检查点，已签名。请拍照，或把文字存放在本机人员无法改动的地方：日后可据此判断其前的内容是否被更改或截断。",
    connections: "接入",
    connection: "接入",
    source: "来源",
    state: "状态",
    captures: "捕获数",
    last: "最近捕获",
    refused: "拒绝",
    problems: "问题",
    connections_about: "已配置的账号。拒绝：程序启动以来签名、令牌或格式有误的请求，其内容一概不保留。\
                        问题：已保留但未能完全解析的内容。",
    no_connections: "尚未配置接入，因此不接收 webhook。请运行",
    gaps: "缺口",
    gaps_about: "已知或怀疑捕获不完整的时段，未关闭的在前，最新的在前。",
    no_gaps: "没有已知的缺口。这并不证明一切都已捕获。",
    from: "起",
    to: "止",
    cause: "原因",
    count: "数量",
    gap_state: "状态",
    remedy: "仍可采取的措施",
    gap_states: [
        ("open", "未关闭"),
        ("arrived", "已关闭：缺失内容已全部到达"),
        ("resumed", "已关闭：接入已恢复"),
        ("no-longer-expected", "已关闭：不再要求该消息到达"),
    ],
    all: "全部",
    yes: "有",
    no: "无",
    none_yet: "尚无",
    ago: "前",
    units: ["秒", "分钟", "小时", "天"],
    states: ["接收中", "等待中", "静默", "已停止"],
    causes: [
        ("torn-group", "写入途中崩溃；已确认的内容没有丢失"),
        ("not-running", "程序未运行"),
        ("media-lost", "文件无法取得"),
        ("key-missing", "缺少密钥"),
        ("possibly-cut", "导出从聊天中间开始"),
        ("connection-ended", "存档无法拉取"),
        ("restored", "已从较旧的副本恢复"),
        ("sequence-hole", "来源自行编号的序列中缺少若干号码"),
        (
            "pointed-at",
            "状态、回复、编辑、表情回应或撤回所指的消息不在记录中",
        ),
        ("undecrypted", "消息以密文到达，无法解密"),
        ("refused", "有投递因无法保存而被拒收"),
        ("silent", "静默时间远超平常"),
        ("canary-missed", "定期应到的测试消息没有到达"),
    ],
    remedies: &[
        ("torn-group", "未曾确认收到，平台会重发；被截下的字节已另行保存"),
        (
            "not-running",
            "平台会重发未被接收的内容：WhatsApp 最长 7 天，企业微信回调仅数秒；请索取该时段的历史记录或导出文件",
        ),
        ("media-lost", "请向发送人索取该文件并导入"),
        ("key-missing", "恢复较新的密钥库副本，然后运行 chancery rebuild"),
        ("possibly-cut", "索取更早的导出文件并导入"),
        (
            "connection-ended",
            "运行 chancery connection test 查看原因；在供应商保留的五天内修复，内容会全部拉取，缺口自动关闭；逾期请索取中断期间的导出文件",
        ),
        (
            "restored",
            "与其后交出的检查点核对；平台和手机上可能仍有缺失的内容",
        ),
        (
            "sequence-hole",
            "从缺口之前重新拉取，或导入缺失的消息；到齐后自动关闭",
        ),
        (
            "pointed-at",
            "同时捕获以该号码发送消息的程序，或导入历史记录或导出文件；消息到齐后自动关闭",
        ),
        ("undecrypted", "将对应版本的私钥加入接入；解密后自动关闭"),
        (
            "refused",
            "平台会重发；运行 chancery doctor 查看磁盘或程序是否停顿",
        ),
        (
            "silent",
            "运行 chancery connection test 并向该账号发送一条消息；收到内容后自动关闭",
        ),
        (
            "canary-missed",
            "运行 chancery capture status 查看是哪条消息；确认是否已发送，再运行 chancery connection test；消息再次到达后自动关闭",
        ),
    ],
};
