//! Does a licence expression leave a way to use the code under licences we take?

/// Licences anybody may ship under Apache-2.0, with notices kept.
const TAKEN: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// True when some reading of `expression` asks only for licences of the list.
pub fn acceptable(expression: &str) -> bool {
    let spaced = expression
        .replace('(', " ( ")
        .replace(')', " ) ")
        .replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut place = 0;
    let verdict = any(&words, &mut place);
    verdict && place == words.len()
}

fn any(words: &[&str], place: &mut usize) -> bool {
    let mut verdict = all(words, place);
    while words.get(*place) == Some(&"OR") {
        *place += 1;
        verdict |= all(words, place);
    }
    verdict
}

fn all(words: &[&str], place: &mut usize) -> bool {
    let mut verdict = one(words, place);
    while words.get(*place) == Some(&"AND") {
        *place += 1;
        verdict &= one(words, place);
    }
    verdict
}

fn one(words: &[&str], place: &mut usize) -> bool {
    let Some(&word) = words.get(*place) else {
        return false;
    };
    *place += 1;
    if word == "(" {
        let verdict = any(words, place);
        *place += 1;
        return verdict;
    }
    let mut name = word.to_owned();
    if words.get(*place) == Some(&"WITH") {
        name = format!("{word} WITH {}", words.get(*place + 1).unwrap_or(&""));
        *place += 2;
    }
    TAKEN.contains(&name.as_str())
}

#[test]
fn licence_expressions_are_read_as_spdx_defines_them() {
    let check =
        |expression: &str, expected: bool| assert_eq!(acceptable(expression), expected, "{expression}");
    check("MIT", true);
    check("MIT/Apache-2.0", true);
    check("GPL-3.0-only", false);
    check("MIT OR GPL-3.0-only", true);
    check("MIT AND GPL-3.0-only", false);
    check("(MIT OR Apache-2.0) AND Unicode-3.0", true);
    check("ISC AND (GPL-2.0 OR (LGPL-2.1 AND MIT))", false);
    check("GPL-2.0 OR ISC AND MIT", true);
    check("Apache-2.0 WITH LLVM-exception", true);
    check("Apache-2.0 WITH Commons-Clause", false);
    check("", false);
    check("MIT MIT", false);
    check("(MIT", false);
}
