//! Another version of a module takes the place of the one that runs, and goes if it does harm.

use std::time::Duration;

use thalweg_modules::sandbox::{Exceeded, Limits, SandboxError, Setback, Stage};

use super::written::Written;
use super::{TIME, exceeded, input, limits, load};

/// One whose output is four zeros, so that it is told from one that gives its input out again.
fn zeros() -> Written {
    Written::making(5, &[4], 4)
}

fn staged() -> Stage {
    Stage::new(load(&Written::default()).unwrap(), "{}", limits()).unwrap()
}

fn answer(stage: &Stage) -> Vec<u8> {
    stage.run(&[input()], TIME).unwrap()[0].data().to_vec()
}

#[test]
fn another_version_answers_the_next_request() {
    let stage = staged();
    assert_eq!(answer(&stage), [1, 2, 3, 4]);
    stage.replace(load(&zeros()).unwrap()).unwrap();
    assert_eq!(answer(&stage), [0; 4]);
    assert_eq!(stage.setback(), None);
}

#[test]
fn a_version_that_does_harm_is_taken_back_and_its_request_answered() {
    let harm: [(&str, SandboxError); 3] = [
        ("unreachable", SandboxError::Trapped { module: "hostile".into(), reason: String::new() }),
        ("(loop $on (br $on)) unreachable", exceeded(Exceeded::Time(Duration::from_millis(100)))),
        (
            "(call $drop (local.get $in)) (call $answer (i32.const 0) (i32.const 0))",
            SandboxError::OutputCount { module: "hostile".into(), expected: 1, got: 0 },
        ),
    ];
    for (run, expected) in harm {
        let stage = staged();
        stage.replace(load(&Written::running(run)).unwrap()).unwrap();
        assert_eq!(answer(&stage), [1, 2, 3, 4], "{run}");
        let Some(Setback { version, cause }) = stage.setback() else { panic!("{run}: nothing was taken back") };
        assert_eq!((version.as_str(), std::mem::discriminant(&cause)), ("1.0.0", std::mem::discriminant(&expected)));
        assert_eq!(answer(&stage), [1, 2, 3, 4]);
    }
}

#[test]
fn a_request_in_a_hurry_says_nothing_of_a_version() {
    let stage = staged();
    stage.replace(load(&Written::running("(loop $on (br $on)) unreachable")).unwrap()).unwrap();
    let hurry = Duration::from_millis(5);
    assert_eq!(stage.run(&[input()], hurry), Err(exceeded(Exceeded::Time(hurry))));
    assert_eq!(stage.setback(), None);
}

#[test]
fn the_first_version_has_nothing_to_go_back_to() {
    let stage = Stage::new(load(&Written::running("unreachable")).unwrap(), "{}", limits()).unwrap();
    for _ in 0..2 {
        assert!(matches!(stage.run(&[input()], TIME), Err(SandboxError::Trapped { .. })));
    }
}

#[test]
fn a_version_on_trial_is_nothing_to_go_back_to() {
    let stage = staged();
    stage.replace(load(&zeros()).unwrap()).unwrap();
    stage.replace(load(&Written::running("unreachable")).unwrap()).unwrap();
    assert_eq!(answer(&stage), [1, 2, 3, 4]);
}

#[test]
fn after_its_trial_a_version_stays() {
    let stage = staged();
    // It traps at the request whose first byte is 9.
    let moody = "(call $read (local.get $in) (i64.const 0) (i64.const 1) (i32.const 600))
                 (if (i32.eq (i32.load8_u (i32.load (i32.const 604))) (i32.const 9)) (then unreachable))
                 (call $answer (local.get $list) (local.get $len))";
    stage.replace(load(&Written::running(moody)).unwrap()).unwrap();
    for _ in 0..100 {
        answer(&stage);
    }
    let bad = thalweg_planner::Tensor::new(input().spec().clone(), vec![9; 4]).unwrap();
    assert!(matches!(stage.run(&[bad], TIME), Err(SandboxError::Trapped { .. })));
    assert_eq!((stage.setback(), answer(&stage)), (None, vec![1, 2, 3, 4]));
}

#[test]
fn what_does_not_fit_changes_nothing() {
    let stage = staged();
    let other = Written { output: Some(5), ..Written::default() };
    let refused = stage.replace(load(&other).unwrap());
    assert!(matches!(refused, Err(SandboxError::OtherPorts { .. })), "{refused:?}");
    assert_eq!(answer(&stage), [1, 2, 3, 4]);
}

#[test]
fn requests_at_a_time_have_an_instance_each() {
    let stage = Stage::new(load(&Written::default()).unwrap(), "{}", Limits::RECOMMENDED).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..200).for_each(|_| assert_eq!(answer(&stage), [1, 2, 3, 4])));
        }
    });
}
