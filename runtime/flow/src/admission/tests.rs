//! Tries to lose requests, to be unfair, and to answer too few under ten times the load.
#![allow(clippy::unwrap_used)]
mod load;

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::costs::TRIED_ONE_IN;
use super::*;

const PLACES: usize = 12;

fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn share(number: u8) -> ShareId {
    ShareId { plan: PlanId([number; 32]), epoch: 1 }
}

fn threads(count: u32) -> NonZero<u32> {
    NonZero::new(count).unwrap()
}

/// A queue with one thread that knows that share 0 takes 100 ms, and is busy with a request of it from now on.
fn busy(now: Duration) -> Admission<u8, u64> {
    let mut admission = Admission::new(threads(1), PLACES);
    for step in 0..40 {
        let then = ms(100 * step);
        let ticket = admission.enter(9, share(0), Duration::MAX, then).unwrap();
        admission.ready(ticket, 0, then).unwrap();
        assert!(matches!(admission.take(then, None), Some(Turn::Run { .. })));
        if step < 39 {
            admission.done(ticket, then + ms(100));
        }
    }
    assert_eq!(now, ms(3900));
    admission
}

const NOW: Duration = Duration::from_millis(3900);

fn submit(admission: &mut Admission<u8, u64>, caller: u8, deadline: Duration, item: u64) -> Result<Ticket, Busy> {
    let ticket = admission.enter(caller, share(0), deadline, NOW)?;
    admission.ready(ticket, item, NOW).map_err(|(_, busy)| busy)?;
    Ok(ticket)
}

/// What is computed when all computations take 100 ms.
fn drain(admission: &mut Admission<u8, u64>) -> Vec<u64> {
    let mut now = NOW + ms(100);
    let mut order = Vec::new();
    let mut running: Vec<Ticket> = admission.running.keys().copied().collect();
    loop {
        running.drain(..).for_each(|ticket| admission.done(ticket, now));
        match admission.take(now, None) {
            Some(Turn::Run { ticket, item, .. }) => {
                order.push(item);
                running.push(ticket);
                now += ms(100);
            }
            Some(Turn::Late { .. }) => {}
            None => return order,
        }
    }
}

#[test]
fn the_earliest_deadline_of_a_caller_is_first_and_callers_take_turns() {
    let mut admission = busy(NOW);
    for (item, deadline) in [(13, 9000), (12, 8000), (11, 7000)] {
        submit(&mut admission, 1, ms(deadline), item).unwrap();
    }
    for (item, deadline) in [(21, 9500), (22, 9600)] {
        submit(&mut admission, 2, ms(deadline), item).unwrap();
    }
    assert_eq!(drain(&mut admission), [11, 21, 12, 22, 13]);
}

#[test]
fn what_will_not_be_done_in_time_is_refused_at_once_and_takes_no_place() {
    let mut admission = busy(NOW);
    // 100 ms for what runs, 100 for its own computation, and something for its deviation.
    assert_eq!(submit(&mut admission, 1, NOW + ms(199), 1), Err(Busy { waiting: 0 }));
    submit(&mut admission, 1, NOW + ms(230), 2).unwrap();
    assert_eq!(submit(&mut admission, 1, NOW + ms(299), 3), Err(Busy { waiting: 1 }));
    // Callers take turns, so another caller waits for one request of the first one only.
    submit(&mut admission, 1, NOW + ms(900), 4).unwrap();
    submit(&mut admission, 1, NOW + ms(900), 5).unwrap();
    submit(&mut admission, 2, NOW + ms(330), 6).unwrap();
    assert_eq!(admission.waiting(), 4);
    assert_eq!(drain(&mut admission), [2, 6, 4, 5]);
}

#[test]
fn what_comes_later_with_an_earlier_deadline_makes_nobody_late() {
    let mut admission = busy(NOW);
    submit(&mut admission, 1, NOW + ms(270), 1).unwrap();
    assert_eq!(submit(&mut admission, 1, NOW + ms(260), 2), Err(Busy { waiting: 1 }));
    // Who waits for another caller takes turns with it in any case.
    submit(&mut admission, 2, NOW + ms(900), 3).unwrap();
    submit(&mut admission, 2, NOW + ms(800), 4).unwrap();
    assert_eq!(drain(&mut admission), [1, 4, 3]);
}

#[test]
fn what_the_tiers_above_take_is_kept_free() {
    let mut admission = busy(NOW);
    admission.answered(share(0), ms(400));
    assert_eq!(submit(&mut admission, 1, NOW + ms(599), 1), Err(Busy { waiting: 0 }));
    submit(&mut admission, 1, NOW + ms(650), 2).unwrap();
    // Though the tiers above are thought too slow, one is tried now and then, or they would be thought so for ever.
    admission.answered(share(0), ms(40_000));
    let tried = (0..TRIED_ONE_IN).filter(|_| submit(&mut admission, 2, NOW + ms(900), 3).is_ok()).count();
    assert_eq!((tried, drain(&mut admission)), (1, vec![2, 3]), "and it is computed, not refused at its turn");
}

#[test]
fn what_became_late_while_it_waited_is_refused_when_its_turn_comes() {
    let mut admission = busy(NOW);
    submit(&mut admission, 1, NOW + ms(250), 1).unwrap();
    let running = *admission.running.keys().next().unwrap();
    admission.done(running, NOW + ms(180));
    let late = admission.take(NOW + ms(180), None);
    assert_eq!(late, Some(Turn::Late { item: 1, busy: Busy { waiting: 0 } }));
    assert_eq!(admission.waiting(), 0);
}

#[test]
fn what_comes_too_late_over_the_link_is_refused_when_it_has_come() {
    let mut admission = busy(NOW);
    let ticket = admission.enter(1, share(0), NOW + ms(300), NOW).unwrap();
    assert_eq!(admission.ready(ticket, 1, NOW + ms(190)), Ok(()));
    admission.leave(ticket);
    let ticket = admission.enter(1, share(0), NOW + ms(300), NOW).unwrap();
    submit(&mut admission, 2, NOW + ms(900), 2).unwrap();
    assert_eq!(admission.ready(ticket, 1, NOW + ms(90)), Err((1, Busy { waiting: 1 })));
    assert_eq!(admission.ready(ticket, 1, NOW), Err((1, Busy { waiting: 1 })));
}

#[test]
fn an_idle_node_tries_what_it_is_thought_too_slow_for() {
    let mut admission = busy(NOW);
    let running = *admission.running.keys().next().unwrap();
    admission.done(running, NOW);
    submit(&mut admission, 1, NOW + ms(10), 1).unwrap();
    assert!(matches!(admission.take(NOW, None), Some(Turn::Run { item: 1, .. })));
}

#[test]
fn what_was_not_computed_yet_waits_as_long_as_is_expected_of_it() {
    let mut admission = Admission::<u8, u64>::new(threads(1), 100);
    admission.expect(share(1), ms(10));
    let let_in = (0..50).filter(|_| admission.enter(1, share(1), ms(100), ms(0)).is_ok());
    assert_eq!(let_in.count(), 10);
    assert_eq!([1, 2].map(|of| admission.backlog_beside(share(of), ms(0))), [ms(0), ms(100)]);
    admission.expect(share(1), ms(1));
    assert_eq!(admission.typical(share(1)), ms(10), "what is known is not expected anew");
}

#[test]
fn a_busy_node_tries_one_in_sixteen_of_what_it_is_thought_too_slow_for() {
    let mut admission = busy(NOW);
    let taken: Vec<u64> = (1..40).filter(|item| submit(&mut admission, 1, NOW + ms(50), *item).is_ok()).collect();
    assert_eq!(taken, [16, 32]);
}

#[test]
fn a_thread_goes_on_with_its_share_but_no_more_than_a_turn_ahead() {
    let mut admission = busy(NOW);
    for caller in 1..5 {
        let ticket = admission.enter(caller, share(caller % 2), ms(9000), NOW).unwrap();
        admission.ready(ticket, caller.into(), NOW).unwrap();
    }
    let running = *admission.running.keys().next().unwrap();
    admission.done(running, NOW + ms(100));
    let item = |turn| if let Some(Turn::Run { item, .. }) = turn { item } else { panic!("{turn:?}") };
    let order = [(); 4].map(|()| item(admission.take(NOW + ms(100), Some(share(0)))));
    assert_eq!(order, [2, 4, 1, 3]);
}

#[test]
fn who_is_alone_gets_all_threads_and_nobody_runs_beside() {
    let mut admission = Admission::<u8, u64>::new(threads(4), 100);
    admission.spread(share(0));
    let enter = |admission: &mut Admission<u8, u64>, item, deadline, now| {
        let ticket = admission.enter(1, share(0), deadline, now)?;
        admission.ready(ticket, item, now).map_err(|(_, busy)| busy).map(|()| ticket)
    };
    let run = |admission: &mut Admission<u8, u64>, now| match admission.take(now, None) {
        Some(Turn::Run { item, alone, .. }) => Some((item, alone)),
        turn => {
            assert_eq!(turn, None);
            None
        }
    };
    let first = enter(&mut admission, 1, ms(900), ms(0)).unwrap();
    assert_eq!(run(&mut admission, ms(0)), Some((1, true)));
    let [second, third] = [2, 3].map(|item| enter(&mut admission, item, ms(900), ms(10)).unwrap());
    assert_eq!(run(&mut admission, ms(10)), None, "all threads compute the first one");
    admission.done(first, ms(30));
    assert_eq!(admission.typical(share(0)), ms(120), "no more than all threads in sum");
    assert_eq!([(); 2].map(|()| run(&mut admission, ms(30))), [Some((2, false)), Some((3, false))]);
    assert_eq!(run(&mut admission, ms(30)), None);
    [second, third].into_iter().for_each(|ticket| admission.done(ticket, ms(110)));
    assert_eq!(admission.typical(share(0)), ms(80), "as was measured");
    // Two are there, but the first one would be late on one thread.
    for (item, deadline) in [(4, 1300), (5, 1200)] {
        enter(&mut admission, item, ms(deadline), ms(850)).unwrap();
    }
    assert_eq!(run(&mut admission, ms(1160)), Some((5, true)));
}

/// Something that can be done to the queue; numbers choose among what there is.
#[derive(Debug, Clone)]
enum Step {
    Enter { caller: u8, share: u8, left: u64 },
    Ready(usize),
    Leave(usize),
    Take(u8),
    Done(usize),
}

fn steps() -> impl Strategy<Value = Vec<(Step, u64)>> {
    let step = prop_oneof![
        4 => (0u8..5, 0u8..3, 0u64..2000).prop_map(|(caller, share, left)| Step::Enter { caller, share, left }),
        4 => any::<usize>().prop_map(Step::Ready),
        1 => any::<usize>().prop_map(Step::Leave),
        3 => (0u8..3).prop_map(Step::Take),
        3 => any::<usize>().prop_map(Step::Done),
    ];
    prop::collection::vec((step, 0u64..60), 0..200)
}

fn choose(from: &mut Vec<Ticket>, number: usize) -> Option<Ticket> {
    (!from.is_empty()).then(|| from.swap_remove(number % from.len()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn nothing_is_lost_and_no_bound_is_passed(count in 1u32..4, steps in steps()) {
        let mut admission: Admission<u8, Ticket> = Admission::new(threads(count), PLACES);
        admission.spread(share(1));
        let (mut open, mut ready, mut running) = (Vec::new(), Vec::new(), Vec::new());
        let mut by_itself = None;
        let mut deadlines = BTreeMap::new();
        let mut now = Duration::ZERO;
        for (step, wait) in steps {
            now += ms(wait);
            match step {
                Step::Enter { caller, share: number, left } => {
                    if let Ok(ticket) = admission.enter(caller, share(number), now + ms(left), now) {
                        deadlines.insert(ticket, (caller, now + ms(left)));
                        open.push(ticket);
                    }
                }
                Step::Ready(number) => if let Some(ticket) = choose(&mut open, number) {
                    match admission.ready(ticket, ticket, now) {
                        Ok(()) => ready.push(ticket),
                        Err((item, _)) => prop_assert_eq!(item, ticket),
                    }
                },
                Step::Leave(number) => {
                    let has_item = number % 2 == 0;
                    if let Some(ticket) = choose(if has_item { &mut ready } else { &mut open }, number) {
                        prop_assert_eq!(admission.leave(ticket), has_item.then_some(ticket));
                        prop_assert_eq!(admission.leave(ticket), None);
                    }
                }
                Step::Take(after) if running.len() < count as usize => {
                    let Some(turn) = admission.take(now, Some(share(after))) else {
                        let is_free = by_itself.is_none_or(|ticket| !running.contains(&ticket));
                        prop_assert!(!is_free || ready.is_empty(), "{ready:?} are ready, but none is taken");
                        continue;
                    };
                    let (Turn::Run { item, .. } | Turn::Late { item, .. }) = turn;
                    let (caller, deadline) = deadlines[&item];
                    let place = ready.iter().position(|ticket| *ticket == item);
                    prop_assert!(place.is_some(), "{item:?} came twice or before its bytes");
                    ready.swap_remove(place.unwrap());
                    let earlier = |ticket: &&Ticket| deadlines[ticket].0 == caller && deadlines[ticket].1 < deadline;
                    prop_assert_eq!(ready.iter().find(earlier), None);
                    if let Turn::Run { ticket, share: of, alone, .. } = turn {
                        prop_assert_eq!(ticket, item);
                        prop_assert!(now < deadline && by_itself.is_none_or(|ticket| !running.contains(&ticket)));
                        prop_assert!(!alone || (running.is_empty() && of == share(1) && count > 1));
                        by_itself = alone.then_some(ticket).or(by_itself);
                        running.push(ticket);
                    }
                }
                Step::Take(_) => {}
                Step::Done(number) => if let Some(ticket) = choose(&mut running, number) {
                    admission.done(ticket, now);
                    prop_assert_eq!(admission.leave(ticket), None);
                },
            }
            prop_assert_eq!(admission.waiting(), open.len() + ready.len());
            prop_assert!(admission.waiting() <= PLACES);
            prop_assert!(admission.lines.len() <= 5);
        }
    }
}
