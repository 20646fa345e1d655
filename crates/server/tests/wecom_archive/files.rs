//! Files of messages, piece by piece.

use std::sync::Arc;

use connect::wecom_archive::driver::{Driver, DriverError, Slice};
use connect::wecom_archive::fake::{CompanyKey, FakeDriver};
use model::Position;
use model::entry::Kind;
use zeroize::Zeroizing;

use crate::instance::*;

fn with_file(id: &str, file: &str, md5: &str) -> String {
    format!(
        r#"{{"msgid":"{id}","action":"send","from":"lina","tolist":["zhao"],"roomid":"","msgtime":1760000000123,"msgtype":"image","image":{{"sdkfileid":"{file}","md5sum":"{md5}","filesize":5}}}}"#
    )
}

#[tokio::test]
async fn files_come_in_pieces_go_on_where_they_stopped_and_are_gaps_when_the_vendor_has_them_no_more() {
    let (folder, hand) = (tempfile::tempdir().unwrap(), Hand::new());
    let key = CompanyKey::generate(3).unwrap();
    let vault = hand.create(folder.path());
    connect_with(&vault, "wecom-archive", &[key.secret().unwrap()]);
    let mut archive = FakeDriver::default();
    archive.add(1, "m1", &key, &with_file("m1", "kept", "")).unwrap();
    archive
        .add(2, "m2", &key, &with_file("m2", "expired", ""))
        .unwrap();
    archive.add_file("kept", vec![7; 1000]);
    archive.slice_bytes = Some(300);
    let asked = Arc::new(std::sync::Mutex::new(Vec::new()));
    use_fake(
        &vault,
        Breaks {
            inner: archive,
            asked: asked.clone(),
        },
    );
    vault.pull_archive("archive").unwrap();
    settle(&vault);
    let vault = Arc::new(vault);
    let (stop, stopping) = tokio::sync::watch::channel(false);
    let running = tokio::spawn(server::vault::fetches::run(vault.clone(), stopping));
    loop {
        let looked = vault.clone();
        let status = tokio::task::spawn_blocking(move || {
            settle(&looked);
            looked.status().unwrap()
        });
        if status.await.unwrap()["pending_fetches"] == 0 {
            break;
        }
        hand.pass(600);
        tokio::task::yield_now().await;
    }
    stop.send(true).unwrap();
    running.await.unwrap();
    let asked = asked.lock().unwrap().clone();
    let kept: Vec<&str> = asked
        .iter()
        .filter(|(file, _)| file == "kept")
        .map(|(_, index)| index.as_str())
        .collect();
    let begun = kept.iter().filter(|index| index.is_empty()).count();
    assert_eq!(
        (begun, kept.last()),
        (1, Some(&"Range:bytes=900-1199")),
        "{kept:?}"
    );
    // 1 is fetched, 3 expired.
    let mut states = Vec::new();
    for at in 0..vault.ledger().head().0 {
        let entry = vault.ledger().entry(Position(at)).unwrap().unwrap();
        if let Kind::Outside(outside) = entry.header.kind {
            states.push(outside.state);
        }
    }
    states.sort_unstable();
    assert_eq!(states, [1, 3]);
    let status = vault.status().unwrap();
    assert!(status["gaps"].to_string().contains("media-lost"), "{status}");
}

/// Fails for a while in the middle of a file; says what was asked.
struct Breaks {
    inner: FakeDriver,
    asked: Arc<std::sync::Mutex<Vec<(String, String)>>>,
}

impl Driver for Breaks {
    fn fetch(&mut self, seq: u64, limit: u32) -> Result<Vec<u8>, DriverError> {
        self.inner.fetch(seq, limit)
    }

    fn decrypt(&mut self, random_key: &[u8], encrypted: &str) -> Result<Zeroizing<Vec<u8>>, DriverError> {
        self.inner.decrypt(random_key, encrypted)
    }

    fn media(&mut self, file_id: &str, index: &str) -> Result<Slice, DriverError> {
        let mut asked = self.asked.lock().unwrap();
        asked.push((file_id.to_owned(), index.to_owned()));
        let middle = asked
            .iter()
            .filter(|(_, index)| index == "Range:bytes=600-899")
            .count();
        if file_id == "expired" {
            return Err(DriverError::Code(10010));
        }
        if index == "Range:bytes=600-899" && middle <= 6 {
            return Err(DriverError::Code(10001));
        }
        self.inner.media(file_id, index)
    }
}
