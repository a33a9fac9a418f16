//! Tries the shaper in simulated time.

use proptest::prelude::*;

use super::*;

/// A link without any fault and with a queue that takes everything.
fn clean(rate: u64, delay_ms: u64) -> Shape {
    Shape {
        rate: Bandwidth(rate),
        delay: Duration::from_millis(delay_ms),
        jitter: Duration::ZERO,
        loss: 0.0,
        queue: Bytes(u64::MAX),
        reorder: 0.0,
        duplicate: 0.0,
        outage: None,
        trace: None,
    }
}

fn arrival(verdict: Verdict) -> Option<Duration> {
    match verdict {
        Verdict::Deliver { at, .. } => Some(at),
        Verdict::Drop(_) => None,
    }
}

/// What becomes of `count` packets of `bytes`, one every `gap`.
fn stream(shaper: &mut Shaper, count: u32, bytes: usize, gap: Duration) -> Vec<Verdict> {
    (0..count).map(|index| shaper.offer(gap * index, bytes)).collect()
}

/// Asserts that a share of `count` throws is the probability it should be, within four standard deviations.
fn assert_share(hits: u64, count: u64, probability: f64) {
    let share = hits as f64 / count as f64;
    let bound = 4.0 * (probability * (1.0 - probability) / count as f64).sqrt();
    assert!((share - probability).abs() <= bound, "{share} is not {probability} ± {bound}");
}

#[test]
fn a_lone_packet_takes_its_time_on_the_link_and_the_delay() {
    let mut shaper = Shaper::new(&clean(250_000, 100), None, 1);
    let verdict = shaper.offer(Duration::from_secs(5), 1250);
    assert_eq!(verdict, Verdict::Deliver { at: Duration::from_millis(5000 + 40 + 100), twice: false });
}

#[test]
fn a_burst_leaves_at_the_rate() {
    for rate in [50_000, 250_000, 20_000_000, 100_000_000, 3_000_000_000_u64] {
        let verdicts = stream(&mut Shaper::new(&clean(rate, 10), None, 1), 10_001, 1200, Duration::ZERO);
        let arrivals: Vec<_> = verdicts.into_iter().filter_map(arrival).collect();
        let took = (arrivals[10_000] - arrivals[0]).as_secs_f64();
        let achieved = 10_000.0 * 1200.0 * 8.0 / took;
        assert!((achieved / rate as f64 - 1.0).abs() < 1e-6, "{achieved} instead of {rate}");
    }
}

#[test]
fn the_queue_drops_what_does_not_fit() {
    let shape = Shape { queue: Bytes(10_000), ..clean(8_000_000, 1) };
    let mut shaper = Shaper::new(&shape, None, 1);
    let kept = |verdicts: Vec<Verdict>| verdicts.into_iter().filter_map(arrival).count();
    assert_eq!(kept(stream(&mut shaper, 100, 1000, Duration::ZERO)), 10);
    assert_eq!(shaper.counters().queue_full, 90);
    // A millisecond later one has left, and there is room for one.
    assert!(arrival(shaper.offer(Duration::from_millis(1), 1001)).is_none());
    assert!(arrival(shaper.offer(Duration::from_millis(1), 1000)).is_some());
    assert!(arrival(shaper.offer(Duration::from_millis(1), 1)).is_none());
    // A packet larger than the queue still passes an idle link.
    assert!(arrival(shaper.offer(Duration::from_secs(1), 20_000)).is_some());
}

#[test]
fn throws_hit_the_shares_that_were_asked_for() {
    let count = 2_000_000;
    let shape = Shape { loss: 0.01, reorder: 0.003, duplicate: 0.02, ..clean(1_000_000_000, 20) };
    let mut shaper = Shaper::new(&shape, None, 42);
    stream(&mut shaper, count, 100, Duration::from_micros(10));
    let counters = shaper.counters();
    assert_share(counters.lost, counters.packets, 0.01);
    assert_share(counters.reordered, counters.delivered(), 0.003);
    assert_share(counters.duplicated, counters.delivered(), 0.02);
    assert_eq!((counters.packets, counters.bytes), (u64::from(count), 100 * u64::from(count)));
}

#[test]
fn losses_come_singly() {
    let mut shaper = Shaper::new(&Shape { loss: 0.2, ..clean(1_000_000_000, 20) }, None, 7);
    let verdicts = stream(&mut shaper, 200_000, 100, Duration::from_micros(10));
    let pairs = verdicts.windows(2).filter(|pair| pair.iter().all(|one| arrival(*one).is_none())).count();
    assert_share(pairs as u64, 199_999, 0.04);
}

#[test]
fn a_reordered_packet_skips_the_delay() {
    let shape = Shape { reorder: 0.5, ..clean(8_000_000, 30) };
    let verdicts = stream(&mut Shaper::new(&shape, None, 3), 100, 1000, Duration::from_millis(2));
    let delays = verdicts.into_iter().filter_map(arrival).zip(0_u32..).map(|(at, i)| at - Duration::from_millis(2) * i);
    let (fast, slow): (Vec<_>, Vec<_>) = delays.partition(|delay| *delay < Duration::from_millis(30));
    assert!(fast.len() > 20 && fast.iter().all(|delay| *delay == Duration::from_millis(1)));
    assert!(slow.len() > 20 && slow.iter().all(|delay| *delay == Duration::from_millis(31)));
}

#[test]
fn an_outage_takes_what_would_leave_meanwhile() {
    let outage = Some(Outage { every: Duration::from_secs(1), length: Duration::from_millis(200) });
    let mut shaper = Shaper::new(&Shape { outage, ..clean(8_000_000_000, 10) }, None, 1);
    for (millis, arrives) in [(0, true), (799, true), (800, false), (999, false), (1000, true), (1801, false)] {
        assert_eq!(arrival(shaper.offer(Duration::from_millis(millis), 100)).is_some(), arrives, "at {millis} ms");
    }
    assert_eq!(shaper.counters().outage, 3);
}

#[test]
fn a_trace_replaces_the_rate() {
    // 3 chances in 5 ms: 1,504 bytes · 8 · 600 a second.
    let trace = Trace::parse("1\n1\n5\n").ok();
    let verdicts = stream(&mut Shaper::new(&clean(1, 20), trace, 1), 6001, 1200, Duration::ZERO);
    let arrivals: Vec<_> = verdicts.into_iter().filter_map(arrival).collect();
    assert_eq!(arrivals[0], Duration::from_millis(21));
    let achieved = 6000.0 * 1200.0 * 8.0 / (arrivals[6000] - arrivals[0]).as_secs_f64();
    assert!((achieved / (1504.0 * 8.0 * 600.0) - 1.0).abs() < 0.002, "{achieved}");
}

#[test]
fn a_link_without_rate_delivers_nothing() {
    let mut shaper = Shaper::new(&clean(0, 10), None, 1);
    assert!(stream(&mut shaper, 10, 100, Duration::from_secs(1)).into_iter().all(|one| arrival(one).is_none()));
    assert_eq!(shaper.counters().outage, 10);
}

/// Any shape, odd ones included.
fn shapes() -> impl Strategy<Value = Shape> {
    let share = || prop_oneof![0.0..1.0, Just(0.0), Just(f64::NAN), Just(f64::INFINITY), Just(-1.0), Just(2.0)];
    let time =
        || prop_oneof![0_u64..2_000_000, 0_u64..1_000_000_000, Just(0), Just(u64::MAX)].prop_map(Duration::from_nanos);
    let longest = || prop_oneof![9 => time(), 1 => Just(Duration::MAX)];
    let number = || prop_oneof![0_u64..10_000, 0_u64..1_000_000_000, Just(u64::MAX)];
    let outage = prop::option::of((longest(), longest()).prop_map(|(every, length)| Outage { every, length }));
    (number(), longest(), longest(), share(), number(), share(), share(), outage).prop_map(
        |(rate, delay, jitter, loss, queue, reorder, duplicate, outage)| {
            let (rate, queue) = (Bandwidth(rate), Bytes(queue));
            Shape { rate, delay, jitter, loss, queue, reorder, duplicate, outage, trace: None }
        },
    )
}

proptest! {
    #[test]
    fn any_shape_is_obeyed(
        shape in shapes(), seed: u64, traced: bool,
        offers in prop::collection::vec((0_u64..3_000_000, prop_oneof![0_usize..2000, Just(usize::MAX)]), 1..100),
    ) {
        let trace = || traced.then(|| Trace::parse("0\n3\n3\n40").ok()).flatten();
        let (mut one, mut two) = (Shaper::new(&shape, trace(), seed), Shaper::new(&shape, trace(), seed));
        let (mut now, mut last) = (Duration::ZERO, Duration::ZERO);
        for (gap, bytes) in offers {
            now += Duration::from_nanos(gap);
            let verdict = one.offer(now, bytes);
            prop_assert_eq!(verdict, two.offer(now, bytes), "the same seed gave another verdict");
            if let Some(at) = arrival(verdict) {
                prop_assert!(at >= now);
                prop_assert!(shape.reorder > 0.0 || at >= last, "order was not kept");
                last = at;
            }
            prop_assert!(one.queue.bytes <= shape.queue.0 || one.queue.waiting.len() == 1);
        }
    }
}

#[test]
fn another_seed_gives_other_losses() {
    let shape = Shape { loss: 0.5, ..clean(1_000_000, 1) };
    let run = |seed| stream(&mut Shaper::new(&shape, None, seed), 100, 100, Duration::from_millis(1));
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}
