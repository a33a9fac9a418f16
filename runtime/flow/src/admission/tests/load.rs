//! A node under an open load.

use super::*;

/// Numbers that look random (SplitMix64), between 0 and 1.
struct Chance(u64);

impl Chance {
    fn throw(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// A node under an open load: what each caller sends, as a multiple of what the node can compute in all.
struct Load {
    seed: u64,
    threads: u32,
    callers: &'static [f64],
    /// On average; single times spread by half of it to both sides.
    compute: Duration,
    deadline: Duration,
    /// Of what all threads could do in sum, what they do where they share one request; none where they cannot.
    spread: Option<f64>,
}

/// Of each caller, the share of the node's capacity that was answered in time; and requests that were taken, but
/// refused later.
fn simulate(load: &Load) -> (Vec<f64>, u32) {
    const LENGTH: Duration = Duration::from_secs(120);
    let mut chance = Chance(load.seed);
    let mut admission: Admission<usize, Duration> = Admission::new(threads(load.threads), 2048);
    if load.spread.is_some() {
        admission.spread(share(0));
    }
    let rate = |share: f64| share * f64::from(load.threads) / load.compute.as_secs_f64();
    let mut arrivals = vec![Duration::ZERO; load.callers.len()];
    let mut running: Vec<Option<(Duration, Ticket, Duration, usize)>> = vec![None; load.threads as usize];
    let (mut served, mut late) = (vec![Duration::ZERO; load.callers.len()], 0);
    let mut owner = BTreeMap::new();
    loop {
        let (next, caller) = (0..arrivals.len()).map(|caller| (arrivals[caller], caller)).min().unwrap();
        let ends = running.iter().flatten().min().copied();
        let now = ends.map_or(next, |ends| ends.0.min(next));
        if now > LENGTH {
            return (served.iter().map(|one| one.div_duration_f64(LENGTH * load.threads)).collect(), late);
        }
        if let Some((end, ticket, work, of)) = ends.filter(|ends| ends.0 == now) {
            let deadline = owner.remove(&ticket).unwrap();
            admission.done(ticket, now);
            running.iter_mut().filter(|one| one.is_some_and(|one| one.1 == ticket)).for_each(|one| *one = None);
            served[of] += if end <= deadline { work } else { Duration::ZERO };
        } else {
            arrivals[caller] += Duration::from_secs_f64(-(1.0 - chance.throw()).ln() / rate(load.callers[caller]));
            let deadline = now + load.deadline;
            if let Ok(ticket) = admission.enter(caller, share(0), deadline, now) {
                owner.insert(ticket, deadline);
                late += u32::from(admission.ready(ticket, deadline, now).is_err());
            }
        }
        for thread in running.iter_mut().filter(|thread| thread.is_none()) {
            while let Some(turn) = admission.take(now, Some(share(0))) {
                let Turn::Run { ticket, alone, .. } = turn else {
                    late += 1;
                    continue;
                };
                let caller = admission.running[&ticket].caller;
                let work = load.compute.mul_f64(0.5 + chance.throw());
                let reached = load.spread.filter(|_| alone).map_or(1.0, |reached| reached * f64::from(load.threads));
                *thread = Some((now + work.div_f64(reached), ticket, work, caller));
                break;
            }
        }
    }
}

#[test]
fn at_ten_times_the_load_nine_tenths_of_the_capacity_are_answered_in_time() {
    for seed in 0..5 {
        for (threads, deadline_ms, callers, spread) in [
            (1, 500, &[10.0][..], None),
            (1, 120, &[4.0, 3.0, 3.0], None),
            (4, 200, &[1.0; 10], None),
            (4, 200, &[1.0; 10], Some(0.7)),
            (2, 5000, &[5.0, 5.0], None),
            (2, 120, &[5.0, 5.0], Some(0.5)),
            (1, 60, &[10.0], None),
        ] {
            let load = Load { seed, threads, callers, compute: ms(30), deadline: ms(deadline_ms), spread };
            let (served, late) = simulate(&load);
            let goodput: f64 = served.iter().sum();
            assert!(goodput >= 0.9, "seed {seed}, {threads} threads, {deadline_ms} ms: {served:?}, {late} late");
        }
    }
}

#[test]
fn a_caller_that_sends_a_hundred_times_as_much_gets_no_more_than_the_rest_leaves() {
    for seed in 0..5 {
        let callers = &[20.0, 0.2, 0.2, 20.0];
        let load = Load { seed, threads: 1, callers, compute: ms(10), deadline: ms(400), spread: None };
        let (served, _) = simulate(&load);
        // The two that want less than their quarter get nearly all of it, the two that want more halve the rest.
        assert!(served[1] > 0.18 && served[2] > 0.18, "seed {seed}: {served:?}");
        assert!((served[0] - served[3]).abs() < 0.02 && served[0] < 0.32, "seed {seed}: {served:?}");
    }
}
