//! What is bounded: gets that wait, answers that are held, the output of one feed.

use kaa_epr_core::frame::Kind;
use kaa_epr_core::limits::FEED_OUTPUT_LIMIT;

use crate::support::*;

#[test]
fn gets_beyond_the_number_or_bytes_that_may_wait_are_503_at_once() {
    let mut settings = config();
    settings.park.max_waiters = 2;
    let mut responder = started(settings);
    for reply in ["1", "2", "3"] {
        ask(&mut responder, reply, &get("c", "a"), 0);
    }
    assert_eq!(outcome(&mut responder), [("3".to_owned(), 503, None)]);
    let load = begin(&mut responder, &["a"], 0);
    end(&mut responder, load, &[], 0);
    assert_eq!((responder.pending(), outcome(&mut responder).len()), (0, 2));

    let mut settings = config();
    settings.park.max_bytes = 4_000;
    let mut responder = started(settings);
    ask(&mut responder, "r", &get(&"c".repeat(3_000), "a"), 0);
    assert!(answers(&mut responder).is_empty());
    ask(&mut responder, "r", &get(&"c".repeat(3_000), "b"), 0);
    assert_eq!(only(&mut responder), (503, None));
}

#[test]
fn flights_that_no_load_takes_are_given_up_in_time() {
    let mut responder = started(config());
    ask(&mut responder, "1", &get("c", "a"), 0);
    ask(&mut responder, "2", &get("c", "b"), 1);
    responder.tick(at(STORE_TIMEOUT));
    assert_eq!(outcome(&mut responder), [("1".to_owned(), 503, None)]);
    responder.store_up(false, at(STORE_TIMEOUT));
    assert_eq!(outcome(&mut responder), [("2".to_owned(), 503, None)]);
    assert!(!responder.wants_load());
}

#[test]
fn the_queue_and_the_load_take_no_longer_together() {
    let mut responder = started(config());
    ask(&mut responder, "1", &get("c", "a"), 0);
    let load = begin(&mut responder, &["a"], STORE_TIMEOUT - 1);
    ask(&mut responder, "2", &get("c", "a"), STORE_TIMEOUT - 1);
    responder.tick(at(STORE_TIMEOUT));
    assert_eq!(outcome(&mut responder), [("1".to_owned(), 503, None)]);
    responder.tick(at(2 * STORE_TIMEOUT - 1));
    assert_eq!(outcome(&mut responder), [("2".to_owned(), 503, None)]);
    assert_eq!(responder.pending(), 0);
    end(&mut responder, load, &[stored("a", 1, "x")], 2 * STORE_TIMEOUT);
    ask(&mut responder, "3", &get("c", "a"), 2 * STORE_TIMEOUT);
    assert_eq!(outcome(&mut responder), [("3".to_owned(), 200, Some(1))]);
}

#[test]
fn answers_without_a_connection_are_held_in_bounds_and_in_time() {
    let mut responder = started(config());
    fill(&mut responder, "a", 1, 0);
    let loads: Vec<u64> = (0..3)
        .map(|number| {
            let id = format!("held-{number}");
            ask(&mut responder, &id, &get("c", &id), 0);
            begin(&mut responder, &[&id], 0)
        })
        .collect();
    responder.link_down();
    end(&mut responder, loads[0], &[], 0);
    end(&mut responder, loads[1], &[], 1_000);
    end(
        &mut responder,
        loads[2],
        &[stored("held-2", 1, &"x".repeat(5_000))],
        1_000,
    );
    assert!(responder.output().is_empty());
    responder.link_up(1 << 20, true, false, at(2_500));
    assert_eq!(outcome(&mut responder), [("held-1".to_owned(), 404, None)]);
    assert_eq!(
        responder.stats().count.held_dropped,
        2,
        "one too old, one too large"
    );
}

#[test]
fn a_feed_pauses_at_the_output_limit_and_resumes_in_order() {
    let mut responder = started(config());
    assert!(responder.bind(2, Kind::Get));
    let large = "x".repeat(100_000);
    ask(&mut responder, "first", &get("c", "a"), 0);
    let load = begin(&mut responder, &["a"], 0);
    end(&mut responder, load, &[stored("a", 1, &large)], 0);
    responder.clear_output();
    let gets: Vec<Vec<u8>> = (0..40)
        .map(|n| wire(2, &format!("r{n}"), &[], &get("c", "a")))
        .collect();
    let chunk = [gets.concat(), b"PING\r\n".to_vec()].concat();
    let mut fed = responder.feed(&chunk, at(0));
    let (mut replies, mut rest) = (Vec::new(), fed.rest.clone());
    while fed.more {
        assert!(responder.output().len() < FEED_OUTPUT_LIMIT + 2 * large.len());
        replies.extend(outcome(&mut responder).into_iter().map(|(reply, ..)| reply));
        fed = responder.resume(at(0));
        rest.extend(&fed.rest);
    }
    replies.extend(outcome(&mut responder).into_iter().map(|(reply, ..)| reply));
    assert_eq!(replies, (0..40).map(|n| format!("r{n}")).collect::<Vec<_>>());
    assert_eq!(rest, b"PING\r\n");
}

#[test]
fn landed_gets_beyond_the_limit_wait_and_are_not_overtaken() {
    let mut responder = started(config());
    assert!(responder.bind(2, Kind::Get));
    let large = "x".repeat(100_000);
    for number in 0..30 {
        ask(&mut responder, &format!("l{number}"), &get("c", "a"), 0);
    }
    let load = begin(&mut responder, &["a"], 0);
    end(&mut responder, load, &[stored("a", 1, &large)], 0);
    let mut replies: Vec<String> = outcome(&mut responder)
        .into_iter()
        .map(|(reply, ..)| reply)
        .collect();
    assert!(replies.len() < 30 && responder.pending() == 30 - replies.len());
    updated(&mut responder, "a", 2, 0);
    let mut fed = responder.feed(&wire(2, "late", &[], &get("c", "a")), at(0));
    assert!(fed.more);
    assert!(
        responder.begin_load(10, at(0)).is_none(),
        "no load while landed gets wait"
    );
    while fed.more {
        replies.extend(outcome(&mut responder).into_iter().map(|(reply, ..)| reply));
        fed = responder.resume(at(0));
    }
    replies.extend(outcome(&mut responder).into_iter().map(|(reply, ..)| reply));
    assert_eq!(replies, (0..30).map(|n| format!("l{n}")).collect::<Vec<_>>());
    begin(&mut responder, &["a"], 0);
}

#[test]
fn a_batch_that_cannot_be_cut_fails_its_load() {
    let mut responder = started(config());
    ask(&mut responder, "r", &get("c", "a"), 0);
    let load = begin(&mut responder, &["a"], 0);
    assert_eq!(
        responder.end_load(load, &[&[1, 0, 0, 0]], at(0)),
        Some(Vec::new())
    );
    assert_eq!(only(&mut responder), (503, None));
}
