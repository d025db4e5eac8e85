//! `clawfleet explain`.

use super::args::ExplainArgs;
use super::context::Context;
use super::error::CliError;
use super::exit::Exit;
use crate::model::Class;
use crate::report::{explain_all, explain_check, explain_one};

pub(super) fn run(context: &Context, args: &ExplainArgs) -> Result<Exit, CliError> {
    let text = match &args.class {
        None => explain_all(context.view),
        Some(id) if id.starts_with("custom/") => {
            let (inventory, _) = context.load_inventory()?;
            explain_check(&inventory, id, context.view).ok_or_else(|| CliError::Usage {
                message: format!("no check of the inventory is called `{id}`"),
                hint: Some("`clawfleet check --list` lists them".to_owned()),
            })?
        }
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
