//! Tries to make a request end twice, late or never, begin a way twice, or multiply load.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

const DEADLINE: Duration = Duration::from_millis(1000);
const FIRST: PlanId = PlanId([1; 32]);
const SECOND: PlanId = PlanId([2; 32]);
const LOCAL: PlanId = PlanId([0; 32]);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Each plan but the local one goes to another tier.
fn way(plan: PlanId, predicted: u64) -> Way {
    let next = (plan != LOCAL).then_some(usize::from(plan.0[0]));
    Way { plan, predicted: ms(predicted), waits: ms(0), held_up: ms(0), under_way: 0, next }
}

/// One that so many requests hold up so long.
fn waiting(plan: PlanId, predicted: u64, under_way: u32, waits: u64) -> Way {
    Way { waits: ms(waits), under_way, ..way(plan, predicted) }
}

/// Ways of 50 and 80 ms, and the local one of 200 ms.
fn three() -> [Way; 3] {
    [way(FIRST, 50), way(SECOND, 80), way(LOCAL, 200)]
}

fn begin(ways: &[Way]) -> (Attempts, RetryBudget) {
    let mut budget = RetryBudget::new(ms(0));
    let (attempts, action) = Attempts::begin(ways, DEADLINE, &mut budget, ms(0));
    assert_eq!(action, AttemptAction::Start { way: 0 });
    (attempts, budget)
}

fn refused(way: usize, reason: Reason) -> AttemptEvent {
    AttemptEvent::Refused { way, refusal: Refusal { hop: 1, reason } }
}

fn busy(way: usize) -> AttemptEvent {
    refused(way, Reason::Busy { waiting: 7 })
}

fn start(way: usize) -> Option<AttemptAction> {
    Some(AttemptAction::Start { way })
}

fn failed(attempts: &Attempts) -> Vec<PlanId> {
    attempts.failed().collect()
}

fn reasons() -> Vec<Reason> {
    let plan = FIRST;
    vec![
        Reason::UnknownPlan { plan },
        Reason::StaleEpoch { plan, asked: 1, installed: 2 },
        Reason::WrongHop { asked: 1, here: 2 },
        Reason::WrongCodec { tensor: 0, asked: "a".into(), agreed: "b".into() },
        Reason::WrongCount { announced: 1, agreed: 2 },
        Reason::WrongSize { tensor: 0, announced: 1, agreed: 2 },
        Reason::WrongLength { announced: 1, got: 2 },
        Reason::Busy { waiting: 1 },
        Reason::UpstreamUnreachable { text: "no route".into() },
        Reason::UpstreamLost { text: "reset".into() },
        Reason::Stopping,
        Reason::Malformed { text: "no frame".into() },
        Reason::DeadlinePassed,
        Reason::ModelFailed { text: "bad index".into() },
    ]
}

#[test]
fn one_way_after_the_other_and_the_local_one_last() {
    let (mut attempts, mut budget) = begin(&three());
    assert_eq!(attempts.handle(busy(0), &mut budget, ms(5)), start(1));
    assert_eq!(attempts.handle(busy(0), &mut budget, ms(6)), None, "it has failed already");
    assert_eq!(attempts.handle(busy(1), &mut budget, ms(10)), start(2));
    assert_eq!(attempts.wakes(), Some(DEADLINE));
    let answer = AttemptEvent::Answered { way: 2 };
    assert_eq!(attempts.handle(answer.clone(), &mut budget, ms(210)), Some(AttemptAction::Answer { way: 2 }));
    assert_eq!((attempts.handle(answer, &mut budget, ms(210)), attempts.wakes()), (None, None));
    assert_eq!(failed(&attempts), [FIRST, SECOND]);
}

#[test]
fn where_the_next_tier_is_gone_no_other_way_goes_there() {
    let same = Way { next: way(FIRST, 0).next, ..way(SECOND, 60) };
    let third = way(PlanId([3; 32]), 80);
    let gone = |hop| {
        let reason = Reason::UpstreamLost { text: "reset".into() };
        AttemptEvent::Refused { way: 0, refusal: Refusal { hop, reason } }
    };
    for (ways, hop, next) in [
        (vec![way(FIRST, 50), same, third, way(LOCAL, 200)], 0, third),
        (vec![way(FIRST, 50), same, way(LOCAL, 200)], 0, way(LOCAL, 200)),
        (vec![way(FIRST, 50), same, way(LOCAL, 200)], 1, same),
    ] {
        let (mut attempts, mut budget) = begin(&ways);
        let Some(AttemptAction::Start { way }) = attempts.handle(gone(hop), &mut budget, ms(5)) else { panic!() };
        assert_eq!(attempts.way(way), Some(&next));
    }
}

#[test]
fn what_fails_on_every_tier_is_not_tried_again() {
    for reason in reasons() {
        let (mut attempts, mut budget) = begin(&three());
        let again = !matches!(reason, Reason::ModelFailed { .. } | Reason::Malformed { .. } | Reason::DeadlinePassed);
        let action = attempts.handle(refused(0, reason.clone()), &mut budget, ms(5));
        let refusal = Some(AttemptAction::Refuse(Refusal { hop: 1, reason }));
        assert_eq!(action, if again { start(1) } else { refusal });
        assert_eq!(failed(&attempts), if again { vec![FIRST] } else { vec![] });
    }
}

#[test]
fn a_late_way_gets_the_local_one_beside_it_and_the_first_answer_counts() {
    for (first, failures) in [(0, vec![]), (2, vec![FIRST])] {
        let (mut attempts, mut budget) = begin(&three());
        assert_eq!(attempts.wakes(), Some(ms(100)), "twice what was predicted");
        assert_eq!(attempts.handle(AttemptEvent::TimeIsUp, &mut budget, ms(100) - Duration::from_nanos(1)), None);
        assert_eq!(attempts.handle(AttemptEvent::TimeIsUp, &mut budget, ms(100)), start(2));
        assert_eq!(attempts.handle(AttemptEvent::TimeIsUp, &mut budget, ms(101)), None);
        let answered = |way| AttemptEvent::Answered { way };
        let action = attempts.handle(answered(first), &mut budget, ms(310));
        assert_eq!(action, Some(AttemptAction::Answer { way: first }));
        assert_eq!(attempts.handle(answered(2 - first), &mut budget, ms(320)), None);
        assert_eq!(failed(&attempts), failures);
    }
}

#[test]
fn the_local_way_begins_in_time_for_the_deadline() {
    let hedge = |predicted: u64, local: u64, deadline: u64| {
        hedge(&way(FIRST, predicted), &way(LOCAL, local), ms(deadline + 7), ms(7)).map(|hedge| hedge - ms(7))
    };
    assert_eq!(hedge(50, 200, 1000), Some(ms(100)));
    assert_eq!(hedge(5, 200, 1000), Some(ms(25)), "what is predicted for little varies by more");
    assert_eq!(hedge(600, 800, 9000), Some(ms(800)), "what takes long is late after LATE_MAX");
    assert_eq!(hedge(600, 200, 1000), Some(ms(600)), "its time once more to spare");
    assert_eq!(hedge(601, 200, 1000), Some(ms(0)), "it is needed anyway");
    assert_eq!(hedge(10, 200, 220), Some(ms(10)), "half of what there is to spare");
    assert_eq!(hedge(50, 200, 200), Some(ms(0)));
    assert_eq!(hedge(50, 200, 199), None);
}

#[test]
fn a_peer_that_stops_though_it_looks_alive_costs_less_than_half_a_second() {
    for predicted in [1, 10, 50, 100, 150] {
        let (mut attempts, mut budget) = begin(&[way(FIRST, predicted), way(LOCAL, 200)]);
        let wakes = attempts.wakes().unwrap();
        assert_eq!(attempts.handle(AttemptEvent::TimeIsUp, &mut budget, wakes), start(1));
        assert!(wakes + ms(200) <= ms(500), "begun at {wakes:?}");
    }
}

#[test]
fn after_a_failure_what_runs_is_awaited() {
    let (mut attempts, mut budget) = begin(&three());
    assert_eq!(attempts.handle(AttemptEvent::TimeIsUp, &mut budget, ms(100)), start(2));
    assert_eq!(attempts.handle(busy(0), &mut budget, ms(110)), None);
    assert_eq!(attempts.handle(refused(2, Reason::Busy { waiting: 1 }), &mut budget, ms(120)), start(1));
    let hopeless = refused(1, Reason::ModelFailed { text: "no".into() });
    assert!(matches!(attempts.handle(hopeless, &mut budget, ms(130)), Some(AttemptAction::Refuse(_))));
}

#[test]
fn a_way_that_cannot_make_the_deadline_is_passed_over_but_for_the_local_one() {
    for (now, next) in [(920, 1), (921, 2)] {
        let (mut attempts, mut budget) = begin(&[way(FIRST, 900), way(SECOND, 80), way(LOCAL, 2000)]);
        assert_eq!(attempts.handle(busy(0), &mut budget, ms(now)), start(next));
    }
}

#[test]
fn without_budget_only_the_local_way_is_left() {
    let (mut attempts, mut budget) = begin(&three());
    while budget.take(ms(0)) {}
    assert_eq!(attempts.handle(busy(0), &mut budget, ms(5)), start(2));
    let (mut attempts, mut budget) = begin(&[way(FIRST, 50), way(SECOND, 80)]);
    while budget.take(ms(0)) {}
    let refusal = Refusal { hop: 1, reason: Reason::Busy { waiting: 7 } };
    assert_eq!(attempts.handle(busy(0), &mut budget, ms(5)), Some(AttemptAction::Refuse(refusal)));
}

#[test]
fn at_the_deadline_it_is_refused_and_what_ran_has_failed() {
    let refusal = |reason| AttemptAction::Refuse(Refusal { hop: 0, reason });
    let (mut attempts, mut budget) = begin(&three());
    let answer = AttemptEvent::Answered { way: 0 };
    assert_eq!(attempts.handle(answer, &mut budget, DEADLINE), Some(refusal(Reason::DeadlinePassed)));
    assert_eq!(failed(&attempts), [FIRST]);
    let (mut attempts, mut budget) = begin(&three());
    assert_eq!(attempts.handle(AttemptEvent::Stopping, &mut budget, ms(1)), Some(refusal(Reason::Stopping)));
    assert_eq!(failed(&attempts), []);
    let (_, action) = Attempts::begin(&three(), DEADLINE, &mut budget, DEADLINE);
    assert_eq!(action, refusal(Reason::DeadlinePassed));
    let (attempts, action) = Attempts::begin(&[], DEADLINE, &mut budget, ms(0));
    assert!(matches!(action, AttemptAction::Refuse(Refusal { reason: Reason::UpstreamUnreachable { .. }, .. })));
    assert_eq!(attempts.wakes(), None);
}

#[test]
fn a_way_on_which_others_hold_it_up_for_too_long_is_not_tried() {
    let mut budget = RetryBudget::new(ms(0));
    let mut first = |ways: &[Way]| Attempts::begin(ways, DEADLINE, &mut budget, ms(0)).1;
    let full = |plan| waiting(plan, 50, 30, 751);
    let start = |way| AttemptAction::Start { way };
    assert_eq!(first(&[waiting(FIRST, 50, 30, 750), way(LOCAL, 200)]), start(0));
    assert_eq!(first(&[full(FIRST), way(SECOND, 80), way(LOCAL, 200)]), start(1));
    assert_eq!(first(&[full(FIRST), full(SECOND), way(LOCAL, 200)]), start(2));
    let held_up = |by: u64| Way { held_up: ms(by), ..waiting(SECOND, 80, 0, 80 + by) };
    assert_eq!(first(&[full(FIRST), held_up(80), way(LOCAL, 200)]), start(1));
    assert_eq!(first(&[full(FIRST), held_up(81), way(LOCAL, 200)]), start(2), "the first would wait for it in turn");
    assert_eq!(
        first(&[waiting(LOCAL, 200, 4, 750), way(FIRST, 300)]),
        start(0),
        "where it serves it is like the others"
    );
    let refusal = Refusal { hop: 0, reason: Reason::Busy { waiting: 31 } };
    let here = |held_up| Way { held_up: ms(held_up), ..waiting(LOCAL, 200, 1, 400 + held_up) };
    assert_eq!(first(&[full(FIRST), here(200)]), start(1), "what waits there needs this node no more");
    assert_eq!(first(&[full(FIRST), here(201)]), AttemptAction::Refuse(refusal));
    let slow = || way(SECOND, 1001);
    assert_eq!(first(&[full(FIRST), slow(), way(LOCAL, 200)]), start(2), "nothing keeps it, but it is too slow itself");
    assert_eq!(first(&[slow(), way(LOCAL, 200)]), start(0), "what serves is tried: what is predicted may be wrong");
    let refusal = Refusal { hop: 0, reason: Reason::Busy { waiting: 60 } };
    assert_eq!(first(&[full(FIRST), full(LOCAL)]), AttemptAction::Refuse(refusal));
}

#[test]
fn what_waits_behind_others_is_late_when_these_are() {
    let local = way(LOCAL, 100);
    assert_eq!(hedge(&way(FIRST, 50), &local, DEADLINE, ms(0)), Some(ms(100)));
    assert_eq!(hedge(&waiting(FIRST, 50, 4, 300), &local, DEADLINE, ms(0)), Some(ms(500)));
    let busy = waiting(LOCAL, 100, 1, 1);
    assert_eq!(hedge(&waiting(FIRST, 50, 9, 450), &busy, DEADLINE, ms(0)), Some(ms(650)));
    assert_eq!(hedge(&waiting(FIRST, 50, 9, 451), &busy, DEADLINE, ms(0)), None, "half of 900 ms");
    let behind_local = Way { held_up: ms(1), ..waiting(FIRST, 50, 9, 451) };
    assert_eq!(hedge(&behind_local, &busy, DEADLINE, ms(0)), Some(ms(650)), "its own are not what makes it late");
    assert_eq!(
        hedge(&waiting(FIRST, 50, 9, 451), &local, DEADLINE, ms(0)),
        Some(ms(651)),
        "nothing else is asked of it"
    );
    assert_eq!(hedge(&way(FIRST, 50), &waiting(LOCAL, 100, 9, 1001), DEADLINE, ms(0)), None);
}

fn ways() -> impl Strategy<Value = Vec<Way>> {
    let far = prop::collection::vec((1_u8..9, 0_u64..900, 0_u64..1500), 0..5);
    (far, prop::option::of(0_u64..900), any::<bool>()).prop_map(|(far, local, first)| {
        let far = far.into_iter().map(|(plan, predicted, waits)| waiting(PlanId([plan; 32]), predicted, 3, waits));
        let mut ways: Vec<Way> = far.collect();
        let local = local.map(|predicted| way(LOCAL, predicted));
        if first {
            ways.splice(0..0, local)
        } else {
            ways.splice(ways.len().., local)
        };
        ways
    })
}

fn events() -> impl Strategy<Value = Vec<(AttemptEvent, u64)>> {
    let event = prop_oneof![
        2 => (0_usize..4).prop_map(|way| AttemptEvent::Answered { way }),
        6 => (0_usize..4, prop::sample::select(reasons())).prop_map(|(way, reason)| refused(way, reason)),
        6 => Just(AttemptEvent::TimeIsUp),
        1 => Just(AttemptEvent::CallerLost),
        1 => Just(AttemptEvent::Stopping),
    ];
    prop::collection::vec((event, 0_u64..150), 0..30)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]
    #[test]
    fn it_ends_once_by_its_deadline_whatever_happens(ways in ways(), events in events(), tries in 0_u64..4) {
        let mut budget = RetryBudget::new(ms(0));
        (tries..crate::RETRIES_MAX).for_each(|_| assert!(budget.take(ms(0))));
        let (mut attempts, first) = Attempts::begin(&ways, DEADLINE, &mut budget, ms(0));
        let (mut now, mut begun, mut ends, mut running) = (ms(0), vec![], 0, vec![]);
        let mut actions = vec![first];
        for (event, wait) in events.into_iter().chain([(AttemptEvent::TimeIsUp, 2000)]) {
            for action in actions.drain(..) {
                match action {
                    AttemptAction::Start { way } => {
                        prop_assert!(ends == 0 && !begun.contains(&way), "{way} begins after {begun:?}");
                        prop_assert!(attempts.way(way).is_some());
                        begun.push(way);
                        running.push(way);
                    }
                    AttemptAction::Answer { way } => {
                        prop_assert!(now < DEADLINE && running.contains(&way));
                        ends += 1;
                    }
                    AttemptAction::Refuse(_) | AttemptAction::Abandon => ends += 1,
                }
            }
            prop_assert_eq!(attempts.wakes().is_some(), ends == 0);
            now += ms(wait);
            let answered = if let AttemptEvent::Refused { way, .. } = &event { Some(*way) } else { None };
            actions.extend(attempts.handle(event, &mut budget, now));
            running.retain(|way| Some(*way) != answered);
            let ended = actions.iter().any(|action| !matches!(action, AttemptAction::Start { .. }));
            prop_assert!(ends > 0 || ended || now < DEADLINE, "open at {now:?}");
            prop_assert!(ends > 0 || ended || !running.is_empty() || !actions.is_empty(), "nothing runs");
        }
        let ended = actions.iter().filter(|action| !matches!(action, AttemptAction::Start { .. })).count();
        prop_assert_eq!(ends + ended, 1);
        let far = begun.iter().filter(|way| attempts.way(**way).is_some_and(|way| !way.is_local())).count() as u64;
        // What the request itself and two seconds have earned is less than three.
        prop_assert!(begun.len() <= WAYS_MAX && far <= 1 + tries + 3);
    }
}
