//! More requests than a node can compute, from a caller that does not wait for answers before it asks again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use thalweg::node::RequestError;
use thalweg_flow::{Reason, Refusal};

use super::path::{Path, Step, ones};
use super::{LONG, run};

const COMPUTE: Duration = Duration::from_millis(20);
const DEADLINE: Duration = Duration::from_millis(400);
const REQUESTS: u32 = 1500;

#[test]
fn under_ten_times_the_load_a_node_answers_as_many_as_it_can_and_refuses_the_rest_quickly() {
    run(async {
        let path = Arc::new(Path::of(&[Step::Relay, Step::slow(COMPUTE.as_millis() as u64)]).start());
        path.request(ones(), LONG).await.expect("a first answer, over new connections");
        let start = Instant::now();
        let mut asked = Vec::new();
        for number in 0..REQUESTS {
            tokio::time::sleep_until((start + COMPUTE / 10 * number).into()).await;
            let path = path.clone();
            asked.push(tokio::spawn(async move {
                let asked = Instant::now();
                (path.request(ones(), DEADLINE).await, asked.elapsed())
            }));
        }
        let (mut answered, mut busy, mut late) = (0, Vec::new(), 0);
        for one in asked {
            match one.await.expect("no request panics") {
                (Ok(_), took) => {
                    assert!(took < 2 * DEADLINE, "an answer after {took:?}");
                    answered += 1;
                }
                (Err(RequestError::Refused(Refusal { reason: Reason::Busy { .. }, .. })), took) => busy.push(took),
                (Err(RequestError::Refused(Refusal { reason: Reason::DeadlinePassed, .. })), _) => late += 1,
                (Err(other), _) => panic!("{other}"),
            }
        }
        let took = start.elapsed();
        let runs = path.runs() - 1;
        busy.sort();
        let median = busy[busy.len() / 2];
        let found =
            format!("{answered} answered, {late} late, {} refused in {median:?}, {runs} runs in {took:?}", busy.len());
        // Nearly nothing is computed in vain, the thread is never long without work, and what is refused does not wait.
        assert!(f64::from(answered) >= 0.9 * f64::from(runs), "{found}");
        assert!(COMPUTE * runs > took / 2, "{found}");
        assert!(late < REQUESTS / 10, "{found}");
        assert!(median < DEADLINE / 4, "{found}");
    });
}
