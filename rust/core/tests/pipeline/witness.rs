//! Rule 11: the second witness and the scrubber.

use kaa_epr_core::pipeline::Evidence;

use crate::support::*;

#[test]
fn a_witness_drops_what_is_older_and_keeps_what_is_not() {
    let mut responder = started(config());
    fill(&mut responder, "a", 3, 0);
    assert!(!responder.invalidate("a", Some(3), Evidence::ChangeStream, at(0)));
    ask(&mut responder, "r", &get("c", "a"), 0);
    assert_eq!(only(&mut responder), (200, Some(3)));
    assert!(responder.invalidate("a", Some(4), Evidence::ChangeStream, at(0)));
    ask(&mut responder, "r", &get("c", "a"), 0);
    let load = begin(&mut responder, &["a"], 0);
    end(&mut responder, load, &[stored("a", 3, "x")], 0);
    assert!(
        answers(&mut responder).is_empty(),
        "what was witnessed is a floor"
    );
    let load = begin(&mut responder, &["a"], 0);
    end(&mut responder, load, &[stored("a", 4, "x")], 0);
    assert_eq!(only(&mut responder), (200, Some(4)));
    assert!(
        responder.invalidate("a", None, Evidence::Proof, at(0)),
        "a change without a version"
    );
    let count = responder.stats().count;
    assert_eq!((count.stale_suspected, count.stale_proven), (1, 1));
}

#[test]
fn a_witness_voids_running_loads_and_marks() {
    let mut responder = started(config());
    ask(&mut responder, "r", &get("c", "a"), 0);
    let load = begin(&mut responder, &["a"], 0);
    assert!(!responder.invalidate("a", None, Evidence::ChangeStream, at(0)));
    end(&mut responder, load, &[], 0);
    assert_eq!(only(&mut responder), (404, None));
    assert_eq!(responder.stats().count.void_fills, 1);
    ask(&mut responder, "r", &get("c", "a"), 5_000);
    let load = begin(&mut responder, &["a"], 5_000);
    end(&mut responder, load, &[], 5_000);
    assert!(
        responder.invalidate("a", Some(1), Evidence::ChangeStream, at(5_000)),
        "the mark was stale"
    );
}

#[test]
fn samples_are_of_this_epoch_and_bounded() {
    let mut responder = started(config());
    for number in 0..10 {
        fill(&mut responder, &format!("e-{number}"), number, 0);
    }
    let mut all = responder.sample(100, 7);
    assert_eq!(all[0].0, "e-7");
    all.sort();
    let expected: Vec<_> = (0..10)
        .map(|number| (format!("e-{number}"), Some(number)))
        .collect();
    assert_eq!(all, expected);
    assert_eq!(responder.sample(3, u64::MAX).len(), 3);
    let asked = || vec!["e-3".to_owned(), "none".to_owned()];
    assert_eq!(responder.cached(asked()), [("e-3".to_owned(), Some(3))]);
    responder.flush(kaa_epr_core::stats::FlushCause::Operator);
    assert!(responder.sample(100, 0).is_empty() && responder.cached(asked()).is_empty());
}
