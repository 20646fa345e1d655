//! A certificate of destruction for people: text, or a page to print, in English or 简体中文.

use serde_json::Value;

use crate::governing::Language;
use crate::tables::{rows, text as field};

/// What a certificate says, before it is text or a page.
enum Said {
    Title(String),
    Heading(String),
    Pair(String, String),
    Sentence(String),
}

/// Picks the words of a language.
struct Tongue(Language);

impl Tongue {
    fn say(&self, english: &str, chinese: &str) -> String {
        match self.0 {
            Language::En => english,
            Language::Zh => chinese,
        }
        .to_owned()
    }

    fn yes(&self, value: &Value, path: &str) -> String {
        match value.pointer(path).and_then(Value::as_bool) {
            Some(true) => self.say("yes", "是"),
            _ => self.say("no", "否"),
        }
    }
}

fn said(certificate: &Value, language: Language) -> Vec<Said> {
    let tongue = Tongue(language);
    let one = |path: &str| field(certificate, path);
    let pair = |english: &str, chinese: &str, value: String| Said::Pair(tongue.say(english, chinese), value);
    let mut all = vec![
        Said::Title(tongue.say("Certificate of destruction", "销毁证明")),
        Said::Sentence(tongue.say(
            "States what Chancery destroyed and what it cannot vouch for, as things stood when it was written. It names \
             nobody whose messages were destroyed.",
            "说明 Chancery 销毁了什么、不能担保什么，以本证明写成之时为准。不记载被销毁消息所涉人员的姓名。",
        )),
        pair("Zone", "区域", one("/zone")),
        pair("Key of the zone", "区域公钥", one("/public_key")),
        pair("Entry of the destruction", "销毁条目", one("/destruction")),
        pair("Destroyed at", "销毁时间", one("/destroyed_at")),
        pair("Written at", "写成时间", one("/written_at")),
    ];
    all.push(Said::Heading(tongue.say("Who decided", "决定人")));
    all.extend([
        pair(
            "Asked for by",
            "申请人",
            format!("{}, {}", one("/requested_by"), one("/requested_at")),
        ),
        pair("Approved by", "批准人", one("/approved_by")),
        pair("Reason", "理由", one("/reason")),
        pair("Legal basis", "法律依据", one("/legal_basis")),
    ]);
    all.push(Said::Heading(tongue.say("What was destroyed", "销毁内容")));
    for secret in destroyed_secrets(certificate) {
        all.push(pair("Key", "密钥", secret));
    }
    all.extend([
        pair("Messages", "消息", one("/destroyed/messages")),
        pair("Events", "事件", one("/destroyed/events")),
        pair("Files", "文件", one("/destroyed/files")),
        pair(
            "Captures erased whole",
            "整体销毁的采集",
            one("/destroyed/captures"),
        ),
        pair(
            "Captures of which a part was erased",
            "部分销毁的采集",
            one("/destroyed/shared_captures"),
        ),
        pair("Their positions", "位置", positions(certificate, &tongue)),
    ]);
    all.extend(in_force(certificate, &tongue));
    all.extend(beyond(certificate, &tongue));
    all.push(Said::Heading(tongue.say("Proof", "证据")));
    all.extend([
        pair(
            "A checkpoint covers it",
            "已被检查点覆盖",
            tongue.yes(certificate, "/checkpoint/covers_it"),
        ),
        pair("Checkpoint", "检查点", one("/checkpoint/note")),
    ]);
    all
}

fn destroyed_secrets(certificate: &Value) -> Vec<String> {
    let secrets = certificate
        .pointer("/destroyed/secrets")
        .and_then(Value::as_array)
        .map_or(&[][..], Vec::as_slice);
    let one = |secret: &Value| format!("{} {}", field(secret, "/kind"), field(secret, "/key"));
    secrets.iter().map(one).collect()
}

fn positions(certificate: &Value, tongue: &Tongue) -> String {
    let listed = certificate
        .pointer("/destroyed/positions")
        .and_then(Value::as_array)
        .map_or(&[][..], Vec::as_slice);
    let mut text = listed
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ");
    let more = certificate
        .pointer("/destroyed/positions_left_out")
        .and_then(Value::as_u64)
        .unwrap_or(0);
    if more > 0 {
        text += &match tongue.0 {
            Language::En => format!(", and {more} more"),
            Language::Zh => format!("，另有 {more} 处"),
        };
    }
    if text.is_empty() { "-".to_owned() } else { text }
}

fn in_force(certificate: &Value, tongue: &Tongue) -> Vec<Said> {
    let pair = |english: &str, chinese: &str, value: String| Said::Pair(tongue.say(english, chinese), value);
    let alive = certificate
        .pointer("/erasure/epoch_keys_alive")
        .and_then(Value::as_array)
        .map_or(&[][..], Vec::as_slice);
    let mut all = vec![
        Said::Heading(tongue.say("Whether erasure is in force", "销毁是否生效")),
        pair("In force", "已生效", tongue.yes(certificate, "/erasure/in_force")),
        pair(
            "Rows deleted and swept",
            "派生数据已删除并清除",
            tongue.yes(certificate, "/erasure/derived_rows_swept"),
        ),
    ];
    if !alive.is_empty() {
        let epochs = alive
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(", ");
        all.push(pair(
            "Intake epochs whose keys still open it",
            "仍可解密的接收时段密钥",
            epochs,
        ));
        let copy = certificate
            .pointer("/erasure/second_copy_of_key_store")
            .and_then(Value::as_bool);
        all.push(Said::Sentence(if copy == Some(true) {
            tongue.say(
                "Erasure is not yet in force: these keys are destroyed by rule within two days, once all that was received \
                 in those epochs is written out. Have the certificate written again after that.",
                "销毁尚未生效：这些密钥将在两天内、待该时段内收到的全部内容写出后，按规则销毁。请在此之后重新出具证明。",
            )
        } else {
            tongue.say(
                "Erasure is not yet in force, and will not be while there is no second copy of the key store: without one \
                 these keys are kept.",
                "销毁尚未生效；在密钥库没有第二份副本之前也不会生效：没有副本时这些密钥将被保留。",
            )
        }));
    }
    all
}

fn beyond(certificate: &Value, tongue: &Tongue) -> Vec<Said> {
    let mut all = vec![Said::Heading(tongue.say("Beyond reach", "无法触及之处"))];
    let bundles = certificate
        .pointer("/beyond_reach/bundles")
        .unwrap_or(&Value::Null);
    let listed = rows(bundles, "listed");
    if listed.is_empty() {
        all.push(Said::Sentence(tongue.say(
            "No bundle that was exported by this instance before holds any of it.",
            "本实例此前导出的证据包均不含上述内容。",
        )));
    }
    for bundle in listed {
        let holds = if bundle.get("holds_it").and_then(Value::as_str) == Some("yes") {
            tongue.say("holds some of it", "包含其中内容")
        } else {
            tongue.say(
                "may hold some of it; it cannot be told",
                "可能包含其中内容，无法确定",
            )
        };
        let entry = field(bundle, "/entry");
        all.push(Said::Pair(
            tongue.say("Bundle released", "已导出的证据包"),
            match tongue.0 {
                Language::En => format!("{}, entry {entry}: {holds}", field(bundle, "/released_at")),
                Language::Zh => format!("{}，条目 {entry}：{holds}", field(bundle, "/released_at")),
            },
        ));
    }
    let copies = certificate
        .pointer("/erasure/key_store_copies_not_expired")
        .and_then(Value::as_array)
        .map_or(&[][..], Vec::as_slice);
    for copy in copies {
        all.push(Said::Pair(
            tongue.say("Older copy of the key store, not expired", "未到期的旧密钥库副本"),
            format!(
                "{}, {} – {}",
                field(copy, "/place"),
                field(copy, "/made_at"),
                field(copy, "/expires_at")
            ),
        ));
    }
    for (english, chinese) in [
        (
            "Copies of the key store that somebody made by other means still open what was destroyed, until they are deleted.",
            "他人以其他方式制作的密钥库副本，在被删除之前仍可解开已销毁的内容。",
        ),
        (
            "Blocks that the disk or file system freed were overwritten once where it writes in place; what lies below that is \
             not known.",
            "磁盘或文件系统已释放的块，在支持原位写入时被覆盖一次；其下层情况不明。",
        ),
        (
            "What others wrote stays, also where it speaks of the person. Words that people typed as queries, reasons or holds \
             stay in the record of acts.",
            "他人所写内容予以保留，即使其中提及该人。人员输入的查询、理由和保全说明保留在操作记录中。",
        ),
        (
            "The same person under another name, number or handle in another source is not covered.",
            "同一人在其他来源中以其他姓名、号码或账号出现的内容，不在本证明范围内。",
        ),
    ] {
        all.push(Said::Sentence(tongue.say(english, chinese)));
    }
    all
}

/// As plain text.
pub fn text(certificate: &Value, language: Language) -> String {
    let mut out = String::new();
    for said in said(certificate, language) {
        match said {
            Said::Title(title) => out += &format!("{}\n\n", title.to_uppercase()),
            Said::Heading(heading) => out += &format!("\n{heading}\n\n"),
            Said::Pair(name, value) => {
                let value = value.trim_end().replace('\n', "\n      ");
                out += &format!("  {name}: {value}\n");
            }
            Said::Sentence(sentence) => out += &format!("  {sentence}\n"),
        }
    }
    out
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}

/// As a page to print: nothing in it runs, and nothing is loaded.
pub fn html(certificate: &Value, language: Language) -> String {
    let tag = match language {
        Language::En => "en",
        Language::Zh => "zh-CN",
    };
    let mut body = String::new();
    for said in said(certificate, language) {
        match said {
            Said::Title(title) => body += &format!("<h1>{}</h1>\n", escaped(&title)),
            Said::Heading(heading) => body += &format!("<h2>{}</h2>\n", escaped(&heading)),
            Said::Pair(name, value) => {
                body += &format!(
                    "<p class=\"pair\"><b>{}</b> <span>{}</span></p>\n",
                    escaped(&name),
                    escaped(&value)
                );
            }
            Said::Sentence(sentence) => body += &format!("<p>{}</p>\n", escaped(&sentence)),
        }
    }
    format!(
        "<!DOCTYPE html>\n<html lang=\"{tag}\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <title>{}</title>\n<style>\nbody {{ font: 11pt/1.5 serif; max-width: 42em; margin: 2em auto; padding: 0 1em; }}\n\
         .pair {{ margin: .2em 0; }}\n.pair span {{ white-space: pre-wrap; overflow-wrap: anywhere; }}\n\
         h2 {{ border-bottom: 1px solid; }}\n</style>\n</head>\n<body>\n{body}</body>\n</html>\n",
        escaped(&Tongue(language).say("Certificate of destruction", "销毁证明"))
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn certificate() -> Value {
        json!({
            "zone": "us", "destruction": 42, "reason": "asked <b>for</b>", "legal_basis": "GDPR art. 17 & 21",
            "destroyed": {
                "secrets": [{ "kind": "person", "key": "07" }], "messages": 3, "positions": [1, 2], "positions_left_out": 7
            },
            "erasure": { "in_force": false, "epoch_keys_alive": [3], "second_copy_of_key_store": false,
                "key_store_copies_not_expired": [] },
            "beyond_reach": { "bundles": { "listed": [
                { "entry": 9, "released_at": "2026-01-01T00:00:00Z", "holds_it": "yes" },
                { "entry": 11, "released_at": "2026-01-02T00:00:00Z", "holds_it": "cannot be told" }
            ] } },
            "checkpoint": { "covers_it": true, "note": "a\nb\n" },
        })
    }

    #[test]
    fn a_certificate_says_that_erasure_is_not_in_force_and_which_bundles_are_out_in_both_languages() {
        let english = text(&certificate(), Language::En);
        for words in [
            "CERTIFICATE OF DESTRUCTION",
            "person 07",
            "1, 2, and 7 more",
            "In force: no",
            "will not be while there is no second copy",
            "entry 9: holds some of it",
            "entry 11: may hold some of it",
            "a\n      b",
        ] {
            assert!(english.contains(words), "{words} in {english}");
        }
        let chinese = text(&certificate(), Language::Zh);
        for words in [
            "销毁证明",
            "已生效: 否",
            "另有 7 处",
            "无法确定",
            "没有副本时这些密钥将被保留",
        ] {
            assert!(chinese.contains(words), "{words} in {chinese}");
        }
    }

    #[test]
    fn nothing_that_was_typed_becomes_markup_of_the_page() {
        let page = html(&certificate(), Language::En);
        assert!(page.contains("asked &lt;b&gt;for&lt;/b&gt;") && page.contains("17 &amp; 21"));
        assert!(!page.contains("asked <b>") && page.contains("default-src 'none'"));
    }

    #[test]
    fn a_certificate_in_force_says_nothing_of_keys_that_are_alive() {
        let mut certificate = certificate();
        certificate["erasure"]["in_force"] = json!(true);
        certificate["erasure"]["epoch_keys_alive"] = json!([]);
        certificate["beyond_reach"]["bundles"]["listed"] = json!([]);
        let english = text(&certificate, Language::En);
        assert!(english.contains("In force: yes") && english.contains("No bundle that was exported"));
        assert!(!english.contains("not yet in force"));
    }
}
