//! Agentless fleet checks for OpenClaw gateways over SSH.
//!
//! The layers, lowest first: [`model`] (data), [`inventory`], [`probe`], [`ssh_config`], [`mod@unit`], [`diagnose`],
//! [`planner`], [`rollout`] and [`mod@command`] (pure),
//! [`ssh`] and [`store`] (the outside world), [`fleet`] (many hosts at once), [`report`] (what
//! people and programs read), [`notify`] (who is told), [`cli`]. ARCHITECTURE.md says what may import what, and a test holds it.

pub mod cli;
pub mod command;
pub mod diagnose;
pub mod fleet;
pub mod inventory;
pub mod model;
pub mod notify;
pub mod planner;
pub mod probe;
pub mod report;
pub mod rollout;
pub mod ssh;
pub mod ssh_config;
pub mod store;
pub mod unit;
