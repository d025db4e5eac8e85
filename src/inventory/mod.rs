//! L1: the inventory: YAML in, hosts out, and where every value came from.
//!
//! `file` knows the shape of the YAML, `settings` its meaning, `resolve` who wins, `select` which
//! hosts an operator means. None of them reads a file: the text comes in from above.

mod checks;
mod error;
mod expect;
mod file;
mod groups;
mod heartbeat;
mod host;
mod notify;
mod raw_channel;
mod resolve;
mod select;
mod services;
mod settings;
mod ssh;

pub use error::{InventoryError, did_you_mean};
pub use heartbeat::is_secret_address;
pub use resolve::{Beside, Inventory, parse, parse_with};
pub use select::{LastRun, SelectError};
pub use settings::{Layer, Origin, ServiceEntry, SettingValue};

/// The largest inventory that is read, in bytes. Ten thousand hosts with labels take about 1 MB.
pub const MAX_BYTES: u64 = 8 << 20;

/// The commented example that `inventory init` writes.
pub const EXAMPLE: &str = include_str!("../../inventory.example.yaml");
