//! One model on one device over one link: all placements that could be the fastest are run.

use std::time::Duration;

use serde::Serialize;
use thalweg::run::{Deployment, EPOCH};
use thalweg_flow::PlanId;
use thalweg_planner::{Crossing, Plan, Slowdown, baselines, candidates, plan};

use super::Failure;
use super::grid::World;

/// Placements within this factor of the fastest are run again and again.
const NEAR: f64 = 1.12;
/// So many of them at most, the plan and the fastest single place beside them.
const NEAR_MAX: usize = 6;
/// How long the rounds of a cell may take, and how many there are.
const BUDGET_S: f64 = 4.0;
const ROUNDS: [usize; 2] = [3, 9];
/// What one request may take.
const TIME_MAX: Duration = Duration::from_secs(120);

/// What one cell has shown. Times are medians in milliseconds.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Cell {
    pub(crate) model: String,
    pub(crate) device: String,
    pub(crate) link: String,
    /// Layers on the device, and how what crosses is coded.
    pub(crate) decision: String,
    pub(crate) predicted_ms: f64,
    pub(crate) plan_ms: f64,
    /// The fastest that was measured, the plan among them.
    pub(crate) best: String,
    pub(crate) best_ms: f64,
    /// Placements that could be, and that were run.
    pub(crate) candidates: usize,
    pub(crate) run: usize,
    pub(crate) places: Places,
}

/// The whole model in one place; where what the emulation enforces is more than twice the plan's time, it is that, not
/// run.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Places {
    pub(crate) device_ms: f64,
    pub(crate) server_raw_ms: f64,
    /// None for inputs that are no photos.
    pub(crate) server_jpeg_ms: Option<f64>,
    /// None for inputs that are no photos.
    pub(crate) server_webp_ms: Option<f64>,
    /// Whether only the device counts, because inputs must stay there.
    pub(crate) inputs_stay: bool,
}

/// One way to run the model.
struct Entry {
    name: String,
    plan: Plan,
    /// What the emulation enforces: the device's time, bytes over bandwidth, delays. It cannot take less.
    floor: Duration,
    /// Placed in one place.
    single: bool,
    /// Whether it keeps inputs where they must stay.
    allowed: bool,
    times: Vec<Duration>,
}

impl Entry {
    fn median(&self) -> Option<Duration> {
        let mut times = self.times.clone();
        times.sort_unstable();
        times.get(times.len() / 2).copied()
    }

    fn median_or_floor_ms(&self) -> f64 {
        ms(self.median().unwrap_or(self.floor))
    }
}

pub(crate) async fn measure(world: &World<'_>) -> Result<Cell, Failure> {
    let World { subject, graph, topology, places, .. } = world;
    let mut entries = entries(world)?;
    let all = entries.len();
    let mut deployment = Deployment::start(subject, graph, topology, places)?;
    // In ascending order of what they take at least: what takes more than the fastest so far cannot be faster.
    let mut order: Vec<usize> = (1..all).collect();
    order.sort_by_key(|index| entries[*index].floor);
    let mut ids: Vec<Option<PlanId>> = vec![None; all];
    let mut least = Duration::MAX;
    let mut joined = false;
    for index in std::iter::once(0).chain(order) {
        if !entries[index].allowed {
            continue;
        }
        if entries[index].floor > least && !(entries[index].single && entries[index].floor < 2 * least) {
            continue;
        }
        let id = deployment.install(&entries[index].plan)?;
        ids[index] = Some(id);
        if !joined && entries[index].plan.hops.len() > 1 {
            deployment.join().await?;
            joined = true;
        }
        // The first request opens windows and touches memory for the first time.
        request(&deployment, id, world).await?;
        let took = request(&deployment, id, world).await?;
        entries[index].times.push(took);
        least = least.min(took);
    }
    let again = finalists(&entries, least);
    let rounds = ((BUDGET_S / (least.as_secs_f64() * again.len() as f64)) as usize).clamp(ROUNDS[0], ROUNDS[1]);
    again.iter().for_each(|index| entries[*index].times.clear());
    for round in 0..rounds {
        for turn in 0..again.len() {
            let index = again[(round + turn) % again.len()];
            let Some(id) = ids[index] else { continue };
            let took = request(&deployment, id, world).await?;
            entries[index].times.push(took);
        }
    }
    deployment.stop(Duration::from_secs(1)).await;
    Ok(cell(world, &entries, &again))
}

/// The plan, then each other placement once.
fn entries(world: &World<'_>) -> Result<Vec<Entry>, Failure> {
    let World { graph, topology, objective, .. } = world;
    let best = plan(graph, topology, objective)?;
    let others = candidates(graph, topology, objective, &best)?.into_iter().filter_map(|candidate| {
        Some((format!("{} layers on the device", candidate.separator.at), candidate.plan.ok()?, false))
    });
    let places = baselines(graph, topology, objective).into_iter().filter(|baseline| baseline.single_place);
    let places = places.filter_map(|place| Some((place.name, place.plan.ok()?, true)));
    let mut entries: Vec<Entry> = Vec::new();
    for (name, plan, single) in
        std::iter::once(("the plan".to_owned(), best.clone(), false)).chain(places).chain(others)
    {
        let same = entries.iter_mut().find(|entry| entry.plan.decides_like(&plan));
        match same {
            Some(entry) if single => (entry.single, entry.name) = (true, name),
            Some(_) => {}
            None => entries.push(Entry {
                floor: floor(world, &plan),
                allowed: !(objective.inputs_stay && plan.sends_inputs(graph)),
                name,
                plan,
                single,
                times: Vec::new(),
            }),
        }
    }
    Ok(entries)
}

fn floor(world: &World<'_>, plan: &Plan) -> Duration {
    let topology = &world.topology;
    let emulated = |tier: usize| topology.tiers[tier].slowdown != Slowdown::NONE;
    let busy = plan.hops.iter().zip(plan.busy()).filter(|(hop, _)| emulated(hop.tier)).map(|(_, busy)| busy);
    let wires = plan.crossings.iter().zip(plan.hops.windows(2)).flat_map(|(crossing, ends)| {
        let up = topology.direction(ends[0].tier, ends[1].tier);
        let down = topology.direction(ends[1].tier, ends[0].tier);
        let up = up.map(|way| way.delay + way.bandwidth.time_for(crossing.bytes()));
        up.into_iter().chain(down.map(|way| way.delay + way.bandwidth.time_for(crossing.answer_bytes)))
    });
    busy.chain(wires).sum()
}

/// What is run again: the plan, the fastest single place, and what is near the fastest.
fn finalists(entries: &[Entry], least: Duration) -> Vec<usize> {
    let median = |index: &usize| entries[*index].median().unwrap_or(Duration::MAX);
    let mut near: Vec<usize> = (1..entries.len()).filter(|index| median(index) <= least.mul_f64(NEAR)).collect();
    near.sort_by_key(median);
    near.truncate(NEAR_MAX);
    let places = (0..entries.len()).filter(|index| entries[*index].single && !entries[*index].times.is_empty());
    let single = places.min_by_key(median);
    let mut again: Vec<usize> = std::iter::once(0).chain(single).chain(near).collect();
    again.sort_unstable();
    again.dedup();
    again
}

async fn request(deployment: &Deployment<'_>, id: PlanId, world: &World<'_>) -> Result<Duration, Failure> {
    let inputs = world.subject.inputs.clone();
    Ok(deployment.device().request(id, EPOCH, inputs, TIME_MAX).await?.length)
}

fn cell(world: &World<'_>, entries: &[Entry], again: &[usize]) -> Cell {
    let median = |index: &usize| entries[*index].median().unwrap_or(Duration::MAX);
    let best = again.iter().min_by_key(|index| median(index)).copied().unwrap_or(0);
    let the_plan = &entries[0];
    let place = |part: &str| {
        let found = entries.iter().find(|entry| entry.single && entry.name.contains(part));
        found.map(Entry::median_or_floor_ms)
    };
    Cell {
        model: world.subject.name.clone(),
        device: world.device.to_owned(),
        link: world.link.0.to_owned(),
        decision: decision(&the_plan.plan),
        predicted_ms: ms(the_plan.plan.latency),
        plan_ms: the_plan.median_or_floor_ms(),
        best: entries[best].name.clone(),
        best_ms: entries[best].median_or_floor_ms(),
        candidates: entries.len(),
        run: entries.iter().filter(|entry| !entry.times.is_empty()).count(),
        places: Places {
            device_ms: place("on device").unwrap_or(f64::NAN),
            server_raw_ms: place("raw").unwrap_or(f64::NAN),
            server_jpeg_ms: place("JPEG"),
            server_webp_ms: place("WebP"),
            inputs_stay: world.objective.inputs_stay,
        },
    }
}

/// `16 of 160 layers, int8`.
fn decision(plan: &Plan) -> String {
    let here = plan.hops.first().map_or(0, |hop| hop.layers.len());
    let all: usize = plan.hops.iter().map(|hop| hop.layers.len()).sum();
    // There is one link.
    let codecs = plan.crossings.first().map_or_else(Vec::new, Crossing::codecs);
    let codecs = if codecs.is_empty() { String::new() } else { format!(", {}", codecs.join(" and ")) };
    format!("{here} of {all}{codecs}")
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
