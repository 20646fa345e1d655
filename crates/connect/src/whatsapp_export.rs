//! Being written.
use std::io;
use crate::*;
/// Connector.
pub struct WhatsappExport;
impl Connector for WhatsappExport {
    fn id(&self) -> &'static str { "whatsapp-export" }
    fn version(&self) -> u32 { 1 }
    fn about(&self) -> &'static About { &ABOUT }
    fn door(&self) -> Door { Door::File }
    fn recognize(&self, _: &mut dyn Input, _: &ParseOptions) -> Result<(), NotRecognized> { Ok(()) }
    fn parse(&self, _: &mut dyn Input, _: &ParseOptions, _: &mut dyn Sink) -> io::Result<Report> { Ok(Report::default()) }
}
const ABOUT: About = About { title: "", summary: "", captures: &[], blind_spots: &[], problems: &[], authenticity: "", repeats: "", vendor_page: "", compared: "" };
