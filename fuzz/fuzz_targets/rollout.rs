//! Plans that somebody edited, and answers of hosts to the steps of a rollout: nothing panics, and what
//! passes the validation names no file outside the places of units.
#![no_main]

use clawfleet::model::{Become, BecomeHow, Plan, RolloutStep};
use clawfleet::probe::Nonce;
use clawfleet::rollout::{StepRequest, parse_step, parse_survey, step_script, validate};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let nonce = Nonce::new(1);
    let _ = parse_survey(data, &nonce);
    let _ = parse_step(data, &nonce);
    let Ok(plan) = serde_json::from_slice::<Plan>(data) else {
        return;
    };
    if validate(&plan).is_err() {
        return;
    }
    let root = Become {
        how: BecomeHow::None,
        user: "root".into(),
        password: None,
    };
    for unit in &plan.units {
        for file in &unit.files {
            let of_units = ["/systemd/system/", "/systemd/user/"]
                .iter()
                .any(|dir| file.path.contains(dir));
            assert!(of_units && !file.path.contains("/../"), "{}", file.path);
        }
        let request = StepRequest {
            run: &plan.run,
            who: &plan.made_by,
            step: RolloutStep::Prepare,
            plan: unit,
            undo_after_s: Some(60),
            properties: &[],
        };
        step_script(request, &root, &nonce, &Nonce::new(2));
    }
});
