//! Takes what a check opens, as text.

use seal::bundle::Sink;

/// Everything that was opened, as the extractor gets it.
#[derive(Default)]
pub struct Opened(pub Vec<String>);

impl Sink for Opened {
    fn capture(&mut self, at: model::Position, _: u32, _: bool, plain: &[u8]) -> std::io::Result<()> {
        self.0.push(format!("{at} {}", String::from_utf8_lossy(plain)));
        Ok(())
    }

    fn item(&mut self, at: model::Position, place: seal::part::Place, plain: &[u8]) -> std::io::Result<()> {
        let text = String::from_utf8_lossy(plain);
        self.0.push(format!("{at}.{} {text}", place.ordinal));
        Ok(())
    }

    fn act(&mut self, at: model::Position, plain: &[u8]) -> std::io::Result<()> {
        self.0.push(format!("{at} {}", String::from_utf8_lossy(plain)));
        Ok(())
    }

    fn line(&mut self, _: &'static str, _: &[u8]) -> std::io::Result<()> {
        Ok(())
    }
}
