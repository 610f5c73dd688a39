//! Random machines in memory and what is asked of them: every plan that a planner makes passes the checker, which shares no code with
//! it, and is itself after it was written down.
#![no_main]

use datastore_core::journal::{self, Begin, OperationId, Record};
use datastore_core::model::{Act, Choices, Pulse, Scenario};
use datastore_core::value::Id;
use datastore_core::verify::Violation;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let numbers: Vec<u16> = data.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
    let scenario = Scenario::draw(&mut Choices::new(&numbers), 6);
    let mut machine = scenario.machine();
    for (i, act) in scenario.acts.iter().enumerate() {
        let goal = match act {
            Act::Ask(goal) => goal,
            Act::Do(event) => {
                machine.disturb(event);
                continue;
            }
        };
        let seed = Id::from_random([u8::try_from(i).unwrap_or(0); 16]);
        match machine.plan(goal, seed) {
            Ok(checked) => {
                let plan = checked.plan();
                let begin = Record::Begin(Box::new(Begin {
                    version: journal::VERSION,
                    operation: OperationId::new("2026-11-23T17:43:01.250Z", [0; 4]).expect("a name"),
                    program: "0".into(),
                    at: 1,
                    uid: 0,
                    host: None,
                    boot: None,
                    goal: plan.goal.clone(),
                    plan: plan.id(),
                    mappings: plan.mappings.clone(),
                    steps: plan.steps.clone(),
                }));
                let told = journal::parse(journal::line(&begin).as_bytes()).expect("what was written is read");
                assert_eq!(Record::Begin(Box::new(told.begin)), begin);
                for step in &plan.steps {
                    assert!(!step.action.to_string().chars().any(char::is_control), "{}", step.action);
                }
            }
            Err(error) => {
                let cause = std::error::Error::source(&error).and_then(|e| e.downcast_ref::<Violation>());
                assert!(cause.is_none(), "{goal}: {}", error.chain());
            }
        }
        let mut witness = |_: &_| {};
        let mut pulse = Pulse { changes: 0, crash_at: None, fault_at: None, witness: &mut witness };
        let _ = machine.run(goal, seed, &mut pulse);
    }
});
