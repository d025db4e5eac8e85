//! A message that is on its way to somebody.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A message on its way to one channel. It holds what is sent as it was rendered: no address, no
/// token and no signature, which are put to it when it is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxEntry {
    /// Names the message to its receiver, who may get it twice: a crash after the sending and
    /// before the bookkeeping sends it again, under the same id.
    pub id: String,
    /// The channel's name in the inventory.
    pub channel: String,
    /// The kind of channel that it was rendered for.
    pub format: String,
    /// The rendered body.
    pub payload: String,
    /// How often it was tried.
    pub attempts: u32,
    /// When it may be tried again.
    pub next_at: Timestamp,
    /// Whether it was the receiver who asked to wait until then.
    #[serde(default)]
    pub asked: bool,
    /// When it was made.
    pub first_at: Timestamp,
    /// Why the last try failed.
    pub last_error: Option<String>,
}
