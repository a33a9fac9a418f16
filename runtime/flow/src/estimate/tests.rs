//! Changes of links and tiers, single outliers, and samples that say little.

use proptest::prelude::*;

use super::*;

const MBIT: u64 = 1_000_000;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn link(mbit: u64) -> LinkEstimate {
    let direction = Direction { bandwidth: Bandwidth(mbit * MBIT), delay: ms(10), nanojoules_byte: 0.0, price_gb: 0.0 };
    LinkEstimate::new(&direction)
}

/// A transfer of `bytes` as a link of this bandwidth has it.
fn transfer(link: &mut LinkEstimate, bytes: u64, kbit: u64) {
    let took = Bandwidth(kbit * 1000).time_for(message::bytes(Bytes(bytes)));
    link.transfer(Bytes(bytes), took, ms(0));
}

/// Believed bandwidth in kbit/s.
fn kbit(link: &LinkEstimate) -> u64 {
    (link.bandwidth(ms(0)).0 + 500) / 1000
}

#[test]
fn less_is_believed_after_two_samples_and_more_after_three() {
    let mut link = link(100);
    let believed: Vec<u64> = [1000, 1000, 100, 100, 100_000, 100_000, 100_000, 100_000]
        .into_iter()
        .map(|rate| {
            transfer(&mut link, 100_000, rate);
            kbit(&link)
        })
        .collect();
    assert_eq!(believed, [100_000, 1000, 1000, 100, 100, 100, 100_000, 100_000]);
}

#[test]
fn one_outlier_changes_nothing() {
    let mut link = link(10);
    for rate in [10_000, 100, 10_000, 90_000, 10_000, 90_000, 90_000, 10_000, 100, 10_000, 100] {
        transfer(&mut link, 100_000, rate);
        assert_eq!(kbit(&link), 10_000);
    }
}

#[test]
fn a_change_is_believed_as_far_as_all_samples_show_it() {
    let mut falling = link(100);
    for rate in [1000, 3000] {
        transfer(&mut falling, 100_000, rate);
    }
    assert_eq!(kbit(&falling), 3000);
    let mut rising = link(1);
    for rate in [9000, 3000, 6000] {
        transfer(&mut rising, 100_000, rate);
    }
    assert_eq!(kbit(&rising), 3000);
}

#[test]
fn small_transfers_say_little() {
    let mut link = link(100);
    for _ in 0..10 {
        link.transfer(Bytes(100), ms(1), ms(0));
    }
    assert_eq!(kbit(&link), 100_000, "a message of one datagram may take the time of the jitter on any link");
    for _ in 0..2 {
        link.transfer(Bytes(100), ms(30), ms(0));
    }
    assert_eq!(kbit(&link), 79, "the time of a slow link is beyond jitter");
}

#[test]
fn small_transfers_show_at_least_what_they_took() {
    let mut link = link(1);
    for _ in 0..3 {
        link.transfer(Bytes(14_160), Duration::ZERO, ms(0));
    }
    assert_eq!(kbit(&link), 8 * (14_800 + 192), "so much within the jitter of one millisecond");
}

#[test]
fn what_is_under_way_bounds_the_bandwidth() {
    let mut link = link(100);
    link.round_trip(ms(20), ms(0));
    link.under_way(Bytes(14_160), ms(1000));
    let at = |link: &LinkEstimate, now| link.bandwidth(ms(now)).0 / 1000;
    assert_eq!(at(&link, 1021), 100_000, "a round trip and the jitter are excused");
    assert_eq!(at(&link, 1022), 100_000);
    assert_eq!(at(&link, 1121), 14_992 * 8 / 100);
    assert_eq!(at(&link, 2021), 119);
    let mut arrived = link.clone();
    arrived.nothing_under_way();
    assert_eq!((at(&arrived, 2021), arrived.is_unsure()), (100_000, false), "it has come, only late");
    link.gave_up(ms(2021));
    assert_eq!((at(&link, 9000), link.is_unsure()), (119, true), "given up, it has shown the same");
    link.transfer(Bytes(14_160), ms(1200), ms(9000));
    assert_eq!(at(&link, 9000), 119, "as slow as that");
    link.transfer(Bytes(14_160), ms(2), ms(9000));
    assert_eq!((at(&link, 9000), link.is_unsure()), (100_000, false), "and one that comes fast shows another thing");
}

#[test]
fn the_least_recent_round_trip_is_the_way_and_the_others_wait() {
    let mut link = link(100);
    assert_eq!((link.delay(), link.round_trip_smoothed(), link.age(ms(5))), (ms(10), ms(20), None));
    for (at, took) in [40, 200, 200, 200].into_iter().enumerate() {
        link.round_trip(ms(took), ms(at as u64));
    }
    assert_eq!((link.delay(), link.jitter(), link.age(ms(5))), (ms(20), Duration::from_nanos(8_789_062), Some(ms(2))));
    assert_eq!(link.round_trip_smoothed(), Duration::from_nanos(92_812_500));
    link.round_trip(ms(200), ms(4));
    assert_eq!(link.delay(), ms(100));
}

#[test]
fn loss_is_a_share_of_the_packets_of_the_latest_reports() {
    let mut link = link(1);
    assert_eq!(link.loss(), 0.0);
    link.lost(5, 0, ms(0));
    assert_eq!(link.loss(), 0.0);
    (0..LOSS_REPORTS).for_each(|_| link.lost(1, 10, ms(0)));
    assert_eq!(link.loss(), 0.1);
    (0..LOSS_REPORTS).for_each(|_| link.lost(0, 10, ms(0)));
    assert_eq!(link.loss(), 0.0);
}

fn tier(ratios: &[f64]) -> TierEstimate {
    let mut tier = TierEstimate::default();
    ratios.iter().for_each(|ratio| tier.computed(ms(10), ms(10).mul_f64(*ratio), ms(0)));
    tier
}

#[test]
fn a_tier_that_becomes_ten_times_slower_is_believed_after_two_samples() {
    assert_eq!(tier(&[]).ratio(), 1.0);
    assert_eq!(tier(&[1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 10.0]).ratio(), 1.0);
    assert_eq!(tier(&[1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 10.0, 10.0]).ratio(), 10.0);
    assert_eq!(tier(&[10.0, 10.0, 10.0, 10.0, 1.0]).ratio(), 10.0);
    assert_eq!(tier(&[10.0, 10.0, 10.0, 10.0, 1.0, 1.0]).ratio(), 1.0);
}

#[test]
fn at_the_threshold_of_a_change() {
    let steady = [1.0; RATIOS];
    assert_eq!(tier(&[&steady[..], &[1.999, 1.999]].concat()).ratio(), 1.0);
    assert_eq!(tier(&[&steady[..], &[2.0, 2.0]].concat()).ratio(), 2.0);
    assert_eq!(tier(&[&steady[..], &[0.501, 0.501]].concat()).ratio(), 1.0);
    assert_eq!(tier(&[&steady[..], &[0.5, 0.5]].concat()).ratio(), 0.5);
    assert_eq!(
        tier(&[&steady[..], &[1.5, 1.5, 1.5, 1.5]].concat()).ratio(),
        1.0,
        "a small change waits for the median"
    );
    assert_eq!(tier(&[&steady[..], &[1.5, 1.5, 1.5, 1.5, 1.5]].concat()).ratio(), 1.5);
}

#[test]
fn outliers_of_a_tier_to_both_sides_are_passed_over() {
    assert_eq!(tier(&[1.0, 1.0, 1.0, 50.0, 0.01, 1.0, 50.0, 1.0, 50.0, 1.0, 1.0, 0.01]).ratio(), 1.0);
    let mut small = TierEstimate::default();
    small.computed(PREDICTED_MIN - Duration::from_nanos(1), ms(90), ms(3));
    assert_eq!((small.ratio(), small.age(ms(4))), (1.0, None));
    small.computed(PREDICTED_MIN, ms(1), ms(3));
    assert_eq!((small.ratio(), small.age(ms(4))), (2.0, Some(ms(1))));
}

proptest! {
    #[test]
    fn whatever_is_seen_takes_bounded_memory_and_gives_a_usable_number(
        samples in prop::collection::vec((0_u8..7, any::<u64>(), any::<u64>(), any::<u32>()), 0..200),
    ) {
        let (mut link, mut tier) = (link(5), TierEstimate::default());
        for (kind, one, other, now) in samples {
            let [took, now] = [Duration::from_nanos(other), Duration::from_micros(now.into())];
            match kind {
                0 => link.round_trip(took, now),
                1 => link.transfer(Bytes(one), took, now),
                2 => link.lost(one, other, now),
                3 => link.under_way(Bytes(one), took),
                4 => link.nothing_under_way(),
                5 => link.gave_up(took),
                _ => tier.computed(Duration::from_nanos(one), took, now),
            }
            prop_assert!(link.bandwidth(now) >= Bandwidth(1));
            prop_assert!((0.0..=1.0).contains(&link.loss()));
            prop_assert!((1.0 / RATIO_MAX..=RATIO_MAX).contains(&tier.ratio()));
            prop_assert!(link.disagreeing.len() < RISE_SAMPLES && link.round_trips.len() <= LEAST_OF);
            prop_assert!(link.losses.len() <= LOSS_REPORTS && tier.ratios.len() <= RATIOS);
        }
    }

    #[test]
    fn on_a_steady_link_what_is_believed_comes_near(
        mbit in 1_u64..100, prior in 1_u64..100, noise in prop::collection::vec(0_u64..800, 30),
    ) {
        let mut link = link(prior);
        for late in noise {
            let took = Bandwidth(mbit * MBIT).time_for(message::bytes(Bytes(100_000))) + Duration::from_micros(late);
            link.transfer(Bytes(100_000), took, ms(0));
        }
        let error = link.bandwidth(ms(0)).0 as f64 / (mbit * MBIT) as f64;
        prop_assert!((0.75..=1.25).contains(&error), "{error}");
    }
}
