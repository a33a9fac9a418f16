//! Runs every placement for real, in turns, so that a machine that slows down slows all of them down.

use std::time::{Duration, Instant};

use thalweg_flow::PlanId;
use thalweg_planner::Tensor;
use tokio::time::sleep;

use super::deploy::{Deployment, EPOCH};
use crate::node::{Answered, RequestError};

/// Time after which no further round starts, because somebody waits; three that count are always made.
const BUDGET: Duration = Duration::from_secs(15);

/// What a failed request has left behind gets no longer than this to pass.
const AFTERMATH_MAX: Duration = Duration::from_secs(30);

/// What a placement has shown.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Latencies, in ascending order.
    pub latencies: Vec<Duration>,
    /// The request of median latency.
    pub median: Answered,
}

/// Runs each of `plans` on `inputs`, round by round; `progress` hears how many requests are done, of how many.
///
/// At most `rounds_max` rounds count; one more comes first, which opens congestion windows and does not.
///
/// A plan of which a request failed is not run again, and its error stands in its place. What such a request has left on
/// nodes and links gets the time that its plan predicts to pass, so that the next one does not wait behind it.
pub async fn measure(
    deployment: &Deployment<'_>,
    plans: &[(PlanId, Duration)],
    inputs: &[Tensor],
    deadline: Duration,
    rounds_max: usize,
    mut progress: impl FnMut(usize, usize),
) -> Vec<Result<Measured, RequestError>> {
    let mut answered: Vec<Result<Vec<Answered>, RequestError>> = plans.iter().map(|_| Ok(Vec::new())).collect();
    let started = Instant::now();
    for round in 0..=rounds_max {
        if round > 3 && started.elapsed() > BUDGET {
            break;
        }
        for turn in 0..plans.len() {
            progress(round * plans.len() + turn, (rounds_max + 1) * plans.len());
            // Each round begins with another plan, so that none always comes first.
            let index = (round + turn) % plans.len();
            let (plan, predicted) = plans[index];
            let Ok(earlier) = &mut answered[index] else { continue };
            match deployment.device().request(plan, EPOCH, inputs.to_vec(), deadline).await {
                Ok(answer) if round > 0 => earlier.push(answer),
                Ok(_) => {}
                Err(error) => {
                    answered[index] = Err(error);
                    sleep(predicted.min(AFTERMATH_MAX)).await;
                }
            }
        }
    }
    answered.into_iter().map(|answers| answers.map(summary)).collect()
}

/// There are at least three answers, or there would be an error.
fn summary(mut answers: Vec<Answered>) -> Measured {
    answers.sort_by_key(|answer| answer.length);
    let latencies = answers.iter().map(|answer| answer.length).collect();
    let median = answers.swap_remove(answers.len() / 2);
    Measured { latencies, median }
}
