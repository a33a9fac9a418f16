//! Tries to make a request end twice, late, never, or out of order.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use thalweg_planner::{DType, TensorSpec};

use super::*;
use crate::{Coded, PlanId, Slot};

const DEADLINE: Duration = Duration::from_micros(1000);
const SIZE: u64 = 6;

/// Time that the hop needs for the rest.
const ANSWERS_IN: Duration = Duration::from_micros(400);

fn request(course: Course) -> Request {
    request_with(course, false)
}

fn request_with(course: Course, early: bool) -> Request {
    let spec = TensorSpec::new(DType::U8, [SIZE as usize]);
    let contract = Contract {
        plan: PlanId([0; 32]),
        epoch: 1,
        hop: 1,
        takes: vec![Slot { spec, codec: "raw".into(), bytes_max: SIZE, early }],
        returns: vec![],
        answers_in: ANSWERS_IN,
    };
    let remaining_us = DEADLINE.as_micros() as u64;
    let open = Open {
        trace: 1,
        plan: contract.plan,
        epoch: 1,
        hop: 1,
        remaining_us,
        tensors: vec![Coded { codec: "raw".into(), bytes: SIZE }],
    };
    Request::accept(&contract, course, &open, Duration::ZERO).unwrap()
}

fn refusal(reason: Reason) -> Option<Action> {
    Some(Action::Refuse(Refusal { hop: 1, reason }))
}

/// A run with a time before each event; more than the deadline in all is likely in long runs only.
fn events() -> impl Strategy<Value = Vec<(Event<'static>, u64)>> {
    let event = prop_oneof![
        4 => (0usize..4).prop_map(|length| Event::Payload(&b"bytes"[..length])),
        1 => Just(Event::PayloadEnded),
        1 => Just(Event::CallerLost),
        4 => Just(Event::Computed),
        1 => Just(Event::ComputeFailed("no".into())),
        1 => Just(Event::Overloaded { waiting: 9 }),
        3 => Just(Event::UpstreamAnswered),
        1 => Just(Event::UpstreamRefused(Refusal { hop: 2, reason: Reason::Stopping })),
        1 => Just(Event::UpstreamUnreachable("no route".into())),
        1 => Just(Event::UpstreamLost("reset".into())),
        1 => Just(Event::TimeIsShort),
        1 => Just(Event::DeadlinePassed),
        1 => Just(Event::Stopping),
    ];
    prop::collection::vec((event, 0u64..150), 0..40)
}

fn courses() -> impl Strategy<Value = Course> {
    prop_oneof![Just(Course::Answer), Just(Course::Forward), Just(Course::Relay)]
}

fn ends(action: &Action) -> bool {
    matches!(action, Action::Answer | Action::Refuse(_) | Action::Abandon)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn it_ends_once_by_its_deadline_whatever_happens(course in courses(), early in any::<bool>(), events in events()) {
        let mut request = request_with(course, early);
        let mut now = Duration::ZERO;
        let mut actions = Vec::new();
        for (event, wait) in events {
            now += Duration::from_micros(wait);
            let open = !actions.last().is_some_and(ends);
            let action = request.handle(event, now);
            prop_assert!(open || action.is_none(), "{action:?} after {actions:?}");
            let too_late = now >= DEADLINE && open;
            prop_assert!(!too_late || action.as_ref().is_some_and(ends), "still open at {now:?}");
            prop_assert!(now < DEADLINE || action != Some(Action::Answer), "answered at {now:?}");
            if let Some(Action::Compute(payload) | Action::Relay(payload)) = &action {
                let hurries = early && course != Course::Relay && now >= DEADLINE - ANSWERS_IN;
                prop_assert!(payload.total() > 0);
                prop_assert_eq!(payload.is_cut(), payload.total() < SIZE);
                prop_assert!(!payload.is_cut() || hurries, "cut at {now:?} on the course {course:?}");
            }
            let waits = early && course != Course::Relay && request.missing() > 0 && now >= DEADLINE - ANSWERS_IN;
            prop_assert!(!waits || request.missing() == SIZE as usize, "still waits at {now:?}");
            actions.extend(action);
        }
        actions.extend(request.handle(Event::DeadlinePassed, now.max(DEADLINE)));
        prop_assert_eq!(actions.iter().filter(|action| ends(action)).count(), 1);
        let before_answer: &[_] = match course {
            Course::Answer => &["compute"],
            Course::Forward => &["compute", "forward"],
            Course::Relay => &["relay"],
        };
        let way: Vec<_> = actions.iter().filter(|action| !ends(action)).map(name).collect();
        prop_assert!(before_answer.starts_with(&way), "{way:?} on the course {course:?}");
        prop_assert!(way.len() == before_answer.len() || !actions.contains(&Action::Answer), "answered after {way:?}");
    }
}

fn name(action: &Action) -> &'static str {
    match action {
        Action::Compute(_) => "compute",
        Action::Relay(_) => "relay",
        Action::Forward => "forward",
        Action::Answer => "answer",
        Action::Refuse(_) => "refuse",
        Action::Abandon => "abandon",
    }
}

#[test]
fn the_way_through_the_middle_of_a_path() {
    let mut request = request(Course::Forward);
    assert_eq!(request.handle(Event::Payload(b""), Duration::ZERO), None);
    assert_eq!(request.handle(Event::Payload(b"abcd"), Duration::ZERO), None);
    assert_eq!(request.missing(), 2);
    let Some(Action::Compute(payload)) = request.handle(Event::Payload(b"ef"), Duration::ZERO) else {
        panic!("the payload is complete, but is not computed");
    };
    assert_eq!(payload.into_bytes(), b"abcdef");
    assert_eq!(request.handle(Event::Computed, Duration::ZERO), Some(Action::Forward));
    assert_eq!(request.deadline(), DEADLINE);
    assert_eq!(request.handle(Event::UpstreamAnswered, Duration::ZERO), Some(Action::Answer));
    assert_eq!(request.handle(Event::UpstreamAnswered, Duration::ZERO), None);
}

#[test]
fn an_early_alarm_is_ignored_and_the_last_moment_is_too_late() {
    let just_before = DEADLINE - Duration::from_nanos(1);
    let mut request = request(Course::Answer);
    assert!(request.handle(Event::Payload(b"abcdef"), Duration::ZERO).is_some());
    assert_eq!(request.handle(Event::DeadlinePassed, just_before), None);
    assert_eq!(request.handle(Event::Computed, DEADLINE), refusal(Reason::DeadlinePassed));
}

#[test]
fn too_many_and_too_few_bytes_are_refused() {
    let wrong_length = |got| refusal(Reason::WrongLength { announced: SIZE, got });
    assert_eq!(request(Course::Relay).handle(Event::Payload(b"abcdefg"), Duration::ZERO), wrong_length(7));
    assert_eq!(request(Course::Relay).handle(Event::PayloadEnded, Duration::ZERO), wrong_length(0));
}

#[test]
fn a_refusal_from_above_keeps_the_name_of_its_hop() {
    let above = Refusal { hop: 2, reason: Reason::ModelFailed { text: "bad index".into() } };
    let mut request = request(Course::Relay);
    assert!(request.handle(Event::Payload(b"abcdef"), Duration::ZERO).is_some());
    assert_eq!(request.handle(Event::UpstreamRefused(above.clone()), Duration::ZERO), Some(Action::Refuse(above)));
}

#[test]
fn a_hop_in_a_hurry_goes_on_with_what_has_come() {
    let late = DEADLINE - ANSWERS_IN;
    let mut request = request_with(Course::Forward, true);
    assert_eq!(request.hurries(), late);
    assert_eq!(request.handle(Event::Payload(b"abc"), Duration::ZERO), None);
    assert_eq!(request.handle(Event::TimeIsShort, late - Duration::from_nanos(1)), None);
    let Some(Action::Compute(payload)) = request.handle(Event::TimeIsShort, late) else {
        panic!("it waits although three bytes are there");
    };
    assert!(payload.is_cut());
    assert_eq!(payload.into_bytes(), b"abc");
    assert_eq!(request.missing(), 0);
    assert_eq!(request.handle(Event::Payload(b"def"), late), None);
    assert_eq!(request.handle(Event::Computed, late), Some(Action::Forward));
}

#[test]
fn a_hop_in_a_hurry_waits_for_the_first_byte() {
    let late = DEADLINE - ANSWERS_IN;
    let mut request = request_with(Course::Answer, true);
    assert_eq!(request.handle(Event::TimeIsShort, late), None);
    let action = request.handle(Event::Payload(b"a"), late);
    assert!(matches!(&action, Some(Action::Compute(payload)) if payload.is_cut()), "{action:?}");
}

#[test]
fn what_must_be_whole_is_awaited_until_the_deadline() {
    let late = DEADLINE - ANSWERS_IN;
    for (course, early) in [(Course::Answer, false), (Course::Forward, false), (Course::Relay, true)] {
        let mut request = request_with(course, early);
        assert_eq!(request.hurries(), DEADLINE);
        assert_eq!(request.handle(Event::Payload(b"abc"), Duration::ZERO), None);
        assert_eq!(request.handle(Event::TimeIsShort, late), None);
        assert_eq!(request.handle(Event::DeadlinePassed, DEADLINE), refusal(Reason::DeadlinePassed));
    }
}
