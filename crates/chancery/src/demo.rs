//! `demo`: the main job in one command.

use clap::Args;

use crate::args::Global;
use crate::failure::{Failure, MISSING};

/// Arguments of `demo`.
#[derive(Args)]
pub struct DemoArgs {}

/// Runs it.
///
/// # Errors
/// What failed on the way.
pub fn demo(_global: &Global, _args: &DemoArgs) -> Result<u8, Failure> {
    Err(Failure::new(MISSING, "this build has no demo"))
}
