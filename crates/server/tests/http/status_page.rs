//! What the vault shows without a sign-in.

use std::collections::BTreeMap;

use model::Timestamp;
use serde_json::Value;
use server::host::ArchiveStatus;
use server::public::{OPENAPI, WholeStatus};

use crate::instance::{Instance, Response, get};

fn page(instance: &Instance, query: &str, accept: &str) -> (Response, String) {
    let request = format!("GET /{query} HTTP/1.1\r\nHost: h\r\nAccept-Language: {accept}\r\n\r\n");
    let mut response = instance.ask(request.as_bytes());
    let text = String::from_utf8(std::mem::take(&mut response.body)).unwrap();
    (response, text)
}

#[test]
fn the_page_speaks_both_languages() {
    let instance = Instance::new();
    // The page says while the intake is being started, so wait: two views are compared.
    while !instance.running.intake().running {
        std::thread::yield_now();
    }
    let (response, english) = page(&instance, "", "en");
    assert_eq!(response.status, 200);
    assert_eq!(response.headers["content-language"], "en");
    assert!(english.contains("<html lang=\"en\">") && english.contains("Refused"));
    let (response, chinese) = page(&instance, "", "zh-CN,zh;q=0.9");
    assert_eq!(response.headers["content-language"], "zh-CN");
    assert!(chinese.contains("<html lang=\"zh-CN\">") && chinese.contains("检查点"));
    assert_eq!(page(&instance, "?lang=en", "zh").1, english);
    assert_eq!(page(&instance, "?lang=zh", "en").1, chinese);
}

#[test]
fn the_page_runs_nothing_loads_nothing_from_elsewhere_and_cannot_be_framed() {
    let instance = Instance::new();
    for path in [
        "/",
        "/style.css",
        "/api/v1/status",
        "/api/openapi.json",
        "/nothing",
    ] {
        let response = instance.ask(&get(path));
        let policy = &response.headers["content-security-policy"];
        assert!(
            policy.starts_with("default-src 'none'; style-src 'self';"),
            "{policy}"
        );
        assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"));
        assert_eq!(response.headers["x-content-type-options"], "nosniff");
        assert_eq!(response.headers["referrer-policy"], "no-referrer");
        assert_eq!(response.headers["cache-control"], "no-store");
    }
    let (_, html) = page(&instance, "", "en");
    for word in [
        "<script", "style=", "onclick", "http://", "https://", "<img", "<form",
    ] {
        assert!(!html.contains(word), "{word}");
    }
    assert!(html.contains("0.1.0 &lt;&amp;&quot;&#39;&gt;"));
}

#[test]
fn tables_have_captions_and_headings_and_the_page_a_way_past_its_top() {
    let instance = Instance::new();
    let (_, html) = page(&instance, "", "en");
    assert_eq!(html.matches("<table>").count(), html.matches("<caption>").count());
    assert_eq!(html.matches("<th scope=\"row\">").count(), 3);
    assert!(html.contains("href=\"#content\"") && html.contains("id=\"content\""));
    assert!(html.contains("No checkpoint went outside in the last 24 hours"));
    assert!(html.contains("There is no second copy of the key store"));
    for tag in [
        "table", "section", "main", "dl", "ul", "div", "header", "nav", "thead", "tbody", "tr",
    ] {
        let opened = html.matches(&format!("<{tag}>")).count() + html.matches(&format!("<{tag} ")).count();
        assert_eq!(opened, html.matches(&format!("</{tag}>")).count(), "{tag}");
    }
}

/// An archive that was pulled up to an item, with this alarm, and with nothing wrong otherwise.
fn archive(alarm: Option<&str>) -> ArchiveStatus {
    ArchiveStatus {
        position: 1_234_567,
        caught_up_at: Timestamp::from_seconds(1_700_000_000),
        lost_from: Timestamp::from_seconds(1_700_432_000),
        alarm: alarm.map(str::to_owned),
        failing: None,
        closed: BTreeMap::new(),
    }
}

#[test]
fn the_page_says_how_far_each_archive_is_pulled_until_when_and_what_stays_closed() {
    let instance = Instance::new();
    let (_, without) = page(&instance, "", "en");
    assert!(!without.contains("id=\"archives\""));
    let stays_closed = [
        ("private-key-missing".to_owned(), 40),
        ("not-opened".to_owned(), 2),
    ];
    *instance.host.archive.lock().unwrap() = Some(ArchiveStatus {
        closed: BTreeMap::from(stays_closed),
        ..archive(None)
    });
    for (language, title) in [("en", "Archives"), ("zh", "会话存档")] {
        let (_, html) = page(&instance, &format!("?lang={language}"), "");
        let section = html.split("id=\"archives\"").nth(1).unwrap();
        let section = section.split("</section>").next().unwrap();
        assert!(section.contains(title), "{section}");
        let row = section.split("<tbody>").nth(1).unwrap();
        // Only the connection that is pulled; where it stands, since when, until when, and how many stay closed.
        assert_eq!(row.matches("<tr>").count(), 1, "{row}");
        for said in [
            "staff",
            "1,234,567",
            "2023-11-14 22:13",
            "2023-11-19 22:13",
            ">42<",
        ] {
            assert!(row.contains(said), "{said}: {row}");
        }
    }
}

#[test]
fn what_a_vendor_said_of_an_archive_is_not_on_the_page() {
    let instance = Instance::new();
    *instance.host.archive.lock().unwrap() = Some(ArchiveStatus {
        failing: Some("the vendor says no".to_owned()),
        ..archive(Some("urgent"))
    });
    let (_, html) = page(&instance, "", "en");
    assert!(html.contains("id=\"archives\"") && !html.contains("the vendor says no"));
}

#[test]
fn what_doctor_finds_stands_on_the_page_in_both_languages_and_so_does_a_destination_that_fails() {
    let instance = Instance::new();
    for (language, words) in [
        ("en", ["There is no backup, or one is not current", "failing"]),
        ("zh", ["没有备份，或备份不是最新", "失败"]),
    ] {
        let (_, html) = page(&instance, "", language);
        for word in words {
            assert!(html.contains(word), "{word}");
        }
        assert!(!html.contains("Nothing needs attention") && !html.contains("没有需要处理的事项"));
        // Where it goes and what it answered is for `doctor`.
        assert!(html.contains(">desk</th>"), "{html}");
    }
}

#[test]
fn the_status_is_what_its_document_says() {
    let instance = Instance::new();
    *instance.host.archive.lock().unwrap() = Some(ArchiveStatus {
        failing: Some("the vendor says no".to_owned()),
        closed: BTreeMap::from([("not-opened".to_owned(), 2)]),
        ..archive(Some("late"))
    });
    let response = instance.ask(&get("/api/v1/status"));
    assert_eq!(response.headers["content-type"], "application/json");
    let status: Value = serde_json::from_slice(&response.body).unwrap();
    let read: WholeStatus = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), status);
    let document: Value = serde_json::from_str(OPENAPI).unwrap();
    assert_eq!(instance.ask(&get("/api/openapi.json")).body, OPENAPI.as_bytes());
    let schemas = &document["components"]["schemas"];
    check(&status, &schemas["Status"], "Status");
    check(&status["connections"][0], &schemas["Connection"], "Connection");
    check(&status["connections"][1], &schemas["Connection"], "Connection");
    check(
        &status["connections"][1]["archive"],
        &schemas["Archive"],
        "Archive",
    );
    check(&status["gaps"][0], &schemas["Gap"], "Gap");
    check(&status["attention"][0], &schemas["Attention"], "Attention");
    check(&status["alarms"][0], &schemas["Alarm"], "Alarm");
    check(&status["checkpoint"], &schemas["Checkpoint"], "Checkpoint");
    check(&status["followers"], &schemas["Followers"], "Followers");
    check(&status["intake"], &schemas["Intake"], "Intake");
}

fn check(value: &Value, schema: &Value, name: &str) {
    let names = |value: &Value| {
        let mut names: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
        names.sort();
        names
    };
    let required: Vec<String> = serde_json::from_value(schema["required"].clone()).unwrap();
    // Nothing is said that is not documented, and nothing required is left out.
    let documented = names(&schema["properties"]);
    assert!(
        names(value).iter().all(|said| documented.contains(said)),
        "{name}"
    );
    assert!(required.iter().all(|field| value.get(field).is_some()), "{name}");
    for (field, value) in value.as_object().unwrap() {
        let property = &schema["properties"][field];
        let types = &property["type"];
        let is = |wanted: &str| match types {
            Value::String(one) => one == wanted,
            Value::Array(many) => many.iter().any(|one| one == wanted),
            _ => true,
        };
        let fits = match value {
            Value::Null => is("null"),
            Value::Bool(_) => is("boolean"),
            Value::Number(_) => is("integer"),
            Value::String(_) => is("string"),
            Value::Array(_) => is("array"),
            Value::Object(_) => is("object"),
        };
        assert!(fits, "{name}.{field}: {value}");
    }
}

#[test]
fn what_is_not_there_is_404_and_what_is_there_is_only_read() {
    let instance = Instance::new();
    for path in [
        "/api",
        "/api/v1",
        "/healthz",
        "/in",
        "/style.css/",
        "//",
        "/../etc/passwd",
    ] {
        assert_eq!(instance.ask(&get(path)).status, 404, "{path}");
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let request = format!("{method} /api/v1/status HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(instance.ask(request.as_bytes()).status, 405, "{method}");
    }
}
