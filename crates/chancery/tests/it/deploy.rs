//! The units for systemd: systemd understands them, and they take away what the program does not need.

use std::path::{Path, PathBuf};
use std::process::Command;

const UNITS: [&str; 2] = ["chancery.service", "chancery-intake.service"];
/// What systemd calls the exposure of a unit, times ten: 0 is nothing, 100 everything. A service with the network that
/// nothing else was taken from has over 90.
const EXPOSURE_MAX: &str = "18";

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/systemd")
}

fn lines(unit: &str) -> Vec<String> {
    let text = std::fs::read_to_string(folder().join(unit)).unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn each_unit_takes_away_what_the_program_does_not_need() {
    let both = [
        "NoNewPrivileges=yes",
        "ProtectSystem=strict",
        "ProtectHome=yes",
        "ProtectProc=invisible",
        "PrivateTmp=yes",
        "PrivateDevices=yes",
        "MemoryDenyWriteExecute=yes",
        "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX",
        "RestrictNamespaces=yes",
        "SystemCallArchitectures=native",
        "SystemCallFilter=~@privileged",
        "LimitCORE=0",
        "MemorySwapMax=0",
        "UMask=0077",
    ];
    for unit in UNITS {
        let lines = lines(unit);
        for wanted in both {
            assert!(lines.iter().any(|line| line == wanted), "{unit} lacks {wanted}");
        }
        assert!(!lines.iter().any(|line| line == "User=root"), "{unit}");
    }
    assert!(
        lines(UNITS[0])
            .iter()
            .any(|line| line == "CapabilityBoundingSet=")
    );
    assert!(lines(UNITS[1]).iter().any(|line| line == "DynamicUser=yes"));
}

#[test]
fn systemd_understands_every_line_and_finds_little_exposed() {
    let place = tempfile::tempdir().unwrap();
    for unit in UNITS {
        let text = lines(unit)
            .join("\n")
            .replace("/usr/bin/chancery", env!("CARGO_BIN_EXE_chancery"));
        let path = place.path().join(unit);
        std::fs::write(&path, text + "\n").unwrap();
        let verified = Command::new("systemd-analyze")
            .arg("verify")
            .arg(&path)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&verified.stderr).into_owned();
        // Of other units on this machine it may say what it wants.
        let ours: Vec<&str> = said.lines().filter(|line| line.contains(unit)).collect();
        assert!(ours.is_empty(), "{ours:?}");
        assert!(verified.status.success(), "{said}");
        let mut security = Command::new("systemd-analyze");
        security.args([
            "security",
            "--no-pager",
            "--offline=yes",
            "--threshold",
            EXPOSURE_MAX,
        ]);
        let judged = security.arg(&path).output().unwrap();
        assert!(
            judged.status.success(),
            "{}",
            String::from_utf8_lossy(&judged.stdout)
        );
    }
}

#[test]
fn the_command_lines_of_the_units_are_command_lines_of_the_program() {
    for unit in UNITS {
        let lines = lines(unit);
        let line = lines
            .iter()
            .find_map(|line| line.strip_prefix("ExecStart=/usr/bin/chancery "))
            .unwrap();
        let words = line.split(' ').map(|word| match word {
            "${LISTEN}" | "${VAULT_LISTEN}" => "127.0.0.1:1".to_owned(),
            "${VAULT_PIN}" => format!("sha256:{}", "0".repeat(64)),
            word => word
                .replace("${STATE_DIRECTORY}", "/nonexistent")
                .replace("${CREDENTIALS_DIRECTORY}", "/nonexistent"),
        });
        let ran = Command::new(env!("CARGO_BIN_EXE_chancery"))
            .args(words)
            .output()
            .unwrap();
        // It is understood, and then finds nothing there.
        assert_eq!(
            ran.status.code(),
            Some(69),
            "{}",
            String::from_utf8_lossy(&ran.stderr)
        );
    }
}
