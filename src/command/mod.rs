//! L1: commands on a fleet, without their I/O: the script that a host is sent, what it says beside the
//! command's output, hosts whose results agree, and what the whole of it comes to.

mod fold;
mod marks;
mod script;
mod tally;

pub use fold::{ResultGroup, groups};
pub use marks::{EndMark, Marks, Part};
pub use script::{Body, GetScript, PutScript, RunScript, Words, interpreter};
pub use tally::{Tally, Verdict};
