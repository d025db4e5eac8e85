//! L1: the rollout as a pure machine: what is done next to a unit, and to the fleet.

pub mod validate;
pub mod waves;

pub use validate::validate;
pub use waves::{BatchSpec, Gate, MaxFail, waves};
