//! How many handshakes are in flight through one way: a jump host, or a proxy command.
//!
//! sshd drops connections at random once `MaxStartups` of them (10 by default) are not logged in
//! yet. A way begins below that. Where it is ours to see what happens on it, it widens with every
//! login and narrows by half with every refusal, as TCP does with its window.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Where a way begins: below the 10 of `MaxStartups 10:30:100`.
const START: usize = 8;

/// Where it ends: with this many in flight a processor is busy on both sides.
const MOST: usize = 64;

/// One way.
#[derive(Debug, Clone)]
pub(super) struct Gate(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    permits: Arc<Semaphore>,
    /// Whether it may widen.
    widens: bool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    width: usize,
    /// Permits in use that are not to be given back.
    debt: usize,
    /// Whether any handshake went through.
    worked: bool,
}

/// The right to be in flight.
#[derive(Debug)]
pub(super) struct Pass {
    gate: Gate,
    permit: Option<OwnedSemaphorePermit>,
}

impl Gate {
    pub(super) fn new(widens: bool) -> Self {
        Self(Arc::new(Shared {
            permits: Arc::new(Semaphore::new(START)),
            widens,
            state: Mutex::new(State {
                width: START,
                debt: 0,
                worked: false,
            }),
        }))
    }

    /// Waits for a place.
    pub(super) async fn pass(&self) -> Pass {
        let permit = Arc::clone(&self.0.permits).acquire_owned().await;
        Pass {
            gate: self.clone(),
            // The semaphore is never closed.
            permit: permit.ok(),
        }
    }

    fn change(&self, change: impl FnOnce(&mut State, &Semaphore)) {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state, &self.0.permits);
    }
}

impl Pass {
    /// A handshake went through.
    pub(super) fn worked(&self) {
        // A way that is not ours to see only recovers what refusals took from it.
        let most = if self.gate.0.widens { MOST } else { START };
        self.gate.change(|state, permits| {
            state.worked = true;
            if state.width >= most {
                return;
            }
            if state.debt > 0 {
                state.debt -= 1;
                state.width += 1;
            } else {
                state.width += 1;
                permits.add_permits(1);
            }
        });
    }

    /// Whether a handshake of anybody went through on this way.
    pub(super) fn others_worked(&self) -> bool {
        let mut worked = false;
        self.gate.change(|state, _| worked = state.worked);
        worked
    }

    /// The server on the other side refused because of too many.
    pub(super) fn refused(&self) {
        self.gate.change(|state, permits| {
            let less = state.width / 2;
            state.width -= less;
            let at_once = permits.forget_permits(less);
            state.debt += less - at_once;
        });
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let Some(permit) = self.permit.take() else {
            return;
        };
        self.gate.change(|state, _| {
            if state.debt > 0 {
                state.debt -= 1;
                permit.forget();
            } else {
                drop(permit);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn free(gate: &Gate) -> usize {
        gate.0.permits.available_permits()
    }

    #[tokio::test]
    async fn a_way_widens_with_logins_and_halves_with_refusals() {
        let gate = Gate::new(true);
        let first = gate.pass().await;
        assert_eq!(free(&gate), START - 1);
        first.worked();
        drop(first);
        assert_eq!(free(&gate), START + 1);
        let one = gate.pass().await;
        one.refused();
        drop(one);
        // Of nine, four are gone.
        assert_eq!(free(&gate), 5);
    }

    #[tokio::test]
    async fn what_is_in_flight_pays_its_debt_when_it_lands() {
        let gate = Gate::new(true);
        let mut all = Vec::new();
        for _ in 0..START {
            all.push(gate.pass().await);
        }
        all[0].refused();
        assert_eq!(free(&gate), 0);
        drop(all);
        assert_eq!(free(&gate), START / 2);
    }

    #[tokio::test]
    async fn a_way_never_closes_and_never_grows_without_end() {
        let gate = Gate::new(true);
        for _ in 0..20 {
            gate.pass().await.refused();
        }
        assert_eq!(free(&gate), 1);
        for _ in 0..1000 {
            gate.pass().await.worked();
        }
        assert_eq!(free(&gate), MOST);
    }

    #[tokio::test]
    async fn a_way_that_is_not_ours_to_see_keeps_its_width() {
        let gate = Gate::new(false);
        for _ in 0..20 {
            gate.pass().await.worked();
        }
        assert_eq!(free(&gate), START);
    }

    #[tokio::test]
    async fn a_way_that_is_not_ours_to_see_recovers_after_refusals() {
        let gate = Gate::new(false);
        gate.pass().await.refused();
        assert_eq!(free(&gate), START / 2);
        for _ in 0..20 {
            gate.pass().await.worked();
        }
        assert_eq!(free(&gate), START);
    }
}
