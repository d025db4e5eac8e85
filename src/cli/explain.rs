//! `clawfleet explain`.

use super::args::ExplainArgs;
use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use crate::model::Class;
use crate::report::{explain_all, explain_one};

pub(super) fn run(context: &Context, args: &ExplainArgs) -> Result<Exit, CliError> {
    let text = match &args.class {
        None => explain_all(context.view),
        Some(id) => {
            let class = Class::from_id(id).ok_or_else(|| CliError::Usage {
                message: format!("no class is called `{id}`"),
                hint: Some("`clawfleet explain` lists them".to_owned()),
            })?;
            explain_one(class, context.view)
        }
    };
    context.print(&text)?;
    Ok(Exit::Clean)
}
