//! Generated pages are what the code says. `./dev generate` rewrites them.

use std::path::Path;

#[test]
fn generated_pages_are_what_the_code_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let update = std::env::var_os("UPDATE_EXPECT").is_some_and(|value| value == "1");
    let mut stale = Vec::new();
    for (path, expected) in chancery::generated::documents() {
        let file = root.join(&path);
        if update {
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, &expected).unwrap();
        } else if std::fs::read_to_string(&file).unwrap_or_default() != expected {
            stale.push(path);
        }
    }
    assert!(stale.is_empty(), "run ./dev generate: {stale:?}");
}

#[test]
fn every_command_teaches_by_an_example() {
    let documents = chancery::generated::documents();
    let (_, commands) = documents
        .iter()
        .find(|(path, _)| path.ends_with("commands.md"))
        .unwrap();
    for section in commands.split("\n## ").skip(1) {
        let name = section.lines().next().unwrap();
        let has_parts = section.contains("\nCommands:\n");
        assert!(has_parts || section.contains("Example"), "{name} has no example");
    }
}
