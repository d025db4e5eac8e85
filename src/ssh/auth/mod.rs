//! Logging in: which keys are offered to a host and in which order, and what answers its questions.

mod agent;
mod keyring;
mod keys;
mod log_in;
mod passwords;
mod pem;

pub use keyring::{AgentSockets, Keyring};
pub(super) use keys::rsa_bits;
pub use keys::{KeyFault, PassphrasePrompt};
pub(super) use log_in::{LogIn, LogInError, Refusal, asks_password};
pub use passwords::{LoginPassword, Passwords, Turn};
