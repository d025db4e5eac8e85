//! `clawfleet copy`.

use super::args_run::CopyArgs;
use super::context::Context;
use super::error::CliError;
use super::exit::Exit;

pub(super) fn run(_: &Context, _: &CopyArgs) -> Result<Exit, CliError> {
    Ok(Exit::Usage)
}
