//! Thresholds, each from both sides, and bandwidths that collapse and come back.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use thalweg_planner::{Bandwidth, Bytes, Direction, Link, Slowdown, Tier, Topology};

use super::*;
use crate::hold::{HOLD_MAX, HOLD_MIN};
use crate::{CrossingCost, HopCost, message};

const LOCAL: PlanId = PlanId([0; 32]);
const FAR: PlanId = PlanId([1; 32]);
const SMALL: PlanId = PlanId([2; 32]);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Two tiers whose links have this bandwidth in Mbit/s and no delay.
fn estimates(mbit: u64) -> Estimates {
    let tier = Tier {
        name: String::new(),
        memory: Bytes(0),
        slowdown: Slowdown::NONE,
        gpu: false,
        watts: 0.0,
        price_hour: 0.0,
    };
    let bandwidth = Bandwidth(mbit * 1_000_000);
    let direction = Direction { bandwidth, delay: Duration::ZERO, nanojoules_byte: 0.0, price_gb: 0.0 };
    let links = [(0, 1), (1, 0)].map(|(from, to)| Link { from, to, direction });
    Estimates::new(&Topology { tiers: vec![tier; 2], links: links.to_vec() })
}

fn local(compute: Duration) -> Alternative {
    Alternative { plan: LOCAL, hops: vec![HopCost { tier: 0, compute }], crossings: vec![] }
}

/// Sends so many bytes to the other tier, which computes for so long in all.
fn far(plan: PlanId, bytes: u64, here: Duration) -> Alternative {
    let hops = vec![HopCost { tier: 0, compute: here }, HopCost { tier: 1, compute: Duration::ZERO }];
    let [encode, decode] = [Duration::ZERO; 2];
    let crossings = vec![CrossingCost { from: 0, to: 1, encode, bytes: Bytes(bytes), decode, answer_bytes: Bytes(0) }];
    Alternative { plan, hops, crossings }
}

/// One that takes `far_time` over the link and one that takes 100 ms here and serves.
fn two(far_time: Duration) -> (Switch, Estimates) {
    let estimates = estimates(u64::MAX / 1_000_000);
    let mut switch = Switch::new(vec![local(ms(100))], &estimates, ms(0));
    // The link takes a nanosecond each way.
    let other = far(FAR, 0, far_time - Duration::from_nanos(2));
    assert_eq!(estimates.predict(&other, ms(0)), far_time);
    switch.replace(vec![local(ms(100)), other], &estimates, ms(0));
    assert_eq!(switch.serving(), Some(LOCAL));
    (switch, estimates)
}

/// Whether it changes when it decides again and again.
fn changes_by(switch: &mut Switch, estimates: &Estimates, now: &[Duration]) -> Vec<bool> {
    now.iter().map(|now| switch.decide(estimates, *now)).collect()
}

#[test]
fn better_by_less_than_the_share_is_not_better() {
    let tenth = ms(90);
    for (far_time, expected) in
        [(tenth + Duration::from_nanos(1), false), (tenth, true), (tenth - Duration::from_nanos(1), true)]
    {
        let (mut switch, estimates) = two(far_time);
        assert_eq!(changes_by(&mut switch, &estimates, &[ms(0), DWELL]), [false, expected], "{far_time:?}");
    }
}

#[test]
fn better_by_less_than_the_minimum_is_not_better() {
    let served = ms(10);
    assert!(!is_better(served - BETTER_MIN + Duration::from_nanos(1), served));
    assert!(is_better(served - BETTER_MIN, served));
    assert!(is_better(ms(90), Duration::MAX));
    assert!(!is_better(Duration::MAX, Duration::MAX));
}

#[test]
fn better_for_less_than_the_dwell_is_not_enough() {
    let just_before = DWELL - Duration::from_nanos(1);
    let (mut switch, estimates) = two(ms(50));
    assert_eq!(changes_by(&mut switch, &estimates, &[ms(0), just_before, DWELL]), [false, false, true]);
    let explained = switch.explain(&estimates, DWELL);
    let why = Why::Better { than: LOCAL, predicted: ms(50), than_predicted: ms(100) };
    assert_eq!((explained.serving, explained.since, explained.why), (Some(FAR), DWELL, Some(why)));
    assert_eq!(explained.standings[0].left_until, None, "the local one can always be had again");
}

#[test]
fn what_is_left_is_held_with_all_that_is_worse_over_the_same_link() {
    let estimates = estimates(10);
    let far = |plan: u8, millis| far(PlanId([plan; 32]), 0, ms(millis));
    let mut other_way = far(4, 80);
    other_way.crossings[0].from = 1;
    other_way.crossings[0].to = 0;
    let mut switch = Switch::new(vec![far(1, 50)], &estimates, ms(0));
    switch.replace(vec![far(1, 50), far(2, 60), far(3, 20), other_way, local(ms(90))], &estimates, ms(0));
    assert!(switch.decide(&estimates, DWELL));
    let explained = switch.explain(&estimates, DWELL);
    assert_eq!(explained.serving, Some(PlanId([3; 32])));
    let held: Vec<bool> = explained.standings.iter().map(|standing| standing.left_until.is_some()).collect();
    assert_eq!(held, [true, true, false, false, false]);
    assert_eq!(explained.standings[0].left_until, Some(DWELL + HOLD_MIN));
}

#[test]
fn a_break_starts_the_dwell_again() {
    let (mut switch, mut estimates) = two(ms(50));
    let link = estimates.links.get_mut(&(0, 1)).unwrap();
    link.under_way(Bytes(1), ms(0));
    assert!(!switch.decide(&estimates, ms(200)), "the link has stalled");
    estimates.links.get_mut(&(0, 1)).unwrap().nothing_under_way();
    let times = [ms(201), ms(201) + DWELL - Duration::from_nanos(1), ms(201) + DWELL];
    assert_eq!(changes_by(&mut switch, &estimates, &times), [false, false, true]);
}

#[test]
fn what_is_down_is_left_at_once_and_comes_back_after_hold_and_dwell() {
    let (mut switch, estimates) = two(ms(50));
    assert!(switch.decide(&estimates, DWELL));
    switch.link_down(1, 0, ms(1000));
    assert!(switch.decide(&estimates, ms(1000)));
    let why = Some(Why::Barred { before: FAR, by: Bar::LinkDown { from: 1, to: 0 } });
    assert_eq!((switch.serving(), switch.explain(&estimates, ms(1000)).why), (Some(LOCAL), why));
    assert!(!switch.decide(&estimates, ms(5000)));
    switch.link_up(1, 0, ms(5000));
    let usable = ms(5000) + HOLD_MIN;
    assert_eq!(
        switch.explain(&estimates, ms(5000)).standings[1].bar,
        Some(Bar::LinkHeld { from: 1, to: 0, until: usable })
    );
    let just_before = |time: Duration| time - Duration::from_nanos(1);
    let times = [just_before(usable), usable, just_before(usable + DWELL), usable + DWELL];
    assert_eq!(changes_by(&mut switch, &estimates, &times), [false, false, false, true]);
}

#[test]
fn a_tier_that_flaps_at_half_a_hertz_is_soon_left_alone_and_used_again_when_it_is_stable() {
    let (mut switch, estimates) = two(ms(50));
    assert!(switch.decide(&estimates, DWELL));
    let mut changes = 0;
    for tick in 0..600 {
        let now = ms(1000 + tick * 100);
        if tick % 10 == 0 {
            if tick / 10 % 2 == 0 { switch.tier_down(1, now) } else { switch.tier_up(1, now) }
        }
        changes += u32::from(switch.decide(&estimates, now));
    }
    assert!(changes <= 3, "{changes} changes in 30 flaps");
    assert_eq!(switch.serving(), Some(LOCAL));
    let stable = ms(1000 + 599 * 100);
    assert!(!switch.decide(&estimates, stable + HOLD_MAX - ms(1500)));
    switch.decide(&estimates, stable + HOLD_MAX);
    assert!(switch.decide(&estimates, stable + HOLD_MAX + DWELL));
    assert_eq!(switch.serving(), Some(FAR));
}

#[test]
fn silence_bars_after_three_failures_in_a_row_and_at_once_when_it_goes_on() {
    let (mut switch, estimates) = two(ms(50));
    assert!(switch.decide(&estimates, DWELL));
    for _ in 1..FAILURES {
        switch.failed(FAR, ms(1000));
    }
    switch.answered(FAR);
    for _ in 1..FAILURES {
        switch.failed(FAR, ms(1000));
    }
    assert!(!switch.decide(&estimates, ms(1000)));
    switch.failed(FAR, ms(1000));
    // Those that had begun before.
    (0..10).for_each(|_| switch.failed(FAR, ms(1001)));
    assert!(switch.decide(&estimates, ms(1001)));
    let until = ms(1000) + HOLD_MIN;
    assert_eq!(switch.explain(&estimates, ms(1001)).why, Some(Why::Barred { before: FAR, by: Bar::Silent { until } }));
    switch.failed(FAR, until);
    let until = until + HOLD_MIN * 2;
    assert_eq!(switch.explain(&estimates, until - ms(1)).standings[1].bar, Some(Bar::Silent { until }));
    (0..9).for_each(|_| switch.failed(LOCAL, ms(2000)));
    assert_eq!(switch.explain(&estimates, ms(2000)).standings[0].bar, None);
}

#[test]
fn a_request_tries_what_serves_then_the_next_best_and_the_local_one_last() {
    let estimates = estimates(10);
    let alternatives = vec![local(ms(5)), far(SMALL, 20_000, ms(0)), far(FAR, 10_000, ms(0))];
    let mut switch = Switch::new(alternatives, &estimates, ms(0));
    let plans =
        |switch: &Switch| switch.ways(&estimates, ms(0), |_| ms(0)).iter().map(|way| way.plan).collect::<Vec<_>>();
    assert_eq!(plans(&switch), [LOCAL, FAR, SMALL]);
    let alternatives = vec![far(SMALL, 20_000, ms(0)), local(ms(50)), far(FAR, 10_000, ms(0))];
    switch = Switch::new(alternatives, &estimates, ms(0));
    assert_eq!(plans(&switch), [FAR, SMALL, LOCAL]);
    switch.link_down(0, 1, ms(0));
    switch.decide(&estimates, ms(0));
    assert_eq!(plans(&switch), [LOCAL]);
}

#[test]
fn requests_over_one_alternative_hold_up_those_over_others_that_need_the_same_link() {
    let estimates = estimates(10);
    let alternatives = vec![far(FAR, 50_000, ms(0)), far(SMALL, 60_000, ms(30)), local(ms(500))];
    let mut switch = Switch::new(alternatives, &estimates, ms(0));
    let waits_here = |switch: &Switch, time: Duration| {
        switch.ways(&estimates, ms(0), |_| time).iter().map(|way| way.waits).collect::<Vec<_>>()
    };
    let waits = |switch: &Switch| waits_here(switch, ms(0));
    let predicted = estimates.predict(&far(SMALL, 60_000, ms(30)), ms(0));
    assert_eq!(waits(&switch), [ms(0); 3]);
    assert_eq!(waits_here(&switch, ms(70))[1..], [predicted + ms(70), ms(570)]);
    (0..10).for_each(|_| switch.goes(FAR));
    let [own, same, other] = waits(&switch)[..] else { panic!("three ways") };
    let one = Bandwidth(10_000_000).time_for(message::bytes(Bytes(50_000)));
    assert_eq!(own, one * 11);
    assert_eq!((same, other), (one * 10 + predicted, ms(0)), "what stays here does not need the link");
    assert_eq!(waits_here(&switch, one * 20)[..2], [one * 31, one * 20 + predicted], "not one after the other");
    (0..10).for_each(|_| switch.came_back(FAR, true, ms(0), ms(1)));
    assert_eq!(waits(&switch), [ms(0); 3]);
}

#[test]
fn a_new_deployment_keeps_what_serves_if_it_is_in_both() {
    let (mut switch, estimates) = two(ms(50));
    switch.tier_down(1, ms(0));
    switch.replace(vec![far(FAR, 5, ms(0)), local(ms(200))], &estimates, ms(100));
    let explained = switch.explain(&estimates, ms(100));
    assert_eq!((explained.serving, explained.why, explained.since), (Some(LOCAL), Some(Why::Best), ms(0)));
    assert_eq!(explained.standings[0].bar, Some(Bar::TierDown { tier: 1 }), "what is known of a tier stays");
    let other = Alternative { plan: SMALL, ..local(ms(300)) };
    switch.replace(vec![other], &estimates, ms(200));
    let explained = switch.explain(&estimates, ms(200));
    assert_eq!((explained.serving, explained.why), (Some(SMALL), Some(Why::Replaced { before: LOCAL })));
}

#[test]
fn without_any_that_can_serve_there_is_none_until_one_can() {
    let estimates = estimates(10);
    let mut switch = Switch::new(vec![far(FAR, 1, ms(0))], &estimates, ms(0));
    switch.tier_down(1, ms(1));
    assert!(switch.decide(&estimates, ms(1)));
    assert_eq!((switch.serving(), switch.ways(&estimates, ms(1), |_| ms(0))), (None, vec![]));
    switch.tier_up(1, ms(2));
    assert!(!switch.decide(&estimates, ms(2)));
    assert!(switch.decide(&estimates, ms(2) + HOLD_MIN));
    assert_eq!(switch.serving(), Some(FAR));
}

/// What a probe of 16 kB, or of what takes 50 ms, shows each 200 ms of a link that changes at `changed`; when and to
/// what it switches.
fn follow(mbit: &[f64], phase: u64) -> Vec<Vec<(u64, PlanId)>> {
    let mut estimates = estimates(100);
    // 300 kB at 100 Mbit/s take 25 ms; 10 kB after 60 ms here take 87 ms at 1 Mbit/s; all of it here takes 300 ms.
    let alternatives = vec![local(ms(300)), far(SMALL, 10_000, ms(60)), far(FAR, 300_000, ms(0))];
    let mut switch = Switch::new(alternatives, &estimates, ms(0));
    assert_eq!(switch.serving(), Some(FAR));
    let mut now = 0;
    mbit.iter()
        .map(|mbit| {
            let changed = now + phase;
            let mut switched = Vec::new();
            while now < changed + 6000 {
                now += 50;
                if now % 200 == 0 {
                    let truth = Bandwidth((mbit * 1e6) as u64);
                    for way in [(0, 1), (1, 0)] {
                        let link = estimates.links.get_mut(&way).unwrap();
                        let bytes = Bytes(if *mbit < 1.0 { 500 } else { 16_000 });
                        link.transfer(bytes, truth.time_for(message::bytes(bytes)), ms(now));
                    }
                }
                if switch.decide(&estimates, ms(now)) {
                    switched.push((now - (changed - phase), switch.serving().unwrap()));
                }
            }
            switched
        })
        .collect()
}

#[test]
fn a_bandwidth_that_collapses_and_comes_back_is_followed_within_a_second() {
    for phase in [0, 50, 100, 150] {
        let switched = follow(&[1.0, 0.1, 1.0, 100.0], phase);
        let plans: Vec<PlanId> = switched.iter().flatten().map(|(_, plan)| *plan).collect();
        assert_eq!(plans, [SMALL, LOCAL, SMALL, FAR], "{switched:?}");
        for changes in &switched {
            assert!(changes.len() <= 2 && changes.iter().all(|(after, _)| *after <= 1000), "{switched:?}");
        }
    }
}

proptest! {
    #[test]
    fn whatever_happens_it_serves_what_can_serve_and_changes_seldom(
        events in prop::collection::vec((0_u8..7, 0_u64..400, 1_u64..200_000), 1..200),
    ) {
        let mut estimates = estimates(10);
        let alternatives = vec![local(ms(60)), far(SMALL, 10_000, ms(30)), far(FAR, 50_000, ms(0))];
        let mut switch = Switch::new(alternatives, &estimates, ms(0));
        let (mut now, mut voluntary) = (0, Vec::new());
        for (event, wait, kbit) in events {
            now += wait;
            let at = ms(now);
            match event {
                0 => switch.tier_down(1, at),
                1 => switch.tier_up(1, at),
                2 => switch.link_down(0, 1, at),
                3 => switch.link_up(0, 1, at),
                4 => switch.failed(FAR, at),
                _ => (0..3).for_each(|_| {
                    let took = Bandwidth(kbit * 1000).time_for(Bytes(100_000));
                    estimates.links.get_mut(&(0, 1)).unwrap().transfer(Bytes(100_000), took, at);
                }),
            }
            let before = switch.serving();
            let changed = switch.decide(&estimates, at);
            prop_assert_eq!(changed, before != switch.serving());
            prop_assert!(!switch.decide(&estimates, at), "it decides twice at the same time");
            let explained = switch.explain(&estimates, at);
            let standing = explained.standings.iter().find(|standing| Some(standing.plan) == explained.serving);
            prop_assert!(standing.is_some_and(|standing| standing.bar.is_none()), "{explained:?}");
            if changed && matches!(explained.why, Some(Why::Better { .. })) {
                voluntary.push((now, switch.serving()));
            }
        }
        // Each of three is left at most five times in ten seconds, since 0.5 + 1 + 2 + 4 + 8 s are more.
        let in_ten_seconds = |at: u64| voluntary.iter().filter(|(other, _)| (at..at + 10_000).contains(other)).count();
        let most = voluntary.iter().map(|(at, _)| in_ten_seconds(*at)).max();
        prop_assert!(most.unwrap_or(0) <= 15, "{voluntary:?}");
    }
}
