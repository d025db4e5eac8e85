//! What the suites that drive the real binary share: running it, and the hosts it is run on.

// Each suite is a crate of its own and uses a part of this.
#![allow(dead_code, reason = "shared by suites that each use a part of it")]

pub(crate) mod fake;
pub(crate) mod lab;
pub(crate) mod program;
pub(crate) mod report;
pub(crate) mod terminal;
pub(crate) mod web;
