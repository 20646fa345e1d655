//! A quoted message. The archive has no field for it: the client writes it into the text.

/// What a text says it replies to, and the reply.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Quoted<'t> {
    /// Name of the person quoted, as the client shows it.
    pub(super) sender: Option<&'t str>,
    pub(super) text: &'t str,
    pub(super) reply: &'t str,
}

/// What the WeCom client writes before the quoted text, by its language.
const LEAD_INS: &[&str] = &["这是一条引用/回复消息", "This is a quote/reply"];

/// Opening and closing marks around the quoted text.
const MARKS: &[(char, char)] = &[('“', '”'), ('"', '"'), ('「', '」')];

/// Shorter lines are not taken for the rule between quote and reply.
const RULE_DASHES: usize = 6;

/// Takes a quote apart; nothing when the text is not one, or not clearly one.
///
/// WeCom: lead-in, line end, marks around name, colon, line end, text; a line of dashes; the reply.
/// WeChat: `「name：text」`, a line of dashes with blanks between; the reply.
pub(super) fn take_apart(text: &str) -> Option<Quoted<'_>> {
    let (body, led) = match after_lead_in(text.trim_start()) {
        Some(rest) => (rest.trim_start(), true),
        None => (text.starts_with('「').then_some(text)?, false),
    };
    let mut deeper = 0;
    let mut from = 0;
    let (quoted, reply) = loop {
        let (before, after, end) = rule(body, from)?;
        // What is quoted may itself be a reply: as many rules belong to it as it has lead-ins.
        let inner: usize = LEAD_INS
            .iter()
            .map(|lead_in| before.matches(lead_in).count())
            .sum();
        if inner <= deeper {
            break (before, after);
        }
        deeper += 1;
        from = end;
    };
    let quoted = quoted.trim_end();
    let inside = unmarked(quoted);
    if !led && inside.is_none() {
        return None;
    }
    let inside = inside.unwrap_or(quoted);
    let (sender, said) = named(inside).map_or((None, inside), |(sender, said)| (Some(sender), said));
    Some(Quoted {
        sender,
        text: said,
        reply,
    })
}

fn after_lead_in(text: &str) -> Option<&str> {
    let rest = LEAD_INS.iter().find_map(|lead_in| text.strip_prefix(lead_in))?;
    rest.strip_prefix(['：', ':'])
}

/// The next line of dashes at or after `from`: what stands before it, what after, and where it ends.
fn rule(text: &str, from: usize) -> Option<(&str, &str, usize)> {
    let mut at = from;
    for line in text.get(from..)?.split_inclusive('\n') {
        let end = at + line.len();
        let dashes = line.bytes().filter(|b| *b == b'-').count();
        if dashes >= RULE_DASHES && line.bytes().all(|b| b"- \r\n".contains(&b)) {
            return Some((text.get(..at)?, text.get(end..)?, end));
        }
        at = end;
    }
    None
}

/// The text without the marks around it.
fn unmarked(text: &str) -> Option<&str> {
    MARKS
        .iter()
        .find_map(|&(open, close)| text.strip_prefix(open)?.strip_suffix(close))
}

/// The name before the colon of the first line, and what is said to have been said.
fn named(text: &str) -> Option<(&str, &str)> {
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    let line = first.trim_end();
    if let Some(name) = line.strip_suffix(['：', ':']) {
        return (!name.is_empty() && first.len() < text.len()).then_some((name, rest));
    }
    // On one line only the wide colon parts: the narrow one stands in addresses and times.
    let (name, said) = line.split_once('：')?;
    let start = name.len() + '：'.len_utf8();
    (!name.is_empty() && !said.is_empty()).then(|| (name, text.get(start..).unwrap_or_default().trim_start()))
}

#[cfg(test)]
mod tests {
    use super::{Quoted, take_apart};

    fn check(text: &str, sender: Option<&str>, quoted: &str, reply: &str) {
        let expected = Quoted {
            sender,
            text: quoted,
            reply,
        };
        assert_eq!(take_apart(text), Some(expected), "{text}");
    }

    #[test]
    fn a_quote_is_taken_apart() {
        check(
            "这是一条引用/回复消息：\n“李雷:\n明天见”\n------\n好的",
            Some("李雷"),
            "明天见",
            "好的",
        );
        check(
            "这是一条引用/回复消息：\n\"李雷：\n一\n二\"\n------\n三\n四",
            Some("李雷"),
            "一\n二",
            "三\n四",
        );
        check(
            "This is a quote/reply:\n\"Ann: \nhello\"\n------\nyes",
            Some("Ann"),
            "hello",
            "yes",
        );
        check(
            "「Ann：see you」\n- - - - - - - - - - - - - - -\nfine",
            Some("Ann"),
            "see you",
            "fine",
        );
        check(
            "「Ann：\nsee\nyou」\n- - - - - - - - - - - - - - -\nfine",
            Some("Ann"),
            "see\nyou",
            "fine",
        );
        check(
            "这是一条引用/回复消息：\r\n“李雷:\r\n明天见”\r\n------\r\n好的",
            Some("李雷"),
            "明天见",
            "好的",
        );
    }

    #[test]
    fn a_quote_of_a_reply_ends_at_its_own_rule() {
        let inner = "这是一条引用/回复消息：\n“A:\n一”\n------\n二";
        let text = format!("这是一条引用/回复消息：\n“B:\n{inner}”\n------\n三");
        check(&text, Some("B"), inner, "三");
        check(
            "这是一条引用/回复消息：\n“A:\n一”\n------\n二\n------\n三",
            Some("A"),
            "一",
            "二\n------\n三",
        );
    }

    #[test]
    fn a_quote_without_a_name_has_no_sender() {
        check(
            "这是一条引用/回复消息：\n“https://example.com”\n------\n好",
            None,
            "https://example.com",
            "好",
        );
        check(
            "这是一条引用/回复消息：\n“明天 10:30 见”\n------\n好",
            None,
            "明天 10:30 见",
            "好",
        );
        check("这是一条引用/回复消息：\n“”\n------\n好", None, "", "好");
        check(
            "这是一条引用/回复消息：\n没有引号\n------\n好",
            None,
            "没有引号",
            "好",
        );
        check("这是一条引用/回复消息：\n“A:”\n------\n", None, "A:", "");
    }

    #[test]
    fn what_is_not_clearly_a_quote_stays_as_it_is() {
        for text in [
            "",
            "好的",
            "------",
            "这是一条引用/回复消息：",
            "这是一条引用/回复消息：\n“李雷:\n明天见”\n好的",
            "这是一条引用/回复消息：\n“李雷:\n明天见”\n-----\n好的",
            "这是一条引用/回复消息：\n“李雷:\n明天见”\n------ 好的",
            "他说：这是一条引用/回复消息：\n“李雷:\n明天见”\n------\n好的",
            "这是一条引用/回复消息\n“李雷:\n明天见”\n------\n好的",
            "「Ann：see you\n- - - - - - - - - - - - - - -\nfine",
            "「Ann：see you」 really\n- - - - - - - - - - - - - - -\nfine",
            "这是一条引用/回复消息：\n“B:\n这是一条引用/回复消息：\n“A:\n一”\n------\n二",
        ] {
            assert_eq!(take_apart(text), None, "{text}");
        }
    }
}
