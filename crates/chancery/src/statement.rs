//! A statement of completeness for people, in English or 简体中文.

use serde_json::Value;

use crate::governing::Language;
use crate::print::Words;
use crate::tables::{rows, text};

/// Lines of each list; `--json` has all of them.
const LINES_MAX: usize = 40;

/// A statement with the entry that holds it.
pub fn words(value: &Value, language: Language) -> Words {
    let say = |english: &'static str, chinese: &'static str| match language {
        Language::En => english,
        Language::Zh => chinese,
    };
    let one = |path: &str| text(value, path);
    let inner = |path: &str| text(value, &format!("/statement{path}"));
    let yes = |path: &str| value.pointer(path).and_then(Value::as_bool) == Some(true);
    let mut words = Words::new();
    let (first, last) = (inner("/first_day"), inner("/last_day"));
    let days = if first == last {
        first
    } else {
        format!("{first} – {last}")
    };
    words.line(&format!(
        "{} {days} (UTC)",
        say("Completeness of", "完整性声明：")
    ));
    words.line("");
    let checkpoint = match value.get("checkpoint") {
        Some(Value::Object(_)) => format!(
            "{} {}, {} {}",
            say("size", "大小"),
            one("/checkpoint/size"),
            say("covers all entries before", "覆盖此前所有条目："),
            one("/checkpoint/covers")
        ),
        _ => say("none covers it yet", "尚无检查点覆盖").to_owned(),
    };
    let anchored = match value
        .pointer("/statement/outside_anchor_hours")
        .and_then(Value::as_i64)
    {
        Some(hours) => format!(
            "{hours} {}",
            say("h before it was written", "小时前（以写成时为准）")
        ),
        None => say("none ever went outside", "从未有检查点送到外部").to_owned(),
    };
    let made_up = if yes("/statement/made_up") {
        say(
            ", made up later: the program did not run when the day ended",
            "，事后补写：该日结束时程序未运行",
        )
    } else {
        ""
    };
    words.pairs(&[
        (say("entry", "条目"), one("/entry")),
        (
            say("written at", "写成时间"),
            format!("{}{made_up}", inner("/stated_at")),
        ),
        (say("signed by checkpoint", "签名检查点"), checkpoint),
        (say("newest anchor outside", "最近的外部锚点"), anchored),
        (
            say("connections", "接入"),
            format!(
                "{} / {} {}",
                inner("/connections_captured"),
                inner("/connections_configured"),
                say("configured captured something", "个已配置的接入有捕获")
            ),
        ),
        (
            say("custodians", "受保管人"),
            format!(
                "{} {}{}; {} {}",
                inner("/custodians_enrolled"),
                say("enrolled", "人已登记"),
                states(value),
                inner("/custodians_not_consented"),
                say("have not consented", "人未同意")
            ),
        ),
        (
            say("gaps", "缺口"),
            format!(
                "{} {}, {} {}",
                inner("/gaps_open"),
                say("open", "个未关闭"),
                inner("/gaps_closed_since"),
                say("closed since the statement before", "个自上次声明后关闭")
            ),
        ),
    ]);
    if yes("/clock_ran_ahead") {
        words.line(say(
            "THE CLOCK RAN AHEAD when this was written: the day may not have been over. It does not count.",
            "写成时时钟走快：该日可能尚未结束。本声明不作数。",
        ));
    }
    if !value
        .pointer("/statement")
        .map_or(&[][..], |statement| rows(statement, "replaces"))
        .is_empty()
    {
        words.line(say(
            "It replaces a statement that was written while the clock ran ahead; both stay in the record.",
            "本声明取代时钟走快时写成的声明；两者均保留在记录中。",
        ));
    }
    lists(&mut words, value, &say);
    words.line("");
    words.line(say(
        "It is signed because it is an entry: the signed checkpoint above covers it. It carries no signature of its own.",
        "本声明是账本中的一个条目，由上述已签名的检查点覆盖，因此受其签名保护；它本身没有单独的签名。",
    ));
    words.line(say(
        "Counted are the configured connections and the enrolled custodians. Accounts, phones, apps and people that were \
         never set up or enrolled are in none of these numbers. What nobody points at, counts or expects can be missing \
         without a gap. Times are by the program's clock.",
        "只统计已配置的接入和已登记的受保管人；从未配置或登记的账号、手机、应用和人员不在任何数字之内。\
         没有被引用、编号或预期的内容可能缺失而不形成缺口。时间以本程序的时钟为准。",
    ));
    words
}

fn states(value: &Value) -> String {
    let states = value
        .pointer("/statement/custodians_by_state")
        .and_then(Value::as_object);
    let each: Vec<String> = states
        .into_iter()
        .flatten()
        .map(|(state, count)| format!("{count} {state}"))
        .collect();
    if each.is_empty() {
        String::new()
    } else {
        format!(" ({})", each.join(", "))
    }
}

fn lists(words: &mut Words, value: &Value, say: &dyn Fn(&'static str, &'static str) -> &'static str) {
    let lists = [
        (
            "connections",
            vec![
                (say("connection", "接入"), "/connection"),
                (say("captures", "捕获"), "/captures"),
                (say("of the day", "当日"), "/of_the_day/captures"),
                (say("from", "起"), "/from"),
                (say("to", "止"), "/to"),
                (say("open gaps", "未关闭缺口"), "/gaps_open"),
            ],
        ),
        (
            "custodians",
            vec![
                (say("custodian", "受保管人"), "/custodian"),
                (say("state", "状态"), "/state"),
                (say("consent", "同意"), "/consent"),
                (say("messages", "消息"), "/messages"),
                (say("from", "起"), "/from"),
                (say("to", "止"), "/to"),
            ],
        ),
        (
            "open",
            vec![
                (say("open gap", "未关闭缺口"), "/gap"),
                (say("in", "接入"), "/connection"),
                (say("from", "起"), "/from"),
                (say("to", "止"), "/to"),
                (say("cause", "原因"), "/cause"),
                (say("count", "数量"), "/count"),
                (say("still missing", "仍缺"), "/still_missing"),
            ],
        ),
        (
            "closed",
            vec![
                (say("closed gap", "已关闭缺口"), "/gap"),
                (say("in", "接入"), "/connection"),
                (say("cause", "原因"), "/cause"),
                (say("closed at", "关闭时间"), "/closed/at"),
                (say("reason", "理由"), "/closed/reason"),
            ],
        ),
    ];
    for (name, columns) in lists {
        let items = value
            .pointer("/statement")
            .map_or(&[][..], |statement| rows(statement, name));
        if items.is_empty() {
            continue;
        }
        words.line("");
        let mut lines = vec![columns.iter().map(|(title, _)| (*title).to_owned()).collect()];
        let cells = |item: &Value| columns.iter().map(|(_, path)| text(item, path)).collect();
        lines.extend(items.iter().take(LINES_MAX).map(cells));
        words.table(&lines);
        if items.len() > LINES_MAX {
            let more = items.len() - LINES_MAX;
            words.line(&format!(
                "… {more} {}",
                say("more: --json lists them", "项未列出：见 --json")
            ));
        }
    }
}
